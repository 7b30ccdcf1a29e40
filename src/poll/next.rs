//! What follows a session: the end of the poll or another session, and when.

use std::collections::HashSet;

use tokio::time::sleep;

use super::Poll;
use super::another::{Another, SoFar, another};
use super::error::{DoesNotFit, PollError};
use super::events::{AfterFailure, PollEvent};
use super::report::{Left, LeftFor};
use super::session::{Broken, Ended};
use crate::account::RemovalPolicy;
use crate::client::ClientError;
use crate::ids::EntryId;
use crate::plan::Pass;
use crate::plan::maildrop::{Listed, Sizes};
use crate::provider::Provider;
use crate::state::entries::{Entry, ListedAs, Origin, QuarantineReason, UidState};
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::store::Store;
use crate::watch;

/// The most sessions that may break at a message before the poll ends.
const MOST_BROKEN: u32 = 20;

/// The same for sessions ended because a message exceeded its ceiling.
const MOST_TOO_LONG: usize = 5;

/// The same for sessions whose connection broke at a message without a unique-id, or without one that lasts.
const MOST_LOST: u32 = 6;

/// After so many sessions that broke, another Maildir in which a message has no room takes no mail for the rest of the
/// poll: a session that breaks at each message for it would keep other mail from coming.
const MOST_SET_ASIDE: u32 = 5;

/// What follows a session.
pub(super) enum Next {
    /// The poll is over.
    Done,
    /// Another session, for these messages.
    Session(Pass),
    /// Another session, because everything was new and some servers list only some messages at a time.
    ProbeForMore,
}

impl Poll {
    /// Returns what the poll has done until now.
    pub(super) fn so_far_now(&self, state: &StateHandle) -> SoFar {
        let trusted = !Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        SoFar {
            time: self.begun.elapsed(),
            login_delay: self.so_far.login_delay.filter(|_| trusted),
            others_wait: watch::is_in_the_way() || watch::is_to_give_way(),
            lacks_room: !self.has_room(state),
            ..self.so_far
        }
    }

    /// Waits until another session may begin. Returns the reason if that is left to the next poll.
    pub(super) async fn wait_for_another(&mut self, state: &StateHandle) -> Result<Option<LeftFor>, PollError> {
        let delay = match another(&self.so_far_now(state)) {
            Another::NextPoll(why) => return Ok(Some(why)),
            Another::After(delay) => delay,
        };
        self.so_far.waited += delay;
        if !delay.is_zero() {
            self.events.tell(&PollEvent::Waits(delay));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            () = sleep(delay) => Ok(None),
        }
    }

    /// Decides what follows a session that ended in order; `more` says that the server may not have listed everything.
    pub(super) fn after(&mut self, ended: &Ended, progress: bool, more: bool) -> Next {
        let Ended { left, others, .. } = *ended;
        if ended.looks_again {
            return Next::Session(Pass::Normal);
        }
        if self.pass == Pass::Isolated {
            self.tried.extend(self.isolated.had_its_turn());
        }
        let waiting = self.isolated.waiting();
        // A short listing proves nothing: a message left over stays so though it is not listed now.
        let missing = self.left.saturating_sub(self.listed);
        self.left = (left + others.max(waiting)).max(missing);
        self.went_back &= !progress;
        if ended.gave_up {
            self.leave(self.left, LeftFor::Refusals);
            return Next::Done;
        }
        if let Some(why) = self.left_for_spool {
            self.leave(self.left, why);
            return Next::Done;
        }
        match self.pass {
            Pass::Normal if left > 0 && progress => Next::Session(Pass::Normal),
            _ if waiting > 0 => Next::Session(Pass::Isolated),
            // Messages that arrived meanwhile, or were mistaken for isolated ones, may get their turn now.
            Pass::Isolated if !self.went_back && left + others > 0 => {
                self.went_back = true;
                Next::Session(Pass::Normal)
            }
            Pass::Normal if more => Next::ProbeForMore,
            _ => {
                self.leave(self.left, LeftFor::NoProgress);
                Next::Done
            }
        }
    }

    /// Prepares the next session of this poll.
    pub(super) fn go_on(&mut self, next: &Next) {
        self.pass = if let Next::Session(pass) = next { *pass } else { Pass::Normal };
        self.is_probe = matches!(next, Next::ProbeForMore);
        self.has_probed |= self.is_probe;
        if self.pass == Pass::Isolated {
            self.isolated.take_turn();
        }
    }

