//! Detects mail that would go round in a circle: it is forwarded to a mailbox from which it would be fetched again, by
//! the same account or by another one. PURE.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::account::{Account, AccountName, Forward, ForwardTo};
use crate::config::Span;
use crate::config::host::is_loopback;
use crate::config::problem::Problem;
use crate::provider::Provider;
use crate::routing::Routing;

/// What servers are called after the protocol that they speak. Some have a number, some a part such as "secure".
const BY_PROTOCOL: [&str; 8] = ["pop", "pops", "pop3s", "imap", "imaps", "imap4s", "incoming", "mail"];

/// A mailbox, as far as the names of a server and a user tell. Equal ones are the same mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mailbox {
    /// A provider, or a domain.
    place: String,
    user: String,
}

impl Mailbox {
    /// None if the names do not tell: many servers may share an address or this machine.
    fn of(host: &str, username: &str) -> Option<Self> {
        if is_loopback(host) || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let user = username.trim().to_ascii_lowercase();
        Some(match provider(host) {
            Some(provider) if provider.id == "gmail" => Self { place: provider.id.to_owned(), user: gmail_user(&user) },
            Some(provider) => Self { place: provider.id.to_owned(), user },
            None => {
                let (domain, number) = domain(host);
                let user = if user.contains('@') { user } else { format!("{user}@{domain}") };
                Self { place: format!("{domain} {number}"), user }
            }
        })
    }

    /// Returns the mailbox to which mail is forwarded, if POP3 shows what is there.
    fn behind(forward: &Forward) -> Option<Self> {
        let ForwardTo::Imap(to) = &forward.to else { return None };
        let host = &to.endpoint.host;
        // Gmail shows all mail by POP3, whatever its label.
        let is_shown =
            to.mailbox.eq_ignore_ascii_case("INBOX") || Provider::of(host).is_some_and(|it| it.id == "gmail");
        Self::of(host, &to.username).filter(|_| is_shown)
    }
}

/// Returns the provider of a server. Of some only the POP3 server is known, and the others have names like it.
fn provider(host: &str) -> Option<&'static Provider> {
    let is_like = |it: &&Provider| it.host.is_some_and(|known| domain(known) == domain(host));
    Provider::of(host).or_else(|| Provider::all().iter().find(is_like))
}

/// Returns the one of several names for a user of Gmail that has neither dots, nor a part behind `+`, nor the mode
/// `recent:`.
fn gmail_user(username: &str) -> String {
    let address = username.strip_prefix("recent:").unwrap_or(username);
    let (local, domain) = address.split_once('@').unwrap_or((address, "gmail.com"));
    match domain {
        "gmail.com" | "googlemail.com" => {
            let local = local.split_once('+').map_or(local, |(local, _)| local);
            format!("{}@gmail.com", local.replace('.', ""))
        }
        _ => format!("{local}@{domain}"),
    }
}

/// Returns the host name without the part that names the protocol, and the number in that part.
fn domain(host: &str) -> (String, String) {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let number = host.split_once('.').filter(|(_, rest)| rest.contains('.')).and_then(|(first, rest)| {
        let first = ["secure", "ssl"].iter().find_map(|secure| first.strip_prefix(secure)).unwrap_or(first);
        let first = first.strip_suffix("-mail").unwrap_or(first).trim_matches('-');
        let word = first.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = first.get(word.len()..).unwrap_or_default();
        let is_version = matches!((word, number), ("pop", "3") | ("imap", "4"));
        BY_PROTOCOL.contains(&word).then(|| (rest.to_owned(), if is_version { "" } else { number }.to_owned()))
    });
    number.unwrap_or((host, String::new()))
}

/// Whether mail is forwarded to the mailbox it was fetched from.
pub(super) fn comes_back(host: &str, username: &str, forward: &Forward) -> bool {
    Mailbox::behind(forward).is_some_and(|to| Mailbox::of(host, username) == Some(to))
}

