//! One poll of one account: the story, top to bottom.
//!
//! Lock and read the state; finish what a crash interrupted; ask for the password; then sessions, as long as each brings
//! something and there may be more. A session: log in, list, plan, retrieve and deliver, delete, QUIT.

pub mod error;
pub mod report;

mod another;
mod ceiling;
mod committer;
mod deletions;
mod planning;
mod refusals;
mod retriever;
mod server_profile;
mod session;
mod window;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::PollError;
use report::{Left, LeftFor};
pub use report::{PollReport, Quarantined};

use crate::account::{Account, RemovalPolicy};
use crate::client::{ClientError, Redactor, places};
use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::delivery::recovery::{OtherMaildir, Recovered, known_maildir, recover};
use crate::disk::Disk;
use crate::maildir::Maildir;
use crate::maildir::names::NameSource;
use crate::net::Dial;
use crate::plan::Pass;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{EntryId, ListedAs, QuarantineReason};
use crate::state::error::StateError;
use crate::state::hints::HintsFile;
use crate::state::store::{ConfiguredAccounts, OpenOptions, Store};
use crate::watch;
use another::{Another, SoFar, another};
use server_profile::ServerProfile;
use session::{Broken, Ended};

/// What all polls of this process share.
#[derive(Debug, Clone)]
pub struct PollContext {
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
    pub configured_accounts: Arc<ConfiguredAccounts>,
    /// How many files one poll may hold open at the same time.
    pub most_files: usize,
}

/// How the user wants this poll to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct PollOptions {
    /// Tell what would be done and do nothing.
    pub dry_run: bool,
    /// Begin a state anew where one seems to be lost.
    pub new_state: bool,
    /// Take the Maildir that is there, though it is not the one that was delivered to.
    pub accept_maildir: bool,
    /// Fetch what the server seems to have renumbered and cannot be recognised, although it may be there already.
    pub fetch_again: bool,
}

/// No poll goes on after more sessions than this that broke at a message.
const MOST_BROKEN: u32 = 20;

/// Nor after more than this that were ended because a message went on beyond what it may have.
const MOST_TOO_LONG: usize = 5;

/// Polls an account once. Never panics because of what a server or a disk does; what went wrong is in the report.
///
/// When `stop` is cancelled no further message is asked for, those under way are delivered within a bound, and the
/// session ends in order.
pub async fn poll(
    context: Arc<PollContext>,
    account: Account,
    options: PollOptions,
    stop: CancellationToken,
) -> PollReport {
    let begun = Instant::now();
    let mut report = PollReport::new(account.name.clone());
    let mut poll = Poll {
        context,
        account,
        options,
        stop,
        pass: Pass::Normal,
        to_isolate: VecDeque::new(),
        tried: HashSet::new(),
        compared: HashSet::new(),
        went_back: false,
        broken: 0,
        left: 0,
        begun,
        waited: Duration::ZERO,
        too_long: Vec::new(),
    };
    report.end = poll.run(&mut report).await;
    report.duration = begun.elapsed();
    report
}

/// A poll under way.
struct Poll {
    context: Arc<PollContext>,
    account: Account,
    options: PollOptions,
    stop: CancellationToken,
    /// Which messages the current session is about.
    pass: Pass,
    /// Messages at which earlier sessions ended and that wait for sessions of their own, the next one first.
    to_isolate: VecDeque<ListedAs>,
    /// Messages that made trouble in this poll and are left alone for the rest of it.
    tried: HashSet<ListedAs>,
    /// What was retrieved in this poll to be compared.
    compared: HashSet<EntryId>,
    /// The suspects had their sessions, and the others one more.
    went_back: bool,
    /// How many sessions broke at a message.
    broken: u32,
    /// How many messages the last session left over.
    left: usize,
    /// When the poll began.
    begun: Instant,
    /// How long it waited between its sessions.
    waited: Duration,
    /// Messages that went on beyond what they may have: their numbers and sizes as listed.
    too_long: Vec<(MessageNumber, Option<u64>)>,
}

