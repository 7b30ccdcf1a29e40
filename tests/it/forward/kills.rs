//! Kills at random moments: an IMAP mailbox gets each message once, other destinations get each at least once, and
//! nothing is deleted at the source before the destination has answered.

use std::time::Duration;

use rustix::process::Signal;

use super::*;
use crate::scripted::lmtp::LmtpServer;

/// How often the program is killed. `MAILFERRY_FORWARD_KILLS` overrides it.
const KILLS: usize = 24;

/// How many messages there are.
const MESSAGES: usize = 60;

/// How often it is killed while it forwards to a mailbox, unless overridden likewise, and how many new messages there
/// are each time.
const ROUNDS: (usize, usize) = (6, 60);

fn kills() -> Option<usize> {
    std::env::var("MAILFERRY_FORWARD_KILLS").ok().and_then(|text| text.parse().ok())
}

/// Runs `fetch` and kills it at random moments. Calls `look` after each kill. In the end `fetch` must succeed.
fn kill_again_and_again(env: &TestEnv, mut look: impl FnMut()) {
    let kills = kills().unwrap_or(KILLS);
    let longest = {
        let begun = std::time::Instant::now();
        env.run(&["forward"]);
        begun.elapsed().max(Duration::from_millis(20)) * 4
    };
    for _ in 0..kills {
        let running = env.spawn(&["fetch"]);
        std::thread::sleep(longest.mul_f64(fastrand::f64()));
        running.signal(Signal::KILL);
        running.wait();
        look();
    }
    for _ in 0..20 {
        if env.fetch().status == 0 {
            break;
        }
    }
    env.fetch().expect(0);
}

/// A message of a size at which several are in flight at a time.
fn larger(n: usize) -> Vec<u8> {
    let line = [vec![b'x'; 70], b"\r\n".to_vec()].concat();
    [small(n), line.repeat(40)].concat()
}

/// In each round new mail arrives, `fetch` is killed at a random moment, and another `fetch` follows at once, while the
/// server may still be busy with what the killed one sent. Returns what must have arrived, sorted.
fn kill_in_each_round(env: &TestEnv, maildrop: &Maildrop) -> Vec<Vec<u8>> {
    let (rounds, each) = (kills().unwrap_or(ROUNDS.0), ROUNDS.1);
    let mut longest = Duration::ZERO;
    for round in 0..=rounds {
        let new = (round * each + 1..=(round + 1) * each).map(|n| Message::new(&format!("u{n}"), &larger(n)));
        maildrop.change(|contents| contents.messages.extend(new));
        let running = env.spawn(&["fetch"]);
        let begun = std::time::Instant::now();
        // The first round measures how long a run takes.
        if round > 0 {
            std::thread::sleep(longest.mul_f64(fastrand::f64()));
            running.signal(Signal::KILL);
        }
        running.wait();
        longest = longest.max(if round == 0 { begun.elapsed() } else { Duration::ZERO });
        env.fetch().expect(0);
    }
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    let mut expected: Vec<_> = (1..=(rounds + 1) * each).map(|n| on_the_wire(&larger(n))).collect();
    expected.sort();
    expected
}

/// Checks that every small message is still at the source or among those that have arrived.
fn none_is_lost(maildrop: &Maildrop, arrived: &[Vec<u8>]) {
    let left = maildrop.left();
    for n in 1..=MESSAGES {
        let is_left = left.contains(&format!("u{n}"));
        let wire = on_the_wire(&small(n));
        assert!(is_left || arrived.iter().any(|message| message.ends_with(&wire)), "message {n} is nowhere");
    }
}

#[test]
fn an_imap_mailbox_has_each_message_once() {
    let (maildrop, server) = (Maildrop::new(Vec::new()), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let expected = kill_in_each_round(&env, &maildrop);
    assert_same_mail(&server.mail(), &expected);
}

#[test]
fn a_mailbox_of_dovecots_has_each_message_once() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let (maildrop, destination) = (Maildrop::new(Vec::new()), dovecot.user("killed-to", &[]));
    let Some(forward) = destination.forward_by_imap("INBOX") else {
        return crate::program::skip("dovecot-imapd is not installed");
    };
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let expected = kill_in_each_round(&env, &maildrop);
    let mut arrived: Vec<_> = destination.served().iter().map(|message| on_the_wire(message)).collect();
    arrived.sort();
    assert_same_mail(&arrived, &expected);
}

#[test]
fn a_command_gets_each_message_whole_and_few_of_them_twice() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("deliver");
    // The command is slow, and goes on when mailferry is killed.
    let script = "#!/bin/sh\nn=$1/$MAILFERRY_DELIVERY_ID.$$\nhead -c 20 >$n.part; sleep 0.01; cat >>$n.part; mv $n.part $n.done\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let maildrop = Maildrop::new(small_ones(MESSAGES));
    let forward = format!("{{ command = [{program:?}, {:?}] }}", dir.path());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let done = || {
        let is_done = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "done");
        let all: Vec<_> =
            files(dir.path()).into_iter().filter(is_done).map(|path| std::fs::read(path).unwrap()).collect();
        all.iter().map(|message| on_the_wire(message)).collect::<Vec<_>>()
    };
    let mut kills = 0;
    kill_again_and_again(&env, || {
        kills += 1;
        let left = maildrop.left();
        let arrived = done();
        for n in (1..=MESSAGES).filter(|n| !left.contains(&format!("u{n}"))) {
            assert!(arrived.contains(&on_the_wire(&small(n))), "message {n} is nowhere");
        }
    });
    assert!(maildrop.left().is_empty());
    let arrived = done();
    for message in &arrived {
        assert!((1..=MESSAGES).any(|n| *message == on_the_wire(&small(n))), "a message is truncated");
    }
    let copies = arrived.len().saturating_sub(MESSAGES);
    assert!(copies <= kills, "{copies} copies for {kills} kills");
}

#[test]
fn an_lmtp_server_has_each_message_and_few_of_them_twice() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let (maildrop, server) = (Maildrop::new(small_ones(MESSAGES)), LmtpServer::start(&socket));
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", lmtp)]);
    let mut kills = 0;
    kill_again_and_again(&env, || {
        kills += 1;
        none_is_lost(&maildrop, &server.mail());
    });
    assert!(maildrop.left().is_empty());
    none_is_lost(&maildrop, &server.mail());
    let copies = server.mail().len().saturating_sub(MESSAGES);
    assert!(copies <= kills, "{copies} copies for {kills} kills");
}
