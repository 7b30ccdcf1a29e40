//! `mailferry check` checks everything that a poll needs, says what is wrong and what to do next, and changes nothing,
//! neither here nor on the server.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certificates::{Authority, Kind};
use crate::disk_full::SmallDisk;
use crate::mail::small_ones;
use crate::program::{Account, Outcome, TestEnv};
use crate::proxies::{proxy_to, url};
use crate::scripted::closed::ClosedPort;
use crate::scripted::maildrop::{Maildrop, Message, USER};
use crate::terminal::Terminal;

/// Returns the steps of the first account in the document: name, mark, text.
fn steps(outcome: &Outcome) -> Vec<(String, String, String)> {
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:#?}"));
    let steps = report["accounts"][0]["steps"].as_array().unwrap().clone();
    let word = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    steps.iter().map(|step| (word(step, "step"), word(step, "mark"), word(step, "text"))).collect()
}

/// Returns the text of a step, which must have this mark.
#[track_caller]
fn step(outcome: &Outcome, name: &str, mark: &str) -> String {
    let steps = steps(outcome);
    let found = steps.iter().find(|(step, found, _)| step == name && found == mark);
    found.unwrap_or_else(|| panic!("no step {name} with {mark}: {steps:#?}")).2.clone()
}

#[test]
fn an_account_that_is_well_is_one_line_and_every_step_with_v() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.run(&["check", "a"]).expect(0).says("3 messages");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines.last().unwrap().starts_with("a  ok"), "{outcome:#?}");
    assert!(lines[..lines.len() - 1].iter().all(|line| line.starts_with("warn  a: the password is")), "{outcome:#?}");
    let all = env.run(&["check", "-v"]).expect(0);
    for step in ["secret", "name", "connection", "tls", "greeting", "capabilities", "login", "messages", "uidl", "top"]
    {
        assert!(all.stdout.contains(&format!("  ok    {step} ")), "{step}: {all:#?}");
    }
    for step in ["pipelining", "quit", "maildir", "state", "clock"] {
        assert!(all.stdout.contains(&format!("  ok    {step} ")), "{step}: {all:#?}");
    }
}

#[test]
fn the_help_says_once_what_v_does_here() {
    let env = TestEnv::new(&[]);
    for arguments in [["check", "--help"], ["help", "check"]] {
        let outcome = env.run(&arguments).expect(0);
        let help = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = "--verbose... Show every step; -vv also shows the dialogue with the servers, without secrets, -vvv";
        assert!(help.contains(told) && help.matches("-vv ").count() == 1, "{help}");
    }
    env.run(&["fetch", "--help"]).expect(0).says("-v, --verbose...").says("-vv also shows");
}

#[test]
fn a_check_retrieves_nothing_deletes_nothing_writes_nothing_and_quits() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.expire_0 = true);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    let before = env.everything();
    env.run(&["check"]).expect(0);
    assert_eq!(env.everything(), before, "nothing is written before the first fetch");
    env.fetch().expect(0);
    maildrop.server.wait_until_idle();
    let (retrieved, deleted) = (maildrop.count("RETR"), maildrop.count("DELE"));
    let before = env.everything();
    env.run(&["check", "-vv"]).expect(0);
    assert_eq!(env.everything(), before, "nor after it");
    assert_eq!((maildrop.count("RETR"), maildrop.count("DELE")), (retrieved, deleted));
    maildrop.server.wait_until_idle();
    let sessions = maildrop.server.sessions();
    assert!(sessions.iter().all(|session| session.quit), "every session ends in order: {sessions:?}");
}

#[test]
fn tls_is_told_with_its_version_key_exchange_and_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for mode in ["implicit", "starttls"] {
        let maildrop = Maildrop::with(small_ones(1), |behaviour| {
            behaviour.tls = Some(authority.server_config(Kind::Good));
            behaviour.implicit_tls = mode == "implicit";
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).tls(mode, &authority.ca_file)]);
        let outcome = env.run(&["check", "--json"]).expect(0);
        let text = step(&outcome, "tls", "ok");
        for words in ["TLS 1.3 with X25519MLKEM768", "certificate for localhost is issued by ", "valid until "] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(step(&outcome, "greeting", "ok").contains("+OK ready"));
        assert!(step(&outcome, "capabilities-after-login", "ok").contains("UIDL"));
    }
}

