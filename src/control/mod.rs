//! The control socket: one request and one answer, each a line of JSON.
//!
//! The daemon answers only its own user and root. A request must be short and arrive soon, or the connection is closed;
//! no client can keep the daemon from its work.

mod arriving;
mod asking;
mod listener;
pub(crate) mod pieces;
mod protocol;
mod socket;
pub mod status;
pub(crate) mod visitors;

use tokio::sync::oneshot;

pub use self::arriving::StatusReader;
pub use self::asking::{ask, ask_status};
pub(crate) use self::listener::Control;
use self::pieces::{Piece, Wanted};
pub use self::protocol::{LONGEST_OFTEN, Request, Response, TriedAgain};
pub(crate) use self::socket::LOOK;
pub use self::socket::NAME;

/// A request with the sender for its answer.
#[derive(Debug)]
pub(super) enum Pending {
    /// A request for a piece of the status.
    Status { wanted: Wanted, answer: oneshot::Sender<Piece> },
    /// A request that is answered as a whole.
    Request { request: Request, answer: oneshot::Sender<Response> },
}
