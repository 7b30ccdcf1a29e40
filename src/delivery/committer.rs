//! Makes complete messages safe, in batches: runs the four steps of the path of a message.
//!
//! Three things happen concurrently: messages that arrive are written into `tmp/`, those written before are synced, and
//! those synced before are recorded and published. So a batch is whatever arrived while the previous one was synced: one
//! message on a slow line, hundreds on a fast one. Nothing waits for a batch to fill.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::destination::{Destination, DestinationIndex, DestinationIndexes, Destinations, OWN};
use super::publish::{Delivered, publish_into};
use super::record::{Recorded, record};
use super::{DeliveryError, Described};
use crate::disk::free_space::FreeSpace;
use crate::disk::promised_space::Promise;
use crate::disk::{DirSync, Disk};
use crate::maildir::staging::{NotWritten, Received, Staged, Written, stage};
use crate::state::entries::{EntryId, ListedAs, MaildirNumber};
use crate::state::error::StateError;
use crate::state::handle::{StateHandle, StateWork};
use crate::state::store::Store;
use crate::threads::Blocking;
use crate::watch::blocking;

/// At most this many bytes are written but not yet durable: a slow disk has to flush them all at the end.
const MOST_UNSYNCED: u64 = 64 << 20;

/// At most this many messages are written in one go: what was written before is synced meanwhile, and what comes next is
/// synced as soon as these are written.
const WRITTEN_IN_ONE_GO: usize = 32;

/// Memory is given back to the retriever in pieces of at least this many bytes.
const GIVEN_BACK: usize = 128 << 10;

/// A complete message on its way from the retriever to the committer.
pub(crate) struct ReceivedMessage<T> {
    /// The message.
    pub(crate) received: Received<T>,
    /// The Maildirs that it goes to.
    pub(crate) to: DestinationIndexes,
    /// Set if one of them failed to take what was written while the message was arriving.
    pub(crate) not_written: Option<NotWritten>,
    /// Its share of the memory budget, given back when it is written.
    pub(crate) permit: OwnedSemaphorePermit,
    /// The space promised to it, given back when it is written.
    pub(crate) promise: Promise,
}

/// A committer at work.
pub(crate) struct Committer<T, A> {
    disk: Arc<dyn Disk>,
    to: Arc<Destinations>,
    /// Called at once with each message that is safe.
    announce: A,
    /// Messages that are written and wait for the previous batch to be synced, each with its Maildirs.
    written: Vec<(DestinationIndexes, Written<T>)>,
    /// Their octets, counted once for each Maildir.
    octets: u64,
    /// The batch being synced (step 1).
    sync: Option<Blocking<Vec<Synced<T>>>>,
    /// Messages that are synced and wait for the previous batch to be recorded and published.
    staged: Vec<(DestinationIndexes, Staged<T>)>,
    /// The batch being recorded and published (steps 2 to 4), which has the state.
    commit: Option<StateWork<Outcome<T>>>,
    /// `Unsupported` once a file system could not sync a directory.
    synced: DirSync,
    /// Whether a batch could not be committed. The state may accept nothing any more then, so nothing more is committed.
    broken: bool,
    /// The first error. Nothing more is accepted then, which the retriever notices by its closed channel.
    error: Option<DeliveryError>,
    /// The Maildirs other than the account's own that take no mail. Deliveries to the rest go on.
    failing: BTreeSet<DestinationIndex>,
    /// Those that failed during this run, as configured, and why.
    failed: Vec<(PathBuf, DeliveryError)>,
    /// How many messages for failing Maildirs were not delivered.
    missed: u64,
    /// How those with unique-ids are listed.
    undelivered: Vec<ListedAs>,
}

/// The outcome for all messages that were received.
pub(crate) struct Committed {
    /// Whether the file systems can make a name durable; or the error.
    pub(crate) result: Result<DirSync, DeliveryError>,
    /// The Maildirs other than the account's own that stopped taking mail, as configured, and why.
    pub(crate) failed: Vec<(PathBuf, DeliveryError)>,
    /// How many messages are not recorded anywhere because a Maildir failed.
    pub(crate) missed: u64,
    /// How those with unique-ids are listed.
    pub(crate) undelivered: Vec<ListedAs>,
}

/// A message after step 1: its Maildirs, how it is listed if it has a unique-id, and whether it is durable.
type Synced<T> = ((DestinationIndexes, Option<ListedAs>), Result<Staged<T>, NotWritten>);

