//! One poll of one account, from top to bottom.
//!
//! Lock the state; obtain the password; read the state and finish what a crash interrupted, with or without a password;
//! then hold sessions as long as each brings something and there may be more. A session: log in, list, plan, retrieve
//! and deliver, delete, QUIT.

pub mod adoption;
pub mod error;
pub mod events;
pub mod progress;
pub mod report;

mod another;
mod carrying_out;
mod ceiling;
mod context;
pub(crate) mod credential;
mod deletions;
mod dialing;
mod dry_run;
mod earlier_listing;
mod emitter;
mod ending;
mod incoming;
mod login_gate;
mod next;
mod opening;
mod own_sizes;
mod planning;
mod preparing;
mod recognition;
mod refusals;
mod retrieval;
mod retriever;
mod server_profile;
mod session;
mod spool;
mod unusable;
mod window;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

pub use context::{PollContext, PollOptions};
use earlier_listing::EarlierListing;
use error::DoesNotFit;
pub use error::PollError;
use events::{AfterFailure, Observers, PollEvent};
use report::LeftFor;
pub use report::{PollReport, Quarantined};

use crate::account::Account;
use crate::client::listing::Opened;
use crate::client::{ClientError, Redactor};
use crate::ids::EntryId;
use crate::plan::maildrop::Sizes;
use crate::plan::{IsolatedMessages, NewUniqueId, Pass, Verified};
use crate::pop3::{MessageNumber, ReportedSize};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::state::entries::{ListedAs, QuarantineReason};
use crate::state::handle::StateHandle;
use crate::state::hints::BeyondLimits;
use crate::state::room::Share;
use crate::state::store::Store;
use crate::watch;
use another::SoFar;
use credential::Obtained;
use emitter::Emitter;
use login_gate::LoginGate;
use next::{Next, doubt_unshown, record_unproven};
use recognition::{Beginning, First};
use server_profile::ServerProfile;
use session::{Broken, Clean, Ended};
pub use spool::{forward_spool, settle_account};
use unusable::Closed;

/// Polls an account once. Never panics because of a server or a disk; errors are in the report.
///
/// When `stop` is cancelled, no further message is requested, those in flight are delivered within a bound, and the
/// session ends in order. The observers receive each event as it happens.
pub async fn poll(
    context: Arc<PollContext>,
    account: Account,
    options: PollOptions,
    stop: CancellationToken,
    observers: Observers,
) -> PollReport {
    let account = account.with_spool(&context.state_dir);
    let mut poll = Poll {
        events: Emitter::new(account.name.clone(), observers),
        context,
        account,
        options,
        stop,
        pass: Pass::Normal,
        isolated: IsolatedMessages::default(),
        tried: HashSet::new(),
        compared: HashSet::new(),
        compared_as: HashSet::new(),
        went_back: false,
        broken: 0,
        lost: 0,
        left: 0,
        listed: 0,
        begun: Instant::now(),
        so_far: SoFar::default(),
        logins: LoginGate::default(),
        octets: 0,
        in_session: InSession::default(),
        unsyncable: false,
        has_recognised_renumbered: false,
        names_change: false,
        certain: Vec::new(),
        looked_again: false,
        earlier: None,
        is_probe: false,
        has_probed: false,
        left_for_spool: None,
        kept_out_by_spool: 0,
        closed: Closed::default(),
        sizes: Sizes::default(),
        sizes_are_mostly_off: false,
        sizes_exact: 0,
        sizes_beside: HashMap::new(),
        too_long: Vec::new(),
        beyond_limits: BeyondLimits::default(),
        had_no_room: None,
        clean: None,
        redactor: Arc::default(),
        share: Arc::default(),
    };
    let end = poll.run().await.map_err(error::because_others_waited);
    poll.events.end(poll.begun.elapsed(), end)
}

