//! Forwards mail to a local mail server by LMTP (RFC 2033), one message and one recipient per transaction.
//!
//! Only the reply after the final dot counts. If it is lost, the message is sent again: no message is ever lost, and
//! each lost reply makes at most one more copy. `X-Mailferry-Id`, if the user wants it, is the same in all copies.

use std::sync::Arc;
use std::time::Duration;

use rustix::system::uname;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::arrived::{Arrived, FinalReply};
use super::error::{ForwardError, OtherProtocol, RefusalKind};
use super::letter::{Letter, delivery_id, file};
use super::pass::{Pass, words};
use super::spool::Spooled;
use super::turns::Weight;
use super::wire::{Wire, WireError};
use crate::account::{LmtpDestination, LmtpServer};
use crate::client::Dialogue;
use crate::net::Stream;
use crate::text;

/// How long the reply after the final dot may take: a server may run filters first (RFC 5321, section 4.5.3.2.6).
const LONG_ANSWER: Duration = Duration::from_secs(10 * 60);

/// How long to wait for the last reply of a server that has closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The most lines of one reply.
const MOST_LINES: usize = 100;

/// How much of a reply's text is kept, in octets.
const MOST_TEXT: usize = 16 << 10;

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reply {
    /// The reply code.
    code: u16,
    /// The text of all lines, joined by blanks and escaped.
    text: String,
}

impl Reply {
    /// Whether the command was carried out (RFC 5321, section 4.2.1).
    fn is_done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether the message may follow.
    fn is_go_on(&self) -> bool {
        self.code == 354
    }

    fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Makes the error for a reply that does not fit its command: there was one reply too many, or one too few.
    fn out_of_step(&self, doing: &'static str) -> ForwardError {
        ForwardError::OutOfStep { doing, what: self.words() }
    }

    /// Whether the server is about to close the connection (RFC 5321, section 4.2.1).
    fn is_end(&self) -> bool {
        self.code == 421
    }

    fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    fn refusal_kind(&self) -> RefusalKind {
        match self.code {
            550 => RefusalKind::MailboxUnavailable,
            _ if self.is_permanent() => RefusalKind::Lasting,
            _ => RefusalKind::Passing,
        }
    }

    fn words(&self) -> String {
        words(&format!("{} {}", self.code, self.text))
    }

    /// Whether the recipient's mailbox or the server's disk is full, which may change (RFC 3463, X.2.2 and X.3.1).
    fn is_full(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        self.code == 452 || ["4.2.2", "5.2.2", "4.3.1", "5.3.1", "quota"].iter().any(|part| text.contains(part))
    }

    fn refused_or_out_of_step(&self, doing: &'static str) -> ForwardError {
        if self.is_refusal() { self.refusal(doing) } else { self.out_of_step(doing) }
    }

    /// Makes the error for the refusal of something that concerns all messages.
    fn refusal(&self, doing: &'static str) -> ForwardError {
        match self.is_full() {
            true => ForwardError::Full { response: self.words() },
            false => ForwardError::Refused { doing, response: self.words(), kind: self.refusal_kind() },
        }
    }
}

/// What became of a message, if the session goes on.
enum Outcome {
    /// It has arrived, is set aside or is put off.
    DealtWith,
    /// It was refused for now.
    Later(ForwardError),
    /// It was refused for a reason that may concern all messages.
    Doubtful(ForwardError),
}

/// A command of the envelope that was refused.
struct Refused {
    /// Its verb.
    at: &'static str,
    said: Reply,
}

