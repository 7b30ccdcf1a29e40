//! The names of delivered files. PURE: the time is passed in.
//!
//! `1764000000.M123456P4242Q7_mf-<instance>-<hash>.host,S=1234`: the time, a unique middle part (microseconds, process
//! id, a counter; the instance id of the state that delivered the file; a hash of the unique-id), the host and the
//! size, as Maildir readers expect (maildir(5), and `,S=` of Maildir++). In `tmp/` the file has the same name without
//! the size, which is not known yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ids::InstanceId;
use crate::message::StoredSize;
use crate::pop3::UniqueId;

/// Marks a name as made by mailferry.
const MARK: &str = "_mf-";

/// Marks the size at the end of a name.
const SIZE: &str = ",S=";

/// A name in `tmp/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpName(String);

/// Makes names that are unique among all deliveries.
#[derive(Debug)]
pub struct NameSource {
    /// The process id.
    pid: u32,
    /// The host name, made safe for a file name.
    host: String,
    /// The number of names made by this process.
    counter: AtomicU64,
}

impl NameSource {
    /// A source for this process on this host, whatever its name consists of.
    #[must_use]
    pub fn new(pid: u32, host: &[u8]) -> Self {
        Self { pid, host: host_in_a_name(host), counter: AtomicU64::new(0) }
    }

    /// Returns the next name, for a message delivered by the state `instance`. `now` is the time since 1970.
    pub fn next(&self, now: Duration, instance: InstanceId, unique_id: Option<&UniqueId>) -> TmpName {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let hash = unique_id.map_or(0, |unique_id| UniqueIdHash::of(unique_id).0);
        let (pid, host) = (self.pid, &self.host);
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        TmpName(format!("{seconds}.M{micros}P{pid}Q{count}{MARK}{instance}-{hash:08x}.{host}"))
    }
}

impl TmpName {
    /// The name in `tmp/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in `new/`, for a file of this size.
    #[must_use]
    pub fn published(&self, size: StoredSize) -> String {
        format!("{}{SIZE}{}", self.0, size.get())
    }

    /// Returns the name in `tmp/` of the file that has or will have this name in `new/`.
    #[must_use]
    pub fn of_published(name: &str) -> Self {
        Self(name.rsplit_once(SIZE).map_or(name, |(stem, _)| stem).to_owned())
    }
}

/// Returns the instance id in a name, wherever the file is now and whatever flags it has got. None if mailferry did not
/// make the name.
#[must_use]
pub fn instance_of(name: &[u8]) -> Option<InstanceId> {
    let at = memchr::memmem::find(name, MARK.as_bytes())? + MARK.len();
    let digits = name.get(at..at.checked_add(16)?)?;
    if name.get(at + 16) != Some(&b'-') {
        return None;
    }
    InstanceId::parse(digits)
}

/// Returns the hash of the unique-id in a name of ours; None for another name, or if the message had no unique-id.
#[must_use]
pub fn unique_id_hash_of(name: &[u8]) -> Option<UniqueIdHash> {
    instance_of(name)?;
    let at = memchr::memmem::find(name, MARK.as_bytes())? + MARK.len() + 17;
    let digits = std::str::from_utf8(name.get(at..at.checked_add(8)?)?).ok()?;
    u32::from_str_radix(digits, 16).ok().filter(|hash| *hash != 0).map(UniqueIdHash)
}

/// The hash of a unique-id, as it is in the name of a file. A hint: hashes may collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UniqueIdHash(u32);

impl UniqueIdHash {
    /// Hashes a unique-id.
    #[must_use]
    pub fn of(unique_id: &UniqueId) -> Self {
        Self(crc32fast::hash(unique_id.as_bytes()))
    }
}

/// Returns the time since 1970 in a name of ours; None if there is none.
#[must_use]
pub fn time_in(name: &str) -> Option<Duration> {
    let (seconds, rest) = name.split_once(".M")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_secs(seconds.parse().ok()?).saturating_add(Duration::from_micros(digits.parse().ok()?)))
}

/// Strips the flags that a mail reader may have added after a colon from a name in `new/` or `cur/`.
#[must_use]
pub fn without_flags(name: &[u8]) -> &[u8] {
    name.split(|c| *c == b':').next().unwrap_or(name)
}

/// Escapes slashes and colons as in maildir(5), and replaces other unsuitable characters by underscores.
fn host_in_a_name(host: &[u8]) -> String {
    let mut name = String::new();
    for &byte in host.iter().take(64) {
        match byte {
            b'/' => name.push_str("\\057"),
            b':' => name.push_str("\\072"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push('_'),
        }
    }
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: InstanceId = InstanceId::new(0xabcd);

    fn name(host: &[u8]) -> TmpName {
        let id = UniqueId::new(b"uid/with : odd,S=1 things").unwrap();
        NameSource::new(42, host).next(Duration::from_micros(1_500_000), OURS, Some(&id))
    }

    #[test]
    fn odd_host_names_make_good_file_names() {
        for host in [&b""[..], b"a/b:c,S=5", b"\xff\n ", b"..", &[b'x'; 300]] {
            let published = name(host).published(StoredSize::new(17));
            assert!(published.len() < 200, "{published}");
            assert!(published.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':'), "{published}");
            assert!(published.ends_with(",S=17"));
            assert_eq!(TmpName::of_published(&published), name(host));
        }
        assert!(name(b"a/b:c").as_str().ends_with(".a\\057b\\072c"));
    }

    #[test]
    fn two_names_differ() {
        let source = NameSource::new(1, b"h");
        assert_ne!(source.next(Duration::ZERO, OURS, None), source.next(Duration::ZERO, OURS, None));
    }

    #[test]
    fn our_names_are_recognised_with_their_instance() {
        let published = name(b"h").published(StoredSize::new(3));
        assert_eq!(instance_of(published.as_bytes()), Some(OURS));
        assert_eq!(time_in(&published), Some(Duration::from_micros(1_500_000)));
        assert_eq!((time_in("1.M"), time_in("x.M1P2"), time_in("1_mf-")), (None, None, None));
        let id = UniqueId::new(b"uid/with : odd,S=1 things").unwrap();
        assert_eq!(unique_id_hash_of(published.as_bytes()), Some(UniqueIdHash::of(&id)));
        assert_eq!(unique_id_hash_of(b"1_mf-000000000000abcd-00000000.h"), None);
        assert_eq!(unique_id_hash_of(b"1_mf-000000000000abcd-12"), None);
        assert_eq!(instance_of(format!("{published}:2,RS").as_bytes()), Some(OURS));
        for other in ["", "1.M2P3.host,S=4", "1_mf-", "1_mf-000000000000abcd", "1_mf-000000000000zzzz-1.h"] {
            assert_eq!(instance_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn flags_of_a_mail_reader_do_not_hide_a_file() {
        assert_eq!(without_flags(b"a,S=1"), b"a,S=1");
        assert_eq!(without_flags(b"a,S=1:2,S"), b"a,S=1");
    }
}
