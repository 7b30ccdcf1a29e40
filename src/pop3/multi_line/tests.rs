use super::*;

/// A whole message, decoded in one go, and how much of the input it took.
fn message(line_end: LineEnd, input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = MultiLineDecoder::new(line_end);
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        match decoder.decode(&input[at..]) {
            Piece::NeedInput => return None,
            Piece::Content { consumed, range } => {
                content.extend_from_slice(&input[at..][range]);
                at += consumed;
            }
            Piece::End { consumed } => return Some((content, at + consumed)),
            other => panic!("{other:?} in a message"),
        }
    }
}

fn crlf(input: &[u8]) -> Vec<u8> {
    let (content, consumed) = message(LineEnd::CrLf, input).unwrap();
    assert_eq!(consumed, input.len());
    content
}

fn lf(input: &[u8]) -> Vec<u8> {
    let (content, consumed) = message(LineEnd::Lf, input).unwrap();
    assert_eq!(consumed, input.len());
    content
}

#[test]
fn ends_at_a_line_with_one_dot() {
    assert_eq!(crlf(b"a\r\nb\r\n.\r\n"), b"a\r\nb\r\n");
    assert_eq!(lf(b"a\nb\n.\n"), b"a\nb\n");
    assert_eq!(message(LineEnd::CrLf, b"a\r\n.\r\n+OK next\r\n"), Some((b"a\r\n".to_vec(), 6)));
}

#[test]
fn takes_an_empty_message() {
    assert_eq!(crlf(b".\r\n"), b"");
    assert_eq!(lf(b".\n"), b"");
    assert_eq!(lf(b".\r\n"), b"");
}

#[test]
fn takes_one_dot_off_and_no_more() {
    assert_eq!(crlf(b"..\r\n...\r\n..a\r\n.b\r\na.\r\n.\r\n"), b".\r\n..\r\n.a\r\nb\r\na.\r\n");
    assert_eq!(lf(b"..\n...\n..a\n.b\na.\n.\n"), b".\n..\n.a\nb\na.\n");
}

#[test]
fn does_not_take_a_bare_lf_for_a_line_end_where_lines_end_in_crlf() {
    assert_eq!(crlf(b"a\n.\nb\n..c\n.\r\nd\r\n.\r\n"), b"a\n.\nb\n..c\n.\r\nd\r\n");
    assert_eq!(crlf(b"a\r\n.\nb\r\n.\r\n"), b"a\r\n\nb\r\n");
}

#[test]
fn does_not_take_a_bare_cr_for_a_line_end() {
    assert_eq!(crlf(b"a\r.\rb\r\n.\r\n"), b"a\r.\rb\r\n");
    assert_eq!(crlf(b"a\r\n.\rb\r\n.\r\n"), b"a\r\n\rb\r\n");
    assert_eq!(crlf(b"a\r\r\n.\r\n"), b"a\r\r\n");
    assert_eq!(lf(b"a\r.\nb\n.\n"), b"a\r.\nb\n");
}

#[test]
fn passes_nul_and_8_bit_octets_untouched() {
    assert_eq!(crlf(b"\0\xff\r\n\0.\r\n.\r\n"), b"\0\xff\r\n\0.\r\n");
}

#[test]
fn keeps_a_cr_before_lf_as_content_where_lines_end_in_lf() {
    assert_eq!(lf(b"a\r\n..b\r\n.\r\n"), b"a\r\n.b\r\n");
}

#[test]
fn holds_back_only_what_it_cannot_decide_on() {
    for (line_end, undecided) in
        [(LineEnd::CrLf, b".".as_slice()), (LineEnd::CrLf, b".\r"), (LineEnd::Lf, b"."), (LineEnd::Lf, b".\r")]
    {
        assert_eq!(MultiLineDecoder::new(line_end).decode(undecided), Piece::NeedInput);
    }
    let whole = |length| Piece::Content { consumed: length, range: 0..length };
    assert_eq!(MultiLineDecoder::new(LineEnd::CrLf).decode(b"a\r"), whole(2));
    assert_eq!(MultiLineDecoder::new(LineEnd::CrLf).decode(b"a\r\n"), whole(3));
    assert_eq!(MultiLineDecoder::new(LineEnd::CrLf).decode(b"\r\n"), whole(2));
}

