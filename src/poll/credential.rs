//! The credential that a poll logs in with.

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

/// An access token refused this soon after it was obtained is not worth replacing.
const SOON: Duration = Duration::from_secs(60);

/// How long a refresh in flight may go on after a stop is requested, so that its tokens are not lost.
const TO_THE_END: Duration = Duration::from_secs(15);

/// A credential, and when and how it was obtained.
pub(crate) struct Obtained {
    pub(crate) credential: Credential,
    /// The times of a token that comes from a sign-in.
    pub(super) token: Option<TokenTimes>,
    /// The authorization server has just issued it.
    is_new: bool,
    since: Instant,
}

/// Obtains what the account logs in with. `refused` is an access token that the server rejected.
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
    // A task of its own, so that it continues when nobody waits for it any more.
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
    /// Obtains what the account logs in with, then the places for a session. While waiting for a credential that may
    /// take long, the poll holds no place, so that no other account has to wait.
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
        // Waiting for a place does not count as part of the poll.
        self.begun += begun.elapsed();
        Ok(obtained)
    }
}

impl Obtained {
    /// Whether the poll may have ended because the access token did, and another one can be obtained.
    pub(super) fn may_have_ended(&self, end: &PollError) -> bool {
        let refused = matches!(end, PollError::Client(ClientError::Login { refusal: Refusal::Credentials, .. }));
        let is_token = matches!(self.credential, Credential::Token(_));
        refused && is_token && (!self.is_new || self.since.elapsed() >= SOON)
    }
}
