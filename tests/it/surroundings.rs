//! What a shell and a system may do to the program: closed pipes, full disks behind the output, limits.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::mail::small_ones;
use crate::program::{Account, Outcome, TestEnv};
use crate::scripted::maildrop::Maildrop;

/// Runs the program in a shell: `script` sees it as `"$@"`.
fn under_shell(env: &TestEnv, script: &str, args: &[&str]) -> Outcome {
    env.spawn_under(&["bash", "-c", script, "bash"], args).wait()
}

#[test]
fn mail_is_fetched_whoever_reads_the_output() {
    let redirections = ["> /dev/full", ">&-", "2> /dev/full", "2>&-", "> /dev/full 2> /dev/full", "| true"];
    for redirection in redirections {
        for args in [&["fetch"][..], &["-vv", "fetch"]] {
            let maildrop = Maildrop::new(small_ones(3));
            let at = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[at.clone().named("b"), at]);
            let script = format!("\"$@\" {redirection}; exit ${{PIPESTATUS[0]}}");
            under_shell(&env, &script, args).expect(0);
            assert_eq!(env.mail().len(), 3, "{redirection}");
            assert_eq!(env.mail_of("b").len(), 3, "{redirection}");
        }
    }
}

#[test]
fn a_state_directory_that_everybody_may_write_to_is_refused() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let state = env.path("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    env.fetch().expect(73).says("chmod o-w ");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o775)).unwrap();
    env.fetch().expect(0);
}

#[test]
fn no_link_in_the_state_directory_is_followed() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let victim = env.path("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(env.path("state")).unwrap();
    symlink(&victim, env.path("state/a.lock")).unwrap();
    env.fetch().expect(73).says("symbolic link");
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn fetchmails_exit_codes_are_for_every_end() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.run(&["fetch", "--fetchmail-exit-codes", "--bogus"]).expect(5);
    env.run(&["fetch", "--bogus"]).expect(64);
    env.run(&["fetch", "--fetchmail-exit-codes", "nobody"]).expect(5);
    env.run(&["fetch", "--fetchmail-exit-codes", "--dry-run"]).expect(0);
    env.run(&["fetch", "--fetchmail-exit-codes"]).expect(0);
    env.run(&["fetch", "--fetchmail-exit-codes", "--dry-run"]).expect(1);
}
