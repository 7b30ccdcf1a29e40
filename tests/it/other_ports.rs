//! Another port of the same host may lead to another server: each end of a tunnel is at this machine.

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// How many messages each server has.
const COUNT: usize = 4;

/// A message of one of the servers. Its size is the same on both; `says_much`: its header names it.
fn one_of(server: &str, n: usize, says_much: bool) -> Vec<u8> {
    let named = if says_much { format!("Message-ID: <{server}-{n}@example.org>\r\n") } else { String::new() };
    format!("{named}Subject: alarm {n}\r\n\r\nAt {server}: {n}\r\n").into_bytes()
}

/// The messages of one of the servers, which counts its unique-ids.
fn all_of(server: &str, says_much: bool) -> Vec<Message> {
    (1..=COUNT).map(|n| Message::new(&n.to_string(), &one_of(server, n, says_much))).collect()
}

fn stored_of(servers: &[&str], says_much: bool) -> Vec<Vec<u8>> {
    let all = servers.iter().flat_map(|server| (1..=COUNT).map(|n| stored(&one_of(server, n, says_much))));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

fn account(maildrop: &Maildrop, delete: bool) -> Account {
    let account = Account::at(maildrop.server.address);
    if delete { account.deleting() } else { account }
}

#[test]
fn behind_another_port_unique_ids_and_sizes_show_nothing() {
    for (top, says_much) in [(true, true), (true, false), (false, true), (false, false)] {
        for delete in [false, true] {
            let with_top = |behaviour: &mut Behaviour| behaviour.top = top;
            let one = Maildrop::with(all_of("one", says_much), with_top);
            let two = Maildrop::with(all_of("two", says_much), with_top);
            let env = TestEnv::new(&[account(&one, false)]);
            env.fetch().expect(0);
            env.configure(&[account(&two, delete)]);
            env.fetch().expect(0).says("4 new messages");
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &stored_of(&["one", "two"], says_much));
            assert_eq!(two.left().is_empty(), delete, "{top} {says_much}");
        }
    }
}

/// As after a change from implicit TLS to STLS, or when a tunnel begins at another port.
#[test]
fn at_another_port_of_the_same_server_nothing_comes_twice() {
    let messages = [small_ones(20), all_of("one", false)].concat();
    let all = [small_ones_stored(20), stored_of(&["one"], false)].concat();
    let (one, two) = (Maildrop::new(messages.clone()), Maildrop::new(messages));
    let env = TestEnv::new(&[account(&one, false)]);
    env.fetch().expect(0);
    env.configure(&[account(&two, false)]);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(two.count("RETR"), COUNT, "what headers show is not retrieved");
    let looks = two.count("TOP");
    env.fetch().expect(0).says("nothing new");
    assert_eq!((two.count("RETR"), two.count("TOP")), (COUNT, looks), "once is enough");
    assert_same_mail(&env.mail(), &all);
    env.configure(&[account(&two, true)]);
    env.fetch().expect(0);
    assert!(two.left().is_empty());
    assert_same_mail(&env.mail(), &all);
}

/// The other server shows a message with the unique-id, the size and the header of one that was fetched, and another
/// text. It passes for known where mail stays, and is never deleted unseen.
#[test]
fn behind_another_port_a_header_permits_no_deletion_later_either() {
    let about = |text: &str| format!("Message-ID: <1@example.org>\r\n\r\n{text}\r\n").into_bytes();
    let [one, two] = ["one", "two"].map(|text| Maildrop::new(vec![Message::new("1", &about(text))]));
    let env = TestEnv::new(&[account(&one, false)]);
    env.fetch().expect(0);
    env.configure(&[account(&two, false)]);
    (0..2).for_each(|_| _ = env.fetch().expect(0));
    env.configure(&[account(&two, true)]);
    env.fetch().expect(0);
    assert!(two.left().is_empty());
    assert_same_mail(&env.mail(), &["one", "two"].map(|text| stored(&about(text))));
}

#[test]
fn an_account_for_another_port_has_no_use_for_the_state_of_one_that_is_gone() {
    let (one, two) = (Maildrop::new(all_of("one", true)), Maildrop::new(all_of("two", true)));
    let env = TestEnv::new(&[account(&one, false).named("old")]);
    env.fetch().expect(0);
    env.configure(&[account(&two, false)]);
    env.fetch().expect(0).says("4 new messages");
    env.configure(&[account(&one, false).named("new")]);
    env.fetch().expect(73).says("mv ");
}
