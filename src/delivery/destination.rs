//! The Maildirs that messages go to, as the state knows them: created and registered there as needed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::DeliveryError;
use super::recovery::{OtherMaildirPolicy, known_maildir};
use crate::account::{Account, MaildirMode, MaildirOf};
use crate::disk::{DirSync, Disk};
use crate::ids::{EntryId, MaildirId, MaildirNumber};
use crate::maildir::Maildir;
use crate::maildir::names::UniqueIdHash;
use crate::state::entries::{Entry, KnownMaildir, MaildirNumbers, Origin};
use crate::state::error::StateError;
use crate::state::store::Store;

/// The index of a Maildir among those of a session. Only [`Destinations`] makes one, out of a Maildir that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DestinationIndex(usize);

/// The index of the account's own Maildir.
pub(crate) const OWN: DestinationIndex = DestinationIndex(0);

/// The Maildirs that one message goes to, by index: nearly always just one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DestinationIndexes {
    /// The first.
    pub(crate) first: DestinationIndex,
    /// The others. The message gets into all of them or none.
    pub(crate) also: Vec<DestinationIndex>,
}

impl DestinationIndexes {
    /// One Maildir alone.
    pub(crate) fn one(first: DestinationIndex) -> Self {
        Self { first, also: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.also.len()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Iterates over all of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DestinationIndex> {
        std::iter::once(self.first).chain(self.also.iter().copied())
    }
}

/// The Maildirs that the messages of a session are delivered to, opened.
#[derive(Debug)]
pub(crate) struct Destinations {
    /// The account's own Maildir.
    own: Destination,
    /// The others, each once, with indexes from 1.
    others: Vec<Destination>,
    /// The index for each path in the configuration. Two paths may lead to the same Maildir.
    by_path: HashMap<PathBuf, DestinationIndex>,
    /// How many Maildirs take no mail now. Their indexes follow those of the open ones.
    unusable: usize,
    /// How many messages may have their files open at the same time.
    pub(crate) most_messages: usize,
}

impl Destinations {
    /// Makes sure that the Maildirs and the state exist, as [`Destination::prepare`] does. Also returns the Maildirs
    /// other than the account's own that could not be prepared, with the reason; their messages are not delivered.
    /// Maildirs already known to be `unusable` are not looked at. Blocks.
    pub(crate) fn prepare(
        disk: &dyn Disk,
        store: &mut Store,
        account: &Account,
        other: OtherMaildirPolicy,
        unusable: &HashSet<PathBuf>,
        most_files: usize,
    ) -> Result<(Self, Vec<(PathBuf, DeliveryError)>), DeliveryError> {
        let mode = account.maildir_mode;
        let mut prepare = |maildir| Destination::prepare(disk, store, maildir, mode, other);
        let own = prepare(MaildirOf { path: &account.maildir, is_folder: false })?;
        let mut this = Self::only(own, most_files);
        let (mut failed, mut closed) = (Vec::new(), Vec::new());
        for maildir in account.maildirs().into_iter().skip(1) {
            let path = maildir.path.to_owned();
            if unusable.contains(&path) {
                closed.push(path);
                continue;
            }
            let destination = match prepare(maildir) {
                Ok(destination) => destination,
                Err(e) if e.is_about_one_maildir() => {
                    closed.push(path.clone());
                    failed.push((path, e));
                    continue;
                }
                Err(e) => return Err(e),
            };
            let is_same = |known: &Destination| known.maildir.is_same_as(&destination.maildir);
            let known = this.all().position(is_same);
            let place = match known {
                Some(place) => DestinationIndex(place),
                None => {
                    this.others.push(destination);
                    DestinationIndex(this.others.len())
                }
            };
            this.by_path.insert(path, place);
        }
        if account.routing.may_copy() {
            // Each message may have a file in every Maildir.
            this.most_messages = (most_files / this.all().count()).max(1);
        }
        this.unusable = closed.len();
        let places: Vec<DestinationIndex> = this.unusable().collect();
        this.by_path.extend(closed.into_iter().zip(places));
        Ok((this, failed))
    }

    /// A session that delivers into one Maildir alone.
    pub(crate) fn only(own: Destination, most_messages: usize) -> Self {
        let by_path = HashMap::from([(own.configured.clone(), OWN)]);
        Self { own, others: Vec::new(), by_path, unusable: 0, most_messages }
    }

    /// The indexes of the Maildirs that take no mail now.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = DestinationIndex> + use<> {
        let first = self.others.len() + 1;
        (first..first + self.unusable).map(DestinationIndex)
    }

    /// The account's own Maildir.
    pub(crate) fn own(&self) -> &Destination {
        &self.own
    }

    /// Iterates over the open Maildirs, the account's own first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Destination> {
        std::iter::once(&self.own).chain(&self.others)
    }

