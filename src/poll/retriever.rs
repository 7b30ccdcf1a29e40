//! Asks for messages ahead, as many as the server takes, and streams what comes into staging.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Ferry;
use super::committer::{Destination, Parcel, Safe};
use super::error::PollError;
use super::marking::Marking;
use super::window::Window;
use crate::account::{MaildirMode, RemovalPolicy};
use crate::client::{Client, ClientError};
use crate::maildir::staging::{DigestWhole, Received, Staging};
use crate::maildrop::Listed;
use crate::plan::{Removable, is_one_we_have};
use crate::pop3::{Asked, Command, Event, Status};
use crate::state::entries::{Entry, EntryId};
use crate::watch;

/// Complete messages that wait for the disk hold at most so many bytes of memory.
const HELD: u32 = 1 << 20;

/// What a small message costs in memory beside its bytes.
const OVERHEAD: usize = 1024;

/// How long the messages under way may take to come in after the end was asked for.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// A session asks for no further message after this long; the rest is another session's.
const SESSION: Duration = Duration::from_secs(3600);

/// What is to be retrieved, and how.
pub(super) struct Order {
    /// The messages, in this order.
    pub(super) messages: VecDeque<Listed>,
    /// Where they go.
    pub(super) destination: Destination,
    /// The permissions that their files get.
    pub(super) maildir_mode: MaildirMode,
    /// The instance id for their names.
    pub(super) instance: u64,
    /// What happens to them on the server afterwards.
    pub(super) removal: RemovalPolicy,
    /// Whether a digest of whole messages is wanted.
    pub(super) digest_whole: DigestWhole,
    /// Remembered messages that one of these may turn out to be.
    pub(super) remembered: Vec<Entry>,
    /// The time of this poll, in certain seconds.
    pub(super) now: u64,
    /// How many bytes may be written without touching the reserve.
    pub(super) room: u64,
    /// A session ended at this message before: it is not taken until a NOOP behind it was answered, since its end may
    /// have been in the wrong place.
    pub(super) careful: bool,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Retrieved {
    /// How many RETR were sent.
    pub(super) asked: u64,
    /// Those that the server refused, and how.
    pub(super) refused: Vec<(Listed, String)>,
    /// Those that turned out to be known already, with the size that the server reports now.
    pub(super) known: Vec<(EntryId, Option<u64>)>,
    /// Those that became safe: how many, and their octets.
    pub(super) safe: u64,
    /// Octets of those.
    pub(super) octets: u64,
    /// What was not asked for any more: no time, no room, or the end was asked for.
    pub(super) left: usize,
    /// The end was asked for.
    pub(super) stopped: bool,
    /// There was no room for some.
    pub(super) full: bool,
}

/// A retriever under way.
pub(super) struct Retriever<'a> {
    pub(super) ferry: &'a Ferry,
    pub(super) client: &'a mut Client,
    pub(super) order: Order,
    pub(super) stop: &'a CancellationToken,
    pub(super) done: Retrieved,
    pub(super) marking: &'a mut Marking,
    /// Asked for and not complete, the oldest first.
    under_way: VecDeque<Listed>,
    /// How far ahead that may be.
    window: Window,
    /// The message that is coming in.
    staging: Option<Staging>,
    begun: Instant,
    /// When the messages under way must be in; set when the end was asked for.
    deadline: Option<Instant>,
}

impl<'a> Retriever<'a> {
    pub(super) fn new(
        ferry: &'a Ferry,
        client: &'a mut Client,
        marking: &'a mut Marking,
        order: Order,
        stop: &'a CancellationToken,
    ) -> Self {
        Self {
            ferry,
            client,
            marking,
            order,
            stop,
            done: Retrieved::default(),
            under_way: VecDeque::new(),
            window: Window::new(),
            staging: None,
            begun: Instant::now(),
            deadline: None,
        }
    }

    /// Retrieves everything, handing complete messages to the committer and deleting what it made safe.
    pub(super) async fn retrieve(
        &mut self,
        parcels: mpsc::Sender<Parcel>,
        safe: &mut mpsc::UnboundedReceiver<Safe>,
    ) -> Result<(), PollError> {
        let held = Arc::new(Semaphore::new(usize::try_from(HELD).unwrap_or(1)));
        loop {
            while let Ok(one) = safe.try_recv() {
                self.note_safe(&one);
            }
            self.ask_ahead()?;
            if self.client.outstanding() == 0 {
                self.done.left = self.order.messages.len();
                return Ok(());
            }
            let Some(event) = self.next_event().await? else { continue };
            self.hear(event, &parcels, &held).await?;
        }
    }

    /// A message is safe: it counts, and it may be deleted if the policy says so.
    pub(super) fn note_safe(&mut self, safe: &Safe) {
        self.done.safe += 1;
        self.done.octets += safe.size;
        if let Some(removable) = Removable::after_delivery(self.order.removal, &safe.listed, &safe.delivered) {
            self.marking.add(removable);
        }
    }

