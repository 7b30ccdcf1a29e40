//! The state of a session.

use std::fmt;

/// The state of a session (RFC 1939, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The server has not spoken yet.
    Greeting,
    /// Before the login: AUTHORIZATION.
    Authorization,
    /// After the login: TRANSACTION.
    Transaction,
    /// QUIT was sent after the login, and the server removes the marked messages: UPDATE.
    Update,
    /// QUIT was answered, the server refused the connection, or a framing error ended the session.
    Closed,
}

impl fmt::Display for SessionState {
    /// Completes "the command cannot be sent".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "before the greeting",
            Self::Authorization => "before the login",
            Self::Transaction => "after the login",
            Self::Update => "after QUIT",
            Self::Closed => "after the end of the session",
        })
    }
}
