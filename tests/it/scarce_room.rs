//! Messages within their listed sizes that fit on a disk one by one, but not all together: each that has no room is named
//! and left for another poll, and nobody else is stopped. On a small file system in memory, which only root can mount.

use std::fs;

use crate::delivered::{assert_same_mail, files};
use crate::disk_full::SmallDisk;
use crate::mail::small;
use crate::program::{Account, TestEnv, wait_for};
use crate::raw::stored;
use crate::scripted::Faults;
use crate::scripted::maildrop::{Behaviour, LINE, LINES_HEADER, Maildrop, Message};

const MIB: u64 = 1 << 20;

/// The file system in KiB: a little more than 22 MiB of it can be used.
const DISK: u32 = 24 * 1024;

/// A maildrop whose next session stands still after it has sent so many octets, until it is released.
fn stalling(messages: Vec<Message>, octets: u64) -> Maildrop {
    let faults = Faults { stall_after: Some(octets), ..Faults::default() };
    Maildrop::with(messages, |behaviour| behaviour.next_faults = Some(faults))
}

fn small_one(n: usize) -> Message {
    Message::new(&format!("u{n}"), &small(n))
}

/// Waits until a session of this maildrop has ended by QUIT.
fn wait_for_quit(maildrop: &Maildrop) {
    maildrop.server.wait_until("QUIT", |sessions| sessions.iter().any(|session| session.quit));
}

#[test]
fn what_is_promised_to_a_message_under_way_is_promised_to_no_other() {
    let one = stalling(vec![small_one(1), Message::large("u2", 15 * MIB)], MIB);
    let other = stalling(vec![Message::large("u1", 15 * MIB), small_one(2), small_one(3)], 0);
    let env = TestEnv::new(&[Account::at(one.server.address), Account::at(other.server.address).named("b")]);
    let Some(_disk) = SmallDisk::mount(&env.path("Mail"), DISK) else { return };
    let running = env.spawn(&["fetch"]);
    one.server.wait_until_stalled(1);
    other.server.wait_until_stalled(1);
    other.server.release();
    wait_for_quit(&other);
    assert_same_mail(&env.mail_of("b"), &[2, 3].map(|n| stored(&small(n))));
    one.server.release();
    let outcome = running.wait().expect(73).says("message 1 (unique-id u1, 15.0 MiB) does not fit");
    outcome.says("are for messages that are coming in").says("2 others were fetched");
    assert_eq!((env.mail().len(), other.retrieved("u1")), (2, 0), "the one that came first is complete");
}

#[test]
fn a_large_message_gives_way_to_the_small_ones_of_others() {
    let large = stalling(vec![Message::large("u1", 20 * MIB), small_one(2)], MIB);
    let body = format!("{}\r\n", "y".repeat(76)).repeat(8000);
    let ten = (1..=10).map(|n| Message::new(&format!("u{n}"), format!("Subject: {n}\r\n\r\n{body}").as_bytes()));
    let small_ones = stalling(ten.collect(), 0);
    let accounts = [Account::at(large.server.address), Account::at(small_ones.server.address).named("b")];
    let env = TestEnv::new(&accounts);
    let Some(_disk) = SmallDisk::mount(&env.path("Mail"), DISK) else { return };
    let running = env.spawn(&["fetch"]);
    large.server.wait_until_stalled(1);
    small_ones.server.wait_until_stalled(1);
    small_ones.server.release();
    wait_for_quit(&small_ones);
    assert_eq!(env.mail_of("b").len(), 10, "they were stored while it was under way");
    large.server.release();
    let outcome = running.wait().expect(73).says("message 1 (unique-id u1, 20.0 MiB) does not fit");
    outcome.says("1 other was fetched").says("b: 10 new messages");
    assert_same_mail(&env.mail(), &[stored(&small(2))]);
    assert!(env.tmp().is_empty());
    let before = large.retrieved("u1");
    let again = env.fetch().expect(73).says("message 1 (unique-id u1, 20.0 MiB) does not fit");
    assert!(!again.output().contains("quarantine"), "nobody is to blame: {again:?}");
    assert_eq!(large.retrieved("u1"), before, "it is not requested as long as it does not fit");
}

