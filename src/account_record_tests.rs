use super::*;
use crate::account::{Interval, NotifySettings};
use crate::delivery::bench::account as account_of;
use crate::pop3::{CommandKind, Refusal, Response, ResponseCode, Status};

const HOUR: u64 = 3600;

fn account() -> Account {
    account_of("work", Path::new("/mail/work"))
}

fn clock(boot: u32, since_boot: u64, wall: i64) -> (Duration, ClockReading) {
    (Duration::from_secs(since_boot), ClockReading { wall, boot, since_boot })
}

fn report(end: Result<(), PollError>) -> PollReport {
    let mut report = PollReport::new(account().name);
    report.logged_in = end.is_ok();
    report.end = end;
    report
}

fn refused() -> PollReport {
    let code = Some(ResponseCode::Auth);
    let response = Response { status: Status::Err, code, text: "no".to_owned(), decoded: None, unique_id: None };
    let login = crate::client::ClientError::Login {
        provider: None,
        asked: CommandKind::Pass,
        refusal: Refusal::Credentials,
        response,
        blanks: false,
    };
    report(Err(PollError::Client(login)))
}

/// Returns what is kept after a restore.
fn standing_of(saved: &Saved, now: (Duration, ClockReading)) -> Saved {
    Standing::restore(saved, now.0, now.1).save(saved.files(), now.0, now.1)
}

/// Returns a standing after these polls, a second apart, and the notifications.
fn after(reports: Vec<PollReport>, standing: Standing, now: (Duration, ClockReading)) -> (Standing, Vec<Notification>) {
    let (mut standing, mut told) = (standing, Vec::new());
    for report in reports {
        let next = standing.on_poll_end(&account(), 1, &report, now.0..now.0, now.1.wall, TimeOfWeek::new(0));
        told.extend(standing.notifications(&NotifySettings::default(), &report, &next.reason, now.0, now.1.wall));
    }
    (standing, told)
}

fn kept(standing: &Standing, now: (Duration, ClockReading)) -> Saved {
    let saved = standing.save(&Files::default(), now.0, now.1);
    let text = toml::to_string(&saved).unwrap();
    assert_eq!(toml::from_str::<Saved>(&text).unwrap(), saved, "{text}");
    saved
}

#[test]
fn a_back_off_is_what_is_left_of_it() {
    let begun = clock(1, 1000, 50_000);
    let (standing, told) = after(vec![refused()], Standing::default(), begun);
    assert!(matches!(told[..], [Notification::Failure { cause: Cause::LoginRefused, .. }]), "{told:?}");
    let saved = kept(&standing, begun);
    let left = |now: (Duration, ClockReading)| {
        let restored = Standing::restore(&saved, now.0, now.1);
        assert_eq!(restored.history.in_a_row, standing.history.in_a_row);
        let failure = restored.failure.unwrap();
        assert_eq!((failure.cause(), failure.times(), failure.since), (Cause::LoginRefused, 1, 50_000));
        (failure.due - now.0).as_secs()
    };
    let all = left(begun);
    assert!((HOUR..=HOUR + HOUR / 10 + 1).contains(&all), "{all}");
    assert_eq!(left(clock(1, 1600, 50_000)), all - 600, "in one boot the wall clock is of no interest");
    assert_eq!(left(clock(2, 10, 50_600)), all - 600, "after another boot it is all there is");
    assert_eq!(left(clock(1, 1000 + 2 * HOUR, 50_000)), 0);
    assert_eq!(left(clock(2, 10, 90)), 0, "a clock that went back says nothing");
}

#[test]
fn the_row_goes_on_and_what_was_told_is_not_told_again() {
    let mut now = clock(1, 1000, 50_000);
    let mut standing = Standing::default();
    let mut told = Vec::new();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let (after, notifications) = after(vec![refused()], standing, now);
        told.extend(notifications);
        let saved = kept(&after, now);
        let due = after.failure.as_ref().unwrap().due;
        waits.push((due - now.0).as_secs() / HOUR);
        now = clock(1, due.as_secs() + 2, 50_000 + i64::try_from(due.as_secs()).unwrap());
        standing = Standing::restore(&saved, now.0, now.1);
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    assert_eq!(told.len(), 1, "{told:?}");
    let (standing, told) = after(vec![report(Ok(()))], standing, now);
    assert_eq!(told, [Notification::Recovered]);
    assert!(standing.failure.is_none() && standing.history.in_a_row.is_empty());
}

#[test]
fn what_changes_nothing_is_the_same() {
    let (begun, later) = (clock(1, 1000, 50_000), clock(1, 9000, 58_000));
    let (standing, _) = after(vec![report(Ok(()))], Standing::default(), begun);
    let first = kept(&standing, begun);
    let (standing, _) = after(vec![report(Ok(()))], standing, later);
    let files = Files { config: "other".to_owned(), password: String::new() };
    assert!(first.says_the_same(&standing.save(&files, later.0, later.1)), "an idle poll writes nothing");
    let (standing, _) = after(vec![refused()], standing, later);
    let failure = kept(&standing, later);
    assert!(!first.says_the_same(&failure) && !failure.says_the_same(&first));
    assert!(!failure.says_the_same(&standing.save(&files, later.0, later.1)), "a person changed something");
    assert_eq!(first.digest(), standing_of(&first, later).digest());
    assert_ne!(first.digest(), failure.digest());
}

