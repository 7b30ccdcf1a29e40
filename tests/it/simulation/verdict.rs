//! What must be true at the end of a script, whatever went wrong before.

use std::collections::BTreeMap;
use std::path::Path;

use mailferry::exit::ExitStatus;

use super::dialogue::{MAIL, stored};
use super::disk::look;
use super::power::Survival;
use super::script::{Act, Script};
use super::server::{Post, Removal, open};
use super::storage::Storage;
use super::world::{Polled, READ, Snapshot, World};

/// The description of a failure.
pub(crate) type Verdict = Result<(), String>;

/// What can be seen of a world from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The messages in the Maildirs and where mail readers put them, by unique-id; other files by what they are.
    mail: Vec<String>,
    /// Files in `tmp/`.
    unfinished: Vec<String>,
    /// What each server still has.
    on_servers: BTreeMap<String, Vec<String>>,
    /// The unique-ids that each state records.
    remembered: BTreeMap<String, Vec<String>>,
    /// Deliveries that no state has recorded as finished, and messages that caused problems.
    loose_ends: Vec<String>,
}

/// What the name of a note begins with.
const NOTE: &str = "in place of ";

/// Returns the unique-ids of all files outside `tmp/`.
fn mail(world: &World<'_>) -> Vec<String> {
    let mut known: BTreeMap<Vec<u8>, String> =
        world.script.mail().map(|(_, uid, bytes)| (stored(&bytes), uid.to_owned())).collect();
    let posts = open(&world.posts);
    let notes = posts.values().flat_map(|post| &post.sent_notes);
    known.extend(notes.map(|(uid, bytes)| (stored(bytes), format!("{NOTE}{uid}"))));
    drop(posts);
    let machine = look(&world.machine);
    let mut files = machine.storage.visible(Path::new(MAIL));
    files.retain(|(path, _)| !path.ends_with("/.mailferry-id") && !path.ends_with("/maildirfolder"));
    let name = |(path, bytes): &(String, &[u8])| match known.get(*bytes) {
        Some(name) => name.clone(),
        None => format!("{path} is no message: {:?}", String::from_utf8_lossy(bytes)),
    };
    let mut mail: Vec<String> = files.iter().filter(|(path, _)| !path.contains("/tmp/")).map(name).collect();
    mail.sort();
    mail
}

/// Observes everything.
pub(crate) fn observe(world: &mut World<'_>) -> Result<Observed, String> {
    let unfinished = {
        let machine = look(&world.machine);
        let files = machine.storage.visible(Path::new(MAIL));
        files.into_iter().map(|(path, _)| path).filter(|path| path.contains("/tmp/")).collect()
    };
    let left = |post: &Post| post.messages.iter().map(|message| message.id.clone()).collect();
    // What a server deletes by itself depends on how often a session got as far as QUIT: that is its own affair.
    let posts = open(&world.posts).clone();
    let ours = posts.iter().filter(|(_, post)| !post.manner.takes_retrieved);
    let on_servers = ours.map(|(name, post)| (name.clone(), left(post))).collect();
    let (mut remembered, mut loose_ends) = (BTreeMap::new(), Vec::new());
    for (account, _) in &world.script.accounts {
        let store = world.state(account)?;
        let state = store.state();
        let uid = |unique_id: &mailferry::pop3::UniqueId| String::from_utf8_lossy(unique_id.as_bytes()).into_owned();
        let mut known: Vec<String> =
            state.entries().map(|entry| entry.unique_id.as_ref().map_or("?".to_owned(), uid)).collect();
        known.sort();
        remembered.insert(account.name.to_string(), known);
        loose_ends
            .extend(state.intents().map(|(entry, _)| format!("{} entry {} is an intent", account.name, entry.id)));
        loose_ends
            .extend(state.quarantines().map(|(one, _)| format!("{} quarantine {}", account.name, uid(&one.unique_id))));
    }
    Ok(Observed { mail: mail(world), unfinished, on_servers, remembered, loose_ends })
}

/// Checks that nothing visible is ever less than a message.
pub(crate) fn check_no_parts(world: &World<'_>) -> Verdict {
    match mail(world).into_iter().find(|name| name.contains("is no message")) {
        Some(part) => Err(part),
        None => check_places(world),
    }
}

/// Checks that no message is in another Maildir than the one it belongs in.
fn check_places(world: &World<'_>) -> Verdict {
    let machine = look(&world.machine);
    let files = machine.storage.visible(Path::new(MAIL));
    for (account, uid, bytes) in world.script.mail() {
        let bytes_stored = stored(&bytes);
        let right = world.script.goes_to(account, &bytes);
        let is_right = |path: &Path| {
            let maildir = path.parent().and_then(Path::parent);
            path.starts_with(READ) || maildir.is_some_and(|maildir| right.contains(&maildir))
        };
        let copies = files.iter().filter(|(_, content)| *content == bytes_stored.as_slice());
        if let Some((path, _)) = copies.into_iter().find(|(path, _)| !is_right(Path::new(path))) {
            return Err(format!("{uid} is in {path}, and goes to {right:?}"));
        }
    }
    Ok(())
}

