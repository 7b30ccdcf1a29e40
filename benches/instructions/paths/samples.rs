//! What the paths are walked with: always the same, so that two counts can be compared.

use mailferry::pop3::{Command, Event, MessageNumber, Session, UniqueId};

/// The header of an everyday mail, as a server sends it.
const HEADER: &str = "\
    Return-Path: <bounces+1234567-abcd-jo=example.org@mail.example.com>\r\n\
    Received: from mx2.example.org (mx2.example.org [192.0.2.25])\r\n\
    \tby store7.example.org (Postfix) with ESMTPS id 4T2kQ93xyzz9sQ\r\n\
    \tfor <jo@example.org>; Tue, 5 Mar 2024 08:15:31 +0100 (CET)\r\n\
    Received: from o1.mail.example.com (o1.mail.example.com [198.51.100.7])\r\n\
    \tby mx2.example.org (Postfix) with ESMTPS id 4T2kQ82abcz1xY\r\n\
    \tfor <jo@example.org>; Tue, 5 Mar 2024 08:15:30 +0100 (CET)\r\n\
    Authentication-Results: mx2.example.org; dkim=pass header.d=example.com header.s=s1;\r\n\
    \tspf=pass smtp.mailfrom=mail.example.com; dmarc=pass header.from=example.com\r\n\
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s1;\r\n\
    \th=from:subject:date:message-id:to:mime-version:content-type;\r\n\
    \tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
    \tb=Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx5d2FsZG9mcmVkcGx1Z2h4eXp6eXRodWRmb28\r\n\
    \tYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx5d2FsZG9mcmVkcGx1Z2h4eXp6eXRodWRmb29iYXI\r\n\
    \tYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx5d2FsZG9mcmVkcGx1Z2h4eXp6eXRodWQ=\r\n\
    Message-ID: <20240305071529.7.A1B2C3D4E5F60718@mail.example.com>\r\n\
    Date: Tue, 5 Mar 2024 07:15:29 +0000\r\n\
    From: =?UTF-8?Q?The_newsletter_of_the_=C3=A4ther?= <notifications@example.com>\r\n\
    To: Jo Example <jo@example.org>\r\n\
    Subject: =?UTF-8?Q?What_happened_in_February=2C_and_what_is_going_to?=\r\n =?UTF-8?Q?_happen_in_March?=\r\n\
    List-Unsubscribe: <https://mail.example.com/u/0123456789abcdef>,\r\n <mailto:unsubscribe@example.com>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=\"=_0123456789abcdef0123456789abcdef\"\r\n\
    X-Spam-Status: No, score=-2.1 required=5.0 tests=DKIM_SIGNED,DKIM_VALID,SPF_PASS\r\n\
    \r\n";

/// The header of an everyday mail, with the empty line behind it.
pub fn header() -> Vec<u8> {
    HEADER.as_bytes().to_vec()
}

/// A message of 64 KiB in lines of 76 octets, as base64 makes them.
pub fn message() -> Vec<u8> {
    let mut message = header();
    while message.len() < 64 << 10 {
        message.extend_from_slice(&[b'Q'; 76]);
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A message of 64 lines of 1 KiB, each of which begins with a dot and the one that POP3 adds.
pub fn stuffed() -> Vec<u8> {
    let mut message = header();
    for _ in 0..64 {
        message.extend_from_slice(b"..");
        message.extend_from_slice(&[b'x'; 1020]);
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A unique-id as Dovecot makes it, another one for each number.
pub fn unique_id(number: u32) -> UniqueId {
    UniqueId::new(format!("{number:08x}5f3a9c41").as_bytes()).expect("a unique-id")
}

/// A size as LIST tells it.
pub fn size(number: u32) -> u64 {
    u64::from(number.wrapping_mul(2_654_435_761) % 90_000 + 700)
}

/// A message's number in a session.
pub fn number(number: u32) -> MessageNumber {
    MessageNumber::new(number).expect("a message number")
}

/// A session that is logged in and has asked this.
pub fn session(question: Command) -> Session {
    let mut session = Session::new();
    let (username, digest) = ("jo".to_owned(), "0".repeat(32));
    listen(&mut session, b"+OK ready <1.2@example.org>\r\n", |_, _| {});
    session.send(Command::Apop { username, digest }).expect("to log in");
    listen(&mut session, b"+OK welcome\r\n", |_, _| {});
    session.send(question).expect("to ask");
    session
}

/// Hands over what the session makes of `input`, as a client does that has read it, and tells how much of it is dealt with.
pub fn listen(session: &mut Session, input: &[u8], mut on_event: impl FnMut(&Event, &[u8])) -> usize {
    let mut rest = input;
    loop {
        let step = session.receive(rest).expect("POP3");
        if step.event == Event::NeedInput {
            return input.len() - rest.len();
        }
        on_event(&step.event, rest);
        rest = &rest[step.consumed..];
    }
}
