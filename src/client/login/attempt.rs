//! Tries the login methods in turn until the server accepts one or refuses more than the method.

use tracing::info;

use super::addresses::{AddressProfile, Addresses, Ended, Next};
use super::{CachedCapabilities, Failure, LoggedIn, Login, LoginError};
use crate::account::{Account, AuthChoice};
use crate::client::error::NotOffered;
use crate::client::reach::{of_tls, reach};
use crate::client::{Client, ClientError};
use crate::net::Dial;
use crate::pop3::{
    Capabilities, CommandKind, FramingError, Mechanism, Refusal, ResponseCode, is_unknown_method, judge_refusal,
};
use crate::provider::Provider;
use crate::sasl::{Exposure, LoginMethod, Offer, ways_to_log_in};
use crate::secret::Secret;

/// A login in progress, over one session or several.
pub(super) struct Attempt<'a> {
    account: &'a Account,
    password: &'a Secret,
    cached: &'a CachedCapabilities,
    /// What was found out about the current address.
    here: AddressProfile,
    /// The addresses tried so far, and what may be tried next.
    addresses: Addresses,
    /// Whether the connection was closed by the server at a method and there is another one.
    another_way: bool,
    /// Whether the session ended at a method while another was left, for now or for the next poll.
    untried: bool,
    /// Whether this session failed for a reason other than the method and the credential, so that another address may
    /// do.
    another_address: bool,
    /// Whether a method was refused in this session, which may be why the connection was closed by the server.
    refused: bool,
    /// Whether the server refused a method that hides the password: it may only pretend to support such methods.
    only_showing: bool,
    /// Whether anybody can read the connection.
    overheard: bool,
}

/// What a failed method leads to.
struct Judged {
    /// The error to report if no other method is left.
    error: ClientError,
    /// Whether another method may be tried: this one was unknown or could not be completed.
    another: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(account: &'a Account, password: &'a Secret, cached: &'a CachedCapabilities) -> Self {
        Self {
            account,
            password,
            cached,
            here: AddressProfile::default(),
            addresses: Addresses::default(),
            another_way: false,
            untried: false,
            another_address: false,
            refused: false,
            only_showing: false,
            overheard: false,
        }
    }

    /// Logs in, in one session, or in several if the server closes the connection at a method or one of its addresses
    /// does not work.
    pub(super) async fn run(mut self, dialer: &dyn Dial) -> Result<LoggedIn, LoginError> {
        loop {
            (self.another_way, self.untried, self.another_address, self.refused) = (false, false, false, false);
            let ended = match self.session(dialer).await {
                Ok(logged_in) => return Ok(logged_in),
                Err(ended) => ended,
            };
            let (another_way, another_address) = (self.another_way, self.another_address && !self.only_showing);
            match self.addresses.next(ended, another_way, another_address, &mut self.here) {
                Next::Way(error) => {
                    info!(
                        "the server closed the connection during the login, so another way to log in is tried: {error}"
                    );
                }
                Next::Address => {}
                Next::Over(error) => {
                    if !self.untried && self.addresses.sessions > 1 && !is_refusal(&error) {
                        // It closes the connection at everything, so the login method is hardly the reason.
                        self.here.failed.retain(|way| self.overheard && way.hides_password());
                    }
                    return Err(self.over(error));
                }
            }
        }
    }

    fn over(mut self, error: ClientError) -> LoginError {
        if self.overheard {
            // An attacker who blocks these methods for long enough must not be shown the password in the end.
            self.here.failed.extend(self.hiding_earlier());
        }
        let provider = Provider::of(&self.account.endpoint.host);
        LoginError { error: error.or_goodbye(provider, false), failed: self.here.failed }
    }

    /// Returns the methods that hide the password among those that the server is remembered to have.
    fn hiding_earlier(&self) -> Vec<LoginMethod> {
        let announced = self.cached.before_login.as_ref().map(|announced| {
            let offer = Offer {
                capabilities: Some(announced),
                timestamp: None,
                exposure: Exposure::Cleartext,
                bindable: false,
                earlier: &[],
            };
            ways_to_log_in(AuthChoice::Auto, false, &offer).unwrap_or_default()
        });
        let remembered = announced.into_iter().flatten().chain(self.cached.failed_logins.iter().copied());
        remembered.filter(|way| way.hides_password() && !self.here.failed.contains(way)).collect()
    }

