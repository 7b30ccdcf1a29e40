//! Step 2 of the path of a message: recording the intents.

use super::{Described, Entered};
use crate::ids::{EntryId, MaildirNumber};
use crate::maildir::names::TmpName;
use crate::maildir::staging::Staged;
use crate::state::entries::MaildirNumbers;
use crate::state::error::StateError;
use crate::state::store::{NewDelivery, NotRecorded, Store};

/// A message that the journal durably records as ours. Made only by [`record`].
#[derive(Debug, PartialEq, Eq)]
pub struct Recorded<T>(Entered<T>);

impl<T> Recorded<T> {
    /// Its entry.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.0.entry
    }

    /// Its name in `tmp/`.
    #[must_use]
    pub fn tmp_name(&self) -> &TmpName {
        &self.0.tmp_name
    }

    /// Its name in `new/`.
    #[must_use]
    pub fn published_name(&self) -> &str {
        &self.0.published_name
    }

    /// The numbers of its Maildirs in the state.
    pub fn maildirs(&self) -> impl Iterator<Item = MaildirNumber> {
        self.0.maildirs.iter()
    }

    /// Hands over what is recorded, for the next proof.
    pub(super) fn into_entered(self) -> Entered<T> {
        self.0
    }
}

/// Records the intents durably: each message with the numbers of the Maildirs that it goes into. Blocks.
///
/// # Errors
/// Disk errors: nothing is recorded, or it is unknown whether it is. In the second case the files stay in `tmp/`, and
/// the next poll's recovery decides. [`StateError::Moved`].
pub fn record<T: Described>(
    store: &mut Store,
    batch: Vec<(MaildirNumbers, Staged<T>)>,
) -> Result<Vec<Recorded<T>>, StateError> {
    let batch: Vec<Named<T>> = batch.into_iter().map(|(maildirs, staged)| Named::of(maildirs, staged)).collect();
    let told = |Named { maildirs, published_name, staged }: &Named<T>| {
        let payload = staged.payload();
        NewDelivery {
            maildir: maildirs.first,
            also: maildirs.also.clone(),
            unique_id: payload.unique_id().cloned(),
            reported_size: payload.reported_size(),
            digests: staged.digests(),
            is_unsure: payload.is_unsure(),
            comes_again: payload.comes_again(),
            is_kept: payload.is_kept(),
            request: payload.request(),
            file_name: published_name.clone(),
        }
    };
    match store.record_intents(batch, told) {
        Ok(recorded) => {
            let recorded = recorded.into_iter();
            Ok(recorded.map(|(entry, named)| Recorded(named.entered(entry, store.is_for_spool(entry)))).collect())
        }
        Err(NotRecorded { error, batch }) => {
            // If the records may be on disk, the files must stay. Otherwise nothing refers to them, and they are
            // removed with the batch.
            batch.into_iter().flatten().for_each(|named| drop(named.staged.keep()));
            Err(error)
        }
    }
}

/// A message whose file in `tmp/` is durable, with the name that it will get in `new/`.
struct Named<T> {
    maildirs: MaildirNumbers,
    published_name: String,
    staged: Staged<T>,
}

impl<T> Named<T> {
    fn of(maildirs: MaildirNumbers, staged: Staged<T>) -> Self {
        Self { maildirs, published_name: staged.published_name(), staged }
    }

    fn entered(self, entry: EntryId, spooled: bool) -> Entered<T> {
        let Self { maildirs, published_name, staged } = self;
        let (size, tmp_name) = (staged.size(), staged.tmp_name().clone());
        Entered { entry, maildirs, tmp_name, published_name, size, spooled, payload: staged.keep() }
    }
}
