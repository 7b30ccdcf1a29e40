//! Errors state facts: in the modules below the commands, no message names a configuration key, an option or a command
//! of ours, and none tells the user to do something. What to do next is only in `src/advice`.

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

/// These look at the settings, so they name keys; what to do about them is elsewhere all the same.
const ROOMS_WITH_KEYS: [&str; 1] = ["check"];

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
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
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

/// Returns the verb with which a message tells the user to do something: at the beginning of a sentence, of a clause
/// after a semicolon, or of an alternative.
fn imperative(text: &str) -> Option<&'static str> {
    let begins = |rest: &str, verb: &str| {
        rest.strip_prefix(verb).is_some_and(|after| after.starts_with([' ', ',', ':']) || after.is_empty())
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
