//! A session with an IMAP server: what APPEND needs, and no more. Our own, because what must be known of a refusal is its
//! response code, and the library that could stream a literal keeps only the text; see docs/forwarding.md.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::response::{self, Condition, Kind, Line};
use crate::account::{AuthChoice, ImapDestination, TlsMode};
use crate::forward::error::ForwardError;
use crate::forward::letter::{Letter, place};
use crate::forward::wire::{Wire, WireError};
use crate::message::{Digest, HeaderDigester, MessageDigester};
use crate::net::{Connection, Dial};
use crate::sasl;
use crate::secret::Secret;
use crate::state::record::MailboxUid;

/// A server may have to store a large message, or to look through a large mailbox, before it answers.
const LONG_ANSWER: Duration = Duration::from_secs(5 * 60);

/// So many lines may come before a command is answered, beside those that it asked for.
const MOST_LINES: u32 = 2_000_000;

/// So many messages of a fitting size are looked at.
const MOST_CANDIDATES: usize = 1000;

/// Messages up to this size are sent without waiting where LITERAL- is offered (RFC 7888), in octets.
const SMALL: u64 = 4096;

/// The same where LITERAL+ is: a refusal costs no more than that.
const NOT_LARGE: u64 = 64 << 10;

/// A mailbox that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selected {
    /// Its UIDVALIDITY.
    pub(super) validity: u32,
    /// No message that is appended from now on gets a lower UID.
    pub(super) next: u32,
}

/// How APPEND ended.
#[derive(Debug)]
pub(super) enum Appended {
    /// The message is in the mailbox; where, if the server says it.
    Yes(Option<MailboxUid>),
    /// It is not, for this reason.
    No(Condition),
}

/// What APPEND is for.
const APPENDING: &str = "append a message";

/// What the answer to APPEND says.
fn appended(done: Condition) -> Appended {
    if done.kind != Kind::Ok {
        return Appended::No(done);
    }
    let uid = done.code("APPENDUID").and_then(|text| text.split_once(' ')).and_then(|(validity, uid)| {
        Some(MailboxUid { validity: validity.parse().ok()?, uid: uid.trim().parse().ok()? })
    });
    Appended::Yes(uid)
}

