//! Converts a fetchmailrc to accounts. Each option becomes something, or is named in the report.

use std::path::Path;

use super::super::destination;
use super::super::draft::{Draft, Note, Password, Removal};
use super::super::source::{expand, text};
use super::super::{Found, netrc};
use super::grammar::{Entry, File, Options, Setting, User};
use crate::account::TlsMode;
use crate::secret::Secret;

/// What is known besides the file.
pub(super) struct Given<'a> {
    /// The directory of the file.
    pub(super) base: &'a Path,
    /// The user's home.
    pub(super) home: Option<&'a Path>,
    /// The contents of `~/.netrc`.
    pub(super) netrc: &'a [u8],
    /// The user who runs this.
    pub(super) user: Option<&'a str>,
}

/// What fetchmail does with mail if nothing is configured.
const BY_SMTP: &str = "delivery to the mail server of this machine, the default";

/// Makes accounts of all users of all servers.
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
    if found.drafts.iter().any(|draft| draft.became.iter().any(|(theirs, _)| theirs == BY_SMTP)) {
        let to = destination::lmtp("/run/dovecot/lmtp", None, "USER").map(|to| to.to_string()).unwrap_or_default();
        found.general.push(Note::new(BY_SMTP, without_smtp(&to, "USER")));
    }
}

