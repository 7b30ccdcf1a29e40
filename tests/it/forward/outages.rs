//! A destination that is down holds up no poll and loses nothing; once it is back, everything is forwarded in order.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::scripted::lmtp::{self, LmtpServer};

/// A destination, and how to break and repair it.
struct Outage {
    what: &'static str,
    /// The value of the account's key `forward`.
    forward: String,
    set_down: Box<dyn Fn(bool)>,
    /// The exit status of `fetch` while it is down, and a part of its output.
    status: i32,
    says: &'static str,
    /// Returns the messages that have arrived, as on the wire, in the order of arrival.
    arrived: Box<dyn Fn() -> Vec<Vec<u8>>>,
}

/// Enough faults for any outage.
const ALL: usize = 1000;

fn imap(what: &'static str, down: fn(&ImapServer, bool), status: i32, says: &'static str) -> Outage {
    let server = std::rc::Rc::new(ImapServer::start());
    let (theirs, forward) = (std::rc::Rc::clone(&server), server.forward(""));
    let set_down = Box::new(move |is_down| down(&theirs, is_down));
    Outage { what, forward, set_down, status, says, arrived: Box::new(move || in_order(&server)) }
}

/// Returns the messages of a mailbox in the order of their UIDs.
fn in_order(server: &ImapServer) -> Vec<Vec<u8>> {
    server.with(|mailbox| {
        mailbox.messages.sort_by_key(|message| message.uid);
        mailbox.messages.iter().map(|message| message.bytes.clone()).collect()
    })
}

fn refuse_logins(server: &ImapServer, words: &'static str, is_down: bool) {
    server.with(|mailbox| mailbox.login_refusal = is_down.then_some(words));
}

fn answer_all(server: &ImapServer, fault: Fault, is_down: bool) {
    server.faults(&if is_down { vec![fault; ALL] } else { Vec::new() });
}

fn takes_no_appends(server: &ImapServer, is_down: bool) {
    let capabilities = if is_down { "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS APPENDLIMIT=0" } else { ABILITIES[0] };
    server.with(|mailbox| mailbox.capabilities = capabilities);
}

fn by_lmtp(dir: &Path, what: &'static str, down: Option<lmtp::Fault>, status: i32, says: &'static str) -> Outage {
    let (socket, away) = (dir.join(what), dir.join(format!("{what}, away")));
    let server = std::rc::Rc::new(LmtpServer::start(&socket));
    let forward = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let theirs = std::rc::Rc::clone(&server);
    let set_down: Box<dyn Fn(bool)> = match down {
        Some(fault) => Box::new(move |is_down| {
            theirs.faults(&if is_down { vec![fault.clone(); ALL] } else { Vec::new() });
        }),
        None => Box::new(move |is_down| {
            let (from, to) = if is_down { (&socket, &away) } else { (&away, &socket) };
            drop(fs::rename(from, to));
        }),
    };
    let arrived = Box::new(move || server.with(|mailbox| mailbox.messages.clone()));
    Outage { what, forward, set_down, status, says, arrived }
}

/// A command. During the outage it is replaced by the script `down`, or removed if that is None.
fn by_command(dir: &Path, what: &'static str, down: Option<&'static str>, status: i32, says: &'static str) -> Outage {
    let out = dir.join(what);
    fs::create_dir(&out).unwrap();
    let program = out.join("deliver");
    let forward = format!("{{ command = [{program:?}, {out:?}] }}");
    let set_down = Box::new(move |is_down| {
        drop(fs::remove_file(&program));
        // The name shows the order of arrival.
        let deliver = "n=$(ls \"$1\" | grep -c ^m.); cat >\"$1/$(printf m.%05d $n)\"";
        let Some(script) = (if is_down { down } else { Some(deliver) }) else { return };
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    });
    let arrived = Box::new(move || {
        let mut all = files(&out);
        all.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("m."));
        all.sort();
        all.iter().map(|path| on_the_wire(&fs::read(path).unwrap())).collect()
    });
    Outage { what, forward, set_down, status, says, arrived }
}

