//! Sends the requests of the `oauth2` crate.

use std::pin::Pin;

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};

use serde_json::{Map, Value};

use crate::https::{Http, HttpError, Repeat};

/// Sends requests over our own connections.
#[derive(Debug)]
pub(super) struct Sender {
    http: Http,
    repeat: Repeat,
}

impl Sender {
    pub(super) fn new(http: &Http, repeat: Repeat) -> Self {
        Self { http: http.clone(), repeat }
    }
}

impl<'c> AsyncHttpClient<'c> for Sender {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { Ok(self.http.send(request, self.repeat).await?.map(with_plain_numbers)) })
    }
}

/// Rewrites the lifetimes in a token response as the crate expects them. Some servers send them as strings, and an
/// unintelligible one must not cost the tokens in the same response: a rotated refresh token is sent only once.
fn with_plain_numbers(body: Vec<u8>) -> Vec<u8> {
    const TIMES: [&str; 2] = ["expires_in", "refresh_token_expires_in"];
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&body) else { return body };
    let odd = TIMES.into_iter().filter(|name| fields.get(*name).is_some_and(|value| !value.is_u64()));
    let odd: Vec<&str> = odd.collect();
    if odd.is_empty() {
        return body;
    }
    for name in odd {
        let seconds =
            fields.remove(name).as_ref().and_then(Value::as_str).and_then(|text| text.trim().parse::<u64>().ok());
        if let Some(seconds) = seconds {
            fields.insert(name.to_owned(), seconds.into());
        }
    }
    serde_json::to_vec(&fields).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_times_do_not_cost_the_tokens_beside_them() {
        let plain = |text: &str| String::from_utf8(with_plain_numbers(text.as_bytes().to_vec())).unwrap();
        assert_eq!(plain(r#"{"expires_in":"3600","refresh_token":"r"}"#), r#"{"expires_in":3600,"refresh_token":"r"}"#);
        for odd in ["-1", "1.5", "\"soon\"", "null", "[]"] {
            assert_eq!(plain(&format!(r#"{{"expires_in":{odd},"refresh_token":"r"}}"#)), r#"{"refresh_token":"r"}"#);
        }
        for kept in [r#"{"expires_in":5,  "a":"b"}"#, "no JSON", "[1]"] {
            assert_eq!(plain(kept), kept, "as it came");
        }
    }
}
