//! The exit statuses. Scripts depend on these numbers.

/// How a command ended. The numbers are from `sysexits.h` where it has a suitable one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// Everything that was listed has been dealt with.
    Ok = 0,
    /// Some messages could not be fetched or delivered; the others were.
    Partial = 1,
    /// The command line is wrong.
    Usage = 64,
    /// No trusted, encrypted connection could be made.
    Tls = 69,
    /// The Maildir or the state cannot be used.
    Local = 73,
    /// It may work later.
    Temporary = 75,
    /// The server does not speak POP3 as it should.
    Protocol = 76,
    /// The server refused the login.
    Auth = 77,
    /// The configuration is wrong.
    Config = 78,
    /// Ended in an orderly way by an interrupt (SIGINT).
    Interrupted = 130,
    /// Ended in an orderly way by a request to terminate (SIGTERM).
    Terminated = 143,
}

impl From<ExitStatus> for u8 {
    fn from(status: ExitStatus) -> Self {
        status.code()
    }
}

impl ExitStatus {
    /// Returns the number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the worse of two: the one to report if several accounts ended differently.
    #[must_use]
    pub(crate) fn worst(self, other: Self) -> Self {
        if self.badness() >= other.badness() { self } else { other }
    }

    /// Returns the rank for [`Self::worst`]: a signal, then 64, 78, 73, 77, 69, 76, 75, 1, 0.
    const fn badness(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Partial => 1,
            Self::Temporary => 2,
            Self::Protocol => 3,
            Self::Tls => 4,
            Self::Auth => 5,
            Self::Local => 6,
            Self::Config => 7,
            Self::Usage => 8,
            Self::Terminated => 9,
            Self::Interrupted => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExitStatus::{Auth, Config, Interrupted, Local, Ok, Partial, Protocol, Temporary, Tls};

    #[test]
    fn the_worst_account_counts() {
        let order = [Config, Local, Auth, Tls, Protocol, Temporary, Partial, Ok];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[i..] {
                assert_eq!(worse.worst(*better), *worse);
                assert_eq!(better.worst(*worse), *worse);
            }
        }
        assert_eq!(Interrupted.worst(Config), Interrupted);
    }

    #[test]
    fn numbers_are_the_documented_ones() {
        let codes = [Ok, Partial, Tls, Local, Temporary, Protocol, Auth, Config].map(ExitStatus::code);
        assert_eq!(codes, [0, 1, 69, 73, 75, 76, 77, 78]);
    }

    use super::ExitStatus;
}
