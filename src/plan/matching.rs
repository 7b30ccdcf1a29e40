//! Which listed message is which remembered one. PURE.
//!
//! A unique-id with a size is known while no more messages are listed so than are remembered so, and none of these was
//! missing meanwhile: that saves a download, and deletes nothing. Whatever else comes under a known unique-id is told by its
//! header, if that says enough and the size is the same, or has to be retrieved so that its bytes tell.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, SessionSerial};
use crate::state::entries::{Entry, Fingerprint, UidState};

/// The headers that were seen in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    session: SessionSerial,
    /// Their digests, by number.
    headers: HashMap<MessageNumber, Digest>,
}

impl Seen {
    /// None yet, in this session.
    #[must_use]
    pub fn in_session(session: SessionSerial) -> Self {
        Self { session, headers: HashMap::new() }
    }

    /// This message of the session has this header.
    pub fn add(&mut self, number: MessageNumber, header: Digest) {
        self.headers.insert(number, header);
    }

    /// Takes more of them, unless they were seen in another session: there the numbers are other messages'.
    pub fn extend(&mut self, more: Self) {
        if more.session == self.session {
            self.headers.extend(more.headers);
        }
    }

    /// Whether they were seen in this session.
    pub(super) fn is_of(&self, session: SessionSerial) -> bool {
        self.session == session
    }

    /// The header of a message.
    pub(crate) fn get(&self, number: &MessageNumber) -> Option<&Digest> {
        self.headers.get(number)
    }

    /// How many were seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether none was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }
}

/// Which listed message is which remembered one.
#[derive(Debug, Clone, Default)]
pub(super) struct Matching<'a> {
    /// The same, as far as not fetching it goes.
    pub(super) known: Vec<(&'a Listed, &'a Entry)>,
    /// Nothing remembered fits.
    pub(super) new: Vec<&'a Listed>,
    /// The header would tell.
    pub(super) to_look_at: Vec<&'a Listed>,
    /// Only the bytes tell.
    pub(super) to_compare: Vec<&'a Listed>,
}

impl<'a> Matching<'a> {
    /// With what was seen of the headers; None: nobody has looked yet.
    pub(super) fn of(maildrop: &'a Maildrop, state: &'a UidState, seen: Option<&Seen>) -> Self {
        let mut matching = Self::default();
        let mut named = Vec::with_capacity(maildrop.messages.len());
        let mut next = EntryId::FIRST;
        for listed in &maildrop.messages {
            // Most are listed in the order in which they were delivered.
            match listed.unique_id.as_ref().map(|unique_id| state.ids_of_probably(next, unique_id)) {
                None | Some([]) => matching.new.push(listed),
                // The oldest entry stands for the unique-id.
                Some(ids @ [oldest, ..]) => {
                    named.push((*oldest, ids, listed));
                    next = oldest.next();
                }
            }
        }
        named.sort_by_key(|(oldest, ..)| *oldest);
        for group in named.chunk_by(|a, b| a.0 == b.0) {
            let Some((_, ids, first)) = group.first() else { continue };
            let only = match ids {
                [id] if group.len() == 1 => state.entry(*id),
                _ => None,
            };
            match only {
                // As nearly always.
                Some(entry) if !entry.was_gone() && sizes_agree(first, entry) => matching.known.push((*first, entry)),
                _ => matching.tell_apart(group.iter().map(|(.., listed)| *listed), ids, state, seen),
            }
        }
        matching.know_by_spelling(maildrop, state);
        matching.known.sort_by_key(|(listed, _)| listed.number);
        matching
    }

    /// What getmail fetched is known though it spells unique-ids in its own way, unless something is listed as it spells.
    fn know_by_spelling(&mut self, maildrop: &'a Maildrop, state: &'a UidState) {
        let spelt = |listed: &&'a Listed| Some((*listed, state.spelt_by_getmail(listed.unique_id.as_ref()?)?));
        let pairs: Vec<(&Listed, &Entry)> = self.new.iter().filter_map(spelt).collect();
        if pairs.is_empty() {
            return;
        }
        let mut taken: HashSet<_> = maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        let free = pairs.into_iter().filter(|(_, entry)| entry.unique_id.as_ref().is_some_and(|id| taken.insert(id)));
        let pairs = free.collect();
        self.adopt(pairs);
    }

    /// Takes these for known after all.
    pub(super) fn adopt(&mut self, pairs: Vec<(&'a Listed, &'a Entry)>) {
        let numbers: HashSet<MessageNumber> = pairs.iter().map(|(listed, _)| listed.number).collect();
        for rest in [&mut self.new, &mut self.to_look_at, &mut self.to_compare] {
            rest.retain(|listed| !numbers.contains(&listed.number));
        }
        self.known.extend(pairs);
        self.known.sort_by_key(|(listed, _)| listed.number);
    }

    /// Takes out of what is known what `which` names: only the bytes tell.
    pub(super) fn compare_instead(&mut self, which: impl Fn(&Listed, &Entry) -> bool) {
        let to_compare = &mut self.to_compare;
        self.known.retain(|(listed, entry)| {
            let takes = which(listed, entry);
            to_compare.extend(takes.then_some(*listed));
            !takes
        });
    }

