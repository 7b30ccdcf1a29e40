//! Messages whose size differs from the listing: a part, or something else in their place, is never taken for the
//! whole; and a server whose sizes are all wrong does not cause everything to be fetched again and again.

use crate::delivered::assert_same_mail;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Contents, Maildrop, Message};

/// Returns a message of exactly this many octets.
fn message(number: usize, octets: usize) -> Vec<u8> {
    let header = format!("Message-ID: <{number}@example.org>\r\nDate: today\r\nReceived: by mx\r\n\r\n");
    let text = "A line of the text.\r\n".repeat(octets / 20);
    part(format!("{header}{text}").as_bytes(), octets)
}

/// Returns the first octets of a message, as a complete message.
fn part(whole: &[u8], octets: usize) -> Vec<u8> {
    let mut part = whole[..octets - 2].to_vec();
    part.extend(b"\r\n");
    part
}

fn answer(bytes: &[u8]) -> (String, String) {
    ("RETR 1".to_owned(), format!("+OK\r\n{}.\r\n", String::from_utf8_lossy(bytes)))
}

fn one(bytes: &[u8]) -> Vec<Message> {
    vec![Message::new("1", bytes)]
}

fn account(maildrop: &Maildrop, deletes: bool) -> Account {
    let account = Account::at(maildrop.server.address);
    if deletes { account.deleting() } else { account }
}

/// The listing is ahead of the messages: the same part is sent under the size of the whole.
#[test]
fn a_part_that_came_again_under_the_size_of_the_whole_is_not_taken_for_it() {
    for cut in [700, 499] {
        for (top, deletes) in [(true, false), (true, true), (false, true), (false, false)] {
            let whole = message(1, 1000);
            let part = part(&whole, cut);
            let maildrop = Maildrop::with(one(&part), |behaviour| behaviour.top = top);
            let env = TestEnv::new(&[account(&maildrop, false)]);
            env.fetch().expect(0);
            maildrop.change(|contents| {
                contents.messages = one(&whole);
                contents.behaviour.answers.push(answer(&part));
            });
            env.fetch().expect(1).says("listed with 1000 octets");
            env.configure(&[account(&maildrop, deletes)]);
            maildrop.change(|contents| contents.behaviour.answers.clear());
            env.fetch().expect(0);
            assert!(env.mail().contains(&stored(&whole)), "{cut}, {top}, {deletes}");
            env.fetch().expect(0);
            assert_eq!(maildrop.left().is_empty(), deletes, "{cut}, {top}");
            assert_eq!(env.mail().len(), 2);
        }
    }
}

/// A part, or a notice of a scanner that holds the message back: shorter or longer.
#[test]
fn what_comes_twice_in_another_size_is_not_deleted() {
    for (size, came) in [(1000, 700), (1000, 499), (300, 600), (1000, 980)] {
        for (top, uidl) in [(true, true), (false, true), (true, false)] {
            let (whole, note) = (message(1, size), message(2, came));
            let maildrop = Maildrop::with(one(&whole), |behaviour| {
                (behaviour.top, behaviour.uidl) = (top, uidl);
                behaviour.answers.push(answer(&note));
            });
            let env = TestEnv::new(&[account(&maildrop, true)]);
            for _ in 0..2 {
                env.fetch().expect(1).says("not deleted").says(&format!("{size} octets, and {came} came"));
            }
            assert_eq!((maildrop.left().len(), env.mail().len()), (1, 1), "{size}, {came}, {top}, {uidl}");
            maildrop.change(|contents| contents.behaviour.answers.clear());
            env.fetch().expect(0);
            assert!(env.mail().contains(&stored(&whole)), "{size}, {came}, {top}, {uidl}");
            assert!(maildrop.left().is_empty());
        }
    }
}

