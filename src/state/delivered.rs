//! A look at what was delivered and is under way still, for whoever does not hold the state.

use std::collections::BTreeMap;
use std::path::Path;

use super::orphans::uids_file;
use super::reading::glance;
use super::record::Record;
use crate::account::AccountName;
use crate::disk::Disk;
use crate::message::Digest;

/// The digests of all bytes of those files of an account's deliveries that are wanted, by their names, as the state says
/// right now. Without a state that can be read, nothing is known. Blocks.
pub fn delivered_digests(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, Digest> {
    let take = |digests: &mut BTreeMap<String, Digest>, record| {
        if let Record::Entry(entry) = record
            && let (Some(intent), Some(whole)) = (entry.intent, entry.fingerprint.whole)
            && is_wanted(&intent.file_name)
        {
            digests.insert(intent.file_name, whole);
        }
    };
    glance(disk, &uids_file(dir, account.as_str()), take).unwrap_or_default()
}