/// The outcome of steps 2 to 4 for a batch.
struct Outcome<T> {
    safe: Vec<Delivered<T>>,
    result: Result<DirSync, DeliveryError>,
    /// The errors of Maildirs other than the account's own.
    failed: Vec<(DestinationIndex, DeliveryError)>,
}

impl<T: Described, A: FnMut(Delivered<T>)> Committer<T, A> {
    pub(crate) fn new(disk: Arc<dyn Disk>, to: Arc<Destinations>, announce: A) -> Self {
        let failing = to.unusable().collect();
        Self {
            disk,
            to,
            announce,
            written: Vec::new(),
            octets: 0,
            sync: None,
            staged: Vec::new(),
            commit: None,
            synced: DirSync::Synced,
            broken: false,
            error: None,
            failing,
            failed: Vec::new(),
            missed: 0,
            undelivered: Vec::new(),
        }
    }

    /// Commits until the channel is closed. Messages received before an error are still made safe if possible.
    pub(crate) async fn run(
        mut self,
        state: &mut StateHandle,
        received_messages: Receiver<ReceivedMessage<T>>,
    ) -> Committed {
        let result = self.commit_all(state, received_messages).await;
        let Self { failed, missed, undelivered, .. } = self;
        Committed { result, failed, missed, undelivered }
    }

    async fn commit_all(
        &mut self,
        state: &mut StateHandle,
        mut received_messages: Receiver<ReceivedMessage<T>>,
    ) -> Result<DirSync, DeliveryError> {
        let mut arrived = Vec::new();
        let mut open = true;
        loop {
            if self.sync.is_none() && !self.written.is_empty() {
                self.begin_sync();
            }
            if self.commit.is_none() && !self.staged.is_empty() {
                self.begin_commit(state)?;
            }
            if !open && self.sync.is_none() && self.commit.is_none() {
                return self.error.take().map_or(Ok(self.synced), Err);
            }
            let free = self.to.most_messages.saturating_sub(self.written.len()).min(WRITTEN_IN_ONE_GO);
            let takes = open && free > 0 && self.octets < MOST_UNSYNCED;
            tokio::select! {
                done = ended(&mut self.commit) => self.on_batch_end(state.end(done)?),
                synced = ended(&mut self.sync) => self.on_synced(synced.map_err(|e| e.doing("sync messages"))?),
                count = received_messages.recv_many(&mut arrived, free), if takes => {
                    open = count > 0;
                    self.write(std::mem::take(&mut arrived)).await?;
                }
            }
            if self.error.is_some() {
                open = false;
                received_messages.close();
            }
        }
    }

