//! The daemon forwards mail by itself, and a destination that is down delays nobody else.

use super::*;
use crate::delivered::files;
use crate::scripted::imap::ImapServer;

#[test]
fn mail_goes_on_by_itself_and_a_dead_destination_holds_neither_polls_nor_other_accounts() {
    let (maildrop, other) = (Maildrop::new(small_ones(3)), Maildrop::new(small_ones(2)));
    let (server, well) = (ImapServer::start(), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] Invalid credentials"));
    let to = |maildrop: &Maildrop, server: &ImapServer| {
        Account::at(maildrop.server.address).deleting().set("forward", server.forward(""))
    };
    let env = TestEnv::new(&[to(&maildrop, &server), to(&other, &well).named("b")]);
    let told = env.path("told");
    let script = env.path("tell");
    std::fs::write(&script, format!("#!/bin/sh\necho $MAILFERRY_EVENT $MAILFERRY_COUNT >>{}\n", told.display()))
        .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    env.configure_more(&format!("\n[notify]\ncommand = [{script:?}]\n"));
    let daemon = Daemon::start(&env);
    wait_for("the other account", || well.mail().len() == 2);
    wait_for("the failure", || daemon.account("a")["forward"]["why"].is_string());
    let forward = daemon.account("a")["forward"].clone();
    assert_eq!((&forward["messages"], &forward["forwarded"]), (&3.into(), &0.into()), "{forward}");
    assert!(forward["why"].as_str().unwrap().contains("Invalid credentials"), "{forward}");
    assert!(forward["next_try"].as_i64().unwrap() > daemon.status()["now"].as_i64().unwrap() + 500, "{forward}");
    env.run(&["status"]).expect(0).says("in the spool  3 messages").says("tried again in");
    wait_for("the news", || std::fs::read_to_string(&told).is_ok_and(|text| text == "forwarding 3\n"));
    // Polling continues meanwhile.
    maildrop.change(|contents| contents.messages.push(Message::new("u4", &small(4))));
    daemon.poll("a");
    wait_for("new mail", || files(&env.path("state/a.spool/new")).len() == 4);
    wait_for("that it is counted", || daemon.account("a")["forward"]["messages"] == 4);
    assert_eq!(maildrop.left().len(), 4);
    server.with(|mailbox| mailbox.login_refusal = None);
    daemon.poll("a");
    wait_for("everything", || server.mail().len() == 4);
    wait_for("the end of the failure", || daemon.account("a")["forward"]["why"].is_null());
    wait_for("the news", || std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with("forwarding-recovered\n")));
    daemon.poll("a");
    wait_for("the source to be empty", || {
        daemon.poll("a");
        maildrop.left().is_empty()
    });
    assert_eq!(daemon.account("a")["forward"]["forwarded"], 4);
    daemon.end().says("a: forwarding to ");
}

