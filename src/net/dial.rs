//! Makes a TCP connection to a host by name: tries all its addresses, and the first that answers wins (RFC 8305).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument as _;

use crate::account::{Endpoint, Route, TlsMode};
use crate::threads::NotDone;

use super::host::bare_host;
use super::lookups::{Failed, Lookups, Wanted};
use super::proxy::tunnel;
use super::{NetError, ProxyProblem, Stream};

/// How long to wait for one address before the next one is tried as well (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// How many addresses are tried simultaneously. Each attempt takes a file descriptor, and a name may have hundreds of
/// addresses.
const MOST_AT_ONCE: usize = 8;

/// Resolves the endpoint's host, or its proxy's, and connects to one of its addresses within `limit`, except those to
/// avoid. Through a proxy, the address is that of the proxy.
pub(super) async fn connect(
    endpoint: &Endpoint,
    avoid: &[SocketAddr],
    limit: Duration,
    lookups: &Lookups,
) -> Result<(SocketAddr, Stream), NetError> {
    let deadline = Instant::now() + limit;
    let Some(proxy) = &endpoint.route.proxy else {
        let proves_its_name = endpoint.tls != TlsMode::None;
        let target = Target { host: &endpoint.host, port: endpoint.port, route: &endpoint.route, proves_its_name };
        let (peer, tcp) = reach(&target, avoid, limit, lookups).await?;
        return Ok((peer, Box::new(tcp)));
    };
    // A proxy proves nothing, and may get a password.
    let target = Target { host: &proxy.host, port: proxy.port, route: &endpoint.route, proves_its_name: false };
    let failed = |problem| NetError::Proxy { proxy: proxy.to_string(), problem };
    let reached = reach(&target, avoid, limit, lookups).await;
    let (peer, tcp) = reached.map_err(|error| failed(ProxyProblem::Unreachable(Box::new(error))))?;
    let tunnel = timeout_at(deadline, tunnel(tcp, proxy, endpoint)).await;
    let stream = tunnel.unwrap_or(Err(ProxyProblem::TimedOut(limit))).map_err(failed)?;
    Ok((peer, stream))
}

/// What TCP connects to: the server or the proxy.
struct Target<'a> {
    host: &'a str,
    port: u16,
    route: &'a Route,
    /// Whether it shows a certificate for its name before it gets anything secret.
    proves_its_name: bool,
}

/// Connects to one of the target's addresses.
async fn reach(
    target: &Target<'_>,
    avoid: &[SocketAddr],
    limit: Duration,
    lookups: &Lookups,
) -> Result<(SocketAddr, TcpStream), NetError> {
    let deadline = Instant::now() + limit;
    let (host, port) = (target.host.to_owned(), target.port);
    let mut addresses = match resolve(target, deadline, lookups).await {
        Ok(addresses) => addresses,
        Err(Failed::Resolver(source)) => return Err(NetError::Resolve { host, source }),
        Err(Failed::NotDone(NotDone::NoThread)) => {
            return Err(NetError::System { source: NotDone::NoThread.into() });
        }
        Err(Failed::NotDone(e)) => return Err(NetError::Resolve { host, source: e.into() }),
        Err(Failed::Late) => return Err(timed_out(target, limit, Vec::new(), Vec::new())),
        Err(Failed::NoRoom { others: hanging }) => return Err(NetError::LookupsHang { host, limit, hanging }),
    };
    let found = addresses.len();
    addresses.retain(|address| target.route.leads_to(address.ip()));
    if addresses.is_empty() && found > 0 {
        return Err(NetError::NoAddressOnRoute { host });
    }
    addresses.retain(|address| !avoid.contains(address));
    if addresses.is_empty() {
        return Err(NetError::NoAddress { host });
    }
    let source = target.route.source_address;
    if let Some(address) = source {
        bound(address).map_err(|source| NetError::SourceAddress { address, source })?;
    }
    tracing::debug!("connecting to {host} port {port}: {addresses:?}");
    match race(&addresses, deadline, move |address| watched(source, address).in_current_span()).await {
        Ok((peer, tcp)) => {
            if target.route.resets {
                // If it cannot be set, data in transit may arrive a little later.
                let _ = rustix::net::sockopt::set_socket_linger(&tcp, Some(Duration::ZERO));
            }
            Ok((peer, tcp))
        }
        Err(Lost { attempts, unanswered }) if unanswered.is_empty() => Err(NetError::Connect { host, port, attempts }),
        Err(Lost { attempts, unanswered }) => Err(timed_out(target, limit, attempts, unanswered)),
    }
}

