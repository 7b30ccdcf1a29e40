//! Servers on which a message does not keep its number for the session, as RFC 1939, section 4, wants it: nothing is
//! deleted that was not retrieved.

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

#[test]
fn messages_that_move_up_when_one_is_marked_are_not_marked_in_its_place() {
    let maildrop = Maildrop::with(small_ones(7), |behaviour| behaviour.moves_up = true);
    let account = Account::at(maildrop.server.address).deleting().set("max_messages_per_session", 3);
    let env = TestEnv::new(&[account]);
    for _ in 0..3 {
        env.fetch().expect(0);
    }
    assert_same_mail(&env.mail(), &small_ones_stored(7));
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_message_that_took_the_number_of_another_is_not_deleted_in_its_place() {
    for pipelining in [true, false] {
        let new = Message::new("new", b"Subject: just come\r\n\r\nThe last of these.\r\n");
        let maildrop = Maildrop::with(small_ones(5), |behaviour| {
            behaviour.pipelining = pipelining;
            behaviour.exchange = Some(new.clone());
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        // A session that noticed it ends, and another one follows.
        env.fetch();
        env.fetch().expect(0);
        let mut all: Vec<Vec<u8>> = (1..=5).map(|n| stored(&small(n))).collect();
        all.push(stored(b"Subject: just come\r\n\r\nThe last of these.\r\n"));
        all.sort();
        assert_same_mail(&env.mail(), &all);
        assert!(maildrop.left().is_empty());
    }
}
