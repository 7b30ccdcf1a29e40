//! Finds the UID of a message that has arrived, if the answer does not name it or cannot be believed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::{Instant, sleep};

use super::open_ones::{AT_REST, NEXT_LOOK};
use super::{Unplaced, Worker};
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
const NONE_CAME: &str = "the destination says that it has stored it, and no message has come into the mailbox";

/// Where a message is whose APPEND was answered by OK.
enum Placement {
    /// Under this UID, according to the server or to its header.
    At(u32),
    /// Under this UID, according to its bytes.
    Found(u32),
    /// Not among the messages of the last look.
    NotSeen,
    /// It has not arrived, whatever the server says. Holds the reason to set it aside.
    Nowhere(&'static str),
}

/// What is under the UIDs that the server names.
#[derive(Default)]
struct Named {
    /// At Gmail: the sizes of the messages, by UID.
    sizes: BTreeMap<u32, u64>,
    /// The digests of all octets, for UIDs that are not believed without.
    wholes: BTreeMap<u32, Digest>,
}

impl Worker<'_> {
    /// Finds the UIDs of messages that have arrived, so that they are not taken for others with the same bytes. The
    /// next pass looks for those that this does not find because a stop was requested or the mailbox was recreated.
    pub(super) async fn place(&mut self) -> Result<(), ForwardError> {
        // The look has to know the messages that arrived before.
        self.write().await?;
        let is_elsewhere = |one: &Unplaced| one.named.is_some_and(|uid| uid.validity != self.selected.validity);
        if self.unplaced.iter().any(is_elsewhere) {
            // The mailbox may have been recreated.
            self.select_again().await?;
        }
        self.taken.extend(self.selected.validity, self.pass.known_uids(self.selected.validity).await);
        // If a look fails, the next pass looks for them.
        let unplaced = std::mem::take(&mut self.unplaced);
        let under = self.look_under_names(&unplaced).await?;
        let mut not_seen = Vec::new();
        for one in unplaced {
            match self.place_one(&one, &under).await? {
                Placement::NotSeen if one.intent.uid_validity == self.selected.validity => not_seen.push(one),
                placement => self.is_placed(&one, placement).await?,
            }
        }
        self.look_again(not_seen).await
    }

    /// Reopens the mailbox. Returns whether it was recreated.
    async fn select_again(&mut self) -> Result<bool, ForwardError> {
        let before = self.selected.validity;
        self.selected = self.session.select(&self.to.mailbox).await?;
        let validity = self.selected.validity;
        if validity != before {
            self.taken.extend(validity, self.pass.known_uids(validity).await);
            self.highest = 0;
        }
        Ok(validity != before)
    }

    /// Whether only its bytes tell a message from another one of ours, whatever UID is named.
    fn is_told_by_bytes(&self, letter: &Letter) -> bool {
        self.taken.has_rival(letter) || self.is_gmail() && self.taken.has_rival_of_its_size(letter)
    }

    async fn look_under_names(&mut self, unplaced: &[Unplaced]) -> Result<Named, ForwardError> {
        let (mut sizes, mut named, mut doubtful) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let with_nul: Vec<Digest> = unplaced.iter().filter_map(|one| one.stored.letter().whole_with_nul()).collect();
        for one in unplaced {
            let Some(uid) = one.named.map(|uid| uid.uid).filter(|uid| *uid >= one.intent.uid_next) else { continue };
            named.insert(uid);
            if self.is_told_by_bytes(one.stored.letter()) {
                doubtful.insert(uid);
            }
        }
        if let Some(lowest) = named.first().copied().filter(|_| self.is_gmail()) {
            let take = |uid, size| {
                if named.contains(&uid) {
                    sizes.insert(uid, size);
                }
            };
            self.session.sizes(lowest, take).await?;
        }
        let doubtful: Vec<u32> = doubtful.into_iter().collect();
        Ok(Named { sizes, wholes: self.session.wholes(&doubtful, &with_nul).await? })
    }

    async fn place_one(&mut self, one: &Unplaced, under: &Named) -> Result<Placement, ForwardError> {
        let (letter, intent) = (one.stored.letter(), &one.intent);
        let (named, validity) = (self.named(one), self.selected.validity);
        let is_free = |uid: u32| uid > self.highest && !self.taken.has(validity, uid);
        let is_new = named.is_some_and(|uid| uid >= self.first_possible(one) && is_free(uid));
        let has_bytes = |uid: u32| under.wholes.get(&uid) == Some(&letter.whole);
        let has_size = |uid: u32| under.sizes.get(&uid) == Some(&letter.size);
        match named {
            Some(uid) if is_new && self.is_told_by_bytes(letter) && has_bytes(uid) => Ok(Placement::Found(uid)),
            Some(uid) if is_new && !self.is_told_by_bytes(letter) && (!self.is_gmail() || has_size(uid)) => {
                Ok(Placement::At(uid))
            }
            Some(uid) if self.is_gmail() => {
                let is_ours = !is_new && self.has(uid, letter).await?;
                Ok(if is_ours { Placement::Found(uid) } else { Placement::Nowhere(MERGED) })
            }
            _ if intent.uid_validity != validity => Ok(Placement::NotSeen),
            _ => Ok(self.find(one).await?.map_or(Placement::NotSeen, Placement::At)),
        }
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
            Placement::Found(uid) => {
                self.taken.add(validity, uid);
                uid
            }
            // Another connection may have learned meanwhile that this UID is another message's.
            Placement::At(uid) if !self.taken.add(validity, uid) && !self.has(uid, letter).await? => {
                return self.pass.set_aside(&letter.spooled, OTHER).await;
            }
            Placement::At(uid) => uid,
        };
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
                        Some(uid) => Placement::At(uid),
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

    /// Decides what an OK is worth if the mailbox has no new message with this header. Messages that arrived for
    /// another APPEND, or with another header, prove nothing.
    async fn conclude(&mut self, one: &Unplaced) -> Result<Placement, ForwardError> {
        let Some(uid) = self.named(one) else { return Ok(Placement::Nowhere(NONE_CAME)) };
        let is_there = self.has(uid, one.stored.letter()).await?;
        Ok(if is_there { Placement::Found(uid) } else { Placement::Nowhere(OTHER) })
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

    /// Returns the UIDs, the newest ones, that a message can have, that belong to no other, and whose size fits.
    async fn free(
        &mut self,
        one: &Unplaced,
        fits: impl Fn(u64) -> bool + Send + Sync,
    ) -> Result<Vec<u32>, ForwardError> {
        let (from, mut free) = (self.first_possible(one), VecDeque::new());
        let (taken, validity) = (&self.taken, self.selected.validity);
        let take = |uid, size| {
            if fits(size) && !taken.has(validity, uid) {
                free.push_back(uid);
            }
            if free.len() > MOST_CANDIDATES {
                free.pop_front();
            }
        };
        self.session.sizes(from, take).await?;
        Ok(free.into())
    }

    /// Returns the first of these UIDs with the header of a message, and with its bytes if another one of ours may have
    /// the same header.
    async fn like(&mut self, letter: &Letter, uids: Vec<u32>) -> Result<Option<u32>, ForwardError> {
        let headers = self.session.headers(&uids).await?;
        let alike = headers.into_iter().filter(|(_, header)| *header == letter.header).map(|(uid, _)| uid);
        let alike: Vec<u32> = alike.collect();
        if self.taken.has_rival(letter) {
            return self.same(letter, alike).await;
        }
        Ok(self.is_found(alike.first().copied()))
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
