//! Answers in sentences, wrapped at words where a terminal shows them.

use std::io;

use super::output::{say, stderr_line};
use super::status::layout::{Layout, Row};
use super::terminal::width_of;

/// Prints an answer on standard output; the lines below the first are indented so far.
pub(super) fn say_wrapped(words: &str, hanging: usize) {
    let width = width_of(&io::stdout());
    Row::plain(words, hanging).lines(Layout { width, colour: false }).iter().for_each(say);
}

/// The same on standard error.
pub(super) fn stderr_wrapped(words: &str, hanging: usize) {
    let width = width_of(&io::stderr());
    Row::plain(words, hanging).lines(Layout { width, colour: false }).iter().for_each(stderr_line);
}
