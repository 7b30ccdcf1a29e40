//! Errors state facts: in the modules below the commands, no message names a configuration key, an option or a command
//! of ours, and none tells the user to do something; and none of what the commands print does either, but for their
//! questions. What to do next is only in `src/advice`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules that know nothing of how the program is configured and called. Missing ones are skipped.
const ROOMS: [&str; 26] = [
    "client",
    "clock",
    "control",
    "credential",
    "daemon",
    "delivery",
    "discovery",
    "disk",
    "forward",
    "http",
    "https",
    "maildir",
    "message",
    "net",
    "notify",
    "oauth",
    "plan",
    "poll",
    "pop3",
    "routing",
    "sasl",
    "schedule",
    "state",
    "subprocess",
    "summary",
    "watch",
];

/// These look at the settings, or write them and units of systemd, so they name keys and options; what to do about them
/// is elsewhere all the same.
const ROOMS_WITH_KEYS: [&str; 2] = ["check", "setup"];

/// These are how the program is called. They have its options, each a word of its own, and ask questions.
const ROOMS_OF_COMMANDS: [&str; 2] = ["cli", "new_account"];

/// The options themselves, with their help.
const OPTIONS: &str = "src/cli/arguments.rs";

/// Questions without a question mark: they stand before the default answer.
const QUESTIONS: [&str; 1] = ["Leave it on the server"];

/// The commands of the program.
const COMMANDS: [&str; 11] =
    ["check", "console", "daemon", "fetch", "forward", "import", "login", "poll", "setup", "status", "uids"];

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every key of the configuration.
fn keys() -> BTreeSet<String> {
    let reference = fs::read_to_string(project().join("config/mailferry.reference.toml")).unwrap();
    let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.trim_start_matches('#').to_owned());
    let is_name = |key: &String| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    reference.lines().filter_map(key).filter(is_name).collect()
}

/// Returns the sources of these modules, without tests.
fn sources(rooms: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for room in rooms {
        let file = project().join("src").join(format!("{room}.rs"));
        found.extend(file.exists().then_some(file));
        find(&project().join("src").join(room), &mut found);
    }
    found.retain(|path| !path.strip_prefix(project()).unwrap().to_string_lossy().contains("tests"));
    found
}

fn find(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the string literals of a source, without those in comments and in the tests at its end.
fn texts(source: &str) -> Vec<String> {
    let tests = ["mod tests {", "pub(super) mod tests {"];
    let source =
        tests.iter().fold(source, |source, tests| source.split(&format!("#[cfg(test)]\n{tests}")).next().unwrap());
    let mut texts = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        let here = rest.split_at(at).1;
        rest = if here.starts_with("//") {
            here.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(raw) = here.strip_prefix("r\"") {
            let (text, after) = raw.split_once('"').unwrap();
            texts.push(text.to_owned());
            after
        } else if let Some(raw) = here.strip_prefix("r#\"") {
            let (text, after) = raw.split_once("\"#").unwrap();
            texts.push(text.to_owned());
            after
        } else if here.starts_with('"') {
            let end = end_of_text(here);
            texts.push(unescaped(here.split_at(end).0.split_at(1).1));
            here.split_at(end + 1).1
        } else if here.starts_with("'\\") || here.starts_with("'\"'") || here.starts_with("'/'") {
            // A character literal, not a lifetime.
            let end = here.split_at(2).1.find('\'').unwrap() + 2;
            here.split_at(end + 1).1
        } else {
            here.split_at(1).1
        };
    }
    texts
}

/// Returns where the closing quote of a string literal is.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let end = |&(at, c): &(usize, char)| {
        let ends = at > 0 && c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    };
    text.char_indices().find(end).unwrap().0
}

/// Joins the lines of a string literal, as the compiler does.
fn unescaped(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\"")
}

