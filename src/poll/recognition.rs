//! A short cut: most polls find the same listing as the last one, over a state in which nothing waits. Then nothing is
//! read, matched or planned, and memory use does not depend on the size of the listing.

use std::sync::Arc;
use std::time::Duration;

use super::credential::Obtained;
use super::error::PollError;
use super::events::{AfterFailure, PollEvent};
use super::server_profile::{ServerProfile, WrittenHints};
use super::session::Clean;
use super::{Poll, PollOptions};
use crate::account::{Account, MaildirOf};
use crate::account_history::History;
use crate::client::listing::Opened;
use crate::client::listing_digest::ListingDigest;
use crate::disk::Disk;
use crate::ids::MaildirId;
use crate::maildir::Maildir;
use crate::pop3::ReportedSize;
use crate::state::clean_listing::{Circumstances, CleanListing};
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::hints::{HintsFile, Past};
use crate::state::store::{LockedState, Store};
use crate::watch;

/// How a poll continues.
pub(super) enum Beginning {
    /// The poll is over: nothing has changed.
    Nothing,
    /// A full look is needed, with the locked state, the credential, if it could be obtained, and the session, if one
    /// was opened.
    Full(Box<LockedState>, Result<Obtained, PollError>, Option<Box<First>>),
}

/// A session that was opened to recognise a listing and found another one.
pub(super) struct First {
    /// The session, with the whole listing.
    pub(super) opened: Opened,
    /// What is known about the server, including what this session learned.
    pub(super) profile: ServerProfile,
}

/// What the last full look recorded.
struct LeftClean {
    clean: CleanListing,
    /// How long ago it was made.
    age: Duration,
    hints: HintsFile,
}

