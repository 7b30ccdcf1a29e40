//! Sends a request to a server: HTTP/1.1 over a connection of [`crate::net`], limited in time and size. Redirects are
//! not followed: a token endpoint does not need them, and a secret must not go elsewhere.

mod after_the_request;

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use self::after_the_request::AfterTheRequest;
use crate::account::Route;
use crate::account::server_url::ServerUrl;
use crate::net::{Dial, NetError};

/// A request with its body.
pub(crate) type HttpRequest = hyper::Request<Vec<u8>>;

/// An answer with its body.
pub(crate) type HttpResponse = hyper::Response<Vec<u8>>;

/// How long a request may take, from connecting to the last octet of the response.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The maximum length of a response, in octets. Tokens take a few thousand.
const MOST: usize = 256 * 1024;

/// How often a request is tried that fails for a reason that may be temporary.
const TRIES: u32 = 3;

/// The pause before the second try, doubled for each further one.
const PAUSE: Duration = Duration::from_secs(1);

/// An HTTP client.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    dialer: Arc<dyn Dial>,
    /// A PEM file of the authorities to trust instead of the system's.
    ca_file: Option<PathBuf>,
    /// How to reach the servers.
    route: Route,
}

/// Why there is no response.
#[derive(Debug)]
pub struct HttpError {
    /// The server.
    pub host: String,
    /// What happened.
    pub problem: HttpProblem,
}

/// What happened to a request.
#[derive(Debug)]
pub enum HttpProblem {
    /// The address is one that secrets must not be sent to.
    Address,
    /// No connection could be made.
    Net(NetError),
    /// It took too long.
    TimedOut(Duration),
    /// The connection broke, or the response is incomplete.
    Broken(String),
    /// The response is not HTTP.
    NotHttp {
        /// The port that answered.
        port: u16,
    },
    /// The response is longer than this.
    TooLarge(usize),
    /// The server cannot answer now, according to this status.
    Status(u16),
}

impl HttpError {
    /// Whether the server cannot have acted on the request: then even what can be used only once may be sent again.
    fn was_not_accepted(&self) -> bool {
        matches!(self.problem, HttpProblem::Net(_) | HttpProblem::Status(_))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.problem {
            HttpProblem::Address => write!(f, "{host} is not asked without encryption"),
            HttpProblem::Net(e) => e.fmt(f),
            HttpProblem::TimedOut(limit) => write!(f, "{host} did not answer within {} s", limit.as_secs()),
            HttpProblem::Broken(why) => write!(f, "the answer of {host} cannot be read: {why}"),
            HttpProblem::NotHttp { port } => write!(f, "what answers at {host}, port {port}, does not speak HTTP"),
            HttpProblem::TooLarge(most) => write!(f, "{host} answered with more than {} KiB", most / 1024),
            HttpProblem::Status(code) => write!(f, "{host} cannot answer now (HTTP status {code})"),
        }
    }
}

impl std::error::Error for HttpError {}

/// How often a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Until it is answered, within limits.
    WhileTemporary,
    /// Only while the server cannot have acted on it.
    WhileNotAccepted,
    /// Once.
    Never,
}

impl Http {
    /// Creates a client that makes its connections with this dialer.
    #[must_use]
    pub(crate) fn new(dialer: Arc<dyn Dial>, ca_file: Option<PathBuf>) -> Self {
        Self { dialer, ca_file, route: Route::default() }
    }

    /// Returns the same client with another route.
    #[must_use]
    pub(crate) fn by(self, route: Route) -> Self {
        Self { route, ..self }
    }

