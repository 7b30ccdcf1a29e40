//! The records of a `.uids` file, as text. PURE.
//!
//! Each record is one line: a letter, then fields separated by single blanks. Octets that are not printable ASCII,
//! blanks and percent signs are written as `%XX`; a lone `-` means "none". An unknown capital letter makes the file
//! unreadable for this version; an unknown small letter may be ignored and is kept. The whole format is described in
//! `docs/state-format.md`.

mod forwarding;
mod writing;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::entry::{
    Entry, Fingerprint, Identity, Intent, KnownMaildir, ListedAs, Origin, Quarantine, QuarantineReason,
};
use crate::clock::trusted_time::{ClockMark, ClockReading, TrustedTime};
use crate::ids::{EntryId, InstanceId, MaildirId, MaildirNumber, RulesDigest};
use crate::message::Digest;
use crate::pop3::{ReportedSize, UniqueId, decimal};

pub use forwarding::{AppendIntent, FailedTries, ForwardRecord, MailboxUid};
use writing::Fields;

/// One change of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// `H`: whom the state belongs to. The first record, and no other.
    Header(Identity),
    /// `O`: from here on the account uses another host or user.
    Host {
        /// The server.
        host: String,
        /// The user name on it.
        user: String,
    },
    /// `p`: from here on the account uses this port of its host.
    Port {
        /// The server. It counts only while the account points at it: an earlier version keeps the record when it
        /// records another one.
        host: String,
        /// The port.
        port: u16,
    },
    /// `C`: what the clocks said.
    Clock(ClockMark),
    /// `M`: a Maildir to deliver to.
    Maildir(MaildirNumber, KnownMaildir),
    /// `E`: a message, with or without an intent.
    Entry(Entry),
    /// `L`: this entry is delivered into further Maildirs.
    AlsoInto {
        /// The entry.
        id: EntryId,
        /// The numbers of the Maildirs.
        maildirs: Vec<MaildirNumber>,
    },
    /// `r`: the links of this delivery into these Maildirs were refused or never tried; replaces what was said before. A
    /// version that ignores it takes a second name that somebody else made for ours.
    NotLinked {
        /// The entry.
        id: EntryId,
        /// The numbers of the Maildirs; none once they are all linked.
        maildirs: Vec<MaildirNumber>,
    },
    /// `P`: the deliveries of these entries are finished.
    Published(Vec<EntryId>),
    /// `W`: these are durably in the account's spool, and wait there to be forwarded.
    Spooled(Vec<EntryId>),
    /// `T`: these were forwarded, and may be deleted on the server like any delivered message.
    Forwarded(Vec<EntryId>),
    /// `R`: these were deleted, and the QUIT was acknowledged.
    Removed {
        /// The entries.
        ids: Vec<EntryId>,
        /// When.
        trusted: TrustedTime,
    },
    /// `A`: a complete listing lacked these.
    Absent {
        /// The entries.
        ids: Vec<EntryId>,
        /// When.
        trusted: TrustedTime,
    },
    /// `B`: these are back in the listing.
    Present(Vec<EntryId>),
    /// `D`: another message may be listed under their unique-ids; only the bytes can tell.
    Doubted(Vec<EntryId>),
    /// `V`: these were retrieved again, and their bytes are the same.
    Verified(Vec<EntryId>),
    /// `F`: these are no longer remembered.
    Forgotten(Vec<EntryId>),
    /// `S`: the server now reports another size for this message.
    Resized {
        /// The entry.
        id: EntryId,
        /// The size.
        reported_size: ReportedSize,
    },
    /// `U`: the server now lists this message under another unique-id.
    Renamed {
        /// The entry.
        id: EntryId,
        /// Its new unique-id.
        unique_id: UniqueId,
    },
    /// `G`: the header of this message was seen for the first time.
    Fingerprinted {
        /// The entry.
        id: EntryId,
        /// The digest of its header.
        header: Digest,
    },
    /// `q`: the message listed this way failed.
    Quarantine {
        /// The message.
        listed_as: ListedAs,
        /// Its quarantine.
        quarantine: Quarantine,
    },
    /// `v`: the quarantine of the message listed this way is over.
    QuarantineOver(ListedAs),
    /// A record of a forwarder's journal, which is a separate file.
    Forwarding(ForwardRecord),
    /// `s`: a rule leaves the message listed this way on the server.
    Skipped {
        /// The message.
        listed_as: ListedAs,
        /// The digest of the rules.
        rules: RulesDigest,
    },
    /// `n`: no rule leaves the message listed this way on the server any more.
    NotSkipped(ListedAs),
    /// `u`: this delivery and all later ones are not yet shown to be the messages that they were taken for; None: all
    /// are.
    Unshown(Option<EntryId>),
    /// An unknown small letter: kept as it is.
    Unknown(Vec<u8>),
}

