//! Messages that may be at fault when a pass fails. One at which the connection breaks off each time is set aside in
//! the end, but a destination that is down sets no message aside. [`Doubt`] is for refusals that may concern all
//! messages, [`RefusedForGood`] for messages that are refused one after the other. When a message's turn comes is up to
//! `turns`.

use std::sync::{MutexGuard, PoisonError};

use tracing::info;

use super::doubt::Doubt;
use super::error::ForwardError;
use super::journal::Progress;
use super::pass::{Pass, REFUSALS_IN_A_ROW, words};
use super::refused_for_good::RefusedForGood;
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
        let doubt = self.doubt().take();
        if let Some(doubt) = doubt.filter(|doubt| !doubt.is_of_refusals_for_good()) {
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

impl Pass {
    fn refused_for_good(&self) -> MutexGuard<'_, RefusedForGood> {
        self.refused_for_good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the destination refused a message for good.
    pub(super) fn refuses_for_good(&self, message: &Spooled, answer: &str) -> Result<(), ForwardError> {
        let answer = words(answer);
        info!(account = %self.name, "{}: a message is refused for good: {}: {answer}", self.name, self.named(message));
        self.note(message, Weight::Once);
        self.note_words(None);
        let (alike, are_many) = {
            let mut refused = self.refused_for_good();
            refused.held.push((message.clone(), answer.clone()));
            (refused.alike(&answer), refused.are_many(&answer))
        };
        let refuses_all = |messages| ForwardError::RefusesAll { response: answer.clone(), messages };
        let is_doubted = self.doubt().as_ref().is_some_and(|doubt| !doubt.is_of_refusals_for_good());
        if are_many && !is_doubted {
            return self.doubts(message, refuses_all(alike));
        }
        self.says_nothing_of_all(message);
        let in_a_row = self.one_more_refusal();
        if in_a_row < REFUSALS_IN_A_ROW { Ok(()) } else { Err(refuses_all(usize::try_from(in_a_row).unwrap_or(alike))) }
    }

    /// Notes that the destination has accepted a message: those that it refused for good are to blame themselves, and
    /// are set aside.
    pub(super) async fn accepts(&self) -> Result<(), ForwardError> {
        self.has_no_doubt();
        let accepted = RefusedForGood { has_accepted: true, ..RefusedForGood::default() };
        let RefusedForGood { held, earlier, .. } = std::mem::replace(&mut *self.refused_for_good(), accepted);
        for (message, answer) in held {
            self.set_aside(&message, &answer).await?;
        }
        let settled = |(name, _)| ForwardRecord::Refused { name, times: 0, breaks: 0 };
        self.record(earlier.into_iter().map(settled).collect()).await
    }

    /// Decides, at the end of a pass, about the messages that were refused for good since the destination last accepted
    /// one: few are set aside, many wait.
    pub(super) async fn settle_refusals_for_good(&self, end: &Result<(), ForwardError>) -> Result<(), ForwardError> {
        let all = std::mem::take(&mut *self.refused_for_good());
        let refuses_all = matches!(end, Err(ForwardError::RefusesAll { .. }));
        for (message, answer) in &all.held {
            if !refuses_all && !all.are_many(answer) {
                self.set_aside(message, answer).await?;
                // It counts in later passes, until something is accepted.
                let counts = ForwardRecord::Refused { name: message.name.clone(), times: 1, breaks: 0 };
                self.record(vec![counts]).await?;
            }
        }
        let is_released = |(_, answer): &&(String, String)| !all.held.is_empty() && all.are_many(answer);
        let released = all.earlier.iter().filter(is_released).map(|(name, _)| ForwardRecord::Released(name.clone()));
        self.record(released.collect()).await
    }
}
