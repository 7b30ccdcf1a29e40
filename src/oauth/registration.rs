//! Dynamic client registration (RFC 7591), as profiled for mail programs by `draft-ietf-mailmaint-oauth-public`.

use oauth2::HttpRequest;
use oauth2::http::Method;
use oauth2::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::error::OAuthError;
use super::token_request;
use crate::account::server_url::ServerUrl;
use crate::https::{Http, Repeat};
use crate::secret::Secret;

/// A registered client.
#[derive(Debug)]
pub(crate) struct Registered {
    /// The client identifier.
    pub client_id: String,
    /// The client secret, if the server issues one.
    pub client_secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_secret: Option<String>,
}

/// Registers a client with this redirection URI and scope.
///
/// # Errors
/// [`OAuthError`].
pub(crate) async fn register(
    http: &Http,
    endpoint: &ServerUrl,
    redirect: &str,
    scope: Option<&str>,
) -> Result<Registered, OAuthError> {
    const WHAT: &str = "an answer to a registration (RFC 7591)";
    let invalid = |why: &str| OAuthError::Unintelligible { what: WHAT, why: why.to_owned() };
    let mut document = json!({
        "client_name": "mailferry",
        "software_id": "mailferry",
        "software_version": env!("CARGO_PKG_VERSION"),
        "redirect_uris": [redirect],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    });
    if let (Some(scope), Some(fields)) = (scope, document.as_object_mut()) {
        fields.insert("scope".to_owned(), scope.into());
    }
    let (mut parts, body) = HttpRequest::new(document.to_string().into_bytes()).into_parts();
    parts.method = Method::POST;
    parts.uri = endpoint.as_str().parse().map_err(|_| invalid("its address makes no sense"))?;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = http.send(HttpRequest::from_parts(parts, body), Repeat::WhileNotAccepted).await?;
    let Document { client_id, client_secret } = token_request::json(&response, WHAT)?;
    if client_id.is_empty() || client_id.chars().any(char::is_control) {
        return Err(invalid("its client_id makes no sense"));
    }
    Ok(Registered { client_id, client_secret: client_secret.map(|secret| Secret::new(secret.into_bytes())) })
}
