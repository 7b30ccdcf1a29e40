//! `[[accounts.NAME.rules]]`: each rule is checked by itself, and resolved once the account's Maildir is known.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Span;
use super::keys::Level;
use super::path;
use super::problem::{MOST_TOLD, Problem};
use super::unknown::report_unknown;
use super::value::{At, InvalidValue, Setting, boolean, plain_text, read, wrong_type};
use crate::account::AccountName;
use crate::routing::{Condition, InvalidPattern, OtherMaildir, Pattern, Rule, Rules, Target};
use crate::text;

/// A rule as written in the file.
#[derive(Debug, Clone)]
pub(super) struct RuleTable {
    condition: Condition,
    target: TargetKey,
}

/// The target of a rule, as written.
#[derive(Debug, Clone)]
enum TargetKey {
    /// `maildir`; `{account}` is not yet expanded.
    Maildir(String),
    /// `folder`.
    Folder(String),
    /// `forward`.
    Forward,
    /// `skip`.
    Skip,
}

/// The longest name of a header field or a folder, in octets.
const NAME: usize = 200;

const HEADER: &str = "the name of a header field, such as \"List-Id\"";

/// Reads the rules of a table.
pub(super) fn rules(
    table: &DeTable<'_>,
    level: Level<'_>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Setting<Vec<RuleTable>> {
    let Some((key, value)) = table.get_key_value("rules") else { return Setting::Absent };
    let (place, before) = (level.name(), problems.len());
    let example = format!(
        "[[accounts.{}.rules]] on a line of its own, and the rule's keys below it",
        text::key(place.unwrap_or("NAME"))
    );
    let tables = value.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
    let Some(tables) = tables else {
        let InvalidValue { message, help } = wrong_type(value.get_ref(), "an array of tables", &example);
        problems.push(Problem::new(format!("`rules` {message}")).at(&value.span()).help(help));
        return Setting::Bad;
    };
    let mut rules = Vec::with_capacity(tables.len());
    for table in tables.iter().filter_map(|item| item.get_ref().as_table()) {
        if problems.len() > MOST_TOLD {
            break;
        }
        rules.extend(Reader { table, key: key.span(), level, home, problems }.rule());
    }
    if problems.len() > before { Setting::Bad } else { Setting::Given(At { value: rules, span: key.span() }) }
}

/// Reads one rule.
struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    /// The position of the key `rules`.
    key: Span,
    level: Level<'a>,
    home: Option<&'a Path>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_, '_> {
    fn rule(mut self) -> Option<RuleTable> {
        let meant = report_unknown(self.table, Level::Rule(self.level.name()), self.problems);
        // A key that is merely misspelt is not reported as missing.
        let is_meant = |keys: &[&str]| meant.iter().any(|key| keys.contains(key));
        let header = read(self.table, "header", self.problems, field_name);
        if matches!(header, Setting::Absent) && !is_meant(&["header"]) {
            self.report("a rule has no `header`", format!("add {HEADER}"));
        }
        let patterns = if is_meant(&["equals", "contains", "matches"]) { None } else { self.patterns() };
        let target = if is_meant(&["maildir", "folder", "forward", "skip"]) { None } else { self.target() };
        let condition = Condition::new(header.value()?, patterns?);
        Some(RuleTable { condition, target: target? })
    }

    /// Reads the patterns that the field is compared with.
    fn patterns(&mut self) -> Option<Vec<Pattern>> {
        let help = "a rule compares the field by one of `equals`, `contains` and `matches`; each takes several texts in an \
                    array";
        let ways: [(&str, MakePattern); 3] =
            [("equals", Pattern::equals), ("contains", Pattern::contains), ("matches", Pattern::matches)];
        let key = self.only_one(&ways.map(|(key, _)| key), "says what the field is compared with", help)?;
        let (_, make) = ways.into_iter().find(|(way, _)| *way == key)?;
        read(self.table, key, self.problems, |value| patterns(value, make)).value().cloned()
    }

    /// Reads the target of matching messages.
    fn target(&mut self) -> Option<TargetKey> {
        let help = "a rule leads to a Maildir (`maildir`), to a folder of the account's Maildir (`folder`), to where the account \
                    forwards (`forward = true`), or leaves the message on the server (`skip = true`)";
        let home = self.home;
        match self.only_one(&["maildir", "folder", "forward", "skip"], "says where the message goes", help)? {
            "maildir" => {
                let maildir = read(self.table, "maildir", self.problems, |value| {
                    let text = plain_text(value, "a path such as \"~/Mail/lists\"")?;
                    path::only_account_in_braces(text)?;
                    path::absolute(text, home).map(|_| text.to_owned())
                });
                maildir.value().cloned().map(TargetKey::Maildir)
            }
            "folder" => read(self.table, "folder", self.problems, folder).value().cloned().map(TargetKey::Folder),
            "forward" => self.truth("forward", TargetKey::Forward, help),
            _ => self.truth("skip", TargetKey::Skip, help),
        }
    }

    /// Reads a key whose only valid value is true.
    fn truth(&mut self, key: &str, meaning: TargetKey, help: &str) -> Option<TargetKey> {
        let read = read(self.table, key, self.problems, |value| match boolean(value)? {
            true => Ok(()),
            false => Err(InvalidValue::new("is false, which leads nowhere", format!("write {key} = true; {help}"))),
        });
        read.value().map(|()| meaning)
    }

    /// Returns the one key that is present, and reports if there is none or more than one.
    fn only_one(&mut self, keys: &[&'static str], what: &str, help: &str) -> Option<&'static str> {
        let present: Vec<&'static str> = keys.iter().copied().filter(|key| self.table.contains_key(*key)).collect();
        match present.as_slice() {
            [one] => return Some(one),
            [] => self.report(&format!("nothing in a rule {what}"), help),
            [first, second, ..] => {
                let message = format!("`{first}` and `{second}` are in the same rule, and only one of them {what}");
                let at = self.table.get_key_value(*second).map_or_else(|| self.key.clone(), |(key, _)| key.span());
                self.problems.push(Problem::new(message).at(&at).help(help));
            }
        }
        None
    }

    /// Reports a problem of the rule as a whole, at its first key.
    fn report(&mut self, message: &str, help: impl Into<String>) {
        let first = self.table.iter().map(|(key, _)| key.span()).min_by_key(|span| span.start);
        self.problems.push(Problem::new(message).at(&first.unwrap_or_else(|| self.key.clone())).help(help));
    }
}

type MakePattern = fn(&str) -> Result<Pattern, InvalidPattern>;

/// Reads one pattern, or several in an array.
fn patterns(value: &DeValue<'_>, make: MakePattern) -> Result<Vec<Pattern>, InvalidValue> {
    let example = "a string in quotes, or several in an array";
    let one = |value: &DeValue<'_>| {
        let invalid = |pattern: InvalidPattern| InvalidValue::new(pattern.to_string(), what_to_write(pattern));
        if value.as_str() == Some("") {
            return Err(invalid(InvalidPattern::Empty));
        }
        make(plain_text(value, example)?).map_err(invalid)
    };
    match value.as_array() {
        None => Ok(vec![one(value)?]),
        Some(several) if several.is_empty() => Err(InvalidValue::new("is empty", format!("write {example}"))),
        Some(several) => several.iter().map(|value| one(value.get_ref())).collect(),
    }
}

/// Returns what to write in place of an invalid pattern.
fn what_to_write(invalid: InvalidPattern) -> &'static str {
    match invalid {
        InvalidPattern::Empty => "write the text of the field; if any will do, matches = \"*\"",
        InvalidPattern::TooLong => "write a part of it that is enough, with `contains`, or with `matches` and a `*`",
        InvalidPattern::LoneBackslash => {
            "for a backslash itself write two, in single quotes: matches = 'C:\\\\*'; otherwise leave it out"
        }
    }
}

