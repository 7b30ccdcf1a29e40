//! Login methods: a refusal of a method that the server announces but does not support is not a refused password, and
//! another method is tried.

use crate::delivered::assert_same_mail;
use crate::leaks::secrets;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::proxies::{proxy_to, url};
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::{Behaviour, Maildrop};

/// Returns the login commands of each session so far, without their arguments; `AUTH PLAIN` with an initial response is
/// `AUTH=`.
fn logins(maildrop: &Maildrop) -> Vec<Vec<String>> {
    maildrop.server.wait_until_idle();
    let word = |line: &String| {
        let word = line.split(' ').next().unwrap().to_owned();
        let response = word == "AUTH" && line.split(' ').count() > 2;
        ["AUTH", "USER", "PASS", "APOP"].contains(&word.as_str()).then(|| if response { "AUTH=".into() } else { word })
    };
    maildrop.server.sessions().iter().map(|session| session.lines.iter().filter_map(word).collect()).collect()
}

/// A maildrop with one message whose server answers commands with these prefixes in this way, and a home for its
/// account.
fn home(
    capabilities: &[&str],
    answers: &[(&str, &str)],
    change: impl FnOnce(Account) -> Account,
) -> (Maildrop, TestEnv) {
    let owned = |text: &str| text.to_owned();
    let maildrop = Maildrop::with(small_ones(1), |behaviour: &mut Behaviour| {
        behaviour.greeting = "+OK ready <16184.1473445882@mail.example.org>".to_owned();
        behaviour.capabilities = Some(capabilities.iter().copied().map(owned).collect());
        behaviour.answers = answers.iter().map(|(to, answer)| (owned(to), format!("{answer}\r\n"))).collect();
    });
    let env = TestEnv::in_memory(&[change(Account::at(maildrop.server.address))]);
    (maildrop, env)
}

#[test]
fn an_announced_mechanism_that_is_not_known_is_replaced_in_the_same_session() {
    for answer in [
        "-ERR unknown mechanism",
        "-ERR unsupported authentication mechanism",
        "-ERR unknown command AUTH",
        "-ERR [SYS/PERM] unrecognized",
        "-ERR [X-NEW] Unrecognised command",
        "-ERR Protocol error",
        "-ERR bad syntax",
        "-ERR AUTH not implemented",
    ] {
        let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[("AUTH", answer)], |account| account);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(1));
        env.fetch().expect(0).says("nothing new");
        assert_eq!(logins(&maildrop), [vec!["AUTH=", "USER", "PASS"], vec!["USER", "PASS"]], "{answer}: remembered");
    }
}

#[test]
fn a_mechanism_that_takes_no_initial_response_is_used_without_one() {
    let answers = [("AUTH PLAIN ", "-ERR bad syntax"), ("USER", "-ERR unknown command")];
    let (maildrop, env) = home(&["SASL PLAIN"], &answers, |account| account);
    env.fetch().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(logins(&maildrop), [vec!["AUTH=", "AUTH"], vec!["AUTH"]]);

    let (maildrop, env) = home(&["USER"], &answers[..1], |account| account.text("auth", "plain"));
    env.fetch().expect(0);
    assert_eq!(logins(&maildrop), [["AUTH=", "AUTH"]], "by name, the same mechanism in its other form");
}

#[test]
fn a_server_that_closes_the_connection_at_a_mechanism_is_asked_again_by_another_one() {
    let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[], |account| account);
    maildrop.change(|contents| contents.behaviour.closes_at = Some("AUTH".to_owned()));
    env.fetch().expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(logins(&maildrop), [vec!["AUTH="], vec!["USER", "PASS"], vec!["USER", "PASS"]]);

    // An answer that is not POP3 is treated the same.
    let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[("AUTH", "500 what?")], |account| account);
    env.fetch().expect(0);
    assert_eq!(logins(&maildrop), [vec!["AUTH="], vec!["USER", "PASS"]]);

    // A server that closes the connection at everything is asked twice per poll, and nothing is concluded.
    let (maildrop, env) = home(&["SASL PLAIN"], &[], |account| account);
    maildrop.change(|contents| contents.behaviour.closes_at = Some("AUTH PLAIN ".to_owned()));
    let all = |contents: &mut crate::scripted::maildrop::Contents| {
        contents.behaviour.answers = vec![("USER".to_owned(), "-ERR unknown command\r\n".to_owned())];
    };
    maildrop.change(all);
    env.fetch().expect(0);
    assert_eq!(logins(&maildrop), [vec!["AUTH="], vec!["AUTH"]], "the other form of it, where USER is not announced");
    let server = dialogue::serve(vec![Step::say("+OK"), Step::Close]);
    TestEnv::in_memory(&[Account::at(server.address)]).fetch().expect(75);
    assert_eq!(server.sessions().len(), 2, "that was no login, and it may have been CAPA");
}

