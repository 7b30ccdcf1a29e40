//! fdm 2: `fdm.conf` and the caches of its POP3 accounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{Draft, Note, Password, Record, Removal};
use super::source::{self, expand, text};
use super::{Found, ImportError, Places, Program, netrc};
use crate::account::TlsMode;
use crate::config::nearest;
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

/// Words that may begin a line: of statements, accounts, actions, conditions and settings.
const WORDS: [&str; 81] = [
    "account",
    "accounts",
    "action",
    "actions",
    "add-header",
    "add-to-cache",
    "age",
    "all",
    "and",
    "any-name",
    "any-size",
    "any-type",
    "append",
    "attachment",
    "cache",
    "case",
    "compress",
    "continue",
    "count",
    "disabled",
    "drop",
    "endif",
    "exec",
    "expire",
    "folder",
    "folders",
    "from",
    "group",
    "groups",
    "ifdef",
    "ifndef",
    "imap",
    "imaps",
    "in",
    "in-cache",
    "include",
    "insecure",
    "keep",
    "key",
    "maildir",
    "maildirs",
    "match",
    "matched",
    "mbox",
    "mboxes",
    "new-only",
    "nntp",
    "nntps",
    "no-apop",
    "no-cram-md",
    "no-login",
    "no-plain",
    "no-uidl",
    "no-verify",
    "not",
    "old-only",
    "or",
    "pass",
    "pipe",
    "pop",
    "pops",
    "port",
    "remove-from-cache",
    "remove-header",
    "remove-headers",
    "returns",
    "rewrite",
    "server",
    "set",
    "size",
    "smtp",
    "starttls",
    "stdin",
    "stdout",
    "string",
    "tag",
    "tagged",
    "unmatched",
    "user",
    "users",
    "value",
];

