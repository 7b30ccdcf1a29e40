//! What a poll did: made of what it told while it ran, and of nothing else.

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
    /// Messages that failed so often that they are quarantined for a while.
    pub quarantined: Tally,
    /// Messages that came in another size than they were listed with.
    pub other_sizes: Failures,
    /// Messages that are larger than the account allows.
    pub too_large: Tally,
    /// Messages that a rule leaves on the server.
    pub skipped: Tally,
    /// Messages that came although a rule would leave them there: the server did not show their headers before.
    pub not_skipped: u64,
    /// Messages whose header was too long to route them by.
    pub long_headers: u64,
    /// Messages without a unique-id in an otherwise good listing.
    pub unnamed: Tally,
    /// Messages that wait for the next poll, because one that is listed in the same way made trouble in this one.
    pub left_alone: u64,
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
    /// That is so because it had its share of sessions or of time.
    pub had_its_share: bool,
    /// What came of forwarding what this poll brought, where it was waited for.
    pub forwarded: Option<Box<ForwardReport>>,
    /// What waits in the spool, although the account forwards nothing any more.
    pub stranded: Option<Box<Stranded>>,
    /// The messages that made trouble and are still there.
    pub quarantine: Vec<Quarantined>,
    /// What came so far, this poll included.
    pub past: Past,
    /// What polls brought before this one. None if it never came to that.
    pub history: Option<History>,
    /// What was left over from an earlier run.
    pub recovered: Recovered,
    /// Hides the password where the server's names for messages are shown.
    pub redactor: Arc<Redactor>,
    /// How long it took.
    pub duration: Duration,
    /// How many round trips its sessions took, those of connecting and of TLS not counted.
    pub round_trips: u32,
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
    /// The state takes as much memory as there is for it.
    LargeState,
    /// The server refused hundreds in a row.
    Refusals,
    /// The server gives no more messages for now.
    DownloadLimit,
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

/// What a poll would do: the plan of a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldDo {
    /// What would be retrieved.
    pub retrieve: Vec<Listed>,
    /// Where that would go.
    pub into: WouldGo,
    /// What would be deleted: delivered earlier, verified.
    pub delete: Vec<Listed>,
    /// What happens to what is delivered.
    pub removal: RemovalPolicy,
    /// So many are more than one session may retrieve, and come in the next one.
    pub postponed: usize,
}

/// Where messages would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WouldGo {
    /// All to one place.
    To(Place),
    /// Each where its header says.
    ByHeader {
        /// Those whose headers were seen, each with its places.
        seen: HashMap<MessageNumber, BTreeSet<Place>>,
    },
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Into this Maildir.
    Maildir(PathBuf),
    /// It is forwarded to there.
    Forwarded(String),
}

impl WouldDo {
    /// Whether what is retrieved is deleted in the same session.
    #[must_use]
    pub fn deletes_at_once(&self) -> bool {
        self.removal == RemovalPolicy::AfterDelivery && !self.forwards()
    }

    /// Whether it may be forwarded.
    #[must_use]
    pub fn forwards(&self) -> bool {
        let is_forwarded = |place: &Place| matches!(place, Place::Forwarded(_));
        match &self.into {
            WouldGo::To(place) => is_forwarded(place),
            WouldGo::ByHeader { seen } => seen.values().flatten().any(is_forwarded),
        }
    }
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
            other_sizes: Failures::default(),
            too_large: Tally::default(),
            skipped: Tally::default(),
            not_skipped: 0,
            long_headers: 0,
            unnamed: Tally::default(),
            left_alone: 0,
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
            had_its_share: false,
            forwarded: None,
            stranded: None,
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

    /// The report of a poll that ended with this error before it could tell anything.
    pub(crate) fn of_failure(account: AccountName, error: PollError) -> Self {
        Self { end: Err(error), ..Self::new(account) }
    }

    /// The same, but with this error: whoever ended the poll knows better why.
    pub(crate) fn because_of(self, error: PollError) -> Self {
        Self { end: Err(error), ..self }
    }

    /// Whether everything that was listed has been dealt with.
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
