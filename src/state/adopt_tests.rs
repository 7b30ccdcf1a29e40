use super::*;
use crate::delivery::bench::Bench;
use crate::message::HeaderDigester;
use crate::state::proofs_tests::Renamed;

fn known(unique_id: &str) -> Known {
    Known::by_name(UniqueId::new(unique_id.as_bytes()).unwrap(), KnownBy::Import, Some(7))
}

#[test]
fn what_is_recorded_is_there_the_next_time_and_is_recorded_once() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    assert_eq!(store.back_up().unwrap(), None, "there is nothing yet");
    assert_eq!(store.record_known(vec![known("a"), known("b"), known("a")]).unwrap(), 2);
    drop(store);
    let mut store = bench.open().unwrap();
    assert_eq!(store.record_known(vec![known("b"), known("c")]).unwrap(), 1);
    let entries: Vec<_> = store.state().entries().map(|entry| (entry.origin, entry.delivered_at)).collect();
    assert_eq!(entries, [(Origin::Imported, 7); 3]);
    let copy = store.back_up().unwrap().unwrap();
    let again = store.back_up().unwrap().unwrap();
    assert_ne!(copy, again);
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(store.path()).unwrap());
    assert_ne!(copy.extension().unwrap(), "uids", "it would be taken for a state");
}

#[test]
fn a_header_that_was_seen_is_remembered_and_another_spelling_is_no_doubt() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    store.record_known(vec![known("x-y")]).unwrap();
    let slashed = UniqueId::new(b"x/y").unwrap();
    let id = store.state().spelt_by_getmail(&slashed).unwrap().id;
    store.record_renamed(&[Renamed(id, slashed.clone())]).unwrap();
    let mut digester = HeaderDigester::default();
    digester.update(b"Message-ID: <a>\n\n");
    store.record_headers(vec![(id, digester.finish())]).unwrap();
    store.settle().unwrap();
    drop(store);
    let store = bench.open().unwrap();
    let entry = store.state().with_unique_id(&slashed).next().unwrap();
    assert!(!entry.doubt && entry.fingerprint.header.is_some_and(Digest::is_strong));
    assert!(store.state().spelt_by_getmail(&UniqueId::new(b"x/y/").unwrap()).is_none());
}

#[test]
fn a_header_that_was_weakened_shows_nothing_and_only_the_named_ones_are() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    store.record_known(vec![known("a"), known("b"), known("c")]).unwrap();
    let ids: Vec<EntryId> = store.state().entries().map(|entry| entry.id).collect();
    let mut digester = HeaderDigester::default();
    digester.update(b"Message-ID: <a>\n\n");
    let header = digester.finish();
    store.record_headers(vec![(ids[0], header), (ids[1], header)]).unwrap();
    store.weaken_headers(&[ids[2], ids[1], EntryId::new(99)]).unwrap();
    let headers: Vec<_> = store.state().entries().map(|entry| entry.fingerprint.header).collect();
    assert_eq!(headers, [Some(header), Some(header.weakened()), None]);
    assert!(!header.weakened().is_strong());
}
