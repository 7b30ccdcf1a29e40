//! A session of the honest server.

use std::collections::BTreeSet;
use std::sync::Mutex;

use md5::{Digest, Md5};

use super::super::Wire;
use super::sasl::{End, Exchange};
use super::{Behaviour, Body, Contents, LINE, LINES_HEADER, Message, PASSWORD, USER, lock};

/// The state of a session.
pub(super) struct Conversation<'a> {
    /// The connection.
    wire: &'a mut Wire,
    /// The maildrop.
    contents: &'a Mutex<Contents>,
    /// The behaviour when the session began.
    behaviour: Behaviour,
    /// The messages at login, by number less one.
    listed: Vec<Message>,
    /// The name given with USER.
    user: Option<String>,
    /// Whether the client has logged in.
    logged_in: bool,
    /// Whether TLS is on.
    secure: bool,
    /// The indexes in `listed` that are marked as deleted.
    marked: BTreeSet<usize>,
    /// The indexes in `listed` that were retrieved.
    taken: BTreeSet<usize>,
}

impl<'a> Conversation<'a> {
    /// Plays the server from the greeting to the end.
    pub(super) fn begin(wire: &'a mut Wire, contents: &'a Mutex<Contents>) {
        let behaviour = {
            let mut contents = lock(contents);
            let faults = contents.behaviour.next_faults.take().unwrap_or_default();
            wire.faults = faults;
            wire.faults.chunk = wire.faults.chunk.or(contents.behaviour.chunk);
            contents.behaviour.clone()
        };
        let mut conversation = Self {
            wire,
            contents,
            behaviour,
            listed: Vec::new(),
            user: None,
            logged_in: false,
            secure: false,
            marked: BTreeSet::new(),
            taken: BTreeSet::new(),
        };
        let _ended = conversation.run();
    }

