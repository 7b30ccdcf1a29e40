//! A maildrop with the mail of several people, distributed by the address that the mail provider wrote into the header,
//! and by nothing that a sender can write.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use super::header::raw_fields;
use super::{OtherMaildir, Route, received};

/// How messages are distributed to several people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multidrop {
    /// The field into which the mail provider writes the recipient, in lower case.
    pub header: String,
    /// Which of several such fields counts.
    pub occurrence: Occurrence,
    /// What the mail provider puts before the address.
    pub strip_prefix: Option<String>,
    /// The provider's hosts that receive mail from outside, in lower case. Empty: the first Received field is its own.
    pub trusted_received_by: Vec<String>,
    /// Which recipient's mail goes where.
    pub recipients: BTreeMap<Address, OtherMaildir>,
}

/// Which of several fields names the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// The only one: several for different people do not show whose message it is.
    Only,
    /// This one, counted from the top, starting with 1.
    One(NonZeroU32),
    /// Each is a recipient of its own: the mail provider stores one copy for all.
    All,
}

/// A mail address. Its domain is in lower case, the rest unchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// Parses a single address and nothing else.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let is_address = !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace);
        is_address.then(|| Self(format!("{local}@{}", domain.to_lowercase())))
    }

    /// Returns the address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a header says about the recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRecipients {
    /// The mail provider's fields hold these texts, without brackets and prefix.
    Recipients(Vec<String>),
    /// The mail provider's fields hold these texts for different people, and nothing says which one counts.
    Different(Vec<String>),
    /// The mail provider wrote no such field.
    Nothing,
    /// There are only this many such fields, fewer than needed.
    TooFew(usize),
    /// There is no Received field, so nothing shows what the mail provider wrote.
    NoReceived,
    /// No Received field is by a trusted host, or one above it cannot be parsed.
    NotTrusted,
}

