//! Sign-in on another device (RFC 8628), where the user types in a code.

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

/// The longest time to wait for the user, whatever the server allows.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The shortest interval between polls of the token endpoint, whatever the server allows.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// A sign-in that waits for the user to type in a code.
pub(crate) struct DeviceSignIn {
    details: StandardDeviceAuthorizationResponse,
    client: TokenClientSettings,
}

/// Requests a device code.
///
/// # Errors
/// [`OAuthError`].
pub(crate) async fn begin(
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
    /// The address at which the user types in the code.
    #[must_use]
    pub(crate) fn address(&self) -> Cow<'_, str> {
        self.details.verification_uri().as_str().into()
    }

    /// The code for the user.
    #[must_use]
    pub(crate) fn code(&self) -> &str {
        self.details.user_code().secret()
    }

    /// How long the code can be used.
    #[must_use]
    pub(crate) fn time(&self) -> Duration {
        self.details.expires_in().min(TIMEOUT)
    }

    /// Waits until the user has approved or denied the request, or the code has expired.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub(crate) async fn finish(self, http: &Http) -> Result<Granted, OAuthError> {
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

/// Converts an authorization endpoint to the crate's type.
pub(super) fn authorization_url(endpoint: &ServerUrl) -> AuthUrl {
    AuthUrl::from_url(endpoint.url().clone())
}
