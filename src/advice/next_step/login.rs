//! Logins and access to the maildrop.

use std::borrow::Cow;

use super::TRY_LATER;
use crate::advice::refusals::{When, meaning, taken_by};
use crate::pop3::{CommandKind, Mechanism, Refusal, Response, judge_access};
use crate::provider::Provider;
use crate::sasl::NoLoginMethod;

/// What to do if the server says that waiting will not help.
const WILL_NOT_PASS: &str =
    "Waiting does not help: enable POP3 in the account's web settings, or ask the server's operator";

/// What to check if nothing is known about a server.
const CHECK_PASSWORD: &str = "Check username and password; some providers require an app password or authorization \
                              code, or POP3 to be enabled in their web settings";

/// The same for a token.
const CHECK_TOKEN: &str = "Check username, and that the token is good for POP3. A server that offers neither OAUTHBEARER \
                           nor XOAUTH2 accepts no token, and wants a password";

/// About a login that a server of this provider refused in response to this command; `blanks` says whether the password
/// contains spaces.
pub(super) fn refused(
    provider: Option<&Provider>,
    asked: CommandKind,
    response: &Response,
    refusal: Refusal,
    blanks: bool,
) -> Cow<'static, str> {
    let by_token = matches!(asked, CommandKind::Auth(Mechanism::XOAuth2 | Mechanism::OAuthBearer));
    let when = match refusal {
        Refusal::Temporary => When::Later,
        Refusal::Credentials | Refusal::Permanent if by_token => When::Token,
        Refusal::Credentials | Refusal::Permanent => When::Password,
    };
    let known = meaning(provider, when, response);
    let or = |unknown: &'static str| known.clone().map_or(unknown.into(), Cow::from);
    match refusal {
        Refusal::Permanent => or(WILL_NOT_PASS),
        Refusal::Temporary => or(TRY_LATER),
        Refusal::Credentials if by_token => or(CHECK_TOKEN),
        Refusal::Credentials => {
            let mut step = known.or_else(|| provider.and_then(taken_by)).unwrap_or_else(|| CHECK_PASSWORD.to_owned());
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
pub(super) fn access(provider: Option<&Provider>, when: When, response: &Response) -> Cow<'static, str> {
    let unknown = match judge_access(response) {
        Some(Refusal::Permanent) => WILL_NOT_PASS,
        Some(Refusal::Credentials | Refusal::Temporary) | None => TRY_LATER,
    };
    meaning(provider, when, response).map_or(unknown.into(), Cow::from)
}

/// About mechanisms that the server does not have; `offered` are those that it has.
pub(super) fn not_offered(wanted: &[Mechanism], offered: &[String]) -> &'static str {
    let is_for_tokens = |name: &str| ["OAUTHBEARER", "XOAUTH2"].iter().any(|known| name.eq_ignore_ascii_case(known));
    let takes_tokens = offered.iter().any(|name| is_for_tokens(name));
    if wanted == [Mechanism::External] {
        "Check the client certificate: some servers offer EXTERNAL only to one that they know. Or set auth = \"auto\" \
         and a password"
    } else if !takes_tokens && wanted.iter().any(|mechanism| is_for_tokens(mechanism.name())) {
        "It accepts no token: set a password in place of `token_command` or `oauth2`, and no `auth`"
    } else {
        "Set auth = \"auto\" or remove the key"
    }
}

/// About a login method that is not available.
pub(super) fn no_method(error: NoLoginMethod) -> &'static str {
    match error {
        NoLoginMethod::ApopWithoutTimestamp => "Set auth = \"auto\" or remove the key",
        NoLoginMethod::NoneThatHides => {
            "Use TLS. Or, if the server has changed and the password may cross the network in clear, set auth = \
             \"user\" or \"plain\""
        }
    }
}
