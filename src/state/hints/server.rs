//! What earlier sessions showed about a server. PURE.

use serde::{Deserialize, Serialize};

use super::beyond_limits::BeyondLimits;
use super::term::holds;
use crate::account::{Endpoint, TlsMode};

/// How long a server that fails when commands are pipelined gets one command at a time, in seconds: 7 days, since it
/// may be repaired.
const ONE_AT_A_TIME_FOR: u64 = 7 * 86_400;

/// How long a login method that failed is tried after the others, in seconds: 7 days.
const FAILED_LOGINS_FOR: u64 = 7 * 86_400;
/// How long a server that did not answer the large TLS ClientHello gets the small one first, in seconds: 7 days, since
/// the device in between that dropped it may be replaced.
const CLASSICAL_FOR: u64 = 7 * 86_400;

/// How long a server that let no second session begin gets none only to see whether unique-ids last, in seconds: an hour
/// at first, twice as long each time.
const NO_SECOND_LOOK_AT_FIRST: u64 = 3600;

/// The longest such time: 7 days.
const NO_SECOND_LOOK_FOR: u64 = 7 * 86_400;

/// From how many failures in a row on it counts as the server's doing if the connection for such a session fails.
const SECOND_LOOKS_FAILED: u32 = 3;

/// How long a server that does not tell the size of a single message is asked for all sizes first, in seconds: 7 days.
const SIZES_FIRST_FOR: u64 = 7 * 86_400;

/// At least this many new messages must have come in another size than listed before sizes count as estimates.
const MANY_OFF: u32 = 10;

/// The statistics of sizes cover at most this many messages; older ones are discounted.
const LATELY: u32 = 256;

/// After this many broken sessions in a row with commands in flight, pipelining is switched off for a try.
const SUSPICIOUS: u8 = 2;

/// What earlier sessions showed about a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerHints {
    /// The host.
    host: String,
    /// The port.
    port: u16,
    /// The TLS mode as configured.
    tls: String,
    /// The lines of the last CAPA response before the login, inside TLS if TLS is used. None if it has to be requested.
    pub before_login: Option<Vec<String>>,
    /// The lines of the last CAPA response after the login.
    pub after_login: Option<Vec<String>>,
    /// How much of a maildrop the server lists.
    pub listing: Listing,
    /// How many sessions in a row broke with several commands in flight.
    strikes: u8,
    /// Until when commands are sent one at a time, in trusted seconds of the state. 0: not at present.
    one_at_a_time_until: u64,
    /// The login methods that failed, the most recent failure last.
    failed_logins: Vec<String>,
    /// Until when these are tried after the others, in trusted seconds of the state.
    failed_logins_until: u64,
    /// Until when TLS begins without the large key share, in trusted seconds of the state. 0: not at present.
    classical_until: u64,
    /// Until when all sizes are requested before any message, in trusted seconds of the state. 0: not at present.
    sizes_first_until: u64,
    /// Until when no session is held only to see whether unique-ids last, in trusted seconds of the state. 0: not at
    /// present.
    no_second_look_until: u64,
    /// How many such sessions in a row could not begin.
    second_looks_failed: u32,
    /// How many new messages recently came in the size that they were listed with.
    sizes_exact: u32,
    /// How many recently came in another size.
    sizes_off: u32,
    /// The messages that went beyond their limits.
    pub beyond_limits: BeyondLimits,
}

/// How much of a maildrop a server lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// Not known yet.
    #[default]
    Unknown,
    /// All of it.
    Everything,
    /// A limited number of messages at a time; the next ones are listed once these have been retrieved.
    Portions,
}

impl ServerHints {
    /// Hints about a server of which nothing is known.
    #[must_use]
    pub fn new(endpoint: &Endpoint) -> Self {
        let (host, tls) = (endpoint.host.to_ascii_lowercase(), tls_name(endpoint.tls).to_owned());
        Self { host, port: endpoint.port, tls, ..Self::default() }
    }

