//! Dialogues from RFCs and real servers, each played in one go, octet by octet, and cut at every point.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::pop3::Mechanism;
use crate::pop3::command::Command;
use crate::pop3::listing::MessageNumber;

/// One step of a dialogue.
#[derive(Debug)]
enum Turn {
    /// The client sends this line.
    Client(String),
    /// The server sends these octets.
    Server(Vec<u8>),
    /// Both sides begin TLS.
    Tls,
}

/// Parses a dialogue: `C: ` and `S: ` lines, and `TLS`. Server lines end in CRLF; `S| ` lines end in a bare LF.
fn turns(dialogue: &str) -> Vec<Turn> {
    let mut turns = Vec::new();
    for line in dialogue.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        match line.split_at(line.len().min(2)) {
            ("C:", text) => turns.push(Turn::Client(text.strip_prefix(' ').unwrap_or(text).to_owned())),
            ("S:" | "S|", text) => {
                let end = if line.starts_with("S:") { "\r\n" } else { "\n" };
                let said = [text.strip_prefix(' ').unwrap_or(text), end].concat().into_bytes();
                match turns.last_mut() {
                    Some(Turn::Server(before)) => before.extend(said),
                    _ => turns.push(Turn::Server(said)),
                }
            }
            _ if line == "TLS" => turns.push(Turn::Tls),
            _ => panic!("no such line in a dialogue: {line:?}"),
        }
    }
    turns
}

/// Parses a `C:` line as a command.
fn command(line: &str) -> Command {
    let (keyword, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let number = |text: &str| MessageNumber::new(text.parse().unwrap()).unwrap();
    let optional = |text: &str| if text.is_empty() { None } else { Some(number(text)) };
    let pair = || arguments.split_once(' ').unwrap();
    match keyword {
        "CAPA" => Command::Capa,
        "STLS" => Command::Stls,
        "UTF8" => Command::Utf8,
        "USER" => Command::User(arguments.to_owned()),
        "PASS" => Command::Pass(Secret::new(arguments.as_bytes().to_vec())),
        "APOP" => Command::Apop { username: pair().0.to_owned(), digest: pair().1.to_owned() },
        "AUTH" => Command::Auth {
            mechanism: Mechanism::Plain,
            initial_response: arguments.split_once(' ').map(|(_, response)| Secret::new(decoded(response))),
        },
        "STAT" => Command::Stat,
        "LIST" => Command::List(optional(arguments)),
        "UIDL" => Command::Uidl(optional(arguments)),
        "RETR" => Command::Retr(number(arguments)),
        "TOP" => Command::Top { number: number(pair().0), lines: pair().1.parse().unwrap() },
        "DELE" => Command::Dele(number(arguments)),
        "NOOP" => Command::Noop,
        "RSET" => Command::Rset,
        "QUIT" => Command::Quit,
        _ => panic!("no such command: {line:?}"),
    }
}

fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

/// What the driver of a session saw, one text per event; message data is joined, however it arrived.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, event: Event, input: &[u8]) {
        let text = match event {
            Event::NeedInput => return,
            Event::Greeting(Greeting { response, timestamp }) => {
                format!("greeting {}{}", shown(&response), timestamp.map(|t| format!(" stamp {t}")).unwrap_or_default())
            }
            Event::Response { to, response } => format!("{to} {}", shown(&response)),
            Event::Line(range) => format!("line {}", input[range].escape_ascii()),
            Event::Data(range) => {
                assert!(!range.is_empty());
                let data = input[range].escape_ascii().to_string();
                match self.0.last_mut() {
                    Some(last) if last.starts_with("data ") => last.push_str(&data),
                    _ => self.0.push(format!("data {data}")),
                }
                return;
            }
            Event::End { to } => format!("end of {to}"),
            Event::Challenge(challenge) => format!("challenge \"{}\"", challenge.escape_ascii()),
            Event::LongLine(range) => format!("long line {}", input[range].escape_ascii()),
            Event::Lines(range) => format!("lines {}", input[range].escape_ascii()),
            Event::BadChallenge => "bad challenge".to_owned(),
        };
        self.0.push(text);
    }
}

fn shown(response: &Response) -> String {
    let code = response.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{:?}{code} {}", response.status, response.text).trim_end().to_owned()
}

/// Plays a dialogue, cutting the server's data before each octet for which `cut` returns true.
fn play(turns: &[Turn], cut: &dyn Fn(usize) -> bool) -> Vec<String> {
    let mut session = Session::new();
    let mut seen = Seen::default();
    let mut sent = 0;
    for turn in turns {
        match turn {
            Turn::Client(line) => speak(&mut session, line),
            Turn::Tls => session.tls_started().unwrap(),
            Turn::Server(octets) => {
                let mut unread = Vec::new();
                for (at, &octet) in octets.iter().enumerate() {
                    unread.push(octet);
                    sent += 1;
                    if !cut(sent) && at + 1 < octets.len() {
                        continue;
                    }
                    if let Err(error) = listen(&mut session, &mut unread, &mut seen) {
                        seen.0.push(format!("error {error:?}"));
                        assert_eq!((session.state(), session.outstanding()), (SessionState::Closed, 0));
                        return seen.0;
                    }
                }
                assert!(unread.is_empty(), "left over: {}", unread.escape_ascii());
            }
        }
    }
    seen.0
}

/// Sends one line, and checks that exactly this line goes to the socket.
fn speak(session: &mut Session, line: &str) {
    if matches!(session.reading, Reading::ChallengeAnswer) {
        if line == "*" {
            session.cancel_challenge().unwrap();
        } else {
            session.answer_challenge(&Secret::new(decoded(line))).unwrap();
        }
    } else if session.output().is_empty() {
        session.send(command(line)).unwrap();
    }
    assert_eq!(session.output().escape_ascii().to_string(), format!("{line}\\r\\n"));
    session.advance_output(session.output().len());
}

fn listen(session: &mut Session, unread: &mut Vec<u8>, seen: &mut Seen) -> Result<(), FramingError> {
    loop {
        let step = session.receive(unread)?;
        let needs_input = step.event == Event::NeedInput;
        seen.note(step.event, unread);
        unread.drain(..step.consumed);
        if needs_input {
            return Ok(());
        }
    }
}

/// Plays a dialogue in every way, and checks that the driver sees the same each time.
fn check(dialogue: &str, expected: &[&str]) {
    let turns = turns(dialogue);
    let total: usize = turns.iter().map(|turn| if let Turn::Server(octets) = turn { octets.len() } else { 0 }).sum();
    assert_eq!(play(&turns, &|_| false), expected, "in one go");
    assert_eq!(play(&turns, &|_| true), expected, "octet by octet");
    for at in 1..total {
        assert_eq!(play(&turns, &|sent| sent == at), expected, "cut behind octet {at}");
    }
}

mod broken_servers;
mod real_servers;
mod rfc;
