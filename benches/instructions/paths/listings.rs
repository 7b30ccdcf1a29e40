//! The maildrop, from the answers to UIDL and LIST to a plan.

use std::collections::HashSet;
use std::hint::black_box;

use gungraun::prelude::*;
use mailferry::account::RemovalPolicy;
use mailferry::clock::trusted_time::TrustedTime;
use mailferry::plan::maildrop::{Maildrop, MaildropBuilder};
use mailferry::client::listing_digest::{ListingDigest, ListingDigester};
use mailferry::plan::{Done, Pass, Plan, PlanInput, Policy, Seen};
use mailferry::pop3::{Command, DropListing, Event, ReportedSize, ScanListing, Session, UniqueIdListing};
use mailferry::state::entries::UidState;

use crate::remembered;
use crate::samples::{self, listen};

/// How many messages are listed.
const LISTED: u32 = 10_000;

fn asked(question: Command, count: u32, line: impl Fn(u32) -> String) -> (Session, Vec<u8>) {
    let lines: String = (1..=count).map(line).collect();
    (samples::session(question), format!("+OK they follow\r\n{lines}.\r\n").into_bytes())
}

fn asked_uidl(count: u32) -> (Session, Vec<u8>) {
    asked(Command::Uidl(None), count, |number| format!("{number} {}\r\n", samples::unique_id(number)))
}

fn asked_list() -> (Session, Vec<u8>) {
    asked(Command::List(None), LISTED, |number| format!("{number} {}\r\n", samples::size(number)))
}

/// As much as a client reads at a time.
const CHUNK: usize = 64 << 10;

// The same listing as last time, read as a client reads it.
#[library_benchmark]
#[bench::lines_20_000(args = (20_000), setup = asked_uidl)]
#[bench::lines_100_000(args = (100_000), setup = asked_uidl)]
fn recognised((mut session, answer): (Session, Vec<u8>)) -> (Session, Vec<u8>, Option<ListingDigest>) {
    let mut digester = ListingDigester::default();
    digester.stat(DropListing { count: 1, reported_size: ReportedSize::new(1) });
    session.take_lines_together(true);
    let (mut from, mut to) = (0, 0);
    while to < answer.len() {
        to = (from + CHUNK).min(answer.len());
        from += listen(&mut session, black_box(&answer[from..to]), |event, input| match event {
            Event::Response { .. } => digester.begin(),
            Event::Lines(range) => digester.lines(&input[range.clone()]),
            Event::Line(range) => digester.line(&input[range.clone()]),
            Event::End { .. } => digester.end(),
            _ => {}
        });
    }
    let digest = digester.finish();
    assert!(digest.is_some());
    (session, answer, digest)
}

/// Each of some lines, without its end.
fn each_line(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r\n").expect("a plain line"))
}

#[library_benchmark]
#[bench::lines_10_000(args = (LISTED), setup = asked_uidl)]
fn uidl((mut session, answer): (Session, Vec<u8>)) -> (Session, Vec<u8>, MaildropBuilder) {
    let mut builder = MaildropBuilder::default();
    session.take_lines_together(true);
    listen(&mut session, black_box(&answer), |event, input| match event {
        Event::Response { .. } => builder.unique_ids_follow(),
        Event::Lines(range) => {
            for line in each_line(&input[range.clone()]) {
                builder.unique_id(UniqueIdListing::parse(line).expect("a line of UIDL"));
            }
        }
        _ => {}
    });
    (session, answer, builder)
}

#[library_benchmark]
#[bench::lines_10_000(setup = asked_list)]
fn list((mut session, answer): (Session, Vec<u8>)) -> (Session, Vec<u8>, MaildropBuilder) {
    let mut builder = MaildropBuilder::default();
    session.take_lines_together(true);
    listen(&mut session, black_box(&answer), |event, input| {
        if let Event::Lines(range) = event {
            for line in each_line(&input[range.clone()]) {
                builder.size(ScanListing::parse(line).expect("a line of LIST"));
            }
        }
    });
    (session, answer, builder)
}

/// The answers that the numbers from 1 to this one have.
fn told(count: u32) -> MaildropBuilder {
    let mut builder = MaildropBuilder::default();
    builder.stat(DropListing { count, reported_size: ReportedSize::new(0) });
    builder.unique_ids_follow();
    let numbers = || (1..=count).map(|number| (number, samples::number(number)));
    for (name, number) in numbers() {
        builder.unique_id(UniqueIdListing { number, unique_id: samples::unique_id(name) });
    }
    for (name, number) in numbers() {
        builder.size(ScanListing { number, reported_size: ReportedSize::new(samples::size(name)) });
    }
    builder
}

#[library_benchmark]
#[bench::messages_10_000(args = (LISTED), setup = told)]
fn put_together(builder: MaildropBuilder) -> Maildrop {
    black_box(builder).finish()
}

/// A listing with some new messages behind those that are known.
fn known_and_new() -> (Maildrop, UidState) {
    (told(LISTED + 10).finish(), remembered::state(LISTED))
}

#[library_benchmark]
#[bench::known_10_000_and_new_10(setup = known_and_new)]
fn plan((maildrop, state): (Maildrop, UidState)) -> (Maildrop, UidState, Plan) {
    let policy = Policy {
        removal: RemovalPolicy::Keep,
        max_message_size: None,
        max_messages: None,
        has_top: true,
        moved: false,
        renumbered: false,
        names_change: false,
        pass: Pass::Normal,
    };
    let (tried, compared, compared_as) = (HashSet::new(), HashSet::new(), HashSet::new());
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let seen = Seen::nothing();
    let input = PlanInput::new(black_box(&maildrop), black_box(&state), done, TrustedTime::FIRST);
    // As a session does that has no header to look at.
    assert!(input.look_at(&policy).is_empty());
    assert!(input.look_for_renumbering(&policy, &seen).is_empty());
    let plan = input.plan(&policy, &seen);
    assert_eq!(plan.retrieve.len(), 10);
    (maildrop, state, plan)
}

library_benchmark_group!(name = listing, benchmarks = [recognised, uidl, list, put_together, plan]);
