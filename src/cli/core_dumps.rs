//! Prevents core dumps, which would contain every password in memory.

use rustix::process::{Resource, Rlimit, setrlimit};

/// From now on, neither this process nor a program that it starts dumps core.
pub(super) fn forbid() {
    // Lowering a limit is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // The limit does not apply to dumps that the kernel pipes to a program. This flag does; it also keeps the user's
    // other programs from reading the memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
