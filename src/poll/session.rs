//! One session of a poll.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::Poll;
use super::another::{Another, SoFar, another};
use super::deletions::Deletions;
use super::ending::Work;
use super::error::PollError;
use super::planning::is_moved;
use super::report::{PollReport, Tally, WouldDo};
use super::retriever::{DRAIN, FEW, Retrieval, Retrieved, Retriever};
use super::server_profile::ServerProfile;
use crate::account::RemovalPolicy;
use crate::client::listing::{OpenError, Opened, open};
use crate::client::listing_digest::ListingDigest;
use crate::client::login::{CachedCapabilities, log_in};
use crate::client::{Client, ClientError};
use crate::delivery::committer::Committer;
use crate::delivery::destination::{Destination, sync_directories};
use crate::disk::DirSync;
use crate::disk::free_space::{InsufficientSpace, free_spaces};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{Pass, Plan, Remembered, next_due};
use crate::pop3::{Capabilities, LoginDelay, UniqueId};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{Entry, EntryId, ListedAs, QuarantineReason, UidState};
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// How many complete messages may wait for the committer; their bytes have a limit of their own.
const IN_FLIGHT: usize = 1024;

impl From<InsufficientSpace> for PollError {
    fn from(e: InsufficientSpace) -> Self {
        match e {
            InsufficientSpace::TooLittle { path } => Self::InsufficientSpace { path, message: None },
            InsufficientSpace::Unknown { path, source } => {
                Self::Maildir { doing: "find out the room in", path, source }
            }
        }
    }
}

/// So many messages that made trouble are remembered whatever is listed.
const MOST_TROUBLES: usize = 10_000;

/// How a session that ended in order ended.
#[derive(Default)]
pub(super) struct Ended {
    /// How many messages are still to be retrieved.
    pub(super) left: usize,
    /// Messages at which earlier sessions broke, and that wait for sessions of their own.
    pub(super) to_isolate: Vec<ListedAs>,
    /// Everything that was listed was new: so many messages, 0 if some were known.
    pub(super) all_new: usize,
    /// Entries whose messages were retrieved again and compared, with how these were listed.
    pub(super) compared: Vec<(EntryId, Listed)>,
    /// The server refused so many messages in a row that no further one was asked for.
    pub(super) gave_up: bool,
    /// Nothing was to be done.
    pub(super) clean: Option<Clean>,
}

/// A listing behind which nothing was left to do.
#[derive(Debug, Clone)]
pub(super) struct Clean {
    /// What it is recognised by.
    pub(super) listing: ListingDigest,
    /// In how many seconds something is to be done though nothing changes; None: never.
    pub(super) due: Option<u64>,
}

/// A session that did not.
pub(super) struct Broken {
    /// Why.
    pub(super) error: PollError,
    /// The messages at which it may have broken.
    pub(super) to_isolate: Vec<Listed>,
    /// Whether it came as far as a listing.
    pub(super) opened: bool,
}

impl Broken {
    /// What stands in the place of an answer is none: it may be the rest of a message.
    pub(super) fn is_about_framing(&self) -> bool {
        matches!(self.error, PollError::Client(ClientError::Framing(_)))
    }
}

