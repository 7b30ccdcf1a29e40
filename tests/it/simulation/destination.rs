//! The destination of forwarded mail, in memory: an IMAP mailbox (RFC 9051) and an LMTP server (RFC 2033), as far as a
//! client that only delivers needs them, with connections that break anywhere.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::disk::{Shared, look};
use super::server::{Posts, open};
use crate::scripted::imap::names;

/// The port on which a host speaks IMAP.
pub(crate) const IMAP: u16 = 143;
/// The port on which a host speaks LMTP.
pub(crate) const LMTP: u16 = 24;

/// A mailbox that lasts as long as the world.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// Each message as received, with its UID.
    pub(crate) messages: Vec<(u32, Vec<u8>)>,
    validity: u32,
    next: u32,
    /// Whether it reports UIDs (RFC 4315), and accepts small literals without a continuation (RFC 7888).
    pub(crate) able: bool,
    /// How many bytes were sent, and how many were received.
    pub(crate) sent: usize,
    pub(crate) heard: usize,
    /// The connection is cut after this many more bytes sent.
    pub(crate) cut_after_sent: Option<usize>,
    /// The connection is cut after this many more bytes received.
    pub(crate) cut_after_heard: Option<usize>,
}

impl Destination {
    /// Makes an empty mailbox.
    pub(crate) fn new(able: bool) -> Self {
        let (cut_after_sent, cut_after_heard) = (None, None);
        Self { messages: Vec::new(), validity: 7, next: 1, able, sent: 0, heard: 0, cut_after_sent, cut_after_heard }
    }

    /// Whether it contains a message.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        self.messages.iter().any(|(_, there)| there == bytes)
    }

    /// Recreates the mailbox: other UIDs, another UIDVALIDITY.
    pub(crate) fn renumber(&mut self) {
        self.validity += 1;
        self.messages.iter_mut().zip(1..).for_each(|(message, uid)| message.0 = uid);
        self.next = u32::try_from(self.messages.len()).unwrap() + 1;
    }

    /// Stores a message; returns its UID.
    fn take(&mut self, bytes: Vec<u8>) -> u32 {
        let uid = self.next;
        self.next += 1;
        self.messages.push((uid, bytes));
        uid
    }
}

/// The process that owns a connection: the connection ends with it.
type Client = (Shared, u32);

/// Serves a connection to this port.
pub(super) async fn serve(stream: DuplexStream, posts: Posts, account: String, port: u16, client: Client) {
    let mut session = Session { stream, input: Vec::new(), posts, account, client };
    let _over = if port == IMAP { session.imap().await } else { session.lmtp().await };
}

/// The connection has ended.
struct Over;

struct Session {
    stream: DuplexStream,
    input: Vec<u8>,
    posts: Posts,
    account: String,
    client: Client,
}

impl Session {
    fn with<T>(&self, act: impl FnOnce(&mut Destination) -> T) -> T {
        let mut posts = open(&self.posts);
        act(posts.get_mut(&self.account).unwrap().destination.as_mut().unwrap())
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) -> Result<(), Over> {
        // As at a POP3 server: what the client does on its disk comes first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let text = text.as_ref();
        let allowed = self.with(|destination| {
            let allowed = destination.cut_after_sent.map_or(text.len(), |left| left.min(text.len()));
            let is_cut = destination.cut_after_sent.is_some_and(|left| left <= text.len());
            destination.cut_after_sent = destination.cut_after_sent.filter(|_| !is_cut).map(|left| left - allowed);
            destination.sent += allowed;
            if is_cut { Err(allowed) } else { Ok(allowed) }
        });
        let (Ok(count) | Err(count)) = allowed;
        self.stream.write_all(&text[..count]).await.map_err(|_| Over)?;
        if allowed.is_ok() { Ok(()) } else { Err(Over) }
    }