    /// The open Maildir at an index. None if the index is that of a Maildir that takes no mail.
    pub(crate) fn at(&self, DestinationIndex(place): DestinationIndex) -> Option<&Destination> {
        self.all().nth(place)
    }

    /// The numbers that the state has for these Maildirs. None unless all are open.
    pub(crate) fn numbers(&self, places: &DestinationIndexes) -> Option<MaildirNumbers> {
        let number = |place: &DestinationIndex| Some(self.at(*place)?.number);
        let also = places.also.iter().map(number).collect::<Option<_>>()?;
        Some(MaildirNumbers { first: number(&places.first)?, also })
    }

    /// The open Maildir with this number in the state, and its index.
    pub(crate) fn numbered(&self, number: MaildirNumber) -> Option<(DestinationIndex, &Destination)> {
        let (place, known) = self.all().enumerate().find(|(_, known)| known.number == number)?;
        Some((DestinationIndex(place), known))
    }

    /// The index of the open Maildir that this `tmp/` belongs to.
    pub(crate) fn place_of_tmp(&self, tmp: &Path) -> Option<DestinationIndex> {
        self.all().position(|known| known.maildir.tmp().path() == tmp).map(DestinationIndex)
    }

    /// The index of the Maildir that the configuration names by this path, whether or not it takes mail now.
    pub(crate) fn place_of(&self, configured: &Path) -> Option<DestinationIndex> {
        self.by_path.get(configured).copied()
    }
}

/// A Maildir that messages are delivered to.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// The Maildir.
    pub(crate) maildir: Maildir,
    /// Its path as configured.
    pub(crate) configured: PathBuf,
    /// Its number in the state.
    pub(crate) number: MaildirNumber,
}

impl Destination {
    /// Makes sure that the Maildir and the state exist. The Maildir is created only if the state has never delivered
    /// there, or if the user accepted another one in its place. Otherwise it may have disappeared since the poll began,
    /// and would be created below an empty mount point. Blocks.
    fn prepare(
        disk: &dyn Disk,
        store: &mut Store,
        maildir: MaildirOf<'_>,
        mode: MaildirMode,
        other: OtherMaildirPolicy,
    ) -> Result<Self, DeliveryError> {
        let MaildirOf { path: configured, is_folder } = maildir;
        let failed = |doing| move |source| DeliveryError::Maildir { doing, path: configured.to_owned(), source };
        let known = match other {
            OtherMaildirPolicy::Accept => None,
            OtherMaildirPolicy::Refuse => known_maildir(disk, store, configured)?,
        };
        let maildir = match known {
            Some(maildir) => maildir,
            None => Maildir::create(disk, configured, mode).map_err(failed("make the Maildir"))?,
        };
        if is_folder {
            maildir.mark_as_folder(disk, mode).map_err(failed("make the file maildirfolder in"))?;
        }
        let id = maildir.lasting_id(disk).map_err(failed("look at the Maildir"))?;
        let number = make_known(disk, store, configured, &maildir, id)?;
        store.ensure_file()?;
        Ok(Self { maildir, configured: configured.to_owned(), number })
    }
}

/// Registers a Maildir that is about to be delivered to; the record is written with the next intents. The Maildir
/// itself is durable when this returns. Blocks.
///
/// # Errors
/// Disk errors, and a state that contradicts itself.
pub fn make_known(
    disk: &dyn Disk,
    store: &mut Store,
    configured: &Path,
    maildir: &Maildir,
    id: MaildirId,
) -> Result<MaildirNumber, StateError> {
    let known = KnownMaildir { configured: configured.to_owned(), resolved: maildir.path().to_owned(), id };
    if let Some((number, same)) = store.state().maildir_configured_as(configured)
        && *same == known
    {
        return Ok(number);
    }
    maildir.sync(disk).map_err(|e| StateError::io("sync", maildir.path(), e))?;
    store.record_maildir(known)
}

