use super::*;
use crate::account::RemovalPolicy;
use crate::delivery::bench::Bench;
use crate::delivery::destination::make_known;
use crate::disk::RealDisk;
use crate::disk::limited::LimitedDisk;
use crate::ids::InstanceId;
use crate::maildir::names::NameSource;
use crate::maildir::staging::Staging;
use crate::plan::Arrival;
use crate::plan::Circumstances;
use crate::plan::Length;
use crate::plan::Removable;
use crate::plan::maildrop::Listed;
use crate::pop3::{MessageNumber, ReportedSize, SessionSerial, UniqueId};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An account with a state and a Maildir, and messages on their way there.
struct Delivery {
    bench: Bench,
    store: Store,
    to: Destinations,
    names: NameSource,
}

impl Delivery {
    fn new() -> Self {
        let bench = Bench::new();
        let mut store = bench.open().unwrap();
        let (maildir, configured) = (bench.maildir(), bench.account.maildir.clone());
        let id = maildir.id(&RealDisk).unwrap();
        let number = make_known(&RealDisk, &mut store, &configured, &maildir, id).unwrap();
        let to = Destinations::only(Destination { maildir, configured, number }, 8);
        Self { bench, store, to, names: NameSource::new(1, b"h") }
    }

    fn written(&self, unique_id: &str, is_short: bool) -> Written<Arrival> {
        self.written_in(Circumstances::GOOD, unique_id, is_short)
    }

    fn written_in(&self, circumstances: Circumstances, unique_id: &str, is_short: bool) -> Written<Arrival> {
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let name = self.names.next(Duration::ZERO, InstanceId::new(0xfeed), Some(&unique_id));
        let mut staging = Staging::new(Arc::new(RealDisk), self.to.own().maildir.tmp(), name);
        staging.take(b"Subject: x\r\n\r\n");
        let number = MessageNumber::new(1).unwrap();
        let reported_size = Some(ReportedSize::new(if is_short { 1 << 20 } else { 14 }));
        let listed = Listed { number, unique_id: Some(unique_id), reported_size };
        let arrival =
            Arrival::of(SessionSerial::next(), listed, Length::new(staging.octets(), staging.size()), circumstances);
        staging.finish(arrival).write(&mut FreeSpace::unknown()).unwrap()
    }

    fn commit(&mut self, batch: Vec<Written<Arrival>>) -> Outcome<Arrival> {
        self.commit_on(&RealDisk, batch)
    }

    fn commit_on(&mut self, disk: &dyn Disk, batch: Vec<Written<Arrival>>) -> Outcome<Arrival> {
        let batch = batch.into_iter().map(|one| (DestinationIndexes::one(OWN), one)).collect();
        let staged = stage(disk, batch).into_iter().map(|(to, staged)| (to, staged.unwrap())).collect();
        commit(disk, &mut self.store, &self.to, staged)
    }

    /// How many files are in `tmp/` and in `new/`.
    fn files(&self) -> (usize, usize) {
        (self.bench.files("tmp").len(), self.bench.files("new").len())
    }

    /// How many entries the file on disk has, and how many of them are intents.
    fn remembered(self) -> (usize, usize) {
        drop(self.store);
        let store = self.bench.open().unwrap();
        (store.state().len(), store.state().intents().count())
    }
}

#[test]
fn a_file_keeps_both_names_until_its_delivery_is_on_record() {
    let mut delivery = Delivery::new();
    for (name, files) in [("a", (1, 1)), ("b", (1, 2)), ("c", (1, 3))] {
        let outcome = delivery.commit(vec![delivery.written(name, false)]);
        assert_eq!((outcome.safe.len(), outcome.result.unwrap()), (1, DirSync::Synced));
        // The record of one batch becomes durable with the next one's.
        assert_eq!(delivery.files(), files, "{name}");
    }
    delivery.store.settle().unwrap();
    assert_eq!(delivery.files(), (0, 3));
    assert_eq!(delivery.remembered(), (3, 0));
}

#[test]
fn what_has_vanished_from_tmp_is_forgotten_at_once() {
    let mut delivery = Delivery::new();
    let first = delivery.written("a", false);
    fs::remove_file(delivery.to.own().maildir.tmp().path().join(&delivery.bench.files("tmp")[0])).unwrap();
    let outcome = delivery.commit(vec![first, delivery.written("b", false)]);
    assert_eq!(outcome.safe.len(), 1);
    let error = outcome.result.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Maildir { source, .. } if source.to_string().contains("vanished")),
        "{error:?}"
    );
    assert_eq!(delivery.remembered(), (1, 0));
}

#[test]
fn what_new_does_not_take_is_on_record_as_not_linked() {
    let mut delivery = Delivery::new();
    let batch = vec![delivery.written("a", false), delivery.written("b", false)];
    let closed = Some(delivery.to.own().maildir.new_dir().path().to_owned());
    let outcome = delivery.commit_on(&LimitedDisk { closed, ..LimitedDisk::default() }, batch);
    assert_eq!((outcome.safe.len(), outcome.result.is_err()), (0, true));
    let tmp = delivery.to.own().maildir.tmp().path().to_owned();
    for name in delivery.bench.files("tmp") {
        fs::hard_link(tmp.join(&name), tmp.with_extension(&name)).unwrap();
    }
    let Delivery { bench, store, .. } = delivery;
    drop(store);
    let (mut store, maildirs) = (bench.open().unwrap(), [bench.account.maildir.as_path()]);
    assert!(store.state().intents().all(|(_, intent)| intent.not_linked == [MaildirNumber::FIRST]));
    let policy = crate::delivery::recovery::OtherMaildirPolicy::Refuse;
    let (recovered, _) = crate::delivery::recovery::recover(&RealDisk, &mut store, &maildirs, policy).unwrap();
    assert_eq!((recovered.finished, recovered.found, bench.files("new").len()), (2, 0, 2));
}

