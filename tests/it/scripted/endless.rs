//! Servers that never end: they trickle, flood, or go on with a single line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::listening::Listening;

/// What a server does.
#[derive(Debug, Clone)]
pub(crate) struct Endless {
    /// What it sends first.
    pub(crate) greeting: &'static str,
    /// Whether it reads a line before it goes on.
    pub(crate) hears: bool,
    /// What it repeats after that.
    pub(crate) repeats: Vec<u8>,
    /// The time between two repetitions.
    pub(crate) pause: Duration,
}

impl Endless {
    /// Repeats this as fast as possible.
    pub(crate) fn flood(greeting: &'static str, hears: bool, repeats: impl Into<Vec<u8>>) -> Self {
        Self { greeting, hears, repeats: repeats.into(), pause: Duration::ZERO }
    }

    /// Sends an octet now and then.
    pub(crate) fn drip(greeting: &'static str, hears: bool) -> Self {
        Self { greeting, hears, repeats: b"x".to_vec(), pause: Duration::from_millis(100) }
    }

    /// Listens until the returned value is dropped.
    pub(crate) fn start(self) -> (SocketAddr, Listening) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // Many per write if a repetition is short.
        let times = if self.pause.is_zero() { 60_000 / self.repeats.len().clamp(1, 60_000) } else { 1 };
        let piece = self.repeats.repeat(times.max(1));
        let serve = move |mut stream: TcpStream| {
            drop(stream.set_read_timeout(Some(Duration::from_secs(60))));
            drop(stream.set_write_timeout(Some(Duration::from_secs(60))));
            if stream.write_all(self.greeting.as_bytes()).is_err() {
                return;
            }
            if self.hears && BufReader::new(&stream).read_line(&mut String::new()).is_err() {
                return;
            }
            while stream.write_all(&piece).is_ok() {
                std::thread::sleep(self.pause); // the rate of the trickle
            }
        };
        let accept = move || listener.accept().map(|(stream, _)| stream);
        let listening = Listening::start(accept, serve, move || drop(TcpStream::connect(address)));
        (address, listening)
    }
}

/// The greeting of an IMAP server that makes a client log in at once.
const IMAP: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS LITERAL-] ready\r\n";

/// IMAP servers, with a name for each fault.
pub(crate) fn imap_servers() -> Vec<(&'static str, Endless)> {
    let long = [b"* OK ".as_slice(), &[b'x'; 50_000], b"\r\n"].concat();
    let words = [b"* CAPABILITY".as_slice(), " X=Y".repeat(10_000).as_bytes(), b"\r\n"].concat();
    vec![
        ("a greeting without an end", Endless::flood("* OK ", false, "x")),
        ("a greeting in drips", Endless::drip("* OK ", false)),
        ("an answer in drips", Endless::drip(IMAP, true)),
        ("short lines that nobody asked for", Endless::flood(IMAP, true, "* 1 EXISTS\r\n")),
        ("long lines that nobody asked for", Endless::flood(IMAP, true, long)),
        ("capabilities again and again", Endless::flood(IMAP, true, words)),
        ("a question again and again", Endless::flood(IMAP, true, "+ \r\n")),
        ("a literal without an end", Endless::flood(IMAP, true, "* 1 FETCH (BODY[] {99999999999}\r\n")),
        ("literals in literals", Endless::flood(IMAP, true, "* 1 FETCH (X {1}\r\nx {1}\r\ny {1}\r\nz)\r\n")),
        ("answers to nothing", Endless::flood(IMAP, true, "zz9 OK done\r\n")),
    ]
}

/// LMTP servers, with a name for each fault.
pub(crate) fn lmtp_servers() -> Vec<(&'static str, Endless)> {
    let long = [b"250-".as_slice(), &[b'\x01'; 60_000], b"\r\n"].concat();
    vec![
        ("a greeting without an end", Endless::flood("220 ", false, "x")),
        ("a greeting in drips", Endless::drip("220 ", false)),
        ("an answer in drips", Endless::drip("220 ready\r\n", true)),
        ("an answer of short lines", Endless::flood("220 ready\r\n", true, "250-x\r\n")),
        ("an answer of long lines", Endless::flood("220 ready\r\n", true, long)),
    ]
}
