//! Reports unknown keys.

use crate::text;
use toml::de::{DeTable, DeValue};

use super::keys::{ACCOUNT, DAEMON, FORWARD_TABLE, Level, MULTIDROP, NOTIFY, OAUTH2, RULE, TOP, probably};
use super::problem::{MOST_TOLD, Problem};

/// Keys of other programs for which mailferry has no use, and what to do about them.
const NOT_NEEDED: [(&str, &str); 12] = [
    ("sslcertck", "certificates are always verified, so remove it"),
    ("sslproto", "the best version of TLS is taken, so remove it"),
    ("sslfingerprint", "certificates are verified by their authority; `tls_ca_file` names another one"),
    ("proto", "mailferry speaks POP3 and nothing else, so remove it"),
    ("protocol", "mailferry speaks POP3 and nothing else, so remove it"),
    ("type", "mailferry speaks POP3 and nothing else, so remove it"),
    ("uidl", "messages are always told apart by their unique-ids, so remove it"),
    ("fetchall", "every new message is fetched, read or not, so remove it"),
    ("nofetchall", "every new message is fetched, read or not, so remove it"),
    ("mda", "write `maildir`, or `command` in [accounts.NAME.forward]"),
    ("smtphost", "write `maildir`, or `lmtp` in [accounts.NAME.forward]"),
    ("poll", "every account is polled; `enabled = false` leaves one out"),
];

/// Reports the unknown keys of a table, and returns the known ones that were probably meant.
pub(super) fn report_unknown(table: &DeTable<'_>, level: Level<'_>, problems: &mut Vec<Problem>) -> Vec<&'static str> {
    let mut meant = Vec::new();
    let mut is_listed = false;
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name: &str = key.get_ref();
        if level.keys().contains(&name) {
            continue;
        }
        if problems.len() > MOST_TOLD {
            break;
        }
        let help = match probably(name, level) {
            Some(known) => {
                meant.push(known);
                format!("did you mean `{known}`?")
            }
            None => {
                advice(name, value.get_ref(), level).unwrap_or_else(|| match std::mem::replace(&mut is_listed, true) {
                    true => "this is none of the keys that are listed above either".to_owned(),
                    false => all_keys(level),
                })
            }
        };
        let message = format!("unknown key `{}` {}", text::value(name), level.place());
        problems.push(Problem::new(message).at(&key.span()).help(help));
    }
    meant
}

/// Returns what to do about an unknown key that resembles none at this level, if it is known elsewhere.
fn advice(name: &str, value: &DeValue<'_>, level: Level<'_>) -> Option<String> {
    if let Some((_, advice)) = NOT_NEEDED.iter().find(|(other, _)| *other == name) {
        return Some((*advice).to_owned());
    }
    let elsewhere = [
        (&ACCOUNT[..], "[accounts.NAME] or [defaults]"),
        (&DAEMON[..], "[daemon]"),
        (&NOTIFY[..], "[notify]"),
        (&OAUTH2[..], "the table `oauth2` of an account"),
        (&RULE[..], "a rule: [[accounts.NAME.rules]]"),
        (&MULTIDROP[..], "[accounts.NAME.multidrop]"),
        (&TOP[..], "the top of the file, before the first [table]"),
    ];
    if let Some((_, home)) = elsewhere.iter().find(|(keys, _)| keys.contains(&name)) {
        return Some(format!("its place is {home}"));
    }
    if level == Level::Top && value.is_table() {
        return Some(format!("if it is an account, write [accounts.{}]", text::key(name)));
    }
    if let Level::Account(_) | Level::Defaults = level
        && FORWARD_TABLE.contains(&name)
    {
        return Some("its place is [accounts.NAME.forward]".to_owned());
    }
    None
}

/// Lists the keys of a level.
fn all_keys(level: Level<'_>) -> String {
    let mut known = level.keys().to_vec();
    known.sort_unstable();
    format!("the keys here are {}", in_lines(&known))
}

/// Wraps a list of keys to the width of a terminal.
fn in_lines(keys: &[&str]) -> String {
    let (mut text, mut width) = (String::new(), 32);
    for (n, key) in keys.iter().enumerate() {
        let comma = if n + 1 < keys.len() { "," } else { "" };
        width += key.len() + 4;
        if width > 78 && n > 0 {
            text.push('\n');
            width = key.len() + 4;
        } else if n > 0 {
            text.push(' ');
        }
        text.push_str(&format!("`{key}`{comma}"));
    }
    text
}
