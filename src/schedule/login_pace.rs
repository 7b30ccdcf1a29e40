//! Slows down logins at a server that has refused several. PURE.
//!
//! A server is a host and a port. Servers count refused logins per address, over all accounts, and block the address for
//! hours (fail2ban: five within ten minutes). So once some were refused, accounts whose login is not known to work wait for each other, so that the
//! server sees few more refusals within its window. Accounts whose last login worked go on as long as the server still
//! accepts logins: then it is not blocking the address. Those of them that wait go on once it accepts one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::account::AccountName;

/// The time over which refusals are counted.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Fewer refusals than this do not slow logins down: a user may mistype a password once or twice.
const HARMLESS: usize = 3;

/// The time between logins that are not known to work.
const UNPROVEN: Duration = Duration::from_secs(4 * 60);

/// The same for accounts whose last login worked, while the server accepts none.
const PROVEN: Duration = Duration::from_secs(30);

/// What is known of the logins at all servers, by [`crate::account::Endpoint::server`].
#[derive(Debug, Default)]
pub(crate) struct LoginPace {
    servers: BTreeMap<String, Logins>,
}

/// The logins at a server.
#[derive(Debug, Default)]
struct Logins {
    /// When it refused the latest ones, oldest first, since boot.
    refused: VecDeque<Duration>,
    /// When it last accepted one, since boot.
    let_in: Option<Duration>,
    /// When the last login began that had to wait for its turn, since boot.
    begun: Duration,
    /// Until when accounts wait, since boot, whose last login worked.
    waiting: BTreeMap<AccountName, Duration>,
}

impl LoginPace {
    /// Records a refused login.
    pub(crate) fn refused(&mut self, server: &str, now: Duration) {
        let logins = self.servers.entry(server.to_owned()).or_default();
        if logins.refused.len() > HARMLESS {
            logins.refused.pop_front();
        }
        logins.refused.push_back(now);
    }

    /// Records a successful login. Returns the accounts that need not wait any more, with the time until which they
    /// were to wait, since boot.
    pub(crate) fn let_in(&mut self, server: &str, now: Duration) -> BTreeMap<AccountName, Duration> {
        let Some(logins) = self.servers.get_mut(server) else { return BTreeMap::new() };
        logins.let_in = Some(now);
        std::mem::take(&mut logins.waiting)
    }

    /// Forgets the refusals at a server, because the user has changed something or wants to test it.
    pub(crate) fn forget(&mut self, server: &str) {
        self.servers.remove(server);
    }

    /// Returns until when an account at the server has to wait, since boot; None if it may begin, which is recorded.
    /// `proven` says that its last login worked.
    pub(crate) fn wait(
        &mut self,
        server: &str,
        account: &AccountName,
        proven: bool,
        now: Duration,
    ) -> Option<Duration> {
        let logins = self.servers.get_mut(server)?;
        logins.waiting.remove(account);
        logins.refused.retain(|time| now.saturating_sub(*time) < WINDOW);
        if logins.refused.is_empty() {
            self.forget(server);
            return None;
        }
        let last = logins.refused.back().copied().unwrap_or_default();
        let lets_in = logins.let_in.is_some_and(|time| time >= last);
        if logins.refused.len() < HARMLESS || (proven && lets_in) {
            return None;
        }
        let apart = if proven { PROVEN } else { UNPROVEN };
        let next = last.max(logins.begun).saturating_add(apart);
        if next > now {
            if proven {
                logins.waiting.insert(account.clone(), next);
            }
            return Some(next);
        }
        logins.begun = now;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "pop.example.org:995";

    fn name(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    /// What an account at the server is told.
    fn wait(pace: &mut LoginPace, proven: bool, now: Duration) -> Option<Duration> {
        pace.wait(SERVER, &name("a"), proven, now)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100_000 + seconds)
    }

    fn refusing(times: u64) -> LoginPace {
        let mut pace = LoginPace::default();
        (0..times).for_each(|second| pace.refused(SERVER, at(second)));
        pace
    }

    #[test]
    fn two_refusals_slow_nobody_down() {
        assert_eq!(wait(&mut refusing(2), false, at(3)), None);
        assert!(wait(&mut refusing(3), false, at(3)).is_some());
        for other in ["other.example:995", "pop.example.org:110"] {
            assert_eq!(refusing(3).wait(other, &name("a"), false, at(3)), None, "another server");
        }
    }

    #[test]
    fn many_wrong_passwords_come_one_by_one() {
        let mut pace = refusing(3);
        assert_eq!(wait(&mut pace, false, at(3)), Some(at(242)));
        assert_eq!(wait(&mut pace, false, at(242)), None, "one may go");
        assert_eq!(wait(&mut pace, false, at(242)), Some(at(482)), "and the next one later");
        // A day with 40 wrong passwords, each tried as soon as allowed.
        let mut logins: Vec<Duration> = (0..3).map(at).collect();
        let (mut pace, mut now) = (refusing(3), at(3));
        while now < at(86_400) {
            match wait(&mut pace, false, now) {
                None => {
                    logins.push(now);
                    pace.refused(SERVER, now);
                }
                Some(until) => assert!(until > now),
            }
            now += Duration::from_secs(1);
        }
        let most = logins
            .iter()
            .map(|begun| logins.iter().filter(|time| **time >= *begun && **time < *begun + WINDOW).count());
        assert!(most.max() <= Some(5), "fail2ban would lock us out");
    }

    #[test]
    fn what_was_good_before_goes_on_while_the_server_lets_anybody_in() {
        let mut pace = refusing(5);
        assert_eq!(wait(&mut pace, true, at(5)), Some(at(34)), "it may refuse everybody");
        assert_eq!(wait(&mut pace, true, at(34)), None);
        let wakes = pace.let_in(SERVER, at(35));
        assert!(wakes.is_empty(), "it has begun");
        for second in 36..40 {
            assert_eq!(wait(&mut pace, true, at(second)), None);
        }
        assert!(wait(&mut pace, false, at(40)).is_some(), "the others still wait");
    }

    #[test]
    fn it_passes_by_itself_and_when_a_person_acts() {
        let mut pace = refusing(5);
        assert_eq!(wait(&mut pace, false, at(700)), None);
        assert!(pace.servers.is_empty(), "nothing is kept");
        let mut pace = refusing(5);
        pace.forget(SERVER);
        assert_eq!(wait(&mut pace, false, at(6)), None);
    }

    #[test]
    fn an_accepted_login_ends_the_wait_of_those_whose_last_login_worked() {
        let mut pace = refusing(3);
        assert_eq!(pace.wait(SERVER, &name("proven"), true, at(3)), Some(at(32)));
        assert!(pace.wait(SERVER, &name("new"), false, at(3)).is_some());
        assert_eq!(pace.let_in("pop.example.org:110", at(4)), BTreeMap::new(), "another server");
        assert_eq!(pace.let_in(SERVER, at(5)), BTreeMap::from([(name("proven"), at(32))]));
        assert_eq!(pace.let_in(SERVER, at(6)), BTreeMap::new(), "once");
        // One that has begun meanwhile does not wait.
        pace.refused(SERVER, at(7));
        assert_eq!(pace.wait(SERVER, &name("proven"), true, at(7)), Some(at(37)));
        assert_eq!(pace.wait(SERVER, &name("proven"), true, at(37)), None);
        assert_eq!(pace.let_in(SERVER, at(38)), BTreeMap::new());
    }
}
