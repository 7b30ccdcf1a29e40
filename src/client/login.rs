//! From the connection into the TRANSACTION state: greeting, STLS, CAPA, UTF8, login.

use std::time::Duration;

use tokio::time::timeout;

use tracing::info;

use super::{Client, ClientError, Mask, Patience, Said};
use crate::account::{Account, TlsMode};
use crate::net::{Connection, Dial};
use crate::pop3::{
    Asked, Capabilities, Command, Event, Greeting, LoginMethod, Mechanism, Offer, Refusal, Response, ResponseCode,
    Status, apop_digest, is_unknown_method, judge_refusal, plain_response, ways_to_log_in,
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
    /// Ways to log in that came to nothing, the one that did so last at the end: others are tried before them.
    pub failed_logins: Vec<LoginMethod>,
    /// Commands are sent one at a time, whatever is announced.
    pub one_at_a_time: bool,
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
    expected: &Expected,
) -> Result<LoggedIn, LoginError> {
    let mut attempt = Attempt { account, password, expected, failed: Vec::new(), another_way: false };
    let first = match attempt.session(dialer).await {
        Ok(logged_in) => return Ok(logged_in),
        Err(error) => error,
    };
    if !attempt.another_way {
        return Err(attempt.over(first));
    }
    info!("the server hung up at a way to log in, so another one is tried: {first}");
    match attempt.session(dialer).await {
        Ok(logged_in) => Ok(logged_in),
        Err(error) => {
            if !matches!(error, ClientError::Login { .. }) {
                // It hangs up at everything: that is hardly about the way to log in.
                attempt.failed.clear();
            }
            Err(attempt.over(error))
        }
    }
}

/// What a login is made of.
struct Login<'a> {
    account: &'a Account,
    password: &'a Secret,
    /// The timestamp of the greeting, which APOP needs.
    timestamp: Option<&'a str>,
}

/// A login under way, over one session or two.
struct Attempt<'a> {
    account: &'a Account,
    password: &'a Secret,
    expected: &'a Expected,
    /// The ways that came to nothing, in the order in which they were tried.
    failed: Vec<LoginMethod>,
    /// The server hung up when a way was tried, and there is another one.
    another_way: bool,
}

