//! Every operation of the disk goes wrong, in every way.

use std::fmt;

use mailferry::exit::ExitStatus;
use tokio::runtime::Runtime;

use super::fault::{Errno, Fault, FaultKind, Operation};
use super::jobs::{do_all, seeds};
use super::power::Survival;
use super::script::{odd_servers, ordinary};
use super::verdict::{Rehearsal, Stage, Verdict, check_good, check_no_parts};
use super::world::{Polled, Reader, World};

/// One world.
struct Job<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    fault: Fault,
    /// What a mail reader does before mailferry runs again.
    reader: Reader,
    /// Whether the power is cut once more, right after the poll that recovered.
    cut: bool,
    /// What goes wrong in the poll that recovers.
    second: Option<Fault>,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, fault, reader, cut, second } = self;
        let (operation, what) = &stage.log[fault.at];
        write!(f, "{}, act {} (poll {}): ", rehearsal.script.name, stage.act, stage.account)?;
        write!(f, "{fault} ({operation:?} {what}), reader {reader:?}, cut {cut}")?;
        second.map_or(Ok(()), |second| write!(f, ", then {second};"))
    }
}

/// Every kind of fault that can meet this operation.
fn faults(operation: Operation, at: usize, seeds: u64) -> Vec<Fault> {
    use FaultKind::{Cut, Fail, FailDone, FailFromHere, FailInTheMiddle, Kill, ShortWrites};
    let partly = if operation == Operation::Write { 3 } else { 1 };
    let unsure = if operation == Operation::Sync { 2 } else { 1 };
    let kinds = [
        (Kill, partly),
        (Cut(Survival::Nothing), 1),
        (Cut(Survival::Everything), partly),
        (Cut(Survival::Zeros), 1),
        (Cut(Survival::DataOnly), 1),
        (Cut(Survival::Chance), seeds),
        (Fail(Errno::Io), unsure),
        (Fail(Errno::Nospc), unsure),
        (Fail(Errno::Dquot), 1),
        (Fail(Errno::Rofs), 1),
        (Fail(Errno::Intr), 1),
        (FailDone(Errno::Io), 1),
        (FailInTheMiddle(Errno::Nospc), 1),
        (FailFromHere(Errno::Nospc), unsure),
        (FailFromHere(Errno::Rofs), 1),
        (FailFromHere(Errno::Io), 1),
        (ShortWrites, 1),
    ];
    let fitting = kinds.into_iter().filter(|(kind, _)| kind.befits(operation));
    fitting.flat_map(|(kind, count)| (0..count).map(move |seed| Fault { at, kind, seed })).collect()
}

/// The crash, what follows and the end.
fn play(job: &Job<'_>, runtime: &Runtime) -> Verdict {
    let Job { rehearsal, stage, fault, reader, cut, second } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    meet(&mut world, stage.account, *fault)?;
    for maildir in rehearsal.script.maildirs() {
        world.read(maildir, *reader);
    }
    if let Some(second) = second {
        // It may have ended before it came to that.
        let _polled = meet(&mut world, stage.account, *second);
    }
    check_good("the poll that recovers", &world.poll(stage.account, None))?;
    if *cut {
        world.cut_power(Survival::Nothing, 0);
        let polled = world.poll(stage.account, None);
        check_good("the poll after the second cut", &polled)?;
        if polled.retrieved > 0 && !stage.account.contains("nameless") {
            return Err(format!("after the second cut {} messages were retrieved", polled.retrieved));
        }
    }
    rehearsal.finish(&mut world, stage)
}

/// A poll that meets a fault.
fn meet(world: &mut World<'_>, account: &str, fault: Fault) -> Verdict {
    let polled = world.poll(account, Some(fault));
    let Some(met) = &polled.process.met else { return Err("the fault was not met".to_owned()) };
    if !fault.kind.is_crash() {
        check_error(&polled, fault, met)?;
    }
    world.crash(fault);
    check_no_parts(world)
}

/// A poll that met an error must say so, unless the error is one that does not matter.
fn check_error(polled: &Polled, fault: Fault, met: &str) -> Verdict {
    let status = polled.report.exit_status();
    let expected = if fault.kind.is_harmless() { ExitStatus::Ok } else { ExitStatus::Local };
    // What another account remembers is only looked at to learn whether this one was renamed.
    let another = met.starts_with("Read") && !met.contains(polled.report.account.as_str());
    if status == expected || another {
        Ok(())
    } else {
        Err(format!("{met}: ended with {status:?}: {:?}", polled.report.end))
    }
}

fn each_fault<'a>(rehearsal: &'a Rehearsal, seeds: u64, mut job: impl FnMut(&'a Stage, Fault)) {
    for stage in &rehearsal.stages {
        for (at, (operation, _)) in stage.log.iter().enumerate() {
            faults(*operation, at, seeds).into_iter().for_each(|fault| job(stage, fault));
        }
    }
}

fn matrix(rehearsal: &Rehearsal) {
    let mut jobs = Vec::new();
    each_fault(rehearsal, seeds(2), |stage, fault| {
        let job = |reader, cut| Job { rehearsal, stage, fault, reader, cut, second: None };
        jobs.push(job(Reader::Idle, false));
        jobs.push(job(Reader::Idle, true));
        if fault.kind.is_crash() {
            jobs.push(job(Reader::Opens, true));
            jobs.push(job(Reader::Files, false));
        }
    });
    do_all(&jobs, ToString::to_string, play);
}

#[test]
fn every_operation_goes_wrong_in_every_way() {
    matrix(&Rehearsal::new(ordinary()));
}

#[test]
fn with_odd_servers_every_operation_goes_wrong_in_every_way() {
    matrix(&Rehearsal::new(odd_servers()));
}
