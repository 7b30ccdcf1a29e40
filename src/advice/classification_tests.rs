use std::io;
use std::time::Duration;

use super::*;
use crate::account::AccountName;
use crate::client::error::NotOffered;
use crate::exit::ExitStatus;
use crate::poll::PollReport;
use crate::pop3::{CommandKind, OtherProtocol, Status, judge_refusal};
use crate::sasl::NoLoginMethod;
use crate::schedule::{Cause, End, Outcome};

fn report(end: Result<(), PollError>) -> PollReport {
    let mut report = PollReport::new(AccountName::new("work").unwrap());
    report.end = end;
    report
}

fn after(end: impl Into<PollError>) -> End {
    report(Err(end.into())).outcome().end
}

fn response(code: Option<ResponseCode>, text: &str) -> Response {
    Response { status: Status::Err, code, text: text.to_owned(), decoded: None, unique_id: None }
}

/// The error of a login refused in these words.
fn login(code: Option<ResponseCode>, text: &str) -> ClientError {
    let response = response(code, text);
    let refusal = judge_refusal(&response);
    ClientError::Login { provider: None, asked: CommandKind::Pass, response, refusal, blanks: false }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

#[test]
fn what_was_dealt_with_is_told_with_what_the_server_asks_for() {
    let mut one = report(Ok(()));
    (one.logged_in, one.retrieved, one.more, one.login_delay) = (true, 7, true, Some(Duration::from_secs(60)));
    let expected =
        Outcome { logged_in: true, new: 7, login_delay: Some(Duration::from_secs(60)), end: End::Dealt { more: true } };
    assert_eq!(one.outcome(), expected);
}

#[test]
fn a_poll_that_was_none_says_nothing_of_the_account() {
    let locked = StateError::Locked { account: AccountName::new("work").unwrap(), holder: String::new() };
    let busy = OAuthError::Busy { holder: String::new() };
    for (end, says_nothing) in [
        (Ok(()), false),
        (Err(PollError::Stopped), true),
        (Err(PollError::State(locked)), true),
        // The poll itself took place.
        (Err(PollError::OAuth(busy)), false),
        (Err(PollError::NoThread), false),
        (Err(login(None, "no").into()), false),
    ] {
        let text = format!("{end:?}");
        assert_eq!(report(end).says_nothing_of_the_account(), says_nothing, "{text}");
    }
}

#[test]
fn a_refused_login_is_explicit_only_by_its_code() {
    assert_eq!(after(login(Some(ResponseCode::Auth), "no")), End::Refused { explicit: true });
    assert_eq!(after(login(None, "authentication failed")), End::Refused { explicit: false });
    assert_eq!(after(login(None, "mailbox is locked")), End::Failed(Cause::ServerBusy));
    assert_eq!(after(login(Some(ResponseCode::InUse), "")), End::Failed(Cause::ServerBusy));
    assert_eq!(after(login(Some(ResponseCode::SysTemp), "")), End::Failed(Cause::ServerBusy));
    assert_eq!(after(login(Some(ResponseCode::SysPerm), "wrong password")), End::Failed(Cause::AccessRefused));
    assert_eq!(after(login(Some(ResponseCode::LoginDelay), "")), End::Failed(Cause::RateLimited));
    assert_eq!(after(login(None, "login allowed only every 15 minutes")), End::Failed(Cause::RateLimited));
}

#[test]
fn what_goes_wrong_at_the_server_has_its_cause() {
    let host = || "h".to_owned();
    let too_soon = response(None, "login allowed only every 15 minutes");
    let refused = |response| ClientError::Refused { provider: None, asked: CommandKind::Stat, response };
    let goodbye = |code, text| ClientError::Goodbye { provider: None, response: response(code, text), logged_in: true };
    let not_pop3 = FramingError::NotPop3 { excerpt: String::new(), speaks: OtherProtocol::Unknown };
    let closed = NetError::ClosedDuringHandshake { host: host(), port: 995, source: broken(), heard: true };
    for (error, expected) in [
        (ClientError::from(NetError::NoAddress { host: host() }), Cause::NetworkDown),
        (NetError::Connect { host: host(), port: 995, attempts: Vec::new() }.into(), Cause::NetworkDown),
        (closed.into(), Cause::ConnectionLost),
        (NetError::NoTrustStore { why: String::new() }.into(), Cause::Tls),
        (NetError::InvalidName { host: host() }.into(), Cause::Configuration),
        (ClientError::Lost { source: broken() }, Cause::ConnectionLost),
        (ClientError::Silence { after: Duration::from_secs(60) }, Cause::ConnectionLost),
        (FramingError::Unsolicited { excerpt: String::new() }.into(), Cause::ConnectionLost),
        (not_pop3.into(), Cause::Protocol),
        (FramingError::LooksLikeTls.into(), Cause::Tls),
        (ClientError::NoStls { response: response(None, "") }, Cause::Tls),
        (ClientError::Unwilling { provider: None, response: response(None, "") }, Cause::ServerBusy),
        (ClientError::Unwilling { provider: None, response: too_soon.clone() }, Cause::RateLimited),
        (ClientError::NoLogin(NoLoginMethod::ApopWithoutTimestamp), Cause::Protocol),
        (
            ClientError::NotOffered(Box::new(NotOffered {
                wanted: Vec::new(),
                offered: Vec::new(),
                response: response(Some(ResponseCode::Auth), ""),
            })),
            Cause::Protocol,
        ),
        (ClientError::UniqueIdsRefused, Cause::ServerBusy),
        (ClientError::DownloadLimit { provider: None, response: response(None, "") }, Cause::ServerBusy),
        (ClientError::NoUniqueIds, Cause::Protocol),
        (refused(response(None, "unknown command")), Cause::Protocol),
        (refused(too_soon), Cause::RateLimited),
        (refused(response(Some(ResponseCode::SysTemp), "")), Cause::ServerBusy),
        (refused(response(Some(ResponseCode::SysPerm), "busy")), Cause::AccessRefused),
        (
            ClientError::Unwilling { provider: None, response: response(Some(ResponseCode::SysPerm), "") },
            Cause::AccessRefused,
        ),
        (goodbye(Some(ResponseCode::SysPerm), ""), Cause::AccessRefused),
        (goodbye(Some(ResponseCode::SysTemp), ""), Cause::ServerBusy),
        (goodbye(None, "shutting down"), Cause::ServerBusy),
    ] {
        let error = PollError::from(error);
        let (text, exit_status) = (format!("{error:?}"), Class::of(&error).exit_status());
        assert!(statuses_of(expected).contains(&exit_status), "{text}: {exit_status:?}");
        assert_eq!(after(error), End::Failed(expected), "{text}");
    }
}

/// The exit statuses of `fetch` that agree with the cause that the daemon sees.
fn statuses_of(cause: Cause) -> &'static [ExitStatus] {
    match cause {
        Cause::NetworkDown | Cause::ConnectionLost | Cause::ServerBusy | Cause::RateLimited => &[ExitStatus::Temporary],
        Cause::AccessRefused => &[ExitStatus::Auth],
        Cause::Tls => &[ExitStatus::Tls],
        Cause::Configuration => &[ExitStatus::Config],
        _ => &[ExitStatus::Protocol, ExitStatus::Auth],
    }
}

