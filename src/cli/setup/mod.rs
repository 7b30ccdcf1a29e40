//! `mailferry setup`: asks for what it needs, finds and tries the server, and finally writes the account, all at once.

mod asker;
mod gmail;
mod login;
mod place;
mod polled;
mod secret;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::arguments::{Arguments, Setup, Which};
use super::output::{say, stderr_line};
use super::signals::{Listener, survive_limit_on_files};
use super::wrapped::{say_sentence, stderr_sentence};
use super::{import, prepare, uids};
use crate::account::{AccountName, Route};
use crate::advice::commands::common::GIVE_CONFIG;
use crate::advice::commands::setup as advice;
use crate::config::Environment;
use crate::discovery::{Candidate, MailAddress};
use crate::exit::ExitStatus;
use crate::new_account::writing::{self, NewAccount, NewConfig, Surroundings};
use crate::new_account::{free_name, is_free};
use crate::poll::PollContext;
use crate::provider::Provider;
use crate::setup::settings::{AccountSettings, LeaveOnServer, SecretSource};
use crate::setup::target::{Extended, Target, TargetError};
use crate::text;
use crate::text::Count;
use crate::threads;
use asker::Asker;
use place::States;

/// An early end of the command; the reason has been printed.
#[derive(Debug, Clone, Copy)]
struct Ended(ExitStatus);

/// The running command.
struct Wizard<'a> {
    arguments: &'a Arguments,
    options: &'a Setup,
    environment: Environment,
    asker: Asker,
    target: Target,
    /// Whether the configuration has a Maildir for every account.
    has_maildir: bool,
    /// How servers are reached.
    route: Route,
    /// Where states are kept.
    states: States,
}

/// What the existing configuration says about an account that is not named yet.
struct Existing {
    /// Whether it has a Maildir for every account.
    has_maildir: bool,
    /// How servers are reached.
    route: Route,
    /// Where states are kept.
    states: States,
}

/// Everything needed to write the account.
struct Ready {
    extended: Extended,
    new_account: NewAccount,
    context: Arc<PollContext>,
    /// The sign-in's tokens, which are removed again if the configuration is not written.
    sign_in: Option<login::TokenGuard>,
    /// What the user has to do by hand.
    by_hand: Vec<String>,
    /// The Gmail address that mail is forwarded to.
    to_gmail: Option<String>,
}

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, options: &Setup) -> ExitStatus {
    let stop = CancellationToken::new();
    let signals = match Listener::begin(stop.clone()) {
        Ok(signals) => signals,
        Err(e) => return super::no_thread(&e),
    };
    survive_limit_on_files();
    let wizard = match Wizard::begin(arguments, options) {
        Ok(wizard) => wizard,
        Err(Ended(status)) => return status,
    };
    let prepared = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Ended(ExitStatus::Interrupted)),
        prepared = wizard.prepare() => prepared,
    };
    let ready = match (prepared, signals.status()) {
        (_, Some(status)) => {
            stderr_sentence("\nmailferry: interrupted: nothing was written");
            return status;
        }
        (Err(Ended(status)), None) => return status,
        (Ok(ready), None) => ready,
    };
    // From here on it runs to its end: after a signal, all of it is written or nothing.
    let can_ask = ready.sign_in.is_none();
    let runs = match wizard.write(ready).await {
        Ok(runs) => runs,
        Err(Ended(status)) => return status,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = wizard.offer_unit(can_ask, runs) => {}
    }
    ExitStatus::Ok
}

impl<'a> Wizard<'a> {
    fn begin(arguments: &'a Arguments, options: &'a Setup) -> Result<Self, Ended> {
        let environment = Environment::from_process();
        let Some(path) = import::configuration(arguments, &environment) else {
            stderr_sentence(format_args!("mailferry: there is no place for the configuration: {GIVE_CONFIG}"));
            return Err(Ended(ExitStatus::Config));
        };
        let target = Target::read(&path, &environment).map_err(|e| told(&e))?;
        let Existing { has_maildir, route, states } = look_at_target(arguments, options, &environment, &target)?;
        // No option can make up for this.
        if let Some(provider) = options.address.as_deref().and_then(without_pop3) {
            return Err(no_pop3(provider));
        }
        if let Some(Err(why)) = options.gmail.as_deref().map(gmail::address) {
            return Err(usage(&advice::wrong_gmail(&why)));
        }
        let asker = Asker::new();
        let wizard = Self { arguments, options, environment, asker, target, has_maildir, route, states };
        wizard.report_missing_options()?;
        Ok(wizard)
    }