/// Opens another connection to an address that accepted one before.
pub(super) async fn again(endpoint: &Endpoint, peer: SocketAddr) -> Option<Stream> {
    let tcp = open(endpoint.route.source_address, peer).await.ok()?;
    match &endpoint.route.proxy {
        Some(proxy) => tunnel(tcp, proxy, endpoint).await.ok(),
        None => Some(Box::new(tcp)),
    }
}

/// Opens one TCP connection and logs how it went.
async fn watched(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let begun = Instant::now();
    let opened = open(source, address).await;
    let seconds = begun.elapsed().as_secs_f64();
    match &opened {
        Ok(_) => tracing::debug!("{address}: connected in {seconds:.3} s"),
        Err(e) => tracing::debug!("{address}: not connected after {seconds:.3} s: {e}"),
    }
    opened
}

/// Opens one TCP connection. Small writes are sent at once, because every command waits for an answer.
async fn open(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let stream = match source {
        Some(source) => bound(source)?.connect(address).await?,
        None => TcpStream::connect(address).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes a socket bound to this source address.
fn bound(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}

/// Returns the target's addresses in the order in which to try them. Uses the system's resolver, which knows what an
/// administrator has configured: the hosts file, nsswitch, search domains.
async fn resolve(target: &Target<'_>, deadline: Instant, lookups: &Lookups) -> Result<Vec<SocketAddr>, Failed> {
    let (name, port) = (bare_host(target.host).to_owned(), target.port);
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let theirs = name.clone();
    let look_up = move || (theirs.as_str(), port).to_socket_addrs().map(Iterator::collect);
    let wanted = Wanted { name: &name, port, deadline, may_be_outdated: target.proves_its_name };
    lookups.find(wanted, look_up).await.map(interleave)
}

/// Alternates between the address families, starting with that of the resolver's first address, so that a family that
/// does not work here costs one stagger (RFC 8305, section 4). Drops repeated addresses.
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
    /// The addresses that failed, in the order of failure.
    attempts: Vec<(SocketAddr, io::Error)>,
    /// The addresses that had not answered when the time was up. Empty if every address failed.
    unanswered: Vec<SocketAddr>,
}

/// Tries the addresses in turn: the next attempt begins when the previous one fails or [`STAGGER`] has passed. The
/// first success wins and the other attempts are dropped. If [`MOST_AT_ONCE`] are under way, the oldest one is dropped
/// for the next and counts as failed.
async fn race<T, F, A>(addresses: &[SocketAddr], deadline: Instant, attempt: F) -> Result<(SocketAddr, T), Lost>
where
    T: Send + 'static,
    F: Fn(SocketAddr) -> A,
    A: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut ahead: VecDeque<SocketAddr> = addresses.iter().copied().collect();
    let mut under_way = JoinSet::new();
    let mut oldest_first: VecDeque<(SocketAddr, AbortHandle)> = VecDeque::new();
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
                Err(dropped) if dropped.is_cancelled() => {}
                // An attempt that ended without a result can only have panicked: that address is out.
                Err(_panicked) => next_start = Instant::now(),
            },
            () = sleep_until(deadline) => {
                let failed = |address: &SocketAddr| attempts.iter().any(|(other, _)| other == address);
                let unanswered = addresses.iter().copied().filter(|address| !failed(address)).collect();
                return Err(Lost { attempts, unanswered });
            }
            () = reached(next_start), if !ahead.is_empty() => {
                oldest_first.retain(|(_, attempt)| !attempt.is_finished());
                if oldest_first.len() >= MOST_AT_ONCE && let Some((address, oldest)) = oldest_first.pop_front() {
                    oldest.abort();
                    attempts.push((address, io::ErrorKind::TimedOut.into()));
                }
                if let Some(address) = ahead.pop_front() {
                    let attempt = attempt(address);
                    let handle = under_way.spawn(async move { (address, attempt.await) });
                    oldest_first.push_back((address, handle));
                }
                next_start = Instant::now() + STAGGER;
            }
        }
    }
    Err(Lost { attempts, unanswered: Vec::new() })
}

/// Waits until `at`. Ready at once if that has come: a timer would be ready at the next full millisecond, and the first
/// attempt of every poll would wait for it.
async fn reached(at: Instant) {
    if Instant::now() < at {
        sleep_until(at).await;
    }
}

/// The error for a connection that took longer than `limit`.
fn timed_out(
    target: &Target<'_>,
    limit: Duration,
    attempts: Vec<(SocketAddr, io::Error)>,
    unanswered: Vec<SocketAddr>,
) -> NetError {
    NetError::ConnectTimeout { host: target.host.to_owned(), port: target.port, limit, attempts, unanswered }
}

#[cfg(test)]
mod tests;
