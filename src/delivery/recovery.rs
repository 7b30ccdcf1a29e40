//! Deals with deliveries that a crash interrupted, at the start of each poll and before the server is contacted.
//!
//! An intent says that the file in `tmp/` was durable before the intent was written. What became of the delivery is
//! observed, never inferred. A name in `new/` or `cur/`, or a second name of the file in `tmp/`, shows that the message
//! was delivered. A file in `tmp/` with a single name was not, and is delivered now, without the server; so is one whose
//! link is recorded as not made, whoever has given it a second name. A file that is nowhere proves nothing: something
//! that cleans up `tmp/` may have removed it, so the message is forgotten, and fetched again if the server still has it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::delivery::not_linked::{Links, is_linked};
use crate::delivery::publish::give_name;
use crate::disk::{Dir, DirSync, Disk};
use crate::ids::{EntryId, InstanceId, MaildirNumber};
use crate::maildir::names::{TmpName, instance_of, without_flags};
use crate::maildir::{Maildir, os};
use crate::state::entries::{Entry, Intent, KnownMaildir};
use crate::state::error::StateError;
use crate::state::opening_time::OpeningTime;
use crate::state::proofs::IsPublished;
use crate::state::store::Store;

/// What recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that were finished now.
    pub finished: usize,
    /// Deliveries that were found finished.
    pub found: usize,
    /// Messages whose file is nowhere: they are retrieved again if the server still has them.
    pub again: usize,
    /// Leftover files in `tmp/` that were removed.
    pub remains: usize,
    /// A directory could not be synced because its file system cannot do that.
    pub unsyncable: bool,
    /// Messages that are in no Maildir any more, since the user accepted another one: no policy deletes them.
    pub kept: usize,
}

impl Recovered {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default() || (self.finished + self.found + self.again + self.remains == 0)
    }
}

/// A Maildir other than the account's own that cannot be used now. Its messages wait; everything else goes on.
#[derive(Debug)]
pub struct Unusable {
    /// Its path, as configured.
    pub configured: PathBuf,
    /// Why it cannot be used.
    pub error: StateError,
    /// Whether it is still the Maildir that was delivered to, so that the messages delivered earlier are there.
    pub is_in_place: bool,
}

/// Whether to accept a Maildir that is not the one we knew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherMaildirPolicy {
    /// Stop: a disk may not be mounted.
    #[default]
    Refuse,
    /// Accept it: the user said that it is right.
    Accept,
}

/// Checks the Maildirs that this state has delivered to, and finishes interrupted deliveries. Also returns the Maildirs
/// that cannot be used: deliveries to them stay pending. Blocks.
///
/// `configured` are the account's Maildirs, its own first.
///
/// # Errors
/// [`StateError`] if the account's own Maildir cannot be used: nothing was concluded, and nothing may be fetched.
pub fn recover(
    disk: &dyn Disk,
    store: &mut Store,
    configured: &[&Path],
    other: OtherMaildirPolicy,
) -> Result<(Recovered, Vec<Unusable>), StateError> {
    let own = configured.first().copied().unwrap_or(Path::new(""));
    let mut known = store.maildirs_with_intents();
    let others = configured.iter().filter_map(|path| store.state().maildir_configured_as(path));
    known.extend(others.map(|(number, maildir)| (number, maildir.clone())));
    let mut maildirs = Maildirs::default();
    for (number, known) in known {
        let role = match known.configured.as_path() {
            path if path == own => Role::Own,
            path if configured.contains(&path) => Role::Other,
            _ => Role::Former,
        };
        match verify(disk, &known) {
            Ok(good) => {
                maildirs.good.insert(number, good);
                maildirs.known.insert(number, (role, known));
            }
            // The user accepts this: the messages on their way there are fetched again.
            Err(_) if role == Role::Former && other == OtherMaildirPolicy::Accept => {}
            Err(StateError::MaildirMissing { .. } | StateError::MaildirReplaced { .. })
                if other == OtherMaildirPolicy::Accept => {}
            Err(e) => {
                maildirs.known.insert(number, (role, known));
                maildirs.fails(number, e, other)?;
            }
        }
    }
    finish(disk, store, maildirs, other)
}

/// What a Maildir is to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The account's own Maildir.
    Own,
    /// A Maildir that rules route mail to.
    Other,
    /// A Maildir that the account no longer delivers to.
    Former,
}

