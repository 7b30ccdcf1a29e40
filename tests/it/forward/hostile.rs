//! Destinations that drip, flood or never finish: a pass ends by itself, soon, and with little memory.

use std::net::SocketAddr;

use super::*;
use crate::scripted::endless::{imap_servers, lmtp_servers};
use crate::scripted::maildrop::{PASSWORD, USER};

/// The peak memory of a fetch, in KiB.
const BOUND: u64 = 16 * 1024;

/// Returns the value of the key `forward` for an IMAP server.
pub(crate) fn imap_at(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "{{ imap = {{ host = \"{host}\", port = {port}, tls = \"none\", username = {USER:?}, password = {PASSWORD:?} }} }}"
    )
}

/// Returns the value of the key `forward` for an LMTP server.
pub(crate) fn lmtp_at(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("{{ lmtp = {{ host = \"{host}\", port = {port}, recipient = \"jo@example.org\" }} }}")
}

#[test]
fn a_server_that_never_comes_to_an_end_costs_little_time_and_memory() {
    let imap = imap_servers().into_iter().map(|(what, server)| (what, server, imap_at as fn(SocketAddr) -> String));
    let lmtp = lmtp_servers().into_iter().map(|(what, server)| (what, server, lmtp_at as fn(SocketAddr) -> String));
    for (what, server, forward) in imap.chain(lmtp) {
        let (address, _listening) = server.start();
        let maildrop = Maildrop::new(small_ones(2));
        let account = Account::at(maildrop.server.address).deleting().text("timeout", "5s");
        let env = TestEnv::new(&[account.set("forward", forward(address))]);
        let outcome = env.fetch();
        assert!([75, 76].contains(&outcome.status), "{what}: {outcome:#?}");
        assert!(outcome.elapsed.as_secs() < 40, "{what}: {:?}", outcome.elapsed);
        assert!(outcome.peak_kib < BOUND, "{what}: a peak of {} KiB", outcome.peak_kib);
        assert!(outcome.stderr.len() < 4000, "{what}: {} octets of messages", outcome.stderr.len());
        assert_eq!((maildrop.left().len(), spool(&env)), (2, 2), "{what}");
    }
}
