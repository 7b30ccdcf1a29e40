//! The journal of a forwarder: any bytes are read or refused. What is read and rewritten says the same of every message,
//! in as few records as it takes.
//!
//! The input is also taken as lines of records, which get the header and the commit records that a file needs: no
//! mutation finds a checksum.

#![no_main]

#[path = "../batches.rs"]
mod batches;

use std::collections::BTreeSet;

use batches::{append_batches, commit};
use libfuzzer_sys::fuzz_target;
use mailferry::forward::journal::Read;
use mailferry::state::record::{ForwardRecord, Record};

const MAGIC: &[u8] = b"mailferry-uids 2\n";
const HEADER: &[u8] = b"H 209bef719ce334cf 1795705070 127.0.0.1 jo";

fuzz_target!(|input: &[u8]| {
    let _ = Read::parse(input);
    let mut file = MAGIC.to_vec();
    commit(&mut file, &[HEADER]);
    append_batches(&mut file, input);
    let Ok(read) = Read::parse(&file) else { return };
    let known = of(&read);
    let rewritten = of(&again(&read));
    assert_eq!(rewritten, least(known));
    assert_eq!(of(&again(&again(&read))), rewritten, "it is the same from then on");
});

/// Rewrites a journal and reads it.
fn again(read: &Read) -> Read {
    let lines: Vec<Vec<u8>> = read.records().map(|record| line(&record)).collect();
    let mut file = MAGIC.to_vec();
    commit(&mut file, &lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
    Read::parse(&file).expect("a journal that was written is read")
}

/// What is recorded of messages.
fn of(read: &Read) -> Vec<ForwardRecord> {
    let of_message = |record| match record {
        Record::Forwarding(record) => Some(record),
        _ => None,
    };
    read.records().filter_map(of_message).collect()
}

/// Leaves out what no longer matters: all else of a message that has arrived, and the intent to append one that was set
/// aside.
fn least(records: Vec<ForwardRecord>) -> Vec<ForwardRecord> {
    let names = |is: &dyn Fn(&ForwardRecord) -> Option<&String>| -> BTreeSet<String> {
        records.iter().filter_map(is).cloned().collect()
    };
    let arrived = names(&|record| match record {
        ForwardRecord::Arrived { name, .. } | ForwardRecord::WasThere { name, .. } => Some(name),
        _ => None,
    });
    let set_aside = names(&|record| match record {
        ForwardRecord::SetAside { name, .. } => Some(name),
        _ => None,
    });
    let matters = |record: &ForwardRecord| match record {
        ForwardRecord::Arrived { .. } | ForwardRecord::WasThere { .. } => true,
        ForwardRecord::Intent(intent) => !arrived.contains(&intent.name) && !set_aside.contains(&intent.name),
        ForwardRecord::SetAside { name, .. }
        | ForwardRecord::Refused { name, .. }
        | ForwardRecord::TryFailed { name, .. }
        | ForwardRecord::Released(name) => !arrived.contains(name),
    };
    records.into_iter().filter(matters).collect()
}

fn line(record: &Record) -> Vec<u8> {
    let mut line = Vec::new();
    record.write(&mut line);
    line
}
