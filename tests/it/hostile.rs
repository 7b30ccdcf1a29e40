//! Servers that refuse, list, send or trickle without end: memory, log and time stay bounded, and other accounts are
//! not affected.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv, wait_for};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, stuffed};
use crate::scripted::{Server, Wire};

/// The memory that a fetch may use, whatever a server says, in KiB.
const BOUND: u64 = 12 * 1024;

/// A server that answers each command by calling `answer` with the verb and the rest; None closes the connection. The
/// login, CAPA and QUIT are handled without it.
fn server(answer: impl Fn(&mut Wire, &str, &str) -> Option<()> + Send + Sync + 'static) -> Server {
    server_with("UIDL\r\nTOP\r\nUSER\r\nPIPELINING", answer)
}

fn server_with(
    capabilities: &str,
    answer: impl Fn(&mut Wire, &str, &str) -> Option<()> + Send + Sync + 'static,
) -> Server {
    server_that_says("+OK ready\r\n".to_owned(), capabilities, answer)
}

fn server_that_says(
    greeting: String,
    capabilities: &str,
    answer: impl Fn(&mut Wire, &str, &str) -> Option<()> + Send + Sync + 'static,
) -> Server {
    let capabilities = format!("+OK\r\n{capabilities}\r\n.\r\n");
    Server::start(Arc::new(move |wire: &mut Wire| {
        let mut session = || -> Option<()> {
            wire.send(greeting.as_bytes())?;
            loop {
                let line = wire.line()?;
                let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
                match verb {
                    "CAPA" => wire.send(capabilities.as_bytes())?,
                    "USER" | "PASS" | "NOOP" => wire.send(b"+OK\r\n")?,
                    "QUIT" => {
                        wire.note(|entry| entry.quit = true);
                        wire.send(b"+OK\r\n")?;
                        wire.close();
                        return None;
                    }
                    verb => answer(wire, verb, rest)?,
                }
            }
        };
        session();
    }))
}

/// Answers STAT, UIDL and LIST for `count` messages, u1, u2 and so on, of 100 octets each.
fn listings(wire: &mut Wire, verb: &str, count: usize) -> Option<()> {
    let lines = |column: &dyn Fn(usize) -> String| -> String {
        let lines: String = (1..=count).map(|n| format!("{n} {}\r\n", column(n))).collect();
        format!("+OK\r\n{lines}.\r\n")
    };
    let answer = match verb {
        "STAT" => format!("+OK {count} {}\r\n", (1..=count).map(|n| small(n).len()).sum::<usize>()),
        "UIDL" => lines(&|n| format!("u{n}")),
        "LIST" => lines(&|n| small(n).len().to_string()),
        _ => "-ERR unknown\r\n".to_owned(),
    };
    wire.send(answer.as_bytes())
}

/// Answers RETR with this message.
fn message(wire: &mut Wire, bytes: &[u8]) -> Option<()> {
    wire.send(&[b"+OK\r\n".as_slice(), &stuffed(bytes), b".\r\n"].concat())
}

/// A server with `count` messages, of which it refuses all but one, with a long line.
fn refusing(count: usize, good: usize) -> Server {
    server(move |wire, verb, rest| match verb {
        "RETR" if rest == good.to_string() => message(wire, &small(good)),
        "RETR" => wire.send(format!("-ERR {}\r\n", "z".repeat(4000)).as_bytes()),
        verb => listings(wire, verb, count),
    })
}

fn at(server: &Server) -> Account {
    Account::at(server.address)
}

/// Checks that memory and log are bounded.
#[track_caller]
fn is_cheap(outcome: &Outcome) {
    assert!(outcome.peak_kib < BOUND, "{} KiB", outcome.peak_kib);
    assert!(outcome.output().len() < 4096, "{} octets are printed", outcome.output().len());
}

#[test]
fn thousands_of_refusals_are_counted_and_end_the_session() {
    let server = refusing(3000, 0);
    let env = TestEnv::in_memory(&[at(&server)]);
    let outcome = env.fetch().expect(1).says("could not be fetched").says("left for the next poll");
    is_cheap(&outcome);
    server.wait_until_idle();
    let first = server.count("RETR");
    assert!((300..=600).contains(&first), "{first} were asked for");
    assert!(server.sessions().iter().all(|session| session.quit));
    // The next poll continues with others.
    env.fetch().expect(1);
    server.wait_until_idle();
    let asked = server.sessions().into_iter().flat_map(|session| session.lines);
    let mut asked: Vec<String> = asked.filter(|line| line.starts_with("RETR")).collect();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), all, "some were asked for again, and others not at all");
}

