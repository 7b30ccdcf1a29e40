//! The log lines of a running poll.

use tracing::{Level, debug, enabled, info, warn};

use crate::account::AccountName;
use crate::delivery::recovery::Recovered;
use crate::poll::error::PollError;
use crate::poll::events::{AfterFailure, PollEvent};
use crate::text::{Count, Size};

/// From this many headers on, looking takes a while, so the user is told why.
const MANY_HEADERS: usize = 20_000;

/// Tells what the poll waits for in memory.
fn waits(event: &PollEvent<'_>) {
    match event {
        PollEvent::WaitsForRoom { octets } => {
            let octets = Size(*octets);
            info!("its state of {octets} waits until the large states of other accounts have been polled with");
        }
        PollEvent::WaitsForMemory { bytes } => {
            let bytes = Size(u64::try_from(*bytes).unwrap_or(u64::MAX));
            info!("its listing waits for {bytes} of memory, which the listings of other accounts have now");
        }
        _ => {}
    }
}

/// Logs an event if it is worth a line.
pub(super) fn on_event(event: &PollEvent<'_>) {
    match event {
        PollEvent::Recovered(recovered) => tell_recovered(recovered),
        PollEvent::WaitsForRoom { .. } | PollEvent::WaitsForMemory { .. } => waits(event),
        PollEvent::SpoolSettled { account, forwarded, lost, removed } => {
            spool_settled(account, *forwarded, *lost, *removed);
        }
        PollEvent::StaysInSpool { account, bound } => {
            info!("{account}: what is not forwarded after {} s waits in the spool", bound.as_secs());
        }
        PollEvent::SpoolNotSettled { account, error } => {
            debug!("{account}: what was forwarded is taken over later: {error}");
        }
        PollEvent::MaildirClosed(error) => warn!("{error}"),
        PollEvent::SizesAreEstimates => {
            warn!("most messages come in another size than the server lists: its sizes seem to be estimates");
        }
        PollEvent::HintsNotWritten(error) => {
            debug!("cannot write the hints about the server: {error}. They are gathered again");
        }
        PollEvent::TokenRefused(error) => info!("{error}. Another access token is tried"),
        PollEvent::OneAtATime(error) => info!(
            "the session ended at the first commands that were sent ahead, so they are sent one at a time: {error}"
        ),
        PollEvent::Listed { is_complete: false, .. } => {
            warn!(
                "the server's answers to STAT, UIDL and LIST do not agree: nothing is concluded from what is missing"
            );
        }
        PollEvent::LooksAtHeaders { messages } if *messages >= MANY_HEADERS => {
            warn!("comparing the headers of {messages} messages with those fetched before");
        }
        PollEvent::Planned { on_server, plan } => {
            let (retrieve, delete, known) = (plan.retrieve.len(), plan.delete.len(), plan.known);
            let all = Count::of(*on_server, "message");
            debug!("{all} on the server: {retrieve} to fetch, {delete} to delete, {known} known");
        }
        PollEvent::MessageDelivered { listed, file_name, maildirs, octets, .. } if enabled!(Level::DEBUG) => {
            for maildir in *maildirs {
                let (number, new) = (listed.number, maildir.join("new"));
                debug!("message {number} ({} octets) is delivered as {}/{file_name}", octets.get(), new.display());
            }
        }
        PollEvent::Stopping { under_way } => debug!("stopping: {under_way} messages are under way"),
        PollEvent::QuitNotAcknowledged => {
            warn!("the server did not acknowledge the QUIT: what was deleted is deleted again next time");
        }
        PollEvent::EndsWithoutQuit => info!(
            "the connection is closed without QUIT: this server removes then what was retrieved (EXPIRE 0), and not all \
             of that came as it was listed"
        ),
        PollEvent::SessionEnded { quit_error: Some(error) } => debug!("QUIT: {error}"),
        PollEvent::SessionFailed { error, next } => session_failed(error, *next),
        _ => {}
    }
}

fn tell_recovered(recovered: &Recovered) {
    if !recovered.is_nothing() {
        was_interrupted(recovered);
    }
    if recovered.kept > 0 {
        let kept = Count::of(recovered.kept, "message");
        warn!("{kept} of the former Maildir, and not in this one: neither fetched again nor deleted on the server");
    }
}

fn was_interrupted(recovered: &Recovered) {
    let Recovered { finished, found, again, remains, .. } = *recovered;
    let parts = [
        (finished, format!("{} finished now", Count::of(finished, "delivery"))),
        (found, format!("{} found finished", Count::of(found, "delivery"))),
        (again, format!("{} to be fetched again", Count::of(again, "message"))),
        (remains, format!("{} removed from tmp/", Count::of(remains, "file"))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, words)| words).collect();
    warn!("an earlier run was interrupted: {}", parts.join(", "));
}

fn spool_settled(account: &AccountName, forwarded: usize, lost: usize, removed: usize) {
    if forwarded + removed > 0 {
        debug!("forwarded since the last poll: {forwarded}; files that have left the spool: {removed}");
    }
    if lost > 0 {
        warn!(
            event = "message",
            account = %account,
            "{account}: {} removed from the spool; {} fetched again if the server still has {}",
            if lost == 1 { "1 message was".to_owned() } else { format!("{} were", Count::of(lost, "message")) },
            if lost == 1 { "it is" } else { "they are" },
            if lost == 1 { "it" } else { "them" }
        );
    }
}

fn session_failed(error: &PollError, next: AfterFailure) {
    match next {
        // The caller that gets the report tells the user.
        AfterFailure::PollEnds => {}
        AfterFailure::NothingLost => info!("another session to look for more ended early: {error}"),
        AfterFailure::GoesOn => warn!("the session broke at a message; another one continues after it: {error}"),
        AfterFailure::WithoutThose => {
            warn!("a Maildir cannot be used; the other mail is fetched in another session: {error}");
        }
    }
}
