//! Has the linker lay side by side what polls execute (`benches/layout/first.ld`), so that less of it is in memory: see
//! docs/performance.md. A linker that does not take the script makes the same program in another order.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=benches/layout/first.ld");
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if !release || !linux {
        return;
    }
    let Some(script) = env::var_os("CARGO_MANIFEST_DIR").map(|dir| Path::new(&dir).join("benches/layout/first.ld"))
    else {
        return;
    };
    // One word, so that no comma or blank in the path matters to the compiler driver.
    if let Some(argument) = script.to_str().map(|script| format!("-T{script}"))
        && is_taken(&argument)
    {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

/// Whether an empty program can be linked with this argument, in the way in which the program will be, and runs.
fn is_taken(argument: &str) -> bool {
    let (Some(compiler), Some(target), Some(dir)) =
        (env::var_os("RUSTC"), env::var_os("TARGET"), env::var_os("OUT_DIR"))
    else {
        return false;
    };
    let (source, program) = (PathBuf::from(&dir).join("probe.rs"), PathBuf::from(&dir).join("probe"));
    if std::fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut link = Command::new(compiler);
    link.arg(source).arg("-o").arg(&program).arg("--target").arg(&target);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("-Clinker=");
        option.push(linker);
        link.arg(option);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    link.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    link.arg(format!("-Clink-arg={argument}"));
    let succeeds = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|end| end.success())
    };
    // What was made for another machine cannot be tried.
    succeeds(&mut link) && (env::var_os("HOST") != Some(target) || succeeds(&mut Command::new(program)))
}
