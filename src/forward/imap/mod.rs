//! Appends mail to a mailbox on an IMAP server, each message once.
//!
//! Before APPEND is sent, an intent with the mailbox's UIDVALIDITY and UIDNEXT is durable. If the answer is lost, the
//! message is there under a UID from that UIDNEXT on, or not at all: the next pass looks at those UIDs ([`survey`]),
//! and appends the message only if its bytes are not among them ([`recognition`]).

mod append;
mod awaited;
mod login;
mod looks;
mod probe;
mod recognition;
mod refusal;
mod response;
mod session;
mod survey;
mod unreadable;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{debug, info};

use super::error::ForwardError;
use super::pass::Pass;
use crate::account::{AccountName, CredentialSource, ImapDestination};
use crate::client::Redactor;
use crate::oauth::refresh::{TokenOf, access_token};
use crate::process_context::ProcessContext;
use crate::secret::Secret;
use crate::threads::NotDone;
pub(super) use probe::probe;
use worker::{Claims, Worker, is_of_the_look};

/// How many waiting messages make another connection worth its login.
const FOR_EACH: usize = 8;

/// Forwards what waits: over one connection, which keeps the order, or over several if the user wants that and enough
/// messages wait.
pub(super) async fn deliver(pass: &Arc<Pass>, to: &ImapDestination) -> Result<(), ForwardError> {
    let secret = secret(pass, to).await?;
    let redactor = Arc::new(Redactor::new(&to.username, &secret));
    let appended = deliver_with(pass, to, &secret, &redactor).await;
    appended.map_err(|e| e.without_secrets(&redactor))
}

async fn deliver_with(
    pass: &Arc<Pass>,
    to: &ImapDestination,
    secret: &Secret,
    redactor: &Arc<Redactor>,
) -> Result<(), ForwardError> {
    let taken = Claims::join(&pass.context.shared, to);
    let is_last = pass.looks_last();
    if is_last {
        info!("{}: what may have arrived already is looked for behind the other messages", pass.name);
        let worker = Worker::open(pass, to, secret, redactor, taken.clone()).await?;
        append(pass, to, secret, redactor, worker).await?;
    }
    let mut worker = Worker::open(pass, to, secret, redactor, taken).await?;
    match worker.look_for_open_ones().await {
        Ok(()) => append(pass, to, secret, redactor, worker).await,
        // The look has failed again, but holds up no other message.
        Err(e) if is_last && is_of_the_look(&e) => {
            pass.put_off_for(None, e.without_secrets(redactor));
            Ok(())
        }
        Err(e) => {
            pass.end();
            Err(e)
        }
    }
}

/// Appends what waits, with this worker and with as many more as are worth it.
async fn append(
    pass: &Arc<Pass>,
    to: &ImapDestination,
    secret: &Secret,
    redactor: &Arc<Redactor>,
    first: Worker<'_>,
) -> Result<(), ForwardError> {
    let mut others = JoinSet::new();
    let wanted = (pass.left() / FOR_EACH).min(to.connections.saturating_sub(1));
    // Open messages are looked for by one connection alone: two might take the same message for their own. For the same
    // reason several connections append only with UIDPLUS, because without it a look has to find the UIDs. With
    // LITERAL+ nothing has to be waited for: one connection keeps the server as busy as it can be, and several would
    // only wait for each other at the mailbox.
    let pays = first.session.has("UIDPLUS") && !first.session.has("LITERAL+");
    let wanted = if pays { wanted } else { 0 };
    if wanted > 0 {
        first.claims().share();
    }
    for _ in 0..wanted {
        let (pass, to, secret, redactor) = (Arc::clone(pass), to.clone(), secret.clone(), Arc::clone(redactor));
        let taken = first.claims();
        others.spawn(async move {
            match Worker::open(&pass, &to, &secret, &redactor, taken).await {
                Ok(worker) => worker.run().await,
                // The server may allow fewer connections than we want.
                Err(e) => {
                    debug!("another connection could not be had: {}", e.without_secrets(&redactor));
                    Ok(())
                }
            }
        });
    }
    let mut end = first.run().await;
    if end.is_err() {
        pass.end();
    }
    while let Some(ended) = others.join_next().await {
        let ended = ended.map_err(NotDone::from).map_err(|e| ForwardError::Work(e.doing("append messages")));
        end = end.and(ended.and_then(|ended| ended));
    }
    end
}

async fn secret(pass: &Pass, to: &ImapDestination) -> Result<Secret, ForwardError> {
    let context = &pass.context;
    let CredentialSource::OAuth(settings) = &to.credential else {
        return Ok(to.credential.obtain(&context.credentials).await?);
    };
    let account = sign_in_name(&pass.name);
    let (username, settings, route) = (to.username.clone(), Arc::clone(settings), to.endpoint.route.clone());
    let of = TokenOf { account, username, settings, route };
    // A task of its own, so that it completes even if nobody waits for it any more.
    let tokens = tokio::spawn(access_token(ProcessContext::clone(context), of, None)).await;
    Ok(tokens.map_err(|e| ForwardError::Work(NotDone::from(e).doing("refresh the access token")))??.access)
}

/// Returns the name under which the tokens of an account's destination are stored.
#[must_use]
pub fn sign_in_name(account: &AccountName) -> AccountName {
    AccountName::new(&format!("{account}.forward")).unwrap_or_else(|_| account.clone())
}