    /// Without a terminal, reports all options that are missing for questions that would be asked.
    fn report_missing_options(&self) -> Result<(), Ended> {
        if self.asker.is_there {
            return Ok(());
        }
        let options = self.options;
        let wrong_address = options.address.as_deref().and_then(|text| Some((text, MailAddress::new(text).err()?)));
        let wrong_address =
            wrong_address.map(|(text, e)| format!("a mail address in place of `{}`: {e}", text::value(text)));
        let missing: Vec<&str> = [
            (options.address.is_none(), advice::ADDRESS),
            (wrong_address.is_some(), wrong_address.as_deref().unwrap_or_default()),
            (!secret::is_given(options), advice::SECRET),
            (self.wants_maildir(), advice::WHERE_TO),
            (options.gmail.is_some() && gmail::secret(options).is_none(), advice::GMAIL_SECRET),
            (options.leave_on_server.is_none(), advice::LEAVE_ON_SERVER),
            (options.messages.is_none(), advice::MESSAGES),
        ]
        .into_iter()
        .filter_map(|(is_missing, option)| is_missing.then_some(option))
        .collect();
        if missing.is_empty() { Ok(()) } else { Err(Asker::missing(&missing)) }
    }

    /// Whether it is still unknown where mail goes.
    fn wants_maildir(&self) -> bool {
        self.options.maildir.is_none() && self.options.gmail.is_none() && !self.has_maildir
    }

    /// Returns the settings of the account as far as they are known.
    fn settings(&self, server: Candidate, secret: SecretSource) -> AccountSettings {
        settings(self.options, server, secret)
    }

    /// Asks, finds and tries; writes nothing.
    async fn prepare(&self) -> Result<Ready, Ended> {
        let address = self.address().await?;
        if let Some(Err(why)) = self.options.gmail.as_deref().map(|to| gmail::is_elsewhere(&address.to_string(), to)) {
            return Err(usage(&advice::wrong_gmail(&why)));
        }
        let provider = Provider::of_address(&address.to_string());
        if let Some(provider) = without_pop3(&address.to_string()) {
            return Err(no_pop3(provider));
        }
        let name = self.name(&address, provider).await?;
        let server = self.server(&address, provider, &name).await?;
        let provider = provider.or_else(|| Provider::of(&server.host));
        self.tell_what_is_taken(provider, &server);
        let stored = self.stored(&name, provider, &server).await?;
        let mut settings = AccountSettings { provider, ..self.settings(server, stored.source.clone()) };
        if settings.maildir.is_none() && self.wants_maildir() {
            // A placeholder until the Maildir is known; nothing is written there.
            settings.maildir = Some(format!("~/Mail/{name}"));
        }
        let mut tried = self.try_login(&name, &mut settings, &stored, &address).await?;
        let only_new = match tried.only_new {
            Some(answered) => answered,
            None => {
                self.delivery(&name, &mut settings, &tried, &address).await?;
                self.only_new(tried.messages).await?
            }
        };
        let extended = self.extended(&name, &settings)?;
        let context = Arc::new(self.context(&extended)?);
        self.look_at_place(&extended, &context).await?;
        let known = if only_new { login::on_server(&tried, &extended, &context).await? } else { Vec::new() };
        let (mut secret_files, by_hand) = self.secret_files(&name, &stored, tried.password.take()).await?;
        let to_gmail = settings.gmail.as_ref().map(|gmail| gmail.address.clone());
        secret_files.extend(settings.gmail.and_then(gmail::file));
        let new_account = NewAccount { name, secret_files, known };
        Ok(Ready { extended, new_account, context, sign_in: tried.sign_in, by_hand, to_gmail })
    }

    async fn address(&self) -> Result<MailAddress, Ended> {
        let read = |text: &str| MailAddress::new(text).map_err(|e| e.to_string());
        match &self.options.address {
            Some(text) => read(text).map_err(|e| usage(&format!("`{}`: {e}", text::value(text)))),
            None => self.asker.ask("Mail address", None, "the address", read).await,
        }
    }

    /// Returns the name of the account: the user's choice, else the name of the provider or the domain.
    async fn name(&self, address: &MailAddress, provider: Option<&Provider>) -> Result<AccountName, Ended> {
        let taken = self.target.names();
        let read = |text: &str| match AccountName::new(text) {
            Ok(name) if is_free(&name, &taken) => Ok(name),
            Ok(name) => Err(format!("there is an account `{name}` already")),
            Err(e) => Err(e.to_string()),
        };
        match &self.options.name {
            None => {
                let first = address.domain().split('.').next().unwrap_or_default();
                let short = provider.map_or(first, |provider| provider.id);
                let names = [short.to_owned(), address.to_string()];
                let left = self.left_by_others(&names, address).await?;
                let taken = [taken, left].concat();
                free_name(&names, &taken).ok_or_else(|| usage(&format!("there is no free name; {}", advice::GIVE_NAME)))
            }
            Some(text) => match read(text) {
                Ok(name) => Ok(name),
                Err(why) if self.asker.is_there => {
                    say_sentence(format_args!("{why}."));
                    self.asker.ask("Name of the account", None, "--name", read).await
                }
                Err(why) => Err(usage(&format!("{why}; {}", advice::ANOTHER_NAME))),
            },
        }
    }

