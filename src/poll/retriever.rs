//! Requests messages ahead, as many as the server accepts, and streams them into staging.

mod handing_over;
mod in_step;
mod requesting;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::PollContext;
use super::ceiling::{Ceiling, of_use};
use super::deletions::Deletions;
use super::emitter::Emitter;
use super::error::{DoesNotFit, PollError};
use super::events::PollEvent;
use super::incoming::Incoming;
use super::own_sizes::OwnSizes;
use super::retrieval::{Retrieval, Retrieved};
use super::window::Window;
use crate::client::error::TooLong;
use crate::client::{Client, ClientError, Message};
use crate::delivery::committer::ReceivedMessage;
use crate::delivery::destination::Destination;
use crate::delivery::publish::Delivered;
use crate::disk::free_space::{FreeSpaces, InsufficientSpace, free_spaces};
use crate::disk::promised_space::Promise;
use crate::disk::{Dir, Disk};
use crate::ids::RequestNumber;
use crate::maildir::staging::Staging;
use crate::message::StoredSize;
use crate::plan::maildrop::Listed;
use crate::plan::{Arrival, Removable};
use crate::pop3::{CommandKind, Event, MessageNumber, ReportedSize, Response, Status, UniqueId};
use crate::watch;

/// The most memory that complete messages waiting for the disk may hold, in bytes.
const HELD: u32 = 1 << 20;

/// Received octets are reported once there are this many.
const TOLD: u64 = 64 << 10;

/// Or after this long.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// How long messages in flight may take to come in after a stop is requested.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// A message that was requested.
struct Requested {
    listed: Listed,
    /// The space that it is promised.
    promise: Promise,
}

/// Retrieves the messages of a session.
pub(super) struct Retriever<'a> {
    pub(super) context: &'a PollContext,
    pub(super) client: &'a mut Client,
    pub(super) retrieval: Retrieval,
    pub(super) stop: &'a CancellationToken,
    events: &'a Emitter,
    pub(super) done: Retrieved,
    pub(super) deletions: &'a mut Deletions,
    /// Requested and not complete, the oldest first.
    under_way: VecDeque<Requested>,
    /// How far ahead messages are requested.
    window: Window,
    /// The message that is coming in.
    incoming: Option<Incoming>,
    /// How large it may become.
    ceiling: Option<Ceiling>,
    /// How many more octets of it are of use to a poll that others wait for.
    of_use: u64,
    /// How many octets of it came that have not been reported yet.
    untold: u64,
    /// When octets were last reported, counted from `begun`.
    told: Duration,
    /// The last command asked whether the responses are in step, and they are.
    pub(super) in_step: bool,
    /// That question was sent and is not answered yet.
    asks: bool,
    /// The last of the requested messages that ended or was refused.
    answered: RequestNumber,
    /// How many messages had been requested when the question was last sent.
    asked_behind: u64,
    /// What the sizes of messages prove about that.
    own_sizes: OwnSizes,
    /// A size requested along with its message did not come.
    pub(super) sizes_do_not_come: bool,
    /// The sizes that came this way, in octets.
    pub(super) sizes: HashMap<MessageNumber, ReportedSize>,
    /// The free space was looked up and nothing has come since.
    has_looked: bool,
    /// A message whose end may have been misplaced: accepted once the next response shows that it was not.
    held: Option<(Requested, Incoming)>,
    /// The unique-ids of retrieved messages that are none of the remembered ones, if there are remembered ones.
    others: HashSet<UniqueId>,
    begun: Instant,
    /// When messages in flight must be complete; set when a stop is requested.
    deadline: Option<Instant>,
}

impl<'a> Retriever<'a> {
    pub(super) fn new(
        context: &'a PollContext,
        client: &'a mut Client,
        deletions: &'a mut Deletions,
        retrieval: Retrieval,
        stop: &'a CancellationToken,
        events: &'a Emitter,
    ) -> Self {
        let own_sizes = OwnSizes::of(retrieval.messages.iter(), &retrieval.sizes_looked_at);
        Self {
            context,
            client,
            deletions,
            retrieval,
            stop,
            events,
            done: Retrieved::default(),
            under_way: VecDeque::new(),
            window: Window::new(),
            incoming: None,
            ceiling: None,
            of_use: 0,
            untold: 0,
            told: Duration::ZERO,
            in_step: false,
            asks: false,
            answered: RequestNumber::NONE,
            asked_behind: 0,
            own_sizes,
            sizes_do_not_come: false,
            sizes: HashMap::new(),
            has_looked: false,
            held: None,
            others: HashSet::new(),
            begun: Instant::now(),
            deadline: None,
        }
    }

