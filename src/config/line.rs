//! Diagnoses a line that is not TOML: which mistake it is, and what was meant. Messages contain no part of a
//! value, because it may be a password.

use toml::de::DeTable;

use super::keys;
use crate::account::AccountName;
use crate::text;

/// What is wrong with a line.
pub(super) struct Diagnosis {
    /// The part of the line to point at.
    pub(super) part: std::ops::Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// The next step.
    pub(super) help: String,
    /// The line as it was probably meant, if that is valid TOML on its own.
    pub(super) repaired: Option<String>,
    /// The key whose value is lost unless the line was repaired.
    pub(super) key: Option<String>,
}

/// Whether a text is valid TOML on its own.
pub(super) fn parses(text: &str) -> bool {
    DeTable::parse(text).is_ok()
}

/// The longest line that is diagnosed if it is not TOML, in bytes. Nobody writes longer ones by hand, and no part of
/// them is shown.
pub(super) const LONGEST: usize = 4 << 10;

/// Whether a line is not valid TOML and mentions a secret that may continue on the next lines. An unquoted value ends
/// with its line.
pub(super) fn begins_secret(line: &str) -> bool {
    if line.len() > LONGEST {
        return !parses(line);
    }
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let secret = |word: &str| {
        let is_one = keys::is_secret(word) || word == keys::PROXY;
        is_one || (!keys::is_known(word) && keys::looks_secret(word))
    };
    let open = line.contains(['"', '\'', '[', '{', '“', '”', '‘', '’']) || line.trim_end().ends_with(['=', ':']);
    // Cheap test first: most lines are valid.
    open && !parses(line) && words.any(secret)
}

/// Typographic quotes, and the straight quote that replaces each.
const QUOTES: [(char, char); 9] =
    [('“', '"'), ('”', '"'), ('„', '"'), ('‟', '"'), ('«', '"'), ('»', '"'), ('＂', '"'), ('‘', '\''), ('’', '\'')];

/// Dashes other than the hyphen.
const DASHES: [char; 6] = ['\u{2010}', '\u{2011}', '\u{2012}', '–', '—', '\u{2212}'];

/// Characters that look like a space, or like nothing, and are not a space.
const NO_BLANKS: [char; 6] = ['\u{a0}', '\u{2003}', '\u{200b}', '\u{202f}', '\u{3000}', '\u{feff}'];

/// Finds the mistake in a line.
pub(super) fn diagnose(line: &str) -> Diagnosis {
    let body = line.trim_end();
    let content = body.trim_start();
    let look = Look { content, indent: body.len() - content.len() };
    look.characters()
        .or_else(|| look.comment())
        .or_else(|| look.header())
        .or_else(|| look.end_of_line())
        .or_else(|| look.yaml())
        .or_else(|| look.separator())
        .unwrap_or_else(|| look.key_and_value())
}

/// A line being diagnosed.
struct Look<'a> {
    /// Without leading and trailing whitespace.
    content: &'a str,
    indent: usize,
}

