use super::*;

use proptest::prelude::*;

use crate::account::AccountName;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const INTERVAL: Duration = Duration::from_secs(300);

/// The next poll, where the time of the week does not matter.
fn next(timing: &PollTiming, history: &mut History, outcome: &Outcome, seed: u64, polled: Range<Duration>) -> Next {
    super::next(timing, history, outcome, seed, polled, TimeOfWeek::new(0))
}

/// An account with a fixed interval.
fn fixed(interval: Duration, host: &str) -> PollTiming {
    PollTiming::new(Interval::fixed(interval), host)
}

/// An account at a server with nothing known about it.
fn account() -> PollTiming {
    fixed(INTERVAL, "pop.example.org")
}

fn dealt(new: u64, more: bool) -> Outcome {
    Outcome { logged_in: true, new, login_delay: None, end: End::Dealt { more } }
}

/// A poll that ended before the login.
fn failure(cause: Cause) -> Outcome {
    Outcome { logged_in: false, new: 0, login_delay: None, end: End::Failed(cause) }
}

fn refused(explicit: bool) -> Outcome {
    Outcome { end: End::Refused { explicit }, ..failure(Cause::LoginRefused) }
}

/// Simulates an account over time: each poll begins when it is due and takes a second.
struct Story {
    timing: PollTiming,
    history: History,
    now: Duration,
}

impl Story {
    fn of(timing: PollTiming) -> Self {
        Self { timing, history: History::default(), now: 1000 * HOUR }
    }

    /// Ends a poll that begins now. Returns how long after its end the next one is due and why, and moves on to that
    /// time.
    fn after(&mut self, outcome: Outcome) -> (Duration, Reason) {
        let end = self.now + SECOND;
        let next = next(&self.timing, &mut self.history, &outcome, 7, self.now..end);
        self.now = next.at;
        (next.at - end, next.reason)
    }

    /// The waits after polls that all end like this one.
    fn waits(&mut self, outcome: Outcome, times: usize) -> Vec<Duration> {
        (0..times).map(|_| self.after(outcome).0).collect()
    }
}

/// Whether a wait is the expected one, plus no more than the allowed jitter.
fn is_about(wait: Duration, expected: Duration) -> bool {
    wait >= expected && wait <= expected + expected / 10
}

fn minutes(of: &[u64]) -> Vec<Duration> {
    of.iter().map(|minutes| Duration::from_secs(60 * minutes)).collect()
}

#[test]
fn each_cause_is_waited_out_in_its_own_way() {
    let half = Duration::from_secs(30);
    let network = [vec![half], minutes(&[1, 2, 5, 5, 5, 5])].concat();
    let by_hand = minutes(&[5, 10, 20, 30, 60, 60, 60]);
    for (cause, expected) in [
        (Cause::NetworkDown, network.clone()),
        (Cause::ConnectionLost, network),
        (Cause::ServerBusy, minutes(&[5, 10, 20, 30, 30, 30, 30])),
        (Cause::RateLimited, minutes(&[5, 10, 20, 30, 30, 30, 30])),
        (Cause::LoginRefused, minutes(&[60, 120, 240, 480, 960, 1440, 1440])),
        (Cause::AccessRefused, minutes(&[60, 120, 240, 480, 960, 1440, 1440])),
        (Cause::Tls, minutes(&[10, 20, 40, 80, 120, 120, 120])),
        (Cause::Protocol, minutes(&[15, 30, 60, 120, 240, 360, 360])),
        (Cause::Storage, minutes(&[1, 2, 5, 10, 15, 15, 15])),
        (Cause::LockedByAnother, minutes(&[1, 2, 5, 5, 5, 5, 5])),
        (Cause::Credential, by_hand.clone()),
        (Cause::Configuration, by_hand.clone()),
        (Cause::InternalError, by_hand),
    ] {
        let mut story = Story::of(account());
        for (times, expected) in (1..).zip(expected) {
            let (wait, reason) = story.after(failure(cause));
            assert!(is_about(wait, expected), "{cause:?}, {times}: {wait:?}");
            assert_eq!(reason, Reason::Failure { cause, times });
        }
    }
}

