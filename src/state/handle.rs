//! Gives a state to tasks that must not block: work that needs the disk takes the state to another thread and gives it
//! back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::store::Store;
use crate::internal_error::WorkError;
use crate::threads::{Blocking, NotDone};
use crate::watch;

/// An account's state. If the work that took it did not give it back, every later use gets that work's error.
#[derive(Debug)]
pub struct StateHandle(Result<Store, WorkError>);

impl StateHandle {
    /// A handle for an open state.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Ok(store))
    }

    /// Returns the state, for use that does not block.
    ///
    /// # Errors
    /// The error of the work that did not give the state back.
    pub fn read(&self) -> Result<&Store, WorkError> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// Runs blocking work with the state; `doing` says what it does, as in "cannot ...".
    ///
    /// # Errors
    /// The work did not finish, and the state is lost with it: its lock is released, and the files on disk are intact.
    pub async fn with<R: Send + 'static>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<R, WorkError> {
        let finished = self.begin(doing, work)?.await;
        self.end(finished)
    }

    /// Starts blocking work with the state, so that the caller can do something else without it meanwhile.
    /// [`StateHandle::end`] must follow.
    ///
    /// # Errors
    /// As for [`StateHandle::read`].
    pub fn begin<R: Send + 'static>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> Result<StateWork<R>, WorkError> {
        let away = Err(NotDone::Cancelled.doing(doing));
        let mut store = match std::mem::replace(&mut self.0, away) {
            Ok(store) => store,
            Err(gone) => {
                self.0 = Err(gone.clone());
                return Err(gone);
            }
        };
        let work = watch::blocking(move || {
            let result = work(&mut store);
            (store, result)
        });
        Ok(StateWork { doing, work })
    }

    /// Takes the state back.
    ///
    /// # Errors
    /// As for [`StateHandle::with`].
    pub fn end<R>(&mut self, finished: Finished<R>) -> Result<R, WorkError> {
        match finished.0 {
            Ok((store, result)) => {
                self.0 = Ok(store);
                Ok(result)
            }
            Err(gone) => {
                self.0 = Err(gone.clone());
                Err(gone)
            }
        }
    }
}

/// Work in progress, which has the state.
#[derive(Debug)]
#[must_use = "the state is gone without it"]
pub struct StateWork<R> {
    doing: &'static str,
    work: Blocking<(Store, R)>,
}

/// Finished work, with the state to give back.
#[derive(Debug)]
#[must_use = "the state is gone without it"]
pub struct Finished<R>(Result<(Store, R), WorkError>);

impl<R> Future for StateWork<R> {
    type Output = Finished<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.work).poll(cx));
        Poll::Ready(Finished(done.map_err(|e| e.doing(self.doing))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::bench::Bench;
    use crate::internal_error::{InternalCause, InternalError};

    fn handle() -> StateHandle {
        StateHandle::new(Bench::new().open().unwrap())
    }

    #[tokio::test]
    async fn work_has_the_state_and_gives_it_back() {
        let mut handle = handle();
        assert_eq!(handle.with("count", |store| store.state().len()).await, Ok(0));
        let begun = handle.begin("count", |store| store.state().len()).unwrap();
        assert!(handle.read().is_err(), "it is away");
        let finished = begun.await;
        assert_eq!(handle.end(finished), Ok(0));
        assert!(handle.read().unwrap().state().is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_told_to_all_who_want_the_state_afterwards() {
        let mut handle = handle();
        let panicked = handle.with("count", |_| -> usize { std::panic::resume_unwind(Box::new("odd")) }).await;
        let cause = InternalCause::Panicked("odd".to_owned());
        let expected = WorkError::Internal(InternalError { doing: "count", cause });
        assert_eq!(panicked, Err(expected.clone()));
        assert_eq!(handle.read().unwrap_err(), expected);
        assert_eq!(handle.with("count again", |_| ()).await, Err(expected.clone()));
        assert_eq!(handle.read().unwrap_err(), expected, "the first cause stays");
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_told_as_cancelled() {
        let mut handle = handle();
        drop(handle.begin("count", |store| store.state().len()).unwrap());
        let expected = WorkError::Internal(InternalError { doing: "count", cause: InternalCause::Cancelled });
        assert_eq!(handle.read().unwrap_err(), expected);
    }
}
