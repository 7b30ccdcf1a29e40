//! An account as another program had it, in our words. PURE.

use std::path::Path;

use toml_edit::{Array, Table, value};

use crate::account::{AccountName, TlsMode};
use crate::pop3::UniqueId;
use crate::secret::Secret;

/// Something that has no counterpart here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is, in the other program's words.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Note {
    /// What has no counterpart, and what to do about it.
    #[must_use]
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }
}

/// Where the other program has a password from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// It stands in this file of the other program, in clear.
    InClear(Secret),
    /// A command prints it: its words.
    Command(Vec<String>),
    /// It cannot be had: why, and where the other program has it.
    Missing(String),
}

/// What happens to a delivered message on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It stays.
    Keep,
    /// It goes.
    AtOnce,
    /// It goes after so many hours.
    AfterHours(u64),
}

/// A message that the other program has fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The server's name for it, as the other program spells it.
    pub unique_id: UniqueId,
    /// When, in seconds since 1970, if it remembers that.
    pub at: Option<i64>,
}

/// What the other program remembers of what it fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// What it fetched and the server may still have.
    pub fetched: Vec<Fetched>,
    /// Entries that cannot be a server's unique-id, or say that nothing was fetched.
    pub left_out: usize,
    /// Whether there is a record of this account at all.
    pub found: bool,
}

impl Record {
    /// Takes in a unique-id as it stands in a record.
    pub fn add(&mut self, unique_id: &[u8], at: Option<i64>) {
        self.found = true;
        match UniqueId::new(unique_id) {
            Ok(unique_id) => self.fetched.push(Fetched { unique_id, at }),
            Err(_) => self.left_out += 1,
        }
    }
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it stands in the other program, for people.
    pub origin: String,
    /// What it may be called, the best name first. Any text.
    pub names: Vec<String>,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub tls: TlsMode,
    /// The user agreed that the password crosses a network in clear.
    pub in_clear: bool,
    /// The name to log in with.
    pub username: String,
    /// How to log in; None: the best that there is.
    pub auth: Option<&'static str>,
    /// The password.
    pub password: Password,
    /// The Maildir; None: one that is named like the account.
    pub maildir: Option<String>,
    /// What happens to delivered messages.
    pub removal: Removal,
    /// The time between two polls, in seconds.
    pub interval: Option<u64>,
    /// How long the server may be silent, in seconds.
    pub timeout: Option<u64>,
    /// The largest message, in octets.
    pub max_message_size: Option<u64>,
    /// The most messages in a session.
    pub max_messages: Option<u32>,
    /// Whether it is polled when it is not named.
    pub enabled: bool,
    /// The authorities that are trusted.
    pub ca_file: Option<String>,
    /// What became what, in the words of both.
    pub became: Vec<(String, String)>,
    /// What has no counterpart.
    pub notes: Vec<Note>,
    /// What need not be said here.
    pub needless: Vec<String>,
    /// What was fetched.
    pub record: Record,
}

