//! Messages that differ in their bodies, but only partly in what a server reports about them.

use mailferry::routing::{Condition, Pattern, Routing, Rule, Rules, Target};

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// Its own Message-ID and date.
    Own,
    /// The Message-ID and date of another message, which somebody has sent again, corrected. Such messages differ in
    /// size.
    Copied(u8),
    /// A sender and a subject that many others have.
    Weak(u8),
    /// None of the fields that identify messages.
    Bare,
}

/// The field by which a rule knows what it leaves on the server.
const BULK: &str = "List-Id: bulk\r\n";

/// The rule that leaves such messages there.
pub(crate) fn leaves_bulk() -> Routing {
    let condition = Condition::new("List-Id", vec![Pattern::equals("bulk").unwrap()]);
    Routing::Rules(Rules::new(vec![Rule { condition, target: Target::Skip }]))
}

/// Lines that begin with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dots {
    None,
    /// A dot followed by text.
    Word,
    /// A single dot, which ends an answer.
    Alone,
}

/// The unique-id of a new message, on a server where these last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Its own.
    Own,
    /// That of a message that is gone.
    OfGone,
    /// That of another message that is there.
    OfPresent,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Unique among the messages of a story.
    pub(crate) token: usize,
    pub(crate) header: Header,
    /// Its size in octets, unless that is too small.
    pub(crate) octets: usize,
    pub(crate) dots: Dots,
    /// Whether only its beginning is there at first.
    pub(crate) part: bool,
    pub(crate) naming: Naming,
    /// Whether it is of the kind that a rule leaves on the server, where the account has one.
    pub(crate) bulk: bool,
}

impl Letter {
    /// Returns its name in the world.
    pub(crate) fn id(&self) -> String {
        format!("m{:03}", self.token)
    }

    fn header(&self) -> String {
        // Where the rest says little, this field is not among those that do.
        let kind = if self.bulk { BULK } else { "" };
        kind.to_owned() + &self.own_header()
    }

    fn own_header(&self) -> String {
        match self.header {
            Header::Own => format!("Message-ID: <{:03}@x>\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n", self.token),
            Header::Copied(of) => format!("Message-ID: <copy{of}@x>\r\nDate: Thu, 1 Jan 2026 11:00:00 +0000\r\n"),
            Header::Weak(subject) => format!("From: ups@x\r\nSubject: alarm {subject}\r\n"),
            Header::Bare => "X-Device: ups\r\n".to_owned(),
        }
    }

    /// Returns the beginning that is there at first, if it is incomplete then.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        format!("{}\r\nThis is {}.\r\n", self.header(), self.id()).into_bytes()
    }

    /// Returns the whole message, with CRLF line ends.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.beginning();
        bytes.extend_from_slice(match self.dots {
            Dots::None => b"",
            Dots::Word => b".dot\r\n",
            Dots::Alone => b".\r\nbehind the dot\r\n",
        });
        let missing = self.octets.saturating_sub(bytes.len()).max(8);
        bytes.extend("abcdefghij".bytes().cycle().take(missing - 2));
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}
