//! Directories that are made with their parents, and made durable with them.

use std::io;
use std::path::{Path, PathBuf};

use super::Disk;

/// Makes a directory with all its missing parents, and tells which ones it made, the outermost first. They are safe only
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
        // Somebody else, a mail reader or another account, may have been quicker.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    Ok(made)
}

/// Makes the name of a directory or file durable, up to the root of its file system. That a directory exists proves
/// nothing: whoever made it may have been killed before it was synced.
///
/// # Errors
/// Those of [`Disk::sync_dir`]. A directory that we may not open is not one in which we made anything.
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

/// The directories in which the name of a directory or file is, the nearest first, up to the root of its file system.
fn dirs_above(disk: &dyn Disk, path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(parent) = path.parent() else { return Ok(Vec::new()) };
    // Links in the path lead elsewhere: what lies above it then is not what holds its name.
    let parent = disk.resolve(parent)?;
    let ours = disk.file_system(&parent)?;
    let mut dirs = Vec::new();
    for dir in parent.ancestors() {
        // Above a mount point is another file system, in which nothing is ours.
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
