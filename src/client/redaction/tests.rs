use super::*;

fn redactor(password: &str) -> Redactor {
    Redactor::new("jo", &Secret::new(password.as_bytes().to_vec()))
}

#[test]
fn hides_a_password_in_any_case_and_as_auth_plain_has_it() {
    assert_eq!(redactor("s3cret").hide("no s3cret, S3CRET or AGpvAHMzY3JldA=="), "no [secret], [secret] or [secret]");
    assert_eq!(redactor("secret").hide("secretsecret"), "[secret][secret]");
}

#[test]
fn hides_a_password_that_is_shown_escaped() {
    for password in ["hunt\ter2", "h\u{1b}unter2", "\u{200b}hunter2", "hünter2", "hun\\ter2", "hun'ter2", " hunter2 "]
    {
        let octets = password.as_bytes();
        let unique_id = UniqueId::new(octets).unwrap().to_string();
        for shown in [words_in(octets), octets.escape_ascii().to_string(), unique_id] {
            let hidden = redactor(password).hide(&format!("it said {}", shown.trim()));
            assert_eq!(hidden, "it said [secret]", "{password:?}");
        }
    }
}

/// Percent-encodes all octets, or only those that a browser would.
fn percent(octets: &[u8], all: bool) -> String {
    let plain = |octet: &u8| !all && octet.is_ascii_alphanumeric();
    octets.iter().map(|o| if plain(o) { char::from(*o).to_string() } else { format!("%{o:02X}") }).collect()
}

#[test]
fn hides_a_password_however_it_is_encoded() {
    for password in ["Tr0ub4dor&3 x", "hünter2 <5>", "a%41+b/c?d", "p\u{a0}ssw\tord", "1234", "===="] {
        let (octets, redactor) = (password.as_bytes(), redactor(password));
        let plain = plain_response("jo", &Secret::new(octets.to_vec()));
        let mut forms = vec![percent(octets, true), percent(octets, false), percent(octets, false).replace("%20", "+")];
        for secret in [octets, plain.expose(), &[b"jo:", octets].concat(), &[b"\0other\0jo\0", octets, b"!"].concat()] {
            forms.extend([BASE64.encode(secret), BASE64_URL_SAFE.encode(secret)]);
        }
        forms.extend(["", " ", ":", "-"].map(|separator| hexadecimal(octets, separator)));
        forms.push(as_html(password).to_string());
        for form in forms {
            for form in [
                form.trim_end_matches('=').to_owned(),
                form.clone(),
                form.to_ascii_lowercase(),
                form.to_ascii_uppercase(),
            ] {
                if form.is_empty() {
                    continue;
                }
                let hidden = redactor.hide(&words(&format!("it said <{form}> twice")));
                assert!(hidden.starts_with("it said <[secret]"), "{password:?}: {form} shown as {hidden}");
                assert!(
                    hidden.trim_end_matches("> twice").trim_end_matches('=').ends_with("[secret]"),
                    "{form}: {hidden}"
                );
            }
        }
    }
}

#[test]
fn hides_a_part_of_an_encoded_password_at_which_an_excerpt_was_cut() {
    for cut in ["it is hun%74%65%7", "it is hun%74%65%", "it is %68%75%6e%74%65"] {
        assert_eq!(redactor("hunter2").hide(&format!("{cut}…")).split("[secret]").next(), Some("it is "), "{cut}");
    }
    assert_eq!(redactor("hunter2").hide("100%…"), "100%…");
}

proptest::proptest! {
    #[test]
    fn any_text_is_hidden_in_without_harm(text in ".{0,60}", password in ".{0,12}") {
        let hidden = redactor(&password).hide(&text);
        let longer = Redactor::new("jo", &Secret::new(b"a longer one".to_vec()));
        proptest::prop_assert_eq!(longer.hide(&text), text);
        proptest::prop_assert!(password.len() < SHORTEST || !password.is_ascii() || !hidden.replace(MASK, "").contains(&password));
    }
}

#[test]
fn hides_a_part_of_a_password_at_which_an_excerpt_was_cut() {
    assert_eq!(redactor("hunter2").hide("it is hunte…"), "it is [secret]…");
    assert_eq!(redactor("hunter2").hide("it is hun…"), "it is hun…");
    assert_eq!(redactor("hünter2").hide("it is H\u{fc}nt…"), "it is [secret]…");
}

#[test]
fn leaves_other_words_and_short_passwords_alone() {
    assert_eq!(redactor("hunter2").hide("+OK ready…"), "+OK ready…");
    assert_eq!(redactor("hun").hide("a hundred"), "a hundred");
}

/// A refusal with this text and its decoded form.
fn said(text: &str, decoded: Option<&str>) -> Response {
    let decoded = decoded.map(str::to_owned);
    Response { status: crate::pop3::Status::Err, code: None, text: text.to_owned(), decoded, unique_id: None }
}

#[test]
fn hides_a_password_in_words_that_were_read_in_another_encoding() {
    let told =
        |password| redactor(password).response(said("\u{fffd} hunter2", Some("密码 hunter2"))).words().to_owned();
    assert_eq!(told("hunter2"), "密码 [secret]");
    // Its own octets may be among what was read.
    assert_eq!(told("hünter2"), "\u{fffd} hunter2");
}

#[test]
fn leaves_a_code_that_decides_something() {
    let code = |password, code| {
        let response = Response { code: Some(code), ..said("", None) };
        redactor(password).response(response).code
    };
    assert_eq!(code("auth", ResponseCode::Auth), Some(ResponseCode::Auth));
    assert_eq!(code("s3cret", ResponseCode::Other("X-S3CRET".to_owned())), None);
}
