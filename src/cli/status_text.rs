//! Formats an account's status for people, with its times and sizes.

use std::fmt;

use crate::account::AccountName;
use crate::advice;
use crate::advice::next_step::TOO_LARGE;
use crate::clock::time_zone;
use crate::control::status::{AccountStatus, Came, Forwarding, Quarantine, State, Token};
use crate::forward::without_name;
use crate::text::{Count, Size, Span, plural};

/// The maximum number of quarantined messages shown per account; `--json` has all.
const SHOWN: usize = 5;

/// A count this old, in seconds, may be out of date.
const OLD: i64 = 60;

/// Formats an account at a point in time.
pub(super) struct Account<'a>(pub(super) &'a AccountStatus, pub(super) i64);

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(account, now) = *self;
        let ago = |time| Ago(time, now);
        let state = match account.not_forwarded().filter(|_| account.state == State::Idle) {
            Some(forward) if forward.is_held_up() => "its mail is not forwarded",
            Some(_) => "some of its mail is set aside",
            None => words(account.state),
        };
        write!(f, "{}: {state}", account.account)?;
        if let Some(since) = account.hung_since {
            write!(f, " since {}", LocalTime(since))?;
        }
        writeln!(f, " ({})", account.host)?;
        self.what_keeps_it(f)?;
        writeln!(f, "  last poll     {}", ago(account.last_poll))?;
        writeln!(f, "  last success  {}", ago(account.last_success))?;
        writeln!(f, "  last new mail {}", ago(account.last_new_mail))?;
        let next = if account.next_poll_why.is_empty() { "now" } else { &account.next_poll_why };
        writeln!(f, "  next poll     {next}")?;
        if let Some(until) = account.often_until {
            let left = Span::between(now, until);
            writeln!(f, "  often         until {}, for another {left}", LocalTime(until))?;
        }
        if let Some(so_far) = account.this_poll {
            writeln!(f, "  this poll     {}", Mail(so_far))?;
        }
        writeln!(f, "  today         {}", Mail(account.today))?;
        write!(f, "  in all        {}", Mail(account.total))?;
        if let Some(on_server) = account.on_server {
            write!(f, "\n  on the server {}", Count(on_server, "message"))?;
            if account.too_large > 0 {
                write!(f, " ({} {TOO_LARGE})", account.too_large)?;
            }
        }
        if let Some(token) = &account.token {
            write!(f, "\n  token         {}", SignedIn(token, now))?;
        }
        if let Some(forward) = &account.forward {
            write!(f, "\n  forwarding    {}", ForwardedTo(forward, now))?;
            what_is_set_aside(f, forward, &account.account)?;
        }
        for message in account.quarantine.iter().take(SHOWN) {
            write!(f, "\n  quarantine    {}", Message(message, now))?;
        }
        match account.quarantine.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n                {}", advice::commands::status::and_more(more)),
        }
    }
}

impl Account<'_> {
    /// The width of the label before each of its lines, in columns.
    pub(super) const LABEL: usize = 16;

    /// Writes the account's failure, and who holds it.
    fn what_keeps_it(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(account, now) = *self;
        if let Some(failure) = &account.failure {
            let since = Span::between(failure.since, now);
            writeln!(f, "  trouble       {}", failure.text)?;
            let polls = plural(u64::from(failure.times), "failed poll");
            let in_a_row = if failure.times > 1 { " in a row" } else { "" };
            writeln!(f, "                {} for {since}, {} {polls}{in_a_row}", failure.cause.name(), failure.times)?;
        }
        if let Some(hold) = &account.held {
            writeln!(f, "  in use        for {}: {}", Span::between(hold.since, now), hold.text)?;
        }
        Ok(())
    }
}

pub(super) fn words(state: State) -> &'static str {
    match state {
        State::New => "not polled yet",
        State::Idle => "all is well",
        State::Polling => "being polled now",
        State::Hung => "hung: waiting for the disk",
        State::Queued => advice::commands::status::QUEUED,
        State::Held => "in use by another mailferry",
        State::Failing => "in trouble",
    }
}

