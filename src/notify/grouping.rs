//! Combines notifications with one cause at one server that come from many accounts within a minute. PURE.
//!
//! A notification is not held back if it concerns a single account by nature, or if no other account may soon join it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::notification::{ACCOUNT, COUNT, EVENT, HOST, Notification, TEXT, one_line};
use crate::account::{Account, AccountName};
use crate::schedule::Cause;

/// How long a notification waits for others of its kind.
pub(crate) const LONGEST_HELD: Duration = Duration::from_secs(60);

/// How many accounts the text of a group names.
const NAMED: usize = 20;

/// What notifications must have in common to be combined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// The server, as configured, in lower case.
    host: String,
    /// The event, as in `MAILFERRY_EVENT`.
    event: &'static str,
    /// The cause of a [`Notification::Failure`].
    cause: Option<Cause>,
}

/// Held notifications of one kind.
#[derive(Debug)]
struct Held {
    /// When the first of them was taken in, since boot.
    since: Duration,
    /// The notifications and their accounts.
    news: Vec<(Arc<Account>, Notification)>,
    /// The names of those accounts, for lookups: there may be very many.
    names: HashSet<AccountName>,
}

/// Holds notifications that wait for others of their kind.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    held: BTreeMap<Kind, Held>,
}

/// A notification to send now.
#[derive(Debug)]
pub(crate) enum DueNotification {
    /// One that concerns a single account.
    One(Arc<Account>, Notification),
    /// From several accounts: the environment for the command of `[notify]`.
    Many(Vec<(&'static str, OsString)>),
}

impl Grouping {
    /// Takes in a notification at a time since boot. Returns it at once if its kind is never combined.
    pub(crate) fn take(
        &mut self,
        news: Notification,
        account: &Arc<Account>,
        now: Duration,
    ) -> Option<DueNotification> {
        let (event, cause) = match &news {
            Notification::Failure { cause, .. } => (news.event(), Some(*cause)),
            Notification::Recovered | Notification::NoSuccess { .. } | Notification::CertificateExpires { .. } => {
                (news.event(), None)
            }
            Notification::SignInEnds { .. }
            | Notification::Quarantine { .. }
            | Notification::NewMail { .. }
            // The account's server has no part in these.
            | Notification::Forwarding { .. }
            | Notification::ForwardingRecovered
            | Notification::SetAside { .. } => {
                return Some(DueNotification::One(Arc::clone(account), news));
            }
        };
        let kind = Kind { host: account.endpoint.host.to_ascii_lowercase(), event, cause };
        let held =
            self.held.entry(kind).or_insert_with(|| Held { since: now, news: Vec::new(), names: HashSet::new() });
        held.names.insert(account.name.clone());
        held.news.push((Arc::clone(account), news));
        None
    }

    /// When the next notification must be sent, since boot.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.held.values().map(|held| held.since.saturating_add(LONGEST_HELD)).min()
    }

    /// Returns what has waited long enough or has nothing to wait for. `may_join` says whether an account of a server,
    /// other than those already in the group, may soon have the same notification.
    /// It also gets the time since boot at which the group began.
    pub(crate) fn ready(
        &mut self,
        now: Duration,
        may_join: impl Fn(&str, Duration, &dyn Fn(&AccountName) -> bool) -> bool,
    ) -> Vec<DueNotification> {
        let is_ready = |kind: &Kind, held: &Held| {
            let is_in = |account: &AccountName| held.names.contains(account);
            now.saturating_sub(held.since) >= LONGEST_HELD || !may_join(&kind.host, held.since, &is_in)
        };
        let ready: Vec<Kind> =
            self.held.iter().filter(|(kind, held)| is_ready(kind, held)).map(|(kind, _)| kind.clone()).collect();
        ready.iter().filter_map(|kind| self.tell(kind)).collect()
    }

    /// Returns everything, at the end of the daemon.
    pub(crate) fn all(&mut self) -> Vec<DueNotification> {
        let kinds: Vec<Kind> = self.held.keys().cloned().collect();
        kinds.iter().filter_map(|kind| self.tell(kind)).collect()
    }

    fn tell(&mut self, kind: &Kind) -> Option<DueNotification> {
        let mut news = self.held.remove(kind)?.news;
        match news.len() {
            0 | 1 => news.pop().map(|(account, news)| DueNotification::One(account, news)),
            _ => Some(DueNotification::Many(environment(kind, &news))),
        }
    }
}

/// Returns the environment variables for several accounts. There is no Maildir in them.
fn environment(kind: &Kind, news: &[(Arc<Account>, Notification)]) -> Vec<(&'static str, OsString)> {
    let mut names: Vec<&str> = news.iter().map(|(account, _)| account.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    vec![
        (EVENT, kind.event.into()),
        (ACCOUNT, one_line(&names.join(" ")).into()),
        (HOST, kind.host.clone().into()),
        (TEXT, one_line(&text(kind, &names, news)).into()),
        (COUNT, names.len().to_string().into()),
    ]
}

fn text(kind: &Kind, names: &[&str], news: &[(Arc<Account>, Notification)]) -> String {
    let what = match kind.cause {
        Some(cause) => cause.name().replace('-', " "),
        None if kind.event == Notification::Recovered.event() => "they work again".to_owned(),
        None => kind.event.replace('-', " "),
    };
    let shown = names.get(..NAMED.min(names.len())).unwrap_or_default().join(", ");
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = news.first().filter(|(_, news)| *news != Notification::Recovered);
    let first = first.map(|(account, news)| format!(". The first: {}", news.text(account))).unwrap_or_default();
    format!("{} accounts at {}: {what}: {shown}{more}{first}", names.len(), kind.host)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::delivery::bench::account;

    fn refused() -> Notification {
        Notification::Failure { cause: Cause::LoginRefused, text: "the server refused the login".to_owned() }
    }

    fn of(number: usize) -> Arc<Account> {
        Arc::new(account(&format!("acc{number:02}"), Path::new("/mail")))
    }

    fn value(news: &DueNotification, name: &str) -> String {
        let DueNotification::Many(environment) = news else { panic!("{news:?}") };
        let value = environment.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
        value.unwrap_or_default().into_string().unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_many_accounts_meet_at_one_server_is_told_once() {
        let mut grouping = Grouping::default();
        for number in 0..33 {
            assert!(grouping.take(refused(), &of(number), SECOND * 10).is_none());
        }
        let others = |_: &str, _: Duration, _: &dyn Fn(&AccountName) -> bool| true;
        assert_eq!(grouping.due(), Some(SECOND * 70));
        assert!(grouping.ready(SECOND * 69, others).is_empty(), "more may come");
        let ready = grouping.ready(SECOND * 70, others);
        let [news] = &ready[..] else { panic!("{ready:?}") };
        let text = value(news, TEXT);
        assert!(text.starts_with("33 accounts at pop.example.org: login refused: acc00, acc01, "), "{text}");
        assert!(text.contains("acc19 and 13 more. The first: acc00: the server refused the login"), "{text}");
        assert_eq!((value(news, COUNT).as_str(), value(news, EVENT).as_str()), ("33", "trouble"));
        assert!(value(news, ACCOUNT).starts_with("acc00 acc01 ") && grouping.due().is_none());
    }

    #[test]
    fn other_causes_and_servers_are_told_by_themselves() {
        let mut grouping = Grouping::default();
        let mut elsewhere = of(1);
        Arc::make_mut(&mut Arc::make_mut(&mut elsewhere).endpoint).host = "other.example".to_owned();
        grouping.take(refused(), &of(0), SECOND);
        grouping.take(refused(), &elsewhere, SECOND);
        grouping.take(Notification::Failure { cause: Cause::Tls, text: String::new() }, &of(2), SECOND);
        grouping.take(Notification::Recovered, &of(3), SECOND);
        grouping.take(Notification::Recovered, &of(4), SECOND);
        let mut all = grouping.all();
        assert_eq!(all.len(), 4);
        assert_eq!(all.iter().filter(|news| matches!(news, DueNotification::One(..))).count(), 3);
        all.retain(|news| matches!(news, DueNotification::Many(_)));
        assert_eq!(value(&all[0], TEXT), "2 accounts at pop.example.org: they work again: acc03, acc04");
    }

    #[test]
    fn nothing_waits_for_nobody() {
        let mut grouping = Grouping::default();
        let mail = Notification::NewMail { count: 1 };
        assert!(matches!(grouping.take(mail, &of(0), SECOND), Some(DueNotification::One(..))), "nobody shares that");
        grouping.take(refused(), &of(0), SECOND);
        let all = [of(0), of(1)];
        let may_join = |host: &str, since: Duration, is_in: &dyn Fn(&AccountName) -> bool| {
            assert_eq!((host, since), ("pop.example.org", SECOND));
            all.iter().any(|account| !is_in(&account.name))
        };
        assert!(grouping.ready(SECOND * 2, may_join).is_empty());
        grouping.take(refused(), &of(1), SECOND * 2);
        assert_eq!(grouping.ready(SECOND * 2, may_join).len(), 1);
    }
}
