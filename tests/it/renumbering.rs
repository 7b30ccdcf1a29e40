//! A server that gives its messages new unique-ids, as a migration does: nothing is delivered twice, nothing is missed.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

/// The account for this maildrop.
fn account(maildrop: &Maildrop, delete: bool) -> Account {
    let account = Account::at(maildrop.server.address);
    if delete { account.deleting() } else { account }
}

/// A maildrop of this many messages that were fetched and left there.
fn fetched(count: usize) -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(small_ones(count));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    (maildrop, env)
}

/// Gives every message a new unique-id.
fn renumber(maildrop: &Maildrop) {
    maildrop.change(|contents| {
        contents.messages.iter_mut().for_each(|message| message.uid = format!("other-{}", message.uid));
    });
}

/// Returns the record on disk.
fn remembered(env: &TestEnv) -> Vec<u8> {
    std::fs::read(env.path("state").join("a.uids")).unwrap()
}

#[test]
fn so_few_that_no_header_is_asked_for_are_recognised_by_their_bytes() {
    for (count, top) in [(1, true), (4, true), (4, false)] {
        let maildrop = Maildrop::with(small_ones(count), |behaviour| behaviour.top = top);
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        renumber(&maildrop);
        env.fetch().expect(0).says("nothing new");
        assert_same_mail(&env.mail(), &small_ones_stored(count));
        nothing_more_happens(&maildrop, &env);
    }
}

/// Fetches once more: finds nothing, requests nothing and writes nothing.
#[track_caller]
fn nothing_more_happens(maildrop: &Maildrop, env: &TestEnv) {
    let counts = || ["RETR", "TOP", "DELE"].map(|command| maildrop.count(command));
    let (before, state) = (counts(), remembered(env));
    env.fetch().expect(0).says("nothing new");
    assert_eq!(counts(), before);
    assert!(remembered(env) == state, "it writes");
}

#[test]
fn a_renumbered_maildrop_is_not_fetched_again() {
    let (maildrop, env) = fetched(40);
    renumber(&maildrop);
    env.fetch().expect(0).says("nothing new").says("; 40 renumbered by the server and recognised");
    assert_same_mail(&env.mail(), &small_ones_stored(40));
    assert_eq!((maildrop.count("RETR"), maildrop.count("TOP")), (40, 40));
    nothing_more_happens(&maildrop, &env);
    renumber(&maildrop);
    env.fetch().expect(0).says("; 40 renumbered");
    nothing_more_happens(&maildrop, &env);
}

/// What was retrieved before the session broke was in doubt, and its header no proof; then the same bytes were sent
/// again.
#[test]
fn what_was_in_doubt_and_came_again_is_recognised_as_well() {
    let bytes = |n: usize| format!("Message-ID: <{n}@x>\r\nSubject: alarm\r\n\r\nThis is {n}.\r\n").into_bytes();
    let maildrop = Maildrop::new((1..=6).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect());
    maildrop.change(|contents| contents.behaviour.answers_once = vec![("RETR 6".to_owned(), "<close>".to_owned())]);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    (0..2).for_each(|_| _ = env.fetch());
    assert!(maildrop.count("RETR") > 7, "it was in doubt");
    renumber(&maildrop);
    let before = maildrop.count("RETR");
    env.fetch().expect(0).says("nothing new").says("; 6 renumbered");
    assert_eq!((maildrop.count("RETR"), env.mail().len()), (before, 6));
}

