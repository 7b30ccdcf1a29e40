//! A message, from the answer to RETR to what is written into `tmp/`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use gungraun::prelude::*;
use mailferry::disk::{Disk as _, RealDisk};
use mailferry::ids::InstanceId;
use mailferry::maildir::names::NameSource;
use mailferry::maildir::staging::Staging;
use mailferry::pop3::multi_line::{LineEnd, MultiLineDecoder, Piece};
use mailferry::pop3::{Command, Event, Session};
use mailferry::message::{Digest, HeaderDigester, MessageDigester};

use crate::samples::{self, listen};

/// What comes in at a time.
const CHUNK: usize = 8 << 10;

fn asked(message: Vec<u8>) -> (Session, Vec<u8>) {
    let session = samples::session(Command::Retr(samples::number(1)));
    (session, [b"+OK it follows\r\n", &message[..], b".\r\n"].concat())
}

#[library_benchmark]
#[bench::message_of_64_kib(args = (samples::message()), setup = asked)]
#[bench::stuffed_lines_of_1_kib(args = (samples::stuffed()), setup = asked)]
fn retr((mut session, answer): (Session, Vec<u8>)) -> (Session, Vec<u8>, usize) {
    let mut octets = 0;
    listen(&mut session, black_box(&answer), |event, _| {
        if let Event::Data(range) = event {
            octets += range.len();
        }
    });
    (session, answer, octets)
}

#[library_benchmark]
#[bench::message_of_64_kib(samples::message())]
#[bench::stuffed_lines_of_1_kib(samples::stuffed())]
fn decode(message: Vec<u8>) -> (Vec<u8>, usize) {
    let mut decoder = MultiLineDecoder::new(LineEnd::CrLf);
    let (mut rest, mut octets) = (black_box(&message[..]), 0);
    while let Piece::Content { consumed, range } = decoder.decode(rest) {
        octets += range.len();
        rest = &rest[consumed..];
    }
    (message, octets)
}

fn staging() -> (Staging, Vec<u8>) {
    // Less than a piece, so that nothing touches the disk.
    let name = NameSource::new(1, b"host").next(std::time::Duration::ZERO, InstanceId::new(1), None);
    let tmp = RealDisk.open_dir(Path::new("/")).expect("a directory");
    let staging = Staging::new(Arc::new(RealDisk), &tmp, name);
    (staging, samples::message())
}

#[library_benchmark]
#[bench::message_of_64_kib(setup = staging)]
fn stage((mut staging, message): (Staging, Vec<u8>)) -> (Staging, Vec<u8>) {
    for chunk in black_box(&message).chunks(CHUNK) {
        staging.take(chunk);
    }
    (staging, message)
}

#[library_benchmark]
#[bench::everyday(samples::header())]
fn digest_header(header: Vec<u8>) -> (Vec<u8>, Digest) {
    let mut digester = HeaderDigester::default();
    digester.update(black_box(&header));
    (header, digester.finish())
}

#[library_benchmark]
#[bench::message_of_64_kib(samples::message())]
fn digest_message(message: Vec<u8>) -> (Vec<u8>, Digest) {
    let mut digester = MessageDigester::default();
    for chunk in black_box(&message).chunks(CHUNK) {
        digester.update(chunk);
    }
    (message, digester.finish())
}

library_benchmark_group!(name = retrieving, benchmarks = [retr, decode, stage, digest_header, digest_message]);