#[test]
fn what_is_wrong_on_this_machine_has_its_cause() {
    let account = AccountName::new("work").unwrap();
    let source = io::ErrorKind::StorageFull.into();
    for (error, expected) in [
        (PollError::InsufficientSpace { path: "/".into(), message: None }, Cause::Storage),
        (PollError::Maildir { doing: "sync", path: "/".into(), source }, Cause::Storage),
        (StateError::MaildirMissing { path: "/".into() }.into(), Cause::Storage),
        (
            StateError::SameFiles { account: account.clone(), other: account.clone(), dir: "/".into() }.into(),
            Cause::Configuration,
        ),
        (StateError::Locked { account: account.clone(), holder: String::new() }.into(), Cause::LockedByAnother),
        (CredentialError::NoCredential { name: "work".to_owned() }.into(), Cause::Credential),
        (PollError::Renumbered { account, messages: 12 }, Cause::Protocol),
        (PollError::contradiction("end", "it was odd"), Cause::InternalError),
    ] {
        let text = format!("{error:?}");
        assert_eq!(after(error), End::Failed(expected), "{text}");
    }
    assert_eq!(after(PollError::Stopped), End::Stopped);
}

#[test]
fn an_error_may_tell_that_the_server_had_let_us_in() {
    let logged_in = |error: ClientError| report(Err(error.into())).outcome().logged_in;
    assert!(logged_in(ClientError::NoUniqueIds));
    let said = response(Some(ResponseCode::SysTemp), "");
    assert!(logged_in(ClientError::Goodbye { provider: None, response: said.clone(), logged_in: true }));
    assert!(!logged_in(ClientError::Goodbye { provider: None, response: said, logged_in: false }));
    assert!(!logged_in(ClientError::Closed));
    let mut later = report(Err(ClientError::Closed.into()));
    later.logged_in = true;
    assert!(later.outcome().logged_in);
}

