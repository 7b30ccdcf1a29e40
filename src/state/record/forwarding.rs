//! The records of a forwarder's journal, `ACCOUNT.forward`, in the same text format as a `.uids` file. PURE.

use super::{Fields, Parse};
use crate::message::Digest;

/// What became of a message in the spool, which is identified by its file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardRecord {
    /// `I`: it is about to be appended to an IMAP mailbox. Whether it was can be seen among the UIDs from `uid_next`
    /// on.
    Intent(AppendIntent),
    /// `J`: it arrived.
    Arrived {
        /// The file.
        name: String,
        /// The digest of all its octets as sent, if known.
        whole: Option<Digest>,
        /// Its UID in the mailbox, if known.
        uid: Option<MailboxUid>,
    },
    /// `Y`: its destination has it, but had it before it was sent, and did not store it again: what is there may be the
    /// very message at the source, which must not be deleted. No earlier version may ignore this.
    WasThere {
        /// The file.
        name: String,
        /// The digest of all its octets as sent.
        whole: Option<Digest>,
        /// The UID of what is there.
        uid: Option<MailboxUid>,
    },
    /// `K`: it was permanently refused, and is left alone.
    SetAside {
        /// The file.
        name: String,
        /// When, in seconds since 1970.
        since: i64,
        /// The reason, in words for people.
        reason: String,
    },
    /// `N`: it was refused, and will be retried.
    Refused {
        /// The file.
        name: String,
        /// How many times it was refused.
        times: u32,
        /// How many tries in a row broke off at it.
        breaks: u32,
    },
    /// `t`: a try failed, or has not ended after a while. A hint: it only decides which message is tried first.
    TryFailed {
        /// The file.
        name: String,
        /// When, how often, and whether the destination is at fault.
        tries: FailedTries,
    },
    /// `Z`: nothing is recorded about it any more.
    Released(String),
}

/// What is known of failed tries with a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailedTries {
    /// The last pass in which a try failed, counting only passes with failures.
    pub turn: u64,
    /// How many tries failed in a row. One that hung counts for several.
    pub strikes: u32,
    /// Whether other messages arrived meanwhile, so that the destination is not at fault.
    pub behind: bool,
}

/// An APPEND that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendIntent {
    /// The name of its file in the spool.
    pub name: String,
    /// A text that identifies the mailbox.
    pub mailbox: String,
    /// The UIDVALIDITY of the mailbox.
    pub uid_validity: u32,
    /// The lower bound for the UID of any message appended from now on.
    pub uid_next: u32,
    /// The number of messages in the mailbox. If the mailbox is created anew with other UIDs, later messages come after
    /// these. None if the server did not report it, or if an earlier version wrote the record.
    pub count: Option<u32>,
}

/// A message in an IMAP mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailboxUid {
    /// The UIDVALIDITY of the mailbox: with another one, the UID names another message (RFC 9051, section 2.3.1.1).
    pub validity: u32,
    /// The UID of the message in that mailbox.
    pub uid: u32,
}

