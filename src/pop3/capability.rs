//! What a server announces in answer to CAPA (RFC 2449).

use super::limits;
use super::mechanism::Mechanism;
use crate::text;

/// The capabilities of a server at one moment. They may change with TLS and with the login, so ask again after each.
///
/// Tags and arguments are compared ignoring case. If a tag occurs twice, the first one counts; SASL mechanisms are
/// collected from all lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The lines as sent, with control characters escaped; at most [`limits::CAPABILITY_LINES`] lines and
    /// [`limits::CAPABILITIES_KEPT`] octets in total.
    lines: Vec<String>,
}

/// How long mail is kept on the server (RFC 2449, section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// At least this many days. With 0 the server may remove what was retrieved as soon as the session ends.
    Days(u32),
    /// The server never removes mail by itself.
    Never,
}

/// The minimum time between two logins (RFC 2449, section 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginDelay {
    /// Seconds from one login to the next. Before the login this is the largest value of any user.
    pub seconds: u64,
    /// Whether the time differs between users; the exact one is announced after the login.
    pub per_user: bool,
}

impl Capabilities {
    /// Creates an empty list; [`add_line`](Self::add_line) fills it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one line of CAPA's answer, without its line end. Skips empty lines, and lines that no longer fit into
    /// [`limits::CAPABILITY_LINES`] and [`limits::CAPABILITIES_KEPT`].
    pub fn add_line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() || self.lines.len() >= limits::CAPABILITY_LINES || line.len() > limits::CAPABILITIES_KEPT {
            return;
        }
        let line = text::words_in(line);
        let kept: usize = self.lines.iter().map(String::len).sum();
        if kept + line.len() <= limits::CAPABILITIES_KEPT {
            self.lines.push(line);
        }
    }

    /// Returns the lines in order, with control characters escaped.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Whether this tag is announced, whatever its arguments.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.arguments(tag).is_some()
    }

    /// Whether TOP is announced (RFC 2449, section 6.1).
    #[must_use]
    pub fn top(&self) -> bool {
        self.has("TOP")
    }

    /// Whether USER and PASS are announced (RFC 2449, section 6.2).
    #[must_use]
    pub fn user(&self) -> bool {
        self.has("USER")
    }

    /// Whether UIDL is announced (RFC 2449, section 6.8).
    #[must_use]
    pub fn uidl(&self) -> bool {
        self.has("UIDL")
    }

    /// Whether several commands may be sent before the first is answered (RFC 2449, section 6.6).
    #[must_use]
    pub fn pipelining(&self) -> bool {
        self.has("PIPELINING")
    }

    /// Whether UTF8 is announced (RFC 6856, section 2.1), with or without the argument USER.
    #[must_use]
    pub fn utf8(&self) -> bool {
        self.has("UTF8")
    }

    /// Returns LOGIN-DELAY (RFC 2449, section 6.5). `None` if it is missing or not a number.
    #[must_use]
    pub fn login_delay(&self) -> Option<LoginDelay> {
        let arguments = self.arguments("LOGIN-DELAY")?;
        let seconds = saturating_number(arguments.split_ascii_whitespace().next()?)?;
        Some(LoginDelay { seconds, per_user: has_word(arguments, "USER") })
    }

    /// Returns EXPIRE (RFC 2449, section 6.7). `None` if it is missing or neither a number of days nor NEVER.
    #[must_use]
    pub fn expire(&self) -> Option<Expire> {
        let term = self.arguments("EXPIRE")?.split_ascii_whitespace().next()?;
        if term.eq_ignore_ascii_case("NEVER") {
            return Some(Expire::Never);
        }
        saturating_number(term).map(|days| Expire::Days(u32::try_from(days).unwrap_or(u32::MAX)))
    }

    /// Whether the server removes all retrieved messages at QUIT (EXPIRE 0, RFC 2449, section 6.7).
    #[must_use]
    pub fn removes_what_was_retrieved(&self) -> bool {
        self.expire() == Some(Expire::Days(0))
    }

    /// Whether AUTH supports this mechanism (RFC 2449, section 6.3; RFC 5034, section 3).
    #[must_use]
    pub fn sasl(&self, mechanism: Mechanism) -> bool {
        self.sasl_names().any(|name| name.eq_ignore_ascii_case(mechanism.name()))
    }

    /// Returns all SASL mechanisms, as the server writes them.
    pub fn sasl_names(&self) -> impl Iterator<Item = &str> {
        self.entries().filter(|(tag, _)| tag.eq_ignore_ascii_case("SASL")).flat_map(|(_, a)| a.split_ascii_whitespace())
    }

    fn arguments(&self, tag: &str) -> Option<&str> {
        self.entries().find(|(announced, _)| announced.eq_ignore_ascii_case(tag)).map(|(_, arguments)| arguments)
    }

    /// Returns the tag and the arguments of each line.
    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|line| match line.split_once(' ') {
            Some((tag, arguments)) => (tag, arguments.trim()),
            None => (line.as_str(), ""),
        })
    }
}