#[test]
fn some_refusals_in_a_row_are_borne() {
    let server = refusing(299, 0);
    let outcome = TestEnv::in_memory(&[at(&server)]).fetch().expect(1).says("299 messages could not be fetched");
    assert!(!outcome.output().contains("left for the next poll"), "{outcome:#?}");
    is_cheap(&outcome);
    assert_eq!(server.count("RETR"), 299);
}

#[test]
fn new_mail_does_not_wait_behind_thousands_that_are_refused() {
    let server = refusing(3000, 3000);
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(1);
    assert_same_mail(&env.mail(), &[stored(&small(3000))]);
}

#[test]
fn the_dialogue_in_the_log_is_bounded() {
    let server = refusing(30_000, 0);
    for verbose in ["-v", "-vv"] {
        let outcome = TestEnv::in_memory(&[at(&server)]).run(&[verbose, "fetch"]).expect(1);
        assert!(outcome.output().len() < 1 << 20, "{} octets with {verbose}", outcome.output().len());
        assert!(outcome.output().lines().all(|line| line.len() < 2000));
        assert!(outcome.peak_kib < 3 * BOUND, "{} KiB", outcome.peak_kib);
    }
}

#[test]
fn a_listing_beyond_all_memory_fails_its_own_account_alone() {
    let endless = server(|wire, verb, _| match verb {
        "UIDL" => {
            wire.send(b"+OK\r\n")?;
            for thousand in 0.. {
                let lines: String = (1..=1000).map(|n| format!("{} {thousand}x{n}\r\n", 1000 * thousand + n)).collect();
                wire.send(lines.as_bytes())?;
            }
            None
        }
        verb => listings(wire, verb, 1),
    });
    let maildrop = Maildrop::new(small_ones(3));
    let good = Account::at(maildrop.server.address).named("good");
    let env = TestEnv::in_memory(&[at(&endless).named("endless"), at(&endless).named("second"), good]);
    let outcome = env.fetch();
    // Which of the two reports that the other is at fault depends on which was first.
    assert!([75, 76].contains(&outcome.status), "{outcome:#?}");
    for account in ["endless", "second"] {
        let told = |line: &str| line.starts_with(&format!("{account}: ")) && line.contains("memory");
        assert!(outcome.stderr.lines().any(told), "{outcome:#?}");
    }
    assert!(outcome.peak_kib < 100 * 1024, "{} KiB", outcome.peak_kib);
    assert_same_mail(&env.mail_of("good"), &small_ones_stored(3));
}

#[test]
fn many_messages_can_be_listed() {
    // Most of them are refused, to be quick.
    let server = refusing(100_000, 100_000);
    let env = TestEnv::in_memory(&[at(&server)]);
    let outcome = env.fetch().expect(1);
    assert_eq!(env.mail().len(), 1);
    assert!(outcome.peak_kib < 40 * 1024, "{} KiB", outcome.peak_kib);
}

/// Returns a line of this many octets.
fn long(start: &str, octets: usize) -> String {
    format!("{start}{}\r\n", "x".repeat(octets - start.len() - 2))
}

