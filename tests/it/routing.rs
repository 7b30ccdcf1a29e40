//! Messages are delivered by their headers to other Maildirs and folders, or left on the server. And nothing is lost on
//! the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::delivered::files;
use crate::disk_full::SmallDisk;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

mod recipients;

/// A message with this header and a body that distinguishes it from others.
fn message(uid: &str, header: &str) -> Message {
    Message::new(uid, format!("Message-ID: <{uid}@example.org>\r\n{header}\r\n\r\nThis is {uid}.\r\n").as_bytes())
}

/// Rules of all kinds.
const RULES: &str = r#"[
    { header = "List-Id", contains = "<dev.example.org>", folder = "Lists.Dev" },
    { header = "Subject", matches = "*unsubscribe*", skip = true },
    { header = "From", equals = ["Jo <jo@example.org>", "jo@example.org"], maildir = "~/Mail/jo" },
    { header = "X-Odd-Name-That-Is-Rather-Long", matches = "?x*", maildir = "~/Mail/{account}-odd" },
    { header = "Subject", contains = "grüße", maildir = "~/Mail/jo" },
]"#;

fn mailbox(maildrop: &Maildrop, rules: &str) -> Account {
    Account::at(maildrop.server.address).set("rules", rules.replace('\n', " "))
}

/// The messages in `new/` of a Maildir below the home's `Mail`, by the last word of their bodies, sorted.
fn mail_in(env: &TestEnv, maildir: &str) -> Vec<String> {
    let name = |path: &std::path::PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        text.split("This is ").nth(1).unwrap().split('.').next().unwrap().to_owned()
    };
    let mut found: Vec<String> = files(&env.path("Mail").join(maildir).join("new")).iter().map(name).collect();
    found.sort();
    found
}

fn asked(maildrop: &Maildrop, command: &str) -> usize {
    maildrop.server.wait_until_idle();
    maildrop.server.count(command)
}

#[test]
fn what_a_rule_leaves_is_counted_in_every_poll() {
    let unwanted = "Subject: please\r\n\tUnsubscribe\r\n me\r\nList-Id: other";
    let maildrop = Maildrop::new(vec![message("plain", "Subject: hello"), message("unwanted", unwanted)]);
    let env = TestEnv::new(&[mailbox(&maildrop, RULES)]);
    for _ in 0..5 {
        env.fetch().expect(0).says("2 on the server (1 left there by a rule)");
    }
}

