//! Finds the configuration and the state directory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::{ConfigError, Problem};
use super::{Config, Top};
use crate::text;

/// What is taken from the process's environment, as plain values.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The user's home directory, for `~`.
    pub home: Option<PathBuf>,
    /// `$MAILFERRY_CONFIG`.
    pub mailferry_config: Option<OsString>,
    /// `$XDG_CONFIG_HOME` or its default.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME` or its default.
    pub state_home: Option<PathBuf>,
    /// `$STATE_DIRECTORY`, which systemd sets for system services; a list separated by colons.
    pub state_directory: Option<OsString>,
    /// `$RUNTIME_DIRECTORY`, which systemd sets for system services; a list separated by colons.
    pub runtime_directory: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_home: Option<PathBuf>,
    /// The directory of system-wide configuration: `/etc`.
    pub etc: PathBuf,
    /// The directory for the sockets of system services: `/run`.
    pub run: PathBuf,
    /// The directory for the state of system services: `/var/lib`.
    pub var_lib: PathBuf,
}

impl Default for Environment {
    /// Returns an environment in which nothing is set.
    fn default() -> Self {
        Self {
            home: None,
            mailferry_config: None,
            config_home: None,
            state_home: None,
            state_directory: None,
            runtime_directory: None,
            runtime_home: None,
            run: PathBuf::from("/run"),
            etc: PathBuf::from("/etc"),
            var_lib: PathBuf::from("/var/lib"),
        }
    }
}

impl Environment {
    /// Reads the process's environment. An empty variable counts as unset.
    #[must_use]
    pub fn from_process() -> Self {
        let base = directories::BaseDirs::new();
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            home: base.as_ref().map(|dirs| dirs.home_dir().to_owned()),
            mailferry_config: variable("MAILFERRY_CONFIG"),
            config_home: base.as_ref().map(|dirs| dirs.config_dir().to_owned()),
            state_home: base.as_ref().and_then(|dirs| dirs.state_dir()).map(Path::to_owned),
            state_directory: variable("STATE_DIRECTORY"),
            runtime_directory: variable("RUNTIME_DIRECTORY"),
            runtime_home: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
            ..Self::default()
        }
    }
}

/// Finds the configuration file: the one given, else `$MAILFERRY_CONFIG`, else `mailferry/config.toml` in the user's
/// configuration directory, else `/etc/mailferry/config.toml`.
///
/// # Errors
/// If none was given and none exists; the error lists where it looked.
pub fn find(explicit: Option<&Path>, env: &Environment) -> Result<PathBuf, ConfigError> {
    let given = explicit.map(Path::to_owned).or_else(|| env.mailferry_config.clone().map(PathBuf::from));
    if let Some(path) = given {
        return Ok(path);
    }
    let home = env.config_home.as_ref().map(|dir| dir.join("mailferry/config.toml"));
    let candidates: Vec<PathBuf> = home.into_iter().chain([env.etc.join("mailferry/config.toml")]).collect();
    if let Some(path) = candidates.iter().find(|path| is_there(path)) {
        return Ok(path.clone());
    }
    let looked: Vec<String> = candidates.iter().map(|path| text::path(path)).collect();
    let target = looked.first().map(String::as_str).unwrap_or_default();
    let dir = candidates.first().and_then(|path| path.parent()).map(text::path).unwrap_or_default();
    Err(Problem::new(format!("there is no configuration: looked for {}", looked.join(" and ")))
        .help(format!(
            "run `mailferry setup`, which asks for your address and writes it. Or run `mkdir -p {dir}`, write the six lines \
             below, with your own values, into {target}, run `chmod 600` on it, and then `mailferry check`. A file elsewhere \
             is named with --config or $MAILFERRY_CONFIG"
        ))
        .below(EXAMPLE)
        .into())
}

/// The smallest configuration that contains no password.
const EXAMPLE: &str = r#"[accounts.work]
host = "pop.example.org"
username = "me@example.org"
password_command = ["pass", "show", "mail/work"]
maildir = "~/Mail/work"
leave_on_server = true"#;

/// Whether the path exists. One that cannot be examined counts, so that the user sees the error in reading it and no
/// other file is used instead.
fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

