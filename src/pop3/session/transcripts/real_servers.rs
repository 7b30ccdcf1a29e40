//! Behaviour of real servers, and cases from the tests of other clients.

use super::check;

#[test]
fn gmail() {
    check(
        "S: +OK Gpop ready for requests from 192.0.2.1 a1b2
         C: CAPA
         S: +OK Capability list follows
         S: USER
         S: EXPIRE 0
         S: X-GOOGLE-RICO
         S: SASL PLAIN XOAUTH2 OAUTHBEARER
         S: .
         C: AUTH PLAIN AGpvAHNlY3JldA==
         S: +OK Welcome.
         C: UIDL
         S: +OK 1 messages (2000 bytes)
         S: 1 GmailId1835c3f0e53e7dd4
         S: .
         C: QUIT
         S: +OK Farewell.",
        &[
            "greeting Ok Gpop ready for requests from 192.0.2.1 a1b2",
            "CAPA Ok Capability list follows",
            "line USER",
            "line EXPIRE 0",
            "line X-GOOGLE-RICO",
            "line SASL PLAIN XOAUTH2 OAUTHBEARER",
            "end of CAPA",
            "AUTH PLAIN Ok Welcome.",
            "UIDL Ok 1 messages (2000 bytes)",
            "line 1 GmailId1835c3f0e53e7dd4",
            "end of UIDL",
            "QUIT Ok Farewell.",
        ],
    );
}

#[test]
fn exchange_asks_with_a_bare_plus() {
    check(
        "S: +OK The Microsoft Exchange POP3 service is ready.
         C: AUTH PLAIN
         S: +
         C: AGpvAHNlY3JldA==
         S: +OK User successfully logged on.",
        &[
            "greeting Ok The Microsoft Exchange POP3 service is ready.",
            "challenge \"\"",
            "AUTH PLAIN Ok User successfully logged on.",
        ],
    );
}

#[test]
fn a_server_that_does_not_know_capa() {
    check(
        "S: +OK
         C: CAPA
         S: -ERR
         C: USER jo
         S: +OK",
        &["greeting Ok", "CAPA Err", "USER Ok"],
    );
}

#[test]
fn a_server_whose_lines_end_in_a_bare_lf() {
    check(
        "S| +OK <1.2@h>
         C: USER jo
         S| +OK
         C: PASS secret
         S| +OK
         C: UIDL
         S| +OK
         S| 1 a
         S: 2 b
         S| .
         C: RETR 1
         S| +OK
         S| ..
         S|
         S: x
         S| .y
         S| .
         C: RETR 2
         S| +OK
         S| .
         C: QUIT
         S| +OK",
        &[
            "greeting Ok <1.2@h> stamp <1.2@h>",
            "USER Ok",
            "PASS Ok",
            "UIDL Ok",
            "line 1 a",
            "line 2 b",
            "end of UIDL",
            "RETR 1 Ok",
            "data .\\n\\nx\\r\\ny\\n",
            "end of RETR 1",
            "RETR 2 Ok",
            "end of RETR 2",
            "QUIT Ok",
        ],
    );
}

#[test]
fn a_mail_with_bare_lfs_and_a_dot_between_them() {
    check(
        "S: +OK
         C: USER jo
         S: +OK
         C: PASS secret
         S: +OK
         C: RETR 1
         S: +OK
         S| bare
         S| .
         S| ..
         S: end
         S: .
         C: QUIT
         S: +OK",
        &[
            "greeting Ok",
            "USER Ok",
            "PASS Ok",
            "RETR 1 Ok",
            "data bare\\n.\\n..\\nend\\r\\n",
            "end of RETR 1",
            "QUIT Ok",
        ],
    );
}

/// Tests 850, 853 to 856 and 862 of curl.
#[test]
fn what_curl_knows() {
    check(
        "S: +OK curl POP3 server ready to serve
         C: USER user
         S: +OK
         C: PASS secret
         S: -ERR Login failure
         C: PASS secret
         S: +OK Login successful
         C: LIST
         S: +OK
         S: 1 4294967400
         S: .
         C: LIST
         S: +OK
         S: .
         C: LIST
         S: -ERR
         C: RETR 855
         S: -ERR nope
         C: RETR 850
         S: +OK Mail transfer starts
         S: From: me@somewhere
         S:
         S: yours sincerely
         S: .
         C: QUIT
         S: +OK curl POP3 server signing off",
        &[
            "greeting Ok curl POP3 server ready to serve",
            "USER Ok",
            "PASS Err Login failure",
            "PASS Ok Login successful",
            "LIST Ok",
            "line 1 4294967400",
            "end of LIST",
            "LIST Ok",
            "end of LIST",
            "LIST Err",
            "RETR 855 Err nope",
            "RETR 850 Ok Mail transfer starts",
            "data From: me@somewhere\\r\\n\\r\\nyours sincerely\\r\\n",
            "end of RETR 850",
            "QUIT Ok curl POP3 server signing off",
        ],
    );
}

/// Test 857 of curl.
#[test]
fn stuffed_dots_come_off_once() {
    check(
        "S: +OK
         C: USER jo
         S: +OK
         C: PASS secret
         S: +OK
         C: RETR 857
         S: +OK
         S: ..one
         S: ...two
         S: .three
         S: four.
         S: ..
         S: From the fifth
         S: .",
        &[
            "greeting Ok",
            "USER Ok",
            "PASS Ok",
            "RETR 857 Ok",
            "data .one\\r\\n..two\\r\\nthree\\r\\nfour.\\r\\n.\\r\\nFrom the fifth\\r\\n",
            "end of RETR 857",
        ],
    );
}

#[test]
fn a_password_keeps_its_blanks() {
    check(
        "S: +OK
         C: USER jo
         S: +OK
         C: PASS  two  words
         S: +OK",
        &["greeting Ok", "USER Ok", "PASS Ok"],
    );
}
