//! Passwords as systemd credentials: encrypted by `systemd-creds`, and passed to the service by a drop-in.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::advice::commands::setup::ANOTHER_WAY;
use crate::secret::Secret;

/// The paths of a credential and of the drop-in that passes it to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialPlaces {
    /// The encrypted credential.
    pub credential: PathBuf,
    /// The drop-in of the service.
    pub drop_in: PathBuf,
    /// They belong to the user, not to the system.
    pub of_user: bool,
}

impl CredentialPlaces {
    /// Returns the system's paths for a configuration below `etc`, otherwise the user's.
    #[must_use]
    pub(crate) fn of(name: &str, config: &Path, etc: &Path, config_home: &Path) -> Self {
        let of_user = !config.starts_with(etc);
        let drop_in = |dir: &str| PathBuf::from(dir).join(format!("mailferry.service.d/credential-{name}.conf"));
        match of_user {
            true => Self {
                credential: config_home.join("credstore.encrypted").join(name),
                drop_in: config_home.join(drop_in("systemd/user")),
                of_user,
            },
            false => Self {
                credential: etc.join("credstore.encrypted").join(name),
                drop_in: etc.join(drop_in("systemd/system")),
                of_user,
            },
        }
    }

    /// Returns the text of the drop-in.
    #[must_use]
    pub(crate) fn drop_in_text(&self, name: &str) -> String {
        let place = self.credential.to_string_lossy().replace('%', "%%");
        format!("[Service]\nLoadCredentialEncrypted={name}:{place}\n")
    }
}

/// The first systemd version with credentials for users.
const OF_USERS: u32 = 256;

/// The first systemd version with encrypted credentials.
const ENCRYPTED: u32 = 250;

/// Says why systemd cannot keep a password here. Returns None if it can, or if its version is unknown. Blocks.
pub(crate) fn why_not(of_user: bool) -> Option<String> {
    let asked = Command::new("systemd-creds").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    match asked {
        Ok(output) => too_old(&String::from_utf8_lossy(&output.stdout), of_user),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Some("systemd-creds is not installed".to_owned()),
        // Running it later reports what is wrong.
        Err(_) => None,
    }
}

/// Says the same, from the output of `systemd-creds --version`: `systemd 252 (252.39-1)`.
fn too_old(version: &str, of_user: bool) -> Option<String> {
    let number = version.strip_prefix("systemd ")?;
    let number: u32 = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let (needed, whose) = if of_user { (OF_USERS, "a user's credential") } else { (ENCRYPTED, "a credential") };
    (number < needed).then(|| format!("{whose} needs systemd {needed} or later, and this is {number}"))
}

/// Encrypts a password so that only this machine, or this user on it, can decrypt it. Blocks.
///
/// # Errors
/// What failed, in words.
pub(crate) fn encrypt(name: &str, password: &Secret, of_user: bool) -> Result<Vec<u8>, String> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => format!("systemd-creds is not installed; {ANOTHER_WAY}"),
        _ => format!("systemd-creds cannot be run: {}", crate::text::system(&e)),
    };
    let mut command = Command::new(OsStr::new("systemd-creds"));
    command.args(["encrypt", &format!("--name={name}")]).args(of_user.then_some("--user")).args(["-", "-"]);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().map_err(failed)?;
    // It reads all input before it writes anything, and a password fits into the pipe.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(password.expose()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() || output.stdout.is_empty() {
        let said = crate::text::value(String::from_utf8_lossy(&output.stderr).trim());
        return Err(format!("systemd-creds could not encrypt the password: {said}"));
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_the_users_unless_the_configuration_is_the_machines() {
        let (etc, home) = (Path::new("/etc"), Path::new("/home/jo/.config"));
        let own = CredentialPlaces::of("work", Path::new("/home/jo/.config/mailferry/config.toml"), etc, home);
        assert_eq!(own.credential, Path::new("/home/jo/.config/credstore.encrypted/work"));
        assert_eq!(own.drop_in, Path::new("/home/jo/.config/systemd/user/mailferry.service.d/credential-work.conf"));
        let of_machine = CredentialPlaces::of("work", Path::new("/etc/mailferry/config.toml"), etc, home);
        assert!(own.of_user && !of_machine.of_user);
        assert_eq!(of_machine.drop_in, Path::new("/etc/systemd/system/mailferry.service.d/credential-work.conf"));
        assert_eq!(
            of_machine.drop_in_text("work"),
            "[Service]\nLoadCredentialEncrypted=work:/etc/credstore.encrypted/work\n"
        );
    }

    #[test]
    fn a_systemd_that_is_too_old_for_it_is_told_with_what_is_needed() {
        let said = |version, of_user| too_old(version, of_user).unwrap_or_default();
        assert_eq!(
            said("systemd 252 (252.39-1)\n+PAM", true),
            "a user's credential needs systemd 256 or later, and this is 252"
        );
        assert_eq!(said("systemd 249 (249)", false), "a credential needs systemd 250 or later, and this is 249");
        for (version, of_user) in
            [("systemd 256~rc3", true), ("systemd 252 (252.39-1)", false), ("", true), ("x", true)]
        {
            assert_eq!(said(version, of_user), "", "{version}");
        }
    }
}
