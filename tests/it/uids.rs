//! The record can be inspected and repaired, each time with a way back; and what another program fetched is deleted
//! only on the user's explicit request.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use mailferry::maildir::names::NameSource;
use mailferry::message::StoredSize;
use mailferry::pop3::UniqueId;

use crate::delivered::{assert_same_mail, make_maildir};
use crate::mail::{small, small_ones, small_ones_stored};
use crate::program::{Account, Outcome, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message, PASSWORD, USER};

fn env_at(maildrop: &Maildrop) -> TestEnv {
    TestEnv::new(&[Account::at(maildrop.server.address)])
}

/// Runs the command after "To go back:".
fn go_back(outcome: &Outcome) {
    let command = outcome.stdout.split("To go back: ").nth(1).unwrap_or_else(|| panic!("{outcome:?}")).trim();
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

#[test]
fn what_is_on_the_server_is_adopted_and_forgotten_again() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = env_at(&maildrop);
    env.run(&["uids", "list", "a"]).expect(0).says("nothing is recorded");
    env.run(&["uids", "adopt", "a", "--all"]).expect(64).says("3 messages will count as fetched").says("--yes");
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0).says("adopted 3 messages");
    env.fetch().expect(0).says("nothing new");
    env.run(&["uids", "list", "a"]).expect(0).says("3 adopted").says("u2");
    // Without an account there is one line for each.
    let all = env.run(&["uids", "list"]).expect(0).says("a: 3 messages known").says("3 adopted");
    assert_eq!(all.stdout.lines().count(), 1, "{all:?}");
    env.run(&["uids", "list", "--json"]).expect(0).says("\"account\":\"a\"").says("\"unique_id\":\"u2\"");
    let forgot = env.run(&["uids", "forget", "a", "u2", "nobody", "--yes"]).expect(1).says("no record of nobody");
    let forgot = forgot.says("forgot 1 message");
    env.fetch().expect(0).says("1 new message");
    go_back(&forgot);
    env.run(&["uids", "list", "a", "--json"]).expect(0).says("\"unique_id\":\"u2\"").says("\"origin\":\"adopted\"");
    env.run(&["uids", "forget", "a", "--all", "--yes"]).expect(0).says("forgot 3 messages");
    env.fetch().expect(0).says("3 new messages");
    assert_eq!(maildrop.left().len(), 3, "nothing that was adopted is deleted");
    env.run(&["uids", "adopt", "nobody", "--all"]).expect(64).says("there is no account");
    env.run(&["uids", "forget", "a"]).expect(64);
    env.run(&["uids", "adopt", "a", "--all", "--before", "2026-01-01"]).expect(64);
}

#[test]
fn what_was_adopted_is_never_deleted() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0);
    maildrop.change(|contents| contents.messages.push(Message::new("new", &small(9))));
    (0..3).for_each(|_| drop(env.fetch().expect(0)));
    assert_eq!(maildrop.left(), ["u1", "u2"]);
    assert_same_mail(&env.mail(), &[stored(&small(9))]);
}

#[test]
fn a_maildir_of_ten_thousand_is_adopted_without_a_download() {
    const MANY: usize = 10_000;
    let maildrop = Maildrop::new(small_ones(MANY + 2));
    let env = env_at(&maildrop);
    let maildir = env.maildir("a");
    make_maildir(&maildir);
    let names = NameSource::new(1, b"h");
    for n in 1..=MANY {
        let content = stored(&small(n));
        // Most were delivered by a mailferry whose state is lost, the others by another program.
        let name = match n % 10 {
            0 => format!("cur/{n}.foreign:2,S"),
            _ => {
                let unique_id = UniqueId::new(format!("u{n}").as_bytes()).unwrap();
                let name =
                    names.next(Duration::from_secs(1), mailferry::ids::InstanceId::new(0xfeed), Some(&unique_id));
                format!("new/{}", name.published(StoredSize::new(content.len() as u64)))
            }
        };
        fs::write(maildir.join(name), content).unwrap();
    }
    env.fetch().expect(73).says("uids adopt a --from-maildir").says("--new-state");
    env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says("adopted 10000 messages");
    assert_eq!((maildrop.count("RETR"), maildrop.count("TOP")), (0, MANY + 2));
    env.fetch().expect(0).says("2 new messages");
    assert_eq!(maildrop.count("RETR"), 2);
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_maildir_that_is_not_there_is_told_with_what_to_look_at() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = env_at(&maildrop);
    let outcome = env.run(&["uids", "adopt", "a", "--from-maildir", "/nowhere", "--yes"]).expect(73);
    outcome.says("a: cannot read /nowhere: ").says("Is the disk mounted");
}

