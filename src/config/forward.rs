//! The table `forward` of an account, which says where its mail is forwarded. Each value is checked by itself.

use std::ffi::OsString;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Span;
use super::duration::size_such_as;
use super::host::{host, is_loopback};
use super::keys::{FORWARD, Level};
use super::mailbox_name;
use super::path;
use super::problem::Problem;
use super::secret_source::command;
use super::settings::{self, Settings};
use super::unknown::report_unknown;
use super::value::{At, InvalidValue, Setting, boolean, integer, plain_text, read, string, wrong_type};
use crate::account::{Endpoint, LmtpDestination, LmtpServer, SpoolBounds, TlsMode};

/// A valid `forward` table.
#[derive(Debug)]
pub(super) struct ForwardTable {
    /// The destination.
    pub(super) to: ToTable,
    /// The limits of the spool.
    pub(super) spool: SpoolBounds,
}

/// A destination.
#[derive(Debug)]
pub(super) enum ToTable {
    /// Checked later, together with the settings of its server.
    Imap(Box<ImapTable>),
    Lmtp(Box<LmtpDestination>),
    Command(Vec<OsString>),
}

/// The table `imap`.
#[derive(Debug)]
pub(super) struct ImapTable {
    /// The server, with the same keys as an account's server.
    pub(super) server: Settings,
    pub(super) mailbox: String,
    pub(super) flags: Vec<String>,
    pub(super) connections: usize,
}

/// The largest number of concurrent connections. Providers limit the connections of a user in total.
const MOST_CONNECTIONS: u64 = 8;

/// With a single connection, messages arrive in order.
const CONNECTIONS: usize = 1;

/// The system flags of IMAP (RFC 9051, section 2.3.2), except the one that deletes.
const SYSTEM_FLAGS: [(&str, &str); 4] =
    [("seen", "\\Seen"), ("flagged", "\\Flagged"), ("answered", "\\Answered"), ("draft", "\\Draft")];

/// The longest name of a mailbox within another one, in octets. Where mailboxes are directories, they have no longer
/// names.
const LONGEST_LEVEL: usize = 255;

/// What can be written for the size of a spool.
const SPOOL_SIZE: &str =
    "\"4 GiB\", or leave the key out for 1 GiB; one message at a time is fetched even if it is larger";

/// The system flags that no message is appended with, and why.
const NO_FLAGS: [(&str, &str, &str); 2] = [
    (
        "deleted",
        "holds \"deleted\", which lets the mailbox lose the message",
        "leave it out: any program that expunges the mailbox removes what has this flag",
    ),
    ("recent", "holds \"recent\", which only the server sets", "leave it out"),
];

/// Reads the table, if present.
pub(super) fn table(
    account: &DeTable<'_>,
    level: Level<'_>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Setting<ForwardTable> {
    let Some((key, value)) = account.get_key_value(FORWARD) else { return Setting::Absent };
    let Some(table) = value.get_ref().as_table() else {
        let InvalidValue { message, help } = wrong_type(value.get_ref(), "a table", "[accounts.NAME.forward]");
        problems.push(Problem::new(format!("`forward` {message}")).at(&value.span()).help(help));
        return Setting::Bad;
    };
    let before = problems.len();
    // A misspelt key may be the destination.
    let is_meant = !report_unknown(table, Level::Forward(level.name()), problems).is_empty();
    let spool_size = read(table, "spool_size", problems, |value| size_such_as(value, SPOOL_SIZE));
    let spool_messages = read(table, "spool_messages", problems, |value| {
        integer(value, 1..=1_000_000, "a number of messages such as 10000")
    });
    let usual = SpoolBounds::default();
    let spool = SpoolBounds {
        octets: spool_size.value().copied().unwrap_or(usual.octets),
        messages: spool_messages.value().copied().unwrap_or(usual.messages),
    };
    let says = ["imap", "lmtp", "command"].iter().any(|key| table.contains_key(*key));
    if is_meant && !says {
        return Setting::Bad;
    }
    let to = destination(table, level.name(), home, &key.span(), problems);
    match to {
        Some(to) if problems.len() == before => {
            Setting::Given(At { value: ForwardTable { to, spool }, span: key.span() })
        }
        _ => Setting::Bad,
    }
}

