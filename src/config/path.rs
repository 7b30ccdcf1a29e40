//! Paths in the file: absolute, or beginning with `~`, the user's home.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::value::{InvalidValue, plain_text};

/// The longest name of a file, in octets.
const LONGEST_NAME: usize = 255;

/// Reads an absolute path.
pub(super) fn path(value: &DeValue<'_>, home: Option<&Path>) -> Result<PathBuf, InvalidValue> {
    absolute(plain_text(value, "a path that begins with / or ~/")?, home)
}

/// Returns the absolute path that a text means, with `~` expanded.
pub(super) fn absolute(text: &str, home: Option<&Path>) -> Result<PathBuf, InvalidValue> {
    let path = expand(text, home)?;
    if path.iter().any(|name| name.len() > LONGEST_NAME) {
        let help = format!("write one that has at most {LONGEST_NAME} octets between two slashes");
        return Err(InvalidValue::new("holds a name that is too long for a file or directory", help));
    }
    if path.is_absolute() {
        return Ok(path);
    }
    let help = if text.starts_with('$') || text.starts_with('%') {
        "nothing is put in for a variable; ~/ at the beginning stands for your home"
    } else if text.starts_with('~') {
        "only ~/ at the beginning stands for your home; write another user's in full"
    } else {
        "write a path that begins with / or ~/, because mailferry runs in different directories"
    };
    Err(InvalidValue::new("is not an absolute path", help))
}

/// Rejects braces other than `{account}`: with it misspelt, all accounts would share one directory of that name.
pub(super) fn only_account_in_braces(text: &str) -> Result<(), InvalidValue> {
    let rest = text.replace("{account}", "");
    if rest.contains(['{', '}']) {
        let help = "only {account} stands for something: the account's name";
        return Err(InvalidValue::new("holds braces around something else than `account`", help));
    }
    Ok(())
}

/// Expands `~` and `~/` at the beginning.
pub(super) fn expand(text: &str, home: Option<&Path>) -> Result<PathBuf, InvalidValue> {
    let rest = match text.strip_prefix('~') {
        Some("") => "",
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => rest.trim_start_matches('/'),
            None => return Ok(PathBuf::from(text)),
        },
        None => return Ok(PathBuf::from(text)),
    };
    match home {
        Some(home) if rest.is_empty() => Ok(home.to_owned()),
        Some(home) => Ok(home.join(rest)),
        None => Err(InvalidValue::new("begins with ~, but this user has no home directory", "write the path in full")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::absolute;

    #[test]
    fn a_tilde_is_the_home_directory_and_nothing_else_is() {
        let home = Some(Path::new("/home/jo"));
        for (text, expected) in [
            ("~", "/home/jo"),
            ("~/", "/home/jo"),
            ("~/Mail/qq", "/home/jo/Mail/qq"),
            ("~//Mail", "/home/jo/Mail"),
            ("/var/mail/~/x", "/var/mail/~/x"),
        ] {
            assert_eq!(absolute(text, home), Ok(PathBuf::from(expected)), "{text}");
        }
        for text in ["~jo/Mail", "Mail", "./Mail", "{account}"] {
            assert_eq!(absolute(text, home).unwrap_err().message, "is not an absolute path", "{text}");
        }
        let (most, more) = ("x".repeat(255), "x".repeat(256));
        assert!(absolute(&format!("/m/{most}/{most}"), home).is_ok());
        assert!(absolute(&format!("/m/{more}/x"), home).unwrap_err().message.contains("too long"));
        assert!(absolute("$HOME/Mail", home).unwrap_err().help.contains("variable"));
        assert!(absolute("~/Mail", None).unwrap_err().message.contains("no home directory"));
    }
}