/// Puts a file into a Maildir as this state would have named it.
fn delivered_by(instance: u64, unique_id: &str, content: &[u8], maildir: &std::path::Path) {
    let (unique_id, instance) =
        (UniqueId::new(unique_id.as_bytes()).unwrap(), mailferry::ids::InstanceId::new(instance));
    let name = NameSource::new(1, b"h").next(Duration::from_secs(1), instance, Some(&unique_id));
    let path = maildir.join("new").join(name.published(StoredSize::new(content.len() as u64)));
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_file_is_adopted_for_a_message_only_if_the_server_shows_the_same_header() {
    let weak = |words: &str| format!("Subject: alarm\r\n\r\n{words}\r\n").into_bytes();
    for (there, listed, top, adopted) in [
        (alarm("old", 1), alarm("old", 1), true, true),
        (alarm("old", 1), alarm("new", 1), true, false),
        (alarm("old", 1), alarm("old", 1), false, false),
        (weak("old"), weak("new"), true, false),
    ] {
        let maildrop = Maildrop::with(vec![Message::new("1", &listed)], |behaviour| behaviour.top = top);
        let env = env_at(&maildrop);
        make_maildir(&env.maildir("a"));
        delivered_by(0xfeed, "1", &stored(&there), &env.maildir("a"));
        let says = if adopted { "adopted 1 message" } else { "nothing to adopt" };
        env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says(says);
        if !adopted {
            env.fetch().expect(0).says("1 new message");
            assert!(env.mail().contains(&stored(&listed)));
        }
    }
}

#[test]
fn a_file_of_another_account_or_with_another_body_is_not_adopted() {
    let maildrop = Maildrop::new(vec![Message::new("1", &alarm("old", 1))]);
    let env = env_at(&maildrop);
    let maildir = env.maildir("a");
    let both = ["a", "b"]
        .map(|name| Account::at(maildrop.server.address).named(name).text("maildir", &maildir.display().to_string()));
    env.configure(&both);
    env.run(&["fetch", "b"]).expect(0).says("1 new message");
    // Another program added a field, and the text is longer.
    let mut longer = b"X-Added: yes\n".to_vec();
    longer.extend_from_slice(&stored(&alarm("old", 1)));
    longer.extend_from_slice(b"and more\n");
    fs::write(maildir.join("cur/1.foreign:2,S"), &longer).unwrap();
    env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says("nothing to adopt");
    longer.truncate(longer.len() - "and more\n".len());
    fs::write(maildir.join("cur/1.foreign:2,S"), &longer).unwrap();
    env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says("adopted 1 message");
}

#[test]
fn a_lost_state_of_which_the_maildir_holds_nothing_begins_anew_once_that_is_confirmed() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = env_at(&maildrop);
    env.fetch().expect(0).says("2 new messages");
    maildrop.change(|contents| contents.messages = vec![Message::new("other", &alarm("other", 1))]);
    fs::remove_dir_all(env.path("state")).unwrap();
    env.fetch().expect(73).says("uids adopt a --from-maildir");
    // Without --yes and without a terminal nothing is changed.
    env.run(&["uids", "adopt", "a", "--from-maildir"]).expect(64).says("--yes");
    env.fetch().expect(73);
    let adopt = ["uids", "adopt", "a", "--from-maildir", "--yes"];
    env.run(&adopt)
        .expect(0)
        .says("1 on the server, nothing to adopt: the next poll fetches")
        .says("began a new state");
    env.run(&adopt).expect(0).says("nothing to adopt");
    env.fetch().expect(0).says("1 new message");
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_hash_by_chance_is_no_message() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = env_at(&maildrop);
    let maildir = env.maildir("a");
    make_maildir(&maildir);
    let unique_id = UniqueId::new(b"u1").unwrap();
    let other = stored(&small(2));
    let name = NameSource::new(1, b"h").next(
        Duration::from_secs(1),
        mailferry::ids::InstanceId::new(0xfeed),
        Some(&unique_id),
    );
    fs::write(maildir.join("new").join(name.published(StoredSize::new(other.len() as u64))), &other).unwrap();
    env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0).says("nothing to adopt");
    env.fetch().expect(0).says("1 new message");
}

