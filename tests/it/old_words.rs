//! Words that gave way to the field's standard terms are nowhere any more, except where others rely on them.
//! `docs/architecture.md` says under "Words" which ones stay.

use std::fs;
use std::path::Path;

/// A word that was given up.
struct Old {
    /// The word: part of a text, or the name of an item in Rust.
    word: &'static str,
    kind: Kind,
    /// What stands in its place.
    now: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// In names and in prose, in any case: `hung up`, `hung_up`, `HungUp`, hung-up.
    Words,
    /// The name of a type, a function, a module or a constant.
    Item,
}

const fn words(word: &'static str, now: &'static str) -> Old {
    Old { word, kind: Kind::Words, now }
}

const fn item(word: &'static str, now: &'static str) -> Old {
    Old { word, kind: Kind::Item, now }
}

const OLD: &[Old] = &[
    words("trouble", "an account: failure; a message: quarantine"),
    words("suspect", "isolated"),
    words("message that broke", "a message at which a session broke"),
    words("messages that broke", "messages at which sessions broke"),
    words("those that broke", "those at which sessions broke"),
    words("one that broke", "one at which a session broke"),
    words("hung up", "the connection was closed by the server"),
    words("hangs up", "the server closes the connection"),
    words("hang up", "close the connection"),
    words("hanging up", "closing the connection"),
    words("free room", "free space"),
    words("too little room", "too little free space"),
    words("out the room", "find out the free space"),
    words("certain seconds", "trusted time"),
    words("on suspicion", "probe for more"),
    item("Ferry", "PollContext"),
    item("Wishes", "PollOptions, PollTiming"),
    item("Kept", "AccountState, TokenFile, StoredSecret"),
    item("Neighbours", "ConfiguredAccounts"),
    item("Teller", "CommandRunner"),
    item("News", "Notification, DueNotification, TaskReport"),
    item("news", "notifying"),
    item("Told", "NotifyState, HeaderRecipients, Published"),
    item("Facts", "PollFacts"),
    item("heed", "wait_draining"),
    item("Witness", "Fingerprint"),
    item("WholeDigester", "MessageDigester"),
    item("Scope", "Pass"),
    item("Outlook", "PlanInput"),
    item("Order", "Retrieval"),
    item("Parcel", "ReceivedMessage"),
    item("Marking", "Deletions"),
    item("Asked", "CommandKind, Pending"),
    item("Said", "ResponsePart, PlaceRequest, OutputEnds, StderrText"),
    item("hear", "on_event, on_response"),
    item("question", "first_command"),
    item("Question", "Request"),
    item("Answer", "Response"),
    item("Patience", "Timeouts, CredentialWait"),
    item("patience", "credential_wait"),
    item("Pace", "StallDetector"),
    item("Place", "InFlight, FileLocation, MessageDestination, Placement, Position, Slot"),
    item("Places", "SearchPaths, DestinationIndexes"),
    item("Link", "ConnectionInfo, Exposure"),
    item("Mask", "Redactor"),
    item("Memory", "ServerProfile"),
    item("NoRoom", "InsufficientSpace"),
    item("no_room", "insufficient_space"),
    item("take_room", "take_space"),
    item("Least", "MinInterval"),
    item("spread", "jitter"),
    item("SPREAD", "WAKE_JITTER"),
    item("tidy", "compact"),
    item("forgo", "cancel"),
    item("be_alone", "daemon_lock"),
    item("complain", "stderr_line, log_failure"),
    item("broke", "session_broke"),
];

/// Where an old word stays.
struct Stays {
    /// The text around it as compared: in small letters, with blanks for `_` and `-`. For an item, its name.
    text: &'static str,
    /// The file, or how its path begins.
    under: &'static str,
    why: &'static str,
}

const fn stays(text: &'static str, under: &'static str, why: &'static str) -> Stays {
    Stays { text, under, why }
}

