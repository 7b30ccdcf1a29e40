//! A connection that appends: what waits, one message behind the other, as many under way as the server takes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::append::{Appended, Heard};
use super::recognition::{Fate, Sought, Twin};
use super::refusal::{Judgement, judge};
use super::response::Condition;
use super::session::{LONG_ANSWER, Selected, Session};
use super::survey;
use crate::account::ImapDestination;
use crate::client::Redactor;
use crate::forward::error::ForwardError;
use crate::forward::letter::Letter;
use crate::forward::pass::{Pass, words};
use crate::forward::wire::WireError;
use crate::secret::Secret;
use crate::state::record::{AppendIntent, ForwardRecord, MailboxUid};

/// So many messages are under way on a connection.
const MOST_AHEAD: usize = 128;

/// So many are begun at a time: their intents are one write to the disk.
const AT_ONCE: usize = 32;

/// Another message is begun as long as those under way have no more octets than this.
const MOST_OCTETS: u64 = 2 << 20;

/// A server that has closed the connection may have said something before; nothing more comes after such a time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What APPEND is for.
const DOING: &str = "append a message";

/// A message that is under way.
struct UnderWay {
    letter: Letter,
    intent: AppendIntent,
    tag: String,
}

/// A message that has arrived, and of which it is open under which UID.
struct Unplaced {
    letter: Letter,
    intent: AppendIntent,
    /// What the server says.
    named: Option<MailboxUid>,
}

/// A connection that appends.
pub(super) struct Worker<'a> {
    pass: &'a Arc<Pass>,
    to: &'a ImapDestination,
    pub(super) session: Session,
    selected: Selected,
    /// Hides the password in the server's words.
    redactor: Arc<Redactor>,
    /// What is true and not written yet: it goes with the next record.
    unwritten: Vec<ForwardRecord>,
    /// Those that are not answered, in the order of their APPENDs.
    under_way: VecDeque<UnderWay>,
    /// Those that are to be looked at once nothing is under way.
    unplaced: Vec<Unplaced>,
    /// The UIDs under which messages of ours are known to have arrived.
    taken: BTreeSet<u32>,
}

impl<'a> Worker<'a> {
    pub(super) async fn open(
        pass: &'a Arc<Pass>,
        to: &'a ImapDestination,
        secret: &Secret,
        redactor: &Arc<Redactor>,
    ) -> Result<Self, ForwardError> {
        let mut session = Session::open(&pass.context.dialer, to, secret, pass.patience).await?;
        let selected = session.select(&to.mailbox).await?;
        Ok(Self {
            pass,
            to,
            session,
            selected,
            redactor: Arc::clone(redactor),
            unwritten: Vec::new(),
            under_way: VecDeque::new(),
            unplaced: Vec::new(),
            taken: pass.known_uids(selected.validity).await,
        })
    }

    /// Deals with the messages whose APPEND was under way when an earlier pass ended; they come first. Those that have not
    /// arrived go back to the others.
    pub(super) async fn look_for_open_ones(&mut self) -> Result<(), ForwardError> {
        let mut open = Vec::new();
        while let Some(message) = self.pass.next() {
            let Some(intent) = self.pass.progress(&message.name).await.and_then(|progress| progress.intent) else {
                self.pass.put_back(message);
                break;
            };
            if let Some(letter) = self.pass.measure(message, String::new()).await? {
                open.push((letter, intent));
            }
        }
        let mut absent = Vec::new();
        for (letter, fate) in self.fates(open).await? {
            match fate {
                Fate::There(uid) => {
                    info!("{}: a message whose answer was lost has arrived", self.pass.name);
                    let uid = MailboxUid { validity: self.selected.validity, uid };
                    self.unwritten.push(self.pass.arrived(&letter, Some(uid)));
                }
                Fate::Absent => absent.push(letter),
                Fate::Changed(_) => {
                    let why = "its answers were lost, and the destination has messages with its header and other bytes";
                    if !self.pass.is_given_up(&letter.spooled, why).await? {
                        absent.push(letter);
                    }
                }
            }
        }
        absent.into_iter().rev().for_each(|letter| self.pass.put_back(letter.spooled));
        self.write().await
    }

