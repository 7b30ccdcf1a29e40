//! Passwords and their sources.

use std::borrow::Cow;
use std::io;

use super::{Step, system};
use crate::command_line::chmod;
use crate::credential::{CommandFault, ContentsFault, CredentialError, ExposedFile, Origin, ReadFault, secret_of};
use crate::text;

pub(super) fn step(error: &CredentialError) -> Step {
    Some(match error {
        CredentialError::File { fault, .. } => reading(fault).into(),
        CredentialError::Exposed(file) => {
            format!("{}; or use password_credential or password_command", closing(file)).into()
        }
        CredentialError::CredentialName { .. } => "Give a plain file name without a slash".into(),
        CredentialError::NoCredentialsDirectory { name } => format!(
            "Run as a systemd service whose unit says LoadCredential={}:/path/to/file, or use password_command or \
             password_file",
            text::value(name)
        )
        .into(),
        CredentialError::NoCredential { name } => {
            format!("Add LoadCredential={}:/path/to/file to its unit and restart it", text::value(name)).into()
        }
        CredentialError::Command { key, fault, .. } => command(fault, secret_of(key)),
        CredentialError::SignIn => "Give that by its own key, not by `oauth2`".into(),
        CredentialError::Contents { origin, fault } => contents(origin, *fault),
    })
}

/// About a file with a secret that cannot be read.
pub(crate) fn reading(fault: &ReadFault) -> &'static str {
    match fault {
        ReadFault::Io(e) => match e.kind() {
            io::ErrorKind::NotFound => "Create it, or correct the path",
            io::ErrorKind::PermissionDenied => "Make it readable by the user that mailferry runs as",
            _ => system::step(e).unwrap_or("Check the file and its file system"),
        },
        ReadFault::NotRegular(_) => "Give the path of a regular file",
        ReadFault::TooLarge(_) => "Correct the path",
    }
}

/// About a file with a secret that others can read.
pub(crate) fn closing(file: &ExposedFile) -> Cow<'static, str> {
    if file.read_only {
        return "It is on a read-only file system, so mount it with mode 0400 for the user that mailferry runs as, or 0440 \
                for its group (`mode` and `uid` of a Docker secret, `defaultMode` and `fsGroup` of a Kubernetes one, the \
                file's own mode on the host where it is mounted from there)"
            .into();
    }
    let (own, group) = (chmod(&file.path, "600"), chmod(&file.path, "640"));
    match file.reader {
        reader if reader == file.owner => format!("Run `{own}`"),
        0 => format!("Run `{own}`, or run mailferry as a user of its group and run `{group}`"),
        _ => format!(
            "Have its owner, user {}, give it a group that mailferry runs as and run `{group}`, or, where a container \
             mounts it, mount it with mode 0400 for the user that mailferry runs as",
            file.owner
        ),
    }
    .into()
}

fn command(fault: &CommandFault, secret: &str) -> Cow<'static, str> {
    match fault {
        CommandFault::NotFound => "Install it, or give its full path (a service's PATH is shorter than a terminal's)",
        CommandFault::NotStarted(e) => system::step(e).unwrap_or("Check that it can be executed"),
        CommandFault::Lost(e) => system::step(e).unwrap_or("Try again"),
        CommandFault::Failed { .. } | CommandFault::Killed { .. } => "Run it by hand to see why",
        CommandFault::TimedOut { .. } => {
            "Does it wait for a passphrase or a prompt that nobody sees? Unlock the password store first"
        }
        CommandFault::TooMuch { .. } => return format!("Make it print only the {secret}").into(),
    }
    .into()
}

fn contents(origin: &Origin, fault: ContentsFault) -> Cow<'static, str> {
    match (origin, fault) {
        (Origin::Command { key, .. }, ContentsFault::Empty) => {
            return format!("Run it by hand and check that it prints the {}", secret_of(key)).into();
        }
        (Origin::Command { .. }, ContentsFault::SeveralLines) => {
            "Make it print the first only, for example by `| head -n 1`; in the configuration that takes a shell: \
             [\"sh\", \"-c\", \"pass show mail/qq | head -n 1\"]"
        }
        (Origin::Command { key, .. }, ContentsFault::Utf16) => {
            return format!("Make it print the {} as UTF-8 or ASCII, without a byte order mark", secret_of(key)).into();
        }
        (Origin::File(_) | Origin::Credential(_), ContentsFault::Empty) => "Write the password into it",
        (Origin::File(_) | Origin::Credential(_), ContentsFault::SeveralLines) => "Keep only the password in it",
        (Origin::File(_) | Origin::Credential(_), ContentsFault::Utf16) => {
            "Write the password as UTF-8 or ASCII, without a byte order mark"
        }
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Exposure;

    #[test]
    fn what_is_said_about_an_exposed_file_can_be_followed() {
        let advice = |reader, read_only| {
            let path = "/run/secrets/pw".into();
            closing(&ExposedFile { path, mode: 0o444, to: Exposure::Others, owner: 1000, reader, read_only })
        };
        assert_eq!(advice(1000, false), "Run `chmod 600 /run/secrets/pw`");
        assert!(
            advice(0, false).starts_with("Run `chmod 600 /run/secrets/pw`, or run mailferry as a user of its group")
        );
        assert!(advice(7, false).starts_with("Have its owner, user 1000, give it a group"));
        for user in [0, 7, 1000] {
            let advice = advice(user, true);
            assert!(
                !advice.contains("chmod") && advice.contains("mode 0400") && advice.contains("defaultMode"),
                "{advice}"
            );
        }
    }
}
