//! Logs the dialogue with the server, which `-v` shows. The server chooses what it says and how much, so long lines are
//! cut off and each session has a limit.

use std::fmt::Display;

use tracing::{Level, debug, enabled, trace};

use crate::text::cut_words;

/// The log target of the dialogue.
pub(super) const TARGET: &str = "mailferry::dialogue";

/// The maximum number of characters shown of a line.
const LINE: usize = 200;

/// The maximum number of octets shown of a session.
const SESSION: usize = 512 * 1024;

/// What a line costs besides its text, in octets: time, level, account.
const OVERHEAD: usize = 64;

/// How much more of a session's dialogue is shown.
#[derive(Debug)]
pub(crate) struct Dialogue {
    /// The remaining octets.
    left: usize,
}

impl Default for Dialogue {
    fn default() -> Self {
        Self { left: SESSION }
    }
}

impl Dialogue {
    /// Logs a command or an answer. The words are only made if they are shown.
    pub(crate) fn line<W: Display>(&mut self, who: char, words: impl FnOnce() -> W) {
        if enabled!(target: TARGET, Level::DEBUG)
            && let Some(line) = self.shown(&words().to_string())
        {
            debug!(target: TARGET, "{who}: {line}");
        }
    }

    /// Logs an answer and what it answers.
    pub(super) fn answer<W: Display, T: Display>(&mut self, words: impl FnOnce() -> W, to: impl FnOnce() -> T) {
        if enabled!(target: TARGET, Level::DEBUG)
            && let Some(line) = self.shown(&words().to_string())
        {
            debug!(target: TARGET, "S: {line}  ({})", to());
        }
    }

    /// Logs a line of a listing, of which there may be many.
    pub(crate) fn detail<W: Display>(&mut self, who: char, words: impl FnOnce() -> W) {
        if enabled!(target: TARGET, Level::TRACE)
            && let Some(line) = self.shown(&words().to_string())
        {
            trace!(target: TARGET, "{who}: {line}");
        }
    }

    /// Whether the lines of listings are logged.
    pub(super) fn shows_lines() -> bool {
        enabled!(target: TARGET, Level::TRACE)
    }

    /// Returns the line as shown; None once the limit is reached.
    fn shown(&mut self, words: &str) -> Option<String> {
        if self.left == 0 {
            return None;
        }
        let mut line = cut_words(words, LINE);
        self.left = self.left.saturating_sub(line.len() + OVERHEAD);
        if self.left == 0 {
            line.push_str(" (the rest of this session's dialogue is left out)");
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_off_behind_its_bound() {
        let mut dialogue = Dialogue::default();
        let whole = "é".repeat(LINE);
        assert_eq!(dialogue.shown(&whole).as_deref(), Some(whole.as_str()));
        assert_eq!(dialogue.shown(&format!("{whole}x")), Some(format!("{whole}…")));
    }

    #[test]
    fn a_session_shows_so_much_and_says_where_it_stops() {
        let mut dialogue = Dialogue::default();
        let mut shown = Vec::new();
        while let Some(line) = dialogue.shown("-ERR no") {
            shown.push(line);
        }
        let octets: usize = shown.iter().map(|line| line.len() + OVERHEAD).sum();
        assert!((SESSION..SESSION + 200).contains(&octets), "{octets}");
        assert!(shown.last().is_some_and(|last| last.contains("left out")));
        assert_eq!(shown.iter().filter(|line| line.contains("left out")).count(), 1);
    }
}
