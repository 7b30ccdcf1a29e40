//! Warns of settings that are valid but unwise.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use strsim::osa_distance;

use crate::account::{Account, CredentialSource, ForwardTo, RemovalPolicy};
use crate::advice::commands::common::ENABLE;
use crate::advice::next_step::check::{
    ALL_BUT_ONE, AS_THE_SERVER_WRITES, IN_USR_LOCAL, INSTALL_IT, KEEP_IT_OUT, NO_VARIABLES, ONE_POLICY, SPEAKS_SMTP,
    elsewhere, system_flag, with_clause,
};
use crate::config::Config;
use crate::forward::find_program;
use crate::provider::Provider;
use crate::text::{self, Span};

/// The homes that the system units hide from what they run (`ProtectHome=yes`).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Programs that hand mail to a local server. The one of Postfix is set-group-ID, which the units forbid.
const SENDERS: [&str; 5] = ["sendmail", "mail", "mailx", "s-nail", "postdrop"];

/// Returns all warnings, as sentences; only about the accounts with these names, if there are any. Only looks at files
/// and runs no command. Unless this is all that is done (`offline`), it leaves out what the steps of an account will
/// report.
#[must_use]
pub(crate) fn warnings(config: &Config, named: &[String], etc: &Path, offline: bool) -> Vec<String> {
    let mut found = Vec::new();
    let is_meant = |account: &&Account| named.is_empty() || named.iter().any(|name| name == account.name.as_str());
    let accounts: Vec<&Account> = config.accounts.iter().filter(is_meant).collect();
    if named.is_empty() && !accounts.iter().any(|account| account.enabled) {
        found.push(with_clause("no account is enabled", ENABLE));
    }
    passwords(&accounts, &mut found);
    for account in &accounts {
        interval(account, &mut found);
        names(account, &mut found);
    }
    same_maildrop(config, is_meant, &mut found);
    shared_maildirs(config, is_meant, &mut found);
    let of_the_machine = config.path.starts_with(etc);
    if let Some(command) = config.notify.command.as_ref().filter(|_| named.is_empty()) {
        check_command("`command` of [notify]", command, of_the_machine, false, &mut found);
    }
    on_new_mail(&accounts, of_the_machine, &mut found);
    for account in accounts {
        let is_tried = !offline && (account.enabled || !named.is_empty());
        if let CredentialSource::Command(command) = &account.credential {
            let what = format!("`password_command` of {}", account.name);
            check_command(&what, command, of_the_machine, is_tried, &mut found);
        }
        if let Some(ForwardTo::Command(command)) = account.forward.as_ref().map(|forward| &forward.to) {
            let what = format!("`command` in `forward` of {}", account.name);
            check_command(&what, command, of_the_machine, is_tried, &mut found);
        }
        let is_below = |home: &&&str| account.maildirs().iter().any(|maildir| maildir.path.starts_with(home));
        if of_the_machine && let Some(home) = HOMES.iter().find(is_below) {
            let fact = format!("{}: the Maildir is below {home}, which mailferry.service cannot reach", account.name);
            found.push(with_clause(fact, elsewhere(home)));
        }
    }
    found
}

fn passwords(accounts: &[&Account], found: &mut Vec<String>) {
    let inside: Vec<&str> = accounts
        .iter()
        // It may be empty if a certificate logs in.
        .filter(
            |account| matches!(&account.credential, CredentialSource::Inline(secret) if !secret.expose().is_empty()),
        )
        .map(|account| account.name.as_str())
        .collect();
    if !inside.is_empty() {
        let fact =
            format!("{}: the password is in the configuration, and in every copy and backup of it", listed(&inside));
        found.push(with_clause(fact, KEEP_IT_OUT));
    }
}

/// A wrong command in [defaults] is reported once for all accounts.
fn on_new_mail(accounts: &[&Account], of_the_machine: bool, found: &mut Vec<String>) {
    let mut commands: Vec<(&[OsString], Vec<&str>)> = Vec::new();
    for account in accounts {
        let Some(command) = account.on_new_mail.as_deref() else { continue };
        match commands.iter_mut().find(|(known, _)| *known == command) {
            Some((_, names)) => names.push(account.name.as_str()),
            None => commands.push((command, vec![account.name.as_str()])),
        }
    }
    for (command, names) in commands {
        check_command(&format!("`on_new_mail` of {}", listed(&names)), command, of_the_machine, false, found);
    }
}

fn interval(account: &Account, found: &mut Vec<String>) {
    if let Some(provider) = Provider::of(&account.endpoint.host)
        && account.interval.shortest < provider.min_interval
    {
        found.push(format!(
            "{}: `interval` is {}, and {} allows one login in {}; the daemon keeps to that, cron would not",
            account.name,
            Span(account.interval.shortest),
            provider.name,
            Span(provider.min_interval)
        ));
    }
}

