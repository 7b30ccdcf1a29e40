//! OAuth 2.0: signing in without a human, and the life of the tokens.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certificates::{Authority, Kind};
use crate::leaks::check_output;
use crate::program::{Account, Outcome, TestEnv};
use crate::proxies::{proxy_to, url};
use crate::scripted::closed::ClosedPort;
use crate::scripted::maildrop::Maildrop;
use authorization_server::{AuthorizationServer, CLIENT, TOKEN_MARK, browse, sent_to};
use mailbox::{MAIL, Mailbox};

mod authorization_server;
mod mailbox;
mod refreshing;

/// An authorization server, a mailbox that trusts it, and an account there.
struct Stage {
    server: AuthorizationServer,
    mailbox: Mailbox,
    env: TestEnv,
}

impl Stage {
    /// Makes a stage with everything spelled out in the configuration.
    fn new() -> Self {
        Self::with(|server| server.settings(""))
    }

    /// Makes a stage with this table `oauth2`.
    fn with(settings: impl FnOnce(&AuthorizationServer) -> String) -> Self {
        let server = AuthorizationServer::start();
        let mailbox = Mailbox::start(&server);
        let account = Account::at(mailbox.address).without("password").text("username", "jo@example.org");
        let env = TestEnv::in_memory(&[account.set("oauth2", settings(&server))]);
        Self { server, mailbox, env }
    }

    /// Makes a stage whose account has signed in.
    fn signed_in() -> Self {
        let stage = Self::new();
        stage.sign_in(&["login", "a"]).expect(0);
        stage
    }

    /// Signs in with a browser that consents.
    fn sign_in(&self, args: &[&str]) -> Outcome {
        let mut login = self.begin(args, &[]);
        browse(&login.url());
        login.end()
    }

    /// Starts to sign in.
    fn begin(&self, args: &[&str], environment: &[(&str, &str)]) -> Login {
        Login::begin(&self.env, args, environment)
    }

    /// Returns the stored tokens.
    fn kept(&self) -> Option<Value> {
        let text = fs::read(self.env.path("state/a.token")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Changes the stored tokens.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut kept = self.kept().unwrap();
        change(&mut kept);
        fs::write(self.env.path("state/a.token"), kept.to_string()).unwrap();
    }

    /// Makes the access token expire.
    fn expire(&self) {
        self.change(|kept| kept["access_expires"] = 1.into());
    }

    /// How many requests of this grant type the token endpoint received.
    fn asked_for(&self, grant: &str) -> usize {
        self.server.inside().token_requests.iter().filter(|asked| asked["grant_type"] == grant).count()
    }
}

/// A running `mailferry login`.
struct Login {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stdout: String,
    stderr: Option<JoinHandle<String>>,
    started: Instant,
}

impl Login {
    fn begin(env: &TestEnv, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = env.command(&[], args);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut pipe = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        let (stdin, stderr) = (child.stdin.take(), Some(stderr));
        Self { child, stdin, lines, stdout: String::new(), stderr, started: Instant::now() }
    }

    /// Reads on until a line matches.
    fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|e| {
                panic!(
                    "{e}: {}{}",
                    self.stdout,
                    self.stderr.take().map(|text| text.join().unwrap()).unwrap_or_default()
                )
            });
            self.stdout.push_str(&format!("{line}\n"));
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Returns the address to be opened.
    fn url(&mut self) -> String {
        self.wait_for(|line| line.trim().starts_with("http")).trim().to_owned()
    }

