//! From the connection into the TRANSACTION state: greeting, STLS, CAPA, UTF8, login.

use std::time::Duration;

use tokio::time::timeout;

use super::reach::{of_tls, reach};
use super::{Client, ClientError, Said};
use crate::account::{Account, Endpoint};
use crate::net::{Connection, Dial, NetError};
use crate::pop3::{
    Asked, Capabilities, Command, Event, Greeting, LoginMethod, Mechanism, Offer, Response, Status, apop_digest,
    choose, judge_refusal, plain_response,
};
use crate::secret::Secret;

/// After so much silence on a plaintext connection it is worth asking whether the server waits for TLS.
const SUSPICIOUS_SILENCE: Duration = Duration::from_secs(3);

/// What is expected of a server, from earlier sessions. It saves round trips where it is right and is noticed where it is
/// wrong.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// What CAPA announced before the login: then it is not asked for. None if it is to be asked.
    pub before_login: Option<Capabilities>,
    /// What it announced after the login.
    pub after_login: Option<Capabilities>,
    /// Commands are sent one at a time, whatever is announced.
    pub one_at_a_time: bool,
    /// TLS comes about only without the large key share of [`crate::account::KeyExchange::Auto`].
    pub classical: bool,
}

/// A client in the TRANSACTION state, and what the server announced on the way.
#[derive(Debug)]
pub struct LoggedIn {
    /// The client.
    pub client: Client,
    /// What CAPA announced before the login, in this session or an earlier one; None if the server does not know CAPA.
    pub capabilities: Option<Capabilities>,
}

/// Connects and logs in.
///
/// # Errors
/// [`ClientError`]. One credential is tried, never more.
pub async fn log_in(
    dialer: &dyn Dial,
    account: &Account,
    password: &Secret,
    expected: &Expected,
) -> Result<LoggedIn, ClientError> {
    let (client, greeting) = reach(dialer, account, password, expected).await?;
    // TLS 1.3 refuses only now what it has against us.
    log_in_to(client, greeting, account, password, expected).await.map_err(of_tls)
}

async fn log_in_to(
    mut client: Client,
    greeting: Greeting,
    account: &Account,
    password: &Secret,
    expected: &Expected,
) -> Result<LoggedIn, ClientError> {
    client.refuse_cleartext(account)?;
    client.careful = expected.one_at_a_time;
    let login = Login { account, password, timestamp: greeting.timestamp.as_deref() };
    let capabilities = match &expected.before_login {
        Some(remembered) => client.authenticate_from_memory(&login, remembered).await?,
        None => {
            let announced = client.capabilities().await?;
            let method = client.choose_method(&login, announced.as_ref())?;
            client.authenticate(&login, method, announced.as_ref()).await?;
            announced
        }
    };
    Ok(LoggedIn { client, capabilities })
}

/// What a login is made of.
struct Login<'a> {
    account: &'a Account,
    password: &'a Secret,
    /// The timestamp of the greeting, which APOP needs.
    timestamp: Option<&'a str>,
}

