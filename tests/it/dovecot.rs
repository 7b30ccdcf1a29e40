//! A real Dovecot from the Debian packages, with its own configuration in a temporary directory.
//!
//! All tests of the binary share one; each test has its own user. It is started as root or as an ordinary user, listens
//! on 127.0.0.1 only, and ends with the process that runs the tests, however that ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Uid, chown};

use crate::certificates::{Authority, Kind};
use crate::delivered::files;
use crate::program::Account;
use crate::raw::RawClient;
use crate::scripted::maildrop::PASSWORD;

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/dovecot";
/// The plugin that sorts mail by Sieve scripts.
const SIEVE: &str = "/usr/lib/dovecot/modules/lib90_sieve_plugin.so";
/// The variable that makes tests fail instead of being skipped if Dovecot is missing.
const REQUIRED: &str = "MAILFERRY_TESTS_REQUIRE_DOVECOT";
/// The owner of the mail if the tests run as root: nobody and nogroup on every Debian.
const MAIL_OWNER: u32 = 65534;

/// A running Dovecot.
pub(crate) struct Dovecot {
    /// Its POP3 port, with STLS.
    pub(crate) clear: SocketAddr,
    /// Its POP3 port inside TLS.
    tls: SocketAddr,
    /// Its IMAP port, with STARTTLS, if IMAP is installed.
    imap: Option<SocketAddr>,
    /// The directory with all of its files.
    dir: PathBuf,
    /// The authority that signed its certificate.
    authority: Authority,
    /// Keeps it running: when the pipe to this process closes, it ends Dovecot and cleans up.
    _keeper: Child,
}

/// Returns the Dovecot of this process; `None`, with a line that says so, if it is not installed.
pub(crate) fn shared() -> Option<&'static Dovecot> {
    static DOVECOT: OnceLock<Result<Dovecot, String>> = OnceLock::new();
    match DOVECOT.get_or_init(start) {
        Ok(dovecot) => Some(dovecot),
        Err(reason) => {
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, but {reason}");
            crate::program::skip(reason);
            None
        }
    }
}

/// Starts one; another process may take a port first, so it tries up to three times.
fn start() -> Result<Dovecot, String> {
    if !Path::new(PROGRAM).exists() || !Path::new("/usr/lib/dovecot/pop3").exists() {
        return Err("dovecot-pop3d is not installed".to_owned());
    }
    let version = Command::new(PROGRAM).arg("--version").output().map_err(|error| error.to_string())?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with("2.3.") {
        return Err(format!("Dovecot {} has another configuration than the 2.3 that is known here", version.trim()));
    }
    let mut failure = String::new();
    for _ in 0..3 {
        match start_once() {
            Ok(dovecot) => return Ok(dovecot),
            Err(error) => failure = error,
        }
    }
    panic!("Dovecot does not start: {failure}");
}

/// One attempt.
fn start_once() -> Result<Dovecot, String> {
    let dir = tempfile::Builder::new().prefix("mailferry-dovecot-").tempdir().unwrap().keep();
    // Dovecot's own users need access to their sockets and the mail.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let authority = Authority::new(&dir);
    let leaf = authority.leaf(Kind::Good);
    fs::write(dir.join("cert.pem"), leaf.certificate).unwrap();
    fs::write(dir.join("key.pem"), leaf.key).unwrap();
    let (clear, tls, imap) = (free_port(), free_port(), has("imap").then(free_port));
    let mut text = configuration(&dir, clear.port(), tls.port());
    text.push_str(&beyond_pop3(&dir, imap.map(|address| address.port())));
    fs::write(dir.join("dovecot.conf"), text).unwrap();
    let introspection = format!(
        "introspection_url = http://{}/\nintrospection_mode = auth\nusername_attribute = username\n\
         active_attribute = active\nactive_value = true\n",
        introspection()
    );
    fs::write(dir.join("oauth2.conf"), introspection).unwrap();
    let log = fs::File::create(dir.join("output")).unwrap();
    let script = r#""$1" -F -c "$2/dovecot.conf" </dev/null & d=$!; cat >/dev/null; kill $d; wait $d; rm -rf "$2""#;
    let keeper = Command::new("sh")
        .args(["-c", script, "sh", PROGRAM])
        .arg(&dir)
        .process_group(0) // an interrupt from the keyboard is for the tests; they end Dovecot
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let dovecot = Dovecot { clear, tls, imap, dir, authority, _keeper: keeper };
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if RawClient::connect(clear).is_ok_and(|(_, greeting)| greeting.contains("Dovecot of the tests")) {
            return Ok(dovecot);
        }
        std::thread::sleep(Duration::from_millis(20)); // it does not say when it is ready
    }
    let said = |name: &str| fs::read_to_string(dovecot.dir.join(name)).unwrap_or_default();
    Err(format!("{}{}", said("output"), said("log")))
}