/// Formats a time in seconds since 1970 as local time.
pub(super) struct LocalTime(pub(super) i64);

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_second(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        time.to_zoned_datetime(time_zone::of_user()).strftime("%F %T").fmt(f)
    }
}

/// Formats an amount of mail.
pub(super) struct Mail(pub(super) Came);

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Came { messages, octets } = self.0;
        write!(f, "{} ({})", Count(messages, "message"), Size(octets))
    }
}

/// Formats a sign-in at a point in time.
struct SignedIn<'a>(&'a Token, i64);

impl fmt::Display for SignedIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(token, now) = *self;
        write!(f, "renewed {}", Ago(Some(token.renewed), now))?;
        match token.access_ends.map(|end| end.saturating_sub(now)) {
            Some(..=0) => f.write_str(", due for renewal")?,
            Some(left) => write!(f, ", good for {}", Span::between(0, left))?,
            None => {}
        }
        let unless =
            if token.end_is_fixed { "unless somebody signs in again" } else { "if it is not renewed until then" };
        match token.sign_in_ends.map(|end| end.saturating_sub(now)) {
            Some(..=0) => f.write_str("; the sign-in has probably ended"),
            Some(left) => write!(f, "; the sign-in ends in {} {unless}", Span::between(0, left)),
            None => Ok(()),
        }
    }
}

/// Formats the state of forwarding at a point in time.
struct ForwardedTo<'a>(&'a Forwarding, i64);

impl fmt::Display for ForwardedTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(forward, now) = *self;
        if forward.stranded {
            f.write_str("no longer")?;
        } else {
            write!(f, "to {}: {} since the daemon began", forward.to, Count(forward.forwarded, "message"))?;
        }
        if let Some(last) = forward.last_forwarded {
            write!(f, ", the last one {}", Ago(Some(last), now))?;
        }
        what_waits(f, forward, now)?;
        match forward.next_try {
            _ if forward.running => f.write_str("; being tried now")?,
            Some(next) if forward.messages > 0 => write!(f, "; tried again in {}", Span::between(now, next))?,
            _ => {}
        }
        why_it_waits(f, forward)
    }
}

/// Writes what waits in a spool, if anything does.
fn what_waits(f: &mut fmt::Formatter<'_>, forward: &Forwarding, now: i64) -> fmt::Result {
    let (messages, octets) = (forward.messages, forward.octets);
    if messages == 0 {
        return Ok(());
    }
    write!(f, "\n  in the spool  {}", Mail(Came { messages, octets }))?;
    if let Some(oldest) = forward.oldest {
        write!(f, ", the oldest for {}", Span::between(oldest, now))?;
    }
    match forward.counted.filter(|counted| now.saturating_sub(*counted) >= OLD) {
        Some(counted) => write!(f, ", counted {}", Ago(Some(counted), now)),
        None => Ok(()),
    }
}

/// Formats what is in an account's spool at a point in time, if nothing else is known.
pub(super) struct InSpool<'a>(pub(super) &'a crate::account::Account, pub(super) &'a Forwarding, pub(super) i64);

impl fmt::Display for InSpool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(account, forward, now) = *self;
        match forward.stranded {
            true => write!(f, "{}: no longer forwarded", account.name)?,
            false => write!(f, "{}: forwarded to {}", account.name, forward.to)?,
        }
        if forward.counted.is_none() {
            return f.write_str("\n  in the spool  what waits cannot be read");
        }
        what_waits(f, forward, now)?;
        match forward.next_try {
            _ if forward.stranded || !account.enabled || forward.messages == 0 => {}
            next => {
                let left = next.map(|next| Span::between(now, next));
                f.write_str(&advice::commands::status::tried_again_by(left))?;
            }
        }
        why_it_waits(f, forward)?;
        what_is_set_aside(f, forward, account.name.as_str())
    }
}

