//! What a poll did, in the words that `fetch` prints and the daemon logs.

mod forwarding;

use std::fmt;
use std::time::Duration;

use crate::advice;
use crate::client::Message;
use crate::plan::maildrop::Listed;
use crate::poll::PollReport;
use crate::poll::report::{Left, LeftFor};
use crate::routing;
use crate::state::entries::QuarantineReason;
use crate::text::{Count, Size, plural};
pub(crate) use forwarding::{Forwarded, in_the_spool};

impl PollReport {
    /// Returns what came, how much, how long it took and what is left, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        Line(self).to_string()
    }

    /// Returns what went wrong although the poll was completed, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        warnings.extend(self.failed());
        warnings.extend(self.other_sizes());
        warnings.extend(self.left());
        warnings.extend(self.unnamed());
        warnings.extend(self.stranded.iter().map(|stranded| advice::told_of_stranded(stranded, &self.account)));
        warnings.extend(self.forwarded.iter().flat_map(|forwarded| forwarded.warnings()));
        if self.unsyncable {
            let fact = "the file system of the Maildir or of the state cannot make a delivery durable, so nothing is deleted on the server";
            warnings.push(advice::with_step(fact, Some(advice::next_step::UNSYNCABLE)));
        }
        if !self.undeletable.is_empty() {
            let count = Count::of(self.undeletable.len(), "message");
            warnings.push(format!("the server refused to delete {count}. It is tried again next time"));
        }
        if self.not_removed > 0 {
            let count = Count(self.not_removed, "message");
            let fact = format!("the server lists {count} again that it said it had removed");
            warnings.push(advice::with_step(fact, Some(advice::next_step::NOT_REMOVED)));
        }
        if self.unverified > 0 {
            let count = Count(self.unverified, "message");
            warnings.push(format!("{count} could not be compared with what was delivered, and so not deleted"));
        }
        warnings.extend(self.routed());
        warnings
    }

    /// Warns of messages that were not routed by the rules.
    fn routed(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.not_judged > 0 {
            let count = Count(self.not_judged, "message");
            let (they, stay) =
                if self.not_judged == 1 { ("it had come", "It stays") } else { ("they had come", "They stay") };
            sentences.push(format!(
                "{count} came although a rule with `skip` matches: only all the bytes could show whether {they} before. \
                 {stay} on the server, too"
            ));
        }
        let not_shown = self.not_skipped.saturating_sub(self.not_judged);
        if not_shown > 0 {
            let count = Count(not_shown, "message");
            let (its, stay) = if not_shown == 1 { ("its header", "It stays") } else { ("their headers", "They stay") };
            let fact = format!(
                "{count} came although a rule with `skip` matches: the server did not show {its} beforehand (TOP). {stay} \
                 on the server, too"
            );
            sentences.push(advice::with_step(fact, Some(advice::next_step::NOT_SKIPPED)));
        }
        if self.long_headers > 0 {
            let count = Count(self.long_headers, "message");
            sentences.push(format!(
                "the header of {count} is longer than {}, so it was not looked into: delivered into the account's own Maildir",
                Size(HEADER)
            ));
        }
        sentences
    }

    /// Names the messages that could not be fetched, in one sentence.
    fn failed(&self) -> Option<String> {
        let message = |(listed, why): &(Listed, String)| format!("{}: {why}", Message(listed, &self.redactor));
        match (self.failed.len(), self.failed.first()) {
            (1, [(listed, why)]) => Some(format!(
                "{} could not be fetched: {why}. It stays on the server and is tried again",
                Message(listed, &self.redactor)
            )),
            (_, []) => None,
            (all, first) => {
                let named: Vec<String> = first.iter().take(NAMED).map(message).collect();
                let more = match all.saturating_sub(named.len()) {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                Some(format!(
                    "{} could not be fetched. They stay on the server and are tried again: {}{more}",
                    Count::of(all, "message"),
                    named.join("; ")
                ))
            }
        }
    }

    /// Names the messages whose size differs from the listing, in one sentence.
    fn other_sizes(&self) -> Option<String> {
        let (listed, sizes) = self.other_sizes.first().first()?;
        let first = Message(listed, &self.redactor);
        let fact = match self.other_sizes.len().saturating_sub(1) {
            0 => {
                format!("{first} {sizes}: it is kept as received, and not deleted until it arrives in its listed size")
            }
            others => format!(
                "{first} {sizes}, and {others} more were like that: they are kept as received, and not deleted until \
                 they arrive in their listed sizes"
            ),
        };
        Some(advice::with_step(fact, Some(advice::next_step::OTHER_SIZES)))
    }

    /// Says what is left for another poll.
    fn left(&self) -> Option<String> {
        let Left { messages, why } = self.left?;
        let are = if messages == 1 { "is" } else { "are" };
        let left = format!("{} {are} left for the next poll", Count::of(messages, "message"));
        Some(match (why, self.login_delay) {
            (LeftFor::LoginDelay, Some(delay)) => {
                format!("{left}, because the server wants {} s between two logins", delay.as_secs())
            }
            (LeftFor::LoginDelay, None) => format!("{left}, because the server wants more time between two logins"),
            (LeftFor::LongPoll, _) => format!(
                "{left}, because this one took {} and {} s already",
                Count(u64::from(self.sessions), "session"),
                self.duration.as_secs()
            ),
            (LeftFor::LargeState, _) => {
                format!("{left}, because what is remembered of earlier ones takes all the memory there is for that")
            }
            (LeftFor::FullSpool, _) => {
                let they = if messages == 1 { "it is" } else { "they are" };
                format!(
                    "{left}, because the spool is full: {they} fetched once what is in the spool has been forwarded"
                )
            }
            (LeftFor::SmallSpool, _) => {
                let they = if messages == 1 { "it is" } else { "they are" };
                format!(
                    "{left}, because no more go into the spool at a time: {they} fetched once what came now has been \
                     forwarded"
                )
            }
            (LeftFor::LargerThanSpool, _) => format!(
                "{left}, because the next one is larger than all that may wait in the spool: it is fetched alone, once \
                 the spool is empty"
            ),
            (LeftFor::DownloadLimit, _) => format!("{left}, because the server gives no more for now"),
            (LeftFor::NoProgress, _) => format!("{left}, because the last session brought nothing new"),
            (LeftFor::Refusals, _) => {
                format!(
                    "{left}, because the server refused one message after the other; those not tried yet come first"
                )
            }
        })
    }

    /// Names the messages that UIDL left out.
    fn unnamed(&self) -> Option<String> {
        let first = self.unnamed.first().first()?;
        let which = match self.unnamed.len() {
            1 => {
                format!("{} has no unique-id: UIDL names none that could be used", Message(first, &self.redactor))
            }
            all => format!(
                "{} have no unique-id, {} among them: UIDL names none that could be used",
                Count::of(all, "message"),
                Message(first, &self.redactor)
            ),
        };
        Some(format!("{which}. What has none cannot be told from other mail and is not fetched until it has one"))
    }
}