#[test]
fn a_part_of_a_message_is_not_adopted_for_it_nor_one_of_several_alike() {
    let alarm = |disk: &str| {
        let header = "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: alarm\r\n";
        format!("{header}\r\nThe disk {disk} is full.\r\n").into_bytes()
    };
    for (listed, there, retrieved) in [
        (vec![alarm("a")], vec![stored(&alarm("a"))], 0),
        (vec![alarm("a")], vec![stored(&alarm("a"))[..70].to_vec()], 1),
        (vec![alarm("a"), alarm("b")], vec![stored(&alarm("b"))], 2),
        (vec![alarm("a"), alarm("b")], vec![stored(&alarm("b")), stored(&alarm("a"))], 0),
    ] {
        let messages = listed.iter().zip(1..).map(|(one, n)| Message::new(&format!("u{n}"), one)).collect();
        let maildrop = Maildrop::new(messages);
        let env = env_at(&maildrop);
        let maildir = env.maildir("a");
        make_maildir(&maildir);
        for (content, n) in there.iter().zip(1..) {
            fs::write(maildir.join(format!("cur/{n}.foreign:2,S")), content).unwrap();
        }
        env.run(&["uids", "adopt", "a", "--from-maildir", "--yes"]).expect(0);
        let again: &[&str] = if retrieved > 0 { &["fetch", "--new-state"] } else { &["fetch"] };
        env.run(again).expect(0);
        assert_eq!(maildrop.count("RETR"), retrieved, "{}", there.len());
    }
}

#[test]
fn what_is_older_than_a_day_is_adopted() {
    let dated = |uid: &str, day: &str| {
        let received = format!("Received: from a by b;\r\n\t{day} 2026 12:00:00 +0000");
        Message::new(uid, format!("{received}\r\nMessage-ID: <{uid}>\r\n\r\nx\r\n").as_bytes())
    };
    // A sender's clock may be wrong by any number of days.
    let undated = Message::new("none", b"Date: 1 Jan 2000 12:00:00 +0000\r\nMessage-ID: <none>\r\n\r\nx\r\n");
    let maildrop = Maildrop::new(vec![dated("old", "10 Jan"), dated("new", "20 Jan"), undated]);
    let env = env_at(&maildrop);
    env.run(&["uids", "adopt", "a", "--before", "tomorrow", "--yes"]).expect(64).says("is not a date");
    let outcome = env.run(&["uids", "adopt", "a", "--before", "2026-01-15", "--yes"]).expect(0);
    outcome.says("adopted 1 message").says("1 message without a date of arrival");
    env.fetch().expect(0).says("2 new messages");
    assert_eq!((maildrop.retrieved("old"), maildrop.retrieved("new")), (0, 1));
}