impl ForwardRecord {
    /// Returns the name of the file, if this says that the destination has it.
    pub(crate) fn arrived(&self) -> Option<&str> {
        match self {
            Self::Arrived { name, .. } | Self::WasThere { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(super) fn write(&self, out: &mut Fields<'_>) {
        match self {
            Self::Intent(intent) => {
                let AppendIntent { name, mailbox, uid_validity, uid_next, count } = intent;
                out.letter('I').text(name.as_bytes()).text(mailbox.as_bytes()).plain(*uid_validity).plain(*uid_next);
                if let Some(count) = count {
                    out.plain(*count);
                }
            }
            Self::Arrived { name, whole, uid } | Self::WasThere { name, whole, uid } => {
                let letter = if matches!(self, Self::Arrived { .. }) { 'J' } else { 'Y' };
                out.letter(letter).text(name.as_bytes()).optional(*whole);
                if let Some(MailboxUid { validity, uid }) = uid {
                    out.plain(*validity).plain(*uid);
                }
            }
            Self::SetAside { name, since, reason } => {
                out.letter('K').text(name.as_bytes()).plain(*since).text(reason.as_bytes());
            }
            Self::Refused { name, times, breaks } => {
                out.letter('N').text(name.as_bytes()).plain(*times);
                if *breaks > 0 {
                    out.plain(*breaks);
                }
            }
            Self::TryFailed { name, tries: FailedTries { turn, strikes, behind } } => {
                out.letter('t').text(name.as_bytes()).plain(*turn).plain(*strikes).plain(u32::from(*behind));
            }
            Self::Released(name) => {
                out.letter('Z').text(name.as_bytes());
            }
        }
    }

    /// Parses the fields after a letter. None if they do not belong to one of these records.
    pub(super) fn parse(letter: u8, fields: &mut Parse<'_>) -> Option<Self> {
        let name = fields.string()?;
        Some(match letter {
            b'I' => {
                let mailbox = fields.string()?;
                let (uid_validity, uid_next) = (fields.number()?, fields.number()?);
                let count = fields.if_there(Parse::number)?;
                Self::Intent(AppendIntent { name, mailbox, uid_validity, uid_next, count })
            }
            b'J' | b'Y' => {
                let uid =
                    |fields: &mut Parse<'_>| Some(MailboxUid { validity: fields.number()?, uid: fields.number()? });
                let (whole, uid) = (fields.optional(Digest::parse)?, fields.if_there(uid)?);
                match letter {
                    b'J' => Self::Arrived { name, whole, uid },
                    _ => Self::WasThere { name, whole, uid },
                }
            }
            b'K' => Self::SetAside { name, since: fields.number()?, reason: fields.string()? },
            b'N' => {
                let (times, breaks) = (fields.number()?, fields.if_there(Parse::number)?);
                Self::Refused { name, times, breaks: breaks.unwrap_or(0) }
            }
            b't' => {
                let (turn, strikes, behind) = (fields.number()?, fields.number()?, fields.number::<u32>()? > 0);
                Self::TryFailed { name, tries: FailedTries { turn, strikes, behind } }
            }
            _ => Self::Released(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record::Record;

    #[test]
    fn each_record_reads_as_it_was_written() {
        let name = || "1.M2P3Q4_mf-00000000000000aa-00000001.host,S=4".to_owned();
        let digest = Some(crate::message::MessageDigester::default().finish());
        let intent = |count| {
            let (name, mailbox) = (name(), "Ä b at imap://x".to_owned());
            ForwardRecord::Intent(AppendIntent { name, mailbox, uid_validity: 7, uid_next: 9, count })
        };
        for record in [
            intent(None),
            intent(Some(4)),
            ForwardRecord::Arrived {
                name: name(),
                whole: digest,
                uid: Some(MailboxUid { validity: 7, uid: u32::MAX }),
            },
            ForwardRecord::Arrived { name: name(), whole: None, uid: None },
            ForwardRecord::WasThere { name: name(), whole: digest, uid: Some(MailboxUid { validity: 7, uid: 1 }) },
            ForwardRecord::SetAside { name: name(), since: -1, reason: "552 too\r\nbig %".to_owned() },
            ForwardRecord::Refused { name: name(), times: 2, breaks: 0 },
            ForwardRecord::Refused { name: name(), times: 0, breaks: 3 },
            ForwardRecord::TryFailed { name: name(), tries: FailedTries { turn: 7, strikes: 3, behind: true } },
            ForwardRecord::TryFailed { name: name(), tries: FailedTries::default() },
            ForwardRecord::Released(name()),
        ] {
            let (mut line, record) = (Vec::new(), Record::Forwarding(record));
            record.write(&mut line);
            assert!(!line.contains(&b'\n') && line.is_ascii());
            assert_eq!(Record::parse(&line), Ok(record));
        }
        let short = ["I a b 1", "J a", "J a - 1", "J a 1", "K a 1", "N a", "Z", "t a", "t a 1", "t a 1 2"];
        for bad in short.into_iter().chain(["I a b 1 2 3 4", "N a 1 2 3", "Z a b", "t a 1 2 0 0"]) {
            assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
