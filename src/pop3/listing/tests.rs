use super::*;

fn number(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

fn unique_id_of(line: &[u8]) -> (u32, Vec<u8>) {
    let listing = UniqueIdListing::parse(line).unwrap();
    (listing.number.get(), listing.unique_id.as_bytes().to_vec())
}

#[test]
fn reads_a_unique_id_listing() {
    assert_eq!(unique_id_of(b"1 whqtswO00WBw418f9t5JxYwZ"), (1, b"whqtswO00WBw418f9t5JxYwZ".to_vec()));
}

#[test]
fn takes_several_blanks_before_the_unique_id() {
    assert_eq!(unique_id_of(b"7   \t abc"), (7, b"abc".to_vec()));
    assert_eq!(unique_id_of(b"  7 abc"), (7, b"abc".to_vec()));
}

#[test]
fn passes_over_an_ok_in_front_of_each_line() {
    assert_eq!(unique_id_of(b"+OK 1 2"), (1, b"2".to_vec()));
    assert_eq!(unique_id_of(b"+ok  12   xyz"), (12, b"xyz".to_vec()));
}

#[test]
fn keeps_blanks_inside_and_cuts_blanks_at_the_end() {
    assert_eq!(unique_id_of(b"3 a b  c \t "), (3, b"a b  c".to_vec()));
}

#[test]
fn takes_the_unique_ids_of_real_servers() {
    let long = [b"9 ".as_slice(), &[b'x'; 1000]].concat();
    assert_eq!(unique_id_of(&long).1.len(), 1000);
    assert_eq!(unique_id_of(b"9 UID1-1096547345/\xe4\\").1, b"UID1-1096547345/\xe4\\");
    assert_eq!(unique_id_of(b"2 2"), (2, b"2".to_vec()));
}

#[test]
fn refuses_a_unique_id_listing_without_a_number_or_a_unique_id() {
    for line in [b"".as_slice(), b"abc def", b"0 abc", b"-1 abc", b"4294967296 abc", b"+OK", b"99999999999999999999 a"]
    {
        assert!(matches!(UniqueIdListing::parse(line), Err(ListingError::Number { .. })), "{line:?}");
    }
    for line in [b"1".as_slice(), b"1 ", b"1 a\0b", b"1 a\rb", b"1 a\r"] {
        assert!(matches!(UniqueIdListing::parse(line), Err(ListingError::UniqueId { .. })), "{line:?}");
    }
}

#[test]
fn holds_a_unique_id_to_its_limits() {
    assert_eq!(UniqueId::new(b""), Err(InvalidUniqueId::Empty));
    assert_eq!(UniqueId::new(b"a\nb"), Err(InvalidUniqueId::Forbidden { octet: b'\n' }));
    assert!(UniqueId::new(&[b'x'; 1024]).is_ok());
    assert_eq!(UniqueId::new(&[b'x'; 1025]), Err(InvalidUniqueId::TooLong { octets: 1025 }));
}

#[test]
fn shows_different_unique_ids_differently() {
    let shown = |octets: &[u8]| UniqueId::new(octets).unwrap().to_string();
    assert_eq!(shown(b"a/b \"c\" ~"), "a/b \"c\" ~");
    assert_eq!(shown(b"\x1b[2J\xff\x7f"), "\\x1b[2J\\xff\\x7f");
    assert_eq!(shown(b"\\x1b"), "\\\\x1b");
}

#[test]
fn reads_a_scan_listing() {
    assert_eq!(
        ScanListing::parse(b"1 120"),
        Ok(ScanListing { number: number(1), reported_size: ReportedSize::new(120) })
    );
    assert_eq!(
        ScanListing::parse(b"2  200  octets more"),
        Ok(ScanListing { number: number(2), reported_size: ReportedSize::new(200) })
    );
    assert_eq!(
        ScanListing::parse(b"+OK 2 0"),
        Ok(ScanListing { number: number(2), reported_size: ReportedSize::new(0) })
    );
}

#[test]
fn takes_sizes_of_more_than_32_bits() {
    assert_eq!(ScanListing::parse(b"1 4294967400").unwrap().reported_size.get(), 4_294_967_400);
    assert_eq!(ScanListing::parse(b"1 18446744073709551615").unwrap().reported_size.get(), u64::MAX);
}

#[test]
fn refuses_sizes_that_are_none() {
    for line in [b"1".as_slice(), b"1 ", b"1 -120", b"1 18446744073709551616", b"1 12octets", b"1 0x10", b"1 +5"] {
        assert!(matches!(ScanListing::parse(line), Err(ListingError::Size { .. })), "{line:?}");
    }
    assert!(matches!(ScanListing::parse(b"0 120"), Err(ListingError::Number { .. })));
}

#[test]
fn reads_a_drop_listing_and_passes_over_what_follows() {
    assert_eq!(DropListing::parse("2 320"), Ok(DropListing { count: 2, reported_size: ReportedSize::new(320) }));
    for empty in ["0 0", "0", " 0 "] {
        assert_eq!(DropListing::parse(empty), Ok(DropListing { count: 0, reported_size: ReportedSize::new(0) }));
    }
    assert_eq!(
        DropListing::parse(" 3   5000000000 octets in all"),
        Ok(DropListing { count: 3, reported_size: ReportedSize::new(5_000_000_000) })
    );
}

#[test]
fn refuses_a_drop_listing_that_counts_nothing() {
    for text in ["", "two 320", "-1 320", "4294967296 1"] {
        assert!(matches!(DropListing::parse(text), Err(ListingError::Count { .. })), "{text:?}");
    }
    for text in ["2", "2 -320", "2 messages"] {
        assert!(matches!(DropListing::parse(text), Err(ListingError::Size { .. })), "{text:?}");
    }
}

#[test]
fn escapes_the_line_in_the_error() {
    let error = ScanListing::parse(b"x\x1b[2J").unwrap_err().to_string();
    assert!(error.contains("\"x\\u{1b}[2J\"") && !error.contains('\x1b'), "{error}");
    let error = UniqueIdListing::parse(b"1 ").unwrap_err().to_string();
    assert!(error.contains("a unique-id cannot be empty"), "{error}");
}

#[test]
fn has_no_message_number_zero() {
    assert_eq!(MessageNumber::new(0), None);
    assert_eq!(number(5).to_string(), "5");
    assert!(number(5) < number(10));
}
