//! What accounts have in common is kept once: there may be a hundred thousand of them at a few servers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::Endpoint;

/// So many endpoints at one address and port are compared with: where accounts differ in more, they share less.
const COMPARED: usize = 8;

/// The servers of the accounts that were read so far, by host and port.
#[derive(Debug, Default)]
pub(super) struct Endpoints(HashMap<(String, u16), Vec<Arc<Endpoint>>>);

impl Endpoints {
    /// The endpoint, together with the accounts before that have the same.
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
