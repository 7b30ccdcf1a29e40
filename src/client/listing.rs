//! What is in the maildrop: CAPA once more, STAT, UIDL and LIST, in one flight where the server takes it.
//!
//! Where a listing is to be recognised, LIST waits: the same one needs no sizes, and of another one those of what is new
//! may come beside the messages.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::budget::{self, Share};
use super::error::TooLong;
use super::header_flight;
use super::in_step::InStep;
use super::listing_digest::{KeptLines, ListingDigest, ListingDigester, each_line};
use super::login::{CachedCapabilities, LoggedIn};
use super::{Client, ClientError, ResponsePart};
use crate::message::HeaderDigester;
use crate::plan::Seen;
use crate::plan::maildrop::{Maildrop, MaildropBuilder};
use crate::pop3::{
    Capabilities, Command, CommandKind, DropListing, FramingError, MessageNumber, Response, ScanListing, Status,
    UniqueIdListing, has_access_code, judge_access, limits,
};
use crate::provider::Provider;
use crate::sasl::LoginMethod;
use crate::watch::{self, Needed};

/// So many messages that UIDL left out are asked for one by one at a time.
const LEFT_OUT: usize = 10_000;

/// So many refusals in a row show that asking for further ones is of no use.
const MOST_REFUSALS: usize = 20;

/// So many headers refused in a row show that the server does not show any more of them.
pub(super) const MOST_HEADERS_REFUSED: usize = 300;

/// After so long no further header is asked for; those that were not seen are treated like refused ones.
pub(super) const LOOKING: Duration = Duration::from_secs(3600);

/// The most octets that are read of a header. Some servers send the whole message; nothing of it is kept.
pub(super) const HEADER: u64 = 32 << 20;

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
    /// The listing; empty, if it was recognised.
    pub maildrop: Maildrop,
    /// What it is recognised by. None: it cannot be.
    pub digest: Option<ListingDigest>,
    /// It is the one that was to be recognised, so there is nothing to do.
    pub is_recognised: bool,
    /// The memory that it may take, as long as this lives.
    pub share: Share,
}

impl Opened {
    /// What the server can do: what it announces after the login, or before it if it does not repeat itself.
    #[must_use]
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.after_login.as_ref().or(self.before_login.as_ref())
    }
}

/// Asks for the sizes of all messages of a listing where that was put off.
///
/// # Errors
/// [`ClientError`]; that LIST is refused is none, unless it says that the maildrop cannot be had.
pub async fn ask_for_sizes(
    client: &mut Client,
    maildrop: Maildrop,
    share: &mut Share,
) -> Result<Maildrop, ClientError> {
    let builder = MaildropBuilder::with_sizes_to_come(maildrop);
    let mut answers = Answers { builder, share: std::mem::take(share), ..Answers::default() };
    let asked = client.try_converse([Command::List(None)], |asked, part| answers.on_event(asked, part)).await;
    answers.tell(client);
    *share = std::mem::take(&mut answers.share);
    asked.map_err(|error| answers.why_it_ended(error, client.provider))?;
    match answers.no_access {
        Some((asked, response)) if has_access_code(&response) => {
            Err(ClientError::Refused { provider: client.provider, asked, response })
        }
        _ => Ok(answers.builder.finish(Some(client.serial()))),
    }
}

/// The sizes of some messages, each asked for by itself. Those that the server refuses are missing.
///
/// # Errors
/// [`ClientError`].
pub async fn sizes_of(
    client: &mut Client,
    numbers: impl IntoIterator<Item = MessageNumber>,
) -> Result<HashMap<MessageNumber, u64>, ClientError> {
    let mut sizes = HashMap::new();
    let commands: Vec<Command> = numbers.into_iter().map(|number| Command::List(Some(number))).collect();
    let on_event = |asked, part: ResponsePart<'_>| {
        if let (CommandKind::List(Some(number)), ResponsePart::Response(response)) = (asked, part) {
            sizes.extend(size_of(number, response)?.map(|size| (number, size)));
        }
        Ok(ControlFlow::Continue(()))
    };
    match client.try_converse(commands, on_event).await {
        Ok(()) => Ok(sizes),
        Err(ClientError::Framing(error)) => Err(client.masked(error)),
        Err(error) => Err(error),
    }
}

