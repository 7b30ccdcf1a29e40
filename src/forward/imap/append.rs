//! APPEND: the command, the octets of a message, and the answer. Several may be in flight.

use std::time::Duration;

use super::awaited::Awaited;
use super::response::{self, Condition, Kind, Line};
use super::session::{LONG_ANSWER, Session};
use crate::forward::error::ForwardError;
use crate::forward::letter::{Letter, file};
use crate::state::record::MailboxUid;
use crate::text;

/// The largest message, in octets, that is sent without waiting if the server offers LITERAL- (RFC 7888).
const SMALL: u64 = 4096;

/// The same for LITERAL+, where it limits what a refusal costs.
const NOT_LARGE: u64 = 64 << 10;

/// How much is gathered before it is sent, in octets.
const GATHERED: usize = 64 << 10;

/// What an error message says was being done.
const DOING: &str = "append a message";

/// How APPEND ended.
#[derive(Debug)]
pub(super) enum Appended {
    /// The message is in the mailbox, under this UID if the server names it.
    Yes(Option<MailboxUid>),
    /// The server refused it.
    No(Condition),
}

/// An event while APPENDs are in flight.
#[derive(Debug)]
pub(super) enum AppendEvent {
    /// The server asks for the octets.
    Wanted,
    /// The APPEND with this tag has ended.
    Ended(String, Appended),
}

impl Session {
    /// Whether the message may be sent without waiting for the server's consent.
    pub(super) fn sends_ahead(&self, letter: &Letter) -> bool {
        self.has("LITERAL+") && letter.size <= NOT_LARGE || self.has("LITERAL-") && letter.size <= SMALL
    }

    /// Whether the server accepts NUL in a message: in a `literal8` (RFC 3516, section 4.4; RFC 9051).
    pub(super) fn takes_nul(&self) -> bool {
        self.has("BINARY") || self.has("IMAP4REV2")
    }

    /// Begins to append a message: sends the command, and the whole message if it may be sent ahead. Returns the tag.
    pub(super) async fn begin_append(
        &mut self,
        mailbox: &str,
        flags: &[String],
        letter: &Letter,
    ) -> Result<String, ForwardError> {
        let (tag, is_ahead) = (self.next_tag(), self.sends_ahead(letter));
        let (mailbox, flags, plus) = (response::mailbox(mailbox), flags.join(" "), if is_ahead { "+" } else { "" });
        let (date, size, kind) = (&letter.date, letter.size, if letter.has_nul { "~" } else { "" });
        let command = format!("{tag} APPEND {mailbox} ({flags}) \"{date}\" {kind}{{{size}{plus}}}\r\n");
        self.dialogue.line('C', || text::value(command.trim_end()));
        self.gather(command.as_bytes()).await?;
        match is_ahead {
            true => self.send_letter(letter).await?,
            false => self.send_gathered().await?,
        }
        Ok(tag)
    }

    /// Sends the octets of a message and the end of the command.
    pub(super) async fn send_letter(&mut self, letter: &Letter) -> Result<(), ForwardError> {
        let mut octets = letter.octets();
        let unreadable = |source| ForwardError::Spool { path: file(&letter.spooled), source };
        while let Some(piece) = octets.next().await.map_err(unreadable)? {
            self.gather(&piece).await?;
        }
        self.gather(b"\r\n").await
    }

    async fn gather(&mut self, octets: &[u8]) -> Result<(), ForwardError> {
        self.outgoing.extend_from_slice(octets);
        if self.outgoing.len() < GATHERED { Ok(()) } else { self.send_gathered().await }
    }

    /// Sends what has been gathered.
    pub(super) async fn send_gathered(&mut self) -> Result<(), ForwardError> {
        let mut gathered = std::mem::take(&mut self.outgoing);
        // What the server says as it closes the connection is read by the code that waits for the answers.
        let sent = self.wire.send(&gathered).await.map_err(|error| ForwardError::wire(DOING, error));
        self.awaited = Awaited::begin();
        gathered.clear();
        self.outgoing = gathered;
        sent
    }

    /// Waits for the next event of the APPENDs in flight.
    pub(super) async fn next_event(&mut self) -> Result<AppendEvent, ForwardError> {
        self.next_event_within(LONG_ANSWER).await
    }

    /// Waits for the next event, with another timeout for the server's silence.
    pub(super) async fn next_event_within(&mut self, timeout: Duration) -> Result<AppendEvent, ForwardError> {
        loop {
            match self.response(DOING, timeout, None).await?.0 {
                Line::Continue => return Ok(AppendEvent::Wanted),
                Line::Tagged(tag, done) => {
                    return Ok(AppendEvent::Ended(String::from_utf8_lossy(&tag).into_owned(), appended(done)));
                }
                Line::Condition(_) | Line::Data(_) => {}
            }
        }
    }
}

/// Interprets the answer to APPEND.
fn appended(done: Condition) -> Appended {
    if done.kind != Kind::Ok {
        return Appended::No(done);
    }
    let uid = done.code("APPENDUID").and_then(|text| text.split_once(' ')).and_then(|(validity, uid)| {
        Some(MailboxUid { validity: validity.parse().ok()?, uid: uid.trim().parse().ok()? })
    });
    Appended::Yes(uid)
}