#[test]
fn what_was_learned_of_a_server_is_kept_while_it_counts() {
    let begun = clock(1, 1000, 50_000);
    let history = History {
        login_delay: Some(Duration::from_secs(600)),
        last_login: Some(Duration::from_secs(900)),
        experience: Some(Experience { pace: Duration::from_secs(120), learnt: Duration::from_secs(950) }),
        last_login_worked: true,
        ..History::default()
    };
    let standing = Standing { history, ..Standing::default() };
    let now = clock(1, 1100, 50_100);
    let restored = Standing::restore(&kept(&standing, begun), now.0, now.1);
    assert_eq!(restored.history, standing.history);
    let restored = Standing::restore(&kept(&standing, begun), Duration::from_secs(20), clock(2, 20, 50_100).1);
    assert_eq!(restored.history.last_login, None, "a time before the boot has no place");
    assert!(restored.history.last_login_worked);
    let stale = clock(1, 100_000, 200_000);
    assert_eq!(kept(&standing, stale).pace, None);
}

#[test]
fn what_was_learned_of_when_mail_comes_is_kept_and_is_no_reason_to_write_at_each_poll() {
    let interval = Interval { shortest: Duration::from_secs(60), longest: Duration::from_secs(900) };
    let account = Account { interval, ..account() };
    let mut standing = Standing::default();
    let mut poll = |second: u64, new: u64| {
        let now = clock(1, 1000 + second, 50_000);
        let report = PollReport { retrieved: new, ..report(Ok(())) };
        let local = TimeOfWeek::new(u32::try_from(second).unwrap());
        standing.on_poll_end(&account, 1, &report, now.0..now.0, 50_000, local);
        (kept(&standing, now), now)
    };
    poll(0, 0);
    let (before, _) = poll(300, 0);
    let (idle, _) = poll(600, 0);
    assert!(idle.says_the_same(&before));
    let (mail, now) = poll(900, 2);
    assert!(!mail.says_the_same(&idle));
    assert_eq!(standing_of(&mail, now), mail);
    let size = toml::to_string(&mail).unwrap().len();
    assert!(size < 6000, "{size}");
    let mut day_after = mail.clone();
    for quarter in 2..=100 {
        day_after = poll(900 * quarter, 0).0;
    }
    assert!(!day_after.says_the_same(&mail), "a day has passed");
    // Nonsense does no harm.
    let damaged: Saved =
        toml::from_str("[arrivals]\ncame = [4294967295]\nwatched = [1, 4294967295]\ndays = 9").unwrap();
    let restored = Standing::restore(&damaged, now.0, now.1).save(damaged.files(), now.0, now.1);
    assert!(restored.digest() != 0);
    assert!(toml::from_str::<Saved>("[arrivals]\ncame = [-1]").is_err(), "then the file counts as empty");
}

#[test]
fn a_changed_file_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    assert_eq!(stamp(&path), "");
    std::fs::write(&path, "one").unwrap();
    let first = stamp(&path);
    std::fs::write(&path, "three").unwrap();
    assert_ne!(first, stamp(&path));
    let open = stamp(&path);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_ne!(open, stamp(&path), "what others could read is put right without another time");
    let account = Account { credential: CredentialSource::File(path.clone()), ..account() };
    assert_eq!(Files::password_of(&account.credential, None), stamp(&path));
    let credential = CredentialSource::Credential("password".to_owned());
    let account = Account { credential, ..account };
    assert_eq!(Files::password_of(&account.credential, Some(dir.path())), stamp(&path));
    assert_eq!(Files::password_of(&account.credential, None), "");
}

#[test]
fn another_mailferry_may_hold_an_account_for_an_hour() {
    let held_by = |cause| Failure {
        kind: FailureKind::Failed { cause, times: 3 },
        due: Duration::ZERO,
        since: 10_000,
        text: String::new(),
    };
    let held = held_by(Cause::LockedByAnother);
    assert!(held.is_brief_hold(10_000) && held.is_brief_hold(13_599) && !held.is_brief_hold(13_600));
    assert!(held.is_brief_hold(9_990) && !held.is_brief_hold(0), "a clock that was put back hides nothing for long");
    assert!(!held_by(Cause::Storage).is_brief_hold(10_000));
}

#[test]
fn why_mail_waits_is_kept_and_files_count_as_long_as_there_is_a_pause() {
    let (now, then) = (clock(1, 5000, 90_000), clock(1, 6000, 91_000));
    let pause = ForwardingPause {
        failures: 1,
        due: Duration::from_secs(8600),
        password: String::new(),
        is_of_one: false,
        since: 80_000,
        why: "it is full".to_owned(),
        is_spool_full: true,
    };
    let files = |config: &str| Files { config: config.to_owned(), password: String::new() };
    let save = |pause: &ForwardingPause, config: &str| {
        let standing = Standing { forwarding: Some(Box::new(pause.clone())), ..Standing::default() };
        standing.save(&files(config), now.0, now.1)
    };
    let saved = save(&pause, "x");
    assert_eq!(Standing::restore(&saved, then.0, then.1).forwarding, Some(Box::new(pause.clone())));
    assert!(!saved.says_the_same(&save(&pause, "y")), "a pause holds for these files only");
    let no_pause = ForwardingPause { failures: 0, due: now.0, ..pause };
    assert!(save(&no_pause, "x").says_the_same(&save(&no_pause, "y")));
}
