//! A year of mail of several kinds: how long it waits, and how long it would with as many polls at equal distances.

use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::schedule::{End, History, Outcome, PollTiming, next};

/// Seconds in a year that begins on a Monday.
const YEAR: u64 = 52 * WEEK as u64;
const BOOT: u64 = 10_000;

const BOUNDS: Interval = Interval { shortest: Duration::from_secs(60), longest: Duration::from_secs(900) };

/// The times at which mail comes that has a rate an hour at each time of the week, in seconds.
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

/// Mail of an office, `busy` times 47 messages on a weekday.
fn office(seed: u64, busy: f64) -> Vec<u64> {
    by_rate(seed, 5.0 * busy, |second| {
        let (day, hour) = (second / 86_400, second % 86_400 / 3600);
        busy * match (day, hour) {
            (5.., 9..22) => 0.15,
            (5.., _) => 0.03,
            (_, 8..12) => 5.0,
            (_, 12) => 2.5,
            (_, 13..18) => 4.5,
            (_, 7 | 18..20) => 0.8,
            (_, 20..) => 0.2,
            _ => 0.05,
        }
    })
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

/// What a year came to.
#[derive(Debug)]
struct Year {
    /// The mean wait from the arrival of a message to the poll that brings it, in seconds.
    wait: f64,
    /// What it would have been with as many polls at equal distances.
    fixed: f64,
    polls: u32,
    /// The shortest and the longest time between two polls.
    gaps: (u64, u64),
}

impl Year {
    fn ratio(&self) -> f64 {
        self.wait / self.fixed
    }
}

fn year(bounds: Interval, mail: &[u64]) -> Year {
    let timing = PollTiming::new(bounds, "pop.example.org");
    let (mut history, mut now, mut polls, mut delivered, mut waited) = (History::default(), 0, 0_u32, 0, 0);
    let mut gaps = (u64::MAX, 0);
    while now < YEAR {
        let new = mail[delivered..].iter().take_while(|&&at| at <= now).count();
        waited += mail[delivered..delivered + new].iter().map(|at| now - at).sum::<u64>();
        (delivered, polls) = (delivered + new, polls + 1);
        let end = End::Dealt { more: false };
        let outcome = Outcome { logged_in: true, new: new as u64, login_delay: None, end };
        let at = Duration::from_secs(BOOT + now);
        let local = TimeOfWeek::new(u32::try_from(now % u64::from(WEEK)).unwrap());
        let due = next(&timing, &mut history, &outcome, 7, at..at, local).at.as_secs_f64().round() - BOOT as f64;
        let due = Duration::from_secs_f64(due).as_secs();
        gaps = (gaps.0.min(due - now), gaps.1.max(due - now));
        now = due;
    }
    let every = now as f64 / f64::from(polls);
    let fixed: f64 = mail[..delivered].iter().map(|&at| (at as f64 / every).ceil() * every - at as f64).sum();
    let count = delivered.max(1) as f64;
    let year = Year { wait: waited as f64 / count, fixed: fixed / count, polls, gaps };
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!(
        "{name}: {delivered} messages, {polls} polls, {:.0} s, fixed {:.0} s: {:.2}",
        year.wait,
        year.fixed,
        year.ratio()
    );
    year
}

fn assert_fresher(mail: &[u64], most: f64) {
    let year = year(BOUNDS, mail);
    assert!(year.ratio() <= most, "{:.3}: {year:?}", year.ratio());
    let within = |gap: u64, bound: Duration| gap.abs_diff(bound.as_secs()) <= 1;
    assert!(year.gaps.0 >= 60 || within(year.gaps.0, BOUNDS.shortest), "{year:?}");
    assert!(year.gaps.1 <= 900 || within(year.gaps.1, BOUNDS.longest), "{year:?}");
}

#[test]
fn mail_of_office_hours_waits_less() {
    assert_fresher(&office(1, 1.0), 0.6);
}

#[test]
fn a_little_mail_of_office_hours_waits_less() {
    // Five messages on a weekday: so little is known of each hour that more cannot be had (the rates themselves, if they
    // were known, would give 0.54).
    assert_fresher(&office(2, 0.1), 0.66);
}

#[test]
fn newsletters_wait_less() {
    assert_fresher(&newsletters(3), 0.6);
}

#[test]
fn conversations_wait_less() {
    assert_fresher(&bursts(4), 0.6);
}

#[test]
fn mail_that_comes_at_any_time_waits_no_longer() {
    assert_fresher(&by_rate(5, 1.0, |_| 1.0), 1.04);
}

#[test]
fn a_little_mail_that_comes_at_any_time_waits_hardly_longer() {
    assert_fresher(&by_rate(6, 0.1, |_| 0.1), 1.06);
}

#[test]
fn where_no_mail_comes_polls_become_seldom_and_stay_even() {
    let year = year(BOUNDS, &[]);
    let fewest = YEAR / 900;
    assert!(u64::from(year.polls) < fewest + fewest / 10, "{year:?}");
}
