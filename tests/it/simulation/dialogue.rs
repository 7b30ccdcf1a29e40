//! The responses of a POP3 server in memory (RFC 1939, RFC 2449).

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::clock::SimClock;
use super::disk::{Machine, Shared, look};
use super::server::{Lacking, Line, Manner, Message, Mishaps, Post, Posts, Removal, Shown, UniqueIds, open};
use super::sizes::{Lag, Note, fits, header, told};
use super::world::STATE;

/// The directory of all mail.
pub(crate) const MAIL: &str = "/mail";

/// What a server does next.
pub(super) enum Next {
    /// It sends this.
    Answer(Vec<u8>),
    /// It sends this and closes the connection.
    LastAnswer(Vec<u8>),
    /// It closes the connection.
    Cut,
}

/// A session from the server's point of view.
pub(super) struct Dialogue {
    posts: Posts,
    machine: Shared,
    clock: SimClock,
    account: String,
    manner: Manner,
    /// The messages by number less one, with the unique-ids of this session.
    listed: Vec<Message>,
    /// The faults.
    mishaps: Mishaps,
    marked: BTreeSet<usize>,
    retrieved: BTreeSet<usize>,
    /// Messages in whose place notes were sent.
    noted: BTreeSet<usize>,
}

impl Dialogue {
    pub(super) fn new(posts: &Posts, machine: &Shared, clock: &SimClock, account: &str) -> Self {
        let (manner, listed, mishaps) = {
            let mut posts = open(posts);
            let post = posts.get_mut(account).unwrap();
            let listed = messages(post);
            post.sessions.push(shown(post, &listed));
            (post.manner, listed, std::mem::take(&mut post.next_session))
        };
        Self {
            posts: Arc::clone(posts),
            machine: Arc::clone(machine),
            clock: clock.clone(),
            account: account.to_owned(),
            manner,
            listed,
            mishaps,
            marked: BTreeSet::new(),
            retrieved: BTreeSet::new(),
            noted: BTreeSet::new(),
        }
    }

    fn post<T>(&self, act: impl FnOnce(&mut Post) -> T) -> T {
        act(open(&self.posts).get_mut(&self.account).unwrap())
    }

    /// Returns the part of an answer that is sent, and whether the connection is cut after it.
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

