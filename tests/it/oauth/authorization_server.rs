//! An authorization server on this machine (RFC 6749, 7591, 7636, 8414, 8628, 9207), which can be slow, broken or wrong.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// The client id.
pub(crate) const CLIENT: &str = "client-of-jo";

/// The prefix of all tokens and codes, by which leaks are found.
pub(crate) const TOKEN_MARK: &str = "tk0-";

/// Its behaviour, and what happened.
#[derive(Default)]
pub(crate) struct Inside {
    /// The mailbox whose owner consents, as the ID token states; None: there is no ID token.
    pub(crate) mailbox: Option<String>,
    /// The scope that it reports as granted; None: it reports none.
    pub(crate) granted: Option<String>,
    /// The mail server refuses its access tokens.
    pub(crate) useless: bool,
    /// It issues no refresh tokens.
    pub(crate) no_refresh: bool,
    /// Each refresh issues a new refresh token and revokes the old one.
    pub(crate) rotates: bool,
    /// The `iss` of its authorization responses, if any.
    pub(crate) iss: Option<String>,
    /// The `state` of its authorization responses, instead of the right one.
    pub(crate) state: Option<String>,
    /// The user denies access.
    pub(crate) denies: bool,
    /// The HTTP statuses with which the token endpoint refuses the next requests.
    pub(crate) failures: VecDeque<u16>,
    /// How long the token endpoint takes to answer.
    pub(crate) slow: Duration,
    /// How many more polls for a device code are answered with `authorization_pending`.
    pub(crate) pending: u32,
    /// Valid access tokens.
    pub(crate) access: HashSet<String>,
    /// Valid refresh tokens.
    pub(crate) refresh: HashSet<String>,
    /// By code, the challenge and the redirect URI that it was issued for.
    codes: HashMap<String, (String, String)>,
    /// The parameters of all requests at the token endpoint.
    pub(crate) token_requests: Vec<HashMap<String, String>>,
    /// The parameters of the authorization requests.
    pub(crate) authorizations: Vec<HashMap<String, String>>,
    /// The registration requests.
    pub(crate) registered: Vec<Value>,
    /// How many codes and tokens were issued: makes their names unique.
    count: u32,
}

/// The server.
#[derive(Clone)]
pub(crate) struct AuthorizationServer {
    pub(crate) address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

impl AuthorizationServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = Self { address: listener.local_addr().unwrap(), inside: Arc::default() };
        let serving = server.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || server.serve(connection));
            }
        });
        server
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the table `oauth2` with all endpoints; `more` is appended.
    pub(crate) fn settings(&self, more: &str) -> String {
        format!(
            "{{ client_id = \"{CLIENT}\", scope = \"mail offline_access\", authorization_endpoint = \"{}\", token_endpoint = \
             \"{}\", device_authorization_endpoint = \"{}\"{more} }}",
            self.url("/authorize"),
            self.url("/token"),
            self.url("/device"),
        )
    }

    /// Serves the same over TLS on another port. Returns the address.
    pub(crate) fn over_tls(&self, config: Arc<ServerConfig>) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = self.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (server, config) = (serving.clone(), Arc::clone(&config));
                std::thread::spawn(move || {
                    drop(connection.set_read_timeout(Some(Duration::from_secs(20))));
                    server.answer_on(StreamOwned::new(ServerConnection::new(config).unwrap(), connection))
                });
            }
        });
        address
    }

    fn serve(&self, connection: TcpStream) -> Option<()> {
        connection.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        self.answer_on(connection)
    }

    fn answer_on(&self, connection: impl Read + Write) -> Option<()> {
        let mut reader = BufReader::new(connection);
        let mut first = String::new();
        reader.read_line(&mut first).ok()?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let target = first.split(' ').nth(1)?;
        let url = Url::parse(&self.url(target)).ok()?;
        let (status, headers, body) = self.answer(&url, &body);
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        reader.get_mut().write_all(text.as_bytes()).ok()?;
        reader.get_mut().flush().ok()
    }

    fn answer(&self, url: &Url, body: &[u8]) -> (u16, String, String) {
        let ok = |value: Value| (200, String::new(), value.to_string());
        let form = || url::form_urlencoded::parse(body).into_owned().collect::<HashMap<_, _>>();
        match url.path() {
            "/authorize" => self.authorize(url.query_pairs().into_owned().collect()),
            "/token" => self.token(form()),
            "/device" => ok(json!({"device_code": "dev-1", "user_code": "WDJB-MJHT", "interval": 1, "expires_in": 600,
                "verification_uri": "https://e.org/device"})),
            "/register" => {
                let asked: Value = serde_json::from_slice(body).unwrap();
                self.inside().registered.push(asked);
                (201, String::new(), json!({"client_id": "registered-7"}).to_string())
            }
            "/.well-known/oauth-authorization-server" => ok(json!({
                "issuer": self.url(""), "authorization_endpoint": self.url("/authorize"),
                "token_endpoint": self.url("/token"), "registration_endpoint": self.url("/register"),
                "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true,
            })),
            _ => (404, String::new(), String::new()),
        }
    }

    /// Redirects as after the user's consent or denial.
    fn authorize(&self, asked: HashMap<String, String>) -> (u16, String, String) {
        let mut inside = self.inside();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        let state = inside.state.clone().unwrap_or_else(|| asked["state"].clone());
        if inside.denies {
            back.query_pairs_mut().append_pair("error", "access_denied");
        } else {
            inside.count += 1;
            let code = format!("{TOKEN_MARK}code-{}", inside.count);
            inside.codes.insert(code.clone(), (asked["code_challenge"].clone(), asked["redirect_uri"].clone()));
            back.query_pairs_mut().append_pair("code", &code);
        }
        back.query_pairs_mut().append_pair("state", &state);
        if let Some(iss) = &inside.iss {
            back.query_pairs_mut().append_pair("iss", iss);
        }
        inside.authorizations.push(asked);
        (302, format!("Location: {back}\r\n"), String::new())
    }

    fn token(&self, asked: HashMap<String, String>) -> (u16, String, String) {
        let (failure, slow) = {
            let mut inside = self.inside();
            inside.token_requests.push(asked.clone());
            (inside.failures.pop_front(), inside.slow)
        };
        std::thread::sleep(slow); // as slow as the test wants
        if let Some(status) = failure {
            return (status, String::new(), "later".to_owned());
        }
        match self.inside().grant(&asked) {
            Ok(tokens) => (200, String::new(), tokens.to_string()),
            Err(error) => {
                let text = json!({"error": error, "error_description": format!("by the test {}", asked.get("refresh_token").cloned().unwrap_or_default())});
                (400, String::new(), text.to_string())
            }
        }
    }
}

