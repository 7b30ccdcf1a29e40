//! A connection that appends what waits, with as many messages in flight as the server allows.

mod claims;
mod open_ones;
mod placing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::append::{AppendEvent, Appended};
use super::refusal::{Judgement, judge};
use super::response::Condition;
use super::session::{LONG_ANSWER, Selected, Session};
use crate::account::ImapDestination;
use crate::client::Redactor;
use crate::forward::arrived::{AppendEnd, Arrived, Stored};
use crate::forward::error::{ForwardError, RefusalKind};
use crate::forward::letter::Letter;
use crate::forward::pass::{Pass, words};
use crate::forward::spool::Spooled;
use crate::forward::turns::Weight;
use crate::forward::wire::WireError;
use crate::secret::Secret;
use crate::state::record::{AppendIntent, ForwardRecord, MailboxUid};
pub(super) use claims::Claims;
pub(super) use open_ones::is_of_the_look;

/// How many messages may be in flight on a connection.
const MOST_AHEAD: usize = 128;

/// How many are begun at a time: their intents are one write to the disk.
const AT_ONCE: usize = 32;

/// No further message is begun while those in flight have more octets than this.
const MOST_OCTETS: u64 = 2 << 20;

/// How long to wait for the last words of a server that has closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What an error message says was being done.
const DOING: &str = "append a message";

/// A message in flight.
struct UnderWay {
    letter: Letter,
    intent: AppendIntent,
    tag: String,
    /// Whether all of it has been written to the connection.
    is_sent: bool,
}

/// How long the server may be silent before what it has answered is written down.
const QUIET: Duration = Duration::from_millis(200);

/// How many messages were in the mailbox at a time, and the lowest UID that another one could get from then on.
#[derive(Debug, Clone, Copy)]
struct Base {
    count: Option<u32>,
    next: u32,
}

impl Base {
    fn of(selected: Selected) -> Self {
        Self { count: selected.count, next: selected.next }
    }
}

/// A message that the server says it has stored, but whose UID is not known yet.
struct Unplaced {
    stored: Stored,
    intent: AppendIntent,
    /// The UID that the server names.
    named: Option<MailboxUid>,
}

/// A connection that appends.
pub(super) struct Worker<'a> {
    pass: &'a Arc<Pass>,
    to: &'a ImapDestination,
    secret: &'a Secret,
    pub(super) session: Session,
    selected: Selected,
    /// Hides the password in the server's words.
    redactor: Arc<Redactor>,
    /// Records that are not written yet: they go with the next write.
    unwritten: Vec<ForwardRecord>,
    /// Messages without an answer, in the order of their APPENDs.
    under_way: VecDeque<UnderWay>,
    /// Messages to be looked for once nothing is in flight.
    unplaced: Vec<Unplaced>,
    /// Messages with the UIDs that the server names, until it is clear that no message of somebody else has come
    /// meanwhile for which it may have taken them.
    unconfirmed: Vec<(Stored, AppendIntent, MailboxUid)>,
    /// The mailbox before the first of those.
    base: Base,
    /// The UIDs under which messages of ours are known to have arrived.
    taken: Claims,
    /// The highest UID that was believed on this connection: messages appended later have higher ones.
    highest: u32,
    /// The highest UID that was named for a message in [`Self::unconfirmed`].
    highest_named: u32,
    /// Whether a message was begun and not sent completely: whatever is sent now would be taken for a part of it.
    in_the_middle: bool,
    /// The message that was being sent when the connection broke.
    broken: Option<Spooled>,
    /// Whether the refusal of a message ended the pass, so that no other message is to blame.
    is_judged: bool,
}

impl<'a> Worker<'a> {
    pub(super) async fn open(
        pass: &'a Arc<Pass>,
        to: &'a ImapDestination,
        secret: &'a Secret,
        redactor: &Arc<Redactor>,
        taken: Claims,
    ) -> Result<Self, ForwardError> {
        let mut session = Session::open(&pass.context.dialer, to, secret, redactor, pass.timeout).await?;
        let selected = session.select(&to.mailbox).await?;
        taken.extend(selected.validity, pass.known_uids(selected.validity).await);
        Ok(Self {
            pass,
            to,
            secret,
            session,
            selected,
            redactor: Arc::clone(redactor),
            unwritten: Vec::new(),
            under_way: VecDeque::new(),
            unplaced: Vec::new(),
            unconfirmed: Vec::new(),
            base: Base::of(selected),
            taken,
            highest: 0,
            highest_named: 0,
            in_the_middle: false,
            broken: None,
            is_judged: false,
        })
    }

