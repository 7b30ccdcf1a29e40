//! An account's state while it is polled: what is remembered and the journal, changed together and only here.

mod loading;
mod quarantining;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::entries::{
    Entry, Fingerprint, Intent, KnownMaildir, ListedAs, Origin, QuarantineReason, UidState, entry_records,
};
use super::error::StateError;
use super::journal::{Durability, Journal};
pub use super::orphans::{ConfiguredAccounts, DeliveredBy};
use super::record::Record;
use super::shown::{Shown, Unshown};
use crate::account::Account;
use crate::clock::trusted_time::{ClockMark, ClockReading};
use crate::disk::{Dir, DirSync, Disk, HeldLock, sync_dirs_above};
use crate::ids::{EntryId, InstanceId, MaildirNumber};
use crate::message::Digests;
use crate::pop3::UniqueId;

pub use loading::LockedState;

/// How a state is to be opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// What the clocks say now.
    pub now: ClockReading,
    /// The time since 1970, by the wall clock: our files in `tmp/` that are younger may be another process's at work.
    pub since_1970: Duration,
    /// The instance id for a state that has to be made.
    pub instance: InstanceId,
    /// Words that tell others who holds the lock.
    pub holder: String,
    /// The user said that a lost state is to be begun anew.
    pub new_state: bool,
    /// Mail was delivered with it before, by this process: it must be there.
    pub must_exist: bool,
    /// The other accounts.
    pub configured_accounts: Arc<ConfiguredAccounts>,
    /// Tells which states have delivered into the Maildir at a path: asked where there is no state, and none of those is
    /// the account's.
    pub delivered_by: DeliveredBy,
}

/// The state of one account, locked.
#[derive(Debug)]
pub struct Store {
    pub(super) disk: Arc<dyn Disk>,
    journal: Journal,
    state: UidState,
    /// The time of this poll.
    mark: ClockMark,
    /// Records that are true already and go out in front of the next append.
    pending: Vec<Record>,
    /// Whether anything was written.
    written: bool,
    /// How many deliveries stand in the file as begun and as finished.
    settled: usize,
    /// Names in `tmp/` of messages that are delivered, of which the journal says so.
    finished: Finished,
    /// Deliveries that nothing has shown yet to be what they were taken for.
    unshown: Unshown,
    /// When the state was opened, in nanoseconds since 1970.
    opened: i64,
    /// Ends with this value. None for a look without a lock.
    lock: Option<AccountLock>,
}

/// Names in `tmp/` that go once "published" is durable. Until then they show that their files were delivered.
#[derive(Debug, Default)]
struct Finished {
    /// The record may be lost in a power cut.
    recorded: Vec<(Dir, OsString)>,
    /// It is durable: the names can go.
    durable: Vec<(Dir, OsString)>,
}

/// The lock of an account, held.
struct AccountLock {
    path: PathBuf,
    lock: Box<dyn HeldLock>,
}

impl std::fmt::Debug for AccountLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AccountLock").field(&self.path).finish()
    }
}

/// A message that is about to be ours: its file is durable in `tmp/`.
#[derive(Debug)]
pub struct NewDelivery {
    /// The Maildir that it goes into.
    pub maildir: MaildirNumber,
    /// Others that it goes into as well.
    pub also: Vec<MaildirNumber>,
    /// The server's name for it.
    pub unique_id: Option<UniqueId>,
    /// Its size in octets, as the server reports it.
    pub reported_size: Option<u64>,
    /// What identifies it.
    pub digests: Digests,
    /// What came may not be all of it.
    pub is_unsure: bool,
    /// It came in another size than it was listed with, and is retrieved again for that: no size is remembered.
    pub comes_again: bool,
    /// Its place among the messages that its session asked for, counted from 1; 0 where that does not matter.
    pub place: u64,
    /// The name that its file will have in `new/`.
    pub file_name: String,
}

/// Why intents are not on record.
#[derive(Debug)]
pub struct NotRecorded<M> {
    /// Why.
    pub error: StateError,
    /// The messages, if the records may be on disk all the same. None: nothing speaks of them.
    pub batch: Option<Vec<M>>,
}

