//! Mail that goes on to Gmail, in place of a Maildir on this machine.

use std::path::PathBuf;

use super::secret::as_line;
use super::{Ended, Wizard};
use crate::account::AccountName;
use crate::cli::arguments::Setup;
use crate::cli::wrapped::say_sentence;
use crate::discovery::MailAddress;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::setup::settings::{AccountSettings, GmailMailbox, SecretSource, command_words};

/// The options that say where the app password comes from.
pub(super) const SECRET: &str = "--gmail-password-file or --gmail-password-command";

/// The mailbox that the command line names.
pub(super) fn given(options: &Setup) -> Option<GmailMailbox> {
    let address = options.gmail.clone()?;
    Some(GmailMailbox { address, secret: secret(options), typed: None })
}

/// Where the command line says that its app password comes from.
pub(super) fn secret(options: &Setup) -> Option<SecretSource> {
    if let Some(file) = &options.gmail_password_file {
        return Some(SecretSource::File(std::path::absolute(file).unwrap_or_else(|_| file.clone())));
    }
    options.gmail_password_command.as_deref().map(|line| SecretSource::Command(command_words(line)))
}

/// The file that keeps an app password that was typed.
pub(super) fn file(gmail: GmailMailbox) -> Option<(PathBuf, Secret)> {
    match (gmail.secret, gmail.typed) {
        (Some(SecretSource::File(path)), Some(typed)) => Some((path, as_line(&typed))),
        _ => None,
    }
}

/// An address as it may stand for a mailbox at Gmail: of Gmail itself, or of a domain that may be at Google.
pub(super) fn address(text: &str) -> Result<MailAddress, String> {
    let address = MailAddress::new(text).map_err(|e| e.to_string())?;
    match Provider::of_address(&address.to_string()).filter(|provider| !["gmail", "gworkspace"].contains(&provider.id))
    {
        Some(provider) => Err(format!(
            "that is an address at {}, and mail goes on to Gmail here; for others see docs/forwarding.md",
            provider.name
        )),
        None => Ok(address),
    }
}

impl Wizard<'_> {
    /// Where mail goes: a Maildir, or an address at Gmail.
    pub(super) async fn ask_where_to(
        &self,
        name: &AccountName,
        settings: &AccountSettings,
    ) -> Result<AccountSettings, Ended> {
        say_sentence("Mail goes into a Maildir on this machine. To have it in Gmail instead, write the Gmail address.");
        let read = |text: &str| {
            let with = match MailAddress::new(text) {
                Ok(_) if !text.contains('/') => {
                    let gmail = GmailMailbox { address: address(text)?.to_string(), secret: None, typed: None };
                    AccountSettings { gmail: Some(gmail), maildir: None, ..settings.clone() }
                }
                _ => AccountSettings { maildir: Some(text.to_owned()), ..settings.clone() },
            };
            self.target.with(name, &with.table()).map(|_| with).map_err(|e| e.in_short())
        };
        self.asker.ask("Maildir", Some(&format!("~/Mail/{name}")), "--maildir", read).await
    }

    /// Asks for the app password, unless it is known where that comes from.
    pub(super) async fn ask_app_password(
        &self,
        name: &AccountName,
        settings: &mut AccountSettings,
    ) -> Result<(), Ended> {
        let Some(gmail) = settings.gmail.as_mut().filter(|gmail| gmail.secret.is_none()) else { return Ok(()) };
        say_sentence(
            "Gmail wants an app password of 16 letters. Make one at: https://myaccount.google.com/apppasswords",
        );
        gmail.typed = Some(self.asker.hidden("App password", SECRET).await?);
        gmail.secret = Some(SecretSource::File(self.free_file(name, "gmail-password")));
        Ok(())
    }
}
