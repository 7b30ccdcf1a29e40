//! Takes complete messages and makes them safe, in batches: the four steps of the path of a message.
//!
//! Two things go on side by side: what arrives is written into `tmp/`, and what was written before is made durable,
//! recorded and published. So a batch is whatever came while the one before it was committed: one message on a slow line,
//! hundreds on a fast one, and nobody waits for a batch to fill.

use std::io;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::destination::Destination;
use super::publish::{Delivered, Published, publish};
use super::record::record;
use super::{DeliveryError, Described};
use crate::disk::free_space::FreeSpace;
use crate::disk::{DirSync, Disk};
use crate::maildir::staging::{Received, Staged, Written, stage};
use crate::state::error::StateError;
use crate::state::handle::{Finished, StateHandle, StateWork};
use crate::state::store::Store;
use crate::watch::blocking;

/// No more bytes than this are written and not yet durable: what a slow disk would have to swallow at the end.
const MOST_UNSYNCED: u64 = 64 << 20;

/// Memory is given back to the retriever in pieces of at least so many bytes.
const GIVEN_BACK: usize = 128 << 10;

/// A complete message on its way from the retriever to the committer.
pub(crate) struct ReceivedMessage<T> {
    /// The message.
    pub(crate) received: Received<T>,
    /// Its share of the memory that may be held; given back when it is written.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A committer at work.
pub(crate) struct Committer<T, A> {
    disk: Arc<dyn Disk>,
    to: Destination,
    /// Is given what is safe, at once.
    announce: A,
    /// Written, and waiting for the batch before to be committed.
    written: Vec<Written<T>>,
    /// Their octets.
    octets: u64,
    /// The batch that is being committed, with the state.
    commit: Option<StateWork<Outcome<T>>>,
    /// The file system cannot sync a directory.
    synced: DirSync,
    /// The first thing that went wrong. Nothing more is taken then, which the retriever notices by its closed channel.
    error: Option<DeliveryError>,
}

/// What came of a batch.
struct Outcome<T> {
    safe: Vec<Delivered<T>>,
    result: Result<DirSync, DeliveryError>,
}

impl<T: Described, A: FnMut(Delivered<T>)> Committer<T, A> {
    pub(crate) fn new(disk: Arc<dyn Disk>, to: Destination, announce: A) -> Self {
        let (written, synced) = (Vec::new(), DirSync::Synced);
        Self { disk, to, announce, written, octets: 0, commit: None, synced, error: None }
    }

    /// Commits until no more comes. What was received before an error is still made safe if it can be.
    pub(crate) async fn run(
        mut self,
        state: &mut StateHandle,
        mut received_messages: Receiver<ReceivedMessage<T>>,
    ) -> Result<DirSync, DeliveryError> {
        let mut arrived = Vec::new();
        let mut open = true;
        loop {
            if self.commit.is_none() && !self.written.is_empty() {
                self.begin_commit(state)?;
            }
            if !open && self.commit.is_none() {
                return self.error.map_or(Ok(self.synced), Err);
            }
            let free_space = self.to.most_files.saturating_sub(self.written.len());
            let takes = open && free_space > 0 && self.octets < MOST_UNSYNCED;
            tokio::select! {
                done = finished(&mut self.commit) => self.on_batch_end(state.end(done)?),
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
    async fn write(&mut self, received_messages: Vec<ReceivedMessage<T>>) -> Result<(), DeliveryError> {
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
        for result in blocking(write).await.map_err(|e| e.doing("write messages"))? {
            match result {
                Ok(written) => {
                    self.octets += written.size();
                    self.written.push(written);
                }
                Err(source) => {
                    let path = self.to.maildir.tmp().path().to_owned();
                    self.error.get_or_insert(DeliveryError::Maildir { doing: "write a message to", path, source });
                }
            }
        }
        Ok(())
    }

    fn begin_commit(&mut self, state: &mut StateHandle) -> Result<(), DeliveryError> {
        let (batch, disk, to) = (std::mem::take(&mut self.written), Arc::clone(&self.disk), self.to.clone());
        self.octets = 0;
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
                // The state may not take any more; what is in tmp/ goes, and is retrieved again.
                self.written.clear();
            }
        }
    }
}

/// The end of the batch that is being committed; never, if none is.
async fn finished<T>(commit: &mut Option<StateWork<Outcome<T>>>) -> Finished<Outcome<T>> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// One batch, from step 1 on. Blocks.
fn commit<T: Described>(disk: &dyn Disk, store: &mut Store, to: &Destination, batch: Vec<Written<T>>) -> Outcome<T> {
    let mut outcome = Outcome { safe: Vec::new(), result: Ok(DirSync::Synced) };
    // Step 1: the files and tmp/ are durable.
    let mut staged = Vec::with_capacity(batch.len());
    for one in stage(disk, to.maildir.tmp(), batch) {
        match one {
            Ok(one) => staged.push(one),
            Err(source) => outcome.fails(DeliveryError::Maildir {
                doing: "sync a message in",
                path: to.maildir.tmp().path().to_owned(),
                source,
            }),
        }
    }
    if !staged.is_empty()
        && let Err(e) = record_and_publish(disk, store, to, staged, &mut outcome)
    {
        outcome.fails(e);
    }
    outcome
}

impl<T> Outcome<T> {
    /// The first error counts.
    fn fails(&mut self, error: DeliveryError) {
        if self.result.is_ok() {
            self.result = Err(error);
        }
    }
}

fn record_and_publish<T: Described>(
    disk: &dyn Disk,
    store: &mut Store,
    to: &Destination,
    staged: Vec<Staged<T>>,
    outcome: &mut Outcome<T>,
) -> Result<(), DeliveryError> {
    // Step 2: the intents are durable.
    let recorded = record(store, to.number, staged)?;
    // Step 3: the names in new/ are durable, if the state and the Maildir are still those that the intents speak of.
    store.check_place()?;
    let new = to.maildir.new_dir().path();
    let failed = |source| DeliveryError::Maildir { doing: "deliver into", path: new.to_owned(), source };
    if !to.maildir.is_in_place(disk).map_err(failed)? {
        return Err(StateError::maildir_replaced(&to.configured).into());
    }
    let Published { mut delivered, vanished, synced } = publish(disk, &to.maildir, recorded).map_err(failed)?;
    if to.is_spool {
        delivered = delivered.into_iter().map(Delivered::in_spool).collect();
    }
    if let Ok(so_far) = &mut outcome.result {
        *so_far = synced;
    }
    // Step 4: said so, without a sync of its own.
    store.record_published(&delivered)?;
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
