//! The user's time zone.
//!
//! Without $TZ that is the file of the system, which is read as it is. jiff would find out what the zone is called, and for
//! that list all zones of the system: in a poll that brings a few messages that is a fifteenth of the CPU time, and nobody
//! here asks for a name.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

/// Where a system says which zone is its own.
const OF_SYSTEM: &str = "/etc/localtime";

/// For so long it is not looked whether that has changed.
const KEPT: Duration = Duration::from_secs(300);

/// The user's time zone.
pub(crate) fn of_user() -> TimeZone {
    static KNOWN: Mutex<Option<(Instant, TimeZone)>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, zone)) = known.as_ref().filter(|(read, _)| read.elapsed() < KEPT) {
        return zone.clone();
    }
    let of_system = || in_file(Path::new(OF_SYSTEM));
    let zone = if std::env::var_os("TZ").is_none() { of_system() } else { None };
    let zone = zone.unwrap_or_else(TimeZone::system);
    *known = Some((Instant::now(), zone.clone()));
    zone
}

/// That of a file (RFC 9636). None, if it is none.
fn in_file(path: &Path) -> Option<TimeZone> {
    TimeZone::tzif("local", &std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn it_is_the_one_that_jiff_finds() {
        for month in 0..24 {
            let time = Timestamp::from_second(1_750_000_000 + month * 30 * 86_400).unwrap();
            let shown = |zone: TimeZone| time.to_zoned_datetime(zone).strftime("%FT%T%:z").to_string();
            assert_eq!(shown(of_user()), shown(TimeZone::system()));
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_from_one_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zone");
        assert!(in_file(&path).is_none());
        std::fs::write(&path, "Europe/Berlin").unwrap();
        assert!(in_file(&path).is_none());
        // An hour ahead of UTC, and no more is said: a header, one type of local time with its name, and the rule behind all.
        let head = |version: u8| [b"TZif", &[version][..], &[0; 31], &[0, 0, 0, 1, 0, 0, 0, 4]].concat();
        let data = [0, 0, 0x0e, 0x10, 0, 0, b'C', b'E', b'T', 0];
        let file = [&head(b'2')[..], &data, &head(b'2')[..], &data, b"\nCET-1\n"].concat();
        std::fs::write(&path, file).unwrap();
        let shown = Timestamp::UNIX_EPOCH.to_zoned_datetime(in_file(&path).unwrap()).strftime("%T%:z").to_string();
        assert_eq!(shown, "01:00:00+01:00");
    }
}
