//! What is known of each message from outside: where it was stored, which doubts there were, and under what names servers
//! have shown it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::dialogue::{Received, received, stored};
use super::super::server::{Line, Manner, Shown};
use super::letter::{Header, Letter};

/// So many messages under other unique-ids at once are a renumbering, which headers show.
const RENUMBERED: usize = 5;

/// So long an absent message must be remembered, in seconds.
const REMEMBERED: u64 = 90 * 86_400;

/// Why there may be one more copy of a message. Nothing else explains one: no kill, no power cut, no cut connection, no
/// lost QUIT, no weak header.
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
    /// A mail reader cleared it out of `tmp/`.
    CleanedFromTmp,
    /// A line of it, or of another one under the same unique-id, looks like its end, so that nobody can get it whole: what
    /// comes of it is forgotten again, and a power cut may take away the memory of that.
    Garbled,
    /// It shares its unique-id with others, and the server told the size of another moment for one of them: only the sizes
    /// tell them apart.
    StaleSize,
}

impl Doubt {
    pub(crate) const ALL: [Self; 7] = [
        Self::Renamed,
        Self::Forgotten,
        Self::Unnamed,
        Self::DeletedByReader,
        Self::CleanedFromTmp,
        Self::Garbled,
        Self::StaleSize,
    ];

    /// In words, as a cause of copies.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Renamed => "another unique-id",
            Self::Forgotten => "absent for 90 days",
            Self::Unnamed => "absent without a unique-id",
            Self::DeletedByReader => "deleted by a mail reader in between",
            Self::CleanedFromTmp => "cleared out of tmp/",
            Self::Garbled => "garbled by its server",
            Self::StaleSize => "a size of another moment, under a shared unique-id",
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Content {
    /// The message's name in the world.
    pub(crate) id: String,
    /// The beginning of it, which the server showed as if it were all.
    pub(crate) part: bool,
    /// What the server showed in its place: which of all notes.
    pub(crate) note: Option<usize>,
}

impl Content {
    /// The message itself.
    pub(crate) fn is_whole(&self) -> bool {
        !self.part && self.note.is_none()
    }
}

/// What is known of one message.
#[derive(Debug, Clone, Default)]
struct Known {
    account: usize,
    /// It has a header that no other message has, and was whole and there from the beginning.
    recognisable: bool,
    /// Its server cannot send it.
    garbled: bool,
    /// When its file was first seen, in real seconds.
    stored: Option<u64>,
    doubts: Vec<Doubt>,
    /// When it was listed last, in real seconds, and as what.
    listed: Option<(u64, Option<String>)>,
    /// Whether the latest listing of its account lacked it.
    missed: bool,
    /// When something else came in its place first, in real seconds: it was not there then.
    replaced: Option<u64>,
    /// A poll that knew it has ended well. What a poll delivered that broke is recognised by no header.
    settled: bool,
}

/// A name that a message has had in a listing: its unique-id and its size.
type Name = (Option<String>, Option<usize>);

/// Under each unique-id the sizes, as far as they were listed, and names of the messages that it stands for.
type Names = BTreeMap<String, Vec<(Option<usize>, String)>>;

/// What is known of all messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    contents: HashMap<Vec<u8>, Content>,
    messages: BTreeMap<String, Known>,
    /// By account: what stands for which message as far as a client can know that does not look at every header.
    names: Vec<Names>,
    /// By account: all unique-ids that were ever shown.
    used: Vec<BTreeSet<String>>,
    /// Messages that stand where another one of the same size stood, under the same unique-id and without a listing in
    /// between: beyond notice as long as nothing is to be deleted.
    hidden: BTreeMap<String, Name>,
}

impl Ledger {
    pub(crate) fn new(accounts: usize) -> Self {
        Self { names: vec![BTreeMap::new(); accounts], used: vec![BTreeSet::new(); accounts], ..Self::default() }
    }

    /// A message comes into being.
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
        self.messages.insert(letter.id(), Known { account, recognisable, garbled, ..Known::default() });
    }

    /// This came in place of a message.
    pub(crate) fn expect_note(&mut self, id: &str, bytes: &[u8], now: u64) {
        let content = Content { id: id.to_owned(), part: false, note: Some(self.contents.len()) };
        self.contents.entry(stored(bytes)).or_insert(content);
        self.message(id).replaced.get_or_insert(now);
    }

    /// What these bytes are.
    pub(crate) fn content(&self, bytes: &[u8]) -> Option<&Content> {
        self.contents.get(bytes)
    }

    /// A whole file was seen.
    pub(crate) fn saw(&mut self, id: &str, now: u64) {
        self.message(id).stored.get_or_insert(now);
    }

    /// When a message's file was first seen.
    pub(crate) fn stored(&self, id: &str) -> Option<u64> {
        self.messages[id].stored
    }

    /// Why there may be more than one copy of a message.
    pub(crate) fn doubts(&self, id: &str) -> &[Doubt] {
        &self.messages[id].doubts
    }

    /// All doubts of the story.
    pub(crate) fn all_doubts(&self) -> impl Iterator<Item = Doubt> {
        self.messages.values().flat_map(|message| message.doubts.iter().copied())
    }

    /// One more.
    pub(crate) fn doubt(&mut self, id: &str, doubt: Doubt) {
        self.message(id).doubts.push(doubt);
    }

    fn message(&mut self, id: &str) -> &mut Known {
        self.messages.get_mut(id).unwrap()
    }

    /// The power was cut.
    pub(crate) fn note_power_cut(&mut self) {
        for message in self.messages.values_mut().filter(|message| message.garbled) {
            message.doubts.push(Doubt::Garbled);
        }
    }

    /// It was away and is back, or something else comes in its place.
    pub(crate) fn is_back(&mut self, id: &str) {
        self.message(id).recognisable = false;
    }

    /// Whether the unique-ids of so many messages have changed, and their headers are such, that it must be noticed.
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

    /// A session has listed this. `looks`: it ended well, and could see every header.
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
            // Under another unique-id it is only recognised if its size is the same, too.
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

    /// Whether a message that is not stored is beyond notice; to be asked before
    /// [`Ledger::note_good_end`].
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
        // What has grown while LIST leaves it out, or is behind, shows in nothing at all, until LIST has it again.
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

    /// A session is over, with others behind it in the same poll, or with an uncertain end: what it has listed stands for
    /// what it is. `is_left` tells which messages are there as far as the client knows.
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

    /// A poll has ended well with this session: everything that was listed has been dealt with, but for what is beyond
    /// notice, and what was not listed is gone.
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
            // A size that is not told now is still the one that was told before.
            let before = self.hidden.get(&id).filter(|(name, _)| *name == unique_id).and_then(|(_, octets)| *octets);
            self.hidden.insert(id, (unique_id, octets.or(before)));
        }
        for line in &shown.lines {
            self.message(&line.id).settled = true;
        }
        self.note_names(account, shown, is_left);
    }

    /// A message came in another size than it was listed with: it is recognised by its bytes alone.
    pub(crate) fn note_misfit(&mut self, id: &str) {
        self.message(id).recognisable = false;
    }

    /// How many messages are beyond notice.
    pub(crate) fn hidden(&self) -> usize {
        self.hidden.len()
    }
}
