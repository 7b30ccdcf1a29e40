//! The events that a running poll reports.

use std::sync::{Arc, Mutex};

use mailferry::account::RemovalPolicy;
use mailferry::poll::events::{Observer, Observers, PollEvent};
use mailferry::poll::progress::Progress;

use crate::delivered::files;
use crate::mail::small_ones;
use crate::quarantine::Bench;
use crate::scripted::maildrop::{Maildrop, Message};

/// Records the events, a word each.
#[derive(Debug, Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Diary {
    fn on_event(&self, event: &PollEvent<'_>) {
        let words = match event {
            PollEvent::Recovered(_) => "recovered".to_owned(),
            PollEvent::CredentialObtained { .. } => "credential".to_owned(),
            PollEvent::SessionBegun => "session".to_owned(),
            PollEvent::Connected { peer, tls } => {
                assert!(peer.ip().is_loopback() && tls.is_none());
                "connected".to_owned()
            }
            PollEvent::LoggedIn { method, .. } => format!("logged in by {}", method.name()),
            PollEvent::Listed { messages, is_complete: true } => format!("listed {messages}"),
            PollEvent::NothingNew { messages, .. } => format!("nothing new in {messages}"),
            PollEvent::Planned { on_server, plan } => format!("to retrieve {} of {on_server}", plan.retrieve.len()),
            PollEvent::MessageBegun(listed) => format!("begun {}", listed.number),
            PollEvent::MessageReceived { listed, .. } => format!("received {}", listed.number),
            PollEvent::MessageRefused { listed, why } => format!("refused {}: {why}", listed.number),
            PollEvent::MessageDelivered { listed, file_name, octets, .. } => {
                assert!(file_name.ends_with(&format!(",S={}", octets.get())), "{file_name}");
                format!("delivered {}", listed.number)
            }
            PollEvent::Deleted(entries) => format!("deleted {}", entries.len()),
            PollEvent::SessionEnded { quit_error: None } => "session ended".to_owned(),
            PollEvent::Ended { error: None, .. } => "ended".to_owned(),
            PollEvent::MessageOctets { .. }
            | PollEvent::Quarantine(_)
            | PollEvent::Totals { .. }
            | PollEvent::LooksAtHeaders { .. } => return,
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(words);
    }
}

/// Panics at the first message, without waiting.
#[derive(Debug)]
struct Faulty;

impl Observer for Faulty {
    fn on_event(&self, event: &PollEvent<'_>) {
        assert!(!matches!(event, PollEvent::MessageBegun(_)), "a faulty observer");
    }
}

#[test]
fn a_poll_tells_what_it_does_in_the_order_in_which_it_happens() {
    let mut messages = small_ones(2);
    messages[1].refusal = Some("-ERR cannot open it".to_owned());
    let maildrop = Maildrop::new(messages);
    let mut bench = Bench::at(&maildrop);
    bench.account.removal = RemovalPolicy::AfterDelivery;
    let (diary, progress) = (Arc::new(Diary::default()), Arc::new(Progress::default()));
    let observers = || -> Observers { vec![diary.clone(), progress.clone()] };
    let report = bench.observed(observers());
    assert_eq!(
        diary.take(),
        [
            "recovered",
            "credential",
            "session",
            "connected",
            "logged in by plain",
            "listed 2",
            "to retrieve 2 of 2",
            "begun 1",
            "received 1",
            "refused 2: the server refuses it, saying \"cannot open it\"",
            "delivered 1",
            "deleted 1",
            "session ended",
            "ended",
        ]
    );
    assert_eq!((report.retrieved, report.removed, report.failed.len()), (1, 1, 1));
    assert_eq!(progress.delivered(), (1, report.octets));
    maildrop.change(|contents| contents.messages.clear());
    // The first look without the refused message forgets it; the second one finds nothing to do.
    bench.observed(observers());
    bench.observed(observers());
    diary.take();
    bench.observed(observers());
    let nothing_new =
        ["credential", "session", "connected", "logged in by plain", "nothing new in 0", "session ended", "ended"];
    assert_eq!(diary.take(), nothing_new);
}

/// The octets of a message are reported while it is being received, in pieces that are not small, and none is left out.
#[test]
fn the_octets_of_a_large_message_are_told_now_and_then() {
    #[derive(Debug, Default)]
    struct Octets(Mutex<(usize, u64, u64)>);
    impl Observer for Octets {
        fn on_event(&self, event: &PollEvent<'_>) {
            let mut seen = self.0.lock().unwrap();
            match event {
                PollEvent::MessageOctets { octets, .. } => (seen.0, seen.1) = (seen.0 + 1, seen.1 + octets),
                PollEvent::MessageReceived { octets, .. } => seen.2 = octets.get(),
                _ => {}
            }
        }
    }
    let maildrop = Maildrop::with(vec![Message::large("a", 4 << 20)], |behaviour| behaviour.chunk = Some(1000));
    let (octets, bench) = (Arc::new(Octets::default()), Bench::at(&maildrop));
    bench.observed(vec![octets.clone()]);
    let (times, told, received) = *octets.0.lock().unwrap();
    assert!(received >= 4_000_000, "{received}");
    assert!(told >= received, "{told} of {received}: they are counted as they came, dots and all");
    assert!((10..500).contains(&times), "told {times} times");
}

#[test]
fn an_observer_that_panics_costs_no_message() {
    let maildrop = Maildrop::new(small_ones(3));
    let bench = Bench::at(&maildrop);
    let diary = Arc::new(Diary::default());
    let report = bench.observed(vec![Arc::new(Faulty), diary.clone()]);
    assert!(report.end.is_ok());
    assert_eq!(report.retrieved, 3);
    assert_eq!(files(&bench.account.maildir.join("new")).len(), 3);
    assert_eq!(diary.take().iter().filter(|words| words.starts_with("delivered")).count(), 3);
}
