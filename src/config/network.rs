//! The network settings of a server: `ip`, `source_address`, `proxy`.

use std::net::IpAddr;

use toml::de::{DeTable, DeValue};

use super::host::host_name;
use super::value::{InvalidValue, plain_text};
use crate::account::{IpVersion, Proxy, ProxyCredentials, ProxyKind};
use crate::secret::Secret;

/// The values of `ip`.
pub(super) const IP: [(&str, IpVersion); 3] = [("any", IpVersion::Any), ("4", IpVersion::V4), ("6", IpVersion::V6)];

/// Reads an address of this machine.
pub(super) fn source_address(value: &DeValue<'_>) -> Result<IpAddr, InvalidValue> {
    let example = "an address of this machine, such as \"192.0.2.7\"";
    let text = plain_text(value, example)?;
    text.parse().map_err(|_| InvalidValue::new("is not an address", format!("write {example}")))
}

/// Reads `proxy`; "none" overrides that of `[defaults]`.
pub(super) fn proxy(value: &DeValue<'_>) -> Result<Option<Proxy>, InvalidValue> {
    const HELP: &str = "write \"socks5://HOST:PORT\" or \"http://HOST:PORT\", with USER:PASSWORD@ before the host if it wants \
                        them, or \"none\"";
    let wrong = |what: &str| InvalidValue::new(what, HELP);
    let text = plain_text(value, "the proxy, such as \"socks5://localhost:1080\"")?;
    if text == "none" {
        return Ok(None);
    }
    let (scheme, rest) = text.split_once("://").ok_or(wrong("does not say what the proxy speaks"))?;
    let kind = match scheme {
        "socks5" | "socks5h" => ProxyKind::Socks5,
        "http" => ProxyKind::HttpConnect,
        _ => return Err(wrong("names a proxy that is neither socks5 nor http")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, rest),
    };
    let (host, port) = place.rsplit_once(':').ok_or(wrong("has no port"))?;
    let host = host_name(host)?;
    let digits = port.bytes().all(|octet| octet.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(wrong("has a port that is none"))?;
    let credentials =
        credentials.map(|text| self::credentials(text).ok_or(wrong("has a name or a password that is none")));
    Ok(Some(Proxy { kind, host, port, credentials: credentials.transpose()? }))
}

/// Parses `USER:PASSWORD`, percent-encoded.
fn credentials(text: &str) -> Option<ProxyCredentials> {
    let (username, password) = text.split_once(':')?;
    let username = String::from_utf8(decoded(username)?).ok()?;
    let password = decoded(password)?;
    // Lengths as in RFC 1929. In HTTP, a control character would end the line, and a colon the name.
    let good = |octets: &[u8]| (1..=255).contains(&octets.len()) && !octets.iter().any(u8::is_ascii_control);
    let text =
        good(username.as_bytes()) && !username.contains(':') && good(&password) && str::from_utf8(&password).is_ok();
    text.then(|| ProxyCredentials { username, password: Secret::new(password) })
}

/// Decodes percent-encoded octets (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                let digits = str::from_utf8(&pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            octet => octet,
        });
    }
    Some(octets)
}

/// Whether a table contains a proxy with a password; its file must be protected.
pub(super) fn holds_password(table: &DeTable<'_>) -> bool {
    table.get(super::keys::PROXY).and_then(|value| value.get_ref().as_str()).is_some_and(|text| text.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Proxy>, InvalidValue> {
        proxy(&DeValue::String(text.into()))
    }

    #[test]
    fn a_proxy_is_a_url() {
        let plain = |kind, host: &str, port| Proxy { kind, host: host.to_owned(), port, credentials: None };
        for (text, expected) in [
            ("none", None),
            ("socks5://localhost:1080", Some(plain(ProxyKind::Socks5, "localhost", 1080))),
            ("socks5h://localhost:1080/", Some(plain(ProxyKind::Socks5, "localhost", 1080))),
            ("http://[2001:db8::1]:3128", Some(plain(ProxyKind::HttpConnect, "2001:db8::1", 3128))),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let credentials = read("http://jo%40x:p%40ss%3a@proxy.example.org:8080").unwrap().unwrap().credentials.unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("jo@x", &b"p@ss:"[..]));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_shown() {
        for text in [
            "localhost:1080",
            "https://localhost:1080",
            "socks4://localhost:1080",
            "socks5://localhost",
            "socks5://localhost:0",
            "socks5://localhost:+1",
            "socks5://:1080",
            "socks5://a b:1080",
            "socks5://s3cret@localhost:1080",
            "socks5://jo:%zz-s3cret@localhost:1080",
            "http://jo%3ax:s3cret@localhost:1080",
            "http://jo:s3cret%0d%0a@localhost:1080",
            "http://jo:s3cret%ff@localhost:1080",
            "http://jo:@localhost:1080",
        ] {
            let invalid = read(text).unwrap_err();
            assert!(!invalid.message.contains("s3cret") && !invalid.help.contains("s3cret"), "{text}: {invalid:?}");
        }
    }
}