/// Returns a port that is free now, outside the range that the kernel uses for port 0.
fn free_port() -> SocketAddr {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = std::iter::repeat_with(|| fastrand::u16(20_000..30_000)).find(free).unwrap();
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Returns the whole configuration.
fn configuration(dir: &Path, clear: u16, tls: u16) -> String {
    let dir = dir.display();
    let users = if rustix::process::geteuid().is_root() {
        format!("mail_uid = {MAIL_OWNER}\nmail_gid = {MAIL_OWNER}\n")
    } else {
        let word = |option: &str| {
            let output = Command::new("id").arg(option).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (user, group) = (word("-un"), word("-gn"));
        format!(
            "default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n\
             mail_uid = {user}\nmail_gid = {group}\n"
        )
    };
    format!(
        "{users}protocols = pop3\nlisten = 127.0.0.1\nlogin_greeting = Dovecot of the tests\n\
         base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\n\
         ssl = yes\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\ndisable_plaintext_auth = no\n\
         auth_mechanisms = plain login apop cram-md5 scram-sha-1 scram-sha-256 external xoauth2 oauthbearer\n\
         ssl_ca = <{dir}/ca.pem\nssl_verify_client_cert = yes\nssl_require_crl = no\n\
         auth_ssl_username_from_cert = yes\nauth_failure_delay = 0\nmail_max_userip_connections = 100\n\
         first_valid_uid = 1\nmail_location = maildir:~/Maildir\nmail_fsync = never\n\
         passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {dir}/oauth2.conf\n}}\n\
         passdb {{\n driver = static\n mechanisms = external\n args = nopassword=y\n}}\n\
         passdb {{\n driver = static\n mechanisms = plain login apop cram-md5 scram-sha-1 scram-sha-256\n\
         args = password={}\n}}\n\
         userdb {{\n driver = static\n args = home={dir}/mail/%u allow_all_users=yes\n}}\n\
         service pop3-login {{\n chroot =\n process_limit = 200\n\
         inet_listener pop3 {{\n port = {clear}\n }}\n inet_listener pop3s {{\n port = {tls}\n ssl = yes\n }}\n}}\n\
         service pop3 {{\n process_limit = 200\n}}\nservice anvil {{\n chroot =\n}}\nservice stats {{\n chroot =\n}}\n",
        password(),
    )
}

/// Whether Dovecot has this protocol.
fn has(protocol: &str) -> bool {
    Path::new("/usr/lib/dovecot").join(protocol).exists()
}

/// What the configuration says of IMAP and LMTP, as far as they are installed.
fn beyond_pop3(dir: &Path, imap: Option<u16>) -> String {
    let mut text = String::from("postmaster_address = postmaster@example.org\n");
    let mut protocols = String::from("pop3");
    if let Some(port) = imap {
        protocols.push_str(" imap");
        text.push_str(&format!(
            "service imap-login {{\n chroot =\n process_limit = 200\n inet_listener imap {{\n port = {port}\n }}\n \
             inet_listener imaps {{\n port = 0\n }}\n}}\nservice imap {{\n process_limit = 200\n}}\n"
        ));
    }
    if has("lmtp") {
        protocols.push_str(" lmtp");
        let socket = dir.join("lmtp");
        text.push_str(&format!("service lmtp {{\n unix_listener {} {{\n mode = 0666\n }}\n}}\n", socket.display()));
        if Path::new(SIEVE).exists() {
            text.push_str("protocol lmtp {\n mail_plugins = sieve\n}\nplugin {\n sieve = file:~/.dovecot.sieve\n}\n");
        }
    }
    text.push_str(&format!("protocols = {protocols}\n"));
    text
}

/// Returns the access token of a user.
pub(crate) fn token_of(user: &str) -> String {
    format!("{TOKEN}{user}")
}

const TOKEN: &str = "ya29.token-of-";

/// Starts a server that says whose an access token is (RFC 7662), for as long as the test process runs. Returns its
/// address.
fn introspection() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let user = request.split_once(TOKEN).and_then(|(_, rest)| rest.split_whitespace().next());
            let answer = match user {
                Some(user) => format!("{{\"active\":true,\"username\":\"{user}\"}}"),
                None => "{\"active\":false}".to_owned(),
            };
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            drop(write!(stream, "{head}Content-Length: {}\r\n\r\n{answer}", answer.len()));
        }
    });
    address
}

