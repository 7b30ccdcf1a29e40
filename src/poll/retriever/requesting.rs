//! Requests messages ahead, as far as the window and the free space allow.

use std::sync::Arc;
use std::time::Duration;

use super::{Requested, Retriever, free_space_in};
use crate::disk::free_space::FreeSpaces;
use crate::poll::error::PollError;
use crate::poll::retrieval::LackOfSpace;
use crate::pop3::Command;
use crate::watch;

/// A session requests no further message after this long; the rest is left for another session.
const SESSION: Duration = Duration::from_secs(3600);

/// A session that is to give way still requests messages for this long: if listing takes longer than a turn, no poll
/// would ever retrieve anything otherwise.
const TURN: Duration = Duration::from_secs(10);

impl Retriever<'_> {
    pub(super) async fn ask_ahead(&mut self) -> Result<(), PollError> {
        // In batches, as the window does.
        let window = self.client.window();
        let is_worth_it = self.client.outstanding() <= window - window / 8 || self.under_way.is_empty();
        if !is_worth_it && !self.retrieval.messages.is_empty() {
            return Ok(());
        }
        let runs = self.begun.elapsed();
        let is_over = runs > SESSION || runs > TURN && watch::is_to_give_way();
        if self.deadline.is_some() || is_over || self.done.refused.are_too_many() {
            return Ok(());
        }
        while is_worth_it && self.client.outstanding() < window && (self.under_way.is_empty() || self.window.is_open())
        {
            if self.is_to_ask_between() {
                self.ask_whether_in_step()?;
                continue;
            }
            let Some(next) = self.retrieval.messages.front() else { break };
            let size = self.retrieval.size(next);
            let Some(promise) = self.retrieval.space.promise(size) else {
                if !self.under_way.is_empty() {
                    // The messages in flight may turn out smaller than listed.
                    break;
                }
                match std::mem::replace(&mut self.has_looked, true) {
                    false => self.look_at_free_space().await?,
                    true => self.does_not_fit(),
                }
                continue;
            };
            if self.retrieval.beside.is_some() {
                // Before the message, so that its size is known when it begins.
                self.client.ask(Command::List(Some(next.number)))?;
            }
            self.client.ask(Command::Retr(next.number))?;
            self.in_step = false;
            self.retrieval.in_step.retrieves(next);
            self.window.asked(size);
            self.done.asked += 1;
            let next = self.retrieval.messages.pop_front();
            self.under_way.extend(next.map(|listed| Requested { listed, promise }));
        }
        if self.retrieval.messages.is_empty() && self.done.asked > 0 && self.client.outstanding() < self.client.window()
        {
            self.ask_whether_in_step()?;
        }
        Ok(())
    }

    /// Looks up how much space there is now.
    pub(super) async fn look_at_free_space(&mut self) -> Result<(), PollError> {
        let (disk, dir) = (Arc::clone(&self.context.disk), self.retrieval.space.dir().clone());
        let now = free_space_in(disk, dir).await?;
        self.retrieval.space.see(now.now);
        let empty = self.retrieval.free_spaces.empty;
        self.retrieval.free_spaces = FreeSpaces { empty, ..now };
        Ok(())
    }

    /// Notes that the next message exceeds the free space. A size is only a hint and may be wrong: other messages must
    /// not suffer from it.
    pub(super) fn does_not_fit(&mut self) {
        let Some(listed) = self.retrieval.messages.pop_front() else { return };
        let (space, size) = (self.retrieval.free_spaces, self.retrieval.size(&listed));
        let promised = self.retrieval.space.promised_before(size);
        let lack = self.done.insufficient_space.get_or_insert(LackOfSpace {
            first: listed,
            never: size > space.empty,
            available: space.available,
            promised,
            reserve: space.reserve,
            messages: 0,
            octets: 0,
        });
        lack.messages += 1;
        lack.octets = lack.octets.saturating_add(size);
    }

    /// Reverses the rest of the messages without a quarantine, so that the newest are requested first.
    pub(super) fn newest_first(&mut self) {
        let tried = usize::try_from(self.done.asked).unwrap_or(usize::MAX);
        let untried = self.retrieval.untried.saturating_sub(tried);
        if let Some(untried) = self.retrieval.messages.make_contiguous().get_mut(..untried) {
            untried.reverse();
        }
    }
}
