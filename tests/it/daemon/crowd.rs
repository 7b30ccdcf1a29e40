//! Clients that hold connections to the control socket, and do nothing with them, keep nobody else waiting.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Daemon;
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

/// More than there are places, twice.
const CROWD: usize = 130;

/// A question has 5 s to come, and an answer to be taken: whoever waits for one of them has waited longer than this.
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
                // Whoever has gone is none of the crowd.
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
