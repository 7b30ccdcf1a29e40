//! Reaps orphans of the user's commands if they are reparented to this process: as PID 1 of a container, or as a
//! subreaper (prctl(2)). Otherwise the system's PID 1 does that.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, child_subreaper, getpid, waitpid};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

/// How often to look.
const LOOK: Duration = Duration::from_secs(5);

/// A zombie that was seen this many times in a row is an orphan: our own children are waited for within milliseconds.
const LOOKS: u32 = 3;

/// Starts to look for orphans if any are reparented to this process. Needs `/proc`.
pub(super) fn reap() {
    let comes_to_us = getpid().is_init() || child_subreaper().is_ok_and(|set| set.is_some());
    if !comes_to_us {
        return;
    }
    tokio::spawn(async {
        let mut seen = HashMap::new();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            seen = look(&seen);
        }
    });
}

/// Reaps what was seen often enough. Returns the remaining zombies and how often each was seen.
fn look(seen: &HashMap<Pid, u32>) -> HashMap<Pid, u32> {
    let mut now = HashMap::new();
    for pid in ended_children() {
        let times = seen.get(&pid).copied().unwrap_or(0) + 1;
        if times < LOOKS {
            now.insert(pid, times);
        } else if let Ok(Some(_)) = waitpid(Some(pid), WaitOptions::NOHANG) {
            debug!("reaped process {pid}, which a command left behind");
        }
    }
    now
}

/// Returns the zombies among the children of this process.
fn ended_children() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ours = getpid();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    let stat = |pid: &Pid| fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    pids.filter(|pid| is_ended_child_of(&stat(pid), ours)).collect()
}

/// Whether a `/proc/PID/stat` is that of a zombie child of `parent`.
fn is_ended_child_of(stat: &str, parent: Pid) -> bool {
    // The name before the state is in parentheses, and may contain any characters.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let (state, its_parent) = (fields.next(), fields.next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw));
    state == Some("Z") && its_parent == Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ended_children_of_ours_are_reaped() {
        let us = Pid::from_raw(1).unwrap();
        assert!(is_ended_child_of("7 (sh) Z 1 7 7 0 -1 4227084", us));
        assert!(is_ended_child_of("7 (odd) S 2) Z 1 7 7", us));
        for other in ["7 (sh) S 1 7 7", "7 (sh) Z 2 7 7", "7 (sh", "", "7 (sh) Z"] {
            assert!(!is_ended_child_of(other, us), "{other:?}");
        }
    }

    #[test]
    fn what_is_seen_once_or_twice_may_be_waited_for_by_somebody_else() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        while !ended_children().contains(&pid) {
            std::thread::sleep(Duration::from_millis(5)); // how often to check; nothing depends on it
        }
        // The children of other tests are left alone.
        let only = |seen: HashMap<Pid, u32>| -> HashMap<Pid, u32> {
            seen.into_iter().filter(|(one, _)| *one == pid).collect()
        };
        let once = only(look(&HashMap::new()));
        let twice = only(look(&once));
        assert_eq!((once, &twice), (HashMap::from([(pid, 1)]), &HashMap::from([(pid, 2)])));
        assert!(ended_children().contains(&pid));
        look(&twice);
        assert!(child.wait().is_err(), "nobody hears of it any more");
    }
}
