//! A destination that mail is forwarded to.

use std::io;

use super::{Step, credential, disk, network, sign_in, state};
use crate::account::AccountName;
use crate::command_line::this_program;
use crate::forward::{CommandFailure, ForwardError, OtherProtocol, RefusalKind};
use crate::text;

pub(crate) fn step(error: &ForwardError, account: &AccountName) -> Step {
    let words = match error {
        ForwardError::State(e) => return state::step(e, account),
        ForwardError::Net(e) => return network::step_elsewhere(e, IMAPS, &table(account)),
        ForwardError::Credential(e) => return credential::step(e),
        ForwardError::OAuth(e) => return sign_in::step_of_destination(e, account, &table(account)),
        ForwardError::Login { .. } => {
            format!("Check `username` and the password (or what `token_command` prints) in {}", table(account))
        }
        ForwardError::Refused { kind, .. } => match kind {
            RefusalKind::MailboxUnavailable => format!("Check `recipient` in {}", table(account)),
            RefusalKind::Lasting => format!("Check {}", table(account)),
            RefusalKind::Passing => LOOK_THERE.to_owned(),
        },
        ForwardError::RefusesAll { .. } => format!(
            "None of them is set aside, and all are tried again. Check the destination: the mailbox or recipient in {}, and \
             the rules by which it refuses mail",
            table(account)
        ),
        ForwardError::NoMailbox { .. } => format!(
            "Check `mailbox` in {}: some servers want it below another one, such as \"INBOX.Name\"; or make it with a mail \
             program",
            table(account)
        ),
        ForwardError::Full { .. } => {
            "Make room at the destination. A daemon and `fetch --scheduled` try again every hour, `fetch` and `forward` each time \
             they run".to_owned()
        }
        ForwardError::Cleartext => "Write tls = \"implicit\" or tls = \"starttls\" for the destination".to_owned(),
        ForwardError::Command { failure, .. } => command(*failure, account),
        ForwardError::NotImap { speaks: OtherProtocol::Pop3, .. } => format!(
            "That is a POP3 server; IMAP is usually at port {IMAPS}. Check host, port and tls in {}",
            table(account)
        ),
        ForwardError::NotImap { speaks: OtherProtocol::Imap | OtherProtocol::Unknown, .. }
        | ForwardError::Protocol { .. } => format!("Check host, port and tls in {}", table(account)),
        ForwardError::NotLmtp { speaks, .. } => {
            let is = match speaks {
                OtherProtocol::Pop3 => "That is a POP3 server. ",
                OtherProtocol::Imap => "That is an IMAP server. ",
                OtherProtocol::Unknown => "",
            };
            format!("{is}Check `socket`, or host and port (LMTP is usually at 24), in {}", table(account))
        }
        ForwardError::OutOfStep { .. } => {
            "Look into the log of the LMTP server, and of whatever stands before it: one of them sends an answer too many"
                .to_owned()
        }
        ForwardError::Socket { source, .. } => socket(source.as_ref(), account),
        ForwardError::Busy { .. } => format!("Try later; {} waits for it", this_program(&format!("forward {account}"))),
        ForwardError::Spool { source, .. } => return disk::instead_of_a_file(source).map(Into::into),
        ForwardError::Wire { .. }
        | ForwardError::Stopped
        | ForwardError::Unanswered { .. }
        | ForwardError::Work(_) => return None,
    };
    Some(words.into())
}

/// What to do about a refusal that may pass.
const LOOK_THERE: &str = "If that stays, see the log of that server, or ask whoever runs it";

/// The port of IMAP over TLS.
const IMAPS: u16 = 993;

/// The table that configures an account's destination.
fn table(account: &AccountName) -> String {
    format!("[accounts.{}.forward]", text::key(account.as_str()))
}

/// About the command that mail is forwarded to.
fn command(failure: CommandFailure, account: &AccountName) -> String {
    match failure {
        CommandFailure::NotExecutable => {
            "Check that the user that mailferry runs as may execute it: chmod +x, and the directories above it"
                .to_owned()
        }
        CommandFailure::NotThere => {
            format!("Install it, or write its whole path as the first word of `command` in {}", table(account))
        }
        CommandFailure::NoProgram => {
            "If it is a script, check that its first line names an interpreter that is there, such as #!/bin/sh"
                .to_owned()
        }
        CommandFailure::Lasting => format!(
            "Check `command` in {}, and run it by hand with a message on its standard input to see why",
            table(account)
        ),
        CommandFailure::Passing => "Run it by hand with a message on its standard input to see why".to_owned(),
    }
}

