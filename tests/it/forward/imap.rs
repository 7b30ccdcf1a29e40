//! Forwarding to an IMAP mailbox: each message arrives once, whatever happens to the answers.

use std::time::Duration;

use super::*;
use crate::scripted::imap::{Naming, Stored, Unreadable};
use crate::scripted::maildrop::PASSWORD;

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

#[test]
fn a_lost_answer_costs_a_look_and_no_copy() {
    for uidplus in [true, false] {
        let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.faults(&[Fault::None, Fault::LoseAnswer, Fault::None, Fault::LoseAnswer]);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        env.fetch().expect(75);
        assert_eq!(maildrop.left().len(), 6, "nothing is deleted before its answer");
        all_arrive(&env, &maildrop, &server, 6);
        let commands = server.with(|mailbox| mailbox.commands.clone());
        assert!(!commands.iter().any(|command| command.contains("SEARCH")), "{commands:?}");
    }
}

/// The server has received what was in flight when the connection broke, but has not stored all of it when the next
/// pass looks.
#[test]
fn what_an_earlier_connection_left_and_is_stored_late_is_not_appended_again() {
    for uidplus in [true, false] {
        let (maildrop, server) = (Maildrop::new(small_ones(6)), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.faults(&[Fault::None, Fault::StoreLate(Duration::from_millis(2500))]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        assert!(server.mail().len() < 6, "the server is slow");
        env.fetch().expect(0);
        all_arrive(&env, &maildrop, &server, 6);
        // What was appended again too early would be there before what comes late.
        crate::program::wait_for("the server to be done", || !server.with(|mailbox| mailbox.is_busy()));
        assert_same_mail(&server.mail(), &small_on_the_wire(6));
    }
}

/// A signal ends the wait for messages that may be stored late at once.
#[test]
fn who_waits_for_what_may_be_stored_late_can_be_interrupted() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(3)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    let before = server.with(|mailbox| mailbox.commands.len());
    let running = env.spawn(&["forward"]);
    let looks = |mailbox: &mut crate::scripted::imap::Mailbox| {
        mailbox.commands[before..].iter().filter(|command| command.starts_with("SELECT")).count()
    };
    crate::program::wait_for("another look", || server.with(looks) > 1);
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect(143);
    assert!(server.mail().is_empty(), "one look is not enough to append again");
    env.fetch().expect(0);
    all_arrive(&env, &maildrop, &server, 3);
}

#[test]
fn the_same_bytes_twice_are_two_messages_even_if_answers_are_lost() {
    for lost in 0..4 {
        let twin = |n: usize| Message::new(&format!("u{n}"), &small(1));
        let (maildrop, server) = (Maildrop::new((1..=4).map(twin).collect()), ImapServer::start());
        let mut faults = vec![Fault::None; lost];
        faults.push(Fault::LoseAnswer);
        server.faults(&faults);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..4 {
            env.fetch();
        }
        assert_same_mail(&server.mail(), &vec![on_the_wire(&small(1)); 4]);
        assert!(maildrop.left().is_empty());
    }
}

#[test]
fn a_link_that_breaks_in_the_middle_of_a_literal_leaves_nothing_behind() {
    let large = [small(1), vec![b'x'; 30_000], b"\r\n".to_vec()].concat();
    for cut in [0, 1, 20_000] {
        let (maildrop, server) = (Maildrop::new(vec![Message::new("u1", &large)]), ImapServer::start());
        server.faults(&[Fault::CutLiteral(cut)]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        assert!(server.mail().is_empty() && maildrop.left().len() == 1);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &[on_the_wire(&large)]);
        assert!(maildrop.left().is_empty());
    }
}

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

/// Stores a message in the mailbox, as another client does.
fn store(server: &ImapServer, bytes: &[u8]) {
    server.with(|mailbox| mailbox.store(bytes.to_owned()));
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

#[test]
fn a_message_that_goes_to_another_mailbox_after_a_lost_answer_is_appended_there() {
    let (maildrop, server, other) = (Maildrop::new(small_ones(1)), ImapServer::start(), ImapServer::start());
    // The same bytes are already there, from elsewhere.
    store(&other, &on_the_wire(&small(1)));
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    env.configure(&[to(&maildrop, &other, "")]);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_eq!((server.mail().len(), other.mail().len(), maildrop.left().len()), (1, 2, 0));
}

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
                outcome.stderr.contains("takes no more for now") && outcome.stdout.contains(waiting),
                "{outcome:#?}"
            );
            all_arrive(&env, &maildrop, &server, 4);
        }
    }
}

