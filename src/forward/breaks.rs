//! Messages that may be at fault when a pass fails. One at which the connection breaks off each time is set aside in
//! the end, but a destination that is down sets no message aside. [`Doubt`] is for refusals that may concern all
//! messages. When a message's turn comes is up to `turns`.

use std::sync::{MutexGuard, PoisonError};

use super::doubt::Doubt;
use super::error::ForwardError;
use super::journal::Progress;
use super::pass::{Pass, REFUSALS_IN_A_ROW};
use super::spool::Spooled;
use super::turns::Weight;
use crate::state::record::ForwardRecord;

/// After this many broken tries in a row the message may be at fault.
const BREAKS_AT_FAULT: u32 = 3;

/// After this many it is set aside. Those beyond `BREAKS_AT_FAULT` count only if other messages arrived in the same
/// pass.
const MOST_BREAKS: u32 = BREAKS_AT_FAULT + 2;

impl Progress {
    /// Whether the message may be why the tries broke off.
    fn may_be_at_fault(&self) -> bool {
        self.breaks >= BREAKS_AT_FAULT
    }

    /// Returns the records that set a message's count of breaks and keep its intent.
    fn with_breaks(&self, name: &str, breaks: u32) -> impl Iterator<Item = ForwardRecord> + use<> {
        let refused = ForwardRecord::Refused { name: name.to_owned(), times: self.refusals, breaks };
        std::iter::once(refused).chain(self.intent.clone().map(ForwardRecord::Intent))
    }
}

impl Pass {
    /// Records that a try broke off at a message, the first one without an answer.
    pub(super) async fn broke_off(&self, message: &Spooled) -> Result<(), ForwardError> {
        self.note(message, Weight::Once);
        let progress = self.progress(&message.name).await.unwrap_or_default();
        let others_arrive = self.done().forwarded > 0;
        let counts = others_arrive || !progress.may_be_at_fault();
        let breaks = progress.breaks.saturating_add(u32::from(counts));
        let mut records: Vec<ForwardRecord> = progress.with_breaks(&message.name, breaks).collect();
        if !others_arrive {
            // While nothing arrives at all, the other messages are not at fault either.
            let cleared = |name: &str, other: &Progress| {
                let is_other = name != message.name && other.may_be_at_fault();
                is_other.then(|| other.with_breaks(name, 0).collect::<Vec<_>>())
            };
            records.extend(self.known(cleared).await.into_iter().flatten());
        }
        self.record(records).await
    }

    /// Sets a message aside if too many tries have broken off at it; returns whether it did.
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

    /// Notes a refusal of a message that may concern all. It is believed, and ends the pass, if the message that is
    /// tried next is refused like this as well.
    pub(super) fn doubts(&self, message: &Spooled, why: ForwardError) -> Result<(), ForwardError> {
        self.log_later(message, &why);
        self.note(message, Weight::Once);
        self.note_words(why.words());
        let in_a_row = self.one_more_refusal();
        let mut place = self.doubt();
        if place.as_ref().is_some_and(|doubt| doubt.is_about(message)) || in_a_row >= REFUSALS_IN_A_ROW {
            return Err(why);
        }
        match place.as_mut() {
            Some(doubt) => doubt.is_told_again(),
            None => *place = Some(Doubt::new(message, why)),
        }
        Ok(())
    }

    /// Notes that the destination accepted a message: earlier refusals concerned single ones.
    pub(super) fn has_no_doubt(&self) {
        if let Some(doubt) = self.doubt().take() {
            self.put_off_for(Some(&doubt.first), doubt.why);
        }
    }

    /// Notes that the outcome of a message says nothing about the others: another one has to be tried.
    pub(super) fn says_nothing_of_all(&self, message: &Spooled) {
        if let Some(doubt) = self.doubt().as_mut().filter(|doubt| doubt.is_about(message)) {
            doubt.forget_probe();
        }
    }

    /// Returns, at the end of the pass, a refusal that may concern all messages, if nothing has shown that it does not.
    pub(super) fn last_doubt(&self) -> Option<Doubt> {
        self.doubt().take()
    }
}
