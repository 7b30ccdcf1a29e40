//! One pass: what waits in the spool of an account is taken on, the oldest first, until nothing is left or the destination
//! takes no more.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::ForwardError;
use super::journal::{ForwardJournal, Progress, glance, journal_file};
use super::letter::{Letter, place};
use super::report::{ForwardReport, Waiting};
use super::spool::{self, Spooled};
use super::{command, imap, lmtp};
use crate::account::{Account, AccountName, Forward, ForwardTo};
use crate::clock::Clock;
use crate::credential::{CredentialEnvironment, printable};
use crate::disk::Disk;
use crate::net::Dial;
use crate::state::entries::Identity;
use crate::state::record::ForwardRecord;
use crate::watch::blocking;

/// What is under way when the end is asked for has so long.
const TO_THE_END: Duration = Duration::from_secs(10);

/// A message that was refused so often, in as many passes, without a word that says for how long, is set aside.
const MOST_REFUSALS: u32 = 3;

/// So many refusals in a row are the destination's trouble and not that of single messages.
const REFUSALS_IN_A_ROW: u32 = 10;

/// The longest reason that is kept, in characters.
const REASON: usize = 300;

/// What forwarders need of the process.
#[derive(Debug, Clone)]
pub struct ForwardContext {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Where spools and journals are.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Where credentials of systemd are.
    pub credentials: CredentialEnvironment,
    /// Tells others who holds a lock.
    pub holder: String,
}

/// How a pass is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardOptions {
    /// What was refused for good is tried once more.
    pub again: bool,
}

/// Takes on what waits in the spool of an account that forwards. Never panics because of what a server or a disk does.
///
/// When `stop` is cancelled no further message is begun, and what is under way has a few seconds.
pub async fn forward(
    context: Arc<ForwardContext>,
    account: &Account,
    forward: Arc<Forward>,
    options: ForwardOptions,
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
            (report.end, report.duration) = (Err(e), begun.elapsed());
            return report;
        }
    };
    let pass = Pass {
        name: account.name.clone(),
        patience: account.timeout,
        context,
        forward,
        stop,
        journal: AsyncMutex::new(Some(opened.journal)),
        queue: Mutex::new(opened.queue),
        counts: Mutex::new(Counts::default()),
        ended: CancellationToken::new(),
    };
    let pass = Arc::new(pass);
    if pass.has_more() {
        report.end = run(&pass).await;
    }
    let Counts { forwarded, octets, newly_set_aside, .. } = *pass.counts();
    (report.forwarded, report.octets, report.newly_set_aside) = (forwarded, octets, newly_set_aside);
    match pass.waiting(opened.messages).await {
        Ok(waiting) => report.waiting = waiting,
        Err(e) if report.end.is_ok() => report.end = Err(e),
        Err(_) => {}
    }
    report.duration = begun.elapsed();
    report
}

/// What there is to do.
enum Opening {
    /// Nothing, and so nothing is written. This is there.
    Nothing(Waiting),
    /// This.
    Work(Box<Opened>),
}

/// A journal and what is to be done.
struct Opened {
    journal: ForwardJournal,
    /// All of the spool.
    messages: Vec<Spooled>,
    /// What is to be forwarded; first what may have arrived already.
    queue: VecDeque<Spooled>,
}

async fn open(
    context: &Arc<ForwardContext>,
    account: &Account,
    options: ForwardOptions,
) -> Result<Opening, ForwardError> {
    let (context, name) = (Arc::clone(context), account.name.clone());
    let identity = Identity {
        instance: fastrand::u64(..),
        host: account.endpoint.host.clone(),
        user: account.username.clone(),
        created: context.clock.read().wall,
    };
    let open = move || open_journal(&context, &name, identity, options);
    blocking(open).await.map_err(|e| ForwardError::Work(e.doing("open the spool")))?
}

