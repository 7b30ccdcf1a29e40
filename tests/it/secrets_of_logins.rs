//! Nothing of a login's credentials is visible: not in `/proc`, not in the log at its highest level, not in stored
//! files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;

use crate::certificates::{Authority, Kind};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, PASSWORD, USER};

/// Anything shorter, in bytes, may occur by chance.
const SHORTEST: usize = 8;

/// The password, its base64 forms, alone and within something else, and its hexadecimal form.
fn forms() -> Vec<String> {
    let mut forms = vec![PASSWORD.to_owned(), PASSWORD.bytes().map(|octet| format!("{octet:02x}")).collect()];
    for before in 0..3 {
        let encoded = BASE64_STANDARD.encode(["x".repeat(before).as_str(), PASSWORD].concat());
        // The first and the last characters also depend on what is next to it.
        let whole = encoded.get(4..encoded.len() - 4).unwrap();
        forms.push(whole.to_owned());
    }
    forms
}

/// Returns what the client of a session sent to log in: responses as sent and decoded, arguments, digests.
fn said(lines: &[String]) -> Vec<String> {
    let mut said = Vec::new();
    let mut responses = false;
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "AUTH" => {
                said.extend(rest.split(' ').nth(1).map(str::to_owned));
                responses = true;
            }
            "PASS" => said.push(rest.to_owned()),
            "APOP" => said.extend(rest.split(' ').next_back().map(str::to_owned)),
            "CAPA" | "STAT" | "UIDL" | "LIST" | "UTF8" | "USER" | "QUIT" | "RETR" | "NOOP" => responses = false,
            _ if responses => said.push(line.clone()),
            _ => {}
        }
    }
    let decoded: Vec<String> = said
        .iter()
        .filter_map(|line| BASE64_STANDARD.decode(line).ok())
        .flat_map(|octets| {
            let text = String::from_utf8_lossy(&octets).into_owned();
            // The parts that a server checks: the digest after the name, the proof, the token.
            let parts = text.split(['\0', '\x01', ' ', ',']).map(str::to_owned).collect::<Vec<_>>();
            parts.into_iter().map(|part| part.strip_prefix("p=").unwrap_or(&part).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let all = said.into_iter().chain(decoded);
    let harmless = |text: &str| {
        // The user and the server, and the beginning of SCRAM, are no secret.
        text.contains(USER)
            || text.len() < SHORTEST
            || text.starts_with("host=")
            || text.starts_with("r=")
            || text == BASE64_STANDARD.encode(USER)
    };
    all.filter(|text| !harmless(text)).collect()
}

/// Returns everything about a process that its own user, and in part all users, can read.
fn proc(pid: u32) -> String {
    let mut all = String::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().map(|entry| entry.path());
    for dir in tasks.chain([format!("/proc/{pid}").into()]) {
        for name in ["cmdline", "environ", "comm", "stat", "status", "wchan", "maps", "limits"] {
            // A process that forbids core dumps hides some of it from its own user.
            all += &String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap_or_default());
        }
    }
    assert!(all.contains("mailferry"), "nothing can be read in /proc");
    all
}

/// A maildrop with one message, the home of its account, and the password file. The password is in a file, so that the
/// configuration can be searched, too.
fn home(auth: &str, sasl: &str, tls: Option<&Authority>) -> (Maildrop, TestEnv, PathBuf) {
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.greeting = "+OK <16184.1473445882@mail.example.org>".to_owned();
        behaviour.capabilities = Some(vec!["USER".to_owned(), format!("SASL {sasl}")]);
        behaviour.tls = tls.map(|authority| authority.server_config(Kind::Good));
        behaviour.implicit_tls = tls.is_some();
    });
    let account = Account::at(maildrop.server.address).text("auth", auth);
    let account = if let Some(authority) = tls { account.tls("implicit", &authority.ca_file) } else { account };
    let env = TestEnv::in_memory(&[account.without("password").text("password_file", "password")]);
    let password = env.path("password");
    fs::write(&password, PASSWORD).unwrap();
    fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = fs::read_to_string(env.path("config.toml")).unwrap();
    env.write_config(&config.replace("\"password\"", &format!("{password:?}")), 0o600);
    (maildrop, env, password)
}

