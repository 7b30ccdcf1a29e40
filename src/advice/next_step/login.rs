//! Logins and access to the maildrop.

use std::borrow::Cow;

use super::TRY_LATER;
use crate::pop3::{CommandKind, Mechanism, Refusal, Response, judge_access};
use crate::sasl::NoLoginMethod;

/// What a person has to do where the server says that it will not pass.
const WILL_NOT_PASS: &str =
    "Waiting does not help: enable POP3 in the account's web settings, or ask the server's operator";

/// About a login that was refused in answer to this command; `blanks`: the password holds some.
pub(super) fn refused(asked: CommandKind, refusal: Refusal, blanks: bool) -> Cow<'static, str> {
    match refusal {
        Refusal::Permanent => WILL_NOT_PASS.into(),
        Refusal::Temporary => TRY_LATER.into(),
        Refusal::Credentials if matches!(asked, CommandKind::Auth(Mechanism::XOAuth2 | Mechanism::OAuthBearer)) => {
            "Check username, and that the token is good for POP3. A server that offers neither OAUTHBEARER nor XOAUTH2 takes no \
             token, and wants a password"
                .into()
        }
        Refusal::Credentials => {
            let mut step =
                "Check username and password; some providers require an app password or authorization code, or POP3 \
                 to be enabled in their web settings"
                    .to_owned();
            if asked == CommandKind::Apop {
                step.push_str(
                    ". The server may refuse APOP alone, for which it has to store the password in clear; auth = \
                     \"auto\" and auth = \"user\" do not use it",
                );
            }
            if blanks {
                step.push_str(
                    "; the password contains spaces: app passwords are often shown in groups, and are typed without \
                     the spaces",
                );
            }
            step.into()
        }
    }
}

/// About a refusal that is not about the login.
pub(super) fn access(response: &Response) -> &'static str {
    match judge_access(response) {
        Some(Refusal::Permanent) => WILL_NOT_PASS,
        Some(Refusal::Credentials | Refusal::Temporary) | None => TRY_LATER,
    }
}

/// About a way to log in that is not there.
pub(super) fn no_method(error: NoLoginMethod) -> &'static str {
    match error {
        NoLoginMethod::ApopWithoutTimestamp => "Set auth = \"auto\" or remove the key",
        NoLoginMethod::NoneThatHides => {
            "Use TLS. Or, if the server has changed and the password may cross the network in clear, set auth = \
             \"user\" or \"plain\""
        }
    }
}
