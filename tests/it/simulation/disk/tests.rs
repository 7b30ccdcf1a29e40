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