fn outages(dir: &Path) -> Vec<Outage> {
    use lmtp::Fault::{Refuse, RefuseRecipient};
    vec![
        imap("closed", |it, is| refuse_logins(it, "NO [UNAVAILABLE] down for today", is), 75, "down for today"),
        imap("login", |it, is| refuse_logins(it, "NO [AUTHENTICATIONFAILED] not you", is), 77, "not you"),
        imap("bye", |it, is| answer_all(it, Fault::Bye("going down"), is), 75, "going down"),
        imap(
            "quota",
            |it, is| answer_all(it, Fault::Refuse("NO [OVERQUOTA] full"), is),
            75,
            "accepts no more mail for now",
        ),
        imap("broken", |it, is| answer_all(it, Fault::Refuse("NO [SERVERBUG] sorry"), is), 75, "sorry"),
        imap("refused", |it, is| answer_all(it, Fault::Refuse("NO System I/O error"), is), 1, "wait in the spool"),
        imap("cut", |it, is| answer_all(it, Fault::CutLiteral(9), is), 75, "the server closed the connection"),
        by_lmtp(dir, "away", None, 75, "cannot reach the LMTP server"),
        by_lmtp(dir, "full", Some(RefuseRecipient("452 4.2.2 mailbox full")), 75, "accepts no more mail for now"),
        by_lmtp(
            dir,
            "full behind the dot",
            Some(Refuse("552 5.2.2 Quota exceeded")),
            75,
            "accepts no more mail for now",
        ),
        by_lmtp(dir, "no such user", Some(RefuseRecipient("550 5.1.1 no such user")), 78, "no such user"),
        by_lmtp(dir, "later", Some(Refuse("451 4.3.0 come again")), 1, "wait in the spool"),
        by_lmtp(dir, "nobody", Some(Refuse("550 5.1.1 no mailbox here")), 78, "in a row for good"),
        imap("too big", |it, is| answer_all(it, Fault::Refuse("NO Mailbox is too big"), is), 78, "in a row for good"),
        imap("no appends", takes_no_appends, 78, "APPENDLIMIT=0"),
        by_command(dir, "no user", Some("cat >/dev/null; exit 67"), 78, "in a row for good"),
        by_command(dir, "wrong", Some("exit 78"), 78, "ended with status 78"),
        by_command(dir, "missing", None, 78, "could not be started"),
        by_command(dir, "not now", Some("cat >/dev/null; exit 75"), 1, "wait in the spool"),
    ]
}

#[test]
fn a_destination_that_is_down_holds_nothing_and_has_everything_in_its_order_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    for Outage { what, forward, set_down, status, says, arrived } in outages(dir.path()) {
        let maildrop = Maildrop::new(small_ones(5));
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
        set_down(true);
        let first = env.run(&["fetch"]);
        assert!(first.output().contains("5 new messages") && first.output().contains(says), "{what}: {first:#?}");
        assert!(first.output().contains("5 wait in the spool"), "{what}: {first:#?}");
        assert_eq!(first.status, status, "{what}: {first:#?}");
        // More mail arrives meanwhile.
        maildrop
            .change(|contents| contents.messages.extend((6..=8).map(|n| Message::new(&format!("u{n}"), &small(n)))));
        assert_eq!(env.fetch().status, status, "{what}");
        assert_eq!((maildrop.left().len(), spool(&env), arrived().len()), (8, 8, 0), "{what}");
        set_down(false);
        let forwarded = env.run(&["forward"]);
        assert!(forwarded.status == 0 && forwarded.output().contains("8 forwarded"), "{what}: {forwarded:#?}");
        let expected: Vec<_> = (1..=8).map(|n| on_the_wire(&small(n))).collect();
        assert!(arrived() == expected, "{what}: the oldest first, each once: {:#?}", arrived());
        env.fetch().expect(0);
        assert_eq!((maildrop.left().len(), spool(&env)), (0, 0), "{what}");
        env.fetch().expect(0);
        assert!(arrived() == expected, "{what}: each once");
    }
}

/// Capabilities that decide how messages are sent.
pub(super) const ABILITIES: [&str; 4] = [
    "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS",
    "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ UIDPLUS",
    "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS",
    "IMAP4rev1 SASL-IR AUTH=PLAIN",
];

#[test]
fn a_backlog_is_in_the_mailbox_in_the_order_of_its_coming_whatever_the_server_can() {
    // With LITERAL-, small messages are sent at once and larger ones when the server asks for them, on one connection.
    let bytes = |n: usize| [small(n), vec![b'x'; [0, 9000, 100, 70_000, 5000][n % 5]], b"\r\n".to_vec()].concat();
    for (capabilities, lost) in ABILITIES.into_iter().flat_map(|can| [(can, None), (can, Some(7)), (can, Some(23))]) {
        let server = ImapServer::start();
        server.with(|mailbox| mailbox.capabilities = capabilities);
        if !capabilities.contains("UIDPLUS") {
            server.with(|mailbox| mailbox.naming = crate::scripted::imap::Naming::Nothing);
        }
        refuse_logins(&server, "NO [UNAVAILABLE] down", true);
        let maildrop = Maildrop::new((1..=40).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect());
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        refuse_logins(&server, "", false);
        // The first pass may break off in the middle, with an answer lost.
        let faults = lost.map(|lost| [vec![Fault::None; lost], vec![Fault::LoseAnswer]].concat()).unwrap_or_default();
        server.faults(&faults);
        env.run(&["forward"]);
        env.run(&["forward"]).expect(0);
        let expected: Vec<_> = (1..=40).map(|n| on_the_wire(&bytes(n))).collect();
        assert!(in_order(&server) == expected, "{capabilities}, lost {lost:?}");
    }
}