    /// Takes complete lines from the input and answers them.
    pub(super) fn on_input(&mut self, input: &mut Vec<u8>) -> Next {
        let mut answer = Vec::new();
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let mut words = line.split_whitespace();
            let (command, rest) = (words.next().unwrap_or(""), words.next());
            if command == "QUIT" {
                self.shown(|shown| shown.answered |= shown.listed);
                if self.post(|post| std::mem::take(&mut post.loses_quit)) {
                    return Next::Cut;
                }
                self.quit();
                if self.mishaps.loses_goodbye {
                    return Next::Cut;
                }
                answer.extend_from_slice(b"+OK bye\r\n");
                return Next::LastAnswer(answer);
            }
            self.answer(command, rest, &mut answer);
        }
        Next::Answer(answer)
    }

    fn shown<T>(&self, act: impl FnOnce(&mut Shown) -> T) -> T {
        self.post(|post| act(post.sessions.last_mut().unwrap()))
    }

    /// The size when it is requested for a single message.
    fn size(&self, place: usize) -> Option<usize> {
        self.shown(|shown| {
            shown.sizes.insert(place);
            shown.lines[place].octets
        })
    }

    fn answer(&mut self, command: &str, rest: Option<&str>, out: &mut Vec<u8>) {
        if matches!((command, rest), ("RETR" | "TOP" | "DELE", _) | ("LIST", Some(_))) {
            self.shown(|shown| shown.answered |= shown.listed);
        }
        let place = rest.and_then(|number| number.parse::<usize>().ok()).and_then(|number| number.checked_sub(1));
        let message = place.and_then(|place| self.listed.get(place)).filter(|_| !self.marked.contains(&place.unwrap()));
        match (command, place, message) {
            ("CAPA", ..) => self.capa(out),
            ("USER" | "PASS", ..) => say(out, "+OK"),
            ("STAT", ..) => {
                let told = self.shown(|shown| shown.lines.iter().map(|line| line.octets).collect::<Vec<_>>());
                let sizes = self.listed.iter().zip(told).map(|(message, told)| told.unwrap_or(message.bytes.len()));
                let octets: usize = sizes.sum();
                say(out, &format!("+OK {} {octets}", self.listed.len()));
            }
            ("LIST", None, _) => {
                self.list(out, |line| Some(line.octets?.to_string()));
                self.shown(|shown| {
                    (shown.listed, shown.answered) = (true, true);
                    shown.sizes.extend(0..shown.lines.len());
                });
            }
            ("LIST", Some(place), Some(_)) => match self.size(place) {
                Some(octets) => say(out, &format!("+OK {} {octets}", place + 1)),
                None => say(out, "-ERR"),
            },
            ("UIDL", None, _) if self.manner.uidl => {
                self.list(out, |line| line.unique_id.clone());
                self.shown(|shown| shown.listed = true);
            }
            ("TOP", ..) if self.manner.refuses_top || self.mishaps.refuses_top => say(out, "-ERR"),
            ("TOP", Some(place), Some(message)) if self.manner.top => {
                let note = self.note(place, message).filter(|(note, _)| note.in_top);
                send(out, header(note.as_ref().map_or(&message.bytes, |(_, bytes)| bytes)), self.manner);
            }
            ("RETR", _, Some(message)) if self.mishaps.refuses_retr.contains(&message.id) => say(out, "-ERR"),
            ("RETR", Some(place), Some(message)) => {
                let message = message.clone();
                self.retrieve(place, &message, out);
            }
            ("DELE", ..) if self.mishaps.refuses_dele => say(out, "-ERR"),
            ("DELE", Some(place), Some(_)) => {
                self.marked.insert(place);
                self.post(|post| post.deleted += 1);
                say(out, "+OK");
            }
            _ => say(out, "-ERR"),
        }
    }

    /// Returns what is sent in place of a message.
    fn note(&self, place: usize, message: &Message) -> Option<(Note, Vec<u8>)> {
        let note = self.post(|post| post.notes.get(&message.id).copied()).filter(|note| note.times > 0)?;
        // Without a size nothing would distinguish it from the message.
        let listed = self.post(|post| post.sessions.last().unwrap().lines[place].octets)?;
        Some((note, note.bytes(message, listed)))
    }

    fn retrieve(&mut self, place: usize, message: &Message, out: &mut Vec<u8>) {
        let note = self.note(place, message);
        let bytes = note.as_ref().map_or(&*message.bytes, |(_, bytes)| bytes);
        send(out, bytes, self.manner);
        self.retrieved.insert(place);
        self.post(|post| {
            post.retrieved += 1;
            if post.sessions.last().unwrap().lines[place].octets.is_some_and(|listed| !fits(listed, bytes)) {
                *post.misfits.entry(message.id.clone()).or_default() += 1;
            }
        });
        if let Some((_, bytes)) = note {
            self.noted.insert(place);
            self.post(|post| {
                post.notes.get_mut(&message.id).unwrap().times -= 1;
                post.sent_notes.push((message.id.clone(), bytes));
            });
        }
    }

    fn capa(&self, out: &mut Vec<u8>) {
        let Manner { pipelining, uidl, top, takes_retrieved, .. } = self.manner;
        say(out, "+OK");
        say(out, "USER");
        let lines = [(pipelining, "PIPELINING"), (uidl, "UIDL"), (top, "TOP"), (takes_retrieved, "EXPIRE 0")];
        lines.iter().filter(|(can, _)| *can).for_each(|(_, line)| say(out, line));
        say(out, ".");
    }

    fn list(&self, out: &mut Vec<u8>, column: impl Fn(&Line) -> Option<String>) {
        let lines = self.post(|post| post.sessions.last().unwrap().lines.clone());
        say(out, "+OK");
        for (place, line) in lines.iter().enumerate() {
            if let Some(column) = column(line) {
                say(out, &format!("{} {column}", place + 1));
            }
        }
        say(out, ".");
    }

    /// The UPDATE state. Everything that the client has retrieved or marked must be safe by now.
    fn quit(&self) {
        let now = self.clock.time().passed;
        let taken = if self.manner.takes_retrieved { self.retrieved.clone() } else { BTreeSet::new() };
        let machine = look(&self.machine);
        let idle = self.retrieved.is_empty() && self.marked.is_empty();
        let safe = if idle { HashSet::new() } else { safe(&machine) };
        self.post(|post| {
            post.quits += 1;
            for place in self.retrieved.union(&self.marked) {
                if !self.is_safe(*place, post, &safe, taken.contains(place)) {
                    post.broken_promises.push(format!("QUIT while {} is not safe", self.listed[*place].id));
                }
            }
            if !machine.storage.syncable && !self.marked.is_empty() {
                post.broken_promises.push("DELE though nothing can be made durable".to_owned());
            }
            for place in self.marked.union(&taken) {
                let id = self.listed[*place].id.clone();
                post.messages.retain(|other| other.id != id);
                post.removed.push(Removal { id, at: now, marked: self.marked.contains(place) });
            }
        });
    }

    /// Whether what was retrieved or marked may be deleted.
    fn is_safe(&self, place: usize, post: &mut Post, safe: &HashSet<&[u8]>, is_taken: bool) -> bool {
        let message = &self.listed[place];
        let is_marked = self.marked.contains(&place);
        // The message itself was never sent: it must not have been marked.
        if self.noted.contains(&place) && !is_marked {
            return true;
        }
        let line = &post.sessions.last().unwrap().lines[place];
        // What is listed as the whole must be stored as the whole.
        let promised = message.after.as_ref().filter(|_| is_marked && line.is_stale && post.lag == Some(Lag::Ahead));
        if promised.is_some_and(|whole| !fits(whole.len(), &message.bytes)) {
            return false;
        }
        let arrived = post.destination.as_ref().map(|destination| destination.has(&message.bytes));
        let is_safe = match received(&message.bytes, self.manner) {
            // What is forwarded may be deleted only once it has arrived.
            Received::Whole(_) if is_marked && arrived == Some(false) => false,
            Received::Whole(_) if arrived == Some(true) => true,
            Received::Whole(bytes) => safe.contains(bytes.as_slice()),
            // Nobody can retrieve it whole: it may be neither marked nor taken away after it was retrieved.
            Received::Part(_) => !is_marked && !is_taken,
        };
        if is_safe || !line.is_stale || self.retrieved.contains(&place) {
            return is_safe;
        }
        // Its size and header are those of what was stored and had its place before.
        let is_shown = message
            .before
            .as_ref()
            .is_some_and(|before| header(before) == header(&message.bytes) && safe.contains(stored(before).as_slice()));
        post.beyond_evidence += usize::from(is_shown);
        is_shown
    }
}

