//! The file itself: read, bounded, and judged by its permissions.

use std::path::Path;

use super::problem::{ConfigError, Problem, warning};
use super::{Config, Environment, parse};
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

fn unreadable(fault: &ReadFault) -> Problem {
    let text = fault.to_string();
    let (message, help) = text.split_once("; ").unwrap_or((text.as_str(), "look at the file"));
    Problem::new(format!("cannot read the configuration: {message}")).help(help)
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
        let help = format!("run `{}`", private_file::chmod(path, "600"));
        parsed.problems.push(Problem::new(message).help(help));
    } else if file.mode & 0o020 != 0 {
        warnings.push(format!(
            "{}: its group may write this file (mode {mode}), and it says which commands run; run `{}`",
            text::path(path),
            private_file::chmod(path, "g-w")
        ));
    }
    let (Some(password), Some(exposure)) = (&parsed.password, file.exposure(reader)) else {
        return;
    };
    let who = match exposure {
        Exposure::Others => "other users",
        Exposure::StrangeGroup => "a group that mailferry does not belong to",
    };
    let message = format!("the mode {mode} of this file gives its passwords to {who}");
    parsed.problems.push(
        Problem::new(message)
            .at(password)
            .help(format!("{}; or use password_command or password_file", file.remedy(path, reader))),
    );
}
