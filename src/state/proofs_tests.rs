//! Values that say in tests what in the program only a listing or a comparison can say.

use super::proofs::{IsListedAgain, IsRenamed, IsVerified};
use crate::ids::EntryId;
use crate::message::Digest;
use crate::pop3::UniqueId;

/// The first entry was compared.
pub(super) struct Compared {
    pub(super) new_header: Option<Digest>,
}

impl IsVerified for Compared {
    fn entry(&self) -> EntryId {
        EntryId::FIRST
    }

    fn new_header(&self) -> Option<Digest> {
        self.new_header
    }
}

/// An entry has this unique-id now.
pub(super) struct Renamed(pub(super) EntryId, pub(super) UniqueId);

impl IsRenamed for Renamed {
    fn entry(&self) -> EntryId {
        self.0
    }

    fn unique_id(&self) -> &UniqueId {
        &self.1
    }
}

/// The first entry is listed again.
pub(super) struct Present;

impl IsListedAgain for Present {
    fn entry(&self) -> EntryId {
        EntryId::FIRST
    }
}
