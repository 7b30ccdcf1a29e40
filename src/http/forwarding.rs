//! Where mail goes on from the spool: what waits there, why, and what was refused for good.

use std::fmt;

use super::html::{Count, Moment, PathSegment, Prose, Text};
use crate::control::status::{AccountStatus, Forwarding, Status};

/// So many accounts have a card of their own.
const MOST_CARDS: usize = 20;

/// The accounts whose mail does not go on, those first that have waited for the longest time.
pub(super) struct Held<'a>(pub(super) &'a Status);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forwarding = self.0.accounts.iter().filter_map(|account| Some((account, account.not_forwarded()?)));
        let mut held: Vec<(&AccountStatus, &Forwarding)> = forwarding.collect();
        if held.is_empty() {
            return Ok(());
        }
        held.sort_by_key(|(_, forward)| forward.since.or(forward.oldest).unwrap_or(i64::MAX));
        let accounts = Count(held.len(), "account");
        write!(f, "<section aria-labelledby=\"held\"><h2 id=\"held\">Mail of {accounts} is not forwarded</h2>")?;
        for (account, _) in held.iter().take(MOST_CARDS) {
            card(f, account, self.0.now)?;
        }
        match held.len().saturating_sub(MOST_CARDS) {
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
