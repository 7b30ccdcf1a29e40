//! Takes over accounts from another program, with its record of fetched messages.
//!
//! [`fetchmail`], [`getmail`], [`mpop`], [`fdm`] and [`thunderbird`] each read one program's files and make [`Draft`]s.
//! [`draft`] turns a draft into a table, [`take_over`] writes configuration, passwords and states, [`report`] says what
//! was done. PURE except for reading the other program's files and for [`take_over`].
//!
//! Everything in the other program's files becomes something of ours or is named in the report, which never contains a
//! password.

mod common;
mod destination;
pub(crate) mod draft;
pub(crate) mod fdm;
pub(crate) mod fetchmail;
pub(crate) mod getmail;
mod ini;
pub(crate) mod mpop;
mod netrc;
pub(crate) mod report;
pub(crate) mod source;
pub(crate) mod take_over;
pub(crate) mod thunderbird;
mod whose;

use crate::text;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::command_line::{chmod, this_program, word};
use draft::{Draft, Note, Password};
/// A program whose accounts can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// fetchmail 6 and 7.
    Fetchmail,
    /// getmail 5 and 6.
    Getmail,
    /// mpop 1.
    Mpop,
    /// fdm 2.
    Fdm,
    /// Thunderbird and its relatives.
    Thunderbird,
}

impl Program {
    /// Returns the program's name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fetchmail => "fetchmail",
            Self::Getmail => "getmail",
            Self::Mpop => "mpop",
            Self::Fdm => "fdm",
            Self::Thunderbird => "Thunderbird",
        }
    }
}

/// Where to look for the other program's files.
#[derive(Debug, Clone, Default)]
pub(crate) struct SearchPaths {
    /// The configuration, if the user named it.
    pub path: Option<PathBuf>,
    /// The record of fetched messages, if the user named it.
    pub fetched: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or its default.
    pub config_home: Option<PathBuf>,
    /// `$FETCHMAILHOME`.
    pub fetchmail_home: Option<PathBuf>,
    /// The user who runs this, by `/etc/passwd`.
    pub user: Option<String>,
}

/// What was found of the other program.
#[derive(Debug)]
pub(crate) struct Found {
    /// The program.
    pub program: Program,
    /// Its configuration.
    pub config: PathBuf,
    /// The accounts that can be taken over.
    pub drafts: Vec<Draft>,
    /// Accounts that cannot be taken over, and why.
    pub left: Vec<Note>,
    /// Other settings of the configuration.
    pub general: Vec<Note>,
    /// Settings that are not needed here.
    pub needless: Vec<String>,
    /// How to stop the other program from fetching.
    pub switch_off: Vec<String>,
    /// The files that passwords were read from.
    pub files: Vec<PathBuf>,
}

impl Found {
    /// Starts with nothing found.
    #[must_use]
    pub(crate) fn new(program: Program, config: PathBuf) -> Self {
        let (drafts, left, general, needless, switch_off) = Default::default();
        let files = vec![config.clone()];
        Self { program, config, drafts, left, general, needless, switch_off, files }
    }

    /// Notes that files with passwords can be read by others.
    fn warn_of_open_files(&mut self) {
        if !self.drafts.iter().any(|draft| matches!(draft.password, Password::InClear(_))) {
            return;
        }
        for path in &self.files {
            let mode = path.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.mode() & 0o777);
            if let Some(mode) = mode.filter(|mode| mode & 0o044 != 0) {
                let advice = format!("other users can read the passwords in it: run `{}`", chmod(path, "600"));
                self.general.push(Note::new(format!("{} (mode {mode:04o})", path.display()), advice));
            }
        }
    }
}

/// Why nothing can be taken over.
#[derive(Debug)]
pub(crate) enum ImportError {
    /// The configuration was not found.
    NotFound {
        /// The program.
        program: Program,
        /// The places that were searched.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        why: String,
    },
    /// The configuration belongs to another program.
    Another {
        /// The file.
        path: PathBuf,
        /// The program that it was read for.
        program: Program,
        /// The program that it looks like.
        other: Program,
    },
    /// The configuration is one of mailferry.
    Ours {
        /// The file.
        path: PathBuf,
    },
    /// The record that the user named belongs to none of the accounts.
    OfNone {
        /// The record.
        path: PathBuf,
    },
    /// The program itself would not accept this configuration. Never contains its text, which may be a password.
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        what: String,
    },
}

