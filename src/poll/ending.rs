//! The end of a session: records what it did before and after QUIT, which makes the server remove the marked messages.

use std::collections::HashSet;

use super::Poll;
use super::deletions::Marked;
use super::error::{DoesNotFit, PollError};
use super::events::PollEvent;
use super::retrieval::{Explained, LackOfSpace, NAMED, OtherSize, Retrieved};
use super::retriever::DRAIN;
use crate::client::Client;
use crate::client::Message;
use crate::ids::EntryId;
use crate::message::WireSize;
use crate::plan::{ListedAgain, NewSize, Verified};
use crate::pop3::{Listed, UniqueId};
use crate::state::entries::{Entry, ListedAs, QuarantineReason, UidState};
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// What a session did that takes effect only once it has ended in order.
pub(super) struct Work {
    /// What was retrieved.
    pub(super) retrieved: Retrieved,
    /// The messages that are marked as deleted.
    pub(super) marked: Vec<Marked>,
    /// Entries that need not be remembered any more.
    pub(super) forget: Vec<EntryId>,
    /// The unique-id of the first message, if unique-ids only count: what is behind a message that goes moves up.
    pub(super) counted_from: Option<u32>,
}

impl Poll {
    /// Sends QUIT and waits for the response, but not for long once a stop is requested: the command has been sent, and
    /// the next session shows its effect.
    pub(super) async fn quit(&self, client: Client) -> Result<bool, PollError> {
        let bound = async {
            self.stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            answered = client.quit() => Ok(answered?),
            () = bound => Err(PollError::Stopped),
        }
    }

    /// Sends QUIT if that is safe. Returns whether the server acknowledged it, as it should if it is to remove
    /// something.
    async fn quit_or_close(&self, client: Client, is_safe: bool, removes_some: bool) -> Result<bool, PollError> {
        if !is_safe {
            drop(client);
            self.events.tell(&PollEvent::EndsWithoutQuit);
            return Ok(false);
        }
        let acknowledged = self.quit(client).await?;
        if !acknowledged && removes_some {
            self.events.tell(&PollEvent::QuitNotAcknowledged);
        }
        Ok(acknowledged)
    }

    /// Returns the error for messages that were not requested because they do not fit; `fetched` others came.
    fn does_not_fit(&self, lack: LackOfSpace, fetched: u64) -> PollError {
        let LackOfSpace { first, never, available, promised, reserve, messages, octets } = lack;
        let (what, refusal) = (Message(&first, &self.redactor).to_string(), None);
        let message = DoesNotFit { what, messages, octets, available, promised, reserve, never, refusal, fetched };
        PollError::InsufficientSpace { path: self.account.maildir.clone(), message: Some(Box::new(message)) }
    }

