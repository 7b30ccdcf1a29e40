use super::*;
use crate::account::AccountName;
use crate::client::ClientError;
use crate::poll::PollError;
use crate::pop3::UniqueId;
use crate::state::entries::QuarantineReason;

const HOUR: Duration = Duration::from_secs(3600);

/// An account and its clock.
struct Account {
    told: NotifyState,
    settings: NotifySettings,
    now: Duration,
    redactor: Redactor,
    quarantine: Vec<Quarantined>,
    certificate_days: Option<i64>,
    sign_in_ends: Option<(i64, i64)>,
}

impl Account {
    fn new() -> Self {
        Self {
            told: NotifyState::default(),
            settings: NotifySettings { no_success_for: None, ..NotifySettings::default() },
            now: 1000 * HOUR,
            redactor: Redactor::default(),
            quarantine: Vec::new(),
            certificate_days: None,
            sign_in_ends: None,
        }
    }

    /// Ends a poll like this, so long after the previous one.
    fn poll(&mut self, after: Duration, ended: Ended) -> Vec<Notification> {
        self.now += after;
        let (certificate_days, now) = (self.certificate_days, self.now);
        let facts = PollFacts {
            ended,
            new: 0,
            certificate_days,
            certificate_is_ours: false,
            sign_in_ends: self.sign_in_ends,
            quarantine: &self.quarantine,
            redactor: &self.redactor,
            now,
        };
        after_poll(&mut self.told, &self.settings, &facts)
    }

    fn well(&mut self, after: Duration) -> Vec<Notification> {
        self.poll(after, Ended::Well)
    }

    /// Returns the events of the notifications.
    fn fails(&mut self, after: Duration, cause: Cause, times: u32) -> Vec<&'static str> {
        self.poll(after, badly(cause, times)).iter().map(Notification::event).collect()
    }
}

fn badly(cause: Cause, times: u32) -> Ended {
    Ended::Badly { cause, times, text: "why".to_owned() }
}

#[test]
fn what_a_person_has_to_mend_is_told_soon() {
    for (cause, first) in [
        (Cause::LoginRefused, 1),
        (Cause::AccessRefused, 1),
        (Cause::Configuration, 1),
        (Cause::InternalError, 1),
        (Cause::Tls, 2),
        (Cause::Protocol, 2),
        (Cause::Credential, 2),
        (Cause::Storage, 2),
        (Cause::ServerBusy, 6),
        (Cause::RateLimited, 6),
        (Cause::LockedByAnother, 13),
    ] {
        let mut account = Account::new();
        assert!(account.well(MINUTE).is_empty());
        let told: Vec<u32> = (1..20).filter(|times| account.fails(5 * MINUTE, cause, *times) == ["trouble"]).collect();
        assert_eq!(told, [first], "{cause:?}");
    }
}

#[test]
fn a_network_that_is_down_is_told_of_after_five_polls_and_half_an_hour() {
    let mut account = Account::new();
    // Thirty polls within a quarter of an hour are not enough, nor are four in two hours.
    assert!((1..30).all(|times| account.fails(MINUTE / 2, Cause::NetworkDown, times).is_empty()));
    assert!(account.well(MINUTE).is_empty());
    assert!((1..5).all(|times| account.fails(MINUTE * 30, Cause::NetworkDown, times).is_empty()));
    // Alternating between no network and a lost connection is no news, and does not start afresh.
    assert_eq!(account.fails(MINUTE, Cause::ConnectionLost, 1), ["trouble"]);
    assert!(account.fails(MINUTE, Cause::NetworkDown, 1).is_empty());
    assert_eq!(account.well(MINUTE), [Notification::Recovered]);
}

#[test]
fn a_failure_that_stays_is_told_again_once_a_day() {
    let mut account = Account::new();
    let told: Vec<u32> = (1..=100).filter(|n| account.fails(HOUR, Cause::LoginRefused, *n) == ["trouble"]).collect();
    assert_eq!(told, [1, 25, 49, 73, 97]);
}

#[test]
fn a_recovery_is_told_only_after_what_was_told() {
    let mut account = Account::new();
    assert!(account.fails(MINUTE, Cause::Tls, 1).is_empty());
    assert!(account.well(MINUTE).is_empty());
    assert_eq!(account.fails(MINUTE, Cause::LoginRefused, 1), ["trouble"]);
    assert!(account.poll(MINUTE, Ended::Open).is_empty());
    assert_eq!(account.well(MINUTE), [Notification::Recovered]);
    assert!(account.well(MINUTE).is_empty());
    // The next time is news again.
    assert_eq!(account.fails(MINUTE, Cause::LoginRefused, 1), ["trouble"]);
}

