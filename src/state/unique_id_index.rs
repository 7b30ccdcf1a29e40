//! Finds entries by unique-id. PURE.
//!
//! The unique-ids are stored in the entries only: for a million entries they take most of the memory.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::entry_table::EntryTable;
use crate::ids::EntryId;
use crate::pop3::UniqueId;

/// The entries that share a unique-id, in the order in which they got it.
#[derive(Debug, Clone)]
struct Several {
    ids: Vec<EntryId>,
    /// How many of the first ones have been removed. Entries are mostly removed in the order in which they came:
    /// shifting the rest each time would be quadratic for a maildrop whose messages all have the same unique-id.
    gone: usize,
}

impl Several {
    fn as_slice(&self) -> &[EntryId] {
        self.ids.get(self.gone..).unwrap_or_default()
    }

    fn remove(&mut self, id: EntryId) {
        if self.as_slice().first() == Some(&id) {
            self.gone += 1;
            if self.gone > self.ids.len() / 2 {
                self.ids.drain(..self.gone);
                self.gone = 0;
            }
        } else if self.ids.last() == Some(&id) {
            self.ids.pop();
        } else {
            self.ids.drain(..self.gone);
            self.gone = 0;
            self.ids.retain(|other| *other != id);
        }
    }
}

/// Maps unique-ids to entries. Callers pass the entry table, which must have exactly the entries that were added and
/// not removed.
#[derive(Debug, Clone, Default)]
pub(super) struct UniqueIdIndex {
    /// One entry for each unique-id.
    one_of_each: HashTable<EntryId>,
    /// All entries of each unique-id that has more than one, in the order in which they got it.
    several: HashMap<UniqueId, Several>,
    /// Randomized, since the server chooses the unique-ids.
    hasher: RandomState,
}

impl UniqueIdIndex {
    /// Returns the entries with this unique-id, in the order in which they got it.
    pub(super) fn get<'a>(&'a self, unique_id: &UniqueId, entries: &EntryTable) -> &'a [EntryId] {
        if let Some(ids) = self.several.get(unique_id) {
            return ids.as_slice();
        }
        let has_it = |id: &EntryId| unique_id_of(*id, entries) == Some(unique_id);
        let found = self.one_of_each.find(self.hasher.hash_one(unique_id), has_it);
        found.map(std::slice::from_ref).unwrap_or_default()
    }

    /// Whether no two entries share a unique-id.
    pub(super) fn has_each_once(&self) -> bool {
        self.several.is_empty()
    }

    /// Adds an entry, which must be in the table already.
    pub(super) fn add(&mut self, id: EntryId, unique_id: &UniqueId, entries: &EntryTable) {
        if let Some(several) = self.several.get_mut(unique_id) {
            several.ids.push(id);
            return;
        }
        let Self { one_of_each, several, hasher } = self;
        let hash = hasher.hash_one(unique_id);
        let has_it = |id: &EntryId| unique_id_of(*id, entries) == Some(unique_id);
        let hash_of = |id: &EntryId| unique_id_of(*id, entries).map_or(0, |one| hasher.hash_one(one));
        match one_of_each.find(hash, has_it) {
            Some(first) => _ = several.insert(unique_id.clone(), Several { ids: vec![*first, id], gone: 0 }),
            None => _ = one_of_each.insert_unique(hash, id, hash_of),
        }
    }

    /// Removes an entry, which must still be in the table.
    pub(super) fn remove(&mut self, id: EntryId, unique_id: &UniqueId) {
        let next = self.several.get_mut(unique_id).and_then(|several| {
            several.remove(id);
            several.as_slice().first().copied()
        });
        if self.several.get(unique_id).is_some_and(|several| several.as_slice().len() < 2) {
            self.several.remove(unique_id);
        }
        let hash = self.hasher.hash_one(unique_id);
        let Ok(mut place) = self.one_of_each.find_entry(hash, |one| *one == id) else { return };
        match next {
            Some(next) => *place.get_mut() = next,
            None => {
                place.remove();
            }
        }
    }

    /// Removes entries, which must still be in the table. Any number of entries that share a unique-id are removed in
    /// one pass.
    pub(super) fn remove_all(&mut self, ids: &[EntryId], entries: &EntryTable) {
        let mut shared: HashMap<UniqueId, HashSet<EntryId>> = HashMap::new();
        for id in ids {
            let Some(unique_id) = unique_id_of(*id, entries) else { continue };
            if self.several.contains_key(unique_id) {
                shared.entry(unique_id.clone()).or_default().insert(*id);
            } else {
                self.remove(*id, unique_id);
            }
        }
        for (unique_id, removed) in shared {
            let Some(several) = self.several.get_mut(&unique_id) else { continue };
            let mut left = several.as_slice().to_vec();
            left.retain(|id| !removed.contains(id));
            let first = left.first().copied();
            match left.len() {
                0 | 1 => _ = self.several.remove(&unique_id),
                _ => *several = Several { ids: left, gone: 0 },
            }
            let hash = self.hasher.hash_one(&unique_id);
            let Ok(mut place) = self.one_of_each.find_entry(hash, |one| removed.contains(one)) else { continue };
            match first {
                Some(first) => *place.get_mut() = first,
                None => _ = place.remove(),
            }
        }
    }

    /// Reserves room for this many more entries.
    pub(super) fn reserve(&mut self, additional: usize, entries: &EntryTable) {
        let Self { one_of_each, hasher, .. } = self;
        let hash_of = |id: &EntryId| unique_id_of(*id, entries).map_or(0, |one| hasher.hash_one(one));
        one_of_each.reserve(additional, hash_of);
    }
}

