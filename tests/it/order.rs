//! The order that makes messages safe, seen from outside: file, directory and record are synced before the message is
//! published, and all of that before DELE is sent. `strace` is the witness.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use crate::delivered::files;
use crate::mail::small;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::{Body, Maildrop, Message};

/// A system call, with the lines of the trace where it began and where it had ended.
struct Call {
    /// Its name and arguments.
    text: String,
    /// The line where it began.
    began: usize,
    /// The line where it ended.
    ended: usize,
}

/// Whether system calls can be traced here.
fn can_trace() -> bool {
    Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
}

/// Returns the successful calls of a trace made with `-f -y`.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, (String, usize)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((pid, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(start) = text.strip_suffix("<unfinished ...>") {
            open.insert(pid, (start.to_owned(), number));
        } else if text.starts_with("<... ") {
            let Some((start, began)) = open.remove(pid) else { continue };
            calls.push(Call { text: format!("{start}{}", text.split_once('>').unwrap().1), began, ended: number });
        } else {
            calls.push(Call { text: text.to_owned(), began: number, ended: number });
        }
    }
    calls.retain(|call| !call.text.contains(" = -1 "));
    calls
}

/// Finds the first matching call at or after a line; returns the line where it ended.
#[track_caller]
fn next(calls: &[Call], after: usize, what: &str, fits: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().filter(|call| call.began > after && fits(&call.text)).min_by_key(|call| call.ended);
    found.unwrap_or_else(|| panic!("{what} does not follow line {after} of the trace")).ended
}

/// Whether a call syncs a file with such a path.
fn syncs(text: &str, path: &str) -> bool {
    (text.starts_with("fsync(") || text.starts_with("fdatasync(")) && text.contains(path)
}

/// Whether a call gives a file this name in `new/`, or any name if `name` is empty.
fn publishes(text: &str, name: &str) -> bool {
    text.starts_with("linkat(") && text.contains("/Mail/a/new>") && text.contains(name)
}

/// Checks the order of the calls for the message with this name in `new/`; `dele` is its command.
fn check_path(calls: &[Call], name: &str, dele: &str) {
    // In tmp/ its name lacks the size, which is not known before the end of the message.
    let staged = format!("/tmp/{}", name.rsplit_once(",S=").unwrap().0);
    let last_write = |path: &str, text: &str| {
        let writes =
            |call: &&Call| call.text.starts_with("write") && call.text.contains(path) && call.text.contains(text);
        calls.iter().filter(writes).map(|call| call.ended).max().unwrap_or_else(|| panic!("{path} is not written"))
    };
    let file = next(calls, last_write(&staged, ""), "fsync of the message", |text| syncs(text, &staged));
    let tmp = next(calls, file, "fsync of tmp/", |text| syncs(text, "/Mail/a/tmp>"));
    let speaks = |call: &&Call| call.text.starts_with("write(") && call.text.contains("/state/a.uids>");
    let intent = calls.iter().filter(speaks).find(|call| call.text.contains(name)).expect("the record is written");
    assert!(tmp < intent.began, "{name} is recorded before tmp/ is synced");
    let record = next(calls, intent.ended, "fsync of the record", |text| syncs(text, "/state/a.uids>"));
    let publish = calls.iter().find(|call| publishes(&call.text, name)).expect("it is linked");
    assert!(record < publish.began, "{name} is published before it is recorded");
    let published = next(calls, publish.ended, "fsync of new/", |text| syncs(text, "/Mail/a/new>"));
    let dele_began = calls.iter().find(|call| call.text.contains(dele)).expect("DELE was sent").began;
    assert!(published < dele_began, "{dele} leaves before new/ is synced");
    // The name in tmp/ proves that the file was delivered until the record of that is durable.
    let said = calls.iter().filter(speaks).find(|call| call.began > published).expect("it is recorded as published");
    let durable = next(calls, said.ended, "fsync of the record of it", |text| syncs(text, "/state/a.uids>"));
    let removes = |call: &&Call| {
        call.text.starts_with("unlinkat(")
            && call.text.contains("/Mail/a/tmp>")
            && call.text.contains(staged.trim_start_matches("/tmp/"))
    };
    let removed = calls.iter().find(removes).expect("its name in tmp/ goes");
    assert!(durable < removed.began, "{name} leaves tmp/ before it is recorded as published");
}

