//! Whether a retrieved message has the size that was listed. PURE.
//!
//! RFC 1939 wants the octets of a message as sent, with CRLF at the end of each line. Some servers count LF alone, some
//! only estimate, and some list a message before they have all of it.

use crate::message::{StoredSize, WireSize};
use crate::plan::maildrop::Listed;
use crate::pop3::{ReportedSize, TakenDots};

/// A listed size of up to this many octets means that no size is known: some servers report 0 or 1 for every message.
const NO_SIZE: u64 = 8;

/// Octets of a line end. The stored message may lack the last one, which is added on the way; or a server counts one
/// more than it sends.
const LINE_END: u64 = 2;

/// The length of a retrieved message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// As RFC 1939 counts it.
    octets: WireSize,
    /// As it is stored, with LF alone at the end of each line; some servers count so.
    stored: StoredSize,
    /// In octets as they came, with the line ends that the server sent.
    sent: u64,
    /// The dots removed from its lines (RFC 1939, section 3), which none of the counts includes.
    dots: TakenDots,
}

impl Length {
    /// Creates the length of a message from its sizes as RFC 1939 counts it and as it is stored.
    #[must_use]
    pub fn new(octets: WireSize, stored: StoredSize) -> Self {
        Self { octets, stored, sent: octets.get(), dots: TakenDots::default() }
    }

    /// Sets the octets that actually came: some servers send the line ends of a file unchanged.
    #[must_use]
    pub fn sent_in(self, sent: u64) -> Self {
        Self { sent, ..self }
    }

    /// Sets the dots that were removed from its lines.
    #[must_use]
    pub fn without_dots(self, dots: TakenDots) -> Self {
        Self { dots, ..self }
    }

    /// Whether dots that belong to the message were removed: the server does not double them.
    #[must_use]
    pub fn lacks_dots(&self) -> bool {
        self.dots.was_single
    }

    /// Whether a listed size counts this message in one of the known ways: with CRLF, with LF alone, or as the server
    /// sends it, with or without the last line end. No other difference is accepted: a line of six digits has eight
    /// octets. A difference of one line end is not accepted either if it may just as well be dots that the server
    /// should have doubled.
    fn is_counted_as(self, size: ReportedSize) -> bool {
        let Self { octets, stored, sent, dots } = self;
        let (size, octets, stored) = (size.get(), octets.get(), stored.get());
        let is_nearly = |count: u64| matches!(size.abs_diff(count), 0 | LINE_END);
        let is_as_well = |count: u64| dots.count > 0 && is_nearly(count.saturating_add(dots.count));
        let is_count = |count: u64| size == count || (is_nearly(count) && !is_as_well(count));
        let is_stored = size == stored || stored.checked_sub(1) == Some(size);
        !dots.was_single && (is_count(octets) || is_count(sent) || is_stored)
    }
}

/// How the size of a retrieved message compares with the listed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It has the listed size.
    Exact,
    /// No size was listed, or one that no message can have.
    Unsaid,
    /// It is longer than listed.
    Longer,
    /// It is shorter than listed: something may be missing.
    Shorter,
    /// Less than half came: some servers round sizes up, but none doubles them.
    FarShorter,
}

impl Fit {
    /// Compares a message with its listing.
    pub(crate) fn of(listed: &Listed, came: Length) -> Self {
        let Some(size) = listed.reported_size else { return Self::Unsaid };
        let octets = came.octets.get();
        match size.get() {
            _ if came.is_counted_as(size) => Self::Exact,
            ..=NO_SIZE => Self::Unsaid,
            _ if came.lacks_dots() => Self::Shorter,
            size if octets < size / 2 => Self::FarShorter,
            size if octets < size => Self::Shorter,
            _ => Self::Longer,
        }
    }

    /// Whether the size is consistent with the listing. If the user says that the server's sizes are estimates, any
    /// difference is, unless less than half came.
    pub(super) fn contradicts_nothing(self, sizes_are_estimates: bool) -> bool {
        match self {
            Self::Exact | Self::Unsaid => true,
            Self::Longer | Self::Shorter => sizes_are_estimates,
            Self::FarShorter => false,
        }
    }
}

