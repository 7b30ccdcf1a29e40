//! The first page: the state of all accounts, those in trouble first.

use std::fmt;

use super::failures::Failures;
use super::figures::Figures;
use super::forwarding::Held;
use super::html::{Moment, PathSegment, Size, Text, Took};
use super::plot::{ByDay, Plot};
use crate::control::status::{AccountStatus, State};
use crate::text::{Count, Span};

/// How many accounts a page shows.
const ON_A_PAGE: usize = 200;

/// Which accounts to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// A part of their names.
    pub(super) name: String,
    /// The number of the page, from 0 on.
    pub(super) page: usize,
}

impl Selection {
    /// Returns the accounts on that page, or on the last page if there are fewer.
    pub(super) fn of(&self, names: &[Box<str>]) -> Selected {
        let wanted = self.name.to_lowercase();
        let matching: Vec<&str> =
            names.iter().map(|name| &**name).filter(|name| name.to_lowercase().contains(&wanted)).collect();
        let pages = matching.len().div_ceil(ON_A_PAGE).max(1);
        let page = self.page.min(pages - 1);
        let names = matching.into_iter().skip(page * ON_A_PAGE).take(ON_A_PAGE).map(str::to_owned).collect();
        Selected { page, pages, names }
    }
}

/// The accounts on a page.
pub(super) struct Selected {
    /// Which page it is.
    page: usize,
    /// How many pages there are.
    pages: usize,
    /// The names of the accounts on the page, in order.
    pub(super) names: Vec<String>,
}

/// How many accounts are in which state.
pub(super) struct Sums {
    /// How many there are in all.
    pub(super) accounts: usize,
    /// Accounts that a person should look at.
    pub(super) in_trouble: usize,
    /// Accounts that have not been polled yet.
    pub(super) new: usize,
    /// Accounts that are being polled.
    pub(super) polling: usize,
    /// Accounts that wait for their turn.
    pub(super) queued: usize,
}

impl Sums {
    pub(super) fn of(figures: &Figures) -> Self {
        Self {
            accounts: figures.names.len(),
            in_trouble: figures.in_trouble,
            new: figures.new,
            polling: figures.status.polling,
            queued: figures.status.queued,
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accounts, in_trouble, new, polling, queued } = *self;
        let well = accounts.saturating_sub(in_trouble.saturating_add(new));
        write!(f, "{}: {well} well, {in_trouble} in trouble", Count::of(accounts, "account"))?;
        if new > 0 {
            write!(f, ", {new} not polled yet")?;
        }
        write!(f, ", {polling} being polled")?;
        if queued > 0 { write!(f, ", {queued} queued") } else { Ok(()) }
    }
}

/// The middle of the page.
pub(super) struct Overview<'a> {
    pub(super) figures: &'a Figures,
    pub(super) selection: &'a Selection,
    pub(super) selected: &'a Selected,
    /// The selected accounts, with their history.
    pub(super) accounts: &'a [AccountStatus],
}

impl fmt::Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figures, selection, selected, accounts } = self;
        let status = &figures.status;
        if let Some(problem) = &status.config_problem {
            write!(
                f,
                "<section class=\"trouble\"><h3>The changed configuration has errors and is not in \
                 force</h3><pre>{}</pre></section>",
                Text(problem)
            )?;
        }
        match Sums::of(figures) {
            Sums { in_trouble: 0, new: 0, .. } => f.write_str("<p class=\"fine\">All accounts are well.</p>")?,
            Sums { in_trouble: 0, .. } => f.write_str("<p class=\"fine\">No account is in trouble.</p>")?,
            _ => {
                let failures = Failures(&figures.failures, status.now);
                write!(f, "{failures}{}", Held(&figures.not_forwarded, status.now))?;
            }
        }
        f.write_str("<section aria-labelledby=\"accounts\"><h2 id=\"accounts\">Accounts</h2>")?;
        let (today, spooled) = (figures.today, figures.spooled);
        write!(f, "<p class=\"caption\">new today: {}", mail(today.messages, today.octets))?;
        if spooled.messages > 0 {
            write!(f, "; waiting to be forwarded: {}", mail(spooled.messages, spooled.octets))?;
        }
        f.write_str("</p>")?;
        if figures.names.len() > 20 || !selection.name.is_empty() {
            navigation(f, selection, selected.page, selected.pages)?;
        }
        if selected.names.is_empty() {
            f.write_str("<p>No account matches that name.</p>")?;
        } else {
            table(f, accounts, status.now)?;
        }
        write!(
            f,
            "</section><footer>mailferry {}, running for {}; configuration {}</footer>",
            Text(&status.program),
            Span::between(status.started, status.now),
            Text(&status.config)
        )
    }
}