    /// Messages that share a unique-id, and what is remembered under it.
    fn tell_apart(
        &mut self,
        listed: impl Iterator<Item = &'a Listed>,
        ids: &[EntryId],
        state: &'a UidState,
        seen: Option<&Seen>,
    ) {
        let mut by_size: BTreeMap<Option<u64>, Cell<'a>> = BTreeMap::new();
        let mut count = 0_usize;
        for listed in listed {
            count += 1;
            by_size.entry(listed.reported_size).or_default().listed.push(listed);
        }
        let remembered = ids.iter().filter_map(|id| state.entry(*id)).filter(|entry| !entry.was_gone()).count();
        // One more under this name than before may be any of them: the one that was there may have another size by now.
        let is_new_among_them = count > remembered;
        // What another program fetched is known by its unique-id alone.
        let mut by_name: Vec<&Entry> = Vec::new();
        // Listed the last time, and no message of this size is listed now.
        let mut left: Vec<&Entry> = Vec::new();
        for entry in ids.iter().filter_map(|id| state.entry(*id)) {
            let Fingerprint { reported_size, header, whole } = entry.fingerprint;
            match by_size.get_mut(&reported_size) {
                _ if header.is_none() && whole.is_none() => by_name.push(entry),
                Some(cell) if entry.was_gone() => cell.gone.push(entry),
                Some(cell) => cell.present.push(entry),
                None => left.extend(Some(entry).filter(|entry| !entry.was_gone())),
            }
        }
        let mut sizeless = by_size.remove(&None).unwrap_or_default();
        // One of another size than any had may be any of them, too: then a size says which one is here as long as none of
        // that size is missing.
        let is_another_size = by_size.values().any(Cell::is_unknown);
        let fits = |cell: &Cell<'_>| {
            let (listed, present) = (cell.listed.len(), cell.present.len());
            !is_new_among_them && if is_another_size { listed == present } else { listed <= present }
        };
        for cell in by_size.into_values() {
            if cell.is_unknown() {
                for listed in cell.listed {
                    match by_name.pop() {
                        Some(entry) => self.known.push((listed, entry)),
                        None => self.to_compare.push(listed),
                    }
                }
            } else {
                let fits = fits(&cell);
                left.append(&mut self.tell_cell(cell, seen, fits));
            }
        }
        // A size that is not told contradicts none.
        sizeless.present.append(&mut left);
        sizeless.present.append(&mut by_name);
        let fits = fits(&sizeless);
        self.tell_cell(sizeless, seen, fits);
    }

    /// Messages that share unique-id and size, and what is remembered so; `fits`: any of them may stand for any other. Gives
    /// back what was listed the last time and is none of them.
    fn tell_cell(&mut self, mut cell: Cell<'a>, seen: Option<&Seen>, fits: bool) -> Vec<&'a Entry> {
        let Some(seen) = seen else {
            if fits {
                sure_first(&mut cell.present);
                let paired = cell.present.drain(..cell.listed.len());
                self.known.extend(cell.listed.into_iter().zip(paired));
            } else {
                self.to_look_at.append(&mut cell.listed);
                cell.present.clear();
            }
            return cell.present;
        };
        let mut by_header = cell.by_header(seen, fits);
        let (mut taken, mut unseen) = (HashSet::new(), Vec::new());
        for one in cell.listed {
            let Some(header) = strong_header(one, seen) else {
                unseen.push(one);
                continue;
            };
            match by_header.get_mut(header).and_then(Vec::pop) {
                Some(entry) => {
                    taken.insert(entry.id);
                    self.known.push((one, entry));
                }
                None => self.to_compare.push(one),
            }
        }
        cell.present.retain(|entry| !taken.contains(&entry.id));
        if fits {
            sure_first(&mut cell.present);
            let paired = cell.present.drain(..unseen.len().min(cell.present.len()));
            self.known.extend(unseen.into_iter().zip(paired));
            return cell.present;
        }
        self.to_compare.extend(unseen);
        Vec::new()
    }
}

/// The header of a listed message, if it was seen and says enough.
fn strong_header<'s>(listed: &Listed, seen: &'s Seen) -> Option<&'s Digest> {
    seen.get(&listed.number).filter(|header| header.is_strong())
}

/// Messages that share unique-id and size.
#[derive(Default)]
struct Cell<'a> {
    listed: Vec<&'a Listed>,
    /// Remembered, and listed the last time.
    present: Vec<&'a Entry>,
    /// Remembered, and missing the last time.
    gone: Vec<&'a Entry>,
}

impl<'a> Cell<'a> {
    /// Whether nothing remembered has this size.
    fn is_unknown(&self) -> bool {
        self.present.is_empty() && self.gone.is_empty()
    }

    /// What has a header that says enough; of each header, what was listed the last time comes first. Where more are
    /// listed with a header than are remembered with it, any of them may be the other one: it tells nothing. What was not
    /// seen may have any header, unless it is known without.
    fn by_header(&self, seen: &Seen, fits: bool) -> HashMap<Digest, Vec<&'a Entry>> {
        let mut by_header: HashMap<Digest, Vec<&Entry>> = HashMap::new();
        for entry in self.gone.iter().chain(&self.present).copied() {
            if let Some(header) = entry.fingerprint.header.filter(|header| header.is_strong()) {
                by_header.entry(header).or_default().push(entry);
            }
        }
        let mut listed: HashMap<&Digest, usize> = HashMap::new();
        let mut unseen = 0;
        for one in &self.listed {
            match strong_header(one, seen) {
                Some(header) => *listed.entry(header).or_default() += 1,
                None => unseen += usize::from(!fits),
            }
        }
        by_header.retain(|header, alike| listed.get(header).is_some_and(|count| count + unseen <= alike.len()));
        by_header
    }
}

/// What is in doubt comes last: it may have come in another size than it was listed with, and the size is not its own.
fn sure_first(present: &mut [&Entry]) {
    present.sort_by_key(|entry| entry.doubt);
}

/// Whether a message is listed with the size that an entry has. A size that is told for the first time contradicts none here:
/// the plan has the bytes compared.
fn sizes_agree(listed: &Listed, entry: &Entry) -> bool {
    listed.reported_size.zip(entry.fingerprint.reported_size).is_none_or(|(listed, entry)| listed == entry)
}
