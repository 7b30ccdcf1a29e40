//! Logs go to standard error; what they show is chosen by -v and -q.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::arguments::Arguments;
use super::output::Log;

/// Begins logging. A second call in the same process changes nothing.
pub(super) fn begin(arguments: &Arguments) {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    // The verifier logs every certificate that it refuses; our errors say the same in better words.
    let filter = EnvFilter::new(format!("warn,mailferry={level},rustls_platform_verifier=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log)
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && super::colour())
        .with_target(false)
        .without_time();
    // It fails if there is a log already, and that one serves.
    let _ = log.try_init();
}
