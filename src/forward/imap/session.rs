//! A session with an IMAP server: what APPEND needs, and no more. We do not use a library, because we need the response
//! code of a refusal, and the library that could stream a literal keeps only the text; see docs/forwarding.md.
//!
//! This file opens and ends a session and reads its responses. Logging in is in `login`, APPEND in `append`, the looks
//! into a mailbox in `looks`.

use std::sync::Arc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use super::awaited::Awaited;
use super::response::{self, Condition, Kind, Line};
use super::unreadable::Unreadable;
use crate::account::{ImapDestination, TlsMode};
use crate::client::{Dialogue, Redactor};
use crate::forward::error::{ForwardError, OtherProtocol, RefusalKind};
use crate::forward::pass::words;
use crate::forward::wire::{Wire, WireError};
use crate::net::{Connection, Dial};
use crate::secret::Secret;

/// How long an answer may take: the server may have to store a large message or to scan a large mailbox first.
pub(super) const LONG_ANSWER: Duration = Duration::from_secs(5 * 60);

/// The most lines that are read after the server has closed the connection.
const MOST_LAST_WORDS: usize = 100;

/// What follows the sequence number in a FETCH response.
const FETCH: &[u8] = b" FETCH (";

/// The most octets of a sequence number with the star before it.
const NUMBER_MOST: usize = 16;

/// How long to wait for the end of a session.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// The most literals in one response.
const MOST_LITERALS: u32 = 100;

/// The longest response, without its literals, in octets.
const LONGEST_RESPONSE: usize = 256 << 10;

/// A mailbox that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selected {
    /// Its UIDVALIDITY.
    pub(super) validity: u32,
    /// The lowest UID that a message appended from now on can have.
    pub(super) next: u32,
    /// How many messages are in it, if the server says so.
    pub(super) count: Option<u32>,
}

/// Takes the octets of a literal.
pub(super) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// A session that is logged in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) wire: Wire,
    /// What is to be sent, gathered for as few writes as possible.
    pub(super) outgoing: Vec<u8>,
    /// The number of the last command.
    tag: u32,
    /// The tags of the commands without an answer yet.
    open_tags: Vec<String>,
    /// What has come since a command was last sent or answered.
    pub(super) awaited: Awaited,
    /// How many messages are in the selected mailbox, as last reported. None: nothing was reported.
    pub(super) exists: Option<u32>,
    /// Whether a message was reported as removed since the mailbox was selected.
    has_shrunk: bool,
    /// Messages in that mailbox that the server cannot hand out.
    pub(super) unreadable: Unreadable,
    /// The capabilities, in capitals.
    capabilities: Vec<String>,
    /// How often the server has listed them.
    told: u32,
    /// The session's log.
    pub(super) dialogue: Dialogue,
    /// Hides the password in the server's words that are logged.
    redactor: Arc<Redactor>,
}

impl Session {
    fn new(connection: Connection, redactor: &Arc<Redactor>, timeout: Duration) -> Self {
        Self {
            wire: Wire::new(connection.stream, timeout),
            outgoing: Vec::new(),
            tag: 0,
            open_tags: Vec::new(),
            awaited: Awaited::begin(),
            exists: None,
            has_shrunk: false,
            unreadable: Unreadable::default(),
            capabilities: Vec::new(),
            told: 0,
            dialogue: Dialogue::default(),
            redactor: Arc::clone(redactor),
        }
    }

    /// Connects and logs in.
    pub(super) async fn open(
        dialer: &Arc<dyn Dial>,
        to: &ImapDestination,
        secret: &Secret,
        redactor: &Arc<Redactor>,
        timeout: Duration,
    ) -> Result<Self, ForwardError> {
        let connection = dialer.connect(&to.endpoint, &[]).await?;
        let (mut protected, loopback, peer) = (connection.protected, connection.loopback, connection.peer);
        let mut session = Self::new(connection, redactor, timeout);
        let greeting = session.greeting().await?;
        if to.endpoint.tls == TlsMode::StartTls {
            if session.capabilities.is_empty() {
                session.simple("ask for the server's capabilities", "CAPABILITY").await?;
            }
            session.simple("begin TLS", "STARTTLS").await?;
            let Some(stream) = session.wire.into_stream() else {
                let what = "octets behind the answer to STARTTLS, in clear".to_owned();
                return Err(ForwardError::Protocol { doing: "begin TLS", what });
            };
            let connection = dialer.start_tls(&to.endpoint, Connection::in_clear(stream, peer)).await?;
            protected = connection.protected;
            session = Self::new(connection, redactor, timeout);
        }
        if session.capabilities.is_empty() {
            session.simple("ask for the server's capabilities", "CAPABILITY").await?;
        }
        if greeting != Kind::PreAuth {
            if !protected && !loopback && !to.endpoint.allow_cleartext_password {
                return Err(ForwardError::Cleartext);
            }
            session.log_in_and_ask(to, secret).await?;
        }
        Ok(session)
    }

