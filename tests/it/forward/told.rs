//! What is reported about mail that was not forwarded: which messages, and why.

use rustix::process::Signal;
use serde_json::Value;

use super::*;
use crate::program::wait_for;
use crate::scripted::lmtp::{AndThen, LmtpServer};

fn json(env: &TestEnv, status: i32) -> Value {
    let outcome = env.run(&["-q", "fetch", "--json"]).expect(status);
    serde_json::from_str(outcome.stdout.trim()).unwrap()
}

/// Returns the names of the files in the spool of account `a`, the oldest first.
fn names(env: &TestEnv) -> Vec<String> {
    let mut names: Vec<String> = files(&env.path("state/a.spool/new"))
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn messages_that_are_set_aside_are_named_each_with_its_own_reason() {
    let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS");
    let words = ["NO [TOOBIG] one", "NO [TOOBIG] two", "NO [TOOBIG] three", "NO [TOOBIG] four"];
    let refused = words.map(|words| words.strip_prefix("NO ").unwrap());
    let faults: Vec<Fault> = [Fault::None].into_iter().chain(words.map(Fault::Refuse)).collect();
    server.faults(&faults);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let first = env.fetch().expect(1);
    let aside = names(&env);
    assert_eq!(aside.len(), 4, "{first:#?}");
    for outcome in [first, env.fetch().expect(1), env.run(&["forward"]).expect(1)] {
        assert!(outcome.stderr.contains("4 messages are set aside and not forwarded: unique-id u2 ("), "{outcome:#?}");
        for ((name, unique_id), said) in aside.iter().zip(["u2", "u3", "u4"]).zip(refused) {
            assert!(outcome.stderr.contains(&format!("unique-id {unique_id} (")), "{outcome:#?}");
            assert!(outcome.stderr.contains(&format!("file {name}): {said}")), "{name} {said}: {outcome:#?}");
        }
        assert!(
            outcome.stderr.contains("; and 1 more. They stay in the spool and on the server. Once"),
            "{outcome:#?}"
        );
        assert!(outcome.stderr.contains("To give one up: delete it on the POP3 server (`mailferry "));
        assert!(outcome.stderr.contains("console a`), then its file in a.spool/new"), "{outcome:#?}");
    }
    let report = json(&env, 1);
    let told = report["first_set_aside"].as_array().unwrap();
    assert_eq!(told.len(), 4, "{report}");
    for ((one, name), (unique_id, said)) in told.iter().zip(&aside).zip(["u2", "u3", "u4", "u5"].iter().zip(refused)) {
        assert_eq!((one["name"].as_str(), one["unique_id"].as_str()), (Some(name.as_str()), Some(*unique_id)), "{one}");
        assert_eq!((one["reason"].as_str(), one["octets"].as_u64() > Some(0)), (Some(said), true), "{one}");
    }
    assert_eq!((&report["error"], &report["not_forwarded"]), (&Value::Null, &Value::Null), "{report}");
}

#[test]
fn scripts_see_why_mail_was_not_forwarded() {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] not you"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let report = json(&env, 77);
    let says = |field: &str, words: &str| report[field].as_str().is_some_and(|text| text.contains(words));
    assert!(says("error", "not you") && says("not_forwarded", "not you"), "{report}");
    assert!(says("error", "[accounts.a.forward]") && report["status"] == 77 && report["waiting"] == 2, "{report}");
    // If the other messages were forwarded, the run reports no error.
    server.with(|mailbox| mailbox.login_refusal = None);
    server.faults(&[Fault::Refuse("NO because")]);
    let report = json(&env, 1);
    assert!(report["error"].is_null() && report["forwarded"] == 1, "{report}");
    assert!(report["not_forwarded"].as_str().unwrap().contains("said \"because\""), "{report}");
    let report = json(&env, 0);
    assert!(report["error"].is_null() && report["not_forwarded"].is_null() && report["forwarded"] == 1, "{report}");
}

