//! The report of a poll, made only from its events.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::PollError;
use crate::account::{AccountName, RemovalPolicy};
use crate::account_history::History;
use crate::client::Redactor;
use crate::delivery::recovery::Recovered;
use crate::forward::{ForwardReport, Stranded};
use crate::ids::EntryId;
use crate::oauth::tokens::TokenTimes;
use crate::plan::maildrop::Listed;
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{ListedAs, Quarantine, QuarantineReason};
use crate::state::hints::Past;
use crate::state::store::Store;
pub use tally::{Failures, Tally};

mod tally;

/// What a poll did, whether or not it completed.
#[derive(Debug)]
pub struct PollReport {
    /// The account.
    pub account: AccountName,
    /// How many new messages are in the Maildir.
    pub retrieved: u64,
    /// Their size in octets, as they are stored.
    pub octets: u64,
    /// How many messages the server removed.
    pub removed: u64,
    /// How many messages were on the server at the end of the last complete session. `None` if there was none.
    pub on_server: Option<u64>,
    /// How many messages got new unique-ids from the server and were recognised by their headers.
    pub renumbered: u64,
    /// Messages that could not be retrieved, and why.
    pub failed: Failures,
    /// Listed messages that are left for another poll.
    pub left: Option<Left>,
    /// Messages that failed so often that they are quarantined for a while.
    pub quarantined: Tally,
    /// Messages that came in another size than listed.
    pub other_sizes: Failures,
    /// Messages larger than the account allows.
    pub too_large: Tally,
    /// Messages that a rule leaves on the server.
    pub skipped: Tally,
    /// Messages that came although a rule would have left them on the server.
    pub not_skipped: u64,
    /// Those of them whose headers were not requested beforehand. The server did not show those of the others.
    pub not_judged: u64,
    /// Messages whose headers were too long to route them by.
    pub long_headers: u64,
    /// Messages without a unique-id in an otherwise good listing.
    pub unnamed: Tally,
    /// Messages that wait for the next poll, because one with the same unique-id and size failed in this one.
    pub left_alone: u64,
    /// Messages that could not be verified, so that they were not deleted.
    pub unverified: u64,
    /// Entries that the server refused to mark as deleted in every session that asked for it.
    pub undeletable: BTreeSet<EntryId>,
    /// Messages that the server lists again, although it said that it had removed them.
    pub not_removed: u64,
    /// The file system cannot make a delivery durable, so nothing is deleted.
    pub unsyncable: bool,
    /// The server did not acknowledge a QUIT that was to remove something.
    pub unacknowledged: bool,
    /// Decisions of the user that the poll did not need.
    pub needless: Vec<Decision>,
    /// What a dry run would do.
    pub would: Option<WouldDo>,
    /// How many sessions were held.
    pub sessions: u32,
    /// At least one login succeeded.
    pub logged_in: bool,
    /// The LOGIN-DELAY that the server announced then (RFC 2449, section 6.5).
    pub login_delay: Option<Duration>,
    /// When the server's certificate expires, in seconds since 1970. `None` without TLS or without a login.
    pub certificate_expires: Option<i64>,
    /// When the client certificate expires, in seconds since 1970, if one was used.
    pub client_certificate_expires: Option<i64>,
    /// The times of the tokens used to log in, if they come from a sign-in.
    pub token: Option<TokenTimes>,
    /// There are, or may be, more messages on the server than were listed: a session to look for them could not be
    /// held.
    pub more: bool,
    /// The reason is that the poll used up its share of sessions or time.
    pub had_its_share: bool,
    /// The outcome of forwarding what this poll brought, if it was waited for.
    pub forwarded: Option<Box<ForwardReport>>,
    /// What waits in the spool although the account no longer forwards.
    pub stranded: Option<Box<Stranded>>,
    /// How many messages wait in the spool because their destination is left alone in this run, and for how much longer
    /// it is.
    pub left_in_spool: Option<(u64, Duration)>,
    /// The quarantined messages that are still on the server.
    pub quarantine: Vec<Quarantined>,
    /// The totals so far, this poll included.
    pub past: Past,
    /// What earlier polls brought. `None` if the poll did not get that far.
    pub history: Option<History>,
    /// What was left over from an earlier run.
    pub recovered: Recovered,
    /// Hides the password where the server's unique-ids or words are shown.
    pub redactor: Arc<Redactor>,
    /// How long it took.
    pub duration: Duration,
    /// How many round trips its sessions took, not counting those for connecting and TLS.
    pub round_trips: u32,
    /// How it ended.
    pub end: Result<(), PollError>,
}

/// How many quarantined messages a report names. How many of those listed are in quarantine is counted besides
/// ([`PollReport::quarantined`]).
const MOST_QUARANTINED: usize = 10_000;

/// A message that failed and will be tried again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its unique-id.
    pub unique_id: UniqueId,
    /// Why it failed.
    pub kind: QuarantineReason,
    /// How often it occurred in a row.
    pub times: u32,
    /// How long it is still left alone; zero if it is tried at the next poll.
    pub left_alone: Duration,
}

