use super::*;
use crate::sasl::plain_response;

fn number(number: u32) -> MessageNumber {
    MessageNumber::new(number).unwrap()
}

fn secret(text: &[u8]) -> Secret {
    Secret::new(text.to_vec())
}

fn written(command: Command) -> String {
    let mut output = Vec::new();
    assert!(command.write_to(&mut output).unwrap().is_none());
    String::from_utf8(output).unwrap()
}

fn refused(command: Command) -> CommandError {
    let mut output = b"before".to_vec();
    let error = command.write_to(&mut output).unwrap_err();
    assert_eq!(output, b"before");
    error
}

#[test]
fn writes_each_command_as_the_rfcs_do() {
    let auth = Command::Auth { mechanism: Mechanism::Plain, initial_response: None };
    let cases = [
        (Command::Capa, "CAPA\r\n"),
        (Command::Stls, "STLS\r\n"),
        (Command::Utf8, "UTF8\r\n"),
        (Command::User("mrose".into()), "USER mrose\r\n"),
        (Command::Pass(secret(b"tanstaaf")), "PASS tanstaaf\r\n"),
        (Command::Apop { username: "mrose".into(), digest: "c4c9".into() }, "APOP mrose c4c9\r\n"),
        (auth, "AUTH PLAIN\r\n"),
        (Command::Stat, "STAT\r\n"),
        (Command::List(None), "LIST\r\n"),
        (Command::List(Some(number(2))), "LIST 2\r\n"),
        (Command::Uidl(None), "UIDL\r\n"),
        (Command::Uidl(Some(number(2))), "UIDL 2\r\n"),
        (Command::Retr(number(4_294_967_295)), "RETR 4294967295\r\n"),
        (Command::Top { number: number(3), lines: 10 }, "TOP 3 10\r\n"),
        (Command::Dele(number(1)), "DELE 1\r\n"),
        (Command::Noop, "NOOP\r\n"),
        (Command::Rset, "RSET\r\n"),
        (Command::Quit, "QUIT\r\n"),
    ];
    for (command, line) in cases {
        assert_eq!(written(command), line);
    }
}

#[test]
fn sends_a_password_with_its_blanks() {
    assert_eq!(written(Command::Pass(secret(b" two  words "))), "PASS  two  words \r\n");
}

#[test]
fn sends_an_initial_response_with_auth() {
    let response = plain_response("tim", &secret(b"tanstaaftanstaaf"));
    let command = Command::Auth { mechanism: Mechanism::Plain, initial_response: Some(response) };
    assert_eq!(written(command), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
}

#[test]
fn writes_an_empty_initial_response_so_that_it_can_be_seen() {
    assert_eq!(encode_initial_response(&secret(b"")).expose(), b"=");
    assert_eq!(encode_initial_response(&secret(b"a")).expose(), b"YQ==");
}

#[test]
fn holds_back_an_initial_response_that_makes_the_line_too_long() {
    // "AUTH PLAIN " and CRLF are 13 octets, so 242 remain, of which base64 fills 240: 180 octets.
    let response_of = |octets: usize| plain_response("jo", &secret(&vec![b'x'; octets - 4]));
    let command = |octets| Command::Auth { mechanism: Mechanism::Plain, initial_response: Some(response_of(octets)) };
    assert_eq!(written(command(180)).len(), 253);
    let mut output = Vec::new();
    let held = command(181).write_to(&mut output).unwrap().unwrap();
    assert_eq!(output, b"AUTH PLAIN\r\n");
    assert_eq!(held.expose(), response_of(181).expose());
}

#[test]
fn refuses_line_ends_and_nul_in_every_argument() {
    for octet in [b'\r', b'\n', 0] {
        let text = String::from_utf8(vec![b'a', octet, b'b']).unwrap();
        let error = |argument| CommandError::Forbidden { argument, octet };
        assert_eq!(refused(Command::User(text.clone())), error("the user name"));
        assert_eq!(refused(Command::Pass(secret(text.as_bytes()))), error("the password"));
        let apop = |username: &str, digest: &str| Command::Apop { username: username.into(), digest: digest.into() };
        assert_eq!(refused(apop(&text, "c4c9")), error("the user name"));
        assert_eq!(refused(apop("jo", &text)), error("the digest"));
    }
}

#[test]
fn refuses_a_nul_inside_the_credentials_of_plain() {
    for (username, password) in [("a\0b", "c"), ("a", "b\0c")] {
        let response = plain_response(username, &secret(password.as_bytes()));
        let command = Command::Auth { mechanism: Mechanism::Plain, initial_response: Some(response) };
        assert_eq!(refused(command), CommandError::NulInCredentials);
    }
}

#[test]
fn refuses_a_line_of_more_than_255_octets() {
    assert_eq!(written(Command::Pass(secret(&[b'x'; 248]))).len(), 255);
    let error = refused(Command::Pass(secret(&[b'x'; 249])));
    assert_eq!(error, CommandError::TooLong { argument: "the password", octets: 256 });
    assert!(error.to_string().contains("256 octets, and POP3 allows 255"), "{error}");
    let apop = Command::Apop { username: "x".repeat(300), digest: "c4c9".into() };
    assert_eq!(refused(apop), CommandError::TooLong { argument: "the user name", octets: 312 });
}

#[test]
fn shows_no_secret() {
    let response = plain_response("jo", &secret(b"hunter2"));
    let encoded = STANDARD.encode(response.expose());
    let commands = [
        (Command::Pass(secret(b"hunter2")), "PASS [secret]"),
        (Command::Apop { username: "jo".into(), digest: "hunter2".into() }, "APOP jo [secret]"),
        (Command::Auth { mechanism: Mechanism::Plain, initial_response: Some(response) }, "AUTH PLAIN [secret]"),
    ];
    for (command, shown) in commands {
        assert_eq!(command.to_string(), shown);
        assert!(!format!("{command:?}").contains("hunter2") && !format!("{command:?}").contains(&encoded));
    }
}

#[test]
fn shows_control_bytes_escaped() {
    assert_eq!(Command::User("jo\x1b[2J\r\n".into()).to_string(), "USER jo\\u{1b}[2J\\r\\n");
    assert_eq!(Command::Retr(number(3)).to_string(), "RETR 3");
    assert_eq!(Command::Top { number: number(3), lines: 0 }.to_string(), "TOP 3 0");
}

#[test]
fn writes_an_empty_password_and_nothing_more() {
    assert_eq!(written(Command::Pass(secret(b""))), "PASS \r\n");
}
