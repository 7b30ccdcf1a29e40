//! Files that are not TOML, as people write them: every mistake is reported, with its line, in familiar words.

use super::{account, env, errors, file};
use crate::config::load;

/// Returns what is reported, in order: the line and the message.
fn told(text: &str) -> Vec<(usize, String)> {
    let (_dir, path) = file(text);
    let shown = load(&path, &env()).err().unwrap_or_else(|| panic!("accepted:\n{text}")).to_string();
    let mut found = Vec::new();
    for part in shown.split("error: ").skip(1) {
        let message = part.lines().next().unwrap().to_owned();
        let line = part.lines().find_map(|line| line.split_once("config.toml:")?.1.split(':').next()?.parse().ok());
        if let Some(line) = line {
            assert!(part.contains("help: "), "{part}");
            found.push((line, message));
        }
    }
    found
}

const TWENTY: &str = "\
; my accounts
// and more
accounts:
[daemon]
concurency = 4
interval = \"5m\"
[accounts.home]
host = “localhost”
username = jo
password_command: pass show mail
maildir = \"/m\";
port = yes
tls = 'none
leave_on_server = No
hots = \"x\"
host = \"again\"
[accounts.me@example.org]
host \"pop.example.org\"
username = \"me
password_command = [\"pw\"]
maildir = \"\\Mail\"
sslcertck = true
[accounts.home]
host == \"x\"
[accounts.qq.com]
username = \"a\"
[accounts.b
timeout =
- name: x
";

#[test]
fn twenty_mistakes_are_twenty_findings_and_more_in_the_order_of_the_file() {
    let expected = [
        (1, "a comment begins with #"),
        (2, "a comment begins with #"),
        (3, "a name with a colon is a YAML table"),
        (5, "unknown key `concurency`"),
        (6, "unknown key `interval` in [daemon]"),
        (8, "typographic quotes"),
        (9, "a string must be quoted"),
        (10, "separated by =, not by a colon"),
        (11, "a line does not end with ;"),
        (12, "this is a number, and not true or false"),
        (13, "no closing quote"),
        (14, "true and false"),
        (15, "unknown key `hots`"),
        (16, "`host` is set twice"),
        (17, "an account name with anything but"),
        (18, "= is missing"),
        (19, "no closing quote"),
        (21, "\\ begins an escape"),
        (22, "unknown key `sslcertck`"),
        (23, "the table [accounts.home] is defined twice"),
        (24, "separated by =, not by =="),
        (25, "an account name with a dot"),
        (27, "the bracket of this table's header is not closed"),
        (28, "the value of `timeout` is missing"),
        (29, "a list with dashes"),
    ];
    let told = told(TWENTY);
    for (line, message) in expected {
        assert!(told.iter().any(|(at, said)| *at == line && said.contains(message)), "{line}: {message}\n{told:#?}");
    }
    assert!(told.is_sorted_by_key(|(line, _)| *line), "{told:#?}");
    // A line has no reports besides its mistake, except about what an account lacks.
    let others =
        told.iter().filter(|(at, said)| !expected.iter().any(|(line, known)| line == at && said.contains(known)));
    for (line, said) in others {
        assert!(said.contains(" has no ") && [7, 17, 23, 25, 27].contains(line), "{line}: {said}");
    }
    let (text, _) = errors(TWENTY);
    for shown in
        ["host = “localhost”", "; my accounts", "accounts:", "sslcertck = true", "tls = 'none", "username = jo"]
    {
        assert!(text.contains(shown), "{shown} is not shown:\n{text}");
    }
}

#[test]
fn one_mistake_is_one_finding() {
    let good = account("a", "interval = \"5m\"");
    for (from, to, said) in [
        ("interval = \"5m\"", "interval = 5m", "a string must be quoted"),
        ("interval = \"5m\"", "interval: 5m", "not by a colon"),
        ("interval = \"5m\"", "interval \"5m\"", "= is missing"),
        ("interval = \"5m\"", "interval = \"5m\",", "does not end with ,"),
        ("interval = \"5m\"", "interval := \"5m\"", "not by :="),
        ("interval = \"5m\"", "interval = ", "is missing"),
        ("interval = \"5m\"", "interval", "the value of `interval` is missing"),
        ("interval = \"5m\"", "interval =\u{a0}\"5m\"", "invisible character (U+00A0)"),
        ("interval = \"5m\"", "max_message_size = 50 MiB", "a string must be quoted"),
        ("interval = \"5m\"", "max message size = \"50 MiB\"", "this is not a key"),
        ("interval = \"5m\"", "enabled = TRUE", "true and false"),
        ("interval = \"5m\"", "---", "`---` is YAML"),
        ("host = \"pop.example.org\"", "host = pop.example.org", "a string must be quoted"),
        ("host = \"pop.example.org\"", "host: pop.example.org", "not by a colon"),
        ("host = \"pop.example.org\"", "\"host\": \"pop.example.org\",", "not by a colon"),
        ("host = \"pop.example.org\"", "host = {pop}", "this is not an inline table"),
        ("password_command = [\"pw\"]", "password_command = [pass, show]", "this is not a list"),
        ("password_command = [\"pw\"]", "password_command = pass show x", "a command is a list of words"),
        ("password_command = [\"pw\"]", "password: x", "not by a colon"),
        ("password_command = [\"pw\"]", "password = x y", "a string must be quoted"),
        ("[accounts.a]", "[accounts.jo@a.org]", "must be quoted"),
        ("[accounts.a]", "[accounts.a b]", "letters, digits and . _ @ -"),
        ("[accounts.a]", "[accounts.工作]", "letters, digits and . _ @ -"),
        ("[accounts.a]", "[accounts.a.b]", "a dot in it"),
        ("[accounts.a]", "[accounts.mail.a.b]", "a dot in it"),
        ("[accounts.a]", "[accounts.a", "is not closed"),
        ("[accounts.a]", "[accounts.a] enabled = true", "after the header"),
        ("[accounts.a]", "[notify]\n[notify]\n[accounts.a]", "the table [notify] is defined twice"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = good.replace(from, to);
        let told = told(&text);
        assert!(told.len() == 1 && told[0].1.contains(said), "{said}\n{text}\n{told:#?}");
    }
}

#[test]
fn each_mistake_is_shown_with_what_to_write() {
    let good = account("a", "interval = \"5m\"");
    let command = "password_command = [\"pw\"]";
    for (from, to, line, said) in [
        ("interval = \"5m\"", "interval = `5m`", "interval = `5m`", "backticks are not quotes"),
        ("interval = \"5m\"", "interval ＝ \"5m\"", "interval ＝ \"5m\"", "full-width"),
        ("interval = \"5m\"", "interval\u{a0}= \"5m\"", "interval\u{a0}= \"5m\"", "invisible character"),
        ("interval = \"5m\"", "leave–on–server = true", "leave–on–server = true", "did you mean `leave_on_server`?"),
        ("interval = \"5m\"", "\"interval\": \"5m\",", "\"interval\": \"5m\",", "not by a colon"),
        (
            "interval = \"5m\"",
            "interval = \"5m\" // often",
            "interval = \"5m\" \"[secret]\"",
            "begins with #, not with //",
        ),
        ("interval = \"5m\"", "include \"other.toml\"", "include \"[secret]\"", "no `include` in TOML"),
        ("interval = \"5m\"", "export X=1", "export \"[secret]\"", "no `export` in TOML"),
        ("interval = \"5m\"", "/* often */", "/* often */", "a comment begins with #"),
        ("interval = \"5m\"", "interval = \"1\"", "interval = \"1\"", "`interval` has no unit"),
        ("interval = \"5m\"", "interval = -5", "interval = -5", "`interval` is negative"),
        ("interval = \"5m\"", "maildir_mode = \"9\"", "maildir_mode = \"9\"", "octal"),
        ("interval = \"5m\"", "tls = yes", "tls = yes", "write \"implicit\", \"starttls\" or \"none\""),
        ("interval = \"5m\"", "port = 0995", "port = 0995", "write 995"),
        ("interval = \"5m\"", "interval = \"1m-5m\"", "interval = \"1m-5m\"", "\"1m..5m\""),
        ("interval = \"5m\"", "-- often", "-- often", "a comment begins with #"),
        ("interval = \"5m\"", "\u{1a}", "", "a control character (U+001A)"),
        ("interval = \"5m\"", "[[accounts]]\nname = \"b\"", "[[accounts]]", "accounts are tables with a name"),
        (
            "interval = \"5m\"",
            "[[accounts.a.rules]]\nheader = \"To\"\ncontain = \"x\"\nmaildir = \"/x\"",
            "contain",
            "did you mean `contains`?",
        ),
        ("interval = \"5m\"", "[accounts.a.forward]\nlmpt = { }", "lmpt", "did you mean `lmtp`?"),
        (command, "password_command: pass", "password_command: pass", "its words in brackets: [\"pass\", \"show\""),
        (command, "oauth2 = true", "oauth2 = true", "a table is expected"),
        ("[accounts.a]", "[accounts a]", "[accounts a]", "write [accounts.a]"),
        ("[accounts.a]", "[accounts.a]:", "[accounts.a]:", "after the header"),
        ("[accounts.a]", "[accounts.\"a b\"]", "[accounts.\"a b\"]", "digits and . _ @ -, not of blanks"),
        ("[accounts.a]", "[account.a]", "[account.a]", "did you mean `accounts`?"),
        ("[accounts.a]", "[a]", "[a]", "if it is an account, write [accounts.a]"),
        (
            command,
            "password_command = [\"pass show x\"]",
            "[\"pass show x\"]",
            "write each word separately: [\"pass\", \"show\", \"x\"]",
        ),
        (command, "password_file = \"$HOME/pw\"", "\"$HOME/pw\"", "for a variable"),
    ] {
        assert!(good.contains(from), "{from}");
        let (text, count) = errors(&good.replace(from, to));
        assert!(count == 1 && text.contains(line) && text.contains(said), "{to}: {said}\n{text}");
    }
}

#[test]
fn a_table_with_a_misspelt_name_is_judged_in_the_same_go() {
    let text =
        "[deamon]\nconcurency = 4\n".to_owned() + &account("a", "intervall = 1").replace("[accounts", "[account");
    let (shown, count) = errors(&text);
    for said in [
        "did you mean `daemon`?",
        "did you mean `concurrency`?",
        "did you mean `accounts`?",
        "did you mean `interval`?",
    ] {
        assert!(shown.contains(said), "{said}\n{shown}");
    }
    assert_eq!(count, 4, "{shown}");
}

#[test]
fn a_file_of_another_program_or_language_is_recognised_as_a_whole() {
    for (text, said) in [
        ("# mine\npoll pop.h proto pop3\n  user jo password hunter2\n", "this is a configuration of fetchmail"),
        ("set daemon 300\n", "`mailferry import fetchmail FILE`"),
        ("account work\nhost pop.h\npassword hunter2\n", "this is a configuration of mpop"),
        ("[retriever]\ntype = SimplePOP3Retriever\npassword = hunter2\n", "this is a configuration of getmail"),
        ("account \"a\" pop3s server \"h\" pass \"hunter2\"\n", "this is a configuration of fdm"),
        ("{\"accounts\": {\"a\": {\"password\": \"hunter2\"}}}\n", "this file is JSON"),
        ("<account><password>hunter2</password></account>\n", "this file is XML"),
        ("<account/>\n", "`mailferry man 5` has examples of a configuration in TOML; `mailferry setup` writes one"),
        ("[accounts.a]\rhost = \"h\"\rpassword = \"hunter2\"\r", "end with CR alone"),
    ] {
        let (shown, count) = errors(text);
        assert!(count == 1 && shown.contains(said) && !shown.contains("hunter2"), "{text}\n{shown}");
    }
    // A single account makes the file ours.
    let (shown, _) = errors("poll pop.h\n[accounts.a]\nhost = 'h'\n");
    assert!(!shown.contains("configuration of"), "{shown}");
}

#[test]
fn a_dotted_name_is_told_with_the_way_to_write_it() {
    let (text, count) = errors(&account("mail.qq.com", ""));
    assert_eq!(count, 1, "{text}");
    assert!(text.contains("write [accounts.\"mail.qq.com\"]"), "{text}");
    // What is wrong inside is reported as well, and the surrounding table is not reported as another account.
    let (text, count) = errors(&(account("qq", "") + &account("qq.com", "prot = 1")));
    assert_eq!(count, 2, "{text}");
    assert!(text.contains("unknown key `prot` in [accounts.\"qq.com\"]"), "{text}");
}

#[test]
fn a_table_that_stands_twice_is_shown_at_both_places_and_judged_twice() {
    let (text, count) = errors(&(account("a", "") + &account("a", "intervall = \"5m\"")));
    assert_eq!(count, 2, "{text}");
    assert!(text.contains("the table [accounts.a] is defined twice") && text.contains("the first one"), "{text}");
    assert!(text.contains("config.toml:7:1") && text.contains("1 | [accounts.a]"), "{text}");
    assert!(text.contains("did you mean `interval`?") && !text.contains("twice-"), "{text}");
}

#[test]
fn what_a_table_that_stands_twice_lacks_may_be_in_the_other_one() {
    for text in
        [account("a", "") + "[accounts.a]\nhost = \"x\"\n", "[accounts.a]\nport = 995\n".to_owned() + &account("a", "")]
    {
        let (text, count) = errors(&text);
        assert_eq!(count, 1, "{text}");
        assert!(text.contains("the table [accounts.a] is defined twice"), "{text}");
    }
}

#[test]
fn values_over_several_lines_are_left_alone() {
    let list = "password_command = [\n  \"pass\", # the manager\n  \"show\",\n]";
    let text = account("a", "interval = 5m").replace("password_command = [\"pw\"]", list);
    let found = told(&text);
    assert!(found.len() == 1 && found[0].0 == 9, "{found:#?}");
    let text = account("a", "interval = 5m").replace("password_command = [\"pw\"]", "password = \"\"\"\nx = y\n\"\"\"");
    let found = told(&text);
    assert!(found.len() == 2 && found[0].1.contains("control character"), "{found:#?}");
    let open = account("a", "").replace("host = \"pop.example.org\"", "host = \"\"\"x");
    let found = told(&open);
    assert!(found.len() == 1 && found[0].1.contains("has no end"), "{found:#?}");
}

#[test]
fn any_number_of_mistakes_is_told_in_a_bounded_number_of_lines() {
    let typos: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    let broken: String = (0..5000).map(|n| format!("k{n} : x\n")).collect();
    let open: String = (0..5000).map(|n| format!("k{n} = [\n")).collect();
    for more in [typos, broken, open] {
        let (text, count) = errors(&account("a", &more));
        assert_eq!(count, 1001);
        assert!(text.lines().count() < 500, "{}", text.lines().count());
        assert!(text.contains("more than 1000 problems in /") && text.contains("the first 50 are shown"), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_lines_are_every_place_is_one_of_the_file(
        lines in proptest::collection::vec("[\\[\\]a-c.=:\"'{},;#\\\\ é“-]{0,12}", 0..12),
    ) {
        let text = lines.join("\n");
        let (_dir, path) = file(&text);
        if let Err(error) = load(&path, &env()) {
            let shown = error.to_string();
            for place in shown.split("config.toml:").skip(1) {
                let line: usize = place.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap_or(1);
                proptest::prop_assert!(line <= lines.len().max(1), "{}\n{}", text, shown);
            }
        }
    }
}
