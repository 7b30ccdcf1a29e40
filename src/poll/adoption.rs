//! Finds messages on a server that are to count as known without having been fetched: what to ask of the server, and
//! what shows that a Maildir already has a message. Nothing is retrieved.

mod files;
mod searched;

use std::collections::HashMap;
use std::sync::Arc;

use files::Files;
pub use searched::Searched;

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
use crate::message::{Digest, HeaderDigester};
use crate::plan::is_size;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::MessageNumber;
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

    /// Returns those that are in all Maildirs that they belong into. Each needs evidence from the server: a strong
    /// header, which is requested, and in each of these Maildirs [a file](Files::take) of its own.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn in_maildirs(&mut self, state: &UidState, searched: Searched<'_>) -> Result<Vec<Known>, PollError> {
        let unknown: Vec<Listed> = self.unknown(state).cloned().collect();
        let shown = if searched.is_empty() { HashMap::new() } else { self.headers(&unknown, &searched).await? };
        let wanted: Vec<(&Listed, &SeenHeader)> =
            unknown.iter().filter_map(|listed| Some((listed, shown.get(&listed.number)?))).collect();
        let mut found: HashMap<MessageNumber, Vec<Stored>> = HashMap::new();
        for (place, stored) in searched.into_stored().enumerate() {
            let here = wanted.iter().copied().filter(|(_, header)| header.belongs_into.contains(&place));
            for (number, stored) in Files::new(stored).take(here) {
                found.entry(number).or_default().push(stored);
            }
        }
        let known = |(listed, header): &(&Listed, &SeenHeader)| {
            let files = found.get(&listed.number).filter(|files| files.len() == header.belongs_into.len())?;
            files.first().and_then(|stored| adopted(listed, Some(stored.header), Some(stored.whole)))
        };
        Ok(wanted.iter().filter_map(known).collect())
    }

    /// Requests the headers of these messages, and returns the strong ones.
    async fn headers(
        &mut self,
        listed: &[Listed],
        searched: &Searched<'_>,
    ) -> Result<HashMap<MessageNumber, SeenHeader>, PollError> {
        let numbers: Vec<MessageNumber> = listed.iter().map(|listed| listed.number).collect();
        let in_step = InStep::behind_headers(&self.maildrop, numbers.last().copied());
        let mut seen = HashMap::with_capacity(numbers.len());
        let each = |number, shown: Shown<'_>| {
            let header = if let Shown::Header(header) = shown { SeenHeader::of(header, searched) } else { return };
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
#[derive(Debug)]
struct SeenHeader {
    digest: Digest,
    /// The positions of the searched Maildirs into which its message belongs; empty if it belongs elsewhere.
    belongs_into: Vec<usize>,
    /// Its octets, the empty line included.
    octets: u64,
    /// Its lines, the empty one included.
    lines: u64,
}

impl SeenHeader {
    fn of(shown: &[u8], searched: &Searched<'_>) -> Self {
        let mut digester = HeaderDigester::default();
        digester.update(shown);
        // A server may leave out the empty line.
        let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
        let lines = memchr::memchr_iter(b'\n', shown.get(..end).unwrap_or_default()).count();
        let count = |octets: usize| u64::try_from(octets).unwrap_or(u64::MAX);
        Self {
            digest: digester.finish(),
            belongs_into: searched.belongs_into(shown.get(..end).unwrap_or(shown)),
            octets: count(end).saturating_add(2),
            lines: count(lines).saturating_add(1),
        }
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

#[cfg(test)]
#[path = "adoption_tests.rs"]
mod tests;
