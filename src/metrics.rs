//! The sums of all polls of this process, for monitoring. This module only observes.
//!
//! Names and units follow the conventions of Prometheus. The page `/metrics` adds the current state.

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::poll::PollReport;
use crate::schedule::Cause;

/// The upper bounds of the histogram of durations, in seconds.
const DURATIONS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A label whose name and value are words of ours: never a user's name or a server's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Label(pub(crate) &'static str, pub(crate) &'static str);

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        (self.0, self.1).encode(encoder.encode_label())
    }
}

/// The sums of all polls since the process began. Cheap to clone, and shared between clones.
#[derive(Debug, Clone)]
pub(crate) struct PollMetrics {
    polls: Family<Label, Counter>,
    messages: Family<Label, Counter>,
    octets: Counter,
    round_trips: Counter,
    duration: Histogram,
}

impl Default for PollMetrics {
    fn default() -> Self {
        let duration = Histogram::new(DURATIONS);
        let (octets, round_trips) = (Counter::default(), Counter::default());
        Self { polls: Family::default(), messages: Family::default(), octets, round_trips, duration }
    }
}

impl PollMetrics {
    /// Adds a poll that is over; `cause` is why it failed, if it did.
    pub(crate) fn on_poll_end(&self, report: &PollReport, cause: Option<Cause>) {
        let result = match (&report.end, cause) {
            (Ok(()), _) => "succeeded",
            (Err(_), Some(cause)) => cause.name(),
            (Err(_), None) => "stopped",
        };
        self.polls.get_or_create(&Label("result", result)).inc();
        for (outcome, messages) in [("delivered", report.retrieved), ("deleted", report.removed)] {
            self.messages.get_or_create(&Label("outcome", outcome)).inc_by(messages);
        }
        self.octets.inc_by(report.octets);
        self.round_trips.inc_by(u64::from(report.round_trips));
        self.duration.observe(report.duration.as_secs_f64());
    }

    /// Adds the sums to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("polls", "Polls by their result: succeeded, or the cause of the failure", self.polls.clone());
        registry.register("messages", "Messages delivered, and deleted on servers", self.messages.clone());
        let help = "Octets of the messages that were delivered";
        registry.register_with_unit("received", help, Unit::Bytes, self.octets.clone());
        let help = "Round trips of polls, those of connecting and of TLS not counted";
        registry.register("round_trips", help, self.round_trips.clone());
        registry.register_with_unit("poll_duration", "How long polls took", Unit::Seconds, self.duration.clone());
    }
}
