//! Messages that come in another size than they are listed with: a part, or something in their place, is never taken for
//! the whole; a server whose sizes are wrong altogether is not fetched from again and again.

use crate::delivered::assert_same_mail;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Contents, Maildrop, Message};

/// A message of exactly so many octets.
fn message(number: usize, octets: usize) -> Vec<u8> {
    let header = format!("Message-ID: <{number}@example.org>\r\nDate: today\r\nReceived: by mx\r\n\r\n");
    let text = "A line of the text.\r\n".repeat(octets / 20);
    part(format!("{header}{text}").as_bytes(), octets)
}

/// The first octets of a message, as a message.
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

/// The listing runs ahead of the messages: the same part comes under the size of the whole.
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

/// A part, or a note of a scanner that holds the message: shorter or longer.
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

/// Some servers count LF alone at each line's end.
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

/// Messages whose sizes are off by a fifth, one up, one down.
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
    // Half of a message is no estimate of the whole.
    maildrop.change(|contents| {
        contents.messages = estimated(15..=15);
        contents.messages[0].reported_size = Some(2100);
    });
    for _ in 0..2 {
        env.fetch().expect(1);
    }
    assert_eq!(maildrop.left(), ["u15"]);
}

/// Notes in place of all messages look like estimates: what was counted permits nothing, and no more does what somebody
/// writes where it is kept.
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
    // The hints of an account at the same server, of which all this is true, copied to one that has had one message.
    let other = Maildrop::new(estimated(13..=14));
    let (port, at) = (maildrop.server.address.port(), other.server.address.port());
    let env = TestEnv::new(&[account(&other, true)]);
    std::fs::create_dir_all(env.path("state")).unwrap();
    let copied = counted.replace(&format!("port = {port}\n"), &format!("port = {at}\n"));
    for _ in 0..3 {
        std::fs::write(env.path("state/a.hints"), &copied).unwrap();
        env.fetch().expect(1);
    }
    assert_eq!((other.left().len(), other.count("DELE")), (2, 0));
}

/// The messages are out of reach for a while, and each is a note that says so: of its own, or with the header of the message.
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

#[test]
fn where_mail_stays_estimates_cost_nothing() {
    let maildrop = Maildrop::new(estimated(1..=12));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages.extend(estimated(13..=14)));
    env.fetch().expect(0).says("2 new messages");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(maildrop.count("RETR"), 14);
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
