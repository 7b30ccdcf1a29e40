//! The documentation: the manual pages and the pages in docs/ describe everything there is, and every link works.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailferry::account_history::{Hour, PastPoll};
use mailferry::control::status::{
    AccountStatus, Came, Failure, Forwarding, Hold, PollCounts, Quarantine, SetAside, State, Status, Token,
    UnclaimedSpool, VERSION,
};
use mailferry::exit::ExitStatus;
use mailferry::schedule::Cause;
use mailferry::state::entries::QuarantineReason;
use serde_json::Value;

use crate::program::{Account, TestEnv, skip};

mod evidence;

/// Every exit status of the program itself.
const STATUSES: [ExitStatus; 11] = [
    ExitStatus::Ok,
    ExitStatus::Partial,
    ExitStatus::Usage,
    ExitStatus::Tls,
    ExitStatus::Local,
    ExitStatus::Temporary,
    ExitStatus::Protocol,
    ExitStatus::Auth,
    ExitStatus::Config,
    ExitStatus::Interrupted,
    ExitStatus::Terminated,
];

/// Returns a path in the project's directory.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the text of a file of the project.
#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns the help of a command, or of the program.
fn help(env: &TestEnv, command: Option<&str>) -> String {
    let words: Vec<&str> = command.into_iter().flat_map(|words| words.split(' ')).chain(["--help"]).collect();
    env.run(&words).expect(0).stdout
}

/// Returns the commands listed in a help text.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    list.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// Returns the options listed in a help text, with their hyphens, and the values listed for them.
fn options(help: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in help.lines().map(str::trim) {
        if let Some(value) = line.strip_prefix("- ") {
            found.insert(value.split(':').next().unwrap().to_owned());
        }
        if line.starts_with('-') {
            let words = line.split([' ', ',', '.']).take_while(|word| word.is_empty() || word.starts_with('-'));
            found.extend(words.filter(|word| !word.trim_start_matches('-').is_empty()).map(str::to_owned));
        }
    }
    found
}

/// Whether an mdoc page mentions an option, a value or a command.
fn is_in_page(page: &str, word: &str) -> bool {
    let name = word.strip_prefix('-').map_or(word.to_owned(), |name| name.replacen('-', "\\-", 1));
    let kind = if word.starts_with('-') { "Fl" } else { "Cm" };
    let requests = page.lines().filter(|line| line.starts_with(".It "));
    requests.flat_map(|line| line.split(" , ")).any(|item| {
        let item = item.trim_start_matches(".It ");
        item.strip_prefix(kind).is_some_and(|rest| rest.split_whitespace().next() == Some(name.as_str()))
    })
}

/// What the manual pages say in short is what the pages say at length.
#[test]
fn the_manual_of_the_configuration_has_the_same_bounds_and_events_as_the_pages() {
    let (manual, page) = (read("docs/man/mailferry.toml.5"), read("docs/configuration.md"));
    for text in [&manual, &page] {
        assert!(text.contains("at most 64 MiB long"));
        assert!(text.to_lowercase().contains("at most eight"), "how many commands run at the same time");
    }
    let events = page.split("\n| event |").nth(1).unwrap().lines().skip(2).map_while(|line| line.strip_prefix("| `"));
    let events: Vec<&str> = events.map(|line| line.split('`').next().unwrap()).collect();
    assert!(events.contains(&"test") && events.len() > 8, "{events:?}");
    let manual = manual.replace("\\-", "-");
    let told = manual.split(".It Ev MAILFERRY_EVENT").nth(1).unwrap().split(".It Ev").next().unwrap();
    let is_told = |event: &&str| told.lines().any(|line| line.split([' ', ',']).nth(1) == Some(*event));
    let missing: Vec<&str> = events.into_iter().filter(|event| !is_told(event)).collect();
    assert!(missing.is_empty(), "mailferry.toml.5 does not speak of {missing:?}");
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let env = TestEnv::new(&[Account::at(([127, 0, 0, 1], 1).into())]);
    let page = read("docs/man/mailferry.1");
    let general = help(&env, None);
    let commands = commands(&general);
    assert!(commands.len() >= 5 && commands.contains(&"daemon".to_owned()), "{commands:?}");
    let mut words: BTreeSet<String> = options(&general);
    for command in &commands {
        words.insert(command.clone());
        if command != "help" {
            let its_help = help(&env, Some(command));
            words.extend(options(&its_help));
            // Its own subcommands.
            let below = if its_help.contains("Commands:\n") { self::commands(&its_help) } else { Vec::new() };
            for one in below.iter().filter(|one| *one != "help") {
                words.insert(one.clone());
                words.extend(options(&help(&env, Some(&format!("{command} {one}")))));
            }
        }
    }
    for known in ["-q", "--log-format", "journald", "--accept-maildir", "--watch", "--from-maildir", "thunderbird"] {
        assert!(words.contains(known), "{known} is not found in the help: {words:?}");
    }
    let missing: Vec<&String> = words.iter().filter(|word| !is_in_page(&page, word)).collect();
    assert!(missing.is_empty(), "mailferry.1 does not speak of {missing:?}");
    assert!(!is_in_page(&page, "--no-such-option") && !is_in_page(&page, "sing"));
}

