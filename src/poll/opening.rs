//! The beginning of a poll: reads the state and finishes what an earlier run left over.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::PollError;
use super::events::PollEvent;
use super::next::doubt_unshown;
use super::recognition::First;
use super::report::Decision;
use super::server_profile::ServerProfile;
use super::spool::{settle_spool, tell_settled};
use super::{Poll, PollOptions};
use crate::account::{Account, MaildirOf, RemovalPolicy};
use crate::delivery::destination::keep_decision;
use crate::delivery::recovery::{OtherMaildirPolicy, Recovered, Unusable, known_maildir, recover};
use crate::disk::Disk;
use crate::forward::Stranded;
use crate::forward::settlement::Settled;
use crate::state::error::StateError;
use crate::state::handle::StateHandle;
use crate::state::hints::HintsFile;
use crate::state::ownership;
use crate::state::room::{Room, Share};
use crate::state::store::{LockedState, OpenOptions, Store};
use crate::watch::{self, Needed};

impl Poll {
    pub(super) fn open_options(&self) -> OpenOptions {
        let PollOptions { new_state, must_exist, .. } = self.options;
        OpenOptions { new_state, must_exist, ..self.context.open_options() }
    }

    /// Reads the locked state, or looks at it without a lock, and finishes what was begun.
    pub(super) async fn open_state(
        &mut self,
        locked: Option<Box<LockedState>>,
    ) -> Result<(StateHandle, ServerProfile), PollError> {
        let open_options = self.open_options();
        let (disk, dir, account) =
            (Arc::clone(&self.context.disk), self.context.state_dir.clone(), self.account.clone());
        let options = self.options;
        let open = move |settled: &mut Settled| {
            let hints = |store: &Store| {
                let file = HintsFile::read(&*disk, &dir, &account.name);
                ServerProfile::new(file, &account.endpoint, store.now())
            };
            let Some(locked) = locked else {
                ownership::check_for_look(&*disk, &dir, account.name.as_str())?;
                let store = Store::look(Arc::clone(&disk), &dir, &account, &open_options)?;
                let unusable = match options.other_maildir {
                    OtherMaildirPolicy::Refuse => look(&*disk, &store, &account)?,
                    OtherMaildirPolicy::Accept => Vec::new(),
                };
                let profile = hints(&store);
                return Ok((store, profile, (Recovered::default(), unusable), Vec::new()));
            };
            let mut store = locked.read(&account, &open_options)?;
            let mut needless = needless(&*disk, &store, &account, options);
            let maildirs: Vec<&Path> = account.maildirs().into_iter().map(|maildir| maildir.path).collect();
            let mut recovered = recover(&*disk, &mut store, &maildirs, options.other_maildir)?;
            *settled = settle_spool(&*disk, &mut store, &account, options.other_maildir)?;
            if settled.lost > 0 {
                // A spool that is gone is none of the Maildirs of an account that no longer forwards.
                needless.retain(|decision| *decision != Decision::AcceptMaildir);
            }
            doubt_unshown(&mut store)?;
            if options.new_state || options.other_maildir == OtherMaildirPolicy::Accept {
                recovered.0.kept = keep_decision(&*disk, &mut store, &account, options.other_maildir)?;
            }
            if matches!(account.removal, RemovalPolicy::AfterAge(_)) && !store.state().is_empty() {
                store.write_pending()?;
            }
            let profile = hints(&store);
            Ok::<_, StateError>((store, profile, recovered, needless))
        };
        let opened = watch::blocking(move || {
            let mut settled = Settled::default();
            (open(&mut settled), settled)
        });
        let (opened, settled) = opened.await.map_err(|e| e.doing("open the state"))?;
        tell_settled(&self.account.name, settled, |event| self.events.tell(event));
        let (store, profile, (recovered, unusable), needless) = opened?;
        needless.into_iter().for_each(|decision| self.events.tell(&PollEvent::Needless(decision)));
        self.events.tell(&PollEvent::Recovered(&recovered));
        self.closed.found(unusable, store.state().next_id(), &self.events);
        if self.account.forward.is_none()
            && let Some(stranded) = Stranded::of(&store)
        {
            self.events.tell(&PollEvent::Stranded(&stranded));
        }
        if recovered.unsyncable {
            self.note_cannot_sync();
        }
        Ok((StateHandle::new(store), profile))
    }
}

impl Poll {
    /// Waits until there is memory for a large state. A session that was opened is dropped: its server would not wait
    /// so long.
    pub(super) async fn wait_for_room(
        &self,
        locked: Option<&LockedState>,
        first: &mut Option<Box<First>>,
    ) -> Result<(), PollError> {
        let octets = locked.map_or(0, LockedState::size);
        let room = Room::of_process();
        if let Some(share) = room.try_take(octets) {
            self.has_taken(share);
            return Ok(());
        }
        *first = None;
        self.events.tell(&PollEvent::WaitsForRoom { octets });
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(PollError::Stopped),
            share = watch::waiting_for(Needed::State, room.take(octets)) => {
                self.has_taken(share);
                Ok(())
            }
        }
    }

    /// Keeps the memory until the poll ends, or hangs: then others need it.
    fn has_taken(&self, taken: Share) {
        watch::has(Needed::State, taken.is_large());
        *share(&self.share) = taken;
        let held = Arc::clone(&self.share);
        watch::on_hang(Needed::State, move || *share(&held) = Share::default());
    }

    /// Whether there is memory for the growth of the state.
    pub(super) fn has_room(&self, state: &StateHandle) -> bool {
        let Ok(store) = state.read() else { return true };
        let mut share = share(&self.share);
        let has_room = Room::of_process().grow(&mut share, store.size());
        watch::has(Needed::State, share.is_large());
        has_room
    }
}

fn share(share: &Mutex<Share>) -> MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the Maildirs other than the account's own that are not where they were. Blocks.
fn look(disk: &dyn Disk, store: &Store, account: &Account) -> Result<Vec<Unusable>, StateError> {
    let mut unusable = Vec::new();
    for MaildirOf { path, .. } in account.maildirs() {
        match known_maildir(disk, store, path) {
            Ok(_) => {}
            Err(e) if path == account.maildir => return Err(e),
            Err(error) => unusable.push(Unusable { configured: path.to_owned(), error, is_in_place: false }),
        }
    }
    Ok(unusable)
}

/// Returns the user's decisions that are not needed. Blocks.
fn needless(disk: &dyn Disk, store: &Store, account: &Account, options: PollOptions) -> Vec<Decision> {
    let mut needless = Vec::new();
    if options.new_state && store.exists() {
        needless.push(Decision::NewState);
    }
    let is_good = |maildir: &MaildirOf<'_>| known_maildir(disk, store, maildir.path).is_ok();
    let is_known = || account.maildirs().iter().all(is_good) && store.maildirs_with_intents().is_empty();
    if options.other_maildir == OtherMaildirPolicy::Accept && is_known() {
        needless.push(Decision::AcceptMaildir);
    }
    needless
}