#[test]
fn a_long_interval_lengthens_what_a_person_has_to_mend_and_a_short_one_shortens_the_network() {
    let waits = |interval, cause| {
        let waits = Story::of(fixed(interval, "pop.example.org")).waits(failure(cause), 7);
        (waits[0], waits[6])
    };
    let about = |(first, last): (Duration, Duration), a, b| {
        assert!(is_about(first, a) && is_about(last, b), "{first:?} {last:?}, not {a:?} {b:?}");
    };
    about(waits(12 * HOUR, Cause::Protocol), 12 * HOUR, 12 * HOUR);
    about(waits(HOUR, Cause::Tls), HOUR, 2 * HOUR);
    about(waits(12 * HOUR, Cause::ServerBusy), 5 * MINUTE, 30 * MINUTE);
    about(waits(12 * HOUR, Cause::NetworkDown), SECOND * 30, 15 * MINUTE);
    about(waits(12 * HOUR, Cause::Storage), MINUTE, 15 * MINUTE);
    about(waits(SECOND * 10, Cause::NetworkDown), SECOND * 10, SECOND * 10);
    about(waits(SECOND * 10, Cause::ServerBusy), 5 * MINUTE, 30 * MINUTE);
}

#[test]
fn the_table_of_causes_is_complete_and_only_grows() {
    for cause in Cause::ALL {
        let waits: Vec<Duration> = (1..20).map(|times| cause.wait(times, INTERVAL)).collect();
        assert!(waits.is_sorted() && waits[0] > Duration::ZERO && waits[18] <= 24 * HOUR, "{cause:?}");
        assert_eq!(cause.wait(0, INTERVAL), waits[0]);
        assert_eq!(cause.wait(u32::MAX, INTERVAL), waits[18]);
    }
}

#[test]
fn a_success_or_another_cause_begins_anew() {
    for between in [dealt(0, false), dealt(3, true), failure(Cause::Storage)] {
        let mut story = Story::of(account());
        story.waits(failure(Cause::ServerBusy), 3);
        story.after(between);
        assert_eq!(story.after(failure(Cause::ServerBusy)).1, Reason::Failure { cause: Cause::ServerBusy, times: 1 });
    }
}

#[test]
fn a_refused_login_is_remembered_until_the_server_lets_us_in() {
    let mut story = Story::of(account());
    story.waits(refused(true), 2);
    story.after(failure(Cause::NetworkDown));
    story.after(failure(Cause::ServerBusy));
    let (wait, reason) = story.after(refused(true));
    assert!(is_about(wait, 4 * HOUR), "{wait:?}");
    assert_eq!(reason, Reason::Failure { cause: Cause::LoginRefused, times: 3 });
    // The login succeeded, whatever came after.
    story.after(Outcome { logged_in: true, ..failure(Cause::ConnectionLost) });
    assert_eq!(story.after(refused(true)).1, Reason::Failure { cause: Cause::LoginRefused, times: 1 });
}

#[test]
fn a_poll_that_brought_mail_before_it_failed_was_no_failure_in_a_row() {
    let mut story = Story::of(account());
    let progress = Outcome { logged_in: true, new: 200, ..failure(Cause::ConnectionLost) };
    for wait in story.waits(progress, 5) {
        assert!(is_about(wait, SECOND * 30), "{wait:?}");
    }
    let stuck = Outcome { new: 0, ..progress };
    assert!(is_about(story.waits(stuck, 4)[2], 5 * MINUTE), "without mail it is");
}

#[test]
fn an_unclear_refusal_is_believed_the_second_time_where_the_login_worked_before() {
    let mut story = Story::of(account());
    story.after(dealt(0, false));
    story.after(failure(Cause::NetworkDown));
    let (wait, reason) = story.after(refused(false));
    assert!(is_about(wait, 5 * MINUTE), "{wait:?}");
    assert_eq!(reason, Reason::Doubt);
    // A busy server in between says nothing about the password.
    story.after(failure(Cause::ServerBusy));
    let (wait, reason) = story.after(refused(false));
    assert!(is_about(wait, HOUR), "{wait:?}");
    assert_eq!(reason, Reason::Failure { cause: Cause::LoginRefused, times: 1 });
}

