//! The forwarder's journal, `ACCOUNT.forward`: what became of each message in a spool. Its format is that of a `.uids`
//! file, and the process that forwards holds its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::account::AccountName;
use crate::disk::{Disk, make_dirs, sync_dirs_above};
use crate::ids::EntryId;
use crate::message::Digest;
use crate::state::entries::{Entry, Identity};
use crate::state::error::{StateError, StateFile};
use crate::state::journal::{BadJournal, Contents, Durability, Journal, LockedFile, parse};
use crate::state::proofs::IsForwarded;
use crate::state::record::{AppendIntent, FailedTries, ForwardRecord, MailboxUid, Record};

/// The largest journal that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// A journal is rewritten once it has this many more records than messages.
const HISTORY: usize = 1000;

/// What is known of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// An APPEND was about to be sent, and its outcome is not known.
    pub(super) intent: Option<AppendIntent>,
    /// The message arrived.
    pub(super) arrived: Option<Arrival>,
    /// The message is set aside: since when, in seconds since 1970, and why.
    pub(super) set_aside: Option<(i64, String)>,
    /// How often it was refused. For a message that is set aside: not 0 as long as nothing has been accepted since.
    pub(super) refusals: u32,
    /// How many tries in a row have broken off at it.
    pub(super) breaks: u32,
    /// Failed tries, whatever the reason: they decide when its turn comes.
    pub(super) failed_tries: Option<FailedTries>,
}

/// What is known of a message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The digest of all its octets.
    pub(super) whole: Option<Digest>,
    /// Its UID in the mailbox.
    pub(super) uid: Option<MailboxUid>,
    /// Whether the destination had it before: then it may not be deleted at the source.
    pub(super) was_there: bool,
}

/// What is known of the messages of a spool, by file name. Built by applying records.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    messages: BTreeMap<String, Progress>,
}

impl Ledger {
    /// Returns what is known of a message.
    pub(super) fn get(&self, name: &str) -> Option<&Progress> {
        self.messages.get(name)
    }

    /// Whether a message arrived.
    pub(super) fn has_arrived(&self, name: &str) -> bool {
        self.get(name).is_some_and(|progress| progress.arrived.is_some())
    }

    /// Whether a message is set aside.
    pub(super) fn is_set_aside(&self, name: &str) -> bool {
        self.get(name).is_some_and(|progress| progress.set_aside.is_some())
    }

    /// Returns the messages that were set aside while the destination accepted nothing, each with the reason. It has
    /// accepted nothing since.
    pub(super) fn set_aside_while_nothing_arrived(&self) -> impl Iterator<Item = (&str, &str)> {
        let counts = self.messages.iter().filter(|(_, progress)| progress.refusals > 0);
        counts.filter_map(|(name, progress)| Some((name.as_str(), progress.set_aside.as_ref()?.1.as_str())))
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Iterates over all messages by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Progress)> {
        self.messages.iter()
    }

    /// Whether the destination of a message had it before it was sent.
    pub(super) fn was_there(&self, name: &str) -> bool {
        self.get(name).and_then(|progress| progress.arrived).is_some_and(|arrived| arrived.was_there)
    }

    /// Returns the UIDs, in a mailbox with this UIDVALIDITY, under which our messages are known to have arrived.
    pub(super) fn known_uids(&self, validity: u32) -> impl Iterator<Item = u32> {
        self.arrivals()
            .filter(|arrival| !arrival.was_there)
            .filter_map(|arrival| arrival.uid)
            .filter(move |uid| uid.validity == validity)
            .map(|uid| uid.uid)
    }

    /// Returns our messages with these bytes that are known to have arrived.
    pub(super) fn with_the_bytes(&self, whole: Digest) -> impl Iterator<Item = &Arrival> {
        self.arrivals().filter(move |arrival| !arrival.was_there && arrival.whole == Some(whole))
    }

    fn arrivals(&self) -> impl Iterator<Item = &Arrival> {
        self.messages.values().filter_map(|progress| progress.arrived.as_ref())
    }

