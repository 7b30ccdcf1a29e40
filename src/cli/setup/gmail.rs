//! Forwarding to Gmail, instead of a Maildir on this machine.

use std::path::PathBuf;

use super::secret::as_line;
use super::{Ended, Wizard, usage};
use crate::account::AccountName;
use crate::advice::commands::setup as advice;
use crate::cli::arguments::Setup;
use crate::cli::wrapped::say_sentence;
use crate::discovery::MailAddress;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::setup::settings::{AccountSettings, GmailMailbox, SecretSource, command_words};
use crate::text::{self, Count};

/// Returns the mailbox given on the command line.
pub(super) fn given(options: &Setup) -> Option<GmailMailbox> {
    let address = options.gmail.clone()?;
    Some(GmailMailbox { address, secret: secret(options), typed: None })
}

/// Returns the source of its app password given on the command line.
pub(super) fn secret(options: &Setup) -> Option<SecretSource> {
    if let Some(file) = &options.gmail_password_file {
        return Some(SecretSource::File(std::path::absolute(file).unwrap_or_else(|_| file.clone())));
    }
    options.gmail_password_command.as_deref().map(|line| SecretSource::Command(command_words(line)))
}

/// Returns the file for an app password that was typed, with its contents.
pub(super) fn file(gmail: GmailMailbox) -> Option<(PathBuf, Secret)> {
    match (gmail.secret, gmail.typed) {
        (Some(SecretSource::File(path)), Some(typed)) => Some((path, as_line(&typed))),
        _ => None,
    }
}

/// The number of letters in an app password.
const LETTERS: usize = 16;

/// How often to ask again for an app password that cannot be one.
const MOST_TRIES: u32 = 10;

/// Checks that this can be an app password; blanks between the letters do not count.
fn app_password(typed: &Secret) -> Result<(), String> {
    let letters = typed.expose().iter().filter(|byte| !byte.is_ascii_whitespace());
    let is_letter = |byte: &&u8| byte.is_ascii_alphabetic();
    let (count, others) = (letters.clone().filter(is_letter).count(), letters.filter(|byte| !is_letter(byte)).count());
    if (count, others) == (LETTERS, 0) {
        return Ok(());
    }
    let what = if others > 0 {
        "something else than letters in it".to_owned()
    } else {
        Count::of(count, "letter").to_string()
    };
    Err(format!("an app password has {LETTERS} letters and nothing else, and this one has {what}"))
}

/// Refuses to forward mail to the address that it is fetched from: it would loop for ever.
pub(super) fn is_elsewhere(from: &str, to: &str) -> Result<(), String> {
    if from.eq_ignore_ascii_case(to) {
        return Err("that is the address that the mail comes from".to_owned());
    }
    Ok(())
}

/// Parses the address of a mailbox at Gmail: at Gmail itself, or in a domain that Google may host.
pub(super) fn address(text: &str) -> Result<MailAddress, String> {
    let address = MailAddress::new(text).map_err(|e| e.to_string())?;
    if !address.domain().contains('.') {
        return Err(format!(
            "the address is not whole: {} is no domain in the internet",
            text::value(address.domain())
        ));
    }
    match Provider::of_address(&address.to_string()).filter(|provider| !["gmail", "gworkspace"].contains(&provider.id))
    {
        Some(provider) => Err(format!(
            "that is an address at {}, and mail goes on to Gmail here; {}",
            provider.name,
            advice::OTHER_DESTINATIONS
        )),
        None => Ok(address),
    }
}

impl Wizard<'_> {
    /// Asks where mail goes: to a Maildir, or to an address at Gmail.
    pub(super) async fn ask_where_to(
        &self,
        name: &AccountName,
        settings: &AccountSettings,
        from: &MailAddress,
    ) -> Result<AccountSettings, Ended> {
        say_sentence("Mail goes into a Maildir on this machine. To have it in Gmail instead, write the Gmail address.");
        let read = |text: &str| {
            let with = match MailAddress::new(text) {
                Ok(_) if !text.contains('/') => {
                    let to = address(text)?.to_string();
                    is_elsewhere(&from.to_string(), &to)?;
                    let gmail = GmailMailbox { address: to, secret: None, typed: None };
                    AccountSettings { gmail: Some(gmail), maildir: None, ..settings.clone() }
                }
                _ => AccountSettings { maildir: Some(text.to_owned()), ..settings.clone() },
            };
            self.target.with(name, &with.table()).map(|_| with).map_err(|e| e.in_short())
        };
        self.asker.ask("Maildir", Some(&format!("~/Mail/{name}")), "--maildir", read).await
    }

    /// Asks for the app password, unless its source is known.
    pub(super) async fn ask_app_password(
        &self,
        name: &AccountName,
        settings: &mut AccountSettings,
    ) -> Result<(), Ended> {
        let Some(gmail) = settings.gmail.as_mut().filter(|gmail| gmail.secret.is_none()) else { return Ok(()) };
        say_sentence(advice::APP_PASSWORD);
        for _ in 0..MOST_TRIES {
            let typed = self.asker.hidden("App password", advice::GMAIL_SECRET).await?;
            match app_password(&typed) {
                Ok(()) => {
                    gmail.typed = Some(typed);
                    gmail.secret = Some(SecretSource::File(self.free_file(name, "gmail-password")));
                    return Ok(());
                }
                Err(why) => say_sentence(format_args!("  {why}")),
            }
        }
        Err(usage("none of what was typed is an app password"))
    }
}

#[cfg(test)]
mod tests {
    use super::{address, app_password, is_elsewhere};
    use crate::secret::Secret;

    #[test]
    fn an_app_password_has_sixteen_letters_and_blanks_do_not_count() {
        let judge = |typed: &str| app_password(&Secret::new(typed.as_bytes().to_vec()));
        for typed in ["abcdefghijklmnop", "abcd efgh ijkl mnop", " abcd efgh ijkl mnop "] {
            assert_eq!(judge(typed), Ok(()), "{typed}");
        }
        for (typed, said) in [
            ("abcd efgh ijkl mno", "15 letters"),
            ("abcdefghijklmnopq", "17 letters"),
            ("hunter2 hunter2 hu", "something"),
        ] {
            assert!(judge(typed).unwrap_err().contains(said), "{typed}");
        }
    }

    #[test]
    fn mail_goes_on_to_a_whole_address_that_is_another_one() {
        for (text, is_good) in
            [("me@gmail.com", true), ("me@firm.example", true), ("me@gmail", false), ("me@localhost", false)]
        {
            assert_eq!(address(text).is_ok(), is_good, "{text}");
        }
        assert!(is_elsewhere("me@firm.example", "Me@Firm.example").is_err());
        assert!(is_elsewhere("me@firm.example", "you@firm.example").is_ok());
    }
}
