use super::*;

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 110))
}

fn broken(last: u8, offered: bool) -> Ended {
    Ended::Broken { peer: peer(last), error: ClientError::Closed, offered }
}

fn here(way: LoginMethod) -> AddressProfile {
    let mut place = AddressProfile::default();
    place.failed.push(way);
    place
}

#[test]
fn ways_come_before_addresses_until_the_credential_was_sent() {
    let (mut addresses, mut place) = (Addresses::default(), here(LoginMethod::Apop));
    assert!(matches!(addresses.next(broken(1, false), true, true, &mut place), Next::Way(_)));
    assert!(matches!(addresses.next(broken(1, true), true, true, &mut place), Next::Address));
    assert!(place.failed.is_empty() && addresses.avoid == [peer(1)]);
    // There is no other: back to the method that was left.
    let unreached = Ended::Unreached(ClientError::Closed);
    assert!(matches!(addresses.next(unreached, false, false, &mut place), Next::Way(_)));
    assert!(place.failed == [LoginMethod::Apop] && addresses.avoid.is_empty());
    assert!(matches!(addresses.next(broken(1, false), true, true, &mut place), Next::Way(_)), "alone now");
    assert!(matches!(addresses.next(broken(1, true), true, true, &mut place), Next::Over(_)), "two offers");
}

#[test]
fn the_last_session_is_for_another_address() {
    let (mut addresses, mut place) = (Addresses::default(), AddressProfile::default());
    for _ in 0..MOST_SESSIONS - 2 {
        assert!(matches!(addresses.next(broken(1, false), true, true, &mut place), Next::Way(_)));
    }
    assert!(matches!(addresses.next(broken(1, false), true, true, &mut place), Next::Address));
    assert!(matches!(addresses.next(broken(2, false), true, true, &mut place), Next::Over(_)));
}

#[test]
fn what_is_told_is_a_refusal_or_what_the_first_address_came_to() {
    let silence = || ClientError::Silence { after: std::time::Duration::from_secs(5) };
    let (mut addresses, mut place) = (Addresses::default(), here(LoginMethod::User));
    let ended = Ended::Broken { peer: peer(1), error: silence(), offered: false };
    assert!(matches!(addresses.next(ended, false, true, &mut place), Next::Address));
    let over = addresses.next(Ended::Unreached(ClientError::Closed), false, false, &mut place);
    assert!(matches!(over, Next::Over(ClientError::Silence { .. })));
    assert_eq!(place.failed, [LoginMethod::User], "remembered");

    let (mut addresses, mut place) = (Addresses::default(), AddressProfile::default());
    assert!(matches!(addresses.next(broken(1, true), false, true, &mut place), Next::Address));
    let ended = Ended::Broken { peer: peer(2), error: silence(), offered: true };
    assert!(matches!(addresses.next(ended, false, true, &mut place), Next::Over(ClientError::Closed)));
}
