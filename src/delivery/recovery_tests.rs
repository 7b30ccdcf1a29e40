use super::*;
use crate::delivery::bench::Bench;
use crate::delivery::publish::publish;
use crate::disk::RealDisk;
use std::fs;

fn recovered(bench: &Bench) -> Recovered {
    let (done, unusable) =
        recover(&RealDisk, &mut bench.open().unwrap(), &[&bench.account.maildir], OtherMaildirPolicy::Refuse).unwrap();
    assert!(unusable.is_empty(), "{unusable:?}");
    done
}

/// A message that was recorded by a process that is gone.
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

/// The name in `new/` of the only intent.
fn name(bench: &Bench) -> String {
    bench.open().unwrap().state().intents().next().unwrap().1.file_name.clone()
}

/// The path of the only file in `tmp/`.
fn in_tmp(bench: &Bench) -> PathBuf {
    bench.account.maildir.join("tmp").join(&bench.files("tmp")[0])
}

#[test]
fn a_file_with_a_name_in_new_or_cur_was_delivered() {
    for (part, flags) in [("new", ""), ("cur", ":2,S")] {
        for keeps_both in [true, false] {
            let bench = interrupted();
            let to = bench.account.maildir.join(part).join(format!("{}{flags}", name(&bench)));
            fs::hard_link(in_tmp(&bench), to).unwrap();
            if !keeps_both {
                fs::remove_file(in_tmp(&bench)).unwrap();
            }
            assert_eq!(recovered(&bench), Recovered { found: 1, ..Recovered::default() }, "{part}");
            assert_eq!((bench.files("tmp").len(), bench.files(part).len()), (0, 1));
            assert_eq!(bench.open().unwrap().state().intents().count(), 0);
        }
    }
}

#[test]
fn a_file_with_a_second_name_anywhere_was_delivered() {
    let bench = interrupted();
    let filed = bench.account.maildir.join("filed elsewhere");
    fs::hard_link(in_tmp(&bench), &filed).unwrap();
    assert_eq!(recovered(&bench), Recovered { found: 1, ..Recovered::default() });
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 0));
    assert!(filed.exists());
}

#[test]
fn a_file_that_is_nowhere_proves_nothing_and_is_fetched_again() {
    let bench = interrupted();
    fs::remove_file(in_tmp(&bench)).unwrap();
    let mut store = bench.open().unwrap();
    let done = recover(&RealDisk, &mut store, &[&bench.account.maildir], OtherMaildirPolicy::Refuse).unwrap().0;
    assert_eq!(done, Recovered { again: 1, ..Recovered::default() });
    assert!(store.state().is_empty());
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
    let mut bench = interrupted();
    recovered(&bench);
    let tmp = bench.account.maildir.join("tmp");
    for name in ["1.M1P1Q1_mf-000000000000feed-00000000.h", "1.M1P1Q1_mf-000000000000beef-00000000.h", "1.M2P3.host"] {
        fs::write(tmp.join(name), "x").unwrap();
    }
    assert!(
        recovered(&bench).is_nothing(),
        "it is younger than this poll: a process on a copy of the state may be at work"
    );
    assert_eq!(bench.files("tmp").len(), 3);
    bench.open_options.since_1970 += std::time::Duration::from_secs(60);
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
        let error = recover(&RealDisk, &mut store, &[&maildir(&bench)], OtherMaildirPolicy::Refuse).unwrap_err();
        assert!(matches!(error, StateError::MaildirMissing { .. } | StateError::MaildirReplaced { .. }), "{error:?}");
        assert_eq!(fs::read(bench.state_dir().join("jo.uids")).unwrap(), before);
        let done = recover(&RealDisk, &mut store, &[&maildir(&bench)], OtherMaildirPolicy::Accept).unwrap().0;
        assert_eq!(done.again, 1, "what was on the way to the old one is fetched again");
    }
}

#[test]
fn a_delivery_to_a_maildir_that_is_not_configured_any_more_is_finished_there() {
    let bench = interrupted();
    let mut store = bench.open().unwrap();
    let other = bench.account.maildir.with_extension("other");
    let done = recover(&RealDisk, &mut store, &[&other], OtherMaildirPolicy::Refuse).unwrap().0;
    assert_eq!(done.finished, 1);
    assert_eq!(bench.files("new").len(), 1);
    assert!(!other.exists());
}

