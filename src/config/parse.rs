//! Parses the text of the file and reads all of its tables. No problem stops it, so all are reported at once.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Span;
use super::account::{Builder, Circles, Protocol};
use super::forward::{self, ForwardTable};
use super::http;
use super::keys::{self, Level};
use super::notify::notify;
use super::path;
use super::problem::{MOST_TOLD, Problem};
use super::redaction::Masked;
use super::settings::{Settings, password_in};
use super::sharing::Endpoints;
use super::unknown::report_unknown;
use super::value::{At, Setting, integer, read};
use super::{DaemonSettings, foreign, syntax, tangled};
use crate::account::{Account, AccountName, NotifySettings};
use crate::text;

/// Everything read from the text. It is complete only if there are no problems.
pub(super) struct Parsed {
    /// The text with its secrets masked.
    pub(super) source: Masked,
    /// Errors found.
    pub(super) problems: Vec<Problem>,
    /// Settings that are allowed but look wrong.
    pub(super) warnings: Vec<(Span, String)>,
    /// The position of the first password, if there is one.
    pub(super) password: Option<Span>,
    /// The settings outside the accounts.
    pub(super) above: Above,
    /// In the order of the file.
    pub(super) accounts: Vec<Account>,
}

/// The default number of concurrent polls.
const DEFAULT_CONCURRENCY: NonZeroUsize = nonzero(32);

/// The default number of concurrent polls at one server.
const DEFAULT_PER_HOST: NonZeroUsize = nonzero(4);

const fn nonzero(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

/// The largest number of concurrent polls that can be set. Each holds a connection and buffers, so more are a mistake.
const MOST_POLLS: u64 = 4096;

/// Parses the text of a configuration.
pub(super) fn parse(text: &str, home: Option<&Path>) -> Parsed {
    // For a table that is continued later, the parser moves all of its siblings. A file with very many of those is
    // examined line by line.
    if tangled::is_tangled(text) {
        return broken(text, home);
    }
    // Collecting all syntax errors at once would take many times the memory of the text.
    match DeTable::parse(text) {
        Ok(table) => of_table(table.get_ref(), Masked::of_table(text, table.get_ref()), home),
        Err(_) => broken(text, home),
    }
}

/// Reads `state_dir` from the text above the first table alone. Returns None if that text is not valid.
pub(super) fn state_dir_at_top(text: &str, home: Option<&Path>) -> Option<Option<PathBuf>> {
    let first_table = if text.starts_with('[') { Some(0) } else { text.find("\n[").map(|newline| newline + 1) };
    let table = DeTable::parse(text.get(..first_table.unwrap_or(text.len()))?).ok()?;
    let mut problems = Vec::new();
    let state_dir = read(table.get_ref(), "state_dir", &mut problems, |value| path::path(value, home));
    problems.is_empty().then(|| state_dir.value().cloned())
}

fn of_table(table: &DeTable<'_>, source: Masked, home: Option<&Path>) -> Parsed {
    let mut reader = Reader::new(home);
    let above = reader.above(table);
    let accounts = reader.accounts(table);
    let Reader { problems, warnings, password, .. } = reader;
    Parsed { source, problems, warnings, password, above, accounts }
}

/// Reports the mistakes of a file that is not TOML, and the problems of the text as it was probably meant.
fn broken(text: &str, home: Option<&Path>) -> Parsed {
    let repaired = syntax::repair(text);
    let table = DeTable::parse(&repaired.text).map(Spanned::into_inner).unwrap_or_default();
    let parsed = of_table(&table, Masked::of_broken(text, repaired.looked_at), home);
    drop(table);
    let mut problems = match foreign::recognise(text) {
        Some(problem) => vec![problem],
        None => repaired.with(parsed.problems),
    };
    if problems.is_empty() && tangled::is_tangled(text) {
        problems.push(tangled::problem());
    }
    if problems.is_empty() {
        let help = "strings are quoted, and a key is set only once in a table";
        problems.push(Problem::new("this is not TOML").help(help));
    }
    // It probably contains a password, but permissions are not reported before the file can be read.
    Parsed { problems, warnings: Vec::new(), password: None, accounts: Vec::new(), ..parsed }
}

fn daemon(top: &DeTable<'_>, home: Option<&Path>, problems: &mut Vec<Problem>) -> DaemonSettings {
    let empty = DeTable::new();
    let table = inner_table(top, "daemon", problems).unwrap_or(&empty);
    report_unknown(table, Level::Daemon, problems);
    let mut polls = |key: &str, default: NonZeroUsize| {
        let example = format!("a number from 1 to {MOST_POLLS}, without quotes; {default} is the default");
        let number = read(table, key, problems, |value| integer(value, 1..=MOST_POLLS, &example));
        number.value().and_then(|number| usize::try_from(*number).ok()).and_then(NonZeroUsize::new).unwrap_or(default)
    };
    let (concurrency, per_host) = (polls("concurrency", DEFAULT_CONCURRENCY), polls("per_host", DEFAULT_PER_HOST));
    DaemonSettings { concurrency, per_host, http: http::address(table, home, problems) }
}

/// Returns the inner table under a key. Reports a value that is not a table.
fn inner_table<'t, 'i>(table: &'t DeTable<'i>, key: &str, problems: &mut Vec<Problem>) -> Option<&'t DeTable<'i>> {
    let Some((name, value)) = table.get_key_value(key) else { return meant_table(table, key) };
    let inner = value.get_ref().as_table();
    if inner.is_none() {
        let header = if key == "accounts" { "[accounts.NAME]" } else { &format!("[{key}]") };
        problems.push(
            Problem::new(format!("`{key}` is not a table"))
                .at(&name.span())
                .help(format!("write {header} on a line of its own, and its keys below it")),
        );
    }
    inner
}

/// Returns the table whose name is probably a misspelling of `key`, so that its contents are checked, too. The name
/// itself has been reported as an error.
fn meant_table<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
    let is_meant = |name: &str| !Level::Top.keys().contains(&name) && keys::probably(name, Level::Top) == Some(key);
    table.iter().find(|(name, _)| is_meant(name.get_ref())).and_then(|(_, value)| value.get_ref().as_table())
}

