//! The supervisor's status, asked for at most once a second, however many clients want it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::figures::Figures;
use super::room::Room;
use crate::control::Pending;
use crate::control::pieces::{NoAnswer, Pieces};
use crate::control::status::AccountStatus;
use crate::metrics::PollMetrics;

/// How old a status may be.
const FRESH: Duration = Duration::from_secs(1);

/// The state of a request to the supervisor.
#[derive(Debug, Clone)]
enum Snapshot {
    /// It has not been answered yet.
    Awaited,
    /// It was answered at that moment.
    Known(Instant, Arc<Figures>),
    /// There was no answer, or it is too old.
    None,
}

/// Asks for the status, and keeps its figures no longer than they are fresh.
#[derive(Debug)]
pub(super) struct Snapshots {
    supervisor: mpsc::Sender<Pending>,
    /// The last answer, or the one still awaited: all who ask meanwhile wait for the same.
    last: Mutex<watch::Receiver<Snapshot>>,
    polls: PollMetrics,
    room: Room,
}

impl Snapshots {
    pub(super) fn new(supervisor: mpsc::Sender<Pending>, polls: PollMetrics) -> Self {
        let last = Mutex::new(watch::channel(Snapshot::None).1);
        Self { supervisor, last, polls, room: Room::default() }
    }

    /// Returns the room for responses.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Returns the sums of all polls.
    pub(super) fn polls(&self) -> &PollMetrics {
        &self.polls
    }

    /// Whether the supervisor answers.
    pub(super) async fn is_answering(&self) -> bool {
        self.pieces().next().await.is_ok()
    }

    /// Returns the status piece by piece, as it is when each piece is read.
    pub(super) fn pieces(&self) -> Pieces {
        Pieces::of(self.supervisor.clone(), &[])
    }

    /// Returns these accounts as they are now, with their history. None: the supervisor does not answer.
    pub(super) async fn accounts(&self, names: &[String]) -> Option<Vec<AccountStatus>> {
        if names.is_empty() {
            return Some(Vec::new());
        }
        let (mut pieces, mut accounts) = (Pieces::of(self.supervisor.clone(), names), Vec::new());
        while let Some(piece) = pieces.next().await.ok()? {
            accounts.extend(piece.accounts);
        }
        Some(accounts)
    }

    /// Returns the figures of at most a moment ago. None: the supervisor does not answer.
    pub(super) async fn latest(&self) -> Option<Arc<Figures>> {
        let mut last = self.requested();
        match &*last.wait_for(|answer| !matches!(answer, Snapshot::Awaited)).await.ok()? {
            Snapshot::Known(_, figures) => Some(Arc::clone(figures)),
            Snapshot::Awaited | Snapshot::None => None,
        }
    }

    /// Returns a fresh or awaited answer, and asks if there is none.
    fn requested(&self) -> watch::Receiver<Snapshot> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_usable = match &*last.borrow() {
            // A task that failed will never answer.
            Snapshot::Awaited => last.has_changed().is_ok(),
            Snapshot::Known(when, _) => when.elapsed() < FRESH,
            Snapshot::None => false,
        };
        if !is_usable {
            *last = ask(self.pieces());
        }
        last.clone()
    }
}

/// Asks for all pieces, and drops them when they are no longer fresh. Does not depend on anybody still waiting.
fn ask(pieces: Pieces) -> watch::Receiver<Snapshot> {
    let (answer, answered) = watch::channel(Snapshot::Awaited);
    tokio::spawn(async move {
        if let Ok(figures) = figures(pieces).await {
            answer.send_replace(Snapshot::Known(Instant::now(), Arc::new(figures)));
            tokio::time::sleep(FRESH).await;
        }
        answer.send_replace(Snapshot::None);
    });
    answered
}

async fn figures(mut pieces: Pieces) -> Result<Figures, NoAnswer> {
    let mut figures: Option<Figures> = None;
    while let Some(mut piece) = pieces.next().await? {
        let accounts = std::mem::take(&mut piece.accounts);
        let figures = figures.get_or_insert_with(|| Figures::new(piece));
        accounts.into_iter().for_each(|account| figures.add(account));
    }
    figures.ok_or(NoAnswer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::pieces::Piece;
    use crate::control::status::examples::{account, status};

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_meanwhile_get_the_same_answer_and_it_is_not_kept() {
        let (supervisor, mut questions) = mpsc::channel(4);
        let snapshots = Arc::new(Snapshots::new(supervisor, PollMetrics::default()));
        let asking: Vec<_> = (0..5)
            .map(|_| {
                let snapshots = Arc::clone(&snapshots);
                tokio::spawn(async move { snapshots.latest().await.unwrap() })
            })
            .collect();
        for (name, last) in [("a", Some("a")), ("b", None)] {
            let Some(Pending::Status { answer, .. }) = questions.recv().await else { panic!("nobody asks") };
            let last = last.map(|last| crate::account::AccountName::new(last).unwrap());
            answer.send(Piece { status: status(vec![account(name)]), last }).unwrap();
        }
        let mut answers = Vec::new();
        for one in asking {
            answers.push(one.await.unwrap());
        }
        assert!(answers.iter().all(|answer| Arc::ptr_eq(answer, &answers[0]) && answer.names.len() == 2));
        assert!(questions.try_recv().is_err(), "it was asked for once");
        let kept = Arc::downgrade(&answers[0]);
        drop(answers);
        assert!(kept.upgrade().is_some());
        tokio::time::sleep(2 * FRESH).await;
        assert!(kept.upgrade().is_none());
    }
}
