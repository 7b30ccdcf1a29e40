//! Checks whether there is space here for the messages at the server.

use std::path::Path;

use super::{CheckContext, Step};
use crate::account::Account;
use crate::advice::next_step::check::{FREE_SOME_SPACE, with_clause};
use crate::disk::Dir;
use crate::disk::free_space::{FreeSpaces, free_spaces};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{Done, PlanInput, Policy, Skipping};
use crate::pop3::ReportedSize;
use crate::state::store::Store;
use crate::text::{Count, Size};

/// With less free space than this, in bytes, no record can be written.
const RECORD: u64 = 4096;

/// Returns the free space of a file system, by the nearest existing directory that can be opened.
pub(super) fn of_place(context: &CheckContext, path: &Path) -> Option<FreeSpaces> {
    let disk = &*context.disk;
    let open = |dir: &Path| -> Option<Dir> { disk.open_dir(&disk.resolve(dir).ok()?).ok() };
    let dir = path.ancestors().filter(|dir| dir.exists()).find_map(open)?;
    free_spaces(disk, &dir).ok()
}

/// Whether no record can be written there any more.
pub(super) fn is_full(space: &FreeSpaces) -> bool {
    space.told().is_some() && space.available < RECORD
}

/// Compares the messages to fetch with the free space for the Maildir. None if there is nothing to fetch, or messages
/// are forwarded one by one.
pub(super) fn look(
    context: &CheckContext,
    account: &Account,
    store: &Store,
    maildrop: Option<&Maildrop>,
) -> Option<Step> {
    if account.maildir.is_relative() {
        return None;
    }
    let (tried, compared, compared_as, judged) = Default::default();
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let rules = account.routing.skips().then(|| account.routing.digest());
    let input = PlanInput::new(maildrop?, store.state(), done, store.now())
        .with_skipping(rules.map(|rules| Skipping { rules, judged: &judged }));
    let wanted: Vec<&Listed> = input.to_fetch(&Policy::of(account));
    let octets = ReportedSize::saturating_sum(wanted.iter().filter_map(|listed| listed.reported_size)).get();
    let (free, fullest) = tightest(context, account)?;
    let waiting = Count::of(wanted.len(), "message");
    match octets {
        0 => None,
        _ if octets <= free => {
            Some(Step::ok("room", format!("{waiting} ({}) to fetch, {} available", Size(octets), Size(free))))
        }
        _ => {
            let fact = format!(
                "{waiting} ({}) to fetch, and only {} available where {} is: what does not fit stays on the server",
                Size(octets),
                Size(free),
                fullest.display()
            );
            Some(Step::warn("room", with_clause(fact, FREE_SOME_SPACE)))
        }
    }
}

/// Returns the least free space that a Maildir of the account has, and that Maildir: only their headers say into which
/// one messages go.
fn tightest<'a>(context: &CheckContext, account: &'a Account) -> Option<(u64, &'a Path)> {
    let maildirs = account.maildirs().into_iter().map(|maildir| maildir.path);
    let told = |path: &'a Path| Some((of_place(context, path)?.told()?, path));
    // The first one of several on one file system is the account's own.
    maildirs.filter_map(told).min_by_key(|(free, _)| *free)
}
