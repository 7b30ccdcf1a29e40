//! A small POP3 server (RFC 1939) with one account whose messages live in memory.
//!
//! It follows the RFC where a client can notice: one session at a time, stable unique-ids, stuffed dots, and
//! messages that go away only after DELE and a QUIT.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// The one account's name.
pub(crate) const USERNAME: &str = "ferry";
/// And its password, which guards nothing but sample messages.
pub(crate) const PASSWORD: &str = "not-a-secret";

/// RFC 1939, section 3: a server may log a silent client out after ten minutes, not sooner.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// The longest line of a client that is read. RFC 2449, section 4 gives a command 255 octets; the response to a
/// challenge may be longer.
const LINE_LIMIT: u64 = 4096;

/// What CAPA answers (RFC 2449, section 5).
const CAPABILITIES: &[u8] = b"USER\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nSASL PLAIN\r\n";

/// A running server. It serves until the program ends.
pub(crate) struct Server {
    /// Where it listens: a free port of 127.0.0.1.
    pub(crate) address: SocketAddr,
    /// What it serves.
    maildrop: Arc<Maildrop>,
}

impl Server {
    /// Listens, and serves these messages in this order.
    pub(crate) fn start(samples: &[Vec<u8>]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let maildrop = Arc::new(Maildrop::new(samples));
        let shared = Arc::clone(&maildrop);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let maildrop = Arc::clone(&shared);
                // A connection that breaks ends its own session and nothing else.
                thread::spawn(move || serve(&stream, &maildrop).ok());
            }
        });
        Ok(Self { address, maildrop })
    }

    /// How many RETR commands came in, over all sessions.
    pub(crate) fn retr_count(&self) -> usize {
        self.maildrop.retr_count.load(Ordering::Relaxed)
    }
}

/// The account's messages, shared by all sessions.
struct Maildrop {
    /// A session takes the messages out when it logs in and puts them back when it ends. `None` is therefore the
    /// exclusive lock of RFC 1939, section 4.
    messages: Mutex<Option<Vec<Message>>>,
    /// How many RETR commands came in.
    retr_count: AtomicUsize,
}

/// A message as it goes over the wire, before its dots are stuffed.
struct Message {
    /// Its name for ever (RFC 1939, section 7, UIDL).
    unique_id: String,
    /// Its lines, each ended by CRLF.
    content: Vec<u8>,
    /// Whether this session marked it as deleted.
    deleted: bool,
}

impl Maildrop {
    fn new(samples: &[Vec<u8>]) -> Self {
        let message = |(sample, number): (&Vec<u8>, u32)| Message {
            unique_id: format!("demo-{number:04}"),
            content: with_crlf(sample),
            deleted: false,
        };
        let messages = samples.iter().zip(1..).map(message).collect();
        Self { messages: Mutex::new(Some(messages)), retr_count: AtomicUsize::new(0) }
    }

    fn messages(&self) -> MutexGuard<'_, Option<Vec<Message>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Talks to one client until it quits or goes away.
fn serve(stream: &TcpStream, maildrop: &Maildrop) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_LIMIT))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = BufWriter::new(stream);
    let mut session = Session { maildrop, state: State::Authorization { user: None } };

    writer.write_all(&ok("mailferry's demo server is ready"))?;
    while !matches!(session.state, State::Ended) {
        // The answers to pipelined commands leave together: flush only when no further command is at hand.
        if !reader.buffer().contains(&b'\n') {
            writer.flush()?;
        }
        let mut line = Vec::new();
        reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            break; // the client is gone, or its line has no end
        }
        let line = String::from_utf8_lossy(&line);
        writer.write_all(&session.answer(line.trim_end_matches(['\r', '\n'])))?;
    }
    writer.flush()
}

/// One session: knows the rules, not the socket.
struct Session<'a> {
    /// What it is about.
    maildrop: &'a Maildrop,
    /// How far it has come.
    state: State,
}