/// The settings outside the accounts.
pub(super) struct Above {
    /// `state_dir`.
    pub(super) state_dir: Option<PathBuf>,
    /// `[daemon]`.
    pub(super) daemon: DaemonSettings,
    /// `[notify]`.
    pub(super) notify: NotifySettings,
}

/// The contents of `[accounts.NAME]` or `[defaults]`.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Its keys.
    settings: Settings,
    /// Its table `forward`.
    forward: Setting<ForwardTable>,
}

/// Reads all tables and collects what is wrong.
pub(super) struct Reader<'a> {
    /// The home directory, to expand `~`.
    home: Option<&'a Path>,
    /// Errors found.
    pub(super) problems: Vec<Problem>,
    /// Settings that are allowed but look wrong.
    pub(super) warnings: Vec<(Span, String)>,
    /// The position of the first password, if there is one.
    pub(super) password: Option<Span>,
    /// The servers of the accounts read so far.
    endpoints: Endpoints,
    /// Where the accounts read so far forward mail.
    circles: Circles,
}

impl<'a> Reader<'a> {
    pub(super) fn new(home: Option<&'a Path>) -> Self {
        let (problems, warnings, password) = (Vec::new(), Vec::new(), None);
        let (endpoints, circles) = (Endpoints::default(), Circles::default());
        Self { home, problems, warnings, password, endpoints, circles }
    }

    /// Looks for what can only be seen once all accounts are read.
    pub(super) fn compare_accounts(&mut self) {
        let (problems, warnings) = self.circles.problems();
        self.problems.extend(problems);
        self.warnings.extend(warnings);
    }

    /// Reads the settings outside the accounts.
    pub(super) fn above(&mut self, top: &DeTable<'_>) -> Above {
        let (home, problems) = (self.home, &mut self.problems);
        report_unknown(top, Level::Top, problems);
        let state_dir = read(top, "state_dir", problems, |value| path::path(value, home)).value().cloned();
        let daemon = daemon(top, home, problems);
        Above { state_dir, daemon, notify: notify(inner_table(top, "notify", problems), home, problems) }
    }

    /// Reads `[defaults]`.
    pub(super) fn defaults(&mut self, top: &DeTable<'_>) -> Tables {
        match inner_table(top, "defaults", &mut self.problems) {
            Some(table) => self.tables(table, Level::Defaults),
            None => Tables::default(),
        }
    }

