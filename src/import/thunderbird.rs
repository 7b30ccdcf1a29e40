//! Thunderbird: `prefs.js` of a profile and `popstate.dat`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::{Draft, Note, Password, Record, Removal, is_this_machine};
use super::source::{self, text};
use super::{Found, ImportError, Program, SearchPaths};
use crate::account::TlsMode;

/// The settings of a profile, by name.
type Settings = BTreeMap<String, String>;

/// Reads the settings, and the record of fetched messages.
pub(super) fn read(search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let profile = find(search_paths)?;
    let path = profile.join("prefs.js");
    let settings = settings(&text(&source::config(&path)?));
    let mut found = Found::new(Program::Thunderbird, path);
    let mut servers: Vec<&str> =
        settings.keys().filter_map(|key| key.strip_prefix("mail.server.")?.strip_suffix(".type")).collect();
    servers.sort_by_key(|server| (server.len(), *server));
    for server in servers {
        let get = |key: &str| settings.get(&format!("mail.server.{server}.{key}")).map(String::as_str);
        match get("type") {
            Some("pop3") => match draft(server, &get) {
                Ok(mut draft) => {
                    of_the_profile(&mut draft, &settings);
                    draft.record = record(search_paths, &profile, &draft, &get)?;
                    found.drafts.push(draft);
                }
                Err(note) => found.left.push(note),
            },
            Some("none") | None => {}
            Some(other) => found.left.push(Note::new(
                format!("{server}: {}, {other}", get("hostname").unwrap_or("?")),
                "mailferry speaks POP3 alone; Thunderbird goes on with it",
            )),
        }
    }
    found.switch_off = vec![
        "in Thunderbird, Account Settings, Server Settings of each account: take the check from \"Check for new messages at \
         startup\" and \"every ... minutes\", or remove the account there (its mail stays on disk)"
            .to_owned(),
    ];
    Ok(found)
}

/// Returns the profile: the one given, or the default one.
fn find(search_paths: &SearchPaths) -> Result<PathBuf, ImportError> {
    if let Some(path) = &search_paths.path {
        let is_file = path.file_name().is_some_and(|name| name == "prefs.js");
        return Ok(if is_file { path.parent().unwrap_or(Path::new("/")).to_owned() } else { path.clone() });
    }
    let below =
        [".thunderbird", "snap/thunderbird/common/.thunderbird", ".var/app/org.mozilla.Thunderbird/.thunderbird"];
    let roots: Vec<PathBuf> = search_paths.home.iter().flat_map(|home| below.map(|dir| home.join(dir))).collect();
    for root in &roots {
        let Some(bytes) = source::record(&root.join("profiles.ini"))? else { continue };
        let sections = super::ini::parse(&text(&bytes)).unwrap_or_default();
        let of_install = sections.iter().find(|one| one.name.starts_with("Install")).and_then(|one| one.get("default"));
        let marked = sections.iter().find(|one| one.get("default") == Some("1")).and_then(|one| one.get("path"));
        let only = sections.iter().find_map(|one| one.get("path"));
        if let Some(profile) = of_install.or(marked).or(only) {
            return Ok(root.join(profile));
        }
    }
    Err(ImportError::NotFound { program: Program::Thunderbird, looked: roots })
}

/// Parses the lines `user_pref("name", value);`. Strings lose their quotes.
fn settings(text: &str) -> Settings {
    let line = |line: &str| {
        let inner = line.trim().strip_prefix("user_pref(\"")?.strip_suffix(");")?;
        let (name, value) = inner.split_once('"')?;
        let value = value.trim_start().strip_prefix(',')?.trim();
        let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(text) => text.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => value.to_owned(),
        };
        Some((name.to_owned(), value))
    };
    text.lines().filter_map(line).collect()
}