    fn insert_arrival(&mut self, name: String, arrival: Arrival) {
        self.messages.insert(name, Progress { arrived: Some(arrival), ..Progress::default() });
    }

    pub(super) fn apply(&mut self, record: ForwardRecord) {
        match record {
            ForwardRecord::Intent(intent) => {
                let progress = self.messages.entry(intent.name.clone()).or_default();
                progress.intent = Some(intent);
            }
            ForwardRecord::Arrived { name, whole, uid } => {
                self.insert_arrival(name, Arrival { whole, uid, was_there: false });
            }
            ForwardRecord::WasThere { name, whole, uid } => {
                self.insert_arrival(name, Arrival { whole, uid, was_there: true });
            }
            ForwardRecord::SetAside { name, since, reason } => {
                let progress = self.messages.entry(name).or_default();
                (progress.set_aside, progress.intent, progress.refusals) = (Some((since, reason)), None, 0);
            }
            ForwardRecord::Refused { name, times, breaks } => {
                let progress = self.messages.entry(name).or_default();
                (progress.refusals, progress.breaks, progress.intent) = (times, breaks, None);
            }
            ForwardRecord::TryFailed { name, tries } => {
                self.messages.entry(name).or_default().failed_tries = Some(tries);
            }
            ForwardRecord::Released(name) => {
                self.messages.remove(&name);
            }
        }
    }

    /// Returns the records that build this ledger.
    fn records(&self) -> impl Iterator<Item = ForwardRecord> + '_ {
        self.messages.iter().flat_map(|(name, progress)| {
            let (times, breaks) = (progress.refusals, progress.breaks);
            let refused =
                (times > 0 || breaks > 0).then(|| ForwardRecord::Refused { name: name.clone(), times, breaks });
            let intent = progress.intent.clone().map(ForwardRecord::Intent);
            let aside = progress.set_aside.clone();
            let aside = aside.map(|(since, reason)| ForwardRecord::SetAside { name: name.clone(), since, reason });
            let arrived = |Arrival { whole, uid, was_there }| match was_there {
                false => ForwardRecord::Arrived { name: name.clone(), whole, uid },
                true => ForwardRecord::WasThere { name: name.clone(), whole, uid },
            };
            let arrived = progress.arrived.map(arrived);
            let try_failed = |tries| ForwardRecord::TryFailed { name: name.clone(), tries };
            let try_failed = progress.failed_tries.map(try_failed);
            [aside, refused, try_failed, intent, arrived].into_iter().flatten()
        })
    }
}

/// What is durably known of the messages of a spool, so that other records and removals may rest on it.
#[derive(Debug, Default)]
pub(super) struct DurableLedger(Ledger);

impl DurableLedger {
    /// Returns what is known.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.0
    }

    /// Whether a message arrived.
    pub(super) fn has_arrived(&self, name: &str) -> bool {
        self.0.has_arrived(name)
    }

    /// Proves that the message of an entry was forwarded: its file arrived, and the destination did not have it before.
    pub(super) fn forwarded(&self, entry: &Entry) -> Option<Forwarded> {
        let intent = entry.intent.as_deref().filter(|intent| intent.spooled)?;
        if self.was_there(&intent.file_name) {
            return None;
        }
        self.has_arrived(&intent.file_name).then_some(Forwarded(entry.id))
    }

    /// Whether the destination of a message had it before it was sent: it may be the very message at the source.
    pub(super) fn was_there(&self, name: &str) -> bool {
        self.0.was_there(name)
    }
}

/// A message that arrived at its destination. Made only by [`DurableLedger::forwarded`].
#[derive(Debug)]
pub(super) struct Forwarded(EntryId);

impl IsForwarded for Forwarded {
    fn entry(&self) -> EntryId {
        self.0
    }
}

/// Returns the path of the journal.
pub(super) fn journal_file(state_dir: &Path, account: &AccountName) -> PathBuf {
    state_dir.join(format!("{account}.forward"))
}

