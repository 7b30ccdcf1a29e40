//! One session of a poll.

use std::collections::HashMap;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::committer::{Destination, commit_all};
use super::error::PollError;
use super::marking::Marking;
use super::report::{PollReport, WouldDo};
use super::retriever::{Order, Retrieved, Retriever};
use super::{Poll, Shelf, blocking};
use crate::account::RemovalPolicy;
use crate::client::listing::{Opened, look, open};
use crate::client::login::log_in;
use crate::client::{Client, ClientError};
use crate::disk::DirSync;
use crate::maildir::Maildir;
use crate::maildir::room::{NoRoom, room};
use crate::maildir::staging::DigestWhole;
use crate::maildrop::{Listed, Maildrop};
use crate::plan::{Plan, Policy, Scope, look_at, plan};
use crate::pop3::Capabilities;
use crate::secret::Secret;
use crate::state::entries::{Entry, EntryId, TroubleKind};
use crate::state::store::Store;
use crate::witness::Digest;

impl From<NoRoom> for PollError {
    fn from(e: NoRoom) -> Self {
        match e {
            NoRoom::TooLittle { path } => Self::NoRoom { path },
            NoRoom::Unknown { path, source } => Self::Maildir { doing: "find out the room in", path, source },
        }
    }
}

/// How a session that ended in order ended.
pub(super) struct Ended {
    /// How many messages are still to be retrieved.
    pub(super) left: usize,
    /// Messages at which earlier sessions broke wait for a session of their own.
    pub(super) suspects: bool,
    /// Everything that was listed was new.
    pub(super) all_new: bool,
}

/// A session that did not.
pub(super) struct Broken {
    /// Why.
    pub(super) error: PollError,
    /// The messages at which it may have broken.
    pub(super) suspects: Vec<Listed>,
    /// Whether it came as far as a listing.
    pub(super) opened: bool,
}

