//! `mailferry login`: signs in to an account by OAuth 2.0, and checks that the tokens open the mailbox.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::arguments::{Arguments, Login};
use super::output::stderr_line;
use super::prepare;
use super::wrapped::{say_lines, stderr_sentence};
use crate::account::{Account, CredentialSource, ForwardTo, OAuthSettings};
use crate::advice;
use crate::advice::commands::sign_in::{
    ComesBack, NoSignIn, in_a_browser, mailbox_not_opened, nothing_to_sign_in_to, on_another_device, password_would_do,
    signed_in_to_forward,
};
use crate::client::ClientError;
use crate::client::login::{CachedCapabilities, log_in};
use crate::config::{Config, Environment};
use crate::control::{Request, Response};
use crate::exit::ExitStatus;
use crate::forward::sign_in_name;
use crate::https::Http;
use crate::oauth::error::OAuthError;
use crate::oauth::sign_in::{BrowserSignIn, SignIn, other_mailbox};
use crate::oauth::store;
use crate::oauth::token_request::Granted;
use crate::oauth::tokens::Tokens;
use crate::poll::PollContext;
use crate::pop3::{Command, Status};
use crate::provider::Provider;
use crate::text::Count;
use crate::threads;

mod browser;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, login: &Login) -> ExitStatus {
    let environment = Environment::from_process();
    let prepared = prepare::configuration(arguments, &environment).and_then(|config| {
        let context = prepare::context(arguments, &environment, &config, "login")?;
        Ok((config, context))
    });
    let (config, context) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            stderr_line(super::rendered(&e));
            return ExitStatus::Config;
        }
    };
    prepare::print_warnings(&config, arguments.quiet);
    let account = match account(&config, &login.account, login.forward) {
        Ok(found) => found,
        Err((words, status)) => {
            stderr_sentence(words);
            return status;
        }
    };
    let settings = match sign_in_of(&account) {
        Ok(settings) => settings,
        Err(why) => {
            stderr_sentence(nothing_to_sign_in_to(&login.account, why));
            return ExitStatus::Config;
        }
    };
    let command =
        LoginCommand { account: &account, settings, context: Arc::new(context), login, quiet: arguments.quiet };
    match command.run().await {
        Ok(()) => {
            command.wake_daemon(arguments).await;
            ExitStatus::Ok
        }
        Err(failure) => {
            stderr_sentence(format_args!("{}: {}", account.name, failure.told(&account)));
            failure.exit_status()
        }
    }
}

/// Signs in to an account that is not in the configuration yet.
///
/// # Errors
/// The exit status; the reason has been printed.
pub(super) async fn sign_in(
    account: &Account,
    settings: &OAuthSettings,
    context: Arc<PollContext>,
    quiet: bool,
) -> Result<(), ExitStatus> {
    let login = Login { account: account.name.to_string(), paste: false, device: false, forward: false };
    let command = LoginCommand { account, settings, context, login: &login, quiet };
    command.run().await.map_err(|failure| {
        stderr_sentence(format_args!("{}: {}", account.name, failure.told(account)));
        failure.exit_status()
    })
}

/// Returns the account, or its destination in the form of an account.
fn account(config: &Config, name: &str, forward: bool) -> Result<Account, (String, ExitStatus)> {
    let found = config.select(&[name.to_owned()]).map_err(|e| (format!("mailferry: {e}"), ExitStatus::Usage))?;
    let Some(account) = found.first().copied() else { return Err((String::new(), ExitStatus::Usage)) };
    if !forward {
        return Ok(account.clone());
    }
    let to = account.forward.as_ref().map(|forward| &forward.to);
    let Some(ForwardTo::Imap(to)) = to else {
        return Err((format!("{name}: its mail is not forwarded to an IMAP server"), ExitStatus::Config));
    };
    Ok(Account {
        name: sign_in_name(&account.name),
        endpoint: Arc::new(to.endpoint.clone()),
        username: to.username.clone(),
        credential: to.credential.clone(),
        ..account.clone()
    })
}

