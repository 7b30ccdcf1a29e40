//! Decides which log lines are written and where: to standard error as text or JSON, or to the journal with fields. -v
//! and -q set the level.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use super::arguments::{Arguments, Command, LogFormat};
use super::journal;
use super::log_lines::{Lines, Message};
use super::output::Log;
use crate::forward::SET_ASIDE;

/// Sets up logging. A second call in the same process changes nothing.
pub(super) fn begin(arguments: &Arguments) {
    let daemon = matches!(arguments.command, Command::Daemon);
    // The first -v of `check` shows its steps.
    let verbose = arguments.verbose.saturating_sub(u8::from(matches!(arguments.command, Command::Check(_))));
    let level = match (arguments.quiet, verbose) {
        // What `fetch` prints as an error, a daemon can only log.
        (true, _) if daemon => LevelFilter::WARN,
        (true, _) => LevelFilter::ERROR,
        // A daemon logs what it does; a command prints that itself.
        (false, 0) if daemon => LevelFilter::INFO,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // Lines of libraries are for debugging. The verifier logs every certificate that it refuses, and rustls each alert;
    // our own errors say the same more clearly.
    let others = if verbose > 0 { LevelFilter::WARN } else { LevelFilter::OFF };
    let tls = if verbose > 1 { LevelFilter::WARN } else { LevelFilter::OFF };
    // A command's report has it, with what to do.
    let set_aside = if daemon || verbose > 0 { level } else { LevelFilter::OFF };
    let targets =
        [("mailferry", level), (SET_ASIDE, set_aside), ("rustls", tls), ("rustls_platform_verifier", LevelFilter::OFF)];
    let filter = Targets::new().with_default(others).with_targets(targets);
    let journal = match arguments.log_format {
        LogFormat::Journald => true,
        LogFormat::Auto => daemon && leads_to_the_journal(),
        LogFormat::Text | LogFormat::Json => false,
    };
    let journal = if journal { journal::begin().ok() } else { None };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match journal {
        Some(journal) => Box::new(journal),
        None if arguments.log_format == LogFormat::Json => Box::new(
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(|| Log).log_internal_errors(false),
        ),
        None => {
            // The journal adds its own timestamps.
            let timed = !leads_to_the_journal();
            let lines = if daemon { Lines::Daemon { timed } } else { Lines::Command };
            Box::new(
                tracing_subscriber::fmt::layer()
                    .with_writer(|| Log)
                    .log_internal_errors(false)
                    .with_ansi(std::io::stderr().is_terminal() && super::colour())
                    .fmt_fields(Message)
                    .event_format(lines),
            )
        }
    };
    // It fails if logging is set up already, which is fine.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

/// Whether standard error goes to the journal (`$JOURNAL_STREAM`, systemd.exec(5)).
fn leads_to_the_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(here) = rustix::fs::fstat(std::io::stderr().as_fd()) else { return false };
    stream.to_str() == Some(format!("{}:{}", here.st_dev, here.st_ino).as_str())
}
