//! A minimal POP3 client: it sends lines and reads answers. What it retrieves is the reference for the program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection without TLS.
pub(crate) struct RawClient {
    /// The connection, buffered for reading.
    stream: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<(Self, String)> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut client = Self { stream: BufReader::new(stream) };
        let greeting = client.line()?;
        Ok((client, greeting))
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Reads a line, without its end.
    pub(crate) fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Sends a command and reads the first line of the answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.line().unwrap()
    }

    /// Sends a command and reads a multi-line answer, unstuffed, with CRLF as received.
    pub(crate) fn ask_for_lines(&mut self, command: &str) -> Vec<u8> {
        let status = self.ask(command);
        assert!(status.starts_with("+OK"), "{command}: {status}");
        let mut answer = Vec::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).unwrap();
            // A server may pass on a lone LF; only CRLF ends a line.
            while !line.ends_with(b"\r\n") {
                assert!(self.stream.read_until(b'\n', &mut line).unwrap() > 0, "{command}: the answer is cut");
            }
            if line == b".\r\n" {
                return answer;
            }
            answer.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// Reads until the server closes the connection; fails if it is reset.
    pub(crate) fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// Returns a message as it must be stored: LF for each CRLF.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\r' || rest.peek() != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}
