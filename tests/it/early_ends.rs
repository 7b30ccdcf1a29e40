//! Messages that end early: what was stored is a part, and the answers after it may belong to other commands.

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::disk_full::SmallDisk;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, wait_for};
use crate::raw::stored;
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

const HEADER: &str = "Message-ID: <1@example.org>\r\nDate: today\r\nReceived: by mx\r\n\r\n";

fn message(text: &str) -> Vec<u8> {
    format!("{HEADER}{text}").into_bytes()
}

fn answer(bytes: &[u8]) -> String {
    format!("+OK\r\n{}.\r\n", String::from_utf8_lossy(bytes))
}

/// One answer to RETR comes twice, once, and the connection ends after the first line of the last one, which looks like
/// the answer to the command after the messages.
#[test]
fn what_may_be_the_first_line_of_a_message_shows_nothing_before_quit_is_answered() {
    // All have the same size, so that sizes show nothing.
    let bytes = |n: usize| format!("Message-ID: <{n}@example.org>\r\n\r\nThis is {n}.\r\n").into_bytes();
    for tells_numbers in [false, true] {
        let first = |n: usize| match tells_numbers {
            true => format!("+OK {n} {}\r\n", bytes(n).len()),
            false => "+OK\r\n".to_owned(),
        };
        let whole = |n: usize| format!("{}{}.\r\n", first(n), String::from_utf8(bytes(n)).unwrap());
        let messages = (1..=3).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect();
        let maildrop = Maildrop::with(messages, |behaviour| {
            let stat = ("STAT".to_owned(), "+OK 3 messages\r\n".to_owned());
            behaviour.answers.extend((!tells_numbers).then_some(stat));
            let once = [("RETR 1", whole(1).repeat(2)), ("RETR 2", whole(2)), ("RETR 3", first(3) + "<close>")];
            behaviour.answers_once = once.map(|(command, answer)| (command.to_owned(), answer)).to_vec();
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        (0..3).for_each(|_| _ = env.fetch());
        let mut mail = env.mail();
        mail.dedup();
        let expected: Vec<Vec<u8>> = (1..=3).map(|n| stored(&bytes(n))).collect();
        assert_same_mail(&mail, &expected);
        env.fetch().expect(0).says("nothing new");
    }
}

#[test]
fn a_message_that_came_short_once_is_retrieved_again_before_it_is_deleted() {
    let whole = message(&"A line of the text.\r\n".repeat(100));
    for (kept, part) in [(whole.len() / 4, "deleted"), (whole.len() - 300, "deleted"), (whole.len() / 4, "left")] {
        let maildrop = Maildrop::with(vec![Message::new("1", &whole), Message::new("2", &small(2))], |behaviour| {
            let short = format!("{}\r\n", String::from_utf8_lossy(&whole[..kept]).trim_end());
            behaviour.answers.push(("RETR 1".to_owned(), answer(short.as_bytes())));
        });
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if part == "deleted" { account.deleting() } else { account }]);
        env.fetch().expect(1);
        assert!(maildrop.left().contains(&"1".to_owned()), "{kept}, {part}");
        maildrop.change(|contents| contents.behaviour.answers.clear());
        for _ in 0..2 {
            env.fetch().expect(0);
        }
        assert!(env.mail().contains(&stored(&whole)), "{kept}, {part}: stored whole");
        assert_eq!(maildrop.left().is_empty(), part == "deleted", "{kept}, {part}");
        env.fetch().expect(0).says("nothing new");
    }
}

/// If dots are not doubled, what follows a line with just a dot looks like the answer to the next command, and all
/// answers are shifted by one.
#[test]
fn what_looks_like_an_answer_within_a_message_costs_no_message() {
    for rest in ["+OK then\r\nthe rest\r\n", "-ERR no\r\n", "+OK\r\n"] {
        for (pipelining, size, delete) in [
            (true, None, true),
            (true, Some(0), true),
            (false, None, true),
            (false, Some(10), true),
            (true, None, false),
            (true, Some(10), false),
        ] {
            let whole = message(&format!("first half\r\n.\r\n{rest}"));
            let mut messages = small_ones(5);
            messages[0] = Message::new("u1", &whole);
            messages[0].reported_size = size;
            let mails: Vec<Vec<u8>> = (1..=5).map(|n| if n == 1 { whole.clone() } else { small(n) }).collect();
            let maildrop = Maildrop::with(messages, |behaviour| {
                behaviour.pipelining = pipelining;
                behaviour.answers.push(("RETR 1".to_owned(), answer(&whole)));
            });
            let account = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
            let is_kept = || {
                let (mail, left) = (env.mail(), maildrop.left());
                for (mine, n) in mails.iter().zip(1..) {
                    let is_there = left.contains(&format!("u{n}"));
                    let what = format!("{n} of {rest:?} {pipelining} {size:?} {delete}, left {left:?}");
                    assert!(is_there || mail.contains(&stored(mine)), "{what}");
                }
            };
            for _ in 0..2 {
                env.fetch();
                is_kept();
            }
            maildrop.change(|contents| contents.behaviour.answers.clear());
            for _ in 0..3 {
                env.fetch();
            }
            if delete {
                is_kept();
            } else {
                let others = mails.iter().skip(1).all(|mine| env.mail().contains(&stored(mine)));
                assert!(others, "{rest:?} {pipelining} {size:?}: what came in another's place is retrieved");
            }
        }
    }
}

