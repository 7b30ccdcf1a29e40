//! Plays a story, and judges each step.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use mailferry::account::RemovalPolicy;
use tokio::runtime::Runtime;

use super::super::clock::Time;
use super::super::dialogue::{Received, received, stored};
use super::super::disk::look;
use super::super::power::Survival;
use super::super::script::Script;
use super::super::server::{Lacking, Manner, Message, Post, UniqueIds, open};
use super::super::sizes::Note;
use super::super::world::World;
use super::judge::{self, Failure, Kind};
use super::ledger::{Doubt, Ledger};
use super::letter::{Letter, Naming};
use super::reader::{self, Ages, TRASH};
use super::story::{Act, Flushed, Reading, Renamed, ServerFault, Story};
use super::totals::Totals;

/// The maximum number of polls of each account at the end, until there is nothing left to do.
const LAST_POLLS: usize = 14;
/// The hours between two of those polls: a message that caused problems is tried again within a week.
const BETWEEN: u64 = 30;

/// After so many of those polls nothing that went wrong before explains another copy.
const CALM: usize = 2;

/// The result of a story.
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    /// What happened, line by line.
    pub(crate) log: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// What exists besides the world itself.
#[derive(Default)]
pub(super) struct Outside {
    /// Messages that somebody has removed from the server and may put back.
    bin: Vec<Message>,
    /// The unique-ids and bytes of messages that are gone, and those that are incomplete.
    gone: Vec<(String, Arc<[u8]>)>,
    growing: Vec<Letter>,
    /// Whether anybody else changed the maildrop, or something went wrong, so that the unique-ids that mailferry knows may
    /// have passed to other messages.
    pub(super) disturbed: bool,
    /// Whether a header may not have been shown, or another one, or a message shared its unique-id: then one that a rule
    /// leaves on the server may be fetched.
    obscure: bool,
    /// Whether the last poll did not end in order.
    pub(super) unsettled: bool,
    /// Whether the last poll asked the user if everything is to be fetched again.
    pub(super) asks: bool,
    /// How many sessions, and how many removals, have been checked.
    pub(super) sessions: usize,
    pub(super) removals: usize,
    /// How many notes have been recorded.
    pub(super) notes: usize,
    /// How often unique-ids were changed.
    renumbered: usize,
}

/// A story being played.
pub(super) struct Player<'a> {
    pub(super) story: &'a Story,
    pub(super) world: World<'a>,
    pub(super) runtime: &'a Runtime,
    pub(super) ledger: Ledger,
    pub(super) outside: Vec<Outside>,
    ages: Ages,
    pub(super) totals: Totals,
    log: Vec<String>,
}

/// Plays a story to its end, or until something is wrong.
pub(crate) fn play(story: &Story, runtime: &Runtime) -> Outcome {
    let script = story.script();
    let mut player = Player::new(story, &script, runtime);
    let played = catch_unwind(AssertUnwindSafe(|| player.play()));
    let failure = match played {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Failure { kind: Kind::Panic, text: text.unwrap_or_default() })
        }
    };
    Outcome { totals: player.totals, log: player.log, failure }
}

impl<'a> Player<'a> {
    pub(super) fn new(story: &'a Story, script: &'a Script, runtime: &'a Runtime) -> Self {
        let world = World::new(script, runtime);
        {
            let storage = &mut look(&world.machine).storage;
            storage.make_dir(Path::new(TRASH)).unwrap();
            storage.sync_all();
        }
        let accounts = story.accounts.len();
        let totals = Totals { stories: 1, ..Totals::default() };
        Self {
            story,
            world,
            runtime,
            ledger: Ledger::new(accounts),
            outside: (0..accounts).map(|_| Outside::default()).collect(),
            ages: Ages::default(),
            totals,
            log: Vec::new(),
        }
    }

    fn play(&mut self) -> Result<(), Failure> {
        for act in &self.story.acts {
            self.act(*act)?;
            self.look_at_tmp();
        }
        self.end()
    }

    pub(super) fn now(&self) -> u64 {
        self.world.clock.time().passed
    }

    pub(super) fn note(&mut self, words: &str) {
        self.log.last_mut().unwrap().push_str(words);
    }

    /// Whether the maildrop may have changed in a way that mailferry cannot know of.
    pub(super) fn is_disturbed(&self, account: usize) -> bool {
        self.outside[account].disturbed
    }

