//! The permissions of a Maildir are those of `maildir_mode`, whatever the umask.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::delivered::files;
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::{Maildrop, Message};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A message that is written in one go, an empty one, and one that is streamed.
fn messages() -> Vec<Message> {
    vec![Message::large("small", 500), Message::new("empty", b""), Message::large("large", 400_000)]
}

/// Fetches three messages under this umask.
fn fetch(env: &TestEnv, umask: &str) {
    let script = format!("umask {umask}; exec \"$@\"");
    env.spawn_under(&["bash", "-c", &script, "bash"], &["fetch"]).wait().expect(0);
}

/// Returns the directories of the Maildir of account `a`, itself first, and the files in its `new/`.
fn parts(env: &TestEnv) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let maildir = env.maildir("a");
    let dirs = [maildir.clone(), maildir.join("tmp"), maildir.join("new"), maildir.join("cur")];
    let files = files(&maildir.join("new"));
    assert_eq!(files.len(), 3);
    (dirs.to_vec(), files)
}

#[test]
fn what_is_made_in_a_maildir_gets_its_mode_under_every_umask() {
    for (maildir_mode, dir_mode, file_mode) in [
        (None, 0o700, 0o600),
        (Some("0750"), 0o750, 0o640),
        (Some("2770"), 0o2770, 0o660),
        (Some("0755"), 0o755, 0o644),
    ] {
        for umask in ["000", "027", "077"] {
            let maildrop = Maildrop::new(messages());
            let account = Account::at(maildrop.server.address);
            let env = TestEnv::new(&[match maildir_mode {
                Some(mode) => account.text("maildir_mode", mode),
                None => account,
            }]);
            fetch(&env, umask);
            let (dirs, files) = parts(&env);
            for dir in dirs {
                assert_eq!(mode(&dir), dir_mode, "{} under umask {umask}", dir.display());
            }
            for file in files {
                assert_eq!(mode(&file), file_mode, "{} under umask {umask}", file.display());
            }
            assert_eq!(mode(&env.path("Mail")), 0o700, "it is not of the Maildir");
            assert!(files_of_the_state(&env).iter().all(|file| mode(file) == 0o600));
        }
    }
}

fn files_of_the_state(env: &TestEnv) -> Vec<PathBuf> {
    let files: Vec<_> = files(&env.path("state")).into_iter().filter(|path| path.is_file()).collect();
    assert!(!files.is_empty());
    files
}

#[test]
fn directories_that_are_there_keep_their_mode() {
    let maildrop = Maildrop::new(messages());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("maildir_mode", "0750")]);
    let maildir = env.maildir("a");
    DirBuilder::new().recursive(true).mode(0o711).create(maildir.join("new")).unwrap();
    let before = [mode(&maildir), mode(&maildir.join("new"))];
    fetch(&env, "077");
    assert_eq!([mode(&maildir), mode(&maildir.join("new"))], before);
    assert_eq!([mode(&maildir.join("tmp")), mode(&maildir.join("cur"))], [0o750; 2]);
    for file in parts(&env).1 {
        assert_eq!(mode(&file), 0o640);
    }
}

#[test]
fn a_mode_that_lets_everybody_write_is_refused() {
    let maildrop = Maildrop::new(messages());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("maildir_mode", "0777")]);
    env.fetch().expect(78).says("`maildir_mode` lets every user write");
    assert!(maildrop.server.sessions().is_empty());
}