/// Reads the name of a header field (RFC 5322, section 2.2).
pub(super) fn field_name(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let text = plain_text(value, HEADER)?;
    let is_name = text.len() <= NAME && text.bytes().all(|c| matches!(c, 33..=126) && c != b':');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(InvalidValue::new("is not the name of a header field", format!("write {HEADER}, without a colon or blanks")))
}

/// Reads the name of a Maildir++ folder: its levels, separated by dots.
fn folder(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let example = "the folder's name with a dot between its levels, such as \"Lists.Work\"";
    let text = plain_text(value, example)?;
    let is_name = text.len() <= NAME && !text.contains('/') && text.split('.').all(|level| !level.trim().is_empty());
    if is_name {
        return Ok(text.to_owned());
    }
    Err(InvalidValue::new(
        "is not the name of a folder: it has a slash, an empty level or more than 200 octets",
        format!("write {example}; a Maildir elsewhere is named by `maildir`"),
    ))
}

impl RuleTable {
    /// Whether the rule forwards messages.
    pub(super) fn forwards(&self) -> bool {
        matches!(self.target, TargetKey::Forward)
    }

    /// Whether the rule delivers into a folder of the account's Maildir.
    pub(super) fn has_folder(&self) -> bool {
        matches!(self.target, TargetKey::Folder(_))
    }
}

/// Resolves the rules for an account with this name and Maildir.
pub(super) fn resolve(tables: &[RuleTable], name: &AccountName, maildir: &Path, home: Option<&Path>) -> Rules {
    let rule = |table: &RuleTable| {
        let target = match &table.target {
            // The syntax was checked when the value was read; the name cannot make it invalid.
            TargetKey::Maildir(text) => {
                let path = path::absolute(&text.replace("{account}", name.as_str()), home).ok()?;
                Target::Maildir(OtherMaildir { path, is_folder: false })
            }
            TargetKey::Folder(folder) => {
                Target::Maildir(OtherMaildir { path: maildir.join(format!(".{folder}")), is_folder: true })
            }
            TargetKey::Forward => Target::Maildir(OtherMaildir { path: name.spool(), is_folder: false }),
            TargetKey::Skip => Target::Skip,
        };
        Some(Rule { condition: table.condition.clone(), target })
    };
    Rules::new(tables.iter().filter_map(rule).collect())
}