    async fn more(&mut self) -> Result<(), Over> {
        let before = self.input.len();
        if matches!(self.stream.read_buf(&mut self.input).await, Ok(0) | Err(_)) {
            return Err(Over);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let gone = {
            let machine = look(&self.client.0);
            machine.process.dead || machine.process.id != self.client.1
        };
        let came = self.input.len() - before;
        let is_cut = self.with(|destination| {
            destination.heard += came;
            let is_cut = destination.cut_after_heard.is_some_and(|left| left <= came);
            destination.cut_after_heard =
                destination.cut_after_heard.filter(|_| !is_cut).map(|left| left.saturating_sub(came));
            is_cut
        });
        if gone || is_cut { Err(Over) } else { Ok(()) }
    }

    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, Over> {
        while self.input.len() < count {
            self.more().await?;
        }
        Ok(self.input.drain(..count).collect())
    }

    async fn line(&mut self) -> Result<Vec<u8>, Over> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line = self.octets(end + 1).await?;
                return Ok(line.strip_suffix(b"\r\n").unwrap_or(&line).to_vec());
            }
            self.more().await?;
        }
    }

    async fn imap(&mut self) -> Result<(), Over> {
        let able = self.with(|destination| destination.able);
        let able = if able { " LITERAL- UIDPLUS" } else { "" };
        self.say(format!("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN{able}] ready\r\n")).await?;
        loop {
            let line = String::from_utf8(self.line().await?).unwrap();
            let mut words = line.split(' ');
            let (tag, verb) = (words.next().unwrap(), words.next().unwrap_or_default());
            match verb {
                "CAPABILITY" => {
                    let list = format!("* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN{able}\r\n{tag} OK done\r\n");
                    self.say(list).await?;
                }
                "SELECT" => {
                    let told = |destination: &mut Destination| {
                        (destination.validity, destination.next, destination.messages.len())
                    };
                    let (validity, next, count) = self.with(told);
                    let codes =
                        format!("* {count} EXISTS\r\n* OK [UIDVALIDITY {validity}] x\r\n* OK [UIDNEXT {next}] x\r\n");
                    self.say(format!("{codes}{tag} OK selected\r\n")).await?;
                }
                "APPEND" => self.append(tag, &line).await?,
                "UID" => self.fetch(tag, &line).await?,
                "LOGOUT" => return self.say(format!("* BYE over\r\n{tag} OK done\r\n")).await,
                _ => self.say(format!("{tag} OK done\r\n")).await?,
            }
        }
    }

    async fn append(&mut self, tag: &str, line: &str) -> Result<(), Over> {
        let length = line.rsplit_once('{').unwrap().1.trim_end_matches('}');
        if !length.ends_with('+') {
            self.say("+ go on\r\n").await?;
        }
        let bytes = self.octets(length.trim_end_matches('+').parse().unwrap()).await?;
        if !self.line().await?.is_empty() {
            return self.say(format!("{tag} BAD a literal of another length\r\n")).await;
        }
        let (uid, validity, able) = self.with(|destination| {
            let uid = destination.take(bytes);
            (uid, destination.validity, destination.able)
        });
        let count = self.with(|destination| destination.messages.len());
        let told = if able { format!("* {count} EXISTS\r\n") } else { String::new() };
        let code = if able { format!("[APPENDUID {validity} {uid}] ") } else { String::new() };
        self.say(format!("{told}{tag} OK {code}done\r\n")).await
    }

    /// `UID FETCH a:* (UID RFC822.SIZE)` and `UID FETCH a,b (UID BODY.PEEK[...])`.
    async fn fetch(&mut self, tag: &str, line: &str) -> Result<(), Over> {
        let set = line.split(' ').nth(3).unwrap();
        let messages = self.with(|destination| destination.messages.clone());
        let last = messages.last().map_or(0, |(uid, _)| *uid);
        let mut answer = Vec::new();
        for (number, (uid, bytes)) in (1..).zip(&messages) {
            if !names(set, *uid, last) {
                continue;
            }
            let header = bytes.windows(4).position(|end| end == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
            let part = if line.contains("[HEADER]") { &bytes[..header] } else { &bytes[..] };
            if line.contains("RFC822.SIZE") {
                answer.extend(format!("* {number} FETCH (UID {uid} RFC822.SIZE {})\r\n", bytes.len()).bytes());
            } else {
                answer.extend(format!("* {number} FETCH (UID {uid} BODY[x] {{{}}}\r\n", part.len()).bytes());
                answer.extend_from_slice(part);
                answer.extend_from_slice(b")\r\n");
            }
        }
        answer.extend(format!("{tag} OK done\r\n").bytes());
        self.say(answer).await
    }

    async fn lmtp(&mut self) -> Result<(), Over> {
        self.say("220 ready\r\n").await?;
        loop {
            let line = String::from_utf8(self.line().await?).unwrap();
            match line.split(' ').next().unwrap_or_default() {
                "LHLO" => self.say("250-here\r\n250-8BITMIME\r\n250 SIZE\r\n").await?,
                "DATA" => {
                    self.say("354 go on\r\n").await?;
                    let mut bytes = Vec::new();
                    loop {
                        let line = self.line().await?;
                        if line == b"." {
                            break;
                        }
                        bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                        bytes.extend_from_slice(b"\r\n");
                    }
                    self.with(|destination| destination.take(bytes));
                    self.say("250 taken\r\n").await?;
                }
                "QUIT" => return self.say("221 bye\r\n").await,
                _ => self.say("250 well\r\n").await?,
            }
        }
    }
}

/// Changes a destination of the world.
pub(crate) fn change<T>(posts: &Posts, account: &str, act: impl FnOnce(&mut Destination) -> T) -> T {
    let mut posts = open(posts);
    act(posts.get_mut(account).unwrap().destination.as_mut().unwrap())
}
