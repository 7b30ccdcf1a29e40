//! Properties that hold for any octets, cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pop3::Mechanism;
use crate::pop3::command::Command;
use crate::pop3::listing::MessageNumber;
use crate::sasl::plain_response;

/// Octets in which line ends and dots are frequent.
fn octets(length: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        3 => Just(b".".to_vec()),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"text".to_vec()),
        2 => vec(any::<u8>(), 0..5),
    ];
    vec(piece, 0..length).prop_map(|pieces| pieces.concat())
}

/// The lengths into which the input is cut, repeatedly.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![usize::MAX]), vec(1..9_usize, 1..8)]
}

/// Stuffs a message as a server does, in the simplest way: octet by octet. A missing line end is added.
fn stuffed(message: &[u8], line_end: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for &octet in message {
        if octet == b'.' && (sent.is_empty() || sent.ends_with(line_end)) {
            sent.push(b'.');
        }
        sent.push(octet);
    }
    if !sent.is_empty() && !sent.ends_with(line_end) {
        sent.extend_from_slice(line_end);
    }
    sent.push(b'.');
    sent.extend_from_slice(line_end);
    sent
}

/// A session after the login whose server uses this line end.
fn logged_in(line_end: &[u8]) -> Session {
    let mut session = Session::new();
    session.receive(&[b"+OK", line_end].concat()).unwrap();
    session.send(Command::Pass(Secret::new(b"x".to_vec()))).unwrap();
    session.receive(&[b"+OK", line_end].concat()).unwrap();
    session
}

fn one() -> MessageNumber {
    MessageNumber::new(1).unwrap()
}

/// Passes `input` to the session in pieces and collects the events; data is joined. The driver answers each greeting
/// with all of `flight` and each challenge with a response. Also checks that nothing is held back without need.
fn drive(session: &mut Session, input: &[u8], cuts: &[usize], flight: &[Command]) -> (Vec<Event>, Vec<u8>, String) {
    let (mut events, mut data, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = input;
    for &cut in cuts.iter().cycle() {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        unread.extend_from_slice(piece);
        loop {
            let step = match session.receive(&unread) {
                Ok(step) => step,
                // The excerpt shows what has arrived so far, which may differ.
                Err(FramingError::Unsolicited { .. }) => return (events, data, "unsolicited".to_owned()),
                Err(error) => return (events, data, format!("{error:?}")),
            };
            assert!(step.consumed <= unread.len());
            match step.event {
                Event::NeedInput => {
                    unread.drain(..step.consumed);
                    break;
                }
                Event::Data(range) => {
                    assert!(!range.is_empty() && range.end == step.consumed);
                    data.extend_from_slice(&unread[range]);
                }
                Event::Line(range) | Event::LongLine(range) => {
                    events.push(Event::Challenge(unread[range].to_vec()));
                }
                Event::Lines(range) => {
                    assert!(range == (0..step.consumed) && unread[range.clone()].ends_with(b"\r\n"));
                    let lines = unread[range].split_inclusive(|octet| *octet == b'\n');
                    events.extend(lines.map(|line| Event::Challenge(line.strip_suffix(b"\r\n").unwrap().to_vec())));
                }
                event => {
                    assert!(step.consumed > 0);
                    if matches!(event, Event::Greeting(_)) {
                        let _ = flight.iter().try_for_each(|command| session.send(command.clone()));
                    }
                    if matches!(event, Event::Challenge(_) | Event::BadChallenge) {
                        session.answer_challenge(&plain_response("jo", &Secret::new(b"x".to_vec()))).unwrap();
                    }
                    events.push(event);
                }
            }
            unread.drain(..step.consumed);
        }
        if matches!(session.reading, Reading::Message(..)) {
            assert!(unread.len() <= 2, "held back: {}", unread.escape_ascii());
        }
        if rest.is_empty() {
            break;
        }
    }
    (events, data, unread.escape_ascii().to_string())
}

/// Words of the protocol, and garbage.
fn babble() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => Just(b"+OK\r\n".to_vec()),
        2 => Just(b"-ERR [AUTH] no\r\n".to_vec()),
        2 => Just(b".\r\n".to_vec()),
        2 => Just(b"+ \r\n".to_vec()),
        1 => Just(b"+\n".to_vec()),
        1 => Just(b"+OK\n".to_vec()),
        1 => Just(b"1 120\r\n".to_vec()),
        1 => Just(b"\x16\x03\x01".to_vec()),
        1 => vec(Just(b'x'), 4000..4200),
        2 => octets(4),
    ];
    (any::<bool>(), vec(word, 0..12)).prop_map(|(greeted, words)| {
        let greeting = if greeted { b"+OK <1.2@h>\r\n".to_vec() } else { Vec::new() };
        [greeting, words.concat()].concat()
    })
}

