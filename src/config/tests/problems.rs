use super::{account, errors, file};
use crate::config::keys::{ACCOUNT, DAEMON, NOTIFY};
use crate::config::load;

#[test]
fn each_wrong_value_is_shown_with_its_line_and_the_next_step() {
    let cases = [
        ("port = 0", "`port` is 0, which is not from 1 to 65535", "such as 995"),
        ("port = 65536", "`port` is 65536", "such as 995"),
        ("port = -1", "`port` is -1", "such as 995"),
        ("port = \"995\"", "`port` is a string, but a whole number", "such as 995"),
        ("port = 110", "has port 110 and does not say how it is encrypted", "add tls = \"starttls\""),
        ("tls = \"startls\"", "`tls` cannot be \"startls\"", "did you mean \"starttls\"?"),
        ("tls = \"ssl3\"", "`tls` cannot be \"ssl3\"", "write one of \"implicit\", \"starttls\", \"none\""),
        ("tls = true", "`tls` is true or false, but a string", "one of \"implicit\""),
        ("tls = \"none\"", "would send its password in clear to pop.example.org", "allow_cleartext_password = true"),
        ("ip = \"ipv4\"", "cannot be \"ipv4\"", "write one of \"any\", \"4\", \"6\""),
        ("source_address = \"localhost\"", "is not an address", "192.0.2.7"),
        ("proxy = \"localhost:1080\"", "does not say what the proxy speaks", "socks5://HOST:PORT"),
        ("tls_pin = \"ff\"", "is not a SHA-256 digest", "64 hexadecimal digits"),
        ("tls_trust = \"pin\"", "trusts a pinned key alone, and none is given", "add tls_pin"),
        ("auth = \"external\"", "logs in by a certificate, and has none", "add tls_client_cert"),
        ("auth = \"kerberos\"", "cannot be \"kerberos\"", "write one of \"auto\", \"plain\", \"login\", \"user\""),
        ("auth = \"scram-sha1\"", "cannot be \"scram-sha1\"", "did you mean \"scram-sha-1\"?"),
        ("auth = \"plian\"", "`auth` cannot be \"plian\"", "did you mean \"plain\"?"),
        ("leave_on_server = \"0d\"", "is zero", "write leave_on_server = false"),
        ("leave_on_server = \"59m\"", "too short", "at least \"1h\""),
        ("leave_on_server = \"300y\"", "months or years", "say it in days"),
        ("leave_on_server = \"99999d\"", "too long", "at most \"36500d\""),
        (
            "leave_on_server = \"nope\"",
            "neither true, false nor an age",
            "write true, false, or an age such as \"14d\"",
        ),
        ("leave_on_server = \"true\"", "is a string", "write true without quotes"),
        ("leave_on_server = 14", "has no unit", "write \"14d\""),
        ("leave_on_server = [1]", "is an array", "an age such as \"14d\""),
        ("timeout = \"4s\"", "`timeout` is too short", "at least \"5s\""),
        ("timeout = \"61m\"", "`timeout` is too long", "at most \"1h\""),
        ("max_message_size = 0", "would fetch nothing", "leave the key out"),
        ("max_message_size = \"big\"", "not a size", "\"50 MiB\""),
        ("max_messages_per_session = 0", "is 0, which is not from 1", "such as 500"),
        ("no_success_for = \"6h\"", "unknown key `no_success_for`", "its place is [notify]"),
        ("enabled = \"yes\"", "`enabled` is a string", "without quotes"),
        ("tls_ca_file = \"ca.pem\"", "`tls_ca_file` is not an absolute path", "begins with / or ~/"),
        ("tls_ca_file = \"/ca\\u0000.pem\"", "holds a control character", "without line breaks"),
        ("ssl = true", "unknown key `ssl`", "did you mean `tls`?"),
        ("keep = true", "unknown key `keep`", "did you mean `leave_on_server`?"),
        ("per_host = 3", "unknown key `per_host`", "its place is [daemon]"),
        ("state_dir = \"/x\"", "unknown key `state_dir`", "its place is the top of the file"),
        ("\"a\\u001b[2Jb\" = 1", "unknown key `a\\u{1b}[2Jb`", "the keys here are `allow_cleartext_password`, `auth`"),
    ];
    check_each(&cases);
}