impl Look<'_> {
    /// Returns a diagnosis that points at the whole line.
    fn all(&self, message: impl Into<String>, help: impl Into<String>, meant: Option<String>) -> Diagnosis {
        let part = self.indent..self.indent + self.content.len();
        let key = self.content.split(['=', ':', ' ', '\t']).next().map(|key| key.trim_matches('"').to_owned());
        Diagnosis {
            part,
            message: message.into(),
            help: help.into(),
            repaired: meant.filter(|meant| parses(meant)),
            key,
        }
    }

    /// Narrows a diagnosis to a part of the line.
    fn at(&self, start: usize, length: usize, diagnosis: Diagnosis) -> Diagnosis {
        Diagnosis { part: self.indent + start..self.indent + start + length, ..diagnosis }
    }

    /// Finds typographic quotes, control characters and characters that look like spaces.
    fn characters(&self) -> Option<Diagnosis> {
        let straight = |c: char| QUOTES.iter().find(|(curly, _)| *curly == c).map(|(_, straight)| *straight);
        let replaced: String = self.content.chars().map(|c| straight(c).unwrap_or(c)).collect();
        if let Some((at, c)) = self.content.char_indices().find(|(_, c)| straight(*c).is_some())
            && !self.content.starts_with(['#', ';'])
        {
            let message = format!("typographic quotes ({c}) are not quotes in TOML");
            let help = "write the straight ones, \" or ', as a text editor does and a word processor does not";
            return Some(self.at(at, c.len_utf8(), self.all(message, help, Some(replaced))));
        }
        if let Some(at) = self.content.find('＝').filter(|_| !self.content.contains('=')) {
            let said = self.all("＝ is a full-width sign, not =", "write =", Some(replaced.replace('＝', "=")));
            return Some(self.at(at, '＝'.len_utf8(), said));
        }
        if let Some((at, c)) = self.content.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
            let meant: String = self.content.chars().filter(|c| !c.is_control()).collect();
            let message = format!("there is a control character (U+{:04X})", u32::from(c));
            let said =
                self.all(message, "remove it, or type the line again", Some(meant).filter(|meant| parses(meant)));
            return Some(Diagnosis { key: None, ..self.at(at, c.len_utf8(), said) });
        }
        let (at, c) = self.content.char_indices().find(|(_, c)| NO_BLANKS.contains(c))?;
        let replaced: String = self.content.chars().map(|c| if NO_BLANKS.contains(&c) { ' ' } else { c }).collect();
        let message = format!("there is an invisible character (U+{:04X}) that is not a blank", u32::from(c));
        parses(&replaced).then(|| {
            let help = "type the line again; it was probably copied from a web page or a document";
            self.at(at, c.len_utf8(), self.all(message, help, Some(replaced)))
        })
    }

    /// Finds a comment written as in other languages.
    fn comment(&self) -> Option<Diagnosis> {
        let mark = [";", "//", "--", "/*", "%", "!", "REM "].into_iter().find(|mark| self.content.starts_with(mark))?;
        let (message, help) = if self.content.chars().all(|c| c == '-') {
            ("`---` is YAML, and this file is TOML".to_owned(), "remove the line")
        } else {
            (format!("a comment begins with #, not with {}", mark.trim()), "write # in front of it")
        };
        let key = None;
        Some(Diagnosis { key, ..self.at(0, mark.trim_end().len(), self.all(message, help, Some(String::new()))) })
    }

    /// Finds a mistake in a table's header.
    fn header(&self) -> Option<Diagnosis> {
        let inner = self.content.strip_prefix('[')?;
        let close = inner.find(']');
        let (name, rest) = match close {
            Some(close) => (inner.get(..close)?, inner.get(close + 1..)?.trim()),
            None => (inner.split(['#', '=']).next().unwrap_or_default().trim_end(), ""),
        };
        let account = name.trim().strip_prefix("accounts.").map(|name| name.trim().trim_matches(['"', '\'']));
        let header = account.map(|account| format!("[accounts.\"{account}\"]"));
        if close.is_none() {
            let meant = Some(format!("[{name}]")).filter(|meant| parses(meant)).or(header);
            return Some(self.all("the bracket of this table's header is not closed", "add ] after the name", meant));
        }
        if !rest.is_empty() && !rest.starts_with('#') && parses(&format!("[{name}]")) {
            let help = "write the table's header on a line of its own, and its keys on the lines below it";
            let said = self.all("there is something after the header of a table", help, Some(format!("[{name}]")));
            return Some(said);
        }
        let Some(account) = account else {
            let apart =
                name.trim().strip_prefix("accounts").map(|name| name.trim_matches([' ', '\t', '.', '"', '\'', ':']));
            let meant = apart.filter(|name| AccountName::new(name).is_ok());
            let help = match meant {
                Some(account) => format!("write {}", header_of(account)),
                None => "the tables are [daemon], [notify], [defaults] and [accounts.NAME]".to_owned(),
            };
            return Some(self.all("this is not the header of a table", help, meant.map(header_of)));
        };
        if let Err(invalid) = AccountName::new(account) {
            let help = "choose another name; it is also used in file names and on the command line";
            return Some(self.all(invalid.to_string(), help, None));
        }
        let message = "an account name with anything but letters, digits, - and _ must be quoted";
        Some(self.all(message, format!("write [accounts.\"{}\"]", text::value(account)), header))
    }

    /// Finds a terminator that other languages put at the end of a line.
    fn end_of_line(&self) -> Option<Diagnosis> {
        let end = self.content.chars().last().filter(|end| matches!(end, ';' | ','))?;
        let shorter = self.content.trim_end_matches([';', ',']);
        parses(shorter).then(|| {
            let said = self.all(format!("a line does not end with {end}"), "remove it", Some(shorter.to_owned()));
            self.at(self.content.len() - 1, 1, said)
        })
    }

    /// Finds YAML: `key: value`, `table:` and `- item`.
    fn yaml(&self) -> Option<Diagnosis> {
        if self.content.starts_with("- ") || self.content == "-" {
            let help = "write a table [accounts.NAME] for each account, and values in brackets: [\"a\", \"b\"]";
            let said = self.all("a list with dashes is YAML, and this file is TOML", help, None);
            return Some(Diagnosis { key: None, ..said });
        }
        let (key, value) = self.content.split_once(':')?;
        let bare = key.trim().trim_matches('"');
        if !text::is_bare_key(bare) || !(value.is_empty() || value.starts_with([' ', '\t'])) {
            return None;
        }
        let value = value.trim();
        if value.is_empty() || value.starts_with('#') {
            let help = match bare {
                "accounts" => {
                    "write [accounts.NAME] for each account, and its keys below it, without indentation".to_owned()
                }
                _ => format!("write [{bare}] if it is a table, or [accounts.{bare}] if it is an account"),
            };
            let said = self.all("a name with a colon is a YAML table, and this file is TOML", help, None);
            return Some(Diagnosis { key: None, ..said });
        }
        let help = format!("write {bare} = and then the value, {}", form_of(bare));
        let said = self.all("a key and its value are separated by =, not by a colon", help, meant(bare, value));
        Some(self.at(key.len(), 1, said))
    }

    /// Finds another language's separator between key and value.
    fn separator(&self) -> Option<Diagnosis> {
        let at = self.content.find('=')?;
        let (key, rest) = self.content.split_at_checked(at)?;
        let (sign, key, value) = match (key.strip_suffix(':'), rest.strip_prefix("=="), rest.strip_prefix("=>")) {
            (Some(key), _, _) => (":=", key, rest.strip_prefix('=')?),
            (None, Some(value), _) => ("==", key, value),
            (None, None, Some(value)) => ("=>", key, value),
            (None, None, None) => return None,
        };
        let bare = key.trim();
        let help = "write = between them";
        text::is_bare_key(bare).then(|| {
            self.all(format!("a key and its value are separated by =, not by {sign}"), help, meant(bare, value.trim()))
        })
    }

    fn key_and_value(&self) -> Diagnosis {
        let Some((key, value)) = self.content.split_once('=') else { return self.without_sign() };
        let (bare, value) = (key.trim(), value.trim());
        let plain = bare.trim_matches(['"', '\'']);
        if !bare.split('.').all(text::is_bare_key) && !parses(&format!("{bare} = 1")) {
            if let Some(said) = self.dashes(key, value) {
                return said;
            }
            let joined = plain.split_whitespace().collect::<Vec<_>>().join("_");
            let repaired = Some(format!("{joined} = {value}")).filter(|_| text::is_bare_key(&joined));
            let help = match repaired.as_ref().filter(|_| keys::is_known(&joined)) {
                Some(_) => format!("did you mean `{joined}`?"),
                None => "a key is one word of letters, digits, _ and -, in front of =".to_owned(),
            };
            if let Some(said) = self.of_another_language() {
                return said;
            }
            let said = self.all("this is not a key", help, repaired);
            return Diagnosis { key: Some(joined), ..self.at(0, key.trim_end().len(), said) };
        }
        let start = self.content.len() - value.len();
        if value.is_empty() || value.starts_with('#') {
            return self.all(
                format!("the value of `{}` is missing", text::value(plain)),
                "write it after =, or remove the line",
                None,
            );
        }
        if let Some(said) = self.number(plain, value, start).or_else(|| self.encryption(plain, value, start)) {
            return said;
        }
        let (message, help) = if takes_words(plain) && !value.starts_with(['[', '{', '"', '\'']) {
            ("a command is a list of words", "write each word in quotes: [\"pass\", \"show\", \"mail/work\"]")
        } else if NUMBERS.contains(&plain) && truth(value).is_some() {
            ("this is a number, and not true or false", "write it without quotes, such as 995")
        } else {
            what_of_value(value)
        };
        let said = self.all(message, help, meant(bare, value));
        let key = Some(plain.to_owned());
        Diagnosis { key, ..self.at(start, value.len(), said) }
    }

    /// Finds a leading zero: `port = 0995`.
    fn number(&self, key: &str, value: &str, start: usize) -> Option<Diagnosis> {
        let digits = value.bytes().all(|c| c.is_ascii_digit()) && value.starts_with('0');
        let number = value.trim_start_matches('0');
        (digits && !number.is_empty() && key != "maildir_mode").then(|| {
            // A password may consist of digits.
            let written = if keys::is_shown(key) { number } else { "it without the 0 in front" };
            let said = self.all(
                "a number does not begin with 0",
                format!("write {written}, or put it in quotes if it is not a number"),
                Some(format!("{key} = {number}")),
            );
            self.at(start, value.len(), said)
        })
    }

    /// Finds a boolean in place of a TLS mode: `tls = yes`.
    fn encryption(&self, key: &str, value: &str, start: usize) -> Option<Diagnosis> {
        let truth = truth(value).filter(|_| key == "tls")?;
        let help = "write \"implicit\", \"starttls\" or \"none\"";
        let meant = if truth { "tls = \"implicit\"" } else { "tls = \"none\"" };
        Some(self.at(start, value.len(), self.all("`tls` is not true or false", help, Some(meant.to_owned()))))
    }

    /// Finds typographic dashes in a key, as word processors insert them.
    fn dashes(&self, key: &str, value: &str) -> Option<Diagnosis> {
        let (at, dash) = key.char_indices().find(|(_, c)| DASHES.contains(c))?;
        let meant: String = key.trim().chars().map(|c| if DASHES.contains(&c) || c == '-' { '_' } else { c }).collect();
        let help = match keys::is_known(&meant) {
            true => format!("did you mean `{meant}`?"),
            false => "write - or _".to_owned(),
        };
        let repaired = Some(format!("{meant} = {value}")).filter(|_| text::is_bare_key(&meant));
        let said = self.all(format!("a typographic dash ({dash}) cannot be part of a key"), help, repaired);
        Some(Diagnosis { key: Some(meant), ..self.at(at, dash.len_utf8(), said) })
    }

    /// Finds a word with which other languages include files or set variables.
    fn of_another_language(&self) -> Option<Diagnosis> {
        let word = self.content.split([' ', '\t']).next().unwrap_or_default();
        let help = match word {
            "include" | "source" | "import" | "require" => {
                "one file holds the whole configuration, so put the other one in here"
            }
            "export" | "setenv" => "environment variables cannot be set here: remove the line",
            _ => return None,
        };
        let said = self.all(format!("there is no `{word}` in TOML"), help, Some(String::new()));
        Some(Diagnosis { key: None, ..self.at(0, word.len(), said) })
    }

    /// Diagnoses a line without `=`.
    fn without_sign(&self) -> Diagnosis {
        let word = self.content.split([' ', '\t']).next().unwrap_or_default();
        let value = self.content.get(word.len()..).unwrap_or_default().trim();
        if !keys::is_known(word) {
            if let Some(said) = self.of_another_language() {
                return said;
            }
            let help = "write a line such as host = \"pop.example.org\", a header such as [accounts.work], or # before a comment";
            return self.all("this line is neither a key with its value nor the header of a table", help, None);
        }
        if value.is_empty() {
            return self.all(
                format!("the value of `{word}` is missing"),
                format!("write {word} = and the value"),
                None,
            );
        }
        let help = format!("write {word} = and then the value, {}", form_of(word));
        self.all("= is missing between the key and its value", help, meant(word, value))
    }
}

