//! Finds the process that holds a lock in `/proc/locks`. For people only: whether a lock is held is decided by taking
//! it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Our commands that hold a lock whose file does not say who holds it.
const COMMANDS: [&str; 3] = ["fetch", "forward", "daemon"];

/// Returns the process that holds the lock of this file, as `process 16437 (mailferry fetch)`.
pub(super) fn of(path: &Path) -> Option<String> {
    let inode = fs::metadata(path).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| pid(line, inode))?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = words.split(|octet| *octet == 0).find_map(|word| COMMANDS.iter().find(|one| one.as_bytes() == word));
    Some(command.map_or_else(|| format!("process {pid}"), |command| format!("process {pid} (mailferry {command})")))
}

/// Returns who holds the lock of this inode, if the line is about it. A line of `/proc/locks` looks like
/// `1: FLOCK  ADVISORY  WRITE 16437 08:01:1234 0 EOF`.
fn pid(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let kind = words.next()?;
    // A holder in another PID namespace has no pid here.
    let pid = words.nth(2)?.parse().ok().filter(|pid| *pid > 0)?;
    let place = words.next()?.rsplit_once(':')?.1;
    (kind == "FLOCK" && place.parse() == Ok(inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk as _, RealDisk};

    #[test]
    fn the_holder_of_a_lock_is_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut file = RealDisk.create(&path).unwrap();
        assert_eq!(of(&path), None);
        assert!(file.try_lock().unwrap());
        let held = of(&path).unwrap();
        assert!(held.starts_with(&format!("process {}", std::process::id())), "{held}");
        assert_eq!(of(&dir.path().join("none")), None);
    }

    #[test]
    fn only_a_lock_that_is_held_has_a_holder() {
        assert_eq!(pid("1: FLOCK  ADVISORY  WRITE 16437 08:01:1234 0 EOF", 1234), Some(16437));
        for other in [
            "1: FLOCK  ADVISORY  WRITE 16437 08:01:12345 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 16437 08:01:1234 0 EOF",
            "1: POSIX  ADVISORY  WRITE 16437 08:01:1234 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:01:1234 0 EOF",
            "",
        ] {
            assert_eq!(pid(other, 1234), None, "{other}");
        }
    }
}
