//! Matches listed messages with remembered ones. PURE.
//!
//! Messages with a remembered unique-id and size count as known if no more of them are listed than remembered, and none
//! of those was missing in the meantime: this saves downloads, but permits no deletion. Any other message under a
//! remembered unique-id is identified by its header, if that is strong and the size is the same, or has to be retrieved
//! and identified by its bytes. An entry of which neither is remembered, made by an import or an adoption, is thus known
//! by its unique-id, and its size if that is remembered, until a listing lacks it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, ReportedSize, SessionSerial, UniqueId};
use crate::state::entries::{Entry, UidState};

/// The headers seen in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    session: SessionSerial,
    /// Their digests, by message number.
    headers: HashMap<MessageNumber, Digest>,
}

impl Seen {
    /// Creates an empty collection for this session.
    pub(crate) fn in_session(session: SessionSerial) -> Self {
        Self { session, headers: HashMap::new() }
    }

    /// Creates one in which nothing was seen. It belongs to no session, and shows nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::in_session(SessionSerial::next())
    }

    /// Adds the header of a message in this session.
    pub(crate) fn add(&mut self, number: MessageNumber, header: Digest) {
        self.headers.insert(number, header);
    }

    /// Adds more headers, unless they come from another session, in which the numbers mean other messages.
    pub fn extend(&mut self, more: Self) {
        if more.session == self.session {
            self.headers.extend(more.headers);
        }
    }

    /// Whether the headers were seen in this session.
    pub(super) fn is_of(&self, session: SessionSerial) -> bool {
        self.session == session
    }

    /// Returns the digest of a message's header, if it was seen.
    pub(crate) fn get(&self, number: &MessageNumber) -> Option<&Digest> {
        self.headers.get(number)
    }

    /// Returns how many headers were seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether no header was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }
}

/// Which listed message is which remembered one.
#[derive(Debug, Clone, Default)]
pub(super) struct Matching<'a> {
    /// Known, as far as fetching is concerned.
    pub(super) known: Vec<(&'a Listed, &'a Entry)>,
    /// Messages that no entry matches: they are fetched.
    pub(super) new: Vec<&'a Listed>,
    /// The header would decide.
    pub(super) to_look_at: Vec<&'a Listed>,
    /// Only the bytes decide.
    pub(super) to_compare: Vec<&'a Listed>,
}

impl<'a> Matching<'a> {
    /// Matches a listing with the state. `seen` has the headers seen so far; `None` if none was requested yet.
    pub(super) fn of(maildrop: &'a Maildrop, state: &'a UidState, seen: Option<&Seen>) -> Self {
        let mut matching = Self::default();
        let mut named = Vec::with_capacity(maildrop.messages.len());
        let mut next = EntryId::FIRST;
        for listed in &maildrop.messages {
            // Most messages are listed in the order of delivery.
            match listed.unique_id.as_ref().map(|unique_id| state.ids_of_probably(next, unique_id)) {
                None | Some([]) => matching.new.push(listed),
                // The oldest entry represents the unique-id.
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
                // Nearly always.
                Some(entry) if !entry.was_gone() && sizes_agree(first, entry) => matching.known.push((*first, entry)),
                _ => matching.tell_apart(group.iter().map(|(.., listed)| *listed), ids, state, seen),
            }
        }
        matching.know_by_spelling(maildrop, state);
        matching.known.sort_by_key(|(listed, _)| listed.number);
        matching
    }

    /// Matches messages fetched by getmail, which spells unique-ids in its own way, unless its spelling of the
    /// unique-id is listed as well, or several messages could be meant.
    fn know_by_spelling(&mut self, maildrop: &'a Maildrop, state: &'a UidState) {
        let spelt = |listed: &&'a Listed| Some((*listed, state.spelt_by_getmail(listed.unique_id.as_ref()?)?));
        let pairs: Vec<(&Listed, &Entry)> = self.new.iter().filter_map(spelt).collect();
        if pairs.is_empty() {
            return;
        }
        let listed: HashSet<_> = maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        let mut meant: HashMap<EntryId, usize> = HashMap::new();
        pairs.iter().for_each(|(_, entry)| *meant.entry(entry.id).or_default() += 1);
        let is_known = |(listed_as, entry): &(&Listed, &Entry)| {
            let is_free = entry.unique_id.as_ref().is_some_and(|id| !listed.contains(id));
            is_free && meant.get(&entry.id) == Some(&1) && !entry.was_gone() && sizes_agree(listed_as, entry)
        };
        let pairs = pairs.into_iter().filter(is_known).collect();
        self.adopt(pairs);
    }

    /// Whether nothing that is listed has a remembered unique-id.
    pub(super) fn knows_nothing(&self) -> bool {
        self.known.is_empty() && self.to_look_at.is_empty() && self.to_compare.is_empty()
    }

    /// Moves these to the known messages.
    pub(super) fn adopt(&mut self, pairs: Vec<(&'a Listed, &'a Entry)>) {
        let numbers: HashSet<MessageNumber> = pairs.iter().map(|(listed, _)| listed.number).collect();
        for rest in [&mut self.new, &mut self.to_look_at, &mut self.to_compare] {
            rest.retain(|listed| !numbers.contains(&listed.number));
        }
        self.known.extend(pairs);
        self.known.sort_by_key(|(listed, _)| listed.number);
    }

