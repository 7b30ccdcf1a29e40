//! Requests and their responses.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::account_page::AccountPage;
use super::content::Content;
use super::document::{NoPiece, document};
use super::figures::Figures;
use super::overview::{Overview, Selection, Sums};
use super::snapshot::Snapshots;
use super::{metrics_page, theme};

/// The longest name that can be searched for, in characters.
const LONGEST_NAME: usize = 200;

/// Which hosts a request may name: a foreign page must not read this one through a name of its own that resolves to
/// this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Names and addresses of this machine only.
    Loopback,
    /// Any address, but no names except those of this machine.
    Addresses,
    /// Any: the socket is reached by its path.
    Any,
}

/// A response of the page or of a document for scripts.
pub(super) type PageResponse = Response<Content>;

/// Answers a request, which changes nothing.
pub(super) async fn answer<B>(request: Request<B>, hosts: Hosts, snapshots: &Arc<Snapshots>) -> PageResponse {
    let made = respond(&request, hosts, snapshots).await.unwrap_or_else(Refused::answer);
    let (head, content) = made.into_parts();
    let content = match content {
        _ if request.method() == Method::HEAD => Some(Content::Whole(Bytes::new())),
        Content::Whole(bytes) => snapshots.room().hold(bytes).map(Content::Whole),
        Content::Pieces(pieces) => Some(Content::Pieces(pieces)),
    };
    match content {
        Some(content) => Response::from_parts(head, content),
        None => Refused::Busy.answer(),
    }
}

/// Why a request gets no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The method is not GET or HEAD.
    Method,
    /// The request is for another host.
    Host,
    /// There is no such page.
    NotFound,
    /// The supervisor does not answer.
    NoAnswer,
    /// The page could not be made.
    Failed,
    /// Unread responses fill all the room.
    Busy,
}

impl Refused {
    fn answer(self) -> PageResponse {
        let (status, words) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed"),
            Self::Host => (StatusCode::MISDIRECTED_REQUEST, "the Host header names another host"),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such page"),
            Self::NoAnswer => (StatusCode::SERVICE_UNAVAILABLE, "the daemon does not answer"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "others have not read their answers yet"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made"),
        };
        let mut answer = plain(format!("{words}\n"));
        *answer.status_mut() = status;
        if self == Self::Method {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        answer
    }
}

impl From<fmt::Error> for Refused {
    fn from(_: fmt::Error) -> Self {
        Self::Failed
    }
}

impl From<NoPiece> for Refused {
    fn from(why: NoPiece) -> Self {
        match why {
            NoPiece::NoAnswer => Self::NoAnswer,
            NoPiece::NotWritten => Self::Failed,
        }
    }
}

async fn respond<B>(request: &Request<B>, hosts: Hosts, snapshots: &Arc<Snapshots>) -> Result<PageResponse, Refused> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Method);
    }
    if !is_meant(request, hosts) {
        return Err(Refused::Host);
    }
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics" | "/healthz" | "/api/v1/status") && !path.starts_with("/account/") {
        return Err(Refused::NotFound);
    }
    if path == "/api/v1/status" {
        return Ok(with_type(document(snapshots).await?, "application/json"));
    }
    if path == "/healthz" {
        let answers = snapshots.is_answering().await;
        return if answers { Ok(plain("ok\n".to_owned())) } else { Err(Refused::NoAnswer) };
    }
    // All clients that ask now wait for the same status.
    let figures = snapshots.latest().await.ok_or(Refused::NoAnswer)?;
    match path {
        "/" => overview(&figures, request.uri().query().unwrap_or_default(), snapshots).await,
        "/metrics" => {
            let open = accepts_open_metrics(request.headers());
            let kind = if open {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            } else {
                "text/plain; version=0.0.4; charset=utf-8"
            };
            let _turn = snapshots.room().turn().await;
            Ok(with_type(whole(metrics_page::text(&figures, snapshots.polls(), open)?), kind))
        }
        _ => account(&figures, path.strip_prefix("/account/").unwrap_or_default(), snapshots).await,
    }
}

async fn overview(figures: &Figures, query: &str, snapshots: &Snapshots) -> Result<PageResponse, Refused> {
    let selection = selection(query);
    let selected = {
        let _turn = snapshots.room().turn().await;
        selection.of(&figures.names)
    };
    let accounts = snapshots.accounts(&selected.names).await.ok_or(Refused::NoAnswer)?;
    let _turn = snapshots.room().turn().await;
    let sums = Sums::of(figures);
    let title = match sums.in_trouble {
        0 => "mailferry".to_owned(),
        in_trouble => format!("({in_trouble}) mailferry"),
    };
    let page = Overview { figures, selection: &selection, selected: &selected, accounts: &accounts };
    Ok(html(theme::page(&title, &sums, page)?))
}

async fn account(figures: &Figures, segment: &str, snapshots: &Snapshots) -> Result<PageResponse, Refused> {
    let name = percent_decoded(segment);
    let accounts = snapshots.accounts(std::slice::from_ref(&name)).await.ok_or(Refused::NoAnswer)?;
    let account = accounts.first().ok_or(Refused::NotFound)?;
    let _turn = snapshots.room().turn().await;
    let title = format!("{name} - mailferry");
    let page = theme::page(&title, &Sums::of(figures), AccountPage { account, now: figures.status.now })?;
    Ok(html(page))
}

