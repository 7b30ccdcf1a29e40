//! The status page: read-only, over HTTP, for people (`/`), monitors (`/metrics`, `/healthz`) and scripts
//! (`/api/v1/status`).
//!
//! Pages are made of what the supervisor says of itself, asked at most once a second, and the document for scripts piece
//! by piece while it is read, so a client costs the polls nothing: connections, their time and the size of a request are
//! bounded. Nothing here changes anything, and nothing of a message's content or of a secret passes.

mod accept;
mod account_page;
mod content;
mod document;
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
mod troubles;

pub(crate) use listener::Listener;
