//! Stories from seeds: up to a year of mail, polls and mishaps, with servers of every kind.
//!
//! What must hold in all of them: no message that is not stored is removed at our request, none is lost, nothing is
//! shown that is not a message, nothing is removed too early; and there is no extra copy that a doubt does not explain.
//!
//! [`letter`] makes the messages, [`story`] defines what may happen, [`generate`] makes a story from a seed, [`play`]
//! plays it in the world with its [`polling`] and its mail [`reader`], [`judge`] checks each step, [`ledger`] knows the
//! doubts, and [`shrink`] removes what a failure does not need.

mod generate;
mod judge;
mod ledger;
mod letter;
mod play;
mod polling;
mod reader;
mod shrink;
mod story;
mod totals;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use tokio::runtime::Runtime;

use super::jobs::do_every_one;
use super::verdict::Verdict;
use generate::story;
use judge::Kind;
use play::play;
use shrink::shrink;
use story::Story;
use totals::Totals;

/// How many stories are played, from seed 0 on.
const COUNT: &str = "MAILFERRY_STORIES";
/// The seed of the only story to play.
const ONE: &str = "MAILFERRY_STORY";
/// How many stories are played by default.
const NORMALLY: u64 = 300;
/// The seeds of stories that have failed once; they are always played. They have no rules, as there were none in
/// stories then.
const FAILED_ONCE: [u64; 12] = [334, 1378, 3109, 3520, 4209, 4616, 5243, 5659, 5818, 6417, 8127, 9160];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Describes a failure, with the story act by act.
fn tell(story: &Story, runtime: &Runtime) -> String {
    let outcome = play(story, runtime);
    let mut text = String::new();
    if let Some(failure) = outcome.failure {
        let _ = writeln!(text, "{failure}");
    }
    for character in &story.accounts {
        let _ = writeln!(text, "  {character}");
    }
    for line in outcome.log {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Plays a story. One failure of each kind is shrunk as far as possible.
fn check(seed: u64, totals: &Mutex<Totals>, told: &Mutex<BTreeSet<Kind>>, runtime: &Runtime) -> Verdict {
    let story = story(seed);
    let outcome = play(&story, runtime);
    totals.lock().unwrap().add(&outcome.totals);
    let Some(failure) = outcome.failure else { return Ok(()) };
    let first = told.lock().unwrap().insert(failure.kind);
    let shortest = if first { shrink(&story, failure.kind, runtime) } else { story.clone() };
    let mut text = format!("{failure}\n  repeat it with {ONE}={seed}");
    if first {
        let _ = write!(text, "; the shortest that fails so: {}", tell(&shortest, runtime));
    }
    Err(text)
}

#[test]
fn in_no_story_is_a_message_deleted_that_is_not_stored_or_lost_or_doubled_without_a_doubt() {
    let seeds: Vec<u64> = match number(ONE) {
        Some(seed) => vec![seed],
        None => {
            let count = number(COUNT).unwrap_or(NORMALLY);
            (0..count).chain(FAILED_ONCE.into_iter().filter(|seed| *seed >= count)).collect()
        }
    };
    let (totals, told) = (Mutex::default(), Mutex::default());
    let describe = |seed: &u64| format!("story {seed};");
    let played = catch_unwind(AssertUnwindSafe(|| {
        do_every_one(&seeds, describe, |seed, runtime| check(*seed, &totals, &told, runtime));
    }));
    println!("{}", totals.into_inner().unwrap());
    if let Err(failures) = played {
        resume_unwind(failures);
    }
}