impl Poll {
    /// Logs in, does what the plan says and ends the session.
    pub(super) async fn session(
        &self,
        store: &mut Shelf,
        password: &Secret,
        report: &mut PollReport,
    ) -> Result<Ended, Broken> {
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            opened = self.open_maildrop(password) => opened,
        };
        let not_opened = |error| Broken { error, suspects: Vec::new(), opened: false };
        let Opened { mut client, capabilities, maildrop } = opened.map_err(not_opened)?;
        let done = match self.plan(&mut client, capabilities.as_ref(), &maildrop, store).await {
            Ok(plan) => {
                self.tell(&maildrop, &plan, report);
                if self.wishes.dry_run {
                    return Ok(self.dry_run(client, plan, report).await);
                }
                self.carry_out(store, &mut client, &maildrop, plan, report).await
            }
            Err(e) => Err(e),
        };
        match done {
            Ok((work, ended)) => match self.end_session(store, client, work, report).await {
                Ok(()) => Ok(ended),
                Err(error) => Err(Broken { error, suspects: Vec::new(), opened: true }),
            },
            Err(error) => {
                // Without QUIT: the server keeps everything, marked or not.
                let numbers = match &error {
                    PollError::Client(e) => client.suspects(e),
                    _ => Vec::new(),
                };
                let suspects =
                    maildrop.messages.into_iter().filter(|listed| numbers.contains(&listed.number)).collect();
                Err(Broken { error, suspects, opened: true })
            }
        }
    }

    async fn open_maildrop(&self, password: &Secret) -> Result<Opened, PollError> {
        let mut opened = open(log_in(&*self.ferry.dialer, &self.account, password).await?).await?;
        let keeps = self.account.removal != RemovalPolicy::AfterDelivery;
        if keeps && !opened.maildrop.has_unique_ids && !opened.maildrop.messages.is_empty() {
            quit_in_order(opened.client).await;
            return Err(ClientError::NoUniqueIds.into());
        }
        if self.scope == Scope::Suspects {
            opened.client.one_at_a_time();
        }
        Ok(opened)
    }

    /// Decides what to do, after a look at the headers that matter.
    async fn plan(
        &self,
        client: &mut Client,
        capabilities: Option<&Capabilities>,
        maildrop: &Maildrop,
        store: &Shelf,
    ) -> Result<Plan, PollError> {
        let store = store.as_ref().ok_or(PollError::Fault)?;
        let (state, now) = (store.state(), store.now());
        let mut policy = Policy {
            removal: self.account.removal,
            max_message_size: self.account.max_message_size,
            max_messages: self.account.max_messages_per_session,
            // A server without CAPA cannot say that it has TOP; asking costs nothing.
            has_top: capabilities.is_none_or(Capabilities::top),
            scope: self.scope,
        };
        let numbers = look_at(maildrop, state, &policy, &self.tried, now);
        let seen = look(client, &numbers).await?;
        // A server that shows none of them has no TOP, whatever it says.
        policy.has_top &= numbers.is_empty() || !seen.is_empty();
        let plan = plan(maildrop, state, &policy, &self.tried, &seen, now);
        debug!(
            retrieve = plan.retrieve.len(),
            delete = plan.delete.len(),
            known = plan.known,
            "of {} messages on the server",
            maildrop.messages.len()
        );
        Ok(plan)
    }

    fn tell(&self, maildrop: &Maildrop, plan: &Plan, report: &mut PollReport) {
        report.on_server = u64::try_from(maildrop.messages.len()).ok();
        report.too_large.clone_from(&plan.too_large);
        report.set_aside.clone_from(&plan.set_aside);
        report.unnamed = u64::try_from(plan.unnamed.len()).unwrap_or(u64::MAX);
        report.unverified = u64::try_from(plan.unverified).unwrap_or(u64::MAX);
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
        Ended { left: 0, suspects: false, all_new: false }
    }

    /// Writes down what the listing says, retrieves, delivers and deletes.
    async fn carry_out(
        &self,
        store: &mut Shelf,
        client: &mut Client,
        maildrop: &Maildrop,
        mut plan: Plan,
        report: &mut PollReport,
    ) -> Result<(Work, Ended), PollError> {
        let synced = self.note_listing(store, maildrop, &mut plan).await?;
        report.unsyncable |= synced == DirSync::Unsupported || report.recovered.unsyncable;
        let mut ended = Ended {
            left: plan.postponed,
            suspects: !plan.suspects.is_empty(),
            all_new: plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty(),
        };
        let mut marking = Marking::new(std::mem::take(&mut plan.delete));
        if report.unsyncable {
            marking.forgo();
        }
        let mut retrieved = Retrieved::default();
        if !plan.retrieve.is_empty() {
            let order = self.order(store, maildrop, &mut plan, &mut marking).await?;
            report.unsyncable |= marking.forgone;
            let synced;
            (retrieved, synced) = self.retrieve(store, client, &mut marking, order, report).await?;
            report.unsyncable |= synced == DirSync::Unsupported;
        }
        marking.finish(client).await?;
        report.undeletable += marking.refused;
        ended.left += retrieved.left;
        // Who was told apart by its bytes was listed, though the plan could not know.
        let forget = if retrieved.known == 0 { plan.forget } else { Vec::new() };
        Ok((Work { retrieved, marked: marking.marked, forget }, ended))
    }

    async fn note_listing(
        &self,
        store: &mut Shelf,
        maildrop: &Maildrop,
        plan: &mut Plan,
    ) -> Result<DirSync, PollError> {
        let (absent, present) = (std::mem::take(&mut plan.absent), std::mem::take(&mut plan.present));
        let (resized, deletes) = (std::mem::take(&mut plan.resized), !plan.delete.is_empty());
        let (account, maildrop) = (self.account.clone(), maildrop.clone());
        blocking(store, move |store| {
            if !store.state().identity().host.eq_ignore_ascii_case(&account.endpoint.host) {
                store.record_host(&account)?;
            }
            if maildrop.complete {
                let listed = maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
                store.forget_troubles_except(&listed)?;
            }
            store.record_present(present)?;
            store.record_absent(absent)?;
            store.record_resized(resized)?;
            if deletes { sync_known_maildirs(store) } else { Ok(DirSync::Synced) }
        })
        .await?
    }

    /// Makes sure that there is a Maildir and a state for what is to be retrieved.
    async fn order(
        &self,
        store: &mut Shelf,
        maildrop: &Maildrop,
        plan: &mut Plan,
        marking: &mut Marking,
    ) -> Result<Order, PollError> {
        let configured = self.account.maildir.clone();
        let prepared = blocking(store, move |store| {
            let (destination, room) = prepare(store, &configured)?;
            // What is found to be known by its bytes is deleted without having been planned.
            let known = store.state().without_unique_id().next().is_some();
            let synced = if known { sync_known_maildirs(store)? } else { DirSync::Synced };
            Ok::<_, PollError>((destination, room, synced))
        });
        let (destination, room, synced) = prepared.await??;
        if synced == DirSync::Unsupported {
            marking.forgo();
        }
        let state = store.as_ref().ok_or(PollError::Fault)?.state();
        let digest_whole = if maildrop.has_unique_ids { DigestWhole::No } else { DigestWhole::Yes };
        let mut known_whole: HashMap<Digest, Vec<Entry>> = HashMap::new();
        for entry in state.without_unique_id().filter(|entry| !marking.is_waiting(entry.id)) {
            if let Some(whole) = entry.witness.whole {
                known_whole.entry(whole).or_default().push(entry.clone());
            }
        }
        Ok(Order {
            messages: std::mem::take(&mut plan.retrieve).into(),
            destination,
            instance: state.identity().instance,
            removal: self.account.removal,
            digest_whole,
            known_whole,
            room,
        })
    }

    /// The retriever and the committer, side by side. Tells whether the file system can make a delivery durable.
    async fn retrieve(
        &self,
        store: &mut Shelf,
        client: &mut Client,
        marking: &mut Marking,
        order: Order,
        report: &mut PollReport,
    ) -> Result<(Retrieved, DirSync), PollError> {
        let destination = order.destination.clone();
        let mut retriever = Retriever::new(&self.ferry, client, marking, order, &self.stop);
        let (to_committer, parcels) = mpsc::channel(64);
        let (announce, mut safe) = mpsc::unbounded_channel();
        let (retrieved, committed) = tokio::join!(
            retriever.retrieve(to_committer, &mut safe),
            commit_all(store, destination, parcels, announce)
        );
        while let Ok(one) = safe.try_recv() {
            retriever.note_safe(&one);
        }
        report.retrieved += retriever.done.safe;
        report.octets += retriever.done.octets;
        // If both failed, the retriever did so because the committer was gone.
        let synced = committed?;
        retrieved?;
        Ok((retriever.done, synced))
    }

    /// QUIT is a promise: the server may take away whatever was retrieved. So it is only sent when that is safe.
    async fn end_session(
        &self,
        store: &mut Shelf,
        client: Client,
        work: Work,
        report: &mut PollReport,
    ) -> Result<(), PollError> {
        let Work { retrieved, marked, forget } = work;
        let refused = u64::try_from(retrieved.refused.len()).unwrap_or(u64::MAX);
        if retrieved.asked != retrieved.safe + retrieved.known + refused {
            return Err(PollError::Fault);
        }
        let acknowledged = client.quit().await?;
        if !acknowledged && !marked.is_empty() {
            warn!("the server did not acknowledge the QUIT: what was deleted is deleted again next time");
        }
        let removed = if acknowledged { marked } else { Vec::new() };
        let count = u64::try_from(removed.len()).unwrap_or(u64::MAX);
        let troubled = retrieved.refused.iter().filter_map(|(listed, _)| listed.unique_id.clone()).collect();
        blocking(store, move |store| {
            store.record_removed(removed)?;
            store.record_forgotten(forget)?;
            store.record_troubles(troubled, TroubleKind::Refused)
        })
        .await??;
        report.removed += count;
        report.on_server = report.on_server.map(|listed| listed.saturating_sub(count));
        report.failed.extend(retrieved.refused);
        if retrieved.full {
            return Err(PollError::NoRoom { path: self.account.maildir.clone() });
        }
        if retrieved.stopped { Err(PollError::Stopped) } else { Ok(()) }
    }
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

/// What was delivered in earlier sessions is about to be deleted on the server: one more sync of its names, which costs
/// nothing where they are durable, and tells where that cannot be. Blocks.
fn sync_known_maildirs(store: &Store) -> Result<DirSync, PollError> {
    let mut synced = DirSync::Synced;
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

/// The Maildir, made if the state has never delivered there, and the room in it. Blocks.
fn prepare(store: &mut Store, configured: &std::path::Path) -> Result<(Destination, u64), PollError> {
    let disk = std::sync::Arc::clone(store.disk());
    let failed = |doing| move |source| PollError::Maildir { doing, path: configured.to_owned(), source };
    let maildir = Maildir::create(&*disk, configured).map_err(failed("make the Maildir"))?;
    let inodes = maildir.inodes(&*disk).map_err(failed("look at the Maildir"))?;
    let number = store.bind_maildir(configured, &maildir, inodes)?;
    store.ensure_file()?;
    let room = room(&*disk, maildir.path())?;
    Ok((Destination { maildir, number }, room))
}