    /// Sends a request, and repeats it after a pause if the failure may be temporary.
    ///
    /// # Errors
    /// [`HttpError`] of the last try.
    pub(crate) async fn send(&self, request: HttpRequest, repeat: Repeat) -> Result<HttpResponse, HttpError> {
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.once(&request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let again = match repeat {
                Repeat::WhileTemporary => error.is_temporary(),
                Repeat::WhileNotAccepted => error.is_temporary() && error.was_not_accepted(),
                Repeat::Never => false,
            };
            if !again || tries >= TRIES {
                return Err(error);
            }
            tracing::debug!("{error}; asking again in {} s", pause.as_secs());
            tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 4.0)).await;
            pause *= 2;
        }
    }

    async fn once(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let fail = |host: &str, problem| HttpError { host: host.to_owned(), problem };
        let uri = request.uri().to_string();
        let url = ServerUrl::new(&uri).map_err(|_| fail("the server", HttpProblem::Address))?;
        let host = url.host();
        let answer = timeout(TIME_LIMIT, self.exchange(&url, request)).await;
        match answer.unwrap_or(Err(HttpProblem::TimedOut(TIME_LIMIT))) {
            Ok(response) => match response.status().as_u16() {
                code @ (408 | 429 | 500..) => Err(fail(&host, HttpProblem::Status(code))),
                _ => Ok(response),
            },
            Err(problem) => Err(fail(&host, problem)),
        }
    }

    async fn exchange(&self, url: &ServerUrl, request: &HttpRequest) -> Result<HttpResponse, HttpProblem> {
        let endpoint = url.endpoint(self.ca_file.as_deref(), &self.route);
        let connection = self.dialer.connect(&endpoint, &[]).await.map_err(HttpProblem::Net)?;
        if !connection.protected && !connection.loopback {
            return Err(HttpProblem::Address);
        }
        let broken = |e: hyper::Error| match e.is_parse() && !e.is_parse_too_large() {
            true => HttpProblem::NotHttp { port: endpoint.port },
            false => HttpProblem::Broken(e.to_string()),
        };
        let (mut sender, link) =
            http1::handshake(TokioIo::new(AfterTheRequest::new(connection.stream))).await.map_err(broken)?;
        let request = for_the_wire(url, request)?;
        let mut exchange = pin!(async {
            let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
            let body =
                Limited::new(body, MOST).collect().await.map_err(|e| match e.downcast::<LengthLimitError>() {
                    Ok(_) => HttpProblem::TooLarge(MOST),
                    Err(e) => HttpProblem::Broken(e.to_string()),
                })?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
        });
        // The link carries the exchange; if it ends first, everything has already arrived.
        tokio::select! {
            biased;
            done = &mut exchange => done,
            _ended = link => exchange.await,
        }
    }
}

