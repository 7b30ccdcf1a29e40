use super::*;
use crate::account::AccountName;
use crate::delivery::bench::{Bench, account};
use crate::delivery::record::Recorded;
use crate::disk::RealDisk;
use crate::message::Digest;
use crate::state::entries::QuarantineReason;
use crate::state::proofs_tests::{Compared, Present, Renamed};
use std::fs;
use std::os::unix::fs::MetadataExt;

fn known(store: &Store) -> Vec<String> {
    let text = |entry: &Entry| String::from_utf8_lossy(entry.unique_id.as_ref().unwrap().as_bytes()).into_owned();
    store.state().entries().map(text).collect()
}

#[test]
fn what_was_recorded_is_remembered() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a", "b"]);
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!(known(&store), ["a", "b"]);
    assert_eq!(store.state().identity().instance, InstanceId::new(0xfeed));
    assert_eq!(store.state().maildir_configured_as(&bench.account.maildir).unwrap().0, MaildirNumber::FIRST);
}

#[test]
fn another_maildir_is_remembered_with_the_first_delivery_to_it() {
    let mut bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    bench.account.maildir = bench.account.maildir.with_extension("other");
    bench.record(&mut bench.open().unwrap(), &["b"]);
    let store = bench.open().unwrap();
    assert_eq!(store.state().maildir_configured_as(&bench.account.maildir).unwrap().0, MaildirNumber::new(2));
}

/// The unique-ids of quarantined messages, as the file has them.
fn quarantined(bench: &Bench) -> Vec<String> {
    let store = Store::look(Arc::new(RealDisk), &bench.state_dir(), &bench.account, &bench.open_options).unwrap();
    let mut names: Vec<String> = store
        .state()
        .quarantines()
        .map(|(one, _)| String::from_utf8_lossy(one.unique_id.as_bytes()).into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_quarantine_is_remembered_until_the_message_is_fetched_or_deleted() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let id = |name: &str| {
        let unique_id = UniqueId::new(name.as_bytes()).unwrap();
        ListedAs { unique_id, reported_size: Some(ReportedSize::new(14)) }
    };
    // Nothing has been delivered yet, so there is no file.
    store.record_quarantine(vec![id("a"), id("b"), id("c")], QuarantineReason::Refused).unwrap();
    assert_eq!(quarantined(&bench), ["a", "b", "c"]);
    let recorded = bench.record(&mut store, &["a"]);
    assert_eq!(quarantined(&bench), ["b", "c"], "fetched");
    store.record_quarantine(vec![id("a")], QuarantineReason::BrokeSession).unwrap();
    store.record_removed(vec![recorded[0].entry()]).unwrap();
    assert_eq!(quarantined(&bench), ["b", "c"], "deleted");
    store.record_quarantine_over(vec![id("b")]).unwrap();
    assert_eq!(quarantined(&bench), ["c"], "gone");
}

#[test]
fn a_quarantine_stays_with_a_message_that_gets_another_unique_id() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let ids: Vec<EntryId> = bench.record(&mut store, &["a", "b", "c"]).iter().map(Recorded::entry).collect();
    let id = |name: &str| UniqueId::new(name.as_bytes()).unwrap();
    let listed_as = |name: &str| ListedAs { unique_id: id(name), reported_size: Some(ReportedSize::new(14)) };
    for _ in 0..2 {
        store.record_quarantine(vec![listed_as("a"), listed_as("c")], QuarantineReason::OtherSize).unwrap();
    }
    store.record_quarantine(vec![listed_as("c")], QuarantineReason::OtherSize).unwrap();
    // One of them gets the name that another one had.
    let renamed = [(0, "c"), (1, "y"), (2, "z")].map(|(at, name)| Renamed(ids[at], id(name)));
    store.record_renamed(&renamed).unwrap();
    let counts = |store: &Store| {
        ["a", "b", "c", "y", "z"]
            .map(|name| store.state().quarantine(&id(name), Some(ReportedSize::new(14))).map_or(0, |one| one.count))
    };
    assert_eq!(counts(&store), [0, 0, 2, 0, 3]);
    drop(store);
    assert_eq!(counts(&bench.open().unwrap()), [0, 0, 2, 0, 3]);
}

