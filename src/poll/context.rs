//! What a poll is given: what all polls of this process share, and the user's options for this one.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::delivery::recovery::OtherMaildirPolicy;
use crate::disk::Disk;
use crate::disk::promised_space::PromisedSpace;
use crate::maildir::names::NameSource;
use crate::net::Dial;
use crate::process_context::{ProcessContext, Shared};
use crate::state::store::ConfiguredAccounts;

/// What all polls of this process share.
#[derive(Debug, Clone)]
pub struct PollContext {
    /// Makes connections.
    pub dialer: Arc<dyn Dial>,
    /// Does all file operations.
    pub disk: Arc<dyn Disk>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes file names.
    pub names: Arc<NameSource>,
    /// The directory with the state files.
    pub state_dir: PathBuf,
    /// Where systemd puts credentials.
    pub credentials: CredentialEnvironment,
    /// Names this process to others that find its lock.
    pub holder: String,
    /// The accounts that share the state directory.
    pub configured_accounts: Arc<ConfiguredAccounts>,
    /// How many files one poll may have open at the same time.
    pub most_files: usize,
    /// The space that is promised to messages under way.
    pub promised_space: Arc<PromisedSpace>,
    /// What forwarders with the same destination share while they run.
    pub shared: Arc<Shared>,
}

impl PollContext {
    /// Returns what access tokens and forwarders need of this.
    #[must_use]
    pub fn of_process(&self) -> ProcessContext {
        ProcessContext {
            dialer: Arc::clone(&self.dialer),
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
            state_dir: self.state_dir.clone(),
            credentials: self.credentials.clone(),
            holder: self.holder.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The user's options for a poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollOptions {
    /// Report what would be done, and do nothing.
    pub dry_run: bool,
    /// Start a new state if the old one seems to be lost.
    pub new_state: bool,
    /// Mail has been delivered with this state: if it is gone, do not start a new one.
    pub must_exist: bool,
    /// Whether to accept the Maildir at the configured path although it is not the one delivered to before.
    pub other_maildir: OtherMaildirPolicy,
    /// Fetch messages that the server seems to have renumbered and that cannot be recognised, although they may be
    /// stored already.
    pub fetch_again: bool,
}
