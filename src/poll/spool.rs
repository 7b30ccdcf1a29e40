//! A poll's dealings with the spool of an account that forwards: it settles what was forwarded, fetches no more than
//! fits, and can wait until what it brought is forwarded.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::emitter::log;
use super::error::PollError;
use super::events::PollEvent;
use super::report::LeftFor;
use super::{Poll, PollContext};
use crate::account::{Account, AccountName, Forward};
use crate::delivery::delivered_by;
use crate::delivery::recovery::OtherMaildirPolicy;
use crate::disk::Disk;
use crate::forward::settlement::{Settled, settle};
use crate::forward::{ForwardError, ForwardOptions, Live, SpoolUse, forward, spool_use};
use crate::plan::Plan;
use crate::pop3::ReportedSize;
use crate::routing::Routing;
use crate::state::error::StateError;
use crate::state::instance::random_instance;
use crate::state::store::{OpenOptions, Store};
use crate::watch;

/// Records in the state what was forwarded. Blocks.
pub(super) fn settle_spool(
    disk: &dyn Disk,
    store: &mut Store,
    account: &Account,
    other: OtherMaildirPolicy,
) -> Result<Settled, StateError> {
    if account.forward.is_none() && store.state().spooled().next().is_none() {
        return Ok(Settled::default());
    }
    settle(disk, store, other)
}

