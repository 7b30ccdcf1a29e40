//! Looks into a mailbox: sizes, headers, whole messages. By FETCH, never by SEARCH, which too many servers answer
//! wrongly.

use std::collections::BTreeMap;

use super::awaited::Awaited;
use super::response::{self, Condition, Kind, Line};
use super::session::{LONG_ANSWER, Session, refusal};
use crate::forward::error::ForwardError;
use crate::forward::pass::words;
use crate::message::{Digest, HeaderDigester, MessageDigester};

/// How many messages one command asks for: some servers do not accept long lines.
const AT_ONCE: usize = 100;

/// What an error message says was being done.
const LOOKING: &str = "look at a message";

/// A part of a message, and how its digest is computed.
trait Part: Default + Send {
    const NAME: &'static str;
    fn update(&mut self, octets: &[u8]);
    fn finish(self) -> Digest;
}

impl Part for HeaderDigester {
    const NAME: &'static str = "BODY.PEEK[HEADER]";

    fn update(&mut self, octets: &[u8]) {
        self.update(octets);
    }

    fn finish(self) -> Digest {
        self.finish()
    }
}

impl Part for MessageDigester {
    const NAME: &'static str = "BODY.PEEK[]";

    fn update(&mut self, octets: &[u8]) {
        self.update(octets);
    }

    fn finish(self) -> Digest {
        self.finish()
    }
}

/// All octets in a literal that may have NUL (RFC 3516, section 4.2).
#[derive(Default)]
struct Binary(MessageDigester);

impl Part for Binary {
    const NAME: &'static str = "BINARY.PEEK[]";

    fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(self) -> Digest {
        self.0.finish()
    }
}

impl Session {
    /// Passes the UIDs from this one on to `sink`, with the sizes that the server states.
    pub(super) async fn sizes(&mut self, from: u32, mut sink: impl FnMut(u32, u64) + Send) -> Result<(), ForwardError> {
        // `*` means the last message, even if its UID is below `from`.
        self.list(from, |_, uid, size| {
            if uid >= from {
                sink(uid, size);
            }
        })
        .await
    }

    /// Returns the UID of the last message in the mailbox; 0 if there is none.
    pub(super) async fn last_uid(&mut self) -> Result<u32, ForwardError> {
        let mut last = 0;
        if self.exists != Some(0) {
            self.list(u32::MAX, |_, uid, _| last = last.max(uid)).await?;
        }
        Ok(last)
    }

    /// Returns, for each of these sequence numbers, the lowest UID of the messages after it.
    pub(super) async fn first_behind(&mut self, numbers: &[u32]) -> Result<BTreeMap<u32, u32>, ForwardError> {
        let mut first: BTreeMap<u32, u32> = BTreeMap::new();
        let take = |number: u32, uid: u32, _: u64| {
            for behind in numbers.iter().filter(|behind| **behind < number) {
                let known = first.entry(*behind).or_insert(uid);
                *known = uid.min(*known);
            }
        };
        self.list(1, take).await?;
        Ok(first)
    }

    /// Passes the sequence numbers, UIDs and sizes of the messages from this UID on to `sink`, and of the last one.
    async fn list(&mut self, from: u32, mut sink: impl FnMut(u32, u32, u64) + Send) -> Result<(), ForwardError> {
        const DOING: &str = "look for a message";
        let (before, mut last) = (self.exists.unwrap_or(0), 0);
        self.command(DOING, &format!("UID FETCH {from}:* (UID RFC822.SIZE)")).await?;
        self.awaited = Awaited::begin_listing();
        let take = |data: &[u8]| {
            let uid = response::item(data, "UID").and_then(|uid| u32::try_from(uid).ok());
            let number = response::numbered(data).map(|(number, _)| number);
            if let Some(((uid, size), number)) = uid.zip(response::item(data, "RFC822.SIZE")).zip(number) {
                last = number.max(last);
                sink(number, uid, size);
            }
        };
        let done = self.answer_within(DOING, LONG_ANSWER, take).await?;
        if done.kind != Kind::Ok {
            return Err(refusal(DOING, &done));
        }
        // A message that was removed meanwhile is not missing.
        let exists = before.min(self.exists.unwrap_or(0));
        match last < exists && !self.is_before(exists, from).await? {
            true => {
                let what = format!("OK without the last of {exists} messages");
                Err(ForwardError::Protocol { doing: DOING, what })
            }
            false => Ok(()),
        }
    }

