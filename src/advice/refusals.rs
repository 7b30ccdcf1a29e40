//! What a refusal means, by who says it, when, and in what words: the cause, and what to do about it.
//!
//! This is data: a line of [`REFUSALS`] for each. What a refusal means for the next poll is not decided here, but by
//! its response code and its words, whichever server says them ([`crate::pop3::judge_refusal`]).

use std::borrow::Cow;

use crate::pop3::Response;
use crate::provider::{Login, Provider};

/// When in a session a server refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// In the greeting.
    Greeting,
    /// In response to a password.
    Password,
    /// In response to an access token.
    Token,
    /// In response to a login, for the time being.
    Later,
    /// After a successful login.
    Behind,
    /// In response to RETR.
    Retrieval,
}

/// A line of the table.
struct Line {
    /// The providers whose servers say it, by their ids in the configuration. Empty: any server.
    by: &'static [&'static str],
    /// When it is said. Empty: at any time.
    when: &'static [When],
    /// Response codes or ASCII words, in lower case, one of which has to match. Empty: whatever is said.
    says: &'static [&'static str],
    /// The cause, as a sentence without full stop.
    cause: &'static str,
    /// What to do. `{enable}` stands for the menus in which the provider lets users open their mail to programs.
    step: &'static str,
}

use When::{Behind, Greeting, Later, Password, Retrieval, Token};

const GOOGLE: &[&str] = &["gmail", "gworkspace"];
const MICROSOFT: &[&str] = &["outlook", "m365"];
const NETEASE: &[&str] = &["163", "126", "yeah", "188", "netease-qiye"];
const YAHOO: &[&str] = &["yahoo", "aol", "att", "sky"];

/// Texts of servers without response codes for POP3 that is switched off.
const OFF: &[&str] = &[
    "[sys/perm]",
    "not enabled for pop",
    "pop access is disabled",
    "pop access disabled",
    "pop3 access is disabled",
    "pop3 access not enabled",
    "pop3 disabled",
    "pop3 is disabled",
    "pop is disabled",
    "pop3 service is not open",
];