#[test]
fn a_finished_delivery_needs_no_recovery() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    let maildir = bench.maildir();
    let published = publish(&RealDisk, &maildir, recorded).unwrap();
    assert!(published.vanished.is_empty());
    store.record_published(&published.delivered).unwrap();
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (1, 1), "both names, until this is durable");
    store.settle().unwrap();
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 1));
    drop(store);
    assert!(recovered(&bench).is_nothing());
}

#[test]
fn what_was_killed_before_its_second_name_went_leaves_one() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    let maildir = bench.maildir();
    let published = publish(&RealDisk, &maildir, recorded).unwrap();
    store.record_published(&published.delivered).unwrap();
    drop(store);
    let mut bench = bench;
    bench.open_options.since_1970 += std::time::Duration::from_secs(60);
    assert_eq!(recovered(&bench), Recovered { remains: 1, ..Recovered::default() });
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 1));
}

#[test]
fn a_file_that_vanishes_from_tmp_was_not_delivered() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a", "b"]);
    fs::remove_file(bench.account.maildir.join("tmp").join(recorded[0].tmp_name().as_str())).unwrap();
    let published = publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    assert_eq!((published.vanished, published.delivered.len()), (vec![EntryId::FIRST], 1));
}

#[test]
fn another_process_may_have_given_a_file_its_name() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a", "b"]);
    let (tmp, new) = (bench.account.maildir.join("tmp"), bench.account.maildir.join("new"));
    let [a, b] = recorded.as_slice() else { panic!("two were recorded") };
    fs::hard_link(tmp.join(a.tmp_name().as_str()), new.join(a.published_name())).unwrap();
    let taken = new.join(b.published_name());
    fs::write(&taken, "another file").unwrap();
    assert_eq!(publish(&RealDisk, &bench.maildir(), recorded).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(taken).unwrap(), b"another file");
}

#[test]
fn a_former_maildir_that_cannot_be_reached_is_named() {
    let bench = interrupted();
    let (former, other) = (bench.account.maildir.clone(), bench.account.maildir.with_extension("other"));
    fs::rename(&former, former.with_extension("away")).unwrap();
    let mut store = bench.open().unwrap();
    let (done, unusable) = recover(&RealDisk, &mut store, &[&other], OtherMaildirPolicy::Refuse).unwrap();
    assert!(done.is_nothing() && store.state().intents().count() == 1, "what is on its way there waits");
    let [Unusable { error, is_in_place: false, .. }] = unusable.as_slice() else { panic!("{unusable:?}") };
    assert!(matches!(error, StateError::FormerMaildir { path, .. } if *path == former), "{error}");
    assert_eq!(recover(&RealDisk, &mut store, &[&other], OtherMaildirPolicy::Accept).unwrap().0.again, 1);
}

/// Two messages on their way into the account's own Maildir, one into another, and one into both.
fn interrupted_in_two() -> (Bench, PathBuf) {
    let mut bench = Bench::new();
    let (own, other) = (bench.account.maildir.clone(), bench.account.maildir.with_extension("other"));
    let mut store = bench.open().unwrap();
    bench.record(&mut store, &["a", "b"]);
    bench.account.maildir.clone_from(&other);
    bench.record(&mut store, &["c"]);
    bench.account.maildir = own;
    let numbers: Vec<MaildirNumber> = store.state().maildirs().map(|(number, _)| number).collect();
    bench.record_for_several(&mut store, "d", &numbers);
    (bench, other)
}

