use super::*;

fn maildir(path: &str) -> Target {
    Target::Maildir(OtherMaildir { path: path.into(), is_folder: false })
}

fn rule(field: &str, pattern: Result<Pattern, InvalidPattern>, target: Target) -> Rule {
    Rule { condition: Condition::new(field, vec![pattern.unwrap()]), target }
}

fn routing() -> Routing {
    Routing::Rules(Rules::new(vec![
        rule("List-Id", Pattern::contains("<dev.example.org>"), maildir("/dev")),
        rule("subject", Pattern::matches("*unsubscribe*"), Target::Skip),
        rule("From", Pattern::contains("@example.org"), maildir("/example")),
        rule("X-Spam", Pattern::equals("yes"), maildir("/dev")),
    ]))
}

#[test]
fn the_first_rule_that_names_a_message_decides() {
    let routing = routing();
    for (header, expected, fetched) in [
        ("Subject: hello\r\n", Route::Own, Route::Own),
        (
            "Subject: hello\r\nlist-id: Dev <Dev.Example.Org>\r\n",
            Route::Other("/dev".as_ref()),
            Route::Other("/dev".as_ref()),
        ),
        ("From: jo@example.org\nSubject: please\n\tUNSUBSCRIBE\n", Route::Skip, Route::Other("/example".as_ref())),
        ("Subject: =?utf-8?B?dW5zdWJzY3JpYmU=?=\n", Route::Skip, Route::Own),
        ("x-spam: no\nX-Spam:  YES \n", Route::Other("/dev".as_ref()), Route::Other("/dev".as_ref())),
        ("", Route::Own, Route::Own),
        ("To: x\n X-Spam: yes\n", Route::Own, Route::Own),
    ] {
        assert_eq!(routing.route(header.as_bytes()), expected, "{header}");
        assert_eq!(routing.route_of_fetched(header.as_bytes()), fetched, "{header}");
    }
}

#[test]
fn the_maildirs_are_named_once_and_other_rules_have_another_digest() {
    let (routing, same) = (routing(), routing());
    let paths: Vec<&Path> = routing.other_maildirs().iter().map(|maildir| maildir.path.as_path()).collect();
    assert_eq!(paths, [Path::new("/dev"), Path::new("/example")]);
    assert!(routing.skips() && routing.looks_at_headers() && !Routing::default().looks_at_headers());
    assert_eq!(routing.digest(), same.digest());
    assert_ne!(routing.digest(), Routing::default().digest());
}
