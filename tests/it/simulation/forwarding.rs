//! Forwarding from a spool to a destination: every operation of the disk fails in every way, and the connection breaks
//! after every byte. A mailbox gets each message once; by LMTP each arrives, with at most one more copy per crash.

use std::fmt;
use std::path::Path;

use mailferry::account::{
    Account, Endpoint, Forward, ForwardTo, ImapDestination, LmtpDestination, LmtpServer, RemovalPolicy, SpoolBounds,
};
use mailferry::exit::ExitStatus;
use tokio::runtime::Runtime;

use super::destination::{Destination, IMAP, LMTP, change};
use super::disk::look;
use super::fault::{Errno, Fault, FaultKind, Operation};
use super::jobs::{do_all, more_is_wanted, seeds};
use super::power::Survival;
use super::script::{ABLE, Act, Script, account};
use super::server::{Message, open};
use super::verdict::Verdict;
use super::world::{Fetched, Reader, STATE, Snapshot, World, runtime};

/// The account.
const ON: &str = "on";

/// Where its mail is forwarded, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// A mailbox on a server that reports UIDs.
    Imap,
    /// A mailbox on a server without extensions.
    PlainImap,
    /// An LMTP server.
    Lmtp,
}

impl To {
    fn forward(self) -> Forward {
        let port = if self == Self::Lmtp { LMTP } else { IMAP };
        let Account { endpoint, credential, .. } = account(ON, "/", RemovalPolicy::Keep);
        let endpoint = Endpoint { port, ..(*endpoint).clone() };
        let to = match self {
            Self::Lmtp => ForwardTo::Lmtp(Box::new(LmtpDestination {
                server: LmtpServer::Tcp(Box::new(endpoint)),
                recipient: "jo@example.org".to_owned(),
                id_header: false,
            })),
            Self::Imap | Self::PlainImap => ForwardTo::Imap(Box::new(ImapDestination {
                endpoint,
                username: "jo".to_owned(),
                credential,
                auth: mailferry::account::AuthChoice::Auto,
                uses_token: false,
                mailbox: "INBOX".to_owned(),
                flags: Vec::new(),
                connections: 1,
            })),
        };
        Forward { to, spool: SpoolBounds::default() }
    }

    fn script(self) -> Script {
        let forward = Some(std::sync::Arc::new(self.forward()));
        let account = Account { forward, ..account(ON, "/", RemovalPolicy::AfterDelivery) };
        Script { name: "forwarding", accounts: vec![(account, ABLE)], acts: vec![Act::Poll(ON)] }
    }
}

/// A message whose header does not identify it.
fn nobody() -> Vec<u8> {
    b"Subject: who knows\r\n\r\nx\r\n".to_vec()
}

/// The messages of each round. Two have the same bytes, and two do not identify themselves.
fn rounds() -> [Vec<(&'static str, Vec<u8>)>; 2] {
    let twin = || Script::message("twin", 90);
    let first = vec![("m1", Script::message("m1", 200)), ("m2", twin()), ("m3", twin()), ("m4", nobody())];
    [first, vec![("m5", Script::message("m5", 5000)), ("m6", nobody())]]
}

/// Returns all messages, sorted.
fn all_mail() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = rounds().into_iter().flatten().map(|(_, bytes)| bytes).collect();
    all.sort();
    all
}

/// A run without faults.
struct Stage {
    round: usize,
    before: Snapshot,
    log: Vec<(Operation, String)>,
    /// How many bytes the destination sent, and how many it received.
    sent: usize,
    heard: usize,
}

/// All runs without faults.
struct Rehearsal {
    to: To,
    script: Script,
    stages: Vec<Stage>,
}

fn arrive(world: &World<'_>, round: usize) {
    for (uid, bytes) in &rounds()[round] {
        let message = Message::new(uid, uid, bytes.as_slice());
        open(&world.posts).get_mut(ON).unwrap().messages.push(message);
    }
}