#[test]
fn a_certificate_of_this_side_that_expires_soon_is_told_and_needs_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for (leaf, mark) in [(authority.expiring_client("jo"), "warn"), (authority.client("jo"), "ok")] {
        let maildrop = Maildrop::with(small_ones(1), |behaviour| {
            behaviour.capabilities = Some(vec!["SASL EXTERNAL".to_owned()]);
            behaviour.answers = vec![("AUTH EXTERNAL".to_owned(), "-ERR [AUTH] not today\r\n".to_owned())];
            behaviour.tls = Some(authority.server_config_of(Kind::Good, rustls::ALL_VERSIONS, true));
            behaviour.implicit_tls = true;
        });
        let file = dir.path().join("client.pem");
        fs::write(&file, leaf.certificate + &leaf.key).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let account = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
        let account = account.without("password").text("auth", "external");
        let env = TestEnv::new(&[account.text("tls_client_cert", file.to_str().unwrap())]);
        let outcome = env.run(&["check", "--json"]).expect(77);
        let text = step(&outcome, "tls", mark);
        assert!(text.contains("the certificate of this side is valid until "), "{text}");
        assert_eq!(text.contains("put a new one in its place"), mark == "warn", "{text}");
        assert!(!env.run(&["check"]).output().contains("the password is in the configuration"));
    }
}

#[test]
fn what_leaves_this_machine_through_a_proxy_here_is_not_said_to_stay() {
    let maildrop = Maildrop::new(small_ones(1));
    let address = maildrop.server.address;
    let (through, _) = proxy_to(move |_| Some((address, true)));
    let account = Account::at(address).text("host", "pop.example.org").set("allow_cleartext_password", true);
    let env = TestEnv::new(&[account.text("proxy", &url(through, "pr0xy-s3cret"))]);
    let text = step(&env.run(&["check", "--json"]).expect(0), "tls", "warn");
    assert!(text.contains("everybody on the network path"), "{text}");
}

#[test]
fn what_fails_is_told_at_its_step_with_the_status_of_a_fetch() {
    // A refused login.
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("password", "wrong")]);
    let outcome = env.run(&["check", "--json"]).expect(77);
    assert!(step(&outcome, "login", "fail").contains("refused"), "{outcome:#?}");
    step(&outcome, "maildir", "ok");
    // No server at the port.
    let closed = ClosedPort::new();
    let gone = closed.address;
    env.configure(&[Account::at(gone)]);
    step(&env.run(&["check", "--json"]).expect(75), "connection", "fail");
    // The name does not resolve. (RFC 6761 reserves the domain; a machine without a resolver fails in the same way.)
    env.configure(&[Account::at(gone).text("host", "pop.mailferry.invalid").text("tls", "implicit")]);
    let outcome = env.run(&["check", "--json"]).expect(75);
    step(&outcome, "name", "fail");
    // No password: the server is checked nevertheless, and only QUIT is sent.
    env.configure(&[Account::at(maildrop.server.address).without("password").text("password_file", "/nowhere")]);
    let before = maildrop.server.sessions().len();
    let outcome = env.run(&["check", "--json"]).expect(78);
    assert!(step(&outcome, "secret", "fail").contains("/nowhere"));
    step(&outcome, "greeting", "ok");
    step(&outcome, "login", "skip");
    maildrop.server.wait_until_idle();
    assert_eq!(maildrop.server.sessions()[before].lines.join(" "), "QUIT");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_told_before_a_password_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (authority, trusted) = (Authority::new(dir.path()), Authority::new(other.path()));
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(authority.server_config(Kind::Good));
        behaviour.implicit_tls = true;
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address).tls("implicit", &trusted.ca_file)]);
    let outcome = env.run(&["check", "--json"]).expect(69);
    step(&outcome, "tls", "fail");
    assert!(!outcome.output().contains(USER), "{outcome:#?}");
    assert_eq!(maildrop.count("USER") + maildrop.count("AUTH"), 0);
}

