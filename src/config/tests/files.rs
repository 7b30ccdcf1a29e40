//! The files that we distribute and the page about them agree with the code.

use super::{account, config};
use crate::account::Account;
use crate::config::keys::{ACCOUNT, DAEMON, FORWARD_TABLE, IMAP, LMTP, NOTIFY, OAUTH2, TOP};

const SMALLEST: &str = include_str!("../../../config/mailferry.toml");
const REFERENCE: &str = include_str!("../../../config/mailferry.reference.toml");
const PAGE: &str = include_str!("../../../docs/configuration.md");

/// Returns the key of a line, and whether the line is in force; prose in comments has a space after its `#`.
fn key_of(line: &str) -> Option<(&str, bool)> {
    let (text, in_force) = line.strip_prefix('#').map_or((line, true), |text| (text, false));
    let (key, _) = text.split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_').then_some((key, in_force))
}

/// Formats all settings that have a default.
fn optional(account: &Account) -> String {
    format!(
        "{} {} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
        account.enabled,
        account.endpoint.port,
        (account.endpoint.tls, &account.endpoint.tls_ca_file),
        account.endpoint.allow_cleartext_password,
        account.auth,
        account.removal,
        account.interval,
        account.timeout,
        account.max_message_size,
        account.max_messages_per_session,
        account.sizes_are_estimates,
        account.maildir_mode,
        account.on_new_mail,
    )
}

#[test]
fn the_smallest_configuration_works_as_it_is() {
    let config = config(SMALLEST);
    let [account] = &config.accounts[..] else { panic!() };
    assert_eq!((account.endpoint.host.as_str(), account.endpoint.port), ("pop.qq.com", 995));
    assert!(config.warnings.is_empty());
    assert!(SMALLEST.lines().count() <= 20);
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    for key in TOP.iter().filter(|key| **key == "state_dir").chain(&DAEMON).chain(&NOTIFY).chain(&ACCOUNT) {
        assert!(REFERENCE.lines().filter_map(key_of).any(|(name, _)| name == *key), "{key}");
    }
    for (name, _) in REFERENCE.lines().filter_map(key_of) {
        assert!([&TOP[..], &DAEMON, &NOTIFY, &ACCOUNT].iter().any(|keys| keys.contains(&name)), "{name}");
    }
}

#[test]
fn the_defaults_in_the_reference_are_the_defaults() {
    let stated = config(REFERENCE);
    let real = config(&account("a", ""));
    assert_eq!(stated.daemon, real.daemon);
    assert_eq!(stated.notify, real.notify);
    assert_eq!(stated.state_dir, real.state_dir);
    assert_eq!(optional(&stated.accounts[0]), optional(&real.accounts[0]));
    assert!(stated.warnings.is_empty(), "{:?}", stated.warnings);
    // The settings with a default are in force, so the comparison above is not vacuous.
    for key in [
        "concurrency",
        "per_host",
        "no_success_for",
        "certificate_days",
        "port",
        "tls",
        "auth",
        "leave_on_server",
        "interval",
        "timeout",
        "enabled",
        "maildir_mode",
        "sizes_are_estimates",
    ] {
        assert!(REFERENCE.lines().filter_map(key_of).any(|found| found == (key, true)), "{key}");
    }
}

#[test]
fn each_key_that_the_reference_comments_out_works() {
    let mut tried = 0;
    for (number, line) in REFERENCE.lines().enumerate() {
        let Some((key, false)) = key_of(line) else { continue };
        let is_password = key.starts_with("password") || matches!(key, "oauth2" | "token_command");
        let is_forward = key == "forward";
        let edited: Vec<&str> = REFERENCE
            .lines()
            .enumerate()
            .filter(|(_, line)| !(is_password && line.starts_with("password")))
            .filter(|(_, line)| !(is_forward && line.starts_with("maildir = ")))
            .filter(|(_, line)| !(key == "multidrop" && line.starts_with("maildir =")))
            .map(|(n, line)| if n == number { line.trim_start_matches('#') } else { line })
            .collect();
        config(&edited.join("\n"));
        tried += 1;
    }
    assert!(tried >= 7, "{tried}");
}

#[test]
fn the_page_speaks_of_every_key() {
    for key in OAUTH2.iter().filter(|key| **key != "provider") {
        assert!(REFERENCE.contains(&format!("#     {key} = ")) || REFERENCE.contains(&format!(", {key}")), "{key}");
    }
    let forward = FORWARD_TABLE.iter().chain(&LMTP).chain(&IMAP);
    for key in TOP.iter().chain(&DAEMON).chain(&NOTIFY).chain(&ACCOUNT).chain(&OAUTH2).chain(forward) {
        assert!(PAGE.contains(&format!("`{key}`")) || PAGE.contains(&format!("`[{key}")), "{key}");
    }
}
