use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::account::TlsMode;
use crate::advice::told;
use crate::client::ClientError;
use crate::client::error::{NotOffered, TooLong, TooLongFor};
use crate::credential::{CommandFault, ContentsFault, CredentialError, ExposedFile, Exposure, Origin, ReadFault};
use crate::disk::NotAFile;
use crate::https::{HttpError, HttpProblem};
use crate::net::{CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem, NetError};
use crate::oauth::OAuthError;
use crate::poll::error::DoesNotFit;
use crate::pop3::{
    CommandError, CommandKind, FramingError, Mechanism, OtherProtocol, Refusal, Response, SendError, Status,
};
use crate::sasl::NoLoginMethod;
use crate::state::error::{StateError, StateFile};

fn account() -> AccountName {
    AccountName::new("work").unwrap()
}

fn host() -> String {
    "pop.example.org".to_owned()
}

/// The text that a user reads.
fn words(error: impl Into<PollError>) -> String {
    told(&error.into(), &account())
}

fn response(text: &str) -> Response {
    Response { status: Status::Err, code: None, text: text.to_owned(), decoded: None, unique_id: None }
}

fn not_pop3(excerpt: &str, speaks: OtherProtocol) -> PollError {
    ClientError::from(FramingError::NotPop3 { excerpt: excerpt.to_owned(), speaks }).into()
}

fn damaged(path: PathBuf, file: StateFile) -> PollError {
    StateError::Damaged { path, file, what: "line 3".to_owned() }.into()
}

