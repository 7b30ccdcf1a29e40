//! The events of a running poll. Everything known about a poll from outside is made from them: its report, its log
//! lines, the figures of `status`, the progress of `fetch`.
//!
//! Observers cannot change what happens: they are told what has happened, and return nothing.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::PollError;
use super::report::{Decision, Left, Quarantined, WouldDo};
use crate::account::AccountName;
use crate::account_history::History;
use crate::client::{ClientError, Redactor};
use crate::delivery::recovery::Recovered;
use crate::forward::Stranded;
use crate::ids::EntryId;
use crate::message::{StoredSize, WireSize};
use crate::net::TlsFacts;
use crate::oauth::tokens::TokenTimes;
use crate::plan::Plan;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::sasl::LoginMethod;
use crate::state::hints::Past;

/// An event of a poll.
#[derive(Debug)]
pub enum PollEvent<'a> {
    /// The user made a decision that the poll does not need.
    Needless(Decision),
    /// Work left by an earlier run was finished.
    Recovered(&'a Recovered),
    /// Mail waits in the spool of an account that no longer forwards.
    Stranded(&'a Stranded),
    /// The state has taken over what became of the messages in the spool.
    SpoolSettled {
        /// The account.
        account: &'a AccountName,
        /// How many messages were forwarded since the last time.
        forwarded: usize,
        /// How many were taken out of the spool by somebody else. They are fetched again if the server still has them.
        lost: usize,
        /// How many files have left the spool.
        removed: usize,
    },
    /// What was to be forwarded at once takes longer than that may take, and waits in the spool.
    StaysInSpool {
        /// The account.
        account: &'a AccountName,
        /// How long it may take.
        bound: Duration,
    },
    /// The state cannot take over now what was forwarded.
    SpoolNotSettled {
        /// The account.
        account: &'a AccountName,
        /// Why not.
        error: &'a PollError,
    },
    /// Another Maildir than the account's own takes no mail. Not told of the first one, with whose error a session or
    /// the poll ends.
    MaildirClosed(&'a PollError),
    /// The credential was obtained.
    CredentialObtained {
        /// Hides the credential in the server's words.
        redactor: &'a Arc<Redactor>,
        /// The times of the token, if it comes from a sign-in.
        token: Option<TokenTimes>,
    },
    /// The server rejected an access token; another one is being obtained.
    TokenRefused(&'a PollError),
    /// A session begins.
    SessionBegun,
    /// A connection was established.
    Connected {
        /// The address that answered: the server's, or that of a proxy.
        peer: SocketAddr,
        /// The result of the TLS handshake. `None` as long as there is no TLS.
        tls: Option<&'a TlsFacts>,
    },
    /// The session broke at the first pipelined commands. Another one sends them one at a time.
    OneAtATime(&'a ClientError),
    /// The least time between two logins that the server announced (RFC 2449, section 6.5) in a session that broke before
    /// the maildrop was listed.
    LoginDelay(Duration),
    /// The login succeeded.
    LoggedIn {
        /// The login method.
        method: LoginMethod,
        /// When the server's certificate expires, in seconds since 1970. `None` without TLS.
        certificate_expires: Option<i64>,
        /// When the client certificate expires, in seconds since 1970, if one was used.
        client_certificate_expires: Option<i64>,
        /// The least time between two logins that the server announces (RFC 2449, section 6.5).
        login_delay: Option<Duration>,
    },
    /// The server listed the maildrop.
    Listed {
        /// How many messages it listed.
        messages: usize,
        /// The responses agree with each other.
        is_complete: bool,
    },
    /// The listing is the same as after the last poll, so there is nothing to do.
    NothingNew {
        /// How many messages it has.
        messages: u32,
        /// How many of them a rule leaves on the server.
        skipped: u32,
    },
    /// Headers are requested, to compare them with those of messages fetched before.
    LooksAtHeaders {
        /// Of how many messages.
        messages: usize,
    },
    /// The session has been planned.
    Planned {
        /// How many messages are on the server.
        on_server: usize,
        /// What is to be done about them.
        plan: &'a Plan,
    },
    /// What would be done if this were not a dry run.
    WouldDo(&'a WouldDo),
    /// The file system of the Maildir or of the state cannot make a delivery durable, so nothing may be deleted.
    CannotSync,
    /// A message begins to arrive.
    MessageBegun(&'a Listed),
    /// Octets of it arrived. Reported from time to time, not for each read, but completely before its end.
    MessageOctets {
        /// The message.
        number: MessageNumber,
        /// How many octets, as they arrived.
        octets: u64,
    },
    /// It is complete.
    MessageReceived {
        /// The message.
        listed: &'a Listed,
        /// Its size, as it arrived.
        octets: WireSize,
    },
    /// It was delivered earlier, and is not delivered again.
    MessageRecognised {
        /// The message.
        listed: &'a Listed,
        /// Its entry.
        entry: EntryId,
        /// It came under another unique-id then.
        is_renumbered: bool,
    },
    /// It is in the Maildir.
    MessageDelivered {
        /// The message.
        listed: &'a Listed,
        /// Its entry.
        entry: EntryId,
        /// The name of its file in `new/`.
        file_name: &'a str,
        /// The paths of the Maildirs that have it.
        maildirs: &'a [&'a Path],
        /// Its size, as it is stored.
        octets: StoredSize,
    },
    /// The server refused to send a message. It counts as failed once the session has ended in order.
    MessageRefused {
        /// The message.
        listed: &'a Listed,
        /// What the server said.
        why: fmt::Arguments<'a>,
    },
    /// A message is not tried again in this poll.
    MessageFailed {
        /// The message.
        listed: &'a Listed,
        /// Why.
        why: fmt::Arguments<'a>,
    },
    /// Messages were delivered without having been routed by their headers.
    NotRouted {
        /// How many came that a rule would have left on the server.
        not_skipped: u64,
        /// Of how many of these the headers were not requested beforehand. The server did not show those of the others.
        not_judged: u64,
        /// How many have a header too long to route them by.
        long_headers: u64,
    },
    /// Messages came in another size than listed.
    OtherSizes {
        /// The first of them, each with the size in which it came.
        those: &'a [(&'a Listed, WireSize)],
        /// How many there are.
        messages: usize,
    },
    /// Most messages come in another size than listed, as was not known before.
    SizesAreEstimates,
    /// A stop was requested: messages in flight still come in.
    Stopping {
        /// How many are in flight.
        under_way: usize,
    },
    /// The server refused to mark messages as deleted.
    DeletionRefused(&'a [EntryId]),
    /// The server lists messages again that it said it had removed.
    NotRemoved {
        /// How many.
        messages: usize,
    },
    /// The server acknowledged QUIT and has removed these.
    Deleted(&'a [EntryId]),
    /// It did not acknowledge a QUIT that was to remove something.
    QuitNotAcknowledged,
    /// QUIT is not sent, because the server would then remove messages that may have come incomplete.
    EndsWithoutQuit,
    /// A session ended in order, and its work is recorded.
    SessionEnded {
        /// Why QUIT got no response, where nothing depended on that.
        quit_error: Option<&'a ClientError>,
    },
    /// A session failed.
    SessionFailed {
        /// Why.
        error: &'a PollError,
        /// What happens next.
        next: AfterFailure,
    },
    /// Another session begins only after this delay, which the server wants.
    Waits(Duration),
    /// The account's state is large and waits for memory that the states of other accounts use.
    WaitsForRoom {
        /// The size of its file, in octets.
        octets: u64,
    },
    /// The server lists so much that there is too little memory for it while other listings have theirs. It is asked again
    /// once there is enough.
    WaitsForMemory {
        /// How much it is expected to need, in bytes.
        bytes: usize,
    },
    /// There are, or may be, more messages on the server than were listed.
    MayBeMore {
        /// The poll has used up its share of sessions or time.
        had_its_share: bool,
    },
    /// Listed messages are left for another poll.
    LeftOver(Left),
    /// The quarantined messages that are still on the server.
    Quarantine(&'a [Quarantined]),
    /// What was learned about the server cannot be written down.
    HintsNotWritten(&'a io::Error),
    /// The totals so far.
    Totals {
        /// The sums, this poll included.
        past: &'a Past,
        /// What earlier polls brought.
        history: &'a History,
    },
    /// The poll is over.
    Ended {
        /// How long it took.
        duration: Duration,
        /// How many round trips its sessions took, not counting those for connecting and TLS.
        round_trips: u32,
        /// Why it did not complete.
        error: Option<&'a PollError>,
    },
}

/// What happens after a failed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The poll ends with its error.
    PollEnds,
    /// The poll ends normally: the session was only held to look for more.
    NothingLost,
    /// Another session continues without the message at which this one broke.
    GoesOn,
    /// Another session continues without the messages for Maildirs that cannot take mail.
    WithoutThose,
}

/// Receives the events of a poll.
///
/// It is called in the task of the poll, so it must not block, neither on a lock that is held for long nor on a disk.
/// After a panic it is not called again.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Receives an event.
    fn on_event(&self, event: &PollEvent<'_>);
}

/// The observers of a poll.
pub type Observers = Vec<Arc<dyn Observer>>;
