//! A maildrop with mail for several people: nothing is lost, and nobody gets another's mail.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::{mail_in, message};
use crate::delivered::files;
use crate::disk_full::SmallDisk;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Body, Maildrop, Message};

/// Returns a Received field of a host.
fn received(by: &str) -> String {
    format!(
        "Received: from a.example (a.example [192.0.2.1])\r\n\tby {by} with ESMTP id 1;\r\n\tThu, 26 Nov 2026 10:00:00 +0000"
    )
}

/// A multidrop account for ann and bob, with a default for other recipients; `more` goes into the table `multidrop`.
fn office(maildrop: &Maildrop, more: &str) -> Account {
    let recipients = "{ \"ann@Site.example\" = \"~/Mail/ann\", \"bob@site.example\" = \"~/Mail/bob\" }";
    let table =
        format!("{{ header = \"X-Envelope-To\", recipients = {recipients}, default = \"~/Mail/unclear\"{more} }}");
    Account::at(maildrop.server.address).set("multidrop", table)
}

/// A message as the provider stores it for these addresses.
fn sent_to(uid: &str, addresses: &[&str]) -> Message {
    let fields: String = addresses.iter().map(|address| format!("X-Envelope-To: {address}\r\n")).collect();
    message(uid, &format!("{fields}{}\r\nTo: ann@site.example", received("mx.hoster.example")))
}

