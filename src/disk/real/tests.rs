use super::*;
use crate::disk::make_dirs;
use std::os::unix::fs::symlink;

fn names(dir: &Dir) -> Vec<String> {
    let mut names: Vec<String> =
        RealDisk.list_in(dir).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn neither_a_rename_nor_a_link_replaces_anything() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    fs::write(dir.path().join("b"), "b").unwrap();
    let opened = RealDisk.open_dir(dir.path()).unwrap();
    let (a, b, c) = (OsStr::new("a"), OsStr::new("b"), OsStr::new("c"));
    for result in [RealDisk.rename_in(&opened, a, &opened, b), RealDisk.link(&opened, a, &opened, b)] {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"b");
    RealDisk.link(&opened, a, &opened, c).unwrap();
    assert_eq!((RealDisk.status_in(&opened, a).unwrap().links, names(&opened).len()), (2, 3));
    assert_eq!(RealDisk.status_in(&opened, a).unwrap().id, RealDisk.status_in(&opened, c).unwrap().id);
    RealDisk.remove_in(&opened, a).unwrap();
    RealDisk.rename_in(&opened, c, &opened, a).unwrap();
    assert_eq!(names(&opened), ["a", "b"]);
    assert_eq!(RealDisk.link(&opened, c, &opened, OsStr::new("d")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_is_done_in_an_open_directory_is_done_there_whatever_becomes_of_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    fs::create_dir(&here).unwrap();
    let opened = RealDisk.open_dir(&here).unwrap();
    fs::rename(&here, &away).unwrap();
    symlink("/", &here).unwrap();
    RealDisk.create_in(&opened, OsStr::new("f")).unwrap().write_all(b"x").unwrap();
    assert_eq!(fs::read(away.join("f")).unwrap(), b"x");
    assert_eq!((RealDisk.status(&away).unwrap().id, names(&opened)), (opened.id(), vec!["f".to_owned()]));
    assert!(RealDisk.open_dir(&here).is_err(), "a link is not followed");
    assert!(RealDisk.status(&here).unwrap().id != opened.id());
}

#[test]
fn a_file_is_locked_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let mut first = RealDisk.create(&path).unwrap();
    let mut second = RealDisk.append(&path).unwrap();
    assert!(first.try_lock().unwrap() && !second.try_lock().unwrap());
    assert_eq!(first.id().unwrap(), RealDisk.status(&path).unwrap().id);
    drop(first);
    assert!(second.try_lock().unwrap());
}

#[test]
fn the_lock_of_a_file_ends_at_once_although_a_copy_of_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let file = File::create(&path).unwrap();
    let _copy = file.try_clone().unwrap();
    let mut first = RealFile::from(file);
    assert!(first.try_lock().unwrap());
    drop(first);
    assert!(RealDisk.append(&path).unwrap().try_lock().unwrap());
}

#[test]
fn only_some_errors_mean_that_there_are_no_links() {
    use crate::disk::has_no_links;
    let none = [Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::NOTSUP].map(|errno| (errno, true));
    let others = [Errno::IO, Errno::NOSPC, Errno::NOENT].map(|errno| (errno, false));
    for (errno, none) in none.into_iter().chain(others) {
        assert_eq!(has_no_links(&errno.into()), none, "{errno}");
    }
}

#[test]
fn files_and_directories_are_private() {
    let dir = tempfile::tempdir().unwrap();
    make_dirs(&RealDisk, &dir.path().join("x/y")).unwrap();
    RealDisk.create(&dir.path().join("x/y/f")).unwrap().write_all(b"1").unwrap();
    let mode = |p: &str| fs::metadata(dir.path().join(p)).unwrap().mode() & 0o777;
    assert_eq!((mode("x"), mode("x/y"), mode("x/y/f")), (0o700, 0o700, 0o600));
}