/// An unsolicited answer comes before those to TOP, once: the header of a message that has gone meanwhile. Each later
/// message gets the header of the one before it, and the new one, whose own is refused, that of the last, so all seem
/// to be known.
#[test]
fn headers_that_are_out_of_step_adopt_nothing() {
    // All have one size, so that a header alone tells them apart.
    let bytes = |n: usize| format!("Message-ID: <{n}@x>\r\nSubject: alarm\r\n\r\nThis is {n}.\r\n").into_bytes();
    let alarm = |n: usize| Message::new(&format!("u{n}"), &bytes(n));
    let answer = |n: usize| format!("+OK\r\nMessage-ID: <{n}@x>\r\nSubject: alarm\r\n\r\n.\r\n");
    let maildrop = Maildrop::new((1..=6).map(alarm).collect());
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| {
        contents.messages.remove(0);
        contents.messages.push(alarm(7));
        let refusal = "-ERR busy\r\n".to_owned();
        contents.behaviour.answers_once =
            vec![("TOP 1 ".to_owned(), answer(1) + &answer(2)), ("TOP 6 ".to_owned(), refusal)];
    });
    renumber(&maildrop);
    (0..3).for_each(|_| _ = env.fetch());
    let mut expected: Vec<Vec<u8>> = (1..=7).map(|n| stored(&bytes(n))).collect();
    expected.sort();
    let mut mail = env.mail();
    mail.dedup();
    assert_same_mail(&mail, &expected);
}

#[test]
fn new_mail_among_renumbered_messages_is_fetched() {
    let (maildrop, env) = fetched(30);
    maildrop.change(|contents| {
        contents.messages = small_ones(37);
        contents.messages.rotate_right(5); // the numbers of the old ones change, too
        contents.messages.retain(|message| message.uid != "u4"); // somebody else deleted it
    });
    renumber(&maildrop);
    env.fetch().expect(0).says("7 new messages").says("; 29 renumbered");
    assert_same_mail(&env.mail(), &small_ones_stored(37));
    assert_eq!(maildrop.count("RETR"), 37);
    nothing_more_happens(&maildrop, &env);
}

#[test]
fn what_was_renumbered_is_deleted_when_the_policy_says_so() {
    let (maildrop, env) = fetched(12);
    renumber(&maildrop);
    env.configure(&[account(&maildrop, true)]);
    env.fetch().expect(0).says("12 deleted on the server");
    assert_same_mail(&env.mail(), &small_ones_stored(12));
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_dry_run_recognises_and_writes_nothing() {
    let (maildrop, env) = fetched(12);
    renumber(&maildrop);
    let before = env.everything();
    env.run(&["fetch", "--dry-run"]).expect(0).says("would fetch nothing; delete none; leave ").says("; 12 renumbered");
    assert!(env.everything() == before, "a file has changed");
}

#[test]
fn equal_headers_are_counted() {
    for (header, new, renumbered) in [("Date: 1\r\nSubject: twin", 1, 8), ("Subject: twin", 3, 6)] {
        let twin = |uid: &str, body: &str| Message::new(uid, format!("{header}\r\n\r\n{body}\r\n").as_bytes());
        let maildrop = Maildrop::new(small_ones(6));
        maildrop.change(|contents| contents.messages.extend([twin("t1", "first"), twin("t2", "the second")]));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages.insert(7, twin("t3", "a third one, between the two")));
        renumber(&maildrop);
        let said = format!("{new} new message");
        env.fetch().expect(0).says(&said).says(&format!("; {renumbered} renumbered"));
        let mut expected = small_ones_stored(6);
        let all = ["first", "the second", "a third one, between the two"];
        // A header that says little adopts nothing: such a message is delivered a second time.
        for body in all.iter().chain(&all[..new - 1]) {
            expected.push(stored(format!("{header}\r\n\r\n{body}\r\n").as_bytes()));
        }
        expected.sort();
        assert_same_mail(&env.mail(), &expected);
        nothing_more_happens(&maildrop, &env);
    }
}

#[test]
fn on_another_host_even_one_message_is_recognised() {
    for others in [0, 2] {
        let (maildrop, env) = fetched(1);
        maildrop.change(|contents| contents.messages = small_ones(1 + others));
        renumber(&maildrop);
        env.configure(&[account(&maildrop, false).text("host", "localhost")]);
        let notifications = if others == 0 { "nothing new" } else { "2 new messages" };
        env.fetch().expect(0).says(notifications).says("; 1 renumbered");
        assert_same_mail(&env.mail(), &small_ones_stored(1 + others));
        nothing_more_happens(&maildrop, &env);
    }
}

