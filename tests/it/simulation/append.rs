//! A journal that continues after a failed append, within one process.

use std::path::Path;
use std::sync::Arc;

use mailferry::clock::Clock as _;
use mailferry::delivery::delivered_by;
use mailferry::disk::Disk;
use mailferry::pop3::UniqueId;
use mailferry::state::entries::ListedAs;
use mailferry::state::store::{OpenOptions, Store};

use super::disk::look;
use super::fault::{Errno, Fault, FaultKind, Operation};
use super::power::Survival;
use super::script::ordinary;
use super::world::{World, runtime};

/// The state directory.
const STATE: &str = "/state";

fn open(world: &mut World<'_>, fault: Option<Fault>) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(world.start(fault));
    let (now, since_1970) = (world.clock.read(), world.clock.since_1970());
    let (instance, holder, configured_accounts) = (mailferry::ids::InstanceId::new(7), String::new(), Arc::default());
    let open_options = OpenOptions {
        now,
        since_1970,
        instance,
        holder,
        new_state: false,
        must_exist: false,
        configured_accounts,
        delivered_by,
    };
    Store::open(disk, Path::new(STATE), world.script.account("keep"), &open_options).unwrap()
}

/// Records that a rule leaves this message on the server; returns whether that succeeded.
fn is_recorded(store: &mut Store, unique_id: &str) -> bool {
    let listed_as = ListedAs { unique_id: UniqueId::new(unique_id.as_bytes()).unwrap(), reported_size: None };
    store.record_skipped(vec![listed_as], mailferry::ids::RulesDigest::new(0), Vec::new()).is_ok()
}

/// Changes the state three times, the second time with a fault; returns which changes succeeded, and what is recorded
/// after a power cut.
fn three_changes(fault: Option<Fault>) -> (Vec<bool>, Vec<(Operation, String)>, Vec<String>) {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    let mut store = open(&mut world, None);
    store.rewrite().and_then(|()| store.finish()).unwrap();
    drop(store);
    let mut store = open(&mut world, fault);
    let done = ["first", "second", "third"].map(|unique_id| is_recorded(&mut store, unique_id)).to_vec();
    drop(store);
    let log = look(&world.machine).process.log.clone();
    look(&world.machine).storage.sync_all();
    world.cut_power(Survival::Everything, 0);
    let store = open(&mut world, None);
    let mut skipped: Vec<String> = store.state().skipped().map(|one| one.unique_id.to_string()).collect();
    skipped.sort();
    (done, log, skipped)
}

#[test]
fn what_failed_is_cut_off_and_what_follows_is_kept() {
    let (_, log, _) = three_changes(None);
    let writes = log.iter().enumerate().filter(|(_, (operation, _))| *operation == Operation::Write);
    let at = writes.map(|(at, _)| at).nth(1).unwrap();
    for kind in [FaultKind::FailInTheMiddle(Errno::Nospc), FaultKind::Fail(Errno::Io)] {
        let (done, _, recorded) = three_changes(Some(Fault { at, kind, seed: 0 }));
        assert_eq!(done, [true, false, true], "{kind:?}");
        assert_eq!(recorded, ["first", "third"], "{kind:?}");
    }
}

#[test]
fn where_what_failed_cannot_be_cut_off_nothing_follows() {
    let (_, log, _) = three_changes(None);
    let writes = log.iter().enumerate().filter(|(_, (operation, _))| *operation == Operation::Write);
    let at = writes.map(|(at, _)| at).nth(1).unwrap();
    let (done, _, recorded) = three_changes(Some(Fault { at, kind: FaultKind::FailUncut(Errno::Io), seed: 0 }));
    assert_eq!((done, recorded), (vec![true, false, false], vec!["first".to_owned()]));
}

#[test]
fn to_a_file_whose_name_could_not_be_synced_nothing_is_written() {
    let (script, runtime) = (ordinary(), runtime());
    let rewritten = |fault: Option<Fault>| {
        let mut world = World::new(&script, &runtime);
        open(&mut world, None).rewrite().unwrap();
        let mut store = open(&mut world, fault);
        let done = (store.rewrite().is_ok(), is_recorded(&mut store, "a"));
        let log = look(&world.machine).process.log.clone();
        (done, log)
    };
    let (done, log) = rewritten(None);
    assert_eq!(done, (true, true));
    let at = log.iter().rposition(|(operation, _)| *operation == Operation::SyncDir).unwrap();
    let (done, _) = rewritten(Some(Fault { at, kind: FaultKind::Fail(Errno::Io), seed: 0 }));
    assert_eq!(done, (false, false));
}