    /// Moves the known messages that `which` selects to those that only their bytes identify. Of several with one
    /// unique-id, which is in use for more than one where it `is_shared`, any may be any other of its size: then the
    /// bytes of all are needed.
    pub(super) fn compare_instead(
        &mut self,
        which: impl Fn(&Listed, &Entry) -> bool,
        is_shared: impl Fn(&UniqueId) -> bool,
    ) {
        let named = |listed: &'a Listed| {
            let unique_id = listed.unique_id.as_ref().filter(|unique_id| is_shared(unique_id))?;
            Some((unique_id, listed.reported_size))
        };
        let selected = self.known.iter().filter(|(listed, entry)| which(listed, entry));
        let names: HashSet<_> = selected.filter_map(|(listed, _)| named(listed)).collect();
        let to_compare = &mut self.to_compare;
        self.known.retain(|(listed, entry)| {
            let takes = which(listed, entry) || named(listed).is_some_and(|name| names.contains(&name));
            to_compare.extend(takes.then_some(*listed));
            !takes
        });
    }

    /// Tells messages apart that share a unique-id, given the entries under it.
    fn tell_apart(
        &mut self,
        listed: impl Iterator<Item = &'a Listed>,
        ids: &[EntryId],
        state: &'a UidState,
        seen: Option<&Seen>,
    ) {
        let mut by_size: BTreeMap<Option<ReportedSize>, Cell<'a>> = BTreeMap::new();
        let mut count = 0_usize;
        for listed in listed {
            count += 1;
            by_size.entry(listed.reported_size).or_default().listed.push(listed);
        }
        let remembered = ids.iter().filter_map(|id| state.entry(*id)).filter(|entry| !entry.was_gone()).count();
        // If more messages have this unique-id than before, any may be the new one: the old one may have another size
        // by now.
        let is_new_among_them = count > remembered;
        // Entries imported from another program are known by their unique-ids alone, unless any may be another one.
        let mut by_name: Vec<&Entry> = Vec::new();
        // Entries listed the last time whose size no message has now.
        let mut left: Vec<&Entry> = Vec::new();
        for entry in ids.iter().filter_map(|id| state.entry(*id)) {
            match by_size.get_mut(&entry.fingerprint.reported_size) {
                // Nothing could show that its message came back.
                _ if entry.fingerprint.is_unknown() && entry.was_gone() => {}
                _ if entry.fingerprint.is_unknown() && entry.fingerprint.reported_size.is_none() => by_name.push(entry),
                Some(cell) if entry.was_gone() => cell.gone.push(entry),
                Some(cell) => cell.present.push(entry),
                None => left.extend(Some(entry).filter(|entry| !entry.was_gone())),
            }
        }
        let mut sizeless = by_size.remove(&None).unwrap_or_default();
        // A message of a size that no entry has may be any of them, too: then a size identifies messages only if none
        // of that size is missing.
        let is_another_size = by_size.values().any(Cell::is_unknown);
        let fits = |cell: &Cell<'_>| {
            let (listed, present) = (cell.listed.len(), cell.present.len());
            !is_new_among_them && if is_another_size { listed == present } else { listed <= present }
        };
        for cell in by_size.into_values() {
            if cell.is_unknown() {
                for listed in cell.listed {
                    match by_name.pop_if(|_| !is_new_among_them) {
                        Some(entry) => self.known.push((listed, entry)),
                        None => self.to_compare.push(listed),
                    }
                }
            } else {
                let fits = fits(&cell);
                left.append(&mut self.tell_cell(cell, seen, fits));
            }
        }
        // An unreported size contradicts none.
        sizeless.present.append(&mut left);
        sizeless.present.append(&mut by_name);
        let fits = fits(&sizeless);
        self.tell_cell(sizeless, seen, fits);
    }

    /// Tells messages apart that share unique-id and size. `fits`: any of them may stand for any other. Returns the
    /// entries listed the last time that match none of them.
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
        let (mut taken, mut others, mut unseen) = (HashSet::new(), Vec::new(), Vec::new());
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
                None => others.push(one),
            }
        }
        cell.present.retain(|entry| !taken.contains(&entry.id));
        if fits {
            // A header contradicts none that was never seen.
            let never_seen = cell.present.iter().copied().filter(|entry| entry.fingerprint.is_unknown());
            let paired: Vec<_> = others.iter().copied().zip(never_seen).collect();
            others.drain(..paired.len());
            taken.extend(paired.iter().map(|(_, entry)| entry.id));
            cell.present.retain(|entry| !taken.contains(&entry.id));
            self.known.extend(paired);
        }
        self.to_compare.append(&mut others);
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

/// Returns the header of a listed message, if it was seen and is strong.
fn strong_header<'s>(listed: &Listed, seen: &'s Seen) -> Option<&'s Digest> {
    seen.get(&listed.number).filter(|header| header.is_strong())
}

/// Messages that share unique-id and size, with the entries under these.
#[derive(Default)]
struct Cell<'a> {
    listed: Vec<&'a Listed>,
    /// Entries listed the last time.
    present: Vec<&'a Entry>,
    /// Entries missing the last time.
    gone: Vec<&'a Entry>,
}

impl<'a> Cell<'a> {
    /// Whether no entry has this size.
    fn is_unknown(&self) -> bool {
        self.present.is_empty() && self.gone.is_empty()
    }

    /// Returns the entries with strong headers, by header; those listed the last time are at the end, so that `pop`
    /// takes them first. A header identifies nothing if more messages are listed with it than remembered, as any of
    /// these may be the additional one. A message whose header was not seen may have any header, unless it is known
    /// without one.
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

/// Sorts entries in doubt last: such a message may have come in another size than listed, so the size may not be its
/// own.
fn sure_first(present: &mut [&Entry]) {
    present.sort_by_key(|entry| entry.doubt);
}

/// Whether a message is listed with the size of an entry. A size reported for the first time contradicts none here: the
/// plan has the bytes compared.
fn sizes_agree(listed: &Listed, entry: &Entry) -> bool {
    listed.reported_size.zip(entry.fingerprint.reported_size).is_none_or(|(listed, entry)| listed == entry)
}
