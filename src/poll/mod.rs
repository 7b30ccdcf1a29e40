//! One poll of one account: the story, top to bottom.
//!
//! Lock and read the state; finish what a crash interrupted; ask for the password; then sessions, as long as each brings
//! something and there may be more. A session: log in, list, plan, retrieve and deliver, delete, QUIT.

pub mod adoption;
pub mod error;
pub mod report;

mod another;
mod ceiling;
pub(crate) mod credential;
mod deletions;
mod ending;
mod planning;
mod recognition;
mod refusals;
mod retriever;
mod server_profile;
mod session;
mod spool;
mod window;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use error::PollError;
use report::{Decision, Left, LeftFor};
pub use report::{PollReport, Quarantined};

use crate::account::{Account, RemovalPolicy};
use crate::client::listing::Opened;
use crate::client::{ClientError, Redactor, places};
use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::delivery::destination::keep_decision;
use crate::delivery::recovery::{OtherMaildir, Recovered, known_maildir, recover};
use crate::disk::Disk;
use crate::maildir::names::NameSource;
use crate::net::Dial;
use crate::plan::Pass;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{EntryId, ListedAs, QuarantineReason};
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::hints::HintsFile;
use crate::state::store::{ConfiguredAccounts, LockedState, OpenOptions, Store};
use crate::watch;
use another::{Another, SoFar, another};
use credential::Obtained;
use recognition::{Beginning, First};
use server_profile::ServerProfile;
use session::{Broken, Clean, Ended};
use spool::settle_spool;
pub use spool::{forward_spool, settle_account};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollOptions {
    /// Tell what would be done and do nothing.
    pub dry_run: bool,
    /// Begin a state anew where one seems to be lost.
    pub new_state: bool,
    /// Whether the Maildir that is there is taken, though it is not the one that was delivered to.
    pub other_maildir: OtherMaildir,
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
    let account = account.with_spool(&context.state_dir);
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
        compared_as: HashSet::new(),
        went_back: false,
        broken: 0,
        left: 0,
        begun,
        waited: Duration::ZERO,
        too_long: Vec::new(),
        clean: None,
        refused_token: None,
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
    /// How those messages were listed.
    compared_as: HashSet<(MessageNumber, Option<ListedAs>)>,
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
    /// The last session found nothing to do.
    clean: Option<Clean>,
    /// An access token that the server did not take.
    refused_token: Option<Secret>,
}

impl Poll {
    async fn run(&mut self, report: &mut PollReport) -> Result<(), PollError> {
        let (locked, first) = match self.options.dry_run {
            true => (None, None),
            false => match self.begin(report).await? {
                Beginning::Nothing => return Ok(()),
                Beginning::Full(locked, first) => (Some(locked), first),
            },
        };
        let (mut state, hints) = self.open_state(locked, report).await?;
        let (begun, mut profile) = match first.map(|first| *first) {
            Some(First { opened, profile, obtained }) => (Some((opened, obtained)), profile),
            None => (None, hints),
        };
        let end = self.sessions_with_credential(begun, &mut state, &mut profile, report).await;
        report.quarantine = match state.read() {
            Ok(store) => Quarantined::of(store),
            // It went with work that panicked, or that no thread could be had for.
            Err(gone) => return end.and(Err(gone.into())),
        };
        if !self.options.dry_run {
            let (disk, wall) = (Arc::clone(&self.context.disk), self.context.clock.read().wall);
            if report.retrieved > 0 {
                profile.delivered(report.retrieved, report.octets, &self.context.clock.today(), wall);
            }
            let success = end.is_ok().then_some(wall);
            let write = move |_: &mut Store| (profile.write(&disk, success), profile);
            (report.past, profile) = state.with("write the hints", write).await?;
        }
        if self.options.dry_run {
            return end;
        }
        // What a session that failed has written becomes durable, too, and what it delivered leaves tmp/.
        let finished = state.with("sync the state", Store::finish).await?;
        end?;
        finished?;
        match self.clean.take() {
            Some(clean) => self.keep_clean(clean, profile, &mut state).await,
            None => Ok(()),
        }
    }

    /// Sessions with the account's credential. An access token may end while a poll goes on, and a server may take it back
    /// before its time: then another one is had, and the poll goes on with that. The first session may have been begun.
    async fn sessions_with_credential(
        &mut self,
        begun: Option<(Opened, Obtained)>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        report: &mut PollReport,
    ) -> Result<(), PollError> {
        let (mut opened, obtained) = begun.unzip();
        let mut obtained = match obtained {
            Some(obtained) => obtained,
            None => credential::obtain(&self.context, &self.account, self.refused_token.take(), &self.stop).await?,
        };
        loop {
            let secret = obtained.credential.secret().clone();
            report.token.clone_from(&obtained.token);
            report.redactor = Redactor::new(&self.account.username, &secret);
            let end = self.sessions(opened.take(), state, profile, &secret, report).await;
            match &end {
                Err(e) if obtained.may_have_ended(e) => info!("{e}. Another access token is had, and tried"),
                _ => return end,
            }
            obtained = credential::obtain(&self.context, &self.account, Some(secret), &self.stop).await?;
        }
    }

