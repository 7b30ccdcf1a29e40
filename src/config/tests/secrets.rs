use super::{account, env, file};
use crate::config::load;

/// In each, `hunter2` is a password or a part of one, and there is a problem in its line or next to it.
#[test]
fn no_report_shows_a_password() {
    let texts = [
        // TOML with other faults.
        "[accounts.a]\npassword = \"hunter2\"\n",
        "[accounts.a]\npassword = \"hunter2\\n\"\n",
        "[accounts.a]\npassword = ['hunter2']\n",
        "[accounts.a]\npassword = { x = 'hunter2', host = 'hunter2' }\n",
        "[accounts.a]\npassword.host = 'hunter2'\n",
        "[accounts.a]\npassword = \"\"\"hunter2\nhunter2\"\"\"\nport = 0\n",
        "[accounts.a]\npassword = '''\nhunter2\nhost = hunter2\n'''\npassword_file = 1\n",
        "[accounts.a]\n\"pass\\u0077ord\" = \"hunter2\"\npassword_file = 1\n",
        "[accounts.a]\npasword = \"hunter2\"\n",
        "[accounts.a]\nPassword = \"hunter2\"\n",
        "[accounts.a]\nsecret = [\"hunter2\", { x = \"hunter2\" }]\n",
        "accounts.a = { password = \"hunter2\", port = 0 }\n",
        "accounts = [{ password = \"hunter2\", port = 0 }]\n",
        "[[accounts]]\npassword = \"hunter2\"\n",
        "[defaults]\npassword = \"hunter2\"\npasswd = \"hunter2\"\n",
        "password = \"hunter2\"\n",
        "[accounts.a] # hunter2\nport = 0 # hunter2\ntls = ['x'] # hunter2\nauth = \"#\"# hunter2\n",
        "accounts.a = { port = 0 } # hunter2\n",
        "[accounts.a]\npassword = \"new\"\n#password = \"hunter2\"\npassword_file = \"/pw\"\n",
        "[daemon]\npassword = \"hunter2\"\n",
        // Not TOML.
        "[accounts.a]\npassword = \"hunter2\n",
        "[accounts.a]\npassword = hunter2\n",
        "[accounts.a]\npassword = \"x\"hunter2\"\n",
        "[accounts.a]\npassword = \"\\hunter2\"\n",
        "[accounts.a]\npassword \"hunter2\"\n",
        "[accounts.a]\npassword: hunter2\n",
        "[accounts.a]\npasword = 'hunter2\n",
        "[accounts.a] password = 'hunter2'\n",
        "[accounts.a]\npassword = \"\"\"\nhunter2\\x\nhost = \"\"\"\n",
        "[accounts.a]\npassword = \"\"\"\nhost = hunter2\\x\n\"\"\"\n",
        "[accounts.a]\npassword = '''\nhunter2\u{1}\n'''\n",
        "[accounts.a]\npassword = [\n  'hunter2\n]\n",
        "accounts.a = { password = \"hunter2\", host = x }\n",
        "accounts.a = { host = x, password = \"hunter2\" }\n",
        "[accounts.a]\nhost = x, password = \"hunter2\"\n",
        "[accounts.a]\naccounts.a.password = \"hunter2\" x\n",
        "[accounts.a]\n\"password\" = \"hunter2\" x\n",
        "[accounts.a]\n# password = \"hunter2\u{1}\"\n",
        "hunter2\n",
        "\"hunter2\n",
        "[accounts.a]\npassword = \"x\"\npassword = \"hunter2\"\n",
        // Not TOML, and the password follows a value that could be shown.
        "[accounts.a]\nusername = \"me\" pasword = \"hunter2\"\n",
        "[accounts.a]\nusername = \"me\", passwd = \"hunter2\"\n",
        "[accounts.a]\nusername = \"me pasword = \"hunter2\"\n",
        "[accounts.a]\nusername = 'me pasword = hunter2\n",
        "[accounts.a]\nport = 995x # hunter2\n",
        "[accounts.a]\nhost = \"x\"hunter2\n",
        "[accounts.a]\npassword_command = [\"echo\", \"hunter2\n",
        "[accounts]\nqq = { host = \"h\", username = \"me\", pasword = \"hunter2\n",
        "accounts = { qq = { host = \"h\", pasword = \"hunter2\" }\n",
        "accounts.qq.host = \"x\" pass = \"hunter2\"\n",
    ];
    for text in texts {
        let (_dir, path) = file(text);
        let error = load(&path, &env()).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
        for shown in [error.render(false), error.render(true), format!("{error:?}")] {
            assert!(!shown.contains("hunter2"), "{text}\n---\n{shown}");
        }
    }
}

