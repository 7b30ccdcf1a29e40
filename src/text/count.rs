//! Sizes and numbers of things in words.

use std::fmt;

use bytesize::ByteSize;

/// A size in octets: "1.5 KiB".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ByteSize::b(self.0).display().iec())
    }
}

/// A number of things: "1 message", "3 deliveries".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl Count {
    /// Makes the count of things in memory.
    pub(crate) fn of(things: usize, one: &'static str) -> Self {
        Self(u64::try_from(things).unwrap_or(u64::MAX), one)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, plural(self.0, self.1))
    }
}

/// Returns the word for this many things, from the word for one: "days", "deliveries".
pub(crate) fn plural(count: u64, one: &str) -> String {
    let stem = one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match (count, stem) {
        (1, _) => one.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_none_are_several() {
        assert_eq!(Count(1, "delivery").to_string(), "1 delivery");
        assert_eq!(Count::of(0, "delivery").to_string(), "0 deliveries");
        assert_eq!((Count(1, "day").to_string(), Count(4, "day").to_string()), ("1 day".into(), "4 days".into()));
        assert_eq!(Count(2, "message").to_string(), "2 messages");
        assert_eq!(Size(1536).to_string(), "1.5 KiB");
    }
}