    /// Decides what follows a session that broke. The messages at which it broke get sessions of their own, so that
    /// everything else gets through; one at which two sessions of this poll broke is left for another poll.
    pub(super) async fn after_broken(&mut self, broken: Broken, state: &mut StateHandle) -> Result<Next, PollError> {
        let (is_framing, is_about_room) = (broken.is_about_framing(), broken.is_about_room());
        let Broken { error, to_isolate, opened } = broken;
        if self.is_probe && !opened && error.is_about_the_server() {
            // The session was held only to look for more: its failure is no news.
            self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::NothingLost });
            self.events.tell(&PollEvent::MayBeMore { had_its_share: false });
            return Ok(Next::Done);
        }
        // Once only: a server may change their unique-ids with each session.
        if std::mem::take(&mut self.closed.left_some) && self.is_more_than_others() && !self.closed.went_on {
            self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::WithoutThose });
            self.closed.give_back(error);
            return Ok(Next::Session(Pass::Normal));
        }
        if is_about_room {
            return self.set_aside_for_lack_of_room(error, &to_isolate, state).await;
        }
        let messages: Vec<ListedAs> = to_isolate.iter().filter_map(ListedAs::of).collect();
        if to_isolate.is_empty() || self.options.dry_run {
            return Err(error);
        }
        // A broken connection is mostly the network's fault: then the next poll starts after the message. If the
        // message has no unique-id, or none that lasts, the next poll would start with it again.
        let had_other_names = self.names_change || to_isolate.iter().any(|listed| self.beyond_limits.has(listed));
        let goes_on = is_framing
            || matches!(error, PollError::Client(ClientError::TooLong(_))) && self.is_first_such(&to_isolate)
            || (messages.is_empty() || had_other_names) && !watch::is_cut_short() && self.is_one_of_few_lost(&error);
        let is_too_long = matches!(error, PollError::Client(ClientError::TooLong(_)));
        // The quarantine of a unique-id that does not last is of no use.
        let broke_alone = self.pass == Pass::Isolated && matches!(error, PollError::Client(_));
        if is_too_long || had_other_names && broke_alone {
            let now = state.read()?.now().seconds();
            to_isolate.iter().for_each(|listed| self.beyond_limits.note(listed, now));
        }
        // What cannot be written here says nothing about the message. It comes last from now on, and is no more delayed.
        if self.pass != Pass::Isolated || !matches!(error, PollError::Maildir { .. }) {
            self.note_where_it_broke(messages, state).await?;
        }
        self.left = self.left.max(to_isolate.len());
        self.broken += 1;
        if !goes_on || self.broken > MOST_BROKEN {
            return Err(error);
        }
        if self.pass == Pass::Normal {
            // It did not fetch what it listed, so the next session is no mere repetition, whatever the unique-ids. A
            // session for one message had nothing else to fetch.
            self.sizes = Sizes::default();
        }
        let too_long = match &error {
            PollError::Client(ClientError::TooLong(too_long)) => Some(too_long.reason()),
            _ => None,
        };
        self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::GoesOn });
        // A message that is too long is not tried again in this poll.
        let was_tried = self.pass == Pass::Isolated || too_long.is_some();
        to_isolate.iter().for_each(|listed| self.isolated.add(listed, was_tried));
        self.tried.extend(self.isolated.had_its_turn());
        if was_tried {
            let why = too_long.unwrap_or_else(|| error.to_string());
            for listed in &to_isolate {
                self.events.tell(&PollEvent::MessageFailed { listed, why: format_args!("{why}") });
                self.tried.extend(ListedAs::of(listed));
            }
        }
        // The other messages always come first: isolated ones must not starve them.
        Ok(Next::Session(Pass::Normal))
    }

    /// Leaves messages for which there was no room any more for another poll. That is nobody's fault, so they get no
    /// quarantine, and smaller ones may fit. The others come first in that poll: one that may hold few sessions would
    /// start with the same messages again.
    async fn set_aside_for_lack_of_room(
        &mut self,
        error: PollError,
        messages: &[Listed],
        state: &mut StateHandle,
    ) -> Result<Next, PollError> {
        let listed_as: Vec<ListedAs> = messages.iter().filter_map(ListedAs::of).collect();
        let others_first = move |store: &mut Store| store.record_others_first(listed_as);
        state.with("write down what had no room", others_first).await??;
        self.broken += 1;
        if self.broken > MOST_BROKEN {
            return Err(error);
        }
        self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::GoesOn });
        if let PollError::InsufficientSpace { path, message: Some(unfit) } = error {
            self.had_no_room = Some(match self.had_no_room.take() {
                Some((path, first)) => (path, first.and(&unfit)),
                None => (path, *unfit),
            });
        }
        messages.iter().for_each(|listed| self.isolated.add(listed, true));
        self.sizes = Sizes::default();
        Ok(Next::Session(Pass::Normal))
    }

    /// Whether a message that has no room in another Maildir than the account's own may end its session, so that smaller
    /// ones still come into that Maildir.
    pub(super) fn may_set_aside(&self) -> bool {
        self.broken < MOST_SET_ASIDE
    }

    /// Returns how the poll ends, given how its sessions did, if some messages had no room.
    pub(super) fn end_with_lack_of_room(&mut self, end: Result<(), PollError>) -> Result<(), PollError> {
        let Some((path, first)) = self.had_no_room.take() else { return end };
        let fetched = self.so_far.messages;
        match end {
            Ok(()) => {
                let message = Some(Box::new(DoesNotFit { fetched, ..first }));
                Err(PollError::InsufficientSpace { path, message })
            }
            Err(PollError::InsufficientSpace { message: Some(later), .. }) => {
                let message = Some(Box::new(DoesNotFit { fetched, ..first.and(&later) }));
                Err(PollError::InsufficientSpace { path, message })
            }
            Err(e) => Err(e),
        }
    }

    /// Whether there may be something to do besides the messages for Maildirs that cannot take mail: delivered messages
    /// may be due for deletion, and a session may not have retrieved everything.
    fn is_more_than_others(&self) -> bool {
        self.account.removal != RemovalPolicy::Keep || self.account.max_messages_per_session.is_some()
    }

    /// Records that a session broke at these messages. If it was one of their own, their entries become doubtful.
    async fn note_where_it_broke(&self, messages: Vec<ListedAs>, state: &mut StateHandle) -> Result<(), PollError> {
        let was_its_turn = self.pass == Pass::Isolated;
        let quarantine = move |store: &mut Store| {
            if was_its_turn {
                store.record_doubt(remembered_as(store.state(), &messages))?;
            }
            store.record_quarantine(messages, QuarantineReason::BrokeSession)
        };
        state.with("write down where a session broke", quarantine).await??;
        Ok(())
    }

    /// Whether a connection broke, and not too often yet.
    fn is_one_of_few_lost(&mut self, error: &PollError) -> bool {
        let PollError::Client(
            ClientError::NoGreeting
            | ClientError::Closed
            | ClientError::Lost { .. }
            | ClientError::Silence { .. }
            | ClientError::TooSlow { .. },
        ) = error
        else {
            return false;
        };
        self.lost += 1;
        self.lost <= MOST_LOST
    }

    /// Whether these messages exceeded their ceiling for the first time. A server that changes the unique-id of such a
    /// message with each session is found out at the second one: then this poll ends, and the next one waits.
    pub(super) fn is_first_such(&mut self, to_isolate: &[Listed]) -> bool {
        let mut first = self.too_long.len() < MOST_TOO_LONG;
        for listed in to_isolate {
            let looks = (listed.number, listed.reported_size);
            first &= !self.too_long.contains(&looks);
            self.too_long.push(looks);
        }
        first
    }

    /// Whether this looks like a message that exceeded its ceiling, whatever its unique-id is now.
    pub(super) fn looks_too_long(&self, listed: &Listed) -> bool {
        self.too_long.contains(&(listed.number, listed.reported_size)) || self.beyond_limits.has(listed)
    }

    /// Leaves the work of the next session to another poll.
    pub(super) fn leave_for(&self, next: &Next, why: LeftFor) {
        if matches!(next, Next::Session(_)) {
            self.leave(self.left.max(1), why);
        }
    }

    /// Reports that messages are left for another poll.
    pub(super) fn leave(&self, messages: usize, why: LeftFor) {
        if messages > 0 {
            self.events.tell(&PollEvent::LeftOver(Left { messages, why }));
        }
    }
}