#[test]
fn a_clear_refusal_is_believed_at_once_and_an_unclear_one_where_no_login_ever_worked() {
    let believed = Reason::Failure { cause: Cause::LoginRefused, times: 1 };
    let mut worked = Story::of(account());
    worked.after(dealt(0, false));
    assert_eq!(worked.after(refused(true)).1, believed);
    assert_eq!(Story::of(account()).after(refused(false)).1, believed);
    // The login of the first session of the same poll succeeded.
    let second_session = Outcome { logged_in: true, new: 5, ..refused(false) };
    assert_eq!(Story::of(account()).after(second_session).1, Reason::Doubt);
}

#[test]
fn what_a_person_does_ends_every_back_off() {
    let mut story = Story::of(account());
    story.waits(refused(true), 4);
    story.history.begin_anew();
    assert_eq!(story.after(refused(true)).1, Reason::Failure { cause: Cause::LoginRefused, times: 1 });
}

#[test]
fn a_login_delay_lengthens_the_interval_and_is_remembered() {
    let mut story = Story::of(account());
    let delay = Duration::from_secs(900);
    let (wait, reason) = story.after(Outcome { login_delay: Some(delay), ..dealt(2, false) });
    assert!((delay..=delay + delay / 4).contains(&wait), "{wait:?}");
    assert_eq!(reason, Reason::MinInterval { min_interval: delay, by: MinIntervalFrom::LoginDelay });
    // The server notices these, but not the others.
    assert!(story.after(failure(Cause::ConnectionLost)).0 >= delay);
    assert!(story.after(failure(Cause::ServerBusy)).0 >= delay);
    assert!(story.after(refused(false)).0 >= delay);
    assert!(is_about(story.after(failure(Cause::NetworkDown)).0, SECOND * 30));
    assert!(is_about(story.after(failure(Cause::Storage)).0, MINUTE));
    // It logged in before the disk was full.
    let after_login = Outcome { logged_in: true, login_delay: Some(delay), ..failure(Cause::Storage) };
    assert!(story.after(after_login).0 >= delay);
    // It is no longer announced.
    assert_eq!(story.after(dealt(0, false)).1, Reason::AsConfigured);
    // The session broke before anything was listed, in the first poll.
    for end in [End::Failed(Cause::Storage), End::Stopped] {
        let mut story = Story::of(account());
        let broke = Outcome { login_delay: Some(delay), end, ..failure(Cause::Storage) };
        assert!(story.after(broke).0 >= delay, "{end:?}");
        assert_eq!(story.history.login_delay, Some(delay));
        assert!(story.after(failure(Cause::ConnectionLost)).0 >= delay);
    }
}

#[test]
fn a_reload_brings_no_poll_sooner_than_the_server_bears() {
    let (timing, mut history) = (fixed(INTERVAL, "pop.example.org"), History::default());
    let next = Next { at: HOUR, reason: Reason::Start };
    assert_eq!(when_allowed(next, &timing, &history, HOUR), next, "it was never logged in to");
    history.login_delay = Some(MINUTE);
    assert_eq!(when_allowed(next, &timing, &history, HOUR), next);
    history.last_login = Some(HOUR - MINUTE);
    assert_eq!(when_allowed(next, &timing, &history, HOUR), next, "long enough ago");
    history.last_login = Some(HOUR - MINUTE + SECOND);
    let later = when_allowed(next, &timing, &history, HOUR);
    assert_eq!(later.at, HOUR + SECOND);
    assert_eq!(later.reason, Reason::MinInterval { min_interval: MINUTE, by: MinIntervalFrom::LoginDelay });
    let ovh = fixed(INTERVAL, "ssl0.ovh.net");
    assert!(when_allowed(next, &ovh, &history, HOUR).at > HOUR, "nor than its provider does");
}