/// What the answer to LIST says of this message; None if it is refused.
///
/// # Errors
/// It speaks of something else, so it is the answer to another command.
pub(crate) fn size_of(number: MessageNumber, response: &Response) -> Result<Option<u64>, FramingError> {
    if response.status == Status::Err {
        return Ok(None);
    }
    let listing = ScanListing::parse(response.text.as_bytes()).ok().filter(|listing| listing.number == number);
    let out_of_step = || FramingError::out_of_step(CommandKind::List(Some(number)), &response.text);
    listing.map(|listing| Some(listing.reported_size)).ok_or_else(out_of_step)
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
pub async fn open(logged_in: LoggedIn, cached: &CachedCapabilities) -> Result<Opened, OpenError> {
    let LoggedIn { mut client, capabilities, bears_capa, method, failed } = logged_in;
    client.pipelining |= cached.after_login.as_ref().is_some_and(Capabilities::pipelining);
    client.take_lines_together();
    let kept = cached.listing.as_ref().map(|expected| KeptLines::of(expected.messages)).unwrap_or_default();
    let mut answers = Answers { expected: cached.listing.clone(), kept, ..Answers::default() };
    let asked = answers.ask(&mut client, bears_capa).await;
    let mut ahead = client.was_ahead();
    let mut listed = asked.map_err(|error| answers.why_it_ended(error, client.provider));
    if listed.is_ok() && !client.careful && !answers.is_recognised() {
        listed = answers.ask_for_what_was_left_out(&mut client).await;
        // A server that answers a question about one message by more than a line is not asked that in a careful session.
        ahead |= listed.is_err();
    }
    answers.tell(&client);
    let finished = listed.and_then(|()| answers.finish(client, capabilities, method, failed));
    finished.map_err(|error| OpenError { error, ahead })
}

/// The answers of the flight.
#[derive(Default)]
struct Answers {
    capabilities: Option<Capabilities>,
    builder: MaildropBuilder,
    /// What they hold in memory.
    share: Share,
    /// What STAT told, if it did.
    drop: Option<DropListing>,
    /// The refusals of UIDL and LIST.
    no_uidl: Option<Response>,
    no_list: Option<Response>,
    /// The first refusal that says that the maildrop cannot be had, now or at all.
    no_access: Option<(CommandKind, Response)>,
    /// The listing that is to be recognised, if one is.
    expected: Option<ListingDigest>,
    digester: ListingDigester,
    /// The lines of UIDL, as long as it may be the expected one.
    kept: KeptLines,
    /// Lines that were too long: how many, and the beginning of the first one with its command.
    too_long: usize,
    first_too_long: Option<(CommandKind, Vec<u8>)>,
}

impl Answers {
    async fn ask(&mut self, client: &mut Client, bears_capa: bool) -> Result<(), ClientError> {
        let puts_sizes_off = self.expected.is_some();
        let mut commands = if bears_capa { vec![Command::Capa] } else { vec![] };
        commands.extend([Command::Stat, Command::Uidl(None)]);
        if !puts_sizes_off {
            commands.push(Command::List(None));
        }
        if bears_capa && client.window() == 1 {
            // The answer to CAPA may allow to send the rest in one flight.
            client.try_converse(commands.drain(..1), |asked, part| self.on_event(asked, part)).await?;
            client.pipelining = self.capabilities.as_ref().is_some_and(Capabilities::pipelining);
        }
        client.try_converse(commands, |asked, part| self.on_event(asked, part)).await?;
        if puts_sizes_off && !self.is_recognised() { self.ask_for_another_listing(client).await } else { Ok(()) }
    }

    /// Whether it is the expected listing.
    fn is_recognised(&self) -> bool {
        self.expected.is_some() && self.expected == self.digester.finish()
    }

    /// It is another listing than the expected one: what was not kept of it is asked for, and the sizes, unless these can
    /// wait.
    async fn ask_for_another_listing(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.expected.take().is_some() {
            match self.kept.take() {
                Some(lines) => lines.iter().try_for_each(|line| self.take_unique_id(line))?,
                None => {
                    client.try_converse([Command::Uidl(None)], |asked, part| self.on_event(asked, part)).await?;
                }
            }
        }
        match self.drop.filter(|_| self.builder.is_plain()) {
            Some(listing) => self.builder.put_sizes_off(listing.reported_size),
            None => client.try_converse([Command::List(None)], |asked, part| self.on_event(asked, part)).await?,
        }
        Ok(())
    }

    /// The messages that STAT told. Another sum than the expected one is another listing, so its lines are taken at once.
    fn take_drop(&mut self, listing: DropListing) {
        self.drop = Some(listing);
        self.builder.stat(listing);
        self.digester.stat(listing);
        self.expected
            .take_if(|expected| (expected.messages, expected.octets) != (listing.count, listing.reported_size));
    }

    /// A line of LIST's answer.
    fn take_size(&mut self, line: &[u8]) -> Result<(), ClientError> {
        match ScanListing::parse(line) {
            Ok(listing) => {
                self.take(budget::SIZE)?;
                self.builder.size(listing);
            }
            Err(_) => self.builder.unreadable_line(),
        }
        Ok(())
    }

    /// Lines of LIST's answer.
    fn take_sizes(&mut self, lines: &[u8]) -> Result<(), ClientError> {
        each_line(lines).try_for_each(|line| self.take_size(line))
    }

    /// A line of UIDL's answer.
    fn take_unique_id(&mut self, line: &[u8]) -> Result<(), ClientError> {
        match UniqueIdListing::parse(line) {
            Ok(listing) => {
                self.take(budget::UNIQUE_ID + line.len())?;
                self.builder.unique_id(listing);
            }
            Err(_) => self.builder.unreadable_line(),
        }
        Ok(())
    }

    /// UIDL with a number, for each message that UIDL without one left out.
    async fn ask_for_what_was_left_out(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let (mut refused, mut in_a_row, mut odd, mut last) = (HashSet::new(), 0, false, None);
        let begun = Instant::now();
        let mut enough = false;
        while !enough {
            let mut numbers = self.builder.left_out(LEFT_OUT + refused.len());
            numbers.retain(|number| !refused.contains(number));
            if numbers.is_empty() {
                break;
            }
            let commands = numbers.into_iter().map(|number| Command::Uidl(Some(number)));
            let on_event = |asked, part: ResponsePart<'_>| {
                let (CommandKind::Uidl(Some(number)), ResponsePart::Response(response)) = (asked, part) else {
                    return Ok(ControlFlow::Continue(()));
                };
                match &response.unique_id {
                    Some(unique_id) => {
                        in_a_row = 0;
                        self.take(budget::UNIQUE_ID + unique_id.as_bytes().len())?;
                        self.builder.unique_id(UniqueIdListing { number, unique_id: (**unique_id).clone() });
                    }
                    None => {
                        in_a_row += 1;
                        odd |= response.status == Status::Ok;
                        refused.insert(number);
                    }
                }
                last = Some(number);
                enough |= in_a_row >= MOST_REFUSALS || begun.elapsed() > LOOKING;
                Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            client.try_converse(commands, on_event).await?;
        }
        if let Some(last) = last.filter(|_| enough && self.builder.left_out(1 + refused.len()).len() > refused.len()) {
            warn!(
                "UIDL left out more messages than were asked for one by one: behind message {last} no further one was, \
                 after {} refusals and {} s",
                refused.len(),
                begun.elapsed().as_secs()
            );
        }
        if odd {
            // It may be the first line of more: better known now than at a retrieval.
            client.exchange(Command::Noop).await?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), ClientError> {
        if self.share.take(bytes) { Ok(()) } else { Err(ClientError::ListedTooMuch { held: self.share.held() }) }
    }

    fn on_event(&mut self, asked: CommandKind, part: ResponsePart<'_>) -> Result<ControlFlow<()>, ClientError> {
        if let ResponsePart::Response(r) = &part
            && r.status == Status::Err
            && judge_access(r).is_some()
        {
            self.no_access.get_or_insert((asked, (*r).clone()));
        }
        match (asked, part) {
            (CommandKind::Capa, ResponsePart::Response(r)) if r.status == Status::Ok => {
                self.capabilities = Some(Capabilities::new());
            }
            (CommandKind::Capa, ResponsePart::Line(line)) => {
                if let Some(capabilities) = &mut self.capabilities {
                    capabilities.add_line(line);
                }
            }
            (CommandKind::Stat, ResponsePart::Response(r)) if r.status == Status::Ok => {
                match DropListing::parse(&r.text) {
                    Ok(listing) => self.take_drop(listing),
                    Err(_) => self.builder.unreadable_line(),
                }
            }
            (CommandKind::Uidl(_), ResponsePart::Response(r)) => match r.status {
                Status::Ok => {
                    self.builder.unique_ids_follow();
                    self.digester.begin();
                }
                Status::Err => self.no_uidl = Some(r.clone()),
            },
            (CommandKind::List(_), ResponsePart::Response(r)) if r.status == Status::Err => {
                self.no_list = Some(r.clone());
            }
            (CommandKind::Uidl(_), ResponsePart::Line(line)) => {
                self.digester.line(line);
                match self.expected {
                    Some(_) => self.kept.push(line),
                    None => self.take_unique_id(line)?,
                }
            }
            (CommandKind::Uidl(_), ResponsePart::Lines(lines)) => {
                self.digester.lines(lines);
                match self.expected {
                    Some(_) => self.kept.extend(lines),
                    None => each_line(lines).try_for_each(|line| self.take_unique_id(line))?,
                }
            }
            (CommandKind::Uidl(None), ResponsePart::End) => self.digester.end(),
            (CommandKind::List(_), ResponsePart::Line(line)) => self.take_size(line)?,
            (CommandKind::List(_), ResponsePart::Lines(lines)) => self.take_sizes(lines)?,
            (asked, ResponsePart::LongLine(head)) => {
                if asked != CommandKind::Capa {
                    self.digester.odd();
                    self.builder.unreadable_line();
                }
                self.too_long += 1;
                self.first_too_long.get_or_insert_with(|| (asked, head.to_vec()));
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Tells of what was passed over.
    fn tell(&self, client: &Client) {
        let Some((asked, head)) = &self.first_too_long else { return };
        let head = client.redactor.hide(&head.escape_ascii().to_string());
        warn!(
            "{} of the server's lines had more than {} octets and were passed over; the first one, in the answer to \
             {asked}, begins with \"{head}\"",
            self.too_long,
            limits::LISTING_LINE
        );
    }

    /// The reason for the end of a session in which a refusal said that the maildrop cannot be had.
    fn why_it_ended(&mut self, error: ClientError, provider: Option<&'static Provider>) -> ClientError {
        let hung_up = matches!(error, ClientError::Closed | ClientError::Lost { .. } | ClientError::Framing(_));
        match self.no_access.take_if(|_| hung_up) {
            Some((_, response)) => ClientError::Goodbye { provider, response, logged_in: true },
            _ => error.or_goodbye(provider, true),
        }
    }

    fn finish(
        mut self,
        mut client: Client,
        before_login: Option<Capabilities>,
        login: LoginMethod,
        failed_logins: Vec<LoginMethod>,
    ) -> Result<Opened, ClientError> {
        let (digest, is_recognised) = (self.digester.finish(), self.is_recognised());
        let capabilities = self.capabilities.as_ref().or(before_login.as_ref());
        client.pipelining = capabilities.is_some_and(Capabilities::pipelining);
        let announced = capabilities.is_some_and(Capabilities::uidl);
        let refused = self.no_uidl.is_some() || self.no_list.is_some();
        // In words alone, a UIDL that is not announced may well not be there.
        let only_unannounced = !announced && self.no_list.is_none();
        let refused_by = |asked, response| ClientError::Refused { provider: client.provider, asked, response };
        match (self.no_access, self.no_uidl, self.no_list) {
            // Some servers refuse to list what is empty, in words that may sound like trouble.
            (no_access, ..)
                if refused
                    && self.drop.is_some_and(|listing| listing.count == 0)
                    && no_access.as_ref().is_none_or(|(_, response)| !has_access_code(response)) =>
            {
                self.builder.unique_ids_follow();
            }
            // One of them failed because the maildrop cannot be had, so the rest says nothing either.
            (Some((asked, response)), _, _) if refused && (has_access_code(&response) || !only_unannounced) => {
                return Err(refused_by(asked, response));
            }
            (_, Some(response), _) if announced => {
                return Err(refused_by(CommandKind::Uidl(None), response));
            }
            (_, Some(_), Some(response)) => {
                return Err(refused_by(CommandKind::List(None), response));
            }
            _ => {}
        }
        let maildrop = self.builder.finish(Some(client.serial()));
        let (after_login, share) = (self.capabilities, self.share);
        watch::on_hang(Needed::Listing, share.giver());
        Ok(Opened { client, before_login, after_login, login, failed_logins, maildrop, digest, is_recognised, share })
    }
}

/// The header digests of some messages, by TOP n 0 (RFC 1939, section 7). Those that the server refuses are missing. With
/// `in_step`, answers that were out of step are an error.
///
/// # Errors
/// [`ClientError`].
pub(crate) async fn look(
    client: &mut Client,
    numbers: &[MessageNumber],
    in_step: Option<InStep>,
) -> Result<Seen, ClientError> {
    let mut seen = Seen::in_session(client.serial());
    let mut digester = HeaderDigester::default();
    let (mut octets, mut refused) = (0_u64, 0);
    let begun = Instant::now();
    let on_event = |asked, part: ResponsePart<'_>| {
        match (asked, part) {
            (CommandKind::Top(_), ResponsePart::Response(response)) if response.status == Status::Err => {
                refused += 1;
            }
            (CommandKind::Top(number), ResponsePart::Data(bytes)) => {
                octets = octets.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if octets > HEADER {
                    return Err(ClientError::TooLong(TooLong::header(number, octets, HEADER)));
                }
                digester.update(bytes);
            }
            (CommandKind::Top(number), ResponsePart::End) => {
                (octets, refused) = (0, 0);
                seen.add(number, std::mem::take(&mut digester).finish());
            }
            _ => {}
        }
        let enough = begun.elapsed() > LOOKING;
        Ok(if enough { ControlFlow::Break(()) } else { up_to(MOST_HEADERS_REFUSED, refused) })
    };
    header_flight::ask(client, numbers, in_step, on_event).await?;
    Ok(seen)
}

/// Enough, once so many were refused in a row.
pub(super) fn up_to(most: usize, refused: usize) -> ControlFlow<()> {
    if refused < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
