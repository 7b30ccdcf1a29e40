//! One poll of one account: the story, top to bottom.
//!
//! Lock and read the state; finish what a crash interrupted; ask for the password; then sessions, as long as each brings
//! something and there may be more. A session: log in, list, plan, retrieve and deliver, delete, QUIT.

pub mod committer;
pub mod error;
mod marking;
pub mod report;
mod retriever;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::PollError;
pub use report::PollReport;

use crate::account::{Account, AccountName, RemovalPolicy};
use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::disk::Disk;
use crate::maildir::names::NameSource;
use crate::net::Dialer;
use crate::secret::Secret;
use crate::state::recovery::{OtherMaildir, Recovered, recover};
use crate::state::store::{Opening, Store};

/// What all polls of this process share.
#[derive(Debug)]
pub struct Ferry {
    /// Makes connections.
    pub dialer: Dialer,
    /// Where everything is written.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Names files.
    pub names: NameSource,
    /// Where the states are.
    pub state_dir: PathBuf,
    /// Where credentials of systemd are.
    pub credentials: CredentialEnvironment,
    /// Tells others who holds a lock.
    pub holder: String,
    /// The names of all configured accounts.
    pub configured: Vec<AccountName>,
}

/// How the user wants this poll to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Tell what would be done and do nothing.
    pub dry_run: bool,
    /// Begin a state anew where one seems to be lost.
    pub new_state: bool,
    /// Take the Maildir that is there, though it is not the one that was delivered to.
    pub accept_maildir: bool,
}

/// No poll has more sessions than this, whatever a server lists.
const MOST_SESSIONS: u32 = 1000;

/// Polls an account once. Never panics because of what a server or a disk does; what went wrong is in the report.
///
/// When `stop` is cancelled no further message is asked for, those under way are delivered within a bound, and the
/// session ends in order.
pub async fn poll(ferry: Arc<Ferry>, account: Account, wishes: Wishes, stop: CancellationToken) -> PollReport {
    let begun = Instant::now();
    let mut report = PollReport::new(account.name.clone());
    let result = Poll { ferry, account, wishes, stop }.run(&mut report).await;
    report.end = result;
    report.duration = begun.elapsed();
    report
}

/// A poll under way.
struct Poll {
    ferry: Arc<Ferry>,
    account: Account,
    wishes: Wishes,
    stop: CancellationToken,
}

impl Poll {
    async fn run(&self, report: &mut PollReport) -> Result<(), PollError> {
        let mut store = self.open_state(report).await?;
        let password = self.account.credential.obtain(&self.ferry.credentials).await?;
        loop {
            report.sessions += 1;
            let before = report.retrieved;
            let (after, result) = self.session(store, &password, report).await;
            let follow_up = match result {
                Ok(follow_up) => follow_up,
                // A session that was held only to see whether there is more: that it failed is no news.
                Err(e) if report.on_suspicion && after.is_some() && e.is_about_the_server() => {
                    info!("another session to look for more ended early: {e}");
                    FollowUp::No
                }
                Err(e) => return Err(e),
            };
            store = after.ok_or(PollError::Fault)?;
            let progress = report.retrieved > before;
            let more = follow_up != FollowUp::No && progress && report.sessions < MOST_SESSIONS;
            if !more || self.wishes.dry_run {
                break;
            }
            if self.stop.is_cancelled() {
                return Err(PollError::Stopped);
            }
            report.on_suspicion = follow_up == FollowUp::Perhaps;
        }
        if !self.wishes.dry_run {
            blocking(store, Store::tidy).await?.1?;
        }
        Ok(())
    }

    /// Opens the state and finishes what was begun, before the server is asked.
    async fn open_state(&self, report: &mut PollReport) -> Result<Store, PollError> {
        let opening = Opening {
            now: self.ferry.clock.read(),
            instance: fastrand::u64(..),
            holder: self.ferry.holder.clone(),
            new_state: self.wishes.new_state,
            configured: self.ferry.configured.clone(),
        };
        let (disk, dir, account) = (Arc::clone(&self.ferry.disk), self.ferry.state_dir.clone(), self.account.clone());
        let wishes = self.wishes;
        let (store, recovered) = tokio::task::spawn_blocking(move || {
            if wishes.dry_run {
                return Store::look(disk, &dir, &account, &opening).map(|store| (store, Recovered::default()));
            }
            let mut store = Store::open(disk, &dir, &account, &opening)?;
            let other = if wishes.accept_maildir { OtherMaildir::Accept } else { OtherMaildir::Refuse };
            let recovered = recover(&mut store, &account.maildir, other)?;
            if matches!(account.removal, RemovalPolicy::AfterAge(_)) && !store.state().is_empty() {
                store.record_clock()?;
            }
            Ok((store, recovered))
        })
        .await
        .map_err(|_| PollError::Fault)??;
        if !recovered.is_nothing() {
            let Recovered { finished, found, again, remains, .. } = recovered;
            warn!(
                finished,
                found, again, remains, "an earlier run was interrupted: its deliveries were finished before this one"
            );
        }
        report.recovered = recovered;
        Ok(store)
    }
}

/// Whether another session of the same poll makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FollowUp {
    /// Everything that was listed has been dealt with, and the server lists everything.
    No,
    /// Everything that was listed was new: some servers list only so many at a time.
    Perhaps,
    /// Some of what was listed is still to be retrieved.
    Yes,
}

/// Runs something that blocks, with the state.
async fn blocking<R: Send + 'static>(
    mut store: Store,
    work: impl FnOnce(&mut Store) -> R + Send + 'static,
) -> Result<(Store, R), PollError> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut store);
        (store, result)
    });
    done.await.map_err(|_| PollError::Fault)
}

/// The password, for the rest of the story.
type Password = Secret;
