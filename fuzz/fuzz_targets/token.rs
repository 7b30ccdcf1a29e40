//! The file of a sign-in: whatever stands in it is read or refused, in words that do not quote it; what is read is
//! written the same again, and whatever it says of times can be judged.

#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mailferry::account::AccountName;
use mailferry::disk::RealDisk;
use mailferry::oauth::store;
use mailferry::oauth::tokens::JITTER;

thread_local! {
    /// A directory of this process, in memory where the system has that.
    static DIRECTORY: OnceCell<PathBuf> = const { OnceCell::new() };
}

fn directory() -> PathBuf {
    let make = || {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let own = base.join(format!("mailferry-fuzz-token-{}", std::process::id()));
        std::fs::create_dir_all(&own).expect("a directory for the file");
        own
    };
    DIRECTORY.with(|directory| directory.get_or_init(make).clone())
}

/// Longer files may become too long by being written again.
const LONGEST: usize = 16 * 1024;

fuzz_target!(|input: &[u8]| {
    let directory = directory();
    let Ok(account) = AccountName::new("fuzz") else { return };
    if input.len() > LONGEST {
        return;
    }
    std::fs::write(store::path(&directory, &account), input).expect("the file is written");
    let tokens = match store::read(&RealDisk, &directory, &account) {
        Ok(tokens) => tokens.expect("the file is there"),
        Err(e) => {
            let told = e.to_string();
            if let Some(before) = told.strip_suffix(" was written by a newer mailferry") {
                assert!(before.ends_with("fuzz.token"), "{told}");
                return;
            }
            let (before, line) = told.rsplit_once(" is damaged in line ").expect("it says where");
            assert!(before.ends_with("fuzz.token") && line.parse::<usize>().is_ok(), "{told}");
            return;
        }
    };
    for now in [i64::MIN, 0, tokens.renewed, i64::MAX] {
        let _ = (tokens.left(now), tokens.times().last_days(now));
        for refused in [None, Some(&tokens.access)] {
            let _ = (tokens.judge(now, 0, refused), tokens.judge(now, JITTER, refused));
        }
    }
    store::write(&RealDisk, &directory, &account, &tokens).expect("what was read is written");
    assert_eq!(store::read(&RealDisk, &directory, &account).expect("and read again"), Some(tokens));
});
