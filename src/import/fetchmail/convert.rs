//! From what a fetchmailrc says to accounts. Each option becomes something, or is named.

use std::path::Path;

use super::super::destination;
use super::super::draft::{Draft, Note, Password, Removal};
use super::super::source::{expand, text};
use super::super::{Found, netrc};
use super::grammar::{Entry, File, Options, Setting, User};
use crate::account::TlsMode;
use crate::secret::Secret;

/// What is known beside the file.
pub(super) struct Given<'a> {
    /// Its directory.
    pub(super) base: &'a Path,
    /// The user's home.
    pub(super) home: Option<&'a Path>,
    /// `~/.netrc`.
    pub(super) netrc: &'a [u8],
    /// Who runs this.
    pub(super) user: Option<&'a str>,
}

/// Makes accounts of all users.
pub(super) fn convert(file: &File, given: &Given<'_>, found: &mut Found) {
    globals(file, found);
    let daemon = number(&file.globals, "daemon");
    for entry in &file.entries {
        let anonymous = [User { line: entry.line, ..User::default() }];
        let users = if entry.users.is_empty() { &anonymous[..] } else { &entry.users };
        for user in users {
            let merged = Merged::of(entry, user, file.defaults.as_ref());
            match account(entry, &merged, users.len() > 1, daemon, given) {
                Ok(draft) => found.drafts.push(draft),
                Err(note) => found.left.push(note),
            }
        }
    }
}

fn globals(file: &File, found: &mut Found) {
    for name in file.globals.keys() {
        let advice = match *name {
            "daemon" | "idfile" | "bouncemail" | "spambounce" | "softbounce" | "invisible" | "showdots" | "pidfile" => {
                found.needless.push(format!("set {name}"));
                continue;
            }
            "postmaster" => "there are no bounces; a mail when a login fails: `command` of [notify]",
            "logfile" | "syslog" => "mailferry logs to standard error, which systemd takes to the journal",
            _ => "there is nothing like it",
        };
        found.general.push(Note::new(format!("set {name}"), advice));
    }
}

/// A user with all that holds for it.
struct Merged {
    server: Options,
    options: Options,
    remote: Option<Vec<u8>>,
    local: Vec<Vec<u8>>,
    is_multidrop: bool,
    line: usize,
}

impl Merged {
    fn of(entry: &Entry, user: &User, defaults: Option<&Entry>) -> Self {
        let default_user = defaults.and_then(|defaults| defaults.users.first());
        let over = |own: &Options, defaults: Option<&Options>| {
            let mut all = defaults.cloned().unwrap_or_default();
            all.extend(own.clone());
            all
        };
        let local = match (user.local.is_empty(), default_user) {
            (true, Some(default)) => default.local.clone(),
            _ => user.local.clone(),
        };
        Self {
            server: over(&entry.server, defaults.map(|defaults| &defaults.server)),
            options: over(&user.options, default_user.map(|user| &user.options)),
            remote: user.remote.clone().or_else(|| default_user?.remote.clone()),
            local,
            is_multidrop: user.is_multidrop,
            line: user.line,
        }
    }
}

fn first<'a>(options: &'a Options, name: &str) -> Option<&'a [u8]> {
    match options.get(name)? {
        Setting::Words(words) => words.first().map(Vec::as_slice),
        Setting::Flag(_) => None,
    }
}

fn flag(options: &Options, name: &str) -> Option<bool> {
    match options.get(name)? {
        Setting::Flag(on) => Some(*on),
        Setting::Words(_) => None,
    }
}

fn number(options: &Options, name: &str) -> Option<u64> {
    std::str::from_utf8(first(options, name)?).ok()?.parse().ok()
}