    /// Greets, then answers line by line; `None` when the connection is over.
    fn run(&mut self) -> Option<()> {
        if self.behaviour.implicit_tls {
            let config = self.behaviour.tls.clone()?;
            self.wire.start_tls(&config)?;
            self.secure = true;
        }
        let greeting = self.behaviour.greeting.clone();
        self.say(&greeting)?;
        loop {
            let line = self.wire.line()?;
            if self.behaviour.most_ahead.is_some_and(|most| self.wire.lines_ahead() > most) {
                self.wire.close();
                return None;
            }
            if self.behaviour.closes_at.as_ref().is_some_and(|start| line.starts_with(start)) {
                self.wire.close();
                return None;
            }
            if let Some(answer) = self.take_answer(&line) {
                if let Some(last) = answer.strip_suffix("<close>") {
                    self.wire.send(last.as_bytes())?;
                    self.wire.close();
                    return None;
                }
                self.wire.send(answer.as_bytes())?;
                continue;
            }
            let fixed = self
                .behaviour
                .answers
                .iter()
                .find(|(start, _)| line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)));
            if let Some((_, answer)) = fixed {
                let answer = answer.clone();
                self.wire.send(answer.as_bytes())?;
                // Whatever was sent, it counts as retrieved.
                let retrieved = line.strip_prefix("RETR ").filter(|_| answer.starts_with("+OK"));
                self.taken.extend(retrieved.and_then(|number| self.find(number)));
                continue;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            self.answer(&word.to_ascii_uppercase(), rest)?;
        }
    }

    /// Returns the answer to such a command that is given once.
    fn take_answer(&mut self, line: &str) -> Option<String> {
        let once = &mut lock(self.contents).behaviour.answers_once;
        let place = once.iter().position(|(start, _)| line.starts_with(start.as_str()))?;
        Some(once.remove(place).1)
    }

    /// Answers one command.
    fn answer(&mut self, word: &str, rest: &str) -> Option<()> {
        match word {
            "CAPA" => self.capa(),
            "QUIT" => self.quit(),
            "STLS" if !self.secure && !self.logged_in => self.stls(),
            "AUTH" if !self.logged_in => self.auth(rest),
            "USER" if !self.logged_in => {
                self.user = Some(rest.to_owned());
                self.say("+OK who else")
            }
            "PASS" if !self.logged_in => {
                let user = self.user.take();
                self.login(user.as_deref() == Some(USER) && rest == PASSWORD)
            }
            "APOP" if !self.logged_in => self.apop(rest),
            "UTF8" if self.announces("UTF8") => self.say("+OK"),
            _ if !self.logged_in => self.say("-ERR not now"),
            "NOOP" => self.say("+OK"),
            "RSET" => {
                self.marked.clear();
                self.say("+OK")
            }
            "STAT" if !self.taken.is_empty() && self.behaviour.stat_after_retr.is_some() => {
                let answer = self.behaviour.stat_after_retr.clone()?;
                self.say(&answer)
            }
            "STAT" => {
                let octets: u64 = self.unmarked().map(|(_, message)| reported(message)).sum();
                let count = self.unmarked().count();
                self.say(&format!("+OK {count} {octets}"))
            }
            "LIST" => self.listing(rest, |message| reported(message).to_string()),
            "UIDL" if self.behaviour.uidl => self.listing(rest, |message| message.uid.clone()),
            "RETR" => self.retr(rest),
            "TOP" if self.behaviour.top => self.top(rest),
            "DELE" => self.dele(rest),
            _ => self.say("-ERR unknown command"),
        }
    }

    /// Sends a line.
    fn say(&mut self, line: &str) -> Option<()> {
        self.wire.send(format!("{line}\r\n").as_bytes())
    }

    /// Whether CAPA lists this word.
    fn announces(&self, capability: &str) -> bool {
        self.behaviour.capabilities.iter().flatten().any(|known| known == capability)
    }

    /// The capability list (RFC 2449).
    fn capa(&mut self) -> Option<()> {
        let Some(mut list) = self.behaviour.capabilities.clone() else { return self.say("-ERR unknown command") };
        let known = [
            ("PIPELINING", self.behaviour.pipelining),
            ("UIDL", self.behaviour.uidl),
            ("TOP", self.behaviour.top),
            ("STLS", self.behaviour.tls.is_some() && !self.secure),
            ("EXPIRE 0", self.behaviour.expire_0),
        ];
        list.extend(known.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned()));
        self.wire.send(format!("+OK\r\n{}\r\n.\r\n", list.join("\r\n")).as_bytes())
    }

    /// STLS (RFC 2595).
    fn stls(&mut self) -> Option<()> {
        let Some(config) = self.behaviour.tls.clone() else { return self.say("-ERR unknown command") };
        let mut answer = b"+OK begin TLS\r\n".to_vec();
        answer.extend_from_slice(&self.behaviour.injected);
        self.wire.send(&answer)?;
        self.wire.start_tls(&config)?;
        self.secure = true;
        Some(())
    }

    /// AUTH, with and without an initial response (RFC 5034). PLAIN is known whether it is offered or not.
    fn auth(&mut self, rest: &str) -> Option<()> {
        let (mechanism, initial) = rest.split_once(' ').map_or((rest, None), |(name, initial)| (name, Some(initial)));
        let mechanism = mechanism.to_ascii_uppercase();
        let lines = self.behaviour.capabilities.iter().flatten();
        let offered: Vec<String> = lines
            .filter_map(|line| line.strip_prefix("SASL "))
            .flat_map(|names| names.split(' ').map(str::to_owned))
            .collect();
        if mechanism != "PLAIN" && !offered.contains(&mechanism) {
            return self.say("-ERR unknown mechanism");
        }
        let port = self.wire.port();
        let (fault, certificate) = (self.behaviour.scram_fault, self.behaviour.certificate.as_deref());
        let exchange = Exchange { wire: self.wire, port, offered: &offered, fault, certificate };
        match exchange.play(&mechanism, initial)? {
            End::Judged(right) => self.login(right),
            End::Cancelled => self.say("-ERR cancelled as you wish"),
            End::Unknown => self.say("-ERR unknown mechanism"),
        }
    }

    /// APOP (RFC 1939, section 7), if the greeting has a timestamp.
    fn apop(&mut self, rest: &str) -> Option<()> {
        let greeting = &self.behaviour.greeting;
        let Some(timestamp) = greeting.split_once('<').map(|(_, rest)| format!("<{rest}")) else {
            return self.say("-ERR unknown command");
        };
        let digest = Md5::digest(format!("{timestamp}{PASSWORD}"));
        let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        self.login(rest == format!("{USER} {digest}"))
    }

    /// The end of a login: the listing is made now.
    fn login(&mut self, right: bool) -> Option<()> {
        if !right {
            return self.say("-ERR [AUTH] wrong user name or password");
        }
        if let Some(answer) = self.behaviour.login_answer.clone() {
            return self.say(&answer);
        }
        let logins = lock(self.contents).behaviour.logins;
        if logins == Some(0) && self.behaviour.closes_instead {
            return None;
        }
        if logins == Some(0) {
            return self.say("-ERR [LOGIN-DELAY] too soon after the last login");
        }
        lock(self.contents).behaviour.logins = logins.map(|left| left - 1);
        if self.behaviour.new_names {
            lock(self.contents).messages.iter_mut().for_each(|message| message.uid.push('x'));
        }
        if self.behaviour.counts {
            let (less, digits) = self.behaviour.counted;
            let count = |(n, message): (u32, &mut Message)| message.uid = format!("{:0digits$}", n - less);
            (1..).zip(&mut lock(self.contents).messages).for_each(count);
        }
        let window = self.behaviour.window;
        let visible = |message: &&Message| window.is_none() || !message.popped;
        let mut contents = lock(self.contents);
        let remembers = contents.behaviour.remembers;
        contents.behaviour.remembers = remembers.map(|left| left.saturating_sub(1));
        let most = if remembers == Some(0) { 0 } else { window.unwrap_or(usize::MAX) };
        self.listed = contents.messages.iter().filter(visible).take(most).cloned().collect();
        drop(contents);
        self.logged_in = true;
        self.say("+OK welcome")
    }

    /// Returns the messages that are not marked, with their numbers.
    fn unmarked(&self) -> impl Iterator<Item = (usize, &Message)> {
        let marked = |place: &usize| self.marked.contains(place);
        self.listed.iter().enumerate().filter(move |(place, _)| !marked(place)).map(|(place, m)| (place + 1, m))
    }

    /// LIST and UIDL, for one message or all.
    fn listing(&mut self, rest: &str, column: impl Fn(&Message) -> String) -> Option<()> {
        if !rest.is_empty() {
            return match self.find(rest) {
                Some(place) => {
                    let line = format!("+OK {} {}", place + 1, column(&self.listed[place]));
                    self.say(&line)
                }
                None => self.say("-ERR no such message"),
            };
        }
        let mut answer = "+OK\r\n".to_owned();
        for (number, message) in self.unmarked() {
            answer.push_str(&format!("{number} {}\r\n", column(message)));
        }
        answer.push_str(".\r\n");
        self.wire.send(answer.as_bytes())
    }

    /// Returns the index of a message that exists and is not marked.
    fn find(&self, number: &str) -> Option<usize> {
        let place = number.trim().parse::<usize>().ok()?.checked_sub(1)?;
        if self.behaviour.moves_up {
            return (0..self.listed.len()).filter(|place| !self.marked.contains(place)).nth(place);
        }
        (place < self.listed.len() && !self.marked.contains(&place)).then_some(place)
    }

    /// RETR: the message, byte-stuffed.
    fn retr(&mut self, rest: &str) -> Option<()> {
        let Some(place) = self.find(rest) else { return self.say("-ERR no such message") };
        let message = self.listed[place].clone();
        if message.refusal.as_deref() == Some("<close>") {
            self.wire.close();
            return None;
        }
        if let Some(refusal) = &message.refusal {
            return self.say(refusal);
        }
        match &message.body {
            Body::Bytes(bytes) => {
                let mut answer = b"+OK\r\n".to_vec();
                answer.extend_from_slice(&stuffed(bytes));
                answer.extend_from_slice(b".\r\n");
                self.wire.send(&answer)?;
            }
            Body::Lines(count) => {
                self.wire.send(b"+OK\r\n")?;
                self.wire.send(LINES_HEADER.as_bytes())?;
                let many = LINE.repeat(1000);
                for _ in 0..count / 1000 {
                    self.wire.send(many.as_bytes())?;
                }
                self.wire.send(LINE.repeat(usize::try_from(count % 1000).unwrap_or_default()).as_bytes())?;
                self.wire.send(b".\r\n")?;
            }
        }
        self.taken.insert(place);
        *lock(self.contents).retrieved.entry(message.uid).or_default() += 1;
        if self.taken.len() == self.listed.len()
            && let Some(new) = self.behaviour.exchange.take()
        {
            self.listed.remove(0);
            self.listed.push(new);
            let mut contents = lock(self.contents);
            contents.messages = self.listed.clone();
            contents.behaviour.exchange = None;
        }
        Some(())
    }

    /// TOP: the header, the empty line, and this many lines of the body.
    fn top(&mut self, rest: &str) -> Option<()> {
        let (number, lines) = rest.split_once(' ').unwrap_or((rest, "0"));
        let Some(place) = self.find(number) else { return self.say("-ERR no such message") };
        let lines: usize = lines.trim().parse().unwrap_or_default();
        let bytes = match &self.listed[place].body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Lines(_) => LINES_HEADER.as_bytes().to_vec(),
        };
        let mut answer = b"+OK\r\n".to_vec();
        answer.extend_from_slice(&stuffed(&top_of(&bytes, lines)));
        answer.extend_from_slice(b".\r\n");
        self.wire.send(&answer)
    }

    /// DELE: only sets a mark.
    fn dele(&mut self, rest: &str) -> Option<()> {
        let Some(place) = self.find(rest) else { return self.say("-ERR no such message") };
        self.marked.insert(place);
        self.say("+OK marked")
    }

    /// QUIT: the UPDATE state. Marked messages are deleted before the answer is sent; with EXPIRE 0 those retrieved,
    /// too.
    fn quit(&mut self) -> Option<()> {
        if self.behaviour.expire_0 {
            self.marked.extend(&self.taken);
        }
        let mut contents = lock(self.contents);
        for place in &self.marked {
            let gone = &self.listed[*place];
            let found = contents.messages.iter().position(|message| same(message, gone));
            if let Some(index) = found {
                contents.messages.remove(index);
            }
        }
        for place in &self.taken {
            let taken = &self.listed[*place];
            contents.messages.iter_mut().filter(|message| same(message, taken)).for_each(|m| m.popped = true);
        }
        drop(contents);
        self.wire.note(|entry| entry.quit = true);
        self.say("+OK bye")?;
        self.wire.close();
        None
    }
}