/// Forwards what waits, over one connection.
pub(super) async fn deliver(pass: &Arc<Pass>, to: &LmtpDestination) -> Result<(), ForwardError> {
    let mut session = Session::open(pass, to).await?;
    while let Some(message) = pass.next() {
        if pass.is_set_aside_for_breaks(&message).await? {
            continue;
        }
        session.is_sending = false;
        let outcome = match pass.watch(&message.name, session.one(pass, to, message.clone())).await {
            Ok(outcome) => outcome,
            Err(_) if session.may_begin_anew() => {
                pass.put_in_place(std::iter::once(message));
                session = Session::open(pass, to).await?;
                continue;
            }
            Err(e) => {
                session.blame(pass, message, &e).await?;
                return Err(e);
            }
        };
        session.refused = match outcome {
            Outcome::DealtWith => None,
            Outcome::Later(why) => pass.later(&message, why).map(|()| Some(message))?,
            Outcome::Doubtful(why) => pass.doubts(&message, why).map(|()| Some(message))?,
        };
        if session.is_over && pass.has_more() {
            session = Session::open(pass, to).await?;
        }
    }
    if !session.is_over {
        session.quit().await;
    }
    Ok(())
}

/// Asks whether the server knows the recipient, and ends the transaction before any message.
pub(super) async fn probe(pass: &Pass, to: &LmtpDestination) -> Result<(), ForwardError> {
    const DOING: &str = "name the recipient";
    let mut session = Session::open(pass, to).await?;
    for command in ["MAIL FROM:<>".to_owned(), format!("RCPT TO:<{}>", to.recipient)] {
        session.must_do(DOING, &command).await?;
    }
    let _ = session.ask("end the transaction", "RSET").await;
    session.quit().await;
    Ok(())
}

struct Session {
    wire: Wire,
    /// For the log.
    dialogue: Dialogue,
    /// How long the server may be silent.
    timeout: Duration,
    /// Whether the server accepts octets beyond ASCII (RFC 6152).
    has_8bitmime: bool,
    /// The largest message that the server accepts, in octets, 0 if it does not say. None: it does not offer SIZE (RFC
    /// 1870).
    size: Option<u64>,
    /// Whether anything of the current message has been sent.
    is_sending: bool,
    /// The previous message, if it was refused: the server may close the connection because of it.
    refused: Option<Spooled>,
    /// Whether the server has accepted a message.
    has_taken: bool,
    /// Whether the server has said that it closes the connection.
    is_over: bool,
}

impl Session {
    async fn open(pass: &Pass, to: &LmtpDestination) -> Result<Self, ForwardError> {
        const DOING: &str = "begin an LMTP session";
        let stream = connect(pass, to).await?;
        let (wire, timeout) = (Wire::new(stream, pass.timeout), pass.timeout);
        let dialogue = Dialogue::default();
        let (has_8bitmime, size, is_sending, refused) = (false, None, false, None);
        let (has_taken, is_over) = (false, false);
        let mut session = Self { wire, dialogue, timeout, has_8bitmime, size, is_sending, refused, has_taken, is_over };
        let greeting = session.reply(DOING).await?;
        if !greeting.is_done() {
            return Err(greeting.refusal(DOING));
        }
        let hello = session.must_do(DOING, &format!("LHLO {}", host())).await?;
        let words: Vec<&str> = hello.text.split(' ').collect();
        session.has_8bitmime = words.iter().any(|word| word.eq_ignore_ascii_case("8BITMIME"));
        let size = words.iter().position(|word| word.eq_ignore_ascii_case("SIZE"));
        session.size = size.map(|at| words.get(at + 1).and_then(|word| word.parse().ok()).unwrap_or(0));
        Ok(session)
    }

    /// Whether the server closed the connection between two messages and another connection is worth a try. Some accept
    /// only a few messages on each; a server that accepted none on this one gets no further one.
    fn may_begin_anew(&self) -> bool {
        self.is_over && self.has_taken && !self.is_sending
    }

    /// Whether nothing follows a reply except that the server closes the connection, which it may say at any time (RFC
    /// 5321, section 3.8).
    async fn is_the_last_answer(&mut self) -> bool {
        if !self.wire.has_more().await {
            return true;
        }
        let next = self.reply("send a message").await;
        self.is_over = next.is_ok_and(|next| next.is_end()) && !self.wire.has_more().await;
        self.is_over
    }

