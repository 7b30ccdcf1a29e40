//! Messages that can be told apart by their bodies, and only partly by what a server says of them.

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// A Message-ID of its own, and a date.
    Own,
    /// The Message-ID and the date of another message: somebody sent it again, corrected. Such ones differ in size.
    Copied(u8),
    /// A sender and a subject that many others have.
    Weak(u8),
    /// None of the fields that tell messages apart.
    Bare,
}

/// Lines that begin with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dots {
    None,
    /// A dot and more.
    Word,
    /// A dot alone: what ends an answer.
    Alone,
}

/// Under which unique-id a message comes, where those last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// One of its own.
    Own,
    /// That of a message that is gone.
    OfGone,
    /// That of another one that is there.
    OfPresent,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Different in each message of a story.
    pub(crate) token: usize,
    pub(crate) header: Header,
    /// Its size in octets, unless that is too little.
    pub(crate) octets: usize,
    pub(crate) dots: Dots,
    /// Only its beginning is there at first.
    pub(crate) part: bool,
    pub(crate) naming: Naming,
}

impl Letter {
    /// Its name in the world.
    pub(crate) fn id(&self) -> String {
        format!("m{:03}", self.token)
    }

    fn header(&self) -> String {
        match self.header {
            Header::Own => format!("Message-ID: <{:03}@x>\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n", self.token),
            Header::Copied(of) => format!("Message-ID: <copy{of}@x>\r\nDate: Thu, 1 Jan 2026 11:00:00 +0000\r\n"),
            Header::Weak(subject) => format!("From: ups@x\r\nSubject: alarm {subject}\r\n"),
            Header::Bare => "X-Device: ups\r\n".to_owned(),
        }
    }

    /// The beginning that is there at first, if not all of it is.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        format!("{}\r\nThis is {}.\r\n", self.header(), self.id()).into_bytes()
    }

    /// All of it, with CRLF line ends.
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
