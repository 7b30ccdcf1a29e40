//! A POP3 server that makes its answers up as it goes, so that it has little to do itself.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

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
    /// The handshakes that resumed a session, and those that did not.
    handshakes: Arc<[AtomicU64; 2]>,
}

impl Server {
    pub(crate) fn start(maildrop: Maildrop) -> Self {
        Self::start_with(maildrop, None)
    }

    /// One that speaks TLS from the first octet.
    pub(crate) fn start_with(maildrop: Maildrop, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let logins = Arc::<Mutex<Vec<Instant>>>::default();
        let noted = Arc::clone(&logins);
        let handshakes = Arc::<[AtomicU64; 2]>::default();
        let counted = Arc::clone(&handshakes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, counted, tls) = (Arc::clone(&noted), Arc::clone(&counted), tls.clone());
                // A client that closes the connection is no concern of the others.
                thread::spawn(move || drop(welcome(stream, tls, maildrop, &noted, &counted)));
            }
        });
        Self { port, logins, handshakes }
    }

    /// How many handshakes resumed a session, and how many did not.
    pub(crate) fn handshakes(&self) -> [u64; 2] {
        [0, 1].map(|kind| self.handshakes.get(kind).map_or(0, |count| count.load(Ordering::Relaxed)))
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

/// A certificate for 127.0.0.1 of an authority whose own is written to `ca.pem` in a directory.
pub(crate) fn tls(dir: &Path) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    // Tickets that the client keeps, as large servers give them; the memory of rustls holds 256 sessions.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

fn welcome(
    mut stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    maildrop: Maildrop,
    logins: &Mutex<Vec<Instant>>,
    handshakes: &[AtomicU64; 2],
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return serve(stream, maildrop, logins) };
    let mut connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    connection.complete_io(&mut stream)?;
    let kind = usize::from(connection.handshake_kind() != Some(HandshakeKind::Resumed));
    if let Some(count) = handshakes.get(kind) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    serve(StreamOwned::new(connection, stream), maildrop, logins)
}

/// A stream that collects what is written to it.
struct Collecting<S: Write>(BufWriter<S>);

impl<S: Read + Write> Read for Collecting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().read(buffer)
    }
}

fn serve<S: Read + Write>(stream: S, maildrop: Maildrop, logins: &Mutex<Vec<Instant>>) -> io::Result<()> {
    let mut reader = BufReader::new(Collecting(BufWriter::with_capacity(128 << 10, stream)));
    reader.get_mut().0.write_all(b"+OK ready\r\n")?;
    let mut line = String::new();
    loop {
        if reader.buffer().is_empty() {
            reader.get_mut().0.flush()?;
        }
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut writer = &mut reader.get_mut().0;
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
            ("LIST", Some(number)) => write!(writer, "+OK {number} {}\r\n", size(maildrop))?,
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
