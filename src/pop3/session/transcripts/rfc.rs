//! The dialogues of the RFCs.

use super::check;

#[test]
fn rfc_1939_section_10() {
    check(
        "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>
         C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
         S: +OK mrose's maildrop has 2 messages (320 octets)
         C: STAT
         S: +OK 2 320
         C: LIST
         S: +OK 2 messages (320 octets)
         S: 1 120
         S: 2 200
         S: .
         C: RETR 1
         S: +OK 120 octets
         S: Subject: one
         S:
         S: text
         S: .
         C: DELE 1
         S: +OK message 1 deleted
         C: QUIT
         S: +OK dewey POP3 server signing off (maildrop empty)",
        &[
            "greeting Ok POP3 server ready <1896.697170952@dbc.mtview.ca.us> stamp <1896.697170952@dbc.mtview.ca.us>",
            "APOP Ok mrose's maildrop has 2 messages (320 octets)",
            "STAT Ok 2 320",
            "LIST Ok 2 messages (320 octets)",
            "line 1 120",
            "line 2 200",
            "end of LIST",
            "RETR 1 Ok 120 octets",
            "data Subject: one\\r\\n\\r\\ntext\\r\\n",
            "end of RETR 1",
            "DELE 1 Ok message 1 deleted",
            "QUIT Ok dewey POP3 server signing off (maildrop empty)",
        ],
    );
}

#[test]
fn rfc_1939_sections_5_and_7() {
    check(
        "S: +OK
         C: USER frated
         S: -ERR sorry, no mailbox for frated here
         C: USER mrose
         S: +OK mrose is a real hoopy frood
         C: PASS secret
         S: -ERR maildrop already locked
         C: PASS secret
         S: +OK mrose's maildrop has 2 messages (320 octets)
         C: LIST 3
         S: -ERR no such message, only 2 messages in maildrop
         C: LIST 2
         S: +OK 2 200
         C: UIDL
         S: +OK
         S: 1 whqtswO00WBw418f9t5JxYwZ
         S: 2 QhdPYR:00WBw1Ph7x7
         S: .
         C: UIDL 2
         S: +OK 2 QhdPYR:00WBw1Ph7x7
         C: TOP 1 10
         S: +OK
         S: Subject: one
         S: ..
         S: .
         C: TOP 100 3
         S: -ERR no such message
         C: NOOP
         S: +OK
         C: RSET
         S: +OK maildrop has 2 messages (320 octets)
         C: QUIT
         S: -ERR some deleted messages not removed",
        &[
            "greeting Ok",
            "USER Err sorry, no mailbox for frated here",
            "USER Ok mrose is a real hoopy frood",
            "PASS Err maildrop already locked",
            "PASS Ok mrose's maildrop has 2 messages (320 octets)",
            "LIST 3 Err no such message, only 2 messages in maildrop",
            "LIST 2 Ok 2 200",
            "UIDL Ok",
            "line 1 whqtswO00WBw418f9t5JxYwZ",
            "line 2 QhdPYR:00WBw1Ph7x7",
            "end of UIDL",
            "UIDL 2 Ok 2 QhdPYR:00WBw1Ph7x7",
            "TOP 1 Ok",
            "data Subject: one\\r\\n.\\r\\n",
            "end of TOP 1",
            "TOP 100 Err no such message",
            "NOOP Ok",
            "RSET Ok maildrop has 2 messages (320 octets)",
            "QUIT Err some deleted messages not removed",
        ],
    );
}

#[test]
fn rfc_2449_capabilities_and_codes() {
    check(
        "S: +OK
         C: CAPA
         S: +OK Capability list follows
         S: TOP
         S: SASL CRAM-MD5 KERBEROS_V4
         S: LOGIN-DELAY 900
         S: .
         C: USER rg
         S: +OK
         C: PASS secret
         S: -ERR [IN-USE] Do you have another POP session running?
         C: PASS secret
         S: -ERR [LOGIN-DELAY] minimum time between mail checks violation
         C: QUIT
         S: +OK",
        &[
            "greeting Ok",
            "CAPA Ok Capability list follows",
            "line TOP",
            "line SASL CRAM-MD5 KERBEROS_V4",
            "line LOGIN-DELAY 900",
            "end of CAPA",
            "USER Ok",
            "PASS Err [IN-USE] Do you have another POP session running?",
            "PASS Err [LOGIN-DELAY] minimum time between mail checks violation",
            "QUIT Ok",
        ],
    );
}

