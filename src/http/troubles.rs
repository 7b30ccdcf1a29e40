//! What is in trouble: one card for each cause at each server, however many accounts it keeps from their work.

use std::collections::BTreeMap;
use std::fmt;

use super::html::{Count, Moment, PathSegment, Prose, Text};
use crate::control::status::{AccountStatus, Status};

/// So many cards there are at most.
const MOST_CARDS: usize = 50;

/// So many accounts of a card are named.
const MOST_NAMES: usize = 24;

/// Since when it has been in trouble.
fn since(account: &AccountStatus) -> Option<i64> {
    account.hung_since.or_else(|| account.trouble.as_ref().map(|trouble| trouble.since))
}

/// The cause in a word.
fn cause(account: &AccountStatus) -> &'static str {
    match (&account.trouble, account.hung_since) {
        (_, Some(_)) => "hung",
        (Some(trouble), None) => trouble.cause.name(),
        (None, None) => "",
    }
}

/// Where something is wrong: at a server, or, as nothing, on this machine.
fn place(account: &AccountStatus) -> &str {
    let is_local = account.hung_since.is_some() || account.trouble.as_ref().is_some_and(|it| it.cause.is_local());
    if is_local { "" } else { &account.host }
}

/// All troubles: what keeps the most accounts from their work first, then what began first.
pub(super) struct Troubles<'a>(pub(super) &'a Status);

impl fmt::Display for Troubles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubled = self.0.accounts.iter().filter(|account| account.is_poll_in_trouble());
        let mut by_cause: BTreeMap<(&str, &str), Vec<&AccountStatus>> = BTreeMap::new();
        for account in troubled {
            by_cause.entry((cause(account), place(account))).or_default().push(account);
        }
        if by_cause.is_empty() {
            return Ok(());
        }
        let sum = by_cause.values().map(Vec::len).sum();
        let mut cards: Vec<Vec<&AccountStatus>> = by_cause.into_values().collect();
        for card in &mut cards {
            card.sort_by_key(|account| since(account));
        }
        cards.sort_by_key(|card| (usize::MAX - card.len(), card.first().and_then(|first| since(first))));
        write!(
            f,
            "<section aria-labelledby=\"troubles\"><h2 id=\"troubles\">{} in trouble</h2>",
            Count(sum, "account")
        )?;
        for card in cards.iter().take(MOST_CARDS) {
            match card.as_slice() {
                [] => {}
                [account] => trouble(f, account, self.0.now)?,
                several => together(f, several, self.0.now)?,
            }
        }
        match cards.iter().skip(MOST_CARDS).map(Vec::len).sum() {
            0 => f.write_str("</section>"),
            more => write!(f, "<p>and {} more</p></section>", Count(more, "account")),
        }
    }
}

/// What keeps an account from its work, and what to do about it.
pub(super) fn trouble(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    f.write_str("<article class=\"trouble\"><h3>")?;
    link(f, account)?;
    write!(f, "<span class=\"cause\">{}</span></h3>", cause(account))?;
    what(f, account)?;
    began(f, account, now)?;
    if let (Some(trouble), None) = (&account.trouble, account.hung_since) {
        write!(f, ", {} in a row", Count(usize::try_from(trouble.times).unwrap_or(usize::MAX), "poll"))?;
        match account.next_poll {
            Some(time) => write!(f, "; next try {}", Moment { time, now })?,
            None => f.write_str("; being tried now")?,
        }
    }
    f.write_str("</p></article>")
}

/// The same of several accounts at one server, in the order in which it began.
fn together(f: &mut fmt::Formatter<'_>, accounts: &[&AccountStatus], now: i64) -> fmt::Result {
    let Some(first) = accounts.first() else { return Ok(()) };
    write!(
        f,
        "<article class=\"trouble\"><h3>{}{}{}<span class=\"cause\">{}</span></h3>",
        Count(accounts.len(), "account"),
        if place(first).is_empty() { "" } else { " at " },
        Text(place(first)),
        cause(first)
    )?;
    what(f, first)?;
    f.write_str("<ul class=\"names\">")?;
    for account in accounts.iter().take(MOST_NAMES) {
        f.write_str("<li>")?;
        link(f, account)?;
        f.write_str("</li>")?;
    }
    match accounts.len().saturating_sub(MOST_NAMES) {
        0 => f.write_str("</ul>")?,
        more => write!(f, "<li>and {more} more</li></ul>")?,
    }
    began(f, first, now)?;
    if first.hung_since.is_none() {
        match accounts.iter().filter_map(|account| account.next_poll).min() {
            Some(time) => write!(f, "; next try {}", Moment { time, now })?,
            None => f.write_str("; being tried now")?,
        }
    }
    f.write_str("</p></article>")
}

fn link(f: &mut fmt::Formatter<'_>, account: &AccountStatus) -> fmt::Result {
    write!(f, "<a href=\"/account/{}\">{}</a>", PathSegment(&account.account), Text(&account.account))
}

/// What happened, and what to do about it.
fn what(f: &mut fmt::Formatter<'_>, account: &AccountStatus) -> fmt::Result {
    match (&account.trouble, account.hung_since) {
        (Some(trouble), None) => write!(f, "<p>{}</p>", Prose(&trouble.text)),
        _ => f.write_str("<p>Its poll waits for a disk that does not respond.</p>"),
    }
}

fn began(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    write!(f, "<p class=\"when\">began {}", Moment { time: since(account).unwrap_or(now), now })
}
