//! A mail address, as needed to find its server, and the hosts that belong to its domain. PURE.

use std::fmt;

use url::Host;

/// The longest address (RFC 5321, section 4.5.3.1.3, without the angle brackets), in octets.
const LONGEST: usize = 254;

/// A mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailAddress {
    local: String,
    /// In lower case; non-ASCII labels in their xn-- form.
    domain: String,
}

/// The text is not a mail address whose server could be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnAddress;

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("that is not a mail address like jo@example.org")
    }
}

impl MailAddress {
    /// Checks an address.
    ///
    /// # Errors
    /// [`NotAnAddress`].
    pub(crate) fn new(text: &str) -> Result<Self, NotAnAddress> {
        let (local, domain) = text.trim().rsplit_once('@').ok_or(NotAnAddress)?;
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[]\\,;:\"@".contains(c);
        if local.is_empty() || text.len() > LONGEST || !local.chars().all(is_plain) {
            return Err(NotAnAddress);
        }
        let domain = host_name(domain).ok_or(NotAnAddress)?;
        Ok(Self { local: local.to_owned(), domain })
    }

    /// The local part, before the @.
    #[must_use]
    pub(crate) fn local(&self) -> &str {
        &self.local
    }

    /// The domain, after the @.
    #[must_use]
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether a host is the domain itself or a subdomain: the domain's owner answers for it, and the certificate
    /// proves that it belongs there (RFC 6186, section 6).
    #[must_use]
    pub(crate) fn owns(&self, host: &str) -> bool {
        host.strip_suffix(self.domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Normalizes a host name for comparison and lookup: in lower case, without a trailing dot. Returns None for anything
/// else, including IP addresses.
#[must_use]
pub(crate) fn host_name(text: &str) -> Option<String> {
    let Ok(Host::Domain(name)) = Host::parse(text.trim()) else { return None };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let good = (1..=253).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with(['.', '-']);
    (good && !name.contains("..")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_parts() {
        let address = MailAddress::new(" Jo.Doe+x@Example.ORG. ").unwrap();
        assert_eq!((address.local(), address.domain()), ("Jo.Doe+x", "example.org"));
        assert_eq!(MailAddress::new("jo@bücher.example").unwrap().domain(), "xn--bcher-kva.example");
        for text in
            ["", "jo", "@x", "jo@", "jo@x y", "jo doe@x", "jo@127.0.0.1", "jo@[::1]", "\u{1b}@x", "a<b@x", "jo@a..b"]
        {
            assert_eq!(MailAddress::new(text), Err(NotAnAddress), "{text:?}");
        }
        assert_eq!(MailAddress::new(&format!("{}@x.org", "j".repeat(260))), Err(NotAnAddress));
    }

    #[test]
    fn a_domain_owns_what_is_below_it() {
        let address = MailAddress::new("jo@example.org").unwrap();
        for host in ["example.org", "pop.example.org", "a.b.example.org"] {
            assert!(address.owns(host), "{host}");
        }
        for host in ["evilexample.org", "example.org.evil.net", "org", "", "pop.example.com"] {
            assert!(!address.owns(host), "{host}");
        }
    }
}
