//! An account that forwards and has lost its state: nothing that was forwarded is sent again unless the user says so.

use std::fs;

use super::*;

/// Three messages were forwarded and stay at the source; the spool is empty.
fn forwarded() -> (Maildrop, ImapServer, TestEnv) {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    let account = Account::at(maildrop.server.address).set("forward", server.forward(""));
    let env = TestEnv::new(&[account]);
    for _ in 0..3 {
        env.fetch().expect(0);
    }
    assert_eq!((server.mail().len(), spool(&env)), (3, 0));
    (maildrop, server, env)
}

#[test]
fn whatever_its_polls_have_left_keeps_everything_from_being_sent_again() {
    for kept in ["forward", "spool", "hints"] {
        let (maildrop, server, env) = forwarded();
        let state = |ending: &str| env.path("state").join(format!("a.{ending}"));
        fs::remove_file(state("uids")).unwrap();
        for other in ["forward", "hints"].into_iter().filter(|other| *other != kept) {
            fs::remove_file(state(other)).unwrap();
        }
        match kept {
            "spool" => fs::write(state("spool").join("new/1.waits"), "Subject: x\n\nx\n").unwrap(),
            _ => fs::remove_dir_all(state("spool")).unwrap(),
        }
        let before = maildrop.count("RETR");
        for _ in 0..2 {
            env.fetch().expect(73).says(&format!("a.{kept} is from its earlier polls")).says("uids adopt a --all");
        }
        env.run(&["fetch", "--dry-run"]).expect(73);
        assert_eq!((maildrop.count("RETR"), server.mail().len()), (before, 3), "{kept}");
    }
}

#[test]
fn what_is_on_the_server_can_count_as_fetched_or_be_sent_again() {
    let (maildrop, server, env) = forwarded();
    fs::remove_file(env.path("state/a.uids")).unwrap();
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0).says("adopted 3 messages");
    maildrop.change(|contents| contents.messages.push(Message::new("u4", &small(4))));
    env.fetch().expect(0).says("1 forwarded");
    assert_same_mail(&server.mail(), &small_on_the_wire(4));
    fs::remove_file(env.path("state/a.uids")).unwrap();
    env.fetch().expect(73);
    env.run(&["fetch", "--new-state", "a"]).expect(0).says("4 forwarded");
    assert_eq!(server.mail().len(), 8);
    env.fetch().expect(0);
}

#[test]
fn what_waits_in_the_spool_goes_on_when_the_state_is_lost() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    fs::remove_file(env.path("state/a.uids")).unwrap();
    env.fetch().expect(73).says("a.forward is from its earlier polls");
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0);
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0).says("3 forwarded");
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert_eq!((spool(&env), maildrop.left().len()), (0, 3), "what was adopted stays on the server");
}
