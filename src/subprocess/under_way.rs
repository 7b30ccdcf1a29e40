//! The commands that run now. They are ended when this process ends in an orderly way.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::process::Child;

use super::family::Family;

/// How long the end of this process waits for a command that is just being started: until the system has answered,
/// nobody knows which process to end. On a disk that hangs the answer may never come.
const LAST_START: Duration = Duration::from_millis(500);

/// The commands of this process.
pub(super) static UNDER_WAY: UnderWay = UnderWay::new();

/// Commands from before their start until they have ended.
#[derive(Debug)]
pub(super) struct UnderWay {
    commands: Mutex<Commands>,
    /// A start has been answered.
    answered: Condvar,
}

/// What is guarded. While an end holds it, no command begins, and none that ends goes on to tell so.
#[derive(Debug)]
pub(super) struct Commands {
    /// The number of commands that the system has been asked to start, and has not answered for.
    starting: usize,
    /// Those that have been started.
    running: Vec<Family>,
}

impl UnderWay {
    pub(super) const fn new() -> Self {
        Self { commands: Mutex::new(Commands { starting: 0, running: Vec::new() }), answered: Condvar::new() }
    }

    /// Starts a command that an end from now on will find.
    pub(super) fn start(&self, start: impl FnOnce() -> io::Result<(Child, Family)>) -> io::Result<(Child, Family)> {
        self.lock().starting += 1;
        let started = start();
        let mut commands = self.lock();
        commands.starting -= 1;
        if let Ok((_, family)) = &started {
            commands.running.push(family.clone());
        }
        self.answered.notify_all();
        started
    }

    /// Forgets a command that has ended: processes that it left behind are the user's.
    pub(super) fn let_go(&self, family: &Family) {
        self.lock().running.retain(|other| !other.is(family));
    }

    /// Ends all commands without waiting for them, because this process ends. While the returned guard is held, code
    /// that waited for one of them does not continue.
    pub(super) fn abandon_all(&self) -> MutexGuard<'_, Commands> {
        let waited = self.answered.wait_timeout_while(self.lock(), LAST_START, |commands| commands.starting > 0);
        let (mut commands, _) = waited.unwrap_or_else(PoisonError::into_inner);
        commands.running.drain(..).for_each(|family| family.abandon());
        commands
    }

    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