#[test]
fn a_maildir_beside_the_accounts_own_that_cannot_be_used_keeps_its_own_mail_alone() {
    use crate::disk::limited::LimitedDisk;
    let takes_no_link = |new: PathBuf| LimitedDisk { closed: Some(new), ..LimitedDisk::default() };
    for what in ["takes no link", "missing", "replaced"] {
        let (bench, other) = interrupted_in_two();
        let (mut disk, away) = (LimitedDisk::default(), other.with_extension("away"));
        match what {
            "takes no link" => disk = takes_no_link(fs::canonicalize(other.join("new")).unwrap()),
            _ => fs::rename(&other, &away).unwrap(),
        }
        if what == "replaced" {
            Maildir::create(&RealDisk, &other, crate::account::MaildirMode::PRIVATE).unwrap();
        }
        let configured = [bench.account.maildir.as_path(), other.as_path()];
        let mut store = bench.open().unwrap();
        for _ in 0..3 {
            let (_, unusable) = recover(&disk, &mut store, &configured, OtherMaildirPolicy::Refuse).unwrap();
            let [one] = unusable.as_slice() else { panic!("{what}: {unusable:?}") };
            assert_eq!((one.configured == other, one.is_in_place), (true, what == "takes no link"), "{what}");
            assert_eq!(store.state().intents().count(), 2, "{what}: what is for it is on its way");
            let here: Vec<String> = bench.files("new");
            assert!((2..=3).contains(&here.len()), "{what}: the others are there: {here:?}");
        }
        if what == "replaced" {
            fs::remove_dir_all(&other).unwrap();
        }
        if what != "takes no link" {
            fs::rename(&away, &other).unwrap();
        }
        let (done, unusable) = recover(&RealDisk, &mut store, &configured, OtherMaildirPolicy::Refuse).unwrap();
        assert_eq!((done.finished, done.again, unusable.len()), (2, 0, 0), "{what}");
        assert_eq!((bench.files("new").len(), store.state().intents().count()), (3, 0), "{what}");
        assert_eq!(fs::read_dir(other.join("new")).unwrap().count(), 2, "{what}");
        for tmp in [bench.account.maildir.join("tmp"), other.join("tmp")] {
            assert_eq!(fs::read_dir(tmp).unwrap().count(), 0, "{what}");
        }
    }
}

#[test]
fn the_accounts_own_maildir_that_takes_no_mail_stops_everything() {
    use crate::disk::limited::LimitedDisk;
    let (bench, other) = interrupted_in_two();
    let closed = Some(fs::canonicalize(bench.account.maildir.join("new")).unwrap());
    let disk = LimitedDisk { closed, ..LimitedDisk::default() };
    let configured = [bench.account.maildir.as_path(), other.as_path()];
    let error = recover(&disk, &mut bench.open().unwrap(), &configured, OtherMaildirPolicy::Refuse).unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
}

#[test]
fn a_file_that_has_its_name_already_is_delivered() {
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    let (tmp, new) = (bench.account.maildir.join("tmp"), bench.account.maildir.join("new"));
    fs::hard_link(tmp.join(recorded[0].tmp_name().as_str()), new.join(recorded[0].published_name())).unwrap();
    let published = publish(&RealDisk, &bench.maildir(), recorded).unwrap();
    assert_eq!((published.delivered.len(), published.vanished), (1, vec![]));
}

#[test]
fn a_state_that_may_not_be_on_disk_is_written_anew_before_anything_is_concluded() {
    use std::os::unix::fs::MetadataExt;
    let mut bench = interrupted();
    recovered(&bench);
    bench.open_options.since_1970 += std::time::Duration::from_secs(60);
    let file = |bench: &Bench| fs::metadata(bench.state_dir().join("jo.uids")).unwrap().ino();
    let before = file(&bench);
    fs::write(bench.account.maildir.join("tmp/1.M1P1Q1_mf-000000000000feed-00000000.h"), "x").unwrap();
    let mut store = bench.open().unwrap();
    let recovered_in =
        |store: &mut Store| recover(&RealDisk, store, &[&bench.account.maildir], OtherMaildirPolicy::Refuse).unwrap().0;
    assert_eq!(recovered_in(&mut store).remains, 1);
    let anew = file(&bench);
    assert_ne!(anew, before, "nobody said that the last sync had succeeded");
    store.finish().unwrap();
    drop(store);
    assert!(recovered_in(&mut bench.open().unwrap()).is_nothing());
    assert_eq!(file(&bench), anew, "there was no reason");
}

#[test]
fn where_there_are_no_links_a_file_is_renamed() {
    let disk = crate::disk::limited::LimitedDisk { links: false, ..Default::default() };
    let bench = Bench::new();
    let mut store = bench.open().unwrap();
    let recorded = bench.record(&mut store, &["a"]);
    let published = publish(&disk, &bench.maildir(), recorded).unwrap();
    assert_eq!((published.delivered.len(), published.vanished), (1, vec![]));
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 1));
}

/// A disk on which this Maildir's `new/` takes no name.
fn closed(maildir: &Path) -> crate::disk::limited::LimitedDisk {
    let closed = Some(fs::canonicalize(maildir.join("new")).unwrap());
    crate::disk::limited::LimitedDisk { closed, ..Default::default() }
}

