//! What is kept of the place where an account's mail goes on to: a refused password is not to be offered by each run of
//! cron, and a full mailbox not asked each time. A network or a server that is down costs nobody anything, and the timer is
//! the pause. Whoever forwards by hand waits for no pause, and what he finds counts.

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

/// A destination before a pass.
pub(in crate::cli) struct Destination {
    /// What the file of its password looks like; nothing if it has none.
    password: String,
    /// How long it is left alone.
    pause: Option<Box<ForwardingPause>>,
}

impl Destination {
    /// What is known of it. None if the account's mail goes nowhere, or the end was asked for.
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

    /// Whether a run of a timer leaves it alone. A changed password is tried at once, and so is new mail where the
    /// destination has spoken of one message alone.
    pub(in crate::cli) fn is_to_wait(&self, context: &PollContext, account: &Account, has_new: bool) -> bool {
        let now = Duration::from_secs(context.clock.read().since_boot);
        let holds = |pause: &&ForwardingPause| {
            pause.due > now && pause.password == self.password && !(has_new && pause.is_of_one)
        };
        let Some(pause) = self.pause.as_deref().filter(holds) else { return false };
        debug!("{}: not forwarded in this run; next in {} s", account.name, pause.due.saturating_sub(now).as_secs());
        true
    }

    /// Keeps what follows from a pass for the next run of a timer.
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
        // The poll has kept something meanwhile.
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

/// What a pass says of the passes to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The destination takes mail.
    Well,
    /// It is to be left alone.
    Pause(Pause),
}

impl Kind {
    /// None if it says nothing.
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

/// What the file of a destination's password, or its sign-in, looks like. Blocks.
fn password_of(context: &PollContext, account: &Account) -> String {
    let Some(ForwardTo::Imap(to)) = account.forward.as_ref().map(|forward| &forward.to) else { return String::new() };
    match &to.credential {
        CredentialSource::OAuth(_) => {
            store::sign_in_stamp(&*context.disk, &context.state_dir, &sign_in_name(&account.name))
        }
        source => Files::password_of(source, None),
    }
}
