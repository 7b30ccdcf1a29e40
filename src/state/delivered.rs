//! Looks up deliveries that are not finished yet, such as those in the spool, without holding the state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::entries::{Entry, KnownMaildir};
use super::orphans::uids_file;
use super::reading::glance;
use super::record::Record;
use crate::account::AccountName;
use crate::disk::Disk;
use crate::ids::EntryId;
use crate::message::Digest;

/// What a state knows of a delivered file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The server's unique-id for the message, escaped; None where the server has no UIDL.
    pub unique_id: Option<String>,
    /// The digest of all its bytes, if known.
    pub whole: Option<Digest>,
}

/// Returns the wanted ones of an account's deliveries by file name, as the state has them right now. Finished ones may
/// be missing. Empty if the state cannot be read. Blocks.
pub fn deliveries(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, Delivery> {
    let take = |deliveries: &mut BTreeMap<String, Delivery>, record| {
        if let Record::Entry(entry) = record
            && let Some(intent) = entry.intent
            && is_wanted(&intent.file_name)
        {
            let unique_id = entry.unique_id.map(|unique_id| unique_id.to_string());
            deliveries.insert(intent.file_name, Delivery { unique_id, whole: entry.fingerprint.whole });
        }
    };
    glance(disk, &uids_file(dir, account.as_str()), take).unwrap_or_default()
}

/// Whether a wanted file is in the account's spool, by what its state says right now. Blocks.
pub fn in_spool(disk: &dyn Disk, dir: &Path, account: &AccountName, is_wanted: impl Fn(&str) -> bool) -> bool {
    let take = |(files, waiting): &mut (BTreeMap<EntryId, String>, BTreeSet<EntryId>), record| match record {
        Record::Entry(Entry { id, intent: Some(intent), .. }) if is_wanted(&intent.file_name) => {
            files.insert(id, intent.file_name);
        }
        Record::Spooled(ids) => waiting.extend(ids.into_iter().filter(|id| files.contains_key(id))),
        Record::Forwarded(ids) | Record::Published(ids) | Record::Forgotten(ids) => {
            ids.iter().for_each(|id| _ = waiting.remove(id));
        }
        _ => {}
    };
    let read = glance(disk, &uids_file(dir, account.as_str()), take);
    read.is_some_and(|(_, waiting)| !waiting.is_empty())
}

/// Returns what an account's state remembers of the Maildir that is configured as this path, as it is right now. None if
/// the state has not delivered there, or cannot be read. Blocks.
pub fn known_maildir(disk: &dyn Disk, dir: &Path, account: &AccountName, configured: &Path) -> Option<KnownMaildir> {
    let take = |known: &mut Option<KnownMaildir>, record| {
        if let Record::Maildir(_, maildir) = record
            && maildir.configured == configured
        {
            *known = Some(maildir);
        }
    };
    glance(disk, &uids_file(dir, account.as_str()), take).flatten()
}
