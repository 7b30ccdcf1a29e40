//! Takes complete messages and makes them safe, in batches: the four steps of the path of a message.
//!
//! Two things go on side by side: what arrives is written into `tmp/`, and what was written before is made durable,
//! recorded and published. So a batch is whatever came while the one before it was committed: one message on a slow line,
//! hundreds on a fast one, and nobody waits for a batch to fill.

use std::io;
use std::path::PathBuf;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Shelf;
use super::error::PollError;
use crate::delivery::publish::{Delivered, Published, publish};
use crate::disk::DirSync;
use crate::disk::free_space::FreeSpace;
use crate::maildir::Maildir;
use crate::maildir::staging::{Received, Staged, Written, stage};
use crate::plan::Arrival;
use crate::state::entries::MaildirNumber;
use crate::state::error::StateError;
use crate::state::store::Store;
use crate::threads::{Blocking, NotDone};
use crate::watch::{blocking, note_delivered};

/// No more bytes than this are written and not yet durable: what a slow disk would have to swallow at the end.
const MOST_UNSYNCED: u64 = 64 << 20;

/// Memory is given back to the retriever in pieces of at least so many bytes.
const GIVEN_BACK: usize = 128 << 10;

/// A complete message on its way from the retriever to the committer.
pub(super) struct ReceivedMessage {
    /// The message.
    pub(super) received: Received<Arrival>,
    /// Its share of the memory that may be held; given back when it is written.
    pub(super) permit: OwnedSemaphorePermit,
}

/// A message of this session that is safe.
pub(super) type Safe = Delivered<Arrival>;

/// Where the committer delivers to.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// The Maildir.
    pub(super) maildir: Maildir,
    /// Its path as the configuration has it.
    pub(super) configured: PathBuf,
    /// Its number in the state.
    pub(super) number: MaildirNumber,
    /// How many files may be open at the same time.
    pub(super) most_files: usize,
}

/// A committer at work.
pub(super) struct Committer {
    to: Destination,
    /// Tells the retriever what is safe. It may be gone; a message is safe all the same.
    announce: mpsc::UnboundedSender<Safe>,
    /// Written, and waiting for the batch before to be committed.
    written: Vec<Written<Arrival>>,
    /// Their octets.
    octets: u64,
    /// The batch that is being committed, with the state.
    commit: Option<Blocking<(Store, Outcome)>>,
    /// The file system cannot sync a directory.
    synced: DirSync,
    /// The first thing that went wrong. Nothing more is taken then, which the retriever notices by its closed channel.
    error: Option<PollError>,
}

/// What came of a batch.
struct Outcome {
    safe: Vec<Safe>,
    result: Result<DirSync, PollError>,
}

impl Committer {
    pub(super) fn new(to: Destination, announce: mpsc::UnboundedSender<Safe>) -> Self {
        let (written, synced) = (Vec::new(), DirSync::Synced);
        Self { to, announce, written, octets: 0, commit: None, synced, error: None }
    }

