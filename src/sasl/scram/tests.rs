use super::*;
use crate::sasl::ChannelBindingKind;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Plays an exchange, and says whether the server's last message was taken for a proof.
fn play(hash: Hash, password: &str, nonce: &str, binding: Binding<'_>, messages: [(&str, &str); 2], end: &str) -> bool {
    let (mut scram, first) = Scram::begin(hash, "user", &secret(password), nonce, binding).unwrap();
    let [(expected_first, server_first), (expected_final, server_final)] = messages;
    assert_eq!(str::from_utf8(first.expose()).unwrap(), expected_first);
    assert!(!scram.is_password_used());
    let last = scram.answer(server_first.as_bytes()).unwrap();
    assert_eq!(str::from_utf8(last.expose()).unwrap(), expected_final);
    assert!(scram.is_password_used() && !scram.is_proved());
    let answer = scram.answer(server_final.as_bytes());
    assert_eq!(answer.is_ok(), end == "proved", "{answer:?}");
    scram.is_proved()
}

#[test]
fn speaks_the_example_of_rfc_5802() {
    let messages = [
        (
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        ),
        (
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
    ];
    assert!(play(Hash::Sha1, "pencil", "fyko+d2lbbFgONRv9qkxdawL", Binding::None, messages, "proved"));
}

#[test]
fn speaks_the_example_of_rfc_7677() {
    let messages = [
        (
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ),
        (
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ];
    assert!(play(Hash::Sha256, "pencil", "rOprNGfwEbeRWgbNEkqO", Binding::None, messages, "proved"));
    let wrong = [messages[0], (messages[1].0, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")];
    assert!(!play(Hash::Sha256, "pencil", "rOprNGfwEbeRWgbNEkqO", Binding::None, wrong, "refused"));
}

#[test]
fn says_what_it_binds_to() {
    let channel = ChannelBinding { kind: ChannelBindingKind::TlsExporter, data: vec![0xff; 32] };
    for (binding, flag, header) in [
        (Binding::None, "n,,", &b"n,,"[..]),
        (Binding::NotOffered, "y,,", b"y,,"),
        (Binding::To(&channel), "p=tls-exporter,,", &[b"p=tls-exporter,,", &[0xff; 32][..]].concat()),
    ] {
        let (mut scram, first) = Scram::begin(Hash::Sha256, "user", &secret("pencil"), "abc", binding).unwrap();
        assert_eq!(first.expose(), format!("{flag}n=user,r=abc").as_bytes());
        let last = scram.answer(b"r=abcdef,s=c2FsdA==,i=4096").unwrap();
        let expected = format!("c={},r=abcdef,p=", BASE64.encode(header));
        assert!(last.expose().starts_with(expected.as_bytes()));
    }
}

#[test]
fn a_server_that_cannot_prove_itself_is_an_impostor_and_gets_nothing_more() {
    let begin = || {
        let (mut scram, _) = Scram::begin(Hash::Sha1, "user", &secret("pencil"), "abc", Binding::None).unwrap();
        scram.answer(b"r=abcdef,s=c2FsdA==,i=4096").unwrap();
        scram
    };
    let mut scram = begin();
    let refused = scram.answer(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap_err();
    assert!(refused.is_impostor() && !scram.is_proved(), "{refused}");
    assert_eq!(scram.answer(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Err(SaslError::OneTooMany));
    let refused = begin().answer(b"e=invalid-proof");
    assert_eq!(refused, Err(SaslError::Refused { error: "invalid-proof".to_owned() }));
}

#[test]
fn iterations_are_bounded() {
    for (iterations, good) in [("0", false), ("4095", false), ("4096", true), ("2000001", false), ("9999999999", false)]
    {
        let (mut scram, _) = Scram::begin(Hash::Sha1, "user", &secret("pencil"), "abc", Binding::None).unwrap();
        let answer = scram.answer(format!("r=abcdef,s=c2FsdA==,i={iterations}").as_bytes());
        assert_eq!(answer.is_ok(), good, "{iterations}");
        assert!(good || matches!(answer, Err(SaslError::Iterations { .. })));
    }
}

#[test]
fn names_and_passwords_are_prepared() {
    let (scram, first) = Scram::begin(Hash::Sha1, "a=b,\u{2168}", &secret("I\u{ad}X"), "abc", Binding::None).unwrap();
    assert_eq!(first.expose(), b"n,,n=a=3Db=2CIX,r=abc");
    assert_eq!(scram.password.expose(), b"IX", "the examples of RFC 4013");
    for (username, password) in [("user", &b"\xff"[..]), ("user", b"\x07"), ("us\0er", b"x"), ("user", b"")] {
        let refused = Scram::begin(Hash::Sha1, username, &Secret::new(password.to_vec()), "abc", Binding::None);
        assert!(matches!(refused, Err(SaslError::Unsendable { .. })));
    }
}