/// Keys whose values are numbers.
const NUMBERS: [&str; 4] = ["port", "concurrency", "per_host", "max_messages_per_session"];

/// Whether the value of a key is the words of a command.
fn takes_words(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    keys::is_known(name) && (name.ends_with("command") || name == "on_new_mail")
}

/// Returns how the value of a key is written.
fn form_of(key: &str) -> &'static str {
    match takes_words(key) {
        true => "its words in brackets: [\"pass\", \"show\", \"mail/work\"]",
        false => "a string in quotes",
    }
}

/// Returns which mistake a value has, and the help for it.
fn what_of_value(value: &str) -> (&'static str, &'static str) {
    let first = value.chars().next().unwrap_or_default();
    let inside = value.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '"' | '\'' if !inside.contains(first) => ("this string has no closing quote", "add the same quote at its end"),
        '"' if value.contains('\\') && parses(&format!("x = {}", value.replace('"', "'"))) => (
            "in double quotes, \\ begins an escape such as \\n or \\\", and this is none",
            "write the string in single quotes, where \\ is a character like others",
        ),
        '"' | '\'' if comment_behind(inside, first) => {
            ("a comment after a value begins with #, not with // or ;", "write # in front of it")
        }
        '"' | '\'' => {
            ("there is something after the value", "write one value in quotes, and nothing after it but a # comment")
        }
        '`' => ("backticks are not quotes in TOML", "write \" or ' instead"),
        '[' => (
            "this is not a list in TOML",
            "write its strings in quotes, with commas between them: [\"pass\", \"show\"]",
        ),
        '{' => ("this is not an inline table in TOML", "write its keys on lines of their own, below a header"),
        _ if truth(value).is_some() => {
            ("true and false are written so, in small letters", "write true or false, without quotes")
        }
        _ => ("a string must be quoted", "put it in quotes; only numbers, true and false go without"),
    }
}

