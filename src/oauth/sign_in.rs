//! The sign-in: the client, the way through the browser, and what must be granted before anything is kept.

use std::time::Duration;

use oauth2::{AuthUrl, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::callback::Expected;
use super::device::{self, DeviceSignIn};
use super::error::{MissingWay, OAuthError};
use super::identity;
use super::loopback::Loopback;
use super::metadata::{self, Metadata};
use super::registration;
use super::token_request::{Granted, TokenClientSettings};
use super::tokens::Tokens;
use crate::account::OAuthSettings;
use crate::account::preset::{Device, Preset};
use crate::account::server_url::ServerUrl;
use crate::credential::CredentialEnvironment;
use crate::https::Http;
use crate::secret::Secret;

/// How long the user may take to give consent.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// After this many pasted texts that are not the expected URL, the sign-in fails.
const MOST_PASTED: u32 = 10;

/// Scopes that do not concern the mailbox; servers do not report that they granted them.
const ABOUT_THE_SIGN_IN: [&str; 4] = ["offline_access", "openid", "email", "profile"];

/// A client that can sign in.
#[derive(Debug)]
pub(crate) struct SignIn {
    http: Http,
    preset: Option<&'static Preset>,
    client: TokenClientSettings,
    /// Whether the client was registered just now, so that its identifier and secret are in no configuration.
    registered: bool,
    authorization_endpoint: Option<ServerUrl>,
    device_authorization_endpoint: Option<ServerUrl>,
    scope: Option<String>,
    redirect: String,
    issuer: Option<String>,
    sends_iss: bool,
}

impl SignIn {
    /// Fetches the server's metadata if the settings need it, and registers the client if it has no identifier.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub(crate) async fn prepare(
        http: Http,
        settings: &OAuthSettings,
        environment: &CredentialEnvironment,
    ) -> Result<Self, OAuthError> {
        let told = match &settings.issuer {
            Some(issuer) if settings.token_endpoint.is_none() || settings.client_id.is_none() => {
                Some(metadata::fetch(&http, issuer).await?)
            }
            _ => None,
        };
        let or_told = |given: &Option<ServerUrl>, told_of: fn(&Metadata) -> &Option<ServerUrl>| {
            given.clone().or_else(|| told.as_ref().and_then(|told| told_of(told).clone()))
        };
        let token_endpoint = or_told(&settings.token_endpoint, |told| &told.token_endpoint).ok_or_else(|| {
            OAuthError::Unintelligible {
                what: "complete metadata (RFC 8414)",
                why: "it has no token_endpoint".to_owned(),
            }
        })?;
        let mut client_secret = match &settings.client_secret {
            Some(source) => Some(source.obtain(environment).await?),
            None => None,
        };
        let (client_id, registered) = match &settings.client_id {
            Some(client_id) => (client_id.clone(), false),
            None => {
                let endpoint = or_told(&settings.registration_endpoint, |told| &told.registration_endpoint);
                let endpoint = endpoint.ok_or_else(|| no_client(settings.preset))?;
                let scope = settings.scope.as_deref();
                let registered = registration::register(&http, &endpoint, &settings.redirect, scope).await?;
                client_secret = registered.client_secret;
                (registered.client_id, true)
            }
        };
        let known = settings.preset.and_then(|preset| preset.issuer);
        let client = TokenClientSettings {
            token_endpoint,
            client_id,
            client_secret,
            basic_auth: told.as_ref().is_some_and(|told| told.basic_auth),
            resource: settings.resource.clone(),
        };
        Ok(Self {
            preset: settings.preset,
            client,
            registered,
            authorization_endpoint: or_told(&settings.authorization_endpoint, |told| &told.authorization_endpoint),
            device_authorization_endpoint: or_told(&settings.device_authorization_endpoint, |told| {
                &told.device_authorization_endpoint
            }),
            scope: settings.scope.clone(),
            redirect: settings.redirect.clone(),
            issuer: settings.issuer.as_ref().map(|issuer| issuer.as_str().to_owned()).or(known.map(str::to_owned)),
            sends_iss: told.as_ref().is_some_and(|told| told.sends_iss) || known.is_some(),
            http,
        })
    }

    /// Begins a sign-in with a browser; `hint` is the name of the mailbox.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub(crate) async fn browser(&self, hint: &str) -> Result<BrowserSignIn<'_>, OAuthError> {
        let missing = OAuthError::NoSuchWay(MissingWay::Browser);
        let endpoint = self.authorization_endpoint.as_ref().ok_or(missing)?;
        let cannot_listen =
            |e| OAuthError::Callback { why: format!("nothing can listen at {} here: {e}", self.redirect) };
        let (listener, redirect) = match Loopback::bind(&self.redirect).await.map_err(cannot_listen)? {
            Some((listener, redirect)) => (Some(listener), redirect),
            None => (None, self.redirect.clone()),
        };
        let no_redirect = |_| OAuthError::NoSuchWay(MissingWay::Redirect);
        let redirect = RedirectUrl::new(redirect).map_err(no_redirect)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client.client().set_auth_uri(device::authorization_url(endpoint) as AuthUrl);
        let scopes = self.scope.as_deref().unwrap_or_default().split_ascii_whitespace();
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .add_scopes(scopes.map(|word| Scope::new(word.to_owned())))
            .set_redirect_uri(std::borrow::Cow::Borrowed(&redirect))
            .set_pkce_challenge(challenge);
        let parameters = self.preset.map(|preset| preset.parameters).unwrap_or_default();
        for (name, value) in parameters {
            request = request.add_extra_param(*name, *value);
        }
        if let Some(resource) = &self.client.resource {
            request = request.add_extra_param("resource", resource);
        }
        let (url, state) = request.add_extra_param("login_hint", hint).url();
        let expected = Expected {
            redirect: redirect.url().clone(),
            state: Secret::new(state.secret().as_bytes().to_vec()),
            issuer: self.issuer.clone(),
            sends_iss: self.sends_iss,
        };
        Ok(BrowserSignIn { of: self, url, listener, expected, redirect, verifier })
    }

    /// Begins a sign-in on another device.
    ///
    /// # Errors
    /// [`OAuthError`]; [`OAuthError::NoSuchWay`], with the reason, if the server has no device codes.
    pub(crate) async fn device(&self) -> Result<DeviceSignIn, OAuthError> {
        device::begin(&self.http, &self.client, self.offers_device()?, self.scope.as_deref()).await
    }

    /// Returns where a device code is asked for.
    ///
    /// # Errors
    /// [`OAuthError::NoSuchWay`] where the server has none, with the reason.
    pub(crate) fn offers_device(&self) -> Result<&ServerUrl, OAuthError> {
        self.device_authorization_endpoint.as_ref().ok_or_else(|| {
            let known = match self.preset.map(|preset| (preset.name, preset.device)) {
                Some((name, Device::None(why))) => Some((name, why)),
                _ => None,
            };
            OAuthError::NoSuchWay(MissingWay::Device { known })
        })
    }

    /// The HTTP client for requests to the authorization server.
    #[must_use]
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Returns the tokens to keep if what was granted is sufficient; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`OAuthError::Scope`], [`OAuthError::NoRefreshToken`].
    pub(crate) fn tokens(&self, granted: Granted, username: &str, now: i64) -> Result<Tokens, OAuthError> {
        let missing = self.missing(granted.scope.as_deref());
        if !missing.is_empty() {
            return Err(OAuthError::Scope { missing: missing.join(" ") });
        }
        if granted.refresh.is_none() && granted.expires_in.is_some() {
            return Err(OAuthError::NoRefreshToken);
        }
        let lifetime = self.preset.and_then(|preset| preset.refresh_lifetime);
        let end = |seconds: i64| now.saturating_add(seconds);
        Ok(Tokens {
            username: username.to_owned(),
            client_id: self.client.client_id.clone(),
            registered_secret: self.client.client_secret.clone().filter(|_| self.registered),
            token_endpoint: self.client.token_endpoint.as_str().to_owned(),
            basic_auth: self.client.basic_auth,
            scope: granted.scope.or_else(|| self.scope.clone()),
            access: granted.access,
            access_expires: granted.expires_in.map(end),
            refresh_end_is_fixed: granted.refresh_expires_in.is_some(),
            refresh_expires: refresh_end(granted.refresh_expires_in, lifetime, now),
            refresh: granted.refresh,
            renewed: now,
            signed_in: now,
            ended: None,
        })
    }

    /// Returns the scopes that were requested but not granted. Without a scope in the response, all were (RFC 6749,
    /// section 5.1).
    fn missing(&self, granted: Option<&str>) -> Vec<&str> {
        let Some(granted) = granted else { return Vec::new() };
        let same = |one: &str, other: &str| one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'));
        let is_granted = |word: &&str| granted.split_ascii_whitespace().any(|given| same(given, word));
        let asked = self.scope.as_deref().unwrap_or_default().split_ascii_whitespace();
        asked.filter(|word| !ABOUT_THE_SIGN_IN.contains(word)).filter(|word| !is_granted(word)).collect()
    }
}

