//! Makes stories from seeds.

use std::num::NonZeroU32;
use std::time::Duration;

use fastrand::Rng;
use mailferry::account::RemovalPolicy;

use super::super::fault::{Errno, FaultKind};
use super::super::power::Survival;
use super::super::server::{Lacking, Manner, UniqueIds};
use super::super::sizes::{Lag, Note, NoteHeader};
use super::FAILED_ONCE;
use super::letter::{Dots, Header, Letter, Naming};
use super::story::{Act, Character, Flushed, Mishap, Reading, Renamed, ServerFault, Story};

/// Hours in a day.
const DAY: u64 = 24;
/// The maximum length of a story, in hours.
const YEAR: u64 = 365 * DAY;

/// How the people and machines of a story behave.
struct Temper {
    /// The percentage of polls with a mishap on the disk or the network.
    mishaps: u32,
    /// The percentage of acts that are faults of a server.
    server_faults: u32,
    /// The percentage of acts by somebody else at the server.
    webmail: u32,
    /// The mail of each account.
    mail: Vec<Mail>,
    /// Whether unique-ids are given to several messages.
    shares_names: bool,
}

/// The mail that an account gets.
struct Mail {
    headers: Headers,
    /// Whether every message has the same size.
    equal_sizes: bool,
    /// The percentage of messages that are incomplete at first.
    parts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Headers {
    Own,
    Weak,
    Mixed,
}

fn chance(rng: &mut Rng, of_hundred: u32) -> bool {
    rng.u32(0..100) < of_hundred
}

/// Returns the story of this seed.
pub(crate) fn story(seed: u64) -> Story {
    let mut rng = Rng::with_seed(seed);
    let count = [1, 1, 2, 3][rng.usize(0..4)];
    let accounts: Vec<Character> = (0..count).map(|place| character(&mut rng, place)).collect();
    let temper = temper(&mut rng, count);
    let mut acts = Vec::new();
    let (mut hours, mut token) = (0, 0);
    for _ in 0..rng.usize(20..120) {
        let account = rng.usize(0..count);
        let act = match rng.u32(0..100) {
            0..30 => {
                for _ in 0..burst(&mut rng) {
                    token += 1;
                    acts.push(Act::Mail(account, letter(&mut rng, token, &temper, account)));
                }
                continue;
            }
            30..62 => Act::Poll(account, mishap(&mut rng, &temper)),
            62..74 => Act::Hours(passes(&mut rng), if chance(&mut rng, 70) { Flushed::Yes } else { Flushed::No }),
            74..84 => reads(&mut rng, account, &temper),
            84..86 => machine(&mut rng, &temper),
            86..91 => Act::Grows(account, rng.usize(0..100)),
            _ => match elsewhere(&mut rng, account, &temper) {
                Some(act) => act,
                None => continue,
            },
        };
        if let Act::Hours(more, _) = act {
            hours += more;
            if hours > YEAR {
                continue;
            }
        }
        acts.push(act);
    }
    let mut story = Story { accounts, acts };
    sizes(&mut Rng::with_seed(!seed), &mut story);
    if !FAILED_ONCE.contains(&seed) {
        rules(&mut Rng::with_seed(seed.rotate_left(32)), &mut story);
    }
    story
}

/// Makes the sizes that servers report, and what they send in place of messages, unreliable in some stories. It uses
/// its own random sequence, so that everything else in a story stays the same.
fn sizes(rng: &mut Rng, story: &mut Story) {
    if !chance(rng, 40) {
        return;
    }
    for account in 0..story.accounts.len() {
        let character = &mut story.accounts[account];
        character.manner.estimates = chance(rng, 20);
        // With this setting, the notes of such a server are taken for messages.
        character.estimates = character.manner.estimates && rng.bool();
        if character.estimates {
            continue;
        }
        let (lags, holds) = (rng.bool(), rng.bool());
        for _ in 0..rng.usize(2..10) {
            let lag = [None, Some(Lag::Ahead), Some(Lag::Behind), Some(Lag::Behind)][rng.usize(0..4)];
            let act = match rng.u32(0..3) {
                0 if lags => Act::Lags(account, lag),
                1 if holds => Act::Notes(account, rng.usize(1..4), note(rng)),
                2 if holds => Act::Releases(account),
                _ => continue,
            };
            story.acts.insert(rng.usize(0..=story.acts.len()), act);
        }
    }
}

/// Gives accounts of some stories a rule that leaves a part of the mail on the server. It uses a random sequence of its
/// own as well.
fn rules(rng: &mut Rng, story: &mut Story) {
    if !chance(rng, 30) {
        return;
    }
    let share = [15, 30, 60][rng.usize(0..3)];
    story.accounts.iter_mut().for_each(|character| character.skips = chance(rng, 70));
    for act in &mut story.acts {
        if let Act::Mail(account, letter) = act
            && story.accounts[*account].skips
        {
            letter.bulk = chance(rng, share);
        }
    }
}

fn note(rng: &mut Rng) -> Note {
    Note {
        header: [NoteHeader::True, NoteHeader::Own, NoteHeader::Weak][rng.usize(0..3)],
        hundredths: [30, 60, 90, 110, 250][rng.usize(0..5)],
        in_top: rng.bool(),
        times: [1, 2, 3, u8::MAX][rng.usize(0..4)],
    }
}

fn character(rng: &mut Rng, place: usize) -> Character {
    let manner = manner(rng);
    let removal = match rng.u32(0..3) {
        // Without unique-ids nothing can be left on the server.
        _ if !manner.uidl => RemovalPolicy::AfterDelivery,
        0 => RemovalPolicy::Keep,
        1 => RemovalPolicy::AfterDelivery,
        _ => RemovalPolicy::AfterAge(Duration::from_secs(3600 * [2, DAY, 14 * DAY, 60 * DAY][rng.usize(0..4)])),
    };
    let name = ["one", "two", "three"][place].to_owned();
    let maildir = if chance(rng, 50) { "/mail/shared".to_owned() } else { format!("/mail/deep/{name}") };
    let most = NonZeroU32::new(rng.u32(1..6)).filter(|_| chance(rng, 15));
    let largest = chance(rng, 10).then_some(500);
    Character { name, maildir, removal, manner, most, largest, estimates: false, skips: false }
}

fn manner(rng: &mut Rng) -> Manner {
    let unique_ids = match rng.u32(0..100) {
        0..12 => UniqueIds::Counting,
        12..20 => UniqueIds::PerSession,
        _ => UniqueIds::Lasting,
    };
    Manner {
        pipelining: chance(rng, 60),
        uidl: chance(rng, 85),
        top: chance(rng, 70),
        refuses_top: chance(rng, 10),
        unique_ids,
        stuffs_dots: chance(rng, 90),
        takes_retrieved: chance(rng, 10),
        estimates: false,
    }
}

fn temper(rng: &mut Rng, accounts: usize) -> Temper {
    let calm = chance(rng, 20);
    let mut some = |most: u32| if calm { 0 } else { rng.u32(0..=most) };
    let (mishaps, server_faults, webmail) = (some(70), some(40), some(60));
    let mail = (0..accounts)
        .map(|_| Mail {
            headers: [Headers::Own, Headers::Own, Headers::Weak, Headers::Mixed, Headers::Mixed][rng.usize(0..5)],
            equal_sizes: rng.bool(),
            parts: if chance(rng, 30) { 30 } else { 0 },
        })
        .collect();
    let shares_names = !calm && chance(rng, 25);
    Temper { mishaps, server_faults, webmail, mail, shares_names }
}

/// Returns how many messages arrive at once.
fn burst(rng: &mut Rng) -> usize {
    [1, 1, 1, 2, 3, 6, 12][rng.usize(0..7)]
}

/// Returns how many hours pass.
fn passes(rng: &mut Rng) -> u64 {
    match rng.u32(0..20) {
        0..8 => rng.u64(1..8),
        8..14 => rng.u64(8..40),
        14..19 => DAY * rng.u64(2..20),
        _ => DAY * rng.u64(20..100),
    }
}

fn letter(rng: &mut Rng, token: usize, temper: &Temper, account: usize) -> Letter {
    let mail = &temper.mail[account];
    let own = mail.headers == Headers::Own || mail.headers == Headers::Mixed && rng.bool();
    let header = match rng.u32(0..10) {
        _ if own => Header::Own,
        0 if mail.headers == Headers::Mixed => Header::Copied(rng.u8(0..2)),
        1..3 => Header::Bare,
        _ => Header::Weak(rng.u8(0..4)),
    };
    let dots = match rng.u32(0..20) {
        0..3 => Dots::Word,
        3 => Dots::Alone,
        _ => Dots::None,
    };
    let octets = match header {
        // Their headers would not distinguish them, so their sizes must.
        Header::Copied(_) => 300 + token,
        _ if mail.equal_sizes => 200,
        _ => [200, 250, 300, 700][rng.usize(0..4)],
    };
    let part = dots == Dots::None && !matches!(header, Header::Copied(_)) && chance(rng, mail.parts);
    let naming = match rng.u32(0..6) {
        0 if temper.shares_names => Naming::OfGone,
        1 if temper.shares_names => Naming::OfPresent,
        _ => Naming::Own,
    };
    Letter { token, header, octets, dots, part, naming, bulk: false }
}

fn survival(rng: &mut Rng) -> Survival {
    use Survival::{Chance, DataOnly, Everything, Nothing, Zeros};
    [Nothing, Nothing, Everything, Zeros, DataOnly, Chance, Chance, Chance][rng.usize(0..8)]
}

fn mishap(rng: &mut Rng, temper: &Temper) -> Option<Mishap> {
    if !chance(rng, temper.mishaps) {
        return None;
    }
    let kind = match rng.u32(0..10) {
        0..3 => return Some(Mishap::Cut(rng.u16(..))),
        3..6 => FaultKind::Kill,
        6..8 => FaultKind::Cut(survival(rng)),
        _ => {
            use FaultKind::{Fail, FailDone, FailFromHere, FailInTheMiddle, FailUncut, ShortWrites};
            let errno = [Errno::Io, Errno::Nospc, Errno::Dquot, Errno::Rofs][rng.usize(0..4)];
            let kinds = [
                Fail(errno),
                Fail(Errno::Io),
                FailDone(Errno::Io),
                FailFromHere(errno),
                FailInTheMiddle(Errno::Nospc),
                FailUncut(Errno::Io),
                ShortWrites,
            ];
            kinds[rng.usize(0..kinds.len())]
        }
    };
    Some(Mishap::Disk(kind, rng.u16(..), rng.u64(0..1000)))
}

fn reads(rng: &mut Rng, account: usize, temper: &Temper) -> Act {
    let how = match rng.u32(0..10) {
        0..4 => Reading::Opens,
        4..7 => Reading::Files,
        7..9 => Reading::Deletes,
        _ if temper.mishaps > 0 => return Act::CleansTmp(account),
        _ => Reading::Opens,
    };
    Act::Reads(account, how, rng.usize(1..4))
}

fn machine(rng: &mut Rng, temper: &Temper) -> Act {
    match rng.u32(0..4) {
        0 => Act::WrongClock([0, 8000, -15000][rng.usize(0..3)]),
        1..3 if temper.mishaps > 0 => Act::PowerCut(survival(rng), rng.u64(0..1000)),
        _ => Act::Reboot,
    }
}

/// Returns what somebody else, or the server, does.
fn elsewhere(rng: &mut Rng, account: usize, temper: &Temper) -> Option<Act> {
    if chance(rng, temper.webmail) {
        let which = rng.usize(0..100);
        return Some(match rng.u32(0..10) {
            0..6 => Act::Removes(account, which),
            6..8 => Act::PutsBack(account, which, Renamed::No),
            8 => Act::PutsBack(account, which, Renamed::Yes),
            _ => Act::Renumbers(account),
        });
    }
    if !chance(rng, temper.server_faults) {
        return None;
    }
    let fault = match rng.u32(0..8) {
        0 => {
            let lacking = [Lacking::Everywhere, Lacking::Everywhere, Lacking::Uidl, Lacking::List][rng.usize(0..4)];
            return Some(Act::Hides(account, lacking, rng.usize(1..4)));
        }
        1..3 => return Some(Act::Shows(account)),
        3 => ServerFault::RefusesTop,
        4 => ServerFault::RefusesDele,
        5 => ServerFault::RefusesRetr(rng.usize(0..100)),
        6 => ServerFault::LosesQuit,
        _ => ServerFault::LosesGoodbye,
    };
    Some(Act::Next(account, fault))
}
