//! The status as a document for scripts: made piece by piece while it is read, so that it takes no more memory of many
//! accounts than of some.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::content::{BrokenOff, Content};
use super::snapshot::Snapshots;
use crate::control::pieces::{Document, NoAnswer, Pieces};

/// Why there is no piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPiece {
    /// The supervisor does not answer.
    NoAnswer,
    /// It could not be written.
    NotWritten,
}

impl From<NoAnswer> for NoPiece {
    fn from(NoAnswer: NoAnswer) -> Self {
        Self::NoAnswer
    }
}

impl From<serde_json::Error> for NoPiece {
    fn from(_: serde_json::Error) -> Self {
        Self::NotWritten
    }
}

/// The document; what is small is made at once.
///
/// # Errors
/// There is nothing to begin with.
pub(super) async fn document(snapshots: &Arc<Snapshots>) -> Result<Content, NoPiece> {
    let pieces = snapshots.pieces();
    let mut writer = Writer { snapshots: Arc::clone(snapshots), pieces, document: Document::alone() };
    let first = writer.next().await?.unwrap_or_default();
    if !writer.pieces.has_more() {
        return Ok(Content::Whole(first));
    }
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(writer.write(first, sender));
    Ok(Content::Pieces(pieces))
}

/// Makes one piece after the other.
struct Writer {
    snapshots: Arc<Snapshots>,
    pieces: Pieces,
    document: Document,
}

impl Writer {
    /// Makes the next piece when the one before it is taken, as long as there is somebody who reads.
    async fn write(mut self, first: Bytes, reader: mpsc::Sender<Result<Bytes, BrokenOff>>) {
        let mut piece = Ok(Some(first));
        while let Ok(Some(text)) = piece {
            if reader.send(Ok(text)).await.is_err() {
                return;
            }
            piece = self.next().await;
        }
        if piece.is_err() {
            // Whoever reads must not take it for all. He may have gone.
            let _ = reader.send(Err(BrokenOff)).await;
        }
    }

    /// The text of the next piece. None: that was all.
    async fn next(&mut self) -> Result<Option<Bytes>, NoPiece> {
        let Some(piece) = self.pieces.next().await? else { return Ok(None) };
        // Pages are made in turn with it.
        let _turn = self.snapshots.room().turn().await;
        let mut text = Vec::new();
        self.document.add(piece, &mut text)?;
        if !self.pieces.has_more() {
            text.extend_from_slice(Document::END);
        }
        Ok(Some(text.into()))
    }
}