/// The same, if the size of each message is requested along with it.
#[test]
fn what_looks_like_a_size_within_a_message_costs_no_message_either() {
    for delete in [false, true] {
        // The numbers of the two new ones.
        let (first, second) = if delete { (1, 2) } else { (4, 5) };
        for rest in [
            "+OK then\r\nthe rest\r\n".to_owned(),
            "+OK\r\n".to_owned(),
            "-ERR no\r\n".to_owned(),
            "-ERR no\r\n-ERR no\r\n".to_owned(),
            format!("+OK {second} 40\r\n-ERR no\r\n"),
            format!("+OK {second} 40\r\n+OK\r\nno message\r\n"),
            format!("+OK {second} 40\r\n+OK\r\nno message\r\n.\r\n+OK {second} 40\r\n"),
        ] {
            let maildrop = Maildrop::new(small_ones(3));
            let account = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
            (0..3).for_each(|_| _ = env.fetch().expect(0));
            let whole = message(&format!("first half\r\n.\r\n{rest}"));
            maildrop.change(|contents| {
                contents.messages.extend([Message::new("u4", &whole), Message::new("u5", &small(5))]);
                contents.behaviour.answers = vec![(format!("RETR {first}"), answer(&whole))];
            });
            let is_kept = |mine: &[u8], uid: &str| {
                let (mail, left) = (env.mail(), maildrop.left());
                let is_there = left.contains(&uid.to_owned());
                assert!(is_there || mail.contains(&stored(mine)), "{uid} of {rest:?}, {delete}, left {left:?}");
            };
            for run in 0..5 {
                env.fetch();
                is_kept(&whole, "u4");
                is_kept(&small(5), "u5");
                if run == 0 {
                    let asked = maildrop.server.sessions().into_iter().flat_map(|session| session.lines);
                    assert!(asked.into_iter().any(|line| line == format!("LIST {first}")));
                }
                if run == 1 {
                    maildrop.change(|contents| contents.behaviour.answers.clear());
                }
            }
            assert!(env.mail().contains(&stored(&small(5))), "{rest:?}, {delete}");
        }
    }
}

