use super::*;
use crate::maildir::names::UniqueIdHash;
use crate::message::{StoredSize, WireSize};
use crate::pop3::{ReportedSize, UniqueId};

fn seen(header: &[u8]) -> SeenHeader {
    SeenHeader::of(header, &Searched::named("/mail".into(), Vec::new()))
}

const HEADER: &str = "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: alarm\r\n\r\n";

fn listed(reported_size: u64) -> Listed {
    Listed {
        number: MessageNumber::new(1).unwrap(),
        unique_id: UniqueId::new(b"1").ok(),
        reported_size: Some(ReportedSize::new(reported_size)),
    }
}

/// A file with this header and a body of this many lines with three octets each.
fn file(header: &str, lines: u64, unique_id_hash: Option<UniqueIdHash>) -> Stored {
    let octets = u64::try_from(header.len()).unwrap();
    Stored {
        instance: None,
        unique_id_hash,
        header: seen(header.as_bytes()).digest,
        whole: seen(b"Date: x").digest,
        size_on_wire: WireSize::new(octets + lines * 3),
        body: BodySize { on_wire: WireSize::new(lines * 3), stored: StoredSize::new(lines * 2) },
    }
}

#[test]
fn a_file_with_the_unique_id_and_the_size_needs_the_header_as_well() {
    let size = u64::try_from(HEADER.len()).unwrap() + 3;
    let named = || Files::new(vec![file(HEADER, 1, Some(UniqueIdHash::of(&UniqueId::new(b"1").unwrap())))]);
    let digest = |header: &str| seen(header.as_bytes()).digest;
    assert!(named().take_by_name(&listed(size), digest(HEADER)).is_some());
    assert!(named().take_by_name(&listed(size + 1), digest(HEADER)).is_none());
    assert!(named().take_by_name(&listed(size), digest(&HEADER.replace("alarm", "other"))).is_none());
}

#[test]
fn a_file_with_the_header_needs_a_body_of_the_size_whatever_was_added_to_the_header() {
    let added = format!("X-Added: by another program\r\n{HEADER}");
    let octets = u64::try_from(HEADER.len()).unwrap();
    let shown = seen(HEADER.as_bytes());
    let found = |size: u64, stored: Stored| {
        let body = shown.body_of(&listed(size)).unwrap();
        Files::new(vec![stored]).take_by_header(&(shown.digest, body)).is_some()
    };
    // With CRLF, and as servers count that take LF alone for a line's end.
    for size in [octets + 6, octets - 3 + 4] {
        for (header, lines, expected) in
            [(HEADER, 2, true), (added.as_str(), 2, true), (HEADER, 3, false), (HEADER, 1, false)]
        {
            assert_eq!(found(size, file(header, lines, None)), expected, "{size} {lines}");
        }
    }
    assert!(shown.body_of(&listed(0)).is_none() && shown.body_of(&listed(9)).is_none(), "such sizes say nothing");
    let short = seen(HEADER.trim_end_matches("\r\n").as_bytes());
    assert!(short.octets <= shown.octets);
}
