//! How cost grows: the built program with ten, a hundred and a thousand times as much, against a scripted server.
//!
//! ```sh
//! cargo bench --bench scale -- DIR [maildrop|large|crowd|accounts|accounts-tls|scrape [COUNT...]]
//! ```
//!
//! Everything is made below DIR, which needs 6 GiB of room, and removed at the end. It prints tables for
//! `docs/performance.md`. It takes about a quarter of an hour.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here ends it, and says so by a panic")]

mod process;
mod scrape;
mod server;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use process::{Cost, Running, run};
use server::{Maildrop, Server};

/// A case by its name.
type Case = (&'static str, fn(&Path));

fn main() -> ExitCode {
    // `cargo bench` adds an option of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(dir), case) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "usage: cargo bench --bench scale -- DIR [maildrop|large|crowd|accounts|accounts-tls|scrape [COUNT...]]"
        );
        return ExitCode::from(64);
    };
    let cases: [Case; 6] = [
        ("maildrop", maildrop),
        ("large", large),
        ("crowd", crowd),
        ("accounts", accounts),
        ("accounts-tls", accounts_over_tls),
        ("scrape", scrape::scrape),
    ];
    for (name, measure) in cases.iter().filter(|(name, _)| case.as_deref().is_none_or(|case| case == *name)) {
        let dir = PathBuf::from(&dir).join(format!("mailferry-scale-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        measure(&dir);
        fs::remove_dir_all(&dir).unwrap();
    }
    ExitCode::SUCCESS
}

/// Makes a home for so many accounts at a server. Every account has the server's one maildrop.
fn home(dir: &Path, server: &Server, accounts: usize, daemon: &str, more: &str) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let shown = dir.display();
    let mut config = format!(
        "state_dir = \"{shown}/state\"\n[daemon]\n{daemon}\n[defaults]\nhost = \"127.0.0.1\"\nport = {}\n{}\n{more}\n",
        server.port,
        // The key may stand there once.
        if more.contains("tls = ") { "" } else { "tls = \"none\"\nallow_cleartext_password = true" },
    );
    for n in 0..accounts {
        write!(config, "[accounts.a{n}]\nusername = \"u{n}\"\npassword = \"p\"\nmaildir = \"{shown}/mail/{n}\"\n")
            .unwrap();
    }
    let file = dir.join("mailferry.toml");
    fs::write(&file, config).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir_all(dir.join("mail")).unwrap();
    file
}

/// One maildrop that grows.
fn maildrop(dir: &Path) {
    println!("\n## A maildrop that grows (messages of 500 octets)\n");
    println!("| messages | all new | nothing new | all verified and deleted |\n|---:|---|---|---|");
    for messages in [1_000, 10_000, 100_000] {
        let server = Server::start(Maildrop { messages, octets: 500 });
        let dir = dir.join(messages.to_string());
        let config = home(&dir, &server, 1, "", "timeout = \"10m\"");
        let new = run(&config, &["fetch"]);
        let idle = run(&config, &["fetch"]);
        home(&dir, &server, 1, "", "timeout = \"10m\"\nleave_on_server = false");
        let deleting = run(&config, &["fetch"]);
        println!("| {messages} | {new} | {idle} | {deleting} |");
    }
}

/// One message that grows.
fn large(dir: &Path) {
    println!("\n## A message that grows\n");
    println!("| octets | cost | MiB/s |\n|---:|---|---:|");
    for mebibytes in [2, 20, 200, 2048] {
        let server = Server::start(Maildrop { messages: 1, octets: mebibytes << 20 });
        let config = home(&dir.join(mebibytes.to_string()), &server, 1, "", "timeout = \"10m\"");
        let cost = run(&config, &["fetch"]);
        println!("| {mebibytes} MiB | {cost} | {:.0} |", f64::from(u32::try_from(mebibytes).unwrap()) / cost.wall);
        fs::remove_dir_all(dir.join(mebibytes.to_string())).unwrap();
    }
}

/// Accounts that are fetched at once, all at one server.
fn crowd(dir: &Path) {
    println!("\n## Accounts at once at one server (100 messages of 4 KiB each)\n");
    println!("| accounts | cost | messages/s |\n|---:|---|---:|");
    for accounts in [1, 8, 64] {
        let server = Server::start(Maildrop { messages: 100, octets: 4096 });
        let at_once = "concurrency = 64\nper_host = 64";
        let config = home(&dir.join(accounts.to_string()), &server, accounts, at_once, "");
        let cost = run(&config, &["fetch", "--quiet"]);
        let messages = f64::from(u32::try_from(accounts * 100).unwrap());
        println!("| {accounts} | {cost} | {:.0} |", messages / cost.wall);
    }
}

/// How often the daemon polls each account here, if there are not too many for that.
const INTERVAL: Duration = Duration::from_secs(30);

/// With more accounts than this each is polled less often, and their maildrops are empty: to make so many Maildirs is
/// another matter.
const MOST_WITH_MAIL: usize = 10_000;

/// So many polls a second are asked of the daemon then.
const POLLS_A_SECOND: u64 = 800;

/// After so many intervals the polls are looked at.
const SETTLING: u32 = 4;

/// The same where the intervals are long.
const SETTLING_LONG: u32 = 2;

/// So many intervals are looked at.
const LOOKED_AT: u32 = 2;