/// Three messages, with some answers replaced: the command, and the complete answer to it.
fn answering(replaced: Vec<(&'static str, String)>) -> Server {
    let said = |what| replaced.iter().find(|(command, _)| *command == what).map(|(_, answer)| answer.clone());
    let capabilities = said("CAPA").unwrap_or("UIDL\r\nTOP\r\nUSER".to_owned());
    server_that_says(said("greeting").unwrap_or("+OK ready\r\n".to_owned()), &capabilities, move |wire, verb, rest| {
        let line = format!("{verb} {rest}");
        if let Some((_, answer)) = replaced.iter().find(|(command, _)| *command == line.trim_end()) {
            return wire.send(answer.as_bytes());
        }
        match (verb, rest.parse::<usize>()) {
            ("RETR", Ok(n)) => message(wire, &small(n)),
            ("UIDL", Ok(n)) => wire.send(format!("+OK {n} u{n}\r\n").as_bytes()),
            _ => listings(wire, verb, 3),
        }
    })
}

#[test]
fn a_long_line_concerns_its_own_capability_or_message_alone() {
    for octets in [4096, 4097, 1 << 20, (1 << 20) + 1, 16 << 20] {
        let capabilities = format!("UIDL\r\n{}TOP\r\nUSER", long("X-LONG ", octets));
        let uidl = format!("+OK\r\n1 u1\r\n{}3 u3\r\n.\r\n", long("2 ", octets));
        let [first, second, third] = [1, 2, 3].map(|n| small(n).len());
        let list = format!("+OK\r\n1 {first}\r\n{}3 {third}\r\n.\r\n", long(&format!("2 {second} "), octets));
        let ok = format!("{}{}.\r\n", long("+OK ", octets), String::from_utf8(small(2)).unwrap());
        for (command, answer) in
            [("CAPA", capabilities), ("UIDL", uidl), ("LIST", list), ("RETR 2", ok), ("greeting", long("+OK ", octets))]
        {
            let server = answering(vec![(command, answer)]);
            let env = TestEnv::in_memory(&[at(&server)]);
            let outcome = env.fetch();
            assert_eq!(outcome.status, 0, "{command} with {octets}: {outcome:#?}");
            assert_same_mail(&env.mail(), &small_ones_stored(3));
            is_cheap(&outcome);
            let told = outcome.output().contains("were passed over");
            assert_eq!(
                told,
                octets > 4096 && ["CAPA", "UIDL", "LIST"].contains(&command),
                "{command} with {octets}: {outcome:#?}"
            );
        }
    }
}

#[test]
fn a_long_refusal_concerns_its_own_message_alone() {
    for octets in [4096, 4097, 1 << 20, 16 << 20] {
        let server = answering(vec![("RETR 2", long("-ERR ", octets))]);
        let env = TestEnv::in_memory(&[at(&server)]);
        let outcome = env.fetch().expect(1).says("message 2");
        assert_eq!(env.mail().len(), 2);
        is_cheap(&outcome);
    }
}

#[test]
fn what_has_no_unique_id_after_all_is_told_and_costs_the_others_nothing() {
    let unnamed = || ("UIDL", format!("+OK\r\n1 u1\r\n{}3 u3\r\n.\r\n", long("2 ", 5000)));
    for answer in [long("+OK 2 ", 5000), "-ERR\r\n".to_owned(), "+OK\r\n".to_owned(), "+OK 3 u2\r\n".to_owned()] {
        let server = answering(vec![unnamed(), ("UIDL 2", answer)]);
        let env = TestEnv::in_memory(&[at(&server)]);
        let outcome = env.fetch().expect(1).says("message 2 (65 B) has no unique-id");
        assert_eq!(env.mail().len(), 2);
        is_cheap(&outcome);
    }
}

#[test]
fn what_uidl_leaves_out_is_asked_for() {
    let short = "+OK\r\n3 u3\r\n.\r\n".to_owned();
    let server = answering(vec![("UIDL", short.clone())]);
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    // Only STAT reveals them.
    let server = answering(vec![("UIDL", short), ("LIST", "-ERR\r\n".to_owned())]);
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn thousands_that_uidl_leaves_out_are_asked_for() {
    let server = server_with("UIDL\r\nTOP\r\nUSER", move |wire, verb, rest| match (verb, rest.parse::<usize>()) {
        ("RETR", Ok(n)) => message(wire, &small(n)),
        ("UIDL", Ok(n)) => wire.send(format!("+OK {n} u{n}\r\n").as_bytes()),
        ("UIDL", Err(_)) => wire.send(b"+OK\r\n2 u2\r\n.\r\n"),
        _ => listings(wire, verb, 1200),
    });
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(0).says("1200 new messages");
}

/// A server that answers a command about one message with a complete listing: the others are fetched nevertheless.
#[test]
fn a_listing_in_the_place_of_one_unique_id_costs_no_other_message() {
    let short = "+OK\r\n1 u1\r\n3 u3\r\n.\r\n".to_owned();
    let server = answering(vec![("UIDL", short.clone()), ("UIDL 2", short)]);
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(1).says("message 2");
    assert_eq!(env.mail().len(), 2);
}

/// Properties of message 2 of [`growing`].
#[derive(Clone, Copy)]
struct Growing {
    /// The size in the listing.
    listed: u64,
    /// The actual size; None if it never ends.
    octets: Option<u64>,
    /// Whether it has another unique-id in each session.
    fresh: bool,
}

/// A server with three messages, the second of which consists of lines of 100 octets.
fn growing(growing: Growing, sent: Arc<AtomicU64>) -> Server {
    let sessions = AtomicU64::new(0);
    let Growing { listed, octets, fresh } = growing;
    server(move |wire, verb, rest| match (verb, rest) {
        ("UIDL", "") => {
            let session = if fresh { sessions.fetch_add(1, Ordering::SeqCst) } else { 0 };
            wire.send(format!("+OK\r\n1 u1\r\n2 grows{session}\r\n3 u3\r\n.\r\n").as_bytes())
        }
        ("LIST", _) => {
            let [first, third] = [1, 3].map(|n| small(n).len());
            wire.send(format!("+OK\r\n1 {first}\r\n2 {listed}\r\n3 {third}\r\n.\r\n").as_bytes())
        }
        ("RETR", "2") => {
            wire.send(b"+OK\r\n")?;
            let line = format!("{}\r\n", "y".repeat(98));
            let mut left = octets.unwrap_or(u64::MAX);
            while left > 0 {
                let lines = left.div_ceil(100).min(100);
                wire.send(line.repeat(usize::try_from(lines).unwrap()).as_bytes())?;
                sent.fetch_add(lines * 100, Ordering::SeqCst);
                left = left.saturating_sub(lines * 100);
            }
            wire.send(b".\r\n")
        }
        ("RETR", n) => message(wire, &small(n.parse().unwrap())),
        (verb, _) => listings(wire, verb, 3),
    })
}

/// Fetches and returns the largest total size of `tmp/` meanwhile, in octets.
fn fetch_watching_tmp(env: &TestEnv) -> (Outcome, u64) {
    let mut running = env.spawn(&["fetch"]);
    let mut most = 0;
    while running.is_running() {
        let sizes = env.tmp().into_iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len());
        most = most.max(sizes.sum());
    }
    (running.wait(), most)
}

const MIB: u64 = 1 << 20;

#[test]
fn a_message_that_goes_on_and_on_is_not_read_on_and_on() {
    for (limit, most) in [(Some("1 MiB"), 2 * MIB), (None, 6 * MIB)] {
        let sent = Arc::new(AtomicU64::new(0));
        let server = growing(Growing { listed: 100, octets: None, fresh: false }, Arc::clone(&sent));
        let account = limit.into_iter().fold(at(&server), |account, limit| account.text("max_message_size", limit));
        let env = TestEnv::in_memory(&[account]);
        let mut others: Vec<_> = [1, 3].map(|n| stored(&small(n))).into();
        others.sort();
        for run in 1..=3 {
            let (outcome, written) = fetch_watching_tmp(&env);
            let outcome = outcome.expect(1).says("message 2 (unique-id grows0, 100 B)");
            assert_same_mail(&env.mail(), &others);
            assert!(written < most, "{written} octets were in tmp/");
            assert!(env.tmp().is_empty());
            is_cheap(&outcome);
            server.wait_until_idle();
            assert_eq!(server.count("RETR") - server.sessions().iter().map(others_asked).sum::<usize>(), run);
        }
        assert!(sent.load(Ordering::SeqCst) < 3 * (most + 8 * MIB), "{sent:?}");
        let asked = server.count("RETR");
        env.fetch().expect(0).says("in quarantine");
        assert_eq!(server.count("RETR"), asked, "it rests for an hour");
    }
}

/// How many messages other than the second one were requested.
fn others_asked(session: &crate::scripted::Session) -> usize {
    session.lines.iter().filter(|line| line.starts_with("RETR") && *line != "RETR 2").count()
}

#[test]
fn what_goes_on_under_another_unique_id_each_time_is_tried_once_in_a_poll() {
    let server = growing(Growing { listed: 100, octets: None, fresh: true }, Arc::default());
    let env = TestEnv::in_memory(&[at(&server).text("max_message_size", "1 MiB")]);
    env.fetch().expect(1).says("grows0").says("takes no message of more than 1.0 MiB");
    assert_eq!(env.mail().len(), 2, "what stands behind it is fetched");
    server.wait_until_idle();
    assert_eq!(server.sessions().len(), 2);
}

#[test]
fn max_message_size_holds_to_the_octet_for_what_comes() {
    // 98 octets and LF each: 10,000 lines are stored as 990,000 octets.
    for (limit, fits) in [(990_000, true), (989_999, false)] {
        let server = growing(Growing { listed: 500_000, octets: Some(1_000_000), fresh: false }, Arc::default());
        let env = TestEnv::in_memory(&[at(&server).set("max_message_size", format!("\"{limit}\""))]);
        env.fetch().expect(1).says(if fits { "not deleted" } else { "message 2" });
        assert_eq!(env.mail().len(), if fits { 3 } else { 2 }, "{limit}");
    }
}

#[test]
fn a_size_that_is_off_by_little_is_no_reason() {
    for (listed, octets) in [(1_000_000, 1_900_000), (0, 9_000_000), (1, 4_000_000)] {
        let server = growing(Growing { listed, octets: Some(octets), fresh: false }, Arc::default());
        let env = TestEnv::in_memory(&[at(&server)]);
        env.fetch().expect(if listed > 1 { 1 } else { 0 });
        assert_eq!(env.mail().len(), 3, "listed as {listed}");
    }
}

#[test]
fn thousands_that_are_shorter_than_listed_are_one_line() {
    let mut messages = small_ones(1000);
    messages.iter_mut().for_each(|message| message.reported_size = Some(10_000));
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    is_cheap(&env.fetch());
    assert_eq!(env.mail().len(), 1000);
}

#[test]
fn a_message_announced_larger_than_the_disk_is_named_once_and_costs_no_other() {
    let mut messages = small_ones(3);
    messages[1].reported_size = Some(1 << 60);
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let outcome = env.fetch().expect(73).says("message 2 (unique-id u2, 1.0 EiB) does not fit").says("free");
    is_cheap(&outcome);
    assert_eq!(env.mail().len(), 2);
    // While it waits for room the status is not a success, and the server is not to blame.
    let again = env.fetch().expect(73).says("message 2 (unique-id u2, 1.0 EiB) does not fit");
    assert!(!again.output().contains("quarantine"), "{again:?}");
    assert_eq!(maildrop.retrieved("u2"), 0);
}

#[test]
fn sizes_that_are_lies_take_no_room_from_others() {
    let mut messages = small_ones(300);
    let free = rustix::fs::statvfs("/dev/shm").map_or(1 << 40, |space| space.f_bavail * space.f_frsize);
    messages.iter_mut().for_each(|message| message.reported_size = Some(free / 3));
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    is_cheap(&env.fetch().expect(1));
    assert_eq!(env.mail().len(), 300);
}

#[test]
fn a_header_without_end_is_named_and_costs_no_other() {
    // As long as it is in the listing.
    let of_100 = |n: &str| {
        let bytes = small(n.parse().unwrap());
        let text = "x".repeat(98 - bytes.len());
        [bytes, text.into_bytes(), b"\r\n".to_vec()].concat()
    };
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let server = server(move |wire, verb, rest| match verb {
        "RETR" => message(wire, &of_100(rest)),
        "TOP" if rest == "2 0" => {
            wire.send(b"+OK\r\n")?;
            loop {
                let lines = "X-Header: goes on and on\r\n".repeat(1000);
                wire.send(lines.as_bytes())?;
                counted.fetch_add(u64::try_from(lines.len()).unwrap(), Ordering::SeqCst);
            }
        }
        "TOP" => {
            let bytes = of_100(rest.split(' ').next().unwrap());
            message(wire, &bytes)
        }
        "DELE" => wire.send(b"+OK\r\n"),
        "LIST" => wire.send(b"+OK\r\n1 100\r\n2 100\r\n3 100\r\n.\r\n"),
        verb => listings(wire, verb, 3),
    });
    let env = TestEnv::in_memory(&[at(&server)]);
    env.fetch().expect(0);
    env.configure(&[at(&server).deleting()]);
    let outcome = env.fetch().expect(1).says("message 2 (unique-id u2, 100 B)").says("no header has more than");
    is_cheap(&outcome);
    assert_eq!(server.count("DELE"), 2, "the others are deleted");
    let sent = sent.load(Ordering::SeqCst);
    assert!((32 * MIB..48 * MIB).contains(&sent), "{sent}");
}

/// A server with one message that trickles the answer to one command at two hundred octets a second: twice the minimum
/// rate of an answer.
fn dripping(command: &'static str, line: &'static str) -> Server {
    server(move |wire, verb, _| {
        if verb != command {
            return listings(wire, verb, 1);
        }
        let began = Instant::now();
        wire.send(b"+OK\r\n")?;
        while began.elapsed() < Duration::from_secs(58) {
            wire.send(line.repeat(3).as_bytes())?;
            std::thread::sleep(Duration::from_millis(300)); // the rate of the trickle
        }
        None
    })
}

#[test]
fn a_server_that_drips_loses_its_place_to_who_waits() {
    let loses_its_place = |server: Server| {
        let maildrop = Maildrop::new(small_ones(3));
        // Accounts that are polled before it do not wait: with several of them, one comes after it.
        let good = ["b", "c", "d", "e", "f", "g"];
        let accounts = good.map(|name| Account::at(maildrop.server.address).named(name));
        let env = TestEnv::in_memory(&[vec![at(&server)], accounts.to_vec()].concat());
        env.configure_more("\n[daemon]\nconcurrency = 1\n");
        // It would hold the only place as long as it drips; once the others had their turn, it may go on.
        let fetch = env.spawn(&["fetch"]);
        wait_for("the mail of the others", || good.iter().all(|name| env.mail_of(name).len() == 3));
        fetch.signal(Signal::TERM);
        let outcome = fetch.wait();
        for name in good {
            assert_same_mail(&env.mail_of(name), &small_ones_stored(3));
        }
        assert!(outcome.status != 0 && outcome.output().contains("a: "), "{outcome:#?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| loses_its_place(dripping("RETR", "yyyyyyyyyyyyyyyyyy\r\n")));
        scope.spawn(|| loses_its_place(dripping("UIDL", "1 xxxxxxxxxxxxxxxx\r\n")));
    });
}

/// A server that lists two unknown messages in each session.
fn always_more(capabilities: &str) -> Server {
    let sessions = AtomicU64::new(0);
    server_with(capabilities, move |wire, verb, rest| match verb {
        "UIDL" => {
            let session = sessions.fetch_add(1, Ordering::SeqCst);
            wire.send(format!("+OK\r\n1 a{session}\r\n2 b{session}\r\n.\r\n").as_bytes())
        }
        // The sizes differ each time: equal sizes under other names would be taken for the same messages.
        "LIST" => {
            let size = 100 + sessions.load(Ordering::SeqCst);
            wire.send(format!("+OK\r\n1 {size}\r\n2 {size}\r\n.\r\n").as_bytes())
        }
        "RETR" => {
            let session = sessions.load(Ordering::SeqCst);
            message(wire, format!("Message-ID: <{session}-{rest}@example.org>\r\n\r\nHello.\r\n").as_bytes())
        }
        verb => listings(wire, verb, 2),
    })
}

#[test]
fn a_poll_of_sessions_that_bring_little_ends_soon() {
    let server = always_more("UIDL\r\nUSER");
    let env = TestEnv::in_memory(&[at(&server).set("max_messages_per_session", 1)]);
    env.fetch().expect(1).says("is left for the next poll, because this one took 37 sessions and");
    assert_eq!((server.sessions().len(), env.mail().len()), (37, 37));
}

#[test]
fn a_login_delay_is_heeded_within_a_poll() {
    let server = always_more("UIDL\r\nUSER\r\nLOGIN-DELAY 300");
    let env = TestEnv::in_memory(&[at(&server).set("max_messages_per_session", 1)]);
    env.fetch().expect(1).says("because the server wants 300 s between two logins");
    assert_eq!((server.sessions().len(), env.mail().len()), (1, 1));

    let capabilities = |behaviour: &mut crate::scripted::maildrop::Behaviour| {
        behaviour.capabilities.as_mut().unwrap().push("LOGIN-DELAY 1".to_owned());
    };
    let maildrop = Maildrop::with(small_ones(5), capabilities);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).set("max_messages_per_session", 2)]);
    let outcome = env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
    assert!(outcome.elapsed >= Duration::from_secs(2), "three logins, a second between them: {outcome:#?}");
}
