//! What may be lost: what earlier sessions taught about an account's server, and how much came, in the file
//! `ACCOUNT.hints`.
//!
//! A hint that is missing or wrong costs round trips, never a message: whatever rests on one is checked in a session that
//! happens anyway, and no deletion rests on one. So the file is replaced without a sync, and one that cannot be read counts
//! as empty.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clean_listing::CleanListing;
use super::error::StateError;
use super::orphans::lock_file;
use super::ownership;
use super::saved::Saved;
use crate::account::{AccountName, Endpoint, TlsMode};
use crate::account_history::History;
use crate::disk::{Disk, Lock, Place, replace_whole};

/// A larger file is not ours, in bytes.
const MOST: u64 = 256 << 10;

/// How long a server that breaks when commands are sent ahead gets one at a time, in seconds: 7 days, since it may be
/// repaired.
const ONE_AT_A_TIME_FOR: u64 = 7 * 86_400;

/// How long a way to log in that came to nothing is tried after the others, in seconds: 7 days.
const FAILED_LOGINS_FOR: u64 = 7 * 86_400;
/// How long a server that did not answer the large first message of TLS gets the small one at once, in seconds: 7 days,
/// since whatever stands between may be replaced.
const CLASSICAL_FOR: u64 = 7 * 86_400;

/// How long a server that does not tell the size of one message is asked for all of them first, in seconds: 7 days.
const SIZES_FIRST_FOR: u64 = 7 * 86_400;

/// A poll that reads the state and one that does not round the time each in its own way; they are less than this apart, in
/// seconds.
const APART: u64 = 60;

/// So many new messages came in another size than they were listed with before the sizes seem to be estimates.
const MANY_OFF: u32 = 10;

/// Of so many messages it is known at most how their sizes were.
const LATELY: u32 = 256;

/// So many sessions in a row broke with commands under way: it is time to try without.
const SUSPICIOUS: u8 = 2;

/// What is hinted at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// The server that was talked to last.
    pub server: Option<ServerHints>,
    /// What came.
    pub past: Past,
    /// Where the account stood after the last poll that changed that.
    pub standing: Option<Saved>,
    /// The listing behind which nothing was left to do.
    pub clean: Option<CleanListing>,
    /// What the polls of the last weeks brought.
    pub history: History,
}

/// How much mail came, and when. For people: nothing is decided by it, but that an account to which mail came has lost its
/// state if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// How many messages were delivered, ever.
    pub messages: u64,
    /// Their octets, as they are stored.
    pub octets: u64,
    /// The day that the next two are about, as the user's calendar has it: `2026-11-25`.
    pub day: String,
    /// How many messages were delivered on that day.
    pub messages_that_day: u64,
    /// Their octets.
    pub octets_that_day: u64,
    /// When a message came last, in seconds since 1970.
    pub last_new_mail: Option<i64>,
    /// When a poll came to its end last, in seconds since 1970, as far as there was a reason to write it down.
    pub last_success: Option<i64>,
}

impl Past {
    /// Counts what a poll delivered.
    pub fn add(&mut self, messages: u64, octets: u64, day: &str, wall: i64) {
        if self.day != day {
            (self.messages_that_day, self.octets_that_day) = (0, 0);
            day.clone_into(&mut self.day);
        }
        self.messages = self.messages.saturating_add(messages);
        self.octets = self.octets.saturating_add(octets);
        self.messages_that_day = self.messages_that_day.saturating_add(messages);
        self.octets_that_day = self.octets_that_day.saturating_add(octets);
        self.last_new_mail = Some(wall);
    }

    /// What came on a day: messages and octets.
    #[must_use]
    pub fn on(&self, day: &str) -> (u64, u64) {
        if self.day == day { (self.messages_that_day, self.octets_that_day) } else { (0, 0) }
    }
}

/// What earlier sessions taught about a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerHints {
    /// The host that it is about.
    host: String,
    /// Its port.
    port: u16,
    /// How TLS begins there, as in the configuration.
    tls: String,
    /// The lines of CAPA's last answer before the login, inside TLS where there is TLS. None if it is to be asked.
    pub before_login: Option<Vec<String>>,
    /// Those of its last answer after the login.
    pub after_login: Option<Vec<String>>,
    /// How much of a maildrop the server lists.
    pub listing: Listing,
    /// How many sessions in a row broke while several commands were under way.
    strikes: u8,
    /// Until then, in trusted seconds of the state, commands are sent one at a time. 0: no longer.
    one_at_a_time_until: u64,
    /// The ways to log in that came to nothing, the one that did so last at the end.
    failed_logins: Vec<String>,
    /// Until then, in trusted seconds of the state, they are tried after the others.
    failed_logins_until: u64,
    /// Until then, in trusted seconds of the state, TLS begins without the large key share. 0: no longer.
    classical_until: u64,
    /// Until then, in trusted seconds of the state, all sizes are asked for before a message is. 0: no longer.
    sizes_first_until: u64,
    /// How many new messages came in the size that they were listed with, lately.
    sizes_exact: u32,
    /// How many came in another one.
    sizes_off: u32,
}