    /// Commits until no more comes. What was received before an error is still made safe if it can be.
    pub(super) async fn run(
        mut self,
        store: &mut Shelf,
        mut received_messages: mpsc::Receiver<ReceivedMessage>,
    ) -> Result<DirSync, PollError> {
        let mut arrived = Vec::new();
        let mut open = true;
        loop {
            if self.commit.is_none() && !self.written.is_empty() {
                self.begin_commit(store)?;
            }
            if !open && self.commit.is_none() {
                return self.error.map_or(Ok(self.synced), Err);
            }
            let free_space = self.to.most_files.saturating_sub(self.written.len());
            let takes = open && free_space > 0 && self.octets < MOST_UNSYNCED;
            tokio::select! {
                done = finished(&mut self.commit) => self.on_batch_end(done?, store),
                count = received_messages.recv_many(&mut arrived, free_space), if takes => {
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

    /// Writes what arrived into `tmp/`.
    async fn write(&mut self, received_messages: Vec<ReceivedMessage>) -> Result<(), PollError> {
        let write = move || -> Vec<_> {
            let mut free_space = FreeSpace::unknown();
            let mut share: Option<OwnedSemaphorePermit> = None;
            let each = |ReceivedMessage { received, permit }| {
                let written = received.write(&mut free_space);
                // The bytes are the kernel's now. Given back one by one, the shares would wake the retriever for every
                // message; all at the end, it would stand still meanwhile.
                match &mut share {
                    Some(share) => share.merge(permit),
                    None => share = Some(permit),
                }
                share.take_if(|share| share.num_permits() >= GIVEN_BACK);
                written
            };
            received_messages.into_iter().map(each).collect()
        };
        for result in blocking(write).await? {
            match result {
                Ok(written) => {
                    self.octets += written.size();
                    self.written.push(written);
                }
                Err(source) => {
                    let path = self.to.maildir.tmp().path().to_owned();
                    self.error.get_or_insert(PollError::Maildir { doing: "write a message to", path, source });
                }
            }
        }
        Ok(())
    }

    fn begin_commit(&mut self, store: &mut Shelf) -> Result<(), PollError> {
        let mut store = store.take().ok_or(PollError::InternalError)?;
        let (batch, to) = (std::mem::take(&mut self.written), self.to.clone());
        self.octets = 0;
        self.commit = Some(blocking(move || {
            let outcome = commit(&mut store, &to, batch);
            (store, outcome)
        }));
        Ok(())
    }

    fn on_batch_end(&mut self, (state, outcome): (Store, Outcome), store: &mut Shelf) {
        *store = Some(state);
        self.commit = None;
        for safe in outcome.safe {
            note_delivered(safe.size());
            let _ = self.announce.send(safe);
        }
        match outcome.result {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => self.synced = DirSync::Unsupported,
            Err(e) => {
                self.error.get_or_insert(e);
                // The state may not take any more; what is in tmp/ goes, and is retrieved again.
                self.written.clear();
            }
        }
    }
}

/// The end of the batch that is being committed; never, if none is.
async fn finished(commit: &mut Option<Blocking<(Store, Outcome)>>) -> Result<(Store, Outcome), NotDone> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// One batch, from step 1 on. Blocks.
fn commit(store: &mut Store, to: &Destination, batch: Vec<Written<Arrival>>) -> Outcome {
    let disk = std::sync::Arc::clone(store.disk());
    let mut outcome = Outcome { safe: Vec::new(), result: Ok(DirSync::Synced) };
    // Step 1: the files and tmp/ are durable.
    let mut staged = Vec::with_capacity(batch.len());
    for one in stage(&*disk, to.maildir.tmp(), batch) {
        match one {
            Ok(one) => staged.push(one),
            Err(source) => outcome.fails(PollError::Maildir {
                doing: "sync a message in",
                path: to.maildir.tmp().path().to_owned(),
                source,
            }),
        }
    }
    if !staged.is_empty()
        && let Err(e) = record_and_publish(store, to, staged, &mut outcome)
    {
        outcome.fails(e);
    }
    outcome
}

impl Outcome {
    /// The first error counts.
    fn fails(&mut self, error: PollError) {
        if self.result.is_ok() {
            self.result = Err(error);
        }
    }
}

fn record_and_publish(
    store: &mut Store,
    to: &Destination,
    staged: Vec<Staged<Arrival>>,
    outcome: &mut Outcome,
) -> Result<(), PollError> {
    // Step 2: the intents are durable.
    let recorded = store.record_intents(staged, to.number, |arrival| (&arrival.listed, arrival.is_unsure))?;
    // Step 3: the names in new/ are durable, if the state and the Maildir are still those that the intents speak of.
    store.check_place()?;
    let disk = std::sync::Arc::clone(store.disk());
    let new = to.maildir.new_dir().path();
    let failed = |source| PollError::Maildir { doing: "deliver into", path: new.to_owned(), source };
    if !to.maildir.is_in_place(&*disk).map_err(failed)? {
        return Err(StateError::maildir_replaced(&to.configured).into());
    }
    let Published { delivered, vanished, synced } = publish(&*disk, &to.maildir, recorded).map_err(failed)?;
    if let Ok(so_far) = &mut outcome.result {
        *so_far = synced;
    }
    // Step 4: said so, without a sync of its own.
    store.record_published(to.maildir.tmp(), &delivered)?;
    outcome.safe = delivered;
    if !vanished.is_empty() {
        // Whatever took the files, they were not delivered, and nobody may ever think so.
        store.record_forgotten(vanished)?;
        store.settle()?;
        return Err(failed(io::Error::other("a file of this poll has vanished from tmp/")));
    }
    // What the batch before recorded without a sync is durable now.
    Ok(store.remove_finished()?)
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