/// A running poll.
struct Poll {
    context: Arc<PollContext>,
    account: Account,
    options: PollOptions,
    stop: CancellationToken,
    /// Passes events on. No decision depends on them.
    events: Emitter,
    /// Which messages the current session handles.
    pass: Pass,
    /// Messages at which sessions broke and that wait for sessions of their own.
    isolated: IsolatedMessages,
    /// Messages that failed in this poll and are left alone for the rest of it.
    tried: HashSet<ListedAs>,
    /// Entries whose messages were retrieved in this poll for comparison.
    compared: HashSet<EntryId>,
    /// How those messages were listed.
    compared_as: HashSet<(MessageNumber, Option<ListedAs>)>,
    /// After the isolated sessions a normal one was held, and no session has brought anything since.
    went_back: bool,
    /// How many sessions broke at a message.
    broken: u32,
    /// How many of them because the connection broke at a message without a unique-id, or without one that lasts.
    lost: u32,
    /// How many messages the last session left over, or did not list although the one before had left them over.
    left: usize,
    /// How many messages the current session has listed.
    listed: usize,
    /// When the poll began, moved forward by the time that it waited for its place.
    begun: Instant,
    /// What the poll has done so far.
    so_far: SoFar,
    /// When it last logged in.
    logins: LoginGate,
    /// The octets of the messages retrieved, as they are stored.
    octets: u64,
    /// What holds only for the current session.
    in_session: InSession,
    /// The file system cannot make a delivery durable, so nothing may be deleted.
    unsyncable: bool,
    /// Messages were recognised under new unique-ids.
    has_recognised_renumbered: bool,
    /// The server's unique-ids last for a session only, as two listings showed.
    names_change: bool,
    /// The entries, in order, that were on the server and free of doubt when this was seen, except those that this poll
    /// may have removed since.
    certain: Vec<EntryId>,
    /// A session was ended in favour of another one that shows whether they do.
    looked_again: bool,
    /// What that session listed, until the next one has been compared with it.
    earlier: Option<EarlierListing>,
    /// The current session is held only to see whether there is more.
    is_probe: bool,
    /// Such a session was held: what is listed now may have been retrieved under other unique-ids.
    has_probed: bool,
    /// Messages are left on the server, because they do not fit into the spool.
    left_for_spool: Option<LeftFor>,
    /// How many messages of this session's plan do not fit into the spool.
    kept_out_by_spool: usize,
    /// Maildirs other than the account's own that cannot take mail.
    closed: Closed,
    /// The sizes of the messages in the last listing.
    sizes: Sizes,
    /// According to the hints, most messages come in another size than listed. Used only to save retrievals.
    sizes_are_mostly_off: bool,
    /// According to the hints, how many messages have lately come in the listed size.
    sizes_exact: u32,
    /// The sizes that came along with their messages in the current session.
    sizes_beside: HashMap<MessageNumber, ReportedSize>,
    /// Messages that exceeded their ceiling: their numbers and listed sizes.
    too_long: Vec<(MessageNumber, Option<ReportedSize>)>,
    /// The same in this and earlier polls, according to the hints. Used only to leave them alone for a while.
    beyond_limits: BeyondLimits,
    /// Messages for which there was no room any more while they came, with the Maildir of the first: the poll ends with
    /// this.
    had_no_room: Option<(PathBuf, DoesNotFit)>,
    /// Set if the last session found nothing to do.
    clean: Option<Clean>,
    /// Hides the credential in the server's words.
    redactor: Arc<Redactor>,
    /// The memory reserved for the state. It may be released while the poll hangs.
    share: Arc<Mutex<Share>>,
}

/// Returns how often in a row a session broke at one of the messages that are left: a large one over a slow line gets
/// longer each time.
fn times_broken(state: &StateHandle) -> u32 {
    let Ok(store) = state.read() else { return 0 };
    let broke = store.state().quarantines().filter(|(_, one)| one.kind == QuarantineReason::BrokeSession);
    broke.map(|(_, one)| one.count).max().unwrap_or(0)
}

/// What holds only for one session.
#[derive(Debug, Default)]
struct InSession {
    /// Messages were requested.
    retrieved: bool,
    /// A message came shorter than listed: its end may have been misplaced.
    short: bool,
    /// Nothing has proven yet that the delivered messages are what they were taken for.
    unproven: bool,
    /// The entries whose bytes came again.
    recognised: Vec<EntryId>,
    /// Those in `recognised` that were proven to be the same before the session broke.
    verified: Vec<Verified>,
    /// The new unique-ids of those in `verified` that were remembered under others.
    renamed: Vec<NewUniqueId>,
    /// A size requested along with its message did not come.
    sizes_do_not_come: bool,
}

