//! Checks one session with the server, from the secret to QUIT. No message is retrieved or marked.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::observed::{Observed, Seen};
use super::{CheckContext, Mark, Step, day, multidrop, time};
use crate::account::{Account, CredentialSource, RemovalPolicy, TlsMode};
use crate::advice;
use crate::advice::next_step::check::{NEW_CERTIFICATE, TELL_THE_OPERATOR, with_clause};
use crate::client::listing::{self, OpenError, Opened};
use crate::client::login::{CachedCapabilities, LoggedIn, log_in};
use crate::client::{Client, ClientError, Redactor, ResponsePart, Timeouts};
use crate::net::{Dial, NetError};
use crate::oauth::refresh::{TokenOf, access_token};
use crate::plan::maildrop::Maildrop;
use crate::poll::PollError;
use crate::pop3::{Capabilities, Command, Event, LoginDelay, ReportedSize, Status};
use crate::provider::Provider;
use crate::routing::Routing;
use crate::secret::Secret;
use crate::text::{Count, Size, words_in};
use crate::threads::blocking;

/// A certificate that expires within this many days is mentioned.
const EXPIRES_SOON: u64 = 14;

/// How many addresses of a server are named.
const ADDRESSES: usize = 6;

/// A LOGIN-DELAY up to this is waited for, as in a poll.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// An answer to TOP larger than this, in octets, is no header: the server sends whole messages.
const LARGE_HEADER: u64 = 256 << 10;

/// How much of the answer to TOP is read, in octets.
const MOST_OF_TOP: u64 = 32 << 20;

/// Checks everything that the server is asked for. Returns the maildrop, if it gets as far as the listing.
pub(super) async fn look(
    context: &CheckContext,
    account: &Account,
    steps: &mut Vec<Step>,
    in_short: &mut Vec<String>,
) -> Option<Maildrop> {
    let password = match secret(context, account).await {
        Ok(password) => {
            steps.push(Step::ok("secret", "the password is available"));
            Some(password)
        }
        Err(e) => {
            steps.push(Step::fail("secret", e.exit_status(), &advice::told(&e, &account.name)));
            None
        }
    };
    let name = name(account).await;
    let resolved = name.mark != Mark::Fail;
    steps.push(name);
    if !resolved {
        return None;
    }
    let dialer = Observed::new(Arc::clone(&context.dialer));
    let now = context.clock.read().wall;
    match password {
        Some(password) => {
            let mut looking =
                Looking { account, password, dialer, now, steps, in_short, logged_in_at: None, maildrop: None };
            looking.session().await;
            looking.maildrop
        }
        None => {
            without_password(account, &dialer, now, steps).await;
            None
        }
    }
}

/// Obtains the secret to log in with. An access token that has expired is renewed.
async fn secret(context: &CheckContext, account: &Account) -> Result<Secret, PollError> {
    let CredentialSource::OAuth(settings) = &account.credential else {
        return Ok(account.credential.obtain(&context.credentials).await?);
    };
    let of = TokenOf::account(account, settings);
    Ok(access_token(context.of_process(), of, None).await?.access)
}

/// Checks which addresses the server has.
async fn name(account: &Account) -> Step {
    let (host, port) = (account.endpoint.host.clone(), account.endpoint.port);
    if let Some(proxy) = &account.endpoint.route.proxy {
        return Step::new("name", Mark::Skip, format!("{host} is looked up by the proxy {proxy}"));
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Step::ok("name", format!("{host} is an address"));
    }
    let asked = (host.clone(), port);
    let begun = Instant::now();
    let look_up = blocking(move || asked.to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>));
    let found = match look_up.await {
        Ok(Ok(found)) => found,
        Ok(Err(source)) => return failed("name", &NetError::Resolve { host, source }),
        Err(e) => return failed("name", &NetError::Resolve { host, source: e.into() }),
    };
    let took = time(begun.elapsed());
    let mut addresses: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    addresses.dedup();
    let more = addresses.len().saturating_sub(ADDRESSES);
    addresses.truncate(ADDRESSES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Step::ok("name", format!("{host} is {}{more}, found in {took}", addresses.join(", ")))
}

fn failed(step: &'static str, error: &NetError) -> Step {
    Step::fail(step, error.exit_status(), &advice::told_of_connection(error))
}

