//! The last lines of a terminal, redrawn in place to show the progress. Everything else is printed above them.

use std::fmt::Write as _;

use textwrap::core::display_width;

/// What the last lines of a terminal show.
#[derive(Debug, Default)]
pub(super) struct Region {
    /// The lines; the cursor is at the end of the last one.
    lines: Vec<String>,
}

impl Region {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Returns what to write to show these lines on a terminal of this many columns. What stays is overwritten, not
    /// erased.
    pub(super) fn change_to(&mut self, lines: Vec<String>, columns: usize) -> String {
        if lines == self.lines {
            return String::new();
        }
        let mut written = self.to_its_beginning(columns);
        for (number, line) in lines.iter().enumerate() {
            let newline = if number > 0 { "\r\n" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(written, "{newline}{line}\x1b[K");
        }
        written.push_str("\x1b[J");
        self.lines = lines;
        in_one_piece(&written)
    }

    /// Returns what to write to erase the lines, so that something else can be printed in their place.
    pub(super) fn erase(&mut self, columns: usize) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let written = self.to_its_beginning(columns);
        self.lines.clear();
        written + "\x1b[J"
    }

    /// Moves to the first column of the first line. If the terminal has become narrower, a line takes several rows.
    fn to_its_beginning(&self, columns: usize) -> String {
        let taken = |line: &String| display_width(line).div_ceil(columns.max(1)).max(1);
        match self.lines.iter().map(taken).sum::<usize>() {
            0 => String::new(),
            1 => "\r".to_owned(),
            rows => format!("\r\x1b[{}A", rows - 1),
        }
    }
}

/// A terminal that supports DEC private mode 2026 shows all of it at once.
pub(super) fn in_one_piece(written: &str) -> String {
    format!("\x1b[?2026h{written}\x1b[?2026l")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(words: &[&str]) -> Vec<String> {
        words.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn lines_are_drawn_in_place() {
        let mut region = Region::new();
        let first = region.change_to(lines(&["a", "b"]), 80);
        assert_eq!(first, "\x1b[?2026ha\x1b[K\r\nb\x1b[K\x1b[J\x1b[?2026l");
        assert_eq!(region.change_to(lines(&["a", "b"]), 80), "", "nothing has changed");
        let fewer = region.change_to(lines(&["c"]), 80);
        assert_eq!(fewer, "\x1b[?2026h\r\x1b[1Ac\x1b[K\x1b[J\x1b[?2026l");
        assert_eq!(region.erase(80), "\r\x1b[J");
        assert_eq!(region.erase(80), "", "there is nothing any more");
    }

    #[test]
    fn a_terminal_that_became_narrower_shows_a_line_in_several() {
        let mut region = Region::new();
        region.change_to(lines(&[&"x".repeat(79), "b"]), 80);
        assert_eq!(region.erase(40), "\r\x1b[2A\x1b[J");
    }
}