#[test]
fn remembers_a_cr_that_it_passed_on() {
    let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
    assert_eq!(decoder.decode(b"a\r"), Piece::Content { consumed: 2, range: 0..2 });
    assert_eq!(decoder.decode(b"\n.\r\n"), Piece::Content { consumed: 1, range: 0..1 });
    assert_eq!(decoder.decode(b".\r\n"), Piece::End { consumed: 3 });

    let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
    assert_eq!(decoder.decode(b"a\r"), Piece::Content { consumed: 2, range: 0..2 });
    assert_eq!(decoder.decode(b"\n"), Piece::Content { consumed: 1, range: 0..1 });
    assert_eq!(decoder.decode(b".\r\n"), Piece::End { consumed: 3 });

    // The CR belongs to no line end: there is no LF at the boundary.
    let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
    assert_eq!(decoder.decode(b"a\r"), Piece::Content { consumed: 2, range: 0..2 });
    assert_eq!(decoder.decode(b"b\n.\r\n"), Piece::Content { consumed: 5, range: 0..5 });
}

#[test]
fn passes_a_large_piece_on_in_one_go() {
    let mut input = b"line of text\r\n".repeat(10_000);
    let length = input.len();
    input.extend_from_slice(b".\r\n");
    let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
    assert_eq!(decoder.decode(&input), Piece::Content { consumed: length, range: 0..length });
}

/// The lines of a listing, decoded in one go; `None` if it does not end.
fn listing(line_end: LineEnd, input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut decoder = ListingDecoder::new(line_end);
    let (mut lines, mut at) = (Vec::new(), 0);
    loop {
        match decoder.decode(&input[at..], 4096) {
            Piece::NeedInput => return None,
            Piece::Content { consumed, range } => {
                lines.push(input[at..][range].to_vec());
                at += consumed;
            }
            Piece::End { consumed } => {
                assert_eq!(at + consumed, input.len());
                assert_eq!(decoder.lines(), lines.len());
                assert_eq!(decoder.octets(), u64::try_from(input.len()).unwrap());
                return Some(lines);
            }
            other => panic!("{other:?} where no line is too long"),
        }
    }
}

#[test]
fn parts_a_listing_into_lines() {
    let lines = [b"1 120".to_vec(), b"2 200".to_vec()];
    assert_eq!(listing(LineEnd::CrLf, b"1 120\r\n2 200\r\n.\r\n").unwrap(), lines);
    assert_eq!(listing(LineEnd::Lf, b"1 120\n2 200\r\n.\n").unwrap(), lines);
    assert!(listing(LineEnd::CrLf, b".\r\n").unwrap().is_empty());
}

#[test]
fn takes_one_dot_off_a_line_of_a_listing() {
    assert_eq!(listing(LineEnd::CrLf, b"..\r\n.x\r\n\r\n.\r\n").unwrap(), [b".".to_vec(), b"x".to_vec(), Vec::new()]);
}

#[test]
fn does_not_end_a_listing_at_a_dot_between_bare_lfs_where_lines_end_in_crlf() {
    assert_eq!(listing(LineEnd::CrLf, b"1 a\n.\r\n2 b\r\n.\n"), None);
    let lines = [b"1 a".to_vec(), b".".to_vec(), b"2 b".to_vec()];
    assert_eq!(listing(LineEnd::CrLf, b"1 a\n.\r\n2 b\r\n.\r\n").unwrap(), lines);
}

#[test]
fn strips_one_cr_from_a_line() {
    assert_eq!(Line::first(b"a\r\r\nb", 100), Some(Line { content: b"a\r", consumed: 4, end: LineEnd::CrLf }));
    assert_eq!(Line::first(b"\n", 100), Some(Line { content: b"", consumed: 1, end: LineEnd::Lf }));
}

#[test]
fn looks_for_a_line_end_within_the_limit_only() {
    assert!(Line::first(b"abc\n", 4).is_some());
    assert_eq!(Line::first(b"abcd\n", 4), None);
    assert_eq!(Line::first(b"abc", 100), None);
}

#[test]
fn a_dot_that_is_not_doubled_shows_that_the_server_doubles_none() {
    for (input, count, was_single) in [
        (&b"a\r\n.\r\n"[..], 0, false),
        (b"..a\r\nb\r\n...\r\n.\r\n", 2, false),
        (b"..a\r\n.b\r\n..c\r\n.\r\n", 3, true),
    ] {
        let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
        let mut at = 0;
        while let Piece::Content { consumed, .. } = decoder.decode(&input[at..]) {
            at += consumed;
        }
        assert_eq!(decoder.taken_dots(), TakenDots { count, was_single });
    }
}
