//! What is remembered of an account's messages. PURE: built by applying records in order, and read by the plan.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub use super::entry::{
    Entry, Fingerprint, Identity, Intent, KnownMaildir, ListedAs, Origin, Quarantine, QuarantineReason,
};
use super::entry_table::EntryTable;
use super::quarantines::Quarantines;
use super::record::Record;
use super::unique_id_index::UniqueIdIndex;
use crate::clock::trusted_time::{ClockMark, ClockReading};
use crate::ids::RulesDigest;
pub use crate::ids::{EntryId, MaildirNumber};
use crate::pop3::{ReportedSize, UniqueId};

/// The Maildirs that one message goes into, by number: nearly always just one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildirNumbers {
    /// The first.
    pub first: MaildirNumber,
    /// The others.
    pub also: Vec<MaildirNumber>,
}

impl From<MaildirNumber> for MaildirNumbers {
    fn from(first: MaildirNumber) -> Self {
        Self { first, also: Vec::new() }
    }
}

impl MaildirNumbers {
    /// Iterates over all of them.
    pub fn iter(&self) -> impl Iterator<Item = MaildirNumber> {
        std::iter::once(self.first).chain(self.also.iter().copied())
    }
}

/// Everything that is remembered of one account.
#[derive(Debug, Clone)]
pub struct UidState {
    /// Who it belongs to.
    identity: Identity,
    /// The port of the server. None if nothing is known of it: the state was last written by an earlier version.
    port: Option<u16>,
    /// The last clock mark that was written.
    clock: Option<ClockMark>,
    /// Every Maildir that was delivered to.
    maildirs: BTreeMap<MaildirNumber, KnownMaildir>,
    /// The messages, in the order in which they became known.
    entries: EntryTable,
    /// The entries by unique-id.
    by_unique_id: UniqueIdIndex,
    /// The id of the next entry, greater than that of any other.
    next_id: EntryId,
    /// The messages that failed, by unique-id.
    quarantines: HashMap<UniqueId, Quarantines>,
    /// The messages that rules leave on the server, each with a digest of those rules.
    skipped: HashMap<ListedAs, RulesDigest>,
    /// The first delivery not yet shown to be the message that it was taken for; no later one was, either.
    unshown: Option<EntryId>,
    /// Optional records of a newer version, kept through every rewrite.
    preserved: Vec<Vec<u8>>,
}

/// A record that contradicts those before it: the file was damaged or edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistent(pub &'static str);

