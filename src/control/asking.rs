//! The client's side: asks the daemon.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::arriving::{Arriving, StatusReader};
use super::protocol::{Request, Response, TIMEOUT};
use super::socket::{NAME, address, open_dir};
use crate::daemon_error::AskError;

/// How much of an answer is read at a time, in bytes.
const READ: usize = 64 << 10;

/// Asks the daemon whose socket is in the first of these directories that has one.
///
/// # Errors
/// [`AskError`].
pub async fn ask(dirs: &[PathBuf], request: &Request) -> Result<Response, AskError> {
    let (socket, stream) = connect(dirs).await?;
    let answer = tokio::time::timeout(3 * TIMEOUT + request.timeout(), converse(stream, request)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answer.map_err(|e| AskError::NoAnswer { socket, why: e.to_string() })
}

/// Asks the daemon for the status of these accounts, of all if none is named, and reads it as it arrives. Returns the
/// answer if it is not a status.
///
/// # Errors
/// [`AskError`]; part of the status may have been read.
pub async fn ask_status(
    dirs: &[PathBuf],
    accounts: &[String],
    reader: &mut impl StatusReader,
) -> Result<Option<Response>, AskError> {
    let (socket, stream) = connect(dirs).await?;
    let answer = read_status(stream, &Request::status_of(accounts), reader).await;
    answer.map_err(|e| AskError::NoAnswer { socket, why: e.to_string() })
}

async fn connect(dirs: &[PathBuf]) -> Result<(PathBuf, UnixStream), AskError> {
    let mut looked = Vec::new();
    for dir in dirs {
        let socket = dir.join(NAME);
        let Ok(opened) = open_dir(dir) else {
            looked.push(socket);
            continue;
        };
        match UnixStream::connect(address(dir, &opened)).await {
            Ok(stream) => return Ok((socket, stream)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                looked.push(socket);
            }
            Err(e) => return Err(AskError::NoAnswer { socket, why: e.to_string() }),
        }
    }
    Err(AskError::NoDaemon { looked })
}

async fn read_status(
    mut stream: UnixStream,
    request: &Request,
    reader: &mut impl StatusReader,
) -> io::Result<Option<Response>> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    let silence = 3 * TIMEOUT + request.timeout();
    let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(silence, stream.write_all(&text)).await.map_err(timed_out)??;
    let (mut arriving, mut octets) = (Arriving::default(), vec![0; READ]);
    loop {
        let read = tokio::time::timeout(silence, stream.read(&mut octets)).await.map_err(timed_out)??;
        match octets.get(..read) {
            None | Some([]) => return arriving.finish(),
            Some(octets) => arriving.take_in(octets, reader)?,
        }
    }
}

async fn converse(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::other("it closed the connection; it answers only the user it runs as, and root"));
    }
    Ok(serde_json::from_slice(&answer)?)
}