#[test]
fn another_failure_is_news_and_going_to_and_fro_is_none() {
    let mut account = Account::new();
    assert_eq!(account.fails(HOUR, Cause::LoginRefused, 1), ["trouble"]);
    assert!(account.fails(MINUTE, Cause::Storage, 1).is_empty());
    assert_eq!(account.fails(MINUTE, Cause::Storage, 2), ["trouble"]);
    assert!(account.fails(MINUTE, Cause::LoginRefused, 2).is_empty());
    assert!(account.fails(MINUTE, Cause::Storage, 1).is_empty());
    assert_eq!(account.well(MINUTE), [Notification::Recovered]);
}

#[test]
fn a_long_time_without_success_is_told_once_a_period() {
    let mut account = Account::new();
    account.settings.no_success_for = Some(2 * HOUR);
    account.well(MINUTE);
    // Neither cause occurs often enough in a row to be reported as a failure.
    let causes = [Cause::Tls, Cause::Storage];
    let told: Vec<u32> = (1..=60)
        .filter(|n| {
            let cause = causes[usize::try_from(n % 2).unwrap()];
            account.fails(10 * MINUTE, cause, 1) == ["no-success"]
        })
        .collect();
    assert_eq!(told, [12, 24, 36, 48, 60]);
    assert_eq!(account.well(MINUTE), [Notification::Recovered]);
    assert!(account.fails(10 * MINUTE, Cause::Tls, 1).is_empty());
}

#[test]
fn without_a_period_a_long_time_without_success_is_not_told() {
    let mut account = Account::new();
    assert!((1..=60).all(|_| account.fails(10 * HOUR, Cause::Tls, 1).is_empty()));
}

#[test]
fn a_failure_that_is_told_need_not_be_told_as_missing_success_as_well() {
    let mut account = Account::new();
    account.settings.no_success_for = Some(24 * HOUR);
    let told: Vec<_> = (1..=72).map(|times| account.fails(HOUR, Cause::LoginRefused, times)).collect();
    assert!(told.iter().all(|events| events.len() <= 1), "{told:?}");
    assert_eq!(told.iter().filter(|events| events.contains(&"trouble")).count(), 3);
    assert!(told.iter().all(|events| !events.contains(&"no-success")), "{told:?}");
}

#[test]
fn a_machine_that_slept_is_given_time_to_find_its_network() {
    let mut account = Account::new();
    account.settings.no_success_for = Some(24 * HOUR);
    account.well(MINUTE);
    assert!(account.fails(60 * HOUR, Cause::NetworkDown, 1).is_empty());
    assert!(account.fails(MINUTE / 2, Cause::NetworkDown, 2).is_empty());
    assert!(account.well(MINUTE).is_empty());
}

#[test]
fn a_certificate_that_expires_is_told_of_once_and_in_its_last_days() {
    let mut account = Account::new();
    let told = |account: &mut Account| {
        (-1..=60)
            .rev()
            .filter(|days| {
                account.certificate_days = Some(*days);
                let notifications = [account.well(12 * HOUR), account.well(12 * HOUR)].concat();
                assert!(
                    notifications.is_empty()
                        || notifications == [Notification::CertificateExpires { days: *days, ours: false }],
                    "{notifications:?}"
                );
                !notifications.is_empty()
            })
            .collect::<Vec<i64>>()
    };
    assert_eq!(told(&mut account), [14, 3, 1]);
    // The certificate is renewed, and expires again.
    assert_eq!(told(&mut account), [14, 3, 1]);
    account.settings.certificate_days = 2;
    assert_eq!(told(&mut account), [2, 1]);
    account.settings.certificate_days = 0;
    assert!(told(&mut account).is_empty());
    account.certificate_days = None;
    assert!(account.well(HOUR).is_empty());
}

#[test]
fn servers_with_different_certificates_under_one_name_are_not_told_at_every_poll() {
    let mut account = Account::new();
    let mut count = 0;
    for poll in 0..288 {
        account.certificate_days = Some(if poll % 2 == 0 { 2 } else { 80 });
        count += account.well(5 * MINUTE).len();
    }
    assert_eq!(count, 1);
}

