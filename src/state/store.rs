//! An account's state while it is polled: what is remembered and the journal, changed together and only here.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::clock::{ClockMark, ClockReading};
use super::entries::{
    Entry, EntryId, Identity, Inconsistent, Intent, KnownMaildir, MaildirNumber, Origin, Trouble, TroubleKind,
    UidState, Witness,
};
use super::error::StateError;
use super::journal::{self, BadJournal, Contents, Durability, Journal};
use super::record::Record;
use crate::account::{Account, AccountName};
use crate::disk::{Disk, Lock, make_dirs, sync_dirs_above};
use crate::maildir::names::TmpName;
use crate::maildir::staging::Staged;
use crate::maildir::{Inodes, Maildir};
use crate::pop3::UniqueId;

/// No `.uids` file is larger, in bytes: ten million messages.
const MAX_FILE: u64 = 2 << 30;

/// How a state is to be opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What the clocks say now.
    pub now: ClockReading,
    /// The instance id for a state that has to be made.
    pub instance: u64,
    /// Words that tell others who holds the lock.
    pub holder: String,
    /// The user said that a lost state is to be begun anew.
    pub new_state: bool,
    /// The other accounts.
    pub neighbours: Arc<Neighbours>,
}

/// The accounts that share a state directory.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// Those that are configured: a file of any other name is an orphan.
    configured: HashSet<AccountName>,
    /// The names of the orphans. Looked up once, because every account without a state asks.
    orphans: OnceLock<Vec<String>>,
}

impl Neighbours {
    /// These accounts are configured.
    #[must_use]
    pub fn new(configured: impl IntoIterator<Item = AccountName>) -> Self {
        Self { configured: configured.into_iter().collect(), orphans: OnceLock::new() }
    }

    fn orphans(&self, disk: &dyn Disk, dir: &Path) -> Result<&[String], StateError> {
        if let Some(orphans) = self.orphans.get() {
            return Ok(orphans);
        }
        let is_orphan = |name: &String| !AccountName::new(name).is_ok_and(|name| self.configured.contains(&name));
        let orphans = states_in(disk, dir)?.into_iter().filter(is_orphan).collect();
        Ok(self.orphans.get_or_init(|| orphans))
    }
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
    /// Ends with this value. None for a look without a lock.
    _lock: Option<LockGuard>,
}

struct LockGuard(#[expect(dead_code, reason = "held, not read")] Box<dyn Send + Sync>);

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockGuard")
    }
}

/// Where a staged message came from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The server's name for it.
    pub unique_id: Option<UniqueId>,
    /// The size in octets that the server reported.
    pub reported_size: Option<u64>,
}

/// A message of which the journal says, durably, that it is ours. Made only by [`Store::record_intents`].
#[derive(Debug, PartialEq, Eq)]
pub struct Recorded {
    entry: EntryId,
    tmp_name: TmpName,
    published_name: String,
}

