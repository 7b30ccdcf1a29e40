//! Fetches documents by https.

use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use crate::account::server_url::ServerUrl;
use crate::https::{Http, Repeat};

/// How long fetching a document may take, including redirects.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How many redirects are followed.
const MOST_REDIRECTIONS: u32 = 3;

/// Fetches the document at a URL, which must be https. Returns None if there is none or it cannot be fetched.
pub(crate) async fn document(http: &Http, url: &str) -> Option<Vec<u8>> {
    let found = timeout(TIME_LIMIT, follow(http, url)).await;
    if found.is_err() {
        tracing::debug!("{url}: no answer within {} s", TIME_LIMIT.as_secs());
    }
    found.ok().flatten()
}

async fn follow(http: &Http, url: &str) -> Option<Vec<u8>> {
    let mut url = Url::parse(url).ok()?;
    for _ in 0..=MOST_REDIRECTIONS {
        // Never without TLS, not even to this machine: the document decides where a password is sent.
        if url.scheme() != "https" || ServerUrl::new(url.as_str()).is_err() {
            tracing::debug!("{url} is not asked: it is not https");
            return None;
        }
        let request = hyper::Request::get(url.as_str()).body(Vec::new()).ok()?;
        let response = match http.send(request, Repeat::Never).await {
            Ok(response) => response,
            Err(e) => {
                tracing::debug!("{url}: {e}");
                return None;
            }
        };
        match response.status().as_u16() {
            200 => return Some(response.into_body()),
            301 | 302 | 303 | 307 | 308 => {
                let target = response.headers().get("location")?.to_str().ok()?;
                url = url.join(target).ok()?;
                url.set_fragment(None);
            }
            status => {
                tracing::debug!("{url}: HTTP status {status}");
                return None;
            }
        }
    }
    None
}