    /// Whether the server shows each message that a rule leaves there as what it is.
    pub(super) fn shows_what_to_skip(&self, account: usize) -> bool {
        let Manner { top, refuses_top, unique_ids, .. } = self.manner(account);
        top && !refuses_top && unique_ids == UniqueIds::Lasting && !self.outside[account].obscure
    }

    /// Reads or changes a maildrop.
    pub(super) fn post<T>(&self, account: usize, act: impl FnOnce(&mut Post) -> T) -> T {
        act(open(&self.world.posts).get_mut(&self.story.accounts[account].name).unwrap())
    }

    fn look_at_tmp(&mut self) {
        let now = self.now();
        let machine = look(&self.world.machine);
        for character in &self.story.accounts {
            self.ages.look(&machine.storage, Path::new(&character.maildir), now);
        }
    }

    pub(super) fn act(&mut self, act: Act) -> Result<(), Failure> {
        self.log.push(format!("{act:?}"));
        self.note_meddling(act);
        match act {
            Act::Mail(account, letter) => self.mail(account, letter),
            Act::Grows(account, which) => self.grow(account, which),
            Act::Poll(account, mishap) => return self.poll(account, mishap).map(|_| ()),
            Act::Hours(hours, flushed) => {
                if flushed == Flushed::Yes {
                    look(&self.world.machine).storage.sync_all();
                }
                self.world.clock.change(|time| time.passed += hours * 3600);
            }
            Act::WrongClock(days) => self.world.clock.change(|time| time.wrong = days * 86_400),
            Act::Reboot => {
                look(&self.world.machine).storage.sync_all();
                self.world.clock.change(Time::reboot);
            }
            Act::PowerCut(survival, seed) => {
                self.world.cut_power(survival, seed);
                self.ledger.note_power_cut();
                return judge::files(self);
            }
            Act::Reads(account, how, every) => self.read(account, how, every),
            Act::CleansTmp(account) => self.clean_tmp(account),
            Act::Removes(account, which) => self.remove(account, which),
            Act::PutsBack(account, which, renamed) => self.put_back(account, which, renamed),
            Act::Renumbers(account) => self.renumber(account),
            Act::Hides(account, lacking, every) => self.hide(account, lacking, every),
            Act::Shows(account) => self.post(account, |post| post.lacking = (None, BTreeSet::new())),
            Act::Next(account, fault) => self.fault(account, fault),
            Act::Lags(account, lag) => self.post(account, |post| post.lag = lag),
            Act::Notes(account, every, note) => self.hold(account, every, note),
            Act::Releases(account) => self.post(account, |post| post.notes.clear()),
        }
        Ok(())
    }

    /// Notes what makes the unique-ids and headers of an account unreliable.
    fn note_meddling(&mut self, act: Act) {
        let Some(account) = act.account() else {
            if matches!(act, Act::PowerCut(..)) {
                self.outside.iter_mut().for_each(|outside| outside.disturbed = true);
            }
            return;
        };
        let shares = matches!(act, Act::Mail(_, letter) if letter.naming != Naming::Own);
        let hides = matches!(act, Act::Notes(..) | Act::Next(_, ServerFault::RefusesTop));
        let quiet = matches!(act, Act::Mail(..) | Act::Poll(_, None) | Act::Reads(..) | Act::CleansTmp(_));
        let outside = &mut self.outside[account];
        outside.obscure |= shares || hides;
        outside.disturbed |= shares || !quiet;
    }

    fn mail(&mut self, account: usize, letter: Letter) {
        self.totals.messages += 1;
        self.ledger.expect(account, &letter, self.story.accounts[account].manner);
        let gone = self.outside[account].gone.last().cloned().filter(|_| letter.naming == Naming::OfGone);
        let bytes = if letter.part { letter.beginning() } else { letter.bytes() };
        self.post(account, |post| {
            let there = post.messages.last().map(|message| message.unique_id.clone());
            let (unique_id, before) = match letter.naming {
                Naming::OfPresent => (there, None),
                Naming::OfGone | Naming::Own => gone.unzip(),
            };
            let unique_id = unique_id.unwrap_or_else(|| format!("u{:03}", letter.token));
            let after = letter.part.then(|| letter.bytes().into());
            post.messages.push(Message { before, after, ..Message::new(&letter.id(), &unique_id, bytes) });
        });
        if letter.part {
            self.outside[account].growing.push(letter);
        }
    }