/// Returns the entries of messages listed like this. Since these did not come complete, it is doubtful whether they are
/// the remembered ones.
fn remembered_as(state: &UidState, messages: &[ListedAs]) -> Vec<EntryId> {
    let alike = |one: &ListedAs| {
        let reported_size = one.reported_size;
        let entries = state.with_unique_id(&one.unique_id);
        entries.filter(move |entry| entry.fingerprint.reported_size == reported_size).map(|entry| entry.id)
    };
    messages.iter().flat_map(alike).collect()
}

/// Marks this entry, those after it and those recognised as unproven. Nothing shows which messages their files hold, or
/// whether they are complete, so they count as absent: what is listed next time is retrieved and identified by its
/// bytes. A header is no proof either, since an incomplete message has its header, too.
pub(super) fn record_unproven(store: &mut Store, first: EntryId, recognised: &[EntryId]) -> Result<(), StateError> {
    let recognised: HashSet<&EntryId> = recognised.iter().collect();
    // What a rule leaves on the server is delivered as adopted.
    let is_delivered = |entry: &Entry| matches!(entry.origin, Origin::Delivered | Origin::Adopted);
    let is_ours = |entry: &&Entry| entry.id >= first && is_delivered(entry);
    let unproven = store.state().entries().filter(|entry| is_ours(entry) || recognised.contains(&entry.id));
    let ids: Vec<EntryId> = unproven.map(|entry| entry.id).collect();
    if ids.is_empty() {
        return store.record_unshown_doubted();
    }
    store.weaken_headers(&ids)?;
    store.record_absent(ids)?;
    store.record_unshown_doubted()?;
    store.settle()
}

/// Marks as unproven what a session that broke or was killed delivered after the last proof that its responses were in
/// step. Anything delivered before is proven.
pub(super) fn doubt_unshown(store: &mut Store) -> Result<(), StateError> {
    store.record_shown()?;
    store.state().unshown().map_or(Ok(()), |first| record_unproven(store, first, &[]))
}