#[test]
fn an_ok_for_a_message_that_was_not_sent_is_none() {
    for capabilities in ["IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS", "IMAP4rev1 SASL-IR AUTH=PLAIN"] {
        let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
        server.with(|mailbox| mailbox.capabilities = capabilities);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..2 {
            server.faults(&[Fault::RefuseAtOnce("OK [APPENDUID 1 1] done")]);
            assert_ne!(env.fetch().status, 0, "{capabilities}");
            assert_eq!((maildrop.left().len(), server.mail().len()), (3, 0), "{capabilities}");
        }
        all_arrive(&env, &maildrop, &server, 3);
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

/// Adds a message at the source.
fn more(maildrop: &Maildrop, number: usize) {
    maildrop.change(|contents| contents.messages.push(Message::new(&format!("u{number}"), &small(number))));
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
fn a_mailbox_that_is_not_there_is_made() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.with(|mailbox| (mailbox.exists, mailbox.name) = (false, "Famil&AO8-re".to_owned()));
    let env = TestEnv::new(&[to(&maildrop, &server, ", mailbox = \"Familïre\"")]);
    env.fetch().expect(0);
    assert_eq!(server.mail().len(), 1);
    assert!(server.with(|mailbox| mailbox.commands.iter().any(|command| command == "SUBSCRIBE \"Famil&AO8-re\"")));
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
fn what_gmail_takes_for_another_message_is_set_aside_and_stays_at_the_source() {
    let one = b"Message-ID: <same@x>\r\nSubject: first\r\n\r\none\r\n";
    let other = b"Message-ID: <same@x>\r\nSubject: second\r\n\r\nanother one, and longer\r\n";
    let maildrop =
        Maildrop::new(vec![Message::new("u1", one), Message::new("u2", other), Message::new("u3", &small(3))]);
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS X-GM-EXT-1");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
    let outcome = env.fetch().expect(1);
    assert!(outcome.stderr.contains("taken it for another message, with the same Message-ID"), "{outcome:#?}");
    for _ in 0..2 {
        env.fetch().expect(1);
        let mut expected = vec![on_the_wire(one), on_the_wire(&small(3))];
        expected.sort();
        assert_same_mail(&server.mail(), &expected);
        assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1));
    }
    // Once the other message is gone, the server accepts this one.
    server.with(|mailbox| mailbox.messages.retain(|message| message.uid != 1));
    env.run(&["forward", "--again", "a"]).expect(0).says("1 forwarded");
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_message_keeps_its_date() {
    let dated = b"Message-ID: <d@x>\r\nDate: Tue, 24 Nov 2015 08:07:06 +0200\r\n\r\nx\r\n";
    let (maildrop, server) = (Maildrop::new(vec![Message::new("u1", dated)]), ImapServer::start());
    TestEnv::new(&[to(&maildrop, &server, "")]).fetch().expect(0);
    assert_eq!(server.with(|mailbox| mailbox.messages[0].date.clone()), "24-Nov-2015 08:07:06 +0200");
}

/// Several messages of the same size may have the same header and different bodies.
#[test]
fn a_message_with_the_same_header_and_size_is_not_taken_for_one_whose_answer_was_lost() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(20)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    // Another client stores such a message meanwhile.
    let ours = on_the_wire(&small(1));
    let mut other = ours.clone();
    let last = other.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
    other[last] = if other[last] == b'x' { b'y' } else { b'x' };
    store(&server, &other);
    env.fetch().expect(0);
    env.fetch().expect(0);
    let mut both = vec![ours, other];
    both.sort();
    assert_same_mail(&server.mail(), &both);
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_server_that_repeats_the_password_shows_it_to_nobody() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let words = format!("NO [AUTHENTICATIONFAILED] {PASSWORD} is not right").leak();
    server.with(|mailbox| mailbox.login_refusal = Some(words));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let refused = env.run(&["-v", "fetch"]);
    assert!(refused.output().contains("[secret] is not right") && !refused.output().contains(PASSWORD), "{refused:#?}");
    server.with(|mailbox| mailbox.login_refusal = None);
    server.faults(&[Fault::Refuse(format!("NO [TOOBIG] {PASSWORD}").leak())]);
    let aside = env.run(&["forward"]);
    assert!(aside.output().contains("[secret]") && !aside.output().contains(PASSWORD), "{aside:#?}");
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

/// Whatever UIDs a server reports, no message is lost.
#[test]
fn the_same_bytes_twice_are_two_messages_even_if_the_server_names_wrong_uids_or_none() {
    let namings =
        [Naming::Nothing, Naming::Always(1), Naming::TooHigh(2), Naming::OtherValidity, Naming::Garbage, Naming::Right];
    for naming in namings {
        for lost in 1..6 {
            let twin = |n: usize| Message::new(&format!("u{n}"), &small(1));
            let (maildrop, server) = (Maildrop::new((1..=6).map(twin).collect()), ImapServer::start());
            server.with(|mailbox| mailbox.naming = naming);
            // The connection breaks before one is stored; all after it are sent again.
            let mut faults = vec![Fault::None; lost];
            faults.push(Fault::CutLiteral(3));
            server.faults(&faults);
            let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 2")]);
            for _ in 0..4 {
                env.fetch();
            }
            let there = server.mail().len();
            assert!(there >= 6 && maildrop.left().is_empty(), "{naming:?}, {lost}: {there} of 6 are there");
            assert!(there == 6 || naming != Naming::Right, "{naming:?}, {lost}: {there} are there");
        }
    }
}

#[test]
fn a_server_that_estimates_sizes_gets_no_message_twice() {
    for error in [2, -1, 700] {
        let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
        server.with(|mailbox| mailbox.size_error = error);
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 1")]);
        for _ in 0..3 {
            server.faults(&[Fault::LoseAnswer, Fault::LoseAnswer]);
            env.fetch();
        }
        server.faults(&[]);
        all_arrive(&env, &maildrop, &server, 4);
    }
}

/// Nothing shows that the stored message is ours, so it is appended again, but not for ever.
#[test]
fn where_the_server_changes_the_bytes_lost_answers_cost_a_few_copies_at_most() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    for _ in 0..8 {
        server.faults(&[Fault::LoseAnswer]);
        env.fetch();
        server.with(|mailbox| {
            let changed = |message: &mut Stored| {
                if !message.bytes.ends_with(b"\r\nchanged\r\n") {
                    message.bytes.extend_from_slice(b"\r\nchanged\r\n");
                }
            };
            mailbox.messages.iter_mut().for_each(changed);
        });
    }
    assert_eq!((server.mail().len(), maildrop.left().len()), (3, 1));
    env.fetch().expect(1).says("with its header and other bytes");
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
    let command = told.stderr.split("If the account was renamed: ").nth(1).unwrap().split(". If not").next().unwrap();
    assert!(command.contains("a.spool") && command.contains("a.forward"), "{told:#?}");
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
    server.with(|mailbox| mailbox.login_refusal = None);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(3));
    assert!(maildrop.left().is_empty());
}

