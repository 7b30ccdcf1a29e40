//! What is there instead of a file of ours.

use std::fmt;
use std::io;

/// What stands where a regular file is expected. The inner error of an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAFile {
    /// A symbolic link, which is not followed.
    Link,
    /// A directory, a pipe, a socket or a device.
    Special,
}

impl NotAFile {
    /// Returns it if that is why an operation failed.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "it is a symbolic link",
            Self::Special => "it is not a regular file",
        })
    }
}

impl std::error::Error for NotAFile {}
