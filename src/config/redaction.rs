//! The text of the file without its secrets, so that a line can be shown in an error.
//!
//! Hidden is what stands under a key that may be meant for a secret, misspelt or not, and, in a line that is not TOML,
//! whatever does not clearly belong to another key: a password may stand there, too.

use toml::de::{DeTable, DeValue};

use super::line::{self, begins_secret};
use super::{Span, keys};

/// No more of a line is shown, in bytes.
const LONGEST_SHOWN: usize = 2 << 10;

/// What stands in the place of a value that is not shown.
const MASK: &str = "\"[secret]\"";

/// The text with masks in it. Every line keeps its number.
pub(super) struct Masked {
    text: String,
    /// In the order of the text.
    cuts: Vec<Cut>,
    /// Where the newlines are, so that a line's number is found without counting through the text.
    newlines: Vec<usize>,
}

/// A range that was replaced.
#[derive(Debug)]
struct Cut {
    /// In the original.
    from: Span,
    /// The mask, in the masked text.
    to: Span,
    /// Where the text goes on in the masked text: after the mask and the newlines that were inside the secret.
    next: usize,
}

/// Without the text, because a comment may hold an old password.
impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masked").field("cuts", &self.cuts).finish_non_exhaustive()
    }
}

impl Masked {
    /// The text of a file that is TOML.
    pub(super) fn of_table(text: &str, table: &DeTable<'_>) -> Self {
        let mut secrets = Vec::new();
        collect(table, false, &mut secrets);
        let mut hidden: Vec<(Span, &str)> = secrets.into_iter().map(|span| (span, MASK)).collect();
        comments(text, table, &mut hidden);
        Self::new(text, hidden)
    }

    /// The text of a file that is not TOML, judged line by line. What begins behind the end of what was looked at is not
    /// shown.
    pub(super) fn of_broken(text: &str, looked_at: usize) -> Self {
        let mut secrets = Vec::new();
        let mut offset = 0;
        let mut open = None;
        let mut secret_goes_on = false;
        for line in text.split_inclusive('\n') {
            let body = line.trim_end_matches(['\n', '\r']);
            if offset >= looked_at {
                secrets.push((offset..offset + body.len(), MASK));
                offset += line.len();
                continue;
            }
            let shown = match open {
                Some(_) => 0,
                None if body.len() > line::LONGEST => {
                    secret_goes_on |= begins_secret(body);
                    0
                }
                None => {
                    let (shown, goes_on) = shown_prefix(body, secret_goes_on);
                    secret_goes_on = goes_on || begins_secret(body);
                    shown
                }
            };
            if shown < body.len() {
                secrets.push((offset + shown..offset + body.len(), MASK));
            }
            open = match open {
                Some(delimiter) if body.contains(delimiter) => None,
                Some(delimiter) => Some(delimiter),
                None => opened_string(body),
            };
            offset += line.len();
        }
        Self::new(text, secrets)
    }

    /// Each of the ranges is replaced by the text beside it.
    fn new(text: &str, mut hidden: Vec<(Span, &str)>) -> Self {
        hidden.sort_by_key(|(span, _)| (span.start, span.end));
        let mut masked = Self { text: String::with_capacity(text.len()), cuts: Vec::new(), newlines: Vec::new() };
        let mut at = 0;
        for (from, mask) in hidden {
            let from = from.start.max(at)..from.end;
            if from.is_empty() {
                continue;
            }
            masked.text.push_str(text.get(at..from.start).unwrap_or_default());
            let start = masked.text.len();
            masked.text.push_str(mask);
            let to = start..masked.text.len();
            let newlines = text.get(from.clone()).unwrap_or_default().matches('\n');
            masked.text.extend(newlines);
            at = from.end;
            masked.cuts.push(Cut { from, to, next: masked.text.len() });
        }
        masked.text.push_str(text.get(at..).unwrap_or_default());
        masked.text = tame(&masked.text);
        masked.newlines = masked.text.match_indices('\n').map(|(offset, _)| offset).collect();
        masked
    }

