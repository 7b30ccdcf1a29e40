//! What the server refuses: for now, for good, or by its limits.

use super::*;

#[test]
fn a_quota_pauses_and_goes_on_by_itself() {
    for words in ["NO [OVERQUOTA] Quota exceeded", "NO Account exceeded command or bandwidth limits."] {
        for at_once in [true, false] {
            let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
            let refuse = if at_once { Fault::RefuseAtOnce(words) } else { Fault::Refuse(words) };
            // One at a time, or several in flight: then some may be accepted after the refusal.
            server.with(|mailbox| {
                mailbox.capabilities =
                    if at_once { "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS" } else { mailbox.capabilities };
            });
            // The next message is tried as well, to see whether the refusal concerns all.
            let refused = vec![refuse; if at_once { 2 } else { 1 }];
            server.faults(&[vec![Fault::None], refused].concat());
            let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
            // A message in flight is accepted after the refusal, so that concerned one message.
            let outcome = env.fetch().expect(if at_once { 75 } else { 1 });
            let waiting = if at_once { "3 wait" } else { "1 waits" };
            assert!(
                outcome.stderr.contains("accepts no more mail for now") && outcome.stdout.contains(waiting),
                "{outcome:#?}"
            );
            all_arrive(&env, &maildrop, &server, 4);
        }
    }
}

#[test]
fn what_is_refused_for_good_is_set_aside_and_never_deleted() {
    let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS APPENDLIMIT=35651584");
    server.faults(&[Fault::None, Fault::RefuseAtOnce("NO [TOOBIG] Message too large")]);
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    let outcome = env.fetch().expect(1);
    assert!(outcome.stdout.contains("3 forwarded, 1 set aside"), "{outcome:#?}");
    assert!(outcome.stderr.contains("forward --again a"), "{outcome:#?}");
    for _ in 0..3 {
        env.fetch().expect(1);
    }
    assert_eq!((maildrop.left().len(), spool(&env), server.mail().len()), (1, 1, 3));
    env.run(&["forward", "--again", "a"]).expect(0).says("1 forwarded");
    all_arrive(&env, &maildrop, &server, 4);
}

#[test]
fn a_message_larger_than_appendlimit_is_not_sent() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS APPENDLIMIT=50");
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let outcome = env.fetch().expect(1);
    assert!(outcome.stdout.contains("3 set aside") && outcome.stderr.contains("APPENDLIMIT"), "{outcome:#?}");
    assert!(server.with(|mailbox| !mailbox.commands.iter().any(|command| command.starts_with("APPEND"))));
    assert_eq!(maildrop.left().len(), 3);
}

#[test]
fn a_refusal_without_a_reason_holds_no_other_message_and_is_not_tried_for_ever() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    for round in 1..=3 {
        server.faults(&[Fault::Refuse("NO because")]);
        let outcome = env.fetch().expect(1);
        let said = if round < 3 { "1 waits in the spool" } else { "1 set aside" };
        assert!(outcome.stdout.contains(said), "{outcome:#?}");
        more(&maildrop, 3 + round);
    }
    assert_eq!((maildrop.left().len(), server.mail().len()), (3, 4));
}

/// While nothing arrives, a refusal is the destination's fault, whatever it says.
#[test]
fn an_outage_that_is_told_as_a_plain_refusal_sets_nothing_aside() {
    let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    server.faults(&vec![Fault::Refuse("NO System I/O error"); 1000]);
    for _ in 0..6 {
        env.fetch().expect(1).says("4 wait in the spool");
    }
    server.faults(&[]);
    all_arrive(&env, &maildrop, &server, 4);
}

#[test]
fn what_was_taken_before_a_daily_limit_is_known_to_have_arrived() {
    let (maildrop, server) = (Maildrop::new(small_ones(9)), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS X-GM-EXT-1");
    let mut faults = vec![Fault::None; 4];
    faults.extend(vec![Fault::Refuse("NO [OVERQUOTA] Account exceeded command or bandwidth limits."); 5]);
    server.faults(&faults);
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    env.fetch().expect(75).says("4 forwarded, 5 wait in the spool");
    all_arrive(&env, &maildrop, &server, 9);
}

/// A journal without a state would be taken for the remains of a lost state.
#[test]
fn what_was_set_aside_is_tried_again_only_where_something_was() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(env.path("state/a.spool").join(part)).unwrap();
    }
    env.run(&["forward", "--again", "a"]).expect(0);
    assert!(!env.path("state/a.forward").exists());
}
