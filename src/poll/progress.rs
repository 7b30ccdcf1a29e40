//! The progress of a poll, as numbers that can be read while it runs. They are for people: what is decided about a
//! running poll follows from what [`crate::watch`] counts, which no observer can fail to see.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::events::{Observer, PollEvent};
use crate::plan::Plan;

/// The progress of a poll.
#[derive(Debug, Default)]
pub struct Progress {
    /// What the poll is doing, as an index into [`Phase::ALL`].
    phase: AtomicU8,
    /// How many octets of messages have arrived.
    received: AtomicU64,
    /// How many messages are to be delivered in all, as far as known.
    planned: AtomicU64,
    /// How many octets of messages are to arrive in all; 0 if unknown.
    planned_octets: AtomicU64,
    /// How many messages have been delivered.
    delivered: AtomicU64,
    /// The octets of the delivered messages, as they are stored.
    delivered_octets: AtomicU64,
}

/// What a poll is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It opens the state and obtains a password or token, perhaps from a program of the user's.
    #[default]
    Begun,
    /// It connects.
    Connecting,
    /// It logs in and lists the maildrop.
    LoggingIn,
    /// It finds out which messages are new.
    Comparing,
    /// It retrieves messages.
    Retrieving,
    /// Nothing more is to come; it ends the session.
    Ending,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Begun, Self::Connecting, Self::LoggingIn, Self::Comparing, Self::Retrieving, Self::Ending];
}

/// The progress of a poll at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is doing.
    pub phase: Phase,
    /// How many messages are to be delivered in all, as far as known.
    pub planned: u64,
    /// How many octets are to arrive in all; `None` if unknown.
    pub planned_octets: Option<u64>,
    /// How many messages have been delivered.
    pub delivered: u64,
    /// How many octets of messages have arrived.
    pub octets: u64,
}

impl Progress {
    /// Returns how many messages have been delivered so far, and their octets.
    #[must_use]
    pub fn delivered(&self) -> (u64, u64) {
        (self.delivered.load(Ordering::Relaxed), self.delivered_octets.load(Ordering::Relaxed))
    }

    /// Returns the progress at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Snapshot {
            phase: Phase::ALL.get(phase).copied().unwrap_or_default(),
            planned: load(&self.planned),
            planned_octets: Some(load(&self.planned_octets)).filter(|octets| *octets > 0),
            delivered: load(&self.delivered),
            octets: load(&self.received),
        }
    }

    fn enter(&self, phase: Phase) {
        let number = Phase::ALL.iter().position(|it| *it == phase).and_then(|number| u8::try_from(number).ok());
        self.phase.store(number.unwrap_or(0), Ordering::Relaxed);
    }

    /// Adds what a session is to bring to what earlier ones of the poll brought.
    fn plan(&self, plan: &Plan) {
        let messages = u64::try_from(plan.retrieve.len()).unwrap_or(u64::MAX);
        self.planned.store(self.delivered().0.saturating_add(messages), Ordering::Relaxed);
        let mut sizes = plan.retrieve.iter().map(|listed| listed.reported_size);
        let octets = sizes.try_fold(0_u64, |all, size| size.map(|size| all.saturating_add(size.get())));
        let octets = octets.map_or(0, |octets| self.received.load(Ordering::Relaxed).saturating_add(octets));
        self.planned_octets.store(octets, Ordering::Relaxed);
        self.enter(if messages > 0 { Phase::Retrieving } else { Phase::Ending });
    }

    fn deliver(&self, octets: u64) {
        let delivered = self.delivered.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.delivered_octets.fetch_add(octets, Ordering::Relaxed);
        if delivered >= self.planned.load(Ordering::Relaxed) {
            self.enter(Phase::Ending);
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &PollEvent<'_>) {
        match event {
            PollEvent::CredentialObtained { .. } | PollEvent::SessionBegun => self.enter(Phase::Connecting),
            PollEvent::TokenRefused(_) => self.enter(Phase::Begun),
            PollEvent::Connected { .. } => self.enter(Phase::LoggingIn),
            PollEvent::Listed { .. } => self.enter(Phase::Comparing),
            PollEvent::Planned { plan, .. } => self.plan(plan),
            PollEvent::MessageOctets { octets, .. } => _ = self.received.fetch_add(*octets, Ordering::Relaxed),
            PollEvent::MessageDelivered { octets, .. } => self.deliver(octets.get()),
            PollEvent::NothingNew { .. } | PollEvent::SessionEnded { .. } => self.enter(Phase::Ending),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EntryId;
    use crate::message::{StoredSize, WireSize};
    use crate::plan::maildrop::Listed;
    use crate::pop3::{MessageNumber, ReportedSize};

    fn listed(number: u32, reported_size: Option<u64>) -> Listed {
        let reported_size = reported_size.map(ReportedSize::new);
        Listed { number: MessageNumber::new(number).unwrap(), unique_id: None, reported_size }
    }

    fn plan(progress: &Progress, messages: &[Listed]) {
        let plan = Plan { retrieve: messages.to_vec(), ..Plan::default() };
        progress.on_event(&PollEvent::Planned { on_server: 9, plan: &plan });
    }

    fn deliver(progress: &Progress, listed: &Listed) {
        progress.on_event(&PollEvent::MessageOctets { number: listed.number, octets: 100 });
        progress.on_event(&PollEvent::MessageReceived { listed, octets: WireSize::new(100) });
        let entry = EntryId::new(1);
        let octets = StoredSize::new(90);
        progress.on_event(&PollEvent::MessageDelivered { listed, entry, file_name: "1", maildirs: &[], octets });
    }

    #[test]
    fn what_is_planned_counts_beside_what_came_in_earlier_sessions() {
        let progress = Progress::default();
        assert_eq!(progress.snapshot(), Snapshot::default());
        let messages: Vec<Listed> = (1..=5).map(|number| listed(number, Some(100))).collect();
        plan(&progress, &messages);
        messages.iter().take(2).for_each(|listed| deliver(&progress, listed));
        progress.on_event(&PollEvent::SessionBegun);
        assert_eq!(progress.snapshot().phase, Phase::Connecting);
        plan(&progress, messages.get(2..).unwrap());
        let (phase, planned_octets) = (Phase::Retrieving, Some(500));
        let expected = Snapshot { phase, planned: 5, planned_octets, delivered: 2, octets: 200 };
        assert_eq!(progress.snapshot(), expected);
        assert_eq!(progress.delivered(), (2, 180));
        messages.iter().skip(2).for_each(|listed| deliver(&progress, listed));
        assert_eq!(progress.snapshot().phase, Phase::Ending, "all of it is here");
    }

    #[test]
    fn one_size_that_is_not_known_makes_the_sum_unknown() {
        let progress = Progress::default();
        plan(&progress, &[listed(1, Some(100)), listed(2, None)]);
        assert_eq!((progress.snapshot().planned, progress.snapshot().planned_octets), (2, None));
        plan(&progress, &[listed(1, Some(u64::MAX)), listed(2, Some(u64::MAX))]);
        assert_eq!(progress.snapshot().planned_octets, Some(u64::MAX));
        plan(&progress, &[]);
        assert_eq!(progress.snapshot().phase, Phase::Ending);
    }
}