    /// Where a range of the original is in the masked text. Of a range over several lines, the part in the first.
    pub(super) fn place_of(&self, original: &Span) -> Span {
        let start = self.start_of(original.start);
        let end = self.end_of(original.end).max(start);
        let first_line = self.text.get(start..end).and_then(|place| place.find(['\n', '\r']));
        start..first_line.map_or(end, |length| start + length)
    }

    /// Where something that begins at this offset of the original begins.
    fn start_of(&self, offset: usize) -> usize {
        let moved = match self.last_cut(|cut| cut.from.start <= offset) {
            None => offset,
            Some(cut) => match offset.checked_sub(cut.from.end) {
                None => cut.to.start,
                Some(beyond) => cut.next + beyond,
            },
        };
        moved.min(self.text.len())
    }

    /// Where something that ends at this offset of the original ends.
    fn end_of(&self, offset: usize) -> usize {
        let moved = match self.last_cut(|cut| cut.from.start < offset) {
            None => offset,
            Some(cut) => match offset.checked_sub(cut.from.end) {
                None | Some(0) => cut.to.end,
                Some(beyond) => cut.next + beyond,
            },
        };
        moved.min(self.text.len())
    }

    fn last_cut(&self, is_before: impl Fn(&Cut) -> bool) -> Option<&Cut> {
        let before = self.cuts.partition_point(is_before);
        before.checked_sub(1).and_then(|last| self.cuts.get(last))
    }

    /// The whole line around the beginning of a place of the masked text, and the offset at which it begins. Of a long one
    /// its beginning; none if the place is not in that.
    pub(super) fn line(&self, around: &Span) -> (usize, Option<&str>) {
        let before = self.newlines.partition_point(|newline| *newline < around.start);
        let start = before.checked_sub(1).and_then(|last| self.newlines.get(last)).map_or(0, |newline| newline + 1);
        let end = self.newlines.get(before).copied().unwrap_or(self.text.len());
        let mut ends = (start..=end.min(start.saturating_add(LONGEST_SHOWN))).rev();
        let end = ends.find(|end| self.text.is_char_boundary(*end)).unwrap_or(start);
        (start, self.text.get(start..end).filter(|_| around.start <= end))
    }

    /// The number of the line of an offset of the masked text, from 1.
    pub(super) fn line_number(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }
}

/// A text whose control characters, and those that turn the direction of reading, are replaced by harmless ones of the same
/// length in bytes.
fn tame(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut tamed = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        let ends_line = c == '\n' || (c == '\r' && chars.peek() == Some(&'\n'));
        let changes_others = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        tamed.push(match c.len_utf8() {
            1 if c.is_control() && c != '\t' && !ends_line => '?',
            2 if c.is_control() => '¿',
            3 if changes_others => '\u{fffd}',
            _ => c,
        });
    }
    tamed
}

/// Finds the values that are not shown: passwords, and what stands under a key that may be meant as one.
fn collect(table: &DeTable<'_>, all: bool, secrets: &mut Vec<Span>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let is_password = all || keys::is_secret(key);
        let hidden = is_password || (!keys::is_shown(key) && keys::looks_secret(key));
        match value.get_ref() {
            DeValue::Table(inner) => {
                // The span of a table with dotted keys is not where its values are.
                collect(inner, is_password, secrets);
                if is_password {
                    secrets.push(value.span());
                }
            }
            DeValue::Array(items) if !hidden || items.iter().all(|item| item.get_ref().is_table()) => {
                for inner in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    collect(inner, is_password, secrets);
                }
            }
            _ if hidden => secrets.push(value.span()),
            _ => {}
        }
    }
}

