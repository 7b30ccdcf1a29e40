//! The ways to log in, one after the other, until the server lets us in or refuses more than the way.

use tracing::info;

use super::{CachedCapabilities, LoggedIn, Login, LoginError, Refused};
use crate::account::Account;
use crate::client::reach::{of_tls, reach};
use crate::client::{Client, ClientError};
use crate::net::Dial;
use crate::pop3::{
    Capabilities, FramingError, LoginMethod, Offer, Refusal, ResponseCode, is_unknown_method, judge_refusal,
    ways_to_log_in,
};
use crate::secret::Secret;

/// A login under way, over one session or two.
pub(super) struct Attempt<'a> {
    account: &'a Account,
    password: &'a Secret,
    cached: &'a CachedCapabilities,
    /// The ways that came to nothing, in the order in which they were tried.
    failed: Vec<LoginMethod>,
    /// The server hung up when a way was tried, and there is another one.
    another_way: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(account: &'a Account, password: &'a Secret, cached: &'a CachedCapabilities) -> Self {
        Self { account, password, cached, failed: Vec::new(), another_way: false }
    }

    /// Logs in, in one session, or in another one if the server hangs up at a way.
    pub(super) async fn run(mut self, dialer: &dyn Dial) -> Result<LoggedIn, LoginError> {
        let first = match self.session(dialer).await {
            Ok(logged_in) => return Ok(logged_in),
            Err(error) => error,
        };
        if !self.another_way {
            return Err(self.over(first));
        }
        info!("the server hung up at a way to log in, so another one is tried: {first}");
        match self.session(dialer).await {
            Ok(logged_in) => Ok(logged_in),
            Err(error) => {
                if !matches!(error, ClientError::Login { .. }) {
                    // It hangs up at everything: that is hardly about the way to log in.
                    self.failed.clear();
                }
                Err(self.over(error))
            }
        }
    }

    fn over(self, error: ClientError) -> LoginError {
        LoginError { error: error.or_goodbye(false), failed: self.failed }
    }

    /// One session, from the connection to the login.
    async fn session(&mut self, dialer: &dyn Dial) -> Result<LoggedIn, ClientError> {
        let Self { account, password, cached, .. } = *self;
        let (mut client, greeting) = reach(dialer, account, password, cached.classical).await?;
        client.refuse_cleartext(account)?;
        client.careful = cached.one_at_a_time;
        let login = Login { account, password, timestamp: greeting.timestamp.as_deref() };
        // TLS 1.3 refuses only now what it has against us.
        let (method, capabilities) = self.enter(&mut client, &login).await.map_err(of_tls)?;
        let failed = std::mem::take(&mut self.failed);
        Ok(LoggedIn { client, capabilities, method, failed })
    }

    /// Tries the ways to log in until the server lets us in, or refuses more than the way.
    async fn enter(
        &mut self,
        client: &mut Client,
        login: &Login<'_>,
    ) -> Result<(LoginMethod, Option<Capabilities>), ClientError> {
        let mut from_memory = self.cached.before_login.is_some();
        let mut announced = match &self.cached.before_login {
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
            info!("the server does not know the login {}, so {} is tried", method.name(), next.name());
            method = next;
        }
    }

    /// The way to try next; None if there is none left.
    fn next(&self, login: &Login<'_>, announced: Option<&Capabilities>) -> Result<Option<LoginMethod>, ClientError> {
        let offer = Offer { capabilities: announced, timestamp: login.timestamp };
        let ways = ways_to_log_in(login.account.auth, &offer).map_err(ClientError::NoLogin)?;
        let before = |way: &LoginMethod| self.cached.failed_logins.iter().position(|failed| failed == way);
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
        if matches!(
            error,
            ClientError::Closed | ClientError::Lost { .. } | ClientError::Framing(FramingError::NotPop3 { .. })
        ) {
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

/// Whether a password holds what nobody types: blanks of any kind.
fn holds_blanks(password: &Secret) -> bool {
    let octets = password.expose();
    match str::from_utf8(octets) {
        Ok(text) => text.chars().any(|c| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}')),
        // The non-breaking space of ISO 8859.
        Err(_) => octets.iter().any(|octet| matches!(octet, b' ' | b'\t' | 0xa0)),
    }
}
