//! What a mail reader does to a Maildir.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::storage::Storage;
use super::super::world::{READ, STATE};
use super::story::Reading;

/// Where the bytes of what a mail reader has deleted are kept, named by inode number, so that it counts.
pub(crate) const TRASH: &str = "/mail/trash";

/// The age at which files in `tmp/` may be removed, in seconds (maildir(5)).
const OLD: u64 = 36 * 3600;

/// Handles every nth file in `new/`, and returns the bytes of those that it deleted or filed elsewhere.
pub(crate) fn read(storage: &mut Storage, maildir: &Path, how: Reading, every: usize) -> Vec<Vec<u8>> {
    let new = maildir.join("new");
    let names = storage.list(&new).unwrap_or_default();
    let mut gone = Vec::new();
    for name in names.into_iter().step_by(every) {
        let (path, name) = (new.join(&name), name.to_string_lossy().into_owned());
        match how {
            Reading::Opens => storage.rename(&path, &maildir.join("cur").join(format!("{name}:2,S"))).unwrap(),
            Reading::Files => {
                gone.push(storage.read(&path).unwrap().to_vec());
                storage.rename(&path, &Path::new(READ).join(name)).unwrap();
            }
            Reading::Deletes => gone.push(delete(storage, &path)),
        }
    }
    gone
}

/// Whether a state says that the link of an open delivery was refused: then a second name of its file shows nothing.
pub(crate) fn was_refused(storage: &Storage) -> bool {
    let names = storage.list(Path::new(STATE)).unwrap_or_default();
    let mut states = names.iter().map(|name| Path::new(STATE).join(name));
    states.any(|path| storage.read(&path).is_ok_and(|bytes| bytes.windows(3).any(|three| three == b"\nr ")))
}

/// Deletes a file; its bytes are kept, as what somebody has seen and thrown away is not lost.
fn delete(storage: &mut Storage, path: &Path) -> Vec<u8> {
    let (ino, bytes) = (storage.find(path).unwrap(), storage.read(path).unwrap().to_vec());
    storage.remove(path).unwrap();
    let left = Path::new(TRASH).join(ino.to_string());
    if storage.find(&left).is_err() {
        let file = storage.create(&left).unwrap();
        storage.write(file, &bytes);
        storage.sync(file);
        storage.sync_dir(storage.directory(Path::new(TRASH)).unwrap());
    }
    bytes
}

/// The files in `tmp/`, and since when they have been there, in true seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ages(BTreeMap<PathBuf, u64>);

impl Ages {
    /// Looks at a Maildir.
    pub(crate) fn look(&mut self, storage: &Storage, maildir: &Path, now: u64) {
        let tmp = maildir.join("tmp");
        let names = storage.list(&tmp).unwrap_or_default();
        let there: Vec<PathBuf> = names.into_iter().map(|name| tmp.join(name)).collect();
        self.0.retain(|path, _| !path.starts_with(&tmp) || there.contains(path));
        for path in there {
            self.0.entry(path).or_insert(now);
        }
    }

    /// Removes old files from `tmp/`, and returns their bytes.
    pub(crate) fn clean(&self, storage: &mut Storage, maildir: &Path, now: u64) -> Vec<Vec<u8>> {
        let old = |(path, since): &(&PathBuf, &u64)| path.starts_with(maildir) && now - **since > OLD;
        let mut cleaned = Vec::new();
        for (path, _) in self.0.iter().filter(old) {
            let Ok(bytes) = storage.read(path).map(<[u8]>::to_vec) else { continue };
            storage.remove(path).unwrap();
            cleaned.push(bytes);
        }
        cleaned
    }
}
