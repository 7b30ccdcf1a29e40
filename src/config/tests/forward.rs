//! Forwarding: what a table becomes, and what is reported about invalid ones.

use super::{account, config, errors, file_with_mode};
use crate::account::{ForwardTo, LmtpServer, SpoolBounds, TlsMode};
use crate::config::load;

/// An account without a Maildir, followed by more lines.
fn forwarding(more: &str) -> String {
    account("a", more).replace("maildir = \"/m\"\n", "")
}

#[test]
fn an_imap_server_is_told_like_the_server_of_an_account() {
    let text = forwarding(
        "forward = { imap = { host = \"imap.gmail.com\", username = \"me\", password_command = [\"pw\"], mailbox = \"Old\", \
         flags = [\"Seen\", \"\\\\flagged\", \"$Work\"] }, spool_size = \"5 MiB\" }",
    );
    let account = config(&text).accounts.remove(0);
    let forward = account.forward.clone().unwrap();
    let ForwardTo::Imap(to) = &forward.to else { panic!("{forward:?}") };
    assert_eq!(
        (to.endpoint.host.as_str(), to.endpoint.port, to.endpoint.tls),
        ("imap.gmail.com", 993, TlsMode::Implicit)
    );
    assert_eq!((to.mailbox.as_str(), to.connections, to.uses_token), ("Old", 1, false));
    assert_eq!(to.flags, ["\\Seen", "\\Flagged", "$Work"]);
    assert_eq!(forward.spool, SpoolBounds { octets: 5 << 20, messages: 10_000 });
    let spool = account.with_spool(std::path::Path::new("/state")).maildir;
    assert_eq!(spool, std::path::Path::new("/state/a.spool"));
    let starttls =
        "forward = { imap = { host = \"h\", tls = \"starttls\", username = \"u\", token_command = [\"t\"] } }";
    let forward = config(&forwarding(starttls)).accounts.remove(0).forward.unwrap();
    let ForwardTo::Imap(to) = &forward.to else { panic!("{forward:?}") };
    assert_eq!((to.endpoint.port, to.uses_token, to.mailbox.as_str()), (143, true, "INBOX"));
}

#[test]
fn an_lmtp_server_and_a_command_are_told_in_a_line() {
    let forward = |text: &str| config(&forwarding(text)).accounts.remove(0).forward.unwrap().to.clone();
    let socket = forward("forward = { lmtp = { socket = \"/run/lmtp\", recipient = \"jo\", id_header = true } }");
    let ForwardTo::Lmtp(to) = socket else { panic!() };
    assert_eq!((to.recipient.as_str(), to.id_header), ("jo", true));
    assert_eq!(to.server, LmtpServer::Socket("/run/lmtp".into()));
    let ForwardTo::Lmtp(to) = forward("forward = { lmtp = { host = \"127.0.0.1\", recipient = \"jo\" } }") else {
        panic!()
    };
    assert!(matches!(to.server, LmtpServer::Tcp(endpoint) if endpoint.port == 24));
    let ForwardTo::Command(words) = forward("[accounts.a.forward]\ncommand = [\"~/deliver\", \"x\"]") else { panic!() };
    assert_eq!(words, ["/home/jo/deliver", "x"]);
}

#[test]
fn whoever_says_where_mail_goes_means_it_and_not_what_the_defaults_say() {
    let forward = "[defaults.forward]\ncommand = [\"d\"]\n";
    let both = config(&format!("{forward}{}", account("a", ""))).accounts.remove(0);
    assert!(both.forward.is_none(), "its Maildir is its own");
    let neither = config(&format!("{forward}{}", forwarding(""))).accounts.remove(0);
    assert!(neither.forward.is_some());
    let maildir = "[defaults]\nmaildir = \"~/Mail/{account}\"\n";
    let own = config(&format!("{maildir}{}", forwarding("forward = { command = [\"c\"] }"))).accounts.remove(0);
    assert!(own.forward.is_some());
}

