//! How long `/metrics`, the page and the status take with many accounts, and what memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::home;
use crate::process::{Running, run};
use crate::server::{Maildrop, Server};

/// So often each is asked for.
const TIMES: usize = 21;

/// Longer than an answer is kept for the next who asks: each is made anew.
const PAUSE: Duration = Duration::from_millis(1100);

/// A daemon with many accounts that have all been polled and wait for their time.
pub(crate) fn scrape(dir: &Path) {
    println!("\n## A scrape of one daemon's accounts, {TIMES} times, each made anew\n");
    println!(
        "| accounts | path | octets | median | slowest | CPU | memory before | after |\n|---:|---|---:|---:|---:|---:|---:|---:|"
    );
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for accounts in if asked.is_empty() { vec![1_000, 10_000] } else { asked } {
        let server = Server::start(Maildrop { messages: 0, octets: 500 });
        let dir = dir.join(accounts.to_string());
        let socket = dir.join("http");
        let daemon = format!("concurrency = 32\nper_host = 32\nhttp = {:?}", socket.display().to_string());
        let config = home(&dir, &server, accounts, &daemon, "interval = \"6h\"");
        let (daemon, _) = Running::start_daemon(&config);
        server.wait_for(u64::try_from(accounts).unwrap(), Duration::from_secs(600));
        for path in ["/metrics", "/", "/api/v1/status"] {
            let (before, cpu) = (daemon.resident(), daemon.cpu());
            let mut octets = 0;
            let mut times: Vec<Duration> = (0..TIMES)
                .map(|_| {
                    thread::sleep(PAUSE);
                    let begun = Instant::now();
                    octets = get(&socket, path);
                    begun.elapsed()
                })
                .collect();
            times.sort_unstable();
            let milliseconds = |place: usize| times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3);
            let cpu = (daemon.cpu() - cpu) * 1e3 / f64::from(u32::try_from(TIMES).unwrap());
            println!(
                "| {accounts} | `{path}` | {octets} | {:.1} ms | {:.1} ms | {cpu:.0} ms | {before:.1} MiB | {:.1} MiB |",
                milliseconds(TIMES / 2),
                milliseconds(TIMES - 1),
                daemon.resident()
            );
        }
        ask(&config, &daemon, accounts);
        daemon.end();
    }
}

/// What `status` takes, of the daemon and of the command.
fn ask(config: &Path, daemon: &Running, accounts: usize) {
    println!(
        "\n| accounts | command | its cost | daemon before | at its height | after |\n|---:|---|---|---:|---:|---:|"
    );
    for arguments in [&["status"][..], &["status", "--json"], &["status", "--check", "--quiet"], &["status", "a7"]] {
        let before = daemon.resident();
        daemon.forget_peak();
        let cost = run(config, arguments);
        println!(
            "| {accounts} | `{}` | {cost} | {before:.1} MiB | {:.1} MiB | {:.1} MiB |",
            arguments.join(" "),
            daemon.peak(),
            daemon.resident()
        );
    }
}

/// Asks for a page and returns how many octets came.
fn get(socket: &Path, path: &str) -> usize {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer.len()
}
