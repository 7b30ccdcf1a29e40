//! Messages at which the destination breaks off, each time: one of them does not stop the rest, and a destination that is
//! down makes none of any message.

use super::error::ForwardError;
use super::journal::Progress;
use super::pass::Pass;
use super::spool::Spooled;
use crate::state::record::ForwardRecord;

/// A message at which so many tries in a row have broken off goes behind the others.
const SUSPECT: u32 = 3;

/// With so many it is set aside. Those beyond the ones of a suspect count only where others arrived in the same pass.
const MOST_BREAKS: u32 = SUSPECT + 2;

impl Progress {
    /// Whether the message goes behind the others.
    pub(super) fn is_suspect(&self) -> bool {
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