    /// What became of messages that may have arrived.
    async fn fates(&mut self, open: Vec<(Letter, AppendIntent)>) -> Result<Vec<(Letter, Fate)>, ForwardError> {
        let (validity, mailbox) = (self.selected.validity, self.mailbox());
        // In another mailbox nobody can look any more: it is appended where mail goes now. Where the UIDs say nothing, a header
        // that says little does not tell either.
        let can_be_found = |(letter, intent): &(Letter, AppendIntent)| {
            intent.mailbox == mailbox && (intent.uid_validity == validity || letter.header.is_strong())
        };
        let (open, lost): (Vec<_>, Vec<_>) = open.into_iter().partition(can_be_found);
        let (mut sought, mut twins) = (Vec::new(), Vec::new());
        for (letter, intent) in &open {
            let (size, header, whole) = (letter.size, letter.header, letter.whole);
            let from = (intent.uid_validity == validity).then_some(intent.uid_next);
            if !sought.iter().any(|other: &Sought| other.whole == whole) {
                let here = |uid: MailboxUid| (uid.validity == validity).then_some(uid.uid);
                let arrived = self.pass.with_the_bytes(whole).await;
                twins.extend(arrived.into_iter().map(|arrival| Twin { whole, uid: arrival.uid.and_then(here) }));
            }
            sought.push(Sought { size, header, whole, from });
        }
        let known = self.pass.known_uids(validity).await;
        let fates = survey::look_for(&mut self.session, &sought, &twins, &known).await?;
        let found = open.into_iter().zip(fates).map(|((letter, _), fate)| (letter, fate));
        Ok(found.chain(lost.into_iter().map(|(letter, _)| (letter, Fate::Absent))).collect())
    }

    /// Appends until nothing is left.
    pub(super) async fn run(mut self) -> Result<(), ForwardError> {
        let mut end = self.append_all().await;
        if let Err(e) = end {
            self.pass.end();
            end = Err(self.hear_the_rest(e).await);
        }
        let written = self.write().await;
        if end.is_ok() {
            self.session.log_out().await;
        }
        end.and(written)
    }

    async fn append_all(&mut self) -> Result<(), ForwardError> {
        // Which one is which of several can only be told where the server names the UIDs.
        let window = if self.session.has("UIDPLUS") { MOST_AHEAD } else { 1 };
        loop {
            while self.unplaced.is_empty()
                && self.under_way.len() <= window.saturating_sub(AT_ONCE)
                && self.begin_more(window).await?
            {}
            match (self.under_way.is_empty(), self.unplaced.is_empty()) {
                (true, true) => return Ok(()),
                (true, false) => self.place().await?,
                (false, _) => drop(self.hear().await?),
            }
        }
    }

    /// Begins further messages; false if there is none, or no room for one. Their intents are durable before the first one
    /// leaves, so each that is not answered is looked for.
    async fn begin_more(&mut self, window: usize) -> Result<bool, ForwardError> {
        let mut letters = Vec::new();
        let mut octets: u64 = self.under_way.iter().map(|one| one.letter.size).sum();
        let most = AT_ONCE.min(window.saturating_sub(self.under_way.len()));
        while letters.len() < most && octets <= MOST_OCTETS {
            let Some(message) = self.pass.next() else { break };
            let Some(letter) = self.pass.measure(message, String::new()).await? else { continue };
            if let Some(why) = self.too_large(&letter) {
                self.pass.set_aside(&letter.spooled, &why).await?;
                continue;
            }
            octets = octets.saturating_add(letter.size);
            letters.push(letter);
        }
        if letters.is_empty() {
            return Ok(false);
        }
        let intents: Vec<AppendIntent> = letters.iter().map(|letter| self.intent(letter)).collect();
        self.unwritten.extend(intents.iter().cloned().map(ForwardRecord::Intent));
        self.write().await?;
        for (letter, intent) in letters.into_iter().zip(intents) {
            self.begin(letter, intent).await?;
        }
        self.session.send_gathered().await.map(|()| true)
    }

