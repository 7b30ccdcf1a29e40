use super::*;
use crate::disk::RealDisk;
use crate::maildir::publishing::publish;
use crate::state::store::tests::Bench;
use std::fs;

fn recovered(bench: &Bench) -> Recovered {
    recover(&mut bench.open().unwrap(), &bench.account.maildir, OtherMaildir::Refuse).unwrap()
}

/// One message recorded, its process gone.
fn interrupted() -> Bench {
    let bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    bench
}

#[test]
fn a_file_in_tmp_is_delivered_now() {
    let bench = interrupted();
    assert_eq!(recovered(&bench), Recovered { finished: 1, ..Recovered::default() });
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 1));
    assert!(recovered(&bench).is_nothing());
    assert_eq!(bench.files("new").len(), 1);
}

#[test]
fn a_file_that_was_moved_on_is_not_delivered_again() {
    for part in ["new", "cur", "elsewhere"] {
        let bench = interrupted();
        let mut store = bench.open().unwrap();
        let name = store.state().intents().next().unwrap().1.file_name.clone();
        let from = bench.account.maildir.join("tmp").join(&bench.files("tmp")[0]);
        fs::create_dir_all(bench.account.maildir.join(part)).unwrap();
        let flags = if part == "cur" { ":2,S" } else { "" };
        fs::rename(from, bench.account.maildir.join(part).join(format!("{name}{flags}"))).unwrap();
        let done = recover(&mut store, &bench.account.maildir, OtherMaildir::Refuse).unwrap();
        assert_eq!(done, Recovered { found: 1, ..Recovered::default() }, "{part}");
        assert_eq!(store.state().intents().count(), 0);
        assert_eq!(store.state().len(), 1);
    }
}

#[test]
fn a_file_in_both_places_stays_in_one() {
    let bench = interrupted();
    let name = bench.open().unwrap().state().intents().next().unwrap().1.file_name.clone();
    let from = bench.account.maildir.join("tmp").join(&bench.files("tmp")[0]);
    fs::hard_link(from, bench.account.maildir.join("new").join(name)).unwrap();
    recovered(&bench);
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 1));
}

#[test]
fn a_file_that_is_nowhere_after_36_hours_is_fetched_again() {
    let mut bench = interrupted();
    fs::remove_file(bench.account.maildir.join("tmp").join(&bench.files("tmp")[0])).unwrap();
    bench.opening.now.wall += 37 * 3600;
    let mut store = bench.open().unwrap();
    let done = recover(&mut store, &bench.account.maildir, OtherMaildir::Refuse).unwrap();
    assert_eq!(done, Recovered { again: 1, ..Recovered::default() });
    assert!(store.state().is_empty());
}

#[test]
fn a_file_that_a_mail_reader_opened_is_found_after_36_hours_as_well() {
    let mut bench = interrupted();
    let name = bench.open().unwrap().state().intents().next().unwrap().1.file_name.clone();
    let from = bench.account.maildir.join("tmp").join(&bench.files("tmp")[0]);
    fs::rename(from, bench.account.maildir.join("cur").join(format!("{name}:2,S"))).unwrap();
    bench.opening.now.wall += 37 * 3600;
    assert_eq!(recovered(&bench), Recovered { found: 1, ..Recovered::default() });
}

#[test]
fn a_file_on_its_way_is_no_remains_under_another_path_to_the_same_maildir() {
    let mut bench = Bench::new();
    let direct = bench.account.maildir.clone();
    bench.record(&mut bench.open().unwrap(), &["a"]);
    recovered(&bench);
    // The configuration names the Maildir by a link for a while, and the process is killed in that time.
    bench.account.maildir = direct.with_extension("link");
    std::os::unix::fs::symlink(&direct, &bench.account.maildir).unwrap();
    bench.record(&mut bench.open().unwrap(), &["b"]);
    bench.account.maildir = direct;
    assert_eq!(recovered(&bench), Recovered { finished: 1, ..Recovered::default() });
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 2));
}

#[test]
fn remains_of_our_own_go_and_those_of_others_stay() {
    let bench = interrupted();
    recovered(&bench);
    let tmp = bench.account.maildir.join("tmp");
    for name in ["1.M1P1Q1_mf-000000000000feed-00000000.h", "1.M1P1Q1_mf-000000000000beef-00000000.h", "1.M2P3.host"] {
        fs::write(tmp.join(name), "x").unwrap();
    }
    assert_eq!(recovered(&bench), Recovered { remains: 1, ..Recovered::default() });
    assert_eq!(bench.files("tmp").len(), 2);
}

#[test]
fn a_maildir_that_is_missing_moved_or_replaced_stops_everything() {
    let maildir = |bench: &Bench| bench.account.maildir.clone();
    let missing = |bench: &Bench| fs::rename(maildir(bench), maildir(bench).with_extension("away")).unwrap();
    let replaced = |bench: &Bench| {
        missing(bench);
        bench.maildir();
    };
    let elsewhere = |bench: &Bench| {
        missing(bench);
        std::os::unix::fs::symlink(maildir(bench).with_extension("away"), maildir(bench)).unwrap();
    };
    let changes: [&dyn Fn(&Bench); 3] = [&missing, &replaced, &elsewhere];
    for change in changes {
        let bench = interrupted();
        change(&bench);
        let before = fs::read(bench.state_dir().join("jo.uids")).unwrap();
        let mut store = bench.open().unwrap();
        let error = recover(&mut store, &maildir(&bench), OtherMaildir::Refuse).unwrap_err();
        assert_eq!(error.exit_status(), crate::exit::ExitStatus::Local, "{error}");
        assert_eq!(fs::read(bench.state_dir().join("jo.uids")).unwrap(), before);
        let done = recover(&mut store, &maildir(&bench), OtherMaildir::Accept).unwrap();
        assert_eq!(done.again, 1, "what was on the way to the old one is fetched again");
    }
}

#[test]
fn a_delivery_to_a_maildir_that_is_not_configured_any_more_is_finished_there() {
    let bench = interrupted();
    let mut store = bench.open().unwrap();
    let other = bench.account.maildir.with_extension("other");
    let done = recover(&mut store, &other, OtherMaildir::Refuse).unwrap();
    assert_eq!(done.finished, 1);
    assert_eq!(bench.files("new").len(), 1);
    assert!(!other.exists());
}

#[test]
fn a_finished_delivery_needs_no_recovery() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    let (delivered, _) = publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    store.record_published(delivered.iter().map(crate::maildir::publishing::Delivered::entry).collect()).unwrap();
    drop(store);
    assert!(recovered(&bench).is_nothing());
}