impl UidState {
    /// A state that remembers nothing but whose it is.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            port: None,
            clock: None,
            maildirs: BTreeMap::new(),
            entries: EntryTable::default(),
            by_unique_id: UniqueIdIndex::default(),
            next_id: EntryId::FIRST,
            quarantines: HashMap::new(),
            skipped: HashMap::new(),
            unshown: None,
            preserved: Vec::new(),
        }
    }

    /// Who it belongs to.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the server is the one at this port of this host. Another port of a host may lead to another server, as
    /// the ends of tunnels do. A port of which nothing is known is taken for any.
    #[must_use]
    pub fn is_of_server(&self, host: &str, port: u16) -> bool {
        self.is_of_host(host) && self.port.is_none_or(|known| known == port)
    }

    /// Whether nothing is known of the port that the server has on this host.
    #[must_use]
    pub fn lacks_port_of(&self, host: &str) -> bool {
        self.is_of_host(host) && self.port.is_none()
    }

    fn is_of_host(&self, host: &str) -> bool {
        self.identity.host.eq_ignore_ascii_case(host)
    }

    /// Returns the clock mark for `now`.
    #[must_use]
    pub fn mark(&self, now: ClockReading) -> ClockMark {
        self.clock.map_or_else(|| ClockMark::first(now), |mark| mark.advance(now))
    }

    /// The last clock mark that was written.
    #[must_use]
    pub fn clock(&self) -> Option<&ClockMark> {
        self.clock.as_ref()
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Returns the entry with this id; None if there is none, or it was forgotten.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Returns the entries with this unique-id, oldest first.
    pub fn with_unique_id<'a>(&'a self, unique_id: &UniqueId) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.ids_of(unique_id).iter().filter_map(|id| self.entries.get(*id))
    }

    /// Returns the ids of the entries with this unique-id, oldest first.
    #[must_use]
    pub fn ids_of(&self, unique_id: &UniqueId) -> &[EntryId] {
        self.by_unique_id.get(unique_id, &self.entries)
    }

    /// Does the same, but faster if `id` is the only one.
    #[must_use]
    pub fn ids_of_probably(&self, id: EntryId, unique_id: &UniqueId) -> &[EntryId] {
        let has_it = |entry: &&Entry| entry.unique_id.as_ref() == Some(unique_id);
        match self.entries.get(id).filter(has_it).filter(|_| self.by_unique_id.has_each_once()) {
            Some(entry) => std::slice::from_ref(&entry.id),
            None => self.ids_of(unique_id),
        }
    }

    /// Returns the entry that getmail made for this unique-id with each slash written as a hyphen. None once its real
    /// unique-id, or anything of the message itself, is known.
    #[must_use]
    pub fn spelt_by_getmail(&self, unique_id: &UniqueId) -> Option<&Entry> {
        if !unique_id.as_bytes().contains(&b'/') {
            return None;
        }
        let spelt: Vec<u8> = unique_id.as_bytes().iter().map(|c| if *c == b'/' { b'-' } else { *c }).collect();
        let [id] = self.ids_of(&UniqueId::new(&spelt).ok()?) else { return None };
        let is_foreign = |entry: &&Entry| matches!(entry.origin, Origin::Imported | Origin::Trusted);
        self.entries.get(*id).filter(is_foreign).filter(|entry| entry.fingerprint.is_unknown())
    }

    /// Returns the entries without a unique-id, oldest first.
    pub fn without_unique_id(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.unique_id.is_none())
    }

    /// Returns the entries whose delivery is not known to be finished.
    pub fn intents(&self) -> impl Iterator<Item = (&Entry, &Intent)> {
        self.with_files().filter(|(_, intent)| !intent.spooled)
    }

    /// Returns the messages that wait in the account's spool to be forwarded, oldest first.
    pub fn spooled(&self) -> impl Iterator<Item = (&Entry, &Intent)> {
        self.with_files().filter(|(_, intent)| intent.spooled)
    }

    fn with_files(&self) -> impl Iterator<Item = (&Entry, &Intent)> {
        self.entries.iter().filter_map(|entry| entry.intent.as_deref().map(|intent| (entry, intent)))
    }

    /// Returns the latest quarantine of the message listed this way.
    #[must_use]
    pub fn quarantine(&self, unique_id: &UniqueId, reported_size: Option<ReportedSize>) -> Option<Quarantine> {
        self.quarantines.get(unique_id)?.get(reported_size)
    }

    /// Returns all messages that failed.
    pub fn quarantines(&self) -> impl Iterator<Item = (&ListedAs, &Quarantine)> {
        self.quarantines.values().flat_map(Quarantines::iter).map(|(listed_as, quarantine)| (listed_as, quarantine))
    }

    /// Whether these rules are known to leave the message listed this way on the server.
    #[must_use]
    pub fn is_skipped(&self, listed_as: &ListedAs, rules: RulesDigest) -> bool {
        self.skipped.get(listed_as) == Some(&rules)
    }

    /// Returns all messages that a rule leaves on the server, or once did.
    pub fn skipped(&self) -> impl Iterator<Item = &ListedAs> {
        self.skipped.keys()
    }

    /// The first delivery not yet shown to be the message that it was taken for; no later one was, either.
    #[must_use]
    pub fn unshown(&self) -> Option<EntryId> {
        self.unshown
    }

    /// The id of the next entry.
    #[must_use]
    pub fn next_id(&self) -> EntryId {
        self.next_id
    }

    /// Returns the Maildirs, oldest first.
    pub fn maildirs(&self) -> impl DoubleEndedIterator<Item = (MaildirNumber, &KnownMaildir)> {
        self.maildirs.iter().map(|(number, maildir)| (*number, maildir))
    }

    /// Returns what is known of the Maildir with this number; None if the state knows none.
    #[must_use]
    pub fn maildir(&self, number: MaildirNumber) -> Option<&KnownMaildir> {
        self.maildirs.get(&number)
    }

    /// Returns the Maildir at this configured path, as it was when we last delivered there.
    #[must_use]
    pub fn maildir_configured_as(&self, configured: &Path) -> Option<(MaildirNumber, &KnownMaildir)> {
        self.maildirs().rev().find(|(_, maildir)| maildir.configured == configured)
    }

    /// The number for the next Maildir.
    #[must_use]
    pub fn next_maildir(&self) -> MaildirNumber {
        self.maildirs.last_key_value().map_or(MaildirNumber::FIRST, |(number, _)| number.next())
    }

    /// Returns the records that make up this state.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let header = std::iter::once(Record::Header(self.identity.clone()));
        let port = self.port.map(|port| Record::Port { host: self.identity.host.clone(), port });
        let clock = self.clock.map(Record::Clock);
        let maildirs = self.maildirs.iter().map(|(number, maildir)| Record::Maildir(*number, maildir.clone()));
        let entries = self.entries.iter().flat_map(|entry| entry_records(entry.clone()));
        let quarantines = self.quarantines().map(|(listed_as, quarantine)| Record::Quarantine {
            listed_as: listed_as.clone(),
            quarantine: *quarantine,
        });
        let skipped = self.skipped.iter().map(|(listed_as, rules)| {
            let (listed_as, rules) = (listed_as.clone(), *rules);
            Record::Skipped { listed_as, rules }
        });
        let preserved = self.preserved.iter().map(|line| Record::Unknown(line.clone()));
        let spooled: Vec<EntryId> = self.spooled().map(|(entry, _)| entry.id).collect();
        let spooled = (!spooled.is_empty()).then_some(Record::Spooled(spooled));
        header
            .chain(port)
            .chain(clock)
            .chain(maildirs)
            .chain(entries)
            .chain(spooled)
            .chain(self.unshown.map(|first| Record::Unshown(Some(first))))
            .chain(quarantines)
            .chain(skipped)
            .chain(preserved)
    }

    /// Reserves room for this many more messages.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.entries.reserve(additional);
        self.by_unique_id.reserve(additional, &self.entries);
    }

    /// Applies one record.
    ///
    /// # Errors
    /// [`Inconsistent`] if it refers to something that does not exist, or creates something that does.
    pub(crate) fn apply(&mut self, record: Record) -> Result<(), Inconsistent> {
        match record {
            Record::Header(_) => return Err(Inconsistent("a second header")),
            Record::Forwarding(_) => return Err(Inconsistent("what belongs into the journal of a forwarder")),
            Record::Host { host, user } => self.use_host(host, user),
            Record::Port { host, port } => self.use_port(&host, port),
            Record::Clock(mark) => self.clock = Some(mark),
            Record::Maildir(number, maildir) => {
                self.maildirs.insert(number, maildir);
            }
            Record::Entry(entry) => self.insert(entry)?,
            Record::AlsoInto { id, maildirs } => self.deliver_also_into(id, maildirs)?,
            Record::Published(ids) | Record::Forwarded(ids) => self.each(&ids, |entry| entry.intent = None)?,
            Record::NotLinked { id, maildirs } => self.note_not_linked(id, maildirs),
            Record::Spooled(ids) => self.each(&ids, |entry| {
                if let Some(intent) = &mut entry.intent {
                    intent.spooled = true;
                    intent.not_linked.clear();
                }
            })?,
            Record::Removed { ids, trusted } => self.each(&ids, |entry| {
                (entry.removed, entry.doubt) = (true, true);
                entry.absent_since = Some(trusted);
            })?,
            Record::Absent { ids, trusted } => self.each(&ids, |entry| {
                entry.doubt = true;
                entry.absent_since = Some(trusted);
            })?,
            Record::Present(ids) => self.each(&ids, Entry::set_present)?,
            Record::Doubted(ids) => self.each(&ids, |entry| entry.doubt = true)?,
            Record::Verified(ids) => self.each(&ids, |entry| {
                entry.set_present();
                entry.doubt = false;
            })?,
            Record::Forgotten(ids) => self.forget(&ids)?,
            Record::Resized { id, reported_size } => {
                self.each(&[id], |entry| entry.fingerprint.reported_size = Some(reported_size))?;
            }
            Record::Renamed { id, unique_id } => self.rename(id, unique_id)?,
            Record::Fingerprinted { id, header } => {
                self.each(&[id], |entry| entry.fingerprint.header = Some(header))?;
            }
            Record::Quarantine { listed_as, quarantine } => {
                self.quarantines.entry(listed_as.unique_id.clone()).or_default().set(listed_as, quarantine);
            }
            Record::QuarantineOver(listed_as) => self.end_quarantine(&listed_as),
            Record::Skipped { listed_as, rules } => {
                self.skipped.insert(listed_as, rules);
            }
            Record::NotSkipped(listed_as) => {
                self.skipped.remove(&listed_as);
            }
            Record::Unshown(first) => self.unshown = first,
            Record::Unknown(line) => self.preserved.push(line),
        }
        Ok(())
    }

    fn use_host(&mut self, host: String, user: String) {
        if !self.is_of_host(&host) {
            self.move_away();
            self.port = None;
        }
        (self.identity.host, self.identity.user) = (host, user);
    }

    /// Notes the port of the server, unless it is that of a host used before.
    fn use_port(&mut self, host: &str, port: u16) {
        if !self.is_of_host(host) {
            return;
        }
        if !self.is_of_server(host, port) {
            self.move_away();
        }
        self.port = Some(port);
    }

    /// Notes that another server is used from now on. There the same unique-ids may belong to other messages, which no
    /// rule has judged.
    fn move_away(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.doubt = true);
        self.skipped.clear();
    }

    fn insert(&mut self, entry: Entry) -> Result<(), Inconsistent> {
        if entry.intent.as_ref().is_some_and(|intent| !self.maildirs.contains_key(&intent.maildir)) {
            return Err(UNKNOWN_MAILDIR);
        }
        // Later entries must have ids, too.
        if entry.id.get() > u64::MAX / 2 {
            return Err(Inconsistent("an entry with a number that nobody counts to"));
        }
        let (id, unique_id) = (entry.id, entry.unique_id.clone());
        self.entries.insert(entry).ok_or(Inconsistent("the same entry twice"))?;
        if let Some(unique_id) = unique_id {
            self.by_unique_id.add(id, &unique_id, &self.entries);
        }
        self.next_id = self.next_id.max(id.next());
        Ok(())
    }

    fn deliver_also_into(&mut self, id: EntryId, maildirs: Vec<MaildirNumber>) -> Result<(), Inconsistent> {
        if maildirs.iter().any(|number| !self.maildirs.contains_key(number)) {
            return Err(UNKNOWN_MAILDIR);
        }
        let intent = self.entries.get_mut(id).and_then(|entry| entry.intent.as_mut());
        intent.ok_or(Inconsistent("other Maildirs for what is not on its way"))?.also = maildirs;
        Ok(())
    }

    /// Does nothing where the delivery is over: a version that ignores the record keeps it beyond that.
    fn note_not_linked(&mut self, id: EntryId, maildirs: Vec<MaildirNumber>) {
        let intent = self.entries.get_mut(id).and_then(|entry| entry.intent.as_mut());
        if let Some(intent) = intent.filter(|intent| !intent.spooled) {
            intent.not_linked = maildirs;
        }
    }

    fn forget(&mut self, ids: &[EntryId]) -> Result<(), Inconsistent> {
        self.by_unique_id.remove_all(ids, &self.entries);
        ids.iter().try_for_each(|id| self.entries.remove(*id).map(drop).ok_or(UNKNOWN_ENTRY))
    }

    fn rename(&mut self, id: EntryId, unique_id: UniqueId) -> Result<(), Inconsistent> {
        let mut entry = self.take_out(id)?;
        entry.unique_id = Some(unique_id);
        entry.set_present();
        // Without a fingerprint this is the same message, whose unique-id another program spelt differently.
        entry.doubt |= !entry.fingerprint.is_unknown();
        self.insert(entry)
    }

    fn end_quarantine(&mut self, listed_as: &ListedAs) {
        if let Some(quarantines) = self.quarantines.get_mut(&listed_as.unique_id) {
            quarantines.end(listed_as.reported_size);
            if quarantines.is_empty() {
                self.quarantines.remove(&listed_as.unique_id);
            }
        }
    }

    fn take_out(&mut self, id: EntryId) -> Result<Entry, Inconsistent> {
        if let Some(unique_id) = self.entries.get(id).and_then(|entry| entry.unique_id.as_ref()) {
            self.by_unique_id.remove(id, unique_id);
        }
        self.entries.remove(id).ok_or(UNKNOWN_ENTRY)
    }

    fn each(&mut self, ids: &[EntryId], mut change: impl FnMut(&mut Entry)) -> Result<(), Inconsistent> {
        for id in ids {
            change(self.entries.get_mut(*id).ok_or(UNKNOWN_ENTRY)?);
        }
        Ok(())
    }
}

