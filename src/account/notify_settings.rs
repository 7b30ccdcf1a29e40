//! What the user is notified of, and how.

use std::ffi::OsString;
use std::time::Duration;

/// What the user is notified of, whatever the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// The words of the command that delivers notifications. Never empty.
    pub command: Option<Vec<OsString>>,
    /// Notify if no poll of an account has succeeded for this long.
    pub no_success_for: Option<Duration>,
    /// Notify this many days before a server's certificate expires; 0 disables it.
    pub certificate_days: u32,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self { command: None, no_success_for: Some(Duration::from_secs(24 * 60 * 60)), certificate_days: 14 }
    }
}