/// Checks that nobody deleted or took away what was not safe, or too early.
fn check_promises(world: &World<'_>) -> Verdict {
    let posts = open(&world.posts);
    if let Some(broken) = posts.values().flat_map(|post| &post.broken_promises).next() {
        return Err(broken.clone());
    }
    for Removal { id, at, .. } in &posts.get("aged").map(|post| post.removed.clone()).unwrap_or_default() {
        // This one arrived fifteen days after the others.
        let due = if id == "a2" { 29 } else { 14 } * 86_400;
        if *at < due {
            return Err(format!("{id} was deleted after {} days", at / 86_400));
        }
    }
    Ok(())
}

/// Whether notes were sent in a poll, which it has to report.
fn has_told_of_notes(polled: &Polled) -> bool {
    !polled.report.other_sizes.is_empty() && polled.report.failed.is_empty()
}

/// Checks that a poll without a fault ends well.
pub(crate) fn check_good(what: &str, polled: &Polled) -> Verdict {
    match (&polled.report.end, polled.report.exit_status()) {
        (Ok(()), ExitStatus::Ok) => Ok(()),
        (Ok(()), ExitStatus::Partial) if has_told_of_notes(polled) => Ok(()),
        (Ok(()), status) => Err(format!("{what} ended with {status:?}: {:?}", polled.report.failed)),
        (Err(e), status) => Err(format!("{what} ended with {status:?}: {e}")),
    }
}

/// Polls every account once more: what was known and was lost in a power cut, because it did not matter, is found out
/// again.
fn settle(world: &mut World<'_>) -> Verdict {
    for (account, manner) in &world.script.accounts {
        let what = format!("a last poll of {}", account.name);
        let polled = world.poll(account.name.as_str(), None);
        check_good(&what, &polled)?;
        if polled.retrieved + polled.deleted > 0 && manner.uidl {
            return Err(format!("{what}: {} RETR, {} DELE", polled.retrieved, polled.deleted));
        }
    }
    Ok(())
}

/// Checks that a poll that finds nothing new changes nothing.
fn check_idle(what: &str, polled: &Polled, syncable: bool) -> Verdict {
    check_idle_but_for(polled.process.writes(), what, polled, syncable)
}

/// Like [`check_idle`], for the first such poll, which also remembers the listing.
fn check_first_idle(what: &str, polled: &Polled, syncable: bool) -> Verdict {
    check_idle_but_for(polled.process.writes_beside_hints(), what, polled, syncable)
}

fn check_idle_but_for(mut writes: Vec<String>, what: &str, polled: &Polled, syncable: bool) -> Verdict {
    check_good(what, polled)?;
    let (mut retrieved, deleted) = (polled.retrieved, polled.deleted);
    if !syncable {
        // What ought to be deleted but must not be is checked each time, to see whether that is still so. A new state
        // file is also written each time, as long as nothing in it says that the last one is durable.
        writes.retain(|write| !write.starts_with("SyncDir") && !write.contains(".uids"));
        retrieved = 0;
    }
    if retrieved + deleted + writes.len() > 0 {
        return Err(format!("{what}, with nothing to do: {retrieved} RETR, {deleted} DELE, writes {writes:?}"));
    }
    Ok(())
}

/// A script played without any fault, to compare with.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    pub(crate) script: Script,
    /// Each poll.
    pub(crate) stages: Vec<Stage>,
    end: Observed,
}

/// A poll of the run without faults.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Its index among the acts.
    pub(crate) act: usize,
    pub(crate) account: &'static str,
    /// The world before it.
    pub(crate) before: Snapshot,
    /// Its operations.
    pub(crate) log: Vec<(super::fault::Operation, String)>,
    /// How many bytes the server sent.
    pub(crate) sent: usize,
    /// Its exit status.
    pub(crate) status: ExitStatus,
}

impl Rehearsal {
    /// Plays a script without any fault.
    pub(crate) fn new(script: Script) -> Self {
        Self::with(script, |_| {})
    }