#[test]
fn on_another_host_a_known_unique_id_may_name_another_message() {
    let first = b"Message-ID: <1@example.org>\r\n\r\nThe one.\r\n";
    let second = b"Message-ID: <2@example.org>\r\n\r\nThe two.\r\n";
    let maildrop = Maildrop::new(vec![Message::new("1", first)]);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = vec![Message::new("1", second)]);
    env.configure(&[account(&maildrop, false).text("host", "localhost")]);
    env.fetch().expect(0).says("1 new message");
    assert_same_mail(&env.mail(), &[stored(first), stored(second)]);
    nothing_more_happens(&maildrop, &env);
}

#[test]
fn a_migration_that_begins_with_an_empty_maildrop_brings_nothing_twice() {
    let (maildrop, env) = fetched(20);
    let all = maildrop.change(|contents| std::mem::take(&mut contents.messages));
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = all);
    renumber(&maildrop);
    env.fetch().expect(0).says("nothing new").says("; 20 renumbered");
    assert_same_mail(&env.mail(), &small_ones_stored(20));
    nothing_more_happens(&maildrop, &env);
}

#[test]
fn unique_ids_that_only_count_the_messages_bring_nothing_twice() {
    let (maildrop, env) = fetched(20);
    maildrop.change(|contents| {
        contents.messages.remove(0);
        for (number, message) in contents.messages.iter_mut().enumerate() {
            message.uid = format!("u{}", number + 1);
        }
    });
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(20));
    nothing_more_happens(&maildrop, &env);
}

/// Takes TOP from a server. If it is not in CAPA, the server can only refuse it.
fn without_top(maildrop: &Maildrop, announced: bool) {
    maildrop.change(|contents| {
        contents.behaviour.top = false;
        contents.behaviour.capabilities.take_if(|_| !announced);
    });
}

#[test]
fn without_top_a_renumbered_maildrop_is_compared_by_its_bytes() {
    for announced in [true, false] {
        let (maildrop, env) = fetched(30);
        maildrop.change(|contents| contents.messages.extend(small_ones(31).pop()));
        renumber(&maildrop);
        without_top(&maildrop, announced);
        env.fetch().expect(0).says("1 new message").says("; 30 renumbered by the server and recognised");
        assert_same_mail(&env.mail(), &small_ones_stored(31));
        assert_eq!(maildrop.count("RETR"), 61);
        nothing_more_happens(&maildrop, &env);
        renumber(&maildrop);
        env.configure(&[account(&maildrop, true)]);
        env.fetch().expect(0).says("31 deleted on the server");
        assert_same_mail(&env.mail(), &small_ones_stored(31));
        assert!(maildrop.left().is_empty());
    }
}

/// The session breaks at a message when others have been recognised by their bytes.
#[test]
fn what_was_recognised_before_a_session_broke_comes_no_second_time() {
    let (maildrop, env) = fetched(40);
    renumber(&maildrop);
    without_top(&maildrop, true);
    maildrop.change(|contents| contents.behaviour.answers_once = vec![("RETR 29".to_owned(), "<close>".to_owned())]);
    (0..2).for_each(|_| _ = env.fetch());
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(40));
    assert!(maildrop.count("RETR") < 40 + 40 + 20, "it began anew");
    nothing_more_happens(&maildrop, &env);
}

/// A device sends alarms whose headers say little. Webmail removes them, and others come.
#[test]
fn alarms_in_place_of_others_are_fetched_though_their_headers_say_little() {
    for (top, text, again) in [(true, "new", 0), (false, "new", 0), (true, "old", 12), (false, "old", 12)] {
        let bytes =
            |n: usize, text: &str| format!("From: ups@x\r\nSubject: alarm {n}\r\n\r\n{text} {n}.\r\n").into_bytes();
        let alarms = |first: usize, text: &str| -> Vec<Message> {
            (1..=12).map(|n| Message::new(&format!("u{}", first + n), &bytes(n, text))).collect()
        };
        let maildrop = Maildrop::new(alarms(0, "old"));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0).says("12 new messages");
        maildrop.change(|contents| (contents.messages, contents.behaviour.top) = (alarms(100, text), top));
        // Equal bytes do not show that these are no new alarms.
        env.fetch().expect(0).says("12 new messages");
        let mut expected: Vec<Vec<u8>> =
            ["old", text].iter().flat_map(|text| (1..=12).map(|n| stored(&bytes(n, text)))).collect();
        expected.sort();
        assert_same_mail(&env.mail(), &expected);
        assert_eq!(expected.windows(2).filter(|two| two[0] == two[1]).count(), again);
        nothing_more_happens(&maildrop, &env);
    }
}