/// Returns the absolute path of the state directory: the one given, else `state_dir` in the file, else the first entry
/// of `$STATE_DIRECTORY`, else `/var/lib/mailferry` for a configuration under `/etc`, else `mailferry` in the user's
/// state directory.
///
/// # Errors
/// If there is none of these, or `$STATE_DIRECTORY` is not absolute.
pub fn state_dir(explicit: Option<&Path>, config: &Config, env: &Environment) -> Result<PathBuf, ConfigError> {
    let in_file = config.state_dir.as_deref();
    state_dir_of(explicit, in_file, config.path.starts_with(&env.etc), env)
}

/// Like [`state_dir`], from the top of the configuration alone.
///
/// # Errors
/// Those of [`state_dir`].
pub fn state_dir_by_top(explicit: Option<&Path>, top: &Top, env: &Environment) -> Result<PathBuf, ConfigError> {
    state_dir_of(explicit, top.state_dir.as_deref(), top.path.starts_with(&env.etc), env)
}

/// Guesses the state directory when the configuration cannot be read.
///
/// # Errors
/// Those of [`state_dir`].
pub fn state_dir_without(explicit: Option<&Path>, env: &Environment) -> Result<PathBuf, ConfigError> {
    let of_the_machine = find(None, env).is_ok_and(|path| path.starts_with(&env.etc));
    state_dir_of(explicit, None, of_the_machine, env)
}

fn state_dir_of(
    explicit: Option<&Path>,
    in_file: Option<&Path>,
    of_the_machine: bool,
    env: &Environment,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = explicit {
        return std::path::absolute(path).map_err(|e| {
            Problem::new(format!("cannot use the state directory given: {e}"))
                .help("give --state-dir a path that begins with /")
                .into()
        });
    }
    if let Some(path) = in_file {
        return Ok(path.to_owned());
    }
    if let Some(path) = env.state_directory.as_deref().and_then(first_of_list) {
        if path.is_absolute() {
            return Ok(path);
        }
        let shown = text::path(&path);
        return Err(Problem::new(format!("$STATE_DIRECTORY is `{shown}`, which is not an absolute path"))
            .help("unset it, or give --state-dir")
            .into());
    }
    if of_the_machine {
        return Ok(env.var_lib.join("mailferry"));
    }
    env.state_home.as_ref().map(|dir| dir.join("mailferry")).ok_or_else(|| {
        Problem::new("there is no place for the state, because the user has no home directory")
            .help("set HOME, or give --state-dir, or write state_dir = \"/path\" at the top of the configuration")
            .into()
    })
}

/// Returns the directories where a daemon's control socket may be, the preferred one first: the first entry of
/// `$RUNTIME_DIRECTORY`, else `/run/mailferry` if the state is in `/var/lib/mailferry`, else `mailferry` in
/// `$XDG_RUNTIME_DIR` if the state is in the user's default directory; and last the state directory itself.
///
/// With a state directory that was `given` on the command line, `$XDG_RUNTIME_DIR` is not used, so that two daemons of
/// one user do not share a socket.
#[must_use]
pub fn control_dirs(state_dir: &Path, given: bool, env: &Environment) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let runtime = env.runtime_directory.as_deref().and_then(first_of_list).filter(|path| path.is_absolute());
    let of_the_machine = || (state_dir == env.var_lib.join("mailferry")).then(|| env.run.join("mailferry"));
    let usual = !given && env.state_home.as_ref().is_some_and(|dir| state_dir == dir.join("mailferry"));
    let of_the_user = || env.runtime_home.as_ref().filter(|_| usual).map(|dir| dir.join("mailferry"));
    dirs.extend(runtime.or_else(of_the_machine).or_else(of_the_user));
    dirs.push(state_dir.to_owned());
    dirs
}

/// Returns the directories in which to look for the daemon of the user with this UID. A shell without
/// `$XDG_RUNTIME_DIR` (cron, `su`, ssh without PAM) also looks where the login manager would have put it.
#[must_use]
pub fn control_dirs_to_ask(state_dir: &Path, given: bool, user: u32, env: &Environment) -> Vec<PathBuf> {
    let mut dirs = control_dirs(state_dir, given, env);
    if env.runtime_home.is_none() {
        let runtime_home = Some(env.run.join(format!("user/{user}")));
        let of_the_user = Environment { runtime_home, ..env.clone() };
        let more = control_dirs(state_dir, given, &of_the_user).into_iter().filter(|dir| !dirs.contains(dir));
        dirs.extend(more.collect::<Vec<_>>());
    }
    dirs
}

/// Returns the first non-empty entry of a list separated by colons.
fn first_of_list(list: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(list).find(|path| !path.as_os_str().is_empty())
}