impl Poll {
    /// Logs in, unless the session was begun, does what the plan says and ends the session.
    pub(super) async fn session(
        &self,
        begun: Option<Opened>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<Ended, Broken> {
        let here = |entry: &Entry| entry.unique_id.is_some() && entry.absent_since.is_none();
        let knows_unique_ids = state.read().is_ok_and(|store| store.state().entries().any(here));
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            opened = self.open_maildrop(begun, profile, password, knows_unique_ids) => opened,
        };
        let not_opened = |error| Broken { error, to_isolate: Vec::new(), opened: false };
        let opened = opened.map_err(not_opened)?;
        profile.opened(&opened, &report.redactor);
        let capabilities = opened.capabilities().cloned();
        self.note_login(&opened, report);
        let Opened { mut client, maildrop, digest, .. } = opened;
        let ahead = client.window() > 1;
        let maildrop = Arc::new(maildrop);
        let planned = self.plan(&mut client, capabilities.as_ref(), &maildrop, state, report).await;
        let mut clean = None;
        let done = match planned {
            Ok(mut plan) => {
                self.keep_within_spool(&mut plan, report).await;
                let sizes = std::mem::replace(&mut report.sizes, maildrop.sizes());
                if report.probe_for_more && !plan.has_top && sizes == report.sizes {
                    // The same again under other names: some servers make them anew at each session, and without TOP
                    // nothing else would show it.
                    quit_in_order(client).await;
                    return Ok(Ended::default());
                }
                self.tell(&maildrop, &plan, report);
                clean = self.clean(digest, &maildrop, &plan, state, report);
                if self.options.dry_run {
                    return Ok(self.dry_run(client, plan, report).await);
                }
                self.carry_out(state, &mut client, &maildrop, plan, report).await
            }
            Err(e @ PollError::Renumbered { .. }) => {
                quit_in_order(client).await;
                return Err(Broken { error: e, to_isolate: Vec::new(), opened: true });
            }
            Err(e) => Err(e),
        };
        match done {
            Ok((work, ended)) => match self.end_session(state, client, work, report).await {
                Ok(retrieved) => {
                    profile.ended_in_order(ahead, retrieved);
                    Ok(Ended { clean, ..ended })
                }
                Err(error) => Err(Broken { error, to_isolate: Vec::new(), opened: true }),
            },
            // Without QUIT: the server keeps everything, marked or not.
            Err(error) => {
                if error.may_be_because_of_pipelining() {
                    profile.broke(client.was_ahead());
                }
                Err(Broken { to_isolate: to_isolate(&error, &client, &maildrop), error, opened: true })
            }
        }
    }

    async fn open_maildrop(
        &self,
        begun: Option<Opened>,
        profile: &mut ServerProfile,
        password: &Secret,
        knows_unique_ids: bool,
    ) -> Result<Opened, PollError> {
        let mut opened = match begun {
            Some(opened) => opened,
            None => self.list(profile, password).await?,
        };
        if knows_unique_ids && !opened.maildrop.has_unique_ids {
            quit_in_order(opened.client).await;
            return Err(ClientError::UniqueIdsRefused.into());
        }
        let keeps = self.account.removal != RemovalPolicy::AfterDelivery;
        if keeps && !opened.maildrop.has_unique_ids && !opened.maildrop.messages.is_empty() {
            quit_in_order(opened.client).await;
            return Err(ClientError::NoUniqueIds.into());
        }
        if self.pass == Pass::Isolated {
            opened.client.one_at_a_time();
        }
        Ok(opened)
    }

    /// What a login tells of the server.
    pub(super) fn note_login(&self, opened: &Opened, report: &mut PollReport) {
        report.logged_in = true;
        report.certificate_expires = opened.client.certificate_expires();
        report.client_certificate_expires = opened.client.client_certificate_expires();
        let login_delay = opened.capabilities().and_then(Capabilities::login_delay);
        report.login_delay = login_delay.map(|delay| Duration::from_secs(delay.seconds));
    }

    /// Whether nothing is to be done behind this listing, now or as long as nothing changes.
    fn clean(
        &self,
        listing: Option<ListingDigest>,
        maildrop: &Maildrop,
        plan: &Plan,
        state: &StateHandle,
        report: &PollReport,
    ) -> Option<Clean> {
        let store = state.read().ok()?;
        let nothing = plan.is_nothing()
            && maildrop.complete
            && maildrop.has_unique_ids
            && self.pass == Pass::Normal
            && !report.unsyncable
            && store.state().intents().next().is_none()
            && store.state().spooled().next().is_none()
            && store.state().quarantines().next().is_none();
        let listing = listing.filter(|_| nothing)?;
        Some(Clean { listing, due: next_due(store.state(), self.account.removal, store.now()) })
    }

