//! Makes drafts of fdm's accounts.

use std::path::{Path, PathBuf};

use super::file::{Does, Rules};
use super::grammar::{Statement, Token};
use crate::account::TlsMode;
use crate::import::draft::{Draft, Note, Password, Removal};
use crate::import::source::expand;
use crate::import::{SearchPaths, destination, netrc};
use crate::secret::Secret;

/// Makes a draft of an account, and returns the path of its cache if it has one.
pub(super) fn draft(
    account: &Statement,
    line: usize,
    rules: &Rules<'_>,
    search_paths: &SearchPaths,
    rc: &[u8],
) -> Result<(Draft, Option<PathBuf>), Note> {
    let Some(Token::Text(name)) = account.tokens.get(1) else {
        return Err(Note::new(format!("account (line {line})"), "it has no name"));
    };
    let origin = format!("account \"{name}\" (line {line})");
    let (plain, ssl) = (account.has("pop3"), account.has("pop3s"));
    if !plain && !ssl {
        return Err(Note::new(origin, "it is not a POP3 account; mailferry speaks POP3 alone, so keep fdm for it"));
    }
    let Some(host) = account.behind("server") else {
        return Err(Note::new(origin, "it has no server: a connection by way of a program (pipe) is not taken over"));
    };
    // The login name comes after `server`; a `user` before it is a local user.
    let server_at = account.tokens.iter().position(|token| matches!(token, Token::Word(word) if word == "server"));
    let behind = Statement { tokens: account.tokens.get(server_at.unwrap_or(0)..).unwrap_or_default().to_vec(), line };
    let Some(user) = behind.behind("user").map(str::to_owned).or_else(|| search_paths.user.clone()) else {
        return Err(Note::new(origin, "it has no user: add it and try again"));
    };
    let mut draft = Draft::new(origin, host, user.as_str());
    draft.names = vec![name.clone(), format!("{user}@{host}")];
    match (ssl, account.has("starttls")) {
        (true, _) => draft.became("pop3s", "tls = \"implicit\", the default"),
        (false, true) => {
            (draft.tls, draft.port) = (TlsMode::StartTls, 110);
            draft.became("starttls", "tls = \"starttls\"");
        }
        (false, false) => {
            draft.port = 110;
            draft.protect("pop3");
        }
    }
    draft.password = match behind.behind("pass") {
        Some(password) => Password::InClear(Secret::new(password.as_bytes().to_vec())),
        None => netrc::password(rc, &[host], &user)
            .map_or_else(|| Password::Missing("it is in no place that was looked at".to_owned()), Password::InClear),
    };
    let keeps = rules.settings.keep_all || account.has("keep");
    draft.removal = if keeps { Removal::Keep } else { Removal::AtOnce };
    match keeps {
        true => draft.became("keep", "leave_on_server = true"),
        false => draft.became("no keep", "leave_on_server = false"),
    }
    if account.has("disabled") {
        draft.enabled = false;
        draft.became("disabled", "enabled = false: it is polled when it is named");
    }
    deliver(&mut draft, rules.of_account.get(name).map(String::as_str).or(rules.default_action), rules, search_paths);
    let mut cache = None;
    words(&mut draft, account, &behind, search_paths, &mut cache);
    if let Some(seconds) = rules.settings.timeout {
        draft.wait_for("set timeout", seconds);
    }
    if let Some(octets) = rules.settings.maximum_size {
        draft.limit_size("set maximum-size", octets);
    }
    if let Some(messages) = rules.settings.purge_after {
        draft.limit_count("set purge-after", messages);
    }
    if let Some(url) = &rules.settings.proxy {
        proxy(&mut draft, url);
    }
    Ok((draft, cache))
}

/// Converts a proxy of fdm's: `socks` is SOCKS 5, and each kind has a usual port.
fn proxy(draft: &mut Draft, url: &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.trim_end_matches('/');
    let (kind, usual) = match scheme {
        "socks" | "socks5" => ("socks5", 1080),
        "http" => ("http", 80),
        _ => {
            return draft
                .note("set proxy", "it is not understood; see proxy in \"Configuration\" of the documentation");
        }
    };
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port { String::new() } else { format!(":{usual}") };
    draft.go_through("set proxy", &format!("{kind}://{rest}{port}"));
}

