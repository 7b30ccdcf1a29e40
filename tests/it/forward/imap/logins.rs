//! Logins, and what is shown of them.

use super::*;
use crate::scripted::maildrop::PASSWORD;

#[test]
fn a_server_that_repeats_the_password_shows_it_to_nobody() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let words = format!("NO [AUTHENTICATIONFAILED] {PASSWORD} is not right").leak();
    server.with(|mailbox| mailbox.login_refusal = Some(words));
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let refused = env.run(&["-v", "fetch"]);
    assert!(refused.output().contains("[secret] is not right") && !refused.output().contains(PASSWORD), "{refused:#?}");
    server.with(|mailbox| mailbox.login_refusal = None);
    server.faults(&[Fault::Refuse(format!("NO [TOOBIG] {PASSWORD}").leak())]);
    let aside = env.run(&["forward"]);
    assert!(aside.output().contains("[secret]") && !aside.output().contains(PASSWORD), "{aside:#?}");
}

#[test]
fn the_dialogue_is_shown_without_secrets_and_messages() {
    use base64::Engine as _;
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    let outcome = env.run(&["-vv", "fetch"]).expect(0);
    for line in ["S: * OK [CAPABILITY ", "C: m1 ", " APPEND ", "S: m1 OK", "LOGOUT"] {
        assert!(outcome.stderr.contains(line), "{line}: {outcome:#?}");
    }
    let (user, password) = (crate::scripted::maildrop::USER, PASSWORD);
    let plain = base64::prelude::BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
    for hidden in [password, &plain, "This is 1."] {
        assert!(!outcome.output().contains(hidden), "{hidden}: {outcome:#?}");
    }
}

/// Makes an account that forwards to this server with a wrong password in a file, and a function that writes another
/// password.
fn with_password_file(maildrop: &Maildrop, server: &ImapServer) -> (TestEnv, impl Fn(&str) + use<>) {
    let env = TestEnv::new(&[]);
    let file = env.path("destination.password");
    let key = format!("password_file = {:?}", file.to_str().unwrap());
    let forward = server.forward("").replace(&format!("password = {PASSWORD:?}"), &key);
    env.configure(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let write = move |password: &str| {
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("wrong");
    (env, write)
}

fn logins(server: &ImapServer) -> usize {
    server.with(|mailbox| mailbox.commands.iter().filter(|command| *command == "AUTHENTICATE").count())
}

/// Cron runs every few minutes. A provider that has locked a mailbox for wrong passwords does not unlock it while more
/// of them come.
#[test]
fn scheduled_runs_offer_a_refused_password_as_seldom_as_the_daemon() {
    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let (env, write) = with_password_file(&maildrop, &server);
    let run = || env.run(&["-q", "fetch", "--scheduled"]);
    assert!(run().expect(77).stderr.contains("refused the login"));
    let refused = logins(&server);
    for _ in 0..5 {
        assert_eq!(run().expect(0).output(), "");
    }
    let told = env.run(&["fetch", "--scheduled"]).expect(0);
    told.says("1 message waits in the spool, tried again in 10 min");
    assert_eq!(logins(&server), refused, "the pause is kept from one run to the next");
    let due_in = || {
        let hints = std::fs::read_to_string(env.path("state/a.hints")).unwrap();
        let pause = hints.split("[standing.forwarding]").nth(1).unwrap().to_owned();
        pause.lines().find_map(|line| line.strip_prefix("due_in = ")).unwrap().parse::<u64>().unwrap()
    };
    assert!((590..=620).contains(&due_in()), "{}", due_in());
    // A run by hand ignores the pause, and another refusal makes it longer.
    env.run(&["forward"]).expect(77);
    assert!(logins(&server) > refused && (1190..=1220).contains(&due_in()), "{}", due_in());
    env.fetch().expect(77);
    assert!((2390..=2420).contains(&due_in()), "{}", due_in());
    let refused = logins(&server);
    run().expect(0);
    assert_eq!(logins(&server), refused);
    // The same failure after the pause is not reported again.
    let hints = std::fs::read_to_string(env.path("state/a.hints")).unwrap();
    std::fs::write(env.path("state/a.hints"), hints.replace(&format!("due_in = {}\n", due_in()), "due_in = 0\n"))
        .unwrap();
    assert_eq!(run().expect(77).output(), "");
    assert!(logins(&server) > refused);
    // The password is corrected.
    write(PASSWORD);
    assert_eq!(run().expect(0).output(), "a: mail is forwarded again\n");
    assert_eq!(server.mail().len(), 1);
    assert!(!std::fs::read_to_string(env.path("state/a.hints")).unwrap().contains("[standing.forwarding]"));
}
