//! From the text of the file to its tables, and over all of them: nothing stops at the first problem.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::account::Builder;
use super::keys::{self, Level};
use super::notify::notify;
use super::path;
use super::problem::{Problem, Span};
use super::redaction::Masked;
use super::settings::{Settings, password_in};
use super::value::{At, integer, read};
use super::{DaemonSettings, NotifySettings};
use crate::account::{Account, AccountName};
use crate::text;

/// All that the text says. Only complete if there are no problems.
pub(super) struct Parsed {
    /// The text without its secrets.
    pub(super) source: Masked,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What is allowed and looks wrong.
    pub(super) warnings: Vec<(Span, String)>,
    /// Where the first password stands, if there is one.
    pub(super) password: Option<Span>,
    /// `[daemon]`.
    pub(super) daemon: DaemonSettings,
    /// `[notify]`.
    pub(super) notify: NotifySettings,
    /// `state_dir`.
    pub(super) state_dir: Option<PathBuf>,
    /// In the order of the file.
    pub(super) accounts: Vec<Account>,
}

/// How many accounts are polled at the same time, unless the file says.
const DEFAULT_CONCURRENCY: NonZeroUsize = nonzero(32);

/// How many of those at one server, unless the file says.
const DEFAULT_PER_HOST: NonZeroUsize = nonzero(4);

const fn nonzero(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

/// More polls at the same time than this are a mistake: each holds a connection and buffers.
const MOST_POLLS: u64 = 4096;

/// Reads the text of a configuration.
pub(super) fn parse(text: &str, home: Option<&Path>) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    // The parser may notice an unclosed quote only after it has stumbled over what follows.
    if let Some(first) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) {
        return broken(text, first);
    }
    let table = table.get_ref();
    let mut problems = Vec::new();
    keys::report_unknown(table, Level::Top, &mut problems);
    let state_dir = read(table, "state_dir", &mut problems, |value| path::path(value, home));
    let daemon = daemon(table, &mut problems);
    let notify = notify(inner_table(table, "notify", &mut problems), home, &mut problems);
    let mut reader = Reader { home, problems, warnings: Vec::new(), password: None };
    let accounts = reader.accounts(table);
    let Reader { problems, warnings, password, .. } = reader;
    Parsed {
        source: Masked::of_table(text, table),
        problems,
        warnings,
        password,
        daemon,
        notify,
        state_dir: state_dir.value().cloned(),
        accounts,
    }
}

/// A file that is not TOML: that is the one problem, because nothing else can be trusted to be meant so.
fn broken(text: &str, error: &toml::de::Error) -> Parsed {
    let span = error.span().unwrap_or(0..0);
    let line = text.get(..span.start).and_then(|before| text.get(before.rfind('\n').map_or(0, |end| end + 1)..));
    let line = line.and_then(|rest| rest.lines().next()).unwrap_or_default();
    let help = if line.starts_with('[') && line.contains('@') && !line.contains('"') {
        "a name with an @ or a blank in it stands in quotes, as in [accounts.\"me@example.org\"]"
    } else {
        "correct this line first; strings stand in quotes, and a key stands once in a table"
    };
    let message = format!("this is not TOML: {}", text::value(error.message()));
    let problem = Problem::new(message).at(&span).help(help);
    Parsed {
        source: Masked::of_broken(text),
        problems: vec![problem],
        warnings: Vec::new(),
        // A password is most probably in there, but nobody is told about permissions before the file can be read.
        password: None,
        daemon: DaemonSettings { concurrency: DEFAULT_CONCURRENCY, per_host: DEFAULT_PER_HOST },
        notify: NotifySettings::default(),
        state_dir: None,
        accounts: Vec::new(),
    }
}

fn daemon(top: &DeTable<'_>, problems: &mut Vec<Problem>) -> DaemonSettings {
    let empty = DeTable::new();
    let table = inner_table(top, "daemon", problems).unwrap_or(&empty);
    keys::report_unknown(table, Level::Daemon, problems);
    let mut polls = |key: &str, default: NonZeroUsize| {
        let number = read(table, key, problems, |value| integer(value, 1..=MOST_POLLS, &format!("{default}")));
        number.value().and_then(|number| usize::try_from(*number).ok()).and_then(NonZeroUsize::new).unwrap_or(default)
    };
    DaemonSettings {
        concurrency: polls("concurrency", DEFAULT_CONCURRENCY),
        per_host: polls("per_host", DEFAULT_PER_HOST),
    }
}

/// A table in a table, if it is there and is one.
fn inner_table<'t, 'i>(table: &'t DeTable<'i>, key: &str, problems: &mut Vec<Problem>) -> Option<&'t DeTable<'i>> {
    let (name, value) = table.get_key_value(key)?;
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

/// Goes over all accounts.
struct Reader<'a> {
    home: Option<&'a Path>,
    problems: Vec<Problem>,
    warnings: Vec<(Span, String)>,
    password: Option<Span>,
}

impl Reader<'_> {
    fn accounts(&mut self, top: &DeTable<'_>) -> Vec<Account> {
        let defaults = match inner_table(top, "defaults", &mut self.problems) {
            Some(table) => self.settings(table, Level::Defaults),
            None => Settings::default(),
        };
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
        entries.into_iter().filter_map(|(name, value)| self.account(name, value, &defaults)).collect()
    }

    fn account(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        defaults: &Settings,
    ) -> Option<Account> {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{}` is not the table of an account", text::value(key.get_ref()));
            let help = "write [accounts.NAME] on a line of its own, and the account's keys below it";
            self.problems.push(Problem::new(message).at(&key.span()).help(help));
            return None;
        };
        let name = AccountName::new(key.get_ref());
        let shown = name.as_ref().map_or("NAME", AccountName::as_str);
        let own = self.settings(table, Level::Account(shown));
        let name = match name {
            Ok(value) => At { value, span: key.span() },
            Err(invalid) => {
                let help = "choose another name; it also names the account's files and stands on the command line";
                self.problems.push(Problem::new(invalid.to_string()).at(&key.span()).help(help));
                return None;
            }
        };
        let (home, problems, warnings) = (self.home, &mut self.problems, &mut self.warnings);
        Builder { name: &name, own: &own, defaults, home, problems, warnings }.build()
    }

    fn settings(&mut self, table: &DeTable<'_>, level: Level<'_>) -> Settings {
        if let Some(found) = password_in(table) {
            self.password.get_or_insert(found);
        }
        Settings::read(table, level, self.home, &mut self.problems)
    }

    fn no_accounts(&mut self) {
        self.problems.push(Problem::new("there is no account in the configuration").help(
            "add a table [accounts.NAME] with host, username, password_command and maildir, as in config/mailferry.toml",
        ));
    }
}
