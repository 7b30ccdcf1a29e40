//! What is known about each message from outside: where it was stored, which doubts there were, and under which names
//! servers have shown it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::dialogue::{Received, received, stored};
use super::super::server::{Line, Manner, Shown};
use super::letter::{Header, Letter};

/// This many messages with new unique-ids at once are a renumbering, which headers reveal.
const RENUMBERED: usize = 5;

/// How long an absent message must be remembered, in seconds.
const REMEMBERED: u64 = 90 * 86_400;

/// The reasons why there may be an extra copy of a message. Nothing else explains one: no kill, no power cut, no cut
/// connection, no lost QUIT, no weak header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// The server showed it under another unique-id than before.
    Renamed,
    /// It was not listed for so long that it need not be remembered.
    Forgotten,
    /// It was not listed for a while, and has no unique-id.
    Unnamed,
    /// A mail reader deleted it while its delivery was not settled.
    DeletedByReader,
    /// A mail reader filed it elsewhere while its delivery was not settled, and a link had been refused before.
    FiledAfterRefusal,
    /// A mail reader cleared it out of `tmp/`.
    CleanedFromTmp,
    /// A line of it, or of another message with the same unique-id, looks like its end, so that nobody can retrieve it
    /// whole: what was retrieved is forgotten again, and a power cut may erase the memory of that.
    Garbled,
    /// It shares its unique-id with others, and the server reported the size of another moment for one of them: only
    /// the sizes distinguish them.
    StaleSize,
}

impl Doubt {
    pub(crate) const ALL: [Self; 8] = [
        Self::Renamed,
        Self::Forgotten,
        Self::Unnamed,
        Self::DeletedByReader,
        Self::FiledAfterRefusal,
        Self::CleanedFromTmp,
        Self::Garbled,
        Self::StaleSize,
    ];

    /// Describes it as the cause of copies.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Renamed => "another unique-id",
            Self::Forgotten => "absent for 90 days",
            Self::Unnamed => "absent without a unique-id",
            Self::DeletedByReader => "deleted by a mail reader in between",
            Self::FiledAfterRefusal => "filed by a mail reader in between, after a refused link",
            Self::CleanedFromTmp => "cleared out of tmp/",
            Self::Garbled => "garbled by its server",
            Self::StaleSize => "a size of another moment, under a shared unique-id",
        }
    }
}

/// What the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Content {
    /// The message's name in the world.
    pub(crate) id: String,
    /// Whether it is only the beginning, which the server sent as if it were all.
    pub(crate) part: bool,
    /// The number of the note, if the server sent one in its place.
    pub(crate) note: Option<usize>,
}

impl Content {
    /// Whether it is the message itself.
    pub(crate) fn is_whole(&self) -> bool {
        !self.part && self.note.is_none()
    }
}

/// What is known about one message.
#[derive(Debug, Clone, Default)]
struct Known {
    account: usize,
    /// Whether it has a header that no other message has, and was complete and present from the beginning.
    recognisable: bool,
    /// Whether its server cannot send it.
    garbled: bool,
    /// Whether a rule leaves it on the server.
    skipped: bool,
    /// When its file was first seen, in true seconds.
    stored: Option<u64>,
    doubts: Vec<Doubt>,
    /// When it was last listed, in true seconds, and its unique-id then.
    listed: Option<(u64, Option<String>)>,
    /// Whether the latest listing of its account lacked it.
    missed: bool,
    /// When something else was first sent in its place, in true seconds: to the client it did not exist then.
    replaced: Option<u64>,
    /// Whether a poll that knew it has ended well. What a broken poll has delivered is not recognised by a header.
    settled: bool,
}

/// A name that a message has had in a listing: its unique-id and its size.
type Name = (Option<String>, Option<usize>);

/// For each unique-id, the sizes (if listed) and the names of the messages that it stands for.
type Names = BTreeMap<String, Vec<(Option<usize>, String)>>;

/// What is known about all messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    contents: HashMap<Vec<u8>, Content>,
    messages: BTreeMap<String, Known>,
    /// By account: which message each unique-id stands for, as far as a client can know without looking at every
    /// header.
    names: Vec<Names>,
    /// By account: all unique-ids that were ever listed.
    used: Vec<BTreeSet<String>>,
    /// Messages that replaced another one of the same size under the same unique-id, without a listing in between:
    /// beyond notice as long as nothing is to be deleted.
    hidden: BTreeMap<String, Name>,
}

impl Ledger {
    pub(crate) fn new(accounts: usize) -> Self {
        Self { names: vec![BTreeMap::new(); accounts], used: vec![BTreeSet::new(); accounts], ..Self::default() }
    }