/// Parses the query of an overview, `name=...&page=...`. What cannot be parsed is ignored.
fn selection(query: &str) -> Selection {
    let mut selection = Selection::default();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("name", name)) => {
                let name = percent_decoded(&name.replace('+', " "));
                selection.name = name.trim().chars().take(LONGEST_NAME).collect();
            }
            Some(("page", page)) => selection.page = page.parse::<usize>().unwrap_or(1).saturating_sub(1),
            _ => {}
        }
    }
    selection
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().and_then(|digits| str::from_utf8(digits).ok());
        match digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a request is for this machine, by every host that it names. Guards against DNS rebinding.
fn is_meant<B>(request: &Request<B>, hosts: Hosts) -> bool {
    if hosts == Hosts::Any {
        return true;
    }
    let headers = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut named = headers.chain(request.uri().authority().map(hyper::http::uri::Authority::as_str)).peekable();
    named.peek().is_some() && named.all(|host| is_this_machine(without_port(host), hosts))
}

fn is_this_machine(name: &str, hosts: Hosts) -> bool {
    let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    match (hosts, address) {
        (Hosts::Any, _) | (Hosts::Addresses, Some(_)) => true,
        (Hosts::Loopback, Some(address)) => address.is_loopback(),
        (Hosts::Loopback, None) => name.eq_ignore_ascii_case("localhost"),
        (Hosts::Addresses, None) => {
            let this = rustix::system::uname();
            name.eq_ignore_ascii_case("localhost")
                || this.nodename().to_str().is_ok_and(|this| name.eq_ignore_ascii_case(this))
        }
    }
}

/// Strips the port from a host.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|digit| digit.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn accepts_open_metrics(headers: &HeaderMap) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/openmetrics-text"));
    headers.get_all(ACCEPT).iter().any(accepts)
}

fn html(page: String) -> PageResponse {
    let mut answer = with_type(whole(page), "text/html; charset=utf-8");
    if let Ok(policy) = HeaderValue::from_str(&theme::policy()) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn plain(text: String) -> PageResponse {
    with_type(whole(text), "text/plain; charset=utf-8")
}

fn whole(text: String) -> Content {
    Content::Whole(text.into())
}

fn with_type(content: Content, kind: &'static str) -> PageResponse {
    let mut answer = Response::new(content);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_while_the_supervisor_does_not_answer_wait_together() {
        let (supervisor, _questions) = tokio::sync::mpsc::channel(4);
        let snapshots = Arc::new(Snapshots::new(supervisor, crate::metrics::PollMetrics::default()));
        let begun = tokio::time::Instant::now();
        let ask = |path: &'static str| {
            let snapshots = Arc::clone(&snapshots);
            tokio::spawn(async move {
                let request = Request::builder().uri(path).body(()).unwrap();
                answer(request, Hosts::Any, &snapshots).await.status()
            })
        };
        let asking: Vec<_> = ["/", "/healthz", "/metrics", "/account/a", "/api/v1/status", "/"].map(ask).into();
        for one in asking {
            assert_eq!(one.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
        }
        let took = begun.elapsed().as_secs();
        assert!((5..7).contains(&took), "all of them took {took} s");
    }

    fn meant(host: &str, hosts: Hosts) -> bool {
        is_meant(&Request::builder().header(HOST, host).body(()).unwrap(), hosts)
    }

    #[test]
    fn only_names_of_this_machine_are_meant() {
        for host in ["localhost", "localhost:9110", "LOCALHOST", "127.0.0.1:9110", "127.1.2.3", "[::1]:9110", "[::1]"] {
            assert!(meant(host, Hosts::Loopback), "{host}");
        }
        for host in ["evil.example", "evil.example:9110", "localhost.evil.example", "192.0.2.1", "[2001:db8::1]:80", ""]
        {
            assert!(!meant(host, Hosts::Loopback), "{host}");
        }
        assert!(meant("192.0.2.1:9110", Hosts::Addresses) && !meant("evil.example", Hosts::Addresses));
        assert!(meant("evil.example", Hosts::Any));
        assert!(!is_meant(&Request::builder().uri("/").body(()).unwrap(), Hosts::Loopback), "no host at all");
        let two = |uri: &str, second: &str| {
            let request = Request::builder().uri(uri).header(HOST, "localhost").header(HOST, second);
            is_meant(&request.body(()).unwrap(), Hosts::Loopback)
        };
        assert!(two("/", "localhost") && two("http://localhost/", "127.0.0.1"));
        assert!(!two("/", "evil.example") && !two("http://evil.example/", "localhost"), "one of them is another host");
    }

    #[test]
    fn a_selection_is_read_and_bounded() {
        assert_eq!(selection("name=a%40b+c&page=3"), Selection { name: "a@b c".into(), page: 2 });
        assert_eq!(selection("page=x&name=%zz%4"), Selection { name: "%zz%4".into(), page: 0 });
        assert_eq!(selection(&format!("name={}", "n".repeat(9000))).name.len(), LONGEST_NAME);
    }
}