#[test]
fn the_manual_page_of_the_configuration_has_every_key_and_its_default() {
    let page = read("docs/man/mailferry.toml.5");
    let mut tried = 0;
    let (mut table, mut keys) = (String::new(), BTreeSet::new());
    for line in read("config/mailferry.reference.toml").lines() {
        if line.starts_with('[') {
            line.clone_into(&mut table);
        }
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let Some(name) = [key.strip_prefix('#'), Some(key)].into_iter().flatten().next() else { continue };
        if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            continue;
        }
        keys.insert(name.to_owned());
        let item = page.split(&format!(".It Li {name}\n")).nth(1);
        let item = item.unwrap_or_else(|| panic!("mailferry.toml.5 does not speak of {name}"));
        let item = item.split("\n.It ").next().unwrap();
        // A value in force is the default; the keys of an account are examples.
        if key == name && !table.starts_with("[accounts") {
            let value = value.trim_matches('"');
            assert!(
                item.contains(value),
                "mailferry.toml.5 does not say that the default of {name} is {value}: {item}"
            );
            tried += 1;
        }
    }
    assert!(keys.len() >= 25 && tried >= 9, "{} {tried}", keys.len());
}

#[test]
fn the_manual_pages_are_well_formed() {
    for page in ["docs/man/mailferry.1", "docs/man/mailferry.toml.5"] {
        let Ok(output) = Command::new("groff").args(["-mandoc", "-ww", "-z"]).arg(project(page)).output() else {
            return skip("groff is not installed");
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("can't find macro file") {
            return skip("groff is installed without mdoc");
        }
        assert!(output.status.success() && said.is_empty(), "{page}: {said}");
    }
}

#[test]
fn every_exit_status_is_told_of() {
    let manual = read("docs/man/mailferry.1");
    for status in STATUSES {
        let code = status.code().to_string();
        for (page, heading) in [("README.md", "\n## Exit status\n"), ("docs/operations.md", "\n### Exit statuses\n")] {
            let text = read(page);
            let section = text.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
            let mut cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
            assert!(cells.any(|cell| cell.split(", ").any(|number| number == code)), "{page} does not speak of {code}");
        }
        let mut items = manual.lines().filter_map(|line| line.strip_prefix(".It "));
        assert!(items.any(|item| item.split(" , ").any(|number| number == code)), "mailferry.1 lacks {code}");
    }
}

#[test]
fn every_cause_of_failure_is_told_of_with_its_waits_and_what_to_do() {
    let page = read("docs/operations.md");
    for cause in Cause::ALL {
        let name = format!("`{}`", cause.name());
        let rows =
            page.lines().filter(|line| line.starts_with("| `") && line.split('|').nth(1).unwrap().contains(&name));
        assert!(rows.count() >= 2, "docs/operations.md does not speak of {name} in both tables");
    }
}

/// Collects the keys of an object and of all objects in it.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            keys(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// A forwarding state with every field.
fn full_forwarding() -> Forwarding {
    Forwarding {
        to: "t".to_owned(),
        running: false,
        counted: Some(1),
        messages: 1,
        octets: 2,
        oldest: None,
        why: None,
        since: None,
        next_try: None,
        forwarded: 3,
        last_forwarded: None,
        set_aside: 1,
        first_set_aside: vec![SetAside {
            name: "n".to_owned(),
            unique_id: None,
            octets: 1,
            since: 1,
            reason: "r".to_owned(),
        }],
        spool_full: false,
        stranded: false,
    }
}

/// A status with every field.
fn full_status() -> Status {
    let came = Came { messages: 1, octets: 2 };
    let account = AccountStatus {
        account: "a".to_owned(),
        host: "h".to_owned(),
        maildir: "/m".to_owned(),
        state: State::Failing,
        last_poll: None,
        last_success: None,
        last_new_mail: None,
        next_poll: None,
        next_poll_why: String::new(),
        today: came,
        total: came,
        on_server: None,
        too_large: 0,
        quarantine: vec![Quarantine {
            unique_id: "u".to_owned(),
            kind: QuarantineReason::BrokeSession,
            times: 1,
            until: 2,
        }],
        failure: Some(Failure { cause: Cause::ConnectionLost, times: 1, since: 2, text: "t".to_owned() }),
        hung_since: None,
        held: Some(Hold { since: 1, text: "t".to_owned() }),
        this_poll: Some(came),
        often_until: None,
        polls: PollCounts { succeeded: 1, failed: 2 },
        last_poll_milliseconds: Some(3),
        last_poll_octets: Some(4),
        last_poll_round_trips: Some(5),
        certificate_expires: Some(4),
        hours: vec![Hour { begun: 1, messages: 2, octets: 3, failed: 4 }],
        recent: vec![PastPoll {
            ended: 1,
            milliseconds: 2,
            messages: 3,
            octets: 4,
            round_trips: 5,
            cause: Some(Cause::Tls),
        }],
        forward: Some(full_forwarding()),
        token: Some(Token { signed_in: 1, renewed: 2, access_ends: None, sign_in_ends: None, end_is_fixed: false }),
    };
    Status {
        version: VERSION,
        program: "p".to_owned(),
        pid: 1,
        started: 2,
        now: 3,
        config: "/c".to_owned(),
        state_dir: "/s".to_owned(),
        config_problem: None,
        unclaimed_spools: vec![UnclaimedSpool { account: "b".to_owned(), messages: 1, text: "t".to_owned() }],
        polling: 0,
        queued: 0,
        accounts: vec![account],
    }
}

#[test]
fn every_field_of_the_status_is_described() {
    let page = read("docs/operations.md");
    let section = page.split("\n### `status --json`\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(full_status()).unwrap(), &mut found);
    assert!(found.len() >= 30 && found.contains("until"), "{found:?}");
    for key in found {
        assert!(section.contains(&format!("`{key}`")), "docs/operations.md does not describe {key}");
    }
    for state in [State::New, State::Idle, State::Polling, State::Queued, State::Hung, State::Held, State::Failing] {
        let word = serde_json::to_value(state).unwrap();
        assert!(section.contains(&format!("`{}`", word.as_str().unwrap())), "{word}");
    }
    assert!(section.contains(&format!("`version` is {VERSION}.")), "its version is {VERSION}");
}

/// Returns the pages: those at the top, in docs/ and beside the units.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for dir in ["", "contrib", "docs", "systemd", "benches/peers"] {
        for entry in fs::read_dir(project(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                pages.push(Path::new(dir).join(name).to_str().unwrap().to_owned());
            }
        }
    }
    pages
}

