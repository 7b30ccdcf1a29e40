//! A listening server: one thread per connection, until dropped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A listening server; ends when dropped.
pub(crate) struct Listening {
    stop: Arc<AtomicBool>,
    /// Connects, so that a thread that waits for a connection notices the end.
    knock: Box<dyn Fn() + Send + Sync>,
}

impl Listening {
    /// Serves each connection that `accept` returns.
    pub(crate) fn start<S: Send + 'static>(
        accept: impl Fn() -> io::Result<S> + Send + 'static,
        serve: impl Fn(S) + Send + Sync + 'static,
        knock: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, serve) = (Arc::clone(&stop), Arc::new(serve));
        std::thread::spawn(move || {
            loop {
                let accepted = accept();
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), serve) = (accepted, Arc::clone(&serve)) else { continue };
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { stop, knock: Box::new(knock) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.knock)();
    }
}
