//! The known keys, and the nearest match for an unknown one.

use strsim::osa_distance;

use crate::text;

/// The key whose value is never shown.
pub(super) const PASSWORD: &str = "password";

/// The key whose value may hold a password.
pub(super) const PROXY: &str = "proxy";

/// The keys at the top of the file.
pub(super) const TOP: [&str; 5] = ["state_dir", "daemon", "notify", "defaults", "accounts"];

/// The keys of `[daemon]`.
pub(super) const DAEMON: [&str; 4] = ["concurrency", "per_host", "http", "http_allow_remote"];

/// The keys of `[notify]`.
pub(super) const NOTIFY: [&str; 3] = ["command", "no_success_for", "certificate_days"];

/// The keys of `[accounts.NAME]` and `[defaults]`.
pub(super) const ACCOUNT: [&str; 36] = [
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
    FORWARD,
    "leave_on_server",
    "interval",
    "timeout",
    "max_message_size",
    "max_messages_per_session",
    "sizes_are_estimates",
    "on_new_mail",
    "enabled",
    "tls_ca_file",
    "tls_key_exchange",
    "allow_cleartext_password",
    "ip",
    "source_address",
    PROXY,
    "tls_server_name",
    "tls_trust",
    "tls_pin",
    "tls_client_cert",
    "tls_client_key",
    "provider",
    "oauth2",
    "token_command",
    "rules",
    "multidrop",
];

/// The key of the table that says where mail is forwarded.
pub(super) const FORWARD: &str = "forward";

/// The keys of `[accounts.NAME.forward]`.
pub(super) const FORWARD_TABLE: [&str; 5] = ["imap", "lmtp", "command", "spool_size", "spool_messages"];

/// The keys of `imap` in `[accounts.NAME.forward]`.
pub(super) const IMAP: [&str; 25] = [
    "host",
    "port",
    "tls",
    "username",
    PASSWORD,
    "password_command",
    "password_file",
    "password_credential",
    "token_command",
    "oauth2",
    "auth",
    "mailbox",
    "flags",
    "connections",
    "tls_ca_file",
    "tls_key_exchange",
    "allow_cleartext_password",
    "ip",
    "source_address",
    PROXY,
    "tls_server_name",
    "tls_trust",
    "tls_pin",
    "tls_client_cert",
    "tls_client_key",
];

/// The keys of `lmtp` in `[accounts.NAME.forward]`.
pub(super) const LMTP: [&str; 5] = ["socket", "host", "port", "recipient", "id_header"];

/// The keys of `[[accounts.NAME.rules]]`.
pub(super) const RULE: [&str; 8] = ["header", "equals", "contains", "matches", "maildir", "folder", "forward", "skip"];

/// The keys of `[accounts.NAME.multidrop]`.
pub(super) const MULTIDROP: [&str; 7] =
    ["header", "occurrence", "one_copy", "strip_prefix", "trusted_received_by", "recipients", "default"];

/// The keys of `[accounts.NAME.oauth2]`.
pub(super) const OAUTH2: [&str; 16] = [
    "provider",
    "client_id",
    CLIENT_SECRET,
    "client_secret_command",
    "client_secret_file",
    "client_secret_credential",
    "scope",
    "tenant",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "registration_endpoint",
    "redirect",
    "resource",
    "tls_ca_file",
];

/// Other programs' names for our keys, where the spelling is too different for a guess.
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