#[test]
fn an_account_that_is_being_polled_is_left_alone() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = env_at(&maildrop);
    env.fetch().expect(0);
    let lock = fs::OpenOptions::new().write(true).open(env.path("state/a.lock")).unwrap();
    lock.try_lock().unwrap();
    let before = env.everything();
    env.run(&["uids", "forget", "a", "--all", "--yes"]).expect(75);
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(75);
    assert_eq!(env.everything(), before);
    env.run(&["uids", "list", "a"]).expect(0).says("1 delivered");
}

#[test]
fn options_that_have_nothing_to_do_say_so_and_offer_nothing_that_fetches_again() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = env_at(&maildrop);
    env.run(&["fetch", "--new-state"]).expect(0).says("2 new messages");
    for option in ["--new-state", "--accept-maildir", "--fetch-again"] {
        let outcome = env.run(&["fetch", option]).expect(0).says(&format!("{option} has no effect"));
        assert!(!outcome.output().contains("uids forget"), "{outcome:?}");
    }
    let fresh = env.run(&["uids", "forget", "a", "--all", "--yes"]).expect(0);
    assert!(!fresh.output().contains("nothing to do"));
    env.fetch().expect(0).says("2 new messages");
}

#[test]
fn usage_lines_show_the_account_where_it_is_given() {
    let env = TestEnv::new(&[]);
    env.run(&["uids", "forget", "--help"]).expect(0).says("uids forget [OPTIONS] <ACCOUNT> <--all|UNIQUE-ID...>");
    env.run(&["uids", "adopt", "--help"]).expect(0).says("uids adopt [OPTIONS] <ACCOUNT> <--all|--before <DATE>|");
    env.run(&["poll", "--help"]).expect(0).says("       mailferry poll --test-notify\n");
    // Whatever the program was started as.
    for (command, line) in [
        ("poll", "Usage: mailferry poll [OPTIONS] [ACCOUNT]...\n"),
        ("check", "Usage: mailferry check [OPTIONS] [ACCOUNT]...\n"),
    ] {
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_mailferry"));
        let outcome = process.arg0("/opt/ferry").args([command, "--help"]).output().unwrap();
        let text = String::from_utf8(outcome.stdout).unwrap();
        assert!(text.contains(line), "{text}");
    }
}

/// An environment in which mpop's record of these unique-ids was imported with these options.
fn imported(maildrop: &Maildrop, unique_ids: &[&str], options: &[&str]) -> TestEnv {
    let env = TestEnv::new(&[]);
    let port = maildrop.server.address.port();
    let rc = format!(
        "account a\nhost 127.0.0.1\nport {port}\nuser {USER}\npassword {PASSWORD}\nuidls_file ~/uidls\nkeep off\n\
         delivery maildir {}\n",
        env.maildir("a").display()
    );
    fs::write(env.path(".mpoprc"), rc).unwrap();
    let lines: String = unique_ids.iter().map(|id| format!("{id}\n")).collect();
    fs::write(env.path("uidls"), format!(" {} 127.0.0.1 {USER}\n{lines}", unique_ids.len())).unwrap();
    let words: Vec<&str> = ["import", "mpop"].iter().chain(options).copied().collect();
    env.run(&words).expect(0).says("Added 1 account");
    env
}

#[test]
fn what_another_program_fetched_goes_from_the_server_on_the_users_word_alone() {
    for trust in [false, true] {
        let maildrop = Maildrop::new(small_ones(4));
        let options: &[&str] = if trust { &["--trust-deliveries"] } else { &[] };
        let env = imported(&maildrop, &["u1", "u2"], options);
        env.fetch().expect(0).says("2 new messages");
        // Their headers have been seen once, which proves nothing yet.
        assert_eq!(maildrop.left(), ["u1", "u2"], "{trust}");
        env.fetch().expect(0).says("nothing new");
        let expected: &[&str] = if trust { &[] } else { &["u1", "u2"] };
        assert_eq!(maildrop.left(), expected, "{trust}");
        let all = small_ones_stored(4);
        let mail = env.mail();
        assert_eq!(mail.len(), 2);
        assert!(mail.iter().all(|message| all.contains(message)));
    }
}