/// Whether what was learned `how_long` before `until`, at most, still holds. A time further away than we ever set belongs to
/// another state's clock.
fn holds(until: u64, now: u64, how_long: u64) -> bool {
    now < until && until - now <= how_long.saturating_add(APART)
}

/// How much of a maildrop a server lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// All of it.
    Everything,
    /// So many messages at a time; the next ones are listed when these were retrieved.
    Portions,
}

impl ServerHints {
    /// Nothing is known of this server.
    #[must_use]
    pub fn new(endpoint: &Endpoint) -> Self {
        let (host, tls) = (endpoint.host.to_ascii_lowercase(), tls_name(endpoint.tls).to_owned());
        Self { host, port: endpoint.port, tls, ..Self::default() }
    }

    /// Whether they are about this server.
    #[must_use]
    pub fn is_about(&self, endpoint: &Endpoint) -> bool {
        self.host.eq_ignore_ascii_case(&endpoint.host)
            && self.port == endpoint.port
            && self.tls == tls_name(endpoint.tls)
    }

    /// Whether commands should be sent one at a time; `now` in trusted seconds.
    #[must_use]
    pub fn one_at_a_time(&self, now: u64) -> bool {
        self.strikes >= SUSPICIOUS || holds(self.one_at_a_time_until, now, ONE_AT_A_TIME_FOR)
    }

    /// Whether TLS should begin without the large key share; `now` in trusted seconds.
    #[must_use]
    pub fn needs_classical(&self, now: u64) -> bool {
        holds(self.classical_until, now, CLASSICAL_FOR)
    }

    /// TLS came about only without the large key share.
    pub fn note_needs_classical(&mut self, now: u64) {
        self.classical_until = now.saturating_add(CLASSICAL_FOR);
    }

    /// Whether the size of a message may be asked for beside it; `now` in trusted seconds.
    #[must_use]
    pub fn takes_sizes_beside(&self, now: u64) -> bool {
        !holds(self.sizes_first_until, now, SIZES_FIRST_FOR)
    }

    /// The size of a message did not come when it was asked for beside it.
    pub fn note_sizes_first(&mut self, now: u64) {
        self.sizes_first_until = now.saturating_add(SIZES_FIRST_FOR);
    }

    /// So many new messages came in the size that they were listed with, and so many in another one. What is long ago counts
    /// for less and less, since a server may be mended.
    pub fn note_fit(&mut self, exact: u32, off: u32) {
        self.sizes_exact = self.sizes_exact.saturating_add(exact);
        self.sizes_off = self.sizes_off.saturating_add(off);
        while self.sizes_exact.saturating_add(self.sizes_off) > LATELY {
            (self.sizes_exact, self.sizes_off) = (self.sizes_exact / 2, self.sizes_off / 2);
        }
    }

    /// Whether the sizes that it lists seem to be estimates: not of a message here and there, but of three quarters of them.
    /// It saves retrievals where mail stays. It permits no deletion: a server that sends notes in place of its messages for a
    /// while looks the same.
    #[must_use]
    pub fn sizes_are_mostly_off(&self) -> bool {
        self.sizes_off >= MANY_OFF && self.sizes_off / 3 >= self.sizes_exact
    }

    /// So many messages came in the size that they were listed with, lately.
    #[must_use]
    pub fn sizes_exact(&self) -> u32 {
        self.sizes_exact
    }

    /// A session broke; `ahead` says whether several commands were under way.
    pub fn note_broken(&mut self, ahead: bool) {
        // One that broke although there was only one command at a time was not broken by sending ahead.
        self.strikes = if ahead { self.strikes.saturating_add(1).min(SUSPICIOUS) } else { 0 };
    }

    /// The answers to the first commands after the login did not come when these were sent ahead, and came right away
    /// when they were sent one at a time.
    pub fn note_worked_one_at_a_time(&mut self, now: u64) {
        self.strikes = self.strikes.saturating_add(1).min(SUSPICIOUS);
        if self.strikes == SUSPICIOUS {
            self.blame_sending_ahead(now);
        }
    }

    /// A session ended in order; `ahead` says whether commands were sent ahead, `retrieved` whether there was mail.
    pub fn note_in_order(&mut self, ahead: bool, retrieved: bool, now: u64) {
        if !ahead && retrieved && self.strikes == SUSPICIOUS {
            self.blame_sending_ahead(now);
        } else if ahead {
            self.strikes = 0;
        }
    }

    /// The ways to log in that are to be tried after the others; `now` in trusted seconds.
    pub fn failed_logins(&self, now: u64) -> impl Iterator<Item = &str> {
        let counts = holds(self.failed_logins_until, now, FAILED_LOGINS_FOR);
        self.failed_logins.iter().filter(move |_| counts).map(String::as_str)
    }