impl Rehearsal {
    fn new(to: To) -> Self {
        let (script, runtime) = (to.script(), runtime());
        let mut stages = Vec::new();
        {
            let mut world = World::new(&script, &runtime);
            let destination = Destination::new(to == To::Imap);
            open(&world.posts).get_mut(ON).unwrap().destination = Some(destination);
            for round in 0..rounds().len() {
                arrive(&world, round);
                let before = world.snapshot();
                let counts = |world: &World<'_>| change(&world.posts, ON, |there| (there.sent, there.heard));
                let (sent, heard) = counts(&world);
                let fetched = world.fetch_and_forward(ON, None);
                check_good("a clean run", &fetched).unwrap();
                let (sent, heard) = (counts(&world).0 - sent, counts(&world).1 - heard);
                stages.push(Stage { round, before, log: fetched.process.log, sent, heard });
            }
            judge(&mut world, Copies::None).unwrap();
        }
        Self { to, script, stages }
    }

    /// Plays the rest after a run that met a fault, and judges the end; `copies` says how many more copies there may
    /// be.
    fn finish(&self, world: &mut World<'_>, stage: &Stage, copies: Copies) -> Verdict {
        check_good("the run that recovers", &world.fetch_and_forward(ON, None))?;
        for round in stage.round + 1..rounds().len() {
            arrive(world, round);
            check_good("a later run", &world.fetch_and_forward(ON, None))?;
        }
        judge(world, copies)
    }
}

fn check_good(what: &str, fetched: &Fetched) -> Verdict {
    let ends = [&fetched.first.end, &fetched.second.end];
    let forwarded = &fetched.forwarded;
    let is_good = ends.iter().all(|end| end.is_ok()) && forwarded.exit_status() == ExitStatus::Ok;
    if is_good { Ok(()) } else { Err(format!("{what}: {ends:?}, {forwarded:?}")) }
}

/// What there may be more than one copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copies {
    /// Nothing: a mailbox gets each message once, whatever happened.
    None,
    /// One message whose header does not identify it: once the UIDs have changed, nobody can tell whether it is there.
    OfNobody,
    /// This many, of any message.
    Any(usize),
}

impl Copies {
    fn allow(self, surplus: &[Vec<u8>]) -> bool {
        match self {
            Self::None => surplus.is_empty(),
            Self::OfNobody => surplus.len() <= 1 && surplus.iter().all(|one| *one == nobody()),
            Self::Any(most) => surplus.len() <= most,
        }
    }
}

/// Checks that everything has arrived, with at most these copies; that nothing is left behind, and nothing left to do.
fn judge(world: &mut World<'_>, copies: Copies) -> Verdict {
    // What is remembered about forwarded messages is forgotten now.
    check_good("a last run", &world.fetch_and_forward(ON, None))?;
    seen(world, copies)?;
    let idle = world.fetch_and_forward(ON, None);
    check_good("an idle run", &idle)?;
    let writes = idle.process.writes_beside_hints();
    if !writes.is_empty() {
        return Err(format!("an idle run writes {writes:?}"));
    }
    // What was reported as safe must survive if nothing but what was synced does.
    world.cut_power(Survival::Nothing, 0);
    check_good("after a power cut at the very end", &world.fetch_and_forward(ON, None))?;
    seen(world, copies)
}

fn seen(world: &World<'_>, copies: Copies) -> Verdict {
    {
        let posts = open(&world.posts);
        let post = &posts[ON];
        if let Some(broken) = post.broken_promises.first() {
            return Err(broken.clone());
        }
        if !post.messages.is_empty() {
            return Err(format!("{} messages are left on the server", post.messages.len()));
        }
    }
    let machine = look(&world.machine);
    let state = machine.storage.visible(Path::new(STATE));
    if let Some((left, _)) = state.iter().find(|(path, _)| path.contains(".spool/")) {
        return Err(format!("{left} is left in the spool"));
    }
    let mut there: Vec<Vec<u8>> =
        change(&world.posts, ON, |there| there.messages.iter().map(|(_, bytes)| bytes.clone()).collect());
    there.sort();
    let mut missing = 0;
    let mut surplus = there.clone();
    for message in all_mail() {
        match surplus.iter().position(|one| *one == message) {
            Some(place) => drop(surplus.remove(place)),
            None => missing += 1,
        }
    }
    if missing > 0 || !copies.allow(&surplus) {
        let surplus: Vec<_> = surplus.iter().map(|one| String::from_utf8_lossy(one)).collect();
        return Err(format!("{missing} messages are missing, and too many are there: {surplus:?}"));
    }
    Ok(())
}