/// The line about a poll.
struct Line<'a>(&'a PollReport);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        match report.retrieved {
            0 => f.write_str("nothing new")?,
            new => write!(f, "{new} new {} ({})", plural(new, "message"), Size(report.octets))?,
        }
        write!(f, " in {}", Took(report.duration))?;
        if report.removed > 0 {
            write!(f, "; {} deleted on the server", report.removed)?;
        }
        if report.renumbered > 0 {
            write!(f, "; {} renumbered by the server and recognised", report.renumbered)?;
        }
        if let Some(left) = report.on_server {
            match left {
                0 => f.write_str("; none on the server")?,
                left => write!(f, "; {left} on the server")?,
            }
        }
        StayingThere(report).fmt(f)?;
        if let Some(forwarded) = &report.forwarded {
            write!(f, "; {}", Forwarded(forwarded))?;
        }
        if let Some((messages, rest)) = report.left_in_spool {
            let minutes = rest.as_secs().div_ceil(60);
            write!(f, "; {}, tried again in {minutes} min", in_the_spool(messages))?;
        }
        let finished = report.recovered.finished;
        if finished > 0 {
            let finished = Count::of(finished, "delivery");
            write!(f, "; finished {finished} of an interrupted run")?;
        }
        Ok(())
    }
}

/// How many messages are not fetched, and why, in brackets; nothing if there are none.
struct StayingThere<'a>(&'a PollReport);

