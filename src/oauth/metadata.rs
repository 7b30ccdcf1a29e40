//! Authorization server metadata (RFC 8414).

use oauth2::HttpRequest;
use serde::Deserialize;

use super::error::{OAuthError, shown};
use super::token_request::json;
use crate::account::server_url::ServerUrl;
use crate::https::{Http, Repeat};

/// The metadata that we use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// RFC 6749, section 3.1.
    pub authorization_endpoint: Option<ServerUrl>,
    /// RFC 6749, section 3.2.
    pub token_endpoint: Option<ServerUrl>,
    /// RFC 8628, section 4.
    pub device_authorization_endpoint: Option<ServerUrl>,
    /// RFC 7591, section 3.
    pub registration_endpoint: Option<ServerUrl>,
    /// Every authorization response contains `iss` (RFC 9207, section 3).
    pub sends_iss: bool,
    /// The client secret is accepted only in a header.
    pub basic_auth: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// Returns the URL of an issuer's metadata: the issuer's path follows the well-known one (RFC 8414, section 3.1).
fn location(issuer: &ServerUrl, kind: &str) -> Option<ServerUrl> {
    let mut url = issuer.url().clone();
    let path = match url.path().trim_end_matches('/') {
        // OpenID Connect Discovery 1.0, section 4, uses the reverse order.
        path if kind == OPENID => format!("{path}/.well-known/{kind}"),
        path => format!("/.well-known/{kind}{path}"),
    };
    url.set_path(&path);
    ServerUrl::new(url.as_str()).ok()
}

const RFC_8414: &str = "oauth-authorization-server";
const OPENID: &str = "openid-configuration";

/// Fetches a server's metadata.
///
/// # Errors
/// [`OAuthError`] if there is none, or if it belongs to another server.
pub(crate) async fn fetch(http: &Http, issuer: &ServerUrl) -> Result<Metadata, OAuthError> {
    match at(http, issuer, RFC_8414).await {
        Err(OAuthError::Unintelligible { .. } | OAuthError::Refused { .. }) => at(http, issuer, OPENID).await,
        told => told,
    }
}

async fn at(http: &Http, issuer: &ServerUrl, kind: &str) -> Result<Metadata, OAuthError> {
    const WHAT: &str = "the metadata of an authorization server (RFC 8414)";
    let invalid = |why: &str| OAuthError::Unintelligible { what: WHAT, why: why.to_owned() };
    let url = location(issuer, kind).ok_or_else(|| invalid("`issuer` has no such address"))?;
    let request = HttpRequest::new(Vec::new());
    let (mut parts, body) = request.into_parts();
    parts.uri = url.as_str().parse().map_err(|_| invalid("`issuer` has no such address"))?;
    let response = http.send(HttpRequest::from_parts(parts, body), Repeat::WhileTemporary).await?;
    understand(json(&response, WHAT)?, issuer)
}

fn understand(document: Document, issuer: &ServerUrl) -> Result<Metadata, OAuthError> {
    const WHAT: &str = "the metadata of this authorization server (RFC 8414)";
    let invalid = |why: String| OAuthError::Unintelligible { what: WHAT, why };
    // RFC 8414, section 3.3: otherwise anyone could pass off the endpoints of others as their own.
    if !is_same_issuer(&document.issuer, issuer.as_str()) {
        return Err(invalid(format!("it is that of {}", shown(&document.issuer))));
    }
    let endpoint = |name: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => ServerUrl::new(&text).map(Some).map_err(|e| invalid(format!("its {name} {e}: {}", shown(&text)))),
    };
    if document.code_challenge_methods_supported.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(invalid("it does not take S256 (RFC 7636), which mailferry does not sign in without".to_owned()));
    }
    let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
    let takes = |method: &str| methods.iter().any(|known| known == method);
    Ok(Metadata {
        authorization_endpoint: endpoint("authorization_endpoint", document.authorization_endpoint)?,
        token_endpoint: endpoint("token_endpoint", document.token_endpoint)?,
        device_authorization_endpoint: endpoint(
            "device_authorization_endpoint",
            document.device_authorization_endpoint,
        )?,
        registration_endpoint: endpoint("registration_endpoint", document.registration_endpoint)?,
        sends_iss: document.authorization_response_iss_parameter_supported,
        basic_auth: takes("client_secret_basic") && !takes("client_secret_post"),
    })
}

/// Whether two issuers are the same. The slash that URL parsers append to an empty path is ignored.
pub(super) fn is_same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> ServerUrl {
        ServerUrl::new(text).unwrap()
    }

    fn told(text: &str) -> Result<Metadata, OAuthError> {
        understand(serde_json::from_str(text).unwrap(), &issuer("https://login.example.org"))
    }

    #[test]
    fn metadata_is_looked_up_where_the_rfc_puts_it() {
        for (text, kind, expected) in [
            ("https://e.org", RFC_8414, "https://e.org/.well-known/oauth-authorization-server"),
            ("https://e.org/a/", RFC_8414, "https://e.org/.well-known/oauth-authorization-server/a"),
            ("https://e.org/a", OPENID, "https://e.org/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(location(&issuer(text), kind).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_is_told_is_taken_if_it_is_the_servers_own_and_encrypted() {
        let good = told(
            r#"{"issuer": "https://login.example.org", "token_endpoint": "https://login.example.org/t",
                "authorization_response_iss_parameter_supported": true,
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"], "other": [1]}"#,
        );
        let good = good.unwrap();
        assert_eq!(good.token_endpoint.unwrap().as_str(), "https://login.example.org/t");
        assert!(good.sends_iss && good.basic_auth && good.authorization_endpoint.is_none());
        for (text, expected) in [
            (r#"{"issuer": "https://evil.example.org"}"#, "it is that of https://evil.example.org"),
            (r#"{"issuer": "https://login.example.org", "token_endpoint": "http://e.org/"}"#, "is not encrypted"),
            (r#"{"issuer": "https://login.example.org", "code_challenge_methods_supported": ["plain"]}"#, "S256"),
        ] {
            let error = told(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
