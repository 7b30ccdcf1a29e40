//! Plays many small worlds on several threads.

use std::ffi::OsString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;

use super::verdict::Verdict;
use super::world::runtime;

/// Plays only jobs whose description contains this text.
const ONLY: &str = "MAILFERRY_MATRIX_ONLY";
/// The file to which all failures are written; the panic shows a few.
const LIST: &str = "MAILFERRY_MATRIX_LIST";
/// After this many failures the rest is not played, unless all are to be listed.
const ENOUGH: usize = 20;
/// The number of seeds for each kind of chance.
const SEEDS: &str = "MAILFERRY_MATRIX_SEEDS";

/// Returns the number of seeds, unless the environment sets another one.
pub(crate) fn seeds(normally: u64) -> u64 {
    std::env::var(SEEDS).ok().and_then(|text| text.parse().ok()).unwrap_or(normally)
}

/// Whether the environment asks for more than a sample.
pub(crate) fn more_is_wanted() -> bool {
    std::env::var_os(SEEDS).is_some()
}

/// Up to this many jobs are always played.
const FEW: usize = 100;
/// Of more than that, one in this many is in the sample: all of them would take too long for a check before each merge.
const ONE_OF: usize = 4;

/// Whether a job is in the sample: always the same ones, spread so that no kind is left out.
fn is_in_sample(index: usize, jobs: usize) -> bool {
    jobs <= FEW || (index.wrapping_mul(0x9e37_79b1) >> 16).is_multiple_of(ONE_OF)
}

/// What the environment asks for.
struct JobOptions {
    /// Plays only jobs whose description contains this text.
    only: Option<String>,
    /// Writes all failures to this file.
    list: Option<OsString>,
}

impl JobOptions {
    fn read() -> Self {
        Self { only: std::env::var(ONLY).ok(), list: std::env::var_os(LIST) }
    }

    /// Whether a sample is not enough.
    fn are_about_all(&self) -> bool {
        self.only.is_some() || self.list.is_some() || more_is_wanted()
    }
}

/// Plays all jobs, or a sample of many, and fails with the descriptions of those that failed.
pub(crate) fn do_all<J: Sync>(
    jobs: &[J],
    describe: impl Fn(&J) -> String + Sync,
    act: impl Fn(&J, &Runtime) -> Verdict + Sync,
) {
    let wishes = JobOptions::read();
    let all = wishes.are_about_all();
    do_chosen(wishes, jobs, |index| all || is_in_sample(index, jobs.len()), describe, act);
}

/// Like [`do_all`], but never only a sample.
pub(crate) fn do_every_one<J: Sync>(
    jobs: &[J],
    describe: impl Fn(&J) -> String + Sync,
    act: impl Fn(&J, &Runtime) -> Verdict + Sync,
) {
    do_chosen(JobOptions::read(), jobs, |_| true, describe, act);
}

fn do_chosen<J: Sync>(
    JobOptions { only, list }: JobOptions,
    jobs: &[J],
    is_chosen: impl Fn(usize) -> bool + Sync,
    describe: impl Fn(&J) -> String + Sync,
    act: impl Fn(&J, &Runtime) -> Verdict + Sync,
) {
    let (next, played) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures: Mutex<Vec<String>> = Mutex::default();
    let work = || {
        let enough = || list.is_none() && failures.lock().unwrap().len() >= ENOUGH;
        let runtime = runtime();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index).filter(|_| !enough()) else { break };
            if !is_chosen(index) {
                continue;
            }
            let name = describe(job);
            if only.as_ref().is_some_and(|only| !name.contains(only)) {
                continue;
            }
            played.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = act(job, &runtime) {
                failures.lock().unwrap().push(format!("{name}\n  {why}"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut failures: Vec<String> = failures.into_inner().unwrap();
    failures.sort();
    if let Some(file) = list {
        std::fs::write(file, failures.join("\n")).unwrap();
    }
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        failures.is_empty(),
        "{} of {} failed, at least; repeat one with {ONLY}='its first line':\n{some}",
        failures.len(),
        jobs.len()
    );
    println!("{} of {} worlds", played.into_inner(), jobs.len());
}
