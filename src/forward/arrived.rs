//! The proof that a message has arrived at its destination. Its file in the spool is removed on the strength of it, and
//! it may be deleted on the server. PURE.
//!
//! Each kind of destination has a constructor of its own, which looks at what the destination said, and does not take
//! the caller's word for it.

use std::process::ExitStatus;

use super::letter::Letter;
use super::spool::Spooled;
use crate::message::Digest;
use crate::state::record::{ForwardRecord, MailboxUid};

/// The exit statuses of a command that has taken the message. 99: delivered, and no further delivery instructions are
/// to be followed.
const TAKEN: [i32; 2] = [0, 99];

/// What an LMTP server said after all of a message was sent, with the final dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FinalReply {
    /// The code of the reply.
    pub(super) code: u16,
    /// Whether a reply had come before the final dot was sent: then this one may belong to something else.
    pub(super) is_ahead: bool,
    /// Whether nothing followed it, except that the server closes the connection.
    pub(super) is_last: bool,
}

/// How the APPEND of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AppendEnd<'a> {
    /// The tag of its APPEND.
    pub(super) sent_as: &'a str,
    /// Whether all of it had been sent: the server cannot have the rest.
    pub(super) is_sent: bool,
    /// The tag of the answer.
    pub(super) answered: &'a str,
    /// Whether the answer is OK.
    pub(super) is_ok: bool,
}

/// A message that an IMAP server says it has stored. Where it is remains to be seen.
#[derive(Debug)]
pub(super) struct Stored(Letter);

impl Stored {
    /// Proves it by the OK to its own APPEND, of which all was sent.
    pub(super) fn by_answer(letter: &Letter, end: AppendEnd<'_>) -> Option<Self> {
        let AppendEnd { sent_as, is_sent, answered, is_ok } = end;
        (is_ok && is_sent && sent_as == answered).then(|| Self(letter.clone()))
    }

    /// Returns the message.
    pub(super) fn letter(&self) -> &Letter {
        &self.0
    }
}

/// A message that has arrived at its destination.
#[derive(Debug)]
pub(super) struct Arrived {
    message: Spooled,
    /// The digest of its octets as they went over the wire.
    whole: Digest,
    /// Where it is in the mailbox, if it went to one.
    uid: Option<MailboxUid>,
    /// Whether the destination had it before it was sent: then it may not be deleted at the source.
    was_there: bool,
}

impl Arrived {
    fn of(letter: &Letter, uid: Option<MailboxUid>) -> Self {
        Self { message: letter.spooled.clone(), whole: letter.whole, uid, was_there: false }
    }

    /// By LMTP: the one reply after the final dot is positive (RFC 2033, section 4.2; RFC 5321, section 4.2.1).
    pub(super) fn by_final_reply(letter: &Letter, reply: FinalReply) -> Option<Self> {
        let FinalReply { code, is_ahead, is_last } = reply;
        ((200..300).contains(&code) && !is_ahead && is_last).then(|| Self::of(letter, None))
    }

    /// By a command: it ended by itself, and says that it has the message.
    pub(super) fn by_exit_status(letter: &Letter, status: ExitStatus) -> Option<Self> {
        status.code().is_some_and(|code| TAKEN.contains(&code)).then(|| Self::of(letter, None))
    }

    /// By IMAP: the server says that it has stored it, and this is where it was placed.
    pub(super) fn by_append(stored: &Stored, uid: MailboxUid) -> Self {
        Self::of(stored.letter(), Some(uid))
    }

    /// By IMAP, where the server says that it has stored it, and names a message with the same bytes that was there
    /// before: that may be the very message at the source.
    pub(super) fn before(stored: &Stored, uid: MailboxUid) -> Self {
        Self { was_there: true, ..Self::of(stored.letter(), Some(uid)) }
    }

    /// By a look into the mailbox, if the answer was lost: what was `found` under this UID has all of its bytes.
    pub(super) fn by_recognition(letter: &Letter, found: Digest, uid: MailboxUid) -> Option<Self> {
        (found == letter.whole).then(|| Self::of(letter, Some(uid)))
    }

    /// Returns the message.
    pub(super) fn message(&self) -> &Spooled {
        &self.message
    }

    /// Turns it into its record.
    pub(super) fn into_record(self) -> ForwardRecord {
        let (name, whole, uid) = (self.message.name, Some(self.whole), self.uid);
        match self.was_there {
            false => ForwardRecord::Arrived { name, whole, uid },
            true => ForwardRecord::WasThere { name, whole, uid },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Disk, RealDisk};
    use crate::message::MessageDigester;

    async fn letter() -> Letter {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), b"a: b\n\nx\n").unwrap();
        let spooled = Spooled { name: "f".to_owned(), dir: RealDisk.open_dir(dir.path()).unwrap(), file: "f".into() };
        Letter::measure(Arc::new(RealDisk), spooled, String::new()).await.unwrap()
    }

    #[tokio::test]
    async fn by_lmtp_only_one_positive_reply_after_the_final_dot_counts() {
        let letter = letter().await;
        let arrived = |code, is_ahead, is_last| {
            Arrived::by_final_reply(&letter, FinalReply { code, is_ahead, is_last }).is_some()
        };
        assert!(arrived(250, false, true) && arrived(200, false, true) && arrived(299, false, true));
        for code in [199, 300, 354, 421, 452, 550] {
            assert!(!arrived(code, false, true), "{code}");
        }
        assert!(!arrived(250, true, true) && !arrived(250, false, false) && !arrived(250, true, false));
    }

    #[tokio::test]
    async fn a_command_has_to_end_by_itself_and_say_so() {
        let letter = letter().await;
        let arrived = |status| Arrived::by_exit_status(&letter, ExitStatus::from_raw(status)).is_some();
        for code in 0..=255 {
            assert_eq!(arrived(code << 8), [0, 99].contains(&code), "{code}");
        }
        for signal in [1, 9, 15] {
            assert!(!arrived(signal), "{signal}");
        }
    }

    #[tokio::test]
    async fn an_imap_server_has_what_was_all_sent_and_answered_by_its_own_tag() {
        let letter = letter().await;
        let end = AppendEnd { sent_as: "a1", is_sent: true, answered: "a1", is_ok: true };
        let uid = MailboxUid { validity: 7, uid: 9 };
        let arrived = Arrived::by_append(&Stored::by_answer(&letter, end).unwrap(), uid);
        let record = ForwardRecord::Arrived { name: "f".to_owned(), whole: Some(letter.whole), uid: Some(uid) };
        assert_eq!(arrived.into_record(), record);
        for end in [
            AppendEnd { answered: "a2", ..end },
            AppendEnd { is_sent: false, ..end },
            AppendEnd { is_ok: false, ..end },
        ] {
            assert!(Stored::by_answer(&letter, end).is_none(), "{end:?}");
        }
    }

    #[tokio::test]
    async fn what_is_found_in_the_mailbox_has_to_have_the_same_bytes() {
        let (letter, uid) = (letter().await, MailboxUid { validity: 7, uid: 9 });
        assert!(Arrived::by_recognition(&letter, letter.whole, uid).is_some());
        let mut other = MessageDigester::default();
        other.update(b"a: b\r\n\r\ny\r\n");
        assert!(Arrived::by_recognition(&letter, other.finish(), uid).is_none());
    }
}