/// Warns of names that are taken as they are written, and were probably meant otherwise.
fn names(account: &Account, found: &mut Vec<String>) {
    for maildir in account.maildirs() {
        let path = maildir.path.to_string_lossy();
        if path.contains('$') {
            let fact = format!("{}: the Maildir {} has a `$` in its name", account.name, text::value(&path));
            found.push(with_clause(fact, NO_VARIABLES));
        }
        if maildir.is_folder && !maildir.path.file_name().is_none_or(OsStr::is_ascii) {
            let fact =
                format!("{}: the folder {} has letters beyond ASCII in its name", account.name, text::value(&path));
            found.push(with_clause(fact, AS_THE_SERVER_WRITES));
        }
    }
    let Some(ForwardTo::Imap(to)) = account.forward.as_ref().map(|forward| &forward.to) else { return };
    // With a backslash it is a system flag.
    for flag in to.flags.iter().filter(|flag| !flag.starts_with('\\')) {
        let likely = SYSTEM_FLAGS.iter().find(|name| osa_distance(&flag.to_ascii_lowercase(), name) == 1);
        if let Some(likely) = likely {
            let fact = format!("{}: the flag `{flag}` is a keyword of its own", account.name);
            found.push(with_clause(fact, system_flag(likely)));
        }
    }
}

/// The system flags that messages may get, in lower case.
const SYSTEM_FLAGS: [&str; 4] = ["seen", "flagged", "answered", "draft"];

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Warns of accounts for the same user at the same server: each fetches every message, and does not see what another
/// one deletes.
fn same_maildrop(config: &Config, is_meant: impl Fn(&&Account) -> bool, found: &mut Vec<String>) {
    let key = |account: &Account| {
        let host = account.endpoint.host.trim_end_matches('.').to_ascii_lowercase();
        // Each port of this machine may be a tunnel to another server.
        let port = is_this_machine(&host).then_some(account.endpoint.port);
        (host, port, account.username.clone())
    };
    for accounts in grouped(&config.accounts, key).into_iter().filter(|group| group.iter().any(&is_meant)) {
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        let Some(first) = accounts.first() else { continue };
        let mut text = format!(
            "{} are the same maildrop ({} at {}), so every message is fetched {}",
            listed(&names),
            text::value(&first.username),
            text::value(&first.endpoint.host),
            match accounts.len() {
                2 => "twice".to_owned(),
                several => format!("{several} times"),
            }
        );
        let keeps = accounts.iter().find(|account| account.removal == RemovalPolicy::Keep);
        let deletes = accounts.iter().find(|account| account.removal != RemovalPolicy::Keep);
        if let (Some(deletes), Some(keeps)) = (deletes, keeps) {
            text.push_str(&format!(", and {} deletes what {} is to leave there", deletes.name, keeps.name));
        }
        found.push(with_clause(text, ALL_BUT_ONE));
    }
}

/// Warns of accounts that share a Maildir with different policies: nobody can see which messages are still on the
/// server.
fn shared_maildirs(config: &Config, is_meant: impl Fn(&&Account) -> bool, found: &mut Vec<String>) {
    let groups = grouped(&config.accounts, |account| account.maildir.clone());
    for accounts in groups.into_iter().filter(|group| group.iter().any(&is_meant)) {
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        let Some(first) = accounts.first() else { continue };
        if accounts.iter().any(|account| account.removal != first.removal || account.maildir_mode != first.maildir_mode)
        {
            let fact = format!(
                "{} share the Maildir {} and differ in `leave_on_server` or `maildir_mode`: nobody can tell from a message \
                 whether it is still on its server",
                listed(&names),
                text::value(&first.maildir.to_string_lossy())
            );
            found.push(with_clause(fact, ONE_POLICY));
        }
    }
}

/// Groups accounts that have something in common, in the order of the file.
fn grouped<K: std::hash::Hash + Eq>(accounts: &[Account], key: impl Fn(&Account) -> K) -> Vec<Vec<&Account>> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Vec<&Account>> = Vec::new();
    for account in accounts.iter().filter(|account| account.enabled) {
        let place = *places.entry(key(account)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(account),
            None => groups.push(vec![account]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Warns of a command that does not exist, unless it will also be tried, or that cannot work under one of our units.
fn check_command(what: &str, command: &[OsString], of_the_machine: bool, is_tried: bool, found: &mut Vec<String>) {
    let Some(program) = command.first() else { return };
    let shown = text::value(&program.to_string_lossy());
    let Some(path) = find_program(program) else {
        if !is_tried {
            found.push(with_clause(format!("{what} is `{shown}`, and there is no such program"), INSTALL_IT));
        }
        return;
    };
    let unit = if of_the_machine { "mailferry.service" } else { "mailferry's systemd units for users" };
    if let Some(home) = HOMES.iter().find(|home| of_the_machine && path.starts_with(home)) {
        let fact = format!("{what} is `{shown}`, which mailferry.service cannot reach below {home}");
        found.push(with_clause(fact, IN_USR_LOCAL));
    }
    let words = || command.iter().map(|word| word.to_string_lossy());
    let sends = words().any(|word| {
        word.split(|c: char| c.is_whitespace() || "|;&()/".contains(c)).any(|part| SENDERS.contains(&part))
    });
    let gives_itself_rights = path.metadata().is_ok_and(|file| file.permissions().mode() & 0o6000 != 0);
    if sends || gives_itself_rights {
        let fact = format!(
            "{what} is `{shown}`: under {unit} no program gets the rights of another user or group, which sendmail of Postfix \
             needs"
        );
        found.push(with_clause(fact, SPEAKS_SMTP));
    }
}

/// Lists names in a sentence, up to a limit.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
