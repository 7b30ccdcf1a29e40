//! How long a message is remembered that is not on the server any more.

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
        remembered.push((known, !polled.process.writes().is_empty()));
    }
    // Written is only that it is gone, and, ninety days later, that it is forgotten.
    assert_eq!(remembered, [(1, true), (1, false), (1, false), (0, true), (0, false)]);
}