#[test]
fn the_end_of_a_sign_in_is_told_once() {
    let mut account = Account::new();
    account.sign_in_ends = Some((1_000_000, 2));
    assert_eq!(account.well(HOUR), [Notification::SignInEnds { days: 2 }]);
    // The server recomputes the remaining seconds at each renewal.
    account.sign_in_ends = Some((1_000_007, 1));
    assert!(account.well(HOUR).is_empty());
    account.told = NotifyState::restore(&account.told.save(account.now), 0, account.now);
    assert!(account.well(HOUR).is_empty());
    account.sign_in_ends = None;
    assert!(account.well(HOUR).is_empty());
    account.sign_in_ends = Some((2_000_000, 1));
    assert_eq!(account.well(HOUR), [Notification::SignInEnds { days: 1 }], "another sign-in");
}

fn quarantined(unique_id: &str, left_alone: Duration) -> Quarantined {
    let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
    Quarantined { unique_id, kind: QuarantineReason::BrokeSession, times: 3, left_alone }
}

#[test]
fn each_message_in_quarantine_is_told_of_once() {
    let mut account = Account::new();
    // Not left alone yet.
    account.quarantine = vec![quarantined("a", Duration::ZERO)];
    assert!(account.well(HOUR).is_empty());
    account.quarantine = vec![quarantined("a", HOUR), quarantined("b", HOUR)];
    let notifications = |unique_id: &str, count| {
        vec![Notification::Quarantine { unique_id: unique_id.to_owned(), kind: QuarantineReason::BrokeSession, count }]
    };
    assert_eq!(account.well(HOUR), notifications("a", 2));
    assert!(account.well(HOUR).is_empty());
    // A poll that fails before it sees them knows of none; that is no reason to report them again.
    let before = std::mem::take(&mut account.quarantine);
    assert!(account.fails(HOUR, Cause::NetworkDown, 1).is_empty());
    account.quarantine = before;
    assert!(account.well(HOUR).is_empty());
    account.quarantine.push(quarantined("c", HOUR));
    assert_eq!(account.well(HOUR), notifications("c", 1));
    // One message goes, and later fails again.
    account.quarantine.remove(0);
    assert!(account.well(HOUR).is_empty());
    account.quarantine.push(quarantined("a", HOUR));
    assert_eq!(account.well(HOUR), notifications("a", 1));
}

#[test]
fn only_so_many_messages_in_quarantine_are_remembered() {
    let mut account = Account::new();
    account.quarantine = (0..1000).map(|n| quarantined(&format!("u{n}"), HOUR)).collect();
    let [Notification::Quarantine { count: 256, .. }] = account.well(HOUR)[..] else { panic!() };
    assert_eq!(account.told.quarantined.len(), 256);
    assert!(account.well(HOUR).is_empty());
}

#[test]
fn a_password_in_a_unique_id_is_not_told() {
    let mut account = Account::new();
    account.redactor = Redactor::new("jo", &crate::secret::Secret::new(b"hunter2".to_vec()));
    account.quarantine = vec![quarantined("xhunter2x", HOUR)];
    let notifications = account.well(HOUR);
    assert!(
        matches!(&notifications[..], [Notification::Quarantine { unique_id, .. }] if unique_id == "x[secret]x"),
        "{notifications:?}"
    );
}

#[test]
fn a_report_is_understood() {
    let mut report = PollReport::new(AccountName::new("a").unwrap());
    report.retrieved = 7;
    report.certificate_expires = Some(1_000_000 + 86_400 * 3 - 1);
    let of = |report: &PollReport, reason: Reason| {
        let facts = PollFacts::of(report, &reason, HOUR, 1_000_000);
        (facts.ended, facts.new, facts.certificate_days)
    };
    assert_eq!(of(&report, Reason::Backlog), (Ended::Well, 7, Some(2)));
    report.client_certificate_expires = Some(1_000_000 + 86_400 * 2 - 1);
    let facts = PollFacts::of(&report, &Reason::AsConfigured, Duration::ZERO, 1_000_000);
    assert_eq!((facts.certificate_days, facts.certificate_is_ours), (Some(1), true), "the one that expires first");
    report.client_certificate_expires = Some(1_000_000 + 86_400 * 4);
    let facts = PollFacts::of(&report, &Reason::AsConfigured, Duration::ZERO, 1_000_000);
    assert_eq!((facts.certificate_days, facts.certificate_is_ours), (Some(2), false));
    report.certificate_expires = Some(999_999);
    assert_eq!(of(&report, Reason::AsConfigured), (Ended::Well, 7, Some(-1)));
    report.end = Err(PollError::Client(ClientError::Closed));
    let text = report.failure_text().unwrap();
    assert!(text.ends_with(". Try again later"), "{text}");
    let badly = Ended::Badly { cause: Cause::ConnectionLost, times: 2, text };
    assert_eq!(of(&report, Reason::Failure { cause: Cause::ConnectionLost, times: 2 }).0, badly);
    assert_eq!(of(&report, Reason::Doubt).0, Ended::Open);
    report.end = Err(PollError::Stopped);
    assert_eq!(of(&report, Reason::Stopped).0, Ended::Open);
}

