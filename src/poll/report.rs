//! What a poll did.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::PollError;
use crate::account::AccountName;
use crate::client::Redactor;
use crate::delivery::recovery::Recovered;
use crate::forward::ForwardReport;
use crate::oauth::tokens::TokenTimes;
use crate::plan::maildrop::{Listed, Sizes};
use crate::pop3::UniqueId;
use crate::state::entries::{EntryId, ListedAs, Quarantine, QuarantineReason};
use crate::state::hints::Past;
use crate::state::store::Store;
use crate::text;

/// What a poll did, whether or not it came to its end.
#[derive(Debug)]
pub struct PollReport {
    /// The account.
    pub account: AccountName,
    /// How many messages are new in the Maildir.
    pub retrieved: u64,
    /// Their size in octets, as they are stored.
    pub octets: u64,
    /// How many messages the server has removed.
    pub removed: u64,
    /// How many messages were on the server at the end of the last complete session. None if it never came to that.
    pub on_server: Option<u64>,
    /// How many messages the server has given other unique-ids, and were recognised by their headers.
    pub renumbered: u64,
    /// Messages that could not be had, and why.
    pub failed: Failures,
    /// Messages that were listed and are left for another poll.
    pub left: Option<Left>,
    /// Messages that made trouble so often that they are set aside for a while.
    pub quarantined: Tally,
    /// Messages that are larger than the account allows.
    pub too_large: Tally,
    /// Messages without a unique-id in an otherwise good listing.
    pub unnamed: Tally,
    /// Messages that wait for the next poll, because one that is listed in the same way made trouble in this one.
    pub left_alone: u64,
    /// Messages that came out far shorter than they were listed.
    pub short: u64,
    /// Nothing has shown yet that the messages that were delivered in this session are what they were taken for.
    pub unproven: bool,
    /// Messages that the server would not show again, so that they were not deleted.
    pub unverified: u64,
    /// The server refused to mark these as deleted, in every session that asked for it.
    pub undeletable: BTreeSet<EntryId>,
    /// Deletion is wanted and refused here: the Maildir's file system cannot make a delivery durable.
    pub unsyncable: bool,
    /// The server did not acknowledge a QUIT that was to remove something.
    pub unacknowledged: bool,
    /// Decisions of the user that the poll did not need.
    pub needless: Vec<Decision>,
    /// What a dry run would do.
    pub would: Option<WouldDo>,
    /// How many sessions there were.
    pub sessions: u32,
    /// The server let us in, at least once.
    pub logged_in: bool,
    /// The LOGIN-DELAY that it announced then (RFC 2449, section 6.5).
    pub login_delay: Option<Duration>,
    /// When the server's certificate expires, in seconds since 1970. None without TLS, or if nobody was let in.
    pub certificate_expires: Option<i64>,
    /// The same of the certificate of this side, if one was shown.
    pub client_certificate_expires: Option<i64>,
    /// The times of the tokens that it logged in with, if they come from a sign-in.
    pub token: Option<TokenTimes>,
    /// There is, or may be, more on the server than was listed: a session to look for it could not be held.
    pub more: bool,
    /// The current session is only held to see whether there is more.
    pub probe_for_more: bool,
    /// Messages were left on the server because the spool holds as much as it may.
    pub spool_is_full: bool,
    /// What came of forwarding what this poll brought, where it was waited for.
    pub forwarded: Option<Box<ForwardReport>>,
    /// The sizes of the messages in the last listing.
    pub sizes: Sizes,
    /// The messages that made trouble and are still there.
    pub quarantine: Vec<Quarantined>,
    /// What came so far, this poll included.
    pub past: Past,
    /// What was left over from an earlier run.
    pub recovered: Recovered,
    /// Hides the password where the server's names for messages are shown.
    pub redactor: Redactor,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub end: Result<(), PollError>,
}

/// A message that made trouble, and is tried again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its unique-id.
    pub unique_id: UniqueId,
    /// What kind of trouble.
    pub kind: QuarantineReason,
    /// How often in a row.
    pub times: u32,
    /// How long it is still left alone; zero if it is tried at the next poll.
    pub left_alone: Duration,
}

impl Quarantined {
    /// Those of a state, the ones that are left alone longest first.
    #[must_use]
    pub fn of(store: &Store) -> Vec<Self> {
        let now = store.now();
        let quarantined = |(listed_as, quarantine): (&ListedAs, &Quarantine)| Self {
            unique_id: listed_as.unique_id.clone(),
            kind: quarantine.kind,
            times: quarantine.count,
            left_alone: Duration::from_secs(quarantine.until.saturating_sub(now)),
        };
        let mut all: Vec<Self> = store.state().quarantines().map(quarantined).collect();
        all.sort_by(|a, b| (b.left_alone, &a.unique_id).cmp(&(a.left_alone, &b.unique_id)));
        all
    }
}