/// Whether a comment of another language follows the quote that ends a string.
fn comment_behind(inside: &str, quote: char) -> bool {
    let rest = inside.split_once(quote).map_or("", |(_, rest)| rest.trim_start());
    ["//", ";", "--", "/*"].iter().any(|mark| rest.starts_with(mark))
}

/// Returns the header of an account's table.
fn header_of(account: &str) -> String {
    format!("[accounts.{}]", text::key(account))
}

/// Returns the boolean that was probably meant.
fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => Some(true),
        "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// Returns the line that was probably meant by a key and a value.
fn meant(key: &str, value: &str) -> Option<String> {
    let line = |value: &str| Some(format!("{key} = {value}")).filter(|line| parses(line));
    let trimmed = value.trim_end_matches([',', ';']).trim_end();
    if let Some(good) = line(trimmed) {
        return Some(good);
    }
    if let Some(truth) = truth(trimmed) {
        return line(&truth.to_string());
    }
    match trimmed.chars().next()? {
        quote @ ('"' | '\'') => {
            let inside = trimmed.get(1..)?;
            match inside.find(quote) {
                None => line(&format!("{trimmed}{quote}")),
                Some(_) if quote == '"' && trimmed.contains('\\') => line(&trimmed.replace('"', "'")),
                Some(end) => line(trimmed.get(..end + 2)?),
            }
        }
        '[' | '{' => None,
        '`' => line(&format!("'{}'", trimmed.trim_matches('`'))),
        _ => line(&format!("'{}'", trimmed.split(" #").next()?.trim_end())),
    }
}
