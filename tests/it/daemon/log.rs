//! The log of a daemon: whatever takes it, a journal that takes nothing more stops nothing.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use super::{TIME_LIMIT, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv, skip};
use crate::scripted::maildrop::Maildrop;

/// A script that makes the directory `journal` that of the system's journal, for the program only.
const OWN_JOURNAL: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                           mount --bind journal /run/systemd/journal || exit 99; exec \"$@\"";

/// Returns the value of a field in an entry of the journal, if it has it. See `cli::journal` for the format.
fn field<'a>(entry: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let name = format!("{name}\n");
    let at = entry.windows(name.len()).position(|part| part == name.as_bytes())? + name.len();
    let (size, rest) = entry[at..].split_at(8);
    let size = usize::try_from(u64::from_le_bytes(size.try_into().unwrap())).unwrap();
    Some(&rest[..size])
}

#[test]
fn a_journal_that_takes_nothing_stops_nothing_and_what_was_dropped_is_counted() {
    if !rustix::process::geteuid().is_root() {
        return skip("a file system can be mounted by root only");
    }
    let maildrop = Maildrop::new(small_ones(250));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("max_messages_per_session", 5)]);
    std::fs::create_dir(env.path("journal")).unwrap();
    let path = env.path("journal/socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let filling = UnixDatagram::unbound().unwrap();
    filling.set_nonblocking(true).unwrap();
    let fill = || while filling.send_to(b"filling", &path).is_ok() {};
    fill();
    let wrapper = ["unshare", "-m", "sh", "-c", OWN_JOURNAL, "sh"];
    let mut running = env.spawn_under(&wrapper, &["--log-format", "journald", "-vv", "daemon"]);
    wait_for("the mail", || env.mail().len() == 250 || !running.is_running());
    if !running.is_running() {
        let outcome = running.wait();
        assert!(outcome.status == 99 || outcome.output().contains("unshare:"), "{outcome:#?}");
        return skip("a file system cannot be mounted here");
    }
    env.run(&["status"]).expect(0);
    // The journal reads again.
    socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    let mut is_first = true;
    loop {
        let count = socket.recv(&mut buffer).unwrap();
        let entry = &buffer[..count];
        if entry == b"filling" {
            continue;
        }
        let message = String::from_utf8_lossy(field(entry, "MESSAGE").unwrap()).into_owned();
        assert_eq!(field(entry, "SYSLOG_IDENTIFIER"), Some(&b"mailferry"[..]));
        if std::mem::take(&mut is_first) {
            assert!(!message.contains("dropped"), "the first lines are kept: {message}");
        }
        if message.contains("lines of the log were dropped") {
            assert_eq!(field(entry, "PRIORITY"), Some(&b"4"[..]));
            assert_eq!(field(entry, "EVENT"), Some(&b"log"[..]));
            break;
        }
    }
    // Neither does the end wait for it.
    fill();
    running.signal(Signal::TERM);
    let begun = std::time::Instant::now();
    running.wait().expect(143);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