#[test]
fn a_number_does_not_show_that_another_program_fetched_a_message() {
    for (counted, number) in [((0, 1), "1"), ((1, 1), "0"), ((0, 4), "0001")] {
        // The program fetched a message that had the number before.
        let maildrop = Maildrop::with(alarms(&[number], "new"), |behaviour| {
            (behaviour.counts, behaviour.counted) = (true, counted);
        });
        let env = imported(&maildrop, &[number], &["--trust-deliveries"]);
        for _ in 0..3 {
            env.fetch().expect(0).says("1 message could not be compared");
            assert_eq!(maildrop.left(), [number]);
        }
    }
}

#[test]
fn another_message_under_an_imported_name_is_fetched_and_nothing_is_lost() {
    for trust in [false, true] {
        let maildrop = Maildrop::new(small_ones(1));
        let env = imported(&maildrop, &["u1"], if trust { &["--trust-deliveries"] } else { &[] });
        env.fetch().expect(0).says("nothing new");
        // The server gives the unique-id to another message once the first one is gone.
        maildrop.change(|contents| contents.messages = Vec::new());
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = vec![Message::new("u1", &small(7))]);
        (0..3).for_each(|_| drop(env.fetch().expect(0)));
        assert!(env.mail().contains(&stored(&small(7))), "{trust}");
    }
}

/// The content of one of several messages of one size.
fn alarm(words: &str, n: usize) -> Vec<u8> {
    format!("Message-ID: <{words}{n}@ups>\r\nSubject: alarm\r\n\r\nThis is {words} {n}.\r\n").into_bytes()
}

/// Such messages under these unique-ids, numbered from 0.
fn alarms(unique_ids: &[&str], words: &str) -> Vec<Message> {
    unique_ids.iter().enumerate().map(|(n, unique_id)| Message::new(unique_id, &alarm(words, n))).collect()
}

#[test]
fn what_is_known_by_its_name_alone_is_so_until_a_listing_lacks_it() {
    for (top, adopts) in [(true, true), (false, true), (true, false), (false, false)] {
        let maildrop = Maildrop::with(alarms(&["1", "2"], "old"), |behaviour| behaviour.top = top);
        let env = if adopts { env_at(&maildrop) } else { imported(&maildrop, &["1", "2"], &[]) };
        if adopts {
            env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0).says("adopted 2 messages");
        }
        if !top {
            // Otherwise their headers would be remembered now.
            env.fetch().expect(0).says("nothing new");
        }
        maildrop.change(|contents| contents.messages = Vec::new());
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = alarms(&["1", "2"], "new"));
        env.fetch().expect(0).says("2 new messages");
        env.fetch().expect(0).says("nothing new");
        assert_same_mail(&env.mail(), &[0, 1].map(|n| stored(&alarm("new", n))));
    }
}

#[test]
fn a_message_of_another_size_than_the_adopted_one_is_fetched() {
    let maildrop = Maildrop::with(alarms(&["1", "2"], "old"), |behaviour| behaviour.top = false);
    let env = env_at(&maildrop);
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0);
    maildrop.change(|contents| contents.messages[1] = Message::new("2", &alarm("longer", 0)));
    env.fetch().expect(0).says("1 new message");
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &[stored(&alarm("longer", 0))]);
}

