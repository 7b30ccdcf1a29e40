//! Notifications, in words and as the environment of a command.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::account::{Account, NotifySettings};
use crate::advice;
use crate::advice::next_step::notify::before_it_ends;
use crate::forward::SetAside;
use crate::schedule::Cause;
use crate::state::entries::QuarantineReason;
use crate::text::{self, Span};

/// The environment variable for the account's name.
pub(crate) const ACCOUNT: &str = "MAILFERRY_ACCOUNT";

/// The environment variable for the event.
pub(crate) const EVENT: &str = "MAILFERRY_EVENT";

/// The environment variable for the server.
pub(super) const HOST: &str = "MAILFERRY_HOST";

/// The environment variable for the full text.
pub(super) const TEXT: &str = "MAILFERRY_TEXT";

/// The environment variable for a number.
pub(super) const COUNT: &str = "MAILFERRY_COUNT";

/// The longest text, in characters: the size of an environment is limited.
const LONGEST: usize = 4000;

/// Something that the user should know about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Polls fail for a reason that will hardly go away by itself.
    Failure {
        /// What their error was sorted as.
        cause: Cause,
        /// The error of the last one, and what to do about it.
        text: String,
    },
    /// A poll has succeeded again.
    Recovered,
    /// No poll has succeeded for a long time.
    NoSuccess {
        /// For how long none has succeeded.
        since: Duration,
        /// The error of the last poll.
        text: String,
    },
    /// A certificate is about to expire.
    CertificateExpires {
        /// How many whole days are left.
        days: i64,
        /// Whether it is our client certificate, not the server's.
        ours: bool,
    },
    /// The sign-in at the provider is about to end, and the user must sign in again.
    SignInEnds {
        /// How many whole days are left.
        days: i64,
    },
    /// Further messages were put in quarantine.
    Quarantine {
        /// The unique-id of the first one, escaped, without secrets.
        unique_id: String,
        /// Why the first one was.
        kind: QuarantineReason,
        /// How many further messages there are.
        count: u64,
    },
    /// Mail is waiting in the spool, and will hardly be forwarded soon.
    Forwarding {
        /// Why it waits, and what to do about it.
        text: String,
        /// How many messages are waiting.
        count: u64,
    },
    /// Mail is forwarded again.
    ForwardingRecovered,
    /// Messages were set aside and are not forwarded.
    SetAside {
        /// The first of the new ones, with their reasons.
        first: Vec<SetAside>,
        /// How many are new.
        new: u64,
        /// How many there are, including earlier ones.
        count: u64,
    },
    /// New mail was delivered.
    NewMail {
        /// How many messages were delivered.
        count: u64,
    },
}