/// Two messages for a destination that refuses the login. The daemon polls only when told to.
fn refused() -> (Maildrop, ImapServer, TestEnv) {
    let (maildrop, server) = (Maildrop::new(small_ones(2)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] Invalid credentials"));
    let account = Account::at(maildrop.server.address).deleting().text("interval", "1h");
    let env = TestEnv::new(&[account.set("forward", server.forward(""))]);
    (maildrop, server, env)
}

/// Each number that is reported is current, or is shown with its time.
#[test]
fn what_is_in_the_spool_is_counted_whoever_has_brought_or_taken_it() {
    let (maildrop, server, env) = refused();
    let daemon = Daemon::start(&env);
    let forward = || daemon.account("a")["forward"].clone();
    wait_for("the failure", || forward()["why"].is_string());
    let counts = |messages: u64, set_aside: u64| {
        let forward = forward();
        forward["messages"] == messages && forward["set_aside"] == set_aside && forward["counted"].is_i64()
    };
    wait_for("what waits", || counts(2, 0));
    // Another process fetches more; the pause continues.
    maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
    env.fetch().expect(77);
    wait_for("what fetch has brought", || counts(3, 0));
    // It is removed by hand, which the next poll notices.
    let mut waiting = files(&env.path("state/a.spool/new"));
    waiting.sort();
    std::fs::remove_file(&waiting[0]).unwrap();
    server.with(|mailbox| mailbox.login_refusal = None);
    server.faults(&[crate::scripted::imap::Fault::Refuse("NO [TOOBIG] too large")]);
    daemon.poll("a");
    wait_for("what is set aside", || forward()["set_aside"] == 1 && forward()["messages"] == 0);
    // Which of the two is first in the spool is up to the moments at which they came.
    let unique_id = forward()["first_set_aside"][0]["unique_id"].as_str().unwrap().to_owned();
    env.run(&["status"]).expect(0).says(&format!("unique-id {unique_id} (")).says("[TOOBIG] too large");
    let aside = files(&env.path("state/a.spool/new"));
    let aside = aside.iter().find(|file| {
        let name = forward()["first_set_aside"][0]["name"].as_str().unwrap().to_owned();
        file.file_name().unwrap().to_str() == Some(&name)
    });
    maildrop.change(|contents| contents.messages.retain(|message| message.uid != unique_id));
    std::fs::remove_file(aside.unwrap()).unwrap();
    daemon.poll("a");
    wait_for("that nothing is set aside any more", || counts(0, 0));
    daemon.end();
}

/// While a pass runs, both what has left and what has arrived since are counted.
#[test]
fn a_pass_that_runs_is_told_as_it_goes() {
    let (maildrop, server) = (Maildrop::new(small_ones(4)), ImapServer::start());
    server.with(|mailbox| {
        (mailbox.hangs, mailbox.capabilities) =
            (Some(b"This is 3.".as_slice()), "IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS");
    });
    let account = Account::at(maildrop.server.address).deleting().text("interval", "1h");
    let env = TestEnv::new(&[account.set("forward", server.forward(""))]);
    let daemon = Daemon::start(&env);
    let forward = || daemon.account("a")["forward"].clone();
    wait_for("two of them", || forward()["forwarded"] == 2);
    let told = forward();
    assert_eq!((&told["running"], &told["messages"]), (&true.into(), &2.into()), "{told}");
    assert!(told["last_forwarded"].is_i64(), "{told}");
    env.run(&["status"]).expect(0).says("2 messages since the daemon began, the last one").says("being tried now");
    maildrop.change(|contents| contents.messages.push(Message::new("u5", &small(5))));
    daemon.poll("a");
    wait_for("what has come since", || forward()["messages"] == 3 && forward()["running"] == true);
    daemon.end();
}

#[test]
fn an_account_that_forwards_no_more_is_not_well_as_long_as_mail_waits_in_its_spool() {
    let (maildrop, server) = (Maildrop::new(small_ones(3)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down for today"));
    let account = Account::at(maildrop.server.address).deleting();
    let env = TestEnv::in_memory(&[account.clone().set("forward", server.forward(""))]);
    let socket = env.path("http.sock");
    let serve = || env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    serve();
    let daemon = Daemon::start(&env);
    wait_for("mail in the spool", || daemon.account("a")["forward"]["messages"] == 3);
    env.configure(&[account]);
    serve();
    daemon.running.signal(Signal::HUP);
    wait_for("the word", || daemon.account("a")["forward"]["stranded"] == true);
    let forward = daemon.account("a")["forward"].clone();
    assert_eq!(forward["messages"], 3, "{forward}");
    assert!(forward["why"].as_str().unwrap().contains("no `forward` any more"), "{forward}");
    let status = env.run(&["status", "a"]).expect(0).says("its mail is not forwarded").says("in the spool  3 messages");
    assert!(!status.output().contains("all is well"), "{status:?}");
    env.run(&["status", "--check"]).expect(1).says("--accept-maildir a");
    let shown = page::get(&socket, "/");
    assert!(shown.contains("Mail of 1 account is not forwarded") && shown.contains("--accept-maildir"), "{shown}");
    daemon.end();
}

#[test]
fn a_daemon_tells_of_spools_whose_accounts_are_gone_at_its_start_and_at_a_reload() {
    let (maildrop, other, server) = (Maildrop::new(small_ones(2)), Maildrop::new(small_ones(1)), ImapServer::start());
    server.with(|mailbox| mailbox.login_refusal = Some("NO [UNAVAILABLE] down"));
    let account = Account::at(other.server.address).named("b");
    let forwarding = Account::at(maildrop.server.address).set("forward", server.forward(""));
    let env = TestEnv::new(&[account.clone(), forwarding]);
    let daemon = Daemon::start(&env);
    wait_for("mail in the spool", || daemon.account("a")["forward"]["messages"] == 2);
    assert_eq!(daemon.status()["unclaimed_spools"], Value::Array(Vec::new()));
    env.configure(&[account]);
    daemon.running.signal(Signal::HUP);
    let told = || daemon.status()["unclaimed_spools"].clone();
    wait_for("the word", || told()[0]["account"] == "a");
    assert_eq!((told().as_array().unwrap().len(), &told()[0]["messages"]), (1, &2.into()));
    let words = "a: 2 messages wait in ";
    env.run(&["status"]).expect(0).says(words);
    env.run(&["status", "--check"]).expect(1).says(words);
    daemon.end().says(words);
    let daemon = Daemon::start(&env);
    wait_for("the word", || daemon.status()["unclaimed_spools"][0]["account"] == "a");
    daemon.end().says(words);
}

/// A script that delivers into the directory `$1` what it gets, once there is a file `go` in it.
fn held_up(dir: &std::path::Path) -> String {
    std::fs::create_dir_all(dir).unwrap();
    let words =
        "echo >>\"$0/begun\"; while ! [ -e \"$0/go\" ]; do sleep 0.05; done; cat >\"$0/m.$MAILFERRY_DELIVERY_ID\"";
    format!("{{ command = [\"/bin/sh\", \"-c\", {words:?}, {:?}] }}", dir.display().to_string())
}

/// Returns how many messages a script of [`held_up`] has begun, and how many it has delivered.
fn of_script(dir: &std::path::Path) -> (usize, usize) {
    let begun = std::fs::read_to_string(dir.join("begun")).unwrap_or_default();
    let is_message = |path: &&std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("m.");
    (begun.lines().count(), files(dir).iter().filter(is_message).count())
}

#[test]
fn a_reload_ends_a_pass_whose_configuration_has_changed_and_no_other() {
    let maildrops: Vec<Maildrop> = (0..4).map(|_| Maildrop::new(small_ones(3))).collect();
    let (silent, new, newer) = (ImapServer::start(), ImapServer::start(), ImapServer::start());
    silent.with(|mailbox| {
        mailbox.hangs = Some(b"This is 2.");
        mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN";
    });
    let scripts = tempfile::tempdir().unwrap();
    let script = |name: &str| scripts.path().join(name);
    let names = ["changed", "unchanged", "removed", "hanging"];
    let account = |n: usize, forward: String| {
        let account = Account::at(maildrops[n].server.address).named(names[n]).deleting();
        account.text("interval", "1h").set("forward", forward)
    };
    let unchanged = account(1, held_up(&script("unchanged")));
    let env = TestEnv::new(&[
        account(0, held_up(&script("changed"))),
        unchanged.clone(),
        account(2, held_up(&script("removed"))),
        account(3, silent.forward("")),
    ]);
    let daemon = Daemon::start(&env);
    wait_for("the first messages", || names[..3].iter().all(|name| of_script(&script(name)) == (1, 0)));
    wait_for("the server that hangs", || daemon.account("hanging")["forward"]["forwarded"] == 1);
    env.configure(&[account(0, new.forward("")), unchanged.text("interval", "2h"), account(3, newer.forward(""))]);
    daemon.running.signal(Signal::HUP);
    wait_for("the reload", || daemon.account("removed").is_null());
    assert!(new.mail().is_empty(), "the message under way may still arrive");
    names[..3].iter().for_each(|name| std::fs::write(script(name).join("go"), "").unwrap());
    wait_for("the new destination", || new.mail().len() == 2);
    wait_for("the one that is unchanged", || of_script(&script("unchanged")) == (3, 3));
    wait_for("the one whose old destination hangs", || newer.mail().len() == 2);
    assert_eq!(silent.mail().len(), 1);
    for name in ["changed", "hanging"] {
        wait_for("the end of the pass", || daemon.account(name)["forward"]["running"] == false);
        let forward = daemon.account(name)["forward"].clone();
        assert_eq!(
            (&forward["messages"], &forward["why"], &forward["forwarded"]),
            (&0.into(), &Value::Null, &3.into())
        );
    }
    for name in ["changed", "removed"] {
        assert_eq!(of_script(&script(name)), (1, 1), "{name}: the message under way arrives, and no other one begins");
    }
    let log = daemon.end();
    for name in ["changed", "removed", "hanging"] {
        assert!(log.stderr.contains(&format!("{name}: its configuration has changed, so forwarding to ")), "{log:#?}");
    }
    assert!(!log.output().contains("unchanged: its configuration"), "{log:#?}");
}

#[test]
fn destinations_that_never_come_to_an_end_hold_nobody_and_cost_little_memory() {
    use crate::forward::hostile::{imap_at, lmtp_at};
    use crate::scripted::endless::{imap_servers, lmtp_servers};
    let (maildrop, well) = (Maildrop::new(small_ones(3)), ImapServer::start());
    let (mut accounts, mut kept) = (Vec::new(), Vec::new());
    let mut add = |forward: String| {
        let source = Maildrop::new(small_ones(1));
        let name = format!("h{}", accounts.len());
        accounts.push(
            Account::at(source.server.address).deleting().named(&name).text("timeout", "5s").set("forward", forward),
        );
        kept.push(source);
    };
    let mut listening = Vec::new();
    for (servers, at) in [(imap_servers(), imap_at as fn(_) -> _), (lmtp_servers(), lmtp_at as fn(_) -> _)] {
        for (_, server) in servers {
            let (address, held) = server.start();
            listening.push(held);
            add(at(address));
        }
    }
    let hostile = accounts.len();
    accounts.push(Account::at(maildrop.server.address).deleting().set("forward", well.forward("")));
    let env = TestEnv::new(&accounts);
    let daemon = Daemon::start(&env);
    wait_for("the account that is well", || well.mail().len() == 3);
    wait_for("the others to be tried", || {
        let is_told = |n| daemon.account(&format!("h{n}"))["forward"]["messages"] == 1;
        (0..hostile).all(is_told)
    });
    let begun = Instant::now();
    maildrop.change(|contents| contents.messages.push(Message::new("u4", &small(4))));
    daemon.poll("a");
    wait_for("what came meanwhile", || well.mail().len() == 4);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.running.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 96 * 1024, "{peak} KiB, the program's text included");
    assert!(kept.iter().all(|source| source.left().len() == 1), "nothing goes that has not arrived");
    daemon.end();
}

#[test]
fn destinations_that_say_nothing_take_neither_all_files_nor_all_places() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let forward = crate::forward::hostile::lmtp_at(silent.local_addr().unwrap());
    let (source, maildrop, well) = (Maildrop::new(small_ones(1)), Maildrop::new(small_ones(3)), ImapServer::start());
    let silent_one = |n: usize| {
        let account = Account::at(source.server.address).named(&format!("s{n:02}")).text("timeout", "5s");
        account.text("interval", "1h").set("forward", &forward)
    };
    let mut accounts: Vec<Account> = (0..40).map(silent_one).collect();
    accounts.push(Account::at(maildrop.server.address).named("well").set("forward", well.forward("")));
    let env = TestEnv::new(&accounts);
    env.configure_more("\n[daemon]\nper_host = 16\n");
    let running = env.spawn_under(&["bash", "-c", "ulimit -n 256; exec \"$@\"", "bash"], &["daemon"]);
    let daemon = Daemon { env: &env, running };
    let (mut held, mut most) = (Vec::new(), 0);
    wait_for("mail for the destination that is well", || {
        held.extend(std::iter::from_fn(|| silent.accept().ok().map(|(connection, _)| connection)));
        // A connection that the daemon has closed has an end.
        held.retain_mut(|connection: &mut std::net::TcpStream| {
            connection.set_nonblocking(true).unwrap();
            !matches!(std::io::Read::read(connection, &mut [0; 1]), Ok(0))
        });
        most = most.max(held.len());
        well.mail().len() == 3
    });
    wait_for("all polls", || (0..40).all(|n| daemon.account(&format!("s{n:02}"))["total"]["messages"] == 1));
    assert!(most <= 8, "{most} passes at the same time");
    let outcome = daemon.end();
    assert!(!outcome.output().contains("open files"), "{outcome:?}");
}

#[test]
fn status_tells_why_mail_waits_that_the_spool_is_full_and_what_forward_has_done() {
    let maildrop = Maildrop::new(small_ones(2));
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("deliver");
    let write = |text: &str| {
        std::fs::write(&script, format!("#!/bin/sh\ncat >/dev/null\n{text}\n")).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("echo no disk >&2; exit 75");
    let forward = format!("{{ command = [{script:?}], spool_messages = 1 }}");
    let account = Account::at(maildrop.server.address).deleting().set("forward", forward);
    let env = TestEnv::new(&[account]);
    let daemon = Daemon::start(&env);
    let forwarding = || daemon.account("a")["forward"].clone();
    wait_for("the reason", || forwarding()["why"].as_str().is_some_and(|why| why.contains("(no disk)")));
    wait_for("the spool to be full", || forwarding()["spool_full"] == true);
    env.run(&["status"]).expect(0).says("(no disk)").says("fetching pauses until there is room");
    write("exit 65");
    env.run(&["forward"]).expect(1);
    wait_for("what forward has done", || forwarding()["set_aside"] == 1);
    env.run(&["status"]).expect(0).says("some of its mail is set aside").says("forward --again a");
    write("exit 0");
    env.run(&["forward", "--again", "a"]).expect(0);
    wait_for("what forward has done", || forwarding()["set_aside"] == 0);
    wait_for("the rest, now that there is room", || forwarding()["forwarded"] == 2 && maildrop.left().len() <= 1);
    daemon.end();
}

/// Room in the spool is no reason to log in before the server allows it; a server that announces nothing is asked at
/// once.
#[test]
fn room_in_the_spool_is_waited_for_no_less_than_the_login_delay() {
    for delay in [None, Some(3600)] {
        let maildrop = Maildrop::with(small_ones(2), |behaviour| {
            let announced = delay.map(|delay| format!("LOGIN-DELAY {delay}"));
            behaviour.capabilities.as_mut().unwrap().extend(announced);
        });
        let dir = tempfile::tempdir().unwrap();
        let (fails, script) = (dir.path().join("fails"), dir.path().join("deliver"));
        std::fs::write(&fails, "").unwrap();
        std::fs::write(&script, format!("#!/bin/sh\ncat >/dev/null\n[ ! -e {} ] || exit 75\n", fails.display()))
            .unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let forward = format!("{{ command = [{script:?}], spool_messages = 1 }}");
        let account = Account::at(maildrop.server.address).deleting().set("forward", forward);
        let env = TestEnv::new(&[account.set("interval", "\"6h\"")]);
        let daemon = Daemon::start(&env);
        wait_for("the spool to be full", || daemon.account("a")["forward"]["spool_full"] == true);
        std::fs::remove_file(&fails).unwrap();
        env.run(&["forward"]).expect(0);
        wait_for("what forward has done", || daemon.account("a")["forward"]["spool_full"] == false);
        match delay {
            None => wait_for("the rest", || maildrop.count("RETR") == 2),
            Some(_) => {
                // A poll would take some milliseconds. Until the next one is due, the server is left alone.
                std::thread::sleep(Duration::from_secs(1));
                assert_eq!(maildrop.count("RETR"), 1, "it logged in too soon");
            }
        }
        daemon.end();
    }
}

#[test]
fn a_state_directory_that_goes_under_a_daemon_is_no_new_beginning() {
    let (forwarded, delivered, server) =
        (Maildrop::new(small_ones(3)), Maildrop::new(small_ones(2)), ImapServer::start());
    let accounts = [
        Account::at(forwarded.server.address).set("forward", server.forward("")),
        Account::at(delivered.server.address).named("b"),
    ];
    let env = TestEnv::new(&accounts);
    let daemon = Daemon::start(&env);
    wait_for("all mail", || server.mail().len() == 3 && files(&env.maildir("b").join("new")).len() == 2);
    wait_for("the end of the polls", || ["a", "b"].iter().all(|name| daemon.account(name)["state"] == "idle"));
    // A mail reader takes the messages out of the Maildir, and the disk with the state disappears.
    files(&env.maildir("b").join("new")).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    std::fs::rename(env.path("state"), env.path("away")).unwrap();
    wait_for("the socket", || env.run(&["poll"]).status == 0);
    for name in ["a", "b"] {
        wait_for("the failure", || {
            daemon.account(name)["trouble"]["text"].to_string().contains("was there at the last poll, and is gone")
        });
    }
    assert_eq!((server.mail().len(), files(&env.maildir("b").join("new")).len()), (3, 0));
    daemon.end();
}

/// A user who corrects the password file does not wait for hours until it is read.
#[test]
fn a_changed_password_file_of_the_destination_is_tried_again() {
    use crate::scripted::maildrop::PASSWORD;

    let (maildrop, server) = (Maildrop::new(small_ones(1)), ImapServer::start());
    let env = TestEnv::new(&[]);
    let file = env.path("destination.password");
    let write = |password: &str| {
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("wrong");
    let key = format!("password_file = {:?}", file.to_str().unwrap());
    let forward = server.forward("").replace(&format!("password = {PASSWORD:?}"), &key);
    env.configure(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("a")["forward"]["why"].is_string());
    write(PASSWORD);
    wait_for("the mail", || server.mail().len() == 1);
    daemon.end().says("the password file of its destination has changed");
}

/// Once the daemon has ended, only what it saved says why mail waits.
#[test]
fn why_mail_waits_is_known_after_the_daemon_has_ended() {
    let (maildrop, _server, env) = refused();
    let daemon = Daemon::start(&env);
    wait_for("the failure", || daemon.account("a")["forward"]["why"].is_string());
    maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
    daemon.poll("a");
    wait_for("the next poll", || daemon.account("a")["forward"]["messages"] == 3);
    daemon.end();
    env.run(&["status"]).expect(75).says("in the spool  3 messages (").says("Invalid credentials");
}

/// What other processes forward is counted, too.
#[test]
fn what_fetch_and_forward_have_forwarded_is_counted() {
    let (maildrop, server, env) = refused();
    let daemon = Daemon::start(&env);
    let forward = || daemon.account("a")["forward"].clone();
    wait_for("the failure", || forward()["why"].is_string());
    server.with(|mailbox| mailbox.login_refusal = None);
    env.run(&["forward"]).expect(0).says("2 forwarded");
    wait_for("that it is counted", || forward()["forwarded"] == 2 && forward()["messages"] == 0);
    assert!(forward()["last_forwarded"].is_i64());
    maildrop.change(|contents| contents.messages.push(Message::new("u3", &small(3))));
    env.fetch().expect(0).says("1 forwarded");
    wait_for("that it is counted", || forward()["forwarded"] == 3);
    env.run(&["status"]).expect(0).says("3 messages since the daemon began, the last one");
    daemon.end();
}