    /// Returns the UIDs of our messages, for another connection of the same pass.
    pub(super) fn claims(&self) -> Claims {
        self.taken.clone()
    }

    /// Appends until nothing is left.
    pub(super) async fn run(mut self) -> Result<(), ForwardError> {
        let (mut end, mut noted) = (self.append_all().await, Ok(()));
        if let Err(e) = end {
            self.pass.end();
            let is_judged = self.is_judged;
            let e = self.read_the_rest(e).await;
            if !is_judged {
                noted = self.note_break(&e).await;
            }
            end = Err(e);
        }
        let written = self.write().await;
        if end.is_ok() {
            self.session.log_out().await;
        }
        end.and(noted).and(written)
    }

    /// Blames the break of the connection on the first message without an answer.
    async fn note_break(&mut self, how: &ForwardError) -> Result<(), ForwardError> {
        let first = self.under_way.front().map(|one| one.letter.spooled.clone());
        match how {
            ForwardError::Wire { .. }
            | ForwardError::NotImap { .. }
            | ForwardError::Protocol { .. }
            | ForwardError::Refused { .. }
            | ForwardError::Full { .. } => match first.or(self.broken.take()) {
                Some(message) => self.pass.broke_off(&message).await,
                None => Ok(()),
            },
            ForwardError::Spool { .. } => {
                self.broken.iter().for_each(|message| self.pass.note(message, Weight::Once));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the name of the first message without an answer, or else of `letter`: it is the one at which the server
    /// hangs.
    fn first_or(&self, letter: &Letter) -> String {
        let first = self.under_way.front().map_or(letter, |one| &one.letter);
        first.spooled.name.clone()
    }

    async fn append_all(&mut self) -> Result<(), ForwardError> {
        self.base = Base::of(self.selected);
        loop {
            while self.unplaced.is_empty()
                && self.unconfirmed.len() < MOST_AHEAD
                && self.under_way.len() <= self.window().saturating_sub(AT_ONCE)
                && self.begin_more().await?
            {}
            match (self.under_way.is_empty(), self.unplaced.is_empty() && self.unconfirmed.is_empty()) {
                (true, true) => return Ok(()),
                (true, false) => self.place().await?,
                (false, _) => drop(self.on_event().await?),
            }
        }
    }

    /// Returns how many messages may be in flight: several can only be told apart if the server names the UIDs.
    fn window(&self) -> usize {
        if self.session.has("UIDPLUS") && !self.pass.tries_one_alone() { MOST_AHEAD } else { 1 }
    }

    /// Begins further messages; false if there is none, or no room for one. Their intents are durable before the first
    /// is sent, so that each one without an answer is looked for later.
    async fn begin_more(&mut self) -> Result<bool, ForwardError> {
        if self.session.append_limit() == Some(0) && self.pass.has_more() {
            let response = "APPENDLIMIT=0".to_owned();
            return Err(ForwardError::Refused { doing: DOING, response, kind: RefusalKind::Lasting });
        }
        let mut letters = Vec::new();
        let mut octets: u64 = self.under_way.iter().map(|one| one.letter.size).sum();
        let most = AT_ONCE.min(self.window().saturating_sub(self.under_way.len()));
        while letters.len() < most && octets <= MOST_OCTETS {
            let Some(message) = self.pass.next() else { break };
            let Some(letter) = self.pass.measure(message, String::new()).await? else { continue };
            if let Some(why) = self.unsendable(&letter) {
                self.pass.set_aside(&letter.spooled, &why).await?;
                continue;
            }
            octets = octets.saturating_add(letter.size);
            self.taken.begin(&letter);
            letters.push(letter);
        }
        if letters.is_empty() {
            return Ok(false);
        }
        let intents: Vec<AppendIntent> = letters.iter().map(|letter| self.intent(letter)).collect();
        self.unwritten.extend(intents.iter().cloned().map(ForwardRecord::Intent));
        self.write().await?;
        let (mut rest, alone) = (letters.into_iter().zip(intents), self.pass.tries_one_alone());
        while let Some((letter, intent)) = rest.next() {
            self.begin(letter, intent).await?;
            // A refusal that may concern all has come: which message is tried next is decided anew.
            if !alone && self.pass.tries_one_alone() {
                self.pass.take_back(rest.map(|(letter, _)| letter.spooled).collect()).await?;
                break;
            }
        }
        self.session.send_gathered().await.map(|()| true)
    }

    /// Returns why the server can never accept a message, if that is so.
    fn unsendable(&self, letter: &Letter) -> Option<String> {
        if letter.has_nul && !self.session.takes_nul() {
            let why = "it has octets that are 0 (NUL), which IMAP forbids where the server does not announce BINARY";
            return Some(why.to_owned());
        }
        match self.session.append_limit().filter(|limit| letter.size > *limit) {
            Some(limit) => Some(format!("it has {} octets, and the server takes {limit} (APPENDLIMIT)", letter.size)),
            None => u32::try_from(letter.size).is_err().then(|| "it is larger than 4 GiB".to_owned()),
        }
    }

    /// Begins a message and sends its octets, once the server asks for them if it has to.
    async fn begin(&mut self, letter: Letter, intent: AppendIntent) -> Result<(), ForwardError> {
        let is_ahead = self.session.sends_ahead(&letter);
        self.in_the_middle = true;
        let begun = self.session.begin_append(&self.to.mailbox, &self.to.flags, &letter);
        let first = self.under_way.front().map_or(&letter, |one| &one.letter);
        let tag = match self.pass.watch(&first.spooled.name, begun).await {
            Ok(tag) => tag,
            Err(e) => {
                self.broken = Some(letter.spooled);
                return Err(e);
            }
        };
        self.under_way.push_back(UnderWay { letter: letter.clone(), intent, tag: tag.clone(), is_sent: is_ahead });
        let sent = if is_ahead { Ok(()) } else { self.send_when_wanted(&letter, &tag).await };
        match sent {
            Ok(()) => self.in_the_middle = false,
            // A message that was not sent gets no answer.
            Err(_) => {
                self.under_way.retain(|one| one.tag != tag);
                self.broken = Some(letter.spooled);
            }
        }
        sent
    }

    /// Sends the octets of a message once the server asks for them, unless it refuses the message first.
    async fn send_when_wanted(&mut self, letter: &Letter, tag: &str) -> Result<(), ForwardError> {
        loop {
            match self.on_event().await? {
                None => break,
                Some(ended) if ended == tag => return Ok(()),
                Some(_) => {}
            }
        }
        let first = self.first_or(letter);
        self.pass.watch(&first, self.session.send_letter(letter)).await?;
        if let Some(one) = self.under_way.iter_mut().find(|one| one.tag == tag) {
            one.is_sent = true;
        }
        self.session.send_gathered().await
    }

    /// Handles the next event. Returns the tag of the APPEND that has ended; None if the server asks for octets.
    async fn on_event(&mut self) -> Result<Option<String>, ForwardError> {
        let first = self.under_way.front().map(|one| one.letter.spooled.name.clone());
        // What was answered is written down even if the server hangs at the next message.
        if self.pass.is_stopping() {
            self.write().await?;
        }
        let (pass, unwritten, event) = (self.pass, &mut self.unwritten, self.session.next_event());
        let event = async {
            match &first {
                Some(first) => pass.watch(first, event).await,
                None => event.await,
            }
        };
        let event = async {
            tokio::pin!(event);
            tokio::select! {
                biased;
                event = &mut event => return event,
                () = sleep(QUIET) => {}
            }
            let (event, written) = tokio::join!(event, pass.record(std::mem::take(unwritten)));
            written.and(event)
        };
        match event.await? {
            AppendEvent::Wanted => Ok(None),
            AppendEvent::Ended(tag, how) => {
                self.on_end(&tag, how).await?;
                Ok(Some(tag))
            }
        }
    }

    async fn on_end(&mut self, tag: &str, how: Appended) -> Result<(), ForwardError> {
        let place = self.under_way.iter().position(|one| one.tag == tag);
        let Some(UnderWay { letter, intent, tag: sent_as, is_sent }) =
            place.and_then(|place| self.under_way.remove(place))
        else {
            return Ok(());
        };
        let is_ok = matches!(how, Appended::Yes(_));
        let stored = Stored::by_answer(&letter, AppendEnd { sent_as: &sent_as, is_sent, answered: tag, is_ok });
        let (stored, named) = match (how, stored) {
            // Settles the doubt now, even if the message is placed later: refusals of messages after this one may
            // concern all.
            (Appended::Yes(named), Some(stored)) => {
                self.pass.accepts().await?;
                (stored, named)
            }
            // The server cannot have what was not sent.
            (Appended::Yes(_), None) => {
                let what = format!("{tag} OK, where the message had not been sent");
                return Err(ForwardError::Protocol { doing: DOING, what });
            }
            (Appended::No(condition), _) => return self.on_refusal(&letter, &condition).await,
        };
        // Some servers report the new message before this answer, others after it.
        self.confirm();
        let validity = self.selected.validity;
        let is_next = |uid: u32| uid >= intent.uid_next && uid > self.highest.max(self.highest_named);
        let can_be = |uid: &MailboxUid| uid.validity == validity && is_next(uid.uid) && !self.is_gmail();
        let is_clear = !self.taken.has_rival(&letter);
        match named.filter(|uid| is_clear && can_be(uid)) {
            Some(uid) if self.taken.add(validity, uid.uid) => {
                self.highest_named = uid.uid;
                self.unconfirmed.push((stored, intent, uid));
                self.confirm();
            }
            _ => self.unplaced.push(Unplaced { stored, intent, named }),
        }
        Ok(())
    }

    /// Believes the UIDs that the server has named, if the mailbox has grown by our messages alone: a server that takes
    /// a message for one of somebody else, with the same Message-ID, has not stored ours.
    fn confirm(&mut self) {
        let (validity, next) = (self.selected.validity, self.base.next);
        if self.unconfirmed.is_empty() || self.highest_named < next {
            return;
        }
        let ours = self.taken.count(validity, next, u32::MAX);
        let in_a_row = self.taken.count(validity, next, self.highest_named);
        let span = u64::from(self.highest_named).saturating_sub(u64::from(next)).saturating_add(1);
        let is_gapless = u64::try_from(in_a_row) == Ok(span);
        if !is_gapless || !self.session.has_grown_by(self.base.count, ours) {
            return;
        }
        for (stored, _, uid) in std::mem::take(&mut self.unconfirmed) {
            self.highest = self.highest.max(uid.uid);
            self.unwritten.push(self.pass.arrived(Arrived::by_append(&stored, uid)));
        }
        self.base = Base { count: self.session.exists, next: self.highest.saturating_add(1) };
    }

    /// Reads the answers that came before the end, or one that explains it. Returns the error that ended the pass.
    async fn read_the_rest(&mut self, end: ForwardError) -> ForwardError {
        let (is_wire, timeout) = match &end {
            // No more answers can be expected.
            ForwardError::NotImap { .. } | ForwardError::Protocol { .. } => return end,
            ForwardError::Wire { error: WireError::Silence(_) | WireError::TooSlow | WireError::Flood, .. } => {
                return end;
            }
            ForwardError::Wire { .. } => (true, LAST_WORDS),
            // A part of what was begun may not have been sent.
            _ if self.session.send_gathered().await.is_err() => return end,
            _ => (false, LONG_ANSWER),
        };
        while !self.under_way.is_empty() {
            match self.session.next_event_within(timeout).await {
                Ok(AppendEvent::Ended(tag, how)) => drop(self.on_end(&tag, how).await),
                Ok(AppendEvent::Wanted) => {}
                Err(said) if is_wire && !matches!(said, ForwardError::Wire { .. }) => return said,
                Err(_) => return end,
            }
        }
        if !is_wire && !self.in_the_middle {
            // The next pass looks for what cannot be placed now.
            let _ = self.place().await;
        }
        end
    }

    async fn on_refusal(&mut self, letter: &Letter, condition: &Condition) -> Result<(), ForwardError> {
        let (message, said) = (&letter.spooled, self.redactor.hide(&words(&condition.words())));
        let for_all = match judge(condition) {
            Judgement::Full => ForwardError::Full { response: said },
            Judgement::TooLarge => {
                self.pass.are_not_there(std::slice::from_ref(message)).await?;
                let refused = self.pass.refuses_for_good(message, &said);
                self.is_judged |= refused.is_err();
                return refused;
            }
            Judgement::Destination(kind) => ForwardError::Refused { doing: DOING, response: said, kind },
            Judgement::Message => {
                let put_off = self.pass.refused(message, DOING, &said).await;
                self.is_judged |= put_off.is_err();
                return put_off;
            }
        };
        self.pass.are_not_there(std::slice::from_ref(message)).await?;
        let doubted = self.pass.doubts(message, for_all);
        self.is_judged |= doubted.is_err();
        doubted
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
            count: self.selected.count,
        }
    }

    /// Returns the name of the mailbox that tells its intents from those of others.
    fn mailbox(&self) -> String {
        let endpoint = &self.to.endpoint;
        format!("{} {} {} {}", endpoint.host, endpoint.port, self.to.username, self.to.mailbox)
    }

    async fn write(&mut self) -> Result<(), ForwardError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        self.pass.record(unwritten).await
    }
}
