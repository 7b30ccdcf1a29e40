//! Slows down logins at a server that has refused several. PURE.
//!
//! Servers count refused logins per address, over all accounts, and block the address for hours (fail2ban: five within
//! ten minutes). So once some were refused, accounts whose login is not known to work wait for each other, so that the
//! server sees few more refusals within its window. Accounts whose last login worked go on as long as the server still
//! accepts logins: then it is not blocking the address.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The time over which refusals are counted.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Fewer refusals than this do not slow logins down: a user may mistype a password once or twice.
const HARMLESS: usize = 3;

/// The time between logins that are not known to work.
const UNPROVEN: Duration = Duration::from_secs(4 * 60);

/// The same for accounts whose last login worked, while the server accepts none.
const PROVEN: Duration = Duration::from_secs(30);

/// What is known of the logins at all servers, by host name in lower case.
#[derive(Debug, Default)]
pub(crate) struct LoginPace {
    hosts: BTreeMap<String, Logins>,
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
}

impl LoginPace {
    /// Records a refused login.
    pub(crate) fn refused(&mut self, host: &str, now: Duration) {
        let logins = self.hosts.entry(host.to_ascii_lowercase()).or_default();
        if logins.refused.len() > HARMLESS {
            logins.refused.pop_front();
        }
        logins.refused.push_back(now);
    }

    /// Records a successful login.
    pub(crate) fn let_in(&mut self, host: &str, now: Duration) {
        if let Some(logins) = self.hosts.get_mut(&host.to_ascii_lowercase()) {
            logins.let_in = Some(now);
        }
    }

    /// Forgets the refusals at a server, because the user has changed something or wants to test it.
    pub(crate) fn forget(&mut self, host: &str) {
        self.hosts.remove(&host.to_ascii_lowercase());
    }

    /// Returns until when an account at the server has to wait, since boot; None if it may begin, which is recorded.
    /// `proven` says that its last login worked.
    pub(crate) fn wait(&mut self, host: &str, proven: bool, now: Duration) -> Option<Duration> {
        let logins = self.hosts.get_mut(&host.to_ascii_lowercase())?;
        logins.refused.retain(|time| now.saturating_sub(*time) < WINDOW);
        if logins.refused.is_empty() {
            self.forget(host);
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
            return Some(next);
        }
        logins.begun = now;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "pop.example.org";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100_000 + seconds)
    }

    fn refusing(times: u64) -> LoginPace {
        let mut pace = LoginPace::default();
        (0..times).for_each(|second| pace.refused(HOST, at(second)));
        pace
    }

    #[test]
    fn two_refusals_slow_nobody_down() {
        assert_eq!(refusing(2).wait(HOST, false, at(3)), None);
        assert_eq!(refusing(3).wait("other.example", false, at(3)), None, "another server");
    }

    #[test]
    fn many_wrong_passwords_come_one_by_one() {
        let mut pace = refusing(3);
        assert_eq!(pace.wait("POP.example.org", false, at(3)), Some(at(242)));
        assert_eq!(pace.wait(HOST, false, at(242)), None, "one may go");
        assert_eq!(pace.wait(HOST, false, at(242)), Some(at(482)), "and the next one later");
        // A day with 40 wrong passwords, each tried as soon as allowed.
        let mut logins: Vec<Duration> = (0..3).map(at).collect();
        let (mut pace, mut now) = (refusing(3), at(3));
        while now < at(86_400) {
            match pace.wait(HOST, false, now) {
                None => {
                    logins.push(now);
                    pace.refused(HOST, now);
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
        assert_eq!(pace.wait(HOST, true, at(5)), Some(at(34)), "it may refuse everybody");
        assert_eq!(pace.wait(HOST, true, at(34)), None);
        pace.let_in(HOST, at(35));
        for second in 36..40 {
            assert_eq!(pace.wait(HOST, true, at(second)), None);
        }
        assert!(pace.wait(HOST, false, at(40)).is_some(), "the others still wait");
    }

    #[test]
    fn it_passes_by_itself_and_when_a_person_acts() {
        let mut pace = refusing(5);
        assert_eq!(pace.wait(HOST, false, at(700)), None);
        assert!(pace.hosts.is_empty(), "nothing is kept");
        let mut pace = refusing(5);
        pace.forget(HOST);
        assert_eq!(pace.wait(HOST, false, at(6)), None);
    }
}