/// Blocks.
fn open_journal(
    context: &ForwardContext,
    name: &AccountName,
    identity: Identity,
    options: ForwardOptions,
) -> Result<Opening, ForwardError> {
    let (disk, dir) = (&context.disk, &context.state_dir);
    let Some(maildir) = spool::open(&**disk, &dir.join(format!("{name}.spool")))? else {
        return Ok(Opening::Nothing(Waiting::default()));
    };
    let messages = spool::messages(&**disk, &maildir)?;
    let known = glance(&**disk, &journal_file(dir, name))?;
    let is_dealt_with = |message: &Spooled| known.has_arrived(&message.name) || known.is_set_aside(&message.name);
    let is_nothing = if messages.is_empty() { known.is_empty() } else { messages.iter().all(is_dealt_with) };
    if is_nothing && !options.again {
        return Ok(Opening::Nothing(Waiting::of(&messages, &known)));
    }
    let opened = ForwardJournal::open(disk, dir, name, identity)?;
    let mut journal = opened.ok_or(ForwardError::Busy)?;
    // Whoever had the journal before may have forwarded what was not there a moment ago.
    let messages = spool::messages(&**disk, &maildir)?;
    let names: std::collections::HashSet<&str> = messages.iter().map(|message| message.name.as_str()).collect();
    // What is forgotten must not come back with a power cut.
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
    let (first, others): (Vec<Spooled>, Vec<Spooled>) =
        messages.iter().filter(is_to_do).cloned().partition(|message| is_open(message));
    let queue = first.into_iter().chain(others).collect();
    Ok(Opening::Work(Box::new(Opened { journal, messages, queue })))
}

async fn run(pass: &Arc<Pass>) -> Result<(), ForwardError> {
    let delivering = async {
        match &pass.forward.to {
            ForwardTo::Imap(to) => imap::deliver(pass, to).await,
            ForwardTo::Lmtp(to) => lmtp::deliver(pass, to).await,
            ForwardTo::Command(words) => command::deliver(pass, words).await,
        }
    };
    tokio::pin!(delivering);
    tokio::select! {
        biased;
        ended = &mut delivering => return ended,
        () = pass.stop.cancelled() => {}
    }
    let ended = tokio::time::timeout(TO_THE_END, delivering).await;
    ended.unwrap_or(Err(ForwardError::Stopped))
}

/// A pass under way; connections to one destination share it.
pub(super) struct Pass {
    /// The account.
    pub(super) name: AccountName,
    /// So long the destination may be silent.
    pub(super) patience: Duration,
    pub(super) context: Arc<ForwardContext>,
    forward: Arc<Forward>,
    stop: CancellationToken,
    /// None while it is away, and when it is lost.
    journal: AsyncMutex<Option<ForwardJournal>>,
    queue: Mutex<VecDeque<Spooled>>,
    counts: Mutex<Counts>,
    /// A connection has found that the destination takes no more.
    ended: CancellationToken,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    forwarded: u64,
    octets: u64,
    newly_set_aside: usize,
    refusals_in_a_row: u32,
}

impl Pass {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Spooled>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything left to begin.
    pub(super) fn has_more(&self) -> bool {
        !self.queue().is_empty()
    }

    /// How many messages are left to begin.
    pub(super) fn left(&self) -> usize {
        self.queue().len()
    }

    /// The next message. None if there is none, or none is to be begun.
    pub(super) fn next(&self) -> Option<Spooled> {
        if self.stop.is_cancelled() || self.ended.is_cancelled() {
            return None;
        }
        self.queue().pop_front()
    }

    /// Puts back a message that was not begun.
    pub(super) fn put_back(&self, message: Spooled) {
        self.queue().push_front(message);
    }

    /// No further message is begun.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// The message as it goes over the wire; what is in `prefix` goes in front of it.
    pub(super) async fn measure(&self, message: Spooled, prefix: String) -> Result<Letter, ForwardError> {
        let path = place(&message).to_owned();
        let measured = Letter::measure(Arc::clone(&self.context.disk), message, prefix).await;
        measured.map_err(|source| ForwardError::Spool { path, source })
    }

