//! The units in systemd/, checked by `systemd-analyze`. How they work under a real systemd is tested by
//! tests/systemd/run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::program::skip;

/// The services and timers of the system. Everything that is shipped is named here or below.
const SYSTEM: [&str; 4] =
    ["mailferry.service", "mailferry-fetch.service", "mailferry-fetch.timer", "mailferry@.service"];

/// Those of a user.
const USER: [&str; 3] = ["user/mailferry.service", "user/mailferry-fetch.service", "user/mailferry-fetch.timer"];

/// The drop-ins, the units that each may be used with, and the first version of systemd that knows their settings.
const DROP_INS: [(&str, &[&str], u32); 4] = [
    ("credentials.conf", &["mailferry.service", "mailferry-fetch.service"], 250),
    ("maildirs-elsewhere.conf", &["mailferry.service", "mailferry-fetch.service"], 250),
    ("notify-reload.conf", &["mailferry.service", "mailferry@.service", "user/mailferry.service"], 253),
    ("growing-restart.conf", &["mailferry.service", "mailferry@.service", "user/mailferry.service"], 254),
];

/// A copy of systemd/ whose services start the built program.
struct Units {
    /// The copy of `systemd/`.
    dir: TempDir,
    /// The version of systemd, as a number: 252.
    version: u32,
}

