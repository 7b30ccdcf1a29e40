//! Requests to the token endpoint (RFC 6749, sections 4.1.3 and 6), and their results.

use std::borrow::Cow;
use std::fmt;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ErrorResponse,
    ExtraTokenFields, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    StandardErrorResponse, StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};

use super::error::{OAuthError, shown};
use super::sender::Sender;
use crate::account::server_url::ServerUrl;
use crate::https::{Http, HttpError, Repeat};
use crate::secret::Secret;

/// Further fields of token responses.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Extra {
    /// The identity token (OpenID Connect Core 1.0, section 3.1.3.3).
    #[serde(default)]
    id_token: Option<String>,
    /// The lifetime of the refresh token in seconds, which some servers give.
    #[serde(default)]
    refresh_token_expires_in: Option<u64>,
}

/// Omits the contents: in some places an identity token is as good as a password.
impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extra").finish_non_exhaustive()
    }
}

impl ExtraTokenFields for Extra {}

pub(super) type Response = StandardTokenResponse<Extra, BasicTokenType>;

/// The client type of the `oauth2` crate, with a token endpoint.
pub(super) type TokenClient<HasAuth = EndpointNotSet, HasDevice = EndpointNotSet> = Client<
    BasicErrorResponse,
    Response,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    HasAuth,
    HasDevice,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The client and the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct TokenClientSettings {
    /// RFC 6749, section 3.2.
    pub token_endpoint: ServerUrl,
    /// The client identifier.
    pub client_id: String,
    /// The client secret.
    pub client_secret: Option<Secret>,
    /// The secret is sent in a header, not in the body.
    pub basic_auth: bool,
    /// The service for which the token is requested (RFC 8707).
    pub resource: Option<String>,
}

/// The tokens that the endpoint issued.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The access token.
    pub access: Secret,
    /// The lifetime of the access token, in seconds.
    pub expires_in: Option<i64>,
    /// The refresh token, if a new one was issued.
    pub refresh: Option<Secret>,
    /// The lifetime of the refresh token, in seconds.
    pub refresh_expires_in: Option<i64>,
    /// The granted scope, if the server gave it.
    pub scope: Option<String>,
    /// The identity token, not verified.
    pub id_token: Option<Secret>,
}

impl TokenClientSettings {
    /// Builds the crate's client.
    pub(super) fn client(&self) -> TokenClient {
        let mut client = Client::new(ClientId::new(self.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_endpoint.url().clone()))
            .set_auth_type(if self.basic_auth { AuthType::BasicAuth } else { AuthType::RequestBody });
        if let Some(secret) = &self.client_secret {
            client = client.set_client_secret(ClientSecret::new(String::from_utf8_lossy(secret.expose()).into_owned()));
        }
        client
    }

    /// Exchanges an authorization code for tokens.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub(crate) async fn exchange_code(
        &self,
        http: &Http,
        code: &Secret,
        verifier: PkceCodeVerifier,
        redirect: &RedirectUrl,
    ) -> Result<Granted, OAuthError> {
        let secrets = self.secrets([code]);
        let code = AuthorizationCode::new(String::from_utf8_lossy(code.expose()).into_owned());
        // A code can be used only once.
        let send = Sender::new(http, Repeat::WhileNotAccepted);
        let client = self.client();
        let mut request =
            client.exchange_code(code).set_pkce_verifier(verifier).set_redirect_uri(Cow::Borrowed(redirect));
        if let Some(resource) = &self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let response = request.request_async(&send).await.map_err(|e| error(e, &secrets))?;
        granted(&response)
    }

    /// Returns the secrets to remove from quotations of the server.
    pub(super) fn secrets<const N: usize>(&self, sent: [&Secret; N]) -> Vec<Secret> {
        sent.into_iter().chain(&self.client_secret).cloned().collect()
    }

    /// Exchanges a refresh token for a new access token.
    ///
    /// # Errors
    /// [`OAuthError`]; `invalid_grant` is an [`OAuthError::Refused`].
    pub(crate) async fn refresh(&self, http: &Http, refresh: &Secret) -> Result<Granted, OAuthError> {
        let secrets = self.secrets([refresh]);
        let refresh = RefreshToken::new(String::from_utf8_lossy(refresh.expose()).into_owned());
        let send = Sender::new(http, Repeat::WhileTemporary);
        let client = self.client();
        let mut request = client.exchange_refresh_token(&refresh);
        if let Some(resource) = &self.resource {
            request = request.add_extra_param("resource", resource);
        }
        let response = request.request_async(&send).await.map_err(|e| error(e, &secrets))?;
        granted(&response)
    }
}

