//! The rules of a session: which command may be sent when, and which answer belongs to it.
//!
//! The driver of a session owns the socket. In a loop it writes [`Session::output`], reads, and gives
//! [`Session::receive`] everything that is unread, again and again until that says [`Event::NeedInput`].

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::command::Asked;
use super::error::FramingError;
use super::limits;
use super::multi_line::{Line, LineEnd, ListingDecoder, MultiLineDecoder, Piece};
use super::printable::excerpt;
use super::response::{Greeting, Response, Status};
use crate::secret::Secret;

mod output;
mod sending;
use output::Output;

/// Base64 as servers send it: with or without the padding that RFC 5034 asks for.
const CHALLENGE_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One session with a server, from the greeting to the answer to QUIT, without the socket.
///
/// It keeps the commands that wait for an answer in order, so that each answer finds its question even when many are
/// sent ahead. Whether the server can take several at a time (PIPELINING, RFC 2449, section 6.6) is the driver's to
/// know; the session only sees to it that nothing is sent behind a command that must be the last of its flight.
#[derive(Debug)]
pub struct Session {
    /// How far the session has come.
    state: SessionState,
    /// What the next octet from the server belongs to.
    reading: Reading,
    /// The commands whose answers are not complete, the oldest first.
    outstanding: VecDeque<Asked>,
    /// The initial response that did not fit into its AUTH line; the first challenge is answered with it.
    held_response: Option<Secret>,
    /// How the server ends its lines; `None` until its first line, and again after STLS, because before TLS anybody
    /// on the way could have chosen it.
    line_end: Option<LineEnd>,
    /// TLS protects the connection, so STLS is out of turn.
    under_tls: bool,
    /// UTF8 was sent, so STLS is out of turn (RFC 6856, section 2.1).
    utf8_sent: bool,
    /// What is to be written to the socket.
    output: Output,
}

/// How far a session has come (RFC 1939, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The server has not spoken yet.
    Greeting,
    /// Before the login: AUTHORIZATION.
    Authorization,
    /// After the login: TRANSACTION.
    Transaction,
    /// QUIT was sent after the login, and the server removes what is marked: UPDATE.
    Update,
    /// QUIT was answered, the server refused the connection, or a framing error ended the session.
    Closed,
}

impl fmt::Display for SessionState {
    /// Completes "the command cannot be sent".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "before the greeting",
            Self::Authorization => "before the login",
            Self::Transaction => "after the login",
            Self::Update => "after QUIT",
            Self::Closed => "after the end of the session",
        })
    }
}

/// What [`Session::receive`] made of the beginning of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many octets of the input are dealt with. Do not give them again.
    pub consumed: usize,
    /// What they say.
    pub event: Event,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be said about this input. Keep what is not consumed, write the output, read more.
    NeedInput,
    /// The first line of the session. After one with [`Status::Err`] nothing may be sent.
    Greeting(Greeting),
    /// A single-line answer, or the first line of a multi-line one. [`Event::Line`] or [`Event::Data`], then
    /// [`Event::End`] follow the `+OK` to CAPA, LIST and UIDL without a number, RETR and TOP.
    Response {
        /// The command it answers.
        to: Asked,
        /// The answer.
        response: Response,
    },
    /// A line of the answer to CAPA, LIST or UIDL: octets of the input, without line end and stuffed dot.
    Line(Range<usize>),
    /// A piece of the answer to RETR or TOP: octets of the input, without stuffed dots, line ends as sent.
    Data(Range<usize>),
    /// A multi-line answer is complete.
    End {
        /// The command it answers.
        to: Asked,
    },
    /// AUTH goes on: answer these octets, decoded already, by [`Session::answer_challenge`], or give up by
    /// [`Session::cancel_challenge`].
    Challenge(Vec<u8>),
    /// AUTH goes on, but the challenge is not base64. Give up by [`Session::cancel_challenge`].
    BadChallenge,
}