    /// Runs one session, from the connection to the login.
    async fn session(&mut self, dialer: &dyn Dial) -> Result<LoggedIn, Ended> {
        let Self { account, password, cached, .. } = *self;
        let reached = reach(dialer, account, password, cached.classical, &mut self.addresses.avoid).await;
        let (mut client, greeting) = reached.map_err(Ended::Unreached)?;
        client.refuse_cleartext(account).map_err(Ended::Unreached)?;
        client.careful = cached.one_at_a_time;
        self.overheard |= client.exposure() == Exposure::Cleartext;
        let utf8 = !self.here.without_utf8;
        let login = Login { account, password, timestamp: greeting.timestamp.as_deref(), utf8 };
        match self.enter(&mut client, &login).await {
            Ok((method, capabilities)) => {
                let AddressProfile { failed, without_capa, .. } = std::mem::take(&mut self.here);
                Ok(LoggedIn { client, capabilities, bears_capa: !without_capa, method, failed })
            }
            Err(error) => Err(self.broken(error, &client)),
        }
    }

    /// Describes a session that ended without a login.
    fn broken(&mut self, error: ClientError, client: &Client) -> Ended {
        // With TLS 1.3 the server's objections arrive only now.
        let error = of_tls(error);
        self.another_address |= is_of_one_address(&error);
        Ended::Broken { peer: client.info.peer, error, offered: client.login.offered }
    }

    /// Tries login methods until the server accepts one or refuses more than the method.
    async fn enter(
        &mut self,
        client: &mut Client,
        login: &Login<'_>,
    ) -> Result<(LoginMethod, Option<Capabilities>), ClientError> {
        let mut from_memory = self.cached.before_login.is_some();
        let mut announced = match &self.cached.before_login {
            Some(remembered) => Some(remembered.clone()),
            None if self.here.without_capa => None,
            None => client.capabilities().await.inspect_err(|e| self.broke_at_capa(e))?,
        };
        let mut method = self.next(client, login, announced.as_ref())?.ok_or(ClientError::Closed)?;
        loop {
            let tried = client.authenticate(login, method, announced.as_ref()).await;
            let failure = match tried {
                Ok(None) => return Ok((method, announced)),
                Ok(Some(failure)) => failure,
                Err(error) => return Err(self.session_broke(error, method, client, login, announced.as_ref())),
            };
            let Judged { error, another } = self.judge(failure, method, client.exposure(), login);
            if !another {
                return Err(error);
            }
            if std::mem::take(&mut from_memory) {
                // The cached capabilities may be outdated. Many servers close the connection after a refusal.
                match client.capabilities().await {
                    Ok(now) => announced = now,
                    Err(_) => return Err(self.connection_closed(error, client, login, announced.as_ref())),
                }
            }
            let Some(next) = self.next(client, login, announced.as_ref())? else {
                return Err(or_not_offered(error, login.account, announced.as_ref()));
            };
            info!("the login {} failed ({error}), so {} is tried", method.name(), next.name());
            method = next;
        }
    }

    /// Decides what a failure means for this method and the others.
    fn judge(&mut self, failure: Failure, method: LoginMethod, exposure: Exposure, login: &Login<'_>) -> Judged {
        self.refused = true;
        let (asked, response, offered, certain) = match failure {
            Failure::Refused { asked, response, offered, certain } => (asked, response, offered, certain),
            Failure::Broken { mechanism, error } => {
                self.here.failed.push(method);
                return Judged { error: ClientError::Sasl { mechanism, error }, another: true };
            }
        };
        let refusal = if certain { Refusal::Credentials } else { judge_refusal(&response) };
        let unknown = !certain && (is_unknown_method(&response) || (!offered && refusal == Refusal::Credentials));
        // Doubting such a refusal costs nothing if nobody can listen: the method may be at fault, and the password is
        // sent again.
        let auto = login.account.auth == AuthChoice::Auto;
        let doubtful =
            refusal == Refusal::Credentials && auto && method.hides_password() && exposure != Exposure::Cleartext;
        self.only_showing |= doubtful && !unknown;
        // A server that does not know a method may answer anything. So unless it certainly means the credentials,
        // another method comes first next time.
        let coded = response.code == Some(ResponseCode::Auth);
        if unknown || doubtful || (refusal == Refusal::Credentials && !coded && !certain) {
            self.here.failed.push(method);
        }
        // Too busy before it judged any credential, which may be true of this address only.
        self.another_address = refusal == Refusal::Temporary && (!offered || asked == CommandKind::User);
        let (provider, blanks) = (Provider::of(&login.account.endpoint.host), holds_blanks(login.password));
        let error = ClientError::Login { provider, asked, response, refusal, blanks };
        Judged { error, another: unknown || doubtful }
    }