/// Returns the password of every user: Dovecot's static table cannot hold a space.
fn password() -> String {
    PASSWORD.replace(' ', "_")
}

impl Dovecot {
    /// Returns where it accepts mail by LMTP, if that and Sieve are installed.
    pub(crate) fn lmtp_with_sieve(&self) -> Option<PathBuf> {
        Some(self.dir.join("lmtp")).filter(|socket| socket.exists() && Path::new(SIEVE).exists())
    }

    /// Makes a user with these messages waiting. Each test uses its own name.
    pub(crate) fn user(&self, name: &str, messages: &[Vec<u8>]) -> User<'_> {
        let home = self.dir.join("mail").join(name);
        let maildir = home.join("Maildir");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(part)).unwrap();
        }
        for part in ["", "cur", "new", "tmp"] {
            give_away(&maildir.join(part));
        }
        give_away(&home);
        let user = User { dovecot: self, name: name.to_owned(), maildir };
        user.add(0, messages);
        user
    }
}

/// Gives a file to the mail owner, which takes root.
fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(Uid::from_raw(MAIL_OWNER)), Some(Gid::from_raw(MAIL_OWNER))).unwrap();
    }
}

/// A user of Dovecot.
pub(crate) struct User<'a> {
    /// The server.
    dovecot: &'a Dovecot,
    /// The login name.
    name: String,
    /// The maildrop as Dovecot stores it.
    maildir: PathBuf,
}

