//! What all pages share: the frame, the style, the little script, and the policy that allows these and nothing else.

use std::fmt::{self, Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::html::Text;
use super::overview::Sums;

/// The style of all pages.
const STYLE: &str = include_str!("assets/style.css");

/// Shows the page anew every few seconds, without moving it.
const SCRIPT: &str = include_str!("assets/page.js");

/// Seconds after which a browser without scripts loads the page again.
const REFRESH: u32 = 30;

/// The value of `Content-Security-Policy`: this style, this script, data from here, and nothing else.
pub(super) fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The colours of the picture in a browser's tab: all is well, something is in trouble.
const ICON_COLOURS: (&str, &str) = ("2b7a4b", "b3261e");

/// A whole page around its middle.
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