impl Notification {
    /// The value of `MAILFERRY_EVENT`.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self {
            Self::Failure { .. } => "trouble",
            Self::Recovered => "recovered",
            Self::NoSuccess { .. } => "no-success",
            Self::CertificateExpires { .. } => "certificate",
            Self::SignInEnds { .. } => "sign-in",
            Self::Quarantine { .. } => "quarantine",
            Self::Forwarding { .. } => "forwarding",
            Self::ForwardingRecovered => "forwarding-recovered",
            Self::SetAside { .. } => "set-aside",
            Self::NewMail { .. } => "new-mail",
        }
    }

    /// Returns the command to run, as words: the account's own for new mail, otherwise that of `[notify]`.
    #[must_use]
    pub fn command<'a>(&self, account: &'a Account, settings: &'a NotifySettings) -> Option<&'a [OsString]> {
        match self {
            Self::NewMail { .. } => account.on_new_mail.as_deref(),
            _ => settings.command.as_deref(),
        }
    }

    /// Returns the full text in one line, for people to read.
    #[must_use]
    pub fn text(&self, account: &Account) -> String {
        let (name, host) = (&account.name, &account.endpoint.host);
        let text = match self {
            Self::Failure { text, .. } => format!("{name}: {text}"),
            Self::Recovered => format!("{name}: it works again"),
            Self::NoSuccess { since, text } => {
                format!("{name}: no poll has succeeded for {}. The last one: {text}", Span(*since))
            }
            Self::CertificateExpires { days, ours } => {
                let when = in_days(*days);
                let whose = if *ours { "that is shown to" } else { "of" };
                format!(
                    "{name}: the certificate {whose} {host} expires {when}; if it is not renewed, no mail can be fetched then"
                )
            }
            Self::SignInEnds { days } => {
                let when = in_days(*days);
                let fact = format!("{name}: the sign-in at the provider ends {when}");
                advice::with_step(fact, Some(&before_it_ends(name)))
            }
            Self::Quarantine { unique_id, kind, count } => {
                let what = match kind {
                    QuarantineReason::Refused => "the server refuses to send it",
                    QuarantineReason::BrokeSession => "sessions end at it",
                    QuarantineReason::OverLimit => "the server's limit for a day has kept it back on several days",
                    QuarantineReason::OtherSize => "it comes in another size than it is listed with",
                };
                let others = match count.saturating_sub(1) {
                    0 => String::new(),
                    1 => ", and another one".to_owned(),
                    others => format!(", and {others} others"),
                };
                format!(
                    "{name}: the message with the unique-id {unique_id} is in quarantine, because {what}{others}; it \
                     stays on \
                     the server and is tried again from time to time"
                )
            }
            Self::Forwarding { text, count } => {
                let wait = if *count == 1 { "waits" } else { "wait" };
                let count = text::Count(*count, "message");
                format!("{name}: {count} {wait} in the spool: {text}. Forwarding tries again by itself")
            }
            Self::ForwardingRecovered => format!("{name}: mail is forwarded again"),
            Self::SetAside { first, new, count } => {
                let (are, stay) = if *new == 1 { ("is", "It stays") } else { ("are", "They stay") };
                let in_all = if count > new { format!(" ({count} are in all)") } else { String::new() };
                format!(
                    "{name}: {} {are} set aside and not forwarded{in_all}: {}. {stay} in the spool and on the server. {}",
                    text::Count(*new, "message"),
                    SetAside::listed(first, *new),
                    advice::after_setting_aside(&account.name, first)
                )
            }
            Self::NewMail { count: 1 } => format!("{name}: 1 new message"),
            Self::NewMail { count } => format!("{name}: {count} new messages"),
        };
        // Error texts are safe to show; a path or the system's words may contain anything.
        one_line(&text)
    }

    /// Returns the environment variables for the command.
    #[must_use]
    pub fn environment(&self, account: &Account) -> Vec<(&'static str, OsString)> {
        let count = match self {
            Self::NewMail { count }
            | Self::Quarantine { count, .. }
            | Self::Forwarding { count, .. }
            | Self::SetAside { count, .. } => Some(count.to_string()),
            Self::CertificateExpires { days, .. } | Self::SignInEnds { days } => Some(days.max(&0).to_string()),
            Self::Failure { .. } | Self::Recovered | Self::NoSuccess { .. } | Self::ForwardingRecovered => None,
        };
        let mut environment = vec![
            (EVENT, self.event().into()),
            (ACCOUNT, account.name.as_str().into()),
            (HOST, account.endpoint.host.clone().into()),
            (TEXT, self.text(account).into()),
            ("MAILFERRY_MAILDIR", account.own_maildir().unwrap_or(Path::new("")).into()),
        ];
        environment.extend(count.map(|count| (COUNT, count.into())));
        environment
    }
}

/// Returns the environment variables for a test of the command.
#[must_use]
pub(crate) fn test_environment() -> Vec<(&'static str, OsString)> {
    vec![
        (EVENT, "test".into()),
        (ACCOUNT, "none".into()),
        (HOST, "pop.example.org".into()),
        (TEXT, "This is a test of the notifications of mailferry: nothing is wrong".into()),
    ]
}

