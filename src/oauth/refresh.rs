//! Provides the access token for a poll: the stored one while it is valid, else a new one.
//!
//! 1. Lock `ACCOUNT.token` and read it again, because another process may have refreshed it.
//! 2. Exchange the refresh token.
//! 3. Make the new tokens durable.
//! 4. Only then use the access token.
//!
//! A kill before step 3 leaves the old refresh token, which most servers accept for a while longer; one after it leaves
//! the new one.

use std::pin::Pin;
use std::sync::Arc;

use super::error::OAuthError;
use super::sign_in::refresh_end;
use super::store;
use super::token_request::TokenClientSettings;
use super::tokens::{JITTER, Judgement, Tokens};
use crate::account::server_url::ServerUrl;
use crate::account::{Account, AccountName, CredentialSource, OAuthSettings, Route};
use crate::credential::{CredentialEnvironment, CredentialError};
use crate::https::Http;
use crate::process_context::ProcessContext;
use crate::secret::Secret;
use crate::watch::blocking;

/// The owner of a token.
#[derive(Debug, Clone)]
pub(crate) struct TokenOf {
    /// The account.
    pub account: AccountName,
    /// The name with which it logs in.
    pub username: String,
    /// How it obtains tokens.
    pub settings: Arc<OAuthSettings>,
    /// How its servers are reached.
    pub route: Route,
}

/// Returns the tokens of an account, with a valid access token. `refused` is one that the mail server rejected, which
/// is replaced.
///
/// The future must not be dropped before it completes: that could lose a refresh token that the server has just issued
/// in place of the old one. Spawn it.
///
/// # Errors
/// [`OAuthError`]. After an `invalid_grant` it is [`OAuthError::SignInAgain`], without asking the server, until the
/// user signs in again.
pub(crate) async fn access_token(
    context: ProcessContext,
    of: TokenOf,
    refused: Option<Secret>,
) -> Result<Tokens, OAuthError> {
    let jitter = fastrand::i64(0..=JITTER);
    let read = {
        let (context, account) = (context.clone(), of.account.clone());
        blocking(move || store::read(&*context.disk, &context.state_dir, &account)).await??
    };
    let tokens = read.ok_or_else(|| OAuthError::NotSignedIn { account: of.account.clone() })?;
    if of.is_good(&tokens, context.clock.read().wall, jitter, refused.as_ref())? {
        return Ok(tokens);
    }
    let (locked, account) = (context.clone(), of.account.clone());
    let (lock, again) = blocking(move || {
        let lock = store::lock(&*locked.disk, &locked.state_dir, &account, &locked.holder)?;
        let tokens = store::read(&*locked.disk, &locked.state_dir, &account)?;
        Ok::<_, OAuthError>((lock, tokens))
    })
    .await??;
    let tokens = again.ok_or_else(|| OAuthError::NotSignedIn { account: of.account.clone() })?;
    if of.is_good(&tokens, context.clock.read().wall, jitter, refused.as_ref())? {
        return Ok(tokens);
    }
    let refreshed = of.refresh(&context, &tokens).await;
    let now = context.clock.read().wall;
    let (keep, result) = match refreshed {
        Ok(new) => (Some(new.clone()), Ok(new)),
        Err(OAuthError::Refused { code, description }) if ends_the_sign_in(&code) => {
            let why = of.why_ended(&tokens, &code, description.as_deref(), now);
            let ended = Tokens { ended: Some(why.clone()), ..tokens };
            (Some(ended), Err(OAuthError::SignInAgain { account: of.account.clone(), why }))
        }
        // It was to be replaced before it expires, and has not expired yet.
        Err(e) if e.is_temporary() && refused.as_ref() != Some(&tokens.access) && tokens.left(now) > 0 => {
            tracing::warn!("{e}. The token at hand is used meanwhile");
            (None, Ok(tokens))
        }
        Err(e) => (None, Err(e)),
    };
    if let Some(tokens) = keep {
        let (disk, dir, account) = (Arc::clone(&context.disk), context.state_dir.clone(), of.account.clone());
        blocking(move || store::write(&*disk, &dir, &account, &tokens)).await??;
    }
    drop(lock);
    result
}

