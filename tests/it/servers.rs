//! Tests of the tests' own servers: no test can rely on what they do not do.

use std::time::Duration;

use crate::mail::{odd_ones, small, small_ones};
use crate::raw::{RawClient, stored};
use crate::scripted::Faults;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::{LINE, LINES_HEADER, Maildrop, Message, PASSWORD, USER};

/// A logged-in session with a scripted maildrop.
fn session(maildrop: &Maildrop) -> RawClient {
    let (mut client, greeting) = RawClient::connect(maildrop.server.address).unwrap();
    assert_eq!(greeting, "+OK ready");
    assert_eq!(client.ask(&format!("USER {USER}")), "+OK who else");
    assert_eq!(client.ask(&format!("PASS {PASSWORD}")), "+OK welcome");
    client
}

#[test]
fn a_maildrop_speaks_pop3() {
    let maildrop = Maildrop::new(small_ones(2));
    let mut client = session(&maildrop);
    let size = small(1).len() + small(2).len();
    assert_eq!(client.ask("STAT"), format!("+OK 2 {size}"));
    assert_eq!(client.ask_for_lines("UIDL"), b"1 u1\r\n2 u2\r\n");
    assert_eq!(client.ask_for_lines("LIST"), format!("1 {}\r\n2 {}\r\n", small(1).len(), small(2).len()).as_bytes());
    assert_eq!(client.ask("LIST 3"), "-ERR no such message");
    assert_eq!(client.ask_for_lines("RETR 2"), small(2));
    assert!(small(1).starts_with(&client.ask_for_lines("TOP 1 0")));
    assert_eq!(client.ask("DELE 1"), "+OK marked");
    assert_eq!(client.ask("RETR 1"), "-ERR no such message");
    assert_eq!(client.ask_for_lines("UIDL"), b"2 u2\r\n");
    assert_eq!(client.ask("QUIT"), "+OK bye");
    assert_eq!(client.read_to_end().unwrap(), b"");
    drop(client);
    assert_eq!(maildrop.left(), ["u2"]);
    assert_eq!(maildrop.retrieved("u2"), 1);
    assert_eq!(maildrop.count("retr"), 2);
    let written_down = &maildrop.server.sessions()[0];
    assert!(written_down.quit && written_down.pipelined == 0, "{written_down:?}");
}

#[test]
fn a_dele_without_quit_deletes_nothing() {
    let maildrop = Maildrop::new(small_ones(1));
    let mut client = session(&maildrop);
    client.ask("DELE 1");
    drop(client);
    assert_eq!(maildrop.count("DELE"), 1);
    assert_eq!(maildrop.left(), ["u1"]);
}

#[test]
fn a_maildrop_takes_away_what_was_retrieved_at_quit_and_not_before() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.expire_0 = true);
    for (ends, left) in [("", vec!["u1", "u2", "u3"]), ("QUIT", vec!["u1", "u3"])] {
        let mut client = session(&maildrop);
        client.ask_for_lines("RETR 2");
        client.ask_for_lines("TOP 3 0");
        if !ends.is_empty() {
            client.ask(ends);
        }
        drop(client);
        maildrop.server.wait_until_idle();
        assert_eq!(maildrop.left(), left);
    }
}

#[test]
fn odd_messages_pass_a_maildrop_unharmed() {
    let odd = odd_ones();
    let messages: Vec<_> = odd.iter().enumerate().map(|(n, m)| Message::new(&n.to_string(), m)).collect();
    let maildrop = Maildrop::with(messages, |behaviour| behaviour.chunk = Some(999));
    let mut client = session(&maildrop);
    for (number, message) in odd.iter().enumerate() {
        let mut expected = message.clone();
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        assert_eq!(client.ask_for_lines(&format!("RETR {}", number + 1)), expected);
    }
}

#[test]
fn a_large_message_is_made_while_it_is_sent() {
    let message = Message::large("l", 1_000_000);
    let size = usize::try_from(message.size()).unwrap();
    let maildrop = Maildrop::new(vec![message]);
    let sent = session(&maildrop).ask_for_lines("RETR 1");
    assert_eq!(sent.len(), size);
    assert!(sent.starts_with(LINES_HEADER.as_bytes()) && sent.ends_with(LINE.as_bytes()));
}

#[test]
fn a_cut_comes_after_the_ordered_byte() {
    for reset in [false, true] {
        let faults = Faults { cut_after: Some(14), reset, ..Faults::default() };
        let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.next_faults = Some(faults));
        let (mut client, _) = RawClient::connect(maildrop.server.address).unwrap();
        client.send(b"CAPA\r\n");
        let rest = client.read_to_end();
        if reset {
            assert!(rest.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
        } else {
            assert_eq!(rest.unwrap(), b"+OK");
        }
        drop(client);
        maildrop.server.wait_until_idle();
        assert_eq!(maildrop.server.sessions()[0].sent, 14);
        session(&maildrop); // the next session has no fault
    }
}

#[test]
fn a_stalled_session_goes_on_when_released_and_has_seen_what_came() {
    let faults = Faults { stall_after: Some(12), ..Faults::default() };
    let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.next_faults = Some(faults));
    let (mut client, _) = RawClient::connect(maildrop.server.address).unwrap();
    client.send(b"CAPA\r\n");
    maildrop.server.wait_until_stalled(1);
    client.send(b"QUIT\r\n");
    maildrop.server.wait_until("QUIT", |sessions| sessions[0].raw.ends_with(b"QUIT\r\n"));
    maildrop.server.release();
    assert!(client.read_to_end().unwrap().ends_with(b"+OK bye\r\n"));
}

#[test]
fn a_dialogue_follows_its_steps_and_names_what_does_not_fit() {
    let steps = vec![
        Step::say("+OK hello"),
        Step::Expect("CAPA"),
        Step::Pause(Duration::from_millis(1)),
        Step::Send(b"-ERR\r\n".to_vec()),
        Step::ExpectPrefix("USER "),
        Step::Close,
    ];
    let server = dialogue::serve_in_chunks(steps, Some(1));
    let (mut client, greeting) = RawClient::connect(server.address).unwrap();
    assert_eq!((greeting.as_str(), client.ask("CAPA").as_str()), ("+OK hello", "-ERR"));
    client.send(b"USER x\r\n");
    assert_eq!(client.read_to_end().unwrap(), b"");
    assert_eq!(dialogue::first_mismatch(&server), None);
    drop(client);

    let (mut client, _) = RawClient::connect(server.address).unwrap();
    client.send(b"STAT\r\n");
    assert_eq!(client.read_to_end().unwrap(), b"");
    drop(client);
    server.wait_until_idle();
    assert_eq!(dialogue::first_mismatch(&server).unwrap(), "expected \"CAPA\", got Some(\"STAT\")");
}

#[test]
fn dovecot_serves_what_was_put_there() {
    let Some(dovecot) = crate::dovecot::shared() else { return };
    let message = b"Subject: one\n\n.dot\nlast\n".to_vec();
    let user = dovecot.user("self-test", std::slice::from_ref(&message));
    assert_eq!(user.served(), [stored(&message)]);
    assert_eq!(user.left(), 1);
    let mut client = user.session();
    assert!(client.ask("DELE 1").starts_with("+OK"));
    assert!(client.ask("QUIT").starts_with("+OK"));
    assert_eq!(user.left(), 0);
}
