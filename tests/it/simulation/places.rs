//! Disks that cannot sync, and disks that are missing.

use std::path::Path;

use mailferry::exit::ExitStatus;

use super::disk::look;
use super::fault::{Fault, FaultKind};
use super::jobs::do_all;
use super::power::Survival;
use super::script::{Act, OWN, odd_servers, ordinary};
use super::verdict::{Rehearsal, Stage, Verdict, check_good};
use super::world::{Reader, World, runtime};

#[test]
fn where_nothing_can_be_synced_everything_is_fetched_once_and_nothing_deleted() {
    let rehearsal = Rehearsal::with(ordinary(), |storage| storage.syncable = false);
    assert_eq!(rehearsal.left_on_server("gone"), ["g1", "g2", "g3"]);
    assert_eq!(rehearsal.left_on_server("aged"), ["a1", "a2"]);
    kill_everywhere(&rehearsal);
}

#[test]
fn nor_is_anything_deleted_there_that_has_no_unique_id() {
    let rehearsal = Rehearsal::with(odd_servers(), |storage| storage.syncable = false);
    assert_eq!(rehearsal.left_on_server("nameless"), ["n1", "n2", "n3"]);
    kill_everywhere(&rehearsal);
}

#[test]
fn where_the_states_directory_cannot_be_synced_nothing_is_deleted_either() {
    let rehearsal = Rehearsal::with(ordinary(), |storage| {
        let state = storage.make_dir(Path::new("/state/mailferry")).unwrap();
        storage.unsyncable = Some(state);
        storage.sync_all();
    });
    assert_eq!(rehearsal.left_on_server("gone"), ["g1", "g2", "g3"]);
    assert_eq!(rehearsal.left_on_server("aged"), ["a1", "a2"]);
}

/// If a file can have only one name, a crash may leave a message of which it is unknown whether it was delivered: it is
/// delivered again if a mail reader has moved it on, and is never deleted because of that.
#[test]
fn where_there_are_no_links_what_is_unknown_is_fetched_again() {
    let rehearsal = Rehearsal::with(ordinary(), |storage| storage.links = false);
    let mut jobs = Vec::new();
    for stage in &rehearsal.stages {
        jobs.extend((0..stage.log.len()).flat_map(|at| [(stage, at, false), (stage, at, true)]));
    }
    do_all(
        &jobs,
        |(stage, at, files)| {
            format!("no links, act {} (poll {}): Cut at {at}, filed: {files};", stage.act, stage.account)
        },
        |(stage, at, files), runtime| {
            let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
            let kind = FaultKind::Cut(Survival::Everything);
            let fault = Fault { at: *at, kind, seed: 0 };
            world.poll(stage.account, Some(fault));
            world.crash(fault);
            if *files {
                rehearsal.script.maildirs().for_each(|maildir| world.read(maildir, Reader::Files));
            }
            let polled = world.poll(stage.account, None);
            check_good("the poll that recovers", &polled)?;
            if polled.report.recovered.again > 0 && !files {
                return Err("a file that nobody has moved is known".to_owned());
            }
            rehearsal.finish_with_copies(&mut world, stage, polled.report.recovered.again)
        },
    );
}

#[test]
fn a_maildir_is_recognised_where_inode_numbers_do_not_last() {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    look(&world.machine).storage.lasting = false;
    for (uid, again) in [("g1", true), ("g2", true), ("g3", false)] {
        world.act(Act::Mail("gone", uid, 90));
        check_good(uid, &world.poll("gone", None)).unwrap();
        if again {
            look(&world.machine).storage.mount_again(Path::new(OWN));
        }
    }
    // Another directory in its place has no such marker.
    let storage = |act: &dyn Fn(&mut super::storage::Storage)| act(&mut look(&world.machine).storage);
    storage(&|storage| {
        let other = storage.new_dir();
        storage.mount(Path::new(OWN), Some(other));
        for part in ["tmp", "new", "cur"] {
            storage.make_dir(&Path::new(OWN).join(part)).unwrap();
        }
    });
    assert_eq!(world.poll("gone", None).report.exit_status(), ExitStatus::Local);
}

fn kill_everywhere(rehearsal: &Rehearsal) {
    let mut jobs = Vec::new();
    for stage in &rehearsal.stages {
        jobs.extend((0..stage.log.len()).map(|at| (stage, at)));
    }
    do_all(
        &jobs,
        |(stage, at)| format!("unsyncable, act {} (poll {}): Kill at {at};", stage.act, stage.account),
        |(stage, at), runtime| {
            let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
            world.poll(stage.account, Some(Fault { at: *at, kind: FaultKind::Kill, seed: 0 }));
            let polled = world.poll(stage.account, None);
            check_good("the poll that recovers", &polled)?;
            let recovered = polled.report.recovered;
            if recovered.finished + recovered.found > 0 && !polled.report.unsyncable {
                return Err("a poll that delivered what a power cut may take away does not say so".to_owned());
            }
            rehearsal.finish(&mut world, stage)
        },
    );
}

/// Returns the second poll of the account that deletes.
fn second_poll(rehearsal: &Rehearsal) -> &Stage {
    rehearsal.stages.iter().filter(|stage| stage.account == "gone").nth(1).unwrap()
}

/// Polls while the Maildir is missing: nothing may happen, neither on the server nor on the disk.
fn poll_without_maildir(world: &mut World<'_>, empty: bool) -> Verdict {
    let path = Path::new(OWN);
    let mounted = {
        let storage = &mut look(&world.machine).storage;
        let other = empty.then(|| storage.new_dir());
        if let Some(other) = other {
            let mounted = storage.mount(path, Some(other));
            for part in ["tmp", "new", "cur"] {
                storage.make_dir(&path.join(part)).unwrap();
            }
            mounted
        } else {
            storage.mount(path, None)
        }
    };
    let polled = world.poll("gone", None);
    look(&world.machine).storage.mount(path, mounted);
    let (status, writes) = (polled.report.exit_status(), polled.process.writes());
    if status != ExitStatus::Local || polled.sent > 0 || !writes.is_empty() {
        return Err(format!("status {status:?}, {} bytes of the server, writes {writes:?}", polled.sent));
    }
    Ok(())
}

#[test]
fn while_the_maildir_is_not_mounted_nothing_is_concluded() {
    let rehearsal = Rehearsal::new(ordinary());
    let stage = second_poll(&rehearsal);
    let mut jobs = vec![(None, false), (None, true)];
    jobs.extend((0..stage.log.len()).flat_map(|at| [(Some(at), false), (Some(at), true)]));
    do_all(
        &jobs,
        |(at, empty)| format!("Kill at {at:?}, then an empty directory: {empty};"),
        |(at, empty), runtime| {
            let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
            if let Some(at) = *at {
                world.poll(stage.account, Some(Fault { at, kind: FaultKind::Kill, seed: 0 }));
            }
            poll_without_maildir(&mut world, *empty)?;
            check_good("the poll behind it", &world.poll(stage.account, None))?;
            rehearsal.finish(&mut world, stage)
        },
    );
}

#[test]
fn a_script_takes_the_same_course_every_time() {
    let (first, second) = (Rehearsal::new(ordinary()), Rehearsal::new(ordinary()));
    let logs = |rehearsal: &Rehearsal| rehearsal.stages.iter().map(|stage| stage.log.clone()).collect::<Vec<_>>();
    assert_eq!(logs(&first), logs(&second));
}
