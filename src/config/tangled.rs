//! Detects files with very many tables that are continued later. The parser removes such a table from among its
//! siblings and moves all that follow, so a hundred thousand of them would take hours. This is a guess from the lines,
//! good enough to choose how the file is read.

use std::collections::{HashMap, HashSet};

use super::problem::Problem;

/// How many moves the parser may make: they take a second at most.
const MOST_MOVES: usize = 10_000_000;

/// How many parts of a header are examined: tables are not nested deeper.
const DEEPEST: usize = 6;

/// Whether the parser would make too many moves: tables occur twice, or after their own subtables, and have very many
/// siblings.
pub(super) fn is_tangled(text: &str) -> bool {
    let (mut seen, mut beside): (HashSet<&str>, HashMap<&str, usize>) = (HashSet::new(), HashMap::new());
    let mut moves = 0_usize;
    for header in headers(text) {
        let parts = header.match_indices('.').map(|(dot, _)| dot).take(DEEPEST).chain([header.len()]);
        let mut table = "";
        for end in parts {
            let Some(inner) = header.get(..end) else { break };
            if seen.insert(inner) {
                *beside.entry(table).or_default() += 1;
            } else if end == header.len() {
                moves = moves.saturating_add(beside.get(table).copied().unwrap_or(0));
            }
            table = inner;
        }
    }
    moves > MOST_MOVES
}

/// Returns the contents of the brackets in lines that look like the header of a table, except arrays of tables.
fn headers(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix('['));
    lines.filter(|line| !line.starts_with('[')).filter_map(|line| line.split_once(']').map(|(header, _)| header.trim()))
}

/// The problem to report if nothing else is wrong with the file.
pub(super) fn problem() -> Problem {
    Problem::new("very many tables come after tables that are in them, so that it would take too long to read the file")
        .help("write [accounts.NAME] above [accounts.NAME.forward] and other tables of that account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_very_many_tables_that_go_on_elsewhere_are_too_many() {
        let each = |count: usize, text: &str| (0..count).map(|n| text.replace('N', &n.to_string())).collect::<String>();
        for (text, expected) in [
            (each(50_000, "[accounts.aN]\nhost = 'x'\n[accounts.aN.forward]\n[[accounts.aN.rules]]\n"), false),
            (each(2000, "[accounts.aN.forward]\n[accounts.aN]\n"), false),
            (each(20_000, "[accounts.aN.forward]\n[accounts.aN]\n"), true),
            (each(20_000, "[accounts.aN]\n").repeat(2), true),
            (each(1, "[accounts.aN]\n").repeat(100_000), false),
            (each(100_000, "[[accounts.a.rules]]\n"), false),
        ] {
            assert_eq!(is_tangled(&text), expected, "{}", text.get(..60).unwrap_or(&text));
        }
    }
}
