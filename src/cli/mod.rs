//! What a user types and what is printed; nothing is decided here.

mod arguments;
mod fetch;
mod logging;
mod open_files;
mod signals;
mod summary;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::exit::ExitStatus;
use arguments::{Arguments, Command};

/// Runs a command line, the program's name first, and prints what there is to say.
///
/// The answer is the number for the shell: see [`ExitStatus`], and `fetch --fetchmail-exit-codes` for others.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(e) => {
            // Nothing can be done if even this cannot be printed.
            let _ = e.print();
            let asked_for = matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked_for { ExitStatus::Ok.code() } else { ExitStatus::Usage.code() };
        }
    };
    logging::begin(&arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("mailferry: cannot start its threads: {e}");
            return ExitStatus::Temporary.code();
        }
    };
    let code = match &arguments.command {
        Command::Fetch(fetch) => runtime.block_on(fetch::run(&arguments, fetch)),
    };
    // A look-up of a name that hangs must not keep the process.
    runtime.shutdown_background();
    code
}

/// Whether errors may be shown in colour.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
