//! What a rule leaves on the server, where unique-ids do not tell messages apart.

use crate::delivered::assert_same_mail;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

/// The rule leaves bulk mail there.
const RULE: &str = r#"[{ header = "List-Id", equals = "bulk", skip = true }]"#;

fn account(maildrop: &Maildrop) -> Account {
    Account::at(maildrop.server.address).set("rules", RULE)
}

/// A message whose size is that of all others, bulk mail or not.
fn message(n: usize, list: &str, strong: bool) -> Vec<u8> {
    let named = if strong { format!("Message-ID: <{n}@example.org>\r\n") } else { String::new() };
    format!("{named}List-Id: {list}\r\nSubject: one of many\r\n\r\nThis is {n}.\r\n").into_bytes()
}

/// Which of the two is which, only the bytes of both show.
#[test]
fn of_several_under_a_unique_id_all_are_compared_before_one_is_deleted() {
    let (bulk, good) = (message(1, "bulk", false), message(2, "good", false));
    let maildrop = Maildrop::new(vec![Message::new("u", &bulk), Message::new("u", &good)]);
    let env = TestEnv::new(&[account(&maildrop)]);
    // The one that comes first is stored in the end, because nothing but its bytes tells it from the other.
    (0..3).for_each(|_| drop(env.fetch().expect(0)));
    env.configure(&[account(&maildrop).deleting()]);
    (0..2).for_each(|_| drop(env.fetch().expect(0)));
    assert_same_mail(&env.mail(), &[stored(&bulk), stored(&good)]);
    assert_eq!(maildrop.left().len(), 1);
}

/// Numbers shift when messages before are deleted: what a rule leaves there moves to unique-ids that others had.
#[test]
fn what_moves_up_to_other_unique_ids_is_left_there_and_hides_nothing() {
    for strong in [true, false] {
        let (mut good, mut all) = (Vec::new(), Vec::new());
        let maildrop = Maildrop::with(Vec::new(), |behaviour| behaviour.counts = true);
        let env = TestEnv::new(&[account(&maildrop).deleting()]);
        let days =
            [&["good", "bulk"][..], &["good"], &["bulk", "good", "good"], &[], &["good", "bulk", "good"], &["good"]];
        for lists in days {
            for list in lists {
                all.push(*list);
                let bytes = message(all.len() + 10, list, strong);
                good.extend((*list == "good").then(|| stored(&bytes)));
                maildrop.change(|contents| contents.messages.push(Message::new("", &bytes)));
            }
            env.fetch().expect(0);
        }
        assert_same_mail(&env.mail(), &good);
        assert_eq!(maildrop.left().len(), 3, "{strong}");
        let before = (maildrop.count("TOP"), maildrop.count("RETR"));
        env.fetch().expect(0).says("nothing new");
        assert_eq!((maildrop.count("TOP"), maildrop.count("RETR")), before, "{strong}");
    }
}