/// Gives each file in this directory a second name, as a backup by hard links does.
fn back_up(dir: &Path) {
    let backup = tempfile::Builder::new().prefix("backup").tempdir_in(dir.parent().unwrap()).unwrap().keep();
    for name in fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name()) {
        fs::hard_link(dir.join(&name), backup.join(&name)).unwrap();
    }
}

#[test]
fn a_second_name_that_somebody_makes_while_new_takes_none_is_no_delivery() {
    let bench = Bench::new();
    bench.record(&mut bench.open().unwrap(), &["a", "b"]);
    let (tmp, maildirs) = (bench.account.maildir.join("tmp"), [bench.account.maildir.as_path()]);
    let disk = closed(&bench.account.maildir);
    for _ in 0..3 {
        let mut store = bench.open().unwrap();
        recover(&disk, &mut store, &maildirs, OtherMaildirPolicy::Refuse).unwrap_err();
        assert_eq!(
            store.state().intents().filter(|(_, intent)| intent.not_linked == [MaildirNumber::FIRST]).count(),
            2
        );
        let said = fs::read_to_string(store.path()).unwrap();
        assert_eq!(said.lines().filter(|line| line.starts_with("r ")).count(), 2, "it is said once");
        back_up(&tmp);
    }
    assert_eq!(recovered(&bench), Recovered { finished: 2, ..Recovered::default() });
    assert_eq!((bench.files("tmp").len(), bench.files("new").len()), (0, 2));
    assert!(recovered(&bench).is_nothing());
}

#[test]
fn what_is_linked_although_an_error_says_otherwise_counts_wherever_it_was_moved() {
    let bench = interrupted();
    let (maildir, name) = (bench.maildir(), name(&bench));
    let tmp_name = TmpName::of_published(&name);
    assert!(!is_linked(&RealDisk, &maildir, &tmp_name, &name));
    let there = bench.account.maildir.join("new").join(&name);
    fs::write(&there, "another file").unwrap();
    assert!(!is_linked(&RealDisk, &maildir, &tmp_name, &name));
    fs::remove_file(&there).unwrap();
    give_name(&RealDisk, &maildir, &tmp_name, &name).unwrap();
    assert!(is_linked(&RealDisk, &maildir, &tmp_name, &name));
}

#[test]
fn of_several_maildirs_each_counts_by_itself() {
    let (bench, other) = interrupted_in_two();
    let own = bench.account.maildir.clone();
    let configured = [own.as_path(), other.as_path()];
    let recovered_on = |disk: &dyn Disk| {
        let recovered = recover(disk, &mut bench.open().unwrap(), &configured, OtherMaildirPolicy::Refuse);
        recovered.map(|(done, unusable)| (done, unusable.len()))
    };
    // A mail reader has filed away each message that came meanwhile.
    let read = |maildir: &Path| {
        let files: Vec<_> = fs::read_dir(maildir.join("new")).unwrap().map(|file| file.unwrap().path()).collect();
        files.iter().for_each(|file| fs::rename(file, maildir.join(file.file_name().unwrap())).unwrap());
        files.len()
    };
    for came in [3, 0, 0] {
        let (_, unusable) = recovered_on(&closed(&other)).unwrap();
        assert_eq!((unusable, read(&own)), (1, came), "the message for both came once");
        back_up(&other.join("tmp"));
        back_up(&own.join("tmp"));
    }
    let (done, unusable) = recovered_on(&RealDisk).unwrap();
    assert_eq!((done.finished, done.again, unusable), (2, 0, 0));
    assert_eq!((read(&own), read(&other)), (0, 2));
}

#[test]
fn a_link_that_is_made_in_the_end_counts_again() {
    let (bench, other) = interrupted_in_two();
    let own = bench.account.maildir.clone();
    // The account's own comes last.
    let configured = [own.as_path(), other.as_path()];
    let on = |disk: &dyn Disk| {
        _ = recover(disk, &mut bench.open().unwrap(), &configured, OtherMaildirPolicy::Refuse);
        let store = bench.open().unwrap();
        let several = store.state().intents().find(|(_, intent)| !intent.also.is_empty());
        several.map(|(_, intent)| intent.not_linked.iter().map(|number| number.get()).collect::<Vec<_>>())
    };
    assert_eq!(on(&closed(&own)), Some(vec![1, 2]), "nothing was tried in the second one");
    assert_eq!(on(&closed(&other)), Some(vec![2]));
    assert_eq!(on(&RealDisk), None);
}
