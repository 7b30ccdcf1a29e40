//! Drives a [`Session`] over a connection. DELE is sent from here and nowhere else: polls use [`Client::delete`], which
//! takes a proof, and the console uses `delete_by_hand`.
//!
//! [`Client`] is the connection and its rules; [`login`] takes it from the greeting to the TRANSACTION state, and
//! [`listing`] asks what the maildrop holds. [`crate::poll`] retrieves messages itself, with [`Client::ask`] and
//! [`Client::event`].

pub(crate) mod budget;
mod by_hand;
mod conversation;
pub mod dates;
mod dialogue;
pub mod error;
mod header_flight;
pub(crate) mod headers;
mod in_flight;
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
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, timeout};

pub(crate) use by_hand::ByHand;
pub use conversation::ResponsePart;
pub(crate) use dialogue::Dialogue;
pub use error::ClientError;
pub(crate) use redaction::Message;
pub use redaction::Redactor;

use crate::net::{Connection, RoundTrips, Stream};
use crate::plan::Removable;
use crate::pop3::{
    Command, CommandKind, Event, FramingError, Greeting, Response, SendError, Session, SessionSerial, SessionState,
    Status, TakenDots,
};
use crate::provider::Provider;
use crate::sasl::ChannelBinding;
use crate::text::words_in;
use crate::watch;
use in_flight::InFlight;
use stall_detector::{StallDetector, TooSlow, Window};

/// How many bytes are read from the server at a time. Larger than any line that the session waits for.
const BUFFER: usize = 64 * 1024;

/// How many commands may be in flight where the server announces PIPELINING.
pub const WINDOW: usize = 256;

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// How long the server may stay silent.
    pub silence: Duration,
    /// The time over which throughput is judged.
    pub window: Duration,
    /// The fewest octets that may arrive in one window while waiting for an answer.
    pub least: u64,
}

impl Timeouts {
    /// The timeouts of an account: its own limit on silence, and a minimum throughput (100 octets a second over two
    /// minutes) that even the slowest line exceeds but a dripping server does not.
    #[must_use]
    pub fn new(silence: Duration) -> Self {
        Self { silence, window: Duration::from_secs(120), least: 12_000 }
    }
}

/// A connection to a server and the rules that it follows.
pub struct Client {
    stream: Stream,
    session: Session,
    /// The read buffer. Allocated once.
    buffer: Vec<u8>,
    /// The part of the buffer that the session has not processed.
    unread: Range<usize>,
    /// Whether something was written that TLS may still be buffering.
    unflushed: bool,
    timeouts: Timeouts,
    stall_detector: StallDetector,
    /// Whether the server announces PIPELINING.
    pipelining: bool,
    /// Whether commands are sent one at a time all the same.
    careful: bool,
    /// How far the login has got.
    login: LoginProgress,
    /// Which commands are in flight, and which message was received last.
    in_flight: InFlight,
    /// Hides secrets that the server may echo.
    redactor: Redactor,
    /// How much more of the dialogue is logged.
    dialogue: Dialogue,
    /// When each outstanding command was sent, oldest first.
    sent: VecDeque<Instant>,
    /// What is known of the connection besides its stream.
    info: ConnectionInfo,
    /// The provider that runs the server, if known.
    provider: Option<&'static Provider>,
    /// Identifies this session within the process.
    serial: SessionSerial,
    /// Counts round trips, together with the poll's other sessions.
    round_trips: RoundTrips,
}

/// How far a login got, to explain why the connection was closed by the server.
#[derive(Debug, Clone, Copy, Default)]
struct LoginProgress {
    /// Whether anything was sent from which the server can judge the credential.
    offered: bool,
    /// Whether the server has answered UTF8.
    utf8_answered: bool,
}

/// What is known of a connection besides its bytes.
#[derive(Debug, Clone)]
struct ConnectionInfo {
    peer: std::net::SocketAddr,
    protected: bool,
    loopback: bool,
    /// When the server's certificate expires, in seconds since 1970.
    certificate_expires: Option<i64>,
    /// When the client certificate expires, in seconds since 1970.
    client_certificate_expires: Option<i64>,
    /// Whether TLS succeeded only without the large key share.
    classical: bool,
    /// The channel binding that a login can use.
    binding: Option<ChannelBinding>,
}

impl Client {
    /// Creates a client for a connection that was just made.
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

    /// Returns the serial of this session, unique within the process.
    pub(crate) fn serial(&self) -> SessionSerial {
        self.serial
    }

    /// Returns the dots that were removed from the current message, or from the last one.
    #[must_use]
    pub fn taken_dots(&self) -> TakenDots {
        self.session.taken_dots()
    }

