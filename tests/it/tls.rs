//! No secret is ever sent in clear: certificates of every kind, STLS stripped, refused, injected into.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tempfile::TempDir;

use crate::certificates::{Authority, Kind};
use crate::delivered::assert_same_mail;
use crate::leaks::assert_no_secret;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv};
use crate::scripted::between::{Between, Manner};
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::{Behaviour, Maildrop};

/// An authority in its own directory.
fn authority() -> (TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    (dir, authority)
}

/// A maildrop with one message that offers STLS, or uses TLS from the first byte.
fn maildrop(tls: Arc<ServerConfig>, implicit: bool, change: impl FnOnce(&mut Behaviour)) -> Maildrop {
    Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(tls);
        behaviour.implicit_tls = implicit;
        change(behaviour);
    })
}

/// The value of `tls` for such a maildrop.
fn mode(implicit: bool) -> &'static str {
    if implicit { "implicit" } else { "starttls" }
}

/// Runs a fetch that must retrieve nothing and leak nothing.
fn fails_without_a_leak(maildrop: &Maildrop, account: Account) -> Outcome {
    let env = TestEnv::new(&[account]);
    let outcome = env.fetch();
    assert!(env.mail().is_empty());
    maildrop.server.wait_until_idle();
    assert_no_secret(&maildrop.server.raw());
    outcome
}

#[test]
fn a_trusted_server_gets_the_password_inside_tls_only() {
    let (_dir, authority) = authority();
    for implicit in [true, false] {
        for host in ["localhost", "127.0.0.1"] {
            let maildrop = maildrop(authority.server_config(Kind::Good), implicit, |_| {});
            let account = Account::at(maildrop.server.address).tls(mode(implicit), &authority.ca_file);
            let env = TestEnv::new(&[account.text("host", host)]);
            env.fetch().expect(0);
            assert_same_mail(&env.mail(), &small_ones_stored(1));
            env.fetch().expect(0).says("nothing new");
            maildrop.server.wait_until_idle();
            assert_no_secret(&maildrop.server.raw());
            assert!(maildrop.server.sessions().iter().all(|session| session.quit));
        }
    }
}

#[test]
fn a_stripped_stls_is_never_made_up_for() {
    let (_dir, authority) = authority();
    for capabilities in [Some(vec!["USER".to_owned(), "SASL PLAIN".to_owned()]), None] {
        let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.capabilities = capabilities);
        let account = Account::at(maildrop.server.address).tls("starttls", &authority.ca_file);
        fails_without_a_leak(&maildrop, account).expect(69);
    }
}

#[test]
fn a_refused_stls_is_never_made_up_for() {
    let (_dir, authority) = authority();
    for answer in ["-ERR not today\r\n", "-ERR\r\n", "+ERR\r\n"] {
        let maildrop = maildrop(authority.server_config(Kind::Good), false, |behaviour| {
            behaviour.answers.push(("STLS".to_owned(), answer.to_owned()));
        });
        let account = Account::at(maildrop.server.address).tls("starttls", &authority.ca_file);
        let outcome = fails_without_a_leak(&maildrop, account);
        assert!(outcome.status == 69 || answer.starts_with('+') && outcome.status == 76, "{answer:?}: {outcome:#?}");
    }
}

#[test]
fn what_is_injected_behind_stls_ends_the_session() {
    let (_dir, authority) = authority();
    let injections: [&[u8]; 5] =
        [b"+OK\r\n", b"-ERR go away\r\n", b"+", b"\r\n", b"+OK\r\nSASL PLAIN\r\n.\r\n+OK\r\n+OK\r\n"];
    for injected in injections {
        let maildrop = maildrop(authority.server_config(Kind::Good), false, |behaviour| {
            behaviour.injected = injected.to_vec();
        });
        let account = Account::at(maildrop.server.address).tls("starttls", &authority.ca_file);
        let outcome = fails_without_a_leak(&maildrop, account);
        assert!([69, 76].contains(&outcome.status), "{injected:?}: {outcome:#?}");
    }
}

/// An attacker has recorded a session and replays the server's part to a client.
#[test]
fn what_a_server_said_once_lets_nobody_in_who_plays_it_again() {
    let (_dir, authority) = authority();
    for implicit in [true, false] {
        let maildrop = maildrop(authority.server_config(Kind::Good), implicit, |_| {});
        let listener = Between::before(maildrop.server.address, Manner::Passes);
        let env = TestEnv::new(&[Account::at(listener.address).tls(mode(implicit), &authority.ca_file)]);
        env.fetch().expect(0);
        let pieces = listener.recorded();
        assert!(pieces.len() > 2 && pieces.concat().len() > 1000, "{pieces:?}");
        let player = Between::before(maildrop.server.address, Manner::PlaysAgain(pieces));
        // To a client that has been there before, and to one that connects for the first time.
        let account = Account::at(player.address).tls(mode(implicit), &authority.ca_file).text("timeout", "5s");
        env.configure(std::slice::from_ref(&account));
        env.fetch().expect(69);
        let outcome = TestEnv::new(&[account]).fetch().expect(69);
        assert!(outcome.elapsed < Duration::from_secs(15), "{outcome:#?}");
        assert_no_secret(&player.heard());
        maildrop.server.wait_until_idle();
        assert_eq!(maildrop.server.sessions().len(), 1, "nobody asked the server");
    }
}

