//! No message, and no number of them, holds up those after it for ever, and a refusal of one message is not taken for a
//! refusal of all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use super::outages::ABILITIES;
use super::*;
use crate::program::wait_for;
use crate::scripted::lmtp::{AndThen, LmtpServer};

/// What a message that fails contains.
const POISON: &[u8] = b"POISON";

/// Makes messages of which the first `poison` ones fail and have `size` octets more than the others.
fn messages(poison: usize, others: usize, size: usize) -> Vec<Message> {
    let bytes = |n: usize| match n <= poison {
        true => [small(n), POISON.to_vec(), vec![b'x'; size], b"\r\n".to_vec()].concat(),
        false => small(n),
    };
    (1..=poison + others).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect()
}

fn by_lmtp(maildrop: &Maildrop, socket: &Path) -> TestEnv {
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)])
}

/// Forwards to a script that puts messages into the directory `$1`. At a message that fails, which is in the
/// file `$m`, it runs `at_poison` first.
fn by_command(maildrop: &Maildrop, dir: &Path, at_poison: &str) -> TestEnv {
    let program = dir.join("deliver");
    let deliver = "cat \"$m\" >\"$1/m.$MAILFERRY_DELIVERY_ID\"; rm \"$m\"";
    let script = format!(
        "#!/bin/sh\nm=$(mktemp -p \"$1\"); cat >\"$m\"\ngrep -q POISON \"$m\" && {{ {at_poison}; }}\n{deliver}\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let forward = format!("{{ command = [{program:?}, {dir:?}] }}");
    TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)])
}

fn delivered(dir: &Path) -> usize {
    files(dir).iter().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("m.")).count()
}

/// Checks that within `runs` runs, each a process of its own, all but the first `poison` messages arrive, and that
/// those stay at the source.
fn others_arrive(
    what: &str,
    env: &TestEnv,
    maildrop: &Maildrop,
    poison: usize,
    runs: usize,
    arrived: impl Fn() -> usize,
) {
    let all = maildrop.left().len();
    let mut said = String::new();
    for _ in 0..runs {
        said = env.fetch().output();
        if arrived() == all - poison {
            break;
        }
    }
    assert_eq!(arrived(), all - poison, "{what}: {said}");
    env.fetch();
    assert_eq!(maildrop.left().len(), poison, "{what}: what has not arrived stays");
}

/// Two runs that are killed while the destination hangs, as may happen under cron: the second one forwards the others.
fn each_run_is_ended(what: &str, env: &TestEnv, maildrop: &Maildrop, arrived: impl Fn() -> usize) {
    let running = env.spawn(&["fetch"]);
    let journal = env.path("state/a.forward");
    let is_noted = || fs::read_to_string(&journal).is_ok_and(|text| text.lines().any(|line| line.starts_with("t ")));
    wait_for(&format!("{what}: the record of the hang"), is_noted);
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(arrived(), 0, "{what}");
    let running = env.spawn(&["fetch"]);
    wait_for(&format!("{what}: the others"), || arrived() == 3);
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(maildrop.left().len(), 4, "{what}");
}

#[test]
fn a_run_that_was_ended_at_a_message_is_followed_by_one_that_tries_the_others_first() {
    std::thread::scope(|scope| {
        for capabilities in ABILITIES {
            scope.spawn(move || {
                let (maildrop, server) = (Maildrop::new(messages(1, 3, 0)), ImapServer::start());
                server.with(|mailbox| (mailbox.capabilities, mailbox.hangs) = (capabilities, Some(POISON)));
                let env = TestEnv::new(&[to(&maildrop, &server, "")]);
                each_run_is_ended(capabilities, &env, &maildrop, || server.mail().len());
            });
        }
        scope.spawn(|| {
            let dir = tempfile::tempdir().unwrap();
            let (maildrop, server) = (Maildrop::new(messages(1, 3, 0)), LmtpServer::start(&dir.path().join("lmtp")));
            server.with(|mailbox| mailbox.hangs = Some(POISON));
            let env = by_lmtp(&maildrop, &dir.path().join("lmtp"));
            each_run_is_ended("lmtp", &env, &maildrop, || server.mail().len());
        });
        scope.spawn(|| {
            let (dir, maildrop) = (tempfile::tempdir().unwrap(), Maildrop::new(messages(1, 3, 0)));
            let env = by_command(&maildrop, dir.path(), "exec sleep 30");
            each_run_is_ended("a command", &env, &maildrop, || delivered(dir.path()));
        });
    });
}

