//! The date that a mailbox shows for a message (RFC 9051, section 2.3.3: the internal date). PURE.

use jiff::civil;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ZonedDateTime};
use mail_parser::DateTime;

/// The beginning of 1971: what is older comes from a clock that was not set, in seconds since 1970.
const EARLIEST: i64 = 86_400 * 365;

/// Returns the date of a message for APPEND: when it was sent according to its `Date`, else when it arrived according to
/// its last hop (`Received`), if these can be, else when it was delivered, in seconds since 1970.
pub(super) fn of(sent: Option<&[u8]>, received: Option<&[u8]>, delivered: i64) -> String {
    // More than a day after its delivery is beyond every time zone.
    let possible = EARLIEST..delivered.saturating_add(86_400);
    let read = |text: &[u8]| moment(text).filter(|moment| possible.contains(&moment.timestamp().as_second()));
    let last_hop = || received.and_then(|hop| hop.get(memchr::memrchr(b';', hop)? + 1..)).and_then(read);
    let moment = sent.and_then(read).or_else(last_hop).unwrap_or_else(|| {
        Timestamp::from_second(delivered).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(TimeZone::UTC)
    });
    moment.strftime("%d-%b-%Y %H:%M:%S %z").to_string()
}

/// Reads a date (RFC 5322, section 3.3), and what programs write in its place.
fn moment(text: &[u8]) -> Option<ZonedDateTime> {
    // Some write the zone as `GMT+0200`.
    let text = std::str::from_utf8(text).ok()?.replace("GMT+", "+").replace("GMT-", "-");
    let text = text.trim();
    let strict = DateTimeParser::new().relaxed_weekday(true).parse_zoned_datetime(text);
    strict.ok().or_else(|| zoned(&DateTime::parse_rfc822(text).filter(DateTime::is_valid)?))
}

fn zoned(date: &DateTime) -> Option<ZonedDateTime> {
    let signed = |number: u8| i8::try_from(number).ok();
    let (year, month, day) = (i16::try_from(date.year).ok()?, signed(date.month)?, signed(date.day)?);
    let (hour, minute, second) = (signed(date.hour)?, signed(date.minute)?, signed(date.second)?);
    let local = civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let ahead = i32::from(date.tz_hour) * 3600 + i32::from(date.tz_minute) * 60;
    let offset = Offset::from_seconds(if date.tz_before_gmt { -ahead } else { ahead }).ok()?;
    local.to_zoned_datetime(TimeZone::fixed(offset)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERED: i64 = 1_790_000_000;
    const TODAY: &str = "21-Sep-2026 14:13:20 +0000";

    fn date(sent: &str) -> String {
        of(Some(sent.as_bytes()), None, DELIVERED)
    }

    #[test]
    fn it_is_that_of_the_header_if_it_can_be() {
        for (sent, expected) in [
            ("Tue, 24 Nov 2015 08:07:06 +0200", "24-Nov-2015 08:07:06 +0200"),
            (" Tue, 24 Nov 2015\t08:07:06 -0330 (NST)", "24-Nov-2015 08:07:06 -0330"),
            ("never", TODAY),
            ("Tue, 24 Nov 2065 08:07:06 +0200", TODAY),
            ("Thu, 1 Jan 1970 00:00:00 +0000", TODAY),
        ] {
            assert_eq!(date(sent), expected, "{sent}");
        }
        assert_eq!(of(None, None, DELIVERED), TODAY);
    }

    #[test]
    fn what_programs_write_in_its_place_is_read() {
        for sent in [
            "Wed, 24 Nov 2015 08:07:06 +0200",
            "Di, 24 Nov 2015 08:07:06 +0200",
            "Tue, 24 Nov 2015 8:07:06 +0200",
            "Tue 24 Nov 2015 08:07:06 +0200",
            "Tue, 24 Nov 2015 08:07:06 GMT+0200",
            "Tue, 24 Nov 2015 08:07:06 +0200 CEST",
            "Tue,24 Nov 2015 08:07:06 +0200",
        ] {
            assert_eq!(date(sent), "24-Nov-2015 08:07:06 +0200", "{sent}");
        }
    }

    #[test]
    fn the_last_hop_counts_where_no_date_can_be_read() {
        let hop = |text: &str| of(Some(b"Tue Nov 24 08:07:06 2015"), Some(text.as_bytes()), DELIVERED);
        assert_eq!(hop("from a by b; Tue, 24 Nov 2015 06:07:08 +0000 (UTC)"), "24-Nov-2015 06:07:08 +0000");
        assert_eq!(hop("from a; x by b;Tue, 24 Nov 2015 06:07:08 +0000"), "24-Nov-2015 06:07:08 +0000");
        assert_eq!(hop("from a by b"), TODAY);
        assert_eq!(hop("from a by b; yesterday"), TODAY);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_make_a_date(sent: Vec<u8>, received: Vec<u8>, text in "[A-Za-z0-9:;,+() -]{0,80}", now: i64) {
            for sent in [sent.as_slice(), text.as_bytes()] {
                let date = of(Some(sent), Some(&received), now);
                proptest::prop_assert!(date.len() >= 26, "{date}");
            }
        }
    }
}