fn navigation(f: &mut fmt::Formatter<'_>, selection: &Selection, page: usize, pages: usize) -> fmt::Result {
    write!(
        f,
        "<nav aria-label=\"accounts\"><form method=\"get\" action=\"/\"><label for=\"name\">Name </label>\
         <input id=\"name\" name=\"name\" type=\"search\" value=\"{}\"></form>",
        Text(&selection.name)
    )?;
    let link = |f: &mut fmt::Formatter<'_>, to: usize, words: &str| {
        write!(f, "<a id=\"{words}\" href=\"/?name={}&amp;page={}\">{words}</a>", PathSegment(&selection.name), to + 1)
    };
    if page > 0 {
        link(f, page - 1, "previous")?;
    }
    if pages > 1 {
        write!(f, "<span>page {} of {pages}</span>", page + 1)?;
    }
    if page + 1 < pages {
        link(f, page + 1, "next")?;
    }
    f.write_str("</nav>")
}

fn table(f: &mut fmt::Formatter<'_>, accounts: &[AccountStatus], now: i64) -> fmt::Result {
    f.write_str(
        "<div class=\"box\"><table class=\"accounts\"><thead><tr><th scope=\"col\">Account</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Last poll</th><th scope=\"col\">Next poll</th><th scope=\"col\" class=\"n\">New today</th>\
         <th scope=\"col\">New mail, 7 days</th><th scope=\"col\" class=\"n\">On the server</th></tr></thead><tbody>",
    )?;
    for (at, account) in accounts.iter().enumerate() {
        row(f, account, at, now)?;
    }
    f.write_str("</tbody></table></div>")
}

fn row(f: &mut fmt::Formatter<'_>, account: &AccountStatus, at: usize, now: i64) -> fmt::Result {
    let name = &account.account;
    let moment = |time: Option<i64>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), |time| Moment { time, now }.to_string())
    };
    write!(
        f,
        "<tr><th scope=\"row\"><a id=\"a{at}\" href=\"/account/{}\">{}</a></th>\
         <td>{}</td>\
         <td class=\"small\" data-label=\"last poll\">{}{}</td><td class=\"small\" data-label=\"next poll\">{}</td>\
         <td class=\"n\" data-label=\"new today\">{}{}</td><td class=\"plotted\">",
        PathSegment(name),
        Text(name),
        Doing(account),
        moment(account.last_poll, "never"),
        cost(account).map_or_else(String::new, |cost| format!("<small>{cost}</small>")),
        moment(account.next_poll, "now"),
        account.today.messages,
        if account.today.octets > 0 { format!("<small>{}</small>", Size(account.today.octets)) } else { String::new() },
    )?;
    let id = format!("p{at}");
    let plot = Plot { hours: &account.hours, now, bars: 56, hours_per_bar: 3, size: (3, 24), id: &id };
    write!(f, "{plot}{}</td><td class=\"n\" data-label=\"on the server\">", ByDay(&account.hours))?;
    match account.on_server {
        Some(messages) => write!(f, "{messages}")?,
        None => f.write_str("?")?,
    }
    f.write_str("</td></tr>")
}

/// Returns the CSS class of a state.
pub(super) fn class(state: State) -> &'static str {
    match state {
        State::New => "new",
        State::Idle => "idle",
        State::Polling => "polling",
        State::Queued => "queued",
        State::Hung => "hung",
        State::Held => "held",
        State::Failing => "trouble",
    }
}

/// What an account is doing, in words.
pub(super) struct Doing<'a>(pub(super) &'a AccountStatus);

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state;
        let (class, word) = match self.0.not_forwarded().filter(|_| state == State::Idle) {
            Some(forward) if forward.is_held_up() => ("held", "not forwarded"),
            Some(_) => ("held", "mail set aside"),
            None => (class(state), word(state)),
        };
        write!(f, "<span class=\"state {class}\">{word}</span>")
    }
}

/// Returns the word for a state.
fn word(state: State) -> &'static str {
    match state {
        State::New => "not polled yet",
        State::Idle => "well",
        State::Polling => "being polled",
        State::Queued => "queued",
        State::Hung => "hung",
        State::Held => "in use by another mailferry",
        State::Failing => "in trouble",
    }
}

/// Returns the duration and round trips of the last poll: "32 ms, 3 round trips". None if there was none.
pub(super) fn cost(account: &AccountStatus) -> Option<String> {
    let took = Took(account.last_poll_milliseconds?);
    let round_trips = account.last_poll_round_trips.unwrap_or(0);
    Some(format!("{took}, {}", Count(round_trips.into(), "round trip")))
}

/// Formats a number of messages and their size.
pub(super) fn mail(messages: u64, octets: u64) -> String {
    if messages == 0 { "none".to_owned() } else { format!("{}, {}", Count(messages, "message"), Size(octets)) }
}
