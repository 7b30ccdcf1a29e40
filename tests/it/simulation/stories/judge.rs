//! What must be true at each step of a story.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use mailferry::account::RemovalPolicy;
use mailferry::plan::maildrop::Listed;
use mailferry::poll::PollReport;

use super::super::dialogue::{MAIL, Received, received};
use super::super::disk::look;
use super::super::server::{Line, Removal, Shown, UniqueIds};
use super::super::storage::{Ino, Storage};
use super::ledger::{Content, Doubt};
use super::play::Player;
use super::reader::TRASH;
use super::story::Character;

/// What is wrong with a story.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A message was removed, or its removal allowed, that is not stored.
    Unsafe,
    /// A message that is not stored was reported as dealt with.
    Lost,
    /// A file in a Maildir is not a message.
    NoMessage,
    /// There is an extra copy that nothing explains.
    Copy,
    /// A message was deleted that was to stay, or to stay longer.
    TooEarly,
    /// A message was deleted or fetched that a rule leaves on the server.
    Skipped,
    /// A message was taken for one that a rule leaves on the server, and nothing but mailferry had changed anything there.
    Stranded,
    /// A poll does not end.
    Endless,
    /// An account does not come to rest.
    Restless,
    /// The program or the simulation gave up.
    Panic,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

fn fail<T>(kind: Kind, text: String) -> Result<T, Failure> {
    Err(Failure { kind, text })
}

/// Whether a file counts as mail: those outside `tmp/` do.
fn is_mail(path: &str) -> bool {
    !path.contains("/tmp/")
}

/// Checks that no server saw a promise broken.
pub(super) fn promises(player: &Player<'_>, account: usize) -> Result<(), Failure> {
    match player.post(account, |post| post.broken_promises.first().cloned()) {
        Some(broken) => fail(Kind::Unsafe, broken),
        None => Ok(()),
    }
}

/// Checks that nothing is removed that is to stay, or before its time.
pub(super) fn removal(player: &Player<'_>, character: &Character, removal: &Removal) -> Result<(), Failure> {
    if !removal.marked {
        return Ok(());
    }
    if player.ledger.is_skipped(&removal.id) {
        return fail(Kind::Skipped, format!("{} was deleted, although a rule leaves it there", removal.id));
    }
    let stored = player.ledger.stored(&removal.id);
    let age = match character.removal {
        RemovalPolicy::Keep => None,
        RemovalPolicy::AfterDelivery => Some(Duration::ZERO),
        RemovalPolicy::AfterAge(age) => Some(age),
    };
    let due = stored.zip(age).is_none_or(|(stored, age)| removal.at >= stored + age.as_secs());
    if age.is_none() || !due {
        let Removal { id, at, .. } = removal;
        return fail(Kind::TooEarly, format!("{id} was deleted at {at}, stored at {stored:?}, to stay {age:?}"));
    }
    Ok(())
}

/// Returns the copies of each content: the paths outside `tmp/`, and what a mail reader deleted.
fn copies(player: &Player<'_>, storage: &Storage) -> Result<BTreeMap<Content, Vec<String>>, Failure> {
    let files = storage.visible(Path::new(MAIL));
    let ino = |path: &str| storage.find(Path::new(path)).ok();
    let there: BTreeSet<Option<Ino>> =
        files.iter().filter(|(path, _)| is_mail(path) && !path.starts_with(TRASH)).map(|(path, _)| ino(path)).collect();
    let mut copies: BTreeMap<Content, Vec<String>> = BTreeMap::new();
    for (path, bytes) in files {
        // A power cut may have restored what a mail reader deleted.
        let deleted = path.strip_prefix(TRASH).map(|name| name.trim_start_matches('/').parse().ok());
        let back = deleted.is_some_and(|ino| there.contains(&ino));
        if !is_mail(&path) || back {
            continue;
        }
        let Some(content) = player.ledger.content(bytes) else {
            return fail(Kind::NoMessage, format!("{path} is no message: {:?}", String::from_utf8_lossy(bytes)));
        };
        copies.entry(content.clone()).or_default().push(path);
    }
    Ok(copies)
}

/// Checks that every file is a message, and that every copy is explained.
pub(super) fn files(player: &mut Player<'_>) -> Result<(), Failure> {
    let now = player.now();
    let (copies, coming) = {
        let machine = look(&player.world.machine);
        let coming: Vec<Content> = machine
            .storage
            .visible(Path::new(MAIL))
            .iter()
            .filter(|(path, _)| !is_mail(path))
            .filter_map(|(_, bytes)| player.ledger.content(bytes).cloned())
            .collect();
        (copies(player, &machine.storage)?, coming)
    };
    for content in coming.iter().chain(copies.keys()).filter(|content| content.is_whole()) {
        player.ledger.saw(&content.id, now);
    }
    for (Content { id, part, note }, paths) in copies {
        if note.is_none() && player.ledger.is_skipped(&id) && player.shows_what_to_skip(player.ledger.account(&id)) {
            return fail(
                Kind::Skipped,
                format!("{id} was fetched, although a rule leaves it on the server: {paths:?}"),
            );
        }
        let doubts = player.ledger.doubts(&id);
        if paths.len() > 1 + doubts.len() {
            let what = match note {
                Some(_) => "what came in place of ",
                None if part => "the beginning of ",
                None => "",
            };
            return fail(Kind::Copy, format!("{what}{id} is there {} times {paths:?}, doubts {doubts:?}", paths.len()));
        }
    }
    Ok(())
}

