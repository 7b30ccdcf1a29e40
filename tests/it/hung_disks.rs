//! A disk that hangs under a `fetch` harms the accounts on it, and no other.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::daemon::hung::Disk;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, wait_for};
use crate::scripted::maildrop::Maildrop;

#[test]
fn accounts_that_are_fetched_from_a_disk_that_hangs_give_their_places_to_others() {
    let env = TestEnv::new(&[]);
    let Some(disk) = Disk::make(&env) else { return };
    let (stuck, good) = (Maildrop::new(small_ones(2)), Maildrop::new(small_ones(2)));
    let account = |maildrop: &Maildrop, name: &str| Account::at(maildrop.server.address).named(name);
    env.configure(&[account(&stuck, "stuck"), account(&good, "good")]);
    env.configure_more("\n[daemon]\nconcurrency = 1\n");
    disk.hang();
    let running = env.spawn_with(&disk.environment("/Mail/stuck"), &["fetch", "stuck", "good"]);
    wait_for("the account on another disk", || env.maildir("good").exists() && env.mail_of("good").len() == 2);
    disk.answer();
    let outcome = running.wait().expect(0);
    outcome
        .says("stuck: its poll waits for a disk that does not respond")
        .says("good: ")
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
    wait_for("the poll to wait for its disk", || maildrop.server.sessions().len() == 1);
    let begun = Instant::now();
    running.signal(Signal::TERM);
    running.wait().expect(143).says("its disk has not responded for");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(maildrop.left().len(), 3, "nothing was deleted");
    disk.answer();
    env.fetch().expect(0);
    assert_eq!(env.mail(), small_ones_stored(3));
}