/// Connects and disconnects: without a password there is nothing more to check.
async fn without_password(account: &Account, dialer: &Observed, now: i64, steps: &mut Vec<Step>) {
    let connection = match dialer.connect(&account.endpoint, &[]).await {
        Ok(connection) => connection,
        Err(e) => return steps.push(failed(step_of(&e, &dialer.seen()), &e)),
    };
    let mut client = Client::new(connection, Timeouts::new(account.timeout));
    let greeted = client.event().await;
    tell_connection(account, &dialer.seen(), now, &Redactor::default(), steps, &mut Vec::new());
    match greeted {
        Ok(Event::Greeting(_)) => _ = client.quit().await,
        Ok(_) => {}
        Err(e) => steps.push(Step::fail("greeting", e.exit_status(), &advice::told_of_session(&e))),
    }
    steps.push(Step::new("login", Mark::Skip, "not tried, because there is no password"));
}

/// Returns the step at which a connection failed.
fn step_of(error: &NetError, seen: &Seen) -> &'static str {
    match error {
        NetError::Resolve { .. } | NetError::LookupsHang { .. } | NetError::NoAddress { .. } => "name",
        NetError::NoAddressOnRoute { .. } | NetError::SourceAddress { .. } | NetError::Proxy { .. } => "connection",
        NetError::Connect { .. } | NetError::ConnectTimeout { .. } | NetError::System { .. } if seen.peer.is_none() => {
            "connection"
        }
        _ => "tls",
    }
}

/// Reports what was seen of the connection. `now` is in seconds since 1970.
fn tell_connection(
    account: &Account,
    seen: &Seen,
    now: i64,
    redactor: &Redactor,
    steps: &mut Vec<Step>,
    in_short: &mut Vec<String>,
) {
    let Some(peer) = seen.peer else { return };
    steps.push(Step::ok(
        "connection",
        format!("{} answered on port {} in {}", peer.ip(), peer.port(), time(seen.reached_in)),
    ));
    match (&seen.tls, account.endpoint.tls) {
        (Some(_), _) => steps.push(tls(account, seen, now, in_short)),
        (None, TlsMode::None) => {
            let what = "the connection is not encrypted, because of tls = \"none\"";
            let step = if seen.loopback {
                Step::ok("tls", format!("{what}; it does not leave this machine"))
            } else {
                Step::warn("tls", format!("{what}: everybody on the network path can read the password"))
            };
            in_short.push("no encryption".to_owned());
            steps.push(step);
        }
        (None, _) => {}
    }
    if let Some(line) = seen.greeting().filter(|line| is_pop3(line)) {
        let words = redactor.hide(&words_in(line));
        steps.push(Step::ok("greeting", format!("the server says \"{words}\"")));
    }
}

/// Whether the first line of a server is that of a POP3 server, whatever it says.
fn is_pop3(line: &[u8]) -> bool {
    line.starts_with(b"+OK") || line.starts_with(b"-ERR")
}

/// Reports on TLS. `now` is in seconds since 1970.
fn tls(account: &Account, seen: &Seen, now: i64, in_short: &mut Vec<String>) -> Step {
    let Some(facts) = &seen.tls else { return Step::new("tls", Mark::Skip, "no TLS") };
    let exchange = facts.key_exchange.as_deref().map(|name| format!(" with {name}")).unwrap_or_default();
    in_short.push(format!("{}{exchange}", facts.version));
    let how = if account.endpoint.tls == TlsMode::StartTls { "by STLS, " } else { "" };
    let mut text = format!("{}{exchange}, {how}in {}", facts.version, time(facts.took));
    if seen.classical {
        text.push_str(", without the post-quantum key share, which gets lost on the way");
    }
    if let Some(issuer) = &facts.issuer {
        text.push_str(&format!("; the certificate for {} is issued by {issuer}", account.endpoint.host));
    }
    let mut mark = Mark::Ok;
    if let Some(end) = facts.not_after {
        text.push_str(&format!(", valid until {}", day(end)));
        if let Some(left) = ends_soon(end, now) {
            let fact = format!(": {left}, and it has not been renewed");
            text.push_str(&with_clause(fact, TELL_THE_OPERATOR));
            mark = Mark::Warn;
        }
    }
    if let Some(end) = seen.client_certificate_expires {
        text.push_str(&format!("; the certificate of this side is valid until {}", day(end)));
        if let Some(left) = ends_soon(end, now) {
            text.push_str(&with_clause(format!(": {left}"), NEW_CERTIFICATE));
            mark = Mark::Warn;
        }
    }
    Step::new("tls", mark, text)
}

