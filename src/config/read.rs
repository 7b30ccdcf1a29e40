//! The file itself: read, bounded, and judged by its permissions.

use std::path::{Path, PathBuf};

use super::problem::{ConfigError, Problem, warning};
use super::{Config, Environment, parse};
use crate::advice::next_step::credential;
use crate::command_line::chmod;
use crate::credential::private_file::{self, Exposure, Identity, PrivateFile, ReadFault};
use crate::text;

/// The largest configuration, in bytes: a hundred thousand accounts.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// Reads the file and everything in it.
pub(super) fn load(path: &Path, env: &Environment) -> Result<Config, ConfigError> {
    let fail = |source, problems| ConfigError::new(path.to_owned(), source, problems);
    let file = private_file::read(path, MAX_FILE).map_err(|fault| fail(None, vec![unreadable(&fault)]))?;
    let text = match std::str::from_utf8(&file.contents) {
        Ok(text) => text,
        Err(e) => {
            let good = file.contents.get(..e.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            let problem = Problem::new("this is not UTF-8 text").in_line(line);
            return Err(fail(None, vec![problem.help("save the file as UTF-8")]));
        }
    };
    let mut parsed = parse::parse(text, env.home.as_deref());
    let mut warnings: Vec<String> =
        parsed.warnings.iter().map(|(place, text)| warning(path, &parsed.source, place, text)).collect();
    judge(path, &file, &Identity::of_process(), &mut parsed, &mut warnings);
    if !parsed.problems.is_empty() {
        return Err(fail(Some(parsed.source), parsed.problems));
    }
    let parse::Parsed { daemon, notify, state_dir, accounts, .. } = parsed;
    Ok(Config { path: path.to_owned(), daemon, notify, state_dir, accounts, warnings })
}

/// The state directory that stands in the file, without a look at the accounts. None where that cannot be read by itself.
pub(super) fn state_dir_at_top(path: &Path, env: &Environment) -> Option<Option<PathBuf>> {
    let file = private_file::read(path, MAX_FILE).ok()?;
    parse::state_dir_at_top(std::str::from_utf8(&file.contents).ok()?, env.home.as_deref())
}

fn unreadable(fault: &ReadFault) -> Problem {
    Problem::new(format!("cannot read the configuration: {fault}")).help(as_help(credential::reading(fault)))
}

/// A next step as the help to a problem, which begins in small letters.
fn as_help(step: &str) -> String {
    let mut letters = step.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Whoever can write the file decides which commands run as us; whoever can read it has the passwords in it.
pub(super) fn judge(
    path: &Path,
    file: &PrivateFile,
    reader: &Identity,
    parsed: &mut parse::Parsed,
    warnings: &mut Vec<String>,
) {
    let mode = format!("{:04o}", file.mode);
    if file.mode & 0o002 != 0 {
        let message = format!("every user may write this file (mode {mode}), and it says which commands run");
        let help = format!("run `{}`", chmod(path, "600"));
        parsed.problems.push(Problem::new(message).help(help));
    } else if file.mode & 0o020 != 0 {
        warnings.push(format!(
            "{}: its group may write this file (mode {mode}), and it says which commands run; run `{}`",
            text::path(path),
            chmod(path, "g-w")
        ));
    }
    let (Some(password), Some(exposed)) = (&parsed.password, file.exposed(path, reader)) else {
        return;
    };
    let who = match exposed.to {
        Exposure::Others => "other users",
        Exposure::StrangeGroup => "a group that mailferry does not belong to",
    };
    let message = format!("the mode {mode} of this file gives its passwords to {who}");
    parsed.problems.push(
        Problem::new(message)
            .at(password)
            .help(format!("{}; or use password_command or password_file", as_help(&credential::closing(&exposed)))),
    );
}
