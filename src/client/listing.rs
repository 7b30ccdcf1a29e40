//! Lists the maildrop: CAPA once more, STAT, UIDL and LIST, in one flight if the server supports PIPELINING.
//!
//! If a listing may be recognised, LIST is put off: an unchanged listing needs no sizes, and for a changed one those of
//! the new messages can be asked for beside the messages.

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
    Capabilities, Command, CommandKind, DropListing, FramingError, LoginDelay, MessageNumber, ReportedSize, Response,
    ScanListing, Status, UniqueIdListing, has_access_code, judge_access, limits,
};
use crate::provider::Provider;
use crate::sasl::LoginMethod;
use crate::text::words_in;
use crate::watch::{self, Needed};

/// How many messages that UIDL left out are asked for one by one in one batch.
const LEFT_OUT: usize = 10_000;

/// How many octets a line of UIDL typically has at most.
const TYPICAL_LINE: usize = 40;

/// After this many refusals in a row UIDL is not sent for further single messages.
const MOST_REFUSALS: usize = 20;

/// After this many refusals in a row no further header is asked for.
pub(super) const MOST_HEADERS_REFUSED: usize = 300;

/// After this long no further header is asked for. Those not seen count as refused.
pub(super) const LOOKING: Duration = Duration::from_secs(3600);

/// How many octets of a header are read at most. Some servers send the whole message, of which nothing is kept.
pub(super) const HEADER: u64 = 32 << 20;

/// A maildrop with its listing.
#[derive(Debug)]
pub struct Opened {
    /// The client, in the TRANSACTION state.
    pub client: Client,
    /// What the server announced before the login, in this session or an earlier one.
    pub before_login: Option<Capabilities>,
    /// What it announces after the login; None if it refuses CAPA.
    pub after_login: Option<Capabilities>,
    /// The login method that succeeded.
    pub login: LoginMethod,
    /// The login methods tried before it that the server does not know.
    pub failed_logins: Vec<LoginMethod>,
    /// The listing; empty if it was recognised.
    pub maildrop: Maildrop,
    /// The digest by which the listing can be recognised. None: it cannot be.
    pub digest: Option<ListingDigest>,
    /// Whether it is the expected listing, so that there is nothing to do.
    pub is_recognised: bool,
    /// The memory that the listing takes; given back when this is dropped.
    pub share: Share,
}

impl Opened {
    /// Returns what the server supports: what it announces after the login or, if that is missing, before it.
    #[must_use]
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.after_login.as_ref().or(self.before_login.as_ref())
    }
}

/// Asks for the sizes of all messages of a listing if that was put off.
///
/// # Errors
/// [`ClientError`]. A refused LIST is not an error unless it says that the maildrop is not accessible.
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
        _ => Ok(answers.builder.finish_in(client.serial())),
    }
}

