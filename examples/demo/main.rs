//! A first look at mailferry that touches no mail of yours: `cargo run --release --example demo`.
//!
//! A small POP3 server inside this program serves sample messages. mailferry fetches them into a throw-away Maildir,
//! twice, and the demo checks what came out. What runs is the program itself: the demo makes the same call as `main`.

mod server;

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use server::{PASSWORD, Server, USERNAME};

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nThe demo failed.\n{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The whole story. An error is a text for the reader.
fn demo() -> Result<(), String> {
    let samples = read_samples()?;
    let contents: Vec<Vec<u8>> = samples.iter().map(|sample| sample.content.clone()).collect();
    let server = Server::start(&contents).map_err(|e| format!("The demo's server cannot listen on 127.0.0.1: {e}"))?;
    let paths = Paths::create(server.address)?;
    print_introduction(samples.len(), &server, &paths);

    println!("\n1. The first fetch: every message is new.\n");
    fetch(&paths)?;
    let delivered = check_maildir(&samples, &paths)?;
    let retrieved = server.retr_count();

    println!("\n2. The same command again: the messages are still on the server, and known.\n");
    fetch(&paths)?;
    check_maildir(&samples, &paths)?;
    let again = server.retr_count() - retrieved;
    if again != 0 {
        return Err(format!("The second fetch retrieved {again} messages again. It should have retrieved none."));
    }

    print_result(&delivered, &paths);
    Ok(())
}

/// A message of the collection in `tests/fixtures/mail`.
struct Sample {
    path: PathBuf,
    content: Vec<u8>,
}

impl Sample {
    /// What the Maildir should hold: CRLF stored as LF, and the end that POP3 gives to a last line without one.
    fn as_stored(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(self.content.len());
        for line in self.content.split_inclusive(|&byte| byte == b'\n') {
            stored.extend_from_slice(line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line));
            stored.push(b'\n');
        }
        stored
    }
}

/// Reads every `.eml` file below `tests/fixtures/mail`, in the order of their names.
fn read_samples() -> Result<Vec<Sample>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mail");
    let mut samples = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory)? {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "eml") {
                let content = fs::read(&path).map_err(about(&path))?;
                samples.push(Sample { path, content });
            }
        }
    }
    if samples.is_empty() {
        return Err(format!("There are no sample messages (*.eml) below {}.", root.display()));
    }
    samples.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(samples)
}

/// Where the demo writes: a fresh directory that only you can read, kept when the demo ends.
struct Paths {
    root: PathBuf,
    config: PathBuf,
    state_dir: PathBuf,
    maildir: PathBuf,
}

impl Paths {
    /// Makes the directory and writes the configuration. Maildir and state are mailferry's to make.
    fn create(server: SocketAddr) -> Result<Self, String> {
        let only_you = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("mailferry-demo-").permissions(only_you).tempdir();
        let root = directory.map_err(about(&std::env::temp_dir()))?.keep();
        let paths = Self {
            config: root.join("config.toml"),
            state_dir: root.join("state"),
            maildir: root.join("Maildir"),
            root,
        };
        let Some(maildir) = paths.maildir.to_str() else {
            return Err(format!("A configuration is UTF-8 text, so it cannot name {}.", paths.maildir.display()));
        };
        // It holds a password, so nobody else may read it: mailferry insists on that.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&paths.config);
        let written = file.and_then(|mut file| file.write_all(configuration(server, maildir).as_bytes()));
        written.map_err(about(&paths.config))?;
        Ok(paths)
    }

    fn new_dir(&self) -> PathBuf {
        self.maildir.join("new")
    }

    /// What mailferry remembers about the account called "demo".
    fn state_file(&self) -> PathBuf {
        self.state_dir.join("demo.uids")
    }
}

/// All that mailferry needs to know.
fn configuration(server: SocketAddr, maildir: &str) -> String {
    let (host, port) = (server.ip(), server.port());
    let maildir = toml::Value::from(maildir); // shows itself in quotes
    format!(
        r#"# Written by mailferry's demo. See README.md for a configuration of your own.

[accounts.demo]
host = "{host}"
port = {port}
tls = "none"             # allowed only because the server is on this machine
username = "{USERNAME}"
password = "{PASSWORD}"
maildir = {maildir}
leave_on_server = true   # the default; false deletes what was delivered
"#
    )
}

/// Runs `mailferry fetch` in this process, just as the program's `main` does.
fn fetch(paths: &Paths) -> Result<(), String> {
    println!("$ mailferry --config {} \\", paths.config.display());
    println!("            --state-dir {} fetch", paths.state_dir.display());
    let arguments: [OsString; 6] = [
        "mailferry".into(),
        "--config".into(),
        paths.config.clone().into(),
        "--state-dir".into(),
        paths.state_dir.clone().into(),
        "fetch".into(),
    ];
    match mailferry::cli::run(arguments) {
        0 => Ok(()),
        status => Err(format!(
            "mailferry ended with exit status {} where 0 was expected.\n\
             Its own words stand above. Everything was kept below {}.",
            status,
            paths.root.display()
        )),
    }
}