/// Stalls in the greeting, in the answer to STLS and in the handshake. The last takes half a minute, so all run
/// concurrently.
#[test]
fn whoever_stalls_around_tls_gets_nothing() {
    let (_dir, authority) = authority();
    let stalled = |implicit, after| {
        let maildrop = maildrop(authority.server_config(Kind::Good), implicit, |_| {});
        let between = Between::before(maildrop.server.address, Manner::StandsStillAfter(after));
        let account = Account::at(between.address).tls(mode(implicit), &authority.ca_file).text("timeout", "5s");
        let env = TestEnv::in_memory(&[account]);
        let outcome = env.fetch();
        assert!([69, 75].contains(&outcome.status), "{implicit} {after}: {outcome:#?}");
        assert!(env.mail().is_empty());
        assert_no_secret(&between.heard());
        // Nothing follows an incomplete handshake.
        let lines: Vec<String> = maildrop.server.sessions().into_iter().flat_map(|session| session.lines).collect();
        let login = |line: &String| ["USER", "PASS", "AUTH", "APOP"].iter().any(|word| line.starts_with(word));
        assert!(!lines.iter().any(login), "{lines:?}");
    };
    std::thread::scope(|scope| {
        for (implicit, after) in [
            (true, 1),
            (true, 60),
            (true, 500),
            (false, 0),
            (false, 3),
            (false, 12),
            (false, 20),
            (false, 30),
            (false, 600),
        ] {
            scope.spawn({
                let stalled = &stalled;
                move || stalled(implicit, after)
            });
        }
    });
}

#[test]
fn a_server_that_had_stls_and_has_none_gets_no_password() {
    let (_dir, authority) = authority();
    let maildrop = maildrop(authority.server_config(Kind::Good), false, |_| {});
    let env = TestEnv::new(&[Account::at(maildrop.server.address).tls("starttls", &authority.ca_file)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.behaviour.tls = None);
    env.fetch().expect(69);
    env.fetch().expect(69);
    maildrop.server.wait_until_idle();
    assert_no_secret(&maildrop.server.raw());
}

#[test]
fn garbage_instead_of_tls_ends_the_session() {
    let (_dir, authority) = authority();
    for after in [Step::Close, Step::Reset, Step::Stall] {
        let steps = vec![Step::say("+OK hello"), Step::Expect("STLS"), Step::say("+OK begin"), after];
        let server = dialogue::serve(steps);
        let account = Account::at(server.address).tls("starttls", &authority.ca_file).text("timeout", "5s");
        let outcome = TestEnv::new(&[account]).fetch();
        assert!([69, 75].contains(&outcome.status), "{outcome:#?}");
        assert!(outcome.elapsed < Duration::from_secs(15), "{outcome:#?}");
        assert_eq!(dialogue::first_mismatch(&server), None);
        assert_no_secret(&server.raw());
    }
}

#[test]
fn capabilities_are_asked_inside_tls() {
    let (_dir, authority) = authority();
    let steps = vec![
        Step::say("+OK hello"),
        Step::Expect("STLS"),
        Step::say("+OK begin"),
        Step::StartTls(authority.server_config(Kind::Good)),
        Step::Expect("CAPA"),
        Step::Send(b"+OK\r\nSASL PLAIN\r\n.\r\n".to_vec()),
        Step::ExpectPrefix("AUTH PLAIN"),
        Step::say("-ERR [SYS/TEMP] enough seen"),
    ];
    let server = dialogue::serve(steps);
    let account = Account::at(server.address).tls("starttls", &authority.ca_file);
    TestEnv::new(&[account]).fetch().expect(75);
    assert_eq!(dialogue::first_mismatch(&server), None);
    assert_no_secret(&server.raw());
}

#[test]
fn tls_spoken_to_a_plaintext_port_ends_soon() {
    let (_dir, authority) = authority();
    let maildrop = Maildrop::new(small_ones(1));
    let account = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
    let outcome = fails_without_a_leak(&maildrop, account).expect(69);
    assert!(outcome.elapsed < Duration::from_secs(5), "{outcome:#?}");
}

#[test]
fn plaintext_spoken_to_a_tls_port_ends_soon() {
    let (_dir, authority) = authority();
    for mode in ["starttls", "none"] {
        let maildrop = maildrop(authority.server_config(Kind::Good), true, |_| {});
        let account = Account::at(maildrop.server.address).text("tls", mode).text("timeout", "5s");
        let outcome = fails_without_a_leak(&maildrop, account);
        assert!([69, 75].contains(&outcome.status), "{outcome:#?}");
        assert!(outcome.elapsed < Duration::from_secs(15), "{outcome:#?}");
    }
}

#[test]
fn cleartext_to_another_machine_is_refused_before_any_connection() {
    for host in ["192.0.2.1", "pop.example.org"] {
        let account = Account::at(([127, 0, 0, 1], 110).into()).text("host", host);
        let outcome = TestEnv::new(&[account]).fetch().expect(78);
        assert!(outcome.elapsed < Duration::from_secs(5), "{outcome:#?}");
        outcome.says("allow_cleartext_password");
    }
}