    fn paste(&mut self, text: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Closes standard input and waits for the end.
    fn end(mut self) -> Outcome {
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.stdout);
            std::thread::sleep(Duration::from_millis(5)); // how often to check
        };
        let rest: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        let (stdout, stderr) = (self.stdout.clone() + &rest, self.stderr.take().unwrap().join().unwrap());
        check_output(stdout.as_bytes());
        check_output(stderr.as_bytes());
        assert!(!format!("{stdout}{stderr}").contains(TOKEN_MARK), "a token or a code is printed: {stdout}{stderr}");
        Outcome { status, stdout, stderr, elapsed: self.started.elapsed(), peak_kib: 0 }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_browser_signs_in_and_the_mailbox_is_opened_before_it_is_said_to_be_done() {
    let stage = Stage::new();
    let outcome = stage.sign_in(&["login", "a"]).expect(0);
    let outcome = outcome.says("a: signed in; the mailbox of jo@example.org holds 1 message.");
    assert_eq!(stage.mailbox.logins(), [true], "{outcome:?}");
    {
        let inside = stage.server.inside();
        let asked = inside.authorizations.first().unwrap();
        assert_eq!((asked["client_id"].as_str(), asked["login_hint"].as_str()), (CLIENT, "jo@example.org"));
        assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:") && asked["state"].len() >= 16);
    }
    let file = stage.env.path("state/a.token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    // From now on the stored tokens are used, and nobody is asked again.
    stage.env.fetch().expect(0);
    assert_eq!(stage.env.mail(), [MAIL.replace("\r\n", "\n").into_bytes()]);
    assert_eq!(stage.server.inside().token_requests.len(), 1);
}

#[test]
fn a_browser_is_opened_where_the_user_has_one() {
    let stage = Stage::new();
    let (browser, opened) = (stage.env.path("browser"), stage.env.path("opened"));
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", opened.display()))
        .unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let mut login = stage.begin(&["login", "a"], &[("BROWSER", browser.to_str().unwrap())]);
    let url = login.url();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !opened.exists() {
        assert!(Instant::now() < deadline, "no browser is opened");
        std::thread::sleep(Duration::from_millis(5)); // how often to check
    }
    assert_eq!(fs::read_to_string(&opened).unwrap(), url);
    browse(&url);
    login.end().expect(0).says("This address was opened in a browser");
}

#[test]
fn where_no_browser_is_the_address_is_pasted() {
    let stage = Stage::new();
    let mut login = stage.begin(&["login", "--paste", "a"], &[]);
    let address = sent_to(&login.url());
    login.paste("what is this?");
    login.paste(&address);
    login.end().expect(0).says("Copy that address").says("Copy all of it from the address bar").says("holds 1 message");
    // Pasting is the default over ssh; a tunnel is another way.
    let mut login =
        stage.begin(&["login", "a"], &[("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"), ("BROWSER", "false")]);
    let address = sent_to(&login.url());
    login.paste(&address);
    login.end().expect(0).says("ssh -L").says("Open this address in a browser");
}

#[test]
fn an_address_where_nothing_can_listen_is_pasted() {
    for redirect in ["https://127.0.0.1", "mailferry.oauth:/redirect"] {
        let stage = Stage::with(|server| server.settings(&format!(", redirect = \"{redirect}\"")));
        let mut login = stage.begin(&["login", "a"], &[]);
        let address = sent_to(&login.url());
        assert!(address.starts_with(redirect), "{address}");
        login.paste(&address);
        login.end().expect(0);
    }
}

#[test]
fn nobody_to_paste_is_not_waited_for() {
    let stage = Stage::with(|server| server.settings(", redirect = \"https://127.0.0.1\""));
    stage.begin(&["login", "a"], &[]).end().expect(77).says("no address was pasted");
    assert_eq!(stage.kept(), None);
}

#[test]
fn when_nothing_more_is_pasted_it_ends() {
    let stage = Stage::new();
    for pasted in [Some("https://example.org/?x=1"), None] {
        let mut login = stage.begin(&["login", "--paste", "a"], &[]);
        login.url();
        pasted.into_iter().for_each(|text| login.paste(text));
        let outcome = login.end().expect(77).says("was pasted. Run the command again");
        assert_eq!(outcome.output().contains("Copy all of it from the address bar"), pasted.is_some(), "{outcome:?}");
    }
    assert_eq!(stage.kept(), None);
}

#[test]
fn a_code_is_typed_in_on_another_device() {
    let stage = Stage::new();
    stage.server.inside().pending = 2;
    let outcome = stage.begin(&["login", "--device", "a"], &[]).end().expect(0);
    outcome.says("https://e.org/device").says("WDJB-MJHT").says("Give it to nobody").says("holds 1 message");
    assert_eq!(stage.asked_for("urn:ietf:params:oauth:grant-type:device_code"), 3);
}

#[test]
fn where_there_are_no_device_codes_the_reason_is_said() {
    let stage = Stage::with(|_| "{ provider = \"google\", client_id = \"x\" }".to_owned());
    let outcome = stage.begin(&["login", "--device", "a"], &[]).end().expect(78);
    outcome.says("no sign-in by device code at Google").says("mail is not among them").says("--paste");
    // Nothing is recommended before the failure.
    let account = Account::at(stage.mailbox.address).without("password").without("tls").without("port");
    let google = account.text("host", "pop.gmail.com").set("oauth2", "{ provider = \"google\", client_id = \"x\" }");
    stage.env.configure(&[google]);
    let outcome = stage.begin(&["login", "--device", "a"], &[]).end().expect(78);
    assert!(!outcome.stdout.contains("app password"), "{outcome:?}");
}

#[test]
fn a_server_of_another_kind_is_told_with_the_key_to_check() {
    let other = Maildrop::new(Vec::new());
    let address = other.server.address;
    let stage = Stage::with(|_| format!("{{ issuer = \"http://{address}\", client_id = \"{CLIENT}\" }}"));
    let outcome = stage.begin(&["login", "a"], &[]).end().expect(76);
    let told = format!("port {}, does not speak HTTP", address.port());
    outcome.says(&told).says("Check the host and the port in `issuer`");
}

#[test]
fn an_answer_that_is_not_to_this_question_is_not_taken() {
    let told =
        |server: &AuthorizationServer| format!("{{ issuer = \"{}\", client_id = \"{CLIENT}\" }}", server.url(""));
    let refused = |prepare: &dyn Fn(&AuthorizationServer), why: &str| {
        let stage = Stage::with(told);
        stage.server.inside().iss = Some(stage.server.url(""));
        prepare(&stage.server);
        stage.sign_in(&["login", "a"]).expect(77).says(why);
        assert_eq!(stage.kept(), None, "{why}");
        assert_eq!(stage.asked_for("authorization_code"), 0, "{why}");
    };
    refused(&|server| server.inside().state = Some("another".to_owned()), "`state` differs");
    refused(&|server| server.inside().iss = Some("https://evil.example.org".to_owned()), "`iss` differs");
    refused(&|server| server.inside().iss = None, "`iss` is missing");
    refused(&|server| server.inside().denies = true, "access_denied");
    let stage = Stage::with(told);
    stage.server.inside().iss = Some(stage.server.url(""));
    stage.sign_in(&["login", "a"]).expect(0);
}

#[test]
fn a_client_registers_itself_where_it_may() {
    let stage = Stage::with(|server| format!("{{ issuer = \"{}\", scope = \"mail\" }}", server.url("")));
    stage.server.inside().iss = Some(stage.server.url(""));
    stage.sign_in(&["login", "a"]).expect(0);
    let registered = stage.server.inside().registered.clone();
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0]["redirect_uris"], serde_json::json!(["http://127.0.0.1"]));
    assert_eq!(stage.kept().unwrap()["client_id"], "registered-7");
    // From now on the registered client is used.
    stage.expire();
    stage.env.fetch().expect(0);
    let inside = stage.server.inside();
    assert!(inside.token_requests.iter().all(|asked| asked["client_id"] == "registered-7"));
}

