use std::fs;
use std::sync::Arc;

use super::*;
use crate::delivery::bench::Bench;
use crate::delivery::publish::publish;
use crate::disk::RealDisk;
use crate::forward::journal::ForwardJournal;
use crate::state::entries::{Identity, Origin};
use crate::state::record::ForwardRecord;

/// Makes an account with messages in its spool. Returns the names of their files in the same order.
fn spooled(unique_ids: &[&str]) -> (Bench, Vec<String>) {
    let mut bench = Bench::new();
    bench.account.maildir = bench.state_dir().join("jo.spool");
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, unique_ids);
    let names = recorded.iter().map(|one| one.published_name().to_owned()).collect();
    let published = publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    store.record_published(&published.delivered).unwrap();
    store.settle().unwrap();
    (bench, names)
}

/// Opens the account's forwarder journal.
fn journal(bench: &Bench) -> ForwardJournal {
    let new =
        Identity { instance: crate::ids::InstanceId::new(1), host: "h".to_owned(), user: "jo".to_owned(), created: 0 };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    ForwardJournal::open(&disk, &bench.state_dir(), &bench.account.name, new).unwrap().unwrap()
}

fn arrived(name: &str) -> ForwardRecord {
    ForwardRecord::Arrived { name: name.to_owned(), whole: None, uid: None }
}

#[test]
fn what_is_in_the_spool_is_no_open_delivery_and_may_not_be_deleted() {
    let (bench, _) = spooled(&["a", "b"]);
    for rewritten in [false, true] {
        let mut store = bench.open().unwrap();
        assert_eq!((store.state().intents().count(), store.state().spooled().count()), (0, 2), "{rewritten}");
        assert_eq!(settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap(), Settled::default());
        store.rewrite().unwrap();
    }
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 2));
}

#[test]
fn what_has_arrived_leaves_the_spool_behind_the_record_of_it() {
    let (bench, names) = spooled(&["a", "b"]);
    journal(&bench).record(vec![arrived(&names[0])]).unwrap();
    let mut store = bench.open().unwrap();
    let settled = settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap();
    assert_eq!(settled, Settled { forwarded: 1, lost: 0, removed: 1 });
    assert_eq!(bench.files("new"), [names[1].clone()]);
    drop(store);
    let mut store = bench.open().unwrap();
    assert_eq!(store.state().spooled().count(), 1);
    assert_eq!(store.state().len(), 2, "it is remembered, so that it can be deleted on the server");
    assert_eq!(settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap(), Settled::default());
}

/// What the destination had before may be the very message on the server.
#[test]
fn what_the_destination_had_before_leaves_the_spool_and_counts_as_adopted() {
    let (bench, names) = spooled(&["a", "b"]);
    let record = ForwardRecord::WasThere { name: names[0].clone(), whole: None, uid: None };
    journal(&bench).record(vec![record]).unwrap();
    drop(journal(&bench));
    let mut store = bench.open().unwrap();
    let settled = settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap();
    assert_eq!(settled, Settled { forwarded: 1, lost: 0, removed: 1 });
    drop(store);
    let mut store = bench.open().unwrap();
    let origins = |store: &Store| {
        let entries = store.state().entries();
        let mut all: Vec<_> = entries.map(|one| (one.unique_id.clone().unwrap().to_string(), one.origin)).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    };
    assert_eq!(origins(&store), [("a".to_owned(), Origin::Adopted), ("b".to_owned(), Origin::Delivered)]);
    assert_eq!((store.state().spooled().count(), store.state().len()), (1, 2));
    assert_eq!(settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap(), Settled::default());
    assert_eq!(origins(&store).len(), 2);
}

#[test]
fn only_an_entry_in_the_spool_whose_own_file_has_arrived_was_forwarded() {
    let (bench, names) = spooled(&["a", "b"]);
    let mut store = bench.open().unwrap();
    let ledger = |store: &Store| look(&RealDisk, &store.path().with_extension("forward")).unwrap();
    assert!(ledger(&store).is_none(), "without a journal nothing is known");
    journal(&bench).record(vec![arrived(&names[1]), arrived("another")]).unwrap();
    let ledger = ledger(&store).unwrap();
    let forwarded = |store: &Store| -> Vec<bool> {
        store.state().entries().map(|entry| ledger.forwarded(entry).is_some()).collect()
    };
    assert_eq!(forwarded(&store), [false, true]);
    let mut on_its_way = store.state().entries().nth(1).unwrap().clone();
    on_its_way.intent.as_mut().unwrap().spooled = false;
    assert!(ledger.forwarded(&on_its_way).is_none(), "it is not known to be in the spool");
    settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap();
    assert_eq!(forwarded(&store), [false, false], "this is recorded, and needs no proof any more");
}

