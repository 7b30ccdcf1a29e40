//! An IMAP server (RFC 9051) with one mailbox, as far as a client that appends needs it, with faults on demand.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::listening::Listening;
use super::maildrop::{PASSWORD, USER};

/// A fault in an APPEND.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The message is stored, and the connection is cut before the answer.
    LoseAnswer,
    /// Like `LoseAnswer`, and the mailbox is recreated: other UIDs, another UIDVALIDITY.
    LoseAnswerAndRenumber,
    /// The connection is cut after this many octets of the literal.
    CutLiteral(usize),
    /// NO or BAD with this text, after the literal.
    Refuse(&'static str),
    /// NO or BAD with this text, before the literal.
    RefuseAtOnce(&'static str),
    /// BYE with this text, before the literal, and the connection is closed.
    Bye(&'static str),
    /// The answer has a tag that was not sent, and nothing follows.
    ForeignTag,
    /// The client gets no more answers, only the end of the connection. This message and all that were sent after it
    /// are stored nevertheless, each after this delay.
    StoreLate(Duration),
}

/// What happens when the client looks into the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// It is answered.
    Answered,
    /// No answer any more.
    Hang,
    /// Refused, with this text.
    Refused(&'static str),
    /// The connection is cut.
    Cut,
}

/// Which UID a server reports for an appended message (RFC 4315).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The actual one.
    Right,
    /// None.
    Nothing,
    /// This one, whatever the actual one is.
    Always(u32),
    /// One that is too high by this number.
    TooHigh(u32),
    /// The actual one, under another UIDVALIDITY.
    OtherValidity,
    /// Not a number.
    Garbage,
}

impl Naming {
    fn code(self, validity: u32, uid: u32) -> String {
        match self {
            Self::Right => format!("[APPENDUID {validity} {uid}] "),
            Self::Nothing => String::new(),
            Self::Always(other) => format!("[APPENDUID {validity} {other}] "),
            Self::TooHigh(by) => format!("[APPENDUID {validity} {}] ", uid + by),
            Self::OtherValidity => format!("[APPENDUID 7 {uid}] "),
            Self::Garbage => "[APPENDUID x 99999999999999999999] ".to_owned(),
        }
    }
}

/// Whether a set such as `1,4:7,9:*` contains a UID, if the last message has the UID `last` (RFC 9051, section 9).
pub(crate) fn names(set: &str, uid: u32, last: u32) -> bool {
    let number = |text: &str| if text == "*" { last } else { text.parse().unwrap() };
    set.split(',').any(|part| {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        let (from, to) = (number(from), number(to));
        (from.min(to)..=from.max(to)).contains(&uid)
    })
}

/// What happens when the client fetches a message that the server cannot return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    IsRefused,
    EndsTheConnection,
}

/// A message in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) uid: u32,
    pub(crate) flags: String,
    pub(crate) date: String,
    pub(crate) bytes: Vec<u8>,
}

