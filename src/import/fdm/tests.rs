use super::*;
use crate::account::TlsMode;
use crate::import::draft::{Draft, Note, Password, Removal};

#[test]
fn a_configuration_becomes_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "# mine\nset lock-types flock\nset keep-all\n$pw = \"hush hush\"\naction \"in\" maildir \"%h/Mail/in\"\n\
                action \"p\" pipe \"cat\"\naccount \"a\" disabled pop3s server \"pop.h\" port 1995 user \"ann\" pass $pw \
                new-only cache \"%h/c\" no-verify\naccount \"b\" pop3 server \"127.0.0.1\" user 'bob' pass \"x${pw}\"\n\
                account \"i\" imap server \"h\" user \"u\" pass \"p\"\nmatch \"^From:.*x\" in headers action \"p\"\n\
                match account \"b\" action \"p\"\nmatch all action \"in\"\n";
    let path = dir.path().join("fdm.conf");
    std::fs::write(&path, conf).unwrap();
    std::fs::write(dir.path().join("c"), "4 A1b2\n5 a b\nc\n3 xyz\n").unwrap();
    let search_paths = SearchPaths { path: Some(path), home: Some(dir.path().to_owned()), ..SearchPaths::default() };
    let found = read(&search_paths).unwrap();
    let [a, b] = &found.drafts[..] else { panic!("{found:?}") };
    assert_eq!((a.host.as_str(), a.port, a.username.as_str(), a.enabled), ("pop.h", 1995, "ann", false));
    assert_eq!((a.tls, b.tls, b.port), (TlsMode::Implicit, TlsMode::None, 110));
    assert_eq!(a.removal, Removal::Keep);
    assert_eq!(a.maildir, Some(dir.path().join("Mail/in").to_str().unwrap().to_owned()));
    let ids: Vec<_> = a.record.fetched.iter().map(|one| one.unique_id.as_bytes().to_vec()).collect();
    assert_eq!((ids, a.record.left_out), (vec![b"A1b2".to_vec(), b"xyz".to_vec()], 1));
    let secret = |draft: &Draft| match &draft.password {
        Password::InClear(secret) => String::from_utf8(secret.expose().to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!((secret(a), secret(b)), ("hush hush".to_owned(), "xhush hush".to_owned()));
    assert_eq!((found.left.len(), found.general.len()), (1, 1));
    let forward = b.forward.as_ref().map(ToString::to_string);
    assert_eq!(forward.as_deref(), Some("{ command = [\"cat\"] }"), "the rule of its own comes first");
    assert!(!format!("{found:?}").contains("hush"));
}

fn read_text(text: &str) -> Result<Found, ImportError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fdm.conf");
    std::fs::write(&path, text).unwrap();
    read(&SearchPaths { path: Some(path), home: Some("/home/jo".into()), ..SearchPaths::default() })
}

const ACCOUNT: &str = "account \"a\" pop3s server \"h\" user \"u\" pass \"p\"\n";

#[test]
fn what_is_said_becomes_keys() {
    let name = crate::account::AccountName::new("n").unwrap();
    for (text, key) in [
        ("set timeout 60", r#"timeout = "1m""#),
        ("set maximum-size 64M", "max_message_size = \"64 MiB\""),
        ("set purge-after 30", "max_messages_per_session = 30"),
        ("set proxy \"socks://127.0.0.1\"", r#"proxy = "socks5://127.0.0.1:1080""#),
        ("set proxy \"http://gate:3128/\"", r#"proxy = "http://gate:3128""#),
        (
            "action \"x\" pipe \"procmail -d jo\"\nmatch all action \"x\"",
            r#"forward = { command = ["procmail", "-d", "jo"] }"#,
        ),
        ("action \"x\" pipe \"lda 5%%\"\nmatch all action \"x\"", r#"forward = { command = ["lda", "5%"] }"#),
        (
            "action \"x\" maildir \"%h/x\"\naction \"y\" maildir \"%h/y\"\nmatch account \"a\" action \"x\"\nmatch all action \"y\"",
            r#"maildir = "/home/jo/x""#,
        ),
    ] {
        let found = read_text(&format!("{text}\n{ACCOUNT}")).unwrap();
        let lines = found.drafts[0].table(&name, None).to_string();
        assert!(lines.lines().any(|line| line == key), "{text}: {lines}");
    }
}

#[test]
fn what_has_no_counterpart_is_named() {
    for (text, what, advice) in [
        ("set proxy \"http://jo:hush@gate:3128\"", "set proxy", "has a password"),
        (
            "action \"x\" pipe \"lda %[account]\"\nmatch all action \"x\"",
            "action \"x\", pipe",
            "does not substitute %.",
        ),
        ("action \"x\" mbox \"%h/m\"\nmatch all action \"x\"", "action \"x\"", "\"Forwarding\" in the documentation"),
        ("set delete-oversized", "set (line 1) delete-oversized", "stay on the server"),
        ("set unmatched-mail drop", "set (line 1) unmatched-mail", "no mail is dropped"),
        ("action \"z\" pipe \"lda\"", "action \"z\" (line 1)", "forward = { command = [\"lda\"] }"),
    ] {
        let found = read_text(&format!("{text}\n{ACCOUNT}")).unwrap();
        let told = |note: &Note| note.what == what && note.advice.contains(advice);
        let all = || found.general.iter().chain(&found.drafts[0].notes);
        assert!(all().any(told), "{text}: {:?}", all().collect::<Vec<_>>());
        assert!(!format!("{:?}", all().collect::<Vec<_>>()).contains("hush"), "{text}");
    }
}

#[test]
fn a_word_that_is_none_of_fdms_ends_the_import_and_is_not_shown() {
    for (text, told) in [
        (
            "acount \"x\" pop3s\n",
            "line 1: this line begins with a word that fdm does not have; did you mean `account`?",
        ),
        ("set keep-all\nhunterSecret\n", "line 2: this line begins with a word that fdm does not have"),
    ] {
        let e = read_text(text).unwrap_err().to_string();
        assert!(e.contains(told) && !e.contains("hunter"), "{e}");
    }
}

#[test]
fn an_open_quote_is_found() {
    assert_eq!(tokens("a\n\"b\nc"), Err(2));
}
