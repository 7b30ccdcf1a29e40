//! A headless Chromium, driven by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over a
//! pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The maximum time for an answer, the start and the end.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(super) struct Browser {
    process: Child,
    to: Option<ChildStdin>,
    /// The messages received.
    from: Receiver<Value>,
    /// The number of the last request.
    number: u64,
    /// The session of the page.
    session: Option<String>,
    /// The events received, in order.
    pub(super) events: Vec<Value>,
    /// Its profile directory; removed at the end.
    _profile: TempDir,
}

/// Returns the first Chromium on the search path.
fn program() -> Option<&'static str> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| dirs.iter().any(|dir| dir.join(name).exists()))
}

impl Browser {
    /// Starts a browser. None without Chromium.
    pub(super) fn start() -> Option<Self> {
        let profile = tempfile::Builder::new().prefix("mailferry-test-chromium-").tempdir().unwrap();
        // It reads from descriptor 3 and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", program()?]);
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        command.arg("--remote-debugging-pipe").arg(format!("--user-data-dir={}", profile.path().display()));
        command.env("HOME", profile.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let (send, from) = channel();
        let mut pipe = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut text = Vec::new();
            while pipe.read_until(0, &mut text).is_ok_and(|read| read > 0) {
                text.pop();
                if send.send(serde_json::from_slice(&text).unwrap_or(Value::Null)).is_err() {
                    return;
                }
                text.clear();
            }
        });
        let to = process.stdin.take();
        let mut browser = Self { process, to, from, number: 0, session: None, events: Vec::new(), _profile: profile };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let page = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", &page);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Sends a request and returns the answer.
    #[track_caller]
    pub(super) fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut question = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        self.to.as_mut().unwrap().write_all(format!("{question}\0").as_bytes()).unwrap();
        loop {
            let message = self.from.recv_timeout(TIME_LIMIT).unwrap_or_else(|e| panic!("no answer to {method}: {e}"));
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Returns the value of an expression in the page.
    #[track_caller]
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub(super) fn open(&mut self, url: &str) {
        self.ask("Page.navigate", &json!({ "url": url }));
        let begun = Instant::now();
        while self.value("document.readyState + ' ' + location.href") != format!("complete {url}") {
            assert!(begun.elapsed() < TIME_LIMIT, "{url} is not shown");
            std::thread::sleep(Duration::from_millis(20)); // how often to check; nothing depends on it
        }
    }

    /// Returns the addresses that were requested.
    pub(super) fn requested(&self) -> Vec<&str> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }

    /// Returns the errors: scripts that failed, and what the content security policy blocked.
    pub(super) fn errors(&self) -> Vec<&Value> {
        let is_error =
            |event: &&Value| event["method"] == "Log.entryAdded" || event["method"] == "Runtime.exceptionThrown";
        self.events.iter().filter(is_error).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends, with all its processes, when its input is closed.
        drop(self.to.take());
        let begun = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