impl Multidrop {
    /// Returns where a message with this header goes.
    #[must_use]
    pub(super) fn route(&self, header: &[u8]) -> Route<'_> {
        self.route_of(&self.recipients_in(header))
    }

    /// Returns what a header says about the recipients.
    #[must_use]
    pub fn recipients_in(&self, header: &[u8]) -> HeaderRecipients {
        let fields = raw_fields(header, |name| name == self.header || name == "received");
        let hosters = match self.end_of_hosters(&fields) {
            Ok(end) => fields.get(..end).unwrap_or_default(),
            Err(told) => return told,
        };
        let texts = hosters.iter().filter(|(name, _)| *name == self.header).map(|(_, text)| self.stripped(text));
        let texts: Vec<String> = texts.collect();
        match self.occurrence {
            _ if texts.is_empty() => HeaderRecipients::Nothing,
            Occurrence::All => HeaderRecipients::Recipients(texts),
            Occurrence::Only if self.maildirs(&texts).len() > 1 => HeaderRecipients::Different(texts),
            Occurrence::Only => HeaderRecipients::Recipients(texts.into_iter().take(1).collect()),
            Occurrence::One(number) => {
                let (there, before) = (texts.len(), usize::try_from(number.get() - 1).unwrap_or(usize::MAX));
                texts
                    .into_iter()
                    .nth(before)
                    .map_or(HeaderRecipients::TooFew(there), |text| HeaderRecipients::Recipients(vec![text]))
            }
        }
    }

    /// Returns the Maildirs of the recipients named by these texts, each once; `None` is the account's own.
    fn maildirs(&self, texts: &[String]) -> Vec<Option<&Path>> {
        let maildir = |text: &String| self.recipients.get(&Address::new(text)?).map(|maildir| maildir.path.as_path());
        let mut all: Vec<Option<&Path>> = texts.iter().map(maildir).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns how many fields, from the top, the mail provider wrote.
    fn end_of_hosters(&self, fields: &[(String, String)]) -> Result<usize, HeaderRecipients> {
        let mut received = fields.iter().enumerate().filter(|(_, (name, _))| name == "received").peekable();
        if received.peek().is_none() {
            return Err(HeaderRecipients::NoReceived);
        }
        for (place, (_, text)) in received {
            if self.trusted_received_by.is_empty() {
                return Ok(place);
            }
            // One that cannot be parsed may be the mail provider's own, garbled by something that a sender wrote.
            let by = received::by(text).ok_or(HeaderRecipients::NotTrusted)?;
            if self.trusted_received_by.contains(&by) {
                return Ok(place);
            }
        }
        Err(HeaderRecipients::NotTrusted)
    }

    fn stripped(&self, text: &str) -> String {
        let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
        let prefix = self.strip_prefix.as_deref().unwrap_or_default();
        text.strip_prefix(prefix).unwrap_or(text).to_owned()
    }

    /// Returns where a message goes, given what its header says: whatever is not exactly a recipient's address goes
    /// into the account's own Maildir.
    #[must_use]
    pub fn route_of(&self, told: &HeaderRecipients) -> Route<'_> {
        let HeaderRecipients::Recipients(texts) = told else { return Route::Own };
        let all = self.maildirs(texts);
        match all.as_slice() {
            [] | [None] => Route::Own,
            [Some(one)] => Route::Other(one),
            _ => Route::Several(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multidrop(occurrence: Occurrence, trusted: &[&str]) -> Multidrop {
        let recipient = |address: &str, path: &str| {
            (Address::new(address).unwrap(), OtherMaildir { path: path.into(), is_folder: false })
        };
        Multidrop {
            header: "x-envelope-to".to_owned(),
            occurrence,
            strip_prefix: Some("hoster-".to_owned()),
            trusted_received_by: trusted.iter().map(|host| (*host).to_owned()).collect(),
            recipients: [
                recipient("ann@Site.example", "/ann"),
                recipient("bob@site.example", "/bob"),
                recipient("office@site.example", "/ann"),
            ]
            .into(),
        }
    }

    const FIRST: Occurrence = Occurrence::One(NonZeroU32::MIN);
    /// A Received field by a host.
    fn by(host: &str) -> String {
        format!("Received: from a (a [192.0.2.1]) by {host} with ESMTP id 1; Thu, 26 Nov 2026 10:00:00 +0000\r\n")
    }

    #[test]
    fn a_recipient_is_believed_where_the_hoster_wrote_it_and_nowhere_else() {
        let plain = multidrop(FIRST, &[]);
        for (header, expected) in [
            ("X-Envelope-To: ann@site.example\r\nReceived: x\r\n", Some("/ann")),
            ("x-envelope-to:\r\n <ann@SITE.example>\r\nReceived: x\r\n", Some("/ann")),
            ("X-Envelope-To: hoster-bob@site.example\nReceived: x\n", Some("/bob")),
            ("Received: x\r\nX-Envelope-To: ann@site.example\r\n", None),
            ("X-Envelope-To: ann@site.example\r\nTo: x\r\n", None),
            ("X-Envelope-To: Ann@site.example\nReceived: x\n", None),
            ("X-Envelope-To: ann@site.example.net\nReceived: x\n", None),
            ("X-Envelope-To: heyann@site.example\nReceived: x\n", None),
            ("X-Envelope-To: ann@site.example, bob@site.example\nReceived: x\n", None),
            ("X-Envelope-To: =?utf-8?Q?ann=40site.example?=\nReceived: x\n", None),
            ("X-Envelope-To: Ann <ann@site.example>\nReceived: x\n", None),
            ("X-Envelope-To:\nReceived: x\n", None),
            ("X-Envelope-To: nobody@site.example\nX-Envelope-To: ann@site.example\nReceived: x\n", None),
            ("To: ann@site.example\nCc: bob@site.example\nDelivered-To: ann@site.example\nReceived: x\n", None),
            ("", None),
        ] {
            let expected = expected.map_or(Route::Own, |path| Route::Other(path.as_ref()));
            assert_eq!(plain.route(header.as_bytes()), expected, "{header}");
        }
    }
    #[test]
    fn with_a_trusted_host_what_stands_above_its_received_is_believed() {
        let trusted = multidrop(FIRST, &["mx.hoster.example", "mx2.hoster.example"]);
        let (mx, store, other) = (by("MX.hoster.example"), by("store.hoster.example"), by("mail.sender.example"));
        let (ann, bob) = ("X-Envelope-To: ann@site.example\r\n", "X-Envelope-To: bob@site.example\r\n");
        let odd = "Received: from a( by mx9.hoster.example; x\r\n";
        for (header, expected) in [
            (format!("{store}{ann}{mx}{bob}{other}"), Some("/ann")),
            (format!("{ann}{}{other}", by("mx2.hoster.example")), Some("/ann")),
            // A sender's own lines, and a forged Received below the true one.
            (format!("{store}{mx}{bob}{other}"), None),
            (format!("{store}{mx}{bob}{mx}{other}"), None),
            // The mail provider's own Received was made unreadable, so that the forged one would come first.
            (format!("{odd}{bob}{mx}"), None),
            (format!("{ann}{store}{other}"), None),
            (ann.to_owned(), None),
        ] {
            let expected = expected.map_or(Route::Own, |path| Route::Other(path.as_ref()));
            assert_eq!(trusted.route(header.as_bytes()), expected, "{header}");
        }
        assert_eq!(trusted.recipients_in(ann.as_bytes()), HeaderRecipients::NoReceived);
        assert_eq!(trusted.recipients_in(store.as_bytes()), HeaderRecipients::NotTrusted);
        assert_eq!(trusted.recipients_in(mx.as_bytes()), HeaderRecipients::Nothing);
    }

    #[test]
    fn another_occurrence_counts_from_the_top_and_all_are_several_recipients() {
        let header = |addresses: &[&str]| {
            let fields: String = addresses.iter().map(|address| format!("X-Envelope-To: {address}\n")).collect();
            format!("{fields}Received: x\nX-Envelope-To: bob@site.example\n")
        };
        let second = multidrop(Occurrence::One(NonZeroU32::new(2).unwrap()), &[]);
        let two = header(&["ann@site.example", "bob@site.example"]);
        assert_eq!(second.route(two.as_bytes()), Route::Other("/bob".as_ref()));
        assert_eq!(second.route(header(&["ann@site.example"]).as_bytes()), Route::Own);
        assert_eq!(second.recipients_in(header(&["ann@site.example"]).as_bytes()), HeaderRecipients::TooFew(1));
        assert_eq!(second.recipients_in(header(&[]).as_bytes()), HeaderRecipients::Nothing);
        let all = multidrop(Occurrence::All, &[]);
        let (ann, bob): (&Path, &Path) = ("/ann".as_ref(), "/bob".as_ref());
        for (addresses, expected) in [
            (
                &["ann@site.example", "bob@site.example", "ann@site.example"][..],
                Route::Several(vec![Some(ann), Some(bob)]),
            ),
            (&["ann@site.example", "office@site.example"], Route::Other(ann)),
            // One recipient is unknown: no copy is lost.
            (&["ann@site.example", "nobody@site.example"], Route::Several(vec![None, Some(ann)])),
            (&["x@site.example", "nobody@site.example"], Route::Own),
            (&[], Route::Own),
        ] {
            assert_eq!(all.route(header(addresses).as_bytes()), expected, "{addresses:?}");
        }
    }

    /// Nobody knows which of several people is meant: no message is lost or goes to somebody else.
    #[test]
    fn several_fields_are_one_recipient_only_if_all_of_them_are() {
        let only = multidrop(Occurrence::Only, &[]);
        for (addresses, expected) in [
            (&["ann@site.example"][..], Some("/ann")),
            (&["ann@site.example", "<ann@SITE.example>"], Some("/ann")),
            (&["hoster-ann@site.example", "office@site.example"], Some("/ann")),
            (&["ann@site.example", "bob@site.example"], None),
            (&["bob@site.example", "ann@site.example", "bob@site.example"], None),
            (&["ann@site.example", "nobody@site.example"], None),
            (&["mailbox", "ann@site.example"], None),
            (&["x@site.example", "nobody@site.example"], None),
        ] {
            let fields: String = addresses.iter().map(|address| format!("X-Envelope-To: {address}\n")).collect();
            let header = format!("{fields}Received: x\nX-Envelope-To: bob@site.example\n");
            let expected = expected.map_or(Route::Own, |path| Route::Other(path.as_ref()));
            assert_eq!(only.route(header.as_bytes()), expected, "{addresses:?}");
        }
    }
}