/// Several things in one list: "a, b and c".
fn list(names: &[String]) -> String {
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, looked } => {
                let looked: Vec<String> = looked.iter().map(|path| text::value(&path.to_string_lossy())).collect();
                let (name, looked) = (program.name(), list(&looked));
                let import = this_program(&format!("import {} FILE", name.to_ascii_lowercase()));
                write!(f, "there is no configuration of {name}: looked for {looked}. Give its path: {import}")
            }
            Self::Unreadable { path, why } => write!(f, "cannot read {}: {why}", text::value(&path.to_string_lossy())),
            Self::Another { path, program, other } => {
                let import = this_program(&format!("import {} {}", other.name().to_ascii_lowercase(), word(path)));
                let (path, program, other) = (text::path(path), program.name(), other.name());
                write!(f, "{path} is not a {program} configuration; it looks like one of {other}. Try: {import}")
            }
            Self::Ours { path } => write!(
                f,
                "{} is a configuration of mailferry itself, so there is nothing to import. To see what it has: mailferry \
                 --config {} check --offline",
                text::path(path),
                word(path)
            ),
            Self::OfNone { path } => write!(
                f,
                "{} has no line for any of these accounts. Name the right file with --fetched, or leave it out",
                text::path(path)
            ),
            Self::Syntax { path, line, what } => {
                write!(f, "{}, line {line}: {}", text::value(&path.to_string_lossy()), text::value(what))
            }
        }
    }
}

impl std::error::Error for ImportError {}

/// Reads the configuration and the record of a program.
///
/// # Errors
/// [`ImportError`]; nothing is taken over in part.
pub(crate) fn read(program: Program, search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let read = match program {
        Program::Fetchmail => fetchmail::read(search_paths),
        Program::Getmail => getmail::read(search_paths),
        Program::Mpop => mpop::read(search_paths),
        Program::Fdm => fdm::read(search_paths),
        Program::Thunderbird => thunderbird::read(search_paths),
    };
    if let Some(error) = of_another(program, search_paths, &read) {
        return Err(error);
    }
    let mut found = read?;
    found.warn_of_open_files();
    match &search_paths.fetched {
        Some(fetched) => judge_record(&found, fetched).map(|()| found),
        None => Ok(found),
    }
}

/// Returns whose the file is, if reading it for `program` found nothing and it looks like that of another program.
fn of_another(program: Program, search_paths: &SearchPaths, read: &Result<Found, ImportError>) -> Option<ImportError> {
    let path = match read {
        Ok(found) if !found.drafts.is_empty() => return None,
        Ok(found) => &found.config,
        Err(ImportError::Syntax { path, .. } | ImportError::Unreadable { path, .. }) => path,
        Err(_) => return None,
    };
    let path = search_paths.path.as_ref().unwrap_or(path);
    let (text, path) = (source::text(&source::config(path).ok()?), path.clone());
    if whose::is_ours(&text) {
        return Some(ImportError::Ours { path });
    }
    let other = whose::looks_like(&text).filter(|other| *other != program)?;
    Some(ImportError::Another { path, program, other })
}

