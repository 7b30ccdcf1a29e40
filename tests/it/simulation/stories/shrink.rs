//! The shortest story that still goes wrong in the same way.

use tokio::runtime::Runtime;

use super::judge::Kind;
use super::play::play;
use super::story::{Act, Story};

/// No more stories are tried.
const TRIES: usize = 250;

/// Leaves out acts as long as the story still fails so.
pub(crate) fn shrink(story: &Story, kind: Kind, runtime: &Runtime) -> Story {
    let mut shortest = story.clone();
    let mut tries = 0;
    let mut fails = |acts: Vec<Act>, shortest: &mut Story| {
        tries += 1;
        if tries > TRIES {
            return false;
        }
        let shorter = Story { acts, ..shortest.clone() };
        let same = play(&shorter, runtime).failure.is_some_and(|failure| failure.kind == kind);
        if same {
            *shortest = shorter;
        }
        same
    };
    let mut piece = shortest.acts.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut shortened = false;
        while at < shortest.acts.len() {
            let mut acts = shortest.acts.clone();
            acts.drain(at..(at + piece).min(acts.len()));
            if fails(acts, &mut shortest) {
                shortened = true;
            } else {
                at += piece;
            }
        }
        if piece == 1 && !shortened {
            return shortest;
        }
        piece = piece.div_ceil(2);
    }
}
