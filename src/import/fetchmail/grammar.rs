//! Parses a fetchmailrc into entries, each with the options of its server and of its users. PURE.
//!
//! An option is stored under one name, whichever spelling the file has, so that none can be overlooked when the entries
//! become accounts.

use std::collections::BTreeMap;

use super::words::Word;

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    /// True, or false if the option follows `no`.
    Flag(bool),
    /// The words that follow it.
    Words(Vec<Vec<u8>>),
}

/// The options of a server or of a user, by name.
pub(super) type Options = BTreeMap<&'static str, Setting>;

/// A user of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct User {
    /// The login name at the server. None if the file does not say.
    pub(super) remote: Option<Vec<u8>>,
    /// The local users as written.
    pub(super) local: Vec<Vec<u8>>,
    /// Whether there is a `*`, or a mapping of a name at the server to another local one: a multidrop maildrop.
    pub(super) is_multidrop: bool,
    /// The options.
    pub(super) options: Options,
    /// The line where it begins.
    pub(super) line: usize,
}

/// `poll`, `skip` or `defaults`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name that follows; empty for `defaults`.
    pub(super) name: Vec<u8>,
    /// Whether it is polled only when it is named.
    pub(super) skip: bool,
    /// The line where it begins.
    pub(super) line: usize,
    /// The options of the server.
    pub(super) server: Options,
    /// The users. One without a name if the file names none.
    pub(super) users: Vec<User>,
}

/// The contents of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct File {
    /// The options of `set`, by name.
    pub(super) globals: Options,
    /// The defaults, if there are any.
    pub(super) defaults: Option<Entry>,
    /// The servers.
    pub(super) entries: Vec<Entry>,
}

/// What is wrong, and where. Never contains the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) what: String,
}

/// How many words follow an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    /// One or more words, up to the next keyword.
    Several,
    /// A header's name, optionally after a number.
    Envelope,
}

use Takes::{Envelope, Nothing, One, Several};

/// The options of a server: spelling, name, words that follow.
const SERVER: [(&str, &str, Takes); 32] = [
    ("aka", "aka", Several),
    ("via", "via", One),
    ("local", "localdomains", Several),
    ("localdomains", "localdomains", Several),
    ("proto", "proto", One),
    ("protocol", "proto", One),
    ("service", "port", One),
    ("port", "port", One),
    ("interval", "interval", One),
    ("auth", "auth", One),
    ("authenticate", "auth", One),
    ("preauth", "auth", One),
    ("preauthenticate", "auth", One),
    ("timeout", "timeout", One),
    ("idletimeout", "idletimeout", One),
    ("envelope", "envelope", Envelope),
    ("qvirtual", "qvirtual", One),
    ("interface", "interface", One),
    ("monitor", "monitor", One),
    ("plugin", "plugin", One),
    ("plugout", "plugout", One),
    ("dns", "dns", Nothing),
    ("uidl", "uidl", Nothing),
    ("checkalias", "checkalias", Nothing),
    ("tracepolls", "tracepolls", Nothing),
    ("badheader", "bad-header", One),
    ("bad-header", "bad-header", One),
    ("retrieve-error", "retrieve-error", One),
    ("retrieveerror", "retrieve-error", One),
    ("principal", "principal", One),
    ("esmtpname", "esmtpname", One),
    ("esmtppassword", "esmtppassword", One),
];

/// The options of a user: spelling, name, words that follow.
const USER: [(&str, &str, Takes); 60] = [
    ("password", "password", One),
    ("pass", "password", One),
    ("passwordeval", "passwordeval", One),
    ("folder", "folder", Several),
    ("folders", "folder", Several),
    ("smtp", "smtphost", Several),
    ("smtphost", "smtphost", Several),
    ("fetchdomains", "fetchdomains", Several),
    ("smtpaddress", "smtpaddress", One),
    ("smtpname", "smtpname", One),
    ("antispam", "antispam", Several),
    ("mda", "mda", One),
    ("bsmtp", "bsmtp", One),
    ("lmtp", "lmtp", Nothing),
    ("pre", "preconnect", One),
    ("preconnect", "preconnect", One),
    ("post", "postconnect", One),
    ("postconnect", "postconnect", One),
    ("keep", "keep", Nothing),
    ("flush", "flush", Nothing),
    ("limitflush", "limitflush", Nothing),
    ("fetchall", "fetchall", Nothing),
    ("rewrite", "rewrite", Nothing),
    ("forcecr", "forcecr", Nothing),
    ("stripcr", "stripcr", Nothing),
    ("pass8", "pass8bits", Nothing),
    ("pass8bits", "pass8bits", Nothing),
    ("dropstatus", "dropstatus", Nothing),
    ("dropdelivered", "dropdelivered", Nothing),
    ("mime", "mimedecode", Nothing),
    ("mimedec", "mimedecode", Nothing),
    ("mimedecode", "mimedecode", Nothing),
    ("idle", "idle", Nothing),
    ("forceidle", "forceidle", Nothing),
    ("ssl", "ssl", Nothing),
    ("sslcertck", "sslcertck", Nothing),
    ("sslkey", "sslkey", One),
    ("sslcert", "sslcert", One),
    ("sslproto", "sslproto", One),
    ("sslmode", "sslmode", One),
    ("sslprotocolversion", "sslprotocolversion", One),
    ("sslcertfile", "sslcertfile", One),
    ("sslcertpath", "sslcertpath", One),
    ("sslcommonname", "sslcommonname", One),
    ("sslfingerprint", "sslfingerprint", One),
    ("limit", "limit", One),
    ("warnings", "warnings", One),
    ("fetchlimit", "fetchlimit", One),
    ("fetchsizelimit", "fetchsizelimit", One),
    ("fastuidl", "fastuidl", One),
    ("batchlimit", "batchlimit", One),
    ("expunge", "expunge", One),
    ("properties", "properties", One),
    ("moveto", "moveto", One),
    ("nokeep", "keep", Nothing),
    ("noflush", "flush", Nothing),
    ("norewrite", "rewrite", Nothing),
    ("nofetchall", "fetchall", Nothing),
    ("nossl", "ssl", Nothing),
    ("nosslcertck", "sslcertck", Nothing),
];

