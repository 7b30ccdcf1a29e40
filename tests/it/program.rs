//! The built program, run as a user runs it, with a configuration, its own home and a time limit; and what it leaves
//! behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::delivered::{check_delivered_file, files};
use crate::leaks::check_output;
use crate::scripted::maildrop::{PASSWORD, USER};

/// The time limit of a run: then it is killed, and the test fails.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// An account of the configuration: keys, and their values as TOML.
#[derive(Clone)]
pub(crate) struct Account {
    /// Its name.
    name: String,
    /// Its keys.
    keys: BTreeMap<&'static str, String>,
}

impl Account {
    /// An account at a scripted server, without TLS, that leaves its messages on the server.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { name: "a".to_owned(), keys: BTreeMap::new() }
            .text("host", &address.ip().to_string())
            .set("port", address.port())
            .text("tls", "none")
            .text("username", USER)
            .text("password", PASSWORD)
            .text("timeout", "20s")
    }

    /// Returns the account under another name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets a key to a value given as TOML.
    pub(crate) fn set(mut self, key: &'static str, value: impl ToString) -> Self {
        self.keys.insert(key, value.to_string());
        self
    }

    /// Removes a key.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.remove(key);
        self
    }

    /// Sets a key to a string.
    pub(crate) fn text(self, key: &'static str, value: &str) -> Self {
        self.set(key, format!("{value:?}"))
    }

    /// Makes it delete messages on the server after delivery.
    pub(crate) fn deleting(self) -> Self {
        self.set("leave_on_server", false)
    }

    /// Sets the mode of TLS and the trusted authority.
    pub(crate) fn tls(self, mode: &str, ca_file: &Path) -> Self {
        self.text("tls", mode).text("tls_ca_file", ca_file.to_str().unwrap()).text("host", "localhost")
    }
}

/// A home, a configuration and a state directory, removed when dropped.
pub(crate) struct TestEnv {
    /// The home.
    dir: TempDir,
}

impl TestEnv {
    /// Makes an environment with these accounts, on disk.
    pub(crate) fn new(accounts: &[Account]) -> Self {
        Self::within(&std::env::temp_dir(), accounts)
    }

    /// Makes an environment with these accounts, in memory if there is a file system for that: for what is run very
    /// often.
    pub(crate) fn in_memory(accounts: &[Account]) -> Self {
        let memory = Path::new("/dev/shm");
        let usable = tempfile::tempfile_in(memory).is_ok();
        Self::within(if usable { memory } else { Path::new("/tmp") }, accounts)
    }

    /// Makes an environment with these accounts in a directory.
    fn within(parent: &Path, accounts: &[Account]) -> Self {
        let dir = tempfile::Builder::new().prefix("mailferry-test-").tempdir_in(parent).unwrap();
        let env = Self { dir };
        env.configure(accounts);
        env
    }

    /// Writes the configuration again.
    pub(crate) fn configure(&self, accounts: &[Account]) {
        let mut text = format!("[defaults]\nmaildir = \"{}/{{account}}\"\n", self.path("Mail").display());
        for account in accounts {
            text.push_str(&format!("\n[accounts.{}]\n", account.name));
            for (key, value) in &account.keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        self.write_config(&text, 0o600);
    }

    /// Adds this text to the configuration.
    pub(crate) fn configure_more(&self, text: &str) {
        let path = self.path("config.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, before + text).unwrap();
    }

    /// Writes this text as the configuration.
    pub(crate) fn write_config(&self, text: &str, mode: u32) {
        let path = self.path("config.toml");
        drop(fs::remove_file(&path));
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        fs::write(&path, text).unwrap();
    }

    /// A path in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `mailferry --config .. --state-dir .. ARGS` and waits for its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.spawn(args).wait()
    }

    /// Runs `fetch` and waits for its end.
    pub(crate) fn fetch(&self) -> Outcome {
        self.run(&["fetch"])
    }

    /// Starts the program.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        self.spawn_under(&[], args)
    }

    /// Starts the program through another one, which is given the program's command line.
    pub(crate) fn spawn_under(&self, wrapper: &[&str], args: &[&str]) -> Running {
        Running::start(&mut self.command(wrapper, args))
    }

    /// Starts the program with additional environment variables.
    pub(crate) fn spawn_with(&self, environment: &[(&str, &str)], args: &[&str]) -> Running {
        Running::start(self.command(&[], args).envs(environment.iter().copied()))
    }

    /// Starts the program with this text on its standard input.
    pub(crate) fn spawn_with_input(&self, input: &str, args: &[&str]) -> Running {
        let file = self.path("input");
        fs::write(&file, input).unwrap();
        Running::start_with(&mut self.command(&[], args), Stdio::from(fs::File::open(file).unwrap()))
    }

