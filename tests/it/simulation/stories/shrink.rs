//! Finds the shortest story that still fails in the same way.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::judge::Kind;
use super::letter::{Dots, Letter, Naming};
use super::play::play;
use super::story::{Act, Story};

/// The time after which no more stories are tried.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Looks for shorter stories.
struct Shrinker<'a> {
    shortest: Story,
    kind: Kind,
    since: Instant,
    runtime: &'a Runtime,
}

/// Removes what the failure does not need.
pub(crate) fn shrink(story: &Story, kind: Kind, runtime: &Runtime) -> Story {
    let mut shrinker = Shrinker { shortest: story.clone(), kind, since: Instant::now(), runtime };
    shrinker.leave_out_acts();
    shrinker.leave_out_accounts();
    shrinker.simplify_acts();
    shrinker.leave_out_acts();
    shrinker.shortest
}

impl Shrinker<'_> {
    /// Whether a story fails in the same way; then it is the shortest from now on.
    fn fails(&mut self, shorter: Story) -> bool {
        let in_time = self.since.elapsed() < TIME_LIMIT;
        let fails = in_time && play(&shorter, self.runtime).failure.is_some_and(|failure| failure.kind == self.kind);
        if fails {
            self.shortest = shorter;
        }
        fails
    }

    fn leave_out_acts(&mut self) {
        let mut piece = self.shortest.acts.len().div_ceil(2);
        loop {
            let (mut at, mut shortened) = (0, false);
            while at < self.shortest.acts.len() {
                let mut shorter = self.shortest.clone();
                shorter.acts.drain(at..(at + piece).min(shorter.acts.len()));
                if self.fails(shorter) { shortened = true } else { at += piece }
            }
            if piece <= 1 && !shortened {
                return;
            }
            piece = piece.div_ceil(2);
        }
    }

    fn leave_out_accounts(&mut self) {
        for account in (0..self.shortest.accounts.len()).rev() {
            let mut shorter = self.shortest.clone();
            shorter.accounts.remove(account);
            let others = |act: &Act| act.account() != Some(account);
            shorter.acts = shorter.acts.into_iter().filter(others).map(|act| act.without_account(account)).collect();
            if shorter.accounts.is_empty() {
                return;
            }
            self.fails(shorter);
        }
    }

    fn simplify_acts(&mut self) {
        for at in 0..self.shortest.acts.len() {
            let simpler = match self.shortest.acts[at] {
                Act::Mail(account, letter) => {
                    let (dots, naming) = (Dots::None, Naming::Own);
                    Act::Mail(account, Letter { dots, naming, part: false, ..letter })
                }
                Act::Poll(account, _) => Act::Poll(account, None),
                act => act,
            };
            let mut shorter = self.shortest.clone();
            if simpler != std::mem::replace(&mut shorter.acts[at], simpler) {
                self.fails(shorter);
            }
        }
    }
}