/// Obtains the client secret.
fn client_secret(source: CredentialSource, environment: CredentialEnvironment) -> Obtaining {
    Box::pin(async move { source.obtain(&environment).await })
}

/// A secret that is being obtained.
type Obtaining = Pin<Box<dyn Future<Output = Result<Secret, CredentialError>> + Send>>;

/// Whether a refusal means that only a person can renew the grant (RFC 6749, section 5.2, and OpenID Connect Core 1.0,
/// section 3.1.2.6).
fn ends_the_sign_in(code: &str) -> bool {
    matches!(code, "invalid_grant" | "interaction_required" | "login_required" | "consent_required")
}

impl TokenOf {
    /// The token of an account.
    #[must_use]
    pub(crate) fn account(account: &Account, settings: &Arc<OAuthSettings>) -> Self {
        Self {
            account: account.name.clone(),
            username: account.username.clone(),
            settings: Arc::clone(settings),
            route: account.endpoint.route.clone(),
        }
    }

    /// Whether the access token can be used. Otherwise it is to be refreshed.
    fn is_good(&self, tokens: &Tokens, now: i64, jitter: i64, refused: Option<&Secret>) -> Result<bool, OAuthError> {
        let again = |why: String| OAuthError::SignInAgain { account: self.account.clone(), why };
        if let Some(why) = self.made_for_another(tokens) {
            return Err(again(why));
        }
        match tokens.judge(now, jitter, refused) {
            Judgement::Good => Ok(true),
            Judgement::Refresh => Ok(false),
            Judgement::Ended => Err(again(tokens.ended.clone().unwrap_or_default())),
            Judgement::NothingLeft => {
                Err(again("its access token has ended, and the server had given no refresh token".to_owned()))
            }
        }
    }

    /// Returns why the tokens must not be used with the present configuration.
    fn made_for_another(&self, tokens: &Tokens) -> Option<String> {
        let settings = &self.settings;
        if tokens.username != self.username {
            return Some(format!("it was for the mailbox {}", super::error::shown(&tokens.username)));
        }
        if settings.client_id.as_ref().is_some_and(|id| *id != tokens.client_id) {
            return Some("it was with another `client_id`".to_owned());
        }
        if settings.token_endpoint.as_ref().is_some_and(|endpoint| endpoint.as_str() != tokens.token_endpoint) {
            return Some(format!("it was at {}", super::error::shown(&tokens.token_endpoint)));
        }
        None
    }

    async fn refresh(&self, context: &ProcessContext, tokens: &Tokens) -> Result<Tokens, OAuthError> {
        let again = |why: &str| OAuthError::SignInAgain { account: self.account.clone(), why: why.to_owned() };
        let Some(refresh) = &tokens.refresh else { return Err(again("there is no refresh token")) };
        let secret = match (&tokens.registered_secret, &self.settings.client_secret) {
            (Some(secret), _) => Some(secret.clone()),
            (None, Some(source)) => Some(client_secret(source.clone(), context.credentials.clone()).await?),
            (None, None) => None,
        };
        let client = TokenClientSettings {
            token_endpoint: ServerUrl::new(&tokens.token_endpoint).map_err(|_| again("its file is damaged"))?,
            client_id: tokens.client_id.clone(),
            client_secret: secret,
            basic_auth: tokens.basic_auth,
            resource: self.settings.resource.clone(),
        };
        let http = Http::new(Arc::clone(&context.dialer), self.settings.tls_ca_file.clone()).by(self.route.clone());
        let granted = client.refresh(&http, refresh).await?;
        let now = context.clock.read().wall;
        let lifetime = self.settings.preset.and_then(|preset| preset.refresh_lifetime);
        let known = refresh_end(granted.refresh_expires_in, lifetime, now);
        // The end that the server gave for a refresh token holds as long as the token is not replaced.
        let stays = tokens.refresh_end_is_fixed && granted.refresh.is_none() && granted.refresh_expires_in.is_none();
        Ok(Tokens {
            access: granted.access,
            access_expires: granted.expires_in.map(|seconds| now.saturating_add(seconds)),
            refresh_expires: if stays { tokens.refresh_expires } else { known },
            refresh_end_is_fixed: stays || granted.refresh_expires_in.is_some(),
            refresh: granted.refresh.or_else(|| tokens.refresh.clone()),
            scope: granted.scope.or_else(|| tokens.scope.clone()),
            renewed: now,
            ended: None,
            ..tokens.clone()
        })
    }

