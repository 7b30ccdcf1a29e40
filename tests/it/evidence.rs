//! Nothing is deleted on the strength of a hint: in the end, everything that ever arrived is on the server or in the
//! Maildir.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::delivered::assert_same_mail;
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, TestEnv, skip};
use crate::raw::stored;
use crate::scripted::Faults;
use crate::scripted::maildrop::{Body, Maildrop, Message, USER};

/// A message whose header says little.
fn alarm(subject: &str, text: &str) -> Vec<u8> {
    format!("From: ups@example.org\r\nSubject: {subject}\r\n\r\n{text}: {subject}.\r\n").into_bytes()
}

/// The alarms of one day: the same subjects every day, but new unique-ids.
fn alarms(day: &str) -> Vec<Message> {
    let subjects = ["on battery", "low battery", "on line", "lost", "restored", "test"];
    subjects.iter().map(|subject| Message::new(&format!("{day}-{subject}"), &alarm(subject, day))).collect()
}

fn bytes(messages: &[Message]) -> Vec<Vec<u8>> {
    let bytes = |message: &Message| match &message.body {
        Body::Bytes(bytes) => stored(bytes),
        _ => panic!("a message of bytes"),
    };
    messages.iter().map(bytes).collect()
}

#[track_caller]
fn assert_stored(env: &TestEnv, expected: &[Vec<u8>]) {
    let mut expected = expected.to_vec();
    expected.sort();
    assert_same_mail(&env.mail(), &expected);
}

#[test]
fn headers_that_say_little_adopt_nothing_and_verify_nothing() {
    for top in [true, false] {
        for delete in [true, false] {
            let (old, new) = (alarms("monday"), alarms("friday"));
            let maildrop = Maildrop::with(old.clone(), |behaviour| behaviour.top = top);
            let account = || Account::at(maildrop.server.address);
            let env = TestEnv::new(&[account()]);
            env.fetch().expect(0);
            // Webmail removes the old messages, and as many new ones arrive.
            maildrop.change(|contents| contents.messages.clone_from(&new));
            if delete {
                env.configure(&[account().deleting()]);
            }
            for _ in 0..3 {
                env.fetch().expect(0);
            }
            assert_stored(&env, &[bytes(&old), bytes(&new)].concat());
            assert_eq!(maildrop.left().is_empty(), delete, "{top}");
        }
    }
}