    fn grow(&mut self, account: usize, which: usize) {
        let growing = &mut self.outside[account].growing;
        if growing.is_empty() {
            return;
        }
        let letter = growing.swap_remove(which % growing.len());
        self.post(account, |post| {
            if let Some(message) = post.messages.iter_mut().find(|message| message.id == letter.id()) {
                message.becomes(letter.bytes().into());
            }
        });
        self.note(&format!(": {}", letter.id()));
    }

    fn read(&mut self, account: usize, how: Reading, every: usize) {
        let maildir = &self.story.accounts[account].maildir;
        let was_refused = reader::was_refused(&look(&self.world.machine).storage);
        let gone = reader::read(&mut look(&self.world.machine).storage, Path::new(maildir), how, every);
        let doubt = match how {
            Reading::Opens => return,
            Reading::Deletes => Doubt::DeletedByReader,
            Reading::Files if was_refused => Doubt::FiledAfterRefusal,
            Reading::Files => return,
        };
        for bytes in gone {
            self.doubt_after_failure(account, &bytes, doubt);
        }
    }

    fn clean_tmp(&mut self, account: usize) {
        let (maildir, now) = (&self.story.accounts[account].maildir, self.now());
        let cleaned = self.ages.clean(&mut look(&self.world.machine).storage, Path::new(maildir), now);
        for bytes in cleaned {
            self.doubt_after_failure(account, &bytes, Doubt::CleanedFromTmp);
        }
    }

    /// Records a doubt about what was done to a file whose delivery is not settled.
    fn doubt_after_failure(&mut self, account: usize, bytes: &[u8], doubt: Doubt) {
        let maildir = &self.story.accounts[account].maildir;
        let shares = self.story.accounts.iter().zip(&self.outside).filter(|(other, _)| other.maildir == *maildir);
        let unsettled = shares.fold(false, |any, (_, outside)| any || outside.unsettled);
        if let Some(content) = self.ledger.content(bytes).filter(|_| unsettled) {
            let id = content.id.clone();
            self.ledger.doubt(&id, doubt);
        }
    }

    fn remove(&mut self, account: usize, which: usize) {
        let removed = self.post(account, |post| {
            let count = post.messages.len();
            (count > 0).then(|| post.messages.remove(which % count))
        });
        if let Some(message) = removed {
            self.note(&format!(": {}", message.id));
            self.outside[account].gone.push((message.unique_id.clone(), Arc::clone(&message.bytes)));
            self.outside[account].bin.push(message);
        }
    }

    fn put_back(&mut self, account: usize, which: usize, renamed: Renamed) {
        let bin = &mut self.outside[account].bin;
        if bin.is_empty() {
            return;
        }
        let mut message = bin.swap_remove(which % bin.len());
        if renamed == Renamed::Yes {
            message.unique_id.push('+');
        }
        self.note(&format!(": {}", message.id));
        self.ledger.is_back(&message.id);
        self.post(account, |post| post.messages.push(message));
    }

    fn renumber(&mut self, account: usize) {
        self.outside[account].renumbered += 1;
        let times = self.outside[account].renumbered;
        self.post(account, |post| {
            for (place, message) in post.messages.iter_mut().enumerate() {
                message.unique_id = format!("r{times}-{place}");
            }
        });
    }

    fn hide(&mut self, account: usize, lacking: Lacking, every: usize) {
        self.post(account, |post| {
            let hidden = post.messages.iter().step_by(every).map(|message| message.id.clone()).collect();
            post.lacking = (Some(lacking), hidden);
        });
    }

    fn hold(&mut self, account: usize, every: usize, note: Note) {
        let held: Vec<String> = self.post(account, |post| {
            let held: Vec<String> = post.messages.iter().step_by(every).map(|message| message.id.clone()).collect();
            post.notes.extend(held.iter().map(|id| (id.clone(), note)));
            held
        });
        held.iter().for_each(|id| self.ledger.is_back(id));
    }

