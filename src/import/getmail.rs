//! getmail 5 and 6: the rc files of its directory and `oldmail-*`.

use std::path::{Path, PathBuf};

use super::destination;
use super::draft::{Draft, Note, Password, Record, Removal};
use super::ini::{self, Section, boolean, strings};
use super::source::{self, expand, text};
use super::{Found, ImportError, Program, SearchPaths, netrc};
use crate::account::TlsMode;
use crate::config::nearest;
use crate::secret::Secret;

/// Reads the rc files, and the record of fetched messages.
pub(super) fn read(search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let (dir, files) = find(search_paths)?;
    let mut found = Found::new(Program::Getmail, dir.clone());
    let netrc = match &search_paths.home {
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
        match account(&path, &sections, search_paths, netrc) {
            Ok(mut draft) => {
                let state_dir = path.parent().unwrap_or(&dir);
                draft.record = record(search_paths, state_dir, &draft)?;
                found.drafts.push(draft);
                found.files.push(path);
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

/// Returns the directory and the files in it that getmail would read.
fn find(search_paths: &SearchPaths) -> Result<(PathBuf, Vec<PathBuf>), ImportError> {
    let candidates: Vec<PathBuf> = match &search_paths.path {
        Some(path) if path.is_dir() => vec![path.clone()],
        Some(path) => {
            let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok((dir, vec![path.clone()]));
        }
        None => {
            let config = search_paths.config_home.iter().map(|dir| dir.join("getmail"));
            config.chain(search_paths.home.iter().map(|home| home.join(".getmail"))).collect()
        }
    };
    let Some(dir) = candidates.iter().find(|dir| dir.is_dir()) else {
        return Err(ImportError::NotFound { program: Program::Getmail, looked: candidates });
    };
    let usual = dir.join("getmailrc");
    if usual.is_file() && search_paths.path.is_none() {
        let others = rc_files(dir)?;
        return Ok((dir.clone(), others));
    }
    Ok((dir.clone(), rc_files(dir)?))
}

/// Lists the files of the directory that may be rc files, by getmail's own rule.
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

fn account(path: &Path, sections: &[Section], search_paths: &SearchPaths, netrc: &[u8]) -> Result<Draft, Note> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(retriever) = section(sections, "retriever") else {
        return Err(Note::new(file, "it has no [retriever], so it is not an rc file of getmail"));
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
            "a maildrop of several people: write the account by hand, with [accounts.NAME.multidrop]; \"Into which Maildir\" in the documentation says what \
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
    rest(&mut draft, sections, retriever, search_paths, netrc);
    Ok(draft)
}

/// Converts the other settings of an account whose server is known.
fn rest(draft: &mut Draft, sections: &[Section], retriever: &Section, search_paths: &SearchPaths, netrc: &[u8]) {
    let options = section(sections, "options");
    draft.password = password(draft, retriever, options, netrc);
    retriever_options(draft, retriever);
    certificate(draft, retriever, search_paths);
    if retriever.get("use_xoauth2").and_then(boolean) == Some(true) {
        draft.log_in_by("xoauth2");
    }
    match section(sections, "destination") {
        Some(destination) => deliver(draft, destination, search_paths),
        None => draft.note("no [destination]", "the Maildir is named like the account"),
    }
    removal(draft, options);
    if let Some(options) = options {
        other_options(draft, options);
    }
    for section in
        sections.iter().filter(|section| !["retriever", "destination", "options"].contains(&section.name.as_str()))
    {
        draft.note(
            format!("[{}]", section.name),
            "[[accounts.NAME.rules]] sort by the header into Maildirs (\"Into which Maildir\" in the documentation); a program that filters is run by on_new_mail",
        );
    }
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

fn retriever_options(draft: &mut Draft, retriever: &Section) {
    for key in retriever.keys() {
        let value = retriever.get(key).unwrap_or_default();
        let is_off = boolean(value) == Some(false);
        match key {
            "type" | "server" | "username" | "password" | "password_command" => {}
            "port" => draft.use_port("port", value),
            "timeout" => draft.wait_for("timeout", value.parse().unwrap_or(180)),
            "use_apop" if !is_off => {
                draft.auth = Some("apop");
                draft.became("use_apop", "auth = \"apop\"");
            }
            // Handled together elsewhere.
            "ca_certs" | "keyfile" | "certfile" => {}
            "use_xoauth2" if !is_off => {}
            "delete_dup_msgids" | "ssl_version" | "ssl_ciphers" | "use_xoauth2" | "use_apop" | "use_peek" => {
                draft.needless(key);
            }
            "ssl_fingerprints" => draft.note_fingerprint(key, "SHA-256"),
            "ssl_cert_hostname" => draft.set(key, "tls_server_name", value),
            _ => draft.note(key, no_such_key(key, &RETRIEVER)),
        }
    }
}

/// Sets which certificates to trust, and the client certificate.
fn certificate(draft: &mut Draft, retriever: &Section, search_paths: &SearchPaths) {
    let file = |name: &str| {
        let path = expand(&variables(retriever.get(name)?, search_paths), search_paths.home.as_deref(), Path::new("/"));
        Some(path.to_string_lossy().into_owned())
    };
    match file("ca_certs") {
        Some(file) => draft.trust("ca_certs", &file),
        None if draft.tls != TlsMode::None && retriever.get("ssl_fingerprints").is_none() => {
            draft.became("certificates that nobody checked", "they are checked, always");
        }
        None => {}
    }
    match (file("certfile"), file("keyfile")) {
        (Some(certificate), key) => {
            draft.set("certfile", "tls_client_cert", certificate);
            if let Some(key) = key {
                draft.set("keyfile", "tls_client_key", key);
            }
        }
        (None, Some(_)) => draft.note("keyfile", "without a certfile there is nothing that it belongs to"),
        (None, None) => {}
    }
}

fn deliver(draft: &mut Draft, destination: &Section, search_paths: &SearchPaths) {
    let kind = destination.get("type").unwrap_or_default();
    let path = destination.get("path").unwrap_or_default();
    let taken: &[&str] = match kind {
        "Maildir" => {
            let expanded = variables(path, search_paths);
            let full =
                expand(&expanded, search_paths.home.as_deref(), search_paths.home.as_deref().unwrap_or(Path::new("/")));
            let full = full.to_string_lossy().trim_end_matches('/').to_owned();
            draft.became("[destination] Maildir", format!("maildir = \"{full}\""));
            draft.maildir = Some(full);
            file_mode(draft, destination);
            &["filemode"]
        }
        "MDA_external" => {
            command(draft, destination, &variables(path, search_paths));
            &["arguments", "unixfrom", "allow_root_commands", "ignore_stderr"]
        }
        "MDA_lmtp" => {
            let recipient = destination.get("override").unwrap_or(&draft.username).to_owned();
            let port = destination.get("port").and_then(|port| port.parse().ok());
            draft.forward(
                "[destination] MDA_lmtp",
                destination::lmtp(destination.get("host").unwrap_or_default(), port, &recipient),
            );
            if destination.get("override").is_none() {
                draft.note(
                    "[destination] MDA_lmtp",
                    format!("its recipient is the user, `{recipient}`, as nothing says who it is; see that the server knows it"),
                );
            }
            &["host", "port", "override"]
        }
        _ => {
            draft.note(format!("[destination] {kind}"), destination::DESTINATIONS);
            &["destinations", "default", "locals", "locktype"]
        }
    };
    for key in destination.keys().filter(|key| !["type", "path"].contains(key) && !taken.contains(key)) {
        let advice = match key {
            "user" | "group" => "mail is delivered as the user who runs mailferry; run the import as that user",
            "fallback" => "a recipient that is refused makes the mail wait, and status tells; there is no second one",
            "pipe_stdout" => "what the command prints goes to the log",
            _ => "there is nothing like it",
        };
        draft.note(format!("[destination] {key}"), advice);
    }
}

/// Converts a delivery program, for which getmail puts in the sender and, for multidrop, the recipient.
fn command(draft: &mut Draft, destination: &Section, path: &str) {
    let arguments = destination.get("arguments").map_or_else(|| Some(Vec::new()), strings);
    let Some(arguments) = arguments else {
        return draft.note(
            "[destination] arguments",
            "it is not a tuple of words: write forward = { command = [...] } yourself",
        );
    };
    let words = std::iter::once(path).chain(arguments.iter().map(String::as_str));
    let placeholders = ["%(sender)", "%(recipient)", "%(local)", "%(domain)", "%(mailbox)"];
    draft.forward("[destination] MDA_external", destination::command(words, &placeholders));
    if let Some(about) = destination::about_sendmail(path).filter(|_| draft.forward.is_some()) {
        draft.note("[destination] MDA_external", about);
    }
    if destination.get("unixfrom").and_then(boolean) == Some(true) {
        draft.note("[destination] unixfrom", "no line `From ` is put on top; procmail makes one with -f");
    }
}

/// Converts the permissions of delivered files to those of the directories that contain them.
fn file_mode(draft: &mut Draft, destination: &Section) {
    let Some(mode) = destination.get("filemode") else { return };
    let digit = |digit: char| match digit {
        '0' => Some('0'),
        '4' | '5' => Some('5'),
        '6' | '7' => Some('7'),
        _ => None,
    };
    let digits: Option<String> = mode.trim_start_matches("0o").trim_start_matches('0').chars().map(digit).collect();
    match digits.as_deref() {
        Some("700") => draft.needless(format!("filemode {mode}")),
        Some(ours @ ("750" | "755" | "770" | "775" | "705")) => {
            draft.set(format!("filemode {mode}"), "maildir_mode", format!("0{ours}"));
        }
        _ => draft.note(format!("filemode {mode}"), "see maildir_mode in \"Configuration\" of the documentation"),
    }
}

/// Replaces `$HOME` and `${HOME}`; other variables stay as they are and are visible in the report.
fn variables(path: &str, search_paths: &SearchPaths) -> String {
    match &search_paths.home {
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
        (true, days) => {
            draft.became("delete = true", "leave_on_server = false");
            if let Some(days) = days {
                draft.note(
                    format!("delete_after = {days}"),
                    format!("delete = true goes before it; if it is meant, write leave_on_server = \"{days}d\""),
                );
            }
        }
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
            "delete_bigger_than" if number > 0 => {
                draft.note(key, "nothing is deleted for its size; max_message_size leaves it on the server");
            }
            "max_bytes_per_session" if number > 0 => {
                draft.note(
                    key,
                    "a session is bounded by max_messages_per_session alone, and the poll logs in again for the rest",
                );
            }
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
            _ => draft.note(key, no_such_key(key, &OPTIONS)),
        }
    }
}

/// The keys of [retriever] that are checked for misspellings.
const RETRIEVER: [&str; 12] = [
    "server",
    "username",
    "port",
    "password",
    "password_command",
    "timeout",
    "use_apop",
    "keyfile",
    "certfile",
    "ca_certs",
    "ssl_fingerprints",
    "ssl_cert_hostname",
];

/// The keys of [options] that are checked for misspellings.
const OPTIONS: [&str; 7] = [
    "delete",
    "delete_after",
    "delete_bigger_than",
    "max_message_size",
    "max_messages_per_session",
    "max_bytes_per_session",
    "read_all",
];

/// Returns advice on a key that getmail does not have, or that has no counterpart.
fn no_such_key(key: &str, known: &[&'static str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("it is not taken over; if `{meant}` is meant, correct it and try again"),
        None => "there is nothing like it".to_owned(),
    }
}

/// Returns the name of getmail's record: runs of certain characters become one hyphen.
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

fn record(search_paths: &SearchPaths, dir: &Path, draft: &Draft) -> Result<Record, ImportError> {
    let path = match &search_paths.fetched {
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

    fn only(text: &str) -> Draft {
        let rc = format!("[retriever]\ntype = SimplePOP3SSLRetriever\nserver = h\nusername = u\n{text}\n");
        let search_paths = SearchPaths { home: Some("/home/jo".into()), ..SearchPaths::default() };
        account(Path::new("getmailrc"), &ini::parse(&rc).unwrap(), &search_paths, b"").unwrap()
    }

    #[test]
    fn keys_become_keys() {
        let name = crate::account::AccountName::new("n").unwrap();
        for (text, key) in [
            ("ca_certs = ~/ca", r#"tls_ca_file = "/home/jo/ca""#),
            ("certfile = $HOME/c\nkeyfile = /k", r#"tls_client_cert = "/home/jo/c""#),
            ("certfile = /c\nkeyfile = /k", r#"tls_client_key = "/k""#),
            ("ssl_cert_hostname = other.h", r#"tls_server_name = "other.h""#),
            ("use_xoauth2 = True\npassword_command = ('tok', 'x')", r#"token_command = ["tok", "x"]"#),
            (
                "[destination]\ntype = MDA_external\npath = /usr/bin/procmail\narguments = ('-d', 'jo')",
                r#"forward = { command = ["/usr/bin/procmail", "-d", "jo"] }"#,
            ),
            (
                "[destination]\ntype = MDA_lmtp\nhost = mx.h\nport = 3333\noverride = ann",
                r#"forward = { lmtp = { host = "mx.h", port = 3333, recipient = "ann" } }"#,
            ),
            (
                "[destination]\ntype = MDA_lmtp\nhost = /run/lmtp",
                r#"forward = { lmtp = { socket = "/run/lmtp", recipient = "u" } }"#,
            ),
            ("[destination]\ntype = Maildir\npath = ~/M/\nfilemode = 0640", r#"maildir_mode = "0750""#),
            ("[options]\ndelete_after = 7", r#"leave_on_server = "7d""#),
        ] {
            let lines = only(text).table(&name, None).to_string();
            assert!(lines.lines().any(|line| line == key), "{text}: {lines}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        for (text, what, advice) in [
            ("ssl_fingerprints = ('aa',)", "ssl_fingerprints", "SHA-256 digest of the certificate"),
            ("use_xoauth2 = True\npassword = tok", "auth xoauth2", "mailferry login"),
            ("timeuot = 9", "timeuot", "if `timeout` is meant"),
            (
                "[destination]\ntype = MDA_external\npath = /lda\narguments = ('-f', '%(sender)')",
                "[destination] MDA_external",
                "does not substitute %(sender)",
            ),
            (
                "[destination]\ntype = MDA_external\npath = /lda\nuser = ann",
                "[destination] user",
                "as the user who runs mailferry",
            ),
            ("[destination]\ntype = Mboxrd\npath = ~/m", "[destination] Mboxrd", "\"Forwarding\" in the documentation"),
            ("[options]\ndelete = true\ndelete_after = 7", "delete_after = 7", "goes before it"),
            ("[options]\ndelete_bigger_than = 7", "delete_bigger_than", "max_message_size"),
        ] {
            let draft = only(text);
            let told = |note: &Note| note.what == what && note.advice.contains(advice);
            assert!(draft.notes.iter().any(told), "{text}: {:?}", draft.notes);
        }
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
        let search_paths = SearchPaths { home: Some(home.path().to_owned()), ..SearchPaths::default() };
        let found = read(&search_paths).unwrap();
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