#[test]
fn an_absurd_login_delay_is_not_believed() {
    let mut story = Story::of(account());
    let absurd = Outcome { login_delay: Some(Duration::from_secs(u64::MAX)), ..dealt(0, false) };
    let (wait, reason) = story.after(absurd);
    assert!(wait <= HOUR * 5 / 4, "{wait:?}");
    assert_eq!(reason, Reason::MinInterval { min_interval: HOUR, by: MinIntervalFrom::LoginDelay });
}

#[test]
fn what_is_known_of_a_provider_goes_beyond_what_its_server_says() {
    // No LOGIN-DELAY was announced, and the connection was cut without a response.
    let mut ovh = Story::of(fixed(SECOND * 30, "ssl0.ovh.net"));
    for outcome in [dealt(0, false), failure(Cause::ConnectionLost), dealt(7, true)] {
        let (wait, _) = ovh.after(outcome);
        assert!((MINUTE..=MINUTE * 5 / 4).contains(&wait), "{outcome:?}: {wait:?}");
    }
    assert!(is_about(ovh.after(failure(Cause::NetworkDown)).0, SECOND * 30), "nobody was there");

    let mut gmail = Story::of(fixed(MINUTE, "pop.gmail.com"));
    let announced = |outcome| Outcome { login_delay: Some(INTERVAL), ..outcome };
    let (wait, reason) = gmail.after(announced(dealt(0, false)));
    assert!((INTERVAL..=INTERVAL * 5 / 4).contains(&wait), "{wait:?}");
    assert!(matches!(reason, Reason::MinInterval { by: MinIntervalFrom::Provider(_), .. }), "{reason:?}");
    // Its LOGIN-DELAY does not delay a backlog.
    for wait in gmail.waits(announced(dealt(250, true)), 3) {
        assert!(wait <= AT_ONCE, "{wait:?}");
    }
}

#[test]
fn a_backlog_is_drained_as_long_as_each_poll_brings_something() {
    let mut story = Story::of(account());
    let (wait, reason) = story.after(dealt(1000, true));
    assert!(wait <= AT_ONCE && reason == Reason::Backlog, "{wait:?} {reason:?}");
    let (wait, reason) = story.after(dealt(0, true));
    assert!(wait > INTERVAL / 3 && reason == Reason::AsConfigured, "{wait:?} {reason:?}");
    // A server with a LOGIN-DELAY tolerates no more than that.
    let delay = Duration::from_secs(120);
    let (wait, reason) = story.after(Outcome { login_delay: Some(delay), ..dealt(1000, true) });
    assert!((delay..=delay + AT_ONCE).contains(&wait) && reason == Reason::Backlog, "{wait:?} {reason:?}");
}

#[test]
fn a_stopped_poll_goes_on_soon_and_changes_nothing() {
    let mut story = Story::of(account());
    story.waits(refused(true), 3);
    let before = story.history.clone();
    let (wait, reason) = story.after(Outcome { end: End::Stopped, ..failure(Cause::ConnectionLost) });
    assert!(wait <= AT_ONCE && reason == Reason::Stopped, "{wait:?} {reason:?}");
    assert_eq!(story.history, before);
    story.after(dealt(0, false));
    let delayed = Outcome { login_delay: Some(MINUTE), end: End::Stopped, ..dealt(4, false) };
    assert!(story.after(delayed).0 >= MINUTE, "the server counts it as a login");
}

/// A server that requires 12 minutes between two logins, and says so only when it refuses one.
#[test]
fn a_pace_that_a_server_enforces_is_learnt_from_its_refusals() {
    let mut story = Story::of(account());
    let (mut last_login, mut refusals, mut logins) = (None, 0_u32, 0_u32);
    let end = story.now + 48 * HOUR;
    while story.now < end {
        let too_soon = last_login.is_some_and(|last| story.now - last < 12 * MINUTE);
        if too_soon {
            refusals += 1;
            story.after(failure(Cause::RateLimited));
        } else {
            logins += 1;
            last_login = Some(story.now);
            story.after(dealt(0, false));
        }
    }
    // It is learnt again each day.
    assert!(refusals <= 9, "{refusals} refusals");
    assert!(logins >= 48 * 60 / 30, "{logins} logins in 48 hours");
}

