//! Interprets an `fdm.conf`, statement by statement.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::grammar::{Statement, Token};
use crate::import::draft::Note;
use crate::import::{Found, Program, destination};

/// The contents of the file.
pub(super) struct File {
    pub(super) found: Found,
    pub(super) macros: BTreeMap<String, String>,
    pub(super) accounts: Vec<(Statement, usize)>,
    /// The actions, by name.
    pub(super) targets: BTreeMap<String, Target>,
    /// The action for all mail.
    pub(super) default_action: Option<String>,
    /// The actions for all mail of an account, by account.
    pub(super) of_account: BTreeMap<String, String>,
    pub(super) settings: Settings,
}

/// An action.
pub(super) struct Target {
    /// What it does with mail.
    pub(super) does: Does,
    /// Its line.
    pub(super) line: usize,
}

/// What an action does with mail.
pub(super) enum Does {
    /// Delivers into this Maildir.
    Maildir(String),
    /// Pipes mail to this command.
    Pipe(String),
    /// Something else.
    Other,
}

/// The values of `set` that have a counterpart.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) keep_all: bool,
    pub(super) timeout: Option<u64>,
    pub(super) maximum_size: Option<u64>,
    pub(super) purge_after: Option<u64>,
    pub(super) proxy: Option<String>,
}

/// What concerns all accounts.
pub(super) struct Rules<'a> {
    pub(super) targets: &'a BTreeMap<String, Target>,
    pub(super) default_action: Option<&'a str>,
    pub(super) of_account: &'a BTreeMap<String, String>,
    pub(super) settings: &'a Settings,
}

impl Default for File {
    fn default() -> Self {
        let (macros, accounts, targets, default_action, of_account, settings) = Default::default();
        let found = Found::new(Program::Fdm, PathBuf::new());
        Self { found, macros, accounts, targets, default_action, of_account, settings }
    }
}

impl File {
    pub(super) fn take(&mut self, statement: &Statement) {
        let expanded: Vec<Token> = statement.tokens.iter().map(|token| self.expand(token)).collect();
        let line = statement.line;
        let statement = Statement { tokens: expanded, line };
        let kind = statement.kind().to_owned();
        let what = |what: &str| format!("{what} (line {line})");
        if let Some(Token::Word(name)) = statement.tokens.first().filter(|_| kind.starts_with(['$', '%'])) {
            if let Some(value) = statement.behind("=") {
                self.macros.insert(name.clone(), value.to_owned());
            }
            return;
        }
        match kind.as_str() {
            "set" => self.setting(&statement, &what("set")),
            "account" => self.accounts.push((statement, line)),
            "action" => match statement.tokens.get(1) {
                Some(Token::Text(name)) => {
                    let does = match (statement.behind("maildir"), statement.behind("pipe")) {
                        (Some(path), None) => Does::Maildir(path.to_owned()),
                        (None, Some(command)) => Does::Pipe(command.to_owned()),
                        _ => Does::Other,
                    };
                    self.targets.insert(name.clone(), Target { does, line });
                }
                _ => self.found.general.push(Note::new(what("action"), "it is not understood")),
            },
            "match" => self.rule(&statement, what("match")),
            "cache" => self.found.needless.push(what("cache")),
            "include" => {
                self.found.general.push(Note::new(what("include"), "that file is not read: import it as well"));
            }
            _ => self
                .found
                .general
                .push(Note::new(what(&kind), "conditions are not followed: everything inside them was taken as it is")),
        }
    }

