//! A server that says anything means the same in one piece and in many.
//!
//! The first octet chooses what the client sends after the greeting, the second and third how the rest is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mailferry::pop3::{Command, Event, FramingError, Mechanism, MessageNumber, Session, Status};
use mailferry::sasl::plain_response;
use mailferry::secret::Secret;

/// What the client sends at once after the greeting, and again after the login.
struct Script {
    login: Vec<Command>,
    flight: Vec<Command>,
}

/// Everything that a driver can notice.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<Event>,
    lines: Vec<Vec<u8>>,
    data: Vec<u8>,
    sent: Vec<u8>,
    error: Option<String>,
}

fuzz_target!(|input: &[u8]| {
    let [choice, first, second, server @ ..] = input else { return };
    let cuts = [usize::from(*first).max(1), usize::from(*second).max(1)];
    let whole = drive(server, &[usize::MAX], *choice);
    let pieces = drive(server, &cuts, *choice);
    assert_eq!(whole, pieces);
});

fn script(choice: u8) -> Script {
    let secret = |length| Secret::new(vec![b'x'; length]);
    let one = MessageNumber::new(1);
    let auth = |initial_response| Command::Auth { mechanism: Mechanism::Plain, initial_response };
    let login = match choice % 6 {
        0 => vec![Command::Capa, Command::Utf8, Command::User("jo".into()), Command::Pass(secret(5))],
        1 => vec![auth(None)],
        2 => vec![Command::Utf8, auth(Some(plain_response("jo", &secret(300))))],
        3 => vec![Command::Apop { username: "jo".into(), digest: "00".into() }],
        4 => vec![Command::Stls],
        _ => vec![Command::Quit],
    };
    let mut flight = vec![Command::Capa, Command::Stat, Command::Uidl(None), Command::List(one)];
    flight.extend(one.into_iter().flat_map(|number| {
        [Command::Retr(number), Command::Top { number, lines: 0 }, Command::Dele(number), Command::Quit]
    }));
    Script { login, flight }
}

fn drive(server: &[u8], cuts: &[usize], choice: u8) -> Seen {
    let Script { login, flight } = script(choice);
    let mut session = Session::new();
    let mut seen = Seen::default();
    let (mut unread, mut rest) = (Vec::new(), server);
    for &cut in cuts.iter().cycle() {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        unread.extend_from_slice(piece);
        loop {
            let step = match session.receive(&unread) {
                Ok(step) => step,
                Err(error) => {
                    // What it quotes, and what was written before, depends on how much had come.
                    seen.sent.clear();
                    let unsolicited = matches!(error, FramingError::Unsolicited { .. });
                    seen.error = Some(if unsolicited { "unsolicited".into() } else { error.to_string() });
                    return seen;
                }
            };
            let last = step.event == Event::NeedInput;
            match step.event {
                Event::NeedInput => {}
                Event::Line(range) | Event::LongLine(range) | Event::Lines(range) => {
                    seen.lines.push(unread[range].to_vec())
                }
                Event::Data(range) => seen.data.extend_from_slice(&unread[range]),
                event => {
                    let commands = match &event {
                        Event::Greeting(_) => &login,
                        Event::Response { response, .. } if response.status == Status::Ok => &flight,
                        _ => &Vec::new(),
                    };
                    // What is out of turn is refused, and the rest of the flight with it.
                    let _ = commands.iter().try_for_each(|command| session.send(command.clone()));
                    if matches!(event, Event::Challenge(_) | Event::BadChallenge) {
                        let _ = session.answer_challenge(&plain_response("jo", &Secret::new(vec![b'x'])));
                    }
                    let _ = session.tls_started();
                    seen.events.push(event);
                }
            }
            unread.drain(..step.consumed);
            // The output is the same in the end, but some of it may wait for more input meanwhile.
            seen.sent.extend_from_slice(session.output());
            session.advance_output(session.output().len());
            if last {
                break;
            }
        }
        if rest.is_empty() {
            return seen;
        }
    }
    seen
}
