//! What a poll is given: what all polls of this process share, and how the user wants this one to be.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::delivery::recovery::OtherMaildir;
use crate::disk::Disk;
use crate::maildir::names::NameSource;
use crate::net::Dial;
use crate::process_context::ProcessContext;
use crate::state::store::ConfiguredAccounts;

/// What all polls of this process share.
#[derive(Debug, Clone)]
pub struct PollContext {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Where everything is written.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Names files.
    pub names: Arc<NameSource>,
    /// Where the states are.
    pub state_dir: PathBuf,
    /// Where credentials of systemd are.
    pub credentials: CredentialEnvironment,
    /// Tells others who holds a lock.
    pub holder: String,
    /// The accounts that share the state directory.
    pub configured_accounts: Arc<ConfiguredAccounts>,
    /// How many files one poll may hold open at the same time.
    pub most_files: usize,
}

impl PollContext {
    /// What access tokens and forwarders need of it.
    #[must_use]
    pub fn of_process(&self) -> ProcessContext {
        ProcessContext {
            dialer: Arc::clone(&self.dialer),
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
            state_dir: self.state_dir.clone(),
            credentials: self.credentials.clone(),
            holder: self.holder.clone(),
        }
    }
}

/// How the user wants this poll to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollOptions {
    /// Tell what would be done and do nothing.
    pub dry_run: bool,
    /// Begin a state anew where one seems to be lost.
    pub new_state: bool,
    /// Mail was delivered with the state before: where it is gone nothing is begun anew.
    pub must_exist: bool,
    /// Whether the Maildir that is there is taken, though it is not the one that was delivered to.
    pub other_maildir: OtherMaildir,
    /// Fetch what the server seems to have renumbered and cannot be recognised, although it may be there already.
    pub fetch_again: bool,
}
