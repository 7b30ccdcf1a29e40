//! Patterns that the text of a field is compared with, ignoring case.

use std::fmt;

/// A pattern to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// The text equals this.
    Equals(String),
    /// The text contains this.
    Contains(String),
    /// The whole text matches this pattern with wildcards.
    Matches(Vec<Piece>),
}

/// A part of a pattern with wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// `*`: any number of characters.
    Any,
    /// `?`: one character.
    One,
    /// This character.
    Character(char),
}

/// The longest pattern, in characters.
const MOST: usize = 256;

/// Why a pattern is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidPattern {
    /// It is empty.
    Empty,
    /// It has more than 256 characters.
    TooLong,
    /// It ends in a backslash that escapes nothing.
    LoneBackslash,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty, and would name every message or none",
            Self::TooLong => "has more than 256 characters",
            Self::LoneBackslash => "ends in a backslash that protects nothing",
        })
    }
}

impl std::error::Error for InvalidPattern {}

impl Pattern {
    /// Creates a pattern that equals the whole text, ignoring blanks at its ends and the number of blanks between
    /// words.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn equals(text: &str) -> Result<Self, InvalidPattern> {
        let words: Vec<&str> = text.split_whitespace().collect();
        checked(&words.join(" ")).map(Self::Equals)
    }

    /// Creates a pattern that is contained in the text.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn contains(text: &str) -> Result<Self, InvalidPattern> {
        checked(text).map(Self::Contains)
    }

    /// Creates a pattern that matches the whole text: `*` stands for any number of characters, `?` for one, and a
    /// backslash escapes the next character.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn matches(text: &str) -> Result<Self, InvalidPattern> {
        let text = checked(text)?;
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            let piece = match c {
                // Two in a row mean the same as one.
                '*' if pieces.last() == Some(&Piece::Any) => continue,
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => Piece::Character(characters.next().ok_or(InvalidPattern::LoneBackslash)?),
                c => Piece::Character(c),
            };
            pieces.push(piece);
        }
        Ok(Self::Matches(pieces))
    }

    /// Whether a text, which is in lower case, matches.
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Equals(whole) => text == whole,
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Matches(pieces) => looks_like(pieces, text),
        }
    }
}

fn checked(text: &str) -> Result<String, InvalidPattern> {
    match text.chars().count() {
        0 => Err(InvalidPattern::Empty),
        1..=MOST => Ok(small(text)),
        _ => Err(InvalidPattern::TooLong),
    }
}

/// Returns a text in lower case.
pub(super) fn small(text: &str) -> String {
    text.to_lowercase()
}

/// Matches greedily and backtracks to the last `*` at a mismatch: at most the product of both lengths in steps.
fn looks_like(pieces: &[Piece], text: &str) -> bool {
    let (mut pieces, mut rest) = (pieces, text.chars());
    // The pieces after the last `*`, and the text that it has not consumed.
    let mut back: Option<(&[Piece], std::str::Chars<'_>)> = None;
    loop {
        let mut next = rest.clone();
        match (pieces.split_first(), next.next()) {
            (None, None) => return true,
            (Some((Piece::Any, behind)), _) => {
                back = Some((behind, rest.clone()));
                pieces = behind;
                continue;
            }
            (Some((Piece::One, behind)), Some(_)) => {
                (pieces, rest) = (behind, next);
                continue;
            }
            (Some((Piece::Character(c), behind)), Some(found)) if *c == found => {
                (pieces, rest) = (behind, next);
                continue;
            }
            _ => {}
        }
        let Some((behind, swallowed)) = &mut back else { return false };
        if swallowed.next().is_none() {
            return false;
        }
        (pieces, rest) = (behind, swallowed.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_looks_like_a_pattern_as_a_whole() {
        for (pattern, text, expected) in [
            ("*@example.org", "jo@example.org", true),
            ("*@example.org", "jo@example.org.net", false),
            ("*@example.org*", "jo <jo@example.org>", true),
            ("jo", "heyjo", false),
            ("?o", "jo", true),
            ("?o", "o", false),
            ("*", "", true),
            ("?*", "", false),
            ("***", "anything", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("[Dev]*", "[dev] hello", true),
            (r"\*\?\\*", r"*?\x", true),
            (r"\*", "x", false),
            ("*äÖ?", "xÄÖü", true),
            ("*aab", "aaaaaaaab", true),
        ] {
            let fits = Pattern::matches(pattern).unwrap().fits(&small(text));
            assert_eq!(fits, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn equals_is_the_whole_text_and_contains_a_part() {
        let fits = |pattern: Result<Pattern, _>, text: &str| pattern.unwrap().fits(&small(text));
        assert!(fits(Pattern::equals(" Weekly  REPORT "), "weekly report"));
        assert!(!fits(Pattern::equals("weekly"), "weekly report"));
        assert!(fits(Pattern::contains("<Dev.Example.org>"), "The list <dev.example.ORG>"));
        assert!(!fits(Pattern::contains("*"), "nothing special"));
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        assert_eq!(Pattern::equals("  "), Err(InvalidPattern::Empty));
        assert_eq!(Pattern::contains(""), Err(InvalidPattern::Empty));
        assert_eq!(Pattern::matches(&"x".repeat(257)), Err(InvalidPattern::TooLong));
        assert_eq!(Pattern::matches("x\\"), Err(InvalidPattern::LoneBackslash));
    }

    #[test]
    fn a_hostile_text_costs_no_more_than_its_length_times_that_of_the_pattern() {
        let pattern = Pattern::matches(&format!("*{}b", "a".repeat(200))).unwrap();
        assert!(!pattern.fits(&"a".repeat(super::super::HEADER_MOST)));
    }
}