    /// Retrieves everything, hands complete messages to the committer and notes those that it made safe. These may be
    /// deleted once this returns: not before it is proven that every response belonged to its command.
    pub(super) async fn retrieve(
        &mut self,
        received_messages: mpsc::Sender<ReceivedMessage<Arrival>>,
        safe: &mut mpsc::UnboundedReceiver<Delivered<Arrival>>,
    ) -> Result<(), PollError> {
        let held = Arc::new(Semaphore::new(usize::try_from(HELD).unwrap_or(1)));
        loop {
            while let Ok(one) = safe.try_recv() {
                self.note_safe(&one);
            }
            self.ask_ahead().await?;
            if self.client.outstanding() == 0 && self.done.asked > 0 {
                self.ask_whether_in_step()?;
            }
            if self.client.outstanding() == 0 {
                self.done.refused.end();
                let not_given = usize::try_from(self.done.refused.not_given()).unwrap_or(usize::MAX);
                self.done.left = self.retrieval.messages.len().saturating_add(not_given);
                if self.done.left == 0 && self.done.refused.alone() == 0 && self.retrieval.is_whole {
                    self.done.absent = self.retrieval.remembered.left_of(&self.others).collect();
                }
                return Ok(());
            }
            let Some(event) = self.next_event().await? else { continue };
            self.on_event(event, &received_messages, &held).await?;
        }
    }

    /// Counts a safe message, and adds its deletion if the policy wants it.
    pub(super) fn note_safe(&mut self, safe: &Delivered<Arrival>) {
        self.done.safe += 1;
        self.done.octets += safe.size().get();
        if let Some(removable) = Removable::after_delivery(self.retrieval.removal, safe) {
            self.deletions.add(removable);
        }
    }

    /// Returns the next event, or `None` if a stop was requested meanwhile.
    async fn next_event(&mut self) -> Result<Option<Event>, PollError> {
        match self.deadline {
            None => {
                tokio::select! {
                    biased;
                    event = self.client.event() => Ok(Some(event?)),
                    () = self.stop.cancelled() => {
                        self.events.tell(&PollEvent::Stopping { under_way: self.under_way.len() });
                        self.done.stopped = true;
                        self.deadline = Some(Instant::now() + DRAIN);
                        Ok(None)
                    }
                }
            }
            Some(deadline) => match tokio::time::timeout_at(deadline, self.client.event()).await {
                Ok(event) => Ok(Some(event?)),
                Err(_) => Err(PollError::Stopped),
            },
        }
    }

    async fn on_event(
        &mut self,
        event: Event,
        received_messages: &mpsc::Sender<ReceivedMessage<Arrival>>,
        held: &Arc<Semaphore>,
    ) -> Result<(), PollError> {
        match &event {
            Event::Response { to: CommandKind::List(Some(number)), response } => self.hear_size(*number, response)?,
            Event::Response { to, response } => {
                let heard = self.retrieval.in_step.on_response(*to, response);
                if let Some(question) = heard.map_err(|e| self.client.masked(e))? {
                    return Ok(self.client.ask(question)?);
                }
            }
            _ => {}
        }
        if matches!(event, Event::Response { .. })
            && let Some((requested, incoming)) = self.held.take()
        {
            // What followed the message is a response, not the rest of the message.
            self.hand_over(requested, incoming, received_messages, held).await?;
        }
        match event {
            Event::Response { to: CommandKind::Retr(number), response } if response.status == Status::Ok => {
                self.begin(number)?;
            }
            Event::Response { to: CommandKind::Retr(number), response } => self.refused(number, &response)?,
            Event::Response { to: CommandKind::List(Some(_)), .. } => {}
            Event::Response { to: CommandKind::Stat | CommandKind::Uidl(_) | CommandKind::Noop, .. } => {
                self.in_step = self.client.outstanding() == 0;
                self.asks = false;
                if self.retrieval.in_step.is_sure() {
                    self.is_shown();
                } else if self.in_step {
                    // The first line of a message may look like this response: then the response to QUIT has to come as
                    // well.
                    self.done.shown_by_quit = Some((self.retrieval.shown.clone(), self.answered));
                }
            }
            Event::Data(range) => {
                self.arrived(range.len());
                if let Some(incoming) = &mut self.incoming {
                    incoming.take(self.client.bytes(range));
                    let tmp = incoming.route(&self.retrieval.routing, &self.retrieval.destinations, false)?;
                    if let Some((tmp, front)) = tmp.zip(self.under_way.front_mut()) {
                        self.context.promised_space.direct(&mut front.promise, tmp);
                    }
                    let size = incoming.staging.size();
                    if let Some(ceiling) = self.ceiling.filter(|ceiling| size > ceiling.most) {
                        return Err(self.too_long(size, ceiling));
                    }
                    if incoming.is_full() {
                        self.flush().await?;
                    }
                }
            }
            Event::End { to: CommandKind::Retr(number) } => {
                self.end_of_message(number, received_messages, held).await?;
            }
            _ => return Err(ClientError::Closed.into()),
        }
        Ok(())
    }

