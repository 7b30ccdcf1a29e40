use super::*;
use crate::delivery::bench::Bench;
use crate::disk::RealDisk;
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

#[test]
fn what_is_no_maildir_of_the_session_is_not_taken_for_the_account_s_own() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let (maildir, configured) = (bench.maildir(), bench.account.maildir.clone());
    let id = maildir.id(&RealDisk).unwrap();
    let number = make_known(&RealDisk, &mut store, &configured, &maildir, id).unwrap();
    let tmp = maildir.tmp().path().to_owned();
    let to = Destinations::only(Destination { maildir, configured: configured.clone(), number }, 8);
    assert_eq!((to.place_of(&configured), to.place_of_tmp(&tmp)), (Some(OWN), Some(OWN)));
    assert_eq!(to.numbered(number).map(|(place, _)| place), Some(OWN));
    assert_eq!(to.at(OWN).map(|own| &own.configured), Some(&configured));
    assert_eq!(to.numbers(&DestinationIndexes::one(OWN)), Some(number.into()));

    let other = DestinationIndex(1);
    assert!(to.at(other).is_none());
    for places in [DestinationIndexes::one(other), DestinationIndexes { first: OWN, also: vec![other] }] {
        assert_eq!(to.numbers(&places), None, "{places:?}");
    }
    assert_eq!((to.place_of(&tmp), to.place_of_tmp(&configured)), (None, None));
    assert!(to.numbered(MaildirNumber::new(9)).is_none());
}