    /// Like [`Self::new`], on a disk that `prepare` has changed.
    pub(crate) fn with(script: Script, prepare: impl FnOnce(&mut Storage)) -> Self {
        let runtime = super::world::runtime();
        let mut world = World::new(&script, &runtime);
        prepare(&mut look(&world.machine).storage);
        let mut stages = Vec::new();
        for (act, what) in script.acts.iter().enumerate() {
            world.act(*what);
            let Act::Poll(account) = *what else { continue };
            let before = world.snapshot();
            let polled = world.poll(account, None);
            check_good(&format!("act {act}"), &polled).unwrap();
            // On a copy of the world, so that it has no consequences: the same poll again at once.
            let mut copy = World::resume(&script, &runtime, &world.snapshot());
            let syncable = look(&world.machine).storage.can_sync_all();
            let status = polled.report.exit_status();
            if has_told_of_notes(&polled) {
                // There is something to do again.
                check_good(&format!("act {act}, twice"), &copy.poll(account, None)).unwrap();
                stages.push(Stage { act, account, before, log: polled.process.log, sent: polled.sent, status });
                continue;
            }
            if script.is_settled_by_the_next_listing(account) {
                check_good(&format!("act {act}, in between"), &copy.poll(account, None)).unwrap();
            }
            check_first_idle(&format!("act {act}, twice"), &copy.poll(account, None), syncable).unwrap();
            check_idle(&format!("act {act}, three times"), &copy.poll(account, None), syncable).unwrap();
            let log = polled.process.log;
            stages.push(Stage { act, account, before, log, sent: polled.sent, status });
        }
        settle(&mut world).unwrap();
        let end = observe(&mut world).unwrap();
        let copies = |account, uid: &str, bytes: &[u8]| vec![uid.to_owned(); script.goes_to(account, bytes).len()];
        let mut all: Vec<String> =
            script.mail().flat_map(|(account, uid, bytes)| copies(account, uid, &bytes)).collect();
        all.sort();
        let mail: Vec<String> = end.mail.iter().filter(|name| !name.starts_with(NOTE)).cloned().collect();
        assert_eq!((mail, end.loose_ends.len(), end.unfinished.len()), (all, 0, 0), "a clean run");
        check_promises(&world).unwrap();
        check_no_parts(&world).unwrap();
        Self { script, stages, end }
    }

    /// Like [`Self::finish`], if doubts have caused this many extra copies.
    pub(crate) fn finish_with_copies(&self, world: &mut World<'_>, stage: &Stage, copies: usize) -> Verdict {
        if copies == 0 {
            return self.finish(world, stage);
        }
        self.play_rest(world, stage)?;
        settle(world)?;
        check_promises(world)?;
        let (seen, expected) = (mail(world), &self.end.mail);
        let missing: Vec<&String> = expected.iter().filter(|uid| !seen.contains(uid)).collect();
        if missing.is_empty() && seen.len() <= expected.len() + copies {
            Ok(())
        } else {
            Err(format!("with {copies} copies: {missing:?} are missing of {seen:?}"))
        }
    }

    fn play_rest(&self, world: &mut World<'_>, stage: &Stage) -> Verdict {
        for (act, what) in self.script.acts.iter().enumerate().skip(stage.act + 1) {
            world.act(*what);
            if let Act::Poll(account) = *what {
                check_good(&format!("later, act {act} (poll {account})"), &world.poll(account, None))?;
            }
        }
        Ok(())
    }

    /// Plays the rest of the script after this stage, and judges the end.
    pub(crate) fn finish(&self, world: &mut World<'_>, stage: &Stage) -> Verdict {
        self.play_rest(world, stage)?;
        let syncable = look(&world.machine).storage.can_sync_all();
        settle(world)?;
        self.judge("at the end", world)?;
        check_first_idle("one more poll", &world.poll(stage.account, None), syncable)?;
        if syncable { self.cut_at_the_end(world, stage) } else { Ok(()) }
    }

    fn cut_at_the_end(&self, world: &mut World<'_>, stage: &Stage) -> Verdict {
        // What was reported as safe must survive if nothing but what was synced does.
        world.cut_power(Survival::Nothing, 0);
        let polled = world.poll(stage.account, None);
        check_good("after a power cut at the very end", &polled)?;
        if polled.retrieved > 0 && self.script.has_unique_ids(stage.account) {
            return Err(format!("after a power cut at the very end: {} RETR", polled.retrieved));
        }
        check_promises(world)?;
        let (seen, expected) = (mail(world), &self.end.mail);
        if seen == *expected { Ok(()) } else { Err(format!("after a power cut at the very end: {seen:?}")) }
    }

    /// Returns what each server still has at the end.
    pub(crate) fn left_on_server(&self, account: &str) -> &[String] {
        &self.end.on_servers[account]
    }

    fn judge(&self, when: &str, world: &mut World<'_>) -> Verdict {
        check_promises(world)?;
        let seen = observe(world).map_err(|e| format!("{when}: {e}"))?;
        if seen == self.end { Ok(()) } else { Err(format!("{when}:\n  seen     {seen:?}\n  expected {:?}", self.end)) }
    }
}