/// Reads the single destination named by the table.
fn destination(
    table: &DeTable<'_>,
    account: Option<&str>,
    home: Option<&Path>,
    span: &Span,
    problems: &mut Vec<Problem>,
) -> Option<ToTable> {
    let there: Vec<_> = ["imap", "lmtp", "command"].iter().filter_map(|key| table.get_key_value(*key)).collect();
    match there.as_slice() {
        [] => {
            let help = "add one of imap = { host = ... }, lmtp = { socket = ..., recipient = ... } and command = [...]";
            problems.push(Problem::new("`forward` does not say where to").at(span).help(help));
            None
        }
        [_] => one_destination(table, account, home, problems),
        [(first, _), (other, _), ..] => {
            let message = format!("`{}` and `{}` both say where mail goes", first.get_ref(), other.get_ref());
            problems.push(
                Problem::new(message).at(&other.span()).also(&first.span(), "the other one").help("keep one of them"),
            );
            None
        }
    }
}

fn one_destination(
    table: &DeTable<'_>,
    account: Option<&str>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Option<ToTable> {
    if let Some(imap) = inner(table, "imap", "imap = { host = \"imap.example.org\", username = ... }", problems)? {
        return self::imap(imap, account, home, problems).map(|imap| ToTable::Imap(Box::new(imap)));
    }
    if let Some(lmtp) = inner(table, "lmtp", "lmtp = { socket = \"...\", recipient = \"...\" }", problems)? {
        return self::lmtp(lmtp, account, home, problems).map(|lmtp| ToTable::Lmtp(Box::new(lmtp)));
    }
    let words = read(table, "command", problems, |value| command(value, home, "[\"~/bin/deliver\", \"me\"]"));
    words.value().cloned().map(ToTable::Command)
}

/// Returns the table under a key, if present. The outer None means that the value is no table, which has been reported.
fn inner<'t, 'i>(
    table: &'t DeTable<'i>,
    key: &str,
    example: &str,
    problems: &mut Vec<Problem>,
) -> Option<Option<&'t DeTable<'i>>> {
    let Some(value) = table.get(key) else { return Some(None) };
    if let Some(inner) = value.get_ref().as_table() {
        return Some(Some(inner));
    }
    let InvalidValue { message, help } = wrong_type(value.get_ref(), "a table", example);
    problems.push(Problem::new(format!("`{key}` {message}")).at(&value.span()).help(help));
    None
}

fn imap(
    table: &DeTable<'_>,
    account: Option<&str>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Option<ImapTable> {
    let before = problems.len();
    let server = Settings::read(table, Level::Imap(account), home, problems);
    let name = read(table, "mailbox", problems, mailbox);
    let flags = read(table, "flags", problems, flags);
    let connections = read(table, "connections", problems, |value| {
        integer(value, 1..=MOST_CONNECTIONS, "a number of connections such as 3")
    });
    let connections = connections.value().and_then(|number| usize::try_from(*number).ok());
    (problems.len() == before).then(|| ImapTable {
        server,
        mailbox: name.value().cloned().unwrap_or_else(|| "INBOX".to_owned()),
        flags: flags.value().cloned().unwrap_or_default(),
        connections: connections.unwrap_or(CONNECTIONS),
    })
}

/// Reads the name of a mailbox. Modified UTF-7 is refused: it would be encoded again and so name another mailbox.
fn mailbox(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let name = plain_text(value, "the mailbox's name, such as \"INBOX\"")?;
    if name.split(['/', '.']).any(|level| level.len() > LONGEST_LEVEL) {
        let help = format!("write one that has at most {LONGEST_LEVEL} octets between two separators");
        return Err(InvalidValue::new("is too long for a mailbox", help));
    }
    match mailbox_name::decoded(name) {
        Some(read) => Err(InvalidValue::new("is written as on the wire", format!("write \"{read}\""))),
        None => Ok(name.to_owned()),
    }
}

/// Reads the flags of a message: system flags by name, with or without the backslash, and keywords.
fn flags(value: &DeValue<'_>) -> Result<Vec<String>, InvalidValue> {
    let example = "an array such as [\"seen\"]";
    let words = value.as_array().ok_or_else(|| wrong_type(value, example, example))?;
    let flag = |text: &str| {
        let plain = text.strip_prefix('\\').unwrap_or(text);
        if let Some((_, flag)) = SYSTEM_FLAGS.iter().find(|(name, _)| plain.eq_ignore_ascii_case(name)) {
            return Some((*flag).to_owned());
        }
        let keyword = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '_' | '-' | '.');
        (!text.is_empty() && text.len() <= 100 && text.chars().all(keyword)).then(|| text.to_owned())
    };
    let each = words.iter().map(|word| {
        let text = string(word.get_ref(), example)?;
        let plain = text.strip_prefix('\\').unwrap_or(text);
        if let Some((_, what, help)) = NO_FLAGS.iter().find(|(flag, ..)| plain.eq_ignore_ascii_case(flag)) {
            return Err(InvalidValue::new(*what, *help));
        }
        flag(text).ok_or_else(|| {
            InvalidValue::new(
                "holds what is no flag",
                "write \"seen\", \"flagged\", \"answered\", \"draft\", or a keyword such as \"$Work\"",
            )
        })
    });
    each.collect()
}

fn lmtp(
    table: &DeTable<'_>,
    account: Option<&str>,
    home: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Option<LmtpDestination> {
    let before = problems.len();
    report_unknown(table, Level::Lmtp(account), problems);
    let socket = read(table, "socket", problems, |value| path::path(value, home));
    let server = read(table, "host", problems, host);
    let port = read(table, "port", problems, |value| integer(value, 1..=65535, "the port's number, such as 24"));
    let recipient = read(table, "recipient", problems, recipient);
    let id_header = read(table, "id_header", problems, boolean);
    let server = match (socket.value(), server.value()) {
        (Some(path), None) => Some(LmtpServer::Socket(path.clone())),
        (None, Some(host)) => Some(LmtpServer::Tcp(Box::new(endpoint(host, port.value().copied())))),
        _ => None,
    };
    if let (Some(LmtpServer::Tcp(endpoint)), Some(At { span, .. })) =
        (&server, read(table, "host", &mut Vec::new(), host).given())
        && !is_loopback(&endpoint.host)
        && !endpoint.host.ends_with(".local")
        && !is_private(&endpoint.host)
    {
        let help = "LMTP is not encrypted: use a server on this machine or in a private network, or `imap`";
        problems.push(Problem::new("mail would go over the internet in clear").at(span).help(help));
    }
    let place = table.iter().next().map(|(key, _)| key.span()).unwrap_or_default();
    if server.is_none() && problems.len() == before {
        let (fact, help) = match socket.value() {
            Some(_) => ("`lmtp` has both `socket` and `host`", "remove one of the two"),
            None => (
                "`lmtp` does not say where the server is",
                "add socket = \"/run/dovecot/lmtp\", or host and port; one of the two",
            ),
        };
        problems.push(Problem::new(fact).at(&place).help(help));
    }
    if matches!(recipient, Setting::Absent) {
        let help = "add the address that the mail is for, such as recipient = \"jo@example.org\"";
        problems.push(Problem::new("`lmtp` has no `recipient`").at(&place).help(help));
    }
    let (server, recipient) = (server?, recipient.value().cloned()?);
    let id_header = id_header.value().copied().unwrap_or(false);
    (problems.len() == before).then_some(LmtpDestination { server, recipient, id_header })
}

/// Whether a host is a private address, or a name without a dot, as containers have.
fn is_private(host: &str) -> bool {
    match host.parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(std::net::IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => !host.contains('.'),
    }
}

fn endpoint(host: &str, port: Option<u64>) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(24),
        tls: TlsMode::None,
        tls_ca_file: None,
        key_exchange: Default::default(),
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    }
}

/// Reads an address as it is sent between angle brackets.
fn recipient(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    let example = "an address such as \"jo@example.org\"";
    let text = plain_text(value, example)?;
    if text.is_empty() || text.len() > 320 || text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>')) {
        return Err(InvalidValue::new("is not an address", format!("write {example}")));
    }
    Ok(text.to_owned())
}

/// Returns the position of a password in the table `forward` of an account; a file with one must be protected.
pub(super) fn password_in(account: &DeTable<'_>) -> Option<Span> {
    let forward = account.get(FORWARD)?.get_ref().as_table()?;
    settings::password_in(forward.get("imap")?.get_ref().as_table()?)
}
