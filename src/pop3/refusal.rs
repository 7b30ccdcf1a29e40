//! What a server means when it refuses a login.

use super::response::{Response, ResponseCode};

/// Why a login was refused, as far as the answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The user name or the password is wrong, or the account may not use POP3.
    Credentials,
    /// It will probably pass: the maildrop is locked, the server is busy, the last login was too short a while ago.
    Temporary,
}

/// Words with which servers that have no response codes say that it will pass. Servers that do have them are believed.
const PASSING_WORDS: [&str; 14] = [
    "lock",
    "in use",
    "in-use",
    "busy",
    "temporar",
    "try again",
    "try later",
    "too many",
    "too frequent",
    "login delay",
    "login-delay",
    "unavailable",
    "server error",
    "exceed",
];

/// Judges the answer to PASS, APOP or AUTH (RFC 2449, section 8; RFC 3206).
#[must_use]
pub fn judge_refusal(response: &Response) -> Refusal {
    match &response.code {
        Some(ResponseCode::Auth) => Refusal::Credentials,
        Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp | ResponseCode::SysPerm) => {
            Refusal::Temporary
        }
        _ => {
            let text = response.text.to_ascii_lowercase();
            let passes = PASSING_WORDS.iter().any(|words| text.contains(words));
            if passes { Refusal::Temporary } else { Refusal::Credentials }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(line: &str) -> Refusal {
        judge_refusal(&Response::parse(line.as_bytes()).unwrap())
    }

    #[test]
    fn response_codes_are_believed() {
        assert_eq!(judge("-ERR [AUTH] maildrop locked for you"), Refusal::Credentials);
        for code in ["IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"] {
            assert_eq!(judge(&format!("-ERR [{code}] wrong password")), Refusal::Temporary);
        }
    }

    #[test]
    fn without_a_code_the_words_decide() {
        assert_eq!(judge("-ERR Authentication failed."), Refusal::Credentials);
        assert_eq!(judge("-ERR"), Refusal::Credentials);
        assert_eq!(judge("-ERR Mailbox is LOCKED by another session"), Refusal::Temporary);
        assert_eq!(judge("-ERR Too many connections, try again later"), Refusal::Temporary);
    }
}
