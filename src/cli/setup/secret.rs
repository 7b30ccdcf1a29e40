//! Where the secret comes from and where it is stored.

use std::path::{Path, PathBuf};

use super::asker::secret_line;
use super::{Ended, Wizard, usage};
use crate::account::AccountName;
use crate::account::preset::Preset;
use crate::advice::commands::setup as advice;
use crate::cli::arguments::Setup;
use crate::cli::wrapped::{say_sentence, stderr_sentence};
use crate::credential::{CredentialEnvironment, is_credential_name};
use crate::discovery::Candidate;
use crate::exit::ExitStatus;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::setup::sealed::{CredentialPlaces, encrypt, why_not};
use crate::setup::settings::{SecretSource, SignInClient, command_words};
use crate::text;
use crate::threads;

/// Where the secret is stored, and what setup has to do about it.
#[derive(Debug)]
pub(super) struct StoredSecret {
    /// The source that the account names.
    pub(super) source: SecretSource,
    /// Whether the password is typed or piped in, and setup stores it there.
    pub(super) comes_from_here: bool,
    /// The password, if it was read from standard input.
    pub(super) piped: Option<Secret>,
}

impl StoredSecret {
    fn elsewhere(source: SecretSource) -> Self {
        Self { source, comes_from_here: false, piped: None }
    }

    fn here(source: SecretSource) -> Self {
        Self { comes_from_here: true, ..Self::elsewhere(source) }
    }
}

/// Whether the command line says where the secret is.
pub(super) fn is_given(options: &Setup) -> bool {
    options.password_stdin
        || options.password_command.is_some()
        || options.password_file.is_some()
        || options.password_credential.is_some()
        || options.sign_in
}

/// Says which secret a provider accepts, and where the user enables it.
pub(super) fn what_is_taken(provider: &Provider) -> String {
    let accepts = provider.accepts;
    let mut ways = Vec::new();
    if accepts.password {
        ways.push("the mailbox password");
    }
    if accepts.app_password {
        ways.push("an app password");
    }
    if accepts.authorization_code {
        ways.push("an authorization code (授权码)");
    }
    if accepts.oauth {
        ways.push("OAuth 2.0");
    }
    let mut words = if ways.is_empty() {
        String::new()
    } else {
        let not = if accepts.password { "" } else { ", not your website password" };
        format!("{} accepts {}{not}.", provider.name, ways.join(" or "))
    };
    if let Some(enable) = provider.enable {
        words.push_str(&format!(" POP3 is switched on at: {enable}."));
    }
    words.trim_start().to_owned()
}