    /// Logs in and lists. A server that announces PIPELINING and breaks when commands come ahead is given another chance
    /// at once, one command at a time.
    pub(super) async fn list(&self, profile: &mut ServerProfile, password: &Secret) -> Result<Opened, PollError> {
        let cached = profile.cached();
        let log_in = |cached| log_in(&*self.context.dialer, &self.account, password, cached);
        let logged_in = log_in(&cached).await.inspect_err(|e| profile.login_failed(e))?;
        let OpenError { error, ahead } = match open(logged_in, &cached).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        if !ahead || !error.may_be_because_of_pipelining() {
            return Err(error.into());
        }
        info!("the session ended at the first commands that were sent ahead, so they are sent one at a time: {error}");
        let capabilities = [&cached.after_login, &cached.before_login].into_iter().flatten();
        let login_delay = self.trusted_login_delay(capabilities.filter_map(Capabilities::login_delay).next());
        let Another::After(delay) = another(&SoFar { login_delay, ..SoFar::default() }) else {
            return Err(error.into());
        };
        tokio::time::sleep(delay).await;
        let careful = CachedCapabilities { one_at_a_time: true, ..cached.clone() };
        let opened = open(log_in(&careful).await?, &careful).await.map_err(|again| again.error)?;
        profile.worked_one_at_a_time();
        Ok(opened)
    }

    /// What a server announces as the least time between two logins, unless it is known not to mean it.
    fn trusted_login_delay(&self, announced: Option<LoginDelay>) -> Option<Duration> {
        let trusted = !Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        announced.filter(|_| trusted).map(|delay| Duration::from_secs(delay.seconds))
    }

    fn tell(&self, maildrop: &Maildrop, plan: &Plan, report: &mut PollReport) {
        report.on_server = u64::try_from(maildrop.messages.len()).ok();
        report.too_large = Tally::of(&plan.too_large);
        report.quarantined = Tally::of(&plan.quarantined);
        report.left_alone = u64::try_from(plan.left_alone).unwrap_or(u64::MAX);
        report.unnamed = Tally::of(&plan.unnamed);
        report.renumbered += u64::try_from(plan.renamed.len()).unwrap_or(u64::MAX);
        report.unverified = report.unverified.max(u64::try_from(plan.unverified).unwrap_or(u64::MAX));
        if !maildrop.complete {
            warn!(
                "the server's answers to STAT, UIDL and LIST do not agree: nothing is concluded from what is missing"
            );
        }
    }

    async fn dry_run(&self, client: Client, plan: Plan, report: &mut PollReport) -> Ended {
        report.would = Some(WouldDo {
            delete: plan.delete.len(),
            delete_retrieved: self.account.removal == RemovalPolicy::AfterDelivery,
            retrieve: plan.retrieve,
        });
        quit_in_order(client).await;
        Ended::default()
    }

    /// Writes down what the listing says, retrieves, delivers and deletes.
    async fn carry_out(
        &self,
        state: &mut StateHandle,
        client: &mut Client,
        maildrop: &Arc<Maildrop>,
        mut plan: Plan,
        report: &mut PollReport,
    ) -> Result<(Work, Ended), PollError> {
        self.note_listing(state, maildrop, &mut plan).await?;
        report.unsyncable |= report.recovered.unsyncable;
        let all_new = plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty();
        let mut ended = Ended {
            left: plan.postponed,
            to_isolate: plan.to_isolate.iter().filter_map(ListedAs::of).collect(),
            all_new: if all_new { maildrop.messages.len() } else { 0 },
            compared: Vec::new(),
            gave_up: false,
            clean: None,
        };
        let mut deletions = Deletions::new(std::mem::take(&mut plan.delete));
        if report.unsyncable {
            deletions.cancel();
        }
        let mut retrieved = Retrieved::default();
        if !plan.retrieve.is_empty() {
            let retrieval = self.retrieval(state, maildrop, &mut plan, &mut deletions).await?;
            report.unsyncable |= deletions.cancelled;
            let synced;
            (retrieved, synced) = self.retrieve(state, client, &mut deletions, retrieval, report).await?;
            report.unsyncable |= synced == DirSync::Unsupported;
        }
        if report.unsyncable {
            deletions.cancel();
        }
        self.finish_deletions(&mut deletions, client).await?;
        report.undeletable.extend(&deletions.refused);
        ended.left += retrieved.left;
        ended.gave_up = retrieved.refused.are_too_many();
        ended.compared.clone_from(&retrieved.known);
        // What was recognised when it was here was listed, though the plan could not know.
        let listed: HashSet<EntryId> = retrieved.known.iter().map(|(id, _)| *id).collect();
        let all_came =
            ended.left == 0 && retrieved.refused.failures.is_empty() && retrieved.insufficient_space.is_none();
        let known = state.read()?.state();
        plan.forget.retain(|id| !listed.contains(id) && (all_came || has_unique_id(known, *id)));
        Ok((Work { retrieved, marked: deletions.marked, forget: plan.forget }, ended))
    }

