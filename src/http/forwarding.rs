//! Forwarding as the pages show it: what waits in the spool, why, and what is set aside.

use std::fmt;

use super::html::{Moment, PathSegment, Prose, Text};
use crate::advice;
use crate::control::status::{AccountStatus, Forwarding, SetAside};
use crate::text::Count;

/// The most accounts that get a card of their own.
const MOST_CARDS: usize = 20;

/// The accounts whose mail is not forwarded.
#[derive(Debug, Default)]
pub(super) struct NotForwarded {
    /// How many accounts have mail that waits although it should not.
    held_up: usize,
    /// How many accounts have no mail that waits but messages that are set aside.
    set_aside: usize,
    /// The accounts that have waited longest.
    first: Vec<AccountStatus>,
}

impl NotForwarded {
    /// Takes in the next account, if its mail is not forwarded.
    pub(super) fn add(&mut self, account: &AccountStatus) {
        let Some(forward) = account.not_forwarded() else { return };
        *if forward.is_held_up() { &mut self.held_up } else { &mut self.set_aside } += 1;
        let since = |forward: &Forwarding| forward.since.or(forward.oldest).unwrap_or(i64::MAX);
        let is_older = |other: &AccountStatus| other.not_forwarded().is_some_and(|it| since(it) <= since(forward));
        let at = self.first.partition_point(is_older);
        if at < MOST_CARDS {
            self.first.insert(at, account.clone());
            self.first.truncate(MOST_CARDS);
        }
    }
}

/// The cards of these accounts at a time in seconds since 1970. The account that has waited longest comes first.
pub(super) struct Held<'a>(pub(super) &'a NotForwarded, pub(super) i64);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(held, now) = *self;
        let (held_up, set_aside) = (Count::of(held.held_up, "account"), Count::of(held.set_aside, "account"));
        if held.first.is_empty() {
            return Ok(());
        }
        f.write_str("<section aria-labelledby=\"held\"><h2 id=\"held\">")?;
        match (held.held_up, held.set_aside) {
            (_, 0) => write!(f, "Mail of {held_up} is not forwarded")?,
            (0, _) => write!(f, "Some mail of {set_aside} is set aside")?,
            _ => write!(f, "Mail of {held_up} is not forwarded, some of {set_aside} is set aside")?,
        }
        f.write_str("</h2>")?;
        for account in &held.first {
            card(f, account, now)?;
        }
        match (held.held_up + held.set_aside).saturating_sub(held.first.len()) {
            0 => f.write_str("</section>"),
            more => write!(f, "<p>and {} more</p></section>", Count::of(more, "account")),
        }
    }
}

/// Writes a card on what keeps an account's mail from being forwarded, if anything does.
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
    if !forward.first_set_aside.is_empty() {
        let listed = SetAside::listed(&forward.first_set_aside, forward.set_aside);
        write!(
            f,
            "<p>{} set aside: {}. <code>{}</code> tries again</p>",
            messages(forward.set_aside),
            Text(&listed),
            Text(&advice::command_for_another_try(&account.account))
        )?;
    }
    if forward.spool_full {
        f.write_str("<p>The spool is full, so fetching pauses until there is room</p>")?;
    }
    if forward.messages == 0 {
        return f.write_str("</article>");
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

/// Formats a number of messages.
pub(super) fn messages(count: u64) -> Count {
    Count(count, "message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::examples::account;

    /// Makes an account with this many messages that wait and that are set aside.
    fn forwarding(name: &str, messages: u64, set_aside: u64) -> AccountStatus {
        let (file, reason) = ("1.x".to_owned(), "too large".to_owned());
        let aside = SetAside { name: file, unique_id: None, octets: 7, since: 1, reason };
        let forward = Forwarding {
            to: "there".to_owned(),
            running: false,
            counted: None,
            messages,
            octets: 1,
            oldest: None,
            why: (messages > 0).then(|| "it is down".to_owned()),
            since: None,
            next_try: None,
            forwarded: 0,
            last_forwarded: None,
            set_aside,
            first_set_aside: (set_aside > 0).then_some(aside).into_iter().collect(),
            spool_full: false,
            stranded: false,
        };
        AccountStatus { forward: Some(forward), ..account(name) }
    }

    #[test]
    fn what_waits_and_what_is_set_aside_is_called_so() {
        for (accounts, heading) in [
            (vec![], None),
            (vec![(0, 0)], None),
            (vec![(2, 0)], Some("Mail of 1 account is not forwarded")),
            (vec![(2, 1)], Some("Mail of 1 account is not forwarded")),
            (vec![(0, 1), (0, 7)], Some("Some mail of 2 accounts is set aside")),
            (vec![(0, 1), (3, 0), (1, 1)], Some("Mail of 2 accounts is not forwarded, some of 1 account is set aside")),
        ] {
            let mut held = NotForwarded::default();
            for (n, (messages, set_aside)) in accounts.iter().enumerate() {
                held.add(&forwarding(&format!("a{n}"), *messages, *set_aside));
            }
            let shown = Held(&held, 1000).to_string();
            match heading {
                None => assert_eq!(shown, ""),
                Some(heading) => assert!(shown.contains(&format!("<h2 id=\"held\">{heading}</h2>")), "{shown}"),
            }
            let waiting = accounts.iter().filter(|(messages, _)| *messages > 0).count();
            assert_eq!(shown.matches("in the spool").count(), waiting, "{shown}");
        }
    }
}