    /// Says which secret a provider accepts before asking for it.
    fn tell_what_is_taken(&self, provider: Option<&Provider>, server: &Candidate) {
        if self.arguments.quiet {
            return;
        }
        match provider {
            Some(provider) => say_sentence(secret::what_is_taken(provider)),
            None if server.oauth_only => {
                say_sentence(advice::OAUTH_ALONE);
            }
            None => {}
        }
    }

    /// Asks where mail goes, and whether it stays on the server.
    async fn delivery(
        &self,
        name: &AccountName,
        settings: &mut AccountSettings,
        tried: &login::Tried,
        from: &MailAddress,
    ) -> Result<(), Ended> {
        if self.wants_maildir() {
            *settings = self.ask_where_to(name, settings, from).await?;
        }
        self.ask_app_password(name, settings).await?;
        settings.leave_on_server = match &self.options.leave_on_server {
            Some(answer) => answer.clone(),
            None => {
                let asker = self.asker;
                say_sentence(
                    "Leave mail on the server after delivery? yes, no, or a time after which it is deleted, such as 14d.",
                );
                asker.ask("Leave it on the server", Some("yes"), "--leave-on-server", LeaveOnServer::new).await?
            }
        };
        if tried.without_unique_ids && settings.leave_on_server != LeaveOnServer::Delete {
            stderr_sentence(format_args!(
                "mailferry: nothing was written: this server has no UIDL, so mail that stays there would be fetched again \
                 and again; {}",
                advice::LEAVE_NONE
            ));
            return Err(Ended(ExitStatus::Protocol));
        }
        Ok(())
    }

    /// Asks whether to fetch only mail that arrives from now on; `there` is the number of messages on the server, if
    /// known.
    async fn only_new(&self, there: Option<u64>) -> Result<bool, Ended> {
        match (self.options.messages, there) {
            (Some(which), _) => Ok(which == Which::New),
            // There is nothing to choose.
            (None, Some(0)) => Ok(false),
            (None, there) => {
                let read = |answer: &str| match answer.to_ascii_lowercase().as_str() {
                    "all" => Ok(false),
                    "new" => Ok(true),
                    _ => Err("write all, or new for what arrives from now on".to_owned()),
                };
                let count = there.map_or_else(String::new, |count| {
                    format!(" of the {}", Count::of(usize::try_from(count).unwrap_or(usize::MAX), "message"))
                });
                let question = format!("Fetch all{count}, or only new mail from now on? all or new");
                self.asker.ask(&question, Some("all"), "--messages", read).await
            }
        }
    }

    fn extended(&self, name: &AccountName, settings: &AccountSettings) -> Result<Extended, Ended> {
        let extended = self.target.with(name, &settings.table()).map_err(|e| told(&e))?;
        if let Some(twin) = extended.twin() {
            let path = text::value(&self.target.path.to_string_lossy());
            stderr_sentence(format_args!(
                "mailferry: nothing was written: the account `{twin}` in {path} is this maildrop already"
            ));
            return Err(Ended(ExitStatus::Config));
        }
        Ok(extended)
    }

    fn context(&self, extended: &Extended) -> Result<PollContext, Ended> {
        context(self.arguments, &self.environment, extended)
    }

    /// Writes everything; returns whether a daemon runs that is to poll the account.
    async fn write(&self, ready: Ready) -> Result<bool, Ended> {
        let Ready { extended, new_account, context, sign_in, by_hand, to_gmail } = ready;
        let (path, state_dir) = (self.target.path.clone(), context.state_dir.clone());
        let name = new_account.name.clone();
        let files: Vec<PathBuf> = new_account.secret_files.iter().map(|(path, _)| path.clone()).collect();
        let written = threads::blocking(move || {
            let surroundings = Surroundings {
                disk: Arc::clone(&context.disk),
                state_dir: &context.state_dir,
                open_options: Box::new(|| uids::open_options(&context)),
            };
            let new = NewConfig { path: &path, text: &extended.text, config: &extended.config };
            writing::write(&new, &[new_account], &surroundings)
        });
        let adopted = match written.await {
            Ok(Ok(counts)) => counts.into_iter().sum::<usize>(),
            Ok(Err(e)) => return Err(Ended(import::not_written(&e))),
            Err(e) => {
                stderr_sentence(format_args!("mailferry: nothing was written: {}", std::io::Error::from(e)));
                return Err(Ended(ExitStatus::Temporary));
            }
        };
        if let Some(guard) = sign_in {
            guard.keep();
        }
        if !self.arguments.quiet {
            self.tell_end(&name, adopted, &files, &by_hand);
            if let Some(to) = to_gmail {
                say(advice::see_gmail(text::value(&to), &name));
            }
        }
        Ok(self.tell_how_it_is_polled(&name, &state_dir).await)
    }