impl Poll {
    async fn run(&mut self) -> Result<(), PollError> {
        let (locked, obtained, mut first) = match self.options.dry_run {
            true => (None, self.obtain(None).await, None),
            false => match self.begin().await? {
                Beginning::Nothing => return Ok(()),
                Beginning::Full(locked, obtained, first) => (Some(locked), obtained, first),
            },
        };
        self.wait_for_room(locked.as_deref(), &mut first).await?;
        let (mut state, hints) = self.open_state(locked).await?;
        let (opened, mut profile) = match first.map(|first| *first) {
            Some(First { opened, profile }) => (Some(opened), profile),
            None => (None, hints),
        };
        self.beyond_limits = profile.beyond_limits();
        watch::was_too_slow(times_broken(&state));
        let end = match obtained {
            Ok(obtained) => self.sessions_with_credential(opened, obtained, &mut state, &mut profile).await,
            Err(none) => Err(none),
        };
        let end = self.closed.end(end);
        let end = self.end_with_lack_of_room(end);
        match state.read() {
            Ok(store) => self.events.tell(&PollEvent::Quarantine(&Quarantined::of(store))),
            // It was lost with work that panicked or for which no thread was available.
            Err(gone) => return end.and(Err(gone.into())),
        }
        if !self.options.dry_run {
            let (disk, wall) = (Arc::clone(&self.context.disk), self.context.clock.read().wall);
            if self.so_far.messages > 0 {
                profile.delivered(self.so_far.messages, self.octets, &self.context.clock.today(), wall);
            }
            let success = end.is_ok().then_some(wall);
            profile.set_beyond_limits(std::mem::take(&mut self.beyond_limits));
            let write = move |_: &mut Store| (profile.write(&disk, success), profile);
            let (written, kept) = state.with("write the hints", write).await?;
            profile = kept;
            let (past, history) = self.totals(written);
            self.events.tell(&PollEvent::Totals { past: &past, history: &history });
        }
        if self.options.dry_run {
            return end;
        }
        // The records of a failed session become durable, too, and the messages that it delivered leave tmp/.
        let finished = state.with("sync the state", Store::finish).await?;
        end?;
        finished?;
        match self.clean.take() {
            Some(clean) => self.keep_clean(clean, profile, &mut state).await,
            None => Ok(()),
        }
    }

    /// Holds sessions with the account's credential. An access token may expire during a poll, and a server may revoke
    /// it early: then the poll obtains another one and continues. The first session may have been opened already.
    async fn sessions_with_credential(
        &mut self,
        mut opened: Option<Opened>,
        mut obtained: Obtained,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
    ) -> Result<(), PollError> {
        loop {
            let secret = obtained.credential.secret().clone();
            self.note_credential(&obtained);
            let end = self.sessions(opened.take(), state, profile, &secret).await;
            match &end {
                Err(e) if obtained.may_have_ended(e) => self.events.tell(&PollEvent::TokenRefused(e)),
                _ => return end,
            }
            obtained = self.obtain(Some(secret)).await?;
        }
    }