/// The table that a key is in.
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
    /// `[accounts.NAME.oauth2]`; None for that of `[defaults]`.
    OAuth(Option<&'a str>),
    /// `[accounts.NAME.forward]`; None for that of `[defaults]`.
    Forward(Option<&'a str>),
    /// `imap` in the table `forward`.
    Imap(Option<&'a str>),
    /// `lmtp` in the table `forward`.
    Lmtp(Option<&'a str>),
    /// `[[accounts.NAME.rules]]`; None for those of `[defaults]`.
    Rule(Option<&'a str>),
    /// `[accounts.NAME.multidrop]`; None for that of `[defaults]`.
    Multidrop(Option<&'a str>),
}

/// The key of an OAuth 2.0 client's secret.
pub(super) const CLIENT_SECRET: &str = "client_secret";

/// Whether the value of this key is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    matches!(key, PASSWORD | CLIENT_SECRET)
}

/// Whether the value of this key may be shown.
pub(super) fn is_shown(key: &str) -> bool {
    key != PROXY
        && !is_secret(key)
        && [&TOP[..], &DAEMON, &NOTIFY, &ACCOUNT, &OAUTH2, &FORWARD_TABLE, &IMAP, &LMTP, &RULE, &MULTIDROP]
            .iter()
            .any(|keys| keys.contains(&key))
}

/// Whether this is a known key or the name of a table.
pub(super) fn is_known(key: &str) -> bool {
    key == PROXY || is_secret(key) || is_shown(key)
}

/// Parts of words that name credentials, in the languages in which people write configurations.
const SECRETS: [&str; 23] = [
    "pass",
    // A proxy's URL may contain a password.
    "proxy",
    "pw",
    "word",
    "secret",
    "token",
    "key",
    "code",
    "pin",
    "cred",
    "kennw",
    "geheim",
    "clave",
    "contras",
    "senha",
    "parol",
    "haslo",
    "salasana",
    "lösen",
    "密",
    "口令",
    "授权",
    "парол",
];

/// Whether an unknown key may be meant for a secret. Its value is not shown then.
pub(super) fn looks_secret(key: &str) -> bool {
    let lower = key.to_lowercase();
    let letters = Letters::of(&lower);
    SECRETS.iter().any(|part| Letters::of(part).all_in(letters) && lower.contains(part))
        || nearest(key, [PASSWORD, "passwd", "pwd"].into_iter()).is_some()
        || probably(key, Level::Account("")).is_some_and(|meant| meant.starts_with(PASSWORD) || meant == PROXY)
}

/// Returns the known key that an unknown one was probably meant to be: by another program's name, or misspelt.
pub(super) fn probably(name: &str, level: Level<'_>) -> Option<&'static str> {
    let keys = level.keys();
    let synonym = ALSO_CALLED.iter().find(|(other, meant)| *other == name && keys.contains(meant));
    synonym.map(|(_, meant)| *meant).or_else(|| nearest(name, keys.iter().copied()))
}

impl<'a> Level<'a> {
    /// The account's name.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::Account(name) => Some(name),
            Self::OAuth(name)
            | Self::Forward(name)
            | Self::Imap(name)
            | Self::Lmtp(name)
            | Self::Rule(name)
            | Self::Multidrop(name) => name,
            Self::Top | Self::Daemon | Self::Notify | Self::Defaults => None,
        }
    }

    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &TOP,
            Self::Daemon => &DAEMON,
            Self::Notify => &NOTIFY,
            Self::Defaults | Self::Account(_) => &ACCOUNT,
            Self::OAuth(_) => &OAUTH2,
            Self::Forward(_) => &FORWARD_TABLE,
            Self::Imap(_) => &IMAP,
            Self::Lmtp(_) => &LMTP,
            Self::Rule(_) => &RULE,
            Self::Multidrop(_) => &MULTIDROP,
        }
    }

    pub(super) fn place(self) -> String {
        match self {
            Self::Top => "at the top of the file".to_owned(),
            Self::Daemon => "in [daemon]".to_owned(),
            Self::Notify => "in [notify]".to_owned(),
            Self::Defaults => "in [defaults]".to_owned(),
            Self::Account(name) => format!("in [accounts.{}]", text::key(name)),
            Self::OAuth(Some(name)) => format!("in `oauth2` of [accounts.{}]", text::key(name)),
            Self::OAuth(None) => "in `oauth2` of [defaults]".to_owned(),
            Self::Forward(name) => format!("in {}", forward_of(name)),
            Self::Imap(name) => format!("in `imap` of {}", forward_of(name)),
            Self::Lmtp(name) => format!("in `lmtp` of {}", forward_of(name)),
            Self::Rule(Some(name)) => format!("in a rule of [accounts.{}]", text::key(name)),
            Self::Multidrop(Some(name)) => format!("in [accounts.{}.multidrop]", text::key(name)),
            Self::Multidrop(None) => "in `multidrop` of [defaults]".to_owned(),
            Self::Rule(None) => "in a rule of [defaults]".to_owned(),
        }
    }
}

/// Returns the header of the table `forward`.
fn forward_of(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("[accounts.{}.forward]", text::key(name)),
        None => "[defaults.forward]".to_owned(),
    }
}

/// Returns the known word closest to `word`, if at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    let letters = Letters::of(word);
    // A file may have hundreds of thousands of unknown keys, so most candidates are excluded by a cheap test.
    let may_be = |candidate: &&str| {
        length.abs_diff(candidate.chars().count()) <= allowed
            && letters.least_distance(Letters::of(candidate)) <= allowed
    };
    known
        .filter(may_be)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the number of insertions, deletions, substitutions and swaps of neighbouring letters that turn one word into
/// the other. Case is ignored, and `-` counts as `_`.
fn distance(left: &str, right: &str) -> usize {
    let plain = |word: &str| -> String { word.chars().map(plain).take(LONGEST).collect() };
    osa_distance(&plain(left), &plain(right))
}

/// Folds a letter for comparison.
fn plain(letter: char) -> char {
    if letter == '-' { '_' } else { letter.to_ascii_lowercase() }
}

/// In letters. Only the beginning of a longer word is compared, since the work grows with the product of the lengths.
const LONGEST: usize = 100;

/// The set of letters in a word, one bit each; letters that are rare in keys share one bit.
#[derive(Debug, Clone, Copy)]
struct Letters(u64);

impl Letters {
    fn of(word: &str) -> Self {
        let bit = |letter: char| match plain(letter) {
            letter @ 'a'..='z' => u32::from(letter) - u32::from('a'),
            digit @ '0'..='9' => 26 + u32::from(digit) - u32::from('0'),
            '_' => 36,
            _ => 63,
        };
        Self(word.chars().fold(0, |letters, letter| letters | 1 << bit(letter)))
    }

    /// Whether the other word contains all of these letters.
    fn all_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns a lower bound of the distance between the words: each letter that the other word lacks takes an edit.
    fn least_distance(self, other: Self) -> usize {
        let only = |one: Self, other: Self| usize::try_from((one.0 & !other.0).count_ones()).unwrap_or(0);
        only(self, other).max(only(other, self))
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCOUNT, Letters, distance, nearest};

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

    proptest::proptest! {
        #[test]
        fn what_is_out_at_a_glance_is_not_near(left in "[a-cA-C0_-]{0,8}é?", right in "[a-d1_.-]{0,8}") {
            let least = Letters::of(&left).least_distance(Letters::of(&right));
            let lengths = left.chars().count().abs_diff(right.chars().count());
            proptest::prop_assert!(least.max(lengths) <= distance(&left, &right), "{} {}", left, right);
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
