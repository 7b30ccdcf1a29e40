//! Moving in from another program: its accounts, and what it has fetched.
//!
//! [`fetchmail`], [`getmail`], [`mpop`], [`fdm`] and [`thunderbird`] each read one program's files and make [`Draft`]s;
//! [`draft`] says what becomes of a draft as a table, [`take_over`] writes configuration, passwords and states, [`report`]
//! tells it. PURE but for reading the other program's files and for [`take_over`].
//!
//! Whatever the other program's files say becomes something of ours or is named in the report. A password is never in it.

mod destination;
pub mod draft;
pub mod fdm;
pub mod fetchmail;
pub mod getmail;
mod ini;
pub mod mpop;
mod netrc;
pub mod report;
pub mod source;
pub mod take_over;
pub mod thunderbird;

use crate::text;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::command_line::chmod;
use draft::{Draft, Note, Password};
/// A program whose accounts can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// fetchmail 6 and 7.
    Fetchmail,
    /// getmail 5 and 6.
    Getmail,
    /// mpop 1.
    Mpop,
    /// fdm 2.
    Fdm,
    /// Thunderbird, and others of its family.
    Thunderbird,
}

impl Program {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetchmail => "fetchmail",
            Self::Getmail => "getmail",
            Self::Mpop => "mpop",
            Self::Fdm => "fdm",
            Self::Thunderbird => "Thunderbird",
        }
    }
}

/// Where the other program's files are looked for.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The configuration, if it was named.
    pub path: Option<PathBuf>,
    /// The record of what was fetched, if it was named.
    pub fetched: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, or what stands for it.
    pub config_home: Option<PathBuf>,
    /// `$FETCHMAILHOME`.
    pub fetchmail_home: Option<PathBuf>,
    /// Who runs this, by `/etc/passwd`.
    pub user: Option<String>,
}

/// What was found of the other program.
#[derive(Debug)]
pub struct Found {
    /// Which program.
    pub program: Program,
    /// Its configuration.
    pub config: PathBuf,
    /// The accounts that can be taken over.
    pub drafts: Vec<Draft>,
    /// What cannot, with the reason.
    pub left: Vec<Note>,
    /// What the configuration says besides.
    pub general: Vec<Note>,
    /// What it says that is not needed here.
    pub needless: Vec<String>,
    /// What to do so that the other program fetches no more.
    pub switch_off: Vec<String>,
    /// Its files that passwords were read from.
    pub files: Vec<PathBuf>,
}

impl Found {
    /// Of a program, with nothing in it yet.
    #[must_use]
    pub fn new(program: Program, config: PathBuf) -> Self {
        let (drafts, left, general, needless, switch_off) = Default::default();
        let files = vec![config.clone()];
        Self { program, config, drafts, left, general, needless, switch_off, files }
    }

    /// Says of files with passwords in them that others can read them.
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
pub enum ImportError {
    /// Its configuration is nowhere.
    NotFound {
        /// Whose.
        program: Program,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The configuration is not what its program would take. Says nothing of what stands there: it may be a password.
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        what: String,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, looked } => {
                let looked: Vec<String> = looked.iter().map(|path| text::value(&path.to_string_lossy())).collect();
                let (name, looked) = (program.name(), looked.join(" and "));
                write!(f, "there is no configuration of {name}: looked for {looked}. Name it behind the program")
            }
            Self::Unreadable { path, why } => write!(f, "cannot read {}: {why}", text::value(&path.to_string_lossy())),
            Self::Syntax { path, line, what } => {
                write!(f, "{}, line {line}: {}", text::value(&path.to_string_lossy()), text::value(what))
            }
        }
    }
}

impl std::error::Error for ImportError {}

/// Reads what a program has.
///
/// # Errors
/// [`ImportError`]: nothing is taken over by halves.
pub fn read(program: Program, places: &Places) -> Result<Found, ImportError> {
    let mut found = match program {
        Program::Fetchmail => fetchmail::read(places),
        Program::Getmail => getmail::read(places),
        Program::Mpop => mpop::read(places),
        Program::Fdm => fdm::read(places),
        Program::Thunderbird => thunderbird::read(places),
    }?;
    found.warn_of_open_files();
    // These records do not say whose they are. One that is taken for another account's would hide new mail.
    let is_of_one = matches!(program, Program::Getmail | Program::Fdm);
    match places.fetched.as_ref().filter(|path| is_of_one && found.drafts.len() > 1 && !path.is_dir()) {
        Some(path) => Err(ImportError::Unreadable {
            path: path.clone(),
            why: "it is the record of one account, and there are several; without --fetched each has its own"
                .to_owned(),
        }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROGRAMS: [Program; 5] =
        [Program::Fetchmail, Program::Getmail, Program::Mpop, Program::Fdm, Program::Thunderbird];

    /// Pieces of all five languages, and what is at home in none.
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
        let places = Places { path: Some(path.clone()), fetched: Some(fetched), ..Places::default() };
        fs::write(&path, account("a")).unwrap();
        assert_eq!(read(Program::Fdm, &places).unwrap().drafts[0].record.fetched.len(), 1);
        fs::write(&path, account("a") + &account("b")).unwrap();
        assert!(read(Program::Fdm, &places).unwrap_err().to_string().contains("the record of one account"));
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
            let places = Places {
                path: Some(path),
                fetched: Some(fetched),
                home: Some(dir.path().to_owned()),
                user: Some("u".to_owned()),
                ..Places::default()
            };
            for program in PROGRAMS {
                if let Err(e) = read(program, &places) {
                    prop_assert!(!e.to_string().chars().any(char::is_control));
                }
            }
        }
    }
}
