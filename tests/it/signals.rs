//! An interrupt ends a session in order: complete messages are delivered, incomplete ones leave no trace.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

/// The maximum time to end after an interrupt.
const BOUND: Duration = Duration::from_secs(15);

/// Two small messages and a large one, in the middle of which the server stalls.
fn stalls_in_the_third() -> Maildrop {
    let mut messages = small_ones(2);
    messages.push(Message::large("large", 400_000));
    let faults = Faults { stall_after: Some(200_000), ..Faults::default() };
    Maildrop::with(messages, |behaviour| behaviour.next_faults = Some(faults))
}

/// Interrupts a stalled session, then lets a second run finish.
fn interrupted(signal: Signal, status: i32, delete: bool) {
    let maildrop = stalls_in_the_third();
    let account = Account::at(maildrop.server.address);
    let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
    let running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    let signalled = Instant::now();
    running.signal(signal);
    running.wait().expect(status);
    assert!(signalled.elapsed() < BOUND, "it took {:?}", signalled.elapsed());
    maildrop.server.wait_until_idle();
    assert_same_mail(&env.mail(), &small_ones_stored(2));
    let session = maildrop.server.sessions().remove(0);
    assert!(!session.lines.contains(&"QUIT".to_owned()), "QUIT would tell the server that it was all taken");
    assert_eq!(maildrop.left().len(), 3);

    env.fetch().expect(0);
    assert_eq!(env.mail().len(), 3);
    assert!(env.tmp().is_empty());
    for uid in ["u1", "u2", "large"] {
        assert_eq!(maildrop.retrieved(uid), 1, "{uid}");
    }
    assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 });
}

#[test]
fn an_interrupt_ends_in_order() {
    interrupted(Signal::INT, 130, false);
    interrupted(Signal::INT, 130, true);
}

#[test]
fn a_request_to_terminate_ends_in_order() {
    interrupted(Signal::TERM, 143, false);
    interrupted(Signal::TERM, 143, true);
}

#[test]
fn an_interrupt_before_the_login_ends_at_once() {
    let faults = Faults { stall_after: Some(0), ..Faults::default() };
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.next_faults = Some(faults));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    let signalled = Instant::now();
    running.signal(Signal::INT);
    running.wait().expect(130);
    assert!(signalled.elapsed() < BOUND, "it took {:?}", signalled.elapsed());
}
