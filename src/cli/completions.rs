//! `mailferry completions` and `mailferry man`: completion scripts, completions and manual pages, printed by the
//! program itself.

use std::io;

use clap::CommandFactory as _;
use clap_complete::env::{CompleteEnv, Shells};

use super::arguments::{Arguments, Completions, Man};
use super::output::{answer as print, stderr_line};
use crate::exit::ExitStatus;

/// The variable with which a shell's completion script asks for candidates.
const VARIABLE: &str = "MAILFERRY_COMPLETE";

/// Answers a shell's completion script, if one is asking; true if there is nothing else to do.
pub(super) fn answer() -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let asked = CompleteEnv::with_factory(Arguments::command).var(VARIABLE).bin("mailferry");
    asked.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref()).unwrap_or(true)
}

/// Prints the completion script for a shell.
pub(super) fn run(options: &Completions) -> ExitStatus {
    let name = options.shell.name();
    let mut script = Vec::new();
    let written = Shells::builtins()
        .completer(name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
        .and_then(|shell| shell.write_registration(VARIABLE, "mailferry", "mailferry", "mailferry", &mut script));
    match written {
        Ok(()) => {
            print(|output| output.write_all(&script));
            ExitStatus::Ok
        }
        Err(e) => {
            stderr_line(format_args!("mailferry: cannot make the script: {e}"));
            ExitStatus::Temporary
        }
    }
}

/// Prints a manual page.
pub(super) fn man(options: &Man) -> ExitStatus {
    let page = match options.section {
        1 => include_str!("../../docs/man/mailferry.1"),
        _ => include_str!("../../docs/man/mailferry.toml.5"),
    };
    print(|output| output.write_all(page.as_bytes()));
    ExitStatus::Ok
}