/// What happens to the mailbox between the crash and the run that recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// It gets another UIDVALIDITY.
    Renumbered,
    /// A mail reader opens what is in the spool.
    Read,
}

/// One world to play.
struct Job<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    what: What,
    meanwhile: Meanwhile,
    /// A fault in the run that recovers.
    again: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Disk(Fault),
    /// The connection to the destination breaks after this many bytes that it sends.
    CutSent(usize),
    /// The connection to the destination breaks after this many bytes that it receives.
    CutHeard(usize),
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, what, meanwhile, again } = self;
        write!(f, "{:?}, round {}: ", rehearsal.to, stage.round)?;
        match what {
            What::Disk(fault) => write!(f, "{fault} ({:?} {})", stage.log[fault.at].0, stage.log[fault.at].1)?,
            other => write!(f, "{other:?}")?,
        }
        write!(f, ", meanwhile {meanwhile:?}, then {again:?};")
    }
}

fn play(job: &Job<'_>, runtime: &Runtime) -> Verdict {
    let Job { rehearsal, stage, what, meanwhile, again } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    let fault = match what {
        What::Disk(fault) => Some(*fault),
        What::CutSent(bytes) => {
            change(&world.posts, ON, |there| there.cut_after_sent = Some(*bytes));
            None
        }
        What::CutHeard(bytes) => {
            change(&world.posts, ON, |there| there.cut_after_heard = Some(*bytes));
            None
        }
    };
    let fetched = world.fetch_and_forward(ON, fault);
    if let Some(fault) = fault {
        if fetched.process.met.is_none() {
            return Err("the fault was not met".to_owned());
        }
        world.crash(fault);
    }
    change(&world.posts, ON, |there| (there.cut_after_sent, there.cut_after_heard) = (None, None));
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Renumbered => change(&world.posts, ON, Destination::renumber),
        Meanwhile::Read => world.read(&Path::new(STATE).join("on.spool"), Reader::Opens),
    }
    if let Some(again) = again {
        let _whatever = world.fetch_and_forward(ON, Some(*again));
        world.crash(*again);
    }
    let copies = match (rehearsal.to, meanwhile) {
        (To::Lmtp, _) => Copies::Any(1 + usize::from(again.is_some())),
        (_, Meanwhile::Renumbered) => Copies::OfNobody,
        _ => Copies::None,
    };
    rehearsal.finish(&mut world, stage, copies)
}

/// Returns every kind of fault that can strike this operation.
fn faults(operation: Operation, at: usize) -> Vec<Fault> {
    use FaultKind::{Cut, Fail, FailDone, FailFromHere, FailInTheMiddle, FailUncut, Kill, ShortWrites};
    let kinds = [
        (Kill, if operation == Operation::Write { 3 } else { 1 }),
        (Cut(Survival::Nothing), 1),
        (Cut(Survival::Everything), 1),
        (Cut(Survival::Zeros), 1),
        (Cut(Survival::DataOnly), 1),
        (Cut(Survival::Chance), seeds(2)),
        (Fail(Errno::Io), if operation == Operation::Sync { 2 } else { 1 }),
        (Fail(Errno::Nospc), 1),
        (FailDone(Errno::Io), 1),
        (FailInTheMiddle(Errno::Nospc), 1),
        (FailUncut(Errno::Io), 1),
        (FailFromHere(Errno::Nospc), 1),
        (FailFromHere(Errno::Rofs), 1),
        (FailFromHere(Errno::Io), 1),
        (ShortWrites, 1),
    ];
    let fitting = kinds.into_iter().filter(|(kind, _)| kind.befits(operation));
    fitting.flat_map(|(kind, count)| (0..count).map(move |seed| Fault { at, kind, seed })).collect()
}