#[test]
fn what_cannot_be_meant_is_told_with_what_to_write() {
    let imap =
        |more: &str| format!("forward = {{ imap = {{ host = \"h\", username = \"u\", password = \"p\", {more} }} }}");
    for (text, said) in [
        ("forward = \"x\"", "`forward` is"),
        ("forward = { }", "`forward` does not say where to"),
        ("forward = { comand = [\"x\"] }", "did you mean `command`?"),
        ("forward = { command = [\"x\"], lmtp = { socket = \"/s\", recipient = \"j\" } }", "both say where mail goes"),
        ("forward = { command = \"x\" }", "an array of strings"),
        ("forward = { imap = { username = \"u\", password = \"p\" } }", "has no `host`"),
        ("forward = { imap = { host = \"h\", password = \"p\" } }", "has no `username`"),
        ("forward = { imap = { host = \"h\", username = \"u\" } }", "`imap` in [accounts.a.forward] has no password"),
        (
            "forward = { imap = { host = \"h\", username = \"u\", password = \"p\", mailbox = \"Entw&APw-rfe\" } }",
            "write \"Entwürfe\"",
        ),
        ("forward = { imap = { host = \"h\", username = \"u\", password = \"p\", mailboxx = \"x\" } }", "`mailbox`"),
        ("forward = { imap = { host = \"h\", username = \"u\", password = \"p\", flags = [\"a b\"] } }", "no flag"),
        (
            "forward = { imap = { host = \"h\", username = \"u\", password = \"p\", auth = \"apop\" } }",
            "not used with IMAP",
        ),
        (
            "forward = { imap = { host = \"h.example\", tls = \"none\", username = \"u\", password = \"p\" } }",
            "in clear",
        ),
        ("forward = { imap = { host = \"h\", port = 143, username = \"u\", password = \"p\" } }", "port 143"),
        ("forward = { lmtp = { recipient = \"jo\" } }", "does not say where the server is"),
        (
            "forward = { lmtp = { socket = \"/s\", host = \"localhost\", recipient = \"jo\" } }",
            "has both `socket` and `host`",
        ),
        ("forward = { lmtp = { socket = \"/s\" } }", "has no `recipient`"),
        ("forward = { lmtp = { socket = \"/s\", recipient = \"<jo>\" } }", "is not an address"),
        ("forward = { lmtp = { host = \"mail.example.org\", recipient = \"jo\" } }", "over the internet in clear"),
        ("spool_size = \"1 GiB\"", "its place is [accounts.NAME.forward]"),
        ("forward = { command = [\"c\"], spool_size = \"0\" }", "leave the key out for 1 GiB"),
        ("forward = { command = [\"c\"], spool_messages = 0 }", "such as 10000"),
        (&imap("flags = [\"seen\", \"deleted\"]"), "expunges"),
        (&imap("flags = [\"\\\\Deleted\"]"), "expunges"),
        (&imap("flags = [\"\\\\Recent\"]"), "only the server sets"),
        (&imap(&format!("mailbox = \"Lists/{}\"", "x".repeat(256))), "too long for a mailbox"),
        (
            &format!("rules = [{{ header = \"X\", equals = \"y\", maildir = \"/m/{}\" }}]", "x".repeat(256)),
            "too long for a file",
        ),
    ] {
        let (told, count) = errors(&forwarding(text));
        assert!(told.contains(said) && told.contains("help: "), "{text}\n{told}");
        assert!(count <= 2, "{text}\n{told}");
    }
    let (told, _) = errors(&account("a", "forward = { command = [\"c\"] }"));
    assert!(told.contains("has a `maildir` and a `forward`"), "{told}");
}

#[test]
fn mail_does_not_go_back_to_where_it_comes_from() {
    let at = |provider: &str, user: &str, host: &str, to: &str| {
        let from = format!("[accounts.a]\nhost = \"{provider}\"\nusername = {user:?}\npassword_command = [\"p\"]\n");
        format!("{from}forward = {{ imap = {{ host = {host:?}, username = {to}, password_command = [\"p\"] }} }}\n")
    };
    for text in [
        at("pop.gmail.com", "me@gmail.com", "imap.gmail.com", "\"Me@gmail.com\", mailbox = \"Old\""),
        at("pop.example.org", "me", "imap.example.org", "\"me\""),
    ] {
        let (told, _) = errors(&text);
        assert!(told.contains("would go back to where it comes from"), "{text}\n{told}");
    }
    for text in [
        at("pop.gmail.com", "me@gmail.com", "imap.gmail.com", "\"you@gmail.com\""),
        at("pop.example.org", "me", "imap.example.org", "\"me\", mailbox = \"Old\""),
        at("pop.example.org", "me", "imap.example.com", "\"me\""),
    ] {
        assert_eq!(config(&text).accounts.len(), 1, "{text}");
    }
}

/// An account that forwards to a mailbox; `more` goes into its table.
fn from_to(name: &str, from: (&str, &str), to: (&str, &str), more: &str) -> String {
    format!(
        "[accounts.{name}]\nhost = {:?}\nusername = {:?}\npassword_command = [\"p\"]\n{more}\n\
         forward = {{ imap = {{ host = {:?}, username = {:?}, password_command = [\"p\"] }} }}\n",
        from.0, from.1, to.0, to.1
    )
}