/// The Maildirs that a recovery deals with, by number.
#[derive(Default)]
struct Maildirs {
    /// The usable ones.
    good: BTreeMap<MaildirNumber, Maildir>,
    /// The usable and the unusable ones, as the state knows them.
    known: BTreeMap<MaildirNumber, (Role, KnownMaildir)>,
    /// The unusable ones: deliveries to them wait.
    waiting: HashSet<MaildirNumber>,
    /// Why they cannot be used.
    unusable: Vec<Unusable>,
}

impl Maildirs {
    /// Records that a Maildir failed. Without the account's own, recovery ends; without another one, only its messages
    /// wait.
    fn fails(&mut self, number: MaildirNumber, error: StateError, other: OtherMaildirPolicy) -> Result<(), StateError> {
        let is_in_place = self.good.remove(&number).is_some();
        let Some((role, known)) = self.known.get(&number) else { return Err(error) };
        let error = match role {
            Role::Own => return Err(error),
            Role::Other => error,
            // Accepted by the user, as above.
            Role::Former if other == OtherMaildirPolicy::Accept => return Ok(()),
            Role::Former => former(known, &error),
        };
        self.unusable.push(Unusable { configured: known.configured.clone(), error, is_in_place });
        self.waiting.insert(number);
        Ok(())
    }
}

/// Why a Maildir that the account no longer delivers to cannot be reached.
fn former(known: &KnownMaildir, error: &StateError) -> StateError {
    let why = match error {
        StateError::MaildirMissing { .. } => "it is not there".to_owned(),
        StateError::MaildirReplaced { .. } => "another one is in its place".to_owned(),
        StateError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    StateError::FormerMaildir { path: known.configured.clone(), why }
}

/// Returns a Maildir that the account delivers to, if the state knows it. It is checked anew, since a disk may be
/// unmounted at any time. Blocks.
///
/// # Errors
/// [`StateError`]: it is missing, or another one is in its place.
pub fn known_maildir(disk: &dyn Disk, store: &Store, configured: &Path) -> Result<Option<Maildir>, StateError> {
    let known = store.state().maildir_configured_as(configured);
    known.map(|(_, known)| verify(disk, known)).transpose()
}

/// Opens the Maildir if it is the one that was delivered to.
fn verify(disk: &dyn Disk, known: &KnownMaildir) -> Result<Maildir, StateError> {
    let missing = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StateError::MaildirMissing { path: known.configured.clone() }
        }
        _ => StateError::io("look at the Maildir", &known.configured, e),
    };
    let maildir = Maildir::open(disk, &known.resolved).map_err(missing)?;
    let same = known.id.is(&maildir.id(disk).map_err(missing)?);
    let points_there = disk.resolve(&known.configured).map_err(missing)? == known.resolved;
    if same && points_there { Ok(maildir) } else { Err(StateError::maildir_replaced(&known.configured)) }
}

