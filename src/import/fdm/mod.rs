//! fdm 2: `fdm.conf` and the caches of its POP3 accounts. `grammar` parses the text, `file` interprets it, `account`
//! makes a draft of each account.

use std::path::{Path, PathBuf};

use super::draft::Record;
use super::source::{self, text};
use super::{Found, ImportError, Program, SearchPaths};
use account::draft;
use file::{File, Rules};
use grammar::{misspelt, statements, tokens};

mod account;
mod file;
mod grammar;
#[cfg(test)]
mod tests;

/// Reads the configuration, and the record of fetched messages.
pub(super) fn read(search_paths: &SearchPaths) -> Result<Found, ImportError> {
    let path = find(search_paths)?;
    let bytes = source::config(&path)?;
    let tokens = tokens(&text(&bytes)).map_err(|line| ImportError::Syntax {
        path: path.clone(),
        line,
        what: "a quote is not closed".to_owned(),
    })?;
    misspelt(&tokens).map_err(|(line, what)| ImportError::Syntax { path: path.clone(), line, what })?;
    let rc = match &search_paths.home {
        Some(home) => source::record(&home.join(".netrc"))?,
        None => None,
    };
    let mut file = File { found: Found::new(Program::Fdm, path), ..File::default() };
    for statement in statements(tokens) {
        file.take(&statement);
    }
    file.name_unused_actions();
    let rules = Rules {
        targets: &file.targets,
        default_action: file.default_action.as_deref(),
        of_account: &file.of_account,
        settings: &file.settings,
    };
    let mut found = file.found;
    for (account, line) in file.accounts {
        let rc = rc.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        match draft(&account, line, &rules, search_paths, rc) {
            Ok((mut draft, cache)) => {
                draft.record = record(search_paths, cache.as_deref())?;
                found.drafts.push(draft);
            }
            Err(note) => found.left.push(note),
        }
    }
    found.switch_off = vec!["take fdm out of crontab -l, and of the timers and services that run it".to_owned()];
    Ok(found)
}

fn find(search_paths: &SearchPaths) -> Result<PathBuf, ImportError> {
    if let Some(path) = &search_paths.path {
        return Ok(path.clone());
    }
    let home = search_paths.home.iter().map(|home| home.join(".fdm.conf"));
    let looked: Vec<PathBuf> = home.chain([PathBuf::from("/etc/fdm.conf")]).collect();
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { program: Program::Fdm, looked }),
    }
}

/// Reads the cache of an account: lines of `LENGTH UNIQUE-ID`, split by the length.
fn record(search_paths: &SearchPaths, cache: Option<&Path>) -> Result<Record, ImportError> {
    let Some(path) = search_paths.fetched.as_deref().or(cache) else { return Ok(Record::default()) };
    let Some(bytes) = source::record(path)? else { return Ok(Record::default()) };
    Ok(unique_ids(&bytes))
}

fn unique_ids(bytes: &[u8]) -> Record {
    let mut record = Record { found: true, ..Record::default() };
    let mut rest = bytes;
    while let Some(blank) = memchr::memchr(b' ', rest) {
        let length = std::str::from_utf8(rest.get(..blank).unwrap_or_default())
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok());
        let unique_id = length.and_then(|length| rest.get(blank + 1..)?.get(..length));
        let (Some(unique_id), Some(length)) = (unique_id, length) else {
            record.left_out += 1;
            break;
        };
        record.add(unique_id, None);
        rest = rest.get(blank + 1 + length..).unwrap_or_default().trim_ascii_start();
    }
    record
}
