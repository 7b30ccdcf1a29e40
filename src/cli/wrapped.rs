//! Prints sentences, wrapped between words on a terminal.

use std::fmt::Display;
use std::io;

use textwrap::core::display_width;

use super::commands_in::{Piece, pieces};
use super::layout::{Layout, NO_BREAK, Row};
use super::output::{prompt, say, stderr_line};
use super::terminal::width_of;

/// Prints an answer on standard output, with this hanging indent.
pub(super) fn say_wrapped(words: &str, hanging: usize) {
    lines(words, hanging, width_of(&io::stdout())).iter().for_each(say);
}

/// Returns a sentence about a problem in lines, wrapped for standard error.
pub(super) fn wrapped(words: &str) -> String {
    lines(words, HANGING, width_of(&io::stderr())).join("\n")
}

/// Like [`say_wrapped`], on standard error.
pub(super) fn stderr_wrapped(words: &str, hanging: usize) {
    lines(words, hanging, width_of(&io::stderr())).iter().for_each(stderr_line);
}

/// Prints a sentence on standard output; an indented one stays indented.
pub(super) fn say_sentence(words: impl Display) {
    let words = words.to_string();
    say_wrapped(&words, indent(&words));
}

/// Like [`say_sentence`], on standard error.
pub(super) fn stderr_sentence(words: impl Display) {
    let words = words.to_string();
    stderr_wrapped(&words, indent(&words));
}

/// Prints a prompt on standard output without a newline, wrapped if needed.
pub(super) fn prompt_wrapped(question: &str) {
    let lines = lines(question, 0, width_of(&io::stdout()));
    let Some((last, before)) = lines.split_last() else { return };
    before.iter().for_each(say);
    prompt(last);
}

/// Prints an answer of several lines. Those indented by four are to be copied, and stay unchanged.
pub(super) fn say_lines(words: impl Display) {
    words.to_string().split('\n').for_each(|line| match line.starts_with("    ") {
        true => say(line),
        false => say_sentence(line),
    });
}

/// Whether standard output is a terminal too narrow for columns.
pub(super) fn is_narrow() -> bool {
    width_of(&io::stdout()).is_some_and(|width| width < NARROW)
}

/// A terminal with fewer columns is narrow.
const NARROW: usize = 80;

/// The hanging indent of the lines of a problem, in columns.
pub(super) const HANGING: usize = 4;

/// The indent of a command on its own line.
const OWN_LINE: usize = 4;

fn lines(words: &str, hanging: usize, width: Option<usize>) -> Vec<String> {
    lines_of(&Row::plain(words, hanging), Layout { width, colour: false })
}

/// Returns the lines of a row. A command that does not fit on a line with other words gets its own line, however long:
/// it is there to be copied.
pub(super) fn lines_of(row: &Row, layout: Layout) -> Vec<String> {
    let Row { text: words, hanging, shorter, .. } = row;
    let is_in_a_line =
        |columns: &usize| [words].into_iter().chain(shorter).any(|words| display_width(words) <= *columns);
    let Some(columns) = layout.width.filter(|columns| !is_in_a_line(columns)) else { return row.lines(layout) };
    let (hanging, pieces) = (*hanging, pieces(words));
    if pieces.len() < 2 {
        return row.lines(layout);
    }
    let room = columns.saturating_sub(hanging.min(columns / 2));
    // Only the beginning is marked.
    let mut first = Some(row);
    let mut row = |text: &str| match first.take() {
        Some(first) => {
            Row { text: text.to_owned(), shorter: Vec::new(), marked: first.marked.min(text.len()), ..first.clone() }
        }
        None => Row::plain(text, hanging),
    };
    let (mut lines, mut text, mut behind) = (Vec::new(), String::new(), false);
    for piece in pieces {
        match piece {
            Piece::Words(words) => text.push_str(if behind { without_end(words) } else { words }),
            // Room for two backticks and a comma.
            Piece::Command(command, true) if display_width(command) + 3 <= room => {
                text.push_str(&command.replace(' ', NO_BREAK));
            }
            Piece::Command(command, _) => {
                lines.extend(row(text.trim_end_matches([' ', '`'])).lines(layout));
                lines.push(format!("{:OWN_LINE$}{command}", ""));
                text = " ".repeat(hanging.min(columns / 2));
                behind = true;
                continue;
            }
        }
        behind = false;
    }
    if !text.trim().is_empty() {
        lines.extend(row(&text).lines(layout));
    }
    lines.iter().map(|line| line.replace(NO_BREAK, " ")).collect()
}

/// Strips what ended a command from the words after it.
fn without_end(words: &str) -> &str {
    let words = words.strip_prefix('`').unwrap_or(words);
    ["; ", ", ", ". ", ".", " "].iter().find_map(|end| words.strip_prefix(end)).unwrap_or(words)
}

/// Returns the column where the text of an indented, perhaps numbered, line begins.
fn indent(words: &str) -> usize {
    let words = words.trim_start_matches('\n');
    let blanks = words.len() - words.trim_start_matches(' ').len();
    let number = words.trim_start().bytes().take_while(u8::is_ascii_digit).count();
    match (blanks, number) {
        (0, _) => 0,
        (_, 0) => blanks,
        // Two blanks follow the number.
        (_, number) => blanks + number + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::layout::Mark;

    #[test]
    fn a_command_to_copy_stays_in_one_line() {
        let words = "  FAIL  state  it is lost. Count it: mailferry uids adopt l --from-maildir; to fetch all again: mailferry \
                     fetch --new-state l";
        let expected = [
            "  FAIL  state  it is lost. Count it:",
            "    mailferry uids adopt l --from-maildir",
            "        to fetch all again:",
            "    mailferry fetch --new-state l",
        ];
        assert_eq!(lines(words, 8, Some(40)), expected);
        assert_eq!(lines(words, 8, None), [words]);
        let quoted = "The account is new; run `mailferry fetch --new-state l`, which retrieves everything";
        assert_eq!(
            lines(quoted, 2, Some(40)),
            ["The account is new; run", "  `mailferry fetch --new-state l`, which", "  retrieves everything"]
        );
        let long = "Then: mailferry --config /a/very/long/path/to/the/file.toml check. Done";
        assert_eq!(
            lines(long, 2, Some(30)),
            ["Then:", "    mailferry --config /a/very/long/path/to/the/file.toml check", "  Done"]
        );
    }

    #[test]
    fn a_row_that_is_marked_keeps_its_commands_and_its_mark() {
        let words = "work: it is lost. Count it: mailferry uids adopt work --from-maildir; or not";
        let row = Row { marked: "work:".len(), hanging: 4, ..Row::marked(words, Mark::Failure) };
        let expected = [
            "\x1b[1;31mwork:\x1b[0m it is lost. Count it:",
            "    mailferry uids adopt work --from-maildir",
            "    or not",
        ];
        assert_eq!(lines_of(&row, Layout { width: Some(50), colour: true }), expected);
        let shorter = Row { shorter: vec!["work: lost".to_owned()], ..row };
        assert_eq!(lines_of(&shorter, Layout { width: Some(50), colour: false }), ["work: lost"]);
    }

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