#[test]
fn what_gmail_takes_for_another_message_of_the_same_size_is_told_by_its_bytes() {
    let with = |body: &str| format!("Message-ID: <same@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let (one, other) = (with("one"), with("two"));
    let maildrop = Maildrop::new(vec![Message::new("u1", &one), Message::new("u2", &other)]);
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS X-GM-EXT-1");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(1).says("taken it for another message, with the same Message-ID");
    env.fetch().expect(1);
    assert_same_mail(&server.mail(), &[on_the_wire(&one)]);
    assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1));
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

#[test]
fn the_dialogue_is_shown_without_secrets_and_messages() {
    use base64::Engine as _;
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let outcome = env.run(&["-vv", "fetch"]).expect(0);
    for line in ["S: * OK [CAPABILITY ", "C: m1 ", " APPEND ", "S: m1 OK", "LOGOUT"] {
        assert!(outcome.stderr.contains(line), "{line}: {outcome:#?}");
    }
    let (user, password) = (crate::scripted::maildrop::USER, PASSWORD);
    let plain = base64::prelude::BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
    for hidden in [password, &plain, "This is 1."] {
        assert!(!outcome.output().contains(hidden), "{hidden}: {outcome:#?}");
    }
}

/// If a server drops a message as a duplicate, its OK is no evidence, whatever UID it reports.
#[test]
fn an_ok_that_names_another_message_or_adds_none_is_none() {
    let with = |id: &str, body: &str| format!("Message-ID: <{id}@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let (one, other, alike) = (with("same", "one"), with("same", "another one, and longer"), with("same", "two"));
    let third = with("third", "three");
    let all = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS";
    let one_by_one = "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS";
    for (naming, capabilities, more) in [
        (Naming::Right, all, ""),
        (Naming::Right, one_by_one, ""),
        (Naming::Nothing, "IMAP4rev1 SASL-IR AUTH=PLAIN", ""),
    ] {
        for was_there in [false, true] {
            for second in [&other, &alike] {
                let message = |uid: &str, bytes: &[u8]| Message::new(uid, bytes);
                let mut source = vec![message("u2", second), message("u3", &third)];
                let server = ImapServer::start();
                match was_there {
                    true => store(&server, &on_the_wire(&one)),
                    false => source.insert(0, message("u1", &one)),
                }
                let maildrop = Maildrop::new(source);
                server.with(|mailbox| {
                    (mailbox.merges, mailbox.naming, mailbox.capabilities) = (true, naming, capabilities);
                });
                let env = TestEnv::new(&[to(&maildrop, &server, more)]);
                let case = format!("{naming:?}, {capabilities}{more}, {was_there}");
                let outcome = env.fetch().expect(1);
                assert!(outcome.stderr.contains("says that it has stored it, and "), "{case}: {outcome:#?}");
                env.fetch().expect(1);
                let mut expected = vec![on_the_wire(&one), on_the_wire(&third)];
                expected.sort();
                assert_same_mail(&server.mail(), &expected);
                assert_eq!((maildrop.left(), spool(&env)), (vec!["u2".to_owned()], 1), "{case}");
            }
        }
    }
}

#[test]
fn what_one_connection_has_appended_is_known_to_the_others() {
    let with = |n: usize| format!("Message-ID: <same@x>\r\nSubject: s\r\n\r\n{n}\r\n").into_bytes();
    let maildrop = Maildrop::new((10..50).map(|n| Message::new(&format!("u{n}"), &with(n))).collect());
    let server = ImapServer::start();
    server.with(|mailbox| {
        (mailbox.merges, mailbox.capabilities) = (true, "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS");
    });
    let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 3")]);
    env.fetch().expect(1).says("1 forwarded, 39 set aside");
    env.fetch().expect(1);
    assert_eq!((server.mail().len(), maildrop.left().len(), spool(&env)), (1, 39, 39));
}

/// The identical message is already there: nothing is lost, and nothing is reported.
#[test]
fn a_duplicate_that_a_server_drops_has_arrived() {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    store(&server, &on_the_wire(&small(1)));
    server.with(|mailbox| mailbox.merges = true);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    all_arrive(&env, &maildrop, &server, 2);
}

/// A server that changes what it stores and reports no UIDs has stored it nevertheless.
#[test]
fn a_mailbox_that_grows_has_taken_a_message_whatever_it_looks_like() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    take_uidplus(&server);
    server.with(|mailbox| mailbox.size_error = 7);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    all_arrive(&env, &maildrop, &server, 3);
}

