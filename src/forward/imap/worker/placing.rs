//! Finds the UID of a message that has arrived, if the answer does not name it or cannot be believed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Instant, sleep};

use super::open_ones::{AT_REST, NEXT_LOOK};
use super::{Base, Unplaced, Worker};
use crate::forward::arrived::Arrived;
use crate::forward::error::ForwardError;
use crate::forward::imap::survey::MOST_CANDIDATES;
use crate::forward::letter::Letter;
use crate::message::Digest;
use crate::state::record::MailboxUid;

/// Why a message is set aside that the server took for another one: the server keeps only the other one.
const MERGED: &str = "the destination has taken it for another message, with the same Message-ID";

/// The same for servers other than Gmail, where only the UID shows it.
const OTHER: &str = "the destination says that it has stored it, and names the UID of another message";

/// The same if the server names no UID.
const NONE_CAME: &str =
    "the destination says that it has stored it, and no message has come into the mailbox with its bytes";

/// Where a message is whose APPEND was answered by OK.
enum Placement {
    /// Under this UID, according to its bytes.
    Found(u32),
    /// The same, but that message was there before ours was sent, and it is not known to be one of ours.
    WasThere(u32),
    /// Not among the messages of the last look.
    NotSeen,
    /// It has not arrived, whatever the server says. Holds the reason to set it aside.
    Nowhere(&'static str),
}

impl Worker<'_> {
    /// Finds the UIDs of messages that have arrived, so that they are not taken for others with the same bytes. The
    /// next pass looks for those that this does not find because a stop was requested or the mailbox was recreated.
    pub(super) async fn place(&mut self) -> Result<(), ForwardError> {
        let is_named = !self.unconfirmed.is_empty();
        self.settle_unconfirmed().await?;
        // The look has to know the messages that arrived before.
        self.write().await?;
        if self.unplaced.is_empty() {
            return Ok(());
        }
        let is_elsewhere = |one: &Unplaced| one.named.is_some_and(|uid| uid.validity != self.selected.validity);
        if self.unplaced.iter().any(is_elsewhere) {
            // The mailbox may have been recreated.
            self.select_again().await?;
        }
        self.taken.extend(self.selected.validity, self.pass.known_uids(self.selected.validity).await);
        // If a look fails, the next pass looks for them.
        let unplaced = std::mem::take(&mut self.unplaced);
        let wholes = self.look_under_names(&unplaced).await?;
        let mut not_seen = Vec::new();
        for one in unplaced {
            match self.place_one(&one, &wholes).await? {
                Placement::NotSeen if one.intent.uid_validity == self.selected.validity => not_seen.push(one),
                placement => self.is_placed(&one, placement).await?,
            }
        }
        self.look_again(not_seen).await?;
        self.write().await?;
        if is_named {
            // From here on the mailbox may grow by our messages alone again.
            self.select_again().await?;
        }
        Ok(())
    }

    /// Asks the server for news, if it has not reported all of our messages by itself. What is still not clear then is
    /// told by its bytes.
    async fn settle_unconfirmed(&mut self) -> Result<(), ForwardError> {
        self.confirm();
        if !self.unconfirmed.is_empty() {
            self.session.ask_for_news().await?;
            self.confirm();
        }
        for (stored, intent, uid) in std::mem::take(&mut self.unconfirmed) {
            self.taken.remove(uid.validity, uid.uid);
            self.unplaced.push(Unplaced { stored, intent, named: Some(uid) });
        }
        self.highest_named = 0;
        Ok(())
    }

    /// Reopens the mailbox. Returns whether it was recreated.
    async fn select_again(&mut self) -> Result<bool, ForwardError> {
        let before = self.selected.validity;
        self.selected = self.session.select(&self.to.mailbox).await?;
        self.base = Base::of(self.selected);
        let validity = self.selected.validity;
        if validity != before {
            self.taken.extend(validity, self.pass.known_uids(validity).await);
            self.highest = 0;
        }
        Ok(validity != before)
    }

