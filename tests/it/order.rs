//! The order that makes it safe, seen from outside: file, directory and record are synced before the message is
//! published, and all of it before DELE leaves. `strace` is the witness.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use crate::delivered::files;
use crate::mail::small_ones;
use crate::program::{Account, TestEnv};
use crate::raw::stored;
use crate::scripted::maildrop::Maildrop;

/// A system call with the lines of the trace at which it began and had ended.
struct Call {
    /// The name and the arguments.
    text: String,
    /// The line of its beginning.
    began: usize,
    /// The line of its end.
    ended: usize,
}

/// Whether calls can be traced here.
fn can_trace() -> bool {
    Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
}

/// The successful calls of a trace made with `-f -y`.
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

/// The first call at or after a line that fits; where it ended.
#[track_caller]
fn next(calls: &[Call], after: usize, what: &str, fits: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().filter(|call| call.began > after && fits(&call.text)).min_by_key(|call| call.ended);
    found.unwrap_or_else(|| panic!("{what} does not follow line {after} of the trace")).ended
}

/// Whether a call syncs a file of such a path.
fn syncs(text: &str, path: &str) -> bool {
    (text.starts_with("fsync(") || text.starts_with("fdatasync(")) && text.contains(path)
}

#[test]
fn dele_leaves_only_after_everything_is_safe() {
    if !can_trace() {
        crate::program::skip("strace is not installed or may not trace here");
        return;
    }
    let messages = small_ones(6);
    let maildrop = Maildrop::new(messages.clone());
    let env = TestEnv::new(&[Account::at(maildrop.server.address).deleting()]);
    let out = env.path("trace");
    let traced = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,write,writev,sendto,sendmsg,openat";
    let strace = ["strace", "-f", "-y", "-s", "4096", "-e", traced, "-o", out.to_str().unwrap()];
    env.spawn_under(&strace, &["fetch"]).wait().expect(0);
    assert!(maildrop.left().is_empty());
    let trace = fs::read_to_string(&out).unwrap();
    let calls = calls(&trace);
    for path in files(&env.maildir("a").join("new")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let content = fs::read(&path).unwrap();
        let sent = |message: &crate::scripted::maildrop::Message| match &message.body {
            crate::scripted::maildrop::Body::Bytes(bytes) => stored(bytes) == content,
            crate::scripted::maildrop::Body::Lines(_) => false,
        };
        let number = messages.iter().position(sent).unwrap() + 1;
        let dele = format!("DELE {number}\\r\\n");
        let dele_began = calls.iter().find(|call| call.text.contains(&dele)).expect("DELE was sent").began;
        // In tmp/ it has the name without its size, which is not known before its end.
        let staged = format!("/tmp/{}", name.rsplit_once(",S=").unwrap().0);
        let publishes = |text: &str| {
            (text.starts_with("rename") || text.starts_with("link")) && text.contains(name) && text.contains("a/new")
        };
        let writes = |call: &&Call| call.text.starts_with("write") && call.text.contains(&staged);
        let written = calls.iter().filter(writes).map(|call| call.ended).max().expect("it is written");

        let file = next(&calls, written, "fsync of the message", |text| syncs(text, &staged));
        let tmp = next(&calls, file, "fsync of tmp/", |text| syncs(text, "/Mail/a/tmp>"));
        let record = next(&calls, tmp, "fsync of the record", |text| syncs(text, "/state/a.uids>"));
        let publish = calls.iter().find(|call| publishes(&call.text)).expect("it is renamed");
        assert!(record < publish.began, "{name} is published before it is recorded");
        let published = next(&calls, publish.ended, "fsync of new/", |text| syncs(text, "/Mail/a/new>"));
        assert!(published < dele_began, "DELE {number} leaves before new/ is synced");
    }
}
