//! Facts about mail providers that their servers do not announce: their hosts, login names and rules. PURE.
//!
//! These are data: a provider is one line of `providers.tsv`, with its source and the date it was checked. A rule that
//! a server announces or enforces in words needs no line: LOGIN-DELAY is obeyed unless the table calls it untrue, and
//! [`crate::schedule`] learns from a refusal of a poll that came too soon.

mod table;

use std::sync::LazyLock;
use std::time::Duration;

use crate::account::TlsMode;

/// A provider of mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its identifier in the configuration.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Its POP3 server. None if it has none, or only facts about its servers are known.
    pub host: Option<&'static str>,
    /// The port there.
    pub port: u16,
    /// When TLS begins there.
    pub tls: TlsMode,
    /// The name to log in with.
    pub login: Login,
    /// The credentials it accepts.
    pub accepts: Accepts,
    /// The preset for signing in by OAuth 2.0, if there is one: see [`crate::account::preset`].
    pub oauth: Option<&'static str>,
    /// Its servers have one of these names or are below one.
    servers: Vec<&'static str>,
    /// The domains of its mail addresses; one that ends in `.*` matches every top-level domain.
    domains: Vec<&'static str>,
    /// The minimum time between two polls; zero if none is known.
    pub min_interval: Duration,
    /// The time between two polls that it recommends.
    pub interval: Option<Duration>,
    /// The LOGIN-DELAY (RFC 2449, section 6.5) that its servers announce is not the one they enforce, and
    /// `min_interval` is used instead. Further sessions to clear a backlog need not wait even for that.
    pub login_delay_is_untrue: bool,
    /// A session lists only some of the messages; the next one lists more.
    pub lists_in_portions: bool,
    /// It has no POP3.
    pub no_pop3: bool,
    /// Where to enable POP3 and create a password for programs, in the words of its menus.
    pub enable: Option<&'static str>,
    /// Other useful information.
    pub note: Option<&'static str>,
    /// The date on which this was checked (RFC 3339).
    pub checked: &'static str,
    /// The source of this information.
    pub source: &'static str,
}

/// The form of the login name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The whole address.
    Address,
    /// The part before the @.
    LocalPart,
}

/// The credentials that a provider accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepts {
    /// The password of the mailbox.
    pub password: bool,
    /// A password for a single program (app password).
    pub app_password: bool,
    /// The same, under the name that Chinese providers use (授权码).
    pub authorization_code: bool,
    /// An OAuth 2.0 access token.
    pub oauth: bool,
}

impl Accepts {
    /// Whether it accepts anything besides OAuth 2.0.
    #[must_use]
    pub fn any_password(self) -> bool {
        self.password || self.app_password || self.authorization_code
    }
}

/// All known providers.
static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(|| table::parse(include_str!("providers.tsv")).0);

impl Provider {
    /// All known providers, in the order of the table.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &PROVIDERS
    }

    /// Returns the provider to which a server belongs, if known.
    #[must_use]
    pub fn of(host: &str) -> Option<&'static Self> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_below =
            |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let is_its = |provider: &&Self| provider.host == Some(host.as_str());
        let is_near = |provider: &&Self| provider.servers.iter().any(is_below);
        PROVIDERS.iter().find(is_its).or_else(|| PROVIDERS.iter().find(is_near))
    }

    /// Returns the provider with this identifier in the configuration.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.id == id && provider.may_be_named())
    }

    /// Returns the provider of a mail address, by its domain.
    #[must_use]
    pub fn of_address(address: &str) -> Option<&'static Self> {
        let (_, domain) = address.rsplit_once('@')?;
        let domain = domain.to_ascii_lowercase();
        let is_same = |known: &&str| **known == domain;
        let is_like = |known: &&str| {
            let stem = known.strip_suffix(".*");
            stem.and_then(|stem| domain.strip_prefix(stem)).is_some_and(|rest| rest.starts_with('.'))
        };
        let by = |matches: &dyn Fn(&&str) -> bool| PROVIDERS.iter().find(|one| one.domains.iter().any(matches));
        by(&is_same).or_else(|| by(&is_like))
    }

    /// Returns the identifiers of providers that have a mail domain whose first label is this one, such as "gmx".
    pub fn names_by_label(label: &str) -> impl Iterator<Item = &'static str> {
        let label = label.to_ascii_lowercase();
        let begins = move |domain: &&str| domain.strip_prefix(label.as_str()).is_some_and(|rest| rest.starts_with('.'));
        let is_its = move |one: &&Self| one.may_be_named() && one.domains.iter().any(&begins);
        PROVIDERS.iter().filter(is_its).map(|one| one.id)
    }

    /// The identifiers allowed in the configuration.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROVIDERS.iter().filter(|one| one.may_be_named()).map(|provider| provider.id)
    }

    /// Whether the configuration may name it: it has a server, or is known to have no POP3.
    fn may_be_named(&self) -> bool {
        self.host.is_some() || self.no_pop3
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
        assert_eq!(name("secure-pop.luxsci.com"), Some("LuxSci"));
        assert_eq!(name("pop3.web.de"), Some("WEB.DE"));
        for host in ["", ".", "notgmail.com", "pop.gmail.com.example.org", "gmail.example.org", "127.0.0.1", "::1"] {
            assert_eq!(name(host), None, "{host}");
        }
    }

    #[test]
    fn servers_are_written_as_they_are_looked_up() {
        for provider in Provider::all() {
            for server in &provider.servers {
                assert_eq!(Provider::of(server).map(|found| found.name), Some(provider.name), "{server}");
            }
            if let Some(host) = provider.host {
                assert_eq!(Provider::of(host).and_then(|found| found.host), Some(host));
            }
        }
    }

    #[test]
    fn an_address_belongs_to_the_provider_of_its_domain() {
        let id = |address| Provider::of_address(address).map(|provider| provider.id);
        assert_eq!(id("jo@gmail.com"), Some("gmail"));
        assert_eq!(id("jo@YMail.com"), Some("yahoo"));
        assert_eq!(id("jo@yahoo.de"), Some("yahoo"));
        assert_eq!(id("jo@yahoo.co.uk"), Some("yahoo"));
        assert_eq!(id("jo@yahoo.co.jp"), Some("yahoojp"));
        assert_eq!(id("jo@me.com"), Some("icloud"));
        for address in ["jo", "", "jo@", "jo@yahoo", "jo@yahooo.com", "jo@example.org"] {
            assert_eq!(id(address), None, "{address}");
        }
    }

    #[test]
    fn the_page_speaks_of_every_provider() {
        let page = include_str!("../../docs/providers.md");
        for name in Provider::names() {
            assert!(page.contains(&format!("| `{name}` |")), "docs/providers.md does not speak of {name}");
        }
    }

    #[test]
    fn what_the_schedule_relies_on_is_there() {
        let gmail = Provider::named("gmail").unwrap();
        assert!(gmail.login_delay_is_untrue && gmail.lists_in_portions && gmail.min_interval.as_secs() == 300);
        assert_eq!(Provider::of("ssl0.ovh.net").unwrap().min_interval.as_secs(), 60);
        let web_de = Provider::named("webde").unwrap();
        assert_eq!((web_de.min_interval.as_secs(), web_de.interval.unwrap().as_secs()), (0, 900));
        assert!(Provider::named("luxsci").is_none(), "nobody knows its server");
        assert!(Provider::names().any(|name| name == "icloud") && Provider::named("icloud").unwrap().no_pop3);
        assert!(!Provider::named("outlook").unwrap().accepts.any_password());
    }
}
