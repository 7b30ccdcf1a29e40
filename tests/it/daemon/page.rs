//! The status page: what it shows, what it refuses, and that its clients do not hold up polls.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Daemon, wait_for};
use crate::leaks::assert_no_secret;
use crate::mail::{small, small_ones};
use crate::program::{Account, TestEnv};
use crate::scripted::closed::ClosedPort;
use crate::scripted::imap::ImapServer;
use crate::scripted::maildrop::{Maildrop, Message};

/// A daemon with a page, with a good account and one with a wrong password.
fn home(maildrop: &Maildrop) -> (TestEnv, PathBuf) {
    let address = maildrop.server.address;
    let wrong = Account::at(address).named("wrong").text("password", "not <this> one").set("interval", "\"1h\"");
    let env = TestEnv::in_memory(&[Account::at(address), wrong]);
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    (env, socket)
}

/// Sends a raw request and returns the complete response.
fn ask(socket: &PathBuf, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_no_secret(&answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn get(socket: &PathBuf, path: &str) -> String {
    ask(socket, &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"))
}

#[test]
fn it_shows_all_accounts_those_in_trouble_first_and_nothing_can_be_changed_by_it() {
    let maildrop = Maildrop::new(small_ones(3));
    let (env, socket) = home(&maildrop);
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("wrong")["state"] == "trouble");
    wait_for("the mail", || daemon.account("a")["total"]["messages"] == 3);
    wait_for("the page", || get(&socket, "/").contains("3 messages in 7 days"));
    let page = get(&socket, "/");
    for part in [
        "HTTP/1.1 200",
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "2 accounts: 1 well, 1 in trouble",
        "<a href=\"/account/wrong\">wrong</a><span class=\"cause\">login-refused</span>",
        "next try",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(page.find("id=\"troubles\"").unwrap() < page.find("id=\"accounts\"").unwrap());
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing from elsewhere is loaded");
    let account = get(&socket, "/account/a");
    assert!(account.contains("3 messages") && account.contains("1 succeeded, 0 failed"), "{account}");
    assert!(get(&socket, "/?name=wro").contains("/account/wrong") && !get(&socket, "/?name=wro").contains("id=\"a1\""));
    for (request, status) in [
        ("GET /account/nobody HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "404"),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "405"),
        ("GET /%ff%00<script> HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "4"),
        ("rubbish\r\n\r\n", "400"),
    ] {
        assert!(ask(&socket, request).starts_with(&format!("HTTP/1.1 {status}")), "{request}");
    }
    let head = ask(&socket, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(get(&socket, "/healthz").ends_with("ok\n"));
    let status = get(&socket, "/api/v1/status");
    let json: serde_json::Value = serde_json::from_str(status.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(json["accounts"][0]["hours"][0]["messages"], 3);
    daemon.end();
    assert!(!socket.exists(), "the socket goes with the daemon");
}

/// Returns the names of the accounts in a status.
fn names(status: &serde_json::Value) -> Vec<&str> {
    status["accounts"].as_array().unwrap().iter().map(|account| account["account"].as_str().unwrap()).collect()
}

#[test]
fn the_status_of_many_accounts_comes_in_pieces_and_is_whole() {
    let nobody = ClosedPort::new();
    let expected: Vec<String> = (0..150).map(|n| format!("acc{n:03}")).collect();
    let account = |name: &String| Account::at(nobody.address).named(name).set("interval", "\"1h\"");
    let env = TestEnv::in_memory(&expected.iter().map(account).collect::<Vec<_>>());
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    let daemon = Daemon::start(&env);
    assert_eq!(names(&daemon.status()), expected);
    assert!(env.run(&["status"]).expect(0).stdout.starts_with("150 accounts: "));
    // An HTTP/1.0 client gets the body without chunks.
    let answer = ask(&socket, "GET /api/v1/status HTTP/1.0\r\n\r\n");
    let (head, document) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200") && head.contains("application/json"), "{head}");
    assert_eq!(names(&serde_json::from_str(document).unwrap()), expected);
    let chunked = get(&socket, "/api/v1/status");
    assert!(chunked.contains("transfer-encoding: chunked") && chunked.ends_with("\r\n0\r\n\r\n"), "{chunked}");
    let page = get(&socket, "/");
    assert!(expected.iter().all(|name| page.contains(&format!("/account/{name}\">"))), "{page}");
    daemon.end();
}

#[test]
fn what_fetch_brings_is_in_the_history_and_a_restart_loses_none_of_it() {
    let maildrop = Maildrop::new(small_ones(3));
    let (env, socket) = home(&maildrop);
    env.run(&["fetch", "a"]).expect(0);
    let brought = |daemon: &Daemon<'_>| {
        let account = daemon.account("a");
        let hours = account["hours"].as_array().unwrap();
        let messages: u64 = hours.iter().map(|hour| hour["messages"].as_u64().unwrap()).sum();
        (messages, account["recent"].as_array().unwrap().len(), account["today"]["messages"].as_u64().unwrap())
    };
    let daemon = Daemon::start(&env);
    wait_for("the first poll", || daemon.account("a")["last_poll"].is_i64());
    assert_eq!(brought(&daemon), (3, 1, 3));
    let last = daemon.account("a");
    assert_eq!((&last["last_poll_octets"], &last["last_poll_round_trips"]), (&0.into(), &3.into()), "{last}");
    // Fetched by another process, which the daemon notices at its next poll.
    maildrop.change(|contents| contents.messages.push(Message::new("new", b"Subject: new\r\n\r\nnew\r\n")));
    env.run(&["fetch", "--wait", "a"]).expect(0).says("1 new message");
    maildrop.change(|contents| contents.messages.push(Message::new("newer", b"Subject: newer\r\n\r\nnewer\r\n")));
    daemon.poll("a");
    wait_for("the daemon's own", || brought(&daemon) == (5, 3, 5));
    let page = get(&socket, "/account/a");
    for part in ["5 messages in 7 days", "data-label=\"round trips\"", " round trips, "] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    daemon.end();
    let daemon = Daemon::start(&env);
    wait_for("the history", || brought(&daemon).0 == 5);
    daemon.end();
}

#[test]
fn metrics_come_in_both_forms() {
    let maildrop = Maildrop::new(small_ones(2));
    let (env, socket) = home(&maildrop);
    let daemon = Daemon::start(&env);
    wait_for("the polls", || {
        let metrics = get(&socket, "/metrics");
        metrics.contains("mailferry_polls_total{result=\"login-refused\"} 1")
            && metrics.contains("mailferry_messages_total{outcome=\"delivered\"} 2")
            && metrics.contains("mailferry_accounts{state=\"trouble\"} 1")
            && metrics.contains("mailferry_polls_total{result=\"succeeded\"} 1")
    });
    let plain = get(&socket, "/metrics");
    for part in [
        "content-type: text/plain; version=0.0.4",
        "# TYPE mailferry_poll_duration_seconds histogram",
        "mailferry_polls_total{result=\"succeeded\"} 1",
        "mailferry_accounts{state=\"trouble\"} 1",
        "mailferry_account_state{account=\"wrong\",state=\"trouble\"} 1",
    ] {
        assert!(plain.contains(part), "{part:?} is not in {plain}");
    }
    let open = ask(
        &socket,
        "GET /metrics HTTP/1.1\r\nHost: h\r\nAccept: application/openmetrics-text;version=1.0.0\r\nConnection: close\r\n\r\n",
    );
    assert!(open.contains("application/openmetrics-text") && open.trim_end().ends_with("# EOF"), "{open}");
    daemon.end();
}

#[test]
fn clients_that_never_end_keep_neither_polls_nor_others_from_anything() {
    let maildrop = Maildrop::new(small_ones(1));
    let (env, socket) = home(&maildrop);
    let daemon = Daemon::start(&env);
    wait_for("the page", || socket.exists() && get(&socket, "/healthz").contains("200"));
    // More than the connections that are served; each sends nothing, or the beginning of a request.
    let idle: Vec<UnixStream> = (0..130)
        .map(|n| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(if n % 2 == 0 { b"GET / HT" } else { b"" }).unwrap();
            stream
        })
        .collect();
    daemon.poll("a");
    // A header has 5 s, for which nobody else waits.
    let begun = Instant::now();
    for _ in 0..3 {
        assert!(get(&socket, "/healthz").ends_with("ok\n"));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(idle);
    let large = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let mut stream = UnixStream::connect(&socket).unwrap();
    let _ = stream.write_all(large.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains("200"), "{answer}");
    daemon.end();
}

#[test]
fn what_is_not_forwarded_is_seen_with_the_reason() {
    let maildrop = Maildrop::new(small_ones(3));
    let destination = ImapServer::start();
    destination.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] <b>Invalid</b>"));
    let account = Account::at(maildrop.server.address).deleting().set("forward", destination.forward(""));
    let env = TestEnv::in_memory(&[account]);
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    let daemon = Daemon::start(&env);
    wait_for("the card", || get(&socket, "/").contains("<h2 id=\"held\">Mail of 1 account is not forwarded</h2>"));
    for page in [get(&socket, "/"), get(&socket, "/account/a")] {
        for part in
            ["<a href=\"/account/a\">a</a>", "&lt;b&gt;Invalid&lt;/b&gt;", "3 messages in the spool", "next try"]
        {
            assert!(page.contains(part), "{part:?} is not in {page}");
        }
    }
    destination.with(|mailbox| mailbox.login_refusal = None);
    env.run(&["poll"]).expect(0);
    wait_for("its end", || !get(&socket, "/").contains("id=\"held\""));
    wait_for("the figures", || get(&socket, "/account/a").contains("<dt>Forwarded since the start</dt><dd>3</dd>"));
    daemon.end();
}

#[test]
fn clients_that_read_nothing_keep_no_mail_waiting() {
    let maildrop = Maildrop::new(small_ones(1));
    let (env, socket) = home(&maildrop);
    let daemon = Daemon::start(&env);
    wait_for("the first mail", || daemon.account("a")["total"]["messages"] == 1);
    // All connections but one: they request more than a socket buffers, and read nothing of it.
    let greedy: Vec<UnixStream> = (0..63)
        .map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.set_nonblocking(true).unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
            let _ = stream.write(&request).unwrap();
            stream
        })
        .collect();
    for n in 2..5 {
        maildrop.change(|contents| contents.messages.push(Message::new(&format!("u{n}"), &small(n))));
        env.run(&["poll", "a"]).expect(0);
        wait_for("the new mail", || daemon.account("a")["total"]["messages"] == n);
        assert!(get(&socket, "/metrics").starts_with("HTTP/1.1 200"));
    }
    let one = greedy.first().unwrap();
    let mut answered = [0; 1 << 20];
    let mut held = 0;
    wait_for("what a socket holds", || {
        held += (&*one).read(&mut answered).unwrap_or(0);
        held > 15
    });
    assert!(answered.starts_with(b"HTTP/1.1 200"), "they were served all the while");
    drop(greedy);
    daemon.end();
}

#[test]
fn what_polls_brought_outlives_a_restart_and_a_reload_moves_the_page() {
    let maildrop = Maildrop::new(small_ones(3));
    let (env, socket) = home(&maildrop);
    let daemon = Daemon::start(&env);
    // The end of a back-off is saved, and what was retrieved with it.
    wait_for("the mail", || daemon.account("a")["total"]["messages"] == 3);
    wait_for("the hints", || {
        std::fs::read_to_string(env.path("state/a.hints")).is_ok_and(|text| text.contains("hours"))
    });
    let elsewhere = env.path("other.sock");
    let text = std::fs::read_to_string(env.path("config.toml")).unwrap();
    env.write_config(&text.replace("http.sock", "other.sock"), 0o600);
    daemon.running.signal(rustix::process::Signal::HUP);
    wait_for("the move", || elsewhere.exists() && !socket.exists());
    assert!(get(&elsewhere, "/healthz").contains("200"));
    daemon.end();
    let daemon = Daemon::start(&env);
    wait_for("the page", || elsewhere.exists());
    assert!(get(&elsewhere, "/").contains("3 messages in 7 days"));
    daemon.end();
}
