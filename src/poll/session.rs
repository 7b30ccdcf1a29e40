//! One session of a poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Poll;
use super::another::{Another, SoFar, another};
use super::dialing::Dialing;
use super::earlier_listing::EarlierListing;
use super::error::PollError;
use super::events::PollEvent;
use super::planning::{ListedNow, Planned};
use super::server_profile::ServerProfile;
use crate::account::RemovalPolicy;
use crate::client::budget::Share;
use crate::client::listing::{OpenError, Opened, open, open_with};
use crate::client::listing_digest::ListingDigest;
use crate::client::login::{CachedCapabilities, LoggedIn, log_in};
use crate::client::{Client, ClientError};
use crate::ids::EntryId;
use crate::plan::maildrop::{Listed, Maildrop, Sizes};
use crate::plan::{Pass, Plan, next_due};
use crate::pop3::{Capabilities, MessageNumber, ReportedSize, Response};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::Entry;
use crate::state::handle::StateHandle;
use crate::watch;

/// How a session ended in order.
#[derive(Default)]
pub(super) struct Ended {
    /// How many messages are still to be retrieved.
    pub(super) left: usize,
    /// How many messages are to be handled in sessions of the other kind: their own, or a normal one.
    pub(super) others: usize,
    /// How many messages were listed, if all were new; otherwise 0.
    pub(super) all_new: usize,
    /// New messages turned out to be left on the server by a rule.
    pub(super) newly_skipped: bool,
    /// Entries whose messages were retrieved again and compared, with how these were listed.
    pub(super) compared: Vec<(EntryId, Listed)>,
    /// It was ended in favour of another one that shows whether unique-ids last.
    pub(super) looks_again: bool,
    /// The server refused so many messages in a row that no further one was requested.
    pub(super) gave_up: bool,
    /// The server's response when it gave no more messages for now.
    pub(super) download_limit: Option<Response>,
    /// Set if there was nothing to do.
    pub(super) clean: Option<Clean>,
}

/// A listing that left nothing to do.
#[derive(Debug, Clone)]
pub(super) struct Clean {
    /// Its digest, to recognise it by.
    pub(super) listing: ListingDigest,
    /// How many of its messages a rule leaves on the server.
    pub(super) skipped: u32,
    /// In how much time something will be due though nothing changes; `None` if never.
    pub(super) due: Option<Duration>,
}

/// How a session broke.
pub(super) struct Broken {
    /// Why.
    pub(super) error: PollError,
    /// The messages at which it may have broken.
    pub(super) to_isolate: Vec<Listed>,
    /// Whether it got as far as a listing.
    pub(super) opened: bool,
}

impl Broken {
    /// Whether a message that was requested had no room any more. Others may have.
    pub(super) fn is_about_room(&self) -> bool {
        matches!(self.error, PollError::InsufficientSpace { .. }) && !self.to_isolate.is_empty()
    }

    /// Whether the poll may go on after it, with what the session left to be shown.
    pub(super) fn may_be_followed(&self) -> bool {
        matches!(self.error, PollError::Client(_)) || self.is_about_room()
    }

    /// Whether something came in place of a response: it may be the rest of a message.
    pub(super) fn is_about_framing(&self) -> bool {
        matches!(self.error, PollError::Client(ClientError::Framing(_)))
    }
}

