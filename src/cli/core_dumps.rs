//! A core dump would hold every password that is in memory.

use rustix::process::{Resource, Rlimit, setrlimit};

/// From here on neither this process nor a program that it starts leaves a core dump.
pub(super) fn forbid() {
    // To lower a limit is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // The limit does not hold for a dump that the system hands to a program. This does, and keeps other programs of the
    // same user from reading the memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