/// A server that deletes at QUIT whatever was retrieved (EXPIRE 0) would delete what was sent in part.
#[test]
fn a_part_is_not_left_to_a_server_that_removes_what_was_retrieved() {
    for uidl in [true, false] {
        for (came, listed) in [(700, 1000), (100, 1000), (1300, 1000)] {
            let whole = message(1, listed);
            let messages = vec![Message::new("1", &whole), Message::new("2", &message(2, 500))];
            let maildrop = Maildrop::with(messages, |behaviour| {
                (behaviour.expire_0, behaviour.uidl) = (true, uidl);
                behaviour.answers.push(answer(&message(1, came)));
            });
            let env = TestEnv::new(&[account(&maildrop, true)]);
            for _ in 0..2 {
                env.fetch().expect(1).says(&format!("{listed} octets, and {came} came"));
                assert!(maildrop.left().contains(&"1".to_owned()), "{uidl}, {came}");
            }
            maildrop.change(|contents| contents.behaviour.answers.clear());
            env.fetch().expect(0);
            assert!(env.mail().contains(&stored(&whole)), "{uidl}, {came}");
            env.fetch().expect(0);
            assert!(maildrop.left().is_empty(), "{uidl}, {came}");
            assert_eq!(env.mail().len(), 3, "{uidl}, {came}");
        }
    }
}

#[test]
fn one_without_a_size_among_others_is_not_left_to_such_a_server() {
    let messages = vec![Message::new("1", &message(1, 1000)), Message::new("2", &message(2, 500))];
    let maildrop = Maildrop::with(messages, |behaviour| {
        behaviour.expire_0 = true;
        behaviour.answers = [("LIST 1", "+OK 1 0\r\n"), ("LIST", "+OK\r\n1 0\r\n2 500\r\n.\r\n")]
            .map(|(to, answer)| (to.to_owned(), answer.to_owned()))
            .to_vec();
    });
    let env = TestEnv::new(&[account(&maildrop, true)]);
    env.fetch();
    assert_eq!((maildrop.left().len(), env.mail().len()), (2, 2));
    env.fetch().expect(0);
    assert_eq!((maildrop.left().len(), env.mail().len()), (0, 2), "the same bytes came again");
}

/// The server no longer reports sizes: nothing shows that what is sent is not the same part as before.
fn sizeless(contents: &mut Contents, line: &str) {
    let answers = [("LIST 1", "+OK 1 0\r\n".to_owned()), ("LIST", format!("+OK\r\n{line}.\r\n"))];
    contents.behaviour.answers.extend(answers.map(|(to, answer)| (to.to_owned(), answer)));
}

#[test]
fn a_part_is_not_taken_for_the_whole_where_no_size_is_told_any_more() {
    for line in ["1 0\r\n", ""] {
        for top in [true, false] {
            let whole = message(1, 1000);
            let part = part(&whole, 700);
            let maildrop = Maildrop::with(one(&whole), |behaviour| {
                behaviour.top = top;
                behaviour.answers.push(answer(&part));
            });
            let env = TestEnv::new(&[account(&maildrop, true)]);
            env.fetch().expect(1).says("listed with 1000 octets");
            maildrop.change(|contents| sizeless(contents, line));
            for _ in 0..3 {
                env.fetch();
                assert_eq!((maildrop.left().len(), env.mail().len()), (1, 1), "{line:?}, {top}");
            }
        }
    }
}

#[test]
fn a_message_without_a_size_is_not_deleted_in_its_session_where_sizes_were_told_though_the_hints_are_lost() {
    let maildrop = Maildrop::new(one(&message(1, 1000)));
    let env = TestEnv::new(&[account(&maildrop, true)]);
    env.fetch().expect(0);
    std::fs::remove_file(env.path("state/a.hints")).unwrap();
    let whole = message(2, 1000);
    maildrop.change(|contents| {
        contents.messages = vec![Message::new("2", &whole)];
        contents.behaviour.answers.push(answer(&part(&whole, 700)));
        sizeless(contents, "1 0\r\n");
    });
    env.fetch();
    assert_eq!((maildrop.left().len(), env.mail().len()), (1, 2));
    maildrop.change(|contents| contents.behaviour.answers.clear());
    env.fetch().expect(0);
    assert!(env.mail().contains(&stored(&whole)));
}

/// A server that does not double dots: as many octets are lost as a line end has.
#[test]
fn what_lacks_two_dots_is_not_taken_for_one_that_lacks_a_line_end() {
    for lines in [".first\r\n.second\r\n", "...\r\n...\r\n"] {
        let header = "Message-ID: <1@example.org>\r\nDate: today\r\nReceived: by mx\r\n\r\n";
        let whole = format!("{header}{lines}the end\r\n").into_bytes();
        let maildrop = Maildrop::with(one(&whole), |behaviour| behaviour.answers.push(answer(&whole)));
        let env = TestEnv::new(&[account(&maildrop, true)]);
        env.fetch().expect(1).says(&format!("listed with {} octets", whole.len()));
        assert_eq!((maildrop.left().len(), env.mail().len()), (1, 1), "{lines:?}");
    }
}

