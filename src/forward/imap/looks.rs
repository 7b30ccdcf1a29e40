//! Looks into a mailbox: sizes, headers, whole messages. By FETCH, never by SEARCH: too many servers answer that wrongly.

use std::collections::BTreeMap;

use super::awaited::Awaited;
use super::response::{self, Kind, Line};
use super::session::{LONG_ANSWER, Session, refusal};
use crate::forward::error::ForwardError;
use crate::message::{Digest, HeaderDigester, MessageDigester};

/// So many messages are asked for in one command: some servers take no long lines.
const AT_ONCE: usize = 100;

/// A part of messages, and what makes a digest of it.
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

impl Session {
    /// Hands over the UIDs from this one on, and the sizes of the messages as the server has them.
    pub(super) async fn sizes(&mut self, from: u32, mut sink: impl FnMut(u32, u64) + Send) -> Result<(), ForwardError> {
        const DOING: &str = "look for a message";
        self.command(DOING, &format!("UID FETCH {from}:* (UID RFC822.SIZE)")).await?;
        self.awaited = Awaited::begin_listing();
        let take = |data: &[u8]| {
            let uid = response::item(data, "UID").and_then(|uid| u32::try_from(uid).ok());
            // `*` is the last message, even if it is before `from`.
            if let Some((uid, size)) = uid.filter(|uid| *uid >= from).zip(response::item(data, "RFC822.SIZE")) {
                sink(uid, size);
            }
        };
        let done = self.answer_within(DOING, LONG_ANSWER, take).await?;
        if done.kind == Kind::Ok { Ok(()) } else { Err(refusal(DOING, &done)) }
    }

    /// The digests of the headers of these messages; what is not there any more is left out.
    pub(super) async fn headers(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        self.digests::<HeaderDigester>(uids).await
    }

    /// The digests of all octets of these messages; what is not there any more is left out.
    pub(super) async fn wholes(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        self.digests::<MessageDigester>(uids).await
    }

    async fn digests<P: Part>(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Digest>, ForwardError> {
        let mut found = BTreeMap::new();
        for some in uids.chunks(AT_ONCE) {
            self.fetch::<P>(some, &mut found).await?;
        }
        Ok(found)
    }

    async fn fetch<P: Part>(&mut self, uids: &[u32], found: &mut BTreeMap<u32, Digest>) -> Result<(), ForwardError> {
        const DOING: &str = "look at a message";
        let set = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        self.command(DOING, &format!("UID FETCH {set} (UID {})", P::NAME)).await?;
        loop {
            let mut part = P::default();
            let mut sink = |octets: &[u8]| part.update(octets);
            match self.response(DOING, LONG_ANSWER, Some(&mut sink)).await? {
                (Line::Tagged(_, done), _) => {
                    return if done.kind == Kind::Ok { Ok(()) } else { Err(refusal(DOING, &done)) };
                }
                (Line::Data(data), true) => {
                    let uid = response::item(&data, "UID").and_then(|uid| u32::try_from(uid).ok());
                    // A server may tell more than it was asked for.
                    if let Some(uid) = uid.filter(|uid| uids.contains(uid)) {
                        found.insert(uid, part.finish());
                    }
                }
                _ => {}
            }
        }
    }
}
