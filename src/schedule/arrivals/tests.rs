//! Years of mail of several kinds: how long it waits, and how long it would wait with the same number of polls at equal
//! distances. Each kind is generated from several seeds, so that no figure depends on the luck of one year.

use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::schedule::{End, History, Outcome, PollTiming, next};

/// Seconds in a year that begins on a Monday.
const YEAR: u64 = 52 * WEEK as u64;
const BOOT: u64 = 10_000;

/// The levels that lead to as many polls as the learned schedule: see [`foreseen`].
const BUSY: f64 = 244.5;
const LITTLE: f64 = 140.5;

const BOUNDS: Interval = Interval { shortest: Duration::from_secs(60), longest: Duration::from_secs(900) };

/// Generates arrival times, in seconds, from a rate in messages an hour at each second of the week.
fn by_rate(seed: u64, most: f64, rate: impl Fn(u64) -> f64) -> Vec<u64> {
    let mut chance = Rng::with_seed(seed);
    let (mut time, mut mail) = (0.0, Vec::new());
    loop {
        time -= (1.0 - chance.f64()).ln() / most * 3600.0;
        let second = Duration::from_secs_f64(time).as_secs();
        if second >= YEAR {
            return mail;
        }
        if chance.f64() * most < rate(second % u64::from(WEEK)) {
            mail.push(second);
        }
    }
}

/// Messages an hour of an office that gets 47 on a weekday, at a second of the week.
fn office_rate(second: u64) -> f64 {
    let (day, hour) = (second / 86_400, second % 86_400 / 3600);
    match (day, hour) {
        (5.., 9..22) => 0.15,
        (5.., _) => 0.03,
        (_, 8..12) => 5.0,
        (_, 12) => 2.5,
        (_, 13..18) => 4.5,
        (_, 7 | 18..20) => 0.8,
        (_, 20..) => 0.2,
        _ => 0.05,
    }
}

/// Mail of an office, `busy` times 47 messages on a weekday.
fn office(seed: u64, busy: f64) -> Vec<u64> {
    by_rate(seed, 5.0 * busy, |second| busy * office_rate(second))
}

/// Six newsletters a day and two a week, each within ten minutes of its time.
fn newsletters(seed: u64) -> Vec<u64> {
    let mut chance = Rng::with_seed(seed);
    let mut mail = Vec::new();
    for day in 0..YEAR / 86_400 {
        let daily = [330, 360, 435, 720, 1020, 1230];
        let weekly = [(2, 600), (5, 540)].into_iter().filter(|(on, _)| day % 7 == *on).map(|(_, at)| at);
        for minute in daily.into_iter().chain(weekly) {
            mail.push(day * 86_400 + minute * 60 + chance.u64(0..600));
        }
    }
    mail.sort_unstable();
    mail
}

/// Four conversations a day between 7 and 23, of eight messages on the average, five minutes apart on the average.
fn bursts(seed: u64) -> Vec<u64> {
    let mut chance = Rng::with_seed(seed);
    let mut mail = Vec::new();
    for start in by_rate(seed, 0.25, |second| if (7..23).contains(&(second % 86_400 / 3600)) { 0.25 } else { 0.02 }) {
        let mut time = start as f64;
        while time < YEAR as f64 {
            mail.push(Duration::from_secs_f64(time).as_secs());
            if chance.u32(0..8) == 0 {
                break;
            }
            time -= (1.0 - chance.f64()).ln() * 300.0;
        }
    }
    mail.sort_unstable();
    mail
}

/// The result of a year.
#[derive(Debug)]
struct Year {
    /// The mean wait from the arrival of a message to the poll that brings it, in seconds.
    wait: f64,
    /// The same with as many polls at equal distances.
    fixed: f64,
    /// When polls began.
    polls: Vec<u64>,
    /// The shortest and the longest time between two polls.
    gaps: (u64, u64),
}

impl Year {
    fn ratio(&self) -> f64 {
        self.wait / self.fixed
    }

    /// The same ratio, averaged over all the years that this rate may generate, polled at these times: the chance of
    /// this one year does not count.
    fn ratio_by_rate(&self, rate: fn(u64) -> f64) -> f64 {
        let (mut waited, mut came) = (0.0, 0.0);
        for gap in self.polls.windows(2) {
            let (mut from, end) = (gap[0], gap[1]);
            while from < end {
                let to = ((from / 3600 + 1) * 3600).min(end);
                let (first, last, rate) = ((end - from) as f64, (end - to) as f64, rate(from % u64::from(WEEK)));
                waited += rate * (first * first - last * last) / 2.0;
                came += rate * (first - last);
                from = to;
            }
        }
        let every = *self.polls.last().unwrap() as f64 / (self.polls.len() - 1) as f64;
        waited / came / (every / 2.0)
    }
}

