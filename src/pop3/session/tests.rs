use super::*;
use crate::pop3::Mechanism;
use crate::pop3::command::{Command, CommandError};
use crate::pop3::error::SendError;
use crate::pop3::listing::MessageNumber;
use crate::sasl::plain_response;

fn number(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn auth(initial_response: Option<Secret>) -> Command {
    Command::Auth { mechanism: Mechanism::Plain, initial_response }
}

fn greeted() -> Session {
    let mut session = Session::new();
    session.receive(b"+OK ready\r\n").unwrap();
    session
}

fn logged_in() -> Session {
    let mut session = greeted();
    session.send(Command::Pass(secret("x"))).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session.advance_output(usize::MAX);
    assert_eq!(session.state(), SessionState::Transaction);
    session
}

/// One of each command.
fn commands() -> Vec<Command> {
    vec![
        Command::Capa,
        Command::Stls,
        Command::Utf8,
        Command::User("jo".into()),
        Command::Pass(secret("x")),
        Command::Apop { username: "jo".into(), digest: "d".into() },
        auth(None),
        Command::Stat,
        Command::List(None),
        Command::List(Some(number(1))),
        Command::Uidl(None),
        Command::Uidl(Some(number(1))),
        Command::Retr(number(1)),
        Command::Top { number: number(1), lines: 0 },
        Command::Dele(number(1)),
        Command::Noop,
        Command::Rset,
        Command::Quit,
    ]
}

/// The keywords of the commands that may be sent in the state that `session` makes.
fn allowed(session: impl Fn() -> Session) -> Vec<String> {
    let may_be_sent = |command: &Command| {
        let mut session = session();
        let state = session.state();
        match session.send(command.clone()) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, SendError::OutOfTurn { command: command.kind(), state });
                assert!(session.output().is_empty());
                false
            }
        }
    };
    commands().iter().filter(|command| may_be_sent(command)).map(|command| command.kind().to_string()).collect()
}

#[test]
fn counts_what_had_to_be_waited_for_and_not_what_left_together() {
    let mut session = greeted();
    assert_eq!(session.round_trips(), 0, "the greeting is not asked for");
    session.send(auth(None)).unwrap();
    session.receive(b"+ \r\n").unwrap();
    assert_eq!(session.round_trips(), 1);
    session.answer_challenge(&plain_response("jo", &secret("x"))).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.round_trips(), 2);
    // Three are sent together; the fourth is sent when the first of them is answered.
    for _ in 0..3 {
        session.send(Command::Noop).unwrap();
    }
    session.receive(b"+OK\r\n").unwrap();
    session.send(Command::Noop).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.round_trips(), 3);
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.round_trips(), 4);
}

#[test]
fn says_nothing_before_the_greeting_and_after_the_end() {
    assert!(allowed(Session::new).is_empty());
    let refused = || {
        let mut session = Session::new();
        session.receive(b"-ERR too busy\r\n").unwrap();
        session
    };
    assert!(allowed(refused).is_empty());
    let ended = || {
        let mut session = logged_in();
        session.send(Command::Quit).unwrap();
        session.receive(b"+OK\r\n").unwrap();
        session.advance_output(usize::MAX);
        assert_eq!(session.state(), SessionState::Closed);
        session
    };
    assert!(allowed(ended).is_empty());
}

#[test]
fn takes_the_commands_of_authorization_before_the_login() {
    let expected = ["CAPA", "STLS", "UTF8", "USER", "PASS", "APOP", "AUTH PLAIN", "QUIT"];
    assert_eq!(allowed(greeted), expected);
}

#[test]
fn takes_the_commands_of_transaction_after_the_login() {
    let expected =
        ["CAPA", "STAT", "LIST", "LIST 1", "UIDL", "UIDL 1", "RETR 1", "TOP 1", "DELE 1", "NOOP", "RSET", "QUIT"];
    assert_eq!(allowed(logged_in), expected);
}

#[test]
fn does_not_begin_tls_twice_nor_after_utf8() {
    let implicit = || {
        let mut session = Session::under_tls();
        session.receive(b"+OK\r\n").unwrap();
        session
    };
    let upgraded = || {
        let mut session = greeted();
        session.send(Command::Stls).unwrap();
        session.advance_output(usize::MAX);
        session.receive(b"+OK\r\n").unwrap();
        session.tls_started().unwrap();
        session
    };
    let utf8 = || {
        let mut session = greeted();
        session.send(Command::Utf8).unwrap();
        session.advance_output(usize::MAX);
        session.receive(b"+OK\r\n").unwrap();
        session
    };
    for session in [&implicit as &dyn Fn() -> Session, &upgraded, &utf8] {
        assert_eq!(allowed(session), ["CAPA", "UTF8", "USER", "PASS", "APOP", "AUTH PLAIN", "QUIT"]);
    }
}

