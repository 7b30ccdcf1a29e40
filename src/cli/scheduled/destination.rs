//! What is saved about the destination that an account forwards to: why mail waits, for people who ask, and a pause, so
//! that cron does not offer a refused password in each run or try a full mailbox each time. If a network or server is down, retrying does no harm, and the timer is
//! the pause. Forwarding by hand ignores the pause, but its result counts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Settings, files_of, recall, saved};
use crate::account::{Account, CredentialSource, ForwardTo};
use crate::account_record::{ForwardingPause, Standing};
use crate::advice::pause_after;
use crate::clock::trusted_time::ClockReading;
use crate::disk::Disk;
use crate::forward::{ForwardReport, Pause, sign_in_name};
use crate::oauth::store;
use crate::poll::{PollContext, PollReport};
use crate::state::saved::Files;
use crate::text::Span;
use crate::watch;

/// The saved state of a destination before a pass.
pub(in crate::cli) struct Destination {
    /// The stamp of its password file or sign-in; empty if there is none.
    password: String,
    /// How long it is to be left alone.
    pause: Option<Box<ForwardingPause>>,
    /// Whether something is saved, even if it no longer counts.
    is_saved: bool,
}

impl Destination {
    /// Reads what is saved. None if the account does not forward, or the process is to end.
    pub(in crate::cli) async fn recall(
        context: &Arc<PollContext>,
        account: &Account,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Option<Self> {
        account.forward.as_ref()?;
        let recalled = recall(context, account, settings, stop).await?;
        let (shared, of) = (Arc::clone(context), account.clone());
        let password = watch::blocking(move || password_of(&*shared.disk, &shared.state_dir, &of));
        let password = tokio::select! {
            password = password => password.unwrap_or_default(),
            () = stop.cancelled() => return None,
        };
        Some(Self { password, is_saved: recalled.has_forwarding, pause: recalled.standing.forwarding })
    }

    /// Whether a scheduled run leaves the destination alone. A changed password is tried at once, and so is new mail if
    /// the destination has only refused a single message.
    pub(in crate::cli) fn is_to_wait(&self, context: &PollContext, account: &Account, has_new: bool) -> bool {
        let now = Duration::from_secs(context.clock.read().since_boot);
        let holds = |pause: &&ForwardingPause| {
            pause.due > now && pause.password == self.password && !(has_new && pause.is_of_one)
        };
        let Some(pause) = self.pause.as_deref().filter(holds) else { return false };
        debug!("{}: not forwarded in this run; next in {}", account.name, Span(pause.due.saturating_sub(now)));
        true
    }

    /// Returns for how much longer the destination is left alone. None if nothing says so.
    pub(in crate::cli) fn rest(&self, context: &PollContext) -> Option<Duration> {
        let now = Duration::from_secs(context.clock.read().since_boot);
        self.pause.as_deref().map(|pause| pause.due.saturating_sub(now))
    }

    /// Saves what a run showed for the next scheduled run, and for people who ask why mail waits.
    pub(in crate::cli) async fn keep(
        self,
        context: &Arc<PollContext>,
        account: &Account,
        settings: &Settings,
        shown: &Shown<'_>,
        stop: &CancellationToken,
    ) {
        let clock = context.clock.read();
        let now = Duration::from_secs(clock.since_boot);
        let Self { password, pause: before, is_saved } = self;
        let after = shown.after(before.as_deref(), password, now, clock.wall).map(Box::new);
        if before == after && before.is_some() == is_saved {
            return;
        }
        // Read again, as the poll may have saved something meanwhile.
        let Some(mut recalled) = recall(context, account, settings, stop).await else { return };
        recalled.standing.forwarding = after;
        recalled.keep(context, account, now, clock).await;
    }
}

/// What a run showed about an account's destination and spool.
pub(in crate::cli) struct Shown<'a> {
    /// The pass. None: there was none.
    pub(in crate::cli) pass: Option<&'a ForwardReport>,
    /// Whether the poll left mail on the server because the spool was full. None: there was no complete poll.
    pub(in crate::cli) is_spool_full: Option<bool>,
}

