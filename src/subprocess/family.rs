//! A command and all that it started, to be ended together.
//!
//! Without a terminal a command is a process group of its own, and signals go to the group. With a controlling terminal it
//! stays in our group: a group of its own would be in the background there, and be stopped as soon as it asks for a
//! passphrase (SIGTTIN, SIGTTOU). To hand the terminal over to it would take Ctrl-C away from us, and could serve only one
//! of several commands. So there, and for what has left its group, members are known by a mark in their environment, which
//! is inherited.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::threads::blocking;

/// The variable that marks the members. Not among those that begin with `MAILFERRY_`: it tells nobody anything.
const MARK: &str = "_MAILFERRY_COMMAND";

/// How long a command that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How often to look whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// How long a killed command may take to go: one that the system cannot end must not keep its turn.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// So many times those are killed that were started meanwhile.
const ROUNDS: u32 = 20;

/// Those that run now: they end with this process, however that ends in order.
static UNDER_WAY: Mutex<Vec<Family>> = Mutex::new(Vec::new());

/// The processes of a command.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The command's own process.
    leader: Pid,
    /// Whether it leads a process group of its own.
    grouped: bool,
    /// The variable that each member has in its environment, with its value.
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
        let family = Self { leader, grouped, mark: format!("{MARK}={value}") };
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).push(family.clone());
        Ok((child, family))
    }

    /// It has ended: what is left of it is the user's.
    pub(super) fn let_go(&self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other.mark != self.mark);
    }

    /// Asks all of them to end, and kills those that have not a little later.
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
        // Another one may be started while these are killed.
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

    /// Ends them without waiting, because nobody is interested any more.
    pub(super) fn abandon(&self) {
        // At a terminal it gets the chance to put that back in order: it may have switched the echo off.
        self.signal(if self.grouped { Signal::KILL } else { Signal::TERM });
        if !self.grouped {
            // It has not been waited for, so the number is still its own.
            let _ = kill_process(self.leader, Signal::TERM);
        }
    }

    /// Signals them, off the runtime's threads: looking for members reads many files.
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
            // What is stopped, because it wanted to read from a terminal, does not hear anything before it goes on.
            let _ = kill_process(member, Signal::CONT);
        }
    }

    /// Whether somebody is left in the group. As long as there is, its number is not given to anybody else.
    fn has_group(&self) -> bool {
        self.grouped && test_kill_process_group(self.leader).is_ok()
    }

    /// The processes that have the mark. Those of other users cannot be seen, nor ended.
    fn marked(&self) -> impl Iterator<Item = Pid> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|octet| *octet == 0).any(|variable| variable == self.mark.as_bytes()).then_some(pid)
        })
    }
}

/// Ends all commands that run now without waiting, because this process ends. As long as the answer lives, nobody goes on
/// who waited for one of them.
pub(super) fn abandon_all() -> MutexGuard<'static, Vec<Family>> {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    under_way.drain(..).for_each(|family| family.abandon());
    under_way
}

/// Whether this process has a controlling terminal.
pub(crate) fn has_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