/// Finds the comments behind values and headers. An old password may stand in one, so they are left out; what stands
/// on lines of its own is never shown anyway.
fn comments(text: &str, table: &DeTable<'_>, hidden: &mut Vec<(Span, &str)>) {
    for (key, value) in table {
        for end in [key.span().end, value.span().end] {
            let behind = text.get(end..).unwrap_or_default();
            let comment = behind.trim_start_matches([' ', '\t', ']', '}', ',']);
            // There may be many values in a line, so its end is looked for where there is a comment only.
            if comment.starts_with('#') {
                let start = end + behind.len() - comment.len();
                hidden.push((start..start + comment.lines().next().unwrap_or_default().len(), ""));
            }
        }
        match value.get_ref() {
            DeValue::Table(inner) => comments(text, inner, hidden),
            DeValue::Array(items) => {
                items
                    .iter()
                    .filter_map(|item| item.get_ref().as_table())
                    .for_each(|inner| comments(text, inner, hidden));
            }
            _ => {}
        }
    }
}

/// How much of a line may be shown when nothing is known but the line, and whether a secret may go on behind it.
fn shown_prefix(line: &str, secret_goes_on: bool) -> (usize, bool) {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    if let Some(header) = content.strip_prefix('[') {
        return match header_prefix(header) {
            Some(length) => (indent + 1 + length, false),
            None => (indent, secret_goes_on),
        };
    }
    let first = content.split([' ', '\t']).next().unwrap_or_default();
    if let Some(word) = SHOWN_WORDS.into_iter().find(|word| first == *word && !keys::is_shown(word)) {
        let blanks = content.len() - word.len() - content.get(word.len()..).unwrap_or_default().trim_start().len();
        return (indent + word.len() + blanks, secret_goes_on);
    }
    if [";", "//", "- ", "/*", "-- ", "REM ", "% "].iter().any(|mark| content.starts_with(mark)) {
        let shown = !secret_goes_on && !mentions_secret(content) && !content.contains(['"', '\'']);
        return (if shown { line.len() } else { indent }, secret_goes_on);
    }
    // A key in quotes, as JSON has it.
    let quoted = content
        .strip_prefix('"')
        .and_then(|rest| rest.split_once('"'))
        .filter(|(key, rest)| keys::is_shown(key) && rest.trim_start().starts_with([':', '=']));
    let ends = ['=', ':', '"', '\'', ' ', '\t', '{', '#', '\u{a0}', '＝'];
    let key_end = content.find(ends).unwrap_or(content.len());
    let (key, rest) = quoted.or_else(|| content.split_at_checked(key_end)).unwrap_or((content, ""));
    let typed: String;
    let key = match key.contains(['–', '—', '‐', '‑']) {
        true => {
            typed = key.replace(['–', '—', '‐', '‑'], "_");
            typed.as_str()
        }
        false => key,
    };
    let name = key.rsplit('.').next().unwrap_or(key);
    let after_key = rest.trim_start();
    let value = after_key.trim_start_matches(['=', ':', '>', '＝']).trim_start();
    let has_sign = after_key.starts_with(['=', ':', '＝']);
    let before_value = line.len() - value.len();
    if keys::is_shown(name) {
        let shown = if value.starts_with('[') { list_prefix(value) } else { first_value(value) };
        return (before_value + shown, false);
    }
    if !has_sign {
        return (indent, secret_goes_on);
    }
    let plausible = name.len() >= SHORTEST_KEY && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if key.split('.').any(keys::looks_secret) {
        return (before_value, secret_goes_on);
    }
    match plausible && !secret_goes_on {
        true => (before_value + first_value(value), false),
        false => (before_value, secret_goes_on),
    }
}

/// Words of other languages, of which something is said.
const SHOWN_WORDS: [&str; 13] = [
    "account", "daemon", "export", "import", "include", "poll", "require", "server", "set", "setenv", "skip", "source",
    "*/",
];

/// A shorter word in front of a sign may be a part of something else.
const SHORTEST_KEY: usize = 3;

/// Whether anything in this may be the name of a secret.
fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| !word.is_empty() && keys::looks_secret(word))
}