/// Passes on what was settled, if anything.
pub(super) fn tell_settled(account: &AccountName, settled: Settled, tell: impl FnOnce(&PollEvent<'_>)) {
    if settled != Settled::default() {
        let Settled { forwarded, lost, removed } = settled;
        tell(&PollEvent::SpoolSettled { account, forwarded, lost, removed });
    }
}

impl Poll {
    /// Leaves messages on the server that do not fit into the spool besides those waiting there. One message always
    /// fits into an empty spool.
    pub(super) async fn keep_within_spool(&mut self, plan: &mut Plan) {
        let Some(forward) = self.account.forward.clone().filter(|_| !plan.retrieve.is_empty()) else { return };
        let (disk, dir, name) =
            (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.account.name.clone());
        let looked = watch::blocking(move || spool_use(&*disk, &dir, &name)).await;
        // A delivery into the spool will report what cannot be read.
        let Ok(Ok(used)) = looked else { return };
        let fit = fitting(
            &forward,
            used,
            plan.retrieve.iter().map(|listed| listed.reported_size.map_or(0, ReportedSize::get)),
        );
        let cut = plan.retrieve.len().saturating_sub(fit);
        if let Some(next) = plan.retrieve.get(fit) {
            let size = next.reported_size.map_or(0, ReportedSize::get);
            let all_go_there = matches!(self.account.routing, Routing::Unconditional);
            self.left_for_spool = Some(why_left(&forward, used, size, all_go_there));
            self.kept_out_by_spool = cut;
            plan.retrieve.truncate(fit);
            plan.postponed += cut;
        }
    }
}

/// Says why the next message, of this size, does not fit into a spool. Unless all messages go there, it may still be
/// empty after those that come before.
fn why_left(forward: &Forward, used: SpoolUse, size: u64, all_go_there: bool) -> LeftFor {
    match used.messages {
        _ if size > forward.spool.octets => LeftFor::LargerThanSpool,
        0 if !all_go_there => LeftFor::SmallSpool,
        _ => LeftFor::FullSpool,
    }
}

/// Returns how many messages of these sizes, in order, fit into a spool besides its contents.
fn fitting(forward: &Forward, used: SpoolUse, sizes: impl Iterator<Item = u64>) -> usize {
    let bounds = forward.spool;
    let (mut messages, mut octets, mut fit) = (used.messages, used.octets, 0);
    for size in sizes {
        messages = messages.saturating_add(1);
        octets = octets.saturating_add(size);
        let is_alone = messages == 1;
        if !is_alone && (messages > bounds.messages || octets > bounds.octets) {
            break;
        }
        fit += 1;
    }
    fit
}

/// Forwards the contents of the account's spool until `bound` has passed, then records the result in its state. Returns
/// `None` if the account does not forward.
pub async fn forward_spool(
    context: &PollContext,
    account: &Account,
    options: ForwardOptions,
    bound: Duration,
    stop: &CancellationToken,
) -> Option<crate::forward::ForwardReport> {
    let to = account.forward.clone()?;
    let (in_time, live) = (stop.child_token(), Live::default());
    let pass = forward(Arc::new(context.of_process()), account, to, options, live.clone(), in_time.clone());
    tokio::pin!(pass);
    let mut report = tokio::select! {
        biased;
        report = &mut pass => report,
        () = tokio::time::sleep(bound) => {
            log(&PollEvent::StaysInSpool { account: &account.name, bound });
            in_time.cancel();
            let mut report = pass.await;
            if matches!(report.end, Err(ForwardError::Stopped)) && !stop.is_cancelled() {
                report.end = Err(ForwardError::Unanswered { waited: live.idle().unwrap_or(bound) });
            }
            report
        }
    };
    if stop.is_cancelled() && report.waiting.messages > 0 && report.why_waiting().is_none() {
        report.end = Err(ForwardError::Stopped);
    }
    if report.forwarded > 0
        && let Err(e) = settle_account(context, account).await
    {
        // The next poll will do it.
        log(&PollEvent::SpoolNotSettled { account: &account.name, error: &e });
    }
    Some(report)
}

/// Records in the account's state what was forwarded, unless a poll has it locked.
///
/// # Errors
/// The state is not available. Nothing is lost: the next poll records it.
pub async fn settle_account(context: &PollContext, account: &Account) -> Result<(), PollError> {
    let account = account.clone().with_spool(&context.state_dir);
    let (disk, dir) = (Arc::clone(&context.disk), context.state_dir.clone());
    let (open_options, name) = (context.open_options(), account.name.clone());
    let settle = move || {
        let mut store = Store::open(Arc::clone(&disk), &dir, &account, &open_options)?;
        if !store.exists() {
            return Ok((Settled::default(), Ok(())));
        }
        store.ensure_proven()?;
        let settled = settle_spool(&*disk, &mut store, &account, OtherMaildirPolicy::Refuse)?;
        Ok::<_, StateError>((settled, store.finish()))
    };
    let (settled, finished) = watch::blocking(settle).await.map_err(|e| e.doing("take over what was forwarded"))??;
    tell_settled(&name, settled, log);
    Ok(finished?)
}

impl PollContext {
    pub(super) fn open_options(&self) -> OpenOptions {
        OpenOptions {
            now: self.clock.read(),
            since_1970: self.clock.since_1970(),
            instance: random_instance(),
            holder: self.holder.clone(),
            new_state: false,
            must_exist: false,
            configured_accounts: Arc::clone(&self.configured_accounts),
            delivered_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{ForwardTo, SpoolBounds};

    #[test]
    fn a_spool_takes_what_fits_and_one_message_whatever_its_size() {
        let spool = SpoolBounds { octets: 100, messages: 3 };
        let forward = Forward { to: ForwardTo::Command(vec!["x".into()]), spool };
        let fit =
            |messages, octets, sizes: &[u64]| fitting(&forward, SpoolUse { messages, octets }, sizes.iter().copied());
        assert_eq!(fit(0, 0, &[10, 10, 10, 10]), 3);
        assert_eq!(fit(0, 0, &[50, 50, 1]), 2);
        assert_eq!((fit(0, 0, &[500, 1]), fit(1, 1, &[500])), (1, 0));
        assert_eq!((fit(3, 3, &[1]), fit(0, 0, &[])), (0, 0));
        let why = |messages, size| why_left(&forward, SpoolUse { messages, octets: messages }, size, false);
        assert_eq!((why(0, 100), why(2, 100)), (LeftFor::SmallSpool, LeftFor::FullSpool));
        assert_eq!(why_left(&forward, SpoolUse::default(), 100, true), LeftFor::FullSpool);
        assert_eq!((why(0, 101), why(2, 101)), (LeftFor::LargerThanSpool, LeftFor::LargerThanSpool));
    }
}
