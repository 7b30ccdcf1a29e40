//! However TCP splits the server's bytes, the same messages are stored.

use crate::delivered::assert_same_mail;
use crate::mail::odd_ones;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Maildrop, Message};

/// Returns odd messages with CRLF line ends, small enough to be sent byte by byte.
fn messages() -> Vec<Vec<u8>> {
    let with_crlf = |message: &Vec<u8>| {
        let lines: Vec<_> = message.split_inclusive(|&byte| byte == b'\n').collect();
        let crlf = |line: &&[u8]| [line.strip_suffix(b"\n").unwrap_or(line), b"\r\n"].concat();
        lines.iter().map(crlf).collect::<Vec<_>>().concat()
    };
    odd_ones().iter().filter(|message| message.len() < 1000).map(with_crlf).collect()
}

/// Fetches them from a server that sends pieces of this size; returns what is in the Maildir then.
fn fetched_in_chunks_of(chunk: Option<usize>) -> Vec<Vec<u8>> {
    let numbered = messages().into_iter().enumerate();
    let on_server = numbered.map(|(number, message)| Message::new(&format!("u{number}"), &message)).collect();
    let maildrop = Maildrop::with(on_server, |behaviour| behaviour.chunk = chunk);
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    env.mail()
}

#[test]
fn any_chunking_gives_the_same_mail() {
    let mut expected: Vec<_> = messages().iter().map(|message| stored(message)).collect();
    expected.sort();
    for chunk in [None, Some(1), Some(2), Some(3), Some(7), Some(1000)] {
        assert_same_mail(&fetched_in_chunks_of(chunk), &expected);
    }
}
