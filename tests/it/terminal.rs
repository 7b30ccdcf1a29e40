//! Runs the program in a terminal, driven from its other end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{Running, TestEnv};

/// The initial number of rows.
const ROWS: u16 = 24;

/// A terminal whose other end the test holds.
pub(crate) struct Terminal {
    ours: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of the output was searched already, in bytes.
    seen: usize,
    /// The program's end, kept open so that the terminal lives as long as this.
    theirs: OwnedFd,
}

impl Terminal {
    /// Starts the program in a terminal of this many columns, with additional environment variables.
    pub(crate) fn start(env: &TestEnv, columns: u16, environment: &[(&str, &str)], args: &[&str]) -> (Self, Running) {
        Self::open(columns, environment, |wrapper| env.spawn_under(wrapper, args))
    }

    /// Like [`Self::start`], as a new user does it: nothing says where anything is.
    pub(crate) fn start_plain(
        env: &TestEnv,
        columns: u16,
        environment: &[(&str, &str)],
        args: &[&str],
    ) -> (Self, Running) {
        Self::open(columns, environment, |wrapper| env.spawn_plain(wrapper, args))
    }

    fn open(columns: u16, environment: &[(&str, &str)], spawn: impl FnOnce(&[&str]) -> Running) -> (Self, Running) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name.as_str(), flags, rustix::fs::Mode::empty()).unwrap();
        tcsetwinsize(&ours, size(columns, ROWS)).unwrap();
        let settings: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let script = format!("TERM=xterm exec setsid --ctty env \"$@\" <{name} >{name} 2>&1");
        let wrapper = ["bash", "-c", &script, "bash"].into_iter().chain(settings.iter().map(String::as_str));
        let running = spawn(&wrapper.collect::<Vec<_>>());
        let ours = File::from(ours);
        let (mut reader, shown) = (ours.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                kept.lock().unwrap().extend(&buffer[..count]);
            }
        });
        (Self { ours, shown, seen: 0, theirs }, running)
    }

    /// Changes the size and notifies the program.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.ours, size(columns, rows)).unwrap();
    }

    /// Whether the terminal echoes what is typed, as it does while no program has taken it over.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Types text.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    /// Returns everything that was shown.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Returns what was written after the text that was last waited for.
    pub(crate) fn rest(&self) -> String {
        self.text().get(self.seen..).unwrap_or_default().to_owned()
    }

    /// Waits until `text` is shown after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &str) {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if let Some(at) = text.get(self.seen..).and_then(|rest| rest.find(words)) {
                self.seen += at + words.len();
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "{words:?} is not shown: {text:?}");
            std::thread::sleep(Duration::from_millis(10)); // how often to check; nothing depends on it
        }
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
