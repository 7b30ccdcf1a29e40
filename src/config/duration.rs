//! Durations such as "5m" or "14d", and sizes such as "50 MiB".

use std::time::Duration;

use bytesize::ByteSize;
use jiff::fmt::friendly::SpanParser;
use toml::de::DeValue;

use super::value::{InvalidValue, integer, string, wrong_type};

/// A limit, and how to write it.
pub(crate) type Bound = (Duration, &'static str);

/// Reads a duration between `least` and `most`; `example` is a valid value for the error message.
pub(super) fn duration(
    value: &DeValue<'_>,
    least: Bound,
    most: Bound,
    example: &str,
) -> Result<Duration, InvalidValue> {
    if let Some(number) = value.as_integer() {
        if number.as_str().starts_with('-') {
            return Err(InvalidValue::new("is negative", format!("write a number with a unit, such as \"{example}\"")));
        }
        let in_seconds = format!("{number}s");
        let would_do = parse(&in_seconds, example).and_then(|meant| within(meant, least, most)).is_ok();
        let such = if would_do { format!("\"{in_seconds}\" for seconds") } else { format!("\"{example}\"") };
        return Err(InvalidValue::new(
            "has no unit",
            format!("write a number with its unit in quotes, such as {such}"),
        ));
    }
    within(parse(string(value, &format!("a duration such as \"{example}\""))?, example)?, least, most)
}

/// Checks that a duration is between `least` and `most`.
pub(super) fn within(duration: Duration, least: Bound, most: Bound) -> Result<Duration, InvalidValue> {
    if duration < least.0 {
        return Err(InvalidValue::new("is too short", format!("write at least \"{}\"", least.1)));
    }
    if duration > most.0 {
        return Err(InvalidValue::new("is too long", format!("write at most \"{}\"", most.1)));
    }
    Ok(duration)
}

/// Parses a duration given on the command line.
///
/// # Errors
/// Says what is wrong and what to write instead.
pub(crate) fn in_words(text: &str, least: Bound, most: Bound, example: &str) -> Result<Duration, String> {
    let duration = parse(text, example).and_then(|duration| within(duration, least, most));
    duration.map_err(|wrong| format!("it {}; {}", wrong.message, wrong.help))
}

/// Parses numbers with units, such as "1h 30m". A day has 24 hours.
pub(super) fn parse(text: &str, example: &str) -> Result<Duration, InvalidValue> {
    let help = || format!("write a number with a unit (s, m, h, d, w), such as \"{example}\"");
    if !text.trim().is_empty() && text.trim().bytes().all(|c| c.is_ascii_digit()) {
        return Err(InvalidValue::new("has no unit", help()));
    }
    let span = SpanParser::new()
        .parse_span(text.trim())
        .map_err(|_| InvalidValue::new("is not a duration that mailferry understands", help()))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(InvalidValue::new("is in months or years, which differ in length", "say it in days"));
    }
    let parts = [
        (i64::from(span.get_weeks()), 7 * 86_400 * NANOS),
        (i64::from(span.get_days()), 86_400 * NANOS),
        (i64::from(span.get_hours()), 3_600 * NANOS),
        (span.get_minutes(), 60 * NANOS),
        (span.get_seconds(), NANOS),
        (span.get_milliseconds(), 1_000_000),
        (span.get_microseconds(), 1_000),
        (span.get_nanoseconds(), 1),
    ];
    let nanos: i128 = parts.iter().map(|(count, unit)| i128::from(*count) * unit).sum();
    let nanos = u128::try_from(nanos).map_err(|_| InvalidValue::new("is negative", help()))?;
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Ok(Duration::new(seconds, rest))
}

/// Nanoseconds in a second.
const NANOS: i128 = 1_000_000_000;

/// Reads a size in octets: a whole number, or a string with a unit.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, InvalidValue> {
    size_such_as(value, "\"50 MiB\", or leave the key out for no limit")
}