fn unique_id_of(id: EntryId, entries: &EntryTable) -> Option<&UniqueId> {
    entries.get(id)?.unique_id.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::entry::Entry;

    /// Entries with their index, and the ids expected for each unique-id, in order.
    #[derive(Default)]
    struct IndexedEntries {
        entries: EntryTable,
        index: UniqueIdIndex,
        expected: HashMap<UniqueId, Vec<EntryId>>,
    }

    fn named(number: u64) -> UniqueId {
        // Some are short enough to be stored inline, and some are not.
        UniqueId::new("x".repeat(usize::try_from(number).unwrap()).as_bytes()).unwrap()
    }

    impl IndexedEntries {
        fn add(&mut self, id: EntryId, unique_id: UniqueId) {
            let entry = Entry::bare(id.get(), Some(unique_id.clone()));
            self.entries.insert(entry).unwrap();
            self.index.add(id, &unique_id, &self.entries);
            self.expected.entry(unique_id).or_default().push(id);
        }

        fn remove(&mut self, id: EntryId) {
            let unique_id = self.entries.get(id).unwrap().unique_id.clone().unwrap();
            self.index.remove(id, &unique_id);
            self.entries.remove(id).unwrap();
            self.expected.get_mut(&unique_id).unwrap().retain(|other| *other != id);
        }

        fn remove_all(&mut self, ids: &[EntryId]) {
            self.index.remove_all(ids, &self.entries);
            for id in ids {
                let entry = self.entries.remove(*id).unwrap();
                self.expected.get_mut(&entry.unique_id.unwrap()).unwrap().retain(|other| other != id);
            }
        }

        fn check(&self) {
            for number in 1..40 {
                let expected = self.expected.get(&named(number)).map(Vec::as_slice).unwrap_or_default();
                assert_eq!(self.index.get(&named(number), &self.entries), expected, "{number}");
            }
            assert_eq!(self.index.has_each_once(), self.expected.values().all(|ids| ids.len() < 2));
        }
    }

    #[test]
    fn those_of_one_unique_id_go_from_either_end_and_from_the_middle() {
        let orders: [fn(&mut Vec<u64>); 3] = [|_| {}, |ids| ids.reverse(), |ids| ids.rotate_left(200)];
        for order in orders {
            let mut kept = IndexedEntries::default();
            let mut ids: Vec<u64> = (1..400).collect();
            ids.iter().for_each(|id| kept.add(EntryId::new(*id), named(7)));
            order(&mut ids);
            for (number, id) in ids.into_iter().enumerate() {
                kept.remove(EntryId::new(id));
                if number % 50 == 0 {
                    kept.add(EntryId::new(1000 + id), named(7));
                }
                kept.check();
            }
        }
    }

    #[test]
    fn each_unique_id_leads_to_its_entries_whatever_comes_and_goes() {
        for seed in 0..20 {
            let (mut kept, mut random) = (IndexedEntries::default(), fastrand::Rng::with_seed(seed));
            let mut there = Vec::new();
            for id in 1..400 {
                if random.u8(..) < 100 && !there.is_empty() {
                    kept.remove(there.swap_remove(random.usize(..there.len())));
                } else {
                    kept.add(EntryId::new(id), named(random.u64(1..40)));
                    there.push(EntryId::new(id));
                }
                kept.check();
            }
        }
    }

    #[test]
    fn many_go_in_one_go() {
        for seed in 0..50 {
            let (mut kept, mut random) = (IndexedEntries::default(), fastrand::Rng::with_seed(seed));
            (1..400).for_each(|id| kept.add(EntryId::new(id), named(random.u64(1..40).max(random.u64(1..40)))));
            let mut there: Vec<EntryId> = (1..400).map(EntryId::new).collect();
            random.shuffle(&mut there);
            while !there.is_empty() {
                let gone = there.split_off(there.len() - random.usize(1..=there.len()));
                kept.remove_all(&gone);
                kept.check();
            }
        }
    }

    #[test]
    fn every_second_one_of_many_alike_goes_as_fast_as_all() {
        let mut kept = IndexedEntries::default();
        let ids: Vec<EntryId> = (1..=150_000).map(EntryId::new).collect();
        ids.iter().for_each(|id| kept.add(*id, named(7)));
        let begun = std::time::Instant::now();
        let gone: Vec<EntryId> = ids.into_iter().step_by(2).collect();
        kept.index.remove_all(&gone, &kept.entries);
        // One at a time this would take minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(kept.index.get(&named(7), &kept.entries).len(), 75_000);
    }

    #[test]
    fn what_was_removed_can_be_there_again_under_another_name() {
        let mut kept = IndexedEntries::default();
        let [one, two] = [1, 2].map(EntryId::new);
        kept.add(one, named(3));
        kept.add(two, named(3));
        kept.remove(one);
        kept.add(one, named(4));
        kept.check();
        kept.index.reserve(1000, &kept.entries);
        kept.check();
    }
}
