//! The end of a dry run: reports what would be done, and where each message would go as far as its header tells.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::Poll;
use super::events::PollEvent;
use super::report::{MessageDestination, WouldDo, WouldGo};
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

/// What would become of the messages to retrieve.
struct Foreseen {
    /// Where they would go.
    into: WouldGo,
    /// Those that a rule leaves on the server all the same.
    stays: BTreeSet<MessageNumber>,
    /// How many more a rule may leave there.
    may_stay: usize,
}

/// Returns the header in what TOP has shown.
fn header_of(shown: &[u8]) -> &[u8] {
    HeaderEnd::default().find(shown).and_then(|end| shown.get(..end)).unwrap_or(shown)
}

impl Poll {
    /// Reports what would be done, without doing it.
    pub(super) async fn dry_run(&self, mut client: Client, plan: Plan, maildrop: &Maildrop) -> Ended {
        let delete = plan.delete.iter().map(Removable::number).collect::<BTreeSet<MessageNumber>>();
        let (Foreseen { into, stays, may_stay }, asked) = self.destinations(&mut client, &plan).await;
        self.events.tell(&PollEvent::WouldDo(&WouldDo {
            into,
            stays,
            may_stay,
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

    /// Finds out what becomes of the messages to retrieve.
    async fn destinations(&self, client: &mut Client, plan: &Plan) -> (Foreseen, Result<(), ClientError>) {
        let routing = &self.account.routing;
        if !routing.looks_at_headers() {
            let into = WouldGo::To(self.destination(None));
            return (Foreseen { into, stays: BTreeSet::new(), may_stay: 0 }, Ok(()));
        }
        let first = plan.retrieve.iter().take(MOST_HEADERS).map(|listed: &Listed| listed.number);
        let numbers: Vec<MessageNumber> = if plan.has_top { first.collect() } else { Vec::new() };
        let mut seen = HashMap::with_capacity(numbers.len());
        let (mut stays, mut refused) = (BTreeSet::new(), 0);
        let each = |number, shown: Shown<'_>| {
            let destinations = match shown {
                Shown::Header(shown) => {
                    let header = header_of(shown);
                    if routing.route(header) == Route::Skip {
                        stays.insert(number);
                    }
                    self.destinations_of(header)
                }
                // A message with too long a header goes where messages that match no rule go.
                Shown::TooLong => BTreeSet::from([self.destination(None)]),
                Shown::Refused => {
                    refused += 1;
                    return;
                }
            };
            seen.insert(number, destinations);
        };
        let asked = tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(()),
            asked = headers(client, &numbers, HEADER_MOST, None, each) => asked,
        };
        // Of those that are not asked for here, the plan has seen the headers.
        let unseen = if plan.has_top { refused } else { plan.retrieve.len() };
        let may_stay = if routing.skips() { unseen } else { 0 };
        (Foreseen { into: WouldGo::ByHeader { seen }, stays, may_stay }, asked)
    }

    /// Returns the destinations where a message with this header would go, each once.
    fn destinations_of(&self, header: &[u8]) -> BTreeSet<MessageDestination> {
        match self.account.routing.route_of_fetched(header) {
            Route::Own | Route::Skip => BTreeSet::from([self.destination(None)]),
            Route::Other(path) => BTreeSet::from([self.destination(Some(path))]),
            Route::Several(several) => several.into_iter().map(|path| self.destination(path)).collect(),
        }
    }

    /// Returns the destination for a Maildir of the account, `None` meaning its own; messages in its spool are
    /// forwarded.
    fn destination(&self, path: Option<&Path>) -> MessageDestination {
        let path = path.unwrap_or(&self.account.maildir);
        let spool = self.context.state_dir.join(self.account.name.spool());
        match &self.account.forward {
            Some(forward) if *path == *spool => MessageDestination::Forwarded(forward.to.to_string()),
            _ => MessageDestination::Maildir(path.to_owned()),
        }
    }
}