#[test]
fn new_mail_is_told_however_the_poll_ended() {
    let mut account = Account::new();
    for (ended, others) in [(Ended::Well, 0), (Ended::Open, 0), (badly(Cause::InternalError, 1), 1)] {
        let (redactor, now) = (&account.redactor, account.now);
        let facts = PollFacts {
            ended,
            new: 3,
            certificate_days: None,
            certificate_is_ours: false,
            sign_in_ends: None,
            quarantine: &[],
            redactor,
            now,
        };
        let notifications = after_poll(&mut account.told, &account.settings, &facts);
        assert_eq!(notifications.first(), Some(&Notification::NewMail { count: 3 }));
        assert_eq!(notifications.len(), 1 + others);
    }
}

#[test]
fn the_same_warning_is_told_once_whatever_its_numbers() {
    let mut told = NotifyState::default();
    let fresh = |told: &mut NotifyState, words: &[&str]| told.fresh(words.iter().map(ToString::to_string).collect());
    let refused =
        |number: u32, uid: &str| format!("message {number} (unique-id {uid}, 1 KiB) could not be fetched: no (really)");
    assert_eq!(fresh(&mut told, &[&refused(3, "u3"), "the server refused to delete 2 messages"]).len(), 2);
    assert_eq!(fresh(&mut told, &[&refused(1, "u3"), "the server refused to delete 5 messages"]), [""; 0]);
    assert_eq!(fresh(&mut told, &[&refused(1, "u3"), &refused(2, "u4")]), [refused(2, "u4")]);
    let mut kept = NotifyState::restore(&told.save(Duration::from_secs(5)), 100, Duration::from_secs(105));
    assert_eq!(fresh(&mut kept, &[&refused(9, "u4")]), [""; 0]);
    assert_eq!(fresh(&mut kept, &[&refused(9, "u3")]).len(), 1, "it was over, and is back");
    let many: Vec<String> = (0..1000).map(|n| refused(n, &format!("v{n}"))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(fresh(&mut kept, &many).len(), MOST_QUARANTINED);
}

#[test]
fn what_was_told_outlives_a_boot() {
    let now = BOOT + DAY;
    let mut told = NotifyState::default();
    assert!(!told.is_failure_due(Cause::Tls, 1, now) && told.is_failure_due(Cause::Tls, 2, now));
    let saved = told.save(DAY);
    // An hour later, after a reboot, it is too soon for a reminder, as it is an hour before the day is over.
    for (hours, expected) in [(1, false), (23, false), (25, true)] {
        let booted = Duration::from_secs(60);
        let mut told = NotifyState::restore(&saved, hours * 3600, booted);
        assert_eq!(told.is_failure_due(Cause::Tls, 9, BOOT + booted), expected, "{hours} h");
    }
}

#[test]
fn what_was_only_shown_is_still_to_be_told_and_what_is_over_was_seen() {
    let mut told = NotifyState::default();
    let report = || PollReport::new(AccountName::new("a").unwrap());
    let bad = PollReport { unverified: 1, ..report() };
    let warnings = bad.warnings();
    told.shown(&bad, false, HOUR);
    assert_eq!(told.fresh(warnings.clone()), warnings, "a person at a terminal is not whoever is told");
    told.shown(&bad, false, HOUR);
    assert!(told.fresh(warnings.clone()).is_empty(), "it goes on");
    told.shown(&report(), true, HOUR);
    assert!(told.fresh(warnings.clone()).is_empty(), "of what was left out nothing is known");
    told.shown(&report(), false, HOUR);
    assert_eq!(told.fresh(warnings.clone()), warnings, "it was over meanwhile");
}
