use std::io::Write;
use std::path::Path;

use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;

use super::super::lines::OF_ACCOUNTS;
use super::*;

const SOON: Duration = Duration::from_secs(30);

/// A shell command; `$0` is the directory.
fn shell(dir: &TempDir, script: &str) -> Vec<OsString> {
    vec!["sh".into(), "-c".into(), script.into(), dir.path().into()]
}

fn of(event: &str) -> Vec<(&'static str, OsString)> {
    vec![(EVENT, event.into()), (ACCOUNT, "work".into())]
}

fn read(dir: &TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap()
}

/// Collects what this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_command_is_told_what_happened_and_reads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::begin();
    let command_runner = CommandRunner::new();
    let text = "quotes ' \" $(touch x) `touch x` \u{fc}";
    let mut environment = of("trouble");
    environment.push(("MAILFERRY_TEXT", text.into()));
    let script = "cat; env | grep ^MAILFERRY | sort > $0/out; echo fine; pwd > /dev/null";
    command_runner.tell(&shell(&dir, script), environment);
    assert!(command_runner.finish(SOON).await);
    let expected = format!("MAILFERRY_ACCOUNT=work\nMAILFERRY_EVENT=trouble\nMAILFERRY_TEXT={text}\n");
    assert_eq!(read(&dir, "out"), expected);
    let log = log.text();
    assert!(log.contains("DEBUG") && log.contains("work: the command `sh` for the event trouble succeeded"), "{log}");
    assert!(log.contains("saying: fine") && !log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn a_command_that_fails_is_a_warning_with_its_last_words_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::begin();
    let command_runner = CommandRunner::new();
    let script = "head -c 300000 /dev/zero | tr '\\0' x; echo; printf 'no \\033[2J way' >&2; exit 3";
    command_runner.tell(&shell(&dir, script), of("recovered"));
    command_runner.tell(&["/nonexistent/command\x1b".into()], of("new-mail"));
    command_runner.tell(&shell(&dir, "kill -9 $$"), of("quarantine"));
    command_runner.tell(&[], of("certificate"));
    assert!(command_runner.finish(SOON).await);
    let log = log.text();
    assert!(log.contains("WARN") && log.contains("recovered ended with status 3, saying: no \\u{1b}[2J way"), "{log}");
    assert!(log.len() < 2048 + 2000 && log.contains(&"x".repeat(2000)), "{} bytes of log", log.len());
    assert!(log.contains("`/nonexistent/command\\u{1b}` for the event new-mail was not found"), "{log}");
    assert!(log.contains("quarantine was killed by signal 9"), "{log}");
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::begin();
    let command_runner = CommandRunner::with_limits(Duration::from_secs(1), LONG);
    command_runner.tell(&shell(&dir, "sleep 1000 & echo $! > $0/pid; echo waiting; wait"), of("trouble"));
    assert!(command_runner.finish(SOON).await);
    assert!(log.text().contains("did not end within 1 seconds and was killed, saying: waiting"), "{}", log.text());
    let sleeper = format!("/proc/{}/stat", read(&dir, "pid").trim());
    // A dead process may remain until its new parent reaps it.
    let begun = Instant::now();
    let is_dead = || std::fs::read_to_string(&sleeper).map_or(true, |stat| stat.contains(") Z "));
    while !is_dead() {
        assert!(begun.elapsed() < SOON, "it still sleeps");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_goes_on_in_the_background_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::begin();
    let command_runner = CommandRunner::with_limits(SOON * 2, LONG);
    command_runner.tell(&shell(&dir, "sleep 1000 & echo $! > $0/pid"), of("trouble"));
    assert!(command_runner.finish(SOON).await);
    assert!(log.text().contains("succeeded"), "{}", log.text());
    let sleeper = read(&dir, "pid").trim().parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_run_at_the_same_time_in_order_and_too_many_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::begin();
    let command_runner = CommandRunner::new();
    let begun = dir.path().join("begun");
    // Each waits for permission to go on.
    let script = "echo $MAILFERRY_EVENT >> $0/begun; while [ ! -e $0/go ]; do sleep 0.02; done";
    for _ in 0..2 {
        command_runner.tell(&shell(&dir, script), of("first"));
    }
    let clone = command_runner.clone();
    for n in 0..260 {
        clone.tell(&shell(&dir, "echo $MAILFERRY_EVENT >> $0/later"), of(&format!("later-{n}")));
    }
    let since = Instant::now();
    while lines(&begun).len() < 2 {
        assert!(since.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!command_runner.finish(Duration::from_millis(200)).await, "they wait");
    assert!(!dir.path().join("later").exists(), "a third one runs");
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert!(command_runner.finish(SOON).await);
    let later = lines(&dir.path().join("later"));
    assert_eq!(later.len(), 256);
    assert!(later.iter().any(|event| event == "later-255") && later.iter().all(|event| event != "later-256"));
    let log = log.text();
    assert_eq!(log.matches("was not run: 256 others are waiting").count(), 4, "{log}");
    // There is room in the queue again.
    command_runner.tell(&shell(&dir, "echo again >> $0/later"), of("again"));
    assert!(command_runner.finish(SOON).await);
    assert_eq!(lines(&dir.path().join("later")).last().map(String::as_str), Some("again"));
}

#[tokio::test]
async fn what_hangs_for_one_account_holds_up_no_other_and_is_run_again_once_for_all_that_came() {
    let dir = tempfile::tempdir().unwrap();
    let command_runner = CommandRunner::new();
    let (settings, new_mail) = (NotifySettings::default(), |count| Notification::NewMail { count });
    let of = |name, script| Account {
        on_new_mail: Some(shell(&dir, script).into()),
        ..crate::delivery::bench::account(name, dir.path())
    };
    let hangs = of("hangs", "echo $MAILFERRY_COUNT >> $0/hangs; while [ ! -e $0/go ]; do sleep 0.02; done");
    for _ in 0..100 {
        command_runner.run_for(&new_mail(2), &hangs, &settings);
    }
    command_runner.run_for(&new_mail(1), &of("well", "echo $MAILFERRY_COUNT > $0/well"), &settings);
    let since = Instant::now();
    while lines(&dir.path().join("well")).is_empty() || lines(&dir.path().join("hangs")).is_empty() {
        assert!(since.elapsed() < SOON, "the other account's command waits");
        sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert!(command_runner.finish(SOON).await);
    assert_eq!(lines(&dir.path().join("hangs")), ["2", "198"]);
}

#[tokio::test]
async fn what_hangs_for_many_accounts_passes_on_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let command_runner = CommandRunner::with_limits(SOON * 4, Duration::from_millis(50));
    let settings = NotifySettings::default();
    let mail = |name: &str, script| {
        let account = Account {
            on_new_mail: Some(shell(&dir, script).into()),
            ..crate::delivery::bench::account(name, dir.path())
        };
        command_runner.run_for(&Notification::NewMail { count: 1 }, &account, &settings);
    };
    for n in 0..OF_ACCOUNTS {
        mail(&format!("hangs{n}"), "while [ ! -e $0/go ]; do sleep 0.1; done; echo >> $0/ended");
    }
    mail("well", "echo $MAILFERRY_COUNT > $0/well");
    let since = Instant::now();
    while lines(&dir.path().join("well")).is_empty() {
        assert!(since.elapsed() < SOON, "the other account's command waits");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!dir.path().join("ended").exists());
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert!(command_runner.finish(SOON).await);
    assert_eq!(lines(&dir.path().join("ended")).len(), OF_ACCOUNTS);
}