/// Nothing is remembered of what a person said was fetched.
#[test]
fn what_cannot_be_recognised_by_anything_is_a_question_to_the_user() {
    let maildrop = Maildrop::new(small_ones(30));
    without_top(&maildrop, true);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0);
    renumber(&maildrop);
    let before = remembered(&env);
    env.fetch().expect(73).says("30 messages could be fetched a second time").says("--fetch-again a");
    assert!(remembered(&env) == before, "it writes");
    assert_eq!(maildrop.count("RETR"), 0);
    maildrop.server.wait_until_idle();
    assert!(maildrop.server.sessions().iter().all(|session| session.quit));
    env.run(&["fetch", "--fetch-again", "a"]).expect(0).says("30 new messages");
    assert_same_mail(&env.mail(), &small_ones_stored(30));
    nothing_more_happens(&maildrop, &env);
}

#[test]
fn without_top_a_maildrop_in_portions_is_no_question() {
    for top in [true, false] {
        // Each has its own size, as real mail has.
        let bytes = |n: usize| [small(n), b"x".repeat(97 * n), b"\r\n".to_vec()].concat();
        let messages = (1..=750).map(|n| Message::new(&format!("u{n}"), &bytes(n))).collect();
        let maildrop = Maildrop::with(messages, |behaviour| {
            behaviour.window = Some(250);
            behaviour.top = top;
        });
        let env = TestEnv::in_memory(&[account(&maildrop, false)]);
        env.fetch().expect(0).says("750 new messages");
        assert_eq!(env.mail().len(), 750);
        assert!(maildrop.count("TOP") <= 2 * 20, "a sample of each portion has to do");
    }
}

#[test]
fn new_unique_ids_at_each_session_bring_nothing_again_and_again() {
    for top in [true, false] {
        let maildrop = Maildrop::with(small_ones(3), |behaviour| {
            behaviour.new_names = true;
            behaviour.top = top;
        });
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0).says("3 new messages");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        env.fetch().expect(0).says("nothing new").says("; 3 renumbered");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
    }
}

/// Two alarms are the same to the byte; the server makes new unique-ids in each session.
#[test]
fn where_unique_ids_last_for_a_session_only_the_same_bytes_are_enough() {
    let alarm = |n: usize| format!("From: ups@x\r\nSubject: alarm\r\n\r\n{}.\r\n", n.min(7)).into_bytes();
    for top in [true, false] {
        let maildrop =
            Maildrop::with((1..=8).map(|n| Message::new(&format!("u{n}"), &alarm(n))).collect(), |behaviour| {
                behaviour.new_names = true;
                behaviour.top = top;
            });
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0).says("8 new messages");
        (0..2).for_each(|_| _ = env.fetch().expect(0).says("nothing new").says("; 8 renumbered"));
        assert_eq!(env.mail().len(), 8);
        maildrop.change(|contents| contents.messages.push(Message::new("u9", &alarm(7))));
        env.fetch().expect(0).says("1 new message ").says("; 8 renumbered");
        assert_eq!(env.mail().len(), 9, "each that has vanished serves one message");
    }
}

/// A server that makes new unique-ids in each session, with this many alarms: of one size, with headers that say little.
fn with_new_names(count: usize, top: bool) -> Maildrop {
    let alarm = |n: usize| Message::new(&format!("u{n}"), &alarm(n));
    Maildrop::with((1..=count).map(alarm).collect(), |behaviour| {
        (behaviour.new_names, behaviour.top) = (true, top);
    })
}

