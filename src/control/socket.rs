//! Where the socket is.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file name of the socket.
pub const NAME: &str = "control.sock";

/// How often to check that the socket still exists: someone may clean up old files.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// The maximum length of a socket's path, in bytes: `sun_path` of unix(7) without its NUL.
const LONGEST_PATH: usize = 107;

/// Returns a path for the socket in a directory that fits into a socket address; valid as long as `opened` is open.
pub(super) fn address(dir: &Path, opened: &File) -> PathBuf {
    let path = dir.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH {
        return path;
    }
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd()))
}

/// Opens a directory, so that a socket in it can be reached through a short path.
pub(super) fn open_dir(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)
}
