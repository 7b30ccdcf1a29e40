//! Host names in the configuration.

use std::net::{IpAddr, Ipv6Addr};

use toml::de::DeValue;

use super::value::{InvalidValue, plain_text};
use crate::text;

/// The longest domain name (RFC 1035, section 2.3.4).
const MAX_LENGTH: usize = 253;

/// Reads a host name or an address; removes the brackets of an IPv6 address.
pub(super) fn host(value: &DeValue<'_>) -> Result<String, InvalidValue> {
    host_name(plain_text(value, "the server's name, such as \"pop.example.org\"")?)
}

/// Checks a host name or an address given as text.
pub(super) fn host_name(text: &str) -> Result<String, InvalidValue> {
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && inside.parse::<Ipv6Addr>().is_ok()
    {
        return Ok(inside.to_owned());
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.contains("://") {
        return Err(InvalidValue::new(
            "is a URL",
            "write the server's name alone; `port` and `tls` have their own keys",
        ));
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(InvalidValue::new(
            "holds a port",
            format!("write host = \"{}\" and port = {port}", text::value(name)),
        ));
    }
    if text.contains('@') {
        return Err(InvalidValue::new("is a mail address", "write the name of the POP3 server of that address"));
    }
    if !text.is_ascii() {
        return Err(InvalidValue::new("holds letters that are not ASCII", "write the name in its xn-- form"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || !text.chars().all(allowed) || text.starts_with(['.', '-']) || text.contains("..") {
        return Err(InvalidValue::new("is not a host name", "write the server's name, such as \"pop.example.org\""));
    }
    if text.len() > MAX_LENGTH {
        return Err(InvalidValue::new(
            "is too long for a host name",
            format!("it has at most {MAX_LENGTH} characters"),
        ));
    }
    Ok(text.to_owned())
}

/// Whether the host is this machine, as far as its name tells.
pub(super) fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::{host, is_loopback};

    #[test]
    fn names_and_addresses_are_hosts() {
        for (text, expected) in [
            ("pop.qq.com", "pop.qq.com"),
            ("mail_1", "mail_1"),
            ("localhost", "localhost"),
            ("example.org.", "example.org."),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[2001:db8::7]", "2001:db8::7"),
        ] {
            assert_eq!(host(&DeValue::String(text.into())).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_in_words() {
        let long = "a.".repeat(130);
        for (text, expected) in [
            ("", "is empty"),
            ("pop.qq.com\n", "control character"),
            ("pop3s://pop.qq.com", "is a URL"),
            ("pop.qq.com:995", "holds a port"),
            ("jo@qq.com", "is a mail address"),
            ("pop.bücher.example", "not ASCII"),
            ("pop qq com", "not a host name"),
            ("-pop.qq.com", "not a host name"),
            ("pop..com", "not a host name"),
            ("[pop.qq.com]", "not a host name"),
            (&long, "too long"),
        ] {
            let invalid = host(&DeValue::String(text.into())).unwrap_err();
            assert!(invalid.message.contains(expected), "{text}: {invalid:?}");
        }
    }

    #[test]
    fn loopback_is_what_cannot_leave_the_machine() {
        for name in ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["localhost.example.org", "128.0.0.1", "::2", "0.0.0.0", "pop.qq.com", "127.0.0.1.example.org"] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
