//! The answers of many lines: how the bytes are cut into pieces decides nothing.
//!
//! The first octet chooses the line end, the second and third how the rest is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mailferry::pop3::limits;
use mailferry::pop3::multi_line::{LineEnd, ListingDecoder, MultiLineDecoder, Piece};

/// What came of an answer: its content, where each line of a listing ends in it, and what is left behind the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    content: Vec<u8>,
    lines: Vec<(usize, bool)>,
    /// How many octets were dealt with when the end was found.
    end: Option<usize>,
}

fuzz_target!(|input: &[u8]| {
    let [choice, first, second, answer @ ..] = input else { return };
    let line_end = if choice % 2 == 0 { LineEnd::CrLf } else { LineEnd::Lf };
    let cuts = [usize::from(*first).max(1), usize::from(*second).max(1)];

    let message = |cuts: &[usize]| {
        let mut decoder = MultiLineDecoder::new(line_end);
        drive(answer, cuts, |input| decoder.decode(input))
    };
    let whole = message(&[usize::MAX]);
    let expected = decoded(answer, line_end);
    assert_eq!((&whole.content, whole.end), (&expected.0, expected.1));
    let mut cut = message(&cuts);
    // A message has no lines: its pieces are as they come.
    cut.lines.clone_from(&whole.lines);
    assert_eq!(whole, cut);

    // Short enough to be met: 1 to 64 octets a line, and the real limit.
    for limit in [usize::from(*choice >> 2).max(1), limits::LISTING_LINE] {
        let listing = |cuts: &[usize]| {
            let mut decoder = ListingDecoder::new(line_end);
            drive(answer, cuts, |input| decoder.decode(input, limit))
        };
        assert_eq!(listing(&[usize::MAX]), listing(&cuts), "{limit}");
    }
});

/// The content of an answer by the plainest reading of RFC 1939, section 3, and where it ends.
fn decoded(answer: &[u8], line_end: LineEnd) -> (Vec<u8>, Option<usize>) {
    let mut content = Vec::new();
    let (mut at, mut line_start) = (0, true);
    while at < answer.len() {
        let rest = &answer[at..];
        if line_start {
            let ends = rest.starts_with(b".\r\n") || line_end == LineEnd::Lf && rest.starts_with(b".\n");
            if ends {
                return (content, Some(at + if rest.starts_with(b".\n") { 2 } else { 3 }));
            }
            // It may become the end.
            if matches!(rest, b"." | b".\r") {
                break;
            }
            if rest[0] == b'.' {
                at += 1;
                line_start = false;
                continue;
            }
        }
        content.push(answer[at]);
        at += 1;
        line_start = match line_end {
            LineEnd::CrLf => answer[..at].ends_with(b"\r\n"),
            LineEnd::Lf => answer[at - 1] == b'\n',
        };
    }
    (content, None)
}

fn drive(answer: &[u8], cuts: &[usize], mut decode: impl FnMut(&[u8]) -> Piece) -> Seen {
    let (mut seen, mut unread, mut rest, mut done) = (Seen::default(), Vec::new(), answer, 0);
    for &cut in cuts.iter().cycle() {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        unread.extend_from_slice(piece);
        loop {
            let consumed = match decode(&unread) {
                Piece::NeedInput => break,
                Piece::Content { consumed, range } => {
                    seen.content.extend_from_slice(&unread[range]);
                    seen.lines.push((seen.content.len(), false));
                    consumed
                }
                Piece::LongLine { consumed, range } => {
                    seen.content.extend_from_slice(&unread[range]);
                    seen.lines.push((seen.content.len(), true));
                    consumed
                }
                Piece::PassedOver { consumed } => consumed,
                Piece::End { consumed } => {
                    seen.end = Some(done + consumed);
                    return seen;
                }
            };
            assert!((1..=unread.len()).contains(&consumed), "something is dealt with, and no more than there is");
            done += consumed;
            unread.drain(..consumed);
        }
        if rest.is_empty() {
            return seen;
        }
    }
    seen
}