fn draft<'a>(server: &str, get: &impl Fn(&str) -> Option<&'a str>) -> Result<Draft, Note> {
    // Both were renamed when host or user can be changed in the settings.
    let (host, user) = (get("hostname"), get("userName"));
    let (Some(host), Some(user)) = (host, user) else {
        return Err(Note::new(server, "it has no server or no user"));
    };
    let label = get("name").unwrap_or(user);
    let mut draft = Draft::new(format!("{server}, \"{label}\", user {user} at {host}"), host, user);
    let mailbox = if user.contains('@') { user.to_owned() } else { format!("{user}@{host}") };
    draft.names = vec![mailbox, label.to_owned()];
    match get("socketType").unwrap_or("0") {
        "3" => draft.became("SSL/TLS", "tls = \"implicit\", the default"),
        "1" | "2" => {
            (draft.tls, draft.port) = (TlsMode::StartTls, 110);
            draft.became("STARTTLS", "tls = \"starttls\"");
        }
        _ => {
            draft.port = 110;
            draft.protect("connection security: none");
        }
    }
    if let Some(port) = get("port") {
        draft.use_port("port", port);
    }
    login(&mut draft, get);
    draft.password = Password::Missing(
        "Thunderbird keeps it encrypted: see Settings, Privacy & Security, Saved Passwords".to_owned(),
    );
    removal(&mut draft, get);
    let minutes = get("check_time").and_then(|minutes| minutes.parse::<u64>().ok()).unwrap_or(10);
    draft.poll_every("check every ... minutes", minutes.saturating_mul(60));
    if get("limit_offline_message_size") == Some("true") {
        let kib = get("max_size").and_then(|size| size.parse::<u64>().ok()).unwrap_or(50);
        draft.limit_size("messages larger than ... KB are not downloaded", kib.saturating_mul(1024));
    }
    habits(&mut draft, get);
    if is_this_machine(host) {
        draft.note("a server on this machine", "is it a proxy? It is then still needed");
    }
    Ok(draft)
}

/// Sets how to log in.
fn login<'a>(draft: &mut Draft, get: &impl Fn(&str) -> Option<&'a str>) {
    match get("authMethod").unwrap_or("3") {
        "3" => draft.needless("authMethod: password"),
        "4" | "8" | "9" => draft.needless("authMethod: encrypted password"),
        "7" => draft.note(
            "authMethod: TLS certificate",
            "Thunderbird keeps it in a store of its own: export it, and write its files as tls_client_cert and tls_client_key, with \
             auth = \"external\"",
        ),
        "10" => draft.note(
            "authMethod: OAuth2",
            "its sign-in is not taken over: write oauth2 = { ... } in place of password_file and sign in by `mailferry login`, as \
             \"OAuth 2.0\" in the documentation says; or use an app password where there is one",
        ),
        other => draft.note(
            format!("authMethod {other}"),
            "this way to log in is not there; mailferry takes the best that it has in common with the server",
        ),
    }
}

/// Notes behaviour that is different here.
fn habits<'a>(draft: &mut Draft, get: &impl Fn(&str) -> Option<&'a str>) {
    if get("headers_only") == Some("true") {
        draft.note("fetch headers only", "messages are fetched whole");
    }
    if get("check_new_mail") == Some("false") && get("login_at_startup") != Some("true") {
        draft.note(
            "mail was fetched by hand alone",
            "the daemon polls all accounts; with enabled = false only `mailferry fetch NAME` does",
        );
    }
    if get("deferred_to_account").is_some() {
        draft.note(
            "a global inbox",
            "each account has a Maildir of its own; give two accounts the same maildir for that",
        );
    }
}

/// Takes the settings of the profile that concern all accounts.
fn of_the_profile(draft: &mut Draft, settings: &Settings) {
    let get = |key: &str| settings.get(key).map(String::as_str);
    if let Some(seconds) = get("mailnews.tcptimeout").and_then(|seconds| seconds.parse().ok()) {
        draft.wait_for("mailnews.tcptimeout", seconds);
    }
    match (get("network.proxy.type"), get("network.proxy.socks").filter(|host| !host.is_empty())) {
        (Some("1"), Some(host)) if get("network.proxy.socks_version").unwrap_or("5") == "5" => {
            let port = get("network.proxy.socks_port").unwrap_or("1080");
            draft.go_through("SOCKS proxy", &format!("socks5://{host}:{port}"));
        }
        (Some("1"), Some(_)) => draft.note("SOCKS 4 proxy", "mailferry speaks SOCKS 5 and HTTP CONNECT: see `proxy`"),
        (Some("2"), _) => draft.note("a script that chooses a proxy", "if mail goes through one, write it as `proxy`"),
        _ => {}
    }
    if draft.forward.is_none() {
        draft.note(
            "its own folders, filters and junk mail controls",
            "mail goes into a Maildir that Thunderbird does not read; an IMAP server such as Dovecot shows it there, and \
             [[accounts.NAME.rules]] sort (\"Into which Maildir\" in the documentation)",
        );
    }
}

