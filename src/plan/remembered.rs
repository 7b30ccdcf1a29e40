//! Finds the remembered message that a retrieved one is, by its bytes. PURE.

use std::collections::{HashMap, HashSet};

use super::NewUniqueId;
use super::evidence::is_same;
use crate::ids::EntryId;
use crate::message::{Digest, Digests};
use crate::plan::maildrop::Listed;
use crate::pop3::UniqueId;
use crate::state::entries::Entry;

/// What else than its bytes shows that a retrieved message is a remembered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The unique-id under which it is listed.
    Lasting,
    /// Nothing: there are no unique-ids, or they are the message numbers. A device may have sent an alarm twice.
    SayNothing,
}

impl Names {
    /// Whether a message with a weak header that has all bytes of this remembered one is another, because the server has
    /// removed the remembered one. What was missing for another reason may be here again, and what was in doubt may never
    /// have gone.
    fn is_another(self, entry: &Entry) -> bool {
        self == Self::SayNothing && entry.removed
    }
}

/// Remembered messages that a retrieved one may turn out to be. Each is found once.
#[derive(Debug)]
pub struct Remembered {
    /// By unique-id and the digest of all bytes, or of the header if no other is known.
    by_digest: ByDigest,
    /// Entries that are matched with another listed message of the same unique-id and size. Nothing has shown which
    /// message is which.
    taken_for_others: ByDigest,
    /// Vanished entries, by the digest of all bytes: the server may list their messages under new unique-ids. They have
    /// no unique-ids here. The oldest of those that are alike come last.
    vanished: HashMap<Digest, Vec<Entry>>,
    /// The entries taken out, if some have vanished: one of these may be under its old unique-id as well.
    taken: HashSet<EntryId>,
    /// What else than their bytes shows that a message is one of these.
    names: Names,
}

/// Entries by unique-id and digest.
type ByDigest = HashMap<(Option<UniqueId>, Digest), Vec<Entry>>;

fn by_digest(entries: impl Iterator<Item = Entry>) -> ByDigest {
    let mut by_digest = ByDigest::new();
    for entry in entries {
        if let Some(digest) = entry.fingerprint.whole.or(entry.fingerprint.header) {
            by_digest.entry((entry.unique_id.clone(), digest)).or_default().push(entry);
        }
    }
    by_digest
}

impl Remembered {
    /// Collects the entries that have a digest, and those matched with other messages of the same unique-ids.
    #[must_use]
    pub fn new(
        names: Names,
        entries: impl Iterator<Item = Entry>,
        taken_for_others: impl Iterator<Item = Entry>,
    ) -> Self {
        let mut by_digest_of_all = by_digest(entries);
        // Those that are certainly there are taken first.
        by_digest_of_all.values_mut().for_each(|alike| alike.sort_by_key(|entry| !names.is_another(entry)));
        Self {
            by_digest: by_digest_of_all,
            taken_for_others: by_digest(taken_for_others),
            vanished: HashMap::new(),
            taken: HashSet::new(),
            names,
        }
    }

    /// Adds vanished entries, the youngest first.
    #[must_use]
    pub fn with_vanished<'a>(mut self, entries: impl Iterator<Item = &'a Entry>) -> Self {
        for entry in entries {
            if let Some(whole) = entry.fingerprint.whole {
                self.vanished.entry(whole).or_default().push(Entry { unique_id: None, ..entry.clone() });
            }
        }
        self
    }

    /// Whether there is none, and never was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty() && self.taken_for_others.is_empty() && self.vanished.is_empty()
    }

    /// Takes out the entry that this message is, if it is one of them.
    pub fn take(&mut self, listed: &Listed, digests: Digests) -> Option<Entry> {
        let (taken, names) = (&self.taken, self.names);
        let is_another = |entry: &Entry| !digests.header.is_strong() && names.is_another(entry);
        let entry = [digests.whole, digests.header].into_iter().find_map(|digest| {
            let alike = self.by_digest.get_mut(&(listed.unique_id.clone(), digest))?;
            while alike.pop_if(|entry| taken.contains(&entry.id)).is_some() {}
            alike.pop_if(|entry| is_same(listed, digests, entry) && !is_another(entry))
        })?;
        self.note_taken(entry.id);
        Some(entry)
    }

    /// Takes out the entry that this message is although it was matched with another one. Only a strong header shows
    /// that the two are not different messages with the same bytes.
    pub fn take_from_another(&mut self, listed: &Listed, digests: Digests) -> Option<Entry> {
        let alike = self.taken_for_others.get_mut(&(listed.unique_id.clone(), digests.whole))?;
        alike.pop_if(|entry| digests.header.is_strong() && is_same(listed, digests, entry))
    }

    /// Takes out the vanished entry that this message is by all of its bytes, if it is one, with its new unique-id. Each serves one message: of two that are alike, where one has vanished, one is new.
    pub fn take_vanished(&mut self, listed: &Listed, digests: Digests) -> Option<(Entry, NewUniqueId)> {
        let unique_id = Some(listed.unique_id.clone()?);
        let (taken, alike) = (&self.taken, self.vanished.get_mut(&digests.whole)?);
        while alike.pop_if(|entry| taken.contains(&entry.id)).is_some() {}
        let entry = alike.pop()?;
        self.note_taken(entry.id);
        let new = NewUniqueId::of(listed, &entry)?;
        Some((Entry { unique_id, ..entry }, new))
    }

    fn note_taken(&mut self, entry: EntryId) {
        if !self.vanished.is_empty() {
            self.taken.insert(entry);
        }
    }

    /// Returns the entries left under unique-ids of which all messages were retrieved: these entries are not on the
    /// server.
    pub fn left_of<'a>(&'a self, stored: &'a HashSet<UniqueId>) -> impl Iterator<Item = EntryId> + 'a {
        let is_of = |unique_id: &Option<UniqueId>| unique_id.as_ref().is_some_and(|id| stored.contains(id));
        let left = self.by_digest.iter().filter(move |((unique_id, _), _)| is_of(unique_id));
        let ids = left.flat_map(|(_, entries)| entries.iter().map(|entry| entry.id));
        ids.filter(|id| !self.taken.contains(id))
    }
}