#[test]
fn rfc_2449_a_flight_of_pipelined_commands() {
    let mut session = super::Session::new();
    session.receive(b"+OK\r\n").unwrap();
    session.send(super::command("USER jo")).unwrap();
    session.send(super::command("PASS secret")).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session.advance_output(usize::MAX);
    for line in ["STAT", "UIDL", "LIST 9", "RETR 1", "RETR 2", "TOP 1 0", "DELE 1", "QUIT"] {
        session.send(super::command(line)).unwrap();
    }
    assert_eq!(session.outstanding(), 8);
    assert_eq!(session.output(), b"STAT\r\nUIDL\r\nLIST 9\r\nRETR 1\r\nRETR 2\r\nTOP 1 0\r\nDELE 1\r\nQUIT\r\n");
    let mut unread = b"+OK 2 9\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n-ERR no 9\r\n+OK\r\n..x\r\n.\r\n-ERR gone\r\n+OK\r\n.\r\n\
                       +OK\r\n+OK bye\r\n"
        .to_vec();
    let mut seen = super::Seen::default();
    super::listen(&mut session, &mut unread, &mut seen).unwrap();
    assert_eq!(
        seen.0,
        [
            "STAT Ok 2 9",
            "UIDL Ok",
            "line 1 a",
            "line 2 b",
            "end of UIDL",
            "LIST 9 Err no 9",
            "RETR 1 Ok",
            "data .x\\r\\n",
            "end of RETR 1",
            "RETR 2 Err gone",
            "TOP 1 Ok",
            "end of TOP 1",
            "DELE 1 Ok",
            "QUIT Ok bye",
        ]
    );
    assert_eq!((session.state(), session.outstanding()), (super::SessionState::Closed, 0));
}

#[test]
fn rfc_2595_stls() {
    check(
        "S: +OK
         C: CAPA
         S: +OK
         S: STLS
         S: .
         C: STLS
         S: +OK Begin TLS negotiation now
         TLS
         C: CAPA
         S: +OK
         S: SASL PLAIN
         S: .
         C: AUTH PLAIN AHRpbQBzZWNyZXQ=
         S: +OK",
        &[
            "greeting Ok",
            "CAPA Ok",
            "line STLS",
            "end of CAPA",
            "STLS Ok Begin TLS negotiation now",
            "CAPA Ok",
            "line SASL PLAIN",
            "end of CAPA",
            "AUTH PLAIN Ok",
        ],
    );
}

#[test]
fn rfc_2595_stls_refused() {
    check(
        "S: +OK
         C: STLS
         S: -ERR Command not permitted when TLS active
         C: QUIT
         S: +OK",
        &["greeting Ok", "STLS Err Command not permitted when TLS active", "QUIT Ok"],
    );
}

#[test]
fn rfc_3206_codes() {
    check(
        "S: +OK
         C: APOP jo 7501b4cdc224d469940e65e7b5e4d6eb
         S: -ERR [SYS/TEMP] try again later
         C: APOP jo 7501b4cdc224d469940e65e7b5e4d6eb
         S: -ERR [SYS/PERM] your mailbox is corrupt
         C: APOP jo 7501b4cdc224d469940e65e7b5e4d6eb
         S: -ERR [AUTH] no",
        &[
            "greeting Ok",
            "APOP Err [SYS/TEMP] try again later",
            "APOP Err [SYS/PERM] your mailbox is corrupt",
            "APOP Err [AUTH] no",
        ],
    );
}

#[test]
fn rfc_5034_plain_with_an_initial_response() {
    check(
        "S: +OK pop.example.com BlurdyBlurp POP3 server ready
         C: AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=
         S: +OK Maildrop locked and ready",
        &["greeting Ok pop.example.com BlurdyBlurp POP3 server ready", "AUTH PLAIN Ok Maildrop locked and ready"],
    );
}

#[test]
fn rfc_5034_plain_without_an_initial_response() {
    check(
        "S: +OK
         C: AUTH PLAIN
         S: + \n         C: dGVzdAB0ZXN0AHRlc3Q=
         S: +OK Maildrop locked and ready",
        &["greeting Ok", "challenge \"\"", "AUTH PLAIN Ok Maildrop locked and ready"],
    );
}

#[test]
fn rfc_5034_cancelled() {
    check(
        "S: +OK
         C: AUTH PLAIN
         S: + PDE4OTYuNjk3MTcwOTUyQGRiYy5tdHZpZXcuY2EudXM+
         C: *
         S: -ERR Client canceled authentication
         C: QUIT
         S: +OK",
        &[
            "greeting Ok",
            "challenge \"<1896.697170952@dbc.mtview.ca.us>\"",
            "AUTH PLAIN Err Client canceled authentication",
            "QUIT Ok",
        ],
    );
}

#[test]
fn rfc_6856_utf8() {
    check(
        "S: +OK
         C: UTF8
         S: +OK
         C: USER jo
         S: +OK
         C: PASS secret
         S: +OK
         C: RETR 1
         S: -ERR [UTF8] message needs UTF8",
        &["greeting Ok", "UTF8 Ok", "USER Ok", "PASS Ok", "RETR 1 Err [UTF8] message needs UTF8"],
    );
}