/// Makes the user's decision permanent, whether or not anything is fetched: creates a new state, and records the
/// Maildirs that exist. An accepted Maildir that is missing is created, or the next poll would ask again. Blocks.
///
/// Messages that were delivered into a Maildir in whose place another one is accepted, and that are in none of the
/// account's Maildirs now, may be stored nowhere: no policy may delete them any more. Returns how many these are.
///
/// # Errors
/// Disk errors.
pub(crate) fn keep_decision(
    disk: &dyn Disk,
    store: &mut Store,
    account: &Account,
    other: OtherMaildirPolicy,
) -> Result<usize, StateError> {
    let is_lost = |maildir: &MaildirOf<'_>| {
        // What has left a spool has arrived elsewhere.
        !maildir.path.ends_with(account.name.spool()) && known_maildir(disk, store, maildir.path).is_err()
    };
    let any_is_lost = other == OtherMaildirPolicy::Accept && account.maildirs().iter().any(is_lost);
    for MaildirOf { path, .. } in account.maildirs() {
        // A Maildir other than the account's own is created with its first delivery.
        if path == account.maildir || store.state().maildir_configured_as(path).is_some() {
            accept(disk, store, path, account.maildir_mode, other)?;
        }
    }
    let lost = if any_is_lost { in_no_maildir(disk, store, account)? } else { Vec::new() };
    store.record_kept(&lost)?;
    store.ensure_file()?;
    store.write_pending()?;
    store.settle()?;
    Ok(lost.len())
}

/// Returns the entries of messages that were delivered, may still be on the server, and are in none of the account's
/// Maildirs.
fn in_no_maildir(disk: &dyn Disk, store: &Store, account: &Account) -> Result<Vec<EntryId>, StateError> {
    let mut held = HashSet::new();
    for MaildirOf { path, .. } in account.maildirs() {
        if let Ok(maildir) = Maildir::open(disk, path) {
            let read = maildir.delivered_by(disk, store.state().identity().instance);
            held.extend(read.map_err(|e| StateError::io("look at the Maildir", path, e))?);
        }
    }
    let is_held = |entry: &Entry| entry.unique_id.as_ref().is_some_and(|id| held.contains(&UniqueIdHash::of(id)));
    let may_be_deleted = |entry: &&Entry| entry.origin == Origin::Delivered && entry.intent.is_none() && !entry.removed;
    Ok(store.state().entries().filter(may_be_deleted).filter(|entry| !is_held(entry)).map(|entry| entry.id).collect())
}

/// Records a Maildir as the right one if it exists; creates it if the user accepted that. Blocks.
fn accept(
    disk: &dyn Disk,
    store: &mut Store,
    path: &Path,
    mode: MaildirMode,
    other: OtherMaildirPolicy,
) -> Result<(), StateError> {
    let maildir = match Maildir::open(disk, path) {
        Err(_) if other == OtherMaildirPolicy::Accept && !store.state().is_empty() => {
            Maildir::create(disk, path, mode).map_err(|e| StateError::io("make the Maildir", path, e))?
        }
        Err(_) => return Ok(()),
        Ok(maildir) => maildir,
    };
    let look = |e| StateError::io("look at the Maildir", maildir.path(), e);
    let id = maildir.lasting_id(disk).map_err(look)?;
    make_known(disk, store, path, &maildir, id)?;
    Ok(())
}

/// Syncs the directories of the Maildirs and of the state once more before messages delivered in earlier sessions are
/// deleted on the server. Where the names are durable already this costs nothing, and it shows where a file system
/// cannot sync directories. Also returns the Maildirs other than the account's own that failed: messages in them must
/// not be deleted. Blocks.
///
/// # Errors
/// Disk errors.
pub(crate) fn sync_directories(
    disk: &dyn Disk,
    store: &Store,
    own: &Path,
) -> Result<(DirSync, Vec<(PathBuf, DeliveryError)>), DeliveryError> {
    let mut synced = store.sync_directory()?;
    let mut failed = Vec::new();
    for (_, known) in store.state().maildirs() {
        let new = known.resolved.join("new");
        match disk.sync_dir(&new) {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => synced = DirSync::Unsupported,
            // A Maildir no longer delivered to may be gone; a current one was checked when the poll began.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let error = DeliveryError::Maildir { doing: "sync", path: new, source };
                if known.configured == own {
                    return Err(error);
                }
                failed.push((known.configured.clone(), error));
            }
        }
    }
    Ok((synced, failed))
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