/// Whether two are the same message; the unique-id alone is not enough, as it may be repeated.
fn same(a: &Message, b: &Message) -> bool {
    let bodies = match (&a.body, &b.body) {
        (Body::Bytes(a), Body::Bytes(b)) => a == b,
        (Body::Lines(a), Body::Lines(b)) => a == b,
        _ => false,
    };
    a.uid == b.uid && bodies
}

/// The size that LIST reports.
fn reported(message: &Message) -> u64 {
    message.reported_size.unwrap_or_else(|| message.size())
}

/// Returns bytes dot-stuffed, and terminated by CRLF (RFC 1939, section 3).
pub(crate) fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut at_start = true;
    let mut last = 0;
    for &byte in bytes {
        if at_start && byte == b'.' {
            out.push(b'.');
        }
        out.push(byte);
        at_start = byte == b'\n' && last == b'\r';
        last = byte;
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Returns the header with its empty line, and the first `lines` lines of the body.
fn top_of(bytes: &[u8], lines: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body_lines = None;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        match body_lines {
            Some(count) if count >= lines => break,
            Some(count) => body_lines = Some(count + 1),
            None if line == b"\r\n" || line == b"\n" => body_lines = Some(0),
            None => {}
        }
        out.extend_from_slice(line);
    }
    out
}
