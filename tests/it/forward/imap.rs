//! Forwarding to an IMAP mailbox: each message arrives once, whatever happens to the answers.

use std::time::Duration;

use super::*;
use crate::scripted::imap::Naming;

mod evidence;
mod logins;
mod lost_answers;
mod mailboxes;
mod refusals;
mod uidvalidity;

/// Fetches until everything has arrived, and once more; then the mailbox must have each small message once.
fn all_arrive(env: &TestEnv, maildrop: &Maildrop, server: &ImapServer, count: usize) {
    for _ in 0..10 {
        env.fetch();
        if maildrop.left().is_empty() {
            break;
        }
    }
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(count));
    assert_eq!((maildrop.left().len(), spool(env)), (0, 0));
}

/// Makes the server report no UIDs for what it stores.
fn take_uidplus(server: &ImapServer) {
    server.with(|mailbox| {
        (mailbox.naming, mailbox.capabilities) = (Naming::Nothing, "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL-");
    });
}

/// Stores a message in the mailbox, as another client does.
fn store(server: &ImapServer, bytes: &[u8]) {
    server.with(|mailbox| mailbox.store(bytes.to_owned()));
}

/// Adds a message at the source.
fn more(maildrop: &Maildrop, number: usize) {
    maildrop.change(|contents| contents.messages.push(Message::new(&format!("u{number}"), &small(number))));
}

#[test]
fn bye_ends_the_session_and_nothing_else() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS");
    server.faults(&[Fault::None, Fault::Bye("going down")]);
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    let outcome = env.fetch().expect(75);
    assert!(outcome.stderr.contains("going down"), "{outcome:#?}");
    all_arrive(&env, &maildrop, &server, 3);
}

#[test]
fn a_backlog_goes_over_as_many_connections_as_the_user_wants() {
    let (maildrop, server) = (Maildrop::new(small_ones(80)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 3")]);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(80));
    assert_eq!(server.with(|mailbox| mailbox.most_connections), 3);
}

#[test]
fn a_message_keeps_its_date() {
    let dated = b"Message-ID: <d@x>\r\nDate: Tue, 24 Nov 2015 08:07:06 +0200\r\n\r\nx\r\n";
    let (maildrop, server) = (Maildrop::new(vec![Message::new("u1", dated)]), ImapServer::start());
    TestEnv::new(&[to(&maildrop, &server, "")]).fetch().expect(0);
    assert_eq!(server.with(|mailbox| mailbox.messages[0].date.clone()), "24-Nov-2015 08:07:06 +0200");
}

#[test]
fn a_file_that_is_not_whole_any_more_goes_nowhere() {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let damaged = files(&env.path("state/a.spool/new")).remove(0);
    std::fs::write(&damaged, "").unwrap();
    server.with(|mailbox| mailbox.login_refusal = None);
    env.run(&["forward"]).expect(1).says("has 0 bytes, and");
    env.fetch();
    assert_eq!((server.mail().len(), maildrop.left().len()), (1, 1), "the source still has it");
}

#[test]
fn an_answer_to_no_command_of_ours_ends_the_session_at_once() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::ForeignTag]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let begun = std::time::Instant::now();
    env.fetch().expect(76).says("the server answered \"zz9 OK done\"");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    all_arrive(&env, &maildrop, &server, 1);
}

#[test]
fn what_waits_is_counted_even_where_the_journal_is_damaged() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let journal = env.path("state/a.forward");
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    env.run(&["forward"]).expect(73).says("3 messages wait in the spool");
}

#[test]
fn a_renamed_account_takes_its_spool_along_by_the_command_that_is_told() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let text = std::fs::read_to_string(env.path("config.toml")).unwrap();
    std::fs::write(env.path("config.toml"), text.replace("[accounts.a]", "[accounts.b]")).unwrap();
    let told = env.fetch().expect(73);
    let command = told.stderr.split("If the account was renamed: `").nth(1).unwrap().split('`').next().unwrap();
    assert!(command.contains("a.spool") && command.contains("a.forward"), "{told:#?}");
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}
