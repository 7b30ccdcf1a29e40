//! One poll of one account: the story, top to bottom.
//!
//! Lock and read the state; finish what a crash interrupted; ask for the password; then sessions, as long as each brings
//! something and there may be more. A session: log in, list, plan, retrieve and deliver, delete, QUIT.

pub mod error;
pub mod report;

mod committer;
mod marking;
mod memory;
mod outcome;
mod planning;
mod retriever;
mod session;
mod window;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::PollError;
pub use report::{PollReport, Quarantined};

use crate::account::{Account, RemovalPolicy};
use crate::client::{ClientError, Mask};
use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::disk::Disk;
use crate::maildir::Maildir;
use crate::maildir::names::NameSource;
use crate::net::Dial;
use crate::plan::Scope;
use crate::pop3::{FramingError, UniqueId};
use crate::secret::Secret;
use crate::state::entries::{Entry, EntryId, TroubleKind};
use crate::state::error::StateError;
use crate::state::hints::HintsFile;
use crate::state::recovery::{OtherMaildir, Recovered, known_maildir, recover};
use crate::state::store::{Neighbours, Opening, Store};
use crate::watch;
use memory::Memory;
use session::{Broken, Ended};

/// What all polls of this process share.
#[derive(Debug, Clone)]
pub struct Ferry {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Where everything is written.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Names files.
    pub names: Arc<NameSource>,
    /// Where the states are.
    pub state_dir: PathBuf,
    /// Where credentials of systemd are.
    pub credentials: CredentialEnvironment,
    /// Tells others who holds a lock.
    pub holder: String,
    /// The accounts that share the state directory.
    pub neighbours: Arc<Neighbours>,
    /// How many files one poll may hold open at the same time.
    pub most_files: usize,
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
    /// Fetch what the server seems to have renumbered and cannot be recognised, although it may be there already.
    pub fetch_again: bool,
}

/// After so many sessions, nobody looks whether there is more: the next poll will.
const MOST_SESSIONS: u32 = 1000;

/// No poll goes on after more sessions than this that broke at a message.
const MOST_BROKEN: u32 = 20;

/// Polls an account once. Never panics because of what a server or a disk does; what went wrong is in the report.
///
/// When `stop` is cancelled no further message is asked for, those under way are delivered within a bound, and the
/// session ends in order.
pub async fn poll(ferry: Arc<Ferry>, account: Account, wishes: Wishes, stop: CancellationToken) -> PollReport {
    let begun = Instant::now();
    let mut report = PollReport::new(account.name.clone());
    let mut poll = Poll {
        ferry,
        account,
        wishes,
        stop,
        scope: Scope::Sound,
        suspects: VecDeque::new(),
        tried: HashSet::new(),
        broken: 0,
    };
    report.end = poll.run(&mut report).await;
    report.duration = begun.elapsed();
    report
}

/// A poll under way.
struct Poll {
    ferry: Arc<Ferry>,
    account: Account,
    wishes: Wishes,
    stop: CancellationToken,
    /// Which messages the current session is about.
    scope: Scope,
    /// Messages at which earlier sessions ended and that wait for sessions of their own, the next one first.
    suspects: VecDeque<UniqueId>,
    /// Messages that made trouble in this poll and are left alone for the rest of it.
    tried: HashSet<UniqueId>,
    /// How many sessions broke at a message.
    broken: u32,
}

/// The state, in a place from which work that blocks can take it for a while.
type Shelf = Option<Store>;