#[test]
fn on_another_host_even_one_alarm_is_a_message_of_its_own() {
    let maildrop = Maildrop::new(vec![Message::new("1", &alarm("test", "monday"))]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    for (uid, day) in [("2", "friday"), ("1", "sunday")] {
        maildrop.change(|contents| contents.messages = vec![Message::new(uid, &alarm("test", day))]);
        env.configure(&[Account::at(maildrop.server.address).text("host", "localhost").deleting()]);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
        env.configure(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(0);
    }
    let all = ["monday", "friday", "sunday"].map(|day| stored(&alarm("test", day)));
    assert_stored(&env, &all);
}

#[test]
fn on_another_host_each_is_compared_though_a_session_comes_only_to_some() {
    let about = |host: &str, n: usize| format!("Message-ID: <{host}{n}@example.org>\r\n\r\n{n}\r\n").into_bytes();
    let all = |host: &str| (1..=4).map(|n| Message::new(&n.to_string(), &about(host, n))).collect::<Vec<_>>();
    for top in [true, false] {
        let maildrop = Maildrop::with(all("one"), |behaviour| behaviour.top = top);
        let account = || Account::at(maildrop.server.address).set("max_messages_per_session", 1);
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = all("two"));
        env.configure(&[account().text("host", "localhost")]);
        for _ in 0..4 {
            env.fetch();
        }
        env.fetch().expect(0);
        let expected: Vec<_> =
            ["one", "two"].iter().flat_map(|host| (1..=4).map(|n| stored(&about(host, n)))).collect();
        assert_stored(&env, &expected);
    }
}

/// What the other host shows has the unique-id, the size and the header of what was fetched, and another text. Where mail
/// stays it passes for known; it is never deleted unseen.
#[test]
fn on_another_host_a_header_permits_no_deletion_later_either() {
    let about = |text: &str| format!("Message-ID: <1@example.org>\r\n\r\n{text}\r\n").into_bytes();
    let maildrop = Maildrop::new(vec![Message::new("1", &about("one"))]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = vec![Message::new("1", &about("two"))]);
    let moved = || Account::at(maildrop.server.address).text("host", "localhost");
    env.configure(&[moved()]);
    (0..2).for_each(|_| _ = env.fetch().expect(0));
    env.configure(&[moved().deleting()]);
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_stored(&env, &["one", "two"].map(|text| stored(&about(text))));
}

#[test]
fn a_top_that_is_refused_is_no_permission() {
    // The unique-id is given to another message of the same size, and the header cannot be fetched in that session.
    let about = |what: &str| format!("Message-ID: <{what}@example.org>\r\n\r\n{what}\r\n").into_bytes();
    let maildrop = Maildrop::new(vec![Message::new("1", &about("one"))]);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    maildrop.change(|contents| {
        contents.messages = vec![Message::new("1", &about("two"))];
        contents.behaviour.answers.push(("TOP".to_owned(), "-ERR not now\r\n".to_owned()));
    });
    env.configure(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0).says("1 new message");
    assert!(maildrop.left().is_empty());
    assert_stored(&env, &["one", "two"].map(|what| stored(&about(what))));
}

#[test]
fn a_message_shown_in_part_and_later_whole_is_stored_whole() {
    let part = |more: &str| {
        format!("Message-ID: <1@example.org>\r\nDate: today\r\nReceived: by mx\r\n\r\nfirst part\r\n{more}")
            .into_bytes()
    };
    let (first, whole) = (part(""), part("SECOND PART\r\n"));
    for (top, late) in [(true, false), (true, true), (false, false), (false, true)] {
        let maildrop = Maildrop::with(vec![Message::new("1", &first)], |behaviour| behaviour.top = top);
        let account = || Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if late { account() } else { account().text("leave_on_server", "1d") }]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = vec![Message::new("1", &whole)]);
        env.fetch().expect(0).says("1 new message");
        env.configure(&[account().deleting()]);
        env.fetch().expect(0).says("1 deleted on the server");
        assert_stored(&env, &[stored(&first), stored(&whole)]);
    }
}

#[test]
fn a_message_far_shorter_than_listed_is_told_and_stays_for_that_session() {
    for pipelining in [true, false] {
        let mut message = Message::new("1", &small(1));
        message.reported_size = Some(1_000_000);
        let maildrop = Maildrop::with(vec![message, Message::new("2", &small(2))], |behaviour| {
            behaviour.pipelining = pipelining;
        });
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        let outcome = env.fetch().expect(1);
        assert!(outcome.stderr.contains("was listed with 1000000 octets"), "{outcome:#?}");
        assert_eq!(maildrop.left(), ["1"]);
        env.fetch().expect(1);
        assert_eq!(maildrop.left(), ["1"], "what is missing may come yet");
        maildrop.change(|contents| contents.messages[0].reported_size = None);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
        assert_stored(&env, &small_ones_stored(2));
    }
}

/// A server that does not double dots: for the client a line with just a dot ends the message, and what follows is
/// unsolicited.
#[test]
fn what_follows_a_message_unasked_is_its_rest_and_it_is_not_deleted_before_it_came_whole() {
    let whole = b"Message-ID: <1@example.org>\r\n\r\nfirst half\r\n.\r\nSECOND HALF\r\n";
    for pipelining in [true, false] {
        for size in [whole.len() as u64, 10] {
            let mut message = Message::new("1", whole);
            message.reported_size = Some(size);
            let maildrop = Maildrop::with(vec![message, Message::new("2", &small(2))], |behaviour| {
                behaviour.pipelining = pipelining;
                let text = String::from_utf8(whole.to_vec()).unwrap();
                behaviour.answers.push(("RETR 1".to_owned(), format!("+OK\r\n{text}.\r\n")));
            });
            let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
            env.fetch().expect(1);
            assert_eq!(maildrop.left()[0], "1", "{pipelining} {size}");
            // The server is fixed.
            maildrop.change(|contents| contents.behaviour.answers.clear());
            let fits = size > 10;
            for _ in 0..2 {
                env.fetch().expect(if fits { 0 } else { 1 });
            }
            assert_eq!(maildrop.left().is_empty(), fits, "{pipelining} {size}");
            assert!(env.mail().contains(&stored(whole)), "{pipelining} {size}: stored whole");
            assert!(env.mail().contains(&stored(&small(2))), "the other one is not held up");
        }
    }
}

