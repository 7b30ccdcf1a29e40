//! Messages whose answers were lost. They are looked for before anything is appended, and for as long as more of them
//! may still arrive.
//!
//! The server may still be busy with the connection that sent them: a process that is killed and restarted at once is
//! faster than a server that stores what it has received. So it proves nothing if one look does not find a message. It
//! is appended again only once none of the messages sought has arrived for a while.
//!
//! A look may hang or break every time: because of a large mailbox, or of a message that the server cannot read. So a
//! look has a time limit, and after failed looks the other messages go first. A message that was not looked for is
//! still not appended again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::Worker;
use crate::forward::arrived::Arrived;
use crate::forward::error::{ForwardError, RefusalKind};
use crate::forward::imap::recognition::{Fate, Found, Sought, Twin};
use crate::forward::imap::session::Session;
use crate::forward::imap::survey;
use crate::forward::journal::Arrival;
use crate::forward::letter::Letter;
use crate::forward::spool::Spooled;
use crate::forward::turns::Weight;
use crate::forward::wire::WireError;
use crate::message::Digest;
use crate::state::record::{AppendIntent, MailboxUid};

/// A message may be appended again once none of those sought has arrived for this long.
pub(super) const AT_REST: Duration = Duration::from_secs(5);

/// The time between two looks.
pub(super) const NEXT_LOOK: Duration = Duration::from_millis(500);

/// The time limit for all looks of a pass together. A large mailbox that was recreated is searched in less.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What an error message says was being done.
const DOING: &str = "look for a message whose answer was lost";

/// A message whose answer was lost, and the intent recorded before it was sent.
type Open = (Letter, AppendIntent);

/// How long none of the messages sought has arrived.
struct Quiet {
    since: Instant,
    /// The lowest number of absent messages in any look so far.
    absent: usize,
}

impl Quiet {
    fn begin() -> Self {
        Self { since: Instant::now(), absent: usize::MAX }
    }

    /// Takes in the result of a look. If a message has arrived since, the quiet starts again.
    fn take(&mut self, fates: &[(Open, Fate)]) {
        let absent = fates.iter().filter(|(_, fate)| *fate == Fate::Absent).count();
        if absent < self.absent {
            (self.since, self.absent) = (Instant::now(), absent);
        }
    }

    fn is_rest(&self) -> bool {
        self.since.elapsed() >= AT_REST
    }
}

/// Whether an error means that the look itself failed, which may happen to the next one as well.
pub(in crate::forward::imap) fn is_of_the_look(error: &ForwardError) -> bool {
    matches!(
        error,
        ForwardError::Wire { .. }
            | ForwardError::NotImap { .. }
            | ForwardError::Protocol { .. }
            | ForwardError::Refused { .. }
            | ForwardError::Full { .. }
    )
}