/// Returns the records that make up an entry.
pub(super) fn entry_records(entry: Entry) -> impl Iterator<Item = Record> {
    let intent = entry.intent.as_ref();
    let also = intent.filter(|intent| !intent.also.is_empty());
    let also = also.map(|intent| Record::AlsoInto { id: entry.id, maildirs: intent.also.clone() });
    let not_linked = intent.filter(|intent| !intent.not_linked.is_empty());
    let not_linked = not_linked.map(|intent| Record::NotLinked { id: entry.id, maildirs: intent.not_linked.clone() });
    std::iter::once(Record::Entry(entry)).chain(also).chain(not_linked)
}

const UNKNOWN_MAILDIR: Inconsistent = Inconsistent("a delivery to an unknown Maildir");
const UNKNOWN_ENTRY: Inconsistent = Inconsistent("an entry that does not exist");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::InstanceId;

    #[test]
    fn whatever_is_guessed_the_same_is_found() {
        let identity = Identity { instance: InstanceId::new(1), host: "h".into(), user: "u".into(), created: 0 };
        let mut state = UidState::new(identity);
        let name = |name: &str| UniqueId::new(name.as_bytes()).unwrap();
        let long = "x".repeat(100);
        let names = ["a", "b", &long, "b", "c"];
        let same = |state: &UidState| {
            for guess in (0..8).map(EntryId::new) {
                for name in names.into_iter().chain(["d"]).map(name) {
                    assert_eq!(state.ids_of_probably(guess, &name), state.ids_of(&name), "{guess} {name}");
                }
            }
        };
        for (id, one) in (2..).zip(names) {
            state.apply(Record::Entry(Entry::bare(id, Some(name(one))))).unwrap();
            same(&state);
        }
        for id in [3, 4, 2] {
            state.apply(Record::Forgotten(vec![EntryId::new(id)])).unwrap();
            same(&state);
        }
    }
}