fn finish(
    disk: &dyn Disk,
    store: &mut Store,
    mut maildirs: Maildirs,
    other: OtherMaildirPolicy,
) -> Result<(Recovered, Vec<Unusable>), StateError> {
    let mut recovered = Recovered::default();
    let instance = store.state().identity().instance;
    let mut ours = BTreeMap::new();
    for (number, maildir) in maildirs.good.clone() {
        match our_names(disk, maildir.tmp(), instance) {
            Ok(names) => _ = ours.insert(number, names),
            Err(e) => maildirs.fails(number, e, other)?,
        }
    }
    store.ensure_proven()?;
    // Two numbers may lead to the same directory, so a leftover is a file that no intent of any Maildir names.
    let expected: HashSet<OsString> =
        store.state().intents().map(|(_, intent)| TmpName::of_published(&intent.file_name).as_str().into()).collect();
    let mut known: BTreeMap<EntryId, Progress> = BTreeMap::new();
    let (good, mut links) = (maildirs.good.clone(), Links::default());
    for (number, maildir) in &good {
        match settle_in(disk, store, &maildirs, (*number, maildir), &mut known, &mut links) {
            Ok(synced) => recovered.unsyncable |= synced == DirSync::Unsupported,
            Err(e) => maildirs.fails(*number, e, other).inspect_err(|_| links.record(disk, store, &good))?,
        }
    }
    // Where the user accepted another Maildir, messages that were on their way to the old one are fetched again.
    let mut lost: Vec<EntryId> =
        store.state().intents().filter(|(_, i)| maildirs.are_out(i)).map(|(e, _)| e.id).collect();
    // Messages for several Maildirs, one of which failed after others were settled.
    let stays = |id: &EntryId| {
        let intent = store.state().entry(*id).and_then(|entry| entry.intent.as_deref());
        intent.is_none_or(|intent| maildirs.wait(intent) || maildirs.are_out(intent))
    };
    known.retain(|id, _| !stays(id));
    let mut finished = Vec::new();
    for (entry, Progress { tmp_name, tmps, was_finished, is_unknown }) in known {
        if is_unknown {
            lost.push(entry);
            continue;
        }
        recovered.finished += usize::from(was_finished);
        recovered.found += usize::from(!was_finished);
        finished.push(Finished { entry, tmps, tmp_name });
    }
    recovered.again = lost.len();
    store.record_forgotten(lost)?;
    store.record_published(&finished)?;
    links.record(disk, store, &good);
    store.settle()?;
    for (number, maildir) in maildirs.good.clone() {
        let names = ours.remove(&number).unwrap_or_default();
        let remains = names.into_iter().filter(|name| !expected.contains(name));
        match remove_remains(disk, maildir.tmp(), remains, store.opened()) {
            Ok(removed) => recovered.remains += removed,
            Err(e) => maildirs.fails(number, e, other)?,
        }
    }
    Ok((recovered, maildirs.unusable))
}

impl Maildirs {
    /// Whether the delivery waits for one of its Maildirs.
    fn wait(&self, intent: &Intent) -> bool {
        intent.maildirs().any(|number| self.waiting.contains(&number))
    }

    /// Whether one of its Maildirs was given up, and it waits for none.
    fn are_out(&self, intent: &Intent) -> bool {
        !self.wait(intent) && intent.maildirs().any(|number| !self.good.contains_key(&number))
    }
}

/// Finds out what became of the deliveries to one Maildir, and finishes them there, durably. Returns whether the file
/// system can make names durable.
fn settle_in(
    disk: &dyn Disk,
    store: &Store,
    maildirs: &Maildirs,
    (number, maildir): (MaildirNumber, &Maildir),
    known: &mut BTreeMap<EntryId, Progress>,
    links: &mut Links,
) -> Result<DirSync, StateError> {
    let waits = |intent: &Intent| maildirs.wait(intent) || maildirs.are_out(intent);
    let is_here = |intent: &Intent| !waits(intent) && intent.maildirs().any(|one| one == number);
    let intents: Vec<(&Entry, &Intent)> = store.state().intents().filter(|(_, i)| is_here(i)).collect();
    let mut synced = DirSync::Synced;
    if intents.is_empty() {
        return Ok(synced);
    }
    let seen = Seen::in_maildir(disk, maildir)?;
    let mut made = Vec::with_capacity(intents.len());
    for (entry, intent) in &intents {
        let may_be_linked = !intent.not_linked.contains(&number);
        let refused = || _ = links.refused.insert((entry.id, number));
        let settled = seen.settle(disk, &intent.file_name, may_be_linked, refused)?;
        if !matches!(settled, Settled::Unknown) {
            made.push((entry.id, number));
        }
        let progress = known.entry(entry.id).or_insert_with(|| Progress::new(intent));
        progress.add(settled, maildir.tmp());
    }
    for dir in [maildir.new_dir(), maildir.cur()] {
        if disk.sync_open_dir(dir).map_err(|e| StateError::io("sync", dir.path(), e))? == DirSync::Unsupported {
            synced = DirSync::Unsupported;
        }
    }
    links.made.extend(made);
    Ok(synced)
}

/// Returns the names in a `tmp/` that this state has made.
fn our_names(disk: &dyn Disk, tmp: &Dir, instance: InstanceId) -> Result<Vec<OsString>, StateError> {
    let mut names = disk.list_in(tmp).map_err(|e| StateError::io("read", tmp.path(), e))?;
    names.retain(|name| instance_of(name.as_bytes()) == Some(instance));
    Ok(names)
}

