//! The name of a host in the form that others expect.

/// Returns the host as the resolver and the certificate know it: an IPv6 address without brackets.
pub(super) fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}
