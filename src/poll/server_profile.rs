//! What a poll learns about the server, and how it uses what earlier ones learned.

use std::io;
use std::sync::Arc;

use super::emitter::Emitter;
use super::error::PollError;
use super::events::PollEvent;
use super::retrieval::OtherSizes;
use crate::account::Endpoint;
use crate::account_history::History;
use crate::client::listing::Opened;
use crate::client::listing_digest::ListingDigest;
use crate::client::login::{CachedCapabilities, LoginError};
use crate::client::{ClientError, Redactor};
use crate::clock::trusted_time::TrustedTime;
use crate::disk::Disk;
use crate::pop3::Capabilities;
use crate::provider::Provider;
use crate::sasl::LoginMethod;
use crate::state::clean_listing::CleanListing;
use crate::state::hints::{BeyondLimits, HintsFile, Listing, Past, ServerHints};

/// Servers that list a maildrop in portions list some hundred messages at a time. If the server is unknown in this
/// respect, another session to look for more is only worth it if at least this many were listed.
const LEAST_PORTION: usize = 250;

/// What follows from writing the hints.
pub(super) struct WrittenHints {
    /// The sums so far.
    pub(super) past: Past,
    /// What earlier polls brought.
    pub(super) history: History,
    /// Why they are not on disk, if they are not.
    pub(super) error: Option<io::Error>,
}

/// The hints about an account's server during a poll.
#[derive(Debug)]
pub(super) struct ServerProfile {
    file: HintsFile,
    server: ServerHints,
    /// Whether its provider is known to list a maildrop in portions.
    in_portions: bool,
    /// The time of this poll, in trusted seconds.
    now: u64,
    /// The listing to be recognised.
    expected: Option<ListingDigest>,
}

impl ServerProfile {
    /// Creates the profile from the hints; hints about another server of the same account are dropped.
    pub(super) fn new(file: HintsFile, endpoint: &Endpoint, now: TrustedTime) -> Self {
        let known = file.hints.server.clone().filter(|server| server.is_about(endpoint));
        let server = known.unwrap_or_else(|| ServerHints::new(endpoint));
        let in_portions = Provider::of(&endpoint.host).is_some_and(|provider| provider.lists_in_portions);
        Self { file, server, in_portions, now: now.seconds(), expected: None }
    }

    /// Returns the messages that went beyond their limits.
    pub(super) fn beyond_limits(&self) -> BeyondLimits {
        self.server.beyond_limits.clone()
    }

    /// Sets the messages that went beyond their limits.
    pub(super) fn set_beyond_limits(&mut self, messages: BeyondLimits) {
        self.server.beyond_limits = messages;
    }

    /// Counts what was delivered; `day` is today in the user's calendar.
    pub(super) fn delivered(&mut self, messages: u64, octets: u64, day: &str, wall: i64) {
        self.file.hints.past.add(messages, octets, day, wall);
    }

    /// Writes what was learned, if anything, to disk and returns the totals so far. Blocks.
    pub(super) fn write(&mut self, disk: &Arc<dyn Disk>, success: Option<i64>) -> WrittenHints {
        self.file.hints.server = Some(self.server.clone());
        // A success alone is no reason to write: an idle poll leaves the disk alone.
        if self.file.has_changed() && success.is_some() {
            self.file.hints.past.last_success = success;
        }
        let error = self.file.write(&**disk).err();
        WrittenHints { past: self.file.hints.past.clone(), history: self.file.hints.history.clone(), error }
    }

    /// Sets the listing to be recognised.
    pub(super) fn expect(&mut self, listing: ListingDigest) {
        self.expected = Some(listing);
    }

    /// Has sessions list everything from now on.
    pub(super) fn expect_nothing(&mut self) {
        self.expected = None;
    }

    /// Records a listing that left nothing to do.
    pub(super) fn keep(&mut self, clean: CleanListing) {
        self.file.hints.clean = Some(clean);
    }

    /// Returns what a session may expect.
    pub(super) fn cached(&self) -> CachedCapabilities {
        CachedCapabilities {
            listing: self.expected.clone(),
            before_login: self.server.before_login.as_deref().map(capabilities),
            after_login: self.server.after_login.as_deref().map(capabilities),
            failed_logins: self.server.failed_logins(self.now).filter_map(LoginMethod::named).collect(),
            one_at_a_time: self.server.one_at_a_time(self.now),
            classical: self.server.needs_classical(self.now),
        }
    }

    /// Notes a failed login. If wrong expectations may be the reason, they are dropped.
    pub(super) fn login_failed(&mut self, login: &LoginError) {
        login.failed.iter().for_each(|method| self.server.note_failed_login(method.name(), self.now));
        if matches!(
            login.error,
            ClientError::Login { .. }
                | ClientError::NotOffered(_)
                | ClientError::Sasl { .. }
                | ClientError::NoLogin(_)
                | ClientError::NoGreeting
                | ClientError::Closed
                | ClientError::Framing(_)
        ) {
            self.server.before_login = None;
        }
    }