/// Makes an account that forwards to this server with a wrong password in a file, and a function that writes another
/// password.
fn with_password_file(maildrop: &Maildrop, server: &ImapServer) -> (TestEnv, impl Fn(&str) + use<>) {
    let env = TestEnv::new(&[]);
    let file = env.path("destination.password");
    let key = format!("password_file = {:?}", file.to_str().unwrap());
    let forward = server.forward("").replace(&format!("password = {PASSWORD:?}"), &key);
    env.configure(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let write = move |password: &str| {
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("wrong");
    (env, write)
}

fn logins(server: &ImapServer) -> usize {
    server.with(|mailbox| mailbox.commands.iter().filter(|command| *command == "AUTHENTICATE").count())
}

/// Cron runs every few minutes. A provider that has locked a mailbox for wrong passwords does not unlock it while more
/// of them come.
#[test]
fn scheduled_runs_offer_a_refused_password_as_seldom_as_the_daemon() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let (env, write) = with_password_file(&maildrop, &server);
    let run = || env.run(&["-q", "fetch", "--scheduled"]);
    assert!(run().expect(77).stderr.contains("refused the login"));
    let refused = logins(&server);
    for _ in 0..5 {
        assert_eq!(run().expect(0).output(), "");
    }
    let told = env.run(&["fetch", "--scheduled"]).expect(0);
    told.says("1 message waits in the spool, tried again in 10 min");
    assert_eq!(logins(&server), refused, "the pause is kept from one run to the next");
    let due_in = || {
        let hints = std::fs::read_to_string(env.path("state/a.hints")).unwrap();
        let pause = hints.split("[standing.forwarding]").nth(1).unwrap().to_owned();
        pause.lines().find_map(|line| line.strip_prefix("due_in = ")).unwrap().parse::<u64>().unwrap()
    };
    assert!((590..=620).contains(&due_in()), "{}", due_in());
    // A run by hand ignores the pause, and another refusal makes it longer.
    env.run(&["forward"]).expect(77);
    assert!(logins(&server) > refused && (1190..=1220).contains(&due_in()), "{}", due_in());
    env.fetch().expect(77);
    assert!((2390..=2420).contains(&due_in()), "{}", due_in());
    let refused = logins(&server);
    run().expect(0);
    assert_eq!(logins(&server), refused);
    // The same failure after the pause is not reported again.
    let hints = std::fs::read_to_string(env.path("state/a.hints")).unwrap();
    std::fs::write(env.path("state/a.hints"), hints.replace(&format!("due_in = {}\n", due_in()), "due_in = 0\n"))
        .unwrap();
    assert_eq!(run().expect(77).output(), "");
    assert!(logins(&server) > refused);
    // The password is corrected.
    write(PASSWORD);
    assert_eq!(run().expect(0).output(), "a: mail is forwarded again\n");
    assert_eq!(server.mail().len(), 1);
    assert!(!std::fs::read_to_string(env.path("state/a.hints")).unwrap().contains("[standing.forwarding]"));
}

/// Each message has a twin with the same Message-ID and size and other bytes; the server keeps the first of the two.
#[test]
fn what_another_connection_has_just_appended_is_not_taken_for_a_message_of_its_size() {
    let with = |n: usize, copy: usize| {
        format!("Message-ID: <{:02}@x>\r\nSubject: s\r\n\r\n{copy}{}\r\n", n, "x".repeat(3000)).into_bytes()
    };
    for capabilities in ["IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS X-GM-EXT-1", "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS"] {
        let all: Vec<Vec<u8>> = (0..2).flat_map(|copy| (0..32).map(move |n| with(n, copy))).collect();
        let messages = (0..).zip(&all).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
        let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
        server.with(|mailbox| (mailbox.merges, mailbox.capabilities) = (true, capabilities));
        let env = TestEnv::new(&[to(&maildrop, &server, ", connections = 4")]);
        env.fetch().expect(1).says("32 forwarded, 32 set aside");
        env.fetch().expect(1);
        let (there, left) = (server.mail(), maildrop.left());
        for (n, bytes) in (0..).zip(&all) {
            let is_there = there.contains(&on_the_wire(bytes));
            assert!(is_there || left.contains(&format!("u{n}")), "{capabilities}: message {n} is lost");
        }
    }
}

/// Other messages that arrive are not taken for one that was dropped.
#[test]
fn a_message_that_is_dropped_without_a_word_is_set_aside_whatever_else_has_come() {
    let with = |id: &str, body: &str| format!("Message-ID: <{id}@x>\r\nSubject: s\r\n\r\n{body}\r\n").into_bytes();
    let all = [with("1", "a"), with("2", "b"), with("3", "c"), with("1", "other"), with("4", "d")];
    let foreign: &[u8] = b"Subject: foreign\r\n\r\nx\r\n";
    for (uidplus, foreign) in [(true, None), (false, Some(foreign))] {
        let messages = (1..).zip(&all).map(|(n, bytes): (usize, _)| Message::new(&format!("u{n}"), bytes)).collect();
        let (maildrop, server) = (Maildrop::new(messages), ImapServer::start());
        if !uidplus {
            take_uidplus(&server);
        }
        server.with(|mailbox| mailbox.drops = Some(foreign));
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(1).says("no message has come into the mailbox");
        env.fetch().expect(1);
        assert_eq!((maildrop.left(), spool(&env)), (vec!["u4".to_owned()], 1), "{uidplus}");
    }
}

#[test]
fn a_server_that_shows_what_it_has_stored_a_little_later_has_stored_it() {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    take_uidplus(&server);
    server.with(|mailbox| mailbox.lag = Some(Duration::from_millis(900)));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(0).says("2 forwarded");
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(2));
    assert!(maildrop.left().is_empty());
}