#[test]
fn each_wrong_interval_is_shown_with_its_line_and_the_next_step() {
    check_each(&[
        ("interval = \"9s\"", "`interval` is too short", "at least \"10s\""),
        ("interval = \"366d\"", "`interval` is too long", "at most \"365d\""),
        ("interval = 300", "`interval` has no unit", "\"300s\""),
        ("interval = \"often\"", "not a duration", "such as \"5m\""),
        (
            "interval = \"15m..1m\"",
            "`interval` has its longer bound first",
            "write the shorter time first: \"1m..15m\"",
        ),
        ("interval = \"5m..300s\"", "`interval` has two bounds that are the same", "write \"5m\" for a fixed interval"),
        ("interval = \"9s..5m\"", "`interval` has a first bound that is too short", "at least \"10s\""),
        ("interval = \"5m..366d\"", "`interval` has a second bound that is too long", "at most \"365d\""),
        ("interval = \"5m..\"", "`interval` is not two durations with two dots", "such as \"1m..15m\""),
        ("interval = \"1m..2m..3m\"", "`interval` is not two durations with two dots", "such as \"1m..15m\""),
        ("interval = \"1m..late\"", "has a second bound that is not a duration", "such as \"5m\""),
        ("interval = true", "`interval` is true or false", "such as \"5m\""),
        ("intervall = \"5m\"", "unknown key `intervall` in [accounts.a]", "did you mean `interval`?"),
    ]);
}

#[test]
fn who_writes_no_time_is_told_one_that_would_do() {
    check_each(&[
        ("timeout = 0", "has no unit", "such as \"60s\""),
        ("timeout = 90", "has no unit", "such as \"90s\" for seconds"),
        ("interval = \"never\"", "not a duration", "has enabled = false"),
    ]);
}

#[test]
fn each_wrong_value_about_a_maildir_is_shown_with_its_line_and_the_next_step() {
    let cases = [
        ("maildir_mode = 0o700", "`maildir_mode` is a whole number, but a string", "in octal digits and quotes"),
        ("maildir_mode = \"rwx\"", "`maildir_mode` is not a mode in octal digits", "such as \"0700\""),
        ("maildir_mode = \"0o700\"", "`maildir_mode` is not a mode in octal digits", "such as \"0700\""),
        ("maildir_mode = \"+700\"", "`maildir_mode` is not a mode in octal digits", "such as \"0700\""),
        ("maildir_mode = \"0777\"", "`maildir_mode` lets every user write", "begin with 7 for yourself"),
        ("maildir_mode = \"0600\"", "`maildir_mode` does not let mailferry itself", "begin with 7 for yourself"),
        ("maildir_mode = \"1700\"", "`maildir_mode` has bits beside", "begin with 7 for yourself"),
        ("maildir_mode = \"0740\"", "`maildir_mode` lets somebody read without entering", "5 (read)"),
        ("maildirmode = \"0750\"", "unknown key `maildirmode`", "did you mean `maildir_mode`?"),
        ("on_new_mail = \"notmuch new\"", "`on_new_mail` is a string, but an array of strings", "no shell reads them"),
        ("on_new_mail = []", "`on_new_mail` is empty", "[\"notmuch\", \"new\"]"),
        ("on_new_mail = [\"bin/x\"]", "`on_new_mail` is not an absolute path", "begins with /"),
        ("on_newmail = [\"x\"]", "unknown key `on_newmail`", "did you mean `on_new_mail`?"),
    ];
    check_each(&cases);
}

/// Each line is the sixth and last of an account's table, and the only problem.
fn check_each(cases: &[(&str, &str, &str)]) {
    for (line, message, help) in cases {
        let (text, count) = errors(&account("a", line));
        assert_eq!(count, 1, "{text}");
        assert!(text.contains("config.toml:6:"), "{text}");
        assert!(text.contains(message), "{message}\n{text}");
        let step = text.split_once("= help: ").unwrap().1;
        assert!(step.contains(help), "{help}\n{text}");
    }
}

