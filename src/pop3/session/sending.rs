//! Which command may be sent when (RFC 1939, section 3; RFC 2449, section 6.6; RFC 2595, section 4).

use super::{Output, Outstanding, Reading, Session, SessionState};
use crate::pop3::command::{Command, CommandKind, check_response, encode_response};
use crate::pop3::error::SendError;
use crate::secret::Secret;

impl Session {
    /// Queues a command: its line is appended to the output, and its answer will be told apart by it.
    ///
    /// # Errors
    /// [`SendError`] when the command does not belong here, must wait, or cannot be written. Then nothing is queued.
    pub fn send(&mut self, command: Command) -> Result<(), SendError> {
        let asked = command.asked();
        self.check_turn(asked)?;
        self.held_response = command.write_to(self.output.buffer())?;
        self.outstanding.push_back(Outstanding { kind: asked, round_trip: self.next_round_trip() });
        match asked {
            CommandKind::Quit if self.state == SessionState::Transaction => self.state = SessionState::Update,
            CommandKind::Utf8 => self.utf8_sent = true,
            _ => {}
        }
        Ok(())
    }

    /// Answers the challenge that [`Event::Challenge`](super::Event::Challenge) brought. The response is encoded here.
    ///
    /// # Errors
    /// [`SendError::NoChallenge`] when there is none, [`SendError::Command`] when the server would take the response
    /// for something else. Then nothing is sent, and the challenge can still be cancelled.
    pub fn answer_challenge(&mut self, response: &Secret) -> Result<(), SendError> {
        let asked = self.outstanding.front().map(|asked| asked.kind);
        let (Reading::ChallengeAnswer, Some(CommandKind::Auth(mechanism))) = (&self.reading, asked) else {
            return Err(SendError::NoChallenge);
        };
        check_response(mechanism, response)?;
        self.write_answer(response);
        Ok(())
    }

    /// Gives the login up instead of answering the challenge (RFC 5034, section 4). The server answers with `-ERR`.
    ///
    /// # Errors
    /// [`SendError::NoChallenge`] when there is none.
    pub(crate) fn cancel_challenge(&mut self) -> Result<(), SendError> {
        if !matches!(self.reading, Reading::ChallengeAnswer) {
            return Err(SendError::NoChallenge);
        }
        self.output.buffer().extend_from_slice(b"*\r\n");
        self.await_answer();
        Ok(())
    }

    /// TLS protects the connection from here on. What the server said before counts for nothing (RFC 2595, section 4):
    /// ask for the capabilities again.
    ///
    /// # Errors
    /// [`SendError::NoHandshakeDue`] unless the last answer was the `+OK` to STLS.
    pub fn tls_started(&mut self) -> Result<(), SendError> {
        if !matches!(self.reading, Reading::Handshake) {
            return Err(SendError::NoHandshakeDue);
        }
        self.reading = Reading::StatusLine;
        self.under_tls = true;
        self.line_end = None;
        self.output = Output::default();
        Ok(())
    }

    /// Appends a response to a challenge, in base64.
    pub(super) fn write_answer(&mut self, response: &Secret) {
        let encoded = encode_response(response);
        let buffer = self.output.buffer();
        // At once, so that growing leaves no copy of a password behind in freed memory.
        buffer.reserve(encoded.expose().len() + 2);
        buffer.extend_from_slice(encoded.expose());
        buffer.extend_from_slice(b"\r\n");
        self.await_answer();
    }

    /// A challenge is answered: what the server says to that comes in another round trip.
    fn await_answer(&mut self) {
        self.reading = Reading::StatusLine;
        let round_trip = self.next_round_trip();
        if let Some(asked) = self.outstanding.front_mut() {
            asked.round_trip = round_trip;
        }
    }

    fn check_turn(&self, asked: CommandKind) -> Result<(), SendError> {
        let last_is_barrier = self.outstanding.back().is_some_and(|last| ends_its_flight(last.kind));
        if last_is_barrier || matches!(self.reading, Reading::Handshake) {
            return Err(SendError::MustWait);
        }
        let in_turn = match asked {
            CommandKind::Greeting => false,
            CommandKind::Capa | CommandKind::Quit => {
                matches!(self.state, SessionState::Authorization | SessionState::Transaction)
            }
            CommandKind::Stls => self.state == SessionState::Authorization && !self.under_tls && !self.utf8_sent,
            CommandKind::Utf8 | CommandKind::User | CommandKind::Pass | CommandKind::Apop | CommandKind::Auth(_) => {
                self.state == SessionState::Authorization
            }
            CommandKind::Stat
            | CommandKind::List(_)
            | CommandKind::Uidl(_)
            | CommandKind::Retr(_)
            | CommandKind::Top(_)
            | CommandKind::Dele(_)
            | CommandKind::Noop
            | CommandKind::Rset => self.state == SessionState::Transaction,
        };
        if in_turn { Ok(()) } else { Err(SendError::OutOfTurn { command: asked, state: self.state }) }
    }
}

/// Nothing may be sent behind these before they are answered: a SASL challenge would swallow it, a refusal would let it
/// count as another attempt, TLS begins with the answer, or the connection ends with it.
fn ends_its_flight(asked: CommandKind) -> bool {
    matches!(
        asked,
        CommandKind::Pass | CommandKind::Apop | CommandKind::Auth(_) | CommandKind::Stls | CommandKind::Quit
    )
}
