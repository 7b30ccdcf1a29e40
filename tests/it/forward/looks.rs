//! If looks for a message whose answer was lost fail, the others are forwarded nevertheless, and that message is not
//! appended again before a look has succeeded.

use rustix::process::Signal;

use super::*;
use crate::program::wait_for;
use crate::scripted::imap::Looks;

/// One message has arrived and its answer was lost. Three more follow, and `looks` is what happens to looks from now
/// on.
fn with_a_lost_answer(looks: Looks) -> (Maildrop, ImapServer, TestEnv) {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    maildrop.change(|contents| contents.messages.extend((2..=4).map(|n| Message::new(&format!("u{n}"), &small(n)))));
    server.with(|mailbox| mailbox.looks = looks);
    (maildrop, server, env)
}

/// Lets looks succeed again, and checks that each message arrives once.
fn each_is_there_once(maildrop: &Maildrop, server: &ImapServer, env: &TestEnv) {
    server.with(|mailbox| mailbox.looks = Looks::Answered);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &small_on_the_wire(4));
    assert_eq!((maildrop.left().len(), spool(env)), (0, 0));
}

#[test]
fn a_look_that_hangs_holds_up_the_others_in_one_run_only() {
    let (maildrop, server, env) = with_a_lost_answer(Looks::Hang);
    let running = env.spawn(&["fetch"]);
    let journal = env.path("state/a.forward");
    // The failed append counts once; a hang counts more.
    let counts = |line: &str| line.strip_prefix("t ")?.split(' ').nth(2)?.parse().ok();
    let is_noted = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter_map(counts).any(|count: u32| count > 3)
    };
    wait_for("the record of the hang", is_noted);
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(server.mail().len(), 1, "the first run sends nothing before the look");
    let running = env.spawn(&["fetch"]);
    wait_for("the others", || server.mail().len() == 4);
    running.signal(Signal::KILL);
    running.wait();
    each_is_there_once(&maildrop, &server, &env);
}

#[test]
fn a_look_that_is_refused_or_breaks_off_holds_up_the_others_for_a_few_runs_only() {
    for looks in [Looks::Refused("NO [SERVERBUG] cannot read it"), Looks::Cut] {
        let (maildrop, server, env) = with_a_lost_answer(looks);
        // The append itself was the first failed try.
        for _ in 0..2 {
            env.fetch().expect(75).says("look for a message");
            assert_eq!(server.mail().len(), 1, "{looks:?}");
        }
        // Now the others are forwarded, and only this one waits.
        env.fetch().expect(1).says("3 forwarded, 1 waits").says("look for a message");
        assert_eq!(server.mail().len(), 4, "{looks:?}");
        maildrop.change(|contents| contents.messages.push(Message::new("u5", &small(5))));
        env.fetch().expect(1).says("1 forwarded, 1 waits");
        assert_eq!((server.mail().len(), maildrop.left().len()), (5, 2), "{looks:?}");
        server.with(|mailbox| mailbox.looks = Looks::Answered);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &small_on_the_wire(5));
        assert_eq!((maildrop.left().len(), spool(&env)), (0, 0), "{looks:?}");
    }
}

/// The others are forwarded first; the message is appended once a look has shown that it has not arrived.
#[test]
fn what_has_not_arrived_is_appended_once_a_look_has_shown_it() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    server.faults(&[Fault::CutLiteral(9)]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    maildrop.change(|contents| contents.messages.extend((2..=4).map(|n| Message::new(&format!("u{n}"), &small(n)))));
    server.with(|mailbox| mailbox.looks = Looks::Cut);
    for _ in 0..2 {
        env.fetch().expect(75);
    }
    env.fetch().expect(1).says("3 forwarded, 1 waits");
    each_is_there_once(&maildrop, &server, &env);
}
