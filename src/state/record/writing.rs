//! Writes records. A delivery takes a line of some 200 octets, so each kind of field is written directly, without the
//! standard library's formatting.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::clock::trusted_time::TrustedTime;
use crate::ids::{EntryId, InstanceId, MaildirId, MaildirNumber, RulesDigest};
use crate::message::Digest;
use crate::pop3::ReportedSize;
use crate::state::entry::{Entry, Identity, KnownMaildir, ListedAs, Origin};

/// Appends fields to a line.
pub(super) struct Fields<'a> {
    line: &'a mut Vec<u8>,
}

impl<'a> Fields<'a> {
    /// Appends to this line.
    pub(super) fn of(line: &'a mut Vec<u8>) -> Self {
        Self { line }
    }

    pub(super) fn letter(&mut self, letter: char) -> &mut Self {
        letter.write(self.line);
        self
    }

    /// Writes a line that is kept as it was read.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.line.extend_from_slice(line);
    }

    /// Writes a record that consists of ids only.
    pub(super) fn only_ids(&mut self, letter: char, ids: &[EntryId]) {
        self.letter(letter).ids(ids);
    }

    pub(super) fn header(&mut self, identity: &Identity) {
        self.letter('H').plain(identity.instance).plain(identity.created);
        self.text(identity.host.as_bytes()).text(identity.user.as_bytes());
    }

    pub(super) fn maildir(&mut self, number: MaildirNumber, maildir: &KnownMaildir) {
        let MaildirId { tmp_inode, new_inode, marker, created } = maildir.id;
        self.letter('M').plain(number).plain(tmp_inode).plain(new_inode);
        self.path(&maildir.resolved).path(&maildir.configured);
        match marker {
            Some(marker) => _ = self.hex(marker),
            None if created.is_some() => _ = self.plain('-'),
            None => {}
        }
        if let Some(created) = created {
            self.plain(created);
        }
    }

    /// Writes a field that needs no escapes.
    pub(super) fn plain(&mut self, field: impl Plain) -> &mut Self {
        self.line.push(b' ');
        field.write(self.line);
        self
    }

    pub(super) fn hex(&mut self, number: u64) -> &mut Self {
        self.plain(InstanceId::new(number))
    }

    pub(super) fn optional(&mut self, value: Option<impl Plain>) -> &mut Self {
        match value {
            Some(value) => self.plain(value),
            None => self.plain('-'),
        }
    }

    pub(super) fn text(&mut self, bytes: &[u8]) -> &mut Self {
        self.line.push(b' ');
        if bytes == b"-" {
            self.line.extend_from_slice(b"%2D");
        } else if bytes.iter().all(|byte| is_plain(*byte)) {
            self.line.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| self.escaped(*byte));
        }
        self
    }

    fn escaped(&mut self, byte: u8) {
        match is_plain(byte) {
            true => self.line.push(byte),
            false => {
                let digits =
                    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'A' - 10 + digit });
                self.line.push(b'%');
                self.line.extend_from_slice(&digits);
            }
        }
    }

    pub(super) fn path(&mut self, path: &Path) -> &mut Self {
        self.text(path.as_os_str().as_bytes())
    }

    /// Writes a unique-id, and the size if it is known.
    pub(super) fn listed_as(&mut self, listed_as: &ListedAs) {
        self.text(listed_as.unique_id.as_bytes());
        if let Some(size) = listed_as.reported_size {
            self.plain(size);
        }
    }

    /// Writes a record that consists only of how a message is listed.
    pub(super) fn only_listed_as(&mut self, letter: char, listed_as: &ListedAs) {
        self.letter(letter).listed_as(listed_as);
    }

    /// Writes a record that consists of one id or none.
    pub(super) fn only_optional(&mut self, letter: char, id: Option<EntryId>) {
        self.letter(letter).optional(id);
    }

    /// Writes a record that consists of an entry and Maildirs; a `-` for none.
    pub(super) fn maildirs(&mut self, letter: char, id: EntryId, maildirs: &[MaildirNumber]) {
        let numbers: Vec<EntryId> = maildirs.iter().map(|number| EntryId::new(u64::from(number.get()))).collect();
        let out = self.letter(letter).plain(id);
        if numbers.is_empty() {
            out.plain('-')
        } else {
            out.ids(&numbers)
        };
    }

    /// Writes ids, runs as `3-7`, joined by commas.
    pub(super) fn ids(&mut self, ids: &[EntryId]) -> &mut Self {
        let mut before = b' ';
        for run in ids.chunk_by(|a, b| a < b && a.next() == *b) {
            let [first, rest @ ..] = run else { continue };
            self.line.push(before);
            first.write(self.line);
            if let Some(last) = rest.last() {
                self.line.push(b'-');
                last.write(self.line);
            }
            before = b',';
        }
        if before == b' ' {
            self.line.push(before);
        }
        self
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        let origin = match entry.origin {
            Origin::Delivered => 'd',
            Origin::Imported => 'i',
            Origin::Adopted => 'a',
            Origin::Trusted => 't',
        };
        let removed = match (entry.removed, entry.doubt) {
            (true, _) => "removed",
            (false, true) => "doubt",
            (false, false) => "-",
        };
        let fingerprint = entry.fingerprint;
        self.letter('E').plain(entry.id).plain(origin);
        self.optional(fingerprint.reported_size).optional(fingerprint.header).optional(fingerprint.whole);
        self.plain(entry.delivered_at).plain(entry.delivered_trusted);
        self.plain(removed).optional(entry.absent_since);
        match &entry.unique_id {
            Some(unique_id) => self.text(unique_id.as_bytes()),
            None => self.plain('-'),
        };
        if let Some(intent) = &entry.intent {
            self.plain(intent.maildir).text(intent.file_name.as_bytes());
        }
    }
}

/// Whether an octet is written as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'%'
}

/// A value whose text needs no escapes.
pub(super) trait Plain {
    /// Appends it.
    fn write(&self, line: &mut Vec<u8>);
}

impl Plain for char {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

impl Plain for &str {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.as_bytes());
    }
}

impl Plain for u64 {
    fn write(&self, line: &mut Vec<u8>) {
        // 2^64 has 20 digits.
        let mut digits = [b'0'; 20];
        let (mut left, mut count) = (*self, 0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            (left, count) = (left / 10, count + 1);
            if left == 0 {
                break;
            }
        }
        line.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
    }
}

impl Plain for u32 {
    fn write(&self, line: &mut Vec<u8>) {
        u64::from(*self).write(line);
    }
}

impl Plain for u16 {
    fn write(&self, line: &mut Vec<u8>) {
        u64::from(*self).write(line);
    }
}

impl Plain for i64 {
    fn write(&self, line: &mut Vec<u8>) {
        if *self < 0 {
            line.push(b'-');
        }
        self.unsigned_abs().write(line);
    }
}

impl Plain for TrustedTime {
    fn write(&self, line: &mut Vec<u8>) {
        self.seconds().write(line);
    }
}

impl Plain for EntryId {
    fn write(&self, line: &mut Vec<u8>) {
        self.get().write(line);
    }
}

impl Plain for ReportedSize {
    fn write(&self, line: &mut Vec<u8>) {
        self.get().write(line);
    }
}

impl Plain for MaildirNumber {
    fn write(&self, line: &mut Vec<u8>) {
        self.get().write(line);
    }
}

impl Plain for RulesDigest {
    fn write(&self, line: &mut Vec<u8>) {
        self.get().write(line);
    }
}

impl Plain for InstanceId {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(self.to_string().as_bytes());
    }
}

impl Plain for Digest {
    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.digits());
    }
}