#[test]
fn opening_and_closing_writes_no_state() {
    let bench = Bench::new();
    drop(bench.open().unwrap());
    assert!(!bench.state_dir().join("jo.uids").exists());
    bench.record(&mut bench.open().unwrap(), &["a"]);
    let before = fs::read(bench.state_dir().join("jo.uids")).unwrap();
    let mut store = bench.open().unwrap();
    store.write_pending().unwrap();
    store.record_absent(Vec::new()).unwrap();
    store.compact().unwrap();
    drop(store);
    assert_eq!(fs::read(bench.state_dir().join("jo.uids")).unwrap(), before);
}

#[test]
fn only_one_at_a_time_polls_an_account() {
    let bench = Bench::new();
    let first = bench.open().unwrap();
    let error = bench.open().unwrap_err();
    assert!(matches!(error, StateError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("by a test"), "{error}");
    drop(first);
    bench.open().unwrap();
}

#[test]
fn another_user_under_the_same_name_is_refused() {
    let mut bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    bench.account.username = "other".to_owned();
    assert!(matches!(bench.open().unwrap_err(), StateError::OtherUser { .. }));
}

#[test]
fn a_renamed_account_is_offered_its_old_state() {
    let mut bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    bench.account.name = AccountName::new("jo2").unwrap();
    bench.open_options.configured_accounts = Arc::new(ConfiguredAccounts::new([bench.account.name.clone()]));
    let error = bench.open().unwrap_err();
    assert!(matches!(&error, StateError::Renamed { other, .. } if other == "jo"), "{error:?}");
    bench.open_options.new_state = true;
    bench.open().unwrap();
}

#[test]
fn a_state_made_for_another_port_is_not_taken_for_that_of_a_renamed_account() {
    let mut bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    bench.account.name = AccountName::new("jo2").unwrap();
    bench.open_options.configured_accounts = Arc::new(ConfiguredAccounts::new([bench.account.name.clone()]));
    Arc::make_mut(&mut bench.account.endpoint).port += 1;
    bench.open().unwrap();
}

/// Takes away what an earlier version does not record.
fn forget_port(mut store: Store) {
    let records = store.state.records().filter(|record| !matches!(record, Record::Port { .. }));
    store.journal.rewrite(records).unwrap();
}

#[test]
fn a_port_of_which_nothing_is_known_may_be_any_and_is_recorded_with_the_next_change() {
    let mut bench = Bench::new();
    let is_here = |bench: &Bench, store: &Store| {
        let endpoint = &bench.account.endpoint;
        store.state().is_of_server(&endpoint.host, endpoint.port)
    };
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    forget_port(store);
    let path = bench.state_dir().join("jo.uids");
    let before = fs::read(&path).unwrap();
    drop(bench.open().unwrap());
    assert_eq!(fs::read(&path).unwrap(), before, "nothing was recorded");
    // As if the account had been pointed at it before anything was known.
    Arc::make_mut(&mut bench.account.endpoint).port += 1;
    let mut store = bench.open().unwrap();
    assert!(is_here(&bench, &store));
    store.record_absent(vec![EntryId::FIRST]).unwrap();
    drop(store);
    assert!(is_here(&bench, &bench.open().unwrap()));
    Arc::make_mut(&mut bench.account.endpoint).port += 1;
    assert!(!is_here(&bench, &bench.open().unwrap()));
}

#[test]
fn a_lost_state_is_noticed_by_the_files_it_delivered() {
    let mut bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    crate::delivery::publish::publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    drop(store);
    fs::remove_file(bench.state_dir().join("jo.uids")).unwrap();
    let error = bench.open().unwrap_err();
    assert!(matches!(error, StateError::Lost { .. }), "{error:?}");
    bench.open_options.new_state = true;
    bench.open().unwrap();
}

#[test]
fn two_accounts_may_share_a_maildir() {
    let mut bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    crate::delivery::publish::publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    bench.account = account("second", &bench.account.maildir);
    bench.account.username = "second".to_owned();
    let both = [AccountName::new("jo").unwrap(), bench.account.name.clone()];
    bench.open_options.configured_accounts = Arc::new(ConfiguredAccounts::new(both));
    bench.open_options.instance = InstanceId::new(0xbeef);
    bench.open().unwrap();
}

#[test]
fn a_damaged_file_is_left_as_it_is() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    bench.record(&mut store, &["b"]);
    drop(store);
    let path = bench.state_dir().join("jo.uids");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|w| w == b"\nE ").unwrap() + 3;
    bytes[at] = b'9';
    fs::write(&path, &bytes).unwrap();
    let error = bench.open().unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn history_is_dropped_when_it_outgrows_what_is_remembered() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    for _ in 0..600 {
        store.record_absent(vec![EntryId::FIRST]).unwrap();
        store.record_present(&[Present]).unwrap();
    }
    let before = fs::metadata(bench.state_dir().join("jo.uids")).unwrap().len();
    store.compact().unwrap();
    assert!(fs::metadata(bench.state_dir().join("jo.uids")).unwrap().len() < before / 10);
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!(known(&store), ["a"]);
    assert_eq!(store.state().intents().count(), 1, "an unfinished delivery survives");
}

