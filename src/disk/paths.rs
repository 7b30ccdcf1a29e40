//! Creates directories with their parents, and makes them durable.

use std::io;
use std::path::{Path, PathBuf};

use super::Disk;

/// Creates a directory with all its missing parents, and returns those created, outermost first. They are durable only
/// after [`sync_dirs_above`].
///
/// # Errors
/// Those of [`Disk::make_dir`].
pub fn make_dirs(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    match disk.dir_inode(path) {
        Ok(_) => return Ok(Vec::new()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let Some(parent) = path.parent() else { return Err(io::ErrorKind::NotFound.into()) };
    let mut made = make_dirs(disk, parent)?;
    match disk.make_dir(path) {
        Ok(()) => made.push(path.to_owned()),
        // A mail reader or another account may have created it meanwhile.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    Ok(made)
}

/// Makes the name of a directory or file durable, up to the root of its file system. An existing directory need not be
/// durable: its creator may have been killed before syncing it.
///
/// # Errors
/// Those of [`Disk::sync_dir`]. Directories that we may not open are skipped: we cannot have created anything in them.
pub fn sync_dirs_above(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for dir in dirs_above(disk, path)? {
        match disk.sync_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => {
                synced?;
            }
        }
    }
    Ok(())
}

/// Returns the directories that hold the name of a directory or file, nearest first, up to the root of its file system.
fn dirs_above(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(parent) = path.parent() else { return Ok(Vec::new()) };
    // Symbolic links lead elsewhere: the parents in the path are not those that hold the name.
    let parent = disk.resolve(parent)?;
    let ours = disk.file_system(&parent)?;
    let mut dirs = Vec::new();
    for dir in parent.ancestors() {
        // Above a mount point is another file system, on which nothing is ours.
        if disk.file_system(dir)? != ours {
            break;
        }
        dirs.push(dir.to_owned());
    }
    Ok(dirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;

    #[test]
    fn a_name_is_in_the_directories_to_which_a_link_leads() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        make_dirs(&RealDisk, &root.join("mail/deep")).unwrap();
        make_dirs(&RealDisk, &root.join("home")).unwrap();
        std::os::unix::fs::symlink("../mail/deep", root.join("home/link")).unwrap();
        let dirs = dirs_above(&RealDisk, &root.join("home/link/new")).unwrap();
        assert_eq!(dirs[..3], [root.join("mail/deep"), root.join("mail"), root]);
    }
}