/// Returns the lines of a page that are not code, and the code blocks in this language.
fn taken_apart(text: &str, language: &str) -> (Vec<String>, Vec<String>) {
    let (mut prose, mut blocks, mut inside) = (Vec::new(), Vec::new(), None::<(bool, String)>);
    for line in text.lines() {
        match (&mut inside, line.trim_start().strip_prefix("```")) {
            (None, Some(found)) => inside = Some((found == language, String::new())),
            (None, None) => prose.push(line.to_owned()),
            (Some(_), Some(_)) => {
                let (wanted, block) = inside.take().unwrap();
                blocks.extend(wanted.then_some(block));
            }
            (Some((_, block)), None) => block.extend([line, "\n"]),
        }
    }
    (prose, blocks)
}

/// Returns the anchor of a heading, by the rules of the usual forges.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for page in pages() {
        let (prose, _) = taken_apart(&read(&page), "");
        for link in prose.iter().flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let here = project(&page);
            let target = if path.is_empty() { here.clone() } else { here.parent().unwrap().join(path) };
            assert!(target.exists(), "{page}: {link} leads nowhere");
            if let Some(heading) = heading {
                let (lines, _) = taken_apart(&fs::read_to_string(&target).unwrap(), "");
                let mut headings = lines.iter().filter(|line| line.starts_with('#'));
                let leads = headings.any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(leads, "{page}: {link} leads to no heading");
            }
            followed += 1;
        }
    }
    assert!(followed > 80, "{followed}");
}

#[test]
fn every_whole_configuration_in_a_page_is_a_good_one() {
    let env = TestEnv::new(&[]);
    let mut tried = 0;
    for page in pages() {
        let (_, blocks) = taken_apart(&read(&page), "toml");
        for block in blocks.iter().filter(|block| block.contains("[accounts.")) {
            env.write_config(block, 0o600);
            // The configuration is read before a daemon is looked for.
            let outcome = env.run(&["status"]);
            assert_eq!(outcome.status, 75, "{page}: {outcome:?}");
            tried += 1;
        }
    }
    assert!(tried >= 2, "{tried}");
}

#[test]
fn every_fuzz_target_is_built_and_told_of() {
    let (manifest, page) = (read("fuzz/Cargo.toml"), read("docs/testing.md"));
    let targets = fs::read_dir(project("fuzz/fuzz_targets")).unwrap().map(|entry| entry.unwrap().path());
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"\n")), "{name} is not in fuzz/Cargo.toml");
        assert!(page.contains(&format!("\n| `{name}` | ")), "{name} is not in docs/testing.md");
        assert!(project("fuzz/seeds").join(&name).is_dir(), "{name} has no seeds");
    }
}