    /// Returns the state of the session.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.session.state()
    }

    /// Returns when the server's certificate expires, in seconds since 1970. None without TLS or if it cannot be read.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<i64> {
        self.info.certificate_expires
    }

    /// Returns when the client certificate expires, in seconds since 1970, if there is one.
    #[must_use]
    pub fn client_certificate_expires(&self) -> Option<i64> {
        self.info.client_certificate_expires
    }

    /// Whether TLS turned out to succeed only without the large key share of [`crate::account::KeyExchange::Auto`].
    #[must_use]
    pub fn needs_classical(&self) -> bool {
        self.info.classical
    }

    /// Returns what hides the password in the server's words.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Returns the number of outstanding commands.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.session.outstanding()
    }

    /// Returns how many commands may be outstanding at once.
    #[must_use]
    pub fn window(&self) -> usize {
        if self.pipelining && !self.careful { WINDOW } else { 1 }
    }

    /// Sends one command at a time from now on, so that a message at which the session breaks is the only one in
    /// flight.
    pub fn one_at_a_time(&mut self) {
        self.careful = true;
    }

    /// Whether several commands were outstanding when the session ended.
    #[must_use]
    pub fn was_ahead(&self) -> bool {
        self.in_flight.awaited.len() > 1
    }

    /// Lets lines of LIST and UIDL arrive many at a time, as [`ResponsePart::Lines`], unless each line is logged.
    pub(super) fn take_lines_together(&mut self) {
        self.session.take_lines_together(!Dialogue::shows_lines());
    }

    /// Queues a command, which is sent by the next [`Client::event`]. For DELE there is [`Client::delete`].
    ///
    /// # Errors
    /// [`ClientError::Send`]; a DELE is always out of turn here.
    pub fn ask(&mut self, command: Command) -> Result<(), ClientError> {
        if let Command::Dele(_) = command {
            let (command, state) = (command.kind(), self.session.state());
            return Err(SendError::OutOfTurn { command, state }.into());
        }
        self.send(command)
    }

    /// Queues the DELE of a message that is safe to delete. A proof from another session is refused, because there the
    /// same number may mean another message.
    ///
    /// # Errors
    /// [`ClientError::Send`].
    pub fn delete(&mut self, removable: &Removable) -> Result<(), ClientError> {
        if removable.session() != self.serial {
            return Err(SendError::OtherSession { number: removable.number() }.into());
        }
        self.send(Command::Dele(removable.number()))
    }

    /// Sends the DELE of a message that the user has chosen to delete at a prompt. Polls do not use this.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn delete_by_hand(&mut self, message: &ByHand) -> Result<Response, ClientError> {
        self.send(Command::Dele(message.number()))?;
        loop {
            if let Event::Response { response, .. } = self.event().await? {
                return Ok(response);
            }
        }
    }

    fn send(&mut self, command: Command) -> Result<(), ClientError> {
        if self.outstanding() == 0 {
            // What arrived before anything was asked must not pass for the answer.
            let input = self.buffer.get(self.unread.clone()).unwrap_or_default();
            self.session.receive(input).map_err(|e| self.masked(e))?;
        }
        self.dialogue.line('C', || &command);
        let kind = command.kind();
        self.session.send(command)?;
        self.in_flight.awaited.push_back(kind);
        self.sent.push_back(Instant::now());
        Ok(())
    }

    /// Waits for the server's next event. Its ranges are for [`Client::bytes`] and valid until the next call.
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
                // Only the numbers of the answers to STAT and LIST are used, and they may look like a password.
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

    /// Returns the bytes of a range in the last event.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Ends the session with QUIT, upon which the server removes the messages marked as deleted. True if it answered
    /// +OK.
    ///
    /// # Errors
    /// [`ClientError`]: whether the server removed anything is unknown.
    pub async fn quit(mut self) -> Result<bool, ClientError> {
        let response = self.exchange(Command::Quit).await?;
        // Closes TLS, so that the server can tell the end from a truncation. It needs nothing more, so there is no long
        // wait.
        let closing = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx));
        let _ = timeout(Duration::from_millis(200), closing).await;
        Ok(response.status == Status::Ok)
    }

    /// Reads at least one byte, and writes pending output meanwhile, so that the two sides never wait for each other.
    async fn read_more(&mut self) -> Result<(), ClientError> {
        self.make_room();
        let before = Instant::now();
        let silence = self.timeouts.silence;
        let read = timeout(silence, poll_fn(|cx| self.poll_exchange(cx))).await;
        match read {
            Err(_) => Err(ClientError::Silence { after: silence }),
            // A connection closed without close_notify counts as closed, too.
            Ok(Err(source)) if source.kind() == io::ErrorKind::UnexpectedEof => Err(ClientError::Closed),
            Ok(Err(source)) => Err(ClientError::Lost { source }),
            Ok(Ok(0)) => Err(ClientError::Closed),
            Ok(Ok(count)) => {
                self.unread.end += count;
                let others_wait = watch::is_in_the_way() || watch::is_to_give_way();
                self.stall_detector
                    .waited(before.elapsed(), count, others_wait)
                    .and_then(|()| if watch::is_cut_short() { Err(self.stall_detector.so_far()) } else { Ok(()) })
                    .map_err(|TooSlow { octets, time }| ClientError::TooSlow { octets, window: time })
            }
        }
    }

    /// Moves the unread part, never more than a line, to the start of the buffer.
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
                // The server's last words may still be readable, and may say why it closed the connection.
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

    /// Turns a framing error into one that is safe to show.
    pub(crate) fn masked(&self, error: FramingError) -> ClientError {
        ClientError::Framing(self.redactor.framing(error))
    }

    /// Logs an event and resets the throughput window when an answer arrived.
    fn note(&mut self, event: &Event) {
        let Self { dialogue, redactor, buffer, sent, in_flight, .. } = self;
        let capabilities = in_flight.awaited.front() == Some(&CommandKind::Capa);
        let after = || sent.front().map(Instant::elapsed).unwrap_or_default().as_secs_f64();
        let shown = |words: &dyn std::fmt::Display| redactor.hide(&words.to_string());
        let octets = |range: &Range<usize>| words_in(buffer.get(range.clone()).unwrap_or_default());
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
            // Where lines are logged, they arrive one by one.
            Event::Lines(_) | Event::Data(_) | Event::NeedInput => {}
        }
        if !matches!(event, Event::Data(_) | Event::Line(_) | Event::Lines(_) | Event::LongLine(_)) {
            self.stall_detector.answered();
        }
    }
}

/// A response as it is shown to the user; its text is escaped already.
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
