//! Signing in with another device (RFC 8628): a code is typed in there.

use std::borrow::Cow;
use std::time::Duration;

use oauth2::basic::BasicErrorResponse;
use oauth2::{AuthUrl, DeviceAuthorizationUrl, RequestTokenError, Scope, StandardDeviceAuthorizationResponse};
use tokio::time::timeout;

use super::error::OAuthError;
use super::sender::Sender;
use super::token_request::{Granted, TokenClientSettings, error, granted};
use crate::account::server_url::ServerUrl;
use crate::https::{Http, HttpError, Repeat};
use crate::secret::Secret;

/// A device code is waited for no longer than this, whatever the server says.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The server is not asked more often than this, whatever it says.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// A sign-in that waits for somebody to type in a code.
pub struct DeviceSignIn {
    details: StandardDeviceAuthorizationResponse,
    client: TokenClientSettings,
}

/// Asks for a code.
///
/// # Errors
/// [`OAuthError`].
pub async fn begin(
    http: &Http,
    client: &TokenClientSettings,
    endpoint: &ServerUrl,
    scope: Option<&str>,
) -> Result<DeviceSignIn, OAuthError> {
    let send = Sender::new(http, Repeat::WhileTemporary);
    let with_endpoint =
        client.client().set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint.url().clone()));
    let scopes = scope.unwrap_or_default().split_ascii_whitespace().map(|word| Scope::new(word.to_owned()));
    let mut request = with_endpoint.exchange_device_code().add_scopes(scopes);
    if let Some(resource) = &client.resource {
        request = request.add_extra_param("resource", resource);
    }
    let asked: Result<_, RequestTokenError<HttpError, BasicErrorResponse>> = request.request_async(&send).await;
    let details = asked.map_err(|e| error(e, &client.secrets([])))?;
    Ok(DeviceSignIn { details, client: client.clone() })
}

impl DeviceSignIn {
    /// Where the code is typed in.
    #[must_use]
    pub fn address(&self) -> Cow<'_, str> {
        self.details.verification_uri().as_str().into()
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.details.user_code().secret()
    }

    /// How long it can be typed in.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.details.expires_in().min(TIMEOUT)
    }

    /// Waits until somebody has typed it in and said yes, no, or nothing.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn finish(self, http: &Http) -> Result<Granted, OAuthError> {
        let send = Sender::new(http, Repeat::Never);
        let sleep = |interval: Duration| tokio::time::sleep(interval.max(LEAST_INTERVAL));
        let client = self.client.client();
        let waiting = client.exchange_device_access_token(&self.details).request_async(&send, sleep, Some(self.time()));
        let response =
            timeout(self.time() + Duration::from_secs(30), waiting).await.map_err(|_| OAuthError::TooLate)?;
        let code = Secret::new(self.details.device_code().secret().as_bytes().to_vec());
        granted(&response.map_err(|e| error(e, &self.client.secrets([&code])))?)
    }
}

/// The address to which the browser of an authorization request goes.
pub(super) fn authorization_url(endpoint: &ServerUrl) -> AuthUrl {
    AuthUrl::from_url(endpoint.url().clone())
}