#[test]
fn a_server_that_closes_the_connection_at_every_mechanism_is_asked_until_one_is_left() {
    for (offered, tried) in [
        (&["USER", "SASL CRAM-MD5 SCRAM-SHA-256 PLAIN"][..], vec!["AUTH=", "AUTH", "AUTH="]),
        (&["SASL PLAIN LOGIN"], vec!["AUTH=", "AUTH", "AUTH"]),
    ] {
        let (maildrop, env) = home(offered, &[], |account| account);
        maildrop.change(|contents| contents.behaviour.closes_at = Some("AUTH".to_owned()));
        env.fetch().expect(0);
        env.fetch().expect(0).says("nothing new");
        let mut expected: Vec<Vec<&str>> = tried.into_iter().map(|one| vec![one]).collect();
        expected.extend([vec!["USER", "PASS"], vec!["USER", "PASS"]]);
        assert_eq!(logins(&maildrop), expected, "{offered:?}");
    }
}

#[test]
fn a_password_at_which_a_server_closes_the_connection_is_offered_twice_in_a_poll_at_most() {
    let (maildrop, env) = home(&["USER", "SASL PLAIN LOGIN"], &[], |account| account);
    let closes = |contents: &mut crate::scripted::maildrop::Contents| {
        contents.behaviour.closes_at = Some("PASS".to_owned());
        contents.behaviour.answers = vec![("AUTH PLAIN ".to_owned(), "what?\r\n".to_owned())];
    };
    maildrop.change(closes);
    env.fetch().expect(75);
    assert_eq!(logins(&maildrop), [vec!["AUTH="], vec!["USER", "PASS"]]);
}

/// Servers older than RFC 2449, and what they do not support.
#[test]
fn a_server_that_closes_the_connection_at_capa_or_utf8_is_asked_without() {
    let (maildrop, env) = home(&["USER"], &[], |account| account);
    maildrop.change(|contents| contents.behaviour.closes_at = Some("CAPA".to_owned()));
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
    maildrop.server.wait_until_idle();
    let sessions: Vec<Vec<String>> = maildrop.server.sessions().into_iter().map(|session| session.lines).collect();
    assert_eq!(sessions[0], ["CAPA"]);
    assert!(sessions.len() == 2 && sessions[1].iter().all(|line| !line.starts_with("CAPA")), "{sessions:?}");

    for others in ["SASL PLAIN", "TOP"] {
        let (maildrop, env) = home(&["USER", "UTF8", others], &[], |account| account);
        maildrop.change(|contents| contents.behaviour.closes_at = Some("UTF8".to_owned()));
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(1));
    }
}

#[test]
fn a_refused_password_is_offered_once_a_poll_whatever_the_server_says() {
    // With the code the method is right; without it the method may be at fault, and the next poll tries another one.
    for (answer, second) in [
        ("-ERR [AUTH] no", vec!["AUTH="]),
        ("-ERR no", vec!["USER", "PASS"]),
        ("-ERR", vec!["USER", "PASS"]),
        ("-ERR authentication failed", vec!["USER", "PASS"]),
    ] {
        let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[("AUTH", answer), ("PASS", answer)], |account| account);
        env.fetch().expect(77);
        env.fetch().expect(77);
        assert_eq!(logins(&maildrop), [vec!["AUTH="], second], "{answer}");
    }
    let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[("AUTH", "-ERR no")], |account| account);
    env.fetch().expect(77);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
    assert_eq!(logins(&maildrop), [vec!["AUTH="], vec!["USER", "PASS"]]);
}

#[test]
fn what_is_for_later_is_no_reason_for_another_way() {
    let (maildrop, env) = home(&["USER", "SASL PLAIN"], &[("AUTH", "-ERR [IN-USE] unknown lock")], |account| account);
    env.fetch().expect(75);
    env.fetch().expect(75);
    assert_eq!(logins(&maildrop), [["AUTH="], ["AUTH="]]);
}

#[test]
fn a_timestamp_is_no_promise_of_apop() {
    for capabilities in [&["USER", "SASL PLAIN"][..], &["USER"], &["SASL CRAM-MD5"]] {
        let (maildrop, env) = home(capabilities, &[("APOP", "-ERR no")], |account| account);
        env.fetch().expect(0);
        assert_eq!(maildrop.count("APOP"), 0, "{capabilities:?}");
    }
    let (maildrop, env) = home(&["USER"], &[("APOP", "-ERR no")], |account| account.text("auth", "apop"));
    env.fetch().expect(77).says("auth = \"user\"");
    assert_eq!(logins(&maildrop), [["APOP"]], "by name, and by no weaker one");
    let (_maildrop, env) = home(&["USER"], &[("APOP", "+OK in")], |account| account.text("auth", "apop"));
    // The scripted server does not know APOP: only its answer is simulated.
    assert_ne!(env.fetch().status, 77);
}

