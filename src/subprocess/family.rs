//! A command and everything that it started, which end together.
//!
//! Without a terminal a command gets its own process group, and signals go to the group. With a controlling terminal it
//! stays in our group: a group of its own would be in the background there, and be stopped as soon as it asks for a
//! passphrase (SIGTTIN, SIGTTOU). Handing the terminal over to it would take Ctrl-C away from us, and could serve only
//! one of several commands. So with a terminal, and for processes that have left the group, members are known by a mark
//! in their environment, which is inherited.

use std::io;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::threads::blocking;

/// The variable that marks the members. It does not begin with `MAILFERRY_`, because it is not meant for the command.
const MARK: &str = "_MAILFERRY_COMMAND";

/// How long a command that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How often to check whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// How long to wait for a command that was killed: one that the system cannot end must not block others.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// How many rounds of killing there are for processes that are started meanwhile.
const ROUNDS: u32 = 20;

/// The processes of a command.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The command's own process.
    leader: Pid,
    /// Whether it leads a process group of its own.
    grouped: bool,
    /// The variable with its value that each member has in its environment.
    mark: String,
}

impl Family {
    /// Starts a command, in a process group of its own or in ours.
    pub(super) fn start(command: &mut Command, grouped: bool) -> io::Result<(Child, Self)> {
        let value = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        command.env(MARK, &value);
        if grouped {
            command.process_group(0);
        }
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader = leader.ok_or_else(|| io::Error::other("it has no process id"))?;
        Ok((child, Self { leader, grouped, mark: format!("{MARK}={value}") }))
    }

    /// Whether both are the processes of one command.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.mark == other.mark
    }

    /// Asks all processes to end, and kills those that have not ended a little later.
    pub(super) async fn end(&self, child: &mut Child) {
        self.tell(Signal::TERM).await;
        let gone = async {
            let _ = child.wait().await;
            while !self.is_gone().await {
                sleep(LOOK).await;
            }
        };
        if timeout(GRACE, gone).await.is_ok() {
            return;
        }
        // A process may be started while the others are killed.
        for _ in 0..ROUNDS {
            let _ = child.start_kill();
            self.tell(Signal::KILL).await;
            if self.is_gone().await {
                break;
            }
            sleep(LOOK).await;
        }
        let _ = timeout(LAST_BREATH, child.wait()).await;
    }

    /// Ends the processes without waiting for them.
    pub(super) fn abandon(&self) {
        // At a terminal the command gets the chance to restore it: it may have switched the echo off.
        self.signal(if self.grouped { Signal::KILL } else { Signal::TERM });
        if !self.grouped {
            // The child has not been waited for, so its process id is still its own.
            let _ = kill_process(self.leader, Signal::TERM);
        }
    }

    /// Signals the processes on another thread, because looking for members reads many files.
    async fn tell(&self, signal: Signal) {
        let family = self.clone();
        let _ = blocking(move || family.signal(signal)).await;
    }

    async fn is_gone(&self) -> bool {
        let family = self.clone();
        blocking(move || !family.has_group() && family.marked().next().is_none()).await.unwrap_or(true)
    }

    fn signal(&self, signal: Signal) {
        if self.has_group() {
            let _ = kill_process_group(self.leader, signal);
        }
        for member in self.marked() {
            let _ = kill_process(member, signal);
            // A process that was stopped because it tried to use the terminal handles no signal until it is continued.
            let _ = kill_process(member, Signal::CONT);
        }
    }

    /// Whether the group has any process left. Until it is empty, its id is not reused.
    fn has_group(&self) -> bool {
        self.grouped && test_kill_process_group(self.leader).is_ok()
    }

    /// Finds the processes that have the mark. Processes of other users cannot be seen or signalled.
    fn marked(&self) -> impl Iterator<Item = Pid> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|octet| *octet == 0).any(|variable| variable == self.mark.as_bytes()).then_some(pid)
        })
    }
}

/// Whether this process has a controlling terminal.
pub(crate) fn has_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