/// Why a line is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecord {
    /// Its letter belongs to a newer version and must not be ignored.
    Newer(char),
    /// Its fields do not fit its letter.
    Malformed,
}

impl Record {
    /// Appends the record as a line, without line end.
    pub fn write(&self, line: &mut Vec<u8>) {
        let mut out = Fields::of(line);
        match self {
            Self::Header(identity) => out.header(identity),
            Self::Host { host, user } => {
                out.letter('O').text(host.as_bytes()).text(user.as_bytes());
            }
            Self::Port { host, port } => {
                out.letter('p').text(host.as_bytes()).plain(*port);
            }
            Self::Clock(mark) => {
                let reading = mark.reading;
                out.letter('C').plain(mark.trusted).plain(reading.wall);
                out.plain(reading.boot).plain(reading.since_boot);
            }
            Self::Maildir(number, maildir) => out.maildir(*number, maildir),
            Self::Entry(entry) => out.entry(entry),
            Self::AlsoInto { id, maildirs } => out.maildirs('L', *id, maildirs),
            Self::NotLinked { id, maildirs } => out.maildirs('r', *id, maildirs),
            Self::Published(ids) => out.only_ids('P', ids),
            Self::Spooled(ids) => out.only_ids('W', ids),
            Self::Forwarded(ids) => out.only_ids('T', ids),
            Self::Removed { ids, trusted } => {
                out.letter('R').plain(*trusted).ids(ids);
            }
            Self::Absent { ids, trusted } => {
                out.letter('A').plain(*trusted).ids(ids);
            }
            Self::Present(ids) => out.only_ids('B', ids),
            Self::Doubted(ids) => out.only_ids('D', ids),
            Self::Verified(ids) => out.only_ids('V', ids),
            Self::Forgotten(ids) => out.only_ids('F', ids),
            Self::Resized { id, reported_size } => {
                out.letter('S').plain(*id).plain(*reported_size);
            }
            Self::Renamed { id, unique_id } => {
                out.letter('U').plain(*id).text(unique_id.as_bytes());
            }
            Self::Fingerprinted { id, header } => {
                out.letter('G').plain(*id).plain(*header);
            }
            Self::Quarantine { listed_as, quarantine } => {
                let kind = letter_of(quarantine.kind);
                out.letter('q').plain(kind).plain(quarantine.count).plain(quarantine.until).listed_as(listed_as);
            }
            Self::QuarantineOver(listed_as) => out.only_listed_as('v', listed_as),
            Self::Skipped { listed_as, rules } => {
                out.letter('s').plain(*rules).listed_as(listed_as);
            }
            Self::Forwarding(record) => record.write(&mut out),
            Self::NotSkipped(listed_as) => out.only_listed_as('n', listed_as),
            Self::Unshown(first) => out.only_optional('u', *first),
            Self::Unknown(kept) => out.line(kept),
        }
    }

    /// Parses a line, without its line end.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub fn parse(line: &[u8]) -> Result<Self, BadRecord> {
        let (letter, rest) = line.split_first().ok_or(BadRecord::Malformed)?;
        if letter.is_ascii_lowercase() && !matches!(letter, b'p' | b'q' | b'v' | b'r' | b's' | b'n' | b't' | b'u') {
            return Ok(Self::Unknown(line.to_vec()));
        }
        let mut fields = Parse { rest: rest.strip_prefix(b" ") };
        let record = match letter {
            b'H' => fields.header(),
            b'O' => fields.host(),
            b'p' => fields.port(),
            b'C' => fields.clock(),
            b'M' => fields.maildir(),
            b'E' => fields.entry().map(Self::Entry),
            b'I' | b'J' | b'K' | b'N' | b'Y' | b'Z' | b't' => {
                ForwardRecord::parse(*letter, &mut fields).map(Self::Forwarding)
            }
            b'L' => fields.also_into(),
            b'r' => fields.not_linked(),
            b'P' => fields.ids().map(Self::Published),
            b'W' => fields.ids().map(Self::Spooled),
            b'T' => fields.ids().map(Self::Forwarded),
            b'R' => fields.number().zip(fields.ids()).map(|(trusted, ids)| Self::Removed { ids, trusted }),
            b'A' => fields.number().zip(fields.ids()).map(|(trusted, ids)| Self::Absent { ids, trusted }),
            b'B' => fields.ids().map(Self::Present),
            b'D' => fields.ids().map(Self::Doubted),
            b'V' => fields.ids().map(Self::Verified),
            b'F' => fields.ids().map(Self::Forgotten),
            b'S' => fields.number().zip(fields.number()).map(|(id, reported_size)| Self::Resized { id, reported_size }),
            b'G' => fields.fingerprinted(),
            b'q' => fields.quarantine(),
            b'v' => fields.listed_as().map(Self::QuarantineOver),
            b's' => {
                fields.number().zip(fields.listed_as()).map(|(rules, listed_as)| Self::Skipped { listed_as, rules })
            }
            b'n' => fields.listed_as().map(Self::NotSkipped),
            b'u' => fields.optional(number).map(Self::Unshown),
            b'U' => fields.number().zip(fields.unique_id()).map(|(id, unique_id)| Self::Renamed { id, unique_id }),
            letter if letter.is_ascii_uppercase() => return Err(BadRecord::Newer(char::from(*letter))),
            _ => None,
        };
        record.filter(|_| fields.rest.is_none()).ok_or(BadRecord::Malformed)
    }
}