    /// Reports the messages that came in another size than listed and returns them; they are left alone for the rest of
    /// the poll.
    fn tell_other_sizes<'a>(&mut self, retrieved: &'a Retrieved) -> Vec<&'a OtherSize> {
        let explained = Explained::of(&self.account, self.sizes_are_mostly_off);
        let telling: Vec<&OtherSize> = retrieved.other_sizes.telling(explained).collect();
        let messages = retrieved.other_sizes.count(explained);
        if messages > 0 {
            let named = telling.iter().take(NAMED);
            let those: Vec<(&Listed, WireSize)> = named.map(|one| (&one.listed, one.octets)).collect();
            self.events.tell(&PollEvent::OtherSizes { those: &those, messages });
        }
        // A message that comes again only because of this session, though estimates explain its size, does so in the
        // next poll just as well.
        let again = retrieved.other_sizes.those.iter().filter(|one| one.is_on_record);
        self.tried.extend(telling.iter().copied().chain(again).filter_map(|one| ListedAs::of(&one.listed)));
        telling
    }

    /// Ends the session. QUIT is a promise: the server may remove whatever was retrieved. So it is only sent when that
    /// is safe; at a server that certainly `removes` what was retrieved, only if no message can have come incomplete.
    /// Without QUIT the server keeps everything, marked or not (RFC 1939, section 6).
    ///
    /// Returns whether anything was retrieved.
    pub(super) async fn end_session(
        &mut self,
        state: &mut StateHandle,
        client: Client,
        work: Work,
        removes: bool,
    ) -> Result<bool, PollError> {
        let Work { retrieved, marked, forget, counted_from } = work;
        all_is_accounted_for(&retrieved)?;
        let of_other_size = self.tell_other_sizes(&retrieved);
        let is_whole = of_other_size.is_empty() && retrieved.without_size.is_empty() && !retrieved.any_may_be_part;
        let quits = is_whole || !removes;
        let marked = if quits { marked } else { Vec::new() };
        let comparison = Comparison::of(&retrieved, &of_other_size, state.read()?.state());
        let promised: Vec<EntryId> = marked.iter().map(|one| one.entry).collect();
        let may_go: HashSet<EntryId> = promised.iter().copied().collect();
        self.certain.retain(|id| !may_go.contains(id));
        let absent: Vec<EntryId> = retrieved.absent.clone();
        let renamed = retrieved.renamed.clone();
        let lowest = marked.iter().map(|one| one.number.get()).min();
        let lowest = lowest.zip(counted_from).map(|(number, first)| number - 1 + first);
        let before_quit = move |store: &mut Store| {
            store.record_shown()?;
            store.record_renamed(&renamed)?;
            comparison.record(store)?;
            store.record_absent(absent)?;
            let moving_up = lowest.map(|lowest| moving_up(store.state(), lowest, &may_go));
            store.record_absent(moving_up.unwrap_or_default())?;
            // If the response to QUIT is lost, another message may take the place of one of these.
            if promised.is_empty() { Ok(()) } else { store.record_doubt(promised) }
        };
        state.with("write down what is to be removed", before_quit).await??;
        let acknowledged = self.quit_or_close(client, quits, !marked.is_empty()).await?;
        if let Some((shown, last)) = retrieved.shown_by_quit.as_ref().filter(|_| acknowledged) {
            shown.show(*last);
        }
        let removed = if acknowledged { marked } else { Vec::new() };
        let (numbers, removed): (Vec<_>, Vec<_>) = removed.iter().map(|one| (one.number, one.entry)).unzip();
        self.isolated.removed(&numbers);
        retrieved.within_limits.iter().for_each(|listed| self.beyond_limits.forget(listed));
        self.beyond_limits.removed(&numbers);
        let deleted = removed.clone();
        let known = state.read()?.state();
        let sizes = new_sizes(known, &retrieved, &of_other_size);
        let refused = retrieved.refused.listed_as().to_vec();
        self.tried.extend(refused.iter().cloned());
        let over_limit = retrieved.refused.limit().and_then(|limit| limit.first.clone());
        let after_quit = move |store: &mut Store| {
            store.record_shown()?;
            store.record_resized(&sizes)?;
            store.record_removed(removed)?;
            store.record_forgotten(forget)?;
            store.record_quarantine(refused, QuarantineReason::Refused)?;
            over_limit.map_or(Ok(()), |first| store.record_over_limit(first))?;
            store.settle()
        };
        state.with("write down what was removed", after_quit).await??;
        self.events.tell(&PollEvent::Deleted(&deleted));
        self.events.tell(&PollEvent::SessionEnded { quit_error: None });
        if let Some(lack) = retrieved.insufficient_space {
            return Err(self.does_not_fit(lack, retrieved.safe));
        }
        if retrieved.stopped { Err(PollError::Stopped) } else { Ok(retrieved.safe > 0) }
    }
}

/// Whether each requested message was delivered, was refused, or is known.
fn all_is_accounted_for(retrieved: &Retrieved) -> Result<(), PollError> {
    let known = u64::try_from(retrieved.known.len()).unwrap_or(u64::MAX);
    let refused = retrieved.refused.alone() + retrieved.refused.not_given();
    if retrieved.asked == retrieved.safe + known + refused {
        return Ok(());
    }
    Err(PollError::contradiction("end the session", "not everything that was asked for is accounted for"))
}