#[test]
fn a_state_in_whose_place_another_one_is_is_not_written_to() {
    for file in ["jo.lock", "jo.uids"] {
        for copied in [true, false] {
            let bench = Bench::new();
            let mut store = bench.open().unwrap();
            bench.record(&mut store, &["a"]);
            let path = bench.state_dir().join(file);
            let away = path.with_extension("away");
            fs::rename(&path, &away).unwrap();
            if copied {
                fs::copy(&away, &path).unwrap();
            }
            let before = fs::read(bench.state_dir().join("jo.uids")).ok();
            let error = store.record_absent(vec![EntryId::FIRST]).unwrap_err();
            assert!(matches!(&error, StateError::Moved { path: moved } if *moved == path), "{error}");
            assert!(store.rewrite().is_err());
            assert_eq!(fs::read(bench.state_dir().join("jo.uids")).ok(), before, "{file} {copied}");
        }
    }
}

/// Whether the only message is in doubt, in memory and in the file.
fn in_doubt(bench: &Bench, store: &Store) -> (bool, bool) {
    let file = Store::look(Arc::new(RealDisk), &bench.state_dir(), &bench.account, &bench.open_options).unwrap();
    let doubt = |store: &Store| store.state().entry(EntryId::FIRST).unwrap().doubt;
    (doubt(store), doubt(&file))
}

#[test]
fn what_may_be_another_message_is_in_doubt_until_it_was_compared() {
    let elsewhere = |store: &mut Store| {
        let mut account = account("jo", Path::new("/nowhere"));
        Arc::make_mut(&mut account.endpoint).host = "other.example.org".to_owned();
        store.record_server(&account, &[]).unwrap();
    };
    let at_another_port = |store: &mut Store| {
        let mut account = account("jo", Path::new("/nowhere"));
        Arc::make_mut(&mut account.endpoint).port += 1;
        store.record_server(&account, &[]).unwrap();
    };
    let raises: [&dyn Fn(&mut Store); 6] = [
        &|store| store.record_removed(vec![EntryId::FIRST]).unwrap(),
        &|store| store.record_absent(vec![EntryId::FIRST]).unwrap(),
        &|store| store.record_doubt(vec![EntryId::FIRST]).unwrap(),
        &|store| store.record_renamed(&[Renamed(EntryId::FIRST, UniqueId::new(b"b").unwrap())]).unwrap(),
        &elsewhere,
        &at_another_port,
    ];
    for (number, raise) in raises.iter().enumerate() {
        let bench = Bench::new();
        let mut store = bench.open().unwrap();
        bench.record(&mut store, &["a"]);
        assert_eq!(in_doubt(&bench, &store), (false, false));
        raise(&mut store);
        assert_eq!(in_doubt(&bench, &store), (true, true), "{number}");
        store.rewrite().unwrap();
        assert_eq!(in_doubt(&bench, &store), (true, true), "{number}, rewritten");
        store.record_present(&[Present]).unwrap();
        assert_eq!(in_doubt(&bench, &store), (true, true), "{number}, back");
        store.record_verified(&[Compared { new_header: None }]).unwrap();
        assert_eq!(in_doubt(&bench, &store), (false, false), "{number}, compared");
    }
}