/// The options of `set`.
const GLOBAL: [(&str, &str, Takes); 12] = [
    ("logfile", "logfile", One),
    ("idfile", "idfile", One),
    ("pidfile", "pidfile", One),
    ("postmaster", "postmaster", One),
    ("properties", "properties", One),
    ("daemon", "daemon", One),
    ("bouncemail", "bouncemail", Nothing),
    ("spambounce", "spambounce", Nothing),
    ("softbounce", "softbounce", Nothing),
    ("syslog", "syslog", Nothing),
    ("invisible", "invisible", Nothing),
    ("showdots", "showdots", Nothing),
];

/// Words that begin or end something and are not options.
const STRUCTURE: [&str; 14] =
    ["poll", "server", "skip", "defaults", "set", "user", "username", "is", "to", "here", "there", "no", "*", "="];

/// Parses the words of a file.
pub(super) fn parse(words: &[Word]) -> Result<File, Wrong> {
    let mut parser = Parser { words, at: 0 };
    let mut file = File::default();
    while let Some(word) = parser.next() {
        match parser.keyword_of(word) {
            "set" => parser.global(&mut file.globals)?,
            "poll" | "server" | "skip" => {
                let name = parser.word("the server's name")?;
                let skip = word.text == b"skip";
                let entry = Entry { name, skip, line: word.line, server: Options::new(), users: Vec::new() };
                file.entries.push(parser.entry(entry)?);
            }
            "defaults" if file.entries.is_empty() && file.defaults.is_none() => {
                let (name, skip, server, users) = Default::default();
                let entry = parser.entry(Entry { name, skip, line: word.line, server, users })?;
                file.defaults = Some(entry);
            }
            "defaults" => return Err(wrong(word, "`defaults` may be given once, before the first server")),
            _ => return Err(wrong(word, "expected poll, skip, defaults or set")),
        }
    }
    Ok(file)
}

fn wrong(word: &Word, what: impl Into<String>) -> Wrong {
    Wrong { line: word.line, what: what.into() }
}