/// Returns the entries whose unique-ids are numbers above this one, without those that `may_go`: once that message has
/// gone, their messages have other numbers, and theirs may name new ones.
fn moving_up(state: &UidState, above: u32, may_go: &HashSet<EntryId>) -> Vec<EntryId> {
    let moves = |entry: &&Entry| {
        let number = entry.unique_id.as_ref().and_then(UniqueId::as_count);
        number.is_some_and(|number| number > above) && !entry.was_gone() && !may_go.contains(&entry.id)
    };
    state.entries().filter(moves).map(|entry| entry.id).collect()
}

/// The result of comparing retrieved messages with remembered ones.
struct Comparison {
    /// Entries whose messages are proven to be on the server.
    verified: Vec<Verified>,
    /// Entries whose messages came again, but not in the listed size: they are there, perhaps incomplete.
    doubted: Vec<EntryId>,
    /// Those in `doubted` that were recorded as gone.
    present: Vec<ListedAgain>,
    /// Messages that came in another size than listed, unless this is recorded with their delivery.
    of_other_size: Vec<ListedAs>,
    /// Messages whose earlier quarantine under this unique-id and size is over.
    over: Vec<ListedAs>,
}

impl Comparison {
    fn of(retrieved: &Retrieved, of_other_size: &[&OtherSize], known: &UidState) -> Self {
        let (verified, doubted) = (retrieved.verified.clone(), retrieved.unverified());
        let present = doubted.iter().filter_map(|id| ListedAgain::compared(known.entry(*id)?)).collect();
        let to_record: Vec<&OtherSize> = of_other_size.iter().filter(|one| !one.is_on_record).copied().collect();
        let of_other_size: Vec<ListedAs> = of_other_size.iter().filter_map(|one| ListedAs::of(&one.listed)).collect();
        let quarantined: HashSet<&ListedAs> = of_other_size.iter().collect();
        let (without_size, known): (Vec<_>, Vec<_>) =
            retrieved.known.iter().partition(|(id, _)| retrieved.without_size.contains(id));
        let known = known.into_iter().map(|(_, listed)| listed);
        let over = known.filter_map(ListedAs::of).filter(|one| !quarantined.contains(one)).collect();
        // A message that may be incomplete is looked at again at growing intervals, as long as no size settles the
        // matter.
        let without_size =
            without_size.into_iter().filter_map(|(_, listed)| ListedAs::of(listed)).map(ListedAs::without_size);
        let of_other_size = to_record.iter().filter_map(|one| ListedAs::of(&one.listed)).chain(without_size).collect();
        Self { verified, doubted, present, of_other_size, over }
    }

    fn record(self, store: &mut Store) -> Result<(), StateError> {
        let Self { verified, doubted, present, of_other_size, over } = self;
        store.record_verified(&verified)?;
        store.record_present(&present)?;
        store.record_quarantine_over(over)?;
        store.record_quarantine(of_other_size, QuarantineReason::OtherSize)?;
        if doubted.is_empty() { Ok(()) } else { store.record_doubt(doubted) }
    }
}

/// Returns the new listed sizes of remembered messages, where they differ from the old ones and their bytes agree with
/// them.
fn new_sizes(known: &UidState, retrieved: &Retrieved, of_other_size: &[&OtherSize]) -> Vec<NewSize> {
    let not_theirs = of_other_size.iter().filter_map(|one| one.entry);
    let not_theirs: HashSet<EntryId> = not_theirs.chain(retrieved.without_size.iter().copied()).collect();
    let theirs = retrieved.known.iter().filter(|(id, _)| !not_theirs.contains(id));
    theirs.filter_map(|(id, listed)| NewSize::compared(listed, known.entry(*id)?)).collect()
}
