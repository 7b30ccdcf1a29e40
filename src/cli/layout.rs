//! Lays out rows of text for a terminal or a file: wrapped with a hanging indent, and coloured if wanted.

use std::fmt::Write as _;

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// The narrowest supported terminal, in columns.
const NARROWEST: usize = 20;

/// The content of a row, independent of where it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Its text.
    pub(super) text: String,
    /// How its beginning is marked.
    pub(super) mark: Mark,
    /// The length of the marked beginning, in bytes.
    pub(super) marked: usize,
    /// The hanging indent, in columns.
    pub(super) hanging: usize,
    /// Ever shorter versions of the text, for terminals too narrow for it.
    pub(super) shorter: Vec<String>,
}

/// How text is marked if there are colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not at all.
    #[default]
    Plain,
    /// A heading.
    Head,
    /// Something to look at.
    Failure,
}

impl Mark {
    /// Returns the escape sequence that begins it (ECMA-48, SGR).
    fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Head => "\x1b[1m",
            Self::Failure => "\x1b[1;31m",
        }
    }
}

/// The layout of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The maximum width of a line, in columns. None: unlimited.
    pub(super) width: Option<usize>,
    /// Whether marks are shown in colour.
    pub(super) colour: bool,
}

impl Row {
    /// Makes a row without a mark.
    pub(super) fn plain(text: impl Into<String>, hanging: usize) -> Self {
        Self { text: text.into(), hanging, ..Self::default() }
    }

    /// Makes a row that is marked as a whole.
    pub(super) fn marked(text: impl Into<String>, mark: Mark) -> Self {
        let text = text.into();
        Self { marked: text.len(), text, mark, hanging: 2, ..Self::default() }
    }

    /// Returns the lines of the row.
    pub(super) fn lines(&self, layout: Layout) -> Vec<String> {
        let mut left = if layout.colour { self.marked } else { 0 };
        // A row that is marked as a whole stays so when it is wrapped.
        let whole = left > 0 && left == self.text.len();
        let mut lines = self.wrapped(layout.width);
        for line in &mut lines {
            let marked = if whole { line.len() } else { left.min(line.len()) };
            left = left.saturating_sub(marked);
            if let Some((head, tail)) = line.split_at_checked(marked).filter(|(head, _)| !head.is_empty()) {
                *line = format!("{}{head}\x1b[0m{tail}", self.mark.begin());
            }
        }
        lines
    }

    fn wrapped(&self, width: Option<usize>) -> Vec<String> {
        let Some(width) = width.map(|width| width.max(NARROWEST)) else { return vec![self.text.clone()] };
        let fits = |text: &&String| display_width(text) <= width;
        if let Some(text) = [&self.text].into_iter().chain(&self.shorter).find(fits) {
            return vec![text.clone()];
        }
        // At least half of each line is left for text.
        let indent = " ".repeat(self.hanging.min(width / 2));
        let options = Options::new(width).subsequent_indent(&indent).word_splitter(WordSplitter::NoHyphenation);
        let held = held_together(&self.text);
        textwrap::wrap(&held, options).iter().map(|line| line.replace(NO_BREAK, " ")).collect()
    }
}

/// A blank at which a line does not break.
pub(super) const NO_BREAK: &str = "\u{a0}";

/// A word after a number is kept with it if it is no longer than this, in bytes: a unit, or what is counted.
const UNIT: usize = 10;

/// Returns the text with each number kept on one line with what it counts.
fn held_together(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_number = |word: &str| {
        let digits = word.trim_start_matches('(');
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let is_unit = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.len() <= UNIT;
    let mut held = String::with_capacity(text.len() + words.len());
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| words.get(before));
        if let Some(before) = before {
            held.push_str(if is_number(before) && is_unit(word) { NO_BREAK } else { " " });
        }
        held.push_str(word);
    }
    held
}

/// Joins all rows into one text, without a final newline.
pub(super) fn text(rows: impl IntoIterator<Item = Row>, layout: Layout) -> String {
    let mut text = String::new();
    for line in rows.into_iter().flat_map(|row| row.lines(layout)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Layout = Layout { width: Some(30), colour: false };

    #[test]
    fn a_row_is_wrapped_below_its_words_and_only_where_there_is_a_width() {
        let row = Row::plain("work  the server refused the login. Check it", 6);
        assert_eq!(row.lines(NARROW), ["work  the server refused the", "      login. Check it"]);
        assert_eq!(row.lines(Layout { width: None, colour: false }), [row.text.as_str()]);
        let shorter = Row { shorter: vec![row.text.clone(), "work  refused".to_owned()], ..row };
        assert_eq!(shorter.lines(NARROW), ["work  refused"]);
        assert_eq!(Row::plain("", 0).lines(NARROW), [""], "an empty line stays one");
    }

    #[test]
    fn a_number_stays_with_what_it_counts() {
        let row = Row::plain("fetched; 385 new messages in 13.0 s. Wait (14.5 MiB) 123 times", 2);
        let lines = |columns| row.lines(Layout { width: Some(columns), colour: false });
        assert_eq!(lines(35), ["fetched; 385 new messages in", "  13.0 s. Wait (14.5 MiB) 123 times"]);
        assert_eq!(lines(24), ["fetched; 385 new", "  messages in 13.0 s.", "  Wait (14.5 MiB)", "  123 times"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for text in ["x".repeat(100), "login-refused ".repeat(20), "\u{4f60}\u{597d} ".repeat(40), "  a  b".repeat(30)]
        {
            for width in [1, 20, 31, 60] {
                for line in Row::plain(text.as_str(), 40).lines(Layout { width: Some(width), colour: false }) {
                    assert!(display_width(&line) <= width.max(NARROWEST), "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_mark_costs_no_room_and_ends_in_its_line() {
        let mut row = Row::plain("work  the server refused the login", 6);
        (row.mark, row.marked) = (Mark::Failure, 4);
        let colour = Layout { colour: true, ..NARROW };
        assert_eq!(row.lines(colour), ["\x1b[1;31mwork\x1b[0m  the server refused the", "      login"]);
        let head = Row::marked("one two three four five six seven", Mark::Head);
        assert_eq!(head.lines(colour), ["\x1b[1mone two three four five six\x1b[0m", "\x1b[1m  seven\x1b[0m"]);
    }
}