    fn ask_ahead(&mut self) -> Result<(), PollError> {
        self.marking.ask_ahead(self.client)?;
        if self.deadline.is_some() || self.begun.elapsed() > SESSION || watch::is_to_give_way() {
            return Ok(());
        }
        while self.client.outstanding() < self.client.window() && (self.window.is_open() || self.under_way.is_empty()) {
            let Some(next) = self.order.messages.front() else { break };
            let size = next.reported_size.unwrap_or(0);
            let Some(room) = self.order.room.checked_sub(size) else {
                // A size is a hint and may be a lie: the others must not suffer from it.
                self.order.messages.pop_front();
                self.done.full = true;
                continue;
            };
            self.client.ask(Command::Retr(next.number))?;
            self.order.room = room;
            self.window.asked(size);
            self.done.asked += 1;
            self.under_way.extend(self.order.messages.pop_front());
        }
        Ok(())
    }

    /// The next event; None if the end was asked for meanwhile.
    async fn next_event(&mut self) -> Result<Option<Event>, PollError> {
        match self.deadline {
            None => {
                tokio::select! {
                    biased;
                    event = self.client.event() => Ok(Some(event?)),
                    () = self.stop.cancelled() => {
                        debug!("stopping: {} messages are under way", self.under_way.len());
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

    async fn hear(
        &mut self,
        event: Event,
        parcels: &mpsc::Sender<Parcel>,
        held: &Arc<Semaphore>,
    ) -> Result<(), PollError> {
        match event {
            Event::Response { to: Asked::Retr(_), response } if response.status == Status::Ok => self.begin(),
            Event::Response { to: Asked::Retr(_), response } => {
                if let Some(listed) = self.completed() {
                    self.done.refused.push((listed, format!("the server refuses it, saying \"{}\"", response.text)));
                }
            }
            Event::Response { to: Asked::Dele(_), response } => self.marking.hear(&response),
            Event::Data(range) => {
                watch::note_useful(range.len());
                self.window.arrived(range.len(), self.begun.elapsed());
                if let Some(staging) = &mut self.staging {
                    staging.take(self.client.bytes(range));
                    if staging.is_full() {
                        self.flush().await?;
                    }
                }
            }
            Event::End { .. } if self.order.careful => self.client.ask(Command::Noop)?,
            Event::End { .. } | Event::Response { to: Asked::Noop, .. } => self.hand_over(parcels, held).await?,
            _ => return Err(ClientError::Closed.into()),
        }
        Ok(())
    }

    fn begin(&mut self) {
        let unique_id = self.under_way.front().and_then(|listed| listed.unique_id.as_ref());
        let name = self.ferry.names.next(self.ferry.clock.since_1970(), self.order.instance, unique_id);
        let tmp = self.order.destination.maildir.tmp();
        let staging = Staging::new(Arc::clone(&self.ferry.disk), &tmp, name, self.order.digest_whole);
        self.staging = Some(staging.with_mode(self.order.maildir_mode));
    }

    async fn flush(&mut self) -> Result<(), PollError> {
        let Some(mut staging) = self.staging.take() else { return Ok(()) };
        let flushed = watch::spawn_blocking(move || staging.flush().map(|()| staging)).await;
        let path = self.order.destination.maildir.tmp();
        let flushed = flushed.map_err(|_| PollError::Fault)?;
        let wrote = flushed.map_err(|source| PollError::Maildir { doing: "write a message to", path, source })?;
        self.staging = Some(wrote);
        Ok(())
    }

    async fn hand_over(&mut self, parcels: &mpsc::Sender<Parcel>, held: &Arc<Semaphore>) -> Result<(), PollError> {
        let (Some(listed), Some(staging)) = (self.completed(), self.staging.take()) else {
            return Err(PollError::Fault);
        };
        let received = staging.finish();
        if self.is_remembered(&listed, &received) {
            return Ok(());
        }
        let bytes = u32::try_from(received.held() + OVERHEAD).unwrap_or(HELD).min(HELD);
        let permit = Arc::clone(held).acquire_many_owned(bytes).await.map_err(|_| PollError::Fault)?;
        // A committer that is gone has said why itself.
        parcels.send(Parcel { listed, received, permit }).await.map_err(|_| PollError::Stopped)
    }

    /// Whether it is one that we have after all: then this copy goes, and it has been verified.
    fn is_remembered(&mut self, listed: &Listed, received: &Received) -> bool {
        let same = |entry: &Entry| is_one_we_have(listed, entry, received.header(), received.whole());
        let Some(at) = self.order.remembered.iter().position(same) else { return false };
        let entry = self.order.remembered.swap_remove(at);
        self.done.known.push((entry.id, listed.reported_size));
        let removable = Removable::retrieved_again(self.order.removal, listed, &entry, self.order.now);
        removable.into_iter().for_each(|removable| self.marking.add(removable));
        true
    }

    /// The oldest message under way is complete or refused.
    fn completed(&mut self) -> Option<Listed> {
        let listed = self.under_way.pop_front()?;
        self.window.completed(listed.reported_size.unwrap_or(0));
        Some(listed)
    }
}
