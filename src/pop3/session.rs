//! The rules of a session: which command may be sent when, and which answer belongs to it.
//!
//! The driver of a session owns the socket. In a loop it writes [`Session::output`], reads, and passes all unconsumed
//! input to [`Session::receive`] until that returns [`Event::NeedInput`].

use std::collections::VecDeque;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::command::CommandKind;
use super::error::FramingError;
use super::limits;
use super::listing::UniqueIdListing;
use super::multi_line::{Line, LineEnd, ListingDecoder, MultiLineDecoder, Piece, TakenDots};
use super::printable::excerpt;
use super::response::{Greeting, Response, Status};
use super::state::SessionState;
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
/// It keeps the outstanding commands in order, so that each answer finds its command even when many are pipelined.
/// Whether the server supports PIPELINING (RFC 2449, section 6.6) is for the driver to know; the session only ensures
/// that nothing is sent after a command that must be the last of its flight.
#[derive(Debug)]
pub struct Session {
    /// How far the session has come.
    state: SessionState,
    /// What the next octet from the server belongs to.
    reading: Reading,
    /// The commands whose answers are not complete, oldest first.
    outstanding: VecDeque<Outstanding>,
    /// How many round trips the answers so far took. A round trip begins with a command sent after the previous one was
    /// over.
    round_trips: u32,
    /// An initial response that did not fit into its AUTH line; it answers the first challenge.
    held_response: Option<Secret>,
    /// How the server ends its lines. `None` until its first line, and again after STLS, because before TLS an attacker
    /// on the path could have chosen it.
    line_end: Option<LineEnd>,
    /// A status line that is too long, as far as received.
    long_line: Option<LongLine>,
    /// Whether TLS protects the connection, so that STLS is out of turn.
    under_tls: bool,
    /// Whether UTF8 was sent, so that STLS is out of turn (RFC 6856, section 2.1).
    utf8_sent: bool,
    /// Whether plain lines of LIST and UIDL are passed on many at a time.
    lines_together: bool,
    /// The dots that were removed from the current message, or from the last one.
    taken_dots: TakenDots,
    /// The octets to be written to the socket.
    output: Output,
}

/// What [`Session::receive`] found at the beginning of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How many octets of the input are consumed. Do not pass them again.
    pub consumed: usize,
    /// What these octets mean; [`Event::NeedInput`] if they are not enough.
    pub event: Event,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is no event in this input. Keep what is not consumed, write the output, read more.
    NeedInput,
    /// The first line of the session. After one with [`Status::Err`] nothing may be sent.
    Greeting(Greeting),
    /// A single-line answer, or the first line of a multi-line one. [`Event::Line`] or [`Event::Data`], then
    /// [`Event::End`] follow the `+OK` to CAPA, LIST and UIDL without a number, RETR and TOP.
    Response {
        /// The command it answers.
        to: CommandKind,
        /// The answer.
        response: Response,
    },
    /// A line of the answer to CAPA, LIST or UIDL: octets of the input, without line end and stuffed dot.
    Line(Range<usize>),
    /// Whole lines of the answer to LIST or UIDL as received, with their line ends, after
    /// [`Session::take_lines_together`].
    Lines(Range<usize>),
    /// A line of the answer to CAPA, LIST or UIDL that has more than [`limits::LISTING_LINE`] octets and is skipped:
    /// its first [`limits::LONG_LINE_HEAD`] octets.
    LongLine(Range<usize>),
    /// A piece of the answer to RETR or TOP: octets of the input, without stuffed dots, line ends as sent.
    Data(Range<usize>),
    /// The end of a multi-line answer.
    End {
        /// The command it answers.
        to: CommandKind,
    },
    /// AUTH continues: answer these octets, already decoded, with [`Session::answer_challenge`], or give up with
    /// [`Session::cancel_challenge`].
    Challenge(Vec<u8>),
    /// AUTH continues, but the challenge is not base64. Give up with [`Session::cancel_challenge`].
    BadChallenge,
}

/// What the next octet from the server belongs to.
#[derive(Debug)]
enum Reading {
    /// The greeting, a status line, or something unsolicited.
    StatusLine,
    /// The lines that this command asked for: CAPA, LIST or UIDL.
    Listing(CommandKind, ListingDecoder),
    /// The message that this command asked for: RETR or TOP.
    Message(CommandKind, Box<MultiLineDecoder>),
    /// Nothing: the server waits for the answer to its challenge.
    ChallengeAnswer,
    /// Nothing: TLS is about to begin.
    Handshake,
}

/// A command whose answer is not complete.
#[derive(Debug, Clone, Copy)]
struct Outstanding {
    kind: CommandKind,
    /// The round trip that brings its answer, counted from 1.
    round_trip: u32,
}

/// A status line longer than what is kept.
#[derive(Debug)]
struct LongLine {
    /// Its beginning, which is all that is parsed.
    head: Vec<u8>,
    /// How many octets have arrived.
    octets: usize,
    /// Whether the last of them was a CR.
    behind_cr: bool,
}

