//! The keys there are, and the nearest one to a key that is none.

use strsim::osa_distance;

/// The key whose value is never shown.
pub(super) const PASSWORD: &str = "password";

/// The key whose value may hold a password.
pub(super) const PROXY: &str = "proxy";

/// What may stand at the top of the file.
pub(super) const TOP: [&str; 5] = ["state_dir", "daemon", "notify", "defaults", "accounts"];

/// What may stand in `[daemon]`.
pub(super) const DAEMON: [&str; 4] = ["concurrency", "per_host", "http", "http_allow_remote"];

/// What may stand in `[notify]`.
pub(super) const NOTIFY: [&str; 3] = ["command", "no_success_for", "certificate_days"];

/// What may stand in `[accounts.NAME]` and in `[defaults]`.
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

/// The table that says where mail goes on to.
pub(super) const FORWARD: &str = "forward";

/// What may stand in `[accounts.NAME.forward]`.
pub(super) const FORWARD_TABLE: [&str; 5] = ["imap", "lmtp", "command", "spool_size", "spool_messages"];

/// What may stand in `imap` of `[accounts.NAME.forward]`.
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

/// What may stand in `lmtp` of `[accounts.NAME.forward]`.
pub(super) const LMTP: [&str; 5] = ["socket", "host", "port", "recipient", "id_header"];

/// What may stand in `[[accounts.NAME.rules]]`.
pub(super) const RULE: [&str; 8] = ["header", "equals", "contains", "matches", "maildir", "folder", "forward", "skip"];

/// What may stand in `[accounts.NAME.multidrop]`.
pub(super) const MULTIDROP: [&str; 7] =
    ["header", "occurrence", "one_copy", "strip_prefix", "trusted_received_by", "recipients", "default"];

/// What may stand in `[accounts.NAME.oauth2]`.
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
    /// `[accounts.NAME.oauth2]`; none is that of `[defaults]`.
    OAuth(Option<&'a str>),
    /// `[accounts.NAME.forward]`; none is that of `[defaults]`.
    Forward(Option<&'a str>),
    /// `imap` in there.
    Imap(Option<&'a str>),
    /// `lmtp` in there.
    Lmtp(Option<&'a str>),
    /// `[[accounts.NAME.rules]]`; none are those of `[defaults]`.
    Rule(Option<&'a str>),
    /// `[accounts.NAME.multidrop]`; none is that of `[defaults]`.
    Multidrop(Option<&'a str>),
}

/// The key whose value is a secret of an OAuth 2.0 client.
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

/// Whether this is a key, or the name of a table.
pub(super) fn is_known(key: &str) -> bool {
    key == PROXY || is_secret(key) || is_shown(key)
}

/// Parts of words for what opens a maildrop, in the languages in which people write configurations.
const SECRETS: [&str; 23] = [
    "pass",
    // Its URL may hold one.
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

/// Whether an unknown key may be meant as one for a secret: then its value is not shown.
pub(super) fn looks_secret(key: &str) -> bool {
    let lower = key.to_lowercase();
    let letters = Letters::of(&lower);
    SECRETS.iter().any(|part| Letters::of(part).all_in(letters) && lower.contains(part))
        || nearest(key, [PASSWORD, "passwd", "pwd"].into_iter()).is_some()
        || probably(key, Level::Account("")).is_some_and(|meant| meant.starts_with(PASSWORD) || meant == PROXY)
}

/// The known key that an unknown one is another word for, or a misspelling of.
pub(super) fn probably(name: &str, level: Level<'_>) -> Option<&'static str> {
    let keys = level.keys();
    let synonym = ALSO_CALLED.iter().find(|(other, meant)| *other == name && keys.contains(meant));
    synonym.map(|(_, meant)| *meant).or_else(|| nearest(name, keys.iter().copied()))
}

impl<'a> Level<'a> {
    /// The name of the account.
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
            Self::Account(name) => format!("in [accounts.{name}]"),
            Self::OAuth(Some(name)) => format!("in `oauth2` of [accounts.{name}]"),
            Self::OAuth(None) => "in `oauth2` of [defaults]".to_owned(),
            Self::Forward(name) => format!("in {}", forward_of(name)),
            Self::Imap(name) => format!("in `imap` of {}", forward_of(name)),
            Self::Lmtp(name) => format!("in `lmtp` of {}", forward_of(name)),
            Self::Rule(Some(name)) => format!("in a rule of [accounts.{name}]"),
            Self::Multidrop(Some(name)) => format!("in [accounts.{name}.multidrop]"),
            Self::Multidrop(None) => "in `multidrop` of [defaults]".to_owned(),
            Self::Rule(None) => "in a rule of [defaults]".to_owned(),
        }
    }
}

/// The header of the table `forward`.
fn forward_of(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("[accounts.{name}.forward]"),
        None => "[defaults.forward]".to_owned(),
    }
}

/// The known word that a word was probably meant to be: at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let allowed = (length / 3).max(1);
    let letters = Letters::of(word);
    // A file may hold hundreds of thousands of words that are no keys: most candidates are out at a glance.
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

/// How many letters must be put in, taken out, replaced or swapped with their neighbour to make one word of the
/// other; upper and lower case and `-` and `_` count as alike.
fn distance(left: &str, right: &str) -> usize {
    let plain = |word: &str| -> String { word.chars().map(plain).take(LONGEST).collect() };
    osa_distance(&plain(left), &plain(right))
}

/// A letter as it is compared.
fn plain(letter: char) -> char {
    if letter == '-' { '_' } else { letter.to_ascii_lowercase() }
}

/// Longer words are compared by their beginnings: the work grows with the product of the lengths.
const LONGEST: usize = 100;

/// Which letters a word has, a bit each; all that are seldom in keys share one.
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

    /// Whether another word has all of them.
    fn all_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The words differ in so many places at least: a letter that only one of them has is one.
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
