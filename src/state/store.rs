//! An account's state while it is polled: the entries and the journal, which are changed together and only here.

mod loading;
mod quarantining;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::entries::{
    Entry, Fingerprint, Intent, KnownMaildir, ListedAs, Origin, QuarantineReason, UidState, entry_records,
};
use super::error::StateError;
use super::journal::{Durability, Journal};
use super::opening_time::OpeningTime;
pub use super::orphans::{ConfiguredAccounts, DeliveredBy};
use super::proofs::{IsForwarded, IsListedAgain, IsPublished, IsRenamed, IsResized, IsVerified};
use super::record::Record;
use super::shown::{Shown, Unshown};
use crate::account::Account;
use crate::clock::trusted_time::{ClockMark, ClockReading, TrustedTime};
use crate::disk::{Dir, DirSync, Disk, HeldLock, sync_dirs_above};
use crate::ids::{EntryId, InstanceId, MaildirNumber, RequestNumber};
use crate::message::Digests;
use crate::pop3::{ReportedSize, UniqueId};

pub use loading::LockedState;

/// How a state is to be opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// What the clocks say when it is opened.
    pub now: ClockReading,
    /// The wall clock as time since 1970. Files of ours in `tmp/` that are younger may belong to a running process.
    pub since_1970: Duration,
    /// The instance id for a new state.
    pub instance: InstanceId,
    /// A text that tells others who holds the lock.
    pub holder: String,
    /// Whether the user said that a lost state is to be started anew.
    pub new_state: bool,
    /// Whether this process has delivered mail with the state before: then it must exist.
    pub must_exist: bool,
    /// All accounts that share the state directory.
    pub configured_accounts: Arc<ConfiguredAccounts>,
    /// Returns which states have delivered into a Maildir. Called if there is no state, and no orphaned one fits.
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
    /// Records already applied in memory, to be written before the next append.
    pending: Vec<Record>,
    /// Whether anything was written.
    written: bool,
    /// How many deliveries the file records twice: as begun and as finished.
    settled: usize,
    /// Names in `tmp/` of delivered messages, which are recorded as delivered.
    finished: Finished,
    /// Deliveries not yet shown to be the messages that they were taken for.
    unshown: Unshown,
    /// When the state was opened.
    opened: OpeningTime,
    /// Released when the store is dropped. None for a look without a lock.
    lock: Option<AccountLock>,
}

/// Names in `tmp/` that are removed once the record that they are published is durable. Until then they prove the
/// delivery.
#[derive(Debug, Default)]
struct Finished {
    /// The record may still be lost in a power cut.
    recorded: Vec<(Dir, OsString)>,
    /// The record is durable: the names can be removed.
    durable: Vec<(Dir, OsString)>,
}

/// An account's lock, held.
struct AccountLock {
    path: PathBuf,
    lock: Box<dyn HeldLock>,
}

impl std::fmt::Debug for AccountLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AccountLock").field(&self.path).finish()
    }
}

/// A message about to become ours: its file is durable in `tmp/`.
#[derive(Debug)]
pub struct NewDelivery {
    /// The first of its Maildirs.
    pub maildir: MaildirNumber,
    /// Further Maildirs that it goes into.
    pub also: Vec<MaildirNumber>,
    /// The server's unique-id for it.
    pub unique_id: Option<UniqueId>,
    /// The size as reported by the server.
    pub reported_size: Option<ReportedSize>,
    /// The digests of its header and of all its bytes.
    pub digests: Digests,
    /// Whether it may have come incomplete.
    pub is_unsure: bool,
    /// Whether it came in another size than listed and is to be retrieved again: no size is remembered.
    pub comes_again: bool,
    /// Whether a rule leaves it on the server, whatever the policy.
    pub is_kept: bool,
    /// Its position among the messages that the session asked for; [`RequestNumber::NONE`] where it does not matter.
    pub request: RequestNumber,
    /// The name that its file will have in `new/`.
    pub file_name: String,
}

/// Why intents are not recorded.
#[derive(Debug)]
pub struct NotRecorded<M> {
    /// Why nothing is recorded, or why that is not known.
    pub error: StateError,
    /// The messages, if the records may be on disk nevertheless. None if no record refers to them.
    pub batch: Option<Vec<M>>,
}

impl Store {
    /// Returns what is remembered.
    #[must_use]
    pub fn state(&self) -> &UidState {
        &self.state
    }

    /// The clocks at this poll.
    pub(super) fn mark(&self) -> &ClockMark {
        &self.mark
    }