    fn too_large(&self, letter: &Letter) -> Option<String> {
        match self.session.append_limit().filter(|limit| letter.size > *limit) {
            Some(limit) => Some(format!("it has {} octets, and the server takes {limit} (APPENDLIMIT)", letter.size)),
            None => u32::try_from(letter.size).is_err().then(|| "it is larger than 4 GiB".to_owned()),
        }
    }

    /// Sends a message, once the server wants it.
    async fn begin(&mut self, letter: Letter, intent: AppendIntent) -> Result<(), ForwardError> {
        let is_ahead = self.session.sends_ahead(&letter);
        let tag = self.session.begin_append(&self.to.mailbox, &self.to.flags, &letter).await?;
        self.under_way.push_back(UnderWay { letter: letter.clone(), intent, tag: tag.clone() });
        if is_ahead {
            return Ok(());
        }
        loop {
            match self.hear().await {
                Ok(None) => {
                    self.session.send_letter(&letter).await?;
                    return self.session.send_gathered().await;
                }
                Ok(Some(ended)) if ended == tag => return Ok(()),
                Ok(Some(_)) => {}
                Err(e) => {
                    // Nobody answers a message that was not sent.
                    self.under_way.retain(|one| one.tag != tag);
                    return Err(e);
                }
            }
        }
    }

    /// Deals with what comes next: the tag of a message whose APPEND has ended, None if the server wants one.
    async fn hear(&mut self) -> Result<Option<String>, ForwardError> {
        match self.session.hear().await? {
            Heard::GoOn => Ok(None),
            Heard::Ended(tag, how) => {
                self.on_end(&tag, how).await?;
                Ok(Some(tag))
            }
        }
    }

    async fn on_end(&mut self, tag: &str, how: Appended) -> Result<(), ForwardError> {
        let place = self.under_way.iter().position(|one| one.tag == tag);
        let Some(UnderWay { letter, intent, .. }) = place.and_then(|place| self.under_way.remove(place)) else {
            return Ok(());
        };
        let named = match how {
            Appended::Yes(named) => named,
            Appended::No(condition) => return self.on_refusal(&letter, &condition).await,
        };
        let can_be = |uid: &MailboxUid| uid.validity == self.selected.validity && uid.uid >= intent.uid_next;
        match named.filter(can_be).filter(|_| !self.is_gmail()) {
            Some(uid) if self.taken.insert(uid.uid) => self.unwritten.push(self.pass.arrived(&letter, Some(uid))),
            _ => self.unplaced.push(Unplaced { letter, intent, named }),
        }
        Ok(())
    }

    /// Finds out under which UIDs messages have arrived, so that they are not taken for others with the same bytes.
    async fn place(&mut self) -> Result<(), ForwardError> {
        // Those before them have to be known.
        self.write().await?;
        let is_elsewhere = |one: &Unplaced| one.named.is_some_and(|uid| uid.validity != self.selected.validity);
        if self.unplaced.iter().any(is_elsewhere) {
            // The mailbox may have been made anew.
            self.selected = self.session.select(&self.to.mailbox).await?;
            self.taken.clear();
        }
        self.taken.extend(self.pass.known_uids(self.selected.validity).await);
        // If that comes to nothing they are looked for by the next pass.
        for one in std::mem::take(&mut self.unplaced) {
            if let Some(uid) = self.place_one(&one).await? {
                self.unwritten.push(self.pass.arrived(&one.letter, uid));
            }
        }
        Ok(())
    }

    /// The UID of a message, if it can be found. The outer None: it is set aside, because it has not arrived.
    async fn place_one(&mut self, one: &Unplaced) -> Result<Option<Option<MailboxUid>>, ForwardError> {
        let Unplaced { letter, intent, named } = one;
        let validity = self.selected.validity;
        let from = if intent.uid_validity == validity { intent.uid_next } else { 1 };
        let named = named.filter(|uid| uid.validity == validity).map(|uid| uid.uid);
        let is_new = named.is_some_and(|uid| uid >= from && !self.taken.contains(&uid));
        let uid = match named {
            Some(uid) if self.is_gmail() => {
                if !self.is_ours(uid, letter, is_new).await? {
                    let why = "the destination has taken it for another message, with the same Message-ID";
                    self.pass.set_aside(&letter.spooled, why).await?;
                    return Ok(None);
                }
                Some(uid)
            }
            Some(uid) if is_new => Some(uid),
            _ => self.find(letter, from).await?,
        };
        self.taken.extend(uid);
        Ok(Some(uid.map(|uid| MailboxUid { validity, uid })))
    }