#[test]
fn the_first_polls_come_soon_and_are_spread() {
    let now = 5 * HOUR;
    let one = first(&account(), 1, 3, now);
    assert!(one.at >= now && one.at <= now + FIRST_EACH && one.reason == Reason::Start);
    let short = fixed(SECOND * 10, "h");
    assert!((0..1000).all(|seed| first(&short, 10_000, seed, now).at <= now + SECOND * 10));
    let firsts: Vec<Duration> =
        seeds(10_000).iter().map(|&seed| first(&account(), 10_000, seed, now).at - now).collect();
    assert!(firsts.iter().all(|&at| at <= FIRST));
    assert_even(&firsts, SECOND, 30);
}

fn seeds(count: u32) -> Vec<u64> {
    (0..count).map(|n| seed(99, &AccountName::new(&format!("account-{n}")).unwrap())).collect()
}

/// Asserts that times from zero on fill the boxes of this width evenly: no box is off by more than five standard
/// deviations, which happens by chance once in 60,000 runs.
fn assert_even(times: &[Duration], width: Duration, boxes: usize) {
    let mut count = vec![0_f64; boxes];
    for time in times {
        let at = usize::try_from(time.as_nanos() / width.as_nanos()).unwrap();
        count[at.min(boxes - 1)] += 1.0;
    }
    let mean = times.len() as f64 / boxes as f64;
    let off = |n: &f64| (n - mean).abs() > 5.0 * mean.sqrt();
    assert!(!count.iter().any(off), "mean {mean}: {count:?}");
}

/// Ten thousand accounts that were all polled right after a start.
#[test]
fn ten_thousand_accounts_are_spread_over_their_interval_after_a_few_polls() {
    let (timing, begin) = (account(), 5 * HOUR);
    let polls = |seed: u64, until: Duration| {
        let mut at = first(&timing, 10_000, seed, begin).at;
        let mut polls = Vec::new();
        while at < until {
            polls.push(at);
            at = next(&timing, &mut History::default(), &dealt(0, false), seed, at..at + SECOND).at;
        }
        polls
    };
    let all: Vec<Duration> = seeds(10_000).iter().flat_map(|&seed| polls(seed, begin + 8 * INTERVAL)).collect();
    // From the fourth interval on, each minute and each 5 s has its share.
    for k in 4..8_u32 {
        let (from, to) = (begin + INTERVAL * k, begin + INTERVAL * (k + 1));
        let inside: Vec<Duration> = all.iter().filter(|&&at| at >= from && at < to).map(|&at| at - from).collect();
        assert!((9_900..10_100).contains(&inside.len()), "{} polls in an interval", inside.len());
        assert_even(&inside, SECOND * 5, 60);
    }
    // On the way there they bunch up nowhere but at the start.
    let mut each_second = vec![0_u32; 8 * 300];
    all.iter().for_each(|&at| each_second[usize::try_from((at - begin).as_secs()).unwrap()] += 1);
    assert!(each_second[31..].iter().all(|&polls| polls < 120), "33 would be even: {each_second:?}");
    // No account waited longer than an interval and its jitter.
    let early: Vec<Duration> = all.iter().filter(|&&at| at < begin + INTERVAL + INTERVAL / 2).copied().collect();
    assert!(early.len() >= 20_000, "{}", early.len());
}

#[test]
fn the_mean_is_the_interval_and_no_two_gaps_are_alike() {
    for interval in [SECOND * 10, INTERVAL, 6 * HOUR] {
        let timing = fixed(interval, "h");
        let mut history = History::default();
        let (mut at, mut gaps) = (HOUR, Vec::new());
        for round in 0..1010_u32 {
            // Each poll begins a little late and takes a while.
            let start = at + interval / 100;
            let after = next(&timing, &mut history, &dealt(0, false), 11, start..start + interval / 20).at;
            if round >= 10 {
                gaps.push(after - at);
            }
            at = after;
        }
        let mean = gaps.iter().sum::<Duration>() / 1000;
        assert!(mean.abs_diff(interval) < interval / 1000, "{mean:?} for {interval:?}");
        assert!(gaps.iter().all(|gap| gap.abs_diff(interval) <= interval / 8));
        gaps.sort_unstable();
        gaps.dedup();
        assert!(gaps.len() > 990);
    }
}