#[test]
fn a_server_that_breaks_at_commands_ahead_is_found_to_work_with_one_at_a_time() {
    let maildrop = Maildrop::with(small_ones(2), |behaviour| behaviour.most_ahead = Some(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.run(&["check", "--json"]).expect(0);
    assert!(step(&outcome, "pipelining", "warn").contains("one command at a time"));
    let names: Vec<String> = steps(&outcome).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names.iter().filter(|name| *name == "login").count(), 1, "{names:?}");
}

/// The second login of a check: a short LOGIN-DELAY is waited for, a long one is told.
#[test]
fn a_check_does_not_log_in_again_too_soon() {
    for (delay, status, logins) in [(1, 0, 2), (31, 75, 1)] {
        let maildrop = Maildrop::with(small_ones(2), |behaviour| {
            behaviour.most_ahead = Some(0);
            behaviour.capabilities = Some(vec!["SASL PLAIN".to_owned(), format!("LOGIN-DELAY {delay}")]);
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let begun = Instant::now();
        let outcome = env.run(&["check", "--json"]).expect(status);
        assert!(begun.elapsed() >= Duration::from_secs(1) || delay > 1, "it did not wait");
        assert_eq!(maildrop.count("AUTH"), logins, "LOGIN-DELAY {delay}: {outcome:#?}");
        if delay > 30 {
            assert!(step(&outcome, "messages", "fail").contains("LOGIN-DELAY"), "{outcome:#?}");
        }
    }
}

#[test]
fn what_a_server_lacks_is_told() {
    let messages = vec![Message::new("u1", b"Subject: x\r\n\r\nx\r\n"), Message::new("u1", b"Subject: y\r\n\r\ny\r\n")];
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.top = false);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.run(&["check", "--json"]).expect(0);
    assert!(step(&outcome, "uidl", "warn").contains("with the unique-id of another one"));
    assert!(step(&outcome, "top", "warn").contains("does not show headers"));
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.uidl = false;
        behaviour.greeting = "+OK \u{1b}[31mred\u{7}".to_owned();
    });
    env.configure(&[Account::at(maildrop.server.address)]);
    let outcome = env.run(&["check", "--json"]).expect(76);
    assert!(step(&outcome, "uidl", "fail").contains("leave_on_server"));
    assert!(step(&outcome, "greeting", "ok").contains("\\u{1b}[31mred"));
}

#[test]
fn this_machine_is_looked_at_too() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    // A directory that is not a Maildir and not empty.
    fs::create_dir_all(env.maildir("a")).unwrap();
    fs::write(env.maildir("a").join("mbox"), "x").unwrap();
    let outcome = env.run(&["check", "--json"]).expect(0);
    assert!(step(&outcome, "maildir", "warn").contains("is no Maildir"));
    // A damaged state, and one that is world-writable.
    fs::remove_dir_all(env.maildir("a")).unwrap();
    env.fetch().expect(0);
    let uids = env.path("state/a.uids");
    let good = fs::read(&uids).unwrap();
    fs::write(&uids, "no state of ours\n").unwrap();
    step(&env.run(&["check", "--json"]).expect(73), "state", "fail");
    fs::write(&uids, good).unwrap();
    fs::set_permissions(env.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    step(&env.run(&["check", "--json"]).expect(73), "state", "fail");
    fs::set_permissions(env.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    env.run(&["check"]).expect(0);
    // The Maildir is gone after mail was delivered there.
    fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
    step(&env.run(&["check", "--json"]).expect(73), "maildir", "fail");
}

#[test]
fn where_fetch_can_make_no_maildir_check_says_so() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[]);
    let mut places = vec!["/proc/mail".to_owned()];
    let below = |name: &str| env.path(name).join("a").to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(env.path("nowhere"), env.path("dangling")).unwrap();
    places.push(below("dangling"));
    // Only root can give a directory away.
    fs::create_dir(env.path("foreign")).unwrap();
    if std::os::unix::fs::chown(env.path("foreign"), Some(12345), None).is_ok() {
        places.push(below("foreign"));
    }
    let full = SmallDisk::mount(&env.path("full"), 400);
    if full.is_some() {
        let mut file = fs::File::create(env.path("full").join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        places.push(below("full"));
    }
    for place in places {
        env.configure(&[Account::at(maildrop.server.address).text("maildir", &place)]);
        let told = step(&env.run(&["check", "--json"]).expect(73), "maildir", "fail");
        assert!(told.contains(&place), "{told}");
        let fetched = env.fetch().expect(73);
        assert_eq!(fetched.stderr.contains("dangling symbolic link"), place.contains("dangling"), "{fetched:#?}");
    }
    env.configure(&[Account::at(maildrop.server.address).text("maildir", &below("deep/down"))]);
    assert!(step(&env.run(&["check", "--json"]).expect(0), "maildir", "ok").contains("is not there yet"));
}