/// Each replaces a line of an otherwise valid account.
#[test]
fn each_wrong_value_of_a_required_key_is_shown_with_its_line() {
    let cases = [
        ("host = \"pop.example.org\"", "", 1, "account `a` has no `host`"),
        ("username = \"jo\"", "", 1, "account `a` has no `username`"),
        ("password_command = [\"pw\"]", "", 1, "account `a` has no password"),
        ("maildir = \"/m\"", "", 1, "account `a` has no `maildir`"),
        ("host = \"pop.example.org\"", "host = \"pop.example.org:995\"", 2, "`host` holds a port"),
        ("host = \"pop.example.org\"", "server = \"pop.example.org\"", 2, "unknown key `server`"),
        ("username = \"jo\"", "username = \"jo\\r\\nDELE 1\"", 3, "`username` holds a control character"),
        ("username = \"jo\"", "username = \"\"", 3, "`username` is empty"),
        ("username = \"jo\"", "user = \"jo\"", 3, "did you mean `username`?"),
        ("password_command = [\"pw\"]", "password_command = \"pw\"", 4, "is a string, but an array of strings"),
        ("password_command = [\"pw\"]", "password_command = []", 4, "`password_command` is empty"),
        ("password_command = [\"pw\"]", "password_command = [\"\"]", 4, "holds an empty word"),
        ("password_command = [\"pw\"]", "password_command = [\"pw\", 1]", 4, "something that is not a string"),
        ("password_command = [\"pw\"]", "password_command = [\"bin/pw\"]", 4, "is not an absolute path"),
        ("password_command = [\"pw\"]", "password_file = \"pw\"", 4, "`password_file` is not an absolute path"),
        ("password_command = [\"pw\"]", "password_credential = \"a/b\"", 4, "not the name of a systemd credential"),
        ("password_command = [\"pw\"]", "password_cmd = [\"pw\"]", 4, "did you mean `password_command`?"),
        ("password_command = [\"pw\"]", "password = \"\"", 4, "`password` is empty"),
        ("password_command = [\"pw\"]", "password = 7", 4, "`password` is a whole number"),
        ("maildir = \"/m\"", "maildir = \"m\"", 5, "`maildir` is not an absolute path"),
        ("maildir = \"/m\"", "maildir = \"{account}\"", 5, "`maildir` is not an absolute path"),
        ("maildir = \"/m\"", "maildir = \"~ann/m\"", 5, "only ~/ at the beginning"),
        ("maildir = \"/m\"", "maildir = \"/m/{acount}\"", 5, "only {account} stands for something"),
    ];
    for (good, bad, line, message) in cases {
        let text = account("a", "");
        assert!(text.contains(good));
        let (text, count) = errors(&text.replace(good, bad));
        assert_eq!(count, 1, "{text}");
        assert!(text.contains(&format!("config.toml:{line}:")), "{text}");
        assert!(text.contains(message), "{message}\n{text}");
    }
}