/// The states of RFC 1939, section 3. UPDATE is over as soon as it is entered, so it has no place here.
enum State {
    /// Not logged in yet; USER may have come already.
    Authorization { user: Option<String> },
    /// AUTH PLAIN came without its initial response, which is now awaited (RFC 5034, section 4).
    Challenged,
    /// Logged in. The session owns the messages as long as this lasts.
    Transaction(Vec<Message>),
    /// QUIT was answered.
    Ended,
}

impl Session<'_> {
    /// Takes one line from the client, without its line end, and returns all of the answer.
    fn answer(&mut self, line: &str) -> Vec<u8> {
        if matches!(self.state, State::Challenged) {
            return self.auth_plain(line);
        }
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        match (command.to_ascii_uppercase().as_str(), &mut self.state) {
            ("CAPA", _) => multi_line("capabilities follow", CAPABILITIES),
            ("QUIT", _) => self.quit(),
            ("USER", State::Authorization { user }) => {
                *user = Some(argument.to_owned());
                ok("and the password?")
            }
            ("PASS", State::Authorization { user }) => match user.take() {
                Some(user) => self.log_in(&user, argument),
                None => err("USER comes first"),
            },
            ("AUTH", State::Authorization { .. }) => self.auth(argument),
            (command, State::Transaction(messages)) => {
                if command == "RETR" {
                    self.maildrop.retr_count.fetch_add(1, Ordering::Relaxed);
                }
                transaction(messages, command, argument)
            }
            _ => err("not known, or not before the login"),
        }
    }

    /// AUTH (RFC 5034, section 4), with or without an initial response.
    fn auth(&mut self, argument: &str) -> Vec<u8> {
        let (mechanism, initial_response) = argument.split_once(' ').unwrap_or((argument, ""));
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return err("only PLAIN is known here");
        }
        if initial_response.is_empty() {
            self.state = State::Challenged;
            return b"+ \r\n".to_vec();
        }
        self.auth_plain(initial_response)
    }

    /// The response of PLAIN (RFC 4616, section 2): authzid NUL authcid NUL password, in Base64.
    fn auth_plain(&mut self, response: &str) -> Vec<u8> {
        self.state = State::Authorization { user: None };
        let decoded = BASE64_STANDARD.decode(response).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = decoded else { return err("cancelled, or not Base64") };
        match text.split('\0').collect::<Vec<_>>().as_slice() {
            [authzid, user, password] if authzid.is_empty() || authzid == user => self.log_in(user, password),
            _ => err("not a response of PLAIN"),
        }
    }

    fn log_in(&mut self, user: &str, password: &str) -> Vec<u8> {
        if (user, password) != (USERNAME, PASSWORD) {
            return err("wrong user name or password");
        }
        let Some(messages) = self.maildrop.messages().take() else {
            return err("[IN-USE] another session has this maildrop"); // RFC 2449, section 8.1.2
        };
        self.state = State::Transaction(messages);
        ok("logged in")
    }

    /// Enters the UPDATE state (RFC 1939, section 6): only here are messages removed.
    fn quit(&mut self) -> Vec<u8> {
        if let State::Transaction(messages) = &mut self.state {
            messages.retain(|message| !message.deleted);
        }
        self.release();
        ok("goodbye")
    }

    /// Ends the session and lets the next one have the messages.
    fn release(&mut self) {
        if let State::Transaction(mut messages) = std::mem::replace(&mut self.state, State::Ended) {
            messages.iter_mut().for_each(|message| message.deleted = false);
            *self.maildrop.messages() = Some(messages);
        }
    }
}

impl Drop for Session<'_> {
    /// A session that ends without QUIT removes nothing (RFC 1939, section 6).
    fn drop(&mut self) {
        self.release();
    }
}

