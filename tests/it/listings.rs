//! Servers whose listings are empty, incomplete, wrong or repetitive. Nothing is lost, duplicated or wrongly deleted.

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

/// The messages that are left, as they would be stored.
fn left_stored(maildrop: &Maildrop) -> Vec<Vec<u8>> {
    let number = |uid: &String| uid.trim_start_matches('u').parse().unwrap();
    maildrop.left().iter().map(|uid| stored(&small(number(uid)))).collect()
}

/// Makes the server answer wrongly for two runs, then correctly for two; checks the statuses and what must hold after
/// each.
fn survives(answers: &[(&str, &str)], statuses: &[i32]) {
    let answers: Vec<_> = answers.iter().map(|(c, a)| ((*c).to_owned(), (*a).to_owned())).collect();
    for delete in [false, true] {
        let wrong = answers.clone();
        let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.answers = wrong);
        let env = TestEnv::new(&[account(&maildrop, delete)]);
        for run in 1..=4 {
            if run == 3 {
                maildrop.change(|contents| contents.behaviour.answers.clear());
            }
            let outcome = env.fetch();
            let allowed = if run < 3 { statuses } else { &[0] };
            assert!(allowed.contains(&outcome.status), "{answers:?}, run {run}: {outcome:#?}");
            let (mail, left) = (env.mail(), left_stored(&maildrop));
            for message in small_ones_stored(3) {
                let copies = mail.iter().filter(|other| **other == message).count();
                assert!(copies <= 1, "{answers:?}, run {run}: delivered {copies} times");
                assert!(copies == 1 || left.contains(&message), "{answers:?}, run {run}: a message is lost");
            }
        }
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 }, "{answers:?}");
    }
}

#[test]
fn an_empty_maildrop_is_nothing_new() {
    let maildrop = Maildrop::new(Vec::new());
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0).says("nothing new");
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn numbers_may_come_in_any_order() {
    // Once they are deleted, this answer lists messages that the server does not have: they are requested and refused.
    survives(&[("UIDL", "+OK\r\n3 u3\r\n1 u1\r\n2 u2\r\n.\r\n")], &[0, 1]);
}

#[test]
fn a_unique_id_listing_may_be_short() {
    survives(&[("UIDL", "+OK\r\n1 u1\r\n3 u3\r\n.\r\n")], &[0, 1, 75, 76]);
    survives(&[("UIDL", "+OK\r\n.\r\n")], &[0, 1, 75, 76]);
}

#[test]
fn a_scan_listing_may_be_short() {
    let size = small(1).len();
    survives(&[("LIST", &format!("+OK\r\n1 {size}\r\n.\r\n"))], &[0, 1, 75, 76]);
    survives(&[("LIST", "-ERR not here\r\n")], &[0, 1, 75, 76]);
}

#[test]
fn a_drop_listing_may_lie() {
    survives(&[("STAT", "+OK 0 0\r\n")], &[0, 1, 75, 76]);
    survives(&[("STAT", "+OK 99 4294967400000\r\n")], &[0, 1, 75, 76]);
    survives(&[("STAT", "+OK -1 many\r\n")], &[0, 1, 75, 76]);
}

#[test]
fn numbers_may_be_out_of_range() {
    survives(&[("UIDL", "+OK\r\n1 u1\r\n2 u2\r\n3 u3\r\n7 u7\r\n.\r\n")], &[0, 1, 75, 76]);
    survives(&[("UIDL", "+OK\r\n0 u0\r\n1 u1\r\n99999999999999999999 u9\r\n.\r\n")], &[0, 1, 75, 76]);
}

#[test]
fn lines_may_be_garbage() {
    survives(&[("UIDL", "+OK\r\nno number\r\n\r\n1\r\n-2 u2\r\n2\r\n\x01\x02\r\n.\r\n")], &[0, 1, 75, 76]);
    survives(&[("UIDL", "-ERR try later\r\n")], &[75, 76]);
}