#[test]
fn sends_nothing_behind_what_ends_a_flight() {
    let apop = Command::Apop { username: "jo".into(), digest: "d".into() };
    for barrier in [Command::Pass(secret("x")), apop, auth(None), Command::Stls, Command::Quit] {
        for command in commands() {
            let mut session = greeted();
            session.send(Command::Capa).unwrap();
            session.send(barrier.clone()).unwrap();
            let output = session.output().to_vec();
            assert_eq!(session.send(command), Err(SendError::MustWait));
            assert_eq!((session.output(), session.outstanding()), (output.as_slice(), 2));
        }
    }
}

#[test]
fn sends_the_password_right_behind_the_user_name() {
    let mut session = greeted();
    session.send(Command::Utf8).unwrap();
    session.send(Command::User("jo".into())).unwrap();
    session.send(Command::Pass(secret("x"))).unwrap();
    assert_eq!(session.output(), b"UTF8\r\nUSER jo\r\nPASS x\r\n");
}

#[test]
fn stays_before_the_login_when_it_is_refused() {
    let mut session = greeted();
    for command in [Command::Pass(secret("x")), auth(None), Command::User("jo".into())] {
        session.send(command).unwrap();
        session.receive(b"-ERR [AUTH] no\r\n").unwrap();
        assert_eq!((session.state(), session.outstanding()), (SessionState::Authorization, 0));
    }
}

#[test]
fn is_in_update_from_quit_to_its_answer() {
    let mut session = logged_in();
    session.send(Command::Dele(number(1))).unwrap();
    session.send(Command::Quit).unwrap();
    assert_eq!(session.state(), SessionState::Update);
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!((session.state(), session.outstanding()), (SessionState::Update, 1));
    session.receive(b"-ERR\r\n").unwrap();
    assert_eq!(session.state(), SessionState::Closed);
}

#[test]
fn is_not_in_update_when_it_quits_before_the_login() {
    let mut session = greeted();
    session.send(Command::Quit).unwrap();
    assert_eq!(session.state(), SessionState::Authorization);
    session.receive(b"+OK\r\n").unwrap();
    assert_eq!(session.state(), SessionState::Closed);
}

#[test]
fn counts_a_command_until_its_answer_is_complete() {
    let mut session = logged_in();
    session.send(Command::Retr(number(1))).unwrap();
    session.receive(b"+OK\r\n").unwrap();
    session.receive(b"text\r\n").unwrap();
    assert_eq!(session.outstanding(), 1);
    let step = session.receive(b".\r\n+OK").unwrap();
    assert_eq!(step, Step { consumed: 3, event: Event::End { to: CommandKind::Retr(number(1)) } });
    assert_eq!(session.outstanding(), 0);
}

#[test]
fn queues_nothing_that_cannot_be_written() {
    let mut session = greeted();
    let error = session.send(Command::User("jo\r\nDELE 1".into())).unwrap_err();
    let expected = CommandError::Forbidden { argument: "the user name", octet: b'\r' };
    assert_eq!(error, SendError::Command(expected));
    assert_eq!((session.output().len(), session.outstanding()), (0, 0));
}

#[test]
fn gives_its_output_in_pieces() {
    let mut session = greeted();
    session.send(Command::Capa).unwrap();
    session.advance_output(2);
    assert_eq!(session.output(), b"PA\r\n");
    session.send(Command::Quit).unwrap();
    assert_eq!(session.output(), b"PA\r\nQUIT\r\n");
    session.advance_output(9);
    assert_eq!(session.output(), b"\n");
    session.advance_output(100);
    assert!(session.output().is_empty());
}

#[test]
fn wipes_what_is_written() {
    let mut output = Output::default();
    output.buffer().extend_from_slice(b"PASS x\r\nQUIT\r\n");
    output.advance(8);
    assert_eq!(output.buffer().as_slice(), b"\0\0\0\0\0\0\0\0QUIT\r\n");
}

#[test]
fn refuses_words_that_nobody_asked_for() {
    let mut session = logged_in();
    let error = session.receive(b"-ERR idle for too long\r\n").unwrap_err();
    assert_eq!(error, FramingError::Unsolicited { excerpt: "-ERR idle for too long".to_owned() });
    assert_eq!(session.state(), SessionState::Closed);
    assert!(matches!(session.receive(b"+OK\r\n"), Err(FramingError::Unsolicited { .. })));
    assert!(matches!(session.send(Command::Noop), Err(SendError::OutOfTurn { .. })));
}

#[test]
fn drops_unwritten_output_with_the_session() {
    let mut session = greeted();
    session.send(Command::Pass(secret("hunter2"))).unwrap();
    assert!(session.receive(b"HTTP/1.1 400\r\n").is_err());
    assert!(session.output().is_empty());
}

#[test]
fn shows_no_secret_in_debug() {
    let mut session = greeted();
    session.send(auth(Some(plain_response("jo", &secret(&"hunter2".repeat(50)))))).unwrap();
    assert!(!format!("{session:?}").contains("hunter2"));
}

mod bounds;
mod login;
