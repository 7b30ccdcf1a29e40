//! getmail 5 and 6: the rc files of its directory and `oldmail-*`.

use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{Draft, Note, Password, Record, Removal};
use super::ini::{self, Section, boolean, strings};
use super::source::{self, expand, text};
use super::{Found, ImportError, Places, Program, netrc};
use crate::account::TlsMode;
use crate::secret::Secret;

/// Reads the rc files and what was fetched.
pub(super) fn read(places: &Places) -> Result<Found, ImportError> {
    let (dir, files) = find(places)?;
    let mut found = Found::new(Program::Getmail, places.path.clone().unwrap_or_else(|| dir.clone()));
    let netrc = match &places.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    for path in files {
        let bytes = source::config(&path)?;
        let sections = ini::parse(&text(&bytes)).map_err(|odd| ImportError::Syntax {
            path: path.clone(),
            line: odd.0,
            what: "this is neither a section nor a key with a value".to_owned(),
        })?;
        let netrc = netrc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match account(&path, &sections, places, netrc) {
            Ok(mut draft) => {
                let state_dir = path.parent().unwrap_or(&dir);
                draft.record = record(places, state_dir, &draft)?;
                found.drafts.push(draft);
            }
            Err(note) => found.left.push(note),
        }
    }
    found.switch_off = vec![
        "take getmail out of crontab -l, and of the timers and services that run it: systemctl --user list-timers"
            .to_owned(),
    ];
    Ok(found)
}

/// The directory, and the files in it that getmail would take.
fn find(places: &Places) -> Result<(PathBuf, Vec<PathBuf>), ImportError> {
    let candidates: Vec<PathBuf> = match &places.path {
        Some(path) if path.is_dir() => vec![path.clone()],
        Some(path) => {
            let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok((dir, vec![path.clone()]));
        }
        None => {
            let config = places.config_home.iter().map(|dir| dir.join("getmail"));
            config.chain(places.home.iter().map(|home| home.join(".getmail"))).collect()
        }
    };
    let Some(dir) = candidates.iter().find(|dir| dir.is_dir()) else {
        return Err(ImportError::NotFound { program: Program::Getmail, looked: candidates });
    };
    let usual = dir.join("getmailrc");
    if usual.is_file() && places.path.is_none() {
        let others = rc_files(dir)?;
        return Ok((dir.clone(), others));
    }
    Ok((dir.clone(), rc_files(dir)?))
}

/// Every file of the directory that may be an rc file, as getmail looks for them.
fn rc_files(dir: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let is_rc = |name: &str| {
        !name.starts_with('.')
            && !name.starts_with("oldmail-")
            && ![".json", ".swp", ".bak"].iter().any(|end| name.ends_with(end))
            && !name.ends_with(['~', '#'])
    };
    let names = source::names(dir)?;
    let paths = names.iter().filter(|name| name.to_str().is_some_and(is_rc)).map(|name| dir.join(name));
    Ok(paths.filter(|path| path.is_file()).collect())
}

fn section<'a>(sections: &'a [Section], name: &str) -> Option<&'a Section> {
    sections.iter().find(|section| section.name == name)
}

