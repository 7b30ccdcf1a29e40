//! Drives a [`Session`] over a connection. The only place that sends DELE: for a poll, [`Client::delete`], which takes a
//! proof; for a person at a prompt, `delete_by_hand`.
//!
//! [`Client`] is the connection with its rules; [`login`] brings it from the greeting into the TRANSACTION state,
//! [`listing`] asks for what is in the maildrop. Retrieving is [`crate::poll`]'s: it uses [`Client::ask`] and
//! [`Client::event`] itself.

pub(crate) mod budget;
pub mod dates;
mod dialogue;
pub mod error;
mod header_flight;
pub(crate) mod headers;
pub(crate) mod in_step;
pub mod listing;
pub mod listing_digest;
pub mod login;
pub mod reach;
mod redaction;
mod stall_detector;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ops::{ControlFlow, Range};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, timeout};

pub(crate) use dialogue::Dialogue;
pub use error::ClientError;
pub(crate) use redaction::Message;
pub use redaction::Redactor;

use crate::net::{Connection, RoundTrips, Stream};
use crate::plan::Removable;
use crate::pop3::{
    Command, CommandKind, Event, FramingError, Greeting, MessageNumber, Response, SendError, Session, SessionSerial,
    SessionState, Status, TakenDots,
};
use crate::provider::Provider;
use crate::sasl::ChannelBinding;
use crate::watch;
use stall_detector::{StallDetector, TooSlow, Window};

/// What is read from the server at a time, in bytes. Larger than any line that the session waits for.
const BUFFER: usize = 64 * 1024;

/// How many commands are sent ahead of their answers where the server announces PIPELINING.
pub const WINDOW: usize = 256;

/// A message that a person at a prompt has named and confirmed. Only `cli::console` makes one.
#[derive(Debug)]
pub(crate) struct ByHand(MessageNumber);

impl ByHand {
    /// The person has said yes.
    pub(crate) fn confirmed(number: MessageNumber) -> Self {
        Self(number)
    }
}

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long the server may say nothing at all.
    pub silence: Duration,
    /// The time over which throughput is judged.
    pub window: Duration,
    /// The least number of octets in a window of waiting for one answer.
    pub least: u64,
}

impl Timeouts {
    /// That of an account: its own limit on silence, and a throughput (100 octets a second over two minutes) that the
    /// slowest line exceeds and a server that drips does not.
    #[must_use]
    pub fn new(silence: Duration) -> Self {
        Self { silence, window: Duration::from_secs(120), least: 12_000 }
    }
}

/// A connection to a server, with its rules.
pub struct Client {
    stream: Stream,
    session: Session,
    /// What was read. Allocated once.
    buffer: Vec<u8>,
    /// The part of the buffer that the session has not dealt with.
    unread: Range<usize>,
    /// Something was written that may still be in a buffer of TLS.
    unflushed: bool,
    timeouts: Timeouts,
    stall_detector: StallDetector,
    /// Whether the server announces that commands may be sent ahead of their answers.
    pipelining: bool,
    /// Whether one command at a time is sent all the same.
    careful: bool,
    /// How far the login has come.
    login: LoginProgress,
    /// Which message is being received, and which were.
    in_flight: InFlight,
    /// Hides what a server may send back and must not be shown.
    redactor: Redactor,
    /// What of the dialogue is still logged.
    dialogue: Dialogue,
    /// When each command that waits for its answer was sent, the oldest first.
    sent: VecDeque<Instant>,
    /// The connection as it was made, without its stream.
    info: ConnectionInfo,
    /// Whose server it is, if that is known.
    provider: Option<&'static Provider>,
    /// Which session of this process it is.
    serial: SessionSerial,
    /// Counts what it waits for, with the other sessions of the poll.
    round_trips: RoundTrips,
}

/// Where a session is among the messages, so that the one at which it breaks can be named.
#[derive(Debug, Default)]
struct InFlight {
    /// The commands that wait for answers, the oldest first.
    awaited: VecDeque<CommandKind>,
    /// The answer to the oldest one has begun.
    begun: bool,
    /// The message whose answer was complete last.
    previous: Option<MessageNumber>,
}