const STAYS: &[Stays] = &[
    stays("in trouble", "", "the users' word for an account that they should look at"),
    stays("\"trouble", "src/", "a value of the status, an event, a key of the hints, a class of the page"),
    stays("\"trouble", "tests/", "a value of the status, or an event, as it is read"),
    stays("\"trouble", "contrib/", "a value of the status in the metrics"),
    stays("`trouble`", "docs/", "a value of the status, an event, a key of the hints"),
    stays("`troubles`", "docs/state-format.md", "a field on the control socket"),
    stays("event=trouble", "", "an event in the log, or as notified"),
    stays("the event trouble ", "src/notify/command_runner_tests.rs", "an event"),
    stays(".trouble", "src/http/assets/style.css", "a class of the page"),
    stays("#trouble", "src/http/assets/style.css", "a heading of the page"),
    stays(".trouble", "tests/it/daemon/browser.rs", "a class of the page"),
    stays("#trouble", "tests/it/daemon/browser.rs", "a heading of the page"),
    stays(".trouble", "docs/state-format.md", "a table of the hints"),
    stays(".trouble", "tests/it/daemon/kept.rs", "a table of the hints"),
    stays("\" trouble", "src/cli/status_text.rs", "a label of the status"),
    stays("trouble the server", "docs/operations.md", "a label of the status"),
    stays("| trouble |", "docs/operations.md", "a label of the status"),
    stays("[trouble]", "docs/operations.md", "the table of what an account is in trouble for"),
    stays("#trouble", "docs/operations.md", "the table of what an account is in trouble for"),
    stays("# trouble", "docs/operations.md", "the table of what an account is in trouble for"),
    stays(".li trouble", "docs/man/mailferry.toml.5", "an event"),
    stays("state: trouble", "contrib/", "a value of the status in the metrics"),
    stays("account trouble", "contrib/", "the name of an alert"),
    stays("mail trouble", "", "a command in an example"),
    stays("trouble", "docs/status-page.md", "the names of the screenshots"),
    stays("trouble", "tests/page-captures", "the names of the screenshots, and a value of the status"),
    stays("troubles", "src/control/", "a field on the control socket"),
    stays("troubles", "src/daemon/supervisor/answers.rs", "a field on the control socket"),
    stays("troubles", "src/cli/poll.rs", "a field on the control socket"),
    stays("troubled", "src/control/", "whether the socket's directory could not be looked at"),
    stays("hear", "src/control/", "reads the requests of a connection"),
    stays("Place", "src/control/", "where the socket is"),
    stays("Place", "src/disk/sync_pool.rs", "a file's place in its batch"),
    stays("Place", "src/schedule/queue/place.rs", "a place is the permission to run a poll"),
    stays("Places", "src/watch/places.rs", "a place is the permission to run a poll"),
    stays("Places", "src/cli/fetch.rs", "a place is the permission to run a poll"),
];

/// What is searched. What others wrote, and this file, are left out.
const SEARCHED: [&str; 12] = [
    "src",
    "docs",
    "tests",
    "README.md",
    "systemd",
    "config",
    "contrib",
    "benches",
    "examples",
    "fuzz/answers.rs",
    "fuzz/batches.rs",
    "fuzz/fuzz_targets",
];
const LEFT_OUT: [&str; 3] = ["tests/fixtures", "tests/it/old_words.rs", "benches/instructions/target"];

/// Returns the files below a path with their texts. Pictures have none.
fn read(path: &str, found: &mut Vec<(String, String)>) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if LEFT_OUT.contains(&path) {
        return;
    }
    if full.is_dir() {
        for entry in fs::read_dir(full).unwrap() {
            read(&format!("{path}/{}", entry.unwrap().file_name().to_str().unwrap()), found);
        }
    } else if let Ok(text) = fs::read_to_string(full) {
        found.push((path.to_owned(), text));
    }
}

/// Brings a line into the form in which words are compared.
fn plain(line: &str) -> String {
    let (mut text, mut before) = (String::new(), ' ');
    for c in line.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            text.push(' ');
        }
        let blank = c == '_' || c == '-' || c.is_whitespace();
        if !blank {
            text.push(c.to_ascii_lowercase());
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
        before = c;
    }
    text.trim_ascii().to_owned()
}

/// Returns the names of the items that a line of Rust declares.
fn items(line: &str) -> Vec<&str> {
    const KINDS: [&str; 9] = ["struct", "enum", "trait", "type", "mod", "union", "fn", "const", "static"];
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let code = !line.trim_start().starts_with("//");
    let declared = words.windows(2).filter(|pair| code && KINDS.contains(&pair[0]));
    declared.map(|pair| pair[1]).collect()
}

