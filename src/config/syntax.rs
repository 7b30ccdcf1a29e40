//! Repairs a file that is not TOML: reports every invalid line and replaces it by what was probably meant, so that the
//! rest of the file is checked in the same go. The repaired text is never used to fetch mail.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use toml::de::{DeTable, DeValue};

use super::Span;
use super::keys;
use super::line::{self, Diagnosis, begins_secret, diagnose, parses};
use super::problem::{MOST_TOLD, Problem};
use super::tangled::is_tangled;
use crate::account::AccountName;
use crate::text;

/// The longest multi-line value that is recognised, in lines. A longer one is examined line by line.
const LONGEST_VALUE: usize = 200;

/// How much text is parsed at most to find the ends of multi-line values, in bytes.
const MOST_JOINED: usize = 4 << 20;

/// How many remaining errors are reported at most after all lines have been examined.
const MOST_LEFT: usize = 20;

/// How much text is parsed at most to find those, in bytes, approximately: the whole text is parsed once for each.
const MOST_PARSED: usize = 16 << 20;

/// A prefix for the name of an account whose table occurs twice, which no user would write.
const TWICE: &str = "mailferry--twice-";

/// The repaired text, which is TOML, and the problems of the original.
pub(super) struct Repaired {
    /// Has as many lines as the original.
    pub(super) text: String,
    /// The problems of the original, with their positions in it.
    problems: Vec<Problem>,
    /// Whether a problem of the line was reported, by line number from 0.
    told: Vec<bool>,
    /// Keys whose values could not be recovered, so that they are not reported as missing.
    lost: HashSet<String>,
    /// A table's header could not be recovered, so accounts may be missing.
    lost_header: bool,
    /// Accounts whose table occurs twice: what one of the two lacks may be in the other.
    twice: HashSet<String>,
    /// How much of the original was examined, in bytes.
    pub(super) looked_at: usize,
    /// The offsets of the lines, in the original and in the repaired text.
    starts: (Vec<usize>, Vec<usize>),
    /// The offsets at which the lines of the original end.
    ends: Vec<usize>,
}

/// Reports the problems of a text that is not TOML, and repairs it.
pub(super) fn repair(text: &str) -> Repaired {
    let mut work = Work::new(text);
    let mut at = 0;
    while at < work.lines.len() && work.problems.len() < MOST_TOLD {
        at += work.statement(at);
    }
    let looked_at = work.original.get(at).map_or(text.len(), |(start, _)| *start);
    if at < work.lines.len() {
        work.stop(at);
    }
    work.rest();
    work.finish(text, looked_at)
}

impl Repaired {
    /// Returns the problems of the original: those of its lines, and those found in the repaired text on lines without
    /// a problem yet.
    pub(super) fn with(self, found: Vec<Problem>) -> Vec<Problem> {
        let Self { mut problems, told, lost, lost_header, twice, starts, ends, .. } = self;
        let lost_password = lost.iter().any(|key| keys::looks_secret(key) || key.starts_with(keys::PASSWORD));
        let line_of = |offset: usize| starts.1.partition_point(|start| *start <= offset).saturating_sub(1);
        let original = |offset: usize| {
            let line = line_of(offset);
            let into = offset.saturating_sub(starts.1.get(line).copied().unwrap_or(0));
            let start = starts.0.get(line).copied().unwrap_or(0);
            (start + into).min(ends.get(line).copied().unwrap_or(start))
        };
        for problem in found {
            let missing = problem.is_about_missing();
            let is_lost = |key: &str| if key == keys::PASSWORD { lost_password } else { lost.contains(key) };
            let elsewhere = lost_header
                || problem.missing_key().is_some_and(is_lost)
                || problem.account().is_some_and(|account| twice.contains(account));
            if missing && elsewhere {
                continue;
            }
            let said = problem.place().is_some_and(|place| told.get(line_of(place.start)) == Some(&true));
            if !said || missing {
                problems.push(problem.moved(|place| original(place.start)..original(place.end)).without(TWICE));
            }
        }
        problems
    }
}

