//! A full disk, simulated by a small file system in memory, which only root can mount.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::delivered::{assert_same_mail, files};
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

/// A mounted file system, unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of this many KiB at `at`, if the machine allows it.
    pub(crate) fn mount(at: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k,mode=700");
        let mounted = rustix::process::geteuid().is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "tests"])
                .arg(at)
                .status()
                .is_ok_and(|s| s.success());
        if !mounted {
            crate::program::skip("a file system can be mounted by root only");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Makes a directory available under a second path, if the machine allows it.
    pub(crate) fn bind(dir: &Path, at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = rustix::process::geteuid().is_root()
            && Command::new("mount").arg("--bind").arg(dir).arg(at).status().is_ok_and(|s| s.success());
        if !mounted {
            crate::program::skip("a directory can be bound to a second path by root only");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Makes the file system larger.
    fn enlarge(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=256m"]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// A `new/` that takes no mail until this is dropped.
struct Closed {
    new: PathBuf,
    /// Root may write everywhere, but no link leads from one mount to another.
    _mount: Option<SmallDisk>,
}

impl Closed {
    fn close(new: PathBuf) -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let mount = if is_root { Some(SmallDisk::bind(&new, &new)?) } else { None };
        fs::set_permissions(&new, fs::Permissions::from_mode(0o500)).unwrap();
        Some(Self { new, _mount: mount })
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        fs::set_permissions(&self.new, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// Ten messages of 600 KiB.
fn ten() -> Vec<Vec<u8>> {
    (0..10).map(|n| format!("Subject: {n}\r\n\r\n{}", format!("{n:076}\r\n").repeat(7_900)).into_bytes()).collect()
}

/// A maildrop with the ten, and how they are stored.
fn maildrop() -> (Maildrop, Vec<Vec<u8>>) {
    let messages = ten().iter().enumerate().map(|(n, bytes)| Message::new(&format!("u{n}"), bytes)).collect();
    let mut expected: Vec<_> = ten().iter().map(|bytes| stored(bytes)).collect();
    expected.sort();
    (Maildrop::new(messages), expected)
}

/// Checks that every message is complete in the Maildir, once, or still on the server.
fn nothing_is_lost(maildrop: &Maildrop, mail: &[Vec<u8>], expected: &[Vec<u8>]) {
    for (n, message) in ten().iter().enumerate() {
        let copies = mail.iter().filter(|other| **other == stored(message)).count();
        assert!(copies <= 1, "{n} is there {copies} times");
        assert!(copies == 1 || maildrop.left().contains(&format!("u{n}")), "{n} is lost");
    }
    assert!(mail.iter().all(|message| expected.contains(message)), "a part of a message is in new/");
}

/// Fetches to a Maildir on a disk that is too small, then makes the disk large enough.
fn the_maildir_is_full(delete: bool) {
    let (maildrop, expected) = maildrop();
    let account = Account::at(maildrop.server.address);
    let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
    let Some(disk) = SmallDisk::mount(&env.path("Mail"), 3 * 1024) else { return };
    for _ in 0..2 {
        env.fetch().expect(73);
        nothing_is_lost(&maildrop, &env.mail(), &expected);
        assert!(env.mail().len() < 10);
    }
    disk.enlarge();
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &expected);
    assert!(env.tmp().is_empty());
    assert_eq!(maildrop.left().len(), if delete { 0 } else { 10 });
    drop(disk);
}

#[test]
fn a_full_maildir_loses_nothing_when_messages_stay() {
    the_maildir_is_full(false);
}

#[test]
fn a_full_maildir_loses_nothing_when_messages_go() {
    the_maildir_is_full(true);
}

#[test]
fn a_full_state_directory_loses_nothing() {
    for delete in [false, true] {
        let (maildrop, expected) = maildrop();
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let Some(disk) = SmallDisk::mount(&env.path("state"), 1024) else { return };
        let filler = env.path("state").join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        drop(file);
        env.fetch().expect(73);
        nothing_is_lost(&maildrop, &env.mail(), &expected);
        fs::remove_file(&filler).unwrap();
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &expected);
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 10 });
        drop(disk);
    }
}

#[test]
fn what_does_not_fit_is_nobodys_fault_and_nothing_is_well_until_there_is_room() {
    let (maildrop, expected) = maildrop();
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let Some(disk) = SmallDisk::mount(&env.path("Mail"), 64) else { return };
    for _ in 0..5 {
        let full = env.fetch().expect(73).says("message 1 (").says("and 9 others").says("KiB are kept free");
        full.says("Not even an empty file system would be large enough").says("Nothing else was fetched");
    }
    disk.enlarge();
    env.fetch().expect(0).says("10 new messages");
    assert_same_mail(&env.mail(), &expected);
}

#[test]
fn a_backup_by_hard_links_while_new_takes_no_mail_is_no_delivery() {
    let to = |whom: &str, n: usize| {
        let text = format!("Message-ID: <{whom}{n}@example.org>\r\nX-To: {whom}\r\n\r\n{whom} {n}\r\n");
        Message::new(&format!("{whom}{n}"), text.as_bytes())
    };
    let maildrop = Maildrop::new(vec![to("jo", 0), to("bob", 0)]);
    let rules = r#"[{ header = "X-To", equals = "bob", maildir = "~/Mail/bob" }]"#;
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("rules", rules).deleting()]);
    env.fetch().expect(0);
    fs::create_dir(env.path("backup")).unwrap();
    for (n, whose) in ["a", "bob"].into_iter().enumerate() {
        maildrop.change(|contents| contents.messages.extend([to("jo", n + 1), to("bob", n + 1)]));
        let maildir = env.path("Mail").join(whose);
        let Some(closed) = Closed::close(maildir.join("new")) else { return };
        env.fetch().expect(73);
        env.fetch().expect(73);
        let waiting = files(&maildir.join("tmp"));
        assert!(!waiting.is_empty());
        waiting
            .iter()
            .for_each(|file| fs::hard_link(file, env.path("backup").join(file.file_name().unwrap())).unwrap());
        drop(closed);
        env.fetch().expect(0);
        env.fetch().expect(0);
        for maildir in ["a", "bob"] {
            assert_eq!(files(&env.path("Mail").join(maildir).join("new")).len(), n + 2, "{whose}: {maildir}");
        }
        assert!(maildrop.left().is_empty());
    }
}
