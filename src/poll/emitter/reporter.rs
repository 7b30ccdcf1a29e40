//! Makes the report of a poll from its events.

use std::sync::Arc;
use std::time::Duration;

use crate::account::AccountName;
use crate::account_history::History;
use crate::ids::EntryId;
use crate::message::WireSize;
use crate::plan::Plan;
use crate::plan::maildrop::Listed;
use crate::poll::error::PollError;
use crate::poll::events::PollEvent;
use crate::poll::report::{Failures, PollReport, Tally};
use crate::state::hints::Past;

/// The report of a running poll.
#[derive(Debug)]
pub(super) struct Reporter {
    report: PollReport,
    /// What the server refused in this session. Unless the session ends in order, it is requested again in the next
    /// one.
    refused: Failures,
}

impl Reporter {
    /// Creates an empty report.
    pub(super) fn new(account: AccountName) -> Self {
        Self { report: PollReport::new(account), refused: Failures::default() }
    }

    /// Adds an event to the report.
    pub(super) fn on_event(&mut self, event: &PollEvent<'_>) {
        let report = &mut self.report;
        match event {
            PollEvent::Needless(decision) => report.needless.push(*decision),
            PollEvent::Recovered(recovered) => report.recovered = **recovered,
            PollEvent::Stranded(stranded) => report.stranded = Some(Box::new((*stranded).clone())),
            PollEvent::CredentialObtained { redactor, token } => {
                (report.redactor, report.token) = (Arc::clone(redactor), *token);
            }
            PollEvent::SessionBegun => report.sessions += 1,
            PollEvent::LoggedIn { .. } => logged_in(report, event),
            PollEvent::LoginDelay(delay) => report.login_delay = Some(*delay),
            PollEvent::NothingNew { messages, skipped } => nothing_new(report, *messages, *skipped),
            PollEvent::Planned { on_server, plan } => planned(report, *on_server, plan),
            PollEvent::WouldDo(would) => report.would = Some((*would).clone()),
            PollEvent::CannotSync => report.unsyncable = true,
            PollEvent::MessageDelivered { octets, .. } => {
                report.retrieved += 1;
                report.octets += octets.get();
            }
            PollEvent::MessageRefused { listed, why } => self.refused.add(listed, *why),
            PollEvent::MessageFailed { listed, why } => report.failed.add(listed, *why),
            PollEvent::MessageRecognised { is_renumbered, .. } => report.renumbered += u64::from(*is_renumbered),
            PollEvent::NotRemoved { messages } => not_removed(report, *messages),
            PollEvent::NotRouted { not_skipped, not_judged, long_headers } => {
                not_routed(report, *not_skipped, *not_judged, *long_headers);
            }
            PollEvent::OtherSizes { those, messages } => of_other_size(report, those, *messages),
            PollEvent::DeletionRefused(entries) => report.undeletable.extend(*entries),
            PollEvent::Deleted(entries) => deleted(report, entries),
            PollEvent::QuitNotAcknowledged => report.unacknowledged = true,
            PollEvent::SessionEnded { .. } => report.failed.absorb(std::mem::take(&mut self.refused)),
            PollEvent::SessionFailed { .. } => self.refused = Failures::default(),
            PollEvent::MayBeMore { had_its_share } => {
                report.more = true;
                report.had_its_share = *had_its_share;
            }
            PollEvent::LeftOver(left) => report.left = Some(*left),
            PollEvent::Quarantine(messages) => report.quarantine = messages.to_vec(),
            PollEvent::Totals { past, history } => totals(report, past, history),
            PollEvent::Ended { duration, round_trips, .. } => ended(report, *duration, *round_trips),
            PollEvent::TokenRefused(_)
            | PollEvent::Connected { .. }
            | PollEvent::OneAtATime(_)
            | PollEvent::Listed { .. }
            | PollEvent::LooksAtHeaders { .. }
            | PollEvent::MessageBegun(_)
            | PollEvent::MessageOctets { .. }
            | PollEvent::MessageReceived { .. }
            | PollEvent::Stopping { .. }
            | PollEvent::EndsWithoutQuit
            | PollEvent::WaitsForRoom { .. }
            | PollEvent::WaitsForMemory { .. }
            | PollEvent::SpoolSettled { .. }
            | PollEvent::StaysInSpool { .. }
            | PollEvent::SpoolNotSettled { .. }
            | PollEvent::MaildirClosed(_)
            | PollEvent::SizesAreEstimates
            | PollEvent::HintsNotWritten(_)
            | PollEvent::Waits(_) => {}
        }
    }

    /// Returns the report of the completed poll.
    pub(super) fn finish(self, end: Result<(), PollError>) -> PollReport {
        PollReport { end, ..self.report }
    }
}

fn logged_in(report: &mut PollReport, event: &PollEvent<'_>) {
    let PollEvent::LoggedIn { certificate_expires, client_certificate_expires, login_delay, .. } = event else {
        return;
    };
    report.logged_in = true;
    report.certificate_expires = *certificate_expires;
    report.client_certificate_expires = *client_certificate_expires;
    report.login_delay = *login_delay;
}

fn nothing_new(report: &mut PollReport, messages: u32, skipped: u32) {
    report.on_server = Some(u64::from(messages));
    report.skipped = Tally::unnamed(usize::try_from(skipped).unwrap_or(usize::MAX));
}

fn not_removed(report: &mut PollReport, messages: usize) {
    report.not_removed = report.not_removed.saturating_add(u64::try_from(messages).unwrap_or(u64::MAX));
}

fn not_routed(report: &mut PollReport, not_skipped: u64, not_judged: u64, long_headers: u64) {
    report.not_skipped = report.not_skipped.saturating_add(not_skipped);
    report.not_judged = report.not_judged.saturating_add(not_judged);
    report.long_headers = report.long_headers.saturating_add(long_headers);
}

fn deleted(report: &mut PollReport, entries: &[EntryId]) {
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    report.removed += count;
    report.on_server = report.on_server.map(|listed| listed.saturating_sub(count));
    entries.iter().for_each(|entry| _ = report.undeletable.remove(entry));
}

fn of_other_size(report: &mut PollReport, those: &[(&Listed, WireSize)], messages: usize) {
    for (listed, octets) in those {
        let (size, octets) = (listed.reported_size.unwrap_or_default().get(), octets.get());
        report.other_sizes.add(listed, format_args!("was listed with {size} octets, and {octets} came"));
    }
    report.other_sizes.absorb(Tally::unnamed(messages.saturating_sub(those.len())));
}

fn totals(report: &mut PollReport, past: &Past, history: &History) {
    report.past = past.clone();
    report.history = Some(history.clone());
}

fn ended(report: &mut PollReport, duration: Duration, round_trips: u32) {
    (report.duration, report.round_trips) = (duration, round_trips);
}

fn planned(report: &mut PollReport, on_server: usize, plan: &Plan) {
    let count = |messages: usize| u64::try_from(messages).unwrap_or(u64::MAX);
    report.on_server = Some(count(on_server));
    report.too_large = Tally::of(&plan.too_large);
    report.quarantined = Tally::of(&plan.quarantined);
    report.left_alone = count(plan.left_alone);
    report.skipped = Tally::of(&plan.skipped);
    report.unnamed = Tally::of(&plan.unnamed);
    report.renumbered += count(plan.renamed.len());
    report.unverified = report.unverified.max(count(plan.unverified));
}