/// Writes why mail waits, if that is known.
fn why_it_waits(f: &mut fmt::Formatter<'_>, forward: &Forwarding) -> fmt::Result {
    if let Some(why) = &forward.why {
        write!(f, "\n                {}", without_name(why, &forward.to))?;
    }
    if forward.spool_full {
        f.write_str("\n                the spool is full, so fetching pauses until there is room")?;
    }
    Ok(())
}

/// Writes what was set aside: how much, the first few messages, and what to do about them.
fn what_is_set_aside(f: &mut fmt::Formatter<'_>, forward: &Forwarding, account: &str) -> fmt::Result {
    let stay = match forward.set_aside {
        0 => return Ok(()),
        1 => "it stays",
        _ => "they stay",
    };
    write!(f, "\n  set aside     {}, not forwarded:", Count(forward.set_aside, "message"))?;
    let shown = forward.first_set_aside.get(..SHOWN).unwrap_or(&forward.first_set_aside);
    for aside in shown {
        write!(f, "\n                {aside}")?;
    }
    match forward.set_aside.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX)) {
        0 => {}
        more => write!(f, "\n                and {more} more")?,
    }
    write!(f, "\n                {stay} in the spool and on the server")?;
    AccountName::new(account)
        .map_or(Ok(()), |account| write!(f, ". {}", advice::after_setting_aside(&account, &forward.first_set_aside)))
}

/// Formats a message in quarantine at a point in time.
struct Message<'a>(&'a Quarantine, i64);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message, now) = *self;
        let what = message.kind.in_words();
        let times = plural(u64::from(message.times), "time");
        write!(f, "{}: {what} {} {times}; ", message.unique_id, message.times)?;
        match message.until > now {
            false => f.write_str("tried again at the next poll"),
            true => write!(f, "tried again in {}", Span::between(now, message.until)),
        }
    }
}

