//! A poll that finds what the last one left ends after the listing: nothing is read or planned. And nothing else is
//! ever mistaken for that.

use std::fs;

use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Contents, Maildrop, Message};

/// Returns the commands of the last session, without their arguments.
fn commands(maildrop: &Maildrop) -> Vec<String> {
    maildrop.server.wait_until_idle();
    let session = maildrop.server.sessions().pop().unwrap();
    session.lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Whether the last session recognised the listing: it asked for no sizes and nothing else.
fn was_recognised(maildrop: &Maildrop) -> bool {
    commands(maildrop) == ["AUTH", "CAPA", "STAT", "UIDL", "QUIT"]
}

/// An account that has fetched three messages, and then polled twice without anything new: the first of these polls
/// looked at everything.
fn at_rest(settings: &[(&'static str, &str)]) -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(small_ones(3));
    let account = settings.iter().fold(Account::at(maildrop.server.address), |a, (key, value)| a.text(key, value));
    let env = TestEnv::in_memory(&[account]);
    env.fetch().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert!(commands(&maildrop).contains(&"LIST".to_owned()), "the first look behind new mail is a full one");
    env.fetch().expect(0).says("nothing new").says("3 on the server");
    assert!(was_recognised(&maildrop), "{:?}", commands(&maildrop));
    (maildrop, env)
}

#[test]
fn the_same_listing_over_a_clean_state_is_recognised_and_nothing_is_written() {
    let (maildrop, env) = at_rest(&[]);
    let before = fs::metadata(env.path("state/a.uids")).unwrap().modified().unwrap();
    let hints = fs::read(env.path("state/a.hints")).unwrap();
    env.fetch().expect(0).says("nothing new");
    assert!(was_recognised(&maildrop));
    assert_eq!(fs::metadata(env.path("state/a.uids")).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read(env.path("state/a.hints")).unwrap(), hints);
    assert_eq!(maildrop.server.count("QUIT"), maildrop.server.sessions().len(), "each ended in order");
}

#[test]
fn no_changed_listing_is_taken_for_the_same() {
    type Change = fn(&mut Contents);
    let changes: [(&str, Change, usize); 5] = [
        ("one more", |contents| contents.messages.push(Message::new("new", b"Subject: new\n\nnew\n")), 4),
        ("a unique-id", |contents| contents.messages[1].uid = "other".to_owned(), 4),
        (
            "another size",
            |contents| contents.messages[1] = Message::new("u2", b"Subject: another\n\nlonger than it was\n"),
            4,
        ),
        ("one less", |contents| contents.messages.truncate(2), 3),
        ("the order", |contents| contents.messages.swap(0, 2), 3),
    ];
    for (what, change, mails) in changes {
        let (maildrop, env) = at_rest(&[]);
        maildrop.change(|contents| {
            // The small ones' unique-ids stay; the middle message is replaced under its own one.
            let name = contents.messages[1].uid.clone();
            change(contents);
            if what == "another size" {
                contents.messages[1].uid = name;
            }
        });
        env.fetch().expect(0);
        assert!(!was_recognised(&maildrop) && commands(&maildrop).contains(&"LIST".to_owned()), "{what}");
        assert_eq!(env.mail().len(), mails, "{what}");
        env.fetch().expect(0).says("nothing new");
    }
}

#[test]
fn where_stat_does_not_tell_the_sizes_every_listing_is_looked_at() {
    for stat in ["+OK 3 0\r\n", "+OK 3 1234567\r\n"] {
        let maildrop = Maildrop::with(small_ones(3), |behaviour| {
            behaviour.answers.push(("STAT".to_owned(), stat.to_owned()));
        });
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        (0..3).for_each(|_| _ = env.fetch().expect(0));
        assert!(commands(&maildrop).contains(&"LIST".to_owned()), "{stat}");
        maildrop.change(|contents| {
            let grown = Message::new(&contents.messages[1].uid, b"Subject: another\n\nlonger than it was\n");
            contents.messages[1] = grown;
        });
        env.fetch().expect(0);
        assert_eq!(env.mail().len(), 4, "{stat}");
    }
}

#[test]
fn a_state_that_is_another_one_is_read() {
    let (maildrop, env) = at_rest(&[]);
    let state = env.path("state/a.uids");
    let bytes = fs::read(&state).unwrap();
    // The same bytes in another file.
    fs::remove_file(&state).unwrap();
    fs::write(&state, &bytes).unwrap();
    env.fetch().expect(0).says("nothing new");
    assert!(!was_recognised(&maildrop));
    env.fetch().expect(0).says("nothing new");
    assert!(was_recognised(&maildrop), "that was a full look");
    // The same file, edited in place.
    let mut edited = bytes.clone();
    *edited.last_mut().unwrap() ^= 1;
    fs::write(&state, &edited).unwrap();
    env.fetch().expect(0).says("3 on the server");
    assert!(!was_recognised(&maildrop));
    fs::remove_file(&state).unwrap();
    env.fetch().expect(73);
}

#[test]
fn a_maildir_that_is_gone_or_another_one_is_noticed() {
    let (_maildrop, env) = at_rest(&[]);
    fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
    env.fetch().expect(73);
    fs::rename(env.path("elsewhere"), env.maildir("a")).unwrap();
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn another_configuration_is_looked_at_anew() {
    let (maildrop, env) = at_rest(&[]);
    env.configure(&[Account::at(maildrop.server.address).set("leave_on_server", false)]);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty(), "what stayed behind goes");
}

#[test]
fn what_waits_for_its_age_or_in_quarantine_is_not_left_unseen() {
    let (maildrop, env) = at_rest(&[("leave_on_server", "1d")]);
    let hints = fs::read_to_string(env.path("state/a.hints")).unwrap();
    let holds: u64 = hints.split("holds = ").nth(1).unwrap().split('\n').next().unwrap().parse().unwrap();
    assert!((86_000..=86_400).contains(&holds), "no longer than until the first one is due: {hints}");
    maildrop.change(|contents| {
        let mut bad = Message::new("bad", b"Subject: bad\n\n");
        bad.refusal = Some("-ERR not this one\r\n".to_owned());
        contents.messages.push(bad);
    });
    env.fetch().expect(1);
    env.fetch();
    assert!(!was_recognised(&maildrop), "a message that was refused is tried again");
}
