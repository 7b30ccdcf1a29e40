//! Failing accounts: one card for each cause at each server, however many accounts have it.

use std::collections::BTreeMap;
use std::fmt;

use super::html::{Moment, PathSegment, Prose, Text};
use crate::control::status::AccountStatus;
use crate::text::Count;

/// How many failures the page shows as cards at most.
const MOST_CARDS: usize = 50;

/// How many accounts a card names.
const MOST_NAMES: usize = 24;

/// Returns since when it has been in trouble, in seconds since 1970.
fn since(account: &AccountStatus) -> Option<i64> {
    account.hung_since.or_else(|| account.failure.as_ref().map(|failure| failure.since))
}

/// Returns the cause in a word.
fn cause(account: &AccountStatus) -> &'static str {
    match (&account.failure, account.hung_since) {
        (_, Some(_)) => "hung",
        (Some(failure), None) => failure.cause.name(),
        (None, None) => "",
    }
}

/// Returns the server where something is wrong; empty for this machine.
fn place(account: &AccountStatus) -> &str {
    let is_local = account.hung_since.is_some() || account.failure.as_ref().is_some_and(|it| it.cause.is_local());
    if is_local { "" } else { &account.host }
}

/// The accounts that fail for one cause at one server.
#[derive(Debug, Default)]
struct Card {
    /// How many accounts there are.
    accounts: usize,
    /// The accounts that are named, the longest in trouble first.
    named: Vec<AccountStatus>,
    /// When one of them is next tried. None: they are being tried.
    next_try: Option<i64>,
}

impl Card {
    fn add(&mut self, account: &AccountStatus) {
        self.accounts += 1;
        self.next_try = self.next_try.into_iter().chain(account.next_poll).min();
        let at = self.named.partition_point(|other| since(other) <= since(account));
        if at < MOST_NAMES {
            self.named.insert(at, account.clone());
            self.named.truncate(MOST_NAMES);
        }
    }
}

/// All failing accounts by cause and server. Keeps only what is shown, however many accounts there are.
#[derive(Debug, Default)]
pub(super) struct Cards(BTreeMap<(&'static str, String), Card>);

impl Cards {
    /// Takes in the next account, if its polls fail.
    pub(super) fn add(&mut self, account: &AccountStatus) {
        if account.is_poll_in_trouble() {
            self.0.entry((cause(account), place(account).to_owned())).or_default().add(account);
        }
    }
}

/// All failing accounts at a time in seconds since 1970: what concerns the most accounts first, then what began first.
pub(super) struct Failures<'a>(pub(super) &'a Cards, pub(super) i64);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Cards(cards), now) = *self;
        if cards.is_empty() {
            return Ok(());
        }
        let sum = cards.values().map(|card| card.accounts).sum();
        let mut cards: Vec<&Card> = cards.values().collect();
        cards.sort_by_key(|card| (usize::MAX - card.accounts, card.named.first().and_then(since)));
        write!(
            f,
            "<section aria-labelledby=\"troubles\"><h2 id=\"troubles\">{} in trouble</h2>",
            Count::of(sum, "account")
        )?;
        for card in cards.iter().take(MOST_CARDS) {
            match card.named.as_slice() {
                [] => {}
                [account] => failure(f, account, now)?,
                [first, ..] => together(f, card, first, now)?,
            }
        }
        match cards.iter().skip(MOST_CARDS).map(|card| card.accounts).sum() {
            0 => f.write_str("</section>"),
            more => write!(f, "<p>and {} more</p></section>", Count::of(more, "account")),
        }
    }
}

/// Writes what is wrong with an account, and what to do about it.
pub(super) fn failure(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    f.write_str("<article class=\"trouble\"><h3>")?;
    link(f, account)?;
    write!(f, "<span class=\"cause\">{}</span></h3>", cause(account))?;
    what(f, account)?;
    began(f, account, now)?;
    if let (Some(failure), None) = (&account.failure, account.hung_since) {
        let in_a_row = if failure.times > 1 { " in a row" } else { "" };
        write!(f, ", {}{in_a_row}", Count(failure.times.into(), "failed poll"))?;
        match account.next_poll {
            Some(time) => write!(f, "; next try {}", Moment { time, now })?,
            None => f.write_str("; being tried now")?,
        }
    }
    f.write_str("</p></article>")
}

/// Writes what is wrong with several accounts at one server, in the order in which it began.
fn together(f: &mut fmt::Formatter<'_>, card: &Card, first: &AccountStatus, now: i64) -> fmt::Result {
    write!(
        f,
        "<article class=\"trouble\"><h3>{}{}{}<span class=\"cause\">{}</span></h3>",
        Count::of(card.accounts, "account"),
        if place(first).is_empty() { "" } else { " at " },
        Text(place(first)),
        cause(first)
    )?;
    what(f, first)?;
    f.write_str("<ul class=\"names\">")?;
    for account in &card.named {
        f.write_str("<li>")?;
        link(f, account)?;
        f.write_str("</li>")?;
    }
    match card.accounts.saturating_sub(card.named.len()) {
        0 => f.write_str("</ul>")?,
        more => write!(f, "<li>and {more} more</li></ul>")?,
    }
    began(f, first, now)?;
    if first.hung_since.is_none() {
        match card.next_try {
            Some(time) => write!(f, "; next try {}", Moment { time, now })?,
            None => f.write_str("; being tried now")?,
        }
    }
    f.write_str("</p></article>")
}

fn link(f: &mut fmt::Formatter<'_>, account: &AccountStatus) -> fmt::Result {
    write!(f, "<a href=\"/account/{}\">{}</a>", PathSegment(&account.account), Text(&account.account))
}

/// Writes what happened, and what to do about it.
fn what(f: &mut fmt::Formatter<'_>, account: &AccountStatus) -> fmt::Result {
    match (&account.failure, account.hung_since) {
        (Some(failure), None) => write!(f, "<p>{}</p>", Prose(&failure.text)),
        _ => f.write_str("<p>Its poll waits for a disk that does not respond.</p>"),
    }
}

fn began(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    write!(f, "<p class=\"when\">began {}", Moment { time: since(account).unwrap_or(now), now })
}