impl Client {
    pub(super) async fn greeting(&mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<Greeting, ClientError> {
        let first = match timeout(SUSPICIOUS_SILENCE, self.event()).await {
            Ok(event) => event?,
            Err(_) => {
                if !self.link.protected && dialer.speaks_tls(self.link.peer, endpoint).await {
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
        let Self { stream, mut session, link, patience, mask, .. } = self;
        let (peer, loopback) = (link.peer, link.loopback);
        let plain =
            Connection { stream, peer, protected: false, loopback, certificate_expires: None, classical: false };
        let handshake = timeout(patience.silence, dialer.start_tls(endpoint, plain)).await;
        // Nobody knows any more whether it had begun to answer.
        let silent = |_| NetError::TlsTimeout {
            host: endpoint.host.clone(),
            port: endpoint.port,
            tls: endpoint.tls,
            limit: patience.silence,
            heard: false,
        };
        let protected = handshake.map_err(silent)??;
        session.tls_started()?;
        Ok(Self { session, mask, ..Self::new(protected, patience) })
    }

    fn refuse_cleartext(&self, account: &Account) -> Result<(), ClientError> {
        let allowed = self.link.protected || self.link.loopback || account.endpoint.allow_cleartext_password;
        if allowed { Ok(()) } else { Err(ClientError::Cleartext { peer: self.link.peer }) }
    }

    /// CAPA (RFC 2449, section 5); None if the server refuses it.
    pub(super) async fn capabilities(&mut self) -> Result<Option<Capabilities>, ClientError> {
        let mut capabilities = None;
        self.converse([Command::Capa], |_, said| match said {
            Said::Response(response) if response.status == Status::Ok => capabilities = Some(Capabilities::new()),
            Said::Line(line) => {
                if let Some(capabilities) = &mut capabilities {
                    capabilities.add_line(line);
                }
            }
            _ => {}
        })
        .await?;
        Ok(capabilities)
    }

    /// Logs in without asking for the capabilities. If the server refuses, it may be because it does not offer any more
    /// what it did: then what it offers now is asked for and, if that makes a difference, used.
    async fn authenticate_from_memory(
        &mut self,
        login: &Login<'_>,
        remembered: &Capabilities,
    ) -> Result<Option<Capabilities>, ClientError> {
        let method = self.choose_method(login, Some(remembered))?;
        let refusal = match self.authenticate(login, method, Some(remembered)).await {
            Ok(()) => return Ok(Some(remembered.clone())),
            Err(refusal @ ClientError::Login { .. }) => refusal,
            Err(other) => return Err(other),
        };
        // Many servers hang up after a refusal; then the refusal is what there is to say.
        let Ok(announced) = self.capabilities().await else { return Err(refusal) };
        let now = self.choose_method(login, announced.as_ref())?;
        if now == method {
            return Err(refusal);
        }
        self.authenticate(login, now, announced.as_ref()).await?;
        Ok(announced)
    }

    fn choose_method(
        &self,
        login: &Login<'_>,
        capabilities: Option<&Capabilities>,
    ) -> Result<LoginMethod, ClientError> {
        let offer = Offer { capabilities, timestamp: login.timestamp, protected: self.link.protected };
        choose(login.account.auth, &offer).map_err(ClientError::NoLogin)
    }

    async fn authenticate(
        &mut self,
        login: &Login<'_>,
        method: LoginMethod,
        capabilities: Option<&Capabilities>,
    ) -> Result<(), ClientError> {
        self.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let (username, password) = (login.account.username.clone(), login.password);
        let utf8 = capabilities.is_some_and(Capabilities::utf8).then_some(Command::Utf8);
        let commands = match method {
            LoginMethod::Plain => {
                let initial_response = Some(plain_response(&username, password));
                vec![Command::Auth { mechanism: Mechanism::Plain, initial_response }]
            }
            LoginMethod::User => vec![Command::User(username), Command::Pass(password.clone())],
            LoginMethod::Apop => {
                let digest = apop_digest(login.timestamp.unwrap_or_default(), password);
                vec![Command::Apop { username, digest }]
            }
        };
        self.attempt(utf8.into_iter().chain(commands), login.account, password).await
    }

    /// Sends the login, with UTF8 in front of its first command where it is offered.
    async fn attempt(
        &mut self,
        commands: impl Iterator<Item = Command>,
        account: &Account,
        password: &Secret,
    ) -> Result<(), ClientError> {
        let mut commands = commands.peekable();
        let mut refused: Option<(Asked, Response)> = None;
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
                Event::Response { to: Asked::Utf8, .. } => {}
                Event::Response { to, response } if response.status != Status::Ok => {
                    refused.get_or_insert((to, response));
                }
                Event::Challenge(_) => {
                    self.session.answer_challenge(&plain_response(&account.username, password))?;
                }
                Event::BadChallenge => self.session.cancel_challenge()?,
                _ => {}
            }
        }
        match refused {
            None => Ok(()),
            Some((asked, response)) => {
                let refusal = judge_refusal(&response);
                Err(ClientError::Login { asked, response, refusal })
            }
        }
    }
}
