//! Which deliveries certainly have no name in `new/` yet.
//!
//! A second name of a file in `tmp/` shows that it was delivered, if nobody but us and mail readers makes names. Others
//! do: a backup by hard links, or a program that links files with equal bytes. As long as a Maildir takes no mail, a file
//! may stay in `tmp/` for days. So what is known not to be linked is recorded, and from then on only the name in `new/`
//! or `cur/` shows the delivery.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::Disk;
use crate::ids::{EntryId, MaildirNumber};
use crate::maildir::names::TmpName;
use crate::maildir::{Maildir, os};
use crate::state::entries::Intent;
use crate::state::store::Store;

/// What a recovery saw of links. One whose name is not durable is in neither set.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Those whose name in `new/`, or wherever a mail reader has moved it, is durable.
    pub(super) made: BTreeSet<(EntryId, MaildirNumber)>,
    /// Those that were refused.
    pub(super) refused: BTreeSet<(EntryId, MaildirNumber)>,
}

impl Links {
    /// Records what changed about the deliveries that stay open. Blocks.
    pub(super) fn record(&self, disk: &dyn Disk, store: &mut Store, maildirs: &BTreeMap<MaildirNumber, Maildir>) {
        let mut changed = Vec::new();
        for (entry, intent) in store.state().intents() {
            let is_missing = |number: &MaildirNumber| {
                let link = (entry.id, *number);
                let has_one_name = || maildirs.get(number).is_some_and(|maildir| has_one_name(disk, maildir, intent));
                !self.made.contains(&link)
                    && (intent.not_linked.contains(number) || self.refused.contains(&link) || has_one_name())
            };
            let missing: Vec<MaildirNumber> = intent.maildirs().filter(is_missing).collect();
            if missing != intent.not_linked {
                changed.push((entry.id, missing));
            }
        }
        // Without this record, a second name counts as before: nothing else is lost. The error that kept these open is
        // what is reported.
        drop(store.record_not_linked(changed));
    }
}

/// Whether the file in `tmp/` has no other name.
fn has_one_name(disk: &dyn Disk, maildir: &Maildir, intent: &Intent) -> bool {
    let tmp_name = TmpName::of_published(&intent.file_name);
    disk.status_in(maildir.tmp(), os(tmp_name.as_str())).is_ok_and(|status| status.links == 1)
}

/// Whether a file in `tmp/` has its name in `new/`, after an error: some file systems report one for what they did.
pub(super) fn is_linked(disk: &dyn Disk, maildir: &Maildir, tmp_name: &TmpName, name: &str) -> bool {
    let ours = disk.status_in(maildir.tmp(), os(tmp_name.as_str()));
    let there = disk.status_in(maildir.new_dir(), os(name));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours.id == there.id)
}
