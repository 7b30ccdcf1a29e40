//! The enemies. Each is a server and an account there.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::mail::{small, small_ones};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD};
use crate::scripted::{Server, Wire};

/// The number of messages that are alike, or are refused.
const MANY: usize = 2000;

/// Keeps the servers running.
pub(super) struct Enemies {
    _maildrops: Vec<Maildrop>,
    _servers: Vec<Server>,
}

/// Starts all of them. Returns them and the accounts there.
pub(super) fn all(env: &TestEnv) -> (Enemies, Vec<Account>) {
    let maildrops = vec![
        ("alike", Maildrop::new((0..MANY).map(|n| Message::new(&format!("u{n}"), &small(7))).collect())),
        ("refusals", Maildrop::new((0..MANY).map(refused).collect())),
        ("liar", Maildrop::new((0..100).map(lied_about).collect())),
        ("locked", refusing("-ERR [AUTH] the account is closed until further notice")),
        ("rate-limited", refusing("-ERR [LOGIN-DELAY] minimum time between mail checks violation")),
        ("vault", Maildrop::new(small_ones(3))),
    ];
    let servers = vec![
        ("endless", serve(|wire, line, _| line.starts_with("RETR").then(|| endless_line(wire)))),
        ("drip", serve(|wire, line, _| line.starts_with("RETR").then(|| drip(wire)))),
        ("drip-top", serve(|wire, line, _| line.starts_with("TOP").then(|| drip(wire)))),
        ("drip-uidl", serve(|wire, line, _| line.starts_with("UIDL").then(|| drip(wire)))),
        ("one-more", serve(one_more)),
        ("silent", Server::start(Arc::new(|wire: &mut Wire| _ = wire.stall()))),
        ("greeting", Server::start(Arc::new(|wire: &mut Wire| _ = wire.send(b"+OK\r\n").and_then(|()| wire.stall())))),
    ];
    let addresses = maildrops.iter().map(|(name, maildrop)| (*name, maildrop.server.address));
    let addresses = addresses.chain(servers.iter().map(|(name, server)| (*name, server.address)));
    let accounts = addresses.map(|(name, address)| {
        let account = Account::at(address).named(name).text("interval", "10s").text("timeout", "30s");
        match name {
            "vault" => account.without("password").text("password_file", &password_file(env)),
            "drip-top" | "endless" => account.deleting(),
            _ => account,
        }
    });
    let accounts = accounts.collect();
    let _maildrops = maildrops.into_iter().map(|(_, maildrop)| maildrop).collect();
    (Enemies { _maildrops, _servers: servers.into_iter().map(|(_, server)| server).collect() }, accounts)
}

/// Writes the password to a file, on the disk that hangs if there is one. Returns its path.
fn password_file(env: &TestEnv) -> String {
    let dir = env.path("vault");
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn refused(n: usize) -> Message {
    let refusal = format!("-ERR {}", "this message cannot be opened at the moment, \u{1b}[31m sorry; ".repeat(8));
    Message { refusal: Some(refusal), ..Message::new(&format!("u{n}"), &small(n)) }
}

fn lied_about(n: usize) -> Message {
    let sizes = [0, 1, 4 << 30, u64::MAX >> 10, 77];
    Message { reported_size: Some(sizes[n % sizes.len()]), ..Message::new(&format!("u{n}"), &small(n)) }
}

fn refusing(answer: &str) -> Maildrop {
    Maildrop::with(small_ones(1), |behaviour| {
        behaviour.login_answer = Some(answer.to_owned());
        behaviour.capabilities.as_mut().unwrap().push("LOGIN-DELAY 900".to_owned());
    })
}

/// Starts a server that is honest except for what `special` does, which gets each line and the number of the session.
fn serve(special: impl Fn(&mut Wire, &str, usize) -> Option<Option<()>> + Send + Sync + 'static) -> Server {
    let sessions = AtomicUsize::new(0);
    Server::start(Arc::new(move |wire: &mut Wire| {
        let session = sessions.fetch_add(1, Ordering::Relaxed);
        let mut alive = wire.send(b"+OK\r\n");
        while alive.is_some() {
            let Some(line) = wire.line() else { return };
            alive = special(wire, &line, session).unwrap_or_else(|| wire.send(honest(&line).as_bytes()));
        }
    }))
}

fn honest(line: &str) -> String {
    let answer = match line.split(' ').next().unwrap_or_default() {
        "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.",
        "STAT" => "+OK 1 60",
        "UIDL" => "+OK\r\n1 u1\r\n.",
        "LIST" => "+OK\r\n1 60\r\n.",
        "RETR" | "TOP" => "+OK\r\nMessage-ID: <1@x>\r\nSubject: one\r\n\r\nThis is it.\r\n.",
        _ => "+OK",
    };
    format!("{answer}\r\n")
}

/// Sends an octet now and then, without end.
fn drip(wire: &mut Wire) -> Option<()> {
    wire.send(b"+OK\r\n")?;
    loop {
        wire.send(b"x")?;
        std::thread::sleep(Duration::from_millis(500)); // what the test is about
    }
}

/// Sends a line without end, as fast as a good connection.
fn endless_line(wire: &mut Wire) -> Option<()> {
    wire.send(b"+OK\r\nSubject: ")?;
    loop {
        wire.send(&[b'x'; 64 << 10])?;
        std::thread::sleep(Duration::from_millis(60)); // about a megabyte a second
    }
}

/// Lists one more message in each session, and all of them with new unique-ids.
fn one_more(wire: &mut Wire, line: &str, session: usize) -> Option<Option<()>> {
    let count = session + 1;
    let list = |what: &dyn Fn(usize) -> String| -> String {
        let lines: String = (1..=count).map(|n| format!("{n} {}\r\n", what(n))).collect();
        format!("+OK\r\n{lines}.\r\n")
    };
    let answer = match line.split(' ').next().unwrap_or_default() {
        "STAT" => format!("+OK {count} {}\r\n", 60 * count),
        "UIDL" => list(&|n| format!("s{session}n{n}")),
        "LIST" => list(&|_| "60".to_owned()),
        "RETR" | "TOP" => {
            let number = line.split(' ').nth(1).unwrap_or_default();
            format!("+OK\r\nMessage-ID: <{session}.{number}@x>\r\nSubject: one more\r\n\r\nThis is it.\r\n.\r\n")
        }
        _ => return None,
    };
    Some(wire.send(answer.as_bytes()))
}
