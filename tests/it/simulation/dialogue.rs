//! What a server in memory says (RFC 1939, RFC 2449).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::clock::SimClock;
use super::disk::{Machine, Shared, look};
use super::server::{Manner, Message, Post, Posts, open};

/// Where all mail is.
pub(crate) const MAIL: &str = "/mail";

/// What a server does next.
pub(super) enum Next {
    /// It says this.
    Answer(Vec<u8>),
    /// It says this and hangs up.
    LastAnswer(Vec<u8>),
    /// It hangs up.
    Cut,
}

/// A session as the server has it.
pub(super) struct Dialogue {
    posts: Posts,
    machine: Shared,
    clock: SimClock,
    account: String,
    manner: Manner,
    /// The messages by number less one.
    listed: Vec<Message>,
    marked: BTreeSet<usize>,
    retrieved: BTreeSet<usize>,
}

impl Dialogue {
    pub(super) fn new(posts: &Posts, machine: &Shared, clock: &SimClock, account: &str) -> Self {
        let (manner, listed) = {
            let posts = open(posts);
            let post = &posts[account];
            (post.manner, post.messages.clone())
        };
        Self {
            posts: Arc::clone(posts),
            machine: Arc::clone(machine),
            clock: clock.clone(),
            account: account.to_owned(),
            manner,
            listed,
            marked: BTreeSet::new(),
            retrieved: BTreeSet::new(),
        }
    }

    fn post<T>(&self, act: impl FnOnce(&mut Post) -> T) -> T {
        act(open(&self.posts).get_mut(&self.account).unwrap())
    }

    /// The part of an answer that leaves, and whether the connection is cut behind it.
    pub(super) fn allowed<'a>(&self, answer: &'a [u8]) -> (&'a [u8], bool) {
        self.post(|post| {
            let (part, cut) = match post.cut_after {
                Some(left) if left <= answer.len() => {
                    post.cut_after = None;
                    (&answer[..left], true)
                }
                Some(left) => {
                    post.cut_after = Some(left - answer.len());
                    (answer, false)
                }
                None => (answer, false),
            };
            post.sent += part.len();
            (part, cut)
        })
    }

    /// Takes the whole lines out of the input and answers them.
    pub(super) fn hear(&mut self, input: &mut Vec<u8>) -> Next {
        let mut answer = Vec::new();
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let mut words = line.split_whitespace();
            let (command, rest) = (words.next().unwrap_or(""), words.next());
            if command == "QUIT" {
                if self.post(|post| std::mem::take(&mut post.loses_quit)) {
                    return Next::Cut;
                }
                self.quit();
                answer.extend_from_slice(b"+OK bye\r\n");
                return Next::LastAnswer(answer);
            }
            self.answer(command, rest, &mut answer);
        }
        Next::Answer(answer)
    }

    fn answer(&mut self, command: &str, rest: Option<&str>, out: &mut Vec<u8>) {
        let place = rest.and_then(|number| number.parse::<usize>().ok()).and_then(|number| number.checked_sub(1));
        let message = place.and_then(|place| self.listed.get(place)).filter(|_| !self.marked.contains(&place.unwrap()));
        match (command, place, message) {
            ("CAPA", ..) => self.capa(out),
            ("USER" | "PASS", ..) => say(out, "+OK"),
            ("STAT", ..) => {
                let octets: usize = self.listed.iter().map(|message| message.bytes.len()).sum();
                say(out, &format!("+OK {} {octets}", self.listed.len()));
            }
            ("LIST", None, _) => self.list(out, |message| message.bytes.len().to_string()),
            ("UIDL", None, _) if self.manner.uidl => self.list(out, |message| message.uid.clone()),
            ("TOP", _, Some(message)) if self.manner.top => {
                let header = message.bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
                send(out, &message.bytes[..header]);
            }
            ("RETR", Some(place), Some(message)) => {
                send(out, &message.bytes);
                self.retrieved.insert(place);
                self.post(|post| post.retrieved += 1);
            }
            ("DELE", Some(place), Some(_)) => {
                self.marked.insert(place);
                self.post(|post| post.deleted += 1);
                say(out, "+OK");
            }
            _ => say(out, "-ERR"),
        }
    }

    fn capa(&self, out: &mut Vec<u8>) {
        let Manner { pipelining, uidl, top, takes_retrieved } = self.manner;
        say(out, "+OK");
        say(out, "USER");
        let lines = [(pipelining, "PIPELINING"), (uidl, "UIDL"), (top, "TOP"), (takes_retrieved, "EXPIRE 0")];
        lines.iter().filter(|(can, _)| *can).for_each(|(_, line)| say(out, line));
        say(out, ".");
    }

    fn list(&self, out: &mut Vec<u8>, column: impl Fn(&Message) -> String) {
        say(out, "+OK");
        for (place, message) in self.listed.iter().enumerate() {
            say(out, &format!("{} {}", place + 1, column(message)));
        }
        say(out, ".");
    }

    /// The UPDATE state. Whatever the client retrieved or marked must be safe by now.
    fn quit(&self) {
        let now = self.clock.time().passed;
        let taken = if self.manner.takes_retrieved { self.retrieved.clone() } else { BTreeSet::new() };
        let machine = look(&self.machine);
        self.post(|post| {
            post.quits += 1;
            for place in self.retrieved.union(&self.marked) {
                let message = &self.listed[*place];
                if !is_safe(&machine, &stored(&message.bytes)) {
                    post.broken_promises.push(format!("QUIT while {} is not safe", message.uid));
                }
            }
            if !machine.storage.syncable && !self.marked.is_empty() {
                post.broken_promises.push("DELE though nothing can be made durable".to_owned());
            }
            for place in self.marked.union(&taken) {
                let message = &self.listed[*place];
                post.messages.retain(|other| other.uid != message.uid);
                post.removed.push((message.uid.clone(), now));
            }
        });
    }
}

/// Whether these bytes are in a Maildir, or where a mail reader put them, and would be there after a power cut.
fn is_safe(machine: &Machine, bytes: &[u8]) -> bool {
    let storage = &machine.storage;
    let below = Path::new(MAIL);
    let files = if storage.syncable { storage.surviving(below) } else { storage.visible(below) };
    files.iter().any(|(path, contents)| !path.contains("/tmp/") && *contents == bytes)
}

/// A message as it is stored.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n").into_bytes()
}

fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A message, byte-stuffed; it ends with CRLF.
fn send(out: &mut Vec<u8>, bytes: &[u8]) {
    say(out, "+OK");
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    say(out, ".");
}
