//! An account's state while it is polled: what is remembered and the journal, changed together and only here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::entries::{
    Entry, EntryId, Fingerprint, Identity, Inconsistent, Intent, KnownMaildir, ListedAs, MaildirNumber, Origin,
    Quarantine, QuarantineReason, UidState,
};
use super::error::StateError;
use super::journal::{self, BadJournal, Contents, Durability, Journal, LockedFile};
pub use super::orphans::ConfiguredAccounts;
use super::orphans::{lock_file, refuse_lost_state, uids_file};
use super::ownership;
use super::record::Record;
use crate::account::Account;
use crate::clock::trusted_time::{ClockMark, ClockReading};
use crate::delivery::publish::Delivered;
use crate::disk::{Dir, DirSync, Disk, HeldLock, Lock, make_dirs, sync_dirs_above};
use crate::maildir::names::TmpName;
use crate::maildir::staging::Staged;
use crate::maildir::{Maildir, MaildirId, os};
use crate::plan::maildrop::Listed;
use crate::pop3::UniqueId;

/// No `.uids` file is larger, in bytes: ten million messages.
const MAX_FILE: u64 = 2 << 30;

/// How a state is to be opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// What the clocks say now.
    pub now: ClockReading,
    /// The time since 1970, by the wall clock: our files in `tmp/` that are younger may be another process's at work.
    pub since_1970: Duration,
    /// The instance id for a state that has to be made.
    pub instance: u64,
    /// Words that tell others who holds the lock.
    pub holder: String,
    /// The user said that a lost state is to be begun anew.
    pub new_state: bool,
    /// The other accounts.
    pub configured_accounts: Arc<ConfiguredAccounts>,
}

/// The state of one account, locked.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
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
    /// When the state was opened, in nanoseconds since 1970.
    opened: i64,
    /// Ends with this value. None for a look without a lock.
    lock: Option<AccountLock>,
}

/// Names in `tmp/` that go once "published" is durable. Until then they show that their files were delivered.
#[derive(Debug, Default)]
struct Finished {
    /// The record may be lost in a power cut.
    recorded: Vec<(Dir, TmpName)>,
    /// It is durable: the names can go.
    durable: Vec<(Dir, TmpName)>,
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

/// A state that nobody else can write to.
struct Locked {
    lock: AccountLock,
    /// The state directory.
    dir: Dir,
    /// None if there is no file yet.
    file: Option<LockedFile>,
}

/// A message of which the journal says, durably, that it is ours. Made only by [`Store::record_intents`].
#[derive(Debug, PartialEq, Eq)]
pub struct Recorded<T> {
    pub(crate) entry: EntryId,
    pub(crate) tmp_name: TmpName,
    pub(crate) published_name: String,
    /// How many bytes it has.
    pub(crate) size: u64,
    pub(crate) payload: T,
}

impl<T> Recorded<T> {
    /// Its entry.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.entry
    }

    /// Its name in `tmp/`.
    #[must_use]
    pub fn tmp_name(&self) -> &TmpName {
        &self.tmp_name
    }

    /// Its name in `new/`.
    #[must_use]
    pub fn published_name(&self) -> &str {
        &self.published_name
    }
}

