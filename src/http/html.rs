//! Text and times in HTML.

use std::fmt;
use std::time::Duration;

use crate::text::{self, Span, is_printable};

/// Text with all HTML metacharacters escaped; unprintable ones become visible.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if !is_printable(c) && c != '\n' => write!(f, "{}", c.escape_default())?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Text of our own, for people. Commands and keys between backticks become code.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((before, (code, after))) =
            rest.split_once('`').and_then(|(before, from)| Some((before, from.split_once('`')?)))
        {
            write!(f, "{}<code>{}</code>", Text(before), Text(code))?;
            rest = after;
        }
        Text(rest).fmt(f)
    }
}

/// A name as a segment of the path of a URL (RFC 3986, section 2.3).
pub(super) struct PathSegment<'a>(pub(super) &'a str);

impl fmt::Display for PathSegment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// The duration of a poll, in milliseconds.
pub(super) struct Took(pub(super) u64);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            milliseconds @ 0..1000 => write!(f, "{milliseconds}\u{a0}ms"),
            milliseconds @ 1000..60_000 => write!(f, "{}.{}\u{a0}s", milliseconds / 1000, milliseconds % 1000 / 100),
            milliseconds => Span(Duration::from_millis(milliseconds)).fmt(f),
        }
    }
}

/// A moment as seen from another, both in seconds since 1970: "5 min ago", "in 3 s". The exact time is in the markup.
pub(super) struct Moment {
    pub(super) time: i64,
    pub(super) now: i64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = jiff::Timestamp::from_second(self.time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "<time datetime=\"{exact}\" title=\"{exact}\">")?;
        match self.now.saturating_sub(self.time) {
            0 => f.write_str("now")?,
            1.. => write!(f, "{} ago", Span::between(self.time, self.now))?,
            _ => write!(f, "in {}", Span::between(self.now, self.time))?,
        }
        f.write_str("</time>")
    }
}

/// A size in octets, on one line.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::Size(self.0).to_string().replace(' ', "\u{a0}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let text = Text("<b a='x' c=\"y\">&\u{1b}[1m</b>").to_string();
        assert_eq!(Text("a\u{202e}b\u{200b}c").to_string(), "a\\u{202e}b\\u{200b}c", "nor steers its neighbours");
        assert_eq!(text, "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;\\u{1b}[1m&lt;/b&gt;");
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_a_lone_one_is_itself() {
        assert_eq!(Prose("run `a <b>`, or `c` ` d").to_string(), "run <code>a &lt;b&gt;</code>, or <code>c</code> ` d");
    }

    #[test]
    fn a_time_is_as_exact_as_it_is_short() {
        let shown = [9, 1_234, 59_999, 61_000, 7_200_000].map(|taken| Took(taken).to_string());
        assert_eq!(shown, ["9\u{a0}ms", "1.2\u{a0}s", "59.9\u{a0}s", "61 s", "2 h"]);
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(PathSegment("me@example.org/?#%").to_string(), "me%40example.org%2F%3F%23%25");
    }

    #[test]
    fn moments_are_seen_from_now() {
        let seen = |time| Moment { time, now: 100_000 }.to_string();
        assert!(seen(99_700).contains(">5 min ago<"), "{}", seen(99_700));
        assert!(seen(100_003).contains(">in 3 s<"), "{}", seen(100_003));
        assert!(seen(100_000).contains(">now<"));
        assert!(seen(i64::MIN).contains("ago"), "nothing overflows");
    }
}