fn globals(file: &File, found: &mut Found) {
    for name in file.globals.keys() {
        let advice = match *name {
            // Each account says what became of it.
            "daemon" if number(&file.globals, "daemon").is_some_and(|seconds| seconds > 0) => continue,
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

/// A user with all options that apply.
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

/// Makes the account of a user, or says why that is not possible.
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
            "write the account by hand, with [accounts.NAME.multidrop]: \"Into which Maildir\" in the documentation says what is believed of a header. What \
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
    encryption(&mut draft, &merged.options);
    draft.password = password(&draft, &merged.options, &label, given);
    server_options(&mut draft, &merged.server, daemon);
    certificates(&mut draft, &merged.options, given);
    let local = merged.local.first().map(|name| text(name));
    user_options(&mut draft, &merged.options);
    deliver(&mut draft, &merged.options, local.as_deref().or(given.user).unwrap_or(&username));
    if let Some(local) = local {
        match given.user == Some(local.as_str()) {
            true => draft.needless(format!("is {local} here")),
            false => draft.note(
                format!("is {local} here"),
                "mail is delivered as the user who runs mailferry; for another user run the import as that user, or set maildir",
            ),
        }
    }
    Ok(draft)
}

/// Sets when TLS begins. Without `ssl` fetchmail uses STLS if the server offers it; `sslproto ''` disables that.
fn encryption(draft: &mut Draft, options: &Options) {
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
    match first(options, "sslproto").map(|word| text(word).to_ascii_uppercase()) {
        Some(word) if word.contains("TLS1.3") => draft.note(
            format!("sslproto {word}"),
            "TLS 1.2 is taken, too, where a server has no other; tls_key_exchange = \"post-quantum\" refuses it",
        ),
        Some(word) if !word.is_empty() && !off => {
            draft.became(format!("sslproto {word}"), "TLS 1.2 or 1.3, as always");
        }
        _ => {}
    }
}

/// Sets which certificates to trust, and the client certificate.
fn certificates(draft: &mut Draft, options: &Options, given: &Given<'_>) {
    let file = |name: &str| {
        let path = expand(&text(first(options, name)?), given.home, given.base);
        Some(path.to_string_lossy().into_owned())
    };
    match flag(options, "sslcertck") {
        Some(false) => draft.note_unchecked("no sslcertck"),
        Some(true) => draft.needless("sslcertck"),
        None => {}
    }
    if let Some(file) = file("sslcertfile") {
        draft.trust("sslcertfile", &file);
    }
    if first(options, "sslfingerprint").is_some() {
        draft.note_fingerprint("sslfingerprint", "MD5");
    }
    if let Some(name) = first(options, "sslcommonname") {
        draft.set("sslcommonname", "tls_server_name", text(name));
    }
    match (file("sslcert"), file("sslkey")) {
        (Some(certificate), key) => {
            draft.set("sslcert", "tls_client_cert", certificate);
            if let Some(key) = key {
                draft.set("sslkey", "tls_client_key", key);
            }
        }
        // Without `sslcert`, this file contains both.
        (None, Some(both)) => draft.set("sslkey", "tls_client_cert", both),
        (None, None) => {}
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
            "port" => draft.use_port("port", &first(server, name).map(text).unwrap_or_default()),
            "timeout" => draft.wait_for("timeout", number(server, name).unwrap_or(60)),
            "auth" => match first(server, name).map(text).unwrap_or_default().as_str() {
                "any" | "password" => draft.needless("auth"),
                other => draft.log_in_by(other),
            },
            "uidl" | "bad-header" | "retrieve-error" | "dns" | "checkalias" | "localdomains" | "aka" | "idletimeout"
            | "esmtpname" | "esmtppassword" => draft.needless(*name),
            "envelope" if *setting == Setting::Flag(false) => draft.needless("no envelope"),
            "envelope" | "qvirtual" => draft.note(*name, "the account goes by hand: [accounts.NAME.multidrop], see \"Into which Maildir\" in the documentation"),
            "plugout" => draft.needless("plugout"),
            "plugin" => draft.note(
                "plugin",
                "the account connects directly, and not by way of a program: a SOCKS or HTTP proxy is written as proxy; for a tunnel \
                 of ssh run ssh -L as a service of its own, and write host = \"localhost\" with the name of the server as \
                 tls_server_name",
            ),
            "interface" => draft.note("interface", interface(&first(server, name).map(text).unwrap_or_default())),
            "monitor" => draft.note("monitor", "mailferry does not look whether a link is in use; see `interval`"),
            "tracepolls" if *setting == Setting::Flag(false) => draft.needless("no tracepolls"),
            "tracepolls" => draft.note(*name, "no header is added; the Maildir says which account it was"),
            "principal" => draft.note(*name, "Kerberos is not there"),
            _ => draft.note(*name, "there is nothing like it"),
        }
    }
}

/// Returns advice instead of the check of an interface: an address that connections have to come from.
fn interface(words: &str) -> String {
    let address = words.split('/').nth(1).and_then(|address| address.parse::<std::net::IpAddr>().ok());
    let written = address.map_or_else(|| "the address".to_owned(), |address| format!("\"{address}\""));
    format!(
        "mailferry does not look whether a link is up; if that is this machine's address there, write source_address = {written}, \
         and connections come from it or there are none"
    )
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

/// Options that are handled together elsewhere.
const JUDGED: [&str; 17] = [
    "ssl",
    "sslmode",
    "sslproto",
    "sslcertck",
    "sslcertfile",
    "sslfingerprint",
    "sslcommonname",
    "sslcert",
    "sslkey",
    "password",
    "passwordeval",
    "mda",
    "smtphost",
    "lmtp",
    "smtpaddress",
    "smtpname",
    "bsmtp",
];

fn user_options(draft: &mut Draft, options: &Options) {
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
            // Both end a session; mailferry begins another one.
            "fetchlimit" | "expunge" => draft.limit_count(name, number(options, name).unwrap_or(0)),
            "flush" | "limitflush" | "idle" | "forceidle" if is_off => draft.needless(format!("no {name}")),
            "flush" => draft.note("flush", "what mailferry has not delivered it does not delete"),
            "limitflush" => draft.note(
                "limitflush",
                "messages that are too large stay on the server; delete them with `mailferry console`, or there",
            ),
            "fetchall" | "rewrite" | "forcecr" | "stripcr" | "pass8bits" | "dropstatus" | "dropdelivered"
            | "mimedecode" | "warnings" | "fetchsizelimit" | "fastuidl" | "batchlimit" | "fetchdomains" | "antispam"
            | "sslprotocolversion" => draft.needless(name_of(name, is_off)),
            "folder" | "idle" | "forceidle" | "moveto" => draft.note(*name, "it is of IMAP"),
            "preconnect" => draft.note(
                "preconnect",
                "nothing is run before a connection; for runs by a timer ExecStartPre= in a drop-in does it, and a tunnel is a \
                 service of its own",
            ),
            "postconnect" => postconnect(draft, options),
            "sslcertpath" => draft.note(*name, "SSL_CERT_DIR in the environment does the same"),
            _ => draft.note(*name, "there is nothing like it"),
        }
    }
}