    /// Returns the digests of what is under the UIDs that the server names.
    async fn look_under_names(&mut self, unplaced: &[Unplaced]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        let with_nul: Vec<Digest> = unplaced.iter().filter_map(|one| one.stored.letter().whole_with_nul()).collect();
        let named = unplaced.iter().filter_map(|one| self.named(one).filter(|uid| *uid >= self.first_possible(one)));
        let named: BTreeSet<u32> = named.collect();
        let named: Vec<u32> = named.into_iter().collect();
        self.session.wholes(&named, &with_nul).await
    }

    async fn place_one(&mut self, one: &Unplaced, wholes: &BTreeMap<u32, Digest>) -> Result<Placement, ForwardError> {
        let (letter, intent) = (one.stored.letter(), &one.intent);
        let (named, validity) = (self.named(one), self.selected.validity);
        let is_free = |uid: u32| uid > self.highest && !self.taken.has(validity, uid);
        let is_new = named.is_some_and(|uid| uid >= self.first_possible(one) && is_free(uid));
        match named {
            Some(uid) if is_new && wholes.get(&uid) == Some(&letter.whole) => Ok(Placement::Found(uid)),
            Some(uid) if self.is_gmail() => {
                let is_there = !is_new && self.has(uid, letter).await?;
                Ok(if is_there { self.there(one, uid) } else { Placement::Nowhere(MERGED) })
            }
            _ if intent.uid_validity != validity => Ok(Placement::NotSeen),
            _ => Ok(self.find(one).await?.map_or(Placement::NotSeen, Placement::Found)),
        }
    }

    /// Judges a message with the same bytes that the server names. If it is not one of ours and was there before, it
    /// may be the very message at the source: where mail is forwarded into the mailbox that it comes from.
    fn there(&self, one: &Unplaced, uid: u32) -> Placement {
        let is_ours = uid >= self.first_possible(one) || self.taken.has(self.selected.validity, uid);
        if is_ours { Placement::Found(uid) } else { Placement::WasThere(uid) }
    }

    /// Returns the UID in this mailbox that the server names for a message.
    fn named(&self, one: &Unplaced) -> Option<u32> {
        one.named.filter(|uid| uid.validity == self.selected.validity).map(|uid| uid.uid)
    }

    /// Returns the lowest UID that a message can have.
    fn first_possible(&self, one: &Unplaced) -> u32 {
        if one.intent.uid_validity == self.selected.validity { one.intent.uid_next } else { 1 }
    }

    /// Records where a message is.
    async fn is_placed(&mut self, one: &Unplaced, placement: Placement) -> Result<(), ForwardError> {
        let (validity, letter) = (self.selected.validity, one.stored.letter());
        let uid = match placement {
            Placement::NotSeen => return Ok(()),
            Placement::Nowhere(why) => return self.pass.set_aside(&letter.spooled, why).await,
            Placement::WasThere(uid) => {
                self.pass.was_there(&letter.spooled);
                let was_there = Arrived::before(&one.stored, MailboxUid { validity, uid });
                self.unwritten.push(self.pass.arrived(was_there));
                return Ok(());
            }
            Placement::Found(uid) => uid,
        };
        self.taken.add(validity, uid);
        self.highest = self.highest.max(uid);
        let arrived = Arrived::by_append(&one.stored, MailboxUid { validity, uid });
        self.unwritten.push(self.pass.arrived(arrived));
        Ok(())
    }