    /// A way to log in came to nothing.
    pub fn note_failed_login(&mut self, method: &str, now: u64) {
        if self.failed_logins(now).next().is_none() {
            self.failed_logins.clear();
        }
        self.failed_logins.retain(|known| known != method);
        self.failed_logins.push(method.to_owned());
        self.failed_logins_until = now.saturating_add(FAILED_LOGINS_FOR);
    }

    /// A way to log in was let in.
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

/// An account's hints and the file that they are kept in.
#[derive(Debug)]
pub struct HintsFile {
    path: PathBuf,
    /// What stands in the file.
    written: Hints,
    /// What is known now.
    pub hints: Hints,
}

impl HintsFile {
    /// Reads an account's hints; without a file, or with one that makes no sense, there are none. Blocks.
    #[must_use]
    pub fn read(disk: &dyn Disk, dir: &Path, account: &AccountName) -> Self {
        let path = dir.join(format!("{account}.hints"));
        let parse = |bytes: Vec<u8>| toml::from_slice(&bytes).ok();
        let written: Hints = disk.read(&path, MOST).ok().and_then(parse).unwrap_or_default();
        Self { path, hints: written.clone(), written }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether they differ from what stands in the file.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.hints != self.written
    }

    /// Writes them, if they have changed. Blocks.
    ///
    /// # Errors
    /// Disk errors; nothing is lost by that but the hints.
    pub fn write(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if !self.has_changed() {
            return Ok(());
        }
        let text = toml::to_string(&self.hints).map_err(io::Error::other)?;
        replace_whole(disk, Place::At(&self.path), |file| file.write_all(text.as_bytes()))?;
        self.written.clone_from(&self.hints);
        Ok(())
    }
}

/// Keeps where an account stands, if that is given, and what its polls brought that is not in its history yet, under the
/// account's lock: `holder` is told to others who want it meanwhile. One that somebody else holds is being polled, and the
/// end of that poll will be the news. In a place where no poll may use the state nothing is made either: its owner could
/// not read what another user leaves there. Blocks.
///
/// # Errors
/// The place is refused, and those of the disk; nothing is lost by that but the hint.
pub fn keep_outcome(
    disk: &dyn Disk,
    dir: &Path,
    account: &AccountName,
    holder: &str,
    standing: Option<&Saved>,
    brought: &History,
) -> Result<(), StateError> {
    ownership::check_place(disk, dir, account.as_str())?;
    let path = lock_file(dir, account.as_str());
    let lock = disk.lock(&path, holder).map_err(|e| StateError::io("lock", &path, e))?;
    let Lock::Acquired(_lock) = lock else { return Ok(()) };
    let mut file = HintsFile::read(disk, dir, account);
    if let Some(standing) = standing
        && !file.hints.standing.as_ref().is_some_and(|known| known.says_the_same(standing))
    {
        file.hints.standing = Some(standing.clone());
    }
    file.hints.history.absorb(brought);
    file.write(disk).map_err(|e| StateError::io("write", &file.path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    const WEEK: u64 = ONE_AT_A_TIME_FOR;

    fn endpoint() -> Endpoint {
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
    fn what_was_written_is_read_and_garbage_counts_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let account = AccountName::new("work").unwrap();
        let mut file = HintsFile::read(&RealDisk, dir.path(), &account);
        assert_eq!(file.hints, Hints::default());
        let mut server = ServerHints::new(&endpoint());
        server.before_login = Some(vec!["SASL PLAIN".into(), "odd \"]\\n".into()]);
        server.listing = Listing::Portions;
        file.hints.server = Some(server);
        file.write(&RealDisk).unwrap();
        let mut again = HintsFile::read(&RealDisk, dir.path(), &account);
        assert_eq!(again.hints, file.hints);
        std::fs::write(dir.path().join("work.hints.new"), "left by a crash").unwrap();
        again.hints.server = None;
        again.write(&RealDisk).unwrap();
        assert_eq!(HintsFile::read(&RealDisk, dir.path(), &account).hints, Hints::default());
        for garbage in [&b"\0\0\0"[..], b"server = 1", b"[server]\nport = -1\n", b"\xff"] {
            std::fs::write(dir.path().join("work.hints"), garbage).unwrap();
            assert_eq!(HintsFile::read(&RealDisk, dir.path(), &account).hints, Hints::default());
        }
    }

    #[test]
    fn what_came_is_counted_by_day_and_in_all() {
        let mut past = Past::default();
        past.add(2, 100, "2026-11-25", 5);
        past.add(3, 50, "2026-11-25", 6);
        assert_eq!((past.on("2026-11-25"), past.on("2026-11-26")), ((5, 150), (0, 0)));
        past.add(1, 7, "2026-11-26", 9);
        assert_eq!((past.on("2026-11-26"), past.messages, past.octets), ((1, 7), 6, 157));
        assert_eq!(past.last_new_mail, Some(9));
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
