//! What is tried when a session ended before the login was answered: another way to log in there, or another address of the
//! host. One that accepts and then fails does not hide the others.

use std::net::SocketAddr;

use tracing::debug;

use crate::client::ClientError;
use crate::net::MOST_ADDRESSES;
use crate::sasl::LoginMethod;

/// So many sessions are begun for one login: one for each way that there may be, and one without CAPA.
const MOST_SESSIONS: usize = 8;

/// In so many of them the credential is sent: a server that hangs up at it may mean that it refuses it, and locks the
/// account for much guessing.
const MOST_OFFERS: usize = 2;

/// What was found out at one address of the server.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The ways that came to nothing, in the order in which they were tried.
    pub(super) failed: Vec<LoginMethod>,
    /// The server hung up at CAPA.
    pub(super) without_capa: bool,
    /// The server hung up before it had answered UTF8.
    pub(super) without_utf8: bool,
}

/// How a session without a login ended.
pub(super) enum Ended {
    /// No address that is left came as far as the login.
    Unreached(ClientError),
    /// The server did not let us in.
    Broken {
        /// The address.
        peer: SocketAddr,
        /// Why.
        error: ClientError,
        /// Whether the credential was sent.
        offered: bool,
    },
}

/// What follows.
pub(super) enum Next {
    /// Another way to log in is tried, because of this.
    Way(ClientError),
    /// Another address is tried.
    Address,
    /// Nothing is: this is why.
    Over(ClientError),
}

/// The addresses of a host that were tried for one login.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Those that take connections and came to nothing.
    pub(super) avoid: Vec<SocketAddr>,
    /// So many sessions came as far as the login.
    pub(super) sessions: usize,
    /// In so many of them the credential was sent.
    offers: usize,
    /// The ways to log in that came to nothing at addresses before this one.
    pub(super) failed_elsewhere: Vec<LoginMethod>,
    /// What an address came to that was left for another one: what is told if none does better.
    first: Option<ClientError>,
    /// What was found out at an address that was left while there was another way to log in.
    left: Option<Place>,
    /// No other address does better.
    alone: bool,
}

impl Addresses {
    /// What follows a session; `here` is what was found out at its address, and becomes what is known of the next one.
    ///
    /// Where a credential was sent once, the second and last time is for another address, if there is one; else for
    /// another way.
    pub(super) fn next(&mut self, ended: Ended, another_way: bool, another_address: bool, here: &mut Place) -> Next {
        let (peer, error) = match ended {
            Ended::Unreached(error) => return self.back(error, here),
            Ended::Broken { peer, error, offered } => {
                self.sessions += 1;
                self.offers += usize::from(offered);
                (peer, error)
            }
        };
        let more = self.sessions < MOST_SESSIONS && self.offers < MOST_OFFERS;
        let last = self.sessions + 1 == MOST_SESSIONS || self.offers + 1 == MOST_OFFERS;
        let further = another_address && !self.alone && self.avoid.len() < MOST_ADDRESSES;
        if more && another_way && !(last && further && self.left.is_none()) {
            return Next::Way(error);
        }
        if more && further {
            debug!("{peer}: {error}: trying another address");
            self.leave(peer, error, std::mem::take(here), another_way);
            return Next::Address;
        }
        self.remember_all(here);
        Next::Over(match error {
            ClientError::Login { .. } | ClientError::Sasl { .. } => error,
            // What the first address came to.
            _ => self.first.take().unwrap_or(error),
        })
    }

    fn leave(&mut self, peer: SocketAddr, error: ClientError, place: Place, another_way: bool) {
        self.avoid.push(peer);
        self.first.get_or_insert(error);
        self.failed_elsewhere.extend(&place.failed);
        if another_way {
            self.left = Some(place);
        }
    }

    /// No further address was reached: one that was left while there was another way to log in is tried by that.
    fn back(&mut self, error: ClientError, here: &mut Place) -> Next {
        match (self.first.take(), self.left.take()) {
            (Some(first), Some(place)) => {
                (self.alone, *here) = (true, place);
                self.avoid.clear();
                Next::Way(first)
            }
            (first, _) => {
                self.remember_all(here);
                Next::Over(first.unwrap_or(error))
            }
        }
    }

    /// What came to nothing at any address is remembered of the server.
    fn remember_all(&mut self, here: &mut Place) {
        let mut failed = std::mem::take(&mut self.failed_elsewhere);
        failed.retain(|way| !here.failed.contains(way));
        failed.append(&mut here.failed);
        here.failed = failed;
    }
}

#[cfg(test)]
mod tests;