/// The mailbox and the behaviour of the server.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Its name, as encoded on the wire.
    pub(crate) name: String,
    /// Whether it exists.
    pub(crate) exists: bool,
    /// The response if it does not exist.
    pub(crate) missing: &'static str,
    /// The text with which CREATE is refused, if it is.
    pub(crate) creation_refusal: Option<&'static str>,
    /// The hierarchy separator.
    pub(crate) separator: char,
    pub(crate) validity: u32,
    pub(crate) next: u32,
    pub(crate) messages: Vec<Stored>,
    /// What happens to the next APPENDs, in order.
    pub(crate) faults: VecDeque<Fault>,
    /// The capabilities that it announces.
    pub(crate) capabilities: &'static str,
    /// It cuts the connection at a message that contains these bytes.
    pub(crate) poison: Option<&'static [u8]>,
    /// It refuses a message that contains these bytes, with this response.
    pub(crate) refuses: Option<(&'static [u8], &'static str)>,
    /// It stops answering at a message that contains these bytes.
    pub(crate) hangs: Option<&'static [u8]>,
    /// What happens when the client looks into the mailbox.
    pub(crate) looks: Looks,
    /// It stores one message per Message-ID, as Gmail does, and reports the UID of that one.
    pub(crate) merges: bool,
    /// Right before it stores a message with the first of these parts, the second one arrives from elsewhere.
    pub(crate) meanwhile: Option<(&'static [u8], Vec<u8>)>,
    /// It answers APPEND only after the mailbox was selected this many times.
    pub(crate) selected_before: usize,
    /// Whether it reports new messages after APPEND (RFC 9051, section 6.3.12).
    pub(crate) tells_count: bool,
    /// It reports no UID for a message that it drops as a duplicate; a message of somebody else, if given, arrives at
    /// that moment.
    pub(crate) drops: Option<Option<&'static [u8]>>,
    /// What it has stored appears in the mailbox only after this delay.
    pub(crate) lag: Option<Duration>,
    /// Whether it reports UIDNEXT.
    pub(crate) tells_next: bool,
    /// It answers FETCH with OK only.
    pub(crate) shows_nothing: bool,
    /// It cannot return a message that contains these bytes: it refuses, or closes the connection.
    pub(crate) unreadable: Option<(&'static [u8], Unreadable)>,
    /// How it reports the UID of what was appended.
    pub(crate) naming: Naming,
    /// What it adds to each size: some servers report estimates.
    pub(crate) size_error: i64,
    /// The text with which logins are refused, if they are.
    pub(crate) login_refusal: Option<&'static str>,
    /// How many APPENDs were answered with OK.
    pub(crate) answered: usize,
    /// Every command line received, without the password.
    pub(crate) commands: Vec<String>,
    /// The maximum number of concurrent connections so far.
    pub(crate) most_connections: usize,
    connections: usize,
}

impl Mailbox {
    /// Stores a message; returns its UID.
    pub(crate) fn store(&mut self, bytes: Vec<u8>) -> u32 {
        let (uid, flags, date) = (self.next, String::new(), String::new());
        self.next += 1;
        self.messages.push(Stored { uid, flags, date, bytes });
        uid
    }

    /// Whether it is still busy with a connection, be it with what came over one that the client has left.
    pub(crate) fn is_busy(&self) -> bool {
        self.connections > 0
    }

    /// Recreates the mailbox: other UIDs, another UIDVALIDITY.
    fn renumber(&mut self) {
        self.validity += 1;
        self.messages.iter_mut().zip(1..).for_each(|(message, uid)| message.uid = uid);
        self.next = u32::try_from(self.messages.len()).unwrap() + 1;
    }
}

/// A listening server; ends when dropped.
pub(crate) struct ImapServer {
    pub(crate) address: SocketAddr,
    mailbox: Arc<Mutex<Mailbox>>,
    _listening: Listening,
}

impl ImapServer {
    /// Starts with an empty mailbox.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = Mailbox {
            name: "INBOX".to_owned(),
            exists: true,
            missing: "NO [NONEXISTENT] no such mailbox",
            creation_refusal: None,
            separator: '.',
            validity: 77,
            next: 1,
            messages: Vec::new(),
            faults: VecDeque::new(),
            capabilities: "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS",
            poison: None,
            refuses: None,
            hangs: None,
            looks: Looks::Answered,
            merges: false,
            meanwhile: None,
            selected_before: 0,
            tells_count: true,
            drops: None,
            lag: None,
            tells_next: true,
            shows_nothing: false,
            unreadable: None,
            naming: Naming::Right,
            size_error: 0,
            login_refusal: None,
            answered: 0,
            commands: Vec::new(),
            most_connections: 0,
            connections: 0,
        };
        let mailbox = Arc::new(Mutex::new(mailbox));
        let theirs = Arc::clone(&mailbox);
        let serve = move |stream: TcpStream| {
            drop(stream.set_read_timeout(Some(Duration::from_secs(30))));
            change(&theirs, |mailbox| {
                mailbox.connections += 1;
                mailbox.most_connections = mailbox.most_connections.max(mailbox.connections);
            });
            let mut session = Session { stream: BufReader::new(stream), mailbox: Arc::clone(&theirs), late: None };
            let _ = session.converse();
            drop(session.stream.get_ref().shutdown(Shutdown::Both));
            change(&session.mailbox, |mailbox| mailbox.connections -= 1);
        };
        let accept = move || listener.accept().map(|(stream, _)| stream);
        let listening = Listening::start(accept, serve, move || drop(TcpStream::connect(address)));
        Self { address, mailbox, _listening: listening }
    }

    /// Reads or changes the mailbox.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Mailbox) -> T) -> T {
        change(&self.mailbox, look)
    }

    /// Sets what happens to the next APPENDs.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.with(|mailbox| mailbox.faults = faults.iter().cloned().collect());
    }

    /// Returns the bytes of its messages, sorted.
    pub(crate) fn mail(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = self.with(|mailbox| mailbox.messages.iter().map(|one| one.bytes.clone()).collect());
        all.sort();
        all
    }

    /// Returns the value of the key `forward` of an account that forwards here; `more` goes into the table `imap`.
    pub(crate) fn forward(&self, more: &str) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        format!(
            "{{ imap = {{ host = \"{host}\", port = {port}, tls = \"none\", username = {USER:?}, \
             password = {PASSWORD:?}{more} }} }}"
        )
    }
}

