//! The TLS sessions that can be resumed, by server: as many as the accounts of a large daemon need, and no more.
//!
//! A TLS 1.3 ticket is used once (RFC 8446, appendix C.4), and a server issues some with each session. So if many
//! accounts share a server, many of its tickets are kept, for polls that begin at the same time; if there are many
//! servers, few of each. rustls decides whether a ticket is still valid when it takes one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// How many tickets are kept in total. A ticket takes 0.5 KiB, plus the server's certificates once for all tickets from
/// the same handshake.
const MOST: usize = 16_384;

/// How many tickets are kept of one server, for polls that begin at the same time.
const MOST_OF_ONE: usize = 64;

/// The sessions under one set of trusted certificates.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Servers<Tls12ClientSessionValue, Tls13ClientSessionValue>>);

/// The sessions of each server. Generic in the type of a session, so that the limits can be tested.
#[derive(Debug)]
struct Servers<Old, Ticket> {
    servers: HashMap<ServerName<'static>, Server<Old, Ticket>>,
    /// The servers ordered by when they were last added to.
    by_use: BTreeMap<u64, ServerName<'static>>,
    /// The number of tickets of all servers.
    tickets: usize,
    /// A counter of additions.
    now: u64,
}

#[derive(Debug)]
struct Server<Old, Ticket> {
    key_exchange: Option<NamedGroup>,
    /// A TLS 1.2 session, which may be resumed repeatedly.
    old: Option<Old>,
    /// The tickets, newest last.
    tickets: VecDeque<Ticket>,
    /// When it was last added to.
    used: u64,
}

impl<Old, Ticket> Default for Servers<Old, Ticket> {
    fn default() -> Self {
        Self { servers: HashMap::new(), by_use: BTreeMap::new(), tickets: 0, now: 0 }
    }
}

impl<Old, Ticket> Servers<Old, Ticket> {
    /// Changes the entry of a server, which then counts as just used.
    fn change(&mut self, name: ServerName<'static>, change: impl FnOnce(&mut Server<Old, Ticket>)) {
        self.now += 1;
        let now = self.now;
        let new = || Server { key_exchange: None, old: None, tickets: VecDeque::new(), used: now };
        let server = self.servers.entry(name.clone()).or_insert_with(new);
        self.by_use.remove(&server.used);
        self.by_use.insert(now, name);
        server.used = now;
        change(server);
        while self.servers.len() > MOST || self.tickets > MOST {
            let Some((_, name)) = self.by_use.pop_first() else { return };
            self.reduce(name);
        }
    }

    /// Reduces the number of tickets: the least recently used server, which is not in `by_use`, keeps one ticket if it
    /// has more, and is forgotten otherwise.
    fn reduce(&mut self, name: ServerName<'static>) {
        let Some(server) = self.servers.get_mut(&name) else { return };
        let tickets = server.tickets.len();
        if tickets > 1 {
            server.tickets.drain(..tickets - 1);
            self.tickets = self.tickets.saturating_sub(tickets - 1);
            self.now += 1;
            server.used = self.now;
            self.by_use.insert(self.now, name);
        } else {
            self.servers.remove(&name);
            self.tickets = self.tickets.saturating_sub(tickets);
        }
    }

    fn add_ticket(&mut self, name: ServerName<'static>, ticket: Ticket) {
        let most = (MOST / self.servers.len().max(1)).clamp(1, MOST_OF_ONE);
        // Before adding, so that the count matches the tickets when it exceeds the limit.
        if let Some(server) = self.servers.get_mut(&name) {
            let surplus = (server.tickets.len() + 1).saturating_sub(most);
            server.tickets.drain(..surplus);
            self.tickets = self.tickets.saturating_sub(surplus);
        }
        self.tickets += 1;
        self.change(name, |server| server.tickets.push_back(ticket));
    }

    fn take_ticket(&mut self, name: &ServerName<'static>) -> Option<Ticket> {
        let ticket = self.servers.get_mut(name)?.tickets.pop_back()?;
        self.tickets = self.tickets.saturating_sub(1);
        Some(ticket)
    }
}

impl Sessions {
    fn servers(&self) -> MutexGuard<'_, Servers<Tls12ClientSessionValue, Tls13ClientSessionValue>> {
        // Nothing panics in the middle of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.servers().change(server_name, |server| server.key_exchange = Some(group));
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.servers().servers.get(&server_name.to_owned())?.key_exchange
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.servers().change(server_name, |server| server.old = Some(value));
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.servers().servers.get(&server_name.to_owned())?.old.clone()
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        if let Some(server) = self.servers().servers.get_mut(server_name) {
            server.old = None;
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.servers().add_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.servers().take_ticket(server_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ServerName<'static> {
        ServerName::try_from(format!("pop{number}.example.org")).unwrap()
    }

    fn check(servers: &Servers<u32, usize>) {
        let tickets: usize = servers.servers.values().map(|server| server.tickets.len()).sum();
        assert_eq!((servers.tickets, servers.by_use.len()), (tickets, servers.servers.len()));
        assert!(tickets <= MOST && servers.servers.len() <= MOST);
        assert!(servers.by_use.iter().all(|(used, name)| servers.servers[name].used == *used));
    }

    #[test]
    fn a_ticket_is_given_once_the_newest_first() {
        let mut servers = Servers::<u32, usize>::default();
        (0..100).for_each(|n| servers.add_ticket(name(1), n));
        check(&servers);
        let taken: Vec<usize> = std::iter::from_fn(|| servers.take_ticket(&name(1))).collect();
        assert_eq!(taken, (36..100).rev().collect::<Vec<_>>());
        assert_eq!(servers.take_ticket(&name(2)), None);
        check(&servers);
    }

    #[test]
    fn ten_thousand_servers_that_are_polled_in_turn_have_a_ticket_each() {
        let mut servers = Servers::<u32, usize>::default();
        for round in 0..3 {
            for n in 0..10_000 {
                assert_eq!(servers.take_ticket(&name(n)).is_some(), round > 0, "{n}");
                servers.add_ticket(name(n), n);
                servers.add_ticket(name(n), n);
            }
            check(&servers);
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_when_there_are_too_many() {
        let mut servers = Servers::<u32, usize>::default();
        for n in 0..MOST + 10 {
            servers.change(name(n), |server| server.old = Some(1));
            servers.change(name(0), |_| {});
        }
        check(&servers);
        assert!(servers.servers.contains_key(&name(0)) && !servers.servers.contains_key(&name(1)));
        // Many tickets of few servers, then few of many.
        let mut servers = Servers::<u32, usize>::default();
        (0..300 * 64).for_each(|n| servers.add_ticket(name(n / 64), n));
        check(&servers);
        (0..20_000).for_each(|n| servers.add_ticket(name(n), n));
        check(&servers);
    }
}
