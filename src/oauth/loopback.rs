//! A listener on this machine for the redirect of the browser (RFC 8252, section 7.3). It accepts a single response.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::{Host, Url};

use super::callback::Expected;
use crate::account::server_url::is_loopback;

/// How long a connection may take to send its request. Browsers open some in advance and send nothing on them.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The longest request header, in octets. A code may be long.
const MOST: usize = 32 * 1024;

/// How many connections are served concurrently.
const MOST_CONNECTIONS: usize = 16;

/// Listens at the redirection URI.
#[derive(Debug)]
pub(super) struct Loopback {
    listeners: Vec<TcpListener>,
}

/// The pages shown in the browser.
const DONE: &str =
    "The answer has reached mailferry. Whether it was accepted is told where it was begun; this window can be closed.";
const NOTHING: &str = "There is nothing here.";

impl Loopback {
    /// Listens at the registered redirection URI; on any port unless it names one. Returns the URI with the port. None:
    /// it is not an HTTP URL of this machine.
    pub(super) async fn bind(registered: &str) -> io::Result<Option<(Self, String)>> {
        let Ok(url) = Url::parse(registered) else { return Ok(None) };
        let Some(host) = url.host() else { return Ok(None) };
        if url.scheme() != "http" || !is_loopback(&host) {
            return Ok(None);
        }
        let wanted = url.port().unwrap_or(0);
        let first = match host {
            Host::Ipv4(address) => TcpListener::bind((address, wanted)).await?,
            Host::Ipv6(address) => TcpListener::bind((address, wanted)).await?,
            Host::Domain(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await?,
        };
        let port = first.local_addr()?.port();
        let mut listeners = vec![first];
        if matches!(host, Host::Domain(_)) {
            // The name may resolve to either address in a browser.
            listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok());
        }
        Ok(Some((Self { listeners }, with_port(registered, &url, port))))
    }

    /// Waits for the first request whose URL contains a response, whatever it says.
    pub(super) async fn answer(self, expected: &Expected) -> Option<Url> {
        let (sender, mut answers) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let (sender, expected) = (sender.clone(), expected.clone());
            tasks.spawn(async move { listen(listener, expected, sender).await });
        }
        drop(sender);
        answers.recv().await
    }
}

/// Returns the redirection URI with a port, and otherwise exactly as registered.
fn with_port(registered: &str, url: &Url, port: u16) -> String {
    let host = url.host_str().unwrap_or_default();
    match registered.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.get(host.len()..)?))) {
        Some((scheme, path)) if url.port().is_none() => format!("{scheme}://{host}:{port}{path}"),
        _ => registered.to_owned(),
    }
}

async fn listen(listener: TcpListener, expected: Expected, answers: mpsc::Sender<Url>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((connection, _)) = listener.accept().await else { return };
        let (expected, answers) = (expected.clone(), answers.clone());
        connections.spawn(async move {
            if let Ok(Some(url)) = timeout(TIME_LIMIT, serve(connection, &expected)).await {
                let _ = answers.send(url).await;
            }
        });
    }
}

/// Serves one request. Returns its URL if that contains a response.
async fn serve(mut connection: TcpStream, expected: &Expected) -> Option<Url> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 4096];
        let length = connection.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        head.extend_from_slice(piece.get(..length)?);
        if head.len() > MOST {
            return None;
        }
    }
    let asked = requested(&head, &expected.redirect).filter(|url| expected.is_answer(url));
    let (status, words) = if asked.is_some() { ("200 OK", DONE) } else { ("404 Not Found", NOTHING) };
    let page = format!("<!doctype html><meta charset=utf-8><title>mailferry</title><p>{words}</p>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    // The response has been received, whether or not the page can be sent.
    let _ = connection.write_all(answer.as_bytes()).await;
    let _ = connection.shutdown().await;
    asked
}

/// Returns the URL of a request.
fn requested(head: &[u8], base: &Url) -> Option<Url> {
    let line = head.split(|octet| *octet == b'\n').next()?;
    let line = str::from_utf8(line).ok()?.trim_end();
    let target = line.strip_prefix("GET ")?.split(' ').next().filter(|target| target.starts_with('/'))?;
    let mut url = base.clone();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    url.set_path(path);
    url.set_query(Some(query));
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn expected(redirect: &str) -> Expected {
        let redirect = Url::parse(redirect).unwrap();
        Expected { redirect, state: Secret::new(b"s".to_vec()), issuer: None, sends_iss: false }
    }

    async fn ask(port: u16, request: &str) -> String {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_answer_is_served_and_nothing_else_disturbs_it() {
        let (loopback, redirect) = Loopback::bind("http://127.0.0.1/seznam").await.unwrap().unwrap();
        let port = Url::parse(&redirect).unwrap().port().unwrap();
        assert_eq!(redirect, format!("http://127.0.0.1:{port}/seznam"));
        let expected = expected(&redirect);
        let answer = tokio::spawn(async move { loopback.answer(&expected).await });
        // A connection opened in advance that sends nothing.
        let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        for request in ["GET /favicon.ico HTTP/1.1\r\n\r\n", "GET /seznam HTTP/1.1\r\n\r\n", "\x16\x03\x01\r\n\r\n"] {
            assert!(ask(port, request).await.starts_with("HTTP/1.1 404 "), "{request:?}");
        }
        let page = ask(port, "GET /seznam?code=c&state=s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200 ") && !page.contains("code=c"), "{page}");
        assert_eq!(answer.await.unwrap().unwrap().query(), Some("code=c&state=s"));
        drop(silent);
        // A process being started by another test may hold a copy of the listener for a moment.
        let refused = async { while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {} };
        timeout(TIME_LIMIT, refused).await.expect("nothing listens any more");
    }

    #[tokio::test]
    async fn only_this_machine_and_only_http_can_be_listened_at() {
        for redirect in ["https://127.0.0.1", "http://example.org/", "mailferry.oauth:/redirect", "urn:x", "nothing"] {
            assert!(Loopback::bind(redirect).await.unwrap().is_none(), "{redirect}");
        }
        let (_, redirect) = Loopback::bind("http://localhost").await.unwrap().unwrap();
        assert!(redirect.starts_with("http://localhost:") && !redirect.ends_with('/'), "{redirect}");
    }
}