    /// Whether the hints are about this server.
    #[must_use]
    pub fn is_about(&self, endpoint: &Endpoint) -> bool {
        self.host.eq_ignore_ascii_case(&endpoint.host)
            && self.port == endpoint.port
            && self.tls == tls_name(endpoint.tls)
    }

    /// Whether commands should be sent one at a time; `now` is in trusted seconds.
    #[must_use]
    pub fn one_at_a_time(&self, now: u64) -> bool {
        self.strikes >= SUSPICIOUS || holds(self.one_at_a_time_until, now, ONE_AT_A_TIME_FOR)
    }

    /// Whether TLS should begin without the large key share; `now` is in trusted seconds.
    #[must_use]
    pub fn needs_classical(&self, now: u64) -> bool {
        holds(self.classical_until, now, CLASSICAL_FOR)
    }

    /// Records that TLS worked only without the large key share.
    pub fn note_needs_classical(&mut self, now: u64) {
        self.classical_until = now.saturating_add(CLASSICAL_FOR);
    }

    /// Whether a session may be held only to see whether unique-ids last; `now` is in trusted seconds.
    #[must_use]
    pub fn bears_second_looks(&self, now: u64) -> bool {
        !holds(self.no_second_look_until, now, NO_SECOND_LOOK_FOR)
    }

    /// Records that such a session has begun.
    pub fn note_second_look(&mut self) {
        (self.no_second_look_until, self.second_looks_failed) = (0, 0);
    }

    /// Records that such a session could not begin, because the server refused it or because the connection failed. The
    /// latter is the network's fault, unless it happens again and again.
    pub fn note_no_second_look(&mut self, now: u64, is_refused: bool) {
        self.second_looks_failed = self.second_looks_failed.saturating_add(1);
        let refusals = match is_refused {
            true => self.second_looks_failed,
            false => (self.second_looks_failed + 1).saturating_sub(SECOND_LOOKS_FAILED),
        };
        if let Some(earlier) = refusals.checked_sub(1) {
            let how_long = NO_SECOND_LOOK_AT_FIRST.saturating_mul(1 << earlier.min(10)).min(NO_SECOND_LOOK_FOR);
            self.no_second_look_until = now.saturating_add(how_long);
        }
    }

    /// Whether the size of a message may be requested along with the message; `now` is in trusted seconds.
    #[must_use]
    pub fn takes_sizes_beside(&self, now: u64) -> bool {
        !holds(self.sizes_first_until, now, SIZES_FIRST_FOR)
    }

    /// Records that the size of a message did not come when requested along with it.
    pub fn note_sizes_first(&mut self, now: u64) {
        self.sizes_first_until = now.saturating_add(SIZES_FIRST_FOR);
    }

    /// Records how many new messages came in the size that they were listed with, and how many in another. Older counts
    /// are discounted, since a server may be fixed.
    pub fn note_fit(&mut self, exact: u32, off: u32) {
        self.sizes_exact = self.sizes_exact.saturating_add(exact);
        self.sizes_off = self.sizes_off.saturating_add(off);
        while self.sizes_exact.saturating_add(self.sizes_off) > LATELY {
            (self.sizes_exact, self.sizes_off) = (self.sizes_exact / 2, self.sizes_off / 2);
        }
    }

    /// Whether the listed sizes seem to be estimates: wrong not for a message here and there, but for three quarters of
    /// them. This saves retrievals where mail stays on the server. It permits no deletion: a server that sends notices
    /// in place of its messages for a while looks the same.
    #[must_use]
    pub fn sizes_are_mostly_off(&self) -> bool {
        self.sizes_off >= MANY_OFF && self.sizes_off / 3 >= self.sizes_exact
    }

    /// How many messages recently came in the size that they were listed with.
    #[must_use]
    pub fn sizes_exact(&self) -> u32 {
        self.sizes_exact
    }

