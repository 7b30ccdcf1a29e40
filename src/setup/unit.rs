//! The daemon as a systemd user service.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::write::{create_private, make_private_dir};

/// The unit file that is distributed.
const UNIT: &str = include_str!("../../systemd/user/mailferry.service");

/// What is needed to run the daemon as this user's service.
#[derive(Debug)]
pub(crate) struct UserUnit {
    /// Where to write the unit. None: systemd has it already.
    pub missing: Option<PathBuf>,
    /// Whether the service is running.
    pub is_active: bool,
}

impl UserUnit {
    /// Queries the user's service manager. Returns None if there is none. Blocks.
    pub(crate) fn look(config_home: &Path) -> Option<Self> {
        let state = query(&["is-system-running"])?;
        if !matches!(state.as_str(), "running" | "degraded" | "starting") {
            return None;
        }
        let is_known = query(&["list-unit-files", "--no-legend", "mailferry.service"])?.contains("mailferry.service");
        Some(Self {
            missing: (!is_known).then(|| config_home.join("systemd/user/mailferry.service")),
            is_active: query(&["is-active", "mailferry.service"])? == "active",
        })
    }

    /// Returns the commands as a user would type them.
    pub(crate) fn commands(&self) -> Vec<&'static str> {
        match (self.is_active, &self.missing) {
            (true, _) => vec!["systemctl --user reload mailferry"],
            (false, None) => vec!["systemctl --user enable --now mailferry"],
            (false, Some(_)) => vec!["systemctl --user daemon-reload", "systemctl --user enable --now mailferry"],
        }
    }

    /// Returns the unit for a program at this path.
    fn text(program: &Path) -> String {
        let known = ["/usr/local/bin/mailferry", "/usr/bin/mailferry"].iter().any(|place| program == Path::new(place));
        if known {
            return UNIT.to_owned();
        }
        let program = program.to_string_lossy().replace('%', "%%");
        UNIT.replace("ExecStart=mailferry daemon", &format!("ExecStart=\"{program}\" daemon"))
            .replace("ExecReload=mailferry check", &format!("ExecReload=\"{program}\" check"))
    }

    /// Writes the unit if it is missing, and runs the commands. Blocks.
    ///
    /// # Errors
    /// What failed, in words.
    pub(crate) fn enable(&self, program: &Path) -> Result<(), String> {
        if let Some(path) = &self.missing {
            let written = || {
                make_private_dir(path.parent().unwrap_or(Path::new("/")))?;
                create_private(path, Self::text(program).as_bytes())
            };
            match written() {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(format!("cannot write {}: {}", path.display(), crate::text::system(&e)));
                }
                _ => {}
            }
        }
        for line in self.commands() {
            let mut words = line.split(' ');
            let status = Command::new(words.next().unwrap_or_default()).args(words).stdin(Stdio::null()).status();
            match status {
                Ok(status) if status.success() => {}
                Ok(_) => return Err(format!("`{line}` failed; its message is above")),
                Err(e) => return Err(format!("`{line}` cannot be run: {}", crate::text::system(&e))),
            }
        }
        Ok(())
    }
}

/// Returns the command that makes a running daemon reload its configuration. Reads the control group of the process.
pub(crate) fn reload_command(pid: u32) -> String {
    reload_in(pid, &std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

/// Returns the command, given the control group: as a service of ours, the process has a unit.
fn reload_in(pid: u32, cgroup: &str) -> String {
    let path = cgroup.lines().next().and_then(|line| line.rsplit(':').next()).unwrap_or_default();
    let unit = path.rsplit('/').next().and_then(|unit| unit.strip_suffix(".service"));
    match unit.filter(|unit| *unit == "mailferry" || unit.starts_with("mailferry@")) {
        Some(unit) if path.contains("/user@") => format!("systemctl --user reload {unit}"),
        Some(unit) => format!("systemctl reload {unit}"),
        None => format!("kill -HUP {pid}"),
    }
}

/// Returns the output of `systemctl --user`, or None if it cannot be run.
fn query(arguments: &[&str]) -> Option<String> {
    let output = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_reloaded_as_it_was_started() {
        for (cgroup, command) in [
            ("0::/system.slice/mailferry.service\n", "systemctl reload mailferry"),
            ("0::/system.slice/system-mailferry.slice/mailferry@jo.service\n", "systemctl reload mailferry@jo"),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/mailferry.service\n",
                "systemctl --user reload mailferry",
            ),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", "kill -HUP 7"),
            ("0::/system.slice/cron.service\n", "kill -HUP 7"),
            ("", "kill -HUP 7"),
        ] {
            assert_eq!(reload_in(7, cgroup), command, "{cgroup}");
        }
    }

    #[test]
    fn the_unit_finds_a_program_that_is_elsewhere() {
        assert_eq!(UserUnit::text(Path::new("/usr/bin/mailferry")), UNIT);
        let text = UserUnit::text(Path::new("/home/jo/50% bin/mailferry"));
        assert!(text.contains("\nExecStart=\"/home/jo/50%% bin/mailferry\" daemon\n"), "{text}");
        assert!(text.contains("\nExecReload=\"/home/jo/50%% bin/mailferry\" check "), "{text}");
    }
}
