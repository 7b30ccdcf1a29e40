//! Command lines that a user can paste into a shell.

use std::path::Path;

use crate::{text, user};

/// Returns this command as another user can run it.
pub(crate) fn this_command_as(user: u32) -> String {
    let command = line(["mailferry".to_owned()].into_iter().chain(words()));
    let Some(user::User { name, home }) = user::known(user) else {
        // sudo and runuser refuse a user without a name.
        return format!("setpriv --reuid={user} --regid={user} --clear-groups {command}");
    };
    match user::is_root() {
        // Every system has runuser, but not every one has sudo. It leaves HOME unchanged.
        true => format!("runuser -u {name} -- env {} {command}", quoted(&format!("HOME={home}"))),
        false => format!("sudo -H -u {name} {command}"),
    }
}

/// Returns this command without one of its options.
pub(crate) fn this_command_without(option: &str) -> String {
    without(option, words())
}

fn without(option: &str, words: impl Iterator<Item = String>) -> String {
    line(["mailferry".to_owned()].into_iter().chain(words.filter(|word| word != option)))
}

/// Returns another command of this program, with the same configuration and state directory.
pub(crate) fn this_program(command: &str) -> String {
    let places = line(["mailferry".to_owned()].into_iter().chain(places(words())));
    format!("{places} {command}")
}

/// Returns the command that gives a file this mode.
pub(crate) fn chmod(path: &Path, mode: &str) -> String {
    format!("chmod {mode} {}", word(path))
}

/// Returns the command that gives a directory and all that is in it to a user.
pub(crate) fn chown_all(dir: &Path, user: &str) -> String {
    format!("chown -R {user}: {}", word(dir))
}

/// Returns the command that changes a file's line ends to LF.
pub(crate) fn to_lf(path: &Path) -> String {
    format!(r"sed -i 's/\r$//' {}", word(path))
}

/// Returns the command that moves a file or a directory out of the way.
pub(crate) fn aside(path: &Path) -> String {
    let path = text::path(path);
    format!("mv {} {}", quoted(&path), quoted(&format!("{path}.old")))
}

/// Returns a path as the last word of a shell command.
pub(crate) fn word(path: &Path) -> String {
    let path = text::path(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+' | ',' | ':');
    if path.chars().all(plain) && !path.starts_with('-') {
        path
    } else {
        format!("-- '{}'", path.replace('\'', r"'\''"))
    }
}

fn words() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// Returns the options that say where things are, with their values.
fn places(mut words: impl Iterator<Item = String>) -> Vec<String> {
    let mut places = Vec::new();
    while let Some(word) = words.next() {
        match word.split_once('=').map_or(word.as_str(), |(option, _)| option) {
            "--config" | "--state-dir" if word.contains('=') => places.push(word),
            "--config" | "--state-dir" => places.extend([word].into_iter().chain(words.next())),
            _ => {}
        }
    }
    places
}

fn line(words: impl Iterator<Item = String>) -> String {
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for the shell if necessary.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", text::value(word).replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_things_are_is_taken_from_a_command_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let given = "-v --config /a/c.toml fetch --state-dir=/s --new-state --config";
        assert_eq!(line(places(words(given)).into_iter()), "--config /a/c.toml --state-dir=/s --config");
        assert_eq!(line(["--config".to_owned(), "/a b".to_owned()].into_iter()), "--config '/a b'");
        let quoted = line(["/it's".to_owned(), r#"/a\b "c""#.to_owned()].into_iter());
        assert_eq!(quoted, r#"'/it'\''s' '/a\b "c"'"#, "a shell makes the same words of it");
        let dry = without("--dry-run", words("import --dry-run mpop --mark-existing"));
        assert_eq!(dry, "mailferry import mpop --mark-existing");
        assert_eq!(this_program("fetch"), "mailferry fetch", "the tests were given no places");
    }

    #[test]
    fn a_user_without_a_name_is_addressed_by_number() {
        let command = this_command_as(4_294_967_290);
        assert!(
            command.starts_with("setpriv --reuid=4294967290 --regid=4294967290 --clear-groups mailferry"),
            "{command}"
        );
    }

    #[test]
    fn an_odd_path_is_quoted_for_the_shell() {
        assert_eq!(chmod(Path::new("/etc/mailferry/config.toml"), "600"), "chmod 600 /etc/mailferry/config.toml");
        assert_eq!(chmod(Path::new("/a b/it's"), "600"), r"chmod 600 -- '/a b/it'\''s'");
    }
}