/// Asks for the sizes of some messages, one LIST each. Those that the server refuses are left out.
///
/// # Errors
/// [`ClientError`].
pub async fn sizes_of(
    client: &mut Client,
    numbers: impl IntoIterator<Item = MessageNumber>,
) -> Result<HashMap<MessageNumber, ReportedSize>, ClientError> {
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

/// Reads the size of a message from the answer to its LIST; None if that is a refusal.
///
/// # Errors
/// If the answer is about something else, so that it belongs to another command.
pub(crate) fn size_of(number: MessageNumber, response: &Response) -> Result<Option<ReportedSize>, FramingError> {
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
    /// Whether several commands were in flight.
    pub ahead: bool,
    /// What the server announced before the login, in this session or an earlier one.
    pub before_login: Option<Capabilities>,
    /// What it announced after the login, if its answer to CAPA came complete.
    pub after_login: Option<Capabilities>,
    /// The LOGIN-DELAY that it announced, as far as its answers came.
    pub login_delay: Option<LoginDelay>,
    /// If other listings left it too little memory: how many bytes it is expected to need.
    pub wants_memory: Option<usize>,
}

/// Lists the maildrop. CAPA is asked again, because some servers announce PIPELINING, TOP or UIDL only after the login,
/// and because the cached capabilities may be outdated.
///
/// Some servers accept every login and open the maildrop only afterwards. If they cannot, what they say before they
/// close the connection is taken as the reason, whichever command it answers, if any.
///
/// # Errors
/// [`OpenError`]. A refused UIDL is not an error unless it was announced; nor is a refusal when there is nothing to
/// list.
pub async fn open(logged_in: LoggedIn, cached: &CachedCapabilities) -> Result<Opened, Box<OpenError>> {
    open_with(Share::default(), logged_in, cached).await
}

/// Does the same with this share of the memory for listings.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open_with(
    share: Share,
    logged_in: LoggedIn,
    cached: &CachedCapabilities,
) -> Result<Opened, Box<OpenError>> {
    let LoggedIn { mut client, capabilities, bears_capa, method, failed } = logged_in;
    client.pipelining |= cached.after_login.as_ref().is_some_and(Capabilities::pipelining);
    client.take_lines_together();
    let kept = cached.listing.as_ref().map(|expected| KeptLines::of(expected.messages)).unwrap_or_default();
    let expected_octets = cached.listing.as_ref().map_or(0, |expected| longest(expected.messages));
    let mut answers = Answers { expected: cached.listing.clone(), kept, expected_octets, share, ..Answers::default() };
    let asked = answers.ask(&mut client, bears_capa).await;
    let mut ahead = client.was_ahead();
    let mut listed = asked.map_err(|error| answers.why_it_ended(error, client.provider));
    if listed.is_ok() && !client.careful && !answers.is_recognised() {
        listed = answers.ask_for_what_was_left_out(&mut client).await;
        // Such a server may answer a question about one message with several lines. A careful session does not ask.
        ahead |= listed.is_err();
    }
    answers.tell(&client);
    let after_login = answers.capabilities.clone().filter(|_| answers.has_capabilities);
    let announced = [&answers.capabilities, &capabilities].into_iter().flatten();
    let (login_delay, before_login) = (announced.filter_map(Capabilities::login_delay).next(), capabilities.clone());
    let wants = answers.wants_memory();
    let finished = listed.and_then(|()| answers.finish(client, capabilities, method, failed));
    finished.map_err(|error| {
        let is_crowded = matches!(error, ClientError::ListedTooMuch { .. }) && !error.is_too_much_alone();
        let wants_memory = Some(wants).filter(|_| is_crowded);
        Box::new(OpenError { error, ahead, before_login, after_login, login_delay, wants_memory })
    })
}

/// How many octets the lines of UIDL for this many messages have at most: numbers of ten digits, unique-ids of 70 octets
/// (RFC 1939, section 7), a space and CRLF.
fn longest(messages: u32) -> usize {
    usize::try_from(messages).unwrap_or(usize::MAX).saturating_mul(10 + 1 + 70 + 2)
}

/// The numbers that a listing has brought so far. Servers list them in order, upwards or downwards; a line that repeats
/// one is of no use.
#[derive(Debug, Default)]
struct Numbers(Option<(MessageNumber, MessageNumber)>);

impl Numbers {
    /// Adds a number. Returns whether it is new.
    fn add(&mut self, number: MessageNumber) -> bool {
        let (first, last) = self.0.unwrap_or((number, number));
        let is_new = self.0.is_none() || number < first || number > last;
        self.0 = Some((first.min(number), last.max(number)));
        is_new
    }
}