#[test]
fn a_number_listed_twice_deletes_nothing_wrongly() {
    survives(&[("UIDL", "+OK\r\n1 u1\r\n1 u2\r\n2 u2\r\n3 u3\r\n.\r\n")], &[0, 1, 75, 76]);
}

#[test]
fn sizes_are_hints_only() {
    for reported in [0, 1, 4_294_967_400] {
        let mut messages = small_ones(3);
        messages.iter_mut().for_each(|message| message.reported_size = Some(reported));
        let maildrop = Maildrop::new(messages);
        let env = TestEnv::new(&[account(&maildrop, true)]);
        let outcome = env.fetch().expect(if reported > 1 { 1 } else { 0 });
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        if reported > 1 {
            // What was received is so much shorter than listed that it may be a part.
            assert_eq!(maildrop.left().len(), 3);
            assert!(outcome.stderr.contains("was listed with 4294967400 octets"), "{outcome:#?}");
            env.fetch().expect(1);
            assert_eq!(maildrop.left().len(), 3, "the rest may come yet");
        } else {
            assert!(maildrop.left().is_empty());
        }
        assert_same_mail(&env.mail(), &small_ones_stored(3));
    }
}

#[test]
fn a_repeated_unique_id_hides_no_message() {
    for top in [true, false] {
        for delete in [false, true] {
            let mut messages = small_ones(4);
            for place in [0, 2, 3] {
                messages[place].uid = "same".to_owned();
            }
            let maildrop = Maildrop::with(messages, |behaviour| behaviour.top = top);
            let env = TestEnv::new(&[account(&maildrop, delete)]);
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &small_ones_stored(4));
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &small_ones_stored(4));
            assert_eq!(maildrop.left().len(), if delete { 0 } else { 4 }, "with TOP: {top}");
        }
    }
}

#[test]
fn a_third_message_under_a_repeated_unique_id_is_fetched() {
    let same = |number| Message::new("same", &small(number));
    let maildrop = Maildrop::new(vec![same(1), same(2)]);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages.insert(1, same(3)));
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_unique_id_used_again_for_another_message_hides_nothing() {
    for delete in [false, true] {
        let maildrop = Maildrop::new(vec![Message::new("u", &small(1))]);
        let env = TestEnv::new(&[account(&maildrop, delete)]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = vec![Message::new("u", &small(2))]);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(2));
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(2));
        assert_eq!(maildrop.left().len(), usize::from(!delete));
    }
}

#[test]
fn another_message_under_a_known_unique_id_is_not_deleted_unseen() {
    // First kept, then replaced by another, then the policy changes: only what was delivered may be deleted.
    let maildrop = Maildrop::new(vec![Message::new("u", &small(1))]);
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = vec![Message::new("u", &small(2))]);
    env.configure(&[account(&maildrop, true)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(2));
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_server_that_forgets_for_a_while_is_not_fetched_from_again() {
    for empty in ["+OK\r\n.\r\n", "+OK\r\n1 u2\r\n.\r\n"] {
        let maildrop = Maildrop::new(small_ones(3));
        let env = TestEnv::new(&[account(&maildrop, false)]);
        env.fetch().expect(0);
        let all = maildrop.change(|contents| std::mem::take(&mut contents.messages));
        let kept: Vec<_> = all.iter().filter(|message| empty.contains(&message.uid)).cloned().collect();
        maildrop.change(|contents| contents.messages = kept);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = all);
        env.fetch().expect(0).says("nothing new");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert_eq!(maildrop.count("RETR"), 3);
    }
}

#[test]
fn new_messages_among_old_ones_are_the_only_ones_fetched() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[account(&maildrop, false)]);
    env.fetch().expect(0);
    let mut five = small_ones(5);
    five.rotate_right(2); // the numbers of the old ones change
    maildrop.change(|contents| contents.messages = five);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
    assert_eq!(maildrop.count("RETR"), 5);
}
