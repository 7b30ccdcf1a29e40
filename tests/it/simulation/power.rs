//! What a power cut leaves.

use fastrand::Rng;

use super::storage::{File, Ino, Node, Storage};

/// Data reach the disk in pieces of this many bytes. Small, so that small messages have several.
const PAGE: usize = 64;

/// What happens to everything that is not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survival {
    /// All of it vanishes.
    Nothing,
    /// All of it survives.
    Everything,
    /// The directories survive, and the files have their lengths, but zeros for data.
    Zeros,
    /// The data survive, the directories do not.
    DataOnly,
    /// Each change, page and length separately, as the seed decides.
    Chance,
}

impl Storage {
    /// Cuts the power. Afterwards processes see what had become durable.
    pub(crate) fn cut_power(&mut self, survival: Survival, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        self.settle(|_| match survival {
            Survival::Nothing | Survival::DataOnly => false,
            Survival::Everything | Survival::Zeros => true,
            Survival::Chance => rng.bool(),
        });
        self.pending.clear();
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.written.clone_from(&dir.durable),
                Node::File(file) => {
                    file.lose(survival, &mut rng);
                    file.written.clone_from(&file.durable);
                }
            }
        }
        self.collect_garbage();
    }

    /// A sync fails: the data reached the disk or not, and count as written from now on.
    pub(crate) fn fail_sync(&mut self, ino: Ino, seed: u64) {
        let survival = if seed.is_multiple_of(2) { Survival::Nothing } else { Survival::Chance };
        self.file_mut(ino).lose(survival, &mut Rng::with_seed(seed));
    }
}

impl File {
    fn lose(&mut self, survival: Survival, rng: &mut Rng) {
        let edits = std::mem::take(&mut self.edits);
        if edits.is_empty() {
            return;
        }
        let mut versions = vec![self.durable.clone()];
        for edit in edits {
            let mut next = versions.last().cloned().unwrap_or_default();
            edit.apply(&mut next);
            versions.push(next);
        }
        let last = versions.len() - 1;
        self.durable = match survival {
            Survival::Nothing => versions.swap_remove(0),
            Survival::Everything | Survival::DataOnly => versions.swap_remove(last),
            Survival::Zeros => {
                let mut bytes = versions.swap_remove(0);
                bytes.resize(versions[0].len().max(versions.last().map_or(0, Vec::len)), 0);
                bytes
            }
            Survival::Chance => torn(&versions, rng),
        };
    }
}

/// Returns a length and, for each page, contents from the file's history. Mostly the last ones, so that whole appends
/// survive, too.
fn torn(versions: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let careless = rng.u8(0..4);
    let pick = |rng: &mut Rng| {
        if rng.u8(0..4) >= careless { versions.len() - 1 } else { rng.usize(0..versions.len()) }
    };
    let mut bytes = vec![0; versions[pick(rng)].len()];
    for (page, content) in bytes.chunks_mut(PAGE).enumerate() {
        let version = &versions[pick(rng)];
        let start = (page * PAGE).min(version.len());
        let source = &version[start..(start + content.len()).min(version.len())];
        content[..source.len()].copy_from_slice(source);
    }
    if rng.u8(0..4) == 0 {
        let least = versions[0].len().min(bytes.len());
        bytes.truncate(rng.usize(least..=bytes.len()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn path(text: &str) -> &Path {
        Path::new(text)
    }

    /// `/a/f` durably contains `old`; `new` was appended and not synced.
    fn appended() -> Storage {
        let mut storage = Storage::new();
        storage.make_dir(path("/a")).unwrap();
        storage.make_dir(path("/b")).unwrap();
        let file = storage.create(path("/a/f")).unwrap();
        storage.write(file, b"old");
        storage.sync_all();
        storage.write(file, b"new");
        storage
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_may_vanish() {
        let mut storage = appended();
        storage.cut_power(Survival::Nothing, 1);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"old");
        let mut storage = appended();
        storage.cut_power(Survival::Everything, 1);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"oldnew");
        let mut storage = appended();
        storage.cut_power(Survival::Zeros, 1);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"old\0\0\0");
        let mut storage = appended();
        storage.sync(storage.find(path("/a/f")).unwrap());
        storage.cut_power(Survival::Nothing, 1);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"oldnew");
    }

    #[test]
    fn a_rename_is_durable_with_the_directory_that_the_name_goes_to() {
        for (dir, expected) in [("/a", "/a/f"), ("/b", "/b/g")] {
            let mut storage = appended();
            storage.rename(path("/a/f"), path("/b/g")).unwrap();
            storage.sync_dir(storage.find(path(dir)).unwrap());
            storage.cut_power(Survival::Nothing, 1);
            let names: Vec<String> = storage.visible(path("/")).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, [format!("/{expected}")]);
        }
    }

    #[test]
    fn by_chance_a_rename_is_seen_whole_or_not_at_all() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut storage = appended();
            storage.create(path("/a/h")).unwrap();
            storage.rename(path("/a/h"), path("/b/h")).unwrap();
            storage.rename(path("/a/f"), path("/b/f")).unwrap();
            storage.cut_power(Survival::Chance, seed);
            let files = storage.visible(path("/"));
            assert!(files.iter().filter(|(name, _)| name.ends_with('f')).count() == 1, "{files:?}");
            assert!(files.iter().filter(|(name, _)| name.ends_with('h')).count() <= 1, "{files:?}");
            seen.insert(files.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
    }

    #[test]
    fn a_directory_that_is_not_durable_takes_its_files_along() {
        let mut storage = Storage::new();
        let dir = storage.make_dir(path("/a")).unwrap();
        let file = storage.create(path("/a/f")).unwrap();
        storage.write(file, b"x");
        storage.sync(file);
        storage.sync_dir(dir);
        assert!(storage.surviving(path("/")).is_empty());
        storage.cut_power(Survival::Nothing, 1);
        assert!(storage.find(path("/a")).is_err());
    }

    #[test]
    fn after_a_failed_sync_a_later_one_proves_nothing() {
        let mut storage = appended();
        let file = storage.find(path("/a/f")).unwrap();
        storage.fail_sync(file, 0);
        storage.sync(file);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"oldnew");
        storage.cut_power(Survival::Nothing, 1);
        assert_eq!(storage.read(path("/a/f")).unwrap(), b"old");
    }

    #[test]
    fn chance_brings_holes_cuts_and_good_ends() {
        let (mut hole, mut cut, mut whole) = (false, false, false);
        for seed in 0..300 {
            let mut storage = Storage::new();
            let file = storage.create(path("/f")).unwrap();
            storage.sync_all();
            storage.write(file, &[b'x'; 200]);
            storage.cut_power(Survival::Chance, seed);
            let bytes = storage.read(path("/f")).unwrap();
            hole |= bytes.len() == 200 && bytes[..PAGE] == [0; PAGE] && bytes[192..] == [b'x'; 8];
            cut |= !bytes.is_empty() && bytes.len() < 200;
            whole |= *bytes == [b'x'; 200];
        }
        assert!(hole && cut && whole);
    }
}
