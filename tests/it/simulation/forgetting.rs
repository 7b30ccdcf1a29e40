//! What takes days: how long a message is remembered that is not on the server any more, and when one is old enough.

use super::script::{Act, ordinary};
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
    // Written is only that it is gone, and, ninety days later, that it is forgotten.
    assert_eq!(remembered, [(1, true), (1, false), (1, false), (0, true), (0, false)]);
}

/// One more poll that must go well: how many it retrieved, how many are remembered behind it, and whether it wrote.
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
    // Without TOP and with another size only the message itself tells.
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
    // Of more than 35 days between one boot and another nothing would count.
    world.act(Act::Days(30));
    world.act(Act::Reboot);
    let polled = world.poll("aged", None);
    check_good("the poll behind the boot", &polled).unwrap();
    assert_eq!(polled.deleted, 1, "40 days are more than 14");
}
