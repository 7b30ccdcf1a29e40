use super::*;
use crate::disk::RealDisk;
use crate::disk::limited::LimitedDisk;
use crate::user;
use std::fs;
use std::os::unix::fs::{chown, symlink};

fn maildir(at: &Path) -> Maildir {
    Maildir::create(&RealDisk, at, MaildirMode::PRIVATE).unwrap()
}

#[test]
fn where_there_is_a_marker_it_alone_tells() {
    let id = |inode, marker, created| MaildirId { tmp_inode: inode, new_inode: inode, marker, created };
    for (then, now, same) in [
        (id(1, None, None), id(1, None, None), true),
        (id(1, None, None), id(2, None, None), false),
        (id(1, None, None), id(1, None, Some(5)), true),
        (id(1, None, Some(5)), id(1, None, Some(5)), true),
        (id(1, None, Some(5)), id(1, None, None), true),
        (id(1, None, Some(5)), id(1, None, Some(6)), false),
        (id(1, None, Some(5)), id(2, None, Some(5)), false),
        (id(1, Some(7), Some(5)), id(2, Some(7), Some(6)), true),
        (id(1, Some(7), Some(5)), id(1, Some(8), Some(5)), false),
        (id(1, Some(7), None), id(2, None, None), false),
        (id(1, Some(7), None), id(1, None, None), false),
        (id(1, Some(7), Some(5)), id(1, None, Some(5)), true),
        (id(1, Some(7), Some(5)), id(1, None, Some(6)), false),
    ] {
        assert_eq!(then.is(&now), same, "{then:?} {now:?}");
    }
}

#[test]
fn a_maildir_that_is_not_in_its_place_is_noticed() {
    for part in ["tmp", "new"] {
        let dir = tempfile::tempdir().unwrap();
        let maildir = maildir(&dir.path().join("Maildir"));
        assert!(maildir.is_in_place(&RealDisk).unwrap());
        let path = maildir.path().join(part);
        fs::rename(&path, path.with_extension("away")).unwrap();
        assert!(!maildir.is_in_place(&RealDisk).unwrap(), "{part}");
        fs::create_dir(&path).unwrap();
        assert!(!maildir.is_in_place(&RealDisk).unwrap(), "another {part}");
    }
}

#[test]
fn no_link_is_followed_in_place_of_a_part() {
    for part in PARTS {
        let dir = tempfile::tempdir().unwrap();
        let path = maildir(&dir.path().join("Maildir")).path().join(part);
        fs::rename(&path, path.with_extension("away")).unwrap();
        symlink(path.with_extension("away"), &path).unwrap();
        assert!(Maildir::open(&RealDisk, &dir.path().join("Maildir")).is_err(), "{part}");
    }
}

#[test]
fn root_delivers_only_into_what_belongs_to_root() {
    for part in ["", "tmp", "new", "cur"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Maildir");
        maildir(&path);
        // Only root can give a directory away, and only root has to be careful.
        if chown(path.join(part), Some(12345), None).is_err() {
            return;
        }
        let error = Maildir::open(&RealDisk, &path).unwrap_err().to_string();
        assert!(error.contains("root delivers only into what belongs to root"), "{part}: {error}");
    }
    if user::is_mapped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(12345), None).unwrap();
    assert!(Maildir::create(&RealDisk, &home.join("Maildir"), MaildirMode::PRIVATE).is_err());
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "nothing was made there");
}

#[test]
fn a_maildir_made_at_another_time_is_another_one_though_its_inode_numbers_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let maildir = maildir(&dir.path().join("Maildir"));
    let id = |created| maildir.id(&LimitedDisk { created, ..LimitedDisk::default() }).unwrap();
    assert!(id(Some(1)).is(&id(Some(1))));
    assert!(!id(Some(1)).is(&id(Some(2))));
    let real = || maildir.id(&RealDisk).unwrap().created;
    assert_eq!(real(), real());
}

#[test]
fn where_inode_numbers_do_not_last_there_is_a_marker() {
    for keeps_inode_numbers in [true, false] {
        let disk = LimitedDisk { keeps_inode_numbers, ..LimitedDisk::default() };
        let dir = tempfile::tempdir().unwrap();
        let maildir = maildir(&dir.path().join("Maildir"));
        assert_eq!(maildir.id(&disk).unwrap().marker, None);
        let id = maildir.lasting_id(&disk).unwrap();
        assert_eq!(id.marker.is_none(), keeps_inode_numbers);
        assert_eq!(maildir.path().join(".mailferry-id").exists(), !keeps_inode_numbers);
        assert_eq!((maildir.id(&disk).unwrap(), maildir.lasting_id(&disk).unwrap()), (id, id));
    }
}