/// Checks that the record that the user named can belong to these accounts.
fn judge_record(found: &Found, path: &Path) -> Result<(), ImportError> {
    let unreadable = |why: String| ImportError::Unreadable { path: path.to_owned(), why };
    let is_empty = path.metadata().map_err(|e| unreadable(e.to_string()))?.len() == 0;
    // These records do not say whose they are. Taking one for another account's would hide new mail.
    let is_of_one = matches!(found.program, Program::Getmail | Program::Fdm);
    if is_of_one && found.drafts.len() > 1 && !path.is_dir() {
        let why = "it is the record of one account, and there are several; without --fetched each has its own";
        return Err(unreadable(why.to_owned()));
    }
    let says_something = |draft: &Draft| draft.record.found && (!is_of_one || !draft.record.fetched.is_empty());
    match is_empty || found.drafts.is_empty() || found.drafts.iter().any(says_something) {
        true => Ok(()),
        false => Err(ImportError::OfNone { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROGRAMS: [Program; 5] =
        [Program::Fetchmail, Program::Getmail, Program::Mpop, Program::Fdm, Program::Thunderbird];

    /// Pieces of all five languages, and some of none.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let words: Vec<&'static [u8]> = vec![
            b"poll ",
            b"user ",
            b"is ",
            b"here ",
            b"no ",
            b"= ",
            b"* ",
            b"password ",
            b"set ",
            b"defaults ",
            b"skip h ",
            b"[retriever]\n",
            b"type = SimplePOP3Retriever\n",
            b"server = h\n",
            b"username = u\n",
            b"password_command = (",
            b"account ",
            b"host h\n",
            b"keep ",
            b"tls on\n",
            b"pop3 ",
            b"server ",
            b"match all action ",
            b"action ",
            b"$x = ",
            b"${x}",
            b"cache ",
            b"new-only ",
            b"user_pref(\"mail.server.s.type\", \"pop3\");\n",
            b"\"",
            b"'",
            b"\\",
            b"\n",
            b"#",
            b"{",
            b"}",
            b"\x00",
            b"\xff",
            b"\\x4",
            b"\\999",
            b"1d",
            b"machine h login u password p ",
        ];
        let piece = prop_oneof![
            9 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn the_record_of_one_account_is_not_taken_for_that_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let (path, fetched) = (dir.path().join("conf"), dir.path().join("cache"));
        fs::write(&fetched, "1 1\n").unwrap();
        let account = |name: &str| format!("account \"{name}\" pop3s server \"h\" user \"{name}\" pass \"p\"\n");
        let search_paths = SearchPaths { path: Some(path.clone()), fetched: Some(fetched), ..SearchPaths::default() };
        fs::write(&path, account("a")).unwrap();
        assert_eq!(read(Program::Fdm, &search_paths).unwrap().drafts[0].record.fetched.len(), 1);
        fs::write(&path, account("a") + &account("b")).unwrap();
        assert!(read(Program::Fdm, &search_paths).unwrap_err().to_string().contains("the record of one account"));
    }

    #[test]
    fn a_record_of_none_of_the_accounts_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, fetched) = (dir.path().join("conf"), dir.path().join("ids"));
        let search_paths =
            SearchPaths { path: Some(path.clone()), fetched: Some(fetched.clone()), ..SearchPaths::default() };
        for (program, config, right, wrong) in [
            (Program::Fetchmail, "poll h user u password p keep\n", "u@h 1\n", "v@h 1\nu@other 2\n"),
            (Program::Mpop, "account a\nhost h\nuser u\npassword p\nkeep on\n", " 0 h u\n", " 1 h v\n1\n"),
            (Program::Fdm, "account \"a\" pop3s server \"h\" user \"u\" pass \"p\"\n", "1 1\n", "u@h 1\n"),
        ] {
            fs::write(&path, config).unwrap();
            fs::write(&fetched, right).unwrap();
            assert_eq!(read(program, &search_paths).unwrap().drafts.len(), 1, "{program:?}");
            fs::write(&fetched, "").unwrap();
            assert!(read(program, &search_paths).is_ok(), "{program:?}");
            fs::write(&fetched, wrong).unwrap();
            let told = read(program, &search_paths).unwrap_err().to_string();
            assert!(told.contains("has no line for any of these accounts"), "{told}");
        }
        fs::remove_file(&fetched).unwrap();
        assert!(
            matches!(read(Program::Fdm, &search_paths), Err(ImportError::Unreadable { path, .. }) if path == fetched)
        );
    }

    #[test]
    fn a_file_of_another_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |program: Program, text: &str| {
            let path = dir.path().join(program.name());
            fs::write(&path, text).unwrap();
            (program, path)
        };
        let files = [
            file(Program::Fetchmail, "set daemon 300\npoll h proto pop3\n user u password \"hush\"\n"),
            file(
                Program::Getmail,
                "[retriever]\ntype = SimplePOP3Retriever\nserver = h\nusername = u\npassword = hush\n",
            ),
            file(Program::Mpop, "defaults\ntls on\naccount a\nhost h\nuser u\npassword hush\n"),
            file(Program::Fdm, "set lock-types flock\naccount \"a\" pop3s server \"h\" user \"u\" pass \"hush\"\n"),
            file(Program::Thunderbird, "user_pref(\"mail.server.server1.type\", \"pop3\");\n"),
        ];
        for program in PROGRAMS {
            let ours = dir.path().join("config.toml");
            fs::write(&ours, "# mailferry\n\n[accounts.work]\nhost = \"h\"\nusername = \"u\"\npassword = \"hush\"\n")
                .unwrap();
            let told = read(program, &SearchPaths { path: Some(ours), ..SearchPaths::default() });
            let told = told.unwrap_err().to_string();
            let words = "is a configuration of mailferry itself, so there is nothing to import. To see what it has: ";
            assert!(told.contains(words) && !told.contains("hush"), "{program:?}: {told}");
            for (whose, path) in files.iter().filter(|(whose, _)| *whose != program) {
                let told = read(program, &SearchPaths { path: Some(path.clone()), ..SearchPaths::default() });
                let told = told.unwrap_err().to_string();
                let words = format!("it looks like one of {}. Try: mailferry import ", whose.name());
                assert!(told.contains(&words) && !told.contains("hush"), "{program:?}: {told}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_file_of_another_program_makes_a_fault(config in text(), record in text()) {
            let dir = tempfile::tempdir().unwrap();
            let (path, fetched) = (dir.path().join("prefs.js"), dir.path().join("fetched"));
            fs::write(&path, &config).unwrap();
            fs::write(&fetched, &record).unwrap();
            fs::write(dir.path().join(".netrc"), &config).unwrap();
            let search_paths = SearchPaths {
                path: Some(path),
                fetched: Some(fetched),
                home: Some(dir.path().to_owned()),
                user: Some("u".to_owned()),
                ..SearchPaths::default()
            };
            for program in PROGRAMS {
                if let Err(e) = read(program, &search_paths) {
                    prop_assert!(!e.to_string().chars().any(char::is_control));
                }
            }
        }
    }
}
