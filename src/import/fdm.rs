//! fdm 2: `fdm.conf` and the caches of its POP3 accounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{Draft, Note, Password, Record, Removal};
use super::source::{self, expand, text};
use super::{Found, ImportError, Places, Program, netrc};
use crate::account::TlsMode;
use crate::secret::Secret;

/// A word of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Without quotes.
    Word(String),
    /// In quotes.
    Text(String),
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A statement: its words and its line.
struct Statement {
    tokens: Vec<Token>,
    line: usize,
}

/// Words that begin a statement.
const BEGINNINGS: [&str; 9] = ["set", "account", "action", "match", "cache", "include", "ifdef", "ifndef", "endif"];

/// Reads the configuration and what was fetched.
pub(super) fn read(places: &Places) -> Result<Found, ImportError> {
    let path = find(places)?;
    let bytes = source::config(&path)?;
    let tokens = tokens(&text(&bytes)).map_err(|line| ImportError::Syntax {
        path: path.clone(),
        line,
        what: "a quote is not closed".to_owned(),
    })?;
    let rc = match &places.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let mut file = File { found: Found::new(Program::Fdm, path), ..File::default() };
    for statement in statements(tokens) {
        file.take(&statement);
    }
    let File { mut found, accounts, maildirs, default_action, keep_all, .. } = file;
    let target = default_action.and_then(|name| maildirs.get(&name).cloned());
    for (account, line) in accounts {
        let rc = rc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match draft(&account, line, keep_all, target.as_deref(), places, rc) {
            Ok((mut draft, cache)) => {
                draft.record = record(places, cache.as_deref())?;
                found.drafts.push(draft);
            }
            Err(note) => found.left.push(note),
        }
    }
    found.switch_off = vec!["take fdm out of crontab -l, and of the timers and services that run it".to_owned()];
    Ok(found)
}

fn find(places: &Places) -> Result<PathBuf, ImportError> {
    if let Some(path) = &places.path {
        return Ok(path.clone());
    }
    let home = places.home.iter().map(|home| home.join(".fdm.conf"));
    let looked: Vec<PathBuf> = home.chain([PathBuf::from("/etc/fdm.conf")]).collect();
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { program: Program::Fdm, looked }),
    }
}

/// Takes a text apart; each word with its line. The error is the line of a quote that is not closed.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, usize> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() || c == ',' => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '{' => tokens.push((Token::Open, line)),
            '}' => tokens.push((Token::Close, line)),
            quote @ ('"' | '\'') => {
                let (begins, mut text) = (line, String::new());
                loop {
                    match chars.next().ok_or(begins)? {
                        c if c == quote => break,
                        '\\' if quote == '"' => match chars.next().ok_or(begins)? {
                            'n' => text.push('\n'),
                            't' => text.push('\t'),
                            'r' => text.push('\r'),
                            '\n' => line += 1,
                            other => text.push(other),
                        },
                        c => {
                            line += usize::from(c == '\n');
                            text.push(c);
                        }
                    }
                }
                tokens.push((Token::Text(text), begins));
            }
            '=' => tokens.push((Token::Word("=".to_owned()), line)),
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !"{}\"'=,".contains(*c)) {
                    word.push(c);
                }
                // `${name}` outside quotes.
                tokens.push((Token::Word(word), line));
            }
        }
    }
    Ok(tokens)
}

