//! `mailferry setup`: from an address to mail in one go, at a terminal and by options; and what it cannot be tricked
//! into.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones};
use crate::program::{Outcome, TestEnv, wait_for};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, PASSWORD, USER};
use crate::terminal::Terminal;
use surroundings::{Dns, Proxy, SRV, TXT, autoconfig, document, srv, txt, web_server};

mod discovery;
mod keeping;
mod place;
mod surroundings;

/// A scripted server with TLS, a home without a configuration, and an authority that both know.
struct Stage {
    env: TestEnv,
    maildrop: Maildrop,
    authority: Authority,
    _dir: TempDir,
}

/// The address whose local part is a user of the scripted server.
const ADDRESS: &str = "jo.q-7f3a@ferry.test";

/// The answers that every script must give.
const ANSWERS: [&str; 5] = ["--password-stdin", "--leave-on-server", "yes", "--messages", "all"];

impl Stage {
    fn with(names: &[&str], messages: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path());
        let config = authority.server_config_for(names);
        let maildrop = Maildrop::with(small_ones(messages), |behaviour| {
            behaviour.tls = Some(config);
            behaviour.implicit_tls = true;
        });
        let env = TestEnv::new(&[]);
        fs::remove_file(env.path("config.toml")).unwrap();
        Self { env, maildrop, authority, _dir: dir }
    }

    /// Returns the arguments of a script.
    fn words<'a>(&'a self, dns: &'a str, proxy: &'a Proxy, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["setup", "--resolver", dns, "--proxy", &proxy.url, "--maildir", "~/Mail/{account}"];
        words.extend(ANSWERS);
        words.extend(more);
        words
    }

    /// Runs a script's `setup` with this password.
    fn run(&self, password: &str, dns: &Dns, proxy: &Proxy, more: &[&str]) -> Outcome {
        let dns = dns.address.to_string();
        let words = self.words(&dns, proxy, more);
        self.with_input(&format!("{password}\n"), &words)
    }

    fn with_input(&self, input: &str, words: &[&str]) -> Outcome {
        let file = self.env.path("input");
        fs::write(&file, input).unwrap();
        let wrapper =
            ["sh", "-c", "SSL_CERT_FILE=$1; export SSL_CERT_FILE; input=$2; shift 2; exec \"$@\" <\"$input\"", "sh"];
        let (authority, file) = (self.authority.ca_file.to_str().unwrap(), file.to_str().unwrap().to_owned());
        let wrapper: Vec<&str> = wrapper.into_iter().chain([authority, &file]).collect();
        let outcome = self.env.spawn_under(&wrapper, words).wait();
        fs::remove_file(file).unwrap();
        outcome
    }

    /// Runs another command, with the authority.
    fn command(&self, words: &[&str]) -> Outcome {
        let authority = self.authority.ca_file.to_str().unwrap();
        self.env.spawn_with(&[("SSL_CERT_FILE", authority)], words).wait()
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.env.path("config.toml")).unwrap()
    }

    #[track_caller]
    fn wrote_nothing(&self) {
        let left: Vec<PathBuf> = self.env.everything().into_keys().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Checks that no session reached the user name.
    #[track_caller]
    fn nobody_logged_in(&self) {
        self.maildrop.server.wait_until_idle();
        for session in self.maildrop.server.sessions() {
            let login = |line: &String| ["USER", "PASS", "AUTH", "APOP"].iter().any(|word| line.starts_with(word));
            assert!(!session.lines.iter().any(login), "{:?}", session.lines);
        }
    }
}