/// Sets where all mail of the account goes, by the action that takes it.
fn deliver(draft: &mut Draft, action: Option<&str>, rules: &Rules<'_>, search_paths: &SearchPaths) {
    let named = action.and_then(|name| Some((name, rules.targets.get(name)?)));
    let Some((name, target)) = named else {
        return draft.note("no action that takes all its mail", "the Maildir is named like the account");
    };
    let path = match &target.does {
        Does::Maildir(path) => path,
        Does::Pipe(command) => {
            let command = tags(command, search_paths).replace("%%", "\0");
            let to = destination::shell_command(&command.replace('\0', "%"), &["%"]);
            let to =
                if command.contains('%') { to } else { destination::shell_command(&command.replace('\0', "%"), &[]) };
            draft.forward(format!("action \"{name}\", pipe"), to);
            if let Some(about) = destination::about_sendmail(&command).filter(|_| draft.forward.is_some()) {
                draft.note(format!("action \"{name}\""), about);
            }
            return;
        }
        Does::Other => return draft.note(format!("action \"{name}\""), destination::DESTINATIONS),
    };
    let expanded = tags(path, search_paths);
    if expanded.contains('%') {
        return draft
            .note(format!("maildir \"{path}\""), "its tags are not understood: the Maildir is named like the account");
    }
    let full = expand(&expanded, search_paths.home.as_deref(), search_paths.home.as_deref().unwrap_or(Path::new("/")));
    let full = full.to_string_lossy().into_owned();
    draft.became("action maildir", format!("maildir = \"{full}\""));
    draft.maildir = Some(full);
}

/// Replaces `%h` by the home directory and `%u` by the user.
fn tags(path: &str, search_paths: &SearchPaths) -> String {
    let home = search_paths.home.as_ref().map(|home| home.to_string_lossy().into_owned()).unwrap_or_default();
    let user = search_paths.user.clone().unwrap_or_default();
    let long = path.replace("%[home]", &home).replace("%[user]", &user);
    long.replace("%h", &home).replace("%u", &user)
}

fn words(
    draft: &mut Draft,
    account: &Statement,
    behind: &Statement,
    search_paths: &SearchPaths,
    cache: &mut Option<PathBuf>,
) {
    for (at, token) in account.tokens.iter().enumerate().skip(2) {
        let Token::Word(word) = token else { continue };
        // A number or a name after `port` belongs to it.
        let before = at.checked_sub(1).and_then(|before| account.tokens.get(before));
        if matches!(before, Some(Token::Word(before)) if before == "port") {
            continue;
        }
        match word.as_str() {
            "pop3" | "pop3s" | "server" | "pass" | "keep" | "starttls" | "disabled" => {}
            "user" | "users" if behind.behind(word).is_none() || at < account.tokens.len() - behind.tokens.len() => {
                draft.note(word, "the Maildir is the one of who runs mailferry; run the import as that user");
            }
            "user" | "users" => {}
            "port" => draft.use_port("port", behind.behind("port").unwrap_or_default()),
            "new-only" | "old-only" | "no-uidl" | "no-apop" | "no-cram-md5" | "no-plain" | "no-login" => {
                match word.as_str() {
                    "old-only" => draft.note(word, "mailferry fetches what is new"),
                    _ => draft.needless(word),
                }
            }
            "cache" => {
                let base = search_paths.home.as_deref().unwrap_or(Path::new("/"));
                *cache = account
                    .behind("cache")
                    .map(|path| expand(&tags(path, search_paths), search_paths.home.as_deref(), base));
            }
            "no-verify" => draft.note_unchecked(word),
            "insecure" if draft.tls != TlsMode::StartTls => draft.needless(word),
            "insecure" => {
                draft.note(word, "the password is not sent in clear unless allow_cleartext_password = true says so");
            }
            _ => draft.note(word, "there is nothing like it"),
        }
    }
}
