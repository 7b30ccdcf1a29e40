//! Text from elsewhere, made fit for a terminal, a log and a page. PURE.

/// Text from elsewhere, made fit for a terminal: whatever could move a cursor or hide text is escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}
