//! Every operation of the disk fails in every way.

use std::fmt;

use mailferry::exit::ExitStatus;
use tokio::runtime::Runtime;

use super::fault::{Errno, Fault, FaultKind, Operation};
use super::jobs::{do_all, more_is_wanted, seeds};
use super::power::Survival;
use super::script::{brief, held, large, odd_servers, ordinary, routed, shared};
use super::verdict::{Rehearsal, Stage, Verdict, check_good, check_no_parts};
use super::world::{Polled, Reader, World};

/// One world, or one for each operation of the poll that recovers.
struct Job<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    fault: Fault,
    /// What a mail reader does before mailferry runs again.
    reader: Reader,
    /// What follows.
    then: Then,
}

/// What follows after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The rest of the script.
    Rest,
    /// The power is cut right after the poll that recovers.
    Cut,
    /// Each operation of the poll that recovers in turn meets this fault.
    Again(FaultKind),
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, fault, reader, then } = self;
        let (operation, what) = &stage.log[fault.at];
        write!(f, "{}, act {} (poll {}): ", rehearsal.script.name, stage.act, stage.account)?;
        write!(f, "{fault} ({operation:?} {what}), reader {reader:?}, then {then:?};")
    }
}

/// Returns every kind of fault that can strike this operation.
fn faults(operation: Operation, at: usize, seeds: u64) -> Vec<Fault> {
    use FaultKind::{Cut, Fail, FailDone, FailFromHere, FailInTheMiddle, FailUncut, Kill, ShortWrites};
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
        (FailUncut(Errno::Io), 1),
        (FailFromHere(Errno::Nospc), unsure),
        (FailFromHere(Errno::Rofs), 1),
        (FailFromHere(Errno::Io), 1),
        (ShortWrites, 1),
    ];
    let fitting = kinds.into_iter().filter(|(kind, _)| kind.befits(operation));
    fitting.flat_map(|(kind, count)| (0..count).map(move |seed| Fault { at, kind, seed })).collect()
}

/// Plays the crash, what follows and the end.
fn play(job: &Job<'_>, runtime: &Runtime) -> Verdict {
    let Job { rehearsal, stage, fault, reader, then } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    meet(&mut world, stage, *fault)?;
    for maildir in rehearsal.script.maildirs() {
        world.read(maildir, *reader);
    }
    let crashed = world.snapshot();
    let recovering = world.poll(stage.account, None);
    check_good("the poll that recovers", &recovering)?;
    match then {
        Then::Rest => {}
        Then::Cut => {
            world.cut_power(Survival::Nothing, 0);
            let polled = world.poll(stage.account, None);
            check_good("the poll after the second cut", &polled)?;
            let notes = stage.status == ExitStatus::Partial;
            if polled.retrieved > 0 && !notes && rehearsal.script.has_unique_ids(stage.account) {
                return Err(format!("after the second cut {} messages were retrieved", polled.retrieved));
            }
        }
        Then::Again(kind) => {
            for (at, (operation, what)) in recovering.process.log.iter().enumerate() {
                if kind.befits(*operation) {
                    let again = Fault { at, kind: *kind, seed: fault.seed + u64::try_from(at).unwrap() };
                    let mut world = World::resume(&rehearsal.script, runtime, &crashed);
                    let recovered = meet(&mut world, stage, again)
                        .and_then(|()| check_good("the second poll that recovers", &world.poll(stage.account, None)))
                        .and_then(|()| rehearsal.finish(&mut world, stage));
                    recovered.map_err(|e| format!("{again} ({operation:?} {what}): {e}"))?;
                }
            }
            return Ok(());
        }
    }
    rehearsal.finish(&mut world, stage)
}

/// Polls with a fault.
fn meet(world: &mut World<'_>, stage: &Stage, fault: Fault) -> Verdict {
    let polled = world.poll(stage.account, Some(fault));
    let Some(met) = &polled.process.met else { return Err("the fault was not met".to_owned()) };
    if !fault.kind.is_crash() {
        check_error(&polled, fault, met, stage.status)?;
    }
    world.crash(fault);
    check_no_parts(world)
}

