//! Servers that break the rules, and attempts by a man in the middle.

use super::check;

#[test]
fn a_refused_connection() {
    check("S: -ERR [SYS/TEMP] too many connections <1.2@h>", &["greeting Err [SYS/TEMP] too many connections <1.2@h>"]);
}

#[test]
fn a_greeting_that_only_looks_like_ok() {
    check("S: +OKAY", &["greeting Err +OKAY"]);
    check("S: +ERR no", &["greeting Err +ERR no"]);
}

#[test]
fn another_protocol() {
    check(
        "S: 220 smtp.example.org ESMTP",
        &["error NotPop3 { excerpt: \"220 smtp.example.org ESMTP\", speaks: Unknown }"],
    );
    check("S: * OK IMAP4rev1 ready", &["error NotPop3 { excerpt: \"* OK IMAP4rev1 ready\", speaks: Imap }"]);
    check("S:", &["error NotPop3 { excerpt: \"\", speaks: Unknown }"]);
}

#[test]
fn tls_where_clear_text_is_due() {
    check("S: \x15\x03\x01\x02\x02\x0a", &["error LooksLikeTls"]);
    check("S: \x16\x03\x01", &["error LooksLikeTls"]);
    check("S: \x16 is no record", &["error NotPop3 { excerpt: \"\\\\u{16} is no record\", speaks: Unknown }"]);
}

#[test]
fn an_answer_that_is_none() {
    check(
        "S: +OK
         C: CAPA
         S: TOP",
        &["greeting Ok", "error NotPop3 { excerpt: \"TOP\", speaks: Unknown }"],
    );
}

#[test]
fn an_answer_with_another_indicator_is_a_refusal() {
    check(
        "S: +OK
         C: USER jo
         S: +
         C: USER jo
         S: +ERR hMailServer
         C: USER jo
         S: -
         C: USER jo
         S: -NO",
        &["greeting Ok", "USER Err +", "USER Err +ERR hMailServer", "USER Err -", "USER Err -NO"],
    );
}

#[test]
fn an_answer_injected_behind_stls() {
    check(
        "S: +OK
         C: STLS
         S: +OK Begin TLS
         S: +OK injected",
        &["greeting Ok", "STLS Ok Begin TLS", "error BytesBeforeTls"],
    );
}

/// A man in the middle greets with a bare LF, so that under TLS a dot between bare LFs would end a mail.
#[test]
fn a_line_end_from_before_tls_does_not_count_inside() {
    check(
        "S| +OK
         C: STLS
         S| +OK
         TLS
         C: USER jo
         S: +OK
         C: PASS secret
         S: +OK
         C: RETR 1
         S: +OK
         S| bare
         S| .
         S: end
         S: .",
        &["greeting Ok", "STLS Ok", "USER Ok", "PASS Ok", "RETR 1 Ok", "data bare\\n.\\nend\\r\\n", "end of RETR 1"],
    );
}

#[test]
fn a_challenge_that_is_not_base64() {
    check(
        "S: +OK
         C: AUTH PLAIN
         S: + *not* base64
         C: *
         S: -ERR cancelled",
        &["greeting Ok", "bad challenge", "AUTH PLAIN Err cancelled"],
    );
}

#[test]
fn a_plus_outside_of_auth_is_no_challenge() {
    check(
        "S: +OK
         C: USER jo
         S: + dGVzdA==",
        &["greeting Ok", "USER Err + dGVzdA=="],
    );
}

#[test]
fn control_bytes_in_an_error_text() {
    check(
        "S: +OK
         C: USER jo
         S: -ERR \x1b[2J\x07owned",
        &["greeting Ok", "USER Err \\u{1b}[2J\\u{7}owned"],
    );
}

#[test]
fn a_single_line_that_ends_in_a_bare_lf() {
    check(
        "S: +OK
         C: USER jo
         S| +OK
         C: PASS secret
         S: +OK
         C: RETR 1
         S| +OK
         S| bare
         S| .
         S: end
         S: .",
        &["greeting Ok", "USER Ok", "PASS Ok", "RETR 1 Ok", "data bare\\n.\\nend\\r\\n", "end of RETR 1"],
    );
}