/// Returns what a message names that these modules must not know.
fn names(text: &str, keys: &BTreeSet<String>) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words: Vec<&str> = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let key = keys.iter().find(|key| {
        let is_named = text.contains(&format!("`{key}`")) || text.contains(&format!("{key} = "));
        // Only a key of several words is not an ordinary word.
        is_named || (key.contains('_') && text.contains(' ') && words.contains(&key.as_str()))
    });
    let option = words.iter().find(|word| {
        word.strip_prefix("--").is_some_and(|name| name.len() > 1 && name.starts_with(|c: char| c.is_ascii_lowercase()))
    });
    let command = COMMANDS.into_iter().find(|command| {
        text.split_once(&format!("mailferry {command}")).is_some_and(|(_, after)| !after.starts_with(is_word))
    });
    key.cloned().or(option.map(|option| (*option).to_owned())).or(command.map(|command| format!("mailferry {command}")))
}

/// Verbs with which a sentence tells the user to do something.
const IMPERATIVES: [&str; 58] = [
    "Add", "Allow", "Ask", "Begin", "Change", "Check", "Choose", "Close", "Copy", "Correct", "Create", "Delete",
    "Disable", "Do", "Enable", "End", "Free", "Get", "Give", "Have", "Install", "Keep", "Kill", "Leave", "Let", "Look",
    "Lower", "Make", "Mount", "Move", "Open", "Please", "Put", "Raise", "Register", "Reload", "Remove", "Rename",
    "Repeat", "Replace", "Report", "Restart", "Restore", "Run", "See", "Select", "Set", "Sign", "Start", "Stop",
    "Tell", "Try", "Unlock", "Update", "Upgrade", "Use", "Wait", "Write",
];

/// Whether a sentence, from here, is a question.
fn is_question(rest: &str) -> bool {
    rest.find(['.', '?', ';']).is_some_and(|end| rest.split_at(end).1.starts_with('?'))
}

/// Returns the verb with which a message tells the user to do something: at the beginning of a sentence that is no
/// question, of a clause after a semicolon, or of an alternative.
fn imperative(text: &str) -> Option<&'static str> {
    let begins = |rest: &str, verb: &str| {
        rest.strip_prefix(verb).is_some_and(|after| after.starts_with([' ', ',', ':']) || after.is_empty())
            && !is_question(rest)
    };
    let is_told = |verb: &str| {
        let lower = verb.to_ascii_lowercase();
        let in_sentence = [". ", "? ", ": "].iter().any(|end| text.split(end).skip(1).any(|rest| begins(rest, verb)));
        let in_clause = ["; ", ", or ", "please "];
        let in_clause = in_clause.iter().any(|end| text.split(end).skip(1).any(|rest| begins(rest, &lower)));
        in_sentence || in_clause || (text.contains(' ') && begins(text, verb))
    };
    IMPERATIVES.into_iter().find(|verb| is_told(verb))
}

#[test]
fn no_message_of_the_lower_rooms_names_a_key_an_option_or_a_command() {
    let keys = keys();
    assert!(keys.len() >= 25, "{keys:?}");
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in sources(&ROOMS) {
        for text in texts(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            if let Some(name) = names(&text, &keys) {
                wrong.push(format!("{}: {name} in {text:?}", path.display()));
            }
        }
    }
    assert!(seen > 500, "{seen} texts");
    assert!(wrong.is_empty(), "say what happened, and let src/advice say what to do:\n{}", wrong.join("\n"));
}

#[test]
fn no_message_of_the_lower_rooms_tells_the_user_to_do_something() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in sources(&[&ROOMS[..], &ROOMS_WITH_KEYS].concat()) {
        for text in texts(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            if let Some(verb) = imperative(&text) {
                wrong.push(format!("{}: {verb} in {text:?}", path.display()));
            }
        }
    }
    assert!(seen > 1000, "{seen} texts");
    assert!(wrong.is_empty(), "say what happened, and let src/advice say what to do:\n{}", wrong.join("\n"));
}

/// Returns the texts of the rooms of the commands that only advice may have.
fn advice_in(source: &str, keys: &BTreeSet<String>) -> Vec<String> {
    let is_message = |text: &String| text.contains(' ') && !QUESTIONS.contains(&text.as_str());
    let is_advice = |text: &String| names(text, keys).is_some() || imperative(text).is_some();
    texts(source).into_iter().filter(is_message).filter(is_advice).collect()
}

