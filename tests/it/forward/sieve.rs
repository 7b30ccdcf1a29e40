//! The Sieve script in the documentation drops the extra copy that a lost LMTP reply causes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::dovecot::shared;
use crate::scripted::listening::Listening;

/// Which replies to messages are lost, counted from 0.
const LOST: [usize; 3] = [1, 4, 5];

/// Starts a proxy in front of an LMTP server, which loses those replies. It ends when the returned value is dropped.
fn loses_answers(socket: &Path, server: PathBuf) -> Listening {
    let listener = UnixListener::bind(socket).unwrap();
    let (count, path) = (AtomicUsize::new(0), socket.to_owned());
    let serve = move |client: UnixStream| {
        let behind = UnixStream::connect(&server).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), behind.try_clone().unwrap());
        let up = std::thread::spawn(move || {
            drop(std::io::copy(&mut from_client, &mut to_server));
            drop(to_server.shutdown(Shutdown::Both));
        });
        for line in BufReader::new(&behind).lines().map_while(Result::ok) {
            let is_lost = line.ends_with("Saved") && LOST.contains(&count.fetch_add(1, Ordering::SeqCst));
            if is_lost || write!(&client, "{line}\r\n").is_err() {
                break;
            }
        }
        drop(client.shutdown(Shutdown::Both));
        drop(up.join());
    };
    let accept = move || listener.accept().map(|(stream, _)| stream);
    Listening::start(accept, serve, move || drop(UnixStream::connect(&path)))
}

/// Returns the script in `docs/forwarding.md`.
fn documented() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forwarding.md")).unwrap();
    page.split_once("```sieve\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_documented_script_makes_each_message_once_although_answers_are_lost() {
    let Some(dovecot) = shared() else { return };
    for (name, script, copies) in [("sieve", Some(documented()), 0), ("no-sieve", None, LOST.len())] {
        let destination = dovecot.user(name, &[]);
        let Some(server) = dovecot.lmtp_with_sieve() else {
            return crate::program::skip("dovecot-sieve or dovecot-lmtpd is not installed");
        };
        if let Some(script) = script {
            destination.sort_by(&script);
        }
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("lmtp");
        let _relay = loses_answers(&socket, server);
        let maildrop = Maildrop::new(small_ones(8));
        let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = {name:?}, id_header = true }} }}");
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)]);
        for _ in 0..10 {
            env.fetch();
            if maildrop.left().is_empty() {
                break;
            }
        }
        assert!(maildrop.left().is_empty());
        let arrived: Vec<_> = destination.served().iter().map(|message| on_the_wire(message)).collect();
        assert_eq!(arrived.len(), 8 + copies, "{name}");
        for n in 1..=8 {
            assert!(arrived.iter().any(|message| message.ends_with(&on_the_wire(&small(n)))), "{name}: {n}");
        }
    }
}