    /// Sends the DELEs that are left. When the end is asked for meanwhile, those under way are waited for within a bound.
    async fn finish_deletions(&self, deletions: &mut Deletions, client: &mut Client) -> Result<(), PollError> {
        tokio::select! {
            biased;
            finished = deletions.finish(client) => return Ok(finished?),
            () = self.stop.cancelled() => {}
        }
        deletions.cancel();
        timeout(DRAIN, deletions.finish(client)).await.map_err(|_| PollError::Stopped)??;
        Ok(())
    }

    async fn note_listing(
        &self,
        state: &mut StateHandle,
        maildrop: &Arc<Maildrop>,
        plan: &mut Plan,
    ) -> Result<(), PollError> {
        let (absent, present) = (std::mem::take(&mut plan.absent), std::mem::take(&mut plan.present));
        let (resized, renamed) = (std::mem::take(&mut plan.resized), std::mem::take(&mut plan.renamed));
        let (respelt, fingerprinted) = (std::mem::take(&mut plan.respelt), std::mem::take(&mut plan.fingerprinted));
        let account = self.account.clone();
        let maildrop = Arc::clone(maildrop);
        let note = move |store: &mut Store| {
            if is_moved(store, &account) {
                store.record_host(&account)?;
            }
            store.record_quarantine_over(over_with(&maildrop, store.state()))?;
            store.record_renamed(renamed)?;
            store.record_renamed(respelt)?;
            store.record_fingerprinted(fingerprinted)?;
            store.record_present(present)?;
            store.record_absent(absent)?;
            store.record_resized(resized)?;
            Ok(())
        };
        state.with("write down what is listed", note).await?
    }

    /// Makes sure that there is a Maildir and a state for what is to be retrieved.
    async fn retrieval(
        &self,
        state: &mut StateHandle,
        maildrop: &Maildrop,
        plan: &mut Plan,
        deletions: &mut Deletions,
    ) -> Result<Retrieval, PollError> {
        let (configured, mode) = (self.account.maildir.clone(), self.account.maildir_mode);
        let (most_files, other) = (self.context.most_files, self.options.other_maildir);
        let disk = Arc::clone(&self.context.disk);
        let (messages, known) = (std::mem::take(&mut plan.retrieve), std::mem::take(&mut plan.known_entries));
        let has_unique_ids = maildrop.has_unique_ids;
        let prepare = move |store: &mut Store| {
            let destination = Destination::prepare(&*disk, store, &configured, mode, other, most_files)?;
            let free_spaces = free_spaces(&*disk, destination.maildir.tmp())?;
            // What is recognised when it is here is deleted without having been planned.
            let is_empty = store.state().is_empty();
            let synced = if is_empty { store.sync_directory()? } else { sync_directories(&*disk, store)? };
            let remembered = remembered(store.state(), &messages, &known, has_unique_ids);
            Ok::<_, PollError>((destination, free_spaces, synced, messages, remembered))
        };
        let prepared = state.with("prepare the Maildir", prepare).await??;
        let (destination, free_spaces, synced, messages, remembered) = prepared;
        let (mut messages, last): (Vec<Listed>, Vec<Listed>) =
            messages.into_iter().partition(|listed| !self.looks_too_long(listed));
        messages.extend(last);
        if synced == DirSync::Unsupported {
            deletions.cancel();
        }
        let store = state.read()?;
        Ok(Retrieval {
            messages: messages.into(),
            destination,
            maildir_mode: mode,
            instance: store.state().identity().instance,
            removal: self.account.removal,
            remembered,
            is_whole: maildrop.complete
                && plan.postponed == 0
                && plan.to_isolate.is_empty()
                && plan.quarantined.is_empty(),
            count: maildrop.count,
            now: store.now(),
            free_space: free_spaces.now,
            whole_disk: free_spaces.empty,
            max_message_size: self.account.max_message_size,
            untried: plan.untried,
            careful: self.pass == Pass::Isolated,
        })
    }

