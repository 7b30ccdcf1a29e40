//! The URL of an authorization server's endpoint: https, or http on this machine.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use url::{Host, Url};

use super::{Endpoint, KeyExchange, Route, TlsMode, TlsOptions};

/// An https URL; or an http one that cannot leave this machine.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl(Url);

/// Why a text is not such a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidServerUrl {
    /// It is no URL.
    NotUrl,
    /// It is http and would leave this machine.
    NotEncrypted,
    /// It is neither http nor https.
    Scheme,
    /// It contains a user name, a password or a fragment.
    Parts,
}

impl fmt::Display for InvalidServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUrl => "is not a URL",
            Self::NotEncrypted => "is not encrypted",
            Self::Scheme => "is not an https URL",
            Self::Parts => "holds a user name, a password or a fragment",
        })
    }
}

impl std::error::Error for InvalidServerUrl {}

impl ServerUrl {
    /// Parses and checks a URL.
    ///
    /// # Errors
    /// [`InvalidServerUrl`].
    pub fn new(text: &str) -> Result<Self, InvalidServerUrl> {
        let url = Url::parse(text).map_err(|_| InvalidServerUrl::NotUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if url.host().is_some_and(|host| is_loopback(&host)) => {}
            "http" => return Err(InvalidServerUrl::NotEncrypted),
            _ => return Err(InvalidServerUrl::Scheme),
        }
        if !url.has_host() {
            return Err(InvalidServerUrl::NotUrl);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(InvalidServerUrl::Parts);
        }
        Ok(Self(url))
    }

    /// Returns the URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns the server's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    /// Returns how to connect to it: by the route of the account's own server, but directly to a server on this
    /// machine. To a proxy elsewhere, its name would mean that other machine.
    #[must_use]
    pub fn endpoint(&self, ca_file: Option<&Path>, route: &Route) -> Endpoint {
        let is_here = self.0.host().is_some_and(|host| is_loopback(&host));
        Endpoint {
            host: self.host(),
            port: self.0.port_or_known_default().unwrap_or(443),
            tls: if self.0.scheme() == "https" { TlsMode::Implicit } else { TlsMode::None },
            tls_ca_file: ca_file.map(Path::to_owned),
            key_exchange: KeyExchange::Auto,
            allow_cleartext_password: false,
            route: if is_here { Route::default() } else { route.clone() },
            tls_options: TlsOptions::default(),
        }
    }
}

/// Whether traffic to this host stays on this machine, as far as the name tells.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_https_or_stay_here() {
        for text in
            ["https://login.example.org/token", "http://127.0.0.1:8080/t", "http://localhost/", "http://[::1]:9/"]
        {
            assert!(ServerUrl::new(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("login.example.org/token", InvalidServerUrl::NotUrl),
            ("", InvalidServerUrl::NotUrl),
            ("http://login.example.org/", InvalidServerUrl::NotEncrypted),
            ("http://127.0.0.1.example.org/", InvalidServerUrl::NotEncrypted),
            ("http://0.0.0.0/", InvalidServerUrl::NotEncrypted),
            ("ftp://example.org/", InvalidServerUrl::Scheme),
            ("file:///etc/passwd", InvalidServerUrl::Scheme),
            ("https://jo:pw@example.org/", InvalidServerUrl::Parts),
            ("https://example.org/#x", InvalidServerUrl::Parts),
        ] {
            assert_eq!(ServerUrl::new(text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn it_says_how_it_is_connected_to() {
        let endpoint = |text| ServerUrl::new(text).unwrap().endpoint(None, &Route::default());
        let over_tls = endpoint("https://login.example.org/x?y");
        assert_eq!(
            (over_tls.host.as_str(), over_tls.port, over_tls.tls),
            ("login.example.org", 443, TlsMode::Implicit)
        );
        let here = endpoint("http://[::1]:99/");
        assert_eq!((here.host.as_str(), here.port, here.tls), ("::1", 99, TlsMode::None));
    }

    #[test]
    fn it_is_reached_as_the_accounts_server_is_unless_it_is_on_this_machine() {
        let route = Route { source_address: "192.0.2.7".parse().ok(), ..Route::default() };
        let by = |text| ServerUrl::new(text).unwrap().endpoint(None, &route).route;
        assert_eq!(by("https://login.example.org/"), route);
        for here in ["http://127.0.0.1:99/", "https://localhost/", "https://[::1]/"] {
            assert_eq!(by(here), Route::default(), "{here}");
        }
    }
}
