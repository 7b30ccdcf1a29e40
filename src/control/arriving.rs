//! Reads a status while it arrives: each account is passed on as soon as it is complete, so that not all of them have
//! to be held.

use std::io;

use super::protocol::Response;
use super::status::{AccountStatus, Status};

/// Receives a status as it arrives.
pub trait StatusReader {
    /// Receives the head of the document. It comes first, without accounts.
    fn head(&mut self, head: Status);

    /// Receives the next account.
    fn account(&mut self, account: AccountStatus);
}

/// The key of the list of accounts.
const KEY: &[u8] = b"\"accounts\"";

/// The nesting depth inside the list of accounts.
const IN_LIST: u32 = 2;

/// An answer, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// What has arrived but is not complete: the head or an account.
    text: Vec<u8>,
    part: Part,
    depth: Depth,
}

/// Where in the answer the next octet is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// Before the accounts, or in an answer without accounts.
    #[default]
    Head,
    /// In the list of accounts.
    Accounts,
    /// After the list, where a newer daemon may send more.
    Tail,
}

impl Arriving {
    /// Takes more of the answer, and passes on what is complete.
    pub(super) fn take_in(&mut self, octets: &[u8], reader: &mut impl StatusReader) -> io::Result<()> {
        for &octet in octets {
            let before = self.depth.count;
            self.depth.pass(octet);
            let now = self.depth.count;
            match self.part {
                Part::Head => {
                    self.text.push(octet);
                    if octet == b'[' && before < now && now == IN_LIST && self.is_behind_key() {
                        self.give_head(reader)?;
                    }
                }
                Part::Accounts if now < IN_LIST => self.part = Part::Tail,
                Part::Accounts if before > IN_LIST || now > IN_LIST => {
                    self.text.push(octet);
                    if now == IN_LIST {
                        reader.account(serde_json::from_slice(&self.text)?);
                        self.text.clear();
                    }
                }
                // Anything between two accounts or after them.
                Part::Accounts | Part::Tail => {}
            }
        }
        Ok(())
    }

    /// Ends the answer. None: it was a status, and was passed on.
    pub(super) fn finish(self) -> io::Result<Option<Response>> {
        match self.part {
            Part::Head if self.text.is_empty() => {
                Err(io::Error::other("it closed the connection; it answers only the user it runs as, and root"))
            }
            Part::Head => Ok(Some(serde_json::from_slice(&self.text)?)),
            Part::Tail if self.depth.count == 0 => Ok(None),
            Part::Accounts | Part::Tail => Err(io::Error::other("it broke off in the middle of its answer")),
        }
    }

    /// Whether the last bracket opens the list of accounts.
    fn is_behind_key(&self) -> bool {
        let key = self.text.strip_suffix(b"[").and_then(|text| text.trim_ascii_end().strip_suffix(b":"));
        key.is_some_and(|text| text.trim_ascii_end().ends_with(KEY))
    }

    fn give_head(&mut self, reader: &mut impl StatusReader) -> io::Result<()> {
        self.text.extend_from_slice(b"]}");
        match serde_json::from_slice(&self.text)? {
            Response::Status(head) => reader.head(*head),
            _ => return Err(io::Error::other("it gave another answer")),
        }
        self.text.clear();
        self.part = Part::Accounts;
        Ok(())
    }
}

/// The nesting depth in a JSON text.
#[derive(Debug, Default)]
struct Depth {
    /// How many brackets and braces are open.
    count: u32,
    /// Whether in a string, where they do not count.
    in_string: bool,
    /// Whether after a backslash in a string.
    is_escaped: bool,
}

impl Depth {
    fn pass(&mut self, octet: u8) {
        match octet {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.in_string => self.is_escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'[' | b'{' => self.count = self.count.saturating_add(1),
            b']' | b'}' => self.count = self.count.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::examples::{account, status};

    /// Reads the whole status.
    #[derive(Debug, Default)]
    struct Whole(Option<Status>);

    impl StatusReader for Whole {
        fn head(&mut self, head: Status) {
            assert!(self.0.is_none() && head.accounts.is_empty());
            self.0 = Some(head);
        }

        fn account(&mut self, account: AccountStatus) {
            self.0.as_mut().unwrap().accounts.push(account);
        }
    }

    fn read(text: &str, size: usize) -> io::Result<(Option<Status>, Option<Response>)> {
        let (mut arriving, mut whole) = (Arriving::default(), Whole::default());
        for piece in text.as_bytes().chunks(size) {
            arriving.take_in(piece, &mut whole)?;
        }
        Ok((whole.0, arriving.finish()?))
    }

    #[test]
    fn a_status_is_read_in_any_pieces_and_whatever_stands_in_it() {
        for names in [&[][..], &["a"], &["a", "b", "c"]] {
            let mut whole = status(names.iter().map(|name| account(name)).collect());
            whole.config_problem = Some("a \"quoted\" \\ and {[ \"accounts\":[ in it\n".to_owned());
            if let Some(first) = whole.accounts.first_mut() {
                first.next_poll_why = "]}\\\"{[".to_owned();
            }
            let text = serde_json::to_string(&Response::Status(Box::new(whole.clone()))).unwrap();
            let more = text.strip_suffix('}').map(|text| format!("{text},\"later\":[{{}}]}}\n")).unwrap();
            let pretty = serde_json::to_string_pretty(&Response::Status(Box::new(whole.clone()))).unwrap();
            for text in [text, more, pretty] {
                for size in [1, 2, 7, 100_000] {
                    assert_eq!(read(&text, size).unwrap(), (Some(whole.clone()), None), "{size}: {text}");
                }
            }
        }
    }

    #[test]
    fn another_answer_is_given_back_and_a_broken_one_is_an_error() {
        let other = Response::NotUnderstood { why: "[no".to_owned() };
        let text = serde_json::to_string(&other).unwrap();
        assert_eq!(read(&text, 3).unwrap(), (None, Some(other)));
        let whole = serde_json::to_string(&Response::Status(Box::new(status(vec![account("a")])))).unwrap();
        for (length, _) in whole.char_indices() {
            let (part, _) = whole.split_at(length);
            assert!(read(part, 1000).is_err(), "{part}");
        }
        assert!(read("", 1).unwrap_err().to_string().contains("only the user it runs as"));
    }
}