/// Returns when a refresh token expires: as the server says, or else by the known lifetime of unused ones.
pub(super) fn refresh_end(told: Option<i64>, unused: Option<Duration>, now: i64) -> Option<i64> {
    let unused = unused.and_then(|time| i64::try_from(time.as_secs()).ok());
    told.or(unused).map(|seconds| now.saturating_add(seconds))
}

/// Returns the address of the mailbox that was granted, if the server gives it and it is not the expected one.
#[must_use]
pub(crate) fn other_mailbox(granted: &Granted, username: &str) -> Option<String> {
    let address = identity::address(granted.id_token.as_ref()?)?;
    let differs = username.contains('@') && !address.eq_ignore_ascii_case(username);
    differs.then(|| super::error::shown(&address))
}

fn no_client(preset: Option<&'static Preset>) -> OAuthError {
    OAuthError::NoClient { registration: preset.map(|preset| preset.registration) }
}

/// A sign-in that waits for the browser.
pub(crate) struct BrowserSignIn<'a> {
    of: &'a SignIn,
    /// The URL to open in the browser.
    pub url: Url,
    listener: Option<Loopback>,
    expected: Expected,
    redirect: RedirectUrl,
    verifier: PkceCodeVerifier,
}

impl BrowserSignIn<'_> {
    /// The port on which the response is awaited. None: it must be pasted.
    #[must_use]
    pub(crate) fn port(&self) -> Option<u16> {
        self.listener.as_ref().and(self.expected.redirect.port())
    }

    /// The redirection URI.
    #[must_use]
    pub(crate) fn redirect(&self) -> &str {
        self.redirect.as_str()
    }

    /// Waits for the response, which comes through the browser or is pasted, and exchanges its code for tokens. Pasted
    /// text that is not the expected URL is passed to `on_error`, and another is awaited. Once `pasted` is closed, the
    /// browser is awaited only if nothing was pasted and `is_to_be_pasted` is false.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub(crate) async fn finish(
        self,
        pasted: mpsc::Receiver<String>,
        is_to_be_pasted: bool,
        on_error: impl FnMut(&OAuthError),
    ) -> Result<Granted, OAuthError> {
        let Self { of, listener, expected, redirect, verifier, .. } = self;
        let code = timeout(TIMEOUT, answer(listener, &expected, pasted, is_to_be_pasted, on_error)).await;
        let code = code.map_err(|_| OAuthError::TooLate)??;
        of.client.exchange_code(&of.http, &code, verifier, &redirect).await
    }
}

