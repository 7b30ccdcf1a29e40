//! An account that no longer forwards: what waits in its spool is neither lost nor forgotten.

use std::fs;

use super::*;
use crate::mail::small_ones_stored;

/// Three messages wait in the spool of an account that now has a Maildir.
fn switched() -> (Maildrop, ImapServer, TestEnv) {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    env.configure(&[Account::at(maildrop.server.address).deleting()]);
    (maildrop, server, env)
}

#[test]
fn what_waits_in_a_spool_is_told_with_the_status_and_both_ways_on() {
    let (maildrop, server, env) = switched();
    let waits = format!("3 messages wait in {}", env.path("state/a.spool").display());
    for arguments in [&["fetch"][..], &["-q", "fetch"], &["fetch", "--json"], &["fetch"]] {
        env.run(arguments).expect(1).says(&waits).says("mailferry").says("forward a").says("--accept-maildir a");
        assert_eq!((maildrop.left().len(), spool(&env), env.mail().len()), (3, 3, 0), "nothing is done about it");
    }
    // One way is to forward again.
    server.with(|mailbox| mailbox.login_refusal = None);
    env.configure(&[to(&maildrop, &server, "")]);
    env.run(&["forward"]).expect(0).says("3 forwarded");
    env.configure(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0);
    assert_eq!((server.mail().len(), maildrop.left().len(), env.mail().len()), (3, 0, 0));
}

/// The account was removed from the configuration. Another one is there.
#[test]
fn what_waits_in_the_spool_of_an_account_that_is_gone_is_told() {
    let (maildrop, server, env) = switched();
    let other = Maildrop::new(small_ones(1));
    let account = Account::at(other.server.address).named("b");
    env.configure(std::slice::from_ref(&account));
    let spool = env.path("state/a.spool");
    let told = format!("3 messages wait in {} to be forwarded, and there is no account a any more", spool.display());
    for arguments in [&["check"][..], &["forward"], &["status"], &["check", "--json"], &["check", "-q"]] {
        let outcome = env.run(arguments).expect(if arguments[0] == "status" { 75 } else { 1 });
        // Lines may be wrapped.
        let output = outcome.output().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.contains(&told) && output.contains("forward a; or give them up"), "{outcome:#?}");
    }
    for arguments in [&["check", "b"][..], &["check", "--offline"], &["fetch"]] {
        let outcome = env.run(arguments).expect(0);
        assert!(!outcome.output().contains("any more"), "{outcome:#?}");
    }
    // It comes back and forwards; what has arrived waits no more.
    server.with(|mailbox| mailbox.login_refusal = None);
    env.configure(&[account.clone(), to(&maildrop, &server, "")]);
    env.run(&["forward"]).expect(0).says("3 forwarded");
    env.configure(&[account]);
    env.run(&["check"]).expect(0);
}

#[test]
fn a_spool_that_is_not_there_though_mail_waits_in_it_is_told_by_forward() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.run(&["forward"]).expect(0);
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    env.fetch().expect(75);
    server.with(|mailbox| mailbox.login_refusal = None);
    let (spool, away) = (env.path("state/a.spool"), env.path("away"));
    fs::rename(&spool, &away).unwrap();
    for arguments in [&["forward"][..], &["forward", "a"], &["fetch"]] {
        env.run(arguments).expect(73).says(&spool.display().to_string()).says("--accept-maildir a");
    }
    fs::rename(&away, &spool).unwrap();
    env.run(&["forward"]).expect(0).says("3 forwarded");
    // What has arrived is missed by nobody.
    fs::rename(&spool, &away).unwrap();
    env.run(&["forward"]).expect(0);
}

#[test]
fn a_spool_that_is_moved_away_is_fetched_into_the_maildir() {
    let (maildrop, server, env) = switched();
    let (spool, away) = (env.path("state/a.spool"), env.path("state/a.spool.old"));
    env.fetch().expect(1).says(&format!("mv {} {}", spool.display(), away.display()));
    fs::rename(&spool, &away).unwrap();
    env.fetch().expect(73);
    let accepted = env.run(&["fetch", "--accept-maildir", "a"]).expect(0).says("3 new messages");
    let accepted =
        accepted.says("a: 3 messages were removed from the spool; they are fetched again if the server still has them");
    assert!(!accepted.output().contains("has no effect"), "{accepted:?}");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty() && server.mail().is_empty());
}
