//! Messages with NUL octets, which IMAP allows only in a literal8 (RFC 3516). They are forwarded unchanged where the
//! destination accepts that, and set aside elsewhere; the others are forwarded.

use std::fs;

use super::*;
use crate::scripted::imap::{Naming, Stored};
use crate::scripted::lmtp::LmtpServer;

const NUL: &[u8] = b"Message-ID: <nul@x>\r\nSubject: s\r\n\r\na\0b\0\0\r\n";

/// One with NUL in a field that messages are recognised by.
const NUL_IN_HEADER: &[u8] = b"Message-ID: <nul@y>\r\nSubject: a\0b\r\n\r\nx\r\n";

/// A message with NUL octets between two others.
fn messages() -> Vec<Message> {
    vec![Message::new("u1", &small(1)), Message::new("u2", NUL), Message::new("u3", &small(3))]
}

fn all() -> Vec<Vec<u8>> {
    let mut all = vec![on_the_wire(&small(1)), on_the_wire(NUL), on_the_wire(&small(3))];
    all.sort();
    all
}

#[test]
fn it_is_set_aside_where_imap_forbids_it() {
    for capabilities in outages::ABILITIES {
        let (maildrop, server) = (Maildrop::new(messages()), ImapServer::start());
        server.with(|mailbox| mailbox.capabilities = capabilities);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(1).says("2 forwarded, 1 set aside").says("unique-id u2").says("NUL").says("BINARY");
        let appends = |mailbox: &mut crate::scripted::imap::Mailbox| {
            mailbox.commands.iter().filter(|command| command.starts_with("APPEND")).count()
        };
        env.fetch().expect(1);
        assert_eq!((server.with(appends), server.mail().len(), maildrop.left().len()), (2, 2, 1), "{capabilities}");
        server.with(|mailbox| mailbox.capabilities = "IMAP4rev2 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS");
        env.run(&["forward", "--again", "a"]).expect(0).says("1 forwarded");
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &all());
        assert!(maildrop.left().is_empty());
    }
}

#[test]
fn it_goes_as_it_is_where_the_server_takes_it() {
    for capabilities in [
        "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS BINARY",
        "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ UIDPLUS BINARY",
        "IMAP4rev1 SASL-IR AUTH=PLAIN BINARY",
    ] {
        let (maildrop, server) = (Maildrop::new(messages()), ImapServer::start());
        server.with(|mailbox| mailbox.capabilities = capabilities);
        if !capabilities.contains("UIDPLUS") {
            server.with(|mailbox| mailbox.naming = Naming::Nothing);
        }
        server.faults(&[Fault::None, Fault::LoseAnswer]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_same_mail(&server.mail(), &all());
        assert!(maildrop.left().is_empty(), "{capabilities}");
    }
}

/// The answer to APPEND is lost, and BODY has another octet in the place of NUL: BINARY shows that it has arrived.
#[test]
fn one_whose_answer_was_lost_is_recognised_by_its_octets() {
    let (maildrop, server) = (Maildrop::new(vec![Message::new("u2", NUL)]), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS BINARY");
    server.faults(&[Fault::LoseAnswer]);
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(75);
    env.fetch().expect(0);
    env.fetch().expect(0);
    assert_same_mail(&server.mail(), &[on_the_wire(NUL)]);
    assert!(maildrop.left().is_empty());
}

/// The same for NUL in the header, of which the server shows another one than was sent; of two such messages that differ
/// in nothing else, each is its own.
#[test]
fn one_with_nul_in_its_header_is_recognised_by_all_its_octets() {
    let other = [NUL_IN_HEADER, b"y\r\n"].concat();
    let all = || vec![Message::new("u1", NUL_IN_HEADER), Message::new("u2", &other)];
    for (capabilities, naming) in [
        ("IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS BINARY", Naming::Right),
        ("IMAP4rev1 SASL-IR AUTH=PLAIN BINARY", Naming::Nothing),
    ] {
        let (maildrop, server) = (Maildrop::new(all()), ImapServer::start());
        server.with(|mailbox| (mailbox.capabilities, mailbox.naming) = (capabilities, naming));
        server.faults(&[Fault::LoseAnswer]);
        let env = TestEnv::new(&[to(&maildrop, &server, "")]);
        env.fetch().expect(75);
        env.fetch().expect(0);
        env.fetch().expect(0);
        let mut expected = vec![on_the_wire(NUL_IN_HEADER), on_the_wire(&other)];
        expected.sort();
        assert_same_mail(&server.mail(), &expected);
        assert!(maildrop.left().is_empty(), "{capabilities}");
    }
}

/// What the server made of the message is not examined if its answer says that it was stored.
#[test]
fn a_server_that_replaces_them_has_it_all_the_same() {
    let (maildrop, server) = (Maildrop::new(messages()), ImapServer::start());
    server.with(|mailbox| mailbox.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL- UIDPLUS BINARY");
    let env = TestEnv::new(&[to(&maildrop, &server, "")]);
    env.fetch().expect(0);
    server.with(|mailbox| {
        let replace = |message: &mut Stored| {
            message.bytes.iter_mut().filter(|octet| **octet == 0).for_each(|octet| *octet = 0x80);
        };
        mailbox.messages.iter_mut().for_each(replace);
    });
    env.fetch().expect(0);
    assert!(maildrop.left().is_empty());
}

#[test]
fn it_goes_as_it_is_by_lmtp_and_to_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp");
    let server = LmtpServer::start(&socket);
    let lmtp = format!("{{ lmtp = {{ socket = {socket:?}, recipient = \"jo@example.org\" }} }}");
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let command = format!("{{ command = [\"/bin/sh\", \"-c\", 'cat >\"{}/$MAILFERRY_DELIVERY_ID\"'] }}", out.display());
    for forward in [lmtp, command] {
        let maildrop = Maildrop::new(messages());
        let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting().set("forward", forward)]);
        env.fetch().expect(0).says("3 forwarded");
        env.fetch().expect(0);
        assert!(maildrop.left().is_empty());
    }
    assert_same_mail(&server.mail(), &all());
    let mut delivered: Vec<_> = files(&out).iter().map(|path| on_the_wire(&fs::read(path).unwrap())).collect();
    delivered.sort();
    assert_same_mail(&delivered, &all());
}