impl Store {
    /// Takes the account's lock and reads what is remembered. Blocks.
    ///
    /// # Errors
    /// [`StateError`]: somebody else polls the account, or the state cannot be used as it is.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
    ) -> Result<Self, StateError> {
        ownership::check(&*disk, dir, account.name.as_str())?;
        make_dirs(&*disk, dir).map_err(|e| StateError::io("make the state directory", dir, e))?;
        ownership::check_open_to_all(&*disk, dir)?;
        let path = lock_file(dir, account.name.as_str());
        let held = |holder| StateError::Locked { account: account.name.clone(), holder };
        let lock = match disk.lock(&path, &open_options.holder) {
            Ok(Lock::Acquired(lock)) => AccountLock { path, lock },
            Ok(Lock::Held(holder)) => return Err(held(holder)),
            Err(e) => return Err(StateError::io("lock", &path, e)),
        };
        refuse_twins(&*disk, dir, account, &open_options.configured_accounts, &lock)?;
        // The file has a lock of its own: it may have come here under another name while it is written to.
        let uids = uids_file(dir, account.name.as_str());
        let file = match LockedFile::open(&*disk, &uids) {
            Ok(Some(file)) => Some(file),
            Ok(None) => return Err(held("another mailferry, under another name of its state".to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(StateError::io("open", &uids, e)),
        };
        // What is rewritten goes where the lock is, whatever takes the directory's place meanwhile.
        let opened = disk.resolve(dir).and_then(|dir| disk.open_dir(&dir));
        let opened = opened.map_err(|e| StateError::io("open", dir, e))?;
        Self::load(disk, dir, account, open_options, Some(Locked { lock, dir: opened, file }))
    }

    /// Reads what is remembered without taking the lock or writing anything. Blocks.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn look(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
    ) -> Result<Self, StateError> {
        Self::load(disk, dir, account, open_options, None)
    }

    fn load(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        open_options: &OpenOptions,
        locked: Option<Locked>,
    ) -> Result<Self, StateError> {
        let (lock, opened, file) = match locked {
            Some(Locked { lock, dir, file }) => (Some(lock), Some(dir), file),
            None => (None, None, None),
        };
        let path = uids_file(dir, account.name.as_str());
        let loaded = read(&*disk, &path)?;
        let (state, journal, settled) = match loaded {
            Some(Loaded { state, contents, settled }) => {
                check_user(&state, account, &path)?;
                (state, Journal::open(Arc::clone(&disk), path, opened, &contents, file), settled)
            }
            None => {
                if !open_options.new_state {
                    refuse_lost_state(&*disk, dir, account, &open_options.configured_accounts)?;
                }
                let identity = Identity {
                    instance: open_options.instance,
                    host: account.endpoint.host.clone(),
                    user: account.username.clone(),
                    created: open_options.now.wall,
                };
                (UidState::new(identity), Journal::absent(Arc::clone(&disk), path, opened), 0)
            }
        };
        let mark = state.mark(open_options.now);
        let (pending, written, finished) = (Vec::new(), false, Finished::default());
        let opened = i64::try_from(open_options.since_1970.as_nanos()).unwrap_or(i64::MAX);
        let mut store = Self { disk, journal, state, mark, pending, written, settled, finished, opened, lock };
        if store.state.clock().is_none_or(|written| written.is_stale(&mark)) {
            store.pend(Record::Clock(mark))?;
        }
        Ok(store)
    }

    /// What is remembered.
    #[must_use]
    pub fn state(&self) -> &UidState {
        &self.state
    }

    /// The clocks at this poll.
    pub(super) fn mark(&self) -> &ClockMark {
        &self.mark
    }

    /// The time of this poll, in certain seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.mark.certain
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
    /// [`StateError::Moved`], and those of the disk.
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
    /// Those of the disk.
    pub fn sync_directory(&self) -> Result<DirSync, StateError> {
        let dir = self.journal.path().parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(dir).map_err(|e| StateError::io("sync", dir, e))
    }

    /// Makes sure that the file exists and will not vanish, so that every message in `tmp/` belongs to a state that is
    /// on disk. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn ensure_file(&mut self) -> Result<(), StateError> {
        if self.journal.is_durable() { Ok(()) } else { self.rewrite() }
    }

    /// Remembers a Maildir that is going to be delivered to; written with the next intents. It is durable itself when
    /// this returns. Blocks.
    ///
    /// # Errors
    /// Those of the disk, and of a state that does not fit itself.
    pub fn bind_maildir(
        &mut self,
        configured: &Path,
        maildir: &Maildir,
        id: MaildirId,
    ) -> Result<MaildirNumber, StateError> {
        let (configured, resolved) = (configured.to_owned(), maildir.path().to_owned());
        let known = KnownMaildir { configured, resolved, id };
        if let Some((number, same)) = self.state.maildir_configured_as(&known.configured)
            && *same == known
        {
            return Ok(number);
        }
        maildir.sync(&*self.disk).map_err(|e| StateError::io("sync", maildir.path(), e))?;
        let number = self.state.next_maildir();
        self.pend(Record::Maildir(number, known))?;
        Ok(number)
    }

    /// The account points at another server now.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_host(&mut self, account: &Account) -> Result<(), StateError> {
        let record = Record::Host { host: account.endpoint.host.clone(), user: account.username.clone() };
        self.append(vec![record], Durability::Later)
    }

    /// Step 2 of the path of a message: the intents, durable. `told` says of what a message carries how the server
    /// listed it, and whether what came may not be all of it. Blocks.
    ///
    /// # Errors
    /// Those of the disk: nothing is recorded, or it is unknown whether it is. In the second case the files stay in
    /// `tmp/`, and the next poll's recovery decides. [`StateError::Moved`].
    pub fn record_intents<T>(
        &mut self,
        batch: Vec<Staged<T>>,
        maildir: MaildirNumber,
        told: impl Fn(&T) -> (&Listed, bool),
    ) -> Result<Vec<Recorded<T>>, StateError> {
        let entry = |(staged, id): (&Staged<T>, EntryId)| {
            let ((listed, doubt), digests) = (told(staged.payload()), staged.digests());
            Record::Entry(Entry {
                id,
                unique_id: listed.unique_id.clone(),
                origin: Origin::Delivered,
                fingerprint: Fingerprint {
                    reported_size: listed.reported_size,
                    header: Some(digests.header),
                    whole: Some(digests.whole),
                },
                delivered_at: self.mark.reading.wall,
                delivered_certain: self.mark.certain,
                intent: Some(Intent { file_name: staged.published_name(), maildir }),
                removed: false,
                doubt,
                absent_since: None,
            })
        };
        let first = self.state.next_id();
        let mut records: Vec<Record> = batch.iter().zip(first..).map(entry).collect();
        let over = batch.iter().filter_map(|staged| ListedAs::of(told(staged.payload()).0));
        records.extend(self.troubles_over(over));
        let appended = self.append(records, Durability::Now);
        if appended.is_err() && !self.journal.is_broken() {
            // Nothing speaks of the files, and they go with the batch.
            return Err(appended.err().unwrap_or(StateError::Moved { path: self.path().to_owned() }));
        }
        let recorded = batch.into_iter().zip(first..).map(|(staged, entry)| {
            let (published_name, size, tmp_name) = (staged.published_name(), staged.size(), staged.tmp_name().clone());
            Recorded { entry, tmp_name, published_name, size, payload: staged.keep() }
        });
        let recorded = recorded.collect();
        appended.map(|()| recorded)
    }

    /// Step 4 of the path of a message: its file is in `new/`, durably. Its name in `tmp/`, which is `tmp`, goes once this is
    /// durable as well: [`Store::remove_finished`].
    ///
    /// # Errors
    /// Those of the disk. Nothing is lost by that: recovery finds it out again.
    pub fn record_published<T>(&mut self, tmp: &Dir, delivered: &[Delivered<T>]) -> Result<(), StateError> {
        self.record_finished(delivered.iter().map(Delivered::entry).collect())?;
        self.finished.recorded.extend(delivered.iter().map(|one| (tmp.clone(), one.tmp_name().clone())));
        Ok(())
    }

    /// The deliveries of these entries are finished, as recovery has seen; these are their names in `tmp/`.
    pub(crate) fn record_recovered(&mut self, ids: Vec<EntryId>, names: Vec<(Dir, TmpName)>) -> Result<(), StateError> {
        self.record_finished(ids)?;
        self.finished.recorded.extend(names);
        Ok(())
    }

    /// The deliveries of these entries are finished.
    fn record_finished(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        let settled = ids.len();
        self.append_ids(ids, Record::Published)?;
        self.settled = self.settled.saturating_add(settled);
        Ok(())
    }

    /// Removes the names in `tmp/` of messages whose delivery is on record for good. Blocks.
    ///
    /// # Errors
    /// Those of the disk: what is left is removed at a later poll.
    pub fn remove_finished(&mut self) -> Result<(), StateError> {
        for (tmp, name) in std::mem::take(&mut self.finished.durable) {
            match self.disk.remove_in(&tmp, os(name.as_str())) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(StateError::io("remove", &tmp.path().join(name.as_str()), e));
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
    /// Those of the disk; [`StateError::Moved`].
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
    /// Those of the disk. Nothing is lost by that: they are looked for once more.
    pub fn record_removed(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        let mut records = self.troubles_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        records.push(Record::Removed { ids, certain: self.mark.certain });
        self.append(records, Durability::Later)
    }

    /// A complete listing lacked these for the first time.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_absent(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.absent_since.is_none()));
        let certain = self.mark.certain;
        self.append_ids(ids, |ids| Record::Absent { ids, certain })
    }

    /// What is listed under the unique-ids of these later may be something else: they are about to be deleted. Durable when
    /// this returns. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_doubt(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| !entry.doubt));
        self.append_ids(ids, Record::Doubted)?;
        self.settle()
    }

    /// These were retrieved again, and their bytes are what they were.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_verified(&mut self, mut ids: Vec<EntryId>) -> Result<(), StateError> {
        let over = self.troubles_over(ids.iter().filter_map(|id| self.listed_as(*id)));
        ids.retain(|id| self.state.entry(*id).is_some_and(|entry| entry.doubt || entry.was_gone()));
        self.append_ids(ids, Record::Verified)?;
        if over.is_empty() { Ok(()) } else { self.append(over, Durability::Later) }
    }

    /// How an entry's message was listed.
    fn listed_as(&self, id: EntryId) -> Option<ListedAs> {
        let entry = self.state.entry(id)?;
        Some(ListedAs { unique_id: entry.unique_id.clone()?, reported_size: entry.fingerprint.reported_size })
    }

    /// These are listed again.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_present(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Present)
    }

    /// The server reports other sizes for these now.
    ///
    /// # Errors
    /// Those of the disk.
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
    /// Those of the disk.
    pub fn record_renamed(&mut self, names: Vec<(EntryId, UniqueId)>) -> Result<(), StateError> {
        if names.is_empty() {
            return Ok(());
        }
        let record = |(id, unique_id)| Record::Renamed { id, unique_id };
        self.append(names.into_iter().map(record).collect(), Durability::Later)
    }

    /// These are not remembered any more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_forgotten(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.append_ids(ids, Record::Forgotten)
    }

    /// These messages made trouble. How long each is set aside grows with how often it did.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_quarantine(&mut self, messages: Vec<ListedAs>, kind: QuarantineReason) -> Result<(), StateError> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.mark.certain;
        let record = |listed_as: ListedAs| {
            let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
            let count = before.map_or(0, |quarantine| quarantine.count).saturating_add(1);
            let until = now.saturating_add(set_aside_for(count));
            Record::Quarantine { listed_as, quarantine: Quarantine { kind, count, until } }
        };
        let records = messages.into_iter().map(record).collect();
        self.append(records, Durability::Later)
    }

    /// There is no point in trying these messages again soon: they are set aside at once.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_set_aside(&mut self, messages: Vec<ListedAs>) -> Result<(), StateError> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.mark.certain;
        let record = |listed_as: ListedAs| {
            let before = self.state.quarantine(&listed_as.unique_id, listed_as.reported_size);
            let count = before.map_or(0, |quarantine| quarantine.count).saturating_add(1).max(FIRST_QUARANTINE);
            let until = now.saturating_add(set_aside_for(count));
            Record::Quarantine { listed_as, quarantine: Quarantine { kind: QuarantineReason::Refused, count, until } }
        };
        let records = messages.into_iter().map(record).collect();
        self.append(records, Durability::Later)
    }

    /// These messages make no trouble any more: they are not on the server.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_quarantine_over(&mut self, gone: Vec<ListedAs>) -> Result<(), StateError> {
        let records: Vec<Record> = gone.into_iter().map(Record::TroubleOver).collect();
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    fn troubles_over(&self, messages: impl Iterator<Item = ListedAs>) -> Vec<Record> {
        let made_trouble = |one: &ListedAs| self.state.quarantine(&one.unique_id, one.reported_size).is_some();
        messages.filter(made_trouble).map(Record::TroubleOver).collect()
    }

    /// Writes what is true already and has not been written: a clock mark on which ages depend, a Maildir that was taken.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_pending(&mut self) -> Result<(), StateError> {
        let due = self.journal.exists() && !self.pending.is_empty();
        if due { self.append(Vec::new(), Durability::Later) } else { Ok(()) }
    }

    /// Makes the file small again if most of its records are history. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn compact(&mut self) -> Result<(), StateError> {
        let live = self.state.len();
        let mostly_history = self.journal.records() > live.saturating_mul(2).saturating_add(1000);
        // An entry is twice as long as it need be as long as its finished delivery stands in it.
        let mostly_settled = self.settled > live / 2 + 1000;
        if self.written && (mostly_history || mostly_settled) { self.rewrite() } else { Ok(()) }
    }

    /// Writes the whole state into a new file, durable when this returns. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn rewrite(&mut self) -> Result<(), StateError> {
        self.check_place()?;
        let records: Vec<Record> = self.state.records().collect();
        let path = self.journal.path();
        let above = if self.journal.is_durable() { Ok(()) } else { sync_dirs_above(&*self.disk, path) };
        above.map_err(|e| StateError::io("sync", path, e))?;
        let written = self.journal.rewrite(&records);
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
        let numbers = self.state.intents().map(|(_, intent)| intent.maildir);
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

    /// Where its file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.journal.path()
    }

    /// The disk it lives on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