/// A password of digits alone looks like a number.
#[test]
fn a_password_that_looks_like_a_number_is_not_shown_either() {
    for key in ["password", "pasword", "secret"] {
        let (_dir, path) = file(&format!("[accounts.a]\n{key} = 0123456\n"));
        let error = load(&path, &env()).unwrap_err();
        for shown in [error.render(false), error.render(true), format!("{error:?}")] {
            assert!(!shown.contains("123456"), "{key}\n---\n{shown}");
        }
    }
}

#[test]
fn a_mask_stands_in_for_the_value_and_later_lines_keep_their_numbers() {
    let text = account("a", "").replace("password_command = [\"pw\"]", "password = '''\nhunter\t2\n'''\nport = 0");
    let (_dir, path) = file(&text);
    let shown = load(&path, &env()).unwrap_err().to_string();
    assert!(shown.contains("4 | password = \"[secret]\"\n"), "{shown}");
    assert!(shown.contains("7 | port = 0\n"), "{shown}");
}

#[test]
fn an_innocent_line_with_a_syntax_error_is_shown_as_it_is() {
    for line in ["host = pop.example.org", "port = 99x", "host \"x\"", "tls = none", "maildir = ~/Mail"] {
        let (_dir, path) = file(&format!("[accounts.a]\n{line}\n"));
        let shown = load(&path, &env()).unwrap_err().to_string();
        assert!(shown.contains(&format!("2 | {line}\n")), "{shown}");
    }
}

#[test]
fn of_a_line_that_is_not_toml_no_more_than_its_first_value_is_shown() {
    for (line, shown) in [
        ("username = \"me\" pasword = \"x\"", "username = \"me\" \"[secret]\""),
        ("port = 995x # old", "port = 995x \"[secret]\""),
        ("tls = 'none", "tls = 'none"),
        ("tls = 'none x = y", "tls = '[secret]"),
        // A string that is not closed is not shown as if it were.
        ("password = \"x", "password = \"[secret]"),
        ("password = 'x", "password = '[secret]"),
        ("password_command = [\"pass\", \"show]", "password_command = [\"pass\", \"[secret]"),
        ("password_command = [\"pass\" \"show\", 'mail/work']", "password_command = [\"pass\" \"show\", 'mail/work']"),
        ("password_command = [pass, show]", "password_command = [pass, show]"),
        ("password_command = [\"pass\", \"show, \"mail\"]", "password_command = [\"pass\", \"[secret]\""),
        ("password_command = [\"pass\"], pasword = \"x\"", "password_command = [\"pass\"], \"[secret]\""),
        ("password = [\"x\" \"y\"]", "password = \"[secret]\""),
    ] {
        let (_dir, path) = file(&format!("[accounts.a]\n{line}\n"));
        let text = load(&path, &env()).unwrap_err().to_string();
        assert!(text.contains(&format!("2 | {shown}\n")), "{text}");
    }
}

#[test]
fn the_value_of_a_misspelt_key_is_shown_only_if_it_cannot_be_a_password() {
    for (line, shown) in [
        ("intervall = \"5m\"", true),
        ("user = \"jo\"", true),
        ("interval_code = \"x\"", false),
        ("passwort = \"x\"", false),
        ("pin = 1234", false),
        ("psswrd = \"x\"", false),
        ("API_KEY = \"x\"", false),
        ("\"授权码\" = 1", false),
        ("zzz = true", true),
        ("sslcertck = false", true),
        ("PW = \"x\"", false),
    ] {
        let (_dir, path) = file(&account("a", line));
        let text = load(&path, &env()).unwrap_err().to_string();
        assert_eq!(text.contains(&format!("6 | {line}\n")), shown, "{text}");
        assert_eq!(text.contains("= \"[secret]\"\n"), !shown, "{text}");
    }
}

