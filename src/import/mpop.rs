//! mpop 1: its configuration and its UIDL files.

use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{self, Draft, Note, Password, Record, Removal};
use super::source::{self, expand, text};
use super::{Found, ImportError, Program, SearchPaths, netrc};
use crate::account::TlsMode;
use crate::config::nearest;
use crate::secret::Secret;

/// The commands of mpop.
const COMMANDS: [&str; 35] = [
    "account",
    "auth",
    "defaults",
    "delivery",
    "eval",
    "filter",
    "host",
    "keep",
    "killsize",
    "ntlmdomain",
    "only_new",
    "password",
    "passwordeval",
    "pipelining",
    "port",
    "proxy_host",
    "proxy_port",
    "received_header",
    "skipsize",
    "socket",
    "source_ip",
    "timeout",
    "tls",
    "tls_cert_file",
    "tls_certcheck",
    "tls_crl_file",
    "tls_fingerprint",
    "tls_host_override",
    "tls_key_file",
    "tls_min_dh_prime_bits",
    "tls_priorities",
    "tls_starttls",
    "tls_trust_file",
    "uidls_file",
    "user",
];

/// The word that mpop replaces by the sender's address.
const SENDER: &str = "%F";

/// A command of the file: name, argument and line.
type Command = (String, String, usize);

/// An account: its name and the commands that apply; the last one of each counts.
struct Account {
    name: String,
    line: usize,
    commands: Vec<Command>,
}

/// Reads the configuration, and the record of fetched messages.
pub(super) fn read(search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let path = find(search_paths)?;
    let bytes = source::config(&path)?;
    let wrong = |(line, what): (usize, String)| ImportError::Syntax { path: path.clone(), line, what };
    let accounts = accounts(&text(&bytes)).map_err(wrong)?;
    let rc = match &search_paths.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let mut found = Found::new(Program::Mpop, path);
    for account in &accounts {
        let rc = rc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match draft(account, search_paths, rc) {
            Ok(mut draft) => {
                draft.record = record(account, search_paths, &draft)?;
                found.drafts.push(draft);
            }
            Err(note) => found.left.push(note),
        }
    }
    found.switch_off = vec!["take mpop out of crontab -l, and of the timers and services that run it".to_owned()];
    Ok(found)
}

fn find(search_paths: &SearchPaths) -> Result<PathBuf, ImportError> {
    if let Some(path) = &search_paths.path {
        return Ok(path.clone());
    }
    let home = search_paths.home.iter().map(|home| home.join(".mpoprc"));
    let looked: Vec<PathBuf> = home.chain(search_paths.config_home.iter().map(|dir| dir.join("mpop/config"))).collect();
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { program: Program::Mpop, looked }),
    }
}

/// Parses the accounts, each with the defaults and the accounts that it builds on.
fn accounts(text: &str) -> Result<Vec<Account>, (usize, String)> {
    let (mut defaults, mut accounts): (Vec<Command>, Vec<Account>) = (Vec::new(), Vec::new());
    let mut in_defaults = true;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (command, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = argument.trim();
        let argument = argument.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(argument);
        match command {
            "defaults" => (in_defaults, defaults) = (true, Vec::new()),
            "account" => {
                let (name, builds_on) = argument.split_once(':').unwrap_or((argument, ""));
                let mut commands = defaults.clone();
                for base in builds_on.split(',').map(str::trim).filter(|base| !base.is_empty()) {
                    let base = accounts.iter().find(|account| account.name == base);
                    let base = base
                        .ok_or_else(|| (number, "it builds on an account that is not defined before it".to_owned()))?;
                    commands.extend(base.commands.clone());
                }
                accounts.push(Account { name: name.trim().to_owned(), line: number, commands });
                in_defaults = false;
            }
            other if !COMMANDS.contains(&other.to_ascii_lowercase().as_str()) => {
                return Err((number, no_command(other)));
            }
            _ => {
                let commands = match accounts.last_mut().filter(|_| !in_defaults) {
                    Some(account) => &mut account.commands,
                    None => &mut defaults,
                };
                commands.push((command.to_ascii_lowercase(), argument.to_owned(), number));
            }
        }
    }
    // `account default : work` is an alias and not a maildrop of its own.
    let is_alias =
        |account: &Account| account.name == "default" && account.commands.iter().all(|(.., line)| *line < account.line);
    let has_others = accounts.len() > 1;
    accounts.retain(|account| !has_others || !is_alias(account));
    Ok(accounts)
}

