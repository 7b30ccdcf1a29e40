//! Whole sessions: whatever a server says, in whatever pieces, the client comes to an end and shows no password.
//!
//! The first octet chooses how the account logs in, the second how the answers are cut. A NUL parts the rest into what
//! the server says at first and whenever it has heard something. Time stands still while anybody has something to do,
//! so a server that falls silent costs nothing.

#![no_main]

#[path = "../answers.rs"]
mod answers;

use std::cell::RefCell;

use answers::{Answers, load, runtime};
use libfuzzer_sys::fuzz_target;
use mailferry::account::{Account, AuthChoice};
use mailferry::client::listing::{look, open};
use mailferry::client::login::{CachedCapabilities, log_in};
use mailferry::client::{Client, ClientError};
use mailferry::pop3::{Command, Event, MessageNumber};
use mailferry::secret::Secret;
use tokio::runtime::Runtime;

/// Nobody says this by chance.
const PASSWORD: &str = "Zq7-xVw-93k";

/// A session that takes so many events is one that goes on.
const EVENTS: usize = 100_000;

thread_local! {
    static RUNTIME: RefCell<Option<(Runtime, Account)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let [login, cut, server @ ..] = input else { return };
    RUNTIME.with_borrow_mut(|made| {
        let (runtime, account) = made.get_or_insert_with(|| (runtime(), account()));
        account.auth = match login % 4 {
            0 => AuthChoice::Auto,
            1 => AuthChoice::Plain,
            2 => AuthChoice::User,
            _ => AuthChoice::Apop,
        };
        let answers = Answers::new(server, *cut);
        let one_at_a_time = login & 4 != 0;
        if let Err(error) = runtime.block_on(session(account, &answers, one_at_a_time)) {
            let shown = error.to_string();
            assert!(!shown.contains(PASSWORD), "a password is shown: {shown}");
            assert!(!shown.contains(char::is_control), "a control character is shown: {shown:?}");
        }
    });
});

fn account() -> Account {
    let text = format!(
        "[accounts.fuzz]\nhost = \"pop.example.org\"\ntls = \"none\"\nallow_cleartext_password = true\n\
         username = \"jo\"\npassword = \"{PASSWORD}\"\nmaildir = \"/nowhere\"\n"
    );
    load(&text)
}

/// What the program does with a server, up to the end.
async fn session(account: &Account, answers: &Answers, one_at_a_time: bool) -> Result<(), ClientError> {
    let cached = CachedCapabilities { one_at_a_time, ..CachedCapabilities::default() };
    let password = Secret::new(PASSWORD.into());
    let logged_in = log_in(answers, account, &password, &cached).await.map_err(|refused| refused.error)?;
    let opened = open(logged_in, &cached).await.map_err(|refused| refused.error)?;
    let mut client = opened.client;
    let listed = opened.maildrop.messages.iter().map(|listed| listed.number);
    let numbers: Vec<MessageNumber> = listed.take(3).collect();
    look(&mut client, &opened.maildrop, &numbers).await?;
    for number in numbers {
        client.ask(Command::Retr(number))?;
    }
    retrieve(&mut client).await?;
    client.quit().await.map(|_| ())
}

async fn retrieve(client: &mut Client) -> Result<(), ClientError> {
    for _ in 0..EVENTS {
        if client.outstanding() == 0 {
            return Ok(());
        }
        if let Event::Data(range) = client.event().await? {
            assert_eq!(client.bytes(range.clone()).len(), range.len());
        }
    }
    panic!("it goes on and on");
}
