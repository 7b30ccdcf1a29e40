//! What work on an account needs of the process beside the account itself.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::disk::Disk;
use crate::net::Dial;

/// What access tokens and forwarders need of the process.
#[derive(Debug, Clone)]
pub struct ProcessContext {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Every file operation.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where states, tokens, spools and journals are.
    pub state_dir: PathBuf,
    /// Where credentials of systemd are.
    pub credentials: CredentialEnvironment,
    /// Tells others who holds a lock.
    pub holder: String,
}
