//! Whether mail can be delivered and recorded where the new account would have it: looked at before anything is written.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Ended, Wizard};
use crate::account::AccountName;
use crate::advice;
use crate::check::{Mark, check_maildirs};
use crate::cli::uids;
use crate::cli::wrapped::stderr_sentence;
use crate::discovery::MailAddress;
use crate::disk::Disk;
use crate::exit::ExitStatus;
use crate::new_account::as_name;
use crate::poll::PollContext;
use crate::setup::target::Extended;
use crate::state::error::StateError;
use crate::state::orphans::user_of;
use crate::state::store::{OpenOptions, Store};
use crate::threads;

/// Where states are kept.
#[derive(Debug)]
pub(super) struct States {
    /// Its file system.
    pub(super) disk: Arc<dyn Disk>,
    /// The state directory.
    pub(super) state_dir: PathBuf,
}

impl Wizard<'_> {
    /// Returns those of these names under which the state of another user is left: an account had that name before.
    pub(super) async fn left_by_others(&self, names: &[String], address: &MailAddress) -> Result<Vec<String>, Ended> {
        let users: Vec<String> = match &self.options.username {
            Some(user) => vec![user.clone()],
            None => vec![address.to_string(), address.local().to_owned()],
        };
        let (disk, state_dir) = (Arc::clone(&self.states.disk), self.states.state_dir.clone());
        let names: Vec<AccountName> = names.iter().filter_map(|name| as_name(name)).collect();
        let is_of_another = move |name: &AccountName| {
            let user = user_of(&*disk, &state_dir, name.as_str());
            user.is_some_and(|user| !users.contains(&user))
        };
        let left =
            threads::blocking(move || names.into_iter().filter(is_of_another).map(|name| name.to_string()).collect());
        left.await.map_err(|e| not_written(ExitStatus::Temporary, &std::io::Error::from(e).to_string()))
    }

    /// Looks at the place of the account's state, and at those of its Maildirs.
    pub(super) async fn look_at_place(&self, extended: &Extended, context: &Arc<PollContext>) -> Result<(), Ended> {
        let account = extended.account.clone();
        let looked = Arc::clone(context);
        let state = threads::blocking(move || {
            let options = OpenOptions { new_state: false, ..uids::open_options(&looked) };
            Store::look(Arc::clone(&looked.disk), &looked.state_dir, &account, &options).map(drop)
        });
        match state.await {
            Ok(Ok(())) => {}
            Ok(Err(
                e @ (StateError::OtherUser { .. } | StateError::Renamed { .. } | StateError::RenamedAndPolled { .. }),
            )) => {
                return Err(not_written(e.exit_status(), &advice::told_of_new_account(&e, &extended.account.name)));
            }
            // `fetch` tells it, with a way on that needs the account in the configuration.
            Ok(Err(_)) => {}
            Err(e) => return Err(not_written(ExitStatus::Temporary, &std::io::Error::from(e).to_string())),
        }
        let steps = check_maildirs(&self.check_context(context), &extended.account).await;
        match steps.into_iter().find(|step| step.mark == Mark::Fail) {
            Some(step) => Err(not_written(step.status, &advice::commands::setup::about_account(&step.text))),
            None => Ok(()),
        }
    }
}

/// Says that and why nothing was written.
fn not_written(status: ExitStatus, why: &str) -> Ended {
    stderr_sentence(format_args!("mailferry: nothing was written: {why}"));
    Ended(status)
}
