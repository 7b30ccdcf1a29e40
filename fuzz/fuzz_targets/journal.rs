//! The file of a state: any bytes are read or refused. What is read makes a state, and the records that make the same
//! state once more are read as that.
//!
//! Bytes that are no file at all are taken as the lines of records, and get the commit records that a file needs: no
//! mutation finds a checksum.

#![no_main]

#[path = "../batches.rs"]
mod batches;

use batches::{append_batches, commit};
use libfuzzer_sys::fuzz_target;
use mailferry::state::Unreadable;
use mailferry::state::entries::UidState;
use mailferry::state::journal;
use mailferry::state::record::Record;

const MAGIC: &[u8] = b"mailferry-uids 2\n";

fuzz_target!(|input: &[u8]| {
    let _ = (journal::identity(input), UidState::read(input));
    let mut file = MAGIC.to_vec();
    append_batches(&mut file, input);
    let Ok(Some(state)) = UidState::read(&file) else { return };
    check(&state);
    // Cut off anywhere, it is read as far as it goes, or was never begun: a torn write is no damage.
    let cut = file.len() - input.len() % file.len();
    let torn = UidState::read(file.get(..cut).unwrap_or_default());
    assert!(matches!(torn, Ok(_) | Err(Unreadable::Journal(_))) && (cut < MAGIC.len() || torn.is_ok()), "{torn:?}");
});

fn check(state: &UidState) {
    let mut file = MAGIC.to_vec();
    let lines: Vec<Vec<u8>> = state.records().map(|record| line(&record)).collect();
    commit(&mut file, &lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let again = match UidState::read(&file) {
        Ok(Some(again)) => again,
        other => panic!("a state that was written is not read: {other:?}"),
    };
    // Quarantines stand in no order.
    let sorted = |state: &UidState| {
        let mut lines: Vec<Vec<u8>> = state.records().map(|record| line(&record)).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&again), sorted(state));
    assert_eq!(again.len(), state.len());
    for entry in state.entries() {
        assert_eq!(again.entry(entry.id), Some(entry));
        assert!(entry.id < state.next_id() || entry.id.get() == u64::MAX);
        if let Some(unique_id) = &entry.unique_id {
            assert!(state.ids_of(unique_id).contains(&entry.id));
        }
    }
}

fn line(record: &Record) -> Vec<u8> {
    let mut line = Vec::new();
    record.write(&mut line);
    line
}
