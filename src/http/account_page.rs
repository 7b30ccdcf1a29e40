//! The page of one account: its state, and what its polls brought in the last week.

use std::fmt;

use super::failures::failure;
use super::forwarding;
use super::html::{Moment, Prose, Size, Text, Took};
use super::overview::{Doing, cost, mail};
use super::plot::{ByDay, Plot};
use crate::account_history::PastPoll;
use crate::control::status::{AccountStatus, Quarantine};
use crate::text::Count;

/// The middle of the page.
pub(super) struct AccountPage<'a> {
    pub(super) account: &'a AccountStatus,
    /// The time, in seconds since 1970.
    pub(super) now: i64,
}

impl fmt::Display for AccountPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, now } = *self;
        write!(f, "<h1>{}</h1>", Text(&account.account))?;
        write!(f, "<p>{}</p>", Doing(account))?;
        if let Some(hold) = &account.held {
            write!(f, "<p>{}</p>", Prose(&hold.text))?;
        }
        if account.is_poll_in_trouble() {
            failure(f, account, now)?;
        }
        forwarding::card(f, account, now)?;
        figures(f, account, now)?;
        let plot = Plot { hours: &account.hours, now, bars: 168, hours_per_bar: 1, size: (4, 60), id: "plot" };
        write!(
            f,
            "<h2>New mail, hour by hour</h2><div class=\"box big\"><p class=\"caption\" aria-hidden=\"true\">{}</p>{plot}\
             <p class=\"scale\" aria-hidden=\"true\"><span>7 d ago</span><span>6 d</span><span>5 d</span><span>4 d</span>\
             <span>3 d</span><span>2 d</span><span>1 d</span><span>now</span></p>{}</div>",
            plot.words(),
            ByDay(&account.hours)
        )?;
        polls(f, &account.recent, now)?;
        quarantine(f, &account.quarantine, now)
    }
}

fn figures(f: &mut fmt::Formatter<'_>, account: &AccountStatus, now: i64) -> fmt::Result {
    f.write_str("<dl>")?;
    let moment = |time: Option<i64>, otherwise: &str| {
        time.map_or_else(|| otherwise.to_owned(), |time| Moment { time, now }.to_string())
    };
    // "in 5 min, as configured", or "in 62 min: the server refused the login".
    let reason = account.next_poll_why.split_once([',', ':']).map_or("", |(_, reason)| reason.trim_start());
    let next = match (account.next_poll, reason) {
        (None, _) => "now".to_owned(),
        (time, "") => moment(time, "now"),
        (time, reason) => format!("{}<small>{}</small>", moment(time, "now"), Prose(reason)),
    };
    let brought = account.last_poll_octets.filter(|octets| *octets > 0);
    let brought = brought.map_or_else(String::new, |octets| format!(", {}", Size(octets)));
    let took = cost(account).map_or_else(String::new, |cost| format!("<small>{cost}{brought}</small>"));
    for (term, value) in [
        ("Last poll", moment(account.last_poll, "never") + &took),
        ("Last success", moment(account.last_success, "never")),
        ("Next poll", next),
        ("New today", mail(account.today.messages, account.today.octets)),
        ("New in all", mail(account.total.messages, account.total.octets)),
        ("Last new mail", moment(account.last_new_mail, "never")),
        ("On the server", account.on_server.map_or_else(|| "?".to_owned(), |n| n.to_string())),
        ("Too large to fetch", account.too_large.to_string()),
        ("Polls since the start", format!("{} succeeded, {} failed", account.polls.succeeded, account.polls.failed)),
        ("Certificate expires", moment(account.certificate_expires, "not known")),
        ("Server", Text(&account.host).to_string()),
        ("Maildir", Text(&account.maildir).to_string()),
    ] {
        let class = if matches!(term, "Server" | "Maildir") { " class=\"wide\"" } else { "" };
        write!(f, "<div{class}><dt>{term}</dt><dd>{value}</dd></div>")?;
    }
    if let Some(forward) = &account.forward {
        for (term, value) in [
            ("Forwarded to", Text(&forward.to).to_string()),
            ("Forwarded since the start", forward.forwarded.to_string()),
            ("Last forwarded", moment(forward.last_forwarded, "never")),
            ("In the spool", mail(forward.messages, forward.octets)),
        ] {
            write!(f, "<div><dt>{term}</dt><dd>{value}</dd></div>")?;
        }
    }
    f.write_str("</dl>")
}

fn polls(f: &mut fmt::Formatter<'_>, polls: &[PastPoll], now: i64) -> fmt::Result {
    f.write_str("<h2>The last polls that brought mail or failed</h2>")?;
    if polls.is_empty() {
        return f.write_str("<p>None.</p>");
    }
    f.write_str(
        "<div class=\"box\"><table class=\"accounts\"><thead><tr><th scope=\"col\">Ended</th><th scope=\"col\">How</th>\
         <th scope=\"col\" class=\"n\">Messages</th><th scope=\"col\" class=\"n\">Size</th>\
         <th scope=\"col\" class=\"n\">Round trips</th><th scope=\"col\" class=\"n\">Took</th></tr></thead><tbody>",
    )?;
    for poll in polls.iter().rev() {
        write!(
            f,
            "<tr><td>{}</td><td>{}</td><td class=\"n\" data-label=\"messages\">{}</td>\
             <td class=\"n\" data-label=\"size\">{}</td><td class=\"n\" data-label=\"round trips\">{}</td>\
             <td class=\"n\" data-label=\"took\">{}</td></tr>",
            Moment { time: poll.ended, now },
            poll.cause.map_or("delivered", |cause| cause.name()),
            poll.messages,
            Size(poll.octets),
            poll.round_trips,
            Took(poll.milliseconds)
        )?;
    }
    f.write_str("</tbody></table></div>")
}

fn quarantine(f: &mut fmt::Formatter<'_>, quarantine: &[Quarantine], now: i64) -> fmt::Result {
    if quarantine.is_empty() {
        return Ok(());
    }
    write!(f, "<h2>In quarantine: {}</h2><div class=\"box\">", Count::of(quarantine.len(), "message"))?;
    f.write_str(
        "<table class=\"accounts\"><thead><tr><th scope=\"col\">Unique-id</th><th scope=\"col\">Why</th>\
         <th scope=\"col\">Tried again</th></tr></thead><tbody>",
    )?;
    for message in quarantine {
        let why = message.kind.in_words();
        let times = Count(message.times.into(), "time");
        write!(f, "<tr><td>{}</td><td>{why} {times}</td><td>", Text(&message.unique_id))?;
        if message.until > now {
            write!(f, "{}</td></tr>", Moment { time: message.until, now })?;
        } else {
            f.write_str("at the next poll</td></tr>")?;
        }
    }
    f.write_str("</tbody></table></div>")
}
