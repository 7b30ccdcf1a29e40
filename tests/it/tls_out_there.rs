//! TLS as found in practice: middleboxes that break it, servers that require what nobody has, authorities that come and
//! go, hosts with a broken address.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use rustls::ServerConfig;
use tempfile::TempDir;

use crate::certificates::{Authority, Kind};
use crate::delivered::assert_same_mail;
use crate::leaks::assert_no_secret;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, skip, wait_for};
use crate::scripted::maildrop::Maildrop;
use crate::scripted::middle_box::{Meddling, MiddleBox};

fn authority() -> (TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    (dir, authority)
}

/// A maildrop with three messages behind TLS.
fn maildrop(tls: Arc<ServerConfig>, implicit: bool) -> Maildrop {
    Maildrop::with(small_ones(3), |behaviour| {
        behaviour.tls = Some(tls);
        behaviour.implicit_tls = implicit;
    })
}

fn mode(implicit: bool) -> &'static str {
    if implicit { "implicit" } else { "starttls" }
}

#[test]
fn a_large_first_message_that_gets_lost_is_sent_once_more_and_smaller() {
    let (_dir, authority) = authority();
    let cases = [
        (true, Meddling::Resets),
        (true, Meddling::Closes),
        // close_notify, handshake_failure, decode_error, protocol_version
        (true, Meddling::Alerts(0)),
        (true, Meddling::Alerts(40)),
        (true, Meddling::Alerts(50)),
        (true, Meddling::Alerts(70)),
        (false, Meddling::Resets),
        (false, Meddling::Closes),
        (false, Meddling::Alerts(50)),
        (false, Meddling::Alerts(40)),
        (false, Meddling::Swallows),
    ];
    for (implicit, meddling) in cases {
        let maildrop = maildrop(authority.server_config(Kind::Good), implicit);
        let in_between = MiddleBox::before(maildrop.server.address, meddling);
        let account = Account::at(in_between.address).tls(mode(implicit), &authority.ca_file).text("timeout", "5s");
        let env = TestEnv::new(&[account]);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert_eq!((in_between.connections(), in_between.meddled()), (2, 1), "{implicit} {meddling:?}");
        // It is remembered from now on.
        let hints = fs::read_to_string(env.path("state/a.hints")).unwrap();
        assert!(hints.contains("classical_until = ") && !hints.contains("classical_until = 0\n"), "{hints}");
        env.fetch().expect(0).says("nothing new");
        assert_eq!((in_between.connections(), in_between.meddled()), (3, 1), "{implicit} {meddling:?}");
        maildrop.server.wait_until_idle();
        assert_no_secret(&maildrop.server.raw());
    }
}

#[test]
fn a_first_message_that_arrives_is_large_and_sent_once() {
    let (_dir, authority) = authority();
    for implicit in [true, false] {
        let maildrop = maildrop(authority.server_config(Kind::Good), implicit);
        let in_between = MiddleBox::before(maildrop.server.address, Meddling::Passes);
        let env = TestEnv::new(&[Account::at(in_between.address).tls(mode(implicit), &authority.ca_file)]);
        env.fetch().expect(0);
        assert_eq!(in_between.connections(), 1);
        let hints = fs::read_to_string(env.path("state/a.hints")).unwrap();
        assert!(hints.contains("classical_until = 0\n"), "{hints}");
    }
}

#[test]
fn the_user_chooses_how_keys_are_exchanged() {
    let (_dir, authority) = authority();
    for implicit in [true, false] {
        let maildrop = maildrop(authority.server_config(Kind::Good), implicit);
        let in_between = MiddleBox::before(maildrop.server.address, Meddling::Closes);
        let at = Account::at(in_between.address).tls(mode(implicit), &authority.ca_file);
        // The ClientHello is small from the start.
        let env = TestEnv::new(&[at.clone().text("tls_key_exchange", "classical")]);
        env.fetch().expect(0);
        assert_eq!((in_between.connections(), in_between.meddled()), (1, 0));
        // It is never small, whatever was learned.
        env.configure(&[at.text("tls_key_exchange", "post-quantum")]);
        env.fetch().expect(75).says("closed the connection during the TLS handshake");
        assert_eq!((in_between.connections(), in_between.meddled()), (2, 1));
        // A server that supports it is reached.
        let direct = Account::at(maildrop.server.address).tls(mode(implicit), &authority.ca_file);
        let env = TestEnv::new(&[direct.clone().text("tls_key_exchange", "post-quantum")]);
        env.fetch().expect(0);
        assert_eq!(env.mail().len(), 3);
        TestEnv::new(&[direct.text("tls_key_exchange", "quantum")]).fetch().expect(78).says("post-quantum");
    }
}