/// A file being repaired.
struct Work<'a> {
    /// Each line without its line ending, and its offset.
    lines: Vec<(usize, Cow<'a, str>)>,
    /// The lines before any repair.
    original: Vec<(usize, &'a str)>,
    problems: Vec<Problem>,
    told: Vec<bool>,
    lost: HashSet<String>,
    lost_header: bool,
    twice: HashSet<String>,
    /// The current table, and the positions of the keys: sorted, so that the keys of one table are adjacent.
    table: Vec<String>,
    keys: BTreeMap<Vec<String>, Span>,
    headers: HashMap<Vec<String>, Span>,
    /// Lines are dropped until the next header, because the table they belong to is unknown.
    skipping: bool,
    /// A secret has begun and not ended. What follows may be the rest of it and is not reported.
    in_secret: bool,
    /// How many more bytes may be parsed to find the ends of multi-line values.
    left_to_join: usize,
}

impl<'a> Work<'a> {
    fn new(text: &'a str) -> Self {
        let mut original = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            original.push((at, line.trim_end_matches(['\n', '\r'])));
            at += line.len();
        }
        Self {
            lines: original.iter().map(|(at, line)| (*at, Cow::Borrowed(*line))).collect(),
            told: vec![false; original.len()],
            original,
            problems: Vec::new(),
            lost: HashSet::new(),
            lost_header: false,
            twice: HashSet::new(),
            table: Vec::new(),
            keys: BTreeMap::new(),
            headers: HashMap::new(),
            skipping: false,
            in_secret: false,
            left_to_join: MOST_JOINED,
        }
    }

    fn line(&self, at: usize) -> &'a str {
        self.original.get(at).map_or("", |(_, line)| line)
    }

    fn replace(&mut self, at: usize, by: String) {
        if let Some(line) = self.lines.get_mut(at) {
            line.1 = Cow::Owned(by);
        }
    }

    /// Reports a problem of a part of a line.
    fn tell(&mut self, at: usize, part: Span, problem: impl FnOnce(&Span) -> Problem) {
        let start = self.original.get(at).map_or(0, |(start, _)| *start);
        self.problems.push(problem(&(start + part.start..start + part.end)));
        if let Some(told) = self.told.get_mut(at) {
            *told = true;
        }
    }

    /// Examines the statement that begins in a line, and returns the number of lines it takes.
    fn statement(&mut self, at: usize) -> usize {
        let line = self.line(at);
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            return 1;
        }
        let key = content.split(['=', ':', ' ', '\t']).next().unwrap_or_default();
        self.in_secret &= !(content.starts_with('[') || keys::is_known(key));
        if self.in_secret {
            self.replace(at, String::new());
            return 1;
        }
        if parses(line) {
            self.good(at, line);
            return 1;
        }
        self.in_secret = begins_secret(content);
        if opens(content)
            && let Some(length) = self.several(at)
        {
            return length;
        }
        if self.skipping && !content.starts_with('[') {
            self.replace(at, String::new());
            return 1;
        }
        if line.len() > line::LONGEST {
            self.too_long(at, content);
            return 1;
        }
        let Diagnosis { part, message, help, repaired, key } = diagnose(line);
        // In `host = "a", username = "b"`, the keys after the first value are not missing.
        let behind = content.split_once('=').map_or("", |(_, behind)| behind);
        let words =
            behind.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| keys::is_known(word));
        self.lost.extend(words.map(str::to_owned));
        self.tell(at, part, |place| Problem::new(message).at(place).help(help));
        match repaired {
            Some(repaired) => {
                self.replace(at, repaired.clone());
                self.good(at, &repaired);
            }
            None => {
                // `accounts.work = { ...` would have defined an account.
                self.lost_header |= content.starts_with("accounts");
                self.lost.extend(key);
                self.replace(at, String::new());
                if content.starts_with('[') {
                    (self.lost_header, self.skipping) = (true, true);
                }
            }
        }
        1
    }

    /// Reports a line that is not TOML and too long to be diagnosed.
    fn too_long(&mut self, at: usize, content: &str) {
        let message =
            format!("this line is not TOML, and is too long to be looked into ({} bytes)", self.line(at).len());
        let help = "write each key and its value on a line of its own";
        let indent = self.line(at).len() - content.len();
        self.tell(at, indent..indent, |place| Problem::new(message).at(place).help(help));
        self.replace(at, String::new());
        self.lost_header = true;
        self.skipping |= content.starts_with('[');
    }

    /// Examines a value that spans lines: a valid one, or a string that is invalid or unterminated. Returns the number
    /// of lines, or None if it is to be examined line by line.
    fn several(&mut self, at: usize) -> Option<usize> {
        let first = self.line(at);
        let delimiter = ["\"\"\"", "'''"].into_iter().find(|delimiter| first.matches(delimiter).count() % 2 == 1);
        let mut joined = first.to_owned();
        for length in 2..=LONGEST_VALUE.min(self.original.len() - at) {
            let line = self.line(at + length - 1);
            if delimiter.is_none()
                && line.trim_start().starts_with('[')
                && parses(line)
                && line.contains(']')
                && !line.contains(',')
            {
                return None;
            }
            joined.push('\n');
            joined.push_str(line);
            self.left_to_join = self.left_to_join.saturating_sub(joined.len());
            if self.left_to_join == 0 {
                return None;
            }
            if parses(&joined) {
                self.good(at, first);
                return Some(length);
            }
            if delimiter.is_some_and(|delimiter| line.contains(delimiter)) {
                let wrong = "the text over several lines that begins here holds something that TOML does not allow";
                self.give_up(at, length, wrong, "write it on one line, in single quotes if there is a \\ in it");
                return Some(length);
            }
        }
        delimiter?;
        let rest = self.original.len() - at;
        self.give_up(
            at,
            rest,
            "the text over several lines that begins here has no end",
            "close it with the same three quotes",
        );
        self.lost_header = true;
        Some(rest)
    }

    /// Reports that there are too many mistakes. Nothing after this line is examined.
    fn stop(&mut self, at: usize) {
        let message = "there are too many mistakes, and what begins here was not looked at";
        let help = "mend those before first; `mailferry man 5` has examples of a configuration in TOML";
        self.tell(at, 0..self.line(at).len(), |place| Problem::new(message).at(place).help(help));
        (at..self.lines.len()).for_each(|line| self.replace(line, String::new()));
        self.lost_header = true;
    }

    fn give_up(&mut self, at: usize, length: usize, message: &str, help: &str) {
        let line = self.line(at);
        self.lost.extend(line.split('=').next().map(|key| key.trim().to_owned()));
        self.tell(at, 0..line.len(), |place| Problem::new(message).at(place).help(help));
        (at..at + length).for_each(|line| self.replace(line, String::new()));
    }

    /// Examines a line that is valid TOML on its own: reports a table or key that occurred before.
    fn good(&mut self, at: usize, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let (start, original) = self.original.get(at).copied().unwrap_or((0, ""));
        let Ok(table) = DeTable::parse(line).or_else(|_| DeTable::parse(line.split('=').next().unwrap_or_default()))
        else {
            return;
        };
        let path = path(table.get_ref());
        let indent = original.len() - original.trim_start().len();
        let whole = indent..original.trim_end().len();
        let place = start + whole.start..start + whole.end;
        if line.trim_start().starts_with("[[") && path == ["accounts"] {
            let help = "write [accounts.NAME], with the account's name in it, and its keys below";
            self.tell(at, whole, |place| {
                Problem::new("accounts are tables with a name, and no list").at(place).help(help)
            });
            self.replace(at, String::new());
            (self.lost_header, self.skipping) = (true, true);
        } else if line.trim_start().starts_with("[[") {
            self.skipping = false;
            self.table = path;
            // Each entry of an array of tables begins without keys.
            let from_there = self.keys.range(self.table.clone()..).map(|(key, _)| key);
            let keys: Vec<_> = from_there.take_while(|key| key.starts_with(&self.table)).cloned().collect();
            keys.iter().for_each(|key| _ = self.keys.remove(key));
        } else if line.trim_start().starts_with('[') {
            self.skipping = false;
            self.header(at, path, &whole, place);
        } else if self.skipping {
            self.replace(at, String::new());
        } else {
            let key: Vec<String> = self.table.iter().cloned().chain(path.iter().cloned()).collect();
            match self.keys.get(&key).cloned() {
                None => _ = self.keys.insert(key, place),
                Some(first) => {
                    let shown = text::value(path.last().map_or("", String::as_str));
                    let message = format!("`{shown}` is set twice in the same table");
                    let help = self.help_for_twins();
                    self.tell(at, whole, |place| {
                        Problem::new(message).at(place).also(&first, "the first one").help(help)
                    });
                    self.replace(at, String::new());
                }
            }
        }
    }

    /// Returns what to do about a key that occurs twice in the current table.
    fn help_for_twins(&self) -> String {
        let one = "remove one";
        match self.table.as_slice() {
            [accounts, _] if accounts == "accounts" => format!("{one}, or give the second account a table of its own"),
            [accounts, name, rules] if accounts == "accounts" && rules == "rules" => {
                format!("{one}, or begin a second rule with [[accounts.{}.rules]]", text::key(name))
            }
            _ => one.to_owned(),
        }
    }

    fn header(&mut self, at: usize, path: Vec<String>, whole: &Span, place: Span) {
        let Some(first) = self.headers.get(&path).cloned() else {
            self.headers.insert(path.clone(), place);
            self.table = path;
            return;
        };
        let shown = path.iter().map(|part| text::value(part)).collect::<Vec<_>>().join(".");
        let message = format!("the table [{shown}] is defined twice");
        let help = match path.as_slice() {
            [accounts, _] if accounts == "accounts" => {
                "give the second account another name, or put its keys under the first one"
            }
            _ => "put the keys of the second one under the first one",
        };
        self.tell(at, whole.clone(), |place| Problem::new(message).at(place).also(&first, "the first one").help(help));
        match path.as_slice() {
            [accounts, name] if accounts == "accounts" && AccountName::new(name).is_ok() => {
                let another = format!("{TWICE}{at}-{name}");
                self.twice.extend([name.clone(), another.clone()]);
                self.replace(at, format!("[accounts.\"{another}\"]"));
                self.table = vec![accounts.clone(), another];
            }
            _ => {
                self.replace(at, String::new());
                self.skipping = true;
            }
        }
    }

    /// Reports what is still not TOML although every line is on its own.
    fn rest(&mut self) {
        let text = self.text();
        if is_tangled(&text) {
            self.forget_all();
            return;
        }
        for _ in 0..(MOST_PARSED / text.len().max(1)).clamp(2, MOST_LEFT) {
            let text = self.text();
            let Err(error) = DeTable::parse(&text) else { return };
            let offset = error.span().map_or(0, |span| span.start);
            let at = text.get(..offset).map_or(0, |before| before.matches('\n').count());
            let message = format!("this is not TOML: {}", text::value(error.message()));
            if self.told.get(at) == Some(&false) {
                let length = self.line(at).len();
                let help = "strings are quoted, and a key is set only once in a table";
                self.tell(at, 0..length, |place| Problem::new(message).at(place).help(help));
            }
            if self.lines.get(at).is_none_or(|(_, line)| line.is_empty()) {
                break;
            }
            self.lost_header |= self.line(at).trim_start().starts_with('[');
            self.lost.extend(self.line(at).split('=').next().map(|key| key.trim().to_owned()));
            self.replace(at, String::new());
        }
        if DeTable::parse(&self.text()).is_err() {
            self.forget_all();
        }
    }

    /// Drops all lines.
    fn forget_all(&mut self) {
        self.lines.iter_mut().for_each(|line| line.1 = Cow::Borrowed(""));
        self.lost_header = true;
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|(_, line)| [line.as_ref(), "\n"]).collect()
    }

    fn finish(self, text: &str, looked_at: usize) -> Repaired {
        let repaired = self.text();
        let starts = |text: &str| -> Vec<usize> {
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
        };
        let ends = self.original.iter().map(|(start, line)| start + line.len()).collect();
        let starts = (starts(text), starts(&repaired));
        let Self { problems, told, lost, lost_header, twice, .. } = self;
        Repaired { text: repaired, problems, told, lost, lost_header, twice, looked_at, starts, ends }
    }
}

/// Whether a value may continue on the next line.
fn opens(content: &str) -> bool {
    let value = content.split_once('=').map_or("", |(_, value)| value);
    content.contains("\"\"\"") || content.contains("'''") || value.trim_start().starts_with(['[', '{'])
}

/// Returns the keys that lead to the only value or table of a line.
fn path(table: &DeTable<'_>) -> Vec<String> {
    let mut path = Vec::new();
    let mut inner = Some(table);
    while let Some((key, value)) = inner.and_then(|table| table.iter().next()) {
        path.push(key.get_ref().to_string());
        inner = match value.get_ref() {
            DeValue::Table(table) if table.len() < 2 => Some(table),
            _ => None,
        };
    }
    path
}
