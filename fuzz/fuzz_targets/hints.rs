//! The file of hints: whatever stands in it is read or counts as nothing, what is read is written the same again, and
//! whatever it says of times makes a standing.

#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mailferry::account::AccountName;
use mailferry::account_record::Standing;
use mailferry::clock::trusted_time::ClockReading;
use mailferry::disk::RealDisk;
use mailferry::state::hints::{Hints, HintsFile};

thread_local! {
    /// A directory of this process, in memory where the system has that.
    static DIRECTORY: OnceCell<PathBuf> = const { OnceCell::new() };
}

fn directory() -> PathBuf {
    let make = || {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let own = base.join(format!("mailferry-fuzz-hints-{}", std::process::id()));
        std::fs::create_dir_all(&own).expect("a directory for the file");
        own
    };
    DIRECTORY.with(|directory| directory.get_or_init(make).clone())
}

fuzz_target!(|input: &[u8]| {
    let directory = directory();
    let Ok(account) = AccountName::new("fuzz") else { return };
    std::fs::write(directory.join("fuzz.hints"), input).expect("the file is written");
    let hints = HintsFile::read(&RealDisk, &directory, &account).hints;

    if let Some(saved) = &hints.standing {
        for (now, wall, boot, since_boot) in [(0, 0, 0, 0), (1_000, i64::MAX, 1, 1_000), (u64::MAX, i64::MIN, 0, u64::MAX)]
        {
            let (now, clock) = (Duration::from_secs(now), ClockReading { wall, boot, since_boot });
            let standing = Standing::restore(saved, now, clock);
            let again = standing.save(saved.files(), now, clock);
            let _ = (again.says_the_same(saved), again.digest(), Standing::restore(&again, now, clock));
        }
    }
    if let Some(server) = &hints.server {
        let _ = (server.one_at_a_time(u64::MAX), server.needs_classical(0), server.failed_logins(u64::MAX).count());
    }

    if hints == Hints::default() {
        return;
    }
    std::fs::write(directory.join("fuzz.hints"), b"").expect("the file is written");
    let mut file = HintsFile::read(&RealDisk, &directory, &account);
    file.hints = hints.clone();
    file.write(&RealDisk).expect("what was read is written");
    assert_eq!(HintsFile::read(&RealDisk, &directory, &account).hints, hints);
});
