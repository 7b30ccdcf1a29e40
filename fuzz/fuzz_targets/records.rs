//! A line of the state: whatever stands in it is read or refused, and what is read is written the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mailferry::state::record::Record;

fuzz_target!(|input: &[u8]| {
    let line = input.split(|&octet| octet == b'\n').next().unwrap_or_default();
    let Ok(record) = Record::parse(line) else { return };
    let mut written = Vec::new();
    record.write(&mut written);
    assert!(!written.contains(&b'\n'), "a record is one line");
    assert_eq!(Record::parse(&written), Ok(record));
});
