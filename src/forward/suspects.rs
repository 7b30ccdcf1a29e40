//! Messages at which the destination breaks off, each time: one of them is set aside in the end, and a destination that is
//! down makes none of any message. And messages at which it says what may hold for all. When their turn is, says `turns`.

use std::sync::{MutexGuard, PoisonError};

use tracing::info;

use super::doubt::Doubt;
use super::error::ForwardError;
use super::journal::Progress;
use super::pass::{Pass, REFUSALS_IN_A_ROW};
use super::spool::Spooled;
use super::turns::Weight;
use crate::state::record::ForwardRecord;

/// A message at which so many tries in a row have broken off may be why.
const SUSPECT: u32 = 3;

/// With so many it is set aside. Those beyond the ones of a suspect count only where others arrived in the same pass.
const MOST_BREAKS: u32 = SUSPECT + 2;

impl Progress {
    /// Whether the message may be why the tries broke off.
    fn is_suspect(&self) -> bool {
        self.breaks >= SUSPECT
    }

    /// The records that a message is left with so many breaks; an intent stays.
    fn with_breaks(&self, name: &str, breaks: u32) -> impl Iterator<Item = ForwardRecord> + use<> {
        let refused = ForwardRecord::Refused { name: name.to_owned(), times: self.refusals, breaks };
        std::iter::once(refused).chain(self.intent.clone().map(ForwardRecord::Intent))
    }
}

impl Pass {
    /// A try has broken off at a message: it was the first that was not answered.
    pub(super) async fn broke_off(&self, message: &Spooled) -> Result<(), ForwardError> {
        self.note(message, Weight::Once);
        let progress = self.progress(&message.name).await.unwrap_or_default();
        let others_arrive = self.done().forwarded > 0;
        let counts = others_arrive || !progress.is_suspect();
        let breaks = progress.breaks.saturating_add(u32::from(counts));
        let mut records: Vec<ForwardRecord> = progress.with_breaks(&message.name, breaks).collect();
        if !others_arrive {
            // Where nothing arrives at all, the earlier ones were not at fault either.
            let cleared = |name: &str, other: &Progress| {
                let is_other = name != message.name && other.is_suspect();
                is_other.then(|| other.with_breaks(name, 0).collect::<Vec<_>>())
            };
            records.extend(self.known(cleared).await.into_iter().flatten());
        }
        self.record(records).await
    }

    /// Sets a message aside at which too many tries have broken off; false if there were not so many.
    pub(super) async fn is_set_aside_for_breaks(&self, message: &Spooled) -> Result<bool, ForwardError> {
        let breaks = self.progress(&message.name).await.map_or(0, |progress| progress.breaks);
        if breaks < MOST_BREAKS {
            return Ok(false);
        }
        let why = format!("the connection broke off at it {breaks} times, and others arrived");
        self.set_aside(message, &why).await?;
        Ok(true)
    }
}

impl Pass {
    pub(super) fn doubt(&self) -> MutexGuard<'_, Option<Doubt>> {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The destination has said at a message what may hold for all. They do if it says so again at the one that is tried
    /// next: then that is how the pass ends.
    pub(super) fn doubts(&self, message: &Spooled, why: ForwardError) -> Result<(), ForwardError> {
        info!(account = %self.name, "{}: a message is tried again later: {why}", self.name);
        self.note(message, Weight::Once);
        self.note_words(why.words());
        let in_a_row = self.one_more_refusal();
        let mut place = self.doubt();
        if place.as_ref().is_some_and(|doubt| doubt.is_about(message)) || in_a_row >= REFUSALS_IN_A_ROW {
            return Err(why);
        }
        match place.as_mut() {
            Some(doubt) => doubt.is_told_again(),
            None => *place = Some(Doubt::new(why)),
        }
        Ok(())
    }

    /// The destination has taken a message: what was said before was about single ones.
    pub(super) fn has_no_doubt(&self) {
        if let Some(doubt) = self.doubt().take() {
            self.put_off_for(doubt.why);
        }
    }

    /// What became of a message says nothing of the others: another one has to be tried.
    pub(super) fn says_nothing_of_all(&self, message: &Spooled) {
        if let Some(doubt) = self.doubt().as_mut().filter(|doubt| doubt.is_about(message)) {
            doubt.forget_probe();
        }
    }

    /// At the end: what was said that may hold for all, if nothing has shown that it does not.
    pub(super) fn last_doubt(&self) -> Option<Doubt> {
        self.doubt().take()
    }
}
