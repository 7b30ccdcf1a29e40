//! The text of the file with its secrets masked, so that lines can be shown in errors.
//!
//! A value is masked if its key may be meant for a secret, misspelt or not. In a line that is not TOML, everything is
//! masked that does not clearly belong to another key, since it may be a password.

use toml::de::{DeTable, DeValue};

use super::line::{self, begins_secret};
use super::{Span, keys};
use crate::text::is_printable;

/// How much of a line is shown at most, in bytes.
const LONGEST_SHOWN: usize = 2 << 10;

/// What is shown in place of a hidden value.
const MASK: &str = "\"[secret]\"";

/// The masked text. Every line keeps its number.
pub(super) struct Masked {
    text: String,
    /// In the order of the text.
    cuts: Vec<Cut>,
    /// The offsets of the newlines, to find a line's number without scanning the text.
    newlines: Vec<usize>,
}

/// A range that was replaced.
#[derive(Debug)]
struct Cut {
    /// In the original text.
    from: Span,
    /// The mask's range in the masked text.
    to: Span,
    /// Where the masked text resumes: after the mask and the newlines that were inside the secret.
    next: usize,
}

/// Omits the text, because a comment may contain an old password.
impl std::fmt::Debug for Masked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masked").field("cuts", &self.cuts).finish_non_exhaustive()
    }
}

impl Masked {
    /// Masks the text of a file that is TOML.
    pub(super) fn of_table(text: &str, table: &DeTable<'_>) -> Self {
        let mut secrets = Vec::new();
        collect(table, false, &mut secrets);
        let mut hidden: Vec<(Span, &str)> = secrets.into_iter().map(|span| (span, MASK)).collect();
        comments(text, table, &mut hidden);
        Self::new(text, hidden)
    }

    /// Masks the text of a file that is not TOML, line by line. Nothing from the offset `looked_at` on is shown.
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
                secrets.push((offset + shown..offset + body.len(), mask_of(body.get(shown..).unwrap_or_default())));
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

    /// Replaces each of the ranges by the text paired with it.
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

    /// Maps a range of the original to the masked text. Of a range over several lines, returns the part in the first
    /// line.
    pub(super) fn place_of(&self, original: &Span) -> Span {
        let start = self.start_of(original.start);
        let end = self.end_of(original.end).max(start);
        let first_line = self.text.get(start..end).and_then(|place| place.find(['\n', '\r']));
        start..first_line.map_or(end, |length| start + length)
    }

    /// Maps the start of a range of the original to the masked text.
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

    /// Maps the end of a range of the original to the masked text.
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

    /// Returns the line at the start of a range of the masked text, and the line's offset. A long line is cut; None if
    /// the range is beyond the cut.
    pub(super) fn line(&self, around: &Span) -> (usize, Option<&str>) {
        let before = self.newlines.partition_point(|newline| *newline < around.start);
        let start = before.checked_sub(1).and_then(|last| self.newlines.get(last)).map_or(0, |newline| newline + 1);
        let end = self.newlines.get(before).copied().unwrap_or(self.text.len());
        let mut ends = (start..=end.min(start.saturating_add(LONGEST_SHOWN))).rev();
        let end = ends.find(|end| self.text.is_char_boundary(*end)).unwrap_or(start);
        (start, self.text.get(start..end).filter(|_| around.start <= end))
    }

    /// Returns the line number of an offset of the masked text, from 1.
    pub(super) fn line_number(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }
}

/// Returns what to show in place of the end of a line. If it begins with a quote that nothing closes, that is the mistake
/// to be seen.
fn mask_of(hidden: &str) -> &'static str {
    let quote = hidden.chars().next().filter(|quote| ['"', '\''].contains(quote));
    let is_open = |quote: &char| hidden.matches(*quote).count() == 1;
    match quote.filter(is_open) {
        Some('"') => "\"[secret]",
        Some(_) => "'[secret]",
        None => MASK,
    }
}

/// Replaces unprintable characters by harmless ones of the same length in bytes.
fn tame(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut tamed = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        let ends_line = c == '\n' || (c == '\r' && chars.peek() == Some(&'\n'));
        tamed.push(match c.len_utf8() {
            _ if is_printable(c) || c == '\t' || ends_line => c,
            1 => '?',
            2 => '¿',
            _ => '\u{fffd}',
        });
    }
    tamed
}

/// Collects the values to hide: passwords, and values under keys that may be meant for one.
fn collect(table: &DeTable<'_>, all: bool, secrets: &mut Vec<Span>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let is_password = all || keys::is_secret(key);
        let hidden = is_password || (!keys::is_shown(key) && keys::looks_secret(key));
        match value.get_ref() {
            DeValue::Table(inner) => {
                // The span of a table with dotted keys does not cover its values.
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

/// Collects the comments after values and headers to hide, since they may contain an old password. Comments on their
/// own lines are never shown.
fn comments(text: &str, table: &DeTable<'_>, hidden: &mut Vec<(Span, &str)>) {
    for (key, value) in table {
        for end in [key.span().end, value.span().end] {
            let behind = text.get(end..).unwrap_or_default();
            let comment = behind.trim_start_matches([' ', '\t', ']', '}', ',']);
            // A line may have many values, so its end is sought only if there is a comment.
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

/// Returns how many bytes of a line may be shown, judged by the line alone, and whether a secret may continue after it.
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
    // A quoted key, as in JSON.
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

/// Words of other languages that are diagnosed, so that they may be shown.
const SHOWN_WORDS: [&str; 13] = [
    "account", "daemon", "export", "import", "include", "poll", "require", "server", "set", "setenv", "skip", "source",
    "*/",
];

/// The shortest word that is taken for a key, in bytes. A shorter one may be part of something else.
const SHORTEST_KEY: usize = 3;

/// Whether any word of the text may name a secret.
fn mentions_secret(text: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| !word.is_empty() && keys::looks_secret(word))
}

/// Returns how many bytes may be shown as the list value of a harmless key: plain words, quoted or not. What follows
/// anything else may be a secret.
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

/// Returns how many bytes may be shown as the value of a harmless key: one plain word or one string, and the spaces
/// after it. What follows may be a secret.
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
    // A string opened by a stray quote would run on over the next key and its value.
    let inside = length.and_then(|length| text.get(..length)).unwrap_or_default();
    if text.starts_with(['"', '\'', '`']) && (inside.contains('=') || mentions_secret(inside)) {
        return 0;
    }
    let Some(length) = length else {
        // An unterminated string: it extends to the end of the line, unless the line has another key.
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

/// Returns how many bytes of a table's header may be shown, after its first bracket.
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

/// Returns the delimiter of a multi-line string that begins in this line and does not end in it.
fn opened_string(line: &str) -> Option<&'static str> {
    if line.trim_start().starts_with('#') {
        return None;
    }
    ["\"\"\"", "'''"].into_iter().find(|delimiter| line.matches(delimiter).count() % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_of_a_file_steers_a_terminal_and_all_keeps_its_place() {
        let text = "a\t\u{1b}[2J\r\nb\u{85}\u{61c}c\u{200b}\u{202e}\u{feff}é\rd\n";
        assert_eq!(tame(text), "a\t?[2J\r\nb¿¿c\u{fffd}\u{fffd}\u{fffd}é?d\n");
        assert_eq!(tame(text).len(), text.len());
    }
}