/// The account of a user, or why there can be none.
fn account(
    entry: &Entry,
    merged: &Merged,
    several: bool,
    daemon: Option<u64>,
    given: &Given<'_>,
) -> Result<Draft, Note> {
    let label = text(&entry.name);
    let host = first(&merged.server, "via").map_or_else(|| label.clone(), text);
    let username = merged.remote.as_deref().map(text).or_else(|| given.user.map(str::to_owned)).unwrap_or_default();
    let verb = if entry.skip { "skip" } else { "poll" };
    let origin = format!("{verb} {label}, user {username} (line {})", merged.line);
    let proto =
        first(&merged.server, "proto").map_or_else(|| "auto".to_owned(), |word| text(word).to_ascii_lowercase());
    if !matches!(proto.as_str(), "auto" | "pop3" | "apop") {
        return Err(Note::new(
            format!("{origin}: proto {proto}"),
            "mailferry speaks POP3 alone; keep fetchmail for it, or look whether the provider has POP3",
        ));
    }
    if merged.is_multidrop || merged.local.len() > 1 {
        return Err(Note::new(
            format!("{origin}: a maildrop of several people (multidrop)"),
            "write the account by hand, with [accounts.NAME.multidrop]: docs/routing.md says what is believed of a header. What \
             fetchmail guesses from To and Cc is not done",
        ));
    }
    if username.is_empty() {
        return Err(Note::new(format!("{origin}: no user"), "write it into the fetchmailrc and try again"));
    }
    let mut draft = Draft::new(origin, host.as_str(), username.as_str());
    draft.names = match several {
        false => vec![label.clone(), format!("{username}@{label}")],
        true if username.contains('@') => vec![username.clone(), format!("{username}-{label}")],
        true => vec![format!("{username}@{label}")],
    };
    draft.enabled = !entry.skip;
    if entry.skip {
        draft.became("skip", "enabled = false: it is polled when it is named");
    }
    if proto == "apop" {
        draft.auth = Some("apop");
        draft.became("proto apop", "auth = \"apop\"");
    }
    encryption(&mut draft, &merged.options, given);
    server_options(&mut draft, &merged.server, daemon);
    draft.password = password(&draft, &merged.options, &label, given);
    let local = merged.local.first().map(|name| text(name));
    user_options(&mut draft, &merged.options, local.as_deref().or(given.user).unwrap_or(&username));
    if let Some(local) = local {
        match given.user == Some(local.as_str()) {
            true => draft.became(format!("is {local} here"), format!("maildir = \"~/Mail/{}\" or so", label)),
            false => draft.note(
                format!("is {local} here"),
                "the Maildir is the one of who runs mailferry; for another user run the import as that user, or set maildir",
            ),
        }
    }
    Ok(draft)
}

/// Without `ssl`, fetchmail begins TLS by STLS where the server has it; `sslproto ''` switches that off.
fn encryption(draft: &mut Draft, options: &Options, given: &Given<'_>) {
    let ssl = flag(options, "ssl").unwrap_or(false);
    let mode = first(options, "sslmode").map(text);
    let off = first(options, "sslproto").is_some_and(<[u8]>::is_empty) || mode.as_deref() == Some("none");
    if ssl || mode.as_deref().is_some_and(|mode| mode == "wrapped" || mode == "implicit") {
        draft.tls = TlsMode::Implicit;
        draft.became("ssl", "tls = \"implicit\", the default");
    } else if off {
        (draft.tls, draft.port) = (TlsMode::None, 110);
        draft.in_clear = !super::super::draft::is_this_machine(&draft.host);
        draft.became("sslproto ''", "tls = \"none\"");
        if draft.in_clear {
            draft.note(
                "sslproto '': the password goes in clear",
                "as it did; allow_cleartext_password = true says so. Take both away if the server has TLS by now",
            );
        }
    } else {
        draft.port = 110;
        match super::super::draft::is_this_machine(&draft.host) {
            true => draft.protect("no ssl"),
            false => {
                draft.tls = TlsMode::StartTls;
                draft.became("no ssl: STLS if there is one", "tls = \"starttls\", and no password without it");
            }
        }
    }
    if flag(options, "sslcertck") == Some(false) {
        draft.note(
            "no sslcertck",
            "certificates are always checked; for one that is signed by itself name it as tls_ca_file",
        );
    }
    if let Some(file) = first(options, "sslcertfile") {
        let path = expand(&text(file), given.home, given.base);
        draft.ca_file = Some(path.to_string_lossy().into_owned());
        draft.became("sslcertfile", "tls_ca_file: these authorities and no others");
    }
}

fn server_options(draft: &mut Draft, server: &Options, daemon: Option<u64>) {
    let times = number(server, "interval").unwrap_or(1).max(1);
    if let Some(seconds) = daemon.filter(|seconds| *seconds > 0) {
        draft.poll_every("set daemon, interval", seconds.saturating_mul(times));
    } else if server.contains_key("interval") {
        draft.note("interval", "it counts polls of a fetchmail daemon, and there is none; see `interval`");
    }
    for (name, setting) in server {
        match *name {
            "proto" | "interval" => {}
            "via" => draft.became("via", "host"),
            "port" => port(draft, &first(server, name).map(text).unwrap_or_default()),
            "timeout" => draft.wait_for("timeout", number(server, name).unwrap_or(60)),
            "auth" => match first(server, name).map(text).unwrap_or_default().as_str() {
                "any" | "password" => draft.needless("auth"),
                other => draft.note(
                    format!("auth {other}"),
                    "this way to log in is not taken over; mailferry takes the best that it has in common with the server",
                ),
            },
            "uidl" | "bad-header" | "retrieve-error" | "dns" | "checkalias" | "localdomains" | "aka" | "idletimeout"
            | "esmtpname" | "esmtppassword" => draft.needless(*name),
            "envelope" if *setting == Setting::Flag(false) => draft.needless("no envelope"),
            "envelope" | "qvirtual" => draft.note(*name, "the account goes by hand: [accounts.NAME.multidrop], see docs/routing.md"),
            "plugin" | "plugout" => {
                draft.note(*name, "a connection by way of a program is not taken over: the account connects directly");
            }
            "interface" | "monitor" => draft.note(*name, "a timer or a hook of the network can start and stop the service"),
            "tracepolls" if *setting == Setting::Flag(false) => draft.needless("no tracepolls"),
            "tracepolls" => draft.note(*name, "no header is added; the Maildir says which account it was"),
            "principal" => draft.note(*name, "Kerberos is not there"),
            _ => draft.note(*name, "there is nothing like it"),
        }
    }
}