    /// Takes `match all action "x"` and `match account "a" action "x"`. The first of several counts, as in fdm.
    fn rule(&mut self, statement: &Statement, what: String) {
        let word =
            |at: usize, wanted: &str| matches!(statement.tokens.get(at), Some(Token::Word(word)) if word == wanted);
        match statement.tokens.as_slice() {
            [_, _, _, Token::Text(name)] if word(1, "all") && word(2, "action") && self.default_action.is_none() => {
                self.default_action = Some(name.clone());
            }
            [_, _, Token::Text(account), _, Token::Text(name)]
                if word(1, "account")
                    && word(3, "action")
                    && self.default_action.is_none()
                    && !account.contains(['*', '?', '[']) =>
            {
                self.of_account.entry(account.clone()).or_insert_with(|| name.clone());
            }
            _ => self.found.general.push(Note::new(
                what,
                "not taken over: [[accounts.NAME.rules]] sort by the header into Maildirs (\"Into which Maildir\" in the documentation), and a program that \
                 sorts is run by on_new_mail",
            )),
        }
    }

    /// Notes the actions that no account uses for all its mail.
    pub(super) fn name_unused_actions(&mut self) {
        let used: Vec<&String> = self.default_action.iter().chain(self.of_account.values()).collect();
        for (name, target) in self.targets.iter().filter(|(name, _)| !used.contains(name)) {
            let advice = match &target.does {
                Does::Maildir(_) => {
                    "a rule of an account can lead mail into that Maildir: \"Into which Maildir\" in the documentation"
                        .to_owned()
                }
                Does::Pipe(command) => match destination::shell_command(command, &["%"]) {
                    Ok(to) => {
                        format!(
                            "an account whose mail it is for can have forward = {to}; see \"Forwarding\" in the documentation"
                        )
                    }
                    Err(advice) => advice,
                },
                Does::Other => destination::DESTINATIONS.to_owned(),
            };
            self.found.general.push(Note::new(format!("action \"{name}\" (line {})", target.line), advice));
        }
    }

    fn setting(&mut self, statement: &Statement, what: &str) {
        let Some(Token::Word(name)) = statement.tokens.get(1) else {
            return self.found.general.push(Note::new(what, "it is not understood"));
        };
        let value = statement.behind(name);
        let number = value.and_then(size);
        let note = |advice: &str| Note::new(format!("{what} {name}"), advice);
        match name.as_str() {
            "keep-all" => self.settings.keep_all = true,
            "timeout" if number.is_some() => self.settings.timeout = number,
            "maximum-size" if number.is_some() => self.settings.maximum_size = number,
            "purge-after" if number.is_some() => self.settings.purge_after = number,
            "proxy" => self.settings.proxy = value.map(str::to_owned),
            "delete-oversized" => {
                self.found.general.push(note("messages that are too large stay on the server"));
            }
            "unmatched-mail" if value == Some("drop") => {
                self.found.general.push(note("no mail is dropped: what no rule names goes into the account's Maildir"));
            }
            "default-user" | "cmd-user" | "command-user" => {
                self.found.general.push(note("mail is delivered as the user who runs mailferry"));
            }
            "file-umask" | "file-group" => {
                self.found.general.push(note("maildir_mode says who may read what is delivered"));
            }
            "lock-file"
            | "lock-types"
            | "lock-type"
            | "lock-timeout"
            | "lock-wait"
            | "no-received"
            | "queue-high"
            | "queue-low"
            | "strip-characters"
            | "allow-multiple"
            | "lookup-order"
            | "parallel-accounts"
            | "unmatched-mail"
            | "ignore-errors"
            | "verify-certificates"
            | "no-create"
            | "file-mask" => {
                self.found.needless.push(format!("{what} {name}"));
            }
            _ => self.found.general.push(note("there is nothing like it")),
        }
    }

    /// Expands macros.
    fn expand(&self, token: &Token) -> Token {
        match token {
            Token::Word(word) => {
                self.macros.get(word).map_or_else(|| token.clone(), |value| Token::Text(value.clone()))
            }
            Token::Text(text) => {
                let put = |text: String, (name, value): (&String, &String)| {
                    let (sigil, name) = name.split_at_checked(1).unwrap_or_default();
                    text.replace(&format!("{sigil}{{{name}}}"), value)
                };
                Token::Text(self.macros.iter().fold(text.clone(), put))
            }
            other => other.clone(),
        }
    }
}

/// Parses a number, optionally with a unit of octets or seconds.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" | "s" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
