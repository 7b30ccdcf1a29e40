//! Notifications: related events together and once, by a command that works in the daemon's environment; and logins
//! that slow down.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Daemon, wait_for};
use crate::mail::{small, small_ones};
use crate::program::{Account, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, Message};

/// Configures accounts with a wrong password at a server.
fn refused(env: &TestEnv, maildrop: &Maildrop, all: usize, command: &str) {
    let account =
        |n: usize| Account::at(maildrop.server.address).named(&format!("acc{n:02}")).text("password", "not this one");
    env.configure(&(0..all).map(account).collect::<Vec<_>>());
    env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
}

fn told_by(env: &TestEnv, words: &str) -> String {
    format!("[\"sh\", \"-c\", 'echo {words} >> {}']", env.path("told").display())
}

#[test]
fn what_several_accounts_meet_at_one_server_is_told_once() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    refused(&env, &maildrop, 2, &told_by(&env, "$MAILFERRY_EVENT/$MAILFERRY_ACCOUNT/$MAILFERRY_COUNT/$MAILFERRY_TEXT"));
    let daemon = Daemon::start(&env);
    let lines = || std::fs::read_to_string(env.path("told")).unwrap_or_default();
    wait_for("the news", || !lines().is_empty());
    assert!(
        lines()
            .starts_with("trouble/acc00 acc01/2/2 accounts at 127.0.0.1: login refused: acc00, acc01. The first: acc0"),
        "{}",
        lines()
    );
    daemon.end();
    assert_eq!(lines().lines().count(), 1, "{}", lines());
    // And not again after a restart.
    let daemon = Daemon::start(&env);
    wait_for("where they stand", || daemon.account("acc01")["state"] == "trouble");
    daemon.end();
    assert_eq!(lines().lines().count(), 1, "{}", lines());
}

#[test]
fn commands_of_some_accounts_that_hang_hold_up_those_of_no_other() {
    let (new, env) = (|| Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    let (maildrops, well) = ([new(), new(), new()], new());
    let on_new_mail = |maildrop: &Maildrop, name: &str, script: String| {
        let account = Account::at(maildrop.server.address).named(name).text("interval", "1h");
        account.set("on_new_mail", format!("[\"sh\", \"-c\", '{script}']"))
    };
    let names = ["h0", "h1", "h2"];
    let hang = |(maildrop, name): (&Maildrop, &&str)| on_new_mail(maildrop, name, "exec sleep 1000".to_owned());
    let mut accounts: Vec<Account> = maildrops.iter().zip(&names).map(hang).collect();
    accounts.push(on_new_mail(&well, "well", format!("echo $MAILFERRY_COUNT >> {}", env.path("told").display())));
    env.configure(&accounts);
    let daemon = Daemon::start(&env);
    let lines = || std::fs::read_to_string(env.path("told")).unwrap_or_default();
    wait_for("the first command", || lines() == "1\n");
    let more = |maildrop: &Maildrop, name: &str| {
        wait_for("the first mail", || daemon.account(name)["total"]["messages"] == 1);
        maildrop.change(|contents| contents.messages.push(Message::new("u2", &small(2))));
        daemon.poll(name);
        wait_for("more mail", || daemon.account(name)["total"]["messages"] == 2);
    };
    // Commands for the second message would take the places that are left.
    maildrops.iter().zip(names).for_each(|(maildrop, name)| more(maildrop, name));
    more(&well, "well");
    wait_for("the second command", || lines() == "1\n1\n");
    daemon.end();
}

#[test]
fn the_failure_of_one_account_waits_for_no_other_that_was_polled_well_since() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    let account = |name| Account::at(maildrop.server.address).named(name).text("interval", "10s");
    env.configure(&[account("well"), account("wrong").text("password", "not this one")]);
    let command = told_by(&env, "$MAILFERRY_EVENT/$MAILFERRY_ACCOUNT");
    env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
    let begun = Instant::now();
    let daemon = Daemon::start(&env);
    let lines = || std::fs::read_to_string(env.path("told")).unwrap_or_default();
    wait_for("the news", || !lines().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(40) && lines().starts_with("trouble/wrong"), "{}", lines());
    daemon.end();
}

#[test]
fn many_refused_logins_at_a_server_slow_down_the_others() {
    let (maildrop, env) = (Maildrop::new(small_ones(1)), TestEnv::new(&[]));
    refused(&env, &maildrop, 12, &told_by(&env, "$MAILFERRY_TEXT"));
    let daemon = Daemon::start(&env);
    let failing = || {
        let status = daemon.status();
        status["accounts"].as_array().unwrap().iter().filter(|it| it["state"] == "trouble").count()
    };
    wait_for("the first refusals", || failing() >= 3);
    // All have been due: each has its first poll within a second of the start.
    wait_for("the others to wait", || {
        let status = daemon.status();
        let accounts = status["accounts"].as_array().unwrap();
        let now = status["now"].as_i64().unwrap();
        accounts.iter().all(|it| it["state"] == "trouble" || it["next_poll"].as_i64().is_some_and(|at| at > now + 60))
    });
    let refused = maildrop.count("AUTH");
    assert!((3..=7).contains(&refused), "{refused} logins");
    // What is held back is sent at the end.
    daemon.end();
    let told = std::fs::read_to_string(env.path("told")).unwrap_or_default();
    assert!(told.contains(" accounts at 127.0.0.1: login refused: "), "{told}");
    assert_eq!(maildrop.count("AUTH"), refused);
}