impl Recorded {
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
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, account: &Account, opening: &Opening) -> Result<Self, StateError> {
        make_dirs(&*disk, dir).map_err(|e| StateError::io("make the state directory", dir, e))?;
        let open_to_all = disk.mode_open_to_all(dir).map_err(|e| StateError::io("look at", dir, e))?;
        if let Some(mode) = open_to_all {
            return Err(StateError::OpenToAll { dir: dir.to_owned(), mode });
        }
        let lock_path = dir.join(format!("{}.lock", account.name));
        let lock = match disk.lock(&lock_path, &opening.holder) {
            Ok(Lock::Acquired(lock)) => Some(LockGuard(lock)),
            Ok(Lock::Held(holder)) => return Err(StateError::Locked { account: account.name.clone(), holder }),
            Err(e) => return Err(StateError::io("lock", &lock_path, e)),
        };
        Self::load(disk, dir, account, opening, lock)
    }

    /// Reads what is remembered without taking the lock or writing anything. Blocks.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn look(disk: Arc<dyn Disk>, dir: &Path, account: &Account, opening: &Opening) -> Result<Self, StateError> {
        Self::load(disk, dir, account, opening, None)
    }

    fn load(
        disk: Arc<dyn Disk>,
        dir: &Path,
        account: &Account,
        opening: &Opening,
        lock: Option<LockGuard>,
    ) -> Result<Self, StateError> {
        let path = uids_file(dir, account.name.as_str());
        let loaded = read(&*disk, &path)?;
        let (state, journal, settled) = match loaded {
            Some(Loaded { state, contents, settled }) => {
                check_user(&state, account, &path)?;
                (state, Journal::open(Arc::clone(&disk), path, &contents), settled)
            }
            None => {
                if !opening.new_state {
                    refuse_lost_state(&*disk, dir, account, &opening.neighbours)?;
                }
                let identity = Identity {
                    instance: opening.instance,
                    host: account.endpoint.host.clone(),
                    user: account.username.clone(),
                    created: opening.now.wall,
                };
                (UidState::new(identity), Journal::absent(Arc::clone(&disk), path), 0)
            }
        };
        let mark = state.mark(opening.now);
        let (pending, written) = (Vec::new(), false);
        let mut store = Self { disk, journal, state, mark, pending, written, settled, _lock: lock };
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

    /// The time of this poll, in certain seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.mark.certain
    }

    /// How long ago an entry was delivered, in seconds, by whichever clock says more.
    #[must_use]
    pub fn age_at_most(&self, entry: &Entry) -> u64 {
        let by_wall = self.mark.reading.wall.saturating_sub(entry.delivered_at);
        u64::try_from(by_wall).unwrap_or(0).max(self.mark.certain.saturating_sub(entry.delivered_certain))
    }

    /// Whether this state was written to since it was opened.
    #[must_use]
    pub fn was_written(&self) -> bool {
        self.written
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
        inodes: Inodes,
    ) -> Result<MaildirNumber, StateError> {
        let known = KnownMaildir {
            configured: configured.to_owned(),
            resolved: maildir.path().to_owned(),
            tmp_inode: inodes.tmp,
            new_inode: inodes.new,
        };
        if let Some((number, same)) = self.state.maildir_configured_as(configured)
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

    /// Step 2 of the path of a message: the intents, durable. Blocks.
    ///
    /// # Errors
    /// Those of the disk: nothing is recorded, or it is unknown whether it is. In the second case the files stay in
    /// `tmp/`, and the next poll's recovery decides.
    pub fn record_intents(
        &mut self,
        batch: Vec<(Staged, Source)>,
        maildir: MaildirNumber,
    ) -> Result<Vec<Recorded>, StateError> {
        let mut recorded = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        for ((staged, source), id) in batch.iter().zip(self.state.next_id()..) {
            let file_name = staged.published_name();
            let tmp_name = TmpName::of_published(&file_name);
            recorded.push(Recorded { entry: id, tmp_name, published_name: file_name.clone() });
            records.push(Record::Entry(Entry {
                id,
                unique_id: source.unique_id.clone(),
                origin: Origin::Delivered,
                witness: Witness {
                    reported_size: source.reported_size,
                    header: Some(staged.header()),
                    whole: staged.whole(),
                },
                delivered_at: self.mark.reading.wall,
                delivered_certain: self.mark.certain,
                intent: Some(Intent { file_name, maildir }),
                removed: false,
                absent_since: None,
            }));
        }
        let over = batch.iter().filter_map(|(_, source)| source.unique_id.clone());
        records.extend(self.troubles_over(over));
        let appended = self.append(records, Durability::Now);
        if appended.is_ok() || self.journal.is_broken() {
            batch.into_iter().for_each(|(mut staged, _)| staged.keep());
        }
        appended.map(|()| recorded)
    }

    /// Step 4 of the path of a message: its file is in `new/`, durably.
    ///
    /// # Errors
    /// Those of the disk. Nothing is lost by that: recovery finds it out again.
    pub fn record_published(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        let settled = ids.len();
        self.append_ids(ids, Record::Published)?;
        self.settled = self.settled.saturating_add(settled);
        Ok(())
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
        let unique_ids = ids.iter().filter_map(|id| self.state.entry(*id)?.unique_id.clone());
        let mut records = self.troubles_over(unique_ids);
        records.push(Record::Removed { ids, certain: self.mark.certain });
        self.append(records, Durability::Later)
    }

    /// A complete listing lacked these for the first time.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_absent(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        let certain = self.mark.certain;
        self.append_ids(ids, |ids| Record::Absent { ids, certain })
    }

    /// These are about to be deleted on a server that shows no headers: what stands under their unique-ids later may be
    /// something else. Durable when this returns. Blocks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_doubt(&mut self, ids: Vec<EntryId>) -> Result<(), StateError> {
        self.record_absent(ids)?;
        // Not by a sync: should that fail, the next process would read what is not on disk, and nothing tells it.
        self.rewrite()
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
    pub fn record_troubles(&mut self, unique_ids: Vec<UniqueId>, kind: TroubleKind) -> Result<(), StateError> {
        if unique_ids.is_empty() {
            return Ok(());
        }
        let now = self.mark.certain;
        let record = |unique_id: UniqueId| {
            let count = self.state.trouble(&unique_id).map_or(0, |trouble| trouble.count).saturating_add(1);
            let until = now.saturating_add(set_aside_for(count));
            Record::Trouble { unique_id, trouble: Trouble { kind, count, until } }
        };
        let records = unique_ids.into_iter().map(record).collect();
        self.append(records, Durability::Later)
    }

    /// There is no point in trying these messages again soon: they are set aside at once.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_set_aside(&mut self, unique_ids: Vec<UniqueId>) -> Result<(), StateError> {
        if unique_ids.is_empty() {
            return Ok(());
        }
        let now = self.mark.certain;
        let record = |unique_id: UniqueId| {
            let before = self.state.trouble(&unique_id).map_or(0, |trouble| trouble.count);
            let count = before.saturating_add(1).max(FIRST_SET_ASIDE);
            let until = now.saturating_add(set_aside_for(count));
            Record::Trouble { unique_id, trouble: Trouble { kind: TroubleKind::Refused, count, until } }
        };
        let records = unique_ids.into_iter().map(record).collect();
        self.append(records, Durability::Later)
    }

    /// These messages make no trouble any more: they are not on the server.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn record_troubles_over(&mut self, gone: Vec<UniqueId>) -> Result<(), StateError> {
        let records: Vec<Record> = gone.into_iter().map(Record::TroubleOver).collect();
        if records.is_empty() { Ok(()) } else { self.append(records, Durability::Later) }
    }

    fn troubles_over(&self, unique_ids: impl Iterator<Item = UniqueId>) -> Vec<Record> {
        unique_ids.filter(|id| self.state.trouble(id).is_some()).map(Record::TroubleOver).collect()
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
    pub fn tidy(&mut self) -> Result<(), StateError> {
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
        let records: Vec<Record> = self.state.records().collect();
        let path = self.journal.path();
        let above = if self.journal.is_durable() { Ok(()) } else { sync_dirs_above(&*self.disk, path) };
        above.map_err(|e| StateError::io("sync", path, e))?;
        let written = self.journal.rewrite(&records);
        self.pending.clear();
        self.written = true;
        self.settled = 0;
        written.map_err(|e| StateError::io("write", self.journal.path(), e))
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

    fn append(&mut self, records: Vec<Record>, durability: Durability) -> Result<(), StateError> {
        if !self.journal.exists() {
            self.rewrite()?;
        }
        let path = self.journal.path().to_owned();
        let mut batch = std::mem::take(&mut self.pending);
        let pended = batch.len();
        batch.extend(records);
        self.journal.append(&batch, durability).map_err(|e| StateError::io("write", &path, e))?;
        self.written = true;
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
const FIRST_SET_ASIDE: u32 = 3;

/// How long a message is set aside after making trouble so often, in seconds: not at all twice, since most trouble
/// passes; then from an hour on, doubling, up to a week.
fn set_aside_for(count: u32) -> u64 {
    const HOUR: u64 = 3600;
    const WEEK: u64 = 7 * 24 * HOUR;
    match count.checked_sub(FIRST_SET_ASIDE) {
        None => 0,
        Some(doublings) => HOUR.saturating_mul(1 << doublings.min(10)).min(WEEK),
    }
}

/// What was read from a file.
struct Loaded {
    state: UidState,
    contents: Contents,
    /// How many deliveries stand there as begun and as finished.
    settled: usize,
}

/// The octets of the usual line about a message.
const LINE: usize = 128;

/// Reads a file, if there is one.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Loaded>, StateError> {
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

/// There is no state. If there should be one, downloading everything again in silence would be wrong.
fn refuse_lost_state(
    disk: &dyn Disk,
    dir: &Path,
    account: &Account,
    neighbours: &Neighbours,
) -> Result<(), StateError> {
    for name in neighbours.orphans(disk, dir)? {
        // A file that cannot be read is no account's state.
        let Ok(Some(loaded)) = read(disk, &uids_file(dir, name)) else { continue };
        let identity = loaded.state.identity();
        if identity.user == account.username && identity.host.eq_ignore_ascii_case(&account.endpoint.host) {
            let (account, dir) = (account.name.clone(), dir.to_owned());
            return Err(StateError::Renamed { account, other: name.clone(), dir });
        }
    }
    let maildir = match Maildir::open(disk, &account.maildir) {
        Ok(maildir) => maildir,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(e) => return Err(StateError::io("look at the Maildir", &account.maildir, e)),
    };
    let mut delivered = maildir.instances(disk).map_err(|e| StateError::io("read", maildir.path(), e))?;
    if delivered.is_empty() {
        return Ok(());
    }
    // Some of those files may be another account's.
    for name in states_in(disk, dir)? {
        if let Some(instance) = instance_in(disk, &uids_file(dir, &name)) {
            delivered.retain(|ours| *ours != instance);
        }
    }
    if delivered.is_empty() {
        return Ok(());
    }
    let (account, maildir, dir) = (account.name.clone(), account.maildir.clone(), dir.to_owned());
    Err(StateError::Lost { account, maildir, dir })
}

fn uids_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.uids"))
}

/// The instance id of a state, which stands at its beginning. A file that cannot be read is its own account's trouble.
fn instance_in(disk: &dyn Disk, path: &Path) -> Option<u64> {
    const HEAD: u64 = 8 << 10;
    journal::identity(&disk.read(path, HEAD).ok()?).map(|identity| identity.instance)
}

/// The names of the accounts whose `.uids` files are in the state directory.
fn states_in(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StateError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StateError::io("read", dir, e)),
    };
    Ok(names.into_iter().filter_map(|name| Some(name.to_str()?.strip_suffix(".uids")?.to_owned())).collect())
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
