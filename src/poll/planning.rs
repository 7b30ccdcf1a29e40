//! Plans a session: requests the headers that decide something, then makes the plan.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Poll;
use super::earlier_listing::EarlierListing;
use super::error::PollError;
use super::events::PollEvent;
use super::report::Decision;
use crate::account::{Account, RemovalPolicy};
use crate::client::Client;
use crate::client::budget::Share;
use crate::client::headers::{Shown, headers};
use crate::client::in_step::InStep;
use crate::client::listing::{ask_for_sizes, look};
use crate::delivery::destination::sync_directories;
use crate::disk::DirSync;
use crate::ids::{EntryId, RulesDigest};
use crate::plan::maildrop::Maildrop;
use crate::plan::{Done, Expected, IsolatedMessages, Pass, Plan, PlanInput, Policy, Seen, Skipping};
use crate::pop3::{Capabilities, MessageNumber, ReportedSize};
use crate::routing::{HEADER_MOST, HeaderEnd, Route, Routing};
use crate::state::entries::{Entry, ListedAs, UidState};
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// What a plan is made from besides the state.
struct Given {
    maildrop: Arc<Maildrop>,
    policy: Policy,
    /// Messages that are left alone for the rest of the poll.
    tried: HashSet<ListedAs>,
    /// Messages at which sessions of this poll broke.
    isolated: IsolatedMessages,
    /// Entries compared in this poll.
    compared: HashSet<EntryId>,
    /// How those messages were listed.
    compared_as: HashSet<(MessageNumber, Option<ListedAs>)>,
    /// The headers seen in this session.
    seen: Seen,
    /// The messages whose headers were requested.
    looked_at: HashSet<MessageNumber>,
    /// How often headers were requested.
    looks: u32,
    /// How often headers were requested that had never been seen before.
    first_looks: u32,
    /// What is known about messages that a rule may leave on the server.
    judging: Judging,
    /// Numbers and sizes of messages that went beyond their limits and are left alone for now.
    beyond_limits: HashSet<(MessageNumber, Option<ReportedSize>)>,
    /// What the previous session listed, if this one is to show whether unique-ids last.
    earlier: Option<EarlierListing>,
    /// The entries, in order, that were on the server and free of doubt when this poll saw that unique-ids change.
    certain: Vec<EntryId>,
    /// The server may be asked for sizes along with the messages.
    takes_sizes_beside: bool,
    /// What to expect of messages whose sizes come along with them.
    expected: Option<Expected>,
}

/// A plan, and what it was based on.
pub(super) struct Planned {
    /// The plan.
    pub(super) plan: Plan,
    /// What to expect of messages whose sizes come along with them, if they do.
    pub(super) expected: Option<Expected>,
    /// The messages whose headers were requested.
    pub(super) looked_at: HashSet<MessageNumber>,
    /// Those of them whose headers were requested to see whether a rule leaves them on the server.
    pub(super) judged: HashSet<MessageNumber>,
}

/// What is known about messages that a rule may leave on the server.
#[derive(Default)]
struct Judging {
    /// The digest of the account's rules, if one of them leaves messages on the server.
    rules: Option<RulesDigest>,
    /// The messages whose headers were requested, each with whether a rule leaves it on the server.
    judged: HashMap<MessageNumber, bool>,
    /// The headers were requested.
    is_done: bool,
}

impl Judging {
    fn by(routing: &Routing) -> Self {
        Self { rules: routing.skips().then(|| routing.digest()), ..Self::default() }
    }
}

/// A maildrop as just listed.
pub(super) struct ListedNow<'a> {
    /// The listing; its sizes are added if all of them have to be known.
    pub(super) maildrop: &'a mut Arc<Maildrop>,
    /// Its share of the memory for listings.
    pub(super) share: &'a mut Share,
    /// As far as is known, the server accepts requests for sizes along with the messages.
    pub(super) sizes_beside: bool,
}

/// The next step of planning.
enum Step {
    /// All sizes have to be known.
    Sizes,
    /// Request the headers of these messages.
    Look(Vec<MessageNumber>),
    /// Request the headers of these messages, to see whether a rule leaves them on the server.
    Judge(Vec<MessageNumber>),
    /// The plan is made.
    Decided(Box<Plan>),
}

