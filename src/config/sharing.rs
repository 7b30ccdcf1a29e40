//! Shares what accounts have in common: there may be a hundred thousand of them at a few servers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::Endpoint;

/// How many endpoints with the same host and port are compared. Accounts with more variants than this share less.
const COMPARED: usize = 8;

/// The endpoints of the accounts read so far, by host and port.
#[derive(Debug, Default)]
pub(super) struct Endpoints(HashMap<(String, u16), Vec<Arc<Endpoint>>>);

impl Endpoints {
    /// Returns an equal endpoint of an earlier account, or keeps this one to be shared.
    pub(super) fn share(&mut self, endpoint: Endpoint) -> Arc<Endpoint> {
        let alike = self.0.entry((endpoint.host.clone(), endpoint.port)).or_default();
        if let Some(same) = alike.iter().rev().take(COMPARED).find(|known| ***known == endpoint) {
            return Arc::clone(same);
        }
        let new = Arc::new(endpoint);
        alike.push(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::bench::account;

    #[test]
    fn equal_endpoints_are_one_and_others_stay_themselves() {
        let usual = Endpoint::clone(&account("a", std::path::Path::new("/")).endpoint);
        let (other_port, other_way) =
            (Endpoint { port: 1, ..usual.clone() }, Endpoint { allow_cleartext_password: true, ..usual.clone() });
        let mut endpoints = Endpoints::default();
        let mut share = |endpoint: &Endpoint| endpoints.share(endpoint.clone());
        let first = share(&usual);
        assert_eq!((&*share(&other_port), &*share(&other_way)), (&other_port, &other_way));
        assert!(Arc::ptr_eq(&share(&usual), &first));
    }
}
