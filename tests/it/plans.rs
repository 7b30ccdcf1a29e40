//! `fetch --dry-run` says what would be done, and does nothing.

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, Message};

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would_do() {
    for delete in [false, true] {
        let maildrop = Maildrop::new(small_ones(3));
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let before = env.everything();
        env.run(&["fetch", "--dry-run"]).expect(0).says("would").says("3");
        assert_eq!(env.everything().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert!(env.everything() == before, "a file has changed");
        assert_eq!((maildrop.count("RETR"), maildrop.count("DELE")), (0, 0));

        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = small_ones(5));
        let before = env.everything();
        env.run(&["fetch", "--dry-run"]).expect(0).says("would");
        assert!(env.everything() == before, "a file has changed");
        assert_eq!(maildrop.left().len(), 5);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(5));
    }
}

#[test]
fn a_dry_run_says_where_each_message_would_go_and_what_a_rule_skips() {
    let message = |uid: &str, header: &str| Message::new(uid, format!("{header}\r\n\r\nThis is {uid}.\r\n").as_bytes());
    let messages = || {
        vec![
            message("plain", "Subject: hello"),
            message("list", "List-Id: <dev.example.org>"),
            message("unwanted", "Subject: unsubscribe"),
        ]
    };
    let rules = "[{ header = \"List-Id\", contains = \"<dev.example.org>\", folder = \"Dev\" }, \
                 { header = \"Subject\", contains = \"unsubscribe\", skip = true }]";
    let maildrop = Maildrop::new(messages());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("rules", rules.to_owned()).deleting()]);
    let before = env.everything();
    let own = env.path("Mail/a").display().to_string();
    let said = env.run(&["fetch", "--dry-run"]).expect(0).stdout;
    for words in [
        format!(
            ": 1 into {own}, 1 into {own}/.Dev; delete these once they are delivered; leave 1 on the server (1 left there"
        ),
        format!("  fetch message 1 (unique-id plain, {} B) into {own}\n", messages()[0].size()),
        format!("  fetch message 2 (unique-id list, {} B) into {own}/.Dev\n", messages()[1].size()),
        format!("  leave message 3 (unique-id unwanted, {} B): left there by a rule\n", messages()[2].size()),
    ] {
        assert!(said.contains(&words), "{words:?} is not in {said}");
    }
    assert!(env.everything() == before, "a file has changed");
    assert_eq!((maildrop.count("RETR"), maildrop.count("DELE"), maildrop.count("QUIT")), (0, 0, 1));
    // Where the server has no TOP, or refuses it for a message, that is unknown.
    let refusing = |behaviour: &mut crate::scripted::maildrop::Behaviour| {
        behaviour.answers.push(("TOP 3".to_owned(), "-ERR not now\r\n".to_owned()));
    };
    let maildrop = Maildrop::with(messages(), refusing);
    env.configure(&[Account::at(maildrop.server.address).set("rules", rules.to_owned()).deleting()]);
    env.run(&["fetch", "--dry-run"])
        .expect(0)
        .says("delete these once they are delivered, unless a rule skips them; leave none on the server, and ")
        .says("those of 1 message that a rule skips: the server does not show their headers (TOP)");
    let script = env.run(&["-q", "fetch", "--dry-run", "--json"]).expect(0).stdout;
    assert!(script.contains("\"may_stay\":1") && script.contains("\"stay\":0"), "{script}");
    env.fetch().expect(0);
    assert_eq!(maildrop.left(), ["unwanted"]);
    // It shows the header only when asked again.
    let env = TestEnv::new(&[]);
    let maildrop = Maildrop::with(messages(), |behaviour| {
        behaviour.answers_once.push(("TOP 3".to_owned(), "-ERR not now\r\n".to_owned()));
    });
    env.configure(&[Account::at(maildrop.server.address).set("rules", rules.to_owned()).deleting()]);
    env.run(&["fetch", "--dry-run"])
        .expect(0)
        .says("unless a rule skips them; leave 1 on the server\n")
        .says(&format!("into {}; it stays on the server, by a rule\n", env.path("Mail/a").display()));
    let maildrop = Maildrop::with(messages(), |behaviour| behaviour.top = false);
    env.configure(&[Account::at(maildrop.server.address).set("rules", rules.to_owned())]);
    env.run(&["fetch", "--dry-run"])
        .expect(0)
        .says("where 3 messages would go is not known: the server shows no headers");
}
