//! What is saved about the destination that an account forwards to, so that cron does not offer a refused password in
//! each run or try a full mailbox each time. If a network or server is down, retrying does no harm, and the timer is
//! the pause. Forwarding by hand ignores the pause, but its result counts.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Settings, recall};
use crate::account::{Account, CredentialSource, ForwardTo};
use crate::account_record::ForwardingPause;
use crate::advice::pause_after;
use crate::forward::{ForwardError, ForwardReport, Pause, sign_in_name};
use crate::oauth::store;
use crate::poll::PollContext;
use crate::state::saved::Files;
use crate::watch;

/// The saved state of a destination before a pass.
pub(in crate::cli) struct Destination {
    /// The stamp of its password file or sign-in; empty if there is none.
    password: String,
    /// How long it is to be left alone.
    pause: Option<Box<ForwardingPause>>,
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
        let password = watch::blocking(move || password_of(&shared, &of));
        let password = tokio::select! {
            password = password => password.unwrap_or_default(),
            () = stop.cancelled() => return None,
        };
        Some(Self { password, pause: recalled.standing.forwarding })
    }

    /// Whether a scheduled run leaves the destination alone. A changed password is tried at once, and so is new mail if
    /// the destination has only refused a single message.
    pub(in crate::cli) fn is_to_wait(&self, context: &PollContext, account: &Account, has_new: bool) -> bool {
        let now = Duration::from_secs(context.clock.read().since_boot);
        let holds = |pause: &&ForwardingPause| {
            pause.due > now && pause.password == self.password && !(has_new && pause.is_of_one)
        };
        let Some(pause) = self.pause.as_deref().filter(holds) else { return false };
        debug!("{}: not forwarded in this run; next in {} s", account.name, pause.due.saturating_sub(now).as_secs());
        true
    }

    /// Returns for how much longer the destination is left alone. None if nothing says so.
    pub(in crate::cli) fn rest(&self, context: &PollContext) -> Option<Duration> {
        let now = Duration::from_secs(context.clock.read().since_boot);
        self.pause.as_deref().map(|pause| pause.due.saturating_sub(now))
    }

    /// Saves the result of a pass for the next scheduled run.
    pub(in crate::cli) async fn keep(
        self,
        context: &Arc<PollContext>,
        account: &Account,
        settings: &Settings,
        report: &ForwardReport,
        stop: &CancellationToken,
    ) {
        let Some(kind) = Kind::of(report) else { return };
        if self.pause.is_none() && kind == Kind::Well {
            return;
        }
        // Read again, as the poll may have saved something meanwhile.
        let Some(mut recalled) = recall(context, account, settings, stop).await else { return };
        let clock = context.clock.read();
        let now = Duration::from_secs(clock.since_boot);
        recalled.standing.forwarding = match kind {
            Kind::Well => None,
            Kind::Pause(pause) => {
                let before = self.pause.filter(|_| report.forwarded == 0).map_or(0, |pause| pause.failures);
                let failures = before.saturating_add(1);
                let (due, password, is_of_one) = (now + pause.time(failures), self.password, report.is_of_one);
                Some(Box::new(ForwardingPause { failures, due, password, is_of_one }))
            }
        };
        recalled.keep(context, account, now, clock).await;
    }
}

/// What a pass means for the following ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The destination takes mail.
    Well,
    /// It is to be left alone for a while.
    Pause(Pause),
}

impl Kind {
    /// None if the pass says nothing about the destination.
    fn of(report: &ForwardReport) -> Option<Self> {
        match &report.end {
            Ok(()) => Some(Self::Well),
            Err(ForwardError::Busy { .. } | ForwardError::Stopped) => None,
            Err(e) => match pause_after(e) {
                Pause::Soon => None,
                pause => Some(Self::Pause(pause)),
            },
        }
    }
}

/// Returns the stamp of the file of a destination's password, or of its sign-in. Blocks.
fn password_of(context: &PollContext, account: &Account) -> String {
    let Some(ForwardTo::Imap(to)) = account.forward.as_ref().map(|forward| &forward.to) else { return String::new() };
    match &to.credential {
        CredentialSource::OAuth(_) => {
            store::sign_in_stamp(&*context.disk, &context.state_dir, &sign_in_name(&account.name))
        }
        source => Files::password_of(source, None),
    }
}