#[test]
fn what_an_imap_server_says_of_itself_at_one_message_holds_up_no_other() {
    let words = [
        "NO [SERVERBUG] Internal error occurred",
        "NO [UNAVAILABLE] scanner failed",
        "NO [INUSE] locked",
        "NO [NOPERM] not this",
        "NO [OVERQUOTA] Quota exceeded",
        "NO Message too large for quota",
        "NO Line length limit exceeded",
        "NO [LIMIT] later",
    ];
    for (words, capabilities) in words.into_iter().flat_map(|words| ABILITIES.map(|capabilities| (words, capabilities)))
    {
        let (maildrop, server) = (Maildrop::new(messages(1, 3, 9000)), ImapServer::start());
        server.with(|mailbox| (mailbox.capabilities, mailbox.refuses) = (capabilities, Some((POISON, words))));
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        others_arrive(words, &env, &maildrop, 1, 1, || server.mail().len());
        let outcome = env.fetch();
        assert!(![0, 1].contains(&outcome.status), "{words}: nothing else waits, so it may concern all: {outcome:#?}");
    }
}

/// The smallest message is refused in words of a quota that concern only that message: the others are tried
/// nevertheless.
#[test]
fn words_of_a_quota_at_the_smallest_message_hold_up_no_larger_one() {
    for capabilities in ABILITIES {
        let bytes = |n: usize| match n {
            1 => b"Message-ID: <1@x>\r\n\r\nPOISON\r\n".to_vec(),
            n => [small(n), vec![b'x'; 9000], b"\r\n".to_vec()].concat(),
        };
        let maildrop = Maildrop::new((1..=4).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect());
        let server = ImapServer::start();
        let words = "NO Line length limit exceeded";
        server.with(|mailbox| (mailbox.capabilities, mailbox.refuses) = (capabilities, Some((POISON, words))));
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        others_arrive(words, &env, &maildrop, 1, 1, || server.mail().len());
    }
}

/// The pause concerns the message that was refused. New mail is tried at once, and without new mail no run tries
/// anything.
#[test]
fn new_mail_does_not_wait_for_one_message_that_a_quota_was_told() {
    let (maildrop, server) = (Maildrop::new(messages(1, 0, 9000)), ImapServer::start());
    server.with(|mailbox| mailbox.refuses = Some((POISON, "NO [OVERQUOTA] Quota exceeded")));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let appends =
        || server.with(|mailbox| mailbox.commands.iter().filter(|command| command.starts_with("APPEND")).count());
    let run = || env.run(&["-q", "fetch", "--scheduled"]);
    run().expect(75);
    run().expect(0);
    assert_eq!(appends(), 1, "the mailbox may be full, so not every run tries");
    maildrop.change(|contents| contents.messages.push(Message::new("u2", &small(2))));
    run();
    assert_eq!((server.mail().len(), appends()), (1, 3), "the new message was forwarded");
    // If two messages are refused alike, that concerns all, new mail as well.
    server.with(|mailbox| mailbox.refuses = Some((b"Subject:", "NO [OVERQUOTA] Quota exceeded")));
    maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
    run();
    let asked = appends();
    maildrop.change(|contents| contents.messages.push(Message::new("u4", &small(4))));
    run();
    assert_eq!(appends(), asked, "it is full");
}

#[test]
fn what_an_lmtp_server_says_of_itself_at_one_message_holds_up_no_other() {
    use AndThen::{Closes, GoesOn};
    for (words, and_then, runs) in [
        ("452 4.2.2 mailbox is full", GoesOn, 1),
        ("552 5.2.2 Quota exceeded", GoesOn, 1),
        ("451 4.3.0 scanner crashed", GoesOn, 1),
        ("421 4.3.0 scanner crashed", Closes, 5),
        ("451 4.3.0 scanner crashed", Closes, 5),
        ("452 4.2.2 mailbox is full", Closes, 5),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("lmtp");
        let (maildrop, server) = (Maildrop::new(messages(1, 3, 9000)), LmtpServer::start(&socket));
        server.with(|mailbox| mailbox.refuses = Some((POISON, words, and_then)));
        let what = format!("{words}, {and_then:?}");
        others_arrive(&what, &by_lmtp(&maildrop, &socket), &maildrop, 1, runs, || server.mail().len());
    }
}

#[test]
fn a_refused_envelope_is_followed_by_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(4)), LmtpServer::start(&socket));
    server.with(|mailbox| mailbox.first_data = Some("554 5.7.1 not the first one"));
    let env = by_lmtp(&maildrop, &socket);
    env.fetch().expect(1).says("3 forwarded").says("not the first one");
    server.with(|mailbox| mailbox.first_data = None);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(4));
    let faults = vec![crate::scripted::lmtp::Fault::RefuseRecipient("550 5.1.1 no such user"); 9];
    maildrop.change(|contents| contents.messages.extend((5..=9).map(|n| Message::new(&format!("u{n}"), &small(n)))));
    server.faults(&faults);
    env.fetch().expect(78);
    let tried = server.with(|mailbox| 9 - mailbox.faults.len());
    assert_eq!(tried, 2, "two messages show that it concerns all");
}

#[test]
fn what_a_command_says_of_itself_at_one_message_holds_up_no_other() {
    for how in ["exit 64", "exit 78", "exit 127", "exit 75", "kill -9 $$"] {
        let (dir, maildrop) = (tempfile::tempdir().unwrap(), Maildrop::new(messages(1, 3, 0)));
        let env = by_command(&maildrop, dir.path(), how);
        others_arrive(how, &env, &maildrop, 1, 1, || delivered(dir.path()));
    }
}