/// Puts words together: a statement goes on until a word that begins one.
fn statements(tokens: Vec<(Token, usize)>) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut depth = 0_usize;
    let mut tokens = tokens.into_iter().peekable();
    while let Some((token, line)) = tokens.next() {
        let is_set = matches!(tokens.peek(), Some((Token::Word(next), _)) if next == "=");
        let last = statements.last().map(|statement| (statement.kind(), statement.tokens.last()));
        let begins = match &token {
            Token::Word(word) if depth == 0 => match last {
                None => true,
                Some(("match", _)) => BEGINNINGS.contains(&word.as_str()) && word != "action" && word != "account",
                // `new-only cache "..."` is part of an account.
                Some(("account", Some(Token::Word(before)))) if before.ends_with("-only") => false,
                Some(_) => BEGINNINGS.contains(&word.as_str()) || (is_set && word.starts_with(['$', '%'])),
            },
            _ => false,
        };
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        match statements.last_mut() {
            Some(statement) if !begins => statement.tokens.push(token),
            _ => statements.push(Statement { tokens: vec![token], line }),
        }
    }
    statements
}

impl Statement {
    fn kind(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    fn has(&self, wanted: &str) -> bool {
        self.tokens.iter().any(|token| matches!(token, Token::Word(word) if word == wanted))
    }

    /// The text or word right behind a word.
    fn behind(&self, wanted: &str) -> Option<&str> {
        let at = self.tokens.iter().position(|token| matches!(token, Token::Word(word) if word == wanted))?;
        match self.tokens.get(at + 1)? {
            Token::Word(text) | Token::Text(text) => Some(text),
            Token::Open | Token::Close => None,
        }
    }
}

/// What the file says.
struct File {
    found: Found,
    macros: BTreeMap<String, String>,
    accounts: Vec<(Statement, usize)>,
    maildirs: BTreeMap<String, String>,
    default_action: Option<String>,
    keep_all: bool,
}

impl Default for File {
    fn default() -> Self {
        let (macros, accounts, maildirs, default_action, keep_all) = Default::default();
        Self { found: Found::new(Program::Fdm, PathBuf::new()), macros, accounts, maildirs, default_action, keep_all }
    }
}

impl File {
    fn take(&mut self, statement: &Statement) {
        let expanded: Vec<Token> = statement.tokens.iter().map(|token| self.expand(token)).collect();
        let line = statement.line;
        let statement = Statement { tokens: expanded, line };
        let kind = statement.kind().to_owned();
        let what = |what: &str| format!("{what} (line {line})");
        if let Some(Token::Word(name)) = statement.tokens.first().filter(|_| kind.starts_with(['$', '%'])) {
            if let Some(value) = statement.behind("=") {
                self.macros.insert(name.clone(), value.to_owned());
            }
            return;
        }
        match kind.as_str() {
            "set" => self.setting(&statement, &what("set")),
            "account" => self.accounts.push((statement, line)),
            "action" => match (&statement.tokens.get(1), statement.behind("maildir")) {
                (Some(Token::Text(name)), Some(path)) => drop(self.maildirs.insert(name.clone(), path.to_owned())),
                (Some(Token::Text(name)), None) => {
                    let advice = statement.behind("pipe").map_or_else(
                        || destination::DESTINATIONS.to_owned(),
                        |command| format!("in the accounts that it is for, {}", destination::shell_command(command)),
                    );
                    self.found.general.push(Note::new(what(&format!("action \"{name}\"")), advice));
                }
                _ => self.found.general.push(Note::new(what("action"), "it is not understood")),
            },
            "match" => {
                let is_plain = statement.tokens.get(1) == Some(&Token::Word("all".to_owned()))
                    && matches!(statement.tokens.get(2), Some(Token::Word(word)) if word == "action")
                    && statement.tokens.len() == 4;
                match (is_plain, statement.tokens.get(3)) {
                    (true, Some(Token::Text(name))) if self.default_action.is_none() => self.default_action = Some(name.clone()),
                    _ => self.found.general.push(Note::new(
                        what("match"),
                        "not taken over: [[accounts.NAME.rules]] sort by the header into Maildirs (docs/routing.md), and a \
                         program that sorts is run by on_new_mail",
                    )),
                }
            }
            "cache" => self.found.needless.push(what("cache")),
            "include" => {
                self.found.general.push(Note::new(what("include"), "that file is not read: import it as well"));
            }
            _ => self.found.general.push(Note::new(
                what(&kind),
                "conditions are not followed: all that stands between them was taken as it is",
            )),
        }
    }