#[test]
fn whoever_empties_tmp_costs_no_message() {
    let messages = small_ones(300);
    let maildrop = Maildrop::new(messages);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::SeqCst) {
                for entry in fs::read_dir(env.maildir("a").join("tmp")).into_iter().flatten().flatten() {
                    drop(fs::remove_file(entry.path()));
                }
            }
        });
        for _ in 0..5 {
            let outcome = env.fetch();
            assert!([0, 73].contains(&outcome.status), "{outcome:#?}");
        }
        ends.store(true, Ordering::SeqCst);
    });
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_stored(&env, &small_ones_stored(300));
}

/// A session that stalls in the middle of its second message.
fn stalled(env_of: impl FnOnce(&Maildrop) -> TestEnv) -> (Maildrop, TestEnv) {
    let large = [small(2), b"text of a long message\r\n".repeat(4000)].concat();
    let messages = vec![Message::new("u1", &small(1)), Message::new("u2", &large)];
    let faults = Faults { stall_after: Some(60_000), ..Faults::default() };
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.next_faults = Some(faults));
    let env = env_of(&maildrop);
    (maildrop, env)
}

#[test]
fn a_state_that_is_moved_copied_or_removed_ends_the_poll_and_costs_nothing() {
    let state = |env: &TestEnv, name: &str| env.path("state").join(name);
    let moves = |env: &TestEnv| fs::rename(state(env, "a.uids"), state(env, "b.uids")).unwrap();
    let moves_back = |env: &TestEnv| fs::rename(state(env, "b.uids"), state(env, "a.uids")).unwrap();
    let unlocks = |env: &TestEnv| fs::remove_file(state(env, "a.lock")).unwrap();
    let nothing = |_: &TestEnv| ();
    let moves_all = |env: &TestEnv| fs::rename(env.path("state"), env.path("state.old")).unwrap();
    let moves_all_back = |env: &TestEnv| {
        fs::remove_dir_all(env.path("state")).ok();
        fs::rename(env.path("state.old"), env.path("state")).unwrap();
    };
    type Step<'a> = &'a dyn Fn(&TestEnv);
    let ways: [(Step<'_>, Step<'_>); 3] = [(&moves, &moves_back), (&unlocks, &nothing), (&moves_all, &moves_all_back)];
    for (way, (meddles, repairs)) in ways.into_iter().enumerate() {
        let (maildrop, env) =
            stalled(|maildrop| TestEnv::new(&[Account::at(maildrop.server.address).set("leave_on_server", false)]));
        // So that there is a state before the session that is tampered with.
        let running = env.spawn(&["fetch"]);
        maildrop.server.wait_until_stalled(1);
        meddles(&env);
        maildrop.server.release_stalled();
        let outcome = running.wait();
        assert_eq!(outcome.status, 73, "{way}: {outcome:#?}");
        assert!(outcome.stderr.contains("was moved, replaced or removed"), "{way}: {outcome:#?}");
        assert_eq!(maildrop.left().len(), 2, "{way}");
        repairs(&env);
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty(), "{way}");
        assert_eq!(env.mail().len(), 2, "{way}");
        assert!(env.tmp().is_empty(), "{way}");
    }
}

