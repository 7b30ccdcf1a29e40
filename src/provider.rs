//! What is known of some mail providers and cannot be asked of their servers. PURE.
//!
//! An entry needs a source. A rule that a server announces or enforces in words needs no entry: LOGIN-DELAY is obeyed
//! everywhere, and [`crate::schedule`] learns from a refusal that came too soon.

use std::time::Duration;

/// A provider whose servers have rules of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// What people call it.
    pub name: &'static str,
    /// Its servers have one of these names, or a name below one.
    domains: &'static [&'static str],
    /// The least time between two polls.
    pub min_interval: Duration,
    /// The LOGIN-DELAY (RFC 2449, section 6.5) that its servers announce is not what they enforce, and `min_interval` stands
    /// in its place. More sessions for a backlog need not wait even for that.
    pub login_delay_is_untrue: bool,
    /// A session lists only some of the messages; the next one lists more.
    pub lists_in_portions: bool,
}

/// All of them.
static PROVIDERS: [Provider; 3] = [
    // Announces LOGIN-DELAY 300 and lists about 250 messages at a time, the oldest first: a backlog of thousands takes
    // dozens of sessions, and clients that hold them one after the other are let in. For polls in the long run its help
    // (support.google.com/mail/answer/7126229) warns that a client which looks more often than every 10 minutes may be
    // locked out; 300 s is the number that its servers themselves give.
    Provider {
        name: "Gmail",
        domains: &["gmail.com", "googlemail.com"],
        min_interval: Duration::from_secs(300),
        login_delay_is_untrue: true,
        lists_in_portions: true,
    },
    // Cuts the connection of who comes again within 60 s, without a word (help.ovh.co.uk/EmailPopTooOften).
    Provider {
        name: "OVH",
        domains: &["ovh.net", "ovh.ca"],
        min_interval: Duration::from_secs(60),
        login_delay_is_untrue: false,
        lists_in_portions: false,
    },
    // Locks out for up to an hour who polls more often than every 30 s in the mean of some hours
    // (luxsci.com/blog/faqs/email-hosting/standard-shared-hosting-pop-checking-limits).
    Provider {
        name: "LuxSci",
        domains: &["luxsci.com"],
        min_interval: Duration::from_secs(30),
        login_delay_is_untrue: false,
        lists_in_portions: false,
    },
];

impl Provider {
    /// The provider that a host belongs to, if anything is known of it.
    #[must_use]
    pub fn of(host: &str) -> Option<&'static Self> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_below =
            |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        PROVIDERS.iter().find(|provider| provider.domains.iter().any(is_below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_belongs_to_the_domain_it_is_below() {
        let name = |host| Provider::of(host).map(|provider| provider.name);
        assert_eq!(name("pop.gmail.com"), Some("Gmail"));
        assert_eq!(name("POP.GoogleMail.com."), Some("Gmail"));
        assert_eq!(name("ssl0.ovh.net"), Some("OVH"));
        assert_eq!(name("ovh.net"), Some("OVH"));
        for host in ["", ".", "notgmail.com", "pop.gmail.com.example.org", "gmail.example.org", "127.0.0.1", "::1"] {
            assert_eq!(name(host), None, "{host}");
        }
    }

    #[test]
    fn domains_are_written_as_they_are_looked_up() {
        for provider in &PROVIDERS {
            for domain in provider.domains {
                assert_eq!(Provider::of(domain), Some(provider), "{domain}");
            }
        }
    }
}
