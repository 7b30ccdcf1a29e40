//! Errors on the command line and in the configuration are reported, with their position.

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

/// An environment with a valid configuration whose server does not exist.
fn env() -> TestEnv {
    TestEnv::new(&[Account::at(([127, 0, 0, 1], 1).into())])
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let env = env();
    env.run(&[]).expect(64);
    env.run(&["fetsh"]).expect(64).says("fetch");
    env.run(&["fetch", "--no-such-option"]).expect(64);
    env.run(&["fetch", "nobody"]).expect(64).says("nobody");
}

#[test]
fn help_and_version_are_no_errors() {
    let env = env();
    env.run(&["--help"]).expect(0).says("fetch");
    env.run(&["fetch", "--help"]).expect(0).says("--dry-run");
    env.run(&["--version"]).expect(0).says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn all_problems_are_reported_in_one_go_with_their_lines() {
    let env = env();
    let text =
        "[accounts.a]\nhostt = \"pop.example.org\"\nusername = \"jo\"\npassword = \"x\"\n\n\n\ninterwal = \"5m\"\n";
    env.write_config(text, 0o600);
    let outcome = env.fetch().expect(78).says("hostt").says("interwal").says("interval");
    for line in ["2", "8"] {
        assert!(outcome.stderr.contains(line), "line {line} is not named: {outcome:#?}");
    }
}

#[test]
fn what_is_not_toml_is_reported_with_its_line() {
    let env = env();
    env.write_config("[accounts.a]\nhost = \"pop.example.org\nusername = \"jo\"\n", 0o600);
    env.fetch().expect(78).says("2");
}

#[test]
fn a_configuration_that_is_not_there_is_an_error() {
    let env = env();
    std::fs::remove_file(env.path("config.toml")).unwrap();
    env.fetch().expect(78).says("config.toml");
}

#[test]
fn a_password_that_others_can_read_is_refused() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let text = std::fs::read_to_string(env.path("config.toml")).unwrap();
    for mode in [0o644, 0o604] {
        env.write_config(&text, mode);
        env.fetch().expect(78).says("chmod");
    }
    assert!(maildrop.server.sessions().is_empty());
    env.write_config(&text, 0o640);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(1));
}

#[test]
fn a_password_may_come_from_a_command_or_a_file() {
    let maildrop = Maildrop::new(small_ones(1));
    let password = crate::scripted::maildrop::PASSWORD;
    let env = env();
    let file = env.path("password");
    let without = |env: &TestEnv| {
        let text = std::fs::read_to_string(env.path("config.toml")).unwrap();
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("password =")).collect();
        env.write_config(&kept.join("\n"), 0o600);
    };
    std::fs::write(&file, format!("{password}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    env.configure(&[Account::at(maildrop.server.address).text("password_file", file.to_str().unwrap())]);
    without(&env);
    env.fetch().expect(0);
    let command = format!("[\"cat\", {:?}]", file.to_str().unwrap());
    env.configure(&[Account::at(maildrop.server.address).set("password_command", command)]);
    without(&env);
    env.fetch().expect(0).says("nothing new");
    env.configure(&[Account::at(maildrop.server.address).set("password_command", "[\"false\"]")]);
    without(&env);
    let outcome = env.fetch();
    assert!([73, 77, 78].contains(&outcome.status), "{outcome:#?}");
    assert_same_mail(&env.mail(), &small_ones_stored(1));
}

#[test]
fn where_no_account_is_enabled_it_says_so() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("enabled", "false")]);
    env.fetch().expect(0).says("no account is enabled");
    assert_eq!(env.run(&["-q", "fetch"]).expect(0).output(), "");
    env.run(&["check"]).expect(0).says("no account is enabled; remove `enabled = false`");
    env.run(&["check", "a"]).expect(0).says("a  ok");
    env.run(&["fetch", "a"]).expect(0).says("1 new message");
}