#[test]
fn what_the_system_lacks_passes_and_what_is_wrong_stays() {
    let lacking = || io::Error::from(rustix::io::Errno::MFILE);
    let denied = || io::Error::from(rustix::io::Errno::ACCESS);
    let maildir = |source| PollError::Maildir { doing: "sync", path: "/".into(), source };
    let state = |source| PollError::from(StateError::io("sync", "/".as_ref(), source));
    let file = |e| PollError::from(CredentialError::File { path: "/".into(), fault: ReadFault::Io(e) });
    let command = |fault| {
        PollError::from(CredentialError::Command { key: "password_command", program: "pass".to_owned(), fault })
    };
    let ca_file = |e| {
        let why = CaFileProblem::Read(e);
        PollError::from(ClientError::from(NetError::CaFile { path: "/".into(), why }))
    };
    let timed_out = CommandFault::TimedOut { limit: Duration::from_secs(60), stderr: String::new() };
    for (error, expected) in [
        (maildir(lacking()), Class::StorageLater),
        (maildir(denied()), Class::Storage),
        (state(lacking()), Class::StorageLater),
        (state(denied()), Class::Storage),
        (file(lacking()), Class::CredentialLater),
        (file(denied()), Class::Credential),
        (command(CommandFault::Lost(lacking())), Class::CredentialLater),
        (command(CommandFault::NotStarted(denied())), Class::Credential),
        (command(CommandFault::Failed { code: 1, stderr: String::new() }), Class::Credential),
        (command(timed_out), Class::CredentialLater),
        (PollError::CredentialTakesLong { waited: Duration::from_secs(10) }, Class::CredentialLater),
        (ca_file(lacking()), Class::Unreachable),
        (ca_file(denied()), Class::Configuration),
        (PollError::NoThread, Class::StorageLater),
    ] {
        assert_eq!(Class::of(&error), expected, "{error:?}");
        let status = expected.exit_status();
        assert_eq!(status == ExitStatus::Temporary, !expected.needs_a_person(), "{error:?}: {status:?}");
    }
}

#[test]
fn a_connection_that_failed_is_not_the_servers_word() {
    let slow = ClientError::TooSlow { octets: 1, window: Duration::from_secs(60) };
    let silent = ClientError::Silence { after: Duration::from_secs(60) };
    for error in [ClientError::Lost { source: broken() }, ClientError::NoGreeting, ClientError::Closed, silent, slow] {
        assert!(!error.is_servers_word(), "{error}");
        assert!(matches!(Judgement::of_session(&error).class, Class::ConnectionLost | Class::TooSlow), "{error}");
    }
    for error in [login(None, "no"), ClientError::NoUniqueIds, ClientError::UniqueIdsRefused] {
        assert!(error.is_servers_word(), "{error}");
        assert!(
            !matches!(Judgement::of_session(&error).class, Class::Unreachable | Class::ConnectionLost | Class::TooSlow),
            "{error}"
        );
    }
}
