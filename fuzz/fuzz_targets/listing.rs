//! The lines of STAT, LIST and UIDL: any octets are read or refused, and what is read is sound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mailferry::pop3::{DropListing, ScanListing, UniqueId, UniqueIdListing};

fuzz_target!(|line: &[u8]| {
    match UniqueIdListing::parse(line) {
        Ok(listing) => {
            let octets = listing.unique_id.as_bytes();
            assert_eq!(UniqueId::new(octets).as_ref(), Ok(&listing.unique_id));
            let shown = listing.unique_id.to_string();
            assert!(shown.bytes().all(|octet| matches!(octet, b' '..=b'~')));
            // Read again from its plainest form, it is the same.
            let again = [listing.number.to_string().as_bytes(), b" ", octets].concat();
            assert_eq!(UniqueIdListing::parse(&again), Ok(listing));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    match ScanListing::parse(line) {
        Ok(listing) => {
            let again = format!("{} {}", listing.number, listing.reported_size.get());
            assert_eq!(ScanListing::parse(again.as_bytes()), Ok(listing));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    if let Ok(listing) = DropListing::parse(&String::from_utf8_lossy(line)) {
        let again = format!("{} {}", listing.count, listing.reported_size.get());
        assert_eq!(DropListing::parse(&again), Ok(listing));
    }
});