#[test]
fn a_server_without_post_quantum_exchange_is_refused_only_where_that_is_asked_for() {
    let (_dir, authority) = authority();
    let old = authority.server_config_of(Kind::Good, &[&rustls::version::TLS12], false);
    let maildrop = maildrop(old, true);
    let at = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
    let refused = TestEnv::new(&[at.clone().text("tls_key_exchange", "post-quantum")]).fetch().expect(69);
    refused.says("no key exchange that is safe from quantum computers").says("Set tls_key_exchange = \"auto\"");
    let env = TestEnv::new(&[at]);
    env.fetch().expect(0);
    assert_eq!(env.mail().len(), 3);
}

#[test]
fn a_server_that_wants_a_client_certificate_is_told_as_that() {
    let (_dir, authority) = authority();
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        for implicit in [true, false] {
            let maildrop = maildrop(authority.server_config_of(Kind::Good, versions, true), implicit);
            let account = Account::at(maildrop.server.address).tls(mode(implicit), &authority.ca_file);
            let env = TestEnv::new(&[account]);
            env.fetch().expect(69).says("client certificate");
            assert_eq!(env.mail().len(), 0);
            maildrop.server.wait_until_idle();
            assert_no_secret(&maildrop.server.raw());
        }
    }
}

#[test]
fn a_warning_about_the_name_is_not_for_the_user_unless_it_ends_there() {
    let (_dir, authority) = authority();
    let maildrop = maildrop(authority.server_config(Kind::Good), true);
    for (meddling, status) in [(Meddling::Warns, 0), (Meddling::WarnsAndCloses, 69)] {
        let in_between = MiddleBox::before(maildrop.server.address, meddling);
        for words in [&["-q", "fetch"][..], &["fetch"], &["-v", "fetch"]] {
            let env = TestEnv::new(&[Account::at(in_between.address).tls("implicit", &authority.ca_file)]);
            let outcome = env.run(words).expect(status);
            let said = outcome.output();
            assert_eq!(env.mail().len(), if status == 0 { 3 } else { 0 });
            assert!(!said.contains("log.file") && !said.contains(".cargo"), "{said}");
            assert!(!said.contains("alert warning"), "{said}");
            if status == 69 {
                outcome.says("says that it is not called localhost");
            } else if words.contains(&"-q") {
                assert_eq!(said, "");
            }
        }
    }
}

#[test]
fn an_authority_that_is_installed_or_removed_counts_without_a_restart() {
    let ((_dir, ours), (_other_dir, other)) = (authority(), authority());
    let maildrop = maildrop(ours.server_config(Kind::Good), true);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("tls", "implicit").text("host", "localhost")]);
    let platform = env.path("platform.pem");
    fs::copy(&other.ca_file, &platform).unwrap();
    let running = env.spawn_with(&[("SSL_CERT_FILE", platform.to_str().unwrap())], &["daemon"]);
    let status = || env.run(&["status"]).output();
    let is_refused = || status().contains("the certificate of localhost");
    wait_for("the refusal", is_refused);
    let both = fs::read_to_string(&ours.ca_file).unwrap() + &fs::read_to_string(&other.ca_file).unwrap();
    fs::write(&platform, both).unwrap();
    env.run(&["poll"]).expect(0);
    wait_for("the mail", || env.mail().len() == 3);
    // Removed again: it is not trusted because it was trusted earlier.
    fs::copy(&other.ca_file, &platform).unwrap();
    running.signal(Signal::HUP);
    wait_for("the reload", || {
        env.run(&["poll"]).expect(0);
        is_refused()
    });
    running.signal(Signal::TERM);
    running.wait().expect(143);
}

/// Returns a wrapper that makes `localhost` resolve to 127.0.0.1 and then 127.0.0.2; None if that is not possible.
pub(crate) fn two_addresses(env: &TestEnv) -> Option<Vec<String>> {
    let hosts = env.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.2 localhost\n").unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", script, hosts.to_str().unwrap()].map(str::to_owned).to_vec();
    let words: Vec<&str> = wrapper.iter().map(String::as_str).chain(["getent", "ahostsv4", "localhost"]).collect();
    let asked = Command::new(words[0]).args(&words[1..]).output().ok()?;
    let found = String::from_utf8_lossy(&asked.stdout).into_owned();
    if asked.status.success() && found.starts_with("127.0.0.1") && found.contains("127.0.0.2") {
        return Some(wrapper);
    }
    skip("a host with two addresses needs root, for a file /etc/hosts of its own");
    None
}

