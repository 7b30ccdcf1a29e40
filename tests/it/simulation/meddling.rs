//! Others change the same files while a poll runs: a cleaner, a user who moves the state, a mail reader.
//!
//! Whatever happens to the files, and at whichever operation, nothing is deleted on the server that is not stored, and
//! the next poll recovers.

use std::fmt;
use std::path::{Path, PathBuf};

use mailferry::exit::ExitStatus;
use tokio::runtime::Runtime;

use super::fault::{Errno, Fault, FaultKind, Meddler, Operation};
use super::jobs::do_all;
use super::script::{odd_servers, ordinary, routed, shared};
use super::storage::Storage;
use super::verdict::{Rehearsal, Stage, Verdict, check_good};
use super::world::World;

/// The directory of the states.
const STATE: &str = "/state/mailferry";
/// The temporary name of the state directory, or of a file in it.
const AWAY: &str = "away";

/// Changes the files.
pub(crate) fn meddle(storage: &mut Storage, meddler: Meddler) {
    match meddler {
        Meddler::CleansTmp => each_file(storage, Path::new("/mail"), "/tmp/", |storage, path| {
            storage.remove(path).unwrap();
        }),
        Meddler::FilesMail => each_file(storage, Path::new("/mail"), "/new/", |storage, path| {
            let _taken = storage.rename(path, &Path::new("/mail/read").join(path.file_name().unwrap()));
        }),
        Meddler::MovesState => each_file(storage, Path::new(STATE), ".uids", |storage, path| {
            if path.extension().is_some_and(|extension| extension == "uids") {
                storage.rename(path, &path.with_extension(AWAY)).unwrap();
            }
        }),
        Meddler::RemovesLocks => each_file(storage, Path::new(STATE), ".lock", |storage, path| {
            storage.remove(path).unwrap();
        }),
        Meddler::CopiesState => copy_state(storage),
    }
}

fn each_file(storage: &mut Storage, below: &Path, part: &str, mut act: impl FnMut(&mut Storage, &Path)) {
    let files: Vec<String> = storage.visible(below).into_iter().map(|(path, _)| path).collect();
    files.iter().filter(|path| path.contains(part)).for_each(|path| act(storage, Path::new(path)));
}

fn copy_state(storage: &mut Storage) {
    let dir = Path::new(STATE);
    let away = dir.with_extension(AWAY);
    if storage.find(dir).is_err() || storage.find(&away).is_ok() {
        return;
    }
    storage.replace(dir, &away).unwrap();
    storage.make_dir(dir).unwrap();
    for name in storage.list(&away).unwrap() {
        let bytes = storage.read(&away.join(&name)).unwrap().to_vec();
        let copy = storage.create(&dir.join(&name)).unwrap();
        storage.write(copy, &bytes);
    }
    storage.sync_all();
}

/// Puts the state files back.
fn put_back(storage: &mut Storage) {
    each_file(storage, Path::new(STATE), ".away", |storage, path| {
        let back: PathBuf = path.with_extension("uids");
        // A poll that found none may have created new ones; those that were moved count.
        storage.replace(path, &back).unwrap();
    });
}

struct Job<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    at: usize,
    meddler: Meddler,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, at, meddler } = self;
        let (operation, what) = &stage.log[*at];
        write!(f, "{}, act {} (poll {}): ", rehearsal.script.name, stage.act, stage.account)?;
        write!(f, "{meddler:?} before {at} ({operation:?} {what});")
    }
}

fn play(job: &Job<'_>, runtime: &Runtime) -> Verdict {
    let Job { rehearsal, stage, at, meddler } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    let kind = FaultKind::Meddle(*meddler);
    let polled = world.poll(stage.account, Some(Fault { at: *at, kind, seed: 0 }));
    let status = polled.report.exit_status();
    if !matches!(status, ExitStatus::Ok | ExitStatus::Local) {
        return Err(format!("it ended with {status:?}: {:?}", polled.report.end));
    }
    put_back(&mut super::disk::look(&world.machine).storage);
    // If the poll was interrupted by this, the next one may find something to finish; after that everything is as if
    // nothing had happened.
    world.poll(stage.account, None);
    rehearsal.finish(&mut world, stage)
}

fn meddle_everywhere(rehearsal: &Rehearsal, meddlers: &[Meddler]) {
    let mut jobs = Vec::new();
    for stage in &rehearsal.stages {
        for at in 0..stage.log.len() {
            jobs.extend(meddlers.iter().map(|meddler| Job { rehearsal, stage, at, meddler: *meddler }));
        }
    }
    do_all(&jobs, ToString::to_string, play);
}

#[test]
fn whoever_cleans_tmp_or_moves_the_state_costs_no_message() {
    use Meddler::{CleansTmp, CopiesState, FilesMail, MovesState, RemovesLocks};
    let meddlers = [CleansTmp, FilesMail, MovesState, RemovesLocks, CopiesState];
    meddle_everywhere(&Rehearsal::new(ordinary()), &meddlers);
}

#[test]
fn nor_where_the_server_takes_away_what_was_retrieved() {
    meddle_everywhere(&Rehearsal::new(odd_servers()), &[Meddler::CleansTmp, Meddler::FilesMail]);
}

/// A link into `new/` that is refused, before a backup by hard links runs.
struct Refusal<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    fault: Fault,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, fault } = self;
        write!(f, "{}, act {} (poll {}): {fault};", rehearsal.script.name, stage.act, stage.account)
    }
}

/// Gives each file in a `tmp/` a second name elsewhere.
fn back_up(storage: &mut Storage) {
    let backup = Path::new("/backup");
    storage.make_dir(backup).unwrap();
    each_file(storage, Path::new("/mail"), "/tmp/", |storage, path| {
        let copy = backup.join(path.display().to_string().replace('/', "_"));
        let (from, to) = (storage.slot(path).unwrap(), storage.slot(&copy).unwrap());
        storage.link(&from, to).unwrap();
    });
    storage.sync_all();
}

fn refuse(job: &Refusal<'_>, runtime: &Runtime) -> Verdict {
    let Refusal { rehearsal, stage, fault } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    let status = world.poll(stage.account, Some(*fault)).report.exit_status();
    if status != ExitStatus::Local {
        return Err(format!("it ended with {status:?}"));
    }
    back_up(&mut super::disk::look(&world.machine).storage);
    check_good("the poll that recovers", &world.poll(stage.account, None))?;
    rehearsal.finish(&mut world, stage)
}

#[test]
fn a_backup_by_hard_links_after_a_link_was_refused_is_no_delivery() {
    for rehearsal in [ordinary(), routed(), shared()].map(Rehearsal::new) {
        let mut jobs = Vec::new();
        for stage in &rehearsal.stages {
            let links = stage.log.iter().enumerate().filter(|(_, (operation, _))| *operation == Operation::Link);
            for (at, _) in links {
                let fault = |errno| Fault { at, kind: FaultKind::Fail(errno), seed: 0 };
                let refusal = |errno| Refusal { rehearsal: &rehearsal, stage, fault: fault(errno) };
                jobs.extend([Errno::Nospc, Errno::Dquot, Errno::Rofs].map(refusal));
            }
        }
        assert!(!jobs.is_empty());
        do_all(&jobs, ToString::to_string, refuse);
    }
}
