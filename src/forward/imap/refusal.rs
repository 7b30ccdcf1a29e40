//! What a refusal of APPEND is about. PURE.

use super::response::{Condition, Kind};
use crate::forward::error::RefusalKind;

/// What a refusal of APPEND is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// A quota, or a daily limit.
    Full,
    /// The message, which will always be too large.
    TooLarge,
    /// The mailbox or the server.
    Destination(RefusalKind),
    /// The message, as far as one can tell.
    Message,
}

/// The response codes for a quota or a temporary limit.
const FULL: [&str; 3] = ["OVERQUOTA", "LIMIT", "THROTTLED"];

pub(super) fn judge(condition: &Condition) -> Judgement {
    let has = |codes: &[&str]| codes.iter().any(|code| condition.code(code).is_some());
    let text = condition.text.to_ascii_lowercase();
    let is_quota = has(&FULL) || text.contains("quota");
    let is_too_large = ["too large", "too big", "maximum message size"].iter().any(|part| text.contains(part));
    // A message that is too large for the rest of a quota is not too large for ever.
    if has(&["TOOBIG"]) || is_too_large && !is_quota {
        Judgement::TooLarge
    } else if is_full(condition) {
        Judgement::Full
    } else if has(&["NOPERM", "CONTACTADMIN"]) {
        Judgement::Destination(RefusalKind::Lasting)
    } else if has(&["TRYCREATE", "NONEXISTENT"]) {
        // The mailbox existed a moment ago, and the next pass creates it again.
        Judgement::Destination(RefusalKind::Passing)
    } else if has(&["UNAVAILABLE", "INUSE", "SERVERBUG", "EXPIRED", "AUTHENTICATIONFAILED"]) {
        Judgement::Destination(RefusalKind::Passing)
    } else {
        Judgement::Message
    }
}

/// Whether a refusal says that nothing more is accepted for now: by its response code (RFC 5530, RFC 9208), or in the
/// words of large providers for a quota or a daily upload limit.
pub(super) fn is_full(condition: &Condition) -> bool {
    let text = condition.text.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    // This limit ended a session that was idle or lasted too long; the next session is not affected.
    let is_of_a_session = condition.kind == Kind::Bye || says(&["session", "idle", "connection"]);
    FULL.iter().any(|code| condition.code(code).is_some())
        || says(&["quota", "bandwidth limit", "rate limit", "throttled"])
        || says(&["exceeded"]) && !is_of_a_session
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::imap::response::{Line, line};

    #[test]
    fn a_refusal_is_about_the_message_or_about_the_destination() {
        for (said, judged) in [
            ("NO [OVERQUOTA] Quota exceeded", Judgement::Full),
            ("NO [LIMIT] later", Judgement::Full),
            ("NO Account exceeded command or bandwidth limits. x", Judgement::Full),
            ("NO [TOOBIG] Message too large", Judgement::TooLarge),
            ("NO [OVERQUOTA] Quota exceeded (mailbox too large)", Judgement::Full),
            ("NO Message too large for quota", Judgement::Full),
            ("BAD maximum message size exceeded", Judgement::TooLarge),
            ("NO [TRYCREATE] Mailbox doesn't exist", Judgement::Destination(RefusalKind::Passing)),
            ("NO [NOPERM] not yours", Judgement::Destination(RefusalKind::Lasting)),
            ("NO [UNAVAILABLE] Internal error", Judgement::Destination(RefusalKind::Passing)),
            ("NO Message contains NULs", Judgement::Message),
            ("BAD Invalid arguments", Judgement::Message),
        ] {
            let Some(Line::Tagged(_, condition)) = line(format!("a {said}").as_bytes()) else { panic!("{said}") };
            assert_eq!(judge(&condition), judged, "{said}");
        }
    }

    #[test]
    fn a_session_that_is_over_is_no_quota() {
        for (said, expected) in [
            ("BYE Idle time exceeded", false),
            ("BYE Session limit exceeded", false),
            ("NO Maximum number of connections exceeded", false),
            ("BYE [OVERQUOTA] x", true),
            ("BYE Account exceeded command or bandwidth limits", true),
            ("NO Upload limit exceeded", true),
        ] {
            let Some(Line::Condition(condition)) = line(format!("* {said}").as_bytes()) else { panic!("{said}") };
            assert_eq!(is_full(&condition), expected, "{said}");
        }
    }
}