/// Returns what ann, bob and the default have.
fn boxes(env: &TestEnv) -> [Vec<String>; 3] {
    ["ann", "bob", "unclear"].map(|name| mail_in(env, name))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_gets_what_the_hoster_says_and_no_forged_field_counts() {
    let received = received("mx.hoster.example");
    let maildrop = Maildrop::new(vec![
        sent_to("for-ann", &["ann@SITE.example"]),
        sent_to("for-bob", &["<bob@site.example>"]),
        sent_to("twice", &["bob@site.example", "ann@site.example"]),
        sent_to("nobody", &["nobody@site.example"]),
        sent_to("longer", &["heyann@site.example"]),
        sent_to("longest", &["ann@site.example.net"]),
        sent_to("list", &["ann@site.example, bob@site.example"]),
        message("forged", &format!("{received}\r\nX-Envelope-To: bob@site.example\r\nDelivered-To: bob@site.example")),
        message("missing", &format!("{received}\r\nTo: bob@site.example\r\nCc: ann@site.example")),
        message("bare", "X-Envelope-To: bob@site.example\r\nTo: bob@site.example"),
        Message::new("headless", b"\r\nX-Envelope-To: bob@site.example\r\n\r\nThis is headless.\r\n"),
    ]);
    let env = TestEnv::in_memory(&[office(&maildrop, "").deleting()]);
    let check = env.run(&["check"]).expect(0);
    for line in [
        "X-Envelope-To says ann@SITE.example: ",
        "X-Envelope-To says heyann@site.example, which is not one of `recipients`; it goes to the default: ",
        "X-Envelope-To says ann@site.example, bob@site.example, which is not an address alone; it goes",
        "the provider wrote no X-Envelope-To; it goes to the default: ",
        "the provider wrote 2 X-Envelope-To for different addresses (bob@site.example, ann@site.example), and neither",
        "there is no Received field",
    ] {
        assert!(check.output().contains(line), "{line}: {check:?}");
    }
    assert_eq!(maildrop.left().len(), 11);
    env.fetch().expect(0).says("11 new messages");
    let unclear = ["bare", "forged", "headless", "list", "longer", "longest", "missing", "nobody", "twice"];
    assert_eq!(boxes(&env), [names(&["for-ann"]), names(&["for-bob"]), names(&unclear)]);
    assert!(maildrop.left().is_empty() && files(&env.path("Mail/a")).is_empty());
}

const ADOPT: [&str; 5] = ["uids", "adopt", "a", "--from-maildir", "--yes"];

#[test]
fn after_a_lost_state_a_message_counts_as_fetched_if_all_its_recipients_have_it() {
    let maildrop = Maildrop::new(vec![
        sent_to("for-ann", &["ann@site.example"]),
        sent_to("for-bob", &["bob@site.example"]),
        sent_to("nobody", &["nobody@site.example"]),
        sent_to("both", &["bob@site.example", "ann@site.example"]),
        sent_to("half", &["bob@site.example", "ann@site.example"]),
    ]);
    let env = TestEnv::in_memory(&[office(&maildrop, ", one_copy = true")]);
    env.fetch().expect(0).says("5 new messages");
    // Bob's copy of one message did not get there before the state was lost.
    let is_half =
        |path: &&std::path::PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains("This is half");
    fs::remove_file(files(&env.path("Mail/bob/new")).iter().find(is_half).unwrap()).unwrap();
    fs::remove_dir_all(env.path("state")).unwrap();
    env.fetch().expect(73).says("uids adopt a --from-maildir");
    env.run(&ADOPT).expect(0).says("adopted 4 messages");
    env.fetch().expect(0).says("1 new message");
    let [ann, bob, unclear] = boxes(&env);
    assert_eq!((bob, unclear), (names(&["both", "for-bob", "half"]), names(&["nobody"])));
    assert_eq!(ann, names(&["both", "for-ann", "half", "half"]));
}

#[test]
fn an_account_without_a_maildir_is_told_so() {
    let maildrop = Maildrop::new(vec![sent_to("for-ann", &["ann@site.example"])]);
    let account = Account::at(maildrop.server.address).without("maildir");
    let env = TestEnv::in_memory(&[account.set("forward", "{ command = [\"false\"] }")]);
    env.run(&ADOPT).expect(64).says("`a` forwards its mail and has no Maildir");
    assert!(!env.path("state/a.uids").exists());
}

#[test]
fn occurrence_prefix_and_trusted_host_are_as_configured() {
    let (mx, store, other) =
        (received("mx.hoster.example"), received("store.hoster.example"), received("sender.example"));
    let to = |who: &str| format!("X-Envelope-To: hoster-{who}@site.example");
    let maildrop = Maildrop::new(vec![
        message("inside", &format!("{}\r\n{store}\r\n{}\r\n{mx}\r\n{other}", to("bob"), to("ann"))),
        message("forged", &format!("{}\r\n{store}\r\n{mx}\r\n{}\r\n{mx}\r\n{other}", to("bob"), to("ann"))),
        message("past-it", &format!("{}\r\n{}\r\n{other}", to("ann"), to("bob"))),
    ]);
    let more = ", occurrence = 2, strip_prefix = \"hoster-\", trusted_received_by = [\"MX.hoster.example\"]";
    let env = TestEnv::in_memory(&[office(&maildrop, more)]);
    env.fetch().expect(0);
    assert_eq!(boxes(&env), [names(&["inside"]), vec![], names(&["forged", "past-it"])]);
}

#[test]
fn with_one_copy_all_recipients_get_theirs_or_none_does() {
    let maildrop = Maildrop::new(vec![
        sent_to("both", &["ann@site.example", "bob@site.example", "ann@site.example"]),
        sent_to("one", &["bob@site.example"]),
        sent_to("half", &["ann@site.example", "nobody@site.example"]),
    ]);
    let env = TestEnv::in_memory(&[office(&maildrop, ", one_copy = true").deleting()]);
    env.fetch().expect(0).says("3 new messages");
    assert_eq!(boxes(&env), [names(&["both", "half"]), names(&["both", "one"]), names(&["half"])]);
    assert!(maildrop.left().is_empty());
    for (uid, addresses, owners) in [
        ("both", &["ann@site.example", "bob@site.example", "ann@site.example"][..], ["ann", "bob"]),
        ("half", &["ann@site.example", "nobody@site.example"], ["ann", "unclear"]),
    ] {
        let Body::Bytes(sent) = sent_to(uid, addresses).body else { panic!("its bytes are there") };
        for owner in owners {
            let all = files(&env.path("Mail").join(owner).join("new"));
            let copies = all.iter().filter(|path| fs::read(path).unwrap() == stored(&sent));
            assert_eq!(copies.count(), 1, "{owner} has {uid} byte for byte");
        }
    }
    for name in ["ann", "bob", "unclear"] {
        assert!(files(&env.path("Mail").join(name).join("tmp")).is_empty(), "{name}");
    }
    env.fetch().expect(0).says("nothing new");
}

#[test]
fn two_recipients_whose_maildirs_are_one_directory_get_one_copy() {
    for bound in [false, true] {
        let maildrop = Maildrop::new(vec![
            sent_to("both", &["ann@site.example", "bob@site.example"]),
            sent_to("one", &["ann@site.example"]),
        ]);
        let env = TestEnv::in_memory(&[office(&maildrop, ", one_copy = true").deleting()]);
        let (ann, bob) = (env.path("Mail/ann"), env.path("Mail/bob"));
        fs::create_dir_all(&ann).unwrap();
        let _unmounted = match bound {
            false => {
                std::os::unix::fs::symlink(&ann, &bob).unwrap();
                None
            }
            true => {
                let Some(bound) = SmallDisk::bind(&ann, &bob) else { return };
                Some(bound)
            }
        };
        env.fetch().expect(0).says("2 new messages");
        assert_eq!((mail_in(&env, "ann"), maildrop.left().len()), (names(&["both", "one"]), 0), "bound: {bound}");
        env.fetch().expect(0).says("nothing new");
    }
}

#[test]
fn a_recipient_whose_maildir_is_full_costs_the_others_nothing() {
    let maildrop = Maildrop::new(Vec::new());
    let env = TestEnv::in_memory(&[office(&maildrop, ", one_copy = true").deleting()]);
    let Some(disk) = SmallDisk::mount(&env.path("Mail/ann"), 512) else { return };
    maildrop.change(|contents| contents.messages.push(sent_to("first", &["ann@site.example"])));
    env.fetch().expect(0);
    let filler = env.path("Mail/ann/filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    maildrop.change(|contents| {
        for n in 0..5 {
            contents.messages.push(sent_to(&format!("ann{n}"), &["ann@site.example"]));
            contents.messages.push(sent_to(&format!("both{n}"), &["bob@site.example", "ann@site.example"]));
            contents.messages.push(sent_to(&format!("bob{n}"), &["bob@site.example"]));
        }
    });
    for _ in 0..4 {
        env.fetch().expect(73).says("Mail/ann");
    }
    assert_eq!(boxes(&env), [names(&["first"]), names(&["bob0", "bob1", "bob2", "bob3", "bob4"]), vec![]]);
    assert_eq!(maildrop.left().len(), 10, "mail that ann has not received stays");
    assert!(files(&env.path("Mail/bob/tmp")).is_empty(), "no copy is left behind");
    fs::remove_file(&filler).unwrap();
    // The failed tries do not count against the messages: a full disk is not their fault.
    env.fetch().expect(0);
    assert_eq!(boxes(&env).map(|mail| mail.len()), [11, 10, 0]);
    assert!(maildrop.left().is_empty());
    drop(disk);
}

