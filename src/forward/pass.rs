//! A running pass, as the code that talks to a destination sees it: it hands out the next message, and records what
//! became of each.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::arrived::Arrived;
use super::doubt::Doubt;
use super::error::{ForwardError, RefusalKind};
use super::journal::{Arrival, ForwardJournal, Progress, arrived_for_others};
use super::letter::{Letter, file};
use super::live::Live;
use super::refused_for_good::RefusedForGood;
use super::report::{DAMAGED, MessageInSpool, SetAside, Waiting};
use super::spool::{self, Spooled};
use super::turns::{Turns, Weight};
use crate::account::{Account, AccountName};
use crate::message::Digest;
use crate::process_context::ProcessContext;
use crate::state::delivered::Delivery;
use crate::state::record::ForwardRecord;
use crate::text::{self, Count};
use crate::watch::blocking;

/// A message is set aside once it was refused in this many passes in which others arrived, if no refusal said how long
/// it holds.
const MOST_REFUSALS: u32 = 3;

/// The same for passes in which nothing else arrived: the refusals in a row, and the seconds that the message has been
/// in the spool.
const REFUSED_FOR_LONG: (u32, i64) = (50, 7 * 86_400);

/// This many refusals in a row are the fault of the destination, not of single messages.
pub(super) const REFUSALS_IN_A_ROW: u32 = 10;

/// Where the log has messages that are set aside: a command reports them at its end.
pub(crate) const SET_ASIDE: &str = "mailferry::forward::set_aside";

/// How many messages set aside in a pass get a warning of their own; the others are only counted.
const SET_ASIDE_ALOUD: usize = 3;

/// How many of them the report names.
const SET_ASIDE_NAMED: usize = 20;

/// A destination may hang at a message that is under way for this long.
const LONG: Duration = Duration::from_secs(5);

/// The longest reason that is kept, in characters.
const REASON: usize = 300;

/// The journal and the work of a pass.
pub(super) struct Opened {
    pub(super) journal: ForwardJournal,
    /// All messages of the spool.
    pub(super) messages: Vec<Spooled>,
    /// Messages that may have arrived already: the answer was lost.
    pub(super) open: Vec<Spooled>,
    /// The other messages to forward.
    pub(super) queue: VecDeque<Spooled>,
    /// The order of the messages.
    pub(super) turns: Turns,
    /// What is known of the deliveries into the spool, by file name.
    pub(super) delivered: BTreeMap<String, Delivery>,
}

/// A running pass. All connections to its destination share it.
pub(super) struct Pass {
    /// The account.
    pub(super) name: AccountName,
    /// How long the destination may be silent.
    pub(super) timeout: Duration,
    pub(super) context: Arc<ProcessContext>,
    stop: CancellationToken,
    /// None while a write is running, and for good if its thread fails.
    journal: AsyncMutex<Option<ForwardJournal>>,
    /// All messages of the spool when the pass began.
    messages: Vec<Spooled>,
    /// Messages that have come into it since.
    came: Mutex<Vec<Spooled>>,
    /// Messages that may have arrived already, until somebody looks for them.
    open: Mutex<Vec<Spooled>>,
    queue: Mutex<VecDeque<Spooled>>,
    /// The order of the messages that are left, and the failed tries.
    turns: Mutex<Turns>,
    /// What is known of the deliveries into the spool, by file name.
    delivered: BTreeMap<String, Delivery>,
    /// What is done and what waits, for others to look at meanwhile.
    live: Live,
    counts: Mutex<Counts>,
    /// Messages that have arrived, until that is recorded: their sizes in octets, by file name.
    unrecorded: Mutex<BTreeMap<String, u64>>,
    /// The refusal of one message that may concern all.
    pub(super) doubt: Mutex<Option<Doubt>>,
    /// Messages refused without a word on how long that holds, and why.
    refused: Mutex<Vec<(Spooled, ForwardError)>>,
    /// Messages refused for good since the destination last accepted one.
    pub(super) refused_for_good: Mutex<RefusedForGood>,
    /// Why the first message that is tried again later was put off, and which one, if the reason is about one.
    put_off: Mutex<Option<(Option<MessageInSpool>, ForwardError)>>,
    /// What the destination said of the last message, if it refused it.
    last_words: Mutex<Option<String>>,
    /// The first few messages set aside in this pass.
    aside: Mutex<Vec<SetAside>>,
    /// Cancelled once a connection has found that the destination accepts no more, or others wait for this pass's place.
    ended: CancellationToken,
}