/// Returns the time that a certificate has left, in words, if it is short. Both times are in seconds since 1970.
fn ends_soon(end: i64, now: i64) -> Option<String> {
    let left = u64::try_from(end.saturating_sub(now)).unwrap_or(0) / 86_400;
    match left {
        0 if day(end) == day(now) => Some(format!("it expires today at {} UTC", time_of_day(end))),
        0 => Some(format!("it expires at {} UTC", time_of_day(end))),
        1 => Some("1 day is left".to_owned()),
        left if left < EXPIRES_SOON => Some(format!("{} are left", Count(left, "day"))),
        _ => None,
    }
}

/// Returns the time of day of a time in seconds since 1970, in UTC.
fn time_of_day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "an unknown time".to_owned(), |t| t.strftime("%H:%M").to_string())
}

/// A session that is checked.
struct Looking<'a> {
    account: &'a Account,
    password: Secret,
    dialer: Observed,
    /// The time, in seconds since 1970.
    now: i64,
    steps: &'a mut Vec<Step>,
    in_short: &'a mut Vec<String>,
    /// When the server accepted the last login.
    logged_in_at: Option<Instant>,
    /// The maildrop, once it is listed.
    maildrop: Option<Maildrop>,
}

impl Looking<'_> {
    async fn session(&mut self) {
        let before = (self.steps.len(), self.in_short.len());
        let cached = CachedCapabilities::default();
        let Some(logged_in) = self.log_in(&cached).await else { return };
        match listing::open(logged_in, &cached).await {
            Ok(opened) => self.listed(opened, None).await,
            Err(e) if e.ahead && e.error.may_be_because_of_pipelining() => self.once_more(*e, before).await,
            Err(e) => {
                self.steps.push(Step::fail("messages", e.error.exit_status(), &advice::told_of_session(&e.error)));
            }
        }
    }

    /// Returns how long the next login has to wait for the LOGIN-DELAY that the server announced (RFC 2449, section
    /// 6.5).
    fn login_wait(&self, announced: Option<LoginDelay>) -> Duration {
        let trusted = !Provider::of(&self.account.endpoint.host).is_some_and(|known| known.login_delay_is_untrue);
        let delay = announced.filter(|_| trusted).map_or(Duration::ZERO, |delay| Duration::from_secs(delay.seconds));
        delay.saturating_sub(self.logged_in_at.map_or(delay, |at| at.elapsed()))
    }

    /// Repeats a session that broke while several commands were in flight, one command at a time: that shows whether
    /// pipelining was the reason.
    async fn once_more(&mut self, failed: OpenError, before: (usize, usize)) {
        let first = failed.error;
        let wait = self.login_wait(failed.login_delay);
        if wait > LONGEST_WAIT {
            let text = format!(
                "{}. It was not tried with one command at a time, because the server announces that it allows another \
                 login only in {} s (LOGIN-DELAY)",
                advice::told_of_session(&first),
                wait.as_secs()
            );
            return self.steps.push(Step::fail("messages", first.exit_status(), &text));
        }
        tokio::time::sleep(wait).await;
        self.steps.truncate(before.0);
        self.in_short.truncate(before.1);
        let careful = CachedCapabilities { one_at_a_time: true, ..CachedCapabilities::default() };
        let Some(logged_in) = self.log_in(&careful).await else { return };
        match listing::open(logged_in, &careful).await {
            Ok(opened) => self.listed(opened, Some(&first)).await,
            Err(e) => {
                self.steps.push(Step::fail("messages", e.error.exit_status(), &advice::told_of_session(&e.error)));
            }
        }
    }

    /// Connects and logs in like a poll.
    async fn log_in(&mut self, cached: &CachedCapabilities) -> Option<LoggedIn> {
        let tried = log_in(&self.dialer, self.account, &self.password, cached).await;
        let seen = self.dialer.seen();
        let redactor = Redactor::new(&self.account.username, &self.password);
        let reached = !matches!(&tried, Err(e) if matches!(e.error, ClientError::Net(_)));
        if reached || seen.peer.is_some() {
            tell_connection(self.account, &seen, self.now, &redactor, self.steps, self.in_short);
        }
        match tried {
            Ok(logged_in) => {
                self.logged_in_at = Some(Instant::now());
                self.steps.push(capabilities("capabilities", "before the login", logged_in.capabilities.as_ref()));
                let step = self.logged_in(&logged_in);
                self.steps.push(step);
                Some(logged_in)
            }
            Err(failure) => {
                let error = failure.error;
                let step = match &error {
                    ClientError::Net(e) => step_of(e, &seen),
                    ClientError::SpeaksTls { .. } | ClientError::NoStls { .. } => "tls",
                    _ if !seen.greeting().is_some_and(is_pop3) => "greeting",
                    ClientError::Unwilling { .. } => "greeting",
                    _ if self.account.endpoint.tls == TlsMode::StartTls && seen.tls.is_none() => "tls",
                    _ => "login",
                };
                let mut failed = Step::fail(step, error.exit_status(), &advice::told_of_session(&error));
                if let ClientError::Login { .. } = &error {
                    let user = words_in(self.account.username.as_bytes());
                    failed.text = format!("{user} at {}: {}", self.account.endpoint.host, failed.text);
                }
                self.steps.push(failed);
                None
            }
        }
    }

    fn logged_in(&mut self, logged_in: &LoggedIn) -> Step {
        let method = logged_in.method.in_words();
        let mut text = format!("logged in as {} with {method}", words_in(self.account.username.as_bytes()));
        self.in_short.push(format!("logged in with {method}"));
        if let Some((first, rest)) = logged_in.failed.split_first() {
            let others: Vec<&str> = std::iter::once(first).chain(rest).map(|failed| failed.name()).collect();
            text.push_str(&format!("; the server announces, but does not know, {}", others.join(", ")));
        }
        Step::ok("login", text)
    }

    /// Reports on a maildrop that has been listed.
    async fn listed(&mut self, opened: Opened, broke: Option<&ClientError>) {
        self.steps.push(capabilities("capabilities-after-login", "after the login", opened.after_login.as_ref()));
        let pipelining = opened.capabilities().is_some_and(Capabilities::pipelining);
        self.messages(&opened.maildrop);
        self.steps.push(self.unique_ids(&opened.maildrop));
        let maildrop = opened.maildrop;
        self.headers(opened.client, &maildrop, broke, pipelining).await;
        self.maildrop = Some(maildrop);
    }

    /// Reports how many messages there are.
    fn messages(&mut self, maildrop: &Maildrop) {
        let sizes = maildrop.messages.iter().filter_map(|listed| listed.reported_size);
        let octets = ReportedSize::saturating_sum(sizes).get();
        let count = Count::of(maildrop.messages.len(), "message");
        self.in_short.push(format!("{count} ({})", Size(octets)));
        let mut text = format!("{count}, {} in all", Size(octets));
        if maildrop.complete {
            self.steps.push(Step::ok("messages", text));
        } else {
            text.push_str("; STAT, UIDL and LIST do not agree, so no message is considered gone");
            self.steps.push(Step::warn("messages", text));
        }
    }

    /// Requests headers and ends the session.
    async fn headers(
        &mut self,
        mut client: Client,
        maildrop: &Maildrop,
        broke: Option<&ClientError>,
        pipelining: bool,
    ) {
        let first = maildrop.messages.first().map(|listed| listed.number);
        let top = match first {
            None => Step::new("top", Mark::Skip, "not tried, because there is no message"),
            Some(number) => match top(&mut client, number).await {
                Ok(step) => step,
                // The session is over, and QUIT cannot be sent any more.
                Err(e) => return self.steps.push(Step::fail("top", e.exit_status(), &advice::told_of_session(&e))),
            },
        };
        self.steps.push(top);
        if let Routing::Multidrop(multidrop) = &self.account.routing {
            match multidrop::look(&mut client, &maildrop.messages, multidrop, &self.account.maildir).await {
                Ok(steps) => self.steps.extend(steps),
                Err(e) => {
                    return self.steps.push(Step::fail(multidrop::STEP, e.exit_status(), &advice::told_of_session(&e)));
                }
            }
        }
        self.steps.push(match (broke, pipelining) {
            (Some(e), _) => Step::warn(
                "pipelining",
                format!("announced, but the session broke ({e}); it works with one command at a time, and mailferry does that"),
            ),
            (None, true) => Step::ok("pipelining", "announced, and it works"),
            (None, false) => Step::ok("pipelining", "not announced, so each command waits for its answer"),
        });
        self.steps.push(match client.quit().await {
            Ok(true) => Step::ok("quit", "the session ended in order"),
            Ok(false) => Step::warn("quit", "the server refused QUIT: it may not delete what it is asked to"),
            Err(e) => Step::warn("quit", format!("the session did not end in order: {e}")),
        });
    }

    fn unique_ids(&self, maildrop: &Maildrop) -> Step {
        let without = maildrop.messages.iter().filter(|listed| listed.unique_id.is_none()).count();
        if !maildrop.has_unique_ids && self.account.removal != RemovalPolicy::AfterDelivery {
            let error = ClientError::NoUniqueIds;
            return Step::fail("uidl", error.exit_status(), &advice::told_of_session(&error));
        }
        if !maildrop.has_unique_ids {
            return Step::warn("uidl", "the server has no UIDL, so all that is there is fetched and then deleted");
        }
        if without > 0 {
            let which = Count::of(without, "message");
            return Step::warn("uidl", format!("{which} without a unique-id: not fetched until the server names them"));
        }
        let known: std::collections::HashSet<_> =
            maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref()).collect();
        if known.len() < maildrop.messages.len() {
            let repeated = maildrop.messages.len() - known.len();
            let which = Count::of(repeated, "message");
            return Step::warn(
                "uidl",
                format!("{which} with the unique-id of another one; they are told apart by their contents"),
            );
        }
        Step::ok("uidl", if known.is_empty() { "known" } else { "every message has a unique-id of its own" })
    }
}

