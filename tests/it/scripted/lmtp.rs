//! An LMTP server (RFC 2033) with one recipient, at a Unix socket, with faults to order.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::listening::Listening;

/// What goes wrong with a message.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is taken, and the connection is cut before the answer.
    LoseAnswer,
    /// The connection is cut when so many lines of the message have come.
    Cut(usize),
    /// It is answered so behind the final dot.
    Refuse(&'static str),
    /// The recipient is.
    RefuseRecipient(&'static str),
}

/// What came, and how the server behaves.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The messages, unstuffed, in the order of their coming.
    pub(crate) messages: Vec<Vec<u8>>,
    /// What happens to the next ones.
    pub(crate) faults: VecDeque<Fault>,
    /// Every command that came.
    pub(crate) commands: Vec<String>,
    /// It breaks at a message with these bytes in it: the connection is cut.
    pub(crate) poison: Option<&'static [u8]>,
    /// What it says first.
    pub(crate) greeting: &'static str,
    /// The size that it announces as the largest.
    pub(crate) largest: u64,
}

/// A listening server; it ends with the value.
pub(crate) struct LmtpServer {
    mailbox: Arc<Mutex<Mailbox>>,
    _listening: Listening,
}

impl LmtpServer {
    /// Listens at this path.
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (messages, faults, commands) = (Vec::new(), VecDeque::new(), Vec::new());
        let empty = Mailbox { messages, faults, commands, poison: None, greeting: "220 ready", largest: 1_000_000 };
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

    /// Looks at what came, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Mailbox) -> T) -> T {
        look(&mut lock(&self.mailbox))
    }

    /// Orders what happens to the next messages.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.with(|mailbox| mailbox.faults = faults.iter().cloned().collect());
    }

    /// What came, sorted.
    pub(crate) fn mail(&self) -> Vec<Vec<u8>> {
        let mut all = self.with(|mailbox| mailbox.messages.clone());
        all.sort();
        all
    }
}

fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(mut stream: BufReader<UnixStream>, mailbox: &Mutex<Mailbox>) -> std::io::Result<()> {
    let over = || std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    let greeting = lock(mailbox).greeting;
    stream.get_mut().write_all(format!("{greeting}\r\n").as_bytes())?;
    let mut fault = Fault::None;
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
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let bytes = message(&mut stream, &fault)?;
                let poison = lock(mailbox).poison;
                if poison.is_some_and(|poison| bytes.windows(poison.len()).any(|part| part == poison)) {
                    return Err(over());
                }
                match fault {
                    Fault::Refuse(words) => words,
                    Fault::LoseAnswer => {
                        lock(mailbox).messages.push(bytes);
                        return Err(over());
                    }
                    _ => {
                        lock(mailbox).messages.push(bytes);
                        "250 2.0.0 saved"
                    }
                }
            }
            "QUIT" => {
                stream.get_mut().write_all(b"221 over\r\n")?;
                return Ok(());
            }
            _ => "500 what",
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
    }
}

/// A message up to its final dot, unstuffed.
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