fn port(draft: &mut Draft, port: &str) {
    let number = match port {
        "pop3" | "pop-3" => Some(110),
        "pop3s" => Some(995),
        other => other.parse().ok().filter(|port| *port > 0),
    };
    match number {
        Some(number) => {
            draft.port = number;
            draft.became("port", format!("port = {number}"));
        }
        None => draft.note("service", "it is not a number; look it up in /etc/services and set `port`"),
    }
}

fn password(draft: &Draft, options: &Options, label: &str, given: &Given<'_>) -> Password {
    if let Some(command) = first(options, "passwordeval") {
        return Password::Command(["sh".to_owned(), "-c".to_owned(), text(command)].to_vec());
    }
    if let Some(password) = first(options, "password") {
        return Password::InClear(Secret::new(password.to_vec()));
    }
    match netrc::password(given.netrc, &[label, &draft.host], &draft.username) {
        Some(secret) => Password::InClear(secret),
        None => Password::Missing("fetchmail asked for it".to_owned()),
    }
}

/// What is judged together elsewhere.
const JUDGED: [&str; 7] = ["ssl", "sslmode", "sslproto", "sslcertck", "sslcertfile", "password", "passwordeval"];

/// `local` is the name of whom the mail is for on this machine.
fn user_options(draft: &mut Draft, options: &Options, local: &str) {
    let keeps = flag(options, "keep").unwrap_or(false);
    draft.removal = if keeps { Removal::Keep } else { Removal::AtOnce };
    match keeps {
        true => draft.became("keep", "leave_on_server = true"),
        false => draft.became("nokeep, the default", "leave_on_server = false"),
    }
    for (name, setting) in options {
        let is_off = *setting == Setting::Flag(false);
        match *name {
            "keep" => {}
            name if JUDGED.contains(&name) => {}
            "limit" => draft.limit_size("limit", number(options, name).unwrap_or(0)),
            "fetchlimit" => draft.limit_count("fetchlimit", number(options, name).unwrap_or(0)),
            "flush" | "limitflush" | "idle" | "forceidle" if is_off => draft.needless(format!("no {name}")),
            "flush" => draft.note("flush", "what mailferry has not delivered it does not delete"),
            "limitflush" => draft.note("limitflush", "messages that are too large stay on the server"),
            "fetchall" | "rewrite" | "forcecr" | "stripcr" | "pass8bits" | "dropstatus" | "dropdelivered"
            | "mimedecode" | "warnings" | "fetchsizelimit" | "fastuidl" | "batchlimit" | "expunge" | "smtpaddress"
            | "smtpname" | "fetchdomains" | "antispam" | "sslprotocolversion" => draft.needless(name_of(name, is_off)),
            "folder" | "idle" | "forceidle" | "moveto" => draft.note(*name, "it is of IMAP"),
            "mda" | "smtphost" | "bsmtp" | "lmtp" if is_off => draft.needless(name_of(name, is_off)),
            "mda" => {
                let command = first(options, "mda").map(text).unwrap_or_default();
                draft.note("mda", destination::shell_command(&command.replace("%T", local)));
            }
            // Says of smtphost how to speak to it.
            "lmtp" if options.contains_key("smtphost") => {}
            "lmtp" => draft.note("lmtp", destination::lmtp("localhost", local)),
            "smtphost" => {
                let server = first(options, "smtphost").map(text).unwrap_or_default();
                let lmtp = destination::lmtp(&server, local);
                match flag(options, "lmtp") {
                    Some(true) => draft.note("smtphost, lmtp", lmtp),
                    _ => draft.note(
                        "smtphost",
                        format!("mailferry does not speak SMTP; if the server speaks LMTP, too, {lmtp}"),
                    ),
                }
            }
            "bsmtp" => draft.note("bsmtp", destination::DESTINATIONS),
            "preconnect" | "postconnect" => {
                draft.note(*name, "ExecStartPre= and ExecStartPost= of a unit, or on_new_mail, take its place");
            }
            "sslfingerprint" => {
                draft.note(*name, "write tls_pin, which is of the key, as docs/configuration.md says; or name the certificate as tls_ca_file");
            }
            "sslcertpath" => draft.note(*name, "SSL_CERT_DIR in the environment does the same"),
            "sslcommonname" => draft.note(*name, "write that name as tls_server_name"),
            "sslcert" | "sslkey" => draft.note(*name, "write the files as tls_client_cert and tls_client_key"),
            _ => draft.note(*name, "there is nothing like it"),
        }
    }
}

fn name_of(name: &str, is_off: bool) -> String {
    if is_off { format!("no {name}") } else { name.to_owned() }
}