    /// Sessions, as long as each brings something and there may be more. The first one may have been begun.
    async fn sessions(
        &mut self,
        mut begun: Option<Opened>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<(), PollError> {
        loop {
            report.sessions += 1;
            let before = report.retrieved;
            let first_entry = state.read()?.state().next_id();
            let short = report.short;
            report.unproven = false;
            self.clean = None;
            let next = match self.session(begun.take(), state, profile, password, report).await {
                Ok(ended) => {
                    self.clean.clone_from(&ended.clean);
                    let has_new = report.retrieved > before;
                    if report.probe_for_more {
                        profile.looked_for_more(has_new);
                    }
                    let more = has_new && ended.all_new > 0 && profile.may_list_more(ended.all_new);
                    // What was compared before says nothing new, however often it is compared again.
                    let progress = has_new || ended.compared.iter().any(|(id, _)| !self.compared.contains(id));
                    for (id, listed) in &ended.compared {
                        self.compared.insert(*id);
                        self.compared_as.insert((listed.number, ListedAs::of(listed)));
                    }
                    self.after(ended, progress, more, report)
                }
                Err(broken) => {
                    // A message that ended early may have shifted the answers behind it, until something shows the
                    // contrary: none of what was delivered is sure to be what it was taken for.
                    if report.unproven && (broken.is_about_framing() || report.short > short) {
                        let unproven = move |store: &mut Store| record_unproven(store, first_entry);
                        state.with("write down what is not proven", unproven).await??;
                    }
                    self.after_broken(broken, state, report).await?
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
        if report.spool_is_full {
            report.left = (self.left > 0).then_some(Left { messages: self.left, why: LeftFor::FullSpool });
            return Next::Done;
        }
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
            _ => {
                let messages = ended.left;
                report.left = (messages > 0).then_some(Left { messages, why: LeftFor::NoProgress });
                Next::Done
            }
        }
    }

    /// What comes after a session that did not. The messages at which it broke get sessions of their own, so that
    /// everything else flows; what broke twice in this poll is left for another one.
    async fn after_broken(
        &mut self,
        broken: Broken,
        state: &mut StateHandle,
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
        let quarantine = |store: &mut Store| store.record_quarantine(messages, QuarantineReason::BrokeSession);
        state.with("write down where a session broke", quarantine).await??;
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

    fn open_options(&self) -> OpenOptions {
        OpenOptions { new_state: self.options.new_state, ..self.context.open_options() }
    }

    /// Reads the state that is locked, or looks at it without a lock, and finishes what was begun.
    async fn open_state(
        &self,
        locked: Option<Box<LockedState>>,
        report: &mut PollReport,
    ) -> Result<(StateHandle, ServerProfile), PollError> {
        let open_options = self.open_options();
        let (disk, dir, account) =
            (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.account.clone());
        let options = self.options;
        let opened = watch::blocking(move || {
            let hints = |store: &Store| {
                let file = HintsFile::read(&*disk, &dir, &account.name);
                ServerProfile::new(file, &account.endpoint, store.now())
            };
            let Some(locked) = locked else {
                let store = Store::look(Arc::clone(&disk), &dir, &account, &open_options)?;
                if options.other_maildir == OtherMaildir::Refuse {
                    known_maildir(&*disk, &store, &account.maildir)?;
                }
                let profile = hints(&store);
                return Ok((store, profile, Recovered::default(), Vec::new()));
            };
            let mut store = locked.read(&account, &open_options)?;
            let needless = needless(&*disk, &store, &account, options);
            let recovered = recover(&*disk, &mut store, &account.maildir, options.other_maildir)?;
            settle_spool(&*disk, &mut store, &account)?;
            if options.new_state || options.other_maildir == OtherMaildir::Accept {
                keep_decision(&*disk, &mut store, &account, options.other_maildir)?;
            }
            if matches!(account.removal, RemovalPolicy::AfterAge(_)) && !store.state().is_empty() {
                store.write_pending()?;
            }
            let profile = hints(&store);
            Ok::<_, StateError>((store, profile, recovered, needless))
        });
        let (store, profile, recovered, needless) = opened.await.map_err(|e| e.doing("open the state"))??;
        if !recovered.is_nothing() {
            let Recovered { finished, found, again, remains, .. } = recovered;
            warn!(
                "an earlier run was interrupted: finished {finished} of its deliveries, found {found} finished, {again} \
                 to be fetched again, removed {remains} unfinished files"
            );
        }
        report.recovered = recovered;
        report.needless = needless;
        Ok((StateHandle::new(store), profile))
    }
}

/// What the user has decided although nothing asks for it. Blocks.
fn needless(disk: &dyn Disk, store: &Store, account: &Account, options: PollOptions) -> Vec<Decision> {
    let mut needless = Vec::new();
    if options.new_state && store.exists() {
        needless.push(Decision::NewState);
    }
    let is_known = || known_maildir(disk, store, &account.maildir).is_ok() && store.maildirs_with_intents().is_empty();
    if options.other_maildir == OtherMaildir::Accept && is_known() {
        needless.push(Decision::AcceptMaildir);
    }
    needless
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

/// What comes after a session.
enum Next {
    /// The poll is over.
    Done,
    /// Another session, for these messages.
    Session(Pass),
    /// Another session, because everything was new and some servers list only so many at a time.
    ProbeForMore,
}