    /// Registers a new message.
    pub(crate) fn expect(&mut self, account: usize, letter: &Letter, manner: Manner) {
        let content = |part| Content { id: letter.id(), part, note: None };
        let (bytes, garbled) = match received(&letter.bytes(), manner) {
            Received::Whole(bytes) => (bytes, false),
            Received::Part(bytes) => (bytes, true),
        };
        self.contents.insert(bytes, content(garbled));
        if letter.part {
            self.contents.insert(stored(&letter.beginning()), content(true));
        }
        let recognisable = letter.header == Header::Own && !letter.part;
        self.messages
            .insert(letter.id(), Known { account, recognisable, garbled, skipped: letter.bulk, ..Known::default() });
    }

    /// Registers a note that was sent in place of a message.
    pub(crate) fn expect_note(&mut self, id: &str, bytes: &[u8], now: u64) {
        let content = Content { id: id.to_owned(), part: false, note: Some(self.contents.len()) };
        self.contents.entry(stored(bytes)).or_insert(content);
        self.message(id).replaced.get_or_insert(now);
    }

    /// Returns what these bytes are.
    pub(crate) fn content(&self, bytes: &[u8]) -> Option<&Content> {
        self.contents.get(bytes)
    }

    /// Records that a complete file was seen.
    pub(crate) fn saw(&mut self, id: &str, now: u64) {
        self.message(id).stored.get_or_insert(now);
    }

    /// Returns when a message's file was first seen.
    pub(crate) fn stored(&self, id: &str) -> Option<u64> {
        self.messages[id].stored
    }

    /// Returns the account of a message.
    pub(crate) fn account(&self, id: &str) -> usize {
        self.messages[id].account
    }

    /// Returns the reasons why there may be more than one copy of a message.
    pub(crate) fn doubts(&self, id: &str) -> &[Doubt] {
        &self.messages[id].doubts
    }

    /// Returns all doubts of the story.
    pub(crate) fn all_doubts(&self) -> impl Iterator<Item = Doubt> {
        self.messages.values().flat_map(|message| message.doubts.iter().copied())
    }

    /// Whether a rule leaves a message on the server.
    pub(crate) fn is_skipped(&self, id: &str) -> bool {
        self.messages[id].skipped
    }

    /// Whether a listed message has taken over the name of one that a rule left on the server, and of no other.
    pub(crate) fn stands_for_skipped(&self, account: usize, line: &Line) -> bool {
        let names = line.unique_id.as_ref().and_then(|unique_id| self.names[account].get(unique_id));
        names.is_some_and(|names| names.iter().all(|(_, id)| self.is_skipped(id)))
    }

    /// Adds a doubt.
    pub(crate) fn doubt(&mut self, id: &str, doubt: Doubt) {
        self.message(id).doubts.push(doubt);
    }

    fn message(&mut self, id: &str) -> &mut Known {
        self.messages.get_mut(id).unwrap()
    }

    /// Records a power cut.
    pub(crate) fn note_power_cut(&mut self) {
        for message in self.messages.values_mut().filter(|message| message.garbled) {
            message.doubts.push(Doubt::Garbled);
        }
    }

    /// The message was away and is back, or something else is sent in its place.
    pub(crate) fn is_back(&mut self, id: &str) {
        self.message(id).recognisable = false;
    }

    /// Whether so many messages have new unique-ids, and such headers, that it must be noticed.
    fn is_plain_renumbering(&self, account: usize, shown: &Shown) -> bool {
        let renamed = |line: &&Line| {
            let listed = self.messages[&line.id].listed.as_ref();
            listed.is_some_and(|(_, name)| *name != line.unique_id)
        };
        let renamed: Vec<&Line> = shown.lines.iter().filter(renamed).collect();
        let unused = |unique_id: &String| !self.used[account].contains(unique_id);
        let plain = |line: &&Line| {
            let Known { recognisable, settled, .. } = self.messages[&line.id];
            let recognisable = recognisable && settled && self.stored(&line.id).is_some();
            recognisable && line.unique_id.as_ref().is_some_and(unused)
        };
        let complete = shown.lines.iter().all(|line| line.unique_id.is_some() && line.octets.is_some());
        complete && renamed.len() >= RENUMBERED && renamed.len() * 2 >= shown.lines.len() && renamed.iter().all(plain)
    }