/// What the pass has done so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    /// How many messages arrived.
    pub(super) forwarded: u64,
    /// Their size as stored, in octets.
    pub(super) octets: u64,
    /// How many were newly set aside.
    pub(super) newly_set_aside: usize,
    /// How many were at the destination before they were sent.
    were_there: usize,
    refusals_in_a_row: u32,
}

impl Pass {
    /// Makes a pass for the work in `opened`; `stop` ends it.
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
            refused_for_good: Mutex::new(RefusedForGood::recall(opened.journal.ledger())),
            journal: AsyncMutex::new(Some(opened.journal)),
            messages: opened.messages,
            came: Mutex::default(),
            open: Mutex::new(opened.open),
            queue: Mutex::new(opened.queue),
            turns: Mutex::new(opened.turns),
            delivered: opened.delivered,
            ended: live.ended(),
            live,
            counts: Mutex::new(Counts::default()),
            unrecorded: Mutex::default(),
            doubt: Mutex::default(),
            refused: Mutex::default(),
            put_off: Mutex::default(),
            last_words: Mutex::default(),
            aside: Mutex::default(),
        }
    }

    /// Makes a pass that only looks at a destination: it has no messages and writes nothing.
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
            unrecorded: Mutex::default(),
            doubt: Mutex::default(),
            refused: Mutex::default(),
            refused_for_good: Mutex::default(),
            put_off: Mutex::default(),
            last_words: Mutex::default(),
            aside: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    /// Returns what was done so far.
    pub(super) fn done(&self) -> Counts {
        *self.counts()
    }

    /// Returns how many messages have arrived and are recorded as such, and their size in octets.
    pub(super) fn recorded(&self) -> (u64, u64) {
        let (done, unrecorded) = (self.done(), self.unrecorded());
        let count = u64::try_from(unrecorded.len()).unwrap_or(u64::MAX);
        (done.forwarded.saturating_sub(count), done.octets.saturating_sub(unrecorded.values().sum()))
    }

    fn unrecorded(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whether there is a message left to begin.
    pub(super) fn has_more(&self) -> bool {
        !self.queue().is_empty() || !self.open().is_empty()
    }

    /// Whether messages that may have arrived already are looked for after the others, because earlier looks failed.
    pub(super) fn looks_last(&self) -> bool {
        let has_others = !self.queue().is_empty();
        let (open, turns) = (self.open(), self.turns());
        has_others && open.iter().any(|message| turns.is_fruitless(&message.name))
    }

    /// Hands over the messages that may have arrived already. Empty if a stop was requested.
    pub(super) fn take_open(&self) -> Vec<Spooled> {
        if self.stop.is_cancelled() || self.ended.is_cancelled() {
            return Vec::new();
        }
        std::mem::take(&mut *self.open())
    }

    /// Queues messages that may have arrived already with the others, for destinations where nobody can look for them.
    pub(super) fn looks_for_none(&self) {
        let open = std::mem::take(&mut *self.open());
        if !open.is_empty() {
            self.put_in_place(open.into_iter());
        }
    }

    /// Returns how many messages are left to begin.
    pub(super) fn left(&self) -> usize {
        self.queue().len()
    }

    /// Returns the next message. None if none is left or none may be begun any more.
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

    /// Puts messages back that were not begun, in their order.
    pub(super) fn put_in_place(&self, messages: impl Iterator<Item = Spooled>) {
        let mut queue = self.queue();
        queue.extend(messages);
        self.turns().sort(&mut queue);
    }

    /// Whether the next message is to be tried alone, because its outcome decides what is tried after it.
    pub(super) fn tries_one_alone(&self) -> bool {
        self.turns().is_probing() || self.doubt().is_some()
    }

    /// Whether a stop was requested.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until no further message may be begun.
    pub(super) async fn is_to_end(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Ends the pass: no further message is begun.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Prepares a message for the wire, with `prefix` prepended. None if its file is not what was delivered: it is set
    /// aside, and the source still has it whole. None, too, if it cannot be read: it is tried again later.
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
            format!("{DAMAGED} {} bytes, and {delivered} were delivered", letter.file_size())
        } else if self.digest_of(&message.name).is_some_and(|digest| digest != letter.stored) {
            format!("{DAMAGED} other bytes than were delivered")
        } else {
            return Ok(Some(letter));
        };
        self.set_aside(&letter.spooled, &why).await?;
        Ok(None)
    }

    /// Returns the digest of what was delivered, if it is known.
    fn digest_of(&self, name: &str) -> Option<Digest> {
        self.delivered.get(name)?.whole
    }

    /// Applies `of` to all messages in the journal and collects its values.
    pub(super) async fn known<T>(&self, of: impl Fn(&str, &Progress) -> Option<T>) -> Vec<T> {
        let place = self.journal.lock().await;
        let known = place.iter().flat_map(|journal| journal.ledger().iter());
        known.filter_map(|(name, progress)| of(name, progress)).collect()
    }

    /// Returns what is known of a message.
    pub(super) async fn progress(&self, name: &str) -> Option<Progress> {
        self.journal.lock().await.as_ref()?.ledger().get(name).cloned()
    }

    /// Returns the UIDs, in a mailbox with this UIDVALIDITY, under which messages are known to have arrived.
    pub(super) async fn known_uids(&self, validity: u32) -> BTreeSet<u32> {
        let place = self.journal.lock().await;
        place.iter().flat_map(|journal| journal.ledger().known_uids(validity)).collect()
    }

    /// Returns our messages with these bytes that are known to have arrived.
    pub(super) async fn with_the_bytes(&self, whole: Digest) -> Vec<Arrival> {
        let place = self.journal.lock().await;
        place.iter().flat_map(|journal| journal.ledger().with_the_bytes(whole)).copied().collect()
    }

    /// Returns the messages with these bytes that have arrived for other accounts, with their UIDs under this
    /// UIDVALIDITY: they may be in the same mailbox.
    pub(super) async fn arrived_for_others(&self, validity: u32, wholes: BTreeSet<Digest>) -> Vec<(Digest, u32)> {
        let (disk, dir, name) = (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.name.clone());
        let look = move || arrived_for_others(&*disk, &dir, &name, validity, &wholes);
        // Without them the look takes what it finds for ours: the bytes are there in any case.
        blocking(look).await.unwrap_or_default()
    }

    /// Writes records, durably.
    pub(super) async fn record(&self, records: Vec<ForwardRecord>) -> Result<(), ForwardError> {
        if records.is_empty() {
            return Ok(());
        }
        let doing = "write down what was forwarded";
        let mut place = self.journal.lock().await;
        let Some(mut journal) = place.take() else { return Err(ForwardError::Stopped) };
        let names: HashSet<String> = records.iter().filter_map(|record| record.arrived().map(str::to_owned)).collect();
        let write = move || {
            let written = journal.record(records);
            (journal, written)
        };
        let (journal, written) = blocking(write).await.map_err(|e| ForwardError::Work(e.doing(doing)))?;
        *place = Some(journal);
        written?;
        let mut unrecorded = self.unrecorded();
        unrecorded.retain(|name, _| !names.contains(name));
        Ok(())
    }

    /// Counts a message that has arrived. Returns the record of it, which the caller writes before or with the next
    /// one.
    pub(super) fn arrived(&self, arrived: Arrived) -> ForwardRecord {
        let message = arrived.message();
        self.live.arrived(message, self.context.clock.read().wall);
        self.note_words(None);
        {
            let mut counts = self.counts();
            counts.forwarded += 1;
            counts.octets += message.size();
            counts.refusals_in_a_row = 0;
        }
        self.unrecorded().insert(message.name.clone(), message.size());
        let mut queue = self.queue();
        let mut turns = self.turns();
        if turns.arrived(&message.name) {
            turns.sort(&mut queue);
        }
        arrived.into_record()
    }

    /// Tells of a message that the destination had before it was sent, and has not stored again.
    pub(super) fn was_there(&self, message: &Spooled) {
        let nth = {
            let mut counts = self.counts();
            counts.were_there += 1;
            counts.were_there
        };
        let told = format!(
            "{}: a message was at the destination before, and was not stored again: {}. It stays on the server",
            self.name,
            self.named(message)
        );
        match nth {
            ..=SET_ASIDE_ALOUD => warn!(account = %self.name, event = "message", "{told}"),
            _ => info!(account = %self.name, event = "message", "{told}"),
        }
    }

    /// Sets a message aside: it is not tried again by itself.
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
            ..=SET_ASIDE_ALOUD => warn!(target: SET_ASIDE, account = %self.name, event = "set-aside", "{told}"),
            _ => info!(target: SET_ASIDE, account = %self.name, event = "set-aside", "{told}"),
        }
        if nth <= SET_ASIDE_NAMED {
            self.aside().push(aside.clone());
        }
        self.live.set_aside(message, aside);
        self.turns().forget(&message.name);
        self.note_words(None);
        self.says_nothing_of_all(message);
        self.record(vec![ForwardRecord::SetAside { name: message.name.clone(), since, reason }]).await
    }

    fn aside(&self) -> MutexGuard<'_, Vec<SetAside>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the first few messages that were set aside.
    pub(super) fn first_set_aside(&self) -> Vec<SetAside> {
        self.aside().clone()
    }

    /// Logs how many messages were set aside beyond those with a warning of their own.
    pub(super) fn tell_of_more_set_aside(&self) {
        let were_there = self.done().were_there.saturating_sub(SET_ASIDE_ALOUD);
        if were_there > 0 {
            warn!(
                account = %self.name,
                event = "message",
                "{}: {} at the destination before, and not stored again",
                self.name,
                Count::of(were_there, "more message")
            );
        }
        let more = self.done().newly_set_aside.saturating_sub(SET_ASIDE_ALOUD);
        if more > 0 {
            warn!(
                target: SET_ASIDE,
                account = %self.name,
                event = "set-aside",
                "{}: {} set aside and not forwarded",
                self.name,
                Count::of(more, "more message")
            );
        }
    }

    /// Notes that a message was refused without a word on how long that holds. The others go on, and it is tried again
    /// in later passes, but not for ever.
    pub(super) async fn refused(&self, message: &Spooled, doing: &'static str, why: &str) -> Result<(), ForwardError> {
        self.are_not_there(std::slice::from_ref(message)).await?;
        let why = || ForwardError::Refused { doing, response: words(why), kind: RefusalKind::Passing };
        self.log_later(message, &why());
        self.note(message, Weight::Once);
        self.says_nothing_of_all(message);
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push((message.clone(), why()));
        if self.one_more_refusal() >= REFUSALS_IN_A_ROW { Err(why()) } else { Ok(()) }
    }

    /// Counts the refusals at the end of the pass. They count only if other messages arrived. If none did, the
    /// destination is out of order, whatever it says, and no message is to blame, unless that has gone on for very
    /// long.
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
                self.put_off_for(Some(&message), why);
            }
        }
        Ok(())
    }

    /// Drops the intents of messages that were not accepted or not sent at all: there is nothing to find out about them
    /// any more.
    pub(super) async fn are_not_there(&self, messages: &[Spooled]) -> Result<(), ForwardError> {
        let mut records = Vec::new();
        for Spooled { name, .. } in messages {
            let Progress { refusals: times, breaks, .. } = self.progress(name).await.unwrap_or_default();
            records.push(ForwardRecord::Refused { name: name.clone(), times, breaks });
        }
        self.record(records).await
    }

    /// Queues messages again of which nothing was sent.
    pub(super) async fn take_back(&self, messages: Vec<Spooled>) -> Result<(), ForwardError> {
        self.are_not_there(&messages).await?;
        self.put_in_place(messages.into_iter());
        Ok(())
    }

    /// Counts a failed try. Returns true if it was the last one and the message is set aside.
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

    /// Puts off a message that was refused for now. The others go on, and it is tried again in later passes, as often
    /// as it takes.
    pub(super) fn later(&self, message: &Spooled, why: ForwardError) -> Result<(), ForwardError> {
        self.log_later(message, &why);
        self.note(message, Weight::Once);
        self.note_words(why.words());
        self.says_nothing_of_all(message);
        if self.one_more_refusal() >= REFUSALS_IN_A_ROW {
            return Err(why);
        }
        self.put_off_for(Some(message), why);
        Ok(())
    }

    /// Logs that a message is put off.
    pub(super) fn log_later(&self, message: &Spooled, why: &ForwardError) {
        info!(account = %self.name, "{}: a message is tried again later: {}: {why}", self.name, self.named(message));
    }

    /// Names a message for people.
    pub(super) fn named(&self, message: &Spooled) -> MessageInSpool {
        MessageInSpool::new(message, &self.delivered)
    }

    /// Notes a failed try with a message, which decides what the next pass begins with.
    pub(super) fn note(&self, message: &Spooled, weight: Weight) {
        self.turns().note(&message.name, weight);
    }

    /// Notes what the destination said of a message that it refused. None: it did not refuse it.
    pub(super) fn note_words(&self, words: Option<&str>) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = words.map(str::to_owned);
    }

    /// Returns what the destination said of the last message, if it refused it.
    pub(super) fn last_words(&self) -> Option<String> {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Counts a refusal. Returns how many there were in a row.
    pub(super) fn one_more_refusal(&self) -> u32 {
        let mut counts = self.counts();
        counts.refusals_in_a_row += 1;
        counts.refusals_in_a_row
    }

    /// Notes why a message is put off. None: the reason is about no single one.
    pub(super) fn put_off_for(&self, message: Option<&Spooled>, why: ForwardError) {
        let put_off = || (message.map(|message| self.named(message)), why);
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(put_off);
    }

    /// Returns why the first message that is tried again later was put off, and which one, if the reason is about one.
    pub(super) fn put_off(&self) -> Option<(Option<MessageInSpool>, ForwardError)> {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Awaits what is done with a message. If it takes long, that is written down before it ends: a destination that
    /// hangs at a message does so until this process is ended, and the next process must not begin with the same one.
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
            // Only a hint: without it the next pass has another order.
            let _ = self.record(record.into_iter().collect()).await;
        };
        tokio::join!(doing, note).0
    }

    /// Writes down what the next pass has to know of failed tries.
    pub(super) async fn write_failed_tries(&self) -> Result<(), ForwardError> {
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
            // The next pass reports what cannot be read.
            let Ok(Ok(Some(there))) = blocking(move || spool::messages_of(&*disk, &dir, &name)).await else { continue };
            let new: Vec<Spooled> = there.into_iter().filter(|message| known.insert(message.name.clone())).collect();
            self.live.came(&new);
            self.came().extend(new);
        }
    }

    fn came(&self) -> MutexGuard<'_, Vec<Spooled>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is left of the messages that were there at the beginning and of those that came since.
    pub(super) async fn waiting(&self) -> Result<Waiting, ForwardError> {
        let place = self.journal.lock().await;
        let journal = place.as_ref().ok_or(ForwardError::Stopped)?;
        let came = self.came();
        Ok(Waiting::of(self.messages.iter().chain(&*came), journal.ledger(), &self.delivered))
    }
}

/// Makes the words of a server or a command fit for a log line.
pub(super) fn words(text: &str) -> String {
    text::cut_words(text.trim(), REASON)
}