/// The state, in a place from which work that blocks can take it for a while.
type Shelf = Option<Store>;

impl Poll {
    async fn run(&mut self, report: &mut PollReport) -> Result<(), PollError> {
        let (mut store, mut profile) = self.open_state(report).await?;
        let password = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(PollError::Stopped),
            password = self.account.credential.obtain(&self.context.credentials) => password?,
        };
        report.redactor = Redactor::new(&self.account.username, &password);
        let end = self.sessions(&mut store, &mut profile, &password, report).await;
        if store.is_none() {
            // It went with work that no thread could be had for.
            return end.and(Err(PollError::InternalError));
        }
        report.quarantine = store.as_ref().map(Quarantined::of).unwrap_or_default();
        if !self.options.dry_run {
            let (disk, wall) = (Arc::clone(&self.context.disk), self.context.clock.read().wall);
            if report.retrieved > 0 {
                profile.delivered(report.retrieved, report.octets, &self.context.clock.today(), wall);
            }
            let success = end.is_ok().then_some(wall);
            report.past = blocking(&mut store, move |_| profile.write(&disk, success)).await?;
        }
        if self.options.dry_run {
            return end;
        }
        // What a session that failed has written becomes durable, too, and what it delivered leaves tmp/.
        let settled = blocking(&mut store, Store::settle).await?;
        end?;
        settled?;
        Ok(blocking(&mut store, Store::compact).await??)
    }

    /// Sessions, as long as each brings something and there may be more.
    async fn sessions(
        &mut self,
        store: &mut Shelf,
        profile: &mut ServerProfile,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<(), PollError> {
        loop {
            report.sessions += 1;
            let before = report.retrieved;
            let first_entry = store.as_ref().ok_or(PollError::InternalError)?.state().next_id();
            let short = report.short;
            report.unproven = false;
            let next = match self.session(store, profile, password, report).await {
                Ok(ended) => {
                    let has_new = report.retrieved > before;
                    if report.probe_for_more {
                        profile.looked_for_more(has_new);
                    }
                    let more = has_new && ended.all_new > 0 && profile.may_list_more(ended.all_new);
                    // What was compared before says nothing new, however often it is compared again.
                    let progress = has_new || ended.compared.iter().any(|id| !self.compared.contains(id));
                    self.compared.extend(&ended.compared);
                    self.after(ended, progress, more, report)
                }
                Err(broken) => {
                    // A message that ended early may have shifted the answers behind it, until something shows the
                    // contrary: none of what was delivered is sure to be what it was taken for.
                    if report.unproven && (broken.is_about_framing() || report.short > short) {
                        blocking(store, move |store| record_unproven(store, first_entry)).await??;
                    }
                    self.after_broken(broken, store, report).await?
                }
            };
            self.tried.extend(report.failed.take_listed_as());
            match next {
                Next::Done => return Ok(()),
                _ if self.options.dry_run => return Ok(()),
                _ if self.stop.is_cancelled() => return Err(PollError::Stopped),
                _ if watch::is_to_give_way() => {
                    report.more = true;
                    return Ok(());
                }
                next => {
                    if let Some(why) = self.wait_for_another(report).await? {
                        report.more = true;
                        let known = matches!(next, Next::Session(_));
                        report.left = known.then_some(Left { messages: self.left.max(1), why });
                        return Ok(());
                    }
                    report.probe_for_more |= matches!(next, Next::ProbeForMore);
                    self.pass = if let Next::Session(pass) = next { pass } else { Pass::Normal };
                }
            }
        }
    }

    /// Waits until another session may begin. Some if that is the next poll's.
    async fn wait_for_another(&mut self, report: &PollReport) -> Result<Option<LeftFor>, PollError> {
        let trusted = !Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        let so_far = SoFar {
            sessions: report.sessions,
            messages: report.retrieved,
            time: self.begun.elapsed(),
            waited: self.waited,
            login_delay: report.login_delay.filter(|_| trusted),
            others_wait: places::others_wait() || watch::is_to_give_way(),
        };
        let delay = match another(&so_far) {
            Another::NextPoll(why) => return Ok(Some(why)),
            Another::After(delay) => delay,
        };
        self.waited += delay;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            () = tokio::time::sleep(delay) => Ok(None),
        }
    }

    /// What comes after a session that ended in order; `more` says that the server may not have listed everything.
    fn after(&mut self, ended: Ended, progress: bool, more: bool, report: &mut PollReport) -> Next {
        let has_others = !ended.to_isolate.is_empty();
        match self.pass {
            Pass::Normal => self.to_isolate = ended.to_isolate.into(),
            Pass::Isolated => self.tried.extend(self.to_isolate.pop_front()),
        }
        self.left = ended.left + self.to_isolate.len();
        if ended.gave_up {
            report.left = (self.left > 0).then_some(Left { messages: self.left, why: LeftFor::Refusals });
            return Next::Done;
        }
        match self.pass {
            Pass::Normal if ended.left > 0 && progress => Next::Session(Pass::Normal),
            _ if !self.to_isolate.is_empty() => Next::Session(Pass::Isolated),
            // What shared its unique-id with a suspect, or was one of them, may have its turn now.
            Pass::Isolated if !self.went_back && (ended.left > 0 || has_others) => {
                self.went_back = true;
                Next::Session(Pass::Normal)
            }
            Pass::Normal if more => Next::ProbeForMore,
            _ => Next::Done,
        }
    }

    /// What comes after a session that did not. The messages at which it broke get sessions of their own, so that
    /// everything else flows; what broke twice in this poll is left for another one.
    async fn after_broken(
        &mut self,
        broken: Broken,
        store: &mut Shelf,
        report: &mut PollReport,
    ) -> Result<Next, PollError> {
        let is_framing = broken.is_about_framing();
        let Broken { error, to_isolate, opened } = broken;
        if report.probe_for_more && !opened && error.is_about_the_server() {
            // The session was held only to see whether there is more: that it failed is no news.
            info!("another session to look for more ended early: {error}");
            report.more = true;
            return Ok(Next::Done);
        }
        let messages: Vec<ListedAs> = to_isolate.iter().filter_map(ListedAs::of).collect();
        if messages.is_empty() || self.options.dry_run {
            return Err(error);
        }
        // A connection that ends is mostly the network's fault: then the next poll begins behind the message.
        let goes_on = is_framing
            || matches!(error, PollError::Client(ClientError::TooLong(_))) && self.is_first_such(&to_isolate);
        blocking(store, move |store| store.record_quarantine(messages, QuarantineReason::BrokeSession)).await??;
        self.broken += 1;
        if !goes_on || self.broken > MOST_BROKEN {
            return Err(error);
        }
        let too_long = match &error {
            PollError::Client(ClientError::TooLong(too_long)) => Some(too_long.reason()),
            _ => None,
        };
        warn!("the session broke at a message, and another one goes on behind it: {error}");
        // What is too long is not tried again in this poll.
        if self.pass == Pass::Isolated || too_long.is_some() {
            let why = || too_long.clone().unwrap_or_else(|| error.to_string());
            to_isolate.into_iter().for_each(|listed| report.failed.add(listed, why));
        }
        // Sound ones first, always: the suspects must not starve them.
        Ok(Next::Session(Pass::Normal))
    }

    /// Whether these went on beyond what they may have for the first time. A server that gives such a message another
    /// unique-id in each session is met at the second one: then this poll ends, and the next one waits.
    fn is_first_such(&mut self, to_isolate: &[Listed]) -> bool {
        let mut first = self.too_long.len() < MOST_TOO_LONG;
        for listed in to_isolate {
            let looks = (listed.number, listed.reported_size);
            first &= !self.too_long.contains(&looks);
            self.too_long.push(looks);
        }
        first
    }

    /// Whether this looks like one that went on beyond what it may have, whatever its unique-id is now.
    fn looks_too_long(&self, listed: &Listed) -> bool {
        self.too_long.contains(&(listed.number, listed.reported_size))
    }

    /// Opens the state and finishes what was begun, before the server is asked.
    async fn open_state(&self, report: &mut PollReport) -> Result<(Shelf, ServerProfile), PollError> {
        let open_options = OpenOptions {
            now: self.context.clock.read(),
            since_1970: self.context.clock.since_1970(),
            instance: fastrand::u64(..),
            holder: self.context.holder.clone(),
            new_state: self.options.new_state,
            configured_accounts: Arc::clone(&self.context.configured_accounts),
        };
        let (disk, dir, account) =
            (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.account.clone());
        let options = self.options;
        let (store, profile, recovered) = watch::blocking(move || {
            let hints = |store: &Store| {
                let file = HintsFile::read(&**store.disk(), &dir, &account.name);
                ServerProfile::new(file, &account.endpoint, store.now())
            };
            if options.dry_run {
                let store = Store::look(disk, &dir, &account, &open_options)?;
                if !options.accept_maildir {
                    known_maildir(&store, &account.maildir)?;
                }
                let profile = hints(&store);
                return Ok((store, profile, Recovered::default()));
            }
            let mut store = Store::open(disk, &dir, &account, &open_options)?;
            let other = if options.accept_maildir { OtherMaildir::Accept } else { OtherMaildir::Refuse };
            let recovered = recover(&mut store, &account.maildir, other)?;
            if options.new_state || options.accept_maildir {
                settle(&mut store, &account, options.accept_maildir)?;
            }
            if matches!(account.removal, RemovalPolicy::AfterAge(_)) && !store.state().is_empty() {
                store.write_pending()?;
            }
            let profile = hints(&store);
            Ok::<_, StateError>((store, profile, recovered))
        })
        .await??;
        if !recovered.is_nothing() {
            let Recovered { finished, found, again, remains, .. } = recovered;
            warn!(
                "an earlier run was interrupted: finished {finished} of its deliveries, found {found} finished, {again} \
                 to be fetched again, removed {remains} unfinished files"
            );
        }
        report.recovered = recovered;
        Ok((Some(store), profile))
    }
}

