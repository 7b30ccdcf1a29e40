//! Takes a connection to the TRANSACTION state: greeting, STLS, CAPA, UTF8, login.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::time::timeout;

use super::listing_digest::ListingDigest;
use super::{Client, ClientError, ConnectionInfo, ResponsePart};
use crate::account::{Account, Endpoint};
use crate::net::{Connection, Dial, NetError};
use crate::pop3::{Capabilities, Command, CommandKind, Event, Greeting, Mechanism, Response, Status};
use crate::sasl::{Credentials, Exchange, Exposure, LoginMethod, SaslError, apop_digest};
use crate::secret::Secret;
use crate::threads;
use attempt::Attempt;

mod addresses;
mod attempt;

/// After this much silence on a plaintext connection, check whether the server waits for a TLS handshake.
const SUSPICIOUS_SILENCE: Duration = Duration::from_secs(3);

/// What is expected of a server from earlier sessions. It saves round trips if right, and is noticed if wrong.
#[derive(Debug, Clone, Default)]
pub struct CachedCapabilities {
    /// The last listing after which nothing was left to do, if it may be recognised.
    pub listing: Option<ListingDigest>,
    /// What CAPA announced before the login. If set, CAPA is not sent there again.
    pub before_login: Option<Capabilities>,
    /// What it announced after the login.
    pub after_login: Option<Capabilities>,
    /// Login methods that failed, the most recent last: others are tried first.
    pub failed_logins: Vec<LoginMethod>,
    /// Whether commands are sent one at a time, whatever is announced.
    pub one_at_a_time: bool,
    /// Whether TLS succeeds only without the large key share of [`crate::account::KeyExchange::Auto`].
    pub classical: bool,
}

/// A client in the TRANSACTION state, and what was learned of the server on the way.
#[derive(Debug)]
pub struct LoggedIn {
    /// The client.
    pub client: Client,
    /// What CAPA announced before the login, in this session or an earlier one; None if the server does not support
    /// CAPA.
    pub capabilities: Option<Capabilities>,
    /// False if the connection was closed by the server at CAPA.
    pub bears_capa: bool,
    /// The login method that succeeded.
    pub method: LoginMethod,
    /// The methods tried before it that the server does not know.
    pub failed: Vec<LoginMethod>,
}

/// A failed login.
#[derive(Debug)]
pub struct LoginError {
    /// Why.
    pub error: ClientError,
    /// The login methods before which another one should be tried next time.
    pub failed: Vec<LoginMethod>,
}

/// Connects and logs in. If the server does not know a login method, the credential was not refused: the next method is
/// tried, in the same session or, if the server closes the connection, in a new one.
///
/// # Errors
/// [`LoginError`]. A refused credential is not offered again, with one exception: if a method that hides the password
/// was refused where nobody can read the connection, `auto` tries one that sends it.
pub async fn log_in(
    dialer: &dyn Dial,
    account: &Account,
    password: &Secret,
    cached: &CachedCapabilities,
) -> Result<LoggedIn, LoginError> {
    Attempt::new(account, password, cached).run(dialer).await
}

/// What a login needs.
struct Login<'a> {
    account: &'a Account,
    password: &'a Secret,
    /// The timestamp of the greeting, which APOP needs.
    timestamp: Option<&'a str>,
    /// Whether UTF8 may be requested.
    utf8: bool,
}

/// Why a login method failed in a session that goes on.
enum Failure {
    /// It was refused.
    Refused {
        /// The command.
        asked: CommandKind,
        /// The server's response.
        response: Response,
        /// Whether the credential was sent. If no challenge came, it was not.
        offered: bool,
        /// Whether the mechanism itself said that the credential is wrong.
        certain: bool,
    },
    /// The exchange of the mechanism could not be completed.
    Broken {
        /// The mechanism.
        mechanism: Mechanism,
        /// Why not.
        error: SaslError,
    },
}

