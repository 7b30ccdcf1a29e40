//! A destination that mail goes on to.

use super::{Step, credential, network, sign_in, state};
use crate::account::AccountName;
use crate::command_line::this_program;
use crate::forward::ForwardError;

pub(crate) fn step(error: &ForwardError, account: &AccountName) -> Step {
    match error {
        ForwardError::State(e) => state::step(e, account),
        ForwardError::Net(e) => network::step(e),
        ForwardError::Credential(e) => credential::step(e),
        ForwardError::OAuth(e) => sign_in::step(e, account),
        ForwardError::Login { .. } => {
            Some(format!("Check `username` and the password in [accounts.{account}.forward]").into())
        }
        ForwardError::Refused { lasting: true, .. } => Some(format!("Check [accounts.{account}.forward]").into()),
        ForwardError::Full { .. } => Some("The daemon tries it again every hour".into()),
        ForwardError::Cleartext => Some("Write tls = \"implicit\" or tls = \"starttls\" for the destination".into()),
        ForwardError::Command { what, .. } if what.starts_with("is not there") => {
            Some("Install it, or write its whole path".into())
        }
        ForwardError::Command { .. } => Some("Run it by hand with a message on its standard input to see why".into()),
        ForwardError::Protocol { what, .. } if what.starts_with("+OK") => Some(
            format!(
                "That is a POP3 server; IMAP is usually at port 993. Check host, port and tls in \
                 [accounts.{account}.forward]"
            )
            .into(),
        ),
        ForwardError::Protocol { .. } => {
            Some(format!("Check host, port and tls in [accounts.{account}.forward]").into())
        }
        ForwardError::Busy { .. } => {
            Some(format!("Try later; {} waits for it", this_program(&format!("forward {account}"))).into())
        }
        ForwardError::Spool { .. }
        | ForwardError::Wire { .. }
        | ForwardError::Refused { lasting: false, .. }
        | ForwardError::Stopped
        | ForwardError::Unanswered { .. }
        | ForwardError::Work(_) => None,
    }
}
