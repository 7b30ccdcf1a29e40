//! How a message is named in text for the user.

use std::fmt::{self, Write as _};

use super::Redactor;
use crate::plan::maildrop::Listed;
use crate::text::Size;

/// How many characters of a unique-id are shown at most: RFC 1939 allows 70 octets, but servers send a thousand.
const UNIQUE_ID: usize = 140;

/// A message as shown to the user.
pub(crate) struct Message<'a>(pub(crate) &'a Listed, pub(crate) &'a Redactor);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.0.number)?;
        let mut more = String::new();
        if let Some(unique_id) = &self.0.unique_id {
            let shown = self.1.hide(&unique_id.to_string());
            let cut = shown.char_indices().nth(UNIQUE_ID).map(|(at, _)| at);
            let (shown, dots) = cut.map_or((shown.as_str(), ""), |at| (shown.get(..at).unwrap_or_default(), "…"));
            write!(more, "unique-id {shown}{dots}")?;
        }
        if let Some(size) = self.0.reported_size {
            let comma = if more.is_empty() { "" } else { ", " };
            write!(more, "{comma}{}", Size(size.get()))?;
        }
        if more.is_empty() { Ok(()) } else { write!(f, " ({more})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::{MessageNumber, ReportedSize, UniqueId};

    fn listed(unique_id: &str) -> Listed {
        Listed {
            number: MessageNumber::new(1).unwrap(),
            unique_id: UniqueId::new(unique_id.as_bytes()).ok(),
            reported_size: Some(ReportedSize::new(1024)),
        }
    }

    #[test]
    fn a_long_unique_id_is_cut_off_where_it_is_shown() {
        let shown = |length: usize| Message(&listed(&"x".repeat(length)), &Redactor::default()).to_string();
        assert!(shown(UNIQUE_ID).contains(&format!("{},", "x".repeat(UNIQUE_ID))));
        assert!(shown(1024).contains(&format!("{}…,", "x".repeat(UNIQUE_ID))));
    }
}