impl Client {
    pub(super) async fn greeting(&mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<Greeting, ClientError> {
        let heard = |event: Result<Event, ClientError>| match event {
            Err(ClientError::Closed) => Err(ClientError::NoGreeting),
            heard => heard,
        };
        let first = match timeout(SUSPICIOUS_SILENCE, self.event()).await {
            Ok(event) => heard(event)?,
            Err(_) => {
                if !self.info.protected && dialer.speaks_tls(self.info.peer, endpoint).await {
                    return Err(ClientError::SpeaksTls { port: endpoint.port });
                }
                heard(self.event().await)?
            }
        };
        match first {
            Event::Greeting(greeting) if greeting.response.status == Status::Ok => Ok(greeting),
            Event::Greeting(Greeting { response, .. }) => {
                Err(ClientError::Unwilling { provider: self.provider, response })
            }
            _ => Err(ClientError::NoGreeting),
        }
    }

    /// Sends STLS (RFC 2595, section 4). CAPA is not consulted: an attacker who could strip STLS there could also strip
    /// it here, and a refusal ends the session either way.
    pub(super) async fn start_tls(mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<Self, ClientError> {
        let response = self.exchange(Command::Stls).await?;
        if response.status != Status::Ok {
            return Err(ClientError::NoStls { response });
        }
        // Bytes after the answer were not encrypted and could come from anybody: the session refuses them.
        let left = self.buffer.get(self.unread.clone()).unwrap_or_default();
        self.session.receive(left).map_err(|e| self.masked(e))?;
        let Self { stream, mut session, info, provider, timeouts, redactor, round_trips, .. } = self;
        let (peer, loopback) = (info.peer, info.loopback);
        let plain = Connection {
            binding: None,
            stream,
            peer,
            protected: false,
            loopback,
            certificate_expires: None,
            client_certificate_expires: None,
            classical: false,
            tls: None,
            round_trips,
        };
        let handshake = timeout(timeouts.silence, dialer.start_tls(endpoint, plain)).await;
        // Whether the server had begun to answer is no longer known.
        let silent = |_| NetError::TlsTimeout {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: endpoint.tls,
            limit: timeouts.silence,
            heard: false,
        };
        let protected = handshake.map_err(silent)??;
        session.tls_started()?;
        Ok(Self { session, provider, redactor, ..Self::new(protected, timeouts) })
    }

    fn refuse_cleartext(&self, account: &Account) -> Result<(), ClientError> {
        let allowed = self.info.protected || self.info.loopback || account.endpoint.allow_cleartext_password;
        if allowed {
            return Ok(());
        }
        let peer = match account.endpoint.route.proxy {
            Some(_) => account.endpoint.host.clone(),
            None => self.info.peer.ip().to_string(),
        };
        Err(ClientError::Cleartext { peer })
    }

    /// Sends CAPA (RFC 2449, section 5); None if the server refuses it.
    pub(super) async fn capabilities(&mut self) -> Result<Option<Capabilities>, ClientError> {
        let mut capabilities = None;
        self.converse([Command::Capa], |_, part| match part {
            ResponsePart::Response(response) if response.status == Status::Ok => {
                capabilities = Some(Capabilities::new());
            }
            ResponsePart::Line(line) => {
                if let Some(capabilities) = &mut capabilities {
                    capabilities.add_line(line);
                }
            }
            _ => {}
        })
        .await?;
        Ok(capabilities)
    }

    /// Returns who can read this connection.
    fn exposure(&self) -> Exposure {
        match &self.info {
            ConnectionInfo { protected: true, .. } => Exposure::Protected,
            ConnectionInfo { loopback: true, .. } => Exposure::Loopback,
            _ => Exposure::Cleartext,
        }
    }

    /// Tries a login method. Returns why it failed, if it did.
    async fn authenticate(
        &mut self,
        login: &Login<'_>,
        method: LoginMethod,
        capabilities: Option<&Capabilities>,
    ) -> Result<Option<Failure>, ClientError> {
        self.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let (username, password) = (login.account.username.clone(), login.password);
        let utf8 = (login.utf8 && capabilities.is_some_and(Capabilities::utf8)).then_some(Command::Utf8);
        let mut speaking = None;
        let commands = match method.mechanism() {
            Some(mechanism) => {
                let mut exchange = match self.exchange_of(login, mechanism)? {
                    Ok(exchange) => exchange,
                    Err(error) => return Ok(Some(Failure::Broken { mechanism, error })),
                };
                let initial_response = if method.waits() { None } else { exchange.initial_response() };
                speaking = Some(Speaking { mechanism, exchange: Some(exchange), broken: None });
                vec![Command::Auth { mechanism, initial_response }]
            }
            None if method == LoginMethod::Apop => {
                let digest = apop_digest(login.timestamp.unwrap_or_default(), password);
                vec![Command::Apop { username, digest }]
            }
            None => vec![Command::User(username), Command::Pass(password.clone())],
        };
        self.attempt(utf8.into_iter().chain(commands), speaking).await
    }

    /// Begins the exchange of a mechanism.
    fn exchange_of(&self, login: &Login<'_>, mechanism: Mechanism) -> Result<Result<Exchange, SaslError>, ClientError> {
        let Account { username, endpoint, .. } = login.account;
        let nonce = nonce().map_err(|source| NetError::System { source })?;
        let credentials = Credentials {
            username,
            secret: login.password,
            host: &endpoint.host,
            port: endpoint.port,
            binding: self.info.binding.as_ref(),
            nonce: &nonce,
        };
        Ok(Exchange::new(mechanism, &credentials))
    }

    /// Sends the login, preceded by UTF8 if that is announced, and carries out the exchange.
    async fn attempt(
        &mut self,
        commands: impl Iterator<Item = Command>,
        mut speaking: Option<Speaking>,
    ) -> Result<Option<Failure>, ClientError> {
        let mut commands = commands.peekable();
        let mut failure = None;
        while commands.peek().is_some() || self.outstanding() > 0 {
            while self.outstanding() < self.window()
                && failure.is_none()
                && let Some(command) = commands.next()
            {
                let shows = matches!(command.kind(), CommandKind::Pass | CommandKind::Apop);
                self.login.offered |= shows || speaking.as_ref().is_some_and(Speaking::is_offered);
                self.ask(command)?;
            }
            if self.outstanding() == 0 {
                break;
            }
            match (self.event().await?, &mut speaking) {
                // UTF8 is optional: if the server refuses it, the login goes on.
                (Event::Response { to: CommandKind::Utf8, .. }, _) => self.login.utf8_answered = true,
                (Event::Response { to: CommandKind::Auth(_), response }, Some(speaking)) => {
                    failure = speaking.judge(response)?;
                }
                (Event::Response { to, response }, _) if response.status != Status::Ok => {
                    failure.get_or_insert(Failure::Refused { asked: to, response, offered: true, certain: false });
                }
                (Event::Challenge(challenge), Some(speaking)) => {
                    let answer = speaking.answer(challenge).await?;
                    self.login.offered |= speaking.is_offered();
                    match answer {
                        Some(answer) => self.session.answer_challenge(&answer)?,
                        None => self.session.cancel_challenge()?,
                    }
                }
                (Event::BadChallenge, Some(speaking)) => {
                    speaking.broken.get_or_insert(SaslError::NotBase64);
                    self.session.cancel_challenge()?;
                }
                (Event::Challenge(_) | Event::BadChallenge, None) => self.session.cancel_challenge()?,
                _ => {}
            }
        }
        Ok(failure)
    }
}

/// A mechanism whose exchange is in progress.
struct Speaking {
    mechanism: Mechanism,
    /// None while it computes on another thread.
    exchange: Option<Exchange>,
    /// Why the exchange was given up.
    broken: Option<SaslError>,
}

impl Speaking {
    /// Whether the server has received anything from which it can judge the credential.
    fn is_offered(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_offered)
    }

    /// Returns the answer to a challenge; None if there is none.
    async fn answer(&mut self, challenge: Vec<u8>) -> Result<Option<Secret>, ClientError> {
        let Some(mut exchange) = self.exchange.take().filter(|_| self.broken.is_none()) else { return Ok(None) };
        if !exchange.takes_long() {
            let answer = exchange.answer(&challenge);
            self.exchange = Some(exchange);
            return self.judge_answer(answer);
        }
        let answered = threads::blocking(move || {
            let answer = exchange.answer(&challenge);
            (exchange, answer)
        });
        let (exchange, answer) = answered.await.map_err(|e| NetError::System { source: e.into() })?;
        self.exchange = Some(exchange);
        self.judge_answer(answer)
    }

    fn judge_answer(&mut self, answer: Result<Secret, SaslError>) -> Result<Option<Secret>, ClientError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_impostor() => Err(self.failed(error)),
            Err(error) => {
                // A server that has named its error still sends a final response, with text for the user.
                let goes_on = matches!(error, SaslError::Refused { .. });
                self.broken = Some(error);
                Ok(goes_on.then(|| Secret::new(Vec::new())))
            }
        }
    }

    /// Judges the server's final response.
    fn judge(&mut self, response: Response) -> Result<Option<Failure>, ClientError> {
        let (mechanism, broken) = (self.mechanism, self.broken.take());
        match (response.status, broken) {
            (Status::Ok, None) => {
                let accepted = self.exchange.as_ref().map_or(Ok(()), Exchange::accept);
                accepted.map(|()| None).map_err(|error| self.failed(error))
            }
            // The server accepts the login although the exchange was given up.
            (Status::Ok, Some(error)) => Err(self.failed(error)),
            (Status::Err, broken @ (None | Some(SaslError::Refused { .. }))) => {
                let offered = self.is_offered();
                let asked = CommandKind::Auth(mechanism);
                Ok(Some(Failure::Refused { asked, response, offered, certain: broken.is_some() }))
            }
            (Status::Err, Some(error)) => Ok(Some(Failure::Broken { mechanism, error })),
        }
    }

    fn failed(&self, error: SaslError) -> ClientError {
        ClientError::Sasl { mechanism: self.mechanism, error }
    }
}

/// How many random octets make a nonce that never repeats.
const NONCE: usize = 18;

/// Makes a nonce (RFC 5802, section 5.1).
fn nonce() -> io::Result<String> {
    let mut octets = [0; NONCE];
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(BASE64_STANDARD.encode(octets))
}