/// Checks that nothing is delivered, whatever is in the way.
fn nothing_is_delivered(in_the_way: impl Fn(&Delivery), new_dir: impl Fn(&Path) -> PathBuf) {
    let mut delivery = Delivery::new();
    let batch = vec![delivery.written("a", false)];
    delivery.store.ensure_file().unwrap();
    in_the_way(&delivery);
    let outcome = delivery.commit(batch);
    assert_eq!((outcome.safe.len(), outcome.result.is_err()), (0, true));
    assert_eq!(fs::read_dir(new_dir(&delivery.bench.account.maildir)).unwrap().count(), 0);
}

#[test]
fn nothing_is_delivered_to_a_maildir_that_was_replaced() {
    let replace = |delivery: &Delivery| {
        let new = delivery.to.own().maildir.new_dir().path();
        fs::rename(new, new.with_extension("away")).unwrap();
        fs::create_dir(new).unwrap();
    };
    nothing_is_delivered(replace, |maildir| maildir.join("new"));
    nothing_is_delivered(replace, |maildir| maildir.join("new.away"));
}

#[test]
fn nothing_is_delivered_on_the_strength_of_a_state_that_was_moved() {
    for file in ["jo.uids", "jo.lock"] {
        let take_away = |delivery: &Delivery| {
            let path = delivery.bench.state_dir().join(file);
            fs::rename(&path, path.with_extension("away")).unwrap();
        };
        nothing_is_delivered(take_away, |maildir| maildir.join("new"));
    }
}

#[test]
fn a_short_message_is_not_deleted_in_the_session_that_delivered_it() {
    for is_short in [false, true] {
        let mut delivery = Delivery::new();
        let outcome = delivery.commit(vec![delivery.written("a", is_short)]);
        let removable = |removal| Removable::after_delivery(removal, &outcome.safe[0]);
        assert_eq!(removable(RemovalPolicy::AfterDelivery).is_some(), !is_short);
        assert!(removable(RemovalPolicy::Keep).is_none());
    }
}

#[test]
fn whatever_speaks_against_it_keeps_a_message_in_the_session_that_delivered_it() {
    let good = Circumstances::GOOD;
    for (circumstances, may_go) in [
        (good, true),
        (Circumstances { lacks_size: true, ..good }, false),
        (Circumstances { is_kept: true, ..good }, false),
    ] {
        let mut delivery = Delivery::new();
        let outcome = delivery.commit(vec![delivery.written_in(circumstances, "a", false)]);
        let removable = Removable::after_delivery(RemovalPolicy::AfterDelivery, &outcome.safe[0]);
        assert_eq!(removable.is_some(), may_go, "{circumstances:?}");
    }
}

#[test]
fn what_a_power_cut_may_take_away_is_not_deleted_in_the_session_that_delivered_it() {
    let mut delivery = Delivery::new();
    let batch = vec![delivery.written("a", false)];
    let unsyncable = Some(delivery.to.own().maildir.new_dir().path().to_owned());
    let disk = LimitedDisk { unsyncable, ..LimitedDisk::default() };
    let outcome = delivery.commit_on(&disk, batch);
    assert_eq!((outcome.safe.len(), outcome.result.unwrap()), (1, DirSync::Unsupported));
    assert!(!outcome.safe[0].is_durable());
    assert!(Removable::after_delivery(RemovalPolicy::AfterDelivery, &outcome.safe[0]).is_none());
}

/// A committer for this account, with what it announces ignored.
fn committer(disk: Arc<dyn Disk>, to: Destinations) -> Committer<Arrival, impl FnMut(Delivered<Arrival>)> {
    Committer::new(disk, Arc::new(to), drop)
}

/// A message as its sync ends.
fn synced(written: Written<Arrival>) -> Synced<Arrival> {
    stage(&RealDisk, vec![((DestinationIndexes::one(OWN), None), written)]).remove(0)
}

#[test]
fn what_was_written_behind_a_failed_sync_is_retrieved_again() {
    let delivery = Delivery::new();
    let [good, waits] = ["a", "b"].map(|name| delivery.written(name, false));
    let failed =
        NotWritten { dir: delivery.to.own().maildir.tmp().path().to_owned(), source: io::Error::other("lost") };
    let mut committer = committer(Arc::new(RealDisk), delivery.to);
    committer.written.push((DestinationIndexes::one(OWN), waits));
    committer.on_synced(vec![synced(good), ((DestinationIndexes::one(OWN), None), Err(failed))]);
    assert!(committer.error.is_some());
    assert_eq!((committer.staged.len(), committer.written.len()), (1, 0), "what was synced is delivered, nothing else");
}

#[test]
fn nothing_is_committed_behind_a_batch_that_failed() {
    let delivery = Delivery::new();
    let [synced_before, waits, syncing] = ["a", "b", "c"].map(|name| delivery.written(name, false));
    let mut committer = committer(Arc::new(RealDisk), delivery.to);
    committer.staged.push((DestinationIndexes::one(OWN), synced(synced_before).1.unwrap()));
    committer.written.push((DestinationIndexes::one(OWN), waits));
    let mut outcome = Outcome { safe: Vec::new(), result: Ok(DirSync::Synced), failed: Vec::new() };
    outcome.fails(OWN, StateError::maildir_replaced(Path::new("m")).into());
    committer.on_batch_end(outcome);
    committer.on_synced(vec![synced(syncing)]);
    assert_eq!((committer.staged.len(), committer.written.len()), (0, 0));
}