    /// Records a session's listing. `looks`: it ended well, and could see every header.
    pub(crate) fn note_session(&mut self, account: usize, shown: &Shown, manner: Manner, looks: bool, now: u64) {
        let noticed = looks && self.is_plain_renumbering(account, shown);
        for line in &shown.lines {
            let unnamed = !manner.uidl;
            let shares = |other: &Line| other.id != line.id && other.unique_id == line.unique_id;
            let garbled = |other: &&Line| shares(other) && self.messages[&other.id].garbled;
            let garbled = !unnamed && shown.lines.iter().any(|other| garbled(&other));
            let is_stale = |other: &Line| other.is_stale && other.unique_id == line.unique_id;
            let stale = !unnamed && shown.lines.iter().any(&shares) && shown.lines.iter().any(is_stale);
            let message = self.message(&line.id);
            // Under a new unique-id it is only recognised if its size is the same, too.
            message.recognisable &= !line.lacks_size && !line.is_stale;
            message.doubts.extend(garbled.then_some(Doubt::Garbled));
            message.doubts.extend(stale.then_some(Doubt::StaleSize));
            if let Some((when, name)) = &message.listed {
                let replaced = message.replaced.take_if(|when| now - *when >= REMEMBERED);
                let doubt = if now - when >= REMEMBERED || replaced.is_some() {
                    Some(Doubt::Forgotten)
                } else if unnamed && message.missed {
                    Some(Doubt::Unnamed)
                } else if line.unique_id.is_some() && *name != line.unique_id && !noticed {
                    Some(Doubt::Renamed)
                } else {
                    None
                };
                message.doubts.extend(doubt);
            }
            if unnamed || line.unique_id.is_some() {
                message.listed = Some((now, line.unique_id.clone()));
                message.missed = false;
            }
        }
        self.used[account].extend(shown.lines.iter().filter_map(|line| line.unique_id.clone()));
        for (id, message) in self.messages.iter_mut().filter(|(_, message)| message.account == account) {
            message.missed |= !shown.lines.iter().any(|line| line.id == *id);
        }
    }

    /// Whether a message that is not stored is beyond notice; must be called before [`Ledger::note_good_end`].
    pub(crate) fn is_hidden(&self, account: usize, line: &Line, shown: &Shown) -> bool {
        let is_name = |(unique_id, octets): &Name| {
            *unique_id == line.unique_id && (octets.is_none() || line.octets.is_none() || *octets == line.octets)
        };
        if self.hidden.get(&line.id).is_some_and(is_name) {
            return true;
        }
        let stands_for = line.unique_id.as_ref().and_then(|unique_id| self.names[account].get(unique_id));
        let another = |(octets, id): &(Option<usize>, String)| {
            let same_size = octets.is_none() || line.octets.is_none() || *octets == line.octets;
            let there = shown.lines.iter().any(|other| other.id == *id && other.unique_id == line.unique_id);
            *id != line.id && same_size && !there
        };
        // If it has grown while LIST omits it, or lags behind, nothing reveals that until LIST has it again.
        let grown = |(octets, id): &(Option<usize>, String)| {
            *id == line.id && (line.lacks_size || line.is_stale && *octets == line.octets)
        };
        // Its header is the same, so a new unique-id changes nothing.
        let is_renamed = line.is_stale && stands_for.is_none();
        stands_for.is_some_and(|names| names.iter().any(|name| another(name) || grown(name)))
            || is_renamed && self.names[account].values().flatten().any(grown)
    }

    /// Whether a message was listed under this unique-id before.
    pub(crate) fn is_name(&self, account: usize, line: &Line) -> bool {
        let names = line.unique_id.as_ref().and_then(|unique_id| self.names[account].get(unique_id));
        names.is_some_and(|names| names.iter().any(|(_, id)| *id == line.id))
    }

    /// Records the names of a session that was followed by others in the same poll, or whose end is uncertain.
    /// `is_left` says which messages are still there, as far as the client knows.
    pub(crate) fn note_names(&mut self, account: usize, shown: &Shown, is_left: impl Fn(&str) -> bool) {
        for line in shown.lines.iter().filter(|line| is_left(&line.id)) {
            let Some(unique_id) = &line.unique_id else { continue };
            let names = self.names[account].entry(unique_id.clone()).or_default();
            let name = (line.octets, line.id.clone());
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }

    /// Records a poll that ended well with this session: everything listed has been dealt with, except for what is
    /// beyond notice, and what was not listed is gone.
    pub(crate) fn note_good_end(
        &mut self,
        account: usize,
        shown: &Shown,
        beyond_notice: &BTreeSet<String>,
        is_left: impl Fn(&str) -> bool,
    ) {
        let hidden = |line: &&Line| beyond_notice.contains(&line.id);
        let name = |line: &Line| (line.id.clone(), (line.unique_id.clone(), line.octets));
        let hidden: Vec<(String, Name)> = shown.lines.iter().filter(hidden).map(name).collect();
        if shown.lines.iter().all(|line| line.unique_id.is_some() && line.octets.is_some()) {
            self.hidden.retain(|id, _| self.messages[id].account != account);
            self.names[account].clear();
        }
        for (id, (unique_id, octets)) in hidden {
            // If no size is reported now, the one reported before still applies.
            let before = self.hidden.get(&id).filter(|(name, _)| *name == unique_id).and_then(|(_, octets)| *octets);
            self.hidden.insert(id, (unique_id, octets.or(before)));
        }
        for line in &shown.lines {
            self.message(&line.id).settled = true;
        }
        self.note_names(account, shown, is_left);
    }

    /// A message was sent in another size than listed: only its bytes identify it.
    pub(crate) fn note_misfit(&mut self, id: &str) {
        self.message(id).recognisable = false;
    }

    /// Returns how many messages are beyond notice.
    pub(crate) fn hidden(&self) -> usize {
        self.hidden.len()
    }
}