    /// Whether a message has a UID below this one: some servers then leave the last one out.
    async fn is_before(&mut self, number: u32, from: u32) -> Result<bool, ForwardError> {
        const DOING: &str = "look for a message";
        self.command(DOING, &format!("FETCH {number} (UID)")).await?;
        let mut uid = None;
        let done = self.answer(DOING, |data| uid = uid.or(response::item(data, "UID"))).await?;
        Ok(done.kind == Kind::Ok && uid.is_some_and(|uid| uid < u64::from(from)))
    }

    /// Returns the digests of the headers of these messages. Messages that are gone are left out.
    pub(super) async fn headers(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        self.digests::<HeaderDigester>(uids).await
    }

    /// Returns the digests of all octets of these messages. Messages that are gone are left out. `with_nul` has the
    /// digests of those messages with NUL that are looked for: a literal of BODY has no NUL, so a server puts another
    /// octet in its place, and only BINARY returns what it has stored.
    pub(super) async fn wholes(
        &mut self,
        uids: &[u32],
        with_nul: &[Digest],
    ) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        let mut found = self.digests::<MessageDigester>(uids).await?;
        if with_nul.is_empty() || !self.takes_nul() {
            return Ok(found);
        }
        let others: Vec<u32> =
            found.iter().filter(|(_, whole)| !with_nul.contains(whole)).map(|(uid, _)| *uid).collect();
        for uid in others {
            let mut binary = BTreeMap::new();
            // What is refused shows nothing. BINARY decodes base64, so only what is looked for counts.
            let _: Option<Condition> = self.fetch::<Binary>(&[uid], &mut binary).await?;
            found.extend(binary.into_iter().filter(|(_, whole)| with_nul.contains(whole)));
        }
        Ok(found)
    }

    async fn digests<P: Part>(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        let mut found = BTreeMap::new();
        let at_once = if self.unreadable.one_by_one { 1 } else { AT_ONCE };
        let readable: Vec<u32> = uids.iter().copied().filter(|uid| !self.unreadable.uids.contains(uid)).collect();
        for some in readable.chunks(at_once) {
            if let Some(refused) = self.fetch::<P>(some, &mut found).await? {
                self.fetch_each::<P>(some, &refused, &mut found).await?;
            }
        }
        Ok(found)
    }

    /// Asks one by one for messages that were refused as a set: a server refuses the whole set because of one message
    /// that it cannot hand out.
    async fn fetch_each<P: Part>(
        &mut self,
        uids: &[u32],
        refused: &Condition,
        found: &mut BTreeMap<u32, Digest>,
    ) -> Result<(), ForwardError> {
        for uid in uids {
            if found.contains_key(uid) || uids.len() > 1 && self.fetch::<P>(&[*uid], found).await?.is_none() {
                continue;
            }
            if !self.unreadable.add(*uid, words(&refused.words())) {
                return Err(refusal(LOOKING, refused));
            }
        }
        Ok(())
    }

    /// Fetches a part of these messages. Some if the server refuses it.
    async fn fetch<P: Part>(
        &mut self,
        uids: &[u32],
        found: &mut BTreeMap<u32, Digest>,
    ) -> Result<Option<Condition>, ForwardError> {
        self.unreadable.asked = uids.to_vec();
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        self.command(LOOKING, &format!("UID FETCH {set} (UID {})", P::NAME)).await?;
        loop {
            let mut part = P::default();
            let mut sink = |octets: &[u8]| part.update(octets);
            match self.response(LOOKING, LONG_ANSWER, Some(&mut sink)).await? {
                (Line::Tagged(_, done), _) => {
                    self.unreadable.asked.clear();
                    return Ok((done.kind != Kind::Ok).then_some(done));
                }
                (Line::Data(data), true) => {
                    let uid = response::item(&data, "UID").and_then(|uid| u32::try_from(uid).ok());
                    // A server may tell about messages that were not asked for.
                    if let Some(uid) = uid.filter(|uid| uids.contains(uid)) {
                        found.insert(uid, part.finish());
                    }
                }
                _ => {}
            }
        }
    }
}
