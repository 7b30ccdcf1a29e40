//! An account of another program, in our terms. PURE.

use std::path::Path;

use toml_edit::{Array, Item, Table, Value, value};

use crate::account::{AccountName, TlsMode};
use crate::config::size_in_words;
use crate::pop3::UniqueId;
use crate::secret::Secret;

/// Something without a counterpart here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// What it is, in the other program's terms.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Note {
    /// Makes a note.
    #[must_use]
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }
}

/// Where the other program gets a password from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    /// It is in the file of the other program, in clear.
    InClear(Secret),
    /// A command prints it. Holds the words of the command.
    Command(Vec<String>),
    /// A command prints an OAuth 2.0 access token. Holds the words of the command.
    TokenCommand(Vec<String>),
    /// It cannot be obtained. Says why, and where the other program has it.
    Missing(String),
}

/// What happens on the server to a message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It stays.
    Keep,
    /// It is deleted at once.
    AtOnce,
    /// It is deleted after this many hours.
    AfterHours(u64),
}

/// A message that the other program has fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Its unique-id, as the other program writes it.
    pub unique_id: UniqueId,
    /// When it was fetched, in seconds since 1970, if that is recorded.
    pub at: Option<i64>,
}

/// What the other program has recorded about fetched messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Messages that it has fetched and that the server may still have.
    pub fetched: Vec<Fetched>,
    /// How many entries cannot be unique-ids, or are about messages that were not fetched.
    pub left_out: usize,
    /// Whether there is any record of this account.
    pub found: bool,
}

impl Record {
    /// Adds a unique-id from a record.
    pub(crate) fn add(&mut self, unique_id: &[u8], at: Option<i64>) {
        self.found = true;
        match UniqueId::new(unique_id) {
            Ok(unique_id) => self.fetched.push(Fetched { unique_id, at }),
            Err(_) => self.left_out += 1,
        }
    }
}

/// An account to be created.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Where it is in the other program's configuration, for people.
    pub origin: String,
    /// Names that it may get, the best one first. Any text.
    pub names: Vec<String>,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub tls: TlsMode,
    /// Whether the user agreed that the password crosses a network in clear.
    pub in_clear: bool,
    /// The name to log in with.
    pub username: String,
    /// How to log in. None: by the best method available.
    pub auth: Option<&'static str>,
    /// The password.
    pub password: Password,
    /// The Maildir. None: one named like the account.
    pub maildir: Option<String>,
    /// Where mail is forwarded to, instead of a Maildir.
    pub forward: Option<Value>,
    /// What happens on the server to delivered messages.
    pub removal: Removal,
    /// The time between two polls, in seconds.
    pub interval: Option<u64>,
    /// How long the server may be silent, in seconds.
    pub timeout: Option<u64>,
    /// The largest message that is fetched, in octets.
    pub max_message_size: Option<u64>,
    /// The most messages that are fetched in a session.
    pub max_messages: Option<u32>,
    /// Whether it is polled when no account is named.
    pub enabled: bool,
    /// Further keys of the account, in order.
    pub more: Vec<(&'static str, Value)>,
    /// What became what: the other program's words and ours.
    pub became: Vec<(String, String)>,
    /// What has no counterpart.
    pub notes: Vec<Note>,
    /// Settings that are not needed here.
    pub needless: Vec<String>,
    /// The record of fetched messages.
    pub record: Record,
}

