//! What `fetch --dry-run` says about an account: one line on what would be fetched, deleted and left, then one per
//! message.

use std::collections::BTreeMap;
use std::fmt;

use crate::account::RemovalPolicy;
use crate::advice::next_step::TOO_LARGE;
use crate::client::Message;
use crate::plan::maildrop::Listed;
use crate::poll::PollReport;
use crate::poll::report::{MessageDestination, Tally, WouldDo, WouldGo};
use crate::pop3::ReportedSize;
use crate::text::{Count, Size};

/// The dry run of an account.
pub(super) struct DryRun<'a> {
    /// The report.
    pub(super) report: &'a PollReport,
    /// What it would have done.
    pub(super) would: &'a WouldDo,
}

impl DryRun<'_> {
    /// Returns the summary of the account in one line.
    pub(super) fn line(&self) -> String {
        let Self { report, would } = self;
        let mut parts = vec![self.fetch(), self.delete(), self.leave()];
        if report.renumbered > 0 {
            parts.push(format!("{} renumbered by the server and recognised", report.renumbered));
        }
        if self.shows_no_headers() {
            let count = Count::of(would.retrieve.len(), "message");
            parts.push(format!("where {count} would go is not known: the server shows no headers (TOP)"));
        }
        format!("{}: would {}", report.account, parts.join("; "))
    }

    /// Returns a line for each message that would be fetched or deleted, or is left for a reason.
    pub(super) fn messages(&self) -> Vec<String> {
        let Self { report, would } = self;
        let message = |listed| Message(listed, &report.redactor);
        let mut lines: Vec<String> = Vec::new();
        for listed in &would.retrieve {
            let stays = if would.stays.contains(&listed.number) { "; it stays on the server, by a rule" } else { "" };
            lines.push(format!("  fetch {}{}{stays}", message(listed), self.way_of(listed)));
        }
        lines.extend(would.delete.iter().map(|listed| format!("  delete {}, fetched earlier", message(listed))));
        for (left, why) in self.left() {
            lines.extend(left.first().iter().map(|listed| format!("  leave {}: {why}", message(listed))));
            let more = left.len().saturating_sub(left.first().len());
            lines.extend((more > 0).then(|| format!("  leave {more} more: {why}")));
        }
        lines
    }

    /// Says what would be fetched, and where it would go.
    fn fetch(&self) -> String {
        let would = self.would;
        if would.retrieve.is_empty() {
            return "fetch nothing".to_owned();
        }
        let octets =
            ReportedSize::saturating_sum(would.retrieve.iter().filter_map(|listed| listed.reported_size)).get();
        let fetch = format!("fetch {} ({})", Count::of(would.retrieve.len(), "message"), Size(octets));
        match &would.into {
            WouldGo::To(MessageDestination::Forwarded(to)) => {
                let them = if would.retrieve.len() == 1 { "it" } else { "them" };
                format!("{fetch} and forward {them} to {}", crate::text::value(to))
            }
            WouldGo::To(destination) => format!("{fetch} {}", Way(destination)),
            WouldGo::ByHeader { .. } if self.shows_no_headers() => fetch,
            WouldGo::ByHeader { .. } => format!("{fetch}: {}", self.ways().join(", ")),
        }
    }

    /// Counts the messages by where they would go, and those of which that is unknown.
    fn ways(&self) -> Vec<String> {
        let WouldGo::ByHeader { seen } = &self.would.into else { return Vec::new() };
        let mut ways: BTreeMap<&MessageDestination, usize> = BTreeMap::new();
        seen.values().flatten().for_each(|destination| *ways.entry(destination).or_default() += 1);
        let mut words: Vec<String> =
            ways.iter().map(|(destination, count)| format!("{count} {}", Way(destination))).collect();
        let unseen = self.would.retrieve.len().saturating_sub(seen.len());
        words.extend((unseen > 0).then(|| format!("{unseen} as their headers say, which were not looked at")));
        words
    }

    /// Whether the rules need headers and none could be seen.
    fn shows_no_headers(&self) -> bool {
        let WouldDo { retrieve, into, .. } = self.would;
        matches!(into, WouldGo::ByHeader { seen } if seen.is_empty()) && !retrieve.is_empty()
    }

    /// Says where a message would go, if there are several destinations.
    fn way_of(&self, listed: &Listed) -> String {
        let WouldGo::ByHeader { seen } = &self.would.into else { return String::new() };
        let Some(destinations) = seen.get(&listed.number) else { return String::new() };
        let ways: Vec<String> = destinations.iter().map(|destination| Way(destination).to_string()).collect();
        format!(" {}", ways.join(" and "))
    }

    /// Counts the messages that would be forwarded, as far as that is known.
    fn to_forward(&self) -> usize {
        let is_forwarded = |destination: &MessageDestination| matches!(destination, MessageDestination::Forwarded(_));
        match &self.would.into {
            WouldGo::To(destination) if is_forwarded(destination) => self.would.retrieve.len(),
            WouldGo::To(_) => 0,
            WouldGo::ByHeader { seen } => {
                seen.values().filter(|destinations| destinations.iter().any(is_forwarded)).count()
            }
        }
    }

    /// Counts the messages that would be fetched and are not deleted in the same session, as far as that is known:
    /// they are forwarded, or a rule leaves them on the server.
    fn to_keep(&self) -> usize {
        let WouldDo { retrieve, into, stays, .. } = self.would;
        let WouldGo::ByHeader { seen } = into else { return self.to_forward() };
        let is_forwarded = |destination: &MessageDestination| matches!(destination, MessageDestination::Forwarded(_));
        let is_kept = |listed: &&Listed| {
            let number = &listed.number;
            stays.contains(number) || seen.get(number).is_some_and(|to| to.iter().any(is_forwarded))
        };
        retrieve.iter().filter(is_kept).count()
    }

    /// What is forwarded is deleted only by a later poll, once its arrival is known.
    fn goes_later(&self) -> Option<String> {
        let WouldDo { retrieve, removal, .. } = self.would;
        let forwarded = Some(self.to_forward()).filter(|_| *removal == RemovalPolicy::AfterDelivery);
        Some(match forwarded? {
            0 => return None,
            1 if retrieve.len() == 1 => "a later poll deletes it once it has arrived".to_owned(),
            all if all == retrieve.len() => "a later poll deletes these once they have arrived".to_owned(),
            1 => "a later poll deletes the one that is forwarded once it has arrived".to_owned(),
            some => format!("a later poll deletes the {some} that are forwarded once they have arrived"),
        })
    }

    /// Counts the messages on the server that may be deleted in time: what a rule leaves there stays.
    fn may_go(&self) -> u64 {
        let stays = self.report.skipped.len().saturating_add(self.would.stays.len());
        self.report.on_server.unwrap_or(0).saturating_sub(u64::try_from(stays).unwrap_or(u64::MAX))
    }

    /// Says what would be deleted on the server.
    fn delete(&self) -> String {
        let would = self.would;
        let WouldDo { retrieve, delete, removal, .. } = would;
        let earlier = match delete.len() {
            0 => None,
            count => Some(format!("{count} fetched earlier")),
        };
        let of_these = match removal {
            RemovalPolicy::AfterDelivery if retrieve.is_empty() => None,
            // Forwarded messages are deleted by a later poll: see [`Self::goes_later`].
            RemovalPolicy::AfterDelivery if self.to_forward() >= retrieve.len() => None,
            RemovalPolicy::AfterDelivery if self.to_forward() > 0 => Some("the others once they are delivered"),
            RemovalPolicy::AfterDelivery if would.stays.len() >= retrieve.len() => None,
            RemovalPolicy::AfterDelivery if !would.stays.is_empty() || would.may_stay > 0 => {
                Some("these once they are delivered, unless a rule skips them")
            }
            RemovalPolicy::AfterDelivery => Some("these once they are delivered"),
            RemovalPolicy::Keep | RemovalPolicy::AfterAge(_) => None,
        };
        let later = self.goes_later();
        let now = match (of_these, earlier, removal) {
            (Some(these), Some(earlier), _) => format!("delete {these}, and {earlier}"),
            (Some(these), None, _) => format!("delete {these}"),
            (None, Some(earlier), _) => format!("delete {earlier}"),
            (None, None, RemovalPolicy::AfterAge(_)) if self.may_go() > 0 => "delete none yet".to_owned(),
            (None, None, _) if later.is_some() => "delete none now".to_owned(),
            (None, None, _) => "delete none".to_owned(),
        };
        match later {
            Some(later) => format!("{now} ({later})"),
            None => now,
        }
    }

    /// Says what would remain on the server, and why, unless the reason is obvious.
    fn leave(&self) -> String {
        let Self { report, would } = self;
        let fetched = match would.removal {
            RemovalPolicy::AfterDelivery => would.retrieve.len().saturating_sub(self.to_keep()),
            RemovalPolicy::Keep | RemovalPolicy::AfterAge(_) => 0,
        };
        let deleted = u64::try_from(would.delete.len().saturating_add(fetched)).unwrap_or(u64::MAX);
        let left = report.on_server.unwrap_or(0).saturating_sub(deleted);
        let mut reasons: Vec<String> =
            self.left().iter().map(|(messages, why)| format!("{} {why}", messages.len())).collect();
        if would.postponed > 0 {
            reasons.push(format!("{} for another session", would.postponed));
        }
        match would.kept_out_by_spool {
            0 => {}
            1 => reasons.push("1 waits, because the spool is full".to_owned()),
            some => reasons.push(format!("{some} wait, because the spool is full")),
        }
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let leave = match left {
            0 => "leave none on the server".to_owned(),
            left => format!("leave {left} on the server{why}"),
        };
        match would.may_stay {
            0 => leave,
            _ if would.removal == RemovalPolicy::Keep => leave,
            some => {
                let count = Count::of(some, "message");
                format!("{leave}, and those of {count} that a rule skips: the server does not show their headers (TOP)")
            }
        }
    }

    /// Lists what is not fetched, and why.
    fn left(&self) -> Vec<(&Tally<Listed>, &'static str)> {
        let PollReport { too_large, skipped, unnamed, quarantined, .. } = self.report;
        let all = [
            (too_large, TOO_LARGE),
            (skipped, "left there by a rule"),
            (unnamed, "without a unique-id yet"),
            (quarantined, "in quarantine"),
        ];
        all.into_iter().filter(|(messages, _)| !messages.is_empty()).collect()
    }
}

