use super::super::draft::{Draft, Password, Removal};
use super::*;
use crate::account::TlsMode;

fn read_text(text: &str) -> Found {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rc");
    std::fs::write(&path, text).unwrap();
    let search_paths = SearchPaths {
        path: Some(path),
        user: Some("jo".to_owned()),
        home: Some(dir.path().to_owned()),
        ..SearchPaths::default()
    };
    read(&search_paths).unwrap()
}

fn only(text: &str) -> Draft {
    let mut found = read_text(text);
    assert_eq!(found.drafts.len(), 1, "{found:?}");
    found.drafts.remove(0)
}

fn clear(draft: &Draft) -> String {
    match &draft.password {
        Password::InClear(secret) => String::from_utf8_lossy(secret.expose()).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_fill_what_an_entry_leaves_open_and_users_do_not_share() {
    let text = "set daemon 600\ndefaults proto pop3 timeout 60 user ignored keep\n\
        skip oldbox via pop.alt.example service 995 uidl\n  user \"jo.doe@alt.example\" there with password \"p'w\" is jo here \
        options ssl keep\npoll pop.site.example:\n  username 4711, password \\x41bc, is jo here, nokeep ssl limit 900000\n\
        user bob there pass \"with blank\" to jo here fetchlimit 50 interval 3\n";
    let found = read_text(text);
    let [old, first, second] = &found.drafts[..] else { panic!("{found:?}") };
    assert_eq!(
        (old.host.as_str(), old.username.as_str(), old.enabled, old.port),
        ("pop.alt.example", "jo.doe@alt.example", false, 995)
    );
    assert_eq!((old.names[0].as_str(), clear(old).as_str(), old.tls), ("oldbox", "p'w", TlsMode::Implicit));
    assert_eq!(
        (first.username.as_str(), clear(first).as_str(), first.removal.clone()),
        ("4711", "Abc", Removal::AtOnce)
    );
    assert_eq!((first.max_message_size, first.timeout, first.interval), (Some(900_000), Some(60), Some(1800)));
    assert_eq!(
        (second.username.as_str(), clear(second).as_str(), second.removal.clone()),
        ("bob", "with blank", Removal::Keep)
    );
    assert_eq!((second.max_messages, second.max_message_size, second.tls), (Some(50), None, TlsMode::StartTls));
    assert_eq!(second.names[0], "bob@pop.site.example");
    assert!(found.needless.is_empty(), "{found:?}");
    let once = read_text("set daemon 0\npoll h user u password p\n");
    assert_eq!(once.needless, ["set daemon"], "there is nothing that it became");
}

#[test]
fn a_user_may_be_said_in_several_ways() {
    for (text, remote) in [
        ("poll h user jo.doe there is jo here", "jo.doe"),
        ("poll h user jo here is jo.doe there", "jo.doe"),
        ("poll h is jo.doe there password x", "jo.doe"),
        ("poll h user keep there keep", "keep"),
        ("poll h username 12345", "12345"),
        ("poll h password x", "jo"),
        ("server h proto POP3 user 'a b' pass keep nokeep", "a b"),
    ] {
        assert_eq!(only(text).username, remote, "{text}");
    }
    assert_eq!(clear(&only("server h user a pass keep nokeep")), "keep");
}

#[test]
fn several_people_and_other_protocols_are_left_with_the_reason() {
    for text in [
        "poll h proto imap user a password b",
        "poll h user a password b is x y here",
        "poll h user a password b to * here",
        "poll h user a password b is x=y here",
        "poll h localdomains a.example b.example user a is a b c here",
    ] {
        let found = read_text(text);
        assert_eq!((found.drafts.len(), found.left.len()), (0, 1), "{text}");
    }
}

#[test]
fn encryption_is_never_less_than_it_was() {
    for (text, tls, port, in_clear) in [
        ("poll h user a ssl", TlsMode::Implicit, 995, false),
        ("poll h user a", TlsMode::StartTls, 110, false),
        ("poll h user a no ssl sslproto 'TLS1.2+'", TlsMode::StartTls, 110, false),
        ("poll h user a sslproto ''", TlsMode::None, 110, true),
        ("poll localhost user a sslproto ''", TlsMode::None, 110, false),
        ("poll 127.0.0.1 port 1110 user a", TlsMode::None, 1110, false),
        ("poll h service pop3s user a ssl", TlsMode::Implicit, 995, false),
    ] {
        let draft = only(text);
        assert_eq!((draft.tls, draft.port, draft.in_clear), (tls, port, in_clear), "{text}");
    }
}

#[test]
fn every_option_becomes_something_or_is_named() {
    let judged = ["password", "passwordeval", "ssl", "sslmode", "sslproto", "keep", "proto"];
    for name in grammar::names() {
        for text in
            [format!("poll h {name} 7 user a"), format!("poll h user a {name} 7"), format!("poll h user a {name}")]
        {
            let words = words::words(text.as_bytes());
            let Ok(_) = grammar::parse(&words) else { continue };
            let found = read_text(&text);
            let Some(draft) = found.drafts.first() else { continue };
            let is_named = draft.notes.iter().any(|note| note.what.starts_with(name))
                || draft.needless.iter().any(|word| word.contains(name))
                || draft.became.iter().any(|(theirs, _)| theirs.contains(name));
            assert!(is_named || judged.contains(&name), "{text}: {draft:?}");
        }
    }
    assert!(grammar::names().len() > 60, "{:?}", grammar::names());
}

/// Returns the lines of the account's table.
fn lines(text: &str) -> String {
    let draft = only(text);
    let name = crate::account::AccountName::new("n").unwrap();
    draft.table(&name, None).to_string()
}

#[test]
fn options_become_keys() {
    for (text, key) in [
        ("poll h auth cram-md5 user a ssl", r#"auth = "cram-md5""#),
        ("poll h auth external user a ssl sslcert /c sslkey /k", r#"tls_client_cert = "/c""#),
        ("poll h user a ssl sslcert /c sslkey /k", r#"tls_client_key = "/k""#),
        ("poll h user a ssl sslkey /both", r#"tls_client_cert = "/both""#),
        ("poll h user a ssl sslcommonname other.h", r#"tls_server_name = "other.h""#),
        ("poll h user a ssl sslcertfile /ca", r#"tls_ca_file = "/ca""#),
        ("poll h user a expunge 20", "max_messages_per_session = 20"),
        ("poll h user a expunge 20 fetchlimit 5", "max_messages_per_session = 5"),
        ("poll h user a fetchlimit 20 limit 0", "max_messages_per_session = 20"),
        ("poll h user a limit 1000", "max_message_size = \"1 KB\""),
        ("poll h user a postconnect 'notmuch new'", r#"on_new_mail = ["/bin/sh", "-c", "notmuch new"]"#),
        ("poll h user a mda 'procmail -d %T'", r#"forward = { command = ["procmail", "-d", "jo"] }"#),
        ("poll h user a is ann here mda 'x %T|y'", r#"forward = { command = ["/bin/sh", "-c", "x ann|y"] }"#),
        (
            "poll h user a smtphost /run/l lmtp smtpname b@h",
            r#"forward = { lmtp = { socket = "/run/l", recipient = "b@h" } }"#,
        ),
        (
            "poll h user a lmtp smtphost mx/24 smtpaddress d.h",
            r#"forward = { lmtp = { host = "mx", port = 24, recipient = "jo@d.h" } }"#,
        ),
        ("poll h auth xoauth2 user a ssl passwordeval 'tok x'", r#"token_command = ["sh", "-c", "tok x"]"#),
    ] {
        assert!(lines(text).lines().any(|line| line == key), "{text}: {}", lines(text));
    }
}

#[test]
fn what_has_no_counterpart_is_named_with_what_to_do() {
    for (text, what, advice) in [
        ("poll h user a ssl sslfingerprint 'AA:BB'", "sslfingerprint", "MD5 digest of the certificate"),
        // What the command prints can be pasted.
        ("poll h user a ssl sslfingerprint 'AA:BB'", "sslfingerprint", "openssl dgst -sha256 | sed 's/.*= //'"),
        ("poll h user a ssl sslproto TLS1.3+", "sslproto TLS1.3+", "tls_key_exchange"),
        ("poll h user a ssl no sslcertck", "no sslcertck", "tls_ca_file"),
        ("poll h auth ntlm user a", "auth ntlm", "best that it has in common"),
        ("poll h auth external user a", "auth external", "tls_client_cert"),
        ("poll h auth oauthbearer user a pass tok", "auth oauthbearer", "mailferry login"),
        ("poll h interface 'ppp0/192.0.2.7/255.255.255.255' user a", "interface", r#"source_address = "192.0.2.7""#),
        ("poll h plugin 'ssh %h nc %h %p' user a", "plugin", "ssh -L"),
        ("poll h user a preconnect up postconnect down", "postconnect", "ExecStartPost="),
        ("poll h user a mda 'lda -f %F'", "mda", "does not substitute %F."),
        ("poll h user a mda 'sendmail -i jo'", "mda", "cannot hand over mail"),
        ("poll h user a smtphost mx.h", "smtphost", "there is no SMTP"),
    ] {
        let draft = only(text);
        let told = |note: &Note| note.what.starts_with(what) && note.advice.contains(advice);
        assert!(draft.notes.iter().any(told), "{text}: {:?}", draft.notes);
    }
    // Said once for all accounts that are delivered like this.
    let found = read_text("poll h user a\npoll g user b\npoll f user c mda cat");
    let told = found.general.iter().filter(|note| note.advice.contains("/usr/sbin/sendmail"));
    assert_eq!(
        (told.count(), found.drafts[2].became.iter().any(|(theirs, _)| theirs.contains("mail server"))),
        (1, false)
    );
}

#[test]
fn what_is_wrong_is_told_by_its_line_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rc");
    for (text, line) in [
        ("poll h\nuser a password one two-secret\n", 2),
        ("poll", 1),
        ("nonsense", 1),
        ("poll h user a\n\ndefaults keep", 3),
        ("set nothing-secret", 1),
    ] {
        std::fs::write(&path, text).unwrap();
        let e = read(&SearchPaths { path: Some(path.clone()), ..SearchPaths::default() }).unwrap_err().to_string();
        assert!(e.contains(&format!("line {line}:")) && !e.contains("secret"), "{text}: {e}");
    }
}

#[test]
fn the_record_is_told_apart_by_user_and_host() {
    let ids = b"jo.doe@alt.example@pop.alt.example AAF31x9\nbob@pop.site.example <20240101.7@site.example>\n\
        \nnonsense\n a b@pop.site.example  Z1 \nBOB@POP.SITE.example two\nbob@other three\n";
    let of =
        |user, host| fetched(ids, user, host).fetched.iter().map(|one| one.unique_id.to_string()).collect::<Vec<_>>();
    assert_eq!(of("jo.doe@alt.example", "pop.alt.example"), ["AAF31x9"]);
    assert_eq!(of("bob", "pop.site.example"), ["<20240101.7@site.example>", "two"]);
    assert_eq!(of("a b", "pop.site.example"), ["Z1"]);
    assert!(!fetched(ids, "nobody", "pop.site.example").found);
}

#[test]
fn a_password_may_stand_in_netrc() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".netrc"), "machine pop.h login a password from-netrc\n").unwrap();
    std::fs::write(dir.path().join(".fetchmailrc"), "poll work via pop.h user a\n").unwrap();
    let found = read(&SearchPaths { home: Some(dir.path().to_owned()), ..SearchPaths::default() }).unwrap();
    assert_eq!(clear(&found.drafts[0]), "from-netrc");
    assert!(!format!("{found:?}").contains("from-netrc"));
}
