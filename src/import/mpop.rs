//! mpop 1: its configuration and its files of unique-ids.

use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{Draft, Note, Password, Record, Removal};
use super::source::{self, expand, text};
use super::{Found, ImportError, Places, Program, netrc};
use crate::account::TlsMode;
use crate::secret::Secret;

/// A command of the file, with its line.
type Command = (String, String, usize);

/// An account: its name, and what holds for it, the last of each counts.
struct Account {
    name: String,
    line: usize,
    commands: Vec<Command>,
}

/// Reads the configuration and what was fetched.
pub(super) fn read(places: &Places) -> Result<Found, ImportError> {
    let path = find(places)?;
    let bytes = source::config(&path)?;
    let wrong = |(line, what): (usize, &str)| ImportError::Syntax { path: path.clone(), line, what: what.to_owned() };
    let accounts = accounts(&text(&bytes)).map_err(wrong)?;
    let rc = match &places.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let mut found = Found::new(Program::Mpop, path);
    for account in &accounts {
        let rc = rc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match draft(account, places, rc) {
            Ok(mut draft) => {
                draft.record = record(account, places, &draft)?;
                found.drafts.push(draft);
            }
            Err(note) => found.left.push(note),
        }
    }
    found.switch_off = vec!["take mpop out of crontab -l, and of the timers and services that run it".to_owned()];
    Ok(found)
}

fn find(places: &Places) -> Result<PathBuf, ImportError> {
    if let Some(path) = &places.path {
        return Ok(path.clone());
    }
    let home = places.home.iter().map(|home| home.join(".mpoprc"));
    let looked: Vec<PathBuf> = home.chain(places.config_home.iter().map(|dir| dir.join("mpop/config"))).collect();
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { program: Program::Mpop, looked }),
    }
}

/// The accounts, each with the defaults and the accounts that it builds on.
fn accounts(text: &str) -> Result<Vec<Account>, (usize, &'static str)> {
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
                    let base = base.ok_or((number, "it builds on an account that does not stand before it"))?;
                    commands.extend(base.commands.clone());
                }
                accounts.push(Account { name: name.trim().to_owned(), line: number, commands });
                in_defaults = false;
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
    // `account default : work` is another name for an account, and no maildrop of its own.
    let is_alias =
        |account: &Account| account.name == "default" && account.commands.iter().all(|(.., line)| *line < account.line);
    let has_others = accounts.len() > 1;
    accounts.retain(|account| !has_others || !is_alias(account));
    Ok(accounts)
}

impl Account {
    fn get(&self, command: &str) -> Option<&str> {
        self.commands.iter().rev().find(|(name, ..)| name == command).map(|(_, argument, _)| argument.as_str())
    }

    /// Whether a switch is on; a command alone means that.
    fn is_on(&self, command: &str, default: bool) -> bool {
        self.get(command).map_or(default, |argument| argument.is_empty() || argument == "on")
    }
}

fn draft(account: &Account, places: &Places, rc: &[u8]) -> Result<Draft, Note> {
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
    let mut told: Vec<&str> = Vec::new();
    for (name, ..) in &account.commands {
        if !told.contains(&name.as_str()) {
            told.push(name);
            command(&mut draft, name, account.get(name).unwrap_or_default(), places);
        }
    }
    Ok(draft)
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
                draft.became(format!("keep {age}"), format!("leave_on_server = \"{hours}h\""));
                Removal::AfterHours(hours)
            }
            None => {
                draft.note(format!("keep {age}"), "it is no time that is understood: everything stays on the server");
                Removal::Keep
            }
        },
    }
}

/// A time such as `1d12h` in hours, rounded up, at least one.
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