    /// Records that a session broke; `ahead` says whether several commands were in flight.
    pub fn note_broken(&mut self, ahead: bool) {
        // A session that broke with one command at a time was not broken by pipelining.
        self.strikes = if ahead { self.strikes.saturating_add(1).min(SUSPICIOUS) } else { 0 };
    }

    /// Has the next session send one command at a time: pipelined ones may have broken this one.
    pub fn try_one_at_a_time_next(&mut self) {
        self.strikes = SUSPICIOUS;
    }

    /// Records that the first commands after the login got no answers when pipelined, but did at once when sent one at
    /// a time.
    pub fn note_worked_one_at_a_time(&mut self, now: u64) {
        self.strikes = self.strikes.saturating_add(1).min(SUSPICIOUS);
        if self.strikes == SUSPICIOUS {
            self.blame_sending_ahead(now);
        }
    }

    /// Records that a session ended in order; `ahead` says whether commands were pipelined, `retrieved` whether there
    /// was mail.
    pub fn note_in_order(&mut self, ahead: bool, retrieved: bool, now: u64) {
        if !ahead && retrieved && self.strikes == SUSPICIOUS {
            self.blame_sending_ahead(now);
        } else if ahead {
            self.strikes = 0;
        }
    }

    /// The login methods to be tried after the others; `now` is in trusted seconds.
    pub fn failed_logins(&self, now: u64) -> impl Iterator<Item = &str> {
        let counts = holds(self.failed_logins_until, now, FAILED_LOGINS_FOR);
        self.failed_logins.iter().filter(move |_| counts).map(String::as_str)
    }

    /// Records that a login method failed.
    pub fn note_failed_login(&mut self, method: &str, now: u64) {
        if self.failed_logins(now).next().is_none() {
            self.failed_logins.clear();
        }
        self.failed_logins.retain(|known| known != method);
        self.failed_logins.push(method.to_owned());
        self.failed_logins_until = now.saturating_add(FAILED_LOGINS_FOR);
    }

    /// Records that a login method succeeded.
    pub fn note_login(&mut self, method: &str) {
        self.failed_logins.retain(|known| known != method);
    }

    fn blame_sending_ahead(&mut self, now: u64) {
        self.strikes = 0;
        self.one_at_a_time_until = now.saturating_add(ONE_AT_A_TIME_FOR);
    }
}

