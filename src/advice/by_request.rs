//! What people are told who ask the daemon about an account, or to poll one.

use std::path::Path;
use std::time::Duration;

use crate::command_line::this_program;
use crate::text::{self, Span};

/// Why a running daemon does not have a named account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotThere<'a> {
    /// It is disabled in this configuration.
    Disabled(&'a Path),
    /// It is enabled in this configuration, as the file is now.
    NotReloaded(&'a Path),
    /// The daemon has read another configuration: this one.
    OtherConfiguration(&'a Path),
    /// The configuration cannot be used.
    NoConfiguration,
}

/// Tells why, and what to do.
pub(crate) fn not_there(account: &str, why: NotThere<'_>) -> String {
    let account = text::value(account);
    match why {
        NotThere::Disabled(path) => format!(
            "the account `{account}` is disabled in {} (`enabled = false`), so the daemon does not poll it. To poll it \
             once: {}",
            text::path(path),
            this_program(&format!("fetch {account}"))
        ),
        NotThere::NotReloaded(path) => format!(
            "the daemon does not have the account `{account}` yet: it was added to {}, or enabled there, after the daemon \
             read it. Reload the daemon (SIGHUP)",
            text::path(path)
        ),
        NotThere::OtherConfiguration(path) => {
            format!("the daemon polls the accounts of {}, and `{account}` is not one of them", text::path(path))
        }
        NotThere::NoConfiguration => format!(
            "the daemon has no account `{account}`, and why cannot be said, because the configuration has errors: {}",
            this_program("check --offline")
        ),
    }
}

/// Tells how to have a new account polled by the running daemon. `reload` is the command that makes the daemon read the
/// configuration again, if known.
pub(crate) fn reload(account: &str, reload: Option<&str>) -> String {
    let account = text::value(account);
    let how = reload.map_or_else(|| "reload it (SIGHUP)".to_owned(), |command| format!("reload it: {command}"));
    format!("The daemon that runs does not have `{account}` yet. To have it polled, {how}")
}

/// Tells how to have a new account polled if no daemon runs.
pub(crate) fn no_daemon_yet() -> String {
    format!(
        "No daemon runs yet. To have mail fetched on schedule: {}; as a service: see \"mailferry under systemd\" in \
         the documentation",
        this_program("daemon")
    )
}

/// Tells that the daemon did not understand how long an account is to be polled often, and what to do.
pub(crate) const DOES_NOT_POLL_OFTEN: &str =
    "the daemon is older and does not know --for, so it polls once. Restart it";

/// An account whose polls have been failing, and that is polled on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failing<'a> {
    /// The account's name.
    pub(crate) account: &'a str,
    /// How long its polls have been failing.
    pub(crate) time: Duration,
    /// What happened and what to do about it.
    pub(crate) text: &'a str,
    /// How long it waits if this poll fails, too.
    pub(crate) next_wait: Duration,
}

/// Tells what happens next; `often` if it would be polled often otherwise because somebody waits for its mail.
pub(crate) fn tried_again(failing: Failing<'_>, often: bool) -> String {
    let Failing { account, time, text, next_wait } = failing;
    let (time, wait) = (Span(time), Span(next_wait));
    let often = if often { "; it is polled often only once a poll has succeeded" } else { "" };
    format!("{account}: its polls have failed for {time}: {text}. If this one fails, too, the next is in {wait}{often}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_mail_of_an_account_in_trouble_is_told_when_it_is_tried_again() {
        let text = "the server refused the login. Check the password".to_owned();
        let [time, next_wait] = [7200, 3600].map(Duration::from_secs);
        let failing = Failing { account: "work", time, text: &text, next_wait };
        let begin = "work: its polls have failed for 2 h: the server refused the login. Check the password. If this one fails, \
                     too, the next is in 60 min";
        assert_eq!(tried_again(failing, false), begin);
        assert_eq!(tried_again(failing, true), format!("{begin}; it is polled often only once a poll has succeeded"));
    }

    #[test]
    fn a_new_account_is_polled_once_a_daemon_has_it() {
        assert!(reload("new", Some("kill -HUP 7")).ends_with("`new` yet. To have it polled, reload it: kill -HUP 7"));
        assert!(reload("new", None).ends_with("reload it (SIGHUP)"));
        assert!(
            no_daemon_yet().contains("on schedule: mailferry daemon; as a service: see \"mailferry under systemd\" in")
        );
    }

    #[test]
    fn what_the_daemon_does_not_have_is_told_with_what_helps() {
        let path = Path::new("/c.toml");
        for (why, helps) in [
            (NotThere::Disabled(path), "is disabled in /c.toml"),
            (NotThere::NotReloaded(path), "Reload the daemon"),
            (NotThere::OtherConfiguration(path), "the daemon polls the accounts of /c.toml, and `a"),
            (NotThere::NoConfiguration, "check --offline"),
        ] {
            let told = not_there("a\u{1b}", why);
            assert!(told.contains(helps) && !told.contains('\u{1b}'), "{told}");
        }
    }
}