    fn accounts(&mut self, top: &DeTable<'_>) -> Vec<Account> {
        let defaults = self.defaults(top);
        let Some(table) = inner_table(top, "accounts", &mut self.problems) else {
            if !top.contains_key("accounts") {
                self.no_accounts();
            }
            return Vec::new();
        };
        if table.is_empty() {
            self.no_accounts();
        }
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut accounts = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if self.problems.len() > MOST_TOLD {
                break;
            }
            accounts.extend(self.account(name, value, &defaults));
        }
        self.compare_accounts();
        accounts
    }

    /// Reads `[accounts.KEY]`.
    pub(super) fn account(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        defaults: &Tables,
    ) -> Option<Account> {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{}` is not the table of an account", text::value(key.get_ref()));
            let help = "write [accounts.NAME] on a line of its own, and the account's keys below it";
            self.problems.push(Problem::new(message).at(&key.span()).help(help));
            return None;
        };
        let undotted = self.dotted(key, table, defaults);
        let table = match &undotted {
            None => table,
            Some(own) if own.is_empty() => return None,
            Some(own) => own,
        };
        let name = AccountName::new(key.get_ref());
        let shown = name.as_ref().map_or("NAME", AccountName::as_str);
        let Tables { settings: own, forward } = self.tables(table, Level::Account(shown));
        let name = match name {
            Ok(value) => At { value, span: key.span() },
            Err(invalid) => {
                let help = "choose another name; it is also used in file names and on the command line";
                self.problems.push(Problem::new(invalid.to_string()).at(&key.span()).help(help));
                return None;
            }
        };
        let (home, problems, warnings) = (self.home, &mut self.problems, &mut self.warnings);
        let endpoints = &mut self.endpoints;
        // An account that sets `forward` or `maildir` inherits neither: the setting covers all of its mail.
        let says = !matches!((&forward, &own.maildir), (Setting::Absent, Setting::Absent));
        let forward = if says { &forward } else { &defaults.forward };
        let (defaults, protocol) = (&defaults.settings, Protocol::Pop3);
        let builder = Builder { name: &name, own: &own, defaults, protocol, home, problems, warnings, endpoints };
        let account = builder.build(forward)?;
        self.circles.add(&account, forward.given().map(|given| &given.span));
        Some(account)
    }

    /// Reports an account's name with an unquoted dot: `[accounts.qq.com]` is a table `com` in the account `qq`. The
    /// inner table is checked as an account. Returns what remains of the outer table if there was such an inner one.
    fn dotted<'i>(
        &mut self,
        outer: &Spanned<std::borrow::Cow<'_, str>>,
        table: &DeTable<'i>,
        defaults: &Tables,
    ) -> Option<DeTable<'i>> {
        let is_account = |key: &str, value: &DeValue<'_>| {
            let inner = value.as_table().filter(|_| !keys::is_known(key));
            inner.is_some_and(|inner| {
                inner.iter().any(|(key, value)| keys::is_known(key.get_ref()) || value.get_ref().is_table())
            })
        };
        let (parts, rest): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, value)| is_account(key.get_ref(), value.get_ref()));
        if parts.is_empty() {
            return None;
        }
        for (key, value) in parts {
            if self.problems.len() > MOST_TOLD {
                break;
            }
            let (mut name, mut at, mut value) = (format!("{}.{}", outer.get_ref(), key.get_ref()), key, value);
            while let Some((key, inner)) = value
                .get_ref()
                .as_table()
                .filter(|table| table.len() == 1)
                .and_then(|table| table.iter().next().filter(|(_, inner)| inner.get_ref().is_table()))
            {
                name = format!("{name}.{}", key.get_ref());
                (at, value) = (key, inner);
            }
            let shown = text::value(&name);
            let message = "an account name with a dot in it must be quoted; without quotes it is a table in a table";
            let help = format!("write [accounts.\"{shown}\"]");
            self.problems.push(Problem::new(message).at(&(outer.span().start..at.span().end)).help(help));
            if AccountName::new(&name).is_ok() {
                // This only reports what is wrong with it: the account is not used, because the file is rejected.
                self.account(&Spanned::new(at.span(), name.into()), value, defaults);
            }
        }
        Some(rest.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn tables(&mut self, table: &DeTable<'_>, level: Level<'_>) -> Tables {
        if let Some(found) = password_in(table).or_else(|| forward::password_in(table)) {
            self.password.get_or_insert(found);
        }
        let forward = forward::table(table, level, self.home, &mut self.problems);
        Tables { settings: Settings::read(table, level, self.home, &mut self.problems), forward }
    }

    /// Reports that there is no account, unless an unknown key at the top of the file was probably meant as one.
    fn no_accounts(&mut self) {
        if self.problems.iter().any(Problem::is_about_top) {
            return;
        }
        self.problems.push(Problem::new("there is no account in the configuration").help(
            "add a table [accounts.NAME] with host, username, password_command and maildir; `mailferry man 5` has examples",
        ));
    }
}