fn alarm(n: usize) -> Vec<u8> {
    format!("From: ups@x\r\nSubject: alarm\r\n\r\nThis is {n:03}.\r\n").into_bytes()
}

/// Messages with headers of their own.
fn others(first: usize, last: usize) -> impl Iterator<Item = Message> {
    (first..=last).map(|n| Message::new(&format!("other{n}"), &small(n)))
}

/// Breaks the connection at a message, once.
fn break_once_at(maildrop: &Maildrop, number: usize) {
    let close = (format!("RETR {number}"), "<close>".to_owned());
    maildrop.change(|contents| contents.behaviour.answers_once.push(close));
}

#[test]
fn where_unique_ids_last_for_a_session_only_one_that_breaks_brings_nothing_twice() {
    for top in [true, false] {
        let maildrop = with_new_names(8, top);
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0).says("8 new messages");
        for number in [5, 8, 1] {
            break_once_at(&maildrop, number);
            env.fetch().expect(0).says("nothing new").says("the session broke at a message");
            env.fetch().expect(0).says("nothing new").says("; 8 renumbered");
            assert_eq!(env.mail().len(), 8, "{top}, {number}");
        }
    }
}

/// Then what the broken session reached may come once more, since doubt permits no deletion. Nothing goes unstored.
#[test]
fn where_unique_ids_last_for_a_session_only_one_that_breaks_does_not_keep_messages_from_being_deleted() {
    let maildrop = with_new_names(8, true);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0).says("8 new messages");
    env.configure(&[account(&maildrop, true)]);
    break_once_at(&maildrop, 5);
    env.fetch().expect(0).says("the session broke at a message");
    let mut mail = env.mail();
    assert!(mail.len() <= 8 + 4, "{} came", mail.len());
    mail.dedup();
    assert_same_mail(&mail, &(1..=8).map(|n| stored(&alarm(n))).collect::<Vec<_>>());
    assert!(maildrop.left().is_empty());
}

/// A message that goes on and on breaks the session in which the others are recognised, each time that it has its turn.
#[test]
fn where_unique_ids_last_for_a_session_only_a_message_without_end_brings_nothing_again() {
    // Of so many, the session learns in between that those that came are what they seem to be.
    for (top, delete, count) in [(true, false, 50), (false, false, 50), (true, true, 50), (false, true, 240)] {
        let maildrop = with_new_names(count, top);
        let limited = |delete| account(&maildrop, delete).text("max_message_size", "8 KiB");
        let env = TestEnv::new(&[limited(false)]);
        env.fetch().expect(0).says(&format!("{count} new messages"));
        env.configure(&[limited(delete)]);
        maildrop.change(|contents| {
            let answer = format!("+OK\r\n\r\n{}.", "on and on\r\n".repeat(80_000));
            let giant = Message::new("giant", b"Subject: giant\r\n\r\nThe listing has the size of this.\r\n");
            contents.messages.push(Message { refusal: Some(answer), ..giant });
        });
        for _ in 0..3 {
            let _ = env.fetch();
            assert_eq!(env.mail().len(), count, "{top}, {delete}, {count}");
            // Without its hints it does not know the message, which has its turn again.
            let _ = std::fs::remove_file(env.path("state").join("a.hints"));
        }
        assert_eq!(maildrop.left().len(), if delete { 1 } else { count + 1 }, "{top}, {delete}, {count}");
    }
}

/// The connection for the second look fails. That is no reason to do without it.
#[test]
fn where_unique_ids_last_for_a_session_only_a_lost_connection_changes_nothing() {
    let maildrop = with_new_names(8, true);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0).says("8 new messages");
    maildrop.change(|contents| (contents.behaviour.logins, contents.behaviour.closes_instead) = (Some(1), true));
    assert_ne!(env.fetch().status, 0, "the second login fails");
    maildrop.change(|contents| contents.behaviour.logins = None);
    env.fetch().expect(0).says("nothing new").says("; 8 renumbered");
    assert_eq!(env.mail().len(), 8);
}

