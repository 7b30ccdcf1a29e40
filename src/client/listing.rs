//! What is in the maildrop: CAPA once more, STAT, UIDL and LIST, in one flight where the server takes it.

use std::collections::HashMap;

use super::login::{Expected, LoggedIn};
use super::{Client, ClientError, Said};
use crate::maildrop::{Maildrop, MaildropBuilder};
use crate::pop3::{
    Asked, Capabilities, Command, DropListing, MessageNumber, Response, ScanListing, Status, UniqueIdListing,
};
use crate::witness::{Digest, HeaderDigester};

/// A maildrop that was listed.
#[derive(Debug)]
pub struct Opened {
    /// The client, in the TRANSACTION state.
    pub client: Client,
    /// What the server announced before the login, in this session or an earlier one.
    pub before_login: Option<Capabilities>,
    /// What it announces after the login; None if it refuses to say.
    pub after_login: Option<Capabilities>,
    /// The listing.
    pub maildrop: Maildrop,
}

impl Opened {
    /// What the server can do: what it announces after the login, or before it if it does not repeat itself.
    #[must_use]
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.after_login.as_ref().or(self.before_login.as_ref())
    }
}

/// A maildrop that could not be listed.
#[derive(Debug)]
pub struct OpenError {
    /// Why.
    pub error: ClientError,
    /// Whether several commands were under way.
    pub ahead: bool,
}

/// Lists the maildrop. Some servers announce PIPELINING, TOP or UIDL only after the login, so CAPA is asked again, and
/// what was expected of the server is compared.
///
/// # Errors
/// [`OpenError`]; a refused UIDL is none unless it was announced.
pub async fn open(logged_in: LoggedIn, expected: &Expected) -> Result<Opened, OpenError> {
    let LoggedIn { mut client, capabilities } = logged_in;
    client.pipelining |= expected.after_login.as_ref().is_some_and(Capabilities::pipelining);
    let mut answers = Answers::default();
    let asked = answers.ask(&mut client).await;
    let ahead = client.was_ahead();
    let finished = asked.and_then(|()| answers.finish(client, capabilities));
    finished.map_err(|error| OpenError { error, ahead })
}

/// The answers of the flight.
#[derive(Default)]
struct Answers {
    capabilities: Option<Capabilities>,
    builder: MaildropBuilder,
    /// The refusals of UIDL and LIST.
    no_uidl: Option<Response>,
    no_list: Option<Response>,
}

impl Answers {
    async fn ask(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let mut commands = vec![Command::Capa, Command::Stat, Command::Uidl(None), Command::List(None)];
        if client.window() == 1 {
            // The answer to CAPA may allow to send the rest in one flight.
            client.converse(commands.drain(..1), |asked, said| self.hear(asked, said)).await?;
            client.pipelining = self.capabilities.as_ref().is_some_and(Capabilities::pipelining);
        }
        client.converse(commands, |asked, said| self.hear(asked, said)).await
    }

    fn hear(&mut self, asked: Asked, said: Said<'_>) {
        match (asked, said) {
            (Asked::Capa, Said::Response(r)) if r.status == Status::Ok => self.capabilities = Some(Capabilities::new()),
            (Asked::Capa, Said::Line(line)) => {
                if let Some(capabilities) = &mut self.capabilities {
                    capabilities.add_line(line);
                }
            }
            (Asked::Stat, Said::Response(r)) if r.status == Status::Ok => match DropListing::parse(&r.text) {
                Ok(listing) => self.builder.stat(listing.count),
                Err(_) => self.builder.unreadable_line(),
            },
            (Asked::Uidl(_), Said::Response(r)) => match r.status {
                Status::Ok => self.builder.unique_ids_follow(),
                Status::Err => self.no_uidl = Some(r.clone()),
            },
            (Asked::List(_), Said::Response(r)) if r.status == Status::Err => self.no_list = Some(r.clone()),
            (Asked::Uidl(_), Said::Line(line)) => match UniqueIdListing::parse(line) {
                Ok(listing) => self.builder.unique_id(listing),
                Err(_) => self.builder.unreadable_line(),
            },
            (Asked::List(_), Said::Line(line)) => match ScanListing::parse(line) {
                Ok(listing) => self.builder.size(listing),
                Err(_) => self.builder.unreadable_line(),
            },
            _ => {}
        }
    }

    fn finish(self, mut client: Client, before: Option<Capabilities>) -> Result<Opened, ClientError> {
        let capabilities = self.capabilities.as_ref().or(before.as_ref());
        client.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let announced = capabilities.is_some_and(Capabilities::uidl);
        match (self.no_uidl, self.no_list) {
            (Some(response), _) if announced => Err(ClientError::Refused { asked: Asked::Uidl(None), response }),
            (Some(_), Some(response)) => Err(ClientError::Refused { asked: Asked::List(None), response }),
            _ => Ok(Opened {
                client,
                before_login: before,
                after_login: self.capabilities,
                maildrop: self.builder.finish(),
            }),
        }
    }
}

/// The header digests of some messages, by TOP n 0 (RFC 1939, section 7). Those that the server refuses are missing.
///
/// # Errors
/// [`ClientError`].
pub async fn look(
    client: &mut Client,
    numbers: &[MessageNumber],
) -> Result<HashMap<MessageNumber, Digest>, ClientError> {
    let mut digests = HashMap::with_capacity(numbers.len());
    let mut digester = HeaderDigester::default();
    let commands: Vec<Command> = numbers.iter().map(|&number| Command::Top { number, lines: 0 }).collect();
    client
        .converse(commands, |asked, said| match (asked, said) {
            (Asked::Top(_), Said::Data(bytes)) => digester.update(bytes),
            (Asked::Top(number), Said::End) => {
                digests.insert(number, std::mem::take(&mut digester).finish());
            }
            _ => {}
        })
        .await?;
    Ok(digests)
}