#[test]
fn what_has_no_room_any_more_is_set_aside_and_the_others_come() {
    for delete in [false, true] {
        let maildrop = stalling(vec![small_one(1), Message::large("u2", 15 * MIB), small_one(3)], MIB);
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let Some(_disk) = SmallDisk::mount(&env.path("Mail"), DISK) else { return };
        let running = env.spawn(&["fetch"]);
        maildrop.server.wait_until_stalled(1);
        let filler = env.path("Mail").join("filler");
        fs::write(&filler, vec![0; 12 << 20]).unwrap();
        maildrop.server.release();
        let outcome = running.wait().expect(73).says("message 2 (unique-id u2, 15.0 MiB) does not fit");
        outcome.says("are free there").says("2 others were fetched");
        let mut small_ones = [1, 3].map(|n| stored(&small(n)));
        small_ones.sort();
        assert_same_mail(&env.mail(), &small_ones);
        assert_eq!(maildrop.left(), if delete { vec!["u2"] } else { vec!["u1", "u2", "u3"] });
        let before = maildrop.retrieved("u2");
        for _ in 0..3 {
            let again = env.fetch().expect(73).says("(unique-id u2, 15.0 MiB) does not fit");
            assert!(!again.output().contains("quarantine"), "nobody is to blame: {again:?}");
        }
        assert_eq!(maildrop.retrieved("u2"), before, "it is not requested as long as it does not fit");
        fs::remove_file(filler).unwrap();
        env.fetch().expect(0);
        assert_eq!(env.mail().len(), 3);
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 });
    }
}

#[test]
fn what_had_no_room_comes_behind_the_others_in_the_next_poll() {
    let stall = |behaviour: &mut Behaviour| {
        behaviour.next_faults = Some(Faults { stall_after: Some(MIB), ..Faults::default() });
    };
    let maildrop = Maildrop::with(vec![Message::large("u1", 15 * MIB), small_one(2), small_one(3)], |behaviour| {
        // More than a poll waits: each poll is one session.
        behaviour.capabilities.as_mut().unwrap().push("LOGIN-DELAY 3600".to_owned());
        stall(behaviour);
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    let Some(_disk) = SmallDisk::mount(&env.path("Mail"), DISK) else { return };
    let filler = env.path("Mail").join("filler");
    // When a session begins, there is room for everything; others take it while the large message comes.
    let poll = || {
        let running = env.spawn(&["fetch"]);
        maildrop.server.wait_until_stalled(1);
        fs::write(&filler, vec![0; 12 << 20]).unwrap();
        maildrop.server.release_stalled();
        running.wait().expect(73).says("message 1 (unique-id u1, 15.0 MiB) does not fit");
        fs::remove_file(&filler).unwrap();
    };
    poll();
    assert!(env.mail().is_empty(), "the only session ended at the large one");
    maildrop.change(|contents| stall(&mut contents.behaviour));
    poll();
    assert_same_mail(&env.mail(), &[2, 3].map(|n| stored(&small(n))));
    let last = env.fetch().expect(0);
    assert!(!last.output().contains("quarantine"), "nobody is to blame: {last:?}");
    assert_eq!(env.mail().len(), 3);
}

#[test]
fn what_has_no_room_in_the_maildir_of_a_rule_keeps_no_other_mail_from_it() {
    let routed = Message::new("u2", b"Subject: large as well\r\n\r\nBut it is small.\r\n");
    let maildrop = stalling(vec![Message::large("u1", 15 * MIB), routed, small_one(3)], MIB);
    let rules = "[{ header = \"Subject\", contains = \"large\", maildir = \"~/Mail/jo\" }]";
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("rules", rules)]);
    let jo = env.path("Mail/jo");
    let Some(_disk) = SmallDisk::mount(&jo, DISK) else { return };
    let running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    let filler = jo.join("filler");
    fs::write(&filler, vec![0; 12 << 20]).unwrap();
    maildrop.server.release();
    let outcome = running.wait().expect(73).says("message 1 (unique-id u1, 15.0 MiB) does not fit into");
    outcome.says(&format!("{}: ", jo.display())).says("2 others were fetched");
    assert_same_mail(&env.mail(), &[stored(&small(3))]);
    assert_eq!((env.mail_of("jo").len(), files(&jo.join("tmp")).len()), (1, 0));
    fs::remove_file(&filler).unwrap();
    let last = env.fetch().expect(0);
    assert!(!last.output().contains("quarantine"), "nobody is to blame: {last:?}");
    assert_eq!(env.mail_of("jo").len(), 2);
}

