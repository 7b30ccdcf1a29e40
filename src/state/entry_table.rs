//! Entries by id. PURE.
//!
//! Ids are assigned in ascending order and never reused, and few entries are removed before the file is rewritten. So
//! the entries are kept in one sorted array, and an id nearly gives its position: reading a file of 100,000 messages
//! moves each once.

use super::entry::Entry;
use crate::ids::EntryId;

/// The entries of a state, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct EntryTable {
    /// Sorted by id.
    slots: Vec<Slot>,
    /// The number of entries.
    count: usize,
}

/// A slot of the array.
#[derive(Debug, Clone)]
enum Slot {
    /// An entry.
    Taken(Entry),
    /// The id of an entry that was removed.
    Free(EntryId),
}

impl Slot {
    fn id(&self) -> EntryId {
        match self {
            Self::Taken(entry) => entry.id,
            Self::Free(id) => *id,
        }
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Taken(entry) => Some(entry),
            Self::Free(_) => None,
        }
    }

    fn entry_mut(&mut self) -> Option<&mut Entry> {
        match self {
            Self::Taken(entry) => Some(entry),
            Self::Free(_) => None,
        }
    }
}

impl EntryTable {
    /// Reserves room for this many more entries.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.slots.reserve(additional);
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Iterates over the entries, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter_map(Slot::entry)
    }

    /// Iterates over the entries, to change them. Their ids must stay the same.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.slots.iter_mut().filter_map(Slot::entry_mut)
    }

    /// Returns the entry with this id; None if there is none.
    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        self.slots.get(self.slot(id).ok()?)?.entry()
    }

    /// Returns one entry, to change it. Its id must stay the same.
    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        let slot = self.slot(id).ok()?;
        self.slots.get_mut(slot)?.entry_mut()
    }

    /// Inserts an entry. None if its id is taken.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<()> {
        let id = entry.id;
        match self.slot(id) {
            Err(slot) => self.slots.insert(slot, Slot::Taken(entry)),
            Ok(slot) => {
                *self.slots.get_mut(slot).filter(|slot| slot.entry().is_none())? = Slot::Taken(entry);
            }
        }
        self.count += 1;
        Some(())
    }

    /// Removes the entry with this id and returns it; None if there is none.
    pub(super) fn remove(&mut self, id: EntryId) -> Option<Entry> {
        let slot = self.slot(id).ok()?;
        match std::mem::replace(self.slots.get_mut(slot)?, Slot::Free(id)) {
            Slot::Taken(entry) => {
                self.count -= 1;
                Some(entry)
            }
            Slot::Free(_) => None,
        }
    }

    /// Returns the position of this id, or the position to insert it at.
    fn slot(&self, id: EntryId) -> Result<usize, usize> {
        let end = self.slots.len();
        let (Some(first), Some(last)) = (self.slots.first().map(Slot::id), self.slots.last().map(Slot::id)) else {
            return Err(0);
        };
        if id > last {
            return Err(end);
        }
        let Some(distance) = id.get().checked_sub(first.get()) else { return Err(0) };
        // Ids are at least 1 apart, so its position is at most this.
        let latest = usize::try_from(distance).unwrap_or(end).min(end);
        match self.slots.get(latest) {
            Some(at) if at.id() == id => Ok(latest),
            _ => self.slots.get(..latest).unwrap_or_default().binary_search_by_key(&id, Slot::id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: &[u64]) -> EntryTable {
        let mut table = EntryTable::default();
        ids.iter().for_each(|id| table.insert(Entry::bare(*id, None)).unwrap());
        table
    }

    fn ids(table: &EntryTable) -> Vec<u64> {
        table.iter().map(|entry| entry.id.get()).collect()
    }

    #[test]
    fn a_million_entries_have_room() {
        assert!(size_of::<Slot>() <= 128, "{} octets for each message that is remembered", size_of::<Slot>());
    }

    #[test]
    fn each_id_is_found_and_no_other() {
        for present in [&[][..], &[1], &[7], &[1, 2, 3, 4], &[3, 4, 9, 10, 11, 90], &[0, u64::MAX], &[9, 3, 5, 4, 1]] {
            let table = table(present);
            for id in (0..100).chain([u64::MAX - 1, u64::MAX]) {
                let found = table.get(EntryId::new(id)).map(|entry| entry.id.get());
                assert_eq!(found, present.contains(&id).then_some(id), "{present:?}");
            }
            let mut sorted = present.to_vec();
            sorted.sort_unstable();
            assert_eq!((ids(&table), table.len()), (sorted, present.len()));
        }
    }

    #[test]
    fn what_went_is_gone_and_its_place_can_be_taken() {
        let mut table = table(&[1, 2, 3, 5]);
        assert!(table.insert(Entry::bare(2, None)).is_none(), "it is there");
        let (two, four) = (EntryId::new(2), EntryId::new(4));
        assert_eq!(table.remove(two).unwrap().id, two);
        assert!(table.remove(two).is_none() && table.remove(four).is_none());
        assert!(table.get(two).is_none() && table.get_mut(two).is_none());
        assert_eq!((ids(&table), table.len()), (vec![1, 3, 5], 3));
        table.insert(Entry::bare(2, None)).unwrap();
        table.insert(Entry::bare(4, None)).unwrap();
        assert_eq!((ids(&table), table.len()), (vec![1, 2, 3, 4, 5], 5));
    }
}
