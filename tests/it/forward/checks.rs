//! `mailferry check` probes the destination and leaves nothing there.

use serde_json::Value;

use super::*;
use crate::scripted::closed::ClosedPort;
use crate::scripted::lmtp::LmtpServer;

/// Checks the account `a` with this `forward`; returns the text of the step `forward`.
#[track_caller]
fn check(forward: &str, status: i32, mark: &str) -> String {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward.to_owned())]);
    let outcome = env.run(&["check", "--json"]).expect(status);
    assert_eq!((maildrop.left().len(), spool(&env)), (1, 0), "a check fetches and deletes nothing");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let steps = report["accounts"][0]["steps"].as_array().unwrap().clone();
    let step = steps.iter().find(|step| step["step"] == "forward").unwrap_or_else(|| panic!("{steps:#?}"));
    assert_eq!(step["mark"], mark, "{step}");
    step["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_mailbox_that_takes_mail_is_well_and_one_that_is_missing_is_not_made() {
    let server = ImapServer::start();
    assert!(check(&server.forward(""), 0, "ok").contains("can be delivered to"));
    server.with(|mailbox| mailbox.exists = false);
    assert!(check(&server.forward(""), 0, "ok").contains("forwarding makes it"));
    // In Dovecot's words.
    server.with(|mailbox| mailbox.missing = "NO Mailbox doesn't exist: INBOX (0.001 + 0.000 secs).");
    assert!(check(&server.forward(""), 0, "ok").contains("forwarding makes it"));
    // The hierarchy separator is a dot.
    assert!(check(&server.forward(", mailbox = \"Lists.Work\""), 0, "ok").contains("forwarding makes it"));
    // No mailbox with this name can be created there: every message would wait.
    let said = check(&server.forward(", mailbox = \"Lists/Work\""), 78, "fail");
    assert!(said.contains("This server has . between a mailbox and one below it"), "{said}");
    assert!(said.contains("Write mailbox = \"Lists.Work\" in [accounts.a.forward]"), "{said}");
    // Where the separator is a slash a name may contain a dot; a server that does not allow it says so.
    server.with(|mailbox| mailbox.separator = '/');
    let said = check(&server.forward(", mailbox = \"Lists.Work\""), 0, "warn");
    assert!(said.contains("This server has / between a mailbox and one below it"), "{said}");
    server.with(|mailbox| mailbox.missing = "NO [CANNOT] Character not allowed in mailbox name: '.'");
    let said = check(&server.forward(", mailbox = \"Lists.Work\""), 78, "fail");
    assert!(said.contains("Character not allowed") && said.contains("mailbox = \"Lists/Work\""), "{said}");
    let said = check(&server.forward(", mailbox = \"Work\""), 78, "fail");
    assert!(said.contains("Character not allowed") && said.contains("Check `mailbox`"), "{said}");
    let commands = server.with(|mailbox| mailbox.commands.clone());
    assert!(commands.iter().any(|command| command.starts_with("EXAMINE")), "{commands:?}");
    let changes = ["SELECT", "CREATE", "SUBSCRIBE", "APPEND"];
    assert!(!commands.iter().any(|command| changes.iter().any(|verb| command.starts_with(verb))), "{commands:?}");
}

#[test]
fn a_login_that_is_refused_and_a_server_that_is_away_are_told_with_their_next_step() {
    let server = ImapServer::start();
    server.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] not you"));
    let said = check(&server.forward(""), 77, "fail");
    assert!(said.contains("not you") && said.contains("[accounts.a.forward]"), "{said}");
    server.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] s3cr3t-Zq9 kW!x is wrong"));
    let said = check(&server.forward(""), 77, "fail");
    assert!(said.contains("is wrong") && !said.contains("s3cr3t"), "{said}");
    let forward = server.forward("");
    let port = server.address.port();
    let closed = ClosedPort::new();
    let said = check(&forward.replace(&port.to_string(), &closed.address.port().to_string()), 75, "fail");
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_server_that_does_not_speak_imap_is_quoted() {
    let (server, pop3) = (ImapServer::start(), Maildrop::new(Vec::new()));
    let at_pop3 =
        server.forward("").replace(&server.address.port().to_string(), &pop3.server.address.port().to_string());
    let said = check(&at_pop3, 76, "fail");
    assert!(said.contains("answered \"+OK ready\"") && said.contains("POP3 server"), "{said}");
}

#[test]
fn a_command_is_looked_for_and_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let program = dir.path().join("deliver");
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    let forward = format!("{{ command = [{program:?}] }}");
    assert!(check(&forward, 78, "fail").contains("not executable"));
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(check(&forward, 0, "ok").contains("is there"));
    assert!(!ran.exists());
    assert!(check("{ command = [\"/nonexistent/lda\"] }", 78, "fail").contains("/nonexistent/lda"));
}

#[test]
fn an_lmtp_server_is_asked_for_the_recipient_and_gets_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let forward = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    assert!(check(&forward, 75, "fail").contains("cannot reach the LMTP server"));
    let server = LmtpServer::start(&socket);
    check(&forward, 0, "ok");
    let commands = server.with(|mailbox| mailbox.commands.clone());
    assert!(commands.iter().any(|command| command == "RCPT TO:<jo@example.org>"), "{commands:?}");
    assert!(!commands.iter().any(|command| command == "DATA"), "{commands:?}");
}

#[test]
fn mail_that_was_set_aside_or_goes_nowhere_any_more_is_not_well() {
    let maildrop = Maildrop::new(small_ones(2));
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("deliver");
    std::fs::write(&program, "#!/bin/sh\ncat >/dev/null\nexit 65\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let account = Account::at(maildrop.server.address).deleting();
    let env = TestEnv::new(&[account.clone().set("forward", format!("{{ command = [{program:?}] }}"))]);
    env.run(&["check", "-v"]).expect(0).says("nothing waits in the spool");
    env.fetch().expect(1);
    let said =
        env.run(&["check"]).expect(1).says("FAIL  spool").says("2 messages set aside: ").says("ended with status 65");
    said.says("forward --again a");
    env.configure(std::slice::from_ref(&account));
    env.run(&["check"]).expect(1).says("FAIL  spool").says("the account has no `forward` any more");
    let told = "a: 2 messages wait in ";
    env.run(&["forward"]).expect(1).says(told).says("the account has no `forward` any more");
    env.run(&["forward", "a"]).expect(64).says("no `forward` is configured for a").says(told);
    env.run(&["status"]).expect(75).says("no longer forwarded").says("2 messages wait in ").says("--accept-maildir");
    let disabled = account.set("forward", format!("{{ command = [{program:?}] }}")).set("enabled", "false");
    env.configure(&[disabled]);
    env.run(&["forward"]).expect(1).says("a: the account is disabled, and 2 messages wait in the spool");
    env.run(&["status"])
        .expect(75)
        .says("a: forwarded to the command ")
        .says("\n                the account is disabled\n");
    let named = env.run(&["forward", "--again", "a"]).expect(1).says("2 set aside");
    assert!(!named.output().contains("is disabled"), "it is named, so it is forwarded: {named:?}");
}
