//! Which command may be sent when (RFC 1939, section 3; RFC 2449, section 6.6; RFC 2595, section 4).

use super::{Output, Outstanding, Reading, Session, SessionState};
use crate::pop3::command::{Command, CommandKind, check_response, encode_response};
use crate::pop3::error::SendError;
use crate::secret::Secret;

impl Session {
    /// Queues a command: appends its line to the output, and expects its answer.
    ///
    /// # Errors
    /// [`SendError`] if the command does not belong here, must wait, or cannot be written. Then nothing is queued.
    pub fn send(&mut self, command: Command) -> Result<(), SendError> {
        let kind = command.kind();
        self.check_turn(kind)?;
        self.held_response = command.write_to(self.output.buffer())?;
        self.outstanding.push_back(Outstanding { kind, round_trip: self.next_round_trip() });
        match kind {
            CommandKind::Quit if self.state == SessionState::Transaction => self.state = SessionState::Update,
            CommandKind::Utf8 => self.utf8_sent = true,
            _ => {}
        }
        Ok(())
    }

    /// Answers the challenge from [`Event::Challenge`](super::Event::Challenge). The response is encoded here.
    ///
    /// # Errors
    /// [`SendError::NoChallenge`] if there is none, [`SendError::Command`] if the server would misread the response.
    /// Then nothing is sent, and the challenge can still be cancelled.
    pub fn answer_challenge(&mut self, response: &Secret) -> Result<(), SendError> {
        let asked = self.outstanding.front().map(|asked| asked.kind);
        let (Reading::ChallengeAnswer, Some(CommandKind::Auth(mechanism))) = (&self.reading, asked) else {
            return Err(SendError::NoChallenge);
        };
        check_response(mechanism, response)?;
        self.write_answer(response);
        Ok(())
    }

    /// Gives up the login instead of answering the challenge (RFC 5034, section 4). The server answers with `-ERR`.
    ///
    /// # Errors
    /// [`SendError::NoChallenge`] if there is none.
    pub(crate) fn cancel_challenge(&mut self) -> Result<(), SendError> {
        if !matches!(self.reading, Reading::ChallengeAnswer) {
            return Err(SendError::NoChallenge);
        }
        self.output.buffer().extend_from_slice(b"*\r\n");
        self.await_answer();
        Ok(())
    }

    /// Records that TLS now protects the connection. What the server said before is discarded (RFC 2595, section 4):
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
        // Reserved at once, so that growing leaves no copy of a password in freed memory.
        buffer.reserve(encoded.expose().len() + 2);
        buffer.extend_from_slice(encoded.expose());
        buffer.extend_from_slice(b"\r\n");
        self.await_answer();
    }

    /// Records that a challenge was answered: the server's reply takes another round trip.
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

/// Whether nothing may be sent after this command before it is answered: a SASL exchange would swallow it, after a
/// refusal it might count as another attempt, or TLS or the end of the connection follows the answer.
fn ends_its_flight(asked: CommandKind) -> bool {
    matches!(
        asked,
        CommandKind::Pass | CommandKind::Apop | CommandKind::Auth(_) | CommandKind::Stls | CommandKind::Quit
    )
}