impl Worker<'_> {
    /// Handles the messages whose APPEND was in flight when an earlier pass ended. Those that have not arrived are
    /// queued with the others. Failures are written down, and decide whether the next pass begins with these messages.
    pub(in crate::forward::imap) async fn look_for_open_ones(&mut self) -> Result<(), ForwardError> {
        let (pass, open) = (self.pass, self.pass.take_open());
        if open.is_empty() {
            return Ok(());
        }
        let looked = timeout(LONGEST, self.deal_with(open.clone())).await;
        let looked = looked.unwrap_or_else(|_| Err(ForwardError::wire(DOING, WireError::TooSlow)));
        if looked.as_ref().is_err_and(is_of_the_look) {
            open.iter().for_each(|message| pass.note(message, Weight::Once));
        }
        looked
    }

    async fn deal_with(&mut self, messages: Vec<Spooled>) -> Result<(), ForwardError> {
        let mut open = Vec::new();
        for message in messages {
            let intent = self.pass.progress(&message.name).await.and_then(|progress| progress.intent);
            let Some(intent) = intent else {
                self.pass.put_in_place(std::iter::once(message));
                continue;
            };
            if let Some(letter) = self.pass.measure(message, String::new()).await? {
                open.push((letter, intent));
            }
        }
        // A stop was requested: the next pass looks.
        let Some(missing) = self.missing(open).await? else { return Ok(()) };
        let mut absent = Vec::new();
        for (letter, fate) in missing {
            match fate {
                Fate::There(_) | Fate::Absent => {
                    if !self.pass.is_set_aside_for_breaks(&letter.spooled).await? {
                        absent.push(letter);
                    }
                }
                Fate::Unclear => self.is_left_open(&letter),
                Fate::Changed(_) => {
                    let why = "its answers were lost, and the destination has messages with its header and other bytes";
                    if !self.pass.is_given_up(&letter.spooled, why).await? {
                        absent.push(letter);
                    }
                }
            }
        }
        self.pass.put_in_place(absent.into_iter().map(|letter| letter.spooled));
        self.write().await
    }

    /// Leaves a message open, because a message in the mailbox that cannot be handed out, or one of too many, may be it.
    /// It is not appended again, and the others go on.
    fn is_left_open(&self, letter: &Letter) {
        let response = self.redactor.hide(&self.session.unreadable.said);
        let why = if self.session.unreadable.uids.is_empty() {
            let what = "more messages of its size have come than are looked at".to_owned();
            ForwardError::Protocol { doing: DOING, what }
        } else {
            ForwardError::Refused { doing: "look for a message", response, kind: RefusalKind::Passing }
        };
        let (name, message) = (&self.pass.name, self.pass.named(&letter.spooled));
        info!("{name}: a message is looked for again later: {message}: {why}");
        self.pass.note(&letter.spooled, Weight::Once);
        self.pass.put_off_for(Some(&letter.spooled), why);
    }

    /// Returns the messages that have not arrived, with what is there in their place, once no more of them arrive.
    /// Those that have arrived are recorded. None if a stop was requested before that was clear.
    async fn missing(&mut self, mut open: Vec<Open>) -> Result<Option<Vec<(Letter, Fate)>>, ForwardError> {
        let (mut lost, mut quiet, mut is_told, mut is_rest) = (Vec::new(), Quiet::begin(), false, false);
        loop {
            lost.extend(self.take_lost(&mut open));
            let fates = self.watched_fates(&open).await?;
            quiet.take(&fates);
            let missing = self.take_arrived(fates).await?;
            if missing.is_empty() || is_rest && quiet.is_rest() {
                let missing = missing.into_iter().map(|((letter, _), fate)| (letter, fate));
                return Ok(Some(missing.chain(lost.into_iter().map(|letter| (letter, Fate::Absent))).collect()));
            }
            if !is_told {
                let (name, count) = (&self.pass.name, missing.len());
                info!("{name}: {count} sent before without an answer: waiting until nothing of that comes any more");
                is_told = true;
            }
            open = missing.into_iter().map(|(open, _)| open).collect();
            let Some(rest) = self.until_change(&quiet, &open).await? else { return Ok(None) };
            is_rest = rest;
        }
    }

    /// Waits until the mailbox has changed since the last look, or is at rest. Returns whether it was at rest when it
    /// was reopened. None if a stop was requested.
    async fn until_change(&mut self, quiet: &Quiet, open: &[Open]) -> Result<Option<bool>, ForwardError> {
        loop {
            tokio::select! {
                () = sleep(NEXT_LOOK) => {}
                () = self.pass.is_to_end() => return Ok(None),
            }
            let is_rest = quiet.is_rest();
            let (pass, before) = (self.pass, self.selected);
            let select = self.session.select(&self.to.mailbox);
            self.selected = match open.first() {
                Some((letter, _)) => pass.watch(&letter.spooled.name, select).await?,
                None => select.await?,
            };
            if self.selected.validity != before.validity {
                let validity = self.selected.validity;
                self.taken.extend(validity, self.pass.known_uids(validity).await);
            }
            if is_rest || self.selected != before {
                return Ok(Some(is_rest));
            }
        }
    }

    /// Takes out the messages that nobody can look for: in another mailbox than mail goes to now, or where the UIDs
    /// have changed and the header or the count of messages does not help.
    fn take_lost(&self, open: &mut Vec<Open>) -> Vec<Letter> {
        let (validity, mailbox) = (self.selected.validity, self.mailbox());
        let can_be_found = |(letter, intent): &Open| {
            let says_where = intent.count.is_some() && letter.header.is_strong();
            intent.mailbox == mailbox && (intent.uid_validity == validity || says_where)
        };
        let (found, lost) = std::mem::take(open).into_iter().partition(can_be_found);
        *open = found;
        let lost: Vec<Open> = lost;
        lost.into_iter().map(|(letter, _)| letter).collect()
    }

    /// Records what has arrived, and returns the other messages.
    async fn take_arrived(&mut self, fates: Vec<(Open, Fate)>) -> Result<Vec<(Open, Fate)>, ForwardError> {
        let mut missing = Vec::new();
        for (open, fate) in fates {
            let validity = self.selected.validity;
            let there = match fate {
                Fate::There(Found { uid, whole }) => Some((whole, MailboxUid { validity, uid })),
                Fate::Absent | Fate::Changed(_) | Fate::Unclear => None,
            };
            let arrived = there.and_then(|(whole, uid)| Arrived::by_recognition(&open.0, whole, uid));
            let (Some(arrived), Some((_, uid))) = (arrived, there) else {
                missing.push((open, fate));
                continue;
            };
            info!("{}: a message whose answer was lost has arrived", self.pass.name);
            self.taken.add(uid.validity, uid.uid);
            self.unwritten.push(self.pass.arrived(arrived));
        }
        // The next look has to know these UIDs.
        self.write().await?;
        Ok(missing)
    }

    /// Determines the outcome for open messages. If a look takes long, that is written down before it ends.
    async fn watched_fates(&mut self, open: &[Open]) -> Result<Vec<(Open, Fate)>, ForwardError> {
        let pass = self.pass;
        match open.first() {
            Some((letter, _)) => pass.watch(&letter.spooled.name, self.fates(open)).await,
            None => Ok(Vec::new()),
        }
    }

    /// Determines the outcome for open messages. If the server closes the connection at a message that it cannot hand
    /// out, the look is repeated on another one.
    async fn fates(&mut self, open: &[Open]) -> Result<Vec<(Open, Fate)>, ForwardError> {
        loop {
            match self.look(open).await {
                Err(e) if self.session.unreadable.may_go_on(&e) => self.begin_anew().await?,
                fates => return fates,
            }
        }
    }

    /// Opens another connection.
    async fn begin_anew(&mut self) -> Result<(), ForwardError> {
        let (dialer, timeout) = (&self.pass.context.dialer, self.pass.timeout);
        let mut session = Session::open(dialer, self.to, self.secret, &self.redactor, timeout).await?;
        let (selected, validity) = (session.select(&self.to.mailbox).await?, self.selected.validity);
        if selected.validity == validity {
            session.unreadable = std::mem::take(&mut self.session.unreadable);
        } else {
            self.taken.extend(selected.validity, self.pass.known_uids(selected.validity).await);
        }
        (self.session, self.selected) = (session, selected);
        Ok(())
    }

    async fn look(&mut self, open: &[Open]) -> Result<Vec<(Open, Fate)>, ForwardError> {
        let validity = self.selected.validity;
        let (mut sought, mut twins) = (Vec::new(), Vec::new());
        let is_elsewhere = |intent: &AppendIntent| intent.uid_validity != validity;
        let counts = open.iter().filter(|(_, intent)| is_elsewhere(intent)).filter_map(|(_, intent)| intent.count);
        let counts: BTreeSet<u32> = counts.collect();
        // If the mailbox was recreated, a message comes after those that were there when it was sent. One of those may
        // have its bytes, and nothing else may tell them apart any more.
        let behind = match counts.is_empty() {
            true => BTreeMap::new(),
            false => self.session.first_behind(&counts.into_iter().collect::<Vec<_>>()).await?,
        };
        for one in open {
            let (letter, intent) = one;
            let (size, header, whole) = (letter.size, letter.header, letter.whole);
            let from = match is_elsewhere(intent) {
                false => intent.uid_next,
                true => intent.count.and_then(|count| behind.get(&count)).copied().unwrap_or(u32::MAX),
            };
            if !sought.iter().any(|other: &Sought<Open>| other.whole == whole) {
                let here = |uid: MailboxUid| (uid.validity == validity).then_some(uid.uid);
                let arrived = self.pass.with_the_bytes(whole).await.into_iter();
                let twin = |arrival: Arrival| Twin { whole, uid: arrival.uid.and_then(here), is_of_another: false };
                twins.extend(arrived.map(twin));
            }
            let (has_nul, has_nul_in_header) = (letter.has_nul, letter.has_nul_in_header);
            let payload = one.clone();
            sought.push(Sought { payload, size, header, whole, has_nul, has_nul_in_header, from });
        }
        let wholes: BTreeSet<Digest> = sought.iter().map(|sought| sought.whole).collect();
        let of_others = self.pass.arrived_for_others(validity, wholes).await.into_iter();
        twins.extend(of_others.map(|(whole, uid)| Twin { whole, uid: Some(uid), is_of_another: true }));
        let known = self.pass.known_uids(validity).await;
        survey::look_for(&mut self.session, &sought, &twins, &known).await
    }
}