#[test]
fn a_poll_that_takes_longer_than_the_interval_leaves_a_pause() {
    let mut history = History::default();
    let after = next(&account(), &mut history, &dealt(5, false), 1, HOUR..2 * HOUR).at - 2 * HOUR;
    assert!(after >= INTERVAL / 16 && after <= INTERVAL, "{after:?}");
}

#[test]
fn accounts_and_installations_do_not_march_in_step() {
    let name = |name: &str| AccountName::new(name).unwrap();
    let seeds =
        [seed(1, &name("a")), seed(1, &name("b")), seed(2, &name("a")), seed(1, &name("ab")), seed(1, &name("ba"))];
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), seeds.len());
    assert_eq!(seed(1, &name("a")), seeds[0]);
    let at = |seed: u64| next(&account(), &mut History::default(), &dealt(0, false), seed, HOUR..HOUR + SECOND).at;
    assert_eq!(at(seeds[0]), at(seeds[0]));
    assert!(at(seeds[0]) != at(seeds[1]) && at(seeds[0]) != at(seeds[2]));
    // The installation matters as much as the account: on another one the accounts have other moments.
    let moments: Vec<Duration> =
        (0..3000).map(|n| past_own_moment(seed(n, &name("a")), INTERVAL, 7 * INTERVAL)).collect();
    assert_even(&moments, SECOND * 10, 30);
}

#[test]
fn while_somebody_waits_for_mail_polls_come_often_within_what_the_server_bears() {
    let mut story = Story::of(account());
    let until = story.now + 10 * MINUTE;
    story.history.awaited_until = Some(until);
    let (mut polls, delay) = (0, Duration::from_secs(60));
    while story.now < until {
        let (wait, reason) = story.after(dealt(0, false));
        assert!((OFTEN..=OFTEN + AT_ONCE).contains(&wait) || story.now > until, "{wait:?}");
        assert!(reason == Reason::Often || story.now > until);
        polls += 1;
    }
    assert!((34..=40).contains(&polls), "{polls}");
    assert!(matches!(story.after(dealt(0, false)).1, Reason::AsConfigured));
    // If the server requires a minute, polls keep to that; failures are waited out; a shorter interval stays.
    story.history.awaited_until = Some(story.now + HOUR);
    let (wait, reason) = story.after(Outcome { login_delay: Some(delay), ..dealt(0, false) });
    assert!((delay..=delay + AT_ONCE).contains(&wait), "{wait:?}");
    assert_eq!(reason, Reason::MinInterval { min_interval: delay, by: MinIntervalFrom::LoginDelay });
    assert!(is_about(story.after(failure(Cause::ServerBusy)).0, 5 * MINUTE));
    let mut quick = Story::of(fixed(SECOND * 10, "h"));
    quick.history.awaited_until = Some(quick.now + HOUR);
    assert!(quick.after(dealt(0, false)).0 <= SECOND * 12);
}

#[test]
fn an_interval_with_bounds_yields_to_the_server() {
    let timing = |host| PollTiming::new(Interval { shortest: SECOND * 10, longest: MINUTE }, host);
    let mut gmail = Story::of(timing("pop.gmail.com"));
    for _ in 0..5 {
        let (wait, reason) = gmail.after(dealt(1, false));
        assert!((INTERVAL..=INTERVAL * 5 / 4).contains(&wait), "{wait:?}");
        assert!(matches!(reason, Reason::MinInterval { .. }));
    }
    // A LOGIN-DELAY between the bounds becomes the shortest interval.
    let mut delayed = Story::of(timing("h"));
    let delay = Duration::from_secs(40);
    for _ in 0..50 {
        let (wait, _) = delayed.after(Outcome { login_delay: Some(delay), ..dealt(3, false) });
        assert!((delay..=MINUTE).contains(&wait), "{wait:?}");
    }
}