/// Consumes words one by one.
struct Parser<'a> {
    words: &'a [Word],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// Returns the word as text if it can be a keyword; else an empty text.
    fn keyword_of(&self, word: &'a Word) -> &'a str {
        if word.quoted { "" } else { std::str::from_utf8(&word.text).unwrap_or_default() }
    }

    fn peek_keyword(&self) -> &'a str {
        self.peek().map(|word| self.keyword_of(word)).unwrap_or_default()
    }

    /// Consumes the next word if it is this keyword.
    fn takes(&mut self, keyword: &str) -> bool {
        let is = self.peek_keyword() == keyword;
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, what: &str) -> Result<Vec<u8>, Wrong> {
        let last = self.words.last().map_or(1, |word| word.line);
        match self.next() {
            Some(word) => Ok(word.text.clone()),
            None => Err(Wrong { line: last, what: format!("the file ends where {what} should be") }),
        }
    }

    fn global(&mut self, globals: &mut Options) -> Result<(), Wrong> {
        let no = self.takes("no");
        let Some(word) = self.next() else { return self.word("what is set").map(drop) };
        let spelt = self.keyword_of(word);
        let (spelt, no) = match spelt.strip_prefix("no") {
            Some(rest) if find(&GLOBAL, rest).is_some() => (rest, true),
            _ => (spelt, no),
        };
        let (name, takes) = find(&GLOBAL, spelt).ok_or_else(|| wrong(word, "`set` does not know the word after it"))?;
        if self.peek().is_some_and(|next| next.is_map) {
            self.at += 1;
        }
        let setting = self.setting(takes, !no, name)?;
        globals.insert(name, setting);
        Ok(())
    }

    fn entry(&mut self, mut entry: Entry) -> Result<Entry, Wrong> {
        while let Some(word) = self.peek() {
            let keyword = self.keyword_of(word);
            if matches!(keyword, "poll" | "server" | "skip" | "defaults" | "set") {
                break;
            }
            if let Some((name, setting)) = self.option(&SERVER)? {
                entry.server.insert(name, setting);
            } else if matches!(keyword, "user" | "username") {
                self.at += 1;
                let user = self.user(word.line)?;
                entry.users.push(user);
            } else {
                if entry.users.is_empty() {
                    entry.users.push(User { line: word.line, ..User::default() });
                }
                let Some(user) = entry.users.last_mut() else { break };
                self.user_option(word, user)?;
            }
        }
        Ok(entry)
    }

    /// Parses `user NAME [there]`, or `user NAME... here`.
    fn user(&mut self, line: usize) -> Result<User, Wrong> {
        let mut user = User { line, ..User::default() };
        let first = self.word("the user's name")?;
        if self.takes("there") {
            user.remote = Some(first);
        } else if self.takes("here") {
            user.local.push(first);
        } else if self.is_name_next() {
            self.names(first, &mut user)?;
            self.takes("here");
        } else {
            user.remote = Some(first);
        }
        Ok(user)
    }

    fn user_option(&mut self, word: &'a Word, user: &mut User) -> Result<(), Wrong> {
        if matches!(self.keyword_of(word), "is" | "to") {
            self.at += 1;
            let first = self.word("a user's name")?;
            if self.takes("there") {
                user.remote = Some(first);
                return Ok(());
            }
            self.names(first, user)?;
            self.takes("here");
            return Ok(());
        }
        if matches!(self.keyword_of(word), "here" | "there") {
            self.at += 1;
            return Ok(());
        }
        match self.option(&USER)? {
            Some((name, setting)) => {
                user.options.insert(name, setting);
                Ok(())
            }
            None => Err(wrong(word, "there is a word that fetchmail does not know")),
        }
    }

    /// Parses local users, with `=` between a name at the server and a local one.
    fn names(&mut self, first: Vec<u8>, user: &mut User) -> Result<(), Wrong> {
        let mut name = first;
        loop {
            if name == b"*" {
                user.is_multidrop = true;
            } else if self.peek().is_some_and(|next| next.is_map) {
                self.at += 1;
                let here = self.word("a user's name")?;
                user.is_multidrop |= here != name;
                user.local.push(here);
            } else {
                user.local.push(name);
            }
            if !self.is_name_next() {
                break;
            }
            name = self.word("a user's name")?;
        }
        user.is_multidrop |= user.local.len() > 1;
        Ok(())
    }

    /// Whether the next word is a name and not a keyword.
    fn is_name_next(&self) -> bool {
        let Some(word) = self.peek() else { return false };
        let keyword = self.keyword_of(word);
        word.is_map || keyword == "*" || !(STRUCTURE.contains(&keyword) || is_option(keyword)) || word.quoted
    }

    /// Parses an option of this table, if one comes next.
    fn option(
        &mut self,
        table: &[(&'static str, &'static str, Takes)],
    ) -> Result<Option<(&'static str, Setting)>, Wrong> {
        let before = self.at;
        let no = self.takes("no");
        let keyword = self.peek_keyword();
        let glued = keyword.strip_prefix("no").and_then(|rest| find(table, rest)).filter(|_| !no);
        let found = glued.or_else(|| find(table, keyword));
        let Some((name, takes)) = found else {
            self.at = before;
            return Ok(None);
        };
        self.at += 1;
        let no = no || glued.is_some();
        if no && takes == Envelope {
            return Ok(Some((name, Setting::Flag(false))));
        }
        self.setting(takes, !no, name).map(|setting| Some((name, setting)))
    }

    fn setting(&mut self, takes: Takes, on: bool, name: &str) -> Result<Setting, Wrong> {
        let what = format!("the value of `{name}`");
        match takes {
            Nothing => Ok(Setting::Flag(on)),
            One => {
                if self.peek().is_some_and(|next| next.is_map) {
                    self.at += 1;
                }
                Ok(Setting::Words(vec![self.word(&what)?]))
            }
            Envelope => {
                let first = self.word(&what)?;
                let is_count = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
                Ok(Setting::Words(if is_count { vec![first, self.word(&what)?] } else { vec![first] }))
            }
            Several => {
                let mut words = vec![self.word(&what)?];
                while self.is_name_next() {
                    words.push(self.word(&what)?);
                }
                Ok(Setting::Words(words))
            }
        }
    }
}

fn find(table: &[(&'static str, &'static str, Takes)], keyword: &str) -> Option<(&'static str, Takes)> {
    table.iter().find(|(spelt, ..)| *spelt == keyword).map(|(_, name, takes)| (*name, *takes))
}

fn is_option(keyword: &str) -> bool {
    let known = |word: &str| find(&SERVER, word).is_some() || find(&USER, word).is_some();
    known(keyword) || keyword.strip_prefix("no").is_some_and(known)
}

/// Returns all names under which options are stored: each has to become something or be named in the report.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = SERVER.iter().chain(&USER).map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}