#[test]
fn copies_for_many_recipients_need_no_more_files_than_may_be_open() {
    let addresses: Vec<String> = (0..20).map(|n| format!("r{n}@site.example")).collect();
    let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let maildrop = Maildrop::new((0..40).map(|n| sent_to(&format!("m{n:02}"), &to)).collect());
    let recipients: Vec<String> = (0..20).map(|n| format!("\"r{n}@site.example\" = \"~/Mail/r{n}\"")).collect();
    let table = format!(
        "{{ header = \"X-Envelope-To\", one_copy = true, default = \"~/Mail/unclear\", recipients = {{ {} }} }}",
        recipients.join(", ")
    );
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).set("multidrop", table).deleting()]);
    env.configure_more("[daemon]\nconcurrency = 1");
    env.spawn_under(&["bash", "-c", "ulimit -n 256; exec \"$@\"", "bash"], &["fetch"]).wait().expect(0);
    for n in 0..20 {
        assert_eq!(mail_in(&env, &format!("r{n}")).len(), 40, "r{n}");
    }
    assert!(maildrop.left().is_empty());
}

#[test]
fn a_multidrop_that_is_not_strict_is_refused_with_its_line() {
    let maildrop = Maildrop::new(Vec::new());
    let good = "header = \"Delivered-To\", default = \"~/Mail/x\", recipients = { \"a@b.example\" = \"~/Mail/a\" }";
    for (table, problem, help) in [
        ("default = \"~/x\", recipients = { \"a@b\" = \"~/a\" }", "`multidrop` has no `header`", "Delivered-To"),
        ("header = \"Delivered-To\", recipients = { \"a@b\" = \"~/a\" }", "`multidrop` has no `default`", "unclear"),
        ("header = \"Delivered-To\", default = \"~/x\"", "`multidrop` has no `recipients`", ""),
        (
            "header = \"To\", default = \"~/x\", recipients = { \"a@b\" = \"~/a\" }",
            "`header` names a field that the sender",
            "",
        ),
        ("header = \"Delivered-To\", default = \"~/x\", recipients = {}", "`recipients` is empty", ""),
        (
            "header = \"Delivered-To\", default = \"~/x\", recipients = { \"*@b\" = \"~/a\" }",
            "`*@b` is not an address",
            "no wildcards",
        ),
        (
            "header = \"Delivered-To\", default = \"~/x\", recipients = { \"ann\" = \"~/a\" }",
            "`ann` is not an address",
            "",
        ),
        (
            "header = \"Delivered-To\", default = \"~/x\", recipients = { \"a@b\" = \"a\" }",
            "`a@b` is not an absolute path",
            "",
        ),
        (
            "header = \"Delivered-To\", default = \"~/x\", recipients = { \"a@b\" = \"~/a\", \"a@B\" = \"~/b\" }",
            "is there twice",
            "",
        ),
    ] {
        let env =
            TestEnv::in_memory(&[Account::at(maildrop.server.address).set("multidrop", format!("{{ {table} }}"))]);
        env.fetch().expect(78).says(problem).says(help).says("config.toml:");
    }
    for (more, problem) in [
        (", occurrence = 0", "`occurrence` is 0"),
        (", occurrence = 1, one_copy = true", "`occurrence` names one field"),
        (", trusted_received_by = []", "`trusted_received_by` is empty"),
        (", header_name = \"x\"", "unknown key `header_name` in [accounts.a.multidrop]"),
        (", forward = true", "unknown key `forward`"),
    ] {
        let table = format!("{{ {good}{more} }}");
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).set("multidrop", table)]);
        env.fetch().expect(78).says(problem);
    }
    let account = Account::at(maildrop.server.address).set("multidrop", format!("{{ {good} }}"));
    let with_rules = account.clone().set("rules", "[{ header = \"X\", equals = \"y\", skip = true }]");
    TestEnv::in_memory(&[with_rules]).fetch().expect(78).says("has `rules` and `multidrop`");
    let with_maildir = account.text("maildir", "/x");
    TestEnv::in_memory(&[with_maildir]).fetch().expect(78).says("has `maildir` and `multidrop`");
}

