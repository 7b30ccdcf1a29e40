//! What is in the maildrop: CAPA once more, STAT, UIDL and LIST, in one flight where the server takes it.

use std::collections::HashMap;

use super::login::{Expected, LoggedIn};
use super::{Client, ClientError, Said};
use crate::maildrop::{Maildrop, MaildropBuilder};
use crate::pop3::{
    Asked, Capabilities, Command, DropListing, LoginMethod, MessageNumber, Response, ScanListing, Status,
    UniqueIdListing, has_access_code, judge_access,
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
    /// The way that we were let in.
    pub login: LoginMethod,
    /// The ways to log in that were tried before it, and that the server does not know.
    pub failed_logins: Vec<LoginMethod>,
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
/// Some servers let everybody in and open the maildrop only then. What such a one says when it cannot, and hangs up, is
/// the reason, whichever command it came in answer to, or to none.
///
/// # Errors
/// [`OpenError`]; a refused UIDL is none unless it was announced, or if there is nothing to list.
pub async fn open(logged_in: LoggedIn, expected: &Expected) -> Result<Opened, OpenError> {
    let LoggedIn { mut client, capabilities, method, failed } = logged_in;
    client.pipelining |= expected.after_login.as_ref().is_some_and(Capabilities::pipelining);
    let mut answers = Answers::default();
    let asked = answers.ask(&mut client).await;
    let ahead = client.was_ahead();
    let finished = match asked {
        Ok(()) => answers.finish(client, capabilities, method, failed),
        Err(error) => Err(answers.why_it_ended(error)),
    };
    finished.map_err(|error| OpenError { error, ahead })
}

/// The answers of the flight.
#[derive(Default)]
struct Answers {
    capabilities: Option<Capabilities>,
    builder: MaildropBuilder,
    /// The number of messages that STAT told, if it did.
    count: Option<u32>,
    /// The refusals of UIDL and LIST.
    no_uidl: Option<Response>,
    no_list: Option<Response>,
    /// The first refusal that says that the maildrop cannot be had, now or at all.
    no_access: Option<(Asked, Response)>,
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
        if let Said::Response(r) = &said
            && r.status == Status::Err
            && judge_access(r).is_some()
        {
            self.no_access.get_or_insert((asked, (*r).clone()));
        }
        match (asked, said) {
            (Asked::Capa, Said::Response(r)) if r.status == Status::Ok => self.capabilities = Some(Capabilities::new()),
            (Asked::Capa, Said::Line(line)) => {
                if let Some(capabilities) = &mut self.capabilities {
                    capabilities.add_line(line);
                }
            }
            (Asked::Stat, Said::Response(r)) if r.status == Status::Ok => match DropListing::parse(&r.text) {
                Ok(listing) => {
                    self.count = Some(listing.count);
                    self.builder.stat(listing.count);
                }
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

    /// The reason for the end of a session in which a refusal said that the maildrop cannot be had.
    fn why_it_ended(self, error: ClientError) -> ClientError {
        let hung_up = matches!(error, ClientError::Closed | ClientError::Lost { .. } | ClientError::Framing(_));
        match self.no_access {
            Some((_, response)) if hung_up => ClientError::Goodbye { response, logged_in: true },
            _ => error.or_goodbye(true),
        }
    }

    fn finish(
        mut self,
        mut client: Client,
        before_login: Option<Capabilities>,
        login: LoginMethod,
        failed_logins: Vec<LoginMethod>,
    ) -> Result<Opened, ClientError> {
        let capabilities = self.capabilities.as_ref().or(before_login.as_ref());
        client.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let announced = capabilities.is_some_and(Capabilities::uidl);
        let refused = self.no_uidl.is_some() || self.no_list.is_some();
        // In words alone, a UIDL that is not announced may well not be there.
        let only_unannounced = !announced && self.no_list.is_none();
        match (self.no_access, self.no_uidl, self.no_list) {
            // One of them failed because the maildrop cannot be had, so the rest says nothing either.
            (Some((asked, response)), _, _) if refused && (has_access_code(&response) || !only_unannounced) => {
                return Err(ClientError::Refused { asked, response });
            }
            // Some servers refuse to list what is empty.
            (None, Some(_), _) if self.count == Some(0) => self.builder.unique_ids_follow(),
            (_, Some(response), _) if announced => {
                return Err(ClientError::Refused { asked: Asked::Uidl(None), response });
            }
            (_, Some(_), Some(response)) => {
                return Err(ClientError::Refused { asked: Asked::List(None), response });
            }
            _ => {}
        }
        let (after_login, maildrop) = (self.capabilities, self.builder.finish());
        Ok(Opened { client, before_login, after_login, login, failed_logins, maildrop })
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
