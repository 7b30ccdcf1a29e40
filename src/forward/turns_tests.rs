use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::disk::{Dir, FileId};

/// The outcome of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// It arrives.
    Arrives,
    /// It is refused. The others go on, up to ten refusals in a row.
    Refused,
    /// It ends the pass.
    Breaks,
    /// It never ends: somebody ends the process, and so the pass.
    Hangs,
}

/// A spool of numbered messages, and what earlier passes have recorded.
struct Bench {
    waiting: Vec<Spooled>,
    ledger: Ledger,
    arrived: Vec<i64>,
}

impl Bench {
    fn new(count: i64) -> Self {
        Self { waiting: (1..=count).map(spooled).collect(), ledger: Ledger::default(), arrived: Vec::new() }
    }

    /// Runs one pass. If it hangs, what is known by then has been written down.
    fn pass(&mut self, ends: impl Fn(i64) -> Ends) {
        let mut turns = Turns::new(self.waiting.iter(), &self.ledger);
        let mut queue: VecDeque<Spooled> = self.waiting.clone().into();
        turns.sort(&mut queue);
        let (mut arrivals, mut in_a_row) = (0, 0);
        while let Some(message) = queue.pop_front() {
            match ends(message.delivered()) {
                Ends::Arrives => {
                    (arrivals, in_a_row) = (arrivals + 1, 0);
                    self.arrived.push(message.delivered());
                    self.waiting.retain(|other| other.name != message.name);
                    if turns.arrived(&message.name) {
                        turns.sort(&mut queue);
                    }
                }
                Ends::Refused => {
                    turns.note(&message.name, Weight::Once);
                    in_a_row += 1;
                    if in_a_row == 10 {
                        break;
                    }
                }
                Ends::Breaks => {
                    turns.note(&message.name, Weight::Once);
                    break;
                }
                Ends::Hangs => {
                    turns.note(&message.name, Weight::Hangs);
                    break;
                }
            }
        }
        turns.records(arrivals > 0).into_iter().for_each(|record| self.ledger.apply(record));
    }
}

fn spooled(seconds: i64) -> Spooled {
    let name = format!("{seconds}.M0P9Q0_mf-00000000000000aa-00000001.h,S=7");
    let dir = Dir::new(Path::new("/x"), FileId { device: 1, inode: 1 }, None);
    Spooled { name: name.clone(), dir, file: name.into() }
}

/// Counts the passes until only the poisoned messages wait.
fn passes_until_others_arrived(poison: &BTreeSet<i64>, count: i64, how: Ends) -> usize {
    let mut bench = Bench::new(count);
    for passes in 0..10_000 {
        if bench.waiting.len() <= poison.len() {
            return passes;
        }
        bench.pass(|n| if poison.contains(&n) { how } else { Ends::Arrives });
    }
    panic!("{poison:?} {how:?}: {} of {count} wait for ever", bench.waiting.len());
}

#[test]
fn no_number_of_messages_holds_up_those_behind_them_for_ever() {
    for how in [Ends::Refused, Ends::Breaks, Ends::Hangs] {
        for count in [1, 2, 3, 12, 40] {
            let in_front: BTreeSet<i64> = (1..=count).collect();
            let passes = passes_until_others_arrived(&in_front, count + 15, how);
            let most = [(1, 4), (2, 9), (3, 14), (12, 60), (40, 200)].iter().find(|(n, _)| *n == count).unwrap().1;
            assert!(passes <= most, "{count} {how:?}: {passes} passes");
            // The poisoned messages may be anywhere among the others.
            let among: BTreeSet<i64> = (1..=count).map(|n| n * 2).collect();
            assert!(passes_until_others_arrived(&among, count * 2 + 15, how) <= most + 20, "{count} {how:?}");
        }
    }
}

#[test]
fn a_run_that_was_cut_off_at_a_message_is_followed_by_one_that_tries_the_others_first() {
    let mut bench = Bench::new(4);
    bench.pass(|_| Ends::Hangs);
    bench.pass(|n| if n == 1 { Ends::Hangs } else { Ends::Arrives });
    assert_eq!(bench.arrived, [2, 3, 4]);
}

#[test]
fn after_an_outage_everything_arrives_in_its_order_but_one_message_at_most() {
    for how in [Ends::Refused, Ends::Breaks, Ends::Hangs] {
        for outage in (0..8).chain([23, 24]) {
            let mut bench = Bench::new(40);
            (0..outage).for_each(|_| bench.pass(|_| how));
            assert!(bench.arrived.is_empty());
            bench.pass(|_| Ends::Arrives);
            assert_eq!(bench.arrived.len(), 40);
            let turned = bench.arrived.windows(2).filter(|two| two[0] > two[1]).count();
            assert!(turned <= 1, "{how:?}, {outage} passes: {:?}", bench.arrived);
            assert!(turned == 0 || how == Ends::Hangs || outage >= 3, "{how:?}, {outage} passes: {:?}", bench.arrived);
        }
    }
}

#[test]
fn what_came_to_nothing_while_others_arrived_goes_behind_new_mail_until_it_arrives() {
    let mut bench = Bench::new(3);
    for _ in 0..4 {
        bench.pass(|n| if n == 1 { Ends::Breaks } else { Ends::Arrives });
    }
    assert_eq!(bench.arrived, [2, 3]);
    for new in 4..8 {
        bench.waiting.push(spooled(new));
        bench.pass(|n| if n == 1 { Ends::Breaks } else { Ends::Arrives });
    }
    assert_eq!(bench.arrived, [2, 3, 4, 5, 6, 7], "no pass is lost to it any more");
    bench.pass(|_| Ends::Arrives);
    assert!(bench.waiting.is_empty());
}