/// Checks that what was created for the first message survives a power cut, too: each directory, up to the home.
fn check_new_directories(calls: &[Call], home: &str) {
    let first_dele = calls.iter().find(|call| call.text.contains("DELE ")).expect("DELE was sent").began;
    for (made, parent) in
        [("/state", ""), ("/Mail", ""), ("/Mail/a", "/Mail"), ("/Mail/a/tmp", "/Mail/a"), ("/Mail/a/new", "/Mail/a")]
    {
        let makes = |call: &&Call| call.text.starts_with("mkdir") && call.text.contains(&format!("{home}{made}\""));
        let mkdir = calls.iter().find(makes).unwrap_or_else(|| panic!("{made} is not made")).ended;
        let what = format!("fsync of the directory that holds {made}");
        let synced = next(calls, mkdir, &what, |text| syncs(text, &format!("{home}{parent}>")));
        assert!(synced < first_dele, "DELE leaves before the {what}");
    }
    let replaces = |call: &&Call| call.text.starts_with("rename") && call.text.contains("/state>, \"a.uids\"");
    let state = calls.iter().find(replaces).expect("the state file is made");
    let content = next(calls, 0, "fsync of the new state file", |text| syncs(text, "/state/a.uids.new>"));
    assert!(content < state.began, "the state file has its name before its content is durable");
    let synced =
        next(calls, state.ended, "fsync of the state directory", |text| syncs(text, &format!("{home}/state>")));
    let first = calls.iter().find(|call| publishes(&call.text, "")).expect("messages are published").began;
    assert!(synced < first, "a message is published before the new state file is durable");
}

/// Returns the size of the largest batch: how many messages are published between two fsyncs of `new/`.
fn largest_batch(calls: &[Call]) -> usize {
    let (mut largest, mut current) = (0, 0);
    for call in calls {
        current += usize::from(publishes(&call.text, ""));
        if syncs(&call.text, "/Mail/a/new>") {
            largest = largest.max(std::mem::take(&mut current));
        }
    }
    largest
}

#[test]
fn dele_leaves_only_after_everything_is_safe() {
    if !can_trace() {
        crate::program::skip("strace is not installed or may not trace here");
        return;
    }
    // Some are too large to be written in one piece.
    let messages: Vec<_> = (1..=40)
        .map(|n| {
            Message::new(
                &format!("u{n}"),
                &[small(n), b"text\r\n".repeat(if n % 16 == 0 { 30_000 } else { 0 })].concat(),
            )
        })
        .collect();
    let maildrop = Maildrop::new(messages.clone());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    let out = env.path("trace");
    let traced =
        "trace=fsync,fdatasync,linkat,unlinkat,mkdir,mkdirat,rename,renameat,renameat2,write,writev,sendto,sendmsg";
    let strace = ["strace", "-f", "-y", "-s", "16384", "-e", traced, "-o", out.to_str().unwrap()];
    env.spawn_under(&strace, &["fetch"]).wait().expect(0);
    assert!(maildrop.left().is_empty());
    let trace = fs::read_to_string(&out).unwrap();
    let calls = calls(&trace);
    check_new_directories(&calls, env.path("").to_str().unwrap().trim_end_matches('/'));
    let delivered = files(&env.maildir("a").join("new"));
    assert_eq!(delivered.len(), messages.len());
    for path in delivered {
        let content = fs::read(&path).unwrap();
        let sent = |message: &Message| matches!(&message.body, Body::Bytes(bytes) if stored(bytes) == content);
        let number = messages.iter().position(sent).unwrap() + 1;
        check_path(&calls, path.file_name().unwrap().to_str().unwrap(), &format!("DELE {number}\\r\\n"));
    }
    assert!(largest_batch(&calls) > 1, "no batch had several messages");
}
