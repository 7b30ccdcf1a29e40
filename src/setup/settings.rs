//! The settings of a new account, and its table. PURE.

use std::path::{Path, PathBuf};

use toml_edit::{Array, InlineTable, Item, Table, Value, value};

use crate::account::TlsMode;
use crate::config::{AGE_LEAST, AGE_MOST, duration_in_words};
use crate::discovery::{Candidate, Source};
use crate::provider::Provider;
use crate::secret::Secret;

/// A new account.
#[derive(Debug, Clone)]
pub(crate) struct AccountSettings {
    /// Its server.
    pub server: Candidate,
    /// The provider to which the server belongs, if it is in the table.
    pub provider: Option<&'static Provider>,
    /// The name to log in with.
    pub username: String,
    /// Where its secret comes from.
    pub secret: SecretSource,
    /// The Maildir. None: the one in `[defaults]`.
    pub maildir: Option<String>,
    /// The Gmail mailbox to which mail is forwarded, in place of a Maildir.
    pub gmail: Option<GmailMailbox>,
    /// What happens to delivered messages.
    pub leave_on_server: LeaveOnServer,
    /// The proxy, as in the configuration.
    pub proxy: Option<String>,
    /// The file of certificate authorities, absolute.
    pub tls_ca_file: Option<PathBuf>,
}

/// A mailbox at Gmail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GmailMailbox {
    /// The address, which is also the name to log in with.
    pub address: String,
    /// The source of its app password. None: not known yet.
    pub secret: Option<SecretSource>,
    /// The app password, if it was typed in and has not been stored yet.
    pub typed: Option<Secret>,
}

/// The source of a new account's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A command, as words.
    Command(Vec<String>),
    /// A systemd credential of this name.
    Credential(String),
    /// An OAuth 2.0 sign-in.
    SignIn(SignInClient),
}

/// The OAuth 2.0 client that signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SignInClient {
    /// The client identifier. None: the client registers itself, or none is available.
    pub client_id: Option<String>,
    /// The file with the client secret, absolute.
    pub client_secret_file: Option<PathBuf>,
    /// The directory (tenant) of a Microsoft account.
    pub tenant: Option<String>,
}

/// Gmail's IMAP server.
const GMAIL: &str = "imap.gmail.com";

/// What happens to delivered messages on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeaveOnServer {
    /// They stay.
    Stay,
    /// They are deleted at once.
    Delete,
    /// They are deleted after this time, written as in the configuration.
    DeleteAfter(String),
}

/// The error for a text that does not say what happens to delivered messages.
const LEAVE_ON_SERVER: &str = "write yes, no, or after how long it is deleted, such as 14d";

impl LeaveOnServer {
    /// Reads `yes`, `no` or a time.
    ///
    /// # Errors
    /// [`LEAVE_ON_SERVER`], or what the rules of the configuration say is wrong with a time.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "y" | "true" => Ok(Self::Stay),
            "no" | "n" | "false" => Ok(Self::Delete),
            time => {
                let read = duration_in_words(time, AGE_LEAST, AGE_MOST, "14d");
                let is_word = !time.contains(|c: char| c.is_ascii_digit());
                let explained = |wrong: String| if is_word { LEAVE_ON_SERVER.to_owned() } else { wrong };
                read.map(|_| Self::DeleteAfter(time.to_owned())).map_err(explained)
            }
        }
    }
}

/// Returns the words of a command line: split at whitespace if it has no shell metacharacters, otherwise an invocation
/// of `sh`.
#[must_use]
pub(crate) fn command_words(line: &str) -> Vec<String> {
    let is_special = |c: char| "\"'\\$`|&;<>()*?[]#~{}!".contains(c);
    if line.contains(is_special) {
        return vec!["sh".to_owned(), "-c".to_owned(), line.trim().to_owned()];
    }
    line.split_whitespace().map(str::to_owned).collect()
}

impl AccountSettings {
    /// Returns the account's table.
    #[must_use]
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        let text = |path: &Path| value(path.to_string_lossy().as_ref());
        match self.provider.filter(|_| self.server.source == Source::Table) {
            Some(provider) => _ = table.insert("provider", value(provider.id)),
            None => self.server_keys(&mut table),
        }
        if let Some(file) = &self.tls_ca_file {
            table.insert("tls_ca_file", text(file));
        }
        if let Some(proxy) = &self.proxy {
            table.insert("proxy", value(proxy.as_str()));
        }
        table.insert("username", value(self.username.as_str()));
        let (key, secret) = self.secret.key();
        table.insert(key, Item::Value(secret));
        match (&self.gmail, &self.maildir) {
            (Some(gmail), _) => _ = table.insert("forward", value(gmail.forward())),
            (None, Some(maildir)) => _ = table.insert("maildir", value(maildir.as_str())),
            (None, None) => {}
        }
        table.insert(
            "leave_on_server",
            match &self.leave_on_server {
                LeaveOnServer::Stay => value(true),
                LeaveOnServer::Delete => value(false),
                LeaveOnServer::DeleteAfter(time) => value(time.as_str()),
            },
        );
        table
    }

    fn server_keys(&self, table: &mut Table) {
        table.insert("host", value(self.server.host.as_str()));
        let usual = if self.server.tls == TlsMode::StartTls { 110 } else { 995 };
        if self.server.port != usual {
            table.insert("port", value(i64::from(self.server.port)));
        }
        if self.server.tls == TlsMode::StartTls {
            table.insert("tls", value("starttls"));
        } else if self.server.port == 110 {
            table.insert("tls", value("implicit"));
        }
    }
}