    /// Logs in. The capabilities may differ after that; many servers list them in the answer.
    async fn log_in_and_ask(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        let told = self.told;
        self.log_in(to, secret).await?;
        if self.told == told {
            self.simple("ask for the server's capabilities", "CAPABILITY").await?;
        }
        Ok(())
    }

    async fn greeting(&mut self) -> Result<Kind, ForwardError> {
        const DOING: &str = "begin an IMAP session";
        let line = self.wire.line().await.map_err(|error| ForwardError::wire(DOING, error))?;
        self.show_answer(&line);
        match response::line(&line) {
            Some(Line::Condition(condition)) if matches!(condition.kind, Kind::Ok | Kind::PreAuth) => {
                self.take_capabilities(condition.code("CAPABILITY"));
                Ok(condition.kind)
            }
            Some(Line::Condition(condition)) => Err(ForwardError::Refused {
                doing: DOING,
                response: words(&condition.words()),
                kind: RefusalKind::Passing,
            }),
            _ => {
                let (what, speaks) = (words(&String::from_utf8_lossy(&line)), OtherProtocol::of(&line));
                Err(ForwardError::NotImap { doing: DOING, what, speaks })
            }
        }
    }

    fn take_capabilities(&mut self, list: Option<&str>) {
        let Some(list) = list else { return };
        self.capabilities = list.split_ascii_whitespace().take(500).map(str::to_ascii_uppercase).collect();
        self.told = self.told.saturating_add(1);
    }

    /// Whether the server has announced a capability.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    /// Returns the largest message that the server accepts, in octets, if it says so (RFC 7889).
    pub(super) fn append_limit(&self) -> Option<u64> {
        self.capabilities.iter().find_map(|known| known.strip_prefix("APPENDLIMIT=")?.parse().ok())
    }

    /// Selects a mailbox, and creates it if it does not exist.
    pub(super) async fn select(&mut self, mailbox: &str) -> Result<Selected, ForwardError> {
        match self.open_mailbox("SELECT", mailbox).await? {
            Ok(selected) => Ok(selected),
            Err(refused) => {
                self.command("make the mailbox", &format!("CREATE {}", response::mailbox(mailbox))).await?;
                let made = self.answer("make the mailbox", |_| {}).await?;
                if made.kind != Kind::Ok {
                    return Err(no_mailbox(&refused, &made));
                }
                // Many clients show only subscribed mailboxes. A refusal does no harm.
                self.command("subscribe", &format!("SUBSCRIBE {}", response::mailbox(mailbox))).await?;
                self.answer("subscribe", |_| {}).await?;
                let selected = self.open_mailbox("SELECT", mailbox).await?;
                selected.map_err(|refused| refusal("select the mailbox", &refused))
            }
        }
    }

    /// Opens a mailbox read-only, and creates nothing. The inner error is the server's refusal.
    pub(super) async fn examine(&mut self, mailbox: &str) -> Result<Result<Selected, Condition>, ForwardError> {
        self.open_mailbox("EXAMINE", mailbox).await
    }

    async fn open_mailbox(
        &mut self,
        command: &str,
        mailbox: &str,
    ) -> Result<Result<Selected, Condition>, ForwardError> {
        const DOING: &str = "select the mailbox";
        self.command(DOING, &format!("{command} {}", response::mailbox(mailbox))).await?;
        let (mut validity, mut next) = (None, None);
        (self.exists, self.has_shrunk) = (None, false);
        let done = loop {
            match self.next_line(DOING).await? {
                Line::Condition(condition) => {
                    let number = |name: &str| condition.code(name).and_then(|text| text.trim().parse().ok());
                    validity = number("UIDVALIDITY").or(validity);
                    next = number("UIDNEXT").or(next);
                }
                Line::Tagged(_, done) => break done,
                Line::Data(_) | Line::Continue => {}
            }
        };
        if done.kind != Kind::Ok {
            return Ok(Err(done));
        }
        let Some(validity) = validity else {
            return Err(ForwardError::Protocol { doing: DOING, what: "no UIDVALIDITY".to_owned() });
        };
        let next = match next {
            Some(next) => next,
            None => self.last_uid().await?.saturating_add(1),
        };
        Ok(Ok(Selected { validity, next, count: self.exists }))
    }

    /// Asks for news of the selected mailbox. A refusal does no harm.
    pub(super) async fn ask_for_news(&mut self) -> Result<(), ForwardError> {
        const DOING: &str = "ask for news of the mailbox";
        self.command(DOING, "NOOP").await?;
        self.answer(DOING, |_| {}).await.map(drop)
    }