#[test]
fn a_lock_ends_at_once_although_a_copy_of_its_file_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lock");
    let file = File::create(&path).unwrap();
    file.try_lock().unwrap();
    let _copy = file.try_clone().unwrap();
    let id = FileId { device: 0, inode: 0 };
    drop(Unlocking { _file: RealFile { file, locked: true }, id });
    assert!(matches!(RealDisk.lock(&path, "pid 2").unwrap(), Lock::Acquired(_)));
}

#[test]
fn a_lock_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lock");
    let first = RealDisk.lock(&path, "pid 1").unwrap();
    let Lock::Held(words) = RealDisk.lock(&path, "pid 2").unwrap() else { panic!("locked twice") };
    assert_eq!(words, "pid 1");
    drop(first);
    assert!(matches!(RealDisk.lock(&path, "pid 2").unwrap(), Lock::Acquired(_)));
}

#[test]
fn the_holder_of_a_lock_may_have_left_any_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lock");
    let _first = RealDisk.lock(&path, "pid 1").unwrap();
    fs::write(&path, b"\xff\xfe").unwrap();
    let Lock::Held(words) = RealDisk.lock(&path, "pid 2").unwrap() else { panic!("locked twice") };
    assert_eq!(words, "\u{fffd}\u{fffd}");
}

#[test]
fn nothing_but_a_regular_file_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, link, pipe) = (dir.path().join("victim"), dir.path().join("a.lock"), dir.path().join("a.uids"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&link, &pipe] {
        assert!(RealDisk.lock(path, "pid 1").is_err(), "{}", path.display());
        assert!(RealDisk.append(path).is_err(), "{}", path.display());
        assert!(RealDisk.read(path, 10).is_err(), "{}", path.display());
    }
    for (path, expected, words) in
        [(&pipe, NotAFile::Special, "it is not a regular file"), (&link, NotAFile::Link, "it is a symbolic link")]
    {
        let error = RealDisk.append(path).err().unwrap();
        assert_eq!(error.to_string(), words);
        assert_eq!(NotAFile::of(&error), Some(expected));
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_directory_that_cannot_be_synced_is_told_from_one_whose_sync_failed() {
    for errno in [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS] {
        assert_eq!(dir_sync(Err(errno.into())).unwrap(), DirSync::Unsupported, "{errno}");
    }
    for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::BADF] {
        assert_eq!(dir_sync(Err(errno.into())).unwrap_err().raw_os_error(), Some(errno.raw_os_error()), "{errno}");
    }
    assert_eq!(dir_sync(Err(io::Error::other("odd"))).unwrap_err().kind(), io::ErrorKind::Other);
    assert_eq!(RealDisk.sync_dir(tempfile::tempdir().unwrap().path()).unwrap(), DirSync::Synced);
}

#[test]
fn a_directory_is_open_to_all_if_they_may_rename_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for (mode, open) in [(0o700, false), (0o775, false), (0o777, true), (0o702, true), (0o1777, false)] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(RealDisk.mode_open_to_all(dir.path()).unwrap(), Some(mode).filter(|_| open), "{mode:o}");
    }
}

#[test]
fn truncating_goes_on_writing_at_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let mut file = RealDisk.create(&path).unwrap();
    file.write_all(b"abcdef").unwrap();
    file.truncate(2).unwrap();
    file.write_all(b"X").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abX");
}

#[test]
#[allow(clippy::useless_conversion, reason = "on other processors the type is a smaller one")]
fn a_file_in_memory_names_no_device_whose_threads_would_sync_it() {
    // In some containers /dev/shm is missing, or is not a tmpfs.
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let file = RealDisk.create(&dir.path().join("f")).unwrap();
    let in_memory = i64::from(rustix::fs::statfs(dir.path()).unwrap().f_type) == TMPFS;
    assert_eq!(file.device().is_none(), in_memory);
    let files = (0..3).map(|n| RealDisk.create(&dir.path().join(n.to_string())).unwrap()).collect();
    assert!(RealDisk.sync_files(files).iter().all(Result::is_ok));
}