    fn setting(&mut self, statement: &Statement, what: &str) {
        match statement.tokens.get(1) {
            Some(Token::Word(name)) if name == "keep-all" => self.keep_all = true,
            Some(Token::Word(name))
                if [
                    "lock-file",
                    "lock-types",
                    "no-received",
                    "purge-after",
                    "queue-high",
                    "queue-low",
                    "strip-characters",
                    "timeout",
                    "allow-multiple",
                    "lookup-order",
                    "cmd-user",
                    "default-user",
                    "parallel-accounts",
                    "unmatched-mail",
                    "file-umask",
                    "file-group",
                    "maximum-size",
                    "delete-oversized",
                    "ignore-errors",
                    "verify-certificates",
                    "command-user",
                    "lock-timeout",
                    "lock-wait",
                    "no-create",
                    "file-mask",
                ]
                .contains(&name.as_str()) =>
            {
                match name.as_str() {
                    "maximum-size" | "delete-oversized" | "unmatched-mail" | "timeout" | "purge-after" => {
                        self.found.general.push(Note::new(
                            format!("{what} {name}"),
                            "set max_message_size, timeout or leave_on_server if it matters",
                        ));
                    }
                    _ => self.found.needless.push(format!("{what} {name}")),
                }
            }
            Some(Token::Word(name)) => {
                self.found.general.push(Note::new(format!("{what} {name}"), "there is nothing like it"));
            }
            _ => self.found.general.push(Note::new(what, "it is not understood")),
        }
    }

