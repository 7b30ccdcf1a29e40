//! Which listed message is which remembered one. PURE.

use std::collections::{HashMap, HashSet};

use crate::maildrop::{Listed, Maildrop};
use crate::pop3::MessageNumber;
use crate::state::entries::{Entry, UidState};
use crate::witness::Digest;

/// Header digests of this session, by number. None: nobody has looked yet.
pub(super) type Seen<'a> = Option<&'a HashMap<MessageNumber, Digest>>;

/// Which listed message is which remembered one.
#[derive(Debug, Clone, Default)]
pub(super) struct Matching<'a> {
    /// Surely or, as long as nobody looked, presumably the same.
    pub(super) known: Vec<(&'a Listed, &'a Entry)>,
    /// Nothing remembered fits.
    pub(super) new: Vec<&'a Listed>,
    /// Only the header tells; what nobody could look at is retrieved.
    pub(super) ambiguous: Vec<&'a Listed>,
}

impl<'a> Matching<'a> {
    pub(super) fn of(maildrop: &'a Maildrop, state: &'a UidState, seen: Seen<'_>) -> Self {
        let mut matching = Self::default();
        let mut named = Vec::with_capacity(maildrop.messages.len());
        let mut unnamed = Vec::new();
        for listed in &maildrop.messages {
            let Some(unique_id) = &listed.unique_id else {
                unnamed.push(listed);
                continue;
            };
            match state.ids_of(unique_id) {
                [] => matching.new.push(listed),
                // The oldest entry stands for the unique-id.
                ids @ [oldest, ..] => named.push((*oldest, ids, listed)),
            }
        }
        named.sort_by_key(|(oldest, ..)| *oldest);
        for group in named.chunk_by(|a, b| a.0 == b.0) {
            if let [(oldest, [_], listed)] = group
                && let Some(entry) = state.entry(*oldest)
                && seen.is_none_or(|seen| !seen.contains_key(&listed.number))
                && sizes_agree(&[listed], &[entry])
            {
                // As nearly always.
                matching.known.push((listed, entry));
                continue;
            }
            let ids = group.first().map(|(_, ids, _)| *ids).unwrap_or_default();
            let entries = ids.iter().filter_map(|id| state.entry(*id)).collect();
            let listed: Vec<&Listed> = group.iter().map(|(_, _, listed)| *listed).collect();
            matching.add_group(&listed, entries, seen);
        }
        let nameless: Vec<&Entry> = match maildrop.has_unique_ids {
            true => Vec::new(),
            false => state.without_unique_id().collect(),
        };
        if nameless.is_empty() {
            matching.new.extend(unnamed);
        } else {
            matching.tell_apart(&unnamed, nameless, seen);
        }
        matching.known.sort_by_key(|(listed, _)| listed.number);
        matching
    }

    /// Takes these for known after all.
    pub(super) fn adopt(&mut self, pairs: Vec<(&'a Listed, &'a Entry)>) {
        let numbers: HashSet<MessageNumber> = pairs.iter().map(|(listed, _)| listed.number).collect();
        self.new.retain(|listed| !numbers.contains(&listed.number));
        self.ambiguous.retain(|listed| !numbers.contains(&listed.number));
        self.known.extend(pairs);
        self.known.sort_by_key(|(listed, _)| listed.number);
    }

    /// Only the messages themselves tell whether these are the same.
    pub(super) fn retrieve_instead(&mut self, which: impl Fn(&Listed, &Entry) -> bool) {
        let ambiguous = &mut self.ambiguous;
        self.known.retain(|(listed, entry)| {
            let doubtful = which(listed, entry);
            ambiguous.extend(doubtful.then_some(*listed));
            !doubtful
        });
    }

    /// Messages that share a unique-id, and what is remembered under it.
    fn add_group(&mut self, listed: &[&'a Listed], entries: Vec<&'a Entry>, seen: Seen<'_>) {
        let was_looked_at = seen.is_some_and(|seen| listed.iter().any(|one| seen.contains_key(&one.number)));
        let present: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.absent_since.is_none()).collect();
        for candidates in [&present, &entries] {
            if !was_looked_at && sizes_agree(listed, candidates) {
                self.known.extend(listed.iter().copied().zip(candidates.iter().copied()));
                return;
            }
        }
        self.tell_apart(listed, entries, seen);
    }

    /// Pairs by header digest; then, what the server did not show, by unique-id and reported size, so that nothing is
    /// retrieved more than once for each of the two.
    fn tell_apart(&mut self, listed: &[&'a Listed], mut entries: Vec<&'a Entry>, seen: Seen<'_>) {
        let Some(seen) = seen else {
            self.ambiguous.extend(listed);
            return;
        };
        let mut unseen = Vec::new();
        for one in listed.iter().copied() {
            match seen.get(&one.number) {
                Some(digest) => {
                    // What another program fetched has no remembered header: its unique-id has to do.
                    let by_name = |entry: &Entry| entry.witness.header.is_none() && one.unique_id.is_some();
                    let found = take(&mut entries, |entry| is_same(entry, one, *digest));
                    match found.or_else(|| take(&mut entries, by_name)) {
                        Some(entry) => self.known.push((one, entry)),
                        None => self.new.push(one),
                    }
                }
                None => unseen.push(one),
            }
        }
        for one in unseen {
            let size = one.reported_size.filter(|_| one.unique_id.is_some());
            match take(&mut entries, |entry| size.is_some() && entry.witness.reported_size == size) {
                Some(entry) => self.known.push((one, entry)),
                None => self.ambiguous.push(one),
            }
        }
    }
}

/// Whether a message with this header is the remembered one. Without a unique-id the size has to fit, too: headers that are
/// alike are rare, and one that is taken for another would be deleted unread.
fn is_same(entry: &Entry, listed: &Listed, header: Digest) -> bool {
    let sizes = entry.witness.reported_size.zip(listed.reported_size);
    let size_fits = listed.unique_id.is_some() || sizes.is_none_or(|(then, now)| then == now);
    // What was gone and is back under a header that says little may be another message.
    entry.witness.header == Some(header) && size_fits && (header.is_strong() || !entry.was_gone())
}

fn take<'a>(entries: &mut Vec<&'a Entry>, fits: impl Fn(&Entry) -> bool) -> Option<&'a Entry> {
    let at = entries.iter().position(|entry| fits(entry))?;
    Some(entries.remove(at))
}

/// Whether as many are listed as are remembered, with the same sizes as far as both are known.
fn sizes_agree(listed: &[&Listed], entries: &[&Entry]) -> bool {
    if listed.len() != entries.len() {
        return false;
    }
    if let ([listed], [entry]) = (listed, entries) {
        let sizes = listed.reported_size.zip(entry.witness.reported_size);
        return sizes.is_none_or(|(listed, entry)| listed == entry);
    }
    let mut listed: Vec<Option<u64>> = listed.iter().map(|one| one.reported_size).collect();
    let mut entries: Vec<Option<u64>> = entries.iter().map(|entry| entry.witness.reported_size).collect();
    listed.sort_unstable();
    entries.sort_unstable();
    listed.iter().zip(&entries).all(|(a, b)| a.is_none() || b.is_none() || a == b)
}
