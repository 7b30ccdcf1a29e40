//! Two programs never poll one account at the same time.

use std::time::Duration;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Running, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::Maildrop;

/// A program that is stalled in the middle of its session.
fn busy() -> (Maildrop, TestEnv, Running) {
    let faults = Faults { stall_after: Some(0), ..Faults::default() };
    let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.next_faults = Some(faults));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let first = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    (maildrop, env, first)
}

#[test]
fn the_second_program_names_the_first_and_ends() {
    let (maildrop, env, first) = busy();
    let second = env.fetch().expect(75).says(&first.pid().to_string());
    assert!(second.elapsed < Duration::from_secs(5), "{second:#?}");
    assert_eq!(maildrop.server.sessions().len(), 1, "the second one did not even connect");
    maildrop.server.release();
    first.wait().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn the_second_program_waits_when_told_so() {
    let (maildrop, env, first) = busy();
    let mut second = env.spawn(&["fetch", "--wait"]);
    std::thread::sleep(Duration::from_millis(300)); // long enough to do it wrongly
    assert!(second.is_running());
    assert_eq!(maildrop.server.sessions().len(), 1);
    maildrop.server.release();
    first.wait().expect(0);
    second.wait().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn a_killed_program_leaves_no_lock_behind() {
    let (_maildrop, env, first) = busy();
    first.signal(rustix::process::Signal::KILL);
    assert_eq!(first.wait().status, -9);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
}

#[test]
fn another_account_is_not_held_up() {
    let (maildrop, env, _first) = busy();
    let other = Account::at(maildrop.server.address).named("b");
    env.configure(&[Account::at(maildrop.server.address), other]);
    env.run(&["fetch", "b"]).expect(0);
    assert_same_mail(&env.mail_of("b"), &small_ones_stored(3));
}
