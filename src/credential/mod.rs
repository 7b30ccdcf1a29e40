//! Obtains secrets from their sources, again at each poll.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::account::CredentialSource;
use crate::secret::Secret;
use crate::text;
use crate::watch;
use private_file::Identity;

mod command;
pub(crate) mod looks;
pub(crate) mod private_file;
pub use command::CommandFault;
use command::{Output, StderrText};
pub use private_file::{ExposedFile, Exposure, ReadFault};
#[cfg(test)]
mod tests;

/// The longest secret, in bytes. Tokens have a few thousand; anything longer is a wrong file or a runaway command.
const MAX_SECRET: usize = 64 * 1024;

/// How long a `password_command` may take. Long enough for somebody to type a passphrase into a prompt.
pub const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(60);

/// What an account logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A password.
    Password(Secret),
    /// An OAuth 2.0 access token (RFC 6750).
    Token(Secret),
}

impl Credential {
    /// The secret that is sent to the server.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Password(secret) | Self::Token(secret) => secret,
        }
    }
}

/// What sources of secrets depend on in the process environment.
#[derive(Debug, Clone, Default)]
pub struct CredentialEnvironment {
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts a service's credentials.
    pub credentials_directory: Option<PathBuf>,
}

impl CredentialEnvironment {
    /// Reads the process's environment.
    #[must_use]
    pub fn from_process() -> Self {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty());
        Self { credentials_directory: directory.map(PathBuf::from) }
    }
}

impl CredentialSource {
    /// Obtains the secret: reads the file or runs the command now. A final newline (LF or CRLF) is stripped, as is the
    /// byte order mark that some editors and shells put before UTF-8.
    ///
    /// # Errors
    /// [`CredentialError`] says what was requested and what went wrong. It never contains the secret.
    pub async fn obtain(&self, env: &CredentialEnvironment) -> Result<Secret, CredentialError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => from_file(path.clone()).await,
            Self::Credential(name) => from_systemd(name, env).await,
            Self::Command(argv) => from_command("password_command", argv, COMMAND_TIME_LIMIT).await,
            Self::TokenCommand(argv) => from_command("token_command", argv, COMMAND_TIME_LIMIT).await,
            Self::OAuth(_) => Err(CredentialError::SignIn),
        }
    }
}

/// Whether a word can be the name of a systemd credential: a plain file name.
pub(crate) fn is_credential_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/') && !name.chars().any(char::is_control)
}

async fn from_file(path: PathBuf) -> Result<Secret, CredentialError> {
    let file = read_elsewhere(&path).await.map_err(|fault| CredentialError::File { path: path.clone(), fault })?;
    let reader = Identity::of_process();
    if let Some(exposed) = file.exposed(&path, &reader) {
        return Err(CredentialError::Exposed(exposed));
    }
    secret_in(&file.contents).map_err(|fault| CredentialError::Contents { origin: Origin::File(path), fault })
}

/// Reads a systemd credential. systemd decides who may read the file, partly by access control lists that look like
/// group permissions, so its mode is not checked here.
async fn from_systemd(name: &str, env: &CredentialEnvironment) -> Result<Secret, CredentialError> {
    let name = name.to_owned();
    if !is_credential_name(&name) {
        return Err(CredentialError::CredentialName { name });
    }
    let Some(directory) = &env.credentials_directory else {
        return Err(CredentialError::NoCredentialsDirectory { name });
    };
    let path = directory.join(&name);
    match read_elsewhere(&path).await {
        Ok(file) => secret_in(&file.contents)
            .map_err(|fault| CredentialError::Contents { origin: Origin::Credential(name), fault }),
        Err(ReadFault::Io(e)) if e.kind() == io::ErrorKind::NotFound => Err(CredentialError::NoCredential { name }),
        Err(fault) => Err(CredentialError::File { path, fault }),
    }
}

async fn from_command(key: &'static str, argv: &[OsString], limit: Duration) -> Result<Secret, CredentialError> {
    let program = || argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let Output { bytes, stderr } = command::output_of(argv, MAX_SECRET, limit)
        .await
        .map_err(|fault| CredentialError::Command { key, program: program(), fault })?;
    secret_in(&bytes).map_err(|fault| {
        // A shell pipeline succeeds even if its first commands fail, so if nothing was printed, standard error tells
        // why. If something was printed, standard error may contain the secret as well.
        let stderr = if fault == ContentsFault::Empty { stderr } else { String::new() };
        CredentialError::Contents { origin: Origin::Command { key, program: program(), stderr }, fault }
    })
}