impl Poll {
    /// Logs in, unless the session was opened before, and lists the maildrop, until a stop is requested.
    async fn open(
        &mut self,
        begun: Option<Opened>,
        state: &StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
    ) -> Result<Opened, Broken> {
        let here = |entry: &Entry| entry.unique_id.is_some() && entry.absent_since.is_none();
        let knows_unique_ids = state.read().is_ok_and(|store| store.state().entries().any(here));
        let stop = self.stop.clone();
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => Err(PollError::Stopped),
            opened = self.open_maildrop(begun, profile, password, knows_unique_ids) => opened,
        };
        if self.earlier.is_some() {
            profile.looked_again(opened.as_ref().err());
        }
        let opened = opened.map_err(|error| Broken { error, to_isolate: Vec::new(), opened: false })?;
        profile.opened(&opened, &self.redactor);
        Ok(opened)
    }

    /// Logs in, unless the session was opened before, carries out the plan and ends the session.
    pub(super) async fn session(
        &mut self,
        begun: Option<Opened>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
    ) -> Result<Ended, Broken> {
        let opened = self.open(begun, state, profile, password).await?;
        let capabilities = opened.capabilities().cloned();
        self.note_login(&opened);
        let Opened { mut client, maildrop, digest, mut share, .. } = opened;
        let ahead = client.window() > 1;
        let mut maildrop = Arc::new(maildrop);
        let (messages, is_complete) = (maildrop.messages.len(), maildrop.complete);
        self.listed = messages;
        self.events.tell(&PollEvent::Listed { messages, is_complete });
        let listed = ListedNow { maildrop: &mut maildrop, share: &mut share, sizes_beside: profile.sizes_beside() };
        (self.sizes_are_mostly_off, self.sizes_exact) = (profile.sizes_are_mostly_off(), profile.sizes_exact());
        let planned = self.plan(&mut client, capabilities.as_ref(), listed, state).await;
        let mut clean = None;
        let done = match planned {
            Ok(Planned { mut plan, expected, looked_at, judged }) => {
                self.keep_within_spool(&mut plan).await;
                if plan.names_may_change && self.may_look_again(profile, state) {
                    return Ok(self.look_again(client, &maildrop).await);
                }
                let sizes = std::mem::replace(&mut self.sizes, maildrop.sizes());
                if self.is_the_same_again(&plan, &maildrop, &sizes, state) {
                    return Ok(self.leave_what_came_before(client, &plan).await);
                }
                self.has_recognised_renumbered |= !plan.renamed.is_empty();
                self.events.tell(&PollEvent::Planned { on_server: messages, plan: &plan });
                clean = self.clean(digest, &maildrop, &plan, state);
                if self.options.dry_run {
                    return Ok(self.dry_run(client, plan, &maildrop).await);
                }
                self.carry_out(state, &mut client, &maildrop, Planned { plan, expected, looked_at, judged }).await
            }
            Err(e @ PollError::Renumbered { .. }) => {
                self.quit_in_order(client).await;
                return Err(Broken { error: e, to_isolate: Vec::new(), opened: true });
            }
            Err(e) => Err(e),
        };
        profile.note_sizes(self.in_session.sizes_do_not_come);
        match done {
            Ok((work, ended)) => {
                let last = client.last_message();
                self.sizes_are_mostly_off = profile.note_fit(&work.retrieved.other_sizes, &self.events);
                let removes = capabilities.as_ref().is_some_and(Capabilities::removes_what_was_retrieved);
                let retrieved = self.end_session(state, client, work, removes).await;
                let retrieved = retrieved.map_err(|error| self.broken_behind_quit(error, last, &maildrop))?;
                profile.ended_in_order(ahead, retrieved);
                Ok(Ended { clean, ..ended })
            }
            // Without QUIT: the server keeps everything, marked or not.
            Err(error) => {
                if error.may_be_because_of_pipelining() {
                    profile.session_broke(client.was_ahead());
                }
                Err(self.broken_at(&ended_at(&error, &client), error, &maildrop))
            }
        }
    }

    /// Whether the previous session saw the same messages under other unique-ids, which some servers change with each
    /// session. Then they were retrieved before.
    fn is_the_same_again(&self, plan: &Plan, maildrop: &Maildrop, sizes: &Sizes, state: &StateHandle) -> bool {
        if *sizes != self.sizes || !plan.renamed.is_empty() {
            return false;
        }
        // Without TOP, nothing else would reveal it.
        let probes = self.is_probe && !plan.has_top;
        let goes_on = self.pass == Pass::Normal && self.so_far.messages > 0 && !plan.retrieve.is_empty();
        let is_new = |unique_id| state.read().is_ok_and(|store| store.state().ids_of(unique_id).is_empty());
        let mut names = maildrop.messages.iter().map(|listed| listed.unique_id.as_ref());
        probes || (goes_on && names.all(|name| name.is_some_and(is_new)))
    }

    /// Ends a session that seems to show nothing but old messages under new unique-ids, and counts those it would have
    /// retrieved as left. If unique-ids are known to change, these came before, except for what was left then.
    async fn leave_what_came_before(&self, client: Client, plan: &Plan) -> Ended {
        self.quit_in_order(client).await;
        let to_come = plan.retrieve.len() + plan.postponed;
        Ended { left: if self.names_change { to_come.min(self.left) } else { to_come }, ..Ended::default() }
    }

    /// Whether the poll may hold another session now that shows whether unique-ids last. If not, what is listed is
    /// fetched: at worst a second time.
    fn may_look_again(&self, profile: &ServerProfile, state: &StateHandle) -> bool {
        let is_first = !self.looked_again && self.so_far.messages == 0 && self.pass == Pass::Normal;
        is_first
            && !self.options.dry_run
            && !watch::is_to_give_way()
            && profile.may_look_again()
            && matches!(another(&self.so_far_now(state)), Another::After(_))
    }

    /// Ends a session in favour of another one that shows whether unique-ids last.
    async fn look_again(&mut self, client: Client, maildrop: &Maildrop) -> Ended {
        self.earlier = Some(EarlierListing::of(maildrop));
        self.looked_again = true;
        self.quit_in_order(client).await;
        Ended { looks_again: true, ..Ended::default() }
    }

    async fn open_maildrop(
        &mut self,
        begun: Option<Opened>,
        profile: &mut ServerProfile,
        password: &Secret,
        knows_unique_ids: bool,
    ) -> Result<Opened, PollError> {
        let mut opened = match begun {
            Some(opened) => opened,
            None => self.list(profile, password).await?,
        };
        if knows_unique_ids && !opened.maildrop.has_unique_ids {
            self.quit_in_order(opened.client).await;
            return Err(ClientError::UniqueIdsRefused.into());
        }
        let keeps = self.account.removal != RemovalPolicy::AfterDelivery;
        if keeps && !opened.maildrop.has_unique_ids && !opened.maildrop.messages.is_empty() {
            self.quit_in_order(opened.client).await;
            return Err(ClientError::NoUniqueIds.into());
        }
        if self.pass == Pass::Isolated {
            opened.client.one_at_a_time();
        }
        Ok(opened)
    }

    /// Notes and reports what a login revealed about the server.
    pub(super) fn note_login(&mut self, opened: &Opened) {
        let login_delay = opened.capabilities().and_then(Capabilities::login_delay);
        self.so_far.login_delay = login_delay.map(|delay| Duration::from_secs(delay.seconds));
        self.events.tell(&PollEvent::LoggedIn {
            method: opened.login,
            certificate_expires: opened.client.certificate_expires(),
            client_certificate_expires: opened.client.client_certificate_expires(),
            login_delay: self.so_far.login_delay,
        });
    }

    /// Returns the listing's digest and due time if it leaves nothing to do.
    fn clean(
        &self,
        listing: Option<ListingDigest>,
        maildrop: &Maildrop,
        plan: &Plan,
        state: &StateHandle,
    ) -> Option<Clean> {
        let store = state.read().ok()?;
        let nothing = plan.is_nothing()
            && maildrop.complete
            && maildrop.has_unique_ids
            && self.pass == Pass::Normal
            && !self.unsyncable
            && store.state().intents().next().is_none()
            && store.state().spooled().next().is_none()
            && store.state().quarantines().next().is_none();
        let listing = listing.filter(|listing| nothing && tells_sizes(listing, maildrop))?;
        let skipped = u32::try_from(plan.skipped.len()).unwrap_or(u32::MAX);
        Some(Clean { listing, skipped, due: next_due(store.state(), self.account.removal, store.now()) })
    }

    /// Logs in and lists the maildrop. A server that announces PIPELINING and breaks on pipelined commands gets another
    /// chance, one command at a time: at once, or in the next poll if it may not be logged in to before.
    pub(super) async fn list(&mut self, profile: &mut ServerProfile, password: &Secret) -> Result<Opened, PollError> {
        let cached = profile.cached();
        let logged_in = self.log_in(profile, password, &cached).await?;
        let failed = match open(logged_in, &cached).await {
            Ok(opened) => return Ok(opened),
            Err(failed) => failed,
        };
        self.note_announced(&failed, profile);
        if let Some(bytes) = failed.wants_memory {
            return self.list_in_line(bytes, failed.error, profile, password, &cached).await;
        }
        let OpenError { error, ahead, .. } = *failed;
        if !ahead || !error.may_be_because_of_pipelining() {
            return Err(error.into());
        }
        let Another::After(delay) = self.another_login() else {
            profile.try_one_at_a_time_next();
            return Err(error.into());
        };
        self.events.tell(&PollEvent::OneAtATime(&error));
        self.so_far.waited += delay;
        let careful = CachedCapabilities { one_at_a_time: true, ..cached };
        let logged_in = self.log_in(profile, password, &careful).await?;
        match open(logged_in, &careful).await {
            Ok(opened) => {
                profile.worked_one_at_a_time();
                Ok(opened)
            }
            Err(again) => {
                self.note_announced(&again, profile);
                Err(again.error.into())
            }
        }
    }

    /// Lists the maildrop in another session, once it is its turn for the memory that others had.
    async fn list_in_line(
        &mut self,
        bytes: usize,
        crowded: ClientError,
        profile: &mut ServerProfile,
        password: &Secret,
        cached: &CachedCapabilities,
    ) -> Result<Opened, PollError> {
        self.events.tell(&PollEvent::WaitsForMemory { bytes });
        let stop = self.stop.clone();
        let share = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(PollError::Stopped),
            share = Share::wait_for(bytes) => share,
        };
        // It must not be held while a LOGIN-DELAY is waited for that takes longer than this poll waits.
        let Another::After(delay) = self.another_login() else { return Err(crowded.into()) };
        self.so_far.waited += delay;
        let logged_in = self.log_in(profile, password, cached).await?;
        match open_with(share, logged_in, cached).await {
            Ok(opened) => Ok(opened),
            Err(again) => {
                self.note_announced(&again, profile);
                Err(again.error.into())
            }
        }
    }

    /// Logs in, once it has been long enough since the last login of this poll: every login of a poll comes through
    /// here.
    async fn log_in(
        &mut self,
        profile: &mut ServerProfile,
        password: &Secret,
        cached: &CachedCapabilities,
    ) -> Result<LoggedIn, PollError> {
        let wait = self.logins.wait(self.trusted_login_delay(), Instant::now());
        if !wait.is_zero() {
            self.events.tell(&PollEvent::Waits(wait));
            tokio::time::sleep(wait).await;
        }
        let dialer = Dialing { dialer: &*self.context.dialer, events: &self.events };
        let logged_in = log_in(&dialer, &self.account, password, cached).await;
        let logged_in = logged_in.inspect_err(|e| profile.login_failed(e))?;
        self.logins.logged_in(Instant::now());
        // What the server announces in this session counts more, but that may not come.
        let known = [&logged_in.capabilities, &cached.after_login, &cached.before_login].into_iter().flatten();
        let known = known.filter_map(Capabilities::login_delay).next();
        self.so_far.login_delay = self.so_far.login_delay.or(known.map(|delay| Duration::from_secs(delay.seconds)));
        Ok(logged_in)
    }

    /// Notes what a server announced before its session broke, so that the next login heeds it: in this poll or the
    /// next.
    fn note_announced(&mut self, failed: &OpenError, profile: &mut ServerProfile) {
        profile.announced(failed.before_login.as_ref(), failed.after_login.as_ref(), &self.redactor);
        if let Some(delay) = failed.login_delay {
            self.so_far.login_delay = Some(Duration::from_secs(delay.seconds));
        }
        if let Some(delay) = self.so_far.login_delay {
            self.events.tell(&PollEvent::LoginDelay(delay));
        }
    }

    /// Decides whether this poll may log in again although it has not got as far as a listing, and when.
    fn another_login(&self) -> Another {
        let login_delay = self.trusted_login_delay();
        let wait = self.logins.wait(login_delay, Instant::now());
        another(&SoFar {
            login_delay: Some(wait),
            waited: self.so_far.waited,
            others_wait: watch::is_in_the_way() || watch::is_to_give_way(),
            ..SoFar::default()
        })
    }

    /// Returns the least time between two logins that the server announces, unless the provider is known not to mean
    /// it.
    fn trusted_login_delay(&self) -> Option<Duration> {
        let untrue = Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        self.so_far.login_delay.filter(|_| !untrue)
    }

    /// Ends a session in which nothing was retrieved or deleted. A failure does not matter.
    pub(super) async fn quit_in_order(&self, client: Client) {
        let quit = client.quit().await;
        self.events.tell(&PollEvent::SessionEnded { quit_error: quit.err().as_ref() });
    }

    /// Notes that a power cut could undo deliveries, so nothing is deleted.
    pub(super) fn note_cannot_sync(&mut self) {
        if !self.unsyncable {
            self.unsyncable = true;
            self.events.tell(&PollEvent::CannotSync);
        }
    }

    /// Returns a session that broke, if at a message then at one of these.
    fn broken_at(&self, numbers: &[MessageNumber], error: PollError, maildrop: &Maildrop) -> Broken {
        Broken { to_isolate: self.with_sizes(maildrop, numbers), error, opened: true }
    }

    /// The same after QUIT: anything but its response may be the rest of the last message.
    fn broken_behind_quit(&self, error: PollError, last: Option<MessageNumber>, maildrop: &Maildrop) -> Broken {
        let number = last.filter(|_| matches!(error, PollError::Client(ClientError::Framing(_))));
        self.broken_at(number.as_slice(), error, maildrop)
    }

    /// Returns the messages with these numbers as listed, with the sizes that came along with them.
    fn with_sizes(&self, maildrop: &Maildrop, numbers: &[MessageNumber]) -> Vec<Listed> {
        let with_size = |listed: &Listed| {
            let reported_size = listed.reported_size.or_else(|| self.sizes_beside.get(&listed.number).copied());
            Listed { reported_size, ..listed.clone() }
        };
        maildrop.messages.iter().filter(|listed| numbers.contains(&listed.number)).map(with_size).collect()
    }
}

/// Whether the sum in STAT equals the sum of the sizes in LIST, so that it changes when a message does. Some servers
/// report 0, or an outdated sum.
fn tells_sizes(listing: &ListingDigest, maildrop: &Maildrop) -> bool {
    let mut sizes = maildrop.messages.iter().map(|listed| listed.reported_size);
    sizes.try_fold(ReportedSize::default(), |sum, size| sum.checked_add(size?)) == Some(listing.octets)
}

/// Returns the messages at which a session may have broken with this error.
fn ended_at(error: &PollError, client: &Client) -> Vec<MessageNumber> {
    match error {
        PollError::Client(e) => client.ended_at(e),
        // The message that could not be written comes last from now on.
        PollError::Maildir { .. } => client.receiving().into_iter().collect(),
        // This one is left alone for the rest of the poll. It may be complete, and lack room for its last piece.
        PollError::InsufficientSpace { .. } => client.receiving().or(client.last_message()).into_iter().collect(),
        _ => Vec::new(),
    }
}
