//! What takes days: how long a message that has left the server is remembered, and when one is old enough.

use super::script::{Act, HELD, Script, ordinary};
use super::server::open;
use super::sizes::{Lag, Note, NoteHeader};
use super::verdict::check_good;
use super::world::{World, runtime};

#[test]
fn what_is_gone_from_the_server_is_remembered_for_90_days() {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    let mut remembered = Vec::new();
    world.act(Act::Mail("keep", "k1", 90));
    check_good("the first poll", &world.poll("keep", None)).unwrap();
    world.act(Act::Vanish("keep", "k1"));
    for days in [0, 1, 88, 2, 1] {
        world.act(Act::Days(days));
        let polled = world.poll("keep", None);
        check_good("a later poll", &polled).unwrap();
        let known = world.state(script.account("keep")).unwrap().state().len();
        remembered.push((known, !polled.process.writes_beside_hints().is_empty()));
    }
    // It is only written that the message is gone and, ninety days later, that it is forgotten.
    assert_eq!(remembered, [(1, true), (1, false), (1, false), (0, true), (0, false)]);
}

/// Polls once more, which must succeed: returns how many messages it retrieved, how many are remembered afterwards, and
/// whether it wrote.
fn polls(world: &mut World<'_>, name: &str) -> (usize, usize, bool) {
    let polled = world.poll(name, None);
    check_good("a poll", &polled).unwrap();
    let account = world.script.account(name);
    (polled.retrieved, world.state(account).unwrap().state().len(), !polled.process.writes_beside_hints().is_empty())
}

#[test]
fn what_was_back_meanwhile_is_remembered_for_90_days_more() {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    world.act(Act::Mail("keep", "k1", 90));
    assert_eq!(polls(&mut world, "keep"), (1, 1, true));
    world.act(Act::Vanish("keep", "k1"));
    assert_eq!(polls(&mut world, "keep"), (0, 1, true));
    world.act(Act::Days(50));
    world.act(Act::Mail("keep", "k1", 90));
    assert_eq!(polls(&mut world, "keep"), (0, 1, true), "that it is back is written");
    assert_eq!(polls(&mut world, "keep"), (0, 1, false), "once");
    world.act(Act::Vanish("keep", "k1"));
    assert_eq!(polls(&mut world, "keep"), (0, 1, true));
    world.act(Act::Days(89));
    assert_eq!(polls(&mut world, "keep"), (0, 1, false));
    world.act(Act::Days(1));
    assert_eq!(polls(&mut world, "keep"), (0, 0, true));
}

#[test]
fn what_is_back_with_other_bytes_is_another_message_and_retrieved_once() {
    let (mut script, runtime) = (ordinary(), runtime());
    // Without TOP and with another size, only the message itself shows what it is.
    script.accounts[0].1.top = false;
    let mut world = World::new(&script, &runtime);
    world.act(Act::Mail("keep", "k1", 90));
    assert_eq!(polls(&mut world, "keep"), (1, 1, true));
    world.act(Act::Vanish("keep", "k1"));
    assert_eq!(polls(&mut world, "keep"), (0, 1, true));
    world.act(Act::Mail("keep", "k1", 120));
    assert_eq!(polls(&mut world, "keep"), (1, 2, true));
    assert_eq!(polls(&mut world, "keep"), (0, 2, false));
}

#[test]
fn days_without_new_mail_count_although_the_machine_boots() {
    let (script, runtime) = (ordinary(), runtime());
    let mut world = World::new(&script, &runtime);
    world.act(Act::Mail("aged", "a1", 90));
    assert_eq!(polls(&mut world, "aged"), (1, 1, true));
    world.act(Act::Days(10));
    assert_eq!(polls(&mut world, "aged"), (0, 1, true), "the time is written");
    // If more than 35 days passed between two boots, none of them would count.
    world.act(Act::Days(30));
    world.act(Act::Reboot);
    let polled = world.poll("aged", None);
    check_good("the poll behind the boot", &polled).unwrap();
    assert_eq!(polled.deleted, 1, "40 days are more than 14");
}

/// Polls the account that deletes after 14 days: returns how many messages were retrieved and deleted, and how many the
/// server has afterwards.
fn aged(world: &mut World<'_>) -> (usize, usize, usize) {
    let polled = world.poll("aged", None);
    check_good("a poll", &polled).unwrap();
    let posts = open(&world.posts);
    assert_eq!(posts["aged"].broken_promises, Vec::<String>::new());
    (polled.retrieved, polled.deleted, posts["aged"].messages.len())
}

#[test]
fn what_comes_in_place_of_a_message_does_not_become_old_enough_to_go() {
    for header in [NoteHeader::True, NoteHeader::Own, NoteHeader::Weak] {
        for (top, in_top, hundredths) in [(true, false, 60), (true, true, 60), (false, false, 30), (true, true, 250)] {
            let (mut script, runtime) = (ordinary(), runtime());
            script.accounts[1].1.top = top;
            let mut world = World::new(&script, &runtime);
            world.act(Act::Mail("aged", "a1", 300));
            world.act(Act::Hold("aged", "a1", Note { header, in_top, hundredths, ..HELD }));
            for _ in 0..3 {
                assert_eq!(aged(&mut world), (1, 0, 1), "{header:?}, {top}, {in_top}");
                world.act(Act::Days(10));
            }
            world.act(Act::Release("aged"));
            assert_eq!(aged(&mut world), (1, 0, 1), "the message itself comes, and is young");
            world.act(Act::Days(15));
            assert_eq!(aged(&mut world).1, 1, "{header:?}, {top}, {in_top}");
            assert_eq!(world.poll("aged", None).retrieved, 0);
        }
    }
}

#[test]
fn what_has_grown_behind_a_listing_that_lags_does_not_go_before_it_is_stored() {
    let (mut script, runtime) = (ordinary(), runtime());
    // With TOP, the header and the listed size would be those of what is stored.
    script.accounts[1].1.top = false;
    let mut world = World::new(&script, &runtime);
    let whole = Script::message("a1", 600);
    let beginning = [&whole[..200], b"\r\n"].concat();
    world.act(Act::Mail("aged", "a1", 600));
    let change = |world: &World<'_>, lag, bytes: Option<&[u8]>| {
        let mut posts = open(&world.posts);
        let post = posts.get_mut("aged").unwrap();
        post.lag = lag;
        bytes.into_iter().for_each(|bytes| post.messages[0].becomes(bytes.into()));
    };
    change(&world, None, Some(&beginning));
    assert_eq!(aged(&mut world), (1, 0, 1));
    world.act(Act::Days(15));
    change(&world, Some(Lag::Behind), Some(&whole));
    assert_eq!(aged(&mut world), (1, 0, 1), "it came in another size than is listed");
    change(&world, None, None);
    assert_eq!(aged(&mut world), (1, 0, 1), "it came as it is listed, and is young");
    world.act(Act::Days(15));
    assert_eq!(aged(&mut world).1, 1);
}