impl fmt::Display for StayingThere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let all = [
            (report.too_large.len(), advice::next_step::TOO_LARGE),
            (report.skipped.len(), "left there by a rule"),
            (report.unnamed.len(), "without a unique-id yet"),
            (report.quarantined.len(), "in quarantine"),
        ];
        let mut begin = " (";
        for (messages, why) in all.into_iter().filter(|(messages, _)| *messages > 0) {
            write!(f, "{begin}{messages} {why}")?;
            begin = ", ";
        }
        match begin {
            " (" => Ok(()),
            _ => write!(f, "{})", InQuarantine(report)),
        }
    }
}

impl QuarantineReason {
    /// Returns what happened to a message; how often it happened comes after that.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Refused => "the server refused it",
            Self::BrokeSession => "a session broke at it",
            Self::OverLimit => "the server's limit for a day kept it back",
            Self::OtherSize => "it came in another size than it is listed with",
        }
    }
}

/// The message in quarantine, and why: of several, the one that is left alone longest.
struct InQuarantine<'a>(&'a PollReport);

impl fmt::Display for InQuarantine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let Some(first) = report.quarantine.iter().find(|one| !one.left_alone.is_zero()) else {
            return BeyondItsLimit(report).fmt(f);
        };
        let unique_id = report.redactor.hide(&first.unique_id.to_string());
        let times = Count(u64::from(first.times), "time");
        write!(f, ": {unique_id}, because {} {times}", first.kind.in_words())?;
        match report.quarantined.len().saturating_sub(1) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// The first message that is left alone under any unique-id, as one listed so failed.
struct BeyondItsLimit<'a>(&'a PollReport);

impl fmt::Display for BeyondItsLimit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let Some(first) = report.quarantined.first().first() else { return Ok(()) };
        let message = Message(first, &report.redactor);
        write!(f, ": {message}, because one listed with its number and size failed time and again")
    }
}

/// A duration; a very short one has no exact number.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0..50 => f.write_str("under 0.1 s"),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

/// The longest header that messages are routed by, in octets.
const HEADER: u64 = routing::HEADER_MOST as u64;

