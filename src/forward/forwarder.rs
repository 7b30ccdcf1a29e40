//! One pass: forwards the messages in an account's spool, the oldest first, until none is left or the destination
//! accepts no more.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::ForwardError;
use super::journal::{ForwardJournal, Ledger, glance, journal_file};
use super::live::Live;
use super::pass::{Opened, Pass};
use super::report::{ForwardReport, Waiting};
use super::spool::{self, Spooled};
use super::turns::Turns;
use super::{command, imap, lmtp};
use crate::account::{Account, AccountName, Forward, ForwardTo};
use crate::disk::Disk;
use crate::maildir::Maildir;
use crate::process_context::ProcessContext;
use crate::state::delivered::{deliveries, in_spool as in_no_spool, known_maildir};
use crate::state::entries::Identity;
use crate::state::error::StateError;
use crate::state::instance::random_instance;
use crate::state::record::ForwardRecord;
use crate::watch::blocking;

/// How long messages under way may take after a stop was requested.
const TO_THE_END: Duration = Duration::from_secs(10);

/// Options of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Whether messages that are set aside are tried once more.
    pub again: bool,
}

/// Forwards what waits in the spool of an account. Never panics because of what a server or a disk does.
///
/// `live` shows what waits meanwhile. Once `stop` is cancelled no further message is begun, and those under way get a
/// few seconds.
pub async fn forward(
    context: Arc<ProcessContext>,
    account: &Account,
    forward: Arc<Forward>,
    options: ForwardOptions,
    live: Live,
    stop: CancellationToken,
) -> ForwardReport {
    let begun = Instant::now();
    let mut report = ForwardReport::new(account.name.clone(), forward.to.to_string());
    let opened = open(&context, account, options).await;
    let opened = match opened {
        Ok(Opening::Work(opened)) => *opened,
        Ok(Opening::Nothing(waiting)) => {
            (report.waiting, report.duration) = (waiting, begun.elapsed());
            return report;
        }
        Err(e) => {
            let waiting = in_spool(&context, &account.name).await;
            report.is_counted = waiting.is_some();
            report.waiting = waiting.unwrap_or_default();
            (report.end, report.duration) = (Err(e), begun.elapsed());
            return report;
        }
    };
    live.begin(Waiting::of(opened.messages.iter(), opened.journal.ledger(), &opened.delivered));
    let pass = Arc::new(Pass::new(context, account, opened, live, stop.clone()));
    if pass.has_more() {
        let ran = tokio::select! {
            biased;
            ran = run(&pass, &forward.to, &stop) => ran,
            never = pass.count_what_comes() => match never {},
        };
        let doubt = pass.last_doubt().filter(|_| ran.is_ok());
        let of_one = doubt.as_ref().filter(|doubt| doubt.is_of_one());
        (report.is_of_one, report.concerns) = (of_one.is_some(), of_one.map(|doubt| pass.named(&doubt.first)));
        let ran = ran.map_err(|e| e.after(pass.last_words()));
        report.end = ran.and(doubt.map_or(Ok(()), |doubt| Err(doubt.why)));
        // The next message may be one that it accepts.
        report.is_of_one |= matches!(report.end, Err(ForwardError::RefusesAll { .. }));
        let refusals = pass.settle_refusals_for_good(&report.end).await.and(pass.count_refusals().await);
        let written = refusals.and(pass.write_failed_tries().await);
        report.end = std::mem::replace(&mut report.end, Ok(())).and(written);
    }
    let done = pass.done();
    ((report.forwarded, report.octets), report.newly_set_aside) = (pass.recorded(), done.newly_set_aside);
    let (put_off, why) = pass.put_off().unzip();
    if report.end.is_ok() {
        report.concerns = put_off.flatten();
    }
    (report.put_off, report.first_newly_set_aside) = (why, pass.first_set_aside());
    pass.tell_of_more_set_aside();
    match pass.waiting().await {
        Ok(waiting) => report.waiting = waiting,
        Err(e) => {
            report.is_counted = false;
            report.end = std::mem::replace(&mut report.end, Ok(())).and(Err(e));
        }
    }
    report.duration = begun.elapsed();
    report
}

/// Whether a pass has anything to do.
enum Opening {
    /// Nothing, so nothing is written. Holds what is in the spool.
    Nothing(Waiting),
    /// Messages to forward or to release.
    Work(Box<Opened>),
}

async fn open(
    context: &Arc<ProcessContext>,
    account: &Account,
    options: ForwardOptions,
) -> Result<Opening, ForwardError> {
    let (context, name) = (Arc::clone(context), account.name.clone());
    let identity = Identity {
        instance: random_instance(),
        host: account.endpoint.host.clone(),
        user: account.username.clone(),
        created: context.clock.read().wall,
    };
    let open = move || open_journal(&context, &name, identity, options);
    blocking(open).await.map_err(|e| ForwardError::Work(e.doing("open the spool")))?
}

/// Counts what is in the spool of an account right now. Without a readable journal all of it waits. None if the spool
/// cannot be read.
pub async fn in_spool(context: &ProcessContext, account: &AccountName) -> Option<Waiting> {
    let (disk, dir, name) = (Arc::clone(&context.disk), context.state_dir.clone(), account.clone());
    blocking(move || look_into_spool(&*disk, &dir, &name)).await.ok().flatten()
}

/// Does the work of [`in_spool`] on this thread. Blocks.
#[must_use]
pub fn look_into_spool(disk: &dyn Disk, state_dir: &Path, account: &AccountName) -> Option<Waiting> {
    let messages = spool::messages_of(disk, state_dir, account).ok()?.unwrap_or_default();
    let known = glance(disk, &journal_file(state_dir, account)).unwrap_or_default();
    Some(counted(disk, state_dir, account, &messages, &known))
}