/// Two thousand accounts with nothing known about them, all polled right after a start. No mail arrives, so their polls
/// get further and further apart. How they end up is tested in `arrivals`.
#[test]
fn accounts_whose_interval_has_bounds_are_spread_as_well() {
    let timing = PollTiming::new(Interval { shortest: MINUTE, longest: 15 * MINUTE }, "h");
    let begin = 5 * HOUR;
    let mut each_minute = vec![0_u32; 380];
    for seed in seeds(2000) {
        let (mut history, mut at) = (History::default(), first(&timing, 2000, seed, begin).at);
        while at < begin + 380 * MINUTE {
            each_minute[usize::try_from((at - begin).as_secs() / 60).unwrap()] += 1;
            let local = TimeOfWeek::new(u32::try_from((at - begin).as_secs() + 1).unwrap());
            at = super::next(&timing, &mut history, &dealt(0, false), seed, at..at + SECOND, local).at;
        }
    }
    let last = &each_minute[360..];
    let (fewest, most) = (last.iter().min().unwrap(), last.iter().max().unwrap());
    assert!(*fewest > 0 && *most < 500, "{last:?}");
}

#[test]
fn a_time_is_told_with_its_reason() {
    let now = 9 * HOUR;
    let told = |after: Duration, reason| Next { at: now + after, reason }.told(now).to_string();
    let failure = |cause, times| Reason::Failure { cause, times };
    let gmail = MinIntervalFrom::Provider(Provider::of("pop.gmail.com").unwrap());
    for (after, reason, expected) in [
        (SECOND * 12, Reason::Start, "in 12 s, for the first time"),
        (SECOND * 297, Reason::AsConfigured, "in 5 min, as configured"),
        (SECOND * 170, Reason::Adapted(Expectation::Often), "in 3 min, because mail often arrives about now"),
        (
            SECOND * 60,
            Reason::Adapted(Expectation::JustCame),
            "in 60 s, because mail has just arrived and more often follows",
        ),
        (SECOND * 15, Reason::Often, "in 15 s, because somebody is waiting for mail"),
        (Duration::ZERO, Reason::Backlog, "now: there is more on the server"),
        (
            SECOND * 660,
            Reason::MinInterval { min_interval: MINUTE * 10, by: MinIntervalFrom::LoginDelay },
            "in 11 min: the server asks for at least 10 min between two logins",
        ),
        (
            SECOND * 310,
            Reason::MinInterval { min_interval: MINUTE * 5, by: gmail },
            "in 5 min: Gmail asks for at least 5 min between two logins",
        ),
        (HOUR, failure(Cause::LoginRefused, 1), "in 60 min: the server refused the login"),
        (
            MINUTE * 20,
            failure(Cause::ServerBusy, 3),
            "in 20 min: the server is busy, or another session holds the maildrop, 3 times in a row",
        ),
        (SECOND * 30, failure(Cause::NetworkDown, 1), "in 30 s: the server could not be reached"),
    ] {
        assert_eq!(told(after, reason), expected);
    }
    assert_eq!(Next { at: HOUR, reason: Reason::AsConfigured }.told(now).to_string(), "now", "overdue");
}