/// Requests the header of a message: polls do so when it decides something.
async fn top(client: &mut Client, number: crate::pop3::MessageNumber) -> Result<Step, ClientError> {
    let (mut octets, mut refused) = (0_u64, None);
    let begun = Instant::now();
    let on_event = |_, part: ResponsePart<'_>| {
        match part {
            ResponsePart::Response(response) if response.status == Status::Err => {
                refused = Some(response.words().to_owned());
            }
            ResponsePart::Data(bytes) => {
                octets = octets.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if octets > MOST_OF_TOP {
                    let too_long = crate::client::error::TooLong::header(number, octets, MOST_OF_TOP);
                    return Err(ClientError::TooLong(too_long));
                }
            }
            _ => {}
        }
        Ok(std::ops::ControlFlow::Continue(()))
    };
    client.try_converse([Command::Top { number, lines: 0 }], on_event).await?;
    let took = time(begun.elapsed());
    Ok(match refused {
        Some(words) => Step::warn(
            "top",
            format!(
                "the server does not show headers{}: a message in doubt is retrieved once more",
                crate::text::saying(&words)
            ),
        ),
        None if octets > LARGE_HEADER => {
            Step::warn("top", format!("the answer has {}: the server seems to send whole messages", Size(octets)))
        }
        None => Step::ok("top", format!("the header of message {number} ({}) came in {took}", Size(octets))),
    })
}

fn capabilities(step: &'static str, when: &str, announced: Option<&Capabilities>) -> Step {
    match announced {
        Some(announced) => {
            let lines: Vec<&str> = announced.lines().collect();
            Step::ok(step, format!("{when}: {}", lines.join(", ")))
        }
        None => Step::ok(step, format!("{when}: the server does not know CAPA, so only what every server has is used")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_of_a_certificate_is_told_in_words() {
        const DAY: i64 = 86_400;
        // 2026-01-31 12:00:00 UTC.
        let now = 1_769_860_800;
        let left = |seconds| ends_soon(now + seconds, now);
        assert_eq!(left(14 * DAY), None);
        assert_eq!(left(4 * DAY + 1).as_deref(), Some("4 days are left"));
        assert_eq!(left(DAY).as_deref(), Some("1 day is left"));
        assert_eq!(left(6 * 3600).as_deref(), Some("it expires today at 18:00 UTC"));
        assert_eq!(left(DAY - 60).as_deref(), Some("it expires at 11:59 UTC"), "that is tomorrow, as its day says");
    }
}
