//! Processes that are started for the user: without what is private to this one, and with their last words kept.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use secrecy::zeroize::Zeroize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::credential::printable;

/// How much of what a command wrote is kept: its end, where the reason usually stands.
const KEPT: usize = 2 * 1024;

/// How long to go on listening to a command that has ended. What it wrote is in the pipe already; an agent that it
/// started may hold the pipe open for days.
const GRACE: Duration = Duration::from_millis(100);

/// What systemd tells this process about itself. A child that believed it could report in our name or read our
/// credentials.
const NOT_INHERITED: [&str; 16] = [
    "NOTIFY_SOCKET",
    "CREDENTIALS_DIRECTORY",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
];

/// A command, ready to be started without a shell: nothing to read, pipes for what it writes, and killed when it is
/// dropped. What systemd told this process and our own `MAILFERRY_` variables are not in its environment.
pub(crate) fn prepare(program: &OsStr, arguments: &[OsString]) -> Command {
    prepare_from(program, arguments, std::env::vars_os().map(|(name, _)| name))
}

/// The same; `inherited` are the names of the environment's variables.
fn prepare_from(program: &OsStr, arguments: &[OsString], inherited: impl Iterator<Item = OsString>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in inherited {
        let ours = name.as_encoded_bytes().starts_with(b"MAILFERRY_");
        if ours || NOT_INHERITED.iter().any(|private| *private == name) {
            command.env_remove(name);
        }
    }
    command
}

/// Waits for `end`, and listens meanwhile, so that a command cannot get stuck on a full pipe; then for [`GRACE`] more.
pub(crate) async fn heed<T>(end: impl Future<Output = T>, listening: impl Future<Output = ()>) -> T {
    let over = Notify::new();
    let end = async {
        let ended = end.await;
        over.notify_one();
        ended
    };
    let grace = async {
        over.notified().await;
        tokio::time::sleep(GRACE).await;
    };
    let listening = async {
        tokio::select! {
            biased;
            () = listening => {}
            () = grace => {}
        }
    };
    tokio::join!(end, listening).0
}

/// The last bytes of a stream.
#[derive(Default)]
pub(crate) struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads to the end and keeps the last bytes.
    pub(crate) async fn listen(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            self.0.extend(buffer.get(..n).unwrap_or_default());
            let surplus = self.0.len().saturating_sub(KEPT);
            self.0.drain(..surplus);
        }
        buffer.zeroize();
    }

    /// What is kept, without blanks around it, escaped.
    pub(crate) fn text(&mut self) -> String {
        printable(String::from_utf8_lossy(self.0.make_contiguous()).trim())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::prepare_from;

    #[test]
    fn what_systemd_told_us_and_our_own_settings_are_not_inherited() {
        let names = ["PATH", "HOME", "NOTIFY_SOCKET", "MAINPID", "MAILFERRY_CONFIG", "MAILFERRY", "STATE_DIRECTORY"];
        let command = prepare_from(OsStr::new("true"), &[], names.iter().map(OsString::from));
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, v)| v.is_none()).map(|(n, _)| n).collect();
        assert_eq!(removed, ["MAILFERRY_CONFIG", "MAINPID", "NOTIFY_SOCKET", "STATE_DIRECTORY"]);
    }
}