impl Wizard<'_> {
    /// Decides where the secret is stored.
    pub(super) async fn stored(
        &self,
        name: &AccountName,
        provider: Option<&'static Provider>,
        server: &Candidate,
    ) -> Result<StoredSecret, Ended> {
        let options = self.options;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut stored = if let Some(file) = &options.password_file {
            StoredSecret::elsewhere(SecretSource::File(absolute(file)))
        } else if let Some(line) = &options.password_command {
            StoredSecret::elsewhere(SecretSource::Command(command_words(line)))
        } else if let Some(credential) = &options.password_credential {
            credential_of(credential, options.password_stdin)?
        } else if options.sign_in {
            self.sign_in_client(provider).await?
        } else if options.password_stdin {
            StoredSecret::here(SecretSource::File(self.free_file(name, "password")))
        } else {
            self.ask_where(name, provider, server).await?
        };
        if let (SecretSource::Credential(credential), true) = (&stored.source, stored.comes_from_here)
            && let Some(why) = self.why_not_sealed(name).await
        {
            stderr_sentence(format_args!(
                "mailferry: nothing was written: systemd cannot keep `{credential}`: {why}; {}",
                advice::ANOTHER_WAY
            ));
            return Err(Ended(ExitStatus::Local));
        }
        if options.password_stdin {
            stored.piped = Some(secret_line().await?);
        }
        Ok(stored)
    }

    async fn ask_where(
        &self,
        name: &AccountName,
        provider: Option<&'static Provider>,
        server: &Candidate,
    ) -> Result<StoredSecret, Ended> {
        let takes_password = provider.map_or(!server.oauth_only, |provider| provider.accepts.any_password());
        let takes_oauth = provider.is_some_and(|provider| provider.oauth.is_some());
        if !takes_password && takes_oauth {
            return self.sign_in_client(provider).await;
        }
        say_sentence("\nWhere does the password come from?");
        say_sentence("  1  you type it now, and it is kept in a file that only you can read");
        say_sentence("  2  a command prints it: pass, secret-tool, bw ...");
        let no_systemd = self.why_not_sealed(name).await;
        match &no_systemd {
            None => say_sentence("  3  you type it now, and systemd keeps it, encrypted, for the service alone"),
            Some(why) => say_sentence(format_args!("  -  (systemd cannot keep it: {why})")),
        }
        if takes_oauth {
            say_sentence("  4  no password: sign in by OAuth 2.0, in a browser");
        }
        let read = |answer: &str| match answer {
            "1" | "2" => Ok(answer.to_owned()),
            "3" => no_systemd
                .as_ref()
                .map_or_else(|| Ok(answer.to_owned()), |why| Err(format!("{why}; {}", advice::ONE_OR_TWO))),
            "4" if takes_oauth => Ok(answer.to_owned()),
            _ => Err("write one of the numbers".to_owned()),
        };
        match self.asker.ask("Number", Some("1"), "--password-stdin", read).await?.as_str() {
            "2" => {
                let read = |line: &str| Ok(command_words(line));
                let words = self.asker.ask("Command", None, "--password-command", read).await?;
                Ok(StoredSecret::elsewhere(SecretSource::Command(words)))
            }
            "3" => Ok(StoredSecret::here(SecretSource::Credential(name.to_string()))),
            "4" => self.sign_in_client(provider).await,
            _ => Ok(StoredSecret::here(SecretSource::File(self.free_file(name, "password")))),
        }
    }

    /// Says why systemd cannot store the password of an account of this name, if it cannot.
    async fn why_not_sealed(&self, name: &AccountName) -> Option<String> {
        let environment = &self.environment;
        let home = environment.config_home.as_deref()?;
        let of_user = CredentialPlaces::of(name.as_str(), &self.target.path, &environment.etc, home).of_user;
        threads::blocking(move || why_not(of_user)).await.ok().flatten()
    }

    /// Returns the OAuth client to sign in with: the user's own, unless the provider has one that registers itself.
    async fn sign_in_client(&self, provider: Option<&'static Provider>) -> Result<StoredSecret, Ended> {
        let preset = provider.and_then(|provider| provider.oauth).and_then(Preset::named);
        let Some(preset) = preset else {
            return Err(usage(&format!("nothing is known of a sign-in at this provider; {}", advice::BY_HAND)));
        };
        let options = self.options;
        let mut client = SignInClient {
            client_id: options.client_id.clone(),
            client_secret_file: options.client_secret_file.as_ref().and_then(|path| std::path::absolute(path).ok()),
            tenant: options.tenant.clone(),
        };
        if client.client_id.is_none() && preset.registers_at.is_none() {
            if self.asker.is_there {
                say_sentence(format_args!(
                    "{} requires your own registered client: {}.",
                    preset.name, preset.registration
                ));
            }
            let read = |text: &str| Ok(text.to_owned());
            client.client_id = Some(self.asker.ask("Client ID", None, "--client-id", read).await?);
        }
        if preset.has_tenants() && client.tenant.is_none() && provider.is_some_and(|one| one.id == "outlook") {
            client.tenant = Some("consumers".to_owned());
        }
        Ok(StoredSecret::elsewhere(SecretSource::SignIn(client)))
    }

    /// Returns a file name beside the configuration that is still free.
    pub(super) fn free_file(&self, name: &AccountName, what: &str) -> PathBuf {
        let names = (1_u32..1000).map(|n| if n == 1 { format!("{name}.{what}") } else { format!("{name}-{n}.{what}") });
        let mut paths = names.map(|file| self.target.path.with_file_name(file));
        let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
        paths.find(is_free).unwrap_or_else(|| self.target.path.with_file_name(format!("{name}.new.{what}")))
    }

    /// Returns the files to write for the secret, and what to tell the user about them.
    pub(super) async fn secret_files(
        &self,
        name: &AccountName,
        stored: &StoredSecret,
        password: Option<Secret>,
    ) -> Result<(Vec<(PathBuf, Secret)>, Vec<String>), Ended> {
        let Some(password) = password.filter(|_| stored.comes_from_here) else { return Ok((Vec::new(), Vec::new())) };
        match &stored.source {
            SecretSource::File(path) => Ok((vec![(path.clone(), as_line(&password))], Vec::new())),
            SecretSource::Credential(credential) => self.sealed(name, credential, password).await,
            SecretSource::Command(_) | SecretSource::SignIn(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    async fn sealed(
        &self,
        name: &AccountName,
        credential: &str,
        password: Secret,
    ) -> Result<(Vec<(PathBuf, Secret)>, Vec<String>), Ended> {
        let environment = &self.environment;
        let Some(home) = &environment.config_home else { return Err(usage("there is no home directory")) };
        let places = CredentialPlaces::of(credential, &self.target.path, &environment.etc, home);
        let (word, of_user) = (credential.to_owned(), places.of_user);
        let encrypted = threads::blocking(move || encrypt(&word, &password, of_user)).await;
        let encrypted = encrypted.unwrap_or_else(|e| Err(std::io::Error::from(e).to_string())).map_err(|why| {
            stderr_sentence(format_args!("mailferry: nothing was written: {why}"));
            Ended(ExitStatus::Local)
        })?;
        let by_hand = advice::read_by_systemd(name, of_user);
        let drop_in = places.drop_in_text(credential).into_bytes();
        let files = vec![(places.credential, Secret::new(encrypted)), (places.drop_in, Secret::new(drop_in))];
        Ok((files, vec![by_hand]))
    }
}

/// Returns a password in the form in which it is written to a file.
pub(super) fn as_line(password: &Secret) -> Secret {
    let mut contents = Vec::with_capacity(password.expose().len() + 1);
    contents.extend_from_slice(password.expose());
    contents.push(b'\n');
    Secret::new(contents)
}

/// Returns a systemd credential: one that was passed to this process exists already, any other is made from the
/// password.
fn credential_of(name: &str, is_piped: bool) -> Result<StoredSecret, Ended> {
    if !is_credential_name(name) {
        return Err(usage(&format!("`{}` cannot be the name of a credential", text::value(name))));
    }
    let source = SecretSource::Credential(name.to_owned());
    let given = CredentialEnvironment::from_process().credentials_directory;
    let is_there = given.is_some_and(|dir| dir.join(name).exists());
    Ok(if is_there && !is_piped { StoredSecret::elsewhere(source) } else { StoredSecret::here(source) })
}