/// The destination's words explain the failure; that the connection ended after them does not.
#[test]
fn a_destination_that_says_why_and_closes_the_connection_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, lmtp) = (Maildrop::new(small_ones(3)), LmtpServer::start(&socket));
    lmtp.with(|mailbox| mailbox.refuses = Some((b"This is 1.", "451 4.3.2 shutting down", AndThen::Closes)));
    let forward = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    env.run(&["-q", "fetch"]).expect(75).says("after the destination had said \"451 4.3.2 shutting down\"");
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS");
    server.faults(&[Fault::Refuse("NO [UNAVAILABLE] shutting down"), Fault::CutLiteral(0)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.run(&["-q", "fetch"]).expect(75).says("after the destination had said \"[UNAVAILABLE] shutting down\"");
}

#[test]
fn a_run_that_is_interrupted_says_so() {
    let (dir, maildrop) = (tempfile::tempdir().unwrap(), Maildrop::new(small_ones(3)));
    let begun = dir.path().join("begun");
    // The delivery under way gets a few seconds, and finishes.
    let words = format!(">{}; cat >/dev/null; sleep 1", begun.display());
    let forward = format!("{{ command = [\"/bin/sh\", \"-c\", {words:?}] }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let running = env.spawn(&["fetch"]);
    wait_for("the command", || begun.exists());
    running.signal(Signal::TERM);
    let outcome = running.wait().expect(143);
    assert!(
        outcome.stderr.contains("forwarding to the command /bin/sh: it was interrupted. 2 messages wait"),
        "{outcome:#?}"
    );
    assert!(!outcome.stderr.contains("no time"), "{outcome:#?}");
}

#[test]
fn what_waits_is_told_where_no_daemon_runs() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let told = |what: &str| {
        let outcome = env.run(&["status"]).expect(75);
        assert!(outcome.stderr.contains("no daemon") || outcome.stderr.contains("daemon"), "{what}: {outcome:#?}");
        let script = env.run(&["status", "--json"]).expect(75);
        let document: Value = serde_json::from_str(&script.stdout).unwrap();
        assert_eq!((&document["pid"], &document["accounts"][0]["account"]), (&Value::Null, &"a".into()), "{document}");
        (outcome.stdout, document["accounts"][0]["forward"].clone())
    };
    let (text, forward) = told("nothing yet");
    assert_eq!((text.as_str(), &forward["messages"]), ("", &0.into()), "{forward}");
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    env.fetch().expect(75);
    let (text, forward) = told("what waits");
    assert!(text.contains("a: forwarded to INBOX at ") && text.contains("in the spool  3 messages ("), "{text}");
    assert_eq!((&forward["messages"], &forward["set_aside"]), (&3.into(), &0.into()), "{forward}");
    assert!(forward["counted"].is_i64() && forward["oldest"].is_i64(), "{forward}");
    assert!(text.contains("; tried again by the next `fetch` or `forward`\n"), "{text}");
    assert!(text.contains("said \"[UNAVAILABLE] down\"") && !text.contains("spool is full"), "{text}");
    assert!(forward["why"].as_str().unwrap().contains("[UNAVAILABLE] down") && forward["since"].is_i64(), "{forward}");
    assert_eq!((&forward["next_try"], &forward["spool_full"]), (&Value::Null, &false.into()), "{forward}");
    server.with(|mailbox| mailbox.login_refusal = None);
    server.faults(&[Fault::Refuse("NO [TOOBIG] too large")]);
    env.fetch().expect(1);
    let (text, forward) = told("what is set aside");
    assert!(text.contains("set aside     1 message, not forwarded:") && text.contains("unique-id u1 ("), "{text}");
    assert_eq!((&forward["messages"], &forward["set_aside"]), (&0.into(), &1.into()), "{forward}");
    assert_eq!(env.run(&["-q", "status", "--check"]).expect(75).stdout, "");
}

/// A quota, after which runs by a timer leave the destination alone, and a spool that has no room left.
#[test]
fn why_mail_waits_and_until_when_is_told_where_no_daemon_runs() {
    let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
    server.with(|mailbox| mailbox.refuses = Some((b"Subject:", "NO [OVERQUOTA] Quota exceeded")));
    let bounded = server.forward("").replacen("{ ", "{ spool_messages = 3, ", 1);
    let account = Account::at(maildrop.server.address).deleting().set("forward", bounded);
    let env = TestEnv::new(std::slice::from_ref(&account));
    let document = || -> Value {
        let script = env.run(&["status", "--json"]).expect(75).stdout;
        serde_json::from_str::<Value>(&script).unwrap()
    };
    env.run(&["-q", "fetch", "--scheduled"]).expect(75);
    for _ in 0..2 {
        let text = env.run(&["status"]).expect(75).stdout;
        for words in [
            "in the spool  3 messages (",
            "; tried again in 60 min by `fetch --scheduled`, at once by `fetch` and `forward`\n",
            "the destination accepts no more mail for now, saying \"[OVERQUOTA] Quota exceeded\"",
            "the spool is full, so fetching pauses until there is room",
        ] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        let document = document();
        let forward = &document["accounts"][0]["forward"];
        let left = forward["next_try"].as_i64().unwrap() - document["now"].as_i64().unwrap();
        assert!((3500..=3600).contains(&left) && forward["spool_full"] == true, "{document}");
        assert!(forward["since"].is_i64() && forward["why"].as_str().unwrap().contains("OVERQUOTA"), "{document}");
        // The next run leaves the destination alone, and nothing of this changes.
        env.run(&["-q", "fetch", "--scheduled"]);
    }
    // Another configuration may have mended it: the next run tries.
    env.configure(&[account.text("timeout", "50s")]);
    assert_eq!(document()["accounts"][0]["forward"]["next_try"], Value::Null);
    server.with(|mailbox| mailbox.refuses = None);
    env.run(&["forward"]).expect(0);
    assert_eq!(env.run(&["status"]).expect(75).stdout, "");
    let forward = document()["accounts"][0]["forward"].clone();
    assert_eq!((&forward["why"], &forward["spool_full"]), (&Value::Null, &false.into()), "{forward}");
}

/// A refusal that says nothing of itself: the message is named, and where to look.
#[test]
fn a_message_that_is_refused_without_a_reason_is_named_with_what_to_do() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.refuses = Some((b"This is 2.", "NO System I/O error")));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let said = "said \"System I/O error\"; the message is unique-id u2 (";
    let step = "). If that stays, see the log of that server, or ask whoever runs it";
    let outcome = env.run(&["-v", "fetch"]).expect(1).says("2 forwarded, 1 waits").says(said).says(step);
    assert!(outcome.stderr.contains("a message is tried again later: unique-id u2 ("), "{outcome:#?}");
    assert!(json(&env, 1)["not_forwarded"].as_str().unwrap().contains(said));
    env.run(&["status"]).expect(75).says(said).says(step);
    // Of several, one is enough.
    maildrop.change(|contents| contents.messages.push(Message::new("u4", &small(4))));
    server.with(|mailbox| mailbox.refuses = Some((b"This is ", "NO System I/O error")));
    env.fetch().expect(1).says("the first such message is unique-id u2 (");
}

#[test]
fn a_command_that_fails_is_named_once() {
    let maildrop = Maildrop::new(small_ones(2));
    let forward = "{ command = [\"/bin/sh\", \"-c\", \"cat >/dev/null; exit 75\"] }".to_owned();
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    for command in ["fetch", "forward"] {
        let outcome = env.run(&[command]).expect(1);
        let words =
            "a: forwarding to the command /bin/sh: it ended with status 75; the first such message is unique-id u1 (";
        assert!(outcome.stderr.contains(words), "{outcome:#?}");
        assert_eq!(outcome.stderr.matches("the command /bin/sh").count(), 1, "{outcome:#?}");
    }
    let text = env.run(&["status"]).expect(75).stdout;
    assert!(text.contains("                it ended with status 75; the first"), "{text}");
    assert_eq!(text.matches("the command /bin/sh").count(), 1, "{text}");
}
