//! A tree of files and directories with two views: *written*, which processes see, and *durable*, which a power cut
//! leaves.
//!
//! File bytes become durable by a sync of the file, directory entries by a sync of the directory, and neither makes
//! anything else durable: stricter than any file system in use. A rename between two directories is one change, which
//! becomes durable with a sync of the target directory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use mailferry::disk::DirSync;

/// Identifies a file or directory for the life of the disk.
pub(crate) type Ino = u64;

/// The root directory.
const ROOT: Ino = 1;

/// What is on the disk, and what is on its way there.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(super) nodes: BTreeMap<Ino, Node>,
    next: Ino,
    /// Changes of directories that are not durable yet, oldest first.
    pub(super) pending: Vec<Change>,
    /// Whether directories can be synced at all.
    pub(crate) syncable: bool,
    /// A directory that cannot be synced, though others can.
    pub(crate) unsyncable: Option<Ino>,
    /// Whether a file can have several names.
    pub(crate) links: bool,
    /// Whether inode numbers are stable.
    pub(crate) lasting: bool,
}

/// A file or a directory.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Dir(Dir),
    File(File),
}

/// A directory in both views.
#[derive(Debug, Clone, Default)]
pub(super) struct Dir {
    pub(super) written: BTreeMap<OsString, Ino>,
    pub(super) durable: BTreeMap<OsString, Ino>,
}

/// A file in both views.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) written: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// The changes since it was last durable, oldest first.
    pub(super) edits: Vec<Edit>,
    /// How often the file or its names were changed: its ctime.
    pub(super) changes: i64,
}

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Append(Vec<u8>),
    Truncate(usize),
}

impl Edit {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Truncate(length) => bytes.resize(*length, 0),
        }
    }
}

/// A name in a directory.
pub(crate) type Slot = (Ino, OsString);

/// A change of directories, which is atomic.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The name that is removed.
    pub(super) from: Option<Slot>,
    /// The name that is added, or gets another file.
    pub(super) to: Option<(Slot, Ino)>,
}

impl Change {
    /// Whether the order of two changes matters.
    pub(super) fn shares_a_name(&self, other: &Self) -> bool {
        let slots = |change: &Self| [change.from.clone(), change.to.clone().map(|(slot, _)| slot)];
        slots(self).into_iter().flatten().any(|slot| slots(other).contains(&Some(slot)))
    }

    fn becomes_durable_with(&self, dir: Ino) -> bool {
        match (&self.to, &self.from) {
            (Some(((to, _), _)), _) => *to == dir,
            (None, Some((from, _))) => *from == dir,
            (None, None) => false,
        }
    }
}

