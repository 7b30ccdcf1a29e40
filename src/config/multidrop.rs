//! `[accounts.NAME.multidrop]`: sorts the mail of a maildrop that several people share.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Span;
use super::host::host;
use super::keys::{FORWARD, Level};
use super::path;
use super::problem::{MOST_TOLD, Problem};
use super::rules::field_name;
use super::unknown::report_unknown;
use super::value::{At, InvalidValue, Setting, boolean, integer, plain_text, read, string, wrong_type};
use crate::account::AccountName;
use crate::routing::{Address, Multidrop, Occurrence, OtherMaildir};
use crate::text;

/// The table as read; its paths are not yet expanded.
#[derive(Debug, Clone)]
pub(super) struct MultidropTable {
    header: String,
    occurrence: Occurrence,
    strip_prefix: Option<String>,
    trusted_received_by: Vec<String>,
    recipients: BTreeMap<Address, WrittenDestination>,
    default: WrittenDestination,
}

/// A destination, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WrittenDestination {
    /// This Maildir; `{account}` is not yet expanded.
    Maildir(String),
    /// The account's `forward`.
    Forward,
}

/// Fields that the sender writes, in lower case: they do not tell for whom a message really is.
const OF_SENDERS: [&str; 13] = [
    "to",
    "cc",
    "bcc",
    "from",
    "sender",
    "reply-to",
    "subject",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "apparently-to",
    "received",
    "message-id",
];

const HEADER: &str = "the header field that the provider adds when it delivers, such as \"Delivered-To\", \"X-Original-To\", \
                      \"Envelope-To\" or \"X-Envelope-To\"";

/// Reads the table.
pub(super) fn multidrop(
    account: &DeTable<'_>,
    level: Level<'_>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Setting<MultidropTable> {
    let Some((key, value)) = account.get_key_value("multidrop") else { return Setting::Absent };
    let Some(table) = value.get_ref().as_table() else {
        let example =
            format!("[accounts.{}.multidrop] on a line of its own", text::key(level.name().unwrap_or("NAME")));
        let InvalidValue { message, help } = wrong_type(value.get_ref(), "a table", &example);
        problems.push(Problem::new(format!("`multidrop` {message}")).at(&value.span()).help(help));
        return Setting::Bad;
    };
    let before = problems.len();
    report_unknown(table, Level::Multidrop(level.name()), problems);
    let read_table = Reader { table, key: key.span(), home, problems }.read();
    match read_table {
        Some(value) if problems.len() == before => Setting::Given(At { value, span: key.span() }),
        _ => Setting::Bad,
    }
}

struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    /// The position of the key `multidrop`.
    key: Span,
    home: Option<&'a Path>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_, '_> {
    fn read(mut self) -> Option<MultidropTable> {
        let home = self.home;
        let header = read(self.table, "header", self.problems, header);
        self.require("header", HEADER);
        let occurrence = self.occurrence();
        let strip_prefix = read(self.table, "strip_prefix", self.problems, |value| {
            plain_text(value, "the prefix before the address, such as \"hoster-\"").map(str::to_owned)
        });
        let trusted = read(self.table, "trusted_received_by", self.problems, hosts);
        let recipients = self.recipients();
        self.require("recipients", "who gets what: recipients = { \"ann@site.example\" = \"/home/ann/Maildir\" }");
        let default = read(self.table, "default", self.problems, |value| destination(value, home));
        self.require(
            "default",
            "the Maildir (or \"forward\") for mail of which the provider does not tell who it is for, such as default = \
                                 \"~/Mail/unclear\"",
        );
        Some(MultidropTable {
            header: header.value()?.clone(),
            occurrence,
            strip_prefix: strip_prefix.value().cloned(),
            trusted_received_by: trusted.value().cloned().unwrap_or_default(),
            recipients,
            default: default.value()?.clone(),
        })
    }

    fn require(&mut self, key: &str, example: &str) {
        if !self.table.contains_key(key) {
            let message = format!("`multidrop` has no `{key}`");
            self.problems.push(Problem::new(message).at(&self.key).help(format!("add {example}")));
        }
    }

    fn occurrence(&mut self) -> Occurrence {
        let one = read(self.table, "occurrence", self.problems, |value| {
            let number = integer(value, 1..=100, "which of several such fields it is, 1 for the topmost")?;
            Ok(u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
        });
        let one_copy = read(self.table, "one_copy", self.problems, boolean);
        match (one.given(), one_copy.value()) {
            (Some(At { span, .. }), Some(true)) => {
                let message = "`occurrence` names one field, and with one_copy = true each one counts";
                self.problems.push(Problem::new(message).at(span).help("remove one of them"));
                Occurrence::All
            }
            (None, Some(true)) => Occurrence::All,
            (Some(one), _) => Occurrence::One(one.value),
            (None, _) => Occurrence::Only,
        }
    }

    fn recipients(&mut self) -> BTreeMap<Address, WrittenDestination> {
        let Some(value) = self.table.get("recipients") else { return BTreeMap::new() };
        let example = "recipients = { \"ann@site.example\" = \"/home/ann/Maildir\" }";
        let Some(table) = value.get_ref().as_table().filter(|table| !table.is_empty()) else {
            let InvalidValue { message, help } = match value.get_ref().as_table() {
                Some(_) => InvalidValue::new("is empty", format!("write {example}")),
                None => wrong_type(value.get_ref(), "a table", example),
            };
            self.problems.push(Problem::new(format!("`recipients` {message}")).at(&value.span()).help(help));
            return BTreeMap::new();
        };
        // There may be a hundred thousand recipients.
        let mut found: BTreeMap<Address, WrittenDestination> = BTreeMap::new();
        for (key, value) in table {
            if self.problems.len() > MOST_TOLD {
                break;
            }
            let name: &str = key.get_ref();
            let mut report = |message: String, span: &Span, help: String| {
                self.problems.push(Problem::new(message).at(span).help(help));
            };
            let shown = text::value(name);
            let Some(address) = Address::new(name).filter(|_| !name.contains(['<', '>', '*', ','])) else {
                let help = "write one whole address, such as \"ann@site.example\"; there are no wildcards".to_owned();
                report(format!("`{shown}` is not an address"), &key.span(), help);
                continue;
            };
            match destination(value.get_ref(), self.home) {
                Ok(_) if found.contains_key(&address) => {
                    let help = "capitals in a domain do not count: remove one of them".to_owned();
                    report(format!("`{shown}` is there twice"), &key.span(), help);
                }
                Ok(destination) => _ = found.insert(address, destination),
                Err(InvalidValue { message, help }) => report(format!("`{shown}` {message}"), &value.span(), help),
            }
        }
        found
    }
}

fn header(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let name = field_name(value)?.to_ascii_lowercase();
    if OF_SENDERS.contains(&name.as_str()) {
        return Err(InvalidValue::new("names a field that the sender controls", format!("name {HEADER}")));
    }
    Ok(name)
}

/// Reads one host, or several in an array.
fn hosts(value: &DeValue<'_>) -> Result<Vec<String>, InvalidValue> {
    let one = |value: &DeValue<'_>| host(value).map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    match value.as_array() {
        None => {
            string(value, "the host in the `by` of the provider's own Received, such as \"mx.hoster.example\"")?;
            Ok(vec![one(value)?])
        }
        Some(several) if several.is_empty() => {
            Err(InvalidValue::new("is empty", "write at least one host, or leave it out"))
        }
        Some(several) => several.iter().map(|value| one(value.get_ref())).collect(),
    }
}

/// Reads the path of a Maildir, or the word `forward`, which cannot be a path: those are absolute.
fn destination(value: &DeValue<'_>, home: Option<&Path>) -> Result<WrittenDestination, InvalidValue> {
    let text = plain_text(value, "the path of a Maildir, such as \"/home/ann/Maildir\", or \"forward\"")?;
    if text == FORWARD {
        return Ok(WrittenDestination::Forward);
    }
    path::only_account_in_braces(text)?;
    path::absolute(text, home).map(|_| WrittenDestination::Maildir(text.to_owned()))
}

impl WrittenDestination {
    /// Returns the Maildir of this destination for an account of this name.
    fn path(&self, name: &AccountName, home: Option<&Path>) -> Option<PathBuf> {
        match self {
            // The syntax was checked when the value was read; the name cannot make it invalid.
            Self::Maildir(text) => path::absolute(&text.replace("{account}", name.as_str()), home).ok(),
            Self::Forward => Some(name.spool()),
        }
    }
}

impl MultidropTable {
    /// Returns the Maildir for mail that matches no recipient.
    pub(super) fn default(&self, name: &AccountName, home: Option<&Path>) -> Option<PathBuf> {
        self.default.path(name, home)
    }

    /// Whether any mail is forwarded.
    pub(super) fn forwards(&self) -> bool {
        self.recipients.values().chain([&self.default]).any(|destination| *destination == WrittenDestination::Forward)
    }

    /// Expands the paths for an account of this name.
    pub(super) fn resolve(&self, name: &AccountName, home: Option<&Path>) -> Multidrop {
        let recipient = |(address, destination): (&Address, &WrittenDestination)| {
            Some((address.clone(), OtherMaildir { path: destination.path(name, home)?, is_folder: false }))
        };
        Multidrop {
            header: self.header.clone(),
            occurrence: self.occurrence,
            strip_prefix: self.strip_prefix.clone(),
            trusted_received_by: self.trusted_received_by.clone(),
            recipients: self.recipients.iter().filter_map(recipient).collect(),
        }
    }
}