/// The first matching line counts, so specific ones come first. Sources: docs/providers.md.
const REFUSALS: &[Line] = &[
    Line {
        by: GOOGLE,
        when: &[Greeting, Password, Token, Behind],
        says: OFF,
        cause: "POP3 is switched off for this mailbox",
        step: "Switch it on: {enable}",
    },
    Line {
        by: GOOGLE,
        when: &[Password],
        says: &["application-specific password"],
        cause: "This is the account's own password, and Google wants one that was made for a program",
        step: "Make an app password at myaccount.google.com/apppasswords and give that",
    },
    Line {
        by: GOOGLE,
        when: &[Password],
        says: &["web login required"],
        cause: "Google wants to see you in a browser first",
        step: "Sign in to the account once in a browser, switch 2-Step Verification on, then make an app password at \
               myaccount.google.com/apppasswords and give that",
    },
    Line {
        by: GOOGLE,
        when: &[Password],
        says: &["username and password not accepted", "[auth]"],
        cause: "The user name is wrong, or this is no app password of the account, or no longer: a new password of the \
                account ends them all",
        step: "Make a new one at myaccount.google.com/apppasswords and give its 16 letters; username is the whole address",
    },
    Line {
        by: GOOGLE,
        when: &[Token],
        says: &[],
        cause: "The token has ended, or is of another account, or lacks the scope https://mail.google.com/",
        step: "Sign in again by `mailferry login` as the account's `username`, and leave every box ticked",
    },
    Line {
        by: MICROSOFT,
        when: &[Password],
        says: &[],
        cause: "Microsoft no longer accepts passwords for POP3, not even app passwords",
        step: "Give oauth2 = { client_id = \"...\" } in place of the password and sign in by `mailferry login`: \
               \"OAuth 2.0\" in the documentation says how",
    },
    Line {
        by: MICROSOFT,
        when: &[Token],
        says: &[],
        cause: "POP3 is switched off for this mailbox, or the token is of another one",
        step: "Switch it on: {enable}. If it is on, sign in again by `mailferry login` and choose the account that \
               `username` names",
    },
    Line {
        by: &["qq", "exmail"],
        when: &[Password],
        says: &["account is abnormal"],
        cause: "QQ says this for every cause; mostly it is no authorization code (授权码), or an old one",
        step: "Make a new one and give that as the password: {enable}",
    },
    Line {
        by: NETEASE,
        when: &[Password],
        says: &["unable to log on"],
        cause: "This is no authorization code (授权码), or POP3 is switched off, which is apart from IMAP",
        step: "Look at both: {enable}",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["err.login.reqcode"],
        cause: "The server wants an authorization code (授权码) in place of the password",
        step: "Make one and give that: {enable}",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["err.login.domaindeny"],
        cause: "The domain of this account does not let mail programs in",
        step: "Ask the domain's administrator to allow POP3",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["err.login.illegalinput"],
        cause: "The server cannot read the user name or the password",
        step: "Check that username is the whole address, and that the password is the authorization code (授权码) alone",
    },
    Line {
        by: &["yandex"],
        when: &[Password],
        says: &["pop3 disabled", "login failure"],
        cause: "POP3 is switched off, or this is no app password",
        step: "Look at both: {enable}",
    },
    Line {
        by: YAHOO,
        when: &[Password],
        says: &[],
        cause: "This is no app password of the account, or it has been withdrawn, as Yahoo does account by account",
        step: "See whether a new one can be made: {enable}. If not, \"Providers\" in the documentation says what is left",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["application-specific password", "app password", "app-specific password", "application password"],
        cause: "The server wants a password that was made for a program",
        step: "Make one in the account's web settings and give that: {enable}",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["authorization code", "authorisation code"],
        cause: "The server wants an authorization code (授权码) in place of the password",
        step: "Make one in the account's web settings and give that: {enable}",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["web login required", "log in via the web", "login via the web", "sign in via your web browser"],
        cause: "The server wants to see you in a browser first",
        step: "Sign in to the account once in a browser, then try again",
    },
    Line {
        by: &[],
        when: &[Password],
        says: &["basic authentication is disabled", "basic authentication disabled", "oauth"],
        cause: "The server accepts no passwords, only tokens",
        step: "Give oauth2 in place of the password and sign in by `mailferry login`: \"OAuth 2.0\" in the documentation says how",
    },
    Line {
        by: &[],
        when: &[Greeting, Password, Token, Behind],
        says: OFF,
        cause: "Waiting does not help: POP3 may be switched off for this mailbox",
        step: "Enable POP3 in the account's web settings, or ask the server's operator: {enable}",
    },
    Line {
        by: &[],
        when: &[Retrieval],
        says: &[],
        cause: "It has given as much as it gives in a day, and what is left stays there",
        step: "Nothing is to be done: polls go on with it when the server does",
    },
    Line {
        by: &["kpn"],
        when: &[Password, Later],
        says: &["too many", "blocked", "locked"],
        cause: "KPN lets nobody in for an hour after wrong passwords",
        step: "Check username and password, also in other programs, and wait for an hour",
    },
    Line {
        by: &[],
        when: &[Greeting, Later, Behind],
        says: &[
            "[login-delay]",
            "too many login",
            "too many logon",
            "too frequent",
            "too often",
            "login limit",
            "login allowed only every",
        ],
        cause: "The server counts too many logins, those of other programs and devices included",
        step: "Try again later; a longer `interval` helps if it comes again",
    },
    Line {
        by: &[],
        when: &[Greeting, Later, Behind],
        says: &[
            "[in-use]",
            "already locked",
            "another session",
            "another process",
            "mailbox is locked",
            "maildrop is locked",
        ],
        cause: "Another program has the mailbox open, or a session that broke off still holds it, for up to half an hour",
        step: "Try again later",
    },
];

/// Returns what a refusal by a server of this provider means and what to do, as sentences without the last full stop.
/// None if nothing is known about it.
pub(super) fn meaning(provider: Option<&Provider>, when: When, response: &Response) -> Option<String> {
    let said = said(response);
    let fits = |line: &&Line| {
        let by = line.by.is_empty() || provider.is_some_and(|provider| line.by.contains(&provider.id));
        by && (line.when.is_empty() || line.when.contains(&when))
            && (line.says.is_empty() || line.says.iter().any(|words| said.contains(words)))
    };
    let line = REFUSALS.iter().find(fits)?;
    Some(format!("{}. {}", line.cause, with_menus(line.step, provider)))
}