    /// Notes that the server refused this message, the oldest in flight.
    fn refused(&mut self, number: MessageNumber, response: &Response) -> Result<(), PollError> {
        let Requested { listed, .. } = self.completed(number, StoredSize::default(), 0)?;
        if self.done.refused.refused(listed, response, |listed, response| tell_refused(self.events, listed, response)) {
            self.newest_first();
        }
        Ok(())
    }

    /// Counts octets of a message that came.
    fn arrived(&mut self, octets: usize) {
        let time = self.begun.elapsed();
        self.window.arrived(octets, time);
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let of_use = octets.min(self.of_use);
        self.of_use -= of_use;
        watch::has_received(of_use);
        self.untold = self.untold.saturating_add(octets);
        if self.untold >= TOLD || time.saturating_sub(self.told) >= TOLD_AFTER {
            self.tell_octets();
            self.told = time;
        }
    }

    /// Reports the octets that came of the oldest message in flight.
    fn tell_octets(&mut self) {
        let octets = std::mem::take(&mut self.untold);
        if let Some(Requested { listed, .. }) = self.under_way.front().filter(|_| octets > 0) {
            self.events.tell(&PollEvent::MessageOctets { number: listed.number, octets });
        }
    }

    async fn end_of_message(
        &mut self,
        number: MessageNumber,
        received_messages: &mpsc::Sender<ReceivedMessage<Arrival>>,
        held: &Arc<Semaphore>,
    ) -> Result<(), PollError> {
        let no_such = || PollError::contradiction("end a message", "none was coming in");
        oldest(&self.under_way, number)?;
        self.tell_octets();
        if self.incoming.as_ref().is_some_and(Incoming::is_where_room_is_scarce) {
            self.flush().await?;
        }
        let mut incoming = self.incoming.take().ok_or_else(no_such)?;
        let tmp = incoming.route(&self.retrieval.routing, &self.retrieval.destinations, true)?;
        if let Some((tmp, front)) = tmp.zip(self.under_way.front_mut()) {
            self.context.promised_space.direct(&mut front.promise, tmp);
        }
        incoming.taken_dots = self.client.taken_dots();
        let (size, unwritten) = (incoming.staging.size(), incoming.staging.unwritten());
        let requested = self.completed(number, size, unwritten)?;
        let listed = &requested.listed;
        watch::has_answered();
        self.events.tell(&PollEvent::MessageReceived { listed, octets: incoming.staging.octets() });
        if self.retrieval.beyond_limits.has(listed) {
            self.done.within_limits.push(listed.clone());
        }
        if self.own_sizes.came(listed, incoming.staging.octets()) {
            self.is_shown();
        }
        if self.done.refused.came(|listed, response| tell_refused(self.events, listed, response)) {
            self.newest_first();
        }
        if !self.retrieval.careful && !Arrival::would_be_short(&requested.listed, incoming.staging.octets()) {
            return self.hand_over(requested, incoming, received_messages, held).await;
        }
        self.held = Some((requested, incoming));
        if self.client.outstanding() == 0 {
            self.ask_whether_in_step()?;
        }
        Ok(())
    }

    /// Begins to receive this message, the oldest in flight.
    fn begin(&mut self, number: MessageNumber) -> Result<(), PollError> {
        let Requested { listed, promise } = oldest(&self.under_way, number)?;
        self.events.tell(&PollEvent::MessageBegun(listed));
        let unique_id = listed.unique_id.as_ref();
        let time = self.retrieval.name_times.next(self.context.clock.since_1970());
        let name = self.context.names.next(time, self.retrieval.instance, unique_id);
        let tmp = self.retrieval.destinations.own().maildir.tmp();
        let staging = Staging::new(Arc::clone(&self.context.disk), tmp, name).with_mode(self.retrieval.maildir_mode);
        self.incoming = Some(Incoming::new(staging, &self.retrieval.routing));
        let free_space = self.retrieval.space.free_for(promise);
        // A message requested before its size was known may be listed with more than the free space.
        let reported_size =
            listed.reported_size.filter(|size| self.retrieval.beside.is_none() || size.get() <= free_space);
        self.of_use = of_use(listed.reported_size);
        self.ceiling = Some(Ceiling::of(reported_size, self.retrieval.max_message_size, free_space));
        Ok(())
    }

