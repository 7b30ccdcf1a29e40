//! Clients that hold idle connections to the control socket do not make others wait.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Daemon;
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

/// More than twice the number of connections served.
const CROWD: usize = 130;

/// A request has 5 s to arrive, and so has an answer to be read: whoever waits for an idle client waits longer than
/// this.
const SOON: Duration = Duration::from_millis(4500);

#[test]
fn whoever_asks_is_answered_however_many_do_not() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    let daemon = Daemon::start(&env);
    let nothing: &[u8] = b"";
    let asked = b"{\"ask\":\"status\"}\n".as_slice();
    for sent in [nothing, b"{\"ask\":", asked, b"nonsense\n"] {
        let crowd: Vec<UnixStream> = (0..CROWD)
            .map(|_| {
                let mut stream = UnixStream::connect(env.path("state/control.sock")).unwrap();
                // A client whose connection was closed does not count.
                let _ = stream.write_all(sent);
                stream
            })
            .collect();
        let begun = Instant::now();
        for _ in 0..3 {
            daemon.status();
        }
        let took = begun.elapsed();
        assert!(took < SOON, "{:?}: {took:?}", String::from_utf8_lossy(sent));
        drop(crowd);
    }
    daemon.poll("a");
    daemon.end();
}