impl Inside {
    fn grant(&mut self, asked: &HashMap<String, String>) -> Result<Value, &'static str> {
        let mut refresh = None;
        match asked["grant_type"].as_str() {
            "authorization_code" => {
                let (challenge, redirect) = self.codes.remove(&asked["code"]).ok_or("invalid_grant")?;
                let digest = Sha256::digest(asked["code_verifier"].as_bytes());
                if BASE64_URL_SAFE_NO_PAD.encode(digest) != challenge || asked["redirect_uri"] != redirect {
                    return Err("invalid_grant");
                }
            }
            "refresh_token" => {
                if !self.refresh.contains(&asked["refresh_token"]) {
                    return Err("invalid_grant");
                }
                refresh = Some(asked["refresh_token"].clone());
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                if self.pending > 0 {
                    self.pending -= 1;
                    return Err("authorization_pending");
                }
            }
            _ => return Err("unsupported_grant_type"),
        }
        self.count += 1;
        let access = format!("{TOKEN_MARK}access-{}", self.count);
        if !self.useless {
            self.access.insert(access.clone());
        }
        let mut tokens = json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600});
        if (refresh.is_none() || self.rotates) && !self.no_refresh {
            let new = format!("{TOKEN_MARK}refresh-{}", self.count);
            if let Some(old) = refresh {
                self.refresh.remove(&old);
            }
            self.refresh.insert(new.clone());
            tokens["refresh_token"] = new.into();
        }
        if let Some(scope) = &self.granted {
            tokens["scope"] = scope.clone().into();
        }
        if let Some(mailbox) = &self.mailbox {
            let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({"email": mailbox}).to_string());
            tokens["id_token"] = format!("e30.{claims}.x").into();
        }
        Ok(tokens)
    }
}

/// Does what a browser does with an address: requests it and follows the redirect. Returns the last response.
pub(crate) fn browse(address: &str) -> String {
    let answer = get(address);
    match answer.lines().find_map(|line| line.strip_prefix("Location: ")) {
        Some(next) => get(next),
        None => answer,
    }
}

/// Returns where an address redirects a browser to.
pub(crate) fn sent_to(address: &str) -> String {
    let answer = get(address);
    answer.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned()
}

fn get(address: &str) -> String {
    let url = Url::parse(address).unwrap();
    let mut connection = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    write!(connection, "GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", url.host_str().unwrap()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}
