//! Tests that the judge detects failures, and that a seed determines a story.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mailferry::account::RemovalPolicy;

use super::super::disk::look;
use super::super::script::ABLE;
use super::super::storage::Storage;
use super::super::world::runtime;
use super::generate::story;
use super::judge::{Failure, Kind};
use super::letter::{Dots, Header, Letter, Naming};
use super::play::{Player, play};
use super::shrink::shrink;
use super::story::{Act, Character, Flushed, Reading, Story};

const MAILDIR: &str = "/mail/own";

fn one_message(removal: RemovalPolicy) -> Story {
    let letter = Letter {
        token: 1,
        header: Header::Own,
        octets: 200,
        dots: Dots::Word,
        part: false,
        naming: Naming::Own,
        bulk: false,
    };
    let character = Character {
        name: "one".to_owned(),
        maildir: MAILDIR.to_owned(),
        removal,
        manner: ABLE,
        most: None,
        largest: None,
        estimates: false,
        skips: false,
    };
    Story { accounts: vec![character], acts: vec![Act::Mail(0, letter), Act::Poll(0, None)] }
}

/// Returns the only file in `new/`.
fn file(storage: &Storage) -> PathBuf {
    let new = Path::new(MAILDIR).join("new");
    new.join(storage.list(&new).unwrap().first().unwrap())
}

/// Adds a file with these bytes to the Maildir.
fn add(storage: &mut Storage, bytes: &[u8]) {
    let added = storage.create(&Path::new(MAILDIR).join("new/other")).unwrap();
    storage.write(added, bytes);
}

/// Returns the judgement of the next poll after somebody has tampered with the disk.
fn judged(removal: RemovalPolicy, tamper: impl FnOnce(&mut Storage)) -> Option<Kind> {
    let (story, runtime) = (one_message(removal), runtime());
    let script = story.script();
    let mut player = Player::new(&story, &script, &runtime);
    for act in &story.acts {
        player.act(*act).unwrap();
    }
    {
        let storage = &mut look(&player.world.machine).storage;
        tamper(storage);
        storage.sync_all();
    }
    player.act(Act::Hours(30, Flushed::Yes)).unwrap();
    player.act(Act::Poll(0, None)).err().map(|Failure { kind, .. }| kind)
}

#[test]
fn a_second_copy_is_noticed() {
    let doubled = |storage: &mut Storage| {
        let bytes = storage.read(&file(storage)).unwrap().to_vec();
        add(storage, &bytes);
    };
    assert_eq!(judged(RemovalPolicy::Keep, doubled), Some(Kind::Copy));
    assert_eq!(judged(RemovalPolicy::Keep, |_| {}), None);
}

#[test]
fn a_part_of_a_message_is_noticed() {
    assert_eq!(judged(RemovalPolicy::Keep, |storage| add(storage, b"Message-ID: <001@x>")), Some(Kind::NoMessage));
}

#[test]
fn what_vanishes_and_what_is_deleted_without_being_stored_is_noticed() {
    let vanishes = |storage: &mut Storage| storage.remove(&file(storage)).unwrap();
    assert_eq!(judged(RemovalPolicy::Keep, vanishes), Some(Kind::Lost));
    let day = RemovalPolicy::AfterAge(Duration::from_secs(86_400));
    assert_eq!(judged(day, vanishes), Some(Kind::Unsafe));
    assert_eq!(judged(day, |_| {}), None);
}

#[test]
fn a_seed_is_a_story_and_takes_the_same_course_every_time() {
    let runtime = runtime();
    for seed in 0..8 {
        let (first, second) = (play(&story(seed), &runtime), play(&story(seed), &runtime));
        assert_eq!(first.log, second.log, "seed {seed}");
    }
    assert_ne!(play(&story(1), &runtime).log, play(&story(2), &runtime).log);
}

#[test]
fn a_failure_is_told_without_what_it_does_not_need() {
    let mut long = one_message(RemovalPolicy::Keep);
    let letter = |token| Letter {
        token,
        header: Header::Own,
        octets: 200,
        dots: Dots::Alone,
        part: false,
        naming: Naming::Own,
        bulk: false,
    };
    long.accounts.push(Character {
        name: "two".to_owned(),
        removal: RemovalPolicy::AfterDelivery,
        ..long.accounts[0].clone()
    });
    long.acts.extend([Act::Hours(1, Flushed::No), Act::Mail(1, letter(2)), Act::Reads(0, Reading::Opens, 1)]);
    // The same message twice: two different ones would need the same bytes, so this is a failure of the story.
    long.acts.extend([Act::Mail(1, letter(3)), Act::Mail(1, letter(3)), Act::Poll(1, None), Act::Poll(0, None)]);
    let runtime = runtime();
    let kind = play(&long, &runtime).failure.unwrap().kind;
    let short = shrink(&long, kind, &runtime);
    assert_eq!((short.accounts.len(), short.acts.len()), (1, 2), "{:?}", short.acts);
    assert_eq!(play(&short, &runtime).failure.unwrap().kind, kind);
}