/// Reads the configuration and what was fetched.
pub(super) fn read(places: &Places) -> Result<Found, ImportError> {
    let path = find(places)?;
    let bytes = source::config(&path)?;
    let tokens = tokens(&text(&bytes)).map_err(|line| ImportError::Syntax {
        path: path.clone(),
        line,
        what: "a quote is not closed".to_owned(),
    })?;
    misspelt(&tokens).map_err(|(line, what)| ImportError::Syntax { path: path.clone(), line, what })?;
    let rc = match &places.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let mut file = File { found: Found::new(Program::Fdm, path), ..File::default() };
    for statement in statements(tokens) {
        file.take(&statement);
    }
    file.name_unused_actions();
    let rules = Rules {
        targets: &file.targets,
        default_action: file.default_action.as_deref(),
        of_account: &file.of_account,
        settings: &file.settings,
    };
    let mut found = file.found;
    for (account, line) in file.accounts {
        let rc = rc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match draft(&account, line, &rules, places, rc) {
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

/// A line that begins with a word that fdm does not have. The word itself is not shown.
fn misspelt(tokens: &[(Token, usize)]) -> Result<(), (usize, String)> {
    let mut last_line = 0;
    for (token, line) in tokens {
        let is_first = std::mem::replace(&mut last_line, *line) != *line;
        let Token::Word(word) = token else { continue };
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_word = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        if is_first && is_word && !WORDS.contains(&letters) {
            let meant = nearest(letters, WORDS.into_iter());
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            return Err((*line, format!("this line begins with a word that fdm does not have{meant}")));
        }
    }
    Ok(())
}

/// Words behind the name of an account or an action where one is defined, and not spoken of by a rule.
const KINDS: [&str; 24] = [
    "add-header",
    "add-to-cache",
    "append",
    "disabled",
    "drop",
    "exec",
    "imap",
    "imaps",
    "keep",
    "maildir",
    "maildirs",
    "mbox",
    "mboxes",
    "nntp",
    "nntps",
    "pipe",
    "pop3",
    "pop3s",
    "remove-header",
    "rewrite",
    "smtp",
    "stdin",
    "tag",
    "write",
];

/// Puts words together: a statement goes on until a word that begins one.
fn statements(tokens: Vec<(Token, usize)>) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut depth = 0_usize;
    let begins: Vec<bool> = (0..tokens.len()).map(|at| may_begin(tokens.get(at..).unwrap_or_default())).collect();
    for ((token, line), may_begin) in tokens.into_iter().zip(begins) {
        let last = statements.last().map(|statement| (statement.kind(), statement.tokens.last()));
        let begins = match &token {
            Token::Word(word) if depth == 0 => match last {
                None => true,
                // A rule speaks of accounts and actions, too.
                Some(("match", before)) => {
                    let is_spoken_of = matches!(before, Some(Token::Word(before)) if ["match", "and", "or", "not"].contains(&before.as_str()));
                    may_begin && !(is_spoken_of && word == "account")
                }
                // `new-only cache "..."` is part of an account.
                Some(("account", Some(Token::Word(before)))) if before.ends_with("-only") => false,
                Some((kind, _)) => may_begin || (kind != "match" && BEGINNINGS.contains(&word.as_str())),
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

/// Whether a statement may begin here, by the words that follow.
fn may_begin(tokens: &[(Token, usize)]) -> bool {
    let word = |at: usize| match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word.as_str()),
        _ => None,
    };
    let Some(first) = word(0) else { return false };
    match first {
        "account" | "action" => {
            let kind = word(2).filter(|kind| KINDS.contains(kind) || matches!(*kind, "user" | "users"));
            kind.is_some() || (first == "action" && matches!(tokens.get(2), Some((Token::Open, _))))
        }
        name if name.starts_with(['$', '%']) => word(1) == Some("="),
        other => BEGINNINGS.contains(&other),
    }
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
    /// What each action does, by name.
    targets: BTreeMap<String, Target>,
    /// The action of all mail.
    default_action: Option<String>,
    /// The action of all mail of an account.
    of_account: BTreeMap<String, String>,
    settings: Settings,
}

/// An action.
struct Target {
    /// What it does with mail.
    does: Does,
    /// Its line.
    line: usize,
}

/// What an action does with mail.
enum Does {
    /// It goes into this Maildir.
    Maildir(String),
    /// It goes to this command.
    Pipe(String),
    /// Something else.
    Other,
}

/// What `set` says and becomes something.
#[derive(Default)]
struct Settings {
    keep_all: bool,
    timeout: Option<u64>,
    maximum_size: Option<u64>,
    purge_after: Option<u64>,
    proxy: Option<String>,
}

/// What holds for all accounts.
struct Rules<'a> {
    targets: &'a BTreeMap<String, Target>,
    default_action: Option<&'a str>,
    of_account: &'a BTreeMap<String, String>,
    settings: &'a Settings,
}

impl Default for File {
    fn default() -> Self {
        let (macros, accounts, targets, default_action, of_account, settings) = Default::default();
        let found = Found::new(Program::Fdm, PathBuf::new());
        Self { found, macros, accounts, targets, default_action, of_account, settings }
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
            "action" => match statement.tokens.get(1) {
                Some(Token::Text(name)) => {
                    let does = match (statement.behind("maildir"), statement.behind("pipe")) {
                        (Some(path), None) => Does::Maildir(path.to_owned()),
                        (None, Some(command)) => Does::Pipe(command.to_owned()),
                        _ => Does::Other,
                    };
                    self.targets.insert(name.clone(), Target { does, line });
                }
                _ => self.found.general.push(Note::new(what("action"), "it is not understood")),
            },
            "match" => self.rule(&statement, what("match")),
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

    /// `match all action "x"` and `match account "a" action "x"`; of several, the first counts, as in fdm.
    fn rule(&mut self, statement: &Statement, what: String) {
        let word =
            |at: usize, wanted: &str| matches!(statement.tokens.get(at), Some(Token::Word(word)) if word == wanted);
        match statement.tokens.as_slice() {
            [_, _, _, Token::Text(name)] if word(1, "all") && word(2, "action") && self.default_action.is_none() => {
                self.default_action = Some(name.clone());
            }
            [_, _, Token::Text(account), _, Token::Text(name)]
                if word(1, "account")
                    && word(3, "action")
                    && self.default_action.is_none()
                    && !account.contains(['*', '?', '[']) =>
            {
                self.of_account.entry(account.clone()).or_insert_with(|| name.clone());
            }
            _ => self.found.general.push(Note::new(
                what,
                "not taken over: [[accounts.NAME.rules]] sort by the header into Maildirs (docs/routing.md), and a program that \
                 sorts is run by on_new_mail",
            )),
        }
    }

    /// Actions that are of no account as a whole.
    fn name_unused_actions(&mut self) {
        let used: Vec<&String> = self.default_action.iter().chain(self.of_account.values()).collect();
        for (name, target) in self.targets.iter().filter(|(name, _)| !used.contains(name)) {
            let advice = match &target.does {
                Does::Maildir(_) => "a rule of an account can lead mail into that Maildir: docs/routing.md".to_owned(),
                Does::Pipe(command) => match destination::shell_command(command, &["%"]) {
                    Ok(to) => {
                        format!("an account whose mail it is for can have forward = {to}; see docs/forwarding.md")
                    }
                    Err(advice) => advice,
                },
                Does::Other => destination::DESTINATIONS.to_owned(),
            };
            self.found.general.push(Note::new(format!("action \"{name}\" (line {})", target.line), advice));
        }
    }

    fn setting(&mut self, statement: &Statement, what: &str) {
        let Some(Token::Word(name)) = statement.tokens.get(1) else {
            return self.found.general.push(Note::new(what, "it is not understood"));
        };
        let value = statement.behind(name);
        let number = value.and_then(size);
        let note = |advice: &str| Note::new(format!("{what} {name}"), advice);
        match name.as_str() {
            "keep-all" => self.settings.keep_all = true,
            "timeout" if number.is_some() => self.settings.timeout = number,
            "maximum-size" if number.is_some() => self.settings.maximum_size = number,
            "purge-after" if number.is_some() => self.settings.purge_after = number,
            "proxy" => self.settings.proxy = value.map(str::to_owned),
            "delete-oversized" => {
                self.found.general.push(note("messages that are too large stay on the server"));
            }
            "unmatched-mail" if value == Some("drop") => {
                self.found.general.push(note("no mail is dropped: what no rule names goes into the account's Maildir"));
            }
            "default-user" | "cmd-user" | "command-user" => {
                self.found.general.push(note("mail is delivered as who runs mailferry"));
            }
            "file-umask" | "file-group" => {
                self.found.general.push(note("maildir_mode says who may read what is delivered"));
            }
            "lock-file"
            | "lock-types"
            | "lock-type"
            | "lock-timeout"
            | "lock-wait"
            | "no-received"
            | "queue-high"
            | "queue-low"
            | "strip-characters"
            | "allow-multiple"
            | "lookup-order"
            | "parallel-accounts"
            | "unmatched-mail"
            | "ignore-errors"
            | "verify-certificates"
            | "no-create"
            | "file-mask" => {
                self.found.needless.push(format!("{what} {name}"));
            }
            _ => self.found.general.push(note("there is nothing like it")),
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

/// A number, with a unit of octets or seconds behind it if there is one.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" | "s" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// An account, and its cache if it has one.
fn draft(
    account: &Statement,
    line: usize,
    rules: &Rules<'_>,
    places: &Places,
    rc: &[u8],
) -> Result<(Draft, Option<PathBuf>), Note> {
    let Some(Token::Text(name)) = account.tokens.get(1) else {
        return Err(Note::new(format!("account (line {line})"), "it has no name"));
    };
    let origin = format!("account \"{name}\" (line {line})");
    let (plain, ssl) = (account.has("pop3"), account.has("pop3s"));
    if !plain && !ssl {
        return Err(Note::new(origin, "it is not a POP3 account; mailferry speaks POP3 alone, so keep fdm for it"));
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
    let keeps = rules.settings.keep_all || account.has("keep");
    draft.removal = if keeps { Removal::Keep } else { Removal::AtOnce };
    match keeps {
        true => draft.became("keep", "leave_on_server = true"),
        false => draft.became("no keep", "leave_on_server = false"),
    }
    if account.has("disabled") {
        draft.enabled = false;
        draft.became("disabled", "enabled = false: it is polled when it is named");
    }
    deliver(&mut draft, rules.of_account.get(name).map(String::as_str).or(rules.default_action), rules, places);
    let mut cache = None;
    words(&mut draft, account, &behind, places, &mut cache);
    if let Some(seconds) = rules.settings.timeout {
        draft.wait_for("set timeout", seconds);
    }
    if let Some(octets) = rules.settings.maximum_size {
        draft.limit_size("set maximum-size", octets);
    }
    if let Some(messages) = rules.settings.purge_after {
        draft.limit_count("set purge-after", messages);
    }
    if let Some(url) = &rules.settings.proxy {
        proxy(&mut draft, url);
    }
    Ok((draft, cache))
}

/// A proxy of fdm's: `socks` is SOCKS 5, and both kinds have a usual port.
fn proxy(draft: &mut Draft, url: &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.trim_end_matches('/');
    let (kind, usual) = match scheme {
        "socks" | "socks5" => ("socks5", 1080),
        "http" => ("http", 80),
        _ => return draft.note("set proxy", "it is not understood; see proxy in docs/configuration.md"),
    };
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port { String::new() } else { format!(":{usual}") };
    draft.go_through("set proxy", &format!("{kind}://{rest}{port}"));
}

/// Where all mail of the account goes, by the action that takes it.
fn deliver(draft: &mut Draft, action: Option<&str>, rules: &Rules<'_>, places: &Places) {
    let named = action.and_then(|name| Some((name, rules.targets.get(name)?)));
    let Some((name, target)) = named else {
        return draft.note("no action that takes all its mail", "the Maildir is named like the account");
    };
    let path = match &target.does {
        Does::Maildir(path) => path,
        Does::Pipe(command) => {
            let command = tags(command, places).replace("%%", "\0");
            let to = destination::shell_command(&command.replace('\0', "%"), &["%"]);
            let to =
                if command.contains('%') { to } else { destination::shell_command(&command.replace('\0', "%"), &[]) };
            draft.forward(format!("action \"{name}\", pipe"), to);
            if let Some(about) = destination::about_sendmail(&command).filter(|_| draft.forward.is_some()) {
                draft.note(format!("action \"{name}\""), about);
            }
            return;
        }
        Does::Other => return draft.note(format!("action \"{name}\""), destination::DESTINATIONS),
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
            "port" => draft.use_port("port", behind.behind("port").unwrap_or_default()),
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
            "no-verify" => draft.note_unchecked(word),
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
#[path = "fdm_tests.rs"]
mod tests;
