//! DNS SRV records for POP3 (RFC 6186, RFC 2782). PURE.

use std::cmp::Reverse;

use super::address::host_name;
use super::{Candidate, MailAddress, Source};
use crate::account::TlsMode;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SrvRecord {
    /// The lowest is tried first.
    pub priority: u16,
    /// Among equal priorities, the relative share of clients.
    pub weight: u16,
    /// The TCP port.
    pub port: u16,
    /// The host; `.` means that the service does not exist.
    pub target: String,
}

/// Returns the name of the service with implicit TLS.
#[must_use]
pub(crate) fn implicit_name(domain: &str) -> String {
    format!("_pop3s._tcp.{domain}.")
}

/// Returns the name of the service that begins TLS with STLS.
#[must_use]
pub(crate) fn starttls_name(domain: &str) -> String {
    format!("_pop3._tcp.{domain}.")
}

/// Returns the servers in the records, the preferred one first. A setup asks only once, so among equal priorities the
/// largest weight comes first, without randomness.
#[must_use]
pub(crate) fn candidates(mut records: Vec<SrvRecord>, tls: TlsMode, address: &MailAddress) -> Vec<Candidate> {
    records.sort_by_key(|record| (record.priority, Reverse(record.weight)));
    let candidate = |record: SrvRecord| {
        let host = host_name(&record.target)?;
        (record.port != 0).then(|| Candidate { host, port: record.port, tls, ..Candidate::plain(Source::Srv, address) })
    };
    records.into_iter().filter_map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port, target: target.to_owned() }
    }

    #[test]
    fn the_lowest_priority_comes_first_and_then_the_heaviest() {
        let address = MailAddress::new("jo@example.org").unwrap();
        let records = vec![
            record(10, 0, 995, "c.example.org."),
            record(5, 1, 995, "b.example.org."),
            record(5, 9, 1995, "A.Example.org."),
        ];
        let found = candidates(records, TlsMode::Implicit, &address);
        let hosts: Vec<_> = found.iter().map(|one| (one.host.as_str(), one.port)).collect();
        assert_eq!(hosts, [("a.example.org", 1995), ("b.example.org", 995), ("c.example.org", 995)]);
        assert_eq!(found[0].username, "jo@example.org");
    }

    #[test]
    fn a_dot_says_that_there_is_none_and_what_is_no_host_counts_as_nothing() {
        let address = MailAddress::new("jo@example.org").unwrap();
        let records =
            vec![record(0, 0, 0, "."), record(0, 0, 995, "."), record(0, 0, 995, "127.0.0.1."), record(0, 0, 0, "a.b")];
        assert!(candidates(records, TlsMode::Implicit, &address).is_empty());
    }
}