#[test]
fn what_waits_is_compared_with_the_room_that_there_is() {
    let large = format!("Subject: large\r\n\r\n{}", "x\r\n".repeat(200_000));
    let mut messages = small_ones(2);
    messages.push(Message::new("large", large.as_bytes()));
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let told = step(&env.run(&["check", "--json"]).expect(0), "room", "ok");
    assert!(told.starts_with("3 messages (586") && told.contains(" available"), "{told}");
    let Some(_small) = SmallDisk::mount(&env.path("Mail"), 400) else { return };
    let told = step(&env.run(&["check", "--json"]).expect(0), "room", "warn");
    assert!(told.contains("what does not fit stays on the server") && told.contains("free some space"), "{told}");
    // What is recorded is not fetched again, and what is too large is never fetched.
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0);
    let steps = steps(&env.run(&["check", "--json"]).expect(0));
    assert!(steps.iter().all(|(step, ..)| step != "room"), "{steps:?}");
}

#[test]
fn the_room_for_every_maildir_counts() {
    let maildrop =
        Maildrop::new(vec![Message::new("large", format!("Subject: x\r\n\r\n{}", "x".repeat(600_000)).as_bytes())]);
    let account = Account::at(maildrop.server.address);
    let env = TestEnv::new(std::slice::from_ref(&account));
    let Some(_small) = SmallDisk::mount(&env.path("small"), 400) else { return };
    let rule = format!("[{{ header = \"Subject\", equals = \"x\", maildir = {:?} }}]", env.path("small/lists"));
    env.configure(&[account.set("rules", rule)]);
    let told = step(&env.run(&["check", "--json"]).expect(0), "room", "warn");
    assert!(told.contains("small/lists is: what does not fit stays on the server"), "{told}");
}

#[test]
fn a_full_file_system_under_the_state_is_told() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let Some(_small) = SmallDisk::mount(&env.path("state"), 400) else { return };
    let mut file = fs::File::create(env.path("state").join("filler")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let told = step(&env.run(&["check", "--json"]).expect(73), "state", "fail");
    assert!(told.contains("Free some space there"), "{told}");
    env.fetch().expect(73);
}

#[test]
fn a_server_that_closes_the_connection_before_it_greets_is_told_at_that_step() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let env = TestEnv::new(&[Account::at(address)]);
    let told = step(&env.run(&["check", "--json"]).expect(75), "greeting", "fail");
    // It may also be a connection reset.
    assert!(told.contains("before it greeted") || told.contains("the connection broke"), "{told}");
    assert!(!told.contains("middle"), "{told}");
}

#[test]
fn a_program_that_is_missing_is_told_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let account = || Account::at(maildrop.server.address).without("maildir").named("a");
    let env = TestEnv::new(&[account()]);
    env.configure_more("[accounts.a.forward]\ncommand = [\"/nowhere/program\"]\n");
    let outcome = env.run(&["check"]).expect(78).says("Install it, or write its whole path");
    assert_eq!(outcome.stdout.matches("/nowhere/program").count(), 1, "{outcome:#?}");
    assert!(!outcome.stdout.contains("there is no such program"), "{outcome:#?}");
    env.run(&["check", "--offline"]).expect(0).says("`/nowhere/program`, and there is no such program");
    env.configure(&[account().without("password").set("password_command", "[\"/nowhere/pass\"]")]);
    let outcome = env.run(&["check"]);
    assert_eq!(outcome.stdout.matches("/nowhere/pass").count(), 1, "{outcome:#?}");
}

#[test]
fn a_server_of_another_protocol_fails_at_its_greeting() {
    let imap = Maildrop::with(small_ones(1), |behaviour| behaviour.greeting = "* OK IMAP4rev1 ready".to_owned());
    let env = TestEnv::new(&[Account::at(imap.server.address)]);
    let outcome = env.run(&["check", "--json"]).expect(76);
    assert!(step(&outcome, "greeting", "fail").contains("This is an IMAP server"), "{outcome:#?}");
    let greetings = steps(&outcome).into_iter().filter(|(name, ..)| name == "greeting" || name == "login");
    assert_eq!(greetings.count(), 1, "{outcome:#?}");
}

