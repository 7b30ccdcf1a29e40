//! What a poll logs in with.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Poll, PollContext, PollError};
use crate::account::{Account, CredentialSource};
use crate::client::ClientError;
use crate::credential::Credential;
use crate::oauth::refresh::{TokenOf, access_token};
use crate::oauth::tokens::TokenTimes;
use crate::pop3::Refusal;
use crate::secret::Secret;
use crate::threads::NotDone;
use crate::watch;

/// An access token that was refused so soon after it was had is not worth another one.
const SOON: Duration = Duration::from_secs(60);

/// When the end is asked for, a refresh that is under way has so long: what it brings would be lost.
const TO_THE_END: Duration = Duration::from_secs(15);

/// A credential, and where it comes from.
pub(crate) struct Obtained {
    pub(crate) credential: Credential,
    /// Of a token that comes from a sign-in: its times.
    pub(super) token: Option<TokenTimes>,
    /// It has just come from the authorization server.
    is_new: bool,
    since: Instant,
}

/// Gets what the account logs in with. `refused` is an access token that the server did not take.
pub(crate) async fn obtain(
    context: &PollContext,
    account: &Account,
    refused: Option<Secret>,
    stop: &CancellationToken,
) -> Result<Obtained, PollError> {
    let since = Instant::now();
    let CredentialSource::OAuth(settings) = &account.credential else {
        let secret = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(PollError::Stopped),
            secret = account.credential.obtain(&context.credentials) => secret?,
        };
        let credential = if account.uses_token { Credential::Token(secret) } else { Credential::Password(secret) };
        return Ok(Obtained { credential, token: None, is_new: true, since });
    };
    let of = TokenOf::account(account, settings);
    // A task of its own: it goes on when nobody waits for it any more.
    let mut refresh = watch::spawn(access_token(context.of_process(), of, refused));
    let tokens = tokio::select! {
        biased;
        tokens = &mut refresh => tokens.map_err(|e| NotDone::from(e).doing("refresh the access token"))??,
        () = stop.cancelled() => {
            let _ = tokio::time::timeout(TO_THE_END, refresh).await;
            return Err(PollError::Stopped);
        }
    };
    let is_new = context.clock.read().wall.saturating_sub(tokens.renewed) < i64::try_from(SOON.as_secs()).unwrap_or(0);
    Ok(Obtained { token: Some(tokens.times()), credential: Credential::Token(tokens.access), is_new, since })
}

impl Poll {
    /// Gets what the account logs in with, and the places for a session with it. Who has to wait for it does so without a
    /// place, so that nobody else waits.
    pub(super) async fn obtain(&mut self, refused: Option<Secret>) -> Result<Obtained, PollError> {
        let obtaining = obtain(&self.context, &self.account, refused, &self.stop);
        if !self.account.credential.may_take_long() {
            return obtaining.await;
        }
        let begun = Instant::now();
        let Some(obtained) = watch::without_places(obtaining).await else {
            return Err(PollError::CredentialTakesLong { waited: begun.elapsed() });
        };
        let obtained = obtained?;
        let begun = Instant::now();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(PollError::Stopped),
            () = watch::have_places() => {}
        }
        // To wait for its turn is no part of a poll.
        self.begun += begun.elapsed();
        Ok(obtained)
    }
}

impl Obtained {
    /// Whether this end of a poll may be that of the access token, and another one can be had.
    pub(super) fn may_have_ended(&self, end: &PollError) -> bool {
        let refused = matches!(end, PollError::Client(ClientError::Login { refusal: Refusal::Credentials, .. }));
        let is_token = matches!(self.credential, Credential::Token(_));
        refused && is_token && (!self.is_new || self.since.elapsed() >= SOON)
    }
}