/// Returns what to say about a word that is not a command; the word itself may be a password.
fn no_command(word: &str) -> String {
    let meant = nearest(word, COMMANDS.into_iter());
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("this line begins with a word that is not a command of mpop{meant}")
}

impl Account {
    fn get(&self, command: &str) -> Option<&str> {
        self.commands.iter().rev().find(|(name, ..)| name == command).map(|(_, argument, _)| argument.as_str())
    }

    /// Whether a switch is on; a command without an argument turns it on.
    fn is_on(&self, command: &str, default: bool) -> bool {
        self.get(command).map_or(default, |argument| argument.is_empty() || argument == "on")
    }
}

fn draft(account: &Account, search_paths: &SearchPaths, rc: &[u8]) -> Result<Draft, Note> {
    let origin = format!("account {} (line {})", account.name, account.line);
    if account.commands.iter().any(|(name, ..)| name == "eval") {
        return Err(Note::new(
            format!("{origin}: eval"),
            "a command that prints lines of the configuration is not run: put these lines in its place and try again",
        ));
    }
    let (Some(host), Some(user)) = (account.get("host"), account.get("user")) else {
        return Err(Note::new(origin, "it has no host or no user"));
    };
    let mut draft = Draft::new(origin, host, user);
    draft.names = vec![account.name.clone(), format!("{user}@{host}")];
    let (tls, starttls) = (account.is_on("tls", false), account.is_on("tls_starttls", true));
    match (tls, starttls) {
        (true, true) => {
            (draft.tls, draft.port) = (TlsMode::StartTls, 110);
            draft.became("tls on, tls_starttls on", "tls = \"starttls\"");
        }
        (true, false) => draft.became("tls on, tls_starttls off", "tls = \"implicit\", the default"),
        (false, _) => {
            draft.port = 110;
            draft.protect("tls off");
        }
    }
    draft.password = match (account.get("passwordeval"), account.get("password")) {
        (Some(command), _) => Password::Command(["sh", "-c", command].map(str::to_owned).to_vec()),
        (None, Some(password)) => Password::InClear(Secret::new(password.as_bytes().to_vec())),
        (None, None) => netrc::password(rc, &[host], user).map_or_else(
            || Password::Missing("mpop had it from a keyring, or asked for it".to_owned()),
            Password::InClear,
        ),
    };
    draft.removal = removal(account, &mut draft);
    certificate(&mut draft, account, search_paths);
    let mut told: Vec<&str> = Vec::new();
    for (name, ..) in &account.commands {
        if !told.contains(&name.as_str()) {
            told.push(name);
            command(&mut draft, name, account.get(name).unwrap_or_default(), search_paths);
        }
    }
    if let Some(method) = account.get("auth").filter(|method| !matches!(*method, "" | "on")) {
        draft.log_in_by(method);
    }
    if let Some(host) = account.get("proxy_host").filter(|host| !host.is_empty()) {
        let port = account.get("proxy_port").filter(|port| !port.is_empty()).unwrap_or("1080");
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        draft.go_through("proxy_host", &format!("socks5://{host}:{port}"));
    }
    Ok(draft)
}

/// Expands a path like mpop.
fn full(path: &str, search_paths: &SearchPaths) -> String {
    let base = search_paths.home.as_deref().unwrap_or(Path::new("/"));
    expand(path, search_paths.home.as_deref(), base).to_string_lossy().trim_end_matches('/').to_owned()
}

/// Sets the client certificate. mpop needs both files.
fn certificate(draft: &mut Draft, account: &Account, search_paths: &SearchPaths) {
    let file = |name: &str| account.get(name).filter(|file| !file.is_empty()).map(|file| full(file, search_paths));
    match (file("tls_cert_file"), file("tls_key_file")) {
        (Some(certificate), Some(key)) => {
            draft.set("tls_cert_file", "tls_client_cert", certificate);
            draft.set("tls_key_file", "tls_client_key", key);
        }
        (None, None) => {}
        _ => draft.note("tls_cert_file, tls_key_file", "one is not there without the other, so neither is taken over"),
    }
}

fn removal(account: &Account, draft: &mut Draft) -> Removal {
    match account.get("keep") {
        Some("off") => {
            draft.became("keep off", "leave_on_server = false");
            Removal::AtOnce
        }
        None => {
            draft.became("keep off, the default", "leave_on_server = false");
            Removal::AtOnce
        }
        Some("" | "on") => {
            draft.became("keep on", "leave_on_server = true");
            Removal::Keep
        }
        Some(age) => match hours(age) {
            Some(hours) => {
                let ours = draft::age(hours);
                draft.became(format!("keep {age}"), format!("leave_on_server = \"{ours}\""));
                Removal::AfterHours(hours)
            }
            None => {
                draft.note(format!("keep {age}"), "it is not understood as a time: everything stays on the server");
                Removal::Keep
            }
        },
    }
}