fn in_days(days: i64) -> String {
    match days {
        ..=0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

/// Makes the text one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    text::cut_words(text, LONGEST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::account::{Forward, ForwardTo, SpoolBounds};
    use crate::delivery::bench::account;

    fn of(notifications: &Notification) -> (String, Vec<(&'static str, OsString)>) {
        let account = account("work", Path::new("/mail/work"));
        (notifications.text(&account), notifications.environment(&account))
    }

    #[test]
    fn a_command_is_told_what_happened_where() {
        let (text, environment) = of(&Notification::NewMail { count: 3 });
        assert_eq!(text, "work: 3 new messages");
        let expected = [
            ("MAILFERRY_EVENT", "new-mail"),
            ("MAILFERRY_ACCOUNT", "work"),
            ("MAILFERRY_HOST", "pop.example.org"),
            ("MAILFERRY_TEXT", "work: 3 new messages"),
            ("MAILFERRY_MAILDIR", "/mail/work"),
            ("MAILFERRY_COUNT", "3"),
        ];
        assert_eq!(environment, expected.map(|(name, value)| (name, OsString::from(value))));
        assert!(of(&Notification::Recovered).1.iter().all(|(name, _)| *name != "MAILFERRY_COUNT"));
    }

    #[test]
    fn a_spool_is_no_maildir_for_commands() {
        let mut account = account("work", Path::new("/mail/work"));
        let to = ForwardTo::Command(vec!["x".into()]);
        account.forward = Some(Arc::new(Forward { to, spool: SpoolBounds::default() }));
        let maildir = |account: &Account| {
            let environment = Notification::NewMail { count: 1 }.environment(account);
            environment.into_iter().find(|(name, _)| *name == "MAILFERRY_MAILDIR").unwrap().1
        };
        assert_eq!(maildir(&account), "/mail/work", "of an account with both it is the Maildir");
        account.maildir = account.name.spool();
        assert_eq!(maildir(&account.with_spool(Path::new("/state"))), "");
    }

    #[test]
    fn each_is_told_in_words() {
        let text = "the login was refused; look at the password".to_owned();
        let quarantine = |kind, count| Notification::Quarantine { unique_id: "u7".to_owned(), kind, count };
        for (notifications, event, expected) in [
            (
                Notification::Failure { cause: Cause::LoginRefused, text: text.clone() },
                "trouble",
                "work: the login was refused",
            ),
            (Notification::Recovered, "recovered", "works again"),
            (
                Notification::NoSuccess { since: Duration::from_secs(90_000), text },
                "no-success",
                "succeeded for 25 h. The last one: the",
            ),
            (
                Notification::CertificateExpires { days: 14, ours: false },
                "certificate",
                "of pop.example.org expires in 14 days;",
            ),
            (
                Notification::CertificateExpires { days: 3, ours: true },
                "certificate",
                "that is shown to pop.example.org expires in 3 days;",
            ),
            (Notification::CertificateExpires { days: 1, ours: false }, "certificate", "expires in 1 day;"),
            (Notification::CertificateExpires { days: 0, ours: false }, "certificate", "expires within a day;"),
            (Notification::SignInEnds { days: 2 }, "sign-in", "ends in 2 days. Sign in again: mailferry"),
            (
                quarantine(QuarantineReason::BrokeSession, 1),
                "quarantine",
                "unique-id u7 is in quarantine, because sessions end at it;",
            ),
            (quarantine(QuarantineReason::Refused, 2), "quarantine", "refuses to send it, and another one;"),
            (quarantine(QuarantineReason::Refused, 9), "quarantine", "and 8 others;"),
            (Notification::NewMail { count: 1 }, "new-mail", "work: 1 new message"),
        ] {
            assert_eq!(notifications.event(), event);
            let (text, _) = of(&notifications);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_is_set_aside_is_named_in_plain_words() {
        let aside = |n: u32| SetAside {
            name: format!("{n}.x"),
            unique_id: Some(format!("u{n}")),
            octets: 2048,
            since: 1,
            reason: "too large".to_owned(),
        };
        let set_aside =
            |named: u32, new, count| Notification::SetAside { first: (1..=named).map(aside).collect(), new, count };
        for (notification, expected) in [
            (
                set_aside(1, 1, 1),
                "work: 1 message is set aside and not forwarded: unique-id u1 (2.0 KiB, file 1.x): too large. It stays in",
            ),
            (
                set_aside(5, 5, 7),
                "work: 5 messages are set aside and not forwarded (7 are in all): unique-id u1 (2.0 KiB, file 1.x): too \
                 large; unique-id u2 (2.0 KiB, file 2.x): too large; unique-id u3 (2.0 KiB, file 3.x): too large; and 2 \
                 more. They stay in the spool and on the server. Once the cause is fixed: ",
            ),
        ] {
            assert_eq!(notification.event(), "set-aside");
            let (text, environment) = of(&notification);
            assert!(text.contains(expected), "{text}");
            let count = if text.contains("1 message is") { "1" } else { "7" };
            assert!(environment.contains(&("MAILFERRY_COUNT", count.into())), "{environment:?}");
        }
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length_without_controls() {
        let text = "a\n\x1b[2J\0b".to_owned() + &"é".repeat(10_000);
        let (text, _) = of(&Notification::Failure { cause: Cause::Storage, text });
        assert!(text.starts_with("work: a\\n\\u{1b}[2J\\u{0}b") && text.ends_with('…'), "{text}");
        assert!(!text.contains(char::is_control) && text.chars().count() < 4100);
    }

    #[test]
    fn new_mail_has_a_command_of_its_own() {
        let mut account = account("work", Path::new("/mail/work"));
        account.on_new_mail = Some(["notmuch".into()].into());
        let settings = NotifySettings { command: Some(vec!["tell".into()]), ..NotifySettings::default() };
        assert_eq!(Notification::NewMail { count: 1 }.command(&account, &settings), Some(&["notmuch".into()][..]));
        assert_eq!(Notification::Recovered.command(&account, &settings), Some(&["tell".into()][..]));
        account.on_new_mail = None;
        assert_eq!(Notification::NewMail { count: 1 }.command(&account, &settings), None);
    }
}