/// Converts `postconnect` to `on_new_mail`, unless it undoes what `preconnect` did.
fn postconnect(draft: &mut Draft, options: &Options) {
    let command = first(options, "postconnect").map(text).unwrap_or_default();
    if options.contains_key("preconnect") || command.is_empty() {
        return draft
            .note("postconnect", "it belongs to preconnect: for runs by a timer ExecStartPost= in a drop-in does it");
    }
    let words: toml_edit::Array = ["/bin/sh", "-c", &command].into_iter().collect();
    draft.set("postconnect", "on_new_mail", words);
    draft.note("postconnect", "on_new_mail runs when the daemon has brought new mail, and not after every connection");
}

/// Sets where mail goes. `local` is the local user whom it is for.
fn deliver(draft: &mut Draft, options: &Options, local: &str) {
    let there = |name: &str| options.get(name).filter(|setting| **setting != Setting::Flag(false));
    for name in ["mda", "smtphost", "bsmtp", "lmtp"] {
        if options.contains_key(name) && there(name).is_none() {
            draft.needless(format!("no {name}"));
        }
    }
    let recipient = match (first(options, "smtpname"), first(options, "smtpaddress")) {
        (Some(name), _) => text(name),
        (None, Some(domain)) => format!("{local}@{}", text(domain)),
        (None, None) => local.to_owned(),
    };
    let mut used = Vec::new();
    if there("mda").is_some() {
        mda(draft, &first(options, "mda").map(text).unwrap_or_default(), local);
    } else if there("bsmtp").is_some() {
        draft.note("bsmtp", destination::DESTINATIONS);
    } else if let Some(server) = first(options, "smtphost").map(text) {
        let lmtp = destination::lmtp(&server, None, &recipient);
        used = vec!["smtpname", "smtpaddress"];
        if let Some(Setting::Words(hosts)) = options.get("smtphost")
            && hosts.len() > 1
        {
            draft.note("smtphost", "the first of these hosts is taken; mailferry waits for it and asks no other");
        }
        match there("lmtp") {
            Some(_) => draft.forward("smtphost, lmtp", lmtp),
            None => {
                draft.note("smtphost", without_smtp(&lmtp.map(|to| to.to_string()).unwrap_or_default(), &recipient));
            }
        }
    } else if there("lmtp").is_some() {
        used = vec!["smtpname", "smtpaddress"];
        draft.forward("lmtp", destination::lmtp("localhost", None, &recipient));
    } else {
        draft.became(BY_SMTP, "a Maildir");
    }
    for name in ["smtpname", "smtpaddress"].into_iter().filter(|name| options.contains_key(name)) {
        match used.contains(&name) {
            true => draft.became(name, format!("recipient \"{recipient}\"")),
            false => draft.needless(name),
        }
    }
}

/// Returns advice instead of SMTP.
fn without_smtp(lmtp: &str, recipient: &str) -> String {
    format!(
        "there is no SMTP: the mail goes into a Maildir. If it is to go on to that server, write in place of maildir forward = \
         {lmtp} where it speaks LMTP, or forward = {{ command = [\"/usr/sbin/sendmail\", \"-i\", \"{recipient}\"] }}; see \
         \"Forwarding\" in the documentation"
    )
}

/// Converts a delivery program, for which fetchmail puts in the local user and the sender.
fn mda(draft: &mut Draft, command: &str, local: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    let is_plain = !local.is_empty() && !local.starts_with('-') && local.chars().all(plain);
    let command = if is_plain { command.replace("%T", local) } else { command.to_owned() };
    draft.forward("mda", destination::shell_command(&command, &["%F", "%T", "%s"]));
    if let Some(about) = destination::about_sendmail(&command).filter(|_| draft.forward.is_some()) {
        draft.note("mda", about);
    }
}

fn name_of(name: &str, is_off: bool) -> String {
    if is_off { format!("no {name}") } else { name.to_owned() }
}