#[test]
fn of_several_messages_under_one_name_as_many_are_known_as_are_remembered() {
    let maildrop = Maildrop::new(alarms(&["x", "x"], "old"));
    let env = env_at(&maildrop);
    env.run(&["uids", "adopt", "a", "--all", "--yes"]).expect(0).says("adopted 2 messages");
    env.fetch().expect(0).says("nothing new");
    maildrop.change(|contents| contents.messages.push(Message::new("x", &alarm("new", 0))));
    env.fetch().expect(0).says("1 new message");
    assert_same_mail(&env.mail(), &[stored(&alarm("new", 0))]);
    // Of two that another program gave one name, either may be the one that it fetched.
    let maildrop = Maildrop::new(alarms(&["x", "x"], "old"));
    let env = imported(&maildrop, &["x"], &[]);
    env.fetch().expect(0).says("2 new messages");
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &[0, 1].map(|n| stored(&alarm("old", n))));
}

#[test]
fn a_server_that_shows_no_header_is_asked_once_a_poll() {
    let maildrop = Maildrop::with(small_ones(50), |behaviour| behaviour.top = false);
    maildrop.change(|contents| contents.behaviour.capabilities = None);
    let known: Vec<String> = (1..=50).map(|n| format!("u{n}")).collect();
    let env = imported(&maildrop, &known.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    env.fetch().expect(0).says("nothing new");
    assert!(maildrop.count("TOP") <= 1, "{}", maildrop.count("TOP"));
    assert_eq!(maildrop.count("RETR"), 0);
}

#[test]
fn where_nothing_says_what_was_fetched_what_is_there_counts_as_fetched() {
    let maildrop = Maildrop::new(small_ones(3));
    let env = TestEnv::new(&[]);
    let port = maildrop.server.address.port();
    let rc = format!("account a\nhost 127.0.0.1\nport {port}\nuser {USER}\npassword {PASSWORD}\nkeep on\n");
    fs::write(env.path(".mpoprc"), rc).unwrap();
    env.run(&["import", "mpop", "--mark-existing"])
        .expect(0)
        .says("nothing says what was fetched")
        .says("adopted 3 messages");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(maildrop.count("RETR"), 0);
}

#[test]
fn what_the_other_program_would_have_deleted_does_not_count_as_fetched() {
    let maildrop = Maildrop::new(small_ones(2));
    let env = TestEnv::new(&[]);
    let port = maildrop.server.address.port();
    let rc = format!(
        "poll a via 127.0.0.1 proto pop3 port {port} user \"{USER}\" password \"{PASSWORD}\" sslproto '' nokeep\n"
    );
    fs::write(env.path(".fetchmailrc"), rc).unwrap();
    fs::write(env.path(".fetchids"), "").unwrap();
    let said = env.run(&["import", "fetchmail", "--mark-existing"]).expect(0);
    let said = said.says("fetchmail deleted what it had fetched, so what is on the server is new").output();
    for words in ["adopt", "nothing says what was fetched"] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    env.fetch().expect(0).says("2 new");
    assert_eq!(maildrop.count("RETR"), 2);
}

/// Its unique-ids are the message numbers, and mailferry itself deletes the messages before the adopted ones.
#[test]
fn what_was_adopted_is_recognised_under_the_number_to_which_it_moves_up() {
    let message = |name: &str, year: u32| {
        let date = format!("Thu, 1 Jan {year} 10:00:00 +0000\r\nReceived: from x by y; 1 Jan {year} 10:00:00 +0000");
        Message::new("", format!("Message-ID: <{name}@x>\r\nDate: {date}\r\n\r\nThis is {name}.\r\n").as_bytes())
    };
    let messages = vec![message("n1", 2026), message("o1", 2020), message("n2", 2026), message("o2", 2020)];
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.counts = true);
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    env.run(&["uids", "adopt", "a", "--before", "2025-01-01", "--yes"]).expect(0).says("adopted 2 messages");
    env.fetch().expect(0).says("2 new messages").says("2 deleted on the server");
    maildrop.change(|contents| contents.messages.extend([message("n3", 2026), message("n4", 2026)]));
    env.fetch().expect(0).says("2 new messages").says("2 deleted on the server");
    env.fetch().expect(0).says("nothing new");
    assert_eq!((env.mail().len(), maildrop.left().len()), (4, 2));
}