#[track_caller]
fn check(cases: Vec<(PollError, &[&str])>) {
    for (error, expected) in cases {
        let text = words(error);
        for part in expected {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert!(!text.contains("..") && !text.ends_with('.') && !text.contains('\n'), "{text:?}");
    }
}

#[test]
fn the_network_is_told_with_what_to_look_at() {
    let closed = NetError::ClosedDuringHandshake {
        host: host(),
        port: 995,
        source: io::ErrorKind::UnexpectedEof.into(),
        heard: false,
    };
    let connect = |errno: Errno| NetError::Connect {
        host: host(),
        port: 995,
        attempts: vec![(([192, 0, 2, 1], 995).into(), errno.into())],
    };
    let timeout =
        |tls| NetError::TlsTimeout { host: host(), port: 995, tls, limit: Duration::from_secs(30), heard: true };
    let not_tls = |tls| NetError::NotTls { host: host(), port: 110, tls };
    let slow = NetError::ConnectTimeout {
        host: host(),
        port: 995,
        limit: Duration::from_secs(30),
        attempts: Vec::new(),
        unanswered: Vec::new(),
    };
    let hang = NetError::LookupsHang { host: host(), limit: Duration::from_secs(30), hanging: 128 };
    let client_certificate = NetError::ClientCertificate {
        path: PathBuf::from("/client.pem"),
        why: ClientCertificateProblem::TooSlow(Duration::from_secs(30)),
    };
    let ca_file = |why| NetError::CaFile { path: PathBuf::from("/ca.pem"), why };
    let net = |e: NetError| PollError::from(ClientError::from(e));
    check(vec![
        (net(NetError::NoAddress { host: host() }), &["has no address. Check its spelling in the configuration"]),
        (net(connect(Errno::CONNREFUSED)), &["connection refused. Check host and port, this machine's network"]),
        (net(connect(Errno::MFILE)), &["Allow more open files (ulimit -n, LimitNOFILE=)"]),
        (net(slow), &["within 30 s. Check this machine's name servers"]),
        (net(hang), &["128 lookups of other names are still pending. Check this machine's name servers"]),
        (net(client_certificate), &["/client.pem", "longer than 30 s. Check the disk it is on"]),
        (net(timeout(TlsMode::Implicit)), &["did not finish the TLS handshake", "set tls = \"starttls\""]),
        (net(timeout(TlsMode::StartTls)), &["use the port for implicit TLS, usually 995"]),
        (net(not_tls(TlsMode::Implicit)), &["does not begin with TLS; no password was sent. Set tls = \"starttls\""]),
        (net(not_tls(TlsMode::StartTls)), &["no password was sent. Use the port for implicit TLS"]),
        (net(closed), &["handshake. Try again later"]),
        (net(ca_file(CaFileProblem::NoCertificate)), &["/ca.pem", "BEGIN CERTIFICATE", "tls_ca_file"]),
        (net(ca_file(CaFileProblem::NotAFile)), &["not a regular file. Set tls_ca_file to a file of PEM certificates"]),
        (net(ca_file(CaFileProblem::Read(Errno::MFILE.into()))), &["ulimit -n"]),
        (
            net(NetError::NoTrustStore { why: "none".to_owned() }),
            &["(none). Install the package ca-certificates, or set tls_ca_file"],
        ),
        (net(NetError::InvalidName { host: "pöp".to_owned() }), &["host pöp. Write it in ASCII", "xn--"]),
    ]);
}

#[test]
fn an_untrusted_server_is_told_with_who_can_mend_it() {
    let certificate = |problem| ClientError::from(NetError::Certificate { host: host(), problem }).into();
    let handshake =
        |problem| ClientError::from(NetError::Handshake { host: host(), port: 995, problem, answered: true }).into();
    check(vec![
        (
            certificate(CertificateProblem::Expired { not_after: None }),
            &["expired; no password was sent. Ask the server's operator to renew it, and check this machine's clock"],
        ),
        (certificate(CertificateProblem::SelfSigned), &["self-signed", "set tls_ca_file to the copy"]),
        (certificate(CertificateProblem::UnknownIssuer), &["no password was sent", "tls_ca_file"]),
        (
            certificate(CertificateProblem::WrongName {
                presented: vec!["a.example".to_owned()],
                is_server_name: false,
            }),
            &[
                "is for a.example, not for pop.example.org; no password was sent. If that is a name of your server, set host \
                 to it; if",
            ],
        ),
        (
            certificate(CertificateProblem::WrongName {
                presented: vec!["a.example".to_owned()],
                is_server_name: true,
            }),
            &["If that is a name of your server, set tls_server_name to it; if not"],
        ),
        (
            ClientError::from(NetError::Certificate {
                host: "pop.gmail.com".to_owned(),
                problem: CertificateProblem::UnknownIssuer,
            })
            .into(),
            &["Gmail has one that every machine trusts", "a virus scanner or a proxy", "or `host` leads elsewhere"],
        ),
        (
            certificate(CertificateProblem::WrongName { presented: Vec::new(), is_server_name: false }),
            &["names no host", "for one that names pop.example.org"],
        ),
        (handshake(HandshakeProblem::OldVersions), &["versions before 1.2", "enable TLS 1.2 or 1.3"]),
        (
            handshake(HandshakeProblem::NoPostQuantum),
            &["no key exchange that is safe from quantum computers; no password", "Set tls_key_exchange = \"auto\""],
        ),
        (handshake(HandshakeProblem::NameRefused), &["Set host to the name its operator gives"]),
    ]);
}

#[test]
fn a_session_is_told_with_the_key_that_helps() {
    let too_long = TooLong { what: "message 1".to_owned(), came: 3 << 20, most: 1 << 20, because: TooLongFor::Account };
    let refused = |text| ClientError::Refused { provider: None, asked: CommandKind::Stat, response: response(text) };
    let not_offered = |wanted: &[Mechanism], offered: &[&str]| {
        ClientError::NotOffered(Box::new(NotOffered {
            wanted: wanted.to_vec(),
            offered: offered.iter().map(|&name| name.to_owned()).collect(),
            response: response("no"),
        }))
    };
    let command = CommandError::TooLong { argument: "the password", octets: 300 };
    check(vec![
        (ClientError::Silence { after: Duration::from_secs(60) }.into(), &["for 60 s. Try again later", "`timeout`"]),
        (ClientError::SpeaksTls { port: 995 }.into(), &["begins with TLS", "Set tls = \"implicit\""]),
        (ClientError::NoStls { response: response("no") }.into(), &["refused STLS, saying \"no\"", "port 995"]),
        (
            ClientError::Cleartext { peer: "192.0.2.1".to_owned() }.into(),
            &["192.0.2.1", "in clear", "allow_cleartext_password = true"],
        ),
        (ClientError::NoUniqueIds.into(), &["no UIDL", "Set leave_on_server = false"]),
        (ClientError::NoLogin(NoLoginMethod::ApopWithoutTimestamp).into(), &["no timestamp", "Set auth = \"auto\""]),
        (
            not_offered(&[Mechanism::CramMd5], &["PLAIN", "LOGIN"]).into(),
            &["does not offer CRAM-MD5 (it offers PLAIN, LOGIN) and refused the login, saying \"no\". Set auth = \
                 \"auto\" or remove the key"],
        ),
        (
            not_offered(&[Mechanism::OAuthBearer, Mechanism::XOAuth2], &["PLAIN"]).into(),
            &[
                "offers neither OAUTHBEARER nor XOAUTH2 (it offers PLAIN)",
                "accepts no token: set a password in place of",
            ],
        ),
        (not_offered(&[Mechanism::XOAuth2], &["oauthbearer"]).into(), &["Set auth = \"auto\""]),
        (not_offered(&[Mechanism::External], &["PLAIN"]).into(), &["Check the client certificate"]),
        (ClientError::NoLogin(NoLoginMethod::NoneThatHides).into(), &["hides it", "Use TLS", "auth = \"user\""]),
        (refused("what?").into(), &["refused STAT, saying \"what?\"", "Run with -v and ask its operator"]),
        (refused("try again later").into(), &["accepted the login and then refused STAT", "Try again later"]),
        (ClientError::TooLong(too_long).into(), &["3.0 MiB had come", "1.0 MiB", "raise max_message_size"]),
        (ClientError::from(FramingError::LooksLikeTls).into(), &["speaks TLS", "Set tls = \"implicit\""]),
        (
            not_pop3("220 smtp", OtherProtocol::Unknown),
            &["\"220 smtp\" where +OK or -ERR was expected. Check the host and the port"],
        ),
        (
            not_pop3("* OK IMAP4rev1 ready", OtherProtocol::Imap),
            &["This is an IMAP server: POP3 is usually at port 995"],
        ),
        (ClientError::from(SendError::MustWait).into(), &[REPORT_IT]),
        (ClientError::from(SendError::Command(command)).into(), &["300 octets", "Try auth = \"plain\""]),
    ]);
}

#[test]
fn a_refused_login_is_told_with_what_to_check() {
    let login = |asked, refusal, blanks| {
        let response = response("no");
        words(ClientError::Login { provider: None, asked, response, refusal, blanks })
    };
    let plain = login(CommandKind::Pass, Refusal::Credentials, false);
    assert!(plain.starts_with("the server refused the login, saying \"no\". Check username and password"), "{plain}");
    assert!(!plain.contains("APOP") && !plain.contains("spaces"), "{plain}");
    let apop = login(CommandKind::Apop, Refusal::Credentials, true);
    assert!(apop.contains("auth = \"user\"") && apop.contains("the password contains spaces"), "{apop}");
    let token = login(CommandKind::Auth(Mechanism::XOAuth2), Refusal::Credentials, false);
    assert!(token.contains("neither OAUTHBEARER nor XOAUTH2") && !token.contains("app password"), "{token}");
    let permanent = login(CommandKind::Pass, Refusal::Permanent, false);
    assert!(permanent.contains("Waiting does not help: enable POP3"), "{permanent}");
    assert!(login(CommandKind::Pass, Refusal::Temporary, false).ends_with("Try again later"));
}

#[test]
fn a_state_is_told_with_the_command_that_goes_on() {
    let path = || PathBuf::from("/s/work.uids");
    let dir = || PathBuf::from("/s");
    let io = |errno: Errno| StateError::io("sync", "/s/work.uids".as_ref(), errno.into()).into();
    let there = |what| StateError::io("sync", "/s/work.uids".as_ref(), io::Error::other(what)).into();
    check(vec![
        (
            StateError::Locked { account: account(), holder: String::new() }.into(),
            &["in use by another mailferry. Try again later; `fetch --wait` waits for it"],
        ),
        (
            StateError::LineEnds { path: path() }.into(),
            &["end in CRLF and not in LF", r"Remove the CRs again: sed -i 's/\r$//' /s/work.uids"],
        ),
        (
            damaged(path(), StateFile::Uids),
            &[
                "/s/work.uids is damaged: line 3. It was left as it is",
                "move it away and count what the Maildir holds as fetched: mailferry uids adopt work --from-maildir; ",
                "to fetch everything again instead: mailferry fetch --new-state work",
            ],
        ),
        (
            damaged("/s/work.forward".into(), StateFile::Forward),
            &["/s/work.forward is damaged", "move it away: then what is in the spool is forwarded"],
        ),
        (StateError::OpenToAll { dir: dir(), mode: 0o777 }.into(), &["(mode 777)", "chmod o-w /s"]),
        (
            StateError::Lost { account: account(), maildir: "/m".into(), dir: dir() }.into(),
            &["has delivered into /m before", "--state-dir", "mailferry fetch --new-state work"],
        ),
        (StateError::MaildirMissing { path: "/m".into() }.into(), &["is not there now", "fetch --accept-maildir work"]),
        (StateError::MaildirReplaced { path: "/m".into() }.into(), &["right disk", "fetch --accept-maildir work"]),
        (
            StateError::FormerMaildir { path: "/m".into(), why: "it is not there".to_owned() }.into(),
            &["be used: it is not there. What was on its way there waits", "fetch --accept-maildir work"],
        ),
        (
            io(Errno::NOSPC),
            &["cannot sync /s/work.uids", "Free some space there and run again; nothing is lost", "df -i"],
        ),
        (io(Errno::MFILE), &["ulimit -n", "Nothing is lost"]),
        (io(Errno::FBIG), &["Allow larger files (ulimit -f, LimitFSIZE=)"]),
        (io(Errno::ROFS), &["mounted read-only"]),
        (there(NotAFile::Link), &["cannot sync /s/work.uids: it is a symbolic link. Replace it by the file itself"]),
        (there(NotAFile::Special), &["it is not a regular file. Move it away"]),
    ]);
}

#[test]
fn a_state_that_seems_to_be_of_somebody_else_is_told_with_both_ways_out() {
    let (path, dir) = (|| PathBuf::from("/s/work.uids"), || PathBuf::from("/s"));
    let io = |errno: Errno| StateError::io("look at", "/s/work.uids".as_ref(), errno.into()).into();
    check(vec![
        (
            StateError::Renamed {
                account: account(),
                other: "old".to_owned(),
                dir: dir(),
                files: vec!["spool", "uids"],
            }
            .into(),
            &[
                "renamed: `mv /s/old.spool /s/work.spool && mv /s/old.uids /s/work.uids`. If old belongs to another",
                "of its own. Otherwise: `mailferry fetch --new-state work`",
            ],
        ),
        (
            StateError::OtherUser {
                account: account(),
                remembered: "jo".to_owned(),
                configured: "Jo".to_owned(),
                path: path(),
            }
            .into(),
            &[
                "renamed, move /s/work.uids away and count what the Maildir holds as fetched: mailferry uids adopt work --from",
            ],
        ),
        (io(Errno::ACCESS), &["If it is another user's, run mailferry as that user, or give", "--state-dir"]),
        (io(Errno::NOTDIR), &["Is the disk mounted, and is --state-dir or `state_dir` right?"]),
    ]);
}

#[test]
fn a_command_that_cannot_wait_is_not_told_to() {
    let locked = || PollError::from(StateError::Locked { account: account(), holder: String::new() });
    assert!(words(locked()).contains("`fetch --wait` waits for it"));
    let told = crate::advice::told_without_waiting(&locked(), &account());
    assert!(told.ends_with("in use by another mailferry. Try again later"), "{told}");
}

#[test]
fn a_run_that_leaves_an_account_out_says_what_cron_or_a_person_can_do() {
    let sooner = |cause| crate::advice::instead_of_waiting_for_a_run(&Reason::Failure { cause, times: 1 }, &account());
    assert_eq!(
        sooner(Cause::LoginRefused),
        "; sooner after a changed `password_file` or configuration, or by `mailferry fetch work`"
    );
    assert_eq!(sooner(Cause::Tls), "; sooner after a changed configuration, or by `mailferry fetch work`");
    assert_eq!(sooner(Cause::NetworkDown), "");
}

#[test]
fn words_from_a_file_are_escaped() {
    let evil = || "\u{1b}[31mEVIL\u{7}\nfake".to_owned();
    let locked = StateError::Locked { account: account(), holder: evil() };
    let renamed = StateError::Renamed { account: account(), other: evil(), dir: "/s".into(), files: vec!["uids"] };
    for text in [words(locked), words(renamed)] {
        assert!(text.contains("\\u{1b}[31m") && !text.chars().any(char::is_control), "{text:?}");
    }
}

#[test]
fn whoever_signs_in_is_not_told_to_wait_for_another_try() {
    let by_hand = |problem| {
        let error = OAuthError::Http(HttpError { host: "login.example.org".to_owned(), problem });
        crate::advice::told_of_sign_in(&error, &account())
    };
    let elsewhere = by_hand(HttpProblem::NotHttp { port: 995 });
    assert!(
        elsewhere.contains("what answers at login.example.org, port 995, does not speak HTTP")
            && elsewhere.contains("Check the host and the port in `issuer`")
            && !elsewhere.contains("later"),
        "{elsewhere:?}"
    );
    let plain = by_hand(HttpProblem::Net(NetError::NotTls { host: host(), port: 110, tls: TlsMode::Implicit }));
    assert!(plain.contains("in `issuer`") && !plain.contains("starttls"), "{plain:?}");
    let busy = by_hand(HttpProblem::Status(503));
    assert!(busy.contains("Try again later: ") && busy.ends_with("login work"), "{busy:?}");
    let connect = NetError::Connect { host: host(), port: 9, attempts: Vec::new() };
    let down = by_hand(HttpProblem::Net(connect));
    assert!(down.contains("Check the addresses in `oauth2`") && !down.contains("tried again"), "{down:?}");
}

fn unfit(messages: u64, fetched: u64, never: bool) -> DoesNotFit {
    DoesNotFit {
        what: "message 1".to_owned(),
        messages,
        octets: messages * (3 << 20),
        available: 1 << 20,
        promised: 0,
        reserve: 16 << 20,
        never,
        refusal: None,
        fetched,
    }
}

fn space(unfit: DoesNotFit) -> PollError {
    PollError::InsufficientSpace { path: "/m".into(), message: Some(Box::new(unfit)) }
}

#[test]
fn what_takes_the_room_is_told() {
    let promised = DoesNotFit { promised: 1 << 19, ..unfit(1, 0, false) };
    let refusal = Some("Disk quota exceeded".to_owned());
    check(vec![
        (
            space(promised),
            &["1.0 MiB are free there, 512.0 KiB are for messages that are coming in, and 16.0 MiB are kept free."],
        ),
        (
            space(DoesNotFit { refusal, ..unfit(1, 3, false) }),
            &["message 1 does not fit into /m: Disk quota exceeded. 3 others were fetched. Free some space there"],
        ),
    ]);
}

#[test]
fn a_disk_is_told_with_what_to_do_there() {
    let maildir = |errno: Errno| PollError::Maildir { doing: "sync", path: "/m".into(), source: errno.into() };
    check(vec![
        (maildir(Errno::NOSPC), &["cannot sync /m", "Free some space there and run again; nothing is lost"]),
        (maildir(Errno::NOENT), &["Is the disk mounted, and is the path of `maildir` right?", "Nothing is lost"]),
        (maildir(Errno::IO), &["Nothing is lost: what was not delivered is still on the server"]),
        (maildir(Errno::NOMEM), &["ulimit -v", "Nothing is lost"]),
        (
            PollError::Maildir {
                doing: "read",
                path: "/m/.mailferry-id".into(),
                source: io::Error::other(NotAFile::Special),
            },
            &["it is not a regular file. Move it away. Nothing is lost"],
        ),
        (
            space(unfit(1, 2, true)),
            &[
                "message 1 does not fit into /m: 1.0 MiB are free there, and 16.0 MiB are kept free",
                "set max_message_size",
            ],
        ),
        (space(unfit(1, 2, true)), &["Not even an empty file system would be large enough. 2 others were fetched"]),
        (
            space(unfit(3, 0, false)),
            &[
                "message 1 and 2 others (9.0 MiB in all) do not fit into /m",
                "Nothing else was fetched. Free some space there and run again; nothing is lost",
            ],
        ),
        (
            PollError::Renumbered { account: account(), messages: 12 },
            &["12 messages could be fetched a second time", "If that is all right: mailferry fetch --fetch-again work"],
        ),
        (
            PollError::TooSlow { octets: 3, window: Duration::from_secs(60) },
            &["only 3 useful octets", "raise `concurrency` or `per_host`"],
        ),
        (
            PollError::CredentialTakesLong { waited: Duration::from_secs(10) },
            &["what it logs in with was not there after 10 s", "See why its command, file or token server"],
        ),
        (
            PollError::DiskHangs { waited: Duration::from_secs(600) },
            &["its disk has not responded for 600 s", "Check that disk"],
        ),
        (PollError::NoThread, &["cannot start another thread", "TasksMax="]),
        (PollError::Stopped, &["the next run continues from here"]),
        (PollError::contradiction("end", "it was odd"), &[REPORT_IT]),
    ]);
}

#[test]
fn a_password_is_told_with_where_to_put_it() {
    let exposed = ExposedFile {
        path: "/pw".into(),
        mode: 0o100_644,
        to: Exposure::Others,
        owner: 1000,
        reader: 1000,
        read_only: false,
    };
    let file = |fault| CredentialError::File { path: "/pw".into(), fault }.into();
    let command =
        |fault| CredentialError::Command { key: "password_command", program: "pass".to_owned(), fault }.into();
    let contents = |origin, fault| CredentialError::Contents { origin, fault }.into();
    let name = || "work".to_owned();
    check(vec![
        (
            CredentialError::Exposed(exposed).into(),
            &["its mode 0644 lets other users read it. Run `chmod 600 /pw`; or use password_credential"],
        ),
        (file(ReadFault::Io(Errno::NOENT.into())), &["/pw: there is no such file. Create it, or correct the path"]),
        (
            file(ReadFault::Io(Errno::ACCESS.into())),
            &["permission denied. Make it readable by the user that mailferry runs as"],
        ),
        (file(ReadFault::NotRegular("a pipe")), &["it is a pipe. Give the path of a regular file"]),
        (command(CommandFault::NotFound), &["the password command `pass` was not found. Install it"]),
        (command(CommandFault::NotStarted(Errno::AGAIN.into())), &["could not be started", "ulimit -u"]),
        (
            command(CommandFault::Failed { code: 3, stderr: "no such entry".to_owned() }),
            &["ended with status 3, saying: no such entry. Run it by hand"],
        ),
        (
            command(CommandFault::TimedOut { limit: Duration::from_secs(60), stderr: String::new() }),
            &["within 60 seconds", "Unlock the password store first"],
        ),
        (
            contents(
                Origin::Command { key: "password_command", program: "pass".to_owned(), stderr: String::new() },
                ContentsFault::SeveralLines,
            ),
            &["`pass` printed more than one line", "head -n 1"],
        ),
        (contents(Origin::File("/pw".into()), ContentsFault::Empty), &["the password file /pw is empty. Write the"]),
        (CredentialError::NoCredentialsDirectory { name: name() }.into(), &["LoadCredential=work:", "password_file"]),
        (CredentialError::NoCredential { name: name() }.into(), &["no credential `work`. Add LoadCredential=work:"]),
        (CredentialError::CredentialName { name: "a/b".to_owned() }.into(), &["`a/b`", "without a slash"]),
    ]);
}

#[test]
fn what_a_person_has_to_mend_need_not_be_waited_for() {
    let way_out = |cause| instead_of_waiting(&Reason::Failure { cause, times: 1 });
    assert_eq!(way_out(Cause::LoginRefused), "; sooner after a changed `password_file`, a reload or `mailferry poll`");
    assert_eq!(way_out(Cause::Tls), "; sooner after a reload or `mailferry poll`");
    assert_eq!(way_out(Cause::NetworkDown), "");
    assert_eq!(instead_of_waiting(&Reason::Doubt), "");
}

#[test]
fn a_state_on_a_file_system_without_locks_has_to_go_elsewhere() {
    for errno in [Errno::NOLCK, Errno::NOSYS, Errno::NOTSUP] {
        let step = disk::state(&errno.into()).unwrap();
        assert!(step.contains("--state-dir"), "{step}");
    }
}

#[test]
fn the_table_of_a_sign_in_is_named() {
    let problem = CertificateProblem::UnknownIssuer;
    let problem = HttpProblem::Net(NetError::Certificate { host: "login.example.org".into(), problem });
    let oauth = OAuthError::Http(HttpError { host: "login.example.org".to_owned(), problem });
    let words = told(&PollError::OAuth(oauth), &account());
    assert!(words.ends_with(". These keys are in `oauth2` of [accounts.work]"), "{words}");
    let problem = HttpProblem::Net(NetError::Resolve { host: host(), source: io::ErrorKind::NotFound.into() });
    let words = told(&PollError::OAuth(OAuthError::Http(HttpError { host: host(), problem })), &account());
    assert!(words.ends_with("network; the endpoints come from `oauth2` in [accounts.work]"), "{words}");
    assert!(!words.contains("These keys"), "{words}");
}