impl Attempt<'_> {
    fn over(self, error: ClientError) -> LoginError {
        LoginError { error: error.or_goodbye(false), failed: self.failed }
    }

    /// One session, from the connection to the login.
    async fn session(&mut self, dialer: &dyn Dial) -> Result<LoggedIn, ClientError> {
        let Self { account, password, expected, .. } = *self;
        let connection = dialer.connect(&account.endpoint).await?;
        let mut client = Client::new(connection, Patience::new(account.timeout));
        // Before the greeting: the server may know the password from an earlier session.
        client.mask = Mask::new(&account.username, password);
        let greeting = client.greeting(dialer, account).await?;
        if account.endpoint.tls == TlsMode::StartTls {
            client = client.start_tls(dialer, account).await?;
        }
        client.refuse_cleartext(account)?;
        client.careful = expected.one_at_a_time;
        let login = Login { account, password, timestamp: greeting.timestamp.as_deref() };
        let (method, capabilities) = self.enter(&mut client, &login).await?;
        let failed = std::mem::take(&mut self.failed);
        Ok(LoggedIn { client, capabilities, method, failed })
    }

    /// Tries the ways to log in until the server lets us in, or refuses more than the way.
    async fn enter(
        &mut self,
        client: &mut Client,
        login: &Login<'_>,
    ) -> Result<(LoginMethod, Option<Capabilities>), ClientError> {
        let mut from_memory = self.expected.before_login.is_some();
        let mut announced = match &self.expected.before_login {
            Some(remembered) => Some(remembered.clone()),
            None => client.capabilities().await?,
        };
        let mut method = self.next(login, announced.as_ref())?.ok_or(ClientError::Closed)?;
        loop {
            let tried = client.authenticate(login, method, announced.as_ref()).await;
            let Refused { asked, response, offered } = match tried {
                Ok(None) => return Ok((method, announced)),
                Ok(Some(refused)) => refused,
                Err(error) => return Err(self.broke(error, method, login, announced.as_ref())),
            };
            let refusal = judge_refusal(&response);
            let unknown = is_unknown_method(&response) || (!offered && refusal == Refusal::Credentials);
            // A server that does not know a way may say anything. So unless it means the credentials for certain, another
            // way comes first next time.
            if unknown || (refusal == Refusal::Credentials && response.code != Some(ResponseCode::Auth)) {
                self.failed.push(method);
            }
            let refused = ClientError::Login { asked, response, refusal, blanks: holds_blanks(login.password) };
            if !unknown {
                return Err(refused);
            }
            if std::mem::take(&mut from_memory) {
                // What was announced once may have changed. Many servers hang up after a refusal.
                match client.capabilities().await {
                    Ok(now) => announced = now,
                    Err(_) => return Err(self.hung_up(refused, login, announced.as_ref())),
                }
            }
            let Some(next) = self.next(login, announced.as_ref())? else { return Err(refused) };
            info!("the server does not know this way to log in, so another one is tried: {refused}");
            method = next;
        }
    }

    /// The way to try next; None if there is none left.
    fn next(&self, login: &Login<'_>, announced: Option<&Capabilities>) -> Result<Option<LoginMethod>, ClientError> {
        let offer = Offer { capabilities: announced, timestamp: login.timestamp };
        let ways = ways_to_log_in(login.account.auth, &offer).map_err(ClientError::NoLogin)?;
        let before = |way: &LoginMethod| self.expected.failed_logins.iter().position(|failed| failed == way);
        // What never failed comes first, then what did so longest ago.
        Ok(ways.into_iter().filter(|way| !self.failed.contains(way)).min_by_key(before))
    }

    /// The session broke when a way was tried: that may have been what it did not bear.
    fn broke(
        &mut self,
        error: ClientError,
        method: LoginMethod,
        login: &Login<'_>,
        announced: Option<&Capabilities>,
    ) -> ClientError {
        if matches!(error, ClientError::Silence { .. }) {
            self.failed.push(method);
        }
        if matches!(error, ClientError::Closed | ClientError::Lost { .. }) {
            // After a refusal it may well be the refusal that it hung up behind.
            if self.failed.is_empty() {
                self.failed.push(method);
            }
            return self.hung_up(error, login, announced);
        }
        error
    }

    /// The server hung up; another session is worth it if there is another way to log in.
    fn hung_up(&mut self, error: ClientError, login: &Login<'_>, announced: Option<&Capabilities>) -> ClientError {
        self.another_way = self.next(login, announced).is_ok_and(|next| next.is_some());
        error
    }
}

/// A way to log in was refused.
struct Refused {
    /// The command.
    asked: Asked,
    /// The server's words.
    response: Response,
    /// Whether the credential was sent: a challenge that did not come was not answered.
    offered: bool,
}

/// Whether a password holds what nobody types: blanks of any kind.
fn holds_blanks(password: &Secret) -> bool {
    let octets = password.expose();
    match str::from_utf8(octets) {
        Ok(text) => text.chars().any(|c| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}')),
        // The non-breaking space of ISO 8859.
        Err(_) => octets.iter().any(|octet| matches!(octet, b' ' | b'\t' | 0xa0)),
    }
}

impl Client {
    async fn greeting(&mut self, dialer: &dyn Dial, account: &Account) -> Result<Greeting, ClientError> {
        let first = match timeout(SUSPICIOUS_SILENCE, self.event()).await {
            Ok(event) => event?,
            Err(_) => {
                if !self.link.protected && dialer.speaks_tls(self.link.peer, &account.endpoint).await {
                    return Err(ClientError::SpeaksTls { port: account.endpoint.port });
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
    async fn start_tls(mut self, dialer: &dyn Dial, account: &Account) -> Result<Self, ClientError> {
        let response = self.exchange(Command::Stls).await?;
        if response.status != Status::Ok {
            return Err(ClientError::NoStls { response });
        }
        // Bytes behind the answer came in clear and could come from anybody: the session refuses them.
        let left = self.buffer.get(self.unread.clone()).unwrap_or_default();
        self.session.receive(left).map_err(|e| self.masked(e))?;
        let Self { stream, mut session, link, patience, mask, .. } = self;
        let (peer, loopback) = (link.peer, link.loopback);
        let plain = Connection { stream, peer, protected: false, loopback, certificate_expires: None };
        let handshake = timeout(patience.silence, dialer.start_tls(&account.endpoint, plain)).await;
        let protected = handshake.map_err(|_| ClientError::Silence { after: patience.silence })??;
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
                Event::Response { to: Asked::Utf8, .. } => {}
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