/// An account that forwards to a mailbox.
#[derive(Debug)]
struct Way {
    account: AccountName,
    from: Mailbox,
    to: Mailbox,
    /// Whether all of its mail goes there.
    is_for_all: bool,
    /// Where the file says so.
    span: Span,
}

/// The accounts read so far that forward to mailboxes.
#[derive(Debug, Default)]
pub(in crate::config) struct Circles {
    ways: Vec<Way>,
}

impl Circles {
    /// Adds an account whose `forward` is there in the file.
    pub(in crate::config) fn add(&mut self, account: &Account, span: Option<&Span>) {
        let Some((forward, span)) = account.forward.as_ref().filter(|_| account.enabled).zip(span) else { return };
        let from = Mailbox::of(&account.endpoint.host, &account.username);
        // One that goes straight back has been reported.
        let Some((from, to)) = from.zip(Mailbox::behind(forward)).filter(|(from, to)| from != to) else { return };
        let is_for_all = matches!(account.routing, Routing::Unconditional);
        self.ways.push(Way { account: account.name.clone(), from, to, is_for_all, span: span.clone() });
    }

    /// Returns what is wrong, and what may be: mail that only some rules forward may leave the circle.
    pub(in crate::config) fn problems(&self) -> (Vec<Problem>, Vec<(Span, String)>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for circle in self.found() {
            let Some((first, last)) = circle.first().zip(circle.last()) else { continue };
            let names: Vec<String> = circle.iter().map(|way| format!("`{}`", way.account)).collect();
            let told = format!("the accounts {} forward their mail in a circle", names.join(", "));
            if circle.iter().all(|way| way.is_for_all) {
                let help = "each message would be fetched and forwarded again, and so on for ever: forward one of them to \
                            another mailbox, or not at all";
                let problem = Problem::new(told).at(&first.span).also(&last.span, "and this leads back").help(help);
                problems.push(problem);
            } else {
                let text = format!("{told}: a message that the rules of all of them forward goes on so for ever");
                warnings.push((first.span.clone(), text));
            }
        }
        (problems, warnings)
    }

    /// Finds the circles. Each begins where the file mentions the first of its accounts, or one that leads to it.
    fn found(&self) -> Vec<Vec<&Way>> {
        let mut from: HashMap<&Mailbox, Vec<&Way>> = HashMap::new();
        self.ways.iter().for_each(|way| from.entry(&way.from).or_default().push(way));
        let (mut done, mut circles): (HashSet<&Mailbox>, Vec<Vec<&Way>>) = (HashSet::new(), Vec::new());
        for start in self.ways.iter().map(|way| &way.from) {
            // The mailboxes gone through, each with how many of the ways from it were tried, and the ways between them.
            let (mut through, mut path) = (vec![(start, 0)], Vec::new());
            let mut places = HashMap::from([(start, 0)]);
            while let Some((here, tried)) = through.last_mut() {
                let next = from.get(here).filter(|_| !done.contains(here)).and_then(|ways| ways.get(*tried));
                *tried += 1;
                match next.map(|way| (*way, places.get(&way.to))) {
                    Some((way, Some(back))) => circles.push(path.iter().skip(*back).copied().chain([way]).collect()),
                    Some((way, None)) => {
                        places.insert(&way.to, through.len());
                        through.push((&way.to, 0));
                        path.push(way);
                    }
                    None => {
                        places.remove(here);
                        done.insert(here);
                        through.pop();
                        path.pop();
                    }
                }
            }
        }
        circles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
        let [one, other] = [one, other].map(|(host, user)| Mailbox::of(host, user));
        one.is_some() && one == other
    }