/// Returns how many copies there are of each content.
pub(super) fn numbers_of_copies(player: &Player<'_>) -> Result<BTreeMap<Content, usize>, Failure> {
    let copies = copies(player, &look(&player.world.machine).storage)?;
    Ok(copies.into_iter().map(|(content, paths)| (content, paths.len())).collect())
}

/// Checks that no message has more copies than it had `before`, even if its server makes new unique-ids in each session.
/// Where they only count the messages, a deletion gives a few others new ones. What never comes as it is listed stays in
/// doubt, so that under a policy that deletes the bytes of a weak header are not enough. A power cut erases what is known of one
/// that its server cannot send.
pub(super) fn no_further_copies(player: &Player<'_>, before: &BTreeMap<Content, usize>) -> Result<(), Failure> {
    for (content, now) in numbers_of_copies(player)? {
        let Some(before) = before.get(&content).filter(|before| **before < now) else { continue };
        let character = &player.story.accounts[player.ledger.account(&content.id)];
        let is_counted = character.manner.unique_ids == UniqueIds::Counting;
        let manner = &character.manner;
        let never_fits = match manner.unique_ids {
            UniqueIds::PerSession => manner.estimates || !manner.stuffs_dots,
            _ => manner.estimates && !character.estimates,
        };
        let stays_in_doubt = never_fits && character.removal != RemovalPolicy::Keep;
        if !is_counted && !stays_in_doubt && !player.ledger.doubts(&content.id).contains(&Doubt::Garbled) {
            let id = &content.id;
            return fail(Kind::Copy, format!("{id} was there {before} times, and {now} though nothing went wrong"));
        }
    }
    Ok(())
}

/// Counts the copies that are explained by doubts.
pub(super) fn count_copies(player: &mut Player<'_>) {
    let all = copies(player, &look(&player.world.machine).storage).unwrap_or_default();
    let mut totals = std::mem::take(&mut player.totals);
    totals.parts += all.keys().filter(|content| content.part).count();
    for (content, paths) in &all {
        for doubt in player.ledger.doubts(&content.id).iter().take(paths.len() - 1) {
            *totals.copies.entry(*doubt).or_default() += 1;
        }
    }
    let doubts: Vec<Doubt> = player.ledger.all_doubts().collect();
    totals.plain += usize::from(doubts.is_empty());
    for doubt in doubts {
        *totals.doubts.entry(doubt).or_default() += 1;
    }
    player.totals = totals;
}

/// Whether the report of a poll says that it leaves this message for later.
fn is_told(report: &PollReport, number: usize, line: &Line) -> bool {
    let number = u32::try_from(number).unwrap_or(0);
    let by_number = |listed: &Listed| listed.number.get() == number;
    let told = report.too_large.first().iter().chain(report.quarantined.first()).any(by_number);
    let unnamed = line.unique_id.is_none() && !report.unnamed.is_empty();
    told || unnamed
}

/// With this many messages in another size, a server seems to estimate sizes.
const MANY_MISFITS: usize = 10;

/// Whether something sent in place of a message is accepted as the message, because sizes mean nothing there; only if
/// it need not be deleted.
fn is_explained(player: &Player<'_>, account: usize, line: &Line) -> bool {
    let stays = player.story.accounts[account].removal != RemovalPolicy::AfterDelivery;
    // Under new unique-ids the same messages are counted again.
    let lasting = player.manner(account).unique_ids == UniqueIds::Lasting;
    let count = |misfits: &BTreeMap<String, usize>| if lasting { misfits.len() } else { misfits.values().sum() };
    stays && player.post(account, |post| count(&post.misfits) >= MANY_MISFITS && post.misfits.contains_key(&line.id))
}

/// Checks that a poll that ended with status 0 has dealt with everything: what was listed is durably stored, or was
/// reported as left. Returns what is not stored and beyond notice.
pub(super) fn everything_is_dealt_with(
    player: &Player<'_>,
    account: usize,
    shown: &Shown,
    report: &PollReport,
) -> Result<BTreeSet<String>, Failure> {
    let mut beyond_notice = BTreeSet::new();
    let manner = player.manner(account);
    let machine = look(&player.world.machine);
    let surviving = machine.storage.surviving(Path::new(MAIL));
    let safe: BTreeSet<&[u8]> = surviving.iter().filter(|(path, _)| is_mail(path)).map(|(_, bytes)| *bytes).collect();
    for (place, line) in shown.lines.iter().enumerate() {
        let listed = line.octets.is_some() || line.unique_id.is_some();
        let is_hidden = player.ledger.is_hidden(account, line, shown) || is_explained(player, account, line);
        // If it has grown while its size was not requested, the next LIST reveals that.
        let may_have_grown = line.octets.is_none() && !line.lacks_size && player.ledger.is_name(account, line);
        if !is_hidden && (!listed || may_have_grown || is_told(report, place + 1, line)) {
            continue;
        }
        if player.ledger.is_skipped(&line.id) {
            continue;
        }
        let message = player.post(account, |post| post.messages.iter().find(|other| other.id == line.id).cloned());
        let Some(message) = message else { continue };
        let stored = match received(&message.bytes, manner) {
            Received::Whole(bytes) => safe.contains(bytes.as_slice()),
            Received::Part(_) => false,
        };
        match (stored, is_hidden) {
            (true, _) => {}
            (false, true) if !player.is_disturbed(account) && player.ledger.stands_for_skipped(account, line) => {
                return fail(Kind::Stranded, format!("{line:?} was taken for one that a rule leaves there"));
            }
            (false, true) => _ = beyond_notice.insert(line.id.clone()),
            (false, false) => return fail(Kind::Lost, format!("{line:?} was listed and is not stored")),
        }
    }
    Ok(beyond_notice)
}