/// Simulates a year of mail, polled when the policy says, which gets the time of a poll and the number of new messages.
fn year(mail: &[u64], mut policy: impl FnMut(u64, u64) -> u64) -> Year {
    let (mut now, mut polls, mut delivered, mut waited) = (0, Vec::new(), 0, 0);
    let mut gaps = (u64::MAX, 0);
    while now < YEAR {
        let new = mail[delivered..].iter().take_while(|&&at| at <= now).count();
        waited += mail[delivered..delivered + new].iter().map(|at| now - at).sum::<u64>();
        delivered += new;
        polls.push(now);
        let due = policy(now, new as u64);
        gaps = (gaps.0.min(due - now), gaps.1.max(due - now));
        now = due;
    }
    let every = now as f64 / polls.len() as f64;
    let fixed: f64 = mail[..delivered].iter().map(|&at| (at as f64 / every).ceil() * every - at as f64).sum();
    let count = delivered.max(1) as f64;
    Year { wait: waited as f64 / count, fixed: fixed / count, polls, gaps }
}

/// Simulates the year with the schedule, which starts with nothing known.
fn learned(bounds: Interval, mail: &[u64]) -> Year {
    let timing = PollTiming::new(bounds, "pop.example.org");
    let mut history = History::default();
    let year = year(mail, |now, new| {
        let outcome = Outcome { logged_in: true, new, login_delay: None, end: End::Dealt { more: false } };
        let at = Duration::from_secs(BOOT + now);
        let local = TimeOfWeek::new(u32::try_from(now % u64::from(WEEK)).unwrap());
        let due = next(&timing, &mut history, &outcome, 7, at..at, local).at.as_secs_f64().round() - BOOT as f64;
        Duration::from_secs_f64(due).as_secs()
    });
    let within = |gap: u64, bound: Duration| gap.abs_diff(bound.as_secs()) <= 1;
    assert!(year.gaps.0 >= 60 || within(year.gaps.0, bounds.shortest), "{:?}", year.gaps);
    assert!(year.gaps.1 <= 900 || within(year.gaps.1, bounds.longest), "{:?}", year.gaps);
    year
}

/// Simulates the year with intervals of `level / sqrt(rate)` within the bounds, as if the rate were known.
fn foreseen(bounds: Interval, mail: &[u64], level: f64, rate: impl Fn(u64) -> f64) -> Year {
    let (least, most) = (bounds.shortest.as_secs_f64(), bounds.longest.as_secs_f64());
    year(mail, |now, _| {
        let (mut at, mut polls) = (now, 0.0);
        while polls < 1.0 {
            let interval = (level / rate(at % u64::from(WEEK)).sqrt()).clamp(least, most);
            (at, polls) = (at + 1, polls + 1.0 / interval);
        }
        at
    })
}

/// Prints the years of one kind of mail, and returns their mean ratio.
fn mean(kind: &str, years: &[Year]) -> f64 {
    let sum = |value: fn(&Year) -> f64| years.iter().map(value).sum::<f64>() / years.len() as f64;
    let (mean, polls) = (sum(Year::ratio), sum(|year| year.polls.len() as f64));
    let ratios: Vec<String> = years.iter().map(|year| format!("{:.3}", year.ratio())).collect();
    let (wait, fixed) = (sum(|year| year.wait), sum(|year| year.fixed));
    println!("{kind}: {polls:.0} polls, {wait:.0} s, fixed {fixed:.0} s: {mean:.3} ({})", ratios.join(" "));
    mean
}

fn assert_fresher(kind: &str, most: f64, seeds: [u64; 3], mail: impl Fn(u64) -> Vec<u64>) {
    let years = seeds.map(|seed| learned(BOUNDS, &mail(seed)));
    mean(kind, &years);
    assert!(years.iter().all(|year| year.ratio() <= most), "{kind}");
}

#[test]
fn mail_of_office_hours_waits_less() {
    assert_fresher("office", 0.6, [1, 101, 201], |seed| office(seed, 1.0));
}