/// How much of this may be shown as the list of a harmless key: plain words, in quotes or without. What follows on anything
/// else may be anything.
fn list_prefix(text: &str) -> usize {
    let plain = |c: char| c.is_alphanumeric() || "._-:/~+@ ".contains(c);
    let mut rest = text;
    loop {
        let behind = rest.trim_start_matches(['[', ']', ',', ' ', '\t']);
        let is_closed = rest.get(..rest.len() - behind.len()).is_some_and(|gap| gap.contains(']'));
        rest = behind;
        let shown = text.len() - rest.len();
        if is_closed {
            return shown;
        }
        let word = match rest.chars().next() {
            None => return text.len(),
            Some(quote @ ('"' | '\'')) => rest.get(1..).and_then(|inside| inside.find(quote)).map(|end| end + 2),
            Some(_) => rest.find(|c: char| !plain(c) || c == ' ').or(Some(rest.len())),
        };
        let Some((word, behind)) = word.and_then(|length| rest.split_at_checked(length)) else { return shown };
        let is_apart = behind.is_empty() || behind.starts_with([']', ',', ' ', '\t']);
        if word.is_empty() || !is_apart || !word.trim_matches(['"', '\'']).chars().all(plain) {
            return shown;
        }
        rest = behind;
    }
}

/// How much of this may be shown as the value of a harmless key: one plain word or one string, and the blanks behind it.
/// What follows may be anything.
fn first_value(text: &str) -> usize {
    let plain = |c: char| c.is_alphanumeric() || "._-:/~+@".contains(c);
    let length = match text.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => {
            text.char_indices().skip(1).find(|(_, c)| *c == quote).map(|(at, _)| at + 1)
        }
        Some('“' | '„' | '”' | '«' | '‘' | '’') => {
            let mut behind = text.char_indices().skip(1).skip_while(|(_, c)| !"“”»«‘’\"\'".contains(*c));
            behind.next().map(|(at, c)| at + c.len_utf8())
        }
        _ => text.find(|c: char| !plain(c)).or(Some(text.len())),
    };
    // A quote that a stray one has opened goes on over the next key and its value.
    let inside = length.and_then(|length| text.get(..length)).unwrap_or_default();
    if text.starts_with(['"', '\'', '`']) && (inside.contains('=') || mentions_secret(inside)) {
        return 0;
    }
    let Some(length) = length else {
        // A quote without an end: it goes on to the end of the line, unless another key stands there.
        let alone = !text.contains(['=', '#']) && !mentions_secret(text);
        return if alone { text.len() } else { 0 };
    };
    let (value, rest) = text.split_at_checked(length).unwrap_or((text, ""));
    let behind = rest.trim();
    let unit = value.chars().all(|c| c.is_ascii_digit()) && behind.len() < 8 && behind.chars().all(char::is_alphabetic);
    match behind.is_empty() || unit || behind.chars().all(|c| ";,".contains(c)) {
        true => text.len(),
        false if value.is_empty() => 0,
        false => text.len() - rest.trim_start().len(),
    }
}

/// How much of a table's header may be shown, after its first bracket.
fn header_prefix(header: &str) -> Option<usize> {
    let name = header.trim_start_matches('[').trim_start();
    let first = name.split(['.', ']', ' ']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let Some(close) = header.find(']') else {
        let shown = keys::TOP.contains(&first) && !header.contains(['=', '#', ',']) && !mentions_secret(header);
        return shown.then_some(header.len());
    };
    if !keys::TOP.contains(&first) && !header.get(..close).is_some_and(|name| name.trim_matches('[').chars().all(plain))
    {
        return None;
    }
    let rest = header.get(close..).unwrap_or_default();
    if rest.chars().all(|c| c.is_ascii_punctuation() || c.is_whitespace()) {
        return Some(header.len());
    }
    Some(header.len() - rest.trim_start_matches(']').len())
}

/// The delimiter of a string over several lines that begins in this line and does not end in it.
fn opened_string(line: &str) -> Option<&'static str> {
    if line.trim_start().starts_with('#') {
        return None;
    }
    ["\"\"\"", "'''"].into_iter().find(|delimiter| line.matches(delimiter).count() % 2 == 1)
}