#[test]
fn an_address_that_accepts_and_does_not_work_does_not_hide_the_next() {
    let (_dir, authority) = authority();
    for (tls, bad) in [
        (Some(true), Meddling::ClosesAll),
        (Some(true), Meddling::WarnsAndCloses),
        (Some(false), Meddling::ClosesAll),
        (Some(false), Meddling::Silent),
        (None, Meddling::ClosesAll),
        (None, Meddling::Refuses),
        (None, Meddling::Silent),
    ] {
        let maildrop = match tls {
            Some(implicit) => maildrop(authority.server_config(Kind::Good), implicit),
            None => Maildrop::new(small_ones(3)),
        };
        let broken = MiddleBox::before(maildrop.server.address, bad);
        let works = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), broken.address.port()));
        let works = MiddleBox::at(works, maildrop.server.address, Meddling::Passes);
        let account = match tls {
            Some(implicit) => Account::at(broken.address).tls(mode(implicit), &authority.ca_file),
            None => Account::at(broken.address).text("host", "localhost"),
        };
        let env = TestEnv::new(&[account.text("timeout", "5s")]);
        let Some(wrapper) = two_addresses(&env) else { return };
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        env.spawn_under(&wrapper, &["fetch"]).wait().expect(0);
        assert_eq!(env.mail().len(), 3, "{tls:?} {bad:?}");
        assert!(broken.connections() > 0 && works.connections() > 0, "{tls:?} {bad:?}");
    }
}

#[test]
fn where_no_address_works_the_first_one_is_told() {
    let (_dir, authority) = authority();
    let maildrop = maildrop(authority.server_config(Kind::Good), true);
    let broken = MiddleBox::before(maildrop.server.address, Meddling::WarnsAndCloses);
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), broken.address.port()));
    let other = MiddleBox::at(other, maildrop.server.address, Meddling::ClosesAll);
    let env = TestEnv::new(&[Account::at(broken.address).tls("implicit", &authority.ca_file)]);
    let Some(wrapper) = two_addresses(&env) else { return };
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    env.spawn_under(&wrapper, &["fetch"]).wait().expect(69).says("not called localhost");
    assert!(other.connections() > 0);
}

/// An OpenSSL server; killed when dropped.
pub(crate) struct Openssl {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Openssl {
    /// Starts one with these options in this directory. None without OpenSSL.
    pub(crate) fn serve(dir: &Path, options: &str) -> Option<Self> {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cipher"]).args(options.split(' ')).current_dir(dir);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "OpenSSL does not serve with {options}");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().parse().unwrap();
            }
        };
        // Its output is read, so that it never blocks.
        std::thread::spawn(move || drop(std::io::copy(&mut said, &mut std::io::sink())));
        Some(Self { process, address })
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs `openssl` in a directory; returns whether it succeeded.
pub(crate) fn openssl(dir: &Path, words: &str) -> bool {
    Command::new("openssl").args(words.split(' ')).current_dir(dir).output().is_ok_and(|done| done.status.success())
}

#[test]
fn what_only_old_servers_have_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("leaf.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:false\n").unwrap();
    for bits in [1024, 2048] {
        let authority = format!(
            "req -x509 -newkey rsa:{bits} -nodes -days 30 -subj /CN=authority-{bits} -keyout ca{bits}.key -out ca{bits}.pem"
        );
        let request = format!("req -newkey rsa:{bits} -nodes -subj /CN=x -keyout leaf{bits}.key -out leaf{bits}.csr");
        if !openssl(dir, &authority) || !openssl(dir, &request) {
            return skip("openssl is not there (Debian package openssl), or makes no short keys");
        }
    }
    let sign = |leaf: u32, by: u32| {
        let words = format!(
            "x509 -req -in leaf{leaf}.csr -CA ca{by}.pem -CAkey ca{by}.key -CAcreateserial -days 30 -extfile leaf.ext -out \
             {leaf}-by-{by}.pem"
        );
        assert!(openssl(dir, &words));
    };
    [(1024, 2048), (2048, 1024), (2048, 2048)].into_iter().for_each(|(leaf, by)| sign(leaf, by));
    let short = "rests on an RSA key of 1024 bits, which is too short";
    let ciphers = "offers no cipher or key exchange that is safe today: DHE, static RSA and CBC are not";
    let any = "ALL:@SECLEVEL=0";
    for (leaf, by, options, says) in [
        (1024, 2048, format!("{any} -tls1_2"), short),
        (1024, 2048, format!("{any} -tls1_3"), short),
        (2048, 1024, format!("{any} -tls1_2"), short),
        (2048, 1024, format!("{any} -tls1_3"), short),
        (2048, 2048, "DHE-RSA-AES128-GCM-SHA256 -tls1_2".to_owned(), ciphers),
        (2048, 2048, "ECDHE-RSA-AES128-SHA256 -tls1_2".to_owned(), ciphers),
        (2048, 2048, "AES128-GCM-SHA256 -tls1_2".to_owned(), ciphers),
    ] {
        let options = format!("{options} -cert {leaf}-by-{by}.pem -key leaf{leaf}.key");
        let server = Openssl::serve(dir, &options).unwrap();
        let ca_file = dir.join(format!("ca{by}.pem"));
        TestEnv::new(&[Account::at(server.address).tls("implicit", &ca_file)]).fetch().expect(69).says(says);
    }
}