/// Returns how the account obtains its tokens.
fn sign_in_of(account: &Account) -> Result<&OAuthSettings, NoSignIn> {
    match &account.credential {
        CredentialSource::OAuth(settings) => Ok(settings),
        CredentialSource::TokenCommand(_) => Err(NoSignIn::TokenCommand),
        _ if forward_signs_in(account) => Err(NoSignIn::OfDestination),
        _ => Err(NoSignIn::Password),
    }
}

/// Whether the destination that an account forwards to has a sign-in.
fn forward_signs_in(account: &Account) -> bool {
    match account.forward.as_ref().map(|forward| &forward.to) {
        Some(ForwardTo::Imap(to)) => matches!(to.credential, CredentialSource::OAuth(_)),
        _ => false,
    }
}

/// The running command.
struct LoginCommand<'a> {
    account: &'a Account,
    settings: &'a OAuthSettings,
    context: Arc<PollContext>,
    login: &'a Login,
    quiet: bool,
}

/// Why the command failed.
enum Failure {
    /// The sign-in failed.
    SignIn(OAuthError),
    /// The mailbox cannot be opened, although the sign-in succeeded.
    Mailbox {
        error: ClientError,
        /// Another mailbox than the intended one accepted the tokens.
        other: Option<String>,
    },
}

impl Failure {
    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::SignIn(e) => e.exit_status(),
            Self::Mailbox { error, .. } => error.exit_status(),
        }
    }
}

impl Failure {
    /// Says what happened and what to do next.
    fn told(&self, account: &Account) -> String {
        match self {
            Self::SignIn(e) => advice::told_of_sign_in(e, &account.name),
            Self::Mailbox { error, other } => {
                let error_told = advice::told_of_session(error);
                let happened = "the sign-in succeeded and was kept, but the mailbox could not be opened with it";
                let step = mailbox_not_opened(error.exit_status(), other.as_deref());
                advice::with_step(format_args!("{happened}: {error_told}"), step.as_deref())
            }
        }
    }
}

impl From<OAuthError> for Failure {
    fn from(e: OAuthError) -> Self {
        Self::SignIn(e)
    }
}

