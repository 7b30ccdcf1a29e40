//! Spools without an account: it was removed from the configuration, or renamed, while mail waited to be forwarded.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::forwarder::look_into_spool;
use super::spool::Stranded;
use crate::account::AccountName;
use crate::disk::Disk;

/// Finds the spools in which messages wait although no account of that name is configured, in the order of the names.
/// What cannot be read is left out. Blocks.
#[must_use]
pub fn unclaimed_spools(
    disk: &dyn Disk,
    state_dir: &Path,
    is_configured: impl Fn(&AccountName) -> bool,
) -> Vec<(AccountName, Stranded)> {
    let files = disk.list(state_dir).unwrap_or_default();
    let name = |file: &[u8]| AccountName::new(std::str::from_utf8(file.strip_suffix(b".spool")?).ok()?).ok();
    let mut names: Vec<AccountName> = files.iter().filter_map(|file| name(file.as_bytes())).collect();
    names.retain(|name| !is_configured(name));
    names.sort();
    let waits = |name: AccountName| {
        let waiting = look_into_spool(disk, state_dir, &name).filter(|waiting| waiting.in_all() > 0)?;
        let stranded = waiting.stranded(state_dir, &name);
        Some((name, stranded))
    };
    names.into_iter().filter_map(waits).collect()
}