#[test]
fn no_message_of_a_command_tells_what_helps() {
    let (keys, mut seen, mut wrong) = (keys(), 0, Vec::new());
    for path in sources(&ROOMS_OF_COMMANDS) {
        let name = path.strip_prefix(project()).unwrap();
        if name != Path::new(OPTIONS) {
            seen += 1;
            let found = advice_in(&fs::read_to_string(&path).unwrap(), &keys);
            wrong.extend(found.into_iter().map(|text| format!("{}: {text:?}", name.display())));
        }
    }
    assert!(seen > 40, "{seen} files");
    assert!(wrong.is_empty(), "let src/advice say it:\n{}", wrong.join("\n"));
}

#[test]
fn what_helps_is_found_in_the_rooms_of_the_commands() {
    let keys = keys();
    for planted in [
        "the daemon said nothing. Try again",
        "nothing is known of {name}; give --name",
        "; tried again by `fetch --scheduled`",
        "no account is enabled; name one, or remove `enabled = false`",
        "{name}: it is under way; try again",
        "Done. `mailferry status` tells how it gets on",
        "note: it is gone at the end; leave with Ctrl-C",
    ] {
        for file in ["src/cli/uids.rs", "src/cli/status.rs", "src/cli/console/mod.rs", "src/cli/setup/mod.rs"] {
            let source = fs::read_to_string(project().join(file)).unwrap();
            let with = format!("fn planted() {{ say({planted:?}); }}\n{source}");
            assert_eq!(advice_in(&with, &keys), [planted], "{file}");
        }
    }
    for text in ["--name", "Leave it on the server", "Delete message {number} at QUIT? [y/N] ", "Log in at {host}?"] {
        assert!(advice_in(&format!("{text:?}"), &keys).is_empty(), "{text}");
    }
}

#[test]
fn what_would_be_told_to_the_user_is_found() {
    let planted = "fn f() -> &'static str { \"it is not a regular file. Move it away\" }";
    assert_eq!(texts(planted).iter().find_map(|text| imperative(text)), Some("Move"));
    for (text, verb) in [
        ("it is a symbolic link. Replace it by the file itself", "Replace"),
        ("another daemon uses the state in {}: {}. Stop it first", "Stop"),
        ("Make it writable for this user", "Make"),
        ("{what} was not found; install it", "Install"),
        ("it is there, or give another one", "Give"),
        ("an internal error; please report it", "Please"),
        ("is it there? Check that", "Check"),
        ("no answer. Try again", "Try"),
    ] {
        assert!(imperative(text).is_some(), "{text}: {verb}");
    }
    for text in [
        "Set-Cookie",
        "the settings. Setting them again",
        "cannot create a timer: {e}",
        "Start",
        "it is tried again",
        "<p>the oldest came {}",
    ] {
        assert_eq!(imperative(text), None, "{text}");
    }
}

#[test]
fn what_would_be_named_is_found() {
    let keys = keys();
    for text in [
        "allow it more time with `timeout`",
        "set tls = \"implicit\"",
        "larger than max_message_size",
        "fetch --wait` waits",
        "run mailferry fetch again",
        "see `mailferry status`",
    ] {
        assert!(names(text, &keys).is_some(), "{text}");
    }
    for text in [
        "the server said nothing for {} s",
        "a newer mailferry",
        "the host has no timeout",
        "chmod 600 -- 'x'",
        "max_message_size",
        "a mailferry fetched it",
        "-----BEGIN CERTIFICATE-----",
    ] {
        assert_eq!(names(text, &keys), None, "{text}");
    }
}

#[test]
fn texts_are_told_from_comments_characters_and_tests() {
    let source = "/// \"no\"\nfn f<'a>(x: &'a str) { g('\"', '\\'', \"one \\\n     line\", r\"raw\"); } // \"no\"\n\
                  let s = \"a \\\"b\\\" // c\"; const R: &str = r#\"x \"y\"\"#;\n#[cfg(test)]\nmod tests { \"no\" }";
    assert_eq!(texts(source), ["one line", "raw", "a \"b\" // c", "x \"y\""]);
}
