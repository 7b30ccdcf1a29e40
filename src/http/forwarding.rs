//! Where mail goes on from the spool: what waits there, why, and what was refused for good.

use std::fmt;

use super::html::{Count, Moment, PathSegment, Prose, Text};
use crate::control::status::{AccountStatus, Forwarding};

/// So many accounts have a card of their own.
const MOST_CARDS: usize = 20;

/// The accounts whose mail does not go on.
#[derive(Debug, Default)]
pub(super) struct NotForwarded {
    /// How many they are.
    accounts: usize,
    /// Those that have waited for the longest time.
    first: Vec<AccountStatus>,
}

impl NotForwarded {
    /// Takes in the next account, if its mail does not go on.
    pub(super) fn add(&mut self, account: &AccountStatus) {
        let Some(forward) = account.not_forwarded() else { return };
        self.accounts += 1;
        let since = |forward: &Forwarding| forward.since.or(forward.oldest).unwrap_or(i64::MAX);
        let is_older = |other: &AccountStatus| other.not_forwarded().is_some_and(|it| since(it) <= since(forward));
        let at = self.first.partition_point(is_older);
        if at < MOST_CARDS {
            self.first.insert(at, account.clone());
            self.first.truncate(MOST_CARDS);
        }
    }
}

/// Those at a time, the one first that has waited for the longest time.
pub(super) struct Held<'a>(pub(super) &'a NotForwarded, pub(super) i64);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(held, now) = *self;
        if held.accounts == 0 {
            return Ok(());
        }
        let accounts = Count(held.accounts, "account");
        write!(f, "<section aria-labelledby=\"held\"><h2 id=\"held\">Mail of {accounts} is not forwarded</h2>")?;
        for account in &held.first {
            card(f, account, now)?;
        }
        match held.accounts.saturating_sub(held.first.len()) {
            0 => f.write_str("</section>"),
            more => write!(f, "<p>and {} more</p></section>", Count(more, "account")),
        }
    }
}

/// What keeps an account's mail from going on, if something does.
pub(super) fn card(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    let Some(forward) = account.not_forwarded() else { return Ok(()) };
    write!(
        f,
        "<article class=\"held\"><h3><a href=\"/account/{}\">{}</a><span class=\"cause\">to {}</span></h3>",
        PathSegment(&account.account),
        Text(&account.account),
        Text(&forward.to)
    )?;
    if let Some(why) = &forward.why {
        write!(f, "<p>{}</p>", Prose(why))?;
    }
    if let Some(first) = forward.first_set_aside.first() {
        write!(f, "<p>{} refused for good", messages(forward.set_aside))?;
        write!(
            f,
            ": {}. <code>mailferry forward --again {}</code> tries again</p>",
            Text(&first.reason),
            Text(&account.account)
        )?;
    }
    if forward.spool_full {
        f.write_str("<p>The spool is full, so fetching pauses until there is room</p>")?;
    }
    write!(f, "<p class=\"when\">{} in the spool", messages(forward.messages))?;
    if let Some(time) = forward.oldest {
        write!(f, ", the oldest came {}", Moment { time, now })?;
    }
    match forward.next_try {
        _ if forward.running => f.write_str("; being tried now")?,
        Some(time) => write!(f, "; next try {}", Moment { time, now })?,
        None => {}
    }
    f.write_str("</p></article>")
}

/// So many messages.
pub(super) fn messages(count: u64) -> Count {
    Count(usize::try_from(count).unwrap_or(usize::MAX), "message")
}