impl Session {
    /// Creates a session whose server has not spoken yet, on a connection without TLS so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: SessionState::Greeting,
            reading: Reading::StatusLine,
            outstanding: VecDeque::new(),
            round_trips: 0,
            held_response: None,
            line_end: None,
            long_line: None,
            under_tls: false,
            utf8_sent: false,
            lines_together: false,
            taken_dots: TakenDots::default(),
            output: Output::default(),
        }
    }

    /// Creates a session on a connection that began with TLS (RFC 8314, section 3.1): STLS is out of turn.
    #[must_use]
    pub(crate) fn under_tls() -> Self {
        Self { under_tls: true, ..Self::new() }
    }

    /// Returns the state of the session.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// Returns the dots that were removed from the current message, or from the last one.
    #[must_use]
    pub fn taken_dots(&self) -> TakenDots {
        self.taken_dots
    }

    /// Returns how many commands wait for an answer or for the rest of one.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Sets whether lines of LIST and UIDL are passed on many at a time if they are plain: each ends in CRLF, does not
    /// begin with a dot and is not too long.
    pub fn take_lines_together(&mut self, together: bool) {
        self.lines_together = together;
    }

    /// Returns how many round trips the session has taken so far, not counting those of TCP and TLS: pipelined commands
    /// that were sent before an answer arrived count as one.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        self.round_trips
    }

    /// Returns the octets to be written to the socket. They may contain a password.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.as_bytes()
    }

    /// Records that the first `written` octets of the output were written, and wipes them.
    pub fn advance_output(&mut self, written: usize) {
        self.output.advance(written);
    }

    /// Returns the first event in the input, and how much of the input it consumes.
    ///
    /// `input` is everything that was received and not consumed yet. The ranges in the event are ranges of `input`.
    /// Call this again with the rest until the event is [`Event::NeedInput`]; answer a challenge or begin TLS before
    /// the next call.
    ///
    /// # Errors
    /// [`FramingError`] ends the session.
    pub fn receive(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let step = match &mut self.reading {
            _ if input.is_empty() => Ok(Step { consumed: 0, event: Event::NeedInput }),
            Reading::StatusLine => self.status_line(input),
            Reading::Listing(..) => self.listing(input),
            Reading::Message(to, decoder) => {
                let (to, piece) = (*to, decoder.decode(input));
                self.taken_dots = decoder.taken_dots();
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

    /// Handles the next line of a listing. One that is too long is skipped and affects nothing else.
    fn listing(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let is_of_messages = |to| matches!(to, CommandKind::List(_) | CommandKind::Uidl(_));
        if let (true, Reading::Listing(to, decoder)) = (self.lines_together, &mut self.reading)
            && is_of_messages(*to)
            && let Some(octets) = decoder.decode_plain_lines(input, limits::LISTING_LINE)
        {
            check_length(*to, decoder)?;
            return Ok(Step { consumed: octets, event: Event::Lines(0..octets) });
        }
        let mut passed = 0;
        loop {
            let Reading::Listing(to, decoder) = &mut self.reading else {
                return Ok(Step { consumed: passed, event: Event::NeedInput });
            };
            let (to, piece) = (*to, decoder.decode(input.get(passed..).unwrap_or_default(), limits::LISTING_LINE));
            check_length(to, decoder)?;
            if let Piece::PassedOver { consumed } = piece {
                passed += consumed;
                continue;
            }
            let mut step = self.step(to, piece, Event::Line);
            step.consumed += passed;
            if let Event::Line(range) | Event::LongLine(range) = &mut step.event {
                *range = range.start + passed..range.end + passed;
            }
            return Ok(step);
        }
    }

    fn status_line(&mut self, input: &[u8]) -> Result<Step, FramingError> {
        let to = match (self.state, self.outstanding.front()) {
            (SessionState::Greeting, _) => CommandKind::Greeting,
            (_, Some(asked)) => asked.kind,
            (_, None) => return Err(FramingError::Unsolicited { excerpt: excerpt(input) }),
        };
        // A TLS record of type alert or handshake, followed by the first octet of its version.
        if let (CommandKind::Greeting, [0x15 | 0x16, 3, ..]) = (to, input) {
            return Err(FramingError::LooksLikeTls);
        }
        if self.long_line.is_some() {
            return self.rest_of_long_line(to, input);
        }
        let limit = if matches!(to, CommandKind::Auth(_)) { limits::CHALLENGE_LINE } else { limits::STATUS_LINE };
        if let Some(line) = Line::first(input, limit) {
            return self.whole_line(to, line, input);
        }
        let Some((head, rest)) = input.split_at_checked(limit) else {
            return Ok(Step { consumed: 0, event: Event::NeedInput });
        };
        match (to, input) {
            // A truncated challenge cannot be answered.
            (CommandKind::Auth(_), [b'+', ..]) => Err(FramingError::LineTooLong { to, limit }),
            (_, [b'+' | b'-', ..]) => {
                self.long_line =
                    Some(LongLine { head: head.to_vec(), octets: limit, behind_cr: head.ends_with(b"\r") });
                let mut step = self.rest_of_long_line(to, rest)?;
                step.consumed += limit;
                Ok(step)
            }
            _ => Err(FramingError::not_pop3(input)),
        }
    }

    /// Skips the rest of a status line that is too long. At its end, the line is parsed from its beginning.
    fn rest_of_long_line(&mut self, to: CommandKind, input: &[u8]) -> Result<Step, FramingError> {
        let Some(long) = &mut self.long_line else { return Ok(Step { consumed: 0, event: Event::NeedInput }) };
        let at = memchr::memchr(b'\n', input);
        let consumed = at.map_or(input.len(), |at| at + 1);
        long.octets += consumed;
        if long.octets > limits::STATUS_LINE_PASSED {
            return Err(FramingError::LineTooLong { to, limit: limits::STATUS_LINE_PASSED });
        }
        let before = |at: usize| at.checked_sub(1).map_or(long.behind_cr, |before| input.get(before) == Some(&b'\r'));
        let Some(crlf) = at.map(before) else {
            long.behind_cr = if input.is_empty() { long.behind_cr } else { input.ends_with(b"\r") };
            return Ok(Step { consumed, event: Event::NeedInput });
        };
        let end = if crlf { LineEnd::CrLf } else { LineEnd::Lf };
        let head = self.long_line.take().map(|long| long.head).unwrap_or_default();
        self.whole_line(to, Line { content: &head, consumed, end }, input)
    }

    fn whole_line(&mut self, to: CommandKind, line: Line<'_>, input: &[u8]) -> Result<Step, FramingError> {
        self.line_end.get_or_insert(line.end);
        match (to, line.content) {
            (CommandKind::Greeting, content) => self.greeting(content, line.consumed),
            (CommandKind::Auth(_), b"+") => self.challenge(&[], line.consumed, input),
            (CommandKind::Auth(_), [b'+', b' ', challenge @ ..]) => self.challenge(challenge, line.consumed, input),
            (_, content) => {
                let mut response = Response::parse(content)?;
                if let (CommandKind::Uidl(Some(number)), Status::Ok) = (to, response.status) {
                    let named = UniqueIdListing::parse(content).ok().filter(|named| named.number == number);
                    response.unique_id = named.map(|named| Box::new(named.unique_id));
                }
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

    /// Handles a challenge of AUTH (RFC 5034, section 4).
    fn challenge(&mut self, encoded: &[u8], consumed: usize, input: &[u8]) -> Result<Step, FramingError> {
        self.note_answer();
        if let Some(response) = self.held_response.take() {
            // This challenge only asks for what did not fit into the command, so its text, if any, does not matter. The
            // server should send nothing after it; if it did, that is taken for the answer to our response.
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
    fn answered(&mut self, to: CommandKind, status: Status) {
        self.note_answer();
        let line_end = self.line_end.unwrap_or(LineEnd::CrLf);
        match (to, status) {
            (CommandKind::Capa | CommandKind::List(None) | CommandKind::Uidl(None), Status::Ok) => {
                self.reading = Reading::Listing(to, ListingDecoder::new(line_end));
                return;
            }
            (CommandKind::Retr(_) | CommandKind::Top(_), Status::Ok) => {
                self.reading = Reading::Message(to, Box::new(MultiLineDecoder::new(line_end)));
                return;
            }
            (CommandKind::Pass | CommandKind::Apop | CommandKind::Auth(_), Status::Ok) => {
                self.state = SessionState::Transaction;
            }
            (CommandKind::Stls, Status::Ok) => self.reading = Reading::Handshake,
            // Whatever the server answers, the session is over (RFC 1939, section 6).
            (CommandKind::Quit, _) => self.state = SessionState::Closed,
            _ => {}
        }
        if matches!(to, CommandKind::Auth(_)) {
            self.held_response = None;
        }
        self.outstanding.pop_front();
    }

    /// Counts the round trip that brought the answer to the oldest command.
    fn note_answer(&mut self) {
        if let Some(asked) = self.outstanding.front() {
            self.round_trips = self.round_trips.max(asked.round_trip);
        }
    }

    /// Returns the round trip that brings the answer to a command sent now.
    fn next_round_trip(&self) -> u32 {
        self.round_trips.saturating_add(1)
    }

    /// Turns a piece of a multi-line answer into an event.
    fn step(&mut self, to: CommandKind, piece: Piece, event: fn(Range<usize>) -> Event) -> Step {
        match piece {
            Piece::NeedInput => Step { consumed: 0, event: Event::NeedInput },
            Piece::PassedOver { consumed } => Step { consumed, event: Event::NeedInput },
            Piece::LongLine { consumed, range } => Step { consumed, event: Event::LongLine(range) },
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

/// Checks that this answer is within its limits.
fn check_length(to: CommandKind, decoder: &ListingDecoder) -> Result<(), FramingError> {
    let limit = if to == CommandKind::Capa { limits::CAPABILITY_OCTETS } else { limits::LISTING_OCTETS };
    if decoder.octets() > limit {
        return Err(FramingError::TooManyOctets { to, limit });
    }
    let limit = limits::LISTING_LINES;
    if decoder.lines() > limit { Err(FramingError::TooManyLines { to, limit }) } else { Ok(()) }
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