/// Whether a message listed like this would be too short if it came in this size.
pub(super) fn is_short(listed: &Listed, came: WireSize) -> bool {
    let lacks = listed.reported_size.and_then(|size| size.get().checked_sub(came.get()));
    lacks.is_some_and(|octets| !matches!(octets, 0 | LINE_END))
}

/// Returns what a server reports for a message of this size if it counts as RFC 1939 says.
pub(crate) fn as_reported(size: WireSize) -> ReportedSize {
    ReportedSize::new(size.get())
}

/// Whether a message is listed with a plausible size.
pub(crate) fn has_size(listed: &Listed) -> bool {
    listed.reported_size.is_some_and(is_size)
}

/// Whether a message can have this size.
pub(crate) fn is_size(reported_size: ReportedSize) -> bool {
    reported_size.get() > NO_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::MessageNumber;

    fn length(octets: u64, stored: u64) -> Length {
        Length::new(WireSize::new(octets), StoredSize::new(stored))
    }

    fn fit(reported_size: Option<u64>, octets: u64, stored: u64) -> Fit {
        let reported_size = reported_size.map(ReportedSize::new);
        let listed = Listed { number: MessageNumber::new(1).unwrap(), unique_id: None, reported_size };
        Fit::of(&listed, length(octets, stored))
    }

    #[test]
    fn a_size_fits_with_either_line_end_and_one_of_them_at_the_end() {
        for (listed, expected) in [
            (1000, Fit::Exact),
            (1002, Fit::Exact),
            (1001, Fit::Shorter),
            (1003, Fit::Shorter),
            (1008, Fit::Shorter),
            (999, Fit::Longer),
            (998, Fit::Exact),
            (997, Fit::Longer),
            (979, Fit::Longer),
            (978, Fit::Exact),
            (977, Fit::Exact),
            (976, Fit::Longer),
            (9, Fit::Longer),
            (2001, Fit::Shorter),
            (2002, Fit::FarShorter),
        ] {
            assert_eq!(fit(Some(listed), 1000, 978), expected, "{listed}");
            let listed = Listed {
                number: MessageNumber::new(1).unwrap(),
                unique_id: None,
                reported_size: Some(ReportedSize::new(listed)),
            };
            assert_eq!(
                is_short(&listed, WireSize::new(1000)),
                matches!(expected, Fit::Shorter | Fit::FarShorter),
                "{listed:?}"
            );
        }
        for listed in [None, Some(0), Some(8)] {
            assert_eq!(fit(listed, 1000, 978), Fit::Unsaid);
        }
    }

    #[test]
    fn two_octets_are_a_line_end_unless_they_may_be_two_dots() {
        let fit = |size, count, was_single| {
            let number = MessageNumber::new(1).unwrap();
            let listed = Listed { number, unique_id: None, reported_size: Some(ReportedSize::new(size)) };
            Fit::of(&listed, length(1000, 978).without_dots(TakenDots { count, was_single }))
        };
        for dots in 0..6 {
            assert_eq!(fit(1000, dots, false), Fit::Exact, "{dots}");
            assert_eq!(fit(978, dots, false), Fit::Exact, "{dots}");
            // The dots would be 2, or 2 more or less by a line end.
            assert_eq!(fit(1002, dots, false) == Fit::Exact, !matches!(dots, 2 | 4), "{dots}");
            assert_eq!(fit(998, dots, false), Fit::Exact, "{dots}: dots make nothing smaller");
            assert_eq!(fit(1000, dots.max(1), true), Fit::Shorter, "one was not doubled");
        }
    }

    #[test]
    fn line_ends_that_are_not_all_the_same_are_counted_as_they_come() {
        for (listed, expected) in [(990, Fit::Exact), (988, Fit::Exact), (991, Fit::Longer), (980, Fit::Longer)] {
            let number = MessageNumber::new(1).unwrap();
            let listed = Listed { number, unique_id: None, reported_size: Some(ReportedSize::new(listed)) };
            assert_eq!(Fit::of(&listed, length(1000, 970).sent_in(990)), expected, "{listed:?}");
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
