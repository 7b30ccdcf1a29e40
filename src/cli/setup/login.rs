//! Tries the login and looks at the maildrop.

use std::path::PathBuf;
use std::sync::Arc;

use super::secret::StoredSecret;
use super::{Ended, Wizard};
use crate::account::{Account, AccountName, CredentialSource};
use crate::advice::commands::setup::{GIVE_USERNAME, about_server};
use crate::check::{AccountCheck, CheckContext, Mark, check_server};
use crate::cli::login;
use crate::cli::wrapped::{say_wrapped, stderr_sentence, stderr_wrapped};
use crate::discovery::MailAddress;
use crate::exit::ExitStatus;
use crate::net::{Dialer, NetLimits};
use crate::oauth::store;
use crate::poll::PollContext;
use crate::poll::adoption::Visit;
use crate::secret::Secret;
use crate::setup::settings::{AccountSettings, SecretSource};
use crate::setup::target::Extended;
use crate::state::adopt::Known;
use crate::state::store::Store;
use crate::threads;

/// How often to ask for a password.
const MOST_PASSWORDS: u32 = 3;

/// The column where the description of a step begins.
const STEP: usize = 20;

/// The steps that are shown: what was found out about the server.
const SHOWN: [&str; 4] = ["connection", "tls", "login", "messages"];

/// A successful login.
pub(super) struct Tried {
    /// The password, if it was typed or piped in.
    pub(super) password: Option<Secret>,
    /// The number of messages on the server, if they were counted.
    pub(super) messages: Option<u64>,
    /// Whether the server lacks UIDL.
    pub(super) without_unique_ids: bool,
    /// Whether to fetch only new mail, if that was asked already.
    pub(super) only_new: Option<bool>,
    /// The tokens of a sign-in, which are stored already.
    pub(super) sign_in: Option<TokenGuard>,
}

/// The file with the tokens of a sign-in; it is removed unless it is kept.
pub(super) struct TokenGuard(Option<PathBuf>);

impl TokenGuard {
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for TokenGuard {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Best effort: tokens that nothing refers to do no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Wizard<'_> {
    /// Logs in; if the server refuses a password that was typed, asks for another one.
    pub(super) async fn try_login(
        &self,
        name: &AccountName,
        settings: &mut AccountSettings,
        stored: &StoredSecret,
        from: &MailAddress,
    ) -> Result<Tried, Ended> {
        if let SecretSource::SignIn(_) = stored.source {
            return self.try_sign_in(name, settings, from).await;
        }
        let mut piped = stored.piped.clone();
        let is_typed = stored.comes_from_here && piped.is_none();
        for tries in 1.. {
            let password = match piped.take() {
                None if is_typed => Some(self.asker.hidden("Password", "--password-stdin").await?),
                piped => piped,
            };
            let mut extended = self.extended(name, settings)?;
            if let Some(password) = &password {
                extended.account.credential = CredentialSource::Inline(password.clone());
            }
            let context = self.context(&extended)?;
            let found = check_server(&self.check_context(&context), &extended.account).await;
            let failed: Vec<&str> =
                found.steps.iter().filter(|step| step.mark == Mark::Fail).map(|step| step.step).collect();
            let without_unique_ids = failed == ["uidl"];
            self.tell_found(&found, without_unique_ids);
            let status = found.exit_status();
            if status == ExitStatus::Ok || without_unique_ids {
                let messages = found.messages;
                return Ok(Tried { password, messages, without_unique_ids, only_new: None, sign_in: None });
            }
            if !(status == ExitStatus::Auth && is_typed && tries < MOST_PASSWORDS) {
                match status == ExitStatus::Auth && self.options.username.is_none() {
                    true => stderr_sentence(format_args!("mailferry: nothing was written; {GIVE_USERNAME}")),
                    false => stderr_sentence("mailferry: nothing was written"),
                }
                return Err(Ended(status));
            }
            let read = |text: &str| Ok(text.to_owned());
            let user = settings.username.clone();
            settings.username = self.asker.ask("User name", Some(&user), "--username", read).await?;
        }
        Err(Ended(ExitStatus::Auth))
    }

    pub(super) fn check_context(&self, context: &PollContext) -> CheckContext {
        CheckContext {
            dialer: Arc::new(Dialer::new(NetLimits::default())),
            disk: Arc::clone(&context.disk),
            clock: Arc::clone(&context.clock),
            credentials: context.credentials.clone(),
            state_dir: context.state_dir.clone(),
            configured_accounts: Arc::clone(&context.configured_accounts),
        }
    }

    /// Prints what was found out about the server, and what is wrong with it.
    fn tell_found(&self, found: &AccountCheck, without_unique_ids: bool) {
        for step in &found.steps {
            let failed = step.mark == Mark::Fail && !without_unique_ids;
            let shown = SHOWN.contains(&step.step) || step.mark == Mark::Warn || self.arguments.verbose > 0;
            let line = format!("  {:4}  {:10}  {}", step.mark, step.step, step.text);
            if failed {
                stderr_wrapped(&about_server(&line), STEP);
            } else if shown && !self.arguments.quiet {
                say_wrapped(&line, STEP);
            }
        }
    }

    /// Signs in, once everything else is known: the sign-in reads the terminal to its end.
    async fn try_sign_in(
        &self,
        name: &AccountName,
        settings: &mut AccountSettings,
        from: &MailAddress,
    ) -> Result<Tried, Ended> {
        let nothing =
            Tried { password: None, messages: None, without_unique_ids: false, only_new: None, sign_in: None };
        self.delivery(name, settings, &nothing, from).await?;
        let only_new = Some(self.only_new(None).await?);
        let extended = self.extended(name, settings)?;
        let context = Arc::new(self.context(&extended)?);
        let CredentialSource::OAuth(oauth) = &extended.account.credential else { return Ok(nothing) };
        let path = store::path(&context.state_dir, name);
        // Tokens of an account that existed before are not ours to remove.
        let guard = TokenGuard((!path.exists()).then_some(path));
        let signed_in = login::sign_in(&extended.account, oauth, Arc::clone(&context), self.arguments.quiet).await;
        signed_in.map_err(|status| {
            stderr_sentence("mailferry: nothing was written");
            Ended(status)
        })?;
        Ok(Tried { only_new, sign_in: Some(guard), ..nothing })
    }
}

/// Returns everything that is on the server now.
pub(super) async fn on_server(
    tried: &Tried,
    extended: &Extended,
    context: &Arc<PollContext>,
) -> Result<Vec<Known>, Ended> {
    let mut account: Account = extended.account.clone();
    if let Some(password) = &tried.password {
        account.credential = CredentialSource::Inline(password.clone());
    }
    let failed = |e: crate::poll::PollError| {
        stderr_sentence(format_args!("mailferry: nothing was written: {e}"));
        Ended(e.exit_status())
    };
    let (shared, looked_at) = (Arc::clone(context), account.clone());
    let store = threads::blocking(move || {
        let options = crate::cli::uids::open_options(&shared);
        Store::look(Arc::clone(&shared.disk), &shared.state_dir, &looked_at, &options)
    });
    let store = store.await.map_err(|e| failed(e.doing("look at the state").into()))?.map_err(|e| failed(e.into()))?;
    let visit = Visit::begin(context, &account).await.map_err(failed)?;
    let known = visit.all(store.state());
    visit.end().await;
    Ok(known)
}