#[test]
fn one_that_never_comes_as_it_is_listed_is_quarantined_whatever_the_policy() {
    for deletes in [true, false] {
        let whole = message(1, 1000);
        let maildrop = Maildrop::with(one(&whole), |behaviour| behaviour.answers.push(answer(&part(&whole, 700))));
        let env = TestEnv::new(&[account(&maildrop, deletes)]);
        for _ in 0..3 {
            env.fetch().expect(1);
        }
        for _ in 0..2 {
            env.fetch().expect(0).says("quarantine");
        }
        assert_eq!((maildrop.count("RETR"), maildrop.left().len(), env.mail().len()), (3, 1, 1));
        let outcome = env.run(&["-q", "fetch"]);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
}

#[test]
fn a_quiet_fetch_tells_what_came_in_another_size() {
    let whole = message(1, 1000);
    for came in [499, 700] {
        let maildrop = Maildrop::with(one(&whole), |behaviour| behaviour.answers.push(answer(&part(&whole, came))));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        for _ in 0..2 {
            let outcome = env.run(&["-q", "fetch"]).expect(1);
            assert!(outcome.stderr.contains("1000 octets"), "{outcome:#?}");
        }
    }
}

/// Some servers count each line end as a single LF.
#[test]
fn sizes_that_count_line_feeds_alone_fit() {
    let messages: Vec<Vec<u8>> = (1..=3).map(|n| message(n, 5000)).collect();
    let listed = messages.iter().zip(1..).map(|(bytes, n)| {
        let mut listed = Message::new(&n.to_string(), bytes);
        listed.reported_size = Some(stored(bytes).len() as u64);
        listed
    });
    let maildrop = Maildrop::new(listed.collect());
    let env = TestEnv::new(&[account(&maildrop, true)]);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

/// Messages whose reported sizes are off by a fifth, up or down.
fn estimated(numbers: std::ops::RangeInclusive<usize>) -> Vec<Message> {
    let estimated = |n: usize| {
        let mut message = Message::new(&format!("u{n}"), &message(n, 1000));
        message.reported_size = Some(if n.is_multiple_of(2) { 800 } else { 1200 });
        message
    };
    numbers.map(estimated).collect()
}

#[test]
fn a_server_whose_sizes_are_estimates_by_the_users_word_is_emptied() {
    let maildrop = Maildrop::new(estimated(1..=12));
    let env = TestEnv::new(&[account(&maildrop, true).set("sizes_are_estimates", true)]);
    env.fetch().expect(0);
    assert_eq!(maildrop.left().len(), 6, "what came shorter is compared once more");
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_eq!((env.mail().len(), maildrop.count("RETR")), (12, 18));
    // A size of half of the message is not an estimate.
    maildrop.change(|contents| {
        contents.messages = estimated(15..=15);
        contents.messages[0].reported_size = Some(2100);
    });
    for _ in 0..2 {
        env.fetch().expect(1);
    }
    assert_eq!(maildrop.left(), ["u15"]);
}

/// Notices in place of all messages look like estimates: counting them permits nothing, and neither does what somebody
/// writes into the file of hints.
#[test]
fn what_is_counted_in_the_hints_permits_no_deletion() {
    let maildrop = Maildrop::new(estimated(1..=12));
    let env = TestEnv::new(&[account(&maildrop, true)]);
    let hints = env.path("state/a.hints");
    env.fetch().expect(1).says("seem to be estimates").says("sizes_are_estimates = true");
    let counted = std::fs::read_to_string(&hints).unwrap();
    assert!(counted.contains("sizes_off = 12\n"), "{counted}");
    for edited in [
        counted.clone(),
        counted.replace("sizes_off = 12\n", "sizes_off = 255\n"),
        counted.replace("sizes_off = 12\n", "sizes_off = 4294967295\n"),
        String::new(),
    ] {
        std::fs::write(&hints, edited).unwrap();
        env.fetch();
        assert_eq!(maildrop.left().len(), 12);
    }
    std::fs::remove_file(&hints).unwrap();
    env.fetch();
    assert_eq!((maildrop.left().len(), maildrop.count("DELE"), env.mail().len()), (12, 0, 12));
    // The hints of an account at the same server for which all this is true, copied to one that has had a single
    // message.
    let other = Maildrop::new(estimated(13..=14));
    let (port, at) = (maildrop.server.address.port(), other.server.address.port());
    let env = TestEnv::new(&[account(&other, true)]);
    std::fs::create_dir_all(env.path("state")).unwrap();
    let copied = counted.replace(&format!("port = {port}\n"), &format!("port = {at}\n"));
    for words in [&["fetch", "--new-state"][..], &["fetch"], &["fetch"]] {
        std::fs::write(env.path("state/a.hints"), &copied).unwrap();
        env.run(words).expect(1);
    }
    assert_eq!((other.left().len(), other.count("DELE")), (2, 0));
}

/// The messages are unavailable for a while, and a notice is sent in place of each: with its own header, or with that
/// of the message.
#[test]
fn notes_in_place_of_all_messages_make_no_estimates_that_permit_a_deletion() {
    for (sizes, came) in [(900, 600), (300, 600)] {
        let whole: Vec<Vec<u8>> = (1..=12).map(|n| message(n, sizes)).collect();
        let listed: Vec<Message> =
            whole.iter().zip(1..).map(|(bytes, n)| Message::new(&format!("u{n}"), bytes)).collect();
        let notes = |contents: &mut Contents| {
            for n in 1..=12 {
                let note = message(n, came);
                let answer = format!("+OK\r\n{}.\r\n", String::from_utf8_lossy(&note));
                contents.behaviour.answers.push((format!("RETR {n}"), answer));
            }
        };
        let maildrop = Maildrop::new(listed);
        maildrop.change(notes);
        let env = TestEnv::new(&[account(&maildrop, true)]);
        for _ in 0..3 {
            env.fetch().expect(1);
        }
        assert_eq!((maildrop.left().len(), env.mail().len()), (12, 12), "{sizes}");
        maildrop.change(|contents| contents.behaviour.answers.clear());
        env.configure(&[account(&maildrop, true).set("enabled", true)]);
        env.fetch().says("quarantine");
        assert_eq!(maildrop.left().len(), 12);
    }
}

/// Retrieved once more, because they may be notices in place of all mail; but only those of the first session.
#[test]
fn where_mail_stays_what_seem_to_be_estimates_come_once_more() {
    let maildrop = Maildrop::new(estimated(1..=12));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages.extend(estimated(13..=14)));
    env.fetch().expect(0).says("2 new messages");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(maildrop.count("RETR"), 26);
    let maildrop = Maildrop::new(estimated(1..=120));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    env.fetch().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_eq!((maildrop.count("RETR"), env.mail().len()), (220, 120));
}

/// Only the first octets are sent of the messages with these numbers, of a thousand each.
fn in_part(maildrop: &Maildrop, numbers: std::ops::RangeInclusive<usize>) {
    maildrop.change(|contents| {
        // The longest numbers come first, as an answer is found by its prefix.
        contents.behaviour.answers = numbers.rev().map(|n| (n, part(&message(n, 1000), 700))).map(answer_to).collect();
    });
}

fn answer_to((number, bytes): (usize, Vec<u8>)) -> (String, String) {
    (format!("RETR {number}"), answer(&bytes).1)
}

/// An outage: all messages are retrieved again, however many are named.
#[test]
fn all_that_came_in_part_are_retrieved_again_where_mail_stays() {
    let messages = |numbers: std::ops::RangeInclusive<usize>| {
        numbers.map(|n| Message::new(&format!("u{n}"), &message(n, 1000))).collect::<Vec<_>>()
    };
    for (before, last) in [(40, 150), (0, 12)] {
        let maildrop = Maildrop::new(messages(1..=before));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages.extend(messages(before + 1..=last)));
        in_part(&maildrop, before + 1..=last);
        // A dozen alone look like estimates.
        env.fetch().expect(if before > 0 { 1 } else { 0 });
        assert_eq!(env.mail().len(), last);
        maildrop.change(|contents| contents.behaviour.answers.clear());
        env.fetch().expect(0);
        let mails = env.mail();
        for n in 1..=last {
            assert!(mails.contains(&stored(&message(n, 1000))), "{before}, {n}");
        }
        env.fetch().expect(0).says("nothing new");
    }
}

