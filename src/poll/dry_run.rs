//! The end of a session of a dry run: what would be done is told, with where each message would go as far as its header
//! shows that.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::Poll;
use super::events::PollEvent;
use super::report::{Place, WouldDo, WouldGo};
use super::session::Ended;
use crate::account::RemovalPolicy;
use crate::client::headers::{Shown, headers};
use crate::client::{Client, ClientError};
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{Plan, Removable};
use crate::pop3::MessageNumber;
use crate::routing::{HEADER_MOST, HeaderEnd, Route};

/// So many headers are asked for: more would make a look longer than what it looks at.
const MOST_HEADERS: usize = 500;

impl Poll {
    /// Tells what would be done, and does nothing of it.
    pub(super) async fn dry_run(&self, mut client: Client, plan: Plan, maildrop: &Maildrop) -> Ended {
        let delete = plan.delete.iter().map(Removable::number).collect::<BTreeSet<MessageNumber>>();
        let (into, asked) = self.destinations(&mut client, &plan).await;
        self.events.tell(&PollEvent::WouldDo(&WouldDo {
            into,
            delete: maildrop.messages.iter().filter(|listed| delete.contains(&listed.number)).cloned().collect(),
            removal: if self.unsyncable { RemovalPolicy::Keep } else { self.account.removal },
            postponed: plan.postponed,
            retrieve: plan.retrieve,
        }));
        // Where a session has ended at a header, there is nobody to say goodbye to.
        if asked.is_ok() {
            self.quit_in_order(client).await;
        }
        Ended::default()
    }

    /// Where what would be retrieved would go.
    async fn destinations(&self, client: &mut Client, plan: &Plan) -> (WouldGo, Result<(), ClientError>) {
        if !self.account.routing.looks_at_headers() {
            return (WouldGo::To(self.place(None)), Ok(()));
        }
        let first = plan.retrieve.iter().take(MOST_HEADERS).map(|listed: &Listed| listed.number);
        let numbers: Vec<MessageNumber> = if plan.has_top { first.collect() } else { Vec::new() };
        let mut seen = HashMap::with_capacity(numbers.len());
        let each = |number, shown: Shown<'_>| {
            let places = match shown {
                Shown::Header(header) => self.places(header),
                // What is too long to be looked into goes where those go that no rule names.
                Shown::TooLong => BTreeSet::from([self.place(None)]),
                Shown::Refused => return,
            };
            seen.insert(number, places);
        };
        let asked = tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(()),
            asked = headers(client, &numbers, HEADER_MOST, None, each) => asked,
        };
        (WouldGo::ByHeader { seen }, asked)
    }

    /// Where a message with this header would go, each place once.
    fn places(&self, shown: &[u8]) -> BTreeSet<Place> {
        let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
        match self.account.routing.route_of_fetched(shown.get(..end).unwrap_or(shown)) {
            Route::Own | Route::Skip => BTreeSet::from([self.place(None)]),
            Route::Other(path) => BTreeSet::from([self.place(Some(path))]),
            Route::Several(several) => several.into_iter().map(|path| self.place(path)).collect(),
        }
    }

    /// A Maildir of the account, None its own; what is in its spool goes on.
    fn place(&self, path: Option<&Path>) -> Place {
        let path = path.unwrap_or(&self.account.maildir);
        let spool = self.context.state_dir.join(self.account.name.spool());
        match &self.account.forward {
            Some(forward) if *path == *spool => Place::Forwarded(forward.to.to_string()),
            _ => Place::Maildir(path.to_owned()),
        }
    }
}
