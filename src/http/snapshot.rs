//! What the supervisor says of itself, asked at most once a second, however many clients ask.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::room::Room;
use crate::control::status::Status;
use crate::control::{Pending, Request, Response};
use crate::metrics::PollMetrics;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);

/// How long the supervisor may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a document was made of, and its text.
type Document = (Arc<Status>, Bytes);

/// Asks for the status and keeps the last answer.
#[derive(Debug)]
pub(super) struct Snapshots {
    supervisor: mpsc::Sender<Pending>,
    last: Mutex<Option<(Instant, Arc<Status>)>>,
    polls: PollMetrics,
    room: Room,
    /// The last answer as a document, made once however many clients ask for it, and kept no longer than it is fresh: of
    /// many accounts it is large.
    document: Arc<StdMutex<Option<Document>>>,
}

impl Snapshots {
    pub(super) fn new(supervisor: mpsc::Sender<Pending>, polls: PollMetrics) -> Self {
        Self { supervisor, last: Mutex::new(None), polls, room: Room::default(), document: Arc::default() }
    }

    /// Where answers wait to be read.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// The status as a document for scripts. None: it cannot be written so.
    pub(super) fn document(&self, status: &Arc<Status>) -> Option<Bytes> {
        let mut last = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, document)) if Arc::ptr_eq(of, status) => Some(document.clone()),
            _ => {
                let document = Bytes::from(serde_json::to_vec(&**status).ok()?);
                *last = Some((Arc::clone(status), document.clone()));
                let kept = Arc::clone(&self.document);
                tokio::spawn(async move {
                    tokio::time::sleep(FRESH).await;
                    kept.lock().unwrap_or_else(PoisonError::into_inner).take();
                });
                Some(document)
            }
        }
    }

    /// The sums of all polls.
    pub(super) fn polls(&self) -> &PollMetrics {
        &self.polls
    }

    /// The status as it was a moment ago. None: the supervisor does not answer.
    pub(super) async fn latest(&self) -> Option<Arc<Status>> {
        let mut last = self.last.lock().await;
        if let Some((when, status)) = &*last
            && when.elapsed() < FRESH
        {
            return Some(Arc::clone(status));
        }
        let (answer, answered) = oneshot::channel();
        let ask = async {
            self.supervisor.send(Pending { request: Request::status_of(&[]), answer }).await.ok()?;
            answered.await.ok()
        };
        let Ok(Some(Response::Status(status))) = timeout(ANSWER_TIMEOUT, ask).await else { return None };
        let status: Arc<Status> = Arc::from(status);
        *last = Some((Instant::now(), Arc::clone(&status)));
        Some(status)
    }
}
