//! Recognizes the program that a configuration looks like, in case it was read for another one, or is our own. PURE.

use super::Program;

/// Returns the program of the first line that only one of them can have.
pub(super) fn looks_like(text: &str) -> Option<Program> {
    text.lines().find_map(|line| of_line(line.trim()))
}

/// Whether a configuration is one of mailferry: TOML with a table that only that has.
pub(super) fn is_ours(text: &str) -> bool {
    let is_header = |line: &str| {
        let line = line.trim();
        ["[accounts.", "[[accounts."].iter().any(|header| line.starts_with(header))
    };
    text.lines().any(is_header)
}

fn of_line(line: &str) -> Option<Program> {
    let mut words = line.split_ascii_whitespace();
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let is_quoted = second.starts_with(['"', '\'']);
    match first {
        _ if line.starts_with("user_pref(\"") => Some(Program::Thunderbird),
        "[retriever]" | "[destination]" => Some(Program::Getmail),
        "account" | "action" if is_quoted => Some(Program::Fdm),
        "match" if line.contains(" action ") => Some(Program::Fdm),
        "set" if FDM_SETS.contains(&second) => Some(Program::Fdm),
        "poll" | "skip" => Some(Program::Fetchmail),
        "set" if FETCHMAIL_SETS.contains(&second) => Some(Program::Fetchmail),
        // fetchmail continues on the same line.
        "defaults" if second.is_empty() => None,
        "defaults" => Some(Program::Fetchmail),
        "account" | "delivery" | "host" if !second.is_empty() => Some(Program::Mpop),
        _ => None,
    }
}

/// The settings of fdm's `set` that fetchmail's does not have.
const FDM_SETS: [&str; 9] = [
    "lock-file",
    "lock-types",
    "lock-type",
    "keep-all",
    "maximum-size",
    "unmatched-mail",
    "purge-after",
    "queue-high",
    "default-user",
];

/// The settings of fetchmail's `set` that fdm's does not have.
const FETCHMAIL_SETS: [&str; 8] =
    ["daemon", "postmaster", "logfile", "syslog", "idfile", "pidfile", "bouncemail", "invisible"];