fn flights() -> impl Strategy<Value = Vec<Command>> {
    let long = Some(plain_response("jo", &Secret::new(vec![b'x'; 300])));
    let login =
        vec![Command::Capa, Command::Utf8, Command::User("jo".into()), Command::Pass(Secret::new(b"x".to_vec()))];
    prop_oneof![
        Just(login),
        Just(vec![Command::Capa, Command::Auth { mechanism: Mechanism::Plain, initial_response: None }]),
        Just(vec![Command::Auth { mechanism: Mechanism::Plain, initial_response: long }]),
        Just(vec![Command::Stls]),
        Just(vec![Command::Quit]),
        Just(Vec::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Lines of LIST and UIDL passed on many at a time are the same as one by one.
    #[test]
    fn lines_together_are_lines(listing in octets(40), long in 0..3_usize, lf in any::<bool>(), cuts in cuts(), sizes in any::<bool>()) {
        let line_end: &[u8] = if lf { b"\n" } else { b"\r\n" };
        let input = [b"+OK", line_end, &listing, &vec![b'x'; long * 3000], line_end, b".", line_end].concat();
        let listed = |together| {
            let mut session = logged_in(line_end);
            session.take_lines_together(together);
            session.send(if sizes { Command::List(None) } else { Command::Uidl(None) }).unwrap();
            drive(&mut session, &input, &cuts, &[])
        };
        prop_assert_eq!(listed(true), listed(false));
    }

    #[test]
    fn a_message_comes_out_as_it_went_in(message in octets(60), cuts in cuts(), bare_lf in any::<bool>()) {
        let line_end: &[u8] = if bare_lf { b"\n" } else { b"\r\n" };
        let mut session = logged_in(line_end);
        session.send(Command::Retr(one())).unwrap();
        session.send(Command::Noop).unwrap();
        let status: &[u8] = &[b"+OK", line_end].concat();
        let input = [status, &stuffed(&message, line_end), status].concat();
        let (events, data, left) = drive(&mut session, &input, &cuts, &[]);
        let mut expected = message;
        if !expected.is_empty() && !expected.ends_with(line_end) {
            expected.extend_from_slice(line_end);
        }
        prop_assert_eq!(data.escape_ascii().to_string(), expected.escape_ascii().to_string());
        prop_assert_eq!((events.len(), session.outstanding(), left.as_str()), (3, 0, ""));
    }

    #[test]
    fn any_octets_after_retr_mean_the_same_in_any_pieces(octets in octets(60), cuts in cuts(), bare_lf in any::<bool>()) {
        let line_end: &[u8] = if bare_lf { b"\n" } else { b"\r\n" };
        let retrieving = || {
            let mut session = logged_in(line_end);
            session.send(Command::Retr(one())).unwrap();
            session.send(Command::Top { number: one(), lines: 0 }).unwrap();
            session.receive(b"+OK\r\n").unwrap();
            session
        };
        let whole = drive(&mut retrieving(), &octets, &[usize::MAX], &[]);
        prop_assert_eq!(drive(&mut retrieving(), &octets, &cuts, &[]), whole);
    }

    #[test]
    fn any_octets_after_uidl_mean_the_same_in_any_pieces(octets in octets(60), cuts in cuts(), bare_lf in any::<bool>()) {
        let line_end: &[u8] = if bare_lf { b"\n" } else { b"\r\n" };
        let listing = || {
            let mut session = logged_in(line_end);
            session.send(Command::Uidl(None)).unwrap();
            session.receive(b"+OK\r\n").unwrap();
            session
        };
        let whole = drive(&mut listing(), &octets, &[usize::MAX], &[]);
        prop_assert_eq!(drive(&mut listing(), &octets, &cuts, &[]), whole);
    }

    #[test]
    fn a_session_of_any_octets_is_the_same_in_any_pieces(input in babble(), flight in flights(), cuts in cuts()) {
        let mut whole = Session::new();
        let mut pieces = Session::new();
        let expected = drive(&mut whole, &input, &[usize::MAX], &flight);
        prop_assert_eq!(drive(&mut pieces, &input, &cuts, &flight), expected);
        prop_assert_eq!(pieces.state(), whole.state());
        prop_assert_eq!(pieces.output(), whole.output());
    }
}

/// A message of one line that does not end for 100 MiB: every piece is passed on at once and complete.
#[test]
fn an_endless_line_of_a_message_is_passed_on_without_holding_any() {
    let mut session = logged_in(b"\r\n");
    session.send(Command::Retr(one())).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..1600 {
        let step = session.receive(&piece).unwrap();
        assert_eq!(step, Step { consumed: piece.len(), event: Event::Data(0..piece.len()) });
    }
    assert_eq!(session.receive(b"\r\n.\r\n").unwrap(), Step { consumed: 2, event: Event::Data(0..2) });
    assert_eq!(session.receive(b".\r\n").unwrap().event, Event::End { to: CommandKind::Retr(one()) });
}