fn account(path: &Path, sections: &[Section], places: &Places, netrc: &[u8]) -> Result<Draft, Note> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(retriever) = section(sections, "retriever") else {
        return Err(Note::new(file, "it has no [retriever], so it is no rc file of getmail"));
    };
    let kind = retriever.get("type").unwrap_or_default();
    let ssl = kind.ends_with("SSLRetriever");
    if !kind.contains("POP3") {
        return Err(Note::new(
            format!("{file}: {kind}"),
            "mailferry speaks POP3 alone; keep getmail for it, or look whether the provider has POP3",
        ));
    }
    if kind.starts_with("Multidrop") {
        return Err(Note::new(
            format!("{file}: {kind}"),
            "a maildrop of several people: write the account by hand, with [accounts.NAME.multidrop]; docs/routing.md says what \
             is believed of a header",
        ));
    }
    let (Some(host), Some(user)) = (retriever.get("server"), retriever.get("username")) else {
        return Err(Note::new(file, "it names no server or no username"));
    };
    let mut draft = Draft::new(format!("{file}, user {user} at {host}"), host, user);
    let label = file.trim_start_matches("getmailrc").trim_matches(['-', '_', '.']);
    draft.names = [label, host, &format!("{user}@{host}")]
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    draft.port = if ssl { 995 } else { 110 };
    match ssl {
        true => draft.became(kind, "tls = \"implicit\", the default"),
        false => draft.protect(kind),
    }
    if kind.starts_with("BrokenUIDL") {
        draft.note(
            kind,
            "getmail remembers nothing of such a server; without good unique-ids leave_on_server must be false",
        );
    }
    let options = section(sections, "options");
    draft.password = password(&draft, retriever, options, netrc);
    retriever_options(&mut draft, retriever, places);
    match section(sections, "destination") {
        Some(destination) => deliver(&mut draft, destination, places),
        None => draft.note("no [destination]", "the Maildir is named like the account"),
    }
    removal(&mut draft, options);
    if let Some(options) = options {
        other_options(&mut draft, options);
    }
    for section in
        sections.iter().filter(|section| !["retriever", "destination", "options"].contains(&section.name.as_str()))
    {
        draft.note(
            format!("[{}]", section.name),
            "[[accounts.NAME.rules]] sort by the header into Maildirs (docs/routing.md); a program that filters is run by on_new_mail",
        );
    }
    Ok(draft)
}

fn password(draft: &Draft, retriever: &Section, options: Option<&Section>, rc: &[u8]) -> Password {
    if let Some(command) = retriever.get("password_command") {
        return match strings(command) {
            Some(words) if !words.is_empty() => Password::Command(words),
            _ => Password::Missing("password_command is not a tuple of words".to_owned()),
        };
    }
    if let Some(password) = retriever.get("password") {
        return Password::InClear(Secret::new(password.as_bytes().to_vec()));
    }
    let uses = options.and_then(|options| options.get("use_netrc")).and_then(boolean).unwrap_or(false);
    let found = uses.then(|| netrc::password(rc, &[&draft.host], &draft.username)).flatten();
    found.map_or_else(|| Password::Missing("getmail asked for it".to_owned()), Password::InClear)
}

fn retriever_options(draft: &mut Draft, retriever: &Section, places: &Places) {
    for key in retriever.keys() {
        let value = retriever.get(key).unwrap_or_default();
        let is_off = boolean(value) == Some(false);
        match key {
            "type" | "server" | "username" | "password" | "password_command" => {}
            "port" => match value.parse().ok().filter(|port| *port > 0) {
                Some(port) => {
                    draft.port = port;
                    draft.became("port", format!("port = {port}"));
                }
                None => draft.note("port", "it is not a number; set `port`"),
            },
            "timeout" => draft.wait_for("timeout", value.parse().unwrap_or(180)),
            "use_apop" if !is_off => {
                draft.auth = Some("apop");
                draft.became("use_apop", "auth = \"apop\"");
            }
            "ca_certs" => {
                let file = expand(value, places.home.as_deref(), Path::new("/"));
                draft.ca_file = Some(file.to_string_lossy().into_owned());
                draft.became("ca_certs", "tls_ca_file: these authorities and no others");
            }
            "use_xoauth2" if !is_off => {
                draft.note(key, "OAuth 2.0 is not taken over; use an app password where there is one");
            }
            "delete_dup_msgids" | "ssl_version" | "ssl_ciphers" | "use_xoauth2" | "use_apop" | "use_peek" => {
                draft.needless(key);
            }
            "keyfile" | "certfile" => draft.note(key, "write the files as tls_client_cert and tls_client_key"),
            "ssl_fingerprints" => {
                draft.note(key, "write tls_pin, which is of the key, as docs/configuration.md says; or name the certificate as tls_ca_file");
            }
            "ssl_cert_hostname" => draft.note(key, "write that name as tls_server_name"),
            _ => draft.note(key, "there is nothing like it"),
        }
    }
    if draft.tls != TlsMode::None && draft.ca_file.is_none() && retriever.get("ssl_fingerprints").is_none() {
        draft.became("certificates that nobody checked", "they are checked, always");
    }
}