/// Returns advice about a refused password where the refusal itself tells nothing: what the provider accepts.
pub(super) fn taken_by(provider: &Provider) -> Option<String> {
    provider.host?;
    let accepts = provider.accepts;
    let ways = [
        (accepts.password, "the mailbox's password"),
        (accepts.app_password && accepts.password, "an app password where two-step verification is on"),
        (accepts.app_password && !accepts.password, "an app password"),
        (accepts.authorization_code, "an authorization code (授权码)"),
        (accepts.oauth, "OAuth 2.0"),
    ];
    let ways: Vec<&str> = ways.into_iter().filter(|(taken, _)| *taken).map(|(_, way)| way).collect();
    let name = match provider.login {
        Login::Address => "the whole address",
        Login::LocalPart => "the part before the @",
    };
    let menus = provider.enable.map(|menus| format!("; its settings: {menus}")).unwrap_or_default();
    Some(format!(
        "Check username and password: {} accepts {}, and as the user name {name}{menus}",
        provider.name,
        ways.join(" or ")
    ))
}

/// Returns the response code and the words in lower case, as the server sent them: nothing is decided by decoded text.
fn said(response: &Response) -> String {
    let code = response.code.as_ref().map(|code| format!("[{code}] ")).unwrap_or_default();
    format!("{code}{}", response.text).to_ascii_lowercase()
}