    fn tell_end(&self, name: &AccountName, adopted: usize, files: &[PathBuf], by_hand: &[String]) {
        let shown = |path: &Path| text::value(&path.to_string_lossy());
        say_sentence(format_args!("\nThe account `{name}` is in {}.", shown(&self.target.path)));
        files.iter().for_each(|file| say_sentence(format_args!("Made {}, which only you can read.", shown(file))));
        if adopted > 0 {
            say_sentence(format_args!("{} on the server will not be fetched.", Count::of(adopted, "message")));
        }
        by_hand.iter().for_each(say_sentence);
        say_sentence(advice::fetch_now(name));
    }
}

/// Checks the existing configuration and the options that go into it before anything is asked.
fn look_at_target(
    arguments: &Arguments,
    options: &Setup,
    environment: &Environment,
    target: &Target,
) -> Result<Existing, Ended> {
    let name = free_name(&["new".to_owned()], &target.names()).ok_or(Ended(ExitStatus::Config))?;
    let secret = SecretSource::Credential("x".to_owned());
    let settings = AccountSettings { maildir: None, ..settings(options, server::placeholder(), secret) };
    let has_maildir = target.with(&name, &settings.table()).is_ok();
    let settings = AccountSettings { maildir: Some("/maildir".to_owned()), ..settings };
    let extended = target.with(&name, &settings.table()).map_err(|e| told(&e))?;
    let PollContext { disk, state_dir, .. } = context(arguments, environment, &extended)?;
    let route = extended.account.endpoint.route.clone();
    Ok(Existing { has_maildir, route, states: States { disk, state_dir } })
}

/// Returns the settings of the account as far as the options give them.
fn settings(options: &Setup, server: Candidate, secret: SecretSource) -> AccountSettings {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    AccountSettings {
        username: options.username.clone().unwrap_or_else(|| server.username.clone()),
        server,
        provider: None,
        secret,
        maildir: options.maildir.clone(),
        gmail: gmail::given(options),
        leave_on_server: options.leave_on_server.clone().unwrap_or(LeaveOnServer::Stay),
        proxy: options.proxy.clone(),
        tls_ca_file: options.tls_ca_file.as_ref().map(absolute),
    }
}

fn context(arguments: &Arguments, environment: &Environment, extended: &Extended) -> Result<PollContext, Ended> {
    prepare::context(arguments, environment, &extended.config, "setup").map_err(|e| {
        stderr_line(super::rendered(&e));
        Ended(ExitStatus::Config)
    })
}

/// Reports why nothing can be added to the configuration.
fn told(error: &TargetError) -> Ended {
    match error {
        TargetError::Config(e) => {
            stderr_line(super::rendered(e));
            stderr_sentence("mailferry: nothing was written");
        }
        TargetError::Account(e) => {
            // The user has not seen these lines: they come from the options.
            e.sentences()
                .iter()
                .for_each(|words| stderr_sentence(format_args!("mailferry: {}", advice::about_account(words))));
            stderr_line("mailferry: nothing was written");
        }
        TargetError::CannotAdd(e) => stderr_sentence(format_args!("mailferry: nothing was written: {e}")),
    }
    Ended(ExitStatus::Config)
}

fn usage(words: &str) -> Ended {
    stderr_sentence(format_args!("mailferry: nothing was written: {words}"));
    Ended(ExitStatus::Usage)
}

/// Returns the provider of an address, if it has no POP3.
fn without_pop3(address: &str) -> Option<&'static Provider> {
    Provider::of_address(address).filter(|provider| provider.no_pop3)
}

fn no_pop3(provider: &Provider) -> Ended {
    let note = provider.note.map(|note| format!(": {note}")).unwrap_or_default();
    stderr_sentence(format_args!("mailferry: nothing was written: {} has no POP3{note}", provider.name));
    Ended(ExitStatus::Config)
}