    /// Returns the error for a message that exceeds its ceiling. It ends the session: nobody knows how much more would
    /// come, and QUIT might make the server remove what was not stored.
    fn too_long(&self, came: StoredSize, Ceiling { most, because, .. }: Ceiling) -> PollError {
        let (what, came, most) = (self.what_comes_in(), came.get(), most.get());
        ClientError::TooLong(TooLong { what, came, most, because }).into()
    }

    /// Names the message that is coming in.
    fn what_comes_in(&self) -> String {
        let named = |one: &Requested| Message(&one.listed, self.client.redactor()).to_string();
        self.under_way.front().map(named).unwrap_or_default()
    }

    /// Returns the error for a message within its listed size for which there is no room any more: others have taken what
    /// was free when it was requested, or a quota has no room for it. It ends the session, as the rest of it is of no use.
    /// The `promised` bytes are kept there for others.
    async fn has_no_room(
        &mut self,
        full: &Destination,
        source: &io::Error,
        promised: u64,
    ) -> Result<PollError, PollError> {
        let (disk, tmp) = (Arc::clone(&self.context.disk), full.maildir.tmp().clone());
        let FreeSpaces { available, reserve, .. } = free_space_in(disk, tmp).await?;
        let is_ours = source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<InsufficientSpace>);
        let message = DoesNotFit {
            what: self.what_comes_in(),
            messages: 1,
            octets: self.under_way.front().map_or(0, |one| self.retrieval.size(&one.listed)),
            available,
            promised,
            reserve,
            never: false,
            refusal: (!is_ours).then(|| crate::text::system(source).to_string()),
            fetched: self.done.safe,
        };
        Ok(PollError::InsufficientSpace { path: full.configured.clone(), message: Some(Box::new(message)) })
    }

    /// Takes out this message, the oldest in flight, which is complete with this many bytes, some of them not written
    /// yet, or refused. From now on it takes the space that it needs, not what it was listed with.
    fn completed(&mut self, number: MessageNumber, bytes: StoredSize, unwritten: u64) -> Result<Requested, PollError> {
        oldest(&self.under_way, number)?;
        let mut requested = self.under_way.pop_front().ok_or_else(not_under_way)?;
        self.answered = self.answered.next();
        self.has_looked = false;
        self.window.completed(self.retrieval.size(&requested.listed));
        requested.promise.complete(bytes.get(), unwritten);
        Ok(requested)
    }
}

/// Returns the oldest message in flight, if it is the one that the server's answer is about.
fn oldest(under_way: &VecDeque<Requested>, number: MessageNumber) -> Result<&Requested, PollError> {
    under_way.front().filter(|oldest| oldest.listed.number == number).ok_or_else(not_under_way)
}

fn not_under_way() -> PollError {
    PollError::contradiction("take the answer to RETR", "it is about another message than the oldest one requested")
}

async fn free_space_in(disk: Arc<dyn Disk>, dir: Dir) -> Result<FreeSpaces, PollError> {
    let looked = watch::blocking(move || free_spaces(&*disk, &dir)).await;
    Ok(looked.map_err(|e| e.doing("find out the free space"))??)
}

fn tell_refused(events: &Emitter, listed: &Listed, response: &Response) {
    let saying = crate::text::saying(response.words());
    let why = format_args!("the server refuses it{saying}");
    events.tell(&PollEvent::MessageRefused { listed, why });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::promised_space::PromisedSpace;

    #[test]
    fn an_answer_is_about_the_oldest_message_requested_or_ends_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let space = PromisedSpace::default().share(&RealDisk.open_dir(dir.path()).unwrap(), 1000);
        let number = |n| MessageNumber::new(n).unwrap();
        let requested = |n| Requested {
            listed: Listed { number: number(n), unique_id: None, reported_size: None },
            promise: space.promise(10).unwrap(),
        };
        let under_way = VecDeque::from([requested(7), requested(3)]);
        assert_eq!(oldest(&under_way, number(7)).unwrap().listed.number, number(7));
        for (under_way, n) in [(&under_way, 3), (&under_way, 8), (&VecDeque::new(), 7)] {
            assert!(matches!(oldest(under_way, number(n)), Err(PollError::InternalError(_))), "{n}");
        }
    }
}
