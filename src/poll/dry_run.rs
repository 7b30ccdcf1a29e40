//! The end of a dry run: reports what would be done, and where each message would go as far as its header tells.

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

/// The most headers that are requested: more would take longer than what is being previewed.
const MOST_HEADERS: usize = 500;

impl Poll {
    /// Reports what would be done, without doing it.
    pub(super) async fn dry_run(&self, mut client: Client, plan: Plan, maildrop: &Maildrop) -> Ended {
        let delete = plan.delete.iter().map(Removable::number).collect::<BTreeSet<MessageNumber>>();
        let (into, asked) = self.destinations(&mut client, &plan).await;
        self.events.tell(&PollEvent::WouldDo(&WouldDo {
            into,
            delete: maildrop.messages.iter().filter(|listed| delete.contains(&listed.number)).cloned().collect(),
            removal: if self.unsyncable { RemovalPolicy::Keep } else { self.account.removal },
            postponed: plan.postponed.saturating_sub(self.kept_out_by_spool),
            kept_out_by_spool: self.kept_out_by_spool,
            retrieve: plan.retrieve,
        }));
        // If the session broke at a header, there is no connection for QUIT.
        if asked.is_ok() {
            self.quit_in_order(client).await;
        }
        Ended::default()
    }

    /// Finds out where the messages to retrieve would go.
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
                // A message with too long a header goes where messages that match no rule go.
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

    /// Returns the places where a message with this header would go, each once.
    fn places(&self, shown: &[u8]) -> BTreeSet<Place> {
        let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
        match self.account.routing.route_of_fetched(shown.get(..end).unwrap_or(shown)) {
            Route::Own | Route::Skip => BTreeSet::from([self.place(None)]),
            Route::Other(path) => BTreeSet::from([self.place(Some(path))]),
            Route::Several(several) => several.into_iter().map(|path| self.place(path)).collect(),
        }
    }

    /// Returns the place for a Maildir of the account, `None` meaning its own; messages in its spool are forwarded.
    fn place(&self, path: Option<&Path>) -> Place {
        let path = path.unwrap_or(&self.account.maildir);
        let spool = self.context.state_dir.join(self.account.name.spool());
        match &self.account.forward {
            Some(forward) if *path == *spool => Place::Forwarded(forward.to.to_string()),
            _ => Place::Maildir(path.to_owned()),
        }
    }
}
