//! An LMTP server (RFC 2033) with one recipient, on a Unix socket, with faults on demand.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::listening::Listening;

/// A fault in the handling of a message.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is accepted, and the connection is cut before the answer.
    LoseAnswer,
    /// The connection is cut after this many lines of the message.
    Cut(usize),
    /// The answer after the final dot.
    Refuse(&'static str),
    /// It is accepted, with this answer.
    TakeAndSay(&'static str),
    /// The recipient is refused, with this answer.
    RefuseRecipient(&'static str),
}

/// What happens after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AndThen {
    GoesOn,
    Closes,
}

/// What was received, and the behaviour of the server.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The messages, unstuffed, in order of arrival.
    pub(crate) messages: Vec<Vec<u8>>,
    /// What happens to the next ones.
    pub(crate) faults: VecDeque<Fault>,
    /// Every command received.
    pub(crate) commands: Vec<String>,
    /// It cuts the connection at a message that contains these bytes.
    pub(crate) poison: Option<&'static [u8]>,
    /// It gives this answer to a message that contains these bytes, and may then close the connection.
    pub(crate) refuses: Option<(&'static [u8], &'static str, AndThen)>,
    /// It stops answering at a message that contains these bytes.
    pub(crate) hangs: Option<&'static [u8]>,
    /// The answer to the first DATA of each connection.
    pub(crate) first_data: Option<&'static str>,
    /// The greeting.
    pub(crate) greeting: &'static str,
    /// The maximum size that it announces.
    pub(crate) largest: u64,
}

/// A listening server; ends when dropped.
pub(crate) struct LmtpServer {
    mailbox: Arc<Mutex<Mailbox>>,
    _listening: Listening,
}

impl LmtpServer {
    /// Listens at this path.
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (messages, faults, commands) = (Vec::new(), VecDeque::new(), Vec::new());
        let (poison, refuses, hangs, first_data) = (None, None, None, None);
        let (greeting, largest) = ("220 ready", 1_000_000);
        let empty = Mailbox { messages, faults, commands, poison, refuses, hangs, first_data, greeting, largest };
        let mailbox = Arc::new(Mutex::new(empty));
        let (theirs, path) = (Arc::clone(&mailbox), path.to_owned());
        let serve = move |stream: UnixStream| {
            drop(stream.set_read_timeout(Some(Duration::from_secs(30))));
            let _ = converse(BufReader::new(stream), &theirs);
        };
        let accept = move || listener.accept().map(|(stream, _)| stream);
        let listening = Listening::start(accept, serve, move || drop(UnixStream::connect(&path)));
        Self { mailbox, _listening: listening }
    }

    /// Reads or changes the state.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Mailbox) -> T) -> T {
        look(&mut lock(&self.mailbox))
    }

    /// Sets what happens to the next messages.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.with(|mailbox| mailbox.faults = faults.iter().cloned().collect());
    }

    /// Returns the messages received, sorted.
    pub(crate) fn mail(&self) -> Vec<Vec<u8>> {
        let mut all = self.with(|mailbox| mailbox.messages.clone());
        all.sort();
        all
    }
}

fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn over() -> std::io::Error {
    std::io::ErrorKind::ConnectionAborted.into()
}

fn converse(mut stream: BufReader<UnixStream>, mailbox: &Mutex<Mailbox>) -> std::io::Result<()> {
    let greeting = lock(mailbox).greeting;
    stream.get_mut().write_all(format!("{greeting}\r\n").as_bytes())?;
    let mut fault = Fault::None;
    let mut first_data = lock(mailbox).first_data;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        lock(mailbox).commands.push(command.clone());
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "LHLO" => &format!("250-here\r\n250-PIPELINING\r\n250-SIZE {}\r\n250 8BITMIME", lock(mailbox).largest),
            "MAIL" => {
                fault = lock(mailbox).faults.pop_front().unwrap_or(Fault::None);
                "250 2.1.0 ok"
            }
            "RCPT" => match fault {
                Fault::RefuseRecipient(words) => words,
                _ => "250 2.1.5 ok",
            },
            "RSET" => "250 2.0.0 forgotten",
            "DATA" if first_data.is_some() => first_data.take().unwrap(),
            "DATA" => taken(&mut stream, mailbox, &fault)?,
            "QUIT" => {
                stream.get_mut().write_all(b"221 over\r\n")?;
                return Ok(());
            }
            _ => "500 what",
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        if answer.contains("\n421 ") {
            return Ok(());
        }
    }
}

/// Handles a message; returns the answer after its final dot.
fn taken(stream: &mut BufReader<UnixStream>, mailbox: &Mutex<Mailbox>, fault: &Fault) -> std::io::Result<&'static str> {
    stream.get_mut().write_all(b"354 go on\r\n")?;
    let bytes = message(stream, fault)?;
    let (poison, refuses, hangs) = {
        let mailbox = lock(mailbox);
        (mailbox.poison, mailbox.refuses, mailbox.hangs)
    };
    if poison.is_some_and(|poison| has(&bytes, poison)) {
        return Err(over());
    }
    if hangs.is_some_and(|part| has(&bytes, part)) {
        stream.get_ref().set_read_timeout(None)?;
        std::io::copy(stream, &mut std::io::sink())?;
        return Err(over());
    }
    let refused = refuses.filter(|(part, ..)| has(&bytes, part));
    if let Some((_, words, AndThen::Closes)) = refused {
        stream.get_mut().write_all(format!("{words}\r\n").as_bytes())?;
        return Err(over());
    }
    match fault {
        _ if refused.is_some() => Ok(refused.unwrap().1),
        Fault::Refuse(words) => Ok(words),
        Fault::TakeAndSay(words) => {
            lock(mailbox).messages.push(bytes);
            Ok(words)
        }
        Fault::LoseAnswer => {
            lock(mailbox).messages.push(bytes);
            Err(over())
        }
        _ => {
            lock(mailbox).messages.push(bytes);
            Ok("250 2.0.0 saved")
        }
    }
}

/// Whether a message contains these bytes.
fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|here| here == part)
}

/// Reads a message up to its final dot, unstuffed.
fn message(stream: &mut BufReader<UnixStream>, fault: &Fault) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for count in 0.. {
        if matches!(fault, Fault::Cut(lines) if count >= *lines) {
            break;
        }
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line == b".\r\n" {
            return Ok(bytes);
        }
        bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
    Err(std::io::ErrorKind::ConnectionAborted.into())
}
