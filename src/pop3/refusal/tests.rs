use super::*;

fn response(line: &str) -> Response {
    Response::parse(line.as_bytes()).unwrap()
}

fn judge(text: &str) -> Refusal {
    judge_refusal(&response(&format!("-ERR {text}")))
}

#[test]
fn response_codes_are_believed() {
    assert_eq!(judge("[AUTH] maildrop locked for you"), Refusal::Credentials);
    assert_eq!(judge("[SYS/PERM] maildrop locked, wrong password"), Refusal::Permanent);
    for code in ["IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/TEMP/DISK"] {
        assert_eq!(judge(&format!("[{code}] wrong password")), Refusal::Temporary);
    }
}

#[test]
fn whoever_speaks_of_credentials_means_them() {
    let qq = "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or \
              system is busy. More information at https://help.mail.qq.com/detail/108/1023";
    for text in [
        "",
        "no",
        "Unable to log on",
        "Authentication failed.",
        "Authentication failed. Account is blocked.",
        "authentication failed: clock skew too great",
        "Authentication failed, account unavailable",
        "Authentication failure: try again later",
        "Invalid login or password. Unlock your account at https://example.org/locked/try-again",
        "invalid user name or password, number of failed attempts exceeded",
        "bad username or password; too many failed logins",
        "Login incorrect. Mailbox blocked by administrator",
        "Your account has been locked because of too many failed logins",
        "Account temporarily blocked: wrong credentials",
        "Too many login failures",
        "authorization failed: exceeded number of bad passwords",
        "POP3 access is locked for this user, enable it in the settings",
        "Username and password not accepted. Try again",
        "Too many bad passwords: account locked for 30 minutes",
        "account locked",
        "user locked out, try again later",
        "too many incorrect logins",
        "temporarily blocked after repeated failures",
        "Mailbox disabled, try later",
        "mailbox is over quota, login disabled",
        "permission denied",
        "PASSWORD expired, account temporarily unavailable",
        "Basic authentication is disabled",
        qq,
    ] {
        assert_eq!(judge(text), Refusal::Credentials, "{text}");
        assert!(!is_too_soon(&response(&format!("-ERR {text}"))), "{text}");
    }
}

#[test]
fn a_lock_or_a_limit_is_for_later() {
    for text in [
        "maildrop already locked by another session",
        "Mailbox is LOCKED",
        "mailbox of user jo is locked",
        "account is locked by another session",
        "unable to get lock",
        "can't lock maildrop",
        "mailbox in-use",
        "Login failed: mailbox already in use",
        "Too many connections, try again later",
        "too many connections from your address, blocked",
        "authentication failed: too many concurrent connections",
        "server busy",
        "user jo is already logged in",
        "Mailbox is opened by other client",
        "Temporary authentication failure",
        "authentication server temporarily unavailable",
        "temporary problem with the password database",
        "login allowed only every 15 minutes",
        "Exceeded the login limit for a 15 minute period.",
        "maximum number of sessions exceeded",
        "over quota",
        "User has exceeded quota",
        "mailbox is full",
        "write error: no space left on device",
    ] {
        assert_eq!(judge(text), Refusal::Temporary, "{text}");
    }
    assert_eq!(judge("[X-NEW] server busy"), Refusal::Temporary);
}

#[test]
fn words_are_whole_words() {
    for text in ["blocked", "unlocked", "the clock is wrong", "flocking", "wallclock", "unlimited", "unbusy"] {
        assert_eq!(judge(text), Refusal::Credentials, "{text}");
    }
    assert_eq!(judge("(lock)"), Refusal::Temporary);
    assert_eq!(judge("LOCK!"), Refusal::Temporary);
}

#[test]
fn a_login_that_came_too_soon_is_known() {
    let too_soon = |line: &str| is_too_soon(&response(line));
    assert!(too_soon("-ERR [LOGIN-DELAY] minimum time between mail checks violation"));
    assert!(too_soon("-ERR login allowed only every 15 minutes"));
    assert!(too_soon("-ERR Exceeded the login limit for a 15 minute period."));
    assert!(!too_soon("-ERR [IN-USE] too frequent"));
    assert!(!too_soon("-ERR mailbox is locked"));
}

#[test]
fn a_limit_to_what_is_given_in_a_day_is_no_refused_message() {
    let judge = |text: &str| is_download_limit(&response(&format!("-ERR {text}")));
    for text in ["Download exceed", "[SYS/TEMP] Account exceeded bandwidth limits.", "Daily limit reached"] {
        assert!(judge(text), "{text}");
    }
    for text in ["", "no such message", "message exceeds the size limit", "cannot open it", "mailbox quota exceeded"] {
        assert!(!judge(text), "{text}");
    }
}

#[test]
fn behind_a_good_login_nothing_is_said_of_the_credentials() {
    let judge = |text: &str| judge_access(&response(&format!("-ERR {text}")));
    assert_eq!(judge("[SYS/PERM] Your account is not enabled for POP access."), Some(Refusal::Permanent));
    assert_eq!(judge("[SYS/TEMP] cannot open mailbox"), Some(Refusal::Temporary));
    assert_eq!(judge("cannot open mailbox"), Some(Refusal::Temporary));
    assert_eq!(judge("mailbox is locked"), Some(Refusal::Temporary));
    assert_eq!(judge("over quota"), Some(Refusal::Temporary));
    assert_eq!(judge("maildrop: Permission denied"), Some(Refusal::Temporary));
    for text in
        ["", "no messages", "unknown command", "[AUTH] busy", "command not available", "UIDL not supported, try later"]
    {
        assert_eq!(judge(text), None, "{text}");
    }
}

#[test]
fn a_way_to_log_in_that_is_not_known_is_no_refused_credential() {
    let judge = |text: &str| is_unknown_method(&response(&format!("-ERR {text}")));
    for text in [
        "unknown mechanism",
        "unsupported authentication mechanism",
        "unknown command AUTH",
        "Unknown command: USER",
        "[SYS/PERM] unrecognized",
        "[X] unrecognised",
        "[AUTH] unsupported authentication mechanism",
        "bad syntax",
        "syntax error in parameters",
        "invalid argument",
        "Too many arguments for the auth command.",
        "initial response not allowed",
        "Protocol error. Connection is closed. 10",
        "AUTH not implemented",
        "unrecognized authentication type",
        "mechanism PLAIN unavailable",
        "not supported",
    ] {
        assert!(judge(text), "{text}");
    }
    for text in [
        "[AUTH] invalid credentials",
        "unknown user",
        "invalid user name or password",
        "unrecognized account",
        "wrong password, or unknown mechanism",
        "authentication failed",
        "mailbox is locked",
        "[SYS/TEMP] unknown mechanism",
        "[IN-USE] unknown lock",
        "server busy",
        "",
        "no",
        "unable to log on",
        "bad auth",
    ] {
        assert!(!judge(text), "{text}");
    }
}

#[test]
fn what_is_said_before_the_connection_is_closed_is_read_again() {
    let said = goodbye("-ERR [SYS/TEMP] cannot open it").unwrap();
    assert_eq!((said.code, said.text.as_str()), (Some(ResponseCode::SysTemp), "cannot open it"));
    for other in ["+OK", "* BYE", "", "hello", "+ERR no"] {
        assert_eq!(goodbye(other), None, "{other}");
    }
}