/// So many of many messages are kept, for whoever judges a report; fewer are named.
const NAMED: usize = 100;

/// The most characters of a reason that are kept.
const REASON: usize = 160;

/// A number of messages, of which the first few can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<T = Listed> {
    /// How many.
    count: usize,
    /// The first few.
    first: Vec<T>,
}

impl Tally {
    /// Of these.
    #[must_use]
    pub fn of(messages: &[Listed]) -> Self {
        Self { count: messages.len(), first: messages.iter().take(NAMED).cloned().collect() }
    }
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Tally<T> {
    /// One more, which is only made if it is kept.
    fn add(&mut self, one: impl FnOnce() -> T) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < NAMED {
            self.first.push(one());
        }
    }

    /// Those of another one as well.
    fn absorb(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first.extend(other.first);
        self.first.truncate(NAMED);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first few.
    #[must_use]
    pub fn first(&self) -> &[T] {
        &self.first
    }
}

/// Messages that could not be had: how many, and why the first few could not. A server may refuse a million.
#[derive(Debug, Default)]
pub struct Failures {
    /// How many, and the first few with the reason.
    tally: Tally<(Listed, String)>,
    /// What they are known by; the octets of unique-ids are shared with the listing.
    listed_as: Vec<ListedAs>,
}

impl std::ops::Deref for Failures {
    type Target = Tally<(Listed, String)>;

    fn deref(&self) -> &Self::Target {
        &self.tally
    }
}

impl Failures {
    /// One more. The reason is only made if it is kept.
    pub fn add(&mut self, listed: Listed, why: impl FnOnce() -> String) {
        self.listed_as.extend(ListedAs::of(&listed));
        self.tally.add(|| (listed, text::cut_words(&why(), REASON)));
    }

    /// Those of another one as well.
    pub fn absorb(&mut self, other: Self) {
        let Self { tally, listed_as } = other;
        self.tally.absorb(tally);
        self.listed_as.extend(listed_as);
    }

    /// What those are known by that were added since this was called last.
    pub fn take_listed_as(&mut self) -> Vec<ListedAs> {
        std::mem::take(&mut self.listed_as)
    }

    /// What those are known by that were added since that was taken.
    #[must_use]
    pub fn listed_as(&self) -> &[ListedAs] {
        &self.listed_as
    }
}

/// What was listed and is left for another poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many messages.
    pub messages: usize,
    /// Why.
    pub why: LeftFor,
}

/// Why messages are left for another poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftFor {
    /// The server wants more time between two logins than a poll waits.
    LoginDelay,
    /// The poll has had its share of sessions and time.
    LongPoll,
    /// The server refused hundreds in a row.
    Refusals,
    /// The last session brought nothing new.
    NoProgress,
    /// The spool holds as much as it may, until some of it is forwarded.
    FullSpool,
}

/// What a user decides where a poll does not go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A state is begun anew.
    NewState,
    /// The Maildir that is there is taken for the account's.
    AcceptMaildir,
    /// What cannot be recognised is fetched once more.
    FetchAgain,
}

/// The plan of a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDo {
    /// What would be retrieved.
    pub retrieve: Vec<Listed>,
    /// What would be deleted: delivered earlier, verified.
    pub delete: usize,
    /// Whether what is retrieved would be deleted, too.
    pub delete_retrieved: bool,
}

impl PollReport {
    /// A report of a poll that begins.
    #[must_use]
    pub fn new(account: AccountName) -> Self {
        Self {
            account,
            retrieved: 0,
            octets: 0,
            removed: 0,
            on_server: None,
            renumbered: 0,
            failed: Failures::default(),
            left: None,
            quarantined: Tally::default(),
            too_large: Tally::default(),
            unnamed: Tally::default(),
            left_alone: 0,
            short: 0,
            unproven: false,
            unverified: 0,
            undeletable: BTreeSet::new(),
            unsyncable: false,
            unacknowledged: false,
            needless: Vec::new(),
            would: None,
            sessions: 0,
            logged_in: false,
            login_delay: None,
            certificate_expires: None,
            client_certificate_expires: None,
            token: None,
            more: false,
            probe_for_more: false,
            spool_is_full: false,
            forwarded: None,
            sizes: Sizes::default(),
            quarantine: Vec::new(),
            past: Past::default(),
            recovered: Recovered::default(),
            redactor: Redactor::default(),
            duration: Duration::ZERO,
            end: Ok(()),
        }
    }

    /// Whether everything that was listed has been dealt with.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.left.is_none()
            && self.left_alone == 0
            && self.unnamed.is_empty()
            && self.undeletable.is_empty()
            && !self.unacknowledged
    }
}
