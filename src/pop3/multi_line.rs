//! Finds the end of a multi-line response, and removes stuffed dots (RFC 1939, section 3).
//!
//! The answer ends with a line that consists of a single dot. A line of the answer that begins with a dot is sent with
//! an additional dot ("byte-stuffed"), which is removed here.
//!
//! What counts as a line matters, because mail may contain any octets. In a session whose lines end in CRLF, only CRLF
//! ends a line of a message: a bare LF, a bare CR and a NUL are content, so LF "." LF in a mail ends nothing. Some
//! servers end their lines with a bare LF; there, LF ends a line, and a CR before it is content except in the last
//! line.

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

/// What a decoder finds at the beginning of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More input is needed. None of this input is consumed.
    NeedInput,
    /// Content: these octets of the input.
    Content {
        /// How many octets of the input are consumed.
        consumed: usize,
        /// Which of them are content. Never empty for a message.
        range: Range<usize>,
    },
    /// The beginning of a line that is longer than allowed in a listing. The rest is skipped.
    LongLine {
        /// How many octets of the input are consumed.
        consumed: usize,
        /// The first octets of the line.
        range: Range<usize>,
    },
    /// More of a line that is skipped.
    PassedOver {
        /// How many octets of the input are consumed.
        consumed: usize,
    },
    /// The answer ends here.
    End {
        /// How many octets of the input are consumed, including the line with the dot.
        consumed: usize,
    },
}

/// Where in a line the next octet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At its beginning.
    LineStart,
    /// After a CR, which is passed on already; an LF would end the line.
    BehindCr,
    /// Elsewhere.
    Inside,
}

/// The dots that were removed from the lines of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenDots {
    /// How many dots were removed.
    pub count: u64,
    /// Whether one of them was not doubled: then the server stuffs no dots, and they were part of the message.
    pub was_single: bool,
}

/// Decodes the answer to RETR and TOP. It holds no octet of the message and looks at each one once.
#[derive(Debug)]
pub struct MultiLineDecoder {
    /// What ends a line.
    line_end: LineEnd,
    /// Where in a line the next octet is.
    position: Position,
    /// Finds a line end followed by a dot: the only place that needs attention.
    dotted_line: Finder<'static>,
    /// The dots removed so far.
    taken: TakenDots,
}

impl MultiLineDecoder {
    /// Expects the first octet after the status line.
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

    /// Returns the dots removed so far.
    #[must_use]
    pub fn taken_dots(&self) -> TakenDots {
        self.taken
    }

    /// Takes as much of `input` as is content in one piece. What is not consumed must be passed again, with more.
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

    /// Takes `content`, which follows `skipped` octets of the input, up to the next line that begins with a dot.
    fn content(&mut self, content: &[u8], skipped: usize) -> Piece {
        let length = self.up_to_dotted_line(content);
        let (piece, _) = content.split_at_checked(length).unwrap_or((content, &[]));
        self.position = self.position_after(piece);
        let consumed = skipped + piece.len();
        Piece::Content { consumed, range: skipped..consumed }
    }

    /// Returns the number of octets before the first dot at the beginning of a line; all if there is none.
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
    /// Whether the previous line ended as lines do here, so that a dot now is stuffed and not content.
    at_line_start: bool,
    /// Some in the middle of a line that is too long and is skipped: whether its last octet so far was a CR.
    passing_over: Option<bool>,
    /// How many lines have arrived so far.
    lines: usize,
    /// How many octets have arrived so far.
    octets: u64,
}

impl ListingDecoder {
    /// Expects the first octet after the status line.
    #[must_use]
    pub fn new(line_end: LineEnd) -> Self {
        Self { line_end, at_line_start: true, passing_over: None, lines: 0, octets: 0 }
    }

    /// Returns how many lines have arrived so far.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Returns how many octets have arrived so far.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Pretends that this much has arrived, because sending millions of lines takes a test too long.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, lines: usize, octets: u64) {
        (self.lines, self.octets) = (lines, octets);
    }

    /// Takes all plain lines at the beginning of the input, and returns their length in octets, including line ends. A
    /// plain line ends in CRLF as lines do here, does not begin with a dot and has at most `limit` octets. None if the
    /// first line is not plain.
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

    /// Takes one line of at most `limit` octets from `input`. The content has neither line end nor stuffed dot. Only
    /// the beginning of a longer line is returned, and none of it is held.
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

    /// Skips to the end of the line, or as much of it as is there.
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
    /// Its length with its line end.
    pub(super) consumed: usize,
    /// How it ends.
    pub(super) end: LineEnd,
}

impl<'a> Line<'a> {
    /// Returns `None` if there is no line end within the first `limit` octets.
    pub(super) fn first(input: &'a [u8], limit: usize) -> Option<Self> {
        let window = input.get(..limit).unwrap_or(input);
        let (line, _) = window.split_at_checked(memchr::memchr(b'\n', window)?)?;
        let consumed = line.len() + 1;
        Some(match line.strip_suffix(b"\r") {
            Some(content) => Self { content, consumed, end: LineEnd::CrLf },
            None => Self { content: line, consumed, end: LineEnd::Lf },
        })
    }

    /// Whether it ends like the lines of this session. Where LF is enough, a CR before it does no harm.
    fn ends_like(&self, line_end: LineEnd) -> bool {
        self.end == LineEnd::CrLf || line_end == LineEnd::Lf
    }
}

#[cfg(test)]
mod tests;