    /// Writes the messages that arrived into `tmp/`.
    async fn write(&mut self, received_messages: Vec<ReceivedMessage<T>>) -> Result<(), DeliveryError> {
        let mut good = Vec::with_capacity(received_messages.len());
        for mut message in received_messages {
            if let Some(NotWritten { dir, source }) = message.not_written.take() {
                self.fails_in(dir, "write a message to", source);
            }
            if self.is_failing(&message.to) {
                self.misses(listed_as(message.received.payload()));
            } else {
                good.push(message);
            }
        }
        let write = move || -> Vec<_> {
            let mut free_spaces: BTreeMap<DestinationIndex, FreeSpace> = BTreeMap::new();
            let mut share: Option<OwnedSemaphorePermit> = None;
            let each = |ReceivedMessage { received, to, permit, promise, .. }| {
                let listed_as = listed_as(received.payload());
                let written = received.write(free_spaces.entry(to.first).or_insert_with(FreeSpace::unknown));
                if written.is_ok() {
                    promise.wrote_the_rest();
                }
                // The kernel has the bytes now. Giving shares back one by one would wake the retriever for every
                // message; giving them all back at the end would stall it meanwhile.
                match &mut share {
                    Some(share) => share.merge(permit),
                    None => share = Some(permit),
                }
                share.take_if(|share| share.num_permits() >= GIVEN_BACK);
                (to, listed_as, written)
            };
            good.into_iter().map(each).collect()
        };
        for (to, listed_as, result) in blocking(write).await.map_err(|e| e.doing("write messages"))? {
            match result {
                Ok(written) => {
                    self.octets += written.size().get().saturating_mul(to.count());
                    self.written.push((to, written));
                }
                Err(NotWritten { dir, source }) => {
                    self.fails_in(dir, "write a message to", source);
                    if self.is_failing(&to) {
                        self.misses(listed_as);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether one of these Maildirs takes no mail.
    fn is_failing(&self, to: &DestinationIndexes) -> bool {
        !self.failing.is_empty() && to.iter().any(|place| self.failing.contains(&place))
    }

    /// Records that a Maildir failed. If it is the account's own, the run ends: most mail goes there, and would be
    /// retrieved in vain.
    fn fails(&mut self, to: DestinationIndex, error: DeliveryError) {
        match self.to.at(to) {
            Some(_) if to == OWN => {
                self.error.get_or_insert(error);
            }
            Some(one) if self.failing.insert(to) => self.failed.push((one.configured.clone(), error)),
            Some(_) => {}
            None => {
                self.error.get_or_insert_with(no_such_maildir);
            }
        }
    }

    /// Records that the Maildir with this `tmp/` failed. Returns which one that is.
    fn fails_in(&mut self, tmp: PathBuf, doing: &'static str, source: io::Error) -> Option<DestinationIndex> {
        let place = self.to.place_of_tmp(&tmp);
        match place {
            Some(place) => self.fails(place, DeliveryError::Maildir { doing, path: tmp, source }),
            None => {
                self.error.get_or_insert_with(no_such_maildir);
            }
        }
        place
    }

    /// Counts a message that was not delivered.
    fn misses(&mut self, listed_as: Option<ListedAs>) {
        self.missed += 1;
        self.undelivered.extend(listed_as);
    }

    fn begin_sync(&mut self) {
        let (batch, disk) = (std::mem::take(&mut self.written), Arc::clone(&self.disk));
        self.octets = 0;
        self.sync = Some(blocking(move || {
            let with_listing =
                |(to, written): (DestinationIndexes, Written<T>)| ((to, listed_as(written.payload())), written);
            stage(&*disk, batch.into_iter().map(with_listing).collect())
        }));
    }

    fn on_synced(&mut self, batch: Vec<Synced<T>>) {
        self.sync = None;
        if self.broken {
            return;
        }
        let failed_before = self.error.is_some();
        for ((to, listed_as), result) in batch {
            match result {
                Ok(staged) => self.staged.push((to, staged)),
                Err(NotWritten { dir, source }) => {
                    if self.fails_in(dir, "sync a message in", source) != Some(OWN) {
                        self.misses(listed_as);
                    }
                }
            }
        }
        if !failed_before && self.error.is_some() {
            // What this disk takes from now on is unknown. The files are removed, and the messages retrieved again.
            self.written.clear();
        }
        self.leave_failing();
    }

    fn begin_commit(&mut self, state: &mut StateHandle) -> Result<(), DeliveryError> {
        let (batch, disk, to) = (std::mem::take(&mut self.staged), Arc::clone(&self.disk), Arc::clone(&self.to));
        self.commit = Some(state.begin("commit a batch of messages", move |store| commit(&*disk, store, &to, batch))?);
        Ok(())
    }

    fn on_batch_end(&mut self, outcome: Outcome<T>) {
        self.commit = None;
        outcome.safe.into_iter().for_each(&mut self.announce);
        match outcome.result {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => self.synced = DirSync::Unsupported,
            Err(e) => {
                self.error.get_or_insert(e);
                // The files in tmp/ are removed, and the messages retrieved again.
                self.broken = true;
                self.written.clear();
                self.staged.clear();
            }
        }
        outcome.failed.into_iter().for_each(|(to, error)| self.fails(to, error));
        self.leave_failing();
    }

    /// Drops messages for Maildirs that take no mail.
    fn leave_failing(&mut self) {
        if self.failing.is_empty() {
            return;
        }
        let fails = |to: &DestinationIndexes| to.iter().any(|place| self.failing.contains(&place));
        let written = self.written.extract_if(.., |(to, _)| fails(to)).map(|(_, one)| listed_as(one.payload()));
        let staged = self.staged.extract_if(.., |(to, _)| fails(to)).map(|(_, one)| listed_as(one.payload()));
        let lost: Vec<Option<ListedAs>> = written.chain(staged).collect();
        lost.into_iter().for_each(|listed_as| self.misses(listed_as));
    }
}

/// The error for a Maildir that is none of those that the session delivers to.
fn no_such_maildir() -> DeliveryError {
    DeliveryError::contradiction("deliver messages", "a Maildir is none of those that the session delivers to")
}

/// How the server lists the message with this payload; None without a unique-id.
fn listed_as(payload: &impl Described) -> Option<ListedAs> {
    Some(ListedAs { unique_id: payload.unique_id()?.clone(), reported_size: payload.reported_size() })
}

/// Waits for the end of this work; forever if there is none.
async fn ended<W: Future + Unpin>(work: &mut Option<W>) -> W::Output {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Records and publishes one batch: steps 2 to 4. Blocks.
fn commit<T: Described>(
    disk: &dyn Disk,
    store: &mut Store,
    to: &Destinations,
    staged: Vec<(DestinationIndexes, Staged<T>)>,
) -> Outcome<T> {
    let mut outcome = Outcome { safe: Vec::new(), result: Ok(DirSync::Synced), failed: Vec::new() };
    if let Err(e) = record_and_publish(disk, store, to, staged, &mut outcome) {
        outcome.fails(OWN, e);
    }
    outcome
}

impl<T> Outcome<T> {
    /// Records an error. For the account's own Maildir only the first one counts.
    fn fails(&mut self, place: DestinationIndex, error: DeliveryError) {
        match place {
            OWN if self.result.is_ok() => self.result = Err(error),
            OWN => {}
            place => self.failed.push((place, error)),
        }
    }
}

fn record_and_publish<T: Described>(
    disk: &dyn Disk,
    store: &mut Store,
    to: &Destinations,
    staged: Vec<(DestinationIndexes, Staged<T>)>,
    outcome: &mut Outcome<T>,
) -> Result<(), DeliveryError> {
    // Step 2: make the intents durable.
    let numbered = |(places, staged)| Some((to.numbers(&places)?, staged));
    let numbered: Option<Vec<_>> = staged.into_iter().map(numbered).collect();
    let recorded = record(store, numbered.ok_or_else(no_such_maildir)?)?;
    // Step 3: make the names in new/ durable, if the state and the Maildirs are still those that the intents name.
    store.check_place()?;
    let used: BTreeSet<MaildirNumber> = recorded.iter().flat_map(Recorded::maildirs).collect();
    let mut broken = Vec::new();
    for number in used {
        let (place, destination) = to.numbered(number).ok_or_else(no_such_maildir)?;
        if let Err(e) = check_in_place(disk, destination) {
            outcome.fails(place, e);
            broken.push(number);
        }
    }
    let maildir = |number| to.numbered(number).map(|(_, destination)| &destination.maildir);
    let published = publish_into(disk, &maildir, &broken, recorded);
    for (number, source) in published.failed {
        let (place, destination) = to.numbered(number).ok_or_else(no_such_maildir)?;
        let path = destination.maildir.new_dir().path().to_owned();
        outcome.fails(place, DeliveryError::Maildir { doing: "deliver into", path, source });
    }
    if let (Ok(so_far), DirSync::Unsupported) = (&mut outcome.result, published.synced) {
        *so_far = published.synced;
    }
    // Step 4: record that the messages are published, without a separate sync.
    store.record_published(&published.delivered)?;
    outcome.safe = published.delivered;
    // Without this record, a second name counts as before. The Maildir's error is what is reported.
    drop(store.record_not_linked(published.not_linked));
    if !published.vanished.is_empty() {
        return forget(store, to, published.vanished);
    }
    // What the previous batch recorded without a sync is durable now.
    Ok(store.remove_finished()?)
}

/// Checks that a Maildir is still the one that was opened.
fn check_in_place(disk: &dyn Disk, to: &Destination) -> Result<(), DeliveryError> {
    let path = to.maildir.new_dir().path();
    let failed = |source| DeliveryError::Maildir { doing: "deliver into", path: path.to_owned(), source };
    match to.maildir.is_in_place(disk).map_err(failed)? {
        true => Ok(()),
        false => Err(StateError::maildir_replaced(&to.configured).into()),
    }
}

/// Forgets messages whose files vanished. Whatever took the files, the messages were not delivered and must never count
/// as delivered.
fn forget(store: &mut Store, to: &Destinations, vanished: Vec<EntryId>) -> Result<(), DeliveryError> {
    let first = vanished.first().and_then(|id| store.state().entry(*id)?.intent.as_ref());
    let number = first.map_or(to.own().number, |intent| intent.maildir);
    let (_, destination) = to.numbered(number).ok_or_else(no_such_maildir)?;
    let path = destination.maildir.new_dir().path().to_owned();
    store.record_forgotten(vanished)?;
    store.settle()?;
    let source = io::Error::other("a file of this poll has vanished from tmp/");
    Err(DeliveryError::Maildir { doing: "deliver into", path, source })
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