impl Storage {
    /// Makes an empty disk.
    pub(crate) fn new() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]);
        Self {
            nodes,
            next: ROOT + 1,
            pending: Vec::new(),
            syncable: true,
            unsyncable: None,
            links: true,
            lasting: true,
        }
    }

    fn new_node(&mut self, node: Node) -> Ino {
        self.next += 1;
        self.nodes.insert(self.next, node);
        self.next
    }

    pub(super) fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        match self.nodes.get(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, ino: Ino) -> &mut Dir {
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(dir)) => dir,
            other => panic!("{ino} is {other:?}, no directory"),
        }
    }

    pub(super) fn file(&self, ino: Ino) -> io::Result<&File> {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> &mut File {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => file,
            other => panic!("{ino} is {other:?}, no file"),
        }
    }

    /// Finds what is at a path, as processes see it.
    pub(crate) fn find(&self, path: &Path) -> io::Result<Ino> {
        let mut at = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                at = *self.dir(at)?.written.get(name).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(at)
    }

    pub(crate) fn slot(&self, path: &Path) -> io::Result<Slot> {
        let dir = self.find(path.parent().unwrap_or(Path::new("/")))?;
        self.dir(dir)?;
        Ok((dir, path.file_name().unwrap_or(OsStr::new("")).to_owned()))
    }

    fn at(&self, slot: &Slot) -> Option<Ino> {
        self.dir(slot.0).ok()?.written.get(&slot.1).copied()
    }

    /// Returns the inode number of a directory.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<Ino> {
        let ino = self.find(path)?;
        self.dir(ino).map(|_| ino)
    }

    /// Returns the names in a directory.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.list_of(self.find(path)?)
    }

    pub(crate) fn list_of(&self, dir: Ino) -> io::Result<Vec<OsString>> {
        Ok(self.dir(dir)?.written.keys().cloned().collect())
    }

    /// Returns a file's bytes.
    pub(crate) fn read(&self, path: &Path) -> io::Result<&[u8]> {
        Ok(&self.file(self.find(path)?)?.written)
    }

    pub(crate) fn make_dir(&mut self, path: &Path) -> io::Result<Ino> {
        self.add(self.slot(path)?, Node::Dir(Dir::default()))
    }

    pub(crate) fn create(&mut self, path: &Path) -> io::Result<Ino> {
        self.create_at(self.slot(path)?)
    }

    pub(crate) fn create_at(&mut self, slot: Slot) -> io::Result<Ino> {
        self.add(slot, Node::File(File::default()))
    }

    fn add(&mut self, slot: Slot, node: Node) -> io::Result<Ino> {
        self.check_free(&slot)?;
        let ino = self.new_node(node);
        self.change(Change { from: None, to: Some((slot, ino)) });
        Ok(ino)
    }

    fn check_free(&self, slot: &Slot) -> io::Result<()> {
        self.dir(slot.0)?;
        if self.at(slot).is_some() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    /// Returns the inode of a name, as processes see it.
    pub(crate) fn named(&self, slot: &Slot) -> io::Result<Ino> {
        self.at(slot).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// How many names a file has.
    pub(crate) fn names_of(&self, ino: Ino) -> usize {
        let dirs = self.nodes.values().filter_map(|node| match node {
            Node::Dir(dir) => Some(dir),
            Node::File(_) => None,
        });
        dirs.map(|dir| dir.written.values().filter(|other| **other == ino).count()).sum()
    }

    /// Gives a file a second name.
    pub(crate) fn link(&mut self, from: &Slot, to: Slot) -> io::Result<()> {
        if !self.links {
            return Err(rustix::io::Errno::PERM.into());
        }
        let ino = self.named(from)?;
        self.check_free(&to)?;
        self.change(Change { from: None, to: Some((to, ino)) });
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_at(self.slot(from)?, self.slot(to)?)
    }

    pub(crate) fn rename_at(&mut self, from: Slot, to: Slot) -> io::Result<()> {
        self.check_free(&to)?;
        self.replace_at(from, to)
    }

    pub(crate) fn replace(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.replace_at(self.slot(from)?, self.slot(to)?)
    }

    pub(crate) fn replace_at(&mut self, from: Slot, to: Slot) -> io::Result<()> {
        let ino = self.named(&from)?;
        self.change(Change { from: Some(from), to: Some((to, ino)) });
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.remove_at(self.slot(path)?)
    }

    pub(crate) fn remove_at(&mut self, slot: Slot) -> io::Result<()> {
        self.file(self.named(&slot)?)?;
        self.change(Change { from: Some(slot), to: None });
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let named = [change.from.as_ref().and_then(|from| self.at(from)), change.to.as_ref().map(|(_, ino)| *ino)];
        for ino in named.into_iter().flatten() {
            if let Some(Node::File(file)) = self.nodes.get_mut(&ino) {
                file.changes += 1;
            }
        }
        self.apply(&change, |dir| &mut dir.written);
        self.pending.push(change);
    }

    pub(super) fn apply(&mut self, change: &Change, view: impl Fn(&mut Dir) -> &mut BTreeMap<OsString, Ino>) {
        if let Some((dir, name)) = &change.from {
            view(self.dir_mut(*dir)).remove(name);
        }
        if let Some(((dir, name), ino)) = &change.to {
            view(self.dir_mut(*dir)).insert(name.clone(), *ino);
        }
    }

    pub(crate) fn write(&mut self, ino: Ino, bytes: &[u8]) {
        let file = self.file_mut(ino);
        file.written.extend_from_slice(bytes);
        file.changes += 1;
        file.edits.push(Edit::Append(bytes.to_vec()));
    }

    pub(crate) fn truncate(&mut self, ino: Ino, length: usize) {
        let file = self.file_mut(ino);
        if file.written.len() != length {
            file.written.resize(length, 0);
            file.changes += 1;
            file.edits.push(Edit::Truncate(length));
        }
    }

    /// Makes a file's bytes durable.
    pub(crate) fn sync(&mut self, ino: Ino) {
        let file = self.file_mut(ino);
        for edit in std::mem::take(&mut file.edits) {
            edit.apply(&mut file.durable);
        }
    }

    /// Makes a directory's entries durable.
    pub(crate) fn sync_dir(&mut self, ino: Ino) {
        self.settle(|change| change.becomes_durable_with(ino));
    }

    /// Like [`Self::sync_dir`], on a disk that may not support it.
    pub(crate) fn sync_if_possible(&mut self, ino: Ino) -> DirSync {
        if !self.syncable || self.unsyncable == Some(ino) {
            return DirSync::Unsupported;
        }
        self.sync_dir(ino);
        DirSync::Synced
    }

    /// Whether every directory can be synced.
    pub(crate) fn can_sync_all(&self) -> bool {
        self.syncable && self.unsyncable.is_none()
    }

    /// Whether it is a directory.
    pub(crate) fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.nodes.get(&ino), Some(Node::Dir(_)))
    }

    /// Makes everything durable.
    pub(crate) fn sync_all(&mut self) {
        self.settle(|_| true);
        let files: Vec<Ino> = self.nodes.keys().copied().filter(|ino| self.file(*ino).is_ok()).collect();
        files.into_iter().for_each(|ino| self.sync(ino));
    }

    /// Makes the changes selected by `chosen` durable, and with each the earlier ones of the same names.
    pub(super) fn settle(&mut self, mut chosen: impl FnMut(&Change) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        let mut keep: Vec<bool> = pending.iter().map(&mut chosen).collect();
        for later in (0..pending.len()).rev() {
            for earlier in 0..later {
                keep[earlier] |= keep[later] && pending[earlier].shares_a_name(&pending[later]);
            }
        }
        for (change, keep) in pending.into_iter().zip(keep) {
            if keep {
                self.apply(&change, |dir| &mut dir.durable);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// Puts another directory, or none, at a path, like mounting and unmounting; what was there is kept.
    pub(crate) fn mount(&mut self, path: &Path, other: Option<Ino>) -> Option<Ino> {
        let (dir, name) = self.slot(path).unwrap();
        let dir = self.dir_mut(dir);
        let before = dir.written.remove(&name);
        dir.durable.remove(&name);
        if let Some(other) = other {
            dir.written.insert(name.clone(), other);
            dir.durable.insert(name, other);
        }
        before
    }

    /// Gives a directory and those below it new inode numbers, as mounting again does on some file systems.
    pub(crate) fn mount_again(&mut self, path: &Path) {
        let names: Vec<OsString> = self.list(path).unwrap();
        for name in names.iter().map(|name| path.join(name)).chain([path.to_owned()]) {
            let ino = self.find(&name).unwrap();
            if self.is_dir(ino) {
                let node = self.nodes[&ino].clone();
                let anew = self.new_node(node);
                self.mount(&name, Some(anew));
            }
        }
    }

    /// Makes a directory without a name.
    pub(crate) fn new_dir(&mut self) -> Ino {
        self.new_node(Node::Dir(Dir::default()))
    }

    /// Returns every file below a path that is sure to survive a power cut, with its name and bytes.
    pub(crate) fn surviving(&self, below: &Path) -> Vec<(String, &[u8])> {
        self.files(below, |dir| &dir.durable, |file| &file.durable)
    }

    /// Returns every file below a path as processes see it, with its path and bytes.
    pub(crate) fn visible(&self, below: &Path) -> Vec<(String, &[u8])> {
        self.files(below, |dir| &dir.written, |file| &file.written)
    }

    fn files<'a>(
        &'a self,
        below: &Path,
        entries: impl Fn(&'a Dir) -> &'a BTreeMap<OsString, Ino>,
        bytes: impl Fn(&'a File) -> &'a Vec<u8>,
    ) -> Vec<(String, &'a [u8])> {
        let mut at = ROOT;
        for component in below.components() {
            if let Component::Normal(name) = component {
                let next = self.dir(at).ok().and_then(|dir| entries(dir).get(name));
                let Some(next) = next else { return Vec::new() };
                at = *next;
            }
        }
        let mut found = Vec::new();
        let mut dirs = vec![(at, below.to_str().unwrap_or_default().to_owned())];
        while let Some((ino, path)) = dirs.pop() {
            let Ok(dir) = self.dir(ino) else { continue };
            for (name, child) in entries(dir) {
                let path = format!("{path}/{}", name.to_string_lossy());
                match self.nodes.get(child) {
                    Some(Node::Dir(_)) => dirs.push((*child, path)),
                    Some(Node::File(file)) => found.push((path, bytes(file).as_slice())),
                    None => {}
                }
            }
        }
        found
    }

    /// Removes inodes that no name refers to, in either view.
    pub(super) fn collect_garbage(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        let mut todo = vec![ROOT];
        todo.extend(self.pending.iter().filter_map(|change| change.to.as_ref().map(|(_, ino)| *ino)));
        todo.extend(self.pending.iter().filter_map(|change| change.from.as_ref().map(|(dir, _)| *dir)));
        while let Some(ino) = todo.pop() {
            if seen.insert(ino)
                && let Ok(dir) = self.dir(ino)
            {
                todo.extend(dir.written.values().chain(dir.durable.values()));
            }
        }
        self.nodes.retain(|ino, _| seen.contains(ino));
    }
}
