//! Under which UID a message has arrived, where the answer does not tell or cannot be believed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Unplaced, Worker};
use crate::forward::error::ForwardError;
use crate::forward::imap::survey::MOST_CANDIDATES;
use crate::forward::letter::Letter;
use crate::state::record::MailboxUid;

impl Worker<'_> {
    /// Finds out under which UIDs messages have arrived, so that they are not taken for others with the same bytes.
    pub(super) async fn place(&mut self) -> Result<(), ForwardError> {
        // Those before them have to be known.
        self.write().await?;
        let is_elsewhere = |one: &Unplaced| one.named.is_some_and(|uid| uid.validity != self.selected.validity);
        if self.unplaced.iter().any(is_elsewhere) {
            // The mailbox may have been made anew.
            self.selected = self.session.select(&self.to.mailbox).await?;
            self.taken.clear();
        }
        self.taken.extend(self.pass.known_uids(self.selected.validity).await);
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

    /// The UID of a message, if it can be found. The outer None: it is set aside, because it has not arrived.
    async fn place_one(
        &mut self,
        one: &Unplaced,
        sizes: &BTreeMap<u32, u64>,
    ) -> Result<Option<Option<MailboxUid>>, ForwardError> {
        let Unplaced { letter, intent, named } = one;
        let validity = self.selected.validity;
        let from = if intent.uid_validity == validity { intent.uid_next } else { 1 };
        let named = named.filter(|uid| uid.validity == validity).map(|uid| uid.uid);
        let is_new = named.is_some_and(|uid| uid >= from && !self.taken.contains(&uid));
        let uid = match named {
            Some(uid) if self.is_gmail() => {
                let is_ours =
                    if is_new { sizes.get(&uid) == Some(&letter.size) } else { self.has(uid, letter).await? };
                if !is_ours {
                    // Gmail takes a message for another one that has the same Message-ID, and keeps that one.
                    let why = "the destination has taken it for another message, with the same Message-ID";
                    self.pass.set_aside(&letter.spooled, why).await?;
                    return Ok(None);
                }
                Some(uid)
            }
            Some(uid) if is_new => Some(uid),
            _ => self.find(letter, from).await?,
        };
        self.taken.extend(uid);
        Ok(Some(uid.map(|uid| MailboxUid { validity, uid })))
    }

    /// Whether a message of the mailbox has the bytes of a letter.
    async fn has(&mut self, uid: u32, letter: &Letter) -> Result<bool, ForwardError> {
        Ok(self.session.wholes(&[uid]).await?.get(&uid) == Some(&letter.whole))
    }

    /// The UID of a message that has arrived, where only a look tells.
    async fn find(&mut self, letter: &Letter, from: u32) -> Result<Option<u32>, ForwardError> {
        let (mut fitting, taken) = (VecDeque::new(), &self.taken);
        let take = |uid, size| {
            if size == letter.size && !taken.contains(&uid) {
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
