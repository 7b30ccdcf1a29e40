//! The five accounts, and the mail that they get.

use crate::mail::small;
use crate::program::{self, TestEnv};
use crate::scripted::maildrop::{Behaviour, Maildrop, Message};

/// One in this many messages is large.
const LARGE_EVERY: usize = 29;

/// What happens to a message on the server once it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// It stays.
    Keeps,
    /// It is deleted.
    Deletes,
    /// The server deletes it by itself at QUIT.
    Expires,
}

/// An account and its server.
pub(super) struct Account {
    pub(super) name: &'static str,
    /// Its Maildir, below `Mail`.
    pub(super) maildir: &'static str,
    pub(super) policy: Policy,
    pub(super) maildrop: Maildrop,
    /// Its configuration.
    configured: program::Account,
    /// The numbers of the messages that have arrived.
    pub(super) sent: Vec<usize>,
    /// How many rounds in a row may have made one of its messages fail.
    pub(super) spoilt: u8,
}

/// Makes the five accounts.
pub(super) fn five(env: &TestEnv) -> Vec<Account> {
    let account = |name: &'static str, maildir: &'static str, policy, change: fn(&mut Behaviour)| {
        let maildrop = Maildrop::with(Vec::new(), change);
        let configured = program::Account::at(maildrop.server.address).named(name).text("timeout", "5s");
        let configured = configured.text("maildir", env.maildir(maildir).to_str().unwrap());
        let configured = if policy == Policy::Deletes { configured.deleting() } else { configured };
        Account { name, maildir, policy, maildrop, configured, sent: Vec::new(), spoilt: 0 }
    };
    vec![
        account("keep", "keep", Policy::Keeps, |_| {}),
        account("delete", "delete", Policy::Deletes, |_| {}),
        account("expire", "expire", Policy::Expires, |behaviour| behaviour.expire_0 = true),
        account("plain", "shared", Policy::Keeps, |behaviour| behaviour.pipelining = false),
        account("shared", "shared", Policy::Deletes, |_| {}),
    ]
}

/// Writes the configuration with the accounts whose numbers are wanted; the interval is in seconds.
pub(super) fn configure(env: &TestEnv, accounts: &[Account], wanted: impl Fn(usize) -> bool, interval: u32) {
    let wanted = accounts.iter().enumerate().filter(|(number, _)| wanted(*number));
    let accounts: Vec<_> =
        wanted.map(|(_, account)| account.configured.clone().text("interval", &format!("{interval}s"))).collect();
    env.configure(&accounts);
}

impl Account {
    /// Adds a message on the server.
    pub(super) fn send(&mut self, number: usize) {
        let message = Message::new(&format!("u{number}"), &content(number));
        self.maildrop.change(|contents| contents.messages.push(message));
        self.sent.push(number);
    }

    /// Returns how often messages were retrieved in full.
    pub(super) fn retrieved(&self) -> usize {
        self.maildrop.change(|contents| contents.retrieved.values().sum())
    }

    /// Returns about how many octets the server will send in the next session.
    pub(super) fn ahead(&self) -> u64 {
        self.maildrop.change(|contents| {
            let is_new = |message: &&Message| !contents.retrieved.contains_key(&message.uid);
            let messages: u64 = contents.messages.iter().filter(is_new).map(Message::size).sum();
            let listing = 20 * u64::try_from(contents.messages.len()).unwrap();
            300 + listing + messages
        })
    }
}

/// Returns a message as it is on its server.
fn content(number: usize) -> Vec<u8> {
    if !number.is_multiple_of(LARGE_EVERY) {
        return small(number);
    }
    let line = format!("This line is one of many in message {number}.\r\n");
    let header = format!("Message-ID: <{number}@example.org>\r\nSubject: large {number}\r\n\r\n");
    (header + &line.repeat(150_000 / line.len())).into_bytes()
}

/// Returns a message as it is in a Maildir.
pub(super) fn stored(number: usize) -> Vec<u8> {
    crate::raw::stored(&content(number))
}