#[test]
fn secrets_go_only_to_servers_that_are_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let table = |server: &AuthorizationServer, kind, ca: &str| {
        let port = server.over_tls(authority.server_config(kind)).port();
        let token = format!("https://localhost:{port}/token");
        (server.settings(ca).replace(&server.url("/token"), &token), token)
    };
    let trusting = format!(", tls_ca_file = {:?}", authority.ca_file);
    let stage = Stage::with(|server| table(server, Kind::Good, &trusting).0);
    stage.sign_in(&["login", "a"]).expect(0);
    stage.expire();
    stage.env.fetch().expect(0);
    assert_eq!(stage.asked_for("refresh_token"), 1);
    for (kind, ca) in [(Kind::Good, ""), (Kind::Expired, &*trusting), (Kind::OtherName, &*trusting)] {
        let (settings, token) = table(&stage.server, kind, ca);
        let account = Account::at(stage.mailbox.address).without("password").text("username", "jo@example.org");
        stage.env.configure(&[account.set("oauth2", settings)]);
        stage.expire();
        stage.change(|kept| kept["token_endpoint"] = token.into());
        stage.env.fetch().expect(69).says("could not get a token");
    }
    assert_eq!(stage.asked_for("refresh_token"), 1, "nothing was sent to them");
}

/// A provider that only the proxy can reach: its token endpoint and its mailbox.
#[test]
fn tokens_come_by_the_way_of_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let (server, name) = (AuthorizationServer::start(), "pop.example.org");
    let mailbox = Mailbox::start(&server);
    let over_tls = server.over_tls(authority.server_config(Kind::OtherName));
    let (mail, token) = (format!("{name}:{}", mailbox.address.port()), format!("{name}:{}", over_tls.port()));
    let (known, address) = ([mail.clone(), token.clone()], mailbox.address);
    let (through, asked) = proxy_to(move |target| {
        (target == known[0]).then_some((address, true)).or((target == known[1]).then_some((over_tls, false)))
    });
    let oauth2 = server
        .settings(&format!(", tls_ca_file = {:?}", authority.ca_file))
        .replace(&server.url("/token"), &format!("https://{token}/token"));
    let account = Account::at(mailbox.address).without("password").text("username", "jo@example.org");
    let account = account.text("host", name).set("allow_cleartext_password", true).set("oauth2", oauth2);
    let account = account.text("source_address", "127.0.0.5").text("ip", "4");
    let env = TestEnv::in_memory(&[account.text("proxy", &url(through, "pr0xy-s3cret"))]);
    let stage = Stage { server, mailbox, env };
    stage.sign_in(&["login", "a"]).expect(0).says("holds 1 message");
    stage.expire();
    stage.env.fetch().expect(0);
    assert_eq!(stage.asked_for("refresh_token"), 1);
    stage.expire();
    stage.env.run(&["check", "-v", "a"]).expect(0).says("pop.example.org is looked up by the proxy");
    assert_eq!(stage.asked_for("refresh_token"), 2);
    let asked: Vec<_> = asked.lock().unwrap().drain(..).map(|(from, target)| (from.to_string(), target)).collect();
    let one = |target: &String| ("127.0.0.5".to_owned(), target.clone());
    assert!(
        asked.starts_with(&[one(&token), one(&mail), one(&token), one(&mail), one(&token), one(&mail)]),
        "{asked:?}"
    );
    // An unreachable proxy is named, and nothing bypasses it.
    let nobody = ClosedPort::new();
    let config = fs::read_to_string(stage.env.path("config.toml")).unwrap();
    stage.env.write_config(&config.replace(&through.to_string(), &nobody.address.to_string()), 0o600);
    stage.expire();
    stage.env.fetch().expect(75).says("the proxy http://127.0.0.1:");
    assert_eq!(stage.asked_for("refresh_token"), 2);
}