/// Where the octets of a literal go.
type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// A session that is logged in.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    /// Counts commands.
    tag: u32,
    /// What CAPABILITY says, in capitals.
    capabilities: Vec<String>,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(
        dialer: &Arc<dyn Dial>,
        to: &ImapDestination,
        secret: &Secret,
        patience: Duration,
    ) -> Result<Self, ForwardError> {
        let mut connection = dialer.connect(&to.endpoint, &[]).await?;
        let (mut protected, loopback) = (connection.protected, connection.loopback);
        let peer = connection.peer;
        let mut session = Self { wire: Wire::new(connection.stream, patience), tag: 0, capabilities: Vec::new() };
        let greeting = session.greeting().await?;
        if to.endpoint.tls == TlsMode::StartTls {
            if session.capabilities.is_empty() {
                session.ask_capabilities().await?;
            }
            session.simple("begin TLS", "STARTTLS").await?;
            let Some(stream) = session.wire.into_stream() else {
                let what = "octets behind the answer to STARTTLS, in clear".to_owned();
                return Err(ForwardError::Protocol { doing: "begin TLS", what });
            };
            connection = dialer.start_tls(&to.endpoint, Connection::in_clear(stream, peer)).await?;
            protected = connection.protected;
            session = Self { wire: Wire::new(connection.stream, patience), tag: 0, capabilities: Vec::new() };
        }
        if session.capabilities.is_empty() {
            session.ask_capabilities().await?;
        }
        if greeting != Kind::PreAuth {
            if !protected && !loopback && !to.endpoint.allow_cleartext_password {
                return Err(ForwardError::Cleartext);
            }
            session.capabilities_after(to, secret).await?;
        }
        Ok(session)
    }

    async fn greeting(&mut self) -> Result<Kind, ForwardError> {
        const DOING: &str = "begin an IMAP session";
        let line = self.wire.line().await.map_err(|error| ForwardError::Wire { doing: DOING, error })?;
        match response::line(&line) {
            Some(Line::Condition(condition)) if matches!(condition.kind, Kind::Ok | Kind::PreAuth) => {
                self.take_capabilities(&condition);
                Ok(condition.kind)
            }
            Some(Line::Condition(condition)) => {
                Err(ForwardError::Refused { doing: DOING, response: condition.words(), lasting: false })
            }
            // A server of another protocol is known by its own words.
            _ => Err(ForwardError::Protocol {
                doing: DOING,
                what: crate::forward::pass::words(&String::from_utf8_lossy(&line)),
            }),
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), ForwardError> {
        const DOING: &str = "ask for the server's capabilities";
        let tag = self.command(DOING, "CAPABILITY").await?;
        let mut found = Vec::new();
        let done = self
            .answer(DOING, &tag, |data| {
                if let Some(list) = data.strip_prefix(b"CAPABILITY ") {
                    found = capabilities(&String::from_utf8_lossy(list));
                }
            })
            .await?;
        if !found.is_empty() {
            self.capabilities = found;
        }
        self.take_capabilities(&done);
        if done.kind == Kind::Ok { Ok(()) } else { Err(refusal(DOING, &done)) }
    }

    fn take_capabilities(&mut self, condition: &Condition) {
        if let Some(list) = condition.code("CAPABILITY") {
            self.capabilities = capabilities(list);
        }
    }

    /// Logs in. What the server can do may be another thing behind the login.
    async fn capabilities_after(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        self.log_in(to, secret).await?;
        self.ask_capabilities().await
    }

    async fn log_in(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        match self.mechanism(to, secret)? {
            Some((mechanism, response)) => self.authenticate(mechanism, &response).await,
            None => self.log_in_by_login(to, secret).await,
        }
    }

    /// The mechanism of SASL to log in with, and what it says. None: LOGIN is for that.
    fn mechanism(&self, to: &ImapDestination, secret: &Secret) -> Result<Option<(&'static str, Secret)>, ForwardError> {
        let endpoint = &to.endpoint;
        let unsendable = |e: sasl::SaslError| ForwardError::Login { response: e.to_string() };
        let offers = |mechanism: &str| self.has(mechanism);
        Ok(Some(match to.auth {
            AuthChoice::OAuthBearer => {
                let response = sasl::oauthbearer(&to.username, secret, &endpoint.host, endpoint.port);
                ("OAUTHBEARER", response.map_err(unsendable)?)
            }
            AuthChoice::XOAuth2 => ("XOAUTH2", sasl::xoauth2(&to.username, secret).map_err(unsendable)?),
            _ if to.uses_token && offers("AUTH=OAUTHBEARER") && !offers("AUTH=XOAUTH2") => {
                let response = sasl::oauthbearer(&to.username, secret, &endpoint.host, endpoint.port);
                ("OAUTHBEARER", response.map_err(unsendable)?)
            }
            _ if to.uses_token => ("XOAUTH2", sasl::xoauth2(&to.username, secret).map_err(unsendable)?),
            AuthChoice::Plain => ("PLAIN", sasl::plain_response(&to.username, secret)),
            AuthChoice::Auto if offers("AUTH=PLAIN") => ("PLAIN", sasl::plain_response(&to.username, secret)),
            _ => return Ok(None),
        }))
    }

    async fn authenticate(&mut self, mechanism: &str, response: &Secret) -> Result<(), ForwardError> {
        const DOING: &str = "log in";
        let encoded = secrecy::zeroize::Zeroizing::new(BASE64_STANDARD.encode(response.expose()));
        let at_once = self.has("SASL-IR");
        let command = match at_once {
            true => secrecy::zeroize::Zeroizing::new(format!("AUTHENTICATE {mechanism} {}", encoded.as_str())),
            false => secrecy::zeroize::Zeroizing::new(format!("AUTHENTICATE {mechanism}")),
        };
        let tag = self.command(DOING, &command).await?;
        let mut sent = at_once;
        for _ in 0..MOST_LINES {
            match self.next_line(DOING, None).await? {
                (Line::Continue, _) if !sent => {
                    sent = true;
                    let line = secrecy::zeroize::Zeroizing::new(format!("{}\r\n", encoded.as_str()));
                    self.send(DOING, line.as_bytes()).await?;
                }
                // What a refused token is refused for; an empty answer asks for the end.
                (Line::Continue, _) => self.send(DOING, b"\r\n").await?,
                (Line::Tagged(answered, done), _) if answered == tag => return self.logged_in(&done),
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(DOING, &bye)),
                _ => {}
            }
        }
        Err(ForwardError::Wire { doing: DOING, error: WireError::LongLine })
    }

    async fn log_in_by_login(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        const DOING: &str = "log in";
        if self.has("LOGINDISABLED") {
            return Err(ForwardError::Login { response: "LOGINDISABLED".to_owned() });
        }
        let tag = self.next_tag();
        let quotable = |octets: &[u8]| octets.iter().all(|c| matches!(c, b' '..=b'~'));
        let mut line = secrecy::zeroize::Zeroizing::new(format!("{tag} LOGIN").into_bytes());
        for argument in [to.username.as_bytes(), secret.expose()] {
            line.push(b' ');
            if quotable(argument) {
                line.push(b'"');
                for octet in argument {
                    if matches!(octet, b'"' | b'\\') {
                        line.push(b'\\');
                    }
                    line.push(*octet);
                }
                line.push(b'"');
            } else {
                line.extend_from_slice(format!("{{{}}}\r\n", argument.len()).as_bytes());
                self.send(DOING, &line).await?;
                line.clear();
                if let Some(refused) = self.continuation(DOING, tag.as_bytes()).await? {
                    return Err(login_refused(&refused));
                }
                line.extend_from_slice(argument);
            }
        }
        line.extend_from_slice(b"\r\n");
        self.send(DOING, &line).await?;
        let done = self.answer(DOING, tag.as_bytes(), |_| {}).await?;
        self.logged_in(&done)
    }

    fn logged_in(&mut self, done: &Condition) -> Result<(), ForwardError> {
        if done.kind == Kind::Ok {
            return Ok(());
        }
        // Some servers have no room for now, or are being mended (RFC 5530).
        let later = ["UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT"].iter().any(|code| done.code(code).is_some())
            || done.text.to_ascii_lowercase().contains("too many");
        if later { Err(refusal("log in", done)) } else { Err(login_refused(done)) }
    }

    /// Whether the server has announced a capability.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    /// The largest message that the server takes, in octets, where it says so (RFC 7889).
    pub(super) fn append_limit(&self) -> Option<u64> {
        self.capabilities.iter().find_map(|known| known.strip_prefix("APPENDLIMIT=")?.parse().ok())
    }

    /// Selects a mailbox; one that is not there is made.
    pub(super) async fn select(&mut self, mailbox: &str) -> Result<Selected, ForwardError> {
        match self.try_select(mailbox).await? {
            Ok(selected) => Ok(selected),
            Err(refused) => {
                let create = format!("CREATE {}", response::mailbox(mailbox));
                let tag = self.command("make the mailbox", &create).await?;
                let made = self.answer("make the mailbox", &tag, |_| {}).await?;
                if made.kind != Kind::Ok {
                    return Err(refusal("select the mailbox", &refused));
                }
                // Many clients show only what is subscribed to; a refusal does no harm.
                let tag = self.command("subscribe", &format!("SUBSCRIBE {}", response::mailbox(mailbox))).await?;
                self.answer("subscribe", &tag, |_| {}).await?;
                let selected = self.try_select(mailbox).await?;
                selected.map_err(|refused| refusal("select the mailbox", &refused))
            }
        }
    }

    /// Opens a mailbox for reading only; nothing is made. The inner error is the server's refusal.
    pub(super) async fn examine(&mut self, mailbox: &str) -> Result<Result<Selected, Condition>, ForwardError> {
        self.open_mailbox("EXAMINE", mailbox).await
    }

    async fn try_select(&mut self, mailbox: &str) -> Result<Result<Selected, Condition>, ForwardError> {
        self.open_mailbox("SELECT", mailbox).await
    }

    async fn open_mailbox(
        &mut self,
        command: &str,
        mailbox: &str,
    ) -> Result<Result<Selected, Condition>, ForwardError> {
        const DOING: &str = "select the mailbox";
        let tag = self.command(DOING, &format!("{command} {}", response::mailbox(mailbox))).await?;
        let (mut validity, mut next) = (None, None);
        let done = loop {
            match self.next_line(DOING, None).await? {
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(DOING, &bye)),
                (Line::Condition(condition), _) => {
                    let number = |name: &str| condition.code(name).and_then(|text| text.trim().parse().ok());
                    validity = number("UIDVALIDITY").or(validity);
                    next = number("UIDNEXT").or(next);
                }
                (Line::Tagged(answered, done), _) if answered == tag => break done,
                (Line::Tagged(..) | Line::Continue | Line::Data(_), _) => {}
            }
        };
        if done.kind != Kind::Ok {
            return Ok(Err(done));
        }
        let Some(validity) = validity else {
            return Err(ForwardError::Protocol { doing: DOING, what: "no UIDVALIDITY".to_owned() });
        };
        // Without a UIDNEXT all messages of the mailbox may be the one that is looked for.
        Ok(Ok(Selected { validity, next: next.unwrap_or(1) }))
    }

    /// Whether a message may be sent without waiting for a word from the server.
    pub(super) fn sends_ahead(&self, letter: &Letter) -> bool {
        self.has("LITERAL+") && letter.size <= NOT_LARGE || self.has("LITERAL-") && letter.size <= SMALL
    }

    /// Appends messages that may be sent ahead, one behind the other, and waits for the answers then: how it ended for each
    /// that was answered.
    pub(super) async fn append_all(
        &mut self,
        mailbox: &str,
        flags: &[String],
        letters: &[Letter],
    ) -> (Vec<Option<Appended>>, Result<(), ForwardError>) {
        let (mut tags, mut answers): (Vec<String>, Vec<Option<Appended>>) = (Vec::new(), Vec::new());
        for letter in letters {
            let tag = self.next_tag();
            answers.push(None);
            let sent = match self.begin_append(&tag, mailbox, flags, letter, "+").await {
                Ok(()) => self.send_letter(letter).await,
                Err(e) => Err(e),
            };
            if sent.is_err() {
                return (answers, sent);
            }
            tags.push(tag);
        }
        let ended = self.answers(&tags, &mut answers).await;
        (answers, ended)
    }

    /// Waits until all of these are answered, in whatever order.
    async fn answers(&mut self, tags: &[String], answers: &mut [Option<Appended>]) -> Result<(), ForwardError> {
        for _ in 0..MOST_LINES {
            if answers.iter().all(Option::is_some) {
                return Ok(());
            }
            match self.next_line_within(APPENDING, LONG_ANSWER, None).await? {
                (Line::Tagged(tag, done), _) => {
                    let place = tags.iter().position(|known| known.as_bytes() == tag);
                    if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
                        *answer = Some(appended(done));
                    }
                }
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(APPENDING, &bye)),
                _ => {}
            }
        }
        Err(ForwardError::Wire { doing: APPENDING, error: WireError::LongLine })
    }

    /// Appends a message.
    pub(super) async fn append(
        &mut self,
        mailbox: &str,
        flags: &[String],
        letter: &Letter,
    ) -> Result<Appended, ForwardError> {
        let (tag, ahead) = (self.next_tag(), self.sends_ahead(letter));
        self.begin_append(&tag, mailbox, flags, letter, if ahead { "+" } else { "" }).await?;
        if !ahead && let Some(refused) = self.continuation(APPENDING, tag.as_bytes()).await? {
            return Ok(Appended::No(refused));
        }
        self.send_letter(letter).await?;
        self.answer_within(APPENDING, tag.as_bytes(), LONG_ANSWER, |_| {}).await.map(appended)
    }

    /// Sends the command in front of a message; with a plus the message follows at once (RFC 7888).
    async fn begin_append(
        &mut self,
        tag: &str,
        mailbox: &str,
        flags: &[String],
        letter: &Letter,
        plus: &str,
    ) -> Result<(), ForwardError> {
        let (mailbox, flags) = (response::mailbox(mailbox), flags.join(" "));
        let command = format!("{tag} APPEND {mailbox} ({flags}) \"{}\" {{{}{plus}}}\r\n", letter.date, letter.size);
        self.send(APPENDING, command.as_bytes()).await
    }

    async fn send_letter(&mut self, letter: &Letter) -> Result<(), ForwardError> {
        match self.stream(letter).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words(APPENDING, error).await),
        }
    }

    /// Sends the octets of a letter and the end of the command. The inner error is the connection's.
    async fn stream(&mut self, letter: &Letter) -> Result<Result<(), WireError>, ForwardError> {
        let mut octets = letter.octets();
        loop {
            let piece = octets.next().await;
            let piece = piece.map_err(|source| {
                let path = place(&letter.spooled).to_owned();
                ForwardError::Spool { path, source }
            })?;
            let last = piece.is_none();
            if let Err(e) = self.wire.send(&piece.unwrap_or_else(|| b"\r\n".to_vec())).await {
                return Ok(Err(e));
            }
            if last {
                return Ok(Ok(()));
            }
        }
    }

    /// What the server said before it closed the connection, if it did; else how that broke.
    async fn last_words(&mut self, doing: &'static str, error: WireError) -> ForwardError {
        while let Ok(line) = self.wire.line_within(Duration::from_secs(1)).await {
            match response::line(&line) {
                Some(Line::Condition(said) | Line::Tagged(_, said)) if said.kind != Kind::Ok => {
                    return refusal(doing, &said);
                }
                _ => {}
            }
        }
        ForwardError::Wire { doing, error }
    }

    /// The UIDs from this one on of messages with this size, lowest first.
    pub(super) async fn of_size(&mut self, from: u32, size: u64) -> Result<Vec<u32>, ForwardError> {
        const DOING: &str = "look for a message";
        let tag = self.command(DOING, &format!("UID FETCH {from}:* (UID RFC822.SIZE)")).await?;
        let mut found = Vec::new();
        let done = self
            .answer_within(DOING, &tag, LONG_ANSWER, |data| {
                let uid = response::item(data, "UID").and_then(|uid| u32::try_from(uid).ok());
                // `*` is the last message, even if it is before `from`.
                if let Some(uid) = uid.filter(|uid| *uid >= from)
                    && response::item(data, "RFC822.SIZE") == Some(size)
                    && found.len() < MOST_CANDIDATES
                {
                    found.push(uid);
                }
            })
            .await?;
        if done.kind != Kind::Ok {
            return Err(refusal(DOING, &done));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The digest of a message's header.
    pub(super) async fn header_of(&mut self, uid: u32) -> Result<Option<Digest>, ForwardError> {
        let mut digester = HeaderDigester::default();
        let seen = self.fetch_part(uid, "BODY.PEEK[HEADER]", |octets| digester.update(octets)).await?;
        Ok(seen.then(|| digester.finish()))
    }

    /// The digest of all octets of a message.
    pub(super) async fn whole_of(&mut self, uid: u32) -> Result<Option<Digest>, ForwardError> {
        let mut digester = MessageDigester::default();
        let seen = self.fetch_part(uid, "BODY.PEEK[]", |octets| digester.update(octets)).await?;
        Ok(seen.then(|| digester.finish()))
    }

    /// Hands over the literal that a part of a message comes as. False if none came.
    async fn fetch_part(
        &mut self,
        uid: u32,
        part: &str,
        mut sink: impl FnMut(&[u8]) + Send,
    ) -> Result<bool, ForwardError> {
        const DOING: &str = "look at a message";
        let tag = self.command(DOING, &format!("UID FETCH {uid} (UID {part})")).await?;
        let mut seen = false;
        for _ in 0..MOST_LINES {
            let sink: Option<Sink<'_>> = if seen { None } else { Some(&mut sink) };
            match self.next_line(DOING, sink).await? {
                (Line::Tagged(answered, done), _) if answered == tag => {
                    return if done.kind == Kind::Ok { Ok(seen) } else { Err(refusal(DOING, &done)) };
                }
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(DOING, &bye)),
                (_, had_literal) => seen |= had_literal,
            }
        }
        Err(ForwardError::Wire { doing: DOING, error: WireError::LongLine })
    }

    /// Ends the session. That it may fail is no trouble.
    pub(super) async fn log_out(mut self) {
        let Ok(tag) = self.command("log out", "LOGOUT").await else { return };
        while let Ok((line, _)) = self.next_line("log out", None).await {
            if matches!(line, Line::Tagged(answered, _) if answered == tag) {
                break;
            }
        }
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("m{}", self.tag)
    }

    async fn send(&mut self, doing: &'static str, octets: &[u8]) -> Result<(), ForwardError> {
        match self.wire.send(octets).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words(doing, error).await),
        }
    }

    /// Sends a command; its tag.
    async fn command(&mut self, doing: &'static str, command: &str) -> Result<Vec<u8>, ForwardError> {
        let tag = self.next_tag();
        let line = secrecy::zeroize::Zeroizing::new(format!("{tag} {command}\r\n"));
        self.send(doing, line.as_bytes()).await?;
        Ok(tag.into_bytes())
    }

    /// A command without anything to be read.
    async fn simple(&mut self, doing: &'static str, command: &str) -> Result<(), ForwardError> {
        let tag = self.command(doing, command).await?;
        let done = self.answer(doing, &tag, |_| {}).await?;
        if done.kind == Kind::Ok { Ok(()) } else { Err(refusal(doing, &done)) }
    }

    /// Waits until the server wants what comes next. Some if it refused the command instead.
    async fn continuation(&mut self, doing: &'static str, tag: &[u8]) -> Result<Option<Condition>, ForwardError> {
        for _ in 0..MOST_LINES {
            match self.next_line(doing, None).await? {
                (Line::Continue, _) => return Ok(None),
                (Line::Tagged(answered, done), _) if answered == tag => return Ok(Some(done)),
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(doing, &bye)),
                _ => {}
            }
        }
        Err(ForwardError::Wire { doing, error: WireError::LongLine })
    }

    /// How a command ended; what comes before that is handed over.
    async fn answer(
        &mut self,
        doing: &'static str,
        tag: &[u8],
        data: impl FnMut(&[u8]) + Send,
    ) -> Result<Condition, ForwardError> {
        self.answer_within(doing, tag, Duration::ZERO, data).await
    }

    async fn answer_within(
        &mut self,
        doing: &'static str,
        tag: &[u8],
        patience: Duration,
        mut data: impl FnMut(&[u8]) + Send,
    ) -> Result<Condition, ForwardError> {
        for _ in 0..MOST_LINES {
            match self.next_line_within(doing, patience, None).await? {
                (Line::Data(line), _) => data(&line),
                (Line::Tagged(answered, done), _) if answered == tag => return Ok(done),
                (Line::Condition(bye), _) if bye.kind == Kind::Bye => return Err(refusal(doing, &bye)),
                _ => {}
            }
        }
        Err(ForwardError::Wire { doing, error: WireError::LongLine })
    }

    async fn next_line(&mut self, doing: &'static str, sink: Option<Sink<'_>>) -> Result<(Line, bool), ForwardError> {
        self.next_line_within(doing, Duration::ZERO, sink).await
    }

    /// The next response: its first line, with what follows its literals; and whether there was a literal. The octets of
    /// the first one go to the sink. A patience of zero is the usual one.
    async fn next_line_within(
        &mut self,
        doing: &'static str,
        patience: Duration,
        mut sink: Option<Sink<'_>>,
    ) -> Result<(Line, bool), ForwardError> {
        let lost = |error| ForwardError::Wire { doing, error };
        let read = match patience {
            Duration::ZERO => self.wire.line().await,
            patience => self.wire.line_within(patience).await,
        };
        let mut whole = read.map_err(lost)?;
        let mut literals = 0;
        while let Some(length) = response::literal(&whole).filter(|_| whole.starts_with(b"* ")) {
            match sink.take() {
                Some(sink) => self.wire.octets(length, sink).await.map_err(lost)?,
                None => self.wire.octets(length, |_| {}).await.map_err(lost)?,
            }
            literals += 1;
            if literals > 100 {
                return Err(lost(WireError::LongLine));
            }
            // The length has been dealt with, and must not be found again.
            let end = whole.len().saturating_sub(1);
            whole.truncate(end);
            whole.push(b' ');
            whole.extend(self.wire.line().await.map_err(lost)?);
            if whole.len() > (256 << 10) {
                return Err(lost(WireError::LongLine));
            }
        }
        let line = response::line(&whole).ok_or_else(|| ForwardError::Protocol {
            doing,
            what: crate::forward::pass::words(&String::from_utf8_lossy(&whole)),
        })?;
        Ok((line, literals > 0))
    }
}

fn capabilities(list: &str) -> Vec<String> {
    list.split_ascii_whitespace().take(500).map(str::to_ascii_uppercase).collect()
}

/// A refusal that concerns all messages.
fn refusal(doing: &'static str, condition: &Condition) -> ForwardError {
    let lasting = ["NONEXISTENT", "NOPERM", "CANNOT", "CONTACTADMIN"].iter().any(|code| condition.code(code).is_some());
    if super::is_full(condition) {
        return ForwardError::Full { response: condition.words() };
    }
    ForwardError::Refused { doing, response: condition.words(), lasting }
}

fn login_refused(condition: &Condition) -> ForwardError {
    ForwardError::Login { response: crate::forward::pass::words(&condition.words()) }
}