/// About the socket of an LMTP server.
fn socket(source: Option<&io::Error>, account: &AccountName) -> String {
    if source.is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied) {
        return "Let the user that mailferry runs as write to that socket and search the directories above it"
            .to_owned();
    }
    format!("Check that the LMTP server runs, and check `socket` in {}", table(account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::told_of_forwarding;
    use crate::net::{CertificateProblem, NetError};

    fn told(error: &ForwardError) -> String {
        told_of_forwarding(error, &AccountName::new("c").unwrap())
    }

    fn refused(doing: &'static str, response: &str, kind: RefusalKind) -> ForwardError {
        ForwardError::Refused { doing, response: response.to_owned(), kind }
    }

    #[test]
    fn only_the_words_of_a_destination_are_its_words() {
        let socket = |kind: io::ErrorKind| ForwardError::Socket { path: "/x/lmtp".into(), source: Some(kind.into()) };
        let missing = told(&socket(io::ErrorKind::NotFound));
        assert!(missing.starts_with("cannot reach the LMTP server at /x/lmtp: "), "{missing}");
        assert!(
            missing.ends_with("Check that the LMTP server runs, and check `socket` in [accounts.c.forward]"),
            "{missing}"
        );
        assert!(told(&socket(io::ErrorKind::PermissionDenied)).contains("Let the user that mailferry runs as"));
        let what = "ended with status 64 (usage)".to_owned();
        let command = ForwardError::Command { program: "x".to_owned(), what, failure: CommandFailure::Lasting };
        assert!(told(&command).starts_with("the command x ended with status 64 (usage). Check `command` in [acc"));
        let not_started = |failure| ForwardError::Command {
            program: "x".to_owned(),
            what: "could not be started".to_owned(),
            failure,
        };
        assert!(told(&not_started(CommandFailure::NotExecutable)).contains("chmod +x"));
        assert!(told(&not_started(CommandFailure::NoProgram)).contains("#!/bin/sh"));
        assert!(told(&not_started(CommandFailure::NotThere)).contains("Install it"));
        let unknown = refused("send a message", "550 5.1.1 unknown", RefusalKind::MailboxUnavailable);
        assert!(told(&unknown).ends_with("Check `recipient` in [accounts.c.forward]"));
        assert!(told(&ForwardError::Full { response: "552 5.2.2 full".to_owned() }).contains("Make room"));
        let plain = refused("append a message", "no", RefusalKind::Passing);
        assert!(told(&plain).ends_with(
            "the destination said \"no\". If that stays, see the log of that server, or ask whoever runs it"
        ));
        let login = told(&ForwardError::Login { response: "no".to_owned() });
        assert!(login.contains("`token_command` prints") && login.contains("[accounts.c.forward]"), "{login}");
    }

    #[test]
    fn what_is_no_lmtp_server_is_named_and_has_no_tls() {
        let what = |what: &str, speaks| {
            told(&ForwardError::NotLmtp { doing: "begin an LMTP session", what: what.to_owned(), speaks })
        };
        for (said, speaks, named) in [
            ("+OK ready", OtherProtocol::Pop3, "That is a POP3 server. Check"),
            ("* OK hi", OtherProtocol::Imap, "That is an IMAP server. Check"),
        ] {
            let told = what(said, speaks);
            assert!(told.contains(named) && told.contains("[accounts.c.forward]") && !told.contains("tls"), "{told}");
        }
        assert!(what("hello", OtherProtocol::Unknown).contains(". Check `socket`"));
        let late = told(&ForwardError::OutOfStep { doing: "send a message", what: "250 ok".to_owned() });
        assert!(late.contains("out of step") && late.contains("log of the LMTP server"), "{late}");
    }

    #[test]
    fn the_table_that_is_meant_is_named() {
        let certificate =
            NetError::Certificate { host: "x.example".into(), problem: CertificateProblem::UnknownIssuer };
        let told = told(&ForwardError::Net(certificate));
        assert!(told.contains("tls_ca_file") && told.ends_with("These keys are in [accounts.c.forward]"));
    }
}