async fn answer(
    listener: Option<Loopback>,
    expected: &Expected,
    mut pasted: mpsc::Receiver<String>,
    is_to_be_pasted: bool,
    mut on_error: impl FnMut(&OAuthError),
) -> Result<Secret, OAuthError> {
    let listens = listener.is_some();
    let through_browser = async {
        match listener {
            Some(listener) => listener.answer(expected).await,
            None => std::future::pending().await,
        }
    };
    let by_hand = async {
        let mut tries = 0;
        while let Some(text) = pasted.recv().await {
            let is_address = Url::parse(text.trim()).is_ok_and(|url| expected.is_answer(&url));
            tries += 1;
            match expected.pasted(&text) {
                Err(e) if !is_address && tries < MOST_PASTED => on_error(&e),
                done => return done,
            }
        }
        if listens && tries == 0 && !is_to_be_pasted {
            // There is nobody to paste, but the browser may still respond.
            std::future::pending::<()>().await;
        }
        Err(OAuthError::Callback { why: "no address was pasted".to_owned() })
    };
    tokio::select! {
        url = through_browser => match url {
            Some(url) => expected.code(&url),
            None => Err(OAuthError::Callback { why: "nothing could be listened to any more".to_owned() }),
        },
        code = by_hand => code,
    }
}
