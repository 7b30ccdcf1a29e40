//! Finds the commands that a sentence asks the user to type. They are copied from the terminal, so no line breaks
//! inside one. PURE.

use std::sync::LazyLock;

use clap::CommandFactory as _;

use super::arguments::Arguments;

/// What precedes a command, and what ends it.
const MARKS: [(&str, &[&str]); 2] = [("`", &["`"]), (": ", &["; ", ". ", ", "])];

/// A piece of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Words.
    Words(&'a str),
    /// A command, and whether it is in backticks.
    Command(&'a str, bool),
}

/// Splits a sentence into pieces; concatenated, they are the sentence.
pub(super) fn pieces(mut sentence: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some((begin, end, quoted)) = first_command(sentence) {
        let (before, rest) = sentence.split_at(begin);
        let (command, rest) = rest.split_at(end - begin);
        pieces.extend([Piece::Words(before), Piece::Command(command, quoted)]);
        sentence = rest;
    }
    if !sentence.is_empty() {
        pieces.push(Piece::Words(sentence));
    }
    pieces
}

/// Returns where the first command begins and ends, and whether it is in backticks.
fn first_command(sentence: &str) -> Option<(usize, usize, bool)> {
    let found = MARKS.iter().filter_map(|(mark, ends)| {
        let mut starts = sentence.match_indices(mark).map(|(at, _)| at + mark.len());
        let begin = starts.find(|at| sentence.get(*at..).is_some_and(is_command))?;
        let rest = sentence.get(begin..)?;
        let end = ends.iter().filter_map(|end| rest.find(end)).min();
        // An opening backtick without a closing one marks nothing.
        let length = end.or_else(|| (*mark != "`").then(|| rest.trim_end_matches('.').len()))?;
        Some((begin, begin + length, *mark == "`"))
    });
    found.min()
}

/// Whether a text begins with a command of more than one word.
fn is_command(text: &str) -> bool {
    let mut words = text.split(' ');
    let (Some(program), Some(next)) = (words.next(), words.next()) else { return false };
    match program {
        "mailferry" => next.starts_with("--") || is_our_command(next.trim_end_matches([';', ',', '.', '`'])),
        "chmod" | "chown" | "sudo" | "runuser" | "setpriv" | "mv" | "mkdir" | "systemctl" | "kill" | "openssl" => true,
        "sed" => next == "-i",
        _ => false,
    }
}

fn is_our_command(word: &str) -> bool {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect());
    NAMES.iter().any(|name| name == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(sentence: &str) -> Vec<&str> {
        let whole: String = pieces(sentence)
            .into_iter()
            .map(|piece| match piece {
                Piece::Words(text) | Piece::Command(text, _) => text,
            })
            .collect();
        assert_eq!(whole, sentence);
        let command = |piece: Piece<'_>| match piece {
            Piece::Command(text, _) => Some(text.to_owned()),
            Piece::Words(_) => None,
        };
        let found: Vec<String> = pieces(sentence).into_iter().filter_map(command).collect();
        found
            .iter()
            .filter_map(|text| sentence.find(text.as_str()).and_then(|at| sentence.get(at..at + text.len())))
            .collect()
    }

    #[test]
    fn commands_are_found_in_what_is_said() {
        let lost = "count it: mailferry uids adopt l --from-maildir; to fetch all again: mailferry --config /c fetch l";
        assert_eq!(commands(lost), ["mailferry uids adopt l --from-maildir", "mailferry --config /c fetch l"]);
        assert_eq!(commands("If it was: mv /a/b /c && mv /d /e. If not"), ["mv /a/b /c && mv /d /e"]);
        assert_eq!(commands("run `mailferry fetch --new-state l`, which"), ["mailferry fetch --new-state l"]);
        assert_eq!(commands("Run `chmod o-w /s`."), ["chmod o-w /s"]);
        assert_eq!(
            commands("fetch: mailferry fetch, and later: mailferry daemon"),
            ["mailferry fetch", "mailferry daemon"]
        );
    }

    #[test]
    fn what_is_no_command_stays_words() {
        for words in ["check: mailferry had an error", "`mailferry`", "an open ` mark: `mailferry fetch x", "a: b", ""]
        {
            assert!(commands(words).is_empty(), "{words}");
        }
    }
}