fn each_fault<'a>(rehearsal: &'a Rehearsal, mut job: impl FnMut(Job<'a>)) {
    for stage in &rehearsal.stages {
        for (at, (operation, _)) in stage.log.iter().enumerate() {
            for (number, fault) in faults(*operation, at).into_iter().enumerate() {
                // By default a sample: the matrix has tried all faults with the same operations of a poll.
                if !more_is_wanted() && (at + number) % 8 != 0 && !is_of_the_forwarder(&stage.log[at]) {
                    continue;
                }
                job(Job { rehearsal, stage, what: What::Disk(fault), meanwhile: Meanwhile::Nothing, again: None });
            }
        }
    }
}

/// Whether an operation is about the forwarder's journal or a spool.
fn is_of_the_forwarder((_, what): &(Operation, String)) -> bool {
    what.contains(".forward")
}

fn matrix(to: To) {
    let rehearsal = Rehearsal::new(to);
    let mut jobs = Vec::new();
    each_fault(&rehearsal, |job| {
        let crash = matches!(job.what, What::Disk(fault) if fault.kind.is_crash());
        let other = [Meanwhile::Renumbered, Meanwhile::Read][jobs.len() % 2];
        // By LMTP nobody can see what is there.
        let other = if to == To::Lmtp { Meanwhile::Read } else { other };
        if crash {
            jobs.push(Job { meanwhile: other, ..job });
        }
        jobs.push(job);
    });
    do_all(&jobs, ToString::to_string, play);
}

#[test]
fn into_a_mailbox_every_operation_goes_wrong_in_every_way() {
    matrix(To::Imap);
}

#[test]
fn into_a_mailbox_without_uids_every_operation_goes_wrong_in_every_way() {
    matrix(To::PlainImap);
}

#[test]
fn by_lmtp_every_operation_goes_wrong_in_every_way() {
    matrix(To::Lmtp);
}

#[test]
fn a_connection_cut_anywhere_costs_no_message_and_doubles_none_in_a_mailbox() {
    for to in [To::Imap, To::PlainImap, To::Lmtp] {
        let rehearsal = Rehearsal::new(to);
        let mut jobs = Vec::new();
        for stage in &rehearsal.stages {
            // By default a sample.
            let (of_sent, of_heard) = if more_is_wanted() { (1, 1) } else { (7, 61) };
            let sent = (1..=stage.sent).step_by(of_sent).map(What::CutSent);
            for what in sent.chain((1..=stage.heard).step_by(of_heard).map(What::CutHeard)) {
                let renumbered = to != To::Lmtp && jobs.len() % 3 == 0;
                let meanwhile = if renumbered { Meanwhile::Renumbered } else { Meanwhile::Nothing };
                jobs.push(Job { rehearsal: &rehearsal, stage, what, meanwhile, again: None });
            }
        }
        do_all(&jobs, ToString::to_string, play);
    }
}

#[test]
fn a_recovery_of_a_forwarder_goes_wrong_as_well() {
    for to in [To::Imap, To::PlainImap, To::Lmtp] {
        let rehearsal = Rehearsal::new(to);
        let mut jobs = Vec::new();
        let seconds = [FaultKind::Kill, FaultKind::Cut(Survival::Nothing), FaultKind::Cut(Survival::Chance)];
        each_fault(&rehearsal, |job| {
            let What::Disk(Fault { at, kind, .. }) = job.what else { return };
            if !kind.is_crash() {
                return;
            }
            // For each, a different operation of the run that recovers; more of them on request.
            for step in 0..if more_is_wanted() { 8 } else { 1 } {
                let place = (at * 5 + step * 23) % job.stage.log.len();
                let kind = seconds[(at + step) % seconds.len()];
                let again = Some(Fault { at: place, kind, seed: u64::try_from(at).unwrap() });
                jobs.push(Job { again, meanwhile: Meanwhile::Nothing, ..job });
            }
        });
        do_all(&jobs, ToString::to_string, play);
    }
}
