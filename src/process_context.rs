//! The part of the process that work on an account needs besides the account itself.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::disk::Disk;
use crate::net::Dial;

/// The part of the process that access tokens and forwarders need.
#[derive(Debug, Clone)]
pub struct ProcessContext {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Does all file operations.
    pub disk: Arc<dyn Disk>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The directory of states, tokens, spools and journals.
    pub state_dir: PathBuf,
    /// Where to find systemd's credentials.
    pub credentials: CredentialEnvironment,
    /// Describes this process to others that find a lock held.
    pub holder: String,
    /// What forwarders with the same destination share while they run.
    pub shared: Arc<Shared>,
}

/// Values that several users of the same name share for as long as one of them holds it.
#[derive(Default)]
pub struct Shared(Mutex<BTreeMap<String, Weak<dyn Any + Send + Sync>>>);

impl Shared {
    /// Returns the value with this name, and whether somebody else holds it already.
    pub(crate) fn join<T: Any + Send + Sync + Default>(&self, name: &str) -> (Arc<T>, bool) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.retain(|_, value| value.strong_count() > 0);
        let there = values.get(name).and_then(Weak::upgrade).and_then(|value| value.downcast().ok());
        match there {
            Some(value) => (value, true),
            None => {
                let value: Arc<T> = Arc::default();
                let any: Arc<dyn Any + Send + Sync> = value.clone();
                values.insert(name.to_owned(), Arc::downgrade(&any));
                (value, false)
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_for_as_long_as_somebody_holds_it() {
        let shared = Shared::default();
        let (one, is_shared) = shared.join::<Mutex<u32>>("a");
        assert!(!is_shared);
        *one.lock().unwrap() = 7;
        let (other, is_shared) = shared.join::<Mutex<u32>>("a");
        assert!(is_shared && Arc::ptr_eq(&one, &other));
        assert!(!shared.join::<Mutex<u32>>("b").1);
        drop((one, other));
        let (new, is_shared) = shared.join::<Mutex<u32>>("a");
        assert!(!is_shared && *new.lock().unwrap() == 0);
    }
}
