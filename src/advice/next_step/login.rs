//! Logins and access to the maildrop.

use std::borrow::Cow;

use super::TRY_LATER;
use crate::pop3::{CommandKind, Mechanism, Refusal, Response, judge_access};
use crate::sasl::NoLoginMethod;

/// What a person has to do where the server says that it will not pass.
const WILL_NOT_PASS: &str =
    "It will not pass by itself: switch POP3 on in the account's web settings, or ask the server's operator";

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
                "Check username and password; some providers want an app password or authorization code, or \
                            POP3 to be switched on in their web settings"
                    .to_owned();
            if asked == CommandKind::Apop {
                step.push_str(
                    ". It may be APOP that is refused: a server needs the password in clear for it, and few keep it so; \
                     with auth = \"auto\" or auth = \"user\" it is not used",
                );
            }
            if blanks {
                step.push_str(
                    "; the password holds blanks: app passwords are often shown in groups, to be typed without",
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
            "Use TLS. Or, if the server was changed and the password may be read, name the way: auth = \"user\" or \"plain\""
        }
    }
}