fn letter_of(kind: QuarantineReason) -> char {
    match kind {
        QuarantineReason::Refused => 'r',
        QuarantineReason::BrokeSession => 'b',
        QuarantineReason::OverLimit => 'l',
        QuarantineReason::OtherSize => 's',
    }
}

/// Takes fields off a line. `rest` is None after the last one.
struct Parse<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Parse<'a> {
    fn field(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (field, rest) = match memchr::memchr(b' ', rest) {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(field)
    }

    fn number<T: Number>(&mut self) -> Option<T> {
        number(self.field()?)
    }

    /// Returns Some(None) for a `-`.
    fn optional<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
        match self.field()? {
            b"-" => Some(None),
            field => parse(field).map(Some),
        }
    }

    fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        unescape(self.field()?)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.into_owned()).ok()
    }

    fn path(&mut self) -> Option<PathBuf> {
        let bytes = self.text()?;
        (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&bytes).to_owned()))
    }

    fn unique_id(&mut self) -> Option<UniqueId> {
        UniqueId::new(&self.text()?).ok()
    }

    fn ids(&mut self) -> Option<Vec<EntryId>> {
        let mut ids = Vec::new();
        for run in self.field()?.split(|c| *c == b',') {
            let mut ends = run.splitn(2, |c| *c == b'-');
            let first: u64 = number(ends.next()?)?;
            let last = ends.next().map_or(Some(first), number)?;
            let room = MOST_IDS.saturating_sub(u64::try_from(ids.len()).unwrap_or(u64::MAX));
            if last < first || last - first >= room {
                return None;
            }
            ids.extend((first..=last).map(EntryId::new));
        }
        Some(ids)
    }

    /// Returns Some(None) after the last field.
    fn if_there<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.rest.is_some() { parse(self).map(Some) } else { Some(None) }
    }

    fn listed_as(&mut self) -> Option<ListedAs> {
        let unique_id = self.unique_id()?;
        Some(ListedAs { unique_id, reported_size: self.if_there(Self::number)? })
    }

    fn header(&mut self) -> Option<Record> {
        let instance = InstanceId::parse(self.field()?)?;
        let created = self.number()?;
        Some(Record::Header(Identity { instance, created, host: self.string()?, user: self.string()? }))
    }

    fn host(&mut self) -> Option<Record> {
        Some(Record::Host { host: self.string()?, user: self.string()? })
    }

    fn port(&mut self) -> Option<Record> {
        let (host, port) = (self.string()?, self.number()?);
        Some(Record::Port { host, port })
    }

    fn clock(&mut self) -> Option<Record> {
        let trusted = self.number()?;
        let reading = ClockReading { wall: self.number()?, boot: self.number()?, since_boot: self.number()? };
        Some(Record::Clock(ClockMark { reading, trusted }))
    }

    fn maildir(&mut self) -> Option<Record> {
        let number = self.number()?;
        let (tmp_inode, new_inode) = (self.number()?, self.number()?);
        let (resolved, configured) = (self.path()?, self.path()?);
        let marker = self.if_there(|fields| fields.optional(hex))?.flatten();
        let id = MaildirId { tmp_inode, new_inode, marker, created: self.if_there(Self::number)? };
        Some(Record::Maildir(number, KnownMaildir { configured, resolved, id }))
    }

    fn also_into(&mut self) -> Option<Record> {
        Some(Record::AlsoInto { id: self.number()?, maildirs: self.maildirs()? })
    }

    fn not_linked(&mut self) -> Option<Record> {
        let id = self.number()?;
        let maildirs = match self.rest {
            Some(b"-") => self.optional(|_| None)?.unwrap_or_default(),
            _ => self.maildirs()?,
        };
        Some(Record::NotLinked { id, maildirs })
    }

    fn maildirs(&mut self) -> Option<Vec<MaildirNumber>> {
        let number = |number: EntryId| u32::try_from(number.get()).ok().map(MaildirNumber::new);
        self.ids()?.into_iter().map(number).collect()
    }

    fn fingerprinted(&mut self) -> Option<Record> {
        Some(Record::Fingerprinted { id: self.number()?, header: Digest::parse(self.field()?)? })
    }

    fn quarantine(&mut self) -> Option<Record> {
        let kind = match self.field()? {
            b"r" => QuarantineReason::Refused,
            b"b" => QuarantineReason::BrokeSession,
            b"l" => QuarantineReason::OverLimit,
            b"s" => QuarantineReason::OtherSize,
            _ => return None,
        };
        let quarantine = Quarantine { kind, count: self.number()?, until: self.number()? };
        Some(Record::Quarantine { listed_as: self.listed_as()?, quarantine })
    }

    fn entry(&mut self) -> Option<Entry> {
        let id = self.number()?;
        let origin = match self.field()? {
            b"d" => Origin::Delivered,
            b"i" => Origin::Imported,
            b"a" => Origin::Adopted,
            b"t" => Origin::Trusted,
            _ => return None,
        };
        let reported_size = self.optional(number)?;
        let (header, whole) = (self.optional(Digest::parse)?, self.optional(Digest::parse)?);
        let (delivered_at, delivered_trusted) = (self.number()?, self.number()?);
        let (removed, doubt) = match self.field()? {
            b"-" => (false, false),
            b"doubt" => (false, true),
            b"removed" => (true, true),
            _ => return None,
        };
        let absent_since: Option<TrustedTime> = self.optional(number)?;
        let doubt = doubt || absent_since.is_some();
        let unique_id = self.optional(|field| UniqueId::new(&unescape(field)?).ok())?;
        let intent = self.if_there(|fields| {
            let (maildir, file_name) = (fields.number()?, fields.string()?);
            Some(Box::new(Intent { maildir, also: Vec::new(), not_linked: Vec::new(), spooled: false, file_name }))
        })?;
        let fingerprint = Fingerprint { reported_size, header, whole };
        Some(Entry {
            id,
            unique_id,
            origin,
            fingerprint,
            delivered_at,
            delivered_trusted,
            intent,
            removed,
            doubt,
            absent_since,
        })
    }
}

