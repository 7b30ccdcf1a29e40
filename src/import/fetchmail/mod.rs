//! fetchmail 6 and 7: `fetchmailrc` and `.fetchids`.

mod convert;
mod grammar;
mod words;

use std::path::{Path, PathBuf};

use super::draft::{Draft, Note, Record};
use super::source::{self, expand, text};
use super::{Found, ImportError, Program, SearchPaths};
use grammar::{File, Setting};

/// The directory of a daemon that Debian's package started.
const OF_THE_SYSTEM: &str = "/var/lib/fetchmail";

/// Reads the configuration, and the record of fetched messages.
pub(super) fn read(search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let path = find(search_paths)?;
    let bytes = source::config(&path)?;
    let file = grammar::parse(&words::words(&bytes)).map_err(|wrong| ImportError::Syntax {
        path: path.clone(),
        line: wrong.line,
        what: wrong.what,
    })?;
    let netrc = match &search_paths.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let ids_file = ids_file(search_paths, &path, &file);
    let ids = source::record(&ids_file)?;
    let mut found = Found::new(Program::Fetchmail, path.clone());
    let given = convert::Given {
        base: path.parent().unwrap_or(Path::new("/")),
        home: search_paths.home.as_deref(),
        netrc: netrc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default(),
        user: search_paths.user.as_deref(),
    };
    convert::convert(&file, &given, &mut found);
    for draft in &mut found.drafts {
        draft.record = ids.as_ref().map_or_else(Record::default, |ids| fetched(ids, &draft.username, &draft.host));
    }
    if ids.is_none() && found.drafts.iter().any(Draft::is_record_lost) {
        found.general.push(Note::new(
            format!("{} is not there", ids_file.display()),
            "what fetchmail has fetched is not known; if it is in another file: --fetched FILE",
        ));
    }
    found.switch_off = vec![
        "fetchmail --quit".to_owned(),
        "systemctl disable --now fetchmail, or take it out of crontab -l and of what starts with your session"
            .to_owned(),
    ];
    Ok(found)
}

fn find(search_paths: &SearchPaths) -> Result<PathBuf, ImportError> {
    if let Some(path) = &search_paths.path {
        return Ok(path.clone());
    }
    let looked: Vec<PathBuf> = search_paths
        .fetchmail_home
        .iter()
        .map(|dir| dir.join("fetchmailrc"))
        .chain(search_paths.home.iter().map(|home| home.join(".fetchmailrc")))
        .collect();
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { program: Program::Fetchmail, looked }),
    }
}

fn ids_file(search_paths: &SearchPaths, config: &Path, file: &File) -> PathBuf {
    if let Some(path) = &search_paths.fetched {
        return path.clone();
    }
    let base = config.parent().unwrap_or(Path::new("/"));
    if let Some(Setting::Words(words)) = file.globals.get("idfile")
        && let Some(word) = words.first()
    {
        return expand(&text(word), search_paths.home.as_deref(), base);
    }
    if config.starts_with("/etc") {
        let dir = Path::new(OF_THE_SYSTEM);
        let names = [".fetchids", ".fetchmail-UIDL-cache"].map(|name| dir.join(name));
        let [usual, _] = &names;
        return names.iter().find(|path| path.exists()).unwrap_or(usual).clone();
    }
    search_paths.fetchmail_home.as_deref().or(search_paths.home.as_deref()).unwrap_or(base).join(".fetchids")
}

/// Reads the record of a user at a host from a `.fetchids`: lines of `USER@HOST UID`, where USER may contain blanks and
/// `@`.
fn fetched(ids: &[u8], username: &str, host: &str) -> Record {
    let mut record = Record::default();
    for line in ids.split(|c| *c == b'\n') {
        let line = line.trim_ascii_start();
        let Some(at) = memchr::memchr(b'@', line) else { continue };
        let Some(blank) = line.get(at..).and_then(|rest| memchr::memchr2(b' ', b'\t', rest)).map(|blank| at + blank)
        else {
            continue;
        };
        let (whose, rest) = line.split_at(blank);
        let Some(last) = memchr::memrchr(b'@', whose) else { continue };
        let (user, host_there) = (whose.get(..last).unwrap_or_default(), whose.get(last + 1..).unwrap_or_default());
        if !user.eq_ignore_ascii_case(username.as_bytes()) || !host_there.eq_ignore_ascii_case(host.as_bytes()) {
            continue;
        }
        let unique_id = rest.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        record.add(unique_id, None);
    }
    record
}

#[cfg(test)]
mod tests;
