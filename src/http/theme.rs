//! What all pages share: the frame, the style, the small script, and the policy that allows these and nothing else.

use std::fmt::{self, Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::html::Text;
use super::overview::Sums;

/// The style of all pages.
const STYLE: &str = include_str!("assets/style.css");

/// Reloads the page's content every few seconds without moving it.
const SCRIPT: &str = include_str!("assets/page.js");

/// The seconds after which a browser without scripts reloads the page.
const REFRESH: u32 = 30;

/// Returns the value of `Content-Security-Policy`: our style, our script, data from this server, and nothing else.
pub(super) fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The colours of the browser tab's icon: all is well, something is in trouble.
const ICON_COLOURS: (&str, &str) = ("2b7a4b", "b3261e");

/// Returns a whole page around its middle.
pub(super) fn page(title: &str, sums: &Sums, middle: impl Display) -> Result<String, fmt::Error> {
    let mut page = String::with_capacity(64 << 10);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http:%2f%2fwww.w3.org%2f2000%2fsvg' viewBox='0 0 16 16'%3E\
         %3Ccircle cx='8' cy='8' r='7' fill='%23{icon}'/%3E%3C/svg%3E\"><noscript><meta http-equiv=\"refresh\" content=\"{REFRESH}\"></noscript>\
         <style>{STYLE}</style></head><body><header><a class=\"home\" href=\"/\">mailferry</a>\
         <p id=\"status\" role=\"status\">{}</p><p id=\"stale\" hidden></p></header><main>{middle}</main>\
         <script>{SCRIPT}</script></body></html>",
        sums,
        title = Text(title),
        icon = if sums.in_trouble == 0 { ICON_COLOURS.0 } else { ICON_COLOURS.1 },
    )?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the relative luminance (WCAG 2.2) of this colour in a scheme of the style.
    fn luminance(scheme: &str, name: &str) -> f64 {
        let (_, value) = scheme.split_once(&format!("--{name}:#")).unwrap();
        let digits: String = value.chars().take_while(char::is_ascii_hexdigit).collect();
        let digits = if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits };
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    }

    #[test]
    fn all_words_can_be_read_light_and_dark() {
        let schemes: Vec<&str> = STYLE.split(":root{").skip(1).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            for ground in ["ground", "card", "bad-ground"] {
                for ink in ["ink", "soft", "accent", "good", "bad", "wait"] {
                    let (one, other) = (luminance(scheme, ground) + 0.05, luminance(scheme, ink) + 0.05);
                    let contrast = one.max(other) / one.min(other);
                    assert!(contrast >= 4.5, "{ink} on {ground}: {contrast:.1}");
                }
            }
        }
    }
}