/// More ids than this in one record are damage, not data: no readable file has room for so many entries. A few octets
/// can denote a long run, and each of its ids takes memory.
const MOST_IDS: u64 = 1 << 24;

/// An integer written in decimal digits.
trait Number: Sized {
    /// Makes it from its absolute value and whether it is negative. None if it does not fit.
    fn from_parts(amount: u64, negative: bool) -> Option<Self>;
}

impl Number for u64 {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        (!negative).then_some(amount)
    }
}

impl Number for u32 {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        if negative { None } else { amount.try_into().ok() }
    }
}

impl Number for u16 {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        if negative { None } else { amount.try_into().ok() }
    }
}

impl Number for EntryId {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        u64::from_parts(amount, negative).map(Self::new)
    }
}

impl Number for ReportedSize {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        u64::from_parts(amount, negative).map(Self::new)
    }
}

impl Number for MaildirNumber {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        u32::from_parts(amount, negative).map(Self::new)
    }
}

impl Number for RulesDigest {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        u32::from_parts(amount, negative).map(Self::new)
    }
}

impl Number for TrustedTime {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        u64::from_parts(amount, negative).map(Self::of_record)
    }
}

impl Number for i64 {
    fn from_parts(amount: u64, negative: bool) -> Option<Self> {
        if negative { 0_i64.checked_sub_unsigned(amount) } else { amount.try_into().ok() }
    }
}

fn hex(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(field).ok()?, 16).ok()
}

fn number<T: Number>(field: &[u8]) -> Option<T> {
    let (digits, negative) = match field {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    T::from_parts(decimal(digits)?, negative)
}

fn unescape(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', field).is_none() {
        return Some(Cow::Borrowed(field));
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (char::from(*rest.next()?), char::from(*rest.next()?));
        bytes.push(u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()?);
    }
    Some(Cow::Owned(bytes))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
