//! The Maildirs in which fetched messages are looked for. PURE.

use std::path::{Path, PathBuf};

use crate::maildir::contents::Stored;
use crate::routing::{Route, Routing};

/// The Maildirs in which fetched messages are looked for.
#[derive(Debug)]
pub struct Searched<'a> {
    /// Their paths as configured, and what they hold.
    maildirs: Vec<(PathBuf, Vec<Stored>)>,
    /// Which of them a message belongs into. `None`: the user named one, and whatever is in it was fetched.
    by_header: Option<(&'a Routing, &'a Path)>,
}

impl<'a> Searched<'a> {
    /// Searches one Maildir that the user named, whatever belongs into it.
    #[must_use]
    pub fn named(path: PathBuf, stored: Vec<Stored>) -> Self {
        Self { maildirs: vec![(path, stored)], by_header: None }
    }

    /// Searches the Maildirs of an account, of which `own` takes what its routing sends nowhere else.
    #[must_use]
    pub fn of_account(maildirs: Vec<(PathBuf, Vec<Stored>)>, routing: &'a Routing, own: &'a Path) -> Self {
        Self { maildirs, by_header: Some((routing, own)) }
    }

    /// Whether there is nothing in any of them.
    pub(super) fn is_empty(&self) -> bool {
        self.maildirs.iter().all(|(_, stored)| stored.is_empty())
    }

    /// Returns what they hold, in order.
    pub(super) fn into_stored(self) -> impl Iterator<Item = Vec<Stored>> {
        self.maildirs.into_iter().map(|(_, stored)| stored)
    }

    /// Returns the positions of those into which a message with this header belongs; none if it belongs anywhere else,
    /// such as into a spool, or is to stay on the server.
    pub(super) fn belongs_into(&self, header: &[u8]) -> Vec<usize> {
        let Some((routing, own)) = self.by_header else { return vec![0] };
        let wanted = match routing.route(header) {
            Route::Own => vec![own],
            Route::Other(path) => vec![path],
            Route::Several(several) => several.into_iter().map(|path| path.unwrap_or(own)).collect(),
            Route::Skip => Vec::new(),
        };
        let place = |wanted: &Path| self.maildirs.iter().position(|(path, _)| path == wanted);
        wanted.into_iter().map(place).collect::<Option<_>>().unwrap_or_default()
    }
}
