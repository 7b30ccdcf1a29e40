//! Exactly once: sessions cut off at any byte, and a program killed at any moment.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::Faults;
use crate::scripted::maildrop::{Maildrop, Message};

/// Three minimal messages that still have a header, a body and a stuffed dot.
const MESSAGES: [(&str, &str); 3] =
    [("a", "S: 1\r\n\r\n.one\r\n"), ("b", "S: 2\r\n\r\n.\r\n"), ("c", "S: 3\r\n\r\nthree\r\n")];

/// A maildrop with the three.
fn three(faults: Faults) -> Maildrop {
    let messages = MESSAGES.iter().map(|(uid, text)| Message::new(uid, text.as_bytes())).collect();
    Maildrop::with(messages, |behaviour| behaviour.next_faults = Some(faults))
}

/// The three as they are stored.
fn three_stored() -> Vec<Vec<u8>> {
    MESSAGES.iter().map(|(_, text)| stored(text.as_bytes())).collect()
}

/// The account for that maildrop.
fn account(maildrop: &Maildrop, delete: bool) -> Account {
    let account = Account::at(maildrop.server.address);
    if delete { account.deleting() } else { account }
}

/// Cuts the first session after this many bytes, then runs again without a fault.
fn cut_then_finish(cut: u64, reset: bool, delete: bool) {
    let maildrop = three(Faults { cut_after: Some(cut), reset, ..Faults::default() });
    let env = TestEnv::in_memory(&[account(&maildrop, delete)]);
    let first = env.fetch();
    assert!([0, 75].contains(&first.status), "cut after {cut}: {first:#?}");
    let (all, after_cut) = (three_stored(), env.mail());
    assert!(after_cut.iter().all(|message| all.contains(message)), "cut after {cut}: a part of a message in new/");
    for (uid, text) in MESSAGES {
        let safe = maildrop.left().iter().any(|left| left == uid) || after_cut.contains(&stored(text.as_bytes()));
        assert!(safe, "cut after {cut}: {uid} is lost");
    }
    let second = env.fetch();
    assert_eq!(second.status, 0, "cut after {cut}, the run after it: {second:#?}");
    assert_same_mail(&env.mail(), &all);
    assert!(env.tmp().is_empty(), "cut after {cut}: tmp/ is not empty");
    assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 }, "cut after {cut}: left on the server");
    for (uid, _) in MESSAGES {
        let times = maildrop.retrieved(uid);
        // A delivered message that is still on the server is retrieved again before it is deleted, as its header says
        // little.
        assert!(
            times == 1 || reset || (delete && times == 2),
            "cut after {cut}: {uid} came in full and was retrieved {times} times"
        );
    }
}

/// How many bytes the server sends in an undisturbed session.
fn whole_session(delete: bool) -> u64 {
    let maildrop = three(Faults::default());
    TestEnv::in_memory(&[account(&maildrop, delete)]).fetch().expect(0);
    maildrop.server.wait_until_idle();
    maildrop.server.sessions()[0].sent
}

/// Tries every cut from none to all of the session, in as many threads as there are processors.
fn cut_everywhere(step: usize, reset: bool, delete: bool) {
    let end = whole_session(delete);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let cut = next.fetch_add(step as u64, Ordering::SeqCst);
                    if cut > end {
                        break;
                    }
                    cut_then_finish(cut, reset, delete);
                }
            });
        }
    });
}

#[test]
fn a_cut_at_any_byte_harms_nothing_when_messages_stay() {
    cut_everywhere(1, false, false);
}

#[test]
fn a_cut_at_any_byte_harms_nothing_when_messages_go() {
    cut_everywhere(1, false, true);
}

#[test]
fn a_reset_connection_harms_nothing() {
    cut_everywhere(13, true, false);
    cut_everywhere(13, true, true);
}

/// Kills the program repeatedly, a little later each time, then lets it finish.
fn killed_at_many_moments(delete: bool) {
    let maildrop = Maildrop::new(small_ones(80));
    let env = TestEnv::new(&[account(&maildrop, delete)]);
    for milliseconds in (0..40).map(|n| n * 2) {
        let running = env.spawn(&["fetch"]);
        std::thread::sleep(std::time::Duration::from_millis(milliseconds)); // any moment will do
        running.signal(Signal::KILL);
        let status = running.wait().status;
        assert!(status == -9 || status == 0, "killed after {milliseconds} ms: {status}");
    }
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(80));
    assert!(env.tmp().is_empty());
    assert_eq!(maildrop.left().len(), if delete { 0 } else { 80 });
}

#[test]
fn a_kill_at_any_moment_harms_nothing_when_messages_stay() {
    killed_at_many_moments(false);
}

#[test]
fn a_kill_at_any_moment_harms_nothing_when_messages_go() {
    killed_at_many_moments(true);
}
