//! Answers in sentences, wrapped at words where a terminal shows them.

use std::fmt::Display;
use std::io;

use super::output::{prompt, say, stderr_line};
use super::status::layout::{Layout, Row};
use super::terminal::width_of;

/// Prints an answer on standard output; the lines below the first are indented so far.
pub(super) fn say_wrapped(words: &str, hanging: usize) {
    lines(words, hanging, width_of(&io::stdout())).iter().for_each(say);
}

/// The same on standard error.
pub(super) fn stderr_wrapped(words: &str, hanging: usize) {
    lines(words, hanging, width_of(&io::stderr())).iter().for_each(stderr_line);
}

/// Prints a sentence on standard output; what is indented stays so.
pub(super) fn say_sentence(words: impl Display) {
    let words = words.to_string();
    say_wrapped(&words, indent(&words));
}

/// The same on standard error.
pub(super) fn stderr_sentence(words: impl Display) {
    let words = words.to_string();
    stderr_wrapped(&words, indent(&words));
}

/// Begins a line on standard output that the user goes on with, behind as many lines as the question needs.
pub(super) fn prompt_wrapped(question: &str) {
    let lines = lines(question, 0, width_of(&io::stdout()));
    let Some((last, before)) = lines.split_last() else { return };
    before.iter().for_each(say);
    prompt(last);
}

fn lines(words: &str, hanging: usize, width: Option<usize>) -> Vec<String> {
    Row::plain(words, hanging).lines(Layout { width, colour: false })
}

/// Where the words of a line begin that is indented, and may be numbered.
fn indent(words: &str) -> usize {
    let words = words.trim_start_matches('\n');
    let blanks = words.len() - words.trim_start_matches(' ').len();
    let number = words.trim_start().bytes().take_while(u8::is_ascii_digit).count();
    match (blanks, number) {
        (0, _) => 0,
        (_, 0) => blanks,
        // Two blanks stand behind it.
        (_, number) => blanks + number + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_indented_stays_so_and_what_is_numbered_too() {
        assert_eq!(
            lines("  2  a command prints it", indent("  2  a command"), Some(20)),
            ["  2  a command", "     prints it"]
        );
        assert_eq!(lines("\nThe account `work` is there", 0, Some(20)), ["", "The account `work`", "is there"]);
        assert_eq!((indent("\n  why"), indent("2 words"), indent("words")), (2, 0, 0));
    }
}