#[test]
fn the_daemon_tries_the_command_and_tells_what_became_of_it() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    env.run(&["poll", "--test-notify"]).expect(75);
    let daemon = Daemon::start(&env);
    env.run(&["poll", "--test-notify"]).expect(78).says("there is no `command` in [notify]");
    daemon.end();
    let try_it = |command: &str| {
        env.configure(&[Account::at(([127, 0, 0, 1], 9).into())]);
        env.configure_more(&format!("\n[notify]\ncommand = {command}\n"));
        let daemon = Daemon::start(&env);
        let outcome = env.run(&["poll", "--test-notify"]);
        daemon.end();
        outcome
    };
    let event = "echo $MAILFERRY_EVENT: $MAILFERRY_TEXT";
    try_it(&format!("[\"sh\", \"-c\", '{event}']")).expect(0).says("succeeded, saying: test: This is a test");
    try_it("[\"sh\", \"-c\", 'echo no way >&2; exit 3']").expect(1).says("ended with status 3, saying: no way");
    try_it("[\"/nonexistent/tell\"]").expect(1).says("`/nonexistent/tell` for the event test was not found");
    env.run(&["poll", "--test-notify", "a"]).expect(64);
}

/// An SMTP server that accepts mail (RFC 5321) and records what is sent to it.
fn mail_server() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let theirs = Arc::clone(&heard);
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut in_message = false;
        drop(stream.write_all(b"220 ready\r\n"));
        while let Some(Ok(line)) = lines.next() {
            theirs.lock().unwrap().push_str(&format!("{line}\n"));
            let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
                "." => b"250 taken\r\n",
                _ if in_message => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            in_message = line == "DATA";
            drop(stream.write_all(answer));
        }
    });
    (address, heard)
}

/// Returns the script of docs/configuration.md, with another server.
fn documented_command(server: SocketAddr) -> String {
    let page = include_str!("../../../docs/configuration.md");
    let mut scripts = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let script = scripts.find(|script| script.contains("smtp://")).expect("the page has an example");
    assert!(script.starts_with("#!/bin/sh\n"));
    script.replace("smtp://localhost:25", &format!("smtp://{server}"))
}

/// Whether the programs that the documented command needs are installed.
fn can_send() -> bool {
    let has = |program: &str| ["/bin", "/usr/bin"].iter().any(|dir| std::path::Path::new(dir).join(program).exists());
    has("curl") && has("setpriv")
}

/// Makes a daemon run the documented command with this server.
fn send_by_the_documented_command(server: SocketAddr) {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 9).into())]);
    let script = env.path("mail-trouble");
    std::fs::write(&script, documented_command(server)).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    env.configure_more(&format!("\n[notify]\ncommand = [\"{}\"]\n", script.display()));
    // As in the units: no program can gain more privileges than the daemon.
    let running = env.spawn_under(&["setpriv", "--no-new-privs"], &["daemon"]);
    wait_for("the daemon", || env.run(&["status"]).status == 0);
    env.run(&["poll", "--test-notify"]).expect(0).says("succeeded");
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect(143);
}

#[test]
fn the_documented_command_sends_a_mail_without_privileges() {
    if !can_send() {
        return skip("it takes curl and setpriv");
    }
    let (server, heard) = mail_server();
    send_by_the_documented_command(server);
    let heard = heard.lock().unwrap().clone();
    for line in [
        "MAIL FROM:<mailferry@localhost>",
        "RCPT TO:<jo@localhost>",
        "Subject: mailferry: test",
        "This is a test of the notifications of mailferry: nothing is wrong",
    ] {
        assert!(heard.lines().any(|it| it.starts_with(line)), "{line:?} is not in {heard}");
    }
}

/// aiosmtpd on a free port: it prints the port, and then the sender, the recipients, the header and the body of a mail.
const REAL_MAIL_SERVER: &str = r#"
import asyncio, email, email.policy, os
from aiosmtpd.smtp import SMTP

class Keep:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert not mail.defects and mail["subject"].startswith("mailferry: "), mail.defects
        print(envelope.mail_from, *envelope.rcpt_tos, mail["from"], mail["to"], mail["subject"], mail.get_content(), flush=True)
        return "250 taken"

async def serve():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Keep(), hostname="localhost"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(serve())
"#;

#[test]
fn a_real_mail_server_takes_what_the_documented_command_sends() {
    // Debian's Python: other installations do not see its packages.
    let python = "/usr/bin/python3";
    let probe = std::process::Command::new(python).args(["-c", "import aiosmtpd"]).output();
    if !can_send() || !probe.is_ok_and(|probe| probe.status.success()) {
        return skip("it takes curl, setpriv and aiosmtpd, of Debian's package python3-aiosmtpd");
    }
    let mut command = std::process::Command::new(python);
    let mut process = command.args(["-c", REAL_MAIL_SERVER]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port: u16 = lines.next().unwrap().parse().unwrap();
    send_by_the_documented_command(([127, 0, 0, 1], port).into());
    let taken = lines.next().unwrap_or_default();
    process.kill().unwrap();
    process.wait().unwrap();
    let wanted =
        "mailferry@localhost jo@localhost mailferry <mailferry@localhost> jo@localhost mailferry: test This is a test";
    assert!(taken.starts_with(wanted), "{taken}");
}