impl<'a> Shown<'a> {
    /// What a poll and the pass after it showed.
    pub(in crate::cli) fn of(report: &'a PollReport) -> Self {
        let is_full = report.left.is_some_and(|left| left.why.is_for_spool());
        Self { pass: report.forwarded.as_deref(), is_spool_full: report.end.is_ok().then_some(is_full) }
    }

    /// Returns what is known after it; `password` is the stamp of the password file before the pass, `wall` the time in
    /// seconds since 1970. None: nothing holds up the mail.
    fn after(
        &self,
        before: Option<&ForwardingPause>,
        password: String,
        now: Duration,
        wall: i64,
    ) -> Option<ForwardingPause> {
        let was_full = before.is_some_and(|before| before.is_spool_full);
        let is_emptier = self.pass.is_some_and(|pass| pass.forwarded > 0 || pass.waiting.messages == 0);
        let is_spool_full = self.is_spool_full.unwrap_or(was_full) && !is_emptier;
        let known = before.cloned().unwrap_or_default();
        let after = match self.pass.filter(|pass| !pass.says_nothing_of_the_destination()) {
            None => ForwardingPause { is_spool_full, ..known },
            Some(pass) => {
                let why = pass.failure_text().unwrap_or_default();
                let since = if known.why.is_empty() { wall } else { known.since };
                let others = match pass.end.as_ref().err().map(pause_after) {
                    None => ForwardingPause::default(),
                    Some(Pause::Soon) => known,
                    Some(pause) => {
                        let failures = if pass.forwarded > 0 { 1 } else { known.failures.saturating_add(1) };
                        let (due, is_of_one) = (now + pause.time(failures), pass.is_of_one);
                        ForwardingPause { failures, due, password, is_of_one, ..known }
                    }
                };
                ForwardingPause { since, why, is_spool_full, ..others }
            }
        };
        let is_nothing = after.failures == 0 && after.why.is_empty() && !after.is_spool_full;
        (!is_nothing).then_some(after)
    }
}

/// What is known, without a daemon, about mail that waits to be forwarded.
#[derive(Debug, Default)]
pub(in crate::cli) struct Known {
    /// Why it waits, and since when, in seconds since 1970.
    pub(in crate::cli) why: Option<(i64, String)>,
    /// Until when a scheduled run leaves the destination alone, in seconds since 1970. None: it does not.
    pub(in crate::cli) next_try: Option<i64>,
    /// Whether the last poll left mail on the server because the spool was full.
    pub(in crate::cli) is_spool_full: bool,
}

impl Known {
    /// Reads what the last run, or the last daemon, saved of an account. Blocks.
    pub(in crate::cli) fn read(
        disk: &dyn Disk,
        state_dir: &Path,
        account: &Account,
        config_stamp: &str,
        clock: ClockReading,
    ) -> Self {
        let saved = saved(disk, state_dir, account);
        let now = Duration::from_secs(clock.since_boot);
        let pause = saved.as_ref().and_then(|saved| Standing::restore(saved, now, clock).forwarding);
        let Some((saved, pause)) = saved.zip(pause) else { return Self::default() };
        let is_mended = || {
            *saved.files() != files_of(disk, state_dir, account, config_stamp)
                || pause.password != password_of(disk, state_dir, account)
        };
        let left = pause.due.saturating_sub(now);
        let holds = !left.is_zero() && !is_mended();
        let due = || clock.wall.saturating_add(i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
        Self {
            why: (!pause.why.is_empty()).then_some((pause.since, pause.why)),
            next_try: holds.then(due),
            is_spool_full: pause.is_spool_full,
        }
    }
}

/// Returns the stamp of the file of a destination's password, or of its sign-in. Blocks.
fn password_of(disk: &dyn Disk, state_dir: &Path, account: &Account) -> String {
    let Some(ForwardTo::Imap(to)) = account.forward.as_ref().map(|forward| &forward.to) else { return String::new() };
    match &to.credential {
        CredentialSource::OAuth(_) => store::sign_in_stamp(disk, state_dir, &sign_in_name(&account.name)),
        source => Files::password_of(source, None),
    }
}
