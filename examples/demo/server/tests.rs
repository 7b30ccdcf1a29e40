//! The server's rules, without a socket where none is needed.

use super::*;

/// A session on a new connection to this maildrop.
fn session(maildrop: &Maildrop) -> Session<'_> {
    Session { maildrop, state: State::Authorization { user: None } }
}

/// A session that has logged in.
fn logged_in(maildrop: &Maildrop) -> Session<'_> {
    let mut session = session(maildrop);
    say(&mut session, &format!("USER {USERNAME}"));
    assert_eq!(say(&mut session, &format!("PASS {PASSWORD}")), "+OK logged in\r\n");
    session
}

fn say(session: &mut Session<'_>, line: &str) -> String {
    String::from_utf8(session.answer(line)).unwrap()
}

fn three_messages() -> Maildrop {
    Maildrop::new(&[b"A: 1\n\none\ntwo\nthree\n".to_vec(), b"B: 2\r\n\r\n".to_vec(), b"C: 3".to_vec()])
}

#[test]
fn stuffs_each_line_that_begins_with_a_dot() {
    assert_eq!(multi_line("x", b".\r\n..\r\n.a\r\nb.\r\n"), b"+OK x\r\n..\r\n...\r\n..a\r\nb.\r\n.\r\n");
}

#[test]
fn an_empty_message_is_only_the_last_dot() {
    assert_eq!(multi_line("x", b""), b"+OK x\r\n.\r\n");
}

#[test]
fn a_bare_cr_begins_no_line() {
    assert_eq!(multi_line("x", b"a\r.b\r\n"), b"+OK x\r\na\r.b\r\n.\r\n");
}

#[test]
fn every_sample_gets_the_line_ends_of_the_wire() {
    assert_eq!(with_crlf(b"a\nb\r\nc"), b"a\r\nb\r\nc\r\n");
    assert_eq!(with_crlf(b"a\r\r\n"), b"a\r\r\n");
    assert_eq!(with_crlf(b"a\r"), b"a\r\r\n");
    assert_eq!(with_crlf(b""), b"");
}

#[test]
fn listings_count_octets_as_sent_and_skip_what_is_marked() {
    let maildrop = three_messages();
    let mut session = logged_in(&maildrop);
    assert_eq!(say(&mut session, "STAT"), "+OK 3 39\r\n");
    assert_eq!(say(&mut session, "LIST 1"), "+OK 1 25\r\n");
    say(&mut session, "DELE 2");
    assert_eq!(say(&mut session, "LIST"), "+OK the listing follows\r\n1 25\r\n3 6\r\n.\r\n");
    assert_eq!(say(&mut session, "uidl"), "+OK the listing follows\r\n1 demo-0001\r\n3 demo-0003\r\n.\r\n");
    for refused in ["LIST 2", "UIDL 2", "RETR 2", "DELE 2", "TOP 2 0", "LIST 0", "RETR 4", "RETR x", "TOP 1"] {
        assert!(say(&mut session, refused).starts_with("-ERR"), "{refused}");
    }
    say(&mut session, "RSET");
    assert_eq!(say(&mut session, "STAT"), "+OK 3 39\r\n");
}

#[test]
fn top_ends_within_the_body() {
    let maildrop = three_messages();
    let mut session = logged_in(&maildrop);
    assert_eq!(say(&mut session, "TOP 1 0"), "+OK the top follows\r\nA: 1\r\n\r\n.\r\n");
    assert_eq!(say(&mut session, "TOP 1 2"), "+OK the top follows\r\nA: 1\r\n\r\none\r\ntwo\r\n.\r\n");
    assert_eq!(say(&mut session, "TOP 3 9"), "+OK the top follows\r\nC: 3\r\n.\r\n");
}

#[test]
fn only_quit_removes_messages() {
    let maildrop = three_messages();
    let mut lost = logged_in(&maildrop);
    say(&mut lost, "DELE 1");
    drop(lost);
    let mut session = logged_in(&maildrop);
    assert_eq!(say(&mut session, "STAT"), "+OK 3 39\r\n");
    say(&mut session, "DELE 1");
    assert_eq!(say(&mut session, "QUIT"), "+OK goodbye\r\n");
    let mut next = logged_in(&maildrop);
    assert_eq!(say(&mut next, "UIDL"), "+OK the listing follows\r\n1 demo-0002\r\n2 demo-0003\r\n.\r\n");
}

#[test]
fn one_session_at_a_time() {
    let maildrop = three_messages();
    let first = logged_in(&maildrop);
    let mut second = session(&maildrop);
    say(&mut second, &format!("USER {USERNAME}"));
    assert!(say(&mut second, &format!("PASS {PASSWORD}")).starts_with("-ERR [IN-USE]"));
    drop(first);
    logged_in(&maildrop);
}

#[test]
fn auth_plain_works_in_one_step_and_in_two() {
    let maildrop = three_messages();
    let response = BASE64_STANDARD.encode(format!("\0{USERNAME}\0{PASSWORD}"));
    let mut one_step = session(&maildrop);
    assert_eq!(say(&mut one_step, &format!("auth plain {response}")), "+OK logged in\r\n");
    drop(one_step);
    let mut two_steps = session(&maildrop);
    assert_eq!(say(&mut two_steps, "AUTH PLAIN"), "+ \r\n");
    assert_eq!(say(&mut two_steps, &response), "+OK logged in\r\n");
}

#[test]
fn a_refused_login_shows_nothing() {
    let maildrop = three_messages();
    let mut session = session(&maildrop);
    let wrong = BASE64_STANDARD.encode(format!("other\0{USERNAME}\0{PASSWORD}"));
    for line in ["STAT", "RETR 1", "PASS x", "AUTH PLAIN", "*", "STAT", &format!("AUTH PLAIN {wrong}"), "LIST"] {
        let answer = say(&mut session, line);
        assert!(answer.starts_with("-ERR") || answer == "+ \r\n", "{line} was answered with {answer}");
    }
    say(&mut session, &format!("USER {USERNAME}"));
    assert!(say(&mut session, "PASS wrong").starts_with("-ERR"));
    assert!(say(&mut session, &format!("PASS {PASSWORD}")).starts_with("-ERR"), "USER has to come again");
    assert_eq!(maildrop.retr_count.load(Ordering::Relaxed), 0);
}

#[test]
fn pipelined_commands_are_answered_in_order_over_a_socket() {
    let server = Server::start(&[b"A: 1\n\n.x\n".to_vec()]).unwrap();
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "USER {USERNAME}\r\nPASS {PASSWORD}\r\nRETR 1\r\nRETR 1\r\nQUIT\r\n").unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    let message = "+OK the message follows\r\nA: 1\r\n\r\n..x\r\n.\r\n";
    let expected = format!(
        "+OK mailferry's demo server is ready\r\n+OK and the password?\r\n+OK logged in\r\n{message}{message}+OK goodbye\r\n"
    );
    assert_eq!(heard, expected);
    assert_eq!(server.retr_count(), 2);
}
