//! Where a multi-line response ends, and which dots are not part of it (RFC 1939, section 3).
//!
//! The answer ends with a line that holds a single dot. A line of the answer that begins with a dot is sent with one
//! dot more ("byte-stuffed"), and that one is taken off here.
//!
//! What a line is matters, because a mail can hold any octets. In a session whose lines end in CRLF, only CRLF ends a
//! line of a message: a bare LF, a bare CR and a NUL are content, so a mail with LF "." LF in it ends nothing. Some
//! servers end their lines in a bare LF; there, LF ends a line and a CR before it is content, save in the last line.

use super::limits;
use std::ops::Range;

use memchr::memmem::Finder;

/// How a server ends its lines, as its first line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// As RFC 1939 asks.
    CrLf,
    /// A bare LF.
    Lf,
}

/// What a decoder makes of the beginning of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It takes more input to say anything. None of this input is consumed.
    NeedInput,
    /// Content: these octets of the input.
    Content {
        /// How many octets of the input are dealt with.
        consumed: usize,
        /// Which of them are content. Never empty for a message.
        range: Range<usize>,
    },
    /// The beginning of a line that is longer than a listing may have: its first octets. The rest is passed over.
    LongLine {
        /// How many octets of the input are dealt with.
        consumed: usize,
        /// The first octets of the line.
        range: Range<usize>,
    },
    /// More of a line that is passed over.
    PassedOver {
        /// How many octets of the input are dealt with.
        consumed: usize,
    },
    /// The answer ends here.
    End {
        /// How many octets of the input are dealt with: the line with the dot.
        consumed: usize,
    },
}

/// Where in a line the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At its beginning.
    LineStart,
    /// Behind a CR, which is passed on already; an LF would end the line.
    BehindCr,
    /// Elsewhere.
    Inside,
}

/// The dots that were taken off the lines of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenDots {
    /// How many.
    pub count: u64,
    /// One of them was not doubled, so the server does not double any, and they were part of the message.
    pub was_single: bool,
}

/// Decodes the answer to RETR and TOP. It holds no octet of the message and looks at each one once.
#[derive(Debug)]
pub struct MultiLineDecoder {
    /// What ends a line.
    line_end: LineEnd,
    /// Where the next octet of the input stands.
    position: Position,
    /// Finds a line end with a dot behind it: the only places where something is to be done.
    dotted_line: Finder<'static>,
    /// What was taken off so far.
    taken: TakenDots,
}

impl MultiLineDecoder {
    /// Awaits the first octet behind the status line.
    #[must_use]
    pub fn new(line_end: LineEnd) -> Self {
        let dotted_line: &[u8] = match line_end {
            LineEnd::CrLf => b"\r\n.",
            LineEnd::Lf => b"\n.",
        };
        Self {
            line_end,
            position: Position::LineStart,
            dotted_line: Finder::new(dotted_line),
            taken: TakenDots::default(),
        }
    }

    /// The dots that were taken off so far.
    #[must_use]
    pub fn taken_dots(&self) -> TakenDots {
        self.taken
    }

    /// Deals with as much of `input` as is content in one piece. What is not consumed is to be given again, with more.
    pub fn decode(&mut self, input: &[u8]) -> Piece {
        if self.position == Position::LineStart {
            return match (input, self.line_end) {
                ([] | [b'.'] | [b'.', b'\r'], _) => Piece::NeedInput,
                ([b'.', b'\r', b'\n', ..], _) => Piece::End { consumed: 3 },
                ([b'.', b'\n', ..], LineEnd::Lf) => Piece::End { consumed: 2 },
                ([b'.', content @ ..], _) => {
                    self.taken.count += 1;
                    self.taken.was_single |= !content.starts_with(b".");
                    self.content(content, 1)
                }
                _ => self.content(input, 0),
            };
        }
        if input.is_empty() { Piece::NeedInput } else { self.content(input, 0) }
    }

    /// Takes `content`, which stands behind `skipped` octets of the input, up to the next line with a dot.
    fn content(&mut self, content: &[u8], skipped: usize) -> Piece {
        let length = self.up_to_dotted_line(content);
        let (piece, _) = content.split_at_checked(length).unwrap_or((content, &[]));
        self.position = self.position_after(piece);
        let consumed = skipped + piece.len();
        Piece::Content { consumed, range: skipped..consumed }
    }

    /// The octets before the first dot at the beginning of a line; all of them if there is none.
    fn up_to_dotted_line(&self, content: &[u8]) -> usize {
        if self.position == Position::BehindCr && content.starts_with(b"\n.") {
            return 1;
        }
        match self.dotted_line.find(content) {
            Some(found) => found + self.dotted_line.needle().len() - 1,
            None => content.len(),
        }
    }

    fn position_after(&self, piece: &[u8]) -> Position {
        match (self.line_end, piece) {
            (LineEnd::Lf, [.., b'\n']) | (LineEnd::CrLf, [.., b'\r', b'\n']) => Position::LineStart,
            (LineEnd::CrLf, [b'\n']) if self.position == Position::BehindCr => Position::LineStart,
            (LineEnd::CrLf, [.., b'\r']) => Position::BehindCr,
            _ => Position::Inside,
        }
    }
}