/// The commands of the TRANSACTION state (RFC 1939, sections 5 and 7).
fn transaction(messages: &mut [Message], command: &str, argument: &str) -> Vec<u8> {
    match command {
        "STAT" => {
            let left = messages.iter().filter(|message| !message.deleted);
            let (count, octets) = left.fold((0, 0), |(n, sum), message| (n + 1, sum + message.content.len()));
            ok(&format!("{count} {octets}"))
        }
        "LIST" => listing(messages, argument, |message| message.content.len().to_string()),
        "UIDL" => listing(messages, argument, |message| message.unique_id.clone()),
        "NOOP" => ok("still here"),
        "RSET" => {
            messages.iter_mut().for_each(|message| message.deleted = false);
            ok("nothing is marked as deleted")
        }
        "RETR" => match find(messages, argument) {
            Some(message) => multi_line("the message follows", &message.content),
            None => err("no such message"),
        },
        "DELE" => match find(messages, argument) {
            Some(message) => {
                message.deleted = true;
                ok("marked as deleted")
            }
            None => err("no such message"),
        },
        "TOP" => {
            let (number, lines) = argument.split_once(' ').unwrap_or((argument, ""));
            match (find(messages, number), lines.parse()) {
                (Some(message), Ok(lines)) => multi_line("the top follows", top(&message.content, lines)),
                _ => err("no such message, or no number of lines"),
            }
        }
        _ => err("not known, or not after the login"),
    }
}

/// The message of this number, unless it is marked as deleted. Numbers begin at 1.
fn find<'a>(messages: &'a mut [Message], number: &str) -> Option<&'a mut Message> {
    let index = number.parse::<usize>().ok()?.checked_sub(1)?;
    messages.get_mut(index).filter(|message| !message.deleted)
}

/// Answers LIST and UIDL, for one message or for all of them.
fn listing(messages: &mut [Message], argument: &str, tell: impl Fn(&Message) -> String) -> Vec<u8> {
    if !argument.is_empty() {
        return match find(messages, argument) {
            Some(message) => ok(&format!("{argument} {}", tell(message))),
            None => err("no such message"),
        };
    }
    let numbered = messages.iter().zip(1..).filter(|(message, _)| !message.deleted);
    let lines: String = numbered.map(|(message, number): (_, u32)| format!("{number} {}\r\n", tell(message))).collect();
    multi_line("the listing follows", lines.as_bytes())
}

fn ok(text: &str) -> Vec<u8> {
    format!("+OK {text}\r\n").into_bytes()
}

fn err(text: &str) -> Vec<u8> {
    format!("-ERR {text}\r\n").into_bytes()
}

/// A multi-line response (RFC 1939, section 3): a line that begins with a dot gets one more, and a lone dot ends it.
fn multi_line(text: &str, content: &[u8]) -> Vec<u8> {
    let mut response = ok(text);
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            response.push(b'.');
        }
        response.extend_from_slice(line);
    }
    response.extend_from_slice(b".\r\n");
    response
}

/// The header, the empty line after it, and at most `lines` lines of the body.
fn top(content: &[u8], lines: usize) -> &[u8] {
    let mut body_lines_left = None; // none while in the header
    let mut end = 0;
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        match body_lines_left {
            None if line == b"\r\n" => body_lines_left = Some(lines),
            None => {}
            Some(0) => break,
            Some(left) => body_lines_left = Some(left - 1),
        }
        end += line.len();
    }
    content.get(..end).unwrap_or(content)
}

/// Gives a sample the line ends of the wire: a bare LF becomes CRLF, a CRLF stays, the last line gets one if need be.
fn with_crlf(sample: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(sample.len() + sample.len() / 32);
    for &byte in sample {
        if byte == b'\n' && content.last() != Some(&b'\r') {
            content.push(b'\r');
        }
        content.push(byte);
    }
    if !content.is_empty() && !content.ends_with(b"\r\n") {
        content.extend_from_slice(b"\r\n");
    }
    content
}

#[cfg(test)]
mod tests;
