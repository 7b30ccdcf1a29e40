//! A POP3 server that accepts any valid access token, whatever the mechanism.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::authorization_server::AuthorizationServer;

/// Its only message.
pub(crate) const MAIL: &str =
    "Message-ID: <one@example.org>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: one\r\n\r\nHello\r\n";

#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) address: SocketAddr,
    server: AuthorizationServer,
    /// It sends no greeting.
    pub(crate) silent: Arc<AtomicBool>,
    /// POP3 is switched off: logins succeed and the commands after them fail, as at Gmail.
    pub(crate) switched_off: Arc<AtomicBool>,
    /// For each login, whether it succeeded.
    logins: Arc<Mutex<Vec<bool>>>,
}

impl Mailbox {
    pub(crate) fn start(server: &AuthorizationServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = Self {
            address,
            server: server.clone(),
            silent: Arc::default(),
            switched_off: Arc::default(),
            logins: Arc::default(),
        };
        let serving = mailbox.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mailbox = serving.clone();
                std::thread::spawn(move || mailbox.serve(connection));
            }
        });
        mailbox
    }

    /// Returns, for each login, whether it succeeded.
    pub(crate) fn logins(&self) -> Vec<bool> {
        self.logins.lock().unwrap().clone()
    }

    fn serve(&self, mut connection: TcpStream) -> Option<()> {
        connection.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let mut reader = BufReader::new(connection.try_clone().ok()?);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            Some(line.trim_end().to_owned())
        };
        if self.silent.load(Ordering::Relaxed) {
            line();
            return None;
        }
        connection.write_all(b"+OK ready\r\n").ok()?;
        loop {
            let command = line()?;
            let mut words = command.split(' ');
            let answer = match words.next()?.to_ascii_uppercase().as_str() {
                "CAPA" => {
                    "+OK\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\nUIDL\r\nTOP\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n.\r\n"
                        .to_owned()
                }
                "AUTH" => {
                    let response = match words.nth(1) {
                        Some(initial) => initial.to_owned(),
                        None => {
                            connection.write_all(b"+ \r\n").ok()?;
                            line()?
                        }
                    };
                    let good = self.is_good(&response);
                    self.logins.lock().unwrap().push(good);
                    if good { "+OK\r\n".to_owned() } else { "-ERR [AUTH] Invalid credentials.\r\n".to_owned() }
                }
                "STAT" | "UIDL" | "LIST" if self.switched_off.load(Ordering::Relaxed) => {
                    "-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n".to_owned()
                }
                "STAT" => format!("+OK 1 {}\r\n", MAIL.len()),
                "UIDL" => "+OK\r\n1 one\r\n.\r\n".to_owned(),
                "LIST" => format!("+OK\r\n1 {}\r\n.\r\n", MAIL.len()),
                "RETR" | "TOP" => format!("+OK\r\n{MAIL}.\r\n"),
                "QUIT" => {
                    connection.write_all(b"+OK\r\n").ok()?;
                    return Some(());
                }
                _ => "+OK\r\n".to_owned(),
            };
            connection.write_all(answer.as_bytes()).ok()?;
        }
    }

    fn is_good(&self, response: &str) -> bool {
        let decoded = BASE64_STANDARD.decode(response).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let parts: Vec<&str> = text.split(['\0', '\x01', ' ']).collect();
        let inside = self.server.inside();
        parts.iter().any(|part| inside.access.contains(*part))
    }
}
