//! The command line: parses what users type and prints the results; decides nothing.

mod account_names;
mod arguments;
mod check;
mod commands_in;
mod completions;
mod confirm;
mod console;
mod core_dumps;
mod daemon;
mod dry_run;
mod fetch;
mod forward;
mod import;
mod journal;
mod keys;
mod layout;
mod limits;
mod log_lines;
mod log_writer;
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
mod unwritten;
mod wrapped;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;

use clap::Parser as _;
use clap::error::ErrorKind;
use tokio::runtime::Runtime;

use crate::config::ConfigError;
use crate::exit::ExitStatus;
use crate::{advice, subprocess, text, threads};
use arguments::{Arguments, Command};
use output::stderr_line;

/// Runs a command line, program name first, and prints the results.
///
/// Returns the exit code: see [`ExitStatus`], and `fetch --fetchmail-exit-codes` for others.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = arguments.into_iter().collect();
    threads::with_enough_stack(move || run_words(words)).unwrap_or_else(|e| no_thread(&e).code())
}

/// Runs a command line.
fn run_words(words: Vec<OsString>) -> u8 {
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
            let fetchmail_codes = arguments::ask_for_fetchmail_codes(&words);
            if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                unwritten::unless_failed(|| e.print().and_then(|()| io::stdout().flush()));
                return complete(ExitStatus::Ok.code(), fetchmail_codes);
            }
            // If even this cannot be printed, nothing can be done.
            let _ = e.print();
            return fetch::failed_before_polling(ExitStatus::Usage, fetchmail_codes);
        }
    };
    if matches!(arguments.command, Command::Daemon) {
        limits::give_large_blocks_back(&words);
    }
    logging::begin(&arguments);
    let code = run_command(&arguments);
    unread::finish();
    complete(code, matches!(&arguments.command, Command::Fetch(fetch) if fetch.fetchmail_exit_codes))
}

/// Returns the exit code: another one than `code` if that were to say that all is well, but a part of the answer is
/// missing on standard output.
fn complete(code: u8, fetchmail_codes: bool) -> u8 {
    let Some(error) = unwritten::why() else { return code };
    stderr_line(format_args!("mailferry: cannot write to standard output: {}", text::system(error)));
    unread::finish();
    match fetchmail_codes {
        true => advice::fetchmail::without_output(code),
        false if code == ExitStatus::Ok.code() => ExitStatus::Temporary.code(),
        false => code,
    }
}

fn run_command(arguments: &Arguments) -> u8 {
    if let Err(too_little) = limits::raise(matches!(arguments.command, Command::Daemon)) {
        stderr_line(format_args!("mailferry: {too_little}"));
        return ExitStatus::Temporary.code();
    }
    // How many threads are needed besides those that poll: one waits for signals, one is for blocking calls. A daemon
    // has five more: the supervisor and one for its blocking calls, one that ensures that the daemon ends, one that
    // reads the configuration, and one that writes the log.
    let that_polls = |daemon: bool| threads::runtime(if daemon { 7 } else { 2 });
    match &arguments.command {
        // It makes its runtime itself, once it knows the number of polls.
        Command::Fetch(fetch) => fetch::run(arguments, fetch),
        Command::Daemon => run_in(that_polls(true), daemon::run(arguments)),
        Command::Forward(forward) => run_in(that_polls(false), forward::run(arguments, forward)),
        Command::Poll(poll) => run_in(threads::small_runtime(), poll::run(arguments, poll)),
        Command::Login(login) => run_until_signal(that_polls(false), login::run(arguments, login)),
        Command::Setup(setup) => run_in(that_polls(false), setup::run(arguments, setup)),
        Command::Import(import) => run_in(threads::small_runtime(), import::run(arguments, import)),
        Command::Uids(uids) => run_until_signal(threads::small_runtime(), uids::run(arguments, uids)),
        Command::Check(check) => run_until_signal(that_polls(false), check::run(arguments, check)),
        Command::Console(console) => run_until_signal(that_polls(false), console::run(arguments, console)),
        Command::Completions(options) => completions::run(options).code(),
        Command::Man(options) => completions::man(options).code(),
        Command::Status(status) => run_in(threads::small_runtime(), status::run(arguments, status)),
    }
}

/// Runs a command in its runtime.
fn run_in<S: Into<u8>>(runtime: io::Result<Runtime>, command: impl Future<Output = S>) -> u8 {
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => return no_thread(&e).code(),
    };
    let code = runtime.block_on(command).into();
    // A name lookup that hangs must not keep the process alive.
    runtime.shutdown_background();
    drop(subprocess::end_all());
    code
}

/// Like [`run_in`], for a command that a signal ends at once.
fn run_until_signal<S: Into<u8>>(runtime: io::Result<Runtime>, command: impl Future<Output = S>) -> u8 {
    if runtime.is_ok() {
        signals::end_at_once();
    }
    run_in(runtime, command)
}

/// Reports that the system has too few threads or files to start.
fn no_thread(error: &io::Error) -> ExitStatus {
    let step = advice::next_step::system::step(error).unwrap_or(advice::next_step::TRY_LATER);
    stderr_line(format_args!("mailferry: cannot start its threads: {error}. {step}"));
    ExitStatus::Temporary
}

/// Prints what the standard library would print, but does not wait for a reader.
fn show_panic(panic: &PanicHookInfo<'_>) {
    if !threads::is_expected(panic) {
        terminal::give_back();
        let thread = std::thread::current();
        stderr_line(format_args!("thread '{}' {panic}", thread.name().unwrap_or("unnamed")));
    }
}

/// Renders a configuration error for standard error.
fn rendered(error: &ConfigError) -> String {
    error.render_within(colour(), terminal::width_of(&io::stderr()))
}

/// Whether errors are shown in colour.
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
