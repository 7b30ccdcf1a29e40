//! The status as a document for scripts. It is made piece by piece while it is read, so that it takes no more memory
//! for many accounts than for few.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::content::{BrokenOff, Content};
use super::snapshot::Snapshots;
use crate::control::pieces::{Document, NoAnswer, Pieces};

/// Why a piece could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPiece {
    /// The supervisor does not answer.
    NoAnswer,
    /// The piece could not be serialized.
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

/// Starts the document. A small one is made at once.
///
/// # Errors
/// Those of the first piece.
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
    /// Makes each next piece once the one before it is taken, for as long as somebody reads.
    async fn write(mut self, first: Bytes, reader: mpsc::Sender<Result<Bytes, BrokenOff>>) {
        let mut piece = Ok(Some(first));
        while let Ok(Some(text)) = piece {
            if reader.send(Ok(text)).await.is_err() {
                return;
            }
            piece = self.next().await;
        }
        if piece.is_err() {
            // The reader must not take the document for complete. It may be gone already.
            let _ = reader.send(Err(BrokenOff)).await;
        }
    }

    /// Returns the text of the next piece; None at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, NoPiece> {
        let Some(piece) = self.pieces.next().await? else { return Ok(None) };
        // Pages and pieces are made in turn.
        let _turn = self.snapshots.room().turn().await;
        let mut text = Vec::new();
        self.document.add(piece, &mut text)?;
        if !self.pieces.has_more() {
            text.extend_from_slice(Document::END);
        }
        Ok(Some(text.into()))
    }
}
