//! What comes after a session: the end of the poll, or another session, and when.

use std::collections::HashSet;

use tokio::time::sleep;

use super::Poll;
use super::another::{Another, SoFar, another};
use super::error::PollError;
use super::events::{AfterFailure, PollEvent};
use super::report::{Left, LeftFor};
use super::session::{Broken, Ended};
use crate::account::RemovalPolicy;
use crate::client::ClientError;
use crate::ids::EntryId;
use crate::message::Digest;
use crate::plan::Pass;
use crate::plan::maildrop::{Listed, Sizes};
use crate::provider::Provider;
use crate::state::entries::{Entry, ListedAs, Origin, QuarantineReason, UidState};
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::store::Store;
use crate::watch;

/// No poll goes on after more sessions than this that broke at a message.
const MOST_BROKEN: u32 = 20;

/// Nor after more than this that were ended because a message went on beyond what it may have.
const MOST_TOO_LONG: usize = 5;

/// Nor after more than this whose connections ended at messages that have no names.
const MOST_LOST: u32 = 6;

/// What comes after a session.
pub(super) enum Next {
    /// The poll is over.
    Done,
    /// Another session, for these messages.
    Session(Pass),
    /// Another session, because everything was new and some servers list only so many at a time.
    ProbeForMore,
}

impl Poll {
    /// Waits until another session may begin. Some if that is the next poll's.
    pub(super) async fn wait_for_another(&mut self, state: &StateHandle) -> Result<Option<LeftFor>, PollError> {
        let trusted = !Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        let so_far = SoFar {
            time: self.begun.elapsed(),
            login_delay: self.so_far.login_delay.filter(|_| trusted),
            others_wait: watch::is_in_the_way() || watch::is_to_give_way(),
            lacks_room: !self.has_room(state),
            ..self.so_far
        };
        let delay = match another(&so_far) {
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

    /// What comes after a session that ended in order; `more` says that the server may not have listed everything.
    pub(super) fn after(&mut self, ended: &Ended, progress: bool, more: bool) -> Next {
        let Ended { left, others, .. } = *ended;
        if self.pass == Pass::Isolated {
            self.tried.extend(self.suspects.had_its_turn());
        }
        let suspects = self.suspects.waiting();
        // A listing that is short proves nothing: what was left over and is not listed now is left over all the same.
        let missing = self.left.saturating_sub(self.listed);
        self.left = (left + others.max(suspects)).max(missing);
        self.went_back &= !progress;
        if ended.gave_up {
            self.leave(self.left, LeftFor::Refusals);
            return Next::Done;
        }
        if self.spool_is_full {
            self.leave(self.left, LeftFor::FullSpool);
            return Next::Done;
        }
        match self.pass {
            Pass::Normal if left > 0 && progress => Next::Session(Pass::Normal),
            _ if suspects > 0 => Next::Session(Pass::Isolated),
            // What came meanwhile, or was taken for a suspect, may have its turn now.
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

    /// The next session of this poll may begin.
    pub(super) fn go_on(&mut self, next: &Next) {
        self.pass = if let Next::Session(pass) = next { *pass } else { Pass::Normal };
        self.is_probe = matches!(next, Next::ProbeForMore);
        self.has_probed |= self.is_probe;
        if self.pass == Pass::Isolated {
            self.suspects.take_turn();
        }
    }

    /// What comes after a session that did not. The messages at which it broke get sessions of their own, so that
    /// everything else flows; what broke twice in this poll is left for another one.
    pub(super) async fn after_broken(&mut self, broken: Broken, state: &mut StateHandle) -> Result<Next, PollError> {
        let is_framing = broken.is_about_framing();
        let Broken { error, to_isolate, opened } = broken;
        if self.is_probe && !opened && error.is_about_the_server() {
            // The session was held only to see whether there is more: that it failed is no news.
            self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::NothingLost });
            self.events.tell(&PollEvent::MayBeMore { had_its_share: false });
            return Ok(Next::Done);
        }
        // Once: a server may give them other unique-ids in each session.
        if std::mem::take(&mut self.closed.left_some) && self.is_more_than_others() && !self.closed.went_on {
            self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::WithoutThose });
            self.closed.give_back(error);
            return Ok(Next::Session(Pass::Normal));
        }
        let messages: Vec<ListedAs> = to_isolate.iter().filter_map(ListedAs::of).collect();
        if to_isolate.is_empty() || self.options.dry_run {
            return Err(error);
        }
        // A connection that ends is mostly the network's fault: then the next poll begins behind the message. Where nothing
        // names it, the next poll would begin with it.
        let goes_on = is_framing
            || matches!(error, PollError::Client(ClientError::TooLong(_))) && self.is_first_such(&to_isolate)
            || messages.is_empty() && self.is_one_of_few_lost(&error);
        self.note_where_it_broke(messages, state).await?;
        self.left = self.left.max(to_isolate.len());
        self.broken += 1;
        if !goes_on || self.broken > MOST_BROKEN {
            return Err(error);
        }
        if self.pass == Pass::Normal {
            // What it has listed it has not fetched: the next one is not the same again, whatever the unique-ids. A session of
            // one message had nothing else to fetch.
            self.sizes = Sizes::default();
        }
        let too_long = match &error {
            PollError::Client(ClientError::TooLong(too_long)) => Some(too_long.reason()),
            _ => None,
        };
        self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::GoesOn });
        // What is too long is not tried again in this poll.
        let was_tried = self.pass == Pass::Isolated || too_long.is_some();
        to_isolate.iter().for_each(|listed| self.suspects.broke(listed, was_tried));
        self.tried.extend(self.suspects.had_its_turn());
        if was_tried {
            let why = too_long.unwrap_or_else(|| error.to_string());
            for listed in &to_isolate {
                self.events.tell(&PollEvent::MessageFailed { listed, why: format_args!("{why}") });
                self.tried.extend(ListedAs::of(listed));
            }
        }
        // Sound ones first, always: the suspects must not starve them.
        Ok(Next::Session(Pass::Normal))
    }

    /// Whether there is something to do without the messages that are for Maildirs that take none: what was delivered may be
    /// due for deletion, and a session may not have retrieved all.
    fn is_more_than_others(&self) -> bool {
        self.account.removal != RemovalPolicy::Keep || self.account.max_messages_per_session.is_some()
    }

    /// Writes down that a session broke at these. If that was one of their own, what is remembered of them is doubtful.
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

    /// Whether a connection ended at a message, and not too often yet.
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

    /// Whether these went on beyond what they may have for the first time. A server that gives such a message another
    /// unique-id in each session is met at the second one: then this poll ends, and the next one waits.
    pub(super) fn is_first_such(&mut self, to_isolate: &[Listed]) -> bool {
        let mut first = self.too_long.len() < MOST_TOO_LONG;
        for listed in to_isolate {
            let looks = (listed.number, listed.reported_size);
            first &= !self.too_long.contains(&looks);
            self.too_long.push(looks);
        }
        first
    }

    /// Whether this looks like one that went on beyond what it may have, whatever its unique-id is now.
    pub(super) fn looks_too_long(&self, listed: &Listed) -> bool {
        self.too_long.contains(&(listed.number, listed.reported_size))
    }

    /// What the next session would have been for is another poll's.
    pub(super) fn leave_for(&self, next: &Next, why: LeftFor) {
        if matches!(next, Next::Session(_)) {
            self.leave(self.left.max(1), why);
        }
    }

    /// So many messages are another poll's.
    pub(super) fn leave(&self, messages: usize, why: LeftFor) {
        if messages > 0 {
            self.events.tell(&PollEvent::LeftOver(Left { messages, why }));
        }
    }
}