impl InFlight {
    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Response { to: CommandKind::Retr(_) | CommandKind::Top(_), response }
                if response.status == Status::Ok =>
            {
                self.begun = true;
            }
            Event::Response { to: CommandKind::Capa | CommandKind::Uidl(None) | CommandKind::List(None), response }
                if response.status == Status::Ok => {}
            Event::Response { .. } | Event::End { .. } => {
                let asked = self.awaited.pop_front();
                // These are only asked to see whether the message before them ended where it should, and LIST beside the
                // next one.
                let is_beside = |asked: &CommandKind| {
                    matches!(
                        asked,
                        CommandKind::Stat | CommandKind::Noop | CommandKind::Uidl(_) | CommandKind::List(Some(_))
                    )
                };
                if !asked.as_ref().is_some_and(is_beside) {
                    self.previous = asked.and_then(message_of);
                }
                self.begun = false;
            }
            _ => {}
        }
    }
}

fn message_of(asked: CommandKind) -> Option<MessageNumber> {
    match asked {
        CommandKind::Retr(number) | CommandKind::Top(number) | CommandKind::List(Some(number)) => Some(number),
        _ => None,
    }
}

/// What has passed of a login, for whoever has to explain why the server hung up.
#[derive(Debug, Clone, Copy, Default)]
struct LoginProgress {
    /// Something was sent by which the server can judge the credential.
    offered: bool,
    /// UTF8 was answered.
    utf8_answered: bool,
}

/// What is known of a connection beside its bytes.
#[derive(Debug, Clone)]
struct ConnectionInfo {
    peer: std::net::SocketAddr,
    protected: bool,
    loopback: bool,
    /// When the server's certificate expires, in seconds since 1970.
    certificate_expires: Option<i64>,
    /// The same of the certificate of this side.
    client_certificate_expires: Option<i64>,
    /// TLS came about only without the large key share.
    classical: bool,
    /// What a login can be bound to.
    binding: Option<ChannelBinding>,
}