/// After so many times in a row a message is set aside.
const FIRST_QUARANTINE: u32 = 3;

/// How long a message is set aside after making trouble so often, in seconds: not at all twice, since most trouble
/// passes; then from an hour on, doubling, up to a week.
fn set_aside_for(count: u32) -> u64 {
    const HOUR: u64 = 3600;
    const WEEK: u64 = 7 * 24 * HOUR;
    match count.checked_sub(FIRST_QUARANTINE) {
        None => 0,
        Some(doublings) => HOUR.saturating_mul(1 << doublings.min(10)).min(WEEK),
    }
}

/// What was read from a file.
pub(super) struct Loaded {
    pub(super) state: UidState,
    contents: Contents,
    /// How many deliveries stand there as begun and as finished.
    settled: usize,
}

/// The octets of the usual line about a message.
const LINE: usize = 128;

/// Reads a file, if there is one.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Loaded>, StateError> {
    let bytes = match disk.read(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("read", path, e)),
    };
    let (mut state, mut settled): (Option<UidState>, usize) = (None, 0);
    let contents = journal::parse(&bytes, |record| match (&mut state, record) {
        (None, Record::Header(identity)) => {
            state.insert(UidState::new(identity)).reserve(bytes.len() / LINE);
            Ok(())
        }
        (None, _) => Err(Unreadable::Journal(BadJournal::NotOurs)),
        (Some(state), record) => {
            if let Record::Published(ids) = &record {
                settled = settled.saturating_add(ids.len());
            }
            state.apply(record).map_err(Unreadable::Inconsistent)
        }
    });
    let unreadable = |e| match e {
        Unreadable::Journal(bad) => StateError::journal(path, bad),
        Unreadable::Inconsistent(e) => StateError::inconsistent(path, e),
    };
    let contents = contents.map_err(unreadable)?;
    let state = state.ok_or_else(|| StateError::journal(path, BadJournal::NotOurs))?;
    Ok(Some(Loaded { state, contents, settled }))
}

/// Why a file cannot be read.
enum Unreadable {
    Journal(BadJournal),
    Inconsistent(Inconsistent),
}

impl From<BadJournal> for Unreadable {
    fn from(bad: BadJournal) -> Self {
        Self::Journal(bad)
    }
}

/// On a file system that does not tell capitals from small letters, two accounts can have the same files.
fn refuse_twins(
    disk: &dyn Disk,
    dir: &Path,
    account: &Account,
    configured_accounts: &ConfiguredAccounts,
    lock: &AccountLock,
) -> Result<(), StateError> {
    for other in configured_accounts.twins(&account.name) {
        if disk.status(&lock_file(dir, other.as_str())).is_ok_and(|status| status.id == lock.lock.file()) {
            return Err(StateError::SameFiles {
                account: account.name.clone(),
                other: other.clone(),
                dir: dir.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_user(state: &UidState, account: &Account, path: &Path) -> Result<(), StateError> {
    if state.identity().user == account.username {
        return Ok(());
    }
    Err(StateError::OtherUser {
        account: account.name.clone(),
        path: path.to_owned(),
        remembered: state.identity().user.clone(),
        configured: account.username.clone(),
    })
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
