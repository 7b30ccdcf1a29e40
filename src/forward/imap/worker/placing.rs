//! Under which UID a message has arrived, where the answer does not tell or cannot be believed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Unplaced, Worker};
use crate::forward::error::ForwardError;
use crate::forward::imap::survey::MOST_CANDIDATES;
use crate::forward::letter::Letter;
use crate::state::record::MailboxUid;

/// Why a message is set aside that the server has taken for another one. It keeps that one.
const MERGED: &str = "the destination has taken it for another message, with the same Message-ID";

/// The same, where the server is another one than Gmail, and only the UID shows it.
const OTHER: &str = "the destination says that it has stored it, and names the UID of another message";

/// The same, where it names none.
const NONE_CAME: &str = "the destination says that it has stored it, and no message has come into the mailbox";

/// Where a message is that was answered by OK.
enum Place {
    /// Under this UID.
    At(u32),
    /// Somewhere; the server's word is all there is, and nothing contradicts it.
    Unknown,
    /// The mailbox was made anew: the next pass looks for it.
    Open,
    /// It has not arrived, whatever the server says.
    Nowhere(&'static str),
}

impl Worker<'_> {
    /// Finds out under which UIDs messages have arrived, so that they are not taken for others with the same bytes.
    pub(super) async fn place(&mut self) -> Result<(), ForwardError> {
        // Those before them have to be known.
        self.write().await?;
        let is_elsewhere = |one: &Unplaced| one.named.is_some_and(|uid| uid.validity != self.selected.validity);
        if self.unplaced.iter().any(is_elsewhere) {
            // The mailbox may have been made anew.
            let before = self.selected.validity;
            self.selected = self.session.select(&self.to.mailbox).await?;
            self.highest = if self.selected.validity == before { self.highest } else { 0 };
        }
        self.taken.extend(self.selected.validity, self.pass.known_uids(self.selected.validity).await);
        // If that comes to nothing they are looked for by the next pass.
        let unplaced = std::mem::take(&mut self.unplaced);
        let sizes = self.sizes(&unplaced).await?;
        for one in unplaced {
            if let Some(uid) = self.place_one(&one, &sizes).await? {
                self.unwritten.push(self.pass.arrived(&one.letter, uid));
            }
        }
        Ok(())
    }

    /// At Gmail: the sizes of what is under the UIDs that are named, as far as they are new.
    async fn sizes(&mut self, unplaced: &[Unplaced]) -> Result<BTreeMap<u32, u64>, ForwardError> {
        let mut sizes = BTreeMap::new();
        let named = unplaced.iter().filter_map(|one| Some(one.named?.uid).filter(|uid| *uid >= one.intent.uid_next));
        let named: BTreeSet<u32> = named.collect();
        if let Some(lowest) = named.first().copied().filter(|_| self.is_gmail()) {
            let take = |uid, size| {
                if named.contains(&uid) {
                    sizes.insert(uid, size);
                }
            };
            self.session.sizes(lowest, take).await?;
        }
        Ok(sizes)
    }

    /// The UID of a message, if it can be found. The outer None: it is not taken to have arrived.
    async fn place_one(
        &mut self,
        one: &Unplaced,
        sizes: &BTreeMap<u32, u64>,
    ) -> Result<Option<Option<MailboxUid>>, ForwardError> {
        let Unplaced { letter, intent, named } = one;
        let validity = self.selected.validity;
        let from = if intent.uid_validity == validity { intent.uid_next } else { 1 };
        let named = named.filter(|uid| uid.validity == validity).map(|uid| uid.uid);
        let is_new = named.is_some_and(|uid| uid >= from && uid > self.highest && !self.taken.has(validity, uid));
        let found = match named {
            Some(uid) if self.is_gmail() => {
                let is_ours =
                    if is_new { sizes.get(&uid) == Some(&letter.size) } else { self.has(uid, letter).await? };
                if is_ours { Place::At(uid) } else { Place::Nowhere(MERGED) }
            }
            Some(uid) if is_new => Place::At(uid),
            _ => self.look_for(one, from, named).await?,
        };
        match found {
            Place::At(uid) => {
                self.taken.add(validity, uid);
                self.highest = self.highest.max(uid);
                Ok(Some(Some(MailboxUid { validity, uid })))
            }
            Place::Unknown => Ok(Some(None)),
            Place::Open => Ok(None),
            Place::Nowhere(why) => self.pass.set_aside(&letter.spooled, why).await.map(|()| None),
        }
    }

    /// Looks for a message where the server names no UID that a new one can have. If there is nothing new that may be the
    /// message, an OK is no evidence: the server names a message that was there before, or the mailbox has got none.
    async fn look_for(&mut self, one: &Unplaced, from: u32, named: Option<u32>) -> Result<Place, ForwardError> {
        let Unplaced { letter, intent, .. } = one;
        if let Some(uid) = self.find(letter, from).await? {
            return Ok(Place::At(uid));
        }
        // Some show what has come only in a mailbox that is opened again.
        let validity = self.selected.validity;
        self.selected = self.session.select(&self.to.mailbox).await?;
        if self.selected.validity != validity {
            self.taken.extend(self.selected.validity, self.pass.known_uids(self.selected.validity).await);
            self.highest = 0;
            return Ok(Place::Open);
        }
        let next = self.selected.next;
        if let Some(uid) = self.find(letter, from).await? {
            return Ok(Place::At(uid));
        }
        match named {
            Some(uid) if self.has(uid, letter).await? => Ok(Place::At(uid)),
            Some(_) => Ok(Place::Nowhere(OTHER)),
            // One is what is taken for UIDNEXT where the server does not tell it.
            None if intent.uid_validity == validity && 1 < next && next <= intent.uid_next => {
                Ok(Place::Nowhere(NONE_CAME))
            }
            None => Ok(Place::Unknown),
        }
    }

    /// Whether a message of the mailbox has the bytes of a letter.
    async fn has(&mut self, uid: u32, letter: &Letter) -> Result<bool, ForwardError> {
        Ok(self.session.wholes(&[uid]).await?.get(&uid) == Some(&letter.whole))
    }

    /// The UID of a message that has arrived, where only a look tells.
    async fn find(&mut self, letter: &Letter, from: u32) -> Result<Option<u32>, ForwardError> {
        let (mut fitting, taken, validity) = (VecDeque::new(), &self.taken, self.selected.validity);
        let take = |uid, size| {
            if size == letter.size && !taken.has(validity, uid) {
                fitting.push_back(uid);
            }
            if fitting.len() > MOST_CANDIDATES {
                fitting.pop_front();
            }
        };
        self.session.sizes(from, take).await?;
        let headers = self.session.headers(fitting.make_contiguous()).await?;
        let found = headers.into_iter().find(|(_, header)| *header == letter.header).map(|(uid, _)| uid);
        if let Some(uid) = found {
            self.selected.next = self.selected.next.max(uid.saturating_add(1));
        }
        Ok(found)
    }
}
