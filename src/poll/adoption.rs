//! Finds messages on a server that are to count as known without having been fetched: what to ask of the server, and
//! what shows that a Maildir already has a message. Nothing is retrieved.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::debug;

use super::PollContext;
use super::error::PollError;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::client::Client;
use crate::client::dates::dates;
use crate::client::in_step::InStep;
use crate::client::listing::{look, open};
use crate::client::login::{CachedCapabilities, log_in};
use crate::maildir::contents::Stored;
use crate::maildir::names::hash_of;
use crate::message::Digest;
use crate::plan::as_reported;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{MessageNumber, ReportedSize};
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

    /// Returns those that a Maildir has, found by the hash of the unique-id in our own file names if the size is the
    /// same, too, or else by a strong header, which is requested. If a Maildir has fewer messages with a header than
    /// are listed, any of them may be missing from it: none is returned.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn in_maildir(&mut self, state: &UidState, stored: Vec<Stored>) -> Result<Vec<Known>, PollError> {
        let mut files = Files::new(stored);
        let (mut known, mut rest) = (Vec::new(), Vec::new());
        for listed in self.unknown(state) {
            match files.take_by_name(listed) {
                Some(stored) => known.extend(adopted(listed, Some(stored.header), Some(stored.whole))),
                None => rest.push(listed.clone()),
            }
        }
        if files.left() > 0 && !rest.is_empty() {
            let numbers: Vec<MessageNumber> = rest.iter().map(|listed| listed.number).collect();
            let headers = look(&mut self.client, &self.maildrop, &numbers).await?;
            let shown = |listed: &Listed| headers.get(&listed.number).copied().filter(|header| header.is_strong());
            let mut alike: HashMap<Digest, usize> = HashMap::new();
            rest.iter().filter_map(shown).for_each(|header| *alike.entry(header).or_default() += 1);
            alike.retain(|header, count| *count <= files.left_with(header));
            for listed in &rest {
                let header = shown(listed).filter(|header| alike.contains_key(header));
                if let Some(stored) = header.and_then(|header| files.take_by_header(header, listed)) {
                    known.extend(adopted(listed, Some(stored.header), Some(stored.whole)));
                }
            }
        }
        Ok(known)
    }

    /// Ends the session.
    pub async fn end(self) {
        if let Err(e) = self.client.quit().await {
            debug!("QUIT: {e}");
        }
    }
}

fn adopted(listed: &Listed, header: Option<Digest>, whole: Option<Digest>) -> Option<Known> {
    let fingerprint = Fingerprint { reported_size: listed.reported_size, header, whole };
    Some(Known { unique_id: listed.unique_id.clone()?, known_by: KnownBy::User, fingerprint, fetched_at: None })
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

    fn left(&self) -> usize {
        self.all.iter().flatten().count()
    }

    /// Takes the file with the hash of the unique-id in its name. Hashes may collide, so the size has to be the same as
    /// well.
    fn take_by_name(&mut self, listed: &Listed) -> Option<Stored> {
        let key = (hash_of(listed.unique_id.as_ref()?), listed.reported_size.filter(|size| !size.is_zero())?);
        Self::take(&mut self.all, self.by_name.get_mut(&key)?)
    }

    /// Takes a file with this header. One shorter than the listed message has at most a part of it; longer ones are
    /// accepted because other programs add header fields.
    fn take_by_header(&mut self, header: Digest, listed: &Listed) -> Option<Stored> {
        let least = listed.reported_size.unwrap_or_default();
        let is_whole =
            |at: &usize| matches!(self.all.get(*at), Some(Some(one)) if as_reported(one.size_on_wire) >= least);
        let at = *self.by_header.get(&header)?.iter().find(|at| is_whole(at))?;
        self.all.get_mut(at)?.take()
    }

    /// Returns how many files with a header are left.
    fn left_with(&self, header: &Digest) -> usize {
        let places = self.by_header.get(header).map_or(&[][..], Vec::as_slice);
        places.iter().filter(|at| self.all.get(**at).is_some_and(Option::is_some)).count()
    }

    fn take(all: &mut [Option<Stored>], places: &mut Vec<usize>) -> Option<Stored> {
        while let Some(at) = places.pop() {
            if let Some(stored) = all.get_mut(at).and_then(Option::take) {
                return Some(stored);
            }
        }
        None
    }
}