    /// Whether the server has reported exactly this many more messages than `before`, and no removal.
    pub(super) fn has_grown_by(&self, before: Option<u32>, count: usize) -> bool {
        let now = before.zip(u32::try_from(count).ok()).and_then(|(before, count)| before.checked_add(count));
        now.is_some() && now == self.exists && !self.has_shrunk
    }

    /// Returns the hierarchy separator. None if the server has no levels or does not say.
    pub(super) async fn separator(&mut self) -> Result<Option<char>, ForwardError> {
        const DOING: &str = "ask for the separator of mailboxes";
        self.command(DOING, "LIST \"\" \"\"").await?;
        let mut separator = None;
        self.answer(DOING, |data| separator = separator.or(response::separator(data))).await?;
        Ok(separator)
    }

    /// Ends the session. A failure does not matter.
    pub(super) async fn log_out(mut self) {
        let said = async {
            if self.command("log out", "LOGOUT").await.is_ok() {
                while !matches!(self.next_line("log out").await, Ok(Line::Tagged(..)) | Err(_)) {}
            }
        };
        let _ = tokio::time::timeout(LAST_ANSWER, said).await;
    }

    /// Returns the tag for the next command.
    pub(super) fn next_tag(&mut self) -> String {
        self.tag += 1;
        let tag = format!("m{}", self.tag);
        self.open_tags.push(tag.clone());
        self.awaited = Awaited::begin();
        tag
    }