#[test]
fn a_poll_that_had_its_share_is_not_followed_at_once() {
    for (interval, least) in [(10, 10), (60, 60), (3600, 60)] {
        let mut story = Story::of(fixed(interval * SECOND, "pop.example.org"));
        for _ in 0..3 {
            let (wait, reason) = story.after(Outcome { end: End::HadItsShare, ..dealt(30, true) });
            assert_eq!(reason, Reason::Backlog);
            assert!(wait >= least * SECOND && wait <= least * SECOND + AT_ONCE, "{wait:?} of {interval} s");
        }
        let (wait, _) = story.after(dealt(30, true));
        assert!(wait <= AT_ONCE, "{wait:?}");
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let end = prop_oneof![
        any::<bool>().prop_map(|more| End::Dealt { more }),
        any::<bool>().prop_map(|explicit| End::Refused { explicit }),
        proptest::sample::select(&Cause::ALL[..]).prop_map(End::Failed),
        Just(End::Stopped),
        Just(End::HadItsShare),
    ];
    let delay = proptest::option::of(prop_oneof![0..2000_u64, any::<u64>()]);
    (any::<bool>(), 0..3_u64, delay, end).prop_map(|(logged_in, new, delay, end)| {
        let logged_in = logged_in || matches!(end, End::Dealt { .. } | End::HadItsShare);
        let new = if logged_in { new } else { 0 };
        Outcome { logged_in, new, login_delay: delay.map(Duration::from_secs), end }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_poll_is_sooner_than_the_server_bears_or_later_than_there_is_a_reason_for(
        outcomes in proptest::collection::vec((outcomes(), 0..4000_u64), 1..40),
        interval in prop_oneof![10..4000_u64, 10..31_536_000_u64],
        (is_fixed, other) in (any::<bool>(), 10..4000_u64),
        host in proptest::sample::select(vec!["pop.gmail.com", "ssl0.ovh.net", "pop.example.org"]),
        seed in any::<u64>(),
    ) {
        let (shortest, longest) = (Duration::from_secs(interval.min(other)), Duration::from_secs(interval.max(other)));
        let interval = if is_fixed { Interval::fixed(longest) } else { Interval { shortest, longest } };
        let timing = PollTiming::new(interval, host);
        let (mut history, mut now) = (History::default(), HOUR);
        for (outcome, seconds) in outcomes {
            let polled = now..now + Duration::from_secs(seconds);
            let again = next(&timing, &mut history.clone(), &outcome, seed, polled.clone());
            let next = next(&timing, &mut history, &outcome, seed, polled.clone());
            prop_assert_eq!(again, next, "the same goes in, the same comes out");
            prop_assert!(next.at >= polled.end);
            let wait = next.at - polled.end;

            let min_interval = MinInterval::of(&timing, &history, polled.end).time;
            let noticed = match outcome.end {
                End::Failed(cause) => outcome.logged_in || cause.reached_server(),
                End::Refused { .. } => true,
                End::Dealt { .. } | End::HadItsShare | End::Stopped => outcome.logged_in,
            };
            let untrue = timing.provider.is_some_and(|provider| provider.login_delay_is_untrue);
            if noticed && !(next.reason == Reason::Backlog && untrue) {
                prop_assert!(wait >= min_interval, "{wait:?} is less than {min_interval:?}: {next:?}");
            }
            prop_assert!(min_interval <= HOUR);

            if matches!(next.reason, Reason::Adapted(_)) {
                prop_assert!(next.at - polled.start >= timing.interval.shortest, "{next:?}");
            }
            let longest = match outcome.end {
                End::Failed(cause) => cause.wait(u32::MAX, timing.interval.longest),
                End::Refused { .. } => Cause::LoginRefused.wait(u32::MAX, timing.interval.longest),
                End::Dealt { .. } | End::HadItsShare => timing.interval.longest.max(min_interval + min_interval / 8),
                End::Stopped => Duration::ZERO,
            };
            let most = longest.max(min_interval);
            prop_assert!(wait <= most + most / 8 + AT_ONCE, "{wait:?} is more than {most:?}: {next:?}");
            prop_assert!(history.in_a_row.len() <= 2, "{history:?}");
            // A user waits for mail now and then.
            history.awaited_until = (seconds % 7 == 0).then_some(next.at + Duration::from_secs(seconds));
            now = next.at;
        }
    }

    #[test]
    fn an_account_finds_its_own_moment_from_anywhere(interval in 10..100_000_u64, start in 0..10_000_000_u64, seed in any::<u64>()) {
        let timing = fixed(Duration::from_secs(interval), "h");
        let period = timing.interval.longest;
        let mut at = Duration::from_secs(start);
        for round in 0..12 {
            let next = next(&timing, &mut History::default(), &dealt(0, false), seed, at..at).at;
            let gap = next - at;
            prop_assert!(gap >= period * 7 / 16 && gap <= period * 17 / 16, "{gap:?} of {period:?}");
            if round >= 3 {
                let past = past_own_moment(seed, period, next);
                prop_assert!(past.min(period - past) <= period / 32 + Duration::from_nanos(2), "{past:?} of {period:?}");
            }
            at = next;
        }
    }
}