    /// Gmail takes a message for another one that has the same Message-ID, and keeps that one.
    async fn is_ours(&mut self, uid: u32, letter: &Letter, is_new: bool) -> Result<bool, ForwardError> {
        let mut found = None;
        if is_new {
            self.session.sizes(uid, |other, size| found = found.or((other == uid).then_some(size))).await?;
            return Ok(found == Some(letter.size));
        }
        Ok(self.session.wholes(&[uid]).await?.get(&uid) == Some(&letter.whole))
    }

    /// The UID of a message that has arrived, where only a look tells.
    async fn find(&mut self, letter: &Letter, from: u32) -> Result<Option<u32>, ForwardError> {
        let (mut fitting, taken) = (Vec::new(), &self.taken);
        let take = |uid, size| {
            if size == letter.size && !taken.contains(&uid) {
                fitting.push(uid);
            }
        };
        self.session.sizes(from, take).await?;
        let headers = self.session.headers(&fitting).await?;
        let found = headers.into_iter().find(|(_, header)| *header == letter.header).map(|(uid, _)| uid);
        if let Some(uid) = found {
            self.selected.next = self.selected.next.max(uid.saturating_add(1));
        }
        Ok(found)
    }

    /// What was answered before the end, or says why it came.
    async fn hear_the_rest(&mut self, end: ForwardError) -> ForwardError {
        let (is_wire, patience) = match &end {
            // Nothing more can be expected.
            ForwardError::Wire { error: WireError::Silence(_), .. } | ForwardError::Protocol { .. } => return end,
            ForwardError::Wire { .. } => (true, LAST_WORDS),
            _ => (false, LONG_ANSWER),
        };
        while !self.under_way.is_empty() {
            match self.session.hear_within(patience).await {
                Ok(Heard::Ended(tag, how)) => drop(self.on_end(&tag, how).await),
                Ok(Heard::GoOn) => {}
                Err(said) if is_wire && !matches!(said, ForwardError::Wire { .. }) => return said,
                Err(_) => break,
            }
        }
        end
    }

    async fn on_refusal(&mut self, letter: &Letter, condition: &Condition) -> Result<(), ForwardError> {
        let (message, said) = (&letter.spooled, self.redactor.hide(&words(&condition.words())));
        match judge(condition) {
            Judgement::Full => {
                self.pass.record(vec![ForwardRecord::Released(message.name.clone())]).await?;
                Err(ForwardError::Full { response: said })
            }
            Judgement::TooLarge => self.pass.set_aside(message, &said).await,
            Judgement::Destination { lasting } => {
                self.pass.record(vec![ForwardRecord::Released(message.name.clone())]).await?;
                Err(ForwardError::Refused { doing: DOING, response: said, lasting })
            }
            Judgement::Message => self.pass.refused(message, DOING, &said).await,
        }
    }

    fn is_gmail(&self) -> bool {
        self.session.has("X-GM-EXT-1")
    }

    fn intent(&self, letter: &Letter) -> AppendIntent {
        AppendIntent {
            name: letter.spooled.name.clone(),
            mailbox: self.mailbox(),
            uid_validity: self.selected.validity,
            uid_next: self.selected.next,
        }
    }

    /// The mailbox in the words that tell an intent's from another one.
    fn mailbox(&self) -> String {
        let endpoint = &self.to.endpoint;
        format!("{} {} {} {}", endpoint.host, endpoint.port, self.to.username, self.to.mailbox)
    }

    async fn write(&mut self) -> Result<(), ForwardError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        self.pass.record(unwritten).await
    }
}
