//! Finds messages on a server that are to count as known without having been fetched: what to ask of the server, and
//! what shows that a Maildir already has a message. Nothing is retrieved.

use std::collections::HashMap;
use std::sync::Arc;

use super::PollContext;
use super::emitter::log;
use super::error::PollError;
use super::events::PollEvent;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::client::Client;
use crate::client::dates::dates;
use crate::client::headers::{Shown, headers};
use crate::client::in_step::InStep;
use crate::client::listing::open;
use crate::client::login::{CachedCapabilities, log_in};
use crate::maildir::contents::{BodySize, Stored};
use crate::maildir::names::hash_of;
use crate::message::{Digest, HeaderDigester};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{as_reported, is_size};
use crate::pop3::{MessageNumber, ReportedSize};
use crate::routing::{HEADER_MOST, HeaderEnd};
use crate::state::adopt::{Known, KnownBy};
use crate::state::entries::{Fingerprint, UidState};

/// A session that only lists.
#[derive(Debug)]
pub struct Visit {
    client: Client,
    /// The listing of the maildrop.
    pub maildrop: Maildrop,
}

impl Visit {
    /// Logs in and lists.
    ///
    /// # Errors
    /// [`PollError`].
    pub async fn begin(context: &Arc<PollContext>, account: &Account) -> Result<Self, PollError> {
        let obtained = super::credential::obtain(context, account, None, &CancellationToken::new()).await?;
        let password = obtained.credential.secret();
        let nothing = CachedCapabilities::default();
        let logged_in = log_in(&*context.dialer, account, password, &nothing).await?;
        let opened = open(logged_in, &nothing).await.map_err(|e| e.error)?;
        Ok(Self { client: opened.client, maildrop: opened.maildrop })
    }

    /// Returns the listed messages with a unique-id that the state does not know yet.
    fn unknown<'a>(&'a self, state: &'a UidState) -> impl Iterator<Item = &'a Listed> {
        let is_unknown = |listed: &&Listed| {
            listed
                .unique_id
                .as_ref()
                .is_some_and(|id| state.ids_of(id).is_empty() && state.spelt_by_getmail(id).is_none())
        };
        self.maildrop.messages.iter().filter(is_unknown)
    }

    /// Returns all messages that the state does not know.
    #[must_use]
    pub fn all(&self, state: &UidState) -> Vec<Known> {
        self.unknown(state).filter_map(|listed| adopted(listed, None, None)).collect()
    }

    /// Returns those that arrived before a time, in seconds since 1970, and how many do not say when they arrived.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn before(&mut self, state: &UidState, time: i64) -> Result<(Vec<Known>, usize), PollError> {
        let unknown: Vec<Listed> = self.unknown(state).cloned().collect();
        let numbers: Vec<MessageNumber> = unknown.iter().map(|listed| listed.number).collect();
        let in_step = InStep::behind_headers(&self.maildrop, numbers.last().copied());
        let dates = dates(&mut self.client, &numbers, in_step).await?;
        let is_before = |listed: &&Listed| dates.get(&listed.number).is_some_and(|date| *date < time);
        let known = unknown.iter().filter(is_before).filter_map(|listed| adopted(listed, None, None)).collect();
        Ok((known, unknown.len().saturating_sub(dates.len())))
    }

    /// Returns those that a Maildir has. Each needs evidence from the server: a strong header, which is requested, and a
    /// file with the same one whose name has the hash of the unique-id and that has the listed size, or whose body has
    /// the size of the listed one's. If a Maildir has fewer such files without the unique-id than are listed, any of
    /// these may be missing from it: none is returned.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn in_maildir(&mut self, state: &UidState, stored: Vec<Stored>) -> Result<Vec<Known>, PollError> {
        let mut files = Files::new(stored);
        let unknown: Vec<Listed> = self.unknown(state).cloned().collect();
        let shown = if files.is_empty() { HashMap::new() } else { self.headers(&unknown).await? };
        let (mut known, mut rest) = (Vec::new(), Vec::new());
        for (listed, shown) in unknown.iter().filter_map(|listed| Some((listed, shown.get(&listed.number)?))) {
            match files.take_by_name(listed, shown.digest) {
                Some(stored) => known.extend(adopted(listed, Some(stored.header), Some(stored.whole))),
                None => rest.extend(shown.body_of(listed).map(|body| (listed, (shown.digest, body)))),
            }
        }
        let mut alike: HashMap<_, usize> = HashMap::new();
        rest.iter().for_each(|(_, same)| *alike.entry(*same).or_default() += 1);
        alike.retain(|same, count| *count <= files.left_with(same));
        for (listed, same) in rest.into_iter().filter(|(_, same)| alike.contains_key(same)) {
            if let Some(stored) = files.take_by_header(&same) {
                known.extend(adopted(listed, Some(stored.header), Some(stored.whole)));
            }
        }
        Ok(known)
    }

    /// Requests the headers of these messages, and returns the strong ones.
    async fn headers(&mut self, listed: &[Listed]) -> Result<HashMap<MessageNumber, SeenHeader>, PollError> {
        let numbers: Vec<MessageNumber> = listed.iter().map(|listed| listed.number).collect();
        let in_step = InStep::behind_headers(&self.maildrop, numbers.last().copied());
        let mut seen = HashMap::with_capacity(numbers.len());
        let each = |number, shown: Shown<'_>| {
            let header = if let Shown::Header(header) = shown { SeenHeader::of(header) } else { return };
            if header.digest.is_strong() {
                seen.insert(number, header);
            }
        };
        headers(&mut self.client, &numbers, HEADER_MOST, Some(in_step), each).await?;
        Ok(seen)
    }

    /// Ends the session.
    pub async fn end(self) {
        if let Err(e) = self.client.quit().await {
            log(&PollEvent::SessionEnded { quit_error: Some(&e) });
        }
    }
}

