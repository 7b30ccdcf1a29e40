//! What a shell and a system may do to the program: closed pipes, full disks behind the output, limits.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

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
