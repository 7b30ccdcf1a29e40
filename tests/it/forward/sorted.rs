//! Some mail is forwarded and some is not, by rules or by recipients: nothing is deleted at the source before all
//! recipients have it.

use std::time::Duration;

use rustix::process::Signal;

use super::*;

/// A message with this header and a body that distinguishes it from others.
fn message(uid: &str, header: &str) -> Message {
    Message::new(uid, &bytes(uid, header))
}

fn bytes(uid: &str, header: &str) -> Vec<u8> {
    format!("Message-ID: <{uid}@example.org>\r\n{header}\r\n\r\nThis is {uid}.\r\n").into_bytes()
}

/// Returns the names of these messages, sorted.
fn named(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let name = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split("This is ").nth(1).unwrap().split('.').next().unwrap().to_owned()
    };
    let mut names: Vec<String> = messages.into_iter().map(name).collect();
    names.sort();
    names
}

/// Returns the names of the messages in a Maildir below the home's `Mail`, sorted.
fn mail_in(env: &TestEnv, maildir: &str) -> Vec<String> {
    named(files(&env.path("Mail").join(maildir).join("new")).iter().map(|path| std::fs::read(path).unwrap()))
}

fn left(maildrop: &Maildrop) -> Vec<String> {
    let mut left = maildrop.left();
    left.sort();
    left
}

fn sent(subjects: &[(&str, &str)]) -> Maildrop {
    Maildrop::new(subjects.iter().map(|(uid, subject)| message(uid, &format!("Subject: {subject}"))).collect())
}

#[test]
fn rules_take_mail_out_of_what_is_forwarded() {
    let maildrop = sent(&[("a", "plain"), ("b", "a report"), ("c", "unsubscribe"), ("d", "an urgent report")]);
    let server = ImapServer::start();
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    let rules = "[{ header = \"Subject\", contains = \"urgent\", forward = true }, \
                  { header = \"Subject\", contains = \"report\", maildir = \"~/Mail/reports\" }, \
                  { header = \"Subject\", equals = \"unsubscribe\", skip = true }]";
    let env = TestEnv::new(&[to(&maildrop, &server, "").set("rules", rules)]);
    env.fetch().expect(75);
    assert_eq!(mail_in(&env, "reports"), ["b"]);
    assert_eq!((left(&maildrop), spool(&env)), (vec!["a".to_owned(), "c".to_owned(), "d".to_owned()], 2));
    env.fetch().expect(75);
    assert_eq!(left(&maildrop), ["a", "c", "d"], "nothing is deleted before it has arrived");
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0).says("2 forwarded");
    env.fetch().expect(0);
    assert_eq!((left(&maildrop), spool(&env)), (vec!["c".to_owned()], 0));
    assert_eq!((named(server.mail()), mail_in(&env, "reports")), (vec!["a".into(), "d".into()], vec!["b".into()]));
}

#[test]
fn a_rule_forwards_some_of_the_mail_of_a_maildir() {
    let maildrop = sent(&[("a", "plain"), ("b", "a report"), ("c", "more")]);
    let server = ImapServer::start();
    let rules = "[{ header = \"Subject\", contains = \"report\", forward = true }, \
                  { header = \"Subject\", equals = \"more\", folder = \"More\" }]";
    let account = to(&maildrop, &server, "").set("rules", rules).text("maildir", "~/Mail/own");
    let env = TestEnv::new(&[account]);
    env.fetch().expect(0).says("1 forwarded");
    assert_eq!((mail_in(&env, "own"), mail_in(&env, "own/.More")), (vec!["a".into()], vec!["c".into()]));
    assert_eq!(left(&maildrop), ["b"], "the next poll deletes it");
    env.fetch().expect(0);
    assert!(left(&maildrop).is_empty());
    assert_eq!((named(server.mail()), spool(&env)), (vec!["b".to_owned()], 0));
    env.fetch().expect(0).says("nothing new");
}

