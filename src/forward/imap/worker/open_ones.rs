//! Messages whose answers were lost: they are looked for before anything is appended.

use tracing::info;

use super::Worker;
use crate::forward::error::ForwardError;
use crate::forward::imap::recognition::{Fate, Sought, Twin};
use crate::forward::imap::survey;
use crate::forward::letter::Letter;
use crate::state::record::{AppendIntent, MailboxUid};

impl Worker<'_> {
    /// Deals with the messages whose APPEND was under way when an earlier pass ended; they come first. Those that have not
    /// arrived go back to the others.
    pub(in crate::forward::imap) async fn look_for_open_ones(&mut self) -> Result<(), ForwardError> {
        let mut open = Vec::new();
        while let Some(message) = self.pass.next() {
            let Some(intent) = self.pass.progress(&message.name).await.and_then(|progress| progress.intent) else {
                self.pass.put_back(message);
                break;
            };
            if let Some(letter) = self.pass.measure(message, String::new()).await? {
                open.push((letter, intent));
            }
        }
        let mut absent = Vec::new();
        for (letter, fate) in self.fates(open).await? {
            match fate {
                Fate::There(uid) => {
                    info!("{}: a message whose answer was lost has arrived", self.pass.name);
                    let uid = MailboxUid { validity: self.selected.validity, uid };
                    self.unwritten.push(self.pass.arrived(&letter, Some(uid)));
                }
                Fate::Absent => {
                    if !self.pass.is_set_aside_for_breaks(&letter.spooled).await? {
                        absent.push(letter);
                    }
                }
                Fate::Changed(_) => {
                    let why = "its answers were lost, and the destination has messages with its header and other bytes";
                    if !self.pass.is_given_up(&letter.spooled, why).await? {
                        absent.push(letter);
                    }
                }
            }
        }
        absent.sort_by_key(|letter| letter.spooled.order());
        for letter in absent.into_iter().rev() {
            let progress = self.pass.progress(&letter.spooled.name).await;
            match progress.is_some_and(|progress| progress.is_suspect()) {
                true => self.pass.put_last(letter.spooled),
                false => self.pass.put_back(letter.spooled),
            }
        }
        self.write().await
    }

    /// What became of messages that may have arrived.
    async fn fates(&mut self, open: Vec<(Letter, AppendIntent)>) -> Result<Vec<(Letter, Fate)>, ForwardError> {
        let (validity, mailbox) = (self.selected.validity, self.mailbox());
        // In another mailbox nobody can look any more: it is appended where mail goes now. Where the UIDs say nothing, a header
        // that says little does not tell either.
        let can_be_found = |(letter, intent): &(Letter, AppendIntent)| {
            intent.mailbox == mailbox && (intent.uid_validity == validity || letter.header.is_strong())
        };
        let (open, lost): (Vec<_>, Vec<_>) = open.into_iter().partition(can_be_found);
        let (mut sought, mut twins) = (Vec::new(), Vec::new());
        for (letter, intent) in &open {
            let (size, header, whole) = (letter.size, letter.header, letter.whole);
            let from = (intent.uid_validity == validity).then_some(intent.uid_next);
            if !sought.iter().any(|other: &Sought| other.whole == whole) {
                let here = |uid: MailboxUid| (uid.validity == validity).then_some(uid.uid);
                let arrived = self.pass.with_the_bytes(whole).await;
                twins.extend(arrived.into_iter().map(|arrival| Twin { whole, uid: arrival.uid.and_then(here) }));
            }
            sought.push(Sought { size, header, whole, from });
        }
        let known = self.pass.known_uids(validity).await;
        let fates = survey::look_for(&mut self.session, &sought, &twins, &known).await?;
        let found = open.into_iter().zip(fates).map(|((letter, _), fate)| (letter, fate));
        Ok(found.chain(lost.into_iter().map(|(letter, _)| (letter, Fate::Absent))).collect())
    }
}
