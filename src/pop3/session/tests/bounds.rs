//! Limits on what a server may send.

use super::*;

/// A line of this many octets with its CRLF, after `beginning`.
fn line_of(beginning: &[u8], octets: usize) -> Vec<u8> {
    [beginning, &vec![b'x'; octets - 2 - beginning.len()], b"\r\n"].concat()
}

#[test]
fn takes_status_lines_up_to_their_limit_whole() {
    let limit = limits::STATUS_LINE;
    let mut session = Session::new();
    assert_eq!(session.receive(&line_of(b"+OK ", limit)).unwrap().consumed, limit);
    session.send(Command::Capa).unwrap();
    assert_eq!(session.receive(&vec![b'+'; limit - 1]).unwrap().event, Event::NeedInput);
    let error = Session::new().receive(&vec![b'x'; limit]).unwrap_err();
    assert!(matches!(error, FramingError::NotPop3 { excerpt, .. } if excerpt.starts_with("xxx")));
}

/// The events of these octets, passed in pieces of this size.
fn events(session: &mut Session, octets: &[u8], piece: usize) -> Vec<Event> {
    let (mut events, mut unread) = (Vec::new(), Vec::new());
    for piece in octets.chunks(piece) {
        unread.extend_from_slice(piece);
        loop {
            let step = session.receive(&unread).unwrap();
            unread.drain(..step.consumed);
            if step.event == Event::NeedInput {
                break;
            }
            events.push(step.event);
        }
        assert!(unread.len() < 2 * limits::STATUS_LINE, "{} octets are held", unread.len());
    }
    assert!(unread.is_empty());
    events
}