fn deliver(draft: &mut Draft, destination: &Section, places: &Places) {
    let kind = destination.get("type").unwrap_or_default();
    let path = destination.get("path").unwrap_or_default();
    if kind == "Maildir" {
        let expanded = variables(path, places);
        let full = expand(&expanded, places.home.as_deref(), places.home.as_deref().unwrap_or(Path::new("/")));
        let full = full.to_string_lossy().trim_end_matches('/').to_owned();
        draft.became("[destination] Maildir", format!("maildir = \"{full}\""));
        draft.maildir = Some(full);
        if destination.get("filemode").is_some() {
            draft.note("filemode", "see maildir_mode");
        }
    } else {
        let advice = match kind {
            "MDA_external" => {
                let arguments = destination.get("arguments").and_then(strings).unwrap_or_default();
                let words = std::iter::once(path).chain(arguments.iter().map(String::as_str));
                destination::command(words)
            }
            _ => destination::DESTINATIONS.to_owned(),
        };
        draft.note(format!("[destination] {kind}"), advice);
    }
}

/// `$HOME` and `${HOME}`; other variables stay as they are and are seen in the report.
fn variables(path: &str, places: &Places) -> String {
    match &places.home {
        Some(home) => path.replace("${HOME}", &home.to_string_lossy()).replace("$HOME", &home.to_string_lossy()),
        None => path.to_owned(),
    }
}

fn removal(draft: &mut Draft, options: Option<&Section>) {
    let get = |key: &str| options.and_then(|options| options.get(key));
    let deletes = get("delete").and_then(boolean).unwrap_or(false);
    let days = get("delete_after").and_then(|days| days.parse::<u64>().ok()).filter(|days| *days > 0);
    draft.removal = match (deletes, days) {
        (true, _) => Removal::AtOnce,
        (false, Some(days)) => Removal::AfterHours(days.saturating_mul(24).min(36_500 * 24)),
        (false, None) => Removal::Keep,
    };
    match (deletes, days) {
        (true, _) => draft.became("delete = true", "leave_on_server = false"),
        (false, Some(days)) => draft.became(format!("delete_after = {days}"), format!("leave_on_server = \"{days}d\"")),
        (false, None) => draft.became("delete = false, the default", "leave_on_server = true"),
    }
}

fn other_options(draft: &mut Draft, options: &Section) {
    for key in options.keys() {
        let value = options.get(key).unwrap_or_default();
        let number: u64 = value.parse().unwrap_or(0);
        match key {
            "delete" | "delete_after" => {}
            "max_message_size" => draft.limit_size(key, number),
            "max_messages_per_session" => draft.limit_count(key, number),
            "read_all" if boolean(value) == Some(false) => draft.needless("read_all = false"),
            "delete_bigger_than" | "max_bytes_per_session" if number > 0 => draft.note(key, "there is nothing like it"),
            "message_log" | "message_log_syslog" => {
                draft.note(key, "mailferry logs to standard error, which systemd takes to the journal");
            }
            "delivered_to" | "received" if boolean(value) == Some(false) => draft.needless(format!("{key} = false")),
            "read_all"
            | "delivered_to"
            | "received"
            | "verbose"
            | "message_log_verbose"
            | "fingerprint"
            | "use_netrc"
            | "netrc_file"
            | "to_oldmail_on_each_mail"
            | "only_oldmail_file"
            | "skip_imap_fetch_size"
            | "mark_read"
            | "delete_bigger_than"
            | "max_bytes_per_session" => draft.needless(key),
            _ => draft.note(key, "there is nothing like it"),
        }
    }
}

