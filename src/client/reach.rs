//! Connects to an account's server up to the greeting, with whatever encryption is required before the login. An
//! address that accepts connections but gets no further does not keep the others from being tried.

use std::net::SocketAddr;

use tracing::debug;

use super::{Client, ClientError, Redactor, Timeouts};
use crate::account::{Account, Endpoint, KeyExchange, TlsMode};
use crate::net::{Dial, MOST_ADDRESSES, NetError};
use crate::pop3::{FramingError, Greeting};
use crate::provider::Provider;
use crate::secret::Secret;

/// Connects, reads the greeting and starts TLS with STLS if configured. `known_classical` says that in an earlier
/// session TLS succeeded only without the large key share. Skips the addresses in `avoid`, and adds those that fail.
pub(super) async fn reach(
    dialer: &dyn Dial,
    account: &Account,
    password: &Secret,
    known_classical: bool,
    avoid: &mut Vec<SocketAddr>,
) -> Result<(Client, Greeting), ClientError> {
    let mut endpoint = Endpoint::clone(&account.endpoint);
    let mut first: Option<ClientError> = None;
    // Set if STLS finds this out in this session; with implicit TLS the dialer does.
    let mut classical = false;
    if known_classical && endpoint.key_exchange == KeyExchange::Auto {
        endpoint.key_exchange = KeyExchange::Classical;
    }
    loop {
        let connection = match dialer.connect(&endpoint, avoid).await {
            Ok(connection) => connection,
            Err(e) => return Err(first.unwrap_or_else(|| e.into())),
        };
        let peer = connection.peer;
        let mut client = Client::new(connection, Timeouts::new(account.timeout));
        // Before the greeting, because the server may know the password from an earlier session.
        client.redactor = Redactor::new(&account.username, password);
        client.provider = Provider::of(&endpoint.host);
        let failed = match client.meet(dialer, &endpoint).await {
            Ok((mut client, greeting)) => {
                client.info.classical |= classical;
                return Ok((client, greeting));
            }
            Err(e) => of_tls(e),
        };
        let unanswered = matches!(&failed, ClientError::Net(e) if e.is_unanswered_hello());
        if unanswered && endpoint.key_exchange == KeyExchange::Auto {
            debug!("{failed}: trying once more without the post-quantum key share");
            (endpoint.key_exchange, classical) = (KeyExchange::Classical, true);
        } else if is_of_one_address(&failed) && avoid.len() < MOST_ADDRESSES {
            debug!("{peer}: {failed}");
            avoid.push(peer);
        } else {
            return Err(first.unwrap_or(failed));
        }
        first.get_or_insert(failed);
    }
}

/// Connects, reads the greeting, over TLS as configured, and sends QUIT, to see whether there is such a server. Sends
/// nothing that belongs to the user.
///
/// # Errors
/// [`ClientError`].
pub async fn greet(dialer: &dyn Dial, account: &Account) -> Result<(), ClientError> {
    let (client, _) = reach(dialer, account, &Secret::new(Vec::new()), false, &mut Vec::new()).await?;
    // A courtesy; the result does not matter.
    let _ = client.quit().await;
    Ok(())
}

/// Whether another address of the host may do better: this one did not greet, greeted with a refusal or with something
/// other than POP3, or failed at TLS.
fn is_of_one_address(error: &ClientError) -> bool {
    match error {
        ClientError::Lost { .. } | ClientError::NoGreeting | ClientError::Closed | ClientError::Silence { .. } => true,
        ClientError::Unwilling { .. } | ClientError::Framing(FramingError::NotPop3 { .. }) => true,
        ClientError::TooSlow { .. } | ClientError::NoStls { .. } => true,
        ClientError::Net(e) => e.is_of_one_address(),
        _ => false,
    }
}

/// Unwraps an error of TLS that surfaced as a broken connection.
pub(super) fn of_tls(error: ClientError) -> ClientError {
    match error {
        ClientError::Lost { source } => match source.downcast::<NetError>() {
            Ok(refused) => refused.into(),
            Err(source) => ClientError::Lost { source },
        },
        other => other,
    }
}

impl Client {
    /// Reads the greeting and starts TLS if configured.
    async fn meet(mut self, dialer: &dyn Dial, endpoint: &Endpoint) -> Result<(Self, Greeting), ClientError> {
        let greeting = self.greeting(dialer, endpoint).await?;
        if endpoint.tls == TlsMode::StartTls {
            self = self.start_tls(dialer, endpoint).await?;
        }
        Ok((self, greeting))
    }
}