impl Draft {
    /// Makes an account of which nothing more is known; it keeps everything on the server.
    #[must_use]
    pub(crate) fn new(origin: impl Into<String>, host: impl Into<String>, username: impl Into<String>) -> Self {
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
            forward: None,
            removal: Removal::Keep,
            interval: None,
            timeout: None,
            max_message_size: None,
            max_messages: None,
            enabled: true,
            more: Vec::new(),
            became: Vec::new(),
            notes: Vec::new(),
            needless: Vec::new(),
            record: Record::default(),
        }
    }

    /// Whether everything on the server is new: nothing is recorded, and the other program deleted what it fetched.
    #[must_use]
    pub(crate) fn is_unfetched(&self) -> bool {
        !self.record.found && self.removal == Removal::AtOnce
    }

    /// Whether nothing says which of the messages on the server were fetched.
    #[must_use]
    pub(crate) fn is_record_lost(&self) -> bool {
        !self.record.found && self.removal != Removal::AtOnce
    }

    /// Notes that something became something else.
    pub(crate) fn became(&mut self, theirs: impl Into<String>, ours: impl Into<String>) {
        self.became.push((theirs.into(), ours.into()));
    }

    /// Sets a key that has the same meaning as a setting of theirs; the last value counts. Without TLS its keys are not
    /// needed.
    pub(crate) fn set(&mut self, theirs: impl Into<String>, key: &'static str, value: impl Into<Value>) {
        if self.tls == TlsMode::None && key.starts_with("tls_") {
            return self.needless(theirs);
        }
        let value = value.into();
        self.became(theirs, format!("{key} = {value}"));
        self.more.retain(|(other, _)| *other != key);
        self.more.push((key, value));
    }

    /// Trusts the certificate authorities in this file, and no others.
    pub(crate) fn trust(&mut self, theirs: &str, file: &str) {
        self.set(theirs, "tls_ca_file", file);
    }

    /// Notes a certificate fingerprint, which cannot be taken over: ours are of the key.
    pub(crate) fn note_fingerprint(&mut self, theirs: &str, kind: &str) {
        if self.tls == TlsMode::None {
            return self.needless(theirs);
        }
        let (host, port) = (&self.host, self.port);
        let starttls = if self.tls == TlsMode::StartTls { " -starttls pop3" } else { "" };
        let advice = format!(
            "it is the {kind} digest of the certificate, and tls_pin is the SHA-256 of its key, so it cannot be taken over. \
             Check that the certificate has not changed, set tls_pin to the output of this command, and add tls_trust = \
             \"pin\" if no authority signed it: openssl s_client -connect {host}:{port}{starttls} </dev/null 2>/dev/null | openssl x509 -pubkey \
             -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 | sed 's/.*= //'"
        );
        self.note(theirs, advice);
    }

    /// Notes that the other program did not check certificates.
    pub(crate) fn note_unchecked(&mut self, theirs: &str) {
        if self.tls == TlsMode::None {
            return self.needless(theirs);
        }
        self.note(
            theirs,
            "certificates are always checked; for a self-signed certificate set tls_ca_file to it, or tls_pin to its key, \
             with tls_trust = \"pin\"",
        );
    }

    /// Forwards mail to this destination instead of a Maildir, or notes what to do if that is not possible.
    pub(crate) fn forward(&mut self, theirs: impl Into<String>, to: Result<Value, String>) {
        match to {
            Ok(to) => {
                self.became(theirs, format!("forward = {to}, in place of a Maildir"));
                self.forward = Some(to);
            }
            Err(advice) => self.note(theirs, advice),
        }
    }

    /// Sets how to log in, if the other program's method is known here by the same or another name.
    pub(crate) fn log_in_by(&mut self, theirs: &str) {
        let name = theirs.to_ascii_lowercase();
        let name = name.strip_suffix("-plus").unwrap_or(&name);
        let ours = match name {
            "cram" => "cram-md5",
            other => other,
        };
        let known = ["plain", "login", "user", "apop", "cram-md5", "scram-sha-1", "scram-sha-256", "external"];
        match (known.into_iter().find(|known| *known == ours), ours) {
            (Some("external"), _) if !self.more.iter().any(|(key, _)| *key == "tls_client_cert") => self.note(
                format!("auth {theirs}"),
                "write auth = \"external\" once tls_client_cert names the certificate that logs in",
            ),
            (Some(known), _) => {
                self.auth = Some(known);
                self.became(format!("auth {theirs}"), format!("auth = \"{known}\""));
            }
            (None, "oauthbearer" | "xoauth2") => self.log_in_by_token(theirs),
            (None, _) => self.note(
                format!("auth {theirs}"),
                "this way to log in is not there; mailferry takes the best that it has in common with the server",
            ),
        }
    }

    /// Logs in with a token instead of a password. A command that printed the token is kept.
    fn log_in_by_token(&mut self, theirs: &str) {
        let auth = if theirs.eq_ignore_ascii_case("xoauth2") { "xoauth2" } else { "oauthbearer" };
        let password = std::mem::replace(&mut self.password, Password::Missing(String::new()));
        match password {
            Password::Command(words) | Password::TokenCommand(words) => {
                self.password = Password::TokenCommand(words);
                self.auth = Some(auth);
                self.became(format!("auth {theirs}"), format!("auth = \"{auth}\", with a token_command"));
            }
            Password::InClear(_) | Password::Missing(_) => {
                self.password = Password::Missing(
                    "it logged in by OAuth 2.0: write oauth2 or token_command in place of password_file, as \
                     \"OAuth 2.0\" in the documentation says"
                        .to_owned(),
                );
                self.note(
                    format!("auth {theirs}"),
                    "a token in a file is good for an hour; write oauth2 = { ... } and sign in by `mailferry login`, or a \
                     token_command, as \"OAuth 2.0\" in the documentation says",
                );
            }
        }
    }

    /// Sets a proxy for connections, unless its URL contains a password or the proxy would see the password of the
    /// account.
    pub(crate) fn go_through(&mut self, theirs: &str, url: &str) {
        let is_here = |host: &str| is_this_machine(host);
        let place = url.rsplit_once("://").map_or(url, |(_, place)| place);
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        if url.contains('@') {
            let advice = "its URL has a password: write it as proxy yourself, and keep the configuration to yourself (chmod 600)";
            self.note(theirs, advice);
        } else if self.tls == TlsMode::None && !self.in_clear && !is_here(host) {
            self.note(
                theirs,
                format!("without TLS, the proxy would see the password: write proxy = \"{url}\" and allow_cleartext_password = \
                         true if it may"),
            );
        } else {
            self.set(theirs, "proxy", url);
        }
    }

    /// Notes that something has no counterpart.
    pub(crate) fn note(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.notes.push(Note::new(what, advice));
    }

    /// Notes that a setting is not needed here.
    pub(crate) fn needless(&mut self, what: impl Into<String>) {
        self.needless.push(what.into());
    }

    /// Replaces clear text, which the other program would have accepted, by STLS, unless the server is on this machine.
    pub(crate) fn protect(&mut self, theirs: &str) {
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

    /// Sets a port, given as a number or as a service name.
    pub(crate) fn use_port(&mut self, theirs: &str, port: &str) {
        let number = match port {
            "pop3" | "pop-3" => Some(110),
            "pop3s" => Some(995),
            other => other.parse().ok().filter(|port| *port > 0),
        };
        let Some(number) = number else {
            return self.note(theirs, "it is not a number; look it up in /etc/services and set `port`");
        };
        self.port = number;
        let ours = match self.usual_port() == number {
            true => format!("port {number}, the default"),
            false => format!("port = {number}"),
        };
        self.became(theirs, ours);
    }

    /// Returns the port that is used if none is given.
    fn usual_port(&self) -> u16 {
        if self.tls == TlsMode::Implicit { 995 } else { 110 }
    }

    /// Sets the time between two polls, in seconds, within the permitted range.
    pub(crate) fn poll_every(&mut self, theirs: &str, seconds: u64) {
        let seconds = seconds.clamp(10, 365 * 86_400);
        self.interval = Some(seconds);
        self.became(theirs, format!("interval = \"{}\"", duration(seconds)));
    }

    /// Sets how long a server may be silent, in seconds, within the permitted range.
    pub(crate) fn wait_for(&mut self, theirs: &str, seconds: u64) {
        let seconds = seconds.clamp(5, 3600);
        self.timeout = Some(seconds);
        self.became(theirs, format!("timeout = \"{}\"", duration(seconds)));
    }

    /// Limits the size of messages, in octets: larger ones stay on the server. Zero means no limit.
    pub(crate) fn limit_size(&mut self, theirs: &str, octets: u64) {
        if octets == 0 {
            return self.needless(theirs);
        }
        self.max_message_size = Some(octets);
        self.became(theirs, format!("max_message_size = \"{}\"", size_in_words(octets)));
    }

    /// Limits the messages that a session fetches. Zero means no limit.
    pub(crate) fn limit_count(&mut self, theirs: &str, messages: u64) {
        match u32::try_from(messages) {
            Ok(0) | Err(_) => self.needless(theirs),
            Ok(messages) => {
                let least = self.max_messages.map_or(messages, |other| other.min(messages));
                self.max_messages = Some(least);
                self.became(
                    theirs,
                    format!("max_messages_per_session = {least}; mailferry logs in again for the rest"),
                );
            }
        }
    }

    /// Returns the account's table. `password_file` is where its password will be, if in a file.
    #[must_use]
    pub(crate) fn table(&self, name: &AccountName, password_file: Option<&Path>) -> Table {
        let mut table = Table::new();
        let mut set = |key: &str, item: Item| {
            table.insert(key, item);
        };
        if !self.enabled {
            set("enabled", value(false));
        }
        set("host", value(self.host.as_str()));
        let mode = match self.tls {
            TlsMode::Implicit => None,
            TlsMode::StartTls => Some("starttls"),
            TlsMode::None => Some("none"),
        };
        if self.port != self.usual_port() {
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
        let (tls, more): (Vec<_>, Vec<_>) = self.more.iter().partition(|(key, _)| key.starts_with("tls_"));
        for (key, known) in tls {
            set(key, Item::Value(known.clone()));
        }
        set("username", value(self.username.as_str()));
        if let Some((key, item)) = self.password_key(password_file) {
            set(key, item);
        }
        if let Some(auth) = self.auth {
            set("auth", value(auth));
        }
        match &self.forward {
            Some(to) => set("forward", Item::Value(to.clone())),
            None => set("maildir", value(self.goes_into(name))),
        }
        set("leave_on_server", self.leave_on_server());
        if let Some(octets) = self.max_message_size {
            set("max_message_size", value(size_in_words(octets)));
        }
        if let Some(messages) = self.max_messages {
            set("max_messages_per_session", value(i64::from(messages)));
        }
        for (key, seconds) in [("interval", self.interval), ("timeout", self.timeout)] {
            if let Some(seconds) = seconds {
                set(key, value(duration(seconds)));
            }
        }
        for (key, known) in more {
            set(key, Item::Value(known.clone()));
        }
        table
    }

    /// Returns the key that says where the password comes from.
    fn password_key(&self, file: Option<&Path>) -> Option<(&'static str, Item)> {
        match (&self.password, file) {
            (Password::Command(words), _) => Some(("password_command", value(words.iter().collect::<Array>()))),
            (Password::TokenCommand(words), _) => Some(("token_command", value(words.iter().collect::<Array>()))),
            (_, Some(file)) => Some(("password_file", value(file.to_string_lossy().as_ref()))),
            (_, None) => None,
        }
    }

    /// Returns the value of `leave_on_server`.
    fn leave_on_server(&self) -> Item {
        match &self.removal {
            Removal::Keep => value(true),
            Removal::AtOnce => value(false),
            Removal::AfterHours(hours) => value(age(*hours)),
        }
    }

    /// Returns the Maildir that mail goes into unless it is forwarded.
    #[must_use]
    pub(crate) fn goes_into(&self, name: &AccountName) -> String {
        self.maildir.clone().unwrap_or_else(|| own_maildir(name.as_str()))
    }
}

/// Returns the Maildir of an account for which none is known.
pub(super) fn own_maildir(name: &str) -> String {
    format!("~/Mail/{name}")
}

/// Formats an age in hours for the configuration.
pub(super) fn age(hours: u64) -> String {
    duration(hours.saturating_mul(3600))
}

/// Formats a time for the configuration, in the largest unit that gives a whole number.
fn duration(seconds: u64) -> String {
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// Whether a server is on this machine, so that no network sees the conversation.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
