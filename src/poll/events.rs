//! What a poll tells while it runs. Everything that is known of a poll from outside is made of this: its report, its lines in
//! the log, the numbers of `status`, the progress of `fetch`.
//!
//! Nothing that observes can change what happens: an observer is given what has happened, and returns nothing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::PollError;
use super::report::{Decision, Left, Quarantined, WouldDo};
use crate::account_history::History;
use crate::client::{ClientError, Redactor};
use crate::delivery::recovery::Recovered;
use crate::disk::Dir;
use crate::forward::Stranded;
use crate::ids::EntryId;
use crate::net::TlsFacts;
use crate::oauth::tokens::TokenTimes;
use crate::plan::Plan;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::sasl::LoginMethod;
use crate::state::hints::Past;

/// Something that has happened in a poll.
#[derive(Debug)]
pub enum PollEvent<'a> {
    /// The user has decided something that the poll does not need.
    Needless(Decision),
    /// What an earlier run left over was dealt with.
    Recovered(&'a Recovered),
    /// Mail waits in the spool, and the account forwards nothing any more.
    Stranded(&'a Stranded),
    /// There is something to log in with.
    CredentialObtained {
        /// Hides it in what a server says.
        redactor: &'a Arc<Redactor>,
        /// The times of a token, if it comes from a sign-in.
        token: Option<TokenTimes>,
    },
    /// The server did not take an access token, and another one is had.
    TokenRefused(&'a PollError),
    /// A session begins.
    SessionBegun,
    /// There is a connection.
    Connected {
        /// The address that answered: the server's, or that of a proxy.
        peer: SocketAddr,
        /// What TLS came to. None, as long as there is none.
        tls: Option<&'a TlsFacts>,
    },
    /// The session ended at the first commands that were sent ahead of their answers. Another one sends them one at a time.
    OneAtATime(&'a ClientError),
    /// The server let us in.
    LoggedIn {
        /// By which way.
        method: LoginMethod,
        /// When its certificate expires, in seconds since 1970. None without TLS.
        certificate_expires: Option<i64>,
        /// The same of the certificate of this side, if one was shown.
        client_certificate_expires: Option<i64>,
        /// The least time between two logins that it announces (RFC 2449, section 6.5).
        login_delay: Option<Duration>,
    },
    /// The server said what it has.
    Listed {
        /// How many messages.
        messages: usize,
        /// Its answers agree with each other.
        is_complete: bool,
    },
    /// The same as after the last poll, so nothing is to be done.
    NothingNew {
        /// How many messages.
        messages: u32,
        /// How many of them a rule leaves there.
        skipped: u32,
    },
    /// Headers are asked for, to compare them with those of what was fetched before.
    LooksAtHeaders {
        /// Of so many messages.
        messages: usize,
    },
    /// What the session is to do.
    Planned {
        /// How many messages are on the server.
        on_server: usize,
        /// What is done about them.
        plan: &'a Plan,
    },
    /// What would be done if this were no dry run.
    WouldDo(&'a WouldDo),
    /// The file system of the Maildir or of the state cannot make a delivery durable, so that nothing may be deleted.
    CannotSync,
    /// A message begins to come in.
    MessageBegun(&'a Listed),
    /// Octets of it came. Told now and then, not for each read; all of them are told before its end.
    MessageOctets {
        /// Of this message.
        number: MessageNumber,
        /// So many, as they came.
        octets: u64,
    },
    /// It is complete.
    MessageReceived {
        /// Which one.
        listed: &'a Listed,
        /// Its size in octets, as it came.
        octets: u64,
    },
    /// It is one that was delivered earlier, and is not delivered again.
    MessageRecognised {
        /// Which one.
        listed: &'a Listed,
        /// What is remembered of it.
        entry: EntryId,
    },
    /// It is in the Maildir.
    MessageDelivered {
        /// Which one.
        listed: &'a Listed,
        /// What is remembered of it.
        entry: EntryId,
        /// The name of its file in `new/`.
        file_name: &'a str,
        /// The `tmp/` of each Maildir that it is in.
        tmp_dirs: &'a [Dir],
        /// Its size in octets, as it is stored.
        octets: u64,
    },
    /// The server refused to send a message. It counts as failed once the session has ended in order.
    MessageRefused {
        /// Which one.
        listed: &'a Listed,
        /// What the server said.
        why: fmt::Arguments<'a>,
    },
    /// A message is not tried again in this poll.
    MessageFailed {
        /// Which one.
        listed: &'a Listed,
        /// Why.
        why: fmt::Arguments<'a>,
    },
    /// Messages went where they go without a look at their headers.
    NotRouted {
        /// So many came that a rule would have left on the server, which did not show their headers beforehand.
        not_skipped: u64,
        /// So many have a header that is too long to be looked into.
        long_headers: u64,
    },
    /// Messages came in another size than they were listed with.
    OtherSizes {
        /// The first of them, and how many octets of each came.
        those: &'a [(&'a Listed, u64)],
        /// How many messages there are.
        messages: usize,
    },
    /// The end was asked for: messages that are under way still come in.
    Stopping {
        /// How many of them.
        under_way: usize,
    },
    /// The server refused to mark messages as deleted.
    DeletionRefused(&'a [EntryId]),
    /// The server acknowledged QUIT, and has removed these.
    Deleted(&'a [EntryId]),
    /// It did not acknowledge a QUIT that was to remove something.
    QuitNotAcknowledged,
    /// QUIT is not sent, because the server would remove then what came in another size than it was listed with.
    EndsWithoutQuit,
    /// A session ended in order, and what it did is on record.
    SessionEnded {
        /// What kept QUIT from its answer, where nothing depended on that.
        trouble: Option<&'a ClientError>,
    },
    /// A session did not do what it was to do.
    SessionFailed {
        /// Why.
        error: &'a PollError,
        /// What follows.
        next: AfterFailure,
    },
    /// Another session begins only after this time, because the server wants that.
    Waits(Duration),
    /// The account's state is large, and waits for room that the states of other accounts have.
    WaitsForRoom {
        /// How large its file is.
        octets: u64,
    },
    /// There is, or may be, more on the server than was listed.
    MayBeMore {
        /// The poll had as many sessions, or as much time, as one may have.
        had_its_share: bool,
    },
    /// Messages that were listed are left for another poll.
    LeftOver(Left),
    /// The messages that made trouble and are still there.
    Quarantine(&'a [Quarantined]),
    /// What came so far.
    Totals {
        /// The sums, this poll included.
        past: &'a Past,
        /// What polls brought before this one.
        history: &'a History,
    },
    /// The poll is over.
    Ended {
        /// How long it took.
        duration: Duration,
        /// How many round trips its sessions took, those of connecting and of TLS not counted.
        round_trips: u32,
        /// Why it did not come to its end.
        error: Option<&'a PollError>,
    },
}

/// What follows a session that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The poll ends with its error.
    PollEnds,
    /// The poll ends as it should: the session was only held to look for more.
    NothingLost,
    /// Another session goes on without the message at which it broke.
    GoesOn,
    /// Another session goes on without the messages that are for Maildirs that take no mail.
    WithoutThose,
}

/// Is told what happens in a poll.
///
/// It is called in the task of the poll, so it must not wait for anything: neither for a lock that is held for long nor
/// for a disk. One that panics is told no more.
pub trait Observer: Send + Sync + fmt::Debug {
    /// This has happened.
    fn on_event(&self, event: &PollEvent<'_>);
}

/// Those that are told what happens in a poll.
pub type Observers = Vec<Arc<dyn Observer>>;