    /// Notes that the first commands after the login broke the session when pipelined, but not one at a time.
    pub(super) fn worked_one_at_a_time(&mut self) {
        self.server.note_worked_one_at_a_time(self.now);
    }

    /// Notes that the first commands after the login may have broken the session because they were pipelined, and that
    /// nothing else could be tried: the next session sends them one at a time.
    pub(super) fn try_one_at_a_time_next(&mut self) {
        self.server.try_one_at_a_time_next();
    }

    /// Notes what the server announced in a session that broke before the maildrop was listed.
    pub(super) fn announced(
        &mut self,
        before_login: Option<&Capabilities>,
        after_login: Option<&Capabilities>,
        redactor: &Redactor,
    ) {
        if let Some(announced) = before_login {
            self.server.before_login = Some(lines(announced, redactor));
        }
        if let Some(announced) = after_login {
            self.server.after_login = Some(lines(announced, redactor));
        }
    }

    /// Notes what the server announced.
    pub(super) fn opened(&mut self, opened: &Opened, redactor: &Redactor) {
        let lines = |announced: Option<&Capabilities>| announced.map(|announced| lines(announced, redactor));
        if opened.client.needs_classical() {
            self.server.note_needs_classical(self.now);
        }
        let after = lines(opened.after_login.as_ref());
        // A server that changed its capabilities after the login may have changed the others as well: ask next time.
        let changed = self.server.after_login.is_some() && self.server.after_login != after;
        self.server.before_login = if changed { None } else { lines(opened.before_login.as_ref()) };
        self.server.after_login = after;
        opened.failed_logins.iter().for_each(|method| self.server.note_failed_login(method.name(), self.now));
        self.server.note_login(opened.login.name());
    }

    /// Whether the server may be asked for the size of each message along with it. One that lists a maildrop in
    /// portions may not: only the sizes of all messages reveal that it does.
    pub(super) fn sizes_beside(&self) -> bool {
        self.server.takes_sizes_beside(self.now) && !self.may_list_more(1)
    }

    /// Notes whether a size requested along with its message failed to come in a session.
    pub(super) fn note_sizes(&mut self, do_not_come: bool) {
        if do_not_come {
            self.server.note_sizes_first(self.now);
        }
    }

    /// Counts the sizes of a session's new messages and returns whether most messages come in another size than listed.
    pub(super) fn note_fit(&mut self, sizes: &OtherSizes, events: &Emitter) -> bool {
        let before = self.sizes_are_mostly_off();
        self.server.note_fit(sizes.exact, sizes.off);
        if !before && self.sizes_are_mostly_off() {
            events.tell(&PollEvent::SizesAreEstimates);
        }
        self.sizes_are_mostly_off()
    }

    /// Whether most messages come in another size than listed: a hint that permits no deletion.
    pub(super) fn sizes_are_mostly_off(&self) -> bool {
        self.server.sizes_are_mostly_off()
    }

    /// Returns how many messages have lately come in the listed size.
    pub(super) fn sizes_exact(&self) -> u32 {
        self.server.sizes_exact()
    }

    /// Whether a session may be ended in favour of another one, only to see whether unique-ids last.
    pub(super) fn may_look_again(&self) -> bool {
        self.server.bears_second_looks(self.now)
    }

    /// Notes whether such a session could begin. An end of mailferry's own making says nothing.
    pub(super) fn looked_again(&mut self, error: Option<&PollError>) {
        match error {
            None => self.server.note_second_look(),
            Some(PollError::Client(error)) => self.server.note_no_second_look(self.now, error.is_servers_word()),
            Some(_) => {}
        }
    }

    /// Notes that a session ended in order.
    pub(super) fn ended_in_order(&mut self, ahead: bool, retrieved: bool) {
        self.server.note_in_order(ahead, retrieved, self.now);
    }

    /// Notes that a session broke.
    pub(super) fn session_broke(&mut self, ahead: bool) {
        self.server.note_broken(ahead);
    }

    /// Whether there may be more messages than the `listed` ones, which were all new.
    pub(super) fn may_list_more(&self, listed: usize) -> bool {
        match self.server.listing {
            _ if self.in_portions => true,
            Listing::Portions => true,
            Listing::Unknown => listed >= LEAST_PORTION,
            Listing::Everything => false,
        }
    }

    /// Notes whether a look for more messages found any.
    pub(super) fn looked_for_more(&mut self, found: bool) {
        self.server.listing = if found { Listing::Portions } else { Listing::Everything };
    }
}

fn lines(announced: &Capabilities, redactor: &Redactor) -> Vec<String> {
    announced.lines().map(|line| redactor.hide(line)).collect()
}

fn capabilities(lines: &[String]) -> Capabilities {
    let mut capabilities = Capabilities::new();
    lines.iter().for_each(|line| capabilities.add_line(line.as_bytes()));
    capabilities
}
