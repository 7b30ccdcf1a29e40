//! The connection breaks after every byte that a server sends.

use std::fmt;

use mailferry::exit::ExitStatus;
use tokio::runtime::Runtime;

use super::jobs::do_all;
use super::script::brief;
use super::server::open;
use super::verdict::{Rehearsal, Stage, Verdict, check_good};
use super::world::World;

/// A session that ends early.
struct Job<'a> {
    rehearsal: &'a Rehearsal,
    stage: &'a Stage,
    /// The connection is cut after this many bytes. None: the QUIT is lost.
    cut_after: Option<usize>,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rehearsal, stage, cut_after } = self;
        write!(f, "{}, act {} (poll {}): ", rehearsal.script.name, stage.act, stage.account)?;
        match cut_after {
            Some(bytes) => write!(f, "cut after {bytes} of {} bytes;", stage.sent),
            None => f.write_str("QUIT is lost;"),
        }
    }
}

fn play(job: &Job<'_>, runtime: &Runtime) -> Verdict {
    let Job { rehearsal, stage, cut_after } = job;
    let mut world = World::resume(&rehearsal.script, runtime, &stage.before);
    if let Some(post) = open(&world.posts).get_mut(stage.account) {
        post.cut_after = *cut_after;
        post.loses_quit = cut_after.is_none();
    }
    let polled = world.poll(stage.account, None);
    // A second session that only looks whether there is more may fail silently.
    if !matches!(polled.report.exit_status(), ExitStatus::Temporary | ExitStatus::Ok) {
        return Err(format!("it ended with {:?}: {:?}", polled.report.exit_status(), polled.report.end));
    }
    check_good("the poll behind it", &world.poll(stage.account, None))?;
    rehearsal.finish(&mut world, stage)
}

#[test]
fn a_connection_cut_anywhere_costs_no_message_and_doubles_none() {
    let rehearsal = Rehearsal::new(brief());
    let mut jobs = Vec::new();
    for stage in &rehearsal.stages {
        let cuts = (0..=stage.sent).map(Some).chain([None]);
        jobs.extend(cuts.map(|cut_after| Job { rehearsal: &rehearsal, stage, cut_after }));
    }
    do_all(&jobs, ToString::to_string, play);
}