/// Reads a journal without taking its lock. What it says is durable when this returns, so that nothing recorded
/// elsewhere on the strength of it can outlive it. None if there is no journal. Blocks.
pub(super) fn look(disk: &dyn Disk, path: &Path) -> Result<Option<DurableLedger>, StateError> {
    match disk.append(path) {
        Ok(mut file) => file.sync().map_err(|e| StateError::io("sync", path, e))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("open", path, e)),
    }
    Ok(read(disk, path)?.map(|read| DurableLedger(read.ledger)))
}

/// Reads a journal as it is now, which may not be durable. Empty if there is no journal. Blocks.
pub(super) fn glance(disk: &dyn Disk, path: &Path) -> Result<Ledger, StateError> {
    Ok(read(disk, path)?.map(|read| read.ledger).unwrap_or_default())
}

/// How many journals of other accounts are looked into, and how large they may be, in bytes.
const MOST_OTHERS: (usize, u64) = (1000, 8 << 20);

/// Returns the messages with these bytes that have arrived for other accounts, with their UIDs under this UIDVALIDITY.
/// A hint: some may be missing. Blocks.
pub(super) fn arrived_for_others(
    disk: &dyn Disk,
    state_dir: &Path,
    own: &AccountName,
    validity: u32,
    wholes: &BTreeSet<Digest>,
) -> Vec<(Digest, u32)> {
    let (most, largest) = MOST_OTHERS;
    let files = disk.list(state_dir).unwrap_or_default();
    let journals = files
        .iter()
        .map(|file| state_dir.join(file))
        .filter(|path| path.extension().is_some_and(|kind| kind == "forward") && *path != journal_file(state_dir, own));
    let read = |path: PathBuf| Read::parse(&disk.read(&path, largest).ok()?).ok();
    let arrived = journals.take(most).filter_map(read).flat_map(|read| {
        let arrivals: Vec<Arrival> = read.ledger.arrivals().filter(|arrival| !arrival.was_there).copied().collect();
        arrivals
    });
    let here = |arrival: Arrival| Some((arrival.whole?, arrival.uid.filter(|uid| uid.validity == validity)?.uid));
    arrived.filter_map(here).filter(|(whole, _)| wholes.contains(whole)).collect()
}

/// What a journal says.
#[derive(Debug)]
pub struct Read {
    ledger: Ledger,
    identity: Identity,
    contents: Contents,
}

impl Read {
    /// Reads the bytes of a journal.
    ///
    /// # Errors
    /// If they are not a journal, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadJournal> {
        let (mut identity, mut ledger) = (None, Ledger::default());
        let contents = parse(bytes, |record| {
            match record {
                Record::Header(header) if identity.is_none() => identity = Some(header),
                Record::Forwarding(record) if identity.is_some() => ledger.apply(record),
                _ if identity.is_none() => return Err(BadJournal::NotOurs),
                _ => return Err(BadJournal::Newer),
            }
            Ok(())
        })?;
        Ok(Self { ledger, identity: identity.ok_or(BadJournal::NotOurs)?, contents })
    }

    /// Returns the records with which it is rewritten.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        records(&self.identity, &self.ledger)
    }
}

fn records<'a>(identity: &Identity, ledger: &'a Ledger) -> impl Iterator<Item = Record> + use<'a> {
    std::iter::once(Record::Header(identity.clone())).chain(ledger.records().map(Record::Forwarding))
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Read>, StateError> {
    let bytes = match disk.read(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("read", path, e)),
    };
    Read::parse(&bytes).map(Some).map_err(|bad| StateError::journal(path, StateFile::Forward, bad))
}

/// A journal that is open for writing, under its lock.
#[derive(Debug)]
pub(super) struct ForwardJournal {
    journal: Journal,
    ledger: Ledger,
    identity: Identity,
}