/// Formats how long ago something was, at a point in time.
struct Ago(Option<i64>, i64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time, now) = *self;
        match time {
            None => f.write_str("-"),
            Some(time) if now.saturating_sub(time) <= 1 => f.write_str("just now"),
            Some(time) => write!(f, "{} ago", Span::between(time, now)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::status::{Failure, SetAside, examples};
    use crate::schedule::Cause;
    use crate::state::entries::QuarantineReason;

    pub(in crate::cli) fn account() -> AccountStatus {
        examples::account("work")
    }

    #[test]
    fn an_account_is_told_in_plain_words() {
        assert_eq!(
            Account(&account(), 1000).to_string(),
            "work: all is well (pop.example.org)\n  last poll     60 s ago\n  last success  60 s ago\n  last new mail \
             -\n  next poll     in 4 min, as configured\n  today         1 message (2.0 KiB)\n  in all        20 messages \
             (4.0 MiB)\n  on the server 7 messages"
        );
    }

    #[test]
    fn what_a_poll_that_runs_has_brought_is_told_meanwhile() {
        let this_poll = Some(Came { messages: 3, octets: 1024 });
        let account = AccountStatus { state: State::Polling, this_poll, next_poll_why: String::new(), ..account() };
        let text = Account(&account, 1000).to_string();
        assert!(text.contains("  next poll     now\n  this poll     3 messages (1.0 KiB)\n  today"), "{text}");
    }

    #[test]
    fn until_when_it_is_polled_often_is_told() {
        let text = Account(&AccountStatus { often_until: Some(1480), ..account() }, 1000).to_string();
        assert!(
            text.contains("  often         until 19") && text.contains(":40, for another 8 min\n  today"),
            "{text}"
        );
    }

    #[test]
    fn the_age_and_the_end_of_a_sign_in_are_told() {
        let token =
            Token { signed_in: 0, renewed: 940, access_ends: Some(4540), sign_in_ends: None, end_is_fixed: false };
        let told = |token: &Token, now| SignedIn(token, now).to_string();
        assert_eq!(told(&token, 1000), "renewed 60 s ago, good for 59 min");
        let token = Token { sign_in_ends: Some(1000 + 89 * 86_400), ..token };
        assert_eq!(
            told(&token, 1000),
            "renewed 60 s ago, good for 59 min; the sign-in ends in 89 days if it is not renewed until then"
        );
        let fixed = Token { end_is_fixed: true, ..token };
        assert!(
            told(&fixed, 5000).contains("due for renewal; the sign-in ends in 89 days unless somebody signs in again")
        );
        assert!(told(&fixed, 90 * 86_400).ends_with("the sign-in has probably ended"));
        let account = AccountStatus { token: Some(token), ..account() };
        assert!(Account(&account, 1000).to_string().contains("\n  token         renewed 60 s ago"));
    }

    #[test]
    fn since_when_a_disk_hangs_is_told() {
        let account = AccountStatus { state: State::Hung, hung_since: Some(940), ..account() };
        let text = Account(&account, 1000).to_string();
        assert!(text.starts_with("work: hung: waiting for the disk since 19") && text.contains(":40 (pop.e"), "{text}");
    }

    #[test]
    fn what_waits_to_be_forwarded_is_told_with_its_age_the_reason_and_the_next_try() {
        let mut account = account();
        let unique_id = Some("u1".to_owned());
        let aside = SetAside { name: "1.x".into(), unique_id, octets: 2048, since: 1, reason: "too large".into() };
        account.forward = Some(Forwarding {
            to: "INBOX at imaps://imap.example.org:993".into(),
            running: false,
            counted: Some(1000 - 300),
            messages: 3,
            octets: 2048,
            oldest: Some(0),
            why: Some("the destination accepts no more mail for now".into()),
            since: Some(1),
            next_try: Some(1000 + 3600),
            forwarded: 7,
            last_forwarded: Some(940),
            set_aside: 1,
            first_set_aside: vec![aside.clone()],
            spool_full: true,
            stranded: false,
        });
        let text = Account(&account, 1000).to_string();
        for line in [
            "  forwarding    to INBOX at imaps://imap.example.org:993: 7 messages since the daemon began, the last one 60 \
             s ago",
            "  in the spool  3 messages (2.0 KiB), the oldest for 17 min, counted 5 min ago; tried again in 60 min",
            "                the destination accepts no more mail for now",
            "                the spool is full, so fetching pauses until there is room",
            "  set aside     1 message, not forwarded:",
            "                unique-id u1 (2.0 KiB, file 1.x): too large",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(text.contains("forward --again") && text.starts_with("work: its mail is not forwarded"), "{text}");
        let forward = account.forward.as_mut().unwrap();
        (forward.messages, forward.why, forward.set_aside) = (0, None, 30);
        forward.first_set_aside = vec![aside; 20];
        let text = Account(&account, 1000).to_string();
        assert!(text.starts_with("work: some of its mail is set aside"), "{text}");
        assert!(text.contains("30 messages, not forwarded:"), "{text}");
        assert_eq!(
            (text.matches("1.x): too large").count(), text.matches("and 25 more").count()),
            (SHOWN, 1),
            "{text}"
        );
    }

    #[test]
    fn failure_and_quarantine_are_told_with_what_comes_next() {
        let mut account = account();
        account.state = State::Failing;
        account.failure =
            Some(Failure { cause: Cause::Tls, times: 2, since: 100, text: "no trust. Look at it".into() });
        let quarantined = |n: i64| Quarantine {
            unique_id: format!("u{n}"),
            kind: QuarantineReason::BrokeSession,
            times: 3,
            until: n,
        };
        account.quarantine = (997..1005).map(quarantined).collect();
        let text = Account(&account, 1000).to_string();
        for part in [
            "work: in trouble",
            "  trouble       no trust. Look at it\n                tls for 15 min, 2 failed polls in a row",
            "  quarantine    u997: a session broke at it 3 times; tried again at the next poll",
            "  quarantine    u1001: a session broke at it 3 times; tried again in 1 s",
            "and 3 more: see --json",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
