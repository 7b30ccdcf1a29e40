//! What must never be printed and never be sent in clear.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::scripted::maildrop::{PASSWORD, USER};

/// Checks what must hold for everything that the program prints: no secret, no control characters.
pub(crate) fn check_output(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets() {
        assert!(!text.contains(&secret), "a secret is printed in:\n{text}");
    }
    let control = bytes.iter().find(|&&byte| (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f);
    assert_eq!(control, None, "a control byte is printed in:\n{text:?}");
}

/// The password, and the base64 forms in which it is sent.
pub(crate) fn secrets() -> Vec<String> {
    let plain = format!("\0{USER}\0{PASSWORD}");
    vec![PASSWORD.to_owned(), BASE64_STANDARD.encode(plain), BASE64_STANDARD.encode(PASSWORD)]
}

/// Checks that nothing of the user name, the password or their base64 was sent in clear.
#[track_caller]
pub(crate) fn assert_no_secret(wire: &[u8]) {
    let text = String::from_utf8_lossy(wire);
    for secret in secrets().into_iter().chain([USER.to_owned(), BASE64_STANDARD.encode(USER)]) {
        assert!(!text.contains(&secret), "{secret:?} crossed the wire in clear");
    }
    for word in ["USER", "PASS", "AUTH", "APOP"] {
        let sent = text.lines().any(|line| line.to_ascii_uppercase().starts_with(word));
        assert!(!sent, "{word} was sent in clear");
    }
}