impl SecretSource {
    /// Returns the key for this source, and its value.
    fn key(&self) -> (&'static str, Value) {
        match self {
            Self::File(path) => ("password_file", path.to_string_lossy().as_ref().into()),
            Self::Command(words) => ("password_command", words.iter().collect::<Array>().into()),
            Self::Credential(name) => ("password_credential", name.as_str().into()),
            Self::SignIn(client) => ("oauth2", client.table().into()),
        }
    }
}

impl GmailMailbox {
    /// Returns the table `forward`.
    fn forward(&self) -> InlineTable {
        let mut imap = InlineTable::new();
        imap.insert("host", GMAIL.into());
        imap.insert("username", self.address.as_str().into());
        // A placeholder: nothing is written before the secret is known.
        let unknown = SecretSource::Credential("x".to_owned());
        let (key, secret) = self.secret.as_ref().unwrap_or(&unknown).key();
        imap.insert(key, secret);
        let mut forward = InlineTable::new();
        forward.insert("imap", imap.into());
        forward
    }
}

impl SignInClient {
    fn table(&self) -> InlineTable {
        let mut table = InlineTable::new();
        let secret_file = self.client_secret_file.as_ref().map(|path| path.to_string_lossy().into_owned());
        for (key, text) in
            [("client_id", &self.client_id), ("client_secret_file", &secret_file), ("tenant", &self.tenant)]
        {
            if let Some(text) = text {
                table.insert(key, text.as_str().into());
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::MailAddress;

    fn settings(server: Candidate) -> AccountSettings {
        AccountSettings {
            username: server.username.clone(),
            server,
            provider: None,
            secret: SecretSource::Command(vec!["pass".to_owned(), "x".to_owned()]),
            maildir: Some("~/Mail/x".to_owned()),
            gmail: None,
            leave_on_server: LeaveOnServer::Stay,
            proxy: None,
            tls_ca_file: None,
        }
    }

    fn candidate(port: u16, tls: TlsMode, source: Source) -> Candidate {
        let (host, username) = ("pop.example.org".to_owned(), "jo".to_owned());
        Candidate { host, port, tls, username, oauth_only: false, source }
    }

    #[test]
    fn a_table_says_no_more_than_it_has_to() {
        let text = |port, tls| settings(candidate(port, tls, Source::Srv)).table().to_string();
        assert_eq!(
            text(995, TlsMode::Implicit),
            "host = \"pop.example.org\"\nusername = \"jo\"\npassword_command = [\"pass\", \"x\"]\nmaildir = \"~/Mail/x\"\n\
             leave_on_server = true\n"
        );
        assert!(text(110, TlsMode::StartTls).contains("\ntls = \"starttls\"\n"));
        assert!(!text(110, TlsMode::StartTls).contains("port"));
        assert!(text(110, TlsMode::Implicit).contains("\nport = 110\ntls = \"implicit\"\n"));
        assert!(text(2995, TlsMode::Implicit).contains("\nport = 2995\nusername"));
    }

    #[test]
    fn mail_for_gmail_has_a_forward_in_place_of_a_maildir() {
        let secret = Some(SecretSource::File(PathBuf::from("/c/x.gmail-password")));
        let gmail = Some(GmailMailbox { address: "me@gmail.com".to_owned(), secret, typed: None });
        let settings = AccountSettings { gmail, ..settings(candidate(995, TlsMode::Implicit, Source::Srv)) };
        let text = settings.table().to_string();
        let forward = "forward = { imap = { host = \"imap.gmail.com\", username = \"me@gmail.com\", password_file = \
                       \"/c/x.gmail-password\" } }\n";
        assert!(text.contains(forward) && !text.contains("maildir"), "{text}");
    }

    #[test]
    fn a_provider_of_the_table_is_named() {
        let provider = Provider::of_address("jo@outlook.com").unwrap();
        let address = MailAddress::new("jo@outlook.com").unwrap();
        let server = crate::discovery::search::in_table(provider, &address).unwrap();
        let secret = SecretSource::SignIn(SignInClient { client_id: Some("c".to_owned()), ..SignInClient::default() });
        let settings = AccountSettings { provider: Some(provider), secret, ..settings(server) };
        let text = settings.table().to_string();
        assert!(text.starts_with("provider = \"outlook\"\nusername = \"jo@outlook.com\"\n"), "{text}");
        assert!(text.contains("oauth2 = { client_id = \"c\" }\n") && !text.contains("host"), "{text}");
    }

    #[test]
    fn what_happens_on_the_server_is_read() {
        for (text, expected) in [
            ("yes", LeaveOnServer::Stay),
            (" TRUE", LeaveOnServer::Stay),
            ("no", LeaveOnServer::Delete),
            ("14d", LeaveOnServer::DeleteAfter("14d".to_owned())),
        ] {
            assert_eq!(LeaveOnServer::new(text), Ok(expected), "{text}");
        }
        for text in ["", "maybe", "0d", "14", "-1d", "5m", "59m", "99999d"] {
            assert!(LeaveOnServer::new(text).is_err(), "{text}");
        }
        assert_eq!(LeaveOnServer::new("5m").unwrap_err(), "it is too short; write at least \"1h\"");
    }

    #[test]
    fn a_command_goes_through_a_shell_only_where_it_has_to() {
        assert_eq!(command_words(" pass  show mail/qq "), ["pass", "show", "mail/qq"]);
        assert_eq!(command_words("pass show \"a b\""), ["sh", "-c", "pass show \"a b\""]);
        assert!(command_words("  ").is_empty());
    }
}
