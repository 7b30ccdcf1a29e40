//! A server that says what it is told to, in pieces. A NUL parts what it says at first and whenever it has heard
//! something. Time stands still while anybody has something to do, so a server that falls silent costs nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use mailferry::account::{Account, Endpoint};
use mailferry::config::{self, Environment};
use mailferry::net::{Connection, Dial, Dialling, NetError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

/// How often a server lets itself be dialled.
const CONNECTIONS: usize = 4;

pub fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// Returns the account of this configuration.
pub fn load(text: &str) -> Account {
    let file = std::env::temp_dir().join(format!("mailferry-fuzz-{}.toml", std::process::id()));
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

/// A server.
#[derive(Debug)]
pub struct Answers {
    all: Arc<[u8]>,
    cut: usize,
    dialled: Arc<Mutex<usize>>,
}

impl Answers {
    pub fn new(all: &[u8], cut: u8) -> Self {
        Self { all: all.into(), cut: usize::from(cut).max(1), dialled: Arc::default() }
    }
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
