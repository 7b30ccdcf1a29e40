//! Decides what to try when a session ended before the login was answered: another login method there, or another
//! address of the host. An address that accepts connections and then fails does not keep the others from being tried.

use std::net::SocketAddr;

use tracing::debug;

use crate::client::ClientError;
use crate::net::MOST_ADDRESSES;
use crate::sasl::LoginMethod;

/// How many sessions one login may take: one for each possible method, and one without CAPA.
const MOST_SESSIONS: usize = 8;

/// In how many of them the credential may be sent: a server that closes the connection at it may mean a refusal, and
/// lock the account after too many attempts.
const MOST_OFFERS: usize = 2;

/// What was found out about one address of the server.
#[derive(Debug, Default)]
pub(super) struct AddressProfile {
    /// The login methods that failed, in the order in which they were tried.
    pub(super) failed: Vec<LoginMethod>,
    /// Whether the connection was closed by the server at CAPA.
    pub(super) without_capa: bool,
    /// Whether the connection was closed by the server before it answered UTF8.
    pub(super) without_utf8: bool,
}

/// How a session ended without a login.
pub(super) enum Ended {
    /// None of the remaining addresses got as far as the login.
    Unreached(ClientError),
    /// The session ended before the login succeeded.
    Broken {
        /// The address.
        peer: SocketAddr,
        /// Why.
        error: ClientError,
        /// Whether the credential was sent.
        offered: bool,
    },
}

/// What to do next.
pub(super) enum Next {
    /// Try another login method because of this error.
    Way(ClientError),
    /// Try another address.
    Address,
    /// Give up with this error.
    Over(ClientError),
}

/// The addresses of a host tried for one login.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The addresses that accept connections but failed.
    pub(super) avoid: Vec<SocketAddr>,
    /// How many sessions got as far as the login.
    pub(super) sessions: usize,
    /// In how many of them the credential was sent.
    offers: usize,
    /// The login methods that failed at earlier addresses.
    pub(super) failed_elsewhere: Vec<LoginMethod>,
    /// The error at the first address that was left for another one, reported if none does better.
    first: Option<ClientError>,
    /// What was found out about an address that was left with another login method untried.
    left: Option<AddressProfile>,
    /// Whether no other address does better.
    alone: bool,
}

impl Addresses {
    /// Decides what to do after a session. `here` is what was found out about its address, and is replaced by what is
    /// known about the next one.
    ///
    /// If the credential was sent once, its second and last use is for another address if there is one, otherwise for
    /// another method.
    pub(super) fn next(
        &mut self,
        ended: Ended,
        another_way: bool,
        another_address: bool,
        here: &mut AddressProfile,
    ) -> Next {
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
            ClientError::Login { .. } | ClientError::NotOffered(_) | ClientError::Sasl { .. } => error,
            // The error at the first address.
            _ => self.first.take().unwrap_or(error),
        })
    }

    fn leave(&mut self, peer: SocketAddr, error: ClientError, place: AddressProfile, another_way: bool) {
        self.avoid.push(peer);
        self.first.get_or_insert(error);
        self.failed_elsewhere.extend(&place.failed);
        if another_way {
            self.left = Some(place);
        }
    }

    /// Handles that no further address was reached: returns to one that was left with another login method untried.
    fn back(&mut self, error: ClientError, here: &mut AddressProfile) -> Next {
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

    /// Remembers the methods that failed at any address as failed at the server.
    fn remember_all(&mut self, here: &mut AddressProfile) {
        let mut failed = std::mem::take(&mut self.failed_elsewhere);
        failed.retain(|way| !here.failed.contains(way));
        failed.append(&mut here.failed);
        here.failed = failed;
    }
}

#[cfg(test)]
mod tests;