#[test]
fn a_good_configuration_does_not_show_its_passwords_either() {
    let text = account("a", "").replace("password_command = [\"pw\"]", "password = \"hunter2\"");
    let (_dir, path) = file(&text);
    let config = load(&path, &env()).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// A configuration with a password, in pieces between which a typing error is inserted.
const PIECES: [&str; 18] = [
    "state_dir",
    " = ",
    "\"",
    "/s",
    "\"",
    "\n",
    "[accounts.",
    "a",
    "]",
    "\n",
    "host",
    " = ",
    "\"x\"",
    "\r\n",
    "password",
    " = ",
    "\"",
    "hunter2",
];

proptest::proptest! {
    #[test]
    fn no_slip_of_the_finger_shows_the_password_or_makes_us_panic(
        slips in proptest::collection::vec((0..PIECES.len(), "[\"'\\[\\]{}=#.,\\\\\n\r\t \u{1}é界x-]{1,4}"), 1..4),
        left_out in proptest::option::of(0..14_usize),
        end in "(\"\n)?(port = 0\n|maildir = 1\n|\"\"\"|''')?",
    ) {
        let mut text = String::new();
        for (i, piece) in PIECES.iter().enumerate() {
            for (_, slip) in slips.iter().filter(|(at, _)| *at == i) {
                text.push_str(slip);
            }
            if left_out != Some(i) {
                text.push_str(piece);
            }
        }
        text.push_str(&end);
        let (_dir, path) = file(&text);
        if let Err(error) = load(&path, &env()) {
            for shown in [error.render(true), format!("{error}{error:?}")] {
                proptest::prop_assert!(!shown.contains("hunter2"), "{}\n---\n{}", text, shown);
            }
        }
    }
}

#[test]
fn a_stray_quote_does_not_show_what_stands_behind_the_next_key() {
    for line in ["host' = \"x\"password = \"hunter2'''", "host\" = 'x'password = 'hunter2\"", "host ' pass hunter2'"] {
        let (_dir, path) = file(&format!("state_dir = \"/s\"\n[accounts.a]\n{line}\n"));
        let error = load(&path, &env()).unwrap_err();
        assert!(!error.render(true).contains("hunter2") && !error.to_string().contains("hunter2"), "{line}\n{error}");
    }
}

#[test]
fn no_report_shows_the_password_of_a_proxy() {
    for text in [
        "[accounts.a]\nproxy = \"socks5://jo:hunter2@h\"\n",
        "[accounts.a]\nproxxy = \"socks5://jo:hunter2@h:1\"\n",
        "[defaults]\nproxy = [\"http://jo:hunter2@h:1\"]\n",
        "proxy = \"http://jo:hunter2@h:1\"\n",
        "[accounts.a]\nproxy = \"http://jo:hunter2@h:1\n",
        "[accounts.a]\nproxy = http://jo:hunter2@h:1\n",
    ] {
        let (_dir, path) = file(text);
        let error = load(&path, &env()).unwrap_err();
        assert!(!error.render(true).contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
    }
}

/// A proxy with a password makes the file one with a password.
#[test]
fn a_proxy_with_a_password_must_not_be_readable_by_others() {
    use std::os::unix::fs::PermissionsExt as _;
    for (proxy, good) in [("http://jo:hunter2@h:1", false), ("http://h:1", true)] {
        let (_dir, path) = file(&account("a", &format!("proxy = \"{proxy}\"")));
        assert!(load(&path, &env()).is_ok(), "{proxy}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let loaded = load(&path, &env()).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(loaded.is_ok(), good, "{proxy}: {loaded:?}");
        assert!(!format!("{loaded:?}").contains("hunter2"));
    }
}
