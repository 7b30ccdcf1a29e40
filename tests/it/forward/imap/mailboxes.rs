//! A mailbox that is not there.

use super::*;

#[test]
fn a_mailbox_that_is_not_there_is_made() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.with(|mailbox| (mailbox.exists, mailbox.name) = (false, "Famil&AO8-re".to_owned()));
    let env = TestEnv::new(&[to(&maildrop, &server, ", mailbox = \"Familïre\"")]);
    env.fetch().expect(0);
    assert_eq!(server.mail().len(), 1);
    assert!(server.with(|mailbox| mailbox.commands.iter().any(|command| command == "SUBSCRIBE \"Famil&AO8-re\"")));
}

#[test]
fn a_mailbox_that_cannot_be_made_is_told_with_both_answers() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.with(|mailbox| {
        (mailbox.exists, mailbox.missing) = (false, "NO no such mailbox");
        mailbox.creation_refusal = Some("NO [CANNOT] only below INBOX.");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let outcome = env.run(&["fetch"]).expect(78);
    for words in ["no such mailbox", "[CANNOT] only below INBOX.", "Check `mailbox` in [accounts.a.forward]"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome:#?}");
    }
    server.with(|mailbox| mailbox.creation_refusal = None);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(1));
}

/// The next pass creates it.
#[test]
fn a_mailbox_that_is_removed_while_mail_is_appended_is_made_again() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.faults(&vec![Fault::Refuse("NO [TRYCREATE] no such mailbox"); 9]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    server.faults(&[]);
    all_arrive(&env, &maildrop, &server, 3);
}
