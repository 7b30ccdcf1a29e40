//! A POP3 server that makes its answers up as it goes, so that it has little to do itself.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What every user finds.
#[derive(Clone, Copy)]
pub(crate) struct Maildrop {
    /// How many messages.
    pub(crate) messages: u32,
    /// How large each is, nearly.
    pub(crate) octets: usize,
}

/// It serves until the process ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// When somebody logged in.
    logins: Arc<Mutex<Vec<Instant>>>,
}

impl Server {
    pub(crate) fn start(maildrop: Maildrop) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let logins = Arc::<Mutex<Vec<Instant>>>::default();
        let noted = Arc::clone(&logins);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                // A client that hangs up is no concern of the others.
                thread::spawn(move || drop(serve(&stream, maildrop, &noted)));
            }
        });
        Self { port, logins }
    }

    /// How many logins there were.
    pub(crate) fn logins(&self) -> u64 {
        u64::try_from(self.logins.lock().unwrap().len()).unwrap()
    }

    /// Those since, as the time that had passed.
    pub(crate) fn since(&self, begun: Instant) -> Vec<Duration> {
        let logins = self.logins.lock().unwrap();
        logins.iter().filter_map(|login| login.checked_duration_since(begun)).collect()
    }

    /// Waits until there were so many.
    pub(crate) fn wait_for(&self, logins: u64, limit: Duration) {
        let begun = Instant::now();
        while self.logins() < logins {
            assert!(begun.elapsed() < limit, "{} of {logins} logins after {limit:?}", self.logins());
            thread::sleep(Duration::from_millis(2)); // the pace of looking
        }
    }
}

fn serve(stream: &TcpStream, maildrop: Maildrop, logins: &Mutex<Vec<Instant>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = BufWriter::with_capacity(128 << 10, stream);
    writer.write_all(b"+OK ready\r\n")?;
    let mut line = String::new();
    loop {
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (command, number) = (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse().ok()));
        match (command, number) {
            ("CAPA", _) => writer.write_all(b"+OK\r\nUIDL\r\nTOP\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n")?,
            ("AUTH", _) => {
                logins.lock().unwrap().push(Instant::now());
                writer.write_all(b"+OK\r\n")?;
            }
            ("STAT", _) => {
                write!(writer, "+OK {} {}\r\n", maildrop.messages, u64::from(maildrop.messages) * size(maildrop))?;
            }
            ("UIDL", _) => list(&mut writer, maildrop, |n| format!("{:016x}{n:08x}", 0x67b1_f3a2_u64))?,
            ("LIST", _) => list(&mut writer, maildrop, |_| size(maildrop).to_string())?,
            ("RETR", Some(number)) => message(&mut writer, number, maildrop.octets)?,
            ("TOP", Some(number)) => message(&mut writer, number, 0)?,
            ("DELE" | "NOOP", _) => writer.write_all(b"+OK\r\n")?,
            ("QUIT", _) => {
                writer.write_all(b"+OK\r\n")?;
                return writer.flush();
            }
            _ => writer.write_all(b"-ERR unknown command\r\n")?,
        }
    }
}

fn size(maildrop: Maildrop) -> u64 {
    u64::try_from(maildrop.octets).unwrap()
}

fn list(writer: &mut impl Write, maildrop: Maildrop, what: impl Fn(u32) -> String) -> io::Result<()> {
    writer.write_all(b"+OK\r\n")?;
    for number in 1..=maildrop.messages {
        write!(writer, "{number} {}\r\n", what(number))?;
    }
    writer.write_all(b".\r\n")
}

/// A header, and lines of 72 octets up to the size.
fn message(writer: &mut impl Write, number: u32, octets: usize) -> io::Result<()> {
    const LINE: &[u8; 72] = b"a line of the kind that base64 makes, seventy characters and a line en\r\n";
    write!(
        writer,
        "+OK\r\nMessage-ID: <{number}@scale.example>\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\nFrom: a@example.org\r\n\
         Subject: number {number}\r\n\r\n"
    )?;
    for _ in 0..octets.saturating_sub(120) / LINE.len() {
        writer.write_all(LINE)?;
    }
    writer.write_all(b".\r\n")
}