/// The copy of a message that was forwarded and then forgotten is not taken for its twin.
#[test]
fn the_twin_of_a_message_that_was_forwarded_long_ago_is_not_taken_for_that() {
    for is_made_anew in [false, true] {
        let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
        server.with(|mailbox| mailbox.tells_next = is_made_anew);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(0);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages.push(Message::new("twin", &small(1))));
        server.faults(&[Fault::CutLiteral(3)]);
        env.fetch().expect(75);
        server.with(|mailbox| mailbox.validity += u32::from(is_made_anew));
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_eq!((server.mail().len(), maildrop.left().len()), (2, 0), "{is_made_anew}");
    }
}

#[test]
fn an_answer_without_the_messages_that_are_there_shows_nothing() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    server.with(|mailbox| mailbox.shows_nothing = true);
    for _ in 0..2 {
        env.fetch().expect(76).says("OK without the last of 1 messages");
    }
    server.with(|mailbox| mailbox.shows_nothing = false);
    all_arrive(&env, &maildrop, &server, 1);
}

/// The unreadable message may be the one that is looked for, so that one waits, and no other.
#[test]
fn a_message_that_cannot_be_looked_at_holds_no_other() {
    for how in [Unreadable::IsRefused, Unreadable::EndsTheConnection] {
        let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
        take_uidplus(&server);
        server.faults(&[Fault::CutLiteral(3)]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        store(&server, b"Subject: foreign\r\n\r\nx\r\n");
        server.with(|mailbox| mailbox.unreadable = Some((b"foreign", how)));
        env.fetch().expect(1).says("2 forwarded, 1 waits in the spool");
        assert_eq!(server.mail().len(), 3, "{how:?}");
        more(&maildrop, 4);
        env.fetch().expect(1);
        assert_eq!((server.mail().len(), maildrop.left().len()), (4, 2), "{how:?}");
        server.with(|mailbox| {
            mailbox.unreadable = None;
            mailbox.messages.retain(|message| !message.bytes.starts_with(b"Subject: foreign"));
        });
        all_arrive(&env, &maildrop, &server, 4);
    }
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
