//! The tree of modules from `src/lib.rs` on, and what each path in it refers to.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::source::{Path, Source};

/// A module: its path without `crate`, and what its source contains.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) path: Path,
    /// The file, relative to `src/`.
    pub(super) file: PathBuf,
    pub(super) source: Source,
}

/// What a path refers to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A module of ours, and an item in it.
    Ours { module: Path, item: Path },
    /// Another crate; the path is complete.
    Other(Path),
}

/// A use of something in a module.
#[derive(Debug)]
pub(super) struct Reference<'a> {
    pub(super) from: &'a Module,
    pub(super) line: usize,
    pub(super) target: Target,
}

impl Reference<'_> {
    /// Returns the place, such as `pop3/auth.rs:7`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.from.file.display(), self.line)
    }
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    modules: BTreeMap<Path, Module>,
}

/// How deep re-exports of re-exports are followed.
const DEPTH: usize = 8;

impl Tree {
    /// Reads `lib.rs` and every file that it leads to; `read` returns the text of a file, given relative to `src/`.
    pub(super) fn read(read: &dyn Fn(&FilePath) -> Option<String>) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.add_file(Path::new(), FilePath::new("lib.rs"), read)?;
        Ok(tree)
    }

    fn add_file(
        &mut self,
        path: Path,
        file: &FilePath,
        read: &dyn Fn(&FilePath) -> Option<String>,
    ) -> Result<(), String> {
        let text = read(file).ok_or_else(|| format!("{} is not there", file.display()))?;
        let source = Source::read(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let here = file.parent().unwrap_or(FilePath::new("")).to_owned();
        let own =
            if file.ends_with("lib.rs") || file.ends_with("mod.rs") { here.clone() } else { file.with_extension("") };
        for (name, attribute) in &source.files {
            let child = match attribute {
                Some(attribute) => here.join(attribute),
                None => {
                    let flat = own.join(format!("{name}.rs"));
                    if read(&flat).is_some() { flat } else { own.join(name).join("mod.rs") }
                }
            };
            self.add_file([path.clone(), vec![name.clone()]].concat(), &child, read)?;
        }
        self.add_module(path, file, source);
        Ok(())
    }

    fn add_module(&mut self, path: Path, file: &FilePath, mut source: Source) {
        for (name, inline) in std::mem::take(&mut source.inline) {
            self.add_module([path.clone(), vec![name]].concat(), file, inline);
        }
        self.modules.insert(path.clone(), Module { path, file: file.to_owned(), source });
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// Returns everything that is used, and what it refers to.
    pub(super) fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.modules.values().flat_map(move |from| {
            let named = from.source.named.iter();
            named.filter_map(move |(path, line)| {
                Some(Reference { from, line: *line, target: self.resolve(from, path, DEPTH)? })
            })
        })
    }

    /// Returns what `path` in `from` refers to; `None` for what is declared there, and for primitive types.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Target> {
        let depth = depth.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(Path::new(), rest, depth),
            "self" => self.descend(from.path.clone(), rest, depth),
            "super" => {
                let mut base = from.path.clone();
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                base.truncate(base.len().checked_sub(ups)?);
                self.descend(base, &path[ups..], depth)
            }
            "Self" => None,
            name => {
                if self.modules.contains_key(&[from.path.as_slice(), std::slice::from_ref(first)].concat()) {
                    return self.descend(from.path.clone(), path, depth);
                }
                match from.source.imports.get(name) {
                    Some(import) if import.first() != Some(first) || import.len() > 1 => {
                        self.resolve(from, &[import.as_slice(), rest].concat(), depth)
                    }
                    _ if name.starts_with(char::is_uppercase) || PRIMITIVES.contains(&name) => None,
                    _ => Some(Target::Other(path.to_vec())),
                }
            }
        }
    }

    /// Follows `rest` from the module `base`, through re-exports.
    fn descend(&self, base: Path, rest: &[String], depth: usize) -> Option<Target> {
        let mut module = base;
        for (position, segment) in rest.iter().enumerate() {
            let below = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&below) {
                module = below;
                continue;
            }
            let exporter = self.modules.get(&module)?;
            let later = &rest[position + 1..];
            return match exporter.source.imports.get(segment) {
                Some(import) => self.resolve(exporter, &[import.as_slice(), later].concat(), depth),
                None => Some(Target::Ours { module, item: rest[position..].to_vec() }),
            };
        }
        Some(Target::Ours { module, item: Path::new() })
    }
}

const PRIMITIVES: [&str; 17] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64", "str",
    "char", "bool",
];
