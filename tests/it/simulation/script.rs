//! What happens in the world: accounts, and a sequence of acts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailferry::account::CredentialSource;
use mailferry::account::{Account, AccountName, AuthChoice, Endpoint, MaildirMode, RemovalPolicy, TlsMode};
use mailferry::routing::{
    Address, Condition, HeaderEnd, Multidrop, Occurrence, OtherMaildir, Pattern, Route, Routing, Rule, Rules, Target,
};
use mailferry::secret::Secret;

use super::server::{Manner, UniqueIds};
use super::sizes::{Note, NoteHeader};

/// A script for some accounts.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) accounts: Vec<(Account, Manner)>,
    pub(crate) acts: Vec<Act>,
}

/// Something that happens. Accounts are given by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A message with this unique-id and about this many octets arrives.
    Mail(&'static str, &'static str, usize),
    /// mailferry polls the account.
    Poll(&'static str),
    /// Days pass.
    Days(u64),
    /// The wall clock is off by this many days.
    WrongClock(i64),
    /// The machine reboots in order.
    Reboot,
    /// A mail reader moves what is in `new/` of this Maildir.
    Read(&'static str),
    /// Somebody else removes this message from the server.
    Vanish(&'static str, &'static str),
    /// From now on, something else is sent in place of this message.
    Hold(&'static str, &'static str, Note),
    /// The messages of the account are themselves sent again.
    Release(&'static str),
    /// The account's journal gets so much history that the next poll that writes also compacts the file.
    History(&'static str),
}

/// A server with all features.
pub(crate) const ABLE: Manner = Manner {
    pipelining: true,
    uidl: true,
    top: true,
    refuses_top: false,
    unique_ids: UniqueIds::Lasting,
    stuffs_dots: true,
    takes_retrieved: false,
    estimates: false,
};

/// The Maildir that two accounts share.
pub(crate) const SHARED: &str = "/mail/shared";
/// The Maildir of a single account.
pub(crate) const OWN: &str = "/mail/deep/own";

/// Returns an account of the user jo.
pub(crate) fn account(name: &str, maildir: &str, removal: RemovalPolicy) -> Account {
    Account {
        name: AccountName::new(name).unwrap(),
        enabled: true,
        endpoint: Arc::new(Endpoint {
            host: name.to_owned(),
            port: 110,
            tls: TlsMode::None,
            tls_ca_file: None,
            key_exchange: Default::default(),
            allow_cleartext_password: false,
            route: Default::default(),
            tls_options: Default::default(),
        }),
        username: "jo".to_owned(),
        credential: CredentialSource::Inline(Secret::new(b"secret".to_vec())),
        auth: AuthChoice::User,
        uses_token: false,
        maildir: PathBuf::from(maildir),
        maildir_mode: MaildirMode::PRIVATE,
        removal,
        interval: mailferry::account::Interval::fixed(Duration::from_secs(300)),
        timeout: Duration::from_secs(60),
        max_message_size: None,
        max_messages_per_session: None,
        sizes_are_estimates: false,
        on_new_mail: None,
        forward: None,
        routing: Default::default(),
    }
}

/// Keeping, deleting and deleting after days; a shared Maildir; a rewrite; clocks that jump.
pub(crate) fn ordinary() -> Script {
    use Act::{Days, History, Mail, Poll, Read, Reboot, Vanish, WrongClock};
    let fortnight = RemovalPolicy::AfterAge(Duration::from_secs(14 * 86_400));
    let accounts = vec![
        (account("keep", SHARED, RemovalPolicy::Keep), ABLE),
        (account("aged", SHARED, fortnight), Manner { pipelining: false, ..ABLE }),
        (account("gone", OWN, RemovalPolicy::AfterDelivery), Manner { top: false, ..ABLE }),
    ];
    let acts = vec![
        Mail("keep", "k1", 300),
        Mail("keep", "k2", 90),
        Mail("aged", "a1", 100),
        Mail("gone", "g1", 400),
        Mail("gone", "g2", 90),
        Poll("keep"),
        Poll("aged"),
        Poll("gone"),
        Read(SHARED),
        Days(1),
        Mail("keep", "k3", 90),
        Mail("gone", "g3", 90),
        Poll("gone"),
        History("keep"),
        Poll("keep"),
        Poll("aged"),
        WrongClock(8000),
        Poll("aged"),
        WrongClock(0),
        Days(7),
        Vanish("keep", "k1"),
        Poll("keep"),
        Poll("aged"),
        Reboot,
        Days(8),
        Mail("aged", "a2", 90),
        Poll("aged"),
        Poll("gone"),
    ];
    Script { name: "ordinary", accounts, acts }
}

/// Servers that delete every retrieved message, and servers without unique-ids.
pub(crate) fn odd_servers() -> Script {
    use Act::{Days, Mail, Poll, Read};
    let accounts = vec![
        (account("takes", OWN, RemovalPolicy::Keep), Manner { takes_retrieved: true, ..ABLE }),
        (
            account("nameless", SHARED, RemovalPolicy::AfterDelivery),
            Manner { uidl: false, top: false, pipelining: false, ..ABLE },
        ),
    ];
    let acts = vec![
        Mail("takes", "t1", 200),
        Mail("takes", "t2", 90),
        Mail("nameless", "n1", 90),
        Mail("nameless", "n2", 200),
        Poll("takes"),
        Poll("nameless"),
        Read(OWN),
        Days(1),
        Mail("takes", "t3", 90),
        Mail("nameless", "n3", 90),
        Poll("takes"),
        Poll("nameless"),
    ];
    Script { name: "odd servers", accounts, acts }
}

/// A note with the header of the message, but shorter, sent for as long as the message is held.
pub(crate) const HELD: Note = Note { header: NoteHeader::True, hundredths: 60, in_top: false, times: u8::MAX };

/// Messages that are held for a while, and the notes in their place.
pub(crate) fn held() -> Script {
    use Act::{Days, Hold, Mail, Poll, Read, Release};
    let accounts = vec![
        (account("gone", OWN, RemovalPolicy::AfterDelivery), Manner { pipelining: false, ..ABLE }),
        (account("keep", SHARED, RemovalPolicy::Keep), ABLE),
    ];
    let acts = vec![
        Mail("gone", "g1", 300),
        Mail("gone", "g2", 90),
        Mail("keep", "k1", 300),
        Hold("gone", "g1", HELD),
        Hold("keep", "k1", Note { header: NoteHeader::Weak, in_top: true, ..HELD }),
        Poll("gone"),
        Poll("keep"),
        Read(OWN),
        Days(1),
        Release("gone"),
        Release("keep"),
        Poll("gone"),
        Poll("keep"),
    ];
    Script { name: "held", accounts, acts }
}

/// A few short sessions, for the cuts of the network.
pub(crate) fn brief() -> Script {
    use Act::{Days, Mail, Poll};
    let fortnight = RemovalPolicy::AfterAge(Duration::from_secs(14 * 86_400));
    let accounts = vec![
        (account("keep", SHARED, RemovalPolicy::Keep), Manner { takes_retrieved: true, ..ABLE }),
        (account("aged", SHARED, fortnight), Manner { pipelining: false, ..ABLE }),
        (account("gone", OWN, RemovalPolicy::AfterDelivery), Manner { pipelining: false, ..ABLE }),
    ];
    let acts = vec![
        Mail("keep", "k1", 120),
        Mail("keep", "k2", 90),
        Mail("aged", "a1", 90),
        Mail("aged", "a3", 90),
        Mail("gone", "g1", 120),
        Mail("gone", "g2", 90),
        Poll("keep"),
        Poll("aged"),
        Poll("gone"),
        Days(15),
        Poll("aged"),
    ];
    Script { name: "brief", accounts, acts }
}

/// A message that is too large to be held in memory until it is complete, followed by a small one.
pub(crate) fn large() -> Script {
    use Act::{Mail, Poll};
    let accounts = vec![(account("gone", OWN, RemovalPolicy::AfterDelivery), ABLE)];
    let acts = vec![Mail("gone", "g1", 150_000), Mail("gone", "g2", 90), Poll("gone")];
    Script { name: "large", accounts, acts }
}

/// The Maildir to which a rule delivers.
pub(crate) const OTHER: &str = "/mail/other";

/// Rules that deliver to another Maildir and to a folder, and one that leaves messages on the server.
pub(crate) fn routed() -> Script {
    use Act::{Days, Mail, Poll, Read, Vanish};
    let rule = |subject: &str, target| {
        let pattern = Pattern::matches(subject).unwrap();
        Rule { condition: Condition::new("Subject", vec![pattern]), target }
    };
    let maildir = |path: &str, is_folder| Target::Maildir(OtherMaildir { path: path.into(), is_folder });
    let rules = Rules::new(vec![
        rule("o*", maildir(OTHER, false)),
        rule("f*", maildir("/mail/deep/own/.Lists", true)),
        rule("s*", Target::Skip),
    ]);
    let routed = |name, removal| Account { routing: Routing::Rules(rules.clone()), ..account(name, OWN, removal) };
    let accounts = vec![
        (routed("gone", RemovalPolicy::AfterDelivery), ABLE),
        (routed("keep", RemovalPolicy::Keep), Manner { pipelining: false, ..ABLE }),
    ];
    let acts = vec![
        Mail("gone", "o1", 300),
        Mail("gone", "p1", 90),
        Mail("gone", "s1", 90),
        Mail("gone", "f1", 90),
        Mail("keep", "s2", 90),
        Mail("keep", "o2", 90),
        Poll("gone"),
        Poll("keep"),
        Read(OTHER),
        Days(1),
        Mail("gone", "o3", 90),
        Vanish("gone", "s1"),
        Poll("gone"),
    ];
    Script { name: "routed", accounts, acts }
}

/// The Maildirs of two people, whose mail is in one maildrop.
pub(crate) const ANN: &str = "/mail/ann";
pub(crate) const BOB: &str = "/mail/bob";

/// The mail of two people, some of it for both.
pub(crate) fn shared() -> Script {
    use Act::{Days, Mail, Poll, Read};
    let recipient = |address: &str, path: &str| {
        (Address::new(address).unwrap(), OtherMaildir { path: path.into(), is_folder: false })
    };
    let multidrop = Multidrop {
        header: "x-envelope-to".to_owned(),
        occurrence: Occurrence::All,
        strip_prefix: None,
        trusted_received_by: Vec::new(),
        recipients: [recipient("ann@example.org", ANN), recipient("bob@example.org", BOB)].into(),
    };
    let routing = Routing::Multidrop(Box::new(multidrop));
    let accounts = vec![(Account { routing, ..account("office", OWN, RemovalPolicy::AfterDelivery) }, ABLE)];
    let acts = vec![
        Mail("office", "ab1", 300),
        Mail("office", "an1", 90),
        Mail("office", "u1", 90),
        Mail("office", "ab2", 90),
        Poll("office"),
        Read(ANN),
        Days(1),
        Mail("office", "ab3", 150_000),
        Poll("office"),
    ];
    Script { name: "shared", accounts, acts }
}

impl Script {
    /// Returns where a message of an account is delivered; nowhere if it stays on the server.
    pub(crate) fn goes_to(&self, account: &str, message: &[u8]) -> Vec<&Path> {
        let account = self.account(account);
        let end = HeaderEnd::default().find(message).unwrap();
        match account.routing.route(&message[..end]) {
            Route::Own => vec![&account.maildir],
            Route::Other(path) => vec![path],
            Route::Several(all) => all.into_iter().map(|path| path.unwrap_or(&account.maildir)).collect(),
            Route::Skip => Vec::new(),
        }
    }

    /// Whether the account's server has UIDL.
    pub(crate) fn has_unique_ids(&self, name: &str) -> bool {
        self.accounts.iter().any(|(account, manner)| account.name.as_str() == name && manner.uidl)
    }

    /// Whether only the next listing shows what QUIT has removed, so that it is recorded then: on a server that deletes
    /// what was retrieved, and on one without unique-ids.
    pub(crate) fn is_settled_by_the_next_listing(&self, name: &str) -> bool {
        let settled_later = |manner: &Manner| manner.takes_retrieved || !manner.uidl;
        self.accounts.iter().any(|(account, manner)| account.name.as_str() == name && settled_later(manner))
    }

    /// Returns an account.
    pub(crate) fn account(&self, name: &str) -> &Account {
        &self.accounts.iter().find(|(account, _)| account.name.as_str() == name).unwrap().0
    }

    /// Returns the bytes of the message with this unique-id. If that begins with `an` it is for ann, with `ab` for bob
    /// as well.
    pub(crate) fn message(uid: &str, octets: usize) -> Vec<u8> {
        let recipients = match uid.get(..2) {
            Some("an") => "X-Envelope-To: ann@example.org\r\nReceived: x\r\n",
            Some("ab") => "X-Envelope-To: ann@example.org\r\nX-Envelope-To: bob@example.org\r\nReceived: x\r\n",
            _ => "",
        };
        let mut text = format!("{recipients}Message-ID: <{uid}@example.org>\r\nSubject: {uid}\r\n\r\n.dot\r\n");
        while text.len() + 2 < octets {
            let room = (octets - 2 - text.len()).min(60);
            text.extend("abcdefghij".chars().cycle().take(room).chain("\r\n".chars()));
        }
        text.into_bytes()
    }

    /// Returns all messages, with the names of their accounts.
    pub(crate) fn mail(&self) -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
        self.acts.iter().filter_map(|act| match *act {
            Act::Mail(account, uid, octets) => Some((account, uid, Self::message(uid, octets))),
            _ => None,
        })
    }

    /// Returns the Maildirs.
    pub(crate) fn maildirs(&self) -> impl Iterator<Item = &Path> {
        self.accounts.iter().flat_map(|(account, _)| account.maildirs()).map(|maildir| maildir.path)
    }
}
