//! What `check` finds that no poll fails for. Most of it is a clause that follows the fact after a semicolon.

use std::fmt::Display;

use crate::account::AccountName;
use crate::text;

/// About a password in the configuration.
pub(crate) const KEEP_IT_OUT: &str = "`password_command` (a password manager), `password_file` or \
                                      `password_credential` (systemd) keep it out";

/// About several accounts for one maildrop.
pub(crate) const ALL_BUT_ONE: &str = "remove all but one";

/// About accounts that share a Maildir with different policies.
pub(crate) const ONE_POLICY: &str = "give each one a Maildir, or all the same policy";

/// About a `$` in the path of a Maildir.
pub(crate) const NO_VARIABLES: &str = "no variable is replaced there, only ~/ at the beginning and {account}";

/// About letters beyond ASCII in the name of a folder.
pub(crate) const AS_THE_SERVER_WRITES: &str =
    "if your IMAP server writes such names in modified UTF-7, write Entw&APw-rfe for Entw\u{fc}rfe";

/// About a keyword that looks like a misspelt system flag.
pub(crate) fn system_flag(name: &str) -> String {
    format!("write \"{name}\" if that is meant")
}

/// About a command that is not there.
pub(crate) const INSTALL_IT: &str = "install it, or write its whole path";

/// About a command that a unit cannot reach.
pub(crate) const IN_USR_LOCAL: &str = "put it into /usr/local";

/// About a command that needs the rights of another user.
pub(crate) const SPEAKS_SMTP: &str = "use a program that speaks SMTP, such as msmtp or curl";

/// About messages that do not fit.
pub(crate) const FREE_SOME_SPACE: &str = "free some space, or move the Maildir";

/// About a server's certificate that expires soon.
pub(crate) const TELL_THE_OPERATOR: &str = "tell the server's operator";

/// About a certificate of this side that expires soon.
pub(crate) const NEW_CERTIFICATE: &str = "put a new one in its place";

/// About a clock that is wrong.
pub(crate) const SET_THE_CLOCK: &str = "run timedatectl set-ntp true";

/// About a directory that would become a Maildir. A sentence.
pub(crate) const RIGHT_PATH: &str = "Is the path of `maildir` right?";

/// About a Maildir below a home that the unit cannot reach.
pub(crate) fn elsewhere(home: &str) -> String {
    format!(
        "use mailferry@USER.service, or the drop-in maildirs-elsewhere.conf of \"mailferry under systemd\" in the documentation, \
             and a Maildir outside of {home}"
    )
}

/// About the name of a mailbox that the destination cannot have; `better` is one that it can, if known. A sentence.
pub(crate) fn mailbox_name(account: &AccountName, better: Option<&str>) -> String {
    let table = format!("[accounts.{}.forward]", text::key(account.as_str()));
    match better {
        Some(name) => format!("Write mailbox = {:?} in {table}", text::value(name)),
        None => format!("Check `mailbox` in {table}"),
    }
}

/// Joins a fact and the clause that says what to do.
pub(crate) fn with_clause(fact: impl Display, clause: impl Display) -> String {
    format!("{fact}; {clause}")
}