/// What shows that the delivery of an entry is finished: its file has its name in `new/`, durably where the file system
/// can do that, or was seen to have had one. For the proofs of `delivery`, and nothing else.
pub trait IsPublished {
    /// The entry.
    fn entry(&self) -> EntryId;

    /// Its names in `tmp/`, one in each of its Maildirs, and that directory: they go once this is on record for good.
    fn in_tmp(&self) -> impl Iterator<Item = (&Dir, &OsStr)>;
}

impl Store {
    /// What is remembered.
    #[must_use]
    pub fn state(&self) -> &UidState {
        &self.state
    }

    /// The clocks at this poll.
    pub(super) fn mark(&self) -> &ClockMark {
        &self.mark
    }

    /// The time of this poll, in trusted seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.mark.trusted
    }

    /// When the state was opened, in nanoseconds since 1970.
    #[must_use]
    pub fn opened(&self) -> i64 {
        self.opened
    }

    /// Whether the paths of the lock and of the file still lead to what is open: a state that was moved, replaced or
    /// removed is not ours to go on with. To be asked before anything is written or delivered on the strength of it.
    ///
    /// # Errors
    /// [`StateError::Moved`], and disk errors.
    pub fn check_place(&self) -> Result<(), StateError> {
        let Some(AccountLock { path, lock }) = &self.lock else { return Ok(()) };
        match self.disk.status(path) {
            Ok(status) if status.id == lock.file() => {}
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(StateError::io("look at", path, e));
            }
            _ => return Err(StateError::Moved { path: path.clone() }),
        }
        let uids = self.journal.path();
        match self.journal.is_in_place() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StateError::Moved { path: uids.to_owned() }),
            Err(e) => Err(StateError::io("look at", uids, e)),
        }
    }

    /// Whether the directory of the state can make a name durable: where it cannot, a rewritten file may be gone after a
    /// power cut, and with it what says that a message is ours. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn sync_directory(&self) -> Result<DirSync, StateError> {
        let dir = self.journal.path().parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(dir).map_err(|e| StateError::io("sync", dir, e))
    }

    /// Makes sure that the file exists and will not vanish, so that every message in `tmp/` belongs to a state that is
    /// on disk. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn ensure_file(&mut self) -> Result<(), StateError> {
        if self.journal.is_durable() { Ok(()) } else { self.rewrite() }
    }

    /// Remembers a Maildir that is going to be delivered to, and that is durable itself; written with the next intents.
    ///
    /// # Errors
    /// Those of a state that does not fit itself.
    pub fn record_maildir(&mut self, known: KnownMaildir) -> Result<MaildirNumber, StateError> {
        let number = self.state.next_maildir();
        self.pend(Record::Maildir(number, known))?;
        Ok(number)
    }

    /// The account points at another server now, where these, in order, were recognised. What else has a unique-id counts as gone until
    /// it is seen there: a listing that names it proves nothing, in this session or a later one.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_host(&mut self, account: &Account, recognised: &[EntryId]) -> Result<(), StateError> {
        let is_open = |entry: &&Entry| {
            entry.unique_id.is_some() && entry.absent_since.is_none() && recognised.binary_search(&entry.id).is_err()
        };
        let ids: Vec<EntryId> = self.state.entries().filter(is_open).map(|entry| entry.id).collect();
        let mut records = vec![Record::Host { host: account.endpoint.host.clone(), user: account.username.clone() }];
        if !ids.is_empty() {
            records.push(Record::Absent { ids, trusted: self.mark.trusted });
        }
        self.append(records, Durability::Later)
    }

    /// Step 2 of the path of a message: the intents, durable. `told` says what is to be remembered of each; each comes back
    /// with its entry. Blocks.
    ///
    /// # Errors
    /// [`NotRecorded`]: nothing is recorded, or it is unknown whether it is.
    pub fn record_intents<M>(
        &mut self,
        batch: Vec<M>,
        told: impl Fn(&M) -> NewDelivery,
    ) -> Result<Vec<(EntryId, M)>, NotRecorded<M>> {
        let batch: Vec<(EntryId, M)> = self.state.next_id().and_those_behind().zip(batch).collect();
        let (mut again, mut over, mut entries) = (Vec::new(), Vec::new(), Vec::with_capacity(batch.len()));
        for (id, one) in &batch {
            let told = told(one);
            let listed_as = if told.comes_again { &mut again } else { &mut over };
            let name = told.unique_id.clone();
            listed_as.extend(name.map(|unique_id| ListedAs { unique_id, reported_size: told.reported_size }));
            entries.push(self.begun(*id, told));
        }
        let unshown = self.unshown_now();
        let over = self.troubles_over(over.into_iter());
        let again = self.once_more(again.into_iter(), QuarantineReason::OtherSize);
        let mut records: Vec<Record> = entries.into_iter().flat_map(entry_records).collect();
        records.extend(over);
        records.extend(again);
        // With the intents, so that it holds after a kill as well.
        records.extend(unshown);
        let appended = self.append(records, Durability::Now);
        let Err(error) = appended else { return Ok(batch) };
        // Where the journal is whole, nothing speaks of the files.
        let may_be_there = self.journal.is_broken();
        Err(NotRecorded { error, batch: may_be_there.then(|| batch.into_iter().map(|(_, one)| one).collect()) })
    }

    /// The entry of a delivery that is begun.
    fn begun(&mut self, id: EntryId, delivery: NewDelivery) -> Entry {
        let NewDelivery { maildir, also, unique_id, reported_size, digests, is_unsure, comes_again, place, file_name } =
            delivery;
        self.unshown.delivers(place, id);
        // It has not the size that it was listed with: without one it is never taken for what is listed so, whatever becomes of
        // the record of its trouble.
        let reported_size = reported_size.filter(|_| !comes_again);
        let (header, whole) = (Some(digests.header), Some(digests.whole));
        Entry {
            id,
            unique_id,
            origin: Origin::Delivered,
            fingerprint: Fingerprint { reported_size, header, whole },
            delivered_at: self.mark.reading.wall,
            delivered_trusted: self.mark.trusted,
            intent: Some(Box::new(Intent { file_name, maildir, also, spooled: false })),
            removed: false,
            doubt: is_unsure,
            absent_since: None,
        }
    }

    /// A session begins to retrieve; `shown` says how much of it was shown to be what it was taken for.
    pub fn begin_session(&mut self, shown: Shown) {
        self.unshown.begin(shown, self.state.unshown());
    }

    /// Says what was shown meanwhile, without a sync of its own: where it is lost, bytes are compared.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_shown(&mut self) -> Result<(), StateError> {
        match self.unshown_now() {
            Some(record) => self.append(vec![record], Durability::Later),
            None => Ok(()),
        }
    }

    /// What nothing has shown is on record as doubtful.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_unshown_doubted(&mut self) -> Result<(), StateError> {
        self.unshown.clear();
        self.record_shown()
    }

    /// Which deliveries nothing has shown, if the file says something else.
    fn unshown_now(&mut self) -> Option<Record> {
        let first = self.unshown.first();
        (first != self.state.unshown()).then_some(Record::Unshown(first))
    }

    /// Step 4 of the path of a message: its file is in `new/`, durably. Its name in `tmp/` goes once this is durable as well:
    /// [`Store::remove_finished`].
    ///
    /// # Errors
    /// Disk errors. Nothing is lost by that: recovery finds it out again.
    pub fn record_published<P: IsPublished>(&mut self, published: &[P]) -> Result<(), StateError> {
        self.record_finished(published.iter().map(P::entry).collect())?;
        let in_tmp = published.iter().flat_map(P::in_tmp).map(|(tmp, name)| (tmp.clone(), name.to_owned()));
        self.finished.recorded.extend(in_tmp);
        Ok(())
    }

    /// The deliveries of these entries are finished.
    fn record_finished(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        let settled = ids.len();
        let (spooled, ids): (Vec<EntryId>, Vec<EntryId>) = ids.into_iter().partition(|id| self.is_for_spool(*id));
        self.append_ids(ids, Record::Published)?;
        self.append_ids(spooled, Record::Spooled)?;
        self.settled = self.settled.saturating_add(settled);
        Ok(())
    }

    /// The account's spool: a Maildir in which messages wait until they are forwarded.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.journal.path().with_extension("spool")
    }

    /// Whether a message that is being delivered goes into the spool.
    pub(crate) fn is_for_spool(&self, id: EntryId) -> bool {
        let Some(intent) = self.state.entry(id).and_then(|entry| entry.intent.as_deref()) else { return false };
        let mut maildirs = intent.maildirs().filter_map(|number| self.state.maildir(number));
        maildirs.any(|maildir| maildir.configured == self.spool())
    }

    /// These messages of the spool were forwarded.
    ///
    /// # Errors
    /// Disk errors. The forwarder's own journal still says it.
    pub fn record_forwarded(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Forwarded)
    }

    /// Removes the names in `tmp/` of messages whose delivery is on record for good. Blocks.
    ///
    /// # Errors
    /// Disk errors: what is left is removed at a later poll.
    pub fn remove_finished(&mut self) -> Result<(), StateError> {
        for (tmp, name) in std::mem::take(&mut self.finished.durable) {
            match self.disk.remove_in(&tmp, &name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(StateError::io("remove", &tmp.path().join(&name), e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The last sync: makes everything durable that was written, and lets the names in `tmp/` go. Writes nothing where
    /// nothing was written. Blocks.
    ///
    /// # Errors
    /// Disk errors; [`StateError::Moved`].
    pub fn settle(&mut self) -> Result<(), StateError> {
        if !self.journal.is_synced() {
            self.check_place()?;
            self.journal.sync().map_err(|e| StateError::io("sync", self.journal.path(), e))?;
        }
        self.on_durable();
        self.remove_finished()
    }

    /// Everything that was recorded is durable.
    fn on_durable(&mut self) {
        self.finished.durable.append(&mut self.finished.recorded);
    }

    /// These were deleted on the server, and it acknowledged the QUIT.
    ///
    /// # Errors
    /// Disk errors. Nothing is lost by that: they are looked for once more.
    pub fn record_removed(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        let mut records = self.troubles_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        records.push(Record::Removed { ids, trusted: self.mark.trusted });
        self.append(records, Durability::Later)
    }

    /// A complete listing lacked these for the first time.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_absent(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.absent_since.is_none()));
        let trusted = self.mark.trusted;
        self.append_ids(ids, |ids| Record::Absent { ids, trusted })
    }

    /// What is listed under the unique-ids of these later may be something else: they are about to be deleted, or a session
    /// ended at what stood there. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_doubt(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| !entry.doubt));
        self.append_ids(ids, Record::Doubted)?;
        self.settle()
    }

    /// These were retrieved again, and their bytes are what they were.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_verified(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        let over = self.troubles_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.doubt || entry.was_gone()));
        self.append_ids(ids, Record::Verified)?;
        if over.is_empty() { Ok(()) } else { self.append(over, Durability::Later) }
    }

    /// How an entry's message was listed.
    fn listed_as(&self, id: EntryId) -> Option<ListedAs> {
        self.state.entry(id).and_then(ListedAs::of_entry)
    }

    /// These are listed again.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_present(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Present)
    }

    /// The server reports other sizes for these now.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_resized(&mut self, sizes: Vec<(EntryId, u64)>) -> Result<(), StateError> {
        if sizes.is_empty() {
            return Ok(());
        }
        let record = |(id, reported_size)| Record::Resized { id, reported_size };
        self.append(sizes.into_iter().map(record).collect(), Durability::Later)
    }

    /// The server has other unique-ids for these now.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_renamed(&mut self, names: Vec<(EntryId, UniqueId)>) -> Result<(), StateError> {
        if names.is_empty() {
            return Ok(());
        }
        // What was wrong with a message under its old name is wrong under the new one, too.
        let trouble = |(id, unique_id): &(EntryId, UniqueId)| {
            let entry = self.state.entry(*id)?;
            let before =
                ListedAs { unique_id: entry.unique_id.clone()?, reported_size: entry.fingerprint.reported_size };
            let quarantine = self.state.quarantine(&before.unique_id, before.reported_size)?;
            Some((before.clone(), ListedAs { unique_id: unique_id.clone(), ..before }, quarantine))
        };
        let troubles: Vec<_> = names.iter().filter_map(trouble).collect();
        let mut records: Vec<Record> =
            names.into_iter().map(|(id, unique_id)| Record::Renamed { id, unique_id }).collect();
        records.extend(troubles.iter().map(|(before, ..)| Record::TroubleOver(before.clone())));
        let anew = |(_, listed_as, quarantine)| Record::Quarantine { listed_as, quarantine };
        records.extend(troubles.into_iter().map(anew));
        self.append(records, Durability::Later)
    }

    /// These are not remembered any more.
    ///
    /// # Errors
    /// Disk errors.
    pub fn record_forgotten(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Forgotten)
    }

    /// Writes what is true already and has not been written: a clock mark on which ages depend, a Maildir that was taken.
    ///
    /// # Errors
    /// Disk errors.
    pub fn write_pending(&mut self) -> Result<(), StateError> {
        let due = self.journal.exists() && !self.pending.is_empty();
        if due { self.append(Vec::new(), Durability::Later) } else { Ok(()) }
    }

    /// Ends the work with the state: everything is durable, the file is small and says that it is whole. Blocks.
    ///
    /// # Errors
    /// Those of [`Store::settle`].
    pub fn finish(&mut self) -> Result<(), StateError> {
        self.settle()?;
        self.compact()?;
        if !self.written {
            return Ok(());
        }
        self.check_place()?;
        self.journal.mark_durable().map_err(|e| StateError::io("write", self.journal.path(), e))
    }

    /// Writes the file anew if it is not known to be on disk as it was read: nothing may be concluded from it before.
    /// Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn ensure_proven(&mut self) -> Result<(), StateError> {
        if self.journal.is_unproven() { self.rewrite() } else { Ok(()) }
    }

    /// Makes the file small again if most of its records are history.
    fn compact(&mut self) -> Result<(), StateError> {
        let live = self.state.len();
        let mostly_history = self.journal.records() > live.saturating_mul(2).saturating_add(1000);
        // An entry is twice as long as it need be as long as its finished delivery stands in it.
        let mostly_settled = self.settled > live / 2 + 1000;
        if self.written && (mostly_history || mostly_settled) { self.rewrite() } else { Ok(()) }
    }

    /// Writes the whole state into a new file, durable when this returns. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn rewrite(&mut self) -> Result<(), StateError> {
        self.check_place()?;
        let path = self.journal.path();
        let above = if self.journal.is_durable() { Ok(()) } else { sync_dirs_above(&*self.disk, path) };
        above.map_err(|e| StateError::io("sync", path, e))?;
        let written = self.journal.rewrite(self.state.records());
        self.pending.clear();
        self.written = true;
        self.settled = 0;
        written.map_err(|e| StateError::io("write", self.journal.path(), e))?;
        self.on_durable();
        Ok(())
    }

    /// The Maildirs by number, as they were when they were last delivered to.
    #[must_use]
    pub fn maildirs_with_intents(&self) -> BTreeMap<MaildirNumber, KnownMaildir> {
        let numbers = self.state.intents().flat_map(|(_, intent)| intent.maildirs());
        numbers.filter_map(|number| Some((number, self.state.maildir(number)?.clone()))).collect()
    }

    fn append_ids(
        &mut self,
        mut ids: Vec<EntryId>,
        record: impl FnOnce(Vec<EntryId>) -> Record,
    ) -> Result<(), StateError> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        self.append(vec![record(ids)], Durability::Later)
    }

    pub(super) fn append(&mut self, records: Vec<Record>, durability: Durability) -> Result<(), StateError> {
        if self.journal.needs_rewrite() {
            self.rewrite()?;
        }
        self.check_place()?;
        let path = self.journal.path().to_owned();
        let mut batch = std::mem::take(&mut self.pending);
        let pended = batch.len();
        batch.extend(records);
        self.journal.append(&batch, durability).map_err(|e| StateError::io("write", &path, e))?;
        self.written = true;
        if durability == Durability::Now {
            self.on_durable();
        }
        // What was pending is true in memory already.
        for record in batch.into_iter().skip(pended) {
            self.state.apply(record).map_err(|e| StateError::inconsistent(&path, e))?;
        }
        Ok(())
    }

    fn pend(&mut self, record: Record) -> Result<(), StateError> {
        let path = self.journal.path();
        self.state.apply(record.clone()).map_err(|e| StateError::inconsistent(path, e))?;
        self.pending.push(record);
        Ok(())
    }

    /// Whether there is a file of it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.journal.exists()
    }

    /// The octets of its file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.journal.length()
    }

    /// Where its file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.journal.path()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