    /// Describes why the sign-in ended: the server's response and the probable cause.
    fn why_ended(&self, tokens: &Tokens, code: &str, description: Option<&str>, now: i64) -> String {
        const DAY: i64 = 24 * 60 * 60;
        let said = description.map(|words| format!(" ({words})")).unwrap_or_default();
        let since = now.saturating_sub(tokens.signed_in) / DAY;
        let unused = now.saturating_sub(tokens.renewed) / DAY;
        let probably = match self.settings.preset.map(|preset| preset.id) {
            Some("google") if (6..=8).contains(&since) => {
                "; a sign-in with a Google project that is in testing lasts for 7 days: publish the project"
            }
            Some("google") if unused >= 180 => "; Google ends what is not used for six months",
            Some("microsoft") if unused >= 90 => "; Microsoft ends what is not used for 90 days",
            _ => "; a changed password, a revoked permission or a long time without use does that",
        };
        format!("the server answered {code}{said}{probably}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::RealClock;
    use crate::disk::RealDisk;
    use crate::net::{Dialer, NetLimits};
    use crate::oauth::tokens::tests::tokens;

    const ANSWER: &str =
        r#"{"access_token": "access-2", "token_type": "bearer", "expires_in": 3600, "refresh_token": "refresh-2"}"#;

    /// Starts a slow token endpoint. Returns its URL and the count of its requests.
    async fn endpoint() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/token", listener.local_addr().unwrap().port());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = connection.read(&mut [0; 4096]).await;
                // Long enough for all the others to arrive.
                tokio::time::sleep(Duration::from_millis(200)).await;
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        (url, asked)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_that_want_a_new_token_one_asks() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("work").unwrap();
        let (token_endpoint, asked) = endpoint().await;
        let ended = Tokens { token_endpoint, access_expires: Some(1), ..tokens() };
        store::write(&RealDisk, dir.path(), &account, &ended).unwrap();
        let context = ProcessContext {
            dialer: Arc::new(Dialer::new(NetLimits::default())),
            disk: Arc::new(RealDisk),
            clock: Arc::new(RealClock::new()),
            state_dir: dir.path().to_owned(),
            credentials: CredentialEnvironment::default(),
            holder: "a test".to_owned(),
            shared: Arc::default(),
        };
        let settings = OAuthSettings {
            preset: None,
            issuer: None,
            authorization_endpoint: None,
            token_endpoint: None,
            device_authorization_endpoint: None,
            registration_endpoint: None,
            client_id: None,
            client_secret: None,
            scope: None,
            redirect: "http://127.0.0.1".to_owned(),
            resource: None,
            tls_ca_file: None,
        };
        let of = TokenOf {
            account: account.clone(),
            username: ended.username.clone(),
            settings: Arc::new(settings),
            route: Route::default(),
        };
        let all: Vec<_> = (0..6)
            .map(|_| tokio::spawn(access_token(context.clone(), of.clone(), Some(ended.access.clone()))))
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap().unwrap().access.expose(), b"access-2");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "of two with one refresh token the second looks like a theft");
        let kept = store::read(&RealDisk, dir.path(), &account).unwrap().unwrap();
        assert_eq!(kept.refresh.unwrap().expose(), b"refresh-2");
    }
}
