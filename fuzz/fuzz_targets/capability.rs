//! Capabilities: any lines are read, bounded and text::value, and reading what was kept gives the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mailferry::pop3::{Capabilities, Mechanism, limits};

fuzz_target!(|answer: &[u8]| {
    let mut capabilities = Capabilities::new();
    for line in answer.split(|&octet| octet == b'\n') {
        capabilities.add_line(line);
    }
    assert!(capabilities.lines().count() <= limits::CAPABILITY_LINES);
    assert!(capabilities.lines().map(str::len).sum::<usize>() <= limits::CAPABILITIES_KEPT);
    assert!(capabilities.lines().all(|line| !line.is_empty() && !line.contains(char::is_control)));

    let mut again = Capabilities::new();
    for line in capabilities.lines() {
        again.add_line(line.as_bytes());
    }
    assert_eq!(again, capabilities);

    let plain = capabilities.sasl_names().any(|name| name.eq_ignore_ascii_case("PLAIN"));
    assert_eq!(capabilities.sasl(Mechanism::Plain), plain);
    let _ = (capabilities.utf8(), capabilities.login_delay());
});