    /// Puts macros in.
    fn expand(&self, token: &Token) -> Token {
        match token {
            Token::Word(word) => {
                self.macros.get(word).map_or_else(|| token.clone(), |value| Token::Text(value.clone()))
            }
            Token::Text(text) => {
                let put = |text: String, (name, value): (&String, &String)| {
                    let (sigil, name) = name.split_at_checked(1).unwrap_or_default();
                    text.replace(&format!("{sigil}{{{name}}}"), value)
                };
                Token::Text(self.macros.iter().fold(text.clone(), put))
            }
            other => other.clone(),
        }
    }
}

/// An account, and its cache if it has one.
fn draft(
    account: &Statement,
    line: usize,
    keep_all: bool,
    target: Option<&str>,
    places: &Places,
    rc: &[u8],
) -> Result<(Draft, Option<PathBuf>), Note> {
    let Some(Token::Text(name)) = account.tokens.get(1) else {
        return Err(Note::new(format!("account (line {line})"), "it has no name"));
    };
    let origin = format!("account \"{name}\" (line {line})");
    let (plain, ssl) = (account.has("pop3"), account.has("pop3s"));
    if !plain && !ssl {
        return Err(Note::new(origin, "it is no POP3 account; mailferry speaks POP3 alone, so keep fdm for it"));
    }
    let Some(host) = account.behind("server") else {
        return Err(Note::new(origin, "it has no server: a connection by way of a program (pipe) is not taken over"));
    };
    // The user of the server stands behind it; one before it is a local user.
    let server_at = account.tokens.iter().position(|token| matches!(token, Token::Word(word) if word == "server"));
    let behind = Statement { tokens: account.tokens.get(server_at.unwrap_or(0)..).unwrap_or_default().to_vec(), line };
    let Some(user) = behind.behind("user").map(str::to_owned).or_else(|| places.user.clone()) else {
        return Err(Note::new(origin, "it has no user: add it and try again"));
    };
    let mut draft = Draft::new(origin, host, user.as_str());
    draft.names = vec![name.clone(), format!("{user}@{host}")];
    match (ssl, account.has("starttls")) {
        (true, _) => draft.became("pop3s", "tls = \"implicit\", the default"),
        (false, true) => {
            (draft.tls, draft.port) = (TlsMode::StartTls, 110);
            draft.became("starttls", "tls = \"starttls\"");
        }
        (false, false) => {
            draft.port = 110;
            draft.protect("pop3");
        }
    }
    draft.password = match behind.behind("pass") {
        Some(password) => Password::InClear(Secret::new(password.as_bytes().to_vec())),
        None => netrc::password(rc, &[host], &user)
            .map_or_else(|| Password::Missing("it is in no place that was looked at".to_owned()), Password::InClear),
    };
    let keeps = keep_all || account.has("keep");
    draft.removal = if keeps { Removal::Keep } else { Removal::AtOnce };
    match keeps {
        true => draft.became("keep", "leave_on_server = true"),
        false => draft.became("no keep", "leave_on_server = false"),
    }
    if account.has("disabled") {
        draft.enabled = false;
        draft.became("disabled", "enabled = false: it is polled when it is named");
    }
    deliver(&mut draft, target, places);
    let mut cache = None;
    words(&mut draft, account, &behind, places, &mut cache);
    Ok((draft, cache))
}

fn deliver(draft: &mut Draft, target: Option<&str>, places: &Places) {
    let Some(path) = target else {
        return draft.note("no `match all action` with a maildir", "the Maildir is named like the account");
    };
    let expanded = tags(path, places);
    if expanded.contains('%') {
        return draft
            .note(format!("maildir \"{path}\""), "its tags are not understood: the Maildir is named like the account");
    }
    let full = expand(&expanded, places.home.as_deref(), places.home.as_deref().unwrap_or(Path::new("/")));
    let full = full.to_string_lossy().into_owned();
    draft.became("action maildir", format!("maildir = \"{full}\""));
    draft.maildir = Some(full);
}

/// `%h` is the home, `%u` the user.
fn tags(path: &str, places: &Places) -> String {
    let home = places.home.as_ref().map(|home| home.to_string_lossy().into_owned()).unwrap_or_default();
    let user = places.user.clone().unwrap_or_default();
    let long = path.replace("%[home]", &home).replace("%[user]", &user);
    long.replace("%h", &home).replace("%u", &user)
}

fn words(draft: &mut Draft, account: &Statement, behind: &Statement, places: &Places, cache: &mut Option<PathBuf>) {
    for (at, token) in account.tokens.iter().enumerate().skip(2) {
        let Token::Word(word) = token else { continue };
        // A number or a name behind `port` is no word of its own.
        let before = at.checked_sub(1).and_then(|before| account.tokens.get(before));
        if matches!(before, Some(Token::Word(before)) if before == "port") {
            continue;
        }
        match word.as_str() {
            "pop3" | "pop3s" | "server" | "pass" | "keep" | "starttls" | "disabled" => {}
            "user" | "users" if behind.behind(word).is_none() || at < account.tokens.len() - behind.tokens.len() => {
                draft.note(word, "the Maildir is the one of who runs mailferry; run the import as that user");
            }
            "user" | "users" => {}
            "port" => match behind.behind("port") {
                Some("pop3") => draft.port = 110,
                Some("pop3s") => draft.port = 995,
                Some(port) => match port.parse().ok().filter(|port| *port > 0) {
                    Some(port) => {
                        draft.port = port;
                        draft.became("port", format!("port = {port}"));
                    }
                    None => draft.note("port", "it is not a number; set `port`"),
                },
                None => draft.note("port", "it is not a number; set `port`"),
            },
            "new-only" | "old-only" | "no-uidl" | "no-apop" | "no-cram-md5" | "no-plain" | "no-login" => {
                match word.as_str() {
                    "old-only" => draft.note(word, "mailferry fetches what is new"),
                    _ => draft.needless(word),
                }
            }
            "cache" => {
                let base = places.home.as_deref().unwrap_or(Path::new("/"));
                *cache = account.behind("cache").map(|path| expand(&tags(path, places), places.home.as_deref(), base));
            }
            "no-verify" => draft
                .note(word, "certificates are always checked; for one that is signed by itself name it as tls_ca_file"),
            "insecure" if draft.tls != TlsMode::StartTls => draft.needless(word),
            "insecure" => {
                draft.note(word, "the password is not sent in clear unless allow_cleartext_password = true says so");
            }
            _ => draft.note(word, "there is nothing like it"),
        }
    }
}

/// What the cache of an account has: `LENGTH UNIQUE-ID` a line, read by the length.
fn record(places: &Places, cache: Option<&Path>) -> Result<Record, ImportError> {
    let Some(path) = places.fetched.as_deref().or(cache) else { return Ok(Record::default()) };
    let Some(bytes) = source::record(path)? else { return Ok(Record::default()) };
    Ok(unique_ids(&bytes))
}

fn unique_ids(bytes: &[u8]) -> Record {
    let mut record = Record { found: true, ..Record::default() };
    let mut rest = bytes;
    while let Some(blank) = memchr::memchr(b' ', rest) {
        let length = std::str::from_utf8(rest.get(..blank).unwrap_or_default())
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok());
        let unique_id = length.and_then(|length| rest.get(blank + 1..)?.get(..length));
        let (Some(unique_id), Some(length)) = (unique_id, length) else {
            record.left_out += 1;
            break;
        };
        record.add(unique_id, None);
        rest = rest.get(blank + 1 + length..).unwrap_or_default().trim_ascii_start();
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_becomes_accounts() {
        let dir = tempfile::tempdir().unwrap();
        let conf = "# mine\nset lock-types flock\nset keep-all\n$pw = \"hush hush\"\naction \"in\" maildir \"%h/Mail/in\"\n\
                    action \"p\" pipe \"cat\"\naccount \"a\" disabled pop3s server \"pop.h\" port 1995 user \"ann\" pass $pw \
                    new-only cache \"%h/c\" no-verify\naccount \"b\" pop3 server \"127.0.0.1\" user 'bob' pass \"x${pw}\"\n\
                    account \"i\" imap server \"h\" user \"u\" pass \"p\"\nmatch \"^From:.*x\" in headers action \"p\"\n\
                    match account \"b\" action \"p\"\nmatch all action \"in\"\n";
        let path = dir.path().join("fdm.conf");
        std::fs::write(&path, conf).unwrap();
        std::fs::write(dir.path().join("c"), "4 A1b2\n5 a b\nc\n3 xyz\n").unwrap();
        let places = Places { path: Some(path), home: Some(dir.path().to_owned()), ..Places::default() };
        let found = read(&places).unwrap();
        let [a, b] = &found.drafts[..] else { panic!("{found:?}") };
        assert_eq!((a.host.as_str(), a.port, a.username.as_str(), a.enabled), ("pop.h", 1995, "ann", false));
        assert_eq!((a.tls, b.tls, b.port), (TlsMode::Implicit, TlsMode::None, 110));
        assert_eq!(a.removal, Removal::Keep);
        assert_eq!(a.maildir, Some(dir.path().join("Mail/in").to_str().unwrap().to_owned()));
        let ids: Vec<_> = a.record.fetched.iter().map(|one| one.unique_id.as_bytes().to_vec()).collect();
        assert_eq!((ids, a.record.left_out), (vec![b"A1b2".to_vec(), b"xyz".to_vec()], 1));
        let secret = |draft: &Draft| match &draft.password {
            Password::InClear(secret) => String::from_utf8(secret.expose().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!((secret(a), secret(b)), ("hush hush".to_owned(), "xhush hush".to_owned()));
        assert_eq!((found.left.len(), found.general.len()), (1, 3));
        assert!(!format!("{found:?}").contains("hush"));
    }

    #[test]
    fn an_open_quote_is_found() {
        assert_eq!(tokens("a\n\"b\nc"), Err(2));
    }
}
