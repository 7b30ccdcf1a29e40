//! AUTH and STLS: what has to wait for what.

use super::*;
use crate::pop3::command::encode_response;

#[test]
fn answers_the_first_challenge_with_the_response_that_did_not_fit() {
    let response = plain_response("jo", &secret(&"x".repeat(300)));
    let encoded = encode_response(&response);
    for challenge in [b"+ \r\n".as_slice(), b"+\r\n", b"+ go ahead!\r\n"] {
        let mut session = greeted();
        session.send(Command::Utf8).unwrap();
        session.send(auth(Some(response.clone()))).unwrap();
        assert_eq!(session.output(), b"UTF8\r\nAUTH PLAIN\r\n");
        session.advance_output(usize::MAX);
        session.receive(b"+OK\r\n").unwrap();
        let step = session.receive(challenge).unwrap();
        assert_eq!(step, Step { consumed: challenge.len(), event: Event::NeedInput });
        assert_eq!(session.output(), [encoded.expose(), b"\r\n"].concat());
        session.advance_output(usize::MAX);
        // A second challenge goes to the driver.
        assert_eq!(session.receive(b"+ dGVzdA==\r\n").unwrap().event, Event::Challenge(b"test".to_vec()));
    }
}

#[test]
fn sees_what_came_right_behind_the_challenge_it_answered_itself() {
    let mut session = greeted();
    session.send(auth(Some(plain_response("jo", &secret(&"x".repeat(300)))))).unwrap();
    let step = session.receive(b"+ \r\n-ERR no\r\n").unwrap();
    assert_eq!(step.consumed, 13);
    assert!(matches!(step.event, Event::Response { to: CommandKind::Auth(Mechanism::Plain), .. }));
}

#[test]
fn refuses_an_answer_without_a_challenge() {
    let mut session = greeted();
    let response = plain_response("jo", &secret("x"));
    assert_eq!(session.answer_challenge(&response), Err(SendError::NoChallenge));
    assert_eq!(session.cancel_challenge(), Err(SendError::NoChallenge));
    session.send(auth(None)).unwrap();
    assert_eq!(session.answer_challenge(&response), Err(SendError::NoChallenge));
    session.receive(b"+ \r\n").unwrap();
    session.advance_output(usize::MAX);
    session.answer_challenge(&response).unwrap();
    assert_eq!(session.output(), b"AGpvAHg=\r\n");
    assert_eq!(session.answer_challenge(&response), Err(SendError::NoChallenge));
}

#[test]
fn refuses_an_answer_with_a_nul_inside_and_can_still_cancel() {
    let mut session = greeted();
    session.send(auth(None)).unwrap();
    session.receive(b"+ \r\n").unwrap();
    session.advance_output(usize::MAX);
    let refused = session.answer_challenge(&plain_response("jo", &secret("a\0b")));
    assert_eq!(refused, Err(SendError::Command(CommandError::NulInCredentials)));
    assert!(session.output().is_empty());
    session.cancel_challenge().unwrap();
    assert_eq!(session.output(), b"*\r\n");
}

#[test]
fn takes_a_challenge_with_or_without_padding() {
    for (encoded, decoded) in [("dGVzdA==", "test"), ("dGVzdA", "test"), ("PA== ", "<")] {
        let mut session = greeted();
        session.send(auth(None)).unwrap();
        let step = session.receive(format!("+ {encoded}\r\n").as_bytes()).unwrap();
        assert_eq!(step.event, Event::Challenge(decoded.as_bytes().to_vec()));
    }
}

#[test]
fn refuses_more_words_before_its_answer_to_a_challenge() {
    let mut session = greeted();
    session.send(auth(None)).unwrap();
    session.receive(b"+ \r\n").unwrap();
    assert_eq!(session.receive(b"").unwrap().event, Event::NeedInput);
    assert!(matches!(session.receive(b"+OK\r\n"), Err(FramingError::Unsolicited { .. })));
}

#[test]
fn begins_tls_only_after_the_server_agreed() {
    let mut session = greeted();
    assert_eq!(session.tls_started(), Err(SendError::NoHandshakeDue));
    session.send(Command::Stls).unwrap();
    assert_eq!(session.tls_started(), Err(SendError::NoHandshakeDue));
    session.receive(b"-ERR no\r\n").unwrap();
    assert_eq!(session.tls_started(), Err(SendError::NoHandshakeDue));
    session.send(Command::Stls).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.send(Command::User("jo".into())), Err(SendError::MustWait));
    assert_eq!(session.receive(b"").unwrap().event, Event::NeedInput);
    session.tls_started().unwrap();
    session.send(Command::Capa).unwrap();
}

#[test]
fn refuses_any_octet_between_stls_and_tls() {
    let mut session = greeted();
    session.send(Command::Stls).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.receive(b"x"), Err(FramingError::BytesBeforeTls));
    assert_eq!(session.state(), SessionState::Closed);
    assert_eq!(session.tls_started(), Err(SendError::NoHandshakeDue));
}