/// Returns the writable memory of a process. None without the permission.
fn memory(pid: u32) -> Option<Vec<u8>> {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next()?.split_once('-')?, words.next()?);
        let [from, to] = [range.0, range.1].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut part = vec![0; usize::try_from(to - from).unwrap()];
        if rights.starts_with("rw") && memory.read_exact_at(&mut part, from).is_ok() {
            all.extend(part);
        }
    }
    Some(all)
}

/// Returns those of the texts that occur.
fn found<'a>(texts: &'a [String], memory: &[u8]) -> Vec<&'a String> {
    let begins: Vec<u8> = texts.iter().map(|text| text.as_bytes()[0]).collect();
    let places = memory.iter().enumerate().filter(|(_, octet)| begins.contains(octet));
    places.filter_map(|(at, _)| texts.iter().find(|text| memory[at..].starts_with(text.as_bytes()))).collect()
}

#[test]
fn between_polls_the_memory_of_a_daemon_holds_no_password() {
    for (auth, name) in [
        ("user", "PLAIN"),
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("cram-md5", "CRAM-MD5"),
        ("scram-sha-256", "SCRAM-SHA-256"),
        ("xoauth2", "XOAUTH2"),
    ] {
        let (_maildrop, env, _) = home(auth, name, None);
        let daemon = env.spawn(&["daemon"]);
        let begun = Instant::now();
        while env.mail().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{name}: no mail comes");
            std::thread::sleep(Duration::from_millis(10)); // how often to check
        }
        // The session has not ended yet.
        loop {
            let Some(memory) = memory(daemon.pid()) else { return skip("it takes root to look into another process") };
            assert!(memory.len() > 1 << 20, "{}", memory.len());
            // The redactor of the log has it in lower case.
            let forms: Vec<String> = forms().into_iter().flat_map(|form| [form.to_ascii_lowercase(), form]).collect();
            let left = found(&forms, &memory);
            if left.is_empty() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{auth}: {left:?}");
            std::thread::sleep(Duration::from_millis(50)); // how often to check
        }
        daemon.signal(Signal::TERM);
        daemon.wait().expect(143);
    }
}

#[test]
fn no_part_of_a_login_shows_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for (auth, name, tls) in [
        ("user", "PLAIN", false),
        ("apop", "PLAIN", false),
        ("plain", "PLAIN", false),
        ("login", "LOGIN", false),
        ("cram-md5", "CRAM-MD5", false),
        ("scram-sha-1", "SCRAM-SHA-1", false),
        ("scram-sha-256", "SCRAM-SHA-256", false),
        ("scram-sha-256", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", true),
        ("xoauth2", "XOAUTH2", false),
        ("oauthbearer", "OAUTHBEARER", false),
    ] {
        let (maildrop, env, password) = home(auth, name, tls.then_some(&authority));
        let daemon = env.spawn(&["-vv", "daemon"]);
        let begun = Instant::now();
        while env.mail().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{name}: no mail comes");
            std::thread::sleep(Duration::from_millis(10)); // how often to check
        }
        let mut shown = vec![("/proc", proc(daemon.pid()))];
        shown.push(("status", env.run(&["status", "--json"]).expect(0).output()));
        daemon.signal(Signal::TERM);
        shown.push(("the log", daemon.wait().expect(143).output()));
        shown.push(("the log of a refused login", {
            fs::write(&password, format!("{PASSWORD}{PASSWORD}")).unwrap();
            env.run(&["-vv", "fetch"]).expect(77).output()
        }));
        shown.push(("check", env.run(&["-vv", "check"]).output()));
        fs::remove_file(&password).unwrap();
        let kept = env.everything().into_values().map(|content| String::from_utf8_lossy(&content).into_owned());
        shown.push(("a file", kept.collect()));

        maildrop.server.wait_until_idle();
        let sessions = maildrop.server.sessions();
        let said: Vec<String> = sessions.iter().flat_map(|session| said(&session.lines)).collect();
        assert!(!said.is_empty(), "{name}: nobody logged in");
        for secret in forms().iter().chain(&said) {
            for (place, text) in &shown {
                assert!(!text.contains(secret.as_str()), "{auth}: {secret:?} shows in {place}: {text}");
            }
        }
    }
}
