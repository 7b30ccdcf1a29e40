//! One session of a poll.

use std::collections::HashMap;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::committer::{Destination, commit_all};
use super::error::PollError;
use super::marking::Marking;
use super::report::{PollReport, WouldDo};
use super::retriever::{Order, Retrieved, Retriever};
use super::{FollowUp, Password, Poll, blocking};
use crate::account::RemovalPolicy;
use crate::client::listing::{Opened, look, open};
use crate::client::login::log_in;
use crate::client::{Client, ClientError};
use crate::disk::DirSync;
use crate::maildir::Maildir;
use crate::maildir::room::{NoRoom, room};
use crate::maildir::staging::DigestWhole;
use crate::maildrop::Maildrop;
use crate::plan::{Plan, Policy, look_at, plan};
use crate::pop3::Capabilities;
use crate::state::entries::{Entry, EntryId};
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

impl Poll {
    /// Logs in, does what the plan says and ends the session. The state comes back unless a fault ate it.
    pub(super) async fn session(
        &self,
        store: Store,
        password: &Password,
        report: &mut PollReport,
    ) -> (Option<Store>, Result<FollowUp, PollError>) {
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => return (Some(store), Err(PollError::Stopped)),
            opened = self.open_maildrop(password) => opened,
        };
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(e) => return (Some(store), Err(e)),
        };
        let planned = match self.plan(&mut opened, &store).await {
            Ok(planned) => planned,
            Err(e) => return (Some(store), Err(e)),
        };
        self.tell(&opened.maildrop, &planned, report);
        if self.wishes.dry_run {
            return (Some(store), self.dry_run(opened.client, planned, report).await);
        }
        match self.carry_out(store, opened, planned, report).await {
            Ok((store, follow_up)) => (Some(store), Ok(follow_up)),
            Err(e) => (None, Err(e)),
        }
    }

    async fn open_maildrop(&self, password: &Password) -> Result<Opened, PollError> {
        let opened = open(log_in(&self.ferry.dialer, &self.account, password).await?).await?;
        let keeps = self.account.removal != RemovalPolicy::AfterDelivery;
        if keeps && !opened.maildrop.has_unique_ids && !opened.maildrop.messages.is_empty() {
            quit_in_order(opened.client).await;
            return Err(ClientError::NoUniqueIds.into());
        }
        Ok(opened)
    }

    /// Decides what to do, after a look at the headers that matter.
    async fn plan(&self, opened: &mut Opened, store: &Store) -> Result<Plan, PollError> {
        let Opened { client, capabilities, maildrop } = opened;
        let mut policy = Policy {
            removal: self.account.removal,
            max_message_size: self.account.max_message_size,
            max_messages: self.account.max_messages_per_session,
            // A server without CAPA cannot say that it has TOP; asking costs nothing.
            has_top: capabilities.as_ref().is_none_or(Capabilities::top),
        };
        let numbers = look_at(maildrop, store.state(), &policy, store.now());
        let seen = look(client, &numbers).await?;
        // A server that shows none of them has no TOP, whatever it says.
        policy.has_top &= numbers.is_empty() || !seen.is_empty();
        let plan = plan(maildrop, store.state(), &policy, &seen, store.now());
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
        report.unnamed = u64::try_from(plan.unnamed.len()).unwrap_or(u64::MAX);
        report.unverified = u64::try_from(plan.unverified).unwrap_or(u64::MAX);
        if !maildrop.complete {
            warn!(
                "the server's answers to STAT, UIDL and LIST do not agree: nothing is concluded from what is missing"
            );
        }
    }

    async fn dry_run(&self, client: Client, plan: Plan, report: &mut PollReport) -> Result<FollowUp, PollError> {
        report.would = Some(WouldDo {
            delete: plan.delete.len(),
            delete_retrieved: self.account.removal == RemovalPolicy::AfterDelivery,
            retrieve: plan.retrieve,
        });
        quit_in_order(client).await;
        Ok(FollowUp::No)
    }

    /// Writes down what the listing says, retrieves, delivers, deletes, and ends the session as it may be ended.
    async fn carry_out(
        &self,
        store: Store,
        opened: Opened,
        mut plan: Plan,
        report: &mut PollReport,
    ) -> Result<(Store, FollowUp), PollError> {
        let Opened { mut client, maildrop, .. } = opened;
        let (absent, present, resized) =
            (std::mem::take(&mut plan.absent), std::mem::take(&mut plan.present), std::mem::take(&mut plan.resized));
        let (account, deletes) = (self.account.clone(), !plan.delete.is_empty());
        let (store, noted) = blocking(store, move |store| {
            if !store.state().identity().host.eq_ignore_ascii_case(&account.endpoint.host) {
                store.record_host(&account)?;
            }
            store.record_present(present)?;
            store.record_absent(absent)?;
            store.record_resized(resized)?;
            if deletes { sync_known_maildirs(store) } else { Ok(DirSync::Synced) }
        })
        .await?;
        report.unsyncable |= noted? == DirSync::Unsupported || report.recovered.unsyncable;
        let (store, order) = self.order(store, &maildrop, &mut plan).await?;
        let all_new = plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty();
        let mut marking = Marking::new(std::mem::take(&mut plan.delete));
        let (mut store, mut retrieved) = (store, Retrieved::default());
        if let Some(order) = order {
            let synced;
            (store, retrieved, synced) = self.retrieve(store, &mut client, &mut marking, order, report).await?;
            report.unsyncable |= synced == DirSync::Unsupported;
        }
        if report.unsyncable {
            marking.forgo();
        }
        marking.finish(&mut client).await?;
        let forget = if retrieved.known == 0 { plan.forget } else { Vec::new() };
        let store = self.end_session(store, client, &retrieved, &marking, forget, report).await?;
        report.undeletable += marking.refused;
        report.refused.extend(retrieved.refused);
        if retrieved.full {
            return Err(PollError::NoRoom { path: self.account.maildir.clone() });
        }
        if retrieved.stopped {
            return Err(PollError::Stopped);
        }
        let follow_up = match plan.postponed + retrieved.left {
            0 if all_new && report.refused.is_empty() => FollowUp::Perhaps,
            0 => FollowUp::No,
            _ => FollowUp::Yes,
        };
        Ok((store, follow_up))
    }

    /// Makes sure that there is a Maildir and a state for what is to be retrieved.
    async fn order(
        &self,
        store: Store,
        maildrop: &Maildrop,
        plan: &mut Plan,
    ) -> Result<(Store, Option<Order>), PollError> {
        if plan.retrieve.is_empty() {
            return Ok((store, None));
        }
        let configured = self.account.maildir.clone();
        let (store, prepared) = blocking(store, move |store| prepare(store, &configured)).await?;
        let (destination, room) = prepared?;
        let digest_whole = if maildrop.has_unique_ids { DigestWhole::No } else { DigestWhole::Yes };
        let mut known_whole: HashMap<Digest, Vec<Entry>> = HashMap::new();
        let listed: Vec<EntryId> = plan.delete.iter().map(crate::plan::Removable::entry).collect();
        for entry in store.state().without_unique_id().filter(|entry| !listed.contains(&entry.id)) {
            if let Some(whole) = entry.witness.whole {
                known_whole.entry(whole).or_default().push(entry.clone());
            }
        }
        let order = Order {
            messages: std::mem::take(&mut plan.retrieve).into(),
            destination,
            instance: store.state().identity().instance,
            removal: self.account.removal,
            digest_whole,
            known_whole,
            room,
        };
        Ok((store, Some(order)))
    }

    /// The retriever and the committer, side by side. Tells whether the file system can make a delivery durable.
    async fn retrieve(
        &self,
        store: Store,
        client: &mut Client,
        marking: &mut Marking,
        order: Order,
        report: &mut PollReport,
    ) -> Result<(Store, Retrieved, DirSync), PollError> {
        let destination = order.destination.clone();
        let mut retriever = Retriever::new(&self.ferry, client, marking, order, &self.stop);
        let (to_committer, parcels) = mpsc::channel(64);
        let (announce, mut safe) = mpsc::unbounded_channel();
        let (retrieved, (store, committed)) = tokio::join!(
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
        Ok((store.ok_or(PollError::Fault)?, retriever.done, synced))
    }

    /// QUIT is a promise: the server may take away whatever was retrieved. So it is only sent when that is safe.
    async fn end_session(
        &self,
        store: Store,
        client: Client,
        retrieved: &Retrieved,
        marking: &Marking,
        forget: Vec<EntryId>,
        report: &mut PollReport,
    ) -> Result<Store, PollError> {
        let refused = u64::try_from(retrieved.refused.len()).unwrap_or(u64::MAX);
        if retrieved.asked != retrieved.safe + retrieved.known + refused {
            return Err(PollError::Fault);
        }
        let acknowledged = client.quit().await?;
        let mut removed = Vec::new();
        if acknowledged {
            removed.clone_from(&marking.marked);
        } else if !marking.marked.is_empty() {
            warn!("the server did not acknowledge the QUIT: what was deleted is deleted again next time");
        }
        let count = u64::try_from(removed.len()).unwrap_or(u64::MAX);
        let (store, noted) = blocking(store, move |store| {
            store.record_removed(removed)?;
            store.record_forgotten(forget)
        })
        .await?;
        noted?;
        report.removed += count;
        report.on_server = report.on_server.map(|listed| listed.saturating_sub(count));
        Ok(store)
    }
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