    fn fault(&mut self, account: usize, fault: ServerFault) {
        self.post(account, |post| match fault {
            ServerFault::RefusesTop => post.next_session.refuses_top = true,
            ServerFault::RefusesDele => post.next_session.refuses_dele = true,
            ServerFault::RefusesRetr(which) => {
                let count = post.messages.len().max(1);
                let id = post.messages.get(which % count).map(|message| message.id.clone());
                post.next_session.refuses_retr.extend(id);
            }
            ServerFault::LosesQuit => post.loses_quit = true,
            ServerFault::LosesGoodbye => post.next_session.loses_goodbye = true,
        });
    }

    /// Returns the behaviour of an account's server.
    pub(super) fn manner(&self, account: usize) -> Manner {
        self.story.accounts[account].manner
    }

    /// Whether the server can show only a part of a message, or one that lacks some dots.
    fn is_garbled(&self, account: usize, message: &Message) -> bool {
        match received(&message.bytes, self.manner(account)) {
            Received::Part(_) => true,
            Received::Whole(seen) => seen != stored(&message.bytes),
        }
    }

    /// Ends the story without further faults: each account must come to rest with everything that it was reported to
    /// have.
    fn end(&mut self) -> Result<(), Failure> {
        self.log.push("the end".to_owned());
        look(&self.world.machine).storage.sync_all();
        for account in 0..self.story.accounts.len() {
            self.post(account, |post| {
                (post.lacking, post.lag) = ((None, BTreeSet::new()), None);
                post.notes.clear();
            });
        }
        let mut restless: Vec<usize> = (0..self.story.accounts.len()).collect();
        let mut polls = 0;
        let mut left = self.left();
        let mut in_calm = BTreeMap::new();
        // A poll with a limit on retrievals also has one on deletions: it continues as long as there is progress.
        while polls < LAST_POLLS || (!restless.is_empty() && self.left() < left) {
            (polls, left) = (polls + 1, self.left());
            let mut still = Vec::new();
            for account in restless {
                self.log.push(format!("last poll of {account}"));
                if !self.poll(account, None)? {
                    still.push(account);
                }
            }
            restless = still;
            self.world.clock.change(|time| time.passed += BETWEEN * 3600);
            if polls == CALM {
                in_calm = judge::numbers_of_copies(self)?;
            }
        }
        for account in restless {
            let garbled = self.post(account, |post| post.messages.clone());
            // If names only count and a session has a limit, the same messages are retrieved again and again.
            let character = &self.story.accounts[account];
            let names_are_new = character.manner.unique_ids == UniqueIds::Counting && character.most.is_some();
            // What is never sent as listed is tried forever.
            let misfits = character.manner.estimates && !character.estimates;
            // So is a message that is larger than the account accepts, but is not listed as such.
            let is_larger = |message: &Message| character.largest.is_some_and(|most| message.bytes.len() as u64 > most);
            let too_large = character.manner.estimates && garbled.iter().any(is_larger);
            let is_explained = names_are_new || misfits || too_large;
            if !is_explained && !garbled.iter().any(|message| self.is_garbled(account, message)) {
                let text = format!("{} does not come to rest", self.story.accounts[account].name);
                return Err(Failure { kind: Kind::Restless, text });
            }
        }
        self.world.cut_power(Survival::Nothing, 0);
        self.ledger.note_power_cut();
        judge::files(self)?;
        for account in 0..self.story.accounts.len() {
            self.log.push(format!("a poll of {account} behind a power cut"));
            self.poll(account, None)?;
        }
        self.count();
        judge::no_further_copies(self, &in_calm)
    }

    /// Returns how many messages are left on all servers.
    fn left(&self) -> usize {
        (0..self.story.accounts.len()).map(|account| self.post(account, |post| post.messages.len())).sum()
    }

    fn count(&mut self) {
        self.totals.hidden = self.ledger.hidden();
        for (account, character) in self.story.accounts.iter().enumerate() {
            let keeps = character.removal == RemovalPolicy::Keep;
            let is_to_go = |message: &&Message| !self.ledger.is_skipped(&message.id);
            let left = self.post(account, |post| post.messages.iter().filter(is_to_go).count());
            self.totals.left += if keeps { 0 } else { left };
            let (notes, beyond) = self.post(account, |post| (post.sent_notes.len(), post.beyond_evidence));
            self.totals.notes += notes;
            self.totals.beyond_evidence += beyond;
        }
        judge::count_copies(self);
    }
}