#[test]
fn less_than_was_asked_for_is_not_kept() {
    let stage = Stage::new();
    stage.server.inside().granted = Some("contacts".to_owned());
    stage.sign_in(&["login", "a"]).expect(77).says("mail is missing");
    assert_eq!(stage.kept(), None);
    stage.server.inside().granted = Some("contacts MAIL".to_owned());
    stage.server.inside().no_refresh = true;
    stage.sign_in(&["login", "a"]).expect(77).says("no refresh token").says("offline_access");
    assert_eq!(stage.kept(), None);
    stage.server.inside().no_refresh = false;
    stage.sign_in(&["login", "a"]).expect(0);
}

#[test]
fn another_mailbox_that_says_yes_is_noticed() {
    let stage = Stage::new();
    stage.server.inside().mailbox = Some("other@example.org".to_owned());
    stage.sign_in(&["login", "a"]).expect(0).says("other@example.org signed in");
    stage.server.inside().useless = true;
    let outcome = stage.sign_in(&["login", "a"]).expect(77);
    outcome.says("the sign-in succeeded and was kept, but").says("other@example.org signed in: sign in again");
    stage.server.inside().mailbox = Some("Jo@Example.org".to_owned());
    stage.sign_in(&["login", "a"]).expect(77).says("Check that POP3 is enabled for this mailbox");
}

