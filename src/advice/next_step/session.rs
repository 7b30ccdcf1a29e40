//! Sessions with a server.

use super::{Step, TRY_LATER, login, network, protocol};
use crate::advice::refusals::When;
use crate::client::ClientError;
use crate::client::error::{TooLong, TooLongFor};
use crate::pop3::judge_access;

pub(super) fn step(error: &ClientError) -> Step {
    let step = match error {
        ClientError::Net(e) => return network::step(e),
        ClientError::Lost { .. }
        | ClientError::NoGreeting
        | ClientError::Closed
        | ClientError::TooSlow { .. }
        | ClientError::UniqueIdsRefused => TRY_LATER,
        ClientError::Silence { .. } => "Try again later, or allow it more time with `timeout`",
        ClientError::Framing(e) => protocol::framing(e),
        ClientError::Unwilling { provider, response } => {
            return Some(login::access(*provider, When::Greeting, response));
        }
        ClientError::Goodbye { provider, response, .. } => {
            return Some(login::access(*provider, When::Behind, response));
        }
        ClientError::DownloadLimit { provider, response } => {
            return Some(login::access(*provider, When::Retrieval, response));
        }
        ClientError::SpeaksTls { .. } => "Set tls = \"implicit\", or give the plaintext port, usually 110",
        ClientError::NoStls { .. } => "Use tls = \"implicit\" with port 995 if the server has it",
        ClientError::Cleartext { .. } => {
            "Set tls = \"implicit\" or \"starttls\", or set allow_cleartext_password = true if you really want that"
        }
        ClientError::Sasl { .. } => return None,
        ClientError::NoLogin(e) => login::no_method(*e),
        ClientError::NotOffered(e) => login::not_offered(&e.wanted, &e.offered),
        ClientError::Login { provider, asked, response, refusal, blanks } => {
            return Some(login::refused(*provider, *asked, response, *refusal, *blanks));
        }
        ClientError::Refused { provider, response, .. } => match judge_access(response) {
            Some(_) => return Some(login::access(*provider, When::Behind, response)),
            None => "Run with -v and ask its operator",
        },
        ClientError::NoUniqueIds => "Set leave_on_server = false to fetch and delete",
        ClientError::ListedTooMuch { .. } if error.is_too_much_alone() => {
            "Delete mail there, or move it out of the mailbox that POP3 shows"
        }
        ClientError::ListedTooMuch { .. } => TRY_LATER,
        ClientError::TooLong(e) => return too_long(e),
        ClientError::Send(e) => protocol::sending(e),
    };
    Some(step.into())
}

fn too_long(error: &TooLong) -> Step {
    match error.because {
        TooLongFor::Account => Some("To fetch it, raise max_message_size".into()),
        TooLongFor::FreeSpace => Some("To fetch it, free some space for the Maildir".into()),
        TooLongFor::Listing | TooLongFor::Header => None,
    }
}
