//! A server that plays a list of steps and knows no POP3: what it expects, what it sends, when it breaks off.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::{Faults, Server, Wire};

/// One step of a dialogue.
#[derive(Clone)]
pub(crate) enum Step {
    /// The next line must be this one.
    Expect(&'static str),
    /// The next line must begin with this.
    ExpectPrefix(&'static str),
    /// Send these bytes.
    Send(Vec<u8>),
    /// Pause for this long.
    Pause(Duration),
    /// Stall until the test releases the server.
    Stall,
    /// Start TLS.
    StartTls(Arc<ServerConfig>),
    /// Close the connection in order.
    Close,
    /// Reset the connection.
    Reset,
}

impl Step {
    /// Sends a line, given without its CRLF.
    pub(crate) fn say(line: &str) -> Self {
        Self::Send(format!("{line}\r\n").into_bytes())
    }
}

/// Plays the same steps on every connection.
pub(crate) fn serve(steps: Vec<Step>) -> Server {
    serve_in_chunks(steps, None)
}

/// Plays the same steps on every connection and sends in pieces of `chunk` bytes.
pub(crate) fn serve_in_chunks(steps: Vec<Step>, chunk: Option<usize>) -> Server {
    Server::start(Arc::new(move |wire: &mut Wire| {
        wire.faults = Faults { chunk, ..Faults::default() };
        for step in &steps {
            if play(wire, step).is_none() {
                break;
            }
        }
    }))
}

/// Plays a step; `None` when the dialogue is over.
fn play(wire: &mut Wire, step: &Step) -> Option<()> {
    match step {
        Step::Expect(wanted) => {
            let line = wire.line();
            if line.as_deref() == Some(*wanted) { Some(()) } else { mismatch(wire, wanted, line) }
        }
        Step::ExpectPrefix(wanted) => {
            let line = wire.line();
            if line.as_deref().is_some_and(|line| line.starts_with(wanted)) {
                Some(())
            } else {
                mismatch(wire, wanted, line)
            }
        }
        Step::Send(bytes) => wire.send(bytes),
        Step::Pause(time) => {
            std::thread::sleep(*time);
            Some(())
        }
        Step::Stall => wire.stall(),
        Step::StartTls(config) => wire.start_tls(config),
        Step::Close => {
            wire.close();
            None
        }
        Step::Reset => {
            wire.reset();
            None
        }
    }
}

/// Records that the client did not follow the dialogue; the server then closes the connection.
fn mismatch(wire: &mut Wire, wanted: &str, got: Option<String>) -> Option<()> {
    let text = format!("expected {wanted:?}, got {got:?}");
    wire.note(|entry| entry.mismatch = Some(text));
    None
}

/// Returns the first line of a client that did not follow the dialogue.
pub(crate) fn first_mismatch(server: &Server) -> Option<String> {
    server.sessions().into_iter().find_map(|session| session.mismatch)
}