fn adopted(listed: &Listed, header: Option<Digest>, whole: Option<Digest>) -> Option<Known> {
    let fingerprint = Fingerprint { reported_size: listed.reported_size, header, whole };
    Some(Known { unique_id: listed.unique_id.clone()?, known_by: KnownBy::User, fingerprint, fetched_at: None })
}

/// A header that the server showed.
#[derive(Debug, Clone, Copy)]
struct SeenHeader {
    digest: Digest,
    /// Its octets, the empty line included.
    octets: u64,
    /// Its lines, the empty one included.
    lines: u64,
}

impl SeenHeader {
    fn of(shown: &[u8]) -> Self {
        let mut digester = HeaderDigester::default();
        digester.update(shown);
        // A server may leave out the empty line.
        let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
        let lines = memchr::memchr_iter(b'\n', shown.get(..end).unwrap_or_default()).count();
        let count = |octets: usize| u64::try_from(octets).unwrap_or(u64::MAX);
        Self { digest: digester.finish(), octets: count(end).saturating_add(2), lines: count(lines).saturating_add(1) }
    }

    /// Returns the size of the listed message's body, in the two ways of counting; None if its size says nothing.
    fn body_of(&self, listed: &Listed) -> Option<Sizes> {
        let size = listed.reported_size.filter(|size| is_size(*size))?.get();
        let stored = size.checked_sub(self.octets.saturating_sub(self.lines))?;
        Some(Sizes { on_wire: size.checked_sub(self.octets), stored })
    }
}

/// The size of a body according to the size that the server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sizes {
    /// In octets, if the server counts as RFC 1939 says.
    on_wire: Option<u64>,
    /// In octets, if the server counts LF alone.
    stored: u64,
}

impl Sizes {
    fn is_of(&self, body: BodySize) -> bool {
        self.on_wire == Some(body.on_wire.get()) || self.stored == body.stored.get()
    }
}

/// The files of a Maildir; each matches at most one message.
struct Files {
    all: Vec<Option<Stored>>,
    by_name: HashMap<(u32, ReportedSize), Vec<usize>>,
    by_header: HashMap<Digest, Vec<usize>>,
}

impl Files {
    fn new(stored: Vec<Stored>) -> Self {
        let (mut by_name, mut by_header): (HashMap<_, Vec<usize>>, HashMap<_, Vec<usize>>) = Default::default();
        for (at, one) in stored.iter().enumerate() {
            if let Some(hash) = one.unique_id_hash {
                by_name.entry((hash, as_reported(one.size_on_wire))).or_default().push(at);
            }
            by_header.entry(one.header).or_default().push(at);
        }
        Self { all: stored.into_iter().map(Some).collect(), by_name, by_header }
    }

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes the file with this header and the hash of the unique-id in its name. Hashes may collide, and the server may
    /// have given the unique-id to another message, so the size has to be the same as well.
    fn take_by_name(&mut self, listed: &Listed, header: Digest) -> Option<Stored> {
        let size = listed.reported_size.filter(|size| !size.is_zero())?;
        let places = self.by_name.get(&(hash_of(listed.unique_id.as_ref()?), size))?;
        let has_header = |at: &&usize| matches!(self.all.get(**at), Some(Some(one)) if one.header == header);
        let at = *places.iter().find(has_header)?;
        self.all.get_mut(at)?.take()
    }

    /// Takes a file with this header and a body of this size. The file may be longer: other programs add header fields.
    fn take_by_header(&mut self, same: &(Digest, Sizes)) -> Option<Stored> {
        let at = self.with_header(same).next()?;
        self.all.get_mut(at)?.take()
    }

    /// Returns how many such files are left.
    fn left_with(&self, same: &(Digest, Sizes)) -> usize {
        self.with_header(same).count()
    }

    fn with_header(&self, (header, body): &(Digest, Sizes)) -> impl Iterator<Item = usize> {
        let places = self.by_header.get(header).map_or(&[][..], Vec::as_slice).iter().copied();
        places.filter(|at| self.all.get(*at).and_then(Option::as_ref).is_some_and(|one| body.is_of(one.body)))
    }
}

#[cfg(test)]
#[path = "adoption_tests.rs"]
mod tests;
