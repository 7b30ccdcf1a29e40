//! What servers report about the sizes of their messages, and what they send in place of a message.

use super::dialogue::stored;
use super::server::{Manner, Message};

/// The moment to which the sizes in a listing belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lag {
    /// One that RETR has not reached: LIST has the size of the whole while RETR returns the beginning.
    Ahead,
    /// One in the past: LIST has the size of what was there before.
    Behind,
}

/// What is sent in place of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) header: NoteHeader,
    /// Its length, in hundredths of the listed size.
    pub(crate) hundredths: usize,
    /// Whether TOP shows the header of the note, instead of that of the message.
    pub(crate) in_top: bool,
    /// How many more times it is sent.
    pub(crate) times: u8,
}

/// The header of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteHeader {
    /// That of the message.
    True,
    /// Its own, with a Message-ID and a date.
    Own,
    /// One that says little.
    Weak,
}

/// Returns the header of a message, with the empty line.
pub(super) fn header(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
    &bytes[..end]
}

/// Returns the size of a message in LIST, and whether it is that of another moment.
pub(super) fn told(message: &Message, manner: Manner, lag: Option<Lag>) -> (usize, bool) {
    let other = match lag {
        None => None,
        Some(Lag::Ahead) => message.after.as_ref(),
        Some(Lag::Behind) => message.before.as_ref(),
    };
    let octets = other.unwrap_or(&message.bytes).len();
    (if manner.estimates { estimate(&message.id, octets) } else { octets }, other.is_some())
}

/// Returns an estimate, too high or too low, always the same for a message of this size.
fn estimate(id: &str, octets: usize) -> usize {
    let hundredths = [70, 130, 85, 115, 150];
    let which = id.bytes().map(usize::from).sum::<usize>() % hundredths.len();
    octets * hundredths[which] / 100
}

/// Whether a message has the listed size, with either line end, and with or without the last one.
pub(super) fn fits(listed: usize, bytes: &[u8]) -> bool {
    let (octets, stored) = (bytes.len(), stored(bytes).len());
    [octets - 2, octets, octets + 2, stored - 1, stored].contains(&listed)
}

impl Note {
    /// Returns what is sent in place of a message with this listed size: never in exactly that size, or nothing would
    /// distinguish it from the message.
    pub(super) fn bytes(&self, message: &Message, listed: usize) -> Vec<u8> {
        let id = &message.id;
        let mut bytes = match self.header {
            NoteHeader::True => header(&message.bytes).to_vec(),
            NoteHeader::Own => {
                format!("Message-ID: <note-{id}@x>\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000\r\n\r\n").into_bytes()
            }
            NoteHeader::Weak => b"From: postmaster@x\r\nSubject: held\r\n\r\n".to_vec(),
        };
        bytes.extend(format!("In place of {id}.\r\n").bytes());
        while bytes.len() < listed * self.hundredths / 100 || fits(listed, &bytes) {
            bytes.extend(b"It is held.\r\n");
        }
        bytes
    }
}
