//! A mailbox whose UIDVALIDITY has changed: UIDs noted before mean nothing any more.

use super::*;

#[test]
fn another_uidvalidity_costs_a_look_at_all_messages_and_no_copy() {
    let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
    server.faults(&[Fault::None, Fault::None, Fault::LoseAnswerAndRenumber, Fault::CutLiteral(3)]);
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    env.fetch().expect(75);
    all_arrive(&env, &maildrop, &server, 6);
    // The same if the mailbox was renumbered and the message did not arrive.
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.faults(&[Fault::None, Fault::CutLiteral(3)]);
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    env.fetch().expect(75);
    server.with(|mailbox| mailbox.validity = 1000);
    all_arrive(&env, &maildrop, &server, 3);
}

/// The UIDs of a recreated mailbox begin at 1, whatever an intent says.
#[test]
fn a_mailbox_that_was_made_anew_is_looked_through_from_its_beginning() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.next = 500);
    server.faults(&[Fault::None, Fault::None, Fault::LoseAnswerAndRenumber]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    assert!(server.with(|mailbox| mailbox.messages.iter().all(|message| message.uid < 500)));
    all_arrive(&env, &maildrop, &server, 3);
}

/// A message with the same bytes may have come from elsewhere, long ago or since: an extra copy is better than none.
#[test]
fn where_the_mailbox_was_made_anew_a_message_that_says_little_is_appended_again() {
    let little = b"Subject: alarm\r\n\r\nx\r\n";
    for before in [true, false] {
        let (maildrop, server) = (Maildrop::new(vec![Message::new("u1", little)]), ImapServer::start());
        if before {
            store(&server, &on_the_wire(little));
        }
        server.faults(&[Fault::CutLiteral(3)]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        if !before {
            // It is where the message would be.
            store(&server, &on_the_wire(little));
        }
        server.with(|mailbox| mailbox.validity = 1000);
        env.fetch().expect(0);
        assert_eq!(server.mail().len(), 2, "before: {before}");
    }
}