fn change<T>(mailbox: &Mutex<Mailbox>, change: impl FnOnce(&mut Mailbox) -> T) -> T {
    let mut mailbox: MutexGuard<'_, Mailbox> = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut mailbox)
}

fn message_id(bytes: &[u8]) -> Option<&[u8]> {
    bytes.split(|c| *c == b'\n').find(|line| line.to_ascii_lowercase().starts_with(b"message-id:"))
}

/// Whether a message contains these bytes.
fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|here| here == part)
}

struct Session {
    stream: BufReader<TcpStream>,
    mailbox: Arc<Mutex<Mailbox>>,
    /// The client has gone, and what it has sent is stored after this delay.
    late: Option<Duration>,
}

/// What ends a session.
type Over = std::io::Error;

impl Session {
    fn say(&mut self, line: &str) -> Result<(), Over> {
        if self.late.is_some() {
            return Ok(());
        }
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes())
    }

    fn line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Mailbox) -> T) -> T {
        change(&self.mailbox, look)
    }

    fn converse(&mut self) -> Result<(), Over> {
        let capabilities = self.with(|mailbox| mailbox.capabilities);
        self.say(&format!("* OK [CAPABILITY {capabilities}] ready"))?;
        loop {
            let line = self.line()?;
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            let (tag, command) = (tag.to_owned(), command.to_owned());
            let verb = command.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let shown = if verb == "AUTHENTICATE" || verb == "LOGIN" { verb.clone() } else { command.clone() };
            self.with(|mailbox| mailbox.commands.push(shown));
            match verb.as_str() {
                "CAPABILITY" => {
                    self.say(&format!("* CAPABILITY {capabilities}"))?;
                    self.say(&format!("{tag} OK done"))?;
                }
                "AUTHENTICATE" | "LOGIN" => match self.with(|mailbox| mailbox.login_refusal) {
                    Some(words) => self.say(&format!("{tag} {words}"))?,
                    None if self.is_right(&command) => self.say(&format!("{tag} OK in"))?,
                    None => self.say(&format!("{tag} NO [AUTHENTICATIONFAILED] no"))?,
                },
                "SELECT" | "EXAMINE" => self.select(&tag, &command)?,
                "CREATE" => match self.with(|mailbox| mailbox.creation_refusal) {
                    Some(words) => self.say(&format!("{tag} {words}"))?,
                    None => {
                        self.with(|mailbox| mailbox.exists = true);
                        self.say(&format!("{tag} OK made"))?;
                    }
                },
                "LIST" => {
                    let separator = self.with(|mailbox| mailbox.separator);
                    self.say(&format!("* LIST (\\Noselect) \"{separator}\" \"\""))?;
                    self.say(&format!("{tag} OK done"))?;
                }
                "APPEND" => self.append(&tag, &command)?,
                "UID" => self.fetch(&tag, &command)?,
                "FETCH" => self.fetch_by_number(&tag, &command)?,
                "LOGOUT" => {
                    self.say("* BYE over")?;
                    self.say(&format!("{tag} OK done"))?;
                    return Ok(());
                }
                _ => self.say(&format!("{tag} OK whatever"))?,
            }
        }
    }

    fn is_right(&self, command: &str) -> bool {
        use base64::Engine as _;
        let plain = base64::prelude::BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
        command.split(' ').nth(2) == Some(&plain) || command == format!("LOGIN {USER:?} {PASSWORD:?}")
    }

    fn select(&mut self, tag: &str, command: &str) -> Result<(), Over> {
        let is_there = self.with(|mailbox| {
            mailbox.exists && {
                let opened = command.strip_prefix("SELECT ").or_else(|| command.strip_prefix("EXAMINE "));
                mailbox.exists && opened == Some(&format!("\"{}\"", mailbox.name))
            }
        });
        if !is_there {
            let words = self.with(|mailbox| mailbox.missing);
            return self.say(&format!("{tag} {words}"));
        }
        let (validity, next, count) = self.with(|mailbox| (mailbox.validity, mailbox.next, mailbox.messages.len()));
        self.say(&format!("* {count} EXISTS"))?;
        self.say(&format!("* OK [UIDVALIDITY {validity}] valid"))?;
        if self.with(|mailbox| mailbox.tells_next) {
            self.say(&format!("* OK [UIDNEXT {next}] next"))?;
        }
        self.say(&format!("{tag} OK [READ-WRITE] selected"))
    }

    fn breaks_at(&self, bytes: &[u8]) -> bool {
        self.with(|mailbox| mailbox.poison).is_some_and(|poison| has(bytes, poison))
    }

    /// How it refuses this message, if it does.
    fn refusal(&self, bytes: &[u8]) -> Option<Fault> {
        let refuses = self.with(|mailbox| mailbox.refuses).filter(|(part, _)| has(bytes, part));
        refuses.map(|(_, words)| Fault::Refuse(words))
    }

    /// Waits for the end of the connection if it hangs at this message.
    fn hang_at(&mut self, bytes: &[u8]) -> Result<(), Over> {
        if self.with(|mailbox| mailbox.hangs).is_some_and(|part| has(bytes, part)) {
            return self.hang();
        }
        Ok(())
    }

    /// Stops answering until the client has gone.
    fn hang(&mut self) -> Result<(), Over> {
        let mut rest = Vec::new();
        self.stream.get_ref().set_read_timeout(None)?;
        self.stream.read_to_end(&mut rest)?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    }

    /// Waits if the message is to be stored late.
    fn take_time(&mut self, fault: &Fault) -> Result<(), Over> {
        if let Fault::StoreLate(delay) = fault {
            self.late = Some(*delay);
            self.stream.get_ref().shutdown(Shutdown::Write)?;
        }
        self.late.into_iter().for_each(std::thread::sleep);
        Ok(())
    }

    /// Checks that the literal has the announced length and the right kind.
    fn check_literal(&mut self, command: &str, bytes: &[u8]) -> Result<(), Over> {
        assert_eq!(self.line()?, "", "the literal is as long as it was said");
        let may_have_nul =
            self.with(|mailbox| ["BINARY", "IMAP4rev2"].iter().any(|it| mailbox.capabilities.contains(it)));
        let is_binary = command.contains(" ~{");
        assert_eq!(
            is_binary,
            bytes.contains(&0),
            "RFC 9051: a literal has no NUL, and literal8 is for those that have"
        );
        assert!(!is_binary || may_have_nul, "nobody has announced BINARY");
        Ok(())
    }

    fn append(&mut self, tag: &str, command: &str) -> Result<(), Over> {
        let fault = self.with(|mailbox| mailbox.faults.pop_front()).unwrap_or(Fault::None);
        let inner = command.rsplit_once('{').unwrap().1.trim_end_matches('}');
        let at_once = inner.ends_with('+');
        let size: usize = inner.trim_end_matches('+').parse().unwrap();
        let mut bytes = vec![0; size];
        if !at_once {
            match fault {
                Fault::RefuseAtOnce(words) => return self.say(&format!("{tag} {words}")),
                Fault::Bye(words) => {
                    self.say(&format!("* BYE {words}"))?;
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
                _ => self.say("+ go on")?,
            }
        }
        if let Fault::CutLiteral(after) = fault {
            self.stream.read_exact(&mut bytes[..after.min(size)])?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.read_exact(&mut bytes)?;
        let is_selected = |mailbox: &mut Mailbox| {
            let selected = mailbox.commands.iter().filter(|command| command.starts_with("SELECT"));
            selected.count() >= mailbox.selected_before
        };
        for _ in 0..1000 {
            if self.with(is_selected) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.take_time(&fault)?;
        if self.breaks_at(&bytes) {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        self.hang_at(&bytes)?;
        self.check_literal(command, &bytes)?;
        let fault = self.refusal(&bytes).unwrap_or(fault);
        match fault {
            Fault::Refuse(words) | Fault::RefuseAtOnce(words) => return self.say(&format!("{tag} {words}")),
            Fault::Bye(words) => {
                self.say(&format!("* BYE {words}"))?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            _ => {}
        }
        if let Some(lag) = self.with(|mailbox| mailbox.lag) {
            let mailbox = Arc::clone(&self.mailbox);
            std::thread::spawn(move || {
                std::thread::sleep(lag);
                change(&mailbox, |mailbox| mailbox.store(bytes));
            });
            return self.say(&format!("{tag} OK done"));
        }
        if self.drops(&bytes) {
            return self.say(&format!("{tag} OK done"));
        }
        self.take(tag, command, bytes, &fault)
    }

    /// Stores a message, and answers.
    fn take(&mut self, tag: &str, command: &str, bytes: Vec<u8>, fault: &Fault) -> Result<(), Over> {
        let (validity, uid) = self.with(|mailbox| {
            let flags = command.split_once('(').and_then(|(_, rest)| rest.split_once(')')).unwrap().0.to_owned();
            let date = command.split('"').rev().nth(1).unwrap().to_owned();
            if let Some((_, other)) = mailbox.meanwhile.take_if(|(part, _)| has(&bytes, part)) {
                mailbox.store(other);
            }
            let same = mailbox.messages.iter().find(|other| message_id(&other.bytes) == message_id(&bytes));
            if let (true, Some(same)) = (mailbox.merges, same) {
                return (mailbox.validity, same.uid);
            }
            let uid = mailbox.next;
            mailbox.next += 1;
            mailbox.messages.push(Stored { uid, flags, date, bytes });
            (mailbox.validity, uid)
        });
        if matches!(fault, Fault::LoseAnswer | Fault::LoseAnswerAndRenumber) {
            if matches!(fault, Fault::LoseAnswerAndRenumber) {
                self.with(Mailbox::renumber);
            }
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        if matches!(fault, Fault::ForeignTag) {
            return self.say("zz9 OK done");
        }
        self.with(|mailbox| mailbox.answered += 1);
        let count = self.with(|mailbox| mailbox.tells_count.then_some(mailbox.messages.len()));
        if let Some(count) = count {
            self.say(&format!("* {count} EXISTS"))?;
        }
        let code = self.with(|mailbox| mailbox.naming).code(validity, uid);
        self.say(&format!("{tag} OK {code}done"))
    }

    /// Whether it drops this message as a duplicate without saying so.
    fn drops(&self, bytes: &[u8]) -> bool {
        self.with(|mailbox| {
            let same = |other: &Stored| message_id(&other.bytes) == message_id(bytes);
            let drops = mailbox.drops.filter(|_| mailbox.messages.iter().any(same));
            for foreign in drops.into_iter().flatten() {
                mailbox.store(foreign.to_owned());
            }
            drops.is_some()
        })
    }

    /// `FETCH n (UID)`
    fn fetch_by_number(&mut self, tag: &str, command: &str) -> Result<(), Over> {
        let number: usize = command.split(' ').nth(1).unwrap().parse().unwrap();
        let shown = |mailbox: &mut Mailbox| {
            let uid = mailbox.messages.get(number - 1).map(|message| message.uid);
            uid.filter(|_| !mailbox.shows_nothing)
        };
        if let Some(uid) = self.with(shown) {
            self.say(&format!("* {number} FETCH (UID {uid})"))?;
        }
        self.say(&format!("{tag} OK done"))
    }

    /// `UID FETCH a:* (UID RFC822.SIZE)` and `UID FETCH a,b (UID BODY.PEEK[...])`, or BINARY.
    fn fetch(&mut self, tag: &str, command: &str) -> Result<(), Over> {
        match self.with(|mailbox| mailbox.looks) {
            Looks::Answered => {}
            Looks::Hang => return self.hang(),
            Looks::Refused(words) => return self.say(&format!("{tag} {words}")),
            Looks::Cut => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
        let set = command.split(' ').nth(2).unwrap();
        let (messages, error) = self.with(|mailbox| (mailbox.messages.clone(), mailbox.size_error));
        let last = messages.last().map_or(0, |message| message.uid);
        if self.with(|mailbox| mailbox.shows_nothing) {
            return self.say(&format!("{tag} OK done"));
        }
        let is_named = |part: &[u8]| messages.iter().any(|one| names(set, one.uid, last) && has(&one.bytes, part));
        match self.with(|mailbox| mailbox.unreadable).filter(|(part, _)| !command.contains("SIZE") && is_named(part)) {
            Some((_, Unreadable::IsRefused)) => return self.say(&format!("{tag} NO it could not be converted")),
            Some((_, Unreadable::EndsTheConnection)) => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            None => {}
        }
        for (number, message) in (1..).zip(&messages).filter(|(_, message)| names(set, message.uid, last)) {
            let (uid, bytes) = (message.uid, &message.bytes);
            if command.contains("RFC822.SIZE") {
                let size = i64::try_from(bytes.len()).unwrap() + error;
                self.say(&format!("* {number} FETCH (RFC822.SIZE {size} UID {uid})"))?;
                continue;
            }
            let header = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
            let part = if command.contains("[HEADER]") { &bytes[..header] } else { bytes };
            if command.contains("BINARY.PEEK[]") {
                self.say(&format!("* {number} FETCH (UID {uid} BINARY[] ~{{{}}}", part.len()))?;
                self.stream.get_mut().write_all(part)?;
            } else {
                // A literal has no NUL: this is what Dovecot puts in its place.
                let part: Vec<u8> = part.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect();
                self.say(&format!("* {number} FETCH (UID {uid} BODY[x] {{{}}}", part.len()))?;
                self.stream.get_mut().write_all(&part)?;
            }
            self.say(")")?;
        }
        self.say(&format!("{tag} OK done"))
    }
}