impl Quarantined {
    /// Returns the quarantined messages of a state, those left alone longest first; of very many, only the first.
    #[must_use]
    pub fn of(store: &Store) -> Vec<Self> {
        let now = store.now();
        let quarantined = |(listed_as, quarantine): (&ListedAs, &Quarantine)| Self {
            unique_id: listed_as.unique_id.clone(),
            kind: quarantine.kind,
            times: quarantine.count,
            left_alone: quarantine.until.since(now),
        };
        let mut all: Vec<Self> = store.state().quarantines().map(quarantined).collect();
        all.sort_by(|a, b| (b.left_alone, &a.unique_id).cmp(&(a.left_alone, &b.unique_id)));
        all.truncate(MOST_QUARANTINED);
        all.shrink_to_fit();
        all
    }
}

/// Listed messages that are left for another poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many there are.
    pub messages: usize,
    /// Why.
    pub why: LeftFor,
}

/// Why messages are left for another poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftFor {
    /// The server wants more time between two logins than a poll waits.
    LoginDelay,
    /// The poll has used up its share of sessions or time.
    LongPoll,
    /// The state takes all the memory that there is for it.
    LargeState,
    /// The server refused hundreds of messages in a row.
    Refusals,
    /// The server gives no more messages for now.
    DownloadLimit,
    /// The last session brought nothing new.
    NoProgress,
    /// The spool is full until some of it is forwarded.
    FullSpool,
    /// Into the spool, which was empty, go no more at a time. Some of those that came may have gone elsewhere.
    SmallSpool,
    /// The next message is larger than all that may wait in the spool. It comes alone, once the spool is empty.
    LargerThanSpool,
}

impl LeftFor {
    /// Whether the messages are fetched once there is room in the spool.
    #[must_use]
    pub fn is_for_spool(self) -> bool {
        matches!(self, Self::FullSpool | Self::SmallSpool | Self::LargerThanSpool)
    }
}

/// A decision of the user where a poll does not continue by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start a new state.
    NewState,
    /// Accept the Maildir at the configured path as the account's.
    AcceptMaildir,
    /// Fetch messages that cannot be recognised once more.
    FetchAgain,
}

/// What a poll would do: the plan of a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDo {
    /// The messages that would be retrieved.
    pub retrieve: Vec<Listed>,
    /// Where they would go.
    pub into: WouldGo,
    /// Those of them that a rule leaves on the server all the same, as their headers show.
    pub stays: BTreeSet<MessageNumber>,
    /// How many more a rule may leave there: the server does not show their headers.
    pub may_stay: usize,
    /// The messages that would be deleted: delivered earlier, verified.
    pub delete: Vec<Listed>,
    /// What happens to delivered messages on the server.
    pub removal: RemovalPolicy,
    /// How many messages exceed the limit per session and wait for the next one.
    pub postponed: usize,
    /// How many messages wait because the spool is full.
    pub kept_out_by_spool: usize,
}

/// Where messages would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WouldGo {
    /// All to one destination.
    To(MessageDestination),
    /// Each according to its header.
    ByHeader {
        /// The messages whose headers were seen, each with its destinations.
        seen: HashMap<MessageNumber, BTreeSet<MessageDestination>>,
    },
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageDestination {
    /// It is delivered into this Maildir.
    Maildir(PathBuf),
    /// It is forwarded to this destination.
    Forwarded(String),
}

impl WouldDo {
    /// Whether retrieved messages are deleted in the same session.
    #[must_use]
    pub fn deletes_at_once(&self) -> bool {
        self.removal == RemovalPolicy::AfterDelivery && !self.forwards()
    }

    /// Whether any message may be forwarded.
    #[must_use]
    pub fn forwards(&self) -> bool {
        let is_forwarded = |destination: &MessageDestination| matches!(destination, MessageDestination::Forwarded(_));
        match &self.into {
            WouldGo::To(destination) => is_forwarded(destination),
            WouldGo::ByHeader { seen } => seen.values().flatten().any(is_forwarded),
        }
    }
}

impl PollReport {
    /// Creates the report of a poll that begins.
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
            other_sizes: Failures::default(),
            too_large: Tally::default(),
            skipped: Tally::default(),
            not_skipped: 0,
            not_judged: 0,
            long_headers: 0,
            unnamed: Tally::default(),
            left_alone: 0,
            unverified: 0,
            undeletable: BTreeSet::new(),
            not_removed: 0,
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
            had_its_share: false,
            forwarded: None,
            stranded: None,
            left_in_spool: None,
            quarantine: Vec::new(),
            past: Past::default(),
            history: None,
            recovered: Recovered::default(),
            redactor: Arc::default(),
            duration: Duration::ZERO,
            round_trips: 0,
            end: Ok(()),
        }
    }

    /// Creates the report of a poll that failed with this error before any event.
    pub(crate) fn of_failure(account: AccountName, error: PollError) -> Self {
        Self { end: Err(error), ..Self::new(account) }
    }

    /// Replaces the error: the caller that ended the poll knows the reason better.
    pub(crate) fn because_of(self, error: PollError) -> Self {
        Self { end: Err(error), ..self }
    }

    /// Whether everything listed has been dealt with.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.other_sizes.is_empty()
            && self.left.is_none()
            && self.left_alone == 0
            && self.unnamed.is_empty()
            && self.undeletable.is_empty()
            && !self.unacknowledged
            && self.stranded.is_none()
    }
}