#[test]
fn mail_does_not_go_round_through_other_accounts() {
    let (one, other) = (("pop.one.example", "jo@one.example"), ("pop.two.example", "jo@two.example"));
    let (to_one, to_other) = (("imap.one.example", "JO"), ("mail.two.example.", "jo@two.example"));
    let a = from_to("a", one, to_other, "");
    let through_third = [
        from_to("b", other, ("imap.three.example", "jo"), ""),
        from_to("c", ("pop3.three.example", "jo@three.example"), to_one, ""),
    ];
    for (text, names) in [
        (format!("{a}{}", from_to("b", other, to_one, "")), "`a`, `b`"),
        (format!("{a}{}", through_third.concat()), "`a`, `b`, `c`"),
    ] {
        let (told, count) = errors(&text);
        assert!(told.contains(&format!("the accounts {names} forward their mail in a circle")), "{text}\n{told}");
        assert!(count == 1 && told.contains("and this leads back"), "{told}");
    }
    let rule = "maildir = \"/m\"\nrules = [{ header = \"X\", equals = \"y\", forward = true }]";
    let warned = config(&format!("{a}{}", from_to("b", other, to_one, rule))).warnings;
    assert!(warned.len() == 1 && warned[0].contains("`a`, `b` forward their mail in a circle"), "{warned:?}");
    for text in [
        format!("{a}{}", from_to("b", other, to_one, "enabled = false")),
        format!("{a}{}", from_to("b", other, ("imap.one.example", "other"), "")),
        format!("{a}{}", from_to("b", ("pop.two.example", "al"), to_one, "")),
    ] {
        assert!(config(&text).warnings.is_empty(), "{text}");
    }
}

#[test]
fn a_rule_or_a_recipient_may_lead_to_where_the_account_forwards() {
    let forward = "forward = { command = [\"c\"] }\n";
    let rule = |target: &str| format!("rules = [{{ header = \"X\", equals = \"y\", {target} }}]\n");
    let recipients = |place: &str| {
        format!(
            "multidrop = {{ header = \"X-To\", recipients = {{ \"a@b.example\" = {place:?} }}, default = \"/d\" }}\n"
        )
    };
    let state = std::path::Path::new("/state");
    let paths = |text: &str| {
        let account = config(text).accounts.remove(0).with_spool(state).with_spool(state);
        let all: Vec<String> = account.maildirs().iter().map(|one| one.path.display().to_string()).collect();
        all.join(" ")
    };
    for (text, expected) in [
        (forwarding(&format!("{forward}{}", rule("maildir = \"/r\""))), "/state/a.spool /r"),
        (forwarding(&format!("{forward}{}", rule("forward = true"))), "/state/a.spool"),
        (account("a", &format!("{forward}{}", rule("forward = true"))), "/m /state/a.spool"),
        (forwarding(&format!("{forward}{}", recipients("forward"))), "/d /state/a.spool"),
        (forwarding(&format!("{forward}{}", recipients("forward").replace("/d", "forward"))), "/state/a.spool"),
        (forwarding(&format!("{forward}{}", recipients("/r").replace("/d", "forward"))), "/state/a.spool /r"),
    ] {
        assert_eq!(paths(&text), expected, "{text}");
    }
    for (text, said) in [
        (account("a", &rule("forward = true")), "has no `forward`"),
        (account("a", &rule("forward = false")), "leads nowhere"),
        (forwarding(&recipients("forward")), "has no `forward`"),
        (forwarding(&format!("{forward}{}", recipients("/r"))), "leads nothing there"),
        (forwarding(&format!("{forward}{}", rule("folder = \"F\""))), "no Maildir of its own"),
        (account("a", &format!("{forward}{}", rule("skip = true"))), "has a `maildir` and a `forward`"),
        (forwarding(&recipients("./forward")), "help: "),
    ] {
        let (told, count) = errors(&text);
        assert!(told.contains(said) && told.contains("help: ") && count == 1, "{text}\n{told}");
    }
}

#[test]
fn what_to_write_in_place_of_an_invalid_pattern_is_said() {
    for (pattern, said) in [
        ("equals = \"\"", "write the text of the field; if any will do, matches = \"*\""),
        ("contains = [\"x\", \"\"]", "write the text of the field; if any will do, matches = \"*\""),
        ("matches = \"x\\\\\"", "for a backslash itself write two, in single quotes: matches = 'C:\\\\*'"),
        (&format!("contains = {:?}", "x".repeat(257)), "write a part of it that is enough"),
    ] {
        let (told, count) = errors(&account("a", &format!("rules = [{{ header = \"X\", skip = true, {pattern} }}]\n")));
        assert!(count == 1 && told.contains(&format!("help: {said}")), "{pattern}\n{told}");
    }
}

#[test]
fn a_password_in_there_is_a_secret_like_any_other() {
    let text = forwarding("forward = { imap = { host = \"h\", username = \"u\", password = \"Zq9-secret\" } }");
    let (_dir, path) = file_with_mode(&text, 0o644);
    let told = load(&path, &super::env()).unwrap_err().to_string();
    assert!(told.contains("644") && !told.contains("Zq9-secret"), "{told}");
    let (told, _) = errors(&text.replace("username = \"u\"", "usernam = \"u\""));
    assert!(!told.contains("Zq9-secret"), "{told}");
}
