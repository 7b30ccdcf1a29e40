//! Finds the part of a header that the mail provider wrote, by its Received fields (RFC 5321, section 4.4).
//!
//! Each server that a message passes adds its lines at the top. Everything above the mail provider's own Received field
//! was written by the mail provider; everything below may come from the sender, and say anything.

/// Returns the host in the `by` of a Received field, in lower case; an empty string if it is a mere comment, as qmail
/// writes it. `None` if the field is not what a server writes: then nothing that depends on it is trusted.
pub(super) fn by(text: &str) -> Option<String> {
    let without_comments = without_comments(text)?;
    let (path, _) = without_comments.rsplit_once(';')?;
    let mut words = path.split_whitespace();
    let Some(first) = words.next() else { return Some(String::new()) };
    let mut word = first;
    if first.eq_ignore_ascii_case("from") {
        // The name that the client gave, which may be `by`.
        words.next()?;
        word = words.next()?;
        // Some servers give its address without parentheses.
        if word.starts_with('[') && word.ends_with(']') {
            word = words.next()?;
        }
    }
    let host = words.next().filter(|_| word.eq_ignore_ascii_case("by"))?;
    // No server writes a second one.
    (!words.any(|word| word.eq_ignore_ascii_case("by"))).then(|| host.trim_end_matches('.').to_ascii_lowercase())
}

/// Removes everything in parentheses. `None` if they do not match.
fn without_comments(text: &str) -> Option<String> {
    let (mut kept, mut depth) = (String::with_capacity(text.len()), 0_usize);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '(' => {
                depth += 1;
                kept.push(' ');
            }
            ')' => depth = depth.checked_sub(1)?,
            '\\' if depth > 0 => _ = characters.next()?,
            // Servers write no quotes here, and quoted text would have to be parsed by other rules.
            '"' if depth == 0 => return None,
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    (depth == 0).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::by;

    #[test]
    fn the_host_behind_by_is_found_and_nobody_elses_word_for_it() {
        let mx = Some("mx.hoster.example");
        for (text, expected) in [
            (
                "from a.example (a.example [192.0.2.1]) by mx.hoster.example (Postfix) with ESMTPS id 7F; Thu, 26 Nov",
                mx,
            ),
            ("from a.example ([192.0.2.1] helo=by) by MX.hoster.example. with esmtp (Exim 4) id x-y; Thu", mx),
            ("by mx.hoster.example with LMTP id x (envelope-from <a@b>); Thu", mx),
            ("from by by mx.hoster.example; Thu", mx),
            ("from [192.0.2.1] by mx.hoster.example; Thu", mx),
            ("from a [192.0.2.1] by mx.hoster.example; Thu", mx),
            ("from a (by mx.hoster.example) by other.example; Thu", Some("other.example")),
            ("from a (x \\) by mx.hoster.example) by other.example; Thu", Some("other.example")),
            ("from a by other.example by mx.hoster.example; Thu", None),
            ("from a( (b [192.0.2.1]) by mx.hoster.example; Thu", None),
            ("from a) by mx.hoster.example; Thu", None),
            ("from \"a by mx.hoster.example; \" by other.example; Thu", None),
            ("from a by mx.hoster.example without a date", None),
            ("(qmail 2345 invoked by uid 89); 26 Nov 2026 10:00:00 -0000", Some("")),
            ("by; Thu", None),
            ("from; Thu", None),
            ("", None),
        ] {
            assert_eq!(by(text).as_deref(), expected, "{text}");
        }
    }
}
