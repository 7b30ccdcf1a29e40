//! What a user types and what is printed; nothing is decided here.

mod account_names;
mod arguments;
mod check;
mod completions;
mod confirm;
mod console;
mod core_dumps;
mod daemon;
mod dry_run;
mod fetch;
mod forward;
mod import;
mod keys;
mod limits;
mod log_lines;
mod logging;
mod login;
mod orphans;
mod output;
mod poll;
mod prepare;
mod progress;
mod reporter;
mod scheduled;
mod setup;
mod signals;
mod status;
mod status_text;
mod summary;
mod terminal;
mod uids;
mod unread;
mod wrapped;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::config::ConfigError;
use crate::exit::ExitStatus;
use crate::{advice, subprocess, threads};
use arguments::{Arguments, Command};
use output::stderr_line;

/// Runs a command line, the program's name first, and prints what there is to say.
///
/// The answer is the number for the shell: see [`ExitStatus`], and `fetch --fetchmail-exit-codes` for others.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = arguments.into_iter().collect();
    limits::share_one_arena(&words);
    core_dumps::forbid();
    signals::begin_anew();
    std::panic::set_hook(Box::new(show_panic));
    if completions::answer() {
        return ExitStatus::Ok.code();
    }
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
    if matches!(arguments.command, Command::Daemon) {
        limits::give_large_blocks_back(&words);
    }
    logging::begin(&arguments);
    let code = run_command(&arguments);
    unread::finish();
    code
}

fn run_command(arguments: &Arguments) -> u8 {
    if let Err(too_little) = limits::raise(matches!(arguments.command, Command::Daemon)) {
        stderr_line(format_args!("mailferry: {too_little}"));
        return ExitStatus::Temporary.code();
    }
    if let Command::Fetch(fetch) = &arguments.command {
        return fetch::run(arguments, fetch);
    }
    let polls = matches!(
        arguments.command,
        Command::Forward(_)
            | Command::Daemon
            | Command::Login(_)
            | Command::Check(_)
            | Command::Console(_)
            | Command::Setup(_)
    );
    // One that waits for signals, and one for what blocks; a daemon has them twice, for polls and for who decides, and
    // one that sees to its end.
    let beside = if matches!(arguments.command, Command::Daemon) { 6 } else { 2 };
    let runtime = match if polls { threads::runtime(beside) } else { threads::small_runtime() } {
        Ok(runtime) => runtime,
        Err(e) => return no_thread(&e).code(),
    };
    let ends_at_once =
        matches!(arguments.command, Command::Check(_) | Command::Console(_) | Command::Login(_) | Command::Uids(_));
    if ends_at_once {
        signals::end_at_once();
    }
    let code = match &arguments.command {
        Command::Fetch(fetch) => fetch::run(arguments, fetch),
        Command::Daemon => runtime.block_on(daemon::run(arguments)).code(),
        Command::Forward(forward) => runtime.block_on(forward::run(arguments, forward)),
        Command::Poll(poll) => runtime.block_on(poll::run(arguments, poll)).code(),
        Command::Login(login) => runtime.block_on(login::run(arguments, login)).code(),
        Command::Setup(setup) => runtime.block_on(setup::run(arguments, setup)).code(),
        Command::Import(import) => runtime.block_on(import::run(arguments, import)).code(),
        Command::Uids(uids) => runtime.block_on(uids::run(arguments, uids)).code(),
        Command::Check(check) => runtime.block_on(check::run(arguments, check)).code(),
        Command::Console(console) => runtime.block_on(console::run(arguments, console)).code(),
        Command::Completions(options) => completions::run(options).code(),
        Command::Man(options) => completions::man(options).code(),
        Command::Status(status) => runtime.block_on(status::run(arguments, status)).code(),
    };
    // A look-up of a name that hangs must not keep the process.
    runtime.shutdown_background();
    drop(subprocess::end_all());
    code
}

/// The system has too few threads, or files, to begin with.
fn no_thread(error: &std::io::Error) -> ExitStatus {
    let step = advice::next_step::system::step(error).unwrap_or("Try again later");
    stderr_line(format_args!("mailferry: cannot start its threads: {error}. {step}"));
    ExitStatus::Temporary
}

/// Prints what the standard library would, and waits for no reader.
fn show_panic(panic: &PanicHookInfo<'_>) {
    if !threads::is_expected(panic) {
        terminal::give_back();
        let thread = std::thread::current();
        stderr_line(format_args!("thread '{}' {panic}", thread.name().unwrap_or("unnamed")));
    }
}

/// What is wrong with a configuration, for standard error.
fn rendered(error: &ConfigError) -> String {
    error.render_within(colour(), terminal::width_of(&std::io::stderr()))
}

/// Whether errors may be shown in colour.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
