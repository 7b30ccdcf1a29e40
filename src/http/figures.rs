//! The data for pages and metrics: sums over all accounts, their names, and as much about those in trouble as is shown.
//! That is little even for many accounts.

use super::failures::Cards;
use super::forwarding::NotForwarded;
use crate::control::status::{AccountStatus, Came, State, Status};

/// Up to this many accounts are kept in full.
pub(super) const FEW: usize = 1000;

/// All states of an account.
pub(super) const STATES: [State; 7] =
    [State::New, State::Idle, State::Polling, State::Queued, State::Hung, State::Held, State::Failing];

/// Figures about all accounts at one moment.
#[derive(Debug)]
pub(super) struct Figures {
    /// The part of the status about the daemon itself, with all accounts if they are few, without their history.
    pub(super) status: Status,
    /// The names of all accounts, sorted.
    pub(super) names: Vec<Box<str>>,
    /// How many accounts are in each of [`STATES`].
    pub(super) states: [usize; STATES.len()],
    /// How many accounts a person should look at.
    pub(super) in_trouble: usize,
    /// How many accounts have not been polled yet.
    pub(super) new: usize,
    /// How many messages are in quarantine.
    pub(super) quarantined: usize,
    /// The mail that was fetched today.
    pub(super) today: Came,
    /// The mail that waits to be forwarded.
    pub(super) spooled: Came,
    /// When the oldest message that waits to be forwarded was delivered, in seconds since 1970.
    pub(super) oldest: Option<i64>,
    /// The accounts whose polls fail.
    pub(super) failures: Cards,
    /// The accounts whose mail is not forwarded.
    pub(super) not_forwarded: NotForwarded,
    /// How many messages are set aside.
    pub(super) set_aside: u64,
}

impl Figures {
    /// Starts without accounts; `head` is the part of the status about the daemon itself.
    pub(super) fn new(head: Status) -> Self {
        Self {
            status: Status { accounts: Vec::new(), ..head },
            names: Vec::new(),
            states: [0; STATES.len()],
            in_trouble: 0,
            new: 0,
            quarantined: 0,
            today: Came::default(),
            spooled: Came::default(),
            oldest: None,
            failures: Cards::default(),
            not_forwarded: NotForwarded::default(),
            set_aside: 0,
        }
    }

    /// Adds the next account. Accounts must come sorted by name.
    pub(super) fn add(&mut self, account: AccountStatus) {
        self.names.push(account.account.as_str().into());
        let same = self.states.iter_mut().zip(STATES).find(|(_, state)| *state == account.state);
        same.into_iter().for_each(|(count, _)| *count += 1);
        self.in_trouble += usize::from(account.is_in_trouble());
        self.new += usize::from(account.is_new());
        self.quarantined += account.quarantine.len();
        add(&mut self.today, account.today);
        if let Some(forward) = &account.forward {
            add(&mut self.spooled, Came { messages: forward.messages, octets: forward.octets });
            self.set_aside = self.set_aside.saturating_add(forward.set_aside);
            self.oldest = self.oldest.into_iter().chain(forward.oldest).min();
        }
        let account = AccountStatus { hours: Vec::new(), recent: Vec::new(), ..account };
        self.failures.add(&account);
        self.not_forwarded.add(&account);
        if self.names.len() <= FEW {
            self.status.accounts.push(account);
        } else {
            self.status.accounts = Vec::new();
        }
    }
}

fn add(sum: &mut Came, more: Came) {
    sum.messages = sum.messages.saturating_add(more.messages);
    sum.octets = sum.octets.saturating_add(more.octets);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_history::Hour;
    use crate::control::status::Failure;
    use crate::control::status::examples::{account, status};
    use crate::http::failures::Failures;
    use crate::schedule::Cause;

    #[test]
    fn of_many_accounts_sums_and_names_are_kept_and_the_failures_that_are_shown() {
        for (count, kept) in [(0, 0), (FEW, FEW), (FEW + 1, 0), (5 * FEW, 0)] {
            let mut figures = Figures::new(status(Vec::new()));
            for n in 0..count {
                let is_in_trouble = n % 100 == 0;
                // Later accounts have been in trouble for longer.
                let since = 80_000 - i64::try_from(n).unwrap();
                let failure = Failure { cause: Cause::Tls, times: 1, since, text: String::new() };
                figures.add(AccountStatus {
                    state: if is_in_trouble { State::Failing } else { State::Idle },
                    failure: is_in_trouble.then_some(failure),
                    hours: vec![Hour::default()],
                    ..account(&format!("a{n:04}"))
                });
            }
            assert_eq!(figures.status.accounts.len(), kept, "{count}");
            assert!(figures.status.accounts.iter().all(|account| account.hours.is_empty()));
            let shown = Failures(&figures.failures, 90_000).to_string();
            let named: Vec<&str> = shown.matches("href=\"/account/").collect();
            assert_eq!(named.len(), count.div_ceil(100).min(24), "{shown}");
            if count == 5 * FEW {
                assert!(shown.contains("50 accounts in trouble") && shown.contains("and 26 more"), "{shown}");
                assert!(shown.contains("/account/a4900") && !shown.contains("/account/a0000"), "{shown}");
            }
            assert_eq!((figures.names.len(), figures.in_trouble), (count, count.div_ceil(100)));
            assert_eq!(figures.states.iter().sum::<usize>(), count);
            assert_eq!(
                (figures.states[6], figures.today.messages),
                (figures.in_trouble, u64::try_from(count).unwrap())
            );
        }
    }
}
