//! The permissions of a Maildir.

use std::fmt;

/// The permissions of a Maildir's directories; its files get the same without execute permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirMode(u32);

/// Why permissions are invalid for a Maildir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidMaildirMode {
    /// There are bits other than those for owner, group, others and set-group-ID.
    StrangeBits,
    /// mailferry could not deliver.
    NotOurs,
    /// Every user could write.
    OpenToAll,
    /// Group or others could list it but not enter it, or the other way round.
    Half,
}

impl MaildirMode {
    /// 0700 for directories, 0600 for files: private to the user.
    pub const PRIVATE: Self = Self(0o700);

    /// Checks the permission bits of a directory.
    ///
    /// # Errors
    /// [`InvalidMaildirMode`] says which rule they break.
    pub fn new(bits: u32) -> Result<Self, InvalidMaildirMode> {
        if bits & !0o2777 != 0 {
            return Err(InvalidMaildirMode::StrangeBits);
        }
        if bits & 0o700 != 0o700 {
            return Err(InvalidMaildirMode::NotOurs);
        }
        if bits & 0o002 != 0 {
            return Err(InvalidMaildirMode::OpenToAll);
        }
        if !matches!(bits & 0o070, 0 | 0o050 | 0o070) || !matches!(bits & 0o007, 0 | 0o005) {
            return Err(InvalidMaildirMode::Half);
        }
        Ok(Self(bits))
    }

    /// Returns the permission bits of directories.
    #[must_use]
    pub fn of_directories(self) -> u32 {
        self.0
    }

    /// Returns the permission bits of files.
    #[must_use]
    pub fn of_files(self) -> u32 {
        self.0 & 0o666
    }
}

impl Default for MaildirMode {
    fn default() -> Self {
        Self::PRIVATE
    }
}

impl fmt::Display for InvalidMaildirMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StrangeBits => "has bits beside the permissions and set-group-ID (2000)",
            Self::NotOurs => "does not let mailferry itself read, write and enter the Maildir",
            Self::OpenToAll => "lets every user write",
            Self::Half => "lets somebody read without entering, or enter without reading",
        })
    }
}

impl std::error::Error for InvalidMaildirMode {}

#[cfg(test)]
mod tests {
    use super::{InvalidMaildirMode, MaildirMode};

    #[test]
    fn files_have_the_permissions_of_their_directories_without_the_right_to_execute() {
        for (directories, files) in
            [(0o700, 0o600), (0o750, 0o640), (0o770, 0o660), (0o755, 0o644), (0o2770, 0o660), (0o2700, 0o600)]
        {
            let mode = MaildirMode::new(directories).unwrap();
            assert_eq!((mode.of_directories(), mode.of_files()), (directories, files), "{directories:o}");
        }
        assert_eq!(MaildirMode::default(), MaildirMode::new(0o700).unwrap());
    }

    #[test]
    fn what_would_open_or_break_a_maildir_is_refused() {
        use InvalidMaildirMode::{Half, NotOurs, OpenToAll, StrangeBits};
        for (bits, expected) in [
            (0o777, OpenToAll),
            (0o772, OpenToAll),
            (0o600, NotOurs),
            (0o070, NotOurs),
            (0, NotOurs),
            (0o1700, StrangeBits),
            (0o4700, StrangeBits),
            (0o10700, StrangeBits),
            (0o740, Half),
            (0o710, Half),
            (0o730, Half),
            (0o751, Half),
            (0o754, Half),
        ] {
            assert_eq!(MaildirMode::new(bits), Err(expected), "{bits:o}");
        }
    }
}