    #[test]
    fn a_mailbox_is_known_whatever_its_names() {
        for (one, other) in [
            (("pop.gmail.com", "jo@gmail.com"), ("imap.gmail.com", "JO@gmail.com")),
            (("pop.gmail.com", "recent:jo.doe+x@googlemail.com"), ("imap.gmail.com", "jodoe@gmail.com")),
            (("pop.googlemail.com", "jo"), ("imap.gmail.com", "jo@gmail.com")),
            (("pop.gmail.com", "jo.doe@work.example"), ("imap.gmail.com", "jo.doe@work.example")),
            (("POP.example.org.", "jo"), ("imap.example.org", "jo")),
            (("mail.example.org", "jo"), ("imap.example.org", "Jo@Example.org")),
            (("pop3.example.org", "jo@a.example"), ("mail.example.org", "jo@a.example")),
            (("pop-mail.example.org", "jo"), ("imap-mail.example.org", "jo")),
            (("securepop.example.org", "jo"), ("secureimap.example.org", "jo")),
            (("pops.example.org", "jo"), ("imaps.example.org", "jo")),
            (("ssl-pop3s.example.org", "jo"), ("imap4.example.org", "jo")),
            (("pop1.example.org", "jo"), ("imap1.example.org", "jo")),
            (("pop.qq.com", "1@qq.com"), ("imap.qq.com", "1@qq.com")),
            (("securepop.t-online.de", "jo@t-online.de"), ("secureimap.t-online.de", "jo@t-online.de")),
            (("mx.example", "jo"), ("mx.example", "jo")),
        ] {
            assert!(is_same(one, other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_may_be_another_mailbox_is_not_taken_for_the_same() {
        for (one, other) in [
            (("pop.example.org", "jo"), ("imap.example.org", "al")),
            (("pop.example.org", "jo"), ("imap.example.org", "jo@example.com")),
            (("pop.example.org", "jo"), ("imap.example.com", "jo")),
            (("pop.example", "jo"), ("imap.example", "jo")),
            (("pop1.example.org", "jo"), ("imap2.example.org", "jo")),
            (("popular.example.org", "jo"), ("imap.example.org", "jo")),
            (("pop.gmail.com", "jo.doe@work.example"), ("imap.gmail.com", "jodoe@work.example")),
            (("pop.gmx.net", "jo@gmx.net"), ("imap.gmail.com", "jo@gmx.net")),
            (("127.0.0.1", "jo"), ("127.0.0.1", "jo")),
            (("localhost", "jo"), ("localhost", "jo")),
            (("192.0.2.1", "jo"), ("192.0.2.1", "jo")),
        ] {
            assert!(!is_same(one, other), "{one:?} {other:?}");
        }
    }

    /// Returns the names of the accounts in each circle of these ways between mailboxes.
    fn circles(ways: &[(&str, &str)]) -> Vec<String> {
        let mailbox = |name: &str| Mailbox { place: String::new(), user: name.to_owned() };
        let way = |(from, to): &(&str, &str)| Way {
            account: AccountName::new(&format!("{from}{to}")).unwrap(),
            from: mailbox(from),
            to: mailbox(to),
            is_for_all: true,
            span: 0..1,
        };
        let circles = Circles { ways: ways.iter().map(way).collect() };
        let names = |circle: &Vec<&Way>| circle.iter().map(|way| way.account.to_string()).collect::<Vec<_>>().join(" ");
        circles.found().iter().map(names).collect()
    }

    #[test]
    fn circles_are_found_however_long_and_wherever_they_begin() {
        assert_eq!(circles(&[("a", "b"), ("b", "c"), ("a", "c")]), [""; 0]);
        assert_eq!(circles(&[("a", "b"), ("b", "a")]), ["ab ba"]);
        assert_eq!(circles(&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")]), ["ab bc ca"]);
        // The first way from a mailbox leads nowhere.
        assert_eq!(circles(&[("a", "x"), ("a", "b"), ("b", "y"), ("b", "a"), ("x", "y")]), ["ab ba"]);
        assert_eq!(circles(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("b", "c")]), ["ab ba", "cd dc"]);
        let chain: Vec<(String, String)> = (0..20_000).map(|n| (format!("m{n}"), format!("m{}", n + 1))).collect();
        let chain: Vec<(&str, &str)> = chain.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert!(circles(&chain).is_empty());
    }
}
