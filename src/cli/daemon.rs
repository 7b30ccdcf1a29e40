//! `mailferry daemon`: stays in the foreground and polls on schedule.

use std::path::Path;

use tokio::sync::mpsc;

use super::arguments::Arguments;
use super::limits;
use super::output::stderr_line;
use super::prepare;
use super::signals::{survive_limit_on_files, tell_daemon};
use super::unread;
use crate::account_record::stamp;
use crate::advice::commands::common::ENABLE;
use crate::advice::{self, Class};
use crate::config::{self, Config, ConfigError, Environment};
use crate::daemon::{self, Load, Start};
use crate::exit::ExitStatus;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments) -> ExitStatus {
    let environment = Environment::from_process();
    let prepared = prepare::configuration(arguments, &environment).and_then(|config| {
        let context = prepare::context(arguments, &environment, &config, "daemon")?;
        let sockets = prepare::sockets(arguments, &environment, &config, &context.state_dir);
        Ok((config, context, sockets))
    });
    let (config, context, sockets) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            stderr_line(super::rendered(&e));
            return ExitStatus::Config;
        }
    };
    prepare::print_warnings(&config, arguments.quiet);
    if !arguments.quiet && !config.accounts.iter().any(|account| account.enabled) {
        stderr_line(format_args!("mailferry: no account is enabled; {ENABLE}"));
    }
    let (sender, signals) = mpsc::unbounded_channel();
    let _listener = match tell_daemon(sender) {
        Ok(listener) => listener,
        Err(e) => return super::no_thread(&e),
    };
    if let Err(e) = unread::never_wait() {
        return super::no_thread(&e);
    }
    survive_limit_on_files();
    super::orphans::reap();
    let path = config.path.clone();
    let config_stamp = stamp(&path);
    let (given, in_force) = (arguments.state_dir.clone(), context.state_dir.clone());
    let load: Load = Box::new(move |share| {
        let (config, accounts) = config::load_each(&path, &environment, share)?;
        Ok((warned(config, &environment, given.as_deref(), &in_force)?, accounts))
    });
    let most_passes = limits::for_passes();
    match daemon::run(Start { config, config_stamp, context, most_passes, load, sockets, signals }).await {
        Ok(status) => status,
        Err(e) => {
            stderr_line(format_args!("mailferry: {}", advice::told_of_start(&e)));
            Class::of_start(&e).exit_status()
        }
    }
}

/// Prepares a configuration that was reloaded, for a daemon that uses the state directory `in_force`; `given` is the
/// one of its command line.
fn warned(
    mut config: Config,
    environment: &Environment,
    given: Option<&Path>,
    in_force: &Path,
) -> Result<Config, ConfigError> {
    let wanted = config::state_dir(given, &config, environment)?;
    if wanted != in_force {
        config.warnings.push(format!(
            "{}: the state directory is {} now, which takes a restart; until then it is {}",
            config.path.display(),
            wanted.display(),
            in_force.display()
        ));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "[accounts.a]\nhost = \"pop.example.org\"\nusername = \"jo\"\npassword_command = [\"pw\"]\n\
                           maildir = \"/mail\"\n";

    #[test]
    fn another_state_directory_is_said_to_take_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let warnings = |text: &str, given: Option<&str>| {
            std::fs::write(&path, format!("{text}{ACCOUNT}")).unwrap();
            let environment = Environment::default();
            let config = config::load(&path, &environment).unwrap();
            warned(config, &environment, given.map(Path::new), Path::new("/a")).unwrap().warnings
        };
        assert!(warnings("state_dir = \"/a\"\n", None).is_empty());
        let changed = warnings("state_dir = \"/b\"\n", None);
        assert!(changed.len() == 1 && changed[0].contains("is /b now, which takes a restart"), "{changed:?}");
        assert!(warnings("state_dir = \"/b\"\n", Some("/a")).is_empty(), "the command line stands above it");
    }
}
