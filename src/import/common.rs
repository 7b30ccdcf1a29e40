//! Says only once what concerns all accounts, or all but a few. PURE.

use std::collections::BTreeMap;

/// What kind of line this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It says what became what.
    Became,
    /// It says something else.
    Mentioned,
    /// It says that something has to be done; the text names that in a few words.
    ToDo(String),
    /// It names something of the other program's that is not needed here.
    Needless,
}

/// A line of the report about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What kind of line this is.
    pub(super) kind: Kind,
    /// Its text in the report on this account.
    pub(super) own: String,
    /// Its text in a report on several accounts.
    pub(super) of_several: String,
}

impl Line {
    /// Makes a line with the same text for one account and for several.
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        let own = words.into();
        Self { kind, of_several: own.clone(), own }
    }
}

/// The report on an account, or on several.
#[derive(Debug)]
pub(super) struct Section {
    /// The account's name, or which accounts these are.
    pub(super) name: String,
    /// Where the account comes from; follows the name.
    pub(super) origin: String,
    /// The lines.
    pub(super) lines: Vec<Line>,
}

/// With fewer accounts than this, each one is reported by itself.
const SEVERAL: usize = 3;

/// A line is common if at most one account in this many lacks it.
const ONE_OF: usize = 8;

/// Moves the lines that all accounts have, or all but a few, into sections of their own.
pub(super) fn take_common(accounts: &mut [Section]) -> Vec<Section> {
    if accounts.len() < SEVERAL {
        return Vec::new();
    }
    let mut having: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut order: Vec<&Line> = Vec::new();
    for (at, account) in accounts.iter().enumerate() {
        for line in &account.lines {
            let have = having.entry(&line.of_several).or_default();
            if have.is_empty() {
                order.push(line);
            }
            if have.last() != Some(&at) {
                have.push(at);
            }
        }
    }
    // Sorted by the accounts that lack a line: what all accounts have comes first.
    let mut common: BTreeMap<Vec<usize>, Vec<Line>> = BTreeMap::new();
    for line in order {
        let have = having.get(line.of_several.as_str()).map(Vec::as_slice).unwrap_or_default();
        let but: Vec<usize> = (0..accounts.len()).filter(|at| have.binary_search(at).is_err()).collect();
        let is_to_do_for_several = matches!(line.kind, Kind::ToDo(_)) && have.len() >= SEVERAL;
        if is_to_do_for_several || are_few(&but, accounts.len()) {
            let line = Line { own: line.of_several.clone(), ..line.clone() };
            common.entry(but).or_default().push(line);
        }
    }
    let sections: Vec<Section> = common
        .into_iter()
        .map(|(but, lines)| Section { name: name_of_all_but(&but, accounts), origin: String::new(), lines })
        .collect();
    for account in accounts {
        account.lines.retain(|line| !sections.iter().any(|section| section.has(line)));
    }
    sections
}

/// Whether these are few enough to be called exceptions.
fn are_few(but: &[usize], accounts: usize) -> bool {
    but.len().saturating_mul(ONE_OF) <= accounts
}

/// Returns a name for all accounts but these.
fn name_of_all_but(but: &[usize], accounts: &[Section]) -> String {
    let names = |so: &dyn Fn(&usize) -> bool| -> String {
        let named = accounts.iter().enumerate().filter(|(at, _)| so(at)).map(|(_, account)| account.name.as_str());
        named.collect::<Vec<_>>().join(", ")
    };
    match but {
        [] => format!("all {} accounts", accounts.len()),
        but if are_few(but, accounts.len()) => format!("all accounts but {}", names(&|at| but.contains(at))),
        but => names(&|at| !but.contains(at)),
    }
}

impl Section {
    fn has(&self, line: &Line) -> bool {
        self.lines.iter().any(|there| there.own == line.of_several)
    }

    /// Returns what has to be done, in a few words each.
    pub(super) fn to_do(&self) -> Vec<&str> {
        let to_do = self.lines.iter().filter_map(|line| match &line.kind {
            Kind::ToDo(what) => Some(what.as_str()),
            Kind::Became | Kind::Mentioned | Kind::Needless => None,
        });
        to_do.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(lines: &[&[&str]]) -> Vec<Section> {
        let section = |(at, lines): (usize, &&[&str])| Section {
            name: format!("a{at}"),
            origin: String::new(),
            lines: lines.iter().map(|line| Line::new(Kind::Mentioned, *line)).collect(),
        };
        lines.iter().enumerate().map(section).collect()
    }

    fn told(sections: &[Section]) -> Vec<(&str, Vec<&str>)> {
        sections
            .iter()
            .map(|section| (section.name.as_str(), section.lines.iter().map(|line| line.own.as_str()).collect()))
            .collect()
    }

    #[test]
    fn what_all_have_is_taken_out_once() {
        let mut accounts = sections(&[&["x", "own"], &["x", "y", "x"], &["y", "x"]]);
        let common = take_common(&mut accounts);
        assert_eq!(told(&common), [("all 3 accounts", vec!["x"])]);
        assert_eq!(told(&accounts), [("a0", vec!["own"]), ("a1", vec!["y"]), ("a2", vec!["y"])]);
    }

    #[test]
    fn one_account_of_eight_may_do_without() {
        let mut accounts = sections(&[&["x"], &["x"], &["x"], &["x"], &[], &["x"], &["x"], &["x"]]);
        assert_eq!(told(&take_common(&mut accounts)), [("all accounts but a4", vec!["x"])]);
        let mut accounts = sections(&[&["x"], &["x"], &["x"], &[], &["x"], &["x"], &["x"]]);
        assert!(take_common(&mut accounts).is_empty());
    }

    #[test]
    fn what_is_to_be_done_for_several_is_said_once_too() {
        let mut accounts = sections(&[&["x"], &["x"], &["x"], &[], &[], &[], &[]]);
        assert!(take_common(&mut accounts).is_empty());
        for line in accounts.iter_mut().flat_map(|account| &mut account.lines) {
            line.kind = Kind::ToDo("do".to_owned());
        }
        assert_eq!(told(&take_common(&mut accounts)), [("a0, a1, a2", vec!["x"])]);
        assert!(accounts[0].lines.is_empty());
    }

    #[test]
    fn two_accounts_are_told_of_one_by_one() {
        let mut accounts = sections(&[&["x"], &["x"]]);
        assert!(take_common(&mut accounts).is_empty());
        assert_eq!(accounts[1].lines.len(), 1);
    }
}
