//! Sends the status in pieces, so that neither memory nor the supervisor's time per answer grows with the number of
//! accounts, and a slow reader holds up only one piece.
//!
//! The values of one account are of the same moment, and so is the head of the document; different accounts may be of
//! different moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Pending;
use super::protocol::{Response, TIMEOUT};
use super::status::Status;
use crate::account::AccountName;

/// The approximate size of a piece as text, in bytes: over a hundred accounts, or fewer with much to tell.
const PIECE: usize = 128 << 10;

/// Which piece to send.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Only these accounts. None: all.
    named: Option<Arc<BTreeSet<AccountName>>>,
    /// Only accounts after this one.
    behind: Option<AccountName>,
}

impl Wanted {
    /// Selects the first piece of these accounts, or of all if none is named.
    fn first(names: &[String]) -> Self {
        let named = || names.iter().filter_map(|name| AccountName::new(name).ok()).collect();
        Self { named: (!names.is_empty()).then(|| Arc::new(named())), behind: None }
    }

    /// Returns the accounts in the piece, and the last of them if more follow; `length` estimates the size of an
    /// account as text, in bytes.
    pub(crate) fn among<'a, T>(
        &self,
        all: &'a BTreeMap<AccountName, T>,
        length: impl Fn(&T) -> usize,
    ) -> (Vec<&'a T>, Option<AccountName>) {
        let rest = (self.behind.as_ref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        match &self.named {
            None => fill(all.range::<AccountName, _>(rest), length),
            Some(named) => {
                let known = named.range::<AccountName, _>(rest).filter_map(|name| all.get_key_value(name));
                fill(known, length)
            }
        }
    }
}

/// Takes as many accounts as fit into a piece, at least one.
fn fill<'a, T>(
    accounts: impl Iterator<Item = (&'a AccountName, &'a T)>,
    length: impl Fn(&T) -> usize,
) -> (Vec<&'a T>, Option<AccountName>) {
    let (mut piece, mut filled) = (Vec::new(), 0);
    let mut last: Option<&AccountName> = None;
    for (name, account) in accounts {
        let next = length(account);
        if last.is_some() && filled + next > PIECE {
            return (piece, last.cloned());
        }
        filled += next;
        piece.push(account);
        last = Some(name);
    }
    (piece, None)
}

/// A piece of the status.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The head of the document, with some of the accounts.
    pub(crate) status: Status,
    /// The last of these accounts, if more follow.
    pub(crate) last: Option<AccountName>,
}

/// The supervisor did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the daemon's supervisor does not answer")
    }
}

impl std::error::Error for NoAnswer {}

/// Asks for one piece after another.
#[derive(Debug)]
pub(crate) struct Pieces {
    supervisor: mpsc::Sender<Pending>,
    /// The next piece. None: there are no more.
    next: Option<Wanted>,
}

impl Pieces {
    /// The pieces for these accounts, or for all if none is named.
    pub(crate) fn of(supervisor: mpsc::Sender<Pending>, names: &[String]) -> Self {
        Self { supervisor, next: Some(Wanted::first(names)) }
    }

    /// Returns the next piece; there is always a first one, even without accounts. None: there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Status>, NoAnswer> {
        let Some(wanted) = self.next.take() else { return Ok(None) };
        let (answer, answered) = oneshot::channel();
        let question = Pending::Status { wanted: wanted.clone(), answer };
        let ask = async {
            self.supervisor.send(question).await.ok()?;
            answered.await.ok()
        };
        let Piece { status, last } = timeout(TIMEOUT, ask).await.ok().flatten().ok_or(NoAnswer)?;
        self.next = last.map(|last| Wanted { behind: Some(last), ..wanted });
        Ok(Some(status))
    }

    /// Whether there are more pieces.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }
}

/// Writes the pieces of a status as a single JSON document.
#[derive(Debug)]
pub(crate) struct Document {
    /// Whether it is an answer on the control socket.
    is_answer: bool,
    /// Whether the head is written.
    has_head: bool,
    /// Whether an account is written.
    has_account: bool,
}