impl Given {
    /// Takes the next step, in time proportional to the listing and the state. Blocks.
    fn step(&mut self, store: &Store) -> Step {
        if self.maildrop.sizes_put_off.is_none() {
            self.isolated.meet(&self.maildrop);
        }
        // Sizes that were put off are asked for where anything has vanished.
        if self.maildrop.sizes_put_off.is_none()
            && let Some(earlier) = self.earlier.take()
        {
            self.policy.names_change = earlier.is_renamed_in(&self.maildrop);
            self.policy.renumbered |= self.policy.names_change;
            if self.policy.names_change {
                self.certain = certain(store.state());
            }
        }
        // Where unique-ids are counted, each message that goes renumbers others.
        self.policy.renumbered |= self.maildrop.sizes_put_off.is_none() && self.maildrop.counts();
        let done = Done { tried: &self.tried, compared: &self.compared, compared_as: &self.compared_as };
        let skipping = self.judging.rules.map(|rules| Skipping { rules, judged: &self.judging.judged });
        let input = PlanInput::new(&self.maildrop, store.state(), done, store.now()).with_skipping(skipping);
        let input = input.with_isolated(&self.isolated).with_beyond_limits(&self.beyond_limits);
        let input = input.with_certain(&self.certain);
        if self.maildrop.sizes_put_off.is_some() && self.expected.is_none() {
            self.expected = self.takes_sizes_beside.then(|| input.sizes_may_wait(&self.policy)).flatten();
            if self.expected.is_none() {
                return Step::Sizes;
            }
        }
        // First what the plan needs, then a sample of what may have been renumbered, then the rest of that.
        let mut numbers = if self.looks == 0 { input.look_at(&self.policy) } else { Vec::new() };
        if numbers.is_empty() && self.looks < 3 {
            numbers = input.look_for_renumbering(&self.policy, &self.seen);
        }
        if numbers.is_empty() && self.first_looks < 2 {
            let probed = self.first_looks > 0;
            numbers = input.look_for_first_time(&self.policy, &self.seen, probed);
            self.first_looks += 1;
        }
        if numbers.is_empty() && !self.judging.is_done {
            let open = input.look_to_skip(&self.policy, &self.seen);
            self.judging.is_done = true;
            if !open.is_empty() {
                return Step::Judge(open);
            }
        }
        match numbers.is_empty() {
            true => Step::Decided(Box::new(input.plan(&self.policy, &self.seen))),
            false => Step::Look(numbers),
        }
    }
}

impl Poll {
    /// Plans the session, requesting the sizes and headers that matter.
    pub(super) async fn plan(
        &mut self,
        client: &mut Client,
        capabilities: Option<&Capabilities>,
        listed: ListedNow<'_>,
        state: &mut StateHandle,
    ) -> Result<Planned, PollError> {
        let store = state.read()?;
        let policy = self.policy(store, capabilities);
        let ListedNow { maildrop, share, sizes_beside } = listed;
        // With a spool, its limits depend on sizes; a message that went beyond its limit is known by its size.
        let sizes_matter = self.account.forward.is_some() || !self.beyond_limits.is_empty();
        let takes_sizes_beside = sizes_beside && !sizes_matter && client.window() > 1;
        let mut given = Given {
            maildrop: Arc::clone(maildrop),
            policy,
            tried: self.tried.clone(),
            isolated: self.isolated.clone(),
            compared: self.compared.clone(),
            compared_as: self.compared_as.clone(),
            seen: Seen::in_session(client.serial()),
            looked_at: HashSet::new(),
            looks: 0,
            first_looks: 0,
            judging: Judging::by(&self.account.routing),
            beyond_limits: self.beyond_limits.left_alone(store.now().seconds()).collect(),
            earlier: self.earlier.take(),
            certain: std::mem::take(&mut self.certain),
            takes_sizes_beside,
            expected: None,
        };
        let plan = loop {
            let step;
            let plan = move |store: &mut Store| {
                let step = given.step(store);
                (given, step)
            };
            (given, step) = state.with("plan a session", plan).await?;
            match step {
                Step::Sizes => {
                    drop(std::mem::take(&mut given.maildrop));
                    let without = Arc::unwrap_or_clone(std::mem::take(maildrop));
                    *maildrop = Arc::new(self.sizes(client, without, share).await?);
                    given.maildrop = Arc::clone(maildrop);
                }
                Step::Look(numbers) => self.look(client, &numbers, &mut given).await?,
                Step::Judge(numbers) => self.judge(client, &numbers, &mut given).await?,
                // If a power cut could undo deliveries, nothing is deleted, or retrieved for deletion only.
                Step::Decided(plan) if plan.deletes_earlier() && !self.can_sync(state).await? => {
                    self.note_cannot_sync();
                    given.policy.removal = RemovalPolicy::Keep;
                }
                Step::Decided(plan) => break plan,
            }
        };
        (self.isolated, self.certain) = (given.isolated, given.certain);
        if maildrop.complete && maildrop.sizes_put_off.is_none() {
            self.beyond_limits.keep_listed(&maildrop.messages);
        }
        self.names_change |= given.policy.names_change;
        if self.pass == Pass::Normal {
            self.isolated.wait(&plan.to_isolate);
        }
        self.check_unrecognisable(&plan)?;
        let judged = given.judging.judged.into_keys().collect();
        Ok(Planned { plan: *plan, expected: given.expected, looked_at: given.looked_at, judged })
    }