/// A server that can be eavesdropped on: it is reached through a proxy, so it is not on this machine.
fn overheard(capabilities: &[&str]) -> (Maildrop, TestEnv) {
    let (maildrop, _) = home(capabilities, &[], |account| account);
    let address = maildrop.server.address;
    let (through, _) = proxy_to(move |_| Some((address, true)));
    let account = Account::at(address).text("host", "pop.example.org").set("allow_cleartext_password", true);
    let env = TestEnv::in_memory(&[account.text("proxy", &url(through, "pr0xy-s3cret"))]);
    (maildrop, env)
}

#[test]
fn where_anybody_can_listen_the_strongest_way_that_is_offered_is_taken_and_else_the_password() {
    for (offered, way) in [
        ("SASL PLAIN CRAM-MD5 SCRAM-SHA-256", "AUTH SCRAM-SHA-256"),
        ("SASL PLAIN LOGIN CRAM-MD5", "AUTH CRAM-MD5"),
        ("SASL PLAIN", "AUTH PLAIN"),
    ] {
        let (maildrop, env) = overheard(&["USER", offered]);
        env.fetch().expect(0);
        maildrop.server.wait_until_idle();
        let lines = maildrop.server.sessions()[0].lines.clone();
        assert!(lines.iter().any(|line| line.starts_with(way)), "{offered}: {lines:?}");
    }
}

/// An attacker in the middle makes the server seem to have lost all methods that hide the password.
#[test]
fn where_anybody_can_listen_nothing_weaker_follows_what_the_server_had() {
    for (had, hidden) in [("SASL PLAIN SCRAM-SHA-256", "SASL PLAIN CRAM-MD5"), ("SASL PLAIN CRAM-MD5", "SASL PLAIN")] {
        let (maildrop, env) = overheard(&["USER", had]);
        env.fetch().expect(0);
        maildrop.change(|contents| {
            contents.behaviour.capabilities = Some(vec!["USER".to_owned(), hidden.to_owned()]);
            contents.behaviour.answers = vec![("AUTH".to_owned(), "-ERR unknown mechanism\r\n".to_owned())];
        });
        env.fetch().expect(77).says("without sending the password in clear").says("Use TLS");
        maildrop.change(|contents| contents.behaviour.answers.clear());
        env.fetch().expect(77).says("without sending the password in clear");
        maildrop.server.wait_until_idle();
        let raw = String::from_utf8_lossy(&maildrop.server.raw()).into_owned();
        assert!(secrets().iter().all(|secret| !raw.contains(secret)), "{raw}");
        // The methods come back.
        maildrop.change(|contents| {
            contents.behaviour.capabilities = Some(vec!["USER".to_owned(), had.to_owned()]);
        });
        env.fetch().expect(0);
    }
    // A session that was merely cut off does not make it forget anything.
    let (maildrop, env) = overheard(&["USER", "SASL SCRAM-SHA-256"]);
    maildrop.change(|contents| contents.behaviour.closes_at = Some("AUTH".to_owned()));
    env.fetch().expect(75);
    maildrop.change(|contents| {
        contents.behaviour.closes_at = None;
        contents.behaviour.capabilities = Some(vec!["USER".to_owned()]);
    });
    env.fetch().expect(77).says("without sending the password in clear");
}

#[test]
fn chinese_words_are_read_and_the_status_is_what_it_would_be_without_them() {
    // "wrong user name or password", in GBK; with and without a reply code.
    let words = b"\xd3\xc3\xbb\xa7\xc3\xfb\xbb\xf2\xc3\xdc\xc2\xeb\xb4\xed\xce\xf3";
    for (before, status) in [(&b"-ERR [AUTH] "[..], 77), (b"-ERR [SYS/TEMP] ", 75), (b"-ERR ", 77)] {
        let steps = vec![
            Step::say("+OK"),
            Step::ExpectPrefix("CAPA"),
            Step::say("-ERR"),
            Step::ExpectPrefix("USER"),
            Step::say("+OK"),
            Step::ExpectPrefix("PASS"),
            Step::Send([before, words, b"\x1b[31m\r\n"].concat()),
        ];
        let server = dialogue::serve(steps);
        let outcome = TestEnv::in_memory(&[Account::at(server.address)]).fetch().expect(status);
        outcome.says("用户名或密码错误\\u{1b}");
    }
}

#[test]
fn apop_logs_in_by_its_digest() {
    let (maildrop, env) = home(&["USER"], &[], |account| account.text("auth", "apop"));
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
    assert_eq!(logins(&maildrop), [["APOP"]]);
    let (maildrop, env) = home(&["USER"], &[], |account| account.text("auth", "apop").text("password", "wrong"));
    env.fetch().expect(77);
    assert_eq!(logins(&maildrop), [["APOP"]]);
}
