//! What an address is looked up in: a DNS server, web servers, and a proxy that maps names to ports of this machine, so
//! that the program uses the same names and ports as anywhere else.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The type of an SRV record (RFC 2782).
pub(super) const SRV: u16 = 33;
/// The type of a TXT record.
pub(super) const TXT: u16 = 16;

/// Returns a name in wire format.
fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The data of an SRV record.
pub(super) fn srv(priority: u16, port: u16, target: &str) -> Vec<u8> {
    let mut data = [priority, 1, port].map(u16::to_be_bytes).concat();
    data.extend(name(target));
    data
}

/// The data of a TXT record, in two pieces.
pub(super) fn txt(text: &str) -> Vec<u8> {
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    [first, second].iter().flat_map(|piece| [&[u8::try_from(piece.len()).unwrap()], *piece].concat()).collect()
}

/// A DNS server that knows these records and answers NXDOMAIN to everything else.
pub(super) struct Dns {
    /// Its address.
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Records by name and type.
type Records = HashMap<(String, u16), Vec<Vec<u8>>>;

impl Dns {
    pub(super) fn with(records: &[(&str, u16, Vec<u8>)]) -> Self {
        let mut known = Records::new();
        for (name, kind, data) in records {
            known.entry(((*name).to_owned(), *kind)).or_default().push(data.clone());
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let Some(answer) = answer(&query[..length], &known, &seen) else { continue };
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, asked }
    }

    /// Returns the names that were queried.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(query: &[u8], known: &Records, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let kind = u16::from_be_bytes([query[at], query[at + 1]]);
    let name = labels.join(".");
    asked.lock().unwrap().push(name.clone());
    let found = known.get(&(name, kind)).cloned().unwrap_or_default();
    // An authoritative answer; 3 is NXDOMAIN.
    let code = if found.is_empty() { 3 } else { 0 };
    let mut wire =
        [&query[..2], &[0x85, 0x80 | code], &[0, 1], &u16::try_from(found.len()).unwrap().to_be_bytes()].concat();
    wire.extend([0, 0, 0, 0]);
    wire.extend_from_slice(question);
    for data in found {
        wire.extend([0xc0, 12]);
        wire.extend(kind.to_be_bytes());
        wire.extend([0, 1, 0, 0, 0, 60]);
        wire.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        wire.extend(data);
    }
    Some(wire)
}

/// A proxy that connects some names and ports to local servers, and refuses the others.
pub(super) struct Proxy {
    /// Its value for the key `proxy`.
    pub(super) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(super) fn to(places: &[(&str, SocketAddr)]) -> Self {
        let places: HashMap<String, SocketAddr> =
            places.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (places, seen) = (places.clone(), Arc::clone(&seen));
                thread::spawn(move || carry(client, &places, &seen));
            }
        });
        Self { url, asked }
    }

    /// Returns the names and ports that were requested.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads the head of a request, up to its empty line.
fn head(from: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        from.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    String::from_utf8(head).ok()
}

fn carry(mut client: TcpStream, places: &HashMap<String, SocketAddr>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let request = head(&mut client)?;
    let wanted = request.split(' ').nth(1)?.to_owned();
    asked.lock().unwrap().push(wanted.clone());
    let Some(address) = places.get(&wanted) else {
        return client.write_all(b"HTTP/1.1 502 Not there\r\n\r\n").ok();
    };
    let mut upstream = TcpStream::connect(address).ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut upstream, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Write).ok()
}

/// Starts a web server over TLS with these complete responses by path. The query of a request is ignored.
pub(super) fn web_server(tls: Arc<ServerConfig>, answers: &[(&str, String)]) -> SocketAddr {
    let answers: HashMap<String, String> =
        answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (tls, answers) = (Arc::clone(&tls), answers.clone());
            thread::spawn(move || {
                client.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
                let mut stream = StreamOwned::new(ServerConnection::new(tls).ok()?, client);
                let request = head(&mut stream)?;
                let path = request.split(' ').nth(1)?.split('?').next()?.to_owned();
                let none = || "HTTP/1.1 404 Not here\r\nContent-Length: 0\r\n\r\n".to_owned();
                let answer = answers.get(&path).cloned().unwrap_or_else(none);
                stream.write_all(answer.as_bytes()).ok()?;
                stream.conn.send_close_notify();
                stream.flush().ok()
            });
        }
    });
    address
}

/// Returns a response with a document.
pub(super) fn document(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Returns a response with an autoconfig document that names one POP3 server.
pub(super) fn autoconfig(host: &str, username: &str) -> String {
    document(&format!(
        "<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"x\"><domain>ferry.test</domain>\
         <incomingServer type=\"pop3\"><hostname>{host}</hostname><port>995</port><socketType>SSL</socketType>\
         <username>{username}</username><authentication>password-cleartext</authentication></incomingServer>\
         </emailProvider></clientConfig>"
    ))
}