#[test]
fn the_advice_to_rename_a_state_waits_for_whoever_uses_it() {
    let (maildrop, env) = stalled(|maildrop| TestEnv::new(&[Account::at(maildrop.server.address)]));
    let mut running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    env.configure(&[Account::at(maildrop.server.address).named("renamed")]);
    let outcome = env.fetch().expect(75);
    assert!(outcome.stderr.contains("is in use by"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("mv "), "{outcome:#?}");
    // Renaming it nevertheless does not evade the lock, which is on the file itself.
    fs::rename(env.path("state").join("a.uids"), env.path("state").join("renamed.uids")).unwrap();
    env.fetch().expect(75);
    assert!(running.is_running());
    maildrop.server.release_stalled();
    running.wait().expect(73);
    env.fetch().expect(0);
    assert_eq!(env.mail_of("renamed").len() + env.mail_of("a").len(), 2);
}

#[test]
fn a_maildir_that_is_exchanged_during_a_session_gets_nothing_more() {
    let (maildrop, env) = stalled(|maildrop| TestEnv::new(&[Account::at(maildrop.server.address).deleting()]));
    let running = env.spawn(&["fetch"]);
    maildrop.server.wait_until_stalled(1);
    let (maildir, away) = (env.maildir("a"), env.path("away"));
    fs::rename(&maildir, &away).unwrap();
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(maildir.join(part)).unwrap();
    }
    maildrop.server.release_stalled();
    let outcome = running.wait().expect(73);
    assert!(outcome.stderr.contains("is not the Maildir that was delivered to before"), "{outcome:#?}");
    assert!(fs::read_dir(maildir.join("new")).unwrap().next().is_none());
    assert_eq!(maildrop.left().len(), 2);
    fs::remove_dir_all(&maildir).unwrap();
    fs::rename(&away, &maildir).unwrap();
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    assert_eq!(env.mail().len(), 2);
}

#[test]
fn parts_of_a_maildir_are_not_followed_as_links() {
    for part in ["tmp", "new", "cur"] {
        let maildrop = Maildrop::new(small_ones(1));
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
        fs::create_dir_all(env.maildir("a")).unwrap();
        fs::create_dir(env.path("elsewhere")).unwrap();
        symlink(env.path("elsewhere"), env.maildir("a").join(part)).unwrap();
        env.fetch().expect(73);
        assert!(fs::read_dir(env.path("elsewhere")).unwrap().next().is_none(), "{part}");
        assert_eq!(maildrop.left().len(), 1);
    }
}

/// Whether this is root, who can give files away.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("only root can give files to other users");
    }
    is_root
}

#[test]
fn a_state_of_another_user_is_refused_before_anything_is_done() {
    if !is_root() {
        return;
    }
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages = small_ones(3));
    let state = env.path("state");
    for file in [state.clone(), state.join("a.uids"), state.join("a.lock")] {
        let before = fs::metadata(&file).unwrap();
        chown(&file, Some(1001), Some(1001)).unwrap();
        let sessions = maildrop.server.sessions().len();
        let outcome = env.fetch().expect(73);
        assert!(outcome.stderr.contains("who alone may poll with this state"), "{outcome:#?}");
        assert!(outcome.stderr.contains("1001 --regid=1001 --clear-groups mailferry --config"), "{outcome:#?}");
        let dry = env.run(&["fetch", "--dry-run"]).expect(73);
        assert!(dry.stderr.contains("who alone may poll with this state"), "{dry:#?}");
        assert_eq!(maildrop.server.sessions().len(), sessions, "nobody asked the server");
        chown(&file, Some(before.uid()), Some(before.gid())).unwrap();
    }
    env.fetch().expect(0);
}

#[test]
fn root_delivers_only_into_what_belongs_to_root() {
    if !is_root() {
        return;
    }
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    // A home in which somebody may create any link.
    fs::create_dir(env.path("Mail")).unwrap();
    chown(env.path("Mail"), Some(1001), Some(1001)).unwrap();
    let outcome = env.fetch().expect(73);
    assert!(outcome.stderr.contains("root delivers only into what belongs to root"), "{outcome:#?}");
    assert!(outcome.stderr.contains(" mailferry --config "), "{outcome:#?}");
    assert!(!env.maildir("a").exists(), "nothing is made there");
    chown(env.path("Mail"), Some(0), Some(0)).unwrap();
    for part in ["", "tmp", "new", "cur"] {
        env.fetch();
        let part = env.maildir("a").join(part);
        chown(&part, Some(1001), Some(1001)).unwrap();
        env.fetch().expect(73);
        chown(&part, Some(0), Some(0)).unwrap();
    }
    env.fetch().expect(0);
    assert_stored(&env, &small_ones_stored(2));
}