/// Kills a fetch once there are `arrived` files in the three Maildirs.
fn kill_when(env: &TestEnv, arrived: usize) {
    let mut running = env.spawn(&["fetch"]);
    let new = ["ann", "bob", "unclear"].map(|name| env.path("Mail").join(name).join("new"));
    while running.is_running() && new.iter().map(|dir| files(dir).len()).sum::<usize>() < arrived {
        std::thread::sleep(Duration::from_millis(1)); // how often to check; nothing depends on it
    }
    if running.is_running() {
        running.signal(Signal::KILL);
    }
    drop(running.wait());
}

#[test]
fn kills_at_any_moment_lose_nothing_and_leave_nothing_half_delivered() {
    let expected = |n: usize| match n % 3 {
        0 => vec!["ann"],
        1 => vec!["bob", "ann"],
        _ => vec!["unclear"],
    };
    let messages = (0..60).map(|n| {
        let addresses: Vec<String> = expected(n).iter().map(|who| format!("{who}@site.example")).collect();
        sent_to(&format!("m{n:02}"), &addresses.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let maildrop = Maildrop::new(messages.collect());
    let env = TestEnv::in_memory(&[office(&maildrop, ", one_copy = true").deleting()]);
    (0..12).for_each(|kill| kill_when(&env, kill * 5));
    env.fetch().expect(0);
    for who in ["ann", "bob", "unclear"] {
        let theirs: Vec<String> = (0..60).filter(|n| expected(*n).contains(&who)).map(|n| format!("m{n:02}")).collect();
        assert_eq!(mail_in(&env, who), theirs, "{who}");
        assert!(files(&env.path("Mail").join(who).join("tmp")).is_empty());
    }
    assert!(maildrop.left().is_empty());
}
