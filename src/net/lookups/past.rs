//! What is remembered of names that were looked up. PURE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{Key, LookupResult};

/// How many names are remembered. For one more, the one that was looked up longest ago is forgotten.
const MOST_NAMES: usize = 4096;

/// How many addresses of a name are remembered.
const MOST_ADDRESSES: usize = 16;

/// How old addresses may be that are used without another lookup.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// What the last lookup of a name lets expect of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It found the name, and did not take long.
    Prompt,
    /// It took long, whatever came of it.
    Long,
    /// Nothing: there was none, or it did not find the name.
    Unknown,
}

/// The last lookup of a name.
#[derive(Debug)]
struct Last {
    ended: Instant,
    /// What it found. Empty: nothing.
    addresses: Vec<SocketAddr>,
    took_long: bool,
}

/// The last lookups of names, except those that failed without taking long.
#[derive(Debug, Default)]
pub(super) struct Past {
    names: HashMap<Key, Last>,
}

impl Past {
    /// Returns what to expect of a lookup.
    pub(super) fn expected(&self, key: &Key) -> Expected {
        match self.names.get(key) {
            Some(Last { took_long: true, .. }) => Expected::Long,
            Some(_) => Expected::Prompt,
            None => Expected::Unknown,
        }
    }

    /// Returns the addresses that the last lookup found, if they are not too old.
    pub(super) fn addresses(&self, key: &Key, now: Instant) -> Option<Vec<SocketAddr>> {
        let last = self.names.get(key).filter(|last| now.saturating_duration_since(last.ended) < OLD)?;
        Some(last.addresses.clone()).filter(|addresses| !addresses.is_empty())
    }

    /// Records a lookup that ended now.
    pub(super) fn ended(&mut self, key: &Key, found: &LookupResult, took_long: bool, now: Instant) {
        let addresses = match found {
            Ok(Ok(found)) => found.iter().copied().take(MOST_ADDRESSES).collect(),
            _ => Vec::new(),
        };
        if addresses.is_empty() && !took_long {
            self.names.remove(key);
            return;
        }
        if self.names.len() >= MOST_NAMES
            && !self.names.contains_key(key)
            && let Some(oldest) = self.names.iter().min_by_key(|(_, last)| last.ended).map(|(key, _)| key.clone())
        {
            self.names.remove(&oldest);
        }
        self.names.insert(key.clone(), Last { ended: now, addresses, took_long });
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        (name.to_owned(), 995)
    }

    fn address(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 995).into()
    }

    fn found(addresses: impl IntoIterator<Item = u8>) -> LookupResult {
        Ok(Ok(addresses.into_iter().map(address).collect()))
    }

    fn failed() -> LookupResult {
        Ok(Err(Arc::new(io::ErrorKind::TimedOut.into())))
    }

    #[test]
    fn the_last_look_up_tells_what_to_expect() {
        let (mut past, now, a) = (Past::default(), Instant::now(), key("a"));
        let mut after = |found: LookupResult, took_long| {
            past.ended(&a, &found, took_long, now);
            (past.expected(&a), past.addresses(&a, now).map(|found| found.len()))
        };
        assert_eq!(after(found([1, 2]), false), (Expected::Prompt, Some(2)));
        assert_eq!(after(found([3]), true), (Expected::Long, Some(1)));
        assert_eq!(after(failed(), true), (Expected::Long, None));
        assert_eq!(after(found(0..40), false), (Expected::Prompt, Some(MOST_ADDRESSES)));
        assert_eq!(after(failed(), false), (Expected::Unknown, None));
        assert_eq!(after(found([]), false), (Expected::Unknown, None));
    }

    #[test]
    fn addresses_of_yesterday_are_not_used() {
        let (mut past, now) = (Past::default(), Instant::now());
        past.ended(&key("a"), &found([1]), false, now);
        assert_eq!(past.addresses(&key("a"), now + OLD - SECOND), Some(vec![address(1)]));
        assert_eq!(past.addresses(&key("a"), now + OLD), None);
        assert_eq!(past.expected(&key("a")), Expected::Prompt);
        assert_eq!(past.addresses(&("a".to_owned(), 110), now), None, "that is another port");
    }

    #[test]
    fn only_so_many_names_are_remembered() {
        let (mut past, now) = (Past::default(), Instant::now());
        for n in 0..MOST_NAMES {
            let ended = now + Duration::from_millis(u64::try_from(n).unwrap());
            past.ended(&key(&n.to_string()), &found([1]), false, ended);
        }
        past.ended(&key("0"), &found([1]), false, now + 9 * SECOND);
        assert_eq!((past.names.len(), past.expected(&key("1"))), (MOST_NAMES, Expected::Prompt));
        past.ended(&key("one more"), &found([1]), false, now + 9 * SECOND);
        assert_eq!((past.names.len(), past.expected(&key("1"))), (MOST_NAMES, Expected::Unknown));
        assert_eq!((past.expected(&key("0")), past.expected(&key("one more"))), (Expected::Prompt, Expected::Prompt));
    }
}