/// Converts a time such as `1d12h` to hours, rounded up, at least one.
fn hours(age: &str) -> Option<u64> {
    let (mut seconds, mut number) = (0_u64, String::new());
    for c in age.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'w' => 604_800,
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(std::mem::take(&mut number).parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    (number.is_empty() && seconds > 0).then(|| seconds.div_ceil(3600).min(36_500 * 24))
}

fn command(draft: &mut Draft, name: &str, argument: &str, search_paths: &SearchPaths) {
    match name {
        "host" | "user" | "password" | "passwordeval" | "tls" | "tls_starttls" | "keep" | "uidls_file" => {}
        // Handled together elsewhere.
        "tls_cert_file" | "tls_key_file" | "proxy_host" if !argument.is_empty() => {}
        "proxy_port" if !argument.is_empty() => {}
        "port" => draft.use_port("port", argument),
        "timeout" if argument == "off" => draft.needless("timeout off"),
        "timeout" => draft.wait_for("timeout", argument.parse().unwrap_or(180)),
        "auth" if matches!(argument, "" | "on") => draft.needless("auth on"),
        "auth" => {}
        "delivery" => deliver(draft, argument, search_paths),
        "skipsize" if argument == "off" => draft.needless("skipsize off"),
        "skipsize" => draft.limit_size("skipsize", size(argument)),
        "tls_trust_file" if argument == "system" => draft.needless("tls_trust_file system"),
        "tls_trust_file" => draft.trust("tls_trust_file", &full(argument, search_paths)),
        "tls_host_override" if !argument.is_empty() => draft.set(name, "tls_server_name", argument),
        "source_ip" if !argument.is_empty() => draft.set(name, "source_address", argument),
        "tls_fingerprint" if !argument.is_empty() => {
            let kind = match argument.split(':').count() {
                32 => "SHA-256",
                20 => "SHA-1",
                _ => "MD5",
            };
            draft.note_fingerprint(name, kind);
        }
        _ => without_counterpart(draft, name, argument),
    }
}

fn deliver(draft: &mut Draft, argument: &str, search_paths: &SearchPaths) {
    match argument.split_once([' ', '\t']) {
        Some(("maildir", path)) => {
            let path = full(path.trim(), search_paths);
            draft.became("delivery maildir", format!("maildir = \"{path}\""));
            draft.maildir = Some(path);
        }
        Some(("mda", command)) => {
            draft.forward("delivery mda", destination::shell_command(command, &[SENDER]));
            if let Some(about) = destination::about_sendmail(command).filter(|_| draft.forward.is_some()) {
                draft.note("delivery mda", about);
            }
        }
        other => draft.note(format!("delivery {}", other.map_or("", |(kind, _)| kind)), destination::DESTINATIONS),
    }
}

/// Handles a command without a counterpart: it is not needed, or is named.
fn without_counterpart(draft: &mut Draft, name: &str, argument: &str) {
    let is_off = matches!(argument, "" | "off");
    match name {
        "killsize" if !is_off => draft.note("killsize", "what mailferry has not delivered it does not delete"),
        "only_new" if argument == "off" => draft.note("only_new off", "what was fetched is not fetched again"),
        "filter" if !is_off => draft.note(
            "filter",
            "nothing is filtered: [[accounts.NAME.rules]] sort by the header (\"Into which Maildir\" in the documentation), and a program is run by on_new_mail",
        ),
        "tls_certcheck" if argument == "off" => draft.note_unchecked("tls_certcheck off"),
        "socket" if !is_off => draft.note(
            "socket",
            "servers are reached by TCP alone, so the account connects to its host; a program such as socat leads from a port to a \
             socket",
        ),
        "tls_priorities" if argument.contains("VERS-") || argument.contains("SECURE") => draft.note(
            "tls_priorities",
            "TLS is version 1.2 or 1.3 with the ciphers that \"Configuration\" in the documentation names; tls_key_exchange = \"post-quantum\" refuses \
             1.2",
        ),
        "tls_crl_file" if !is_off => draft.note(name, "lists of revoked certificates are not read"),
        other => draft.needless(other),
    }
}

/// Parses a size in octets, optionally with `k` or `m` after the number.
fn size(text: &str) -> u64 {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    digits.parse::<u64>().unwrap_or(0).saturating_mul(unit)
}

fn record(account: &Account, search_paths: &SearchPaths, draft: &Draft) -> Result<Record, ImportError> {
    let base = search_paths.home.as_deref().unwrap_or(Path::new("/"));
    let path = match &search_paths.fetched {
        Some(path) => path.clone(),
        None => {
            let pattern = account.get("uidls_file").unwrap_or("~/.mpop_uidls/%U_at_%H");
            let name = pattern.replace("%U", &draft.username).replace("%H", &draft.host);
            expand(&name, search_paths.home.as_deref(), base)
        }
    };
    let Some(bytes) = source::record(&path)? else { return Ok(Record::default()) };
    Ok(unique_ids(&bytes, &draft.host, &draft.username))
}

/// Reads the record of a user at a host from a UIDL file of mpop's: comments, then blocks of a header line that begins
/// with a blank and the number of lines that it states. From 1.4.23 on, which is named in a comment, each line has the
/// time after the unique-id.
fn unique_ids(bytes: &[u8], host: &str, user: &str) -> Record {
    let mut record = Record::default();
    let mut lines = bytes.split(|c| *c == b'\n').peekable();
    let mut comment = Vec::new();
    while let Some(line) = lines.next_if(|line| line.starts_with(b"#")) {
        comment.extend_from_slice(line);
    }
    let has_times = names_newer_version(&text(&comment));
    while let Some(line) = lines.next() {
        let header = text(line);
        let mut fields = header.strip_prefix(' ').unwrap_or_default().splitn(3, ' ');
        let Some(count) = fields.next().and_then(|count| count.parse::<usize>().ok()) else { continue };
        let is_ours = fields.next() == Some(host) && fields.next() == Some(user);
        record.found |= is_ours;
        for line in lines.by_ref().take(count).filter(|_| is_ours) {
            let (unique_id, at) =
                match memchr::memrchr(b' ', line).filter(|_| has_times).map(|blank| line.split_at(blank)) {
                    Some((unique_id, time)) if is_digits(time.get(1..).unwrap_or_default()) => {
                        (unique_id, std::str::from_utf8(time).ok().and_then(|time| time.trim().parse().ok()))
                    }
                    _ => (line, None),
                };
            record.add(unique_id, at);
        }
    }
    record
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether a comment names mpop 1.4.23 or later, whose lines have times.
fn names_newer_version(comment: &str) -> bool {
    let words = comment.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words
        .filter_map(|word| {
            let mut numbers = word.trim_matches('.').split('.').map(|number| number.parse::<u32>().ok());
            Some((numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
        })
        .any(|version| version >= (1, 4, 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_build_on_defaults_and_on_others() {
        let text = "defaults\ntls on\n# c\naccount a\nhost pop.h\nuser ann\naccount b : a\nuser \" bob \"\nkeep on\n\
                    defaults\ntimeout 9\naccount c\nhost x\nuser u\naccount default : b\n";
        let accounts = accounts(text).unwrap();
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!((accounts[1].get("host"), accounts[1].get("user")), (Some("pop.h"), Some(" bob ")));
        assert!(accounts[1].is_on("tls", false) && !accounts[2].is_on("tls", false));
        assert_eq!(accounts[2].get("timeout"), Some("9"));
    }

    fn only(text: &str) -> Draft {
        let accounts = accounts(text).unwrap();
        draft(&accounts[0], &SearchPaths { home: Some("/home/jo".into()), ..SearchPaths::default() }, b"").unwrap()
    }

    #[test]
    fn a_word_that_is_no_command_ends_the_import_and_is_not_shown() {
        for (text, line, told) in [
            ("acount x\n", 1, "did you mean `account`?"),
            ("account x\nhost h\nhunter2secret\n", 3, "not a command of mpop"),
        ] {
            let Err((at, what)) = accounts(text) else { panic!("{text}") };
            assert!(at == line && what.contains(told) && !what.contains("hunter2"), "{text}: {at}: {what}");
        }
    }

    #[test]
    fn commands_become_keys() {
        let name = crate::account::AccountName::new("n").unwrap();
        for (text, key) in [
            ("tls on\nauth scram-sha-256-plus", r#"auth = "scram-sha-256""#),
            ("tls on\nauth login", r#"auth = "login""#),
            ("tls on\nauth oauthbearer\npasswordeval tok x", r#"token_command = ["sh", "-c", "tok x"]"#),
            ("auth external\ntls_cert_file ~/c\ntls_key_file ~/k", r#"auth = "external""#),
            ("tls_cert_file ~/c\ntls_key_file ~/k", r#"tls_client_cert = "/home/jo/c""#),
            ("tls_cert_file ~/c\ntls_key_file ~/k", r#"tls_client_key = "/home/jo/k""#),
            ("tls_trust_file ~/ca", r#"tls_ca_file = "/home/jo/ca""#),
            ("tls_host_override pop.other", r#"tls_server_name = "pop.other""#),
            ("source_ip 192.0.2.7", r#"source_address = "192.0.2.7""#),
            ("proxy_host 127.0.0.1\nproxy_port 9050", r#"proxy = "socks5://127.0.0.1:9050""#),
            ("proxy_host ::1", r#"proxy = "socks5://[::1]:1080""#),
            ("delivery mda /usr/bin/procmail -d jo", r#"forward = { command = ["/usr/bin/procmail", "-d", "jo"] }"#),
        ] {
            let lines = only(&format!("account n\nhost h\nuser u\n{text}\n")).table(&name, None).to_string();
            assert!(lines.lines().any(|line| line == key), "{text}: {lines}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        for (text, what, advice) in [
            ("tls_fingerprint AA:BB", "tls_fingerprint", "MD5 digest of the certificate"),
            ("tls_certcheck off", "tls_certcheck off", "tls_ca_file"),
            ("auth gssapi", "auth gssapi", "best that it has in common"),
            ("auth xoauth2\npassword tok", "auth xoauth2", "mailferry login"),
            ("socket /run/pop", "socket", "by TCP alone"),
            ("delivery mda lda -f '%F'", "delivery mda", "does not substitute %F."),
            ("delivery mbox ~/m", "delivery mbox", "\"Forwarding\" in the documentation"),
            ("tls_key_file k", "tls_cert_file, tls_key_file", "neither is taken over"),
            ("tls_crl_file k", "tls_crl_file", "revoked"),
            ("filter spam", "filter", "rules"),
        ] {
            let draft = only(&format!("account n\nhost h\nuser u\n{text}\n"));
            let told = |note: &Note| note.what == what && note.advice.contains(advice);
            assert!(draft.notes.iter().any(told), "{text}: {:?}", draft.notes);
        }
        // Every command becomes something or is named.
        for command in COMMANDS {
            if matches!(command, "account" | "defaults" | "eval" | "host" | "user" | "password" | "uidls_file") {
                continue;
            }
            let draft = only(&format!("account n\nhost h\nuser u\n{command} 7\n"));
            let is_named = draft.notes.iter().any(|note| note.what.contains(command))
                || draft.needless.iter().any(|word| word.contains(command))
                || draft.became.iter().any(|(theirs, _)| theirs.contains(command))
                || matches!(command, "passwordeval" | "tls" | "tls_starttls" | "proxy_port");
            assert!(is_named, "{command}: {draft:?}");
        }
    }

    #[test]
    fn an_age_is_told_as_it_is_written() {
        for (keep, ours) in [("7d", "7d"), ("1d12h", "36h"), ("30m", "1h")] {
            let draft = only(&format!("account n\nhost h\nuser u\ntls on\nkeep {keep}\n"));
            let line = format!("leave_on_server = \"{ours}\"");
            assert!(draft.became.contains(&(format!("keep {keep}"), line.clone())), "{:?}", draft.became);
            let name = crate::account::AccountName::new("n").unwrap();
            assert!(draft.table(&name, None).to_string().contains(&line));
        }
    }

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!((hours("1d12h"), hours("30m"), hours("2w")), (Some(36), Some(1), Some(336)));
        assert_eq!((hours("x"), hours("5"), hours("0d")), (None, None, None));
        assert_eq!((size("10k"), size("2M"), size("7"), size("off")), (10_240, 2 << 20, 7, 0));
    }

    #[test]
    fn files_of_both_formats_are_read() {
        let old = b"# written by mpop 1.4.13\n 2 pop.h ann\nA 1\nB\n 1 pop.h bob\nC\n";
        let ids = |bytes: &[u8], user| {
            unique_ids(bytes, "pop.h", user)
                .fetched
                .iter()
                .map(|one| (one.unique_id.to_string(), one.at))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(old, "ann"), [("A 1".to_owned(), None), ("B".to_owned(), None)]);
        assert_eq!(ids(old, "bob"), [("C".to_owned(), None)]);
        let new = b"# mpop 1.4.23 or newer\n 2 pop.h ann\nA 1 1714000000\nB x\n";
        assert_eq!(ids(new, "ann"), [("A 1".to_owned(), Some(1_714_000_000)), ("B x".to_owned(), None)]);
        assert!(!unique_ids(old, "other", "ann").found);
    }
}