#[test]
fn a_file_that_outlived_the_record_goes_and_is_not_forwarded_again() {
    let (bench, names) = spooled(&["a"]);
    let file = bench.account.maildir.join("new").join(&names[0]);
    let bytes = fs::read(&file).unwrap();
    journal(&bench).record(vec![arrived(&names[0])]).unwrap();
    settle(&RealDisk, &mut bench.open().unwrap(), OtherMaildirPolicy::Refuse).unwrap();
    // A power cut before the directory was synced.
    fs::write(&file, bytes).unwrap();
    let mut journal = journal(&bench);
    journal.forget_all_but(|name| name == names[0]).unwrap();
    assert!(journal.ledger().has_arrived(&names[0]), "it is remembered as long as the file is there");
    drop(journal);
    let settled = settle(&RealDisk, &mut bench.open().unwrap(), OtherMaildirPolicy::Refuse).unwrap();
    assert_eq!(settled, Settled { forwarded: 0, lost: 0, removed: 1 });
    assert!(bench.files("new").is_empty());
}

#[test]
fn what_somebody_has_taken_is_forgotten_so_that_it_is_fetched_again() {
    let (bench, names) = spooled(&["a", "b"]);
    fs::remove_file(bench.account.maildir.join("new").join(&names[0])).unwrap();
    let mut store = bench.open().unwrap();
    assert_eq!(
        settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse).unwrap(),
        Settled { forwarded: 0, lost: 1, removed: 0 }
    );
    assert_eq!((store.state().len(), store.state().spooled().count()), (1, 1));
}

#[test]
fn an_open_intent_keeps_what_is_known_of_the_others() {
    let (bench, names) = spooled(&["a", "b"]);
    let intent = crate::state::record::AppendIntent {
        name: names[1].clone(),
        mailbox: "m".to_owned(),
        uid_validity: 1,
        uid_next: 5,
        count: Some(0),
    };
    let mut open = journal(&bench);
    open.record(vec![arrived("gone"), ForwardRecord::Intent(intent.clone())]).unwrap();
    assert_eq!(open.ledger().get(&names[1]).unwrap().intent.as_ref(), Some(&intent));
    open.forget_all_but(|name| names.contains(&name.to_owned())).unwrap();
    assert!(open.ledger().has_arrived("gone"), "the message that is looked for must not be taken for it");
    open.record(vec![arrived(&names[1])]).unwrap();
    open.forget_all_but(|name| names.contains(&name.to_owned())).unwrap();
    assert!(!open.ledger().has_arrived("gone") && open.ledger().has_arrived(&names[1]));
    drop(open);
    assert!(journal(&bench).ledger().has_arrived(&names[1]), "it is what the file says, too");
}

#[test]
fn one_forwarder_at_a_time_has_the_journal() {
    let (bench, _) = spooled(&["a"]);
    let first = journal(&bench);
    let new =
        Identity { instance: crate::ids::InstanceId::new(1), host: "h".to_owned(), user: "jo".to_owned(), created: 0 };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    assert!(ForwardJournal::open(&disk, &bench.state_dir(), &bench.account.name, new).unwrap().is_none());
    drop(first);
    journal(&bench);
}

#[test]
fn where_the_spool_is_gone_the_user_decides_and_what_was_in_it_is_fetched_again() {
    let (bench, _) = spooled(&["a", "b"]);
    let mut store = bench.open().unwrap();
    fs::remove_dir_all(store.spool()).unwrap();
    let refused = settle(&RealDisk, &mut store, OtherMaildirPolicy::Refuse);
    assert!(matches!(refused, Err(StateError::MaildirMissing { .. })), "a disk may not be mounted");
    let settled = settle(&RealDisk, &mut store, OtherMaildirPolicy::Accept).unwrap();
    assert!(settled.lost == 2 && store.state().spooled().next().is_none(), "{settled:?}");
}
