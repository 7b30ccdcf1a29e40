//! Whole sessions: whatever a server says, in whatever pieces, the client comes to an end and shows no password.
//!
//! The first octet chooses how the account logs in, the second how the answers are cut. A NUL parts the rest into what
//! the server says at first and whenever it has heard something. Time stands still while anybody has something to do,
//! so a server that falls silent costs nothing.

#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use mailferry::account::{Account, AuthChoice, Endpoint};
use mailferry::client::listing::{look, open};
use mailferry::client::login::{CachedCapabilities, log_in};
use mailferry::client::{Client, ClientError};
use mailferry::config::{self, Environment};
use mailferry::net::{Connection, Dial, Dialling, NetError};
use mailferry::pop3::{Command, Event, MessageNumber};
use mailferry::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

/// Nobody says this by chance.
const PASSWORD: &str = "Zq7-xVw-93k";

/// A session that takes so many events is one that goes on.
const EVENTS: usize = 100_000;

/// How often a server lets itself be dialled.
const CONNECTIONS: usize = 4;

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
        let answers = Answers { all: server.into(), cut: usize::from(*cut).max(1), dialled: Arc::default() };
        let one_at_a_time = login & 4 != 0;
        if let Err(error) = runtime.block_on(session(account, &answers, one_at_a_time)) {
            let shown = error.to_string();
            assert!(!shown.contains(PASSWORD), "a password is shown: {shown}");
            assert!(!shown.contains(char::is_control), "a control character is shown: {shown:?}");
        }
    });
});

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

fn account() -> Account {
    let text = format!(
        "[accounts.fuzz]\nhost = \"pop.example.org\"\ntls = \"none\"\nallow_cleartext_password = true\n\
         username = \"jo\"\npassword = \"{PASSWORD}\"\nmaildir = \"/nowhere\"\n"
    );
    let file = std::env::temp_dir().join(format!("mailferry-fuzz-client-{}.toml", std::process::id()));
    let _ = std::fs::remove_file(&file);
    {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&file).expect("the file is made");
        file.write_all(text.as_bytes()).expect("the file is written");
    }
    let config = config::load(&file, &Environment::default());
    let _ = std::fs::remove_file(&file);
    let config = config.unwrap_or_else(|error| panic!("{}", error.render(false)));
    config.accounts.into_iter().next().expect("an account")
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

/// A server.
#[derive(Debug)]
struct Answers {
    all: Arc<[u8]>,
    cut: usize,
    dialled: Arc<Mutex<usize>>,
}

impl Dial for Answers {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        avoid: &'a [SocketAddr],
    ) -> Dialling<'a, Result<Connection, NetError>> {
        let mut dialled = self.dialled.lock().expect("nobody panicked");
        *dialled += 1;
        if !avoid.is_empty() || *dialled > CONNECTIONS {
            let host = endpoint.host.clone();
            return Box::pin(async move { Err(NetError::NoAddress { host }) });
        }
        let (ours, theirs) = tokio::io::duplex(1 << 14);
        tokio::spawn(serve(theirs, Arc::clone(&self.all), self.cut));
        let peer = SocketAddr::from(([127, 0, 0, 1], 110));
        Box::pin(async move { Ok(Connection::in_clear(ours, peer)) })
    }

    fn start_tls<'a>(&'a self, _: &'a Endpoint, connection: Connection) -> Dialling<'a, Result<Connection, NetError>> {
        Box::pin(async move { Ok(connection) })
    }

    fn speaks_tls<'a>(&'a self, _: SocketAddr, _: &'a Endpoint) -> Dialling<'a, bool> {
        Box::pin(async { false })
    }
}

async fn serve(mut stream: DuplexStream, all: Arc<[u8]>, cut: usize) {
    let mut heard = vec![0; 1 << 12];
    for answer in all.split(|&octet| octet == 0) {
        for piece in answer.chunks(cut) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if !matches!(stream.read(&mut heard).await, Ok(1..)) {
            return;
        }
    }
}