impl Document {
    /// The end of a document, which comes after the accounts.
    pub(crate) const END: &'static [u8] = b"]}";

    /// Writes only the document.
    pub(crate) fn alone() -> Self {
        Self { is_answer: false, has_head: false, has_account: false }
    }

    /// Writes the document as a [`Response`].
    pub(crate) fn answer() -> Self {
        Self { is_answer: true, ..Self::alone() }
    }

    /// Appends a piece. The first one also writes the head.
    pub(crate) fn add(&mut self, mut piece: Status, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let accounts = std::mem::take(&mut piece.accounts);
        if !self.has_head {
            self.has_head = true;
            match self.is_answer {
                true => serde_json::to_writer(&mut *text, &Response::Status(Box::new(piece)))?,
                false => serde_json::to_writer(&mut *text, &piece)?,
            }
            text.truncate(text.len().saturating_sub(Self::END.len()));
        }
        for account in &accounts {
            if std::mem::replace(&mut self.has_account, true) {
                text.push(b',');
            }
            serde_json::to_writer(&mut *text, account)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::examples::{account, status};

    fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
        numbers.map(|number| format!("a{number:04}")).collect()
    }

    /// All pieces of these accounts, as lists of the names in them.
    fn pieces(named: &[String], all: &BTreeMap<AccountName, String>) -> Vec<Vec<String>> {
        let (mut wanted, mut pieces) = (Wanted::first(named), Vec::new());
        loop {
            let (piece, last) = wanted.among(all, |_| 2000);
            pieces.push(piece.into_iter().cloned().collect());
            let Some(last) = last else { return pieces };
            wanted.behind = Some(last);
        }
    }

    #[test]
    fn each_account_is_in_one_piece_and_no_piece_is_large() {
        for count in [0, 1, 64, 65, 66, 130, 200] {
            let wanted = names(0..count);
            let all: BTreeMap<_, _> =
                wanted.iter().map(|name| (AccountName::new(name).unwrap(), name.clone())).collect();
            let made = pieces(&[], &all);
            assert_eq!(made.len(), count.div_ceil(PIECE / 2000).max(1), "{count}");
            let (huge, _) = Wanted::first(&[]).among(&all, |_| 2 * PIECE);
            assert_eq!(huge.len(), count.min(1), "what is larger than a piece is one");
            assert_eq!(made.concat(), wanted);
            // Unknown accounts are in no piece, however many they are.
            let named = [names(500..900), names((0..count).step_by(2)), vec![".?".to_owned()]].concat();
            assert_eq!(pieces(&named, &all).concat(), names((0..count).step_by(2)));
        }
    }

    #[test]
    fn the_document_is_what_it_would_be_in_one_piece() {
        for count in [0, 1, 2, 5] {
            let accounts: Vec<_> = names(0..count).iter().map(|name| account(name)).collect();
            let whole = status(accounts.clone());
            for size in [1, 2, 9] {
                for (mut document, expected) in [
                    (Document::alone(), serde_json::to_string(&whole).unwrap()),
                    (Document::answer(), serde_json::to_string(&Response::Status(Box::new(whole.clone()))).unwrap()),
                ] {
                    let mut text = Vec::new();
                    document.add(status(Vec::new()), &mut text).unwrap();
                    for piece in accounts.chunks(size) {
                        document.add(status(piece.to_vec()), &mut text).unwrap();
                    }
                    text.extend_from_slice(Document::END);
                    assert_eq!(String::from_utf8(text).unwrap(), expected);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_does_not_answer_is_not_waited_for() {
        let (supervisor, questions) = mpsc::channel(1);
        let mut pieces = Pieces::of(supervisor, &[]);
        assert_eq!(pieces.next().await, Err(NoAnswer));
        assert_eq!(pieces.next().await, Ok(None), "there is no way behind the gap");
        drop(questions);
    }
}