/// Writes a state file of the previous version, as that program wrote it: a message whose header says enough, one whose
/// header says little, and no digest of all bytes.
fn outdated_state(env: &TestEnv, maildrop: &Maildrop, digests: [&str; 2]) {
    let maildir = env.maildir("a");
    let inode = |part: &str| fs::metadata(maildir.join(part)).unwrap().ino();
    let path = maildir.to_str().unwrap();
    let batch = format!(
        "H 40cc8e216d26b66f 1795488661 127.0.0.1 {USER}\nC 0 1795488661 1 1\nM 1 {} {} {path} {path}\n\
         E 1 d {} {} - 1795488661 0 - - strong\nE 2 d {} {} - 1795488661 0 - - weak\n",
        inode("tmp"),
        inode("new"),
        maildrop.change(|contents| contents.messages[0].size()),
        digests[0],
        maildrop.change(|contents| contents.messages[1].size()),
        digests[1]
    );
    let covered = "= 5 0";
    let crc = crc32fast::hash(format!("{batch}{covered}").as_bytes());
    let file = env.path("state").join("a.uids");
    fs::write(&file, format!("mailferry-uids 1\n{batch}{covered} {crc:08x}\n")).unwrap();
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_state_of_the_version_before_is_carried_over_and_proves_what_it_can() {
    let (strong, weak) = (small(1), alarm("test", "monday"));
    let messages = vec![Message::new("strong", &strong), Message::new("weak", &weak)];
    let maildrop = Maildrop::new(messages);
    let account = || Account::at(maildrop.server.address);
    let env = TestEnv::new(&[account()]);
    env.fetch().expect(0);
    let text = fs::read_to_string(env.path("state").join("a.uids")).unwrap();
    let digest = |unique_id: &str| {
        let line =
            text.lines().find(|line| line.starts_with("E ") && line.contains(&format!(" {unique_id} "))).unwrap();
        line.split(' ').nth(4).unwrap().to_owned()
    };
    outdated_state(&env, &maildrop, [&digest("strong"), &digest("weak")]);
    env.fetch().expect(0).says("nothing new");
    let version = || fs::read_to_string(env.path("state").join("a.uids")).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(version(), "mailferry-uids 2", "it does not say that all of it is on disk");
    env.configure(&[account().deleting()]);
    let outcome = env.fetch();
    assert!(outcome.output().contains("1 deleted on the server"), "{outcome:#?}");
    assert_eq!(maildrop.left(), ["weak"], "a header that says little is no evidence: that one stays, and is told");
    assert!(outcome.output().contains("could not be compared"), "{outcome:#?}");
    assert_eq!(env.mail().len(), 2, "nothing came twice");
    assert_eq!(maildrop.retrieved("strong") + maildrop.retrieved("weak"), 2);
}

#[test]
fn a_kill_between_link_and_record_leaves_one_copy_wherever_the_mail_went() {
    let maildrop = Maildrop::new(small_ones(40));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    fs::create_dir(env.path("filed")).unwrap();
    for turn in 0..12_u64 {
        let running = env.spawn(&["fetch"]);
        std::thread::sleep(Duration::from_millis(turn * 3)); // any moment will do
        running.signal(Signal::KILL);
        drop(running.wait());
        // A mail reader moves all messages at once.
        for entry in fs::read_dir(env.maildir("a").join("new")).into_iter().flatten().flatten() {
            fs::rename(entry.path(), env.path("filed").join(entry.file_name())).unwrap();
        }
    }
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
    let mut all = env.mail();
    all.extend(fs::read_dir(env.path("filed")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()));
    all.sort();
    assert_same_mail(&all, &small_ones_stored(40));
}
