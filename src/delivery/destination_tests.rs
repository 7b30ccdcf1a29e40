use super::*;
use crate::delivery::bench::Bench;
use crate::disk::limited::LimitedDisk;
use std::fs;
use std::sync::Arc;

#[test]
fn nothing_is_durable_where_the_directory_of_the_state_or_of_the_mail_cannot_be_synced() {
    let bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    let new = fs::canonicalize(bench.account.maildir.join("new")).unwrap();
    for (unsyncable, synced) in [
        (None, DirSync::Synced),
        (Some(bench.state_dir()), DirSync::Unsupported),
        (Some(new), DirSync::Unsupported),
        (Some(bench.account.maildir.clone()), DirSync::Synced),
    ] {
        let disk = Arc::new(LimitedDisk { unsyncable: unsyncable.clone(), ..LimitedDisk::default() });
        let store = Store::open(disk.clone(), &bench.state_dir(), &bench.account, &bench.open_options).unwrap();
        let found = sync_directories(&*disk, &store, &bench.account.maildir).unwrap();
        assert_eq!((found.0, found.1.len()), (synced, 0), "{unsyncable:?}");
    }
}
