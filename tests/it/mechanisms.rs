//! Every SASL mechanism against a scripted server, whose SCRAM is an independent implementation.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};

use crate::certificates::{Authority, Kind};
use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Behaviour, Maildrop, PASSWORD, ScramFault};

/// A maildrop with one message that offers only these mechanisms.
fn offering(sasl: &str, change: impl FnOnce(&mut Behaviour)) -> Maildrop {
    Maildrop::with(small_ones(1), |behaviour| {
        behaviour.capabilities = Some(vec![format!("SASL {sasl}")]);
        change(behaviour);
    })
}

/// Returns the mechanisms of the AUTH commands of all sessions.
fn mechanisms(maildrop: &Maildrop) -> Vec<String> {
    maildrop.server.wait_until_idle();
    let sessions = maildrop.server.sessions();
    let lines = sessions.iter().flat_map(|session| &session.lines);
    let name = |line: &String| Some(line.strip_prefix("AUTH ")?.split(' ').next()?.to_owned());
    lines.filter_map(name).collect()
}

/// Checks that a fetch retrieves the message, with the expected mechanisms.
fn works(maildrop: &Maildrop, account: Account, expected: &[&str]) {
    let env = TestEnv::in_memory(&[account]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
    assert_eq!(mechanisms(maildrop), expected);
}

#[test]
fn each_mechanism_logs_in_by_its_name() {
    for (auth, name) in [
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("cram-md5", "CRAM-MD5"),
        ("scram-sha-1", "SCRAM-SHA-1"),
        ("scram-sha-256", "SCRAM-SHA-256"),
        ("xoauth2", "XOAUTH2"),
        ("oauthbearer", "OAUTHBEARER"),
    ] {
        let maildrop = offering(name, |_| {});
        let account = Account::at(maildrop.server.address).text("auth", auth);
        works(&maildrop, account.clone(), &[name]);
        // A wrong secret is a refused login, and is offered once.
        let env = TestEnv::in_memory(&[account.text("password", "not-this-one")]);
        env.fetch().expect(77).says("wrong user name or password");
        assert_eq!(mechanisms(&maildrop), [name, name], "{auth}");
        assert!(env.mail().is_empty());
    }
}

/// A server that refuses what it does not announce has judged no password; one that knows it nevertheless has.
#[test]
fn a_mechanism_that_the_server_does_not_have_is_no_wrong_password() {
    let refusing = |sasl: &str| {
        offering(sasl, |behaviour| {
            let refusal = "-ERR [AUTH] Unsupported authentication mechanism\r\n";
            behaviour.answers = vec![("AUTH".to_owned(), refusal.to_owned())];
        })
    };
    let maildrop = refusing("PLAIN LOGIN");
    for auth in ["cram-md5", "scram-sha-256"] {
        let account = Account::at(maildrop.server.address).text("auth", auth).text("password", "of two words");
        let said = TestEnv::in_memory(&[account]).fetch().expect(77).stderr;
        let expected = format!("the server does not offer {} (it offers PLAIN, LOGIN)", auth.to_uppercase());
        assert!(said.contains(&expected) && said.contains("Set auth = \"auto\" or remove the key"), "{said}");
        assert!(!said.contains("password") && said.contains("[AUTH] Unsupported"), "{said}");
    }
    let token = Account::at(maildrop.server.address).without("password").set("token_command", "[\"echo\", \"t\"]");
    let said = TestEnv::in_memory(&[token]).fetch().expect(77).stderr;
    assert!(said.contains("offers neither OAUTHBEARER nor XOAUTH2 (it offers PLAIN, LOGIN)"), "{said}");
    assert!(!said.contains("Check username"), "{said}");

    // Announced, or nothing announced: as ever.
    for sasl in ["CRAM-MD5 PLAIN", ""] {
        let maildrop = refusing(sasl);
        let account = Account::at(maildrop.server.address).text("auth", "cram-md5");
        TestEnv::in_memory(&[account]).fetch().expect(77).says("the server refused the login");
    }
    // It has more than it announces.
    let maildrop = offering("LOGIN", |_| {});
    works(&maildrop, Account::at(maildrop.server.address).text("auth", "plain"), &["PLAIN"]);
    let account = Account::at(maildrop.server.address).text("auth", "plain").text("password", "not-this-one");
    TestEnv::in_memory(&[account]).fetch().expect(77).says("wrong user name or password");
}

#[test]
fn what_is_too_long_for_a_line_waits_for_the_challenge() {
    for (auth, name) in [("xoauth2", "XOAUTH2"), ("oauthbearer", "OAUTHBEARER"), ("plain", "PLAIN")] {
        let maildrop = offering(name, |_| {});
        let token = "ya29.".to_owned() + &"x".repeat(2000);
        let account = Account::at(maildrop.server.address).text("auth", auth).text("password", &token);
        TestEnv::in_memory(&[account]).fetch().expect(77);
        maildrop.server.wait_until_idle();
        let lines = maildrop.server.sessions()[0].lines.clone();
        assert!(lines.contains(&format!("AUTH {name}")), "{lines:?}");
    }
}

#[test]
fn on_loopback_the_strongest_offered_mechanism_is_taken_and_one_that_is_only_pretended_is_passed_over() {
    let maildrop = offering("PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", |_| {});
    works(&maildrop, Account::at(maildrop.server.address), &["SCRAM-SHA-256"]);
    let maildrop = offering("PLAIN LOGIN CRAM-MD5", |_| {});
    works(&maildrop, Account::at(maildrop.server.address), &["CRAM-MD5"]);

    // The server stores passwords in a form that SCRAM cannot use.
    let maildrop = offering("PLAIN CRAM-MD5 SCRAM-SHA-256", |behaviour| {
        behaviour.scram_fault = ScramFault::OtherPassword;
    });
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_eq!(mechanisms(&maildrop), ["SCRAM-SHA-256", "PLAIN", "CRAM-MD5"], "what failed comes last");
    // The server refuses before the client has responded.
    let maildrop = offering("PLAIN CRAM-MD5 SCRAM-SHA-256", |behaviour| {
        behaviour.answers = vec![("AUTH SCRAM".to_owned(), "-ERR [AUTH] no\r\n".to_owned())];
    });
    works(&maildrop, Account::at(maildrop.server.address), &["SCRAM-SHA-256", "CRAM-MD5"]);
    // A wrong password is offered twice at most.
    let maildrop = offering("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", |_| {});
    TestEnv::in_memory(&[Account::at(maildrop.server.address).text("password", "wrong")]).fetch().expect(77);
    assert_eq!(mechanisms(&maildrop), ["SCRAM-SHA-256", "PLAIN"]);
}

#[test]
fn a_server_that_does_not_prove_itself_gets_no_command_and_loses_no_mail() {
    for fault in [ScramFault::NoProof, ScramFault::WrongProof] {
        for auth in ["auto", "scram-sha-256"] {
            let maildrop = offering("PLAIN SCRAM-SHA-256", |behaviour| behaviour.scram_fault = fault);
            let account = Account::at(maildrop.server.address).text("auth", auth).deleting();
            let env = TestEnv::in_memory(&[account]);
            env.fetch().expect(69).says("knows the password");
            assert_eq!(mechanisms(&maildrop), ["SCRAM-SHA-256"], "{fault:?}: nothing weaker follows");
            assert_eq!(maildrop.left(), ["u1"]);
            let after: usize = ["STAT", "RETR", "DELE", "QUIT"].iter().map(|word| maildrop.count(word)).sum();
            assert_eq!(after, 0, "{fault:?}");
        }
    }
}

#[test]
fn iterations_that_are_too_few_or_too_many_are_refused_before_the_password_is_used() {
    for iterations in [1, 4095, 4_000_000_000] {
        let maildrop = offering("SCRAM-SHA-256", |behaviour| {
            behaviour.scram_fault = ScramFault::Iterations(iterations);
        });
        let account = Account::at(maildrop.server.address).text("auth", "scram-sha-256");
        TestEnv::in_memory(&[account]).fetch().expect(76).says(&format!("hashed {iterations} times"));
        let lines = maildrop.server.sessions()[0].lines.clone();
        assert!(lines.contains(&"*".to_owned()), "cancelled: {lines:?}");
    }
}

#[test]
fn a_challenge_that_is_none_is_cancelled_and_another_mechanism_is_tried() {
    for (challenge, answer) in [("+ %%%", "NO"), ("+ aGVsbG8=", "NO")] {
        let maildrop = offering("CRAM-MD5 PLAIN", |behaviour| {
            let answers = [("AUTH CRAM-MD5", challenge), ("*", "-ERR cancelled")];
            behaviour.answers = answers.map(|(to, answer)| (to.to_owned(), format!("{answer}\r\n"))).to_vec();
        });
        works(&maildrop, Account::at(maildrop.server.address), &["CRAM-MD5", "PLAIN"]);
        let lines = maildrop.server.sessions()[0].lines.clone();
        assert!(lines.contains(&"*".to_owned()), "{answer}: {lines:?}");
    }
}

/// A mechanism chosen by name has no fallback; nothing is revealed in response to an invalid challenge.
#[test]
fn each_mechanism_cancels_what_is_no_challenge_of_its_own() {
    for (auth, name) in [
        ("login", "LOGIN"),
        ("cram-md5", "CRAM-MD5"),
        ("scram-sha-1", "SCRAM-SHA-1"),
        ("scram-sha-256", "SCRAM-SHA-256"),
        ("xoauth2", "XOAUTH2"),
        ("oauthbearer", "OAUTHBEARER"),
    ] {
        let maildrop = offering(name, |behaviour| {
            let answers = [("AUTH", "+ %%%"), ("*", "-ERR cancelled")];
            behaviour.answers = answers.map(|(to, answer)| (to.to_owned(), format!("{answer}\r\n"))).to_vec();
        });
        TestEnv::in_memory(&[Account::at(maildrop.server.address).text("auth", auth)]).fetch().expect(76);
        maildrop.server.wait_until_idle();
        let lines = maildrop.server.sessions()[0].lines.clone();
        let at = lines.iter().position(|line| line.starts_with("AUTH ")).unwrap();
        assert_eq!(lines.get(at + 1).map(String::as_str), Some("*"), "{name}: {lines:?}");
    }
}

/// An account with TLS for a maildrop that offers these mechanisms.
fn inside_tls(sasl: &str, tls: Arc<rustls::ServerConfig>, authority: &Authority) -> (Maildrop, Account) {
    let maildrop = offering(sasl, |behaviour| {
        behaviour.tls = Some(tls);
        behaviour.implicit_tls = true;
    });
    let account = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
    (maildrop, account)
}

#[test]
fn scram_is_bound_to_the_tls_connection_where_the_server_offers_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for (auth, name) in [("scram-sha-1", "SCRAM-SHA-1"), ("scram-sha-256", "SCRAM-SHA-256")] {
        let plus = format!("{name}-PLUS");
        let tls = || authority.server_config_of(Kind::Good, &[&TLS13], false);
        let (maildrop, account) = inside_tls(&format!("{name} {plus}"), tls(), &authority);
        let env = TestEnv::in_memory(&[account.text("auth", auth)]);
        env.fetch().expect(0);
        // A resumed session is another connection with another channel binding.
        env.fetch().expect(0);
        assert_eq!(mechanisms(&maildrop), [plus.as_str(), plus.as_str()]);
        // Before TLS 1.3 the binding is to the server's certificate.
        let leaf = authority.leaf(Kind::Good);
        let tls12 = authority.server_config_with(&leaf, &[&TLS12], false);
        let (maildrop, account) = inside_tls(&format!("{name} {plus}"), tls12.clone(), &authority);
        maildrop.change(|contents| contents.behaviour.certificate = Some(leaf.der()));
        works(&maildrop, account.text("auth", auth), &[plus.as_str()]);
        // A relayed exchange is refused, even if the man in the middle has a trusted certificate, and nothing else is
        // tried.
        let (maildrop, account) = inside_tls(&format!("PLAIN {name} {plus}"), tls12, &authority);
        maildrop.change(|contents| contents.behaviour.certificate = Some(authority.leaf(Kind::Good).der()));
        TestEnv::in_memory(&[account.text("auth", auth)]).fetch().expect(77);
        assert_eq!(mechanisms(&maildrop), [plus.as_str()]);
        // If channel binding is not offered, the client says that it supports it: a server that does offer it would
        // refuse that.
        let (maildrop, account) = inside_tls(name, tls(), &authority);
        works(&maildrop, account.text("auth", auth), &[name]);
    }
}

#[test]
fn inside_tls_auto_takes_what_costs_one_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let tls = authority.server_config_of(Kind::Good, &[&TLS12, &TLS13], false);
    let (maildrop, account) = inside_tls("PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", tls, &authority);
    works(&maildrop, account, &["PLAIN"]);
}

#[test]
fn no_secret_of_any_mechanism_is_printed() {
    for (auth, name) in
        [("login", "LOGIN"), ("cram-md5", "CRAM-MD5"), ("scram-sha-256", "SCRAM-SHA-256"), ("xoauth2", "XOAUTH2")]
    {
        let maildrop = offering(name, |_| {});
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).text("auth", auth)]);
        let outcome = env.run(&["-v", "fetch"]).expect(0).says(&format!("AUTH {name}"));
        assert!(!outcome.output().contains(PASSWORD));
    }
}
