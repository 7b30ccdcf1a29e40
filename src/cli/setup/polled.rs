//! Says how the new account gets polled: by the running daemon, or by one to be started.

use std::path::{Path, PathBuf};

use super::Wizard;
use crate::account::AccountName;
use crate::advice::by_request::{no_daemon_yet, reload};
use crate::advice::commands::setup::{OTHER_SERVICES, SEE_STATUS};
use crate::cli::arguments::YesOrNo;
use crate::cli::output::say;
use crate::cli::prepare;
use crate::cli::wrapped::{say_sentence, stderr_sentence};
use crate::control::{Request, Response};
use crate::daemon;
use crate::setup::unit::{UserUnit, reload_command};
use crate::{text, threads};

impl Wizard<'_> {
    /// Prints how the account gets polled; returns whether a daemon runs.
    pub(super) async fn tell_how_it_is_polled(&self, name: &AccountName, state_dir: &Path) -> bool {
        let request = Request::Status { accounts: vec![name.to_string()] };
        let command = match prepare::ask_daemon(self.arguments, &request).await {
            Ok(Response::Status(status)) => threads::blocking(move || reload_command(status.pid)).await.ok(),
            // A daemon of another version runs.
            Ok(_) => None,
            Err(_) if daemon::holder(state_dir).is_some() => None,
            Err(_) => {
                self.tell(&no_daemon_yet());
                return false;
            }
        };
        self.tell(&reload(name.as_str(), command.as_deref()));
        true
    }

    fn tell(&self, sentence: &str) {
        if !self.arguments.quiet {
            say_sentence(sentence);
        }
    }

    /// Offers to run the daemon as a user service; shows the commands, and runs them only after a yes. A sign-in reads
    /// the terminal to its end: after one, they are only shown.
    ///
    /// If a daemon `runs` that is not such a service, there is nothing to offer.
    pub(super) async fn offer_unit(&self, can_ask: bool, runs: bool) {
        let answer = self.options.user_unit;
        let home = self.environment.config_home.clone();
        let own = home.filter(|home| self.target.path == home.join("mailferry/config.toml"));
        let Some(home) = own.filter(|_| answer != Some(YesOrNo::No) && (answer.is_some() || self.asker.is_there))
        else {
            if answer == Some(YesOrNo::Yes) {
                stderr_sentence("mailferry: the user unit is for a configuration in its usual place");
            }
            return;
        };
        let looked = threads::blocking(move || UserUnit::look(&home)).await;
        let Some(unit) = looked.ok().flatten() else {
            if answer == Some(YesOrNo::Yes) {
                stderr_sentence(format_args!(
                    "mailferry: there is no service manager of yours to ask; {OTHER_SERVICES}"
                ));
            }
            return;
        };
        if runs && !unit.is_active && answer != Some(YesOrNo::Yes) {
            return;
        }
        if !self.arguments.quiet || answer.is_none() {
            say_sentence("\nAll day, as a service of yours:");
            if let Some(path) = &unit.missing {
                say_sentence(format_args!("    (writes {})", text::value(&path.to_string_lossy())));
            }
            unit.commands().iter().for_each(|line| say(format_args!("    {line}")));
        }
        let agreed = match answer {
            Some(answer) => answer == YesOrNo::Yes,
            None if !can_ask => false,
            None => self.asker.yes("Set this up now?", false, "--user-unit").await.unwrap_or(false),
        };
        if agreed {
            let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/mailferry"));
            match threads::blocking(move || unit.enable(&program)).await {
                Ok(Ok(())) if !self.arguments.quiet => say_sentence(format_args!("Done. {SEE_STATUS}")),
                Ok(Err(why)) => stderr_sentence(format_args!("mailferry: the account is written, but {why}")),
                _ => {}
            }
        }
    }
}