#[test]
fn where_sizes_say_nothing_a_message_that_grew_is_stored_whole() {
    let (first, whole) = (message("first part\r\n"), message("first part\r\nSECOND PART\r\n"));
    for refused in [true, false] {
        let one = |bytes: &[u8]| {
            let mut one = Message::new("1", bytes);
            one.reported_size = Some(0);
            vec![one]
        };
        let maildrop = Maildrop::with(one(&first), |behaviour| {
            if refused {
                behaviour.answers.push(("LIST".to_owned(), "-ERR no\r\n".to_owned()));
            }
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = one(&whole));
        env.configure(&[Account::at(maildrop.server.address).deleting()]);
        env.fetch().expect(0);
        assert!(env.mail().contains(&stored(&whole)), "LIST is refused: {refused}");
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
    }
}

/// If mail stays on the server, only the bytes show that what was stored is half of the message: its header is
/// complete, and its name and size match the listing.
#[test]
fn half_a_message_is_not_taken_for_the_whole_where_mail_stays() {
    let other = format!("+OK\r\n{HEADER}it looks like another one\r\n.\r\n+OK 3 900\r\n");
    for rest in ["+OK nice\r\nthe rest\r\n", "-ERR no\r\nthe rest\r\n", "+OK 3 1700\r\n", &other] {
        for closes in [false, true] {
            let whole = message(&format!("{}.\r\n{rest}", "The first half.\r\n".repeat(20)));
            let mut messages = small_ones(3);
            messages[1] = Message::new("u2", &whole);
            let maildrop = Maildrop::with(messages, |behaviour| {
                behaviour.answers.push(("RETR 2".to_owned(), answer(&whole)));
                behaviour.closes_at = closes.then(|| "RETR 3".to_owned());
            });
            let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
            env.fetch();
            maildrop.change(|contents| contents.behaviour.closes_at = None);
            for _ in 0..3 {
                env.fetch();
            }
            let outcome = env.fetch();
            let told = outcome.output().contains("quarantine") || outcome.status != 0;
            assert!(told || env.mail().contains(&stored(&whole)), "{rest:?} {closes}: {outcome:#?}");
            for small in [small(1), small(3)] {
                assert!(env.mail().contains(&stored(&small)), "{rest:?} {closes}: {outcome:#?}");
            }
        }
    }
}

/// Some servers' STAT counts what has arrived since, or no longer counts what was retrieved; some refuse STAT then.
#[test]
fn a_stat_that_goes_with_the_session_costs_nothing() {
    for (later, uids) in
        [("+OK 9 900", ["u1", "u2", "u3"]), ("-ERR no", ["7", "8", "9"]), ("+OK 0 0", ["7", "8", "300"])]
    {
        for (pipelining, delete) in [(true, true), (false, true), (true, false)] {
            let messages: Vec<Message> = uids.iter().zip(1..).map(|(uid, n)| Message::new(uid, &small(n))).collect();
            let maildrop = Maildrop::with(messages, |behaviour| {
                behaviour.pipelining = pipelining;
                behaviour.stat_after_retr = Some(later.to_owned());
            });
            let account = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
            env.fetch().expect(0).says("3 new messages");
            assert_same_mail(&env.mail(), &small_ones_stored(3));
            assert_eq!(maildrop.left().is_empty(), delete, "{later}, {pipelining}");
            env.fetch().expect(0).says("nothing new");
            assert_eq!(maildrop.count("RETR"), 3);
        }
    }
}

#[test]
fn what_comes_far_too_short_is_not_deleted_before_it_came_whole() {
    for (top, uidl) in [(true, true), (false, true), (true, false)] {
        // Fewer such messages than a session tolerates, and more.
        for all in [2, 12] {
            let mut messages = small_ones(all);
            for message in &mut messages[1..] {
                message.reported_size = Some(99_999);
            }
            let maildrop = Maildrop::with(messages, |behaviour| (behaviour.top, behaviour.uidl) = (top, uidl));
            let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
            for poll in 1..=4 {
                let outcome = env.fetch();
                assert_eq!(maildrop.left().len(), all - 1, "{poll}, TOP {top}, UIDL {uidl}: {outcome:#?}");
                let is_told = outcome.status == 1 && outcome.output().contains("not deleted");
                assert!(is_told || (poll > 3 && outcome.output().contains("quarantine")), "{poll}: {outcome:#?}");
            }
            assert_same_mail(&env.mail(), &small_ones_stored(all));
            // From now on the listing is right.
            maildrop.change(|contents| contents.messages.iter_mut().for_each(|message| message.reported_size = None));
            env.fetch().expect(0);
            env.fetch().expect(0);
            assert_eq!(maildrop.left(), Vec::<String>::new(), "TOP {top}, UIDL {uidl}");
            assert_same_mail(&env.mail(), &small_ones_stored(all));
        }
    }
}

/// How a session with shifted answers ends before anything reveals the shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedBy {
    /// The connection is cut.
    Cut,
    /// The program is killed.
    Kill,
    /// A message goes on and on, which does not end the poll.
    TooLong,
    /// There is no room for a message any more, which does not end the poll either.
    NoRoom,
}

/// A server whose answer for the second message comes twice, and whose sessions end so.
fn with_one_twice(ended_by: EndedBy, mails: &[Vec<u8>]) -> Maildrop {
    let large = message(&"on and on\r\n".repeat(80_000));
    let mut messages: Vec<_> = mails.iter().zip(1..).map(|(mail, n)| Message::new(&format!("u{n}"), mail)).collect();
    if ended_by == EndedBy::NoRoom {
        // The answer for the fourth message comes in its place, and is within its size.
        messages[4].reported_size = Some(large.len() as u64 + 100_000);
    }
    Maildrop::with(messages, |behaviour| {
        behaviour.answers.push(("RETR 2".to_owned(), answer(&mails[1]).repeat(2)));
        match ended_by {
            EndedBy::Cut => behaviour.closes_at = Some("RETR 5".to_owned()),
            EndedBy::Kill => ["RETR 4", "RETR 5", "RETR 6", "STAT"].into_iter().for_each(|line| {
                behaviour.answers.push((line.to_owned(), "+OK 6 6\r\n".to_owned()));
            }),
            EndedBy::TooLong => {
                behaviour.answers.push(("RETR 4".to_owned(), answer(&message(&"on and on\r\n".repeat(10_000)))));
            }
            EndedBy::NoRoom => {
                behaviour.answers.push(("RETR 4".to_owned(), answer(&large)));
                behaviour.next_faults = Some(Faults { stall_after: Some(300_000), ..Faults::default() });
            }
        }
    })
}