    /// Returns the command that starts the program.
    pub(crate) fn command(&self, wrapper: &[&str], args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_mailferry");
        let mut words = wrapper.iter().copied().chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("--config").arg(self.path("config.toml"));
        command.arg("--state-dir").arg(self.path("state")).args(args);
        command.env_clear().env("HOME", self.dir.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.dir.path());
        command
    }

    /// Starts the program as a new user does, through another one: nothing says where anything is.
    pub(crate) fn spawn_plain(&self, wrapper: &[&str], args: &[&str]) -> Running {
        let mut words = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_mailferry")]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        Running::start(command.env("PATH", std::env::var_os("PATH").unwrap_or_default()))
    }

    /// The Maildir of an account.
    pub(crate) fn maildir(&self, account: &str) -> PathBuf {
        self.path("Mail").join(account)
    }

    /// Returns every delivered message of account `a`, sorted, and checks the names and modes of the files.
    pub(crate) fn mail(&self) -> Vec<Vec<u8>> {
        self.mail_of("a")
    }

    /// Returns every delivered message of an account, sorted.
    pub(crate) fn mail_of(&self, account: &str) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for part in ["new", "cur"] {
            for path in files(&self.maildir(account).join(part)) {
                let content = fs::read(&path).unwrap();
                if part == "new" {
                    check_delivered_file(&path, content.len());
                }
                messages.push(content);
            }
        }
        messages.sort();
        messages
    }

    /// The names in `tmp/` of account `a`.
    pub(crate) fn tmp(&self) -> Vec<PathBuf> {
        files(&self.maildir("a").join("tmp"))
    }

    /// Returns every file below the home with its contents: to check that nothing was written.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut left = vec![self.dir.path().to_owned()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    all.insert(entry.path(), Vec::new());
                    left.push(entry.path());
                } else {
                    all.insert(entry.path(), fs::read(entry.path()).unwrap());
                }
            }
        }
        all
    }
}

/// The running program; killed when dropped.
pub(crate) struct Running {
    /// The process.
    child: Child,
    /// The thread that reads its standard output.
    stdout: Option<JoinHandle<Vec<u8>>>,
    /// The thread that reads its standard error.
    stderr: Option<JoinHandle<Vec<u8>>>,
    /// The time when it was started.
    started: Instant,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status, or the negative number of the signal that killed it.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
    /// How long it ran.
    pub(crate) elapsed: Duration,
    /// The peak resident memory seen, without the program's text, in KiB.
    pub(crate) peak_kib: u64,
}

impl Running {
    /// Starts a command with its output collected.
    fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Like [`Self::start`], with standard input.
    fn start_with(command: &mut Command, input: Stdio) -> Self {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, stdout: Some(stdout), stderr: Some(stderr), started }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, with a time limit.
    pub(crate) fn wait(mut self) -> Outcome {
        let (mut peak, mut text_kib) = (0, 0);
        let waited = Instant::now(); // a daemon may have run for long
        let status = loop {
            let (resident, of_files) = memory(self.pid());
            (peak, text_kib) = (peak.max(resident), text_kib.max(of_files));
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if waited.elapsed() > TIME_LIMIT {
                drop(self.child.kill());
                drop(self.child.wait());
                break None;
            }
            std::thread::sleep(Duration::from_millis(2)); // how often to check; nothing depends on it
        };
        let elapsed = self.started.elapsed();
        let text = |handle: Option<JoinHandle<Vec<u8>>>| handle.unwrap().join().unwrap();
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        check_output(&stdout);
        check_output(&stderr);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        let code = status.map(|status| status.code().unwrap_or_else(|| -status.signal().unwrap()));
        let peak_kib = peak.saturating_sub(text_kib);
        let outcome =
            Outcome { status: code.unwrap_or(i32::MIN), stdout: text(stdout), stderr: text(stderr), elapsed, peak_kib };
        assert!(code.is_some(), "the program did not end within {TIME_LIMIT:?}: {outcome:#?}");
        outcome
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10)); // how often to check; nothing depends on it
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Outcome {
    /// Checks how the run ended.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "the exit status; {self:#?}");
        self
    }

    /// Returns both outputs, for searching.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Checks that the output contains this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.output().contains(text), "it does not say {text:?}; {self:#?}");
        self
    }
}

/// Reads a pipe to its end in its own thread.
fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Returns the high-water mark of a process's resident memory, and how much of it is file-backed now, in KiB; 0 if the
/// process has gone. The program's text is to be subtracted: an unoptimised program has megabytes of it, and they may
/// be evicted without lowering the mark.
fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // For a moment after the start it still has this process's memory and the name of this thread.
    let ours = fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    if status.lines().next().and_then(|line| line.strip_prefix("Name:\t")) == Some(ours.trim_end()) {
        return (0, 0);
    }
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    };
    (field("VmHWM:"), field("RssFile:"))
}

/// Reports that a test is skipped. Not by `println!`, which is not shown for a test that passes.
pub(crate) fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    drop(writeln!(std::io::stderr(), "skipped: {name}: {reason}"));
}
