//! Asks for confirmation before a change that is not easily undone.

use std::io::{self, IsTerminal as _};

use super::output::stderr_line;
use crate::advice::commands::common::SAY_YES;
use crate::exit::ExitStatus;
use crate::threads;

/// Asks on the terminal, unless `yes` is given.
///
/// # Errors
/// [`ExitStatus::Usage`], already reported: there is no terminal to ask on.
pub(super) async fn confirm(question: &str, yes: bool) -> Result<bool, ExitStatus> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        stderr_line(format_args!("mailferry: nothing was done: there is no terminal to ask on; {SAY_YES}"));
        return Err(ExitStatus::Usage);
    }
    stderr_line(format_args!("{question} [y/N]"));
    let answer = threads::blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer).unwrap_or_default()
    });
    let answer = answer.await.unwrap_or_default();
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        stderr_line("mailferry: nothing was done");
    }
    Ok(is_yes)
}