/// What is remembered of messages that are listed so: that they did not come whole makes it doubtful whether these are they.
fn remembered_as(state: &UidState, messages: &[ListedAs]) -> Vec<EntryId> {
    let alike = |one: &ListedAs| {
        let reported_size = one.reported_size;
        let entries = state.with_unique_id(&one.unique_id);
        entries.filter(move |entry| entry.fingerprint.reported_size == reported_size).map(|entry| entry.id)
    };
    messages.iter().flat_map(alike).collect()
}

/// Nothing tells which messages are in the files of this entry, of those behind it and of those that seemed to come again, or
/// whether all of them is there, so they are as good as not there: what is listed next time is retrieved, and its bytes
/// tell. Their headers do not: the header is there in half a message, too.
pub(super) fn record_unproven(store: &mut Store, first: EntryId, recognised: &[EntryId]) -> Result<(), StateError> {
    let recognised: HashSet<&EntryId> = recognised.iter().collect();
    let is_ours = |entry: &&Entry| entry.id >= first && entry.origin == Origin::Delivered;
    let unproven = store.state().entries().filter(|entry| is_ours(entry) || recognised.contains(&entry.id));
    let (ids, headers): (Vec<EntryId>, Vec<Option<Digest>>) =
        unproven.map(|entry| (entry.id, entry.fingerprint.header)).unzip();
    if ids.is_empty() {
        return store.record_unshown_doubted();
    }
    let headers = ids.iter().zip(headers).filter_map(|(id, header)| Some((*id, header?.weakened()))).collect();
    store.record_fingerprinted(headers)?;
    store.record_absent(ids)?;
    store.record_unshown_doubted()?;
    store.settle()
}

/// What was delivered in a session that broke, or was killed, before anything showed that its answers were in step is not
/// proven. What came before such a sign is.
pub(super) fn doubt_unshown(store: &mut Store) -> Result<(), StateError> {
    store.record_shown()?;
    store.state().unshown().map_or(Ok(()), |first| record_unproven(store, first, &[]))
}