    /// Holds sessions as long as each brings something and there may be more. The first one may have been opened
    /// already.
    async fn sessions(
        &mut self,
        mut begun: Option<Opened>,
        state: &mut StateHandle,
        profile: &mut ServerProfile,
        password: &Secret,
    ) -> Result<(), PollError> {
        loop {
            if begun.is_none() {
                self.begin_session();
            }
            let before = self.so_far.messages;
            let first_entry = state.read()?.state().next_id();
            self.forget_session();
            self.clean = None;
            let next = match self.session(begun.take(), state, profile, password).await {
                Ok(mut ended) => {
                    self.clean.clone_from(&ended.clean);
                    let has_new = self.so_far.messages > before;
                    if self.is_probe {
                        profile.looked_for_more(has_new);
                    }
                    let more = has_new && ended.all_new > 0 && profile.may_list_more(ended.all_new);
                    // Comparing an entry a second time is no progress.
                    let compares_anew = ended.compared.iter().any(|(id, _)| !self.compared.contains(id));
                    let progress = has_new || ended.newly_skipped || compares_anew;
                    for (id, listed) in &ended.compared {
                        self.compared.insert(*id);
                        self.compared_as.insert((listed.number, ListedAs::of(listed)));
                    }
                    self.end_at_download_limit(&mut ended)?;
                    self.after(&ended, progress, more)
                }
                Err(broken) => {
                    let came = usize::try_from(self.so_far.messages - before).unwrap_or(usize::MAX);
                    self.left = self.left.saturating_sub(came);
                    self.doubt_what_came(&broken, first_entry, state).await?;
                    let next = self.after_broken(broken, state).await;
                    if let Err(error) = &next {
                        self.events.tell(&PollEvent::SessionFailed { error, next: AfterFailure::PollEnds });
                    }
                    next?
                }
            };
            match next {
                Next::Done => return Ok(()),
                _ if self.options.dry_run => return Ok(()),
                _ if self.stop.is_cancelled() => return Err(PollError::Stopped),
                _ if watch::is_to_give_way() => {
                    self.events.tell(&PollEvent::MayBeMore { had_its_share: false });
                    self.leave_for(&next, LeftFor::LongPoll);
                    return Ok(());
                }
                next => {
                    if let Some(why) = self.wait_for_another(state).await? {
                        let had_its_share = matches!(why, LeftFor::LongPoll | LeftFor::LargeState);
                        self.events.tell(&PollEvent::MayBeMore { had_its_share });
                        self.leave_for(&next, why);
                        return Ok(());
                    }
                    self.go_on(&next);
                }
            }
        }
    }

    /// Ends the poll if the server gives no more messages for now.
    fn end_at_download_limit(&self, ended: &mut Ended) -> Result<(), PollError> {
        let Some(response) = ended.download_limit.take() else { return Ok(()) };
        self.leave(ended.left, LeftFor::DownloadLimit);
        let provider = Provider::of(&self.account.endpoint.host);
        Err(ClientError::DownloadLimit { provider, response }.into())
    }

    /// Records doubt about what a broken session delivered. A message that ended early may have put the following
    /// responses out of step, until something proves the contrary.
    async fn doubt_what_came(
        &mut self,
        broken: &Broken,
        first_entry: EntryId,
        state: &mut StateHandle,
    ) -> Result<(), PollError> {
        let InSession { retrieved, short, unproven, recognised, mut verified, renamed, .. } =
            std::mem::take(&mut self.in_session);
        // A server that sends unsolicited data may also have sent the response that seemed to prove the contrary.
        if broken.is_about_framing() || (unproven && short) {
            // Where unique-ids last for a session only, none was trusted: they are remembered as before, but in doubt.
            let (doubted, recognised) =
                if self.names_change { (recognised, Vec::new()) } else { (Vec::new(), recognised) };
            let unproven = move |store: &mut Store| {
                store.record_doubt(doubted)?;
                record_unproven(store, first_entry, &recognised)
            };
            state.with("write down what is not proven", unproven).await??;
        } else if retrieved && broken.may_be_followed() {
            // After any other error the poll ends, and the next one finds the doubt in the state.
            let unshown = move |store: &mut Store| {
                // They stay in doubt, which tells the next poll that the server has renumbered its messages.
                let moved: HashSet<EntryId> = renamed.iter().map(NewUniqueId::entry).collect();
                verified.retain(|one| !moved.contains(&one.entry()));
                store.record_renamed(&renamed)?;
                store.record_verified(&verified)?;
                doubt_unshown(store)
            };
            state.with("write down what nothing has shown", unshown).await??;
        }
        Ok(())
    }

    /// Counts and reports a session that begins.
    fn begin_session(&mut self) {
        self.so_far.sessions += 1;
        self.events.tell(&PollEvent::SessionBegun);
    }

    /// Forgets what held only for the previous session.
    fn forget_session(&mut self) {
        self.in_session = InSession::default();
        self.sizes_beside.clear();
    }

    /// Uses this credential from now on.
    fn note_credential(&mut self, obtained: &Obtained) {
        self.redactor = Arc::new(Redactor::new(&self.account.username, obtained.credential.secret()));
        self.events.tell(&PollEvent::CredentialObtained { redactor: &self.redactor, token: obtained.token });
    }
}
