//! IMAP mailbox names as people read them. PURE.

use base64::Engine as _;

/// Decodes a name written in modified UTF-7 (RFC 3501, section 5.1.3). Returns None if it is not.
pub(super) fn decoded(name: &str) -> Option<String> {
    let mut read = String::new();
    let mut rest = name;
    while let Some((before, run)) = rest.split_once('&') {
        read.push_str(before);
        let Some((letters, after)) = run.split_once('-') else {
            read.push('&');
            rest = run;
            continue;
        };
        match of_run(letters) {
            Some(letters) => {
                read.push_str(&letters);
                rest = after;
            }
            None => {
                read.push('&');
                rest = run;
            }
        }
    }
    read.push_str(rest);
    // An ASCII name may contain an ampersand and be meant literally.
    (read != name && !read.is_ascii()).then_some(read)
}

/// Decodes the text between `&` and `-`.
fn of_run(letters: &str) -> Option<String> {
    if letters.is_empty() {
        return Some("&".to_owned());
    }
    let bytes = base64::prelude::BASE64_STANDARD_NO_PAD.decode(letters.replace(',', "/")).ok()?;
    let (units, rest) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>()).ok()?;
    (rest.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn names_as_on_the_wire_are_known_and_no_others() {
        for (name, read) in [
            ("Entw&APw-rfe", "Entwürfe"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("&2D3eAA-", "😀"),
            ("R&-D/Entw&APw-rfe", "R&D/Entwürfe"),
        ] {
            assert_eq!(decoded(name).as_deref(), Some(read), "{name}");
        }
        for name in ["INBOX", "Entwürfe", "R&D", "R&-D", "R&D - new", "a&b-c", "&", "&-", "&&", "Tom & Jerry-Fans"] {
            assert_eq!(decoded(name), None, "{name}");
        }
    }
}