#[test]
fn of_a_longer_status_line_the_beginning_counts_and_the_session_goes_on() {
    for octets in [limits::STATUS_LINE + 1, limits::STATUS_LINE + 2, 1 << 20] {
        for piece in [1000, limits::STATUS_LINE, usize::MAX] {
            let mut session = logged_in();
            session.send(Command::Noop).unwrap();
            session.send(Command::Retr(MessageNumber::new(1).unwrap())).unwrap();
            session.send(Command::Noop).unwrap();
            let answers = [line_of(b"+OK fine ", octets), line_of(b"-ERR [AUTH] no ", octets), b"+OK\r\n".to_vec()];
            let heard = events(&mut session, &answers.concat(), piece);
            let statuses: Vec<Status> = heard
                .iter()
                .map(|event| match event {
                    Event::Response { response, .. } => {
                        assert!(response.text.chars().count() <= limits::WORDS + 1);
                        response.status
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(statuses, [Status::Ok, Status::Err, Status::Ok], "{octets} in pieces of {piece}");
            assert_eq!(session.outstanding(), 0);
        }
    }
}

#[test]
fn a_status_line_without_end_ends_the_session() {
    let limit = limits::STATUS_LINE_PASSED;
    let too_long = FramingError::LineTooLong { to: CommandKind::Noop, limit };
    let mut session = logged_in();
    session.send(Command::Noop).unwrap();
    let longest = line_of(b"-ERR ", limit);
    let step = session.receive(&longest).unwrap();
    assert!(matches!(step.event, Event::Response { .. }) && step.consumed == limit);
    session.send(Command::Noop).unwrap();
    session.receive(&longest[..limit - 2]).unwrap();
    assert_eq!(session.receive(b"xxx"), Err(too_long));
}

#[test]
fn what_uidl_says_of_one_message_is_taken_whole_or_not_at_all() {
    let two = MessageNumber::new(2);
    let unique_id = |line: &[u8]| {
        let mut session = logged_in();
        session.send(Command::Uidl(two)).unwrap();
        match session.receive(line).unwrap().event {
            Event::Response { response, .. } => response.unique_id.map(|unique_id| unique_id.as_bytes().to_vec()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(unique_id(b"+OK 2 a\xff b\r\n").as_deref(), Some(b"a\xff b".as_slice()));
    let longest = [b'x'; limits::UNIQUE_ID];
    assert_eq!(unique_id(&line_of(b"+OK 2 ", 8 + longest.len())).as_deref(), Some(longest.as_slice()));
    for line in [line_of(b"+OK 2 ", 9 + longest.len()), line_of(b"+OK 2 ", limits::STATUS_LINE + 9)] {
        assert_eq!(unique_id(&line), None, "it is too long");
    }
    for line in ["+OK 3 a\r\n", "+OK\r\n", "+OK 2\r\n", "-ERR 2 a\r\n", "+OK two a\r\n"] {
        assert_eq!(unique_id(line.as_bytes()), None, "{line:?}");
    }
}

#[test]
fn takes_challenges_up_to_their_limit() {
    let limit = limits::CHALLENGE_LINE;
    let mut session = greeted();
    session.send(auth(None)).unwrap();
    assert_eq!(session.receive(&line_of(b"+ ", limit)).unwrap().consumed, limit);
    session.cancel_challenge().unwrap();
    let too_long = FramingError::LineTooLong { to: CommandKind::Auth(Mechanism::Plain), limit };
    assert_eq!(session.receive(&line_of(b"+ ", limit + 1)), Err(too_long));
}

#[test]
fn takes_lines_of_a_listing_up_to_their_limit() {
    let limit = limits::LISTING_LINE;
    let mut session = listing(Command::Uidl(None));
    let step = session.receive(&line_of(b"1 ", limit)).unwrap();
    assert_eq!(step, Step { consumed: limit, event: Event::Line(0..limit - 2) });
    assert_eq!(session.receive(&vec![b'x'; limit - 1]).unwrap(), Step { consumed: 0, event: Event::NeedInput });
    let step = session.receive(&vec![b'x'; limit]).unwrap();
    assert_eq!(step, Step { consumed: limit, event: Event::LongLine(0..limits::LONG_LINE_HEAD) });
}

fn listing(command: Command) -> Session {
    let mut session = logged_in();
    session.send(command).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session
}

#[test]
fn a_longer_line_of_a_listing_is_passed_over_alone() {
    for octets in [limits::LISTING_LINE + 1, 50_000, 3 << 20] {
        for piece in [999, limits::LISTING_LINE, usize::MAX] {
            let mut session = listing(Command::Uidl(None));
            let answer = [b"1 a\r\n".to_vec(), line_of(b"2 ", octets), b"3 c\r\n.\r\n".to_vec()].concat();
            let heard = events(&mut session, &answer, piece);
            let [Event::Line(_), Event::LongLine(head), Event::Line(_), Event::End { .. }] = heard.as_slice() else {
                panic!("{heard:?}");
            };
            assert_eq!(head.len(), limits::LONG_LINE_HEAD);
        }
    }
}

#[test]
fn a_dot_behind_a_line_that_is_too_long_ends_the_listing_only_where_lines_end() {
    for (end, ends) in [("\r\n", true), ("\n", false)] {
        let mut session = listing(Command::Uidl(None));
        let answer = [vec![b'x'; 5000], end.as_bytes().to_vec(), b".\r\n".to_vec()].concat();
        let heard = events(&mut session, &answer, 77);
        assert_eq!(matches!(heard.last(), Some(Event::End { .. })), ends, "{heard:?}");
    }
}

#[test]
fn a_listing_has_a_bounded_number_of_lines_and_octets() {
    let lines = |command, to| {
        let mut session = listing(command);
        let Reading::Listing(_, decoder) = &mut session.reading else { panic!("no listing") };
        decoder.skip_to(limits::LISTING_LINES - 1, 0);
        assert_eq!(session.receive(b"1 1\r\n").unwrap().event, Event::Line(0..3));
        let error = session.receive(b"1 1\r\n").unwrap_err();
        assert_eq!(error, FramingError::TooManyLines { to, limit: limits::LISTING_LINES });
    };
    lines(Command::List(None), CommandKind::List(None));
    lines(Command::Uidl(None), CommandKind::Uidl(None));
    let octets = |command, to, limit| {
        let mut session = listing(command);
        let Reading::Listing(_, decoder) = &mut session.reading else { panic!("no listing") };
        decoder.skip_to(0, limit - 5);
        assert_eq!(session.receive(b"1 1\r\n").unwrap().event, Event::Line(0..3));
        assert_eq!(session.receive(b"1 1\r\n"), Err(FramingError::TooManyOctets { to, limit }));
        // Also in the middle of a line that does not end.
        let mut session = listing(Command::Capa);
        let endless = vec![b'x'; usize::try_from(limits::CAPABILITY_OCTETS / 4 * 3).unwrap()];
        assert!(matches!(session.receive(&endless).unwrap().event, Event::LongLine(_)));
        assert_eq!(session.receive(&endless).unwrap().event, Event::NeedInput);
        let error = session.receive(&endless).unwrap_err();
        assert_eq!(error, FramingError::TooManyOctets { to: CommandKind::Capa, limit: limits::CAPABILITY_OCTETS });
    };
    octets(Command::Uidl(None), CommandKind::Uidl(None), limits::LISTING_OCTETS);
    octets(Command::Capa, CommandKind::Capa, limits::CAPABILITY_OCTETS);
}