fn tls_name(tls: TlsMode) -> &'static str {
    match tls {
        TlsMode::Implicit => "implicit",
        TlsMode::StartTls => "starttls",
        TlsMode::None => "none",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const WEEK: u64 = ONE_AT_A_TIME_FOR;

    pub(in super::super) fn endpoint() -> Endpoint {
        let (tls_ca_file, key_exchange, allow_cleartext_password) = (None, Default::default(), false);
        Endpoint {
            host: "Pop.example.org".into(),
            port: 995,
            tls: TlsMode::Implicit,
            tls_ca_file,
            key_exchange,
            allow_cleartext_password,
            route: Default::default(),
            tls_options: Default::default(),
        }
    }

    #[test]
    fn a_server_that_refuses_a_second_look_is_spared_it_for_longer_each_time() {
        let mut server = ServerHints::new(&endpoint());
        let mut now = 0;
        for hours in [1, 2, 4, 8, 16, 32, 64, 128, 168, 168] {
            server.note_no_second_look(now, true);
            now += hours * 3600;
            assert!(!server.bears_second_looks(now - 1) && server.bears_second_looks(now), "{hours}");
        }
        server.note_second_look();
        for failed in [false, false, true] {
            server.note_no_second_look(now, false);
            assert_eq!(server.bears_second_looks(now), !failed, "a connection may fail");
        }
        assert!(server.bears_second_looks(now + 3600));
    }

    #[test]
    fn hints_are_about_one_server() {
        let (hints, here) = (ServerHints::new(&endpoint()), endpoint());
        assert!(hints.is_about(&here));
        for other in [
            Endpoint { host: "pop.example.com".into(), ..endpoint() },
            Endpoint { port: 110, ..endpoint() },
            Endpoint { tls: TlsMode::StartTls, ..endpoint() },
        ] {
            assert!(!hints.is_about(&other), "{other:?}");
        }
    }

    #[test]
    fn sending_ahead_is_blamed_when_it_broke_twice_and_one_at_a_time_worked() {
        let mut hints = ServerHints::new(&endpoint());
        hints.note_broken(true);
        assert!(!hints.one_at_a_time(100), "once may be the network");
        hints.note_broken(true);
        assert!(hints.one_at_a_time(100));
        hints.note_in_order(false, false, 100);
        assert!(hints.one_at_a_time(100), "nothing was retrieved, so nothing was tried");
        hints.note_in_order(false, true, 100);
        assert!(hints.one_at_a_time(100 + WEEK - 1) && !hints.one_at_a_time(100 + WEEK), "{hints:?}");
        let mut hints = ServerHints::new(&endpoint());
        hints.note_worked_one_at_a_time(5);
        assert!(!hints.one_at_a_time(5));
        hints.note_worked_one_at_a_time(5);
        assert!(hints.one_at_a_time(5 + WEEK - 1) && !hints.one_at_a_time(5 + WEEK));
    }

    #[test]
    fn a_way_to_log_in_that_came_to_nothing_is_tried_last_for_a_week() {
        let mut hints = ServerHints::new(&endpoint());
        let failed = |hints: &ServerHints, now| hints.failed_logins(now).map(str::to_owned).collect::<Vec<_>>();
        assert!(failed(&hints, 0).is_empty());
        hints.note_failed_login("plain", 100);
        hints.note_failed_login("user", 100);
        hints.note_failed_login("plain", 100);
        assert_eq!(failed(&hints, 100), ["user", "plain"], "the last one at the end");
        hints.note_login("user");
        assert_eq!(failed(&hints, 100 + WEEK - 1), ["plain"]);
        assert!(failed(&hints, 100 + WEEK).is_empty());
        assert!(failed(&hints, 5).is_empty(), "a time of another clock");
        hints.note_failed_login("apop", 100 + 2 * WEEK);
        assert_eq!(failed(&hints, 100 + 2 * WEEK), ["apop"], "what was long ago is forgotten");
    }

    #[test]
    fn that_the_large_hello_was_not_answered_is_known_for_a_week() {
        let mut hints = ServerHints::new(&endpoint());
        assert!(!hints.needs_classical(0));
        hints.note_needs_classical(100);
        assert!(hints.needs_classical(100) && hints.needs_classical(100 + WEEK - 1));
        assert!(!hints.needs_classical(100 + WEEK));
        hints.classical_until = 10 * WEEK;
        assert!(!hints.needs_classical(0), "a time of another clock");
    }

    #[test]
    fn that_the_size_of_one_message_is_not_told_is_known_for_a_week() {
        let mut hints = ServerHints::new(&endpoint());
        assert!(hints.takes_sizes_beside(0));
        hints.note_sizes_first(100);
        assert!(!hints.takes_sizes_beside(100) && !hints.takes_sizes_beside(100 + WEEK - 1));
        assert!(hints.takes_sizes_beside(100 + WEEK));
        assert!(!hints.takes_sizes_beside(99), "the next poll may round the time otherwise");
        hints.sizes_first_until = 10 * WEEK;
        assert!(hints.takes_sizes_beside(0), "a time of another clock");
    }

    #[test]
    fn sending_ahead_is_not_blamed_for_what_happens_without_it_as_well() {
        let mut hints = ServerHints::new(&endpoint());
        hints.note_broken(true);
        hints.note_broken(true);
        hints.note_broken(false);
        assert!(!hints.one_at_a_time(0));
        hints.note_broken(true);
        hints.note_in_order(true, true, 0);
        hints.note_broken(true);
        assert!(!hints.one_at_a_time(0), "one that worked stands between them");
        hints.one_at_a_time_until = 10 * WEEK;
        assert!(!hints.one_at_a_time(0), "a time of another clock");
    }
}
