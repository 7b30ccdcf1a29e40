//! The part of the process that work on an account needs besides the account itself.

use std::path::PathBuf;
use std::sync::Arc;

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
}