    /// Returns the method to try next; None if none is left.
    fn next(
        &self,
        client: &Client,
        login: &Login<'_>,
        announced: Option<&Capabilities>,
    ) -> Result<Option<LoginMethod>, ClientError> {
        let bindable = client.info.binding.is_some();
        let failed = &self.here.failed;
        let earlier = [failed.as_slice(), &self.addresses.failed_elsewhere, &self.cached.failed_logins].concat();
        let (timestamp, exposure) = (login.timestamp, client.exposure());
        let offer = Offer { capabilities: announced, timestamp, exposure, bindable, earlier: &earlier };
        let Account { auth, uses_token, .. } = login.account;
        let ways = ways_to_log_in(*auth, *uses_token, &offer).map_err(ClientError::NoLogin)?;
        let before = |way: &LoginMethod| self.cached.failed_logins.iter().position(|failed| failed == way);
        let is_left = |way: &LoginMethod| {
            let passed_over = self.only_showing && way.hides_password();
            !failed.contains(way) && !passed_over
        };
        // Methods that never failed come first, then the one that failed longest ago.
        Ok(ways.into_iter().filter(is_left).min_by_key(before))
    }

    /// Handles a session that broke at CAPA, which a server from before RFC 2449 may not tolerate.
    fn broke_at_capa(&mut self, error: &ClientError) {
        if matches!(error, ClientError::Closed | ClientError::Lost { .. }) {
            (self.here.without_capa, self.another_way) = (true, true);
        }
    }

    /// Handles a session that broke while a method was tried, which may have been more than the server tolerates.
    fn session_broke(
        &mut self,
        error: ClientError,
        method: LoginMethod,
        client: &Client,
        login: &Login<'_>,
        announced: Option<&Capabilities>,
    ) -> ClientError {
        if matches!(error, ClientError::Silence { .. }) {
            self.here.failed.push(method);
            self.untried = self.has_another(client, login, announced);
        }
        if matches!(
            error,
            ClientError::Closed | ClientError::Lost { .. } | ClientError::Framing(FramingError::NotPop3 { .. })
        ) {
            // It may have been UTF8 that it did not tolerate.
            let utf8 = login.utf8 && announced.is_some_and(Capabilities::utf8) && !client.login.utf8_answered;
            self.here.without_utf8 |= utf8;
            // After a refusal, the refusal may be why it closed the connection.
            if !self.refused {
                self.here.failed.push(method);
            }
            let error = self.connection_closed(error, client, login, announced);
            if utf8 && !self.another_way {
                self.here.failed.pop_if(|way| *way == method);
                self.another_way = true;
            }
            return error;
        }
        error
    }

    /// Handles a connection that was closed by the server; another session is worthwhile if another method is left.
    fn connection_closed(
        &mut self,
        error: ClientError,
        client: &Client,
        login: &Login<'_>,
        announced: Option<&Capabilities>,
    ) -> ClientError {
        self.another_way = self.has_another(client, login, announced);
        self.untried = self.another_way;
        error
    }

    fn has_another(&self, client: &Client, login: &Login<'_>, announced: Option<&Capabilities>) -> bool {
        self.next(client, login, announced).is_ok_and(|next| next.is_some())
    }
}

/// How many of the announced mechanisms an error names.
const NAMED: usize = 20;

/// Turns the refusal of the last mechanism, which the server does not know, into an error that says so, if the server
/// does not announce it either.
fn or_not_offered(error: ClientError, account: &Account, announced: Option<&Capabilities>) -> ClientError {
    let ClientError::Login { asked: CommandKind::Auth(refused), ref response, .. } = error else { return error };
    let wanted = match account.auth {
        AuthChoice::Auto if account.uses_token => vec![Mechanism::OAuthBearer, Mechanism::XOAuth2],
        // Only what is announced was tried.
        AuthChoice::Auto => return error,
        _ => vec![refused],
    };
    let Some(announced) = announced else { return error };
    let offered: Vec<String> = announced.sasl_names().take(NAMED).map(str::to_owned).collect();
    if offered.is_empty() || wanted.iter().any(|mechanism| announced.sasl(*mechanism)) {
        return error;
    }
    ClientError::NotOffered(Box::new(NotOffered { wanted, offered, response: response.clone() }))
}

/// Whether a session that ended like this before the login was answered might have fared better at another address.
fn is_of_one_address(error: &ClientError) -> bool {
    match error {
        ClientError::Lost { .. } | ClientError::Closed | ClientError::Framing(_) => true,
        ClientError::Silence { .. } | ClientError::TooSlow { .. } => true,
        ClientError::Net(e) => e.is_of_one_address(),
        _ => false,
    }
}

/// Whether the server answered the login, and refused it.
fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Login { .. } | ClientError::NotOffered(_))
}

/// Whether a password contains whitespace of any kind, which nobody types.
fn holds_blanks(password: &Secret) -> bool {
    let octets = password.expose();
    match str::from_utf8(octets) {
        Ok(text) => text.chars().any(|c| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}')),
        // The non-breaking space of ISO 8859.
        Err(_) => octets.iter().any(|octet| matches!(octet, b' ' | b'\t' | 0xa0)),
    }
}
