//! The user's time zone.
//!
//! Without $TZ the system's file is read directly. jiff would look up the zone's name and list all zones of the system
//! for that: a fifteenth of the CPU time of a poll with a few messages, for a name that nothing here needs.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

/// The system's file with its own time zone.
const OF_SYSTEM: &str = "/etc/localtime";

/// How long a time zone is used before looking for a change.
const KEPT: Duration = Duration::from_secs(300);

/// Returns the user's time zone.
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

/// Reads a time zone from a file (RFC 9636). None if it has none.
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
        // An hour ahead of UTC and nothing else: a header, one type of local time with its name, and the rule in the
        // footer.
        let head = |version: u8| [b"TZif", &[version][..], &[0; 31], &[0, 0, 0, 1, 0, 0, 0, 4]].concat();
        let data = [0, 0, 0x0e, 0x10, 0, 0, b'C', b'E', b'T', 0];
        let file = [&head(b'2')[..], &data, &head(b'2')[..], &data, b"\nCET-1\n"].concat();
        std::fs::write(&path, file).unwrap();
        let shown = Timestamp::UNIX_EPOCH.to_zoned_datetime(in_file(&path).unwrap()).strftime("%T%:z").to_string();
        assert_eq!(shown, "01:00:00+01:00");
    }
}