#[test]
fn a_comparison_also_shows_what_header_a_message_has_now() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    let header = |store: &Store| store.state().entry(EntryId::FIRST).unwrap().fingerprint.header;
    let (old, new) = (header(&store), Digest::parse(b"000102030405060708090a0b0c0d0e0f"));
    store.record_verified(&[Compared { new_header: None }]).unwrap();
    assert_eq!(header(&store), old);
    store.record_verified(&[Compared { new_header: new }]).unwrap();
    assert_eq!(header(&store), new);
}

#[test]
fn the_doubt_before_a_quit_is_durable() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    store.record_doubt(vec![EntryId::FIRST]).unwrap();
    assert!(store.journal.is_synced());
}

#[test]
fn a_file_of_the_version_before_is_written_anew_before_anything_is_added() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    // Durable, so that the version is the only reason to rewrite.
    store.settle().unwrap();
    store.journal.mark_durable().unwrap();
    drop(store);
    let path = bench.state_dir().join("jo.uids");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("mailferry-uids 2", "mailferry-uids 1", 1)).unwrap();
    let mut store = bench.open().unwrap();
    store.record_doubt(vec![EntryId::FIRST]).unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with("mailferry-uids 2\n"));
    assert_eq!(in_doubt(&bench, &store), (true, true));
}

#[test]
fn a_file_that_a_power_cut_may_take_away_is_written_anew_before_mail_is_written() {
    for is_appended_to in [false, true] {
        let bench = Bench::new();
        let mut store = bench.open().unwrap();
        store.ensure_file().unwrap();
        if is_appended_to {
            bench.record(&mut store, &["a"]);
            store.settle().unwrap();
        }
        drop(store);
        let inode = || fs::metadata(bench.state_dir().join("jo.uids")).unwrap().ino();
        let before = inode();
        bench.open().unwrap().ensure_file().unwrap();
        assert_eq!(inode() == before, is_appended_to);
    }
}

#[test]
fn another_users_state_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    let path = bench.state_dir().join("jo.uids");
    let before = fs::read(&path).unwrap();
    // Only root can give a file away.
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        return;
    }
    let error = bench.open().unwrap_err();
    assert!(matches!(error, StateError::OtherOwner { owner: 12345, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn two_accounts_whose_files_are_the_same_are_refused() {
    // As on a case-insensitive file system.
    let mut bench = Bench::new();
    drop(bench.open().unwrap());
    let twin = AccountName::new("Jo").unwrap();
    bench.open_options.configured_accounts = Arc::new(ConfiguredAccounts::new([bench.account.name.clone(), twin]));
    drop(bench.open().unwrap());
    fs::hard_link(bench.state_dir().join("jo.lock"), bench.state_dir().join("Jo.lock")).unwrap();
    let error = bench.open().unwrap_err();
    assert!(error.to_string().starts_with("jo and Jo have the same state files"), "{error}");
}

#[test]
fn what_is_not_linked_is_known_until_the_delivery_is_over() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a"]);
    let not_linked = || vec![(EntryId::FIRST, vec![MaildirNumber::FIRST])];
    store.record_not_linked(not_linked()).unwrap();
    store.rewrite().unwrap();
    drop(store);
    let mut store = bench.open().unwrap();
    assert!(store.state().intents().all(|(_, intent)| intent.not_linked == [MaildirNumber::FIRST]));
    store.record_forgotten(vec![EntryId::FIRST]).unwrap();
    // A version that ignores the record keeps it beyond the entry.
    store.record_not_linked(not_linked()).unwrap();
    drop(store);
    assert!(bench.open().unwrap().state().is_empty());
}