    pub(super) async fn send(&mut self, doing: &'static str, octets: &[u8]) -> Result<(), ForwardError> {
        match self.wire.send(octets).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words(doing, error).await),
        }
    }

    /// Returns what the server said before it closed the connection, if anything; else the error itself.
    pub(super) async fn last_words(&mut self, doing: &'static str, error: WireError) -> ForwardError {
        for _ in 0..MOST_LAST_WORDS {
            let Ok(line) = self.wire.line_within(Duration::from_secs(1)).await else { break };
            self.show_answer(&line);
            match response::line(&line) {
                Some(Line::Condition(said) | Line::Tagged(_, said)) if said.kind != Kind::Ok => {
                    return refusal(doing, &said);
                }
                _ => {}
            }
        }
        ForwardError::wire(doing, error)
    }

    /// Sends a command.
    pub(super) async fn command(&mut self, doing: &'static str, command: &str) -> Result<(), ForwardError> {
        self.command_shown_as(doing, command, command).await
    }

    /// Sends a command that contains a secret; the log shows `shown` instead.
    pub(super) async fn command_shown_as(
        &mut self,
        doing: &'static str,
        command: &str,
        shown: &str,
    ) -> Result<(), ForwardError> {
        let tag = self.next_tag();
        self.dialogue.line('C', || format!("{tag} {shown}"));
        let line = Zeroizing::new(format!("{tag} {command}\r\n"));
        self.send(doing, line.as_bytes()).await
    }

    /// Runs a command whose data nobody needs.
    async fn simple(&mut self, doing: &'static str, command: &str) -> Result<(), ForwardError> {
        self.command(doing, command).await?;
        let done = self.answer(doing, |_| {}).await?;
        if done.kind == Kind::Ok { Ok(()) } else { Err(refusal(doing, &done)) }
    }

    /// Waits until the server asks for more. Some if it refused the command instead. No other command may be in flight.
    pub(super) async fn continuation(&mut self, doing: &'static str) -> Result<Option<Condition>, ForwardError> {
        loop {
            match self.next_line(doing).await? {
                Line::Continue => return Ok(None),
                Line::Tagged(_, done) => return Ok(Some(done)),
                Line::Condition(_) | Line::Data(_) => {}
            }
        }
    }

    /// Waits for the end of the command in flight. Data that come before it are passed to the caller.
    pub(super) async fn answer(
        &mut self,
        doing: &'static str,
        data: impl FnMut(&[u8]) + Send,
    ) -> Result<Condition, ForwardError> {
        self.answer_within(doing, Duration::ZERO, data).await
    }

    /// Does the work of [`Self::answer`] with a longer timeout.
    pub(super) async fn answer_within(
        &mut self,
        doing: &'static str,
        timeout: Duration,
        mut data: impl FnMut(&[u8]) + Send,
    ) -> Result<Condition, ForwardError> {
        loop {
            match self.response(doing, timeout, None).await?.0 {
                Line::Data(line) => data(&line),
                Line::Tagged(_, done) => return Ok(done),
                Line::Condition(_) | Line::Continue => {}
            }
        }
    }

    pub(super) async fn next_line(&mut self, doing: &'static str) -> Result<Line, ForwardError> {
        Ok(self.response(doing, Duration::ZERO, None).await?.0)
    }

    /// Reads the next response, and says whether it had a literal; the octets of the first one go to the sink. BYE is
    /// an error, and so is an answer to a command that we did not send, or one that does not come however much else
    /// does. A timeout of zero means the usual one.
    pub(super) async fn response(
        &mut self,
        doing: &'static str,
        timeout: Duration,
        sink: Option<Sink<'_>>,
    ) -> Result<(Line, bool), ForwardError> {
        let (whole, had_literal) = self.read(timeout, sink).await.map_err(|error| ForwardError::wire(doing, error))?;
        self.show_answer(&whole);
        let not_imap = || ForwardError::Protocol { doing, what: words(&String::from_utf8_lossy(&whole)) };
        let line = response::line(&whole).ok_or_else(not_imap)?;
        match &line {
            Line::Condition(bye) if bye.kind == Kind::Bye => return Err(refusal(doing, bye)),
            Line::Condition(condition) => self.take_capabilities(condition.code("CAPABILITY")),
            Line::Tagged(tag, condition) => {
                let open = self.open_tags.iter().position(|open| open.as_bytes() == tag);
                self.open_tags.remove(open.ok_or_else(not_imap)?);
                self.awaited = Awaited::begin();
                self.take_capabilities(condition.code("CAPABILITY"));
            }
            Line::Data(data) => {
                let list = data.strip_prefix(b"CAPABILITY ").map(String::from_utf8_lossy);
                self.take_capabilities(list.as_deref());
                match response::numbered(data) {
                    Some((exists, b"EXISTS")) => self.exists = Some(exists),
                    Some((_, b"EXPUNGE")) => {
                        self.exists = self.exists.map(|exists| exists.saturating_sub(1));
                        self.has_shrunk = true;
                    }
                    _ => {}
                }
            }
            Line::Continue => {}
        }
        Ok((line, had_literal))
    }

    /// Logs a response. Of the mailbox's contents it logs only that something was told about them.
    fn show_answer(&mut self, line: &[u8]) {
        let shown = |octets: &[u8]| self.redactor.hide(&words(&String::from_utf8_lossy(octets)));
        let begin = line.get(..NUMBER_MOST + FETCH.len()).unwrap_or(line);
        match begin.windows(FETCH.len()).position(|part| part.eq_ignore_ascii_case(FETCH)) {
            Some(at) if line.starts_with(b"* ") => {
                self.dialogue.detail('S', || format!("{} FETCH (…)", shown(line.get(..at).unwrap_or_default())));
            }
            _ => self.dialogue.line('S', || shown(line)),
        }
    }

    /// Reads the next response, without the octets of its literals.
    async fn read(&mut self, timeout: Duration, mut sink: Option<Sink<'_>>) -> Result<(Vec<u8>, bool), WireError> {
        let mut whole = match timeout {
            Duration::ZERO => self.wire.line().await?,
            timeout => self.wire.line_within(timeout).await?,
        };
        self.awaited.take_line(whole.len())?;
        let mut literals = 0;
        while let Some(length) = response::literal(&whole).filter(|_| whole.starts_with(b"* ")) {
            self.awaited.take_literal(length)?;
            match sink.take() {
                Some(sink) => self.wire.octets(length, sink).await?,
                None => self.wire.octets(length, |_| {}).await?,
            }
            literals += 1;
            // This literal has been read and must not be found again.
            let end = whole.len().saturating_sub(1);
            whole.truncate(end);
            whole.push(b' ');
            whole.extend(self.wire.line().await?);
            if literals > MOST_LITERALS || whole.len() > LONGEST_RESPONSE {
                return Err(WireError::LongLine);
            }
        }
        Ok((whole, literals > 0))
    }
}

/// Makes the error for a mailbox that does not exist and cannot be created.
fn no_mailbox(select: &Condition, create: &Condition) -> ForwardError {
    let refused = [refusal("select the mailbox", select), refusal("make the mailbox", create)];
    let lasting = refused.iter().any(|error| matches!(error, ForwardError::Refused { kind: RefusalKind::Lasting, .. }));
    let [_, made] = refused;
    match made {
        ForwardError::Full { .. } => made,
        _ => ForwardError::NoMailbox { select: words(&select.words()), create: words(&create.words()), lasting },
    }
}

/// Makes the error for a refusal that concerns all messages.
pub(super) fn refusal(doing: &'static str, condition: &Condition) -> ForwardError {
    let lasting = ["NONEXISTENT", "NOPERM", "CANNOT", "CONTACTADMIN"].iter().any(|code| condition.code(code).is_some());
    if super::refusal::is_full(condition) {
        return ForwardError::Full { response: words(&condition.words()) };
    }
    let kind = if lasting { RefusalKind::Lasting } else { RefusalKind::Passing };
    ForwardError::Refused { doing, response: words(&condition.words()), kind }
}
