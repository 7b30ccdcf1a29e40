//! A pass under way, as those see it who bring messages to a destination: what comes next, and where it is written down what
//! became of each.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::doubt::Doubt;
use super::error::ForwardError;
use super::journal::{Arrival, ForwardJournal, Progress};
use super::letter::{Letter, file};
use super::live::Live;
use super::report::{SetAside, Waiting};
use super::spool::{self, Spooled};
use super::turns::{Turns, Weight};
use crate::account::{Account, AccountName};
use crate::message::Digest;
use crate::process_context::ProcessContext;
use crate::state::delivered::Delivery;
use crate::state::record::{ForwardRecord, MailboxUid};
use crate::text::{self, Count};
use crate::watch::blocking;

/// A message that was refused so often, in as many passes in which others arrived, without a word that says for how long, is
/// set aside.
const MOST_REFUSALS: u32 = 3;

/// The same where nothing else arrives: so often in a row, and it has been in the spool for so many seconds.
const REFUSED_FOR_LONG: (u32, i64) = (50, 7 * 86_400);

/// So many refusals in a row are the destination's trouble and not that of single messages.
pub(super) const REFUSALS_IN_A_ROW: u32 = 10;

/// So many messages that are set aside in a pass have a warning of their own; of the others there is their number.
const SET_ASIDE_ALOUD: usize = 3;

/// So many of them are named in the report.
const SET_ASIDE_NAMED: usize = 20;

/// A message that is under way for so long may be one at which the destination hangs.
const LONG: Duration = Duration::from_secs(5);

/// The longest reason that is kept, in characters.
const REASON: usize = 300;

/// A journal and what is to be done.
pub(super) struct Opened {
    pub(super) journal: ForwardJournal,
    /// All of the spool.
    pub(super) messages: Vec<Spooled>,
    /// What may have arrived already: its answer was lost.
    pub(super) open: Vec<Spooled>,
    /// What is to be forwarded beside that.
    pub(super) queue: VecDeque<Spooled>,
    /// The order of that.
    pub(super) turns: Turns,
    /// What was delivered into the spool, as far as it is known, by the names of the files.
    pub(super) delivered: BTreeMap<String, Delivery>,
}

/// A pass under way; connections to one destination share it.
pub(super) struct Pass {
    /// The account.
    pub(super) name: AccountName,
    /// So long the destination may be silent.
    pub(super) timeout: Duration,
    pub(super) context: Arc<ProcessContext>,
    stop: CancellationToken,
    /// None while it is away, and when it is lost.
    journal: AsyncMutex<Option<ForwardJournal>>,
    /// All of the spool, when the pass began.
    messages: Vec<Spooled>,
    /// What was seen to have come into it since.
    came: Mutex<Vec<Spooled>>,
    /// What may have arrived already, until somebody looks for it.
    open: Mutex<Vec<Spooled>>,
    queue: Mutex<VecDeque<Spooled>>,
    /// The order of what is left, and what comes to nothing.
    turns: Mutex<Turns>,
    /// What was delivered into the spool, as far as that is known.
    delivered: BTreeMap<String, Delivery>,
    /// What was done and waits, for whoever looks meanwhile.
    live: Live,
    counts: Mutex<Counts>,
    /// What the destination has said at one message that may hold for all.
    pub(super) doubt: Mutex<Option<Doubt>>,
    /// What was refused without a word that says for how long, and the error that says why.
    refused: Mutex<Vec<(Spooled, ForwardError)>>,
    /// Why the first message was put off that is tried again later.
    put_off: Mutex<Option<ForwardError>>,
    /// What the destination has said of the last message, if it refused that.
    last_words: Mutex<Option<String>>,
    /// The first few messages that were set aside.
    aside: Mutex<Vec<SetAside>>,
    /// A connection has found that the destination takes no more.
    ended: CancellationToken,
}

/// What was done so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// So many messages arrived.
    pub(super) forwarded: u64,
    /// Their size in octets, as they are stored.
    pub(super) octets: u64,
    /// So many were refused for good.
    pub(super) newly_set_aside: usize,
    refusals_in_a_row: u32,
}