    /// What is known of a message.
    pub(super) async fn progress(&self, name: &str) -> Option<Progress> {
        self.journal.lock().await.as_ref()?.ledger().get(name).cloned()
    }

    /// Whether a UID is that of a message that is known to have arrived.
    pub(super) async fn knows(&self, uid: crate::state::record::MailboxUid) -> bool {
        self.journal.lock().await.as_ref().is_some_and(|journal| journal.ledger().knows(uid))
    }

    /// Writes records, durably.
    pub(super) async fn record(&self, records: Vec<ForwardRecord>) -> Result<(), ForwardError> {
        if records.is_empty() {
            return Ok(());
        }
        let doing = "write down what was forwarded";
        let mut place = self.journal.lock().await;
        let Some(mut journal) = place.take() else { return Err(ForwardError::Stopped) };
        let write = move || {
            let written = journal.record(records);
            (journal, written)
        };
        let (journal, written) = blocking(write).await.map_err(|e| ForwardError::Work(e.doing(doing)))?;
        *place = Some(journal);
        Ok(written?)
    }

    /// A message arrived: the record that says so, which the caller writes before or with the next one.
    pub(super) fn arrived(&self, letter: &Letter, uid: Option<crate::state::record::MailboxUid>) -> ForwardRecord {
        let mut counts = self.counts();
        counts.forwarded += 1;
        counts.octets += letter.spooled.size();
        counts.refusals_in_a_row = 0;
        ForwardRecord::Arrived { name: letter.spooled.name.clone(), uid }
    }

    /// A message was refused for good.
    pub(super) async fn set_aside(&self, message: &Spooled, reason: &str) -> Result<(), ForwardError> {
        let reason = words(reason);
        warn!(
            event = "set-aside",
            "{}: a message is set aside, because the destination will not take it: {reason}. It stays in the spool and on \
             the server; once the cause is mended: {}",
            self.name,
            crate::user::this_program(&format!("forward --again {}", self.name))
        );
        self.counts().newly_set_aside += 1;
        let since = self.context.clock.read().wall;
        self.record(vec![ForwardRecord::SetAside { name: message.name.clone(), since, reason }]).await
    }

    /// A message was refused, and nothing says for how long: the others go on, and it is tried again in another pass, but not
    /// for ever.
    pub(super) async fn refused(&self, message: &Spooled, doing: &'static str, why: &str) -> Result<(), ForwardError> {
        let times = self.progress(&message.name).await.map_or(0, |progress| progress.refusals).saturating_add(1);
        if times >= MOST_REFUSALS {
            return self.set_aside(message, why).await;
        }
        self.record(vec![ForwardRecord::Refused { name: message.name.clone(), times }]).await?;
        self.later(doing, why)
    }

    /// A message was refused for now: the others go on, and it is tried again in another pass, as often as it takes.
    pub(super) fn later(&self, doing: &'static str, why: &str) -> Result<(), ForwardError> {
        info!("{}: a message is tried again later: {}", self.name, words(why));
        let in_a_row = {
            let mut counts = self.counts();
            counts.refusals_in_a_row += 1;
            counts.refusals_in_a_row
        };
        if in_a_row < REFUSALS_IN_A_ROW {
            return Ok(());
        }
        Err(ForwardError::Refused { doing, response: words(why), lasting: false })
    }

    /// What is left of the messages that were there.
    async fn waiting(&self, messages: Vec<Spooled>) -> Result<Waiting, ForwardError> {
        let place = self.journal.lock().await;
        let journal = place.as_ref().ok_or(ForwardError::Stopped)?;
        Ok(Waiting::of(&messages, journal.ledger()))
    }
}

/// What a server or a command said, fit for a line of a log.
pub(super) fn words(text: &str) -> String {
    let shown = printable(text.trim());
    if shown.chars().count() <= REASON {
        return shown;
    }
    let mut short: String = shown.chars().take(REASON).collect();
    short.push('…');
    short
}
