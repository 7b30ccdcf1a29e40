//! Takes complete messages in batches and makes them safe: the four steps of the path of a message.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::error::PollError;
use super::{Shelf, blocking};
use crate::disk::{DirSync, Disk};
use crate::maildir::Maildir;
use crate::maildir::publishing::{Delivered, publish};
use crate::maildir::room::ensure_room;
use crate::maildir::staging::{Received, stage};
use crate::maildrop::Listed;
use crate::state::entries::MaildirNumber;
use crate::state::store::{Source, Store};

/// A batch has at most this many messages, so that the files it holds open are few.
const MOST: usize = 256;

/// A complete message on its way from the retriever to the committer.
pub struct Parcel {
    /// Which message of this session it is.
    pub listed: Listed,
    /// The message.
    pub received: Received,
    /// Its share of the memory that may be held; given back when it is on disk.
    pub permit: OwnedSemaphorePermit,
}

/// A message of this session that is safe.
#[derive(Debug)]
pub struct Safe {
    /// Which message of this session it is.
    pub listed: Listed,
    /// The proof.
    pub delivered: Delivered,
    /// Its size in octets as it is stored.
    pub size: u64,
}

/// Where the committer delivers to.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The Maildir.
    pub maildir: Maildir,
    /// Its number in the state.
    pub number: MaildirNumber,
}

/// Commits until no more comes. Every message that became safe is announced, also when some of its batch failed. After
/// an error nothing more is taken, which the retriever notices by its closed channel.
pub(super) async fn commit_all(
    store: &mut Shelf,
    destination: Destination,
    mut parcels: mpsc::Receiver<Parcel>,
    announce: mpsc::UnboundedSender<Safe>,
) -> Result<DirSync, PollError> {
    let mut synced = DirSync::Synced;
    let mut batch = Vec::new();
    while parcels.recv_many(&mut batch, MOST).await > 0 {
        let (parcels, to) = (std::mem::take(&mut batch), destination.clone());
        let outcome = blocking(store, move |store| commit(store, &to, parcels)).await?;
        for safe in outcome.safe {
            // The retriever may be gone already; the message is safe all the same.
            let _ = announce.send(safe);
        }
        if outcome.result? == DirSync::Unsupported {
            synced = DirSync::Unsupported;
        }
    }
    Ok(synced)
}

struct Outcome {
    safe: Vec<Safe>,
    result: Result<DirSync, PollError>,
}

/// One batch. Blocks.
fn commit(store: &mut Store, to: &Destination, parcels: Vec<Parcel>) -> Outcome {
    let disk = &*Arc::clone(store.disk());
    let mut first_error = None;
    let held = parcels.iter().map(|parcel| parcel.received.held()).sum();
    if let Err(e) = ensure_room(disk, to.maildir.path(), held) {
        return Outcome { safe: Vec::new(), result: Err(e.into()) };
    }
    let mut listed = Vec::with_capacity(parcels.len());
    let mut received = Vec::with_capacity(parcels.len());
    let mut permits = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        listed.push(parcel.listed);
        received.push(parcel.received);
        permits.push(parcel.permit);
    }
    // Step 1: the files and tmp/ are durable.
    let staged = stage(disk, &to.maildir.tmp(), received);
    drop(permits);
    let mut batch = Vec::with_capacity(staged.len());
    let mut accepted = Vec::with_capacity(staged.len());
    for (listed, staged) in listed.into_iter().zip(staged) {
        match staged {
            Ok(staged) => {
                accepted.push((listed.clone(), staged.size()));
                batch.push((staged, Source { unique_id: listed.unique_id, reported_size: listed.reported_size }));
            }
            Err(source) => {
                let path = to.maildir.tmp();
                first_error.get_or_insert(PollError::Maildir { doing: "write a message to", path, source });
            }
        }
    }
    match record_and_publish(disk, store, to, batch) {
        Ok((delivered, synced)) => {
            let safe = accepted.into_iter().zip(delivered);
            let safe = safe.map(|((listed, size), delivered)| Safe { listed, delivered, size }).collect();
            Outcome { safe, result: first_error.map_or(Ok(synced), Err) }
        }
        Err(e) => Outcome { safe: Vec::new(), result: Err(e) },
    }
}

fn record_and_publish(
    disk: &dyn Disk,
    store: &mut Store,
    to: &Destination,
    batch: Vec<(crate::maildir::staging::Staged, Source)>,
) -> Result<(Vec<Delivered>, DirSync), PollError> {
    if batch.is_empty() {
        return Ok((Vec::new(), DirSync::Synced));
    }
    // Step 2: the intents are durable.
    let recorded = store.record_intents(batch, to.number)?;
    // Step 3: the names in new/ are durable.
    let published = publish(disk, &to.maildir, recorded);
    let path = to.maildir.new_dir();
    let (delivered, synced) = published.map_err(|source| PollError::Maildir { doing: "deliver into", path, source })?;
    // Step 4: said so, without a sync of its own.
    store.record_published(delivered.iter().map(Delivered::entry).collect())?;
    Ok((delivered, synced))
}