/// If mail stays on the server, only the record says that what was stored is not the whole; it must survive whatever
/// happens in between.
#[test]
fn that_only_a_part_came_is_not_forgotten() {
    for what in ["refused", "not listed", "nothing is listed", "quarantined and not listed"] {
        for top in [true, false] {
            let whole = message(1, 1000);
            let both = [one(&whole), vec![Message::new("2", &message(2, 500))]].concat();
            let maildrop = Maildrop::with(both.clone(), |behaviour| {
                behaviour.top = top;
                behaviour.answers.push(answer(&part(&whole, 700)));
            });
            let env = TestEnv::new(&[account(&maildrop, false)]);
            for _ in 0..if what.starts_with("quar") { 3 } else { 1 } {
                env.fetch().expect(1);
            }
            maildrop.change(|contents| match what {
                "refused" => contents.behaviour.answers = vec![("RETR 1".to_owned(), "-ERR not yet\r\n".to_owned())],
                "nothing is listed" => contents.messages.clear(),
                _ => _ = contents.messages.remove(0),
            });
            env.fetch();
            maildrop.change(|contents| {
                contents.behaviour.answers.clear();
                contents.messages = both;
            });
            env.fetch().expect(0);
            assert!(env.mail().contains(&stored(&whole)), "{what}, {top}");
            env.fetch().expect(0).says("nothing new");
            assert_eq!(env.mail().len(), 3, "{what}, {top}");
        }
    }
}