impl Poll {
    /// Takes the lock and checks whether the server lists the same as when nothing was left to do.
    pub(super) async fn begin(&mut self) -> Result<Beginning, PollError> {
        let (locked, left) = self.lock().await?;
        let obtained = self.obtain(None).await;
        // What an interrupted run left is finished without a password, too.
        let Some(LeftClean { clean, age, hints }) = left else { return Ok(Beginning::Full(locked, obtained, None)) };
        let obtained = obtained?;
        let secret = obtained.credential.secret().clone();
        self.note_credential(&obtained);
        let now = clean.trusted.after(age);
        let mut profile = ServerProfile::new(hints, &self.account.endpoint, now);
        profile.expect(ListingDigest {
            messages: clean.messages,
            octets: ReportedSize::new(clean.octets.parse().unwrap_or(0)),
            unique_ids: clean.unique_ids,
        });
        self.begin_session();
        let stop = self.stop.clone();
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => Err(PollError::Stopped),
            opened = self.list(&mut profile, &secret) => opened,
        };
        profile.expect_nothing();
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) if obtained.may_have_ended(&error) => {
                self.events.tell(&PollEvent::TokenRefused(&error));
                let obtained = self.obtain(Some(secret)).await;
                return Ok(Beginning::Full(locked, obtained, None));
            }
            Err(error) => {
                self.events.tell(&PollEvent::SessionFailed { error: &error, next: AfterFailure::PollEnds });
                self.write_hints(profile, false).await?;
                return Err(error);
            }
        };
        if !opened.is_recognised {
            return Ok(Beginning::Full(locked, Ok(obtained), Some(Box::new(First { opened, profile }))));
        }
        profile.opened(&opened, &self.redactor);
        self.note_login(&opened);
        self.events.tell(&PollEvent::NothingNew { messages: clean.messages, skipped: clean.skipped });
        let ahead = opened.client.window() > 1;
        let ended = self.quit(opened.client).await;
        profile.ended_in_order(ahead, false);
        self.events.tell(&match &ended {
            Ok(_) => PollEvent::SessionEnded { quit_error: None },
            Err(error) => PollEvent::SessionFailed { error, next: AfterFailure::PollEnds },
        });
        let (past, history) = self.write_hints(profile, ended.is_ok()).await?;
        self.events.tell(&PollEvent::Totals { past: &past, history: &history });
        // Only now may others use the state.
        drop(locked);
        ended.map(|_| Beginning::Nothing)
    }

    /// Takes the lock. What the last full look recorded is only used in a poll without special options.
    async fn lock(&self) -> Result<(Box<LockedState>, Option<LeftClean>), PollError> {
        let (open_options, account) = (self.open_options(), self.account.clone());
        let (disk, dir) = (Arc::clone(&self.context.disk), self.context.state_dir.clone());
        let no_wish = PollOptions { must_exist: self.options.must_exist, ..PollOptions::default() };
        let (plain, clock) = (self.options == no_wish, self.context.clock.read());
        let locked = watch::blocking(move || {
            let locked = Box::new(Store::lock(Arc::clone(&disk), &dir, &account, &open_options)?);
            let left = || {
                let hints = HintsFile::read(&*disk, &dir, &account.name);
                let clean = hints.hints.clean.clone()?;
                let maildir = maildir_marks(&*disk, &account)?;
                let state = locked.status()?;
                let now = Circumstances { account: &account, state: &state, maildir: &maildir, clock };
                Some(LeftClean { age: clean.age(now)?, clean, hints })
            };
            let left = if plain { left() } else { None };
            Ok::<_, StateError>((locked, left))
        });
        Ok(locked.await.map_err(|e| e.doing("lock the state"))??)
    }

    async fn write_hints(&self, mut profile: ServerProfile, success: bool) -> Result<(Past, History), PollError> {
        let (disk, wall) = (Arc::clone(&self.context.disk), self.context.clock.read().wall);
        let written = watch::blocking(move || profile.write(&disk, success.then_some(wall))).await;
        Ok(self.totals(written.map_err(|e| e.doing("write the hints"))?))
    }

    /// Reports hints that could not be written, and returns the totals so far.
    pub(super) fn totals(&self, WrittenHints { past, history, error }: WrittenHints) -> (Past, History) {
        if let Some(error) = &error {
            self.events.tell(&PollEvent::HintsNotWritten(error));
        }
        (past, history)
    }

    /// Records that this listing left nothing to do.
    pub(super) async fn keep_clean(
        &self,
        clean: Clean,
        mut profile: ServerProfile,
        state: &mut StateHandle,
    ) -> Result<(), PollError> {
        let (account, clock, disk) = (self.account.clone(), self.context.clock.read(), Arc::clone(&self.context.disk));
        let keep = move |store: &mut Store| {
            let (Some(maildir), Ok(state)) = (maildir_marks(&*disk, &account), disk.status(store.path())) else {
                return None;
            };
            let now = Circumstances { account: &account, state: &state, maildir: &maildir, clock };
            let ListingDigest { messages, octets, unique_ids } = clean.listing;
            profile.keep(CleanListing::new(
                (messages, octets.get(), unique_ids),
                clean.skipped,
                now,
                store.now(),
                clean.due,
            ));
            Some(profile.write(&disk, None))
        };
        if let Some(written) = state.with("write the hints", keep).await? {
            self.totals(written);
        }
        Ok(())
    }
}

/// Returns what identifies the account's Maildirs. `None`: its own does not exist or cannot be identified.
fn maildir_marks(disk: &dyn Disk, account: &Account) -> Option<String> {
    let mut marks = maildir_mark(disk, &account.maildir)?;
    for MaildirOf { path, .. } in account.maildirs().into_iter().skip(1) {
        marks.push('\n');
        marks.push_str(&maildir_mark(disk, path).unwrap_or_default());
    }
    Some(marks)
}

/// Returns what identifies a Maildir. `None`: it does not exist or cannot be identified.
fn maildir_mark(disk: &dyn Disk, path: &std::path::Path) -> Option<String> {
    let maildir = Maildir::open(disk, path).ok()?;
    let id = maildir.id(disk).ok()?;
    let MaildirId { tmp_inode, new_inode, marker, created } = id;
    Some(format!("{tmp_inode:x}.{new_inode:x}.{marker:x?}.{created:x?} {}", maildir.path().display()))
}
