//! If the Maildir or the state is not what it was, nothing is concluded and nothing is done.

use std::fs;

use crate::delivered::{assert_same_mail, files, make_maildir};
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv, skip};
use crate::scripted::Faults;
use crate::scripted::maildrop::Maildrop;

/// An account that has fetched three messages; two more are waiting.
fn three_of_five(delete: bool) -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(small_ones(3));
    let account = Account::at(maildrop.server.address);
    let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = small_ones(5));
    (maildrop, env)
}

/// Runs a fetch that must leave the server alone.
fn refuses(maildrop: &Maildrop, env: &TestEnv, status: i32) -> Outcome {
    let (retrieved, deleted) = (maildrop.count("RETR"), maildrop.count("DELE"));
    let outcome = env.fetch().expect(status);
    assert_eq!((maildrop.count("RETR"), maildrop.count("DELE")), (retrieved, deleted));
    assert_eq!(maildrop.left().len(), 5);
    outcome
}

#[test]
fn a_maildir_that_is_gone_is_not_made_anew() {
    for delete in [false, true] {
        let (maildrop, env) = three_of_five(delete);
        fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
        refuses(&maildrop, &env, 73);
        assert!(!env.maildir("a").exists());
        fs::rename(env.path("elsewhere"), env.maildir("a")).unwrap();
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(5));
    }
}

#[test]
fn a_maildir_that_goes_during_a_session_is_not_made_anew() {
    for delete in [false, true] {
        let (maildrop, env) = three_of_five(delete);
        let before = (maildrop.count("RETR"), maildrop.count("DELE"));
        let faults = Faults { stall_after: Some(20), ..Faults::default() };
        maildrop.change(|contents| contents.behaviour.next_faults = Some(faults));
        let running = env.spawn(&["fetch"]);
        maildrop.server.wait_until_stalled(1);
        fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
        maildrop.server.release();
        running.wait().expect(73).says("Is it mounted?");
        assert!(!env.maildir("a").exists());
        assert_eq!((maildrop.count("RETR"), maildrop.count("DELE")), before);
        fs::rename(env.path("elsewhere"), env.maildir("a")).unwrap();
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(5));
    }
}

#[test]
fn another_maildir_in_its_place_is_accepted_on_the_users_word_only() {
    let (maildrop, env) = three_of_five(false);
    fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
    make_maildir(&env.maildir("a"));
    refuses(&maildrop, &env, 73).says(" fetch --accept-maildir a");
    assert!(env.mail().is_empty() && env.tmp().is_empty());
    env.run(&["fetch", "--accept-maildir"]).expect(0);
    let expected: Vec<_> = small_ones_stored(5).into_iter().filter(|m| !small_ones_stored(3).contains(m)).collect();
    assert_same_mail(&env.mail(), &expected);
    env.fetch().expect(0).says("nothing new");
}

/// A new file system in memory gives its directories the inode numbers of those on the one before.
#[test]
fn a_maildir_on_a_file_system_that_was_made_anew_is_another_one() {
    if !rustix::process::geteuid().is_root() {
        return skip("a file system can be mounted by root only");
    }
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let dir = env.maildir("a");
    fs::create_dir_all(&dir).unwrap();
    let script = "dir=$0; make() { mount -t tmpfs none \"$dir\" || exit 99; mkdir \"$dir/tmp\" \"$dir/new\" \"$dir/cur\"; }\n\
                  make; \"$@\" || exit 98; stat -c %i \"$dir/new\"; umount \"$dir\"; make; stat -c %i \"$dir/new\"; \"$@\"";
    let outcome = env.spawn_under(&["unshare", "-m", "sh", "-c", script, dir.to_str().unwrap()], &["fetch"]).wait();
    if outcome.status == 99 || outcome.output().contains("unshare:") {
        return skip("a file system cannot be mounted here");
    }
    let inodes: Vec<&str> = outcome.stdout.lines().filter(|line| line.bytes().all(|b| b.is_ascii_digit())).collect();
    assert_eq!(inodes.len(), 2, "{outcome:#?}");
    if inodes[0] != inodes[1] {
        return skip("this kernel gives directories of another file system in memory other inode numbers");
    }
    outcome.expect(73).says("3 new messages").says(" fetch --accept-maildir a");
    assert_eq!((maildrop.count("RETR"), maildrop.left().len()), (3, 3));
}

#[test]
fn a_maildir_that_is_gone_for_good_is_made_anew_on_the_users_word_though_nothing_is_new() {
    let (_maildrop, env) = three_of_five(false);
    env.fetch().expect(0);
    fs::remove_dir_all(env.maildir("a")).unwrap();
    let whole = format!("mailferry --config {} --state-dir ", env.path("config.toml").display());
    env.fetch().expect(73).says(&whole).says(" fetch --accept-maildir a");
    env.run(&["fetch", "--dry-run"]).expect(73).says(" fetch --accept-maildir a");
    env.run(&["fetch", "--dry-run", "--accept-maildir"]).expect(0);
    assert!(!env.maildir("a").exists());
    env.run(&["fetch", "--accept-maildir", "a"]).expect(0);
    env.fetch().expect(0).says("nothing new");
    assert!(env.mail().is_empty());
}

