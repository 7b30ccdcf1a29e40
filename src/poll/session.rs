//! One session of a poll.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::another::{Another, SoFar, another};
use super::deletions::Deletions;
use super::dialing::Dialing;
use super::ending::Work;
use super::error::PollError;
use super::events::PollEvent;
use super::planning::{ListedNow, Planned, is_moved};
use super::retriever::{DRAIN, FEW, Retrieval, Retrieved, Retriever};
use super::server_profile::ServerProfile;
use super::{InSession, Poll};
use crate::account::RemovalPolicy;
use crate::client::listing::{OpenError, Opened, open};
use crate::client::listing_digest::ListingDigest;
use crate::client::login::{CachedCapabilities, log_in};
use crate::client::{Client, ClientError};
use crate::delivery::committer::{Committed, Committer};
use crate::delivery::publish::Delivered;
use crate::disk::DirSync;
use crate::ids::EntryId;
use crate::plan::maildrop::{Listed, Maildrop, Sizes};
use crate::plan::{Arrival, Pass, Plan, next_due};
use crate::pop3::{Capabilities, LoginDelay, MessageNumber, Response, UniqueId};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{Entry, ListedAs, QuarantineReason, UidState};
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// How many complete messages may wait for the committer; their bytes have a limit of their own.
const IN_FLIGHT: usize = 1024;

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
    /// It was found out that a rule leaves messages on the server.
    pub(super) newly_skipped: bool,
    /// Entries whose messages were retrieved again and compared, with how these were listed.
    pub(super) compared: Vec<(EntryId, Listed)>,
    /// The server refused so many messages in a row that no further one was asked for.
    pub(super) gave_up: bool,
    /// What the server said when it gave no more messages for now.
    pub(super) download_limit: Option<Response>,
    /// Nothing was to be done.
    pub(super) clean: Option<Clean>,
}

