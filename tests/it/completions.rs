//! Shell completions, and the manual pages that the program prints.

use crate::program::{Account, TestEnv};

fn env() -> TestEnv {
    let account = || Account::at(([127, 0, 0, 1], 1).into());
    TestEnv::new(&[account().named("home"), account().named("work"), account().named("hobby")])
}

/// Returns the candidates for the last of these words.
fn candidates(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let index = words.len().to_string();
    let with = [("MAILFERRY_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", index.as_str()), ("_CLAP_IFS", "\n")];
    // The completion script passes the line being typed after two hyphens.
    let program = env!("CARGO_BIN_EXE_mailferry");
    let mut command = std::process::Command::new(program);
    command.env_clear().envs(with).env("HOME", env.path("")).args(["--", "mailferry"]).args(words);
    command.env("MAILFERRY_CONFIG", env.path("config.toml"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn commands_options_and_accounts_are_completed() {
    let env = env();
    let commands = candidates(&env, &["ch"]);
    assert_eq!(commands, ["check"]);
    assert_eq!(candidates(&env, &["fetch", "ho"]), ["home", "hobby"]);
    for command in [&["uids", "list"][..], &["uids", "adopt"], &["uids", "forget"], &["login"]] {
        assert_eq!(candidates(&env, &[command, &["ho"]].concat()), ["home", "hobby"], "{command:?}");
    }
    assert_eq!(candidates(&env, &["check", "--off"]), ["--offline"]);
    assert!(candidates(&env, &["console", ""]).contains(&"work".to_owned()));
    // With an unreadable configuration there are no accounts, and no error is printed in the middle of the line.
    env.write_config("nonsense", 0o600);
    assert_eq!(candidates(&env, &["fetch", "ho"]), Vec::<String>::new());
}

#[test]
fn each_shell_has_a_script_that_asks_the_program() {
    let env = env();
    for shell in ["bash", "zsh", "fish"] {
        env.run(&["completions", shell]).expect(0).says("MAILFERRY_COMPLETE").says("mailferry");
    }
    env.run(&["completions", "csh"]).expect(64).says("bash");
    let script = env.run(&["completions", "bash"]).stdout;
    let checked = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_manual_pages_are_in_the_program() {
    let env = env();
    env.run(&["man"]).expect(0).says(".Dt MAILFERRY 1");
    env.run(&["man", "5"]).expect(0).says(".Dt MAILFERRY.TOML 5");
    env.run(&["man", "7"]).expect(64).says("the sections are 1");
}

#[test]
fn without_a_word_the_help_is_shown() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mailferry")).env_clear().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for words in ["Usage: mailferry [OPTIONS] <COMMAND>", "  setup ", "  check "] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