impl Poll {
    async fn run(&mut self, report: &mut PollReport) -> Result<(), PollError> {
        let (mut store, mut memory) = self.open_state(report).await?;
        let password = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(PollError::Stopped),
            password = self.account.credential.obtain(&self.ferry.credentials) => password?,
        };
        report.mask = Mask::new(&self.account.username, &password);
        let end = self.sessions(&mut store, &mut memory, &password, report).await;
        report.quarantine = store.as_ref().map(Quarantined::of).unwrap_or_default();
        if !self.wishes.dry_run {
            let (disk, wall) = (Arc::clone(&self.ferry.disk), self.ferry.clock.read().wall);
            if report.retrieved > 0 {
                memory.delivered(report.retrieved, report.octets, &self.ferry.clock.today(), wall);
            }
            let success = end.is_ok().then_some(wall);
            report.past = blocking(&mut store, move |_| memory.write(&disk, success)).await?;
        }
        end?;
        if !self.wishes.dry_run {
            blocking(&mut store, Store::tidy).await??;
        }
        Ok(())
    }

    /// Sessions, as long as each brings something and there may be more.
    async fn sessions(
        &mut self,
        store: &mut Shelf,
        memory: &mut Memory,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<(), PollError> {
        loop {
            report.sessions += 1;
            let before = report.retrieved;
            let first_entry = store.as_ref().ok_or(PollError::Fault)?.state().next_id();
            let next = match self.session(store, memory, password, report).await {
                Ok(ended) => {
                    let progress = report.retrieved > before;
                    if report.on_suspicion {
                        memory.looked_for_more(progress);
                    }
                    let more = progress && ended.all_new > 0 && memory.may_list_more(ended.all_new);
                    self.after(ended, progress, more)
                }
                Err(broken) => self.after_broken(broken, first_entry, store, report).await?,
            };
            self.tried.extend(report.failed.iter().filter_map(|(listed, _)| listed.unique_id.clone()));
            match next {
                Next::Done => return Ok(()),
                _ if self.wishes.dry_run => return Ok(()),
                _ if self.stop.is_cancelled() => return Err(PollError::Stopped),
                _ if watch::is_to_give_way() => {
                    report.more = true;
                    return Ok(());
                }
                Next::Session(scope) => self.scope = scope,
                Next::OnSuspicion if report.sessions >= MOST_SESSIONS => {
                    report.more = true;
                    return Ok(());
                }
                Next::OnSuspicion => {
                    self.scope = Scope::Sound;
                    report.on_suspicion = true;
                }
            }
        }
    }

    /// What comes after a session that ended in order; `more` says that the server may not have listed everything.
    fn after(&mut self, ended: Ended, progress: bool, more: bool) -> Next {
        match self.scope {
            Scope::Sound => self.suspects = ended.suspects.into(),
            Scope::Suspects => self.tried.extend(self.suspects.pop_front()),
        }
        match self.scope {
            Scope::Sound if ended.left > 0 && progress => Next::Session(Scope::Sound),
            _ if !self.suspects.is_empty() => Next::Session(Scope::Suspects),
            Scope::Sound if more => Next::OnSuspicion,
            _ => Next::Done,
        }
    }

    /// What comes after a session that did not. The messages at which it broke get sessions of their own, so that
    /// everything else flows; what broke twice in this poll is left for another one.
    async fn after_broken(
        &mut self,
        broken: Broken,
        first_entry: EntryId,
        store: &mut Shelf,
        report: &mut PollReport,
    ) -> Result<Next, PollError> {
        let Broken { error, suspects, opened } = broken;
        if report.on_suspicion && !opened && error.is_about_the_server() {
            // The session was held only to see whether there is more: that it failed is no news.
            info!("another session to look for more ended early: {error}");
            report.more = true;
            return Ok(Next::Done);
        }
        let unique_ids: Vec<UniqueId> = suspects.iter().filter_map(|listed| listed.unique_id.clone()).collect();
        if unique_ids.is_empty() || self.wishes.dry_run {
            return Err(error);
        }
        // A connection that ends is mostly the network's fault: then the next poll begins behind the message.
        let framing = matches!(error, PollError::Client(ClientError::Framing(_)));
        let garbled = matches!(error, PollError::Client(ClientError::Framing(FramingError::NotPop3 { .. })));
        blocking(store, move |store| {
            if garbled {
                // What stands in the place of an answer is the rest of this message: what was delivered is not all of it.
                let is_of_session = |entry: &&Entry| entry.id >= first_entry;
                let of_session = |unique_id| store.state().with_unique_id(unique_id).filter(is_of_session);
                store.record_forgotten(unique_ids.iter().flat_map(of_session).map(|entry| entry.id).collect())?;
            }
            store.record_troubles(unique_ids, TroubleKind::Broke)
        })
        .await??;
        self.broken += 1;
        if !framing || self.broken > MOST_BROKEN {
            return Err(error);
        }
        warn!("the session broke at a message, and another one goes on behind it: {error}");
        if self.scope == Scope::Suspects {
            report.failed.extend(suspects.into_iter().map(|listed| (listed, error.to_string())));
        }
        // Sound ones first, always: the suspects must not starve them.
        Ok(Next::Session(Scope::Sound))
    }

    /// Opens the state and finishes what was begun, before the server is asked.
    async fn open_state(&self, report: &mut PollReport) -> Result<(Shelf, Memory), PollError> {
        let opening = Opening {
            now: self.ferry.clock.read(),
            instance: fastrand::u64(..),
            holder: self.ferry.holder.clone(),
            new_state: self.wishes.new_state,
            neighbours: Arc::clone(&self.ferry.neighbours),
        };
        let (disk, dir, account) = (Arc::clone(&self.ferry.disk), self.ferry.state_dir.clone(), self.account.clone());
        let wishes = self.wishes;
        let (store, memory, recovered) = watch::spawn_blocking(move || {
            let hints = |store: &Store| {
                let file = HintsFile::read(&**store.disk(), &dir, &account.name);
                Memory::new(file, &account.endpoint, store.now())
            };
            if wishes.dry_run {
                let store = Store::look(disk, &dir, &account, &opening)?;
                if !wishes.accept_maildir {
                    known_maildir(&store, &account.maildir)?;
                }
                let memory = hints(&store);
                return Ok((store, memory, Recovered::default()));
            }
            let mut store = Store::open(disk, &dir, &account, &opening)?;
            let other = if wishes.accept_maildir { OtherMaildir::Accept } else { OtherMaildir::Refuse };
            let recovered = recover(&mut store, &account.maildir, other)?;
            if wishes.new_state || wishes.accept_maildir {
                settle(&mut store, &account, wishes.accept_maildir)?;
            }
            if matches!(account.removal, RemovalPolicy::AfterAge(_)) && !store.state().is_empty() {
                store.write_pending()?;
            }
            let memory = hints(&store);
            Ok::<_, StateError>((store, memory, recovered))
        })
        .await
        .map_err(|_| PollError::Fault)??;
        if !recovered.is_nothing() {
            let Recovered { finished, found, again, remains, .. } = recovered;
            warn!(
                "an earlier run was interrupted: finished {finished} of its deliveries, found {found} finished, {again} \
                 to be fetched again, removed {remains} unfinished files"
            );
        }
        report.recovered = recovered;
        Ok((Some(store), memory))
    }
}

