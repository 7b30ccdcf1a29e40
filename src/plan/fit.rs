//! Whether what came has the size that it was listed with. PURE.
//!
//! RFC 1939 wants the octets of a message as they are sent, with CRLF at each line's end. Some servers count LF alone, some
//! only estimate, and some list a message that they do not have whole yet.

use crate::plan::maildrop::Listed;

/// Some servers count the line that ends a message, or a line end that is not there: so many octets.
const TOLERANCE: u64 = 8;

/// How long a message is that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// In octets, as a server has to count them.
    octets: u64,
    /// In octets with LF alone at each line's end, as some servers count them, and as it is stored.
    stored: u64,
}

impl Length {
    /// So many octets as a server has to count them, and so many as they are stored.
    #[must_use]
    pub fn new(octets: u64, stored: u64) -> Self {
        Self { octets, stored }
    }
}

/// How what came compares with what was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It has that size.
    Exact,
    /// No size was listed, or one that no message has.
    Unsaid,
    /// It is longer.
    Longer,
    /// It is shorter: something may be missing.
    Shorter,
    /// Less than half came: some servers round their sizes up, none doubles them.
    FarShorter,
}

impl Fit {
    /// That of a message which is listed so.
    pub(super) fn of(listed: &Listed, came: Length) -> Self {
        let Length { octets, stored } = came;
        match listed.reported_size {
            None => Self::Unsaid,
            Some(size) if size.abs_diff(octets) <= TOLERANCE || size.abs_diff(stored) <= TOLERANCE => Self::Exact,
            Some(..=TOLERANCE) => Self::Unsaid,
            Some(size) if octets < size / 2 => Self::FarShorter,
            Some(size) if octets < size => Self::Shorter,
            Some(_) => Self::Longer,
        }
    }

    /// Whether nothing in the listing contradicts what came. A server whose sizes are estimates, by the user's word,
    /// contradicts nothing by one, as long as it is no other order of magnitude.
    pub(super) fn contradicts_nothing(self, sizes_are_estimates: bool) -> bool {
        match self {
            Self::Exact | Self::Unsaid => true,
            Self::Longer | Self::Shorter => sizes_are_estimates,
            Self::FarShorter => false,
        }
    }
}

/// Whether a message that is listed so would be too short with so many octets.
pub(super) fn is_short(listed: &Listed, octets: u64) -> bool {
    listed.reported_size.is_some_and(|size| octets.saturating_add(TOLERANCE) < size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::MessageNumber;

    fn fit(reported_size: Option<u64>, octets: u64, stored: u64) -> Fit {
        let listed = Listed { number: MessageNumber::new(1).unwrap(), unique_id: None, reported_size };
        Fit::of(&listed, Length::new(octets, stored))
    }

    #[test]
    fn a_size_fits_with_either_line_end_and_within_a_line() {
        for (listed, expected) in [
            (1000, Fit::Exact),
            (1008, Fit::Exact),
            (1009, Fit::Shorter),
            (992, Fit::Exact),
            (978, Fit::Exact),
            (970, Fit::Exact),
            (985, Fit::Longer),
            (9, Fit::Longer),
            (2001, Fit::Shorter),
            (2002, Fit::FarShorter),
        ] {
            let came = if listed == 985 { fit(Some(listed), 1000, 960) } else { fit(Some(listed), 1000, 978) };
            assert_eq!(came, expected, "{listed}");
        }
        for listed in [None, Some(0), Some(8)] {
            assert_eq!(fit(listed, 1000, 978), Fit::Unsaid);
        }
    }

    #[test]
    fn estimates_contradict_nothing_unless_less_than_half_comes() {
        for (fit, exact, estimates) in [
            (Fit::Exact, true, true),
            (Fit::Unsaid, true, true),
            (Fit::Longer, false, true),
            (Fit::Shorter, false, true),
            (Fit::FarShorter, false, false),
        ] {
            assert_eq!([false, true].map(|all| fit.contradicts_nothing(all)), [exact, estimates], "{fit:?}");
        }
    }
}