impl ForwardJournal {
    /// Opens the journal of an account, and creates it if there is none. None if another process forwards. Blocks.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        state_dir: &Path,
        account: &AccountName,
        new: Identity,
    ) -> Result<Option<Self>, StateError> {
        let path = journal_file(state_dir, account);
        make_dirs(&**disk, state_dir).map_err(|e| StateError::io("make the state directory", state_dir, e))?;
        let opened = disk.resolve(state_dir).and_then(|dir| disk.open_dir(&dir));
        let dir = opened.map_err(|e| StateError::io("open", state_dir, e))?;
        let failed = |e| StateError::io("open", &path, e);
        let locked = match LockedFile::open(&**disk, &path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                sync_dirs_above(&**disk, &path).map_err(|e| StateError::io("sync", &path, e))?;
                let own = new.instance.to_string();
                match Journal::make(&**disk, &path, &dir, &own, [Record::Header(new)]) {
                    // Another process created it at the same time: the lock decides between the two.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made.map_err(|e| StateError::io("write", &path, e))?,
                }
                LockedFile::open(&**disk, &path).map_err(failed)?
            }
            opened => opened.map_err(failed)?,
        };
        let Some(locked) = locked else { return Ok(None) };
        let Some(Read { ledger, identity, contents }) = read(&**disk, &path)? else {
            return Err(StateError::Moved { path });
        };
        let journal = Journal::open(Arc::clone(disk), path, Some(dir), &contents, Some(locked));
        let mut opened = Self { journal, ledger, identity };
        // The previous writer's last sync may have failed: only a rewrite makes what was read durable.
        opened.rewrite()?;
        Ok(Some(opened))
    }

    /// Returns what is known.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Appends records, durably. Blocks.
    pub(super) fn record(&mut self, records: Vec<ForwardRecord>) -> Result<(), StateError> {
        if records.is_empty() {
            return Ok(());
        }
        let path = self.journal.path().to_owned();
        match self.journal.is_in_place() {
            Ok(true) => {}
            Ok(false) => return Err(StateError::Moved { path }),
            Err(e) => return Err(StateError::io("look at", &path, e)),
        }
        let lines: Vec<Record> = records.iter().cloned().map(Record::Forwarding).collect();
        self.journal.append(&lines, Durability::Now).map_err(|e| StateError::io("write", &path, e))?;
        records.into_iter().for_each(|record| self.ledger.apply(record));
        Ok(())
    }

    /// Forgets messages whose files are durably gone from the spool. While the outcome of any message is open, the
    /// others are kept: they are needed to tell it from them. Blocks.
    pub(super) fn forget_all_but(&mut self, is_there: impl Fn(&str) -> bool) -> Result<(), StateError> {
        let open = self.ledger.iter().any(|(name, progress)| progress.intent.is_some() && is_there(name));
        let gone: Vec<String> = self.ledger.messages.keys().filter(|name| !is_there(name)).cloned().collect();
        if open || gone.is_empty() {
            return Ok(());
        }
        for name in gone {
            self.ledger.messages.remove(&name);
        }
        self.rewrite()
    }

    /// Rewrites the journal if most of it is history. Blocks.
    pub(super) fn compact(&mut self) -> Result<(), StateError> {
        let live = self.ledger.messages.len().saturating_mul(2);
        if self.journal.records() > live.saturating_add(HISTORY) { self.rewrite() } else { Ok(()) }
    }

    fn rewrite(&mut self) -> Result<(), StateError> {
        let written = self.journal.rewrite(records(&self.identity, &self.ledger));
        written.map_err(|e| StateError::io("write", self.journal.path(), e))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::disk::RealDisk;
    use crate::state::instance::random_instance;

    /// Several processes begin at the same time with an account that has no journal yet: one of them gets it, and no
    /// other one replaces it.
    #[test]
    fn of_several_that_begin_at_the_same_time_one_makes_the_journal() {
        for _ in 0..30 {
            let dir = tempfile::tempdir().unwrap();
            let account = AccountName::new("a").unwrap();
            let barrier = Barrier::new(4);
            let open = || {
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                let (instance, created) = (random_instance(), 0);
                let identity = Identity { instance, host: "h".to_owned(), user: "u".to_owned(), created };
                barrier.wait();
                let opened = ForwardJournal::open(&disk, dir.path(), &account, identity).unwrap();
                let is_ours = opened.is_some();
                barrier.wait();
                drop(opened);
                is_ours
            };
            let ours = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|ours| *ours).count()
            });
            assert_eq!(ours, 1);
            let names: Vec<_> =
                std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["a.forward"]);
        }
    }
}