/// Returns the contents of a token response, if they can be used for a login.
pub(super) fn granted(response: &Response) -> Result<Granted, OAuthError> {
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let access = response.access_token().secret();
    // RFC 6750, section 2.1. Other characters could break the command in which the token is sent.
    let is_token = |c: char| c.is_ascii_graphic();
    let refresh = response.refresh_token().map(RefreshToken::secret).filter(|token| !token.is_empty());
    if access.is_empty()
        || !access.chars().all(is_token)
        || refresh.is_some_and(|token| token.chars().any(char::is_control))
    {
        return Err(OAuthError::Unintelligible {
            what: "a token response",
            why: "a token holds characters that no token has".to_owned(),
        });
    }
    let kind = response.token_type().as_ref();
    if !kind.eq_ignore_ascii_case("bearer") {
        let why = format!("its token is of the type {}", shown(kind));
        return Err(OAuthError::Unintelligible { what: "a bearer token (RFC 6750)", why });
    }
    let scopes =
        response.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "));
    let extra = response.extra_fields();
    Ok(Granted {
        access: Secret::new(access.as_bytes().to_vec()),
        expires_in: response.expires_in().map(|time| seconds(time.as_secs())),
        refresh: refresh.map(|token| Secret::new(token.as_bytes().to_vec())),
        refresh_expires_in: extra.refresh_token_expires_in.map(seconds),
        scope: scopes,
        id_token: extra.id_token.as_ref().map(|token| Secret::new(token.as_bytes().to_vec())),
    })
}

/// Removes from a server's text the secrets that were sent to it: some servers repeat what they refuse.
fn without(words: &str, secrets: &[Secret]) -> String {
    let texts =
        secrets.iter().filter_map(|secret| str::from_utf8(secret.expose()).ok()).filter(|text| !text.is_empty());
    texts.fold(words.to_owned(), |words, text| words.replace(text, "[secret]"))
}

/// Converts the crate's error, without the secrets that were sent. A response that cannot be parsed is not shown,
/// because it may contain tokens.
pub(super) fn error<T>(error: RequestTokenError<HttpError, StandardErrorResponse<T>>, secrets: &[Secret]) -> OAuthError
where
    T: oauth2::ErrorResponseType + fmt::Display + 'static,
    StandardErrorResponse<T>: ErrorResponse,
{
    match error {
        RequestTokenError::Request(e) => OAuthError::Http(e),
        RequestTokenError::ServerResponse(response) => {
            let description = response.error_description().map(|words| without(words, secrets));
            OAuthError::refused(&without(&response.error().to_string(), secrets), description.as_deref())
        }
        RequestTokenError::Parse(e, _) => {
            let inner = e.inner();
            let place = format!("`{}`, line {} column {}", shown(&e.path().to_string()), inner.line(), inner.column());
            OAuthError::Unintelligible {
                what: "a token response (RFC 6749)",
                why: format!("it makes no sense at {place}"),
            }
        }
        RequestTokenError::Other(words) => {
            OAuthError::Unintelligible { what: "a token response (RFC 6749)", why: shown(&words) }
        }
    }
}

/// Parses a complete response as JSON, or returns the error in it.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    response: &HttpResponse,
    what: &'static str,
) -> Result<T, OAuthError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: Option<String>,
    }
    if !response.status().is_success() {
        return Err(match serde_json::from_slice::<Refusal>(response.body()) {
            Ok(refusal) => OAuthError::refused(&refusal.error, refusal.error_description.as_deref()),
            Err(_) => OAuthError::Unintelligible {
                what,
                why: format!("it has the HTTP status {}", response.status().as_u16()),
            },
        });
    }
    serde_json::from_slice(response.body()).map_err(|e| OAuthError::Unintelligible {
        what,
        why: format!("it makes no sense at line {} column {}", e.line(), e.column()),
    })
}