/// The name of getmail's record: runs of some characters become one hyphen.
fn record_name(host: &str, port: u16, user: &str) -> String {
    let mut name = String::new();
    for c in format!("oldmail-{host}-{port}-{user}").chars() {
        match c {
            '/' | ':' | ';' | '<' | '>' | '|' if name.ends_with('-') => {}
            '/' | ':' | ';' | '<' | '>' | '|' => name.push('-'),
            c => name.push(c),
        }
    }
    name
}

fn record(places: &Places, dir: &Path, draft: &Draft) -> Result<Record, ImportError> {
    let path = match &places.fetched {
        Some(path) if path.is_dir() => path.join(record_name(&draft.host, draft.port, &draft.username)),
        Some(path) => path.clone(),
        None => dir.join(record_name(&draft.host, draft.port, &draft.username)),
    };
    let Some(bytes) = source::record(&path)? else { return Ok(Record::default()) };
    let mut record = Record { found: true, ..Record::default() };
    for line in bytes.split(|c| *c == b'\n') {
        let Some(nul) = memchr::memchr(0, line) else { continue };
        let (unique_id, time) = line.split_at(nul);
        let time =
            std::str::from_utf8(time.get(1..).unwrap_or_default()).ok().and_then(|time| time.trim().parse().ok());
        record.add(unique_id, time);
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_has_the_name_that_getmail_gives_it() {
        assert_eq!(record_name("pop.h", 995, "ann@h"), "oldmail-pop.h-995-ann@h");
        assert_eq!(record_name("pop.h", 995, "a//b:;c\\d"), "oldmail-pop.h-995-a-b-c\\d");
    }

    #[test]
    fn an_rc_file_and_its_record_become_an_account() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(".getmail");
        std::fs::create_dir(&dir).unwrap();
        let rc = "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = pop.h\nusername = ann\npassword = top secret\n\
                  timeout = 30\nmystery = 1\n[destination]\ntype = Maildir\npath = ~/Mail/ann/\n\
                  [options]\ndelete_after = 7\nmax_message_size = 1000\nreceived = false\n[filter-1]\ntype = Filter_external\n";
        std::fs::write(dir.join("getmailrc-ann"), rc).unwrap();
        std::fs::write(dir.join("oldmail-pop.h-995-ann"), b"a-1\x001714000000\nb\x00x\nno nul\n").unwrap();
        std::fs::write(dir.join("imap"), "[retriever]\ntype = SimpleIMAPRetriever\nserver = h\nusername = u\n")
            .unwrap();
        let places = Places { home: Some(home.path().to_owned()), ..Places::default() };
        let found = read(&places).unwrap();
        let [draft] = &found.drafts[..] else { panic!("{found:?}") };
        assert_eq!((draft.host.as_str(), draft.port, draft.timeout), ("pop.h", 995, Some(30)));
        assert_eq!((draft.removal.clone(), draft.max_message_size), (Removal::AfterHours(168), Some(1000)));
        assert_eq!(draft.maildir, Some(home.path().join("Mail/ann").to_str().unwrap().to_owned()));
        assert_eq!(draft.names[0], "ann");
        let fetched: Vec<_> = draft.record.fetched.iter().map(|one| (one.unique_id.to_string(), one.at)).collect();
        assert_eq!(fetched, [("a-1".to_owned(), Some(1_714_000_000)), ("b".to_owned(), None)]);
        let named: Vec<&str> = draft.notes.iter().map(|note| note.what.as_str()).collect();
        assert_eq!(named, ["mystery", "[filter-1]"]);
        assert_eq!(found.left.len(), 1);
        assert!(!format!("{found:?}").contains("top secret"));
    }
}