/// What the user decided holds from now on, whether or not anything is fetched: the state that is begun, and the Maildir
/// that is there. One that is accepted and not there is made: else the next poll would ask again. Blocks.
fn settle(store: &mut Store, account: &Account, accept: bool) -> Result<(), StateError> {
    let disk = Arc::clone(store.disk());
    let maildir = match Maildir::open(&*disk, &account.maildir) {
        Err(_) if accept && !store.state().is_empty() => {
            let make = |e| StateError::io("make the Maildir", &account.maildir, e);
            Some(Maildir::create(&*disk, &account.maildir, account.maildir_mode).map_err(make)?)
        }
        opened => opened.ok(),
    };
    if let Some(maildir) = maildir {
        let look = |e| StateError::io("look at the Maildir", maildir.path(), e);
        let inodes = maildir.inodes(&*disk).map_err(look)?;
        store.bind_maildir(&account.maildir, &maildir, inodes)?;
    }
    store.ensure_file()?;
    store.write_pending()
}

/// What comes after a session.
enum Next {
    /// The poll is over.
    Done,
    /// Another session, for these messages.
    Session(Scope),
    /// Another session, because everything was new and some servers list only so many at a time.
    OnSuspicion,
}

/// Runs something that blocks, with the state.
async fn blocking<R: Send + 'static>(
    shelf: &mut Shelf,
    work: impl FnOnce(&mut Store) -> R + Send + 'static,
) -> Result<R, PollError> {
    let mut store = shelf.take().ok_or(PollError::Fault)?;
    let done = watch::spawn_blocking(move || {
        let result = work(&mut store);
        (store, result)
    });
    let (store, result) = done.await.map_err(|_| PollError::Fault)?;
    *shelf = Some(store);
    Ok(result)
}
