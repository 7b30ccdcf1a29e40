//! A journal that continues after a failed append, within one process.

use std::path::Path;
use std::sync::Arc;

use mailferry::clock::Clock as _;
use mailferry::delivery::delivered_by;
use mailferry::disk::Disk;
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

/// Changes the state three times, the second time with a fault; returns which changes succeeded, and what is recorded
/// after a power cut.
fn three_changes(fault: Option<Fault>) -> (Vec<bool>, Vec<(Operation, String)>, String) {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    let mut store = open(&mut world, None);
    store.rewrite().and_then(|()| store.finish()).unwrap();
    drop(store);
    let mut store = open(&mut world, fault);
    let mut done = Vec::new();
    for host in ["first.example.org", "second.example.org", "third.example.org"] {
        let mut account = script.account("keep").clone();
        Arc::make_mut(&mut account.endpoint).host = host.to_owned();
        done.push(store.record_host(&account, &[]).is_ok());
    }
    drop(store);
    let log = look(&world.machine).process.log.clone();
    look(&world.machine).storage.sync_all();
    world.cut_power(Survival::Everything, 0);
    let host = open(&mut world, None).state().identity().host.clone();
    (done, log, host)
}

#[test]
fn what_failed_is_cut_off_and_what_follows_is_kept() {
    let (_, log, _) = three_changes(None);
    let writes = log.iter().enumerate().filter(|(_, (operation, _))| *operation == Operation::Write);
    let at = writes.map(|(at, _)| at).nth(1).unwrap();
    for kind in [FaultKind::FailInTheMiddle(Errno::Nospc), FaultKind::Fail(Errno::Io)] {
        let (done, _, host) = three_changes(Some(Fault { at, kind, seed: 0 }));
        assert_eq!(done, [true, false, true], "{kind:?}");
        assert_eq!(host, "third.example.org", "{kind:?}");
    }
}

#[test]
fn where_what_failed_cannot_be_cut_off_nothing_follows() {
    let (_, log, _) = three_changes(None);
    let writes = log.iter().enumerate().filter(|(_, (operation, _))| *operation == Operation::Write);
    let at = writes.map(|(at, _)| at).nth(1).unwrap();
    let (done, _, host) = three_changes(Some(Fault { at, kind: FaultKind::FailUncut(Errno::Io), seed: 0 }));
    assert_eq!((done.as_slice(), host.as_str()), ([true, false, false].as_slice(), "first.example.org"));
}

#[test]
fn to_a_file_whose_name_could_not_be_synced_nothing_is_written() {
    let (script, runtime) = (ordinary(), runtime());
    let rewritten = |fault: Option<Fault>| {
        let mut world = World::new(&script, &runtime);
        open(&mut world, None).rewrite().unwrap();
        let mut store = open(&mut world, fault);
        let done = (store.rewrite().is_ok(), store.record_host(script.account("keep"), &[]).is_ok());
        let log = look(&world.machine).process.log.clone();
        (done, log)
    };
    let (done, log) = rewritten(None);
    assert_eq!(done, (true, true));
    let at = log.iter().rposition(|(operation, _)| *operation == Operation::SyncDir).unwrap();
    let (done, _) = rewritten(Some(Fault { at, kind: FaultKind::Fail(Errno::Io), seed: 0 }));
    assert_eq!(done, (false, false));
}