/// What was found out about a delivery in its Maildirs. It is finished once it is in all of them.
struct Progress {
    tmp_name: TmpName,
    /// The `tmp/` of each Maildir.
    tmps: Vec<Dir>,
    /// It was missing from at least one Maildir, and was finished now.
    was_finished: bool,
    /// In at least one Maildir, nothing shows what became of it.
    is_unknown: bool,
}

impl Progress {
    fn new(intent: &Intent) -> Self {
        let tmp_name = TmpName::of_published(&intent.file_name);
        Self { tmp_name, tmps: Vec::new(), was_finished: false, is_unknown: false }
    }

    fn add(&mut self, settled: Settled, tmp: &Dir) {
        self.tmps.push(tmp.clone());
        match settled {
            Settled::Finished => self.was_finished = true,
            Settled::Found => {}
            Settled::Unknown => self.is_unknown = true,
        }
    }
}

/// A delivery that was found finished or was finished here.
struct Finished {
    entry: EntryId,
    /// The `tmp/` of each of its Maildirs.
    tmps: Vec<Dir>,
    tmp_name: TmpName,
}

impl IsPublished for Finished {
    fn entry(&self) -> EntryId {
        self.entry
    }

    fn in_tmp(&self) -> impl Iterator<Item = (&Dir, &OsStr)> {
        self.tmps.iter().map(|tmp| (tmp, os(self.tmp_name.as_str())))
    }
}

/// What is visible of the deliveries to one Maildir.
struct Seen<'a> {
    maildir: &'a Maildir,
    /// The names in `new/` and `cur/`, without the flags that mail readers add.
    names: HashSet<Vec<u8>>,
}

enum Settled {
    /// It was not delivered before, and is now.
    Finished,
    /// It was delivered already.
    Found,
    /// Nothing shows what became of it.
    Unknown,
}

impl<'a> Seen<'a> {
    fn in_maildir(disk: &dyn Disk, maildir: &'a Maildir) -> Result<Self, StateError> {
        let mut names = HashSet::new();
        for dir in [maildir.new_dir(), maildir.cur()] {
            let listed = disk.list_in(dir).map_err(|e| StateError::io("read", dir.path(), e))?;
            names.extend(listed.iter().map(|name| without_flags(name.as_bytes()).to_vec()));
        }
        Ok(Self { maildir, names })
    }

    /// Finds out what became of one delivery, and finishes it if needed. `may_be_linked`: a second name of the file may
    /// be the one in `new/`, moved by a mail reader. Calls `refused` if the link fails.
    fn settle(
        &self,
        disk: &dyn Disk,
        name: &str,
        may_be_linked: bool,
        refused: impl FnOnce(),
    ) -> Result<Settled, StateError> {
        let (tmp, tmp_name) = (self.maildir.tmp(), TmpName::of_published(name));
        let is_visible = self.names.contains(name.as_bytes());
        match disk.status_in(tmp, os(tmp_name.as_str())) {
            Ok(status) if (status.links > 1 && may_be_linked) || is_visible => Ok(Settled::Found),
            Ok(_) => match give_name(disk, self.maildir, &tmp_name, name) {
                Ok(()) => Ok(Settled::Finished),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Settled::Unknown),
                Err(e) => {
                    if !is_linked(disk, self.maildir, &tmp_name, name) {
                        refused();
                    }
                    Err(StateError::io("deliver", &self.maildir.new_dir().path().join(name), e))
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(if is_visible { Settled::Found } else { Settled::Unknown })
            }
            Err(e) => Err(StateError::io("look at", &tmp.path().join(tmp_name.as_str()), e)),
        }
    }
}

/// Removes our files from `tmp/` that no intent names, if they are older than the opening of the state: a younger one
/// may belong to a running process on a copy of this state.
fn remove_remains(
    disk: &dyn Disk,
    tmp: &Dir,
    names: impl Iterator<Item = OsString>,
    opened: OpeningTime,
) -> Result<usize, StateError> {
    let mut removed = 0;
    for name in names {
        let is_old = |name: &OsStr| disk.status_in(tmp, name).map(|status| opened.is_behind(&status));
        match is_old(&name).and_then(|old| if old { disk.remove_in(tmp, &name).map(|()| true) } else { Ok(false) }) {
            Ok(true) => removed += 1,
            Ok(false) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StateError::io("remove", &tmp.path().join(&name), e)),
        }
    }
    Ok(removed)
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