/// The answer for one message comes twice. All have one size and one header, like the alarms of a device, so only their
/// bytes tell which of them it is.
#[test]
fn what_came_in_a_session_that_broke_before_it_was_seen_to_be_in_step_is_compared() {
    let mails: Vec<Vec<u8>> = (1..=6).map(|n| message(&format!("alarm {n}\r\n"))).collect();
    let ends = [EndedBy::Cut, EndedBy::Kill, EndedBy::TooLong, EndedBy::NoRoom];
    for (ended_by, delete) in ends.into_iter().flat_map(|ended_by| [(ended_by, false), (ended_by, true)]) {
        let maildrop = with_one_twice(ended_by, &mails);
        let account = Account::at(maildrop.server.address);
        let account = if ended_by == EndedBy::NoRoom { account } else { account.text("max_message_size", "8 KiB") };
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let disk = (ended_by == EndedBy::NoRoom).then(|| SmallDisk::mount(&env.path("Mail"), 2048));
        if disk.as_ref().is_some_and(Option::is_none) {
            continue;
        }
        let running = env.spawn(&["fetch"]);
        if ended_by == EndedBy::NoRoom {
            maildrop.server.wait_until_stalled(1);
            std::fs::write(env.path("Mail").join("filler"), vec![0; 1400 << 10]).unwrap();
            maildrop.server.release();
        }
        if ended_by == EndedBy::Kill {
            wait_for("the first messages", || env.maildir("a").join("new").exists() && env.mail().len() == 4);
            running.signal(Signal::KILL);
        }
        let _ = running.wait();
        let (what, poll_goes_on) =
            (format!("{ended_by:?}, {delete}"), matches!(ended_by, EndedBy::TooLong | EndedBy::NoRoom));
        assert!(env.mail().len() > 2, "{what}: {}", env.mail().len());
        maildrop.change(|contents| {
            contents.behaviour.answers.clear();
            contents.behaviour.closes_at = None;
        });
        for _ in 0..3 {
            let outcome = env.fetch();
            assert!(outcome.status == 0 || poll_goes_on, "{what}: {}", outcome.output());
            for (mail, n) in mails.iter().zip(1..) {
                let is_there = maildrop.left().contains(&format!("u{n}"));
                assert!(is_there || env.mail().contains(&stored(mail)), "{what}: {n} was deleted and not stored");
            }
        }
        if poll_goes_on {
            continue;
        }
        assert!(mails.iter().all(|mail| env.mail().contains(&stored(mail))), "{what}: all are stored");
        assert_eq!(maildrop.left().is_empty(), delete, "{what}");
        env.fetch().expect(0).says("nothing new");
    }
}

/// How many messages were requested so far.
fn asked_for(maildrop: &Maildrop) -> usize {
    maildrop.server.wait_until_idle();
    let lines = maildrop.server.sessions().into_iter().flat_map(|session| session.lines);
    lines.filter(|line| line.starts_with("RETR")).count()
}

#[test]
fn a_cut_in_a_backlog_puts_no_more_in_doubt_than_came_since_the_last_sign() {
    const ALL: usize = 1000;
    const CUT_AT: usize = 950;
    // As many as may be in flight, and a hundred more.
    for (equal, compared) in [(true, 1..=356), (false, 0..=0)] {
        let text = |n: usize| if equal { format!("alarm {n:04}\r\n") } else { format!("{}\r\n", "x".repeat(n)) };
        let messages = (1..=ALL).map(|n| Message::new(&format!("u{n}"), &message(&text(n)))).collect();
        let maildrop = Maildrop::with(messages, |behaviour| {
            behaviour.closes_at = Some(format!("RETR {CUT_AT}"));
        });
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        let _ = env.fetch();
        let (came, before) = (env.mail().len(), asked_for(&maildrop));
        assert!(came > CUT_AT / 2, "{came}");
        maildrop.change(|contents| contents.behaviour.closes_at = None);
        env.fetch().expect(0);
        let asked = asked_for(&maildrop) - before;
        assert!(compared.contains(&(asked + came - ALL)), "equal {equal}: {came} came, then {asked} were asked for");
        assert_eq!(env.mail().len(), ALL, "equal {equal}: each once");
        env.fetch().expect(0).says("nothing new");
    }
}