/// A multidrop account: ann has a Maildir, bob's mail is forwarded, and mail for unknown recipients goes to `default`.
fn office(maildrop: &Maildrop, server: &ImapServer, default: &str) -> Account {
    let recipients = "{ \"ann@site.example\" = \"~/Mail/ann\", \"bob@site.example\" = \"forward\" }";
    let table =
        format!("{{ header = \"X-Envelope-To\", recipients = {recipients}, default = {default:?}, one_copy = true }}");
    to(maildrop, server, "").set("multidrop", table)
}

fn sent_to(uid: &str, names: &[&str]) -> Message {
    let fields: String = names.iter().map(|name| format!("X-Envelope-To: {name}@site.example\r\n")).collect();
    message(uid, &format!("{fields}Received: from a.example by mx.hoster.example; Thu, 26 Nov 2026 10:00:00 +0000"))
}

/// Mail for ann, for bob, for both, for the unknown recipient nobody, and for ann and nobody; `rounds` times.
fn office_mail(rounds: usize) -> Maildrop {
    let each: [(&str, &[&str]); 5] = [
        ("ann", &["ann"]),
        ("bob", &["bob"]),
        ("both", &["bob", "ann", "bob"]),
        ("nobody", &["nobody"]),
        ("half", &["ann", "nobody"]),
    ];
    let all = (0..rounds).flat_map(|round| each.map(|(uid, names)| sent_to(&format!("{uid}-{round}"), names)));
    Maildrop::new(all.collect())
}

/// Returns these names with the number of each round, sorted.
fn of_rounds(uids: &[&str], rounds: usize) -> Vec<String> {
    let mut all: Vec<String> =
        (0..rounds).flat_map(|round| uids.iter().map(move |uid| format!("{uid}-{round}"))).collect();
    all.sort();
    all
}

#[test]
fn what_several_people_get_stays_on_the_server_until_each_copy_has_arrived() {
    let (maildrop, server) = (office_mail(1), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    let env = TestEnv::new(&[office(&maildrop, &server, "~/Mail/unclear")]);
    let check = env.run(&["check"]);
    assert!(check.output().contains("bob@site.example: it is forwarded"), "{check:?}");
    env.fetch().expect(75);
    env.fetch().expect(75);
    assert_eq!((left(&maildrop), spool(&env)), (of_rounds(&["bob", "both"], 1), 2));
    server.with(|mailbox| mailbox.login_refusal = None);
    env.run(&["forward"]).expect(0).says("2 forwarded");
    assert_eq!(left(&maildrop).len(), 2);
    env.fetch().expect(0);
    assert_eq!((left(&maildrop).len(), spool(&env)), (0, 0));
    assert_eq!(mail_in(&env, "ann"), of_rounds(&["ann", "both", "half"], 1));
    assert_eq!(mail_in(&env, "unclear"), of_rounds(&["half", "nobody"], 1));
    assert_eq!(named(server.mail()), of_rounds(&["bob", "both"], 1));
}

#[test]
fn killed_at_any_moment_each_has_theirs_once() {
    const ROUNDS: usize = 8;
    let (maildrop, server) = (office_mail(ROUNDS), ImapServer::start());
    let env = TestEnv::new(&[office(&maildrop, &server, "forward")]);
    let forwarded = of_rounds(&["bob", "both", "half", "nobody"], ROUNDS);
    let anns = of_rounds(&["ann", "both", "half"], ROUNDS);
    for _ in 0..15 {
        let running = env.spawn(&["fetch"]);
        std::thread::sleep(Duration::from_millis(fastrand::u64(5..250)));
        running.signal(Signal::KILL);
        running.wait();
        let (left, arrived, ann) = (left(&maildrop), named(server.mail()), mail_in(&env, "ann"));
        let is_left = |uid: &String| left.contains(uid);
        assert!(forwarded.iter().all(|uid| is_left(uid) || arrived.contains(uid)), "{left:?} {arrived:?}");
        assert!(anns.iter().all(|uid| is_left(uid) || ann.contains(uid)), "{left:?} {ann:?}");
    }
    for _ in 0..20 {
        if env.fetch().status == 0 && maildrop.left().is_empty() {
            break;
        }
    }
    env.fetch().expect(0);
    assert_eq!((left(&maildrop).len(), spool(&env)), (0, 0));
    assert_eq!(named(server.mail()), forwarded);
    assert_eq!(mail_in(&env, "ann"), anns);
}