/// Checks that a poll that met an error reports it, unless the error does not matter; then it must end as it would
/// have.
fn check_error(polled: &Polled, fault: Fault, met: &str, otherwise: ExitStatus) -> Verdict {
    let status = polled.report.exit_status();
    let expected = if fault.kind.is_harmless() { otherwise } else { ExitStatus::Local };
    // The record of another account is only read to find out whether this account was renamed.
    let another = met.starts_with("Read") && !met.contains(polled.report.account.as_str());
    // Hints may be lost: failing to read or write them is no error, unless the disk stays that way.
    let hint = (met.contains(".hints") || polled.process.was_for_a_hint(fault.at)) && status == otherwise;
    if status == expected || another || hint {
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
    let all = more_is_wanted();
    each_fault(rehearsal, seeds(2), |stage, fault| {
        let job = |reader, then| Job { rehearsal, stage, fault, reader, then };
        // By default one sequel or the other, in turn.
        let even = (fault.at + usize::try_from(fault.seed).unwrap_or(0)).is_multiple_of(2);
        let mut add = |wanted: bool, reader, then| {
            if wanted {
                jobs.push(job(reader, then));
            }
        };
        let (harmless, crash) = (fault.kind.is_harmless(), fault.kind.is_crash());
        add(all || harmless || even, Reader::Idle, Then::Rest);
        add(all || !(harmless || even), Reader::Idle, Then::Cut);
        add(crash && (all || even), Reader::Opens, Then::Cut);
        add(crash && (all || !even), Reader::Files, Then::Rest);
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

#[test]
fn with_notes_in_place_of_messages_every_operation_goes_wrong_in_every_way() {
    matrix(&Rehearsal::new(held()));
}

#[test]
fn a_message_that_is_written_in_pieces_survives_as_well() {
    matrix(&Rehearsal::new(large()));
}

#[test]
fn with_rules_every_operation_goes_wrong_in_every_way() {
    matrix(&Rehearsal::new(routed()));
}

#[test]
fn with_several_recipients_every_operation_goes_wrong_in_every_way() {
    matrix(&Rehearsal::new(shared()));
}

#[test]
fn a_recovery_goes_wrong_as_well() {
    let rehearsal = Rehearsal::new(brief());
    let mut jobs = Vec::new();
    let seconds = [
        FaultKind::Kill,
        FaultKind::Cut(Survival::Nothing),
        FaultKind::Cut(Survival::Everything),
        FaultKind::Cut(Survival::Chance),
        FaultKind::Fail(Errno::Io),
        FaultKind::FailDone(Errno::Io),
        FaultKind::FailInTheMiddle(Errno::Nospc),
        FaultKind::Cut(Survival::DataOnly),
    ];
    let firsts = [
        FaultKind::Kill,
        FaultKind::Cut(Survival::Nothing),
        FaultKind::Cut(Survival::Chance),
        FaultKind::Fail(Errno::Io),
    ];
    let all = more_is_wanted();
    each_fault(&rehearsal, 1, |stage, fault| {
        if firsts.contains(&fault.kind) {
            for (index, second) in seconds.into_iter().enumerate() {
                // A sample, and all of the most delicate cases: a file was renamed, that was not synced, and the power
                // is cut in the poll that recovers. Then the record "published" may be on disk by chance, but not the
                // name.
                let unsure = matches!(stage.log[fault.at].0, Operation::Link | Operation::SyncDir);
                let cut = [Survival::Nothing, Survival::DataOnly].map(FaultKind::Cut).contains(&second);
                let delicate = unsure && fault.kind == FaultKind::Kill && cut;
                if all || delicate || (fault.at * 7 + index).is_multiple_of(29) {
                    let reader = if index % 2 == 0 { Reader::Idle } else { Reader::Opens };
                    let job = Job { rehearsal: &rehearsal, stage, fault, reader, then: Then::Again(second) };
                    jobs.push(job);
                }
            }
        }
    });
    do_all(&jobs, ToString::to_string, play);
}