impl User<'_> {
    /// Lets messages arrive as a mail server delivers them: atomically, even for a session that looks meanwhile.
    /// `first` is the number of the first of them; no number is used twice.
    pub(crate) fn add(&self, first: usize, messages: &[Vec<u8>]) {
        for (number, message) in (first..).zip(messages) {
            let name = format!("{}.M{number}.tests", 1_700_000_000 + number);
            let file = self.maildir.join("tmp").join(&name);
            fs::write(&file, message).unwrap();
            give_away(&file);
            fs::rename(&file, self.maildir.join("new").join(&name)).unwrap();
        }
    }

    /// Returns the address for TLS, the password, and the file of the authority that signed the certificate.
    pub(crate) fn over_tls(&self) -> (SocketAddr, String, &Path) {
        (self.dovecot.tls, password(), &self.dovecot.authority.ca_file)
    }

    /// Returns the address without TLS, the login name and the password, for other programs.
    pub(crate) fn login(&self) -> (SocketAddr, &str, String) {
        (self.dovecot.clear, &self.name, password())
    }

    /// Returns the account without TLS.
    pub(crate) fn in_clear(&self) -> Account {
        Account::at(self.dovecot.clear).text("username", &self.name).text("password", &password())
    }

    /// Returns the value of the key `forward` for an account that forwards into this user's mailbox by IMAP with
    /// STARTTLS. None if that is not installed.
    pub(crate) fn forward_by_imap(&self, mailbox: &str) -> Option<String> {
        let (port, ca_file) = (self.dovecot.imap?.port(), &self.dovecot.authority.ca_file);
        let (name, password) = (&self.name, password());
        Some(format!(
            "{{ imap = {{ host = \"localhost\", port = {port}, tls = \"starttls\", tls_ca_file = {ca_file:?}, username = \
             {name:?}, password = {password:?}, mailbox = {mailbox:?} }} }}"
        ))
    }

    /// Returns the address for IMAP without TLS, if that is installed, the login name and the password.
    pub(crate) fn imap_login(&self) -> Option<(SocketAddr, &str, String)> {
        Some((self.dovecot.imap?, &self.name, password()))
    }

    /// Like [`Self::forward_by_imap`], by LMTP.
    pub(crate) fn forward_by_lmtp(&self) -> Option<String> {
        let socket = Some(self.dovecot.dir.join("lmtp")).filter(|socket| socket.exists())?;
        Some(format!("{{ lmtp = {{ socket = {socket:?}, recipient = {:?} }} }}", self.name))
    }

    /// Sorts what arrives by LMTP by this script.
    pub(crate) fn sort_by(&self, script: &str) {
        let file = self.maildir.with_file_name(".dovecot.sieve");
        fs::write(&file, script).unwrap();
        give_away(&file);
    }

    /// Returns the account with STLS.
    pub(crate) fn by_stls(&self) -> Account {
        self.in_clear().tls("starttls", &self.dovecot.authority.ca_file)
    }

    /// Returns the account with TLS from the first byte.
    pub(crate) fn inside_tls(&self) -> Account {
        self.in_clear().tls("implicit", &self.dovecot.authority.ca_file).set("port", self.dovecot.tls.port())
    }

    /// Returns the account with TLS and a client certificate, whose files are removed with the server.
    pub(crate) fn by_certificate(&self, of: &str) -> Account {
        let leaf = self.dovecot.authority.client(of);
        let file = self.dovecot.dir.join(format!("client-{}.pem", self.name));
        fs::write(&file, leaf.certificate + &leaf.key).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let account = self.inside_tls().without("password").text("auth", "external");
        account.text("tls_client_cert", file.to_str().unwrap())
    }

    /// Opens a plain session, logged in.
    pub(crate) fn session(&self) -> RawClient {
        let (mut client, greeting) = RawClient::connect(self.dovecot.clear).unwrap();
        assert!(greeting.starts_with("+OK"), "{greeting}");
        assert!(client.ask(&format!("USER {}", self.name)).starts_with("+OK"));
        let answer = client.ask(&format!("PASS {}", password()));
        assert!(answer.starts_with("+OK"), "{answer}");
        client
    }

    /// Returns what Dovecot itself serves, as it must be stored, sorted.
    pub(crate) fn served(&self) -> Vec<Vec<u8>> {
        let mut client = self.session();
        let status = client.ask("STAT");
        let count: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
        let retrieve = |number: usize| crate::raw::stored(&client.ask_for_lines(&format!("RETR {number}")));
        let mut all: Vec<_> = (1..=count).map(retrieve).collect();
        client.ask("QUIT");
        all.sort();
        all
    }

    /// How many messages are left on disk.
    pub(crate) fn left(&self) -> usize {
        files(&self.maildir.join("new")).len() + files(&self.maildir.join("cur")).len()
    }
}