#[test]
fn a_mailbox_that_lets_in_and_has_pop3_switched_off_is_not_said_to_be_done() {
    let stage = Stage::new();
    stage.mailbox.switched_off.store(true, Ordering::Relaxed);
    let outcome = stage.sign_in(&["login", "a"]).expect(77);
    let outcome = outcome.says("the sign-in succeeded and was kept, but").says("not enabled for POP access");
    assert!(!outcome.says("Check that POP3 is enabled").stdout.contains("signed in"));
    stage.env.fetch().expect(77).says("not enabled for POP access");
    // Once POP3 is enabled, the stored tokens are enough.
    stage.mailbox.switched_off.store(false, Ordering::Relaxed);
    stage.env.fetch().expect(0);
}

#[test]
fn where_nothing_can_be_pasted_it_says_that_it_waits() {
    let stage = Stage::new();
    let mut login = stage.begin(&["login", "a"], &[]);
    login.wait_for(|line| line == "Waiting for the browser; Ctrl-C ends.");
}

#[test]
fn where_a_password_works_as_well_that_is_said_first() {
    let stage = Stage::with(|server| server.settings(""));
    let address = stage.mailbox.address;
    let account = Account::at(address).without("password").text("username", "jo@gmail.com").without("tls");
    let account = account.text("host", "pop.gmail.com").without("port");
    stage.env.configure(&[account.set("oauth2", stage.server.settings(""))]);
    let mut login = stage.begin(&["login", "--paste", "a"], &[]);
    let url = login.url();
    assert!(login.stdout.find("an app password").unwrap() < login.stdout.find(&url).unwrap(), "{}", login.stdout);
    assert!(login.stdout.contains("two minutes") && login.stdout.contains("Enable POP"), "{}", login.stdout);
    login.paste(&format!("{url}?error=access_denied"));
}

#[test]
fn what_cannot_be_signed_in_to_is_said() {
    let stage = Stage::new();
    stage.env.run(&["login", "b"]).expect(64).says("there is no account `b`");
    stage.env.configure(&[Account::at(stage.mailbox.address)]);
    stage.env.run(&["login", "a"]).expect(78).says("there is nothing to sign in to");
    stage.env.configure(&[Account::at(stage.mailbox.address).without("password").set("token_command", "[\"x\"]")]);
    stage.env.run(&["login", "a"]).expect(78).says("token_command");
}

#[test]
fn a_command_of_the_users_prints_the_token() {
    let stage = Stage::new();
    stage.server.inside().access.insert("from-elsewhere".to_owned());
    let account = Account::at(stage.mailbox.address).without("password");
    let command = |words: &str| account.clone().set("token_command", words);
    stage.env.configure(&[command("[\"echo\", \"from-elsewhere\"]")]);
    stage.env.fetch().expect(0);
    assert_eq!(stage.env.mail().len(), 1);
    stage.env.configure(&[command("[\"echo\", \"wrong\"]")]);
    stage.env.fetch().expect(77);
    stage.env.configure(&[command("[\"true\"]")]);
    stage.env.fetch().expect(78).says("the token command `true` printed nothing").says("prints the token");
}