impl Units {
    /// Copies the units. None without `systemd-analyze`: then the test is skipped.
    fn copy() -> Option<Self> {
        let version = Command::new("systemd-analyze")
            .arg("--version")
            .output()
            .ok()
            .and_then(|output| String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?.parse().ok());
        let Some(version) = version else {
            skip("systemd-analyze is not there (Debian package systemd)");
            return None;
        };
        let units = Self { dir: tempfile::tempdir().unwrap(), version };
        fs::create_dir(units.path("user")).unwrap();
        for name in SYSTEM.iter().chain(&USER) {
            let text = fs::read_to_string(shipped().join(name)).unwrap();
            let started = format!("={} ", env!("CARGO_BIN_EXE_mailferry"));
            let copy = text.replace("=mailferry ", &started);
            assert_eq!(text != copy, name.ends_with(".service"), "{name} starts mailferry by its name");
            fs::write(units.path(name), copy).unwrap();
        }
        Some(units)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Copies a drop-in to a unit.
    fn add(&self, drop_in: &str, unit: &str) -> PathBuf {
        let dir = self.path(&format!("{unit}.d"));
        fs::create_dir(&dir).unwrap();
        let text = fs::read_to_string(shipped().join("drop-in").join(drop_in)).unwrap();
        let started = format!("={} ", env!("CARGO_BIN_EXE_mailferry"));
        fs::write(dir.join(drop_in), text.replace("=mailferry ", &started)).unwrap();
        dir
    }

    fn analyze(&self, words: &[&str], unit: &str) -> Output {
        let mut command = Command::new("systemd-analyze");
        if unit.starts_with("user/") {
            command.arg("--user").env("XDG_RUNTIME_DIR", self.dir.path()).env("HOME", self.dir.path());
        }
        // A template is checked as one of its instances.
        let unit = self.path(&unit.replace("@.", "@jo."));
        command.args(words).arg(unit).output().unwrap()
    }

    /// Returns what `verify` says about a unit: nothing if all is well. Its exit status is 0 even for unknown settings.
    fn verify(&self, unit: &str) -> String {
        let output = self.analyze(&["verify", "--man=no"], unit);
        let said = [output.stdout, output.stderr].concat();
        let failed = if output.status.success() { "" } else { "it failed" };
        format!("{}{failed}", String::from_utf8_lossy(&said))
    }

    /// Returns the exposure of a service, from 0 to 10.
    fn exposure(&self, unit: &str) -> f64 {
        let output = self.analyze(&["security", "--offline=true", "--no-pager"], unit);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let level = said.lines().find_map(|line| line.split_once("Overall exposure level for ")?.1.split_once(": "));
        let level = level.and_then(|(_, level)| level.split_whitespace().next()?.parse().ok());
        level.unwrap_or_else(|| panic!("no level in {said:?} {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// Returns the names in a directory with these endings.
fn names(dir: &Path, ends: &[&str]) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| ends.iter().any(|end| name.ends_with(end))).collect();
    names.sort();
    names
}

#[test]
fn every_unit_and_every_drop_in_is_tested_here() {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let units = [".service", ".timer"];
    assert_eq!(names(&shipped(), &units), sorted(SYSTEM.map(String::from).to_vec()));
    let user = USER.map(|name| name.trim_start_matches("user/").to_owned());
    assert_eq!(names(&shipped().join("user"), &units), sorted(user.to_vec()));
    assert_eq!(names(&shipped().join("drop-in"), &[".conf"]), sorted(DROP_INS.map(|(name, ..)| name.into()).to_vec()));
}

#[test]
fn systemd_has_nothing_to_say_of_a_unit() {
    let Some(units) = Units::copy() else { return };
    for unit in SYSTEM.iter().chain(&USER) {
        assert_eq!(units.verify(unit), "", "{unit}");
    }
}

#[test]
fn systemd_has_nothing_to_say_of_a_drop_in() {
    let Some(units) = Units::copy() else { return };
    for (drop_in, with, since) in DROP_INS {
        if units.version < since {
            skip(&format!("systemd {} does not know the settings of drop-in/{drop_in}, {since} does", units.version));
            continue;
        }
        for unit in with {
            let dir = units.add(drop_in, unit);
            assert_eq!(units.verify(unit), "", "{unit} with {drop_in}");
            fs::remove_dir_all(dir).unwrap();
        }
    }
}

#[test]
fn what_systemd_does_not_know_is_found() {
    let Some(units) = Units::copy() else { return };
    for unit in SYSTEM.iter().chain(&USER) {
        let text = fs::read_to_string(units.path(unit)).unwrap();
        let section = if unit.ends_with(".timer") { "[Timer]" } else { "[Service]" };
        fs::write(units.path(unit), text.replace(section, &format!("{section}\nPrivateTemper=yes"))).unwrap();
        assert!(units.verify(unit).contains("PrivateTemper"), "{unit}");
        fs::write(units.path(unit), text).unwrap();
    }
    let dir = units.add("credentials.conf", "mailferry.service");
    fs::write(dir.join("wrong.conf"), "[Service]\nPrivateTemper=yes\n").unwrap();
    assert!(units.verify("mailferry.service").contains("PrivateTemper"));
}

#[test]
fn the_services_of_the_machine_can_do_little_harm() {
    let Some(units) = Units::copy() else { return };
    for unit in SYSTEM.iter().filter(|unit| unit.ends_with(".service")) {
        let exposure = units.exposure(unit);
        assert!(exposure <= 2.0, "{unit}: {exposure}");
    }
    // With the drop-ins.
    units.add("maildirs-elsewhere.conf", "mailferry.service");
    let exposure = units.exposure("mailferry.service");
    assert!(exposure <= 2.0, "with Maildirs elsewhere: {exposure}");
    // A unit that may do more is detected.
    let open = "[Service]\nExecStart=/bin/true\n";
    fs::write(units.path("mailferry.service"), open).unwrap();
    assert!(units.exposure("mailferry.service") > 5.0);
}

#[test]
fn a_wrong_configuration_does_not_start_again_and_an_end_in_order_is_no_failure() {
    for name in SYSTEM.iter().chain(&USER).filter(|name| name.ends_with(".service")) {
        let text = fs::read_to_string(shipped().join(name)).unwrap();
        let has = |line: &str| text.lines().any(|found| found == line);
        assert!(has("SuccessExitStatus=130 143"), "{name}");
        assert_eq!(has("RestartPreventExitStatus=64 78"), has("Restart=on-failure"), "{name}");
        assert_eq!(has("Type=notify"), has("Restart=on-failure"), "{name}");
        assert_eq!(has("WatchdogSec=2min"), has("Restart=on-failure"), "{name}");
        assert_eq!(has("ExecReload=mailferry check --offline --quiet"), has("Restart=on-failure"), "{name}");
    }
}

#[test]
fn every_service_has_a_bound_on_memory_and_tasks() {
    for name in SYSTEM.iter().chain(&USER).filter(|name| name.ends_with(".service")) {
        let text = fs::read_to_string(shipped().join(name)).unwrap();
        for line in ["MemoryMax=2G", "TasksMax=2048", "OOMPolicy=continue"] {
            assert!(text.lines().any(|found| found == line), "{name}: {line}");
        }
    }
}
