//! What is in the maildrop: CAPA once more, STAT, UIDL and LIST, in one flight where the server takes it.

use std::collections::HashMap;

use super::login::LoggedIn;
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
    /// What the server announces after the login, or before it if it does not repeat itself.
    pub capabilities: Option<Capabilities>,
    /// The listing.
    pub maildrop: Maildrop,
}

/// Lists the maildrop. Some servers announce PIPELINING, TOP or UIDL only after the login, so CAPA is asked again.
///
/// # Errors
/// [`ClientError`]; a refused UIDL is none unless it was announced.
pub async fn open(logged_in: LoggedIn) -> Result<Opened, ClientError> {
    let LoggedIn { mut client, mut capabilities } = logged_in;
    if !client.pipelining {
        let again = client.capabilities().await?;
        client.pipelining = again.as_ref().is_some_and(Capabilities::pipelining);
        capabilities = again.or(capabilities);
        let mut answers = Answers::default();
        let commands = [Command::Stat, Command::Uidl(None), Command::List(None)];
        client.converse(commands, |asked, said| answers.hear(asked, said)).await?;
        return answers.finish(client, capabilities);
    }
    let mut answers = Answers::default();
    let commands = [Command::Capa, Command::Stat, Command::Uidl(None), Command::List(None)];
    client.converse(commands, |asked, said| answers.hear(asked, said)).await?;
    answers.finish(client, capabilities)
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
        let capabilities = self.capabilities.or(before);
        if let Some(capabilities) = &capabilities {
            client.pipelining = capabilities.pipelining();
        }
        let announced = capabilities.as_ref().is_some_and(Capabilities::uidl);
        match (self.no_uidl, self.no_list) {
            (Some(response), _) if announced => Err(ClientError::Refused { asked: Asked::Uidl(None), response }),
            (Some(_), Some(response)) => Err(ClientError::Refused { asked: Asked::List(None), response }),
            _ => Ok(Opened { client, capabilities, maildrop: self.builder.finish() }),
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
