//! Messages that the destination refuses for good. A single one is set aside. But if one after the other gets the same
//! answer and none is accepted in between, the destination is at fault: its recipient, its mailbox or its policy. Then
//! none is set aside, and all of them wait.
//!
//! Which of the two it is shows only later. So a refused message is held back until another one is accepted or the pass
//! ends. One that is set aside at the end of a pass counts in the next passes, too, until something is accepted: a
//! destination that gets one message a day is found out in the end, and those that were set aside wait again. PURE.

use super::journal::Ledger;
use super::spool::Spooled;

/// After this many in a row with the same answer it may be the destination that is at fault. If another message is
/// left, that one is tried before this is believed.
const MOST_ALIKE: usize = 3;

/// The same once the destination has accepted something in the pass.
const MOST_ALIKE_BEHIND_ACCEPTED: usize = 10;

/// The messages refused for good since the destination last accepted one.
#[derive(Debug, Default)]
pub(super) struct RefusedForGood {
    /// Those of this pass, each with the answer.
    pub(super) held: Vec<(Spooled, String)>,
    /// Those of earlier passes, by file name: they are set aside.
    pub(super) earlier: Vec<(String, String)>,
    /// Whether the destination has accepted one in this pass.
    pub(super) has_accepted: bool,
}

impl RefusedForGood {
    /// Begins with what earlier passes have recorded.
    pub(super) fn recall(ledger: &Ledger) -> Self {
        let recalled = ledger.set_aside_while_nothing_arrived();
        let earlier = recalled.map(|(name, reason)| (name.to_owned(), reason.to_owned())).collect();
        Self { held: Vec::new(), earlier, has_accepted: false }
    }

    /// Counts the messages that got the same answer.
    pub(super) fn alike(&self, answer: &str) -> usize {
        let answers = self.held.iter().map(|(_, other)| other).chain(self.earlier.iter().map(|(_, other)| other));
        answers.filter(|other| is_alike(other, answer)).count()
    }

    /// Whether so many got the same answer that the destination may be at fault.
    pub(super) fn are_many(&self, answer: &str) -> bool {
        self.alike(answer) >= if self.has_accepted { MOST_ALIKE_BEHIND_ACCEPTED } else { MOST_ALIKE }
    }
}

/// Whether two refusals say the same, apart from what differs from message to message. The status code says enough
/// where there is one (RFC 3463, RFC 5530).
fn is_alike(one: &str, other: &str) -> bool {
    gist(one) == gist(other)
}

/// Returns what a refusal says, without what differs from message to message.
fn gist(answer: &str) -> String {
    let mut words = answer.split(' ');
    let first = words.next().unwrap_or_default();
    if first.len() == 3 && first.bytes().all(|c| c.is_ascii_digit()) {
        let is_status =
            |word: &&str| word.split('.').count() == 3 && word.split('.').all(|part| part.parse::<u16>().is_ok());
        return [first, words.next().filter(is_status).unwrap_or_default()].join(" ");
    }
    if let Some((code, _)) = answer.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return code.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    }
    // In brackets: what a command wrote. Numbers are sizes and the like.
    let plain = answer.split_once(" (").map_or(answer, |(before, _)| before);
    plain.replace(|c: char| c.is_ascii_digit(), "")
}

#[cfg(test)]
mod tests {
    use super::is_alike;

    #[test]
    fn answers_are_alike_whatever_they_say_of_each_message() {
        for (one, other) in [
            ("550 5.1.1 <jo@x> unknown", "550 5.1.1 <jo@x> User unknown; id 12"),
            ("550 no", "550 never"),
            ("[TOOBIG] one", "[toobig] two"),
            ("[TOOBIG 5] one", "[TOOBIG 6] two"),
            ("Message of 1234 octets is too large", "Message of 99 octets is too large"),
            ("deliver ended with status 67 (no such box)", "deliver ended with status 67"),
        ] {
            assert!(is_alike(one, other), "{one}, {other}");
        }
        for (one, other) in [
            ("550 5.1.1 unknown", "550 5.7.1 spam"),
            ("550 no", "554 no"),
            ("[TOOBIG] one", "[LIMIT] one"),
            ("Too large", "Message contains a virus"),
            ("deliver ended with status 67", "receive ended with status 67"),
        ] {
            assert!(!is_alike(one, other), "{one}, {other}");
        }
    }
}
