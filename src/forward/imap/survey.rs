//! Searches a mailbox for messages whose answers were lost: the sizes first, then the headers of messages with the
//! right size, then all octets of those with the right header. If not all are found, the sizes may be estimates, and
//! the headers of all new messages are looked at. A header with NUL is not shown as it was sent: there, all octets of
//! the messages with the right size are compared.

use std::collections::{BTreeMap, BTreeSet};

use super::recognition::{Fate, Seen, Sought, Twin, recognise};
use super::session::Session;
use crate::forward::error::ForwardError;
use crate::message::Digest;

/// How many messages of a right size are looked at, and how many others; the oldest in both cases, because a message
/// that was sent follows those that were there before it.
pub(super) const MOST_CANDIDATES: usize = 1000;

/// Determines the outcome for each message in `sought`. `known` holds the UIDs under which our messages have arrived;
/// `twins` are those of our messages that have the same bytes as one that is sought.
pub(super) async fn look_for<T: Clone + Send + Sync>(
    session: &mut Session,
    sought: &[Sought<T>],
    twins: &[Twin],
    known: &BTreeSet<u32>,
) -> Result<Vec<(T, Fate)>, ForwardError> {
    let Some(from) = sought.iter().map(|sought| sought.from).min() else { return Ok(Vec::new()) };
    let (mut fitting, mut others, mut is_cut) = (BTreeMap::new(), BTreeSet::new(), false);
    session
        .sizes(from, |uid, size| {
            if sought.iter().any(|sought| sought.size == size && sought.may_have(uid)) {
                fitting.insert(uid, size);
            } else if !known.contains(&uid) && sought.iter().any(|sought| sought.may_have(uid)) {
                others.insert(uid);
            }
            if fitting.len() > MOST_CANDIDATES {
                fitting.pop_last();
                is_cut = true;
            }
            if others.len() > MOST_CANDIDATES {
                others.pop_last();
            }
        })
        .await?;
    let mut seen = Seen::default();
    let uids: Vec<u32> = fitting.keys().copied().collect();
    let fits =
        |sought: &Sought<T>, uid, header| fitting.get(&uid) == Some(&sought.size) && sought.may_have_header(header);
    look_at(session, sought, &uids, &mut seen, fits).await?;
    verify(session, sought, twins, &mut seen).await?;
    let fates = recognise(sought, twins, known, &seen);
    if fates.iter().all(|(_, fate)| matches!(fate, Fate::There(_))) {
        return Ok(fates);
    }
    // Where sizes are estimates, a message of the right size may be another one.
    let others: Vec<u32> = others.into_iter().collect();
    look_at(session, sought, &others, &mut seen, |sought, _, header| sought.header == header).await?;
    verify(session, sought, twins, &mut seen).await?;
    let looked_at: BTreeSet<u32> = uids.into_iter().chain(others).collect();
    seen.unreadable = looked_at.intersection(&session.unreadable.uids).copied().collect();
    let fates = recognise(sought, twins, known, &seen);
    // Where not all of the right size were looked at, nothing shows that a message is not there.
    let unless_cut = |fate| if is_cut && fate == Fate::Absent { Fate::Unclear } else { fate };
    Ok(fates.into_iter().map(|(payload, fate)| (payload, unless_cut(fate))).collect())
}

/// Looks at the headers of more messages, and at all octets of those that may be sought.
async fn look_at<T: Sync>(
    session: &mut Session,
    sought: &[Sought<T>],
    uids: &[u32],
    seen: &mut Seen,
    may_be: impl Fn(&Sought<T>, u32, Digest) -> bool,
) -> Result<(), ForwardError> {
    seen.headers.extend(session.headers(uids).await?);
    let is_alike = |uid: u32, header| sought.iter().any(|sought| sought.may_have(uid) && may_be(sought, uid, header));
    let is_new = |(uid, header): &(&u32, &Digest)| !seen.wholes.contains_key(uid) && is_alike(**uid, **header);
    let alike: Vec<u32> = seen.headers.iter().filter(is_new).map(|(uid, _)| *uid).collect();
    let wholes = session.wholes(&alike, &with_nul(sought)).await?;
    seen.wholes.extend(wholes);
    Ok(())
}

/// Returns the digests of those with NUL. Their twins have the same.
fn with_nul<T>(sought: &[Sought<T>]) -> Vec<Digest> {
    sought.iter().filter(|sought| sought.has_nul).map(|sought| sought.whole).collect()
}

/// Checks that messages known to have arrived are where the server said, as far as that makes a difference.
async fn verify<T: Sync>(
    session: &mut Session,
    sought: &[Sought<T>],
    twins: &[Twin],
    seen: &mut Seen,
) -> Result<(), ForwardError> {
    let matters = |twin: &&Twin| seen.wholes.values().any(|whole| *whole == twin.whole);
    let named = twins.iter().filter(matters).filter_map(|twin| twin.uid);
    let uids: BTreeSet<u32> = named.filter(|uid| !seen.wholes.contains_key(uid)).collect();
    let uids: Vec<u32> = uids.into_iter().collect();
    let wholes = session.wholes(&uids, &with_nul(sought)).await?;
    seen.wholes.extend(wholes);
    Ok(())
}
