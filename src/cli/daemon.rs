//! `mailferry daemon`: stays in the foreground and polls on schedule.

use tokio::sync::mpsc;

use super::arguments::Arguments;
use super::open_files;
use super::output::complain;
use super::prepare;
use super::signals::{survive_limit_on_files, tell_daemon};
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
        ferry.most_files = open_files::for_each(most_polls(config.daemon.concurrency));
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
    let _listener = tell_daemon(sender);
    survive_limit_on_files();
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
