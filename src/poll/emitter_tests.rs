use super::*;
use crate::client::ClientError;
use crate::ids::EntryId;
use crate::message::StoredSize;
use crate::plan::Plan;
use crate::poll::events::AfterFailure;
use crate::pop3::{Listed, MessageNumber, ReportedSize, UniqueId};

/// Counts the events that it gets.
#[derive(Debug, Default)]
struct Counter(std::sync::atomic::AtomicUsize);

impl Observer for Counter {
    fn on_event(&self, _event: &PollEvent<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Panics at messages.
#[derive(Debug, Default)]
struct Faulty(Counter);

impl Observer for Faulty {
    fn on_event(&self, event: &PollEvent<'_>) {
        self.0.on_event(event);
        assert!(!matches!(event, PollEvent::MessageDelivered { .. }), "odd");
    }
}

fn listed(n: u32) -> Listed {
    let unique_id = UniqueId::new(format!("u{n}").as_bytes()).ok();
    Listed { number: MessageNumber::new(n).unwrap(), unique_id, reported_size: Some(ReportedSize::new(10)) }
}

fn events(observers: Observers) -> Emitter {
    Emitter::new(AccountName::new("work").unwrap(), observers)
}

fn deliver(events: &Emitter, n: u32) {
    let (entry, file_name) = (EntryId::new(u64::from(n)), "1.M1P1Q1.h,S=9");
    let octets = StoredSize::new(9);
    events.tell(&PollEvent::MessageDelivered { listed: &listed(n), entry, file_name, maildirs: &[], octets });
}

fn refuse(events: &Emitter, n: u32) {
    events.tell(&PollEvent::MessageRefused { listed: &listed(n), why: format_args!("no") });
}

fn lost() -> PollError {
    ClientError::Closed.into()
}

#[test]
fn an_observer_that_panics_is_told_no_more_and_harms_nobody() {
    let (faulty, sound) = (Arc::new(Faulty::default()), Arc::new(Counter::default()));
    let events = events(vec![faulty.clone(), sound.clone()]);
    events.tell(&PollEvent::SessionBegun);
    (1..=3).for_each(|n| deliver(&events, n));
    let report = events.end(Duration::from_secs(2), Ok(()));
    assert_eq!((report.retrieved, report.octets, report.sessions), (3, 27, 1));
    assert_eq!(report.duration, Duration::from_secs(2));
    assert_eq!(sound.0.load(Ordering::Relaxed), 5);
    assert_eq!(faulty.0.0.load(Ordering::Relaxed), 2, "the session, and the first message");
}

/// Panics when it is shown.
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("odd")
    }
}

#[test]
fn a_report_that_failed_at_an_event_is_not_that_of_a_success() {
    let sound = Arc::new(Counter::default());
    let events = events(vec![sound.clone()]);
    deliver(&events, 1);
    events.tell(&PollEvent::MessageFailed { listed: &listed(2), why: format_args!("{Unspeakable}") });
    deliver(&events, 3);
    let report = events.end(Duration::ZERO, Ok(()));
    assert_eq!((report.retrieved, sound.0.load(Ordering::Relaxed)), (2, 4));
    assert!(matches!(report.end, Err(PollError::InternalError(_))), "{:?}", report.end);
}

/// Panics at every line.
struct FaultyLog;

impl tracing::Subscriber for FaultyLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        panic!("odd")
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_log_that_panics_harms_nobody() {
    let sound = Arc::new(Counter::default());
    let events = events(vec![sound.clone()]);
    let report = tracing::subscriber::with_default(FaultyLog, || {
        events.tell(&PollEvent::QuitNotAcknowledged);
        deliver(&events, 1);
        events.end(Duration::ZERO, Ok(()))
    });
    assert!(report.end.is_ok() && report.unacknowledged);
    assert_eq!((report.retrieved, sound.0.load(Ordering::Relaxed)), (1, 3));
}

#[test]
fn what_is_refused_counts_once_its_session_ended_in_order() {
    let events = events(Vec::new());
    refuse(&events, 1);
    let error = lost();
    events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::GoesOn });
    // In the next session it is requested again.
    refuse(&events, 1);
    refuse(&events, 2);
    events.tell(&PollEvent::SessionEnded { quit_error: None });
    refuse(&events, 3);
    let report = events.end(Duration::ZERO, Err(error));
    assert_eq!(report.failed.len(), 2);
    assert_eq!(report.failed.first()[0], (listed(1), "no".to_owned()));
}

#[test]
fn what_the_server_would_not_mark_is_forgotten_once_it_has_removed_it() {
    let events = events(Vec::new());
    events.tell(&PollEvent::Planned { on_server: 5, plan: &Plan::default() });
    events.tell(&PollEvent::DeletionRefused(&[EntryId::new(1), EntryId::new(2)]));
    events.tell(&PollEvent::Deleted(&[EntryId::new(2), EntryId::new(3)]));
    let report = events.end(Duration::ZERO, Ok(()));
    assert_eq!((report.removed, report.on_server), (2, Some(3)));
    assert_eq!(report.undeletable.into_iter().collect::<Vec<_>>(), [EntryId::new(1)]);
}
