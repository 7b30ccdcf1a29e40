//! Detects forwarding to a mailbox from which the mail would be fetched again. PURE.

use std::net::IpAddr;

use crate::account::{Forward, ForwardTo};
use crate::config::host::is_loopback;
use crate::provider::Provider;

/// Protocol prefixes in the names of a provider's servers.
const BY_PROTOCOL: [&str; 6] = ["pop.", "pop3.", "imap.", "imap4.", "incoming.", "mail."];

/// Whether mail is forwarded to the mailbox it was fetched from: the same user's, as far as POP3 shows it.
pub(super) fn comes_back(host: &str, username: &str, forward: &Forward) -> bool {
    let ForwardTo::Imap(to) = &forward.to else { return false };
    // Gmail shows all mail by POP3, whatever its label.
    let is_shown = to.mailbox.eq_ignore_ascii_case("INBOX") || Provider::of(host).is_some_and(|it| it.id == "gmail");
    is_shown && username.eq_ignore_ascii_case(&to.username) && is_same_place(host, &to.endpoint.host)
}

fn is_same_place(one: &str, other: &str) -> bool {
    // Many servers may share an IP address or this machine, so these tell nothing.
    if [one, other].iter().any(|host| is_loopback(host) || host.parse::<IpAddr>().is_ok()) {
        return false;
    }
    if let (Some(one), Some(other)) = (Provider::of(one), Provider::of(other)) {
        return one.id == other.id;
    }
    domain(one) == domain(other)
}

/// Returns the host name without the prefix that names the protocol.
fn domain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let rest = BY_PROTOCOL.iter().find_map(|prefix| host.strip_prefix(prefix));
    rest.filter(|rest| rest.contains('.')).map_or(host.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::is_same_place;

    #[test]
    fn servers_of_the_same_place_are_known_by_their_names() {
        for (one, other) in [
            ("pop.gmail.com", "imap.gmail.com"),
            ("POP.example.org.", "imap.example.org"),
            ("mx.example", "mx.example"),
        ] {
            assert!(is_same_place(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("pop.example.org", "imap.example.com"),
            ("pop.example", "imap.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("pop.gmx.net", "imap.gmail.com"),
        ] {
            assert!(!is_same_place(one, other), "{one} {other}");
        }
    }
}
