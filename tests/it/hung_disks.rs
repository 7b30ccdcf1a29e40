//! A disk that hangs during a `fetch` affects the accounts on it, and no others.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::daemon::hung::Disk;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, wait_for};
use crate::scripted::Session;
use crate::scripted::maildrop::Maildrop;

/// The accounts on a working disk.
const GOOD: [&str; 3] = ["good1", "good2", "good3"];

/// After this time, a poll that waits for its disk must have been reported.
const NOTICED: Duration = Duration::from_secs(18);

#[test]
fn accounts_that_are_fetched_from_a_disk_that_hangs_give_their_places_to_others() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let (stuck, good) = (Maildrop::new(small_ones(2)), GOOD.map(|_| Maildrop::new(small_ones(2))));
    let account = |maildrop: &Maildrop, name: &str| Account::at(maildrop.server.address).named(name);
    let accounts: Vec<Account> = GOOD.iter().zip(&good).map(|(name, maildrop)| account(maildrop, name)).collect();
    env.configure(&[vec![account(&stuck, "stuck")], accounts].concat());
    env.configure_more("\n[daemon]\nconcurrency = 1\n");
    disk.hang();
    let running = env.spawn_with(&disk.environment("/Mail/stuck"), &["fetch", "stuck", GOOD[0], GOOD[1], GOOD[2]]);
    wait_for("the account on the disk that hangs", || stuck.server.sessions().len() == 1);
    let begun = Instant::now();
    let has_all = |name: &&str| env.maildir(name).exists() && env.mail_of(name).len() == 2;
    wait_for("the accounts on another disk", || GOOD.iter().all(has_all));
    // It may have been the last to get a place, and must be noticed nevertheless.
    std::thread::sleep(NOTICED.saturating_sub(begun.elapsed()));
    disk.answer();
    let outcome = running.wait().expect(0);
    outcome
        .says("stuck: its poll waits for a disk that does not respond")
        .says("good1: ")
        .says("stuck: the disk responds");
    assert_eq!(env.mail_of("stuck"), small_ones_stored(2));
}

#[test]
fn the_end_of_a_fetch_does_not_wait_for_a_disk_that_hangs_and_nothing_is_lost() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let maildrop = Maildrop::new(small_ones(3));
    env.configure(&[Account::at(maildrop.server.address).deleting()]);
    disk.hang();
    let running = env.spawn_with(&disk.environment("/Mail/a"), &["fetch"]);
    let lists = |session: Session| session.lines.iter().any(|line| line == "UIDL");
    wait_for("the listing", || maildrop.server.sessions().into_iter().any(lists));
    std::thread::sleep(Duration::from_millis(500)); // the Maildir is next
    let begun = Instant::now();
    running.signal(Signal::TERM);
    running.wait().expect(143).says("its disk has not responded for");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(maildrop.left().len(), 3, "nothing was deleted");
    disk.answer();
    env.fetch().expect(0);
    assert_eq!(env.mail(), small_ones_stored(3));
}