    /// Repeats the look for messages that were not seen, until they are, or until none has arrived for so long that an
    /// OK proves nothing any more. Some servers show new messages only after the mailbox is reopened, others only some
    /// time later.
    async fn look_again(&mut self, mut not_seen: Vec<Unplaced>) -> Result<(), ForwardError> {
        let (begun, mut is_first) = (Instant::now(), true);
        while !not_seen.is_empty() {
            let (before, is_rest) = (self.selected, begun.elapsed() >= AT_REST);
            if self.select_again().await? {
                return Ok(());
            }
            if std::mem::take(&mut is_first) || is_rest || self.selected != before {
                for one in std::mem::take(&mut not_seen) {
                    let found = match self.find(&one).await? {
                        Some(uid) => Placement::Found(uid),
                        // A server that names a UID has stored the message that it means: waiting does not help.
                        None if is_rest || self.named(&one).is_some() => self.conclude(&one).await?,
                        None => Placement::NotSeen,
                    };
                    match found {
                        Placement::NotSeen => not_seen.push(one),
                        found => self.is_placed(&one, found).await?,
                    }
                }
            }
            self.write().await?;
            if not_seen.is_empty() {
                break;
            }
            tokio::select! {
                () = sleep(NEXT_LOOK) => {}
                () = self.pass.is_to_end() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Decides what an OK is worth if the mailbox has no new message with these bytes. Messages that arrived for
    /// another APPEND, or with other bytes, prove nothing.
    async fn conclude(&mut self, one: &Unplaced) -> Result<Placement, ForwardError> {
        let Some(uid) = self.named(one) else { return Ok(Placement::Nowhere(NONE_CAME)) };
        let is_there = self.has(uid, one.stored.letter()).await?;
        Ok(if is_there { self.there(one, uid) } else { Placement::Nowhere(OTHER) })
    }

    /// Whether the message with this UID has the bytes of `letter`.
    async fn has(&mut self, uid: u32, letter: &Letter) -> Result<bool, ForwardError> {
        let with_nul = letter.whole_with_nul();
        Ok(self.session.wholes(&[uid], with_nul.as_slice()).await?.get(&uid) == Some(&letter.whole))
    }

    /// Searches the mailbox for a message that has arrived, and returns its UID.
    async fn find(&mut self, one: &Unplaced) -> Result<Option<u32>, ForwardError> {
        let fitting = self.free(one, |size| size == one.stored.letter().size).await?;
        // A header with NUL is not shown as it was sent.
        let found = match one.stored.letter().has_nul_in_header {
            true => self.same(one.stored.letter(), fitting).await?,
            false => self.like(one.stored.letter(), fitting).await?,
        };
        if found.is_some() || self.named(one).is_some() {
            return Ok(found);
        }
        // The server may change what it stores, or state estimated sizes.
        let others = self.free(one, |size| size != one.stored.letter().size).await?;
        self.like(one.stored.letter(), others).await
    }

    /// Returns the UIDs, the lowest ones, that a message can have, that belong to no other, and whose size fits.
    async fn free(
        &mut self,
        one: &Unplaced,
        fits: impl Fn(u64) -> bool + Send + Sync,
    ) -> Result<Vec<u32>, ForwardError> {
        let (from, mut free) = (self.first_possible(one), Vec::new());
        let (taken, validity) = (&self.taken, self.selected.validity);
        let take = |uid, size| {
            if free.len() < MOST_CANDIDATES && fits(size) && !taken.has(validity, uid) {
                free.push(uid);
            }
        };
        self.session.sizes(from, take).await?;
        Ok(free)
    }

    /// Returns the first of these UIDs with the header of a message and with its bytes.
    async fn like(&mut self, letter: &Letter, uids: Vec<u32>) -> Result<Option<u32>, ForwardError> {
        let headers = self.session.headers(&uids).await?;
        let alike = headers.into_iter().filter(|(_, header)| *header == letter.header).map(|(uid, _)| uid);
        let alike: Vec<u32> = alike.collect();
        self.same(letter, alike).await
    }

    /// Returns the first of these UIDs with the bytes of a message.
    async fn same(&mut self, letter: &Letter, mut uids: Vec<u32>) -> Result<Option<u32>, ForwardError> {
        let wholes = self.session.wholes(&uids, letter.whole_with_nul().as_slice()).await?;
        uids.retain(|uid| wholes.get(uid) == Some(&letter.whole));
        Ok(self.is_found(uids.first().copied()))
    }

    /// Notes that messages appended from now on have higher UIDs than one that was found.
    fn is_found(&mut self, found: Option<u32>) -> Option<u32> {
        if let Some(uid) = found {
            self.selected.next = self.selected.next.max(uid.saturating_add(1));
        }
        found
    }
}