/// After this many fetches, a message that breaks the server comes after the others.
const OFTEN: usize = 4;

/// Checks that the second of five messages, which breaks the server until `heal` is called, holds up no other.
fn one_message_stops_no_other(
    what: &str,
    maildrop: &Maildrop,
    env: &TestEnv,
    arrived: impl Fn() -> usize,
    heal: impl Fn(),
) {
    for _ in 0..OFTEN {
        assert_eq!(env.fetch().status, 75, "{what}");
    }
    assert_eq!(arrived(), 4, "{what}: the others are forwarded");
    env.fetch().expect(75);
    maildrop.change(|contents| contents.messages.push(Message::new("u6", &small(6))));
    assert_eq!(env.fetch().status, 75, "{what}");
    let aside = env.fetch();
    assert!(aside.status == 1 && aside.output().contains("broke off at it 5 times"), "{what}: {aside:#?}");
    assert_eq!((arrived(), maildrop.left(), spool(env)), (5, vec!["u2".to_owned()], 1), "{what}");
    heal();
    env.run(&["forward", "--again", "a"]).expect(0).says("1 forwarded");
    env.fetch().expect(0);
    assert_eq!((arrived(), maildrop.left().len()), (6, 0), "{what}");
}

#[test]
fn a_message_at_which_the_server_breaks_goes_behind_the_others_and_is_set_aside_once_those_arrive() {
    // In parallel: each run waits five seconds for messages that may still arrive.
    std::thread::scope(|scope| {
        for capabilities in ABILITIES {
            scope.spawn(move || {
                let (maildrop, server) = (Maildrop::new(small_ones(5)), ImapServer::start());
                let poison = Some(b"This is 2.".as_slice());
                server.with(|mailbox| (mailbox.capabilities, mailbox.poison) = (capabilities, poison));
                let env = TestEnv::new(&[to(&maildrop, &server, "")]);
                let heal = || server.with(|mailbox| mailbox.poison = None);
                one_message_stops_no_other(capabilities, &maildrop, &env, || server.mail().len(), heal);
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(5)), LmtpServer::start(&socket));
    server.with(|mailbox| mailbox.poison = Some(b"This is 2."));
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)]);
    let heal = || server.with(|mailbox| mailbox.poison = None);
    one_message_stops_no_other("lmtp", &maildrop, &env, || server.mail().len(), heal);
}

#[test]
fn a_server_that_breaks_at_every_message_for_long_blames_no_message() {
    let (maildrop, server) = (Maildrop::new(small_ones(5)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    for _ in 0..6 {
        server.faults(&vec![Fault::CutLiteral(5); ALL]);
        env.fetch().expect(75);
    }
    server.faults(&[]);
    env.run(&["forward"]).expect(0).says("5 forwarded");
    assert_eq!(in_order(&server), (1..=5).map(|n| on_the_wire(&small(n))).collect::<Vec<_>>());
}

#[test]
fn breaks_while_nothing_arrived_are_not_held_against_a_message_once_others_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(5)), LmtpServer::start(&socket));
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)]);
    // Three times at the first message, which is blamed then; and at another one, so it was not the first one's fault.
    server.with(|mailbox| mailbox.poison = Some(b"This is "));
    for _ in 0..4 {
        env.fetch().expect(75);
    }
    // From now on the others arrive. Together with the earlier breaks, these would be enough to set it aside.
    server.with(|mailbox| mailbox.poison = Some(b"This is 1."));
    for _ in 0..3 {
        env.fetch().expect(75);
    }
    assert_eq!(server.with(|mailbox| mailbox.messages.len()), 4);
    server.with(|mailbox| mailbox.poison = None);
    env.run(&["forward"]).expect(0).says("1 forwarded");
    env.fetch().expect(0);
    assert_eq!((maildrop.left().len(), spool(&env)), (0, 0));
}