    /// The time of this poll.
    #[must_use]
    pub fn now(&self) -> TrustedTime {
        self.mark.trusted
    }

    /// When the state was opened.
    pub(crate) fn opened(&self) -> OpeningTime {
        self.opened
    }

    /// Checks that the paths of the lock and of the file still lead to what is open: a state that was moved, replaced
    /// or removed must not be used further. Call this before anything is written or delivered on the basis of the
    /// state.
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

    /// Syncs the state directory. Where a file system cannot do that, a rewritten file may be lost in a power cut, and
    /// with it the record that a message is ours. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn sync_directory(&self) -> Result<DirSync, StateError> {
        let dir = self.journal.path().parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(dir).map_err(|e| StateError::io("sync", dir, e))
    }

    /// Makes sure that the file durably exists, so that every message in `tmp/` belongs to a state that is on disk.
    /// Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn ensure_file(&mut self) -> Result<(), StateError> {
        if self.journal.is_durable() { Ok(()) } else { self.rewrite() }
    }

    /// Registers a Maildir that is about to be delivered to, and that is durable itself. The record is written with the
    /// next intents.
    ///
    /// # Errors
    /// The state contradicts itself.
    pub(crate) fn record_maildir(&mut self, known: KnownMaildir) -> Result<MaildirNumber, StateError> {
        let number = self.state.next_maildir();
        self.pend(Record::Maildir(number, known))?;
        Ok(number)
    }

    /// Records that the account now uses another server, on which these entries, in order, were recognised. All other
    /// entries with a unique-id count as gone until they are seen there: a listing that names them proves nothing, in
    /// this session or a later one.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_server(&mut self, account: &Account, recognised: &[EntryId]) -> Result<(), StateError> {
        let is_open = |entry: &&Entry| {
            entry.unique_id.is_some() && entry.absent_since.is_none() && recognised.binary_search(&entry.id).is_err()
        };
        let ids: Vec<EntryId> = self.state.entries().filter(is_open).map(|entry| entry.id).collect();
        let host = || account.endpoint.host.clone();
        let mut records = vec![
            Record::Host { host: host(), user: account.username.clone() },
            Record::Port { host: host(), port: account.endpoint.port },
        ];
        if !ids.is_empty() {
            records.push(Record::Absent { ids, trusted: self.mark.trusted });
        }
        self.append(records, Durability::Later)
    }

    /// Step 2 of the path of a message: records the intents durably. `told` says what is to be remembered of each
    /// message; each comes back with its entry. Blocks.
    ///
    /// # Errors
    /// [`NotRecorded`]: nothing is recorded, or it is unknown whether it is.
    pub(crate) fn record_intents<M>(
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
        let over = self.quarantines_over(over.into_iter());
        let again = self.once_more(again.into_iter(), QuarantineReason::OtherSize);
        let mut records: Vec<Record> = entries.into_iter().flat_map(entry_records).collect();
        records.extend(over);
        records.extend(again);
        // Written with the intents, so that it holds after a kill as well.
        records.extend(unshown);
        let appended = self.append(records, Durability::Now);
        let Err(error) = appended else { return Ok(batch) };
        // If the journal is intact, no record refers to the files.
        let may_be_there = self.journal.is_broken();
        Err(NotRecorded { error, batch: may_be_there.then(|| batch.into_iter().map(|(_, one)| one).collect()) })
    }

    /// Makes the entry of a delivery that begins.
    fn begun(&mut self, id: EntryId, delivery: NewDelivery) -> Entry {
        let NewDelivery { maildir, also, unique_id, reported_size, digests, is_unsure, comes_again, is_kept, .. } =
            delivery;
        let NewDelivery { request, file_name, .. } = delivery;
        self.unshown.delivers(request, id);
        // The message did not have its listed size. Without a size, the entry is never taken for what is listed,
        // whatever becomes of the quarantine record.
        let reported_size = reported_size.filter(|_| !comes_again);
        let (header, whole) = (Some(digests.header), Some(digests.whole));
        Entry {
            id,
            unique_id,
            // No policy deletes what is adopted.
            origin: if is_kept { Origin::Adopted } else { Origin::Delivered },
            fingerprint: Fingerprint { reported_size, header, whole },
            delivered_at: self.mark.reading.wall,
            delivered_trusted: self.mark.trusted,
            intent: Some(Box::new(Intent { file_name, maildir, also, not_linked: Vec::new(), spooled: false })),
            removed: false,
            doubt: is_unsure,
            absent_since: None,
        }
    }

    /// Begins a session of retrievals; `shown` is updated with how many of its messages were shown to be what they were
    /// taken for.
    pub(crate) fn begin_session(&mut self, shown: Shown) {
        self.unshown.begin(shown, self.state.unshown());
    }

    /// Records what was shown meanwhile, without a sync: if the record is lost, bytes are compared.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_shown(&mut self) -> Result<(), StateError> {
        match self.unshown_now() {
            Some(record) => self.append(vec![record], Durability::Later),
            None => Ok(()),
        }
    }

    /// Clears the deliveries not yet shown, once they are recorded as doubtful.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_unshown_doubted(&mut self) -> Result<(), StateError> {
        self.unshown.clear();
        self.record_shown()
    }

    /// Returns a record of the deliveries not yet shown, if the file says otherwise.
    fn unshown_now(&mut self) -> Option<Record> {
        let first = self.unshown.first();
        (first != self.state.unshown()).then_some(Record::Unshown(first))
    }

    /// Step 4 of the path of a message: records that its file is durably in `new/`. Its name in `tmp/` is removed once
    /// this record is durable as well: [`Store::remove_finished`].
    ///
    /// # Errors
    /// Disk errors. Nothing is lost then: recovery finds the delivery again.
    pub(crate) fn record_published<P: IsPublished>(&mut self, published: &[P]) -> Result<(), StateError> {
        self.record_finished(published.iter().map(P::entry).collect())?;
        let in_tmp = published.iter().flat_map(P::in_tmp).map(|(tmp, name)| (tmp.clone(), name.to_owned()));
        self.finished.recorded.extend(in_tmp);
        Ok(())
    }

    /// Records into which of its Maildirs each of these deliveries is not linked, durably. Blocks.
    ///
    /// # Errors
    /// Disk errors. Then second names of their files still count as ours.
    pub(crate) fn record_not_linked(
        &mut self,
        deliveries: Vec<(EntryId, Vec<MaildirNumber>)>,
    ) -> Result<(), StateError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let record = |(id, maildirs)| Record::NotLinked { id, maildirs };
        self.append(deliveries.into_iter().map(record).collect(), Durability::Now)
    }

    /// Records the deliveries of these entries as finished.
    fn record_finished(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        let settled = ids.len();
        let (spooled, ids): (Vec<EntryId>, Vec<EntryId>) = ids.into_iter().partition(|id| self.is_for_spool(*id));
        self.append_ids(ids, Record::Published)?;
        self.append_ids(spooled, Record::Spooled)?;
        self.settled = self.settled.saturating_add(settled);
        Ok(())
    }

    /// The path of the account's spool: a Maildir in which messages wait to be forwarded.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.journal.path().with_extension("spool")
    }

    /// Whether a message being delivered goes into the spool.
    pub(crate) fn is_for_spool(&self, id: EntryId) -> bool {
        let Some(intent) = self.state.entry(id).and_then(|entry| entry.intent.as_deref()) else { return false };
        let mut maildirs = intent.maildirs().filter_map(|number| self.state.maildir(number));
        maildirs.any(|maildir| maildir.configured == self.spool())
    }

    /// Records that these messages of the spool were forwarded.
    ///
    /// # Errors
    /// Disk errors. The forwarder's own journal still has it.
    pub(crate) fn record_forwarded<P: IsForwarded>(&mut self, forwarded: &[P]) -> Result<(), StateError> {
        self.append_ids(forwarded.iter().map(P::entry).collect(), Record::Forwarded)
    }

    /// Removes the names in `tmp/` of messages whose delivery is durably recorded. Blocks.
    ///
    /// # Errors
    /// Disk errors: names that are left are removed at a later poll.
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

    /// Makes everything written durable, by the last sync, and removes the names in `tmp/`. Does not sync if nothing
    /// was written. Blocks.
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

    /// Notes that everything recorded is durable.
    fn on_durable(&mut self) {
        self.finished.durable.append(&mut self.finished.recorded);
    }

    /// Records that these were deleted on the server, which acknowledged the QUIT.
    ///
    /// # Errors
    /// Disk errors. Nothing is lost then: they are looked for once more.
    pub(crate) fn record_removed(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        let mut records = self.quarantines_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        records.push(Record::Removed { ids, trusted: self.mark.trusted });
        self.append(records, Durability::Later)
    }

    /// Records that a complete listing lacked these for the first time.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_absent(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.absent_since.is_none()));
        let trusted = self.mark.trusted;
        self.append_ids(ids, |ids| Record::Absent { ids, trusted })
    }

    /// Records that another message may later be listed under the unique-ids of these: they are about to be deleted, or
    /// a session ended at what was listed there. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_doubt(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| !entry.doubt));
        self.append_ids(ids, Record::Doubted)?;
        self.settle()
    }

    /// Records that these were retrieved again and their bytes are the same, and the headers that are new of them.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_verified<P: IsVerified>(&mut self, verified: &[P]) -> Result<(), StateError> {
        let mut ids: Vec<EntryId> = verified.iter().map(P::entry).collect();
        let over = self.quarantines_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.doubt || entry.was_gone()));
        self.append_ids(ids, Record::Verified)?;
        if !over.is_empty() {
            self.append(over, Durability::Later)?;
        }
        self.record_headers(verified.iter().filter_map(|one| Some((one.entry(), one.new_header()?))).collect())
    }

    /// How the message of an entry was listed.
    fn listed_as(&self, id: EntryId) -> Option<ListedAs> {
        self.state.entry(id).and_then(ListedAs::of_entry)
    }

    /// Records that these are listed again.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_present<P: IsListedAgain>(&mut self, present: &[P]) -> Result<(), StateError> {
        self.append_ids(present.iter().map(P::entry).collect(), Record::Present)
    }

    /// Records new sizes that the server reports.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_resized<P: IsResized>(&mut self, resized: &[P]) -> Result<(), StateError> {
        if resized.is_empty() {
            return Ok(());
        }
        let record = |one: &P| Record::Resized { id: one.entry(), reported_size: one.reported_size() };
        self.append(resized.iter().map(record).collect(), Durability::Later)
    }

    /// Records new unique-ids of messages.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_renamed<P: IsRenamed>(&mut self, renamed: &[P]) -> Result<(), StateError> {
        if renamed.is_empty() {
            return Ok(());
        }
        // A quarantine moves to the new unique-id.
        let moved = |one: &P| {
            let entry = self.state.entry(one.entry())?;
            let before =
                ListedAs { unique_id: entry.unique_id.clone()?, reported_size: entry.fingerprint.reported_size };
            let quarantine = self.state.quarantine(&before.unique_id, before.reported_size)?;
            Some((before.clone(), ListedAs { unique_id: one.unique_id().clone(), ..before }, quarantine))
        };
        let moved: Vec<_> = renamed.iter().filter_map(moved).collect();
        let record = |one: &P| Record::Renamed { id: one.entry(), unique_id: one.unique_id().clone() };
        let mut records: Vec<Record> = renamed.iter().map(record).collect();
        records.extend(moved.iter().map(|(before, ..)| Record::QuarantineOver(before.clone())));
        let anew = |(_, listed_as, quarantine)| Record::Quarantine { listed_as, quarantine };
        records.extend(moved.into_iter().map(anew));
        self.append(records, Durability::Later)
    }

    /// Forgets these entries.
    ///
    /// # Errors
    /// Disk errors.
    pub(crate) fn record_forgotten(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Forgotten)
    }

    /// Writes pending records: a clock mark that ages depend on, an accepted Maildir.
    ///
    /// # Errors
    /// Disk errors.
    pub fn write_pending(&mut self) -> Result<(), StateError> {
        let due = self.journal.exists() && !self.pending.is_empty();
        if due { self.append(Vec::new(), Durability::Later) } else { Ok(()) }
    }

    /// Ends the work with the state: everything is durable, and the file is small and marked as durable. Blocks.
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

    /// Rewrites the file if it may not be on disk as it was read: nothing may be concluded from it before that. Blocks.
    ///
    /// # Errors
    /// Disk errors.
    pub fn ensure_proven(&mut self) -> Result<(), StateError> {
        if self.journal.is_unproven() { self.rewrite() } else { Ok(()) }
    }

    /// Rewrites the file if most of its records are obsolete.
    fn compact(&mut self) -> Result<(), StateError> {
        let live = self.state.len();
        let mostly_history = self.journal.records() > live.saturating_mul(2).saturating_add(1000);
        // An entry that includes a finished delivery is twice as long as necessary.
        let mostly_settled = self.settled > live / 2 + 1000;
        if self.written && (mostly_history || mostly_settled) { self.rewrite() } else { Ok(()) }
    }

    /// Writes the whole state into a new file, durably. Blocks.
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

    /// Returns the Maildirs of unfinished deliveries by number, as they were last delivered to.
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
        // Pending records are applied already.
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

    /// Whether the file exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.journal.exists()
    }

    /// The size of the file in octets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.journal.length()
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.journal.path()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
