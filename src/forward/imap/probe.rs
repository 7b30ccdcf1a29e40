//! Whether an IMAP server would take mail. Nothing is made and nothing is appended.

use super::secret;
use super::session::Session;
use crate::account::ImapDestination;
use crate::forward::error::ForwardError;
use crate::forward::pass::{Pass, words};
use crate::forward::report::Probed;

/// Connects, logs in and looks at the mailbox.
pub(in crate::forward) async fn probe(pass: &Pass, to: &ImapDestination) -> Result<Probed, ForwardError> {
    let secret = secret(pass, to).await?;
    let mut session = Session::open(&pass.context.dialer, to, &secret, pass.patience).await?;
    let found = match session.examine(&to.mailbox).await? {
        Ok(_) => Probed::Takes,
        Err(refused) if ["NONEXISTENT", "TRYCREATE"].iter().any(|code| refused.code(code).is_some()) => {
            Probed::NoMailboxYet { response: None }
        }
        Err(refused) => Probed::NoMailboxYet { response: Some(words(&refused.words())) },
    };
    session.log_out().await;
    Ok(found)
}