/// Decodes the answer to CAPA, LIST and UIDL, line by line.
#[derive(Debug)]
pub struct ListingDecoder {
    /// What ends a line.
    line_end: LineEnd,
    /// Whether the line before ended as lines do here, so that a dot now is the server's and not content.
    at_line_start: bool,
    /// Some in the middle of a line that is too long and passed over: whether its last octet so far was a CR.
    passing_over: Option<bool>,
    /// How many lines came so far.
    lines: usize,
    /// How many octets came so far.
    octets: u64,
}

impl ListingDecoder {
    /// Awaits the first octet behind the status line.
    #[must_use]
    pub fn new(line_end: LineEnd) -> Self {
        Self { line_end, at_line_start: true, passing_over: None, lines: 0, octets: 0 }
    }

    /// How many lines came so far.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// How many octets came so far.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// As if that much had come: giving millions of lines takes a test too long.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, lines: usize, octets: u64) {
        (self.lines, self.octets) = (lines, octets);
    }

    /// Takes as many whole lines as begin the input and are plain, and tells how many octets they have, line ends included:
    /// each ends in CRLF as lines do here, begins with no dot and has at most `limit` octets. None: the first line is not.
    pub fn decode_plain_lines(&mut self, input: &[u8], limit: usize) -> Option<usize> {
        if !self.at_line_start || self.passing_over.is_some() || self.line_end != LineEnd::CrLf {
            return None;
        }
        let (mut start, mut lines) = (0, 0);
        for at in memchr::memchr_iter(b'\n', input) {
            let Some(line) = input.get(start..=at) else { break };
            if line.len() > limit || line.starts_with(b".") || !line.ends_with(b"\r\n") {
                break;
            }
            (start, lines) = (at + 1, lines + 1);
        }
        self.lines += lines;
        self.octets = self.octets.saturating_add(u64::try_from(start).unwrap_or(u64::MAX));
        (start > 0).then_some(start)
    }

    /// Takes one line of at most `limit` octets from `input`. The content has neither line end nor stuffed dot. Of a
    /// longer line the beginning is told; no octet of it is held.
    pub fn decode(&mut self, input: &[u8], limit: usize) -> Piece {
        let piece = match self.passing_over {
            Some(_) if input.is_empty() => Piece::NeedInput,
            Some(behind_cr) => self.pass_over(input, behind_cr),
            None => self.line(input, limit),
        };
        let consumed = match &piece {
            Piece::NeedInput => 0,
            Piece::Content { consumed, .. }
            | Piece::LongLine { consumed, .. }
            | Piece::PassedOver { consumed }
            | Piece::End { consumed } => *consumed,
        };
        self.octets = self.octets.saturating_add(u64::try_from(consumed).unwrap_or(u64::MAX));
        piece
    }

    fn line(&mut self, input: &[u8], limit: usize) -> Piece {
        let behind_line_end = self.at_line_start;
        let start = |content: &[u8]| usize::from(behind_line_end && content.starts_with(b"."));
        let Some(line) = Line::first(input, limit) else {
            let Some((beginning, _)) = input.split_at_checked(limit) else { return Piece::NeedInput };
            self.lines += 1;
            self.passing_over = Some(beginning.ends_with(b"\r"));
            return Piece::LongLine { consumed: limit, range: start(beginning)..limits::LONG_LINE_HEAD.min(limit) };
        };
        self.at_line_start = line.ends_like(self.line_end);
        match line.content {
            b"." if behind_line_end && self.at_line_start => Piece::End { consumed: line.consumed },
            content => {
                self.lines += 1;
                Piece::Content { consumed: line.consumed, range: start(content)..content.len() }
            }
        }
    }

    /// Up to the line's end, or as much of it as is there.
    fn pass_over(&mut self, input: &[u8], behind_cr: bool) -> Piece {
        let Some(at) = memchr::memchr(b'\n', input) else {
            self.passing_over = Some(input.ends_with(b"\r"));
            return Piece::PassedOver { consumed: input.len() };
        };
        let crlf = match at.checked_sub(1) {
            Some(before) => input.get(before) == Some(&b'\r'),
            None => behind_cr,
        };
        self.at_line_start = crlf || self.line_end == LineEnd::Lf;
        self.passing_over = None;
        Piece::PassedOver { consumed: at + 1 }
    }
}

/// A whole line at the beginning of some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line without its LF and without one CR before it.
    pub(super) content: &'a [u8],
    /// How long it is with its line end.
    pub(super) consumed: usize,
    /// How it ends.
    pub(super) end: LineEnd,
}

impl<'a> Line<'a> {
    /// `None` when there is no line end within the first `limit` octets.
    pub(super) fn first(input: &'a [u8], limit: usize) -> Option<Self> {
        let window = input.get(..limit).unwrap_or(input);
        let (line, _) = window.split_at_checked(memchr::memchr(b'\n', window)?)?;
        let consumed = line.len() + 1;
        Some(match line.strip_suffix(b"\r") {
            Some(content) => Self { content, consumed, end: LineEnd::CrLf },
            None => Self { content: line, consumed, end: LineEnd::Lf },
        })
    }

    /// Whether it ends as lines of such a session do. Where LF is enough, a CR before it is no harm.
    fn ends_like(&self, line_end: LineEnd) -> bool {
        self.end == LineEnd::CrLf || line_end == LineEnd::Lf
    }
}

#[cfg(test)]
mod tests;
