//! Reads a configuration without problems or warnings table by table, holding the TOML of only one of a hundred
//! thousand accounts at a time.
//!
//! The text is cut where a line begins with the header of an account's table. If that is inside a string or a
//! multi-line array, the piece before it is not TOML; so if every piece is valid, the result is the same as for the
//! whole. Everything else is read in one go ([`super::parse`]): errors and warnings, accounts that are defined in two
//! places, tables after the accounts.

use std::collections::HashSet;
use std::path::Path;

use memchr::memmem;
use toml::de::DeTable;

use super::parse::{Above, Reader, Tables};
use super::{Span, tangled};
use crate::account::Account;

/// How the header of an account's table begins.
const HEADER: &str = "[accounts.";

/// The same, with the end of the line before.
const NEXT: &str = "\n[accounts.";

/// In a piece up to this size, in bytes, there is no room for enough tables to slow down the parser.
const LONGEST_PIECE: usize = 16 << 10;

/// The contents of a configuration without problems or warnings.
pub(super) struct Good<T> {
    /// The settings outside the accounts.
    pub(super) above: Above,
    /// The position of the first password in its piece, if there is one.
    pub(super) password: Option<Span>,
    /// What `make` returned for the accounts, in the order of the file.
    pub(super) accounts: Vec<T>,
}

/// Reads a text, and passes each account to `make`. Returns None if the text must be read in one go.
pub(super) fn read<T>(text: &str, home: Option<&Path>, make: impl Fn(Account) -> T) -> Option<Good<T>> {
    let first = if is_account(text) { 0 } else { next(text)? };
    let (top, mut rest) = text.split_at_checked(first)?;
    if tangled::is_tangled(top) {
        return None;
    }
    let top = DeTable::parse(top).ok()?;
    let top = top.get_ref();
    if top.contains_key("accounts") {
        return None;
    }
    let mut reader = Reader::new(home);
    let above = reader.above(top);
    let defaults = reader.defaults(top);
    let (mut accounts, mut names) = (Vec::new(), HashSet::new());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at_checked(next(rest).unwrap_or(rest.len()))?;
        let account = account(piece, &mut reader, &defaults)?;
        let is_new = names.insert(account.name.clone());
        if !is_new || !reader.problems.is_empty() || !reader.warnings.is_empty() {
            return None;
        }
        accounts.push(make(account));
        rest = behind;
    }
    reader.compare_accounts();
    let is_good = reader.problems.is_empty() && reader.warnings.is_empty();
    is_good.then_some(Good { above, password: reader.password, accounts })
}

/// Reads the account in a piece. Returns None if the piece contains anything else.
fn account(piece: &str, reader: &mut Reader<'_>, defaults: &Tables) -> Option<Account> {
    if piece.len() > LONGEST_PIECE && tangled::is_tangled(piece) {
        return None;
    }
    let top = DeTable::parse(piece).ok()?;
    let top = top.get_ref();
    let accounts = top.get("accounts").filter(|_| top.len() == 1)?.get_ref().as_table()?;
    let (key, value) = accounts.iter().next().filter(|_| accounts.len() == 1)?;
    reader.account(key, value, defaults)
}

/// Returns the offset of the next line, after the first, that begins with the header of an account's table.
fn next(text: &str) -> Option<usize> {
    let lines = memmem::find_iter(text.as_bytes(), NEXT).map(|newline| newline + 1);
    lines.into_iter().find(|line| text.get(*line..).is_some_and(is_account))
}

/// Whether a text begins with the header of an account's table, as opposed to a table within it.
fn is_account(text: &str) -> bool {
    let Some(name) = text.strip_prefix(HEADER) else { return false };
    let quoted = name.strip_prefix(['"', '\'']);
    let name = quoted.unwrap_or(name);
    let in_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || (quoted.is_some() && "@.".contains(c));
    let rest = name.trim_start_matches(in_name);
    rest.strip_prefix(['"', '\'']).filter(|_| quoted.is_some()).unwrap_or(rest).starts_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::parse;

    fn account(name: &str, more: &str) -> String {
        format!(
            "[accounts.{name}]\nhost = \"pop.example.org\"\nusername = \"jo\"\npassword = \"p\"\nmaildir = \"/m\"\n{more}\n"
        )
    }

    /// Reads the accounts table by table.
    fn accounts(text: &str) -> Option<Vec<Account>> {
        read(text, None, std::convert::identity).map(|good| good.accounts)
    }

    #[test]
    fn what_is_read_table_by_table_is_what_is_read_in_one_go() {
        let (a, b, dotted) = (account("a", ""), account("\"b\"", ""), account("'c.d@e'", "enabled = false"));
        let rules = "[[accounts.x.rules]]\nforward = true\nheader = \"A\"\nequals = \"b\"\n";
        let forward = "[accounts.x.forward]\ncommand = [\n  \"c\",\n  \"[accounts.y]\",\n]\n";
        let head = "# [accounts.z]\nstate_dir = \"\"\"/a\\\n  [accounts.z]\"\"\"\n[defaults]\ninterval = \"7m\"\n";
        for text in [
            a.clone(),
            format!("{a}{b}{dotted}"),
            format!("{head}{dotted}{a}"),
            format!("{}{rules}{forward}{b}", account("x", "")),
            format!("{head}{a}{b}").replace('\n', "\r\n"),
            format!("{a}[accounts.b] # another\n{}", account("b", "").split_once('\n').unwrap().1),
            format!("\n\n{b}# the end"),
        ] {
            let whole = parse(&text, None);
            assert!(whole.problems.is_empty(), "{text}\n{:?}", whole.problems);
            assert_eq!(accounts(&text), Some(whole.accounts), "{text}");
        }
        let good = read(&format!("{head}{a}{b}"), None, |account| account.interval).unwrap();
        assert_eq!(good.above.state_dir.as_deref(), Some(Path::new("/a[accounts.z]")));
        assert!(good.password.is_some());
        assert!(good.accounts.iter().all(|interval| interval.shortest.as_secs() == 7 * 60));
    }

    #[test]
    fn all_else_is_left_to_who_reads_in_one_go() {
        let (a, b) = (account("a", ""), account("b", ""));
        for text in [
            String::new(),
            "[defaults]\n".to_owned(),
            format!("[accounts]\n{a}"),
            format!("accounts = {{}}\n{a}"),
            format!("[accounts.b.forward]\ncommand = [\"c\"]\n{a}"),
            // In two places.
            format!("{a}{b}{a}"),
            format!("{a}{b}[accounts.a.forward]\ncommand = [\"c\"]\n"),
            format!("{a}{}", account("\"a\"", "")),
            // After the accounts.
            format!("{a}{b}[defaults]\ninterval = \"7m\"\n"),
            // In a string, in an array.
            format!("{a}on_new_mail = [\"\"\"\n[accounts.x]\n\"\"\"]\n{b}"),
            format!("{a}on_new_mail = [\n[accounts.x]\n]\n{b}"),
            // Wrong, or worth a warning.
            format!("{a}{}", account("c.d", "")),
            format!("{a}{}", account(".d", "")),
            format!("{a}{}", account("c", "port = 0")),
            format!("{a}{}", account("c", "prot = 1")),
            format!("{a}{}", account("c", "tls = \"starttls\"\nport = 995")),
            format!("{a}[accounts.c]\n"),
            format!("{a}[accounts.c\n"),
            format!("[daemon]\nconcurrency = 0\n{a}"),
        ] {
            assert!(accounts(&text).is_none(), "{text}");
        }
    }
}
