//! Destinations that mail is forwarded to: whatever an IMAP or LMTP server answers, in whatever pieces, looking at it
//! comes to an end and shows no password.
//!
//! The first octet chooses the protocol and how the account logs in, the second how the answers are cut. The rest is what
//! the server says.

#![no_main]

#[path = "../answers.rs"]
mod answers;

use std::cell::RefCell;
use std::sync::Arc;

use answers::{Answers, load, runtime};
use libfuzzer_sys::fuzz_target;
use mailferry::account::{Account, AuthChoice, Forward, ForwardTo};
use mailferry::clock::RealClock;
use mailferry::credential::CredentialEnvironment;
use mailferry::disk::RealDisk;
use mailferry::forward::{Probed, probe};
use mailferry::maildir::names::NameSource;
use mailferry::poll::PollContext;
use tokio::runtime::Runtime;

/// Nobody says this by chance.
const PASSWORD: &str = "Zq7-xVw-93k";

thread_local! {
    static RUNTIME: RefCell<Option<(Runtime, Account, Account)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let [kind, cut, server @ ..] = input else { return };
    RUNTIME.with_borrow_mut(|made| {
        let (runtime, imap, lmtp) = made.get_or_insert_with(|| (runtime(), to_imap(), to_lmtp()));
        let account = if kind & 1 == 0 { imap } else { lmtp };
        let mut forward = Forward::clone(account.forward.as_ref().expect("it forwards"));
        if let ForwardTo::Imap(to) = &mut forward.to {
            to.auth = match kind >> 1 & 3 {
                0 => AuthChoice::Auto,
                1 => AuthChoice::Plain,
                2 => AuthChoice::User,
                _ => AuthChoice::XOAuth2,
            };
        }
        let shown = look(runtime, account, &forward, Answers::new(server, *cut));
        assert!(kind & 1 != 0 || !shown.contains(PASSWORD), "a password is shown: {shown}");
        assert!(!shown.contains(char::is_control), "a control character is shown: {shown:?}");
    });
});

/// Looks whether the destination would take mail. Returns what people are told of it.
fn look(runtime: &Runtime, account: &Account, forward: &Forward, answers: Answers) -> String {
    let context = PollContext {
        dialer: Arc::new(answers),
        disk: Arc::new(RealDisk),
        clock: Arc::new(RealClock::new()),
        names: Arc::new(NameSource::new(1, b"fuzz")),
        state_dir: "/nowhere".into(),
        credentials: CredentialEnvironment::default(),
        holder: String::new(),
        configured_accounts: Arc::default(),
        most_files: 64,
        promised_space: Arc::default(),
        shared: Arc::default(),
    };
    match runtime.block_on(probe(Arc::new(context.of_process()), account, forward)) {
        Ok(Probed::NoMailboxYet { response, .. } | Probed::NoSuchName { response, .. }) => response.unwrap_or_default(),
        Ok(Probed::Takes | Probed::IsThere(_)) => String::new(),
        Err(error) => error.to_string(),
    }
}

fn to_imap() -> Account {
    to(&format!(
        "imap = {{ host = \"imap.example.org\", username = \"jo\", password = \"{PASSWORD}\", tls = \"none\", \
         allow_cleartext_password = true, mailbox = \"Archive/Entwürfe\" }}"
    ))
}

fn to_lmtp() -> Account {
    to("lmtp = { host = \"mail.example.org\", port = 24, recipient = \"jo@example.org\" }")
}

fn to(destination: &str) -> Account {
    load(&format!(
        "[accounts.fuzz]\nhost = \"pop.example.org\"\nusername = \"jo\"\npassword = \"x\"\n\
         [accounts.fuzz.forward]\n{destination}\n"
    ))
}