/// Most of the headers say little; of the others, some were removed by webmail.
#[test]
fn where_unique_ids_last_for_a_session_only_few_strong_headers_bring_nothing_again() {
    for (top, weak, strong, removed) in [(true, 4, 1, 0), (true, 7, 3, 3), (true, 0, 6, 4), (false, 3, 2, 0)] {
        let maildrop = with_new_names(weak, top);
        maildrop.change(|contents| contents.messages.extend(others(1, strong)));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        maildrop.change(|contents| {
            contents.messages.drain(weak..weak + removed);
            contents.messages.extend(others(strong + 1, strong + 3));
        });
        env.fetch().expect(0).says("3 new messages");
        for _ in 0..2 {
            env.fetch().expect(0).says("nothing new");
            assert_eq!(env.mail().len(), weak + strong + 3, "{top}, {weak}, {strong}, {removed}");
        }
    }
}

/// The limit would be used up by the old messages, in each poll.
#[test]
fn where_unique_ids_last_for_a_session_only_a_limit_keeps_no_new_mail_back() {
    for (top, known, most) in [(false, 8, 3), (false, 3, 1), (true, 8, 3)] {
        let sized =
            |n: usize| Message::new(&format!("u{n}"), &[small(n), b"x".repeat(97 * n), b"\r\n".to_vec()].concat());
        let maildrop = Maildrop::with((1..=known).map(sized).collect(), |behaviour| {
            (behaviour.new_names, behaviour.top) = (true, top);
        });
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        env.configure(&[account(&maildrop, false).set("max_messages_per_session", most)]);
        maildrop.change(|contents| contents.messages.extend([sized(known + 1), sized(known + 2)]));
        env.fetch().expect(0).says("2 new messages");
        env.fetch().expect(0).says("nothing new");
        assert_eq!(env.mail().len(), known + 2, "{top}, {known}, {most}");
    }
}

/// Its unique-id is another one in each session, so nothing else shows that it is the same message.
#[test]
fn where_unique_ids_last_for_a_session_only_one_at_which_it_breaks_keeps_no_other_back() {
    for (place, top, delete) in [(2, true, false), (2, false, false), (2, false, true), (0, true, true)] {
        let maildrop = with_new_names(0, top);
        maildrop.change(|contents| {
            contents.messages = small_ones(6);
            contents.messages[place].refusal = Some("<close>".to_owned());
        });
        let env = TestEnv::new(&[account(&maildrop, delete)]);
        env.fetch().expect(75);
        let mut others = small_ones_stored(6);
        others.remove(place);
        for _ in 0..2 {
            env.fetch().expect(1).says("could not be fetched");
            assert_same_mail(&env.mail(), &others);
        }
        assert_eq!(maildrop.left().len(), if delete { 1 } else { 6 }, "{place}, {top}, {delete}");
        env.fetch().expect(1);
        env.fetch().expect(0).says("failed time and again");
        maildrop.change(|contents| contents.messages.iter_mut().for_each(|message| message.refusal = None));
        let _ = std::fs::remove_file(env.path("state").join("a.hints"));
        env.fetch().expect(0).says("1 new message");
        assert_same_mail(&env.mail(), &small_ones_stored(6));
    }
}

/// STAT counts one more than UIDL and LIST have, in each session.
#[test]
fn where_unique_ids_last_for_a_session_only_listings_that_are_never_complete_bring_nothing_again() {
    for (top, count) in [(true, 7), (false, 7), (true, 3), (false, 3)] {
        let maildrop = with_new_names(count, top);
        maildrop.change(|contents| {
            contents.messages.extend(others(1, count));
            contents.behaviour.answers = vec![("STAT".to_owned(), format!("+OK {} 9999\r\n", 2 * count + 1))];
        });
        let env = TestEnv::new(&[account(&maildrop, false)]);
        for _ in 0..3 {
            env.fetch().expect(0);
            assert_eq!(env.mail().len(), 2 * count, "{top}, {count}");
        }
    }
}
