//! Sends the requests of the crate that makes them.

use std::pin::Pin;

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::https::{Http, HttpError, Repeat};

/// Sends them over our own connections.
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
        Box::pin(self.http.send(request, self.repeat))
    }
}