    /// The retriever and the committer, side by side. Tells whether the file system can make a delivery durable.
    async fn retrieve(
        &self,
        state: &mut StateHandle,
        client: &mut Client,
        deletions: &mut Deletions,
        retrieval: Retrieval,
        report: &mut PollReport,
    ) -> Result<(Retrieved, DirSync), PollError> {
        let (disk, destination) = (Arc::clone(&self.context.disk), retrieval.destination.clone());
        let mut retriever = Retriever::new(&self.context, client, deletions, retrieval, &self.stop);
        let (to_committer, received_messages) = mpsc::channel(IN_FLIGHT);
        let (announce, mut safe) = mpsc::unbounded_channel();
        let (retrieved, committed) = tokio::join!(
            retriever.retrieve(to_committer, &mut safe),
            Committer::new(disk, destination, announce).run(state, received_messages)
        );
        while let Ok(one) = safe.try_recv() {
            retriever.note_safe(&one);
        }
        report.retrieved += retriever.done.safe;
        report.octets += retriever.done.octets;
        report.short = report.short.saturating_add(retriever.done.short);
        report.unproven = !retriever.in_step;
        // One that ended early is retrieved once more, alone, whatever the policy. Where many are, the sizes are wrong.
        let early = std::mem::take(&mut retriever.done.far_shorter);
        if retriever.done.short <= FEW && !early.is_empty() && committed.is_ok() {
            let quarantine = |store: &mut Store| store.record_quarantine(early, QuarantineReason::BrokeSession);
            state.with("write down what ended early", quarantine).await??;
        }
        // If both failed, the retriever did so because the committer was gone.
        let synced = committed?;
        retrieved?;
        Ok((retriever.done, synced))
    }
}

/// What the messages that are to be retrieved may turn out to be: what is remembered under their unique-ids and was not
/// found in the listing; where there are none, whatever has none.
fn remembered(state: &UidState, messages: &[Listed], known: &HashSet<EntryId>, has_unique_ids: bool) -> Remembered {
    let unique_ids: HashSet<&UniqueId> = messages.iter().filter_map(|one| one.unique_id.as_ref()).collect();
    let named = unique_ids.into_iter().flat_map(|unique_id| state.with_unique_id(unique_id));
    let nameless = state.without_unique_id().filter(|_| !has_unique_ids);
    Remembered::new(named.filter(|entry| !known.contains(&entry.id)).chain(nameless).cloned())
}

/// Whether an entry is one that a unique-id tells from others.
fn has_unique_id(known: &UidState, id: EntryId) -> bool {
    known.entry(id).is_some_and(|entry| entry.unique_id.is_some())
}

/// The messages that made trouble and are not on the server any more, if the listing can tell.
fn over_with(maildrop: &Maildrop, state: &UidState) -> Vec<ListedAs> {
    let quarantines = state.quarantines().count();
    // What makes trouble under other unique-ids each time, in listings that are never complete, must not pile up.
    if quarantines == 0 || !maildrop.complete && quarantines < MOST_TROUBLES {
        return Vec::new();
    }
    let listed: HashSet<ListedAs> = maildrop.messages.iter().filter_map(ListedAs::of).collect();
    let names: HashSet<&UniqueId> = listed.iter().map(|one| &one.unique_id).collect();
    let is_there = |one: &ListedAs| match one.reported_size {
        Some(_) => listed.contains(one) || listed.contains(&ListedAs { reported_size: None, ..one.clone() }),
        None => names.contains(&one.unique_id),
    };
    state.quarantines().map(|(one, _)| one).filter(|one| !is_there(one)).cloned().collect()
}

/// The messages at which a session may have ended with this error.
fn to_isolate(error: &PollError, client: &Client, maildrop: &Maildrop) -> Vec<Listed> {
    let numbers = match error {
        PollError::Client(e) => client.suspects(e),
        // The message that filled the disk comes last from now on.
        PollError::Maildir { .. } => client.receiving().into_iter().collect(),
        _ => Vec::new(),
    };
    maildrop.messages.iter().filter(|listed| numbers.contains(&listed.number)).cloned().collect()
}

/// Ends a session in which nothing was retrieved or deleted. That it may fail is no trouble.
async fn quit_in_order(client: Client) {
    if let Err(e) = client.quit().await {
        debug!("QUIT: {e}");
    }
}