/// What was in a Maildir that is gone may be nowhere but on the server.
#[test]
fn what_was_in_a_maildir_that_is_gone_is_not_deleted_on_the_server() {
    for remains in [None, Some(false), Some(true)] {
        let maildrop = Maildrop::new(small_ones(3));
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(std::slice::from_ref(&account));
        env.fetch().expect(0).says("3 new messages");
        let away = env.path("elsewhere");
        fs::rename(env.maildir("a"), &away).unwrap();
        if let Some(all) = remains {
            // Restored from a backup of yesterday, or of now.
            make_maildir(&env.maildir("a"));
            for file in files(&away.join("new")).iter().take(if all { 3 } else { 2 }) {
                fs::copy(file, env.maildir("a/new").join(file.file_name().unwrap())).unwrap();
            }
        }
        env.configure(&[account.deleting()]);
        let advice = env.fetch().expect(73).says(" fetch --accept-maildir a");
        assert_eq!(advice.output().contains("uids forget a --all"), remains.is_none(), "{advice:#?}");
        let kept = match remains {
            None => 3,
            Some(false) => 1,
            Some(true) => 0,
        };
        let accepted = env.run(&["fetch", "--accept-maildir"]).expect(0);
        assert_eq!(accepted.output().contains("of the former Maildir, and not in this one"), kept > 0, "{accepted:#?}");
        for _ in 0..2 {
            env.fetch().expect(0);
        }
        assert_eq!((maildrop.left().len(), maildrop.count("RETR")), (kept, 3), "{remains:?}");
        env.run(&["uids", "forget", "a", "--all", "--yes"]);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
        assert_eq!(env.mail().len(), 3, "{remains:?}");
    }
}

#[test]
fn mail_that_a_reader_has_moved_or_deleted_is_not_fetched_again() {
    let (maildrop, env) = three_of_five(false);
    let delivered = files(&env.maildir("a").join("new"));
    let name = delivered[0].file_name().unwrap().to_str().unwrap();
    fs::rename(&delivered[0], env.maildir("a").join("cur").join(format!("{name}:2,S"))).unwrap();
    fs::remove_file(&delivered[1]).unwrap();
    env.fetch().expect(0);
    assert_eq!((env.mail().len(), maildrop.count("RETR")), (4, 5));
}

#[test]
fn a_lost_state_is_noticed() {
    let (maildrop, env) = three_of_five(false);
    fs::remove_dir_all(env.path("state")).unwrap();
    refuses(&maildrop, &env, 73).says("--new-state");
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    env.run(&["fetch", "--new-state"]).expect(0);
    let mail = env.mail();
    assert!(small_ones_stored(5).iter().all(|message| mail.contains(message)));
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn what_the_user_decided_holds_though_nothing_was_fetched() {
    let (maildrop, env) = three_of_five(false);
    maildrop.change(|contents| contents.messages = small_ones(3));
    fs::rename(env.maildir("a"), env.path("elsewhere")).unwrap();
    make_maildir(&env.maildir("a"));
    env.run(&["fetch", "--accept-maildir"]).expect(0);
    env.fetch().expect(0).says("nothing new");
    fs::remove_dir_all(env.maildir("a")).unwrap();
    fs::rename(env.path("elsewhere"), env.maildir("a")).unwrap();
    fs::remove_dir_all(env.path("state")).unwrap();
    maildrop.change(|contents| contents.messages.clear());
    env.run(&["fetch", "--new-state"]).expect(0);
    env.fetch().expect(0).says("nothing new");
    assert_eq!((env.mail().len(), maildrop.count("RETR")), (3, 3));
}

#[test]
fn a_damaged_state_is_named_and_left_as_it_is() {
    let (maildrop, env) = three_of_five(false);
    for count in [6, 8] {
        maildrop.change(|contents| contents.messages = small_ones(count));
        env.fetch().expect(0);
    }
    maildrop.change(|contents| contents.messages = small_ones(5));
    let file = env.path("state").join("a.uids");
    let mut content = fs::read(&file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x04;
    fs::write(&file, &content).unwrap();
    let before = env.mail();
    refuses(&maildrop, &env, 73).says("a.uids");
    assert!(fs::read(&file).unwrap() == content, "the damaged file was changed");
    assert_same_mail(&env.mail(), &before);
}

#[test]
fn a_state_torn_at_its_end_is_mended() {
    let (_maildrop, env) = three_of_five(false);
    let file = env.path("state").join("a.uids");
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() - 1]).unwrap();
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(5));
}

#[test]
fn another_user_name_under_the_same_account_is_refused() {
    let (maildrop, env) = three_of_five(false);
    env.configure(&[Account::at(maildrop.server.address).text("username", "somebody-else")]);
    refuses(&maildrop, &env, 78).says("somebody-else");
}

#[test]
fn a_state_that_is_lost_is_noticed_where_a_reader_has_emptied_the_maildir() {
    let (maildrop, env) = three_of_five(false);
    for part in ["new", "cur"] {
        files(&env.maildir("a").join(part)).iter().for_each(|file| fs::remove_file(file).unwrap());
    }
    fs::remove_file(env.path("state/a.uids")).unwrap();
    for _ in 0..2 {
        refuses(&maildrop, &env, 73).says("a.hints is from its earlier polls").says("uids adopt a --all");
    }
    env.run(&["fetch", "--new-state", "a"]).expect(0).says("5 new messages");
    // Without any trace it is a new account.
    fs::remove_dir_all(env.path("state")).unwrap();
    fs::remove_dir_all(env.maildir("a")).unwrap();
    env.fetch().expect(0).says("5 new messages");
}
