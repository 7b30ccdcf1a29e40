//! The end of a session: what it did is written down around QUIT, which makes the server remove what was marked.

use super::Poll;
use super::error::{DoesNotFit, PollError};
use super::events::PollEvent;
use super::retrieval::{NoRoom, Retrieved};
use super::retriever::DRAIN;
use crate::client::Client;
use crate::client::Message;
use crate::ids::EntryId;
use crate::pop3::MessageNumber;
use crate::state::entries::{QuarantineReason, UidState};
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// What a session did that is only true once it has ended in order.
pub(super) struct Work {
    /// What came.
    pub(super) retrieved: Retrieved,
    /// Marked as deleted.
    pub(super) marked: Vec<EntryId>,
    /// The numbers of those.
    pub(super) numbers: Vec<MessageNumber>,
    /// Need not be remembered any more.
    pub(super) forget: Vec<EntryId>,
}

impl Poll {
    /// Waits for the answer to QUIT, but not for long once the end was asked for: it has been sent, and what the server
    /// makes of it is seen next time.
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

    /// QUIT is a promise: the server may take away whatever was retrieved. So it is only sent when that is safe.
    ///
    /// Tells whether anything was retrieved.
    pub(super) async fn end_session(
        &mut self,
        state: &mut StateHandle,
        client: Client,
        work: Work,
    ) -> Result<bool, PollError> {
        let Work { retrieved, marked, numbers, forget } = work;
        let refused = retrieved.refused.alone();
        let known = u64::try_from(retrieved.known.len()).unwrap_or(u64::MAX);
        if retrieved.asked != retrieved.safe + known + refused + retrieved.refused.not_given() {
            return Err(PollError::contradiction(
                "end the session",
                "not everything that was asked for is accounted for",
            ));
        }
        if let Some((first, octets)) = &retrieved.first_short {
            self.events.tell(&PollEvent::EndedEarly { first, octets: *octets, messages: retrieved.short });
        }
        let (verified, still_short) =
            (retrieved.verified(), retrieved.still_short.values().flatten().cloned().collect());
        let promised = marked.clone();
        let absent: Vec<EntryId> = retrieved.absent.clone();
        let before_quit = move |store: &mut Store| {
            store.record_verified(verified)?;
            store.record_quarantine_over(still_short)?;
            store.record_absent(absent)?;
            // Should the answer to QUIT be lost, another message may have taken the place of one of these.
            if promised.is_empty() { Ok(()) } else { store.record_doubt(promised) }
        };
        state.with("write down what is to be removed", before_quit).await??;
        let acknowledged = self.quit(client).await?;
        if !acknowledged && !marked.is_empty() {
            self.events.tell(&PollEvent::QuitNotAcknowledged);
        }
        let removed = if acknowledged { marked } else { Vec::new() };
        self.suspects.removed(if acknowledged { &numbers } else { &[] });
        let deleted = removed.clone();
        let known = state.read()?.state();
        let sizes = new_sizes(known, &retrieved);
        let troubled = retrieved.refused.listed_as().to_vec();
        self.tried.extend(troubled.iter().cloned());
        let over_limit = retrieved.refused.limit().and_then(|limit| limit.first.clone());
        let after_quit = move |store: &mut Store| {
            store.record_resized(sizes)?;
            store.record_removed(removed)?;
            store.record_forgotten(forget)?;
            store.record_quarantine(troubled, QuarantineReason::Refused)?;
            over_limit.map_or(Ok(()), |first| store.record_over_limit(first))?;
            store.settle()
        };
        state.with("write down what was removed", after_quit).await??;
        self.events.tell(&PollEvent::Deleted(&deleted));
        self.events.tell(&PollEvent::SessionEnded { trouble: None });
        if let Some(NoRoom { first, never, available, reserve, messages, octets }) = retrieved.insufficient_space {
            let what = Message(&first, &self.redactor).to_string();
            let fetched = retrieved.safe;
            let message = DoesNotFit { what, messages, octets, available, reserve, never, fetched };
            return Err(PollError::InsufficientSpace { path: self.account.maildir.clone(), message: Some(message) });
        }
        if retrieved.stopped { Err(PollError::Stopped) } else { Ok(retrieved.safe > 0) }
    }
}

/// The sizes that remembered messages are listed with now, where they had others.
fn new_sizes(known: &UidState, retrieved: &Retrieved) -> Vec<(EntryId, u64)> {
    let is_new = |(id, size): &(EntryId, u64)| {
        known.entry(*id).is_some_and(|entry| entry.fingerprint.reported_size != Some(*size))
    };
    let listed = retrieved.known.iter().filter_map(|(id, listed)| Some((*id, listed.reported_size?)));
    listed.filter(is_new).collect()
}
