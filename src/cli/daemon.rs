//! `mailferry daemon`: stays in the foreground and polls on schedule.

use tokio::sync::mpsc;

use super::arguments::Arguments;
use super::limits;
use super::output::complain;
use super::prepare;
use super::signals::{survive_limit_on_files, tell_daemon};
use super::unread;
use crate::config::{self, Environment};
use crate::daemon::{self, Start};
use crate::exit::ExitStatus;
use crate::schedule::queue::most_polls;
use crate::standing::stamp;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments) -> ExitStatus {
    let environment = Environment::from_process();
    let prepared = prepare::configuration(arguments, &environment).and_then(|config| {
        let mut ferry = prepare::ferry(arguments, &environment, &config, "daemon")?;
        ferry.most_files = limits::for_each(most_polls(config.daemon.concurrency));
        let sockets = prepare::sockets(arguments, &environment, &config, &ferry.state_dir);
        Ok((config, ferry, sockets))
    });
    let (config, ferry, sockets) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            complain(e.render(super::colour()));
            return ExitStatus::Config;
        }
    };
    prepare::print_warnings(&config, arguments.quiet);
    let (sender, signals) = mpsc::unbounded_channel();
    let _listener = match tell_daemon(sender) {
        Ok(listener) => listener,
        Err(e) => return super::no_thread(&e),
    };
    unread::never_wait();
    survive_limit_on_files();
    super::orphans::reap();
    let path = config.path.clone();
    let config_stamp = stamp(&path);
    let load = Box::new(move || config::load(&path, &environment));
    match daemon::run(Start { config, config_stamp, ferry, load, sockets, signals }).await {
        Ok(status) => status,
        Err(e) => {
            complain(format_args!("mailferry: {e}"));
            e.exit_status()
        }
    }
}