/// Returns the request in the form a server expects: only the path in the first line, and the server's name in a field.
fn for_the_wire(url: &ServerUrl, request: &HttpRequest) -> Result<hyper::Request<Full<Bytes>>, HttpProblem> {
    let invalid = |_| HttpProblem::Broken("its address cannot stand in a request".to_owned());
    let url = url.url();
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut wire = hyper::Request::builder().method(request.method()).uri(path);
    for (name, value) in request.headers() {
        wire = wire.header(name, value);
    }
    let host = HeaderValue::from_str(&host).map_err(|_| HttpProblem::Address)?;
    let wire = wire.header(HOST, host).header(USER_AGENT, concat!("mailferry/", env!("CARGO_PKG_VERSION")));
    wire.body(Full::new(Bytes::from(request.body().clone()))).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::account::Endpoint;
    use crate::net::{Connection, Dialer, Dialling, NetLimits};

    /// Sends a request to a server that gives one of these answers per connection. Returns the result and what it was
    /// asked.
    async fn ask(answers: Vec<Vec<u8>>, repeat: Repeat) -> (Result<HttpResponse, HttpError>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/token?x=1", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = connection.read(&mut request).await.unwrap();
                asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
                // The client may have heard enough and gone.
                let _ = connection.write_all(&answer).await;
            }
            asked
        });
        let http = Http::new(Arc::new(Dialer::new(NetLimits::default())), None);
        let request = hyper::Request::post(url).body(b"secret=1".to_vec()).unwrap();
        let answer = http.send(request, repeat).await;
        (answer, timeout(TIME_LIMIT, server).await.unwrap().unwrap())
    }

    fn response(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_request_is_sent_as_servers_expect_it_and_a_redirection_is_not_followed() {
        let (answer, asked) =
            ask(vec![response("302 Found\r\nLocation: http://127.0.0.1:1/", "x")], Repeat::Never).await;
        assert_eq!(answer.unwrap().status().as_u16(), 302);
        assert!(
            asked[0].starts_with("POST /token?x=1 HTTP/1.1\r\n") && asked[0].ends_with("\r\n\r\nsecret=1"),
            "{asked:?}"
        );
        assert!(asked[0].to_ascii_lowercase().contains("\r\nhost: 127.0.0.1:"), "{asked:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_an_answer_is_an_error() {
        for (answer, why) in [
            (Vec::new(), "cannot be read"),
            (b"+OK ready\r\n".to_vec(), "does not speak HTTP"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut".to_vec(), "cannot be read"),
            (response("200 OK", &"x".repeat(MOST + 1)), "more than 256 KiB"),
            (response("503 X", ""), "HTTP status 503"),
        ] {
            let (answer, _) = ask(vec![answer], Repeat::Never).await;
            let told = answer.unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }

    #[tokio::test]
    async fn what_can_be_used_once_is_sent_again_only_if_it_was_not_accepted() {
        let good = || response("200 OK", "{}");
        let (answer, asked) = ask(vec![response("503 X", ""), good()], Repeat::WhileNotAccepted).await;
        assert!(answer.is_ok() && asked.len() == 2);
        // It may have been accepted with the answer lost.
        let (answer, asked) = ask(vec![Vec::new()], Repeat::WhileNotAccepted).await;
        assert!(answer.unwrap_err().is_temporary() && asked.len() == 1);
        let (answer, asked) = ask(vec![Vec::new(), good()], Repeat::WhileTemporary).await;
        assert!(answer.is_ok() && asked.len() == 2);
    }

    #[tokio::test]
    async fn a_server_of_another_kind_is_told_from_one_that_is_not_well() {
        let (answer, asked) = ask(vec![b"+OK POP3 ready\r\n".to_vec()], Repeat::WhileTemporary).await;
        let error = answer.unwrap_err();
        assert!(matches!(error.problem, HttpProblem::NotHttp { .. }) && !error.is_temporary(), "{error}");
        assert_eq!(asked.len(), 1);
    }

    /// Connections on which the server has already sent this.
    #[derive(Debug)]
    struct Greeted(&'static [u8]);

    impl Dial for Greeted {
        fn connect<'a>(
            &'a self,
            endpoint: &'a Endpoint,
            _: &'a [SocketAddr],
        ) -> Dialling<'a, Result<Connection, NetError>> {
            Box::pin(async {
                let (stream, mut server) = tokio::io::duplex(64 * 1024);
                server.write_all(self.0).await.unwrap();
                tokio::spawn(async move { server.read_to_end(&mut Vec::new()).await });
                Ok(Connection::in_clear(stream, SocketAddr::from(([127, 0, 0, 1], endpoint.port))))
            })
        }

        fn start_tls<'a>(&'a self, _: &'a Endpoint, _: Connection) -> Dialling<'a, Result<Connection, NetError>> {
            unreachable!("there is no STLS in HTTP")
        }

        fn speaks_tls<'a>(&'a self, _: SocketAddr, _: &'a Endpoint) -> Dialling<'a, bool> {
            Box::pin(async { false })
        }
    }

    #[tokio::test]
    async fn what_is_said_unasked_is_the_answer() {
        let told = async |said| {
            let request = hyper::Request::post("http://127.0.0.1:1/token").body(Vec::new()).unwrap();
            Http::new(Arc::new(Greeted(said)), None).send(request, Repeat::Never).await.unwrap_err().to_string()
        };
        assert!(told(b"+OK ready\r\n").await.contains("does not speak HTTP"));
        assert!(told(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await.contains("HTTP status 503"));
    }

    #[tokio::test]
    async fn a_secret_goes_nowhere_without_encryption() {
        let http = Http::new(Arc::new(Dialer::new(NetLimits::default())), None);
        let request = hyper::Request::post("http://login.example.org/token").body(Vec::new()).unwrap();
        let error = http.send(request, Repeat::WhileTemporary).await.unwrap_err();
        assert!(matches!(error.problem, HttpProblem::Address) && !error.is_temporary());
    }
}