/// The missing last line has eight octets.
#[test]
fn a_last_line_that_did_not_come_is_no_way_to_count() {
    for deletes in [true, false] {
        let part = b"Message-ID: <1@example.org>\r\n\r\nYour code:\r\n";
        let whole = [&part[..], b"482913\r\n"].concat();
        let maildrop = Maildrop::with(one(&whole), |behaviour| behaviour.answers.push(answer(part)));
        let env = TestEnv::new(&[account(&maildrop, deletes)]);
        env.fetch().expect(1);
        assert_eq!(maildrop.left().len(), 1);
        maildrop.change(|contents| contents.behaviour.answers.clear());
        env.fetch().expect(0);
        assert!(env.mail().contains(&stored(&whole)), "{deletes}");
        assert_eq!(maildrop.left().is_empty(), deletes);
    }
}

/// The server reports the sizes of the others.
#[test]
fn one_without_a_size_is_not_deleted_in_the_session_that_delivers_it() {
    for size in [Some(0), Some(8), None] {
        for at_once in [true, false] {
            let whole = message(2, 1000);
            let mut messages: Vec<Message> =
                (1..=3).map(|n| Message::new(&format!("u{n}"), &message(n, 1000))).collect();
            messages[1].reported_size = size;
            let maildrop = Maildrop::with(Vec::new(), |behaviour| {
                behaviour.answers.push(answer_to((2, part(&whole, 700))));
                if size.is_none() {
                    behaviour.answers.push(("LIST 2".to_owned(), "-ERR not yet\r\n".to_owned()));
                    behaviour.answers.push(("LIST".to_owned(), "+OK\r\n1 1000\r\n3 1000\r\n.\r\n".to_owned()));
                }
            });
            let limit = if at_once {
                account(&maildrop, true)
            } else {
                account(&maildrop, true).text("max_message_size", "1 MB")
            };
            let env = TestEnv::new(&[limit]);
            maildrop.change(|contents| contents.messages = messages);
            env.fetch();
            assert_eq!((maildrop.left(), env.mail().len()), (vec!["u2".to_owned()], 3), "{size:?}, {at_once}");
            maildrop.change(|contents| {
                contents.behaviour.answers.clear();
                contents.messages[0].reported_size = None;
            });
            env.fetch().expect(0);
            assert!(env.mail().contains(&stored(&whole)), "{size:?}, {at_once}");
            env.fetch().expect(0);
            assert!(maildrop.left().is_empty());
        }
    }
}

#[test]
fn a_few_wrong_sizes_make_no_estimates() {
    let mut messages = estimated(1..=12);
    messages[..5].iter_mut().for_each(|message| message.reported_size = None);
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[account(&maildrop, true)]);
    for _ in 0..2 {
        env.fetch().expect(1).says("and 6 more were like that");
        assert_eq!(maildrop.left().len(), 7);
    }
    let mut all: Vec<Vec<u8>> = (1..=12).map(|n| stored(&message(n, 1000))).collect();
    all.sort();
    assert_same_mail(&env.mail(), &all);
}
