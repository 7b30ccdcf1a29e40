//! Checks whether an IMAP server would accept mail. Nothing is created or appended.

use std::sync::Arc;

use super::response::Condition;
use super::secret;
use super::session::Session;
use crate::account::ImapDestination;
use crate::client::Redactor;
use crate::forward::error::ForwardError;
use crate::forward::pass::{Pass, words};
use crate::forward::report::Probed;
use crate::secret::Secret;

/// Connects, logs in and looks at the mailbox. The password is hidden in what the server says.
pub(in crate::forward) async fn probe(pass: &Pass, to: &ImapDestination) -> Result<Probed, ForwardError> {
    let secret = secret(pass, to).await?;
    let redactor = Arc::new(Redactor::new(&to.username, &secret));
    match look(pass, to, &secret, &redactor).await {
        Ok(Probed::NoMailboxYet { response, separator }) => {
            Ok(Probed::NoMailboxYet { response: response.map(|said| redactor.hide(&said)), separator })
        }
        Ok(Probed::NoSuchName { response, separator }) => {
            Ok(Probed::NoSuchName { response: response.map(|said| redactor.hide(&said)), separator })
        }
        Ok(found) => Ok(found),
        Err(e) => Err(e.without_secrets(&redactor)),
    }
}

async fn look(
    pass: &Pass,
    to: &ImapDestination,
    secret: &Secret,
    redactor: &Arc<Redactor>,
) -> Result<Probed, ForwardError> {
    let mut session = Session::open(&pass.context.dialer, to, secret, redactor, pass.timeout).await?;
    let found = match session.examine(&to.mailbox).await? {
        Ok(_) => Probed::Takes,
        Err(refused) => {
            let response = (!is_missing(&refused)).then(|| words(&refused.words()));
            let separator = session.separator().await?.filter(|one| is_other(*one, &to.mailbox));
            match is_impossible(&refused, separator, &to.mailbox) {
                true => Probed::NoSuchName { response, separator },
                false => Probed::NoMailboxYet { response, separator },
            }
        }
    };
    session.log_out().await;
    Ok(found)
}

/// Whether a mailbox name is written for servers with another separator.
fn is_other(separator: char, mailbox: &str) -> bool {
    ['/', '.'].iter().any(|sign| *sign != separator && mailbox.contains(*sign)) && !mailbox.contains(separator)
}

/// Whether no mailbox with this name can be created: the server says so (RFC 5530), or its separator is a dot, and
/// servers with that separator accept no slash in a name.
fn is_impossible(refused: &Condition, separator: Option<char>, mailbox: &str) -> bool {
    refused.code("CANNOT").is_some() || separator == Some('.') && mailbox.contains('/')
}

/// Whether a mailbox could not be opened because it does not exist. Dovecot says so only in its text.
fn is_missing(refused: &Condition) -> bool {
    let says = |words: &str| refused.text.to_ascii_lowercase().contains(words);
    ["NONEXISTENT", "TRYCREATE"].iter().any(|code| refused.code(code).is_some())
        || says("doesn't exist")
        || says("does not exist")
}
