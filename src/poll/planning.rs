//! What a session is to do: a look at the headers that decide something, then the plan.

use std::collections::HashSet;

use tracing::{debug, warn};

use super::error::PollError;
use super::report::PollReport;
use super::session::sync_directories;
use super::{Poll, Shelf, blocking};
use crate::account::{Account, RemovalPolicy};
use crate::client::Client;
use crate::client::listing::look;
use crate::disk::DirSync;
use crate::maildrop::Maildrop;
use crate::plan::{Done, Outlook, Plan, Policy, Scope, Seen};
use crate::pop3::Capabilities;
use crate::state::entries::{ListedAs, UidState};
use crate::state::store::Store;

/// To look at so many headers takes a while, so the user is told why.
const MANY_HEADERS: usize = 20_000;

impl Poll {
    /// Decides what to do, after a look at the headers that matter.
    pub(super) async fn plan(
        &self,
        client: &mut Client,
        capabilities: Option<&Capabilities>,
        maildrop: &Maildrop,
        shelf: &mut Shelf,
        report: &mut PollReport,
    ) -> Result<Plan, PollError> {
        let store = shelf.as_ref().ok_or(PollError::Fault)?;
        let mut policy = Policy {
            removal: if report.unsyncable { RemovalPolicy::Keep } else { self.account.removal },
            max_message_size: self.account.max_message_size,
            max_messages: self.account.max_messages_per_session,
            // A server without CAPA cannot say that it has TOP; asking costs nothing.
            has_top: capabilities.is_none_or(Capabilities::top),
            moved: is_moved(store, &self.account),
            renumbered: report.renumbered > 0 || report.on_suspicion,
            scope: self.scope,
        };
        let tried = self.not_in_this_session(store.state(), store.now());
        let done = Done { tried: &tried, compared: &self.compared };
        let outlook = Outlook::new(maildrop, store.state(), done, store.now());
        let seen = look_at_headers(client, &outlook, &mut policy).await?;
        let mut plan = outlook.plan(&policy, &seen);
        if !plan.delete.is_empty() || plan.retrieves_to_delete {
            // Where a power cut may take away what was delivered, nothing is deleted, or retrieved only to be.
            if blocking(shelf, |store| sync_directories(store)).await?? == DirSync::Unsupported {
                report.unsyncable = true;
                policy.removal = RemovalPolicy::Keep;
                let store = shelf.as_ref().ok_or(PollError::Fault)?;
                plan = Outlook::new(maildrop, store.state(), done, store.now()).plan(&policy, &seen);
            }
        }
        if plan.unrecognisable > 0 && !self.wishes.fetch_again {
            return Err(PollError::Renumbered { account: self.account.name.clone(), messages: plan.unrecognisable });
        }
        debug!(
            retrieve = plan.retrieve.len(),
            delete = plan.delete.len(),
            known = plan.known,
            "of {} messages on the server",
            maildrop.messages.len()
        );
        Ok(plan)
    }

    /// Each message at which sessions ended has a session of its own: if that one ends early, too, it is clear at what.
    fn not_in_this_session(&self, state: &UidState, now: u64) -> HashSet<ListedAs> {
        let mut others = self.tried.clone();
        if self.scope == Scope::Suspects {
            let due = state.troubles().filter(|(_, trouble)| trouble.until <= now).map(|(listed_as, _)| listed_as);
            others.extend(due.filter(|listed_as| Some(*listed_as) != self.suspects.front()).cloned());
        }
        others
    }
}

/// Looks at the headers that decide something.
async fn look_at_headers(client: &mut Client, outlook: &Outlook<'_>, policy: &mut Policy) -> Result<Seen, PollError> {
    let mut numbers = outlook.look_at(policy);
    let mut seen = Seen::new();
    // What the plan needs, then a sample of what may have been renumbered, then the rest of that.
    for _ in 0..3 {
        if numbers.len() >= MANY_HEADERS {
            warn!("comparing the headers of {} messages with those fetched before", numbers.len());
        }
        seen.extend(look(client, &numbers).await?);
        // A server that shows none of them has no TOP, whatever it says. That is no permission: bytes have to tell then.
        policy.has_top &= numbers.is_empty() || !seen.is_empty();
        numbers = outlook.look_for_renumbering(policy, &seen);
        if numbers.is_empty() {
            break;
        }
    }
    Ok(seen)
}

/// Whether the account points at another server than when the state was last written.
pub(super) fn is_moved(store: &Store, account: &Account) -> bool {
    !store.state().identity().host.eq_ignore_ascii_case(&account.endpoint.host)
}