impl LoginCommand<'_> {
    async fn run(&self) -> Result<(), Failure> {
        // Before the user makes an effort: can the tokens be stored at all?
        let lock = self.lock();
        threads::blocking(lock).await.map_err(OAuthError::from)??;
        let route = self.account.endpoint.route.clone();
        let http = Http::new(Arc::clone(&self.context.dialer), self.settings.tls_ca_file.clone()).by(route);
        let prepared = SignIn::prepare(http, self.settings, &self.context.credentials).await;
        if let (true, Ok(sign_in)) = (self.login.device, &prepared) {
            sign_in.offers_device()?;
        }
        // It may help a user who has no client yet.
        self.tell_of_app_passwords();
        let sign_in = prepared?;
        let granted =
            if self.login.device { self.by_device(&sign_in).await? } else { self.by_browser(&sign_in).await? };
        let other = other_mailbox(&granted, &self.account.username);
        let tokens = sign_in.tokens(granted, &self.account.username, self.context.clock.read().wall)?;
        self.keep(tokens.clone()).await?;
        self.open_mailbox(&tokens).await.map_err(|error| Failure::Mailbox { error, other: other.clone() })?;
        if let Some(other) = other {
            let name = &self.account.name;
            stderr_sentence(format_args!("{name}: note: {other} signed in, and the mailbox accepted it"));
        }
        Ok(())
    }

    fn tell_of_app_passwords(&self) {
        let Some(provider) = Provider::of(&self.account.endpoint.host) else { return };
        if self.quiet || !provider.accepts.any_password() {
            return;
        }
        let kind = if provider.accepts.app_password { "an app password" } else { "a password" };
        say_lines(password_would_do(provider.name, kind, provider.enable));
    }

    /// Takes the lock for writing the tokens; dropping the value releases it.
    fn lock(&self) -> impl FnOnce() -> Result<store::TokenLock, OAuthError> + Send + 'static {
        let (context, account) = (Arc::clone(&self.context), self.account.name.clone());
        move || store::lock(&*context.disk, &context.state_dir, &account, &context.holder)
    }

    /// Makes the tokens durable before they are used.
    async fn keep(&self, tokens: Tokens) -> Result<(), OAuthError> {
        let lock = self.lock();
        let (context, account) = (Arc::clone(&self.context), self.account.name.clone());
        let kept = threads::blocking(move || {
            let _lock = lock()?;
            store::write(&*context.disk, &context.state_dir, &account, &tokens)
        });
        kept.await?
    }

    async fn by_device(&self, sign_in: &SignIn) -> Result<Granted, OAuthError> {
        let device = sign_in.device().await?;
        say_lines(on_another_device(
            &self.account.username,
            crate::text::value(&device.address()),
            crate::text::value(device.code()),
            Count(device.time().as_secs() / 60, "minute"),
        ));
        device.finish(sign_in.http()).await
    }

    async fn by_browser(&self, sign_in: &SignIn) -> Result<Granted, OAuthError> {
        let waiting = sign_in.browser(&self.account.username).await?;
        let remote = browser::is_remote();
        let opened = !self.login.paste && !remote && waiting.port().is_some() && browser::open(waiting.url.as_str());
        let by_hand = self.login.paste || remote || waiting.port().is_none();
        say_lines(format_args!("{}", self.instructions(&waiting, opened, by_hand)));
        let (sender, pasted) = mpsc::channel(1);
        let _reader = threads::blocking(move || read_lines(&sender));
        let name = &self.account.name;
        let on_error = |e: &OAuthError| stderr_sentence(format_args!("{name}: {}", advice::told_of_sign_in(e, name)));
        waiting.finish(pasted, self.login.paste, on_error).await
    }

    fn instructions(&self, waiting: &BrowserSignIn<'_>, opened: bool, by_hand: bool) -> String {
        let comes_back = ComesBack {
            redirect: waiting.redirect(),
            by_hand,
            paste: self.login.paste,
            port: waiting.port(),
            is_terminal: io::stdin().is_terminal(),
        };
        in_a_browser(&self.account.username, &waiting.url, opened, &comes_back)
    }

    /// Logs in to the mailbox and asks what is in it: only this shows that POP3 is enabled, and that it is the right
    /// mailbox.
    async fn open_mailbox(&self, tokens: &Tokens) -> Result<(), ClientError> {
        if self.login.forward {
            say_lines(signed_in_to_forward(&self.login.account));
            return Ok(());
        }
        let cached = CachedCapabilities::default();
        let logged_in = log_in(&*self.context.dialer, self.account, &tokens.access, &cached).await;
        let mut client = logged_in.map_err(|e| e.error)?.client;
        let response = client.exchange(Command::Stat).await?;
        if response.status != Status::Ok {
            let (provider, asked) = (Provider::of(&self.account.endpoint.host), crate::pop3::CommandKind::Stat);
            return Err(ClientError::Refused { provider, asked, response });
        }
        let messages = response.text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        // Nothing was retrieved, so QUIT cannot delete anything.
        client.quit().await?;
        if !self.quiet {
            let found =
                messages.map_or_else(|| "is open".to_owned(), |count| format!("holds {}", Count(count, "message")));
            say_lines(format_args!(
                "{}: signed in; the mailbox of {} {found}.",
                self.account.name, self.account.username
            ));
        }
        Ok(())
    }

    /// Makes a daemon that waits for this sign-in poll now.
    async fn wake_daemon(&self, arguments: &Arguments) {
        let request = Request::Poll { accounts: vec![self.login.account.clone()], often_for: None };
        if let Ok(Response::Poll { woken, .. }) = prepare::ask_daemon(arguments, &request).await
            && !woken.is_empty()
            && !self.quiet
        {
            say_lines(format_args!("{}: the daemon polls it now.", self.account.name));
        }
    }
}

/// Sends the lines of standard input until it ends or the receiver is dropped.
fn read_lines(sender: &mpsc::Sender<String>) {
    /// The longest line, in octets: an address with a code in it.
    const LONGEST: u64 = 64 * 1024;
    let mut input = io::stdin().lock();
    loop {
        let mut line = String::new();
        let read = io::Read::take(&mut input, LONGEST).read_line(&mut line);
        if !read.is_ok_and(|length| length > 0) {
            return;
        }
        if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
            return;
        }
    }
}
