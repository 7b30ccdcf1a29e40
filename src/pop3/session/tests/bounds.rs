//! How much a server may say.

use super::*;

/// A line of this many octets with its CRLF, after `beginning`.
fn line_of(beginning: &[u8], octets: usize) -> Vec<u8> {
    [beginning, &vec![b'x'; octets - 2 - beginning.len()], b"\r\n"].concat()
}

#[test]
fn takes_status_lines_up_to_their_limit() {
    let limit = limits::STATUS_LINE;
    let mut session = Session::new();
    assert_eq!(session.receive(&line_of(b"+OK ", limit)).unwrap().consumed, limit);
    session.send(Command::Capa).unwrap();
    assert_eq!(session.receive(&vec![b'+'; limit - 1]).unwrap().event, Event::NeedInput);
    let too_long = FramingError::LineTooLong { to: Asked::Capa, limit };
    assert_eq!(session.receive(&line_of(b"-ERR ", limit + 1)), Err(too_long));
    let error = Session::new().receive(&vec![b'x'; limit]).unwrap_err();
    assert!(matches!(error, FramingError::NotPop3 { excerpt } if excerpt.starts_with("xxx")));
}

#[test]
fn takes_challenges_up_to_their_limit() {
    let limit = limits::CHALLENGE_LINE;
    let mut session = greeted();
    session.send(auth(None)).unwrap();
    assert_eq!(session.receive(&line_of(b"+ ", limit)).unwrap().consumed, limit);
    session.cancel_challenge().unwrap();
    let too_long = FramingError::LineTooLong { to: Asked::Auth(Mechanism::Plain), limit };
    assert_eq!(session.receive(&line_of(b"+ ", limit + 1)), Err(too_long));
}

#[test]
fn takes_lines_of_a_listing_up_to_their_limit() {
    let limit = limits::LISTING_LINE;
    let mut session = logged_in();
    session.send(Command::Uidl(None)).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    let step = session.receive(&line_of(b"1 ", limit)).unwrap();
    assert_eq!(step, Step { consumed: limit, event: Event::Line(0..limit - 2) });
    assert_eq!(session.receive(&vec![b'x'; limit - 1]).unwrap(), Step { consumed: 0, event: Event::NeedInput });
    let too_long = FramingError::LineTooLong { to: Asked::Uidl(None), limit };
    assert_eq!(session.receive(&vec![b'x'; limit]), Err(too_long));
}

#[test]
fn takes_a_bounded_number_of_capability_lines() {
    let mut session = greeted();
    session.send(Command::Capa).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    for _ in 0..limits::CAPABILITY_LINES {
        assert_eq!(session.receive(b"X\r\n").unwrap().event, Event::Line(0..1));
    }
    let error = session.receive(b"X\r\n").unwrap_err();
    assert_eq!(error, FramingError::TooManyLines { to: Asked::Capa, limit: limits::CAPABILITY_LINES });
}

#[test]
fn takes_a_large_but_bounded_number_of_listing_lines() {
    let mut session = logged_in();
    session.send(Command::List(None)).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    let Reading::Listing(_, decoder) = &mut session.reading else { panic!("no listing") };
    decoder.skip_to(limits::LISTING_LINES - 1);
    assert_eq!(session.receive(b"1 1\r\n").unwrap().event, Event::Line(0..3));
    let error = session.receive(b"1 1\r\n").unwrap_err();
    assert_eq!(error, FramingError::TooManyLines { to: Asked::List(None), limit: limits::LISTING_LINES });
}
