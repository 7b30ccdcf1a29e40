//! Finds the files of a Maildir that show which messages of a server were fetched. PURE.

use std::collections::HashMap;

use super::{SeenHeader, Sizes};
use crate::maildir::contents::Stored;
use crate::maildir::names::UniqueIdHash;
use crate::message::Digest;
use crate::plan::as_reported;
use crate::plan::maildrop::Listed;
use crate::pop3::{MessageNumber, ReportedSize};

/// The files of a Maildir; each matches at most one message.
pub(super) struct Files {
    all: Vec<Option<Stored>>,
    by_name: HashMap<(UniqueIdHash, ReportedSize), Vec<usize>>,
    by_header: HashMap<Digest, Vec<usize>>,
}

impl Files {
    pub(super) fn new(stored: Vec<Stored>) -> Self {
        let (mut by_name, mut by_header): (HashMap<_, Vec<usize>>, HashMap<_, Vec<usize>>) = Default::default();
        for (at, one) in stored.iter().enumerate() {
            if let Some(hash) = one.unique_id_hash {
                by_name.entry((hash, as_reported(one.size_on_wire))).or_default().push(at);
            }
            by_header.entry(one.header).or_default().push(at);
        }
        Self { all: stored.into_iter().map(Some).collect(), by_name, by_header }
    }

    /// Takes a file for each message for which there is one: with the same strong header, and either a name with the hash
    /// of the unique-id and the listed size, or a body of the size of the listed one's. If there are fewer files of the
    /// second kind than messages for them, any of these may be missing: none is taken.
    pub(super) fn take<'m>(
        &mut self,
        messages: impl Iterator<Item = (&'m Listed, &'m SeenHeader)>,
    ) -> Vec<(MessageNumber, Stored)> {
        let (mut taken, mut rest) = (Vec::new(), Vec::new());
        for (listed, header) in messages {
            match self.take_by_name(listed, header.digest) {
                Some(stored) => taken.push((listed.number, stored)),
                None => rest.extend(header.body_of(listed).map(|body| (listed.number, (header.digest, body)))),
            }
        }
        let mut alike: HashMap<_, usize> = HashMap::new();
        rest.iter().for_each(|(_, same)| *alike.entry(*same).or_default() += 1);
        alike.retain(|same, count| *count <= self.left_with(same));
        let rest = rest.into_iter().filter(|(_, same)| alike.contains_key(same));
        taken.extend(rest.filter_map(|(number, same)| Some((number, self.take_by_header(&same)?))));
        taken
    }

    /// Takes the file with this header and the hash of the unique-id in its name. Hashes may collide, and the server may
    /// have given the unique-id to another message, so the size has to be the same as well.
    pub(super) fn take_by_name(&mut self, listed: &Listed, header: Digest) -> Option<Stored> {
        let size = listed.reported_size.filter(|size| !size.is_zero())?;
        let places = self.by_name.get(&(UniqueIdHash::of(listed.unique_id.as_ref()?), size))?;
        let has_header = |at: &&usize| matches!(self.all.get(**at), Some(Some(one)) if one.header == header);
        let at = *places.iter().find(has_header)?;
        self.all.get_mut(at)?.take()
    }

    /// Takes a file with this header and a body of this size. The file may be longer: other programs add header fields.
    pub(super) fn take_by_header(&mut self, same: &(Digest, Sizes)) -> Option<Stored> {
        let at = self.with_header(same).next()?;
        self.all.get_mut(at)?.take()
    }

    /// Returns how many such files are left.
    fn left_with(&self, same: &(Digest, Sizes)) -> usize {
        self.with_header(same).count()
    }

    fn with_header(&self, (header, body): &(Digest, Sizes)) -> impl Iterator<Item = usize> {
        let places = self.by_header.get(header).map_or(&[][..], Vec::as_slice).iter().copied();
        places.filter(|at| self.all.get(*at).and_then(Option::as_ref).is_some_and(|one| body.is_of(one.body)))
    }
}