impl Draft {
    /// An account of which nothing more is known; it keeps everything on the server.
    #[must_use]
    pub fn new(origin: impl Into<String>, host: impl Into<String>, username: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            names: Vec::new(),
            host: host.into(),
            port: 995,
            tls: TlsMode::Implicit,
            in_clear: false,
            username: username.into(),
            auth: None,
            password: Password::Missing("no password was found".to_owned()),
            maildir: None,
            removal: Removal::Keep,
            interval: None,
            timeout: None,
            max_message_size: None,
            max_messages: None,
            enabled: true,
            ca_file: None,
            became: Vec::new(),
            notes: Vec::new(),
            needless: Vec::new(),
            record: Record::default(),
        }
    }

    /// Notes that something became something else.
    pub fn became(&mut self, theirs: impl Into<String>, ours: impl Into<String>) {
        self.became.push((theirs.into(), ours.into()));
    }

    /// Notes that something has no counterpart.
    pub fn note(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.notes.push(Note::new(what, advice));
    }

    /// Notes that something need not be said here.
    pub fn needless(&mut self, what: impl Into<String>) {
        self.needless.push(what.into());
    }

    /// Without TLS, and the other program would not have minded: STLS where it is another machine.
    pub fn protect(&mut self, theirs: &str) {
        if is_this_machine(&self.host) {
            self.tls = TlsMode::None;
            self.became(theirs, "tls = \"none\", as the server is this machine");
            return;
        }
        self.tls = TlsMode::StartTls;
        self.became(theirs, "tls = \"starttls\"");
        self.note(
            format!("{theirs}: the password went in clear"),
            "mailferry begins TLS by STLS; if the server cannot, and the network is yours: tls = \"none\" and \
             allow_cleartext_password = true",
        );
    }

    /// Takes a number of seconds for the time between two polls, within what is allowed.
    pub fn poll_every(&mut self, theirs: &str, seconds: u64) {
        let seconds = seconds.clamp(10, 365 * 86_400);
        self.interval = Some(seconds);
        self.became(theirs, format!("interval = \"{}\"", duration(seconds)));
    }

    /// Takes a number of seconds for the patience with a silent server, within what is allowed.
    pub fn wait_for(&mut self, theirs: &str, seconds: u64) {
        let seconds = seconds.clamp(5, 3600);
        self.timeout = Some(seconds);
        self.became(theirs, format!("timeout = \"{}\"", duration(seconds)));
    }

    /// Messages that are larger stay on the server. Zero is no limit.
    pub fn limit_size(&mut self, theirs: &str, octets: u64) {
        if octets == 0 {
            return self.needless(theirs);
        }
        self.max_message_size = Some(octets);
        self.became(theirs, format!("max_message_size = {octets}"));
    }

    /// No session fetches more. Zero is no limit.
    pub fn limit_count(&mut self, theirs: &str, messages: u64) {
        match u32::try_from(messages) {
            Ok(0) | Err(_) => self.needless(theirs),
            Ok(messages) => {
                self.max_messages = Some(messages);
                self.became(
                    theirs,
                    format!("max_messages_per_session = {messages}; mailferry logs in again for the rest"),
                );
            }
        }
    }

    /// The table of this account; `password_file` is where its password is going to be, if it has a file.
    #[must_use]
    pub fn table(&self, name: &AccountName, password_file: Option<&Path>) -> Table {
        let mut table = Table::new();
        let mut set = |key: &str, item: toml_edit::Item| {
            table.insert(key, item);
        };
        if !self.enabled {
            set("enabled", value(false));
        }
        set("host", value(self.host.as_str()));
        let (usual, mode) = match self.tls {
            TlsMode::Implicit => (995, None),
            TlsMode::StartTls => (110, Some("starttls")),
            TlsMode::None => (110, Some("none")),
        };
        if self.port != usual {
            set("port", value(i64::from(self.port)));
        }
        match mode {
            Some(mode) => set("tls", value(mode)),
            None if self.port == 110 => set("tls", value("implicit")),
            None => {}
        }
        if self.in_clear {
            set("allow_cleartext_password", value(true));
        }
        if let Some(file) = &self.ca_file {
            set("tls_ca_file", value(file.as_str()));
        }
        set("username", value(self.username.as_str()));
        match (&self.password, password_file) {
            (Password::Command(words), _) => set("password_command", value(words.iter().collect::<Array>())),
            (_, Some(file)) => set("password_file", value(file.to_string_lossy().as_ref())),
            (_, None) => {}
        }
        if let Some(auth) = self.auth {
            set("auth", value(auth));
        }
        let maildir = self.maildir.clone().unwrap_or_else(|| format!("~/Mail/{name}"));
        set("maildir", value(maildir));
        match &self.removal {
            Removal::Keep => set("leave_on_server", value(true)),
            Removal::AtOnce => set("leave_on_server", value(false)),
            Removal::AfterHours(hours) => set("leave_on_server", value(duration(hours.saturating_mul(3600)))),
        }
        let numbers = [
            ("max_message_size", self.max_message_size),
            ("max_messages_per_session", self.max_messages.map(u64::from)),
        ];
        for (key, number) in numbers {
            if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
                set(key, value(number));
            }
        }
        for (key, seconds) in [("interval", self.interval), ("timeout", self.timeout)] {
            if let Some(seconds) = seconds {
                set(key, value(duration(seconds)));
            }
        }
        table
    }
}

/// A time as the configuration takes it, in the largest unit that it is whole in.
fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// Whether a server is on this machine, so that no network sees what is said.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