/// Counts the messages of a spool that have not been forwarded. Blocks.
fn counted(disk: &dyn Disk, dir: &Path, name: &AccountName, messages: &[Spooled], known: &Ledger) -> Waiting {
    let is_set_aside = |message: &Spooled| known.is_set_aside(&message.name);
    // Only messages that are set aside have to be named.
    let deliveries = match messages.iter().any(is_set_aside) {
        true => deliveries(disk, dir, name, |file| known.is_set_aside(file)),
        false => BTreeMap::new(),
    };
    Waiting::of(messages.iter(), known, &deliveries)
}

/// Opens the journal and sorts the messages of the spool. Blocks.
fn open_journal(
    context: &ProcessContext,
    name: &AccountName,
    identity: Identity,
    options: ForwardOptions,
) -> Result<Opening, ForwardError> {
    let (disk, dir) = (&context.disk, &context.state_dir);
    let path = dir.join(name.spool());
    let Some(maildir) = spool::open(&**disk, &path)? else {
        let known = glance(&**disk, &journal_file(dir, name))?;
        return match in_no_spool(&**disk, dir, name, |file| !known.has_arrived(file)) {
            true => Err(StateError::MaildirMissing { path }.into()),
            false => Ok(Opening::Nothing(Waiting::default())),
        };
    };
    let messages = spool::messages(&**disk, &maildir)?;
    let known = glance(&**disk, &journal_file(dir, name))?;
    let is_dealt_with = |message: &Spooled| known.has_arrived(&message.name) || known.is_set_aside(&message.name);
    let is_nothing = if messages.is_empty() { known.is_empty() } else { messages.iter().all(is_dealt_with) };
    let is_to_release = options.again && messages.iter().any(|message| known.is_set_aside(&message.name));
    // An empty journal written here would later be taken for the remains of a lost state.
    if is_nothing && !is_to_release {
        return Ok(Opening::Nothing(counted(&**disk, dir, name, &messages, &known)));
    }
    check_identity(&**disk, dir, name, &path, &maildir)?;
    let opened = ForwardJournal::open(disk, dir, name, identity)?;
    let busy = || ForwardError::Busy { holder: disk.lock_holder(&journal_file(dir, name)).unwrap_or_default() };
    let mut journal = opened.ok_or_else(busy)?;
    // Another process that had the journal until now may have forwarded some of the messages read above.
    let messages = spool::messages(&**disk, &maildir)?;
    let names: HashSet<&str> = messages.iter().map(|message| message.name.as_str()).collect();
    // A power cut must not bring back a file whose record is dropped.
    for part in [maildir.new_dir(), maildir.cur()] {
        disk.sync_open_dir(part).map_err(|source| ForwardError::Spool { path: part.path().to_owned(), source })?;
    }
    journal.forget_all_but(|name| names.contains(name))?;
    journal.compact()?;
    if options.again {
        let aside = journal.ledger().iter().filter(|(_, progress)| progress.set_aside.is_some());
        let again = aside.map(|(name, _)| ForwardRecord::Released(name.clone())).collect();
        journal.record(again)?;
    }
    let ledger = journal.ledger();
    let is_to_do = |message: &&Spooled| !ledger.has_arrived(&message.name) && !ledger.is_set_aside(&message.name);
    let is_open = |message: &Spooled| ledger.get(&message.name).is_some_and(|known| known.intent.is_some());
    let (open, others): (Vec<Spooled>, Vec<Spooled>) =
        messages.iter().filter(is_to_do).cloned().partition(|message| is_open(message));
    let turns = Turns::new(open.iter().chain(&others), ledger);
    let mut queue: VecDeque<Spooled> = others.into();
    turns.sort(&mut queue);
    let delivered = deliveries(&**disk, dir, name, |name| names.contains(name) && !ledger.has_arrived(name));
    Ok(Opening::Work(Box::new(Opened { journal, messages, open, queue, turns, delivered })))
}

/// Refuses a spool that is not the one which the state has delivered to: in an older copy of the state directory, mail
/// waits that was forwarded long ago. Blocks.
fn check_identity(
    disk: &dyn Disk,
    dir: &Path,
    name: &AccountName,
    path: &Path,
    spool: &Maildir,
) -> Result<(), ForwardError> {
    let Some(known) = known_maildir(disk, dir, name, path) else { return Ok(()) };
    let now = spool.id(disk).map_err(|e| StateError::io("look at the spool", path, e))?;
    if known.id.is(&now) { Ok(()) } else { Err(StateError::maildir_replaced(path).into()) }
}

async fn run(pass: &Arc<Pass>, to: &ForwardTo, stop: &CancellationToken) -> Result<(), ForwardError> {
    if stop.is_cancelled() {
        return Err(ForwardError::Stopped);
    }
    let delivering = async {
        match to {
            ForwardTo::Imap(to) => imap::deliver(pass, to).await,
            ForwardTo::Lmtp(to) => {
                pass.looks_for_none();
                lmtp::deliver(pass, to).await
            }
            ForwardTo::Command(words) => {
                pass.looks_for_none();
                command::deliver(pass, words).await
            }
        }
    };
    tokio::pin!(delivering);
    tokio::select! {
        biased;
        ended = &mut delivering => return ended,
        () = stop.cancelled() => {}
    }
    let ended = tokio::time::timeout(TO_THE_END, delivering).await;
    ended.unwrap_or(Err(ForwardError::Stopped))
}
