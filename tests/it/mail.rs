//! Messages: a corpus of real ones, and odd ones made here.

use std::fs;
use std::path::Path;

use crate::scripted::maildrop::Message;

/// The 57 real messages, by name.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mail");
    let index = fs::read_to_string(root.join("INDEX.tsv")).unwrap();
    let names = index.lines().skip(1).map(|line| line.split('\t').next().unwrap().to_owned());
    let messages: Vec<_> = names.map(|name| (name.clone(), fs::read(root.join(name)).unwrap())).collect();
    assert_eq!(messages.len(), 57, "the corpus is complete");
    messages
}

/// Messages with features that no real one of the corpus has.
pub(crate) fn odd_ones() -> Vec<Vec<u8>> {
    let header = b"Message-ID: <odd@example.org>\nSubject: odd\n\n";
    let with = |body: &[u8]| [header.as_slice(), body].concat();
    let mut all = vec![
        Vec::new(),
        b"\n".to_vec(),
        b"Subject: header only\n".to_vec(),
        b"Subject: header only, no newline".to_vec(),
        b".\n..\n...\n.\n".to_vec(),
        with(b".\n..\n...\n.text\n.\n"),
        with(b"no newline at the end"),
        with(b"."),
        with(b"a dot at the end\n."),
        with(b"nul \0 and \0\0 more\n\0\n"),
        with(&(128..=255).collect::<Vec<u8>>()),
        with(b"a lone CR \r in the middle\nand CR at the end\r\n\r\rthree\r\n"),
        with(b"\n\n\n\n"),
    ];
    all.push(with(&[&[b'x'; 100_000], b"\n".as_slice(), &[b'.'; 100_000], b"\n"].concat()));
    all.push(with(".\n".repeat(50_000).as_bytes()));
    all
}

/// Returns small message `n`, which differs from all others in content and size.
pub(crate) fn small(n: usize) -> Vec<u8> {
    format!("Message-ID: <{n}@example.org>\r\nSubject: message {n}\r\n\r\nThis is {n}.{}\r\n", "!".repeat(n % 97))
        .into_bytes()
}

/// Returns `count` small messages for a scripted server, with unique-ids u1, u2 and so on.
pub(crate) fn small_ones(count: usize) -> Vec<Message> {
    (1..=count).map(|n| Message::new(&format!("u{n}"), &small(n))).collect()
}

/// Returns small messages 1 to `count` as they are stored in a Maildir, sorted.
pub(crate) fn small_ones_stored(count: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (1..=count).map(|n| crate::raw::stored(&small(n))).collect();
    all.sort();
    all
}

/// Returns a thousand messages of mixed sizes, most of them small.
pub(crate) fn thousand_mixed() -> Vec<Vec<u8>> {
    (0..1000)
        .map(|n| {
            let lines = [2, 5, 20, 40, 3, 12, 7, 90][n % 8] + n / 50;
            let line = format!("Line of message {n}, which is not like the others.\n");
            format!("Message-ID: <{n}@example.org>\nSubject: {n}\n\n{}", line.repeat(lines)).into_bytes()
        })
        .collect()
}