/// Reads on another thread, because a file on a network file system may block.
async fn read_elsewhere(path: &Path) -> Result<private_file::PrivateFile, ReadFault> {
    let (path, turn) = (path.to_owned(), looks::turn_at(path).await);
    let read = move || {
        let read = private_file::read(&path, MAX_SECRET);
        drop(turn);
        read
    };
    match watch::blocking(read).await {
        Ok(result) => result,
        Err(e) => Err(ReadFault::Io(e.into())),
    }
}

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Strips a byte order mark and a final newline, and refuses what would break a POP3 command.
fn secret_in(contents: &Zeroizing<Vec<u8>>) -> Result<Secret, ContentsFault> {
    let wide = contents.starts_with(b"\xff\xfe") || contents.starts_with(b"\xfe\xff");
    if wide && contents.contains(&0) {
        return Err(ContentsFault::Utf16);
    }
    let bytes = contents.strip_prefix(BYTE_ORDER_MARK).unwrap_or(contents);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(ContentsFault::Empty);
    }
    if bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(ContentsFault::SeveralLines);
    }
    Ok(Secret::new(bytes.to_vec()))
}

/// Why there is no secret.
#[derive(Debug)]
pub enum CredentialError {
    /// The file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: ReadFault,
    },
    /// Others than the owner may read the file.
    Exposed(ExposedFile),
    /// The name cannot be that of a systemd credential.
    CredentialName {
        /// The name as configured.
        name: String,
    },
    /// A systemd credential is configured, but this process was not given any.
    NoCredentialsDirectory {
        /// The credential.
        name: String,
    },
    /// systemd gave this process credentials, but not this one.
    NoCredential {
        /// The credential.
        name: String,
    },
    /// The command failed.
    Command {
        /// The key that configures it.
        key: &'static str,
        /// Its first word.
        program: String,
        /// What went wrong.
        fault: CommandFault,
    },
    /// The account has a sign-in, but a secret of another kind was requested.
    SignIn,
    /// There is something, but it cannot be a secret.
    Contents {
        /// Where it came from.
        origin: Origin,
        /// What is wrong with it.
        fault: ContentsFault,
    },
}

/// Where something that cannot be a secret came from.
#[derive(Debug)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// A systemd credential.
    Credential(String),
    /// A command.
    Command {
        /// The key that configures it.
        key: &'static str,
        /// Its first word.
        program: String,
        /// The end of its standard error, escaped, if it printed nothing.
        stderr: String,
    },
}

/// What is wrong with something that should have been a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentsFault {
    /// It is empty, or only a newline.
    Empty,
    /// It contains CR, LF or NUL before its end.
    SeveralLines,
    /// It begins with the byte order mark of UTF-16.
    Utf16,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, fault } => write!(f, "cannot read the password from {}: {fault}", text::path(path)),
            Self::Exposed(ExposedFile { path, mode, to, .. }) => {
                write!(f, "will not use the password in {}: its mode {:04o} lets {to}", text::path(path), mode & 0o7777)
            }
            Self::CredentialName { name } => {
                write!(f, "`{}` cannot be the name of a systemd credential", text::value(name))
            }
            Self::NoCredentialsDirectory { name } => write!(
                f,
                "there is no systemd credential `{}`, because $CREDENTIALS_DIRECTORY is not set",
                text::value(name)
            ),
            Self::NoCredential { name } => {
                write!(f, "systemd gave this service no credential `{}`", text::value(name))
            }
            Self::Command { key, program, fault } => {
                write!(f, "the {} command `{}` {fault}", secret_of(key), text::value(program))
            }
            Self::SignIn => f.write_str("a sign-in gives tokens and no other secret"),
            Self::Contents { origin: Origin::Command { key, program, stderr }, fault } => {
                let (secret, program) = (secret_of(key), text::value(program));
                write!(f, "the {secret} command `{program}` printed {}{}", Printed(*fault, secret), StderrText(stderr))
            }
            Self::Contents { origin: origin @ (Origin::File(_) | Origin::Credential(_)), fault } => {
                write!(f, "{origin} {fault}")
            }
        }
    }
}

impl fmt::Display for ContentsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::SeveralLines => "holds more than one line or a NUL byte, and a password is one line",
            Self::Utf16 => "is text in UTF-16",
        })
    }
}

/// What kind of secret the command under this key prints.
pub(crate) fn secret_of(key: &str) -> &'static str {
    if key == "token_command" { "token" } else { "password" }
}

/// What a command printed instead of a secret of this kind.
struct Printed(ContentsFault, &'static str);

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ContentsFault::Empty => f.write_str("nothing"),
            ContentsFault::SeveralLines => write!(f, "more than one line, and a {} is one line", self.1),
            ContentsFault::Utf16 => f.write_str("text in UTF-16"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the password file {}", text::path(path)),
            Self::Credential(name) => write!(f, "the systemd credential `{}`", text::value(name)),
            Self::Command { program, .. } => write!(f, "the output of `{}`", text::value(program)),
        }
    }
}

impl std::error::Error for CredentialError {}