#[test]
fn more_messages_than_end_a_pass_hold_up_those_behind_them_for_a_few_passes_only() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(messages(12, 3, 0)), LmtpServer::start(&socket));
    server.with(|mailbox| mailbox.refuses = Some((POISON, "451 4.7.1 try later", AndThen::GoesOn)));
    others_arrive("lmtp", &by_lmtp(&maildrop, &socket), &maildrop, 12, 6, || server.mail().len());
    let maildrop = Maildrop::new(messages(12, 3, 0));
    let env = by_command(&maildrop, dir.path(), "exit 75");
    others_arrive("a command", &env, &maildrop, 12, 6, || delivered(dir.path()));
    let (maildrop, server) = (Maildrop::new(messages(3, 3, 0)), ImapServer::start());
    server.with(|mailbox| mailbox.refuses = Some((POISON, "NO [SERVERBUG] Internal error occurred")));
    server.with(|mailbox| mailbox.capabilities = ABILITIES[3]);
    others_arrive("imap", &TestEnv::new(&[to(&maildrop, &server, "")]), &maildrop, 3, 8, || server.mail().len());
}

#[test]
fn a_quota_is_believed_when_a_smaller_message_is_refused_too() {
    let (maildrop, server) = (Maildrop::new(messages(1, 20, 9000)), ImapServer::start());
    server.with(|mailbox| {
        (mailbox.capabilities, mailbox.refuses) =
            (ABILITIES[3], Some((b"Subject:".as_slice(), "NO [OVERQUOTA] Quota exceeded")));
    });
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75).says("accepts no more mail for now");
    let appends = |mailbox: &mut crate::scripted::imap::Mailbox| {
        mailbox.commands.iter().filter(|command| command.starts_with("APPEND")).count()
    };
    assert_eq!(server.with(appends), 2);
    server.with(|mailbox| mailbox.refuses = None);
    env.fetch().expect(0).says("21 forwarded");
    let first = server.with(|mailbox| mailbox.messages[0].bytes.clone());
    assert!(first.windows(POISON.len()).any(|part| part == POISON), "the oldest first");
}

#[test]
fn what_is_set_aside_takes_no_room_from_new_mail() {
    let (maildrop, server) = (Maildrop::new(messages(2, 3, 0)), ImapServer::start());
    server.with(|mailbox| mailbox.refuses = Some((POISON, "NO [TOOBIG] too large")));
    let bounded = server.forward("").replacen("{ ", "{ spool_messages = 2, ", 1);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", bounded)]);
    others_arrive("a small spool", &env, &maildrop, 2, 3, || server.mail().len());
    assert_eq!(spool(&env), 2);
}

/// Makes a maildrop, a server, and an account whose destination was down while `count` messages arrived. Returns the
/// files in its spool, too, the oldest first.
fn waiting(count: usize) -> (Maildrop, ImapServer, TestEnv, Vec<std::path::PathBuf>) {
    let (maildrop, server) = (Maildrop::new(small_ones(count)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    server.with(|mailbox| mailbox.login_refusal = None);
    let mut files = files(&env.path("state/a.spool/new"));
    files.sort();
    (maildrop, server, env, files)
}

#[test]
fn what_goes_on_from_the_spool_is_told_though_the_poll_fails() {
    let (maildrop, server, env, _files) = waiting(3);
    drop(maildrop);
    env.fetch().expect(75).says("a: 3 forwarded\n");
    assert_eq!(server.mail().len(), 3);
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_holds_up_no_other() {
    let (maildrop, server, env, files) = waiting(4);
    fs::remove_file(&files[1]).unwrap();
    fs::create_dir(&files[1]).unwrap();
    let name = files[1].file_name().unwrap().to_str().unwrap();
    env.run(&["forward"]).expect(1).says("3 forwarded, 1 waits").says("cannot read ").says(name);
    env.fetch().expect(1);
    assert_eq!((server.mail().len(), maildrop.left().len()), (3, 1), "the source still has it");
    fs::remove_dir(&files[1]).unwrap();
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(4));
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_file_that_was_damaged_in_its_place_is_not_sent_on_as_if_it_were_whole() {
    let (maildrop, server, env, files) = waiting(3);
    let size = fs::read(&files[0]).unwrap().len();
    fs::write(&files[0], vec![0; size]).unwrap();
    let told = env.run(&["forward"]).expect(1);
    for outcome in [told, env.fetch().expect(1), env.run(&["status"]).expect(75), env.run(&["check"]).expect(1)] {
        let outcome = outcome.says("has other bytes than were delivered").says("remove it from a.spool");
        assert!(!outcome.output().contains("--again"), "that cannot help: {outcome:?}");
    }
    assert_eq!((server.mail().len(), maildrop.left().len()), (2, 1), "the source has it whole");
    fs::remove_file(&files[0]).unwrap();
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}