fn command(draft: &mut Draft, name: &str, argument: &str, places: &Places) {
    let base = places.home.as_deref().unwrap_or(Path::new("/"));
    let full =
        |path: &str| expand(path, places.home.as_deref(), base).to_string_lossy().trim_end_matches('/').to_owned();
    match name {
        "host" | "user" | "password" | "passwordeval" | "tls" | "tls_starttls" | "keep" | "uidls_file" => {}
        "port" => match argument.parse().ok().filter(|port| *port > 0) {
            Some(port) => {
                draft.port = port;
                draft.became("port", format!("port = {port}"));
            }
            None => draft.note("port", "it is not a number; set `port`"),
        },
        "timeout" if argument == "off" => draft.needless("timeout off"),
        "timeout" => draft.wait_for("timeout", argument.parse().unwrap_or(180)),
        "auth" => match argument {
            "" | "on" => draft.needless("auth on"),
            "user" | "plain" | "apop" => {
                let ours = ["user", "plain", "apop"].into_iter().find(|ours| *ours == argument);
                draft.auth = ours;
                draft.became(format!("auth {argument}"), format!("auth = \"{argument}\""));
            }
            other => draft.note(
                format!("auth {other}"),
                "this way to log in is not taken over; mailferry takes the best that it has in common with the server",
            ),
        },
        "delivery" => match argument.split_once([' ', '\t']) {
            Some(("maildir", path)) => {
                let path = full(path.trim());
                draft.became("delivery maildir", format!("maildir = \"{path}\""));
                draft.maildir = Some(path);
            }
            Some(("mda", command)) => draft.note("delivery mda", destination::shell_command(command)),
            other => {
                draft.note(format!("delivery {}", other.map_or("", |(kind, _)| kind)), destination::DESTINATIONS);
            }
        },
        "skipsize" if argument == "off" => draft.needless("skipsize off"),
        "skipsize" => draft.limit_size("skipsize", size(argument)),
        "tls_trust_file" if argument == "system" => draft.needless("tls_trust_file system"),
        "tls_trust_file" => {
            draft.ca_file = Some(full(argument));
            draft.became("tls_trust_file", "tls_ca_file: these authorities and no others");
        }
        _ => without_counterpart(draft, name, argument),
    }
}

/// What becomes nothing: it is not needed, or named.
fn without_counterpart(draft: &mut Draft, name: &str, argument: &str) {
    match name {
        "killsize" if argument != "off" => {
            draft.note("killsize", "what mailferry has not delivered it does not delete");
        }
        "only_new" if argument == "off" => draft.note("only_new off", "what was fetched is not fetched again"),
        "filter" => draft.note("filter", "nothing is filtered: [[accounts.NAME.rules]] sort by the header (docs/routing.md), and a program is run by on_new_mail"),
        "tls_certcheck" if argument == "off" => draft.note(
            "tls_certcheck off",
            "certificates are always checked; for one that is signed by itself name it as tls_ca_file",
        ),
        "tls_fingerprint" if !argument.is_empty() => {
            draft.note(name, "write tls_pin, which is of the key, as docs/configuration.md says; or name the certificate as tls_ca_file");
        }
        "tls_key_file" | "tls_cert_file" if !argument.is_empty() => {
            draft.note(name, "write the files as tls_client_cert and tls_client_key");
        }
        "tls_host_override" if !argument.is_empty() => draft.note(name, "write that name as tls_server_name"),
        "proxy_host" | "proxy_port" | "socket" | "source_ip" if !argument.is_empty() => {
            draft.note(name, "it is not taken over: the account connects directly");
        }
        "pipelining"
        | "received_header"
        | "killsize"
        | "only_new"
        | "tls_certcheck"
        | "tls_fingerprint"
        | "tls_key_file"
        | "tls_cert_file"
        | "tls_host_override"
        | "proxy_host"
        | "proxy_port"
        | "socket"
        | "source_ip"
        | "tls_priorities"
        | "tls_min_dh_prime_bits"
        | "tls_crl_file"
        | "ntlmdomain" => draft.needless(name),
        other => draft.note(other, "there is nothing like it"),
    }
}

/// Octets, with `k` or `m` behind the number.
fn size(text: &str) -> u64 {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    digits.parse::<u64>().unwrap_or(0).saturating_mul(unit)
}

fn record(account: &Account, places: &Places, draft: &Draft) -> Result<Record, ImportError> {
    let base = places.home.as_deref().unwrap_or(Path::new("/"));
    let path = match &places.fetched {
        Some(path) => path.clone(),
        None => {
            let pattern = account.get("uidls_file").unwrap_or("~/.mpop_uidls/%U_at_%H");
            let name = pattern.replace("%U", &draft.username).replace("%H", &draft.host);
            expand(&name, places.home.as_deref(), base)
        }
    };
    let Some(bytes) = source::record(&path)? else { return Ok(Record::default()) };
    Ok(unique_ids(&bytes, &draft.host, &draft.username))
}

/// What a file of mpop's has for a user at a host: comments, then blocks of a header line that begins with a blank, and so
/// many lines. From 1.4.23 on, which the comment says, each has the time behind the unique-id.
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

/// Whether a comment names a version of mpop from 1.4.23 on, whose lines have times.
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
