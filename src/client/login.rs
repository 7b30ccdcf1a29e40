//! From the connection into the TRANSACTION state: greeting, STLS, CAPA, UTF8, login.

use std::time::Duration;

use tokio::time::timeout;

use super::{Client, ClientError, ResponsePart};
use crate::account::{Account, Endpoint};
use crate::net::{Connection, Dial, NetError};
use crate::pop3::{
    Capabilities, Command, CommandKind, Event, Greeting, LoginMethod, Mechanism, Response, Status, apop_digest,
    plain_response,
};
use crate::secret::Secret;
use attempt::Attempt;

mod attempt;

/// After so much silence on a plaintext connection it is worth asking whether the server waits for TLS.
const SUSPICIOUS_SILENCE: Duration = Duration::from_secs(3);

/// What is expected of a server, from earlier sessions. It saves round trips where it is right and is noticed where it is
/// wrong.
#[derive(Debug, Clone, Default)]
pub struct CachedCapabilities {
    /// What CAPA announced before the login: then it is not asked for. None if it is to be asked.
    pub before_login: Option<Capabilities>,
    /// What it announced after the login.
    pub after_login: Option<Capabilities>,
    /// Ways to log in that came to nothing, the one that did so last at the end: others are tried before them.
    pub failed_logins: Vec<LoginMethod>,
    /// Commands are sent one at a time, whatever is announced.
    pub one_at_a_time: bool,
    /// TLS comes about only without the large key share of [`crate::account::KeyExchange::Auto`].
    pub classical: bool,
}

/// A client in the TRANSACTION state, and what was learned of the server on the way.
#[derive(Debug)]
pub struct LoggedIn {
    /// The client.
    pub client: Client,
    /// What CAPA announced before the login, in this session or an earlier one; None if the server does not know CAPA.
    pub capabilities: Option<Capabilities>,
    /// The way that was let in.
    pub method: LoginMethod,
    /// Those that were tried before it, and that the server does not know.
    pub failed: Vec<LoginMethod>,
}

/// A login that came to nothing.
#[derive(Debug)]
pub struct LoginError {
    /// Why.
    pub error: ClientError,
    /// The ways to log in that another one should be tried before.
    pub failed: Vec<LoginMethod>,
}

/// Connects and logs in. A way to log in that the server does not know is no refused credential: the next one is tried,
/// in the same session or, if the server hangs up at it, once in a new one.
///
/// # Errors
/// [`LoginError`]. One credential is refused, never more: what was refused is not offered again, in no form.
pub async fn log_in(
    dialer: &dyn Dial,
    account: &Account,
    password: &Secret,
    cached: &CachedCapabilities,
) -> Result<LoggedIn, LoginError> {
    Attempt::new(account, password, cached).run(dialer).await
}

/// What a login is made of.
struct Login<'a> {
    account: &'a Account,
    password: &'a Secret,
    /// The timestamp of the greeting, which APOP needs.
    timestamp: Option<&'a str>,
}

/// A way to log in was refused.
struct Refused {
    /// The command.
    asked: CommandKind,
    /// The server's words.
    response: Response,
    /// Whether the credential was sent: a challenge that did not come was not answered.
    offered: bool,
}