    /// Blames the end of the session on a message, or on the one before it if nothing of this one was sent.
    async fn blame(&mut self, pass: &Pass, message: Spooled, how: &ForwardError) -> Result<(), ForwardError> {
        let earlier = self.refused.take().filter(|_| !self.is_sending);
        match how {
            ForwardError::Wire { .. } | ForwardError::Refused { .. } | ForwardError::Full { .. } => {
                pass.broke_off(&earlier.unwrap_or(message)).await
            }
            // The message may have arrived at each try.
            ForwardError::OutOfStep { .. } if self.is_sending => {
                pass.note(&message, Weight::Once);
                pass.is_given_up(&message, &how.to_string()).await.map(|_| ())
            }
            ForwardError::OutOfStep { .. } | ForwardError::NotLmtp { .. } | ForwardError::Spool { .. } => {
                pass.note(&message, Weight::Once);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Runs one transaction.
    async fn one(&mut self, pass: &Pass, to: &LmtpDestination, message: Spooled) -> Result<Outcome, ForwardError> {
        const DOING: &str = "send a message";
        let prefix = match to.id_header {
            true => format!("X-Mailferry-Id: {}\r\n", delivery_id(&message.name)),
            false => String::new(),
        };
        let Some(letter) = pass.measure(message, prefix).await? else { return Ok(Outcome::DealtWith) };
        if let Some(limit) = self.size.filter(|limit| *limit > 0 && letter.size > *limit) {
            let why = format!("it has {} octets, and the server takes {limit} (SIZE)", letter.size);
            return pass.set_aside(&letter.spooled, &why).await.map(|()| Outcome::DealtWith);
        }
        if let Some(refused) = self.envelope(to, &letter).await? {
            // Too large for the server (RFC 1870, section 6.1), or for the space that is free now.
            let is_too_large = refused.at == "MAIL" && refused.said.code == 552 && !refused.said.is_full();
            if is_too_large {
                return pass.refuses_for_good(&letter.spooled, &refused.said.words()).map(|()| Outcome::DealtWith);
            }
            return self.out_of_transaction(&refused).await;
        }
        self.dialogue.line('C', || format!("[a message of {} octets]", letter.size));
        self.is_sending = true;
        let is_ahead = self.stream(&letter).await?;
        let said = self.reply_within(DOING, LONG_ANSWER).await?;
        let is_last = said.is_done() && !is_ahead && self.is_the_last_answer().await;
        let reply = FinalReply { code: said.code, is_ahead, is_last };
        if let Some(arrived) = Arrived::by_final_reply(&letter, reply) {
            self.has_taken = true;
            let arrived = pass.arrived(arrived);
            pass.record(vec![arrived]).await?;
            return pass.accepts().await.map(|()| Outcome::DealtWith);
        }
        if !said.is_refusal() {
            // It is not known which reply is the one to this message.
            return Err(said.out_of_step(DOING));
        }
        if said.is_end() {
            return Err(said.refusal(DOING));
        }
        if said.is_full() {
            return Ok(Outcome::Doubtful(said.refusal(DOING)));
        }
        match said.is_permanent() {
            true => pass.refuses_for_good(&letter.spooled, &said.words()).map(|()| Outcome::DealtWith),
            false => Ok(Outcome::Later(said.refusal(DOING))),
        }
    }

    /// Sends the commands of a transaction up to DATA. Returns the refusal if there is one.
    async fn envelope(&mut self, to: &LmtpDestination, letter: &Letter) -> Result<Option<Refused>, ForwardError> {
        const DOING: &str = "send a message";
        let mut from = "MAIL FROM:<>".to_owned();
        if self.has_8bitmime && letter.is_8bit {
            from.push_str(" BODY=8BITMIME");
        }
        if self.size.is_some() {
            from.push_str(&format!(" SIZE={}", letter.size));
        }
        let recipient = format!("RCPT TO:<{}>", to.recipient);
        for (at, command) in [("MAIL", from.as_str()), ("RCPT", &recipient), ("DATA", "DATA")] {
            let said = self.ask(DOING, command).await?;
            let is_taken = if at == "DATA" { said.is_go_on() } else { said.is_done() };
            if is_taken {
                continue;
            }
            if !said.is_refusal() || said.is_end() {
                return Err(said.refused_or_out_of_step(DOING));
            }
            return Ok(Some(Refused { at, said }));
        }
        Ok(None)
    }

    /// Ends a transaction whose envelope was refused. If the server goes on, another message shows whether the refusal
    /// concerns all.
    async fn out_of_transaction(&mut self, refused: &Refused) -> Result<Outcome, ForwardError> {
        const DOING: &str = "send a message";
        let why = refused.said.refusal(DOING);
        if refused.at == "MAIL" || self.ask("end the transaction", "RSET").await.is_ok_and(|said| said.is_done()) {
            return Ok(Outcome::Doubtful(why));
        }
        Err(why)
    }

    /// Sends the octets of a message with dots doubled, and the final dot. Returns true if a reply had come before the
    /// final dot, which cannot be the reply to it.
    async fn stream(&mut self, letter: &Letter) -> Result<bool, ForwardError> {
        const DOING: &str = "send a message";
        let (mut octets, mut stuffing) = (letter.octets(), Stuffing::default());
        loop {
            let unreadable = |source| ForwardError::Spool { path: file(&letter.spooled), source };
            let piece = octets.next().await.map_err(unreadable)?;
            let is_ahead = piece.is_none() && self.wire.has_more().await;
            let last = piece.is_none();
            let wire = match piece {
                Some(piece) => stuffing.stuff(&piece),
                None => stuffing.end().to_vec(),
            };
            self.send(DOING, &wire).await?;
            if last {
                return Ok(is_ahead);
            }
        }
    }

    /// Sends a command without which the session cannot go on.
    async fn must_do(&mut self, doing: &'static str, command: &str) -> Result<Reply, ForwardError> {
        let said = self.ask(doing, command).await?;
        if said.is_done() { Ok(said) } else { Err(said.refused_or_out_of_step(doing)) }
    }

    async fn ask(&mut self, doing: &'static str, command: &str) -> Result<Reply, ForwardError> {
        if self.wire.has_more().await {
            // An extra reply would be taken for the reply to the next command, and so on with each one after it. Only
            // that it is about to close the connection may a server say at any time (RFC 5321, section 3.8).
            let said = self.reply(doing).await?;
            self.is_over = said.is_end();
            return Err(said.refused_or_out_of_step(doing));
        }
        self.dialogue.line('C', || command);
        let line = format!("{command}\r\n");
        self.send(doing, line.as_bytes()).await?;
        self.reply(doing).await
    }

    async fn send(&mut self, doing: &'static str, octets: &[u8]) -> Result<(), ForwardError> {
        match self.wire.send(octets).await {
            Ok(()) => Ok(()),
            // A server that is about to close the connection says why.
            Err(error) => match self.reply_within(doing, LAST_WORDS).await {
                Ok(said) if said.is_refusal() => Err(said.refusal(doing)),
                _ => Err(ForwardError::wire(doing, error)),
            },
        }
    }

    async fn reply(&mut self, doing: &'static str) -> Result<Reply, ForwardError> {
        self.reply_within(doing, self.timeout).await
    }

    /// Reads the next reply, all of it within `timeout`.
    async fn reply_within(&mut self, doing: &'static str, timeout: Duration) -> Result<Reply, ForwardError> {
        let lost = |error| ForwardError::wire(doing, error);
        let (mut text, begun) = (String::new(), Instant::now());
        for _ in 0..MOST_LINES {
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(lost(WireError::TooSlow));
            }
            let line = self.wire.line_within(left).await.map_err(lost)?;
            self.dialogue.line('S', || words(&String::from_utf8_lossy(&line)));
            let Some((code, more, words)) = reply_line(&line) else {
                let what = words(&String::from_utf8_lossy(&line));
                return Err(ForwardError::NotLmtp { doing, what, speaks: OtherProtocol::of(&line) });
            };
            if !text.is_empty() {
                text.push(' ');
            }
            if text.len() < MOST_TEXT {
                text.push_str(&text::value(&words.chars().take(MOST_TEXT).collect::<String>()));
            }
            if !more {
                return Ok(Reply { code, text });
            }
        }
        Err(lost(WireError::Flood))
    }

    async fn quit(mut self) {
        // Everything has been answered by now.
        let _ = self.ask("end the session", "QUIT").await;
    }
}

async fn connect(pass: &Pass, to: &LmtpDestination) -> Result<Stream, ForwardError> {
    match &to.server {
        LmtpServer::Tcp(endpoint) => Ok(pass.context.dialer.connect(endpoint, &[]).await?.stream),
        LmtpServer::Socket(path) => {
            let connected = tokio::time::timeout(pass.timeout, UnixStream::connect(path)).await;
            let refused = |source| ForwardError::Socket { path: path.clone(), source };
            match connected {
                Ok(Ok(stream)) => Ok(Box::new(stream)),
                Ok(Err(e)) => Err(refused(Some(e))),
                Err(_) => Err(refused(None)),
            }
        }
    }
}

/// Returns our name in the form that LHLO takes.
fn host() -> String {
    let name = uname();
    let name = String::from_utf8_lossy(name.nodename().to_bytes()).into_owned();
    let is_good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if is_good { name } else { "localhost".to_owned() }
}

/// Reads a line of a reply: its code, whether more lines follow, and its text.
fn reply_line(line: &[u8]) -> Option<(u16, bool, String)> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let code = std::str::from_utf8(digits).ok()?.parse().ok().filter(|code| (200..600).contains(code))?;
    let more = match line.get(3) {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    Some((code, more, String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned()))
}

/// Doubles the dots that begin lines (RFC 5321, section 4.5.2). The text comes in pieces of any size.
#[derive(Debug)]
struct Stuffing {
    /// The last two octets: a line begins after CRLF.
    last: [u8; 2],
}

impl Default for Stuffing {
    fn default() -> Self {
        Self { last: *b"\r\n" }
    }
}

impl Stuffing {
    fn stuff(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(piece.len() + 64);
        for &octet in piece {
            if octet == b'.' && self.last == *b"\r\n" {
                wire.push(b'.');
            }
            wire.push(octet);
            self.last = [self.last[1], octet];
        }
        wire
    }

    /// Returns the final dot, on a line of its own.
    fn end(&self) -> &'static [u8] {
        if self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_wherever_the_pieces_end() {
        let message = b".a\r\n..b\r\nc.\r\n.\r\n\r.\n.";
        let expected = b"..a\r\n...b\r\nc.\r\n..\r\n\r.\n.\r\n.\r\n";
        for cut in 0..message.len() {
            let mut stuffing = Stuffing::default();
            let mut wire = stuffing.stuff(&message[..cut]);
            wire.extend(stuffing.stuff(&message[cut..]));
            wire.extend_from_slice(stuffing.end());
            assert_eq!(wire, expected, "{cut}");
        }
        assert_eq!(Stuffing::default().end(), b".\r\n");
    }

    #[test]
    fn a_refusal_tells_whether_it_lasts_and_whether_the_mailbox_is_unknown() {
        for (code, expected) in
            [(550, RefusalKind::MailboxUnavailable), (554, RefusalKind::Lasting), (451, RefusalKind::Passing)]
        {
            let error = Reply { code, text: "550 no".to_owned() }.refusal("send a message");
            assert!(matches!(error, ForwardError::Refused { kind, .. } if kind == expected), "{code}: {error:?}");
        }
    }

    #[test]
    fn an_answer_has_a_code() {
        assert_eq!(reply_line(b"250-SIZE 10"), Some((250, true, "SIZE 10".to_owned())));
        assert_eq!(reply_line(b"354"), Some((354, false, String::new())));
        for none in [&b"25 x"[..], b"", b"250xx", b"999 x", b"100 x"] {
            assert_eq!(reply_line(none), None);
        }
    }

    #[test]
    fn a_full_mailbox_is_no_refusal_of_the_message() {
        let full = |code, text: &str| Reply { code, text: text.to_owned() }.is_full();
        assert!(full(552, "5.2.2 <jo@x> Quota exceeded (mailbox for user is full)") && full(452, "4.3.1 no space"));
        assert!(!full(550, "5.7.1 spam") && !full(552, "5.3.4 message too big"));
    }
}
