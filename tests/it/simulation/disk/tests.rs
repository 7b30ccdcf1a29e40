use super::*;

fn machine(kind: FaultKind, at: usize) -> (Shared, SimDisk) {
    let machine = Arc::new(Mutex::new(Machine::new(Storage::new())));
    look(&machine).process = Process::new(1, Some(Fault { at, kind, seed: 1 }));
    let disk = SimDisk::new(&machine, 1);
    (machine, disk)
}

fn write(disk: &SimDisk) -> io::Result<()> {
    disk.create(Path::new("/f"))?.write_all(b"0123456789")
}

#[test]
fn a_killed_process_does_nothing_more() {
    let (machine, disk) = machine(FaultKind::Kill, 1);
    assert_eq!(write(&disk).unwrap_err().to_string(), "the process is dead");
    assert!(disk.remove(Path::new("/f")).is_err());
    assert_eq!(look(&machine).storage.read(Path::new("/f")).unwrap(), b"01234", "a half, as the seed has it");
    look(&machine).process = Process::new(2, None);
    assert!(disk.remove(Path::new("/f")).is_err(), "nor when another one lives");
    SimDisk::new(&machine, 2).remove(Path::new("/f")).unwrap();
}

#[test]
fn a_failure_in_the_middle_leaves_a_half() {
    let (machine, disk) = machine(FaultKind::FailInTheMiddle(Errno::Nospc), 1);
    assert_eq!(write(&disk).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(look(&machine).storage.read(Path::new("/f")).unwrap(), b"01234");
}

#[test]
fn short_and_interrupted_writes_are_continued() {
    for kind in [FaultKind::ShortWrites, FaultKind::Fail(Errno::Intr)] {
        let (machine, disk) = machine(kind, 1);
        write(&disk).unwrap();
        assert_eq!(look(&machine).storage.read(Path::new("/f")).unwrap(), b"0123456789");
        assert!(look(&machine).process.met.is_some());
    }
}

#[test]
fn a_rename_may_fail_and_have_been_done() {
    let (machine, disk) = machine(FaultKind::FailDone(Errno::Io), 2);
    write(&disk).unwrap();
    assert!(disk.replace(Path::new("/f"), Path::new("/g")).is_err());
    assert!(look(&machine).storage.read(Path::new("/g")).is_ok());
}

#[test]
fn a_lock_ends_with_its_value_and_with_its_process() {
    let (machine, disk) = machine(FaultKind::Kill, 99);
    let first = disk.lock(Path::new("/l"), "me").unwrap();
    assert!(matches!(disk.lock(Path::new("/l"), "me").unwrap(), Lock::Held(_)));
    drop(first);
    let _second = disk.lock(Path::new("/l"), "me").unwrap();
    look(&machine).process = Process::new(2, None);
    assert!(matches!(SimDisk::new(&machine, 2).lock(Path::new("/l"), "me").unwrap(), Lock::Acquired(_)));
}

#[test]
fn a_file_is_read_in_pieces_and_from_anywhere() {
    let (_machine, disk) = machine(FaultKind::Kill, 99);
    let bytes: Vec<u8> = (0..=255).collect();
    disk.create(Path::new("/f")).unwrap().write_all(&bytes).unwrap();
    let mut pieces = Vec::new();
    let mut take = |piece: &[u8], length| {
        assert_eq!(length, 256);
        pieces.push(piece.to_vec());
        if pieces.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    disk.read_pieces(Path::new("/f"), &mut take).unwrap();
    assert_eq!(pieces.concat(), bytes[..2 * PIECE], "and no further than it is wanted");
    let (root, mut buffer) = (disk.open_dir(Path::new("/")).unwrap(), [0; 10]);
    let mut read = |offset| disk.read_at(&root, OsStr::new("f"), offset, &mut buffer).map(|n| buffer[..n].to_vec());
    assert_eq!(read(3).unwrap(), bytes[3..13]);
    assert_eq!(read(250).unwrap(), bytes[250..]);
    assert_eq!(read(256).unwrap(), b"");
    assert_eq!(disk.read_at(&root, OsStr::new("g"), 0, &mut [0]).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_file_of_an_open_directory_is_read_there_whatever_becomes_of_its_path() {
    let (machine, disk) = machine(FaultKind::Kill, 99);
    for dir in ["/here", "/there"] {
        disk.make_dir(Path::new(dir)).unwrap();
        disk.create(&Path::new(dir).join("f")).unwrap().write_all(dir.as_bytes()).unwrap();
    }
    let opened = disk.open_dir(Path::new("/here")).unwrap();
    look(&machine).storage.rename(Path::new("/here"), Path::new("/away")).unwrap();
    look(&machine).storage.rename(Path::new("/there"), Path::new("/here")).unwrap();
    let mut buffer = [0; 10];
    let count = disk.read_at(&opened, OsStr::new("f"), 0, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"/here");
}
