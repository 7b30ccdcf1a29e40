//! A host with two addresses. If the first accepts the connection and then fails, at any step before it has answered
//! the login, the second is used; and what a server has refused is not offered at the other address.

use std::net::{Ipv4Addr, SocketAddr};

use crate::mail::small_ones;
use crate::program::{Account, Outcome, TestEnv};
use crate::scripted::Server;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::Maildrop;
use crate::scripted::middle_box::{Meddling, MiddleBox};
use crate::tls_out_there::two_addresses;

/// The result of a command for a host whose first address plays these steps, and whose second one works.
struct Came {
    outcome: Outcome,
    env: TestEnv,
    /// The first address.
    first: Server,
    /// The connection to the maildrop at the second address.
    second: MiddleBox,
    maildrop: Maildrop,
}

/// Runs a command for such a host; None if `localhost` cannot be given two addresses.
fn run(words: &[&str], auth: &str, steps: &[Step]) -> Option<Came> {
    let maildrop = Maildrop::with(small_ones(2), |behaviour| {
        behaviour.capabilities = Some(["USER", "UIDL", "TOP", "SASL CRAM-MD5 PLAIN"].map(str::to_owned).to_vec());
    });
    let first = dialogue::serve(steps.to_vec());
    let second = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), first.address.port()));
    let second = MiddleBox::at(second, maildrop.server.address, Meddling::Passes);
    let account = Account::at(first.address).text("host", "localhost").text("timeout", "5s").text("auth", auth);
    let env = TestEnv::new(&[account]);
    let wrapper = two_addresses(&env)?;
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let outcome = env.spawn_under(&wrapper, words).wait();
    Some(Came { outcome, env, first, second, maildrop })
}

/// How often a command was received, at each address.
fn heard(came: &Came, command: &str) -> usize {
    let first: usize =
        came.first.sessions().iter().map(|one| one.lines.iter().filter(|l| l.starts_with(command)).count()).sum();
    first + came.maildrop.count(command)
}

/// Returns the greeting and CAPA, with this line among the capabilities.
fn capa(line: &str) -> Vec<Step> {
    vec![Step::say("+OK ready"), Step::Expect("CAPA"), Step::say(&format!("+OK\r\n{line}\r\n."))]
}

/// Appends steps.
fn then(mut steps: Vec<Step>, more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    steps.extend(more);
    steps
}

#[test]
fn a_server_that_fails_before_it_has_answered_the_login_does_not_hide_the_next_address() {
    let user = || [Step::ExpectPrefix("USER"), Step::say("+OK")];
    let steps = [
        ("user", vec![Step::say("+OK ready"), Step::Expect("CAPA")]),
        ("user", then(capa("USER"), [Step::ExpectPrefix("USER")])),
        ("user", then(capa("UTF8"), [Step::Expect("UTF8")])),
        ("user", then(then(capa("USER"), user()), [Step::ExpectPrefix("PASS")])),
        ("plain", then(capa("SASL PLAIN"), [Step::ExpectPrefix("AUTH PLAIN")])),
        ("cram-md5", then(capa("SASL CRAM-MD5"), [Step::ExpectPrefix("AUTH CRAM-MD5")])),
        (
            "cram-md5",
            then(capa("SASL CRAM-MD5"), [Step::ExpectPrefix("AUTH"), Step::say("+ PGFAYj4="), Step::ExpectPrefix("")]),
        ),
        ("auto", then(capa("SASL CRAM-MD5 PLAIN"), [Step::ExpectPrefix("AUTH")])),
    ];
    for (n, (auth, steps)) in steps.into_iter().enumerate() {
        // Silence lasts until a timeout.
        let lasts = if [1, 3].contains(&n) {
            &[Step::Close, Step::Reset, Step::Stall][..]
        } else {
            &[Step::Close, Step::Reset]
        };
        for last in lasts {
            let Some(came) = run(&["fetch"], auth, &then(steps.clone(), [last.clone()])) else { return };
            assert_eq!(came.env.mail().len(), 2, "{n} {auth}: {:?}", came.outcome);
            assert!(came.second.connections() > 0 && came.first.sessions().len() <= 7, "{n} {auth}");
            came.outcome.expect(0);
        }
    }
}

#[test]
fn a_server_that_is_too_busy_for_a_name_does_not_hide_the_next_address() {
    for answer in ["-ERR [SYS/TEMP] overloaded", "-ERR too many connections", "-ERR [IN-USE] busy"] {
        let steps = then(capa("USER"), [Step::ExpectPrefix("USER"), Step::say(answer), Step::Close]);
        let Some(came) = run(&["fetch"], "user", &steps) else { return };
        assert_eq!((came.env.mail().len(), heard(&came, "PASS")), (2, 1), "{answer}: {:?}", came.outcome);
    }
    let goodbye =
        [Step::say("+OK ready"), Step::Expect("CAPA"), Step::say("-ERR"), Step::say("-ERR too many connections")];
    for steps in [then(goodbye.to_vec(), [Step::Close]), then(capa("USER"), [Step::say("-ERR bye"), Step::Close])] {
        let Some(came) = run(&["fetch"], "user", &steps) else { return };
        assert_eq!(came.env.mail().len(), 2, "{:?}", came.outcome);
    }
}

#[test]
fn what_was_refused_is_offered_at_no_other_address() {
    for (answer, status) in
        [("-ERR [AUTH] no", 77), ("-ERR no", 77), ("-ERR [SYS/TEMP] later", 75), ("-ERR [IN-USE] no", 75)]
    {
        for after in [Step::Close, Step::Reset] {
            let user =
                [Step::ExpectPrefix("USER"), Step::say("+OK"), Step::ExpectPrefix("PASS"), Step::say(answer), after];
            let Some(came) = run(&["fetch"], "auto", &then(capa("USER"), user)) else { return };
            assert_eq!((heard(&came, "PASS"), came.second.connections()), (1, 0), "{answer}");
            came.outcome.expect(status);
        }
    }
}

#[test]
fn a_password_at_which_two_addresses_close_the_connection_is_sent_twice_in_a_poll_at_most() {
    let user = [Step::ExpectPrefix("USER"), Step::say("+OK"), Step::ExpectPrefix("PASS"), Step::Close];
    let steps = then(capa("USER"), user);
    let first = dialogue::serve(steps.clone());
    let other = dialogue::serve(steps);
    let second = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), first.address.port()));
    let _second = MiddleBox::at(second, other.address, Meddling::Passes);
    let env = TestEnv::new(&[Account::at(first.address).text("host", "localhost")]);
    let Some(wrapper) = two_addresses(&env) else { return };
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    env.spawn_under(&wrapper, &["fetch"]).wait().expect(75).says("closed the connection");
    assert_eq!((first.sessions().len(), other.sessions().len()), (1, 1));
}

#[test]
fn check_and_console_go_to_the_next_address_too() {
    for words in [&["check"][..], &["console", "a"]] {
        let steps = then(capa("USER"), [Step::ExpectPrefix("USER"), Step::Close]);
        let Some(came) = run(words, "user", &steps) else { return };
        assert!(came.second.connections() > 0, "{words:?}");
        came.outcome.expect(0);
    }
}