#[test]
fn each_kind_of_rule_leads_where_it_says() {
    let maildrop = Maildrop::new(vec![
        message("plain", "Subject: hello"),
        message("list", "Subject: news\r\nList-ID: The developers\r\n <DEV.example.org>"),
        message("unwanted", "Subject: please\r\n\tUnsubscribe\r\n me\r\nList-Id: other"),
        message("from", "From:  Jo   <jo@example.org>"),
        message("not-from", "From: Jo <jo@example.org.net>"),
        message("odd", "x-odd-name-that-is-rather-long: =?utf-8?Q?=C3=BCx?= and more"),
        message("encoded", "Subject: =?iso-8859-1?Q?Viele_Gr=FC=DFe?="),
        message("split", "Subject: =?utf-8?B?R3LDvA==?=\r\n =?utf-8?B?w59l?="),
    ]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    env.fetch().expect(0).says("7 new messages").says("1 left there by a rule");
    assert_eq!(mail_in(&env, "a"), ["not-from", "plain"]);
    assert_eq!(mail_in(&env, "a/.Lists.Dev"), ["list"]);
    assert_eq!(mail_in(&env, "jo"), ["encoded", "from", "split"]);
    assert_eq!(mail_in(&env, "a-odd"), ["odd"]);
    assert!(env.path("Mail/a/.Lists.Dev/maildirfolder").is_file());
    let is_stored = |uid: &str| {
        let header = "Subject: news\r\nList-ID: The developers\r\n <DEV.example.org>";
        stored(format!("Message-ID: <{uid}@example.org>\r\n{header}\r\n\r\nThis is {uid}.\r\n").as_bytes())
    };
    assert_eq!(fs::read(&files(&env.path("Mail/a/.Lists.Dev/new"))[0]).unwrap(), is_stored("list"));
    for maildir in ["a", "jo", "a-odd", "a/.Lists.Dev"] {
        let mode = fs::metadata(env.path("Mail").join(maildir)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{maildir}");
        assert!(files(&env.path("Mail").join(maildir).join("tmp")).is_empty());
    }
    assert_eq!(asked(&maildrop, "RETR"), 7);
}

#[test]
fn what_a_rule_skips_is_looked_at_once_and_stays_whatever_the_policy() {
    let maildrop = Maildrop::new(vec![message("one", "Subject: hello"), message("two", "Subject: Unsubscribe")]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    env.fetch().expect(0).says("1 new message").says("1 on the server (1 left there by a rule)");
    let tops = asked(&maildrop, "TOP");
    assert_eq!((tops, asked(&maildrop, "RETR"), maildrop.left()), (2, 1, vec!["two".to_owned()]));
    env.fetch().expect(0).says("nothing new");
    env.fetch().expect(0).says("nothing new");
    assert_eq!((asked(&maildrop, "TOP"), asked(&maildrop, "RETR")), (tops, 1), "it is not asked for again");
    let lists = asked(&maildrop, "LIST");
    env.fetch().expect(0).says("nothing new");
    assert_eq!(asked(&maildrop, "LIST"), lists, "the listing is recognised");
    // Only the header of the new message is fetched.
    maildrop.change(|contents| contents.messages.push(message("three", "Subject: more")));
    env.fetch().expect(0).says("1 new message");
    assert_eq!(asked(&maildrop, "TOP"), tops + 1);
    // If a message has gone and another one has its unique-id, its header is fetched.
    maildrop.change(|contents| contents.messages.clear());
    env.fetch().expect(0);
    maildrop.change(|contents| contents.messages.push(message("two", "Subject: not to be missed")));
    env.fetch().expect(0).says("1 new message");
    assert_eq!(mail_in(&env, "a"), ["one", "three", "two"]);
}

/// A message under this unique-id that a rule leaves on the server, or not; all have the same size.
fn alike(unique_id: &str, name: &str, is_unwanted: bool) -> Message {
    let subject = if is_unwanted { "Unsubscribe" } else { "Hello there" };
    Message { uid: unique_id.to_owned(), ..message(name, &format!("Subject: {subject}")) }
}

#[test]
fn a_decision_to_skip_is_not_about_others_that_share_the_unique_id() {
    let maildrop = Maildrop::new(vec![alike("x", "bad1", true)]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    env.fetch().expect(0).says("1 left there by a rule");
    maildrop.change(|contents| contents.messages.push(alike("x", "new1", false)));
    env.fetch().expect(0).says("1 new message");
    maildrop.change(|contents| contents.messages.push(alike("y", "bad2", true)));
    maildrop.change(|contents| contents.messages.push(alike("y", "bad3", true)));
    env.fetch().expect(0);
    (0..2).for_each(|_| drop(env.fetch().expect(0).says("nothing new")));
    // One of two is another one, and the listing is the same.
    maildrop.change(|contents| drop(contents.messages.remove(1)));
    maildrop.change(|contents| contents.messages.push(alike("y", "new2", false)));
    env.fetch().expect(0).says("1 new message");
    let mail = mail_in(&env, "a");
    assert!(["new1", "new2"].iter().all(|new| mail.iter().filter(|name| name == new).count() == 1), "{mail:?}");
    assert!(!mail.iter().any(|name| ["bad2", "bad3"].contains(&name.as_str())), "{mail:?}");
}

#[test]
fn a_decision_to_skip_is_not_about_what_moves_up_to_its_number() {
    for most in [1, 100] {
        let first = vec![alike("", "new1", false), alike("", "bad1", true), alike("", "new2", false)];
        let maildrop = Maildrop::with(first, |behaviour| behaviour.counts = true);
        let account = mailbox(&maildrop, RULES).deleting().set("max_messages_per_session", most.to_string());
        let env = TestEnv::in_memory(&[account]);
        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages.push(alike("", "new3", false)));
        (0..2).for_each(|_| drop(env.fetch().expect(0)));
        let mail = mail_in(&env, "a");
        for new in ["new1", "new2", "new3"] {
            assert_eq!(mail.iter().filter(|name| *name == new).count(), 1, "{most} {mail:?}");
        }
    }
}

#[test]
fn what_moves_up_to_the_number_of_another_message_is_skipped_as_well() {
    let first = vec![alike("", "new1", false), alike("", "bad1", true), alike("", "new2", false)];
    let maildrop = Maildrop::with(first, |behaviour| behaviour.counts = true);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    for n in 3..7 {
        let outcome = env.fetch().expect(0);
        assert!(!outcome.output().contains("although"), "{outcome:?}");
        maildrop.change(|contents| contents.messages.push(alike("", &format!("new{n}"), false)));
    }
    assert_eq!(mail_in(&env, "a"), ["new1", "new2", "new3", "new4", "new5"]);
}

/// Where there is no TOP, what a rule leaves on the server is fetched once, and stays. When others are deleted it moves
/// up, and new mail has its numbers.
#[test]
fn new_mail_is_fetched_that_has_the_number_of_what_moved_up() {
    for (top, counted) in [(false, (0, 1)), (true, (0, 1)), (true, (1, 1)), (false, (1, 1)), (false, (0, 8))] {
        let first = ["new1", "bad1", "new2", "bad2"].map(|name| alike("", name, name.starts_with("bad")));
        let maildrop = Maildrop::with(first.to_vec(), |behaviour| {
            *behaviour = Behaviour { counts: true, counted, top, ..behaviour.clone() };
        });
        let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
        env.fetch().expect(0);
        let more = ["bad3", "new3"].map(|name| alike("", name, name.starts_with("bad")));
        maildrop.change(|contents| contents.messages.extend(more));
        (0..3).for_each(|_| _ = env.fetch().expect(0));
        let bad: &[&str] = if top { &[] } else { &["bad1", "bad2", "bad3"] };
        let all: Vec<&str> = bad.iter().copied().chain(["new1", "new2", "new3"]).collect();
        assert_eq!(mail_in(&env, "a"), all, "TOP {top}, {counted:?}");
        assert_eq!(maildrop.left().len(), 3);
    }
}

/// A duplicate answer to TOP, or a line before the answer, shifts the following headers by one message.
#[test]
fn headers_that_are_out_of_step_leave_nothing_on_the_server() {
    let news = "Message-ID: <two@example.org>\r\nSubject: Unsubscribe\r\n\r\n.\r\n";
    for answer in [format!("+OK\r\n{news}+OK\r\n{news}"), format!("-ERR busy\r\n+OK\r\n{news}")] {
        let messages = vec![
            message("one", "Subject: first"),
            message("two", "Subject: Unsubscribe"),
            message("three", "Subject: third"),
            message("four", "Subject: fourth"),
        ];
        let maildrop = Maildrop::with(messages, |behaviour| {
            behaviour.answers_once = vec![("TOP 2".to_owned(), answer)];
        });
        let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
        env.fetch();
        env.fetch().expect(0).says("1 left there by a rule");
        assert_eq!(mail_in(&env, "a"), ["four", "one", "three"]);
    }
}

#[test]
fn on_another_host_what_a_rule_skipped_is_looked_at_again() {
    let maildrop = Maildrop::new(vec![message("one", "Subject: unsubscribe!")]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    env.fetch().expect(0).says("1 left there by a rule");
    maildrop.change(|contents| contents.messages = vec![message("one", "Subject: not for all!")]);
    env.configure(&[mailbox(&maildrop, RULES).text("host", "localhost")]);
    env.fetch().expect(0).says("1 new message");
    assert_eq!(mail_in(&env, "a"), ["one"]);
}

#[test]
fn other_rules_fetch_nothing_twice_and_look_anew_at_what_was_skipped() {
    let messages = || vec![message("one", "Subject: first"), message("two", "Subject: second")];
    let maildrop = Maildrop::new(messages());
    let rule = |subject: &str, target: &str| format!("[{{ header = \"Subject\", contains = {subject:?}, {target} }}]");
    let env = TestEnv::in_memory(&[mailbox(&maildrop, &rule("second", "skip = true"))]);
    (0..3).for_each(|_| drop(env.fetch().expect(0)));
    assert_eq!((mail_in(&env, "a"), asked(&maildrop, "RETR")), (vec!["one".to_owned()], 1));
    env.configure(&[mailbox(&maildrop, &rule("first", "skip = true"))]);
    env.fetch().expect(0).says("1 new message");
    assert_eq!((mail_in(&env, "a"), asked(&maildrop, "RETR")), (vec!["one".to_owned(), "two".to_owned()], 2));
    env.configure(&[mailbox(&maildrop, &rule("first", "folder = \"Elsewhere\""))]);
    env.fetch().expect(0).says("nothing new");
    env.configure(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0).says("nothing new");
    assert_eq!(asked(&maildrop, "RETR"), 2);
}

#[test]
fn without_top_nothing_is_skipped_and_that_is_said() {
    for (top, refused) in [(false, false), (true, true)] {
        let messages = vec![message("one", "Subject: hello"), message("two", "Subject: unsubscribe")];
        let maildrop = Maildrop::with(messages, |behaviour| {
            behaviour.top = top;
            if refused {
                behaviour.answers.push(("TOP".to_owned(), "-ERR no such command\r\n".to_owned()));
            }
        });
        let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
        env.fetch().expect(0).says("2 new messages").says("1 message came although a rule with `skip` matches");
        assert_eq!(mail_in(&env, "a"), ["one", "two"]);
        let outcome = env.fetch().expect(0);
        assert!(!outcome.output().contains("skip"), "{outcome:?}");
    }
}

#[test]
fn what_a_rule_would_have_skipped_stays_on_the_server_though_it_came() {
    let messages = vec![message("one", "Subject: hello"), message("two", "Subject: unsubscribe")];
    let maildrop = Maildrop::with(messages, |behaviour| {
        behaviour.answers.push(("TOP".to_owned(), "-ERR not now\r\n".to_owned()));
    });
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    env.fetch().expect(0).says("2 new messages").says("It stays on the server, too");
    for _ in 0..2 {
        assert_eq!(maildrop.left().len(), 1, "the rule says that it stays");
        env.fetch().expect(0).says("nothing new");
    }
    assert_eq!(mail_in(&env, "a"), ["one", "two"]);
}

/// A header of about this many octets, with what the rules look for at its end.
fn long_header(octets: usize) -> String {
    let lines: String = (0..octets / 72).map(|n| format!("X-Line-{n:05}: {}\r\n", "x".repeat(56))).collect();
    format!("{lines}Subject: unsubscribe\r\nList-Id: <dev.example.org>")
}

#[test]
fn a_header_beyond_the_bound_is_delivered_whole_into_the_accounts_own_maildir() {
    let maildrop = Maildrop::new(vec![
        message("long", &long_header(100_000)),
        message("longer", &long_header(200_000)),
        message("longest", &long_header(3_000_000)),
    ]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    let outcome = env.fetch().expect(0).says("the header of 2 messages is longer than 128.0 KiB");
    assert!(outcome.peak_kib < 24 << 10, "{} KiB", outcome.peak_kib);
    assert_eq!(
        (mail_in(&env, "a"), mail_in(&env, "a/.Lists.Dev")),
        (vec!["longer".to_owned(), "longest".to_owned()], vec!["long".to_owned()])
    );
    let sizes: Vec<u64> = files(&env.path("Mail/a/new")).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() > 3_100_000, "{sizes:?}");
}

#[test]
fn large_messages_are_routed_while_they_come() {
    let mut large = message("large", "List-Id: <dev.example.org>");
    let crate::scripted::maildrop::Body::Bytes(bytes) = &large.body else { panic!() };
    let body = [bytes.to_vec(), "0123456789 and so on\r\n".repeat(200_000).into_bytes()].concat();
    large = Message::new("large", &body);
    let maildrop = Maildrop::with(vec![large], |behaviour| behaviour.chunk = Some(1000));
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    let outcome = env.fetch().expect(0);
    assert!(outcome.peak_kib < 24 << 10, "{} KiB", outcome.peak_kib);
    let found = files(&env.path("Mail/a/.Lists.Dev/new"));
    assert_eq!(fs::read(&found[0]).unwrap(), stored(&body));
}

#[test]
fn one_maildir_that_cannot_be_written_to_keeps_nobody_elses_mail() {
    let (maildrop, env) = many_for_two();
    let tmp = env.path("Mail/jo/tmp");
    // Root can write everywhere.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o500)).unwrap();
        check_others_flow(&maildrop, &env);
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o700)).unwrap();
        check_all_come(&maildrop, &env);
    }
}

#[test]
fn one_maildir_that_is_full_keeps_nobody_elses_mail() {
    let maildrop = Maildrop::new(Vec::new());
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    let Some(disk) = SmallDisk::mount(&env.path("Mail/jo"), 512) else { return };
    first_of_two(&maildrop, &env);
    let filler = env.path("Mail/jo/filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    check_others_flow(&maildrop, &env);
    fs::remove_file(&filler).unwrap();
    check_all_come(&maildrop, &env);
    drop(disk);
}

/// Two Maildirs that were delivered to, and ten messages for each on the server.
fn many_for_two() -> (Maildrop, TestEnv) {
    let maildrop = Maildrop::new(Vec::new());
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    first_of_two(&maildrop, &env);
    (maildrop, env)
}

fn first_of_two(maildrop: &Maildrop, env: &TestEnv) {
    maildrop.change(|contents| contents.messages.push(message("first", "From: jo@example.org")));
    env.fetch().expect(0);
    maildrop.change(|contents| {
        for n in 0..10 {
            contents.messages.push(message(&format!("jo{n}"), "From: jo@example.org"));
            contents.messages.push(message(&format!("own{n}"), "From: ann@example.org"));
        }
    });
}

fn check_others_flow(maildrop: &Maildrop, env: &TestEnv) {
    env.fetch().expect(73).says("Mail/jo/tmp");
    assert_eq!((mail_in(env, "a").len(), mail_in(env, "jo").len()), (10, 1));
    assert_eq!(maildrop.left().len(), 10, "what was delivered is deleted in a session of its own");
}

fn check_all_come(maildrop: &Maildrop, env: &TestEnv) {
    env.fetch().expect(0);
    assert_eq!((mail_in(env, "a").len(), mail_in(env, "jo").len()), (10, 11));
    assert!(maildrop.left().is_empty());
}

#[test]
fn another_maildir_that_is_gone_or_another_one_is_noticed_as_the_accounts_own_is() {
    let maildrop = Maildrop::new(vec![message("one", "From: jo@example.org")]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    env.fetch().expect(0);
    let (maildir, away) = (env.path("Mail/jo"), env.path("away"));
    fs::rename(&maildir, &away).unwrap();
    maildrop.change(|contents| contents.messages.push(message("two", "From: jo@example.org")));
    env.fetch().expect(73).says("Mail/jo");
    assert!(!maildir.exists(), "it is not created again: its disk may be missing");
    env.run(&["check"]).expect(73);
    fs::rename(&away, &maildir).unwrap();
    env.run(&["check"]).expect(0);
    env.fetch().expect(0);
    assert_eq!(mail_in(&env, "jo"), ["one", "two"]);
    fs::remove_dir_all(&maildir).unwrap();
    env.fetch().expect(73);
    env.run(&["fetch", "--accept-maildir"]).expect(0);
    assert!(maildir.join("new").is_dir());
    env.fetch().expect(0);
    // A lost state is noticed by what was delivered to any Maildir.
    maildrop.change(|contents| contents.messages.push(message("three", "From: jo@example.org")));
    env.fetch().expect(0);
    fs::remove_file(env.path("state/a.uids")).unwrap();
    env.fetch().expect(73).says("Mail/jo");
}

#[test]
fn maildirs_that_are_not_in_their_places_keep_their_own_mail_alone() {
    const ODD: &str = "X-Odd-Name-That-Is-Rather-Long: axe";
    let maildrop = Maildrop::new(vec![message("jo", "From: jo@example.org"), message("odd", ODD)]);
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES).deleting()]);
    env.fetch().expect(0);
    let (jo, odd) = (env.path("Mail/jo"), env.path("Mail/a-odd"));
    for maildir in [&jo, &odd] {
        fs::rename(maildir, maildir.with_extension("away")).unwrap();
    }
    crate::delivered::make_maildir(&odd);
    let large = format!("From: jo@example.org\r\n\r\n{}This is large.\r\n", "0123456789 and so on\r\n".repeat(30_000));
    maildrop.change(|contents| {
        contents.messages.push(Message::new("large", large.as_bytes()));
        for n in 0..3 {
            contents.messages.push(message(&format!("jo{n}"), "From: jo@example.org"));
            contents.messages.push(message(&format!("odd{n}"), ODD));
            contents.messages.push(message(&format!("list{n}"), "List-Id: <dev.example.org>"));
            contents.messages.push(message(&format!("own{n}"), "From: ann@example.org"));
        }
    });
    for _ in 0..3 {
        env.fetch().expect(73).says("Mail/jo").says("Mail/a-odd");
        assert_eq!((mail_in(&env, "a").len(), mail_in(&env, "a/.Lists.Dev").len()), (3, 3));
        assert_eq!(maildrop.left().len(), 7, "what was delivered in this poll is deleted");
        assert!(!jo.exists() && files(&odd.join("new")).is_empty() && files(&odd.join("tmp")).is_empty());
        assert!(files(&env.path("Mail/a/tmp")).is_empty());
    }
    fs::remove_dir_all(&odd).unwrap();
    for maildir in [&jo, &odd] {
        fs::rename(maildir.with_extension("away"), maildir).unwrap();
    }
    env.fetch().expect(0);
    assert_eq!(mail_in(&env, "jo"), ["jo", "jo0", "jo1", "jo2", "large"]);
    assert_eq!(mail_in(&env, "a-odd"), ["odd", "odd0", "odd1", "odd2"]);
    assert!(maildrop.left().is_empty());
}