#[test]
fn an_address_leads_to_mail_in_one_go_at_a_terminal() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let user = dovecot.user("setup-typed@ferry.test", &(0..3).map(small).collect::<Vec<_>>());
    let (server, password, ca_file) = user.over_tls();
    let dns = Dns::with(&[("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "pop.ferry.test"))]);
    let proxy = Proxy::to(&[("pop.ferry.test:995", server)]);
    let env = TestEnv::new(&[]);
    fs::remove_file(env.path("config.toml")).unwrap();
    let trust = [("SSL_CERT_FILE", ca_file.to_str().unwrap())];
    let resolver = dns.address.to_string();
    let words = ["setup", "--resolver", &resolver, "--proxy", &proxy.url];
    let (mut terminal, mut running) = Terminal::start(&env, 100, &trust, &words);
    terminal.wait_for("Mail address:");
    terminal.type_in("no address\r");
    terminal.wait_for("not a mail address like jo@example.org");
    terminal.type_in("setup-typed@ferry.test\r");
    terminal.wait_for("Found pop.ferry.test, port 995, TLS, by DNS");
    terminal.wait_for("Number [1]:");
    terminal.type_in("\r");
    terminal.wait_for("Password (it is not shown):");
    assert!(!terminal.echoes());
    terminal.type_in("wrong password\r");
    terminal.wait_for("refused the login");
    terminal.wait_for("User name [setup-typed@ferry.test]:");
    assert!(terminal.echoes());
    terminal.type_in("\r");
    terminal.wait_for("Password (it is not shown):");
    terminal.type_in(&format!("{password}\r"));
    terminal.wait_for("TLS 1.3");
    terminal.wait_for(" with AUTH PLAIN");
    terminal.wait_for("3 messages");
    terminal.wait_for("Maildir [~/Mail/ferry]:");
    terminal.type_in("maybe\r");
    terminal.wait_for("it is not an absolute path; write a path that begins with / or ~/");
    assert!(!terminal.text().contains("config.toml:"), "no line of a file that is not written: {}", terminal.text());
    terminal.type_in("\r");
    terminal.wait_for("Leave it on the server [yes]:");
    terminal.type_in("5m\r");
    terminal.wait_for("it is too short; write at least");
    terminal.type_in("\r");
    terminal.wait_for("Fetch all of the 3 messages");
    terminal.type_in("all\r");
    terminal.wait_for("The account `ferry` is in");
    wait_for("the end", || !running.is_running());
    assert_eq!(running.wait().status, 0);
    assert!(!terminal.text().contains(&password), "{}", terminal.text());

    let written = fs::read_to_string(env.path("config.toml")).unwrap();
    assert!(!written.contains(&password), "{written}");
    for (file, mode) in [("config.toml", 0o600), ("ferry.password", 0o600)] {
        assert_eq!(fs::metadata(env.path(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    env.spawn_with(&trust, &["fetch"]).wait().expect(0).says("3 new messages");
    let mut mail: Vec<_> =
        crate::delivered::files(&env.path("Mail/ferry/new")).iter().map(|path| fs::read(path).unwrap()).collect();
    mail.sort();
    let expected: Vec<_> = (0..3).map(|n| stored(&small(n))).collect();
    assert_same_mail(&mail, &expected);
}

#[test]
fn an_address_leads_to_mail_by_options_alone() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let user = dovecot.user("setup-options@ferry.test", &[small(0)]);
    let (server, password, ca_file) = user.over_tls();
    let (clear, ..) = user.login();
    let env = TestEnv::new(&[]);
    fs::remove_file(env.path("config.toml")).unwrap();
    // Both services are announced; the one with implicit TLS cannot be reached.
    let dns = Dns::with(&[
        ("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "gone.ferry.test")),
        ("_pop3._tcp.ferry.test", SRV, srv(0, 110, "pop.ferry.test")),
    ]);
    let proxy = Proxy::to(&[("pop.ferry.test:110", clear), ("pop.ferry.test:995", server)]);
    fs::write(env.path("secret"), format!("{password}\n")).unwrap();
    fs::set_permissions(env.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let (secret, resolver) = (env.path("secret"), dns.address.to_string());
    let words = [
        "setup",
        "setup-options@ferry.test",
        "--name",
        "mine",
        "--password-file",
        secret.to_str().unwrap(),
        "--maildir",
        "~/Maildir",
        "--leave-on-server",
        "14d",
        "--messages",
        "all",
        "--resolver",
        &resolver,
        "--proxy",
        &proxy.url,
    ];
    let trust = [("SSL_CERT_FILE", ca_file.to_str().unwrap())];
    env.spawn_with(&trust, &words).wait().expect(0).says("pop.ferry.test, port 110, TLS by STLS").says("1 message");
    let written = fs::read_to_string(env.path("config.toml")).unwrap();
    let expected = format!(
        "# The configuration of mailferry. All keys: mailferry man 5 | man -l -\n\n[accounts.mine]\nhost = \"pop.ferry.test\"\n\
         tls = \"starttls\"\nproxy = \"{}\"\nusername = \"setup-options@ferry.test\"\npassword_file = \"{}\"\n\
         maildir = \"~/Maildir\"\nleave_on_server = \"14d\"\n",
        proxy.url,
        secret.display()
    );
    assert_eq!(written, expected);
    env.spawn_with(&trust, &["fetch"]).wait().expect(0).says("1 new message");
    assert_eq!(crate::delivered::files(&env.path("Maildir/new")).len(), 1);
}

#[test]
fn mail_for_gmail_goes_on_to_an_address_in_place_of_a_maildir() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let dns = Dns::with(&[("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "pop.ferry.test"))]);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let resolver = dns.address.to_string();
    let trust = [("SSL_CERT_FILE", stage.authority.ca_file.to_str().unwrap())];
    let words = ["setup", ADDRESS, "--username", USER, "--resolver", &resolver, "--proxy", &proxy.url];
    let (mut terminal, mut running) = Terminal::start(&stage.env, 120, &trust, &words);
    terminal.wait_for("Number [1]:");
    terminal.type_in("\r");
    terminal.wait_for("Password (it is not shown):");
    terminal.type_in(&format!("{PASSWORD}\r"));
    terminal.wait_for("To have it in Gmail instead, write the Gmail address.");
    terminal.wait_for("Maildir [~/Mail/ferry]:");
    terminal.type_in("me@gmx.net\r");
    terminal.wait_for("that is an address at GMX (de, at, ch), and mail goes on to Gmail here");
    terminal.type_in("me@gmail.com\r");
    terminal.wait_for("https://myaccount.google.com/apppasswords");
    terminal.wait_for("App password (it is not shown):");
    assert!(!terminal.echoes());
    terminal.type_in("abcd efgh ijkl mn\r");
    terminal.wait_for("an app password has 16 letters and nothing else, and this one has 14 letters");
    terminal.type_in("abcd efgh ijkl mnop\r");
    terminal.wait_for("Leave it on the server [yes]:");
    terminal.type_in("\r");
    terminal.wait_for("Fetch all of the 1 message");
    terminal.type_in("\r");
    terminal.wait_for("The account `ferry` is in");
    terminal.wait_for("See whether Gmail lets me@gmail.com in: ");
    wait_for("the end", || !running.is_running());
    assert_eq!(running.wait().status, 0);
    let written = stage.configuration();
    let file = stage.env.path("ferry.gmail-password");
    let forward = format!(
        "forward = {{ imap = {{ host = \"imap.gmail.com\", username = \"me@gmail.com\", password_file = {:?} }} }}\n",
        file.to_str().unwrap()
    );
    assert!(written.contains(&forward) && !written.contains("maildir") && !written.contains("abcd"), "{written}");
    assert!(!terminal.text().contains("abcd"), "{}", terminal.text());
    assert_eq!(fs::read_to_string(&file).unwrap(), "abcd efgh ijkl mnop\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    stage.command(&["check", "--offline"]).expect(0);
}

#[test]
fn a_script_says_by_options_that_mail_goes_on_to_gmail() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let dns = Dns::with(&[("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "pop.ferry.test"))]);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let resolver = dns.address.to_string();
    let mut words = vec!["setup", ADDRESS, "--username", USER, "--resolver", &resolver, "--proxy", &proxy.url];
    words.extend(ANSWERS);
    words.extend(["--gmail", "me@gmail.com"]);
    let input = format!("{PASSWORD}\n");
    stage.with_input(&input, &words).expect(64).says("--gmail-password-file or --gmail-password-command");
    stage.wrote_nothing();
    words.extend(["--gmail-password-command", "pass show mail/gmail"]);
    let itself = ADDRESS.to_uppercase();
    for (wrong, said) in [
        ("me@gmx.net", "that is an address at GMX"),
        ("gmail", "--gmail: "),
        ("me@gmail", "is not whole"),
        (ADDRESS, "the address that the mail comes from"),
        (itself.as_str(), "the address that the mail comes from"),
    ] {
        let other: Vec<&str> = words.iter().map(|word| if *word == "me@gmail.com" { wrong } else { *word }).collect();
        stage.with_input(&input, &other).expect(64).says(said);
        stage.wrote_nothing();
    }
    stage.with_input(&input, &words).expect(0);
    let written = stage.configuration();
    assert!(written.contains("password_command = [\"pass\", \"show\", \"mail/gmail\"] } }\n"), "{written}");
    assert!(!written.contains("maildir"), "{written}");
}

#[test]
fn a_wrong_password_ends_a_script() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let more = [ADDRESS, "--username", USER, "--host", "pop.ferry.test"];
    stage.run("wrong", &Dns::with(&[]), &proxy, &more).expect(77).says("nothing was written");
    stage.wrote_nothing();
    assert_eq!(stage.maildrop.server.sessions().len(), 1, "one refused credential");
    // The address is not always the login name.
    let assumed = stage.run("wrong", &Dns::with(&[]), &proxy, &[ADDRESS, "--host", "pop.ferry.test"]);
    assumed.expect(77).says("nothing was written; if the login name is another one, give --username NAME");
}

#[test]
fn what_is_in_the_configuration_stays_as_it_is() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let before = "# mine, in my order\n[accounts.old] # first\nusername   = 'jo'\nhost= \"pop.example.org\"\n\
                  password_command = [ \"pass\", 'x' ]\n\n[defaults]\nmaildir = \"~/Mail/{account}\" # for all\n# the end";
    stage.env.write_config(before, 0o640);
    let resolver = Dns::with(&[]).address.to_string();
    let words = |name: &'static str| {
        let mut words = vec!["setup", ADDRESS, "--host", "pop.ferry.test", "--username", USER, "--proxy", &proxy.url];
        words.extend(["--resolver", &resolver, "--name", name]);
        words.extend(ANSWERS);
        words
    };
    // An existing name, in either case.
    for name in ["old", "OLD"] {
        stage.with_input(PASSWORD, &words(name)).expect(64).says("already");
    }
    assert_eq!(stage.configuration(), before);
    stage.with_input(PASSWORD, &words("new")).expect(0);
    let added = stage.configuration();
    let added = added.strip_prefix(before).unwrap();
    assert!(added.starts_with("\n\n[accounts.new]\nhost = \"pop.ferry.test\"\n"), "{added}");
    // The defaults have a Maildir for all accounts.
    assert!(!added.contains("maildir"), "{added}");
    let mode = fs::metadata(stage.env.path("config.toml")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
    // The same maildrop again.
    stage.with_input(PASSWORD, &words("again")).expect(78).says("`new`");

    stage.env.write_config("[accounts.a]\nhots = \"x\"\n", 0o600);
    stage.with_input(PASSWORD, &words("new")).expect(78).says("hots");
    assert_eq!(stage.configuration(), "[accounts.a]\nhots = \"x\"\n");
}

#[test]
fn only_what_arrives_from_now_on_is_one_answer_away() {
    let stage = Stage::with(&["pop.ferry.test"], 3);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let resolver = Dns::with(&[]).address.to_string();
    let words = [
        "setup",
        ADDRESS,
        "--host",
        "pop.ferry.test",
        "--username",
        USER,
        "--proxy",
        &proxy.url,
        "--resolver",
        &resolver,
        "--name",
        "a",
        "--maildir",
        "~/Mail/a",
        "--leave-on-server",
        "no",
        "--messages",
        "new",
        "--password-stdin",
    ];
    stage.with_input(PASSWORD, &words).expect(0).says("3 messages on the server will not be fetched");
    stage.command(&["fetch"]).expect(0).says("nothing new");
    stage.maildrop.change(|contents| {
        contents.messages.push(crate::scripted::maildrop::Message::new("later", &small(9)));
    });
    stage.command(&["fetch"]).expect(0).says("1 new message");
    assert_eq!(stage.env.mail(), [stored(&small(9))]);
    assert_eq!(stage.maildrop.left().len(), 3, "what was there before is never deleted");
}

#[test]
fn what_is_missing_in_a_script_is_named_in_one_go() {
    let stage = Stage::with(&["x.test"], 0);
    let outcome = stage.command(&["setup"]).expect(64);
    for option in
        ["the address; one of --password-stdin", "--maildir DIR", "--leave-on-server yes, no", "--messages all"]
    {
        assert!(outcome.stderr.contains(option), "{option}: {outcome:#?}");
    }
    let outcome = stage.command(&["setup", "nobody", "--messages", "all"]).expect(64);
    for words in ["a mail address in place of `nobody`: that is not a mail address", "--maildir DIR"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome:#?}");
    }
    stage.command(&["setup", "jo@ferry.test", "--leave-on-server", "perhaps"]).expect(64).says("14d");
    stage.command(&["setup", "jo@ferry.test", "--password", "hush"]).expect(64);
    // A mistake in an option is reported as such: the user has not seen a line of the file.
    let answers = ["--password-command", "x", "--maildir", "/m", "--leave-on-server", "yes", "--messages", "all"];
    for (option, value) in [("--host", "pop example.org"), ("--username", ""), ("--proxy", "socks5://h")] {
        let words: Vec<&str> = ["setup", "jo@ferry.test", option, value].into_iter().chain(answers).collect();
        let outcome = stage.command(&words).expect(78).says(&format!("mailferry: {option} ")).says("; write ");
        assert!(!outcome.stderr.contains("config.toml") && !outcome.stderr.contains('|'), "{outcome:#?}");
    }
    stage.command(&["setup", "jo@ferry.test", "--resolver", "somewhere"]).expect(64).says("192.0.2.53");
    stage.wrote_nothing();
}

#[test]
fn a_configuration_that_no_command_would_read_is_not_added_to() {
    let stage = Stage::with(&["x.test"], 0);
    let config = stage.env.path("config.toml");
    let refused = |words: &str| {
        let outcome = stage.command(&["setup", "jo@ferry.test"]).expect(78);
        assert!(
            outcome.stderr.contains(words) && outcome.stderr.contains("nothing was written"),
            "{words}: {outcome:#?}"
        );
        outcome
    };
    // Each is refused in the same words as by every other command.
    let account = "[accounts.a]\nhost = \"h\"\nusername = \"u\"\npassword = \"hush\"\nmaildir = \"~/m\"\n";
    for (mode, words) in
        [(0o666, "every user may write this file (mode 0666)"), (0o644, "so other users can read its passwords")]
    {
        stage.env.write_config(account, mode);
        refused(words);
        stage.command(&["check", "--offline"]).expect(78).says(words);
        assert_eq!(fs::read_to_string(&config).unwrap(), account);
    }
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink(stage.env.path("nowhere"), &config).unwrap();
    refused("is a link that leads to");
    assert!(fs::symlink_metadata(&config).unwrap().is_symlink() && !stage.env.path("nowhere").exists());
    fs::remove_file(&config).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &config, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    refused("it is a pipe");
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    refused("it is a directory");
}

#[test]
fn an_interrupt_leaves_nothing_half() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let trust = [("SSL_CERT_FILE", stage.authority.ca_file.to_str().unwrap())];
    let words =
        ["setup", ADDRESS, "--host", "pop.ferry.test", "--username", USER, "--proxy", &proxy.url, "--maildir", "~/m"];
    for at in ["Number [1]", "Password", "Leave it on the server", "Fetch all"] {
        let (mut terminal, mut running) = Terminal::start(&stage.env, 80, &trust, &words);
        for (question, answer) in
            [("Number [1]", ""), ("Password", PASSWORD), ("Leave it on the server", ""), ("Fetch all", "")]
        {
            terminal.wait_for(question);
            terminal.wait_for(":");
            if question == at {
                break;
            }
            terminal.type_in(&format!("{answer}\r"));
        }
        terminal.type_in("\u{3}");
        terminal.wait_for("nothing was written");
        wait_for("the end", || !running.is_running());
        assert_eq!(running.wait().status, 130, "{at}");
        assert!(terminal.echoes(), "{at}");
        assert!(!terminal.text().contains(PASSWORD));
        stage.wrote_nothing();
    }
}

#[test]
fn without_a_configuration_every_command_leads_here() {
    let stage = Stage::with(&["x.test"], 0);
    for words in [
        &["fetch"][..],
        &["check"],
        &["daemon"],
        &["uids", "list", "a"],
        &["console", "a"],
        &["status"],
        &["login", "a"],
    ] {
        stage.env.spawn_plain(&[], words).wait().expect(78).says("`mailferry setup`").says("[accounts.work]");
    }
}

#[test]
fn how_the_new_account_comes_to_be_polled_is_said() {
    let stage = Stage::with(&["pop.ferry.test", "pop2.ferry.test"], 1);
    let dns = Dns::with(&[("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "pop.ferry.test"))]);
    let server = stage.maildrop.server.address;
    let proxy = Proxy::to(&[("pop.ferry.test:995", server), ("pop2.ferry.test:995", server)]);
    let first =
        stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--username", USER]).expect(0).says("No daemon runs yet").output();
    assert!(first.contains(" daemon; as a service: see \"mailferry under systemd\" in the documentation"), "{first}");
    let authority = stage.authority.ca_file.to_str().unwrap();
    let daemon = stage.env.spawn_with(&[("SSL_CERT_FILE", authority)], &["daemon"]);
    wait_for("the daemon", || stage.command(&["status"]).output().contains("ferry"));
    let more = [ADDRESS, "--username", USER, "--host", "pop2.ferry.test", "--name", "second"];
    let reload = format!(
        "The daemon that runs does not have `second` yet. To have it polled, reload it: kill -HUP {}",
        daemon.pid()
    );
    stage.run(PASSWORD, &dns, &proxy, &more).expect(0).says(&reload);
    daemon.signal(Signal::TERM);
    daemon.wait().expect(143);
    assert_eq!(stage.command(&["fetch", "second"]).expect(0).output().matches("1 new").count(), 1);
}