/// Returns the messages of a session, with its unique-ids.
fn messages(post: &Post) -> Vec<Message> {
    let (lacking, lacks) = &post.lacking;
    let is_there = |message: &&Message| *lacking != Some(Lacking::Everywhere) || !lacks.contains(&message.id);
    let mut listed: Vec<Message> = post.messages.iter().filter(is_there).cloned().collect();
    for (place, message) in listed.iter_mut().enumerate() {
        match post.manner.unique_ids {
            UniqueIds::Lasting => {}
            UniqueIds::Counting => message.unique_id = format!("{}", place + 1),
            UniqueIds::PerSession => message.unique_id = format!("{}-{}", post.sessions.len(), place + 1),
        }
    }
    listed
}

/// Returns what the listings of a session show about these messages.
fn shown(post: &Post, listed: &[Message]) -> Shown {
    let (lacking, lacks) = &post.lacking;
    let line = |message: &Message| {
        let lacking = lacking.filter(|_| lacks.contains(&message.id));
        let unique_id = post.manner.uidl && lacking != Some(Lacking::Uidl);
        let octets = lacking != Some(Lacking::List);
        let (told, is_stale) = told(message, post.manner, post.lag);
        Line {
            id: message.id.clone(),
            unique_id: unique_id.then(|| message.unique_id.clone()),
            octets: octets.then_some(told),
            lacks_size: !octets,
            is_stale,
        }
    };
    let refuses_top = post.next_session.refuses_top;
    Shown { lines: listed.iter().map(line).collect(), refuses_top, ..Shown::default() }
}

/// Returns the bytes of all files in a Maildir or a spool, or where a mail reader put them, that would survive a power
/// cut.
fn safe(machine: &Machine) -> HashSet<&[u8]> {
    let storage = &machine.storage;
    let below = |dir| if storage.syncable { storage.surviving(dir) } else { storage.visible(dir) };
    let spooled = below(Path::new(STATE)).into_iter().filter(|(path, _)| path.contains(".spool/"));
    let files = below(Path::new(MAIL)).into_iter().chain(spooled);
    files.filter(|(path, _)| !path.contains("/tmp/")).map(|(_, contents)| contents).collect()
}

/// Returns a message as it is stored.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8(bytes.to_vec()).unwrap().replace("\r\n", "\n").into_bytes()
}

fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a message, dot-stuffed if the server does that, terminated by CRLF.
fn send(out: &mut Vec<u8>, bytes: &[u8], manner: Manner) {
    say(out, "+OK");
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if manner.stuffs_dots && line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    say(out, ".");
}

/// What a client that follows RFC 1939 makes of a message, as it is stored.
pub(crate) enum Received {
    /// All that can be retrieved.
    Whole(Vec<u8>),
    /// A part: a line of the message looks like its end.
    Part(Vec<u8>),
}

/// Returns what becomes of a message in transit.
pub(crate) fn received(bytes: &[u8], manner: Manner) -> Received {
    if manner.stuffs_dots {
        return Received::Whole(stored(bytes));
    }
    let mut seen = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line == b".\r\n" {
            return Received::Part(stored(&seen));
        }
        seen.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    Received::Whole(stored(&seen))
}