/// A daemon with many accounts, each with one message that was fetched.
fn accounts(dir: &Path) {
    println!("\n## Accounts of one daemon, each polled every 30 s; more than 10,000: 800 polls a second\n");
    println!(
        "Memory is what is resident when all were polled. The last columns: idle polls when all are asked for at once \
         (32 at a time), how many polls began in each second of the fifth and sixth interval (of more than 10,000 accounts: the third and fourth): the fewest, the median, the most, and that to the mean; and what is resident after each of three reloads, in MiB.\n"
    );
    println!(
        "| accounts | ready after | memory | memory per account | polls/s | CPU per poll | in a second | reloaded |\n\
         |---:|---:|---:|---:|---:|---:|---|---|"
    );
    // Behind DIR and the case.
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if asked.is_empty() { vec![100, 1_000, 10_000] } else { asked };
    for accounts in counts {
        let wanted = u64::try_from(accounts).unwrap();
        let (messages, interval, settling) = if accounts > MOST_WITH_MAIL {
            (0, Duration::from_secs(wanted / POLLS_A_SECOND), SETTLING_LONG)
        } else {
            (1, INTERVAL, SETTLING)
        };
        let server = Server::start(Maildrop { messages, octets: 500 });
        let settings = "concurrency = 32\nper_host = 32";
        let more = format!("interval = \"{}s\"", interval.as_secs());
        let config = home(&dir.join(accounts.to_string()), &server, accounts, settings, &more);
        let (daemon, ready) = Running::start_daemon(&config);
        server.wait_for(wanted, Duration::from_secs(600));
        // The first polls deliver; from here on all are idle. Each account finds its own moment in the interval.
        thread::sleep(interval * settling);
        let begun = Instant::now();
        thread::sleep(interval * LOOKED_AT);
        let per_second = per_second(&server.since(begun), interval * LOOKED_AT);
        let (cpu, at_once, before) = (daemon.cpu(), Instant::now(), server.logins());
        daemon.signal(rustix::process::Signal::USR1);
        server.wait_for(before + wanted, Duration::from_secs(300));
        let took = at_once.elapsed().as_secs_f64();
        let polls = f64::from(u32::try_from(server.logins() - before).unwrap());
        let cpu = (daemon.cpu() - cpu) / polls * 1e6;
        let memory = daemon.resident();
        let each = memory * 1024.0 / f64::from(u32::try_from(accounts).unwrap());
        let reloaded: Vec<String> = (0..3)
            .map(|_| {
                daemon.reload();
                format!("{:.0}", daemon.resident())
            })
            .collect();
        println!(
            "| {accounts} | {ready:.2} s | {memory:.1} MiB | {each:.1} KiB | {:.0} | {cpu:.0} µs | {per_second} | {} |",
            polls / took,
            reloaded.join(", ")
        );
        daemon.end();
    }
}

/// The same over TLS: what a poll costs, and how many handshakes resume a session.
fn accounts_over_tls(dir: &Path) {
    println!("\n## Accounts of one daemon over TLS, all at one server, each polled every 30 s\n");
    println!(
        "| accounts | at once | memory | memory per account | polls/s | CPU per poll | resumed, of the first polls | later |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for accounts in if asked.is_empty() { vec![1_000, 10_000] } else { asked } {
        for at_once in [4, 32] {
            let dir = dir.join(format!("{accounts}-{at_once}"));
            fs::create_dir_all(&dir).unwrap();
            over_tls(&dir, accounts, at_once);
        }
    }
}

fn over_tls(dir: &Path, accounts: usize, at_once: usize) {
    let wanted = u64::try_from(accounts).unwrap();
    let server = Server::start_with(Maildrop { messages: 1, octets: 500 }, Some(server::tls(dir)));
    let ca_file = dir.join("ca.pem");
    let more = format!("interval = \"{}s\"\ntls = \"implicit\"\ntls_ca_file = {ca_file:?}", INTERVAL.as_secs());
    let config = home(dir, &server, accounts, &format!("concurrency = {at_once}\nper_host = {at_once}"), &more);
    let (daemon, _) = Running::start_daemon(&config);
    server.wait_for(wanted, Duration::from_secs(600));
    let share = |[resumed, full]: [u64; 2]| resumed * 100 / (resumed + full).max(1);
    let first = server.handshakes();
    // The first polls deliver; from here on all are idle.
    thread::sleep(INTERVAL);
    let (cpu, begun, before, handshakes) = (daemon.cpu(), Instant::now(), server.logins(), server.handshakes());
    daemon.signal(rustix::process::Signal::USR1);
    server.wait_for(before + wanted, Duration::from_secs(300));
    let took = begun.elapsed().as_secs_f64();
    let polls = f64::from(u32::try_from(server.logins() - before).unwrap());
    let cpu = (daemon.cpu() - cpu) / polls * 1e6;
    let [resumed, full] = server.handshakes();
    let later = [resumed - handshakes[0], full - handshakes[1]];
    let memory = daemon.resident();
    let each = memory * 1024.0 / f64::from(u32::try_from(accounts).unwrap());
    println!(
        "| {accounts} | {at_once} | {memory:.1} MiB | {each:.1} KiB | {:.0} | {cpu:.0} µs | {} % | {} % |",
        polls / took,
        share(first),
        share(later)
    );
    daemon.end();
}

/// The fewest, the median and the most in a second, and how many times the mean that is.
fn per_second(times: &[Duration], interval: Duration) -> String {
    let mut seconds = vec![0_u32; usize::try_from(interval.as_secs()).unwrap()];
    for time in times {
        if let Some(second) = usize::try_from(time.as_secs()).ok().and_then(|second| seconds.get_mut(second)) {
            *second += 1;
        }
    }
    seconds.sort_unstable();
    let at = |place: usize| seconds.get(place).copied().unwrap_or_default();
    let mean = f64::from(seconds.iter().sum::<u32>()) / f64::from(u32::try_from(seconds.len()).unwrap());
    let most = at(seconds.len() - 1);
    format!("{}, {}, {most} ({:.2})", at(0), at(seconds.len() / 2), f64::from(most) / mean)
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s, CPU {:.2} s, {:.1} MiB", self.wall, self.cpu, self.peak)
    }
}
