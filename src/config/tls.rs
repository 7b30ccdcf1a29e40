//! Further settings of TLS: `tls_trust`, `tls_pin`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use toml::de::DeValue;

use super::value::{InvalidValue, string, wrong_type};
use crate::account::{PublicKeyPin, TlsTrust};

/// The values of `tls_trust`.
pub(super) const TRUST: [(&str, TlsTrust); 3] =
    [("authorities", TlsTrust::Authorities), ("platform-and-file", TlsTrust::PlatformAndFile), ("pin", TlsTrust::Pin)];

const EXAMPLE: &str = "the SHA-256 of the server's public key, such as \"sha256//...=\" or 64 hexadecimal digits";

/// Reads one pin, or several in an array.
pub(super) fn pins(value: &DeValue<'_>) -> Result<Vec<PublicKeyPin>, InvalidValue> {
    match value {
        DeValue::Array(items) if items.is_empty() => Err(InvalidValue::new("is empty", format!("write {EXAMPLE}"))),
        DeValue::Array(items) => items.iter().map(|item| pin(item.get_ref())).collect(),
        DeValue::String(_) => pin(value).map(|pin| vec![pin]),
        _ => Err(wrong_type(value, "a string or an array of strings", EXAMPLE)),
    }
}

/// Reads a pin: `sha256//` and base64, or hexadecimal digits in either case, with or without colons.
fn pin(value: &DeValue<'_>) -> Result<PublicKeyPin, InvalidValue> {
    let text = string(value, EXAMPLE)?;
    let octets = match text.strip_prefix("sha256//") {
        Some(encoded) => BASE64_STANDARD.decode(encoded).ok(),
        None => hexadecimal(&text.replace(':', "")),
    };
    let digest = octets.and_then(|octets| octets.try_into().ok());
    digest.map(PublicKeyPin).ok_or_else(|| InvalidValue::new("is not a SHA-256 digest", format!("write {EXAMPLE}")))
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let octet = |pair: &[u8]| {
        let digits = str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
        u8::from_str_radix(digits, 16).ok()
    };
    digits.as_bytes().chunks(2).map(|pair| octet(pair).filter(|_| pair.len() == 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn a_pin_is_written_in_base64_or_hexadecimal() {
        let hex = "FF".repeat(32);
        let colons = vec!["ff"; 32].join(":");
        for written in [&format!("sha256//{}=", "/".repeat(42) + "8"), &hex, &colons] {
            assert_eq!(pins(&text(written)).unwrap(), [PublicKeyPin([0xff; 32])], "{written}");
        }
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for written in ["", "sha256//", "sha256//AAAA", "sha1//AAAA", "ff", "zz", &"+f".repeat(32), &"f".repeat(63)] {
            assert!(pins(&text(written)).is_err(), "{written}");
        }
    }
}
