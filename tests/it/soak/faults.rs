//! Faults that strike one account, once or for the length of a round.

use std::fs;
use std::path::{Path, PathBuf};

use super::accounts::Account;
use crate::program::TestEnv;
use crate::scripted::Faults;

/// A line that is no POP3 response, with bytes that must not reach a terminal. It only replaces responses that do not
/// concern a message: after a message it would mean that the message was not complete, and the message would be fetched
/// again.
const GARBAGE: &str = "\u{1b}[31m%?#\u{7} what\r\n";

/// Responses that refuse a login.
const REFUSALS: [&str; 5] = [
    "-ERR [SYS/TEMP] try later",
    "-ERR [AUTH] wrong user name or password",
    "-ERR [IN-USE] maildrop locked",
    "-ERR no",
    "-ERR [LOGIN-DELAY] too soon",
];

/// What follows when a server has stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It continues.
    Released,
    /// It stays silent: the client has to give up.
    Silence,
    /// It continues, but the Maildir has disappeared meanwhile.
    MaildirGoes,
}

/// A fault.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The greeting is a refusal.
    Greeting,
    /// Every login is refused with this response.
    Login(&'static str),
    /// This command is answered with garbage.
    Garbage(&'static str),
    /// The newest message cannot be retrieved.
    Retr,
    /// The next session is cut off.
    Cut {
        /// After this many bytes.
        after: u64,
        /// Whether by a reset.
        reset: bool,
    },
    /// The server stalls in the next session.
    Stall {
        /// After this many bytes.
        after: u64,
        /// What follows.
        then: Then,
    },
    /// The Maildir is missing.
    NoMaildir,
    /// The Maildir's `tmp/` is a file.
    NoTmp,
    /// The state file is a directory.
    NoState,
}

impl Fault {
    /// Draws a fault.
    pub(super) fn draw(rng: &mut fastrand::Rng, account: &Account) -> Self {
        let after = rng.u64(0..account.ahead());
        match rng.u8(0..20) {
            0 => Self::Greeting,
            1..=3 => Self::Login(REFUSALS[rng.usize(0..REFUSALS.len())]),
            4 | 5 => Self::Garbage(["STAT", "UIDL", "LIST", "CAPA"][rng.usize(0..4)]),
            6 | 7 => Self::Retr,
            8..=11 => Self::Cut { after, reset: rng.bool() },
            12 | 13 => Self::Stall { after, then: Then::Released },
            14 => Self::Stall { after, then: Then::Silence },
            15 | 16 => Self::Stall { after, then: Then::MaildirGoes },
            17 => Self::NoMaildir,
            18 => Self::NoTmp,
            _ => Self::NoState,
        }
    }

    /// Returns how often, at most, it makes the same message fail: in the requested poll, and in one that was due
    /// anyway.
    pub(super) fn weight(&self) -> u8 {
        if matches!(self, Self::Retr) { 2 } else { 1 }
    }

    /// Whether it strikes all accounts of the Maildir.
    pub(super) fn is_of_the_maildir(&self) -> bool {
        matches!(self, Self::NoMaildir | Self::NoTmp | Self::Stall { then: Then::MaildirGoes, .. })
    }

    /// Causes the fault.
    pub(super) fn begin(&self, env: &TestEnv, account: &Account) {
        let next = |faults| account.maildrop.change(|contents| contents.behaviour.next_faults = Some(faults));
        match self {
            Self::Greeting => {
                let greeting = "-ERR [SYS/TEMP] not now".to_owned();
                account.maildrop.change(|contents| contents.behaviour.greeting = greeting);
            }
            Self::Login(answer) => {
                account.maildrop.change(|contents| contents.behaviour.login_answer = Some((*answer).to_owned()));
            }
            Self::Garbage(command) => {
                let answer = ((*command).to_owned(), GARBAGE.to_owned());
                account.maildrop.change(|contents| contents.behaviour.answers.push(answer));
            }
            Self::Retr => account.maildrop.change(|contents| {
                let last = contents.messages.last_mut();
                last.into_iter().for_each(|message| message.refusal = Some("-ERR cannot open it".to_owned()));
            }),
            Self::Cut { after, reset } => {
                next(Faults { cut_after: Some(*after), reset: *reset, ..Faults::default() });
            }
            Self::Stall { after, .. } => next(Faults { stall_after: Some(*after), ..Faults::default() }),
            Self::NoMaildir => put_away(&env.maildir(account.maildir)),
            Self::NoTmp => {
                let tmp = env.maildir(account.maildir).join("tmp");
                put_away(&tmp);
                fs::write(&tmp, "not a directory").unwrap();
            }
            Self::NoState => {
                let file = state(env, account);
                put_away(&file);
                fs::create_dir(&file).unwrap();
            }
        }
    }

    /// Ends the fault.
    pub(super) fn end(&self, env: &TestEnv, account: &Account) {
        account.maildrop.change(|contents| {
            "+OK ready".clone_into(&mut contents.behaviour.greeting);
            contents.behaviour.login_answer = None;
            contents.behaviour.answers.clear();
            contents.behaviour.next_faults = None;
            contents.messages.iter_mut().for_each(|message| message.refusal = None);
        });
        match self {
            Self::NoMaildir | Self::Stall { then: Then::MaildirGoes, .. } => bring_back(&env.maildir(account.maildir)),
            Self::NoTmp => {
                let tmp = env.maildir(account.maildir).join("tmp");
                fs::remove_file(&tmp).unwrap();
                bring_back(&tmp);
            }
            Self::NoState => {
                let file = state(env, account);
                fs::remove_dir(&file).unwrap();
                bring_back(&file);
            }
            _ => {}
        }
    }
}

fn state(env: &TestEnv, account: &Account) -> PathBuf {
    env.path("state").join(format!("{}.uids", account.name))
}

/// Renames something for a while.
pub(super) fn put_away(path: &Path) {
    fs::rename(path, away(path)).unwrap();
}

/// Renames it back, if it was put away. Nothing may have been created in its place.
fn bring_back(path: &Path) {
    if away(path).exists() {
        assert!(!path.exists(), "{} was created again while it was away", path.display());
        fs::rename(away(path), path).unwrap();
    }
}

fn away(path: &Path) -> PathBuf {
    path.with_extension("away")
}