/// The answers to the flight.
#[derive(Default)]
struct Answers {
    capabilities: Option<Capabilities>,
    /// Whether these are all of them.
    has_capabilities: bool,
    builder: MaildropBuilder,
    /// The memory that they hold.
    share: Share,
    /// What STAT reported, if anything.
    drop: Option<DropListing>,
    /// The refusals of UIDL and LIST.
    no_uidl: Option<Response>,
    no_list: Option<Response>,
    /// The first refusal that says that the maildrop is not accessible, now or at all.
    no_access: Option<(CommandKind, Response)>,
    /// The listing to recognise, if any.
    expected: Option<ListingDigest>,
    digester: ListingDigester,
    /// The lines of UIDL, kept as long as it may be the expected listing.
    kept: KeptLines,
    /// How many octets of lines that were not read yet are of use at most, as the listing may be the expected one.
    expected_octets: usize,
    /// The numbers that UIDL has listed so far, and those that LIST has.
    named: Numbers,
    sized: Numbers,
    /// How many octets of lines were of use, and have not been counted yet.
    of_use: usize,
    /// How many lines were too long.
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
            // The answer to CAPA may allow pipelining the rest.
            client.try_converse(commands.drain(..1), |asked, part| self.on_event(asked, part)).await?;
            client.pipelining = self.capabilities.as_ref().is_some_and(Capabilities::pipelining);
        }
        client.try_converse(commands, |asked, part| self.on_event(asked, part)).await?;
        if puts_sizes_off && !self.is_recognised() { self.ask_for_another_listing(client).await } else { Ok(()) }
    }

    /// Whether this is the expected listing.
    fn is_recognised(&self) -> bool {
        self.expected.is_some() && self.expected == self.digester.finish()
    }

    /// Handles a listing other than the expected one: asks for what was not kept of it, and for the sizes unless they
    /// can wait.
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

    /// Takes the answer to STAT. If the total is not the expected one, the listing has changed and its lines are taken
    /// at once.
    fn take_drop(&mut self, listing: DropListing) {
        self.drop = Some(listing);
        self.builder.stat(listing);
        self.digester.stat(listing);
        self.expected
            .take_if(|expected| (expected.messages, expected.octets) != (listing.count, listing.reported_size));
    }

    /// Takes a line of LIST's answer.
    fn take_size(&mut self, line: &[u8]) -> Result<(), ClientError> {
        match ScanListing::parse(line) {
            Ok(listing) => {
                self.take(budget::SIZE)?;
                self.of_use += if self.sized.add(listing.number) { line.len() } else { 0 };
                self.builder.size(listing);
            }
            Err(_) => self.builder.unreadable_line(),
        }
        Ok(())
    }

    /// Takes several lines of LIST's answer.
    fn take_sizes(&mut self, lines: &[u8]) -> Result<(), ClientError> {
        each_line(lines).try_for_each(|line| self.take_size(line))
    }

    /// Takes a line of UIDL's answer.
    fn take_unique_id(&mut self, line: &[u8]) -> Result<(), ClientError> {
        match UniqueIdListing::parse(line) {
            Ok(listing) => {
                self.take(budget::UNIQUE_ID + line.len())?;
                self.of_use += if self.named.add(listing.number) { line.len() } else { 0 };
                self.builder.unique_id(listing);
            }
            Err(_) => self.builder.unreadable_line(),
        }
        Ok(())
    }

    /// Takes a line of UIDL's answer, or keeps it as long as this may be the expected listing.
    fn hear_line(&mut self, line: &[u8]) -> Result<(), ClientError> {
        self.digester.line(line);
        if self.expected.is_none() {
            return self.take_unique_id(line);
        }
        self.count_kept(line);
        self.kept.push(line);
        Ok(())
    }

    /// Does the same with several lines.
    fn hear_lines(&mut self, lines: &[u8]) -> Result<(), ClientError> {
        self.digester.lines(lines);
        if self.expected.is_none() {
            return each_line(lines).try_for_each(|line| self.take_unique_id(line));
        }
        self.count_kept(lines);
        self.kept.extend(lines);
        Ok(())
    }

    /// Counts lines of UIDL's answer that are kept, as the listing may be the expected one.
    fn count_kept(&mut self, lines: &[u8]) {
        let of_use = lines.len().min(self.expected_octets);
        (self.of_use, self.expected_octets) = (self.of_use + of_use, self.expected_octets - of_use);
    }

    /// Sends UIDL with a number for each message that the full UIDL left out.
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
            // An odd answer may be the first line of several: better to find that out now than during a retrieval.
            client.exchange(Command::Noop).await?;
        }
        Ok(())
    }

    /// Returns how many bytes the listing is expected to need: by the number of messages that STAT reported, and not
    /// less than what it has.
    fn wants_memory(&self) -> usize {
        let counted = self.drop.map_or(0, |listing| usize::try_from(listing.count).unwrap_or(usize::MAX));
        counted.saturating_mul(budget::UNIQUE_ID + budget::SIZE + TYPICAL_LINE).max(self.share.held())
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
            (CommandKind::Capa, ResponsePart::End) => self.has_capabilities = true,
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
            (CommandKind::Uidl(_), ResponsePart::Line(line)) => self.hear_line(line)?,
            (CommandKind::Uidl(_), ResponsePart::Lines(lines)) => self.hear_lines(lines)?,
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
        watch::has_listed(std::mem::take(&mut self.of_use));
        Ok(ControlFlow::Continue(()))
    }

    /// Logs which lines were skipped.
    fn tell(&self, client: &Client) {
        let Some((asked, head)) = &self.first_too_long else { return };
        let head = client.redactor.hide(&words_in(head));
        warn!(
            "{} of the server's lines had more than {} octets and were passed over; the first one, in the answer to \
             {asked}, begins with \"{head}\"",
            self.too_long,
            limits::LISTING_LINE
        );
    }

    /// Returns why a session ended in which a refusal said that the maildrop is not accessible.
    fn why_it_ended(&mut self, error: ClientError, provider: Option<&'static Provider>) -> ClientError {
        let connection_closed =
            matches!(error, ClientError::Closed | ClientError::Lost { .. } | ClientError::Framing(_));
        match self.no_access.take_if(|_| connection_closed) {
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
        // Without a response code, a refused UIDL that was not announced is probably just not supported.
        let only_unannounced = !announced && self.no_list.is_none();
        let refused_by = |asked, response| ClientError::Refused { provider: client.provider, asked, response };
        match (self.no_access, self.no_uidl, self.no_list) {
            // Some servers refuse to list an empty maildrop, in words that may sound like a failure.
            (no_access, ..)
                if refused
                    && self.drop.is_some_and(|listing| listing.count == 0)
                    && no_access.as_ref().is_none_or(|(_, response)| !has_access_code(response)) =>
            {
                self.builder.unique_ids_follow();
            }
            // One command failed because the maildrop is not accessible, so the other answers mean nothing either.
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
        let maildrop = self.builder.finish_in(client.serial());
        let (after_login, mut share) = (self.capabilities, self.share);
        if maildrop.sizes_put_off.is_none() {
            share.is_complete();
        }
        watch::on_hang(Needed::Listing, share.giver());
        Ok(Opened { client, before_login, after_login, login, failed_logins, maildrop, digest, is_recognised, share })
    }
}

/// Digests the headers of some messages, by TOP n 0 (RFC 1939, section 7). Headers that the server refuses are left
/// out. What follows them shows whether the answers belong to their commands.
///
/// # Errors
/// [`ClientError`], also if the answers were out of step.
pub async fn look(client: &mut Client, maildrop: &Maildrop, numbers: &[MessageNumber]) -> Result<Seen, ClientError> {
    let in_step = InStep::behind_headers(maildrop, numbers.last().copied());
    digest_headers(client, numbers, Some(in_step)).await
}

/// Does so. Without `in_step`, nothing shows whether the answers belong to their commands.
pub(super) async fn digest_headers(
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

/// Breaks once `refused` has reached `most`.
pub(super) fn up_to(most: usize, refused: usize) -> ControlFlow<()> {
    if refused < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Returns how many useful octets an observer sees of these lines of an answer to UIDL or LIST.
    async fn of_use(mut answers: Answers, asked: CommandKind, lines: &[&[u8]]) -> u64 {
        let watch = Arc::new(watch::Watch::default());
        watch::watched(Arc::clone(&watch), async {
            for line in lines {
                let together = [line, &b"\r\n"[..]].concat();
                for part in [ResponsePart::Lines(&together), ResponsePart::LongLine(line)] {
                    assert!(answers.on_event(asked, part).unwrap().is_continue());
                }
            }
        })
        .await;
        watch.octets()
    }

    #[tokio::test]
    async fn only_lines_that_can_be_used_are_progress() {
        let (uidl, list) = (CommandKind::Uidl(None), CommandKind::List(None));
        let of = |asked, lines: &'static [&'static [u8]]| of_use(Answers::default(), asked, lines);
        assert_eq!(of(uidl, &[b"1 abc", b"2 def"]).await, 10);
        assert_eq!(of(uidl, &[b"9 abc", b"8 def"]).await, 10, "downwards");
        assert_eq!(of(list, &[b"1 100", b"2 200"]).await, 10);
        assert_eq!(of(uidl, &[b"garbage garbage", b"x", b""]).await, 0);
        assert_eq!(of(list, &[b"1 many", b"0 1"]).await, 0);
        assert_eq!(of(uidl, &[b"1 abc", b"1 abc", b"1 abd"]).await, 5, "again and again");
        assert_eq!(of(list, &[b"1 100", b"3 100", b"2 100"]).await, 10, "between what came before");
    }

    #[tokio::test]
    async fn lines_that_are_only_kept_count_as_far_as_the_expected_listing_may_reach() {
        let listing = ListingDigest { messages: 2, octets: ReportedSize::new(9), unique_ids: String::new() };
        let expecting =
            |expected_octets| Answers { expected: Some(listing.clone()), expected_octets, ..Answers::default() };
        let lines: &[&[u8]] = &[b"1 abc", b"2 def"];
        assert_eq!(of_use(expecting(longest(2)), CommandKind::Uidl(None), lines).await, 14);
        assert_eq!(of_use(expecting(10), CommandKind::Uidl(None), lines).await, 10);
    }
}