#[test]
fn nothing_goes_that_an_earlier_poll_may_have_delivered_into_a_maildir_that_is_gone() {
    let messages = || vec![message("jo", "From: jo@example.org"), message("own", "From: ann@example.org")];
    let maildrop = Maildrop::new(messages());
    let env = TestEnv::in_memory(&[mailbox(&maildrop, RULES)]);
    env.fetch().expect(0);
    let (jo, away) = (env.path("Mail/jo"), env.path("away"));
    fs::rename(&jo, &away).unwrap();
    env.configure(&[mailbox(&maildrop, RULES).deleting()]);
    // Also where nothing is new, and so no Maildir is prepared to be delivered to.
    env.fetch().expect(73);
    assert_eq!(maildrop.left(), ["jo", "own"]);
    maildrop.change(|contents| contents.messages.push(message("new", "From: ann@example.org")));
    env.fetch().expect(73);
    assert_eq!(maildrop.left(), ["jo", "own"]);
    fs::rename(&away, &jo).unwrap();
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_maildir_whose_new_takes_no_mail_keeps_nobody_elses() {
    // Root can write everywhere.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let (maildrop, env) = many_for_two();
    let new = env.path("Mail/jo/new");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o500)).unwrap();
    for n in 10..13 {
        env.fetch().expect(73).says("Mail/jo/new");
        assert_eq!((mail_in(&env, "a").len(), mail_in(&env, "jo").len()), (n, 1));
        maildrop.change(|contents| contents.messages.push(message(&format!("own{n}"), "From: ann@example.org")));
    }
    fs::set_permissions(&new, fs::Permissions::from_mode(0o700)).unwrap();
    env.fetch().expect(0);
    assert_eq!((mail_in(&env, "a").len(), mail_in(&env, "jo").len()), (13, 11));
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn two_paths_to_one_maildir_are_one() {
    let maildrop = Maildrop::new(vec![message("one", "From: jo@example.org"), message("two", "Subject: Grüße")]);
    let env = TestEnv::in_memory(&[]);
    fs::create_dir_all(env.path("Mail/real")).unwrap();
    std::os::unix::fs::symlink(env.path("Mail/real"), env.path("Mail/jo")).unwrap();
    let rules = RULES.replace(
        "{ header = \"Subject\", contains = \"grüße\", maildir = \"~/Mail/jo\" }",
        "{ header = \"Subject\", contains = \"grüße\", maildir = \"~/Mail/real\" }",
    );
    env.configure(&[mailbox(&maildrop, &rules)]);
    env.fetch().expect(0);
    assert_eq!(mail_in(&env, "real"), ["one", "two"]);
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn a_rule_that_says_too_little_or_too_much_is_refused_with_its_line() {
    let maildrop = Maildrop::new(Vec::new());
    for (rule, problem, help) in [
        ("contains = \"x\", skip = true", "a rule has no `header`", "such as \"List-Id\""),
        ("header = \"To\", skip = true", "nothing in a rule says what the field is compared with", "`contains`"),
        ("header = \"To\", contains = \"x\"", "nothing in a rule says where the message goes", "`folder`"),
        (
            "header = \"To\", contains = \"x\", equals = \"y\", skip = true",
            "`equals` and `contains` are in the same rule",
            "array",
        ),
        (
            "header = \"To\", contains = \"x\", skip = true, folder = \"y\"",
            "`folder` and `skip` are in the same rule",
            "",
        ),
        (
            "header = \"To\", contains = \"x\", forward = true",
            "has no `forward`, and some of its mail is to go there",
            "add [accounts.a.forward] with",
        ),
        (
            "header = \"To:\", contains = \"x\", skip = true",
            "`header` is not the name of a header field",
            "without a colon",
        ),
        ("header = \"To\", contains = [], skip = true", "`contains` is empty", ""),
        ("header = \"To\", matches = 'x\\', skip = true", "ends in a backslash", ""),
        ("header = \"To\", contains = 7, skip = true", "`contains` is a whole number", ""),
        ("header = \"To\", contains = \"x\", skip = false", "`skip` is false, which leads nowhere", ""),
        ("header = \"To\", contains = \"x\", folder = \"a/b\"", "`folder` is not the name of a folder", "`maildir`"),
        ("header = \"To\", contains = \"x\", folder = \"a..b\"", "`folder` is not the name of a folder", ""),
        ("header = \"To\", contains = \"x\", maildir = \"lists\"", "`maildir` is not an absolute path", ""),
        ("header = \"To\", contain = \"x\", skip = true", "unknown key `contain`", "did you mean `contains`?"),
    ] {
        let env = TestEnv::in_memory(&[mailbox(&maildrop, &format!("[{{ {rule} }}]"))]);
        env.fetch().expect(78).says(problem).says(help).says("config.toml:");
    }
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).set("rules", "true")]);
    env.fetch().expect(78).says("`rules` is true or false, but an array of tables is expected");
}

#[test]
fn rules_may_stand_in_tables_of_their_own_and_in_the_defaults() {
    let maildrop = Maildrop::new(vec![message("one", "From: jo@example.org"), message("two", "Subject: no")]);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.configure_more("\n[[accounts.a.rules]]\nheader = \"From\"\nmatches = \"*@example.org\"\nfolder = \"Jo\"\n");
    env.configure_more("\n[[accounts.a.rules]]\nheader = \"Subject\"\nequals = \"no\"\nskip = true\n");
    env.fetch().expect(0).says("1 new message");
    assert_eq!(mail_in(&env, "a/.Jo"), ["one"]);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.configure_more(
        "\n[[defaults.rules]]\nheader = \"From\"\ncontains = \"jo\"\nmaildir = \"~/Mail/{account}-jo\"\n",
    );
    env.fetch().expect(0).says("2 new messages");
    assert_eq!((mail_in(&env, "a-jo"), mail_in(&env, "a")), (vec!["one".to_owned()], vec!["two".to_owned()]));
    assert!(Path::new(&env.path("Mail/a-jo/new")).is_dir());
}