/// A listing behind which nothing was left to do.
#[derive(Debug, Clone)]
pub(super) struct Clean {
    /// What it is recognised by.
    pub(super) listing: ListingDigest,
    /// How many of its messages a rule leaves there.
    pub(super) skipped: u32,
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
        &mut self,
        begun: Option<Opened>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
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
        profile.opened(&opened, &self.redactor);
        let capabilities = opened.capabilities().cloned();
        self.note_login(&opened);
        let Opened { mut client, maildrop, digest, mut share, .. } = opened;
        let ahead = client.window() > 1;
        let mut maildrop = Arc::new(maildrop);
        let (messages, is_complete) = (maildrop.messages.len(), maildrop.complete);
        self.events.tell(&PollEvent::Listed { messages, is_complete });
        let listed = ListedNow { maildrop: &mut maildrop, share: &mut share, sizes_beside: profile.sizes_beside() };
        let planned = self.plan(&mut client, capabilities.as_ref(), listed, state).await;
        let mut clean = None;
        let done = match planned {
            Ok(Planned { mut plan, expected }) => {
                self.keep_within_spool(&mut plan).await;
                let sizes = std::mem::replace(&mut self.sizes, maildrop.sizes());
                if self.is_the_same_again(&plan, &maildrop, &sizes, state) {
                    return Ok(self.leave_what_came_before(client, &plan).await);
                }
                self.has_recognised_renumbered |= !plan.renamed.is_empty();
                self.events.tell(&PollEvent::Planned { on_server: messages, plan: &plan });
                clean = self.clean(digest, &maildrop, &plan, state);
                if self.options.dry_run {
                    return Ok(self.dry_run(client, plan, &maildrop).await);
                }
                self.carry_out(state, &mut client, &maildrop, Planned { plan, expected }).await
            }
            Err(e @ PollError::Renumbered { .. }) => {
                self.quit_in_order(client).await;
                return Err(Broken { error: e, to_isolate: Vec::new(), opened: true });
            }
            Err(e) => Err(e),
        };
        profile.note_sizes(self.in_session.sizes_do_not_come);
        match done {
            Ok((work, ended)) => {
                let last = client.last_message();
                let retrieved = self.end_session(state, client, work).await;
                let retrieved = retrieved.map_err(|error| self.broken_at_the_end(error, last, &maildrop))?;
                profile.ended_in_order(ahead, retrieved);
                Ok(Ended { clean, ..ended })
            }
            // Without QUIT: the server keeps everything, marked or not.
            Err(error) => {
                if error.may_be_because_of_pipelining() {
                    profile.broke(client.was_ahead());
                }
                Err(Broken { to_isolate: self.to_isolate(&error, &client, &maildrop), error, opened: true })
            }
        }
    }

    /// Whether this is what the session before it has seen, under other names: some servers make them anew at each session.
    /// What is retrieved by them was retrieved before.
    fn is_the_same_again(&self, plan: &Plan, maildrop: &Maildrop, sizes: &Sizes, state: &StateHandle) -> bool {
        if *sizes != self.sizes || !plan.renamed.is_empty() {
            return false;
        }
        // Without TOP nothing else would show it.
        let probes = self.probes_for_more && !plan.has_top;
        let goes_on = self.pass == Pass::Normal && self.so_far.messages > 0 && !plan.retrieve.is_empty();
        let is_new = |unique_id| state.read().is_ok_and(|store| store.state().ids_of(unique_id).is_empty());
        let mut names = maildrop.messages.iter().map(|listed| listed.unique_id.as_ref());
        probes || (goes_on && names.all(|name| name.is_some_and(is_new)))
    }

    /// Ends a session that shows nothing new under new names.
    async fn leave_what_came_before(&self, client: Client, plan: &Plan) -> Ended {
        self.quit_in_order(client).await;
        let left = if self.probes_for_more { 0 } else { plan.retrieve.len() + plan.postponed };
        Ended { left, ..Ended::default() }
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
            self.quit_in_order(opened.client).await;
            return Err(ClientError::UniqueIdsRefused.into());
        }
        let keeps = self.account.removal != RemovalPolicy::AfterDelivery;
        if keeps && !opened.maildrop.has_unique_ids && !opened.maildrop.messages.is_empty() {
            self.quit_in_order(opened.client).await;
            return Err(ClientError::NoUniqueIds.into());
        }
        if self.pass == Pass::Isolated {
            opened.client.one_at_a_time();
        }
        Ok(opened)
    }

    /// What a login tells of the server.
    pub(super) fn note_login(&mut self, opened: &Opened) {
        let login_delay = opened.capabilities().and_then(Capabilities::login_delay);
        self.so_far.login_delay = login_delay.map(|delay| Duration::from_secs(delay.seconds));
        self.events.tell(&PollEvent::LoggedIn {
            method: opened.login,
            certificate_expires: opened.client.certificate_expires(),
            client_certificate_expires: opened.client.client_certificate_expires(),
            login_delay: self.so_far.login_delay,
        });
    }

    /// Whether nothing is to be done behind this listing, now or as long as nothing changes.
    fn clean(
        &self,
        listing: Option<ListingDigest>,
        maildrop: &Maildrop,
        plan: &Plan,
        state: &StateHandle,
    ) -> Option<Clean> {
        let store = state.read().ok()?;
        let nothing = plan.is_nothing()
            && maildrop.complete
            && maildrop.has_unique_ids
            && self.pass == Pass::Normal
            && !self.unsyncable
            && store.state().intents().next().is_none()
            && store.state().spooled().next().is_none()
            && store.state().quarantines().next().is_none();
        let listing = listing.filter(|_| nothing)?;
        let skipped = u32::try_from(plan.skipped.len()).unwrap_or(u32::MAX);
        Some(Clean { listing, skipped, due: next_due(store.state(), self.account.removal, store.now()) })
    }

    /// Logs in and lists. A server that announces PIPELINING and breaks when commands come ahead is given another chance
    /// at once, one command at a time.
    pub(super) async fn list(&self, profile: &mut ServerProfile, password: &Secret) -> Result<Opened, PollError> {
        let cached = profile.cached();
        let dialer = Dialing { dialer: &*self.context.dialer, events: &self.events };
        let log_in = |cached| log_in(&dialer, &self.account, password, cached);
        let logged_in = log_in(&cached).await.inspect_err(|e| profile.login_failed(e))?;
        let OpenError { error, ahead } = match open(logged_in, &cached).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        if !ahead || !error.may_be_because_of_pipelining() {
            return Err(error.into());
        }
        self.events.tell(&PollEvent::OneAtATime(&error));
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

    /// Ends a session in which nothing was retrieved or deleted. That it may fail is no trouble.
    pub(super) async fn quit_in_order(&self, client: Client) {
        let quit = client.quit().await;
        self.events.tell(&PollEvent::SessionEnded { trouble: quit.err().as_ref() });
    }

    /// Where a power cut may take away what was delivered, nothing is deleted.
    pub(super) fn note_cannot_sync(&mut self) {
        if !self.unsyncable {
            self.unsyncable = true;
            self.events.tell(&PollEvent::CannotSync);
        }
    }

    /// Writes down what the listing says, retrieves, delivers and deletes.
    async fn carry_out(
        &mut self,
        state: &mut StateHandle,
        client: &mut Client,
        maildrop: &Arc<Maildrop>,
        Planned { mut plan, expected }: Planned,
    ) -> Result<(Work, Ended), PollError> {
        let newly_skipped = !plan.newly_skipped.is_empty();
        self.note_listing(state, maildrop, &mut plan).await?;
        let all_new =
            plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty() && plan.skipped.is_empty();
        let is_about_all = plan.to_isolate.is_empty() && plan.left_alone == 0;
        let mut ended = Ended {
            left: plan.postponed,
            to_isolate: plan.to_isolate.iter().filter_map(ListedAs::of).collect(),
            all_new: if all_new { maildrop.messages.len() } else { 0 },
            newly_skipped,
            compared: Vec::new(),
            gave_up: false,
            download_limit: None,
            clean: None,
        };
        let mut deletions = Deletions::new(std::mem::take(&mut plan.delete));
        if self.unsyncable {
            deletions.cancel();
        }
        let mut retrieved = Retrieved::default();
        if !plan.retrieve.is_empty() {
            let mut retrieval = self.retrieval(state, maildrop, &mut plan, &mut deletions).await?;
            retrieval.expects(expected, client).await?;
            if deletions.cancelled {
                self.note_cannot_sync();
            }
            let synced;
            (retrieved, synced) = self.retrieve(state, client, &mut deletions, retrieval).await?;
            if synced == DirSync::Unsupported {
                self.note_cannot_sync();
            }
        }
        if self.unsyncable {
            deletions.cancel();
        }
        self.finish_deletions(&mut deletions, client).await?;
        if !deletions.refused.is_empty() {
            self.events.tell(&PollEvent::DeletionRefused(&deletions.refused));
        }
        ended.left += retrieved.left;
        ended.gave_up = retrieved.refused.are_too_many();
        ended.download_limit.clone_from(&retrieved.download_limit);
        ended.compared.clone_from(&retrieved.known);
        // What was recognised when it was here was listed, though the plan could not know.
        let listed: HashSet<EntryId> = retrieved.known.iter().map(|(id, _)| *id).collect();
        let all_came =
            ended.left == 0 && is_about_all && retrieved.refused.count() == 0 && retrieved.insufficient_space.is_none();
        let known = state.read()?.state();
        plan.forget.retain(|id| !listed.contains(id) && (all_came || has_unique_id(known, *id)));
        let Deletions { marked, numbers, .. } = deletions;
        Ok((Work { retrieved, marked, numbers, forget: plan.forget }, ended))
    }

    /// The messages at which a session may have ended with this error.
    fn to_isolate(&self, error: &PollError, client: &Client, maildrop: &Maildrop) -> Vec<Listed> {
        let numbers = match error {
            PollError::Client(e) => client.suspects(e),
            // The message that filled the disk comes last from now on.
            PollError::Maildir { .. } => client.receiving().into_iter().collect(),
            _ => Vec::new(),
        };
        self.with_sizes(maildrop, &numbers)
    }

    /// What is not the answer to QUIT may be the rest of the message that came last.
    fn broken_at_the_end(&self, error: PollError, last: Option<MessageNumber>, maildrop: &Maildrop) -> Broken {
        let is_framing = matches!(error, PollError::Client(ClientError::Framing(_)));
        let to_isolate = self.with_sizes(maildrop, last.filter(|_| is_framing).as_slice());
        Broken { error, to_isolate, opened: true }
    }

    /// The messages with these numbers, as they were listed, with those sizes that came beside them.
    fn with_sizes(&self, maildrop: &Maildrop, numbers: &[MessageNumber]) -> Vec<Listed> {
        let with_size = |listed: &Listed| {
            let reported_size = listed.reported_size.or_else(|| self.sizes_beside.get(&listed.number).copied());
            Listed { reported_size, ..listed.clone() }
        };
        maildrop.messages.iter().filter(|listed| numbers.contains(&listed.number)).map(with_size).collect()
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
        let skipped = std::mem::take(&mut plan.newly_skipped);
        let account = self.account.clone();
        let maildrop = Arc::clone(maildrop);
        let note = move |store: &mut Store| {
            if is_moved(store, &account) {
                store.record_host(&account)?;
            }
            store.record_quarantine_over(over_with(&maildrop, store.state()))?;
            let no_longer_skipped = gone_of_skipped(&maildrop, store.state());
            store.record_skipped(skipped, account.routing.digest(), no_longer_skipped)?;
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

    /// The retriever and the committer, side by side. Tells whether the file system can make a delivery durable.
    async fn retrieve(
        &mut self,
        state: &mut StateHandle,
        client: &mut Client,
        deletions: &mut Deletions,
        retrieval: Retrieval,
    ) -> Result<(Retrieved, DirSync), PollError> {
        let (disk, destinations) = (Arc::clone(&self.context.disk), Arc::clone(&retrieval.destinations));
        let events = &self.events;
        let mut retriever = Retriever::new(&self.context, client, deletions, retrieval, &self.stop, events);
        let (to_committer, received_messages) = mpsc::channel(IN_FLIGHT);
        let (to_retriever, mut safe) = mpsc::unbounded_channel();
        let announce = |one: Delivered<Arrival>| {
            let (listed, entry, octets) = (one.payload().listed(), one.entry(), one.size());
            let (file_name, tmp_dirs) = (one.file_name(), one.tmp_dirs());
            events.tell(&PollEvent::MessageDelivered { listed, entry, file_name, tmp_dirs, octets });
            // The retriever may be gone; a message is safe all the same.
            let _ = to_retriever.send(one);
        };
        let (retrieved, committed) = tokio::join!(
            retriever.retrieve(to_committer, &mut safe),
            Committer::new(disk, destinations, announce).run(state, received_messages)
        );
        while let Ok(one) = safe.try_recv() {
            retriever.note_safe(&one);
        }
        self.so_far.messages += retriever.done.safe;
        self.octets += retriever.done.octets;
        // It may have been the question for one size that a server hung up at, or did not answer.
        let broke = matches!(&retrieved, Err(PollError::Client(_)));
        let recognised = retriever.done.known.iter().map(|(id, _)| *id).collect();
        self.in_session = InSession {
            short: retriever.done.any_shorter,
            unproven: !retriever.in_step,
            recognised,
            sizes_do_not_come: retriever.sizes_do_not_come || retriever.retrieval.beside.is_some() && broke,
        };
        self.sizes_beside = std::mem::take(&mut retriever.sizes);
        let (not_skipped, long_headers) = (retriever.done.not_skipped, retriever.done.long_headers);
        if not_skipped + long_headers > 0 {
            self.events.tell(&PollEvent::NotRouted { not_skipped, long_headers });
        }
        let Committed { result: committed, undelivered } = committed;
        if !undelivered.is_empty() {
            let others_first = |store: &mut Store| store.record_others_first(undelivered);
            state.with("write down what was not delivered", others_first).await??;
        }
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

/// Messages that a rule left on the server and that are not there any more, if the listing can tell.
fn gone_of_skipped(maildrop: &Maildrop, state: &UidState) -> Vec<ListedAs> {
    if !maildrop.complete || state.skipped().next().is_none() {
        return Vec::new();
    }
    let listed: HashSet<ListedAs> = maildrop.messages.iter().filter_map(ListedAs::of).collect();
    state.skipped().filter(|one| !listed.contains(one)).cloned().collect()
}