#[test]
fn what_is_wrong_outside_of_accounts_is_shown_with_its_line() {
    let cases = [
        ("stat_dir = \"/x\"", "unknown key `stat_dir` at the top of the file", "did you mean `state_dir`?"),
        ("state_dir = \"x\"", "`state_dir` is not an absolute path", "begins with /"),
        ("interval = \"5m\"", "unknown key `interval` at the top", "its place is [accounts.NAME] or [defaults]"),
        ("daemon.frob = 1", "unknown key `frob` in [daemon]", "are `concurrency`, `http`"),
        ("daemon.http = \"0.0.0.0:9110\"", "`http` can be reached from other machines", "http_allow_remote = true"),
        ("daemon.http = \"http://localhost:9110/\"", "`http` is a URL", "127.0.0.1:9110"),
        ("daemon.http = \"9110\"", "`http` is neither an address with a port", "/run/mailferry/http.sock"),
        (
            "daemon.concurrency = 0",
            "`concurrency` is 0",
            "write a number from 1 to 4096, without quotes; 32 is the default",
        ),
        (
            "daemon.per_host = 1.5",
            "`per_host` is a number with a fraction",
            "write a number from 1 to 4096, without quotes; 4 is the default",
        ),
        ("notify.comand = [\"x\"]", "unknown key `comand` in [notify]", "did you mean `command`?"),
        ("notify.host = \"x\"", "unknown key `host` in [notify]", "its place is [accounts.NAME]"),
        ("notify.command = \"x\"", "`command` is a string, but an array of strings", "~/bin/mail-trouble"),
        ("notify.command = [\"a/b\"]", "`command` is not an absolute path", "begins with /"),
        ("notify.no_success_for = \"9m\"", "`no_success_for` is too short", "at least \"10m\""),
        ("notify.no_success_for = \"366d\"", "`no_success_for` is too long", "at most \"365d\""),
        ("notify.no_success_for = true", "`no_success_for` is true", "or false"),
        ("notify.no_success_for = \"false\"", "`no_success_for` is a string", "false without quotes"),
        ("notify.no_success_for = 24", "`no_success_for` has no unit", "such as \"24h\""),
        ("notify.certificate_days = -1", "`certificate_days` is -1", "or 0 for never"),
        ("notify.certificate_days = 366", "`certificate_days` is 366, which is not from 0 to 365", "or 0 for never"),
        ("notify.certificate_days = \"14d\"", "`certificate_days` is a string", "or 0 for never"),
        ("notify = [\"x\"]", "`notify` is not a table", "write [notify]"),
        ("daemon = 1", "`daemon` is not a table", "write [daemon]"),
        ("defaults = []", "`defaults` is not a table", "write [defaults]"),
        ("defaults.intervall = \"5m\"", "unknown key `intervall` in [defaults]", "did you mean `interval`?"),
        ("defaults.interval = \"1s\"", "`interval` is too short", "at least"),
        ("qq.host = \"pop.qq.com\"", "unknown key `qq`", "write [accounts.qq]"),
    ];
    for (line, message, help) in cases {
        let (text, count) = errors(&format!("{line}\n{}{}", account("a", ""), account("b", "")));
        assert_eq!(count, 1, "{text}");
        assert!(text.contains("config.toml:1:"), "{text}");
        assert!(text.contains(message) && text.contains(help), "{message}\n{text}");
    }
}

#[test]
fn all_problems_of_all_accounts_are_in_one_report_in_the_order_of_the_file() {
    let text = account("b", "interval = 1\nprot = 995") + "[nonsense]\n" + &account("a", "tls = 1\nauth = \"x\"");
    let (text, count) = errors(&text);
    assert_eq!(count, 5, "{text}");
    let lines: Vec<usize> = ["toml:6:", "toml:7:", "toml:8:", "toml:14:", "toml:15:"]
        .iter()
        .map(|line| text.find(line).unwrap_or_else(|| panic!("{line}\n{text}")))
        .collect();
    assert!(lines.is_sorted(), "{text}");
    assert!(text.contains("5 problems in /"), "{text}");
}

#[test]
fn two_ways_to_a_password_in_one_table_point_at_each_other() {
    let (text, count) = errors(&account("a", "password_file = \"/pw\""));
    assert_eq!(count, 1, "{text}");
    assert!(text.contains("`password_command` and `password_file` both say"), "{text}");
    assert!(text.contains("config.toml:6:1") && text.contains("the other one"), "{text}");
}

#[test]
fn an_account_needs_a_name_that_can_name_files() {
    for (name, expected) in [("\".a\"", "begin with a dot"), ("\"a/b\"", "made of letters"), ("\"\"", "be empty")] {
        let (text, count) = errors(&account(name, ""));
        assert_eq!(count, 1, "{text}");
        assert!(text.contains("config.toml:1:11") && text.contains(expected), "{text}");
    }
}

#[test]
fn a_configuration_without_accounts_says_what_to_add() {
    for text in ["", "[accounts]\n", "[daemon]\nper_host = 3\n", "# nothing\n"] {
        let (text, count) = errors(text);
        assert_eq!(count, 1, "{text}");
        assert!(text.contains("there is no account") && text.contains("[accounts.NAME]"), "{text}");
    }
    for (text, expected) in [
        ("[[accounts]]\nhost = \"x\"\n", "`accounts` is not a table"),
        ("[accounts]\nhost = \"x\"\n", "`host` is not the table of an account"),
    ] {
        let (text, count) = errors(text);
        assert_eq!(count, 1, "{text}");
        assert!(text.contains(expected) && text.contains("write [accounts.NAME]"), "{text}");
    }
}

