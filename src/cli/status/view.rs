//! Decides which part of the overview a terminal shows, and what to write to update it. Does not write itself.

use std::fmt::Write as _;

use crate::cli::keys::Key;
use crate::cli::terminal::Size;

/// A window into more lines than fit, between a fixed head and a foot.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The first visible line.
    first: usize,
    /// The number of lines that fit.
    height: usize,
    /// The number of lines in total.
    lines: usize,
}

impl View {
    /// Scrolls the window.
    pub(super) fn scroll(&mut self, key: Key) {
        // One line of the last page stays visible.
        let page = self.height.saturating_sub(1).max(1);
        self.first = match key {
            Key::Up => self.first.saturating_sub(1),
            Key::Down => self.first.saturating_add(1),
            Key::PageUp => self.first.saturating_sub(page),
            Key::PageDown => self.first.saturating_add(page),
            Key::Home => 0,
            Key::End => usize::MAX,
            Key::Quit | Key::Interrupt | Key::Suspend | Key::Redraw | Key::Resized => self.first,
        }
        .min(self.last_first());
    }

    /// Returns the first line of the last page.
    fn last_first(&self) -> usize {
        self.lines.saturating_sub(self.height)
    }

    /// Returns what a terminal of this size shows.
    pub(super) fn frame(&mut self, head: &[String], body: &[String], size: Size) -> Vec<String> {
        let rows = size.rows;
        // On a very small terminal the head is truncated.
        let head = head.get(..head.len().min(rows / 2)).unwrap_or_default();
        self.height = rows.saturating_sub(head.len() + 1);
        self.lines = body.len();
        self.first = self.first.min(self.last_first());
        let end = self.lines.min(self.first + self.height);
        let mut frame = head.to_vec();
        frame.extend_from_slice(body.get(self.first..end).unwrap_or_default());
        frame.resize(rows.saturating_sub(1), String::new());
        frame.push(self.foot(end, size.columns));
        frame
    }

    fn foot(&self, end: usize, columns: usize) -> String {
        if self.lines <= self.height {
            return "q: quit".to_owned();
        }
        let place = format!("lines {}-{end} of {}", self.first + 1, self.lines);
        let all = format!("q: quit   arrows, PgUp, PgDn, Home, End: scroll   {place}");
        // A narrow terminal shows only the position.
        if all.len() < columns { all } else { format!("q: quit   {place}") }
    }
}

/// The rows that the terminal shows.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<String>);

impl Shown {
    /// Forgets them, so that everything is redrawn.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Returns what to write to show this frame: only rows that have changed, all at once if the terminal supports that
    /// (DEC private mode 2026).
    pub(super) fn change_to(&mut self, frame: Vec<String>) -> String {
        let mut changes = String::new();
        if self.0.len() != frame.len() {
            self.0.clear();
            changes.push_str("\x1b[2J");
        }
        for (row, line) in frame.iter().enumerate() {
            if self.0.get(row) != Some(line) {
                // Writing to a string cannot fail.
                let _ = write!(changes, "\x1b[{};1H{line}\x1b[K", row + 1);
            }
        }
        self.0 = frame;
        if changes.is_empty() { changes } else { format!("\x1b[?2026h{changes}\x1b[?2026l") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn a_frame_has_the_rows_of_the_terminal_whatever_there_is() {
        for (head, body, rows) in [(2, 300, 24), (2, 3, 24), (9, 300, 5), (2, 300, 2), (1, 0, 1), (0, 0, 10)] {
            let frame = View::default().frame(&lines(head), &lines(body), Size { columns: 80, rows });
            assert_eq!(frame.len(), rows, "{head} {body} {rows}");
        }
    }

    #[test]
    fn a_narrow_terminal_shows_where_one_is() {
        for (columns, foot) in [
            (80, "q: quit   arrows, PgUp, PgDn, Home, End: scroll   lines 1-22 of 300"),
            (60, "q: quit   lines 1-22 of 300"),
        ] {
            let frame = View::default().frame(&lines(1), &lines(300), Size { columns, rows: 24 });
            assert_eq!(frame.last().unwrap(), foot);
        }
    }

    #[test]
    fn keys_move_within_the_lines() {
        let (head, body) = (lines(2), lines(300));
        let mut view = View::default();
        let size = Size { columns: 80, rows: 23 };
        let first = |view: &mut View| view.frame(&head, &body, size)[2].clone();
        assert_eq!(first(&mut view), "line 1");
        for (key, shown) in [
            (Key::Up, "line 1"),
            (Key::Down, "line 2"),
            (Key::PageDown, "line 21"),
            (Key::End, "line 281"),
            (Key::PageDown, "line 281"),
            (Key::PageUp, "line 262"),
            (Key::Home, "line 1"),
        ] {
            view.scroll(key);
            assert_eq!(first(&mut view), shown, "{key:?}");
        }
        view.scroll(Key::End);
        let shorter = view.frame(&head, &lines(30), size);
        assert_eq!((shorter[2].as_str(), shorter[21].as_str()), ("line 11", "line 30"));
        assert_eq!(shorter[22], "q: quit   arrows, PgUp, PgDn, Home, End: scroll   lines 11-30 of 30");
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let mut shown = Shown::default();
        let frame = |middle: &str| vec!["head".to_owned(), middle.to_owned(), "foot".to_owned()];
        let all = shown.change_to(frame("a"));
        assert!(all.starts_with("\x1b[?2026h\x1b[2J\x1b[1;1Hhead\x1b[K") && all.ends_with("foot\x1b[K\x1b[?2026l"));
        assert_eq!(shown.change_to(frame("a")), "", "nothing is written where nothing has changed");
        assert_eq!(shown.change_to(frame("b")), "\x1b[?2026h\x1b[2;1Hb\x1b[K\x1b[?2026l");
        assert!(shown.change_to(vec!["head".to_owned()]).contains("\x1b[2J"), "another size");
        shown.forget();
        assert!(shown.change_to(vec!["head".to_owned()]).contains("head"));
    }
}
