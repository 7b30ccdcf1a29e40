//! The prompt of `mailferry console`.

use crate::command_line::this_program;
use crate::pop3::MessageNumber;

/// Why a line that was typed cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// There is no such command.
    Unknown,
    /// The command belongs to a login, which has happened.
    LoggedIn,
    /// More words follow the command than it takes.
    TooManyWords(String),
    /// The command takes the number of a message.
    NoNumber(String),
    /// TOP takes a number of lines.
    NoLines,
}

/// Tells why, and what helps.
pub(crate) fn not_sent(why: &NotSent) -> String {
    match why {
        NotSent::Unknown => "unknown command; HELP lists the commands".to_owned(),
        NotSent::LoggedIn => "you are logged in already; HELP lists the commands".to_owned(),
        NotSent::TooManyWords(name) => format!("too many words for {name}; HELP shows what it takes"),
        NotSent::NoNumber(name) => {
            format!("{name} takes the number of a message, such as {name} 3; LIST shows them")
        }
        NotSent::NoLines => "TOP takes a message and a number of lines: TOP 3 10".to_owned(),
    }
}

/// Tells what there is to type, at the beginning.
pub(crate) const HELP: &str = "HELP lists the commands. Nothing is deleted before you say DELE and then QUIT.";

/// Tells how to undo DELE.
pub(crate) const UNDO: &str = "It is deleted at QUIT; RSET undoes that.";

/// Tells how to keep what was retrieved on a server that deletes it.
pub(crate) const KEEP: &str =
    "note: this server deletes at QUIT what was retrieved (EXPIRE 0); leave with Ctrl-C to keep it there";

/// Tells that a deletion was not asked for, and how to do without the question.
pub(crate) fn delete_unasked(number: MessageNumber, account: impl std::fmt::Display) -> String {
    format!(
        "DELE {number} was not sent: it asks first, and there is no terminal to ask on. To let it through: {}",
        this_program(&format!("console {account} --yes"))
    )
}
