//! APPEND: a command, the octets of a message behind it, an answer. Several may be under way.

use std::time::Duration;

use super::awaited::Awaited;
use super::response::{self, Condition, Kind, Line};
use super::session::{LONG_ANSWER, Session};
use crate::forward::error::ForwardError;
use crate::forward::letter::{Letter, file};
use crate::state::record::MailboxUid;
use crate::text;

/// Messages up to this size are sent without waiting where LITERAL- is offered (RFC 7888), in octets.
const SMALL: u64 = 4096;

/// The same where LITERAL+ is: a refusal costs no more than that.
const NOT_LARGE: u64 = 64 << 10;

/// So much is gathered before it is sent, in octets.
const GATHERED: usize = 64 << 10;

/// What APPEND is for.
const DOING: &str = "append a message";

/// How APPEND ended.
#[derive(Debug)]
pub(super) enum Appended {
    /// The message is in the mailbox; where, if the server says it.
    Yes(Option<MailboxUid>),
    /// It is not, for this reason.
    No(Condition),
}

/// What comes while APPENDs are under way.
#[derive(Debug)]
pub(super) enum AppendEvent {
    /// The server wants the octets.
    Wanted,
    /// The APPEND with this tag has ended so.
    Ended(String, Appended),
}

impl Session {
    /// Whether a message may be sent without waiting for a word from the server.
    pub(super) fn sends_ahead(&self, letter: &Letter) -> bool {
        self.has("LITERAL+") && letter.size <= NOT_LARGE || self.has("LITERAL-") && letter.size <= SMALL
    }

    /// Whether a message may have octets that are 0: in a `literal8` (RFC 3516, section 4.4; RFC 9051).
    pub(super) fn takes_nul(&self) -> bool {
        self.has("BINARY") || self.has("IMAP4REV2")
    }

    /// Begins to append a message: the command in front of it; its tag. Where it may be sent ahead, all of it.
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

    /// The octets of a message, and the end of the command.
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

    /// Sends what was gathered.
    pub(super) async fn send_gathered(&mut self) -> Result<(), ForwardError> {
        let mut gathered = std::mem::take(&mut self.outgoing);
        // What the server says at its end is read by whoever waits for the answers that are open.
        let sent = self.wire.send(&gathered).await.map_err(|error| ForwardError::wire(DOING, error));
        self.awaited = Awaited::begin();
        gathered.clear();
        self.outgoing = gathered;
        sent
    }

    /// What comes next of the APPENDs that are under way.
    pub(super) async fn next_event(&mut self) -> Result<AppendEvent, ForwardError> {
        self.next_event_within(LONG_ANSWER).await
    }

    /// The same, as long as the server is not silent for so long.
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

/// What the answer to APPEND says.
fn appended(done: Condition) -> Appended {
    if done.kind != Kind::Ok {
        return Appended::No(done);
    }
    let uid = done.code("APPENDUID").and_then(|text| text.split_once(' ')).and_then(|(validity, uid)| {
        Some(MailboxUid { validity: validity.parse().ok()?, uid: uid.trim().parse().ok()? })
    });
    Appended::Yes(uid)
}
