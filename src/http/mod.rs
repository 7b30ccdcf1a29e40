//! The status page: read-only, over HTTP, for people (`/`), monitors (`/metrics`, `/healthz`) and scripts
//! (`/api/v1/status`).
//!
//! Pages are made from the supervisor's status, which is asked for at most once a second. The document for scripts is
//! made piece by piece while it is read. So clients do not slow down the polls: connections, their duration and the
//! size of requests are bounded. Requests change nothing, and no secret and no content of a message appears here.

mod accept;
mod account_page;
mod content;
mod document;
mod failures;
mod figures;
mod forwarding;
mod html;
mod listener;
mod metrics_page;
mod overview;
mod plot;
mod request;
mod room;
mod snapshot;
mod theme;

pub(crate) use listener::{Done, Listener};