impl Client {
    pub(super) async fn greeting(&mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<Greeting, ClientError> {
        let first = match timeout(SUSPICIOUS_SILENCE, self.event()).await {
            Ok(event) => event?,
            Err(_) => {
                if !self.info.protected && dialer.speaks_tls(self.info.peer, endpoint).await {
                    return Err(ClientError::SpeaksTls { port: endpoint.port });
                }
                self.event().await?
            }
        };
        match first {
            Event::Greeting(greeting) if greeting.response.status == Status::Ok => Ok(greeting),
            Event::Greeting(Greeting { response, .. }) => Err(ClientError::Unwilling { response }),
            _ => Err(ClientError::Closed),
        }
    }

    /// STLS (RFC 2595, section 4). It is not looked up in CAPA first: who could strip it there could strip it here, and
    /// a refusal ends the session either way.
    pub(super) async fn start_tls(mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<Self, ClientError> {
        let response = self.exchange(Command::Stls).await?;
        if response.status != Status::Ok {
            return Err(ClientError::NoStls { response });
        }
        // Bytes behind the answer came in clear and could come from anybody: the session refuses them.
        let left = self.buffer.get(self.unread.clone()).unwrap_or_default();
        self.session.receive(left).map_err(|e| self.masked(e))?;
        let Self { stream, mut session, info, timeouts, redactor, .. } = self;
        let (peer, loopback) = (info.peer, info.loopback);
        let plain = Connection {
            stream,
            peer,
            protected: false,
            loopback,
            certificate_expires: None,
            classical: false,
            tls: None,
        };
        let handshake = timeout(timeouts.silence, dialer.start_tls(endpoint, plain)).await;
        // Nobody knows any more whether it had begun to answer.
        let silent = |_| NetError::TlsTimeout {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: endpoint.tls,
            limit: timeouts.silence,
            heard: false,
        };
        let protected = handshake.map_err(silent)??;
        session.tls_started()?;
        Ok(Self { session, redactor, ..Self::new(protected, timeouts) })
    }

    fn refuse_cleartext(&self, account: &Account) -> Result<(), ClientError> {
        let allowed = self.info.protected || self.info.loopback || account.endpoint.allow_cleartext_password;
        if allowed { Ok(()) } else { Err(ClientError::Cleartext { peer: self.info.peer }) }
    }

    /// CAPA (RFC 2449, section 5); None if the server refuses it.
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

    /// Tries a way to log in; what the server says if it refuses.
    async fn authenticate(
        &mut self,
        login: &Login<'_>,
        method: LoginMethod,
        capabilities: Option<&Capabilities>,
    ) -> Result<Option<Refused>, ClientError> {
        self.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let (username, password) = (login.account.username.clone(), login.password);
        let utf8 = capabilities.is_some_and(Capabilities::utf8).then_some(Command::Utf8);
        let commands = match method {
            LoginMethod::Plain => {
                let initial_response = Some(plain_response(&username, password));
                vec![Command::Auth { mechanism: Mechanism::Plain, initial_response }]
            }
            LoginMethod::PlainWhenAsked => {
                vec![Command::Auth { mechanism: Mechanism::Plain, initial_response: None }]
            }
            LoginMethod::User => vec![Command::User(username), Command::Pass(password.clone())],
            LoginMethod::Apop => {
                let digest = apop_digest(login.timestamp.unwrap_or_default(), password);
                vec![Command::Apop { username, digest }]
            }
        };
        let waits = method == LoginMethod::PlainWhenAsked;
        self.attempt(utf8.into_iter().chain(commands), login, !waits).await
    }

    /// Sends the login, with UTF8 in front of its first command where it is known. `offered` says whether the commands
    /// hold the credential; else it waits for the challenge.
    async fn attempt(
        &mut self,
        commands: impl Iterator<Item = Command>,
        login: &Login<'_>,
        mut offered: bool,
    ) -> Result<Option<Refused>, ClientError> {
        let mut commands = commands.peekable();
        let mut refused = None;
        while commands.peek().is_some() || self.outstanding() > 0 {
            while self.outstanding() < self.window()
                && refused.is_none()
                && let Some(command) = commands.next()
            {
                self.ask(command)?;
            }
            if self.outstanding() == 0 {
                break;
            }
            match self.event().await? {
                // UTF8 is a wish: a server that thinks better of it goes on as before.
                Event::Response { to: CommandKind::Utf8, .. } => {}
                Event::Response { to, response } if response.status != Status::Ok => {
                    refused.get_or_insert(Refused { asked: to, response, offered });
                }
                Event::Challenge(_) => {
                    offered = true;
                    self.session.answer_challenge(&plain_response(&login.account.username, login.password))?;
                }
                Event::BadChallenge => self.session.cancel_challenge()?,
                _ => {}
            }
        }
        Ok(refused)
    }
}
