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

/// Words with which servers that have no response codes say that the last login was too short a while ago.
const TOO_SOON_WORDS: [&str; 6] =
    ["too frequent", "login delay", "login-delay", "frequency limit", "login limit", "allowed only every"];

/// Words of a server that does not say which it is: QQ answers a wrong authorization code with "Login fail. Account is
/// abnormal, service is not open, password is incorrect, login frequency limited, or system is busy". Whoever names the
/// password among the reasons is not to be asked with it again and again.
const DAMNING_WORDS: [&str; 4] = ["password is incorrect", "incorrect password", "wrong password", "invalid password"];

/// Words with which servers that have no response codes say that it will pass. Servers that do have them are believed.
const PASSING_WORDS: [&str; 11] = [
    "lock",
    "in use",
    "in-use",
    "busy",
    "temporar",
    "try again",
    "try later",
    "too many",
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
        _ if says(response, &DAMNING_WORDS) => Refusal::Credentials,
        _ if says(response, &PASSING_WORDS) || says(response, &TOO_SOON_WORDS) => Refusal::Temporary,
        _ => Refusal::Credentials,
    }
}

/// Whether a refusal says that the last login was too short a while ago (RFC 2449, section 8.1.1).
#[must_use]
pub fn is_too_soon(response: &Response) -> bool {
    match &response.code {
        Some(ResponseCode::LoginDelay) => true,
        None | Some(ResponseCode::Other(_)) => !says(response, &DAMNING_WORDS) && says(response, &TOO_SOON_WORDS),
        Some(_) => false,
    }
}

fn says(response: &Response, any: &[&str]) -> bool {
    let text = response.text.to_ascii_lowercase();
    any.iter().any(|words| text.contains(words))
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
        assert_eq!(judge("-ERR login allowed only every 15 minutes"), Refusal::Temporary);
    }

    #[test]
    fn a_server_that_names_the_password_among_other_reasons_means_the_password() {
        let qq = "-ERR Login fail. Account is abnormal, service is not open, password is incorrect, login frequency \
                  limited, or system is busy. More information at https://help.mail.qq.com/detail/108/1023";
        assert_eq!(judge(qq), Refusal::Credentials);
        assert!(!is_too_soon(&Response::parse(qq.as_bytes()).unwrap()));
        assert_eq!(judge("-ERR [SYS/TEMP] wrong password, or too busy"), Refusal::Temporary, "a code goes first");
    }

    #[test]
    fn a_login_that_came_too_soon_is_known() {
        let too_soon = |line: &str| is_too_soon(&Response::parse(line.as_bytes()).unwrap());
        assert!(too_soon("-ERR [LOGIN-DELAY] minimum time between mail checks violation"));
        assert!(too_soon("-ERR login allowed only every 15 minutes"));
        assert!(too_soon("-ERR Exceeded the login limit for a 15 minute period."));
        assert!(!too_soon("-ERR [IN-USE] too frequent"));
        assert!(!too_soon("-ERR mailbox is locked"));
    }
}
