//! What a user types and what is printed; nothing is decided here.

mod arguments;
mod core_dumps;
mod daemon;
mod fetch;
mod log_lines;
mod logging;
mod open_files;
mod output;
mod poll;
mod prepare;
mod scheduled;
mod signals;
mod status;
mod status_text;
mod summary;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::exit::ExitStatus;
use arguments::{Arguments, Command};
use output::complain;

/// Runs a command line, the program's name first, and prints what there is to say.
///
/// The answer is the number for the shell: see [`ExitStatus`], and `fetch --fetchmail-exit-codes` for others.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    core_dumps::forbid();
    let words: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(e) => {
            // Nothing can be done if even this cannot be printed.
            let _ = e.print();
            return match e.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitStatus::Ok.code(),
                _ => fetch::failed_before_polling(ExitStatus::Usage, arguments::ask_for_fetchmail_codes(&words)),
            };
        }
    };
    logging::begin(&arguments);
    if let Err(limit) = open_files::raise() {
        complain(format_args!(
            "mailferry: only {limit} files may be open (ulimit -n), which is too few. Allow 64 or more"
        ));
        return ExitStatus::Temporary.code();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            complain(format_args!("mailferry: cannot start its threads: {e}. Try again later"));
            return ExitStatus::Temporary.code();
        }
    };
    let code = match &arguments.command {
        Command::Fetch(fetch) => runtime.block_on(fetch::run(&arguments, fetch)),
        Command::Daemon => runtime.block_on(daemon::run(&arguments)).code(),
        Command::Poll(poll) => runtime.block_on(poll::run(&arguments, poll)).code(),
        Command::Status(status) => runtime.block_on(status::run(&arguments, status)).code(),
    };
    // A look-up of a name that hangs must not keep the process.
    runtime.shutdown_background();
    code
}

/// Whether errors may be shown in colour.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