/// How many of many messages are named.
const NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::poll::report::{Quarantined, Tally};

    fn report() -> PollReport {
        let mut report = PollReport::new(AccountName::new("work").unwrap());
        report.duration = Duration::from_millis(840);
        report
    }

    #[test]
    fn a_line_says_what_came_how_much_how_long_and_what_is_left() {
        let mut one = report();
        (one.retrieved, one.octets, one.removed, one.on_server) = (1, 1536, 3, Some(2));
        one.renumbered = 120;
        assert_eq!(
            Line(&one).to_string(),
            "1 new message (1.5 KiB) in 0.8 s; 3 deleted on the server; 120 renumbered by the server and recognised; 2 \
             on the server"
        );
        let mut none = report();
        (none.on_server, none.recovered.finished) = (Some(0), 2);
        let mut paused = report();
        paused.left_in_spool = Some((2, Duration::from_secs(3541)));
        let line = "nothing new in 0.8 s; 2 messages wait in the spool, tried again in 60 min";
        assert_eq!(Line(&paused).to_string(), line);
        assert_eq!(
            Line(&none).to_string(),
            "nothing new in 0.8 s; none on the server; finished 2 deliveries of an interrupted run"
        );
    }

    #[test]
    fn what_is_in_quarantine_is_named_with_its_reason() {
        let mut some = report();
        some.on_server = Some(3);
        let quarantined = |unique_id: &str, kind, left_alone| Quarantined {
            unique_id: crate::pop3::UniqueId::new(unique_id.as_bytes()).unwrap(),
            kind,
            times: 3,
            left_alone: Duration::from_secs(left_alone),
        };
        some.quarantined = Tally::of(&[listed(3, "u3")]);
        some.quarantine = vec![quarantined("u3", QuarantineReason::Refused, 900)];
        let line = "nothing new in 0.8 s; 3 on the server (1 in quarantine: u3, because the server refused it 3 times";
        assert_eq!(Line(&some).to_string(), format!("{line})"));
        some.quarantined = Tally::of(&[listed(3, "u3"), listed(2, "u2")]);
        some.quarantine.push(quarantined("u2", QuarantineReason::BrokeSession, 800));
        let line = line.replace("(1 in", "(2 in");
        assert_eq!(Line(&some).to_string(), format!("{line}, and 1 more)"));
        some.duration = Duration::from_millis(49);
        assert!(Line(&some).to_string().starts_with("nothing new in under 0.1 s; "), "{}", Line(&some));
    }

    fn listed(n: u32, unique_id: &str) -> Listed {
        Listed {
            number: crate::pop3::MessageNumber::new(n).unwrap(),
            unique_id: crate::pop3::UniqueId::new(unique_id.as_bytes()).ok(),
            reported_size: Some(crate::pop3::ReportedSize::new(100)),
        }
    }

    #[test]
    fn any_number_of_failures_is_one_sentence() {
        let mut one = report();
        one.failed.add(&listed(1, "a"), "no");
        assert_eq!(
            one.warnings(),
            ["message 1 (unique-id a, 100 B) could not be fetched: no. It stays on the server and is tried again"]
        );
        let mut many = report();
        (1..=50_000).for_each(|n| many.failed.add(&listed(n, "a"), "z".repeat(4000)));
        let warnings = many.warnings();
        let [sentence] = warnings.as_slice() else { panic!("{} sentences", warnings.len()) };
        assert!(sentence.starts_with("50000 messages could not be fetched"), "{sentence}");
        assert!(sentence.ends_with("and 49997 more") && sentence.len() < 1000, "{sentence}");
    }

    #[test]
    fn what_is_left_and_what_has_no_unique_id_is_told() {
        let mut left = report();
        left.login_delay = Some(Duration::from_secs(300));
        for (messages, why, words) in [
            (1, LeftFor::LoginDelay, "1 message is left for the next poll, because the server wants 300 s between"),
            (7, LeftFor::LongPoll, "7 messages are left for the next poll, because this one took"),
            (
                7,
                LeftFor::LargeState,
                "7 messages are left for the next poll, because what is remembered of earlier ones",
            ),
            (7, LeftFor::Refusals, "7 messages are left for the next poll, because the server refused"),
            (7, LeftFor::DownloadLimit, "7 messages are left for the next poll, because the server gives no more"),
            (2, LeftFor::NoProgress, "2 messages are left for the next poll, because the last session brought nothing"),
        ] {
            left.left = Some(Left { messages, why });
            assert!(left.warnings()[0].starts_with(words), "{:?}", left.warnings());
            assert_eq!(left.exit_status(), crate::exit::ExitStatus::Partial);
        }
        let mut unnamed = report();
        unnamed.unnamed = Tally::of(&[listed(5, ""), listed(6, "")]);
        assert!(unnamed.warnings()[0].starts_with("2 messages have no unique-id, message 5 (100 B) among them"));
        assert_eq!(unnamed.exit_status(), crate::exit::ExitStatus::Partial);
    }
}