/// A part of an answer, for [`Client::converse`].
#[derive(Debug)]
pub enum ResponsePart<'a> {
    /// A single-line answer or the first line of a multi-line one.
    Response(&'a Response),
    /// A line of CAPA, LIST or UIDL.
    Line(&'a [u8]),
    /// Whole lines of LIST or UIDL as they came, after [`Client::take_lines_together`].
    Lines(&'a [u8]),
    /// The first octets of a line of CAPA, LIST or UIDL that is too long and passed over.
    LongLine(&'a [u8]),
    /// A piece of RETR or TOP.
    Data(&'a [u8]),
    /// A multi-line answer is complete.
    End,
}

impl Client {
    /// A client for a connection that has just been made.
    #[must_use]
    pub fn new(connection: Connection, timeouts: Timeouts) -> Self {
        let Connection { stream, peer, protected, loopback, certificate_expires, classical, binding, .. } = connection;
        let (client_certificate_expires, round_trips) = (connection.client_certificate_expires, connection.round_trips);
        Self {
            stream,
            session: if protected { Session::under_tls() } else { Session::new() },
            buffer: vec![0; BUFFER],
            unread: 0..0,
            unflushed: false,
            timeouts,
            stall_detector: StallDetector::new(Window { time: timeouts.window, least: timeouts.least }),
            pipelining: false,
            careful: false,
            login: LoginProgress::default(),
            in_flight: InFlight::default(),
            redactor: Redactor::default(),
            dialogue: Dialogue::default(),
            sent: VecDeque::new(),
            info: ConnectionInfo {
                peer,
                protected,
                loopback,
                certificate_expires,
                client_certificate_expires,
                classical,
                binding,
            },
            provider: None,
            serial: SessionSerial::next(),
            round_trips,
        }
    }

    /// Which session of this process it is.
    #[must_use]
    pub fn serial(&self) -> SessionSerial {
        self.serial
    }

    /// The dots that were taken off the lines of the message that comes, or came last.
    #[must_use]
    pub fn taken_dots(&self) -> TakenDots {
        self.session.taken_dots()
    }

    /// How far the session has come.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.session.state()
    }

    /// When the server's certificate expires, in seconds since 1970. None without TLS, and where that cannot be read.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<i64> {
        self.info.certificate_expires
    }

    /// When the certificate of this side expires, in seconds since 1970, if there is one.
    #[must_use]
    pub fn client_certificate_expires(&self) -> Option<i64> {
        self.info.client_certificate_expires
    }

    /// Whether it was found out that TLS comes about only without the large key share of
    /// [`crate::account::KeyExchange::Auto`].
    #[must_use]
    pub fn needs_classical(&self) -> bool {
        self.info.classical
    }

    /// Hides the password in the server's words.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// How many commands wait for their answers.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.session.outstanding()
    }

    /// How many commands may wait for their answers at the same time.
    #[must_use]
    pub fn window(&self) -> usize {
        if self.pipelining && !self.careful { WINDOW } else { 1 }
    }

    /// From here on one command at a time, so that a message that breaks the session is the only one under way.
    pub fn one_at_a_time(&mut self) {
        self.careful = true;
    }

    /// Whether several commands waited for their answers when the session ended.
    #[must_use]
    pub fn was_ahead(&self) -> bool {
        self.in_flight.awaited.len() > 1
    }

    /// The messages at which the session may have ended with this error: the one whose answer was awaited or coming in,
    /// and, if what stood in the place of an answer was none, the one before: its end may have been in the wrong place.
    #[must_use]
    pub fn suspects(&self, error: &ClientError) -> Vec<MessageNumber> {
        let framing = matches!(error, ClientError::Framing(_));
        let current = self.in_flight.awaited.front().copied().and_then(message_of);
        let previous = self.in_flight.previous.filter(|_| framing && !self.in_flight.begun);
        previous.into_iter().chain(current).collect()
    }

    /// The message that came last.
    #[must_use]
    pub fn last_message(&self) -> Option<MessageNumber> {
        self.in_flight.previous
    }

    /// The message that is coming in.
    #[must_use]
    pub fn receiving(&self) -> Option<MessageNumber> {
        self.in_flight.awaited.front().copied().filter(|_| self.in_flight.begun).and_then(message_of)
    }

    /// From here on the lines of LIST and UIDL may come many at a time, as [`ResponsePart::Lines`]; not if each is logged.
    pub(super) fn take_lines_together(&mut self) {
        self.session.take_lines_together(!Dialogue::shows_lines());
    }

    /// Queues a command; it leaves with the next [`Client::event`]. DELE is [`Client::delete`]'s.
    ///
    /// # Errors
    /// [`ClientError::Send`]; a DELE is always out of turn here.
    pub fn ask(&mut self, command: Command) -> Result<(), ClientError> {
        if let Command::Dele(_) = command {
            let (command, state) = (command.asked(), self.session.state());
            return Err(SendError::OutOfTurn { command, state }.into());
        }
        self.send(command)
    }

    /// Queues the DELE of a message that is safe to delete. One that was shown to be so in another session is refused: there
    /// its number may be another message's.
    ///
    /// # Errors
    /// [`ClientError::Send`].
    pub fn delete(&mut self, removable: &Removable) -> Result<(), ClientError> {
        if removable.session() != self.serial {
            return Err(SendError::OtherSession { number: removable.number() }.into());
        }
        self.send(Command::Dele(removable.number()))
    }

    /// Sends the DELE of a message that the user wants to be deleted, at a prompt: no poll comes this way.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn delete_by_hand(&mut self, message: &ByHand) -> Result<Response, ClientError> {
        self.send(Command::Dele(message.0))?;
        loop {
            if let Event::Response { response, .. } = self.event().await? {
                return Ok(response);
            }
        }
    }

    fn send(&mut self, command: Command) -> Result<(), ClientError> {
        if self.outstanding() == 0 {
            // What came before anything was asked for must not pass for the answer.
            let input = self.buffer.get(self.unread.clone()).unwrap_or_default();
            self.session.receive(input).map_err(|e| self.masked(e))?;
        }
        self.dialogue.line('C', || &command);
        let asked = command.asked();
        self.session.send(command)?;
        self.in_flight.awaited.push_back(asked);
        self.sent.push_back(Instant::now());
        Ok(())
    }

    /// The next thing that the server says. Ranges in it are for [`Client::bytes`], until the next call.
    ///
    /// # Errors
    /// [`ClientError`]: the session is over.
    pub async fn event(&mut self) -> Result<Event, ClientError> {
        loop {
            let start = self.unread.start;
            let input = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let before = self.session.round_trips();
            let step = self.session.receive(input).map_err(|e| self.masked(e))?;
            self.round_trips.add(self.session.round_trips() - before);
            self.unread.start += step.consumed;
            let shift = |range: Range<usize>| start + range.start..start + range.end;
            let event = match step.event {
                Event::NeedInput => {
                    self.read_more().await?;
                    continue;
                }
                Event::Line(range) => Event::Line(shift(range)),
                Event::Lines(range) => Event::Lines(shift(range)),
                Event::LongLine(range) => Event::LongLine(shift(range)),
                Event::Data(range) => Event::Data(shift(range)),
                // Of the answers to STAT and LIST only the numbers are used, and these may look like a password.
                Event::Response { to, response } if !matches!(to, CommandKind::Stat | CommandKind::List(Some(_))) => {
                    Event::Response { to, response: self.redactor.response(response) }
                }
                Event::Greeting(Greeting { response, timestamp }) => {
                    Event::Greeting(Greeting { response: self.redactor.response(response), timestamp })
                }
                event => event,
            };
            self.note(&event);
            self.in_flight.on_event(&event);
            self.sent.drain(..self.sent.len().saturating_sub(self.in_flight.awaited.len()));
            return Ok(event);
        }
    }

    /// The bytes that the last event spoke of.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Sends one command and waits for its single-line answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn exchange(&mut self, command: Command) -> Result<Response, ClientError> {
        self.ask(command)?;
        loop {
            if let Event::Response { response, .. } = self.event().await? {
                return Ok(response);
            }
        }
    }

    /// Sends commands, as many ahead as the server takes, and hands over what it says to each.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn converse(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        mut on_event: impl FnMut(CommandKind, ResponsePart<'_>),
    ) -> Result<(), ClientError> {
        let on_event = |asked, part: ResponsePart<'_>| {
            on_event(asked, part);
            Ok(ControlFlow::Continue(()))
        };
        self.try_converse(commands, on_event).await
    }

    /// The same with a listener that may have enough: at a break no further command is sent, and what is under way is
    /// still heard.
    ///
    /// # Errors
    /// [`ClientError`], that of the listener included: the session is over.
    pub async fn try_converse(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        mut on_event: impl FnMut(CommandKind, ResponsePart<'_>) -> Result<ControlFlow<()>, ClientError>,
    ) -> Result<(), ClientError> {
        let mut commands = commands.into_iter();
        let mut current = CommandKind::Greeting;
        let mut enough = false;
        loop {
            while !enough
                && self.outstanding() < self.window()
                && let Some(command) = commands.next()
            {
                self.ask(command)?;
            }
            if self.outstanding() == 0 {
                return Ok(());
            }
            let heard = match self.event().await? {
                Event::Response { to, response } => {
                    current = to;
                    on_event(to, ResponsePart::Response(&response))?
                }
                Event::Line(range) => on_event(current, ResponsePart::Line(self.bytes(range)))?,
                Event::Lines(range) => on_event(current, ResponsePart::Lines(self.bytes(range)))?,
                Event::LongLine(range) => on_event(current, ResponsePart::LongLine(self.bytes(range)))?,
                Event::Data(range) => on_event(current, ResponsePart::Data(self.bytes(range)))?,
                Event::End { to } => on_event(to, ResponsePart::End)?,
                Event::Challenge(_) | Event::BadChallenge => {
                    self.session.cancel_challenge()?;
                    ControlFlow::Continue(())
                }
                Event::Greeting(_) | Event::NeedInput => ControlFlow::Continue(()),
            };
            enough |= heard.is_break();
        }
    }

    /// Ends the session in order: everything that was marked as deleted is removed. True if the server said so.
    ///
    /// # Errors
    /// [`ClientError`]: whether the server removed anything is unknown.
    pub async fn quit(mut self) -> Result<bool, ClientError> {
        let response = self.exchange(Command::Quit).await?;
        // A goodbye to TLS, so that the server can tell the end from a cut. It has all it needs, so no waiting for it.
        let closing = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx));
        let _ = timeout(Duration::from_millis(200), closing).await;
        Ok(response.status == Status::Ok)
    }

    /// Reads at least one byte, writing meanwhile whatever is to be written, so that the two sides never wait for each
    /// other.
    async fn read_more(&mut self) -> Result<(), ClientError> {
        self.make_room();
        let before = Instant::now();
        let silence = self.timeouts.silence;
        let read = timeout(silence, poll_fn(|cx| self.poll_exchange(cx))).await;
        match read {
            Err(_) => Err(ClientError::Silence { after: silence }),
            // The end of the connection without TLS's goodbye is an end all the same.
            Ok(Err(source)) if source.kind() == io::ErrorKind::UnexpectedEof => Err(ClientError::Closed),
            Ok(Err(source)) => Err(ClientError::Lost { source }),
            Ok(Ok(0)) => Err(ClientError::Closed),
            Ok(Ok(count)) => {
                self.unread.end += count;
                self.stall_detector
                    .waited(before.elapsed(), count, watch::is_in_the_way() || watch::is_to_give_way())
                    .map_err(|TooSlow { octets, time }| ClientError::TooSlow { octets, window: time })
            }
        }
    }

    /// Moves what is unread to the front of the buffer: never more than a line.
    fn make_room(&mut self) {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while !self.session.output().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.session.output()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.session.advance_output(written);
                    self.unflushed = true;
                }
                // What the server has said may still be there to be read, and may tell why it hung up.
                Poll::Ready(Err(e)) => {
                    return self.poll_read(cx).map(|read| read.and_then(|n| if n == 0 { Err(e) } else { Ok(n) }));
                }
                Poll::Pending => break,
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        self.poll_read(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.buffer.get_mut(self.unread.end..).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }

    /// An error of framing as it may be shown.
    pub(crate) fn masked(&self, error: FramingError) -> ClientError {
        ClientError::Framing(self.redactor.framing(error))
    }

    /// Logs what was said and notes that an answer arrived.
    fn note(&mut self, event: &Event) {
        let Self { dialogue, redactor, buffer, sent, in_flight, .. } = self;
        let capabilities = in_flight.awaited.front() == Some(&CommandKind::Capa);
        let after = || sent.front().map(Instant::elapsed).unwrap_or_default().as_secs_f64();
        let shown = |words: &dyn std::fmt::Display| redactor.hide(&words.to_string());
        let octets = |range: &Range<usize>| buffer.get(range.clone()).unwrap_or_default().escape_ascii();
        match event {
            Event::Greeting(greeting) => dialogue.line('S', || Spoken(&greeting.response)),
            Event::Response { to, response } => {
                dialogue.answer(|| shown(&Spoken(response)), || format!("{to}, {:.3} s", after()));
            }
            Event::Line(range) if capabilities => dialogue.line('S', || shown(&octets(range))),
            Event::Line(range) => dialogue.detail('S', || shown(&octets(range))),
            Event::LongLine(range) => {
                dialogue.line('S', || format!("{}… (too long, passed over)", shown(&octets(range))));
            }
            Event::Challenge(_) | Event::BadChallenge => dialogue.line('S', || "+ [challenge]"),
            Event::End { to } => dialogue.detail('S', || format!(". (end of {to}, {:.3} s)", after())),
            // They come one by one where they are shown.
            Event::Lines(_) | Event::Data(_) | Event::NeedInput => {}
        }
        if !matches!(event, Event::Data(_) | Event::Line(_) | Event::Lines(_) | Event::LongLine(_)) {
            self.stall_detector.answered();
        }
    }
}

/// A response as it is shown to a person; the text is escaped already.
struct Spoken<'a>(&'a Response);

impl std::fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.status == Status::Ok { "+OK" } else { "-ERR" })?;
        if let Some(code) = &self.0.code {
            write!(f, " [{code}]")?;
        }
        if self.0.text.is_empty() { Ok(()) } else { write!(f, " {}", self.0.words()) }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("session", &self.session).field("link", &self.info).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
