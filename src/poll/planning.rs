//! What a session is to do: a look at the headers that decide something, then the plan.

use std::collections::{HashMap, HashSet};

use tracing::{debug, warn};

use super::error::PollError;
use super::{Poll, Shelf};
use crate::account::Account;
use crate::client::Client;
use crate::client::listing::look;
use crate::maildrop::Maildrop;
use crate::plan::{Outlook, Plan, Policy, Scope};
use crate::pop3::{Capabilities, MessageNumber, UniqueId};
use crate::state::entries::UidState;
use crate::state::store::Store;
use crate::witness::Digest;

/// To look at so many headers takes a while, so the user is told why.
const MANY_HEADERS: usize = 20_000;

impl Poll {
    /// Decides what to do, after a look at the headers that matter.
    pub(super) async fn plan(
        &self,
        client: &mut Client,
        capabilities: Option<&Capabilities>,
        maildrop: &Maildrop,
        store: &Shelf,
        renumbered: bool,
    ) -> Result<Plan, PollError> {
        let store = store.as_ref().ok_or(PollError::Fault)?;
        let (state, now) = (store.state(), store.now());
        let mut policy = Policy {
            removal: self.account.removal,
            max_message_size: self.account.max_message_size,
            max_messages: self.account.max_messages_per_session,
            // A server without CAPA cannot say that it has TOP; asking costs nothing.
            has_top: capabilities.is_none_or(Capabilities::top),
            top_refused: false,
            moved: is_moved(store, &self.account),
            renumbered,
            scope: self.scope,
        };
        let tried = self.not_in_this_session(state, now);
        let outlook = Outlook::new(maildrop, state, &tried, now);
        let seen = look_at_headers(client, &outlook, &mut policy).await?;
        let plan = outlook.plan(&policy, &seen);
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
    fn not_in_this_session(&self, state: &UidState, now: u64) -> HashSet<UniqueId> {
        let mut others = self.tried.clone();
        if self.scope == Scope::Suspects {
            let due = state.troubles().filter(|(_, trouble)| trouble.until <= now).map(|(unique_id, _)| unique_id);
            others.extend(due.filter(|unique_id| Some(*unique_id) != self.suspects.front()).cloned());
        }
        others
    }
}

/// Looks at the headers that decide something.
async fn look_at_headers(
    client: &mut Client,
    outlook: &Outlook<'_>,
    policy: &mut Policy,
) -> Result<HashMap<MessageNumber, Digest>, PollError> {
    let mut numbers = outlook.look_at(policy);
    let mut seen = HashMap::new();
    // What the plan needs, then a sample of what may have been renumbered, then the rest of that.
    for _ in 0..3 {
        if numbers.len() >= MANY_HEADERS {
            warn!("comparing the headers of {} messages with those fetched before", numbers.len());
        }
        seen.extend(look(client, &numbers).await?);
        // A server that shows none of them has no TOP, whatever it says.
        policy.top_refused |= policy.has_top && !numbers.is_empty() && seen.is_empty();
        policy.has_top &= !policy.top_refused;
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