/// Nothing tells which messages are in the files of this entry and of those behind it, so all are as good as not there: what
/// is listed next time is retrieved, and its bytes tell.
fn record_unproven(store: &mut Store, first: EntryId) -> Result<(), StateError> {
    let ids: Vec<EntryId> = store.state().entries().map(|entry| entry.id).filter(|id| *id >= first).collect();
    if ids.is_empty() {
        return Ok(());
    }
    store.record_absent(ids)?;
    store.settle()
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
        let id = maildir.lasting_id(&*disk).map_err(look)?;
        store.bind_maildir(&account.maildir, &maildir, id)?;
    }
    store.ensure_file()?;
    store.write_pending()?;
    store.settle()
}

/// What comes after a session.
enum Next {
    /// The poll is over.
    Done,
    /// Another session, for these messages.
    Session(Pass),
    /// Another session, because everything was new and some servers list only so many at a time.
    ProbeForMore,
}

/// Runs something that blocks, with the state.
async fn blocking<R: Send + 'static>(
    shelf: &mut Shelf,
    work: impl FnOnce(&mut Store) -> R + Send + 'static,
) -> Result<R, PollError> {
    let mut store = shelf.take().ok_or(PollError::InternalError)?;
    let done = watch::blocking(move || {
        let result = work(&mut store);
        (store, result)
    });
    let (store, result) = done.await?;
    *shelf = Some(store);
    Ok(result)
}