/// Says in words where a message goes.
struct Way<'a>(&'a MessageDestination);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MessageDestination::Maildir(path) => write!(f, "into {}", crate::text::path(path)),
            MessageDestination::Forwarded(to) => write!(f, "forwarded to {}", crate::text::value(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::pop3::MessageNumber;
    use std::collections::{BTreeSet, HashMap};
    use std::path::PathBuf;
    use std::time::Duration;

    fn listed(n: u32) -> Listed {
        Listed { number: MessageNumber::new(n).unwrap(), unique_id: None, reported_size: Some(ReportedSize::new(1024)) }
    }

    fn maildir(path: &str) -> MessageDestination {
        MessageDestination::Maildir(PathBuf::from(path))
    }

    fn report(on_server: u64) -> PollReport {
        let mut report = PollReport::new(AccountName::new("work").unwrap());
        report.on_server = Some(on_server);
        report
    }

    fn would(retrieve: u32, removal: RemovalPolicy) -> WouldDo {
        let retrieve = (1..=retrieve).map(listed).collect();
        let (into, delete) = (WouldGo::To(maildir("/m")), Vec::new());
        let (stays, may_stay) = (BTreeSet::new(), 0);
        WouldDo { retrieve, into, stays, may_stay, delete, removal, postponed: 0, kept_out_by_spool: 0 }
    }

    fn line(report: &PollReport, would: &WouldDo) -> String {
        DryRun { report, would }.line()
    }

    #[test]
    fn a_line_says_what_would_be_fetched_deleted_and_left() {
        let keep = RemovalPolicy::Keep;
        let said = |on_server, would: &WouldDo| line(&report(on_server), would);
        let fetch = "work: would fetch 2 messages (2.0 KiB) into /m; delete";
        assert_eq!(said(5, &would(2, keep)), format!("{fetch} none; leave 5 on the server"));
        assert_eq!(said(5, &would(0, keep)), "work: would fetch nothing; delete none; leave 5 on the server");
        let at_once = would(2, RemovalPolicy::AfterDelivery);
        assert_eq!(said(2, &at_once), format!("{fetch} these once they are delivered; leave none on the server"));
        let both = WouldDo { delete: vec![listed(3), listed(4)], ..at_once };
        let words = "these once they are delivered, and 2 fetched earlier; leave 1 on the server";
        assert_eq!(said(5, &both), format!("{fetch} {words}"));
        let later = would(2, RemovalPolicy::AfterAge(Duration::from_secs(86_400)));
        assert_eq!(said(2, &later), format!("{fetch} none yet; leave 2 on the server"));
        let nothing = WouldDo { retrieve: Vec::new(), ..later };
        assert_eq!(said(0, &nothing), "work: would fetch nothing; delete none; leave none on the server");
        let stays = BTreeSet::from([listed(1).number, listed(2).number]);
        let by_rule = WouldDo { stays, ..would(2, RemovalPolicy::AfterAge(Duration::from_secs(86_400))) };
        assert_eq!(said(2, &by_rule), format!("{fetch} none; leave 2 on the server"), "a rule keeps both for ever");
        let into = WouldGo::To(MessageDestination::Forwarded("INBOX at imaps://imap.example.org:993".to_owned()));
        let forwarded = WouldDo { into, ..would(2, RemovalPolicy::AfterDelivery) };
        let words = "work: would fetch 2 messages (2.0 KiB) and forward them to INBOX at imaps://imap.example.org:993; \
                     delete none now (a later poll deletes these once they have arrived); leave 2 on the server";
        assert_eq!(said(2, &forwarded), words, "it may take a while");
        let seen = HashMap::from([
            (listed(1).number, BTreeSet::from([MessageDestination::Forwarded("there".to_owned())])),
            (listed(2).number, BTreeSet::from([maildir("/m")])),
        ]);
        let some = WouldDo { into: WouldGo::ByHeader { seen }, ..would(2, RemovalPolicy::AfterDelivery) };
        let words = "delete the others once they are delivered (a later poll deletes the one that is forwarded once it has \
                     arrived); leave 1 on the server";
        assert!(said(2, &some).ends_with(words), "{}", said(2, &some));
    }

    #[test]
    fn what_is_left_is_told_with_the_reason() {
        let mut report = report(20);
        report.too_large = Tally::of(&[listed(3)]);
        report.skipped = Tally::of(&(4..=6).map(listed).collect::<Vec<_>>());
        let would = WouldDo { postponed: 7, ..would(2, RemovalPolicy::AfterDelivery) };
        let words =
            "leave 18 on the server (1 larger than max_message_size, 3 left there by a rule, 7 for another session)";
        assert!(line(&report, &would).ends_with(words), "{}", line(&report, &would));
        let full = WouldDo { postponed: 0, kept_out_by_spool: 6, ..would.clone() };
        let words = "3 left there by a rule, 6 wait, because the spool is full)";
        assert!(line(&report, &full).ends_with(words), "{}", line(&report, &full));
        let messages = DryRun { report: &report, would: &would }.messages();
        assert_eq!(messages[0], "  fetch message 1 (1.0 KiB)");
        assert_eq!(
            messages[2..4],
            [
                "  leave message 3 (1.0 KiB): larger than max_message_size",
                "  leave message 4 (1.0 KiB): left there by a rule"
            ]
        );
    }

    #[test]
    fn each_message_has_its_way_where_headers_decide() {
        let ways = |destinations: &[&str]| {
            destinations.iter().map(|path| maildir(path)).collect::<BTreeSet<MessageDestination>>()
        };
        let number = |n| MessageNumber::new(n).unwrap();
        let seen =
            HashMap::from([(number(1), ways(&["/m"])), (number(2), ways(&["/l"])), (number(3), ways(&["/l", "/m"]))]);
        let by_header = WouldDo { into: WouldGo::ByHeader { seen }, ..would(5, RemovalPolicy::Keep) };
        let said = line(&report(5), &by_header);
        let words = "(5.0 KiB): 2 into /l, 2 into /m, 2 as their headers say, which were not looked at; delete none";
        assert!(said.contains(words), "{said}");
        let report = report(5);
        let messages = DryRun { report: &report, would: &by_header }.messages();
        assert_eq!(
            messages[1..4],
            [
                "  fetch message 2 (1.0 KiB) into /l",
                "  fetch message 3 (1.0 KiB) into /l and into /m",
                "  fetch message 4 (1.0 KiB)"
            ]
        );
        let unseen = WouldDo { into: WouldGo::ByHeader { seen: HashMap::new() }, ..by_header };
        assert!(
            line(&report, &unseen)
                .ends_with("where 5 messages would go is not known: the server shows no headers (TOP)")
        );
    }

    #[test]
    fn any_size_that_a_server_reports_is_told() {
        let mut retrieve = vec![listed(1), listed(2)];
        retrieve.iter_mut().for_each(|listed| listed.reported_size = Some(ReportedSize::new(u64::MAX)));
        let would = WouldDo { retrieve, ..would(0, RemovalPolicy::Keep) };
        let mut report = report(2);
        assert!(line(&report, &would).starts_with("work: would fetch 2 messages (16.0 EiB) into"));
        report.would = Some(would);
        assert_eq!(crate::advice::fetchmail::code([Some(&report)].into_iter()), 0, "mail is waiting");
    }
}
