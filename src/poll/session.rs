//! One session of a poll.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::another::{Another, SoFar, another};
use super::committer::{Committer, Destination};
use super::deletions::Deletions;
use super::error::{DoesNotFit, PollError};
use super::planning::is_moved;
use super::report::{PollReport, Tally, WouldDo};
use super::retriever::{DRAIN, FEW, Retrieval, Retrieved, Retriever};
use super::server_profile::ServerProfile;
use super::{Poll, Shelf, blocking};
use crate::account::{MaildirMode, RemovalPolicy};
use crate::client::listing::{OpenError, Opened, open};
use crate::client::login::{CachedCapabilities, log_in};
use crate::client::{Client, ClientError};
use crate::delivery::recovery::known_maildir;
use crate::disk::DirSync;
use crate::disk::free_space::{FreeSpaces, InsufficientSpace, free_spaces};
use crate::maildir::Maildir;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{Pass, Plan, Remembered};
use crate::pop3::{Capabilities, LoginDelay, UniqueId};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{Entry, EntryId, ListedAs, QuarantineReason, UidState};
use crate::state::store::Store;
use crate::summary::Message;

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
    /// Entries whose messages were retrieved again and compared.
    pub(super) compared: Vec<EntryId>,
    /// The server refused so many messages in a row that no further one was asked for.
    pub(super) gave_up: bool,
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
    /// Logs in, does what the plan says and ends the session.
    pub(super) async fn session(
        &self,
        store: &mut Shelf,
        profile: &mut ServerProfile,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<Ended, Broken> {
        let here = |entry: &Entry| entry.unique_id.is_some() && entry.absent_since.is_none();
        let knows_unique_ids = store.as_ref().is_some_and(|store| store.state().entries().any(here));
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            opened = self.open_maildrop(profile, password, knows_unique_ids) => opened,
        };
        let not_opened = |error| Broken { error, to_isolate: Vec::new(), opened: false };
        let opened = opened.map_err(not_opened)?;
        profile.opened(&opened, &report.redactor);
        let capabilities = opened.capabilities().cloned();
        report.logged_in = true;
        report.certificate_expires = opened.client.certificate_expires();
        let login_delay = capabilities.as_ref().and_then(Capabilities::login_delay);
        report.login_delay = login_delay.map(|delay| Duration::from_secs(delay.seconds));
        let Opened { mut client, maildrop, .. } = opened;
        let ahead = client.window() > 1;
        let maildrop = Arc::new(maildrop);
        let planned = self.plan(&mut client, capabilities.as_ref(), &maildrop, store, report).await;
        let done = match planned {
            Ok(plan) => {
                let sizes = std::mem::replace(&mut report.sizes, maildrop.sizes());
                if report.probe_for_more && !plan.has_top && sizes == report.sizes {
                    // The same again under other names: some servers make them anew at each session, and without TOP
                    // nothing else would show it.
                    quit_in_order(client).await;
                    return Ok(Ended::default());
                }
                self.tell(&maildrop, &plan, report);
                if self.options.dry_run {
                    return Ok(self.dry_run(client, plan, report).await);
                }
                self.carry_out(store, &mut client, &maildrop, plan, report).await
            }
            Err(e @ PollError::Renumbered { .. }) => {
                quit_in_order(client).await;
                return Err(Broken { error: e, to_isolate: Vec::new(), opened: true });
            }
            Err(e) => Err(e),
        };
        match done {
            Ok((work, ended)) => match self.end_session(store, client, work, report).await {
                Ok(retrieved) => {
                    profile.ended_in_order(ahead, retrieved);
                    Ok(ended)
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
        profile: &mut ServerProfile,
        password: &Secret,
        knows_unique_ids: bool,
    ) -> Result<Opened, PollError> {
        let mut opened = self.list(profile, password).await?;
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

    /// Logs in and lists. A server that announces PIPELINING and breaks when commands come ahead is given another chance
    /// at once, one command at a time.
    async fn list(&self, profile: &mut ServerProfile, password: &Secret) -> Result<Opened, PollError> {
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
        store: &mut Shelf,
        client: &mut Client,
        maildrop: &Arc<Maildrop>,
        mut plan: Plan,
        report: &mut PollReport,
    ) -> Result<(Work, Ended), PollError> {
        self.note_listing(store, maildrop, &mut plan).await?;
        report.unsyncable |= report.recovered.unsyncable;
        let all_new = plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty();
        let mut ended = Ended {
            left: plan.postponed,
            to_isolate: plan.to_isolate.iter().filter_map(ListedAs::of).collect(),
            all_new: if all_new { maildrop.messages.len() } else { 0 },
            compared: Vec::new(),
            gave_up: false,
        };
        let mut deletions = Deletions::new(std::mem::take(&mut plan.delete));
        if report.unsyncable {
            deletions.cancel();
        }
        let mut retrieved = Retrieved::default();
        if !plan.retrieve.is_empty() {
            let retrieval = self.retrieval(store, maildrop, &mut plan, &mut deletions).await?;
            report.unsyncable |= deletions.cancelled;
            let synced;
            (retrieved, synced) = self.retrieve(store, client, &mut deletions, retrieval, report).await?;
            report.unsyncable |= synced == DirSync::Unsupported;
        }
        if report.unsyncable {
            deletions.cancel();
        }
        self.finish_deletions(&mut deletions, client).await?;
        report.undeletable.extend(&deletions.refused);
        ended.left += retrieved.left;
        ended.gave_up = retrieved.refused.are_too_many();
        ended.compared = retrieved.known.iter().map(|(id, _)| *id).collect();
        // What was recognised when it was here was listed, though the plan could not know.
        let listed: HashSet<EntryId> = retrieved.known.iter().map(|(id, _)| *id).collect();
        let all_came =
            retrieved.left == 0 && retrieved.refused.failures.is_empty() && retrieved.insufficient_space.is_none();
        plan.forget.retain(|id| !listed.contains(id) && (all_came || has_unique_id(store, *id)));
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
        store: &mut Shelf,
        maildrop: &Arc<Maildrop>,
        plan: &mut Plan,
    ) -> Result<(), PollError> {
        let (absent, present) = (std::mem::take(&mut plan.absent), std::mem::take(&mut plan.present));
        let (resized, renamed) = (std::mem::take(&mut plan.resized), std::mem::take(&mut plan.renamed));
        let (respelt, fingerprinted) = (std::mem::take(&mut plan.respelt), std::mem::take(&mut plan.fingerprinted));
        let account = self.account.clone();
        let maildrop = Arc::clone(maildrop);
        blocking(store, move |store| {
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
        })
        .await?
    }

    /// Makes sure that there is a Maildir and a state for what is to be retrieved.
    async fn retrieval(
        &self,
        store: &mut Shelf,
        maildrop: &Maildrop,
        plan: &mut Plan,
        deletions: &mut Deletions,
    ) -> Result<Retrieval, PollError> {
        let (configured, mode) = (self.account.maildir.clone(), self.account.maildir_mode);
        let (most_files, accept) = (self.context.most_files, self.options.accept_maildir);
        let (messages, known) = (std::mem::take(&mut plan.retrieve), std::mem::take(&mut plan.known_entries));
        let has_unique_ids = maildrop.has_unique_ids;
        let prepared = blocking(store, move |store| {
            let (destination, free_spaces) = prepare(store, &configured, mode, most_files, accept)?;
            // What is recognised when it is here is deleted without having been planned.
            let synced = if store.state().is_empty() { store.sync_directory()? } else { sync_directories(store)? };
            let remembered = remembered(store.state(), &messages, &known, has_unique_ids);
            Ok::<_, PollError>((destination, free_spaces, synced, messages, remembered))
        });
        let (destination, free_spaces, synced, messages, remembered) = prepared.await??;
        let (mut messages, last): (Vec<Listed>, Vec<Listed>) =
            messages.into_iter().partition(|listed| !self.looks_too_long(listed));
        messages.extend(last);
        if synced == DirSync::Unsupported {
            deletions.cancel();
        }
        let store = store.as_ref().ok_or(PollError::InternalError)?;
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
        store: &mut Shelf,
        client: &mut Client,
        deletions: &mut Deletions,
        retrieval: Retrieval,
        report: &mut PollReport,
    ) -> Result<(Retrieved, DirSync), PollError> {
        let destination = retrieval.destination.clone();
        let mut retriever = Retriever::new(&self.context, client, deletions, retrieval, &self.stop);
        let (to_committer, received_messages) = mpsc::channel(IN_FLIGHT);
        let (announce, mut safe) = mpsc::unbounded_channel();
        let (retrieved, committed) = tokio::join!(
            retriever.retrieve(to_committer, &mut safe),
            Committer::new(destination, announce).run(store, received_messages)
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
            blocking(store, move |store| store.record_quarantine(early, QuarantineReason::BrokeSession)).await??;
        }
        // If both failed, the retriever did so because the committer was gone.
        let synced = committed?;
        retrieved?;
        Ok((retriever.done, synced))
    }

    /// Waits for the answer to QUIT, but not for long once the end was asked for: it has been sent, and what the server
    /// makes of it is seen next time.
    async fn quit(&self, client: Client) -> Result<bool, PollError> {
        let bound = async {
            self.stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            answered = client.quit() => Ok(answered?),
            () = bound => Err(PollError::Stopped),
        }
    }

    /// QUIT is a promise: the server may take away whatever was retrieved. So it is only sent when that is safe.
    ///
    /// Tells whether anything was retrieved.
    async fn end_session(
        &self,
        store: &mut Shelf,
        client: Client,
        work: Work,
        report: &mut PollReport,
    ) -> Result<bool, PollError> {
        let Work { retrieved, marked, forget } = work;
        let refused = u64::try_from(retrieved.refused.failures.len()).unwrap_or(u64::MAX);
        let known = u64::try_from(retrieved.known.len()).unwrap_or(u64::MAX);
        if retrieved.asked != retrieved.safe + known + refused {
            return Err(PollError::InternalError);
        }
        tell_of_short_ones(&retrieved);
        let verified: Vec<EntryId> = retrieved.known.iter().map(|(id, _)| *id).collect();
        let promised = marked.clone();
        let absent: Vec<EntryId> = retrieved.absent.clone();
        blocking(store, move |store| {
            store.record_verified(verified)?;
            store.record_absent(absent)?;
            // Should the answer to QUIT be lost, another message may have taken the place of one of these.
            if promised.is_empty() { Ok(()) } else { store.record_doubt(promised) }
        })
        .await??;
        let acknowledged = self.quit(client).await?;
        report.unacknowledged |= !acknowledged && !marked.is_empty();
        if !acknowledged && !marked.is_empty() {
            warn!("the server did not acknowledge the QUIT: what was deleted is deleted again next time");
        }
        let removed = if acknowledged { marked } else { Vec::new() };
        let count = u64::try_from(removed.len()).unwrap_or(u64::MAX);
        removed.iter().for_each(|entry| _ = report.undeletable.remove(entry));
        let entry = |id: EntryId| store.as_ref().and_then(|store| store.state().entry(id));
        let is_new = |(id, size): &(EntryId, u64)| {
            entry(*id).is_some_and(|entry| entry.fingerprint.reported_size != Some(*size))
        };
        let sizes = retrieved.known.iter().filter_map(|(id, size)| Some((*id, (*size)?))).filter(is_new).collect();
        let troubled = retrieved.refused.failures.listed_as().to_vec();
        let hopeless = retrieved.larger_than_the_disk.iter().filter_map(ListedAs::of).collect();
        blocking(store, move |store| {
            store.record_resized(sizes)?;
            store.record_removed(removed)?;
            store.record_forgotten(forget)?;
            store.record_set_aside(hopeless)?;
            store.record_quarantine(troubled, QuarantineReason::Refused)?;
            store.settle()
        })
        .await??;
        report.removed += count;
        report.on_server = report.on_server.map(|listed| listed.saturating_sub(count));
        report.failed.absorb(retrieved.refused.failures);
        if let Some((listed, free_space)) = retrieved.insufficient_space {
            let never = retrieved.larger_than_the_disk.contains(&listed);
            let message = DoesNotFit { what: Message(&listed, &report.redactor).to_string(), free_space, never };
            return Err(PollError::InsufficientSpace { path: self.account.maildir.clone(), message: Some(message) });
        }
        if retrieved.stopped { Err(PollError::Stopped) } else { Ok(retrieved.safe > 0) }
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
fn has_unique_id(store: &Shelf, id: EntryId) -> bool {
    let entry = store.as_ref().and_then(|store| store.state().entry(id));
    entry.is_some_and(|entry| entry.unique_id.is_some())
}

/// Tells of messages that came out far shorter than they were listed: of the first one, and how many there are.
fn tell_of_short_ones(retrieved: &Retrieved) {
    let Some((listed, octets)) = &retrieved.first_short else { return };
    let others = match retrieved.short.saturating_sub(1) {
        0 => String::new(),
        more => format!(", and {more} more were like that"),
    };
    warn!(
        "message {} was listed with {} octets, and {octets} came: it is kept as it came, and not deleted in this session\
         {others}",
        listed.number,
        listed.reported_size.unwrap_or(0)
    );
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

/// What a session did that is only true once it has ended in order.
struct Work {
    retrieved: Retrieved,
    /// Marked as deleted.
    marked: Vec<EntryId>,
    /// Need not be remembered any more.
    forget: Vec<EntryId>,
}

/// Ends a session in which nothing was retrieved or deleted. That it may fail is no trouble.
async fn quit_in_order(client: Client) {
    if let Err(e) = client.quit().await {
        debug!("QUIT: {e}");
    }
}

/// What was delivered in earlier sessions is about to be deleted on the server: one more sync of its names and of the
/// state's, which costs nothing where they are durable, and tells where that cannot be. Blocks.
pub(super) fn sync_directories(store: &Store) -> Result<DirSync, PollError> {
    let mut synced = store.sync_directory()?;
    for (_, known) in store.state().maildirs() {
        let new = known.resolved.join("new");
        match store.disk().sync_dir(&new) {
            Ok(DirSync::Synced) => {}
            Ok(DirSync::Unsupported) => synced = DirSync::Unsupported,
            // One that is not delivered to any more may be gone; the one that is was looked at when the poll began.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(PollError::Maildir { doing: "sync", path: new, source }),
        }
    }
    Ok(synced)
}

/// The Maildir and the room in it. It is made if the state has never delivered there, or if the user said that one in its
/// place is right; else it may have gone since the poll began, and would be made below the place of a disk. Blocks.
fn prepare(
    store: &mut Store,
    configured: &std::path::Path,
    mode: MaildirMode,
    most_files: usize,
    accept: bool,
) -> Result<(Destination, FreeSpaces), PollError> {
    let disk = Arc::clone(store.disk());
    let failed = |doing| move |source| PollError::Maildir { doing, path: configured.to_owned(), source };
    let known = if accept { None } else { known_maildir(store, configured)? };
    let maildir = match known {
        Some(maildir) => maildir,
        None => Maildir::create(&*disk, configured, mode).map_err(failed("make the Maildir"))?,
    };
    let id = maildir.lasting_id(&*disk).map_err(failed("look at the Maildir"))?;
    let number = store.bind_maildir(configured, &maildir, id)?;
    store.ensure_file()?;
    let free_spaces = free_spaces(&*disk, maildir.tmp())?;
    Ok((Destination { maildir, configured: configured.to_owned(), number, most_files }, free_spaces))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
