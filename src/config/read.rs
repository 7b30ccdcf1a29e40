//! Reads the file, within a size limit, and checks its permissions.

use std::io;
use std::path::{Path, PathBuf};

use super::parse::Above;
use super::problem::{ConfigError, Problem, warning};
use super::tables::{self, Good};
use super::{Config, Environment, Span, parse};
use crate::account::Account;
use crate::advice::next_step::credential;
use crate::command_line::chmod;
use crate::credential::private_file::{self, Exposure, Identity, PrivateFile, ReadFault};
use crate::text;

/// The largest configuration accepted, in bytes: enough for a hundred thousand accounts with all their keys written out.
const MAX_FILE: usize = 64 * 1024 * 1024;

/// Reads the file and everything in it. Passes each account to `make` as soon as it is read, some of them twice if the
/// file must be read again in one go. The list of accounts in the returned configuration is empty.
pub(super) fn load<T>(
    path: &Path,
    env: &Environment,
    make: impl Fn(Account) -> T,
) -> Result<(Config, Vec<T>), ConfigError> {
    let fail = |source, problems| ConfigError::new(path.to_owned(), source, problems);
    let file = private_file::read(path, MAX_FILE).map_err(|fault| fail(None, vec![unreadable(path, env, &fault)]))?;
    let text = text_of(&file).map_err(|problems| fail(None, problems))?;
    let (home, reader) = (env.home.as_deref(), Identity::of_process());
    let with = |warnings, Above { state_dir, daemon, notify }| Config {
        path: path.to_owned(),
        daemon,
        notify,
        state_dir,
        accounts: Vec::new(),
        warnings,
    };
    if let Some(Good { above, password, accounts }) = tables::read(text, home, &make) {
        let mut warnings = Vec::new();
        if judge(path, &file, &reader, password.as_ref(), &mut warnings).is_empty() {
            return Ok((with(warnings, above), accounts));
        }
    }
    let mut parsed = parse::parse(text, home);
    let mut warnings: Vec<String> =
        parsed.warnings.iter().map(|(place, text)| warning(path, &parsed.source, place, text)).collect();
    parsed.problems.extend(judge(path, &file, &reader, parsed.password.as_ref(), &mut warnings));
    if !parsed.problems.is_empty() {
        return Err(fail(Some(parsed.source), parsed.problems));
    }
    Ok((with(warnings, parsed.above), parsed.accounts.into_iter().map(make).collect()))
}

fn text_of(file: &PrivateFile) -> Result<&str, Vec<Problem>> {
    std::str::from_utf8(&file.contents).map_err(|e| {
        let good = file.contents.get(..e.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        vec![Problem::new("this is not UTF-8 text").in_line(line).help("save the file as UTF-8")]
    })
}

/// Returns the text of a file to which an account is to be added, or None if there is no file. A file that no command
/// could read afterwards, because of its permissions or its kind, is an error.
pub(super) fn text_before(path: &Path, env: &Environment) -> Result<Option<String>, ConfigError> {
    let fail = |source, problems| ConfigError::new(path.to_owned(), source, problems);
    let file = match private_file::read(path, MAX_FILE) {
        Ok(file) => file,
        Err(ReadFault::Io(e)) if e.kind() == io::ErrorKind::NotFound => {
            return match path.symlink_metadata() {
                Ok(_) => Err(fail(None, vec![leads_nowhere(path)])),
                Err(_) => Ok(None),
            };
        }
        Err(fault) => return Err(fail(None, vec![unreadable(path, env, &fault)])),
    };
    let text = text_of(&file).map_err(|problems| fail(None, problems))?;
    let parsed = parse::parse(text, env.home.as_deref());
    // The contents are checked later, together with what is added.
    let problems = judge(path, &file, &Identity::of_process(), parsed.password.as_ref(), &mut Vec::new());
    match problems.is_empty() {
        true => Ok(Some(text.to_owned())),
        false => Err(fail(Some(parsed.source), problems)),
    }
}

/// Reports a dangling symbolic link. Whether to replace the link or to create its target is for the user to decide.
fn leads_nowhere(path: &Path) -> Problem {
    let target = std::fs::read_link(path).unwrap_or_default();
    Problem::new(format!("the configuration is a link that leads to {}, and nothing is there", text::path(&target)))
        .help("make that file, or remove the link, and try again")
}

/// Reads `state_dir` without the accounts. Returns None if that part of the file cannot be read on its own.
pub(super) fn state_dir_at_top(path: &Path, env: &Environment) -> Option<Option<PathBuf>> {
    let file = private_file::read(path, MAX_FILE).ok()?;
    parse::state_dir_at_top(std::str::from_utf8(&file.contents).ok()?, env.home.as_deref())
}

pub(super) fn unreadable(path: &Path, env: &Environment, fault: &ReadFault) -> Problem {
    let problem = Problem::new(format!("cannot read the configuration: {fault}"));
    match fault {
        // Do not advise users without their own configuration to open up the machine's passwords.
        ReadFault::Io(e) if e.kind() == io::ErrorKind::PermissionDenied && path.starts_with(&env.etc) => problem.help(
            "it is the one of this machine's service; for mail of your own run `mailferry setup`, and as for the service, run \
             this as root or as the user that the service runs as",
        ),
        _ => problem.help(as_help(credential::reading(fault))),
    }
}

/// Formats a next step as the help of a problem, which begins with a lower-case letter.
fn as_help(step: &str) -> String {
    let mut letters = step.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Checks the file's permissions: those who can write it decide which commands we run, and those who can read it have
/// its passwords. `password` is the position of the first one.
pub(super) fn judge(
    path: &Path,
    file: &PrivateFile,
    reader: &Identity,
    password: Option<&Span>,
    warnings: &mut Vec<String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mode = format!("{:04o}", file.mode);
    if file.mode & 0o002 != 0 {
        let message = format!("every user may write this file (mode {mode}), and it says which commands run");
        let help = format!("run `{}`", chmod(path, "600"));
        problems.push(Problem::new(message).help(help));
    } else if file.mode & 0o020 != 0 {
        warnings.push(format!(
            "{}: its group may write this file (mode {mode}), and it says which commands run; run `{}`",
            text::path(path),
            chmod(path, "g-w")
        ));
    }
    let (Some(password), Some(exposed)) = (password, file.exposed(path, reader)) else { return problems };
    let who = match exposed.to {
        Exposure::Others => "other users",
        Exposure::StrangeGroup => "a group that mailferry does not belong to",
    };
    let message = format!("this file has mode {mode}, so {who} can read its passwords");
    let help = format!("{}; or use password_command or password_file", as_help(&credential::closing(&exposed)));
    problems.push(Problem::new(message).at(password).help(help));
    problems
}