    /// Leaves it to the user whether messages are fetched that nothing can tell from known ones.
    fn check_unrecognisable(&self, plan: &Plan) -> Result<(), PollError> {
        if plan.unrecognisable > 0 && !self.options.fetch_again {
            return Err(PollError::Renumbered { account: self.account.name.clone(), messages: plan.unrecognisable });
        }
        if plan.unrecognisable == 0 && self.options.fetch_again && self.so_far.sessions == 1 {
            self.events.tell(&PollEvent::Needless(Decision::FetchAgain));
        }
        Ok(())
    }

    /// Returns the policy for this session at this server.
    fn policy(&self, store: &Store, capabilities: Option<&Capabilities>) -> Policy {
        let account = Policy::of(&self.account);
        Policy {
            removal: if self.unsyncable { RemovalPolicy::Keep } else { account.removal },
            // A server without CAPA cannot announce TOP; trying it costs nothing.
            has_top: capabilities.is_none_or(Capabilities::top),
            moved: is_moved(store, &self.account),
            renumbered: self.has_recognised_renumbered || self.has_probed || self.names_change,
            names_change: self.names_change,
            pass: self.pass,
            ..account
        }
    }

    /// Requests the sizes of all messages.
    async fn sizes(&self, client: &mut Client, maildrop: Maildrop, share: &mut Share) -> Result<Maildrop, PollError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            asked = ask_for_sizes(client, maildrop, share) => Ok(asked?),
        }
    }

    /// Requests the headers of some messages.
    async fn look(&self, client: &mut Client, numbers: &[MessageNumber], given: &mut Given) -> Result<(), PollError> {
        self.events.tell(&PollEvent::LooksAtHeaders { messages: numbers.len() });
        let looked = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(PollError::Stopped),
            looked = look(client, &given.maildrop, numbers) => looked?,
        };
        given.seen.extend(looked);
        given.looked_at.extend(numbers);
        given.looks += 1;
        // A server that shows none of them has no TOP, whatever it announces. That permits no deletion: then the bytes
        // have to decide.
        given.policy.has_top &= !given.seen.is_empty();
        Ok(())
    }

    /// Finds out by their headers which of these messages a rule leaves on the server.
    async fn judge(&self, client: &mut Client, numbers: &[MessageNumber], given: &mut Given) -> Result<(), PollError> {
        let in_step = InStep::behind_headers(&given.maildrop, numbers.last().copied());
        let (mut judged, mut shown) = (HashMap::with_capacity(numbers.len()), false);
        let each = |number, what: Shown<'_>| {
            shown |= what != Shown::Refused;
            judged
                .insert(number, matches!(what, Shown::Header(header) if is_left_there(&self.account.routing, header)));
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(PollError::Stopped),
            asked = headers(client, numbers, HEADER_MOST, Some(in_step), each) => asked?,
        }
        given.judging.judged = judged;
        given.looked_at.extend(numbers);
        // A server that shows none of them has no TOP, whatever it announces.
        given.policy.has_top &= shown;
        Ok(())
    }
}

impl Poll {
    /// Whether the file systems can make a name durable. Messages that may be in a Maildir whose directories cannot be
    /// synced must not be deleted.
    async fn can_sync(&mut self, state: &mut StateHandle) -> Result<bool, PollError> {
        let (disk, own) = (Arc::clone(&self.context.disk), self.account.maildir.clone());
        let sync = move |store: &mut Store| sync_directories(&*disk, store, &own);
        let (synced, failed) = state.with("sync the directories", sync).await??;
        if !failed.is_empty() {
            self.closed.keep_earlier();
        }
        for (configured, error) in failed {
            self.closed.note(configured, error.into(), &self.events);
        }
        Ok(synced == DirSync::Synced)
    }
}

/// Whether a rule leaves a message with this header, as shown by TOP, on the server.
fn is_left_there(routing: &Routing, shown: &[u8]) -> bool {
    let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
    shown.get(..end).is_some_and(|header| routing.route(header) == Route::Skip)
}

/// Whether the account points at another server than when the state was last written.
pub(super) fn is_moved(store: &Store, account: &Account) -> bool {
    !store.state().is_of_server(&account.endpoint.host, account.endpoint.port)
}

/// The most entries that are kept as certain.
const MOST_CERTAIN: usize = 100_000;

/// Returns the youngest entries, in order, that are on the server and free of doubt.
fn certain(state: &UidState) -> Vec<EntryId> {
    let is_certain = |entry: &&Entry| entry.unique_id.is_some() && !entry.was_gone() && !entry.doubt;
    let mut ids: Vec<EntryId> = state.entries().filter(is_certain).map(|entry| entry.id).collect();
    ids.split_off(ids.len().saturating_sub(MOST_CERTAIN))
}