/// Returns a step with the menus of the provider, or without any mention of them.
fn with_menus(step: &'static str, provider: Option<&Provider>) -> Cow<'static, str> {
    let Some(before) = step.split_once("{enable}").map(|(before, _)| before) else { return step.into() };
    match provider.and_then(|provider| provider.enable) {
        Some(menus) => step.replace("{enable}", menus).into(),
        None => before.trim_end_matches([':', ' ']).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::{ResponseCode, Status};

    fn response(line: &str) -> Response {
        let coded = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let code = coded.map(|(code, _)| match code {
            "AUTH" => ResponseCode::Auth,
            "IN-USE" => ResponseCode::InUse,
            "LOGIN-DELAY" => ResponseCode::LoginDelay,
            "SYS/PERM" => ResponseCode::SysPerm,
            "SYS/TEMP" => ResponseCode::SysTemp,
            other => ResponseCode::Other(other.to_owned()),
        });
        let text = coded.map_or(line, |(_, text)| text).to_owned();
        Response { status: Status::Err, code, text, decoded: None, unique_id: None }
    }

    fn meant(host: &str, when: When, line: &str) -> String {
        meaning(Provider::of(host), when, &response(line)).unwrap_or_default()
    }

    const GMAIL: &str = "Gmail web > Settings (gear) > See all settings > Forwarding and POP/IMAP > POP download";

    /// Who says what, when, and how it is explained. The texts were seen in logs and in the code of other programs.
    const SAID: &[(&str, When, &str, &[&str])] = &[
        (
            "pop.gmail.com",
            Password,
            "[AUTH] Username and password not accepted.",
            &["no app password", "myaccount.google.com/apppasswords"],
        ),
        (
            "pop.gmail.com",
            Password,
            "[AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833",
            &["the account's own password", "Make an app password"],
        ),
        (
            "pop.gmail.com",
            Password,
            "[AUTH] Web login required: https://support.google.com/mail/answer/78754",
            &["once in a browser", "then make an app password"],
        ),
        (
            "pop.gmail.com",
            Behind,
            "[SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and \
             enable your account for POP access.",
            &["POP3 is switched off for this mailbox. Switch it on: ", GMAIL],
        ),
        ("pop.gmail.com", Token, "[AUTH] Invalid credentials.", &["https://mail.google.com/", "`mailferry login`"]),
        (
            "outlook.office365.com",
            Password,
            "Basic authentication is disabled",
            &["no longer accepts passwords", "oauth2 = "],
        ),
        (
            "outlook.office365.com",
            Password,
            "Logon failure: unknown user name or bad password.",
            &["no longer accepts passwords", "\"OAuth 2.0\" in the documentation"],
        ),
        (
            "outlook.office365.com",
            Token,
            "Authentication failure: unknown user name or bad password",
            &["switched off for this mailbox, or the token is of another one", "Let devices and apps use POP"],
        ),
        (
            "pop.qq.com",
            Password,
            "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, \
             or system is busy. More information at https://help.mail.qq.com/detail/108/1023",
            &["for every cause", "授权码", "mail.qq.com > 设置"],
        ),
        ("pop.163.com", Password, "Unable to log on", &["授权码", "POP3 is switched off", "新增授权密码"]),
        ("pop.qiye.163.com", Password, "ERR.LOGIN.REQCODE", &["授权码", "生成客户端授权密码"]),
        ("pop.qiye.163.com", Password, "ERR.LOGIN.DOMAINDENY", &["administrator"]),
        ("pop.qiye.163.com", Password, "ERR.LOGIN.ILLEGALINPUT", &["whole address"]),
        ("pop.163.com", Retrieval, "Download exceed", &["in a day", "Nothing is to be done"]),
        (
            "pop.yandex.com",
            Password,
            "[AUTH] login failure or POP3 disabled, try later. sc=abc",
            &["switched off, or this is no app password", "Email clients"],
        ),
        (
            "pop.mail.yahoo.com",
            Password,
            "[AUTH] Invalid credentials",
            &["withdrawn", "\"Providers\" in the documentation"],
        ),
        ("pop.example.org", Behind, "[SYS/PERM] POP is off", &["Waiting does not help", "web settings"]),
        ("pop.naver.com", Greeting, "[SYS/PERM] closed", &["Waiting does not help", "환경설정"]),
        ("pop.example.org", Later, "[IN-USE] go away", &["Another program", "Try again later"]),
        ("pop.example.org", Later, "[LOGIN-DELAY] go away", &["too many logins", "`interval`"]),
        ("pop.example.org", Later, "Too many logins, come back later", &["too many logins"]),
        ("pop.example.org", Password, "please use an app password", &["made for a program"]),
    ];

    #[test]
    fn what_providers_say_has_its_cause_and_its_step() {
        for (host, when, line, parts) in SAID {
            let text = meant(host, *when, line);
            for part in *parts {
                assert!(text.contains(part), "{host} {line}: {part:?} is not in {text:?}");
            }
        }
    }

    #[test]
    fn what_nobody_knows_of_is_not_explained() {
        for (host, when, line) in [
            ("pop.example.org", Password, "[AUTH] Authentication failed."),
            ("mail.btinternet.com", Password, "[AUTH] invalid user or password"),
            ("pop.gmail.com", Behind, "[SYS/TEMP] Temporary system problem. Please try again later."),
            ("pop.example.org", Password, "Unable to log on"),
            ("outlook.office365.com", Later, "[SYS/TEMP] server busy"),
            ("pop.gmail.com.example.org", Password, "[AUTH] Username and password not accepted."),
        ] {
            assert_eq!(meant(host, when, line), "", "{host} {line}");
        }
        let taken = |host| taken_by(Provider::of(host)?);
        let bt = taken("mail.btinternet.com").unwrap();
        assert!(bt.starts_with("Check username and password: BT accepts the mailbox's password"), "{bt}");
        let local = taken("pop3.web.de").unwrap();
        assert!(local.contains("the part before the @") && local.contains("POP3 und IMAP Zugriff"), "{local}");
        assert_eq!(taken("secure-pop.luxsci.com"), None, "only a fact is known of it");
    }

    #[test]
    fn the_table_makes_sense() {
        for line in REFUSALS {
            assert!(line.by.iter().all(|id| Provider::named(id).is_some()), "{:?}", line.by);
            assert!(line.says.iter().all(|words| *words == words.to_ascii_lowercase() && words.is_ascii()));
            let plain = |text: &str| !text.ends_with(['.', ':']) && text.starts_with(char::is_uppercase);
            assert!(plain(line.cause) && plain(line.step), "{} {}", line.cause, line.step);
            // Without menus, a complete sentence is left.
            let without = with_menus(line.step, None);
            assert!(plain(&without) && !without.contains(['{', '}']) || line.step.contains("client_id"), "{without}");
        }
        let page = include_str!("../../docs/providers.md").to_ascii_lowercase();
        for line in REFUSALS.iter().filter(|line| !line.says.is_empty()) {
            assert!(
                line.says.iter().any(|words| page.contains(words)),
                "docs/providers.md has none of {:?}",
                line.says
            );
        }
        for provider in Provider::all() {
            assert!(provider.enable.is_none_or(|menus| !menus.ends_with('.')), "{}", provider.id);
        }
    }
}