fn removal<'a>(draft: &mut Draft, get: &impl Fn(&str) -> Option<&'a str>) {
    let leaves = get("leave_on_server") == Some("true");
    let days = get("num_days_to_leave_on_server").and_then(|days| days.parse::<u64>().ok()).unwrap_or(7);
    let by_age = get("delete_by_age_from_server") == Some("true") && days > 0;
    draft.removal = match (leaves, by_age) {
        (false, _) => Removal::AtOnce,
        (true, true) => Removal::AfterHours(days.saturating_mul(24).min(36_500 * 24)),
        (true, false) => Removal::Keep,
    };
    match (leaves, by_age) {
        (false, _) => draft.became("messages are not left on the server", "leave_on_server = false"),
        (true, true) => draft.became("left for at most ... days", format!("leave_on_server = \"{days}d\"")),
        (true, false) => draft.became("messages are left on the server", "leave_on_server = true"),
    }
    if get("delete_mail_left_on_server") == Some("true") {
        draft.note(
            "left until I delete them",
            "nothing tells mailferry what is deleted in the Maildir; an age does it: \"30d\"",
        );
    }
}

fn record<'a>(
    search_paths: &SearchPaths,
    profile: &Path,
    draft: &Draft,
    get: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Record, ImportError> {
    let relative = get("directory-rel").and_then(|dir| dir.strip_prefix("[ProfD]")).map(|dir| profile.join(dir));
    let dirs =
        relative.into_iter().chain(get("directory").map(PathBuf::from)).chain([profile.join("Mail").join(&draft.host)]);
    let paths: Vec<PathBuf> = match &search_paths.fetched {
        Some(path) => vec![path.clone()],
        None => dirs.map(|dir| dir.join("popstate.dat")).collect(),
    };
    for path in paths {
        if let Some(bytes) = source::record(&path)? {
            return Ok(unique_ids(&bytes, &draft.host, &draft.username));
        }
    }
    Ok(Record::default())
}