#[test]
fn several_accounts_are_looked_at_side_by_side_and_told_in_order() {
    let slow = Maildrop::new(small_ones(1));
    let fast = Maildrop::new(small_ones(2));
    let accounts: Vec<Account> = (0..6)
        .map(|n| {
            let maildrop = if n == 0 { &slow } else { &fast };
            Account::at(maildrop.server.address).named(&format!("acc{n}")).text("username", USER)
        })
        .chain([Account::at(fast.server.address).named("wrong").text("password", "no")])
        .collect();
    let env = TestEnv::new(&accounts);
    let outcome = env.run(&["check"]).expect(77).says("7 accounts checked, 1 failed");
    let names: Vec<&str> =
        outcome.stdout.lines().filter(|line| line.contains("  ok  ") || line.contains("  FAIL")).collect();
    let expected = ["acc0", "acc1", "acc2", "acc3", "acc4", "acc5", "wrong"];
    let heads: Vec<&str> =
        names.iter().filter(|line| !line.starts_with(' ')).filter_map(|line| line.get(..5)).collect();
    assert_eq!(heads.iter().map(|head| head.trim_end()).collect::<Vec<_>>(), expected, "{outcome:#?}");
    assert_eq!(env.run(&["check", "-q", "acc1"]).expect(0).output(), "");
    env.run(&["check", "nobody"]).expect(64).says("nobody");
}

#[test]
fn offline_looks_at_the_configuration_alone() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.run(&["check", "--offline"]).expect(0).says("is good: 1 account");
    assert!(maildrop.server.sessions().is_empty());
    env.write_config("[accounts.a]\nhots = \"x\"\n", 0o600);
    env.run(&["check", "--offline"]).expect(78).says("did you mean `host`?");
    let outcome = env.run(&["check", "--offline", "--json"]).expect(78);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["status"], 78);
    assert!(report["error"].as_str().unwrap().contains("did you mean `host`?"), "{outcome:#?}");
    env.write_config("", 0o666);
    env.run(&["check", "--offline"]).expect(78).says("every user may write");
}

#[test]
fn what_is_legal_and_foolish_is_told_and_ends_with_0() {
    let env = TestEnv::new(&[]);
    let account =
        |name: &str, more: &str| format!("[accounts.{name}]\nhost = \"pop.gmail.com\"\nusername = \"jo\"\n{more}\n");
    let text = "[notify]\ncommand = [\"no-such-program-of-mailferry\"]\n".to_owned()
        + &account("a", "password = \"x\"\ninterval = \"1m\"\nmaildir = \"/nowhere/a\"")
        + &account("b", "password_command = [\"true\"]\nmaildir = \"/nowhere/a\"\nleave_on_server = false");
    env.write_config(&text, 0o600);
    let outcome = env.run(&["check", "--offline"]).expect(0);
    for words in [
        "a: the password is in the configuration",
        "a: `interval` is 60 s, and Gmail allows one login in 5 min; the daemon keeps to that, cron would not",
        "a, b are the same maildrop (jo at pop.gmail.com), so every message is fetched twice, and b deletes \
         what a is to leave there",
        "a, b share the Maildir /nowhere/a and differ",
        "`command` of [notify] is `no-such-program-of-mailferry`, and there is no such program",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome:#?}");
    }
    // Only what concerns the named account.
    let outcome = env.run(&["check", "--offline", "b"]).expect(0);
    assert!(
        outcome.stdout.contains("a, b share the Maildir") && outcome.stdout.contains("same maildrop"),
        "{outcome:#?}"
    );
    assert!(!outcome.stdout.contains("a: ") && !outcome.stdout.contains("[notify]"), "{outcome:#?}");
    // A disabled account does no harm.
    env.write_config(&text.replace("[accounts.b]", "[accounts.b]\nenabled = false"), 0o600);
    let outcome = env.run(&["check", "--offline"]).expect(0);
    assert!(!outcome.stdout.contains("same maildrop") && !outcome.stdout.contains("share"), "{outcome:#?}");
}

#[test]
fn names_that_are_probably_meant_otherwise_are_told() {
    let env = TestEnv::new(&[]);
    let account = |name: &str, more: &str| {
        let login = "host = \"pop.example.org\"\nusername = \"jo\"\npassword_command = [\"true\"]\n";
        format!("[accounts.{name}]\n{login}{more}\n")
    };
    let imap = |flag: &str| {
        format!(
            "forward = {{ imap = {{ host = \"i.example.org\", username = \"jo\", password_command = [\"true\"], flags = \
             [\"{flag}\"] }} }}"
        )
    };
    let folder =
        "maildir = \"/nowhere/b\"\nrules = [{ header = \"Subject\", contains = \"x\", folder = \"Entw\u{fc}rfe\" }]";
    let text = account("a", "maildir = \"/nowhere/$USER\"") + &account("b", folder) + &account("c", &imap("sean"));
    env.write_config(&text, 0o600);
    let outcome = env.run(&["check", "--offline"]).expect(0);
    for words in [
        "a: the Maildir /nowhere/$USER has a `$` in its name; no variable is replaced there",
        "b: the folder /nowhere/b/.Entw\u{fc}rfe has letters beyond ASCII in its name; if your IMAP server writes",
        "c: the flag `sean` is a keyword of its own; write \"seen\" if that is meant",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome:#?}");
    }
    for flag in ["seen", "$Work", "Project"] {
        env.write_config(&account("c", &imap(flag)), 0o600);
        let outcome = env.run(&["check", "--offline"]).expect(0);
        assert!(!outcome.stdout.contains("warn"), "{outcome:#?}");
    }
}