/// Finds the old words in files with these texts. Returns each with its place, and which exceptions were needed.
fn findings(files: &[(String, String)], stays: &[Stays]) -> (Vec<String>, Vec<bool>) {
    let (mut found, mut needed) = (Vec::new(), vec![false; stays.len()]);
    let mut may_stay = |file: &str, is_it: &dyn Fn(&str) -> bool| {
        let here = stays.iter().position(|one| file.starts_with(one.under) && is_it(one.text));
        here.is_some_and(|place| {
            needed[place] = true;
            true
        })
    };
    for (file, text) in files {
        let lines: Vec<String> = text.lines().map(plain).collect();
        for (number, (line, raw)) in lines.iter().zip(text.lines()).enumerate() {
            // A phrase may go on in the next line, behind what marks a comment.
            let next = lines.get(number + 1).map_or("", |next| next.trim_start_matches(['/', '!', '#', ' ']));
            let both = format!("{line} {next}");
            for old in OLD.iter().filter(|old| old.kind == Kind::Words) {
                for (start, _) in both.match_indices(old.word).filter(|(start, _)| *start < line.len()) {
                    let before = both.get(..start).unwrap_or_default();
                    let is_begin = !before.ends_with(|c: char| c.is_alphanumeric());
                    let covers = |text: &str| {
                        both.match_indices(text).any(|(at, _)| at <= start && start + old.word.len() <= at + text.len())
                    };
                    if is_begin && !may_stay(file, &covers) {
                        found.push(format!("{file}:{}: {}; now: {}", number + 1, old.word, old.now));
                    }
                }
            }
            if file.ends_with(".rs") {
                for name in items(raw) {
                    let old = OLD.iter().find(|old| old.kind == Kind::Item && old.word == name);
                    if let Some(old) = old.filter(|_| !may_stay(file, &|text| text == name)) {
                        found.push(format!("{file}:{}: {name}; now: {}", number + 1, old.now));
                    }
                }
            }
        }
    }
    (found, needed)
}

#[test]
fn no_old_word_is_left_and_no_exception_is_needless() {
    let mut files = Vec::new();
    SEARCHED.iter().for_each(|path| read(path, &mut files));
    assert!(files.len() > 500, "{}", files.len());
    let (found, needed) = findings(&files, STAYS);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let needless = STAYS.iter().zip(needed).filter(|(_, needed)| !needed);
    let needless: Vec<String> =
        needless.map(|(one, _)| format!("{} in {}: {}", one.text, one.under, one.why)).collect();
    assert!(needless.is_empty(), "{}", needless.join("\n"));
}

#[test]
fn a_planted_word_is_found() {
    let of = |file: &str, text: &str| findings(&[(file.to_owned(), text.to_owned())], STAYS).0.len();
    for (file, text) in [
        ("src/a.rs", "/// A trouble of an account."),
        ("src/a.rs", "let troubles = 1;"),
        ("src/a.rs", "enum End { Trouble(Cause) }"),
        ("src/http/a.rs", "self.made_trouble();"),
        ("docs/a.md", "Troubles are reported."),
        ("docs/a.md", "the server hung\nup on us"),
        ("src/a.rs", "/// why the server hung\n/// up"),
        ("tests/it/a.rs", "fn a_server_that_hangs_up_is_told() {"),
        ("src/a.rs", "enum AndThen { HangsUp }"),
        ("src/a.rs", "pub(super) struct Place {"),
        ("src/a.rs", "    pub(super) async fn hear(&mut self) {"),
        ("src/control/a.rs", "enum Answer {"),
        ("src/a.rs", "const SPREAD: u64 = 1;"),
        ("docs/man/a.1", "there is too little room in it"),
        ("README.md", "A suspect is left alone."),
    ] {
        assert_eq!(of(file, text), 1, "{file}: {text}");
    }
    for (file, text) in [
        ("src/a.rs", "/// Whether the account is in trouble.\nfn is_in_trouble() {}"),
        ("src/a.rs", "#[serde(rename = \"trouble\")]"),
        ("src/schedule/queue/place.rs", "pub(super) struct Place {"),
        ("src/a.rs", "// struct Place\nlet place = Placement::At;"),
    ] {
        assert_eq!(of(file, text), 0, "{file}: {text}");
    }
}
