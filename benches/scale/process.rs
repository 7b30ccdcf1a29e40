//! The program under measurement.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What a run took.
pub(crate) struct Cost {
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds of user and system time, to 10 ms.
    pub(crate) cpu: f64,
    /// The most that was resident, in MiB.
    pub(crate) peak: f64,
}

/// Runs it to its end, which must be a good one.
pub(crate) fn run(config: &Path, arguments: &[&str]) -> Cost {
    let begun = Instant::now();
    let process = command(config, arguments).spawn().expect("to start mailferry");
    let mut running = Running { process, ready: mpsc::channel().1 };
    let (mut cpu, mut peak) = (0.0, 0.0);
    let status = loop {
        (cpu, peak) = (running.cpu().max(cpu), running.status("VmHWM:").max(peak));
        if let Some(status) = running.process.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(2)); // the pace of looking
    };
    assert!(status.success(), "mailferry {arguments:?} ended with {status}");
    Cost { wall: begun.elapsed().as_secs_f64(), cpu, peak }
}

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailferry"));
    command.arg("--config").arg(config).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A process that is ended with this value.
pub(crate) struct Running {
    process: Child,
    /// Tells each time that it says that it is ready.
    ready: Receiver<()>,
}

impl Running {
    /// A daemon, and how many seconds it took to say that it is ready.
    pub(crate) fn start_daemon(config: &Path) -> (Self, f64) {
        let socket = config.with_file_name("notify");
        let notify = UnixDatagram::bind(&socket).unwrap();
        let begun = Instant::now();
        let process = command(config, &["--quiet", "daemon"]).env("NOTIFY_SOCKET", &socket).spawn().unwrap();
        let (says, ready) = mpsc::channel();
        // All that it says is read, or the socket would fill.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = notify.recv(&mut bytes) {
                if String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).contains("READY=1") {
                    let _ = says.send(());
                }
            }
        });
        let daemon = Self { process, ready };
        daemon.wait_until_ready();
        (daemon, begun.elapsed().as_secs_f64())
    }

    fn wait_until_ready(&self) {
        self.ready.recv_timeout(Duration::from_secs(60)).expect("the daemon to be ready");
    }

    /// Has it read its configuration anew, and waits for that.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
        self.wait_until_ready();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Seconds of user and system time so far.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // utime and stime, in hundredths of a second: fields 14 and 15 of proc(5), of which the first two are gone.
        fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// What is resident, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most that was resident, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    /// From here on the peak is counted anew.
    pub(crate) fn forget_peak(&self) {
        // proc(5): 5 resets it.
        fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kibibytes.unwrap_or_default() / 1024.0
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        self.signal(Signal::TERM);
        self.process.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
