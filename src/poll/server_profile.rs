//! What a poll learns about the server, and what it makes of what earlier ones learned.

use std::sync::Arc;

use tracing::{debug, warn};

use super::retrieval::OtherSizes;
use crate::account::Endpoint;
use crate::account_history::History;
use crate::client::listing::Opened;
use crate::client::listing_digest::ListingDigest;
use crate::client::login::{CachedCapabilities, LoginError};
use crate::client::{ClientError, Redactor};
use crate::disk::Disk;
use crate::pop3::Capabilities;
use crate::provider::Provider;
use crate::sasl::LoginMethod;
use crate::state::clean_listing::CleanListing;
use crate::state::hints::{HintsFile, Listing, Past, ServerHints};

/// Servers that list a maildrop in portions list some hundred messages at a time; where nobody knows yet, it is only worth
/// another session to look for more if at least so many were listed.
const LEAST_PORTION: usize = 250;

/// The hints about the server of one account during a poll.
#[derive(Debug)]
pub(super) struct ServerProfile {
    file: HintsFile,
    server: ServerHints,
    /// Whether its provider is known to list a maildrop in portions.
    in_portions: bool,
    /// The time of this poll, in trusted seconds.
    now: u64,
    /// The listing that is to be recognised.
    expected: Option<ListingDigest>,
}

impl ServerProfile {
    /// What is known of this server; what was known of another one under the same account is forgotten.
    pub(super) fn new(file: HintsFile, endpoint: &Endpoint, now: u64) -> Self {
        let known = file.hints.server.clone().filter(|server| server.is_about(endpoint));
        let server = known.unwrap_or_else(|| ServerHints::new(endpoint));
        let in_portions = Provider::of(&endpoint.host).is_some_and(|provider| provider.lists_in_portions);
        Self { file, server, in_portions, now, expected: None }
    }

    /// Counts what came; `day` is today in the user's calendar.
    pub(super) fn delivered(&mut self, messages: u64, octets: u64, day: &str, wall: i64) {
        self.file.hints.past.add(messages, octets, day, wall);
    }

    /// Writes down what was learned, if anything was, and tells what came so far. Blocks.
    pub(super) fn write(&mut self, disk: &Arc<dyn Disk>, success: Option<i64>) -> (Past, History) {
        self.file.hints.server = Some(self.server.clone());
        // A success alone is no reason to write: an idle poll leaves the disk alone.
        if self.file.has_changed() && success.is_some() {
            self.file.hints.past.last_success = success;
        }
        if let Err(e) = self.file.write(&**disk) {
            debug!("cannot write the hints about the server: {e}. They are gathered again");
        }
        (self.file.hints.past.clone(), self.file.hints.history.clone())
    }

    /// This listing is to be recognised.
    pub(super) fn expect(&mut self, listing: ListingDigest) {
        self.expected = Some(listing);
    }

    /// Sessions list everything from now on.
    pub(super) fn expect_nothing(&mut self) {
        self.expected = None;
    }

    /// Keeps that nothing was left to do behind a listing.
    pub(super) fn keep(&mut self, clean: CleanListing) {
        self.file.hints.clean = Some(clean);
    }

    /// What a session may expect.
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

    /// A login came to nothing. If that was because of what was expected, it is not expected again.
    pub(super) fn login_failed(&mut self, login: &LoginError) {
        login.failed.iter().for_each(|method| self.server.note_failed_login(method.name(), self.now));
        if matches!(
            login.error,
            ClientError::Login { .. }
                | ClientError::Sasl { .. }
                | ClientError::NoLogin(_)
                | ClientError::NoGreeting
                | ClientError::Closed
                | ClientError::Framing(_)
        ) {
            self.server.before_login = None;
        }
    }

    /// The first commands after the login broke the session when they were sent ahead, and did not when they were sent
    /// one at a time.
    pub(super) fn worked_one_at_a_time(&mut self) {
        self.server.note_worked_one_at_a_time(self.now);
    }

    /// What the server announced.
    pub(super) fn opened(&mut self, opened: &Opened, redactor: &Redactor) {
        let lines = |announced: Option<&Capabilities>| {
            announced.map(|announced| announced.lines().map(|line| redactor.hide(line)).collect::<Vec<String>>())
        };
        if opened.client.needs_classical() {
            self.server.note_needs_classical(self.now);
        }
        let after = lines(opened.after_login.as_ref());
        // A server that changed what it announces after the login may have changed the rest as well: ask next time.
        let changed = self.server.after_login.is_some() && self.server.after_login != after;
        self.server.before_login = if changed { None } else { lines(opened.before_login.as_ref()) };
        self.server.after_login = after;
        opened.failed_logins.iter().for_each(|method| self.server.note_failed_login(method.name(), self.now));
        self.server.note_login(opened.login.name());
    }

    /// Whether the server may be asked for the size of a message beside the message: one that lists a maildrop in portions
    /// is seen through by the sizes of all.
    pub(super) fn sizes_beside(&self) -> bool {
        self.server.takes_sizes_beside(self.now) && !self.may_list_more(1)
    }

    /// A session is over, in which a size that was asked for beside its message did, or did not, fail to come.
    pub(super) fn note_sizes(&mut self, do_not_come: bool) {
        if do_not_come {
            self.server.note_sizes_first(self.now);
        }
    }

    /// Counts the sizes of the new messages of a session, and tells whether most come in another one than they are listed
    /// with.
    pub(super) fn note_fit(&mut self, sizes: &OtherSizes) -> bool {
        let before = self.sizes_are_mostly_off();
        self.server.note_fit(sizes.exact, sizes.off);
        if !before && self.sizes_are_mostly_off() {
            warn!("most messages come in another size than the server lists: its sizes seem to be estimates");
        }
        self.sizes_are_mostly_off()
    }

    /// Whether most messages come in another size than the server lists: a hint, by which nothing is deleted.
    pub(super) fn sizes_are_mostly_off(&self) -> bool {
        self.server.sizes_are_mostly_off()
    }

    /// So many messages came in the size that they were listed with, lately.
    pub(super) fn sizes_exact(&self) -> u32 {
        self.server.sizes_exact()
    }

    /// A session ended in order.
    pub(super) fn ended_in_order(&mut self, ahead: bool, retrieved: bool) {
        self.server.note_in_order(ahead, retrieved, self.now);
    }

    /// A session broke.
    pub(super) fn broke(&mut self, ahead: bool) {
        self.server.note_broken(ahead);
    }

    /// Everything that was listed was new: whether there may be more that was not listed.
    pub(super) fn may_list_more(&self, listed: usize) -> bool {
        match self.server.listing {
            _ if self.in_portions => true,
            Listing::Portions => true,
            Listing::Unknown => listed >= LEAST_PORTION,
            Listing::Everything => false,
        }
    }

    /// Somebody looked whether there was more.
    pub(super) fn looked_for_more(&mut self, found: bool) {
        self.server.listing = if found { Listing::Portions } else { Listing::Everything };
    }
}

fn capabilities(lines: &[String]) -> Capabilities {
    let mut capabilities = Capabilities::new();
    lines.iter().for_each(|line| capabilities.add_line(line.as_bytes()));
    capabilities
}
