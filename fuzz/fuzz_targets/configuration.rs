//! The configuration: whatever stands in the file, it is read or every problem is told; and a password is never shown.
//!
//! A NUL in the input is the place where a line with a password is put.

#![no_main]

use std::cell::OnceCell;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mailferry::config::{self, Environment};

/// Nobody writes this by chance.
const SECRET: &str = "Zq7-xVw-93k";

thread_local! {
    /// A file of this process, in memory where the system has that.
    static FILE: OnceCell<PathBuf> = const { OnceCell::new() };
}

fn file() -> PathBuf {
    let make = || {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let own = base.join(format!("mailferry-fuzz-{}.toml", std::process::id()));
        std::fs::write(&own, b"").expect("the file is made");
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).expect("it is made private");
        own
    };
    FILE.with(|file| file.get_or_init(make).clone())
}

fuzz_target!(|input: &[u8]| {
    let password = format!("\npassword = \"{SECRET}\"\n");
    let text: Vec<u8> = match input.iter().position(|&octet| octet == 0) {
        Some(place) => [&input[..place], password.as_bytes(), &input[place + 1..]].concat(),
        None => input.to_vec(),
    };
    let file = file();
    std::fs::write(&file, &text).expect("the file is written");
    let env = Environment { home: Some("/home/jo".into()), ..Environment::default() };
    match config::load(&file, &env) {
        Ok(config) => {
            assert!(config.warnings.iter().all(|warning| !warning.contains(SECRET)));
            assert!(!format!("{config:?}").contains(SECRET), "a secret is not printed");
        }
        Err(error) => {
            assert!(error.count() > 0);
            let shown = error.render(false);
            assert!(!shown.contains(SECRET), "a password is shown:\n{shown}");
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "a control character is shown:\n{shown:?}");
        }
    }
});