fn has_word(arguments: &str, wanted: &str) -> bool {
    arguments.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(wanted))
}

/// Parses digits only. A number beyond 64 bits becomes the largest one: nobody waits that long.
fn saturating_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::new();
        for line in lines {
            capabilities.add_line(line.as_bytes());
        }
        capabilities
    }

    #[test]
    fn reads_the_example_of_rfc_2449() {
        let capabilities = capabilities(&[
            "TOP",
            "USER",
            "SASL CRAM-MD5 KERBEROS_V4",
            "RESP-CODES",
            "LOGIN-DELAY 900",
            "PIPELINING",
            "EXPIRE 60",
            "UIDL",
            "IMPLEMENTATION Shlemazle-Plotz-v302",
        ]);
        assert!(capabilities.top() && capabilities.user() && capabilities.uidl());
        assert!(capabilities.pipelining() && !capabilities.utf8());
        assert_eq!(capabilities.sasl_names().collect::<Vec<_>>(), ["CRAM-MD5", "KERBEROS_V4"]);
        assert!(!capabilities.sasl(Mechanism::Plain));
        assert_eq!(capabilities.login_delay(), Some(LoginDelay { seconds: 900, per_user: false }));
    }

    #[test]
    fn reads_what_gmail_announces() {
        let capabilities = capabilities(&[
            "USER",
            "RESP-CODES",
            "EXPIRE 0",
            "LOGIN-DELAY 300",
            "TOP",
            "UIDL",
            "X-GOOGLE-RICO",
            "SASL PLAIN XOAUTH2 OAUTHBEARER",
        ]);
        assert!(capabilities.has("X-GOOGLE-RICO") && capabilities.has("x-google-rico"));
        assert!(!capabilities.has("X-GOOGLE"));
        assert!(capabilities.sasl(Mechanism::Plain));
    }

    #[test]
    fn does_not_care_for_case() {
        let capabilities = capabilities(&["top", "Stls", "sasl plain", "utf8 user"]);
        assert!(capabilities.top() && capabilities.has("STLS") && capabilities.sasl(Mechanism::Plain));
        assert!(capabilities.utf8());
    }

    #[test]
    fn does_not_take_an_argument_for_a_capability() {
        let capabilities = capabilities(&["EXPIRE 31 USER", "SASL LOGIN X-PLAIN"]);
        assert!(!capabilities.user() && !capabilities.sasl(Mechanism::Plain));
    }

    #[test]
    fn collects_mechanisms_from_all_lines() {
        let capabilities = capabilities(&["SASL LOGIN", "SASL", "SASL  PLAIN "]);
        assert_eq!(capabilities.sasl_names().collect::<Vec<_>>(), ["LOGIN", "PLAIN"]);
    }

    #[test]
    fn reads_a_login_delay_per_user() {
        let delay = |line| capabilities(&[line]).login_delay();
        assert_eq!(delay("LOGIN-DELAY 120 USER"), Some(LoginDelay { seconds: 120, per_user: true }));
        assert_eq!(delay("LOGIN-DELAY"), None);
        assert_eq!(delay("LOGIN-DELAY soon"), None);
        assert_eq!(delay("LOGIN-DELAY -5"), None);
        assert_eq!(delay("LOGIN-DELAY 99999999999999999999").map(|delay| delay.seconds), Some(u64::MAX));
    }

    #[test]
    fn keeps_a_bounded_number_of_lines() {
        let mut capabilities = Capabilities::new();
        for n in 0..10_000 {
            capabilities.add_line(format!("X-{n}").as_bytes());
            capabilities.add_line(b"  ");
        }
        assert_eq!(capabilities.lines().count(), limits::CAPABILITY_LINES);
    }

    #[test]
    fn escapes_control_bytes() {
        assert_eq!(capabilities(&["X-\u{1b}[2J"]).lines().collect::<Vec<_>>(), ["X-\\u{1b}[2J"]);
    }

    #[test]
    fn keeps_a_bounded_number_of_octets() {
        let mut capabilities = Capabilities::new();
        let half = limits::CAPABILITIES_KEPT / 2;
        capabilities.add_line(&vec![b'A'; half]);
        capabilities.add_line(&vec![b'B'; half + 1]);
        capabilities.add_line(&vec![1; limits::CAPABILITIES_KEPT]);
        capabilities.add_line(&vec![b'C'; half - 4]);
        capabilities.add_line(b"UIDL");
        capabilities.add_line(b"TOP");
        assert!(capabilities.uidl() && !capabilities.top(), "what fits is kept to the octet");
        assert_eq!(capabilities.lines().count(), 3);
    }
}
