//! Connects through a proxy: SOCKS 5 (RFC 1928) and HTTP's CONNECT (RFC 9110, section 9.3.6). The proxy resolves the
//! server's name.
//!
//! A POP3 server speaks first, so its greeting may arrive together with the proxy's answer and must not be lost.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;

use super::host::bare_host;
use super::{ProxyProblem, Stream};
use crate::account::{Endpoint, Proxy, ProxyCredentials, ProxyKind};

/// Asks the proxy at the other end of this connection to connect to the endpoint.
pub(super) async fn tunnel(tcp: TcpStream, proxy: &Proxy, endpoint: &Endpoint) -> Result<Stream, ProxyProblem> {
    match proxy.kind {
        ProxyKind::Socks5 => socks5(tcp, proxy, endpoint).await,
        ProxyKind::HttpConnect => http_connect(tcp, proxy, endpoint).await,
    }
}

async fn socks5(tcp: TcpStream, proxy: &Proxy, endpoint: &Endpoint) -> Result<Stream, ProxyProblem> {
    let target = (bare_host(&endpoint.host), endpoint.port);
    let reached = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(tcp, target).await,
        Some(ProxyCredentials { username, password }) => {
            let password = str::from_utf8(password.expose()).map_err(|_| ProxyProblem::CredentialsRefused)?;
            Socks5Stream::connect_with_password_and_socket(tcp, target, username, password).await
        }
    };
    match reached {
        Ok(stream) => Ok(Box::new(stream.into_inner())),
        Err(error) => Err(match error {
            SocksError::Io(source) => ProxyProblem::Lost(source),
            SocksError::NoAcceptableAuthMethods | SocksError::PasswordAuthFailure(_) => {
                ProxyProblem::CredentialsRefused
            }
            SocksError::InvalidResponseVersion | SocksError::UnknownAuthMethod | SocksError::InvalidReservedByte => {
                ProxyProblem::NotAProxy
            }
            other => ProxyProblem::Refused(other.to_string()),
        }),
    }
}

async fn http_connect(tcp: TcpStream, proxy: &Proxy, endpoint: &Endpoint) -> Result<Stream, ProxyProblem> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.map_err(of_hyper)?;
    let request = connect_request(proxy, endpoint)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(of_hyper)?;
        match response.status() {
            status if status.is_success() => hyper::upgrade::on(response).await.map_err(of_hyper),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(ProxyProblem::CredentialsRefused),
            status => Err(ProxyProblem::Refused(format!("HTTP status {status}"))),
        }
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection.with_upgrades()));
    let upgraded = tokio::select! {
        biased;
        upgraded = &mut exchange => upgraded,
        // It ends once the stream is handed on; if it broke, the exchange knows why.
        _ = &mut connection => exchange.await,
    };
    // This includes what the proxy sent after its answer.
    Ok(Box::new(TokioIo::new(upgraded?)))
}

fn connect_request(proxy: &Proxy, endpoint: &Endpoint) -> Result<Request<Empty<Bytes>>, ProxyProblem> {
    let host = bare_host(&endpoint.host);
    let authority =
        if host.contains(':') { format!("[{host}]:{}", endpoint.port) } else { format!("{host}:{}", endpoint.port) };
    let mut request = Request::connect(&authority)
        .header(HOST, &authority)
        .body(Empty::new())
        .map_err(|error| ProxyProblem::Refused(error.to_string()))?;
    if let Some(ProxyCredentials { username, password }) = &proxy.credentials {
        let pair = [username.as_bytes(), b":", password.expose()].concat();
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let mut value = HeaderValue::try_from(value).map_err(|_| ProxyProblem::CredentialsRefused)?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

/// Explains the error of a proxy that does not speak HTTP or that closed the connection.
fn of_hyper(error: hyper::Error) -> ProxyProblem {
    if error.is_parse() { ProxyProblem::NotAProxy } else { ProxyProblem::Lost(io::Error::other(error)) }
}

#[cfg(test)]
mod tests;