impl Pass {
    /// With what is to be done; `stop` ends it.
    pub(super) fn new(
        context: Arc<ProcessContext>,
        account: &Account,
        opened: Opened,
        live: Live,
        stop: CancellationToken,
    ) -> Self {
        Self {
            name: account.name.clone(),
            timeout: account.timeout,
            context,
            stop,
            journal: AsyncMutex::new(Some(opened.journal)),
            messages: opened.messages,
            came: Mutex::default(),
            open: Mutex::new(opened.open),
            queue: Mutex::new(opened.queue),
            turns: Mutex::new(opened.turns),
            delivered: opened.delivered,
            live,
            counts: Mutex::new(Counts::default()),
            doubt: Mutex::default(),
            refused: Mutex::default(),
            put_off: Mutex::default(),
            last_words: Mutex::default(),
            aside: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    /// To look at a destination: with nothing to be done and nothing to write down.
    pub(super) fn without_messages(context: Arc<ProcessContext>, account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            timeout: account.timeout,
            context,
            stop: CancellationToken::new(),
            journal: AsyncMutex::new(None),
            messages: Vec::new(),
            came: Mutex::default(),
            open: Mutex::default(),
            queue: Mutex::default(),
            turns: Mutex::default(),
            delivered: BTreeMap::new(),
            live: Live::default(),
            counts: Mutex::default(),
            doubt: Mutex::default(),
            refused: Mutex::default(),
            put_off: Mutex::default(),
            last_words: Mutex::default(),
            aside: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    /// What was done so far.
    pub(super) fn done(&self) -> Counts {
        *self.counts()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Spooled>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Spooled>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything left to begin.
    pub(super) fn has_more(&self) -> bool {
        !self.queue().is_empty() || !self.open().is_empty()
    }

    /// Whether the messages that may have arrived already are looked for behind the others: looks have come to nothing
    /// before.
    pub(super) fn looks_last(&self) -> bool {
        let has_others = !self.queue().is_empty();
        let (open, turns) = (self.open(), self.turns());
        has_others && open.iter().any(|message| turns.is_fruitless(&message.name))
    }

    /// The messages that may have arrived already; from now on they are the caller's. Empty if the end was asked for.
    pub(super) fn take_open(&self) -> Vec<Spooled> {
        if self.stop.is_cancelled() || self.ended.is_cancelled() {
            return Vec::new();
        }
        std::mem::take(&mut *self.open())
    }

    /// Where nobody can look for messages that may have arrived already, they are sent like the others.
    pub(super) fn looks_for_none(&self) {
        let open = std::mem::take(&mut *self.open());
        if !open.is_empty() {
            self.put_in_place(open.into_iter());
        }
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
        let mut queue = self.queue();
        match self.doubt().as_mut() {
            Some(doubt) => doubt.next(&mut queue),
            None => queue.pop_front(),
        }
    }

    /// Puts messages back that were not begun, each in its place.
    pub(super) fn put_in_place(&self, messages: impl Iterator<Item = Spooled>) {
        let mut queue = self.queue();
        queue.extend(messages);
        self.turns().sort(&mut queue);
    }

    /// Whether the next message is to be tried alone, because it depends on it what is tried behind it.
    pub(super) fn tries_one_alone(&self) -> bool {
        self.turns().is_probing() || self.doubt().is_some()
    }

    /// Waits until no further message is to be begun.
    pub(super) async fn is_to_end(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// No further message is begun.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// The message as it goes over the wire; what is in `prefix` goes in front of it. None, and it is set aside, if its file
    /// is not what was delivered: the source still has it whole. None, and it is tried again later, if it cannot be read.
    pub(super) async fn measure(&self, message: Spooled, prefix: String) -> Result<Option<Letter>, ForwardError> {
        let delivered = message.size();
        let measured = Letter::measure(Arc::clone(&self.context.disk), message.clone(), prefix).await;
        let letter = match measured {
            Ok(letter) => letter,
            Err(source) => {
                return self.later(&message, ForwardError::Spool { path: file(&message), source }).map(|()| None);
            }
        };
        let why = if letter.file_size() != delivered {
            format!("its file in the spool has {} bytes, and {delivered} were delivered", letter.file_size())
        } else if self.digest_of(&message.name).is_some_and(|digest| digest != letter.stored) {
            "its file in the spool has other bytes than were delivered".to_owned()
        } else {
            return Ok(Some(letter));
        };
        self.set_aside(&letter.spooled, &why).await?;
        Ok(None)
    }

    /// The digest of what was delivered, if it is known.
    fn digest_of(&self, name: &str) -> Option<Digest> {
        self.delivered.get(name)?.whole
    }

    /// All messages of which something is known, as long as something is to be said of them.
    pub(super) async fn known<T>(&self, of: impl Fn(&str, &Progress) -> Option<T>) -> Vec<T> {
        let place = self.journal.lock().await;
        let known = place.iter().flat_map(|journal| journal.ledger().iter());
        known.filter_map(|(name, progress)| of(name, progress)).collect()
    }

    /// What is known of a message.
    pub(super) async fn progress(&self, name: &str) -> Option<Progress> {
        self.journal.lock().await.as_ref()?.ledger().get(name).cloned()
    }

    /// The UIDs in a mailbox with this UIDVALIDITY under which messages are known to have arrived.
    pub(super) async fn known_uids(&self, validity: u32) -> BTreeSet<u32> {
        let place = self.journal.lock().await;
        place.iter().flat_map(|journal| journal.ledger().known_uids(validity)).collect()
    }

    /// Those of our messages with these bytes that are known to have arrived.
    pub(super) async fn with_the_bytes(&self, whole: Digest) -> Vec<Arrival> {
        let place = self.journal.lock().await;
        place.iter().flat_map(|journal| journal.ledger().with_the_bytes(whole)).copied().collect()
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
    pub(super) fn arrived(&self, letter: &Letter, uid: Option<MailboxUid>) -> ForwardRecord {
        self.live.arrived(&letter.spooled, self.context.clock.read().wall);
        self.note_words(None);
        {
            let mut counts = self.counts();
            counts.forwarded += 1;
            counts.octets += letter.spooled.size();
            counts.refusals_in_a_row = 0;
        }
        let mut queue = self.queue();
        let mut turns = self.turns();
        if turns.arrived(&letter.spooled.name) {
            turns.sort(&mut queue);
        }
        ForwardRecord::Arrived { name: letter.spooled.name.clone(), whole: Some(letter.whole), uid }
    }

    /// A message was refused for good.
    pub(super) async fn set_aside(&self, message: &Spooled, reason: &str) -> Result<(), ForwardError> {
        let reason = words(reason);
        let nth = {
            let mut counts = self.counts();
            counts.newly_set_aside += 1;
            counts.newly_set_aside
        };
        let since = self.context.clock.read().wall;
        let aside = SetAside::new(message, &self.delivered, since, reason.clone());
        let told = format!(
            "{}: a message is set aside and not forwarded: {aside}. It stays in the spool and on the server",
            self.name
        );
        match nth {
            ..=SET_ASIDE_ALOUD => warn!(account = %self.name, event = "set-aside", "{told}"),
            _ => info!(account = %self.name, event = "set-aside", "{told}"),
        }
        if nth <= SET_ASIDE_NAMED {
            self.aside().push(aside.clone());
        }
        self.live.set_aside(message, aside);
        self.note_words(None);
        self.says_nothing_of_all(message);
        self.record(vec![ForwardRecord::SetAside { name: message.name.clone(), since, reason }]).await
    }

    fn aside(&self) -> MutexGuard<'_, Vec<SetAside>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first few messages that were set aside.
    pub(super) fn first_set_aside(&self) -> Vec<SetAside> {
        self.aside().clone()
    }

    /// How many messages were set aside beyond those that have a warning of their own.
    pub(super) fn tell_of_more_set_aside(&self) {
        let more = self.done().newly_set_aside.saturating_sub(SET_ASIDE_ALOUD);
        if more > 0 {
            warn!(
                account = %self.name,
                event = "set-aside",
                "{}: {} set aside and not forwarded",
                self.name,
                Count::of(more, "more message")
            );
        }
    }

    /// A message was refused, and nothing says for how long: the others go on, and it is tried again in another pass, but not
    /// for ever.
    pub(super) async fn refused(&self, message: &Spooled, doing: &'static str, why: &str) -> Result<(), ForwardError> {
        self.are_not_there(std::slice::from_ref(message)).await?;
        let why = || ForwardError::Refused { doing, response: words(why), lasting: false };
        info!("{}: a message is tried again later: {}", self.name, why());
        self.note(message, Weight::Once);
        self.says_nothing_of_all(message);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push((message.clone(), why()));
        if self.one_more_refusal() >= REFUSALS_IN_A_ROW { Err(why()) } else { Ok(()) }
    }

    /// At the end: a refusal counts only where others arrived meanwhile. Where nothing does the destination is out of order,
    /// whatever it says, and no message is to blame; unless that has gone on for very long.
    pub(super) async fn count_refusals(&self) -> Result<(), ForwardError> {
        let refused = std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        let others_arrived = self.done().forwarded > 0;
        let (most, longest) = REFUSED_FOR_LONG;
        for (message, why) in refused {
            let age = self.context.clock.read().wall.saturating_sub(message.delivered());
            let counts = others_arrived || self.turns().strikes(&message.name) >= most && age > longest;
            let said = match &why {
                ForwardError::Refused { response, .. } => response.clone(),
                other => other.to_string(),
            };
            if !counts || !self.is_given_up(&message, &said).await? {
                self.put_off_for(why);
            }
        }
        Ok(())
    }

    /// These were not taken, or not sent at all: there is nothing to be found out about them any more.
    pub(super) async fn are_not_there(&self, messages: &[Spooled]) -> Result<(), ForwardError> {
        let mut records = Vec::new();
        for Spooled { name, .. } in messages {
            let Progress { refusals: times, breaks, .. } = self.progress(name).await.unwrap_or_default();
            records.push(ForwardRecord::Refused { name: name.clone(), times, breaks });
        }
        self.record(records).await
    }

    /// Nothing was sent of these: they are to be tried another time.
    pub(super) async fn take_back(&self, messages: Vec<Spooled>) -> Result<(), ForwardError> {
        self.are_not_there(&messages).await?;
        self.put_in_place(messages.into_iter());
        Ok(())
    }

    /// Counts a try that came to nothing. True if it was the last one: then the message is set aside.
    pub(super) async fn is_given_up(&self, message: &Spooled, why: &str) -> Result<bool, ForwardError> {
        let Progress { refusals, breaks, .. } = self.progress(&message.name).await.unwrap_or_default();
        let times = refusals.saturating_add(1);
        if times >= MOST_REFUSALS {
            self.set_aside(message, why).await?;
            return Ok(true);
        }
        self.record(vec![ForwardRecord::Refused { name: message.name.clone(), times, breaks }]).await?;
        Ok(false)
    }

    /// A message was refused for now: the others go on, and it is tried again in another pass, as often as it takes.
    pub(super) fn later(&self, message: &Spooled, why: ForwardError) -> Result<(), ForwardError> {
        info!(account = %self.name, "{}: a message is tried again later: {why}", self.name);
        self.note(message, Weight::Once);
        self.note_words(why.words());
        self.says_nothing_of_all(message);
        if self.one_more_refusal() >= REFUSALS_IN_A_ROW {
            return Err(why);
        }
        self.put_off_for(why);
        Ok(())
    }

    /// A try with a message has come to nothing: that decides what the next pass begins with.
    pub(super) fn note(&self, message: &Spooled, weight: Weight) {
        self.turns().note(&message.name, weight);
    }

    /// What the destination has said of a message that it refused; None: it did not.
    pub(super) fn note_words(&self, words: Option<&str>) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = words.map(str::to_owned);
    }

    /// What the destination has said of the last message, if it refused that.
    pub(super) fn last_words(&self) -> Option<String> {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Counts a refusal; how many there were in a row.
    pub(super) fn one_more_refusal(&self) -> u32 {
        let mut counts = self.counts();
        counts.refusals_in_a_row += 1;
        counts.refusals_in_a_row
    }

    /// A message is put off for this reason.
    pub(super) fn put_off_for(&self, why: ForwardError) {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// Why the first message was put off that is tried again later.
    pub(super) fn put_off(&self) -> Option<ForwardError> {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Awaits what is done with a message. If it takes long, that is written down before it is over: a destination that
    /// hangs at a message does so until somebody ends this process, and the next one must not begin with the same.
    pub(super) async fn watch<T>(&self, name: &str, doing: impl Future<Output = T>) -> T {
        tokio::pin!(doing);
        tokio::select! {
            biased;
            done = &mut doing => return done,
            () = sleep(LONG) => {}
        }
        let note = async {
            let record = {
                let others_arrived = self.done().forwarded > 0;
                let mut turns = self.turns();
                turns.note(name, Weight::Hangs);
                turns.record(name, others_arrived)
            };
            // A hint: without it the order of the next pass is another one.
            let _ = self.record(record.into_iter().collect()).await;
        };
        tokio::join!(doing, note).0
    }

    /// Writes down what the next pass has to know of what came to nothing.
    pub(super) async fn write_troubles(&self) -> Result<(), ForwardError> {
        let records = self.turns().records(self.done().forwarded > 0);
        self.record(records).await
    }

    /// Counts what comes into the spool while the pass runs, each time that somebody asks for it. Never ends.
    pub(super) async fn count_what_comes(&self) -> Infallible {
        let mut known: HashSet<String> = HashSet::new();
        loop {
            self.live.is_to_count_again().await;
            if known.is_empty() {
                known = self.messages.iter().map(|message| message.name.clone()).collect();
            }
            let (disk, dir, name) = (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.name.clone());
            // What cannot be read is told by the next pass.
            let Ok(Ok(Some(there))) = blocking(move || spool::messages_of(&*disk, &dir, &name)).await else { continue };
            let new: Vec<Spooled> = there.into_iter().filter(|message| known.insert(message.name.clone())).collect();
            self.live.came(&new);
            self.came().extend(new);
        }
    }

    fn came(&self) -> MutexGuard<'_, Vec<Spooled>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the messages that were there, and of what came since.
    pub(super) async fn waiting(&self) -> Result<Waiting, ForwardError> {
        let place = self.journal.lock().await;
        let journal = place.as_ref().ok_or(ForwardError::Stopped)?;
        let came = self.came();
        Ok(Waiting::of(self.messages.iter().chain(&*came), journal.ledger(), &self.delivered))
    }
}

/// What a server or a command said, fit for a line of a log.
pub(super) fn words(text: &str) -> String {
    let shown = text::value(text.trim());
    if shown.chars().count() <= REASON {
        return shown;
    }
    let mut short: String = shown.chars().take(REASON).collect();
    short.push('…');
    short
}