#[test]
fn many_messages_without_room_in_the_maildir_of_a_rule_keep_no_others_from_coming() {
    let large = (1..=25).map(|n| Message::large(&format!("u{n}"), MIB / 2));
    let maildrop = Maildrop::new(large.chain([small_one(31), small_one(32)]).collect());
    let rules = "[{ header = \"Subject\", contains = \"large\", maildir = \"~/Mail/jo\" }]";
    let env = TestEnv::new(&[Account::at(maildrop.server.address).set("rules", rules)]);
    let jo = env.path("Mail/jo");
    let Some(_disk) = SmallDisk::mount(&jo, DISK) else { return };
    let filler = jo.join("filler");
    fs::write(&filler, vec![0; 23 << 20]).unwrap();
    env.fetch().expect(73).says(&jo.display().to_string());
    assert_same_mail(&env.mail(), &[31, 32].map(|n| stored(&small(n))));
    assert_eq!(env.mail_of("jo").len(), 0);
    fs::remove_file(&filler).unwrap();
    env.fetch().expect(0);
    assert_eq!(env.mail_of("jo").len(), 25);
}

/// A message of 17 MiB of which ann and bob get a copy each.
fn for_ann_and_bob() -> Message {
    let header = "X-Envelope-To: ann@site.example\r\nX-Envelope-To: bob@site.example\r\n\
        Received: from a.example (a.example [192.0.2.1])\r\n\tby mx.hoster.example with ESMTP id 1;\r\n\
        \tThu, 26 Nov 2026 10:00:00 +0000\r\nSubject: both\r\n\r\n";
    let lines = LINE.repeat((17 << 20) / LINE.len());
    Message::new("u1", format!("{header}{lines}").as_bytes())
}

#[test]
fn what_is_promised_on_one_file_system_is_not_kept_free_on_another() {
    let promised = stalling(vec![Message::large("u1", 30 * MIB)], MIB);
    let both = stalling(vec![for_ann_and_bob()], 0);
    let recipients = "{ \"ann@site.example\" = \"~/Mail/ann\", \"bob@site.example\" = \"~/Mail/bob\" }";
    let multidrop = format!(
        "{{ header = \"X-Envelope-To\", recipients = {recipients}, default = \"~/Mail/unclear\", one_copy = true }}"
    );
    let office = Account::at(both.server.address).set("multidrop", multidrop);
    let env = TestEnv::new(&[office, Account::at(promised.server.address).named("b")]);
    // Bob's has room for the message, but not for what is promised to the other one, which goes elsewhere.
    let Some(_disk) = SmallDisk::mount(&env.path("Mail/bob"), DISK) else { return };
    let running = env.spawn(&["fetch"]);
    promised.server.wait_until_stalled(1);
    both.server.wait_until_stalled(1);
    both.server.release();
    wait_for_quit(&both);
    assert_eq!(["ann", "bob"].map(|name| env.mail_of(name).len()), [1, 1]);
    promised.server.release();
    running.wait().expect(0);
}

/// The size of the largest file in `tmp/` when the server stands still after 300,000: less than 128 KiB is not written then.
fn written(env: &TestEnv) -> u64 {
    let mut size = 0;
    wait_for("the first pieces", || {
        let sizes = env.tmp().into_iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len());
        size = sizes.max().unwrap_or(0);
        size > 164_500
    });
    size
}

#[test]
fn what_has_no_room_for_its_last_piece_is_set_aside_as_well() {
    for lacks in [16, 48, 80, 112].map(|kib| kib << 10) {
        let large = Message::large("u2", MIB);
        let stored = stored_size(&large);
        let maildrop = stalling(vec![small_one(1), large, small_one(3)], 300_000);
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        let Some(_disk) = SmallDisk::mount(&env.path("Mail"), DISK) else { return };
        let running = env.spawn(&["fetch"]);
        maildrop.server.wait_until_stalled(1);
        let rest = stored - written(&env);
        let space = rustix::fs::statvfs(env.path("Mail")).unwrap();
        let free = space.f_bavail * space.f_frsize - space.f_blocks * space.f_frsize / 20;
        let filler = usize::try_from(free - (rest - lacks)).unwrap();
        fs::write(env.path("Mail").join("filler"), vec![0; filler]).unwrap();
        maildrop.server.release();
        let outcome = running.wait().expect(73).says("message 2 (unique-id u2, 1.0 MiB) does not fit");
        outcome.says("2 others were fetched");
        assert_eq!(env.mail().len(), 2, "it lacked {lacks} bytes");
    }
}

/// The size of a generated message as it is stored, where each of its lines loses a CR.
fn stored_size(message: &Message) -> u64 {
    let header = LINES_HEADER.len() as u64;
    let lines = (message.size() - header) / LINE.len() as u64;
    header - LINES_HEADER.matches('\r').count() as u64 + lines * (LINE.len() as u64 - 1)
}