#[test]
fn a_little_mail_of_office_hours_waits_less() {
    // Five messages on a weekday, 1,300 a year: so few that chance changes the ratio of the same polls by some
    // hundredths. So the mean counts, and what the polls are worth over all years.
    let years = [2, 102, 202, 302].map(|seed| learned(BOUNDS, &office(seed, 0.1)));
    let mean = mean("five on a weekday", &years);
    let by_rate: Vec<f64> = years.iter().map(|year| year.ratio_by_rate(office_rate)).collect();
    println!("five on a weekday, by the rate: {by_rate:.3?}");
    assert!(
        mean <= 0.6 && years[0].ratio() <= 0.6 && by_rate.iter().all(|ratio| *ratio <= 0.605),
        "{mean} {by_rate:?}"
    );
}

#[test]
fn what_is_learned_of_office_hours_is_nearly_as_good_as_to_know_them() {
    for (busy, level, most) in [(1.0, BUSY, 1.03), (0.1, LITTLE, 1.06)] {
        let mail = office(402, busy);
        let learned = learned(BOUNDS, &mail);
        let foreseen = foreseen(BOUNDS, &mail, level, |second| busy * office_rate(second));
        let more = learned.polls.len() as f64 / foreseen.polls.len() as f64;
        assert!((0.985..=1.015).contains(&more), "it is to be compared with as many polls: {more}");
        let (learned, foreseen) = (learned.ratio_by_rate(office_rate), foreseen.ratio_by_rate(office_rate));
        println!("by the rate: learned {learned:.3}, foreseen {foreseen:.3}");
        assert!(learned <= most * foreseen, "{learned:.3} and {foreseen:.3}");
    }
}

#[test]
fn newsletters_wait_less() {
    assert_fresher("newsletters", 0.6, [3, 103, 203], newsletters);
}

#[test]
fn conversations_wait_less() {
    assert_fresher("conversations", 0.6, [4, 104, 204], bursts);
}

#[test]
fn mail_that_comes_at_any_time_waits_no_longer() {
    assert_fresher("one an hour", 1.04, [5, 105, 205], |seed| by_rate(seed, 1.0, |_| 1.0));
}

#[test]
fn a_little_mail_that_comes_at_any_time_waits_hardly_longer() {
    // Chance alone changes the ratio of the same polls by 0.03.
    let years = [6, 106, 206].map(|seed| learned(BOUNDS, &by_rate(seed, 0.1, |_| 0.1)));
    let mean = mean("one in ten hours", &years);
    let by_rate = years.each_ref().map(|year| year.ratio_by_rate(|_| 1.0));
    println!("one in ten hours, by the rate: {by_rate:.3?}");
    assert!(mean <= 1.06 && by_rate.iter().all(|ratio| *ratio <= 1.03), "{mean} {by_rate:?}");
}

#[test]
fn where_no_mail_comes_polls_become_seldom_and_stay_even() {
    let year = learned(BOUNDS, &[]);
    let fewest = YEAR / 900;
    let polls = year.polls.len() as u64;
    println!("none: {polls} polls, {fewest} at the longer bound");
    assert!(polls < fewest + fewest / 50, "{polls}");
}

#[test]
fn accounts_without_mail_do_not_stay_in_a_bunch() {
    // A hundred accounts that have learnt that nothing arrives, all polled in the first seconds after a start.
    let timing = PollTiming::new(BOUNDS, "pop.example.org");
    let mut known = History::default();
    for hour in 0..24 * 60 {
        let at = Duration::from_secs(hour * 900);
        let local = TimeOfWeek::new(u32::try_from(hour * 900 % u64::from(WEEK)).unwrap());
        let outcome = Outcome { logged_in: true, new: 0, login_delay: None, end: End::Dealt { more: false } };
        let _ = next(&timing, &mut known, &outcome, 7, at..at, local);
    }
    let begun = 24 * 60 * 900;
    let phases: Vec<u64> = (0..100_u64)
        .map(|seed| {
            let (mut history, mut now) = (known.clone(), Duration::from_secs(begun + seed % 30));
            while now < Duration::from_secs(begun + 24 * 3600) {
                let outcome = Outcome { logged_in: true, new: 0, login_delay: None, end: End::Dealt { more: false } };
                now = next(&timing, &mut history, &outcome, seed, now..now, TimeOfWeek::new(0)).at;
            }
            now.as_secs() % 900
        })
        .collect();
    let in_each = |part: u64| phases.iter().filter(|phase| **phase / 90 == part).count();
    assert!((0..10).all(|part| in_each(part) < 25), "{phases:?}");
}
