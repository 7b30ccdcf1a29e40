//! Opens the user's browser, if there is one.

use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Whether this is a remote session: nobody would see a browser started here.
pub(super) fn is_remote() -> bool {
    ["SSH_CONNECTION", "SSH_TTY"].iter().any(|name| set(name).is_some())
}

/// Opens an address in a browser. False if there is none. The address contains no secret: the code verifier (RFC 7636)
/// is sent separately.
pub(super) fn open(address: &str) -> bool {
    candidates().into_iter().any(|words| start(words, address))
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns the commands to try, in order: those of `$BROWSER`, then, with a graphical session, the desktop's.
fn candidates() -> Vec<Vec<String>> {
    let wanted = set("BROWSER").and_then(|value| value.into_string().ok()).unwrap_or_default();
    let mut commands = commands_of(&wanted);
    if set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some() {
        commands.push(vec!["xdg-open".to_owned()]);
    }
    if cfg!(target_os = "macos") {
        commands.push(vec!["open".to_owned()]);
    }
    commands
}

/// Splits `$BROWSER`: commands separated by colons, in which `%s` stands for the address.
fn commands_of(wanted: &str) -> Vec<Vec<String>> {
    let words = |command: &str| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    wanted.split(':').map(words).filter(|words| !words.is_empty()).collect()
}

/// Builds the command line for an address; no shell parses it.
fn with_address(mut words: Vec<String>, address: &str) -> Vec<String> {
    let mut is_named = false;
    for word in &mut words {
        is_named |= word.contains("%s");
        *word = word.replace("%s", address);
    }
    if !is_named {
        words.push(address.to_owned());
    }
    words
}

/// Starts a browser and does not wait for it: it may outlive this process.
fn start(words: Vec<String>, address: &str) -> bool {
    let words = with_address(words, address);
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_browsers_is_read_as_others_read_it() {
        let line = |wanted: &str| -> Vec<String> {
            commands_of(wanted).into_iter().map(|words| with_address(words, "https://e.org/").join("|")).collect()
        };
        assert_eq!(line("firefox"), ["firefox|https://e.org/"]);
        assert_eq!(line("lynx -x %s::w3m"), ["lynx|-x|https://e.org/", "w3m|https://e.org/"]);
        assert!(line("").is_empty() && line(" : ").is_empty());
    }
}