#[test]
fn a_notify_command_that_cannot_work_under_the_users_unit_is_told() {
    let env = TestEnv::new(&[]);
    let program = env.path("sendmail");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let account = "[accounts.a]\nhost = \"h\"\nusername = \"u\"\npassword_command = [\"true\"]\nmaildir = \"/m\"\n";
    env.write_config(&format!("[notify]\ncommand = [{program:?}, \"-t\"]\n{account}"), 0o600);
    env.run(&["check", "--offline"])
        .expect(0)
        .says("under mailferry's systemd units for users no program gets the rights");
}

#[test]
fn a_real_server_is_looked_at() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let user = dovecot.user("checked", &[b"Subject: one\n\nx\n".to_vec()]);
    for account in [user.in_clear(), user.by_stls(), user.inside_tls()] {
        let env = TestEnv::new(&[account]);
        let outcome = env.run(&["check", "--json"]).expect(0);
        assert!(step(&outcome, "messages", "ok").starts_with("1 message, "));
        step(&outcome, "top", "ok");
        step(&outcome, "quit", "ok");
    }
    assert_eq!(user.left(), 1);
}

#[test]
fn a_damaged_state_has_a_way_back_that_can_be_copied() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    let uids = env.path("state/a.uids");
    fs::write(&uids, "").unwrap();
    let told = step(&env.run(&["check", "--json"]).expect(73), "state", "fail");
    let adopt = "uids adopt a --from-maildir";
    assert!(
        told.contains("move it away and count what the Maildir holds as fetched: ") && told.contains(adopt),
        "{told}"
    );
    env.fetch().expect(73).says(adopt);
    let (mut terminal, running) = Terminal::start(&env, 60, &[], &["check"]);
    running.wait().expect(73);
    terminal.wait_for("fetch --new-state a");
    let lines: Vec<String> = terminal.text().lines().map(str::to_owned).collect();
    let command =
        |end: &str| lines.iter().any(|line| line.starts_with("    mailferry --config ") && line.ends_with(end));
    assert!(command(adopt) && command("fetch --new-state a"), "{lines:#?}");
    // No other line is too long, and each has more than half of the width for its text.
    let words = || lines.iter().filter(|line| !line.starts_with("    mailferry "));
    assert!(words().all(|line| line.len() <= 60 && !line.starts_with(&" ".repeat(20))), "{lines:#?}");
    fs::rename(&uids, env.path("a.uids.damaged")).unwrap();
    env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says("2 messages");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(maildrop.count("RETR"), 2);
}

#[test]
fn a_way_to_the_server_that_leads_nowhere_is_a_matter_of_the_connection() {
    let (maildrop, closed) = (Maildrop::new(small_ones(1)), ClosedPort::new());
    let proxy = format!("socks5://{}", closed.address);
    for (key, value) in [("proxy", proxy.as_str()), ("source_address", "192.0.2.1")] {
        let env = TestEnv::new(&[Account::at(maildrop.server.address).text(key, value)]);
        let outcome = env.run(&["check"]);
        assert_ne!(outcome.status, 0, "{key}");
        outcome.says("FAIL  connection");
    }
}

#[test]
fn one_wrong_command_for_all_is_one_warning() {
    let maildrop = Maildrop::new(small_ones(1));
    let account = |name: &str| {
        Account::at(maildrop.server.address).named(name).set("on_new_mail", "[\"/nonexistent/told\"]".to_owned())
    };
    let env = TestEnv::new(&[account("a"), account("b"), account("c")]);
    let said = env.run(&["check", "--offline"]).expect(0).says("`on_new_mail` of a, b, c is `/nonexistent/told`");
    assert_eq!(said.output().matches("`on_new_mail`").count(), 1, "{said:?}");
}
