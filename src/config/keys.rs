//! The keys there are, and the nearest one to a key that is none.

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use crate::text;

/// The key whose value is never shown.
pub(super) const PASSWORD: &str = "password";

/// What may stand at the top of the file.
pub(super) const TOP: [&str; 5] = ["state_dir", "daemon", "notify", "defaults", "accounts"];

/// What may stand in `[daemon]`.
pub(super) const DAEMON: [&str; 2] = ["concurrency", "per_host"];

/// What may stand in `[notify]`.
pub(super) const NOTIFY: [&str; 3] = ["command", "no_success_for", "certificate_days"];

/// What may stand in `[accounts.NAME]` and in `[defaults]`.
pub(super) const ACCOUNT: [&str; 21] = [
    "host",
    "port",
    "tls",
    "username",
    PASSWORD,
    "password_command",
    "password_file",
    "password_credential",
    "auth",
    "maildir",
    "maildir_mode",
    "leave_on_server",
    "interval",
    "timeout",
    "max_message_size",
    "max_messages_per_session",
    "on_new_mail",
    "enabled",
    "tls_ca_file",
    "tls_key_exchange",
    "allow_cleartext_password",
];

/// What other programs call our keys, where no letter is alike.
const ALSO_CALLED: [(&str, &str); 18] = [
    ("server", "host"),
    ("hostname", "host"),
    ("address", "host"),
    ("user", "username"),
    ("login", "username"),
    ("pass", PASSWORD),
    ("passwd", PASSWORD),
    ("password_cmd", "password_command"),
    ("password_eval", "password_command"),
    ("passwordeval", "password_command"),
    ("ssl", "tls"),
    ("starttls", "tls"),
    ("keep", "leave_on_server"),
    ("delete", "leave_on_server"),
    ("delete_after", "leave_on_server"),
    ("mailbox", "maildir"),
    ("path", "maildir"),
    ("folder", "maildir"),
];

/// Which table a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level<'a> {
    /// The top of the file.
    Top,
    /// `[daemon]`.
    Daemon,
    /// `[notify]`.
    Notify,
    /// `[defaults]`.
    Defaults,
    /// `[accounts.NAME]`.
    Account(&'a str),
}

/// Whether the value of this key may be shown.
pub(super) fn is_shown(key: &str) -> bool {
    key != PASSWORD && [&TOP[..], &DAEMON, &NOTIFY, &ACCOUNT].iter().any(|keys| keys.contains(&key))
}

/// Whether an unknown key is so near to a known one, and so far from any password, that its value may be shown.
pub(super) fn looks_harmless(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let suspicious = ["pass", "pw", "word", "secret", "token", "key", "code"].iter().any(|part| lower.contains(part));
    let levels = [Level::Account(""), Level::Daemon, Level::Notify, Level::Top];
    let meant = levels.into_iter().find_map(|level| probably(key, level));
    !suspicious && meant.is_some_and(|meant| !meant.starts_with(PASSWORD))
}

/// Reports the keys of a table that are not known there, and returns the known ones that were probably meant.
pub(super) fn report_unknown(table: &DeTable<'_>, level: Level<'_>, problems: &mut Vec<Problem>) -> Vec<&'static str> {
    let mut meant = Vec::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        if level.keys().contains(&name) {
            continue;
        }
        let help = match probably(name, level) {
            Some(known) => {
                meant.push(known);
                format!("did you mean `{known}`?")
            }
            None => advice(name, value.get_ref(), level),
        };
        let message = format!("unknown key `{}` {}", text::value(name), level.place());
        problems.push(Problem::new(message).at(&key.span()).help(help));
    }
    meant
}

/// The known key that an unknown one is another word for, or a misspelling of.
fn probably(name: &str, level: Level<'_>) -> Option<&'static str> {
    let keys = level.keys();
    let synonym = ALSO_CALLED.iter().find(|(other, meant)| *other == name && keys.contains(meant));
    synonym.map(|(_, meant)| *meant).or_else(|| nearest(name, keys.iter().copied()))
}

/// What to do about an unknown key that is like none: move it where it belongs, or see what there is.
fn advice(name: &str, value: &DeValue<'_>, level: Level<'_>) -> String {
    let keys = level.keys();
    let elsewhere = [
        (&ACCOUNT[..], "[accounts.NAME] or [defaults]"),
        (&DAEMON[..], "[daemon]"),
        (&NOTIFY[..], "[notify]"),
        (&TOP[..], "the top of the file, before the first [table]"),
    ];
    if let Some((_, home)) = elsewhere.iter().find(|(keys, _)| keys.contains(&name)) {
        return format!("its place is {home}");
    }
    if level == Level::Top && value.is_table() {
        return format!("if it is an account, write [accounts.{}]", text::value(name));
    }
    let known: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    format!("the keys here are {}", known.join(", "))
}

impl Level<'_> {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &TOP,
            Self::Daemon => &DAEMON,
            Self::Notify => &NOTIFY,
            Self::Defaults | Self::Account(_) => &ACCOUNT,
        }
    }

    fn place(self) -> String {
        match self {
            Self::Top => "at the top of the file".to_owned(),
            Self::Daemon => "in [daemon]".to_owned(),
            Self::Notify => "in [notify]".to_owned(),
            Self::Defaults => "in [defaults]".to_owned(),
            Self::Account(name) => format!("in [accounts.{name}]"),
        }
    }
}

/// The known word that a word was probably meant to be: at most a third of its letters differ.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour to make one word of the
/// other; upper and lower case and `-` and `_` count as alike.
fn distance(left: &str, right: &str) -> usize {
    let letters = |word: &str| -> Vec<char> {
        word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).take(LONGEST).collect()
    };
    let (left, right) = (letters(left), letters(right));
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut letter_before = None;
    for (i, &a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            let cost = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut least = cost(&previous, j) + usize::from(a != b);
            least = least.min(cost(&previous, j + 1) + 1).min(cost(&row, j) + 1);
            let swapped = j.checked_sub(1).filter(|&k| letter_before == Some(b) && right.get(k) == Some(&a));
            if let Some(k) = swapped {
                least = least.min(cost(&before, k) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut previous, row);
        letter_before = Some(a);
    }
    previous.last().copied().unwrap_or(0)
}

/// Longer words are compared by their beginnings: the work grows with the product of the lengths.
const LONGEST: usize = 100;

#[cfg(test)]
mod tests {
    use super::{ACCOUNT, distance, nearest};

    #[test]
    fn a_distance_counts_letters_put_in_taken_out_replaced_and_swapped() {
        let cases = [
            ("", "", 0),
            ("host", "host", 0),
            ("hots", "host", 1),
            ("hst", "host", 1),
            ("hosst", "host", 1),
            ("hosd", "host", 1),
            ("", "host", 4),
            ("Max-Message-Size", "max_message_size", 0),
            ("intervall", "interval", 1),
            ("kitten", "sitting", 3),
        ];
        for (left, right, expected) in cases {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn only_a_word_that_is_near_is_suggested() {
        for (word, expected) in [
            ("usernmae", Some("username")),
            ("pasword", Some("password")),
            ("password_comand", Some("password_command")),
            ("leave-on-server", Some("leave_on_server")),
            ("maxmessagesize", Some("max_message_size")),
            ("http", None),
            ("zzz", None),
        ] {
            assert_eq!(nearest(word, ACCOUNT.iter().copied()), expected, "{word}");
        }
    }
}
