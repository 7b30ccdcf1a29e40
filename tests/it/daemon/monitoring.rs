//! `contrib/`: the dashboard and the alerts use metrics that `/metrics` serves, and promtool accepts all of it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::page::get;
use super::{Daemon, wait_for};
use crate::certificates::{Authority, Kind};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv, skip};
use crate::scripted::imap::ImapServer;
use crate::scripted::maildrop::Maildrop;

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(contrib(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns what a daemon serves with a good account over TLS, a refused one, and one whose mail is not accepted by its
/// destination.
fn scrape() -> String {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let maildrop = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(authority.server_config(Kind::Good));
        behaviour.implicit_tls = true;
    });
    let good = Account::at(maildrop.server.address).tls("implicit", &authority.ca_file);
    let wrong = good.clone().named("wrong").text("password", "not this one");
    let destination = ImapServer::start();
    destination.with(|mailbox| mailbox.login_refusal = Some("NO [AUTHENTICATIONFAILED] Invalid credentials"));
    let held = good.clone().named("held").deleting().set("forward", destination.forward(""));
    let env = TestEnv::in_memory(&[good, wrong, held]);
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    let daemon = Daemon::start(&env);
    wait_for("the polls", || daemon.account("wrong")["state"] == "trouble" && daemon.account("a")["state"] == "idle");
    let mut served = String::new();
    wait_for("the metrics", || {
        served = get(&socket, "/metrics");
        served.contains("{account=\"wrong\",state=\"trouble\"} 1")
            && served.contains("{result=\"succeeded\"} ")
            && served.contains("mailferry_spooled_messages 1")
    });
    daemon.end();
    served.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Returns the names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("mailferry_")).collect()
}

/// Collects every string under this key of a JSON document.
fn strings<'a>(document: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match document {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.extend(value.as_str());
                }
                strings(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_and_the_alerts_speak_of_what_is_served() {
    let served = scrape();
    let samples: String =
        served.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |all, line| all + line + "\n");
    let there = names(&samples);
    let dashboard: Value = serde_json::from_str(&read("grafana/mailferry.json")).unwrap();
    let (mut asked, mut sources) = (Vec::new(), Vec::new());
    strings(&dashboard, "expr", &mut asked);
    strings(&dashboard, "query", &mut asked);
    let rules = read("prometheus/mailferry.rules.yml");
    asked.extend(rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")));
    assert!(asked.len() > 25, "{asked:?}");
    let spoken: BTreeSet<&str> = asked.iter().flat_map(|text| names(text)).collect();
    assert!(spoken.contains("mailferry_certificate_expiry_timestamp_seconds"), "{spoken:?}");
    let unknown: Vec<_> = spoken.difference(&there).collect();
    assert!(unknown.is_empty(), "{unknown:?} is not among {there:?}");
    // So are their labels, with the values that are searched for.
    for label in asked.iter().flat_map(|text| text.split(['{', ',', '}'])).map(str::trim) {
        let Some((name, value)) = label.split_once('=').filter(|(name, _)| *name == "state" || *name == "outcome")
        else {
            continue;
        };
        for value in value.trim_start_matches('~').trim_matches('"').split('|') {
            assert!(samples.contains(&format!("{name}=\"{value}\"")), "{name}={value} is not served");
        }
    }
    // The user who imports it selects the Prometheus server.
    strings(&dashboard, "uid", &mut sources);
    assert!(sources.iter().all(|uid| *uid == "${DS_PROMETHEUS}" || *uid == "mailferry"), "{sources:?}");
}

/// Runs promtool with this standard input. None if it is not installed.
fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(contrib("prometheus"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    Some(said)
}

#[test]
fn promtool_takes_the_metrics_and_the_alerts_and_each_alert_fires() {
    let rules = "mailferry.rules.yml";
    let Some(said) = promtool(&["check", "rules", "--lint-fatal", rules], "") else {
        return skip("it takes promtool, of Debian's package prometheus");
    };
    let alerts: Vec<String> = read(&format!("prometheus/{rules}"))
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned))
        .collect();
    assert!(said.contains(&format!("{} rules found", alerts.len())), "{said}");
    promtool(&["test", "rules", "mailferry.rules.test.yml"], "");
    let tests = read("prometheus/mailferry.rules.test.yml");
    for alert in &alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "no test has {alert} fire");
        assert!(tests.contains(&format!("alertname: {alert}}}\n")), "no test has {alert} silent");
    }
    let said = promtool(&["check", "metrics"], &scrape()).unwrap();
    assert!(said.trim().is_empty(), "{said}");
}