/// A file in the Maildir's `new/`.
struct Delivered {
    path: PathBuf,
    content: Vec<u8>,
}

/// Compares the Maildir with the samples: each of them once, byte for byte, and nothing else.
fn check_maildir(samples: &[Sample], paths: &Paths) -> Result<Vec<Delivered>, String> {
    let mut delivered = Vec::new();
    for path in entries(&paths.new_dir())? {
        let content = fs::read(&path).map_err(about(&path))?;
        delivered.push(Delivered { path, content });
    }
    if delivered.len() != samples.len() {
        let (files, messages, new) = (delivered.len(), samples.len(), paths.new_dir());
        return Err(format!("There are {files} files for {messages} messages in\n{}.", new.display()));
    }
    let mut unmatched: Vec<&[u8]> = delivered.iter().map(|file| file.content.as_slice()).collect();
    for sample in samples {
        let wanted = sample.as_stored();
        let Some(index) = unmatched.iter().position(|&content| content == wanted) else {
            let (sample, new) = (sample.path.display(), paths.new_dir());
            return Err(format!("No file has exactly the bytes of\n{sample}\namong those in\n{}.", new.display()));
        };
        unmatched.swap_remove(index);
    }
    if !paths.state_file().is_file() {
        return Err(format!("mailferry left no state file {}.", paths.state_file().display()));
    }
    Ok(delivered)
}

fn print_introduction(count: usize, server: &Server, paths: &Paths) {
    println!("mailferry demo");
    println!("==============");
    println!();
    println!("A small POP3 server, part of this demo, listens on {}.", server.address);
    println!("It holds {count} sample messages. No mail of yours is involved, and no other");
    println!("machine. Everything that is written goes to a new directory:");
    println!();
    println!("  {}", paths.root.display());
}

fn print_result(delivered: &[Delivered], paths: &Paths) {
    let count = delivered.len();
    println!("\n3. What happened\n");
    println!("The server holds {count} messages, and the Maildir holds {count} files. Each file was");
    println!("compared with its message: only the line ends differ, which are LF on disk.");
    println!("The second fetch asked for the list of messages and retrieved none, because");
    println!("mailferry remembers the unique-id of each message that it has delivered.");

    println!("\n4. Where to look\n");
    println!("The Maildir, which mutt, neomutt or Dovecot can open:\n  {}", paths.maildir.display());
    println!("What mailferry remembers:\n  {}", paths.state_file().display());
    println!("The configuration:\n  {}", paths.config.display());
    println!("\nThe first of the messages, in {}:", paths.new_dir().display());
    for file in delivered.iter().take(3) {
        println!("  {}", file.path.file_name().unwrap_or_default().display());
        println!("    Subject: {}", subject(&file.content));
    }

    println!("\n5. Try next\n");
    println!("  ls -l {}", paths.new_dir().display());
    println!("  cat {}", paths.config.display());
    println!("  rm -r {}", paths.root.display());
    println!();
    println!("The demo's server ends here, so these files stay as they are. To fetch mail of");
    println!("your own: mailferry setup YOU@EXAMPLE.ORG, or a configuration like that one.");
}

/// The Subject field's first line, made fit for a terminal.
fn subject(content: &[u8]) -> String {
    let header = content.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let field = header.map(String::from_utf8_lossy).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Subject").then(|| value.trim().to_owned())
    });
    let text = field.unwrap_or_else(|| "(none)".to_owned());
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// What a directory holds, in the order of the names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let listing = fs::read_dir(directory).map_err(about(directory))?;
    let paths = listing.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(about(directory))?;
    paths.sort();
    Ok(paths)
}

/// Puts the path before an error, since the system's own text does not name it.
fn about<E: Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_stored_with_lf_and_a_last_line_end() {
        let stored = |content: &[u8]| Sample { path: PathBuf::new(), content: content.to_vec() }.as_stored();
        assert_eq!(stored(b"a\r\nb\nc"), b"a\nb\nc\n");
        assert_eq!(stored(b"a\r\r\nb\r"), b"a\r\nb\r\n");
        assert_eq!(stored(b""), b"");
    }

    #[test]
    fn a_subject_cannot_control_the_terminal() {
        assert_eq!(subject(b"From: a\nsubject: x\x1b[2Jy\n\nSubject: no\n"), "x[2Jy");
        assert_eq!(subject(b"From: a\n\nSubject: no\n"), "(none)");
    }

    #[test]
    fn a_maildir_path_with_quotes_stays_valid_toml() {
        let text = configuration(SocketAddr::from(([127, 0, 0, 1], 110)), "/tmp/a\"b\\c");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["accounts"]["demo"]["maildir"].as_str(), Some("/tmp/a\"b\\c"));
        assert_eq!(table["accounts"]["demo"]["port"].as_integer(), Some(110));
    }
}