/// The same; `example` says what can be written instead of something else.
pub(super) fn size_such_as(value: &DeValue<'_>, example: &str) -> Result<u64, InvalidValue> {
    let size = match value {
        DeValue::Integer(_) => integer(value, 0..=u64::MAX, example)?,
        DeValue::String(text) => text
            .trim()
            .parse::<ByteSize>()
            .map_err(|_| InvalidValue::new("is not a size that mailferry understands", format!("write {example}")))?
            .as_u64(),
        _ => return Err(wrong_type(value, "a size", example)),
    };
    if size == 0 {
        Err(InvalidValue::new("is 0, which would fetch nothing", format!("write {example}")))
    } else {
        Ok(size)
    }
}

/// Formats a number of octets in the unit that gives the smallest whole number.
pub(crate) fn size_in_words(octets: u64) -> String {
    let units =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let whole = units.into_iter().filter(|(_, unit)| octets > 0 && octets.is_multiple_of(*unit));
    match whole.min_by_key(|(_, unit)| octets / unit) {
        Some((name, unit)) => format!("{} {name}", octets / unit),
        None => octets.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse, size, size_in_words};
    use toml::de::DeValue;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("5m", 300),
            ("60s", 60),
            ("36h", 129_600),
            ("14d", 1_209_600),
            ("2 weeks", 1_209_600),
            ("1 day 2 hours", 93_600),
            (" 1h30m ", 5_400),
            ("1.5h", 5_400),
            ("0s", 0),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text, "5m"), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1500ms", "5m"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn what_is_no_duration_is_refused_in_words() {
        let cases = [
            ("", "not a duration"),
            ("14", "has no unit"),
            ("fortnight", "not a duration"),
            ("5 parsecs", "not a duration"),
            ("1 month", "differ in length"),
            ("1y", "differ in length"),
            ("-5m", "negative"),
            ("5m ago", "negative"),
            ("99999999999999999999d", "not a duration"),
        ];
        for (text, expected) in cases {
            let invalid = parse(text, "5m").unwrap_err();
            assert!(invalid.message.contains(expected), "{text}: {invalid:?}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let cases = [
            ("\"50 MiB\"", 52_428_800),
            ("\"50MB\"", 50_000_000),
            ("\"1.5 KiB\"", 1536),
            ("\"123\"", 123),
            ("1_000", 1000),
            ("0x10", 16),
            ("\"99999999999999999999999 EiB\"", u64::MAX),
        ];
        for (text, octets) in cases {
            assert_eq!(size(DeValue::parse(text).unwrap().get_ref()), Ok(octets), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_as_a_person_would_and_read_as_the_same() {
        for (octets, words) in [
            (67_108_864, "64 MiB"),
            (50_000_000, "50 MB"),
            (900_000, "900 KB"),
            (1_024_000, "1000 KiB"),
            (10_240, "10 KiB"),
            (3 << 30, "3 GiB"),
            (52_428_801, "52428801"),
            (7, "7"),
        ] {
            assert_eq!(size_in_words(octets), words);
            assert_eq!(size(DeValue::parse(&format!("\"{words}\"")).unwrap().get_ref()), Ok(octets));
        }
    }

    #[test]
    fn what_is_no_size_is_refused_in_words() {
        for (text, expected) in [
            ("0", "fetch nothing"),
            ("\"0 MiB\"", "fetch nothing"),
            ("-1", "is -1, which is not at least 0"),
            ("\"big\"", "not a size"),
            ("\"-5 MiB\"", "not a size"),
            ("\"1.2.3 MiB\"", "not a size"),
            ("1.5", "a number with a fraction, but a size"),
            ("true", "true or false, but a size"),
        ] {
            let invalid = size(DeValue::parse(text).unwrap().get_ref()).unwrap_err();
            assert!(invalid.message.contains(expected), "{text}: {invalid:?}");
        }
    }
}