#[test]
fn a_syntax_error_is_reported_where_it_begins() {
    for (text, place, message) in [
        ("[accounts.a]\nhost = \"x\nusername = \"jo\"\nport = 0\n", ":2:8", "no closing quote"),
        ("[accounts.a]\nhost = \"x\"\nhost = \"y\"\n", ":3:1", "`host` is set twice"),
        ("[accounts.a\nhost = \"x\"\n", ":1:1", "is not closed"),
        ("[accounts.a]\nhost \"x\"\n", ":2:1", "= is missing"),
        ("x =", ":1:1", "the value of `x` is missing"),
        ("[accounts.a]\nhost = \"\"\"x\n", ":2:1", "has no end"),
        ("[accounts.a]\nhost = 'a'\nhost.x = 1\n", ":3:1", "this is not TOML"),
    ] {
        let (text, _) = errors(text);
        let place = format!("config.toml{place}");
        assert!(text.contains(message) && text.contains(&place), "{message} {place}\n{text}");
    }
}

#[test]
fn a_key_that_stands_twice_has_advice_for_its_table() {
    for (table, advice) in [
        ("[accounts.a]", "or give the second account a table of its own"),
        ("[[accounts.a.rules]]", "or begin a second rule with [[accounts.a.rules]]"),
        ("[daemon]", "remove one\n"),
    ] {
        let (text, _) = errors(&format!("{table}\nhost = \"x\"\nhost = \"y\"\n"));
        assert!(text.contains(advice), "{table}\n{text}");
    }
}

#[test]
fn a_name_with_an_at_sign_is_to_stand_in_quotes() {
    let (text, _) = errors("[accounts.me@example.org]\nhost = \"x\"\n");
    assert!(text.contains("must be quoted") && text.contains("write [accounts.\"me@example.org\"]"), "{text}");
}

/// A listed key that nothing reads would be accepted and have no effect.
#[test]
fn every_known_key_is_read() {
    for key in ACCOUNT {
        let good = account("a", "");
        let others: Vec<&str> = good.lines().filter(|line| !line.starts_with(&format!("{key} ="))).collect();
        let (text, _) = errors(&format!("{}\n{key} = 1979-05-27\n", others.join("\n")));
        assert!(text.contains(&format!("`{key}` is a date or time")), "{text}");
    }
    for (table, keys) in [("daemon", &DAEMON[..]), ("notify", &NOTIFY[..])] {
        for key in keys {
            let (text, _) = errors(&format!("{table}.{key} = 1979-05-27\n{}", account("a", "")));
            assert!(text.contains(&format!("`{key}` is a date or time")), "{text}");
        }
    }
}

#[test]
fn colours_are_used_only_when_asked_for() {
    let (_dir, path) = file(&account("a", "\"\\u001b[31m\" = \"\u{9b}x\""));
    let error = load(&path, &super::env()).unwrap_err();
    assert!(!error.render(false).contains(['\x1b', '\u{9b}']), "{:?}", error.render(false));
    assert!(error.render(true).contains("\x1b["));
    assert!(!error.render(true).contains("\x1b[31m`"), "{:?}", error.render(true));
}

#[test]
fn sentences_are_wrapped_for_a_terminal_and_stay_whole_elsewhere() {
    let (_dir, path) = file(&account("a", "\ntls = \"plain text\"\npassword_fiel = \"/x\"\nmaildir = \"~/a\"\n"));
    let error = load(&path, &super::env()).unwrap_err();
    let of_words = |line: &&str| !line.contains(" --> ");
    let long = |text: &str| text.lines().filter(of_words).any(|line| line.chars().count() > 60);
    let narrow = error.render_within(false, Some(60));
    assert!(long(&error.render(false)) && !long(&narrow), "{narrow}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&error.render(false)), words(&narrow), "no word is lost");
    let none = super::super::find::find(None, &super::env()).unwrap_err();
    assert!(none.render(false).contains("mkdir -p /etc/mailferry`") && !long(&none.render_within(false, Some(60))));
}

#[test]
fn a_source_address_of_another_version_than_ip_is_refused() {
    for (ip, address, good) in
        [("4", "192.0.2.7", true), ("6", "192.0.2.7", false), ("4", "::1", false), ("any", "::1", true)]
    {
        let text = account("a", &format!("ip = \"{ip}\"\nsource_address = \"{address}\""));
        if good {
            super::config(&text);
        } else {
            assert!(errors(&text).0.contains("of another version than `ip`"), "{text}");
        }
    }
}