/// What the next octet from the server belongs to.
#[derive(Debug)]
enum Reading {
    /// The greeting or a status line, or nothing that was asked for.
    StatusLine,
    /// The lines that this command asked for: CAPA, LIST or UIDL.
    Listing(Asked, ListingDecoder),
    /// The message that this command asked for: RETR or TOP.
    Message(Asked, Box<MultiLineDecoder>),
    /// Nothing: the server waits for the answer to its challenge.
    ChallengeAnswer,
    /// Nothing: TLS is about to begin.
    Handshake,
}

impl Session {
    /// A session whose server has not spoken yet, on a connection without TLS so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: SessionState::Greeting,
            reading: Reading::StatusLine,
            outstanding: VecDeque::new(),
            held_response: None,
            line_end: None,
            under_tls: false,
            utf8_sent: false,
            output: Output::default(),
        }
    }

    /// The same on a connection that began with TLS (RFC 8314, section 3.1): STLS is out of turn.
    #[must_use]
    pub fn under_tls() -> Self {
        Self { under_tls: true, ..Self::new() }
    }

    /// How far the session has come.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// How many commands wait for an answer or for the rest of one.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// The octets to be written to the socket. They may hold a password.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.as_bytes()
    }

    /// The first `written` octets of the output are written. They are wiped.
    pub fn advance_output(&mut self, written: usize) {
        self.output.advance(written);
    }

    /// Says what the server said first, and how much of the input that takes.
    ///
    /// `input` is everything that came from the server and is not consumed yet. The ranges in the event are ranges of
    /// `input`. Call it again with the rest until the event is [`Event::NeedInput`]; answer a challenge and begin TLS
    /// before the next call.
    ///
    /// # Errors
    /// [`FramingError`] ends the session.
    pub fn receive(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let step = match &mut self.reading {
            _ if input.is_empty() => Ok(Step { consumed: 0, event: Event::NeedInput }),
            Reading::StatusLine => self.status_line(input),
            Reading::Listing(to, decoder) => {
                let to = *to;
                match decoder.decode(input, limits::LISTING_LINE) {
                    Piece::NeedInput if input.len() >= limits::LISTING_LINE => {
                        Err(FramingError::LineTooLong { to, limit: limits::LISTING_LINE })
                    }
                    Piece::Content { .. } if decoder.lines() > most_lines(to) => {
                        Err(FramingError::TooManyLines { to, limit: most_lines(to) })
                    }
                    piece => Ok(self.step(to, piece, Event::Line)),
                }
            }
            Reading::Message(to, decoder) => {
                let (to, piece) = (*to, decoder.decode(input));
                Ok(self.step(to, piece, Event::Data))
            }
            Reading::ChallengeAnswer => Err(FramingError::Unsolicited { excerpt: excerpt(input) }),
            Reading::Handshake => Err(FramingError::BytesBeforeTls),
        };
        if step.is_err() {
            self.close();
        }
        step
    }

    fn status_line(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let to = match (self.state, self.outstanding.front()) {
            (SessionState::Greeting, _) => Asked::Greeting,
            (_, Some(&asked)) => asked,
            (_, None) => return Err(FramingError::Unsolicited { excerpt: excerpt(input) }),
        };
        // A TLS record of type alert or handshake, and the first octet of its version.
        if let (Asked::Greeting, [0x15 | 0x16, 3, ..]) = (to, input) {
            return Err(FramingError::LooksLikeTls);
        }
        let limit = if matches!(to, Asked::Auth(_)) { limits::CHALLENGE_LINE } else { limits::STATUS_LINE };
        let Some(line) = Line::first(input, limit) else {
            return match input {
                _ if input.len() < limit => Ok(Step { consumed: 0, event: Event::NeedInput }),
                [b'+' | b'-', ..] => Err(FramingError::LineTooLong { to, limit }),
                _ => Err(FramingError::NotPop3 { excerpt: excerpt(input) }),
            };
        };
        self.line_end.get_or_insert(line.end);
        match (to, line.content) {
            (Asked::Greeting, content) => self.greeting(content, line.consumed),
            (Asked::Auth(_), b"+") => self.challenge(&[], line.consumed, input),
            (Asked::Auth(_), [b'+', b' ', challenge @ ..]) => self.challenge(challenge, line.consumed, input),
            (_, content) => {
                let response = Response::parse(content)?;
                self.answered(to, response.status);
                Ok(Step { consumed: line.consumed, event: Event::Response { to, response } })
            }
        }
    }

    fn greeting(&mut self, line: &[u8], consumed: usize) -> Result<Step, FramingError> {
        let greeting = Greeting::parse(line)?;
        self.state = match greeting.response.status {
            Status::Ok => SessionState::Authorization,
            Status::Err => SessionState::Closed,
        };
        Ok(Step { consumed, event: Event::Greeting(greeting) })
    }

    /// A challenge of AUTH (RFC 5034, section 4).
    fn challenge(&mut self, encoded: &[u8], consumed: usize, input: &[u8]) -> Result<Step, FramingError> {
        if let Some(response) = self.held_response.take() {
            // This one only asks for what did not fit into the command, so its words, if any, do not matter. The
            // server can have said nothing after it; if it did, that stands for the answer to what we say now.
            self.write_answer(&response);
            let rest = input.get(consumed..).unwrap_or_default();
            let mut step =
                if rest.is_empty() { Step { consumed: 0, event: Event::NeedInput } } else { self.status_line(rest)? };
            step.consumed += consumed;
            return Ok(step);
        }
        self.reading = Reading::ChallengeAnswer;
        let event = match CHALLENGE_BASE64.decode(encoded.trim_ascii()) {
            Ok(challenge) => Event::Challenge(challenge),
            Err(_) => Event::BadChallenge,
        };
        Ok(Step { consumed, event })
    }

    /// Moves on to what follows this status line.
    fn answered(&mut self, to: Asked, status: Status) {
        let line_end = self.line_end.unwrap_or(LineEnd::CrLf);
        match (to, status) {
            (Asked::Capa | Asked::List(None) | Asked::Uidl(None), Status::Ok) => {
                self.reading = Reading::Listing(to, ListingDecoder::new(line_end));
                return;
            }
            (Asked::Retr(_) | Asked::Top(_), Status::Ok) => {
                self.reading = Reading::Message(to, Box::new(MultiLineDecoder::new(line_end)));
                return;
            }
            (Asked::Pass | Asked::Apop | Asked::Auth(_), Status::Ok) => self.state = SessionState::Transaction,
            (Asked::Stls, Status::Ok) => self.reading = Reading::Handshake,
            // Whatever the server answers, there is nothing more to say (RFC 1939, section 6).
            (Asked::Quit, _) => self.state = SessionState::Closed,
            _ => {}
        }
        if matches!(to, Asked::Auth(_)) {
            self.held_response = None;
        }
        self.outstanding.pop_front();
    }

    /// What a piece of a multi-line answer is to the driver.
    fn step(&mut self, to: Asked, piece: Piece, event: fn(Range<usize>) -> Event) -> Step {
        match piece {
            Piece::NeedInput => Step { consumed: 0, event: Event::NeedInput },
            Piece::Content { consumed, range } => Step { consumed, event: event(range) },
            Piece::End { consumed } => {
                self.reading = Reading::StatusLine;
                self.outstanding.pop_front();
                Step { consumed, event: Event::End { to } }
            }
        }
    }

    fn close(&mut self) {
        self.state = SessionState::Closed;
        self.reading = Reading::StatusLine;
        self.outstanding.clear();
        self.held_response = None;
        self.output = Output::default();
    }
}

/// The most lines this answer may have.
fn most_lines(to: Asked) -> usize {
    if to == Asked::Capa { limits::CAPABILITY_LINES } else { limits::LISTING_LINES }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcripts;
