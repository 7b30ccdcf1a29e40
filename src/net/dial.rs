//! From a host name to a TCP connection: every address is tried, the first that answers wins (RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::account::Endpoint;
use crate::threads::{NotDone, blocking};

use super::NetError;

/// How long one address is waited for before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Resolves the endpoint's host and connects to one of its addresses within `limit`, but to none of those to avoid.
pub(super) async fn connect(
    endpoint: &Endpoint,
    avoid: &[SocketAddr],
    limit: Duration,
) -> Result<(SocketAddr, TcpStream), NetError> {
    let deadline = Instant::now() + limit;
    let resolved = timeout_at(deadline, resolve(endpoint)).await;
    let mut addresses = match resolved {
        Ok(addresses) => addresses?,
        Err(_elapsed) => {
            return Err(timed_out(endpoint, limit, Vec::new(), Vec::new()));
        }
    };
    addresses.retain(|address| !avoid.contains(address));
    if addresses.is_empty() {
        return Err(NetError::NoAddress { host: endpoint.host.clone() });
    }
    tracing::debug!("connecting to {} port {}: {addresses:?}", endpoint.host, endpoint.port);
    match race(&addresses, deadline, open).await {
        Ok(won) => Ok(won),
        Err(Lost { attempts, unanswered }) if unanswered.is_empty() => {
            Err(NetError::Connect { host: endpoint.host.clone(), port: endpoint.port, attempts })
        }
        Err(Lost { attempts, unanswered }) => Err(timed_out(endpoint, limit, attempts, unanswered)),
    }
}

/// Opens one TCP connection. Its small writes leave at once, because every command waits for an answer.
pub(super) async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The host as the resolver and the certificate know it: an IPv6 address without its brackets.
pub(super) fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The endpoint's addresses in the order in which they are to be tried. The system's resolver is asked, because it
/// knows what an administrator has set: the hosts file, nsswitch, search domains.
async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, NetError> {
    let host = &endpoint.host;
    let (name, port) = (bare_host(host).to_owned(), endpoint.port);
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match blocking(move || (name.as_str(), port).to_socket_addrs()).await {
        Ok(Ok(found)) => Ok(interleave(found)),
        Ok(Err(source)) => Err(NetError::Resolve { host: host.clone(), source }),
        Err(NotDone::NoThread) => Err(NetError::System { source: NotDone::NoThread.into() }),
        Err(e) => Err(NetError::Resolve { host: host.clone(), source: e.into() }),
    }
}

/// Alternates between the address families, beginning with the one that the resolver put first, so that a family which
/// does not work here costs one stagger (RFC 8305, section 4). Repeated addresses go.
fn interleave(found: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let v6_first = unique.first().is_some_and(SocketAddr::is_ipv6);
    let count = unique.len();
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        unique.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        order.extend(first.pop_front());
        order.extend(second.pop_front());
    }
    order
}

/// Why no address was reached.
#[derive(Debug)]
struct Lost {
    /// The addresses that failed, in the order in which they did.
    attempts: Vec<(SocketAddr, io::Error)>,
    /// The addresses that had said nothing when the time was up. Empty when every address failed.
    unanswered: Vec<SocketAddr>,
}

/// Attempts the addresses in turn: the next one begins when the one before it fails or [`STAGGER`] has passed. The
/// first success wins and the other attempts are dropped.
async fn race<T, F, A>(addresses: &[SocketAddr], deadline: Instant, attempt: F) -> Result<(SocketAddr, T), Lost>
where
    T: Send + 'static,
    F: Fn(SocketAddr) -> A,
    A: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut ahead: VecDeque<SocketAddr> = addresses.iter().copied().collect();
    let mut under_way = JoinSet::new();
    let mut attempts = Vec::new();
    let mut next_start = Instant::now();
    while !(ahead.is_empty() && under_way.is_empty()) {
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next() => match ended {
                Ok((address, Ok(connected))) => return Ok((address, connected)),
                Ok((address, Err(failure))) => {
                    attempts.push((address, failure));
                    next_start = Instant::now();
                }
                // An attempt that ended without a word can only have panicked: that address is out.
                Err(_panicked) => next_start = Instant::now(),
            },
            () = sleep_until(deadline) => {
                let failed = |address: &SocketAddr| attempts.iter().any(|(other, _)| other == address);
                let unanswered = addresses.iter().copied().filter(|address| !failed(address)).collect();
                return Err(Lost { attempts, unanswered });
            }
            () = sleep_until(next_start), if !ahead.is_empty() => {
                if let Some(address) = ahead.pop_front() {
                    let attempt = attempt(address);
                    under_way.spawn(async move { (address, attempt.await) });
                }
                next_start = Instant::now() + STAGGER;
            }
        }
    }
    Err(Lost { attempts, unanswered: Vec::new() })
}

/// The error for a connection that took longer than `limit`.
fn timed_out(
    endpoint: &Endpoint,
    limit: Duration,
    attempts: Vec<(SocketAddr, io::Error)>,
    unanswered: Vec<SocketAddr>,
) -> NetError {
    NetError::ConnectTimeout { host: endpoint.host.clone(), port: endpoint.port, limit, attempts, unanswered }
}

#[cfg(test)]
mod tests;