/// Reads the record of a user at a host from a `popstate.dat`. A message that was not fetched completely counts as not
/// fetched.
fn unique_ids(bytes: &[u8], host: &str, user: &str) -> Record {
    let mut record = Record::default();
    let mut is_ours = false;
    for line in bytes.split(|c| *c == b'\n').map(<[u8]>::trim_ascii) {
        if let Some(whose) = line.strip_prefix(b"*") {
            let whose = text(whose);
            is_ours =
                whose.split_once(' ').is_some_and(|(there, name)| there.eq_ignore_ascii_case(host) && name == user);
            record.found |= is_ours;
            continue;
        }
        if !is_ours || line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let mut fields = line.split(|c| *c == b' ');
        let (kind, unique_id) = (fields.next(), fields.next().unwrap_or_default());
        let at = fields.next().and_then(|time| std::str::from_utf8(time).ok()?.parse().ok());
        match kind {
            Some(b"k" | b"d") => record.add(unique_id, at),
            _ => record.left_out += 1,
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_becomes_accounts() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join(".thunderbird");
        let mail = root.join("x.default/Mail/pop.h");
        std::fs::create_dir_all(&mail).unwrap();
        std::fs::write(
            root.join("profiles.ini"),
            "[Profile0]\nName=default\nIsRelative=1\nPath=x.default\nDefault=1\n",
        )
        .unwrap();
        let prefs = "// Mozilla\nuser_pref(\"mail.server.server1.type\", \"none\");\n\
            user_pref(\"mail.server.server2.type\", \"pop3\");\nuser_pref(\"mail.server.server2.hostname\", \"pop.h\");\n\
            user_pref(\"mail.server.server2.userName\", \"ann@h\");\nuser_pref(\"mail.server.server2.socketType\", 3);\n\
            user_pref(\"mail.server.server2.port\", 995);\nuser_pref(\"mail.server.server2.leave_on_server\", true);\n\
            user_pref(\"mail.server.server2.delete_by_age_from_server\", true);\n\
            user_pref(\"mail.server.server2.num_days_to_leave_on_server\", 14);\n\
            user_pref(\"mail.server.server2.directory-rel\", \"[ProfD]Mail/pop.h\");\n\
            user_pref(\"mail.server.server3.type\", \"imap\");\n";
        std::fs::write(root.join("x.default/prefs.js"), prefs).unwrap();
        let state = "# POP3 State File\n# This is a generated file!\n\n*other ann@h\nk z 1\n*pop.h ann@h\nk A1 1714000000\n\
                     d B2 1714000100\nb C3 1\nf D4 1\n";
        std::fs::write(mail.join("popstate.dat"), state).unwrap();
        let found = read(&SearchPaths { home: Some(home.path().to_owned()), ..SearchPaths::default() }).unwrap();
        let [draft] = &found.drafts[..] else { panic!("{found:?}") };
        assert_eq!((draft.host.as_str(), draft.port, draft.interval), ("pop.h", 995, Some(600)));
        assert_eq!((draft.names[0].as_str(), draft.removal.clone()), ("ann@h", Removal::AfterHours(14 * 24)));
        let ids: Vec<_> = draft.record.fetched.iter().map(|one| (one.unique_id.to_string(), one.at)).collect();
        assert_eq!(ids, [("A1".to_owned(), Some(1_714_000_000)), ("B2".to_owned(), Some(1_714_000_100))]);
        assert_eq!((draft.record.left_out, found.left.len()), (2, 1));
    }

    fn only(prefs: &str) -> Draft {
        let home = tempfile::tempdir().unwrap();
        let server = "user_pref(\"mail.server.server2.type\", \"pop3\");\nuser_pref(\"mail.server.server2.hostname\", \"pop.h\");\n\
                      user_pref(\"mail.server.server2.userName\", \"ann\");\nuser_pref(\"mail.server.server2.socketType\", 3);\n";
        std::fs::write(home.path().join("prefs.js"), format!("{server}{prefs}")).unwrap();
        let search_paths = SearchPaths { path: Some(home.path().to_owned()), ..SearchPaths::default() };
        read(&search_paths).unwrap().drafts.remove(0)
    }

    #[test]
    fn settings_become_keys_or_are_named() {
        let name = crate::account::AccountName::new("n").unwrap();
        let of = |key: &str, value: &str| format!("user_pref(\"mail.server.server2.{key}\", {value});\n");
        let proxy = "user_pref(\"network.proxy.type\", 1);\nuser_pref(\"network.proxy.socks\", \"127.0.0.1\");\n\
                     user_pref(\"network.proxy.socks_port\", 9050);\n";
        for (prefs, key) in [
            (proxy.to_owned(), r#"proxy = "socks5://127.0.0.1:9050""#),
            ("user_pref(\"mailnews.tcptimeout\", 90);\n".to_owned(), r#"timeout = "90s""#),
            (of("limit_offline_message_size", "true") + &of("max_size", "10"), "max_message_size = \"10 KiB\""),
        ] {
            let lines = only(&prefs).table(&name, None).to_string();
            assert!(lines.lines().any(|line| line == key), "{prefs}: {lines}");
        }
        for (prefs, what, advice) in [
            (of("authMethod", "10"), "authMethod: OAuth2", "mailferry login"),
            (of("authMethod", "7"), "authMethod: TLS certificate", "tls_client_cert"),
            (of("authMethod", "6"), "authMethod 6", "best that it has in common"),
            (of("headers_only", "true"), "fetch headers only", "whole"),
            (of("check_new_mail", "false"), "mail was fetched by hand alone", "enabled = false"),
            (String::new(), "its own folders, filters and junk mail controls", "Dovecot"),
        ] {
            let draft = only(&prefs);
            let told = |note: &Note| note.what == what && note.advice.contains(advice);
            assert!(draft.notes.iter().any(told), "{prefs}: {:?}", draft.notes);
        }
    }
}
